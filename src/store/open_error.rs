//! Why a store does not open, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::Fault;
use super::frame::FORMAT;
use super::watched::is_full;

/// Why a store can't be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store `{}` is in use by {}: stop that process first", path.display(), named(pid))]
    InUse {
        path: PathBuf,
        /// As far as the lock file tells.
        pid: Option<u32>,
    },
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
    #[error(
        "the store `{}` has format {found} and this program reads format {FORMAT}: start the version that wrote it",
        path.display()
    )]
    OtherFormat { path: PathBuf, found: String },
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
            OpenError::Missing { .. }
            | OpenError::NotOurs { .. }
            | OpenError::OtherFormat { .. }
            | OpenError::Damaged { .. } => false,
        }
    }
}

fn named(pid: &Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

pub(super) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}
