//! A night of the real process: reports at the turn of the day, alerts on their way out. Time is the
//! demo's, moved over the admin socket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::shop::{Daemon, Shop, say, until};

/// How much faster than life: a minute rings ten times a second.
const SCALE: u32 = 600;

/// Starts on a store that follows the demo's clock.
fn start_at(shop: &Shop, wall: &str) -> Daemon {
    let path = shop.path("data/reconciled.redb");
    if !path.exists() {
        reconciled::shell::opening::create_demo_store(&path).expect("a demo store");
    }
    let child = shop.spawn(&[]);
    until("the admin socket listens", || std::os::unix::net::UnixStream::connect(shop.path("data/admin.sock")).is_ok());
    set_clock(shop, wall);
    shop.ready(child)
}

fn set_clock(shop: &Shop, wall: &str) {
    let setting = json!({"wall": wall, "scale": SCALE}).to_string();
    let (status, said) = shop.ask("POST", "/v1/demo/clock", &setting);
    assert_eq!(status, 200, "{said}");
}

#[test]
fn the_report_of_a_day_is_written_whole_in_the_night_after_it() {
    let shop = Shop::new();
    let daemon = start_at(&shop, "2026-03-01T12:00:00Z");
    assert_eq!(shop.submit("r-1", "12.50").0, 201);
    let early = shop.run(&["report", "2026-03-01", "--json"]);
    let early: Value = serde_json::from_slice(&early.stdout).expect("JSON");
    assert_eq!(early["status"], "not written");

    // Half past two in Vienna, the example's time.
    set_clock(&shop, "2026-03-02T01:20:00Z");
    let folder = shop.path("data/reports");
    let file = |ending: &str| folder.join(format!("2026-03-01.provisional.{ending}"));
    // Whatever is found under a report's name at any moment is whole.
    until("the report is written", || {
        if let Ok(csv) = std::fs::read_to_string(file("csv")) {
            assert!(csv.lines().last().is_some_and(|line| line.starts_with("# ")), "{csv}");
        }
        if let Ok(json) = std::fs::read(file("json")) {
            serde_json::from_slice::<Value>(&json).expect("whole");
        }
        let text = std::fs::read_to_string(file("txt")).unwrap_or_default();
        assert!(text.is_empty() || text.lines().last().is_some_and(|line| line.starts_with("control sum")), "{text}");
        !text.is_empty()
    });
    until("it is journaled", || shop.run(&["report", "2026-03-01", "--verify"]).status.success());
    let left: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_report_that_cannot_be_written_is_alerted_until_it_is() {
    let shop = Shop::new();
    let daemon = start_at(&shop, "2026-03-01T12:00:00Z");
    assert_eq!(shop.submit("r-1", "12.50").0, 201);
    let folder = shop.path("data/reports");
    std::fs::remove_dir_all(&folder).expect("removed");
    std::fs::write(&folder, "in the way").expect("written");
    set_clock(&shop, "2026-03-02T01:20:00Z");
    let trouble = || shop.ask("GET", "/v1/status", "").1["report_trouble"].clone();
    until("the status says it", || trouble().is_string());
    let alerts = || shop.ask("GET", "/v1/alerts", "").1["items"].as_array().expect("a list").clone();
    until("a person is told", || alerts().iter().any(|alert| alert["topic"] == "report"));
    let told = shop.run(&["status"]);
    assert!(crate::shop::text(&told.stdout).contains("can't be written"), "{}", crate::shop::text(&told.stdout));

    std::fs::remove_file(&folder).expect("removed");
    std::fs::create_dir(&folder).expect("made");
    until("the report is written", || folder.join("2026-03-01.provisional.txt").exists());
    until("the status is well again", || trouble().is_null());
    let ended = |alert: &Value| alert["topic"] == "report" && alert["status"] == "resolved";
    assert!(alerts().iter().any(ended), "{:?}", alerts());
    assert_eq!(daemon.stop(), Some(0));
}

/// What a receiver got: the headers, lower case, and the body.
type Got = (BTreeMap<String, String>, String);

/// Receives on a port of its own; the first request is answered 500, all others 204.
fn receiver() -> (String, Arc<Mutex<Vec<Got>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/alerts", listener.local_addr().expect("bound"));
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Some(request) = received(&stream) else { continue };
            let mut kept = kept.lock().expect("no panic");
            let status = if kept.is_empty() { "500 Not Now" } else { "204 No Content" };
            kept.push(request);
            let _ = write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (url, got)
}

fn received(stream: &TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    for line in reader.by_ref().lines().skip(1) {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}

/// As a receiver would verify it, after the Standard Webhooks specification.
fn is_signed(secret: &str, (headers, body): &Got) -> bool {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{}.{}.{body}", headers["webhook-id"], headers["webhook-timestamp"]).as_bytes());
    headers["webhook-signature"] == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn an_alert_that_the_receiver_refused_comes_again_after_a_restart_under_the_same_id() {
    const SECRET: &str = "a secret of the receiver and us";
    let (url, got) = receiver();
    let mut shop = Shop::new();
    std::fs::write(shop.path("webhook.secret"), SECRET).expect("written");
    shop.environment = vec![
        ("RECONCILED_ALERTS__WEBHOOK_URL", url),
        ("RECONCILED_ALERTS__WEBHOOK_SECRET_FILE", "webhook.secret".into()),
        ("RECONCILED_ALERTS__ALLOW_PRIVATE_ADDRESS", "true".into()),
    ];
    let daemon = start_at(&shop, "2026-03-01T12:00:00Z");
    // Nobody can be asked about this one, so it is handed over when its time is over.
    let body = json!({"merchant": "shop-at", "request_id": "r-1", "amount": "99", "currency": "EUR"}).to_string();
    assert_eq!(shop.ask("POST", "/v1/submissions", &body).0, 201);
    set_clock(&shop, "2026-03-01T14:00:00Z");
    let count = || got.lock().expect("no panic").len();
    until("the receiver is told, and refuses", || count() >= 1);
    daemon.kill();
    let refused = count();

    let daemon = start_at(&shop, "2026-03-01T14:10:00Z");
    until("it is told again", || count() > refused);
    let got = got.lock().expect("no panic");
    let id = |n: usize| got[n].0["webhook-id"].clone();
    assert!((1..got.len()).any(|n| id(n) == id(0)), "{:?}", (0..got.len()).map(id).collect::<Vec<_>>());
    assert!(got.iter().all(|got| is_signed(SECRET, got)));
    say(&format!("webhook: {} tellings, all signed, the refused one again", got.len()));
    drop(got);
    let alerts = shop.run(&["alerts", "--json"]);
    let alerts: Value = serde_json::from_slice(&alerts.stdout).expect("JSON");
    assert_eq!(alerts["items"][0]["topic"], "handed-over");
    assert_eq!(daemon.stop(), Some(0));
}
