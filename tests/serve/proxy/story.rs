//! A shop that changed nothing but its gateway URL, the sandbox as its gateway, and what goes wrong between them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{MAID, listeners};
use crate::shop::{Daemon, STUCK, Shop, until};

/// The sandbox as a process; ended with the test.
struct Sandbox {
    child: Child,
    address: String,
}

impl Sandbox {
    fn start(shop: &Shop) -> Sandbox {
        let mut command = shop.command(&["sandbox"]);
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the sandbox starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("it says where it is").expect("text");
        let address = first.rsplit("http://").next().expect("an address").to_owned();
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Sandbox { child, address }
    }

    fn control(&self, path: &str, body: &Value) -> Value {
        let (status, said) = post(&self.address, path, "", &body.to_string());
        assert!((200..300).contains(&status), "{path}: {said}");
        serde_json::from_str(&said).expect("JSON")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Posts as a shop does; returns status and body.
fn post(to: &str, path: &str, more: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).expect("connected");
    stream.set_read_timeout(Some(STUCK)).expect("a time-out");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
}

struct Street {
    shop: Shop,
    daemon: Daemon,
    sandbox: Sandbox,
    proxy: String,
    login: String,
}

impl Street {
    fn new() -> Street {
        let shop = Shop::new();
        let sandbox = Sandbox::start(&shop);
        let file = shop.path("reconciled.toml");
        let config =
            std::fs::read_to_string(&file).expect("read").replace("127.0.0.1:9\"", &format!("{}\"", sandbox.address));
        let config = format!("{config}\n[merchants.shop-eu.proxy]\nlisten = \"127.0.0.1:0\"\n");
        std::fs::write(&file, config).expect("written");
        let password = std::fs::read_to_string(shop.path("secrets/shop-eu.password")).expect("read");
        let login =
            format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("shop-eu-rest:{}", password.trim())));
        let daemon = shop.start();
        let proxy = listeners(&shop).remove(0);
        Street { shop, daemon, sandbox, proxy, login }
    }

    fn pays(&self, request_id: &str) -> (u16, String) {
        let body = format!(
            "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>{MAID}\
             </merchant-account-id><request-id>{request_id}</request-id><transaction-type>purchase</transaction-type>\
             <requested-amount currency=\"EUR\">12.50</requested-amount><order-number>o-{request_id}</order-number>\
             <payment-methods><payment-method name=\"creditcard\"/></payment-methods><notifications>\
             <notification url=\"http://{}/ipn/shop-eu\"/></notifications></payment>",
            self.daemon.public
        );
        post(&self.proxy, "/engine/rest/payments/", &self.login, &body)
    }

    fn until_paid(&self, request_id: &str) {
        until("it is paid", || {
            let (status, payment) = self.shop.ask("GET", &format!("/v1/payments/shop-eu/{request_id}"), "");
            status == 200 && payment["state"] == "paid"
        });
    }

    fn explained(&self, id: &str) -> String {
        crate::shop::text(&self.shop.run(&["explain", id]).stdout)
    }
}

#[test]
fn a_payment_whose_answer_was_lost_is_found_when_the_shop_tries_again() {
    let street = Street::new();
    let (status, said) = street.pays("r-1");
    assert_eq!(status, 201, "{said}");
    street.until_paid("r-1");

    // The gateway executes the next one, says nothing, and its notification gets lost.
    let now: jiff::Timestamp =
        street.sandbox.control("/control/clock", &json!({}))["now"].as_str().expect("a time").parse().expect("a time");
    let hours = |n: i64| (now + jiff::SignedDuration::from_hours(n)).to_string();
    street.sandbox.control(
        "/control/play",
        &json!({"merchant": "shop-eu", "request_id": "r-2", "play": {"script": "success", "after": "0s"},
            "plan": {"fates": ["lost"]}}),
    );
    street.sandbox.control(
        "/control/outages",
        &json!({"from": hours(-1), "until": hours(1), "manner": "closed", "to": "submissions", "executes": true}),
    );
    let (status, said) = street.pays("r-2");
    assert_eq!(status, 502, "{said}");
    assert!(said.contains("its outcome is unknown"), "{said}");
    let (_, payment) = street.shop.ask("GET", "/v1/payments/shop-eu/r-2", "");
    assert_eq!(payment["state"], "open", "no answer is no failure");

    // It comes back; the shop tries again under the same request-id and is refused, and that leads to the first.
    street.sandbox.control("/control/clock", &json!({"at": hours(2)}));
    let (status, said) = street.pays("r-2");
    assert!(status == 201 && said.contains("400.1018"), "{said}");
    street.until_paid("r-2");
    let told = street.explained("r-2");
    for line in ["the proxy saw it on its way", "got no answer", "400.1018", "asked about request-id r-2"] {
        assert!(told.contains(line), "{line}: {told}");
    }

    let Street { shop, daemon, .. } = street;
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(shop.run(&["check"]).status.code(), Some(0));
}
