//! How many messages a second become durable.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Extent;
use super::client::{self, To};
use super::figure::Figure;
use super::messages::{CARD, MERCHANT, notification, submission_json};
use super::place::Place;
use super::server::Server;
use crate::shell::clock::Clock;
use crate::words::time::SignedDuration;

/// Nothing is asked here.
const NO_GATEWAY: &str = "http://127.0.0.1:9";
const CONNECTIONS: [usize; 2] = [64, 256];

type Requests = Arc<Vec<Vec<u8>>>;

pub fn notifications(dir: &Path, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        let place = Place::new(dir, NO_GATEWAY)?;
        // What is notified of was submitted moments ago, as in life.
        let count = (extent.rounds * extent.requests) as u64;
        place.fill(count, CARD, SignedDuration::from_secs(60), SignedDuration::from_secs(1))?;
        let (keeps, forgets) = (Server::that_keeps(&place)?, Server::that_forgets(&place)?);
        let now = Clock::new().now().wall;
        let (mut acknowledged, mut judged) = (Vec::new(), Vec::new());
        for round in 0..extent.rounds {
            let path = format!("/ipn/{MERCHANT}");
            let requests = round_of(round, extent, |n| Ok(client::post(&path, &notification(n, now)?)))?;
            let since = Instant::now();
            let ours = rate(&keeps.notifications, &requests, connections)?;
            keeps.judged()?;
            let whole = requests.len() as f64 / since.elapsed().as_secs_f64();
            let ceiling = rate(&forgets.notifications, &requests, connections)?;
            acknowledged.push((ours, ceiling));
            judged.push((whole, ceiling));
        }
        let ceiling = "the same server, verifying without a store";
        let what = |done: &str| format!("notifications {done}, {connections} connections");
        figures.push(Figure::of_rounds(what("acknowledged"), "1/s", ceiling, &acknowledged));
        figures.push(Figure::of_rounds(what("kept and judged"), "1/s", ceiling, &judged));
    }
    Ok(figures)
}

pub fn submissions(dir: &Path, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let place = Place::new(dir, NO_GATEWAY)?;
    let (keeps, forgets) = (Server::that_keeps(&place)?, Server::that_forgets(&place)?);
    let mut first = 0;
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        let mut rounds = Vec::new();
        for _ in 0..extent.rounds {
            let requests = round_of(first, extent, |n| Ok(client::post("/v1/submissions", &submission_json(n)?)))?;
            first += 1;
            let ours = rate(&keeps.submissions, &requests, connections)?;
            rounds.push((ours, rate(&forgets.submissions, &requests, connections)?));
        }
        let what = format!("submissions acknowledged, {connections} connections");
        figures.push(Figure::of_rounds(what, "1/s", "the same server, reading without a store", &rounds));
    }
    Ok(figures)
}

/// The requests of one round, made before anything is timed.
fn round_of(
    round: usize,
    extent: &Extent,
    request: impl Fn(u64) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Requests> {
    let first = (round * extent.requests) as u64;
    Ok(Arc::new((first..first + extent.requests as u64).map(request).collect::<Result<_, _>>()?))
}

fn rate(to: &To, requests: &Requests, connections: usize) -> anyhow::Result<f64> {
    Ok(requests.len() as f64 / client::all(to, requests, connections)?.as_secs_f64())
}
