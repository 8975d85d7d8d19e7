//! What people are told.

use super::*;

#[test]
fn a_conflicting_submission_never_changes_the_first() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    assert!(matches!(world.submit("signed", "r1", "13"), Submitted::Conflict { field: "amount", .. }));
    assert_eq!(world.payment("signed", "r1")["amount"], "12.50");
    let journal = crate::store::journal_len(&world.store).expect("a length");
    world.submit("signed", "r1", "13");
    assert_eq!(crate::store::journal_len(&world.store).expect("a length"), journal, "a looping shop fills no journal");
    world.prove();
}

#[test]
fn an_explanation_says_what_how_and_when() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    let stories = world.engine.explain(&world.store, "order-r1", world.now).expect("no fault");
    let text = explain::text(&stories);
    for part in ["paid", "the shop submitted purchase of 12.50 EUR", "signed by json-signed", "a fact", "in 12.50 EUR"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(world.engine.explain(&world.store, "t1", world.now).expect("no fault").len(), 1);
    assert!(world.engine.explain(&world.store, "nobody", world.now).expect("no fault").is_empty());
}

#[test]
fn a_report_is_made_again_byte_for_byte() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.submit("signed", "r2", "7");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    world.pass(days(1));
    let slot = world.engine.report_due(&world.store, world.now).expect("no fault").expect("a report is due");
    let report = world.engine.report(&world.store, slot).expect("no fault");
    let text = report.text();
    assert!(text.contains("12.50 EUR") && text.contains("r2"), "{text}");
    world.turn(|e, d, now| e.reported(d, &report, intake::digest(text.as_bytes()), now));
    assert_eq!(world.engine.report_due(&world.store, world.now).expect("no fault"), None);
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t2", "r2", "purchase", "success", "7")]);
    let (again, sha256) = world.engine.report_again(&world.store, slot).expect("no fault").expect("it was written");
    assert_eq!(again.text(), text);
    assert_eq!((again.csv(), again.json()), (report.csv(), report.json()));
    assert_eq!(intake::digest(again.text().as_bytes()), sha256);
    world.prove();
}

#[test]
fn a_report_that_cannot_be_written_is_told_once_until_it_is() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.pass(days(1));
    let why = "the nightly report can't be written to /reports: no space left";
    for _ in 0..3 {
        world.turn(|e, d, now| e.unreported(d, why, now));
        assert_eq!(world.firing(), [why]);
    }
    let slot = world.engine.report_due(&world.store, world.now).expect("no fault").expect("a report is due");
    let report = world.engine.report(&world.store, slot).expect("no fault");
    world.turn(|e, d, now| e.reported(d, &report, intake::digest(report.text().as_bytes()), now));
    assert!(world.firing().is_empty());
    world.prove();
}

#[test]
fn an_explanation_says_what_was_tried_what_is_late_and_what_is_not_proven() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let told = |world: &World| explain::text(&world.engine.explain(&world.store, "r1", world.now).expect("no fault"));
    assert!(told(&world).contains("nothing was asked yet"));
    let look = world.next_look();
    world.answer(&look, Outcome::Unavailable { why: "down".into(), retry_after: None }, Vec::new());
    assert!(told(&world).contains("no notification came yet, and the gateway did not answer"), "{}", told(&world));
    assert!(!told(&world).contains("overdue"));
    world.pass(hours(2));
    assert!(told(&world).contains("overdue: it waits for its turn"), "{}", told(&world));
    let merchant = MerchantName::new("signed").expect("a name");
    world.turn(|e, d, now| e.lane(d, &merchant, Some("down"), now));
    assert!(told(&world).contains("overdue: the gateway can't be asked now"), "{}", told(&world));

    let forged = signed(&transaction("t1", "r1", "purchase", "success", "12.50"));
    let forged = forged.replacen("response-signature-base64=", "response-signature-base64=AAAA", 1);
    world.hear("signed", &forged);
    assert!(told(&world).contains("not proven by its json-signed signature"), "{}", told(&world));
}
