//! Where a command's answer comes from: the running daemon, or the store's file where none runs.

use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{ConfigFile, Failure};
use crate::engine::Engine;
use crate::shell::clock::{Clock, Stored};
use crate::shell::config::{self, Flags, Surroundings};
use crate::shell::exit;
use crate::store::file::{OpenError, ReadOnly};
use crate::store::{Fault, View};
use crate::words::time::Now;

/// How long the daemon may take to answer: proving the books reads all of them.
const ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(610);
/// Everything but letters, digits, `-`, `_`, `.` and `~` is percent-encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// An answer of the daemon.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of a 2xx; else what went wrong, as the process should say it.
    pub fn ok(self) -> Result<Value, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let text = |name: &str| self.body.get(name).and_then(Value::as_str);
        let field = text("field").map(|field| format!("`{field}` ")).unwrap_or_default();
        let hint = text("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
        let error = text("error").unwrap_or("the daemon refused");
        let code = match self.status {
            503 => exit::TEMPORARY,
            500.. => exit::FAULT,
            422 | 400 | 413 => exit::DATA,
            _ => exit::NO,
        };
        Err(Failure::new(code, format!("{field}{error}{hint}")))
    }
}

/// Asks the daemon. `None`: none runs.
pub fn daemon(file: &ConfigFile, method: &str, path: &str, body: Vec<u8>) -> Result<Option<Answer>, Failure> {
    let socket = config::admin_socket(&file.config, &Surroundings::of_this_process())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(exit::FAULT, format!("can't start the runtime: {e}")))?;
    let asked = async {
        tokio::time::timeout(ANSWER_MAX, ask(&socket, method, path, body)).await.unwrap_or_else(|_| {
            Err(Failure::new(exit::UNAVAILABLE, format!("the daemon at {} does not answer", socket.display())))
        })
    };
    runtime.block_on(asked)
}

/// The same, where only the daemon can do it.
pub fn daemon_only(file: &ConfigFile, method: &str, path: &str, body: Vec<u8>) -> Result<Answer, Failure> {
    daemon(file, method, path, body)?.ok_or_else(|| {
        let how = format!("start it: reconciled serve --config {}", file.config.display());
        Failure::new(exit::UNAVAILABLE, format!("the daemon does not run ({how})"))
    })
}

async fn ask(socket: &Path, method: &str, path: &str, body: Vec<u8>) -> Result<Option<Answer>, Failure> {
    let shown = socket.display();
    let stream = match tokio::net::UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            use std::io::ErrorKind::{ConnectionRefused, NotFound};
            if matches!(error.kind(), ConnectionRefused | NotFound) {
                return Ok(None);
            }
            return Err(Failure::new(exit::UNAVAILABLE, format!("can't reach the daemon at {shown}: {error}")));
        }
    };
    let broken =
        |error: hyper::Error| Failure::new(exit::UNAVAILABLE, format!("the daemon at {shown} hung up: {error}"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| Failure::new(exit::USAGE, format!("can't ask for {path}: {e}")))?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.map_err(broken)?.to_bytes();
    let body = serde_json::from_slice(&bytes)
        .map_err(|_| Failure::new(exit::UNAVAILABLE, format!("what listens at {shown} is not the daemon")))?;
    Ok(Some(Answer { status, body }))
}

/// Asks the daemon with GET, or reads the store where none runs. `None`: nothing is known.
pub fn read(
    file: &ConfigFile,
    path: &str,
    read: impl FnOnce(&Engine, &dyn View, Now) -> Result<Option<Value>, Fault>,
) -> Result<Option<Value>, Failure> {
    if let Some(answer) = daemon(file, "GET", path, Vec::new())? {
        return if answer.status == 404 { Ok(None) } else { answer.ok().map(Some) };
    }
    with_file(file, read)
}

/// Reads the store's file itself.
pub fn with_file<T>(
    file: &ConfigFile,
    read: impl FnOnce(&Engine, &dyn View, Now) -> Result<T, Fault>,
) -> Result<T, Failure> {
    let config = config::load(&file.config, &Flags::default(), &Surroundings::of_this_process())?;
    let store = ReadOnly::open(&config.store.path, config.store.cache_mib).map_err(|error| {
        let code = if error.is_temporary() || matches!(error, OpenError::Missing { .. }) {
            exit::TEMPORARY
        } else {
            exit::FAULT
        };
        Failure::new(code, error.to_string())
    })?;
    let fault = |fault: Fault| Failure::new(exit::FAULT, fault.to_string());
    let view = store.snapshot().map_err(fault)?;
    let clock = Clock::new();
    clock.resume(Stored::read(&view).map_err(fault)?.as_ref());
    let engine = Engine { policy: config.policy, keys: config.keys };
    read(&engine, &view, clock.now()).map_err(fault)
}
