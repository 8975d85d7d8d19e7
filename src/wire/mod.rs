//! Bytes to messages with a verdict, and back. Pure: no socket, no clock.

pub mod decoded;
pub mod keys;
pub mod form;
pub mod wpg;
pub mod checkout;

pub use keys::{Key, Keys, Pin};
