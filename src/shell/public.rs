//! The public listener: two routes, on which gateways push notifications. Keep first, thank second;
//! what a message is worth is judged later.
//!
//! The answers (never 401 or 403, which a gateway might take as final):
//!
//! | what happened | wpg | checkout |
//! |---|---|---|
//! | durably kept, readable or not | 200 | 200 with the OK token |
//! | incomplete | 400 | 400 |
//! | over the cap | 413 | 413 |
//! | not kept: store down, no room | 503 | 503 with the NOK token |

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::post;

use super::http::{NoBody, RETRY_AFTER_S, Room};
use super::writer::Writer;
use crate::core::account::Account;
use crate::core::message::Dialect;
use crate::engine::{Incoming, Kept};
use crate::wire::checkout::{reply_nok, reply_ok};
use crate::words::id::MerchantName;

/// How long a body may take to arrive; leaves time within the request's deadline to keep it.
const BODY_DEADLINE: Duration = Duration::from_secs(7);
/// Longest Content-Type we keep, in bytes.
const CONTENT_TYPE_MAX_BYTES: usize = 200;

#[derive(Clone)]
struct Public {
    writer: Writer,
    room: Room,
    body_deadline: Duration,
}

pub fn router(writer: Writer, room: Room) -> Router {
    router_with(writer, room, BODY_DEADLINE)
}

fn router_with(writer: Writer, room: Room, body_deadline: Duration) -> Router {
    Router::new()
        .route("/ipn/{merchant}", post(|s, p, h, b| notified(Dialect::Wpg, s, p, h, b)))
        .route("/confirm/{merchant}", post(|s, p, h, b| notified(Dialect::Checkout, s, p, h, b)))
        .with_state(Public { writer, room, body_deadline })
}

async fn notified(
    dialect: Dialect,
    State(public): State<Public>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let accounts = &public.writer.engine.policy.accounts;
    let account = MerchantName::new(&name).ok().and_then(|name| accounts.get(&name));
    let Some(account) = account.filter(|account| account.dialect() == dialect) else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    let held = match public.room.read(body, public.body_deadline).await {
        Ok(held) if held.bytes.is_empty() => return plain(StatusCode::BAD_REQUEST, ""),
        Ok(held) => held,
        Err(NoBody::TooLarge) => return plain(StatusCode::PAYLOAD_TOO_LARGE, ""),
        Err(NoBody::Incomplete) => return plain(StatusCode::BAD_REQUEST, ""),
        Err(NoBody::NoRoom) => return not_kept(account),
    };
    let incoming = Incoming {
        merchant: account.name.clone(),
        body: held.bytes.to_vec(),
        content_type: content_type(&headers),
        way: "http",
    };
    match public.writer.receive(incoming).await {
        Ok(Kept::Kept { .. }) => match dialect {
            Dialect::Wpg => plain(StatusCode::OK, ""),
            Dialect::Checkout => plain(StatusCode::OK, reply_ok()),
        },
        Ok(Kept::Full) | Err(_) => not_kept(account),
    }
}

fn not_kept(account: &Account) -> Response<Body> {
    let token = match account.dialect() {
        Dialect::Wpg => String::new(),
        Dialect::Checkout => reply_nok("not stored, send it again"),
    };
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, token);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    answer
}

fn plain(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// What the sender calls its body, for people to read.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.chars().take(CONTENT_TYPE_MAX_BYTES).collect())
}

#[cfg(test)]
mod tests;
