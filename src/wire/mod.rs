//! Bytes to messages with a verdict, and back. Pure: no socket, no clock.

pub mod keys;
pub mod form;
pub mod checkout;

pub use keys::{Key, Keys};
