//! Opens the store by the book (see `store::file`): the first opening of a file that may be damaged is
//! left to a short-lived child, because redb can panic or abort on one.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sd_notify::NotifyState;
use tracing::{info, warn};

use super::books::Books;
use super::clock::Clock;
use super::demo_clock::DemoClock;
use super::exit;
use crate::store::check::{Progress, verify_file};
use crate::store::embedded::Embedded;
use crate::store::file::{OpenError, State, StoreFile};
use crate::store::watched::is_full;
use crate::store::{Commit, Fault, View};

/// How much longer systemd waits after each sign of progress, in µs.
const EXTEND_USEC: u32 = 60_000_000;
/// Longest text of a failed child that is told on, in bytes.
const TOLD_MAX_BYTES: u64 = 2000;

impl Books for Embedded {
    fn snapshot(&self) -> Result<Box<dyn View + '_>, Fault> {
        Ok(Box::new(Embedded::snapshot(self)?))
    }

    fn commit(&self, commit: Commit) -> Result<(), Fault> {
        Embedded::commit(self, commit)
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        Embedded::close(*self)
    }
}

/// Ends an opening that is under way: kills the checking child, wakes whoever waits.
#[derive(Clone, Default)]
pub struct Abort {
    asked: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
}

impl Abort {
    pub fn abort(&self) {
        self.asked.store(true, Ordering::SeqCst);
        if let Some(child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

pub struct Opening {
    pub file: StoreFile,
    pub cache_mib: usize,
    pub clock: Clock,
    pub demo: DemoClock,
    pub abort: Abort,
    /// Set where the file was opened without a check.
    pub unchecked: Arc<AtomicBool>,
}

impl Opening {
    /// Opens the store, creating, recovering and checking it as its marks ask for.
    pub fn open(&self) -> Result<Box<dyn Books>, Fault> {
        let store = self.open_file().map_err(as_fault)?;
        self.demo.opened(&store.snapshot()?, || self.abort.is_asked())?;
        Ok(Box::new(store))
    }

    fn open_file(&self) -> Result<Embedded, OpenError> {
        let now = self.clock.now().wall;
        let path = self.file.path();
        let state = self.file.state(now)?;
        self.unchecked.store(matches!(state, State::Clean { .. }), Ordering::SeqCst);
        let checked_at = match state {
            State::Absent => {
                info!("making a new store at {}", path.display());
                self.file.create(&[])?;
                now
            }
            State::Clean { checked_at } => checked_at,
            State::CheckDue { why } => {
                info!("checking the store first: {why}");
                self.check(path)?;
                now
            }
            State::Dirty { why } => {
                warn!("recovering the store by copy: {why}");
                self.file
                    .recover(|done, whole| progressed(&format!("recovering: {} of {} MiB", done >> 20, whole >> 20)))?;
                self.check(path)?;
                self.file.mended()?;
                now
            }
        };
        self.file.open(self.cache_mib, checked_at)
    }

    /// Has a child check the file.
    fn check(&self, path: &Path) -> Result<(), OpenError> {
        let failed = |why: String| OpenError::Fault(Fault::Broken(why));
        let io = |error: std::io::Error| failed(format!("can't run the store's check: {error}"));
        let program = std::env::current_exe().map_err(io)?;
        let mut child = Command::new(program)
            .arg("check-store")
            .arg(path)
            .arg("--cache-mib")
            .arg(self.cache_mib.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(io)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        *self.abort.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        if self.abort.is_asked() {
            self.abort.abort();
        }
        // The child writes little to stderr, so reading one after the other can't block it.
        for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
            progressed(&line);
        }
        let mut told = String::new();
        if let Some(err) = stderr {
            let _ = err.take(TOLD_MAX_BYTES).read_to_string(&mut told);
        }
        let child = self.abort.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut child) = child else { return Err(failed("the store's check was lost".into())) };
        let status = child.wait().map_err(io)?;
        let told = told.trim().to_owned();
        match status.code() {
            Some(0) => Ok(()),
            Some(code) if code == i32::from(exit::TEMPORARY) => Err(OpenError::Fault(Fault::Full(told))),
            // Its own words say what to do; a panic or a signal speaks for itself.
            Some(code) if code == i32::from(exit::FAULT) && !told.is_empty() => Err(failed(told)),
            _ => Err(failed(format!("the store's check ended with {status}: {told}; the file must not be opened"))),
        }
    }
}

fn progressed(status: &str) {
    // Without systemd nobody listens, and that is no error.
    let _ = sd_notify::notify(&[NotifyState::Status(status), NotifyState::ExtendTimeoutUsec(EXTEND_USEC)]);
}

/// An opening that failed, as the writer understands it: what may pass by itself, and what may not.
fn as_fault(error: OpenError) -> Fault {
    match error {
        OpenError::Fault(fault) => fault,
        OpenError::NoRoom { .. } => Fault::Full(error.to_string()),
        OpenError::Io { ref source, .. } if is_full(source) => Fault::Full(error.to_string()),
        OpenError::Io { .. } => Fault::Storage(error.to_string()),
        OpenError::InUse { .. }
        | OpenError::Missing { .. }
        | OpenError::Unclean { .. }
        | OpenError::NotOurs { .. }
        | OpenError::OtherFormat { .. }
        | OpenError::Damaged { .. } => Fault::Broken(error.to_string()),
    }
}

/// The child's side of `Opening::check`: checks, tells its progress on stdout, ends with a code.
pub fn check_store(path: &Path, cache_mib: usize) -> u8 {
    let progress = |at: Progress| match at {
        Progress::Pages { read_bytes } => println!("checking: {} MiB read", read_bytes >> 20),
        Progress::Records { records } => println!("checking: {records} records read"),
    };
    match verify_file(path, cache_mib, progress) {
        Ok(scanned) => {
            println!("checked: {} records, the journal stands at {}", scanned.records, scanned.journal.sequence);
            exit::OK
        }
        Err(error) => {
            eprintln!("{error}");
            if error.is_temporary() { exit::TEMPORARY } else { exit::FAULT }
        }
    }
}

/// Makes an empty store that may run on scaled time.
pub fn create_demo_store(path: &Path) -> Result<(), OpenError> {
    StoreFile::lock(path)?.create(&[(DEMO_ROW, b"1")])
}

/// [`super::clock::DEMO_KEY`] as text.
const DEMO_ROW: &str = "demo";
