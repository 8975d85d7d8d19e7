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
    out: BufWriter<NamedTempFile>,
    pub count: u64,
}

impl Rejects {
    /// Fails where the folder can't be written: better before the first row is taken than behind it.
    pub fn beside(list: &Path, headings: Option<ByteRecord>, delimiter: u8) -> std::io::Result<Rejects> {
        let mut name = list.as_os_str().to_owned();
        name.push(".rejected");
        let path = PathBuf::from(name);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let out = BufWriter::new(NamedTempFile::new_in(folder)?);
        Ok(Rejects { path, headings, delimiter, out, count: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
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
                let row = json!({"line": line, "because": why, "row": String::from_utf8_lossy(text)});
                writeln!(out, "{row}")
            }
        }
    }

    /// Puts the file in its place. Returns whether there is one.
    pub fn finish(self) -> std::io::Result<bool> {
        if self.count == 0 {
            return Ok(false);
        }
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|failed| failed.error)?;
        Ok(true)
    }
}
