//! Replies of the back end: a form, unsigned, in any order (fact sheet checkout b.3).
//!
//! `status` is 0 ok, 1 parameter error, 2 declined, 3 undecided or error at the bank, 4 internal error. Errors come
//! as `errorCode` (Checkout Page), `error.N.errorCode` (Seamless) or with underscores (demo mode). Texts are UTF-8; the
//! older engine sends ISO-8859-1, which is read as such.

use super::super::field::Grammar;
use super::error_code::{Class, class};
use crate::core::look::Outcome;
use crate::wire::form::{Charset, Form, Limits, shown};
use crate::words::id::GatewayOrderNumber;

/// Limits of one reply; an order has about 30 fields and each payment as many.
pub const LIMITS: Limits = Limits { fields_max: 12_000, name_max_bytes: 255, value_max_bytes: 65_535 };
/// Errors of one reply that are looked at.
const ERRORS_MAX: usize = 99;

/// Why no reply could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// Nothing was learnt; ask again later.
    #[error("{why}")]
    Unavailable { why: String },
    /// The gateway does not let us in.
    #[error("{why}")]
    Refused { why: String },
}

impl From<NoReply> for Outcome {
    fn from(no_reply: NoReply) -> Outcome {
        match no_reply {
            NoReply::Unavailable { why } => Outcome::Unavailable { why, retry_after: None },
            NoReply::Refused { why } => Outcome::Refused { why },
        }
    }
}

/// Why generateOrderNumber gave no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderNumberError {
    #[error("no order number now, ask again later: {why}")]
    Unavailable { why: String },
    #[error("the gateway refuses to give an order number: {why}")]
    Refused { why: String },
}

impl From<NoReply> for OrderNumberError {
    fn from(no_reply: NoReply) -> OrderNumberError {
        match no_reply {
            NoReply::Unavailable { why } => OrderNumberError::Unavailable { why },
            NoReply::Refused { why } => OrderNumberError::Refused { why },
        }
    }
}

/// One reply, its form read and its `status` known.
#[derive(Debug)]
pub struct Reply {
    pub form: Form,
    pub status: u8,
}

/// Reads a reply as far as all operations share it.
pub fn read(http_status: u16, body: &[u8]) -> Result<Reply, NoReply> {
    let unavailable = |why: &str| NoReply::Unavailable { why: why.to_owned() };
    match http_status {
        401 | 403 => return Err(NoReply::Refused { why: format!("HTTP {http_status}") }),
        200..=299 => {}
        _ => return Err(NoReply::Unavailable { why: format!("HTTP {http_status}") }),
    }
    if body.is_empty() {
        return Err(unavailable("an empty reply"));
    }
    let form = Form::read(body, &LIMITS, Charset::Utf8OrLatin1)
        .map_err(|not_a_form| NoReply::Unavailable { why: format!("unreadable reply: {not_a_form}") })?;
    // A control character in some description does no harm here; a name that occurs twice leaves open what it says.
    if let Some(crate::wire::form::Flaw::DuplicateName { name }) = form.flaw() {
        return Err(NoReply::Unavailable { why: format!("unreadable reply: `{name}` occurs twice") });
    }
    match form.get("status") {
        Some("0") => Ok(Reply { form, status: 0 }),
        Some("1") => Ok(Reply { form, status: 1 }),
        Some("2") => Ok(Reply { form, status: 2 }),
        Some("3") => Ok(Reply { form, status: 3 }),
        Some("4") => Ok(Reply { form, status: 4 }),
        Some(other) => Err(NoReply::Unavailable { why: format!("unreadable reply: status `{}`", shown(other)) }),
        None => Err(unavailable("unreadable reply: `status` is missing")),
    }
}

/// The error codes of a form, however they are written.
pub fn error_codes(form: &Form) -> Vec<&str> {
    let indexed = (1..=ERRORS_MAX).map_while(|n| {
        [".errorCode", "_errorCode", ".error_code"]
            .into_iter()
            .find_map(|part| form.get(&format!("error{}{n}{part}", &part[..1])))
    });
    form.get("errorCode").into_iter().chain(indexed).collect()
}

impl Reply {
    /// The error codes, in the order of the reply.
    pub fn error_codes(&self) -> Vec<&str> {
        error_codes(&self.form)
    }

    /// What keeps this reply from saying anything about an order: rights, configuration, an engine out of order.
    pub fn obstacle(&self) -> Option<NoReply> {
        let codes = self.error_codes();
        let first_of = |wanted: Class| codes.iter().find(|code| class(code) == wanted);
        if self.status == 0 {
            return None;
        }
        if let Some(code) = first_of(Class::Operator) {
            return Some(NoReply::Refused { why: format!("error {}", shown(code)) });
        }
        if let Some(code) = first_of(Class::Unavailable) {
            return Some(NoReply::Unavailable { why: format!("error {}", shown(code)) });
        }
        match self.status {
            4 => Some(NoReply::Unavailable { why: "status 4, internal error".to_owned() }),
            1 if codes.is_empty() => Some(NoReply::Refused { why: "status 1 without an error code".to_owned() }),
            _ => None,
        }
    }

    /// The number generateOrderNumber gave.
    pub fn order_number(&self) -> Result<GatewayOrderNumber, OrderNumberError> {
        if let Some(obstacle) = self.obstacle() {
            return Err(obstacle.into());
        }
        if self.status != 0 {
            let codes = self.error_codes().into_iter().map(shown).collect::<Vec<_>>().join(", ");
            return Err(OrderNumberError::Unavailable { why: format!("status {} with error {codes}", self.status) });
        }
        let number = self.form.get("orderNumber").unwrap_or_default();
        GatewayOrderNumber::new(number)
            .ok()
            .filter(|_| Grammar::OrderNumber.accepts(number))
            .ok_or_else(|| OrderNumberError::Unavailable { why: format!("`{}` is no order number", shown(number)) })
    }
}
