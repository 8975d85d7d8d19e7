#![no_main]

#[path = "../../tests/fuzz_replay/targets.rs"]
#[allow(dead_code, reason = "each fuzzer runs one of the targets")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::checkout_confirm(bytes));
