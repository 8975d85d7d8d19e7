//! The imperative shell: reads clocks, sockets and files, and carries things to and from the one writer.
//! It decides nothing about money.

pub mod config;
