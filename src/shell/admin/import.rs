//! `POST /v1/import`: rows of a shop's order list, many in one commit.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Admin, Answer, down, json, refused};
use crate::engine::import::{Batch, Imported, Row};
use crate::shell::json_fields::refusal;
use crate::shell::submission_json;

/// Rows of one batch: one commit, for which the others who wait are held up some milliseconds.
pub const ROWS_MAX: usize = 200;
/// Longest name of a file's contents, in bytes.
const FILE_MAX_BYTES: usize = 100;

pub fn routes() -> Router<Admin> {
    Router::new().route("/v1/import", post(import)).route("/v1/import/{file}", get(progress))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted<'a> {
    file: String,
    name: String,
    from: u64,
    #[serde(borrow)]
    rows: Vec<Line<'a>>,
    #[serde(default)]
    is_last: bool,
    #[serde(default)]
    restart: bool,
    #[serde(default)]
    dry_run: bool,
}

/// One row: a submission, or what its reader found wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    line: u64,
    #[serde(borrow, default)]
    submission: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
}

async fn import(State(admin): State<Admin>, body: Body) -> Answer {
    let held = match admin.body(body).await {
        Ok(held) => held,
        Err(answer) => return answer,
    };
    let unreadable = |error: String| refused(StatusCode::UNPROCESSABLE_ENTITY, refusal(error, None, None));
    let wanted: Wanted = match serde_json::from_slice(&held.bytes) {
        Ok(wanted) => wanted,
        Err(error) => return unreadable(error.to_string()),
    };
    if wanted.rows.len() > ROWS_MAX {
        return unreadable(format!("more than {ROWS_MAX} rows"));
    }
    if wanted.file.is_empty()
        || wanted.file.len() > FILE_MAX_BYTES
        || !wanted.file.bytes().all(|b| b.is_ascii_graphic())
    {
        return unreadable(format!("`file` is not a text of 1 to {FILE_MAX_BYTES} visible characters"));
    }
    let accounts = &admin.writer.engine.policy.accounts;
    let read = |row: &Line| match (row.submission, &row.error) {
        (_, Some(error)) => Err(refusal(error.clone(), None, None)),
        (Some(raw), None) => submission_json::submission(raw.get().as_bytes(), accounts).map(Box::new),
        (None, None) => Err(refusal("neither `submission` nor `error`", None, None)),
    };
    let batch = Batch {
        rows: wanted.rows.iter().map(|row| Row { line: row.line, read: read(row) }).collect(),
        file: wanted.file,
        name: wanted.name,
        from: wanted.from,
        is_last: wanted.is_last,
        restart: wanted.restart,
        dry_run: wanted.dry_run,
    };
    match admin.writer.import(batch).await {
        Ok(Imported::Taken { progress, skipped }) => {
            json(StatusCode::OK, &json!({"progress": progress, "skipped": skipped}))
        }
        Ok(Imported::OutOfStep { progress }) => {
            let hint = format!("{} rows of this file were taken; go on behind them", progress.offset);
            refused(StatusCode::CONFLICT, refusal("out of step", Some("from"), Some(&hint)))
        }
        Err(_) => down(),
    }
}

async fn progress(State(admin): State<Admin>, Path(file): Path<String>) -> Answer {
    admin
        .read(move |engine, view, _| {
            Ok(engine.import_progress(view, &file)?.map(|progress| json!({"progress": progress})))
        })
        .await
}
