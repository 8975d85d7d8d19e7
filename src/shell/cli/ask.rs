//! Commands that ask something and print the answer.

use std::io::{Read, Write};

use serde_json::Value;

use super::pages;
use super::print::{self, LedgerFormat};
use super::source::{self, segment};
use super::{ConfigFile, Failure, Printing};
use crate::shell::clock::Clock;
use crate::shell::exit;

/// Items asked for at once.
const PAGE_ITEMS: usize = 1000;
/// Longest input of a command, in bytes.
pub const INPUT_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads FILE, or stdin for `-`.
pub fn input(name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(INPUT_MAX_BYTES).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(name).and_then(|file| file.take(INPUT_MAX_BYTES).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::new(exit::USAGE, format!("can't read {name}: {e}")))?;
    Ok(bytes)
}

fn unknown(id: &str) -> Failure {
    let id = print::safe(id);
    let looked = "it is no order number, request-id, transaction-id or gateway order number of any merchant account";
    let hint = "ids are compared exactly, capitals too; `reconciled open` lists what is not settled";
    Failure::new(exit::NO, format!("nothing is known under `{id}`: {looked}\n{hint}"))
}

pub fn submit(file: &ConfigFile, name: &str, printing: Printing) -> Result<u8, Failure> {
    let said = source::daemon_only(file, "POST", "/v1/submissions", input(name)?)?.ok()?;
    if printing.json {
        print::json(&said);
    } else {
        let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        println!("{}: {} {}", text("outcome"), text("merchant"), text("request_id"));
    }
    Ok(exit::OK)
}

pub fn explain(file: &ConfigFile, id: &str, printing: Printing) -> Result<u8, Failure> {
    let found = source::read(file, &format!("/v1/explain/{}", segment(id)), |engine, view, now| {
        let items = engine.explain(view, id, now)?;
        Ok((!items.is_empty()).then(|| serde_json::json!({"items": items, "next": null})))
    })?;
    let found = found.ok_or_else(|| unknown(id))?;
    if printing.json {
        print::json(&found);
    } else {
        print::explanation(&found);
    }
    Ok(exit::OK)
}

pub fn open(file: &ConfigFile, printing: Printing) -> Result<u8, Failure> {
    let mut rows = Vec::new();
    each_page(file, "/v1/open", 0, &mut |items| {
        rows.extend(items);
        Ok(())
    })?;
    if printing.json {
        print::json(&serde_json::json!({"items": rows, "next": null}));
    } else {
        pages::open(&rows, Clock::new().now().wall);
    }
    Ok(exit::OK)
}

pub fn retrieve(file: &ConfigFile, id: &str, printing: Printing) -> Result<u8, Failure> {
    let answer = source::daemon_only(file, "POST", &format!("/v1/retrieve/{}", segment(id)), Vec::new())?;
    if answer.status == 404 {
        return Err(unknown(id));
    }
    let said = answer.ok()?;
    if printing.json {
        print::json(&said);
    } else {
        let count = said["items"].as_array().map_or(0, Vec::len);
        println!(
            "{count} payment(s) of `{id}` are next to be asked about; `reconciled explain {id}` tells what came of it, or what it waits for"
        );
    }
    Ok(exit::OK)
}

pub fn status(file: &ConfigFile, printing: Printing) -> Result<u8, Failure> {
    let found = source::read(file, "/v1/status", |engine, view, now| engine.status(view, now).map(Some))?;
    let found = found.unwrap_or_default();
    if printing.json {
        print::json(&found);
    } else {
        pages::status(&found);
    }
    Ok(exit::OK)
}

/// Alerts: those that fire, or all there ever were.
pub fn alerts(file: &ConfigFile, has_all: bool, printing: Printing) -> Result<u8, Failure> {
    let mut rows = Vec::new();
    each_page(file, "/v1/alerts", 0, &mut |items| {
        rows.extend(items.into_iter().filter(|alert| has_all || alert["status"] == "firing"));
        Ok(())
    })?;
    if printing.json {
        print::json(&serde_json::json!({"items": rows, "next": null}));
    } else {
        pages::alerts(&rows, has_all);
    }
    Ok(exit::OK)
}

pub fn ledger(file: &ConfigFile, format: LedgerFormat, after: u64) -> Result<u8, Failure> {
    let out = std::io::stdout().lock();
    let mut out = print::LedgerOut::new(format, std::io::BufWriter::new(out));
    let failed = |e: std::io::Error| Failure::new(exit::FAULT, format!("can't write the export: {e}"));
    out.begin().map_err(failed)?;
    each_page(file, "/v1/ledger", after, &mut |items| {
        items.iter().try_for_each(|entry| out.entry(entry)).map_err(failed)
    })?;
    out.into_inner().and_then(|mut out| out.flush()).map_err(failed)?;
    Ok(exit::OK)
}

/// Reads a list to its end, page by page: from the daemon, or from one reading of the file.
fn each_page(
    file: &ConfigFile,
    path: &str,
    after: u64,
    take: &mut dyn FnMut(Vec<Value>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = after;
    loop {
        let asked = format!("{path}?after={after}&limit={PAGE_ITEMS}");
        let Some(answer) = source::daemon(file, "GET", &asked, Vec::new())? else { break };
        let mut page = answer.ok()?;
        take(items(&mut page))?;
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
    // No daemon (any more): the file is read in pages too, so that a long list needs no memory.
    source::with_file(file, |engine, view, now| {
        loop {
            let page = match path {
                "/v1/ledger" => engine.ledger(view, after, PAGE_ITEMS)?,
                "/v1/alerts" => engine.alerts(view, after, PAGE_ITEMS, now)?,
                _ => engine.open(view, after, PAGE_ITEMS, now)?,
            };
            let next = page.next;
            if let Err(failure) = take(page.items) {
                return Ok(Err(failure));
            }
            match next {
                Some(next) => after = next,
                None => return Ok(Ok(())),
            }
        }
    })?
}

fn items(page: &mut Value) -> Vec<Value> {
    match page["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}
