//! What becomes of requests that shops send themselves: a script set for coming ones, or what usually happens.

use serde::{Deserialize, Serialize};

use super::gateway::Gateway;
use super::script::{Plan, Script};
use crate::words::id::{MerchantName, OrderNumber, RequestId};
use crate::words::time::{SignedDuration, seconds};

/// How many scripts may wait for their requests.
pub const COMING_MAX: usize = 10_000;
/// How long a payer usually takes.
const PAYER_TAKES: SignedDuration = seconds(20);

/// A script for requests that are still to come. The most special one wins: request-id, order number, then any; among
/// equals the one that was set first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coming {
    pub merchant: MerchantName,
    #[serde(default)]
    pub of: Of,
    #[serde(default)]
    pub request_id: Option<RequestId>,
    #[serde(default)]
    pub order_number: Option<OrderNumber>,
    /// For how many requests it holds.
    #[serde(default = "once")]
    pub times: u32,
    pub play: Script,
    #[serde(default)]
    pub plan: Plan,
}

fn once() -> u32 {
    1
}

/// Which requests a script is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// First requests, payment page registrations included.
    #[default]
    Payments,
    /// Captures, voids, refunds, back-end operations.
    FollowUps,
}

/// Why a script is not kept for coming requests.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotKept {
    #[error("no shop `{0}` has a contract with this sandbox")]
    UnknownShop(MerchantName),
    #[error("it holds for no request: `times` must be 1 or more")]
    Never,
    #[error("{COMING_MAX} scripts wait for their requests already")]
    Full,
}

/// A request, as far as the choice of its script goes.
pub(super) struct Seen<'a> {
    pub merchant: &'a MerchantName,
    pub of: Of,
    pub request_id: Option<&'a RequestId>,
    pub order_number: Option<&'a OrderNumber>,
}

impl Gateway {
    /// Sets what becomes of coming requests.
    pub fn play(&mut self, coming: Coming) -> Result<(), NotKept> {
        if !self.shops.contains_key(&coming.merchant) {
            return Err(NotKept::UnknownShop(coming.merchant));
        }
        if coming.times == 0 {
            return Err(NotKept::Never);
        }
        if self.coming.len() >= COMING_MAX {
            return Err(NotKept::Full);
        }
        self.coming.push(coming);
        Ok(())
    }

    /// The scripts that still wait, in the order they were set.
    pub fn coming(&self) -> &[Coming] {
        &self.coming
    }

    /// The script set for a request; it is used up by one.
    pub(super) fn take_coming(&mut self, seen: &Seen<'_>) -> Option<(Script, Plan)> {
        let fits = |c: &Coming| {
            c.merchant == *seen.merchant
                && c.of == seen.of
                && c.request_id.as_ref().is_none_or(|id| Some(id) == seen.request_id)
                && c.order_number.as_ref().is_none_or(|number| Some(number) == seen.order_number)
        };
        let special = |c: &Coming| (c.request_id.is_some(), c.order_number.is_some());
        let fitting = self.coming.iter().enumerate().filter(|(_, coming)| fits(coming));
        // The first of the most special ones: `max_by_key` would take the last.
        let (at, _) = fitting.rev().max_by_key(|(_, coming)| special(coming))?;
        let coming = &mut self.coming[at];
        let taken = (coming.play.clone(), coming.plan.clone());
        coming.times -= 1;
        if coming.times == 0 {
            self.coming.remove(at);
        }
        Some(taken)
    }
}

/// What usually becomes of a `wpg` payment: cards at once, everything else when the payer is through.
pub(super) fn usual_wpg(is_at_once: bool, holds: bool) -> Script {
    let after = if is_at_once { SignedDuration::ZERO } else { PAYER_TAKES };
    if holds { Script::Reserved { after } } else { Script::Success { after } }
}

/// What usually becomes of a `checkout` payment: the payer pays; cards are only approved unless the shop asks for an
/// automatic deposit.
pub(super) fn usual_checkout(holds: bool) -> Script {
    if holds { Script::Reserved { after: PAYER_TAKES } } else { Script::Success { after: PAYER_TAKES } }
}
