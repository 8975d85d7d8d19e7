//! What follows from a look and its answers.

use std::collections::BTreeMap;

use crate::core::account::{Account, Contract};
use crate::core::discrepancy::Code;
use crate::core::look::{Answer, Outcome, Query};
use crate::core::message::{Dialect, Transaction};
use crate::core::owed::Owed;
use crate::core::payment::Payment;
use crate::core::policy::Policy;
use crate::engine::facts::join_fact;
use crate::engine::settle::{News, Turn, settle};
use crate::engine::{ask, books, route, settle, unknown};
use crate::store::{Draft, Fault};
use crate::words::id::PaymentNumber;
use crate::words::time::{SignedDuration, Timestamp, later};

/// Wait before the next look where one found out only now whom else to ask.
const FURTHER_WAIT: SignedDuration = SignedDuration::from_secs(10);
/// Least wait after the gateway refused our credentials: it may lock us out.
const REFUSED_WAIT: SignedDuration = SignedDuration::from_secs(300);

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

pub(super) fn looked(
    draft: &mut Draft,
    turn: Turn,
    number: PaymentNumber,
    answers: &[Answer],
    asked_at: Option<Timestamp>,
) -> Result<(), Fault> {
    let mut asked = books::payment_at(draft, number)?;
    let now = turn.now;
    let account = turn.account(&asked.merchant)?;
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
    unknown::looked(&mut asked, answers, now);
    let is_answered = matches!(conclusion, Conclusion::Conclusive);
    asked.watch.spend_soon(now.steady, is_answered);
    // What it found may have named the family only now.
    let asked_from = asked_at.unwrap_or(now.steady);
    if is_answered && ask::is_whole(account, &asked, answers) {
        Owed::pay(&mut asked.watch.owed, asked_from);
    } else if is_answered && asked.watch.owed.as_ref().is_some_and(|owed| owed.at <= asked_from) {
        Owed::put_off(&mut asked.watch.owed, later(now.steady, FURTHER_WAIT));
    }
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
    books::write_unsettled(draft, &asked)?;
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
