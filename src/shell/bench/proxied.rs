//! What the recording proxy adds to a payment: the same request to the same gateway with and without it, and one
//! commit alone, in turns.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Extent;
use super::client::{self, Connection, To};
use super::figure::{Figure, Required, quantile};
use super::latency::timed;
use super::messages::{ACCOUNT, CARD, MERCHANT, amount, request_id, submission};
use super::place::Place;
use super::server::Server;
use crate::shell::config::proxy::{Proxy, Times, WhenNotKept};
use crate::shell::proxy;
use crate::words::id::MerchantName;

/// Longest request of the benchmark, in bytes.
const REQUEST_MAX_BYTES: usize = 64 * 1024;
const NEVER: Duration = Duration::from_secs(60);
/// What the proxy may add to its commit.
const BEYOND_COMMIT_MAX_MS: f64 = 1.0;

pub fn proxied(dir: &Path, extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let place = Place::new(dir, "http://127.0.0.1:9")?;
    let server = Server::that_keeps(&place)?;
    let writer = server.writer.clone().context("a server that keeps has a writer")?;
    let gateway = gateway()?;
    let bound = proxy::bind(
        &[Proxy {
            merchant: MerchantName::new(MERCHANT)?,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            upstream: format!("http://{gateway}").parse()?,
            allow_private_address: false,
            when_not_kept: WhenNotKept::FailClosed,
            connections_max: 8,
            times: Times { keep: NEVER, connect: NEVER, answer: NEVER, idle: NEVER },
        }],
        &mut Vec::new(),
    )?;
    let listener = bound.first().context("one proxy has one listener")?.address;
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    server.runtime.block_on(async { proxy::start(bound, &writer, &tracker, &stop) })?;

    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut straight = client.block_on(Connection::open(&To::Tcp(gateway)))?;
    let mut through = client.block_on(Connection::open(&To::Tcp(listener)))?;
    let (mut direct, mut passed, mut committed) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..extent.singles as u64 {
        let request = client::post("/engine/rest/payments/", &payment(n)?);
        direct.push(timed(|| client.block_on(straight.ask(&request)))?);
        // The commit of the answer before must not be in the way of this one.
        client.block_on(writer.ping())?;
        passed.push(timed(|| client.block_on(through.ask(&request)))?);
        client.block_on(writer.ping())?;
        let alone = submission(n + extent.singles as u64, CARD)?;
        committed.push(timed(|| {
            client.block_on(writer.submit(alone))?;
            Ok(())
        })?);
    }
    stop.cancel();
    let mut figures = Vec::new();
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        let [direct, passed, committed] = [&direct, &passed, &committed].map(|times| quantile(times.clone(), part));
        let added = passed - direct;
        let figure = |what: &str, value: f64| {
            Figure::of_rounds(format!("{what}, {name}"), "ms", "one commit alone", &[(value, committed)])
        };
        figures.push(figure("the proxy adds to a payment", added));
        let beyond = figure("of that, beyond the commit", added - committed);
        figures.push(if part == 0.5 { beyond.requires(Required::ValueAtMost(BEYOND_COMMIT_MAX_MS)) } else { beyond });
    }
    Ok(figures)
}

fn payment(n: u64) -> anyhow::Result<String> {
    let (id, amount) = (request_id(n), amount(n)?);
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><payment xmlns=\"http://www.elastic-payments.com/schema/payment\">\
         <merchant-account-id>{ACCOUNT}</merchant-account-id><request-id>{id}</request-id>\
         <transaction-type>authorization</transaction-type>\
         <requested-amount currency=\"{}\">{}</requested-amount><account-holder><first-name>A</first-name>\
         <last-name>B</last-name></account-holder><order-number>100{n:07}</order-number>\
         <payment-methods><payment-method name=\"creditcard\"/></payment-methods></payment>",
        amount.currency(),
        amount.value_text(),
    ))
}

/// A gateway that answers at once, on a thread of its own until the process ends.
fn gateway() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("gateway".to_owned()).spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away ends its connection, no more.
                tokio::spawn(answer_all(stream));
            }
        });
    })?;
    Ok(address)
}

async fn answer_all(mut stream: TcpStream) -> std::io::Result<()> {
    const ANSWER: &[u8] =
        b"HTTP/1.1 201 Created\r\nContent-Type: application/xml\r\nContent-Length: 10\r\n\r\n<payment/>";
    stream.set_nodelay(true)?;
    let mut heard = Vec::new();
    loop {
        while !heard.ends_with(b"</payment>") {
            if heard.len() > REQUEST_MAX_BYTES || stream.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
        }
        stream.write_all(ANSWER).await?;
        heard.clear();
    }
}
