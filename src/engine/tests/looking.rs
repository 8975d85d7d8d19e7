//! Looks: whom they reach, and what they survive.

use super::*;
use crate::core::submission::Teller;

#[test]
fn after_a_deaf_hour_every_touched_payment_is_looked_at() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.pass(minutes(3));
    world.turn(|e, d, now| e.tick(d, now));
    let from = world.now;
    let look = world.next_look();
    world.answer(&look, Outcome::NotFound, vec![]);
    world.pass(SignedDuration::from_secs(20));
    let to = world.now;
    world.turn(|e, d, _| e.deaf(d, from, to, "a test"));
    world.pass(minutes(1));
    assert_eq!(world.due().len(), 1);
    world.prove();
}

#[test]
fn nobody_is_forgotten_when_a_row_is_lost() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let (key, _) = world.store.range(Table::Due, &[], &[], 1).expect("rows").remove(0);
    let commit = {
        let mut draft = Draft::new(&world.store).expect("a draft");
        draft.delete(Table::Due, key);
        draft.into_commit()
    };
    world.store.commit(commit).expect("a commit");
    let audit = world.engine.audit(&world.store).expect("no fault");
    assert_eq!((audit.forgotten, audit.unexplained), (1, 1), "{audit:#?}");
}

#[test]
fn an_account_whose_lane_is_stopped_holds_up_nobody() {
    let mut world = World::new();
    for n in 0..3_000 {
        world.submit("nvp", &format!("n{n}"), "5");
    }
    world.submit("signed", "r1", "12.50");
    world.pass(hours(1));
    let merchant = MerchantName::new("signed").expect("a name");
    let looks = world.engine.due(&world.store, world.now, &merchant, 16, 0, &|_| false).expect("no fault");
    assert_eq!(looks.iter().map(|l| l.request_id.as_str()).collect::<Vec<_>>(), ["r1"]);
}

#[test]
fn an_account_that_left_the_configuration_is_missed() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.submit("nvp", "r1", "12.50");
    assert!(world.engine.missing_accounts(&world.store).expect("no fault").is_empty());
    let mut engine = world.engine.clone();
    engine.policy.accounts.remove(&MerchantName::new("nvp").expect("a name"));
    assert_eq!(engine.missing_accounts(&world.store).expect("no fault"), ["nvp"]);
}

#[test]
fn an_answer_about_another_request_says_nothing_about_the_asked_one() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.submit("signed", "r2", "8.00");
    world.hear("signed", &signed(&transaction("t2", "r2", "purchase", "success", "8.00")));
    world.pass(hours(2));
    for _ in 0..4 {
        let mut look = world.next_look();
        while look.request_id.as_str() == "r2" {
            world.answer(&look, Outcome::Found, vec![transaction("t2", "r2", "purchase", "success", "8.00")]);
            look = world.next_look();
        }
        world.answer(&look, Outcome::Found, vec![transaction("t2", "r2", "purchase", "success", "8.00")]);
        world.pass(hours(25));
    }
    assert_eq!(world.state("signed", "r1"), "open", "a mixed-up cache must not give a payment up");
    assert_eq!(world.state("signed", "r2"), "paid");
    world.prove();
}

#[test]
fn a_look_that_a_message_asked_for_survives_an_outage_even_when_the_payment_is_settled() {
    let mut world = World::new();
    world.submit("nvp", "r1", "12.50");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.state("nvp", "r1"), "paid");
    world.hear("nvp", &wpg::encode::payment_xml(&transaction("t2", "r1", "purchase", "success", "12.50")));
    let look = world.next_look();
    world.answer(&look, Outcome::Unavailable { why: "no answer in time".into(), retry_after: None }, vec![]);
    let again = world.next_look();
    assert_eq!(again.request_id.as_str(), "r1");
    world.prove();
}

#[test]
fn a_deaf_interval_with_many_open_payments_is_swept_block_by_block() {
    let mut world = World::new();
    for n in 0..4_500 {
        world.submit("signed", &format!("r{n}"), "5");
    }
    world.pass(minutes(3));
    let from = world.now;
    world.pass(minutes(1));
    let to = world.now;
    world.turn(|e, d, _| e.deaf(d, from, to, "a test"));
    let swept = |world: &World| {
        let journal = world.engine.journal(&world.store, 0, 100_000).expect("no fault").items;
        journal
            .iter()
            .filter(|r| r["event"] == "swept")
            .map(|r| r["numbers"].as_array().expect("a list").len())
            .collect::<Vec<_>>()
    };
    assert_eq!(swept(&world), [2_000], "one block with the interval itself");
    assert!(world.turn(|e, d, now| e.judge(d, 100, now)).more);
    world.turn(|e, d, now| e.judge(d, 100, now));
    assert!(!world.turn(|e, d, now| e.judge(d, 100, now)).more);
    assert_eq!(swept(&world), [2_000, 2_000, 500]);
    world.prove();
}

/// The requests of the looks that are taken one at a time.
fn taken_one_by_one(world: &World, count: usize) -> Vec<String> {
    let mut taken: Vec<PaymentNumber> = Vec::new();
    let mut requests = Vec::new();
    for turn in 0..count {
        let merchant = MerchantName::new("signed").expect("a name");
        let skip = |number: PaymentNumber| taken.contains(&number);
        let looks = world.engine.due(&world.store, world.now, &merchant, 1, turn, &skip).expect("no fault");
        let Some(look) = looks.into_iter().next() else { break };
        taken.push(look.number);
        requests.push(look.request_id.to_string());
    }
    requests
}

#[test]
fn an_imported_list_and_a_backlog_hold_up_no_new_payment_and_nobody_who_asks() {
    let mut world = World::new();
    let long_ago = later(world.now.wall, -days(20));
    let imported =
        |n: usize| Submission { submitted_at: Some(long_ago), ..submission("signed", &format!("imp-{n}"), "1") };
    for n in 0..40 {
        world.turn(|e, d, now| e.submit_by(d, imported(n), Teller::Import, None, now));
    }
    for n in 0..20 {
        world.submit("signed", &format!("old-{n}"), "1");
    }
    world.pass(hours(1));
    // They were looked at, and nobody answered.
    for look in world.due().into_iter().filter(|look| look.request_id.as_str().starts_with("old")).collect::<Vec<_>>() {
        world.answer(&look, Outcome::Unavailable { why: "down".into(), retry_after: None }, Vec::new());
    }
    for n in 0..20 {
        world.submit("signed", &format!("new-{n}"), "1");
    }
    world.pass(hours(1));
    let shares =
        |requests: &[String]| ["new", "old", "imp"].map(|kind| requests.iter().filter(|r| r.starts_with(kind)).count());
    assert_eq!(shares(&taken_one_by_one(&world, 16)), [10, 4, 2], "one at a time, as a budget of 2/s takes them");
    assert_eq!(shares(&taken_one_by_one(&world, 80)), [20, 20, 40], "nobody is left out");

    // Who asks for one of the list need not wait for the others.
    world.turn(|e, d, now| e.ask(d, "imp-39", now));
    assert!(taken_one_by_one(&world, 40).iter().take(30).any(|request| request == "imp-39"));
    world.prove();
}
