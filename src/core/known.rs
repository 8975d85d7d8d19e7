//! The transactions of a payment that we know as facts, and how newer facts join older ones.

use serde::{Deserialize, Serialize};

use crate::core::booking::Booking;
use crate::core::meaning::{Meaning, meaning};
use crate::core::message::{Dialect, Transaction};
use crate::words::id::TransactionId;
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// Most transactions kept for one payment; beyond it facts stay in the journal and a discrepancy says so.
pub const KNOWN_MAX: usize = 200;

/// One transaction as the newest evidence states it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    pub id: TransactionId,
    pub meaning: Meaning,
    /// Replaced by a later one of the same payment: a pending step whose end came, a confirmation that
    /// getOrderDetails has spoken about, the second leg of a wallet payment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
    /// An authenticated answer no longer lists it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vanished: bool,
    /// The journal record that said so last.
    pub evidence: u64,
    /// Wall time at which we learnt it.
    pub learnt_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked: Option<Booking>,
    pub transaction: Transaction,
}

/// What joining a fact did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    New,
    Newer,
    /// The same news again.
    Same,
    /// The fact says that what succeeded did not. The success stands, a person is told.
    Contradicts,
    /// No room for more.
    Full,
}

impl Known {
    /// The amount, if it can be booked.
    pub fn amount(&self) -> Option<Amount> {
        self.transaction.amount.and_then(|a| a.bookable())
    }

    /// Whether it stands for anything now.
    pub fn stands(&self) -> bool {
        !self.superseded && !self.vanished && self.meaning != Meaning::Gone
    }
}

/// The id a fact is kept under. A checkout PENDING has no number of its own.
pub fn key_of(transaction: &Transaction) -> Option<TransactionId> {
    let id = transaction.transaction_id.as_deref()?;
    match transaction.transaction_type.as_deref() {
        Some("confirmation") => TransactionId::new(&format!("confirmation {id}")).ok(),
        _ => TransactionId::new(id).ok(),
    }
}

/// A fact on its way into the books of a payment.
pub struct Fact<'a> {
    pub dialect: Dialect,
    /// The payment's method, used where the transaction names none.
    pub method: Option<&'a str>,
    pub evidence: u64,
    pub learnt_at: Timestamp,
    pub transaction: Transaction,
}

/// Joins a fact to what is known. Facts without an id stand for nothing that could be found again.
pub fn join(known: &mut Vec<Known>, fact: Fact<'_>) -> Joined {
    let Some(id) = key_of(&fact.transaction) else { return Joined::Same };
    let news = meaning(fact.dialect, &fact.transaction, fact.method);
    let Some(old) = known.iter_mut().find(|k| k.id == id) else {
        if known.len() >= KNOWN_MAX {
            return Joined::Full;
        }
        known.push(Known {
            id,
            meaning: news,
            superseded: false,
            vanished: false,
            evidence: fact.evidence,
            learnt_at: fact.learnt_at,
            booked: None,
            transaction: fact.transaction,
        });
        return Joined::New;
    };
    let contradicts = fact.dialect == Dialect::Wpg && rank(news) < rank(old.meaning);
    if contradicts {
        // In progress after success is only old news; failed after success is a contradiction.
        return if matches!(news, Meaning::Failed | Meaning::CalledOff) { Joined::Contradicts } else { Joined::Same };
    }
    if old.meaning == news && !old.vanished && same_news(&old.transaction, &fact.transaction) {
        return Joined::Same;
    }
    // An answer knows more than a notification of the same state: keep the fields only one of them has.
    let mut transaction = fact.transaction;
    fill_gaps(&mut transaction, &old.transaction);
    old.meaning = news;
    old.vanished = false;
    old.evidence = fact.evidence;
    old.learnt_at = fact.learnt_at;
    old.transaction = transaction;
    Joined::Newer
}

/// How final a meaning is, for one transaction-id of `wpg`: success is never undone by the same id.
fn rank(meaning: Meaning) -> u8 {
    match meaning {
        Meaning::Unknown => 0,
        Meaning::Pending | Meaning::Step => 1,
        Meaning::Silence => 2,
        Meaning::Failed | Meaning::CalledOff => 3,
        Meaning::Accepted
        | Meaning::Reserved
        | Meaning::Released
        | Meaning::InProvisional
        | Meaning::In
        | Meaning::Refund
        | Meaning::Return
        | Meaning::Chargeback
        | Meaning::Credit
        | Meaning::Gone => 4,
    }
}

fn same_news(old: &Transaction, new: &Transaction) -> bool {
    new.amount.is_none_or(|a| old.amount.is_some_and(|b| a.value == b.value && a.currency == b.currency))
        && (new.completed_at.is_none() || old.completed_at.is_some())
        && (new.parent_transaction_id.is_none() || old.parent_transaction_id.is_some())
        && (new.group_transaction_id.is_none() || old.group_transaction_id.is_some())
}

fn fill_gaps(new: &mut Transaction, old: &Transaction) {
    let fill = |new: &mut Option<String>, old: &Option<String>| {
        if new.is_none() {
            new.clone_from(old);
        }
    };
    fill(&mut new.merchant_account_id, &old.merchant_account_id);
    fill(&mut new.request_id, &old.request_id);
    fill(&mut new.parent_transaction_id, &old.parent_transaction_id);
    fill(&mut new.group_transaction_id, &old.group_transaction_id);
    fill(&mut new.order_number, &old.order_number);
    new.amount = new.amount.or(old.amount);
    new.completed_at = new.completed_at.or(old.completed_at);
    if new.payment_methods.is_empty() {
        new.payment_methods.clone_from(&old.payment_methods);
    }
}

/// Methods that book two successes for one payment: the wallet's and the card's (fact sheet wpg c.3).
const WALLETS: [&str; 3] = ["masterpass", "paylib", "visa-checkout"];

/// Marks what later facts of the same payment replace. Idempotent.
pub fn supersede(known: &mut [Known], method: Option<&str>) {
    let lists_payment = known.iter().any(|k| is_kind(k, "payment"));
    let is_decided =
        known.iter().any(|k| is_kind(k, "order") && !matches!(k.meaning, Meaning::Pending | Meaning::Step));
    let details_spoke = known.iter().any(|k| is_kind(k, "order") && k.meaning != Meaning::Pending);
    let confirmed = known.iter().any(|k| {
        k.transaction.transaction_type.as_deref() == Some("confirmation")
            && k.transaction.transaction_state.as_deref() == Some("SUCCESS")
    });
    let is_wallet = method.is_some_and(|m| WALLETS.contains(&m))
        || known.iter().any(|k| k.transaction.payment_methods.iter().any(|m| WALLETS.contains(&m.as_str())));
    let marks: Vec<bool> = known
        .iter()
        .map(|k| {
            let state = k.transaction.transaction_state.as_deref();
            match (k.meaning, k.transaction.transaction_type.as_deref()) {
                // An order that lists no payment does not take a confirmed one back; see `denied`.
                (_, Some("confirmation")) if state == Some("SUCCESS") => lists_payment || is_decided,
                (_, Some("confirmation")) => lists_payment || details_spoke || (confirmed && state == Some("PENDING")),
                (Meaning::Pending | Meaning::Step, Some(kind)) if kind != "order" => ended_by_another(known, k),
                (Meaning::Silence, _) if k.transaction.is_refused_repeat() => was_submitted_before(known, k),
                (meaning, _) if is_wallet && meaning.is_income() => is_second_leg(known, k),
                _ => false,
            }
        })
        .collect();
    for (k, mark) in known.iter_mut().zip(marks) {
        k.superseded = mark;
    }
}

fn is_kind(known: &Known, kind: &str) -> bool {
    known.transaction.transaction_type.as_deref() == Some(kind)
}

/// The confirmed SUCCESS that the gateway's own books deny: they know its order and list no payment for it. One
/// such answer may be early; two that agree take the confirmation back (fact sheet checkout b.3).
pub fn denied(known: &[Known]) -> Option<usize> {
    let is_listed = known.iter().any(|k| is_kind(k, "order") && k.meaning == Meaning::Step);
    let is_paid = known.iter().any(|k| is_kind(k, "payment"));
    let confirmed = |k: &Known| is_kind(k, "confirmation") && k.meaning == Meaning::Accepted && k.stands();
    if is_listed && !is_paid { known.iter().position(confirmed) } else { None }
}

/// A step or pending transaction is over when its child, or the final one under the same bare
/// request-id, is decided.
fn ended_by_another(known: &[Known], step: &Known) -> bool {
    let decided = |k: &&Known| {
        k.id != step.id && !matches!(k.meaning, Meaning::Step | Meaning::Pending | Meaning::Silence | Meaning::Unknown)
    };
    // A wire transfer's announcement stays until enough deposits came: only amounts can tell.
    if step.transaction.transaction_type.as_deref() == Some("authorization") {
        return known.iter().filter(decided).any(|k| k.meaning.is_in());
    }
    let family = |t: &Transaction| t.group_transaction_id.clone().or_else(|| t.parent_transaction_id.clone());
    known.iter().filter(decided).any(|k| {
        k.transaction.parent_transaction_id.as_deref() == Some(step.id.as_str())
            || k.transaction.group_transaction_id.as_deref() == Some(step.id.as_str())
            || (family(&step.transaction).is_some() && family(&k.transaction) == family(&step.transaction))
            || (shares_request(k, step) && !was_tried_before(k, step))
    })
}

/// The earlier submit that a refused repeat speaks of: once it is known, it alone decides.
fn was_submitted_before(known: &[Known], repeat: &Known) -> bool {
    known.iter().any(|k| !k.transaction.is_refused_repeat() && shares_request(k, repeat))
}

fn shares_request(a: &Known, b: &Known) -> bool {
    let ids = [a, b].map(|k| bare(k.transaction.request_id.as_deref()));
    ids[0].is_some() && ids[0] == ids[1]
}

/// A failure from before the step: the payer tried again under the same request (fact sheet wpg, `max-retries`).
fn was_tried_before(failed: &Known, step: &Known) -> bool {
    matches!(failed.meaning, Meaning::Failed | Meaning::CalledOff)
        && failed.transaction.completed_at.zip(step.transaction.completed_at).is_some_and(|(then, now)| then < now)
}

fn bare(request_id: Option<&str>) -> Option<&str> {
    request_id.map(|id| crate::core::identity::strip_suffix(id).unwrap_or(id))
}

/// Of a wallet's two successes with one amount, the card leg (`-purchase`) counts with the wallet's.
fn is_second_leg(known: &[Known], leg: &Known) -> bool {
    let is_card_leg = |k: &Known| k.transaction.request_id.as_deref().is_some_and(|id| id.ends_with("-purchase"));
    is_card_leg(leg)
        && known
            .iter()
            .any(|k| k.id != leg.id && k.meaning.is_income() && !is_card_leg(k) && k.amount() == leg.amount())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(id: &str, kind: &str, state: &str, value: Option<&str>) -> Fact<'static> {
        Fact {
            dialect: Dialect::Wpg,
            method: None,
            evidence: 1,
            learnt_at: Timestamp::UNIX_EPOCH,
            transaction: Transaction {
                transaction_id: Some(id.into()),
                transaction_type: Some(kind.into()),
                transaction_state: Some(state.into()),
                amount: value.map(|v| Amount::parse(v, "EUR").expect("money").into()),
                ..Transaction::default()
            },
        }
    }

    #[test]
    fn a_success_is_not_undone_by_its_own_id() {
        let mut known = Vec::new();
        assert_eq!(join(&mut known, fact("a", "debit", "in-progress", None)), Joined::New);
        assert_eq!(join(&mut known, fact("a", "debit", "success", Some("1"))), Joined::Newer);
        assert_eq!(join(&mut known, fact("a", "debit", "success", Some("1.00"))), Joined::Same);
        assert_eq!(join(&mut known, fact("a", "debit", "in-progress", None)), Joined::Same, "old news");
        assert_eq!(join(&mut known, fact("a", "debit", "failed", None)), Joined::Contradicts);
        assert_eq!(known[0].meaning, Meaning::In);
    }

    #[test]
    fn an_answer_fills_what_a_notification_left_out() {
        let mut known = Vec::new();
        join(&mut known, fact("a", "debit", "success", None));
        assert_eq!(join(&mut known, fact("a", "debit", "success", Some("7"))), Joined::Newer);
        assert_eq!(known[0].amount(), Amount::parse("7", "EUR").ok());
    }

    #[test]
    fn a_pending_step_ends_with_its_child() {
        let mut known = Vec::new();
        join(&mut known, fact("p", "pending-debit", "success", Some("7")));
        supersede(&mut known, None);
        assert!(!known[0].superseded);
        let mut child = fact("d", "debit", "success", Some("7"));
        child.transaction.parent_transaction_id = Some("p".into());
        join(&mut known, child);
        supersede(&mut known, None);
        assert!(known[0].superseded && !known[1].superseded);
    }

    #[test]
    fn a_wallet_payment_counts_once() {
        let mut known = Vec::new();
        let mut wallet = fact("w", "debit", "success", Some("20"));
        wallet.transaction.payment_methods = vec!["masterpass".into()];
        let mut card = fact("c", "purchase", "success", Some("20"));
        card.transaction.request_id = Some("r-purchase".into());
        join(&mut known, wallet);
        join(&mut known, card);
        supersede(&mut known, None);
        assert_eq!(known.iter().filter(|k| k.stands()).count(), 1);
    }

    #[test]
    fn a_failed_try_does_not_end_the_next_one() {
        let tried = |id: &str, state: &str, at: &str| {
            let mut fact = fact(id, "debit", state, Some("7"));
            fact.transaction.request_id = Some("r".into());
            fact.transaction.completed_at = at.parse().ok();
            fact
        };
        let mut known = Vec::new();
        join(&mut known, tried("a", "failed", "2026-01-01T10:00:00Z"));
        join(&mut known, tried("b", "in-progress", "2026-01-01T10:05:00Z"));
        supersede(&mut known, None);
        assert!(!known[1].superseded, "the payer tries again");
        join(&mut known, tried("c", "failed", "2026-01-01T10:09:00Z"));
        supersede(&mut known, None);
        assert!(known[1].superseded, "and that failed too");
    }
}
