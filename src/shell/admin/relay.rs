//! What waits to be passed on to a shop, and what a person does about it.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::{Admin, Answer, down, json, refused};
use crate::shell::json_fields::refusal;
use crate::shell::submission_json;
use crate::words::id::MerchantName;

pub fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/relay/{merchant}", get(waiting))
        .route("/v1/relay/{merchant}/retry", post(retry))
        .route("/v1/relay/{merchant}/{number}/give-up", post(give_up))
}

fn nothing() -> Answer {
    refused(StatusCode::NOT_FOUND, refusal("nothing waits under this name and number", None, None))
}

fn no_such_account(admin: &Admin) -> Answer {
    refused(StatusCode::NOT_FOUND, submission_json::no_such_account(&admin.writer.engine.policy.accounts))
}

/// The account of a name: one that is configured, or for which something waits since it was.
async fn account(admin: &Admin, name: &str) -> Result<MerchantName, Answer> {
    let Ok(merchant) = MerchantName::new(name) else { return Err(no_such_account(admin)) };
    if admin.writer.engine.policy.accounts.contains_key(&merchant) {
        return Ok(merchant);
    }
    let of = merchant.clone();
    let waits = admin.writer.read(move |engine, view, now| engine.relays(view, &of, 0, 1, now)).await;
    match waits {
        Ok(Ok(page)) if page.items.is_empty() => Err(no_such_account(admin)),
        Ok(Ok(_)) => Ok(merchant),
        Ok(Err(fault)) => {
            tracing::error!("a reading failed: {fault}");
            Err(refused(StatusCode::INTERNAL_SERVER_ERROR, refusal(fault.to_string(), None, None)))
        }
        Err(_) => Err(down()),
    }
}

async fn waiting(
    State(admin): State<Admin>,
    Path(merchant): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let merchant = match account(&admin, &merchant).await {
        Ok(merchant) => merchant,
        Err(answer) => return answer,
    };
    admin.page(query, move |engine, view, now, after, limit| engine.relays(view, &merchant, after, limit, now)).await
}

async fn retry(State(admin): State<Admin>, Path(merchant): Path<String>) -> Answer {
    let merchant = match account(&admin, &merchant).await {
        Ok(merchant) => merchant,
        Err(answer) => return answer,
    };
    match admin.writer.retry_relays(merchant).await {
        Ok(count) => json(StatusCode::ACCEPTED, &json!({"brought_forward": count})),
        Err(_) => down(),
    }
}

async fn give_up(State(admin): State<Admin>, Path((merchant, number)): Path<(String, String)>) -> Answer {
    let Ok(merchant) = MerchantName::new(&merchant) else { return no_such_account(&admin) };
    let Ok(number) = number.parse() else { return admin.or_no_account(&merchant, nothing()) };
    let name = merchant.clone();
    match admin.writer.give_up_relay(merchant, number).await {
        Ok(true) => json(StatusCode::OK, &json!({"given_up": number})),
        Ok(false) => admin.or_no_account(&name, nothing()),
        Err(_) => down(),
    }
}
