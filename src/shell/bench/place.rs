//! A folder with a configuration and a store, and the processes that run on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::messages::{ACCOUNT, MERCHANT, SECRET, submission};
use crate::engine::Engine;
use crate::shell::clock::Clock;
use crate::shell::config::{self, Config, Flags, Surroundings};
use crate::store::embedded::Embedded;
use crate::store::file::StoreFile;
use crate::store::{Draft, Fault};
use crate::words::time::{Now, SignedDuration, later};

/// Submissions of one commit while a store is filled.
const FILL_COMMIT_ROWS: u64 = 2_000;
/// A start that takes longer is stuck.
const READY_MAX: Duration = Duration::from_secs(600);

pub struct Place {
    folder: tempfile::TempDir,
    pub config: Config,
}

impl Place {
    /// A place whose gateway is at `gateway`.
    pub fn new(dir: &Path, gateway: &str) -> anyhow::Result<Place> {
        let folder = tempfile::Builder::new().prefix("reconciled-bench-").tempdir_in(dir)?;
        let text = format!(
            r#"
                [listen]
                public = "127.0.0.1:0"
                admin_socket = "admin.sock"
                [store]
                path = "reconciled.redb"
                [log]
                filter = "error"
                [merchants.{MERCHANT}]
                dialect = "wpg"
                base_url = "{gateway}"
                time_zone = "UTC"
                merchant_account_ids = ["{ACCOUNT}"]
                user = "bench"
                password_file = "password"
                secret_file = "secret"
                scheme = "json-signed"
                requests_per_second_max = 1000000
                lanes_max = 64
            "#
        );
        let file = folder.path().join("reconciled.toml");
        std::fs::write(&file, text)?;
        std::fs::write(folder.path().join("secret"), SECRET)?;
        std::fs::write(folder.path().join("password"), "a-password-of-the-benchmark-only")?;
        let config = config::load(&file, &Flags::default(), &Surroundings::default())?;
        Ok(Place { folder, config })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn engine(&self) -> Engine {
        Engine { policy: self.config.policy.clone(), keys: self.config.keys.clone() }
    }

    /// Opens the store, made new where there is none.
    pub fn open(&self) -> anyhow::Result<Embedded> {
        let file = StoreFile::lock(&self.config.store.path)?;
        if !self.config.store.path.exists() {
            file.create(&[])?;
        }
        Ok(file.open(self.config.store.cache_mib, Clock::new().now().wall)?)
    }

    /// Fills a new store with submissions `0..count`, received evenly over `spread` until `until` ago, and
    /// leaves it as a daemon would that has been listening to this moment.
    pub fn fill(&self, count: u64, method: &str, spread: SignedDuration, until: SignedDuration) -> anyhow::Result<()> {
        let (store, engine) = (self.open()?, self.engine());
        let now = Clock::new().now();
        let first = later(now.steady, -(spread + until));
        let at = |n: u64| {
            let millis = spread.as_millis() * i128::from(n) / i128::from(count.max(1));
            Now::both(later(first, SignedDuration::from_millis(millis as i64)))
        };
        let commit = |change: &dyn Fn(&mut Draft) -> anyhow::Result<()>| {
            let view = store.snapshot()?;
            let mut draft = Draft::new(&view)?;
            change(&mut draft)?;
            let commit = draft.into_commit();
            drop(view);
            anyhow::Ok(store.commit(commit)?)
        };
        commit(&|draft| Ok(engine.started(draft, at(0))?))?;
        for from in (0..count).step_by(FILL_COMMIT_ROWS as usize) {
            commit(&|draft| {
                for n in from..(from + FILL_COMMIT_ROWS).min(count) {
                    let submission = submission(n, method)?;
                    draft.attempt(|draft| engine.submit(draft, submission, at(n)))?;
                }
                Ok(())
            })?;
        }
        commit(&|draft| Ok(engine.tick(draft, now)?))?;
        store.close().context("closing a filled store")
    }

    /// Starts a real daemon and waits until it says that it is ready. Returns how long that took.
    pub fn serve(&self) -> anyhow::Result<(Daemon, Duration)> {
        let ready = self.path("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--config"]).arg(self.path("reconciled.toml")).arg("--ready-file").arg(&ready);
        for (name, _) in Surroundings::of_this_process().variables {
            command.env_remove(name);
        }
        let since = Instant::now();
        let mut daemon = Daemon(command.stdin(Stdio::null()).spawn()?);
        while since.elapsed() < READY_MAX {
            if ready.exists() {
                return Ok((daemon, since.elapsed()));
            }
            if let Some(ended) = daemon.0.try_wait()? {
                bail!("the daemon ended: {ended}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("the daemon was not ready in {} s", READY_MAX.as_secs())
    }
}

/// A real `serve`; killed with SIGKILL when dropped.
pub struct Daemon(Child);

impl Daemon {
    /// A line of /proc/PID/status, in MiB.
    pub fn memory_mib(&self, line: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let found = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
        let kib = found.and_then(|text| text.trim().strip_suffix(" kB")).context("no such line in the status")?;
        Ok(kib.trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The kind of file system a folder lies on, as the kernel's table of mounts names it.
pub fn file_system(dir: &Path) -> std::io::Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let mut best = ("unknown", 0);
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(at), Some(kind)) = (fields.next(), fields.next())
            && dir.starts_with(at)
            && at.len() >= best.1
        {
            best = (kind, at.len());
        }
    }
    Ok(best.0.to_owned())
}

/// Waits for something that takes moments.
pub fn until(what: &str, mut is_so: impl FnMut() -> Result<bool, Fault>) -> anyhow::Result<()> {
    let since = Instant::now();
    while !is_so()? {
        if since.elapsed() > READY_MAX {
            bail!("{what} took more than {} s", READY_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
