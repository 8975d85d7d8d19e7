//! NVP (name-value pairs): notifications and redirect posts (fact sheet wpg b.3, wpg-signatures 1, 2).
//!
//! Neither v1 nor v2 covers amount, currency, order number or payment method. v2 present but wrong
//! refutes the message whatever v1 says; v1 counts only where v2 is missing.

use std::collections::BTreeMap;

use super::form::Form;
use super::signature::{V1_FIELDS, V2_FIELDS, v1_verifies, v2_payload};
use super::{Reading, borders, value};
use crate::core::message::{Authenticity, Periodic, Scheme, Status, Transaction};

/// Names by which a body is known to be NVP; one suffices.
pub(super) const KNOWN_NAMES: [&str; 12] = [
    "merchant_account_id",
    "transaction_id",
    "request_id",
    "transaction_type",
    "transaction_state",
    "completion_time_stamp",
    "requested_amount",
    "payment_method",
    "status_code_1",
    "order_number",
    "response_signature",
    "response_signature_v2",
];

pub(super) fn read(form: &Form) -> Reading {
    let mut reading = Reading::default();
    let text = |name: &str| value::text(&form.text(name));
    let method = text("payment_method");
    let periodic = Periodic { periodic_type: text("periodic_type"), sequence_type: text("sequence_type") };
    let currency = text("requested_amount_currency");
    let amount = reading.amount(value::amount(text("requested_amount").as_deref(), currency.as_deref()));
    let (statuses, custom_fields) = numbered(form);
    reading.transactions.push(Transaction {
        merchant_account_id: text("merchant_account_id"),
        request_id: text("request_id"),
        transaction_id: text("transaction_id"),
        parent_transaction_id: text("parent_transaction_id"),
        group_transaction_id: text("group_transaction_id"),
        transaction_type: text("transaction_type"),
        transaction_state: text("transaction_state"),
        amount,
        order_number: text("order_number"),
        payment_methods: method.into_iter().collect(),
        completed_at: text("completion_time_stamp").as_deref().and_then(value::time),
        statuses,
        custom_fields,
        periodic: (periodic.periodic_type.is_some() || periodic.sequence_type.is_some()).then_some(periodic),
        redirect_only: text("payment_method_url").is_some(),
    });
    reading
}

/// `status_code_N` with `status_severity_N`, `field_name_N` with `field_value_N`, in the order of N;
/// and `custom_field…` names, whose value is under the name itself.
fn numbered(form: &Form) -> (Vec<Status>, BTreeMap<String, String>) {
    let mut codes = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut custom_fields = BTreeMap::new();
    for (name, held) in form.pairs() {
        let number = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok());
        if let Some(n) = number("status_code_") {
            codes.insert(n, name.to_string());
        } else if let Some(n) = number("field_name_") {
            names.insert(n, name.to_string());
        } else if name.starts_with("custom_field")
            && let Some(held) = value::text(&held)
        {
            custom_fields.entry(name.into_owned()).or_insert(held);
        }
    }
    let mut statuses = Vec::new();
    for name in codes.into_values() {
        let severity = name.replacen("code", "severity", 1);
        let code = value::text(&form.text(&name));
        statuses.extend(code.map(|code| Status { code, severity: value::text(&form.text(&severity)) }));
    }
    for name in names.into_values() {
        let held = value::text(&form.text(&name.replacen("name", "value", 1)));
        if let (Some(name), Some(held)) = (value::text(&form.text(&name)), held) {
            custom_fields.entry(name).or_insert(held);
        }
    }
    (statuses, custom_fields)
}

/// The verdict on an NVP body; `secret` is `None` where there is none to check with.
pub(super) fn authenticity(form: &Form, secret: Option<&[u8]>) -> Authenticity {
    let v2 = form.bytes("response_signature_v2");
    let v1 = form.bytes("response_signature");
    let scheme = match (v2.is_empty(), v1.is_empty()) {
        (false, _) => Some(Scheme::NvpV2),
        (true, false) => Some(Scheme::NvpV1),
        (true, true) => None,
    };
    if let Some(twin) = form.twin() {
        let reason = format!("the name `{}` comes twice", super::xml::shown(&twin));
        return Authenticity::Refuted { scheme, reason };
    }
    let unverifiable = |reason: &str| Authenticity::Unverifiable { scheme, reason: Some(reason.to_owned()) };
    let Some(secret) = secret else { return unverifiable("no secret to check with") };
    match scheme {
        Some(Scheme::NvpV2) => match v2_covers(form, v2, secret) {
            Ok(covers) => Authenticity::Verified { scheme: Scheme::NvpV2, covers },
            Err(reason) => Authenticity::Refuted { scheme, reason },
        },
        Some(_) => {
            if !v1_verifies(v1, &V1_FIELDS, |name| form.bytes(name), secret) {
                return Authenticity::Refuted {
                    scheme,
                    reason: "response_signature is not over these values".to_owned(),
                };
            }
            // The hash has no separators: only where the values' own grammar fixes every border are
            // they the values that were signed.
            if !borders::are_fixed(|name| form.bytes(name)) {
                return unverifiable(
                    "response_signature matches, but does not tell where one value ends and the next begins",
                );
            }
            Authenticity::Verified { scheme: Scheme::NvpV1, covers: V1_FIELDS.map(str::to_owned).to_vec() }
        }
        None => unverifiable("not signed"),
    }
}

/// The body's names that a v2 signature covers, or why it refutes the message.
///
/// A response's payload names all ten fields, empty or not, once each. A payload that lacks one is a
/// request's (which the payer's browser sees) and proves nothing about a response.
fn v2_covers(form: &Form, signature: &[u8], secret: &[u8]) -> Result<Vec<String>, String> {
    let payload = v2_payload(signature, secret)
        .ok_or_else(|| "response_signature_v2 is not made with this account's secret".to_owned())?;
    let payload = payload
        .strip_prefix(b"HS256\n")
        .ok_or_else(|| "response_signature_v2 does not begin with its algorithm".to_owned())?;
    let mut inner: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for line in payload.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let at = line.iter().position(|b| *b == b'=');
        let Some(at) = at else { return Err("response_signature_v2 holds a line that names no field".to_owned()) };
        if inner.insert(&line[..at], &line[at + 1..]).is_some() {
            return Err("response_signature_v2 names one field twice".to_owned());
        }
    }
    for (inside, outside) in V2_FIELDS {
        match inner.get(inside.as_bytes()) {
            None => return Err(format!("response_signature_v2 does not cover `{outside}`")),
            Some(signed) if *signed != form.bytes(outside) => {
                return Err(format!("`{outside}` differs from what response_signature_v2 covers"));
            }
            Some(_) => {}
        }
    }
    Ok(V2_FIELDS.map(|(_, outside)| outside.to_owned()).to_vec())
}
