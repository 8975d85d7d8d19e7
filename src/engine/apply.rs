//! The fold: what follows from one journal record. Everything in the projections is made here, by the
//! running daemon and by `rebuild` alike.

use crate::core::alert::{Status, Topic};
use crate::core::discrepancy::{Code, Severity};
use crate::core::message::Transaction;
use crate::core::payment::{HINTED_MAX, Hinted, Payment};
use crate::core::policy::Policy;
use crate::core::record::{Event, Record, ResponseOutcome};
use crate::core::schedule::{Cause, Phase, Watch};
use crate::core::submission::{Submission, Teller};
use crate::engine::alerts::{self, Condition, Who};
use crate::engine::facts::link;
use crate::engine::looked::looked;
use crate::engine::notified::notified;
use crate::engine::operated::{concluded, operated};
use crate::engine::order_numbers::{claim_named, told_order};
use crate::engine::relayed::{not_relayed, relay_trouble, relayed_others};
use crate::engine::settle::{News, Turn, settle};
use crate::engine::{books, passed, settle, unknown};
use crate::store::{Draft, Fault, Table};
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, TransactionId};
use crate::words::time::{Now, SignedDuration, Timestamp, days, hours, later};

/// Deaf intervals from here on are told to a person.
const DEAF_ALERT: SignedDuration = SignedDuration::from_secs(300);

/// Applies a record to the projections of `draft`. Pure: `draft`'s view, the policy and the record
/// decide everything.
pub fn apply(draft: &mut Draft, policy: &Policy, sequence: u64, record: &Record) -> Result<(), Fault> {
    let now = record.now;
    let turn = Turn { policy, sequence, now };
    if let Some(number) = record.event.payment() {
        books::put_evidence(draft, number, sequence);
    }
    match &record.event {
        Event::Policy { .. } => Ok(()),
        Event::Submitted { number, submission, was_announced, told_by, sent_to } => {
            submitted(draft, turn, *number, submission, *was_announced, (*told_by, sent_to.as_deref()))
        }
        Event::Amended { number, gateway_order_number } => amended(draft, turn, *number, gateway_order_number),
        Event::Filled { number, submission } => filled(draft, turn, *number, submission),
        Event::Conflicted { number, field, offered } => change(draft, turn, *number, |_| {
            News::Event(Code::SubmissionConflict, format!("submitted again with another {field}: {offered}"), None)
        }),
        Event::Responded { number, outcome, http_status, transactions, .. } => {
            // A gateway in trouble may have done what it was asked, or not.
            let is_no_answer = transactions.is_empty() && http_status.is_some_and(|status| status >= 500);
            let outcome = if is_no_answer { ResponseOutcome::Unknown } else { *outcome };
            responded(draft, turn, *number, outcome, transactions)
        }
        Event::Passed { number, operation, outcome } => change(draft, turn, *number, |payment| {
            passed::operated(payment, sequence, operation, outcome.as_ref(), now);
            News::None
        }),
        Event::Again { number } => change(draft, turn, *number, |payment| {
            passed::again(payment, sequence, now);
            News::None
        }),
        Event::Unkept(unkept) => passed::unkept(draft, turn, unkept),
        Event::Operated { number, intent } => operated(draft, turn, *number, intent),
        Event::Concluded { number, operation, outcome, transactions, by, .. } => {
            let told = (outcome, by.is_some());
            concluded(draft, turn, (*number, *operation), told, transactions)
        }
        Event::Notified(news) => notified(draft, turn, news),
        Event::Overflowed { number } => change(draft, turn, *number, |payment| {
            payment.unverified = payment.unverified.saturating_add(1);
            News::None
        }),
        Event::Looked { number, answers, asked_at } => looked(draft, turn, *number, answers, *asked_at),
        Event::Asked { number } => change(draft, turn, *number, |payment| {
            payment.watch.retry_at = None;
            payment.watch.look_soon(now.steady, "a person asked for it", Cause::Other);
            News::None
        }),
        Event::TimeOver { number } => change(draft, turn, *number, |payment| {
            // A look that was planned while the gateway could still be asked: only planned anew.
            unknown::time_over(payment, now);
            let is_over = payment.next.as_ref().is_some_and(|next| next.phase == Phase::HandOver);
            if is_over { News::TimeOver } else { News::None }
        }),
        Event::Lane { merchant, why } => lane(draft, turn, merchant, why.as_deref()),
        Event::Deaf { from, to, why } => deaf(draft, turn, *from, *to, why),
        Event::Swept { why, numbers } => swept(draft, turn, numbers, why),
        Event::ClockJumped { by } => {
            let summary = format!("the system clock moved by {by:#} against elapsed time; deadlines are not affected");
            alerts::news(draft, turn.policy, Topic::Clock, None, summary, turn.now)
        }
        Event::Forged { merchant, count } => {
            let summary = format!("{count} messages for unknown payments of {merchant} failed their signature check");
            alerts::news(draft, turn.policy, Topic::Forgeries, Some(merchant), summary, turn.now)
        }
        Event::Repeated { alert } => {
            let Some(mut alert) = books::alert(draft, *alert)? else { return Ok(()) };
            if alert.status == Status::Firing {
                alert.told_at = now.steady;
                books::put_alert(draft, &alert)?;
                alerts::tell(draft, policy, &alert, now)?;
            }
            Ok(())
        }
        Event::Resolved { alert } => match books::alert(draft, *alert)? {
            Some(alert) if alert.status == Status::Firing => alerts::resolve(draft, policy, alert, now),
            _ => Ok(()),
        },
        Event::Told { telling, error } => told(draft, *telling, error.as_deref(), now),
        Event::Unreported { why } => {
            let condition = Condition {
                key: REPORT_KEY.to_owned(),
                topic: Topic::Report,
                severity: Severity::Warning,
                merchant: None,
                summary: why.clone(),
                ends_at: None,
            };
            alerts::raise(draft, policy, condition, Who::Nobody, now)
        }
        Event::Reported { day, is_final, inputs, sha256 } => {
            if let Some(alert) = books::firing(draft, REPORT_KEY)? {
                alerts::resolve(draft, policy, alert, now)?;
            }
            let mut key = books::day_number(*day).to_be_bytes().to_vec();
            key.push(u8::from(*is_final));
            let row = serde_json::json!({ "day": day, "final": is_final, "inputs": inputs, "sha256": sha256, "at": now.wall });
            books::write(draft, Table::Reports, key, &row)
        }
        Event::Imported { file, name, rows, conflicts, .. } => imported(draft, turn, (file, name), *rows, *conflicts),
        // Evidence, and no more: what the shop says to a message changes nothing in the books.
        Event::Relayed { .. } => Ok(()),
        Event::NotRelayed { merchant, why, .. } => not_relayed(draft, turn, merchant, *why),
        Event::RelayedOthers { merchant, lost, .. } => relayed_others(draft, turn, merchant, *lost),
        Event::Relay { merchant, why } => relay_trouble(draft, turn, merchant, why.as_deref()),
    }
}

/// Key of the one alert about reports that can't be written.
pub(super) const REPORT_KEY: &str = "report";

/// Changes one payment and settles it.
fn change(
    draft: &mut Draft,
    turn: Turn,
    number: PaymentNumber,
    how: impl FnOnce(&mut Payment) -> News,
) -> Result<(), Fault> {
    let mut payment = books::payment_at(draft, number)?;
    let news = how(&mut payment);
    settle(draft, turn, payment, news)
}

fn submitted(
    draft: &mut Draft,
    turn: Turn,
    number: PaymentNumber,
    submission: &Submission,
    was_announced: bool,
    (told_by, sent_to): (Teller, Option<&str>),
) -> Result<(), Fault> {
    let now = turn.now;
    let since = since(submission, now);
    let orphan = books::payment(draft, number)?;
    let adopts = orphan.is_some();
    let mut payment = orphan.unwrap_or_else(|| {
        let watch = Watch::new(since, now.steady);
        Payment::new(number, submission.merchant.clone(), submission.request_id.clone(), watch, now.wall)
    });
    if adopts {
        payment.watch = Watch { owed: payment.watch.owed.take(), ..Watch::new(since, now.steady) };
        settle::clear_orphan(draft, turn, &mut payment)?;
    }
    payment.is_imported = told_by == Teller::Import;
    payment.is_seen = told_by == Teller::Proxy;
    payment.method = submission.payment_method.clone().or(payment.method);
    if let Some(gateway) = &submission.gateway_order_number {
        told_order(&mut payment, gateway);
    }
    payment.submission = Some(submission.clone());
    payment.sent_to = sent_to.map(str::to_owned);
    claim_named(draft, turn, &mut payment)?;
    if was_announced {
        payment.watch.look_soon(
            now.steady,
            "an unauthenticated message had come before the submission",
            Cause::UnprovenHint,
        );
    } else if adopts {
        payment.watch.look_soon(now.steady, "messages had come before the submission", Cause::Other);
    }
    if let Some(parent) = &submission.parent_transaction_id {
        link(draft, &mut payment, &[parent.as_str()])?;
    }
    settle(draft, turn, payment, News::None)
}

fn amended(draft: &mut Draft, turn: Turn, number: PaymentNumber, gateway: &GatewayOrderNumber) -> Result<(), Fault> {
    let mut payment = books::payment_at(draft, number)?;
    told_order(&mut payment, gateway);
    if let Some(submission) = &mut payment.submission {
        submission.gateway_order_number = Some(gateway.clone());
    }
    claim_named(draft, turn, &mut payment)?;
    settle(draft, turn, payment, News::None)
}

/// What the shop told adds to what the proxy saw; ages go on counting from then.
fn filled(draft: &mut Draft, turn: Turn, number: PaymentNumber, submission: &Submission) -> Result<(), Fault> {
    let mut payment = books::payment_at(draft, number)?;
    payment.method = submission.payment_method.clone().or(payment.method);
    if let Some(gateway) = &submission.gateway_order_number {
        told_order(&mut payment, gateway);
    }
    payment.submission = Some(submission.clone());
    claim_named(draft, turn, &mut payment)?;
    if let Some(parent) = submission.parent_transaction_id.as_ref().filter(|_| payment.root.is_none()) {
        link(draft, &mut payment, &[parent.as_str()])?;
    }
    settle(draft, turn, payment, News::None)
}

/// Ages count from our receipt; for imports from the shop's own time, never from the future and
/// never from more than 400 days ago.
fn since(submission: &Submission, now: Now) -> Timestamp {
    let Some(told) = submission.submitted_at else { return now.steady };
    let age = now.wall.duration_since(told).clamp(SignedDuration::ZERO, days(400));
    // A shop that submits as it sends differs from us by seconds: our receipt counts then.
    if age < hours(1) { now.steady } else { later(now.steady, -age) }
}

fn responded(
    draft: &mut Draft,
    turn: Turn,
    number: PaymentNumber,
    outcome: ResponseOutcome,
    transactions: &[Transaction],
) -> Result<(), Fault> {
    let mut payment = books::payment_at(draft, number)?;
    for transaction in transactions {
        let Some(id) = transaction.transaction_id.as_deref().and_then(|id| TransactionId::new(id).ok()) else {
            continue;
        };
        let is_new = !payment.hinted.iter().any(|h| h.transaction_id == id);
        if is_new && payment.hinted.len() < HINTED_MAX {
            if books::by_transaction(draft, &payment.merchant, id.as_str())?.is_none() {
                books::index_transaction(draft, &payment.merchant, id.as_str(), number);
            }
            payment
                .hinted
                .push(Hinted { transaction_id: id, merchant_account_id: transaction.merchant_account_id.clone() });
        }
        if payment.method.is_none() {
            payment.method = transaction.payment_methods.first().cloned();
        }
    }
    payment.not_sent = outcome == ResponseOutcome::NotSent;
    passed::earlier_submit(&mut payment, transactions, Cause::UnprovenHint, turn.now);
    if outcome == ResponseOutcome::Unknown {
        let at = later(turn.now.steady, SignedDuration::from_secs(60));
        payment.watch.look_soon(
            at,
            "the shop's request got no answer that says what became of it",
            Cause::UnprovenHint,
        );
    }
    settle(draft, turn, payment, News::None)
}

fn lane(draft: &mut Draft, turn: Turn, merchant: &MerchantName, why: Option<&str>) -> Result<(), Fault> {
    let key = format!("lane/{merchant}");
    match why {
        Some(why) => {
            let condition = Condition {
                key,
                topic: Topic::LaneStopped,
                severity: Severity::Page,
                merchant: Some(merchant.clone()),
                summary: format!("the gateway of {merchant} can't be asked: {why}"),
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

fn deaf(draft: &mut Draft, turn: Turn, from: Now, to: Now, why: &str) -> Result<(), Fault> {
    let length = to.steady.duration_since(from.steady);
    if length < DEAF_ALERT {
        return Ok(());
    }
    let summary = format!("nothing could be heard for {length:#} ({why}): every open payment is looked at now");
    alerts::news(draft, turn.policy, Topic::Deaf, None, summary, turn.now)
}

/// Payments whose notification may have been sent while we were deaf get their next look at once.
fn swept(draft: &mut Draft, turn: Turn, numbers: &[PaymentNumber], why: &str) -> Result<(), Fault> {
    let why = format!("we could not hear for a while ({why})");
    for number in numbers {
        let Some(mut payment) = books::payment(draft, *number)? else { continue };
        // Not all in the same second: spread over a minute, the same way every time.
        let spread = SignedDuration::from_millis((number.0 % 60) as i64 * 1000);
        payment.watch.look_soon(later(turn.now.steady, spread), &why, Cause::Deaf);
        settle::replan(draft, turn, payment)?;
    }
    Ok(())
}

/// One alert for all rows of a file that contradict earlier submissions.
fn imported(draft: &mut Draft, turn: Turn, (file, name): (&str, &str), rows: u64, conflicts: u64) -> Result<(), Fault> {
    if conflicts == 0 {
        return Ok(());
    }
    let condition = Condition {
        key: format!("import/{file}"),
        topic: Topic::Import,
        severity: Severity::Warning,
        merchant: None,
        summary: format!(
            "{conflicts} of {rows} rows of the imported {name} contradict what was submitted before: the first submissions \
             stand, the rows are in the file of rejected rows beside it"
        ),
        ends_at: Some(later(turn.now.steady, alerts::NEWS_FOR)),
    };
    alerts::raise(draft, turn.policy, condition, Who::Nobody, turn.now)
}

fn told(draft: &mut Draft, number: u64, error: Option<&str>, now: Now) -> Result<(), Fault> {
    let Some(mut telling) = books::telling(draft, number)? else { return Ok(()) };
    let key = number.to_be_bytes().to_vec();
    if error.is_none() {
        draft.delete(Table::Outbox, key);
        return Ok(());
    }
    telling.attempts = telling.attempts.saturating_add(1);
    let wait = SignedDuration::from_secs(5 << telling.attempts.min(9)).min(hours(1));
    telling.not_before = later(now.steady, wait);
    books::write(draft, Table::Outbox, key, &telling)
}
