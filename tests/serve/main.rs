//! The real process: started, asked, killed and started again.

#[path = "../common/example.rs"]
mod example;

mod disk;
mod import;
mod load;
mod night;
mod order_numbers;
mod relay;
mod proxy;
mod operate;
mod operate_checkout;
mod shop;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use shop::{STUCK, Shop, text};

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_the_books_agree() {
    let shop = Shop::new();
    let daemon = shop.start();
    assert_eq!(shop.ask("GET", "/readyz", "").0, 200);

    assert_eq!(shop.submit("r-1", "12.5").0, 201);
    assert_eq!(shop.submit("r-1", "12.500").0, 200, "the same again");
    let (status, conflict) = shop.submit("r-1", "13");
    assert_eq!((status, conflict["field"].as_str()), (409, Some("amount")));
    let (status, refused) = shop.submit("r-2", "12.505");
    assert_eq!((status, refused["field"].as_str()), (422, Some("amount")));
    let (status, sent) = shop.ask(
        "POST",
        "/v1/responses",
        &json!({"merchant": "shop-eu", "request_id": "r-1", "http_status": 201, "body": "<x/>"}).to_string(),
    );
    assert_eq!((status, sent["outcome"].as_str()), (200, Some("kept")));

    assert_eq!(daemon.notify("/ipn/shop-eu", "transaction_state=success&request_id=r-1").0, 200);
    assert_eq!(daemon.notify("/ipn/shop-eu", "<!DOCTYPE a [<!ENTITY b \"c\">]><payment/>").0, 200);
    let (status, token) = daemon.notify("/confirm/shop-at", "paymentState=CANCEL&shopRequestId=x");
    assert_eq!((status, token.as_str()), (200, r#"<QPAY-CONFIRMATION-RESPONSE result="OK" />"#));
    assert_eq!(daemon.notify("/confirm/shop-eu", "x=1").0, 404, "that merchant speaks the other dialect");
    assert_eq!(daemon.notify("/v1/submissions", "{}").0, 404, "the admin interface is not public");

    // A second daemon finds the first before it opens any port.
    let second = shop.run(&["serve"]);
    assert_eq!(second.status.code(), Some(75));
    assert!(text(&second.stderr).contains(&daemon.child.id().to_string()), "{}", text(&second.stderr));

    daemon.kill();
    let unclean = shop.run(&["open"]);
    assert_eq!(unclean.status.code(), Some(75), "{}", text(&unclean.stderr));
    assert!(text(&unclean.stderr).contains("reconciled serve"), "{}", text(&unclean.stderr));

    let daemon = shop.start();
    let (status, payment) = shop.ask("GET", "/v1/payments/shop-eu/r-1", "");
    assert_eq!((status, payment["amount"].as_str()), (200, Some("12.50")));
    assert_eq!(shop.ask("GET", "/v1/orders/shop-eu/o-1", "").0, 200);
    assert_eq!(shop.ask("GET", "/v1/payments/shop-eu/nope", "").0, 404);
    let (status, page) = shop.ask("GET", "/v1/journal?after=0&limit=2", "");
    assert_eq!((status, page["items"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(shop.ask("GET", "/v1/journal?aftr=0", "").0, 422);
    assert!(shop.run(&["explain", "o-1"]).status.success());
    assert_eq!(shop.run(&["explain", "nope"]).status.code(), Some(1));

    assert_eq!(daemon.stop(), Some(0));
    let checked = shop.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let rebuilt = shop.run(&["rebuild"]);
    assert!(text(&rebuilt.stdout).contains(" 0 rows changed"), "{}{}", text(&rebuilt.stdout), text(&rebuilt.stderr));
    let open = shop.run(&["open", "--json"]);
    let open: Value = serde_json::from_slice(&open.stdout).expect("JSON");
    assert_eq!(open["items"][0]["request_id"], "r-1");
    assert_eq!(shop.run(&["retrieve", "r-1"]).status.code(), Some(69), "only the daemon asks gateways");
}

#[test]
fn a_wrong_configuration_opens_nothing() {
    let shop = Shop::new();
    let file = shop.folder.path().join("reconciled.toml");
    let good = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, good.replace("base_url = \"http://127.0.0.1:9\"    #", "base_ulr = \"x\" #"))
        .expect("written");
    let refused = shop.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = text(&refused.stderr);
    assert!(said.contains("merchants.shop-eu.base_ulr") && said.contains("did you mean `base_url`?"), "{said}");
    assert!(!shop.folder.path().join("data").exists(), "something was opened");
}

#[test]
fn spooled_files_are_taken_and_bad_ones_get_a_reason() {
    let shop = Shop::new();
    let spool = shop.folder.path().join("data/spool");
    std::fs::create_dir_all(&spool).expect("made");
    let put = |name: &str, content: &str| {
        std::fs::write(spool.join(format!(".{name}")), content).expect("written");
        std::fs::rename(spool.join(format!(".{name}")), spool.join(name)).expect("renamed");
    };
    put("2.notification", &json!({"merchant": "shop-eu", "body_base64": "cmVxdWVzdF9pZD1y"}).to_string());
    put(
        "1.submission.json",
        r#"{"merchant":"shop-eu","request_id":"s-1","transaction_type":"debit","amount":"1","currency":"EUR"}"#,
    );
    put(
        "3.submission.json",
        r#"{"merchant":"shop-eu","request_id":"s-2","transaction_type":"debit","amount":1,"currency":"EUR"}"#,
    );
    put("4.submission.json.tmp", "not yet");
    let daemon = shop.start();
    for _ in 0..STUCK.as_millis() / 20 {
        if spool.join("rejected/3.submission.json").exists() && !spool.join("2.notification").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!spool.join("1.submission.json").exists() && !spool.join("2.notification").exists());
    let reason = std::fs::read_to_string(spool.join("rejected/3.submission.json.reason.txt")).expect("a reason");
    assert!(reason.starts_with("`amount` must be a JSON string"), "{reason}");
    assert!(spool.join("4.submission.json.tmp").exists());
    assert_eq!(shop.ask("GET", "/v1/payments/shop-eu/s-1", "").0, 200);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn decode_speaks_json_and_says_why_not() {
    let decode = |arguments: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reconciled"))
            .arg("decode")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    };
    let good = decode(&[], "paymentState=CANCEL&own=1");
    let printed: Value = serde_json::from_slice(&good.stdout).expect("JSON");
    assert_eq!((good.status.code(), &printed["authenticity"]["verdict"]), (Some(0), &json!("unverifiable")));
    for body in ["", "<a", "\u{0}"] {
        let bad = decode(&["--dialect", "wpg"], body);
        assert_eq!((bad.status.code(), bad.stdout.len()), (Some(65), 0), "{body:?}");
        assert_eq!(text(&bad.stderr).trim_end().lines().count(), 1);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s").expect("written");
    let secret = secret.to_str().expect("text");
    assert_eq!(decode(&["--secret-file", secret], "paymentState=SUCCESS").status.code(), Some(64));
    assert_eq!(decode(&["--algorithm", "rot13"], "").status.code(), Some(64));
}
