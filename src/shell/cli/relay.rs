//! `reconciled relay`: what waits to be passed on to a shop's own listener.

use clap::Subcommand;
use serde_json::Value;

use super::print::{self, line, plain};
use super::source::{self, segment};
use super::{ConfigFile, Failure, Printing};
use crate::shell::exit;

/// Items asked for at once.
const PAGE_ITEMS: usize = 1000;

#[derive(Subcommand)]
pub enum Relay {
    /// List the messages of a merchant account that wait, oldest first.
    List {
        #[command(flatten)]
        file: ConfigFile,
        merchant: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Try what waits for its next attempt now.
    Retry {
        #[command(flatten)]
        file: ConfigFile,
        merchant: String,
    },
    /// Give waiting messages up: the shop is not given them. Their copies stay here.
    GiveUp {
        #[command(flatten)]
        file: ConfigFile,
        merchant: String,
        /// As `relay list` numbers them.
        #[arg(required = true)]
        numbers: Vec<u64>,
    },
}

pub fn run(command: Relay) -> Result<u8, Failure> {
    match command {
        Relay::List { file, merchant, printing } => list(&file, &merchant, printing),
        Relay::Retry { file, merchant } => {
            let path = format!("/v1/relay/{}/retry", segment(&merchant));
            let said = source::daemon_only(&file, "POST", &path, Vec::new())?.ok()?;
            line(&format!("{} message(s) brought forward", plain(&said["brought_forward"])));
            Ok(exit::OK)
        }
        Relay::GiveUp { file, merchant, numbers } => {
            for number in numbers {
                let path = format!("/v1/relay/{}/{number}/give-up", segment(&merchant));
                source::daemon_only(&file, "POST", &path, Vec::new())?.ok()?;
                line(&format!("message {number} of {} is given up", print::safe(&merchant)));
            }
            Ok(exit::OK)
        }
    }
}

fn list(file: &ConfigFile, merchant: &str, printing: Printing) -> Result<u8, Failure> {
    let mut rows = Vec::new();
    let mut after = 0;
    loop {
        let path = format!("/v1/relay/{}?after={after}&limit={PAGE_ITEMS}", segment(merchant));
        let mut page = source::daemon_only(file, "GET", &path, Vec::new())?.ok()?;
        if let Value::Array(items) = page["items"].take() {
            rows.extend(items);
        }
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    if printing.json {
        print::json(&serde_json::json!({"items": rows, "next": null}));
        return Ok(exit::OK);
    }
    for row in &rows {
        let said = if row["last_attempt"].is_null() { "not tried yet".to_owned() } else { plain(&row["last_attempt"]) };
        let next = match &row["next_attempt_at"] {
            Value::Null => "behind an earlier one of its request".to_owned(),
            at => format!("next at {}", super::pages::second(at)),
        };
        line(&format!(
            "{:>6}  {}  request {}, {} bytes, {} attempt(s), {said}; {next}",
            plain(&row["number"]),
            super::pages::second(&row["kept_at"]),
            plain(&row["request_id"]),
            plain(&row["bytes"]),
            plain(&row["attempts"]),
        ));
    }
    line(&format!("{} message(s) of {} wait for the shop's own listener", rows.len(), print::safe(merchant)));
    Ok(exit::OK)
}
