//! Notifications that are passed on to the shop's own listener, by the real process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use super::shop::{Shop, text, until};

/// What came to the shop's own listener.
#[derive(Clone, PartialEq, Debug)]
pub struct Came {
    pub target: String,
    content_type: Option<String>,
    id: Option<String>,
    pub body: String,
    answered: u16,
}

/// The shop's own listener: it answers as it is told, and remembers.
pub struct Own {
    pub url: String,
    pub status: Arc<AtomicU16>,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Own {
    pub fn new(status: u16, page: &'static str) -> Own {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/own/ipn?key=1", listener.local_addr().expect("an address"));
        let (status, came) = (Arc::new(AtomicU16::new(status)), Arc::default());
        let own = Own { url, status: Arc::clone(&status), came: Arc::clone(&came) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let answered = status.load(Ordering::SeqCst);
                if let Some(request) = take(&stream, answered, page) {
                    came.lock().expect("whole").push(request);
                }
            }
        });
        own
    }

    pub fn came(&self) -> Vec<Came> {
        self.came.lock().expect("whole").clone()
    }

    fn accepted(&self) -> Vec<Came> {
        self.came().into_iter().filter(|came| came.answered == 200).collect()
    }
}

/// Reads one request and answers it; `None`: it broke off.
fn take(mut stream: &TcpStream, answered: u16, page: &str) -> Option<Came> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let lines = head.iter().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let length = page.len();
    write!(stream, "HTTP/1.1 {answered} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}").ok()?;
    Some(Came {
        target: head.first()?.clone(),
        content_type: header("content-type"),
        id: header("idempotency-key"),
        body: text(&body),
        answered,
    })
}

/// A shop whose notifications of one account go on to its own listener.
fn relaying(urls: &[(&str, &str)]) -> Shop {
    let shop = Shop::new();
    let file = shop.path("reconciled.toml");
    let mut config = std::fs::read_to_string(&file).expect("the example");
    for (merchant, url) in urls {
        config.push_str(&format!("\n[merchants.{merchant}.relay]\nurl = \"{url}\"\nretry_first = \"1s\"\n"));
    }
    std::fs::write(file, config).expect("written");
    shop
}

#[test]
fn a_message_reaches_the_shops_own_listener_although_it_fails_at_first_and_we_are_killed() {
    let own = Own::new(500, "");
    let shop = relaying(&[("shop-eu", &own.url)]);
    let daemon = shop.start();
    assert_eq!(shop.submit("r-1", "12.5").0, 201);
    let body = "transaction_state=success&request_id=r-1&odd=%2B+&x=\u{e4}";
    assert_eq!(daemon.notify("/ipn/shop-eu", body).0, 200);
    until("the shop's listener hears of it", || !own.came().is_empty());
    let status = shop.ask("GET", "/v1/status", "").1;
    assert_eq!(
        (status["relay"][0]["merchant"].as_str(), status["relay"][0]["waiting"].as_u64()),
        (Some("shop-eu"), Some(1))
    );
    daemon.kill();

    own.status.store(200, Ordering::SeqCst);
    let daemon = shop.start();
    until("it takes the message", || !own.accepted().is_empty());
    let explained = || text(&shop.run(&["explain", "r-1"]).stdout);
    until("its answer is evidence", || explained().contains("relayed to the shop: HTTP 200"));
    let listed = shop.run(&["relay", "list", "shop-eu"]);
    assert!(text(&listed.stdout).starts_with("0 message(s)"), "{}{}", text(&listed.stdout), text(&listed.stderr));

    let (first, last) = (own.came()[0].clone(), own.accepted()[0].clone());
    assert_eq!(last.target, "POST /own/ipn?key=1 HTTP/1.1");
    assert_eq!((last.body.as_str(), last.content_type.as_deref()), (body, None));
    assert!(last.id.is_some() && last.id == first.id, "the same id at every attempt: {:?}", own.came());
    assert_eq!(daemon.stop(), Some(0));
    let checked = shop.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", text(&checked.stdout), text(&checked.stderr));
}

#[test]
fn a_slow_shop_holds_up_no_other_and_the_ok_token_is_noted() {
    let quick = Own::new(200, "<QPAY-CONFIRMATION-RESPONSE result=\"OK\" />");
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_url = format!("http://{}/", silent.local_addr().expect("an address"));
    let shop = relaying(&[("shop-eu", &silent_url), ("shop-at", &quick.url)]);
    let daemon = shop.start();
    for n in 0..8 {
        assert_eq!(daemon.notify("/ipn/shop-eu", &format!("transaction_state=success&request_id=s-{n}")).0, 200);
    }
    let submission = r#"{"merchant":"shop-at","request_id":"a-1","amount":"1","currency":"EUR"}"#;
    assert_eq!(shop.ask("POST", "/v1/submissions", submission).0, 201);
    assert_eq!(daemon.notify("/confirm/shop-at", "paymentState=CANCEL&shopRequestId=a-1").0, 200);
    until("the quick shop has its own", || !quick.accepted().is_empty());
    let explained = || text(&shop.run(&["explain", "a-1"]).stdout);
    until("its token is noted", || explained().contains("relayed to the shop: HTTP 200, with the OK token"));
    // A person gives up what the silent one does not take.
    let waiting = shop.ask("GET", "/v1/relay/shop-eu", "").1;
    let number = waiting["items"][7]["number"].to_string();
    assert!(shop.run(&["relay", "give-up", "shop-eu", &number]).status.success());
    assert_eq!(shop.run(&["relay", "give-up", "shop-eu", &number]).status.code(), Some(1));
    assert_eq!(shop.ask("GET", "/v1/status", "").1["relay"][0]["waiting"], 7);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_account_that_there_is_not_is_told_from_one_for_which_nothing_waits() {
    let shop = Shop::new();
    let daemon = shop.start();
    for (method, path) in [
        ("GET", "/v1/relay/nope"),
        ("GET", "/v1/relay/no%20name"),
        ("POST", "/v1/relay/nope/retry"),
        ("POST", "/v1/relay/nope/1/give-up"),
        ("GET", "/v1/payments/nope/r-1"),
        ("GET", "/v1/orders/nope/1001"),
    ] {
        let (status, said) = shop.ask(method, path, "");
        let hint = said["hint"].as_str().unwrap_or_default();
        assert!(
            status == 404 && said["field"] == "merchant" && hint == "configured are: shop-at, shop-eu",
            "{path}: {said}"
        );
    }
    assert_eq!(shop.ask("GET", "/v1/relay/shop-eu", "").0, 200);
    assert_eq!(shop.ask("POST", "/v1/relay/shop-eu/retry", "").0, 202);
    for verb in [&["list", "nope"][..], &["retry", "nope"], &["give-up", "nope", "1"]] {
        let output = shop.run(&[&["relay"], verb].concat());
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains("configured are: shop-at, shop-eu"),
            "{verb:?}: {said}"
        );
    }
    assert_eq!(daemon.stop(), Some(0));
}
