//! What the recording proxy sees, and what the gateway says to a request-id it knows.

use super::*;
use crate::core::record::Unkept;
use crate::words::id::TransactionId;

/// The second submit of `request`, refused because there was a first.
fn repeat(id: &str, request: &str) -> Transaction {
    let statuses = vec![Status { code: "400.1018".into(), severity: Some("error".into()) }];
    Transaction { statuses, ..transaction(id, request, "purchase", "failed", "20") }
}

fn seen(world: &mut World, submission: Submission, sent_to: Option<&str>) -> Submitted {
    let seen = Seen { submission, sent_to: sent_to.map(str::to_owned) };
    world.turn(|e, d, now| e.submit_seen(d, seen, now))
}

fn responded(world: &mut World, id: &str, what: ResponseWhat) {
    let merchant = MerchantName::new("signed").expect("a name");
    let response = ResponseSeen { merchant, request_id: RequestId::new(id).expect("an id"), what };
    assert!(matches!(world.turn(|e, d, now| e.respond(d, response, now)), Responded::Kept { .. }));
}

fn refused_response(request: &str) -> ResponseWhat {
    let body = format!(
        "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><merchant-account-id>{MAID}\
         </merchant-account-id><transaction-id>t-repeat</transaction-id><request-id>{request}</request-id>\
         <transaction-type>purchase</transaction-type><transaction-state>failed</transaction-state><statuses>\
         <status code=\"400.1018\" description=\"Duplicate Request Id\" severity=\"error\"/></statuses></payment>"
    );
    ResponseWhat::Answered { http_status: 201, body: body.into_bytes() }
}

// ---- 400.1018 ----

#[test]
fn a_refused_repeat_says_that_an_earlier_submit_arrived_and_that_one_is_asked_about() {
    for way in ["a response", "a notification"] {
        let mut world = World::new();
        world.submit("signed", "a1", "20");
        match way {
            "a response" => responded(&mut world, "a1", refused_response("a1")),
            _ => world.hear("signed", &signed(&repeat("t-repeat", "a1"))),
        }
        assert_eq!(world.state("signed", "a1"), "open", "{way}");
        let look = world.due().into_iter().next().expect("a look at once");
        world.answer(&look, Outcome::Found, vec![transaction("t-first", "a1", "purchase", "success", "20")]);
        assert_eq!(world.state("signed", "a1"), "paid", "{way}");
        assert_eq!(world.ledger(), ["in 20.00 EUR"], "{way}");
        world.prove();
    }
}

#[test]
fn a_payment_of_which_only_the_repeat_is_found_is_never_given_up() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    for _ in 0..25 {
        let look = world.next_look();
        world.answer(&look, Outcome::Found, vec![repeat("t-repeat", "a1")]);
        assert_eq!(world.state("signed", "a1"), "open");
    }
    let lasted = world.now.steady.duration_since("2026-03-02T09:00:00Z".parse().expect("a time"));
    assert!(lasted > days(7), "that took {lasted:#}");
    world.prove();
}

#[test]
fn an_earlier_submit_that_failed_has_failed_whatever_its_repeat_says() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    world.hear("signed", &signed(&repeat("t-repeat", "a1")));
    let look = world.due().into_iter().next().expect("a look at once");
    let first = transaction("t-first", "a1", "purchase", "failed", "20");
    world.answer(&look, Outcome::Found, vec![repeat("t-repeat", "a1"), first]);
    assert_eq!(world.state("signed", "a1"), "failed");
    world.prove();
}

#[test]
fn repeats_without_end_ask_at_most_once_in_ten_minutes() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    let mut looks = 0;
    for _ in 0..60 {
        responded(&mut world, "a1", refused_response("a1"));
        for look in world.due() {
            looks += 1;
            world.answer(&look, Outcome::NotFound, vec![]);
        }
        world.pass(SignedDuration::from_secs(1));
    }
    assert_eq!(looks, 1);
    world.prove();
}

// ---- submissions seen on their way ----

#[test]
fn a_request_on_the_wire_agrees_with_what_the_shop_told_of_it() {
    let mut world = World::new();
    let told = Submission {
        captures_due: Some(later(world.now.wall, days(3))),
        periodic: Some("recurring".into()),
        payment_method: None,
        ..submission("signed", "a1", "20")
    };
    world.turn(|e, d, now| e.submit(d, told.clone(), now));
    let on_the_wire = || Submission { order_number: None, ..submission("signed", "a1", "20.0") };
    assert!(matches!(seen(&mut world, on_the_wire(), Some(MAID)), Submitted::Same { .. }));
    let other = Submission { amount: Amount::parse("21", "EUR").expect("money"), ..on_the_wire() };
    assert!(matches!(seen(&mut world, other, Some(MAID)), Submitted::Conflict { field: "amount", .. }));
    let other = Submission { order_number: OrderNumber::new("another").ok(), ..on_the_wire() };
    assert!(matches!(seen(&mut world, other, Some(MAID)), Submitted::Conflict { field: "order_number", .. }));
    world.prove();
}

#[test]
fn what_the_shop_tells_adds_to_what_the_proxy_saw_before() {
    let mut world = World::new();
    let on_the_wire = || Submission { order_number: None, payment_method: None, ..submission("signed", "a1", "20") };
    assert!(matches!(seen(&mut world, on_the_wire(), Some(MAID)), Submitted::Created { .. }));
    let due = later(world.now.wall, days(3));
    let told_of = || Submission { captures_due: Some(due), ..submission("signed", "a1", "20.00") };
    let tell = |world: &mut World, submission: Submission| world.turn(|e, d, now| e.submit(d, submission, now));
    assert!(matches!(tell(&mut world, told_of()), Submitted::Amended { .. }));
    let payment = world.payment("signed", "a1");
    assert_eq!(
        (payment["order_number"].as_str(), payment["payment_method"].as_str()),
        (Some("order-a1"), Some("creditcard"))
    );
    assert_eq!(told(&world, "order-a1"), told(&world, "a1"), "it is found by its order");
    assert!(told(&world, "a1").contains("the shop told more of the submission"));

    // Told again, with all of it or with less, and seen again: the same.
    assert!(matches!(tell(&mut world, told_of()), Submitted::Same { .. }));
    assert!(matches!(tell(&mut world, on_the_wire()), Submitted::Same { .. }));
    assert!(matches!(seen(&mut world, on_the_wire(), Some(MAID)), Submitted::Same { .. }));
    // What both state must agree, whoever stated it first.
    let other = Submission { amount: Amount::parse("21", "EUR").expect("money"), ..told_of() };
    assert!(matches!(tell(&mut world, other), Submitted::Conflict { field: "amount", .. }));
    let other = Submission { captures_due: Some(later(due, days(1))), ..told_of() };
    assert!(matches!(tell(&mut world, other), Submitted::Conflict { field: "captures_due", .. }));
    let other = Submission { order_number: OrderNumber::new("another").ok(), ..on_the_wire() };
    assert!(matches!(seen(&mut world, other, Some(MAID)), Submitted::Conflict { field: "order_number", .. }));
    world.prove();
}

#[test]
fn a_gateway_order_number_that_the_proxy_did_not_see_is_told_with_the_rest() {
    let mut world = World::new();
    let on_the_wire = Submission { order_number: None, ..submission("hmac", "c1", "5") };
    seen(&mut world, on_the_wire, None);
    let gateway = GatewayOrderNumber::new("5550001").ok();
    let told_of = Submission { gateway_order_number: gateway, ..submission("hmac", "c1", "5") };
    assert!(matches!(world.turn(|e, d, now| e.submit(d, told_of, now)), Submitted::Amended { .. }));
    let look = world.next_look();
    assert!(look.queries.iter().any(|query| matches!(query, Query::OrderDetails { .. })), "{:?}", look.queries);
    world.answer(&look, Outcome::Found, details("5550001", "REFUNDABLE", &[("5550001", "payment_closed", "5")]));
    assert_eq!(world.ledger(), ["in 5.00 EUR"]);
    world.prove();
}

#[test]
fn what_the_shop_told_first_is_still_compared_whole_with_what_it_tells_again() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    let less = Submission { order_number: None, ..submission("signed", "a1", "20") };
    let conflict = world.turn(|e, d, now| e.submit(d, less, now));
    assert!(matches!(conflict, Submitted::Conflict { field: "order_number", .. }));
    world.prove();
}

#[test]
fn a_payment_is_asked_about_in_the_account_its_request_named() {
    let mut world = World::new();
    let name = MerchantName::new("signed").expect("a name");
    if let Some(Account { contract: Contract::Wpg(wpg), .. }) = world.engine.policy.accounts.get_mut(&name) {
        wpg.merchant_account_ids.push("second".into());
    }
    world.turn(|e, d, now| e.started(d, now));
    seen(&mut world, submission("signed", "a1", "20"), Some("second"));
    let look = world.next_look();
    let asked: Vec<&str> = look
        .queries
        .iter()
        .filter_map(|query| match query {
            Query::RequestId { merchant_account_id, .. } => Some(merchant_account_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, ["second"]);
    world.prove();
}

#[test]
fn a_card_number_that_a_shop_wrote_for_an_order_number_is_kept_from_no_message() {
    let mut world = World::new();
    let card = "4111111111111111";
    let echoed = |id: &str, order: &str| Transaction {
        order_number: Some(order.to_owned()),
        ..transaction(id, "a1", "authorization", "success", "20")
    };
    world.submit("signed", "a1", "20");
    responded(
        &mut world,
        "a1",
        ResponseWhat::Answered { http_status: 201, body: wpg::encode::payment_xml(&echoed("t-1", card)).into_bytes() },
    );
    world.hear("signed", &signed(&echoed("t-1", card)));
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![echoed("t-1", card), echoed("t-2", "order-a1")]);
    let journal = world.engine.journal(&world.store, 0, 1_000).expect("no fault");
    let journal = serde_json::to_string(&journal.items).expect("json");
    assert!(!journal.contains(card) && journal.contains(r#""order_number":"order-a1""#));
    assert!(journal.contains("t-2"), "the rest of it is kept");
    world.prove();
}

// ---- the same request again ----

#[test]
fn a_request_sent_again_after_it_was_given_up_is_watched_like_a_new_one() {
    let mut world = World::new();
    let submitted = || submission("signed", "a1", "20");
    seen(&mut world, submitted(), Some(MAID));
    while world.state("signed", "a1") != "unfinished" {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
    }
    assert!(matches!(seen(&mut world, submitted(), Some(MAID)), Submitted::Same { .. }));
    assert_eq!(world.state("signed", "a1"), "open", "nobody knows what becomes of it now");
    assert!(told(&world, "a1").contains("the shop sent the same request again through the proxy"));
    let sent = world.now.steady;
    let mut minutes_after = Vec::new();
    for _ in 0..4 {
        let look = world.next_look();
        minutes_after.push(world.now.steady.duration_since(sent).as_mins());
        world.answer(&look, Outcome::NotFound, vec![]);
        assert_eq!(world.state("signed", "a1"), "open");
    }
    assert_eq!(minutes_after, [1, 2, 4, 7]);
    world.prove();
}

#[test]
fn an_open_payment_that_is_sent_again_gets_all_its_methods_time_anew() {
    let mut world = World::new();
    let submitted = || submission("signed", "a1", "20");
    seen(&mut world, submitted(), Some(MAID));
    responded(&mut world, "a1", ResponseWhat::OutcomeUnknown);
    // One look behind the window found nothing; one more would give it up.
    let first = world.now.steady;
    while world.now.steady.duration_since(first) < minutes(35) {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
    }
    world.turn(|e, d, now| e.ask(d, "a1", now));
    let early = world.due().into_iter().next().expect("a person asked");
    seen(&mut world, submitted(), Some(MAID));
    let sent = world.now.steady;
    world.pass(SignedDuration::from_secs(5));
    world.answer(&early, Outcome::NotFound, vec![]);
    while world.state("signed", "a1") == "open" {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
    }
    assert!(world.now.steady.duration_since(sent) >= minutes(65), "the window, its slack, and two looks apart");
    world.prove();
}

#[test]
fn a_payment_whose_payer_may_be_at_it_is_not_asked_about_because_its_request_came_again() {
    let mut world = World::new();
    let by_paypal = || Submission { payment_method: Some("paypal".into()), ..submission("signed", "a1", "20") };
    seen(&mut world, by_paypal(), Some(MAID));
    responded(&mut world, "a1", ResponseWhat::NotSent);
    world.pass(SignedDuration::from_secs(2));
    seen(&mut world, by_paypal(), Some(MAID));
    let sent = world.now.steady;
    world.next_look();
    assert!(world.now.steady.duration_since(sent) >= hours(3), "asking would end the payment");
    world.prove();
}

#[test]
fn a_request_that_is_sent_again_for_ever_is_told_to_a_person_all_the_same() {
    let mut world = World::new();
    let sent = |world: &mut World, merchant: &str, id: &str, value: &str| {
        seen(world, Submission { order_number: None, ..submission(merchant, id, value) }, None)
    };
    sent(&mut world, "signed", "a1", "20");
    sent(&mut world, "hmac", "c1", "5");
    let mut handed_over = None;
    for half_hour in 0..20 * 48 {
        world.pass(minutes(30));
        for look in world.due() {
            world.answer(&look, Outcome::NotFound, vec![]);
        }
        world.turn(|e, d, now| e.tick(d, now));
        assert_eq!(world.state("signed", "a1"), "open", "its payer may be paying");
        sent(&mut world, "signed", "a1", "20");
        if handed_over.is_none() {
            match world.state("hmac", "c1").as_str() {
                "open" => drop(sent(&mut world, "hmac", "c1", "5")),
                state => handed_over = Some((state.to_owned(), (half_hour + 1) / 2)),
            }
        }
    }
    assert_eq!(handed_over, Some(("handed_over".to_owned(), 24)));
    assert!(world.firing().iter().any(|alert| alert.contains("not decided after more than two weeks")));
    world.prove();
}

#[test]
fn a_loop_of_a_shop_that_sends_the_same_fills_no_journal() {
    let mut world = World::new();
    for _ in 0..120 {
        seen(&mut world, submission("signed", "a1", "20"), Some(MAID));
        world.pass(SignedDuration::from_secs(30));
    }
    let journal = world.engine.journal(&world.store, 0, 1_000).expect("no fault");
    let again = journal.items.iter().filter(|record| record["event"] == "again").count();
    assert_eq!(again, 5, "once in ten minutes");
    world.prove();
}

#[test]
fn a_failed_payment_that_is_sent_again_is_looked_at_and_its_money_is_found() {
    let mut world = World::new();
    let submitted = || submission("signed", "a1", "20");
    seen(&mut world, submitted(), Some(MAID));
    let failed = transaction("t-1", "a1", "purchase", "failed", "20");
    world.hear("signed", &signed(&failed));
    assert_eq!(world.state("signed", "a1"), "failed");
    world.pass(days(40));
    seen(&mut world, submitted(), Some(MAID));
    let sent = world.now.steady;
    let look = world.next_look();
    assert_eq!(world.now.steady.duration_since(sent), minutes(1));
    world.answer(&look, Outcome::Found, vec![failed, transaction("t-2", "a1", "purchase", "success", "20")]);
    assert_eq!(world.state("signed", "a1"), "paid");
    world.prove();
}

#[test]
fn a_request_that_was_not_sent_is_young_again_when_it_is() {
    let mut world = World::new();
    let submitted = || submission("signed", "a1", "20");
    seen(&mut world, submitted(), Some(MAID));
    responded(&mut world, "a1", ResponseWhat::NotSent);
    for _ in 0..7 {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
    }
    assert_eq!(world.state("signed", "a1"), "open");
    seen(&mut world, submitted(), Some(MAID));
    let sent = world.now.steady;
    responded(&mut world, "a1", ResponseWhat::AnsweredUnread { http_status: 201 });
    world.next_look();
    assert_eq!(world.now.steady.duration_since(sent), minutes(1));
    // Once more while it is open is nothing new.
    let before = world.payment("signed", "a1");
    seen(&mut world, submitted(), Some(MAID));
    assert_eq!(world.payment("signed", "a1")["next_look_at"], before["next_look_at"]);
    world.prove();
}

#[test]
fn what_is_paid_or_told_again_by_the_shop_itself_is_only_the_same() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    world.hear("signed", &signed(&transaction("t-1", "a1", "purchase", "success", "20")));
    world.submit("signed", "a2", "20");
    world.hear("signed", &signed(&transaction("t-2", "a2", "purchase", "failed", "20")));
    assert!(matches!(seen(&mut world, submission("signed", "a1", "20"), Some(MAID)), Submitted::Same { .. }));
    assert!(matches!(world.submit("signed", "a2", "20"), Submitted::Same { .. }));
    for id in ["a1", "a2"] {
        assert!(!told(&world, id).contains("again"), "{id}");
    }
    world.prove();
}

// ---- operations, and what was not kept ----

#[test]
fn an_operation_is_looked_for_a_minute_later() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    world.hear("signed", &signed(&transaction("ta", "a1", "authorization", "success", "20")));
    let merchant = MerchantName::new("signed").expect("a name");
    let target = |id: &str| Target::Transaction(TransactionId::new(id).expect("an id"));
    let void = |target| Operation { merchant: merchant.clone(), target, name: "void-authorization".into() };
    let unknown = world.turn(|e, d, now| e.passed(d, &void(target("tz")), now));
    assert_eq!(unknown, None);
    assert!(world.turn(|e, d, now| e.passed(d, &void(target("ta")), now)).is_some());
    let before = world.now.steady;
    let look = world.next_look();
    assert_eq!(world.now.steady.duration_since(before), minutes(1));
    let released = Transaction {
        parent_transaction_id: Some("ta".into()),
        ..transaction("tv", "v1", "void-authorization", "success", "20")
    };
    world.answer(&look, Outcome::Found, vec![transaction("ta", "a1", "authorization", "success", "20"), released]);
    assert_eq!(world.state("signed", "a1"), "cancelled");
    world.prove();
}

/// A held payment, and the void of it.
fn held() -> (World, Operation) {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    world.hear("signed", &signed(&transaction("ta", "a1", "authorization", "success", "20")));
    let target = Target::Transaction(TransactionId::new("ta").expect("an id"));
    let merchant = MerchantName::new("signed").expect("a name");
    (world, Operation { merchant, target, name: "void-authorization".into() })
}

fn sends(world: &mut World, operation: &Operation) -> u64 {
    world.turn(|e, d, now| e.passed(d, operation, now)).expect("a known payment")
}

fn hears(world: &mut World, operation: &Operation, of: u64, what: &ResponseWhat) {
    assert!(world.turn(|e, d, now| e.passed_on(d, operation, Some(of), what, now)).is_some());
}

/// Takes the look that is due next, and says how long after `from` that was.
fn looked(world: &mut World, from: Timestamp) -> SignedDuration {
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("ta", "a1", "authorization", "success", "20")]);
    world.now.steady.duration_since(from)
}

fn told(world: &World, id: &str) -> String {
    serde_json::to_string(&world.engine.explain(&world.store, id, world.now).expect("no fault")).expect("json")
}

#[test]
fn an_operation_is_looked_for_a_minute_after_its_answer_however_late_that_comes() {
    for (what, said) in [
        (ResponseWhat::AnsweredUnread { http_status: 201 }, "the gateway answered void-authorization (HTTP 201)"),
        (ResponseWhat::AnsweredUnread { http_status: 503 }, "the gateway answered void-authorization (HTTP 503)"),
        (ResponseWhat::OutcomeUnknown, "void-authorization got no answer"),
    ] {
        let (mut world, void) = held();
        let record = sends(&mut world, &void);
        world.pass(SignedDuration::from_secs(20));
        hears(&mut world, &void, record, &what);
        let answered = world.now.steady;
        assert_eq!(looked(&mut world, answered), minutes(1), "{said}");
        assert!(told(&world, "a1").contains(said), "{said}");
        world.prove();

        // One that comes behind the look brings another.
        let record = sends(&mut world, &void);
        let sent = world.now.steady;
        assert_eq!(looked(&mut world, sent), minutes(1), "{said}");
        world.pass(minutes(1));
        hears(&mut world, &void, record, &what);
        assert_eq!(looked(&mut world, sent), minutes(3), "{said}");
        world.prove();
    }
}

#[test]
fn a_look_that_was_asked_too_early_does_not_stand_for_the_one_behind_the_answer() {
    let (mut world, void) = held();
    world.turn(|e, d, now| e.ask(d, "a1", now));
    let early = world.due().into_iter().next().expect("a person asked");
    let record = sends(&mut world, &void);
    hears(&mut world, &void, record, &ResponseWhat::AnsweredUnread { http_status: 201 });
    let answered = world.now.steady;
    // Its answer comes late, and says what was true before the void.
    world.pass(SignedDuration::from_secs(61));
    world.answer(&early, Outcome::Found, vec![transaction("ta", "a1", "authorization", "success", "20")]);
    assert_eq!(looked(&mut world, answered), SignedDuration::from_secs(61), "it is still due");
    assert!(!world.due().iter().any(|look| look.number == early.number), "and was owed once");
    world.prove();
}

/// The look due next asks for everything that refers to `ta`: an operation has a request-id of its own.
fn asks_for_the_family(world: &mut World) -> bool {
    let of_family = |query: &Query| matches!(query, Query::Group { root, .. } if root.as_str() == "ta");
    world.next_look().queries.iter().any(of_family)
}

#[test]
fn the_look_for_an_operation_asks_for_more_than_its_payments_own_request() {
    let (mut world, void) = held();
    sends(&mut world, &void);
    assert!(asks_for_the_family(&mut world), "within the window too");
    world.prove();
}

#[test]
fn a_look_that_finds_the_payment_itself_is_followed_by_one_for_the_operation() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    // Its notification is lost: only the gateway's answer has named it.
    let bought = transaction("ta", "a1", "purchase", "success", "20");
    let body = wpg::encode::payment_xml(&bought).into_bytes();
    responded(&mut world, "a1", ResponseWhat::Answered { http_status: 201, body });
    let target = Target::Transaction(TransactionId::new("ta").expect("an id"));
    let merchant = MerchantName::new("signed").expect("a name");
    sends(&mut world, &Operation { merchant, target, name: "refund-purchase".into() });
    world.pass(minutes(1));
    let before = world.now;
    assert!(!asks_for_the_family(&mut world), "nobody knows of one yet");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![bought]);
    assert!(asks_for_the_family(&mut world));
    assert!(world.now.steady.duration_since(before.steady) <= SignedDuration::from_secs(10), "soon");
    world.prove();
}

#[test]
fn a_planned_look_that_stands_for_an_operations_asks_for_as_much() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    world.hear("signed", &signed(&transaction("ta", "a1", "purchase", "success", "20")));
    let target = Target::Transaction(TransactionId::new("ta").expect("an id"));
    let merchant = MerchantName::new("signed").expect("a name");
    // The look behind the window is due before the one for the operation, and comes only after both.
    let planned = world.next_look();
    sends(&mut world, &Operation { merchant, target, name: "refund-purchase".into() });
    world.answer(&planned, Outcome::Unavailable { why: "http 503".into(), retry_after: Some(hours(1)) }, Vec::new());
    assert!(asks_for_the_family(&mut world));
    world.prove();
}

#[test]
fn a_look_that_is_paid_while_it_settles_others_is_not_due_again() {
    let (mut world, void) = held();
    let of_void = Submission {
        transaction_type: Some("void-authorization".into()),
        parent_transaction_id: TransactionId::new("ta").ok(),
        ..submission("signed", "f1", "20")
    };
    world.turn(|e, d, now| e.submit(d, of_void, now));
    sends(&mut world, &void);
    let look = world.look_at("a1");
    let voided = Transaction {
        parent_transaction_id: Some("ta".into()),
        ..transaction("tv", "f1", "void-authorization", "success", "20")
    };
    world.answer(&look, Outcome::Found, vec![transaction("ta", "a1", "authorization", "success", "20"), voided]);
    assert_eq!(world.state("signed", "a1"), "cancelled");
    world.pass(minutes(1));
    assert!(world.due().iter().all(|look| look.request_id.as_str() != "a1"), "it was looked at");
    world.prove();
}

#[test]
fn an_operation_that_was_never_sent_brings_no_look() {
    let (mut world, void) = held();
    let before = world.payment("signed", "a1")["next_look_at"].clone();
    let record = sends(&mut world, &void);
    assert_ne!(world.payment("signed", "a1")["next_look_at"], before);
    hears(&mut world, &void, record, &ResponseWhat::NotSent);
    assert_eq!(world.payment("signed", "a1")["next_look_at"], before);
    assert!(told(&world, "a1").contains("void-authorization was never sent to the gateway"));
    world.prove();
}

#[test]
fn what_passed_unkept_is_told_with_what_became_of_it() {
    let mut world = World::new();
    let unkept = |kept_late, lost| Unkept {
        merchant: MerchantName::new("signed").expect("a name"),
        from: "2026-03-02T08:00:00Z".parse().expect("a time"),
        to: "2026-03-02T08:05:00Z".parse().expect("a time"),
        kept_late,
        lost,
        why: "the store takes nothing now".into(),
    };
    // Delivers what waits, and counts it.
    let tellings = |world: &mut World| {
        let waiting = world.engine.deliveries(&world.store, world.now, 100).expect("no fault");
        for delivery in &waiting {
            world.turn(|e, d, now| e.delivered(d, delivery.number, Ok(()), now));
        }
        waiting.len()
    };
    for (late, lost, said, is_told) in [
        (3, 0, "kept late and watched: 3; not watched: 0", true),
        (1, 0, "kept late and watched: 4; not watched: 0", false),
        (0, 2, "kept late and watched: 4; not watched: 2, compare with the shop's orders", true),
        (0, 1, "kept late and watched: 4; not watched: 3, compare", false),
        (1, 4, "kept late and watched: 5; not watched: 7, compare", true),
    ] {
        world.turn(|e, d, now| e.unkept(d, &unkept(late, lost), now));
        assert_eq!(tellings(&mut world) > 0, is_told, "{said}");
        let firing = world.firing();
        let of_signed = "requests of signed passed unrecorded from 2026-03-02T08:00:00Z to 2026-03-02T08:05:00Z";
        assert!(firing.iter().any(|s| s.starts_with(of_signed) && s.contains(said)), "{firing:?}");
    }
    world.prove();
}

#[test]
fn an_answer_of_a_gateway_in_trouble_says_nothing() {
    let mut world = World::new();
    world.submit("signed", "a1", "20");
    responded(&mut world, "a1", ResponseWhat::AnsweredUnread { http_status: 503 });
    let before = world.now.steady;
    world.next_look();
    assert_eq!(world.now.steady.duration_since(before), minutes(1), "it is looked up soon");
    world.prove();
}
