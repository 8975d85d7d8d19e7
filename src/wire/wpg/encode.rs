//! What the gateway writes, for the sandbox and for tests: `decode(encode(t)) == t`.
//!
//! Values go out as the gateway spells them: amounts in plain decimals, times by the format's own
//! custom, empty NVP fields named and left empty.

use std::fmt::Write;

use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub use super::seal::signed_xml;

use super::signature::{self, V1_FIELDS, V2_FIELDS, to_base64};
use super::xml::PAYMENT_NAMESPACES;
use crate::core::message::Transaction;
use crate::core::status_code::status_code;

/// Stands behind `payment-method@url` of a transaction that only hands out a redirect, where nothing else is said.
const REDIRECT_URL: &str = "https://redirect.example/";
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// Where the answer to a request points; a notification and a retrieval need nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Links<'a> {
    /// The transaction's own address (`self`, and the Location header).
    pub own: Option<&'a str>,
    /// Where the payer is to be sent.
    pub redirect: Option<&'a str>,
}

impl Links<'_> {
    fn redirect_of(&self, t: &Transaction) -> Option<&str> {
        t.redirect_only.then(|| self.redirect.unwrap_or(REDIRECT_URL))
    }
}

/// One `<payment>` document, as a notification or an answer.
pub fn payment_xml(t: &Transaction) -> String {
    answer_xml(t, &Links::default())
}

/// One `<payment>` document, as a POST is answered.
pub fn answer_xml(t: &Transaction, links: &Links<'_>) -> String {
    format!(r#"<?xml version="1.0" encoding="UTF-8"?>{}"#, payment_element(t, true, links))
}

/// A `<payments>` list, as the list forms of retrieval answer it.
pub fn payments_xml(ts: &[Transaction]) -> String {
    let namespace = PAYMENT_NAMESPACES[0];
    let inner: String = ts.iter().map(|t| payment_element(t, false, &Links::default())).collect();
    format!(r#"<?xml version="1.0" encoding="UTF-8"?><payments xmlns="{namespace}">{inner}</payments>"#)
}

fn payment_element(t: &Transaction, is_root: bool, links: &Links<'_>) -> String {
    let mut xml = match is_root {
        true => format!(
            r#"<payment xmlns="{}" xmlns:ns2="http://www.elastic-payments.com/schema/epa/transaction"{}>"#,
            PAYMENT_NAMESPACES[0],
            attribute("self", links.own)
        ),
        false => "<payment>".to_owned(),
    };
    let mut element = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            xml.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
        }
    };
    element("merchant-account-id", &t.merchant_account_id);
    element("transaction-id", &t.transaction_id);
    element("request-id", &t.request_id);
    element("transaction-type", &t.transaction_type);
    element("transaction-state", &t.transaction_state);
    element("completion-time-stamp", &t.completed_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()));
    let mut statuses = String::new();
    for status in &t.statuses {
        let severity = attribute("severity", status.severity.as_deref());
        let description = attribute("description", status_code(&status.code).map(|known| known.name));
        statuses.push_str(&format!(r#"<status code="{}"{description}{severity}/>"#, escaped(&status.code)));
    }
    xml.push_str(&format!("<statuses>{statuses}</statuses>"));
    if let Some(amount) = t.amount {
        let currency = attribute("currency", amount.currency.map(|c| c.code()));
        xml.push_str(&format!("<requested-amount{currency}>{}</requested-amount>", amount.value_text()));
    }
    let mut element = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            xml.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
        }
    };
    element("parent-transaction-id", &t.parent_transaction_id);
    element("group-transaction-id", &t.group_transaction_id);
    element("order-number", &t.order_number);
    if !t.custom_fields.is_empty() {
        xml.push_str("<custom-fields>");
        for (name, value) in &t.custom_fields {
            let (name, value) = (escaped(name), escaped(value));
            xml.push_str(&format!(r#"<custom-field field-name="{name}" field-value="{value}"/>"#));
        }
        xml.push_str("</custom-fields>");
    }
    xml.push_str("<payment-methods>");
    let url = attribute("url", links.redirect_of(t));
    if t.payment_methods.is_empty() && t.redirect_only {
        xml.push_str(&format!("<payment-method{url}/>"));
    }
    for method in &t.payment_methods {
        xml.push_str(&format!(r#"<payment-method{url} name="{}"/>"#, escaped(method)));
    }
    xml.push_str("</payment-methods>");
    if let Some(periodic) = &t.periodic {
        let inner = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("<{name}>{}</{name}>", escaped(value))).unwrap_or_default()
        };
        let kind = inner("periodic-type", &periodic.periodic_type);
        let sequence = inner("sequence-type", &periodic.sequence_type);
        xml.push_str(&format!("<periodic>{kind}{sequence}</periodic>"));
    }
    xml.push_str("</payment>");
    xml
}

fn attribute(name: &str, value: Option<&str>) -> String {
    value.map(|value| format!(r#" {name}="{}""#, escaped(value))).unwrap_or_default()
}

/// Text that is safe between tags and in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => write!(escaped, "&#{};", u32::from(c)).expect("a String takes every write"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// An object of the members that there are: the gateway writes no null.
fn members<const N: usize>(all: [(&str, Option<Value>); N]) -> Value {
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

/// `{"payment":{…}}`, as REST and notifications write it: epoch milliseconds, amounts as numbers.
pub fn payment_json(t: &Transaction) -> String {
    answer_json(t, &Links::default())
}

/// `{"payment":{…}}`, as a POST is answered.
pub fn answer_json(t: &Transaction, links: &Links<'_>) -> String {
    let mut payment = Map::new();
    if let Some(own) = links.own {
        payment.insert("self".to_owned(), Value::from(own));
    }
    let mut text = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            payment.insert(name.to_owned(), Value::from(value.as_str()));
        }
    };
    text("transaction-id", &t.transaction_id);
    text("request-id", &t.request_id);
    text("transaction-type", &t.transaction_type);
    text("transaction-state", &t.transaction_state);
    text("parent-transaction-id", &t.parent_transaction_id);
    text("group-transaction-id", &t.group_transaction_id);
    text("order-number", &t.order_number);
    if let Some(id) = &t.merchant_account_id {
        payment.insert("merchant-account-id".to_owned(), json!({ "value": id }));
    }
    if let Some(at) = t.completed_at {
        payment.insert("completion-time-stamp".to_owned(), json!(at.as_millisecond()));
    }
    let described = |code: &str| status_code(code).map(|known| known.name);
    let statuses = t.statuses.iter();
    let statuses: Vec<Value> = statuses
        .map(|s| {
            let text = |text: Option<&str>| text.map(Value::from);
            members([
                ("code", text(Some(&s.code))),
                ("description", text(described(&s.code))),
                ("severity", text(s.severity.as_deref())),
            ])
        })
        .collect();
    payment.insert("statuses".to_owned(), json!({ "status": statuses }));
    let url = links.redirect_of(t);
    let method = |name: Option<&str>| members([("url", url.map(Value::from)), ("name", name.map(Value::from))]);
    let methods: Vec<Value> = match t.payment_methods.is_empty() && t.redirect_only {
        true => vec![method(None)],
        false => t.payment_methods.iter().map(|name| method(Some(name))).collect(),
    };
    payment.insert("payment-methods".to_owned(), json!({ "payment-method": methods }));
    if !t.custom_fields.is_empty() {
        let fields: Vec<Value> =
            t.custom_fields.iter().map(|(n, v)| json!({ "field-name": n, "field-value": v })).collect();
        payment.insert("custom-fields".to_owned(), json!({ "custom-field": fields }));
    }
    if let Some(periodic) = &t.periodic {
        let periodic = members([
            ("periodic-type", periodic.periodic_type.as_deref().map(Value::from)),
            ("sequence-type", periodic.sequence_type.as_deref().map(Value::from)),
        ]);
        payment.insert("periodic".to_owned(), periodic);
    }
    let mut members: Vec<String> =
        payment.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    if let Some(amount) = t.amount {
        // As a number with all its digits, which a serde_json value cannot hold.
        let value = RawValue::from_string(amount.value_text()).expect("a decimal is a JSON number");
        let currency = amount.currency.map(|c| format!(r#","currency":"{c}""#)).unwrap_or_default();
        members.push(format!(r#""requested-amount":{{"value":{value}{currency}}}"#));
    }
    format!(r#"{{"payment":{{{}}}}}"#, members.join(","))
}

/// An NVP body with both signatures, ending in `&` as real ones do. NVP names one payment method:
/// further ones are left out.
pub fn nvp(t: &Transaction, secret: &str) -> String {
    let mut fields = nvp_fields(t, &Links::default());
    let values = fields.clone();
    let value = |name: &str| values.iter().find(|(n, _)| n == name).map_or(&b""[..], |(_, v)| v.as_bytes());
    let mut payload = String::from("HS256\n");
    for (inside, outside) in V2_FIELDS {
        payload.push_str(&format!("{inside}={}\n", String::from_utf8_lossy(value(outside))));
    }
    fields.push(("response_signature".to_owned(), signature::v1(&V1_FIELDS, value, secret.as_bytes())));
    fields.push(("response_signature_v2".to_owned(), signature::v2(payload.as_bytes(), secret.as_bytes())));
    form(&fields)
}

/// An NVP body as a POST is answered: unsigned, for TLS and the shop's own credentials vouch for it.
pub fn answer_nvp(t: &Transaction, links: &Links<'_>) -> String {
    form(&nvp_fields(t, links))
}

fn nvp_fields(t: &Transaction, links: &Links<'_>) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut field = |name: &str, value: Option<String>| fields.push((name.to_owned(), value.unwrap_or_default()));
    field("merchant_account_id", t.merchant_account_id.clone());
    field("transaction_id", t.transaction_id.clone());
    field("request_id", t.request_id.clone());
    field("transaction_type", t.transaction_type.clone());
    field("transaction_state", t.transaction_state.clone());
    let stamp = t.completed_at.map(|at| at.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%S").to_string());
    field("completion_time_stamp", stamp);
    field("requested_amount", t.amount.map(|a| a.value_text()));
    field("requested_amount_currency", t.amount.and_then(|a| a.currency).map(|c| c.code().to_owned()));
    field("parent_transaction_id", t.parent_transaction_id.clone());
    field("group_transaction_id", t.group_transaction_id.clone());
    field("order_number", t.order_number.clone());
    field("payment_method", t.payment_methods.first().cloned());
    field("payment_method_url", links.redirect_of(t).map(str::to_owned));
    field("authorization_code", None);
    for (at, status) in t.statuses.iter().enumerate() {
        field(&format!("status_code_{}", at + 1), Some(status.code.clone()));
        field(&format!("status_severity_{}", at + 1), status.severity.clone());
    }
    for (at, (name, value)) in t.custom_fields.iter().enumerate() {
        field(&format!("field_name_{}", at + 1), Some(name.clone()));
        field(&format!("field_value_{}", at + 1), Some(value.clone()));
    }
    if let Some(periodic) = &t.periodic {
        field("periodic_type", periodic.periodic_type.clone());
        field("sequence_type", periodic.sequence_type.clone());
    }
    fields
}

fn form(fields: &[(String, String)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string().replace(' ', "+");
    fields.iter().map(|(name, value)| format!("{}={}&", encoded(name), encoded(value))).collect()
}

/// A json-signed body, the Base64 sent with its `+` as it is, as real ones are.
pub fn json_signed(t: &Transaction, secret: &str) -> String {
    let text = to_base64(payment_json(t).as_bytes());
    let tag = signature::json_signed(text.as_bytes(), secret.as_bytes());
    format!("response-signature-base64={tag}&response-signature-algorithm=HmacSHA256&response-base64={text}")
}

/// Any body as one Base64 text, as notifications of alternative methods come.
pub fn base64_wrapped(body: &str) -> String {
    to_base64(body.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::super::{SigningKey, decode};
    use super::*;
    use crate::core::message::{Periodic, Status};
    use crate::wire::keys::Key;
    use crate::words::money::{Currency, StatedAmount};
    use crate::words::time::Timestamp;

    const SECRET: &str = "a round trip secret";

    fn key() -> (SigningKey, Key) {
        let signing = SigningKey::from_pem(include_str!("../../../tests/keys/wpg-gateway.pem")).expect("a key");
        let pins = vec![signing.pin()];
        (signing, Key { secret: SecretString::from(SECRET.to_owned()), user: None, password: None, pins })
    }

    /// Text as a message can hold it: trimmed, not empty, nothing invisible.
    fn text() -> impl Strategy<Value = String> {
        "[^\\p{C}\\s]([^\\p{C}]{0,14}[^\\p{C}\\s])?"
    }

    fn maybe() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(text())
    }

    fn amount() -> impl Strategy<Value = Option<StatedAmount>> {
        let currency = proptest::sample::select(vec![None, Some("EUR"), Some("JPY"), Some("KWD")]);
        let some = (-10_000_000i64..10_000_000, 0..7u32, currency).prop_map(|(digits, scale, currency)| StatedAmount {
            value: rust_decimal::Decimal::new(digits, scale),
            currency: currency.and_then(Currency::parse),
        });
        proptest::option::of(some)
    }

    fn transaction() -> impl Strategy<Value = Transaction> {
        let status = (text(), maybe()).prop_map(|(code, severity)| Status { code, severity });
        let periodic =
            (text(), maybe()).prop_map(|(kind, sequence_type)| Periodic { periodic_type: Some(kind), sequence_type });
        let ids = (maybe(), maybe(), maybe(), maybe(), maybe());
        let words = (maybe(), maybe(), maybe(), amount(), proptest::option::of(0..4_000_000_000i64));
        let lists = (
            proptest::collection::vec(text(), 0..3),
            proptest::collection::vec(status, 0..4),
            proptest::collection::btree_map(text(), text(), 0..4),
            proptest::option::of(periodic),
            any::<bool>(),
        );
        (ids, words, lists).prop_map(|(ids, words, lists)| Transaction {
            merchant_account_id: ids.0,
            request_id: ids.1,
            transaction_id: ids.2,
            parent_transaction_id: ids.3,
            group_transaction_id: ids.4,
            transaction_type: words.0,
            transaction_state: words.1,
            order_number: words.2,
            amount: words.3,
            completed_at: words.4.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            payment_methods: lists.0,
            statuses: lists.1,
            custom_fields: lists.2,
            periodic: lists.3,
            redirect_only: lists.4,
        })
    }

    fn read(body: &str, verdict: &str, key: Option<&Key>) -> Vec<Transaction> {
        let message = decode(body.as_bytes(), key).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(message.authenticity.verdict(), verdict, "{:?}: {body}", message.authenticity);
        message.transactions
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(t in transaction()) {
            let (signing, key) = key();
            let xml = payment_xml(&t);
            prop_assert_eq!(read(&xml, "unverifiable", None), vec![t.clone()]);
            let signed = signed_xml(&xml, &signing).expect("signed");
            prop_assert_eq!(read(&signed, "verified", Some(&key)), vec![t.clone()]);
            prop_assert_eq!(read(&base64_wrapped(&signed), "verified", Some(&key)), vec![t.clone()]);
            prop_assert_eq!(read(&payments_xml(&[]), "unverifiable", None), vec![]);
            prop_assert_eq!(read(&payments_xml(&[t.clone(), t.clone()]), "unverifiable", None), vec![t.clone(), t.clone()]);
            prop_assert_eq!(read(&payment_json(&t), "unverifiable", None), vec![t.clone()]);
            prop_assert_eq!(read(&json_signed(&t, SECRET), "verified", Some(&key)), vec![t.clone()]);
            // NVP names one method only.
            let mut one_method = t;
            one_method.payment_methods.truncate(1);
            let body = nvp(&one_method, SECRET);
            prop_assert_eq!(read(&body, "verified", Some(&key)), vec![one_method.clone()]);
            prop_assert_eq!(read(&base64_wrapped(&body), "verified", Some(&key)), vec![one_method]);
        }
    }
}
