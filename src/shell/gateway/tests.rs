use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::core::account::Wpg;
use crate::words::id::{MerchantName, RequestId};

/// How a rude gateway answers.
#[derive(Clone)]
enum Manner {
    Says(Vec<u8>),
    /// Says this, and then a blank from time to time for ever.
    Drips(Vec<u8>),
    /// Hangs up without a word.
    Resets,
}

fn says(head: &str, body: &str) -> Manner {
    Manner::Says(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

async fn gateway(manner: Manner) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let heard = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            heard.lock().expect("no panic").push(String::from_utf8_lossy(&head).into_owned());
            match manner.clone() {
                Manner::Says(text) => drop(stream.write_all(&text).await),
                Manner::Resets => {}
                Manner::Drips(start) => {
                    if stream.write_all(&start).await.is_err() {
                        continue;
                    }
                    tokio::spawn(async move {
                        while stream.write_all(b" ").await.is_ok() {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    });
                }
            }
        }
    });
    (format!("http://{at}"), heads)
}

fn asker(base_url: &str) -> Asker {
    install_tls();
    let name = MerchantName::new("shop-eu").expect("a name");
    let contract = Contract::Wpg(Wpg {
        merchant_account_ids: vec!["m-1".into()],
        resolver_category: None,
        scheme: None,
        siblings: Vec::new(),
    });
    let account = Account { name, time_zone: "UTC".into(), contract };
    let gateway = Gateway {
        base_url: base_url.parse().expect("a url"),
        allow_private_address: false,
        user: Some("user".into()),
        password: Some(SecretString::from("pass")),
        requests_per_second_max: 2,
        lanes_max: 4,
        order_numbers: false,
    };
    Asker { deadline: Duration::from_millis(300), ..Asker::new(&account, &gateway, None).expect("a client") }
}

fn query() -> Query {
    Query::RequestId { merchant_account_id: "m-1".into(), request_id: RequestId::new("r 1/../x?y").expect("an id") }
}

async fn outcome(manner: Manner) -> Outcome {
    let (base_url, _) = gateway(manner).await;
    asker(&base_url).ask(&query(), Timestamp::UNIX_EPOCH).await.outcome
}

fn unavailable_as(outcome: Outcome) -> (String, Option<SignedDuration>) {
    match outcome {
        Outcome::Unavailable { why, retry_after } => (why, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_carries_the_login_and_only_the_path_we_built() {
    let (base_url, heads) = gateway(says("404 Not Found", "")).await;
    let answer = asker(&base_url).ask(&query(), Timestamp::UNIX_EPOCH).await;
    assert_eq!(answer.outcome, Outcome::NotFound);
    let head = heads.lock().expect("no panic")[0].clone();
    assert!(head.to_lowercase().contains("authorization: basic dxnlcjpwyxnz"), "{head}");
    let path = head.split(' ').nth(1).expect("a path");
    assert!(path.starts_with("/engine/rest/merchants/m-1/payments/?"), "{path}");
    assert!(path.contains("r%201%2F..%2Fx%3Fy"), "{path}");
}

#[tokio::test]
async fn refused_credentials_are_no_news_of_the_payment() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        assert!(matches!(outcome(says(status, "")).await, Outcome::Refused { .. }), "{status}");
    }
}

#[tokio::test]
async fn a_busy_gateway_says_when_to_come_again() {
    let busy = says("429 Too Many Requests\r\nRetry-After: 120", "");
    assert_eq!(unavailable_as(outcome(busy).await).1, Some(SignedDuration::from_secs(120)));
    let dated = says("503 Busy\r\nRetry-After: Thu, 01 Jan 1970 00:10:00 GMT", "");
    assert_eq!(unavailable_as(outcome(dated).await).1, Some(SignedDuration::from_mins(10)));
    for odd in ["-5", "soon", ""] {
        let busy = says(&format!("429 Too Many Requests\r\nRetry-After: {odd}"), "");
        assert_eq!(unavailable_as(outcome(busy).await).1, None, "{odd:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, heads) = gateway(says("200 OK", "<payments/>")).await;
    let moved = says(&format!("302 Found\r\nLocation: {elsewhere}/"), "");
    let (why, _) = unavailable_as(outcome(moved).await);
    assert!(why.contains("302"), "{why}");
    assert!(heads.lock().expect("no panic").is_empty(), "our credentials went elsewhere");
}

#[tokio::test]
async fn a_drip_a_reset_and_a_flood_end_without_a_verdict() {
    let drip = Manner::Drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<payments>".to_vec());
    assert!(unavailable_as(outcome(drip).await).0.contains("no whole answer"));
    let (why, _) = unavailable_as(outcome(Manner::Resets).await);
    assert!(!why.contains("r%201"), "the journal must not hold the url: {why}");
    let flood = says("200 OK", &" ".repeat(ANSWER_MAX_BYTES + 1));
    assert!(unavailable_as(outcome(flood).await).0.contains("longer than"));
    let broken_off = Manner::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n<payments/>".to_vec());
    unavailable_as(outcome(broken_off).await);
    unavailable_as(asker("http://127.0.0.1:9").ask(&query(), Timestamp::UNIX_EPOCH).await.outcome);
}
