//! Writes nightly reports: which one is due and what it says is the engine's; here it becomes files,
//! each old or new and never half.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tracing::{error, info};

use super::writer::Writer;
use crate::core::report::Report;

/// Reports made up in one go; the rest follows at the next ring.
const NIGHTS_MAX: usize = 40;
/// Files that a kill left half written begin with this.
const UNFINISHED: &str = ".reconciled-";

/// Why the last report that was due is not written; nothing where it is.
#[derive(Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the news and logs it.
    fn tell(&self, why: String) {
        error!("{why}");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[derive(Clone)]
pub struct Reports {
    pub folder: PathBuf,
    pub trouble: Trouble,
}

impl Reports {
    /// Makes the folder where it is missing, and clears what a kill left in it.
    pub fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o750).create(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes the reports that are due, oldest first. One that can't be written is tried again at the next ring.
    pub async fn write_due(&self, writer: &Writer) {
        for _ in 0..NIGHTS_MAX {
            let due = writer.read(|engine, view, now| match engine.report_due(view, now)? {
                Some(slot) => engine.report(view, slot).map(Some),
                None => Ok(None),
            });
            let report = match due.await {
                Ok(Ok(Some(report))) => report,
                Ok(Ok(None)) => return self.trouble.end(),
                Err(_) => return,
                Ok(Err(fault)) => {
                    return self.fail(writer, format!("the nightly report can't be made: {fault}")).await;
                }
            };
            let folder = self.folder.clone();
            let written = tokio::task::spawn_blocking(move || {
                let digest = write(&folder, &report)?;
                io::Result::Ok((report, digest))
            });
            let (report, digest) = match written.await {
                Ok(Ok(written)) => written,
                Ok(Err(why)) => {
                    let folder = self.folder.display();
                    let why = format!("the nightly report can't be written to {folder}: {why}");
                    return self.fail(writer, why).await;
                }
                Err(panicked) => {
                    return self.fail(writer, format!("the nightly report can't be written: {panicked}")).await;
                }
            };
            let stem = report.file_stem();
            // A crash before this is kept writes the same files again.
            if writer.reported(report, digest).await.is_err() {
                return;
            }
            info!(report = stem, "report {stem} written");
        }
    }

    /// Tells it in the log, in `status`, and as an alert.
    async fn fail(&self, writer: &Writer, why: String) {
        self.trouble.tell(why.clone());
        // A store that takes nothing now pages by itself.
        let _ = writer.unreported(why).await;
    }
}

/// Writes the three files of a report; returns the SHA-256 of its text.
fn write(folder: &Path, report: &Report) -> io::Result<String> {
    let text = report.text();
    let stem = report.file_stem();
    for (ending, content) in [("csv", report.csv()), ("json", report.json()), ("txt", text.clone())] {
        replace(folder, &format!("{stem}.{ending}"), content.as_bytes())?;
    }
    File::open(folder)?.sync_all()?;
    Ok(digest(&text))
}

/// SHA-256 of a report's text, hex.
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o640))?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|failed| failed.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leftovers_are_cleared() {
        let folder = tempfile::tempdir().expect("a folder");
        let reports = Reports { folder: folder.path().join("reports"), trouble: Trouble::default() };
        reports.prepare().expect("prepared");
        fs::write(reports.folder.join(".reconciled-half"), "ha").expect("written");
        replace(&reports.folder, "a.txt", b"one").expect("written");
        replace(&reports.folder, "a.txt", b"two").expect("written");
        reports.prepare().expect("prepared");
        let names: Vec<_> = fs::read_dir(&reports.folder)
            .expect("read")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        assert_eq!(names, ["a.txt"]);
        assert_eq!(fs::read(reports.folder.join("a.txt")).expect("read"), b"two");
    }
}
