//! The one place that reads clocks.
//!
//! The steady clock counts boot-time, which goes on while a machine sleeps, and is carried across
//! restarts by the row `clock` of the store. Tokio's timers stop during suspend, so they only wake us
//! up; how late it is, they are never asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::store::{Fault, Table, View};
use crate::words::time::{Now, SignedDuration, Timestamp, days, later};

/// A machine was never off for longer than this. A wall clock that says so across a reboot was years behind
/// before it, as one without a battery is: believed, it would end every window and look of every payment at once.
pub const OFF_MAX: SignedDuration = days(400);

/// Row of `Table::Meta` that carries the clock across restarts; written with every commit.
pub const CLOCK_KEY: &[u8] = b"clock";
/// Row of `Table::Meta` that marks a store the demo made. Only such a store may run on scaled time.
pub const DEMO_KEY: &[u8] = b"demo";

/// The clocks' last reading, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stored {
    pub wall: Timestamp,
    pub steady: Timestamp,
    pub boot_id: String,
    pub boottime_ms: i64,
}

impl Stored {
    /// The reading a store holds; `None` in a new one.
    pub fn read(view: &dyn View) -> Result<Option<Stored>, Fault> {
        let Some(bytes) = view.get(Table::Meta, CLOCK_KEY)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| Fault::damaged(Table::Meta, CLOCK_KEY, e))
    }

    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("four plain fields always serialize")
    }
}

/// Whether the demo made this store.
pub fn is_demo(view: &dyn View) -> Result<bool, Fault> {
    Ok(view.get(Table::Meta, DEMO_KEY)?.is_some())
}

/// How long a machine was off by its wall clock, before and after; zero where that can't be believed.
pub fn off_for(before: Timestamp, after: Timestamp) -> SignedDuration {
    let elapsed = after.duration_since(before);
    if elapsed.is_negative() || elapsed > OFF_MAX { SignedDuration::ZERO } else { elapsed }
}

/// What the machine's clocks say.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Machine {
    wall: Timestamp,
    boottime: SignedDuration,
    boot_id: String,
}

impl Machine {
    fn read(boot_id: &str) -> Machine {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Machine {
            wall: Timestamp::now(),
            boottime: SignedDuration::new(spec.tv_sec, i32::try_from(spec.tv_nsec).unwrap_or(0)),
            boot_id: boot_id.to_owned(),
        }
    }
}

/// From where a clock counts on.
#[derive(Clone, Debug)]
struct Anchor {
    now: Now,
    boottime: SignedDuration,
    /// How much faster than life; `None`: the wall is the system's.
    scale: Option<u32>,
}

impl Anchor {
    /// Goes on where the store left off. In the same boot the elapsed boot-time counts; across a
    /// reboot only the wall clock knows, and it is not believed where it says that time ran backwards
    /// or that more than [`OFF_MAX`] went by.
    fn after(stored: Option<&Stored>, machine: &Machine) -> Anchor {
        let steady = match stored {
            None => machine.wall,
            Some(stored) if stored.boot_id == machine.boot_id => {
                let elapsed = machine.boottime - SignedDuration::from_millis(stored.boottime_ms);
                later(stored.steady, elapsed.max(SignedDuration::ZERO))
            }
            Some(stored) => later(stored.steady, off_for(stored.wall, machine.wall)),
        };
        Anchor { now: Now { wall: machine.wall, steady }, boottime: machine.boottime, scale: None }
    }

    /// The demo's time: from `wall` on, `scale` times as fast, never below what the store has seen.
    fn scaled(stored: Option<&Stored>, wall: Timestamp, scale: u32, machine: &Machine) -> Anchor {
        let now = match stored {
            None => Now::both(wall),
            Some(stored) => {
                let elapsed = wall.duration_since(stored.wall).max(SignedDuration::ZERO);
                Now { wall: later(stored.wall, elapsed), steady: later(stored.steady, elapsed) }
            }
        };
        Anchor { now, boottime: machine.boottime, scale: Some(scale) }
    }

    fn read(&self, machine: &Machine) -> Now {
        let elapsed = (machine.boottime - self.boottime).max(SignedDuration::ZERO);
        match self.scale {
            None => Now { wall: machine.wall, steady: later(self.now.steady, elapsed) },
            Some(scale) => {
                let elapsed = elapsed.checked_mul(i32::try_from(scale).unwrap_or(i32::MAX)).unwrap_or(elapsed);
                Now { wall: later(self.now.wall, elapsed), steady: later(self.now.steady, elapsed) }
            }
        }
    }
}

/// A clock shared by everything that runs. Reading it before it is set gives the machine's time.
#[derive(Clone, Debug)]
pub struct Clock {
    boot_id: Arc<str>,
    anchor: Arc<Mutex<Anchor>>,
}

impl Clock {
    /// A clock that knows no store yet.
    pub fn new() -> Clock {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id: Arc<str> = boot_id.trim().into();
        let anchor = Anchor::after(None, &Machine::read(&boot_id));
        Clock { boot_id, anchor: Arc::new(Mutex::new(anchor)) }
    }

    /// Goes on from a store's last reading. A scaled clock stays scaled.
    pub fn resume(&self, stored: Option<&Stored>) {
        let mut anchor = self.anchor();
        if anchor.scale.is_none() {
            *anchor = Anchor::after(stored, &Machine::read(&self.boot_id));
        }
    }

    /// Runs `scale` times as fast from `wall` on (the demo).
    pub fn set_scaled(&self, stored: Option<&Stored>, wall: Timestamp, scale: u32) {
        let machine = Machine::read(&self.boot_id);
        let mut anchor = self.anchor();
        // Set again while it runs: the time this process has shown already counts as seen.
        let seen = anchor.scale.is_some().then(|| {
            let now = anchor.read(&machine);
            Stored { wall: now.wall, steady: now.steady, boot_id: String::new(), boottime_ms: 0 }
        });
        *anchor = Anchor::scaled(seen.as_ref().or(stored), wall, scale, &machine);
    }

    pub fn now(&self) -> Now {
        self.anchor().read(&Machine::read(&self.boot_id))
    }

    /// The reading to keep with a commit.
    pub fn stored(&self, now: Now) -> Stored {
        let machine = Machine::read(&self.boot_id);
        let boottime_ms = i64::try_from(machine.boottime.as_millis()).unwrap_or(i64::MAX);
        Stored { wall: now.wall, steady: now.steady, boot_id: machine.boot_id, boottime_ms }
    }

    /// How much faster than life this clock runs: 1 outside of the demo.
    pub fn scale(&self) -> u32 {
        self.anchor().scale.unwrap_or(1)
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        // An anchor is replaced whole, so one that a panic left behind is still a good one.
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::{days, hours, minutes};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn machine(wall: &str, boottime: SignedDuration, boot_id: &str) -> Machine {
        Machine { wall: at(wall), boottime, boot_id: boot_id.into() }
    }

    fn stored() -> Stored {
        Stored {
            wall: at("2026-03-01T12:00:00Z"),
            steady: at("2026-03-01T11:00:00Z"),
            boot_id: "a".into(),
            boottime_ms: 3_600_000,
        }
    }

    #[test]
    fn elapsed_time_survives_suspend_and_jumps_of_the_wall_clock() {
        for wall in ["2026-03-01T12:30:00Z", "1970-01-01T00:00:00Z", "2036-01-01T00:00:00Z"] {
            let anchor = Anchor::after(Some(&stored()), &machine(wall, hours(1) + minutes(30), "a"));
            assert_eq!(anchor.now.steady, at("2026-03-01T11:30:00Z"), "wall says {wall}");
            let later = anchor.read(&machine(wall, hours(2), "a"));
            assert_eq!(later, Now { wall: at(wall), steady: at("2026-03-01T12:00:00Z") });
        }
    }

    #[test]
    fn across_a_reboot_the_wall_clock_counts_but_never_backwards_nor_by_years() {
        let steady = |wall| Anchor::after(Some(&stored()), &machine(wall, minutes(1), "b")).now.steady;
        assert_eq!(steady("2026-03-03T12:00:00Z"), later(stored().steady, days(2)));
        assert_eq!(steady("1970-01-01T00:00:00Z"), stored().steady);
        let set_right = Stored { wall: at("1970-01-01T00:10:00Z"), ..stored() };
        let anchor = Anchor::after(Some(&set_right), &machine("2026-03-01T12:00:00Z", minutes(1), "b"));
        assert_eq!(anchor.now.steady, stored().steady, "56 years behind and set right is not 56 years off");
    }

    #[test]
    fn demo_time_runs_faster_and_never_below_what_was_seen() {
        let machine_now = machine("2030-01-01T00:00:00Z", hours(5), "a");
        let anchor = Anchor::scaled(Some(&stored()), at("2026-03-01T13:00:00Z"), 600, &machine_now);
        let after_a_second = machine("2030-01-01T00:00:01Z", hours(5) + SignedDuration::from_secs(1), "a");
        let expected = Now { wall: at("2026-03-01T13:10:00Z"), steady: at("2026-03-01T12:10:00Z") };
        assert_eq!(anchor.read(&after_a_second), expected);

        let back = Anchor::scaled(Some(&stored()), at("2020-01-01T00:00:00Z"), 600, &machine_now);
        assert_eq!(back.now, Now { wall: stored().wall, steady: stored().steady });
    }

    #[test]
    fn the_stored_reading_reads_back() {
        let stored = stored();
        assert_eq!(serde_json::from_slice::<Stored>(&stored.bytes()).expect("reads"), stored);
    }

    #[test]
    fn a_running_clock_goes_forward() {
        let clock = Clock::new();
        let first = clock.now();
        assert!(clock.now().steady >= first.steady);
        assert_eq!(clock.scale(), 1);
    }
}
