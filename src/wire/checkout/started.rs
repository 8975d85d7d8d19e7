//! What Checkout Seamless answers to the request that starts a payment or a data storage, read for people.
//!
//! ```text
//! redirectUrl=https%3A%2F%2F…                                     the payment may go on there
//! storageId=b27…&javascriptUrl=https%3A%2F%2F…                    a data storage; a reading of it names the storage alone
//! error.1.errorCode=11051&error.1.message=…&errors=1              refused: parameters by their codes
//! ```
//!
//! Unlike replies of the back end they have no `status`, and like them no signature. (Captured answers of the gateway.)

use std::collections::BTreeMap;

use super::backend::error_codes;
use super::confirm::LIMITS;
use super::fingerprint::REQUEST_FINGERPRINT;
use crate::core::message::{Authenticity, Dialect, Format, Message};
use crate::wire::form::{Charset, Form, NotAForm, shown};

/// Names that one of the answers has.
const ANSWERS: [&str; 3] = ["redirectUrl", "storageId", "javascriptUrl"];
/// Names that other messages have: replies of the back end, confirmations, and the requests themselves.
const OTHERS: [&str; 6] =
    ["status", "paymentState", "responseFingerprint", "responseFingerprintOrder", REQUEST_FINGERPRINT, "customerId"];

/// Whether a form is such an answer.
pub fn is_answer(body: &[u8]) -> bool {
    let Ok(form) = Form::read(body, &LIMITS, Charset::Utf8OrLatin1) else { return false };
    let has = |name: &&str| form.get(name).is_some();
    !OTHERS.iter().any(has) && (ANSWERS.iter().any(has) || !error_codes(&form).is_empty())
}

/// Reads such an answer: it speaks of no transaction, and nothing but its connection vouches for it. Its fields are
/// shown as they are; one that is ambiguous as a form is refuted, as every form is.
///
/// # Errors
/// Where the body is no form at all.
pub fn decode(body: &[u8]) -> Result<Message, NotAForm> {
    let form = Form::read(body, &LIMITS, Charset::Utf8OrLatin1)?;
    let unsigned = || "answers are unsigned: only the connection they came over vouches for them".to_owned();
    Ok(Message {
        dialect: Dialect::Checkout,
        format: Format::Form,
        authenticity: match form.flaw() {
            Some(flaw) => Authenticity::Refuted { scheme: None, reason: flaw.to_string() },
            None => Authenticity::Unverifiable { scheme: None, reason: Some(unsigned()) },
        },
        transactions: Vec::new(),
        payment_state: None,
        gateway_order_number: None,
        custom: BTreeMap::new(),
        unverified: form.fields().iter().map(|(name, value)| (shown(name), shown(value))).collect(),
        error_code: error_codes(&form).first().map(|code| shown(code)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::account::Product;
    use crate::wire::checkout::encode;

    #[test]
    fn the_answers_to_a_start_are_told_from_every_other_message() {
        for (body, expected) in [
            ("redirectUrl=https%3A%2F%2Fpay.example%2F%3FSID%3D1", true),
            ("storageId=b27&javascriptUrl=https%3A%2F%2Fpay.example%2FdataStorage.js", true),
            ("storageId=b27&paymentInformations=0", true),
            ("errors=1&error.1.errorCode=11051&error.1.message=x&error.1.consumerMessage=x", true),
            ("error.1.errorCode=11051&error.1.message=x", true),
            ("errorCode=11051&message=x", true),
            // A reply of the back end, confirmations, requests.
            ("status=1&errors=1&error.1.errorCode=11051", false),
            ("paymentState=FAILURE&errors=1&error.1.errorCode=99996", false),
            ("responseFingerprint=ab&errors=1&error.1.errorCode=99996", false),
            ("customerId=D299999&storageId=b27&requestFingerprint=ab", false),
            ("amount=1&own=r-1", false),
            ("", false),
            ("{\"redirectUrl\": 1}", false),
            ("<redirectUrl/>", false),
        ] {
            assert_eq!(is_answer(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn an_answer_is_shown_as_it_stands_and_proves_nothing() {
        let started = decode(b"redirectUrl=https%3A%2F%2Fpay.example%2F%3FSID%3D1").expect("an answer");
        assert_eq!(started.authenticity.verdict(), "unverifiable");
        assert_eq!(started.unverified.get("redirectUrl").map(String::as_str), Some("https://pay.example/?SID=1"));
        assert!(started.transactions.is_empty() && started.error_code.is_none() && started.payment_state.is_none());
        let errors = [("11051", "PAYMENTTYPE is missing."), ("11019", "Currency is missing.")];
        let refused = decode(encode::errors_reply(Product::Seamless, None, &errors).as_bytes()).expect("an answer");
        assert_eq!(refused.error_code.as_deref(), Some("11051"));
        assert_eq!(refused.unverified.get("error.2.message").map(String::as_str), Some("Currency is missing."));
        for ambiguous in ["redirectUrl=a&redirectUrl=b", "redirectUrl=a%00", "redirectUrl=a%00&redirectUrl=b"] {
            assert!(decode(ambiguous.as_bytes()).expect("an answer").authenticity.is_refuted(), "{ambiguous}");
        }
    }
}
