//! Who may use the admin interface: over the Unix socket our own user, root and our group; over TCP
//! whoever knows the token, and never a browser that another page sent here.

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::net::UnixStream;

/// Whether the process at the other end may come in. The socket's mode (0660) says the same; this
/// holds even where somebody opens the mode.
pub fn peer_may_connect(stream: &UnixStream) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let is_ours = peer.uid() == 0 || peer.uid() == uid || peer.gid() == gid;
    is_ours || peer.pid().is_some_and(|pid| supplementary_groups(pid).contains(&gid))
}

/// The peer's other groups: SO_PEERCRED names only the first.
fn supplementary_groups(pid: i32) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    groups.split_whitespace().filter_map(|gid| gid.parse().ok()).collect()
}

/// How a listener tells friend from foe.
#[derive(Clone)]
pub enum Guard {
    /// The peer was checked when it connected.
    Peer,
    /// A bearer token, and a Host that is this machine.
    Token(SecretString),
}

/// Why a request may not come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stranger {
    /// A browser sends it for some page (Origin), or under a name that is not this machine's (Host).
    Browser,
    NoToken,
}

impl Guard {
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Stranger> {
        let headers = request.headers();
        if headers.contains_key(header::ORIGIN) {
            return Err(Stranger::Browser);
        }
        match self {
            Guard::Peer => Ok(()),
            Guard::Token(token) => {
                if !host_is_loopback(headers) {
                    return Err(Stranger::Browser);
                }
                let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
                let given = given.strip_prefix("Bearer ").unwrap_or_default();
                let same: bool = given.as_bytes().ct_eq(token.expose_secret().as_bytes()).into();
                if same { Ok(()) } else { Err(Stranger::NoToken) }
            }
        }
    }
}

fn host_is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|v| v.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

pub fn turn_away(why: Stranger) -> Response<Body> {
    let (status, error) = match why {
        Stranger::Browser => (StatusCode::FORBIDDEN, "not for browsers: no Origin, and Host must be loopback"),
        Stranger::NoToken => (StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong"),
    };
    let body = serde_json::json!({"error": error, "field": null, "hint": null}).to_string();
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strangers() {
        let guard = Guard::Token(SecretString::from("t0ken"));
        for (host, origin, authorization, expected) in [
            (Some("127.0.0.1:8081"), None, Some("Bearer t0ken"), Ok(())),
            (Some("localhost"), None, Some("Bearer t0ken"), Ok(())),
            (Some("[::1]:8081"), None, Some("Bearer t0ken"), Ok(())),
            (Some("127.0.0.1:8081"), None, Some("Bearer t0keN"), Err(Stranger::NoToken)),
            (Some("127.0.0.1:8081"), None, Some("Bearer "), Err(Stranger::NoToken)),
            (Some("127.0.0.1:8081"), None, Some("Basic t0ken"), Err(Stranger::NoToken)),
            (Some("127.0.0.1:8081"), None, None, Err(Stranger::NoToken)),
            (Some("evil.example"), None, Some("Bearer t0ken"), Err(Stranger::Browser)),
            (Some("127.0.0.1.evil.example:80"), None, Some("Bearer t0ken"), Err(Stranger::Browser)),
            (None, None, Some("Bearer t0ken"), Err(Stranger::Browser)),
            (Some("127.0.0.1"), Some("https://evil.example"), Some("Bearer t0ken"), Err(Stranger::Browser)),
        ] {
            let mut request = Request::builder();
            for (name, value) in
                [(header::HOST, host), (header::ORIGIN, origin), (header::AUTHORIZATION, authorization)]
            {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let request = request.body(()).expect("a request");
            assert_eq!(guard.check(&request), expected, "{host:?} {origin:?} {authorization:?}");
        }
    }

    #[tokio::test]
    async fn our_own_process_may_connect() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        assert!(peer_may_connect(&ours));
    }
}
