//! The store as the shell holds it: one that can be opened, closed and opened again while readers come and go.

use std::sync::{Arc, PoisonError, RwLock};

use crate::store::{Commit, Fault, View};

/// A store behind the writer. Two kinds differ at the same moment: the embedded one and, in tests and
/// simulations, one in memory.
pub trait Books: Send + Sync {
    fn snapshot(&self) -> Result<Box<dyn View + '_>, Fault>;
    /// Applies a commit; `Ok` means durable.
    fn commit(&self, commit: Commit) -> Result<(), Fault>;
    fn close(self: Box<Self>) -> Result<(), Fault>;
}

/// The place where the open store lies, for readers. Empty while it is closed.
#[derive(Clone, Default)]
pub struct Shelf(Arc<RwLock<Option<Box<dyn Books>>>>);

/// There is no open store to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is not open")]
pub struct Closed;

impl Shelf {
    /// Reads a snapshot. `Err(Closed)` while the store is closed.
    pub fn read<T>(&self, read: impl FnOnce(&dyn View) -> Result<T, Fault>) -> Result<Result<T, Fault>, Closed> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(books) = slot.as_deref() else { return Err(Closed) };
        Ok(books.snapshot().and_then(|view| read(view.as_ref())))
    }

    pub(super) fn commit(&self, commit: Commit) -> Result<(), Fault> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match slot.as_deref() {
            Some(books) => books.commit(commit),
            None => Err(Fault::Storage(Closed.to_string())),
        }
    }

    pub(super) fn put(&self, books: Box<dyn Books>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(books);
    }

    /// Waits for readers to finish, then lets go of the store without calling it clean.
    pub(super) fn abandon(&self) {
        drop(self.0.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Waits for readers to finish, then closes.
    pub(super) fn close(&self) -> Result<(), Fault> {
        let books = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        books.map_or(Ok(()), |books| books.close())
    }
}

#[cfg(test)]
pub mod memory {
    //! Books in memory that can be told to fail.

    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;
    use crate::store::memory::Memory;

    /// What survives closing: the contents, and how the next commits go.
    #[derive(Default)]
    pub struct Disk {
        pub contents: Memory,
        pub commits: u64,
        pub full: bool,
        pub broken: bool,
    }

    #[derive(Clone, Default)]
    pub struct MemoryBooks(Arc<Mutex<Disk>>);

    impl MemoryBooks {
        pub fn disk(&self) -> MutexGuard<'_, Disk> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Books for MemoryBooks {
        fn snapshot(&self) -> Result<Box<dyn View + '_>, Fault> {
            Ok(Box::new(self.disk().contents.clone()))
        }

        fn commit(&self, commit: Commit) -> Result<(), Fault> {
            let mut disk = self.disk();
            if disk.full {
                return Err(Fault::Full("no space".into()));
            }
            if disk.broken {
                return Err(Fault::Storage("input/output error".into()));
            }
            disk.commits += 1;
            disk.contents.commit(commit)
        }

        fn close(self: Box<Self>) -> Result<(), Fault> {
            Ok(())
        }
    }
}
