//! A shop's desk: the repository's example on ports of its own, and the real process beside it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::example;

/// Far longer than any start or answer takes; only something stuck meets it.
pub const STUCK: Duration = Duration::from_secs(60);

pub struct Shop {
    pub folder: tempfile::TempDir,
    /// Variables for every process started here.
    pub environment: Vec<(&'static str, String)>,
}

pub struct Daemon {
    pub child: Child,
    pub public: String,
}

impl Shop {
    /// A folder with the repository's example, on ports of its own.
    pub fn new() -> Shop {
        let folder = tempfile::tempdir().expect("a folder");
        example::lay_out(folder.path());
        Shop { folder, environment: Vec::new() }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciled"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("reconciled.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    pub fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    pub fn start_with(&self, arguments: &[&str]) -> Daemon {
        let child = self.spawn(arguments);
        self.ready(child)
    }

    /// Starts the daemon and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&["serve"]);
        command.args(arguments).arg("--ready-file").arg(self.ready_file());
        self.spawned(command)
    }

    /// The same by another program.
    pub fn spawned(&self, mut command: Command) -> Child {
        let _ = std::fs::remove_file(self.ready_file());
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).expect("a log");
        command.stderr(log).stdout(Stdio::null()).spawn().expect("the daemon starts")
    }

    pub fn ready(&self, mut child: Child) -> Daemon {
        let mut public = None;
        until("the daemon is ready", || {
            if let Ok(text) = std::fs::read_to_string(self.ready_file()) {
                let addresses: Value = serde_json::from_str(&text).expect("the ready file is whole");
                public = Some(addresses["public"].as_str().expect("an address").to_owned());
            } else if let Some(ended) = child.try_wait().expect("a child") {
                panic!("the daemon ended by itself: {ended}\n{}", self.log());
            }
            public.is_some()
        });
        Daemon { child, public: public.expect("just found") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ready_file(&self) -> PathBuf {
        self.path("ready.json")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Asks the admin socket.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let stream = UnixStream::connect(self.folder.path().join("data/admin.sock")).expect("the admin socket");
        ask_on(stream, method, path, body)
    }

    /// Submits where the daemon may be going away: `None` is no answer.
    pub fn try_submit(&self, request_id: &str) -> Option<u16> {
        let stream = UnixStream::connect(self.path("data/admin.sock")).ok()?;
        stream.set_read_timeout(Some(STUCK)).ok()?;
        let body = json!({"merchant": "shop-eu", "request_id": request_id, "transaction_type": "debit",
            "amount": "1", "currency": "EUR", "payment_method": "creditcard"});
        try_talk(stream, "POST", "/v1/submissions", &body.to_string()).map(|(status, _)| status)
    }

    pub fn submit(&self, request_id: &str, amount: &str) -> (u16, Value) {
        let body = json!({"merchant": "shop-eu", "request_id": request_id, "order_number": "o-1",
            "transaction_type": "debit", "amount": amount, "currency": "EUR", "payment_method": "creditcard"});
        self.ask("POST", "/v1/submissions", &body.to_string())
    }
}

impl Daemon {
    pub fn notify(&self, path: &str, body: &str) -> (u16, String) {
        let stream = TcpStream::connect(&self.public).expect("the public listener");
        stream.set_read_timeout(Some(STUCK)).expect("a time-out");
        talk(stream, "POST", path, body)
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// SIGTERM; returns the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
        self.child.wait().expect("gone").code()
    }
}

/// Asks on a connection to the admin socket that is there already.
pub fn ask_on(stream: UnixStream, method: &str, path: &str, body: &str) -> (u16, Value) {
    stream.set_read_timeout(Some(STUCK)).expect("a time-out");
    let (status, body) = talk(stream, method, path, body);
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// Posts JSON on a connection that is there already.
pub fn tell_on(stream: TcpStream, path: &str, body: &str) -> (u16, Value) {
    stream.set_read_timeout(Some(STUCK)).expect("a time-out");
    let (status, body) = talk(stream, "POST", path, body);
    (status, serde_json::from_str(&body).expect("JSON"))
}

fn talk(stream: impl Read + Write, method: &str, path: &str, body: &str) -> (u16, String) {
    try_talk(stream, method, path, body).expect("a whole answer")
}

fn try_talk(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
    Some((status, body.to_owned()))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks again and again until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..STUCK.as_millis() / PAUSE.as_millis() {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("never came: {what}");
}

/// A line that libtest does not swallow.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Sends a notification on a connection that is there already; returns the status.
pub fn notify_on(stream: TcpStream, path: &str, body: &str) -> u16 {
    stream.set_read_timeout(Some(STUCK)).expect("a time-out");
    talk(stream, "POST", path, body).0
}
