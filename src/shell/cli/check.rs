//! Commands about the books as a whole: `check`, `report`, `rebuild`.

use serde_json::Value;

use super::{ConfigFile, Failure, Printing, pages, print, source};
use crate::engine::audit::rebuild as make_again;
use crate::shell::admin::made_again;
use crate::shell::clock::Clock;
use crate::shell::config::{self, Flags, Surroundings};
use crate::shell::exit;
use crate::store::embedded::Embedded;
use crate::store::file::{OpenError, State, StoreFile};
use crate::store::{Draft, Fault, Table, View};

/// Rows of one commit of a rebuild.
const COMMIT_ROWS: usize = 2_000;

/// Proves that nothing is forgotten, and that journal and books agree.
pub fn check(file: &ConfigFile, printing: Printing) -> Result<u8, Failure> {
    let found = source::read(file, "/v1/check", |engine, view, _| Ok(serde_json::to_value(engine.audit(view)?).ok()))?
        .unwrap_or_default();
    let is_clean = found["forgotten"] == 0
        && found["unexplained"] == 0
        && found["findings"].as_array().is_some_and(|findings| findings.is_empty());
    if printing.json {
        print::json(&found);
    } else {
        pages::check(&found, is_clean);
    }
    Ok(if is_clean { exit::OK } else { exit::NO })
}

/// How a report is printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    Text,
    Csv,
    Json,
}

/// Prints a day's report: the written one made again from the journal as it stood then, or, where none
/// is written yet, how the books stand now, marked as such.
pub fn report(file: &ConfigFile, day: &str, format: ReportFormat, verify: bool) -> Result<u8, Failure> {
    let day: jiff::civil::Date =
        day.parse().map_err(|_| Failure::new(exit::USAGE, format!("`{day}` is not a day such as 2026-03-01")))?;
    let found =
        source::read(file, &format!("/v1/report/{day}"), |engine, view, now| made_again(engine, view, day, now))?
            .ok_or_else(|| Failure::new(exit::NO, format!("{day} lies in the future: there is nothing to report")))?;
    let is_written = found["written"] == Value::Bool(true);
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    let matches = found["matches"] == Value::Bool(true);
    if verify {
        if !is_written {
            return Err(Failure::new(exit::NO, format!("no report of {day} was written")));
        }
        let verdict = if matches { "byte for byte what was written" } else { "not what was written" };
        print::line(&format!("{day} ({}): {verdict}, sha256 {}", text("status"), text("sha256")));
        return Ok(if matches { exit::OK } else { exit::NO });
    }
    if !is_written && format != ReportFormat::Text {
        eprintln!("not written: the report of {day} as the books stand now");
    }
    match format {
        ReportFormat::Text => pages::report(&found),
        ReportFormat::Csv => print::text(&text("csv")),
        ReportFormat::Json => print::json(&found["report"]),
    }
    Ok(exit::OK)
}

/// Makes all projections again from the journal. The daemon must be stopped.
pub fn rebuild(file: &ConfigFile, printing: Printing) -> Result<u8, Failure> {
    let config = config::load(&file.config, &Flags::default(), &Surroundings::of_this_process())?;
    let refused = |error: OpenError| {
        Failure::new(if error.is_temporary() { exit::TEMPORARY } else { exit::FAULT }, error.to_string())
    };
    let store = StoreFile::lock(&config.store.path).map_err(refused)?;
    let checked_at = match store.state(Clock::new().now().wall).map_err(refused)? {
        State::Clean { checked_at } => checked_at,
        State::Absent => return Err(refused(OpenError::Missing { path: config.store.path })),
        State::CheckDue { why } | State::Dirty { why } => {
            return Err(refused(OpenError::Unclean { path: config.store.path, why }));
        }
    };
    let books = store.open(config.store.cache_mib, checked_at).map_err(refused)?;
    let changed = rebuild_books(&books).and_then(|changed| books.close().map(|()| changed));
    let changed = changed.map_err(|fault| Failure::new(exit::FAULT, fault.to_string()))?;
    if printing.json {
        print::json(&serde_json::json!({"rows_changed": changed}));
    } else {
        print::line(&format!("made again from the journal: {changed} rows changed"));
    }
    Ok(exit::OK)
}

/// Replaces what differs, table by table. Stopped half-way, it can be run again.
fn rebuild_books(books: &Embedded) -> Result<u64, Fault> {
    let made = make_again(&books.snapshot()?, u64::MAX)?;
    let mut changed = 0;
    for table in Table::ALL.into_iter().filter(|table| table.is_projection()) {
        let mut from = Vec::new();
        loop {
            let view = books.snapshot()?;
            let stored = view.range(table, &from, &[], COMMIT_ROWS)?;
            // Up to where this page of the store reaches; the last page reaches to the table's end.
            let end = match stored.last() {
                Some((key, _)) if stored.len() == COMMIT_ROWS => [key.as_slice(), &[0]].concat(),
                _ => Vec::new(),
            };
            let right = made.range(table, &from, &end, usize::MAX)?;
            let mut draft = Draft::new(&view)?;
            for (key, value) in &right {
                if view.get(table, key)?.as_ref() != Some(value) {
                    draft.put(table, key.clone(), value.clone());
                    changed += 1;
                }
            }
            for (key, _) in stored {
                if made.get(table, &key)?.is_none() {
                    draft.delete(table, key);
                    changed += 1;
                }
            }
            let commit = draft.into_commit();
            drop(view);
            books.commit(commit)?;
            if end.is_empty() {
                break;
            }
            from = end;
        }
    }
    Ok(changed)
}
