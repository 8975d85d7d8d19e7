//! The sandbox over a real socket, as a shop meets it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::http::{Got, NoAnswer, Peer, send};
use super::*;
use crate::core::message::Scheme;
use crate::sandbox::example_shops;
use crate::wire::checkout::init as start;

/// Far longer than any answer takes; only something stuck meets it.
const STUCK: Duration = Duration::from_secs(30);

struct Desk {
    peer: Peer,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Desk {
    async fn new() -> Desk {
        let (listener, address) = bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let stop = CancellationToken::new();
        let sandbox = Sandbox::new(Gateway::new(7, example_shops()), Clock::new());
        let running = tokio::spawn(sandbox.run(listener, stop.clone()));
        Desk { peer: Peer::Tcp(address.to_string()), stop, running }
    }

    async fn post(&self, target: &str, body: String) -> Result<Got, NoAnswer> {
        let ask = Ask { method: "POST", target, content_type: "text/plain", body: body.into_bytes() };
        send(&self.peer, ask, STUCK).await
    }

    async fn control(&self, target: &str, body: &Value) -> u16 {
        self.post(target, body.to_string()).await.expect("an answer").status
    }

    async fn truth(&self) -> Value {
        let ask = Ask { method: "GET", target: "/control/truth", content_type: "text/plain", body: Vec::new() };
        let got = send(&self.peer, ask, STUCK).await.expect("an answer");
        serde_json::from_slice(&got.body).expect("JSON")
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.expect("it ends");
    }
}

fn init_request(own_id: &str) -> String {
    let url = "https://shop.example/";
    let fields = [
        ("customerId", "D299999"),
        ("shopId", "sandbox"),
        ("language", "en"),
        ("paymentType", "EPS"),
        ("amount", "12.50"),
        ("currency", "EUR"),
        ("orderDescription", "two lamps"),
        ("shopRequestId", own_id),
        ("successUrl", url),
        ("failureUrl", url),
        ("cancelUrl", url),
        ("serviceUrl", url),
        ("confirmUrl", url),
        ("consumerIpAddress", "192.0.2.7"),
        ("consumerUserAgent", "a browser"),
    ];
    start::signed(&fields, Scheme::HmacSha512, "example-secret-of-shop-at")
}

#[tokio::test]
async fn a_shop_pays_meets_rude_answers_and_the_truth_knows_what_was_executed() {
    let desk = Desk::new().await;
    let outage = |manner: Value, executes: bool| {
        json!({"merchant": "shop-at", "from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z",
            "manner": manner, "to": "submissions", "executes": executes})
    };
    let paid = desk.post("/seamless/frontend/init", init_request("r-1")).await.expect("an answer");
    assert!(String::from_utf8_lossy(&paid.body).starts_with("redirectUrl="), "{paid:?}");
    // The first outage that covers a moment counts, so that each is set on a desk of its own.
    for (manner, executes, own_id) in [
        (json!("closed"), false, "r-2"),
        (json!("closed"), true, "r-3"),
        (json!("cut"), false, "r-4"),
        (json!("unavailable"), true, "r-5"),
        (json!({"late": {"by": "10ms"}}), false, "r-6"),
    ] {
        let desk = Desk::new().await;
        assert_eq!(desk.control("/control/outages", &outage(manner.clone(), executes)).await, 201);
        let got = desk.post("/seamless/frontend/init", init_request(own_id)).await;
        match (manner.as_str(), got) {
            (Some("closed"), Err(NoAnswer::Broken(_))) | (Some("cut"), Err(NoAnswer::Body)) => {}
            (Some("unavailable"), Ok(got)) => assert_eq!(got.status, 503),
            (None, Ok(got)) => assert_eq!(got.status, 200, "late, and right"),
            (_, got) => panic!("{manner}: {got:?}"),
        }
        let truth = desk.truth().await;
        let executed: BTreeMap<&str, &str> = truth["without_order_number"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| Some((one["payment"]["request_id"].as_str()?, one["merchant"].as_str()?)))
            .collect();
        let is_executed = own_id != "r-2";
        assert_eq!(executed.get(own_id), is_executed.then_some(&"shop-at"), "{manner} {executes}");
        desk.end().await;
    }
    desk.end().await;
}

#[tokio::test]
async fn a_payer_finds_a_page_where_the_shop_sends_him() {
    let desk = Desk::new().await;
    let got = desk.post("/seamless/frontend/init", init_request("r-1")).await.expect("an answer");
    let answer = String::from_utf8(got.body).expect("text");
    let url = percent_encoding::percent_decode_str(answer.trim_start_matches("redirectUrl=")).decode_utf8();
    let (peer, target) = http::split_url(&url.expect("text")).expect("a URL");
    let ask = Ask { method: "GET", target: &target, content_type: "text/plain", body: Vec::new() };
    assert_eq!(send(&peer, ask, STUCK).await.expect("an answer").status, 200);
    desk.end().await;
}
