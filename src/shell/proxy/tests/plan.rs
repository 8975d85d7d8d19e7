use std::collections::BTreeMap;

use super::*;
use crate::core::account::{Checkout, Product, Wpg};
use crate::core::message::Scheme;

fn account(name: &str, contract: Contract) -> (MerchantName, Account) {
    let name = MerchantName::new(name).expect("a name");
    (name.clone(), Account { name, time_zone: "UTC".into(), contract })
}

fn accounts() -> Accounts {
    let wpg = |ids: &[&str]| {
        Contract::Wpg(Wpg {
            merchant_account_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            resolver_category: None,
            scheme: None,
            siblings: Vec::new(),
        })
    };
    let checkout = Contract::Checkout(Checkout {
        product: Product::Seamless,
        customer_id: "D200001".into(),
        shop_id: None,
        algorithm: Scheme::HmacSha512,
        own_id_parameter: "ownId".into(),
        can_ask: true,
    });
    BTreeMap::from([account("eu", wpg(&["m-1", "m-2"])), account("eu-3d", wpg(&["m-3d"])), account("at", checkout)])
}

/// What is kept of a request at a listener, in words.
fn kept(listener: &str, method: &str, path: &str, body: &str) -> String {
    let accounts = accounts();
    let listener = &accounts[&MerchantName::new(listener).expect("a name")];
    let request = HttpRequest { method, path, content_type: None, body: body.as_bytes() };
    let in_words = |keep: &Keep| match keep {
        Keep::Submission(seen) => {
            let s = &seen.submission;
            let kind = s.transaction_type.as_deref().unwrap_or("payment");
            let parent = s.parent_transaction_id.as_ref().map(|p| format!(" on {p}")).unwrap_or_default();
            let order = s.gateway_order_number.as_ref().map(|n| format!(" number {n}")).unwrap_or_default();
            let sent_to = seen.sent_to.as_deref().map(|id| format!(" to {id}")).unwrap_or_default();
            format!("{}: {kind} {} of {}{parent}{order}{sent_to}", s.merchant, s.request_id, s.amount)
        }
        Keep::Operation(operation) => {
            let target = match &operation.target {
                Target::GatewayOrder(number) => format!("order {number}"),
                Target::Transaction(id) => format!("transaction {id}"),
            };
            format!("{}: {} on {target}", operation.merchant, operation.name)
        }
    };
    let Plan { keeps, lost, .. } = plan(&accounts, listener, &request);
    let lost = lost.iter().map(|why| format!("not kept: {why}"));
    keeps.iter().map(in_words).chain(lost).collect::<Vec<_>>().join(" & ")
}

fn xml(fields: &str) -> String {
    format!("<payment xmlns=\"http://www.elastic-payments.com/schema/payment\">{fields}</payment>")
}

#[test]
fn what_is_kept_of_the_payment_gateways_requests() {
    let on = |maid: &str, rest: &str| {
        xml(&format!("<merchant-account-id>{maid}</merchant-account-id><request-id>r-1</request-id>{rest}"))
    };
    let debit = "<transaction-type>debit</transaction-type><requested-amount currency=\"EUR\">1.00</requested-amount>";
    let void =
        "<transaction-type>void-authorization</transaction-type><parent-transaction-id>t-1</parent-transaction-id>";
    let tokenize = "<transaction-type>tokenize</transaction-type>";
    let payments = "/engine/rest/payments/";
    for (method, path, body, expected) in [
        ("POST", payments, on("m-1", debit), "eu: debit r-1 of 1.00 EUR to m-1"),
        ("POST", "/ee/rest/paymentmethods/", on("m-2", debit), "eu: debit r-1 of 1.00 EUR to m-2"),
        // A payment belongs to the account it is sent to, whichever listener it comes by.
        ("POST", payments, on("m-3d", debit), "eu-3d: debit r-1 of 1.00 EUR to m-3d"),
        ("POST", payments, on("m-9", debit), "not kept: the request names account m-9, which is not configured"),
        ("POST", payments, on("m-1", void), "eu: void-authorization on transaction t-1"),
        (
            "POST",
            payments,
            on("m-1", &format!("{void}<requested-amount currency=\"EUR\">1.00</requested-amount>")),
            "eu: void-authorization r-1 of 1.00 EUR on t-1 to m-1",
        ),
        ("POST", payments, on("m-1", tokenize), ""),
        (
            "POST",
            payments,
            on("m-1", "<transaction-type>debit</transaction-type>"),
            "not kept: the request states no amount that can be booked",
        ),
        (
            "POST",
            payments,
            on("m-1", &debit.replace("1.00", "1.001")),
            "not kept: the request states no amount that can be booked",
        ),
        (
            "POST",
            payments,
            xml(&format!("<merchant-account-id>m-1</merchant-account-id>{debit}")),
            "not kept: the request has no request-id that can be kept",
        ),
        (
            "POST",
            "/api/payment/register",
            r#"{"payment":{"merchant-account-id":{"value":"m-1"},"request-id":"r-2","transaction-type":"auto-sale",
                "requested-amount":{"value":9.9,"currency":"EUR"}}}"#
                .to_owned(),
            "eu: auto-sale r-2 of 9.90 EUR to m-1",
        ),
        ("POST", payments, "nonsense".to_owned(), "not kept: the body is neither XML, JSON nor a form"),
        ("POST", payments, String::new(), "not kept: the body is empty"),
        ("GET", "/engine/rest/merchants/m-1/payments/?request_id=r-1", String::new(), ""),
        ("POST", "/api/basket", on("m-1", debit), ""),
    ] {
        assert_eq!(kept("eu", method, path, &body), expected, "{method} {path} {body}");
    }
}

#[test]
fn every_part_is_kept_that_can_be_whatever_the_others_are() {
    let part = |maid: &str, id: &str, rest: &str| {
        xml(&format!("<merchant-account-id>{maid}</merchant-account-id><request-id>{id}</request-id>{rest}"))
    };
    let debit = "<transaction-type>debit</transaction-type><requested-amount currency=\"EUR\">1.00</requested-amount>";
    let tokenize = "<transaction-type>tokenize</transaction-type>";
    let of = |parts: &[String]| {
        let body = format!("<multi-payments><payments>{}</payments></multi-payments>", parts.concat());
        let accounts = accounts();
        let listener = &accounts[&MerchantName::new("eu").expect("a name")];
        let path = "/engine/rest/multi-payments/";
        let request = HttpRequest { method: "POST", path, content_type: None, body: body.as_bytes() };
        (kept("eu", "POST", path, &body), plan(&accounts, listener, &request).is_of_many)
    };
    let (first, second) = ("eu: debit r-1 of 1.00 EUR to m-1", "eu: debit r-2 of 1.00 EUR to m-1");
    let foreign = "not kept: the request names account m-9, which is not configured";
    let no_amount = "not kept: the request states no amount that can be booked";
    for (parts, expected) in [
        (vec![part("m-1", "r-1", debit), part("m-1", "r-2", debit)], format!("{first} & {second}")),
        (vec![part("m-1", "r-1", debit), part("m-9", "r-2", debit)], format!("{first} & {foreign}")),
        (
            vec![part("m-1", "r-0", ""), part("m-9", "r-0", debit), part("m-1", "r-2", debit)],
            format!("{second} & {no_amount} & {foreign}"),
        ),
        // Its one payment is not all that the answer will speak of.
        (vec![part("m-1", "r-1", debit), part("m-1", "r-2", tokenize)], first.to_owned()),
    ] {
        assert_eq!(of(&parts), (expected, true));
    }
    assert_eq!(of(&[part("m-1", "r-1", debit)]), (first.to_owned(), false));
}

#[test]
fn what_is_kept_of_checkouts_requests() {
    let init = "customerId=D200001&ownId=o-1&amount=12,50&currency=EUR&paymentType=SOFORTUEBERWEISUNG";
    for (path, body, expected) in [
        ("/seamless/frontend/init", init.to_owned(), "at: payment o-1 of 12.50 EUR"),
        ("/page/init-server.php", format!("{init}&orderNumber=77"), "at: payment o-1 of 12.50 EUR number 77"),
        (
            "/seamless/frontend/init",
            init.replace("ownId", "own"),
            "not kept: the request has no `ownId`, the account's own_id_parameter",
        ),
        (
            "/seamless/frontend/init",
            init.replace("D200001", "D999999"),
            "not kept: the request names account D999999, which is not configured",
        ),
        ("/seamless/dataStorage/init", init.to_owned(), ""),
        (
            "/seamless/backend/deposit",
            "customerId=D200001&orderNumber=77&amount=1&currency=EUR".into(),
            "at: deposit on order 77",
        ),
        (
            "/page/toolkit.php",
            "customerId=D200001&command=refund&orderNumber=77&amount=1&currency=EUR".into(),
            "at: refund on order 77",
        ),
        ("/seamless/backend/getOrderDetails", "customerId=D200001&orderNumber=77".into(), ""),
        (
            "/seamless/backend/recurPayment",
            "customerId=D200001&sourceOrderNumber=77&amount=1&currency=EUR".into(),
            "at: recurPayment on order 77",
        ),
        (
            "/seamless/backend/recurPayment",
            "customerId=D200001&ownId=o-2&orderNumber=78&sourceOrderNumber=77&amount=1&currency=EUR".into(),
            "at: payment o-2 of 1.00 EUR number 78",
        ),
        (
            "/page/toolkit.php",
            "customerId=D200001&command=conjure".into(),
            "not kept: the form names no back-end operation that the gateway has",
        ),
    ] {
        assert_eq!(kept("at", "POST", path, &body), expected, "{path} {body}");
    }
}

#[test]
fn only_what_may_move_money_is_read_before_it_passes() {
    let accounts = accounts();
    let of = |name: &str| &accounts[&MerchantName::new(name).expect("a name")];
    for (listener, method, path, concerns) in [
        ("eu", "POST", "/engine/rest/payments/", true),
        ("eu", "POST", "/api/payment/register", true),
        ("eu", "GET", "/engine/rest/merchants/m-1/payments/t-1", false),
        ("eu", "POST", "/upload", false),
        ("at", "POST", "/page/toolkit.php", true),
        ("at", "POST", "/seamless/backend/refund", true),
        ("at", "POST", "/seamless/dataStorage/init", false),
        ("at", "GET", "/page/style.css", false),
        ("at", "GET", "/page/toolkit.php?command=refund&orderNumber=77", true),
        ("at", "GET", "/page/toolkit.php?command=getOrderDetails&orderNumber=77", false),
        ("at", "GET", "/page/init.php", false),
    ] {
        assert_eq!(concerns_money(of(listener), method, path), concerns, "{method} {path}");
    }
}
