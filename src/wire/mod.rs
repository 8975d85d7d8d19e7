//! Bytes to messages with a verdict, and back. Pure: no socket, no clock.

pub mod decoded;
pub mod keys;
pub mod form;
mod facts;
pub mod wpg;
pub mod checkout;
pub mod request;

pub use keys::{Key, Keys};
