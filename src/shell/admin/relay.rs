//! What waits to be passed on to a shop, and what a person does about it.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::{Admin, Answer, down, json, refused};
use crate::shell::json_fields::refusal;
use crate::words::id::MerchantName;

pub fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/relay/{merchant}", get(waiting))
        .route("/v1/relay/{merchant}/retry", post(retry))
        .route("/v1/relay/{merchant}/{number}/give-up", post(give_up))
}

fn unknown() -> Answer {
    refused(StatusCode::NOT_FOUND, refusal("nothing waits under this name and number", None, None))
}

async fn waiting(
    State(admin): State<Admin>,
    Path(merchant): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let Ok(merchant) = MerchantName::new(&merchant) else { return unknown() };
    admin.page(query, move |engine, view, now, after, limit| engine.relays(view, &merchant, after, limit, now)).await
}

async fn retry(State(admin): State<Admin>, Path(merchant): Path<String>) -> Answer {
    let Ok(merchant) = MerchantName::new(&merchant) else { return unknown() };
    match admin.writer.retry_relays(merchant).await {
        Ok(count) => json(StatusCode::ACCEPTED, &json!({"brought_forward": count})),
        Err(_) => down(),
    }
}

async fn give_up(State(admin): State<Admin>, Path((merchant, number)): Path<(String, String)>) -> Answer {
    let (Ok(merchant), Ok(number)) = (MerchantName::new(&merchant), number.parse()) else { return unknown() };
    match admin.writer.give_up_relay(merchant, number).await {
        Ok(true) => json(StatusCode::OK, &json!({"given_up": number})),
        Ok(false) => unknown(),
        Err(_) => down(),
    }
}
