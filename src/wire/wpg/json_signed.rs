//! `application/json-signed` notifications and the WPP v2 redirect body:
//! `response-signature-base64=…&response-signature-algorithm=HmacSHA256&response-base64=…`, or the same three as a JSON
//! object, as the payment page hands them to a script (fact sheet wpg b.4, wpg-signatures 3).
//!
//! The HMAC is over the Base64 text, and the body is split by hand: an ordinary form parser turns the
//! `+` of raw Base64 into a space. The whole JSON is covered. The algorithm is ours, never the sender's.

use std::borrow::Cow;

use super::form::{Form, Plus};
use super::json::{Document, Json};
use super::signature::{base64, json_signed_verifies};
use super::{Reading, Unreadable, message, payment_json, read_json, xml};
use crate::core::message::{Authenticity, Format, Message, Scheme};

const TEXT: &str = "response-base64";
const SIGNATURE: &str = "response-signature-base64";
const ALGORITHM: &str = "response-signature-algorithm";

/// The three parts of a message; empty where one is missing.
struct Envelope<'e> {
    text: &'e [u8],
    signature: &'e [u8],
    algorithm: &'e [u8],
    /// A name that comes twice.
    twin: Option<Cow<'e, str>>,
}

pub(super) fn read(body: &[u8], secret: Option<&[u8]>) -> Result<Message, Unreadable> {
    let form = Form::read(body, Plus::IsPlus)?;
    let envelope = Envelope {
        text: form.bytes(TEXT),
        signature: form.bytes(SIGNATURE),
        algorithm: form.bytes(ALGORITHM).trim_ascii(),
        twin: form.twin(),
    };
    envelope.read(secret)
}

/// Whether a JSON document is a signed message and no payment.
pub(super) fn is_envelope(document: &Document) -> bool {
    // Also where the name comes twice, which `get` takes for none.
    matches!(&document.value, Json::Object(members) if members.iter().any(|(name, _)| name == TEXT))
}

pub(super) fn read_envelope(document: &Document, secret: Option<&[u8]>) -> Result<Message, Unreadable> {
    let part = |name| document.value.get(name).and_then(Json::scalar).unwrap_or_default().as_bytes();
    let envelope = Envelope {
        text: part(TEXT),
        signature: part(SIGNATURE),
        algorithm: part(ALGORITHM).trim_ascii(),
        twin: document.twin.as_deref().map(Cow::Borrowed),
    };
    envelope.read(secret)
}

impl Envelope<'_> {
    fn read(&self, secret: Option<&[u8]>) -> Result<Message, Unreadable> {
        if let Some(twin) = &self.twin {
            // Nothing is read from a body that says two things, not even as a hint.
            let reason = format!("the name `{}` comes twice", xml::shown(twin));
            let verdict = Authenticity::Refuted { scheme: self.scheme(), reason };
            return Ok(message(Format::JsonSigned, Reading::default(), verdict));
        }
        let inner = base64(self.text)
            .ok_or_else(|| Unreadable::new("json-signed: `response-base64` is not Base64".to_owned()))?;
        let document = read_json(&inner)?;
        let reading = payment_json::read(&document)?;
        let verdict = self.authenticity(secret, || payment_json::covers(&document));
        Ok(message(Format::JsonSigned, reading, verdict))
    }

    fn scheme(&self) -> Option<Scheme> {
        (!self.signature.is_empty()).then_some(Scheme::JsonSigned)
    }

    fn authenticity(&self, secret: Option<&[u8]>, covers: impl FnOnce() -> Vec<String>) -> Authenticity {
        let scheme = self.scheme();
        let unverifiable = |reason: &str| Authenticity::Unverifiable { scheme, reason: Some(reason.to_owned()) };
        let refuted = |reason: &str| Authenticity::Refuted { scheme, reason: reason.to_owned() };
        let Some(scheme) = scheme else { return unverifiable("not signed") };
        let Some(secret) = secret else { return unverifiable("no secret to check with") };
        if self.algorithm != b"HmacSHA256" {
            return refuted("response-signature-algorithm is not HmacSHA256");
        }
        if !self.verifies(secret) {
            return refuted("response-signature-base64 is not made with this account's secret");
        }
        Authenticity::Verified { scheme, covers: covers() }
    }

    /// Over the text as it came; or as it was before somebody folded it into lines, which says the same.
    fn verifies(&self, secret: &[u8]) -> bool {
        let unfolded = || self.text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<u8>>();
        json_signed_verifies(self.text, self.signature, secret)
            || (self.text.iter().any(u8::is_ascii_whitespace)
                && json_signed_verifies(&unfolded(), self.signature, secret))
    }
}
