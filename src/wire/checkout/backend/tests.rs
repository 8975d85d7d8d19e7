use jiff::tz::TimeZone;

use super::super::encode::{self, CreditDetails, OrderDetails, PaymentDetails};
use super::*;
use crate::core::message::{Status, Transaction};
use crate::words::money::{Amount, StatedAmount};
use crate::words::time::Timestamp;

const PAGE: Credentials<'_> = Credentials {
    product: Product::Page,
    customer_id: "D700001",
    shop_id: None,
    password: "p w",
    secret: "S3cret",
    algorithm: Scheme::HmacSha512,
};
const SEAMLESS: Credentials<'_> = Credentials { product: Product::Seamless, shop_id: Some("shop-1"), ..PAGE };

fn number(text: &str) -> GatewayOrderNumber {
    GatewayOrderNumber::new(text).expect("a number")
}

fn asked() -> Query {
    Query::OrderDetails { gateway_order_number: number("7000001") }
}

fn eur(value: &str) -> Amount {
    Amount::parse(value, "EUR").expect("money")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Fingerprints from `openssl dgst -sha512 -hmac S3cret` over the values in the documented order.
#[test]
fn a_question_is_written_as_each_product_wants_it() {
    let page = order_details(&PAGE, &number("7000001"));
    assert_eq!(page.path, "/toolkit.php");
    assert_eq!(
        page.body,
        "customerId=D700001&toolkitPassword=p+w&command=getOrderDetails&language=en&orderNumber=7000001&requestFingerprint=9670299b58036e821aa19d84ef4898a3f8aa40183c303d96fcb60548978df58c8dd9c5d26ad86d686188e7a98987680458cf0de82c9193a647d2d4fbfc8d2ac3"
    );
    let seamless = order_details(&SEAMLESS, &number("7000001"));
    assert_eq!(seamless.path, "/backend/getOrderDetails");
    assert_eq!(
        seamless.body,
        "customerId=D700001&shopId=shop-1&password=p+w&language=en&orderNumber=7000001&requestFingerprint=265289a5641c2d3d8c3669cbfc04f1b55c9154b1b982d34acf417562caa6dfe06b89a95d72979b401ceb0c2c4bcf602125b6b5820d0077691a82b993aa498fe5"
    );
    assert_eq!(generate_order_number(&SEAMLESS).path, "/backend/generateOrderNumber");
    assert!(generate_order_number(&PAGE).body.contains("command=generateOrderNumber"));
}

#[test]
fn requests_and_credentials_print_no_secret() {
    let text = format!("{:?} {:?}", order_details(&PAGE, &number("1")), PAGE);
    for secret in ["p w", "p+w", "S3cret", "requestFingerprint"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn the_gateway_accepts_what_we_sign_and_nothing_else() {
    for product in [Product::Page, Product::Seamless] {
        for algorithm in [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5] {
            let c = Credentials { product, algorithm, ..SEAMLESS };
            for request in [order_details(&c, &number("7000001")), generate_order_number(&c)] {
                let body = request.body;
                assert!(encode::verify_request(body.as_bytes(), &c), "{product:?} {algorithm:?}");
                let doubled = format!("{body}&orderNumber=7000001");
                let other = body.replace("language=en", "language=de");
                for forged in [doubled.as_str(), other.as_str(), "", "a=b"] {
                    assert!(!encode::verify_request(forged.as_bytes(), &c), "{forged}");
                }
                for wrong in [
                    Credentials { secret: "s3cret", ..c },
                    Credentials { password: "other", ..c },
                    Credentials { shop_id: None, ..c },
                    Credentials { customer_id: "D700002", ..c },
                    Credentials { algorithm: Scheme::NvpV2, ..c },
                ] {
                    assert!(!encode::verify_request(body.as_bytes(), &wrong), "{wrong:?}");
                }
            }
        }
    }
}

fn captured_order() -> OrderDetails {
    OrderDetails {
        order_number: "7000001".into(),
        state: "ORDERED".into(),
        payment_type: "SUE".into(),
        brand: "sofortueberweisung".into(),
        amount: eur("12.50"),
        operations_allowed: String::new(),
        created_at: at("2026-01-10T09:00:00Z"),
        modified_at: at("2026-01-10T09:05:00Z"),
        payments: vec![PaymentDetails {
            payment_number: "7000001".into(),
            state: "payment_deposited".into(),
            approve_amount: eur("12.50"),
            deposit_amount: eur("10"),
            operations_allowed: "DEPOSITREVERSAL".into(),
            security_criteria: Some(false),
            created_at: at("2026-01-10T09:00:00Z"),
            modified_at: at("2026-07-10T09:05:00Z"),
        }],
        credits: vec![CreditDetails {
            credit_number: "7000009".into(),
            state: "credit_refunded".into(),
            amount: eur("2.50"),
            created_at: at("2026-01-11T09:00:00Z"),
            modified_at: at("2026-01-11T09:00:00Z"),
        }],
    }
}

#[test]
fn an_order_is_read_with_its_payments_and_credits() {
    let body = encode::order_details_reply(&captured_order());
    assert!(body.contains("order.1.depositAmount=10.00") && body.contains("order.1.approveAmount=0&"), "{body}");
    let answer = answer(&asked(), 200, body.as_bytes());
    let fields = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let transaction = |id: &str, kind: &str, state: &str, amount: &str, time: &str| Transaction {
        transaction_id: Some(id.into()),
        parent_transaction_id: (kind != "order").then(|| "order:7000001".into()),
        transaction_type: Some(kind.into()),
        transaction_state: Some(state.into()),
        amount: Some(StatedAmount::from(eur(amount))),
        completed_at: Some(at(time)),
        ..Transaction::default()
    };
    assert_eq!(answer.outcome, Outcome::Found);
    assert_eq!(
        answer.transactions,
        [
            Transaction {
                payment_methods: vec!["SUE".into()],
                ..transaction("order:7000001", "order", "ORDERED", "12.50", "2026-01-10T09:05:00Z")
            },
            Transaction {
                payment_methods: vec!["SUE".into()],
                custom_fields: fields(&[("operationsAllowed", "DEPOSITREVERSAL"), ("securityCriteria", "0")]),
                ..transaction("payment:7000001", "payment", "payment_deposited", "10", "2026-07-10T09:05:00Z")
            },
            transaction("credit:7000009", "credit", "credit_refunded", "2.50", "2026-01-11T09:00:00Z"),
        ]
    );
    let digest = answer.digest.expect("a digest");
    assert_eq!(digest.len(), 64);
}

#[test]
fn a_payment_counts_with_what_was_captured_once_it_was() {
    for (state, amount) in [
        ("payment_approved", "12.50"),
        ("payment_approvalexpired", "12.50"),
        ("payment_deposited", "10.00"),
        ("payment_closed", "10.00"),
        ("payment_somethingnew", "12.50"),
    ] {
        let mut order = captured_order();
        order.payments[0].state = state.into();
        let answer = answer(&asked(), 200, encode::order_details_reply(&order).as_bytes());
        assert_eq!(answer.transactions[1].amount.map(StatedAmount::value_text).as_deref(), Some(amount), "{state}");
        assert_eq!(answer.transactions[1].transaction_state.as_deref(), Some(state));
    }
}

/// What is left out of an answer counts, so half an answer is none.
#[test]
fn an_answer_is_taken_whole_or_not_at_all() {
    let whole = encode::order_details_reply(&captured_order());
    for (from, to, why) in [
        ("order.1.payments=1", "order.1.payments=2", "announces `2` payment objects and brings 1"),
        ("order.1.credits=1", "order.1.credits=0", "announces `0` credit objects and brings 1"),
        ("order.1.credits=1", "order.1.creditz=1", "announces `` credit objects and brings 1"),
        ("order.1.orderNumber=7000001", "order.1.orderNumber=7000002", "about order 7000002, not about 7000001"),
        ("order.1.orderNumber=7000001", "order.1.orderNumber=x", "order.1.orderNumber is `x`"),
        ("payment.1.1.", "payment.1.2.", "announces `1` payment objects"),
        ("payment.1.1.", "payment.1.x.", "belongs to no object"),
        ("paymentNumber=7000001", "paymentNumber=", "payment.1.1.paymentNumber is ``"),
        ("payment.1.1.state=payment_deposited", "payment.1.1.state=", "payment.1.1.state is ``"),
        ("payment.1.1.depositAmount=10.00", "payment.1.1.depositAmount=ten", "depositAmount is `ten`"),
        ("payment.1.1.depositAmount=10.00", "payment.1.1.depositAmount=-1", "depositAmount is `-1`"),
        ("payment.1.1.currency=EUR", "payment.1.1.currency=EUX", "without a currency we know"),
        ("orders=1", "orders=2", "2 orders where one was asked for"),
        ("orders=1", "x=1", "`orders` is missing"),
        ("status=0", "status=7", "status `7`"),
        ("status=0", "stat=0", "`status` is missing"),
        ("status=0", "status=0&status=0", "`status` occurs twice"),
    ] {
        assert!(whole.contains(from), "{from}");
        let answer = answer(&asked(), 200, whole.replace(from, to).as_bytes());
        assert_eq!(answer.transactions, [], "{to}");
        match answer.outcome {
            Outcome::Unavailable { why: said, retry_after: None } => assert!(said.contains(why), "{to}: {said}"),
            other => panic!("{to}: {other:?}"),
        }
    }
}

fn order_in_state(state: &str, codes: &[&str]) -> (&'static str, Vec<Transaction>) {
    let transaction = Transaction {
        transaction_id: Some("order:7000001".into()),
        transaction_type: Some("order".into()),
        transaction_state: Some(state.into()),
        statuses: codes.iter().map(|c| Status { code: (*c).into(), severity: Some("error".into()) }).collect(),
        ..Transaction::default()
    };
    ("found", vec![transaction])
}

#[test]
fn every_kind_of_reply_has_its_outcome() {
    let rejected = |codes| order_in_state("rejected", codes);
    let unresolved = |codes| order_in_state("unresolved", codes);
    let refused = ("refused", Vec::new());
    let unavailable = ("unavailable", Vec::new());
    for (http_status, body, expected) in [
        (200, "status=0&objectsTotal=0&orders=0", ("not found", Vec::new())),
        (200, "status=2&errorCode=20003&message=No", rejected(&["20003"])),
        (200, "status=2&errors=1&error.1.errorCode=20003", rejected(&["20003"])),
        (200, "status=2&errors=1&error_1_errorCode=20003", rejected(&["20003"])),
        (200, "status=2&errors=2&error.1.errorCode=20003&error.2.errorCode=30014", unresolved(&["20003", "30014"])),
        (200, "status=3&errorCode=20003", unresolved(&["20003"])),
        (200, "status=2&errorCode=20010", unresolved(&["20010"])),
        (200, "status=2&errorCode=29999", unresolved(&["29999"])),
        (200, "status=2", unresolved(&[])),
        (200, "status=3&errorCode=30014", unresolved(&["30014"])),
        (200, "status=3&errorCode=30012", unresolved(&["30012"])),
        (200, "status=3&errorCode=30016", unresolved(&["30016"])),
        (200, "status=3&errorCode=30017", unresolved(&["30017"])),
        (200, "status=3&errorCode=30000", unresolved(&["30000"])),
        (200, "status=3&errorCode=30006", unresolved(&["30006"])),
        (200, "status=1&errorCode=13050", unresolved(&["13050"])),
        (200, "status=3&errorCode=30003", unavailable.clone()),
        (200, "status=3&errorCode=30011", unavailable.clone()),
        (200, "status=4&message=internal", unavailable.clone()),
        (200, "status=4&errorCode=30014", unavailable.clone()),
        (200, "status=1&errorCode=11011", refused.clone()),
        (200, "status=1&errors=1&error.1.errorCode=18011", refused.clone()),
        (200, "status=1", refused.clone()),
        (200, "status=3&errorCode=30013", refused.clone()),
        (200, "status=3&errorCode=31000", refused.clone()),
        (401, "status=0&orders=0", refused.clone()),
        (403, "", refused.clone()),
        (404, "status=0&orders=0", unavailable.clone()),
        (302, "", unavailable.clone()),
        (429, "", unavailable.clone()),
        (500, "status=0&orders=0", unavailable.clone()),
        (503, "<html>", unavailable.clone()),
        (200, "", unavailable.clone()),
        (200, "  <!DOCTYPE html><html lang=de>", unavailable.clone()),
        (200, "{\"status\":\"0\"}", unavailable.clone()),
        (200, "OK", unavailable.clone()),
    ] {
        let answer = answer(&asked(), http_status, body.as_bytes());
        let outcome = match answer.outcome {
            Outcome::Found => "found",
            Outcome::NotFound => "not found",
            Outcome::Unavailable { .. } => "unavailable",
            Outcome::Refused { .. } => "refused",
        };
        assert_eq!((outcome, answer.transactions), expected, "HTTP {http_status} {body}");
        assert_eq!(answer.digest.is_some(), !body.is_empty());
    }
}

#[test]
fn an_order_number_is_read_or_refused_with_its_reason() {
    let given = read_order_number(200, encode::order_number_reply("7000001").as_bytes());
    assert_eq!(given, Ok(number("7000001")));
    for body in [
        "status=0",
        "status=0&orderNumber=",
        "status=0&orderNumber=0123",
        "status=0&orderNumber=1234567890",
        "status=3&errorCode=30014",
        "",
        "<html>",
    ] {
        assert!(matches!(read_order_number(200, body.as_bytes()), Err(OrderNumberError::Unavailable { .. })), "{body}");
    }
    for body in [
        encode::error_reply(Product::Page, 1, "11500", "Customer id is missing."),
        encode::error_reply(Product::Seamless, 1, "11500", "Customer id is missing."),
    ] {
        let refused = OrderNumberError::Refused { why: "error 11500".into() };
        assert_eq!(read_order_number(200, body.as_bytes()), Err(refused));
    }
    assert!(matches!(read_order_number(403, b""), Err(OrderNumberError::Refused { .. })));
}

#[test]
fn times_are_viennas_and_of_a_doubled_hour_the_earlier() {
    let vienna = TimeZone::get("Europe/Vienna").expect("the zone is bundled");
    for (text, expected) in [
        ("09.11.2022 07:54:28", Some("2022-11-09T06:54:28Z")),
        ("28.03.2022 15:15:22", Some("2022-03-28T13:15:22Z")),
        ("25.10.2026 02:30:00", Some("2026-10-25T00:30:00Z")),
        ("25.10.2026 03:00:00", Some("2026-10-25T02:00:00Z")),
        ("29.03.2026 02:30:00", Some("2026-03-29T01:30:00Z")),
        ("31.02.2026 00:00:00", None),
        ("2026-01-01 00:00:00", None),
        ("1.1.2026 00:00:00", None),
        ("01.01.2026 24:00:00", None),
        ("01.01.2026", None),
        ("", None),
    ] {
        assert_eq!(super::order_details::moment(text, &vienna), expected.map(at), "{text}");
    }
}

#[test]
fn texts_of_the_older_engine_do_not_hinder_the_reading() {
    let mut body = encode::order_details_reply(&captured_order()).into_bytes();
    body.extend_from_slice(b"&order.1.orderDescription=%D6sterreich%0A");
    assert_eq!(answer(&asked(), 200, &body).outcome, Outcome::Found);
}

#[test]
fn a_reply_kept_as_a_file_is_read_without_a_question() {
    let body = encode::order_details_reply(&captured_order());
    assert!(is_reply(body.as_bytes()) && !is_reply(b"paymentState=SUCCESS&status=0") && !is_reply(b"<a/>"));
    let message = decode_reply(body.as_bytes()).expect("a reply");
    assert_eq!(message.transactions.len(), 3);
    assert_eq!(message.gateway_order_number.as_deref(), Some("7000001"));
    assert_eq!(message.authenticity.verdict(), "unverifiable");
    let refused = decode_reply(b"status=1&errorCode=11011").expect("a reply");
    assert_eq!((refused.transactions.len(), refused.error_code.as_deref()), (0, Some("11011")));
    assert_eq!(refused.unverified.get("errorCode").map(String::as_str), Some("11011"), "what was refused is told");
    let none = decode_reply(b"status=0&orderNumber=").expect("a reply");
    assert_eq!(none.gateway_order_number, None);
    let deposited = decode_reply(b"status=0&paymentNumber=23473341").expect("the reply to a deposit");
    assert!(deposited.transactions.is_empty());
    assert_eq!(deposited.unverified.get("paymentNumber").map(String::as_str), Some("23473341"));
    let number = decode_reply(b"status=0&orderNumber=1113051").expect("the reply to generateOrderNumber");
    assert_eq!(number.gateway_order_number.as_deref(), Some("1113051"));
    assert!(decode_reply(b"status=0&orders=2").is_err(), "details that cannot be read are none");
}

#[test]
fn only_order_details_can_be_asked() {
    let query = Query::Group {
        merchant_account_id: "m".into(),
        root: crate::words::id::TransactionId::new("t").expect("an id"),
    };
    assert!(matches!(answer(&query, 200, b"status=0&orders=0").outcome, Outcome::Refused { .. }));
}
