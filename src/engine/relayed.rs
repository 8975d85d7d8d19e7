//! What follows from the relay's records: alerts, and nothing in the books.

use crate::core::alert::Topic;
use crate::core::discrepancy::Severity;
use crate::core::relay::NotRelayed;
use crate::engine::alerts::{self, Condition, NEWS_FOR, Who};
use crate::engine::books;
use crate::engine::settle::Turn;
use crate::store::{Draft, Fault};
use crate::words::id::MerchantName;
use crate::words::time::later;

/// The deduplication key of the alert that a shop's listener does not take messages.
pub fn trouble_key(merchant: &MerchantName) -> String {
    format!("relay/{merchant}")
}

pub(super) fn not_relayed(
    draft: &mut Draft,
    turn: Turn,
    merchant: &MerchantName,
    why: NotRelayed,
) -> Result<(), Fault> {
    match why {
        // Whoever gave it up knows.
        NotRelayed::GivenUp => Ok(()),
        NotRelayed::BacklogFull | NotRelayed::TooOld => lost(draft, turn, merchant, why.text()),
    }
}

pub(super) fn relayed_others(draft: &mut Draft, turn: Turn, merchant: &MerchantName, count: u64) -> Result<(), Fault> {
    match count {
        0 => Ok(()),
        _ => lost(draft, turn, merchant, "the relay's backlog is full, or they waited too long"),
    }
}

/// Messages that the shop will not be given: its own copy is missing, ours is there.
fn lost(draft: &mut Draft, turn: Turn, merchant: &MerchantName, why: &str) -> Result<(), Fault> {
    let condition = Condition {
        key: format!("relay-lost/{merchant}"),
        topic: Topic::Relay,
        severity: Severity::Page,
        merchant: Some(merchant.clone()),
        summary: format!("notifications of {merchant} are kept but not passed on to the shop: {why}"),
        ends_at: Some(later(turn.now.steady, NEWS_FOR)),
    };
    alerts::raise(draft, turn.policy, condition, Who::Nobody, turn.now)
}

pub(super) fn relay_trouble(
    draft: &mut Draft,
    turn: Turn,
    merchant: &MerchantName,
    why: Option<&str>,
) -> Result<(), Fault> {
    let key = trouble_key(merchant);
    match why {
        Some(why) => {
            let condition = Condition {
                key,
                topic: Topic::Relay,
                severity: Severity::Page,
                merchant: Some(merchant.clone()),
                summary: format!("notifications of {merchant} wait for the shop's own listener: {why}"),
                ends_at: None,
            };
            alerts::raise(draft, turn.policy, condition, Who::Nobody, turn.now)
        }
        None => match books::firing(draft, &key)? {
            Some(alert) => alerts::resolve(draft, turn.policy, alert, turn.now),
            None => Ok(()),
        },
    }
}
