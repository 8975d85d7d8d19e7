//! The least HTTP client that keeps connections open: what it costs is taken from what is measured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Longest answer, in bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Where requests go.
#[derive(Clone, Debug)]
pub enum To {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct Connection {
    stream: Box<dyn Stream>,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(to: &To) -> anyhow::Result<Connection> {
        let stream: Box<dyn Stream> = match to {
            To::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            To::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        Ok(Connection { stream, answer: Vec::with_capacity(1024) })
    }

    /// Sends one request and reads its answer whole; anything but a 2xx is an error.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server hung up");
            }
            if is_whole(&self.answer)? {
                break;
            }
        }
        if !self.answer.starts_with(b"HTTP/1.1 2") {
            bail!("answered {}", String::from_utf8_lossy(&self.answer));
        }
        Ok(())
    }
}

fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    if answer.len() > ANSWER_MAX_BYTES {
        bail!("an answer of more than {ANSWER_MAX_BYTES} bytes");
    }
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lengths = head.lines().filter_map(|line| line.split_once(':'));
    let length = lengths.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.context("an answer without a length")?.1.trim().parse()?;
    Ok(answer.len() >= end + 4 + length)
}

/// Sends all requests over so many connections, each as fast as it is answered. Returns how long it took
/// from the first request to the last answer; connections are open before.
pub fn all(to: &To, requests: &Arc<Vec<Vec<u8>>>, connections: usize) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut opened = Vec::new();
        for _ in 0..connections {
            opened.push(Connection::open(to).await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let since = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for mut connection in opened {
            let (requests, next) = (requests.clone(), next.clone());
            tasks.spawn(async move {
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    connection.ask(request).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(since.elapsed())
    })
}
