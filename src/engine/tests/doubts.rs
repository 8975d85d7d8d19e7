//! Stories a sceptic asks for: races, replays, wrong hands, and what a long time brings.

use super::*;
use crate::words::id::TransactionId;

fn capture_of(parent: &str, id: &str, value: &str) -> Submission {
    Submission {
        transaction_type: Some("capture-authorization".into()),
        parent_transaction_id: TransactionId::new(parent).ok(),
        ..submission("signed", id, value)
    }
}

fn child(id: &str, request: &str, kind: &str, value: &str, parent: &str) -> Transaction {
    Transaction { parent_transaction_id: Some(parent.into()), ..transaction(id, request, kind, "success", value) }
}

fn held(world: &mut World) {
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "a1", "20") };
    world.turn(|e, d, now| e.submit(d, hold, now));
}

// ---- one transaction stands in the books of one payment ----

#[test]
fn a_capture_heard_of_before_its_submission_is_booked_once() {
    let mut world = World::new();
    held(&mut world);
    world.hear("signed", &signed(&transaction("ta", "a1", "authorization", "success", "20")));
    let capture = child("tc", "c1", "capture-authorization", "20", "ta");
    world.hear("signed", &signed(&capture));
    assert_eq!(world.state("signed", "a1"), "paid");
    world.turn(|e, d, now| e.submit(d, capture_of("ta", "c1", "20"), now));
    let look = world.next_look();
    assert_eq!(look.request_id.as_str(), "c1");
    world.answer(&look, Outcome::Found, vec![capture]);
    assert_eq!(world.ledger(), ["reserved 20.00 EUR", "in 20.00 EUR"]);
    assert_eq!((world.state("signed", "a1"), world.state("signed", "c1")), ("paid".into(), "paid".into()));
    world.prove();
}

#[test]
fn a_capture_found_with_its_hold_in_one_look_raises_the_hold() {
    let mut world = World::new();
    held(&mut world);
    world.turn(|e, d, now| e.submit(d, capture_of("ta", "c1", "20"), now));
    let looks = loop {
        let due = world.due();
        if due.iter().any(|look| look.request_id.as_str() == "a1") {
            break due;
        }
        world.next_look();
    };
    let look = looks.into_iter().find(|look| look.request_id.as_str() == "a1").expect("a look");
    let family = vec![
        transaction("ta", "a1", "authorization", "success", "20"),
        child("tc", "c1", "capture-authorization", "20", "ta"),
    ];
    world.answer(&look, Outcome::Found, family);
    assert_eq!((world.state("signed", "a1"), world.state("signed", "c1")), ("paid".into(), "paid".into()));
    assert_eq!(world.payment("signed", "c1")["follow_up_of"], "a1");
    world.prove();
}

#[test]
fn a_capture_made_by_staff_and_heard_of_before_its_hold_is_given_to_the_hold() {
    let mut world = World::new();
    held(&mut world);
    let capture = child("tc", "c1", "capture-authorization", "20", "ta");
    world.hear("signed", &signed(&capture));
    let hold = transaction("ta", "a1", "authorization", "success", "20");
    world.hear("signed", &signed(&hold));
    assert_eq!(world.state("signed", "a1"), "reserved", "nothing ties the capture to it yet");
    let look = world.next_look();
    assert_eq!(look.request_id.as_str(), "c1");
    world.answer(&look, Outcome::Found, vec![capture]);
    assert_eq!(world.state("signed", "a1"), "paid");
    assert_eq!(world.ledger(), ["reserved 20.00 EUR", "in 20.00 EUR"]);
    world.prove();
}

#[test]
fn a_disagreement_of_a_family_is_counted_once_and_ends() {
    let mut world = World::new();
    held(&mut world);
    world.turn(|e, d, now| e.submit(d, capture_of("ta", "c1", "25"), now));
    world.hear("signed", &signed(&transaction("ta", "a1", "authorization", "success", "20")));
    let capture = child("tc", "c1", "capture-authorization", "25", "ta");
    world.hear("signed", &signed(&capture));
    world.turn(|e, d, now| e.ask(d, "a1", now));
    let look = world.due().into_iter().find(|look| look.request_id.as_str() == "a1").expect("a look");
    world.answer(&look, Outcome::Found, vec![capture.clone()]);
    let alerts = world.engine.alerts(&world.store, 0, 100, world.now).expect("no fault").items;
    for alert in &alerts {
        assert!(alert["count"].as_u64().expect("a number") <= 1, "{alert:#}");
    }
    world.prove();
}

// ---- replays and forgeries ----

#[test]
fn a_genuine_message_with_new_unsigned_parts_is_a_repeat() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    let genuine = confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512);
    world.hear("hmac", &genuine);
    let look = world.due().into_iter().next().expect("a look at once");
    let approved = details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]);
    world.answer(&look, Outcome::Found, approved);
    let before = crate::store::journal_len(&world.store).expect("a length");
    for n in 0..50 {
        world.hear("hmac", &format!("{genuine}&junk={n}"));
    }
    let grown = crate::store::journal_len(&world.store).expect("a length") - before;
    assert!(grown <= 4, "the journal grew by {grown}");
    assert!(world.due().is_empty(), "a replay asks the gateway nothing");
    world.prove();
}

#[test]
fn a_signed_hint_with_new_unsigned_parts_is_a_repeat() {
    let mut world = World::new();
    world.submit("nvp", "r1", "12.50");
    let before = crate::store::journal_len(&world.store).expect("a length");
    for n in 1..50 {
        let lie = transaction("t1", "r1", "purchase", "success", &n.to_string());
        world.hear("nvp", &wpg::encode::nvp(&lie, SECRET));
    }
    let grown = crate::store::journal_len(&world.store).expect("a length") - before;
    assert!(grown <= 6, "the journal grew by {grown}");
    world.prove();
}

#[test]
fn an_old_message_played_again_pages_nobody() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let failed = signed(&transaction("t1", "r1", "purchase", "failed", "12.50"));
    world.hear("signed", &failed);
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    world.hear("signed", &failed);
    assert_eq!(world.state("signed", "r1"), "paid");
    assert!(!world.firing().iter().any(|a| a.contains("contradiction")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_strangers_long_text_does_not_fill_the_journal() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let mut long = transaction("t1", "r1", "purchase", "success", "1");
    long.order_number = Some("x".repeat(100_000));
    long.payment_methods = vec!["m".repeat(100_000)];
    world.hear("signed", &wpg::encode::payment_xml(&long));
    let page = world.engine.journal(&world.store, 0, 1_000).expect("no fault");
    let heard = page.items.last().expect("a record");
    assert_eq!((&heard["event"], &heard["weight"]), (&"notified".into(), &"hint".into()));
    assert!(heard.to_string().len() < 5_000, "{} bytes", heard.to_string().len());
    world.prove();
}

#[test]
fn messages_that_no_longer_fit_are_counted_once_in_the_journal() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    for n in 0..9 {
        let t = transaction(&format!("t{n}"), "r1", "purchase", "success", "1");
        world.hear("signed", &wpg::encode::payment_xml(&t));
    }
    let page = world.engine.journal(&world.store, 0, 1_000).expect("no fault");
    let overflows = page.items.iter().filter(|r| r["event"] == "overflowed").count();
    assert_eq!(overflows, 1);
    world.prove();
}

#[test]
fn a_checkout_id_that_ends_like_a_suffix_is_an_id_of_its_own() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1-deposit", "7000011", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000012", "5", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c1"), "accepted");
    world.prove();
}

#[test]
fn a_second_order_number_is_bound_as_firmly_as_the_first() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.submit("hmac", "c2", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000005", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000006", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c2", "7000006", "5", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c2"), "open");
    assert!(world.firing().iter().any(|a| a.contains("order-number-taken")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_number_told_late_does_not_replace_the_one_the_gateway_named() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000005", "5", Scheme::HmacSha512));
    let told =
        Submission { gateway_order_number: GatewayOrderNumber::new("7000009").ok(), ..submission("hmac", "c1", "5") };
    let outcome = world.turn(|e, d, now| e.submit(d, told, now));
    assert!(matches!(outcome, Submitted::Amended { .. }));
    let look = world.due().into_iter().next().expect("a look");
    let asked: Vec<String> = look.queries.iter().map(|q| format!("{q:?}")).collect();
    assert!(asked.iter().any(|q| q.contains("7000005")) && asked.iter().any(|q| q.contains("7000009")), "{asked:?}");
    world.prove();
}

#[test]
fn a_forgery_does_not_hold_back_what_a_signed_message_wants() {
    let mut world = World::new();
    let paypal = Submission { payment_method: Some("paypal".into()), ..submission("nvp", "r1", "12.50") };
    world.turn(|e, d, now| e.submit(d, paypal, now));
    world.pass(minutes(1));
    world.hear("nvp", &wpg::encode::payment_xml(&transaction("t9", "r1", "debit", "success", "1")));
    assert!(world.due().is_empty(), "an unverified message asks nothing before the window's end");
    world.pass(minutes(1));
    world.hear("nvp", &wpg::encode::nvp(&transaction("t1", "r1", "debit", "success", "12.50"), SECRET));
    assert_eq!(world.due().len(), 1, "the signed one does");
    world.prove();
}

#[test]
fn a_deaf_interval_asks_nothing_within_the_window_of_a_method_that_minds() {
    let mut world = World::new();
    let paypal = Submission { payment_method: Some("paypal".into()), ..submission("signed", "r1", "12.50") };
    world.turn(|e, d, now| e.submit(d, paypal, now));
    world.pass(minutes(3));
    let from = world.now;
    world.pass(minutes(2));
    let to = world.now;
    world.turn(|e, d, _| e.deaf(d, from, to, "a test"));
    world.pass(minutes(10));
    assert!(world.due().is_empty(), "paypal fails what is asked about too early");
    world.pass(hours(3));
    assert_eq!(world.due().len(), 1);
    world.prove();
}

// ---- looks ----

fn unavailable() -> Outcome {
    Outcome::Unavailable { why: "timed out".into(), retry_after: None }
}

#[test]
fn a_look_at_an_orphan_that_got_no_answer_is_tried_again() {
    let mut world = World::new();
    world.hear("signed", &signed(&transaction("t1", "r9", "purchase", "success", "12.50")));
    let look = world.next_look();
    world.answer(&look, unavailable(), vec![]);
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r9", "purchase", "success", "12.50")]);
    assert!(world.firing().iter().any(|a| a.contains("orphan-money")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_look_brought_forward_that_got_no_answer_is_tried_again_soon() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    let look = world.due().into_iter().next().expect("a look at once");
    world.answer(&look, unavailable(), vec![]);
    world.pass(minutes(2));
    assert_eq!(world.due().len(), 1, "not left to the schedule");
    world.prove();
}

#[test]
fn an_unproven_hint_brings_one_look_in_ten_minutes_answered_or_not() {
    let mut world = World::new();
    let redirect = Submission { payment_method: Some("eps".into()), ..submission("signed", "r1", "12.50") };
    world.turn(|e, d, now| e.submit(d, redirect, now));
    world.hear("signed", &wpg::encode::payment_xml(&transaction("t2", "r1", "purchase", "failed", "12.50")));
    let look = world.due().into_iter().next().expect("one look");
    world.answer(&look, unavailable(), vec![]);
    world.pass(minutes(9));
    assert!(world.due().is_empty());
    world.pass(minutes(1));
    assert_eq!(world.due().len(), 1);
    world.prove();
}

#[test]
fn looks_agree_only_where_every_id_was_asked_for() {
    let mut world = World::new();
    let ideal = Submission { payment_method: Some("ideal".into()), ..submission("signed", "r1", "12.50") };
    world.turn(|e, d, now| e.submit(d, ideal, now));
    world.pass(hours(5));
    // Due since the 12th minute: a look at the bare id, taken hours late.
    let bare = world.due().into_iter().next().expect("a look");
    assert_eq!(bare.queries.len(), 1);
    world.answer(&bare, Outcome::NotFound, vec![]);
    let first = world.next_look();
    assert_eq!(first.queries.len(), 2, "the step's id as well: {:?}", first.queries);
    world.answer(&first, Outcome::NotFound, vec![]);
    assert_eq!(world.state("signed", "r1"), "open", "one whole look is not two");
    let second = world.next_look();
    assert_eq!(second.queries.len(), 2);
    world.answer(&second, Outcome::NotFound, vec![]);
    assert_eq!(world.state("signed", "r1"), "unfinished_provisional");
    world.prove();
}

#[test]
fn a_forged_hint_after_the_deadline_brings_a_whole_look() {
    let mut world = World::new();
    let ideal = Submission { payment_method: Some("ideal".into()), ..submission("signed", "r1", "12.50") };
    world.turn(|e, d, now| e.submit(d, ideal, now));
    let look = world.next_look();
    world.answer(&look, Outcome::NotFound, vec![]);
    world.pass(minutes(40));
    world.hear("signed", &wpg::encode::payment_xml(&transaction("t2", "r1", "debit", "failed", "12.50")));
    assert!(world.due().iter().all(|look| look.queries.len() == 2));
    world.prove();
}

// ---- orphans ----

#[test]
fn an_orphan_nobody_can_be_asked_about_is_told_after_ten_minutes() {
    let mut world = World::new();
    let Contract::Checkout(contract) =
        &mut world.engine.policy.accounts.get_mut(&MerchantName::new("hmac").expect("name")).expect("account").contract
    else {
        panic!("a checkout account");
    };
    contract.can_ask = false;
    world.turn(|e, d, now| e.started(d, now));
    world.hear("hmac", &confirmation("SUCCESS", "c9", "7000031", "5", Scheme::HmacSha512));
    world.pass(minutes(11));
    world.turn(|e, d, now| e.tick(d, now));
    assert!(world.firing().iter().any(|a| a.contains("orphan-money")), "{:?}", world.firing());
    let journal = crate::store::journal_len(&world.store).expect("a length");
    world.pass(minutes(1));
    world.turn(|e, d, now| e.tick(d, now));
    assert_eq!(crate::store::journal_len(&world.store).expect("a length"), journal, "told once");
    world.prove();
}

#[test]
fn an_order_number_taken_is_told_of_an_orphan_too() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000051", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c9", "7000051", "5", Scheme::HmacSha512));
    assert!(world.firing().iter().any(|a| a.contains("order-number-taken")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn an_orphan_without_money_does_not_stay_on_the_open_list() {
    let mut world = World::new();
    world.hear("signed", &signed(&transaction("t1", "r9", "purchase", "failed", "12.50")));
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r9", "purchase", "failed", "12.50")]);
    assert!(world.engine.open(&world.store, 0, 10, world.now).expect("no fault").items.is_empty());
    world.prove();
}

// ---- a long time ----

#[test]
fn an_open_disagreement_is_not_pushed_out_by_news() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "1.25")));
    for n in 0..60 {
        world.submit("signed", "r1", &format!("{}", 100 + n));
    }
    let open = world.payment("signed", "r1")["discrepancies"].as_array().expect("a list").clone();
    assert!(open.iter().any(|d| d["code"] == "amount-differs" && d["resolved_at"].is_null()));
    let alerts = world.engine.alerts(&world.store, 0, 100, world.now).expect("no fault").items;
    let differs = alerts.iter().find(|a| a["key"].as_str().is_some_and(|k| k.contains("amount-differs")));
    assert_eq!(differs.expect("an alert")["count"], 1);
    world.prove();
}

#[test]
fn who_can_no_longer_be_asked_is_handed_over_once() {
    let mut world = World::new();
    let numbered =
        Submission { gateway_order_number: GatewayOrderNumber::new("7000041").ok(), ..submission("hmac", "c1", "5") };
    world.turn(|e, d, now| e.submit(d, numbered, now));
    while world.state("hmac", "c1") == "open" {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
    }
    assert_eq!(world.state("hmac", "c1"), "unfinished_provisional");
    let Contract::Checkout(contract) =
        &mut world.engine.policy.accounts.get_mut(&MerchantName::new("hmac").expect("name")).expect("account").contract
    else {
        panic!("a checkout account");
    };
    contract.can_ask = false;
    world.turn(|e, d, now| e.started(d, now));
    world.pass(days(2));
    world.turn(|e, d, now| e.tick(d, now));
    world.turn(|e, d, now| e.tick(d, now));
    assert_eq!(world.state("hmac", "c1"), "handed_over");
    let journal = crate::store::journal_len(&world.store).expect("a length");
    world.pass(minutes(1));
    world.turn(|e, d, now| e.tick(d, now));
    assert_eq!(crate::store::journal_len(&world.store).expect("a length"), journal, "not once a minute for ever");
    world.prove();
}

#[test]
fn no_custom_field_of_the_shop_reaches_the_journal() {
    let mut world = World::new();
    let fields = || Some([("customer".to_owned(), "Erika Mustermann".to_owned())].into());
    let named = || Submission { custom_fields: fields(), ..submission("signed", "r1", "12.50") };
    world.turn(|e, d, now| e.submit(d, named(), now));
    assert!(matches!(world.turn(|e, d, now| e.submit(d, named(), now)), Submitted::Same { .. }));
    let other = Submission {
        custom_fields: Some([("customer".to_owned(), "Max Mustermann".to_owned())].into()),
        ..submission("signed", "r1", "12.50")
    };
    let outcome = world.turn(|e, d, now| e.submit(d, other, now));
    assert!(matches!(outcome, Submitted::Conflict { field: "custom_fields", .. }));
    for table in Table::ALL {
        for (_, row) in world.store.range(table, &[], &[], 1_000).expect("rows") {
            assert!(!String::from_utf8_lossy(&row).contains("Mustermann"), "{}", table.name());
        }
    }
    world.prove();
}

#[test]
fn a_past_report_keeps_the_policy_it_was_made_under() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    world.pass(days(1));
    let slot = world.engine.report_due(&world.store, world.now).expect("no fault").expect("a report is due");
    let report = world.engine.report(&world.store, slot).expect("no fault");
    world.turn(|e, d, now| e.reported(d, &report, intake::digest(report.text().as_bytes()), now));
    world.engine.policy.report.time_zone = "Asia/Tokyo".into();
    world.turn(|e, d, now| e.started(d, now));
    let (again, _) = world.engine.report_again(&world.store, slot).expect("no fault").expect("it was written");
    assert_eq!(again.text(), report.text());
    world.prove();
}

#[test]
fn a_report_hides_no_hand_over_behind_what_is_open() {
    let mut world = World::new();
    world.turn(|e, d, now| {
        for n in 0..5_001 {
            e.submit(d, submission("signed", &format!("r{n}"), "1"), now)?;
        }
        Ok(())
    });
    world.submit("hmac", "c1", "5");
    world.pass(minutes(36));
    world.turn(|e, d, now| e.tick(d, now));
    let day = crate::words::time::business_day(world.now.wall, &jiff::tz::TimeZone::UTC);
    let report = world.engine.report(&world.store, report::Slot { day, is_final: false }).expect("no fault");
    assert_eq!(report.handed_over.len(), 1);
    assert!(report.text().contains("Not decided yet: 5001"), "every open payment is counted");
}

#[test]
fn one_sink_in_trouble_does_not_silence_the_other() {
    let mut world = World::new();
    world.engine.policy.alerts.webhook = true;
    world.turn(|e, d, now| e.started(d, now));
    for n in 0..1_100 {
        world.turn(|e, d, now| {
            let merchant = MerchantName::new("signed").expect("name");
            e.lane(d, &merchant, Some(&format!("trouble {n}")), now)?;
            e.lane(d, &merchant, None, now)
        });
    }
    // The webhook fails, the log works.
    loop {
        let due = world.engine.deliveries(&world.store, world.now, 500).expect("no fault");
        if due.is_empty() {
            break;
        }
        world.turn(|e, d, now| {
            for delivery in &due {
                let outcome = if delivery.sink == Sink::Log { Ok(()) } else { Err("refused".to_owned()) };
                e.delivered(d, delivery.number, outcome, now)?;
            }
            Ok(())
        });
    }
    let left = world.store.range(Table::Outbox, &[], &[], 10_000).expect("rows");
    let logs = left.iter().filter(|(_, row)| String::from_utf8_lossy(row).contains("\"log\"")).count();
    assert_eq!(logs, 0, "of {} tellings left, {logs} are for the log", left.len());
}

// ---- time that passes unseen ----

#[test]
fn an_answer_from_before_a_long_sleep_is_asked_for_again() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.pass(minutes(40));
    let first = world.next_look();
    world.answer(&first, Outcome::NotFound, vec![]);
    let second = world.next_look();
    world.pass(minutes(33));
    world.answer(&second, Outcome::NotFound, vec![]);
    assert_eq!(world.state("signed", "r1"), "open", "what was true before the sleep agrees with nothing");
    let again = world.next_look();
    assert!(world.now.steady.duration_since(second.asked_at) < minutes(40), "and it is asked again soon");
    world.answer(&again, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.state("signed", "r1"), "paid");
    world.prove();
}

// ---- a stranger's weight ----

/// An unsigned list of payments nobody submitted, padded with blanks.
fn strangers_list(payments: usize, bytes: usize) -> String {
    let one = |n: usize| {
        format!(
            "<payment><merchant-account-id>{MAID}</merchant-account-id><request-id>nobody-{n}</request-id>\
             <transaction-id>t-{n}</transaction-id><transaction-type>debit</transaction-type>\
             <transaction-state>success</transaction-state></payment>"
        )
    };
    let payments: String = (0..payments).map(one).collect();
    format!(
        "<payments xmlns=\"http://www.elastic-payments.com/schema/payment\">{payments}{}</payments>",
        " ".repeat(bytes)
    )
}

#[test]
fn a_strangers_list_lies_in_the_ring_once() {
    let mut world = World::new();
    world.hear("signed", &strangers_list(200, 0));
    assert_eq!(world.store.range(Table::Ring, &[], &[], 300).expect("rows").len(), 1);
    world.prove();
}

#[test]
fn one_turn_of_judging_takes_no_more_bodies_than_a_commit_can_bear() {
    let mut world = World::new();
    for _ in 0..12 {
        let body = strangers_list(1, 1_000_000).into_bytes();
        let merchant = MerchantName::new("signed").expect("a name");
        let incoming = Incoming { merchant, body, content_type: None, way: "http" };
        world.turn(|e, d, now| e.receive(d, incoming, now));
    }
    let first = world.turn(|e, d, now| e.judge(d, 100, now));
    assert!(first.more && (1..12).contains(&first.judged), "{first:?}");
    let second = world.turn(|e, d, now| e.judge(d, 100, now));
    assert!(!second.more && first.judged + second.judged == 12, "{second:?}");
    assert!(world.store.range(Table::Inbox, &[], &[], 1).expect("rows").is_empty());
}
