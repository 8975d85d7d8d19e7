//! The sandbox as a server: the pure gateway behind HTTP, on a clock that can be set.

pub mod command;
pub mod control;
pub mod http;
pub mod init;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::{LOCATION, RETRY_AFTER};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use self::http::{Ask, Asked, Told};
use crate::core::message::Dialect;
use crate::sandbox::{Gateway, Outgoing, Reply, Request};
use crate::shell::clock::Clock;

/// How long one notification may take, as the page product waits (fact sheet checkout a.1).
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a silent answer keeps its connection before giving up.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Notifications under way at once.
const SENDERS_MAX: usize = 32;
/// Longest sleep between two looks at the queue: a clock that was set anew is noticed by then.
const NAP_MAX: Duration = Duration::from_millis(200);

/// A running sandbox, shared by its server, its senders and whoever drives it.
#[derive(Clone)]
pub struct Sandbox {
    gateway: Arc<Mutex<Gateway>>,
    pub clock: Clock,
    ring: Arc<Notify>,
}

impl Sandbox {
    pub fn new(gateway: Gateway, clock: Clock) -> Sandbox {
        Sandbox { gateway: Arc::new(Mutex::new(gateway)), clock, ring: Arc::new(Notify::new()) }
    }

    /// The gateway itself. Whoever changed it calls [`Sandbox::wake`] afterwards.
    pub fn gateway(&self) -> MutexGuard<'_, Gateway> {
        // Every call leaves the gateway whole, so one that panicked did no harm to it.
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wake(&self) {
        self.ring.notify_one();
    }

    /// Serves and sends until told to stop.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let sender = tokio::spawn(self.clone().send_notifications(stop.clone()));
        let answering = self.clone();
        http::serve(listener, stop, move |asked| answering.clone().answered(asked)).await;
        sender.abort();
    }

    async fn answered(self, asked: Asked) -> Told {
        let path = asked.target.split('?').next().unwrap_or_default().to_owned();
        if path.starts_with("/control/") {
            let (status, value) = control::answer(&mut self.gateway(), &self.clock, &asked.method, &path, &asked.body);
            self.wake();
            return Some(http::json(status, &value));
        }
        let now = self.clock.now().wall;
        let request =
            Request { method: &asked.method, target: &asked.target, headers: &asked.headers, body: &asked.body };
        let reply = self.gateway().answer(now, &request);
        match reply {
            Reply::Answer(answer) => {
                debug!(path, status = answer.status, "sandbox answered {} {path}", answer.status);
                let retry_after = answer.retry_after_seconds.map(|seconds| (RETRY_AFTER, seconds.to_string()));
                let location = answer.location.map(|url| (LOCATION, url));
                let headers: Vec<_> = retry_after.into_iter().chain(location).collect();
                if let Some(by) = answer.late_by {
                    let by = Duration::try_from(by).unwrap_or(Duration::ZERO) / self.clock.scale().max(1);
                    tokio::time::sleep(by.min(SILENCE_MAX)).await;
                }
                Some(match answer.is_cut {
                    true => http::broken_off(answer.status, answer.content_type, &headers, &answer.body),
                    false => http::answer(answer.status, answer.content_type, &headers, answer.body),
                })
            }
            Reply::Closed => None,
            Reply::Silence => {
                tokio::time::sleep(SILENCE_MAX).await;
                None
            }
        }
    }

    async fn send_notifications(self, stop: CancellationToken) {
        let senders = Arc::new(Semaphore::new(SENDERS_MAX));
        while !stop.is_cancelled() {
            let (due, next) = {
                let mut gateway = self.gateway();
                (gateway.events(self.clock.now().wall), gateway.next_event())
            };
            for outgoing in due {
                let Ok(place) = senders.clone().acquire_owned().await else { return };
                let sandbox = self.clone();
                tokio::spawn(async move {
                    let _place = place;
                    sandbox.send(outgoing).await;
                });
            }
            let nap = next.map_or(NAP_MAX, |at| self.real_time_until(at).min(NAP_MAX));
            // A ring means that something changed; the nap ends either way.
            let _rung = tokio::time::timeout(nap, self.ring.notified()).await;
        }
    }

    fn real_time_until(&self, at: crate::words::time::Timestamp) -> Duration {
        let ahead = at.duration_since(self.clock.now().wall);
        let ahead = Duration::try_from(ahead).unwrap_or(Duration::ZERO);
        (ahead / self.clock.scale().max(1)).max(Duration::from_millis(1))
    }

    async fn send(self, outgoing: Outgoing) {
        let is_checkout = outgoing.dialect == Dialect::Checkout;
        let outcome = match http::split_url(&outgoing.url) {
            None => Err("the URL is not plain http".to_owned()),
            Some((peer, target)) => {
                let ask =
                    Ask { method: "POST", target: &target, content_type: outgoing.content_type, body: outgoing.body };
                match http::send(&peer, ask, NOTIFY_TIMEOUT).await {
                    Ok(got) if !got.is_success() => Err(format!("answered {}", got.status)),
                    Ok(got) if is_checkout && !says_ok(&got.body) => Err("answered without the OK token".to_owned()),
                    Ok(_) => Ok(()),
                    Err(why) => Err(why.to_string()),
                }
            }
        };
        match &outcome {
            Ok(()) => debug!(request.id = %outgoing.request_id, "notification {} accepted", outgoing.id),
            Err(why) => info!(request.id = %outgoing.request_id, "notification {} not accepted: {why}", outgoing.id),
        }
        self.gateway().delivered(self.clock.now().wall, outgoing.id, outcome.is_ok());
        self.wake();
    }
}

/// Whether a body carries the reply token that ends re-delivery (fact sheet checkout a.6).
fn says_ok(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains("QPAY-CONFIRMATION-RESPONSE") && text.contains("OK") && !text.contains("NOK")
}

/// Binds the sandbox's listener.
pub async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests;
