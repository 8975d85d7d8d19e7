//! One daemon's place on the disk, and its lives.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{client, example};

/// Far longer than any start takes; only something stuck meets it.
const STUCK: Duration = Duration::from_secs(60);
/// SIGTERM to exit: the promise is 5 s; the rest is for a machine that does other things.
const DRAINED_WITHIN: Duration = Duration::from_secs(7);

/// A folder with a configuration, secrets and a store that outlives its daemons.
pub struct Place {
    folder: tempfile::TempDir,
    kills: AtomicU64,
}

/// A running process; killed when dropped.
pub struct Starting<'p> {
    place: &'p Place,
    pub child: Child,
}

/// A daemon that said it is ready.
pub struct Life<'p> {
    starting: Starting<'p>,
    pub public: String,
    pub socket: PathBuf,
}

impl Place {
    /// The repository's example beside a gateway that refuses connections, on ports of its own.
    pub fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        example::lay_out(folder.path());
        Place { folder, kills: AtomicU64::new(0) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn kills(&self) -> u64 {
        self.kills.load(Ordering::Relaxed)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciled"));
        self.configure(&mut command, arguments);
        command
    }

    pub fn configure(&self, command: &mut Command, arguments: &[&str]) {
        command.args(arguments).arg("--config").arg(self.path("reconciled.toml")).stdin(Stdio::null());
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    pub fn spawn(&self) -> Starting<'_> {
        self.spawn_as(self.command(&["serve"]))
    }

    /// Starts a daemon by a command that ends in `serve` and its configuration.
    pub fn spawn_as(&self, mut command: Command) -> Starting<'_> {
        let ready = self.path("ready.json");
        let _ = std::fs::remove_file(&ready);
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let child = command.arg("--ready-file").arg(ready).stderr(log).spawn().expect("the daemon starts");
        Starting { place: self, child }
    }

    /// A start never fails, whatever the lives before came to.
    pub fn start(&self) -> Life<'_> {
        self.spawn().ready()
    }

    /// What the daemon logged last.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let from = log.len().saturating_sub(4000);
        log.get(from..).unwrap_or(&log).to_owned()
    }

    /// `reconciled check` says that nothing is forgotten and that journal and books agree.
    pub fn expect_clean_check(&self) {
        let checked = self.run(&["check"]);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(checked.status.code(), Some(0), "{}{}", said(&checked.stdout), said(&checked.stderr));
    }
}

impl<'p> Starting<'p> {
    /// Waits for the ready file.
    pub fn ready(mut self) -> Life<'p> {
        let ready = self.place.path("ready.json");
        let since = Instant::now();
        while since.elapsed() < STUCK {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                let addresses: Value = serde_json::from_str(&text).expect("the ready file is whole");
                let public = addresses["public"].as_str().expect("an address").to_owned();
                let socket = self.place.path("data/admin.sock");
                return Life { starting: self, public, socket };
            }
            if let Some(ended) = self.child.try_wait().expect("a child") {
                panic!("a start failed: {ended}\n{}", self.place.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the daemon was never ready\n{}", self.place.log());
    }

    pub fn kill(&mut self) {
        if self.child.try_wait().expect("a child").is_none() {
            self.child.kill().expect("killed");
            self.child.wait().expect("gone");
            self.place.kills.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Life<'_> {
    pub fn pid(&self) -> u32 {
        self.starting.child.id()
    }

    pub fn kill(&mut self) {
        let ended = self.starting.child.try_wait().expect("a child");
        assert!(ended.is_none(), "the daemon ended by itself: {ended:?}\n{}", self.starting.place.log());
        self.starting.kill();
    }

    /// SIGTERM: it must end by itself, in time, and content.
    pub fn stop(mut self) {
        let since = Instant::now();
        let told = kill_process(Pid::from_child(&self.starting.child), Signal::TERM);
        told.expect("told");
        let ended = self.starting.child.wait().expect("gone");
        let took = since.elapsed();
        assert_eq!(ended.code(), Some(0), "{}", self.starting.place.log());
        assert!(took < DRAINED_WITHIN, "it took {took:?} to stop");
    }

    /// Asks the admin socket; the answer must come whole.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = client::admin(&self.socket, method, path, body).expect("an answer");
        (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
    }
}
