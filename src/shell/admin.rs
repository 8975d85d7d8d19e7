//! The admin interface: what the shop's back end and the command line ask. JSON in, JSON out, strict.

pub mod import;
mod order_numbers;
mod relay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::admin_guard::{Guard, turn_away};
use super::demo_clock::{DemoClock, Refused, Setting};
use super::http::{NoBody, Room, Turned, unavailable};
use super::json_fields::refusal;
use super::operations_http;
use super::order_numbers::Desk;
use super::reports::{Trouble, digest};
use super::submission_json;
use super::writer::{State as WriterState, Writer};
use crate::engine::operations::OverCapture;
use crate::engine::report::Slot;
use crate::engine::{Engine, Page, Refusal, Responded, Submitted};
use crate::store::{Fault, View};
use crate::words::id::{MerchantName, OrderNumber, RequestId};
use crate::words::time::{Now, business_day};

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(7);
/// Items of one page.
const PAGE_ITEMS: usize = 100;
const PAGE_MAX_ITEMS: usize = 1000;

#[derive(Clone)]
pub struct Admin {
    pub writer: Writer,
    pub room: Room,
    pub demo: DemoClock,
    pub turned: Arc<Turned>,
    pub report_trouble: Trouble,
    pub desk: Desk,
    /// `None`: operations are off.
    pub operations: Option<Arc<OverCapture>>,
}

pub fn router(admin: Admin, guard: Guard) -> Router {
    let guarded = move |request: Request, next: Next| {
        let guard = guard.clone();
        async move {
            match guard.check(&request) {
                Ok(()) => next.run(request).await,
                Err(why) => turn_away(why),
            }
        }
    };
    Router::new()
        .route("/v1/submissions", post(submissions))
        .route("/v1/responses", post(responses))
        .route("/v1/payments/{merchant}/{request_id}", get(payment))
        .route("/v1/orders/{merchant}/{order_number}", get(order))
        .route("/v1/open", get(open))
        .route("/v1/journal", get(journal))
        .route("/v1/ledger", get(ledger))
        .route("/v1/alerts", get(alerts))
        .route("/v1/explain/{id}", get(explain))
        .route("/v1/retrieve/{id}", post(retrieve))
        .merge(operations_http::routes())
        .route("/v1/status", get(status))
        .route("/v1/check", get(check))
        .route("/v1/report/{day}", get(report))
        .route("/v1/demo/clock", post(demo_clock))
        .route("/v1/demo/hold-judging", post(demo_hold_judging))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(import::routes())
        .merge(order_numbers::routes())
        .merge(relay::routes())
        .fallback(|| async { refused(StatusCode::NOT_FOUND, refusal("no such address", None, None)) })
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, refusal("not this method here", None, Some("see docs/http.md")))
        })
        .layer(middleware::from_fn(guarded))
        .with_state(admin)
}

pub(super) type Answer = Response<Body>;

pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Body::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(super) fn refused(status: StatusCode, refusal: Refusal) -> Answer {
    let Refusal { error, field, hint } = refusal;
    json(status, &json!({"error": error, "field": field, "hint": hint}))
}

pub(super) fn down() -> Answer {
    unavailable("the store takes nothing now")
}

impl Admin {
    pub(super) async fn body(&self, body: Body) -> Result<super::http::Held, Answer> {
        self.room.read(body, BODY_DEADLINE).await.map_err(|why| match why {
            NoBody::TooLarge => refused(StatusCode::PAYLOAD_TOO_LARGE, refusal("the body is too large", None, None)),
            NoBody::Incomplete => {
                refused(StatusCode::BAD_REQUEST, refusal("the body did not arrive whole", None, None))
            }
            NoBody::NoRoom => unavailable("too much is under way at once"),
        })
    }

    /// The answer itself, or, where nothing was found under an account that is not configured, that there is no such
    /// account. The books may hold more accounts than are configured now, so they are asked first.
    fn or_no_account(&self, merchant: &MerchantName, answer: Answer) -> Answer {
        let accounts = &self.writer.engine.policy.accounts;
        if answer.status() != StatusCode::NOT_FOUND || accounts.contains_key(merchant) {
            return answer;
        }
        refused(StatusCode::NOT_FOUND, submission_json::no_such_account(accounts))
    }

    /// Answers with what a reading finds; `None` is 404.
    async fn read(
        &self,
        read: impl FnOnce(&Engine, &dyn View, Now) -> Result<Option<Value>, Fault> + Send + 'static,
    ) -> Answer {
        match self.writer.read(read).await {
            Err(_) => down(),
            Ok(Ok(Some(value))) => json(StatusCode::OK, &value),
            Ok(Ok(None)) => refused(StatusCode::NOT_FOUND, refusal("nothing is known under this id", None, None)),
            Ok(Err(fault)) => {
                tracing::error!("a reading failed: {fault}");
                refused(StatusCode::INTERNAL_SERVER_ERROR, refusal(fault.to_string(), None, None))
            }
        }
    }

    async fn page(
        &self,
        query: BTreeMap<String, String>,
        read: impl FnOnce(&Engine, &dyn View, Now, u64, usize) -> Result<Page, Fault> + Send + 'static,
    ) -> Answer {
        let (after, limit) = match paging(&query) {
            Ok(paging) => paging,
            Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
        };
        self.read(move |engine, view, now| {
            let page = read(engine, view, now, after, limit)?;
            Ok(Some(json!({"items": page.items, "next": page.next})))
        })
        .await
    }
}

/// A day's report, made again from the journal: the final one if it was written, else the provisional
/// one; `matches`: it is byte for byte what was written then. Where none is written, how the books stand
/// now (`written` is false). `None`: the day has not begun.
pub fn made_again(engine: &Engine, view: &dyn View, day: Date, now: Now) -> Result<Option<Value>, Fault> {
    for is_final in [true, false] {
        if let Some((report, written)) = engine.report_again(view, Slot { day, is_final })? {
            let text = report.text();
            let matches = digest(&text) == written;
            let (csv, status) = (report.csv(), report.status());
            let json: Value = serde_json::from_str(&report.json()).unwrap_or_default();
            return Ok(Some(json!({
                "day": day, "status": status, "text": text, "csv": csv, "report": json, "sha256": written,
                "matches": matches, "written": true,
            })));
        }
    }
    let zone = TimeZone::get(&engine.policy.report.time_zone).unwrap_or(TimeZone::UTC);
    if day > business_day(now.wall, &zone) {
        return Ok(None);
    }
    let report = engine.report(view, Slot { day, is_final: false })?;
    let mut json: Value = serde_json::from_str(&report.json()).unwrap_or_default();
    json["status"] = "not written".into();
    Ok(Some(json!({
        "day": day, "status": "not written", "text": report.text(), "csv": report.csv(), "report": json,
        "sha256": null, "matches": null, "written": false, "now": now.wall,
    })))
}

fn paging(query: &BTreeMap<String, String>) -> Result<(u64, usize), Refusal> {
    if let Some(unknown) = query.keys().find(|key| !matches!(key.as_str(), "after" | "limit")) {
        return Err(refusal("unknown parameter", Some(unknown), Some("known here: after, limit")));
    }
    let number = |name: &str, default: u64| match query.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| refusal("must be a whole number", Some(name), None)),
    };
    let limit = usize::try_from(number("limit", PAGE_ITEMS as u64)?).unwrap_or(PAGE_MAX_ITEMS);
    Ok((number("after", 0)?, limit.clamp(1, PAGE_MAX_ITEMS)))
}

async fn submissions(State(admin): State<Admin>, body: Body) -> Answer {
    let held = match admin.body(body).await {
        Ok(held) => held,
        Err(answer) => return answer,
    };
    let submission = match submission_json::submission(&held.bytes, &admin.writer.engine.policy.accounts) {
        Ok(submission) => submission,
        Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    };
    let said = json!({"merchant": submission.merchant, "request_id": submission.request_id});
    let outcome = |status, outcome: &str| {
        let mut said = said.clone();
        said["outcome"] = outcome.into();
        json(status, &said)
    };
    match admin.writer.submit(submission).await {
        Ok(Submitted::Created { .. }) => outcome(StatusCode::CREATED, "created"),
        Ok(Submitted::Same { .. }) => outcome(StatusCode::OK, "same"),
        Ok(Submitted::Amended { .. }) => outcome(StatusCode::OK, "amended"),
        Ok(Submitted::Conflict { field, .. }) => {
            let hint = "a request-id stands for one request for ever; the first submission stays, and this one is kept as a discrepancy";
            refused(StatusCode::CONFLICT, refusal("submitted before with other content", Some(field), Some(hint)))
        }
        Ok(Submitted::Refused(why)) => refused(StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(_) => down(),
    }
}

async fn responses(State(admin): State<Admin>, body: Body) -> Answer {
    let held = match admin.body(body).await {
        Ok(held) => held,
        Err(answer) => return answer,
    };
    let response = match submission_json::response(&held.bytes, &admin.writer.engine.policy.accounts) {
        Ok(response) => response,
        Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    };
    let said = json!({"merchant": response.merchant, "request_id": response.request_id, "outcome": "kept"});
    match admin.writer.respond(response).await {
        Ok(Responded::Kept { .. }) => json(StatusCode::OK, &said),
        Ok(Responded::UnknownRequest) => {
            let hint = "submit the request first";
            refused(StatusCode::NOT_FOUND, refusal("no such submission", Some("request_id"), Some(hint)))
        }
        Ok(Responded::Refused(why)) => refused(StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(_) => down(),
    }
}

async fn payment(State(admin): State<Admin>, Path((merchant, request_id)): Path<(String, String)>) -> Answer {
    let (Ok(merchant), Ok(request_id)) = (MerchantName::new(&merchant), RequestId::new(&request_id)) else {
        return refused(StatusCode::NOT_FOUND, refusal("nothing is known under this id", None, None));
    };
    let name = merchant.clone();
    let answer = admin.read(move |engine, view, now| engine.payment(view, &merchant, &request_id, now)).await;
    admin.or_no_account(&name, answer)
}

async fn order(State(admin): State<Admin>, Path((merchant, order_number)): Path<(String, String)>) -> Answer {
    let (Ok(merchant), Ok(order_number)) = (MerchantName::new(&merchant), OrderNumber::new(&order_number)) else {
        return refused(StatusCode::NOT_FOUND, refusal("nothing is known under this id", None, None));
    };
    let name = merchant.clone();
    let answer = admin.read(move |engine, view, now| engine.order(view, &merchant, &order_number, now)).await;
    admin.or_no_account(&name, answer)
}

type Parameters = Query<BTreeMap<String, String>>;

async fn open(State(admin): State<Admin>, Query(query): Parameters) -> Answer {
    admin.page(query, |engine, view, now, after, limit| engine.open(view, after, limit, now)).await
}

async fn journal(State(admin): State<Admin>, Query(query): Parameters) -> Answer {
    admin.page(query, |engine, view, _, after, limit| engine.journal(view, after, limit)).await
}

async fn ledger(State(admin): State<Admin>, Query(query): Parameters) -> Answer {
    admin.page(query, |engine, view, _, after, limit| engine.ledger(view, after, limit)).await
}

async fn alerts(State(admin): State<Admin>, Query(query): Parameters) -> Answer {
    admin.page(query, |engine, view, now, after, limit| engine.alerts(view, after, limit, now)).await
}

async fn explain(State(admin): State<Admin>, Path(id): Path<String>) -> Answer {
    admin
        .read(move |engine, view, now| {
            let items = engine.explain(view, &id, now)?;
            Ok((!items.is_empty()).then(|| json!({"items": items, "next": null})))
        })
        .await
}

async fn retrieve(State(admin): State<Admin>, Path(id): Path<String>) -> Answer {
    match admin.writer.look_now(id).await {
        Ok(numbers) if numbers.is_empty() => {
            refused(StatusCode::NOT_FOUND, refusal("nothing is known under this id", None, None))
        }
        Ok(numbers) => json(StatusCode::ACCEPTED, &json!({"items": numbers, "next": null})),
        Err(_) => down(),
    }
}

async fn status(State(admin): State<Admin>) -> Answer {
    let turned = json!({
        "connections": admin.turned.connections.load(Ordering::Relaxed),
        "bodies": admin.turned.bodies.load(Ordering::Relaxed),
        "requests": admin.turned.requests.load(Ordering::Relaxed),
    });
    let trouble = admin.report_trouble.why();
    admin
        .read(move |engine, view, now| {
            let mut status = engine.status(view, now)?;
            if let Value::Object(fields) = &mut status {
                fields.insert("turned_away".into(), turned);
                fields.insert("report_trouble".into(), trouble.into());
            }
            Ok(Some(status))
        })
        .await
}

async fn check(State(admin): State<Admin>) -> Answer {
    admin.read(|engine, view, _| Ok(serde_json::to_value(engine.audit(view)?).ok())).await
}

async fn report(State(admin): State<Admin>, Path(day): Path<String>) -> Answer {
    match day.parse() {
        Ok(day) => admin.read(move |engine, view, now| made_again(engine, view, day, now)).await,
        Err(_) => {
            let hint = "such as 2026-03-01";
            refused(StatusCode::UNPROCESSABLE_ENTITY, refusal("not a day", Some("day"), Some(hint)))
        }
    }
}

async fn demo_clock(State(admin): State<Admin>, body: Body) -> Answer {
    let held = match admin.body(body).await {
        Ok(held) => held,
        Err(answer) => return answer,
    };
    let setting: Setting = match serde_json::from_slice(&held.bytes) {
        Ok(setting) => setting,
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, refusal(error.to_string(), None, None)),
    };
    match admin.demo.set(setting).await {
        Ok(()) => json(StatusCode::OK, &json!({"wall": setting.wall, "scale": setting.scale})),
        Err(why @ Refused::Scale) => {
            refused(StatusCode::UNPROCESSABLE_ENTITY, refusal(why.to_string(), Some("scale"), None))
        }
        Err(Refused::Opening) => unavailable("the store is still being opened"),
        Err(why) => refused(StatusCode::FORBIDDEN, refusal(why.to_string(), None, None)),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldJudging {
    hold: bool,
}

async fn demo_hold_judging(State(admin): State<Admin>, body: Body) -> Answer {
    let held = match admin.body(body).await {
        Ok(held) => held,
        Err(answer) => return answer,
    };
    let wish: HoldJudging = match serde_json::from_slice(&held.bytes) {
        Ok(wish) => wish,
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, refusal(error.to_string(), None, None)),
    };
    if !admin.demo.is_demo() {
        return refused(StatusCode::FORBIDDEN, refusal(Refused::NotADemoStore.to_string(), None, None));
    }
    admin.writer.hold_judging(wish.hold);
    json(StatusCode::OK, &json!({"hold": wish.hold}))
}

/// The process is alive, whatever its store does.
async fn healthz(State(admin): State<Admin>) -> Answer {
    json(StatusCode::OK, &json!({"status": "alive", "store": state_word(&admin.writer)}))
}

/// It can keep what it is given.
async fn readyz(State(admin): State<Admin>) -> Answer {
    let state = state_word(&admin.writer);
    let status = if state == "open" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &json!({"status": if state == "open" { "ready" } else { "not ready" }, "store": state}))
}

fn state_word(writer: &Writer) -> &'static str {
    match &*writer.state().borrow() {
        WriterState::Opening => "opening",
        WriterState::Open => "open",
        WriterState::Down { .. } => "down",
        WriterState::Failed { .. } => "failed",
        WriterState::Stopped => "stopped",
    }
}
