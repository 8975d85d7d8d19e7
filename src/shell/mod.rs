//! The imperative shell: reads clocks, sockets and files, and carries things to and from the one writer.
//! It decides nothing about money.

pub mod config;
pub mod clock;
pub mod books;
pub mod job;
pub mod writer;
pub mod json_fields;
pub mod submission_json;
pub mod http;
pub mod public;
pub mod demo_clock;
pub mod admin_guard;
pub mod order_numbers;
pub mod operations_http;
pub mod admin;
pub mod lane;
pub mod gateway;
pub mod retriever;
pub mod relay;
pub mod webhook;
pub mod notifier;
pub mod telemetry;
pub mod reports;
pub mod scheduler;
pub mod scan;
pub mod spool;
pub mod exit;
pub mod opening;
pub mod core_dumps;
pub mod proxy;
pub mod daemon;
pub mod sandbox;
pub mod demo;
pub mod bench;
pub mod operate;
pub mod cli;
