use std::sync::Mutex;

use axum::Router;
use axum::http::{Request, StatusCode};
use secrecy::SecretString;

use super::*;
use crate::shell::books::memory::MemoryBooks;
use crate::shell::config::Gateway;
use crate::shell::gateway::install_tls;
use crate::shell::http::{self, Limits, Listener};
use crate::shell::writer::tests::{name, started, submission};

/// Longer than anything here takes; only something stuck meets it.
const STUCK: Duration = Duration::from_secs(30);

/// A gateway that answers everything with one status after a while, and remembers what it was asked.
struct Slow {
    base_url: String,
    asked: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
}

async fn slow(status: StatusCode, latency: Duration) -> Slow {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let app = Router::new().fallback(move |request: Request<axum::body::Body>| {
        heard.lock().expect("no panic").push(request.uri().to_string());
        async move {
            tokio::time::sleep(latency).await;
            status
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("http://{}", listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    let limits = Limits::new(1000, 1000);
    let serving = http::serve(Listener::Tcp(listener), app, limits, Arc::default(), TaskTracker::new(), stop.clone());
    tokio::spawn(serving);
    Slow { base_url, asked, stop }
}

/// A writer with so many payments that are all due now.
async fn all_due(count: usize) -> Writer {
    let writer = started(&MemoryBooks::default()).await;
    for n in 0..count {
        assert!(writer.submit(submission(&format!("r-{n}"))).await.is_ok());
        assert_eq!(writer.look_now(format!("r-{n}")).await.expect("kept").len(), 1);
    }
    writer
}

fn retriever(writer: &Writer, base_url: &str, lanes_max: usize, per_second: u32) -> Retriever {
    install_tls();
    let gateway = Gateway {
        base_url: base_url.parse().expect("a url"),
        allow_private_address: false,
        user: Some("u".into()),
        password: Some(SecretString::from("p")),
        requests_per_second_max: per_second,
        lanes_max,
        order_numbers: false,
    };
    let account = &writer.engine.policy.accounts[&name()];
    let asker = Asker::new(account, &gateway, None).expect("a client");
    Retriever::new(writer.clone(), [(name(), Arc::new(asker))].into(), |_| (lanes_max, per_second))
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(STUCK, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn due(writer: &Writer) -> usize {
    let due = writer.read(|engine, view, now| {
        let of = |merchant| engine.due(view, now, merchant, 1000, 0, &|_| false).map(|looks| looks.len());
        engine.policy.accounts.keys().map(of).sum::<Result<usize, _>>()
    });
    due.await.expect("open").expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payment_that_is_due_is_asked_about_once_and_the_answer_is_kept() {
    let gateway = slow(StatusCode::NOT_FOUND, Duration::from_millis(2)).await;
    let writer = all_due(40).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(retriever(&writer, &gateway.base_url, 8, 100_000).run(stop.clone()));
    until("nothing is due", async || due(&writer).await == 0).await;
    stop.cancel();
    running.await.expect("no panic");
    let asked = gateway.asked.lock().expect("no panic").clone();
    for n in 0..40 {
        let end = format!("r-{n}");
        let times = asked.iter().filter(|uri| uri.ends_with(&end) || uri.contains(&format!("{end}&"))).count();
        assert!(times >= 1, "r-{n} was not asked about: {asked:?}");
    }
    gateway.stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_us_is_left_alone_and_told_once() {
    let gateway = slow(StatusCode::UNAUTHORIZED, Duration::from_millis(2)).await;
    let writer = all_due(20).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(retriever(&writer, &gateway.base_url, 1, 100_000).run(stop.clone()));
    let stopped = async || {
        let journal = writer.read(|engine, view, _| engine.journal(view, 0, 1000)).await.expect("open").expect("read");
        journal.items.iter().filter(|item| item.to_string().contains("check user, password")).count()
    };
    until("the refusal is told", async || stopped().await > 0).await;
    stop.cancel();
    running.await.expect("no panic");
    assert_eq!(gateway.asked.lock().expect("no panic").len(), 1, "one try, then quiet");
    assert!(due(&writer).await >= 19, "what was not asked stays due");
}
