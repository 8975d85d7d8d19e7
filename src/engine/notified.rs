//! What follows from a judged notification.

use crate::core::alert::Topic;
use crate::core::known::key_of;
use crate::core::message::{Dialect, PaymentState, Transaction};
use crate::core::payment::{DIGESTS_MAX, Payment};
use crate::core::record::{Notified, Weight};
use crate::core::schedule::{Cause, HINT_APART, Watch};
use crate::engine::digest::gist;
use crate::engine::facts::join_fact;
use crate::engine::order_numbers::bind;
use crate::engine::settle::{News, Turn, settle};
use crate::engine::{alerts, books, passed};
use crate::store::{Draft, Fault};
use crate::words::time::{Now, later};

pub(super) fn notified(draft: &mut Draft, turn: Turn, notified: &Notified) -> Result<(), Fault> {
    let now = turn.now;
    let account = turn.account(&notified.merchant)?;
    let dialect = account.dialect();
    let mut payment = match books::payment(draft, notified.number)? {
        Some(payment) => payment,
        None => {
            let watch = Watch::new(now.steady, now.steady);
            let (merchant, request_id) = (notified.merchant.clone(), notified.request_id.clone());
            let mut orphan = Payment::new(notified.number, merchant, request_id, watch, now.wall);
            orphan.watch.look_soon(
                later(now.steady, HINT_APART),
                "verified messages came for a request nobody submitted",
                Cause::Other,
            );
            orphan
        }
    };
    let mut news = News::None;
    let digest_vouches = matches!(notified.weight, Weight::Fact | Weight::SignedHint);
    let gist =
        gist(notified.weight, notified.payment_state, notified.gateway_order_number.as_ref(), &notified.transactions)?;
    let is_repeat = digest_vouches && payment.digests.contains(&gist);
    if digest_vouches
        && !is_repeat
        && let Some(gateway) = &notified.gateway_order_number
    {
        news = bind(draft, turn, &mut payment, gateway)?;
    }
    let order_is_ours = notified.gateway_order_number.is_none()
        || payment.gateway_order_number == notified.gateway_order_number
        || !digest_vouches;
    match notified.weight {
        // A genuine message can be played again for ever: its facts are known, and it asks for nothing.
        Weight::Fact if is_repeat => {}
        Weight::Fact if order_is_ours && matches!(news, News::None) => {
            news = facts_of_notification(draft, turn, &mut payment, dialect, notified)?;
            if dialect == Dialect::Checkout && notified.payment_state == Some(PaymentState::Success) {
                payment.watch.look_soon(now.steady, "accepted: what do the gateway's own books say?", Cause::Other);
            }
        }
        Weight::Fact | Weight::SignedHint => hint(&mut payment, notified, dialect, now, Cause::SignedHint),
        Weight::Hint | Weight::Refuted => {
            payment.unverified = payment.unverified.saturating_add(1);
            hint(&mut payment, notified, dialect, now, Cause::UnprovenHint);
        }
    }
    if digest_vouches {
        if is_repeat {
            payment.unverified = payment.unverified.saturating_add(1);
        } else {
            if payment.digests.len() >= DIGESTS_MAX {
                payment.digests.remove(0);
            }
            payment.digests.push(gist);
        }
    }
    if notified.weight != Weight::Refuted {
        let cause = if digest_vouches { Cause::SignedHint } else { Cause::UnprovenHint };
        passed::earlier_submit(&mut payment, &notified.transactions, cause, now);
    }
    if notified.weight == Weight::Refuted {
        let summary = format!("messages for payments of {} fail their signature check", notified.merchant);
        alerts::news(draft, turn.policy, Topic::Forgeries, Some(&notified.merchant), summary, turn.now)?;
    }
    settle(draft, turn, payment, news)
}

/// Joins the facts of a verified notification.
fn facts_of_notification(
    draft: &mut Draft,
    turn: Turn,
    payment: &mut Payment,
    dialect: Dialect,
    notified: &Notified,
) -> Result<News, Fault> {
    let mut news = News::None;
    let mut transactions = notified.transactions.clone();
    if dialect == Dialect::Checkout && notified.payment_state == Some(PaymentState::Pending) {
        transactions = vec![Transaction {
            transaction_id: Some("pending".into()),
            transaction_type: Some("confirmation".into()),
            transaction_state: Some("PENDING".into()),
            ..Transaction::default()
        }];
    }
    for transaction in transactions {
        if let Some(found) = join_fact(draft, turn, payment, dialect, transaction)? {
            news = found;
        }
    }
    Ok(news)
}

/// A message that may only bring a look forward, at most one in ten minutes.
fn hint(payment: &mut Payment, notified: &Notified, dialect: Dialect, now: Now, cause: Cause) {
    if dialect == Dialect::Checkout
        && matches!(notified.payment_state, Some(PaymentState::Failure | PaymentState::Cancel))
    {
        let claim = match (notified.payment_state, notified.error_code.as_deref()) {
            (Some(PaymentState::Cancel), _) => "claimed cancelled, unverified".to_owned(),
            (_, Some("99996")) => "claimed unfinished, unverified".to_owned(),
            (_, Some(code)) => format!("claimed failed ({code}), unverified"),
            (_, None) => "claimed failed, unverified".to_owned(),
        };
        payment.claim = Some(claim);
    }
    let knows_all = !notified.transactions.is_empty()
        && notified.weight != Weight::Refuted
        && notified.transactions.iter().all(|t| {
            let id = key_of(t);
            payment
                .known
                .iter()
                .any(|k| Some(&k.id) == id.as_ref() && k.transaction.transaction_state == t.transaction_state)
        });
    if knows_all {
        return;
    }
    let allowed = payment.watch.hint_looked_at.map_or(now.steady, |last| later(last, HINT_APART).max(now.steady));
    let why = match notified.weight {
        Weight::SignedHint | Weight::Fact => "a signed message came whose money the signature does not cover",
        Weight::Hint => "an unverified message came",
        Weight::Refuted => "a message came whose signature is wrong",
    };
    payment.watch.look_soon(allowed, why, cause);
}
