//! How long one sender waits for one acknowledgement, beside what the disk takes for one sync.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Extent;
use super::client::{self, Connection};
use super::figure::{Figure, quantile};
use super::messages::{CARD, MERCHANT, notification};
use super::place::Place;
use super::server::Server;
use crate::shell::clock::Clock;
use crate::words::time::SignedDuration;

const BLOCK_BYTES: usize = 4096;
/// Blocks of the file that is synced; written before, so that a sync moves data and no metadata.
const BLOCKS: u64 = 64;

pub fn acknowledgement(dir: &Path, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let place = Place::new(dir, "http://127.0.0.1:9")?;
    place.fill(extent.singles as u64, CARD, SignedDuration::from_secs(60), SignedDuration::from_secs(1))?;
    let server = Server::that_keeps(&place)?;
    let file = File::options().read(true).write(true).create_new(true).open(place.path("block"))?;
    file.write_all_at(&vec![1; BLOCK_BYTES * BLOCKS as usize], 0)?;
    file.sync_all()?;

    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = Clock::new().now().wall;
    let mut connection = client.block_on(Connection::open(&server.notifications))?;
    let (mut acknowledged, mut synced) = (Vec::new(), Vec::new());
    for n in 0..extent.singles as u64 {
        let request = client::post(&format!("/ipn/{MERCHANT}"), &notification(n, now)?);
        acknowledged.push(timed(|| client.block_on(connection.ask(&request)))?);
        // The next sender finds the daemon at rest.
        server.judged()?;
        synced.push(timed(|| {
            file.write_all_at(&[n as u8; BLOCK_BYTES], n % BLOCKS * BLOCK_BYTES as u64)?;
            Ok(file.sync_data()?)
        })?);
        std::thread::sleep(Duration::from_millis(2));
    }
    let figure = |name: &str, part: f64| {
        let (ours, ceiling) = (quantile(acknowledged.clone(), part), quantile(synced.clone(), part));
        let what = format!("one acknowledgement, {name}");
        Figure::of_rounds(what, "ms", "one fdatasync of 4 KiB (a commit takes two)", &[(ours, ceiling)])
    };
    Ok(vec![figure("p50", 0.5), figure("p99", 0.99)])
}

/// In ms.
pub fn timed(what: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let since = Instant::now();
    what()?;
    Ok(since.elapsed().as_secs_f64() * 1000.0)
}
