//! The imperative shell: reads clocks, sockets and files, and carries things to and from the one writer.
//! It decides nothing about money.

pub mod config;
pub mod clock;
pub mod books;
pub mod job;
pub mod writer;
pub mod json_fields;
pub mod submission_json;
pub mod sandbox;
pub mod demo;
