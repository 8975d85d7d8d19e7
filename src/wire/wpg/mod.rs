//! The `wpg` dialect: Wirecard Payment Gateway and its heir Getnet Europe.
//!
//! [`decode`] reads everything the gateway pushes or answers: XML, JSON, NVP, json-signed and the
//! WPP v2 redirect body, each plain or wrapped in Base64 once. What a body is, is told by the body:
//! Content-Type is wrong too often to be asked (fact sheet wpg b.2). [`retrieve`] asks the gateway,
//! [`request`] reads what a shop sends to it, [`encode`] writes what the gateway would have written, for the sandbox
//! and for tests. [`operations`] writes the requests that move money, for the command an operator types; the daemon uses
//! none.
//!
//! All of it is pure, bounded and linear in the input; nothing here panics on any input.

mod xml;
mod value;
mod json;
mod form;
pub mod signature;
mod pin;
mod payment_xml;
mod payment_json;
mod canonical;
mod dsig;
mod borders;
mod nvp;
mod json_signed;
pub mod retrieve;
mod seal;
pub mod encode;
pub mod request;
pub mod operations;
mod outcome;

pub use form::PAIRS_MAX;
pub use outcome::outcome;
pub use pin::{NotAPin, pin_from_pem};
pub use seal::{NotASigningKey, SigningKey};
pub use xml::{ATTRIBUTES_MAX, DEPTH_MAX, ELEMENTS_MAX, NAMESPACES_MAX};

use form::{Form, Plus};
use memchr::memmem;

use crate::core::message::{Authenticity, Dialect, Format, Message, Transaction};
use crate::wire::keys::Key;
use crate::words::money::StatedAmount;

/// Longest body we read, in bytes. The shell caps earlier; this holds for whoever calls without one.
pub const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Most payments of one list. A group or request-id has a handful; this bounds memory, not shops.
pub const PAYMENTS_MAX: usize = 10_000;

/// Why no message could be built from a body: what, and where. One line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    pub(super) fn new(what: String) -> Unreadable {
        Unreadable(what)
    }
}

/// What a format's reader found, before anybody asks who sent it.
#[derive(Default)]
struct Reading {
    transactions: Vec<Transaction>,
    /// What makes the message ambiguous in itself; it refutes.
    flaw: Option<String>,
}

impl Reading {
    /// Adds a payment, up to the limit.
    fn push(&mut self, transaction: Transaction) -> Result<(), Unreadable> {
        if self.transactions.len() >= PAYMENTS_MAX {
            return Err(Unreadable::new(format!("list: more than {PAYMENTS_MAX} payments")));
        }
        self.transactions.push(transaction);
        Ok(())
    }

    /// The first flaw is the one that is told.
    fn flaw(&mut self, what: String) {
        self.flaw.get_or_insert(what);
    }

    /// An amount that nobody can read is a flaw.
    fn amount(&mut self, read: Result<Option<StatedAmount>, String>) -> Option<StatedAmount> {
        read.unwrap_or_else(|what| {
            self.flaw(what);
            None
        })
    }
}

/// Reads one message as it came over the wire and judges it with `key`.
///
/// Without a key, or without a secret (XML: a pin) in it, nothing is verified: the verdict is
/// `unverifiable`, or `refuted` where the message rules itself out. An `Err` means that no message
/// can be built at all; it says what and where.
pub fn decode(body: &[u8], key: Option<&Key>) -> Result<Message, Unreadable> {
    if body.len() > BODY_MAX_BYTES {
        return Err(Unreadable::new(format!("body: {} bytes are more than {BODY_MAX_BYTES}", body.len())));
    }
    match sniff(body) {
        Some(Shape::Nvp) => {
            if let Some((wrapped, shape)) = beside_nvp(body)?
                && let Ok(message) = read(&wrapped, shape, key)
            {
                return Ok(message);
            }
            return read(body, Shape::Nvp, key);
        }
        Some(shape) => return read(body, shape, key),
        None => {}
    }
    if body.trim_ascii().is_empty() {
        return Err(Unreadable::new("body: empty".to_owned()));
    }
    if let Some(wrapped) = redirect_field(body)? {
        return read_wrapped(&wrapped, key);
    }
    let is_standard = |b: &u8| b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || matches!(b, b'+' | b'/' | b'=');
    if !body.iter().all(is_standard) {
        return Err(Unreadable::new("body: neither XML, JSON, NVP, json-signed nor Base64 of one".to_owned()));
    }
    read_wrapped(body, key)
}

/// Whether a body says by its own first bytes or names that it is of this dialect.
pub fn is_message(body: &[u8]) -> bool {
    sniff(body).is_some() || redirect_field(body).is_ok_and(|wrapped| wrapped.is_some())
}

/// Whether a form carries a signature of this dialect, good or bad.
pub fn is_signed(body: &[u8]) -> bool {
    let names = ["response_signature_v2", "response_signature", "response-base64"];
    Form::read(body, Plus::IsPlus).is_ok_and(|form| names.iter().any(|name| !form.bytes(name).is_empty()))
}

/// Names under which a payer's browser posts a whole Base64 document to the shop's redirect URL, in the order in which
/// the gateway's own client looks for them (fact sheet wpg b.2).
const REDIRECT_FIELDS: [&str; 3] = ["sync_response", "base64payload", "eppresponse"];

/// The one such document of a form, as Base64 text.
fn redirect_field(body: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
    if !body.contains(&b'=') {
        return Ok(None);
    }
    let form = Form::read(body, Plus::IsPlus)?;
    let found = REDIRECT_FIELDS.iter().map(|name| form.bytes(name)).find(|wrapped| !wrapped.is_empty());
    Ok(found.map(<[u8]>::to_vec))
}

/// The document that stands among NVP names, if it can be read at all. Names that are signed are the message themselves.
fn beside_nvp(body: &[u8]) -> Result<Option<(Vec<u8>, Shape)>, Unreadable> {
    // Nearly no message has one, and none need be read twice to know.
    if !REDIRECT_FIELDS.iter().any(|name| memmem::find(body, name.as_bytes()).is_some()) {
        return Ok(None);
    }
    let form = Form::read(body, Plus::IsPlus)?;
    let is_signed = ["response_signature_v2", "response_signature"].iter().any(|name| !form.bytes(name).is_empty());
    if is_signed {
        return Ok(None);
    }
    let wrapped = redirect_field(body)?.and_then(|wrapped| signature::base64(&wrapped));
    Ok(wrapped.and_then(|inner| sniff(&inner).map(|shape| (inner, shape))))
}

/// Unwraps Base64 once and reads what is inside.
fn read_wrapped(body: &[u8], key: Option<&Key>) -> Result<Message, Unreadable> {
    let Some(inner) = signature::base64(body) else {
        return Err(Unreadable::new("body: neither XML, JSON, NVP, json-signed nor Base64 of one".to_owned()));
    };
    let Some(sniffed) = sniff(&inner) else {
        return Err(Unreadable::new("body: Base64 of neither XML, JSON, NVP nor json-signed".to_owned()));
    };
    read(&inner, sniffed, key)
}

/// A body without the mark and the blanks that some senders put before it.
fn bare(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start()
}

/// How a body must be read.
#[derive(Clone, Copy)]
enum Shape {
    Xml,
    Json,
    JsonSigned,
    Nvp,
}

/// What the first bytes and names say a body is.
fn sniff(body: &[u8]) -> Option<Shape> {
    let bare = bare(body);
    match bare.first()? {
        b'<' => return Some(Shape::Xml),
        b'{' => return Some(Shape::Json),
        _ => {}
    }
    let mut is_nvp = false;
    for pair in bare.split(|b| *b == b'&') {
        let name = pair.split(|b| *b == b'=').next().filter(|name| name.len() < pair.len());
        match name.map(<[u8]>::trim_ascii_start) {
            Some(b"response-base64") => return Some(Shape::JsonSigned),
            Some(name) => is_nvp |= nvp::KNOWN_NAMES.iter().any(|known| known.as_bytes() == name),
            None => {}
        }
    }
    is_nvp.then_some(Shape::Nvp)
}

fn read(body: &[u8], shape: Shape, key: Option<&Key>) -> Result<Message, Unreadable> {
    // An empty secret would let everybody sign.
    let secret = key.map(Key::secret_bytes).filter(|secret| !secret.is_empty());
    match shape {
        Shape::Xml => {
            let text = xml::decode_text(body)?;
            let document = xml::read(&text)?;
            let reading = payment_xml::read(&document)?;
            let pins = key.map(|key| key.pins.as_slice()).unwrap_or_default();
            let verdict = dsig::authenticity(&document, || payment_xml::covers(&document), pins);
            Ok(message(Format::Xml, reading, verdict))
        }
        Shape::Json => {
            let document = read_json(body)?;
            if json_signed::is_envelope(&document) {
                return json_signed::read_envelope(&document, secret);
            }
            let reading = payment_json::read(&document)?;
            let reason = Some("not signed".to_owned());
            Ok(message(Format::Json, reading, Authenticity::Unverifiable { scheme: None, reason }))
        }
        Shape::JsonSigned => json_signed::read(bare(body), secret),
        Shape::Nvp => {
            let form = Form::read(bare(body), Plus::IsBlank)?;
            let verdict = nvp::authenticity(&form, secret);
            Ok(message(Format::Nvp, nvp::read(&form), verdict))
        }
    }
}

fn read_json(body: &[u8]) -> Result<json::Document<'_>, Unreadable> {
    let text = std::str::from_utf8(bare(body))
        .map_err(|error| Unreadable::new(format!("json: not valid UTF-8 at byte {}", error.valid_up_to())))?;
    json::read(text)
}

/// A flaw in the message itself wins over every signature.
fn message(format: Format, reading: Reading, verdict: Authenticity) -> Message {
    let authenticity = match reading.flaw {
        Some(reason) => Authenticity::Refuted { scheme: verdict.scheme(), reason },
        None => verdict,
    };
    Message {
        dialect: Dialect::Wpg,
        format,
        authenticity,
        transactions: reading.transactions,
        payment_state: None,
        gateway_order_number: None,
        custom: Default::default(),
        unverified: Default::default(),
        error_code: None,
    }
}
