//! The machine the daemon runs on: its disk, its clocks, and what a crash does to both.

use reconciled::shell::clock::{Stored, off_for};
use reconciled::store::Fault;
use reconciled::words::time::{Now, SignedDuration, Timestamp, days, later};

use crate::faults::Class;
use crate::simdisk::{Damage, Dice, SimDisk, Trip};

/// Changes of the disk within which an armed fault strikes: a commit makes about thirty.
const STRIKES_WITHIN_CHANGES: u64 = 60;
const STRIKES_WITHIN_READS: u64 = 20;

pub struct Machine {
    pub disk: SimDisk,
    /// What the disk was told to do wrong, and how many faults it had served then.
    armed: Option<(Class, u64)>,
    /// True time: the gateway's, and the world's.
    pub t: Timestamp,
    /// What the system clock shows beside the truth.
    pub wall_offset: SignedDuration,
    /// How far the steady clock is behind the truth.
    steady_behind: SignedDuration,
    boot: u32,
    booted_at: Timestamp,
    is_off: bool,
}

impl Machine {
    pub fn new(seed: u64, start: Timestamp) -> Machine {
        Machine {
            disk: SimDisk::new(seed),
            armed: None,
            t: start,
            wall_offset: SignedDuration::ZERO,
            steady_behind: SignedDuration::ZERO,
            boot: 0,
            booted_at: start,
            is_off: false,
        }
    }

    pub fn now(&self) -> Now {
        Now { wall: later(self.t, self.wall_offset), steady: later(self.t, -self.steady_behind) }
    }

    /// The true time at which the steady clock reads `steady`.
    pub fn true_time(&self, steady: Timestamp) -> Timestamp {
        later(steady, self.steady_behind)
    }

    /// What the daemon writes with every commit.
    pub fn stored(&self) -> Stored {
        let now = self.now();
        let boottime = self.t.duration_since(self.booted_at);
        Stored {
            wall: now.wall,
            steady: now.steady,
            boot_id: format!("boot-{}", self.boot),
            boottime_ms: i64::try_from(boottime.as_millis()).expect("a few days"),
        }
    }

    /// Goes on from a store's last reading, as `shell::clock` does.
    pub fn resume(&mut self, stored: &Stored) {
        let steady = if stored.boot_id == format!("boot-{}", self.boot) {
            let boottime = self.t.duration_since(self.booted_at);
            later(stored.steady, boottime - SignedDuration::from_millis(stored.boottime_ms))
        } else {
            let wall = later(self.t, self.wall_offset);
            later(stored.steady, off_for(stored.wall, wall))
        };
        self.steady_behind = self.t.duration_since(steady);
    }

    /// Lets the disk fail soon.
    pub fn arm(&mut self, class: Class, dice: &mut Dice) {
        if self.armed.is_some() {
            return;
        }
        let change = self.disk.changes() + dice.below(STRIKES_WITHIN_CHANGES);
        let trip = match class {
            Class::PowerCut => Trip::PowerAt(change),
            Class::CrashInRecovery => Trip::PowerAt(self.disk.changes() + dice.below(12)),
            Class::IoErrorOnce if dice.chance(20) => {
                Trip::ReadOnce(self.disk.reads() + dice.below(STRIKES_WITHIN_READS))
            }
            Class::IoErrorOnce => Trip::ChangeOnce(change),
            Class::IoErrorSticky => Trip::ChangesFrom(change),
            Class::SyncFailed => Trip::SyncDropsFrom { change, percent: 1 + dice.below(100) },
            Class::DiskFull => Trip::FullFrom(change),
            _ => unreachable!("no fault of a disk"),
        };
        self.armed = Some((class, self.disk.faults()));
        self.disk.trip(Some(trip));
    }

    /// The fault that struck since it was armed, if any.
    pub fn struck(&self) -> Option<Class> {
        self.armed.filter(|(_, before)| self.disk.faults() > *before).map(|(class, _)| class)
    }

    pub fn disarm(&mut self) {
        self.armed = None;
        self.disk.trip(None);
        self.disk.limit(None);
    }

    /// The power fails: unsynced changes are lost, torn or reordered; the next start is another boot.
    pub fn power_cut(&mut self, dice: &mut Dice) {
        let damage = Damage::nth(dice.below(20), dice);
        self.disk.power_cut(damage);
        self.armed = None;
        self.boot += 1;
        self.is_off = true;
        // The battery-backed clock of a board is years off only where it has none: then it says 1970.
        if self.wall_offset > days(1) {
            self.wall_offset = SignedDuration::ZERO;
        }
    }

    /// The machine is up again, if it was off.
    pub fn boots(&mut self) {
        if std::mem::take(&mut self.is_off) {
            self.booted_at = self.t;
        }
    }

    /// What the start does after a fault: where cache and disk may disagree it copies the file first.
    pub fn mend(&mut self, struck: Option<Class>) {
        self.disarm();
        if let Some(Class::IoErrorOnce | Class::IoErrorSticky | Class::SyncFailed) = struck {
            self.disk.copy_over();
        }
    }
}

/// Whether a fault of the store lets the process go on (no space) or ends it.
pub fn ends_the_process(fault: &Fault) -> bool {
    !matches!(fault, Fault::Full(_))
}
