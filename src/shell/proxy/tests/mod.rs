//! Passing with a store that fails on demand, and a gateway that does what a test says.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::shell::books::memory::MemoryBooks;
use crate::shell::config::address;
use crate::shell::writer::State;
use crate::shell::writer::tests::{name, started};
use crate::words::id::RequestId;

/// Longer than anything here takes; only something stuck meets it.
const STUCK: Duration = Duration::from_secs(30);
const ANSWER: &str = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";

struct Desk {
    writer: Writer,
    books: MemoryBooks,
    proxy: SocketAddr,
    gateway: TcpListener,
    tracker: TaskTracker,
    stop: CancellationToken,
}

fn settings(listen: SocketAddr, upstream: SocketAddr, when_not_kept: WhenNotKept) -> Proxy {
    Proxy {
        merchant: name(),
        listen,
        upstream: address::base_url(&format!("http://{upstream}"), false).expect("an address"),
        allow_private_address: false,
        when_not_kept,
        connections_max: 8,
        times: Times { keep: STUCK, connect: STUCK, answer: Duration::from_millis(300), idle: STUCK },
    }
}

async fn desk(when_not_kept: WhenNotKept) -> Desk {
    let books = MemoryBooks::default();
    let writer = started(&books).await;
    let gateway = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let any = "127.0.0.1:0".parse().expect("an address");
    let settings = settings(any, gateway.local_addr().expect("an address"), when_not_kept);
    let bound = bind(&[settings], &mut Vec::new()).expect("bound");
    let proxy = bound[0].address;
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    start(bound, &writer, &tracker, &stop).expect("started");
    Desk { writer, books, proxy, gateway, tracker, stop }
}

fn debit(request_id: &str, amount: &str) -> String {
    let body = format!(
        "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>m-1\
         </merchant-account-id><request-id>{request_id}</request-id><transaction-type>debit</transaction-type>\
         <requested-amount currency=\"EUR\">{amount}</requested-amount></payment>"
    );
    posted(&body)
}

fn posted(body: &str) -> String {
    format!("POST /engine/rest/payments/ HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Desk {
    /// Sends a request, and hears all that comes back until the connection closes.
    async fn send(&self, request: String) -> tokio::task::JoinHandle<String> {
        let mut shop = TcpStream::connect(self.proxy).await.expect("connected");
        shop.write_all(request.as_bytes()).await.expect("sent");
        tokio::spawn(async move {
            let mut answer = String::new();
            shop.read_to_string(&mut answer).await.expect("text");
            answer
        })
    }

    /// The next connection at the gateway, and what came on it, up to the end of its XML.
    async fn hear(&self) -> (TcpStream, String) {
        let heard = async {
            loop {
                let (mut stream, _) = self.gateway.accept().await.expect("a connection");
                let mut heard = String::new();
                while !heard.ends_with("</payment>") && !heard.ends_with("</multi-payments>") {
                    let mut bytes = [0; 4096];
                    let read = stream.read(&mut bytes).await.expect("read");
                    heard.push_str(std::str::from_utf8(&bytes[..read]).expect("text"));
                    if read == 0 {
                        break;
                    }
                }
                // A connection that was made while its request was not kept carries nothing.
                if !heard.is_empty() {
                    return (stream, heard);
                }
            }
        };
        tokio::time::timeout(STUCK, heard).await.expect("it comes")
    }

    async fn answer(&self, with: &str) -> String {
        let (mut stream, heard) = self.hear().await;
        stream.write_all(with.as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("closed");
        heard
    }

    async fn payment(&self, id: &str) -> Option<serde_json::Value> {
        let id = RequestId::new(id).expect("an id");
        let reading = self.writer.read(move |engine, view, now| engine.payment(view, &name(), &id, now)).await;
        reading.expect("open").expect("read")
    }

    /// Looks after each commit until it is so.
    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let mut commits = self.writer.commits();
        let seen = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                commits.changed().await.expect("the writer lives");
            }
        };
        tokio::time::timeout(STUCK, seen).await.unwrap_or_else(|_| panic!("never came: {what}"))
    }

    async fn alerts(&self) -> String {
        let reading = self.writer.read(|engine, view, now| engine.alerts(view, 0, 100, now)).await;
        serde_json::to_string(&reading.expect("open").expect("read").items).expect("json")
    }

    async fn explained(&self, id: &'static str) -> String {
        let reading = self.writer.read(move |engine, view, now| engine.explain(view, id, now)).await;
        serde_json::to_string(&reading.expect("open").expect("read")).expect("json")
    }

    async fn is(&self, wanted: impl FnMut(&State) -> bool) {
        let mut state = self.writer.state();
        tokio::time::timeout(STUCK, state.wait_for(wanted)).await.expect("it comes").expect("the writer lives");
    }

    async fn end(self) {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(STUCK, self.tracker.wait()).await.expect("everything ends");
    }
}

#[test]
fn listeners_that_systemd_holds_are_taken_by_their_addresses() {
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (public, ours) = (listen(), listen());
    let at = |listener: &std::net::TcpListener| listener.local_addr().expect("an address");
    let (public_at, ours_at) = (at(&public), at(&ours));
    let mut inherited = vec![ours, public];
    let bound = bind(&[settings(ours_at, public_at, WhenNotKept::FailOpen)], &mut inherited).expect("bound");
    assert_eq!(bound[0].address, ours_at);
    assert_eq!(inherited.iter().map(at).collect::<Vec<_>>(), [public_at]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_is_durable_before_its_first_byte_goes_on() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let shop = desk.send(debit("r-1", "12.50")).await;
    let (mut stream, heard) = desk.hear().await;
    let kept = desk.payment("r-1").await.expect("it is in the books while the gateway has not answered");
    assert_eq!(kept["amount"], "12.50");
    let host = desk.gateway.local_addr().expect("an address").to_string();
    assert_eq!(heard, debit("r-1", "12.50").replace("Host: shop", &format!("Host: {host}")));
    stream.write_all(ANSWER.as_bytes()).await.expect("sent");
    drop(stream);
    assert_eq!(shop.await.expect("no panic"), ANSWER);
    let told = desk.until("the answer is journaled", async || {
        Some(desk.explained("r-1").await).filter(|told| told.contains("HTTP 201"))
    });
    assert!(told.await.contains("the proxy saw it on its way"));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_closed_sends_nothing_that_is_not_kept() {
    let desk = desk(WhenNotKept::FailClosed).await;
    desk.books.disk().full = true;
    let answer = desk.send(debit("r-1", "1.00")).await.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("nothing was sent"), "{answer}");
    desk.is(|state| matches!(state, State::Down { .. })).await;
    let unreadable = debit("r-2", "1.00").replace("<request-id>r-2</request-id>", "<request-id>r-2<request-id/>");
    desk.books.disk().full = false;
    desk.is(|state| *state == State::Open).await;
    let answer = desk.send(unreadable).await.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 503 "), "what can't be read can't be kept either: {answer}");
    let long = format!("POST /engine/rest/payments/ HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n", 2 << 20);
    assert!(desk.send(long).await.await.expect("no panic").starts_with("HTTP/1.1 413 "));

    let shop = desk.send(debit("r-3", "1.00")).await;
    let heard = desk.answer(ANSWER).await;
    assert!(heard.contains("<request-id>r-3</request-id>"), "the first request the gateway hears: {heard}");
    assert_eq!(shop.await.expect("no panic"), ANSWER);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_open_passes_at_once_and_keeps_what_it_passed_as_soon_as_it_can() {
    let desk = desk(WhenNotKept::FailOpen).await;
    desk.books.disk().full = true;
    let shop = desk.send(debit("r-1", "12.50")).await;
    desk.answer(ANSWER).await;
    assert_eq!(shop.await.expect("no panic"), ANSWER, "the shop goes on selling");
    desk.is(|state| matches!(state, State::Down { .. })).await;

    desk.books.disk().full = false;
    desk.is(|state| *state == State::Open).await;
    let kept = desk.until("it is kept late", async || desk.payment("r-1").await).await;
    assert_eq!(kept["amount"], "12.50");
    let alerts =
        desk.until("a person is told", async || Some(desk.alerts().await).filter(|alerts| alerts.contains("unkept")));
    let alerts = alerts.await;
    assert!(alerts.contains("passed unrecorded from") && alerts.contains("kept late and watched: 1"), "{alerts}");
    desk.until("its answer is evidence", async || {
        Some(desk.explained("r-1").await).filter(|told| told.contains("HTTP 201"))
    })
    .await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_passes_and_a_person_is_told() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let unreadable = debit("r-1", "1.00").replace("</merchant-account-id>", "</merchant-account-ix>");
    let shop = desk.send(unreadable).await;
    desk.answer(ANSWER).await;
    assert_eq!(shop.await.expect("no panic"), ANSWER);
    let alerts =
        desk.until("a person is told", async || Some(desk.alerts().await).filter(|alerts| alerts.contains("unkept")));
    let alerts = alerts.await;
    assert!(alerts.contains("not watched: 1") && alerts.contains("begins like XML"), "{alerts}");
    desk.end().await;
}

fn several(parts: &[(&str, &str, &str)]) -> String {
    let part = |(account, id, amount): &(&str, &str, &str)| {
        format!(
            "<payment><merchant-account-id>{account}</merchant-account-id><request-id>{id}</request-id>\
             <transaction-type>debit</transaction-type><requested-amount currency=\"EUR\">{amount}</requested-amount>\
             </payment>"
        )
    };
    let parts: String = parts.iter().map(part).collect();
    let xmlns = "http://www.elastic-payments.com/schema/payment";
    posted(&format!("<multi-payments xmlns=\"{xmlns}\"><payments>{parts}</payments></multi-payments>"))
        .replace("/rest/payments/", "/rest/multi-payments/")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_payments_the_one_that_can_not_be_kept_is_told_and_the_others_are_watched() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let shop = desk.send(several(&[("m-1", "r-1", "1.00"), ("m-9", "r-2", "1.00"), ("m-1", "r-3", "-1.00")])).await;
    // The answer names transactions of all three: whose they are is not guessed.
    let answer = "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><transaction-id>t-2</transaction-id>\
        <request-id>r-2</request-id><transaction-state>success</transaction-state></payment>";
    desk.answer(&format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())).await;
    shop.await.expect("no panic");
    let told = desk.until("its answer is journaled", async || {
        Some(desk.explained("r-1").await).filter(|t| t.contains("HTTP 201"))
    });
    assert!(!told.await.contains("t-2"));
    assert!(desk.payment("r-2").await.is_none() && desk.payment("r-3").await.is_none());
    let alerts =
        desk.until("a person is told", async || Some(desk.alerts().await).filter(|alerts| alerts.contains("unkept")));
    let alerts = alerts.await;
    assert!(alerts.contains("kept late and watched: 0; not watched: 2"), "{alerts}");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_closed_sends_nothing_of_a_request_one_part_of_which_can_not_be_kept() {
    let desk = desk(WhenNotKept::FailClosed).await;
    let refused = desk.send(several(&[("m-1", "r-1", "1.00"), ("m-9", "r-2", "1.00")])).await.await.expect("no panic");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("account m-9"), "{refused}");
    assert!(desk.payment("r-1").await.is_none(), "nothing was sent, nothing is watched");

    // This one is refused when the part before it is durable already.
    let refused = desk.send(several(&[("m-1", "r-3", "1.00"), ("m-1", "r-4", "-1.00")])).await.await.expect("no panic");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("is negative"), "{refused}");
    assert!(desk.payment("r-4").await.is_none());
    let told = desk.until("it is told", async || {
        Some(desk.explained("r-3").await).filter(|told| told.contains("never sent to the gateway"))
    });
    told.await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_an_answer_fails_to_come_leaves_the_outcome_unknown() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let cut = "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n<payment>";
    let two = "HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok";
    for (id, answer, seen) in [
        ("r-closed", "", "HTTP/1.1 502 Bad Gateway\r\n"),
        ("r-garbage", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"),
        ("r-cut", cut, cut),
        ("r-two-lengths", two, "HTTP/1.1 502 Bad Gateway\r\n"),
        ("r-trouble", "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 Down\r\n"),
    ] {
        let shop = desk.send(debit(id, "1.00")).await;
        desk.answer(answer).await;
        let heard = shop.await.expect("no panic");
        assert!(heard.starts_with(seen), "{id}: {heard}");
        let told = desk.until("it is looked up soon", async || {
            Some(desk.explained(id).await).filter(|told| told.contains("got no answer that says what became of it"))
        });
        told.await;
    }
    let shop = desk.send(debit("r-silent", "1.00")).await;
    let (stream, _) = desk.hear().await;
    let heard = shop.await.expect("no panic");
    assert!(heard.starts_with("HTTP/1.1 504 ") && heard.contains("its outcome is unknown"), "{heard}");
    drop(stream);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_an_operation_is_told_too() {
    let void = posted(
        "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>m-1\
         </merchant-account-id><request-id>v-1</request-id><transaction-type>void</transaction-type>\
         <parent-transaction-id>t-1</parent-transaction-id></payment>",
    );
    let mut desk = desk(WhenNotKept::FailOpen).await;
    let paid = "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>m-1\
        </merchant-account-id><transaction-id>t-1</transaction-id><request-id>r-1</request-id>\
        <transaction-type>debit</transaction-type><transaction-state>success</transaction-state></payment>";
    let shop = desk.send(debit("r-1", "1.00")).await;
    desk.answer(&format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{paid}", paid.len())).await;
    shop.await.expect("no panic");
    desk.until("its transaction is known", async || Some(desk.explained("t-1").await).filter(|told| told != "[]"))
        .await;
    for (answer, said) in [(ANSWER, "the gateway answered void (HTTP 201)"), ("", "void got no answer")] {
        let shop = desk.send(void.clone()).await;
        desk.answer(answer).await;
        shop.await.expect("no panic");
        desk.until(said, async || Some(desk.explained("r-1").await).filter(|told| told.contains(said))).await;
    }
    // A port that nobody listens on any more.
    drop(std::mem::replace(&mut desk.gateway, TcpListener::bind("127.0.0.1:0").await.expect("a port")));
    let answer = desk.send(void).await.await.expect("no panic");
    assert!(answer.contains("nothing was sent"), "{answer}");
    let said = "void was never sent to the gateway";
    desk.until(said, async || Some(desk.explained("r-1").await).filter(|told| told.contains(said))).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_at_once_pass_one_after_the_other_and_both_ends_close_together() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let shop = desk.send(debit("r-1", "1.00") + "\r\n" + &debit("r-2", "2.00")).await;
    let (mut stream, heard) = desk.hear().await;
    let host = desk.gateway.local_addr().expect("an address").to_string();
    let passed = |request: String| request.replace("Host: shop", &format!("Host: {host}"));
    assert_eq!(heard, passed(debit("r-1", "1.00")), "the second waits for the first one's answer");
    assert!(desk.payment("r-2").await.is_none());
    stream.write_all(ANSWER.as_bytes()).await.expect("sent");
    let mut second = vec![0; passed(debit("r-2", "2.00")).len()];
    stream.read_exact(&mut second).await.expect("the second comes");
    assert_eq!(String::from_utf8(second).expect("text"), passed(debit("r-2", "2.00")));
    stream.write_all(ANSWER.as_bytes()).await.expect("sent");
    // The gateway closes an idle connection, and so ends the shop's.
    drop(stream);
    assert_eq!(shop.await.expect("no panic"), ANSWER.repeat(2));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_would_end_with_its_connection_and_broke_is_broken_for_the_shop_too() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let mut shop = TcpStream::connect(desk.proxy).await.expect("connected");
    shop.write_all(debit("r-1", "1.00").as_bytes()).await.expect("sent");
    let (mut stream, _) = desk.hear().await;
    let part = "HTTP/1.1 201 Created\r\n\r\n<payment>";
    stream.write_all(part.as_bytes()).await.expect("sent");
    let mut heard = vec![0; part.len()];
    shop.read_exact(&mut heard).await.expect("what came passes");
    assert_eq!(heard, part.as_bytes());
    stream.set_zero_linger().expect("set");
    drop(stream);
    let end = shop.read(&mut [0]).await.map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset), "an end by the book would look like the whole answer");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_for_the_shop_before_it_is_journaled() {
    let desk = desk(WhenNotKept::FailOpen).await;
    for (id, answer, heard) in [
        // Its end is the connection's.
        ("r-1", "HTTP/1.1 201 Created\r\n\r\nok", "HTTP/1.1 201 Created\r\n\r\nok"),
        ("r-2", "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "Connection: close\r\n"),
        ("r-3", "", "its outcome is unknown"),
    ] {
        let shop = desk.send(debit(id, "1.00")).await;
        let (mut stream, _) = desk.hear().await;
        // Nothing can be read or committed while it is held.
        let books = desk.books.clone();
        let (holds, held) = std::sync::mpsc::channel();
        let (lets_go, let_go) = std::sync::mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            let disk = books.disk();
            let _ = holds.send(());
            let _ = let_go.recv();
            drop(disk);
        });
        held.recv().expect("it holds");
        stream.write_all(answer.as_bytes()).await.expect("sent");
        drop(stream);
        let said = tokio::time::timeout(STUCK, shop).await.expect("the shop does not wait").expect("no panic");
        assert!(said.contains(heard), "{id}: {said}");
        drop(lets_go);
        holder.join().expect("no panic");
        desk.until("it is journaled", async || {
            Some(desk.explained(id).await).filter(|told| told.contains("HTTP 201") || told.contains("got no answer"))
        })
        .await;
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_can_not_be_reached_was_sent_nothing() {
    let mut desk = desk(WhenNotKept::FailOpen).await;
    // A port that nobody listens on any more.
    drop(std::mem::replace(&mut desk.gateway, TcpListener::bind("127.0.0.1:0").await.expect("a port")));
    let answer = desk.send(debit("r-1", "1.00")).await.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("nothing was sent"), "{answer}");
    let told = desk.until("it is told", async || {
        Some(desk.explained("r-1").await).filter(|told| told.contains("never sent to the gateway"))
    });
    told.await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_content_under_the_same_request_id_passes_and_is_a_discrepancy() {
    let desk = desk(WhenNotKept::FailClosed).await;
    for amount in ["1.00", "1.00", "2.00"] {
        let shop = desk.send(debit("r-1", amount)).await;
        desk.answer(ANSWER).await;
        assert_eq!(shop.await.expect("no panic"), ANSWER);
    }
    let kept = desk.payment("r-1").await.expect("kept");
    assert_eq!(
        (&kept["amount"], kept["discrepancies"][0]["code"].as_str()),
        (&"1.00".into(), Some("submission-conflict"))
    );
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_repeat_is_looked_up_at_once_and_fails_nothing() {
    let desk = desk(WhenNotKept::FailClosed).await;
    let refused = "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>m-1\
        </merchant-account-id><transaction-id>t-2</transaction-id><request-id>r-1</request-id>\
        <transaction-type>debit</transaction-type><transaction-state>failed</transaction-state><statuses>\
        <status code=\"400.1018\" description=\"Duplicate Request Id\" severity=\"error\"/></statuses></payment>";
    let shop = desk.send(debit("r-1", "1.00")).await;
    desk.answer(&format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{refused}", refused.len())).await;
    shop.await.expect("no panic");
    let payment = desk.until("it is looked up at once", async || {
        let payment = desk.payment("r-1").await?;
        payment["reason"].as_str()?;
        let told = desk.explained("r-1").await;
        told.contains("what became of the earlier submit?").then_some(payment)
    });
    assert_eq!(payment.await["state"], "open");
    let merchant = desk.writer.engine.policy.accounts.keys().next().expect("an account").clone();
    let due = desk.writer.read(move |engine, view, now| engine.due(view, now, &merchant, 10, 0, &|_| false)).await;
    assert_eq!(due.expect("open").expect("read").len(), 1, "the look is due now");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_gives_up_does_not_take_the_answer_from_the_books() {
    let desk = desk(WhenNotKept::FailOpen).await;
    let mut shop = TcpStream::connect(desk.proxy).await.expect("connected");
    shop.write_all(debit("r-1", "1.00").as_bytes()).await.expect("sent");
    let (mut stream, _) = desk.hear().await;
    drop(shop);
    stream.write_all(ANSWER.as_bytes()).await.expect("sent");
    desk.until("the answer is journaled", async || {
        Some(desk.explained("r-1").await).filter(|told| told.contains("HTTP 201"))
    })
    .await;
    desk.end().await;
}
