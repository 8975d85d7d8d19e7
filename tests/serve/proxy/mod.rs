//! The recording proxy of the real process: what passes is compared byte for byte.

mod canaries;
mod gateway;
mod story;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::shop::{Daemon, STUCK, Shop, say, text, until};
use gateway::{Gateway, Scene, Then};

const MAID: &str = "9abf05c1-c266-46ae-8eac-7f87ca97af28";
/// What a shop writes into its Host header; the proxy puts the gateway's in its place.
const HOST: &str = "shop.invalid:1";

/// A shop whose three gateway URLs (checkout, payment gateway, payment page) point at the proxy.
struct Desk {
    shop: Shop,
    daemon: Daemon,
    gateway: Gateway,
    authority: String,
    listeners: Vec<String>,
}

#[derive(Clone, Copy)]
enum To {
    Checkout = 0,
    Payments = 1,
    Page = 2,
}

impl Desk {
    fn new(settings: &str) -> Desk {
        let gateway = Gateway::new();
        let authority = gateway.address.to_string();
        Desk::at(Shop::new(), gateway, &format!("http://{authority}"), &authority, settings)
    }

    fn at(shop: Shop, gateway: Gateway, upstream: &str, authority: &str, settings: &str) -> Desk {
        let file = shop.path("reconciled.toml");
        let mut config = std::fs::read_to_string(&file).expect("read");
        config.push_str(&format!(
            "\n[merchants.shop-at.proxy]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n{settings}\n\
             [merchants.shop-eu.proxy]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n{settings}\n\
             [[merchants.shop-eu.proxy.also]]\nlisten = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n"
        ));
        std::fs::write(&file, config).expect("written");
        let daemon = shop.start();
        let listeners = listeners(&shop);
        Desk { shop, daemon, gateway, authority: authority.to_owned(), listeners }
    }

    fn connect(&self, to: To) -> TcpStream {
        let stream = TcpStream::connect(&self.listeners[to as usize]).expect("the proxy");
        stream.set_read_timeout(Some(STUCK)).expect("a time-out");
        stream
    }

    /// The request as the gateway must hear it.
    fn passed(&self, request: &[u8]) -> Vec<u8> {
        let at = request.windows(HOST.len()).position(|part| part == HOST.as_bytes()).expect("a host");
        [&request[..at], self.authority.as_bytes(), &request[at + HOST.len()..]].concat()
    }

    fn explained(&self, id: &str) -> String {
        text(&self.shop.run(&["explain", id]).stdout)
    }

    /// Sends a request and hears exactly the answer; both must be what went in at the other side.
    fn exchange(&self, stream: &mut TcpStream, what: &str, request: &[u8], answer: &[u8], then: Then) {
        let expected = self.passed(request);
        self.gateway.plays(Scene { hears: expected.len(), says: answer.to_vec(), then });
        // In two pieces, cut where a reader might stumble.
        let (first, second) = request.split_at(request.len() / 3);
        stream.write_all(first).expect("sent");
        stream.write_all(second).expect("sent");
        same(what, &self.gateway.heard(), &expected);
        let mut heard = vec![0; answer.len()];
        stream.read_exact(&mut heard).expect("an answer");
        same(what, &heard, answer);
        if then == Then::Closes {
            assert_eq!(stream.read(&mut [0]).expect("closed"), 0, "{what}: more came than was said");
        }
    }
}

fn listeners(shop: &Shop) -> Vec<String> {
    let ready: Value = serde_json::from_str(&std::fs::read_to_string(shop.ready_file()).expect("read")).expect("JSON");
    ready["proxies"].as_array().expect("a list").iter().map(|a| a.as_str().expect("text").to_owned()).collect()
}

fn same(what: &str, heard: &[u8], expected: &[u8]) {
    assert!(heard == expected, "{what}:\n{:?}\n{:?}", text(heard), text(expected));
}

fn xml(id: &str, rest: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<payment xmlns=\"http://www.elastic-payments.com/schema/payment\">\
         <merchant-account-id>{MAID}</merchant-account-id><request-id> {id}\n</request-id>\
         <transaction-type>debit</transaction-type><requested-amount currency=\"EUR\">12.500000</requested-amount>\
         <order-number>o-1</order-number>{rest}</payment>"
    )
}

#[test]
fn every_byte_passes_as_it_came_and_what_moves_money_is_kept() {
    let desk = Desk::new("");
    let plain = xml("r-xml", "<account-holder><last-name>Mu</last-name></account-holder>");
    let latin: Vec<u8> = plain.replace("Mu", "M\u{1}").bytes().map(|b| if b == 1 { 0xfc } else { b }).collect();
    let head = format!(
        "POST /engine/rest/payments/?a=%20&&b HTTP/1.1\r\nhOsT:\t  {HOST} \r\nAUTHORIZATION:Basic eDp5\r\nX-z: 1\r\nx-Z:2\r\n\
         content-type: application/xml;charset=iso-8859-1\r\nContent-length:   {}\r\nX-A:   \r\n\r\n",
        latin.len()
    );
    let chunked_answer = b"HTTP/1.1 201  Created it\r\nx-ODD:y\r\nTransfer-Encoding: Chunked\r\nDate: x\r\n\r\n\
        3;a=\"b\"\r\n<a/\r\n1\r\n>\r\n000\r\nX-Trailer: 1\r\n\r\n";
    let mut kept_open = desk.connect(To::Payments);
    desk.exchange(&mut kept_open, "xml", &[head.as_bytes(), &latin].concat(), chunked_answer, Then::Stays);

    let json = format!(
        r#"{{ "payment":{{"merchant-account-id":{{"value":"{MAID}"}}, "request-id":"r-json",
        "transaction-type":"authorization","requested-amount":{{"value":1.50,"currency":"EUR"}}}}}}"#
    );
    let (first, second) = json.split_at(17);
    let chunked = format!(
        "POST /engine/rest/paymentmethods/ HTTP/1.1\r\nTransfer-encoding: CHUNKED\r\nHost: {HOST}\r\n\r\n\
         {:X};ext\r\n{first}\r\n{:04x}\r\n{second}\r\n0\r\nT: railer\r\n\r\n",
        first.len(),
        second.len()
    );
    let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    desk.exchange(&mut kept_open, "chunked, on the same connection", chunked.as_bytes(), plain, Then::Stays);

    let question =
        format!("GET /engine/rest/merchants/{MAID}/payments/?request_id=r-json HTTP/1.1\r\nHost:{HOST}\r\n\r\n");
    desk.exchange(&mut kept_open, "a retrieval", question.as_bytes(), plain, Then::Stays);
    let head_only = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let head = format!("HEAD /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    desk.exchange(&mut kept_open, "a head", head.as_bytes(), head_only, Then::Stays);
    let long = [
        b"POST /upload HTTP/1.1\r\nHost: shop.invalid:1\r\nContent-Length: 3145728\r\n\r\n".as_slice(),
        &vec![7; 3 << 20],
    ];
    desk.exchange(&mut kept_open, "a long stream", &long.concat(), plain, Then::Closes);

    let nvp = format!(
        "request_id=r-nvp&merchant_account_id={MAID}&transaction_type=debit&requested_amount=3&requested_amount_currency=EUR&x=%FC+&"
    );
    let post = |path: &str, more: &str, body: &str| {
        format!("POST {path} HTTP/1.0\r\nHost: {HOST}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    };
    let until_close = b"HTTP/1.0 201 Created\r\n\r\nall\x00\xff of it";
    let request = post("/engine/rest/payments/", "", &nvp);
    desk.exchange(&mut desk.connect(To::Payments), "nvp", &request, until_close, Then::Closes);

    let register = json.replace("r-json", "r-page").replace("authorization", "auto-sale");
    let request = post("/api/payment/register", "", &register);
    desk.exchange(&mut desk.connect(To::Page), "the payment page", &request, until_close, Then::Closes);

    let init = "customerId=D299999&shopRequestId=r-at&amount=7,20&currency=EUR&paymentType=EPS&orderReference=o-2&";
    let redirect = b"HTTP/1.0 302 Found\r\nLocation: https://example.com/x\r\nContent-Length: 0\r\n\r\n";
    let request = post("/seamless/frontend/init", "Content-Type: application/x-www-form-urlencoded\r\n", init);
    desk.exchange(&mut desk.connect(To::Checkout), "checkout", &request, redirect, Then::Closes);

    for (merchant, id, amount) in [
        ("shop-eu", "r-xml", "12.50"),
        ("shop-eu", "r-json", "1.50"),
        ("shop-eu", "r-nvp", "3.00"),
        ("shop-eu", "r-page", "1.50"),
        ("shop-at", "r-at", "7.20"),
    ] {
        let (status, payment) = desk.shop.ask("GET", &format!("/v1/payments/{merchant}/{id}"), "");
        assert_eq!((status, payment["amount"].as_str()), (200, Some(amount)), "{id}");
        until("its answer is evidence", || desk.explained(id).contains("the gateway answered the shop (HTTP"));
    }
    assert!(desk.explained("o-1").contains("the shop submitted debit of 12.50 EUR for order o-1; the proxy saw it"));
    let (_, journal) = desk.shop.ask("GET", "/v1/journal?limit=1000", "");
    let submitted = journal["items"].as_array().expect("a list").iter().filter(|r| r["event"] == "submitted").count();
    assert_eq!(submitted, 5, "the questions and the upload left no trace");

    assert_eq!(desk.gateway.ends(), b"", "the gateway heard more than was sent");
    assert_eq!(desk.daemon.stop(), Some(0));
    let checked = desk.shop.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", text(&checked.stdout), text(&checked.stderr));
}

#[test]
fn what_two_servers_could_read_in_two_ways_never_reaches_the_gateway() {
    let desk = Desk::new("");
    let payments = "POST /engine/rest/payments/ HTTP/1.1\r\nHost: shop.invalid:1\r\n";
    let shapes = [
        format!(
            "{payments}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        format!("{payments}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
        format!("{payments}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{payments}X: a\r\n Content-Length: 4\r\n\r\nabcd"),
        format!("{payments}X: a\nContent-Length: 4\r\n\r\nabcd"),
        format!("{payments}Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"),
        format!("{payments}Host: other\r\n\r\n"),
        "GET http://169.254.169.254/ HTTP/1.1\r\nHost: shop.invalid:1\r\n\r\n".to_owned(),
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ];
    for shape in &shapes {
        let mut stream = desk.connect(To::Payments);
        stream.write_all(shape.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("nothing was sent"), "{shape:?}: {answer}");
    }
    // The next thing it hears is an honest request, and nothing before it.
    let request = b"GET /honest HTTP/1.1\r\nHost: shop.invalid:1\r\n\r\n";
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    desk.exchange(&mut desk.connect(To::Payments), "an honest request", request, answer, Then::Closes);
    assert_eq!(desk.gateway.ends(), b"");
    assert_eq!(desk.daemon.stop(), Some(0));
}

#[test]
fn a_sender_that_waits_to_be_asked_for_its_body_is_asked_once() {
    let desk = Desk::new("");
    let body = xml("r-1", "");
    let head = format!(
        "POST /engine/rest/payments/ HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let expected = desk.passed(format!("{head}{body}").as_bytes());
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    let says = format!("HTTP/1.1 100 Continue\r\n\r\n{answer}").into_bytes();
    desk.gateway.plays(Scene { hears: expected.len(), says, then: Then::Closes });
    let mut stream = desk.connect(To::Payments);
    stream.write_all(head.as_bytes()).expect("sent");
    let asked = "HTTP/1.1 100 Continue\r\n\r\n";
    let mut heard = vec![0; asked.len()];
    stream.read_exact(&mut heard).expect("it is asked");
    same("the question", &heard, asked.as_bytes());
    stream.write_all(body.as_bytes()).expect("sent");
    same("the request", &desk.gateway.heard(), &expected);
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("an answer");
    same("the answer", &heard, answer.as_bytes());
    assert_eq!(desk.daemon.stop(), Some(0));
}

#[test]
fn a_request_in_flight_when_the_daemon_is_killed_is_in_the_books_and_looked_up() {
    let desk = Desk::new("");
    let body = xml("r-killed", "");
    let request =
        format!("POST /engine/rest/payments/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let expected = desk.passed(request.as_bytes());
    desk.gateway.plays(Scene { hears: expected.len(), says: Vec::new(), then: Then::Hangs });
    let mut stream = desk.connect(To::Payments);
    stream.write_all(request.as_bytes()).expect("sent");
    same("it reached the gateway", &desk.gateway.heard(), &expected);
    desk.daemon.kill();
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "the shop has no answer: {}", text(&answer));

    let daemon = desk.shop.start();
    let (status, payment) = desk.shop.ask("GET", "/v1/payments/shop-eu/r-killed", "");
    assert_eq!((status, payment["state"].as_str()), (200, Some("open")));
    assert!(payment["next_look_at"].is_string(), "{payment}");
    assert_eq!(listeners(&desk.shop).len(), 3, "and it listens again");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(desk.shop.run(&["check"]).status.code(), Some(0));
}

#[test]
fn a_kill_between_the_commit_and_the_first_byte_leaves_a_payment_that_is_looked_up() {
    // A gateway whose TLS never answers: the commit is done, and nothing can be sent.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let authority = format!("localhost:{}", deaf.local_addr().expect("an address").port());
    let desk = Desk::at(Shop::new(), Gateway::new(), &format!("https://{authority}"), &authority, "");
    let body = xml("r-between", "");
    let request =
        format!("POST /engine/rest/payments/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = desk.connect(To::Payments);
    stream.write_all(request.as_bytes()).expect("sent");
    until("it is durable", || desk.shop.ask("GET", "/v1/payments/shop-eu/r-between", "").0 == 200);
    desk.daemon.kill();
    let daemon = desk.shop.start();
    let (status, payment) = desk.shop.ask("GET", "/v1/payments/shop-eu/r-between", "");
    assert_eq!((status, payment["state"].as_str()), (200, Some("open")));
    assert!(payment["next_look_at"].is_string(), "{payment}");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(desk.shop.run(&["check"]).status.code(), Some(0));
}

#[test]
fn an_operation_on_a_known_order_brings_its_look_forward() {
    let desk = Desk::new("");
    let submission = serde_json::json!({"merchant": "shop-at", "request_id": "r-1", "amount": "5", "currency": "EUR",
        "gateway_order_number": "5550001"});
    assert_eq!(desk.shop.ask("POST", "/v1/submissions", &submission.to_string()).0, 201);
    let body = "customerId=D299999&password=x&orderNumber=5550001&amount=5&currency=EUR&requestFingerprint=y";
    let request = format!(
        "POST /seamless/backend/deposit HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nstatus=0";
    desk.exchange(&mut desk.connect(To::Checkout), "a deposit", request.as_bytes(), answer, Then::Closes);
    let told = desk.explained("r-1");
    assert!(told.contains("the shop sent deposit through the proxy"), "{told}");
    assert!(told.contains("because the shop sent deposit: what came of it?"), "{told}");
    until("its answer is told", || desk.explained("r-1").contains("the gateway answered deposit (HTTP 200)"));
    assert_eq!(desk.daemon.stop(), Some(0));
    assert_eq!(desk.shop.run(&["check"]).status.code(), Some(0));
}

#[test]
fn a_body_too_long_to_be_kept_passes_and_a_person_is_told() {
    let desk = Desk::new("");
    let body = xml("r-long", &format!("<x>{}</x>", "y".repeat(1 << 20)));
    let request = format!(
        "POST /engine/rest/payments/ HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    desk.exchange(&mut desk.connect(To::Payments), "a long body", request.as_bytes(), answer, Then::Closes);
    assert_eq!(desk.shop.ask("GET", "/v1/payments/shop-eu/r-long", "").0, 404);
    until("a person is told", || {
        let (_, alerts) = desk.shop.ask("GET", "/v1/alerts", "");
        alerts.to_string().contains("the request is too long to be read")
    });
    assert_eq!(desk.daemon.stop(), Some(0));
    assert_eq!(desk.shop.run(&["check"]).status.code(), Some(0));
}

#[test]
fn the_way_to_the_gateway_is_tls_that_is_checked() {
    let keys = format!("{}/tests/keys", env!("CARGO_MANIFEST_DIR"));
    let request = b"GET /x HTTP/1.1\r\nHost: shop.invalid:1\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let desk = |authority: &str| {
        let mut shop = Shop::new();
        shop.environment.push(("SSL_CERT_FILE", format!("{keys}/{authority}")));
        let gateway = Gateway::with_tls();
        let authority = format!("localhost:{}", gateway.address.port());
        Desk::at(shop, gateway, &format!("https://{authority}"), &authority, "")
    };
    let trusted = desk("localhost-authority.crt");
    trusted.exchange(&mut trusted.connect(To::Payments), "over TLS", request, answer, Then::Stays);
    assert_eq!(trusted.daemon.stop(), Some(0));

    let stranger = desk("wpg-gateway.crt");
    stranger.gateway.plays(Scene { hears: 1, says: answer.to_vec(), then: Then::Closes });
    let mut stream = stranger.connect(To::Payments);
    stream.write_all(request).expect("sent");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 502 ") && said.contains("nothing was sent"), "{said}");
    say(&format!("a certificate nobody vouches for: {}", said.lines().last().unwrap_or_default()));
    assert_eq!(stranger.daemon.stop(), Some(0));
}
