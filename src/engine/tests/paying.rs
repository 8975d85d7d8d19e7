//! Payments of `wpg`, from the request to the money.

use super::*;

#[test]
fn a_signed_notification_pays_an_order() {
    let mut world = World::new();
    assert!(matches!(world.submit("signed", "r1", "12.50"), Submitted::Created { .. }));
    assert!(matches!(world.submit("signed", "r1", "12.500"), Submitted::Same { .. }));
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    assert_eq!(world.state("signed", "r1"), "paid");
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    assert_eq!(world.ledger(), ["in 12.50 EUR"], "the same news twice books once");
    world.prove();
}

#[test]
fn a_second_payment_whose_message_was_lost_is_found_behind_the_window() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    assert_eq!(world.state("signed", "r1"), "paid");
    let look = world.next_look();
    assert_eq!(look.queries.len(), 1, "one request is enough: {:?}", look.queries);
    let twice = ["t1", "t2"].map(|id| transaction(id, "r1", "purchase", "success", "12.50"));
    world.answer(&look, Outcome::Found, twice.to_vec());
    assert_eq!(world.ledger(), ["in 12.50 EUR", "in 12.50 EUR"]);
    assert!(world.firing().iter().any(|a| a.contains("double")), "{:?}", world.firing());
    let look = world.next_look();
    assert!(
        look.queries.iter().any(|q| matches!(q, Query::Group { .. })),
        "a day later the family: {:?}",
        look.queries
    );
    world.answer(&look, Outcome::Found, twice.to_vec());
    assert!(world.payment("signed", "r1")["next_look_at"].is_null());
    world.prove();
}

#[test]
fn a_lost_notification_is_rescued_by_the_first_look() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let look = world.next_look();
    assert!(look.is_first);
    assert_eq!(
        look.queries,
        [Query::RequestId { merchant_account_id: MAID.into(), request_id: RequestId::new("r1").expect("id") }]
    );
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.5")]);
    assert_eq!(world.state("signed", "r1"), "paid");
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    world.prove();
}

#[test]
fn an_abandoned_payment_is_unfinished_after_two_looks_and_final_a_day_later() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let mut looks = 0;
    while world.state("signed", "r1") == "open" {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
        looks += 1;
        assert!(looks < 20);
    }
    assert_eq!(world.state("signed", "r1"), "unfinished_provisional");
    let age = world.now.wall.duration_since("2026-03-02T09:00:00Z".parse::<Timestamp>().expect("time"));
    assert!(age >= minutes(65) && age < minutes(90), "{age}");
    let look = world.next_look();
    assert!(world.now.wall.duration_since("2026-03-02T09:00:00Z".parse::<Timestamp>().expect("time")) >= hours(25));
    world.answer(&look, Outcome::NotFound, vec![]);
    assert_eq!(world.state("signed", "r1"), "unfinished");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.state("signed", "r1"), "paid", "a later success always wins");
    assert!(world.firing().iter().any(|a| a.contains("late-payment")), "and is told loudly");
    world.prove();
}

#[test]
fn silence_is_never_failure() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    for _ in 0..30 {
        let look = world.next_look();
        world.answer(&look, Outcome::Unavailable { why: "timed out".into(), retry_after: None }, vec![]);
    }
    assert_eq!(world.state("signed", "r1"), "open");
    let mut silent = transaction("t1", "r1", "purchase", "failed", "12.50");
    silent.statuses = vec![Status { code: "500.1051".into(), severity: None }];
    for _ in 0..12 {
        let look = world.next_look();
        world.answer(&look, Outcome::Found, vec![silent.clone()]);
        assert_eq!(world.state("signed", "r1"), "open");
    }
    world.prove();
}

#[test]
fn a_wrong_amount_is_booked_as_stated_and_never_pays() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "1.25")));
    assert_eq!(world.state("signed", "r1"), "open");
    assert_eq!(world.ledger(), ["in 1.25 EUR"]);
    assert!(world.firing().iter().any(|a| a.contains("amount-differs")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn two_payments_of_one_order_are_told() {
    let mut world = World::new();
    for id in ["r1", "r2"] {
        let submission = Submission { order_number: OrderNumber::new("R-1").ok(), ..submission("signed", id, "12.50") };
        world.turn(|e, d, now| e.submit(d, submission, now));
        world.hear("signed", &signed(&transaction(&format!("t-{id}"), id, "purchase", "success", "12.50")));
    }
    assert_eq!((world.state("signed", "r1"), world.state("signed", "r2")), ("paid".into(), "paid".into()));
    assert!(world.firing().iter().any(|a| a.contains("double-payment")), "{:?}", world.firing());
    let void = Submission {
        transaction_type: Some("void-purchase".into()),
        parent_transaction_id: crate::words::id::TransactionId::new("t-r1").ok(),
        order_number: OrderNumber::new("R-1").ok(),
        ..submission("signed", "v1", "12.50")
    };
    world.turn(|e, d, now| e.submit(d, void, now));
    let mut voided = transaction("t-v1", "v1", "void-purchase", "success", "12.50");
    voided.parent_transaction_id = Some("t-r1".into());
    world.hear("signed", &signed(&voided));
    assert_eq!(world.state("signed", "r1"), "refunded");
    assert!(!world.firing().iter().any(|a| a.contains("double-payment")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_capture_takes_what_an_authorization_held() {
    let mut world = World::new();
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "a1", "20") };
    world.turn(|e, d, now| e.submit(d, hold, now));
    world.hear("signed", &signed(&transaction("ta", "a1", "authorization", "success", "20")));
    assert_eq!(world.state("signed", "a1"), "reserved");
    let capture = Submission {
        transaction_type: Some("capture-authorization".into()),
        parent_transaction_id: crate::words::id::TransactionId::new("ta").ok(),
        ..submission("signed", "c1", "20")
    };
    world.turn(|e, d, now| e.submit(d, capture, now));
    let mut captured = transaction("tc", "c1", "capture-authorization", "success", "20");
    captured.parent_transaction_id = Some("ta".into());
    world.hear("signed", &signed(&captured));
    assert_eq!((world.state("signed", "a1"), world.state("signed", "c1")), ("paid".into(), "paid".into()));
    assert_eq!(world.ledger(), ["reserved 20.00 EUR", "in 20.00 EUR"]);
    world.prove();
}

#[test]
fn a_sepa_debit_can_be_returned() {
    let mut world = World::new();
    let debit = Submission {
        transaction_type: Some("debit".into()),
        payment_method: Some("sepadirectdebit".into()),
        ..submission("signed", "s1", "30")
    };
    world.turn(|e, d, now| e.submit(d, debit, now));
    let sepa = |id: &str, request: &str, kind: &str| {
        let mut t = transaction(id, request, kind, "success", "30");
        t.payment_methods = vec!["sepadirectdebit".into()];
        t
    };
    world.hear("signed", &signed(&sepa("p", "s1-pending-debit", "pending-debit")));
    assert_eq!(world.state("signed", "s1"), "open");
    let mut debit = sepa("d", "s1", "debit");
    debit.parent_transaction_id = Some("p".into());
    world.hear("signed", &signed(&debit));
    assert_eq!(world.state("signed", "s1"), "paid_provisional");
    world.pass(days(20));
    let mut back = sepa("b", "s1-debit-return", "debit-return");
    back.parent_transaction_id = Some("d".into());
    world.hear("signed", &signed(&back));
    assert_eq!(world.state("signed", "s1"), "returned");
    assert_eq!(world.ledger(), ["in_provisional 30.00 EUR", "return 30.00 EUR"]);
    world.prove();
}

#[test]
fn money_for_a_request_nobody_submitted_is_told_and_not_booked() {
    let mut world = World::new();
    world.hear("signed", &signed(&transaction("t1", "r9", "purchase", "success", "12.50")));
    assert!(world.ledger().is_empty());
    let look = world.next_look();
    assert_eq!(world.now.wall, "2026-03-02T09:10:00Z".parse::<Timestamp>().expect("time"));
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r9", "purchase", "success", "12.50")]);
    assert!(world.firing().iter().any(|a| a.contains("orphan-money")), "{:?}", world.firing());
    assert!(matches!(world.submit("signed", "r9", "12.50"), Submitted::Created { .. }));
    assert_eq!(world.state("signed", "r9"), "paid");
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    assert!(!world.firing().iter().any(|a| a.contains("orphan-money")));
    world.prove();
}

#[test]
fn a_capture_that_one_answer_reports_with_its_hold_is_tied_to_it() {
    let mut world = World::new();
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "h1", "10.00") };
    world.turn(|e, d, now| e.submit(d, hold.clone(), now));
    let capture = Submission {
        transaction_type: Some("capture-authorization".into()),
        order_number: None,
        parent_transaction_id: crate::words::id::TransactionId::new("t1").ok(),
        ..submission("signed", "c1", "10.00")
    };
    world.turn(|e, d, now| e.submit(d, capture.clone(), now));
    let captured = Transaction {
        parent_transaction_id: Some("t1".into()),
        ..transaction("t2", "c1", "capture-authorization", "success", "10.00")
    };
    let look = world.next_look();
    assert_eq!(look.request_id.as_str(), "h1");
    world.answer(&look, Outcome::Found, vec![transaction("t1", "h1", "authorization", "success", "10.00"), captured]);
    assert_eq!(world.state("signed", "h1"), "paid");
    assert_eq!(world.payment("signed", "c1")["follow_up_of"], "h1");
    world.prove();
}

#[test]
fn a_capture_heard_of_before_its_submission_is_booked_once() {
    let mut world = World::new();
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "h1", "10.00") };
    world.turn(|e, d, now| e.submit(d, hold.clone(), now));
    world.hear("signed", &signed(&transaction("t1", "h1", "authorization", "success", "10.00")));
    let captured = Transaction {
        parent_transaction_id: Some("t1".into()),
        ..transaction("t2", "c1", "capture-authorization", "success", "10.00")
    };
    world.hear("signed", &signed(&captured));
    assert_eq!(world.state("signed", "h1"), "paid");
    let capture = Submission {
        transaction_type: Some("capture-authorization".into()),
        order_number: None,
        parent_transaction_id: crate::words::id::TransactionId::new("t1").ok(),
        ..submission("signed", "c1", "10.00")
    };
    world.turn(|e, d, now| e.submit(d, capture.clone(), now));
    world.hear("signed", &signed(&captured));
    assert_eq!(world.ledger(), ["reserved 10.00 EUR", "in 10.00 EUR"]);
    assert_eq!(world.state("signed", "h1"), "paid");
    assert_eq!(world.state("signed", "c1"), "paid");
    world.prove();
}
