//! Submissions and responses as shops send them: JSON, read strictly, refused by the field's name.

use std::collections::BTreeMap;

use super::json_fields::{Fields, refusal};
use crate::core::account::Accounts;
use crate::core::follow_up;
use crate::core::message::Dialect;
use crate::core::submission::{Basket, Submission};
use crate::engine::{Refusal, ResponseSeen, ResponseWhat};
use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, RequestId, TransactionId};
use crate::words::money::{Amount, NotMoney};
use crate::words::time::Timestamp;

/// Longest free text of a submission (method, type, category …), in bytes.
const TEXT_MAX_BYTES: usize = 255;
/// Rows of a basket.
const BASKET_MAX_ROWS: usize = 1000;
/// Custom fields, and fields of one basket row.
const FIELDS_MAX: usize = 100;

/// Reads one submission. Nothing is stored where this refuses.
pub fn submission(body: &[u8], accounts: &Accounts) -> Result<Submission, Refusal> {
    let mut fields = Fields::read(body)?;
    let (merchant, dialect) = merchant(&mut fields, accounts)?;
    let request_id = request_id(&mut fields)?;
    let order_number = fields.read_text("order_number", |t| no_control(t, OrderNumber::new))?;
    let transaction_type = plain(&mut fields, "transaction_type")?;
    if transaction_type.is_none() && dialect == Dialect::Wpg {
        return Err(refusal("is missing", Some("transaction_type"), Some("such as \"debit\" or \"authorization\"")));
    }
    let value = fields.required_text("amount")?;
    let currency = fields.required_text("currency")?;
    let amount = Amount::parse(&value, &currency).map_err(|e| {
        let field = if matches!(e, NotMoney::UnknownCurrency(_)) { "currency" } else { "amount" };
        refusal(e.to_string(), Some(field), None)
    })?;
    let payment_method = plain(&mut fields, "payment_method")?;
    if amount.is_negative() && !may_be_negative(transaction_type.as_deref(), payment_method.as_deref()) {
        let hint = "only a credit of an invoice method may be negative";
        return Err(refusal("must not be negative", Some("amount"), Some(hint)));
    }
    let parent_transaction_id = fields.read_text("parent_transaction_id", |t| no_control(t, TransactionId::new))?;
    let gateway_order_number = fields.read_text("gateway_order_number", |t| no_control(t, GatewayOrderNumber::new))?;
    if gateway_order_number.is_some() && dialect == Dialect::Wpg {
        return Err(refusal("only checkout accounts have one", Some("gateway_order_number"), None));
    }
    let read = Submission {
        merchant,
        request_id,
        order_number,
        transaction_type,
        amount,
        payment_method,
        parent_transaction_id,
        gateway_order_number,
        submitted_at: time(&mut fields, "submitted_at")?,
        periodic: plain(&mut fields, "periodic")?,
        basket: basket(&mut fields)?,
        custom_fields: custom_fields(&mut fields)?,
        resolver_category: plain(&mut fields, "resolver_category")?,
        captures_due: time(&mut fields, "captures_due")?,
    };
    fields.finish()?;
    Ok(read)
}

/// Reads what the gateway answered the shop.
pub fn response(body: &[u8], accounts: &Accounts) -> Result<ResponseSeen, Refusal> {
    let mut fields = Fields::read(body)?;
    let (merchant, _) = merchant(&mut fields, accounts)?;
    let request_id = request_id(&mut fields)?;
    let http_status = fields.whole_number("http_status")?;
    let answer = fields.text("body")?;
    let outcome = fields.text("outcome")?;
    fields.finish()?;
    let http_status = match http_status {
        None => None,
        Some(status @ 100..=599) => Some(status as u16),
        Some(_) => return Err(refusal("must be an HTTP status", Some("http_status"), None)),
    };
    let what = match (outcome.as_deref(), http_status, answer) {
        (None | Some("answered"), Some(http_status), Some(body)) => {
            ResponseWhat::Answered { http_status, body: body.into_bytes() }
        }
        (None | Some("answered"), None, _) => return Err(refusal("is missing", Some("http_status"), None)),
        (None | Some("answered"), Some(_), None) => return Err(refusal("is missing", Some("body"), None)),
        (Some("not_sent"), None, None) => ResponseWhat::NotSent,
        (Some("unknown"), None, None) => ResponseWhat::OutcomeUnknown,
        (Some("not_sent" | "unknown"), Some(_), _) => {
            return Err(refusal("must be null with this outcome", Some("http_status"), None));
        }
        (Some("not_sent" | "unknown"), None, Some(_)) => {
            return Err(refusal("must be null with this outcome", Some("body"), None));
        }
        (Some(_), _, _) => {
            let hint = "one of \"answered\", \"not_sent\", \"unknown\"";
            return Err(refusal("unknown outcome", Some("outcome"), Some(hint)));
        }
    };
    Ok(ResponseSeen { merchant, request_id, what })
}

fn merchant(fields: &mut Fields, accounts: &Accounts) -> Result<(MerchantName, Dialect), Refusal> {
    let text = fields.required_text("merchant")?;
    let known = MerchantName::new(&text).ok().and_then(|name| accounts.get(&name));
    match known {
        Some(account) => Ok((account.name.clone(), account.dialect())),
        None => Err(no_such_account(accounts)),
    }
}

/// What is said where a merchant account is named that there is not.
pub fn no_such_account(accounts: &Accounts) -> Refusal {
    let names: Vec<&str> = accounts.keys().map(MerchantName::as_str).collect();
    let hint = format!("configured are: {}", names.join(", "));
    refusal("no such merchant account", Some("merchant"), Some(&hint))
}

fn request_id(fields: &mut Fields) -> Result<RequestId, Refusal> {
    let read = fields.read_text("request_id", |t| no_control(t, RequestId::new))?;
    read.ok_or_else(|| refusal("is missing", Some("request_id"), None))
}

/// Ids are trimmed of blanks; a line break at an end is no blank but a mistake of the sender.
fn no_control<T, E: std::fmt::Display>(text: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<T, String> {
    if text.chars().any(char::is_control) {
        return Err("contains a control character".into());
    }
    read(text).map_err(|e| e.to_string())
}

/// A short text without control characters; empty is absent.
fn plain(fields: &mut Fields, name: &'static str) -> Result<Option<String>, Refusal> {
    let read = fields.read_text(name, |text| {
        no_control(text, |text| {
            if text.len() > TEXT_MAX_BYTES {
                return Err(format!("is longer than {TEXT_MAX_BYTES} bytes"));
            }
            Ok(text.trim().to_owned())
        })
    })?;
    Ok(read.filter(|text| !text.is_empty()))
}

fn time(fields: &mut Fields, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
    fields
        .read_text(name, |text| text.parse::<Timestamp>().map_err(|_| "is not a time such as \"2026-03-01T12:00:00Z\""))
}

fn basket(fields: &mut Fields) -> Result<Option<Basket>, Refusal> {
    let basket: Option<Basket> = fields.value("basket", "a list of objects whose values are strings")?;
    let too_big = |b: &Basket| b.len() > BASKET_MAX_ROWS || b.iter().any(|row| row.len() > FIELDS_MAX);
    if basket.as_ref().is_some_and(too_big) {
        let what = format!("has more than {BASKET_MAX_ROWS} rows or {FIELDS_MAX} fields in one");
        return Err(refusal(what, Some("basket"), None));
    }
    Ok(basket)
}

fn custom_fields(fields: &mut Fields) -> Result<Option<BTreeMap<String, String>>, Refusal> {
    let custom: Option<BTreeMap<String, String>> =
        fields.value("custom_fields", "an object whose values are strings")?;
    if custom.as_ref().is_some_and(|c| c.len() > FIELDS_MAX) {
        return Err(refusal(format!("has more than {FIELDS_MAX} fields"), Some("custom_fields"), None));
    }
    Ok(custom)
}

/// By the vendor's page a credit of an invoice reduces it with a negative amount (fact sheet wpg d.1).
fn may_be_negative(transaction_type: Option<&str>, payment_method: Option<&str>) -> bool {
    transaction_type == Some("credit") && payment_method.is_some_and(follow_up::is_invoice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::account::{Account, Checkout, Contract, Product, Wpg};
    use crate::core::message::Scheme;
    use serde_json::{Value, json};

    fn accounts() -> Accounts {
        let wpg = Contract::Wpg(Wpg {
            merchant_account_ids: vec!["m".into()],
            resolver_category: None,
            scheme: None,
            siblings: Vec::new(),
        });
        let checkout = Contract::Checkout(Checkout {
            product: Product::Page,
            customer_id: "D1".into(),
            shop_id: None,
            algorithm: Scheme::HmacSha512,
            own_id_parameter: "own".into(),
            can_ask: true,
        });
        [("shop-eu", wpg), ("shop-at", checkout)]
            .into_iter()
            .map(|(name, contract)| {
                let name = MerchantName::new(name).expect("a name");
                (name.clone(), Account { name, time_zone: "UTC".into(), contract })
            })
            .collect()
    }

    fn good() -> Value {
        json!({"merchant":"shop-eu","request_id":"r-1","order_number":"o-1","transaction_type":"debit",
            "amount":"12.50","currency":"EUR","payment_method":"sofortbanking","parent_transaction_id":null,
            "gateway_order_number":null,"submitted_at":null,"periodic":null,"basket":null,"custom_fields":null,
            "resolver_category":null,"captures_due":null})
    }

    fn with(changes: Value) -> Result<Submission, Refusal> {
        let mut body = good();
        for (key, value) in changes.as_object().expect("an object") {
            body[key] = value.clone();
        }
        submission(body.to_string().as_bytes(), &accounts())
    }

    #[test]
    fn the_interfaces_own_example_is_taken() {
        let read = with(json!({})).expect("taken");
        assert_eq!(read.amount.to_string(), "12.50 EUR");
        let least = json!({"merchant":"shop-at","request_id":"r","amount":"0","currency":"EUR"});
        assert!(submission(least.to_string().as_bytes(), &accounts()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let long = "x".repeat(151);
        for (changes, field) in [
            (json!({"merchant": "shop-xx"}), "merchant"),
            (json!({"request_id": long}), "request_id"),
            (json!({"request_id": "a\u{1}b"}), "request_id"),
            (json!({"request_id": "ab\n"}), "request_id"),
            (json!({"request_id": ""}), "request_id"),
            (json!({"request_id": null}), "request_id"),
            (json!({"request_id": 7}), "request_id"),
            (json!({"transaction_type": null}), "transaction_type"),
            (json!({"amount": 12.5}), "amount"),
            (json!({"amount": 12}), "amount"),
            (json!({"amount": "12.505"}), "amount"),
            (json!({"amount": "1e3"}), "amount"),
            (json!({"amount": "-1.00"}), "amount"),
            (json!({"amount": "1.5", "currency": "JPY"}), "amount"),
            (json!({"currency": "XXQ"}), "currency"),
            (json!({"currency": null}), "currency"),
            (json!({"captures_due": "tomorrow"}), "captures_due"),
            (json!({"basket": [{"quantity": 1}]}), "basket"),
            (json!({"custom_fields": ["a"]}), "custom_fields"),
            (json!({"gateway_order_number": "123"}), "gateway_order_number"),
            (json!({"order_numbr": "1"}), "order_numbr"),
        ] {
            let refused = with(changes.clone()).expect_err(&changes.to_string());
            assert_eq!(refused.field.as_deref(), Some(field), "{refused:?}");
        }
        let unknown = with(json!({"order_numbr": "1"})).expect_err("refused");
        assert_eq!(unknown.hint.as_deref(), Some("did you mean `order_number`?"));
    }

    #[test]
    fn amounts_may_be_spelt_long_or_zero_and_negative_only_as_credit_of_an_invoice() {
        assert_eq!(with(json!({"amount": "12.500"})).expect("taken").amount.to_string(), "12.50 EUR");
        assert!(with(json!({"amount": "0"})).is_ok());
        let credit = |method| json!({"amount": "-3", "transaction_type": "credit", "payment_method": method});
        assert!(with(credit("ratepay-invoice")).is_ok());
        assert!(with(credit("payolution-inv")).is_ok());
        assert!(with(credit("payolution-b2b")).is_ok());
        assert!(with(credit("creditcard")).is_err());
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let body = br#"{"merchant":"shop-eu","amount":"1","amount":"2"}"#;
        assert_eq!(submission(body, &accounts()).expect_err("refused").field.as_deref(), Some("amount"));
        for body in ["", "[]", "{", "\"x\"", "{} {}"] {
            assert!(submission(body.as_bytes(), &accounts()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_response_says_answered_not_sent_or_unknown() {
        let read = |body: Value| response(body.to_string().as_bytes(), &accounts()).map(|r| r.what);
        let base = |status: Value, body: Value, outcome: Value| json!({"merchant":"shop-eu","request_id":"r","http_status":status,"body":body,"outcome":outcome});
        let answered = ResponseWhat::Answered { http_status: 201, body: "<x/>".into() };
        assert_eq!(read(json!({"merchant":"shop-eu","request_id":"r","http_status":201,"body":"<x/>"})), Ok(answered));
        assert_eq!(read(base(Value::Null, Value::Null, json!("not_sent"))), Ok(ResponseWhat::NotSent));
        assert_eq!(read(base(Value::Null, Value::Null, json!("unknown"))), Ok(ResponseWhat::OutcomeUnknown));
        for (body, field) in [
            (base(Value::Null, Value::Null, Value::Null), "http_status"),
            (base(json!(200), Value::Null, Value::Null), "body"),
            (base(json!(99), json!(""), Value::Null), "http_status"),
            (base(json!(200), Value::Null, json!("not_sent")), "http_status"),
            (base(Value::Null, Value::Null, json!("lost")), "outcome"),
        ] {
            assert_eq!(read(body).expect_err("refused").field.as_deref(), Some(field));
        }
    }
}
