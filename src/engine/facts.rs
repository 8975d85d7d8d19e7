//! How facts join a payment: once, with their ids indexed, and follow-ups tied to what they follow.

use crate::core::discrepancy::Code;
use crate::core::known::{Fact, Joined, KNOWN_MAX, join, key_of};
use crate::core::message::{Dialect, Transaction};
use crate::core::payment::Payment;
use crate::engine::books;
use crate::engine::settle::{News, Turn, settle};
use crate::store::{Draft, Fault};

/// Makes a payment a follow-up of the one that owns one of these transaction-ids.
pub(super) fn link(draft: &mut Draft, payment: &mut Payment, parents: &[&str]) -> Result<(), Fault> {
    if payment.root.is_some() {
        return Ok(());
    }
    for parent in parents {
        let Some(owner) = books::by_transaction(draft, &payment.merchant, parent)? else { continue };
        if owner == payment.number {
            continue;
        }
        let owner = books::payment_at(draft, owner)?;
        let root = owner.root.unwrap_or(owner.number);
        if root == payment.number {
            continue;
        }
        let mut root = if root == owner.number { owner } else { books::payment_at(draft, root)? };
        if root.root.is_none() && !root.follow_ups.contains(&payment.number) {
            root.follow_ups.push(payment.number);
            payment.root = Some(root.number);
            books::write_unsettled(draft, &root)?;
        }
        return Ok(());
    }
    Ok(())
}

/// Gives a transaction to the payment its fact belongs to. It stands in the books of one payment only.
///
/// A follow-up heard of before the shop submitted it was booked for the root of its family. It moves from
/// there, with its booking, to the payment that turned out to be its own.
fn claim(draft: &mut Draft, turn: Turn, payment: &mut Payment, transaction: &Transaction) -> Result<(), Fault> {
    let Some(id) = transaction.transaction_id.as_deref() else { return Ok(()) };
    let owner = books::by_transaction(draft, &payment.merchant, id)?.filter(|owner| *owner != payment.number);
    if let Some(owner) = owner {
        let mut other = books::payment_at(draft, owner)?;
        if let Some(at) = other.known.iter().position(|k| k.id.as_str() == id) {
            if payment.known.len() >= KNOWN_MAX {
                return Ok(());
            }
            payment.known.push(other.known.remove(at));
            books::write_unsettled(draft, &other)?;
            let parents = [&transaction.parent_transaction_id, &transaction.group_transaction_id];
            let parents: Vec<&str> = parents.into_iter().flatten().map(String::as_str).collect();
            link(draft, payment, &parents)?;
            // A root is settled behind its follow-up; anybody else must be now.
            if payment.root != Some(owner) {
                settle(draft, turn, other, News::None)?;
            }
        }
    }
    books::index_transaction(draft, &payment.merchant, id, payment.number);
    Ok(())
}

/// Joins one fact, indexes its ids, and says what it contradicts.
pub(super) fn join_fact(
    draft: &mut Draft,
    turn: Turn,
    payment: &mut Payment,
    dialect: Dialect,
    transaction: Transaction,
) -> Result<Option<News>, Fault> {
    if dialect == Dialect::Wpg {
        claim(draft, turn, payment, &transaction)?;
    }
    if payment.submission.as_ref().is_some_and(|s| s.parent_transaction_id.is_some()) && payment.root.is_none() {
        let parents = [&transaction.parent_transaction_id, &transaction.group_transaction_id];
        let parents: Vec<&str> = parents.into_iter().flatten().map(String::as_str).collect();
        link(draft, payment, &parents)?;
    }
    if payment.method.is_none() {
        payment.method = transaction.payment_methods.first().cloned();
    }
    let id = key_of(&transaction);
    let amount = transaction.amount.and_then(|a| a.bookable());
    let method = payment.method.clone();
    let (evidence, learnt_at) = (turn.sequence, turn.now.wall);
    let fact = Fact { dialect, method: method.as_deref(), evidence, learnt_at, transaction };
    Ok(match join(&mut payment.known, fact) {
        Joined::New | Joined::Newer | Joined::Same => None,
        Joined::Contradicts => {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            let what = format!("transaction {id} succeeded before, and is now reported as failed");
            Some(News::Event(Code::Contradiction, what, amount))
        }
        Joined::Full => {
            let what = "more transactions than are kept for one payment: this one is in the journal only".to_owned();
            Some(News::Event(Code::TooManyTransactions, what, amount))
        }
    })
}
