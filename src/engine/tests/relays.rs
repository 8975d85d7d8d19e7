//! Notifications on their way to the shop's own listener.

use super::*;
use crate::core::relay::{Attempt, RelayPolicy};
use crate::engine::relay::Relayable;
use crate::words::time::seconds;

fn accepted() -> Attempt {
    Attempt::Accepted { http_status: 200, ok_token: None }
}

fn refused() -> Attempt {
    Attempt::Refused { http_status: 500 }
}

fn name(merchant: &str) -> MerchantName {
    MerchantName::new(merchant).expect("a name")
}

impl World {
    fn relaying(rule: RelayPolicy) -> World {
        let mut world = World::new();
        for merchant in ["signed", "nvp", "hmac"] {
            world.engine.policy.relays.insert(name(merchant), rule.clone());
        }
        world.turn(|e, d, now| e.started(d, now));
        world
    }

    fn relayable(&self, merchant: &str) -> Vec<Relayable> {
        self.engine.relays_due(&self.store, &name(merchant), self.now, 100, &|_| false).expect("no fault")
    }

    /// What would be sent now, as texts.
    fn to_send(&self, merchant: &str) -> Vec<String> {
        self.relayable(merchant).into_iter().map(|m| String::from_utf8(m.body).expect("text")).collect()
    }

    /// The shop answers everything that would be sent now.
    fn shop_says(&mut self, merchant: &str, attempt: &Attempt) -> usize {
        let due = self.relayable(merchant);
        for message in &due {
            self.turn(|e, d, now| e.relayed(d, &name(merchant), message.number, attempt.clone(), now));
        }
        due.len()
    }

    fn tick(&mut self) {
        self.turn(|e, d, now| e.tick(d, now));
    }

    fn told_of(&self, topic: &str) -> Vec<String> {
        let page = self.engine.alerts(&self.store, 0, 1_000, self.now).expect("no fault");
        let firing = page.items.iter().filter(|a| a["status"] == "firing" && a["topic"] == topic);
        firing.map(|a| a["summary"].as_str().expect("text").to_owned()).collect()
    }

    fn story(&self, id: &str) -> Vec<String> {
        let items = self.engine.explain(&self.store, id, self.now).expect("no fault");
        let lines = items.iter().flat_map(|item| item["story"].as_array().expect("a list").clone());
        lines.map(|line| line["what"].as_str().expect("text").to_owned()).collect()
    }

    fn waiting(&self) -> Value {
        self.engine.relay_status(&self.store).expect("no fault").into()
    }
}

fn message(id: &str, request: &str) -> String {
    signed(&transaction(id, request, "purchase", "success", "12.50"))
}

#[test]
fn a_kept_message_is_passed_on_once_and_the_shops_answer_is_evidence() {
    let mut world = World::relaying(RelayPolicy::default());
    world.submit("signed", "r1", "12.50");
    let body = message("t1", "r1");
    let incoming = Incoming {
        merchant: name("signed"),
        body: body.clone().into_bytes(),
        content_type: Some("application/json; charset=x".into()),
        way: "http",
    };
    world.turn(|e, d, now| e.receive(d, incoming, now));
    assert_eq!(world.to_send("signed"), Vec::<String>::new(), "judged before it is passed on");
    world.turn(|e, d, now| e.judge(d, 100, now));
    let due = world.relayable("signed");
    assert_eq!(due.len(), 1);
    assert!(due[0].body == body.as_bytes() && due[0].id.starts_with("relay-1-"));
    assert_eq!(due[0].content_type.as_deref(), Some("application/json; charset=x"));
    assert_eq!(world.waiting()[0]["waiting"], 1);

    assert_eq!(world.shop_says("signed", &accepted()), 1);
    assert_eq!((world.to_send("signed").len(), world.waiting()), (0, serde_json::json!([])));
    assert!(world.story("r1").contains(&"relayed to the shop: HTTP 200".to_owned()), "{:?}", world.story("r1"));
    world.prove();
}

#[test]
fn messages_of_one_request_keep_their_order_and_others_pass_by() {
    let mut world = World::relaying(RelayPolicy::default());
    for id in ["r1", "r2"] {
        world.submit("signed", id, "12.50");
    }
    let (first, second, other) = (message("t1", "r1"), message("t2", "r1"), message("t3", "r2"));
    for body in [&first, &second, &other] {
        world.hear("signed", body);
    }
    assert_eq!(world.to_send("signed"), [first.clone(), other.clone()]);
    // The first of r1 is refused again and again; r2 goes through meanwhile.
    let numbers: Vec<u64> = world.relayable("signed").iter().map(|m| m.number).collect();
    world.turn(|e, d, now| e.relayed(d, &name("signed"), numbers[0], refused(), now));
    world.turn(|e, d, now| e.relayed(d, &name("signed"), numbers[1], accepted(), now));
    assert_eq!(world.to_send("signed"), Vec::<String>::new());
    world.pass(seconds(10));
    assert_eq!(world.to_send("signed"), std::slice::from_ref(&first));
    world.shop_says("signed", &refused());
    world.pass(seconds(19));
    assert_eq!(world.to_send("signed"), Vec::<String>::new());
    world.pass(seconds(1));
    assert_eq!(world.shop_says("signed", &accepted()), 1);
    assert_eq!(world.to_send("signed"), [second]);
    assert_eq!(world.shop_says("signed", &accepted()), 1);
    let story = world.story("r1");
    let relayed: Vec<&String> = story.iter().filter(|line| line.starts_with("relayed")).collect();
    assert_eq!(
        relayed,
        [
            "relayed to the shop: HTTP 500",
            "relayed to the shop: HTTP 200 at attempt 3",
            "relayed to the shop: HTTP 200"
        ],
        "the same refusal again is no news"
    );
    world.prove();
}

#[test]
fn a_message_that_waits_a_day_is_an_alert_that_ends_with_it() {
    let mut world = World::relaying(RelayPolicy::default());
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &message("t1", "r1"));
    let absent = Attempt::Unreachable { why: "can't connect: connection refused".into() };
    world.shop_says("signed", &absent);
    world.pass(hours(23));
    world.tick();
    assert_eq!(world.told_of("relay"), Vec::<String>::new());
    world.pass(hours(1));
    world.tick();
    world.tick();
    let firing = world.told_of("relay");
    assert_eq!(firing.len(), 1);
    assert!(firing[0].contains("2026-03-02T09:00:00Z") && firing[0].contains("connection refused"), "{firing:?}");
    // It is tried on, and the body outlives the others.
    world.pass(days(100));
    world.tick();
    assert!(world.store.range(Table::Bodies, &[], &[], 9).expect("rows").is_empty());
    assert_eq!(world.shop_says("signed", &accepted()), 1);
    world.tick();
    assert_eq!(world.told_of("relay"), Vec::<String>::new());
    world.prove();
}

#[test]
fn repeats_and_forgeries_are_passed_on_only_where_configured() {
    // The signature of one message over the content of another.
    let forged = || {
        let (genuine, other) = (message("t1", "r1"), message("t9", "r1"));
        let cut = |text: &str| text.find("&response-signature-algorithm").expect("the signature's end");
        format!("{}{}", &genuine[..cut(&genuine)], &other[cut(&other)..])
    };
    for (forward_repeats, forward_refuted, expected) in [(false, false, 2), (true, false, 4), (false, true, 3)] {
        let mut world = World::relaying(RelayPolicy { forward_repeats, forward_refuted, ..RelayPolicy::default() });
        for merchant in ["signed", "nvp"] {
            world.submit(merchant, "r1", "12.50");
        }
        world.hear("signed", &message("t1", "r1"));
        world.hear("signed", &message("t1", "r1"));
        world.hear("signed", &forged());
        let unsigned = "request_id=r1&transaction_state=success&transaction_type=debit&transaction_id=t1";
        world.hear("nvp", unsigned);
        world.hear("nvp", unsigned);
        let mut sent = 0;
        while world.relayable("signed").len() + world.relayable("nvp").len() > 0 {
            sent += world.shop_says("signed", &accepted()) + world.shop_says("nvp", &accepted());
        }
        assert_eq!(sent, expected, "repeats {forward_repeats}, refuted {forward_refuted}");
        world.prove();
    }
}

#[test]
fn what_nobody_can_read_and_what_nobody_submitted_is_passed_on_and_only_counted() {
    let mut world = World::relaying(RelayPolicy::default());
    world.hear("nvp", "<!DOCTYPE a><payment/>");
    world.hear("nvp", "request_id=stranger&transaction_state=success&transaction_type=debit&transaction_id=t1");
    let records = |world: &World| crate::store::journal_len(&world.store).expect("a length");
    let before = records(&world);
    assert_eq!(world.shop_says("nvp", &refused()), 2);
    world.pass(seconds(10));
    assert_eq!(world.shop_says("nvp", &accepted()), 2);
    assert_eq!(records(&world), before, "a stranger's messages fill no journal");
    world.tick();
    let page = world.engine.journal(&world.store, before, 10).expect("no fault");
    let counted: Vec<&Value> = page.items.iter().filter(|r| r["event"] == "relayed-others").collect();
    assert_eq!((counted.len(), &counted[0]["accepted"], &counted[0]["lost"]), (1, &2.into(), &0.into()));
    world.prove();
}

#[test]
fn what_the_shop_refuses_of_a_stranger_leaves_after_a_day_and_wakes_nobody() {
    let mut world = World::relaying(RelayPolicy::default());
    world.hear("nvp", "<junk/>");
    world.shop_says("nvp", &Attempt::Refused { http_status: 400 });
    world.pass(hours(23));
    world.tick();
    assert_eq!(world.waiting()[0]["waiting"], 1);
    let before = crate::store::journal_len(&world.store).expect("a length");
    world.pass(hours(1));
    world.tick();
    assert_eq!((world.waiting(), world.told_of("relay").len()), (serde_json::json!([]), 0));
    let page = world.engine.journal(&world.store, before, 10).expect("no fault");
    let counted: Vec<&Value> = page.items.iter().filter(|r| r["event"] == "relayed-others").collect();
    assert_eq!((counted.len(), &counted[0]["refused"], &counted[0]["lost"]), (1, &1.into(), &0.into()));
    world.prove();
}

#[test]
fn a_day_old_message_is_an_alert_where_it_is_known_or_nobody_is_there() {
    let absent = Attempt::Unreachable { why: "connection refused".into() };
    for (is_known, attempt, is_told) in [(true, refused(), 1), (false, refused(), 0), (false, absent, 1)] {
        let mut world = World::relaying(RelayPolicy::default());
        if is_known {
            world.submit("signed", "r1", "12.50");
            world.hear("signed", &message("t1", "r1"));
        } else {
            world.hear("signed", "<junk/>");
        }
        world.shop_says("signed", &attempt);
        world.pass(hours(24));
        world.tick();
        assert_eq!(world.told_of("relay").len(), is_told, "known {is_known}, {attempt:?}");
        world.prove();
    }
}

#[test]
fn an_altered_copy_does_not_stand_for_the_genuine_message() {
    let mut world = World::relaying(RelayPolicy::default());
    world.submit("nvp", "r1", "12.50");
    // The signature of name-value pairs vouches for the ids, and not for the amount.
    let body = |amount: &str| wpg::encode::nvp(&transaction("t1", "r1", "debit", "success", amount), SECRET);
    world.hear("nvp", &body("0.01"));
    world.hear("nvp", &body("12.50"));
    world.hear("nvp", &body("12.50"));
    assert_eq!(world.shop_says("nvp", &accepted()), 1);
    assert_eq!(world.to_send("nvp"), [body("12.50")]);
    assert_eq!(world.shop_says("nvp", &accepted()), 1);
    assert_eq!(world.waiting(), serde_json::json!([]));
    world.prove();
}

#[test]
fn what_was_not_passed_on_does_not_stand_for_its_repeat() {
    let mut world = World::relaying(RelayPolicy { backlog_max_messages: 1, ..RelayPolicy::default() });
    for id in ["r1", "r2"] {
        world.submit("signed", id, "12.50");
        world.hear("signed", &message(&format!("t-{id}"), id));
    }
    assert_eq!(world.shop_says("signed", &accepted()), 1);
    for _ in 0..2 {
        world.hear("signed", &message("t-r2", "r2"));
    }
    assert_eq!(world.waiting()[0]["waiting"], 1, "sent again, it is passed on, and once");
    assert_eq!(world.to_send("signed"), [message("t-r2", "r2")]);
    world.prove();
}

#[test]
fn a_listener_is_probed_with_what_waits_longest_whatever_it_is_about() {
    let mut world = World::relaying(RelayPolicy::default());
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &message("t1", "r1"));
    world.hear("signed", "<other/>");
    let probe = |world: &World| {
        let probe = world.engine.relay_probe(&world.store, &name("signed"), world.now).expect("no fault");
        probe.map(|probe| (probe.number, String::from_utf8(probe.body).expect("text")))
    };
    let (number, body) = probe(&world).expect("a message");
    assert_eq!(body, message("t1", "r1"), "of equal ones the known one");
    let busy = Attempt::Refused { http_status: 503 };
    world.turn(|e, d, now| e.relayed(d, &name("signed"), number, busy, now));
    world.pass(seconds(15));
    assert_eq!(world.to_send("signed")[0], message("t1", "r1"));
    assert_eq!(probe(&world).map(|(_, body)| body), Some("<other/>".to_owned()));
}

#[test]
fn a_full_backlog_keeps_the_oldest_and_says_so() {
    let mut world = World::relaying(RelayPolicy { backlog_max_messages: 4, ..RelayPolicy::default() });
    let stranger =
        |n: u32| format!("request_id=s{n}&transaction_state=success&transaction_type=debit&transaction_id=t{n}");
    for n in 0..4 {
        world.hear("signed", &stranger(n));
    }
    assert_eq!(world.waiting()[0]["waiting"], 2, "strangers fill half of it");
    for n in 0..3 {
        world.submit("signed", &format!("r{n}"), "12.50");
        world.hear("signed", &message(&format!("t{n}"), &format!("r{n}")));
    }
    assert_eq!(world.waiting()[0]["waiting"], 4);
    assert!(world.story("r2").iter().any(|line| line == "not relayed to the shop: the relay's backlog is full"));
    assert_eq!(world.told_of("relay").len(), 1);
    let due = world.to_send("signed");
    assert!(due[0] == message("t0", "r0") && due[2] == stranger(0), "those of payments we know go first: {due:?}");
    world.tick();
    world.prove();
}

#[test]
fn a_shop_that_is_there_again_need_not_wait_for_a_days_pause() {
    let mut world = World::relaying(RelayPolicy::default());
    for n in 0..3 {
        world.submit("signed", &format!("r{n}"), "12.50");
        world.hear("signed", &message(&format!("t{n}"), &format!("r{n}")));
    }
    for _ in 0..16 {
        world.shop_says("signed", &refused());
        world.pass(days(1));
    }
    let due = world.relayable("signed");
    assert_eq!(due.len(), 3);
    for message in &due[1..] {
        world.turn(|e, d, now| e.relayed(d, &name("signed"), message.number, refused(), now));
    }
    assert_eq!(world.relayable("signed").len(), 1);
    world.shop_says("signed", &accepted());
    assert_eq!(world.relayable("signed").len(), 2, "brought forward by the one that got through");
    let number = due[1].number;
    assert!(world.turn(|e, d, now| e.give_up_relay(d, &name("signed"), number, now)));
    assert!(!world.turn(|e, d, now| e.give_up_relay(d, &name("signed"), number, now)));
    assert!(world.story("r1").contains(&"not relayed to the shop: a person gave it up".to_owned()));
    world.shop_says("signed", &accepted());
    assert_eq!(world.waiting(), serde_json::json!([]));
    world.prove();
}

#[test]
fn old_messages_are_given_up_only_where_configured_and_loudly() {
    let mut world = World::relaying(RelayPolicy { give_up_after: Some(days(3)), ..RelayPolicy::default() });
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &message("t1", "r1"));
    world.hear("signed", "<nobody/>");
    world.pass(days(2));
    world.tick();
    assert_eq!(world.waiting()[0]["waiting"], 2);
    world.pass(days(1));
    world.tick();
    assert_eq!((world.waiting(), world.told_of("relay").len()), (serde_json::json!([]), 1));
    world.prove();
}

#[test]
fn a_message_that_would_never_be_tried_is_found_by_the_proof() {
    let mut world = World::relaying(RelayPolicy::default());
    world.submit("signed", "r1", "12.50");
    for id in ["t1", "t2"] {
        world.hear("signed", &message(id, "r1"));
    }
    world.prove();
    let (key, _) = world.store.range(Table::RelayDue, &[], &[], 1).expect("rows").remove(0);
    world.turn(|_, d, _| {
        d.delete(Table::RelayDue, key);
        Ok(())
    });
    let audit = world.engine.audit(&world.store).expect("no fault");
    assert_eq!((audit.forgotten, audit.unexplained), (1, 0), "{audit:#?}");
}

#[test]
fn what_the_shop_spooled_itself_is_not_passed_back_to_it() {
    let mut world = World::relaying(RelayPolicy::default());
    let incoming = Incoming { merchant: name("nvp"), body: b"x=1".to_vec(), content_type: None, way: "spool" };
    world.turn(|e, d, now| e.receive(d, incoming, now));
    world.turn(|e, d, now| e.judge(d, 100, now));
    assert_eq!(world.waiting(), serde_json::json!([]));
}

#[test]
fn messages_of_a_relay_that_is_not_configured_any_more_wait_under_an_alert() {
    let mut world = World::relaying(RelayPolicy::default());
    world.hear("nvp", "<nobody/>");
    world.engine.policy.relays.clear();
    world.turn(|e, d, now| e.started(d, now));
    world.tick();
    assert!(world.told_of("relay")[0].contains("[merchants.nvp.relay]"), "{:?}", world.told_of("relay"));
    assert_eq!(world.waiting()[0]["waiting"], 1);
    world.prove();
}
