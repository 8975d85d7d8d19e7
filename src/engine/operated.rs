//! What follows from an operation that was journaled, and from what was told of it later.

use crate::core::message::Transaction;
use crate::core::operation::{Intent, Operation, Outcome};
use crate::core::schedule::Cause;
use crate::engine::facts::join_fact;
use crate::engine::settle::{News, Turn, settle};
use crate::engine::{books, repeats};
use crate::store::{Draft, Fault};
use crate::words::id::PaymentNumber;
use crate::words::time::{SignedDuration, later};

/// Wait before the gateway is asked what an executed operation did to the books.
const BOOKS_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// Wait before the gateway is asked about one that got no answer: it cuts requests after 30 s.
const LOST_AFTER: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn operated(draft: &mut Draft, turn: Turn, number: PaymentNumber, intent: &Intent) -> Result<(), Fault> {
    let mut payment = books::payment_at(draft, number)?;
    let why = "it was journaled, and nobody told yet what came of it".to_owned();
    payment.operations.push(Operation {
        number: turn.sequence,
        intent: intent.clone(),
        at: turn.now.wall,
        since: turn.now.steady,
        outcome: Outcome::Unknown { why },
        told_at: None,
        unseen: Vec::new(),
        is_told: false,
    });
    if intent.request_id != payment.request_id {
        books::index_operation(draft, &payment.merchant, intent.request_id.as_str(), number);
    }
    if let Some(key) = intent.repeat_key() {
        repeats::index(draft, &payment.merchant, &key, number)?;
    }
    let why = format!("did {} {} take effect?", intent.kind.name(), intent.request_id);
    payment.watch.look_soon(later(turn.now.steady, LOST_AFTER), &why, Cause::Other);
    settle(draft, turn, payment, News::None)
}

/// `told`: the outcome, and whether a person states it, who may overrule what was held before.
pub(super) fn concluded(
    draft: &mut Draft,
    turn: Turn,
    (number, operation): (PaymentNumber, u64),
    (outcome, by_person): (&Outcome, bool),
    transactions: &[Transaction],
) -> Result<(), Fault> {
    let mut payment = books::payment_at(draft, number)?;
    let account = turn.account(&payment.merchant)?;
    let Some(operation) = payment.operations.iter_mut().find(|o| o.number == operation) else { return Ok(()) };
    // That nobody saw it is no match for an answer that says it was done.
    let was_missed = matches!((&operation.outcome, outcome), (Outcome::NotSeen { .. }, Outcome::Executed { .. }));
    if operation.outcome.is_unknown() || by_person || was_missed {
        operation.outcome = outcome.clone();
        operation.told_at = Some(turn.now.steady);
    }
    operation.is_told |= outcome.is_unknown();
    let name = format!("{} {}", operation.intent.kind.name(), operation.intent.request_id);
    let (wait, why) = match outcome {
        Outcome::Executed { .. } => (BOOKS_AFTER, format!("{name} was executed: what do the gateway's books say?")),
        _ => (LOST_AFTER, format!("did {name} take effect?")),
    };
    let at = later(turn.now.steady, wait);
    // A wish of the same weight that is due later would hold this one back.
    payment.watch.look_soon(at, &why, Cause::Other);
    for transaction in transactions {
        join_fact(draft, turn, &mut payment, account.dialect(), transaction.clone())?;
    }
    settle(draft, turn, payment, News::None)
}
