//! `application/json-signed` notifications and the WPP v2 redirect body:
//! `response-signature-base64=…&response-signature-algorithm=HmacSHA256&response-base64=…`
//! (fact sheet wpg b.4, wpg-signatures 3).
//!
//! The HMAC is over the Base64 text, and the body is split by hand: an ordinary form parser turns the
//! `+` of raw Base64 into a space. The whole JSON is covered. The algorithm is ours, never the sender's.

use super::form::{Form, Plus};
use super::signature::{base64, json_signed_verifies};
use super::{Reading, Unreadable, message, payment_json, read_json, xml};
use crate::core::message::{Authenticity, Format, Message, Scheme};

pub(super) fn read(body: &[u8], secret: Option<&[u8]>) -> Result<Message, Unreadable> {
    let form = Form::read(body, Plus::IsPlus)?;
    if let Some(twin) = form.twin() {
        // Nothing is read from a body that says two things, not even as a hint.
        let reason = format!("the name `{}` comes twice", xml::shown(&twin));
        let verdict = Authenticity::Refuted { scheme: scheme(&form), reason };
        return Ok(message(Format::JsonSigned, Reading::default(), verdict));
    }
    let inner = base64(form.bytes("response-base64"))
        .ok_or_else(|| Unreadable::new("json-signed: `response-base64` is not Base64".to_owned()))?;
    let document = read_json(&inner)?;
    let reading = payment_json::read(&document)?;
    let verdict = authenticity(&form, secret, || payment_json::covers(&document));
    Ok(message(Format::JsonSigned, reading, verdict))
}

fn scheme(form: &Form) -> Option<Scheme> {
    (!form.bytes("response-signature-base64").is_empty()).then_some(Scheme::JsonSigned)
}

fn authenticity(form: &Form, secret: Option<&[u8]>, covers: impl FnOnce() -> Vec<String>) -> Authenticity {
    let scheme = scheme(form);
    let unverifiable = |reason: &str| Authenticity::Unverifiable { scheme, reason: Some(reason.to_owned()) };
    let refuted = |reason: &str| Authenticity::Refuted { scheme, reason: reason.to_owned() };
    let Some(scheme) = scheme else { return unverifiable("not signed") };
    let Some(secret) = secret else { return unverifiable("no secret to check with") };
    if form.bytes("response-signature-algorithm") != b"HmacSHA256" {
        return refuted("response-signature-algorithm is not HmacSHA256");
    }
    let signature = form.bytes("response-signature-base64");
    if !json_signed_verifies(form.bytes("response-base64"), signature, secret) {
        return refuted("response-signature-base64 is not made with this account's secret");
    }
    Authenticity::Verified { scheme, covers: covers() }
}
