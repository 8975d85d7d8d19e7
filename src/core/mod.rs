//! The rules: pure functions over values. No clock, no socket, no file, no database.

pub mod transaction_type;
pub mod status_code;
pub mod message;
pub mod private;
pub mod account;
pub mod submission;
pub mod look;
pub mod meaning;
pub mod identity;
pub mod booking;
pub mod known;
pub mod ledger;
pub mod lifecycle;
pub mod discrepancy;
pub mod standing;
pub mod owed;
pub mod schedule;
pub mod relay;
pub mod policy;
pub mod operation;
pub mod payment;
pub mod follow_up;
pub mod alert;
pub mod record;
pub mod report;
