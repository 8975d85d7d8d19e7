//! `reconciled import`: a shop's order list, row by row, resumable.
//!
//! How far a file was taken is kept by the daemon in the very commits that take its rows, under the digest of the
//! file and of how it is read. So a run that was killed goes on where it was: the rows before are only tried, to
//! write the file of rejected rows anew.

mod bar;
mod cell;
mod list;
mod records;
mod rehearsal;
mod rejects;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::print::{self, line};
use super::source::{self, segment};
use super::{ConfigFile, Failure, Printing};
use crate::shell::admin::import::ROWS_MAX;
use crate::shell::config::import::Import as Map;
use crate::shell::config::{self, Surroundings};
use crate::shell::exit;
use bar::Bar;
use list::{Format, List, Row};
use rehearsal::Rehearsal;
use rejects::Rejects;

/// Bytes of the rows of one batch: with what stands around them below the smallest `body_max_bytes`.
const BATCH_MAX_BYTES: usize = 200 * 1024;

#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    file: ConfigFile,
    /// The list: CSV with headings, or JSON Lines of submissions.
    #[arg(value_name = "FILE")]
    list: PathBuf,
    /// The [import.NAME] of the configuration that says how it is written [default: the only one there is, else
    /// the headings are the names of the fields].
    #[arg(long, value_name = "NAME")]
    map: Option<String>,
    /// [default: by the file's ending: jsonl or ndjson, also before `.rejected`; else csv].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Say what would become of each row, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Take the file from its beginning although it was taken before: the configuration has changed.
    #[arg(long, conflicts_with = "dry_run")]
    again: bool,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(wish: &Import) -> Result<u8, Failure> {
    let started = Instant::now();
    let format = wish.format.unwrap_or_else(|| by_ending(&wish.list));
    let map = match format {
        Format::Csv => map(wish)?,
        // Its rows are submissions as they stand; what is wrong with one is told by its field.
        Format::Jsonl => Map { columns: BTreeMap::new(), ..Map::default() },
    };
    let (file, bytes) = name_of_contents(&wish.list, format, &map)?;
    let mut list = List::open(&wish.list, format, &map)?;
    let known = if wish.again { None } else { progress(wish, &file)? };
    let resumed = known.as_ref().map_or(0, |known| known["offset"].as_u64().unwrap_or(0));
    let is_finished = known.as_ref().is_some_and(|known| !known["finished_at"].is_null());
    let rejects = Rejects::beside(&wish.list, &list, &map)
        .map_err(|e| Failure::new(exit::USAGE, format!("can't write beside {}: {e}", wish.list.display())))?;
    let mut run = Run {
        wish,
        map: &map,
        file,
        from: 0,
        rows: Vec::new(),
        beside: Vec::new(),
        bytes: 0,
        rehearsal: wish.dry_run.then(|| Rehearsal::open(&wish.list, format, &map)).transpose()?,
        rejects,
        counts: Counts::default(),
        last: known.clone(),
        restart: wish.again,
    };
    let mut shown = Bar::new(bytes);
    let mut broken = None;
    loop {
        let row = match list.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(why) => {
                broken = Some(why);
                break;
            }
        };
        let is_at_border = run.from + run.rows.len() as u64 == resumed && resumed > 0;
        let mut beside = run.earlier(&row)?;
        if run.is_full(&row, &beside) || is_at_border {
            run.send(run.from < resumed, false)?;
            beside = run.earlier(&row)?;
        }
        run.add(row, beside);
        shown.update(run.from + run.rows.len() as u64, list.position());
    }
    if run.from < resumed && !run.rows.is_empty() {
        run.send(true, false)?;
    }
    if let Some(why) = broken {
        // What stands before the damage is good.
        if !run.rows.is_empty() {
            run.send(false, false)?;
        }
        let path = run.rejects.path().to_owned();
        run.rejects.finish().map_err(|e| unwritten(&path, &e))?;
        return Err(why);
    }
    if !is_finished {
        run.send(false, true)?;
    }
    shown.end();
    finish(run, resumed, is_finished, started.elapsed())
}

fn by_ending(path: &Path) -> Format {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "ndjson") => Format::Jsonl,
        // Rejected rows are written like the list they come from.
        Some("rejected") => by_ending(&path.with_extension("")),
        Some(_) | None => Format::Csv,
    }
}

fn map(wish: &Import) -> Result<Map, Failure> {
    let mut maps = config::imports(&wish.file.config, &Surroundings::of_this_process())?;
    let names = || maps.keys().map(|name| format!("--map {name}")).collect::<Vec<_>>().join(", ");
    match &wish.map {
        Some(name) => {
            let hint = if maps.is_empty() { "there is none".to_owned() } else { names() };
            let no_such = format!("no [import.{}] in the configuration ({hint})", print::safe(name));
            maps.remove(name).ok_or_else(|| Failure::new(exit::USAGE, no_such))
        }
        None if maps.len() > 1 => Err(Failure::new(exit::USAGE, format!("say how the list is written: {}", names()))),
        None => Ok(maps.pop_first().map_or_else(Map::default, |(_, map)| map)),
    }
}

/// What the daemon knows a file by: its bytes, and how they are read. Returns the file's length too.
fn name_of_contents(path: &Path, format: Format, map: &Map) -> Result<(String, u64), Failure> {
    let unreadable = |e: std::io::Error| Failure::new(exit::USAGE, format!("can't read {}: {e}", path.display()));
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        length += read as u64;
    }
    let zone = map.time_zone.iana_name().unwrap_or_default();
    let reading = json!({
        "format": format!("{format:?}"), "columns": map.columns, "defaults": map.defaults, "values": map.values,
        "delimiter": map.delimiter, "decimal_comma": map.decimal_comma, "time_format": map.time_format,
        "time_zone": zone, "encoding": map.encoding.name(),
    });
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let reading = Sha256::digest(reading.to_string().as_bytes());
    Ok((format!("{}-{}", hex(&digest.finalize()), hex(&reading[..8])), length))
}

fn progress(wish: &Import, file: &str) -> Result<Option<Value>, Failure> {
    let answer = source::daemon_only(&wish.file, "GET", &format!("/v1/import/{}", segment(file)), Vec::new())?;
    if answer.status == 404 {
        return Ok(None);
    }
    Ok(Some(answer.ok()?["progress"].take()))
}

/// What became of rows that were only tried.
#[derive(Default)]
struct Counts(BTreeMap<&'static str, u64>);

const COUNTED: [&str; 5] = ["created", "same", "amended", "conflicts", "refused"];

impl Counts {
    fn add(&mut self, progress: &Value) {
        for name in COUNTED {
            *self.0.entry(name).or_default() += progress[name].as_u64().unwrap_or(0);
        }
    }

    fn take_off(&mut self, progress: &Value) {
        for name in COUNTED {
            let count = self.0.entry(name).or_default();
            *count = count.saturating_sub(progress[name].as_u64().unwrap_or(0));
        }
    }
}

/// What is sent: the rows' own text as it stands, so that no number loses a digit.
#[derive(Serialize)]
struct Sent<'a> {
    file: &'a str,
    name: &'a str,
    from: u64,
    is_last: bool,
    restart: bool,
    dry_run: bool,
    rows: Vec<SentRow<'a>>,
}

#[derive(Serialize)]
struct SentRow<'a> {
    line: u64,
    submission: Option<&'a RawValue>,
    error: Option<&'a String>,
}

/// One run over the list.
struct Run<'r> {
    wish: &'r Import,
    map: &'r Map,
    file: String,
    /// Rows before those that are gathered.
    from: u64,
    rows: Vec<Row>,
    /// Rows of earlier batches that these are tried beside.
    beside: Vec<Row>,
    bytes: usize,
    /// Where rows are only tried.
    rehearsal: Option<Rehearsal>,
    rejects: Rejects,
    counts: Counts,
    /// What the daemon said last of how far the file was taken.
    last: Option<Value>,
    restart: bool,
}

impl Run<'_> {
    fn earlier(&mut self, row: &Row) -> Result<Vec<Row>, Failure> {
        let mut earlier = match &mut self.rehearsal {
            Some(rehearsal) => rehearsal.earlier(row)?,
            None => Vec::new(),
        };
        earlier.retain(|earlier| self.beside.iter().all(|beside| beside.at != earlier.at));
        Ok(earlier)
    }

    fn is_full(&self, next: &Row, beside: &[Row]) -> bool {
        self.rows.len() + self.beside.len() + beside.len() >= ROWS_MAX
            || self.bytes + beside.iter().map(cost).sum::<usize>() + cost(next) > BATCH_MAX_BYTES
    }

    fn add(&mut self, row: Row, beside: Vec<Row>) {
        self.bytes += cost(&row);
        for earlier in beside {
            if self.bytes + cost(&earlier) <= BATCH_MAX_BYTES {
                self.bytes += cost(&earlier);
                self.beside.push(earlier);
            } else if let Some(rehearsal) = &mut self.rehearsal {
                // So long that they don't fit into one batch.
                rehearsal.is_alone(&row);
            }
        }
        self.rows.push(row);
    }

    /// Sends what is gathered. `is_past`: it was taken before, and is only tried.
    fn send(&mut self, is_past: bool, is_last: bool) -> Result<(), Failure> {
        let dry_run = self.wish.dry_run || is_past;
        if self.rows.is_empty() && (dry_run || !is_last) {
            return Ok(());
        }
        self.beside.sort_by_key(|row| row.at);
        let said = self.ask(self.beside.iter().chain(&self.rows), dry_run, is_last)?;
        // They are told in the order they were sent in.
        let mut rows = self.rows.iter();
        let mut skipped_lines = BTreeSet::new();
        for skipped in said["skipped"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let number = skipped["line"].as_u64().unwrap_or(0);
            if number == rehearsal::BESIDE_LINE {
                continue;
            }
            let Some(row) = rows.find(|row| row.line == number) else {
                return Err(Failure::new(exit::FAULT, format!("the daemon skipped line {number}, which was not sent")));
            };
            skipped_lines.insert(number);
            self.rejects
                .add(number, &row.raw, &because(self.map, skipped))
                .map_err(|e| unwritten(self.rejects.path(), &e))?;
        }
        if let Some(rehearsal) = &mut self.rehearsal {
            self.rows.iter().filter(|row| !skipped_lines.contains(&row.line)).for_each(|row| rehearsal.remember(row));
        }
        if self.wish.dry_run {
            self.counts.add(&said["progress"]);
            if !self.beside.is_empty() {
                // They were counted with their own batch.
                self.counts.take_off(&self.ask(self.beside.iter(), true, false)?["progress"]);
            }
        } else if !is_past {
            self.last = Some(said["progress"].clone());
            self.restart = false;
        }
        self.from += self.rows.len() as u64;
        self.rows.clear();
        self.beside.clear();
        self.bytes = 0;
        Ok(())
    }

    fn ask<'a>(&'a self, rows: impl Iterator<Item = &'a Row>, dry_run: bool, is_last: bool) -> Result<Value, Failure> {
        let name = self.wish.list.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let rows = rows.map(|row| SentRow {
            line: row.line,
            submission: row.read.as_deref().ok(),
            error: row.read.as_ref().err(),
        });
        let sent = Sent {
            file: &self.file,
            name: &name,
            from: self.from,
            is_last,
            restart: self.restart,
            dry_run,
            rows: rows.collect(),
        };
        let body = serde_json::to_vec(&sent).map_err(|e| Failure::new(exit::FAULT, format!("can't ask: {e}")))?;
        let answer = source::daemon_only(&self.wish.file, "POST", "/v1/import", body).map_err(again)?;
        answer.ok().map_err(again)
    }
}

/// What a row costs in a batch, about.
fn cost(row: &Row) -> usize {
    /// What stands around a row, and what may be escaped in an error.
    const AROUND_BYTES: usize = 200;
    AROUND_BYTES + row.read.as_ref().map_or_else(|why| 2 * why.len(), |read| read.get().len())
}

/// Why a row was skipped, in the words of the list.
fn because(map: &Map, skipped: &Value) -> String {
    let text = |name: &str| skipped[name].as_str();
    let error = text("error").unwrap_or("refused");
    let hint = text("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
    match text("field") {
        Some(field) => cell::named(map, field, &format!("{error}{hint}")),
        None => format!("{error}{hint}"),
    }
}

fn unwritten(path: &Path, why: &std::io::Error) -> Failure {
    Failure::new(exit::FAULT, format!("can't write {}: {why}", path.display()))
}

/// What was sent may have been taken: the next run finds out.
fn again(failure: Failure) -> Failure {
    let hint = "run the same command again: it goes on where it was";
    Failure::new(failure.code, format!("{}\n{hint}", failure.message))
}

fn finish(run: Run, resumed: u64, was_finished: bool, took: Duration) -> Result<u8, Failure> {
    let last = run.last.clone().unwrap_or_default();
    let count = |name: &str| match run.wish.dry_run {
        true => run.counts.0.get(name).copied().unwrap_or(0),
        false => last[name].as_u64().unwrap_or(0),
    };
    let (rows, rejected) = (run.from, run.rejects.count);
    let here = rows.saturating_sub(if run.wish.dry_run { 0 } else { resumed });
    let per_second = (here as f64 / took.as_secs_f64().max(0.001)).round();
    let (path, reasons) = (run.rejects.path().to_owned(), run.rejects.reasons_path());
    let has_file = run.rejects.finish().map_err(|e| unwritten(&path, &e))?;
    let reasons = reasons.filter(|_| has_file).map(|path| path.display().to_string());
    let alone_from = run.rehearsal.and_then(|rehearsal| rehearsal.alone_from);
    if run.wish.printing.json {
        let mut said = json!({
            "rows": rows, "dry_run": run.wish.dry_run, "resumed_at": resumed, "taken_before": was_finished,
            "rejected_file": has_file.then(|| path.display().to_string()), "reasons_file": reasons,
            "seconds": took.as_secs_f64(), "rows_per_second": per_second, "not_compared_from_line": alone_from,
        });
        for name in COUNTED {
            said[name] = count(name).into();
        }
        print::json(&said);
    } else {
        if was_finished && !run.wish.dry_run {
            line(&format!(
                "this file was taken before, at {}; nothing is taken twice (--again starts anew)",
                print::plain(&last["finished_at"])
            ));
        } else if resumed > 0 && !run.wish.dry_run {
            line(&format!("went on behind row {resumed}"));
        }
        if rows == 0 {
            line("it holds no rows: nothing was there to take");
        }
        let would = if run.wish.dry_run { "would be " } else { "" };
        line(&format!(
            "{rows} rows: {} {would}new, {} known before, {} {would}given their gateway order number",
            count("created"),
            count("same"),
            count("amended")
        ));
        if rejected > 0 {
            line(&format!(
                "{rejected} skipped: {} contradict what was submitted before, {} can't be submissions; see {}",
                count("conflicts"),
                count("refused"),
                path.display()
            ));
            reasons.iter().for_each(|reasons| line(&format!("why stands in {reasons}")));
        }
        if let Some(from) = alone_from {
            line(&format!("rows from line {from} on may contradict earlier ones of the list: not all were compared"));
        }
        line(&format!("{here} rows in {:.1} s ({per_second} a second)", took.as_secs_f64()));
    }
    Ok(if rejected > 0 { exit::DATA } else { exit::OK })
}

#[cfg(test)]
mod tests;
