//! A shop that pays and works through the simulated Checkout as it would through the real one.

use super::*;
use crate::core::account::{Checkout, Contract, Product};
use crate::wire::checkout::init;
use crate::wire::checkout::operations::{self, Fund, Money, Operation};

const SECRET: &str = "example-secret-of-shop-at";

/// The example shop on the other product.
pub(super) fn on_page() -> Gateway {
    let mut shops = example_shops();
    if let Contract::Checkout(contract) = &mut shops[1].account.contract {
        contract.product = Product::Page;
    }
    Gateway::new(7, shops)
}

pub(super) fn contract(gateway: &Gateway) -> Checkout {
    gateway.shops().find_map(|shop| shop.checkout()).expect("a checkout shop").clone()
}

pub(super) fn credentials(contract: &Checkout) -> Credentials<'_> {
    Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: "example-password",
        secret: SECRET,
        algorithm: contract.algorithm,
    }
}

fn reply(gateway: &mut Gateway, now: Timestamp, target: &str, body: &str) -> Reply {
    let headers = [("host".to_owned(), "127.0.0.1:8090".to_owned())];
    gateway.answer(now, &Request { method: "POST", target, headers: &headers, body: body.as_bytes() })
}

pub(super) fn post(gateway: &mut Gateway, now: Timestamp, target: &str, body: &str) -> Answer {
    match reply(gateway, now, target, body) {
        Reply::Answer(answer) => answer,
        other => panic!("no answer but {other:?}"),
    }
}

pub(super) fn said(answer: &Answer) -> BTreeMap<String, String> {
    super::super::answer::form(&answer.body).into_iter().collect()
}

pub(super) fn operate(gateway: &mut Gateway, now: Timestamp, operation: &Operation<'_>) -> BTreeMap<String, String> {
    let contract = contract(gateway);
    let request = operations::request(&credentials(&contract), operation);
    said(&post(gateway, now, &request.path, &request.body))
}

/// The first error code of a reply, or its status.
pub(super) fn outcome(reply: &BTreeMap<String, String>) -> &str {
    let code = reply.get("errorCode").or_else(|| reply.get("error.1.errorCode"));
    code.or_else(|| reply.get("status")).map_or("none", String::as_str)
}

/// What a shop sends to start a payment, with some fields changed or left out (`None`).
fn started<'a>(changes: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("customerId", "D299999"),
        ("shopId", "sandbox"),
        ("language", "en"),
        ("paymentType", "CCARD"),
        ("amount", "12,50"),
        ("currency", "EUR"),
        ("orderDescription", "two lamps"),
        ("orderReference", "1001"),
        ("shopRequestId", "r-1"),
        ("shopSession", "s 7"),
        ("successUrl", "https://shop.example/ok"),
        ("failureUrl", "https://shop.example/no"),
        ("cancelUrl", "https://shop.example/off"),
        ("serviceUrl", "https://shop.example/help"),
        ("confirmUrl", "https://shop.example/confirm"),
        ("consumerIpAddress", "192.0.2.7"),
        ("consumerUserAgent", "a browser"),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    fields
}

pub(super) fn start_payment(gateway: &mut Gateway, now: Timestamp, changes: &[(&str, Option<&str>)]) -> Answer {
    let contract = contract(gateway);
    let body = init::signed(&started(changes), contract.algorithm, SECRET);
    let target = match contract.product {
        Product::Page => "/page/init-server.php",
        Product::Seamless => "/seamless/frontend/init",
    };
    post(gateway, now, target, &body)
}

pub(super) fn money(value: &str) -> Money<'_> {
    Money { value, currency: "EUR" }
}

pub(super) fn deposit<'a>(order_number: &'a str, value: &'a str) -> Operation<'a> {
    let (merchant_reference, customer_statement) = (None, None);
    Operation::Deposit { order_number, amount: money(value), merchant_reference, customer_statement, basket: &[] }
}

pub(super) fn refund<'a>(order_number: &'a str, value: &'a str) -> Operation<'a> {
    Operation::Refund { order_number, amount: money(value), merchant_reference: None, basket: &[], is_credit: false }
}

pub(super) fn euro(value: &str) -> Option<Amount> {
    Amount::parse(value, "EUR").ok()
}

/// What getOrderDetails shows: the order's state and every object with its amount.
pub(super) fn shown(gateway: &mut Gateway, now: Timestamp, number: &str) -> String {
    let contract = contract(gateway);
    let number = GatewayOrderNumber::new(number).expect("a number");
    let asked = backend::order_details(&credentials(&contract), &number);
    let reply = said(&post(gateway, now, &asked.path, &asked.body));
    let at = |key: String| reply.get(&key).cloned().unwrap_or_default();
    let mut line = at("order.1.state".into());
    for n in 1..=at("order.1.payments".into()).parse::<usize>().unwrap_or(0) {
        let (state, amount) = (at(format!("payment.1.{n}.state")), at(format!("payment.1.{n}.approveAmount")));
        line.push_str(&format!(" {} {amount}", state.trim_start_matches("payment_")));
    }
    for n in 1..=at("order.1.credits".into()).parse::<usize>().unwrap_or(0) {
        line.push_str(&format!(" {} {}", at(format!("credit.1.{n}.state")), at(format!("credit.1.{n}.amount"))));
    }
    line
}

/// A payment that the payer has made, and its number.
pub(super) fn paid(gateway: &mut Gateway, changes: &[(&str, Option<&str>)]) -> String {
    let number = gateway.generate_order_number().to_string();
    let with_number = [changes, &[("orderNumber", Some(number.as_str()))]].concat();
    let answer = start_payment(gateway, start(), &with_number);
    assert!(said(&answer).contains_key("redirectUrl"), "{}", String::from_utf8_lossy(&answer.body));
    number
}

#[test]
fn a_payer_is_sent_on_and_the_confirmation_returns_the_shops_own_parameters() {
    for mut gateway in [gateway(), on_page()] {
        let answer = start_payment(&mut gateway, start(), &[]);
        assert!(said(&answer)["redirectUrl"].starts_with("http://127.0.0.1:8090/"));
        let told = gateway.events(later(start(), minutes(1))).remove(0);
        assert_eq!(told.url, "http://127.0.0.1:8080/confirm/shop-at", "an https URL is not a desk's to call");
        let message = read(&gateway, &told);
        assert!(message.authenticity.is_verified(), "{:?}", message.authenticity);
        assert_eq!(message.custom["shopRequestId"], "r-1");
        assert_eq!(message.custom["shopSession"], "s 7");
        assert!(!message.custom.contains_key("orderReference") && !message.custom.contains_key("consumerIpAddress"));
        assert_eq!(gateway.truths(start())[0].order_number.as_str(), "1001");
    }
    let mut page = on_page();
    let body = init::signed(&started(&[]), contract(&page).algorithm, SECRET);
    let browser = post(&mut page, start(), "/page/init.php", &body);
    assert_eq!((browser.status, browser.location.is_some()), (302, true), "a browser is redirected");
}

#[test]
fn what_is_wrong_with_a_start_is_told_as_the_gateway_does() {
    let mut gateway = gateway();
    let number = gateway.generate_order_number().to_string();
    for (changes, expected) in [
        (&[("amount", None), ("currency", None)][..], "11017"),
        (&[("consumerUserAgent", None)], "11130"),
        (&[("amount", Some("12.505"))], "18017"),
        (&[("currency", Some("XXQ"))], "18019"),
        (&[("orderNumber", Some(number.as_str())), ("duplicateRequestCheck", Some("yes"))], "none"),
        (&[("orderNumber", Some(number.as_str())), ("duplicateRequestCheck", Some("yes"))], "13050"),
        (&[("orderNumber", Some(number.as_str()))], "13011"),
    ] {
        let answer = start_payment(&mut gateway, start(), changes);
        assert_eq!(outcome(&said(&answer)), expected, "{changes:?}");
    }
    let body = init::signed(&started(&[]), contract(&gateway).algorithm, SECRET).replace("12%2C50", "1%2C00");
    let altered = post(&mut gateway, start(), "/seamless/frontend/init", &body);
    assert_eq!(outcome(&said(&altered)), "18050");
    assert_eq!(gateway.payments().len(), 1);
    let storage = post(&mut gateway, start(), "/seamless/dataStorage/init", "customerId=D299999&shopId=sandbox");
    assert!(said(&storage).contains_key("storageId"));
}

#[test]
fn a_second_payment_under_one_own_id_is_a_payment_of_its_own() {
    let mut gateway = gateway();
    start_payment(&mut gateway, start(), &[]);
    start_payment(&mut gateway, start(), &[]);
    let told = gateway.events(later(start(), minutes(1)));
    let numbers: BTreeSet<_> = told.iter().filter_map(|o| read(&gateway, o).gateway_order_number).collect();
    assert_eq!((told.len(), numbers.len()), (2, 2));
    assert!(told.iter().all(|outgoing| read(&gateway, outgoing).custom["shopRequestId"] == "r-1"));
}

#[test]
fn a_hold_is_captured_in_parts_closed_and_refunded() {
    for mut gateway in [gateway(), on_page()] {
        let number = paid(&mut gateway, &[]);
        let at = |age| later(start(), age);
        assert_eq!(shown(&mut gateway, at(minutes(1)), &number), "ORDERED approved 12.50");
        let part = operate(&mut gateway, at(minutes(2)), &deposit(&number, "10.00"));
        assert!(part["paymentNumber"] != number, "a part becomes a payment of its own");
        assert_eq!(shown(&mut gateway, at(minutes(2)), &number), "ORDERED approved 2.50 deposited 10.00");
        assert_eq!(outcome(&operate(&mut gateway, at(minutes(3)), &deposit(&number, "2.51"))), "18017");
        assert_eq!(
            outcome(&operate(&mut gateway, at(minutes(3)), &refund(&number, "1.00"))),
            "14008",
            "not closed yet"
        );
        let rest = operate(&mut gateway, at(minutes(3)), &deposit(&number, "2,50"));
        assert_eq!(rest["paymentNumber"], number);
        let next_day = at(days(1));
        assert_eq!(shown(&mut gateway, next_day, &number), "REFUNDABLE closed 2.50 closed 10.00");
        let credit = operate(&mut gateway, next_day, &refund(&number, "4.00"))["creditNumber"].clone();
        assert_eq!(outcome(&operate(&mut gateway, next_day, &refund(&number, "8.51"))), "18017", "more than is left");
        assert!(shown(&mut gateway, next_day, &number).ends_with("credit_refunded 4.00"));
        let back = Operation::RefundReversal { order_number: &number, credit_number: &credit };
        assert_eq!(outcome(&operate(&mut gateway, next_day, &back)), "0");
        assert_eq!(outcome(&operate(&mut gateway, next_day, &back)), "18013", "the credit vanished");
        operate(&mut gateway, next_day, &refund(&number, "12.50"));
        assert!(shown(&mut gateway, at(days(2)), &number).ends_with("credit_closed 12.50"));
        let truth = gateway.truths(at(days(2))).remove(0);
        // The first refund went out and came back.
        assert_eq!((truth.received(), truth.paid_out(), truth.held()), (euro("16.50"), euro("16.50"), euro("0")));
    }
}

#[test]
fn captures_and_holds_are_taken_back_before_the_day_is_closed() {
    let mut gateway = gateway();
    let number = paid(&mut gateway, &[("autoDeposit", Some("yes"))]);
    let now = later(start(), minutes(10));
    let reversal = Operation::DepositReversal { order_number: &number, payment_number: &number };
    let wrong = Operation::DepositReversal { order_number: &number, payment_number: "9" };
    assert_eq!(outcome(&operate(&mut gateway, now, &wrong)), "18012");
    let release = Operation::ApproveReversal { order_number: &number };
    assert_eq!(outcome(&operate(&mut gateway, now, &release)), "14008", "it is captured");
    assert_eq!(outcome(&operate(&mut gateway, now, &reversal)), "0");
    assert_eq!(shown(&mut gateway, now, &number), "ORDERED approved 12.50");
    assert_eq!(outcome(&operate(&mut gateway, now, &release)), "0");
    assert_eq!(shown(&mut gateway, now, &number), "ORDERED", "the payment object vanished");
    assert_eq!(shown(&mut gateway, later(now, days(2)), &number), "ORDERED", "and no closing brings it back");
    let truth = gateway.truths(later(now, days(2))).remove(0);
    assert_eq!((truth.received(), truth.paid_out(), truth.held()), (euro("12.50"), euro("12.50"), euro("0")));
    for (operation, expected) in
        [(Operation::ApproveReversal { order_number: "9" }, "18011"), (deposit(&number, "1.00"), "14008")]
    {
        assert_eq!(outcome(&operate(&mut gateway, now, &operation)), expected, "{operation:?}");
    }
}

#[test]
fn payments_recur_and_money_is_sent_under_numbers_that_hold_once() {
    let mut gateway = gateway();
    let source = paid(&mut gateway, &[]);
    let now = later(start(), minutes(10));
    let number = gateway.generate_order_number().to_string();
    let recur = |source| Operation::RecurPayment {
        order_number: Some(&number),
        source_order_number: source,
        auto_deposit: Some(true),
        order_description: "the next month",
        amount: money("12.50"),
        order_reference: Some("1002"),
        customer_statement: None,
        further: &[],
    };
    assert_eq!(outcome(&operate(&mut gateway, now, &recur("9"))), "18159");
    assert_eq!(operate(&mut gateway, now, &recur(&source))["orderNumber"], number);
    assert_eq!(outcome(&operate(&mut gateway, now, &recur(&source))), "13011", "a repeat is refused");
    assert_eq!(shown(&mut gateway, later(now, minutes(10)), &number), "ORDERED deposited 12.50");
    let credit = gateway.generate_order_number().to_string();
    let transfer = |fund| Operation::TransferFund {
        order_number: None,
        credit_number: Some(&credit),
        order_description: "money back",
        amount: money("3.00"),
        order_reference: Some("1003"),
        customer_statement: None,
        fund,
    };
    let existing = transfer(Fund::ExistingOrder { source_order_number: &number });
    assert_eq!(operate(&mut gateway, now, &existing)["creditNumber"], credit);
    assert_eq!(outcome(&operate(&mut gateway, now, &existing)), "13013", "a repeat is refused");
    let free = Operation::TransferFund {
        order_number: None,
        credit_number: None,
        order_description: "money back",
        amount: money("2.00"),
        order_reference: Some("1003"),
        customer_statement: None,
        fund: Fund::SepaCreditTransfer { owner: "Jane", bic: "BKAUATWW", iban: "AT611904300234573201" },
    };
    assert_eq!(outcome(&operate(&mut gateway, now, &free)), "0");
    let out: BTreeMap<String, Option<Amount>> =
        gateway.truths(later(now, hours(1))).iter().map(|t| (t.order_number.to_string(), t.paid_out())).collect();
    assert_eq!((out["1002"], out["1003"]), (euro("3.00"), euro("2.00")));
    let banks = Operation::FinancialInstitutions { payment_type: "EPS", transaction_type: None, bank_country: None };
    assert_eq!(operate(&mut gateway, now, &banks)["financialInstitution.1.id"], "BA-CA");
}

#[test]
fn only_the_right_password_operates_and_both_products_tell_errors_their_way() {
    let mut gateway = gateway();
    let number = paid(&mut gateway, &[]);
    let now = later(start(), minutes(10));
    let own = contract(&gateway);
    let release = Operation::ApproveReversal { order_number: &number };
    let wrong = Credentials { password: "a guess", ..credentials(&own) };
    let request = operations::request(&wrong, &release);
    assert_eq!(outcome(&said(&post(&mut gateway, now, &request.path, &request.body))), "18123");
    let wrong = Credentials { secret: "a guess", ..credentials(&own) };
    let request = operations::request(&wrong, &release);
    assert_eq!(outcome(&said(&post(&mut gateway, now, &request.path, &request.body))), "18506");
    for operation in ["approveReversal", "getOrderDetails"] {
        let target = format!("/seamless/backend/{operation}");
        let body = format!("customerId=D299999&shopId=sandbox&language=en&orderNumber={number}");
        let unsigned = said(&post(&mut gateway, now, &target, &body));
        let codes = [&unsigned["error.1.errorCode"], &unsigned["error.2.errorCode"], &unsigned["status"]];
        assert_eq!(codes, ["11123", "11506", "1"], "{operation}: all that is missing is told at once");
    }
    let mut page = on_page();
    let wrong = contract(&page);
    let request = operations::request(&Credentials { password: "a guess", ..credentials(&wrong) }, &release);
    assert_eq!(outcome(&said(&post(&mut page, now, &request.path, &request.body))), "18003");
    assert_eq!(outcome(&said(&post(&mut page, now, "/page/toolkit.php", "command=refund"))), "11500");
    assert_eq!(shown(&mut gateway, now, &number), "ORDERED approved 12.50");
    let several = operate(&mut gateway, now, &refund("", ""));
    let codes = [&several["error.1.errorCode"], &several["error.2.errorCode"], &several["errors"], &several["status"]];
    assert_eq!(codes, ["11011", "11017", "2", "1"]);
    let flat = operate(&mut on_page(), now, &refund("", ""));
    assert_eq!((flat["errorCode"].as_str(), flat.contains_key("errors")), ("11011", false));
}

#[test]
fn operations_fail_or_fall_into_doubt_as_planned() {
    let mut gateway = gateway();
    let number = paid(&mut gateway, &[]);
    let now = later(start(), minutes(10));
    let coming = Coming {
        merchant: at(),
        of: Of::FollowUps,
        request_id: None,
        order_number: OrderNumber::new("1001").ok(),
        times: 1,
        play: Script::Failed { after: seconds(0) },
        plan: Plan::default(),
    };
    gateway.play(coming).expect("kept");
    let declined = operate(&mut gateway, now, &deposit(&number, "12.50"));
    assert_eq!((declined["status"].as_str(), outcome(&declined)), ("2", "20003"));
    assert_eq!(shown(&mut gateway, now, &number), "ORDERED approved 12.50");
    let outage = Outage { merchant: Some(at()), from: now, until: later(now, hours(1)), manner: Manner::Closed };
    gateway.submission_outage(outage, true);
    let own = contract(&gateway);
    let request = operations::request(&credentials(&own), &deposit(&number, "12.50"));
    assert_eq!(reply(&mut gateway, now, &request.path, &request.body), Reply::Closed);
    assert_eq!(shown(&mut gateway, now, &number), "ORDERED deposited 12.50", "it was executed, and can be asked about");
}
