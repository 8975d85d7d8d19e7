//! Sends one request, once.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;

use super::request::{Outgoing, base64_of};
use crate::shell::config::{Gateway, address};
use crate::shell::gateway::{client, install_tls};

/// Gateways cut such requests after 30 s (fact sheet wpg a.5); what has not answered by then never will.
const ANSWER_DEADLINE: Duration = Duration::from_secs(45);
/// Longest answer, in bytes.
const ANSWER_MAX_BYTES: usize = 512 * 1024;

/// What came of sending.
pub enum Sent {
    Answered {
        http_status: u16,
        body: String,
    },
    /// It went out, or may have; no whole answer came.
    NoAnswer {
        why: String,
    },
    /// No connection was made: it did not go out.
    Stayed {
        why: String,
    },
}

/// Sends the request and waits for its answer. Never repeats it.
pub async fn send(gateway: &Gateway, outgoing: &Outgoing) -> Sent {
    install_tls();
    let loopback = address::is_loopback(&gateway.base_url);
    let client = match client(gateway.allow_private_address, loopback, 1) {
        Ok(client) => client,
        Err(why) => return Sent::Stayed { why: format!("no client can be made: {why}") },
    };
    let mut request = client.post(&outgoing.url).header(CONTENT_TYPE, outgoing.content_type);
    match &outgoing.basic {
        Some((user, password)) => {
            let login = base64_of(&format!("{user}:{}", password.expose_secret()));
            let Ok(mut value) = HeaderValue::from_str(&format!("Basic {login}")) else {
                return Sent::Stayed { why: "user and password make no header".to_owned() };
            };
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value).header(ACCEPT, "application/xml");
        }
        None => request = request.header(CONNECTION, "close"),
    }
    let request = request.body(outgoing.body.clone());
    match tokio::time::timeout(ANSWER_DEADLINE, answered(request)).await {
        Ok(sent) => sent,
        Err(_) => Sent::NoAnswer { why: format!("no whole answer within {} s", ANSWER_DEADLINE.as_secs()) },
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Sent {
    let mut response = match request.send().await {
        Ok(response) => response,
        // The connection was never made, so not one byte of the request went out.
        Err(error) if error.is_connect() => return Sent::Stayed { why: told(error) },
        Err(error) => return Sent::NoAnswer { why: told(error) },
    };
    let http_status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_MAX_BYTES => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                return Sent::NoAnswer { why: format!("the answer is longer than {ANSWER_MAX_BYTES} bytes") };
            }
            Err(error) => return Sent::NoAnswer { why: format!("the answer broke off: {}", told(error)) },
        }
    }
    Sent::Answered { http_status, body: String::from_utf8_lossy(&body).into_owned() }
}

/// The root of an error, without the URL.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(200).collect()
}
