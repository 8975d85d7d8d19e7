//! The recording proxy: the shop's gateway base URL points here, and every request passes to the gateway byte for
//! byte, but for the value of its Host header.
//!
//! A request that may move money is read for its allow-listed facts, which are durable before its first byte goes
//! on; the gateway's answer passes as it comes, and what it says is journaled afterwards. Credentials and bodies pass
//! through memory that is wiped, and are neither kept nor logged.
//!
//! ```text
//! shop ──head──body──▶ facts ──commit──▶ gateway ──answer──▶ shop
//!                                                    └─copy──▶ journal
//! ```
//!
//! One connection of the shop has at most one connection to the gateway, and lives and dies with it: whether another
//! request may follow, and whether an idle connection is still good, stays the business of the two ends.

mod answer;
mod body;
mod buffer;
mod connection;
mod head;
mod late;
mod plan;
mod recorder;
mod reply;
mod side;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::config::proxy::{Proxy, Times, WhenNotKept};
use super::writer::Writer;
use crate::words::id::MerchantName;
use late::Late;
use recorder::Recorder;
use upstream::Upstream;

/// Longest body of a request, and longest copy of an answer, in bytes.
const BODY_MAX_BYTES: usize = 1024 * 1024;
/// Bodies and copies of all listeners at once, in bytes.
const IN_FLIGHT_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long the loop rests after a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection of one listener shares.
struct Way {
    merchant: MerchantName,
    upstream: Upstream,
    when_not_kept: WhenNotKept,
    times: Times,
    recorder: Recorder,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A listener that is bound and does not accept yet.
pub struct Bound {
    settings: Proxy,
    listener: std::net::TcpListener,
    pub address: SocketAddr,
}

/// Binds all listeners, so that a port that is taken stops the start. Those that were inherited are taken out of
/// `inherited`.
pub fn bind(proxies: &[Proxy], inherited: &mut Vec<std::net::TcpListener>) -> anyhow::Result<Vec<Bound>> {
    let bind = |settings: &Proxy| {
        let is_ours = |given: &std::net::TcpListener| given.local_addr().is_ok_and(|at| at == settings.listen);
        let listener = match inherited.iter().position(is_ours) {
            Some(n) => inherited.remove(n),
            None => std::net::TcpListener::bind(settings.listen)
                .with_context(|| format!("the proxy of {} can't listen on {}", settings.merchant, settings.listen))?,
        };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { settings: settings.clone(), listener, address })
    };
    proxies.iter().map(bind).collect()
}

/// Starts passing, whether the store is open yet or not: `fail-open` holds from the first moment.
///
/// # Errors
/// Where this machine has no root certificates to check a gateway against.
pub fn start(
    bound: Vec<Bound>,
    writer: &Writer,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if bound.is_empty() {
        return Ok(());
    }
    let late = Arc::new(Late::default());
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX_BYTES));
    for Bound { settings, listener, .. } in bound {
        let upstream = Upstream::new(&settings.upstream, settings.allow_private_address, settings.times.connect)
            .with_context(|| format!("can't pass to {} (are CA certificates installed?)", settings.upstream))?;
        let keep_timeout = settings.times.keep;
        let way = Way {
            merchant: settings.merchant,
            upstream,
            when_not_kept: settings.when_not_kept,
            times: settings.times,
            recorder: Recorder { writer: writer.clone(), late: late.clone(), keep_timeout },
            room: room.clone(),
            stop: stop.clone(),
        };
        let listener = TcpListener::from_std(listener)?;
        tracker.spawn(accept(listener, settings.connections_max, Arc::new(way), tracker.clone()));
    }
    let (writer, stop) = (writer.clone(), stop.clone());
    tracker.spawn(async move { late.run(writer, stop).await });
    Ok(())
}

async fn accept(listener: TcpListener, connections_max: usize, way: Arc<Way>, tracker: TaskTracker) {
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            () = way.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("the proxy can't accept connections, resting: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Over the cap a connection is closed at once: the shop sees an error instead of waiting.
        let Ok(place) = places.clone().try_acquire_owned() else {
            warn!(merchant = %way.merchant, "the proxy has {connections_max} connections and takes no more");
            continue;
        };
        // Heads and bodies go out in few writes; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let way = way.clone();
        tracker.spawn(async move {
            connection::serve(stream, way).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;
