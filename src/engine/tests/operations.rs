//! Operations that move money: journaled first, never repeated, looked up.

use super::*;
use crate::core::operation::{Kind, Operator, Wish};
use crate::engine::operations::{Concluded, Operate, Operated, OverCapture, Told};

pub(super) fn wish(kind: Kind, id: &str, amount: &str) -> Wish {
    Wish {
        kind,
        id: Some(id.into()),
        merchant: None,
        amount: (!amount.is_empty()).then(|| amount.to_owned()),
        currency: None,
        transaction: None,
        transaction_type: None,
        object: None,
        fund: None,
        basket: Vec::new(),
        without_basket: false,
        although_unknown: false,
    }
}

impl World {
    /// Plans and journals an operation; returns its number.
    pub(super) fn operate(&mut self, wish: Wish, request_id: &str) -> Result<u64, String> {
        let over = OverCapture::new();
        let planned = self.engine.plan_operation(&self.store, &wish, &over, self.now).expect("no fault");
        let expected = planned.map_err(|refusal| refusal.error)?;
        let operate = Operate {
            wish,
            expected,
            request_id: RequestId::new(request_id).expect("an id"),
            made_number: None,
            by: Operator { uid: 1000, user: Some("ada".into()) },
        };
        match self.turn(|e, d, now| e.operate(d, operate, &over, now)) {
            Operated::Journaled { operation } => Ok(operation),
            Operated::Refused(refusal) => Err(refusal.error),
        }
    }

    pub(super) fn tell(&mut self, operation: u64, told: Told) -> String {
        match self.turn(|e, d, now| e.conclude(d, operation, told, now)) {
            Concluded::Kept { outcome } => outcome.name().to_owned(),
            Concluded::UnknownOperation => "no such operation".to_owned(),
            Concluded::Refused(refusal) => refusal.error,
        }
    }

    pub(super) fn outcome(&self, merchant: &str, id: &str) -> String {
        self.payment(merchant, id)["operations"][0]["outcome"].as_str().unwrap_or("none").to_owned()
    }

    /// Takes looks until one is about this request, answering others with nothing new.
    pub(super) fn look_at(&mut self, id: &str) -> Look {
        for _ in 0..20 {
            let look = self.next_look();
            if look.request_id.as_str() == id {
                return look;
            }
            self.answer(&look, Outcome::NotFound, vec![]);
        }
        panic!("nobody looks at {id}");
    }
}

/// A hold of 100 at the Payment Gateway.
pub(super) fn held() -> World {
    let mut world = World::new();
    world.submit("signed", "r-1", "100");
    world.hear("signed", &signed(&transaction("t-1", "r-1", "authorization", "success", "100")));
    assert_eq!(world.state("signed", "r-1"), "reserved");
    world
}

pub(super) fn capture(value: &str, state: &str) -> Transaction {
    let parent_transaction_id = Some("t-1".to_owned());
    Transaction { parent_transaction_id, ..transaction("t-2", "op-1", "capture-authorization", state, value) }
}

#[test]
fn a_capture_is_journaled_answered_and_booked_from_the_gateways_books() {
    let mut world = held();
    let operation = world.operate(wish(Kind::Capture, "order-r-1", "60"), "op-1").expect("journaled");
    assert_eq!(world.outcome("signed", "op-1"), "unknown", "from the moment it is journaled");
    world.prove();
    let body = wpg::encode::payment_xml(&capture("60", "success"));
    assert_eq!(world.tell(operation, Told::Answered { http_status: 201, body }), "executed");
    assert_eq!(world.ledger(), ["reserved 100.00 EUR"], "the answer is a hint: nothing is booked from it");
    let look = world.look_at("op-1");
    world.answer(&look, Outcome::Found, vec![capture("60", "success")]);
    assert_eq!(world.ledger(), ["reserved 100.00 EUR", "in 60.00 EUR"]);
    assert_eq!(world.payment("signed", "op-1")["follow_up_of"], "r-1");
    assert!(world.operate(wish(Kind::Capture, "order-r-1", "40.01"), "op-2").is_err(), "40 are left");
    world.prove();
    let told = crate::engine::explain::text(&world.engine.explain(&world.store, "op-1", world.now).expect("no fault"));
    assert!(told.contains("user 1000 (ada) has capture-authorization of 60.00 EUR for t-1 sent as op-1"), "{told}");
}

#[test]
fn a_capture_without_an_answer_is_looked_up_and_blocks_the_next() {
    let mut world = held();
    let operation = world.operate(wish(Kind::Capture, "r-1", "60"), "op-1").expect("journaled");
    assert_eq!(world.tell(operation, Told::NoAnswer { why: "timed out".into() }), "unknown");
    assert_eq!(world.firing().len(), 1, "{:?}", world.firing());
    let second = world.operate(wish(Kind::Capture, "r-1", "10"), "op-2").expect_err("blocked");
    assert!(second.contains("the outcome of capture op-1"), "{second}");
    let all_is_counted = Wish { although_unknown: true, ..wish(Kind::Capture, "r-1", "40.01") };
    assert!(world.operate(all_is_counted, "op-2").is_err(), "the unknown one counts as done");
    world.prove();
    let look = world.look_at("op-1");
    world.answer(&look, Outcome::Found, vec![capture("60", "success")]);
    assert_eq!(world.outcome("signed", "op-1"), "executed");
    assert!(world.firing().is_empty(), "{:?}", world.firing());
    assert!(world.operate(wish(Kind::Capture, "r-1", "40"), "op-2").is_ok());
    world.prove();
}

#[test]
fn a_sender_that_died_leaves_an_operation_that_is_looked_up() {
    let mut world = held();
    world.operate(wish(Kind::Void, "r-1", ""), "op-1").expect("journaled");
    let look = world.look_at("op-1");
    let started: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
    assert!(world.now.steady.duration_since(started) <= minutes(3), "soon");
    world.answer(&look, Outcome::NotFound, vec![]);
    assert_eq!(world.outcome("signed", "op-1"), "unknown", "not found is not failed");
    assert_eq!(world.firing().len(), 1, "a person is told");
    world.prove();
}

#[test]
fn what_the_gateway_refused_or_never_got_is_over_at_once() {
    let mut world = held();
    let operation = world.operate(wish(Kind::Capture, "r-1", "60"), "op-1").expect("journaled");
    assert_eq!(world.tell(operation, Told::NotSent { why: "connection refused".into() }), "not-sent");
    let operation = world.operate(wish(Kind::Void, "r-1", ""), "op-2").expect("another kind");
    let failed = Transaction {
        parent_transaction_id: Some("t-1".into()),
        ..transaction("t-3", "op-2", "void-authorization", "failed", "100")
    };
    let failed = Transaction { statuses: vec![Status { code: "400.1027".into(), severity: None }], ..failed };
    let body = wpg::encode::payment_xml(&failed);
    assert_eq!(world.tell(operation, Told::Answered { http_status: 201, body }), "refused");
    assert_eq!(world.tell(1, Told::NotSent { why: "x".into() }), "no such operation");
    assert_eq!(world.tell(99_999, Told::NotSent { why: "x".into() }), "no such operation");
    world.prove();
}

#[test]
fn a_request_id_is_used_once_and_books_that_moved_on_are_shown_again() {
    let mut world = held();
    let over = OverCapture::new();
    let asked = wish(Kind::Capture, "r-1", "60");
    let expected =
        world.engine.plan_operation(&world.store, &asked, &over, world.now).expect("no fault").expect("a plan");
    let operate = |request_id: &str| Operate {
        wish: asked.clone(),
        expected: expected.clone(),
        request_id: RequestId::new(request_id).expect("an id"),
        made_number: None,
        by: Operator { uid: 0, user: None },
    };
    let used = world.turn(|e, d, now| e.operate(d, operate("r-1"), &over, now));
    assert!(matches!(used, Operated::Refused(refusal) if refusal.error.contains("used before")));
    let shop = Submission {
        transaction_type: Some("capture-authorization".into()),
        parent_transaction_id: crate::words::id::TransactionId::new("t-1").ok(),
        ..submission("signed", "shop-1", "10")
    };
    world.turn(|e, d, now| e.submit(d, shop, now));
    let moved = world.turn(|e, d, now| e.operate(d, operate("op-1"), &over, now));
    assert!(matches!(moved, Operated::Refused(refusal) if refusal.error.contains("have changed")));
    world.prove();
}

/// An order of 50, held, at the checkout.
pub(super) fn approved() -> World {
    let mut world = World::new();
    let submission =
        Submission { gateway_order_number: GatewayOrderNumber::new("7000001").ok(), ..submission("hmac", "c-1", "50") };
    world.turn(|e, d, now| e.submit(d, submission, now));
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "50")]));
    assert_eq!(world.state("hmac", "c-1"), "reserved");
    world
}

#[test]
fn a_lost_deposit_is_told_from_the_order_as_it_was_before() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", ""), "op-1").expect("journaled");
    assert_eq!(world.tell(operation, Told::NoAnswer { why: "reset".into() }), "unknown");
    let open = world.engine.open(&world.store, 0, 10, world.now).expect("no fault");
    assert!(open.items[0]["reason"].as_str().is_some_and(|why| why.contains("deposit op-1")), "{:?}", open.items);
    assert!(world.operate(wish(Kind::Capture, "c-1", "1"), "op-2").is_err(), "capture is deposit");
    let look = world.look_at("c-1");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "50")]));
    assert_eq!(world.outcome("hmac", "c-1"), "executed");
    assert!(world.firing().is_empty(), "{:?}", world.firing());
    world.prove();
}

#[test]
fn books_read_before_an_operation_was_concluded_do_not_count_as_seen_since() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", "20"), "op-1").expect("journaled");
    let look = world.look_at("c-1");
    world.tell(operation, Told::Answered { http_status: 200, body: "status=0&paymentNumber=7000002".into() });
    assert_eq!(world.outcome("hmac", "c-1"), "executed");
    let old = details("7000001", "ORDERED", &[("7000001", "payment_approved", "50")]);
    world.answer(&look, Outcome::Found, old);
    let why = world.operate(wish(Kind::Deposit, "c-1", ""), "op-2").expect_err("the books are old");
    assert!(why.contains("were not seen since"), "{why}");
    let look = world.look_at("c-1");
    let new = [("7000001", "payment_approved", "50"), ("7000002", "payment_deposited", "20")];
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &new));
    assert!(world.operate(wish(Kind::Deposit, "c-1", "30.01"), "op-2").is_err());
    assert!(world.operate(wish(Kind::Deposit, "c-1", "30"), "op-2").is_ok());
    world.prove();
}

#[test]
fn an_operation_on_an_order_is_found_by_its_request_id_which_is_used_once() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", "10"), "op-1").expect("journaled");
    world.tell(operation, Told::NotSent { why: "connection refused".into() });
    let again = world.operate(wish(Kind::Deposit, "c-1", "10"), "op-1").expect_err("used");
    assert!(again.contains("used before"), "{again}");
    let told = crate::engine::explain::text(&world.engine.explain(&world.store, "op-1", world.now).expect("no fault"));
    assert!(told.contains("sent as op-1"), "{told}");
    world.prove();
}

#[test]
fn an_order_is_not_charged_again_while_an_earlier_charge_of_it_is_unknown() {
    let mut world = approved();
    let charge = || wish(Kind::Recur, "c-1", "5");
    let first = world.operate(charge(), "op-1").expect("journaled");
    world.tell(first, Told::NoAnswer { why: "reset".into() });
    let why = world.operate(charge(), "op-2").expect_err("blocked");
    assert!(why.contains("the outcome of recur op-1"), "{why}");
    let second = world.operate(Wish { although_unknown: true, ..charge() }, "op-2").expect("a person insists");
    let stated = || {
        let by = Operator { uid: 1000, user: None };
        Told::Stated { executed: false, why: "no such order".into(), by }
    };
    world.tell(first, stated());
    let why = world.operate(charge(), "op-3").expect_err("the second one is unknown still");
    assert!(why.contains("the outcome of recur op-2"), "{why}");
    world.tell(second, stated());
    assert!(world.operate(charge(), "op-3").is_ok());
    world.prove();
}

#[test]
fn an_id_that_names_several_orders_is_asked_back_even_where_only_one_has_money() {
    let mut world = held();
    // The request-id of one payment is the order number of another.
    let other = Submission { order_number: OrderNumber::new("r-1").ok(), ..submission("signed", "r-2", "20") };
    world.turn(|e, d, now| e.submit(d, other, now));
    let why = world.operate(wish(Kind::Capture, "r-1", "1"), "op-1").expect_err("which one?");
    assert!(why.contains("several payments are meant"), "{why}");
    // A second try at one order is not another order.
    let again = Submission { order_number: OrderNumber::new("order-r-1").ok(), ..submission("signed", "r-3", "100") };
    world.turn(|e, d, now| e.submit(d, again, now));
    assert!(world.operate(wish(Kind::Capture, "order-r-1", "1"), "op-1").is_ok());
    world.prove();
}

#[test]
fn a_deposit_that_left_no_trace_in_two_looks_did_not_happen() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", ""), "op-1").expect("journaled");
    world.tell(operation, Told::NoAnswer { why: "reset".into() });
    let same = details("7000001", "ORDERED", &[("7000001", "payment_approved", "50")]);
    let mut looks = 0;
    while world.outcome("hmac", "c-1") == "unknown" {
        let look = world.look_at("c-1");
        world.answer(&look, Outcome::Found, same.clone());
        world.prove();
        looks += 1;
        assert!(looks < 20, "never decided");
    }
    assert_eq!((world.outcome("hmac", "c-1").as_str(), looks), ("not-seen", 7), "1, 2, 4, 8 … 64 minutes");
    assert!(world.firing().is_empty(), "{:?}", world.firing());
    assert!(world.operate(wish(Kind::Deposit, "c-1", ""), "op-2").is_ok(), "now another may be sent");
}

#[test]
fn a_payout_is_booked_from_its_reply_and_an_unknown_one_waits_for_a_person() {
    use crate::core::operation::Fund;
    let payout = || Wish {
        id: None,
        merchant: MerchantName::new("hmac").ok(),
        currency: crate::words::money::Currency::parse("EUR"),
        fund: Some(Fund::SepaCt),
        ..wish(Kind::Transfer, "", "5")
    };
    let mut world = World::new();
    let operation = world.operate(payout(), "op-1").expect("journaled");
    let body = "status=0&creditNumber=7000042".to_owned();
    assert_eq!(world.tell(operation, Told::Answered { http_status: 200, body }), "executed");
    assert_eq!(world.ledger(), ["refund 5.00 EUR"]);
    world.prove();
    let operation = world.operate(payout(), "op-2").expect("journaled");
    world.tell(operation, Told::NoAnswer { why: "reset".into() });
    let again = world.operate(payout(), "op-3").expect_err("it may have been paid");
    assert!(again.contains("the outcome of transfer op-2"), "{again}");
    let other = world.operate(Wish { amount: Some("6".into()), ..payout() }, "op-4").expect("another payout");
    world.tell(other, Told::NotSent { why: "connection refused".into() });
    assert_eq!(world.state("hmac", "op-4"), "failed");
    world.pass(days(2));
    world.turn(|e, d, now| e.tick(d, now));
    assert_eq!(world.outcome("hmac", "op-2"), "unknown", "its absence proves nothing");
    let by = Operator { uid: 1000, user: None };
    world.tell(operation, Told::Stated { executed: false, why: "not on the account statement".into(), by });
    assert_eq!(world.outcome("hmac", "op-2"), "not-seen");
    assert_eq!(world.state("hmac", "op-2"), "failed", "nobody has to look at it any more");
    world.prove();
}

/// A payout of 5, which nobody can be asked about.
fn payout() -> Wish {
    Wish {
        id: None,
        merchant: MerchantName::new("hmac").ok(),
        currency: crate::words::money::Currency::parse("EUR"),
        fund: Some(crate::core::operation::Fund::SepaCt),
        ..wish(Kind::Transfer, "", "5")
    }
}

impl World {
    /// Alerts about operations whose outcome is unknown.
    fn unknown_operations(&self) -> usize {
        self.firing().iter().filter(|summary| summary.contains("nobody knows whether")).count()
    }

    fn tick_after(&mut self, by: SignedDuration) {
        self.pass(by);
        self.turn(|e, d, now| e.tick(d, now));
    }
}

#[test]
fn a_payout_whose_sender_died_is_told_after_ten_minutes_also_over_a_restart() {
    let mut world = World::new();
    let operation = world.operate(payout(), "op-1").expect("journaled");
    world.tick_after(minutes(9));
    assert_eq!(world.unknown_operations(), 0, "its sender may still wait for an answer");
    world.turn(|e, d, now| e.started(d, now));
    world.tick_after(minutes(1));
    assert_eq!(world.unknown_operations(), 1, "{:?}", world.firing());
    assert_eq!(world.state("hmac", "op-1"), "open", "only the question is told; the payment's own time is not over");
    world.prove();
    let journal = crate::store::journal_len(&world.store).expect("a length");
    world.tick_after(minutes(1));
    assert_eq!(crate::store::journal_len(&world.store).expect("a length"), journal, "told once");
    world.tick_after(days(2));
    world.tick_after(days(2));
    assert_eq!((world.outcome("hmac", "op-1").as_str(), world.unknown_operations()), ("unknown", 1));
    world.prove();
    // The sender was only slow after all.
    let body = "status=0&creditNumber=7000042".to_owned();
    assert_eq!(world.tell(operation, Told::Answered { http_status: 200, body }), "executed");
    assert_eq!((world.unknown_operations(), world.ledger()), (0, vec!["refund 5.00 EUR".to_owned()]));
    world.prove();
}

#[test]
fn a_payout_that_was_told_in_time_wakes_nobody() {
    let mut world = World::new();
    let operation = world.operate(payout(), "op-1").expect("journaled");
    world.tell(operation, Told::NotSent { why: "connection refused".into() });
    for _ in 0..3 {
        world.tick_after(minutes(20));
    }
    assert_eq!(world.unknown_operations(), 0, "{:?}", world.firing());
    world.prove();
}

#[test]
fn an_operation_on_an_order_that_can_no_longer_be_asked_about_is_told_too() {
    let mut world = approved();
    world.operate(wish(Kind::Deposit, "c-1", "10"), "op-1").expect("journaled");
    let account = world.engine.policy.accounts.get_mut(&MerchantName::new("hmac").expect("name")).expect("account");
    let Contract::Checkout(contract) = &mut account.contract else { panic!("a checkout account") };
    contract.can_ask = false;
    world.turn(|e, d, now| e.started(d, now));
    world.tick_after(minutes(10));
    world.tick_after(minutes(1));
    assert_eq!((world.state("hmac", "c-1").as_str(), world.unknown_operations()), ("reserved", 1));
    world.prove();
}

pub(super) fn stated(executed: bool) -> Told {
    Told::Stated { executed, why: "the account statement".into(), by: Operator { uid: 1000, user: None } }
}

#[test]
fn a_payout_that_did_not_happen_after_all_is_taken_out_of_the_ledger() {
    let mut world = World::new();
    let operation = world.operate(payout(), "op-1").expect("journaled");
    world.tell(operation, Told::Answered { http_status: 200, body: "status=0&creditNumber=7000042".to_owned() });
    assert_eq!(world.state("hmac", "op-1"), "refunded");
    assert_eq!(world.tell(operation, stated(false)), "not-seen");
    assert_eq!(world.ledger(), ["refund 5.00 EUR", "refund -5.00 EUR"]);
    assert_eq!(world.state("hmac", "op-1"), "failed");
    world.prove();
    // And back: he had looked at the wrong day.
    assert_eq!(world.tell(operation, stated(true)), "executed");
    assert_eq!(world.tell(operation, stated(true)), "executed");
    assert_eq!(world.state("hmac", "op-1"), "refunded");
    assert_eq!(world.ledger(), ["refund 5.00 EUR", "refund -5.00 EUR", "refund 5.00 EUR"]);
    world.prove();
}

#[test]
fn a_payout_that_is_told_twice_is_booked_once() {
    let answered = || Told::Answered { http_status: 200, body: "status=0&creditNumber=7000042".to_owned() };
    let orders: [&[Told]; 4] = [
        &[answered(), answered()],
        &[answered(), stated(true)],
        &[stated(true), answered()],
        // The sender was only slow, and the gateway's answer knows better than he who saw nothing.
        &[stated(false), answered()],
    ];
    for told in orders {
        let mut world = World::new();
        let operation = world.operate(payout(), "op-1").expect("journaled");
        for told in told {
            world.tell(operation, told.clone());
        }
        assert_eq!(world.ledger(), ["refund 5.00 EUR"], "{told:?}");
        assert_eq!(world.outcome("hmac", "op-1"), "executed", "{told:?}");
        world.prove();
    }
}

/// An order of 50 by iDEAL, deposited.
fn deposited() -> World {
    let mut world = World::new();
    let submission = Submission {
        gateway_order_number: GatewayOrderNumber::new("7000001").ok(),
        payment_method: Some("IDL".into()),
        ..submission("hmac", "c-1", "50")
    };
    world.turn(|e, d, now| e.submit(d, submission, now));
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "50")]));
    world
}

fn pay_back(value: &str) -> Wish {
    Wish { fund: Some(crate::core::operation::Fund::ExistingOrder), ..wish(Kind::Transfer, "c-1", value) }
}

#[test]
fn a_transfer_that_did_not_happen_after_all_leaves_the_whole_order_to_be_paid_back() {
    let mut world = deposited();
    let first = world.operate(pay_back("20"), "op-1").expect("journaled");
    world.tell(first, Told::Answered { http_status: 200, body: "status=0&creditNumber=7000042".to_owned() });
    let look = world.look_at("c-1");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "50")]));
    assert!(world.operate(pay_back("50"), "op-2").is_err(), "30 are left");
    assert_eq!(world.tell(first, stated(false)), "not-seen");
    let in_all: Vec<String> = world.ledger();
    assert_eq!(in_all[in_all.len() - 2..], ["refund 20.00 EUR", "refund -20.00 EUR"], "{in_all:?}");
    assert!(world.operate(pay_back("50"), "op-2").is_ok());
    world.prove();
}

#[test]
fn a_transfer_that_the_gateways_own_books_list_happened_whatever_a_person_says() {
    let mut world = deposited();
    let first = world.operate(pay_back("20"), "op-1").expect("journaled");
    world.tell(first, Told::Answered { http_status: 200, body: "status=0&creditNumber=7000042".to_owned() });
    let mut listed = details("7000001", "ORDERED", &[("7000001", "payment_deposited", "50")]);
    listed.push(Transaction {
        transaction_id: Some("credit:7000042".into()),
        transaction_type: Some("credit".into()),
        transaction_state: Some("credit_refunded".into()),
        parent_transaction_id: Some("order:7000001".into()),
        amount: Some(Amount::parse("20", "EUR").expect("money").into()),
        ..Transaction::default()
    });
    let look = world.look_at("c-1");
    world.answer(&look, Outcome::Found, listed);
    let ledger = world.ledger();
    let why = world.tell(first, stated(false));
    assert!(why.contains("credit:7000042") && why.contains("the gateway's own books"), "{why}");
    assert_eq!((world.ledger(), world.outcome("hmac", "c-1").as_str()), (ledger, "executed"));
    world.prove();
}
