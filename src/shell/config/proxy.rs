//! `[merchants.NAME.proxy]`: where the recording proxy listens for the shop, and where it passes what it hears.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;

use super::{Problem, Reading, address, raw};
use crate::words::id::MerchantName;

/// One listener of the recording proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub merchant: MerchantName,
    /// Loopback only: the shop's requests carry card numbers and credentials in the clear.
    pub listen: SocketAddr,
    /// Scheme, host and port. The path is the shop's.
    pub upstream: Url,
    pub allow_private_address: bool,
    pub when_not_kept: WhenNotKept,
    /// Connections of the shop at once.
    pub connections_max: usize,
    pub times: Times,
}

/// What becomes of a request that can't be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenNotKept {
    /// It passes, and a person is told: the shop goes on selling.
    FailOpen,
    /// It is answered 503 and does not pass: nothing is sold that nobody looks after.
    FailClosed,
}

impl WhenNotKept {
    pub fn name(self) -> &'static str {
        match self {
            WhenNotKept::FailOpen => "fail-open",
            WhenNotKept::FailClosed => "fail-closed",
        }
    }
}

/// How long the proxy waits, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// For a submission to be durable.
    pub keep: Duration,
    /// For a connection to the gateway, TLS included.
    pub connect: Duration,
    /// For the gateway's next byte, once it has the request.
    pub answer: Duration,
    /// For the shop: its next request on an open connection, or its next byte within one.
    pub idle: Duration,
}

const KEEP: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(10);
/// Above what gateways and acquirers take, so that the shop's own time-out is the one that ends it.
const ANSWER: Duration = Duration::from_secs(120);
const IDLE: Duration = Duration::from_secs(60);
/// No wait may be longer: it holds a connection.
const TIME_MAX: Duration = Duration::from_secs(600);
const CONNECTIONS: usize = 256;
/// Each may hold a body and an answer.
const CONNECTIONS_MAX: usize = 4096;

/// Checks the listeners of one account. `base_url` is the account's own.
pub(super) fn check(
    reading: &Reading,
    merchant: &MerchantName,
    raw: &raw::Proxy,
    base_url: &Url,
    allow_private_address: bool,
) -> Result<Vec<Proxy>, Problem> {
    let at = |key: &str| format!("merchants.{merchant}.proxy.{key}");
    let when_not_kept = match raw.when_not_kept.as_deref() {
        None | Some("fail-open") => WhenNotKept::FailOpen,
        Some("fail-closed") => WhenNotKept::FailClosed,
        Some(_) => {
            return Err(reading.problem(at("when_not_kept"), "expected \"fail-open\" or \"fail-closed\""));
        }
    };
    let time = |key: &str, text: &Option<String>, default: Duration| {
        let Some(text) = text else { return Ok(default) };
        let told = reading.duration(&at(key), text)?;
        Duration::try_from(told)
            .ok()
            .filter(|told| *told <= TIME_MAX)
            .ok_or_else(|| reading.problem(at(key), format!("must be at most {}s", TIME_MAX.as_secs())))
    };
    let times = Times {
        keep: time("keep_timeout", &raw.keep_timeout, KEEP)?,
        connect: time("connect_timeout", &raw.connect_timeout, CONNECT)?,
        answer: time("answer_timeout", &raw.answer_timeout, ANSWER)?,
        idle: time("idle_timeout", &raw.idle_timeout, IDLE)?,
    };
    let connections_max = raw.connections_max.unwrap_or(CONNECTIONS);
    reading.at_least(&at("connections_max"), connections_max as u64, 1)?;
    if connections_max > CONNECTIONS_MAX {
        return Err(reading.problem(at("connections_max"), format!("must be at most {CONNECTIONS_MAX}")));
    }
    let own = match &raw.upstream {
        Some(text) => upstream(reading, &at("upstream"), text, allow_private_address)?,
        None => origin(base_url),
    };
    let mut listeners = vec![(at("listen"), listen(reading, &at("listen"), &raw.listen)?, own)];
    for (n, also) in raw.also.iter().enumerate() {
        let key = |name: &str| at(&format!("also[{n}].{name}"));
        let address = listen(reading, &key("listen"), &also.listen)?;
        let upstream = upstream(reading, &key("upstream"), &also.upstream, allow_private_address)?;
        listeners.push((key("listen"), address, upstream));
    }
    listeners
        .into_iter()
        .map(|(key, listen, upstream)| {
            if is_at(&upstream, listen) {
                return Err(reading.problem(key, "is the upstream itself: it would pass requests to itself for ever"));
            }
            let merchant = merchant.clone();
            Ok(Proxy { merchant, listen, upstream, allow_private_address, when_not_kept, connections_max, times })
        })
        .collect()
}

/// No two listeners of the file may want one address, and none may pass to another one of them.
pub(super) fn check_together(
    reading: &Reading,
    proxies: &[Proxy],
    others: &[(&str, SocketAddr)],
) -> Result<(), Problem> {
    let mut taken: Vec<(String, SocketAddr)> =
        others.iter().map(|(key, address)| ((*key).to_owned(), *address)).collect();
    for proxy in proxies {
        let key = format!("merchants.{}.proxy", proxy.merchant);
        let meets = |other: &SocketAddr| {
            let same_ip = other.ip() == proxy.listen.ip() || other.ip().is_unspecified();
            other.port() == proxy.listen.port() && other.port() != 0 && same_ip
        };
        if let Some((other, address)) = taken.iter().find(|(_, address)| meets(address)) {
            return Err(reading.problem(key, format!("can't listen on {}: {other} has {address}", proxy.listen)));
        }
        taken.push((key, proxy.listen));
    }
    for proxy in proxies {
        if let Some((other, _)) = taken.iter().find(|(_, address)| is_at(&proxy.upstream, *address)) {
            let key = format!("merchants.{}.proxy", proxy.merchant);
            return Err(reading.problem(key, format!("passes to {}, where {other} listens", proxy.upstream)));
        }
    }
    Ok(())
}

fn listen(reading: &Reading, key: &str, text: &str) -> Result<SocketAddr, Problem> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| reading.problem(key, "not an address").hint("such as \"127.0.0.1:8191\"; port 0 takes any"))?;
    if !address.ip().is_loopback() {
        return Err(reading
            .problem(key, "must be a loopback address")
            .hint("requests come with card numbers and passwords in the clear: run the proxy on the shop's machine"));
    }
    Ok(address)
}

fn upstream(reading: &Reading, key: &str, text: &str, allow_private: bool) -> Result<Url, Problem> {
    let url = address::base_url(text, allow_private).map_err(|e| reading.problem(key, e.to_string()))?;
    if url.path() != "/" {
        return Err(reading
            .problem(key, "must not hold a path: requests pass with the path the shop sends")
            .hint("leave the path to the shop's own gateway URL, such as \"http://127.0.0.1:8191/ee\""));
    }
    Ok(url)
}

/// The URL without its path.
fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin
}

fn is_at(url: &Url, address: SocketAddr) -> bool {
    address.port() != 0 && address::is_loopback(url) && url.port_or_known_default() == Some(address.port())
}
