//! The child: the same binary as `serve`, started, asked, killed and started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::shell::sandbox::http::{Ask, Got, NoAnswer, Peer, send};
use crate::words::time::Timestamp;

/// How long a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a clean stop may take: the daemon drains in 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one question over the admin socket may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(15);

/// What went wrong with the child.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("the daemon can't be started: {0}")]
    Spawn(#[source] std::io::Error),
    #[error("the daemon ended by itself ({status}); its log is {log}")]
    Ended { status: String, log: PathBuf },
    #[error("the daemon was not ready within {START_TIMEOUT:?}; its log is {log}")]
    NotReady { log: PathBuf },
    #[error("the daemon did not stop within {STOP_TIMEOUT:?}")]
    NotStopped,
    #[error("the daemon refused `{what}`: {status} {body}")]
    Refused { what: String, status: u16, body: String },
    #[error("the daemon did not answer `{what}`: {why}")]
    NoAnswer { what: String, why: NoAnswer },
}

/// The child's files.
#[derive(Clone, Debug)]
pub struct Home {
    pub dir: PathBuf,
    pub config: PathBuf,
    pub binary: PathBuf,
}

impl Home {
    pub fn log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    fn ready_file(&self) -> PathBuf {
        self.dir.join("ready")
    }

    pub fn admin(&self) -> Peer {
        Peer::Unix(self.dir.join("admin.sock"))
    }

    /// Another command of the same binary.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.dir).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// A running daemon.
pub struct Daemon {
    home: Home,
    child: Child,
    /// Where it hears notifications, `host:port`: another port at every start.
    pub public: String,
}

/// What the ready file says, as far as it matters here.
#[derive(serde::Deserialize)]
struct Ready {
    public: String,
}

impl Daemon {
    /// Starts the daemon, sets its clock, and waits until it is ready.
    pub async fn start(home: &Home, wall: impl Fn() -> Timestamp, scale: u32) -> Result<Daemon, Trouble> {
        remove_if_there(&home.ready_file())?;
        let log = OpenOptions::new().create(true).append(true).open(home.log()).map_err(Trouble::Spawn)?;
        let child = home
            .command()
            .arg("serve")
            .arg("--config")
            .arg(&home.config)
            .arg("--ready-file")
            .arg(home.ready_file())
            .stdout(log.try_clone().map_err(Trouble::Spawn)?)
            .stderr(log)
            .spawn()
            .map_err(Trouble::Spawn)?;
        let mut daemon = Daemon { home: home.clone(), child, public: String::new() };
        let deadline = Instant::now() + START_TIMEOUT;
        let mut is_clock_set = false;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(Trouble::Ended { status: status.to_string(), log: home.log() });
            }
            if !is_clock_set {
                is_clock_set = set_clock(&home.admin(), wall(), scale).await.is_ok();
            } else if let Some(ready) = read_ready(&home.ready_file()) {
                daemon.public = ready.public;
                // Opening the store took some time, which counts for hours on a fast clock.
                daemon.set_clock(wall(), scale).await?;
                return Ok(daemon);
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Trouble::NotReady { log: home.log() })
    }

    /// Sets the running daemon's clock anew.
    pub async fn set_clock(&self, wall: Timestamp, scale: u32) -> Result<(), Trouble> {
        set_clock(&self.home.admin(), wall, scale).await
    }

    /// Proves on the closed store that nothing is forgotten and that journal and books agree.
    pub async fn check(home: &Home) -> Result<(), String> {
        let checked = home.command().args(["check", "--config"]).arg(&home.config).output().await;
        let output = checked.map_err(|why| why.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    /// Lets kept notifications wait unjudged.
    pub async fn hold_judging(&self) -> Result<(), Trouble> {
        post(&self.home.admin(), "/v1/demo/hold-judging", &json!({ "hold": true })).await.map(drop)
    }

    /// SIGKILL: no signal handler, no flush, no goodbye.
    pub async fn kill(mut self) -> Result<(), Trouble> {
        self.child.kill().await.map_err(Trouble::Spawn)
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(mut self) -> Result<(), Trouble> {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // A child that ended already is stopped as well.
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(Trouble::Spawn(why)),
            Err(_) => Err(Trouble::NotStopped),
        }
    }

    /// The child's end, if it ended by itself.
    pub fn ended(&mut self) -> Option<Trouble> {
        let status = self.child.try_wait().ok()??;
        Some(Trouble::Ended { status: status.to_string(), log: self.home.log() })
    }
}

/// The ready file, once it is there and whole.
fn read_ready(path: &Path) -> Option<Ready> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn set_clock(admin: &Peer, wall: Timestamp, scale: u32) -> Result<(), Trouble> {
    post(admin, "/v1/demo/clock", &json!({ "wall": wall, "scale": scale })).await.map(drop)
}

/// Posts JSON over the admin socket; anything but a 2xx is trouble.
pub async fn post(admin: &Peer, target: &str, value: &Value) -> Result<Got, Trouble> {
    let ask = Ask { method: "POST", target, content_type: "application/json", body: value.to_string().into_bytes() };
    let got =
        send(admin, ask, ASK_TIMEOUT).await.map_err(|why| Trouble::NoAnswer { what: format!("POST {target}"), why })?;
    if got.is_success() {
        return Ok(got);
    }
    let body = String::from_utf8_lossy(&got.body).into_owned();
    Err(Trouble::Refused { what: format!("POST {target}"), status: got.status, body })
}

fn remove_if_there(path: &Path) -> Result<(), Trouble> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Trouble::Spawn(error)),
        _ => Ok(()),
    }
}
