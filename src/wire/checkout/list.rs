//! The rules for the list of names that a confirmation's fingerprint covers (design: facts and schemes; fact sheet
//! checkout a.4).
//!
//! A matching digest proves little by itself: the list that says what it covers comes with the message. For SUCCESS
//! and PENDING the list must therefore
//!
//! * name what we use (`paymentState`, `paymentType`; for SUCCESS `orderNumber`, `amount` and `currency` too; the
//!   account's own-id parameter), or a sender could leave it out and change it freely;
//! * name nothing twice, and never the fingerprint itself;
//! * end in `secret,responseFingerprintOrder`. The list's own text is then the last thing hashed and everything before
//!   the secret is values, so labels cannot be swapped, values cannot be read as a list, and a plain hash cannot be
//!   extended without bytes that are no names;
//! * and every listed standard field must have its full grammar ([`super::field`]).
//!
//! A name that is listed but not in the body counts as empty, as in the gateway's own seed.

use std::collections::HashSet;

use super::field::standard;
use super::fingerprint::{FINGERPRINT, ORDER, SECRET};
use crate::core::message::PaymentState;
use crate::wire::form::{Form, shown};

/// Why a message's own structure rules it out, whatever its digest is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("responseFingerprintOrder is missing: nothing says what the fingerprint covers")]
    NoList,
    #[error("responseFingerprintOrder holds an empty name")]
    EmptyName,
    #[error("responseFingerprintOrder names `{0}` twice")]
    NamedTwice(String),
    #[error("responseFingerprintOrder names the fingerprint itself")]
    NamesFingerprint,
    #[error("responseFingerprintOrder does not end in `secret,responseFingerprintOrder`")]
    WrongEnd,
    #[error("responseFingerprintOrder does not name `{0}`")]
    NotNamed(String),
    #[error("`{name}` is not what the gateway sends there: `{value}`")]
    Malformed { name: String, value: String },
}

const NEEDED_FOR_SUCCESS: &[&str] = &["paymentState", "orderNumber", "amount", "currency", "paymentType"];
const NEEDED_FOR_PENDING: &[&str] = &["paymentState", "paymentType"];

/// The names of a list, in order. An absent list has none.
pub fn names(form: &Form) -> Vec<&str> {
    form.get(ORDER).map(|list| list.split(',').collect()).unwrap_or_default()
}

/// Checks the list of a SUCCESS or PENDING message. Needs no secret.
pub fn check(form: &Form, state: PaymentState, own_id_parameter: Option<&str>) -> Result<(), Refusal> {
    if form.get(ORDER).is_none_or(str::is_empty) {
        return Err(Refusal::NoList);
    }
    let names = names(form);
    let mut seen = HashSet::with_capacity(names.len());
    for name in &names {
        if name.is_empty() {
            return Err(Refusal::EmptyName);
        }
        if !seen.insert(*name) {
            return Err(Refusal::NamedTwice(shown(name)));
        }
    }
    if seen.contains(FINGERPRINT) {
        return Err(Refusal::NamesFingerprint);
    }
    if !names.ends_with(&[SECRET, ORDER]) {
        return Err(Refusal::WrongEnd);
    }
    let needed = match state {
        PaymentState::Success => NEEDED_FOR_SUCCESS,
        PaymentState::Pending | PaymentState::Failure | PaymentState::Cancel => NEEDED_FOR_PENDING,
    };
    if let Some(missing) = needed.iter().copied().chain(own_id_parameter).find(|name| !seen.contains(name)) {
        return Err(Refusal::NotNamed(shown(missing)));
    }
    for name in names.into_iter().filter(|name| *name != SECRET) {
        let value = form.get(name).unwrap_or_default();
        if standard(name).is_some_and(|grammar| !grammar.accepts(value)) {
            return Err(Refusal::Malformed { name: shown(name), value: shown(value) });
        }
    }
    Ok(())
}
