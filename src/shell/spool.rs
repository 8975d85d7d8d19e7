//! The spool directory: for shops that can only write files, also while the daemon is down.
//!
//! Files are renamed into it whole: `*.submission.json`, `*.response.json`, `*.notification`. A file
//! is removed only after its content is durable; one that can't be taken moves to `rejected/` with a
//! `.reason.txt` beside it. Names that begin with a dot or end in `.tmp` are somebody's work in progress.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::json_fields::{Fields, refusal};
use super::submission_json;
use super::writer::Writer;
use crate::core::account::Accounts;
use crate::engine::{Incoming, Kept, Refusal, Responded, Submitted};
use crate::words::id::MerchantName;

/// Pause between two looks into the directory.
const LOOK_EVERY: Duration = Duration::from_millis(1000);
/// Files taken in one look.
const FILES_MAX: usize = 1000;
/// Base64 and JSON around a body cost less than this factor.
const ENVELOPE_FACTOR: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    // In this order: a response needs its submission.
    Submission,
    Response,
    Notification,
}

fn kind_of(name: &str) -> Option<Kind> {
    if name.starts_with('.') || name.ends_with(".tmp") {
        return None;
    }
    [(".submission.json", Kind::Submission), (".response.json", Kind::Response), (".notification", Kind::Notification)]
        .into_iter()
        .find_map(|(end, kind)| name.ends_with(end).then_some(kind))
}

/// What became of one file.
#[derive(PartialEq, Debug)]
enum Taken {
    Kept,
    Rejected(Refusal),
    /// The store is down, or the inbox full: the file stays.
    NotNow,
}

pub struct Spool {
    pub folder: PathBuf,
    pub body_max_bytes: usize,
}

impl Spool {
    /// Makes the directories where they are missing.
    pub fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o770).create(self.folder.join("rejected"))
    }

    pub async fn run(self, writer: Writer, stop: CancellationToken) {
        loop {
            if let Err(error) = self.sweep(&writer, &stop).await {
                warn!(path = %self.folder.display(), "can't read the spool: {error}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn sweep(&self, writer: &Writer, stop: &CancellationToken) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(kind) = kind_of(name) {
                files.push((kind, name.to_owned()));
            }
        }
        files.sort();
        for (kind, name) in files.into_iter().take(FILES_MAX) {
            if stop.is_cancelled() {
                return Ok(());
            }
            let path = self.folder.join(&name);
            let taken = match self.read(&path) {
                Ok(bytes) => take(writer, kind, &bytes).await,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Taken::Rejected(refusal(format!("can't be read: {error}"), None, None)),
            };
            match taken {
                // Removed only now that it is durable; a crash before this line brings it again, which is fine.
                Taken::Kept => fs::remove_file(&path)?,
                Taken::Rejected(why) => self.reject(&name, &why)?,
                Taken::NotNow => return Ok(()),
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(no_follow.bits() as i32).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a plain file"));
        }
        let max = (self.body_max_bytes * ENVELOPE_FACTOR) as u64;
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(io::Error::other(format!("longer than {max} bytes")));
        }
        Ok(bytes)
    }

    fn reject(&self, name: &str, why: &Refusal) -> io::Result<()> {
        let rejected = self.folder.join("rejected");
        let field = why.field.as_deref().map(|field| format!("`{field}` ")).unwrap_or_default();
        let hint = why.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let reason = format!("{field}{}{hint}\n", why.error);
        // The reason first: a file in `rejected` always has one.
        fs::write(rejected.join(format!("{name}.reason.txt")), reason.as_bytes())?;
        fs::rename(self.folder.join(name), rejected.join(name))?;
        File::open(&rejected)?.sync_all()?;
        info!(file = name, "spool file rejected: {field}{}", why.error);
        Ok(())
    }
}

async fn take(writer: &Writer, kind: Kind, bytes: &[u8]) -> Taken {
    let accounts = &writer.engine.policy.accounts;
    match kind {
        Kind::Submission => match submission_json::submission(bytes, accounts) {
            Err(why) => Taken::Rejected(why),
            Ok(submission) => match writer.submit(submission).await {
                Err(_) => Taken::NotNow,
                Ok(Submitted::Created { .. } | Submitted::Same { .. } | Submitted::Amended { .. }) => Taken::Kept,
                Ok(Submitted::Refused(why)) => Taken::Rejected(why),
                Ok(Submitted::Conflict { field, .. }) => {
                    let hint = "the first submission stays, and this one is kept as a discrepancy";
                    Taken::Rejected(refusal("submitted before with other content", Some(field), Some(hint)))
                }
            },
        },
        Kind::Response => match submission_json::response(bytes, accounts) {
            Err(why) => Taken::Rejected(why),
            Ok(response) => match writer.respond(response).await {
                Err(_) => Taken::NotNow,
                Ok(Responded::Kept { .. }) => Taken::Kept,
                Ok(Responded::Refused(why)) => Taken::Rejected(why),
                Ok(Responded::UnknownRequest) => {
                    let hint = "spool the submission first, then move this file back";
                    Taken::Rejected(refusal("no such submission", Some("request_id"), Some(hint)))
                }
            },
        },
        Kind::Notification => match notification(bytes, accounts) {
            Err(why) => Taken::Rejected(why),
            Ok(incoming) => match writer.receive(incoming).await {
                Ok(Kept::Kept { .. }) => Taken::Kept,
                Ok(Kept::Full) | Err(_) => Taken::NotNow,
            },
        },
    }
}

/// Reads the envelope of a notification: `{"merchant":…, "content_type":…, "body_base64":…}`.
fn notification(bytes: &[u8], accounts: &Accounts) -> Result<Incoming, Refusal> {
    let mut fields = Fields::read(bytes)?;
    let name = fields.required_text("merchant")?;
    let content_type = fields.text("content_type")?;
    let body = fields.required_text("body_base64")?;
    fields.finish()?;
    let merchant = MerchantName::new(&name)
        .ok()
        .filter(|name| accounts.contains_key(name))
        .ok_or_else(|| submission_json::no_such_account(accounts))?;
    let body = base64::engine::general_purpose::STANDARD
        .decode(body)
        .map_err(|_| refusal("is not Base64 (standard alphabet, padded)", Some("body_base64"), None))?;
    Ok(Incoming { merchant, body, content_type, way: "spool" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_of_known_kinds_are_taken() {
        for (name, kind) in [
            ("1.submission.json", Some(Kind::Submission)),
            ("1.response.json", Some(Kind::Response)),
            ("1.notification", Some(Kind::Notification)),
            (".1.submission.json", None),
            ("1.submission.json.tmp", None),
            ("1.json", None),
            ("rejected", None),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }

    #[test]
    fn links_and_long_files_are_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool { folder: folder.path().to_owned(), body_max_bytes: 8 };
        spool.prepare().expect("prepared");
        fs::write(folder.path().join("long"), [b'x'; 17]).expect("written");
        fs::write(folder.path().join("short"), [b'x'; 16]).expect("written");
        std::os::unix::fs::symlink(folder.path().join("short"), folder.path().join("link")).expect("linked");
        assert_eq!(spool.read(&folder.path().join("short")).expect("read").len(), 16);
        for name in ["long", "link", "rejected"] {
            assert!(spool.read(&folder.path().join(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_rejected_file_has_its_reason_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool { folder: folder.path().to_owned(), body_max_bytes: 1024 };
        spool.prepare().expect("prepared");
        fs::write(folder.path().join("1.notification"), "{}").expect("written");
        let why = notification(b"{}", &Accounts::new()).expect_err("refused");
        spool.reject("1.notification", &why).expect("rejected");
        let reason = fs::read_to_string(folder.path().join("rejected/1.notification.reason.txt")).expect("a reason");
        assert_eq!(reason, "`merchant` is missing\n");
        assert!(folder.path().join("rejected/1.notification").exists());
        assert!(!folder.path().join("1.notification").exists());
    }
}
