//! `reconciled bench`: how fast and how large, each figure beside its ceiling measured in the same run.
//!
//! Rounds of ours and of the ceiling take turns, and the ratio printed is the median of the rounds'
//! ratios: the machine's mood moves both. Nothing here is a test; what must hold is marked as required.

mod client;
mod figure;
mod intake;
mod large;
mod latency;
mod messages;
mod mock;
mod place;
mod proxied;
mod retrievals;
mod server;
mod wire;

use std::path::PathBuf;

use anyhow::Context;

use super::exit;
use super::gateway::install_tls;
use figure::Figure;

/// What can be measured alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Part {
    /// Notifications per second over HTTP.
    Notifications,
    /// Submissions per second over the admin socket.
    Submissions,
    /// One acknowledgement beside one fdatasync.
    Latency,
    /// A payment through the recording proxy beside the same without it, and beside one commit.
    Proxy,
    /// Looks at a gateway that takes 50 ms.
    Retrievals,
    /// A daemon at rest.
    Idle,
    /// Many open payments: due looks, start after a kill, memory.
    Large,
    /// Messages read and verified, without a socket or a store.
    Wire,
}

const PARTS: [Part; 8] = [
    Part::Notifications,
    Part::Submissions,
    Part::Latency,
    Part::Proxy,
    Part::Retrievals,
    Part::Idle,
    Part::Large,
    Part::Wire,
];

pub struct Options {
    pub only: Option<Part>,
    /// Fewer rounds and smaller stores: about a minute.
    pub quick: bool,
    pub json: bool,
    /// Where the stores are made; the file system under it is what is measured.
    pub dir: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Extent {
    rounds: usize,
    /// Requests of one round of intake.
    requests: usize,
    /// Acknowledgements timed one by one.
    singles: usize,
    /// How long one round of retrievals is watched, in ms.
    watch_ms: u64,
    /// Open payments of the large store.
    open: u64,
    /// Kills and starts of the large store.
    starts: usize,
}

const WHOLE: Extent = Extent { rounds: 5, requests: 4_000, singles: 200, watch_ms: 3_000, open: 200_000, starts: 3 };
const QUICK: Extent = Extent { rounds: 3, requests: 1_500, singles: 60, watch_ms: 1_500, open: 50_000, starts: 1 };

/// Measures, and prints as it goes. Returns the process's exit code: [`exit::NO`] if a required figure
/// was missed.
pub fn run(options: &Options) -> u8 {
    match measure(options) {
        Ok(true) => exit::OK,
        Ok(false) => exit::NO,
        Err(why) => {
            eprintln!("the benchmark broke off: {why:#}");
            exit::FAULT
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<bool> {
    install_tls();
    let extent = if options.quick { QUICK } else { WHOLE };
    let dir = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let file_system = place::file_system(&dir).with_context(|| format!("can't look at {}", dir.display()))?;
    if !options.json {
        figure::line(&format!("in {} ({file_system}), {} rounds each, medians", dir.display(), extent.rounds));
    }
    let mut figures = Vec::new();
    for part in PARTS {
        if options.only.is_some_and(|only| only != part) {
            continue;
        }
        let measured = match part {
            Part::Notifications => intake::notifications(&dir, &extent),
            Part::Submissions => intake::submissions(&dir, &extent),
            Part::Latency => latency::acknowledgement(&dir, &extent),
            Part::Proxy => proxied::proxied(&dir, &extent),
            Part::Retrievals => retrievals::retrievals(&dir, &extent),
            Part::Idle => large::idle(&dir),
            Part::Large => large::large(&dir, &extent),
            Part::Wire => wire::wire(&extent),
        };
        for figure in measured.with_context(|| format!("{part:?}").to_lowercase())? {
            if !options.json {
                figure::line(&figure.text());
            }
            figures.push(figure);
        }
    }
    if options.json {
        let figures: Vec<_> = figures.iter().map(Figure::json).collect();
        let all = serde_json::json!({"dir": dir, "file_system": file_system, "figures": figures});
        figure::line(&all.to_string());
    }
    Ok(figures.iter().all(Figure::is_met))
}
