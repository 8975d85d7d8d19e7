//! `reconciled operate` against the real daemon and a gateway that this test plays.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::shop::{Shop, text, until};

const MAID: &str = "9abf05c1-c266-46ae-8eac-7f87ca97af28";

/// How the gateway treats a request that moves money.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Executes and answers it.
    Answer,
    /// Executes it and hangs up.
    HangUp,
    /// Holds it, neither executed nor answered, until the sender goes away.
    Hold,
}

struct Gateway {
    address: String,
    /// XML of every transaction, with its request-id.
    known: Mutex<Vec<(String, String)>>,
    manner: Mutex<Manner>,
    posts: AtomicUsize,
    /// Requests that came before the daemon had journaled them.
    early: AtomicUsize,
    data: PathBuf,
}

impl Gateway {
    fn start(data: &Path) -> Arc<Gateway> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let gateway = Arc::new(Gateway {
            address: format!("http://{}", listener.local_addr().expect("an address")),
            known: Mutex::new(vec![("r-1".into(), transaction("t-1", "r-1", "authorization", "100", None))]),
            manner: Mutex::new(Manner::Answer),
            posts: AtomicUsize::new(0),
            early: AtomicUsize::new(0),
            data: data.to_owned(),
        });
        let serving = gateway.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let gateway = serving.clone();
                std::thread::spawn(move || gateway.serve(stream));
            }
        });
        gateway
    }

    fn serve(&self, mut stream: TcpStream) {
        while let Some((head, body)) = read_request(&mut stream) {
            let answer = if head.starts_with("POST ") {
                match self.execute(&body, &mut stream) {
                    Some(answer) => answer,
                    None => return,
                }
            } else {
                self.look_up(&head)
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn execute(&self, body: &str, stream: &mut TcpStream) -> Option<String> {
        self.posts.fetch_add(1, Ordering::SeqCst);
        let of = |name: &str| body.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split('<').next());
        let (request, kind) = (of("request-id").expect("a request-id"), of("transaction-type").expect("a type"));
        if !self.is_journaled(request) {
            self.early.fetch_add(1, Ordering::SeqCst);
        }
        let amount = body.split_once("currency=\"EUR\">").and_then(|(_, rest)| rest.split('<').next()).expect("money");
        let done = transaction(&format!("t-{request}"), request, kind, amount, of("parent-transaction-id"));
        let manner = *self.manner.lock().expect("no panic");
        if manner == Manner::Hold {
            // Ends when the sender does.
            let _ = stream.read(&mut [0; 1]);
            return None;
        }
        self.known.lock().expect("no panic").push((request.to_owned(), done.clone()));
        (manner == Manner::Answer).then(|| answered(201, &done))
    }

    /// Whether the daemon had it in its journal when the request came.
    fn is_journaled(&self, request: &str) -> bool {
        let stream = std::os::unix::net::UnixStream::connect(self.data.join("admin.sock")).expect("the daemon");
        let journal = crate::shop::ask_on(stream, "GET", "/v1/journal?after=0&limit=1000", "").1;
        let items = journal["items"].as_array().expect("a list").clone();
        items.iter().any(|item| item["event"] == "operated" && item["intent"]["request_id"] == request)
    }

    fn look_up(&self, head: &str) -> String {
        let known = self.known.lock().expect("no panic");
        let asked = known.iter().filter(|(request, _)| {
            ["request_id=", "request-id="].iter().any(|name| head.contains(&format!("{name}{request} ")))
        });
        let found: String = asked.map(|(_, xml)| xml.as_str()).collect();
        match found.as_str() {
            "" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            found => answered(200, &format!("<payments xmlns=\"{NAMESPACE}\">{found}</payments>")),
        }
    }
}

const NAMESPACE: &str = "http://www.elastic-payments.com/schema/payment";

fn transaction(id: &str, request: &str, kind: &str, amount: &str, parent: Option<&str>) -> String {
    let parent = parent.map(|p| format!("<parent-transaction-id>{p}</parent-transaction-id>")).unwrap_or_default();
    format!(
        "<payment xmlns=\"{NAMESPACE}\"><merchant-account-id>{MAID}</merchant-account-id>\
         <transaction-id>{id}</transaction-id><request-id>{request}</request-id>\
         <transaction-type>{kind}</transaction-type><transaction-state>success</transaction-state>\
         <statuses><status code=\"201.0000\" severity=\"information\"/></statuses>\
         <requested-amount currency=\"EUR\">{amount}</requested-amount>{parent}\
         <payment-methods><payment-method name=\"creditcard\"/></payment-methods></payment>"
    )
}

fn answered(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length =
                length.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap_or("0"));
            if body.len() >= length.parse().ok()? {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// A shop whose gateway this test plays, with operations as told.
fn desk(operations: &str) -> (Shop, Arc<Gateway>) {
    let shop = Shop::new();
    let gateway = Gateway::start(&shop.path("data"));
    let file = shop.path("reconciled.toml");
    let config = std::fs::read_to_string(&file).expect("read").replace("http://127.0.0.1:9", &gateway.address);
    std::fs::write(&file, format!("{config}\n{operations}")).expect("written");
    (shop, gateway)
}

/// Submits a hold of 100 EUR and has it looked up.
fn hold(shop: &Shop) {
    let body = json!({"merchant": "shop-eu", "request_id": "r-1", "order_number": "o-1",
        "transaction_type": "authorization", "amount": "100", "currency": "EUR", "payment_method": "creditcard"});
    assert_eq!(shop.ask("POST", "/v1/submissions", &body.to_string()).0, 201);
    looked_up(shop, "r-1", |payment| payment["state"] == "reserved");
}

/// Has a request looked up until its payment is as wanted.
fn looked_up(shop: &Shop, request: &str, is_so: impl Fn(&Value) -> bool) {
    assert_eq!(shop.ask("POST", &format!("/v1/retrieve/{request}"), "").0, 202);
    until("the look", || is_so(&shop.ask("GET", &format!("/v1/payments/shop-eu/{request}"), "").1));
}

const ON: &str = "[operations]\nenabled = true\n";

#[test]
fn operations_are_off_unless_the_configuration_says_otherwise() {
    let (shop, gateway) = desk("");
    let daemon = shop.start();
    hold(&shop);
    for way in ["--dry-run", "--yes"] {
        let off = shop.run(&["operate", "capture", "o-1", way]);
        assert_eq!(off.status.code(), Some(1));
        assert!(text(&off.stderr).contains("`enabled = true` under [operations]"), "{}", text(&off.stderr));
    }
    let wish = json!({"wish": {"kind": "capture", "id": "o-1"}}).to_string();
    assert_eq!(shop.ask("POST", "/v1/operations", &wish).0, 403, "the daemon refuses as well");
    assert_eq!(gateway.posts.load(Ordering::SeqCst), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_dry_run_prints_the_exact_request_and_sends_nothing() {
    let (shop, gateway) = desk(ON);
    let arguments = ["--transaction", "t-1", "--amount", "12.50", "--currency", "EUR", "--request-id", "op-1"];
    let dry = shop.run(&[&["operate", "capture", "--dry-run"], arguments.as_slice()].concat());
    assert_eq!(dry.status.code(), Some(0), "{}", text(&dry.stderr));
    let printed = text(&dry.stdout);
    let expected = format!(
        "POST {}/engine/rest/payments/\nAuthorization: Basic ********\nAccept: application/xml\n\
         Content-Type: application/xml\n\n<?xml version=\"1.0\" encoding=\"UTF-8\"?><payment xmlns=\"{NAMESPACE}\">\
         <merchant-account-id>{MAID}</merchant-account-id><request-id>op-1</request-id>\
         <transaction-type>capture-authorization</transaction-type>\
         <requested-amount currency=\"EUR\">12.50</requested-amount>\
         <parent-transaction-id>t-1</parent-transaction-id></payment>\n",
        gateway.address
    );
    assert_eq!(printed, expected);
    assert!(text(&dry.stderr).contains("not checked against any chain"), "{}", text(&dry.stderr));

    let deposit =
        ["operate", "deposit", "7000001", "--merchant", "shop-at", "--amount", "5", "--currency", "EUR", "--dry-run"];
    let printed = text(&shop.run(&deposit).stdout);
    assert!(
        printed.contains("/backend/deposit\n") && printed.contains("&orderNumber=7000001&amount=5.00&currency=EUR&"),
        "{printed}"
    );
    assert!(printed.contains("password=********&") && printed.contains("requestFingerprint="), "{printed}");

    for (amount, means) in [("-10", "is a reduction"), ("10", "is an adjustment charge")] {
        let of_invoice = ["--transaction", "t-1", "--type", "credit", "--amount", amount, "--currency", "EUR"];
        let dry = shop.run(&[&["operate", "credit", "--dry-run"], of_invoice.as_slice()].concat());
        let said = text(&dry.stderr);
        assert!(said.contains(&format!("{means} by the vendor's process chain")) && said.contains("is open"), "{said}");
        assert!(text(&dry.stdout).contains(&format!("<requested-amount currency=\"EUR\">{amount}.00<")), "{said}");
    }

    let daemon = shop.start();
    hold(&shop);
    let checked = shop.run(&["operate", "capture", "o-1", "--amount", "12.50", "--dry-run"]);
    assert!(
        text(&checked.stderr).contains("checked: 12.50 EUR and 0.00 EUR captured before"),
        "{}",
        text(&checked.stderr)
    );
    assert!(text(&checked.stdout).contains("<payment-method name=\"creditcard\"/>"));
    let refused = shop.run(&["operate", "capture", "o-1", "--amount", "100.01", "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("more than the 100.00 EUR authorised"), "{}", text(&refused.stderr));
    let asked = shop.run(&["operate", "capture", "o-1"]);
    assert_eq!(asked.status.code(), Some(64), "without a terminal nobody can be asked");
    assert_eq!(gateway.posts.load(Ordering::SeqCst), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_operation_is_journaled_sent_once_and_looked_up_where_nobody_answered() {
    let (shop, gateway) = desk(ON);
    let daemon = shop.start();
    hold(&shop);
    let done = shop.run(&["operate", "capture", "o-1", "--amount", "10", "--request-id", "op-1", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", text(&done.stdout), text(&done.stderr));
    assert!(text(&done.stdout).starts_with("executed: "), "{}", text(&done.stdout));
    looked_up(&shop, "op-1", |payment| payment["booked"][0]["amount"] == "10.00");

    *gateway.manner.lock().expect("no panic") = Manner::HangUp;
    let lost = shop.run(&["operate", "capture", "o-1", "--amount", "20", "--request-id", "op-2", "--yes"]);
    assert_eq!(lost.status.code(), Some(76), "{}{}", text(&lost.stdout), text(&lost.stderr));
    assert!(text(&lost.stderr).contains("do not repeat it"), "{}", text(&lost.stderr));
    assert_eq!(gateway.posts.load(Ordering::SeqCst), 2, "sent once");
    let blocked = shop.run(&["operate", "capture", "o-1", "--amount", "20", "--yes"]);
    assert_eq!(blocked.status.code(), Some(1));
    assert!(text(&blocked.stderr).contains("the outcome of capture op-2"), "{}", text(&blocked.stderr));
    looked_up(&shop, "op-2", |payment| payment["operations"][0]["outcome"] == "executed");

    // Killed between journal and answer: the daemon knows of it all the same.
    *gateway.manner.lock().expect("no panic") = Manner::Hold;
    let mut command = shop.command(&["operate", "capture", "o-1", "--request-id", "op-3", "--yes"]);
    let mut sender = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    until("the request", || gateway.posts.load(Ordering::SeqCst) == 3);
    sender.kill().expect("killed");
    sender.wait().expect("gone");
    daemon.kill();
    let daemon = shop.start();
    let (_, open) = shop.ask("GET", "/v1/open", "");
    let reason = open["items"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("nobody knows whether capture op-3 took effect"), "{reason}");
    assert_eq!(gateway.early.load(Ordering::SeqCst), 0, "every request was journaled before it came");
    assert_eq!(daemon.stop(), Some(0));
    let check = shop.run(&["check"]);
    assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
}

#[test]
fn what_never_left_is_told_as_such() {
    let (shop, gateway) = desk(ON);
    let daemon = shop.start();
    hold(&shop);
    // The sender's configuration points where nobody listens; the daemon's is as it was.
    let file = shop.path("reconciled.toml");
    let config = std::fs::read_to_string(&file).expect("read");
    let nowhere = config.replacen(&gateway.address, "http://127.0.0.1:9", 1);
    std::fs::write(&file, nowhere).expect("written");
    let unsent = shop.run(&["operate", "void", "o-1", "--request-id", "op-1", "--yes"]);
    assert_eq!(unsent.status.code(), Some(69), "{}{}", text(&unsent.stdout), text(&unsent.stderr));
    assert!(text(&unsent.stdout).starts_with("not-sent: "), "{}", text(&unsent.stdout));
    let (_, payment) = shop.ask("GET", "/v1/payments/shop-eu/op-1", "");
    assert_eq!(payment["operations"][0]["outcome"], "not-sent");
    assert_eq!(daemon.stop(), Some(0));
}

/// The sandbox as a process of its own; ends with this value.
pub struct Sandbox {
    child: std::process::Child,
    address: String,
}

impl Sandbox {
    pub fn start(shop: &Shop) -> Sandbox {
        // Free a moment ago; the configuration must name it before anything listens.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let file = shop.path("reconciled.toml");
        let config = std::fs::read_to_string(&file).expect("read").replace("127.0.0.1:9\"", &format!("{free}\""));
        std::fs::write(&file, format!("{config}\n{ON}")).expect("written");
        let mut command = shop.command(&["sandbox", "--listen", &free.to_string(), "--notify", "127.0.0.1:9"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the sandbox starts");
        until("the sandbox listens", || TcpStream::connect(free).is_ok());
        Sandbox { child, address: free.to_string() }
    }

    pub fn control(&self, what: &str, body: &Value) -> Value {
        let stream = TcpStream::connect(&self.address).expect("the sandbox");
        let (status, said) = crate::shop::tell_on(stream, &format!("/control/{what}"), &body.to_string());
        assert!((200..300).contains(&status), "{what}: {status} {said}");
        said
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_sandbox_executes_a_deposit_and_a_lost_reply_is_told_from_the_order() {
    let shop = Shop::new();
    let sandbox = Sandbox::start(&shop);
    let daemon = shop.start();
    let number = sandbox.control("order-numbers", &json!({}))["gateway_order_number"].clone();
    let submission = json!({"merchant": "shop-at", "request_id": "c-1", "order_number": "o-2", "amount": "50",
        "currency": "EUR", "payment_method": "CCARD", "gateway_order_number": number});
    assert_eq!(shop.ask("POST", "/v1/submissions", &submission.to_string()).0, 201);
    let mut payment = submission;
    payment["play"] = json!({"script": "reserved", "after": "0s"});
    sandbox.control("payments", &payment);
    let seen = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        until(what, || {
            assert_eq!(shop.ask("POST", "/v1/retrieve/c-1", "").0, 202);
            is_so(&shop.ask("GET", "/v1/payments/shop-at/c-1", "").1)
        });
    };
    seen("the hold", &|payment| payment["state"] == "reserved");

    let done = shop.run(&["operate", "deposit", "o-2", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", text(&done.stdout), text(&done.stderr));
    seen("the deposit", &|payment| payment["state"] == "paid_provisional");
    let early = shop.run(&["operate", "refund", "o-2", "--amount", "5", "--yes"]);
    assert_eq!(early.status.code(), Some(1));
    assert!(text(&early.stderr).contains("refunds need the day-end closing"), "{}", text(&early.stderr));

    let outage = json!({"merchant": "shop-at", "from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z",
        "manner": "closed", "to": "submissions", "executes": true});
    sandbox.control("outages", &outage);
    let lost = shop.run(&["operate", "deposit-reversal", "o-2", "--yes"]);
    assert_eq!(lost.status.code(), Some(76), "{}{}", text(&lost.stdout), text(&lost.stderr));
    seen("its effect", &|payment| payment["operations"][1]["outcome"] == "executed");
    assert_eq!(daemon.stop(), Some(0));
    let check = shop.run(&["check"]);
    assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
}
