//! Whether an operation whose answer nobody saw took effect, told from the gateway's own books.
//!
//! `wpg` knows every request-id: the operation's own transaction tells. `checkout` has no idempotency key (fact sheet
//! checkout b.3): the order is compared with what it was before.

use crate::core::known::Known;
use crate::core::lifecycle::State;
use crate::core::meaning::Meaning;
use crate::core::operation::{BEFORE_MAX, Intent, Kind, Outcome, Seen};
use crate::core::payment::Payment;
use crate::words::id::GatewayOrderNumber;
use crate::words::money::Amount;

/// What the books say of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Exactly what it would have done, was done.
    Seen,
    /// The order is as it was.
    NotSeen,
    /// Something else happened: only a person can tell.
    Unclear,
}

fn is_object(known: &Known, kind: &str, order: &str) -> bool {
    known.transaction.transaction_type.as_deref() == Some(kind)
        && known.transaction.parent_transaction_id.as_deref() == Some(order)
}

/// The payments and credits of an order as they stand.
pub fn before(payment: &Payment, order: &GatewayOrderNumber) -> Vec<Seen> {
    let order = format!("order:{order}");
    let objects = payment.known.iter().filter(|k| is_object(k, "payment", &order) || is_object(k, "credit", &order));
    let seen = |k: &Known| Seen {
        id: k.id.clone(),
        state: k.transaction.transaction_state.clone().unwrap_or_default(),
        amount: k.amount(),
    };
    objects.filter(|k| k.stands()).take(BEFORE_MAX).map(seen).collect()
}

/// Compares the books with what they were before a `checkout` operation. `order` is its gateway order number.
pub fn effect(intent: &Intent, payment: &Payment, order: &GatewayOrderNumber) -> Effect {
    let now = before(payment, order);
    let named = |id: &str| now.iter().find(|seen| seen.id.as_str() == id);
    match intent.kind {
        Kind::Deposit | Kind::Capture => grown(intent, taken(&intent.before, intent), taken(&now, intent)),
        Kind::Refund | Kind::Credit => grown(intent, given(&intent.before, intent), given(&now, intent)),
        Kind::ApproveReversal | Kind::Void => {
            let held = |list: &[Seen]| list.iter().any(|seen| seen.state == "payment_approved");
            let took = now.iter().any(|seen| is_taken(&seen.state));
            if held(&now) {
                Effect::NotSeen
            } else if took {
                Effect::Unclear
            } else {
                Effect::Seen
            }
        }
        Kind::DepositReversal => match named(&intent.target) {
            Some(seen) if is_taken(&seen.state) => Effect::NotSeen,
            Some(_) | None => Effect::Seen,
        },
        Kind::RefundReversal => match named(&intent.target) {
            Some(_) => Effect::NotSeen,
            None => Effect::Seen,
        },
        // That a payout appears under its order is not documented: its absence proves nothing.
        Kind::Transfer => match &intent.made_number {
            Some(number) if named(&format!("credit:{number}")).is_some() => Effect::Seen,
            _ => Effect::Unclear,
        },
        Kind::Recur => Effect::Unclear,
    }
}

fn is_taken(state: &str) -> bool {
    matches!(state, "payment_deposited" | "payment_closed")
}

fn total<'a>(seen: impl Iterator<Item = &'a Seen>, intent: &Intent) -> Option<Amount> {
    let zero = Amount::zero(intent.amount?.currency());
    seen.filter_map(|seen| seen.amount).try_fold(zero, Amount::checked_add)
}

fn taken(list: &[Seen], intent: &Intent) -> Option<Amount> {
    total(list.iter().filter(|seen| is_taken(&seen.state)), intent)
}

fn given(list: &[Seen], intent: &Intent) -> Option<Amount> {
    total(list.iter().filter(|seen| seen.id.as_str().starts_with("credit:")), intent)
}

fn grown(intent: &Intent, before: Option<Amount>, now: Option<Amount>) -> Effect {
    let (Some(before), Some(now), Some(asked)) = (before, now, intent.amount) else { return Effect::Unclear };
    if now == before {
        Effect::NotSeen
    } else if before.checked_add(asked) == Some(now) {
        Effect::Seen
    } else {
        Effect::Unclear
    }
}

/// What the facts of an operation's own payment say of it; `None`: nothing is decided.
pub fn of_own(payment: &Payment) -> Option<Outcome> {
    let decided = payment.known.iter().find(|k| k.stands() && (k.meaning.is_money() || is_void_of_pending(k)));
    if let Some(known) = decided {
        let state = known.transaction.transaction_state.as_deref().unwrap_or_default();
        return Some(Outcome::Executed { how: format!("the gateway has it: transaction {} is {state}", known.id) });
    }
    match payment.state {
        State::Failed | State::Cancelled => Some(Outcome::Refused { why: payment.reason.clone() }),
        State::Unfinished => Some(Outcome::NotSeen { why: payment.reason.clone() }),
        _ => None,
    }
}

/// A void of what had moved no money yet moves none either.
fn is_void_of_pending(known: &Known) -> bool {
    let name = known.transaction.transaction_type.as_deref().unwrap_or_default();
    known.meaning == Meaning::Step
        && name.starts_with("void-pending-")
        && known.transaction.transaction_state.as_deref() == Some("success")
}
