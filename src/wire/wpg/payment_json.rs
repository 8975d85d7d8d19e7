//! JSON messages to transactions: the same names as XML, in several wrappers (fact sheet wpg a.3, b.3).

use std::collections::BTreeSet;

use super::json::{Document, Json};
use super::{Reading, Unreadable, value};
use crate::core::message::{Periodic, Status, Transaction};

/// A bare object counts as a payment if it holds one of these. Flat dumps of NVP fields hold none.
const PAYMENT_NAMES: [&str; 6] =
    ["transaction-id", "request-id", "transaction-state", "transaction-type", "merchant-account-id", "statuses"];

/// The wrappers of several payments.
const LISTS: [&str; 2] = ["payments", "multi-payments"];

/// Reads `{"payment":…}`, `{"payments":…}` in their forms, or the payment without wrapper.
pub(super) fn read(document: &Document) -> Result<Reading, Unreadable> {
    let mut reading = Reading::default();
    for payment in payments(document)? {
        let amount = reading.amount(payment.get("requested-amount").map_or(Ok(None), |amount| {
            let part = |name| amount.get(name).and_then(Json::scalar);
            value::amount(part("value").or(amount.scalar()), part("currency"))
        }));
        reading.push(Transaction { amount, ..transaction(payment) })?;
    }
    if let Some(twin) = &document.twin {
        reading.flaw(format!("the name `{}` comes twice in one object", super::xml::shown(twin)));
    }
    Ok(reading)
}

/// The names that a signature over the whole message covers: every name directly in a payment.
pub(super) fn covers(document: &Document) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut covers = Vec::new();
    for payment in payments(document).unwrap_or_default() {
        let Json::Object(members) = payment else { continue };
        for (name, _) in members {
            if seen.insert(name.as_ref()) {
                covers.push(name.to_string());
            }
        }
    }
    covers
}

/// The resolver category of each payment, in the order [`read`] gives them: requests name one where the gateway is to
/// choose the merchant account (fact sheet wpg a.6).
pub(super) fn resolver_categories(document: &Document) -> Vec<Option<String>> {
    let of = |payment: &Json| {
        let held = payment.get("merchant-account-resolver-category")?;
        held.scalar().or_else(|| held.get("value")?.scalar()).and_then(value::text)
    };
    payments(document).unwrap_or_default().into_iter().map(of).collect()
}

/// The payments of a document, each an object.
fn payments<'j, 'a>(document: &'j Document<'a>) -> Result<Vec<&'j Json<'a>>, Unreadable> {
    let root = &document.value;
    let held = LISTS.map(|name| root.get(name));
    let found: Vec<&Json> = match (root.get("payment"), held) {
        (None, [Some(list), None] | [None, Some(list)]) => listed(list)?,
        (Some(payment), [None, None]) => items(payment, "payment"),
        (None, [None, None]) if PAYMENT_NAMES.iter().any(|name| root.get(name).is_some()) => vec![root],
        (None, [None, None]) => {
            return Err(Unreadable::new("json: neither `payment`, `payments` nor a payment's own names".to_owned()));
        }
        _ => return Err(two_lists("at the root")),
    };
    // `{"payments":[{"payment":{…}}]}` wraps once more.
    let found: Vec<&Json> = found.into_iter().map(|payment| payment.get("payment").unwrap_or(payment)).collect();
    match found.iter().all(|payment| matches!(payment, Json::Object(_))) {
        true => Ok(found),
        false => Err(Unreadable::new("json: a payment that is not an object".to_owned())),
    }
}

/// The payments of a list; `multi-payments` holds its payments directly or in a `payments` of its own, as in XML. The
/// depth of a document is bounded, and with it this.
fn listed<'j, 'a>(list: &'j Json<'a>) -> Result<Vec<&'j Json<'a>>, Unreadable> {
    match (list, list.get("payments"), list.get("payment")) {
        (Json::Object(members), _, _) if members.is_empty() => Ok(Vec::new()),
        (_, Some(_), Some(_)) => Err(two_lists("in one list")),
        (_, Some(inner), None) => listed(inner),
        (_, None, _) => Ok(items(list, "payment")),
    }
}

fn two_lists(place: &str) -> Unreadable {
    Unreadable::new(format!("json: two of `payment`, `payments` and `multi-payments` {place}"))
}

/// `{"status":[…]}`, `{"status":{…}}`, `[…]` or the object itself: all are lists.
fn items<'j, 'a>(holder: &'j Json<'a>, name: &str) -> Vec<&'j Json<'a>> {
    match holder {
        Json::List(list) => list.iter().collect(),
        Json::Object(_) => match holder.get(name) {
            Some(Json::List(list)) => list.iter().collect(),
            Some(Json::Null) => Vec::new(),
            Some(one) => vec![one],
            None => vec![holder],
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => Vec::new(),
    }
}

/// All of a payment but its amount.
fn transaction(payment: &Json) -> Transaction {
    let text = |name: &str| payment.get(name).and_then(Json::scalar).and_then(value::text);
    let inner = |outer: &str, name: &str| payment.get(outer).map(|holder| items(holder, name)).unwrap_or_default();
    let mut t = Transaction {
        merchant_account_id: text("merchant-account-id")
            .or_else(|| payment.get("merchant-account-id")?.get("value").and_then(Json::scalar).and_then(value::text)),
        request_id: text("request-id"),
        transaction_id: text("transaction-id"),
        parent_transaction_id: text("parent-transaction-id"),
        group_transaction_id: text("group-transaction-id"),
        transaction_type: text("transaction-type"),
        transaction_state: text("transaction-state"),
        order_number: text("order-number"),
        completed_at: text("completion-time-stamp").as_deref().and_then(value::time),
        periodic: payment.get("periodic").and_then(periodic),
        ..Transaction::default()
    };
    for status in inner("statuses", "status") {
        let part = |name| status.get(name).and_then(Json::scalar).and_then(value::text);
        t.statuses.extend(part("code").map(|code| Status { code, severity: part("severity") }));
    }
    for method in inner("payment-methods", "payment-method") {
        let part = |name| method.get(name).and_then(Json::scalar).and_then(value::text);
        t.payment_methods.extend(part("name"));
        t.redirect_only |= part("url").is_some();
    }
    for field in inner("custom-fields", "custom-field") {
        let part = |name| field.get(name).and_then(Json::scalar).and_then(value::text);
        if let (Some(name), Some(held)) = (part("field-name"), part("field-value")) {
            t.custom_fields.entry(name).or_insert(held);
        }
    }
    t
}

fn periodic(holder: &Json) -> Option<Periodic> {
    let part = |name| holder.get(name).and_then(Json::scalar).and_then(value::text);
    let periodic = Periodic { periodic_type: part("periodic-type"), sequence_type: part("sequence-type") };
    (periodic.periodic_type.is_some() || periodic.sequence_type.is_some()).then_some(periodic)
}
