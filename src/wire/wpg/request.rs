//! The requests a shop sends to the Wirecard Payment Gateway (fact sheet wpg a.1, b.1), read for their facts alone.
//!
//! ```text
//! POST …/rest/payments/            cards and follow-ups            XML, JSON, NVP
//! POST …/rest/paymentmethods/      alternative methods             XML, JSON
//! POST …/rest/multi-payments/      several payments in one         XML
//! POST …/api/payment/register      payment page v2                 JSON
//! POST …/hpp/, …/epp/              payment page v1                 form
//! GET  …/rest/…                    retrieval
//! ```

use super::form::{Form, Plus};
use super::json::{self, Json};
use super::xml::{self, Token};
use super::{BODY_MAX_BYTES, Reading, bare, nvp, payment_json, payment_xml};
use crate::core::message::Transaction;
use crate::wire::facts::{Facts, HttpRequest, Kind, Picker, Private, Question, Request, Unreadable, segments};
use crate::words::id::{OrderNumber, RequestId, TransactionId};

/// What an HTTP request of a shop asks of the gateway.
///
/// # Errors
/// [`Unreadable`] where the path takes payments and the body holds none that can be read. The gateway may still read it.
pub fn read(request: &HttpRequest<'_>) -> Result<Request, Unreadable> {
    read_private(request).map(|(request, _)| request)
}

/// The same, with the numbers of the payer's that the request holds.
///
/// # Errors
/// As of [`read`].
pub fn read_private(request: &HttpRequest<'_>) -> Result<(Request, Private), Unreadable> {
    let Some(place) = place(request.path) else { return Ok((Request::Unknown, Private::default())) };
    match (request.method, place) {
        ("GET" | "HEAD", _) => Ok((Request::Asks(Question::Retrieval), Private::default())),
        ("POST", Place::Payments | Place::Register | Place::PageForm) => {
            let mut picker = Picker::default();
            let facts = payments(request, place, &mut picker)?;
            Ok((Request::Submits(facts), Private::new(picker)))
        }
        ("POST", Place::Retrieval) | (_, _) => Ok((Request::Unknown, Private::default())),
    }
}

/// What a path is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Payments,
    Register,
    PageForm,
    Retrieval,
}

fn place(path: &str) -> Option<Place> {
    let segments = segments(path);
    if segments.ends_with(&["api", "payment", "register"]) {
        return Some(Place::Register);
    }
    if matches!(segments.last(), Some(&("hpp" | "epp"))) {
        return Some(Place::PageForm);
    }
    let below_rest = segments.iter().position(|segment| *segment == "rest").map(|at| &segments[at + 1..])?;
    match below_rest.first() {
        Some(&("payments" | "paymentmethods" | "multi-payments")) => Some(Place::Payments),
        Some(&("merchants" | "resolver-category")) => Some(Place::Retrieval),
        _ => None,
    }
}

fn payments(request: &HttpRequest<'_>, place: Place, picker: &mut Picker) -> Result<Vec<Facts>, Unreadable> {
    let body = request.body;
    if body.len() > BODY_MAX_BYTES {
        return Err(Unreadable::TooLong { bytes: body.len(), max: BODY_MAX_BYTES });
    }
    let (reading, categories) = match bare(body).first() {
        None => return Err(Unreadable::Empty),
        Some(b'<') => read_xml(request, picker)?,
        Some(b'{') => read_json(request, picker)?,
        Some(_) => read_form(body, picker)?,
    };
    if reading.transactions.is_empty() {
        return Err(if bare(body).starts_with(b"<") { Unreadable::Xml } else { Unreadable::Json });
    }
    let categories = categories.into_iter().chain(std::iter::repeat(None));
    Ok(reading.transactions.iter().zip(categories).map(|(t, category)| facts(t, category, place, picker)).collect())
}

/// Payments, and their resolver categories in the same order.
type Read = (Reading, Vec<Option<String>>);

fn read_xml(request: &HttpRequest<'_>, picker: &mut Picker) -> Result<Read, Unreadable> {
    let latin;
    let text = match xml::decode_text(request.body) {
        Ok(text) => text,
        // A document without declaration is what its sender's header says.
        Err(_) if says_latin(request.content_type) => {
            latin = encoding_rs::mem::decode_latin1(request.body);
            latin
        }
        Err(_) => return Err(Unreadable::Xml),
    };
    let document = xml::read(&text).map_err(|_| Unreadable::Xml)?;
    for (at, token) in document.tokens.iter().enumerate() {
        if let Token::Start(element) = token
            && Picker::is_private(element.local())
        {
            picker.withhold(&document.text(at));
        }
    }
    let reading = payment_xml::read(&document).map_err(|_| Unreadable::Xml)?;
    Ok((reading, payment_xml::resolver_categories(&document)))
}

fn says_latin(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|text| {
        let lower = text.to_ascii_lowercase();
        lower.contains("charset=iso-8859-1") || lower.contains("charset=\"iso-8859-1\"")
    })
}

fn read_json(request: &HttpRequest<'_>, picker: &mut Picker) -> Result<Read, Unreadable> {
    let latin;
    let text = match std::str::from_utf8(bare(request.body)) {
        Ok(text) => text,
        Err(_) if says_latin(request.content_type) => {
            latin = encoding_rs::mem::decode_latin1(bare(request.body));
            &latin
        }
        Err(_) => return Err(Unreadable::Json),
    };
    let document = json::read(text).map_err(|_| Unreadable::Json)?;
    withhold_json(&document.value, picker);
    let reading = payment_json::read(&document).map_err(|_| Unreadable::Json)?;
    let categories = payment_json::resolver_categories(&document);
    Ok((reading, categories))
}

/// The reader bounds the nesting, so that this ends.
fn withhold_json(value: &Json<'_>, picker: &mut Picker) {
    match value {
        Json::Object(members) => {
            for (name, value) in members {
                match value.scalar() {
                    Some(number) if Picker::is_private(name) => picker.withhold(number),
                    _ => withhold_json(value, picker),
                }
            }
        }
        Json::List(items) => items.iter().for_each(|item| withhold_json(item, picker)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
    }
}

fn read_form(body: &[u8], picker: &mut Picker) -> Result<Read, Unreadable> {
    let form = Form::read(bare(body), Plus::IsBlank).map_err(|_| Unreadable::Form)?;
    let mut is_known = false;
    for (name, value) in form.pairs() {
        is_known |= nvp::KNOWN_NAMES.contains(&name.as_ref());
        if Picker::is_private(&name) {
            picker.withhold(&value);
        }
    }
    if !is_known {
        return Err(Unreadable::NeitherFormat);
    }
    let category = form.text("merchant_account_resolver_category");
    Ok((nvp::read(&form), vec![Some(category.into_owned())]))
}

/// Picks what may be known of one payment; everything else the readers found is left behind.
fn facts(t: &Transaction, category: Option<String>, place: Place, picker: &Picker) -> Facts {
    let parent = picker.id(t.parent_transaction_id.as_deref(), TransactionId::new);
    let kind = match (place, &parent) {
        (Place::Register, _) => Kind::Register,
        (Place::Payments | Place::PageForm | Place::Retrieval, Some(_)) => Kind::FollowUp,
        (Place::Payments | Place::PageForm | Place::Retrieval, None) => Kind::Payment,
    };
    Facts {
        request_id: picker.id(t.request_id.as_deref(), RequestId::new),
        order_number: picker.id(t.order_number.as_deref(), OrderNumber::new),
        amount: picker.amount(t.amount),
        transaction_type: picker.word(t.transaction_type.as_deref()),
        payment_method: picker.word(t.payment_methods.first().map(String::as_str)),
        parent_transaction_id: parent,
        account_id: picker.account(t.merchant_account_id.as_deref()),
        resolver_category: picker.word(category.as_deref()),
        ..Facts::of(kind)
    }
}
