//! The words everything else is said in: money, ids, time.

pub mod id;
pub mod money;
pub mod time;
