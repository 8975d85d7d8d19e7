//! Operations whose outcome nobody knows: what the books say of them, when to look again, and who is told.

use crate::core::alert::{Status, Topic};
use crate::core::discrepancy::Severity;
use crate::core::follow_up::{Effect, effect, of_own};
use crate::core::look::{Answer, Outcome as Found, Query};
use crate::core::operation::{Intent, Operation, Outcome};
use crate::core::payment::Payment;
use crate::core::policy::Policy;
use crate::core::schedule::{Cause, Next, Phase};
use crate::engine::alerts::{self, Condition, Who, member};
use crate::engine::books;
use crate::store::{Draft, Fault};
use crate::words::id::GatewayOrderNumber;
use crate::words::time::Now;

/// Key of the alert about one operation.
pub fn key(payment: &Payment, operation: &Operation) -> String {
    format!("operation/{}/{}", payment.merchant, operation.number)
}

/// The order a `checkout` operation acts on; `None`: it made a payment of its own, which tells what became of it.
pub(super) fn order_of<'p>(payment: &'p Payment, operation: &Operation) -> Option<&'p GatewayOrderNumber> {
    let acts_on_order = ["order:", "payment:", "credit:"].iter().any(|kind| operation.intent.target.starts_with(kind));
    payment.gateway_order_number.as_ref().filter(|_| acts_on_order)
}

/// What the books say of an operation now; `None`: nothing that decides.
fn told_by_books(payment: &Payment, operation: &Operation) -> Option<Outcome> {
    match order_of(payment, operation) {
        Some(order) => (effect(&operation.intent, payment, order) == Effect::Seen)
            .then(|| Outcome::Executed { how: "the gateway's books show exactly its effect".to_owned() }),
        None => of_own(payment),
    }
}

/// Concludes what the books decide, plans the next look at what they leave open, and lets the alerts follow.
pub fn follow(draft: &mut Draft, policy: &Policy, payment: &mut Payment, can_ask: bool, now: Now) -> Result<(), Fault> {
    for at in 0..payment.operations.len() {
        let operation = &payment.operations[at];
        if operation.outcome.is_unknown()
            && let Some(outcome) = told_by_books(payment, operation)
        {
            payment.operations[at].outcome = outcome;
        }
        alert(draft, policy, payment, at, now)?;
    }
    if let Some(operation) = payment.unknown_operation().filter(|_| can_ask && payment.watch.soon.is_none()) {
        let at = operation.next_look(now.steady);
        let why = format!("did {} {} take effect?", operation.intent.kind.name(), operation.intent.request_id);
        payment.watch.look_soon(at, &why, Cause::Other);
    }
    Ok(())
}

/// When a person must be told of an operation that its sender never told of; only where nobody can be asked.
pub fn next_telling(payment: &Payment) -> Option<Next> {
    let (at, operation) =
        payment.operations.iter().filter_map(|o| Some((o.tell_at()?, o))).min_by_key(|(at, _)| *at)?;
    let Intent { kind, request_id, .. } = &operation.intent;
    let why = format!("nobody can be asked whether {} {request_id} took effect: a person will be told", kind.name());
    Some(Next { at, phase: Phase::Tell, why })
}

/// The time of [`next_telling`] came: its alert begins as the payment is settled.
pub fn time_over(payment: &mut Payment, now: Now) {
    for operation in &mut payment.operations {
        operation.is_told |= operation.tell_at().is_some_and(|at| at <= now.steady);
    }
}

fn alert(draft: &mut Draft, policy: &Policy, payment: &Payment, at: usize, now: Now) -> Result<(), Fault> {
    let operation = &payment.operations[at];
    if !operation.is_told {
        return Ok(());
    }
    let key = key(payment, operation);
    let firing = books::firing(draft, &key)?;
    if !operation.outcome.is_unknown() {
        return match firing {
            Some(alert) if alert.status == Status::Firing => alerts::resolve(draft, policy, alert, now),
            _ => Ok(()),
        };
    }
    let intent = &operation.intent;
    let amount = intent.amount.map(|a| format!(" of {a}")).unwrap_or_default();
    let condition = Condition {
        key,
        topic: Topic::OperationUnknown,
        severity: Severity::Warning,
        merchant: Some(payment.merchant.clone()),
        summary: format!(
            "nobody knows whether {}{amount} (operation {}, {}) took effect: it is looked up and never repeated",
            intent.kind.name(),
            operation.number,
            intent.request_id
        ),
        ends_at: None,
    };
    let note = Some(operation.outcome.text().to_owned());
    let who = if firing.is_some() { Who::Stays(member(payment, note)) } else { Who::Joins(member(payment, note)) };
    alerts::raise(draft, policy, condition, who, now)
}

/// A look was answered: where it shows the order as it was before an operation, that counts; a person is told that
/// even the gateway's books leave it open.
pub fn looked(payment: &mut Payment, answers: &[Answer], now: Now) {
    for at in 0..payment.operations.len() {
        let operation = &payment.operations[at];
        if !operation.outcome.is_unknown() {
            continue;
        }
        let order = order_of(payment, operation).cloned();
        let is_answered = match &order {
            Some(order) => answers.iter().any(|answer| shows(answer, order)),
            None => answers.iter().any(|answer| matches!(answer.outcome, Found::Found | Found::NotFound)),
        };
        if !is_answered {
            continue;
        }
        let is_unseen = order.is_some_and(|order| effect(&operation.intent, payment, &order) == Effect::NotSeen);
        let operation = &mut payment.operations[at];
        operation.is_told = true;
        if is_unseen {
            operation.not_seen(now.steady);
        }
    }
}

/// Whether an answer lists what an order holds.
fn shows(answer: &Answer, order: &GatewayOrderNumber) -> bool {
    let asked = Query::OrderDetails { gateway_order_number: order.clone() };
    let is_undecided = answer.transactions.iter().any(|t| {
        t.transaction_type.as_deref() == Some("order")
            && matches!(t.transaction_state.as_deref(), Some("unresolved" | "rejected"))
    });
    answer.query == asked && answer.outcome == Found::Found && !is_undecided
}
