//! The real process, killed again and again under load, against what its clients remember.
//!
//! Clients live outside the daemon and write down every 2xx they read. After each kill the next life is
//! asked for all of it: a submission with its content, a notification by its digest in the journal.
//!
//! `KILL_CYCLES` (default 100) and `KILL_SEED` (default 1) change the hunt.

#[path = "../common/example.rs"]
mod example;

mod client;
mod daemon;
mod ledger;
mod load;
mod order;
mod starts;

use std::io::Write as _;
use std::time::Duration;

use daemon::Place;
use ledger::Books;
use load::{Acknowledged, Dice, Load};

/// Every so many lives dies while it is still starting.
const DIES_AT_START_EVERY: u64 = 8;
/// Load before a kill, in ms: from the first answers to the middle of a full inbox.
const LOAD_MS: std::ops::Range<u64> = 5..150;
/// Into a start, in ms: from before the lock to the check of the store.
const START_MS: std::ops::Range<u64> = 0..120;
/// Every so many lives proves all books.
const AUDIT_EVERY: u64 = 20;
/// What is still in the inbox at a start is judged within this.
const JUDGED_WITHIN: Duration = Duration::from_secs(60);

/// A line that is seen whether or not the harness captures a test's output.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn nothing_acknowledged_is_lost_in_any_of_many_kills() {
    let (cycles, seed) = (setting("KILL_CYCLES", 100), setting("KILL_SEED", 1));
    let place = Place::new();
    let mut dice = Dice::new(seed);
    let mut acknowledged = Acknowledged::default();
    let mut books = Books::default();
    let (mut judged_by_a_later_life, mut died_starting) = (0, 0);

    for cycle in 0..cycles {
        if cycle % DIES_AT_START_EVERY == DIES_AT_START_EVERY - 1 {
            let mut starting = place.spawn();
            std::thread::sleep(Duration::from_millis(dice.within(&START_MS)));
            starting.kill();
            died_starting += 1;
        }
        let mut life = place.start();
        let before = acknowledged.notifications.len();
        let load = Load::start(&life, cycle);
        std::thread::sleep(Duration::from_millis(dice.within(&LOAD_MS)));
        life.kill();
        acknowledged.add(load.end());

        // The next life must know all of it, and finish what the one before left in its inbox.
        let life = place.start();
        judged_by_a_later_life += books.read_on(&life, &acknowledged, JUDGED_WITHIN);
        books.expect_all(&acknowledged, seed, cycle);
        acknowledged.ask_again(&life, &mut dice);
        if cycle % AUDIT_EVERY == AUDIT_EVERY - 1 {
            place.expect_clean_check();
        }
        assert!(acknowledged.notifications.len() >= before);
        // This life is killed too, with nothing under way.
        drop(life);
    }

    let life = place.start();
    let all = Books::whole(&life);
    all.expect_all(&acknowledged, seed, cycles);
    all.expect_prefix(&books);
    acknowledged.expect_payments(&life);
    life.stop();
    place.expect_clean_check();

    let (submissions, notifications) = (acknowledged.submissions.len(), acknowledged.notifications.len());
    assert!(submissions as u64 > cycles && notifications as u64 > cycles, "too little was acknowledged to prove much");
    assert!(judged_by_a_later_life > 0, "no kill fell between keeping and judging");
    tell(&format!(
        "kill test: {cycles} cycles, {submissions} submissions and {notifications} notifications acknowledged, 0 lost \
         ({} kills in all, {died_starting} while starting; {judged_by_a_later_life} notifications kept by one life and \
         judged by a later one; seed {seed})",
        place.kills()
    ));
}

/// The load runs on while the daemon is told to stop: whoever was thanked is in the books, which were
/// closed by the book.
#[test]
fn a_stop_under_load_drains_in_time_and_loses_nothing() {
    let place = Place::new();
    let life = place.start();
    let load = Load::start(&life, 0);
    std::thread::sleep(Duration::from_millis(300));
    life.stop();
    let mut acknowledged = Acknowledged::default();
    acknowledged.add(load.end());
    assert!(!acknowledged.submissions.is_empty() && !acknowledged.notifications.is_empty());
    // Without a daemon `check` reads the file itself, and only one that was closed cleanly.
    place.expect_clean_check();
    let life = place.start();
    let mut books = Books::default();
    books.read_on(&life, &acknowledged, JUDGED_WITHIN);
    books.expect_all(&acknowledged, 0, 0);
}
