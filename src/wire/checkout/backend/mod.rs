//! Asking the gateway (fact sheet checkout b and c): getOrderDetails and generateOrderNumber, the only two back-end
//! operations that move no money and that the daemon can therefore build.
//!
//! ```text
//! Checkout Page       POST {base_url}/toolkit.php            customerId [shopId] toolkitPassword command language …
//! Checkout Seamless   POST {base_url}/backend/{operation}    customerId [shopId] password language …
//! ```
//!
//! Every request carries password and fingerprint. On Seamless the fingerprint does not name the operation:
//! getOrderDetails and approveReversal of one order have the same. A request body is therefore as good as the power
//! to void the payment, must go over verified TLS only, and never into a log; [`Request`] prints no part of it.
//!
//! Answers are unsigned: TLS and our credentials vouch for them. They say when a payment changed in Vienna's local time,
//! without naming the zone; of the hour that October has twice the earlier is taken.

mod error_code;
mod order_details;
mod reply;

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

pub use self::error_code::{Class, class};
pub use self::reply::{NoReply, OrderNumberError};
use super::fingerprint::{self, REQUEST_FINGERPRINT, SECRET};
pub use super::reply::{reply_nok, reply_ok};
use crate::core::account::Product;
use crate::core::look::{Answer, Outcome, Query};
use crate::core::message::{Authenticity, Dialect, Format, Message, Scheme};
use crate::wire::form::{self, Charset, Form};
use crate::words::id::GatewayOrderNumber;

/// The only language the back end speaks.
const LANGUAGE: &str = "en";

/// What opens the back end for one account. Prints no part of its secrets.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    pub product: Product,
    pub customer_id: &'a str,
    /// Absent for accounts without shops.
    pub shop_id: Option<&'a str>,
    /// `toolkitPassword` of Checkout Page, `password` of Checkout Seamless.
    pub password: &'a str,
    pub secret: &'a str,
    /// The account's fingerprint algorithm. A scheme of another dialect makes an empty fingerprint, which the
    /// gateway refuses.
    pub algorithm: Scheme,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials {{ customer_id: {:?}, shop_id: {:?} }}", self.customer_id, self.shop_id)
    }
}

/// A POST of a form. The body opens the account and must not be logged; `Debug` prints the path alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Below the account's base URL, with a leading slash.
    pub path: String,
    pub body: String,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request {{ path: {:?} }}", self.path)
    }
}

/// Asks for one order with its payments and credits.
pub fn order_details(c: &Credentials<'_>, number: &GatewayOrderNumber) -> Request {
    request(c, "getOrderDetails", &[("orderNumber", number.as_str())])
}

/// Asks for a fresh order number, so that the shop can send it along and the payment can be asked about later even if
/// no confirmation comes. Moves no money; an unused number stays valid.
pub fn generate_order_number(c: &Credentials<'_>) -> Request {
    request(c, "generateOrderNumber", &[])
}

/// Reads the answer to a question. Any other question than [`Query::OrderDetails`] is none of this dialect.
pub fn answer(query: &Query, http_status: u16, body: &[u8]) -> Answer {
    let (outcome, transactions) = match query {
        Query::OrderDetails { gateway_order_number } => match reply::read(http_status, body) {
            Ok(reply) => order_details::read(&reply, Some(gateway_order_number)),
            Err(no_reply) => (no_reply.into(), Vec::new()),
        },
        Query::RequestId { .. }
        | Query::Search { .. }
        | Query::TransactionId { .. }
        | Query::Group { .. }
        | Query::Category { .. } => {
            let why = "a checkout account can be asked by gateway order number only".to_owned();
            (Outcome::Refused { why }, Vec::new())
        }
    };
    let digest = (!body.is_empty()).then(|| fingerprint::to_hex(&Sha256::digest(body)));
    Answer { query: query.clone(), outcome, transactions, digest }
}

/// Whether a form is a reply of the back end rather than a confirmation: it has a `status` and no `paymentState`.
pub fn is_reply(body: &[u8]) -> bool {
    Form::read(body, &reply::LIMITS, Charset::Utf8OrLatin1)
        .is_ok_and(|form| form.get("status").is_some() && form.get("paymentState").is_none())
}

/// Reads a reply that was kept as a file, for people: whatever it is about, with nothing that vouches for it. A reply
/// that speaks of no transaction (an error, or the answer to another operation than getOrderDetails) has its fields shown
/// as they are.
pub fn decode_reply(body: &[u8]) -> Result<Message, NoReply> {
    let reply = reply::read(200, body)?;
    let error_code = reply.error_codes().first().map(|code| form::shown(code));
    let is_details = reply.status != 0 || reply.form.get("orders").is_some();
    let transactions = match order_details::read(&reply, None) {
        (Outcome::Unavailable { why, .. }, _) if error_code.is_none() && is_details => {
            return Err(NoReply::Unavailable { why });
        }
        (_, transactions) => transactions,
    };
    Ok(Message {
        dialect: Dialect::Checkout,
        format: Format::Form,
        authenticity: Authenticity::Unverifiable {
            scheme: None,
            reason: Some("replies are unsigned: only the connection they came over vouches for them".to_owned()),
        },
        unverified: if transactions.is_empty() { fields(&reply.form) } else { BTreeMap::new() },
        transactions,
        payment_state: None,
        gateway_order_number: ["order.1.orderNumber", "orderNumber"]
            .into_iter()
            .find_map(|name| reply.form.get(name))
            .filter(|number| !number.is_empty())
            .map(form::shown),
        custom: BTreeMap::new(),
        error_code,
    })
}

/// The fields of a reply, fit to be shown.
fn fields(form: &Form) -> BTreeMap<String, String> {
    form.fields().iter().map(|(name, value)| (form::shown(name), form::shown(value))).collect()
}

/// The error codes of a form, in its order.
pub(super) fn error_codes(form: &Form) -> Vec<&str> {
    reply::error_codes(form)
}

/// Reads the answer to generateOrderNumber.
pub fn read_order_number(http_status: u16, body: &[u8]) -> Result<GatewayOrderNumber, OrderNumberError> {
    reply::read(http_status, body)?.order_number()
}

/// Reads a reply as far as all operations share it.
pub(super) fn read_reply(http_status: u16, body: &[u8]) -> Result<reply::Reply, NoReply> {
    reply::read(http_status, body)
}

/// Builds one request: the common parameters and `fields`, signed in this order.
///
/// Only this module and [`super::operations`] can name an operation, and the daemon uses this module alone.
pub(super) fn request(c: &Credentials<'_>, operation: &str, fields: &[(&str, &str)]) -> Request {
    let mut pairs = prefix(c, operation);
    pairs.extend_from_slice(fields);
    let digest = fingerprint::digest(c.algorithm, c.secret.as_bytes(), pairs.iter().map(|(_, value)| value.as_bytes()));
    let fingerprint = digest.map(|digest| fingerprint::to_hex(&digest)).unwrap_or_default();
    pairs.retain(|(name, _)| *name != SECRET);
    pairs.push((REQUEST_FINGERPRINT, &fingerprint));
    let path = match c.product {
        Product::Page => "/toolkit.php".to_owned(),
        Product::Seamless => format!("/backend/{operation}"),
    };
    Request { path, body: form::encode(pairs) }
}

/// The common parameters in the order they are signed in, the secret in its place.
fn prefix<'a>(c: &Credentials<'a>, operation: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut pairs = vec![("customerId", c.customer_id)];
    pairs.extend(c.shop_id.map(|shop_id| ("shopId", shop_id)));
    match c.product {
        Product::Page => {
            pairs.extend([("toolkitPassword", c.password), (SECRET, c.secret), ("command", operation)]);
        }
        Product::Seamless => pairs.extend([("password", c.password), (SECRET, c.secret)]),
    }
    pairs.push(("language", LANGUAGE));
    pairs
}

#[cfg(test)]
mod tests;
