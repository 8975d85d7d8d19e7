//! Card numbers, CVCs, IBANs, names and passwords pass through the daemon, and leave nothing behind.

use std::io::{Read, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::gateway::{Scene, Then};
use super::{Desk, HOST, MAID, To};
use crate::shop::{text, until};

const CANARIES: [&str; 7] = [
    "4111111111111111",
    "5105105105105100",
    "DE89370400440532013000",
    "cvc-canary-7731",
    "password-canary-5521",
    "Canarina Holderova",
    "canarina@mail.invalid",
];

/// The canaries as XML, JSON and form fields that requests have.
fn private(format: &str) -> String {
    let [pan, other_pan, iban, cvc, password, name, mail] = CANARIES;
    match format {
        "xml" => format!(
            "<card><account-number>{pan}</account-number><card-security-code>{cvc}</card-security-code></card>\
             <bank-account><iban>{iban}</iban></bank-account><account-holder><last-name>{name}</last-name>\
             <email>{mail}</email></account-holder><descriptor>{other_pan} {password}</descriptor>"
        ),
        "json" => format!(
            r#","card":{{"account-number":"{pan}","card-security-code":"{cvc}"}},"bank-account":{{"iban":"{iban}"}},
            "account-holder":{{"last-name":"{name}","email":"{mail}"}},"descriptor":"{other_pan} {password}""#
        ),
        _ => format!(
            "&account_number={pan}&card_security_code={cvc}&bank_account_iban={iban}&last_name={name}&email={mail}\
             &descriptor={other_pan}&password={password}&pan={pan}&cardverifycode={cvc}"
        ),
    }
}

/// All requests, each with its listener.
fn requests() -> Vec<(To, String)> {
    let [pan, _, iban, _, password, ..] = CANARIES;
    let basic = STANDARD.encode(format!("user:{password}"));
    let post = |path: &str, body: String| {
        format!(
            "POST {path}?pan={pan}&iban={iban} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {basic}\r\n\
             X-Pan: {pan}\r\nCookie: {password}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let id = |n: u32| format!("r-{n}");
    let xml = |id: &str, order: &str| {
        format!(
            "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>{MAID}\
             </merchant-account-id><request-id>{id}</request-id><transaction-type>debit</transaction-type>\
             <requested-amount currency=\"EUR\">1.00</requested-amount><order-number>{order}</order-number>{}</payment>",
            private("xml")
        )
    };
    let json = |id: &str| {
        format!(
            r#"{{"payment":{{"merchant-account-id":{{"value":"{MAID}"}},"request-id":"{id}","transaction-type":"debit",
            "requested-amount":{{"value":1,"currency":"EUR"}}{}}}}}"#,
            private("json")
        )
    };
    let nvp = format!(
        "request_id={}&merchant_account_id={MAID}&transaction_type=debit&requested_amount=1&requested_amount_currency=EUR{}",
        id(3),
        private("form")
    );
    let checkout = format!(
        "customerId=D299999&shopRequestId={}&amount=1&currency=EUR&paymentType=CCARD{}",
        id(4),
        private("form")
    );
    let operation =
        format!("customerId=D299999&toolkitPassword={password}&command=refund&orderNumber=77{}", private("form"));
    vec![
        (To::Payments, post("/engine/rest/payments/", xml(&id(1), "o-1"))),
        (To::Payments, post("/engine/rest/payments/", json(&id(2)))),
        (To::Payments, post("/engine/rest/payments/", nvp)),
        (To::Page, post("/api/payment/register", json(&id(5)))),
        (To::Checkout, post("/seamless/frontend/init", checkout)),
        (To::Checkout, post("/page/toolkit.php", operation)),
        (To::Checkout, post("/seamless/dataStorage/init", private("form"))),
        (To::Payments, post("/anything/else", private("json"))),
        // A shop that writes a card number where an id belongs.
        (To::Payments, post("/engine/rest/payments/", xml(pan, "o-2"))),
        (To::Payments, post("/engine/rest/payments/", xml(&id(6), pan))),
        // What can't be read passes too.
        (To::Payments, post("/engine/rest/payments/", xml(&id(7), "o-3").replace("</payment>", "</pay>"))),
        (To::Checkout, post("/page/toolkit.php", private("form"))),
    ]
}

/// An answer that repeats all of its request, as a gateway repeats its ids, and gives it a transaction.
fn echo(request: &str) -> String {
    let body = request.split_once("\r\n\r\n").expect("a head").1;
    let id = body.split_once("<request-id>").and_then(|(_, rest)| rest.split_once('<')).map_or("", |(id, _)| id);
    let made = format!("<transaction-id>t-{id}</transaction-id><transaction-state>success</transaction-state>");
    let says = body.replace("<transaction-type>", &format!("{made}<transaction-type>"));
    format!("HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{says}", says.len())
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

#[test]
fn no_card_number_cvc_iban_name_or_password_stays_behind() {
    let mut shop = crate::shop::Shop::new();
    shop.environment.push(("RECONCILED_LOG__FILTER", "trace".into()));
    let gateway = super::gateway::Gateway::new();
    let authority = gateway.address.to_string();
    let desk = Desk::at(shop, gateway, &format!("http://{authority}"), &authority, "");
    for (to, request) in requests() {
        let answer = echo(&request);
        let expected = desk.passed(request.as_bytes());
        desk.gateway.plays(Scene { hears: expected.len(), says: answer.clone().into_bytes(), then: Then::Closes });
        let mut stream = desk.connect(to);
        stream.write_all(request.as_bytes()).expect("sent");
        super::same("a request", &desk.gateway.heard(), &expected);
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("an answer");
        assert_eq!(heard, answer);
    }
    // Refused before anything is sent.
    for refused in [
        format!("POST /{} HTTP/1.1\r\nHost: a\r\nX: {}\n\r\n", CANARIES[0], CANARIES[4]),
        format!("GET http://{}/ HTTP/1.1\r\nHost: {}\r\n\r\n", CANARIES[2], CANARIES[0]),
    ] {
        let mut stream = desk.connect(To::Payments);
        stream.write_all(refused.as_bytes()).expect("sent");
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("an answer");
        assert!(heard.starts_with("HTTP/1.1 400 ") && CANARIES.iter().all(|canary| !heard.contains(canary)), "{heard}");
    }
    until("what was not kept is told", || {
        let (_, alerts) = desk.shop.ask("GET", "/v1/alerts", "");
        alerts.to_string().contains("unkept/shop-eu") && alerts.to_string().contains("unkept/shop-at")
    });
    // The answers were read, and one that repeats a card number was not.
    until("the answers are journaled", || desk.explained("r-6").contains("HTTP 201"));
    assert!(desk.explained("r-1").contains("t-r-1 is success") && !desk.explained("r-6").contains("t-r-6"));
    // It was recorded, so there was something to leave behind.
    assert_eq!(desk.shop.ask("GET", "/v1/payments/shop-eu/r-6", "").0, 200);
    assert!(desk.explained("r-1").contains("the proxy saw it"));

    // Nor would a crash leave an image behind.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", desk.daemon.child.id())).expect("Linux");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");

    assert_eq!(desk.daemon.stop(), Some(0));
    let mut found = Vec::new();
    files(desk.shop.folder.path(), &mut found);
    assert!(
        found.iter().any(|path| path.ends_with("reconciled.redb")) && found.iter().any(|path| path.ends_with("log"))
    );
    let basic = STANDARD.encode(format!("user:{}", CANARIES[4]));
    let mut is_recorded = false;
    for path in found {
        let bytes = std::fs::read(&path).expect("read");
        is_recorded |= bytes.windows(5).any(|part| part == b"\"r-6\"");
        for canary in CANARIES.iter().copied().chain([basic.as_str()]) {
            let at = bytes.windows(canary.len()).position(|part| part == canary.as_bytes());
            let around = at.map(|at| text(&bytes[at.saturating_sub(80)..(at + 40).min(bytes.len())]));
            assert_eq!(around, None, "{} holds {canary}", path.display());
        }
    }
    assert!(is_recorded, "what is kept of a request was not found either: this search proves nothing");
}
