//! Stories a sceptic asks for: races, replays, wrong hands, and what a long time brings.

use super::*;
use crate::words::id::TransactionId;

// ---- one transaction stands in the books of one payment ----

// ---- replays and forgeries ----

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

// ---- orphans ----

// ---- a long time ----
