use std::sync::Arc;

use axum::body::Bytes;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::core::account::{Checkout, Contract, Product};
use crate::core::message::Scheme;
use crate::engine::Engine;
use crate::shell::books::memory::MemoryBooks;
use crate::shell::clock::Clock;
use crate::shell::writer::tests::engine;
use crate::shell::writer::{self, State as WriterState};

/// Engine with one account of each dialect.
fn both() -> Arc<Engine> {
    let mut engine = Engine::clone(&engine());
    let name = MerchantName::new("shop-at").expect("a name");
    let contract = Contract::Checkout(Checkout {
        product: Product::Page,
        customer_id: "D1".into(),
        shop_id: None,
        algorithm: Scheme::HmacSha512,
        own_id_parameter: "own".into(),
        can_ask: false,
    });
    let account = Account { name: name.clone(), time_zone: "UTC".into(), contract };
    engine.policy.accounts.insert(name, account);
    Arc::new(engine)
}

async fn public(books: &MemoryBooks) -> (Router, Writer) {
    let kept = books.clone();
    let opener = Box::new(move || Ok(Box::new(kept.clone()) as Box<dyn crate::shell::books::Books>));
    let (writer, _) = writer::start(both(), Clock::new(), opener).expect("a thread");
    let mut state = writer.state();
    state.wait_for(|state| *state == WriterState::Open).await.expect("the writer lives");
    drop(state);
    let room = Room::new(1000, 2000, Arc::default());
    (router_with(writer.clone(), room, Duration::from_millis(50)), writer)
}

async fn post(app: &Router, path: &str, body: Body) -> (u16, String, bool) {
    let request = Request::post(path).body(body).expect("a request");
    let answer = app.clone().oneshot(request).await.expect("an answer");
    let (status, retry) = (answer.status().as_u16(), answer.headers().contains_key(header::RETRY_AFTER));
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned(), retry)
}

fn said(status: u16, body: &str) -> (u16, String, bool) {
    (status, body.to_owned(), status == 503)
}

const OK: &str = r#"<QPAY-CONFIRMATION-RESPONSE result="OK" />"#;
const NOK: &str = r#"<QPAY-CONFIRMATION-RESPONSE result="NOK" message="not stored, send it again" />"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_answers() {
    let books = MemoryBooks::default();
    let (app, _writer) = public(&books).await;
    let full = || Body::from("x".repeat(1001));
    for (path, body, expected) in [
        ("/ipn/shop-eu", Body::from("<payment/>"), said(200, "")),
        ("/ipn/shop-eu", Body::from(&b"\xff\xfe unreadable"[..]), said(200, "")),
        ("/confirm/shop-at", Body::from("paymentState=CANCEL"), said(200, OK)),
        ("/confirm/shop-at", Body::from("responseFingerprint=forged"), said(200, OK)),
        ("/ipn/shop-eu", full(), said(413, "")),
        ("/confirm/shop-at", full(), said(413, "")),
        ("/ipn/shop-eu", stalled(), said(400, "")),
        ("/confirm/shop-at", stalled(), said(400, "")),
        ("/ipn/shop-eu", Body::empty(), said(400, "")),
        ("/ipn/shop-at", Body::from("x"), said(404, "")),
        ("/confirm/shop-eu", Body::from("x"), said(404, "")),
        ("/ipn/nobody", Body::from("x"), said(404, "")),
    ] {
        let answer = post(&app, path, body).await;
        assert_eq!(answer, expected, "{path}");
    }
    books.disk().full = true;
    assert_eq!(post(&app, "/confirm/shop-at", Body::from("paymentState=CANCEL")).await, said(503, NOK));
    assert_eq!(post(&app, "/ipn/shop-eu", Body::from("x")).await, said(503, ""));
}

/// A body that sends one piece and then neither goes on nor ends.
fn stalled() -> Body {
    struct Stuck(bool);
    impl hyper::body::Body for Stuck {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            if std::mem::replace(&mut self.0, true) {
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"half")))))
        }
    }
    Body::new(Stuck(false))
}
