//! A list's rows, one after the other, whatever its length: CSV or JSON Lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use clap::ValueEnum;
use csv::ByteRecord;
use serde_json::value::{RawValue, to_raw_value};

use super::cell;
use super::records::{Broken, Record, Records};
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
    Csv(Vec<u8>),
    /// Lines of CSV whose quotes are wrong.
    Torn(Vec<u8>),
    Line(Vec<u8>),
    /// The beginning of a line that is too long to be held.
    Cut(Vec<u8>),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line it begins on, from 1.
    pub line: u64,
    /// Where it begins, in bytes of the file.
    pub at: u64,
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

    /// The row that begins at a byte where one was found. Its line is not known then.
    pub fn row_at(&mut self, at: u64) -> Result<Option<Row>, Failure> {
        let (went, shown) = match self {
            List::Csv(csv) => (csv.records.go_to(at), &csv.shown),
            List::Lines(lines) => (lines.go_to(at), &lines.shown),
        };
        went.map_err(|e| Failure::new(exit::DATA, format!("can't read {shown}: {e}")))?;
        self.next()
    }

    /// Bytes of the file behind the last row.
    pub fn position(&self) -> u64 {
        match self {
            List::Csv(csv) => csv.records.position(),
            List::Lines(lines) => lines.bytes,
        }
    }

    /// The heading of a CSV file, as it stands in it.
    pub fn headings(&self) -> Option<&[u8]> {
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
    records: Records<File>,
    import: Import,
    shown: String,
    headings: Vec<u8>,
    /// Cells of the heading.
    width: usize,
    /// Field → the place of its column.
    places: BTreeMap<String, usize>,
}

impl Csv {
    fn open(file: File, path: &Path, import: Import) -> Result<Csv, Failure> {
        let mut records = Records::new(file, import.delimiter, ROW_MAX_BYTES);
        let first = records.next().map_err(|e| match e {
            Broken::TooLong { max_bytes, .. } => {
                let why = format!("its heading is longer than {max_bytes} bytes; do its lines end in CR alone?");
                unreadable(path, &why)
            }
            Broken::Io(e) => unreadable(path, &e),
        })?;
        let Record { text, cells, .. } = first.ok_or_else(|| unreadable(path, &"it is empty"))?;
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err(unreadable(path, &"it is UTF-16; save it as UTF-8"));
        }
        if text.windows(2).any(|two| two[0] == b'\r' && two[1] != b'\n') {
            return Err(unreadable(path, &"its lines end in CR alone; save it with LF or CRLF"));
        }
        let cells = cells.map_err(|flaw| unreadable(path, &format!("its heading: {flaw}")))?;
        let mut texts = Vec::new();
        for heading in &cells {
            let text = import.encoding.decode_without_bom_handling_and_without_replacement(heading);
            let text = text.ok_or_else(|| unreadable(path, &not_in(&import)))?;
            texts.push(text.trim().to_owned());
        }
        records.expect_width(cells.len());
        let places = places(&import, &texts).map_err(|why| unreadable(path, &why))?;
        let shown = path.display().to_string();
        Ok(Csv { records, import, shown, headings: text, width: cells.len(), places })
    }

    fn next(&mut self) -> Result<Option<Row>, Failure> {
        let Record { line, text, cells } = loop {
            let record = self.records.next();
            let record = record.map_err(|e| Failure::new(exit::DATA, format!("can't read {}: {e}", self.shown)))?;
            match record {
                None => return Ok(None),
                // An empty line belongs to no row.
                Some(record) if record.text.trim_ascii().is_empty() => {}
                Some(record) => break record,
            }
        };
        let at = self.records.position() - text.len() as u64;
        let raw = match &cells {
            Ok(_) => Raw::Csv(text),
            Err(_) => Raw::Torn(text),
        };
        let read = cells.map_err(|flaw| flaw.to_string()).and_then(|cells| self.submission(&cells));
        Ok(Some(Row { line, at, raw, read }))
    }

    fn submission(&self, cells: &ByteRecord) -> Result<Box<RawValue>, String> {
        if cells.len() != self.width {
            return Err(format!("it has {} columns, the heading has {}", cells.len(), self.width));
        }
        let cell = |field: &str| {
            let bytes = cells.get(*self.places.get(field)?)?;
            let text = self.import.encoding.decode_without_bom_handling_and_without_replacement(bytes);
            Some(text.map(std::borrow::Cow::into_owned).ok_or_else(|| not_in(&self.import)))
        };
        let json = to_raw_value(&cell::submission(&self.import, &cell)?).map_err(|e| e.to_string())?;
        if json.get().len() > ROW_MAX_BYTES { Err(too_long()) } else { Ok(json) }
    }
}

/// Where each field's column stands. A column that is looked for and not found may have been renamed: without it old
/// payments would be new ones, or other money.
fn places(import: &Import, headings: &[String]) -> Result<BTreeMap<String, usize>, String> {
    let mut places = BTreeMap::new();
    let mut missing = Vec::new();
    for (field, column) in &import.columns {
        let mut found = headings.iter().enumerate().filter(|(_, heading)| *heading == column);
        match (found.next(), found.next()) {
            (Some((place, _)), None) => {
                places.insert(field.clone(), place);
            }
            (Some(_), Some(_)) => return Err(format!("it has the column `{column}` twice")),
            (None, _) if import.optional.contains(field) => {}
            (None, _) => missing.push(format!("`{column}`")),
        }
    }
    match missing.as_slice() {
        [] => Ok(places),
        [..] => Err(format!(
            "it has no column {}; its columns are {}; of a column that a list may lack, name the field in `optional`",
            missing.join(", "),
            headings.join(", ")
        )),
    }
}

fn too_long() -> String {
    format!("longer than {ROW_MAX_BYTES} bytes")
}

fn not_in(import: &Import) -> String {
    format!("a text that is not {}; set `encoding`, for instance to \"iso-8859-1\"", import.encoding.name())
}

pub struct Lines {
    reader: BufReader<File>,
    shown: String,
    line: u64,
    bytes: u64,
}

impl Lines {
    fn go_to(&mut self, position: u64) -> std::io::Result<()> {
        self.reader.seek(SeekFrom::Start(position))?;
        (self.bytes, self.line) = (position, u64::from(position > 0));
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Row>, Failure> {
        loop {
            let mut text = Vec::new();
            let limit = ROW_MAX_BYTES as u64 + 1;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut text);
            let read = read.map_err(|e| Failure::new(exit::DATA, format!("can't read {}: {e}", self.shown)))?;
            if read == 0 {
                return Ok(None);
            }
            let at = self.bytes;
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
                return Ok(Some(Row { line: self.line, at, raw: Raw::Cut(text), read }));
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
            return Ok(Some(Row { line: self.line, at, raw: Raw::Line(text.to_vec()), read }));
        }
    }
}
