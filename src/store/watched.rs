//! A backend that remembers what its disk failed at first.
//!
//! redb answers every call behind a failure with "previous I/O error". What to do depends on the
//! first one: a full disk needs space and the file is sound, after a failed sync the page cache and
//! the disk may disagree and the file must be copied before it is trusted.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use redb::{BackendError, StorageBackend};

/// How many bytes are read between two calls of a [`Watched`] backend's listener.
pub const HEARD_EVERY_BYTES: u64 = 16 << 20;

/// What the disk failed at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Read,
    Write,
    Sync,
}

/// The first failure of a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    pub at: At,
    /// No space, quota or file size left.
    pub full: bool,
    pub why: String,
}

impl Trouble {
    /// Whether disk and page cache may now disagree, so that only a copy can be trusted.
    pub fn needs_copy(&self) -> bool {
        match self.at {
            At::Sync => true,
            At::Write => !self.full,
            At::Read => false,
        }
    }
}

/// Shared between a backend, which redb owns, and the store above it.
pub type Watch = Arc<OnceLock<Trouble>>;

/// Called with the bytes read so far, once per [`HEARD_EVERY_BYTES`].
pub type Listener = Box<dyn Fn(u64) + Send + Sync>;

pub struct Watched<B> {
    inner: B,
    trouble: Watch,
    listener: Option<Listener>,
    read_bytes: AtomicU64,
}

impl<B: StorageBackend> Watched<B> {
    pub fn new(inner: B, listener: Option<Listener>) -> (Watched<B>, Watch) {
        let trouble = Watch::default();
        (Watched { inner, trouble: trouble.clone(), listener, read_bytes: AtomicU64::new(0) }, trouble)
    }

    fn note<T>(&self, at: At, outcome: io::Result<T>) -> io::Result<T> {
        // A read behind the end is a file that was cut, not a disk that fails.
        if let Err(error) = &outcome
            && error.kind() != ErrorKind::UnexpectedEof
        {
            self.trouble.get_or_init(|| Trouble { at, full: is_full(error), why: error.to_string() });
        }
        outcome
    }

    fn heard(&self, bytes: u64) {
        if let Some(listener) = &self.listener {
            let before = self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
            if before / HEARD_EVERY_BYTES != (before + bytes) / HEARD_EVERY_BYTES {
                listener(before + bytes);
            }
        }
    }
}

/// Whether an error says that there is no room left: on the disk, in the quota, in the file's limit.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

impl<B: fmt::Debug> fmt::Debug for Watched<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.inner).finish()
    }
}

/// The lock methods must be passed on too: their defaults would silently drop redb's lock of the file.
impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.note(At::Read, self.inner.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.heard(out.len() as u64);
        self.note(At::Read, self.inner.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(At::Write, self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(At::Sync, self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(At::Write, self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
