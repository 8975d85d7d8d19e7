//! The rules: pure functions over values. No clock, no socket, no file, no database.

pub mod transaction_type;
pub mod status_code;
pub mod message;
pub mod account;
pub mod submission;
pub mod look;
pub mod schedule;
pub mod policy;
