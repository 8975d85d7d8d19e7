//! `reconciled demo`: the command.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use super::{Done, Wish, run};

/// Runs the demo and tells how it went. `Ok(true)`: everything agrees.
pub async fn demo(seed: u64, keep: Option<PathBuf>) -> anyhow::Result<bool> {
    let binary = std::env::current_exe()?;
    eprintln!("a shop's day against a simulated gateway (seed {seed}); the daemon is killed on the way");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Stopped early, the scene is dropped, and the daemon with it.
    let done = tokio::select! {
        done = run(Wish { seed, keep, binary }) => done?,
        _ = terminate.recv() => anyhow::bail!("stopped before the end"),
        _ = interrupt.recv() => anyhow::bail!("stopped before the end"),
    };
    tell(&done);
    Ok(done.is_good())
}

fn tell(done: &Done) {
    println!("{}", done.table);
    for note in &done.notes {
        println!("{note}");
    }
    println!();
    if done.is_good() {
        println!("every order agrees with the gateway's truth, nothing forged was believed,");
        println!("and exactly the payments that nobody can be asked about were handed to a person.");
    } else {
        println!("{} findings (seed {}):", done.findings.len(), done.seed);
        for finding in &done.findings {
            println!("  {finding}");
        }
    }
    println!();
    if let Some(report) = &done.report {
        println!("the last night's report: {}", report.with_extension("txt").display());
    }
    println!("all files:               {}", done.folder.display());
}
