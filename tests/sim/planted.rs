//! The proof that the simulation sees: bugs planted on purpose must be found, each within a bounded
//! number of seeds. `RUSTFLAGS="--cfg planted" cargo test --target-dir target/planted --test sim planted`.

use std::process::Command;
use std::time::Instant;

use reconciled::planted::NAMES;

/// Seeds within which each bug must be found.
const WITHIN_SEEDS: u64 = 60;

#[test]
fn every_planted_bug_is_found() {
    let program = std::env::current_exe().expect("this test");
    let mut missed = Vec::new();
    for name in NAMES {
        let started = Instant::now();
        // The bug is chosen by the environment of a process of its own.
        let output = Command::new(&program)
            .args(["planted::first_seed_with_a_finding", "--exact", "--nocapture", "--include-ignored"])
            .envs([("PLANTED", name), ("SIM_QUIET", "1")])
            .output()
            .expect("the test runs itself");
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().find(|line| line.contains("found by seed")) {
            Some(line) => println!("planted `{name}`: {} ({:.1} s)", line.trim(), started.elapsed().as_secs_f64()),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "planted and not found within {WITHIN_SEEDS} seeds: {missed:?}");
}

#[test]
#[ignore = "run by every_planted_bug_is_found, with a bug chosen"]
fn first_seed_with_a_finding() {
    for seed in 0..WITHIN_SEEDS {
        let played = crate::play(seed);
        if let Some(finding) = played.findings.first() {
            println!("\nfound by seed {seed}: {finding}");
            return;
        }
    }
    println!("\nnothing found");
}
