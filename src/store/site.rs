//! Where an open store lies, and the marks that stay beside its file from one start to the next.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Fault;
use super::disk::{beside, write_whole};
use crate::words::time::Timestamp;

/// The file an open store lies in: whether it is still the one at its path, and its marks.
#[derive(Debug)]
pub(super) struct Site {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// When the file was checked last; goes into the mark of a clean stop.
    checked_at: Timestamp,
}

impl Site {
    pub(super) fn new(path: &Path, file: &Metadata, checked_at: Timestamp) -> Site {
        Site { path: path.to_owned(), device: file.dev(), inode: file.ino(), checked_at }
    }

    /// Fails once the path no longer names the open file: whoever starts next would see another one.
    pub(super) fn still_there(&self) -> Result<(), Fault> {
        let found = fs::symlink_metadata(&self.path);
        if found.as_ref().is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode)) {
            return Ok(());
        }
        let path = self.path.display();
        Err(Fault::Broken(match found {
            Ok(_) => {
                format!("`{path}` was replaced while it was open: stop, decide which file is the store, start again")
            }
            Err(error) => format!("`{path}` was moved while it was open ({error}): put it back and start again"),
        }))
    }

    /// Leaves the mark of a clean stop. To be called when the database is closed.
    pub(super) fn mark_clean(&self) -> Result<(), Fault> {
        self.still_there()?;
        let write = || -> io::Result<()> {
            let file = File::open(&self.path)?;
            // The time of the last change is part of the mark, and redb syncs data only.
            file.sync_all()?;
            let mark = CleanMark::of(&file.metadata()?, self.checked_at);
            write_whole(&beside(&self.path, ".clean"), &serde_json::to_vec(&mark)?)
        };
        write().map_err(|error| Fault::Storage(format!("can't mark `{}` as clean: {error}", self.path.display())))
    }

    /// Leaves the mark of a failed write or sync.
    pub(super) fn mark_dirty(&self, why: &str) {
        mark_dirty(&self.path, why);
    }
}

/// Leaves the mark of a failed write or sync. Best effort: without it the next start still finds no
/// clean mark and checks the file.
pub(super) fn mark_dirty(path: &Path, why: &str) {
    if let Err(error) = write_whole(&beside(path, ".dirty"), why.as_bytes()) {
        tracing::warn!(path = %path.display(), %error, "can't leave the mark of a failed sync: {error}");
    }
}

/// What a clean stop leaves beside the file. A file it does not fit was changed since.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CleanMark {
    device: u64,
    inode: u64,
    length: u64,
    modified_s: i64,
    modified_ns: i64,
    pub(super) checked_at: Timestamp,
}

impl CleanMark {
    fn of(file: &Metadata, checked_at: Timestamp) -> CleanMark {
        CleanMark {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified_s: file.mtime(),
            modified_ns: file.mtime_nsec(),
            checked_at,
        }
    }

    fn fits(&self, file: &Metadata) -> bool {
        let found = (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        found == (self.device, self.inode, self.length, self.modified_s, self.modified_ns)
    }
}

/// The mark of a clean stop of the file `found`, or why it does not count.
pub(super) fn read_clean(path: &Path, found: &Metadata) -> io::Result<Result<CleanMark, String>> {
    let Some(text) = read_mark(&beside(path, ".clean"))? else { return Ok(Err("the last stop was not clean".into())) };
    Ok(match serde_json::from_slice::<CleanMark>(&text) {
        Ok(mark) if mark.fits(found) => Ok(mark),
        Ok(_) => Err("the file changed since it was closed".into()),
        Err(_) => Err("the mark of the last stop is unreadable".into()),
    })
}

/// What failed, if a write or sync did.
pub(super) fn read_dirty(path: &Path) -> io::Result<Option<String>> {
    Ok(read_mark(&beside(path, ".dirty"))?.map(|why| String::from_utf8_lossy(&why).into_owned()))
}

fn read_mark(mark: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(mark) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::StorageBackend;
    use redb::backends::FileBackend;

    use super::super::embedded::{Embedded, Opening};
    use super::super::file::{State, StoreFile};
    use super::super::{Draft, Table};
    use super::*;

    /// A real file whose disk can be told to fail.
    #[derive(Debug)]
    struct Frail {
        file: FileBackend,
        sync_fails: Arc<AtomicBool>,
        full: Arc<AtomicBool>,
    }

    impl StorageBackend for Frail {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            match self.sync_fails.load(Ordering::SeqCst) {
                true => Err(io::Error::other("the disk lost a page")),
                false => self.file.sync_data(),
            }
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            match self.full.load(Ordering::SeqCst) {
                true => Err(ErrorKind::StorageFull.into()),
                false => self.file.write(offset, data),
            }
        }
    }

    /// What the next start finds after one commit on a disk that fails like this.
    fn state_after(sync_fails: bool, full: bool) -> (Fault, State) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.redb");
        let now = "2026-11-22T03:00:00Z".parse().expect("a time");
        let file = StoreFile::lock(&path).expect("lock");
        file.create(&[]).expect("create");
        let open = OpenOptions::new().read(true).write(true).open(&path).expect("open");
        let found = open.metadata().expect("metadata");
        let [sync_flag, full_flag] = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
        let backend = Frail {
            file: FileBackend::new(open).expect("a backend"),
            sync_fails: sync_flag.clone(),
            full: full_flag.clone(),
        };
        let store = Embedded::open_on(backend, 1, Opening::Plain).expect("open").at(Site::new(&path, &found, now));
        sync_flag.store(sync_fails, Ordering::SeqCst);
        full_flag.store(full, Ordering::SeqCst);
        let snapshot = store.snapshot().expect("snapshot");
        let mut draft = Draft::new(&snapshot).expect("draft");
        draft.put(Table::Open, b"k".to_vec(), b"v".to_vec());
        let fault = store.commit(draft.into_commit()).expect_err("the disk fails");
        drop((snapshot, store));
        (fault, file.state(now).expect("state"))
    }

    #[test]
    fn a_failed_sync_leaves_the_mark_that_asks_for_a_copy() {
        let (fault, state) = state_after(true, false);
        assert!(matches!(&fault, Fault::Storage(why) if why.contains("the disk lost a page")), "{fault}");
        assert!(matches!(&state, State::Dirty { why } if why.contains("the disk lost a page")), "{state:?}");
    }

    #[test]
    fn a_full_disk_asks_for_a_check_only_since_a_copy_needs_room() {
        let (fault, state) = state_after(false, true);
        assert!(matches!(fault, Fault::Full(_)), "{fault}");
        assert!(matches!(state, State::CheckDue { .. }), "{state:?}");
    }
}
