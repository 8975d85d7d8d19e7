//! The requests a shop sends to Wirecard Checkout / QENTA (fact sheet checkout b.1, d), read for their facts alone.
//!
//! ```text
//! POST …/init.php, …/init-server.php   Checkout Page: start a payment (by the payer's browser, or by the shop)
//! POST …/frontend/init                 Checkout Seamless: start a payment
//! POST …/dataStorage/…                 Checkout Seamless: card data, no payment
//! POST …/toolkit.php                   Checkout Page: back-end operation, named by `command`
//! POST …/backend/{operation}           Checkout Seamless: back-end operation
//! GET  the same with parameters         as POST
//! ```

use std::collections::HashMap;

use super::confirm::LIMITS;
use super::field::Grammar;
use crate::wire::facts::{Facts, HttpRequest, Kind, Operation, Picker, Question, Request, Unreadable, segments};
use crate::wire::form::{Charset, Form};
use crate::words::id::{GatewayOrderNumber, OrderNumber, RequestId, TransactionId};
use crate::words::money::{Currency, StatedAmount, parse_decimal};

/// Longest body that is read, in bytes: the vendor's limits for a POST allow far more than any shop sends.
pub const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The payment type that leaves the choice to the payer.
const SELECT: &str = "SELECT";

/// What an HTTP request of a shop asks of the gateway. `own_id_parameter` names the custom parameter that carries the
/// shop's own id of a payment.
///
/// # Errors
/// [`Unreadable`] where the path starts payments or runs operations and the body is no form for it.
pub fn read(request: &HttpRequest<'_>, own_id_parameter: &str) -> Result<Request, Unreadable> {
    let Some(place) = place(request.path) else { return Ok(Request::Unknown) };
    let body = match request.method {
        "POST" => request.body,
        // The gateway takes parameters in the address too, up to limits of its own (fact sheet checkout d).
        "GET" => match query(request.path) {
            "" => return Ok(Request::Unknown),
            query => query.as_bytes(),
        },
        _ => return Ok(Request::Unknown),
    };
    if matches!(place, Place::DataStorage) {
        return Ok(Request::Asks(Question::DataStorage));
    }
    if body.len() > BODY_MAX_BYTES {
        return Err(Unreadable::TooLong { bytes: body.len(), max: BODY_MAX_BYTES });
    }
    if body.is_empty() {
        return Err(Unreadable::Empty);
    }
    let fields = Fields::read(body)?;
    let operation = match place {
        Place::DataStorage | Place::Init => None,
        Place::Toolkit => {
            let command = fields.get("command")?.and_then(Operation::named);
            Some(command.ok_or(Unreadable::NoOperation)?)
        }
        Place::BackEnd(operation) => Some(operation),
    };
    match operation {
        Some(operation) if operation.is_question() => Ok(Request::Asks(Question::BackEnd(operation))),
        Some(operation) => Ok(Request::Submits(vec![facts(&fields, Kind::Operation(operation), own_id_parameter)?])),
        None => Ok(Request::Submits(vec![facts(&fields, Kind::Payment, own_id_parameter)?])),
    }
}

/// The parameters in an address.
fn query(path: &str) -> &str {
    let path = path.split('#').next().unwrap_or_default();
    path.split_once('?').map_or("", |(_, query)| query)
}

/// What a path is for.
#[derive(Clone, Copy)]
enum Place {
    Init,
    DataStorage,
    Toolkit,
    BackEnd(Operation),
}

fn place(path: &str) -> Option<Place> {
    let segments = segments(path);
    let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
    match segments[..] {
        [.., last] if is(last, "init.php") || is(last, "init-server.php") => Some(Place::Init),
        [.., last] if is(last, "toolkit.php") => Some(Place::Toolkit),
        [.., front, last] if is(front, "frontend") && is(last, "init") => Some(Place::Init),
        [.., storage, _] if is(storage, "dataStorage") => Some(Place::DataStorage),
        [.., back, operation] if is(back, "backend") => Operation::named(operation).map(Place::BackEnd),
        _ => None,
    }
}

/// The fields of a body by name; the first value, and whether another one follows.
struct Fields {
    by_name: HashMap<String, (String, bool)>,
}

impl Fields {
    fn read(body: &[u8]) -> Result<Fields, Unreadable> {
        let form = Form::read(body, &LIMITS, Charset::Utf8OrLatin1).map_err(|_| Unreadable::Form)?;
        let mut by_name: HashMap<String, (String, bool)> = HashMap::with_capacity(form.fields().len());
        for (name, value) in form.fields() {
            match by_name.get_mut(name) {
                Some((first, is_twice)) => *is_twice |= first != value,
                None => drop(by_name.insert(name.clone(), (value.clone(), false))),
            }
        }
        Ok(Fields { by_name })
    }

    /// The value of a field of the gateway's; `None` where it is missing or empty.
    fn get(&self, name: &'static str) -> Result<Option<&str>, Unreadable> {
        self.own(name, name)
    }

    /// The value of a field whose name the account's configuration gives; `shown` stands for it in messages.
    fn own(&self, name: &str, shown: &'static str) -> Result<Option<&str>, Unreadable> {
        match self.by_name.get(name) {
            Some((_, true)) => Err(Unreadable::Twice { name: shown }),
            Some((value, false)) => Ok(Some(value.trim()).filter(|value| !value.is_empty())),
            None => Ok(None),
        }
    }
}

fn facts(fields: &Fields, kind: Kind, own_id_parameter: &str) -> Result<Facts, Unreadable> {
    let mut picker = Picker::default();
    for (name, (value, _)) in &fields.by_name {
        if Picker::is_private(name) {
            picker.withhold(value);
        }
    }
    let number = |name| {
        let text = fields.get(name)?.filter(|text| Grammar::OrderNumber.accepts(text));
        Ok(picker.id(text, GatewayOrderNumber::new))
    };
    let payment_type = fields.get("paymentType")?.filter(|code| *code != SELECT && Grammar::PaymentType.accepts(code));
    Ok(Facts {
        request_id: picker.id(fields.own(own_id_parameter, "the account's own_id_parameter")?, RequestId::new),
        order_number: picker.id(fields.get("orderReference")?, OrderNumber::new),
        amount: picker.amount(amount(fields.get("amount")?, fields.get("currency")?)),
        payment_method: picker.word(payment_type),
        gateway_order_number: number("orderNumber")?,
        source_order_number: number("sourceOrderNumber")?,
        object: match (number("paymentNumber")?, number("creditNumber")?) {
            (Some(payment), None) => TransactionId::new(&format!("payment:{payment}")).ok(),
            (None, Some(credit)) => TransactionId::new(&format!("credit:{credit}")).ok(),
            (Some(_), Some(_)) | (None, None) => None,
        },
        account_id: picker.account(fields.get("customerId")?),
        ..Facts::of(kind)
    })
}

/// Requests may have a decimal comma (fact sheet checkout f).
fn amount(value: Option<&str>, currency: Option<&str>) -> Option<StatedAmount> {
    let value = value.filter(|value| Grammar::Amount.accepts(value))?;
    let value = parse_decimal(&value.replace(',', ".")).ok()?;
    Some(StatedAmount { value, currency: currency.and_then(Currency::parse) })
}
