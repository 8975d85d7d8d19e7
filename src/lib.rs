//! `reconciled` keeps every payment a shop submitted, hears what the gateway says, asks where it says
//! nothing, and writes down what became of the money.
//!
//! The modules are listed in reading order; each imports only from those above it.

#[cfg(planted)]
pub mod planted;
pub mod words;
pub mod core;
pub mod wire;
pub mod store;
pub mod engine;
pub mod sandbox;
pub mod shell;
