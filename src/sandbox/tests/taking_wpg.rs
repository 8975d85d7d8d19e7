//! A shop that pays through the simulated Payment Gateway as it would through the real one.

use super::*;
use crate::core::message::Scheme;

const MAID: &str = "9abf05c1-c266-46ae-8eac-7f87ca97af28";
const PAYMENTS: &str = "/engine/rest/payments/";

struct Sent {
    target: &'static str,
    accept: Option<&'static str>,
    login: &'static str,
}

const TO_PAYMENTS: Sent = Sent { target: PAYMENTS, accept: None, login: "example-user:example-password" };

fn reply(gateway: &mut Gateway, now: Timestamp, sent: &Sent, body: &str) -> Reply {
    let mut headers = vec![
        ("authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(sent.login))),
        ("host".to_owned(), "127.0.0.1:8090".to_owned()),
    ];
    headers.extend(sent.accept.map(|accept| ("accept".to_owned(), accept.to_owned())));
    gateway.answer(now, &Request { method: "POST", target: sent.target, headers: &headers, body: body.as_bytes() })
}

fn post(gateway: &mut Gateway, now: Timestamp, sent: &Sent, body: &str) -> Answer {
    match reply(gateway, now, sent, body) {
        Reply::Answer(answer) => answer,
        other => panic!("no answer but {other:?}"),
    }
}

fn made(answer: &Answer) -> Transaction {
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    wpg::decode(&answer.body, None).expect("readable").transactions.remove(0)
}

fn code(transaction: &Transaction) -> &str {
    &transaction.statuses[0].code
}

fn xml(request_id: &str, kind: &str, method: &str, more: &str) -> String {
    format!(
        "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>{MAID}\
         </merchant-account-id><request-id>{request_id}</request-id><transaction-type>{kind}</transaction-type>\
         <payment-methods><payment-method name=\"{method}\"/></payment-methods>{more}</payment>"
    )
}

const AMOUNT: &str = "<requested-amount currency=\"EUR\">12.50</requested-amount><order-number>1001</order-number>";

fn amount(value: &str) -> String {
    format!("<requested-amount currency=\"EUR\">{value}</requested-amount>")
}

fn on(parent: &Transaction) -> String {
    let id = parent.transaction_id.as_deref().expect("an id");
    format!("<parent-transaction-id>{id}</parent-transaction-id>")
}

#[test]
fn a_card_is_charged_at_once_in_every_format() {
    let json = format!(
        r#"{{"payment":{{"merchant-account-id":{{"value":"{MAID}"}},"request-id":"r-1","transaction-type":"purchase",
            "requested-amount":{{"value":12.5,"currency":"EUR"}},"order-number":"1001",
            "payment-methods":{{"payment-method":[{{"name":"creditcard"}}]}}}}}}"#
    );
    let nvp = format!(
        "merchant_account_id={MAID}&request_id=r-1&transaction_type=purchase&requested_amount=12.50&\
         requested_amount_currency=EUR&order_number=1001&payment_method=creditcard"
    );
    for (body, accept, content_type) in [
        (xml("r-1", "purchase", "creditcard", AMOUNT), None, "application/xml;charset=UTF-8"),
        (xml("r-1", "auto-sale", "creditcard", AMOUNT), Some("application/json"), "application/json;charset=UTF-8"),
        (json, None, "application/json;charset=UTF-8"),
        (nvp, None, "application/x-www-form-urlencoded;charset=UTF-8"),
    ] {
        let mut gateway = gateway();
        let answer = post(&mut gateway, start(), &Sent { accept, ..TO_PAYMENTS }, &body);
        assert_eq!(answer.content_type, Some(content_type));
        let t = made(&answer);
        assert_eq!((t.transaction_state.as_deref(), code(&t)), (Some("success"), "201.0000"));
        assert_eq!((t.transaction_type.as_deref(), t.request_id.as_deref()), (Some("purchase"), Some("r-1")));
        let id = t.transaction_id.expect("an id");
        let own = format!("http://127.0.0.1:8090/engine/rest/merchants/{MAID}/payments/{id}");
        assert_eq!(answer.location, Some(own), "the Location header says where to retrieve it");
        let truth = gateway.truths(start()).remove(0);
        assert_eq!((truth.order_number.as_str(), truth.received()), ("1001", Amount::parse("12.50", "EUR").ok()));
        assert_eq!(ask_wpg(&mut gateway, start(), &by_request("r-1")).outcome, Outcome::Found);
        let told = gateway.events(later(start(), minutes(1)));
        assert_eq!(told.len(), 1, "and the shop is notified");
    }
}

#[test]
fn a_redirect_method_hands_out_a_url_and_the_payer_pays_later() {
    let mut gateway = gateway();
    let body = xml("r-1", "debit", "sofortbanking", AMOUNT);
    let sent = Sent { target: "/engine/rest/paymentmethods/", ..TO_PAYMENTS };
    let answer = post(&mut gateway, start(), &sent, &body);
    assert!(
        made(&answer).redirect_only
            && String::from_utf8_lossy(&answer.body).contains("http://127.0.0.1:8090/redirect/")
    );
    assert_eq!(gateway.truths(start()).remove(0).received(), None);
    let paid = gateway.truths(later(start(), minutes(1))).remove(0).received();
    assert_eq!(paid, Amount::parse("12.50", "EUR").ok());
}

#[test]
fn a_wallet_pays_once_and_books_two_successes() {
    for method in ["masterpass", "paylib", "visa-checkout"] {
        let mut gateway = gateway();
        let sent = Sent { target: "/engine/rest/paymentmethods/", ..TO_PAYMENTS };
        let answer = made(&post(&mut gateway, start(), &sent, &xml("r-1", "debit", method, AMOUNT)));
        assert!(answer.redirect_only, "the payer goes to his wallet first");
        let end = later(start(), minutes(1));
        let mut found = |id: &str| ask_wpg(&mut gateway, end, &by_request(id)).transactions;
        let [step, wallet, card] =
            ["r-1-request-checkout", "r-1", "r-1-purchase"].map(|id| found(id).pop().expect("a transaction"));
        let kinds = [&step, &wallet, &card].map(|t| t.transaction_type.as_deref().unwrap_or_default());
        assert_eq!(kinds, ["request-checkout", "debit", "purchase"], "{method}");
        let value = |t: &Transaction| t.amount.and_then(|amount| amount.bookable());
        assert!(value(&wallet).is_some() && value(&wallet) == value(&card));
        assert_ne!(wallet.transaction_id, card.transaction_id);
        assert_eq!(card.parent_transaction_id, wallet.transaction_id);
        assert_eq!(gateway.events(end).len(), 2, "both are told");
        let truth = gateway.truths(end).remove(0);
        assert_eq!(truth.received(), Amount::parse("12.50", "EUR").ok(), "{method}: paid once");
    }
}

#[test]
fn an_answer_in_json_has_no_nulls() {
    let mut gateway = gateway();
    let json = Sent { accept: Some("application/json"), ..TO_PAYMENTS };
    for (id, kind, method) in [("r-1", "purchase", "creditcard"), ("r-2", "debit", "sofortbanking")] {
        let answer = post(&mut gateway, start(), &json, &xml(id, kind, method, AMOUNT));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("null") && text.contains(&format!("\"name\":\"{method}\"")), "{text}");
        assert_eq!(text.contains("\"url\""), method == "sofortbanking", "{text}");
    }
}

#[test]
fn a_wire_transfer_is_announced_and_comes_in_deposits() {
    let mut gateway = gateway();
    let twice = Script::PaidTwice { after: hours(5), again_after: hours(9) };
    gateway
        .play(Coming {
            merchant: eu(),
            of: Of::Payments,
            request_id: None,
            order_number: None,
            times: 1,
            play: twice,
            plan: Plan::default(),
        })
        .expect("kept");
    let sent = Sent { target: "/engine/rest/paymentmethods/", ..TO_PAYMENTS };
    let t = made(&post(&mut gateway, start(), &sent, &xml("r-1", "authorization", "wiretransfer", AMOUNT)));
    let codes: Vec<&str> = t.statuses.iter().map(|status| status.code.as_str()).collect();
    assert_eq!((t.request_id.as_deref(), codes, t.redirect_only), (Some("r-1"), vec!["201.0000", "100.0000"], false));
    assert_eq!(gateway.truths(start()).remove(0).held(), None, "nothing is held");
    let end = later(start(), days(1));
    for (id, expected) in [
        ("r-1", Outcome::NotFound),
        ("r-1-authorization", Outcome::Found),
        ("r-1-deposit", Outcome::Found),
        ("r-1-deposit:2", Outcome::Found),
    ] {
        assert_eq!(ask_wpg(&mut gateway, end, &by_request(id)).outcome, expected, "{id}");
    }
    let deposit = ask_wpg(&mut gateway, end, &by_request("r-1-deposit:2")).transactions.remove(0);
    assert_eq!(
        (deposit.transaction_type.as_deref(), deposit.parent_transaction_id),
        (Some("deposit"), t.transaction_id)
    );
    assert_eq!(gateway.truths(end).remove(0).received(), Amount::parse("25.00", "EUR").ok());
}

#[test]
fn follow_ups_are_executed_against_the_chain() {
    let mut gateway = gateway();
    let mut go = |id: &str, kind: &str, more: &str| {
        made(&post(&mut gateway, later(start(), minutes(1)), &TO_PAYMENTS, &xml(id, kind, "creditcard", more)))
    };
    let hold = go("r-1", "authorization", AMOUNT);
    let capture = go("r-2", "capture-authorization", &(on(&hold) + &amount("10.00")));
    assert_eq!((code(&capture), &capture.parent_transaction_id), ("201.0000", &hold.transaction_id));
    let dollars = "<requested-amount currency=\"USD\">1.00</requested-amount>";
    for (id, kind, more, expected) in [
        ("r-3", "capture-authorization", on(&hold) + &amount("2.51"), "400.1027"),
        ("r-3", "capture-authorization", on(&hold) + dollars, "400.1026"),
        ("r-3", "capture-authorization", on(&hold) + &amount("1.005"), "400.1130"),
        ("r-3", "refund-purchase", on(&hold), "400.1023"),
        ("r-3", "capture-authorization", "<parent-transaction-id>nobody</parent-transaction-id>".into(), "400.1020"),
        ("r-3", "capture-authorization", AMOUNT.into(), "400.1021"),
        ("r-3", "purchase", String::new(), "400.1011"),
        ("r-3", "purchase", amount("0"), "400.1013"),
        ("r-3", "teleport", AMOUNT.into(), "400.1009"),
        ("r-2", "capture-authorization", on(&hold), "400.1018"),
        ("", "purchase", AMOUNT.into(), "400.1010"),
        // Refused requests are not stored, so that their id is still free.
        ("r-3", "void-authorization", on(&hold), "201.0000"),
        ("r-4", "capture-authorization", on(&hold), "400.1027"),
        ("r-4", "refund-capture", on(&capture) + &amount("4.00"), "201.0000"),
        ("r-5", "refund-capture", on(&capture) + &amount("6.01"), "400.1027"),
        ("r-6", "refund-capture", on(&capture), "201.0000"),
    ] {
        let t = go(id, kind, &more);
        assert_eq!(code(&t), expected, "{id} {kind} {more}");
        assert_eq!(t.transaction_id.is_some(), expected == "201.0000", "a refusal is never stored");
    }
    let truth = gateway.truths(later(start(), hours(1))).remove(0);
    let euro = |value: &str| Amount::parse(value, "EUR").ok();
    assert_eq!((truth.received(), truth.paid_out(), truth.held()), (euro("10.00"), euro("10.00"), euro("0")));
}

#[test]
fn only_the_right_login_pays_and_only_for_its_own_account() {
    let mut gateway = gateway();
    let body = xml("r-1", "purchase", "creditcard", AMOUNT);
    let wrong = Sent { login: "example-user:wrong", ..TO_PAYMENTS };
    assert_eq!(post(&mut gateway, start(), &wrong, &body).status, 401);
    let other = body.replace(MAID, "11111111-2222-3333-4444-555555555555");
    assert_eq!(code(&made(&post(&mut gateway, start(), &TO_PAYMENTS, &other))), "400.1019");
    assert_eq!(post(&mut gateway, start(), &TO_PAYMENTS, "<payment>").status, 400);
    assert!(gateway.payments().is_empty());
}

#[test]
fn a_registered_payment_page_is_paid_under_the_registered_id() {
    let mut gateway = gateway();
    let body = format!(
        r#"{{"payment":{{"merchant-account-id":{{"value":"{MAID}"}},"request-id":"r-1","transaction-type":"purchase",
            "requested-amount":{{"value":12.5,"currency":"EUR"}},"order-number":"1001"}}}}"#
    );
    let sent = Sent { target: "/api/payment/register", ..TO_PAYMENTS };
    let answer = post(&mut gateway, start(), &sent, &body);
    let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(said["payment-redirect-url"], "http://127.0.0.1:8090/processing?wPaymentToken=r%2D1");
    assert_eq!(ask_wpg(&mut gateway, start(), &by_request("r-1")).outcome, Outcome::NotFound);
    assert_eq!(ask_wpg(&mut gateway, later(start(), minutes(1)), &by_request("r-1")).outcome, Outcome::Found);
    let again = post(&mut gateway, start(), &sent, &body);
    assert!(again.status == 400 && String::from_utf8_lossy(&again.body).contains("400.1018"));
}

#[test]
fn a_script_that_was_set_plays_for_the_requests_it_names() {
    let mut gateway = gateway();
    let coming = |request_id: Option<&str>, times, play| Coming {
        merchant: eu(),
        of: Of::Payments,
        request_id: request_id.and_then(|id| RequestId::new(id).ok()),
        order_number: None,
        times,
        play,
        plan: Plan::default(),
    };
    let failed = Script::Failed { after: seconds(0) };
    gateway.play(coming(None, 1, failed)).expect("kept");
    gateway.play(coming(Some("r-2"), 1, Script::NeverStarted)).expect("kept");
    gateway.play(coming(None, 1, Script::Pending { lasts: hours(1), then: Ending::Success })).expect("kept");
    let body = |id: &str| xml(id, "purchase", "creditcard", AMOUNT);
    let first = made(&post(&mut gateway, start(), &TO_PAYMENTS, &body("r-1")));
    assert_eq!((first.transaction_state.as_deref(), code(&first)), (Some("failed"), "500.3048"));
    assert_eq!(reply(&mut gateway, start(), &TO_PAYMENTS, &body("r-2")), Reply::Closed, "it never arrived");
    assert_eq!(post(&mut gateway, start(), &TO_PAYMENTS, &body("r-3")).status, 504, "the provider takes too long");
    assert_eq!(code(&made(&post(&mut gateway, start(), &TO_PAYMENTS, &body("r-2")))), "201.0000", "the usual again");
    assert!(gateway.coming().is_empty());
}

#[test]
fn an_outage_leaves_the_shop_in_doubt_about_what_was_executed() {
    for executes in [false, true] {
        for manner in Manner::ALL.into_iter().chain([Manner::Cut, Manner::WrongType, Manner::Late { by: seconds(5) }]) {
            let mut gateway = gateway();
            let outage = Outage { merchant: Some(eu()), from: start(), until: later(start(), hours(1)), manner };
            gateway.submission_outage(outage, executes);
            let body = xml("r-1", "purchase", "creditcard", AMOUNT);
            let got = reply(&mut gateway, start(), &TO_PAYMENTS, &body);
            let is_paid = ask_wpg(&mut gateway, start(), &by_request("r-1")).outcome == Outcome::Found;
            assert_eq!(is_paid, executes || manner.passes_the_work(), "{manner:?}: questions are answered as ever");
            if let Reply::Answer(answer) = got {
                let told_late = answer.late_by.is_some() || answer.is_cut;
                assert_eq!(told_late, matches!(manner, Manner::Late { .. } | Manner::Cut), "{manner:?}");
                assert!(manner != Manner::WrongType || answer.content_type == Some("text/html;charset=UTF-8"));
            }
        }
    }
}

#[test]
fn a_request_names_its_own_url_custom_fields_and_an_account_of_xml_dsig_gets_signed_xml() {
    let mut shops = example_shops();
    let key = wpg::SigningKey::from_pem(include_str!("../../../tests/keys/wpg-gateway.pem")).expect("a key");
    if let crate::core::account::Contract::Wpg(contract) = &mut shops[0].account.contract {
        contract.scheme = Some(Scheme::XmlDsig);
    }
    shops[0].key.pins = vec![key.pin()];
    let mut gateway = Gateway::new(7, shops);
    gateway.sign_with(std::sync::Arc::new(key));
    let more = |url: &str| {
        format!(
            "{AMOUNT}<custom-fields><custom-field field-name=\"shop\" field-value=\"7\"/></custom-fields>\
             <notifications><notification url=\"{url}\"/></notifications>"
        )
    };
    let own = "http://127.0.0.1:9000/ipn?a=1&amp;b=2";
    for (id, url) in [("r-1", own), ("r-2", "https://shop.example/ipn"), ("r-3", "http://127.0.0.1.shop.example/")] {
        post(&mut gateway, start(), &TO_PAYMENTS, &xml(id, "purchase", "creditcard", &more(url)));
    }
    let sent = gateway.events(later(start(), minutes(1)));
    let urls: Vec<&str> = sent.iter().map(|outgoing| outgoing.url.as_str()).collect();
    let usual = "http://127.0.0.1:8080/ipn/shop-eu";
    assert_eq!(urls, ["http://127.0.0.1:9000/ipn?a=1&b=2", usual, usual]);
    for outgoing in &sent {
        let message = read(&gateway, outgoing);
        assert_eq!(message.authenticity.scheme(), Some(Scheme::XmlDsig));
        assert!(message.authenticity.is_verified(), "{:?}", message.authenticity);
        assert_eq!(message.transactions[0].custom_fields["shop"], "7");
    }
}

#[test]
fn a_request_says_who_is_told_of_what_and_in_which_format() {
    let more = |format: &str, entries: &str| format!("{AMOUNT}<notifications{format}>{entries}</notifications>");
    let entry = |path: &str, state: &str| {
        format!("<notification url=\"http://127.0.0.1:9000/{path}\" transaction-state=\"{state}\"/>")
    };
    let both = entry("good", "success") + &entry("bad", "failed") + &entry("all", "");
    let formats = [
        ("", "application/x-www-form-urlencoded"),
        (" format=\"application/json-signed\"", "application/x-www-form-urlencoded"),
        (" format=\"application/xml\"", "application/xml; charset=UTF-8"),
        (" format=\"application/json\"", "application/json"),
        (" format=\"application/x-www-form-urlencoded\"", "text/plain"),
        (" format=\"application/html\"", "application/x-www-form-urlencoded"),
    ];
    for (format, content_type) in formats {
        let mut gateway = gateway();
        post(&mut gateway, start(), &TO_PAYMENTS, &xml("r-1", "purchase", "creditcard", &more(format, &both)));
        let refused = r#"{"merchant": "shop-eu", "request_id": "r-2", "play": {"script": "failed", "after": "0s"}}"#;
        gateway.play(serde_json::from_str(refused).expect("a play")).expect("kept");
        post(&mut gateway, start(), &TO_PAYMENTS, &xml("r-2", "purchase", "creditcard", &more(format, &both)));
        let sent = gateway.events(later(start(), minutes(1)));
        let told: Vec<(&str, &str)> = sent.iter().map(|o| (o.request_id.as_str(), o.url.as_str())).collect();
        let (good, bad, all) = ("http://127.0.0.1:9000/good", "http://127.0.0.1:9000/bad", "http://127.0.0.1:9000/all");
        assert_eq!(told, [("r-1", good), ("r-1", all), ("r-2", bad), ("r-2", all)], "{format}");
        assert!(sent.iter().all(|outgoing| outgoing.content_type == content_type), "{format}: {sent:?}");
        for outgoing in &sent {
            assert_eq!(
                read(&gateway, outgoing).transactions[0].request_id.as_deref(),
                Some(outgoing.request_id.as_str())
            );
            gateway.delivered(later(start(), minutes(1)), outgoing.id, true);
        }
        assert_eq!(gateway.sent().filter(|sent| sent.outcome == Carried::Accepted).count(), 4);
    }
}
