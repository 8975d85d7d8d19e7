//! What a person may state of an operation: only what the gateway's own answer and its books leave open.

use crate::core::follow_up::{before, of_own};
use crate::core::operation::{Intent, Kind, Outcome};
use crate::core::payment::Payment;
use crate::core::record::Event;
use crate::engine::unknown::order_of;
use crate::engine::{Refusal, books};
use crate::store::{Fault, View};

/// Why a person's word on an operation is not taken; `None`: it may be.
///
/// Payouts are left out: no answer is sure to list them, so what their reply said may be wrong and only a person can find
/// out (fact sheet checkout c.2).
pub(super) fn contradicted(
    view: &dyn View,
    payment: &Payment,
    (number, intent): (u64, &Intent),
    is_executed: bool,
) -> Result<Option<Refusal>, Fault> {
    let Some(operation) = payment.operations.iter().find(|o| o.number == number) else { return Ok(None) };
    if intent.kind == Kind::Transfer {
        return Ok(None);
    }
    let contradicts = |outcome: &&Outcome| match outcome {
        Outcome::Executed { .. } => !is_executed,
        Outcome::Refused { .. } => is_executed,
        // Nobody's certain knowledge: that no trace was found, or that a sender believes it stayed here.
        Outcome::Unknown { .. } | Outcome::NotSent { .. } | Outcome::NotSeen { .. } => false,
    };
    let order = order_of(payment, operation);
    let by_books = order.is_none().then(|| of_own(payment)).flatten();
    let by_books = by_books.as_ref().filter(contradicts);
    let (by_answer, is_by_person) = told_so_far(view, payment, number)?;
    let by_answer = by_answer.iter().find(contradicts);
    // Without a person's word it is what the books decided.
    let by_looks = Some(&operation.outcome).filter(contradicts).filter(|_| !is_by_person);
    let Some(known) = by_books.or(by_answer).or(by_looks) else { return Ok(None) };
    let holds = order.map(|order| {
        let seen = before(payment, order).into_iter().map(|seen| {
            let amount = seen.amount.map(|amount| format!(" of {amount}")).unwrap_or_default();
            format!("{}{amount} is {}", seen.id, seen.state)
        });
        let seen: Vec<String> = seen.collect();
        let seen = if seen.is_empty() { "no payment and no credit".to_owned() } else { seen.join(", ") };
        format!("; its books of order {order} have {seen}")
    });
    let error = format!(
        "operation {number} ({} {}) is {}, by the gateway itself: {}{}",
        intent.kind.name(),
        intent.request_id,
        known.name(),
        known.text(),
        holds.unwrap_or_default()
    );
    let hint = "a person's word is for outcomes that nobody knows; what the gateway's books say is booked anyway";
    Ok(Some(Refusal { error, field: None, hint: Some(hint.to_owned()) }))
}

/// What the gateway answered about an operation, and whether a person spoke of it.
fn told_so_far(view: &dyn View, payment: &Payment, number: u64) -> Result<(Vec<Outcome>, bool), Fault> {
    let (mut answers, mut is_by_person) = (Vec::new(), false);
    for sequence in books::evidence_behind(view, payment.number, number)? {
        match books::record(view, sequence)?.event {
            Event::Concluded { operation, outcome, by: None, .. } if operation == number => answers.push(outcome),
            Event::Concluded { operation, by: Some(_), .. } if operation == number => is_by_person = true,
            _ => {}
        }
    }
    Ok((answers, is_by_person))
}
