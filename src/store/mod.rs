//! Where everything is kept: tables of bytes under a single writer.
//!
//! Above this module nobody knows which database lies below. What is read goes through [`View`]; what
//! is written is a [`Commit`]: data with a precondition, applied whole or not at all.

pub mod table;
pub mod chain;
pub mod draft;
pub mod memory;
pub mod frame;
pub mod watched;
pub mod open_error;
mod disk;
mod site;
mod lock;
#[cfg(planted)]
mod cut;
pub mod embedded;
pub mod file;
pub mod check;

pub use draft::Draft;
pub use embedded::Embedded;
pub use memory::Memory;
pub use table::Table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// We cannot trust our own store: stop acknowledging, stop, and start again by the book.
///
/// Nothing a stranger sends may ever cause one.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the store failed: {0}")]
    Storage(String),
    #[error("the store has no space left: {0}")]
    Full(String),
    #[error("record {key} of table `{table}` is damaged: {why}")]
    Damaged { table: &'static str, key: String, why: String },
    #[error("the journal stands at {found}, the commit expected {expected}")]
    Overtaken { expected: u64, found: u64 },
    #[error("{0}")]
    Broken(String),
}

impl Fault {
    /// A record that reads back as something we never wrote.
    pub fn damaged(table: Table, key: &[u8], why: impl ToString) -> Fault {
        let key = key.iter().take(32).map(|b| format!("{b:02x}")).collect();
        Fault::Damaged { table: table.name(), key, why: why.to_string() }
    }
}

/// A key and what stands under it.
pub type Row = (Vec<u8>, Vec<u8>);

/// A consistent reading of all tables.
pub trait View {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// At most `limit` rows with `from <= key < to`, in key order; an empty `to` is the table's end.
    fn range(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Fault>;

    /// The last row with `from <= key < to`.
    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Row>, Fault>;
}

/// What a commit changes: `None` deletes.
pub type Changes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// One atomic change of the store.
#[derive(Debug, Default)]
pub struct Commit {
    /// How many journal records the store must hold for this commit to be valid.
    pub journal_len: u64,
    pub changes: Changes,
}

/// The store, whichever it is.
pub enum Store {
    Embedded(Embedded),
    /// Nothing of it is durable: for tests of what lies above, and for tools that read and forget.
    Memory(Mutex<Arc<Memory>>),
}

impl Store {
    /// An empty store in memory.
    pub fn memory() -> Store {
        Store::Memory(Mutex::default())
    }

    /// A consistent reading of what is committed now. Hold it for moments: it keeps old pages alive.
    pub fn snapshot(&self) -> Result<Snapshot, Fault> {
        match self {
            Store::Embedded(store) => Ok(Snapshot::Embedded(Box::new(store.snapshot()?))),
            Store::Memory(store) => Ok(Snapshot::Memory(held(store).clone())),
        }
    }

    /// Applies a commit whole, or not at all; see [`Embedded::commit`].
    pub fn commit(&self, commit: Commit) -> Result<(), Fault> {
        match self {
            Store::Embedded(store) => store.commit(commit),
            Store::Memory(store) => Arc::make_mut(&mut held(store)).commit(commit),
        }
    }

    /// Whether the file is still where it was opened; see [`Embedded::in_place`].
    pub fn in_place(&self) -> Result<(), Fault> {
        match self {
            Store::Embedded(store) => store.in_place(),
            Store::Memory(_) => Ok(()),
        }
    }

    /// Closes the store and leaves the mark of a clean stop; see [`Embedded::close`].
    pub fn close(self) -> Result<(), Fault> {
        match self {
            Store::Embedded(store) => store.close(),
            Store::Memory(_) => Ok(()),
        }
    }
}

/// A commit to memory checks before it changes anything, so a panic leaves nothing half done.
fn held(store: &Mutex<Arc<Memory>>) -> std::sync::MutexGuard<'_, Arc<Memory>> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One moment of a [`Store`], owned: it can go to another thread.
pub enum Snapshot {
    Embedded(Box<embedded::Snapshot>),
    Memory(Arc<Memory>),
}

impl Snapshot {
    fn view(&self) -> &dyn View {
        match self {
            Snapshot::Embedded(view) => view.as_ref(),
            Snapshot::Memory(view) => view.as_ref(),
        }
    }
}

impl View for Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.view().get(table, key)
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Fault> {
        self.view().range(table, from, to, limit)
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Row>, Fault> {
        self.view().last(table, from, to)
    }
}

/// The number of the key right behind every key that starts with `prefix`; empty for "no end".
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    Vec::new()
}

/// The number of journal records a view holds.
pub fn journal_len(view: &dyn View) -> Result<u64, Fault> {
    match view.last(Table::Journal, &[], &[])? {
        Some((key, _)) => chain::sequence(&key),
        None => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_lies_behind_all_its_keys() {
        assert_eq!(prefix_end(b"ab"), b"ac");
        assert_eq!(prefix_end(&[1, 0xff]), vec![2]);
        assert_eq!(prefix_end(&[0xff]), Vec::<u8>::new());
    }

    #[test]
    fn a_snapshot_goes_to_another_thread() {
        fn owned_and_sendable<T: Send + 'static>() {}
        owned_and_sendable::<Snapshot>();
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Store>();
    }

    #[test]
    fn a_snapshot_keeps_its_moment() {
        let store = Store::memory();
        let before = store.snapshot().expect("snapshot");
        let mut draft = Draft::new(&before).expect("draft");
        draft.append(b"one".to_vec());
        store.commit(draft.into_commit()).expect("commit");
        assert_eq!(journal_len(&before).expect("len"), 0);
        assert_eq!(journal_len(&store.snapshot().expect("snapshot")).expect("len"), 1);
        assert!(matches!(store.commit(Commit::default()), Err(Fault::Overtaken { expected: 0, found: 1 })));
    }
}
