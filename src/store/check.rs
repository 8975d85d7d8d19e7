//! Reading everything once: each record's frame, and the journal's chain.

use std::path::Path;
use std::sync::Mutex;

use super::chain::{self, Head};
use super::embedded::Opening;
use super::file::{self, OpenError};
use super::{Fault, Table, View};

/// How many rows one step of a scan reads.
pub const STEP_ROWS: usize = 256;

/// A scan of all records, in steps, so that no step holds a snapshot for long: each may read another
/// one. Frames are checked by the reading itself, the chain here.
#[derive(Debug)]
pub struct Scan {
    /// The table and the key to go on from; `None` at the end.
    next: Option<(Table, Vec<u8>)>,
    head: Head,
    records: u64,
}

/// What a whole scan saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scanned {
    pub records: u64,
    pub journal: Head,
}

impl Default for Scan {
    fn default() -> Scan {
        Scan { next: Table::ALL.first().map(|table| (*table, Vec::new())), head: Head::EMPTY, records: 0 }
    }
}

impl Scan {
    /// Reads the next [`STEP_ROWS`] rows; `Some` at the end.
    pub fn step(&mut self, view: &dyn View) -> Result<Option<Scanned>, Fault> {
        let Some((table, from)) = self.next.take() else { return Ok(Some(self.scanned())) };
        let rows = view.range(table, &from, &[], STEP_ROWS)?;
        self.records += rows.len() as u64;
        if table == Table::Journal {
            for (key, value) in &rows {
                self.head = chain::follow(self.head, key, value)?;
            }
        }
        self.next = match rows.last() {
            Some((key, _)) if rows.len() == STEP_ROWS => Some((table, [key.as_slice(), &[0]].concat())),
            _ => table.next().map(|next| (next, Vec::new())),
        };
        Ok(self.next.is_none().then(|| self.scanned()))
    }

    /// How many records were read so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    fn scanned(&self) -> Scanned {
        Scanned { records: self.records, journal: self.head }
    }
}

/// How far [`verify_file`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Bytes of pages verified. redb goes through the file up to three times.
    Pages { read_bytes: u64 },
    /// Records read and their frames and chain verified.
    Records { records: u64 },
}

/// How many steps of a scan lie between two reports of progress.
const PROGRESS_EVERY_STEPS: u64 = 64;

/// Checks the store at `path` whole: redb's pages, our frames, the journal's chain; and leaves it
/// closed and mended where redb could (a crash's unfinished commit).
///
/// For a short-lived child of the process that holds the lock, since redb may panic or abort on a
/// damaged file: whatever end but success the child comes to, the file must not be opened.
pub fn verify_file(
    path: &Path,
    cache_mib: usize,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Scanned, OpenError> {
    let progress = std::sync::Arc::new(Mutex::new(progress));
    let report = {
        let progress = progress.clone();
        move |at: Progress| {
            if let Ok(mut progress) = progress.lock() {
                progress(at);
            }
        }
    };
    let heard = report.clone();
    let listener = Box::new(move |read_bytes| heard(Progress::Pages { read_bytes }));
    let (store, _) = file::open_writable(path, cache_mib, Opening::Checked(Some(listener)))?;
    let scanned = {
        let snapshot = store.snapshot()?;
        let mut scan = Scan::default();
        let mut steps = 0;
        loop {
            let done = scan.step(&snapshot).map_err(|fault| OpenError::Damaged { path: path.to_owned(), fault })?;
            if done.is_some() || steps % PROGRESS_EVERY_STEPS == 0 {
                report(Progress::Records { records: scan.records() });
            }
            if let Some(scanned) = done {
                break scanned;
            }
            steps += 1;
        }
    };
    store.close()?;
    Ok(scanned)
}
