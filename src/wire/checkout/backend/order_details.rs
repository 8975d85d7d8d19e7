//! getOrderDetails: one order with its payments and credits (fact sheet checkout c).
//!
//! Keys are `order.1.X`, `payment.1.M.X` and `credit.1.M.X`. What an answer leaves out counts (a payment that vanished
//! was reversed), so an answer is taken whole or not at all: the order must be the one asked for, the counts must
//! agree with what came, and every object must have number, state, amount and currency.

use std::collections::BTreeMap;

use super::super::confirm::stated;
use super::super::field::Grammar;
use super::error_code::{Class, class};
use super::reply::Reply;
use crate::core::look::Outcome;
use crate::core::message::{Status, Transaction};
use crate::wire::form::shown;
use crate::words::id::GatewayOrderNumber;
use crate::words::money::StatedAmount;
use crate::words::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The gateway's own clock. It sends civil times without a zone; captured answers agree with Vienna's, summer time
/// included (fact sheet f).
const ZONE: &str = "Europe/Vienna";

/// Reads the reply to getOrderDetails for one order number; without one, for whatever order it is about.
pub fn read(reply: &Reply, asked: Option<&GatewayOrderNumber>) -> (Outcome, Vec<Transaction>) {
    if let Some(obstacle) = reply.obstacle() {
        return (obstacle.into(), Vec::new());
    }
    if reply.status != 0 {
        return (Outcome::Found, vec![undecided_or_rejected(reply, asked)]);
    }
    match reply.form.get("orders") {
        Some("0") => (Outcome::NotFound, Vec::new()),
        Some("1") => match order(reply, asked) {
            Ok(transactions) => (Outcome::Found, transactions),
            Err(why) => unreadable(why),
        },
        Some(other) => unreadable(format!("{} orders where one was asked for", shown(other))),
        None => unreadable("`orders` is missing".to_owned()),
    }
}

fn unreadable(why: String) -> (Outcome, Vec<Transaction>) {
    (Outcome::Unavailable { why: format!("unreadable reply: {why}"), retry_after: None }, Vec::new())
}

/// An order without an order object: rejected for good only if the status and every code say so.
fn undecided_or_rejected(reply: &Reply, asked: Option<&GatewayOrderNumber>) -> Transaction {
    let codes = reply.error_codes();
    let declined = reply.status == 2 && !codes.is_empty() && codes.iter().all(|code| class(code) == Class::Declined);
    Transaction {
        transaction_id: asked.map(|number| format!("order:{number}")),
        transaction_type: Some("order".to_owned()),
        transaction_state: Some(if declined { "rejected" } else { "unresolved" }.to_owned()),
        statuses: codes
            .into_iter()
            .map(|code| Status { code: shown(code), severity: Some("error".to_owned()) })
            .collect(),
        ..Transaction::default()
    }
}

type Object<'a> = BTreeMap<&'a str, &'a str>;

fn order(reply: &Reply, asked: Option<&GatewayOrderNumber>) -> Result<Vec<Transaction>, String> {
    let mut order = Object::new();
    let mut payments: BTreeMap<u32, Object<'_>> = BTreeMap::new();
    let mut credits: BTreeMap<u32, Object<'_>> = BTreeMap::new();
    for (name, value) in reply.form.fields() {
        let at = |rest: &str| rest.parse::<u32>().map_err(|_| format!("`{}` belongs to no object", shown(name)));
        if let Some(key) = name.strip_prefix("order.1.") {
            order.insert(key, value);
        } else if let Some((number, key)) = name.strip_prefix("payment.1.").and_then(|rest| rest.split_once('.')) {
            payments.entry(at(number)?).or_default().insert(key, value);
        } else if let Some((number, key)) = name.strip_prefix("credit.1.").and_then(|rest| rest.split_once('.')) {
            credits.entry(at(number)?).or_default().insert(key, value);
        }
    }
    let number = number(&order, "order.1", "orderNumber")?;
    if let Some(asked) = asked.filter(|asked| asked.as_str() != number) {
        return Err(format!("it is about order {number}, not about {asked}"));
    }
    let zone = TimeZone::get(ZONE).map_err(|_| format!("this system has no time zone {ZONE}"))?;
    let parent = format!("order:{number}");
    let mut transactions = vec![order_transaction(&order, &parent, &zone)?];
    for (kind, objects) in [("payment", &payments), ("credit", &credits)] {
        let said = order.get(if kind == "payment" { "payments" } else { "credits" }).copied().unwrap_or_default();
        if said.parse() != Ok(objects.len()) || !(1..).zip(objects.keys()).all(|(n, at)| n == *at) {
            return Err(format!("it announces `{}` {kind} objects and brings {}", shown(said), objects.len()));
        }
        for (at, object) in objects {
            let place = format!("{kind}.1.{at}");
            transactions.push(if kind == "payment" {
                payment_transaction(object, &place, &parent, &zone)?
            } else {
                credit_transaction(object, &place, &parent, &zone)?
            });
        }
    }
    Ok(transactions)
}

fn order_transaction(order: &Object<'_>, id: &str, zone: &TimeZone) -> Result<Transaction, String> {
    Ok(Transaction {
        transaction_id: Some(id.to_owned()),
        transaction_type: Some("order".to_owned()),
        transaction_state: Some(state(order, "order.1")?),
        amount: Some(amount(order, "order.1", "amount")?),
        payment_methods: methods(order),
        completed_at: changed_at(order, zone),
        custom_fields: kept(order, &["operationsAllowed"]),
        ..Transaction::default()
    })
}

/// A payment counts with what was captured once it was, else with what was reserved.
fn payment_transaction(
    payment: &Object<'_>,
    place: &str,
    parent: &str,
    zone: &TimeZone,
) -> Result<Transaction, String> {
    let state = state(payment, place)?;
    let captured = ["payment_deposited", "payment_closed"].contains(&state.as_str());
    Ok(Transaction {
        transaction_id: Some(format!("payment:{}", number(payment, place, "paymentNumber")?)),
        parent_transaction_id: Some(parent.to_owned()),
        transaction_type: Some("payment".to_owned()),
        amount: Some(amount(payment, place, if captured { "depositAmount" } else { "approveAmount" })?),
        transaction_state: Some(state),
        payment_methods: methods(payment),
        completed_at: changed_at(payment, zone),
        custom_fields: kept(payment, &["batchNumber", "operationsAllowed", "securityCriteria"]),
        ..Transaction::default()
    })
}

fn credit_transaction(credit: &Object<'_>, place: &str, parent: &str, zone: &TimeZone) -> Result<Transaction, String> {
    Ok(Transaction {
        transaction_id: Some(format!("credit:{}", number(credit, place, "creditNumber")?)),
        parent_transaction_id: Some(parent.to_owned()),
        transaction_type: Some("credit".to_owned()),
        transaction_state: Some(state(credit, place)?),
        amount: Some(amount(credit, place, "amount")?),
        payment_methods: methods(credit),
        completed_at: changed_at(credit, zone),
        custom_fields: kept(credit, &["batchNumber", "operationsAllowed"]),
        ..Transaction::default()
    })
}

fn number<'a>(object: &Object<'a>, place: &str, key: &str) -> Result<&'a str, String> {
    let number = object.get(key).copied().unwrap_or_default();
    if Grammar::OrderNumber.accepts(number) { Ok(number) } else { Err(format!("{place}.{key} is `{}`", shown(number))) }
}

fn state(object: &Object<'_>, place: &str) -> Result<String, String> {
    let state = object.get("state").copied().unwrap_or_default().trim();
    let is_name =
        !state.is_empty() && state.len() <= 64 && state.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_name { Ok(state.to_owned()) } else { Err(format!("{place}.state is `{}`", shown(state))) }
}

/// Amounts have `.`; zero is `0` for orders and `0.00` for payments.
fn amount(object: &Object<'_>, place: &str, key: &str) -> Result<StatedAmount, String> {
    let value = object.get(key).copied().unwrap_or_default();
    stated(value, object.get("currency").copied())
        .filter(|amount| amount.currency.is_some() && !amount.value.is_sign_negative())
        .ok_or_else(|| format!("{place}.{key} is `{}` without a currency we know", shown(value)))
}

fn methods(object: &Object<'_>) -> Vec<String> {
    object.get("paymentType").map(|method| method.trim()).filter(|m| !m.is_empty()).map(shown).into_iter().collect()
}

/// Fields without personal data that the rules or `explain` may want.
fn kept(object: &Object<'_>, keys: &[&str]) -> BTreeMap<String, String> {
    let filled =
        |key: &&str| object.get(*key).filter(|value| !value.is_empty()).map(|value| ((*key).to_owned(), shown(value)));
    keys.iter().filter_map(filled).collect()
}

/// When the object last changed, else when it was made.
fn changed_at(object: &Object<'_>, zone: &TimeZone) -> Option<Timestamp> {
    ["timeModified", "timeCreated"].into_iter().find_map(|key| moment(object.get(key)?, zone))
}

/// Reads `DD.MM.YYYY hh:mm:ss` as civil time of the zone. Of an hour that occurs twice the earlier is meant; an hour
/// that the change of the clocks leaves out is read as if they had not been changed.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (date, time) = text.trim().split_once(' ')?;
    let [day, month, year] = numbers(date, '.', [2, 2, 4])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let short = |n: i16| i8::try_from(n).ok();
    let civil =
        DateTime::new(year, short(month)?, short(day)?, short(hour)?, short(minute)?, short(second)?, 0).ok()?;
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i16; 3]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let [a, b, c] = parts[..] else { return None };
    let number = |part: &str, digits: usize| {
        (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
    };
    Some([number(a, digits[0])?, number(b, digits[1])?, number(c, digits[2])?])
}
