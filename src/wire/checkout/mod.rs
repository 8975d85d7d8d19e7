//! The `checkout` dialect: Wirecard Checkout Page and Checkout Seamless, and their heir QENTA.
//!
//! * [`decode`] reads what the gateway posts to confirmUrl (fact sheet checkout a).
//! * [`backend`] asks the gateway: getOrderDetails and generateOrderNumber, and nothing else (b, c).
//! * [`started`] reads the answers to the requests that start a payment or a data storage, for people (d).
//! * [`operations`] writes the requests that move money, for the command an operator types; the daemon uses none (b.2).
//! * [`request`] reads what a shop sends to the gateway, for its facts alone (b, d).
//! * [`encode`] speaks as the gateway does, for the sandbox and the tests.
//!
//! Source of all of it: the published integration guides and captured messages, as the fact sheets `checkout.md` and
//! `checkout-signatures.md` collect them.

pub mod backend;
pub mod confirm;
pub mod encode;
pub mod field;
pub mod fingerprint;
pub mod list;
pub mod operations;
mod outcome;
pub mod reply;
pub mod request;
mod signed;
pub mod init;
pub mod started;

pub use confirm::{Reading, Unreadable, decode, is_confirmation};
pub use outcome::{Bank, financial_institutions, outcome};
pub use reply::{ReplyForm, reply_nok, reply_ok};

#[cfg(test)]
mod tests;
