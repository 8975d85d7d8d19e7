//! The lock file beside a store: one daemon, or any number of readers.
//!
//! ```text
//! 4711        the daemon's pid, in ten columns
//! made        a store was created here: from then on a missing store is a loss
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::disk::{beside, plain_file};
use super::open_error::{OpenError, io_error};

const MADE: &str = "made";

/// How often, and how long in between, a daemon tries to get a lock that only readers hold: theirs
/// are short, and a start must not fail for a glance at the store.
const TRIES_MAX: u32 = 20;
const TRY_AGAIN_MS: u64 = 50;

/// The lock of a daemon, held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Lock, OpenError> {
        let lock_path = beside(path, ".lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut tries = 0;
        loop {
            let (file, found) = plain_file(&lock_path, &mut options)?;
            match file.try_lock() {
                Ok(()) => {
                    // Somebody may have removed it between our opening and locking it: then try again.
                    let named = fs::symlink_metadata(&lock_path);
                    if named.is_ok_and(|named| (named.dev(), named.ino()) == (found.dev(), found.ino())) {
                        return Ok(Lock::held(file, &lock_path));
                    }
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&file);
                    if pid.is_some() || tries == TRIES_MAX {
                        return Err(OpenError::InUse { path: path.to_owned(), pid });
                    }
                }
                Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
            }
            if tries == TRIES_MAX {
                return Err(io_error("lock", &lock_path)(io::Error::other("it is removed again and again")));
            }
            tries += 1;
            std::thread::sleep(Duration::from_millis(TRY_AGAIN_MS));
        }
    }

    fn held(file: File, lock_path: &Path) -> Lock {
        let lock = Lock(file);
        // The text is for people and may be missing on a full disk; the lock holds without it.
        if let Err(error) = lock.write(&text(lock.says_made())) {
            tracing::warn!(path = %lock_path.display(), %error, "can't write our pid into the lock file: {error}");
        }
        lock
    }

    /// Whether a store was ever made here.
    pub(super) fn says_made(&self) -> bool {
        read(&self.0).lines().any(|line| line == MADE)
    }

    /// Notes for all later starts that a store was made here.
    pub(super) fn note_made(&self) -> io::Result<()> {
        self.write(&text(true))?;
        self.0.sync_all()
    }

    fn write(&self, text: &str) -> io::Result<()> {
        self.0.write_all_at(text.as_bytes(), 0)?;
        self.0.set_len(text.len() as u64)
    }
}

impl Drop for Lock {
    /// A reader who holds the lock next must not be taken for us.
    fn drop(&mut self) {
        let nobody = " ".repeat(PID_COLUMNS);
        if let Err(error) = self.0.write_all_at(nobody.as_bytes(), 0) {
            tracing::debug!(%error, "can't take our pid out of the lock file: {error}");
        }
    }
}

/// The lock of a reader; `None` where no daemon ever ran.
pub(super) fn share(path: &Path) -> Result<Option<File>, OpenError> {
    let lock_path = beside(path, ".lock");
    let file = match plain_file(&lock_path, OpenOptions::new().read(true)) {
        Ok((file, _)) => file,
        Err(OpenError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned(), pid: holder(&file) }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &lock_path)(error)),
    }
}

/// The daemon that holds the lock, if the process the file names lives. After a crash the file names a
/// dead one, and whoever holds the lock is a reader.
fn holder(file: &File) -> Option<u32> {
    let pid: u32 = read(file).lines().next()?.trim().parse().ok()?;
    let process = rustix::process::Pid::from_raw(pid.try_into().ok()?)?;
    // Not permitted to signal it: it lives.
    let lives = rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH);
    lives.then_some(pid)
}

/// Columns of the first line, so that writing it anew never cuts what follows.
const PID_COLUMNS: usize = 10;

fn text(made: bool) -> String {
    let pid = std::process::id();
    let made = if made { MADE } else { "" };
    format!("{pid:<PID_COLUMNS$}\n{made}\n")
}

fn read(file: &File) -> String {
    let mut text = [0; 64];
    let read = file.read_at(&mut text, 0).unwrap_or(0);
    String::from_utf8_lossy(&text[..read]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_waited_for_and_not_taken_for_the_last_daemon() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.redb");
        drop(Lock::take(&path).expect("a daemon that came and went"));
        let reader = share(&path).expect("shared").expect("there is a lock file");
        let refused = Lock::take(&path).expect_err("a reader who does not let go");
        assert!(matches!(refused, OpenError::InUse { pid: None, .. }), "{refused}");
        std::thread::scope(|threads| {
            threads.spawn(move || {
                std::thread::sleep(Duration::from_millis(3 * TRY_AGAIN_MS));
                drop(reader);
            });
            Lock::take(&path).expect("the reader let go in time");
        });
    }

    #[test]
    fn a_crashed_daemons_pid_is_not_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.redb");
        // Above the kernel's highest pid.
        fs::write(beside(&path, ".lock"), "2000000000\nmade\n").expect("what a crash leaves");
        let _reader = share(&path).expect("shared");
        assert!(matches!(Lock::take(&path), Err(OpenError::InUse { pid: None, .. })));
    }
}
