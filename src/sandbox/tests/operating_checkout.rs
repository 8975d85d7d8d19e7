//! What the simulated Checkout wants of an operation beside an order that allows it: baskets, methods, times.

use super::taking_checkout::{
    contract, credentials, deposit, money, operate, outcome, paid, post, refund, said, shown,
};
use super::*;
use crate::wire::checkout::backend;
use crate::wire::checkout::operations::{BasketItem, Operation};

const LAMP: BasketItem<'_> = BasketItem {
    article_number: "A001",
    quantity: "1",
    description: None,
    name: "Lamp",
    image_url: None,
    unit_gross_amount: "2,50",
    unit_net_amount: "2,08",
    unit_tax_amount: "0,42",
    unit_tax_rate: "20,000",
};
const CHAIRS: BasketItem<'_> = BasketItem { article_number: "A002", quantity: "2", unit_gross_amount: "5.00", ..LAMP };

fn deposit_of<'a>(order_number: &'a str, value: &'a str, basket: &'a [BasketItem<'a>]) -> Operation<'a> {
    let (merchant_reference, customer_statement) = (None, None);
    Operation::Deposit { order_number, amount: money(value), merchant_reference, customer_statement, basket }
}

fn refund_of<'a>(
    order_number: &'a str,
    value: &'a str,
    basket: &'a [BasketItem<'a>],
    is_credit: bool,
) -> Operation<'a> {
    Operation::Refund { order_number, amount: money(value), merchant_reference: None, basket, is_credit }
}

#[test]
fn an_invoice_is_deposited_and_refunded_by_baskets_that_add_up() {
    let mut gateway = gateway();
    let number = paid(&mut gateway, &[("paymentType", Some("INVOICE"))]);
    let now = later(start(), minutes(10));
    let nameless = BasketItem { name: "", ..LAMP };
    for (value, basket, expected) in [
        ("12.50", &[][..], "11450"),
        ("2.50", &[nameless], "11450"),
        ("2.50", &[CHAIRS], "18450"),
        ("12.49", &[LAMP, CHAIRS], "18450"),
        ("2.50", &[LAMP], "0"),
    ] {
        let said = operate(&mut gateway, now, &deposit_of(&number, value, basket));
        assert_eq!(outcome(&said), expected, "{value} {basket:?}");
    }
    assert_eq!(shown(&mut gateway, now, &number), "ORDERED approved 10.00 deposited 2.50");
    let gift = BasketItem { article_number: "S1", unit_gross_amount: "1.00", ..LAMP };
    let next_day = later(now, days(1));
    let credit = refund_of(&number, "1.00", std::slice::from_ref(&gift), true);
    assert_eq!(outcome(&operate(&mut gateway, next_day, &credit)), "14008", "not all of it is deposited");
    operate(&mut gateway, next_day, &deposit_of(&number, "10.00", &[CHAIRS]));
    assert_eq!(outcome(&operate(&mut gateway, next_day, &credit)), "14008", "not all of it is closed");
    let day_after = later(next_day, days(1));
    assert_eq!(outcome(&operate(&mut gateway, day_after, &refund(&number, "2.50"))), "11450");
    assert_eq!(outcome(&operate(&mut gateway, day_after, &refund_of(&number, "2.49", &[LAMP], false))), "18450");
    assert_eq!(outcome(&operate(&mut gateway, day_after, &refund_of(&number, "2.50", &[LAMP], false))), "0");
    assert_eq!(outcome(&operate(&mut gateway, day_after, &credit)), "0", "money back without goods");
    assert_eq!(outcome(&operate(&mut gateway, day_after, &refund_of(&number, "2.00", &[gift, gift], true))), "18450");
    assert!(shown(&mut gateway, day_after, &number).ends_with("credit_refunded 2.50 credit_refunded 1.00"));
    let card = paid(&mut gateway, &[("shopRequestId", Some("r-2"))]);
    assert_eq!(outcome(&operate(&mut gateway, now, &deposit(&card, "12.50"))), "0", "a card needs none");
    assert_eq!(outcome(&operate(&mut gateway, later(now, days(3)), &refund_of(&card, "1.00", &[gift], true))), "14008");
}

/// What getOrderDetails says of an order.
fn details(gateway: &mut Gateway, now: Timestamp, number: &str) -> BTreeMap<String, String> {
    let contract = contract(gateway);
    let number = GatewayOrderNumber::new(number).expect("a number");
    let asked = backend::order_details(&credentials(&contract), &number);
    said(&post(gateway, now, &asked.path, &asked.body))
}

#[test]
fn what_goes_back_by_transfers_only_is_not_offered_otherwise() {
    let mut gateway = gateway();
    for (id, method) in [("r-1", "SOFORTUEBERWEISUNG"), ("r-2", "IDL"), ("r-3", "EPS")] {
        let number = paid(&mut gateway, &[("paymentType", Some(method)), ("shopRequestId", Some(id))]);
        let now = later(start(), minutes(10));
        let shown = details(&mut gateway, now, &number);
        assert_eq!(shown["payment.1.1.state"], "payment_deposited");
        assert!(!shown.contains_key("payment.1.1.operationsAllowed"), "{shown:?}");
        let reversal = Operation::DepositReversal { order_number: &number, payment_number: &number };
        assert_eq!(outcome(&operate(&mut gateway, now, &reversal)), "14008", "{method}");
        let next_day = later(now, days(1));
        let shown = details(&mut gateway, next_day, &number);
        assert_eq!(shown["order.1.state"], "REFUNDABLE");
        assert!(!shown.contains_key("order.1.operationsAllowed"), "{shown:?}");
        assert_eq!(outcome(&operate(&mut gateway, next_day, &refund(&number, "1.00"))), "14008", "{method}");
    }
}

#[test]
fn every_object_has_times_of_its_own() {
    let mut gateway = gateway();
    let number = paid(&mut gateway, &[]);
    let at = |age| later(start(), age);
    operate(&mut gateway, at(minutes(10)), &deposit(&number, "10.00"));
    let part = details(&mut gateway, at(minutes(20)), &number);
    let times = |of: &BTreeMap<String, String>, object: &str| {
        ["timeCreated", "timeModified"].map(|name| of[&format!("{object}.{name}")].clone())
    };
    let [held_at, split_at] = times(&part, "payment.1.1");
    assert_ne!(held_at, split_at, "the rest of the hold changed with the deposit");
    assert_eq!(times(&part, "payment.1.2"), [split_at.clone(), split_at.clone()], "the part came then");
    assert_eq!(times(&part, "order.1"), [held_at.clone(), split_at.clone()]);
    let next_day = at(days(1));
    operate(&mut gateway, next_day, &refund(&number, "4.00"));
    let refunded = details(&mut gateway, at(days(1) + minutes(5)), &number);
    let [credited_at, unchanged] = times(&refunded, "credit.1.1");
    assert_eq!(credited_at, unchanged);
    let [created, closed_at] = times(&refunded, "payment.1.2");
    assert_eq!(created, split_at);
    assert!(![&split_at, &credited_at].contains(&&closed_at), "the day-end closing changed it");
    assert_eq!(times(&refunded, "payment.1.1"), [held_at.clone(), split_at], "what is only held is not closed");
    assert_eq!(times(&refunded, "order.1"), [held_at, credited_at]);
}
