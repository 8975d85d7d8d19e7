//! Payments of `checkout`: its order numbers, its books, its silence.

use super::*;

#[test]
fn checkout_success_is_accepted_until_the_gateways_books_say_more() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c1"), "accepted");
    let look = world.due().into_iter().next().expect("a look at once");
    assert_eq!(
        look.queries,
        [Query::OrderDetails { gateway_order_number: GatewayOrderNumber::new("7000001").expect("number") }]
    );
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "reserved");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "paid_provisional");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "REFUNDABLE", &[("7000001", "payment_closed", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "paid");
    let net: Vec<String> = world.payment("hmac", "c1")["booked"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|b| format!("{} {}", b["kind"].as_str().expect("kind"), b["amount"].as_str().expect("amount")))
        .collect();
    assert_eq!(net, ["in 99.90"]);
    world.prove();
}

#[test]
fn a_vanished_payment_object_is_booked_back() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    let look = world.due().into_iter().next().expect("a look");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]));
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[]));
    assert_eq!(world.state("hmac", "c1"), "cancelled");
    assert_eq!(world.ledger().last().expect("an entry"), "reserved -99.90 EUR");
    world.prove();
}

#[test]
fn one_look_that_lists_no_payment_does_not_take_back_a_confirmed_success() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    let look = world.due().into_iter().next().expect("a look");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[]));
    assert_eq!(world.state("hmac", "c1"), "accepted", "the gateway's books may be late");
    world.prove();
    let mut looked_at = Vec::new();
    while world.state("hmac", "c1") == "accepted" {
        let look = world.next_look();
        looked_at.push(world.now.steady);
        world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[]));
        assert!(looked_at.len() < 10, "{looked_at:?}");
    }
    let [.., first, second] = looked_at.as_slice() else { panic!("one look decided it: {looked_at:?}") };
    assert!(second.duration_since(*first) >= minutes(30));
    assert_eq!(world.state("hmac", "c1"), "cancelled");
    assert_eq!(world.ledger().last().expect("an entry"), "accepted -99.90 EUR");
    world.prove();
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "reserved", "and a later success wins");
    world.prove();
}

#[test]
fn who_cannot_be_asked_is_handed_over_in_one_alert_and_never_failed() {
    let mut world = World::new();
    for n in 0..3 {
        world.submit("hmac", &format!("c{n}"), "5");
    }
    world.hear("hmac", "paymentState=FAILURE&errors=1&error.1.errorCode=99996&shopRequestId=c1");
    assert_eq!(world.state("hmac", "c1"), "open", "a FAILURE is never signed");
    world.pass(minutes(36));
    world.turn(|e, d, now| e.tick(d, now));
    for n in 0..3 {
        assert_eq!(world.state("hmac", &format!("c{n}")), "handed_over");
    }
    assert_eq!(world.firing().iter().filter(|a| a.contains("nobody can be asked")).count(), 1);
    assert!(world.payment("hmac", "c1")["reason"].as_str().expect("text").contains("claimed unfinished, unverified"));
    world.prove();
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000003", "5", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c1"), "accepted", "a late success takes it back from the desk");
    world.prove();
}

#[test]
fn one_order_number_pays_one_payment() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.submit("hmac", "c2", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000004", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c2", "7000004", "5", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c2"), "open");
    assert!(world.firing().iter().any(|a| a.contains("order-number-taken")));
    world.prove();
}

#[test]
fn a_second_order_number_books_only_what_the_gateway_confirms() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000005", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000006", "5", Scheme::HmacSha512));
    assert_eq!(world.ledger(), ["accepted 5.00 EUR"]);
    let look = world.due().into_iter().next().expect("a look");
    assert_eq!(look.queries.len(), 2);
    let answers: Vec<Answer> = look
        .queries
        .iter()
        .zip(["7000005", "7000006"])
        .map(|(query, order)| Answer {
            query: query.clone(),
            outcome: Outcome::Found,
            transactions: details(order, "REFUNDABLE", &[(order, "payment_closed", "5")]),
            digest: None,
        })
        .collect();
    world.turn(|e, d, now| e.answered(d, &look, &answers, now));
    assert_eq!(world.state("hmac", "c1"), "paid");
    assert!(world.firing().iter().any(|a| a.contains("double-payment")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_number_that_messages_named_before_the_submission_is_still_asked_about() {
    let mut world = World::new();
    world.hear("md5", &confirmation("SUCCESS", "o1", "1000002", "12.50", Scheme::Md5));
    let number = |text: &str| GatewayOrderNumber::new(text).expect("a number");
    let submission = Submission { gateway_order_number: Some(number("1000001")), ..submission("md5", "o1", "12.50") };
    world.turn(|e, d, now| e.submit(d, submission.clone(), now));
    let look = world.next_look();
    let asked = ["1000001", "1000002"].map(|n| Query::OrderDetails { gateway_order_number: number(n) });
    assert_eq!(look.queries, asked);
    world.prove();
}

#[test]
fn a_cut_own_id_does_not_keep_the_order_number_from_its_payment() {
    let mut world = World::new();
    world.submit("md5", "c10", "5");
    // The digest is genuine: the list has no borders, and the id's last letter moved into the next text.
    world.hear("md5", &confirmation("SUCCESS", "c1", "7000010", "5", Scheme::Md5));
    world.hear("md5", &confirmation("SUCCESS", "c10", "7000010", "5", Scheme::Md5));
    let look = world.due().into_iter().find(|look| look.request_id.as_str() == "c10").expect("it is asked about");
    world.answer(&look, Outcome::Found, details("7000010", "REFUNDABLE", &[("7000010", "payment_closed", "5")]));
    assert_eq!(world.state("md5", "c10"), "paid");
    world.prove();
}

#[test]
fn of_two_requests_that_name_one_order_number_the_submitted_one_gets_it() {
    let mut world = World::new();
    world.hear("md5", &confirmation("SUCCESS", "c1", "7000010", "5", Scheme::Md5));
    world.hear("md5", &confirmation("SUCCESS", "c10", "7000010", "5", Scheme::Md5));
    world.submit("md5", "c10", "5");
    assert_eq!(world.payment("md5", "c10")["gateway_order_number"], "7000010");
    let look = world.due().into_iter().find(|look| look.request_id.as_str() == "c10").expect("it is asked about");
    world.answer(&look, Outcome::Found, details("7000010", "REFUNDABLE", &[("7000010", "payment_closed", "5")]));
    assert_eq!(world.state("md5", "c10"), "paid");
    world.pass(hours(1));
    assert!(world.due().iter().all(|look| look.request_id.as_str() != "c1"), "nobody asks for the other any more");
    world.prove();
}
