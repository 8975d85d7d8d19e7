//! The store's file on a disk: lock, create, check, recover, open, close. By the book, because each
//! rule here stands for a way in which a store was lost or two daemons wrote side by side.
//!
//! The order at a start, for a store at `PATH`:
//!
//! ```text
//! StoreFile::lock          PATH.lock, held until the process ends; names our pid
//! StoreFile::state         what the marks say
//!   Absent                 create: PATH.new, fsync, rename, fsync the directory
//!   Dirty                  recover: PATH.copy, fsync, rename; then check, then mended
//!   CheckDue               check: in a short-lived child, because redb may panic or abort on damage
//!   Clean                  no check: closed cleanly, and checked within CHECK_EVERY_DAYS
//! StoreFile::open          removes the clean mark; Embedded::close writes it again
//! ```

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, DatabaseError, ReadOnlyDatabase, ReadableDatabase};

use super::Fault;
use super::disk::{beside, new_file, parent, plain_file, remove, sync_directory, vetted};
use super::embedded::{self, Embedded, NotOpened, Opening, Snapshot};
use super::lock::{self, Lock};
pub use super::open_error::OpenError;
use super::open_error::io_error;
use super::site::{Site, mark_dirty, read_clean, read_dirty};
use super::watched::{Watch, Watched};
use crate::words::time::{Timestamp, days};

/// How long after a check a cleanly closed file is opened without another one.
pub const CHECK_EVERY_DAYS: i64 = 7;

/// How many bytes a copy moves at a time.
const COPY_CHUNK_BYTES: usize = 64 << 10;

/// Room that must stay free on the disk beside a copy, in bytes.
const COPY_SPARE_BYTES: u64 = 4 << 20;

/// What must be done before the store may be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// There is no store yet.
    Absent,
    /// Closed cleanly, and checked not long ago.
    Clean { checked_at: Timestamp },
    /// It must be checked.
    CheckDue { why: String },
    /// A write or sync failed: it must be recovered by copy, then checked.
    Dirty { why: String },
}

/// The right to open the store at a path: its lock file, held until this is dropped.
#[derive(Debug)]
pub struct StoreFile {
    path: PathBuf,
    lock: Lock,
}

impl StoreFile {
    /// Takes the lock of the store at `path`, whether or not the store exists, and removes what an
    /// interrupted creation or recovery left behind. Makes the parent directory (0700) if it is missing.
    pub fn lock(path: &Path) -> Result<StoreFile, OpenError> {
        // Whoever changes the working directory later must not change which file is meant.
        let path = &std::path::absolute(path).map_err(io_error("find", path))?;
        let directory = parent(path);
        if !directory.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(io_error("make the directory", directory))?;
        }
        let lock = Lock::take(path)?;
        for leftover in [".new", ".copy", ".clean.new", ".dirty.new"] {
            remove(&beside(path, leftover))?;
        }
        Ok(StoreFile { path: path.to_owned(), lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What must be done before [`StoreFile::open`].
    pub fn state(&self, now: Timestamp) -> Result<State, OpenError> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.absent(),
            Err(error) => return Err(io_error("look at", &self.path)(error)),
        };
        if let Some(why) = read_dirty(&self.path).map_err(io_error("read the marks of", &self.path))? {
            return Ok(State::Dirty { why });
        }
        Ok(match read_clean(&self.path, &found).map_err(io_error("read the marks of", &self.path))? {
            Err(why) => State::CheckDue { why },
            Ok(mark) if mark.checked_at > now || now.duration_since(mark.checked_at) > days(CHECK_EVERY_DAYS) => {
                State::CheckDue { why: format!("the last check was at {}", mark.checked_at) }
            }
            Ok(mark) => State::Clean { checked_at: mark.checked_at },
        })
    }

    /// A store that is gone must not be forgotten by making an empty one in its place.
    fn absent(&self) -> Result<State, OpenError> {
        if !self.lock.says_made() {
            return Ok(State::Absent);
        }
        let lock_path = beside(&self.path, ".lock");
        let why = format!(
            "is gone, and it was not this program that removed it: put it back or restore the last backup; \
             to start with an empty store, remove `{}`",
            lock_path.display()
        );
        Err(OpenError::NotOurs { path: self.path.clone(), why })
    }

    /// Makes an empty store. `birth`: see [`Embedded::create_on`]. A crash inside leaves no store or
    /// a whole one.
    pub fn create(&self, birth: &[(&str, &[u8])]) -> Result<(), OpenError> {
        // Renaming would silently replace it.
        if fs::symlink_metadata(&self.path).is_ok() {
            let why = "exists already: a new store is only made where none is".to_owned();
            return Err(OpenError::NotOurs { path: self.path.clone(), why });
        }
        self.put_in_place(&beside(&self.path, ".new"), |new, file| {
            let handle = file.try_clone().map_err(io_error("create", new))?;
            Embedded::create_on(FileBackend::new(file).map_err(redb_error)?, CREATE_CACHE_MIB, birth)?.close()?;
            Ok(handle)
        })?;
        self.lock.note_made().map_err(io_error("write", &beside(&self.path, ".lock")))
    }

    /// Makes the file trustworthy again after a failed write or sync: what the page cache holds goes
    /// to a new file, which is synced and takes the old one's place. Never in place: a page that the
    /// kernel believes written may not be on the disk. Then check it, then call [`StoreFile::mended`].
    ///
    /// `progress` gets the bytes copied and the whole length.
    pub fn recover(&self, mut progress: impl FnMut(u64, u64)) -> Result<(), OpenError> {
        let (mut from, found) = vetted(&self.path, OpenOptions::new().read(true))?;
        self.make_room_for(&found)?;
        self.put_in_place(&beside(&self.path, ".copy"), |copy, mut to| {
            // By hand: io::copy may share the extents on the disk, which are what we do not trust.
            let mut chunk = vec![0; COPY_CHUNK_BYTES];
            let mut done = 0;
            loop {
                let read = from.read(&mut chunk).map_err(io_error("read", &self.path))?;
                if read == 0 {
                    break;
                }
                // Holes stay holes: a redb file is longer than what it uses.
                let written = if chunk[..read].iter().all(|byte| *byte == 0) {
                    to.seek(SeekFrom::Current(read as i64)).map(|_| ())
                } else {
                    to.write_all(&chunk[..read])
                };
                written.map_err(io_error("write", copy))?;
                done += read as u64;
                progress(done, found.len());
            }
            to.set_len(done).map_err(io_error("write", copy))?;
            Ok(to)
        })
    }

    /// Takes the dirty mark away: call it once the recovered file passed its check.
    pub fn mended(&self) -> Result<(), OpenError> {
        remove(&beside(&self.path, ".dirty"))?;
        sync_directory(&self.path)
    }

    /// Opens the store for writing. It must be `Clean`, freshly created, or checked just now;
    /// `checked_at` says when it was checked last.
    pub fn open(&self, cache_mib: usize, checked_at: Timestamp) -> Result<Embedded, OpenError> {
        if let Some(why) = read_dirty(&self.path).map_err(io_error("read the marks of", &self.path))? {
            return Err(OpenError::Unclean { path: self.path.clone(), why });
        }
        let (store, found) = open_writable(&self.path, cache_mib, Opening::Plain)?;
        Ok(store.at(Site::new(&self.path, &found, checked_at)))
    }

    fn make_room_for(&self, found: &Metadata) -> Result<(), OpenError> {
        const BLOCK_BYTES: u64 = 512;
        let needed = found.blocks() * BLOCK_BYTES + COPY_SPARE_BYTES;
        let disk = rustix::fs::statvfs(parent(&self.path))
            .map_err(|error| io_error("look at the disk of", &self.path)(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            let (needed_mib, free_mib) = (needed.div_ceil(1 << 20), free >> 20);
            return Err(OpenError::NoRoom { path: self.path.clone(), needed_mib, free_mib });
        }
        Ok(())
    }

    /// Puts a file made by `make` at the store's path, durably, or leaves everything as it was.
    fn put_in_place(
        &self,
        new: &Path,
        make: impl FnOnce(&Path, File) -> Result<File, OpenError>,
    ) -> Result<(), OpenError> {
        // What an earlier try in this process left.
        remove(new)?;
        let made = new_file(new).and_then(|file| make(new, file)).and_then(|file| {
            file.sync_all().map_err(io_error("sync", new))?;
            remove(&beside(&self.path, ".clean"))?;
            fs::rename(new, &self.path).map_err(io_error("put in place", new))
        });
        if made.is_err() {
            // It may be what fills the disk; the next try removes it in any case.
            let _ = fs::remove_file(new);
        }
        made?;
        sync_directory(&self.path)
    }
}

/// For a store that holds a few rows only.
const CREATE_CACHE_MIB: usize = 1;

/// Opens the store at `path` for writing. The caller, or the process it is a child of, holds the lock.
pub(super) fn open_writable(
    path: &Path,
    cache_mib: usize,
    opening: Opening,
) -> Result<(Embedded, Metadata), OpenError> {
    let (file, found) = vetted(path, OpenOptions::new().read(true).write(true))?;
    // Before the first write: from here on the file is not clean until it is closed.
    remove(&beside(path, ".clean"))?;
    sync_directory(path)?;
    let (opening, listener) = opening.split();
    let (backend, trouble) = Watched::new(FileBackend::new(file).map_err(redb_error)?, listener);
    let opened = Embedded::open_watched(backend, trouble.clone(), cache_mib, opening);
    if let Err(NotOpened::Fault(fault)) = &opened
        && trouble.get().is_some_and(|trouble| trouble.needs_copy())
    {
        mark_dirty(path, &fault.to_string());
    }
    Ok((opened.map_err(|why| not_opened(path, why))?, found))
}

/// The store at a path, for reading while no daemon runs. Never repairs anything.
pub struct ReadOnly {
    database: ReadOnlyDatabase,
    /// Keeps a daemon from starting while we read; absent where nobody ever locked the store.
    _lock: Option<File>,
}

impl ReadOnly {
    /// Opens a cleanly closed store for reading.
    pub fn open(path: &Path, cache_mib: usize) -> Result<ReadOnly, OpenError> {
        let lock = lock::share(path)?;
        let (file, found) = plain_file(path, OpenOptions::new().read(true))?;
        let unclean = |why: String| OpenError::Unclean { path: path.to_owned(), why };
        if let Some(why) = read_dirty(path).map_err(io_error("read the marks of", path))? {
            return Err(unclean(why));
        }
        read_clean(path, &found).map_err(io_error("read the marks of", path))?.map_err(unclean)?;
        let mut builder = Builder::new();
        builder.set_cache_size(cache_mib << 20);
        let backend = FileBackend::new(file).map_err(redb_error)?;
        let database = builder.open_read_only_with_backend(backend).map_err(|error| match error {
            DatabaseError::RepairAborted => unclean("the database says so".to_owned()),
            DatabaseError::DatabaseAlreadyOpen => not_opened(path, NotOpened::InUse),
            error => not_opened(path, embedded::fault(&Watch::default(), error).into()),
        })?;
        let store = ReadOnly { database, _lock: lock };
        embedded::check_format(&store.snapshot()?).map_err(|why| not_opened(path, why))?;
        Ok(store)
    }

    pub fn snapshot(&self) -> Result<Snapshot, Fault> {
        let watch = Watch::default();
        let transaction = self.database.begin_read().map_err(|error| embedded::fault(&watch, error))?;
        Ok(Snapshot::new(transaction, watch))
    }
}

fn redb_error(error: DatabaseError) -> Fault {
    embedded::fault(&Watch::default(), error)
}

fn not_opened(path: &Path, why: NotOpened) -> OpenError {
    let path = path.to_owned();
    match why {
        NotOpened::InUse => OpenError::InUse { path, pid: None },
        NotOpened::OtherFormat(found) => OpenError::OtherFormat { path, found },
        // A disk that is full or fails is no damage.
        NotOpened::Fault(fault @ (Fault::Full(_) | Fault::Storage(_) | Fault::Overtaken { .. })) => fault.into(),
        NotOpened::Fault(fault @ (Fault::Damaged { .. } | Fault::Broken(_))) => OpenError::Damaged { path, fault },
    }
}
