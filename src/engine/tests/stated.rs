//! A person's word on an operation: taken where nobody else knows, refused against the gateway's own.

use super::operations::{approved, capture, held, stated, wish};
use super::*;
use crate::core::operation::Kind;
use crate::engine::operations::Told;

fn answered(body: &str) -> Told {
    Told::Answered { http_status: 200, body: body.to_owned() }
}

/// Everything that a refused word must leave as it was.
fn books(world: &World, merchant: &str, id: &str) -> (Vec<String>, String, u64) {
    let journal = crate::store::journal_len(&world.store).expect("a length");
    (world.ledger(), world.outcome(merchant, id), journal)
}

#[test]
fn nobody_talks_a_capture_away_that_the_gateway_answered_or_lists() {
    let mut world = held();
    let operation = world.operate(wish(Kind::Capture, "r-1", "60"), "op-1").expect("journaled");
    let body = crate::wire::wpg::encode::payment_xml(&capture("60", "success"));
    world.tell(operation, Told::Answered { http_status: 201, body });
    let before = books(&world, "signed", "op-1");
    let why = world.tell(operation, stated(false));
    assert!(why.contains("capture op-1) is executed, by the gateway itself"), "{why}");
    assert_eq!(books(&world, "signed", "op-1"), before, "nothing is kept, in the journal neither");
    let look = world.look_at("op-1");
    world.answer(&look, Outcome::Found, vec![capture("60", "success")]);
    let why = world.tell(operation, stated(false));
    assert!(why.contains("transaction t-2 is success"), "it names what the books say: {why}");
    // That it was executed is what everybody says.
    assert_eq!(world.tell(operation, stated(true)), "executed");
    assert!(world.tell(operation, stated(false)).contains("by the gateway itself"), "still");
    assert_eq!(world.ledger(), ["reserved 100.00 EUR", "in 60.00 EUR"]);
    let told = crate::engine::explain::text(&world.engine.explain(&world.store, "op-1", world.now).expect("no fault"));
    assert!(!told.contains("what an answer leaves open"), "{told}");
    world.prove();
}

#[test]
fn nobody_talks_a_capture_away_that_a_look_found() {
    let mut world = held();
    let operation = world.operate(wish(Kind::Capture, "r-1", "60"), "op-1").expect("journaled");
    world.tell(operation, Told::NoAnswer { why: "timed out".into() });
    // While nobody knows, a person's word counts, until the books contradict it.
    assert_eq!(world.tell(operation, stated(false)), "not-seen");
    let look = world.look_at("op-1");
    world.answer(&look, Outcome::Found, vec![capture("60", "success")]);
    let why = world.tell(operation, stated(false));
    assert!(why.contains("transaction t-2 is success"), "{why}");
    assert_eq!(world.tell(operation, stated(true)), "executed");
    world.prove();
}

#[test]
fn nobody_talks_a_deposit_away_or_a_refusal_into_money() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", "50"), "op-1").expect("journaled");
    world.tell(operation, answered("status=0&paymentNumber=7000001"));
    let look = world.look_at("c-1");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "50")]));
    let before = books(&world, "hmac", "c-1");
    let why = world.tell(operation, stated(false));
    assert!(why.contains("payment:7000001 of 50.00 EUR is payment_deposited"), "{why}");
    assert_eq!(books(&world, "hmac", "c-1"), before);

    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", "50"), "op-1").expect("journaled");
    world.tell(operation, answered("status=2&errors=1&error.1.errorCode=20003&error.1.message=declined"));
    let why = world.tell(operation, stated(true));
    assert!(why.contains("deposit op-1) is refused, by the gateway itself"), "{why}");
    assert_eq!(world.outcome("hmac", "c-1"), "refused");
    world.prove();
}

#[test]
fn a_deposit_that_only_a_look_found_is_known_from_the_books_as_well() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", "50"), "op-1").expect("journaled");
    world.tell(operation, Told::NoAnswer { why: "reset".into() });
    let look = world.look_at("c-1");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "50")]));
    assert_eq!(world.outcome("hmac", "c-1"), "executed");
    assert!(world.tell(operation, stated(false)).contains("by the gateway itself"));
    world.prove();
}

#[test]
fn a_person_may_correct_himself_where_nobody_else_knows() {
    let mut world = approved();
    let operation = world.operate(wish(Kind::Deposit, "c-1", "50"), "op-1").expect("journaled");
    world.tell(operation, Told::NoAnswer { why: "reset".into() });
    for (is_executed, expected) in [(true, "executed"), (false, "not-seen"), (true, "executed")] {
        assert_eq!(world.tell(operation, stated(is_executed)), expected);
    }
    world.prove();
}
