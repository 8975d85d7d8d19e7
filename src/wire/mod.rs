//! Bytes to messages with a verdict, and back. Pure: no socket, no clock.

pub mod keys;

pub use keys::{Key, Keys};
