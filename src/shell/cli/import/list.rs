//! A list's rows, one after the other, whatever its length: CSV or JSON Lines.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use clap::ValueEnum;
use csv::ByteRecord;
use serde_json::value::{RawValue, to_raw_value};

use super::cell;
use crate::shell::cli::Failure;
use crate::shell::config::import::Import;
use crate::shell::exit;

/// Longest row, in bytes. A quote that is never closed would make one row of the whole file.
pub const ROW_MAX_BYTES: usize = 128 * 1024;
/// What of a longer row is kept to show which it was.
const LONG_ROW_SHOWN_BYTES: usize = 1024;
/// What is read ahead of a row's end, in bytes.
const AHEAD_MAX_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Csv,
    Jsonl,
}

/// A row as it stands in the file, for the file of rejected rows.
#[derive(Clone, Debug)]
pub enum Raw {
    Csv(ByteRecord),
    Line(Vec<u8>),
    /// The beginning of a line that is too long to be held.
    Cut(Vec<u8>),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line it begins on, from 1.
    pub line: u64,
    pub raw: Raw,
    /// The JSON of a submission, or what is wrong with the row.
    pub read: Result<Box<RawValue>, String>,
}

pub enum List {
    Csv(Box<Csv>),
    Lines(Lines),
}

impl List {
    pub fn open(path: &Path, format: Format, import: &Import) -> Result<List, Failure> {
        let file = File::open(path).map_err(|e| unreadable(path, &e))?;
        Ok(match format {
            Format::Csv => List::Csv(Box::new(Csv::open(file, path, import.clone())?)),
            Format::Jsonl => List::Lines(Lines {
                reader: BufReader::with_capacity(AHEAD_MAX_BYTES, file),
                shown: path.display().to_string(),
                line: 0,
                bytes: 0,
            }),
        })
    }

    /// The next row; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row>, Failure> {
        match self {
            List::Csv(csv) => csv.next(),
            List::Lines(lines) => lines.next(),
        }
    }

    /// Bytes of the file behind the last row.
    pub fn position(&self) -> u64 {
        match self {
            List::Csv(csv) => csv.reader.position().byte(),
            List::Lines(lines) => lines.bytes,
        }
    }

    /// The headings of a CSV file, as they stand in it.
    pub fn headings(&self) -> Option<&ByteRecord> {
        match self {
            List::Csv(csv) => Some(&csv.headings),
            List::Lines(_) => None,
        }
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::DATA, format!("can't read {}: {why}", path.display()))
}

pub struct Csv {
    reader: csv::Reader<Metered>,
    since_row: Rc<Cell<usize>>,
    /// Where the file ends, if its last line has no end.
    open_end: Option<u64>,
    import: Import,
    shown: String,
    headings: ByteRecord,
    /// Field → the place of its column.
    places: BTreeMap<String, usize>,
}

impl Csv {
    fn open(file: File, path: &Path, import: Import) -> Result<Csv, Failure> {
        let open_end = open_end(&file).map_err(|e| unreadable(path, &e))?;
        let since_row = Rc::new(Cell::new(0));
        let metered = Metered { file, since_row: since_row.clone() };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(import.delimiter)
            .has_headers(false)
            .flexible(true)
            // Of CRLF the reader would count the line with the next row: the CR is ours to take off.
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(AHEAD_MAX_BYTES)
            .from_reader(metered);
        let mut headings = ByteRecord::new();
        let has_any = reader.read_byte_record(&mut headings).map_err(|e| unreadable(path, &e))?;
        since_row.set(0);
        let headings = without_cr(headings);
        if !has_any {
            return Err(unreadable(path, &"it is empty"));
        }
        if headings.get(0).is_some_and(|first| first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff")) {
            return Err(unreadable(path, &"it is UTF-16; save it as UTF-8"));
        }
        let mut texts = Vec::new();
        for heading in &headings {
            let text = import.encoding.decode_without_bom_handling_and_without_replacement(heading);
            let text = text.ok_or_else(|| unreadable(path, &not_in(&import)))?;
            texts.push(text.trim().to_owned());
        }
        let mut places = BTreeMap::new();
        for (field, column) in &import.columns {
            match texts.iter().filter(|text| *text == column).count() {
                1 => {}
                0 if is_needed(&import, field) => {
                    let why = format!("it has no column `{column}`; its columns are {}", texts.join(", "));
                    return Err(unreadable(path, &why));
                }
                0 => continue,
                _ => return Err(unreadable(path, &format!("it has the column `{column}` twice"))),
            }
            places.extend(texts.iter().position(|text| text == column).map(|place| (field.clone(), place)));
        }
        Ok(Csv { reader, since_row, open_end, import, shown: path.display().to_string(), headings, places })
    }

    fn next(&mut self) -> Result<Option<Row>, Failure> {
        let (line, record) = loop {
            let mut record = ByteRecord::new();
            let has_row = self.reader.read_byte_record(&mut record).map_err(|error| {
                let line = self.reader.position().line();
                Failure::new(exit::DATA, format!("can't read {} from line {line} on: {error}", self.shown))
            })?;
            self.since_row.set(0);
            if !has_row {
                return Ok(None);
            }
            // Counted from the row's end: empty lines before it belong to no row.
            let inside = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            let has_end = self.open_end != Some(self.reader.position().byte());
            let line = self.reader.position().line().saturating_sub(inside + u64::from(has_end));
            let record = without_cr(record);
            if record.len() > 1 || record.get(0).is_some_and(|only| !only.is_empty()) {
                break (line, record);
            }
        };
        let read = if record.len() == self.headings.len() {
            let cell = |field: &str| {
                let bytes = record.get(*self.places.get(field)?)?;
                let text = self.import.encoding.decode_without_bom_handling_and_without_replacement(bytes);
                Some(text.map(std::borrow::Cow::into_owned).ok_or_else(|| not_in(&self.import)))
            };
            cell::submission(&self.import, &cell)
                .and_then(|object| to_raw_value(&object).map_err(|e| e.to_string()))
                .and_then(|json| if json.get().len() > ROW_MAX_BYTES { Err(too_long()) } else { Ok(json) })
        } else {
            Err(format!("it has {} columns, the heading has {}", record.len(), self.headings.len()))
        };
        Ok(Some(Row { line, raw: Raw::Csv(record), read }))
    }
}

/// The row without the CR of its line's end.
fn without_cr(record: ByteRecord) -> ByteRecord {
    let last = record.len().saturating_sub(1);
    let cell = |(place, cell): (usize, &[u8])| match cell.strip_suffix(b"\r") {
        Some(bare) if place == last => bare.to_vec(),
        _ => cell.to_vec(),
    };
    record.iter().enumerate().map(cell).collect()
}

fn open_end(mut file: &File) -> std::io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    file.rewind()?;
    Ok((last != *b"\n").then_some(length))
}

/// Whether a list without this column says nothing that could be a submission.
fn is_needed(import: &Import, field: &str) -> bool {
    matches!(field, "merchant" | "request_id" | "amount" | "currency") && !import.defaults.contains_key(field)
}

fn too_long() -> String {
    format!("longer than {ROW_MAX_BYTES} bytes")
}

fn not_in(import: &Import) -> String {
    format!("a text that is not {}; set `encoding`, for instance to \"iso-8859-1\"", import.encoding.name())
}

/// A file of which only so much is read for one row.
struct Metered {
    file: File,
    since_row: Rc<Cell<usize>>,
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.since_row.get() > ROW_MAX_BYTES {
            let why = format!("a row is longer than {ROW_MAX_BYTES} bytes; is a quote not closed?");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
        }
        let read = self.file.read(into)?;
        self.since_row.set(self.since_row.get() + read);
        Ok(read)
    }
}

pub struct Lines {
    reader: BufReader<File>,
    shown: String,
    line: u64,
    bytes: u64,
}

impl Lines {
    fn next(&mut self) -> Result<Option<Row>, Failure> {
        loop {
            let mut text = Vec::new();
            let limit = ROW_MAX_BYTES as u64 + 1;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut text);
            let read = read.map_err(|e| Failure::new(exit::DATA, format!("can't read {}: {e}", self.shown)))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.bytes += read as u64;
            if text.len() > ROW_MAX_BYTES {
                if text.last() != Some(&b'\n') {
                    let skipped = self.reader.skip_until(b'\n');
                    self.bytes += skipped
                        .map_err(|e| Failure::new(exit::DATA, format!("can't read {}: {e}", self.shown)))?
                        as u64;
                }
                text.truncate(LONG_ROW_SHOWN_BYTES);
                let read = Err(too_long());
                return Ok(Some(Row { line: self.line, raw: Raw::Cut(text), read }));
            }
            if self.line == 1 && text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let read = match std::str::from_utf8(text) {
                // Checked here, because a row that is no JSON would break the whole batch.
                Ok(text) => serde_json::from_str::<Box<RawValue>>(text).map_err(|e| format!("not JSON: {e}")),
                Err(_) => Err("not UTF-8".to_owned()),
            };
            return Ok(Some(Row { line: self.line, raw: Raw::Line(text.to_vec()), read }));
        }
    }
}
