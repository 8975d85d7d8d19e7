//! A shop's order list, taken into books that are alive.

use super::*;
use crate::engine::import::{Batch, Imported, Progress, Row};

fn row(line: u64, submission: Submission) -> Row {
    Row { line, read: Ok(Box::new(submission)) }
}

/// A submission of so many days ago.
fn old(world: &World, merchant: &str, id: &str, value: &str, age: i64) -> Submission {
    Submission { submitted_at: Some(later(world.now.wall, -days(age))), ..submission(merchant, id, value) }
}

fn batch(from: u64, rows: Vec<Row>, is_last: bool) -> Batch {
    let (file, name) = ("abc-1".to_owned(), "orders.csv".to_owned());
    Batch { file, name, from, rows, is_last, restart: false, dry_run: false }
}

impl World {
    fn import(&mut self, batch: Batch) -> Imported {
        self.turn(|e, d, now| e.import(d, batch, now))
    }

    fn alerts(&self, topic: &str) -> Vec<Value> {
        let page = self.engine.alerts(&self.store, 0, 1_000, self.now).expect("no fault");
        page.items.into_iter().filter(|a| a["status"] == "firing" && a["topic"] == topic).collect()
    }
}

#[test]
fn rows_are_taken_once_in_step_and_conflicts_are_one_alert() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let rows = |world: &World| {
        vec![
            row(2, old(world, "signed", "r1", "12.50", 0)),
            row(3, old(world, "signed", "r1", "99.00", 0)),
            row(4, old(world, "signed", "r2", "5.00", 3)),
            Row { line: 5, read: Err(Refusal::new("amount", "is no number", "")) },
            row(6, old(world, "signed", "r2", "6.00", 3)),
        ]
    };
    let tried = Batch { dry_run: true, ..batch(0, rows(&world), false) };
    let before = crate::store::journal_len(&world.store).expect("a length");
    let Imported::Taken { progress: rehearsed, skipped } = world.import(tried) else { panic!("out of step") };
    assert_eq!(skipped.iter().map(|s| s.line).collect::<Vec<_>>(), [3, 5, 6]);
    assert_eq!(crate::store::journal_len(&world.store).expect("a length"), before, "a rehearsal changes nothing");

    let all = rows(&world);
    let Imported::Taken { progress, .. } = world.import(batch(0, all, false)) else { panic!("out of step") };
    assert_eq!(progress, rehearsed);
    let expected = Progress { offset: 5, created: 1, same: 1, amended: 0, conflicts: 2, refused: 1, finished_at: None };
    assert_eq!((progress.clone(), progress.skipped()), (expected, 3));
    // The same batch again (its answer was lost) takes nothing.
    let again = rows(&world);
    assert_eq!(world.import(batch(0, again, false)), Imported::OutOfStep { progress });
    assert!(world.alerts("import").is_empty(), "told when the list is at its end");
    assert!(matches!(world.import(batch(5, vec![], true)), Imported::Taken { .. }));
    let told = world.alerts("import");
    assert_eq!(told.len(), 1);
    assert!(
        told[0]["summary"].as_str().expect("text").starts_with("2 of 5 rows of the imported orders.csv contradict")
    );
    assert!(world.alerts("discrepancy").is_empty(), "no alert for a row");
    assert!(matches!(world.import(batch(5, vec![], true)), Imported::OutOfStep { .. }), "it was taken to its end");
    let anew = Batch { restart: true, ..batch(0, rows(&world), true) };
    let Imported::Taken { progress, .. } = world.import(anew) else { panic!("out of step") };
    assert_eq!((progress.created, progress.same, progress.conflicts), (0, 2, 2));
    world.prove();
}

#[test]
fn imported_payments_age_from_when_they_were_submitted_and_wait_behind_live_ones() {
    let mut world = World::new();
    let rows = (0..3).map(|n| row(n + 2, old(&world, "signed", &format!("i{n}"), "12.50", 10))).collect();
    world.import(batch(0, rows, true));
    world.submit("signed", "live", "12.50");
    world.pass(minutes(3));
    let looks = world.due();
    let live = books::by_request(&world.store, &looks[0].merchant, "live").expect("no fault");
    assert_eq!((looks.len(), Some(looks[0].number)), (4, live), "the live one first");
    world.prove();
}

#[test]
fn what_is_wrong_with_imported_payments_is_told_in_one_alert_for_each_kind() {
    let mut world = World::new();
    let rows = (0..5).map(|n| row(n + 2, old(&world, "signed", &format!("i{n}"), "12.50", 10))).collect();
    world.import(batch(0, rows, true));
    for n in 0..5 {
        let paid_less = transaction(&format!("t{n}"), &format!("i{n}"), "purchase", "success", "7.00");
        world.hear("signed", &signed(&paid_less));
    }
    let told = world.alerts("discrepancy");
    assert_eq!((told.len(), &told[0]["count"], told[0]["members"].as_array().map(Vec::len)), (1, &5.into(), Some(5)));
    assert_eq!(told[0]["summary"], "amount-differs at imported payments of signed");
    assert!(told[0]["members"][0]["note"].as_str().is_some_and(|note| note.contains("7.00")), "{}", told[0]);
    world.prove();
}

#[test]
fn old_imports_that_nobody_can_be_asked_about_are_one_hand_over_and_page_nobody() {
    let mut world = World::new();
    world.engine.policy.alerts.large = vec![Amount::parse("10.00", "EUR").expect("money")];
    world.turn(|e, d, now| e.started(d, now));
    let rows = (0..5).map(|n| row(n + 2, old(&world, "hmac", &format!("i{n}"), "500.00", 30))).collect();
    world.import(batch(0, rows, true));
    world.turn(|e, d, now| e.tick(d, now));
    let told = world.alerts("handed-over");
    assert_eq!((told.len(), &told[0]["count"]), (1, &5.into()));
    assert!(world.alerts("handed-over-large").is_empty());
    world.prove();
}

#[test]
fn an_imported_payment_is_frozen_when_the_gateway_was_asked_and_no_sale_of_the_day() {
    let mut world = World::new();
    let rows = vec![row(1, old(&world, "signed", "i-1", "7", 40)), row(2, old(&world, "signed", "i-2", "8", 40))];
    world.import(batch(0, rows, true));
    world.submit("signed", "r-1", "5");
    assert!(world.alerts("frozen").is_empty(), "nobody asked about it yet");
    let look = world.due().into_iter().find(|look| look.request_id.as_str() == "i-1").expect("it is due at once");
    world.answer(&look, Outcome::Found, vec![transaction("t-1", "i-1", "purchase", "in-progress", "7")]);
    assert_eq!(world.alerts("frozen")[0]["members"].as_array().map(Vec::len), Some(1));

    world.pass(days(1));
    let slot = world.engine.report_due(&world.store, world.now).expect("no fault").expect("a report is due");
    let report = world.engine.report(&world.store, slot).expect("no fault");
    let sums = |counts: &[crate::core::report::Count]| {
        counts.iter().map(|count| (count.payments, count.sum.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(sums(&report.submitted), [(1, "5.00 EUR".to_owned())]);
    assert_eq!(sums(&report.imported), [(2, "15.00 EUR".to_owned())]);
    assert!(report.text().contains("Imported on this day"));
    world.prove();
}
