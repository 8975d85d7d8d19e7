//! A gateway that answers every question after a fixed time: the debit was successful.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::messages::transaction;
use crate::wire::wpg::encode;
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// What a gateway far away takes.
const LATENCY: Duration = Duration::from_millis(50);
const HEAD_MAX_BYTES: usize = 8 * 1024;

/// Lives on a thread of its own until the process ends.
pub struct Mock {
    pub address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Mock {
    pub fn start(now: Timestamp) -> anyhow::Result<Mock> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let answered = Arc::new(AtomicU64::new(0));
        let counter = answered.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("gateway".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                while let Ok((stream, _)) = listener.accept().await {
                    // A client that goes away ends its connection, no more.
                    tokio::spawn(answer_all(stream, now, counter.clone()));
                }
            });
        })?;
        Ok(Mock { address, answered })
    }

    /// Answers sent since the start.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

async fn answer_all(mut stream: TcpStream, now: Timestamp, answered: Arc<AtomicU64>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > HEAD_MAX_BYTES || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        tokio::time::sleep(LATENCY).await;
        let body = body(&String::from_utf8_lossy(&head), now);
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
        answered.fetch_add(1, Ordering::Relaxed);
        head.clear();
    }
}

fn body(head: &str, now: Timestamp) -> String {
    let asked = head.split_once("request_id=").map_or("", |(_, rest)| rest);
    let request_id = asked.split([' ', '&']).next().unwrap_or_default();
    let amount = Amount::parse("1.00", "EUR").ok();
    amount.map_or_else(String::new, |amount| encode::payment_xml(&transaction(request_id, amount, now)))
}
