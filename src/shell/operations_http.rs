//! The daemon's part of an operation that moves money: check it, journal it, take what came of it. It sends none.
//!
//! ```text
//! POST /v1/operations              {"wish": {…}}                       → 200 {"plan", "payment"}: what would be sent
//! POST /v1/operations              {"wish", "expected", "request_id", "made_number", "by"} → 201 {"operation"}
//! POST /v1/operations/N/answer     {"http_status", "body"} | {"no_answer"} | {"not_sent"} | {"stated"} → 200
//! ```

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admin::{Admin, Answer, down, json, refused};
use super::json_fields::refusal;
use super::submission_json::no_such_account;
use crate::core::operation::{Operator, Plan, Wish};
use crate::engine::books;
use crate::engine::operations::{Concluded, Operate, Operated, Told};
use crate::words::id::RequestId;

/// Body of `POST /v1/operations`. Without `expected` nothing is journaled.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub wish: Wish,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Plan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Operator>,
}

/// Body of `POST /v1/operations/N/answer`: one of its four shapes.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum AnswerTold {
    Answered { http_status: u16, body: String },
    NoAnswer { no_answer: String },
    NotSent { not_sent: String },
    Stated { stated: Stated },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    pub executed: bool,
    pub why: String,
    pub by: Operator,
}

pub fn routes() -> Router<Admin> {
    Router::new().route("/v1/operations", post(operations)).route("/v1/operations/{number}/answer", post(answer))
}

fn off() -> Answer {
    let hint = "set `enabled = true` under [operations] in the configuration and restart the daemon";
    refused(StatusCode::FORBIDDEN, refusal("operations are switched off", None, Some(hint)))
}

async fn read<T: DeserializeOwned>(admin: &Admin, body: Body) -> Result<T, Answer> {
    let held = admin.body(body).await?;
    serde_json::from_slice(&held.bytes).map_err(|error| {
        refused(StatusCode::UNPROCESSABLE_ENTITY, refusal(error.to_string(), None, Some("see docs/operations.md")))
    })
}

async fn operations(State(admin): State<Admin>, body: Body) -> Answer {
    let Some(over) = admin.operations.clone() else { return off() };
    let asked: Asked = match read(&admin, body).await {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let accounts = &admin.writer.engine.policy.accounts;
    if asked.wish.merchant.as_ref().is_some_and(|name| !accounts.contains_key(name)) {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, no_such_account(accounts));
    }
    match asked {
        Asked { wish, expected: None, request_id: None, made_number: None, by: None } => {
            let planned = admin
                .writer
                .read(move |engine, view, now| {
                    let plan = match engine.plan_operation(view, &wish, &over, now)? {
                        Ok(plan) => plan,
                        Err(refusal) => return Ok(Err(refusal)),
                    };
                    let payment = plan.payment.map(|number| books::payment_at(view, number)).transpose()?;
                    let payment = payment.map(|payment| engine.payment_json(view, &payment, now)).transpose()?;
                    Ok(Ok(json!({"plan": plan, "payment": payment})))
                })
                .await;
            match planned {
                Err(_) => down(),
                Ok(Ok(Ok(said))) => json(StatusCode::OK, &said),
                Ok(Ok(Err(refusal))) => refused(StatusCode::CONFLICT, refusal),
                Ok(Err(fault)) => {
                    tracing::error!("a reading failed: {fault}");
                    refused(StatusCode::INTERNAL_SERVER_ERROR, refusal(fault.to_string(), None, None))
                }
            }
        }
        Asked { wish, expected: Some(expected), request_id: Some(request_id), made_number, by: Some(by) } => {
            let operate = Operate { wish, expected, request_id: request_id.clone(), made_number, by };
            match admin.writer.operate(operate, over).await {
                Ok(Operated::Journaled { operation }) => {
                    json(StatusCode::CREATED, &json!({"operation": operation, "request_id": request_id}))
                }
                Ok(Operated::Refused(why)) => refused(StatusCode::CONFLICT, why),
                Err(_) => down(),
            }
        }
        Asked { .. } => {
            let hint = "`expected`, `request_id` and `by` go together";
            refused(StatusCode::UNPROCESSABLE_ENTITY, refusal("half an operation", None, Some(hint)))
        }
    }
}

async fn answer(State(admin): State<Admin>, Path(number): Path<String>, body: Body) -> Answer {
    // Also while operations are off: what was sent before must be told.
    let told: AnswerTold = match read(&admin, body).await {
        Ok(told) => told,
        Err(answer) => return answer,
    };
    let Ok(number) = number.parse::<u64>() else {
        return refused(StatusCode::NOT_FOUND, refusal("no such operation", None, None));
    };
    let told = match told {
        AnswerTold::Answered { http_status, body } => Told::Answered { http_status, body },
        AnswerTold::NoAnswer { no_answer } => Told::NoAnswer { why: no_answer },
        AnswerTold::NotSent { not_sent } => Told::NotSent { why: not_sent },
        AnswerTold::Stated { stated: Stated { executed, why, by } } => Told::Stated { executed, why, by },
    };
    match admin.writer.conclude(number, told).await {
        Ok(Concluded::Kept { outcome }) => {
            json(StatusCode::OK, &json!({"operation": number, "outcome": outcome.name(), "why": outcome.text()}))
        }
        Ok(Concluded::Refused(why)) => refused(StatusCode::CONFLICT, why),
        Ok(Concluded::UnknownOperation) => refused(StatusCode::NOT_FOUND, refusal("no such operation", None, None)),
        Err(_) => down(),
    }
}
