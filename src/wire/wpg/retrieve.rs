//! Asking the gateway about a payment: GETs below `/engine/rest/`, and what their answers mean
//! (fact sheet wpg a.2 to a.6). Nothing in here can move money.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::signature::hex;
use crate::core::look::{Answer, Outcome, Query};
use crate::core::message::{Authenticity, Transaction};

/// Everything but letters, digits, `-`, `_`, `.` and `~` is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One GET, ready but for Basic authentication, which the shell adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub url: String,
    /// Without an `Accept` of its own the gateway may answer a page for people.
    pub accept: &'static str,
}

/// Why a question cannot be asked of this gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAskable {
    #[error("base URL `{0}` does not begin with https:// or http://, or holds `?`, `#` or `@`")]
    BaseUrl(String),
    #[error("the {0} is empty, `.` or `..`, which would change the path asked for")]
    Segment(&'static str),
    #[error("getOrderDetails is a question for the checkout dialect")]
    OtherDialect,
}

/// The request that asks `query` below `base_url`, which may carry a path prefix.
///
/// Ids are percent-encoded, and those that mean another folder are refused, so that no id can change
/// host, path or query of the URL.
pub fn request(base_url: &str, query: &Query) -> Result<Request, NotAskable> {
    let base = base_url.trim_end_matches('/');
    let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', '@', '\\']) || rest.starts_with('/')) {
        return Err(NotAskable::BaseUrl(base_url.to_owned()));
    }
    let value = |id: &str| utf8_percent_encode(id, ENCODED).to_string();
    let merchant = |id: &str| segment(id, "merchant account id");
    let path = match query {
        Query::RequestId { merchant_account_id, request_id } => {
            format!("merchants/{}/payments/?request_id={}", merchant(merchant_account_id)?, value(request_id.as_str()))
        }
        Query::Search { merchant_account_id, request_id } => format!(
            "merchants/{}/payments/search?payment.request-id={}",
            merchant(merchant_account_id)?,
            value(request_id.as_str())
        ),
        Query::TransactionId { merchant_account_id, transaction_id } => format!(
            "merchants/{}/payments/{}",
            merchant(merchant_account_id)?,
            segment(transaction_id.as_str(), "transaction-id")?
        ),
        Query::Group { merchant_account_id, root } => format!(
            "merchants/{}/payments/?group_transaction_id={}",
            merchant(merchant_account_id)?,
            value(root.as_str())
        ),
        Query::Category { category, request_id } => format!(
            "resolver-category/{}/payments/?request_id={}",
            segment(category, "resolver category")?,
            value(request_id.as_str())
        ),
        Query::OrderDetails { .. } => return Err(NotAskable::OtherDialect),
    };
    Ok(Request { url: format!("{base}/engine/rest/{path}"), accept: "application/xml" })
}

/// One path segment. `.` and `..` are folders even when percent-encoded, so they are refused.
fn segment(id: &str, what: &'static str) -> Result<String, NotAskable> {
    let id = id.trim();
    if matches!(id, "" | "." | "..") {
        return Err(NotAskable::Segment(what));
    }
    Ok(utf8_percent_encode(id, ENCODED).to_string())
}

/// What an answer means. Its transactions are reported as they are, ours or not: the engine checks
/// identity. `retry_after` is left to the shell, which sees the header.
///
/// | answer | outcome |
/// |---|---|
/// | 200 with transactions | `Found` |
/// | 200 with an empty list; 404, whatever its body | `NotFound` |
/// | 401, 403; a body with status 401.1166 or 403.1166 | `Refused` |
/// | 200 that is empty, a page, unreadable or ambiguous; any other HTTP status | `Unavailable` |
pub fn answer(query: &Query, http_status: u16, content_type: Option<&str>, body: &[u8]) -> Answer {
    let (outcome, transactions) = match http_status {
        200 => found(content_type, body),
        404 => (Outcome::NotFound, Vec::new()),
        401 | 403 => {
            (Outcome::Refused { why: format!("http {http_status}: check user, password and rights") }, Vec::new())
        }
        _ => unavailable(format!("http {http_status}")),
    };
    let digest = (!body.is_empty()).then(|| hex(&Sha256::digest(body)));
    Answer { query: query.clone(), outcome, transactions, digest }
}

fn unavailable(why: String) -> (Outcome, Vec<Transaction>) {
    (Outcome::Unavailable { why, retry_after: None }, Vec::new())
}

fn found(content_type: Option<&str>, body: &[u8]) -> (Outcome, Vec<Transaction>) {
    if body.trim_ascii().is_empty() {
        return unavailable("http 200 with an empty body".to_owned());
    }
    if is_page(content_type, body) {
        return unavailable("http 200 with an HTML page".to_owned());
    }
    let message = match super::decode(body, None) {
        Ok(message) => message,
        Err(unreadable) => return unavailable(unreadable.to_string()),
    };
    if let Authenticity::Refuted { reason, .. } = message.authenticity {
        return unavailable(format!("an answer that cannot be taken at its word: {reason}"));
    }
    let codes = || message.transactions.iter().flat_map(|t| &t.statuses).map(|s| s.code.as_str());
    if let Some(code) = codes().find(|code| matches!(*code, "401.1166" | "403.1166")) {
        return (Outcome::Refused { why: format!("status {code}: check user, password and rights") }, Vec::new());
    }
    if message.transactions.is_empty() {
        return (Outcome::NotFound, Vec::new());
    }
    if message.transactions.iter().any(|t| t.transaction_id.is_none() && t.transaction_state.is_none()) {
        return unavailable("an answer whose transaction has neither id nor state".to_owned());
    }
    (Outcome::Found, message.transactions)
}

fn is_page(content_type: Option<&str>, body: &[u8]) -> bool {
    let has_prefix =
        |text: &[u8], prefix: &[u8]| text.get(..prefix.len()).is_some_and(|t| t.eq_ignore_ascii_case(prefix));
    let claims_html = content_type.is_some_and(|kind| has_prefix(kind.trim_start().as_bytes(), b"text/html"));
    let start = body.trim_ascii_start();
    claims_html || has_prefix(start, b"<!doctype html") || has_prefix(start, b"<html")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::id::{RequestId, TransactionId};

    const BASE: &str = "https://api-test.example/prefix/";

    fn list(request_id: &str) -> Query {
        let request_id = RequestId::new(request_id).expect("a request-id");
        Query::RequestId { merchant_account_id: "maid-1".to_owned(), request_id }
    }

    fn by_id(id: &str) -> Query {
        let transaction_id = TransactionId::new(id).expect("a transaction-id");
        Query::TransactionId { merchant_account_id: "maid-1".to_owned(), transaction_id }
    }

    #[test]
    fn each_form_has_its_path_below_the_base() {
        let request_id = RequestId::new("r-1").expect("a request-id");
        let root = TransactionId::new("t-1").expect("a transaction-id");
        let maid = "maid-1".to_owned();
        for (query, path) in [
            (list("r-1"), "merchants/maid-1/payments/?request_id=r-1"),
            (
                Query::Search { merchant_account_id: maid.clone(), request_id: request_id.clone() },
                "merchants/maid-1/payments/search?payment.request-id=r-1",
            ),
            (by_id("t-1"), "merchants/maid-1/payments/t-1"),
            (Query::Group { merchant_account_id: maid, root }, "merchants/maid-1/payments/?group_transaction_id=t-1"),
            (
                Query::Category { category: "shop eu".to_owned(), request_id },
                "resolver-category/shop%20eu/payments/?request_id=r-1",
            ),
        ] {
            let url = request(BASE, &query).expect("a request").url;
            assert_eq!(url, format!("https://api-test.example/prefix/engine/rest/{path}"));
        }
    }

    #[test]
    fn no_id_changes_host_path_or_query() {
        for (id, encoded) in [
            ("../../credit", "..%2F..%2Fcredit"),
            ("a?b=c", "a%3Fb%3Dc"),
            ("a#b", "a%23b"),
            ("%2e%2e", "%252e%252e"),
            ("a;deposit:2", "a%3Bdeposit%3A2"),
            ("a&request_id=b", "a%26request_id%3Db"),
            ("a\\b", "a%5Cb"),
            ("a+b c", "a%2Bb%20c"),
            ("ü", "%C3%BC"),
            ("//evil.example", "%2F%2Fevil.example"),
            ("@evil.example", "%40evil.example"),
        ] {
            let prefix = "https://api-test.example/prefix/engine/rest/merchants/maid-1/payments/";
            assert_eq!(request(BASE, &list(id)).expect(id).url, format!("{prefix}?request_id={encoded}"));
            assert_eq!(request(BASE, &by_id(id)).expect(id).url, format!("{prefix}{encoded}"));
        }
        for id in [".", ".."] {
            assert_eq!(request(BASE, &by_id(id)), Err(NotAskable::Segment("transaction-id")));
        }
        for base in ["", "ftp://x", "https://", "https://a@b", "https://a/?x=", "https://a#b", "https:///x"] {
            assert!(matches!(request(base, &list("r")), Err(NotAskable::BaseUrl(_))), "{base}");
        }
    }

    #[test]
    fn an_answer_says_found_only_when_it_is() {
        let payment =
            "<payment><transaction-id>t</transaction-id><transaction-state>success</transaction-state></payment>";
        let denied = "<payment><statuses><status code='403.1166' severity='error'/></statuses></payment>";
        let two_states = "<payment><transaction-state>failed</transaction-state><transaction-state>success</transaction-state></payment>";
        for (status, kind, body, expected) in [
            (200, None, payment, "found 1"),
            (200, Some("application/xml;charset=UTF-8"), payment, "found 1"),
            (200, None, &format!("<payments>{payment}{payment}</payments>"), "found 2"),
            (200, None, r#"{"payment":{"transaction-id":"t","transaction-state":"failed"}}"#, "found 1"),
            (200, None, "<payments/>", "not found"),
            (200, None, r#"{"payments":{"payment":[]}}"#, "not found"),
            (200, None, "", "unavailable"),
            (200, None, " \r\n", "unavailable"),
            (200, Some("text/html"), payment, "unavailable"),
            (200, None, "<!DOCTYPE HTML><html/>", "unavailable"),
            (200, None, "<HTML>x", "unavailable"),
            (200, None, "<payment>", "unavailable"),
            (200, None, "<payment/>", "unavailable"),
            (200, None, two_states, "unavailable"),
            (200, None, "oops", "unavailable"),
            (200, None, denied, "refused"),
            (404, None, "<html>", "not found"),
            (401, None, "", "refused"),
            (403, None, "", "refused"),
            (201, None, payment, "unavailable"),
            (302, None, payment, "unavailable"),
            (400, None, "", "unavailable"),
            (409, None, payment, "unavailable"),
            (429, None, "", "unavailable"),
            (500, None, "", "unavailable"),
            (503, None, payment, "unavailable"),
        ] {
            let answer = answer(&list("r"), status, kind, body.as_bytes());
            let said = match &answer.outcome {
                Outcome::Found => format!("found {}", answer.transactions.len()),
                Outcome::NotFound => "not found".to_owned(),
                Outcome::Unavailable { .. } => "unavailable".to_owned(),
                Outcome::Refused { .. } => "refused".to_owned(),
            };
            assert_eq!(said, expected, "{status} {kind:?} {body}: {answer:?}");
            assert!(answer.outcome == Outcome::Found || answer.transactions.is_empty());
            assert_eq!(answer.digest.is_some(), !body.is_empty());
        }
    }

    #[test]
    fn a_stranger_s_transaction_is_reported_as_it_is() {
        let body = b"<payment><request-id>another</request-id><transaction-id>t</transaction-id></payment>";
        let answer = answer(&list("ours"), 200, None, body);
        assert_eq!(answer.transactions[0].request_id.as_deref(), Some("another"));
    }
}
