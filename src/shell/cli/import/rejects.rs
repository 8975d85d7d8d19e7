//! The file of rejected rows: the rows as they stood, and why. Once mended it can be imported like the first.

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
    out: Option<BufWriter<NamedTempFile>>,
    pub count: u64,
}

impl Rejects {
    pub fn beside(list: &Path, headings: Option<ByteRecord>, delimiter: u8) -> Rejects {
        let mut name = list.as_os_str().to_owned();
        name.push(".rejected");
        Rejects { path: name.into(), headings, delimiter, out: None, count: 0 }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn add(&mut self, line: u64, raw: &Raw, why: &str) -> std::io::Result<()> {
        self.count += 1;
        let is_first = self.out.is_none();
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                none.insert(BufWriter::new(NamedTempFile::new_in(folder)?))
            }
        };
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
                let row = json!({"line": line, "because": why, "row": String::from_utf8_lossy(text)});
                writeln!(out, "{row}")
            }
        }
    }

    /// Puts the file in its place. Returns whether there is one.
    pub fn finish(self) -> std::io::Result<bool> {
        let Some(out) = self.out else { return Ok(false) };
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|failed| failed.error)?;
        Ok(true)
    }
}
