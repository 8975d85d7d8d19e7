//! Size: a daemon at rest, and one with many open payments.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Extent;
use super::figure::{Figure, Required};
use super::messages::WIRE_TRANSFER;
use super::place::Place;
use crate::engine::books::{Lane, due_all, due_parts};
use crate::store::{Table, View};
use crate::words::id::PaymentNumber;
use crate::words::time::{Now, Timestamp, days};

/// Nothing answers here: connections are refused.
const NO_GATEWAY: &str = "http://127.0.0.1:9";
/// What a daemon at rest may hold.
const IDLE_MAX_MIB: f64 = 32.0;
/// What a busy one may hold beside the store's cache.
const BESIDE_CACHE_MIB: f64 = 64.0;
/// Looks taken in one reading.
const LOOKS: usize = 256;
/// How long a daemon runs before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

pub fn idle(dir: &Path) -> anyhow::Result<Vec<Figure>> {
    let place = Place::new(dir, NO_GATEWAY)?;
    let (daemon, _) = place.serve()?;
    std::thread::sleep(SETTLE);
    let round = (daemon.memory_mib("VmRSS")?, IDLE_MAX_MIB);
    let figure = Figure::of_rounds("resident memory, idle".to_owned(), "MiB", "the limit", &[round]);
    Ok(vec![figure.requires(Required::ValueAtMost(IDLE_MAX_MIB))])
}

/// Open payments received over the last ten days, about which nobody said anything. Wire transfers: what is
/// open for days is what people pay at their bank.
pub fn large(dir: &Path, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let place = Place::new(dir, NO_GATEWAY)?;
    place.fill(extent.open, WIRE_TRANSFER, days(10), days(0))?;
    let mut figures = vec![due(&place, extent)?];
    figures.extend(starts(&place, extent)?);
    Ok(figures)
}

/// The looks that are due, found among all open payments, beside the bare reading of the same rows.
fn due(place: &Place, extent: &Extent) -> anyhow::Result<Figure> {
    let (store, engine) = (place.open()?, place.engine());
    let mut rounds = Vec::new();
    {
        let view = store.snapshot()?;
        // A moment at which as many are due as one reading takes.
        let merchant = engine.policy.accounts.keys().next().context("no merchant account")?;
        let (from, to) = due_all(Lane::First, merchant);
        let first = view.range(Table::Due, &from, &to, LOOKS)?;
        let at = first.last().map_or(Ok(Timestamp::MIN), |(key, _)| due_parts(key).map(|(at, _)| at))?;
        for _ in 0..extent.rounds.max(2) * 5 {
            let view = store.snapshot()?;
            let since = Instant::now();
            let looks = engine.due(&view, Now::both(at), merchant, LOOKS, 0, &|_: PaymentNumber| false)?;
            let ours = since.elapsed();
            anyhow::ensure!(looks.len() == LOOKS, "{} looks are due, not {LOOKS}", looks.len());
            let view = store.snapshot()?;
            let since = Instant::now();
            for (key, _) in view.range(Table::Due, &from, &to, LOOKS)? {
                let (_, number) = due_parts(&key)?;
                view.get(Table::Payments, &number.0.to_be_bytes())?;
            }
            rounds.push((ours.as_secs_f64() * 1000.0, since.elapsed().as_secs_f64() * 1000.0));
        }
    }
    store.close()?;
    let what = format!("{LOOKS} due looks among {} open", extent.open);
    Ok(Figure::of_rounds(what, "ms", "reading the same rows", &rounds))
}

/// Starts after kill -9: recovery, check in a child, first commit; and what the daemon holds then.
fn starts(place: &Place, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let path = &place.config.store.path;
    let (mut times, mut seconds, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let limit = place.config.store.cache_mib as f64 + BESIDE_CACHE_MIB;
    let (mut daemon, _) = place.serve()?;
    for _ in 0..extent.starts {
        // SIGKILL: what is dropped is killed.
        drop(daemon);
        let gib = std::fs::metadata(path)?.len() as f64 / f64::from(1 << 30);
        let since = Instant::now();
        std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink())?;
        let read = since.elapsed().as_secs_f64();
        let took;
        (daemon, took) = place.serve()?;
        times.push((took.as_secs_f64() / gib, read / gib));
        seconds.push((took.as_secs_f64(), read));
        std::thread::sleep(SETTLE);
        memory.push((daemon.memory_mib("VmRSS")?, limit));
    }
    let peak = daemon.memory_mib("VmHWM")?;
    let open = extent.open;
    let ceiling = "the configured cache and 64 MiB";
    Ok(vec![
        Figure::of_rounds(format!("start after kill -9, {open} open"), "s", "reading the file once", &seconds),
        Figure::of_rounds("start after kill -9, by size".to_owned(), "s/GiB", "reading the file once", &times),
        Figure::of_rounds(format!("resident memory, {open} open"), "MiB", ceiling, &memory),
        Figure::of_rounds(format!("resident memory at its peak, {open} open"), "MiB", ceiling, &[(peak, limit)]),
    ])
}
