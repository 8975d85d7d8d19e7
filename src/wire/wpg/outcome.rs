//! What the answer to a request that moves money says (fact sheet wpg a.5, c.1, e): done, refused, or nothing that
//! could be relied on. A request is never repeated on what this says: it only tells what is known already.

use super::decode;
use crate::core::message::{Authenticity, Transaction};
use crate::core::operation::Outcome;
use crate::core::status_code::Class;

/// Reads the answer. Whatever leaves a doubt is unknown: the gateway is asked then.
///
/// | answer | outcome |
/// |---|---|
/// | 2xx with `success` | executed |
/// | 2xx with `failed`, by codes that decide | refused |
/// | 2xx with `in-progress`, a silent provider, a request-id used before, anything unreadable | unknown |
/// | 400, 401, 403, 404, 405, 415 without a payment in them | refused |
/// | the same with a payment | as with 2xx, but for `success`: unknown |
/// | 409, 5xx, any other | unknown |
pub fn outcome(http_status: u16, body: &[u8]) -> Outcome {
    let transaction = match decode(body, None) {
        Ok(message) if !matches!(message.authenticity, Authenticity::Refuted { .. }) => {
            message.transactions.into_iter().next()
        }
        Ok(_) | Err(_) => None,
    };
    let unknown = |why: String| Outcome::Unknown { why };
    match (http_status, transaction) {
        (200..=299, Some(transaction)) => of_transaction(&transaction),
        (200..=299, None) => unknown(format!("HTTP {http_status} with a body that can't be read")),
        (400 | 401 | 403 | 404 | 405 | 415, None) => Outcome::Refused { why: format!("HTTP {http_status}") },
        (400 | 401 | 403 | 404 | 405 | 415, Some(transaction)) => match of_transaction(&transaction) {
            Outcome::Executed { how } => unknown(format!("HTTP {http_status}, and yet {how}")),
            outcome => outcome,
        },
        (other, _) => unknown(format!("HTTP {other}")),
    }
}

fn of_transaction(transaction: &Transaction) -> Outcome {
    let id = transaction.transaction_id.as_deref().unwrap_or("without id");
    let codes = codes(transaction);
    let unknown = |why: String| Outcome::Unknown { why };
    match transaction.transaction_state.as_deref() {
        Some("success") if transaction.transaction_type.as_deref() == Some("refund-request") => {
            unknown(format!("the refund was taken as a request: transaction {id}{codes}"))
        }
        Some("success") => Outcome::Executed { how: format!("the gateway answered success: transaction {id}{codes}") },
        Some("failed") if leaves_doubt(transaction) => {
            unknown(format!("failed by codes that decide nothing: transaction {id}{codes}"))
        }
        Some("failed") => Outcome::Refused { why: format!("the gateway answered failed: transaction {id}{codes}") },
        Some(state) => unknown(format!("transaction {id} is {state}{codes}")),
        None => unknown(format!("an answer without a state{codes}")),
    }
}

/// Codes that say that a provider was silent, or that an earlier request of the same id arrived.
fn leaves_doubt(transaction: &Transaction) -> bool {
    use Class::{AlreadyProcessed, Ambiguous, DuplicateRequest, Pending, RetryableTechnical, SepaFileStep};
    let doubtful = [Ambiguous, AlreadyProcessed, DuplicateRequest, Pending, RetryableTechnical, SepaFileStep].map(Some);
    let mut classes = transaction.statuses.iter().map(|status| status.class());
    transaction.statuses.is_empty() || classes.any(|class| class.is_none() || doubtful.contains(&class))
}

fn codes(transaction: &Transaction) -> String {
    let codes: Vec<&str> = transaction.statuses.iter().map(|s| s.code.as_str()).filter(|c| c.len() <= 32).collect();
    if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: &str, code: &str) -> String {
        format!(
            "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><transaction-id>t</transaction-id>\
             <transaction-type>capture-authorization</transaction-type><transaction-state>{state}</transaction-state>\
             <statuses><status code=\"{code}\" severity=\"error\"/></statuses></payment>"
        )
    }

    #[test]
    fn only_what_decides_is_an_outcome() {
        for (status, state, code, expected) in [
            (201, "success", "201.0000", "executed"),
            (200, "success", "500.1999", "executed"),
            (201, "failed", "400.1027", "refused"),
            (201, "failed", "400.1018", "unknown"),
            (201, "failed", "500.1051", "unknown"),
            (201, "failed", "999.1234", "unknown"),
            (201, "in-progress", "100.0000", "unknown"),
            (201, "levitating", "201.0000", "unknown"),
            (401, "failed", "401.1166", "refused"),
            (403, "failed", "403.1166", "refused"),
            (400, "success", "201.0000", "unknown"),
            (400, "in-progress", "100.0000", "unknown"),
            (400, "failed", "400.1018", "unknown"),
            (400, "failed", "400.1027", "refused"),
            (409, "failed", "409.2015", "unknown"),
            (500, "failed", "400.1027", "unknown"),
            (302, "success", "201.0000", "unknown"),
        ] {
            let said = outcome(status, answer(state, code).as_bytes());
            assert_eq!(said.name(), expected, "{status} {state} {code}: {}", said.text());
        }
    }

    #[test]
    fn what_cannot_be_read_decides_nothing_unless_the_request_was_not_let_in() {
        for (status, body, expected) in [
            (201, "", "unknown"),
            (200, "<html>busy</html>", "unknown"),
            (200, "<payment", "unknown"),
            (502, "<html>bad gateway</html>", "unknown"),
            (400, "cannot parse", "refused"),
            (401, "", "refused"),
        ] {
            assert_eq!(outcome(status, body.as_bytes()).name(), expected, "{status} {body}");
        }
    }
}
