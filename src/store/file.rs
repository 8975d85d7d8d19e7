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

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, DatabaseError, ReadOnlyDatabase, ReadableDatabase};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::embedded::{self, Embedded, Opening, Snapshot};
use super::watched::{Watch, is_full};
use crate::words::time::{Timestamp, days};

/// How long after a check a cleanly closed file is opened without another one.
pub const CHECK_EVERY_DAYS: i64 = 7;

/// How many bytes a copy moves at a time.
const COPY_CHUNK_BYTES: usize = 64 << 10;

/// Room that must stay free on the disk beside a copy, in bytes.
const COPY_SPARE_BYTES: u64 = 4 << 20;

/// Why a store can't be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store `{}` is in use by process {pid}: stop that process first", path.display())]
    InUse { path: PathBuf, pid: String },
    #[error("there is no store at `{}`: `reconciled serve` creates it", path.display())]
    Missing { path: PathBuf },
    #[error("the store `{}` was not closed cleanly ({why}): start `reconciled serve`, which checks and mends it", path.display())]
    Unclean { path: PathBuf, why: String },
    #[error("`{}` {why}", path.display())]
    NotOurs { path: PathBuf, why: String },
    #[error("can't {doing} `{}`: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("no room to recover `{}`: its copy needs {needed_mib} MiB, {free_mib} MiB are free; make room and start again", path.display())]
    NoRoom { path: PathBuf, needed_mib: u64, free_mib: u64 },
    #[error("the store `{}` can't be trusted: {fault}; move it aside (keep it), restore the last backup", path.display())]
    Damaged { path: PathBuf, fault: Fault },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl OpenError {
    /// Whether the same start may succeed later without a person changing the file.
    pub fn is_temporary(&self) -> bool {
        match self {
            OpenError::InUse { .. } | OpenError::Unclean { .. } | OpenError::NoRoom { .. } => true,
            OpenError::Io { source, .. } => is_full(source),
            OpenError::Fault(fault) => matches!(fault, Fault::Full(_)),
            OpenError::Missing { .. } | OpenError::NotOurs { .. } | OpenError::Damaged { .. } => false,
        }
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}

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
    _lock: File,
}

impl StoreFile {
    /// Takes the lock of the store at `path`, whether or not the store exists, and removes what an
    /// interrupted creation or recovery left behind. Makes the parent directory (0700) if it is missing.
    pub fn lock(path: &Path) -> Result<StoreFile, OpenError> {
        let directory = parent(path);
        if !directory.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(io_error("make the directory", directory))?;
        }
        let lock = take_lock(path)?;
        for leftover in [".new", ".copy", ".clean.new", ".dirty.new"] {
            remove(&beside(path, leftover))?;
        }
        Ok(StoreFile { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What must be done before [`StoreFile::open`].
    pub fn state(&self, now: Timestamp) -> Result<State, OpenError> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::Absent),
            Err(error) => return Err(io_error("look at", &self.path)(error)),
        };
        if let Some(why) = read_dirty(&self.path)? {
            return Ok(State::Dirty { why });
        }
        Ok(match clean_mark(&self.path, &found)? {
            Err(why) => State::CheckDue { why },
            Ok(mark) if mark.checked_at > now || now.duration_since(mark.checked_at) > days(CHECK_EVERY_DAYS) => {
                State::CheckDue { why: format!("the last check was at {}", mark.checked_at) }
            }
            Ok(mark) => State::Clean { checked_at: mark.checked_at },
        })
    }

    /// Makes an empty store. `birth`: see [`Embedded::create_on`]. A crash inside leaves no store or
    /// a whole one.
    pub fn create(&self, birth: &[(&str, &[u8])]) -> Result<(), OpenError> {
        // Renaming would silently replace it.
        if fs::symlink_metadata(&self.path).is_ok() {
            let why = "exists already: a new store is only made where none is".to_owned();
            return Err(OpenError::NotOurs { path: self.path.clone(), why });
        }
        let new = beside(&self.path, ".new");
        let file = new_file(&new)?;
        let handle = file.try_clone().map_err(io_error("create", &new))?;
        Embedded::create_on(FileBackend::new(file).map_err(redb_error)?, CREATE_CACHE_MIB, birth)?.close()?;
        handle.sync_all().map_err(io_error("sync", &new))?;
        self.put_in_place(&new)
    }

    /// Makes the file trustworthy again after a failed write or sync: what the page cache holds goes
    /// to a new file, which is synced and takes the old one's place. Never in place: a page that the
    /// kernel believes written may not be on the disk. Then check it, then call [`StoreFile::mended`].
    ///
    /// `progress` gets the bytes copied and the whole length.
    pub fn recover(&self, mut progress: impl FnMut(u64, u64)) -> Result<(), OpenError> {
        let (mut from, found) = vetted(&self.path, OpenOptions::new().read(true))?;
        self.make_room_for(&found)?;
        let copy = beside(&self.path, ".copy");
        let mut to = new_file(&copy)?;
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
            written.map_err(io_error("write", &copy))?;
            done += read as u64;
            progress(done, found.len());
        }
        to.set_len(done).map_err(io_error("write", &copy))?;
        to.sync_all().map_err(io_error("sync", &copy))?;
        remove(&beside(&self.path, ".clean"))?;
        self.put_in_place(&copy)
    }

    /// Takes the dirty mark away: call it once the recovered file passed its check.
    pub fn mended(&self) -> Result<(), OpenError> {
        remove(&beside(&self.path, ".dirty"))?;
        sync_directory(&self.path)
    }

    /// Opens the store for writing. It must be `Clean`, freshly created, or checked just now;
    /// `checked_at` says when it was checked last.
    pub fn open(&self, cache_mib: usize, checked_at: Timestamp) -> Result<Embedded, OpenError> {
        let (backend, found) = self.backend()?;
        let store = Embedded::open_on(backend, cache_mib, Opening::Plain).map_err(|f| damaged(&self.path, f))?;
        Ok(store.at(Site { path: self.path.clone(), device: found.dev(), inode: found.ino(), checked_at }))
    }

    fn backend(&self) -> Result<(FileBackend, Metadata), OpenError> {
        let (file, found) = vetted(&self.path, OpenOptions::new().read(true).write(true))?;
        // Before the first write: from here on the file is not clean until it is closed.
        remove(&beside(&self.path, ".clean"))?;
        sync_directory(&self.path)?;
        Ok((FileBackend::new(file).map_err(redb_error)?, found))
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

    fn put_in_place(&self, new: &Path) -> Result<(), OpenError> {
        fs::rename(new, &self.path).map_err(io_error("put in place", new))?;
        sync_directory(&self.path)
    }
}

/// For a store that holds a few rows only.
const CREATE_CACHE_MIB: usize = 1;

/// Opens the store at `path` with every page verified. For a short-lived child of the process that
/// holds the lock: redb may panic or abort on a damaged file.
pub(super) fn open_checked(path: &Path, cache_mib: usize, opening: Opening) -> Result<Embedded, OpenError> {
    let (file, _) = vetted(path, OpenOptions::new().read(true).write(true))?;
    // The check itself writes.
    remove(&beside(path, ".clean"))?;
    sync_directory(path)?;
    let backend = FileBackend::new(file).map_err(redb_error)?;
    Embedded::open_on(backend, cache_mib, opening).map_err(|fault| damaged(path, fault))
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
        let lock = share_lock(path)?;
        let (file, found) = plain_file(path, OpenOptions::new().read(true))?;
        let unclean = |why: String| OpenError::Unclean { path: path.to_owned(), why };
        if let Some(why) = read_dirty(path)? {
            return Err(unclean(why));
        }
        clean_mark(path, &found)?.map_err(unclean)?;
        let mut builder = Builder::new();
        builder.set_cache_size(cache_mib << 20);
        let backend = FileBackend::new(file).map_err(redb_error)?;
        let database = builder.open_read_only_with_backend(backend).map_err(|error| match error {
            DatabaseError::RepairAborted => unclean("the database says so".to_owned()),
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned(), pid: "?".to_owned() },
            error => damaged(path, embedded::fault(&Watch::default(), error)),
        })?;
        let store = ReadOnly { database, _lock: lock };
        embedded::check_format(&store.snapshot()?)?;
        Ok(store)
    }

    pub fn snapshot(&self) -> Result<Snapshot, Fault> {
        let watch = Watch::default();
        let transaction = self.database.begin_read().map_err(|error| embedded::fault(&watch, error))?;
        Ok(Snapshot::new(transaction, watch))
    }
}

/// The file an open store lies in: whether it is still the one at its path, and its marks.
#[derive(Debug)]
pub(super) struct Site {
    path: PathBuf,
    device: u64,
    inode: u64,
    checked_at: Timestamp,
}

impl Site {
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

    /// Leaves the mark of a failed write or sync. Best effort: without it the next start still finds
    /// no clean mark and checks the file.
    pub(super) fn mark_dirty(&self, why: &str) {
        if let Err(error) = write_whole(&beside(&self.path, ".dirty"), why.as_bytes()) {
            tracing::warn!(path = %self.path.display(), %error, "can't leave the mark of a failed sync: {error}");
        }
    }
}

/// What a clean stop leaves beside the file. A file it does not fit was changed since.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CleanMark {
    device: u64,
    inode: u64,
    length: u64,
    modified_s: i64,
    modified_ns: i64,
    checked_at: Timestamp,
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

/// The mark of a clean stop, or why it does not count.
fn clean_mark(path: &Path, found: &Metadata) -> Result<Result<CleanMark, String>, OpenError> {
    let mark = beside(path, ".clean");
    let text = match fs::read(&mark) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err("the last stop was not clean".into())),
        Err(error) => return Err(io_error("read", &mark)(error)),
    };
    Ok(match serde_json::from_slice::<CleanMark>(&text) {
        Ok(mark) if mark.fits(found) => Ok(mark),
        Ok(_) => Err("the file changed since it was closed".into()),
        Err(_) => Err("the mark of the last stop is unreadable".into()),
    })
}

fn read_dirty(path: &Path) -> Result<Option<String>, OpenError> {
    let mark = beside(path, ".dirty");
    match fs::read(&mark) {
        Ok(why) => Ok(Some(String::from_utf8_lossy(&why).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", &mark)(error)),
    }
}

/// Opens a regular file without following a link at its end.
fn plain_file(path: &Path, options: &mut OpenOptions) -> Result<(File, Metadata), OpenError> {
    let not_ours = |why: &str| OpenError::NotOurs { path: path.to_owned(), why: why.to_owned() };
    let opened = options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path);
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound => OpenError::Missing { path: path.to_owned() },
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            not_ours("is a symbolic link: name the file itself")
        }
        _ => io_error("open", path)(error),
    })?;
    let found = file.metadata().map_err(io_error("look at", path))?;
    if !found.is_file() {
        return Err(not_ours("is not a regular file"));
    }
    Ok((file, found))
}

/// A [`plain_file`] that is ours alone: our user's, no second name, closed to others.
fn vetted(path: &Path, options: &mut OpenOptions) -> Result<(File, Metadata), OpenError> {
    let (file, found) = plain_file(path, options)?;
    let not_ours = |why: String| Err(OpenError::NotOurs { path: path.to_owned(), why });
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        return not_ours(format!("belongs to user {}, and we are user {us}: chown it", found.uid()));
    }
    if found.nlink() != 1 {
        return not_ours(format!("has {} names (hard links): remove the others", found.nlink()));
    }
    if found.mode() & 0o027 != 0 {
        return not_ours(format!("is open to others (mode {:o}): chmod 600 it", found.mode() & 0o777));
    }
    if found.len() == 0 {
        return not_ours("is empty: move it away to start anew, or restore the last backup".to_owned());
    }
    Ok((file, found))
}

fn new_file(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options.open(path).map_err(io_error("create", path))
}

/// How often a lock file that vanishes under our hands is taken again.
const LOCK_TRIES_MAX: usize = 10;

fn take_lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = beside(path, ".lock");
    for _ in 0..LOCK_TRIES_MAX {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (mut lock, found) = plain_file(&lock_path, &mut options)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
        }
        // Somebody may have removed it between our opening and locking it.
        let named = fs::symlink_metadata(&lock_path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (found.dev(), found.ino())) {
            let pid = format!("{}\n", std::process::id());
            let written = lock.set_len(0).and_then(|()| lock.write_all(pid.as_bytes()));
            // The text is for people and may be missing on a full disk; the lock holds without it.
            if let Err(error) = written {
                tracing::warn!(path = %lock_path.display(), %error, "can't write our pid into the lock file: {error}");
            }
            return Ok(lock);
        }
    }
    let source = io::Error::other("it is removed again and again");
    Err(io_error("lock", &lock_path)(source))
}

fn share_lock(path: &Path) -> Result<Option<File>, OpenError> {
    let lock_path = beside(path, ".lock");
    let mut lock = match plain_file(&lock_path, OpenOptions::new().read(true)) {
        Ok((lock, _)) => lock,
        Err(OpenError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(in_use(path, &mut lock)),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &lock_path)(error)),
    }
}

fn in_use(path: &Path, lock: &mut File) -> OpenError {
    let mut pid = String::new();
    let read = lock.take(20).read_to_string(&mut pid);
    let pid = read.ok().map(|_| pid.trim().to_owned()).filter(|pid| !pid.is_empty());
    OpenError::InUse { path: path.to_owned(), pid: pid.unwrap_or_else(|| "?".to_owned()) }
}

/// The whole file or none of it, at once and for good.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(parent(path))?.sync_all()
}

fn remove(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> Result<(), OpenError> {
    let directory = parent(path);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io_error("sync", directory))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn redb_error(error: DatabaseError) -> Fault {
    embedded::fault(&Watch::default(), error)
}

/// A fault met while opening: what is full or failing is no damage.
fn damaged(path: &Path, fault: Fault) -> OpenError {
    match fault {
        Fault::Full(_) | Fault::Overtaken { .. } => OpenError::Fault(fault),
        Fault::Storage(_) | Fault::Damaged { .. } | Fault::Broken(_) => {
            OpenError::Damaged { path: path.to_owned(), fault }
        }
    }
}
