//! Starts that were interrupted, and starts that must not happen.

use std::time::Duration;

use crate::daemon::Place;
use crate::load::{Acknowledged, Dice, Load};
use crate::{setting, tell};

/// Into the very first start, in ms: from before the lock to behind the first commit.
const FIRST_START_MS: std::ops::Range<u64> = 0..160;
const STORES: u64 = 12;

/// A store is made beside its place and renamed: whatever a kill leaves, the next start goes on from it.
#[test]
fn a_kill_during_the_first_creation_leaves_a_store_that_starts() {
    let mut dice = Dice::new(setting("KILL_SEED", 1));
    let mut found = [0; 2];
    for _ in 0..STORES {
        let place = Place::new();
        let mut first = place.spawn();
        std::thread::sleep(Duration::from_millis(dice.within(&FIRST_START_MS)));
        first.kill();
        found[usize::from(place.path("data/reconciled.redb").exists())] += 1;
        let mut life = place.start();
        let load = Load::start(&life, 0);
        std::thread::sleep(Duration::from_millis(30));
        life.kill();
        let mut acknowledged = Acknowledged::default();
        acknowledged.add(load.end());
        acknowledged.expect_payments(&place.start());
    }
    let [absent, there] = found;
    tell(&format!("first starts killed: {STORES}, {absent} before the store was in its place and {there} behind"));
}

#[test]
fn a_second_daemon_ends_at_once_and_names_the_first() {
    let place = Place::new();
    let life = place.start();
    let second = place.run(&["serve"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains(&life.pid().to_string()), "{said}");
    // The first did not notice.
    assert_eq!(life.ask("GET", "/readyz", "").0, 200);
    life.stop();
}
