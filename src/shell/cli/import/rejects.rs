//! The file of rejected rows: the rows as they stood, and why. Once mended it can be imported like the first.
//!
//! Of CSV the reasons are columns before the row's own, so that what stands behind a quote that is open can't hide them;
//! of JSON Lines, which stay as they were, they stand in a file beside it.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;
use serde_json::json;
use tempfile::NamedTempFile;

use super::list::{List, Raw};
use super::records::BYTE_ORDER_MARK;
use crate::shell::config::import::Import;

/// Written beside the list, whole or not at all.
pub struct Rejects {
    path: PathBuf,
    headings: Option<Vec<u8>>,
    delimiter: u8,
    encoding: &'static Encoding,
    out: BufWriter<NamedTempFile>,
    /// Of JSON Lines.
    reasons: Option<BufWriter<NamedTempFile>>,
    /// Lines written to `out`.
    lines: u64,
    pub count: u64,
}

impl Rejects {
    /// Fails where the folder can't be written: better before the first row is taken than behind it.
    pub fn beside(path: &Path, list: &List, import: &Import) -> std::io::Result<Rejects> {
        let mut name = path.as_os_str().to_owned();
        name.push(".rejected");
        let path = PathBuf::from(name);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Of a run that was killed it stays behind, and its name says what it is.
        let beginning = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
        let new = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(&beginning).suffix(".unfinished").tempfile_in(folder).map(BufWriter::new)
        };
        let headings = list.headings().map(<[u8]>::to_vec);
        let reasons = if headings.is_none() { Some(new()?) } else { None };
        let out = new()?;
        let (delimiter, encoding) = (import.delimiter, import.encoding);
        Ok(Rejects { path, headings, delimiter, encoding, out, reasons, lines: 0, count: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the reasons are, if not in the file itself.
    pub fn reasons_path(&self) -> Option<PathBuf> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".reasons");
        self.reasons.as_ref().map(|_| PathBuf::from(name))
    }

    pub fn add(&mut self, line: u64, raw: &Raw, why: &str) -> std::io::Result<()> {
        self.count += 1;
        if let Some(headings) = self.headings.take() {
            let bare = headings.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&headings);
            self.out.write_all(&headings[..headings.len() - bare.len()])?;
            self.row(&["rejected_line", "rejected_because"], bare)?;
        }
        let out = &mut self.out;
        match raw {
            Raw::Csv(text) => self.row(&[&line.to_string(), why], text),
            // Line by line: once the quote is mended, the rows it swallowed are rows like the others.
            Raw::Torn(text) => (line..)
                .zip(text.split_inclusive(|byte| *byte == b'\n'))
                .try_for_each(|(line, text)| self.row(&[&line.to_string(), why], text)),
            Raw::Line(text) => {
                out.write_all(text)?;
                out.write_all(b"\n")?;
                self.lines += 1;
                self.reason(&json!({"line": line, "rejected_line": self.lines, "because": why}))
            }
            Raw::Cut(beginning) => {
                let begins = String::from_utf8_lossy(beginning);
                self.reason(&json!({"line": line, "rejected_line": null, "because": why, "begins": begins}))
            }
        }
    }

    /// Writes a row of CSV as it stands behind some cells of ours.
    fn row(&mut self, before: &[&str], text: &[u8]) -> std::io::Result<()> {
        let mut cells = csv::WriterBuilder::new().delimiter(self.delimiter).from_writer(Vec::new());
        cells.write_record(before.iter().map(|cell| self.encoding.encode(cell).0))?;
        let cells = cells.into_inner().map_err(|failed| failed.into_error())?;
        self.out.write_all(cells.trim_ascii_end())?;
        self.out.write_all(&[self.delimiter])?;
        self.out.write_all(text)?;
        if text.ends_with(b"\n") { Ok(()) } else { self.out.write_all(b"\n") }
    }

    fn reason(&mut self, reason: &serde_json::Value) -> std::io::Result<()> {
        match &mut self.reasons {
            Some(reasons) => writeln!(reasons, "{reason}"),
            None => Ok(()),
        }
    }

    /// Puts the file in its place, and its reasons. Returns whether there is one.
    pub fn finish(self) -> std::io::Result<bool> {
        if self.count == 0 {
            return Ok(false);
        }
        let beside = self.reasons_path();
        for (out, path) in [(self.reasons, beside), (Some(self.out), Some(self.path))] {
            let (Some(out), Some(path)) = (out, path) else { continue };
            let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|failed| failed.error)?;
        }
        Ok(true)
    }
}
