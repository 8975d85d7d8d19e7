//! The accept loop: every connection, header, body and request has a limit, so that a slow or greedy
//! peer costs itself and nobody else. (`axum::serve` sets no timer: half a header would stay open for ever.)

mod linger;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use self::linger::Lingering;

/// Longest request head, in bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// How long the loop rests after a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Limits {
    /// From the connection's start, or the last answer, to the end of the next head.
    pub head_deadline: Duration,
    /// From the head's end to the answer, body included.
    pub request_deadline: Duration,
    /// What a peer still sends is heard so long after an answer that ends its connection.
    pub linger: Duration,
    pub connections_max: usize,
    /// Connections of one address; loopback is exempt.
    pub connections_per_peer_max: usize,
}

impl Limits {
    pub fn new(connections_max: usize, connections_per_peer_max: usize) -> Limits {
        Limits {
            head_deadline: Duration::from_secs(5),
            request_deadline: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            connections_max,
            connections_per_peer_max,
        }
    }
}

/// What was turned away, since the start.
#[derive(Default, Debug)]
pub struct Turned {
    pub connections: AtomicU64,
    pub bodies: AtomicU64,
    pub requests: AtomicU64,
}

/// Where connections come from.
pub enum Listener {
    Tcp(TcpListener),
    /// With the rule that says who may connect.
    Unix(UnixListener, fn(&tokio::net::UnixStream) -> bool),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    /// The next connection; `None` for one that may not come in.
    async fn accept(&self) -> std::io::Result<Option<(Box<dyn Stream>, Option<IpAddr>)>> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one small write; waiting to fill a packet would only delay it.
                let _ = stream.set_nodelay(true);
                Ok(Some((Box::new(stream), Some(peer.ip()))))
            }
            Listener::Unix(listener, may_connect) => {
                let (stream, _) = listener.accept().await?;
                Ok(may_connect(&stream).then(|| (Box::new(stream) as Box<dyn Stream>, None)))
            }
        }
    }
}

/// Serves until `stop`; then takes no more connections, and lets those under way finish their request
/// (the tracker knows them).
pub async fn serve(
    listener: Listener,
    app: Router,
    limits: Limits,
    turned: Arc<Turned>,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let peers = Arc::new(Peers::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, ip) = match accepted {
            Ok(Some(connection)) => connection,
            Ok(None) => {
                turned.connections.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(error) => {
                warn!("can't accept connections, resting: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A connection over the cap is closed at once: waiting would let a flood fill the backlog.
        let place = places.clone().try_acquire_owned().ok();
        let seat = peers.clone().sit(ip, limits.connections_per_peer_max);
        let (Some(place), Some(seat)) = (place, seat) else {
            turned.connections.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let connection = connection(stream, app.clone(), limits.clone(), turned.clone(), stop.clone());
        tracker.spawn(async move {
            connection.await;
            drop((place, seat));
        });
    }
}

async fn connection(
    stream: Box<dyn Stream>,
    app: Router,
    limits: Limits,
    turned: Arc<Turned>,
    stop: CancellationToken,
) {
    let answering = stop.clone();
    let stream = Lingering::new(stream, limits.linger);
    let linger = stream.asked();
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, turned, closing) = (app.clone(), turned.clone(), answering.is_cancelled());
        let linger = linger.clone();
        async move {
            // Where two ends may disagree about the body's length, nothing may follow on the connection.
            let ambiguous = request.headers().contains_key(header::TRANSFER_ENCODING);
            let answer = tokio::time::timeout(limits.request_deadline, app.oneshot(request.map(Body::new))).await;
            let mut answer = match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    turned.requests.fetch_add(1, Ordering::Relaxed);
                    unavailable("the request took too long")
                }
            };
            // It may have come before the body was read.
            let is_refusal = answer.status().is_client_error() || answer.status().is_server_error();
            linger.store(is_refusal, Ordering::Relaxed);
            if ambiguous || closing || is_refusal {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_deadline)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("a connection ended early: {error}");
    }
}

/// 503 with the advice to come again.
pub fn unavailable(why: &str) -> Response<Body> {
    let body = serde_json::json!({"error": why, "field": null, "hint": "send it again later"}).to_string();
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    answer
}

/// Seconds after which a sender may come again.
pub const RETRY_AFTER_S: &str = "30";

/// How many connections each address has.
#[derive(Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

struct Seat(Option<(Arc<Peers>, IpAddr)>);

impl Peers {
    fn sit(self: Arc<Self>, ip: Option<IpAddr>, max: usize) -> Option<Seat> {
        let Some(ip) = ip.filter(|ip| !ip.to_canonical().is_loopback()) else { return Some(Seat(None)) };
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(ip).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(peers);
        Some(Seat(Some((self, ip))))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((peers, ip)) = &self.0 else { return };
        let mut peers = peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(ip) {
            *count -= 1;
            if *count == 0 {
                peers.remove(ip);
            }
        }
    }
}

/// Room for the bodies that are being read: all of them together, and each alone.
#[derive(Clone)]
pub struct Room {
    body_max_bytes: usize,
    in_flight: Arc<Semaphore>,
    turned: Arc<Turned>,
}

/// A body with the room it takes; dropped together.
pub struct Held {
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a body can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoBody {
    TooLarge,
    /// It ended early, was malformed, or stopped coming.
    Incomplete,
    /// Too many bytes are under way at once.
    NoRoom,
}

impl Room {
    pub fn new(body_max_bytes: usize, in_flight_max_bytes: usize, turned: Arc<Turned>) -> Room {
        let in_flight = Arc::new(Semaphore::new(in_flight_max_bytes.min(Semaphore::MAX_PERMITS)));
        Room { body_max_bytes, in_flight, turned }
    }

    /// Reads a whole body within the limits. Counts what it turns away.
    pub async fn read(&self, body: Body, deadline: Duration) -> Result<Held, NoBody> {
        let read = tokio::time::timeout(deadline, self.read_all(body)).await.unwrap_or(Err(NoBody::Incomplete));
        if read.is_err() {
            self.turned.bodies.fetch_add(1, Ordering::Relaxed);
        }
        read
    }

    async fn read_all(&self, mut body: Body) -> Result<Held, NoBody> {
        // A length over the cap is believed; one under it is not: room is taken as bytes arrive.
        if hyper::body::Body::size_hint(&body).lower() > self.body_max_bytes as u64 {
            return Err(NoBody::TooLarge);
        }
        let mut bytes = Vec::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| NoBody::Incomplete)?.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            if bytes.len() + data.len() > self.body_max_bytes {
                return Err(NoBody::TooLarge);
            }
            let more = u32::try_from(data.len()).map_err(|_| NoBody::TooLarge)?;
            let more = self.in_flight.clone().try_acquire_many_owned(more).map_err(|_| NoBody::NoRoom)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: Bytes::from(bytes), _room: room })
    }
}

#[cfg(test)]
mod tests;
