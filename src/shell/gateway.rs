//! One request to a gateway and its answer. Only asks: the requests it sends are built by `wire`'s
//! retrieval modules, GETs, getOrderDetails and generateOrderNumber.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};

use super::config::Gateway;
use super::config::address;
use crate::core::account::{Account, Checkout, Contract};
use crate::core::look::{Answer, Outcome, Query};
use crate::wire::checkout::backend::{self, OrderNumberError};
use crate::wire::wpg::retrieve;
use crate::wire::{Key, checkout, wpg};
use crate::words::id::GatewayOrderNumber;
use crate::words::time::{SignedDuration, Timestamp};

/// From the first byte sent to the last received: a drip ends here.
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Below what gateways keep a connection for, so that we don't write into one they just closed.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Longest answer, in bytes.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// Installs the cryptography TLS uses. To be called once, before the first client is built.
pub fn install_tls() {
    // An error only says that it was installed before, which tests do.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that can be trusted with credentials: no redirects, no proxies of the environment, no
/// addresses inside our own network.
pub fn client(allow_private: bool, loopback: bool, idle_per_host_max: usize) -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .https_only(!loopback)
        .connect_timeout(CONNECT_DEADLINE)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(idle_per_host_max)
        .tcp_nodelay(true)
        .dns_resolver(Arc::new(Resolver { allow_private, loopback }))
        .user_agent(concat!("reconciled/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Resolves names and leaves out addresses nothing we ask lives at: a name that was ours can be made
/// to point into our own network.
struct Resolver {
    allow_private: bool,
    loopback: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_private, loopback) = (self.allow_private, self.loopback);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|at| address::may_reach(at.ip(), allow_private, loopback)).collect();
            if allowed.is_empty() {
                return Err("the name has no address we may talk to".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// How to ask one account's gateway.
pub struct Asker {
    client: Client,
    base_url: String,
    login: Login,
    deadline: Duration,
}

enum Login {
    Wpg {
        authorization: Option<HeaderValue>,
    },
    Checkout {
        contract: Checkout,
        password: SecretString,
        secret: SecretString,
    },
    /// Nothing is configured to ask with.
    None,
}

impl Asker {
    pub fn new(account: &Account, gateway: &Gateway, key: Option<&Key>) -> Result<Asker, reqwest::Error> {
        let loopback = address::is_loopback(&gateway.base_url);
        let login = match &account.contract {
            Contract::Wpg(_) => {
                let both = gateway.user.as_deref().zip(gateway.password.as_ref());
                Login::Wpg { authorization: both.and_then(|(user, password)| basic(user, password)) }
            }
            Contract::Checkout(contract) => match (&gateway.password, key) {
                (Some(password), Some(key)) => Login::Checkout {
                    contract: contract.clone(),
                    password: password.clone(),
                    secret: key.secret.clone(),
                },
                _ => Login::None,
            },
        };
        Ok(Asker {
            client: client(gateway.allow_private_address, loopback, gateway.lanes_max)?,
            base_url: gateway.base_url.as_str().trim_end_matches('/').to_owned(),
            login,
            deadline: REQUEST_DEADLINE,
        })
    }

    /// Asks one question. Whatever goes wrong is an answer too: it says nothing about the payment.
    pub async fn ask(&self, query: &Query, wall: Timestamp) -> Answer {
        let request = match self.request(query) {
            Ok(request) => request,
            Err(why) => return told(query, Outcome::Refused { why }),
        };
        match tokio::time::timeout(self.deadline, send(request)).await {
            Err(_) => {
                let why = format!("no whole answer within {} ms", self.deadline.as_millis());
                told(query, Outcome::Unavailable { why, retry_after: None })
            }
            Ok(Err(why)) => told(query, Outcome::Unavailable { why, retry_after: None }),
            Ok(Ok(received)) => self.read(query, &received, wall),
        }
    }

    /// Asks for a gateway order number (generateOrderNumber). Moves no money and starts no payment; a number that
    /// is never used harms nobody.
    pub async fn order_number(&self) -> Result<GatewayOrderNumber, OrderNumberError> {
        let Login::Checkout { contract, password, secret } = &self.login else {
            return Err(OrderNumberError::Refused { why: "no back-end password is configured".into() });
        };
        let request = backend::generate_order_number(&credentials(contract, password, secret));
        match tokio::time::timeout(self.deadline, send(self.post(request))).await {
            Err(_) => Err(OrderNumberError::Unavailable {
                why: format!("no whole answer within {} ms", self.deadline.as_millis()),
            }),
            Ok(Err(why)) => Err(OrderNumberError::Unavailable { why }),
            Ok(Ok(received)) => backend::read_order_number(received.status, &received.body),
        }
    }

    fn post(&self, request: backend::Request) -> RequestBuilder {
        self.client
            .post(format!("{}{}", self.base_url, request.path))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(request.body)
    }

    fn request(&self, query: &Query) -> Result<RequestBuilder, String> {
        match &self.login {
            Login::Wpg { authorization } => {
                let request = retrieve::request(&self.base_url, query).map_err(|e| e.to_string())?;
                let mut headers = HeaderMap::new();
                headers.insert(ACCEPT, HeaderValue::from_static(request.accept));
                let authorization = authorization.clone().ok_or("no user and password are configured")?;
                headers.insert(AUTHORIZATION, authorization);
                Ok(self.client.get(request.url).headers(headers))
            }
            Login::Checkout { contract, password, secret } => {
                let Query::OrderDetails { gateway_order_number } = query else {
                    return Err("a checkout gateway answers getOrderDetails only".into());
                };
                let credentials = credentials(contract, password, secret);
                Ok(self.post(backend::order_details(&credentials, gateway_order_number)))
            }
            Login::None => Err("no back-end password is configured".into()),
        }
    }

    fn read(&self, query: &Query, received: &Received, wall: Timestamp) -> Answer {
        let status = received.status;
        // A redirect would carry our credentials elsewhere, and an error page is no answer.
        let mut answer = if (300..400).contains(&status) {
            told(
                query,
                Outcome::Unavailable { why: format!("http {status}: a redirect, not followed"), retry_after: None },
            )
        } else {
            match self.login {
                Login::Wpg { .. } | Login::None => {
                    wpg::retrieve::answer(query, status, received.content_type.as_deref(), &received.body)
                }
                Login::Checkout { .. } => checkout::backend::answer(query, status, &received.body),
            }
        };
        if let Outcome::Unavailable { retry_after, .. } = &mut answer.outcome {
            *retry_after = received.retry_after.as_deref().and_then(|text| read_retry_after(text, wall));
        }
        answer
    }
}

fn credentials<'a>(
    contract: &'a Checkout,
    password: &'a SecretString,
    secret: &'a SecretString,
) -> backend::Credentials<'a> {
    backend::Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: password.expose_secret(),
        secret: secret.expose_secret(),
        algorithm: contract.algorithm,
    }
}

fn told(query: &Query, outcome: Outcome) -> Answer {
    Answer { query: query.clone(), outcome, transactions: Vec::new(), digest: None }
}

fn basic(user: &str, password: &SecretString) -> Option<HeaderValue> {
    use base64::Engine as _;
    let login = format!("{user}:{}", password.expose_secret());
    let encoded = base64::engine::general_purpose::STANDARD.encode(login);
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

struct Received {
    status: u16,
    content_type: Option<String>,
    retry_after: Option<String>,
    body: Vec<u8>,
}

async fn send(request: RequestBuilder) -> Result<Received, String> {
    let mut response = request.send().await.map_err(cause)?;
    let header = |name| response.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok()).map(str::to_owned);
    let (content_type, retry_after) = (header(CONTENT_TYPE), header(RETRY_AFTER));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(cause)? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(format!("the answer is longer than {ANSWER_MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status: response.status().as_u16(), content_type, retry_after, body })
}

/// Why a request got no answer. Without the URL: ids in it belong to the shop, and the error goes to the journal.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let kind = if error.is_connect() { "can't connect" } else { "the answer broke off" };
    match std::error::Error::source(&error) {
        Some(cause) => format!("{kind}: {}", root(cause)),
        None => kind.to_owned(),
    }
}

fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(200).collect()
}

/// `Retry-After`: seconds, or a date.
fn read_retry_after(text: &str, wall: Timestamp) -> Option<SignedDuration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(SignedDuration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    Some(at.duration_since(wall).max(SignedDuration::ZERO))
}

#[cfg(test)]
mod tests;
