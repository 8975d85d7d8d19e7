//! A payer whose browser posts the shop's signed form to payment page v1.

use super::*;
use crate::core::message::Scheme;
use crate::wire::wpg::signature::{V1_REQUEST_FIELDS, v1};

const MAID: &str = "9abf05c1-c266-46ae-8eac-7f87ca97af28";

/// The form of a shop, signed with its secret.
fn form(fields: &[(&str, &str)], secret: &str) -> String {
    let of =
        |name: &str| fields.iter().find(|(known, _)| *known == name).map_or(&b""[..], |(_, value)| value.as_bytes());
    let signature = v1(&V1_REQUEST_FIELDS, of, secret.as_bytes());
    let all = fields.iter().copied().chain([("request_signature", signature.as_str())]);
    crate::wire::form::encode(all)
}

fn purchase<'a>(request_id: &'a str, method: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("request_time_stamp", "20260302090000"),
        ("request_id", request_id),
        ("merchant_account_id", MAID),
        ("transaction_type", "purchase"),
        ("requested_amount", "12.50"),
        ("requested_amount_currency", "EUR"),
        ("redirect_url", "https://shop.example/thanks?a=1&b=2"),
        ("ip_address", "127.0.0.1"),
        ("payment_method", method),
        ("order_number", "1001"),
        ("notification_url", "http://127.0.0.1:9000/ipn"),
        ("notification_transaction_state", ""),
    ]
}

fn secret(gateway: &Gateway) -> String {
    let shop = gateway.shops().find(|shop| shop.account.name == eu()).expect("a shop");
    shop.key.secret.expose_secret().to_owned()
}

fn post(gateway: &mut Gateway, target: &str, body: &str) -> (u16, String) {
    let request = Request { method: "POST", target, headers: &[], body: body.as_bytes() };
    match gateway.answer(start(), &request) {
        Reply::Answer(answer) => {
            assert_eq!(answer.content_type, Some("text/html; charset=UTF-8"), "a browser reads it");
            (answer.status, String::from_utf8(answer.body).expect("text"))
        }
        other => panic!("no answer but {other:?}"),
    }
}

#[test]
fn a_signed_form_brings_the_payer_to_the_page_and_he_pays() {
    for target in ["/engine/hpp/", "/engine/hpp", "/engine/epp/", "/some/prefix/engine/hpp/?locale=de"] {
        let mut gateway = gateway();
        let body = form(&purchase("r-1", "creditcard"), &secret(&gateway));
        let (status, page) = post(&mut gateway, target, &body);
        assert!(status == 200 && page.contains("The payer is here"), "{target}: {status} {page}");
        assert_eq!(gateway.truths(start()).remove(0).received(), None, "he takes his time, by card as well");
        let now = later(start(), minutes(1));
        assert_eq!(gateway.truths(now).remove(0).received(), Amount::parse("12.50", "EUR").ok());
        let sent = gateway.events(now);
        assert_eq!(sent.iter().map(|o| o.url.as_str()).collect::<Vec<_>>(), ["http://127.0.0.1:9000/ipn"]);
        let message = read(&gateway, &sent[0]);
        assert!(message.authenticity.is_verified() && message.authenticity.scheme() == Some(Scheme::JsonSigned));
        assert_eq!(message.transactions[0].order_number.as_deref(), Some("1001"));
    }
}

#[test]
fn without_a_scheme_of_the_account_the_page_tells_in_name_value_pairs() {
    let mut shops = example_shops();
    let shop = shops.iter_mut().find(|shop| shop.account.name == eu()).expect("a shop");
    let crate::core::account::Contract::Wpg(contract) = &mut shop.account.contract else { panic!("a wpg account") };
    contract.scheme = None;
    let mut gateway = Gateway::new(7, shops);
    let body = form(&purchase("r-1", "creditcard"), &secret(&gateway));
    post(&mut gateway, "/engine/hpp/", &body);
    let sent = gateway.events(later(start(), minutes(1)));
    assert_eq!(sent[0].content_type, "text/plain");
    assert!(sent[0].body.starts_with(b"merchant_account_id=") || sent[0].body.windows(11).any(|w| w == b"request_id="));
}

#[test]
fn what_the_shop_did_not_sign_starts_nothing() {
    let mut gateway = gateway();
    let secret = secret(&gateway);
    let signed = form(&purchase("r-1", "creditcard"), &secret);
    let forgeries = [
        form(&purchase("r-1", "creditcard"), "another secret"),
        form(&purchase("r-1", "creditcard"), ""),
        signed.replace("12.50", "1.25"),
        signed.replace("requested_amount=12.50", "requested_amount=12.50&requested_amount=1.25"),
        signed.replace(MAID, "00000000-0000-0000-0000-000000000000"),
        signed.split("&request_signature").next().expect("some").to_owned(),
    ];
    for forged in &forgeries {
        assert_ne!(*forged, signed);
        let (status, page) = post(&mut gateway, "/engine/hpp/", forged);
        assert!((400..500).contains(&status), "{forged}: {status} {page}");
    }
    assert!(gateway.payments().is_empty());
    for (status, body) in [(400, ""), (400, "a=b"), (400, "<payment>")] {
        assert_eq!(post(&mut gateway, "/engine/hpp/", body).0, status, "{body}");
    }
    // Signed, and refused by the gateway itself.
    let mut odd = purchase("r-1", "creditcard");
    odd[4].1 = "12.505";
    let (status, page) = post(&mut gateway, "/engine/hpp/", &form(&odd, &secret));
    assert!(status == 400 && page.contains("400.1130"), "{page}");
    assert_eq!(post(&mut gateway, "/engine/hpp/", &signed).0, 200);
    let (status, page) = post(&mut gateway, "/engine/hpp/", &signed);
    assert!(status == 400 && page.contains("400.1018"), "{page}");
    let seen = Request { method: "GET", target: "/engine/hpp/", headers: &[], body: b"" };
    assert!(matches!(gateway.answer(start(), &seen), Reply::Answer(answer) if answer.status == 405));
}
