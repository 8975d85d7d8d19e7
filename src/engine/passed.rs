//! What the recording proxy passes besides submissions, and what a refused repeat of one means.

use crate::core::alert::Topic;
use crate::core::message::Transaction;
use crate::core::payment::Payment;
use crate::core::record::{Event, Unkept};
use crate::core::schedule::{Cause, HINT_APART};
use crate::engine::settle::Turn;
use crate::engine::{Engine, alerts, books};
use crate::store::{Draft, Fault};
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, TransactionId};
use crate::words::time::{Now, SignedDuration, Timestamp, later};

/// An operation takes the gateway some time: asked before, it would not show.
const OPERATED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Longest name of an operation that is journaled, in bytes.
const OPERATION_MAX_BYTES: usize = 64;
/// Longest reason that is journaled, in characters.
const WHY_MAX_CHARS: usize = 200;

/// An operation of the shop's on a payment, that is no submission: it has no request-id of its own, or states
/// no amount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    pub merchant: MerchantName,
    pub target: Target,
    /// What the gateway calls it: `deposit`, `void-authorization`.
    pub name: String,
}

/// By what an operation names its payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    GatewayOrder(GatewayOrderNumber),
    Transaction(TransactionId),
}

impl Engine {
    /// Notes an operation that passes the proxy: its payment is looked at soon. `None`: we know no such payment.
    pub fn passed(&self, draft: &mut Draft, operation: &Operation, now: Now) -> Result<Option<PaymentNumber>, Fault> {
        let merchant = &operation.merchant;
        let found = match &operation.target {
            Target::GatewayOrder(number) => books::by_gateway_order(draft, merchant, number.as_str())?,
            Target::Transaction(id) => books::by_transaction(draft, merchant, id.as_str())?,
        };
        let Some(number) = found else { return Ok(None) };
        let end = operation.name.floor_char_boundary(OPERATION_MAX_BYTES);
        let operation = operation.name[..end].to_owned();
        self.record(draft, Event::Passed { number, operation }, now)?;
        Ok(Some(number))
    }

    /// Journals that requests passed the proxy without being kept in time, and tells a person.
    pub fn unkept(&self, draft: &mut Draft, unkept: &Unkept, now: Now) -> Result<(), Fault> {
        if !self.policy.accounts.contains_key(&unkept.merchant) {
            return Ok(());
        }
        let why = unkept.why.chars().take(WHY_MAX_CHARS).collect();
        self.record(draft, Event::Unkept(Unkept { why, ..unkept.clone() }), now)?;
        Ok(())
    }
}

pub(super) fn operated(payment: &mut Payment, operation: &str, now: Now) {
    let at = later(now.steady, OPERATED_AFTER).max(hint_allowed(payment, now));
    payment.watch.look_soon(at, &format!("the shop sent {operation}: what came of it?"), Cause::SignedHint);
}

pub(super) fn unkept(draft: &mut Draft, turn: Turn, unkept: &Unkept) -> Result<(), Fault> {
    let Unkept { merchant, from, to, kept_late, lost, why } = unkept;
    let advice = if *lost > 0 { ", compare with the shop's orders and submit them again" } else { "" };
    let fate = format!("kept late and watched: {kept_late}; not watched: {lost}{advice}");
    let summary = format!("requests of {merchant} passed unrecorded from {from} to {to} ({why}): {fate}");
    alerts::news(draft, turn.policy, Topic::Unkept, Some(merchant), summary, turn.now)
}

/// Where the gateway refuses a request-id as used before (400.1018), an earlier submit of it arrived: it is asked
/// about at once, at most once in [`HINT_APART`].
pub(super) fn earlier_submit(payment: &mut Payment, transactions: &[Transaction], cause: Cause, now: Now) {
    if payment.state.is_income() || !transactions.iter().any(Transaction::is_refused_repeat) {
        return;
    }
    let at = hint_allowed(payment, now);
    let why = "the gateway says the request-id was used before: what became of the earlier submit?";
    payment.watch.look_soon(at, why, cause);
}

fn hint_allowed(payment: &Payment, now: Now) -> Timestamp {
    payment.watch.hint_looked_at.map_or(now.steady, |last| later(last, HINT_APART).max(now.steady))
}
