use super::*;
use crate::core::account::{Checkout, Product, Wpg};
use crate::core::message::{Scheme, Transaction};

fn wpg() -> Contract {
    Contract::Wpg(Wpg {
        merchant_account_ids: vec!["9abf05c1-c266-46ae-8eac-7f87ca97af28".into()],
        resolver_category: None,
        scheme: None,
        siblings: Vec::new(),
    })
}

fn checkout() -> Contract {
    Contract::Checkout(Checkout {
        product: Product::Page,
        customer_id: "D299999".into(),
        shop_id: None,
        algorithm: Scheme::HmacSha512,
        own_id_parameter: "shopRequestId".into(),
        can_ask: true,
    })
}

fn post<'a>(path: &'a str, body: &'a [u8]) -> HttpRequest<'a> {
    HttpRequest { method: "POST", path, content_type: None, body }
}

/// The one request of a body, in one line.
fn one(contract: &Contract, path: &str, body: &[u8]) -> String {
    match read(contract, &post(path, body)) {
        Ok(Request::Submits(all)) => all.iter().map(line).collect::<Vec<_>>().join(" & "),
        Ok(other) => format!("{other:?}"),
        Err(why) => format!("unreadable: {why}"),
    }
}

fn line(facts: &Facts) -> String {
    let amount = facts.amount.map(|a| format!("{} {}", a.value_text(), a.currency.map_or("?", |c| c.code())));
    let kind = match facts.kind {
        Kind::Operation(operation) => operation.name().to_owned(),
        other => format!("{other:?}"),
    };
    let told = [
        Some(kind),
        facts.request_id.as_ref().map(ToString::to_string),
        facts.order_number.as_ref().map(|n| format!("order {n}")),
        amount,
        facts.transaction_type.clone(),
        facts.payment_method.clone(),
        facts.parent_transaction_id.as_ref().map(|p| format!("on {p}")),
        facts.gateway_order_number.as_ref().map(|n| format!("number {n}")),
        facts.source_order_number.as_ref().map(|n| format!("from {n}")),
        facts.object.as_ref().map(ToString::to_string),
        facts.account_id.as_ref().map(|a| format!("at {a}")),
        facts.resolver_category.as_ref().map(|c| format!("category {c}")),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

const PAYMENT: &str = r#"<?xml version="1.0"?><payment xmlns="http://www.elastic-payments.com/schema/payment">
  <merchant-account-id>maid-1</merchant-account-id><request-id>
    r-1
  </request-id><transaction-type>purchase</transaction-type><requested-amount currency="EUR">12.500000</requested-amount>
  <order-number>1001</order-number><payment-methods><payment-method name="creditcard"/></payment-methods>
  <card><account-number>4111111111111111</account-number><card-security-code>987</card-security-code></card>
  <account-holder><last-name>Müller</last-name><email>m@shop.example</email></account-holder></payment>"#;

#[test]
fn every_shape_of_a_wpg_payment_gives_the_same_facts() {
    let json = r#"{"payment":{"merchant-account-id":{"value":"maid-1"},"request-id":"r-1","transaction-type":"purchase",
        "requested-amount":{"value":12.5,"currency":"EUR"},"order-number":"1001",
        "payment-methods":{"payment-method":[{"name":"creditcard"}]},"card":{"account-number":"4111111111111111"}}}"#;
    let nvp = "merchant_account_id=maid-1&request_id=r-1&transaction_type=purchase&requested_amount=12.50&\
               requested_amount_currency=EUR&order_number=1001&payment_method=creditcard&\
               account_number=4111111111111111&card_security_code=987&last_name=M%FCller&";
    let expected = "Payment, r-1, order 1001, 12.50 EUR, purchase, creditcard, at maid-1";
    for path in ["/engine/rest/payments/", "/engine/rest/paymentmethods", "/ee/rest/payments/?x=1", "/p/engine/hpp/"] {
        for body in [PAYMENT, json, nvp] {
            assert_eq!(one(&wpg(), path, body.as_bytes()), expected, "{path}");
        }
    }
    assert_eq!(one(&wpg(), "/api/payment/register", json.as_bytes()), expected.replacen("Payment", "Register", 1));
}

#[test]
fn a_parent_makes_a_follow_up_and_a_category_stands_for_the_account() {
    let capture = "<payment><request-id>r-2</request-id><transaction-type>capture-authorization</transaction-type>\
                   <parent-transaction-id>t-1</parent-transaction-id></payment>";
    let resolved = "<payment><merchant-account-resolver-category>eu</merchant-account-resolver-category>\
                    <request-id>r-3</request-id></payment>";
    let both = format!("<multi-payments><payments>{capture}{resolved}</payments></multi-payments>");
    let (first, second) = ("FollowUp, r-2, capture-authorization, on t-1", "Payment, r-3, category eu");
    for (body, expected) in
        [(capture, first.to_owned()), (resolved, second.to_owned()), (both.as_str(), format!("{first} & {second}"))]
    {
        assert_eq!(one(&wpg(), "/engine/rest/multi-payments/", body.as_bytes()), expected);
    }
    let json = r#"{"payment":{"merchant-account-resolver-category":"eu","request-id":"r-3"}}"#;
    assert_eq!(one(&wpg(), "/engine/rest/payments/", json.as_bytes()), second);
}

#[test]
fn latin_text_is_read_where_document_or_header_says_so() {
    let declared = b"<?xml version='1.0' encoding='ISO-8859-1'?><payment><request-id>r-\xFC</request-id></payment>";
    assert_eq!(one(&wpg(), "/rest/payments/", declared), "Payment, r-ü");
    let silent = b"<payment><request-id>r-\xFC</request-id></payment>";
    assert_eq!(one(&wpg(), "/rest/payments/", silent), format!("unreadable: {}", Unreadable::Xml));
    let told = HttpRequest { content_type: Some("text/xml; charset=ISO-8859-1"), ..post("/rest/payments/", silent) };
    assert!(matches!(read(&wpg(), &told), Ok(Request::Submits(facts)) if line(&facts[0]) == "Payment, r-ü"));
}

#[test]
fn every_checkout_request_is_told_by_its_path() {
    let init = "customerId=D299999&shopRequestId=r-1&orderReference=1001&amount=12%2C50&currency=978&paymentType=CCARD&\
                orderNumber=7000001&orderDescription=Jane+Doe&consumerEmail=jane%40doe.example&cardholdername=Jane";
    let started = "Payment, r-1, order 1001, 12.50 EUR, CCARD, number 7000001, at D299999";
    for path in ["/page/init.php", "/qpay/init-server.php", "/seamless/frontend/init"] {
        assert_eq!(one(&checkout(), path, init.as_bytes()), started, "{path}");
    }
    let select = init.replace("CCARD", "SELECT");
    assert_eq!(one(&checkout(), "/page/init.php", select.as_bytes()), started.replace("CCARD, ", ""));
    let storage = "customerId=D299999&orderIdent=1&pan=4111111111111111";
    assert_eq!(one(&checkout(), "/seamless/dataStorage/init", storage.as_bytes()), "Asks(DataStorage)");
}

#[test]
fn back_end_operations_name_the_order_they_act_on() {
    for (operation, fields, expected) in [
        ("deposit", "orderNumber=7&amount=3.10&currency=EUR", "deposit, 3.10 EUR, number 7"),
        ("approveReversal", "orderNumber=7", "approveReversal, number 7"),
        ("depositReversal", "orderNumber=7&paymentNumber=8", "depositReversal, number 7, payment:8"),
        ("refundReversal", "orderNumber=7&creditNumber=9", "refundReversal, number 7, credit:9"),
        (
            "recurPayment",
            "sourceOrderNumber=6&amount=1&currency=EUR&orderReference=1002",
            "recurPayment, order 1002, 1.00 EUR, from 6",
        ),
        (
            "transferFund",
            "amount=1&currency=EUR&fundTransferType=SEPA-CT&bankAccountOwner=Jane&bankAccountIban=AT611904300234573201",
            "transferFund, 1.00 EUR",
        ),
        ("getorderdetails", "orderNumber=7", "Asks(BackEnd(GetOrderDetails))"),
        ("generateOrderNumber", "", "Asks(BackEnd(GenerateOrderNumber))"),
        ("getFinancialInstitutions", "paymentType=EPS", "Asks(BackEnd(GetFinancialInstitutions))"),
    ] {
        let common = format!("language=en&{fields}");
        assert_eq!(one(&checkout(), &format!("/seamless/backend/{operation}"), common.as_bytes()), expected);
        let page = format!("command={operation}&{common}");
        assert_eq!(one(&checkout(), "/page/toolkit.php", page.as_bytes()), expected);
    }
}

#[test]
fn an_operation_in_an_address_is_read_like_one_in_a_body() {
    let get = |path: &str| match read(&checkout(), &HttpRequest { method: "GET", path, content_type: None, body: b"" })
    {
        Ok(Request::Submits(all)) => all.iter().map(line).collect::<Vec<_>>().join(" & "),
        Ok(other) => format!("{other:?}"),
        Err(why) => format!("unreadable: {why}"),
    };
    for (path, expected) in [
        ("/page/init-server.php?shopRequestId=r-1&amount=12%2C50&currency=EUR", "Payment, r-1, 12.50 EUR"),
        ("/page/toolkit.php?command=refund&orderNumber=7&amount=1&currency=EUR", "refund, 1.00 EUR, number 7"),
        ("/seamless/backend/approveReversal?orderNumber=7#top", "approveReversal, number 7"),
        ("/seamless/backend/getOrderDetails?orderNumber=7", "Asks(BackEnd(GetOrderDetails))"),
        ("/page/toolkit.php?orderNumber=7", "unreadable: the form names no back-end operation that the gateway has"),
        ("/page/toolkit.php?", "Unknown"),
        ("/page/toolkit.php#?command=refund", "Unknown"),
        ("/page/style.css?command=refund", "Unknown"),
        ("/seamless/frontend/init?shopRequestId=4111111111111111&pan=4111111111111111", "Payment"),
    ] {
        assert_eq!(get(path), expected, "{path}");
    }
}

#[test]
fn what_asks_and_what_nobody_knows_is_passed_by() {
    for (contract, method, path, expected) in [
        (wpg(), "GET", "/engine/rest/merchants/m/payments/t", Ok(Request::Asks(Question::Retrieval))),
        (
            wpg(),
            "GET",
            "/engine/rest/resolver-category/c/payments/?request_id=r",
            Ok(Request::Asks(Question::Retrieval)),
        ),
        (wpg(), "POST", "/engine/rest/merchants/m/payments/t", Ok(Request::Unknown)),
        (wpg(), "DELETE", "/engine/rest/payments/", Ok(Request::Unknown)),
        (wpg(), "POST", "/engine/status/", Ok(Request::Unknown)),
        (wpg(), "POST", "", Ok(Request::Unknown)),
        (wpg(), "POST", "/engine/rest/payments/", Err(Unreadable::Empty)),
        (checkout(), "GET", "/page/init.php", Ok(Request::Unknown)),
        (checkout(), "POST", "/seamless/backend/makeMeRich", Ok(Request::Unknown)),
        (checkout(), "POST", "/page/toolkit.php", Err(Unreadable::Empty)),
    ] {
        let request = HttpRequest { method, path, content_type: None, body: b"" };
        assert_eq!(read(&contract, &request), expected, "{method} {path}");
    }
}

#[test]
fn a_body_that_holds_no_payment_is_named_and_never_shown() {
    let large = vec![b' '; 8 * 1024 * 1024 + 1];
    for (contract, path, body, expected) in [
        (wpg(), "/rest/payments/", &b"<C4111111111111111/>"[..], Unreadable::Xml),
        (wpg(), "/rest/payments/", b"<payment>", Unreadable::Xml),
        (wpg(), "/rest/payments/", b"<payments/>", Unreadable::Xml),
        (wpg(), "/rest/payments/", b"{\"4111111111111111\":1}", Unreadable::Json),
        (wpg(), "/rest/payments/", b"{\"payments\":{}}", Unreadable::Json),
        (wpg(), "/rest/payments/", b"4111111111111111=1", Unreadable::NeitherFormat),
        (wpg(), "/rest/payments/", &large, Unreadable::TooLong { bytes: large.len(), max: large.len() - 1 }),
        (checkout(), "/page/init.php", b"<a/>", Unreadable::Form),
        (checkout(), "/page/init.php", b"amount=1&amount=2", Unreadable::Twice { name: "amount" }),
        (checkout(), "/page/toolkit.php", b"command=4111111111111111", Unreadable::NoOperation),
        (checkout(), "/page/toolkit.php", b"orderNumber=7", Unreadable::NoOperation),
    ] {
        assert_eq!(read(&contract, &post(path, body)), Err(expected), "{path}");
        assert!(!format!("{expected:?} {expected}").contains("4111"));
    }
    // The same value twice says one thing.
    assert!(one(&checkout(), "/page/init.php", b"amount=1&amount=1&currency=EUR").contains("1.00 EUR"));
}

#[test]
fn ids_that_only_resemble_a_number_of_the_payer_are_kept() {
    let body = |id: &str, card: &str| {
        format!("<payment><request-id>{id}</request-id><card><account-number>{card}</account-number></card></payment>")
    };
    for (id, card, expected) in [
        ("r-4111111111111111", "4111111111111111", "Payment"),
        ("4111-1111-1111-1111", "4111 1111 1111 1111", "Payment"),
        ("r-4111111111111112", "4111111111111111", "Payment, r-4111111111111112"),
        ("4111111111111111", "", "Payment, 4111111111111111"),
        ("r-1", "1", "Payment, r-1"),
        ("ä4111111111111111ä", "4111111111111111", "Payment"),
    ] {
        assert_eq!(one(&wpg(), "/rest/payments/", body(id, card).as_bytes()), expected, "{id} {card}");
    }
}

#[test]
fn an_answer_that_repeats_a_number_of_the_payer_is_known_by_it() {
    let request = "<payment><request-id>r-1</request-id><card><account-number>4111 1111 1111 1111</account-number></card>\
                   <bank-account><iban>AT611904300234573201</iban></bank-account></payment>";
    let read = |body: &str| read_private(&wpg(), &post("/rest/payments/", body.as_bytes())).expect("a payment").1;
    let private = read(request);
    assert!(!format!("{private:?}").contains('4'));
    let said = |order: &str| Transaction { order_number: Some(order.to_owned()), ..Transaction::default() };
    for (order, is_repeated) in [
        ("4111111111111111", true),
        ("o-4111-1111-1111-1111", true),
        ("at61 1904 3002 3457 3201", true),
        ("4111111111111112", false),
        ("411111******1111", false),
        ("o-1", false),
    ] {
        assert_eq!(private.is_repeated_in(&[said("o-0"), said(order)]), is_repeated, "{order}");
    }
    let custom = [("securityCriteria".to_owned(), "4111111111111111".to_owned())];
    assert!(private.is_repeated_in(&[Transaction { custom_fields: custom.into(), ..Transaction::default() }]));
    let without = read("<payment><request-id>r-1</request-id></payment>");
    assert!(!without.is_repeated_in(&[said("4111111111111111")]), "it is an order number like any other");
}

/// A card number, a CVC and an IBAN wherever a shop may put them.
#[test]
fn no_card_cvc_iban_name_or_mail_ever_comes_through() {
    const PAN: &str = "4111111111111111";
    const CVC: &str = "987";
    const IBAN: &str = "AT611904300234573201";
    let private = |shown: &str| {
        [PAN, CVC, IBAN, "4111", "6119", "Jane", "Doe", "doe.example"].into_iter().find(|text| shown.contains(text))
    };
    let names = [
        "request-id",
        "order-number",
        "order-detail",
        "descriptor",
        "transaction-type",
        "parent-transaction-id",
        "merchant-account-id",
        "merchant-account-resolver-category",
        "consumer-id",
        "ip-address",
        "requested-amount",
    ];
    let spaced = "4111 1111 1111 1111";
    for canary in [PAN, spaced, IBAN] {
        for canary_at in names {
            let fields: String = names
                .iter()
                .map(|name| {
                    let value = if *name == canary_at { canary } else { "x" };
                    format!("<{name}>{value}</{name}>")
                })
                .collect();
            let card = format!(
                "<card><account-number>{PAN}</account-number><card-security-code>{CVC}</card-security-code></card>\
                 <bank-account><iban>{IBAN}</iban></bank-account><account-holder><last-name>Jane Doe</last-name>\
                 <email>jane@doe.example</email></account-holder><custom-fields>\
                 <custom-field field-name=\"pan\" field-value=\"{PAN}\"/></custom-fields>\
                 <payment-methods><payment-method name=\"{canary}\"/></payment-methods>"
            );
            let body = format!("<payment>{fields}{card}</payment>");
            let shown = format!("{:?}", read(&wpg(), &post("/rest/payments/", body.as_bytes())));
            assert_eq!(private(&shown), None, "{canary_at}: {shown}");
            let pairs: String = names
                .iter()
                .map(|name| {
                    let value = if *name == canary_at { canary } else { "x" };
                    format!("{}={value}&", name.replace('-', "_"))
                })
                .collect();
            let body = format!(
                "{pairs}account_number={PAN}&card_security_code={CVC}&bank_account_iban={IBAN}&\
                                last_name=Jane+Doe&email=jane%40doe.example&payment_method={canary}"
            );
            let shown = format!("{:?}", read(&wpg(), &post("/rest/payments/", body.as_bytes())));
            assert_eq!(private(&shown), None, "{canary_at}: {shown}");
        }
        for canary_at in ["shopRequestId", "orderReference", "orderNumber", "paymentType", "customerId", "creditNumber"]
        {
            let body = format!(
                "{canary_at}={canary}&bankAccountOwner=Jane+Doe&bankAccountIban={IBAN}&pan={PAN}&cardverifycode={CVC}&\
                 consumerEmail=jane%40doe.example&orderDescription=Jane"
            );
            for path in ["/page/init.php", "/seamless/backend/transferFund", "/seamless/backend/refundReversal"] {
                let shown = format!("{:?}", read(&checkout(), &post(path, body.as_bytes())));
                assert_eq!(private(&shown), None, "{canary_at}: {shown}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn nothing_a_stranger_sends_makes_it_panic(
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        path in "[a-z/.?-]{0,30}",
    ) {
        for path in [path.as_str(), "/engine/rest/payments/", "/page/toolkit.php", "/page/init.php"] {
            for contract in [wpg(), checkout()] {
                // Any answer will do, as long as there is one.
                let _answer = read(&contract, &post(path, &body));
            }
        }
    }
}
