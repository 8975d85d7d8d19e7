//! The requests a shop sends to a gateway, in either dialect, read for the facts that may be kept of them.

use super::{checkout, wpg};
use crate::core::account::Contract;

pub use super::facts::{Facts, HttpRequest, Kind, Operation, Private, Question, Request, Unreadable};

/// What a request of this account's shop asks of its gateway.
///
/// Pure and linear in the body. Nothing of a body but the fields of [`Facts`] can be in what it returns.
///
/// # Errors
/// [`Unreadable`] where a path that takes payments got a body that holds none we can read.
pub fn read(contract: &Contract, request: &HttpRequest<'_>) -> Result<Request, Unreadable> {
    read_private(contract, request).map(|(request, _)| request)
}

/// The same, with the numbers of the payer's by which an answer is known that repeats them. Of answers of `checkout`
/// nothing is kept that could.
///
/// # Errors
/// As of [`read`].
pub fn read_private(contract: &Contract, request: &HttpRequest<'_>) -> Result<(Request, Private), Unreadable> {
    match contract {
        Contract::Wpg(_) => wpg::request::read_private(request),
        Contract::Checkout(account) => {
            checkout::request::read(request, &account.own_id_parameter).map(|request| (request, Private::default()))
        }
    }
}

#[cfg(test)]
mod tests;
