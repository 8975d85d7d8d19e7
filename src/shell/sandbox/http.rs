//! HTTP for the sandbox and the demo: a small server, and a client that speaks over TCP or a Unix socket.
//! Loopback and plain text only; the daemon's own listeners are elsewhere.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Longest body the sandbox reads, in bytes.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;
/// Connections served at once.
pub const CONNECTIONS_MAX: usize = 512;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What to answer; `None` closes the connection without an answer.
pub type Told = Option<Response<Sending>>;

/// A body that is sent whole, or broken off: announced in full, and the connection closed after a part of it.
pub struct Sending {
    rest: Option<Bytes>,
    end: End,
}

/// How a body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// It breaks off, once what was sent before is on the wire.
    Breaks {
        is_flushed: bool,
    },
}

impl Sending {
    fn whole(body: Vec<u8>) -> Sending {
        Sending { rest: Some(Bytes::from(body)), end: End::Whole }
    }

    /// The first half of a body.
    fn half(body: &[u8]) -> Sending {
        Sending { rest: Some(Bytes::copy_from_slice(&body[..body.len() / 2])), end: End::Breaks { is_flushed: false } }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = HangUp;

    fn poll_frame(mut self: Pin<&mut Self>, turn: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HangUp>>> {
        if let Some(rest) = self.rest.take().filter(|rest| !rest.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            // The server writes out what it has whenever a body makes it wait.
            End::Breaks { is_flushed: false } => {
                self.end = End::Breaks { is_flushed: true };
                turn.waker().wake_by_ref();
                Poll::Pending
            }
            End::Breaks { is_flushed: true } => Poll::Ready(Some(Err(HangUp))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.end == End::Whole && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Whole => SizeHint::with_exact(self.rest.as_ref().map_or(0, |rest| rest.len() as u64)),
            End::Breaks { .. } => SizeHint::default(),
        }
    }
}

/// Serves until told to stop. `answer` may take its time: each connection has its own task.
pub async fn serve<F, Fut>(listener: TcpListener, stop: CancellationToken, answer: F)
where
    F: Fn(Asked) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Told> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, most likely: let some connections end.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (answer, stop) = (answer.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request| one(answer.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                // A peer that went away is no news to a simulated gateway.
                _ = connection => {}
            }
        });
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer, as asked")]
pub struct HangUp;

async fn one<F, Fut>(answer: F, request: Request<Incoming>) -> Result<Response<Sending>, HangUp>
where
    F: Fn(Asked) -> Fut,
    Fut: Future<Output = Told>,
{
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX_BYTES).collect().await else {
        return Ok(plain(413, "the body is too long or broke off\n"));
    };
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let asked = Asked {
        method: parts.method.as_str().to_owned(),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        headers: headers.collect(),
        body: body.to_bytes().to_vec(),
    };
    answer(asked).await.ok_or(HangUp)
}

/// A short text as an answer.
pub fn plain(status: u16, text: &str) -> Response<Sending> {
    answer(status, Some("text/plain; charset=utf-8"), &[], text.as_bytes().to_vec())
}

/// JSON as an answer.
pub fn json(status: u16, value: &serde_json::Value) -> Response<Sending> {
    answer(status, Some("application/json"), &[], format!("{value}\n").into_bytes())
}

/// An answer from its parts. A status or header that is none becomes a 500.
pub fn answer(
    status: u16,
    content_type: Option<&str>,
    headers: &[(HeaderName, String)],
    body: Vec<u8>,
) -> Response<Sending> {
    let mut response = Response::builder().status(status);
    if let Some(content_type) = content_type {
        response = response.header(CONTENT_TYPE, content_type);
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Sending::whole(body)).unwrap_or_else(|_| {
        let mut broken = Response::new(Sending::whole(Vec::new()));
        *broken.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}

/// The same answer, its body announced in full and broken off in the middle.
pub fn broken_off(
    status: u16,
    content_type: Option<&str>,
    headers: &[(HeaderName, String)],
    body: &[u8],
) -> Response<Sending> {
    let length = [(CONTENT_LENGTH, body.len().to_string())];
    let headers: Vec<_> = headers.iter().chain(&length).cloned().collect();
    answer(status, content_type, &headers, Vec::new()).map(|_| Sending::half(body))
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

/// One request of ours.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub content_type: &'a str,
    pub body: Vec<u8>,
}

/// Status and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Got {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("can't connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("the exchange broke off: {0}")]
    Broken(#[source] hyper::Error),
    #[error("the request can't be written: {0}")]
    Request(#[source] hyper::http::Error),
    #[error("the answer is longer than {BODY_MAX_BYTES} bytes, or broke off")]
    Body,
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
}

/// Sends one request on a connection of its own and reads the whole answer.
pub async fn send(peer: &Peer, ask: Ask<'_>, timeout: Duration) -> Result<Got, NoAnswer> {
    let exchange = async {
        match peer {
            Peer::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(NoAnswer::Connect)?;
                exchange(stream, address, ask).await
            }
            Peer::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(NoAnswer::Connect)?;
                exchange(stream, "localhost", ask).await
            }
        }
    };
    tokio::time::timeout(timeout, exchange).await.map_err(|_| NoAnswer::TooSlow(timeout))?
}

async fn exchange<S>(stream: S, host: &str, ask: Ask<'_>) -> Result<Got, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(NoAnswer::Broken)?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(ask.method)
        .uri(ask.target)
        .header(HOST, host)
        .header(CONTENT_TYPE, ask.content_type)
        .body(Full::<Bytes>::from(ask.body))
        .map_err(NoAnswer::Request)?;
    let response = sender.send_request(request).await.map_err(NoAnswer::Broken)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_MAX_BYTES).collect().await.map_err(|_| NoAnswer::Body)?;
    drop(sender);
    connection.abort();
    Ok(Got { status, body: body.to_bytes().to_vec() })
}

/// Splits `http://host:port/path` into where to connect and what to ask for.
pub fn split_url(url: &str) -> Option<(Peer, String)> {
    let uri: hyper::Uri = url.parse().ok()?;
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let authority = uri.authority()?;
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    Some((Peer::Tcp(address), uri.path_and_query().map_or("/".to_owned(), ToString::to_string)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect() {
        assert_eq!(
            split_url("http://127.0.0.1:8080/ipn/shop-eu?x=1"),
            Some((Peer::Tcp("127.0.0.1:8080".into()), "/ipn/shop-eu?x=1".into()))
        );
        assert_eq!(split_url("https://shop.example/ipn"), None, "the sandbox speaks plain http only");
    }

    #[tokio::test]
    async fn a_question_is_answered_and_a_hang_up_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = Peer::Tcp(listener.local_addr().expect("bound").to_string());
        let stop = CancellationToken::new();
        let server = serve(listener, stop.clone(), |asked: Asked| async move {
            match asked.target.as_str() {
                "/hang-up" => None,
                "/half" => Some(broken_off(200, Some("text/plain"), &[], b"0123456789")),
                _ => Some(plain(200, &format!("{} {}", asked.method, asked.body.len()))),
            }
        });
        let server = tokio::spawn(server);
        let ask = |target| Ask { method: "POST", target, content_type: "text/plain", body: b"abc".to_vec() };
        let got = send(&peer, ask("/"), Duration::from_secs(5)).await.expect("an answer");
        assert_eq!(got, Got { status: 200, body: b"POST 3".to_vec() });
        assert!(matches!(send(&peer, ask("/hang-up"), Duration::from_secs(5)).await, Err(NoAnswer::Broken(_))));
        assert!(matches!(send(&peer, ask("/half"), Duration::from_secs(5)).await, Err(NoAnswer::Body)));
        stop.cancel();
        server.await.expect("stops");
    }
}
