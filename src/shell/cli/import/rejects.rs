//! The file of rejected rows: the rows as they stood, and why. Once mended it can be imported like the first.
//!
//! Of CSV the reasons are further columns; of JSON Lines, which stay as they were, they stand in a file beside it.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use serde_json::json;
use tempfile::NamedTempFile;

use super::list::Raw;

/// Written beside the list, whole or not at all.
pub struct Rejects {
    path: PathBuf,
    headings: Option<ByteRecord>,
    delimiter: u8,
    out: BufWriter<NamedTempFile>,
    /// Of JSON Lines.
    reasons: Option<BufWriter<NamedTempFile>>,
    /// Lines written to `out`.
    lines: u64,
    pub count: u64,
}

impl Rejects {
    /// Fails where the folder can't be written: better before the first row is taken than behind it.
    pub fn beside(list: &Path, headings: Option<ByteRecord>, delimiter: u8) -> std::io::Result<Rejects> {
        let mut name = list.as_os_str().to_owned();
        name.push(".rejected");
        let path = PathBuf::from(name);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let new = || NamedTempFile::new_in(folder).map(BufWriter::new);
        let reasons = if headings.is_none() { Some(new()?) } else { None };
        let out = new()?;
        Ok(Rejects { path, headings, delimiter, out, reasons, lines: 0, count: 0 })
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
        let is_first = self.count == 0;
        self.count += 1;
        let out = &mut self.out;
        match raw {
            Raw::Csv(record) => {
                let mut rows = csv::WriterBuilder::new().delimiter(self.delimiter).flexible(true).from_writer(out);
                if let Some(headings) = self.headings.as_ref().filter(|_| is_first) {
                    rows.write_record(headings.iter().chain([&b"rejected_line"[..], b"rejected_because"]))?;
                }
                rows.write_record(record.iter().chain([line.to_string().as_bytes(), why.as_bytes()]))?;
                rows.flush()
            }
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
