//! Time as the rules see it: an argument, never a call.

use jiff::civil::Date;
use jiff::tz::TimeZone;
pub use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// One reading of the clocks, taken by the shell once per turn and passed down.
///
/// `wall` is what the system clock says and what people read. `steady` is what deadlines count by:
/// the sum of elapsed boot-time since the store was made (suspend included), persisted, so that a
/// jump of the wall clock neither fires a deadline early nor makes one vanish. The two start equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Now {
    pub wall: Timestamp,
    pub steady: Timestamp,
}

impl Now {
    /// Both clocks at one instant: tests, and the first start of a store.
    pub fn both(at: Timestamp) -> Now {
        Now { wall: at, steady: at }
    }

    /// The wall time at which the steady clock will read `steady`, as far as we know now.
    pub fn wall_of(self, steady: Timestamp) -> Timestamp {
        let ahead = steady.duration_since(self.steady);
        self.wall.checked_add(ahead).unwrap_or(steady)
    }
}

/// `at + by`, held within what a timestamp can say.
pub fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

pub const fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

pub const fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n * 60)
}

pub const fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n * 3600)
}

pub const fn days(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n * 86_400)
}

/// The civil day a moment falls on, in the shop's zone.
pub fn business_day(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned(zone.clone()).date()
}

/// The first moment of a civil day and the first of the next: 23, 24 or 25 hours apart.
///
/// On a day that begins in a gap (some zones change at midnight) the day starts where the gap ends.
pub fn day_bounds(day: Date, zone: &TimeZone) -> Result<(Timestamp, Timestamp), jiff::Error> {
    let start = day.to_zoned(zone.clone())?.timestamp();
    let end = day.tomorrow()?.to_zoned(zone.clone())?.timestamp();
    Ok((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_business_day_has_23_24_or_25_hours() {
        let zone = TimeZone::get("Europe/Vienna").expect("the zone is bundled");
        for (day, hours_expected) in [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)] {
            let (start, end) = day_bounds(day.parse().expect("a date"), &zone).expect("bounds");
            assert_eq!(end.duration_since(start), hours(hours_expected), "{day}");
        }
    }

    #[test]
    fn a_steady_time_is_shown_on_the_wall() {
        let now = Now {
            wall: "2026-01-01T12:00:00Z".parse().expect("t"),
            steady: "2026-01-01T10:00:00Z".parse().expect("t"),
        };
        assert_eq!(now.wall_of("2026-01-01T10:30:00Z".parse().expect("t")), "2026-01-01T12:30:00Z".parse().expect("t"));
    }
}
