//! Looks per second at a gateway that takes its time: full lanes are all that can be had.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::Extent;
use super::client::{self, Connection, To};
use super::figure::{Figure, Required, median};
use super::messages::{CARD, request_id};
use super::mock::Mock;
use super::place::Place;
use super::server::Server;
use crate::shell::clock::Clock;
use crate::shell::gateway::Asker;
use crate::shell::retriever::Retriever;
use crate::words::time::{SignedDuration, hours};

const LANES: [usize; 2] = [16, 64];
/// Until all lanes are taken and connections are open.
const WARM_UP: Duration = Duration::from_millis(500);
/// Questions asked one after the other to learn the gateway's real latency.
const SINGLES: usize = 15;
const PER_SECOND_MAX: u32 = 1_000_000;
/// Looks at most per lane and second: more than 50 ms allows.
const LOOKS_PER_LANE_S: u64 = 21;

pub fn retrievals(dir: &Path, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let mock = Mock::start(Clock::new().now().wall)?;
    let place = Place::new(dir, &format!("http://{}", mock.address))?;
    let lanes_all: usize = LANES.iter().sum();
    let round_ms = WARM_UP.as_millis() as u64 + extent.watch_ms + 500;
    let looks = lanes_all as u64 * LOOKS_PER_LANE_S * round_ms * extent.rounds as u64 / 1000;
    // All of them due for long.
    place.fill(looks, CARD, SignedDuration::from_secs(60), hours(3))?;
    let server = Server::that_keeps(&place)?;
    let mut figures = Vec::new();
    for lanes in LANES {
        let mut rounds = Vec::new();
        for _ in 0..extent.rounds {
            let latency_s = latency_s(&mock)?;
            let ours = round(&place, &server, &mock, lanes, extent)?;
            rounds.push((ours, lanes as f64 / latency_s));
        }
        let what = format!("retrievals, {lanes} lanes");
        let figure = Figure::of_rounds(what, "1/s", "lanes / measured latency", &rounds);
        figures.push(figure.requires(Required::RatioAtLeast(0.9)));
    }
    Ok(figures)
}

/// What one question takes the gateway when nothing else is asked.
fn latency_s(mock: &Mock) -> anyhow::Result<f64> {
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    client.block_on(async {
        let mut connection = Connection::open(&To::Tcp(mock.address)).await?;
        let question = client::get(&format!("/engine/rest/merchants/m/payments/?request_id={}", request_id(0)));
        let mut took = Vec::new();
        for _ in 0..SINGLES {
            let since = Instant::now();
            connection.ask(&question).await?;
            took.push(since.elapsed().as_secs_f64());
        }
        Ok(median(took.into_iter()))
    })
}

/// Runs a retriever for a while and counts what the gateway answered, per second.
fn round(place: &Place, server: &Server, mock: &Mock, lanes: usize, extent: &Extent) -> anyhow::Result<f64> {
    let writer = server.writer.clone().context("the server that keeps has a writer")?;
    let mut askers = BTreeMap::new();
    for (name, account) in &place.config.policy.accounts {
        if let Some(gateway) = place.config.gateways.get(name) {
            let asker = Asker::new(account, gateway, place.config.keys.get(name))?;
            askers.insert(name.clone(), Arc::new(asker));
        }
    }
    let stop = CancellationToken::new();
    let retriever = Retriever::new(writer, askers, |_| (lanes, PER_SECOND_MAX));
    let running = server.runtime.spawn(retriever.run(stop.clone()));
    std::thread::sleep(WARM_UP);
    let (since, before) = (Instant::now(), mock.answered());
    std::thread::sleep(Duration::from_millis(extent.watch_ms));
    let rate = (mock.answered() - before) as f64 / since.elapsed().as_secs_f64();
    stop.cancel();
    server.runtime.block_on(running)?;
    Ok(rate)
}
