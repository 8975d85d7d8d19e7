//! The fold: what follows from one journal record. Everything in the projections is made here, by the
//! running daemon and by `rebuild` alike.

use std::collections::BTreeMap;

use crate::core::account::{Account, Contract};
use crate::core::alert::{Status, Topic};
use crate::core::discrepancy::{Code, Severity};
use crate::core::known::{Fact, Joined, KNOWN_MAX, join, key_of};
use crate::core::look::{Answer, Outcome, Query};
use crate::core::message::{Dialect, PaymentState, Transaction};
use crate::core::payment::{DIGESTS_MAX, HINTED_MAX, Hinted, Payment};
use crate::core::policy::Policy;
use crate::core::record::{Event, Notified, Record, ResponseOutcome, Weight};
use crate::core::schedule::{Cause, HINT_APART, Phase, Watch};
use crate::core::submission::Submission;
use crate::engine::alerts::{self, Condition, Who};
use crate::engine::digest::gist;
use crate::engine::route;
use crate::engine::settle::{NEWS_FOR, News, Turn, settle};
use crate::engine::{ask, books, settle};
use crate::store::{Draft, Fault, Table};
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, TransactionId};
use crate::words::time::{Now, SignedDuration, Timestamp, days, hours, later};

/// Deaf intervals from here on are told to a person.
const DEAF_ALERT: SignedDuration = SignedDuration::from_secs(300);
/// Least wait after the gateway refused our credentials: it may lock us out.
const REFUSED_WAIT: SignedDuration = SignedDuration::from_secs(300);

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
        Event::Submitted { number, submission, was_announced } => {
            submitted(draft, turn, *number, submission, *was_announced)
        }
        Event::Amended { number, gateway_order_number } => amended(draft, turn, *number, gateway_order_number),
        Event::Conflicted { number, field, offered } => change(draft, turn, *number, |_| {
            News::Event(Code::SubmissionConflict, format!("submitted again with another {field}: {offered}"), None)
        }),
        Event::Responded { number, outcome, transactions, .. } => {
            responded(draft, turn, *number, *outcome, transactions)
        }
        Event::Notified(notified) => self::notified(draft, turn, notified),
        Event::Overflowed { number } => change(draft, turn, *number, |payment| {
            payment.unverified = payment.unverified.saturating_add(1);
            News::None
        }),
        Event::Looked { number, answers } => looked(draft, turn, *number, answers),
        Event::Asked { number } => change(draft, turn, *number, |payment| {
            payment.watch.retry_at = None;
            payment.watch.look_soon(now.steady, "a person asked for it", Cause::Other);
            News::None
        }),
        Event::TimeOver { number } => change(draft, turn, *number, |payment| {
            // A look that was planned while the gateway could still be asked: only planned anew.
            let is_over = payment.next.as_ref().is_some_and(|next| next.phase == Phase::HandOver);
            if is_over { News::TimeOver } else { News::None }
        }),
        Event::Lane { merchant, why } => lane(draft, turn, merchant, why.as_deref()),
        Event::Deaf { from, to, why } => deaf(draft, turn, *from, *to, why),
        Event::Swept { why, numbers } => swept(draft, turn, numbers, why),
        Event::ClockJumped { by } => {
            let summary = format!("the system clock moved by {by:#} against elapsed time; deadlines are not affected");
            news(draft, turn, Topic::Clock, None, summary)
        }
        Event::Forged { merchant, count } => {
            let summary = format!("{count} messages for unknown payments of {merchant} failed their signature check");
            news(draft, turn, Topic::Forgeries, Some(merchant), summary)
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
        Event::Reported { day, is_final, inputs, sha256 } => {
            let mut key = books::day_number(*day).to_be_bytes().to_vec();
            key.push(u8::from(*is_final));
            let row = serde_json::json!({ "day": day, "final": is_final, "inputs": inputs, "sha256": sha256, "at": now.wall });
            books::write(draft, Table::Reports, key, &row)
        }
    }
}

fn account<'p>(policy: &'p Policy, merchant: &MerchantName) -> Result<&'p Account, Fault> {
    policy.accounts.get(merchant).ok_or_else(|| {
        Fault::Broken(format!(
            "the journal speaks of merchant account `{merchant}`, which the policy in force does not have: \
             put [merchants.{merchant}] back into the configuration"
        ))
    })
}

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
        payment.watch = Watch::new(since, now.steady);
        settle::clear_orphan(draft, turn, &mut payment)?;
    }
    payment.method = submission.payment_method.clone().or(payment.method);
    if let Some(gateway) = &submission.gateway_order_number {
        told_order(&mut payment, gateway);
    }
    payment.submission = Some(submission.clone());
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

/// Ages count from our receipt; for imports from the shop's own time, never from the future and
/// never from more than 400 days ago.
fn since(submission: &Submission, now: Now) -> Timestamp {
    let Some(told) = submission.submitted_at else { return now.steady };
    let age = now.wall.duration_since(told).clamp(SignedDuration::ZERO, days(400));
    // A shop that submits as it sends differs from us by seconds: our receipt counts then.
    if age < hours(1) { now.steady } else { later(now.steady, -age) }
}

/// Makes a payment a follow-up of the one that owns one of these transaction-ids.
fn link(draft: &mut Draft, payment: &mut Payment, parents: &[&str]) -> Result<(), Fault> {
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
            books::write(draft, Table::Payments, books::number_key(root.number), &root)?;
        }
        return Ok(());
    }
    Ok(())
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
    if outcome == ResponseOutcome::Unknown {
        let at = later(turn.now.steady, SignedDuration::from_secs(60));
        payment.watch.look_soon(at, "the shop's request got no answer: its outcome is unknown", Cause::UnprovenHint);
    }
    settle(draft, turn, payment, News::None)
}

fn notified(draft: &mut Draft, turn: Turn, notified: &Notified) -> Result<(), Fault> {
    let now = turn.now;
    let account = account(turn.policy, &notified.merchant)?;
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
    if notified.weight == Weight::Refuted {
        let summary = format!("messages for payments of {} fail their signature check", notified.merchant);
        self::news(draft, turn, Topic::Forgeries, Some(&notified.merchant), summary)?;
    }
    settle(draft, turn, payment, news)
}

/// Whether a gateway order number is, or now becomes, this payment's to hold.
///
/// A genuine digest stays right when an own id is cut short and the rest moved into the free text
/// behind it (checkout-signatures C4): such a message makes an orphan, which must not keep the number
/// from the payment the shop did submit.
fn may_hold(draft: &mut Draft, turn: Turn, payment: &Payment, gateway: &GatewayOrderNumber) -> Result<bool, Fault> {
    let Some(owner) = books::by_gateway_order(draft, &payment.merchant, gateway.as_str())? else { return Ok(true) };
    if owner == payment.number {
        return Ok(true);
    }
    let mut owner = books::payment_at(draft, owner)?;
    if payment.is_orphan() || !owner.is_orphan() {
        return Ok(false);
    }
    owner.gateway_order_number = owner.gateway_order_number.filter(|held| held != gateway);
    owner.second_orders.retain(|held| held != gateway);
    settle::clear_orphan(draft, turn, &mut owner)?;
    settle::replan(draft, turn, owner)?;
    books::index_gateway_order(draft, &payment.merchant, gateway, payment.number);
    Ok(true)
}

/// A submission came: the numbers that messages named for it before are its own now.
fn claim_named(draft: &mut Draft, turn: Turn, payment: &mut Payment) -> Result<(), Fault> {
    let named: Vec<GatewayOrderNumber> =
        payment.gateway_order_number.iter().chain(&payment.second_orders).cloned().collect();
    for gateway in named {
        if !may_hold(draft, turn, payment, &gateway)? {
            payment.second_orders.retain(|held| *held != gateway);
        }
    }
    if payment.gateway_order_number.is_none() && !payment.second_orders.is_empty() {
        payment.gateway_order_number = Some(payment.second_orders.remove(0));
    }
    Ok(())
}

/// Ties a gateway order number to a payment. One bound to another payment is refused; a second one
/// under the same own id is looked at before anything is booked.
fn bind(draft: &mut Draft, turn: Turn, payment: &mut Payment, gateway: &GatewayOrderNumber) -> Result<News, Fault> {
    let now = turn.now;
    if !may_hold(draft, turn, payment, gateway)? {
        // Two orphans name it: which of them the shop submits is not known yet.
        if payment.is_orphan() && !payment.second_orders.contains(gateway) && payment.second_orders.len() < HINTED_MAX {
            payment.second_orders.push(gateway.clone());
        }
        let what =
            format!("a verified message gives it gateway order number {gateway}, which belongs to another payment");
        return Ok(News::Event(Code::OrderNumberTaken, what, None));
    }
    match &payment.gateway_order_number {
        None => payment.gateway_order_number = Some(gateway.clone()),
        Some(bound) if bound == gateway => {}
        Some(_) => {
            if !payment.second_orders.contains(gateway) && payment.second_orders.len() < HINTED_MAX {
                payment.second_orders.push(gateway.clone());
                books::index_gateway_order(draft, &payment.merchant, gateway, payment.number);
            }
            payment.watch.look_soon(now.steady, "a second gateway order number under the same own id", Cause::Other);
        }
    }
    Ok(News::None)
}

/// The shop tells a gateway order number. One that the gateway named before goes on being asked about.
fn told_order(payment: &mut Payment, gateway: &GatewayOrderNumber) {
    payment.second_orders.retain(|second| second != gateway);
    if let Some(named) = payment.gateway_order_number.replace(gateway.clone())
        && named != *gateway
        && payment.second_orders.len() < HINTED_MAX
    {
        payment.second_orders.push(named);
    }
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
            books::write(draft, Table::Payments, books::number_key(owner), &other)?;
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
fn join_fact(
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

/// Whether the answers say anything about the payment.
enum Conclusion {
    Conclusive,
    Unavailable { retry_after: Option<SignedDuration> },
    Refused,
}

/// Sums up the answers of one look. One question without an answer leaves the whole look open.
fn conclusion(answers: &[Answer]) -> Conclusion {
    for answer in answers {
        match &answer.outcome {
            Outcome::Refused { .. } => return Conclusion::Refused,
            Outcome::Unavailable { retry_after, .. } => return Conclusion::Unavailable { retry_after: *retry_after },
            Outcome::Found | Outcome::NotFound => {}
        }
    }
    if answers.is_empty() {
        return Conclusion::Unavailable { retry_after: None };
    }
    Conclusion::Conclusive
}

fn looked(draft: &mut Draft, turn: Turn, number: PaymentNumber, answers: &[Answer]) -> Result<(), Fault> {
    let mut asked = books::payment_at(draft, number)?;
    let now = turn.now;
    let account = account(turn.policy, &asked.merchant)?;
    let dialect = account.dialect();
    let is_whole = ask::is_whole(account, &asked, answers);
    let mut of_others: BTreeMap<PaymentNumber, Vec<Transaction>> = BTreeMap::new();
    let mut news = News::None;
    // An answer to a question by request-id that names other requests only says nothing about this one.
    let mut is_misled = false;
    for answer in answers.iter().filter(|a| a.outcome == Outcome::Found) {
        let by_request =
            matches!(answer.query, Query::RequestId { .. } | Query::Search { .. } | Query::Category { .. });
        let mut speaks_of_asked = answer.transactions.is_empty();
        for transaction in &answer.transactions {
            let target = target(draft, turn.policy, account, &asked, answer, transaction)?;
            let names_asked = transaction.request_id.as_deref() == Some(asked.request_id.as_str());
            speaks_of_asked |= target == Some(number) || (names_asked && target.is_some());
            let transaction = transaction.clone();
            match target {
                Some(to) if to == number => {
                    let found = join_fact(draft, turn, &mut asked, dialect, transaction)?;
                    news = found.unwrap_or(news);
                }
                Some(to) => {
                    // Its children in the same answer find it by this.
                    if let Some(id) = transaction.transaction_id.as_deref()
                        && books::by_transaction(draft, &asked.merchant, id)?.is_none()
                    {
                        let owner = books::payment_at(draft, to)?.merchant;
                        books::index_transaction(draft, &owner, id, to);
                    }
                    of_others.entry(to).or_default().push(transaction);
                }
                None => {
                    let id = transaction.transaction_id.as_deref().unwrap_or("without id");
                    let what = format!("an answer spoke of transaction {id}, which is not ours: not booked");
                    news = News::Event(Code::ForeignAnswer, what, transaction.amount.and_then(|a| a.bookable()));
                }
            }
        }
        is_misled |= by_request && !speaks_of_asked;
        vanish(&mut asked, answer, turn);
    }
    let conclusion = match conclusion(answers) {
        Conclusion::Conclusive if is_misled => Conclusion::Unavailable { retry_after: None },
        conclusion => conclusion,
    };
    asked.watch.spend_soon(now.steady, matches!(conclusion, Conclusion::Conclusive));
    let asked = settle_others(draft, turn, dialect, asked, of_others)?;
    conclude(draft, turn, asked, (conclusion, is_whole), news)
}

/// Joins what an answer said of other payments, and settles them. They may be follow-ups of the one that was
/// asked about, and settling them settles it: so it is written before, and read again behind.
fn settle_others(
    draft: &mut Draft,
    turn: Turn,
    dialect: Dialect,
    asked: Payment,
    of_others: BTreeMap<PaymentNumber, Vec<Transaction>>,
) -> Result<Payment, Fault> {
    if of_others.is_empty() {
        return Ok(asked);
    }
    let number = asked.number;
    books::write(draft, Table::Payments, books::number_key(number), &asked)?;
    for (to, transactions) in of_others {
        let mut other = books::payment_at(draft, to)?;
        let mut news = News::None;
        for transaction in transactions {
            news = join_fact(draft, turn, &mut other, dialect, transaction)?.unwrap_or(news);
        }
        books::put_evidence(draft, to, turn.sequence);
        settle(draft, turn, other, news)?;
    }
    books::payment_at(draft, number)
}

fn conclude(
    draft: &mut Draft,
    turn: Turn,
    mut asked: Payment,
    (conclusion, is_whole): (Conclusion, bool),
    news: News,
) -> Result<(), Fault> {
    let (now, number) = (turn.now, asked.number);
    match conclusion {
        Conclusion::Conclusive => settle::looked(draft, turn, asked, is_whole, news),
        Conclusion::Unavailable { retry_after } => {
            asked.watch.failed(now.steady, retry_after, number);
            settle(draft, turn, asked, news)
        }
        Conclusion::Refused => {
            asked.watch.failed(now.steady, Some(REFUSED_WAIT), number);
            settle(draft, turn, asked, news)
        }
    }
}

/// The payment a transaction of an answer belongs to; `None`: it is not ours.
fn target(
    draft: &Draft,
    policy: &Policy,
    account: &Account,
    asked: &Payment,
    answer: &Answer,
    transaction: &Transaction,
) -> Result<Option<PaymentNumber>, Fault> {
    match (&account.contract, &answer.query) {
        (Contract::Checkout(_), Query::OrderDetails { gateway_order_number }) => {
            let order = format!("order:{gateway_order_number}");
            let belongs = transaction.transaction_id.as_deref() == Some(&order)
                || transaction.parent_transaction_id.as_deref() == Some(&order);
            Ok(belongs.then_some(asked.number))
        }
        (Contract::Checkout(_), _) => Ok(None),
        (Contract::Wpg(_), _) => {
            if !route::names_our_account(policy, account, transaction) {
                return Ok(None);
            }
            route::route(draft, policy, account, transaction)
        }
    }
}

/// An order's details list all its payments and credits: one that is no longer there was taken back.
fn vanish(payment: &mut Payment, answer: &Answer, turn: Turn) {
    let Query::OrderDetails { gateway_order_number } = &answer.query else { return };
    let order = format!("order:{gateway_order_number}");
    let undecided = answer.transactions.iter().any(|t| {
        t.transaction_type.as_deref() == Some("order")
            && matches!(t.transaction_state.as_deref(), Some("unresolved" | "rejected"))
    });
    if undecided {
        return;
    }
    let listed: Vec<&str> = answer.transactions.iter().filter_map(|t| t.transaction_id.as_deref()).collect();
    for known in &mut payment.known {
        let is_object = matches!(known.transaction.transaction_type.as_deref(), Some("payment" | "credit"));
        let is_of_order = known.transaction.parent_transaction_id.as_deref() == Some(&order);
        if is_object && is_of_order && !known.vanished && !listed.contains(&known.id.as_str()) {
            known.vanished = true;
            known.evidence = turn.sequence;
            known.learnt_at = turn.now.wall;
        }
    }
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
    news(draft, turn, Topic::Deaf, None, summary)
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

/// An alert about something that happened: it stays on the list for a day, and is told once.
fn news(
    draft: &mut Draft,
    turn: Turn,
    topic: Topic,
    merchant: Option<&MerchantName>,
    summary: String,
) -> Result<(), Fault> {
    let key = merchant.map_or_else(|| topic.name().to_owned(), |m| format!("{}/{m}", topic.name()));
    let ends_at = Some(later(turn.now.steady, NEWS_FOR));
    let severity = Severity::Warning;
    let condition = Condition { key, topic, severity, merchant: merchant.cloned(), summary, ends_at };
    alerts::raise(draft, turn.policy, condition, Who::Nobody, turn.now)
}
