//! When an account's gateway may be asked: its budget, its lanes, and what it told us to wait for.
//! Pure; the retriever keeps one per account. Times are steady times, so that budgets scale with the
//! demo's clock.

use crate::core::look::{Answer, Outcome};
use crate::words::time::{SignedDuration, Timestamp, hours, later, minutes};

/// Failures in a row that open the circuit.
const FAILURES_TO_OPEN: u32 = 5;
/// How long the circuit stays open at first; doubled at each failed probe up to the second.
const OPEN_FIRST: SignedDuration = SignedDuration::from_secs(30);
const OPEN_MAX: SignedDuration = minutes(15);
/// How often an account whose credentials are refused is tried: more could lock it.
const REFUSED_EVERY: SignedDuration = minutes(5);
/// Longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: SignedDuration = hours(1);

/// What one look at the gateway showed of the gateway itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    Works,
    Unavailable { why: String, retry_after: Option<SignedDuration> },
    Refused { why: String },
}

impl Health {
    /// What the answers of one look say together: a refusal outweighs all, then any answer that came.
    pub fn of(answers: &[Answer]) -> Health {
        let mut health = Health::Works;
        for answer in answers {
            match &answer.outcome {
                Outcome::Found | Outcome::NotFound => {}
                Outcome::Refused { why } => return Health::Refused { why: why.clone() },
                Outcome::Unavailable { why, retry_after } => {
                    health = Health::Unavailable { why: why.clone(), retry_after: *retry_after };
                }
            }
        }
        health
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Circuit {
    Closed {
        failures: u32,
    },
    /// Nothing is asked before `until`; then one probe, and `pause` doubles if it fails.
    Open {
        until: Timestamp,
        pause: SignedDuration,
    },
    /// The probe is under way.
    Probing {
        pause: SignedDuration,
    },
}

/// What the books must hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Stopped { why: String },
    Works,
}

#[derive(Debug)]
pub struct Lane {
    lanes_max: usize,
    under_way: usize,
    per_second: u32,
    /// Requests that may be made now, in thousandths; below zero after a look of several requests.
    tokens_milli: i64,
    filled_at: Timestamp,
    circuit: Circuit,
    /// Told to the books and not yet taken back.
    stopped: bool,
    hold_until: Option<Timestamp>,
}

impl Lane {
    pub fn new(lanes_max: usize, per_second: u32, now: Timestamp) -> Lane {
        Lane {
            lanes_max,
            under_way: 0,
            per_second,
            tokens_milli: i64::from(per_second) * 1000,
            filled_at: now,
            circuit: Circuit::Closed { failures: 0 },
            stopped: false,
            hold_until: None,
        }
    }

    fn fill(&mut self, now: Timestamp) {
        let elapsed_ms = now.duration_since(self.filled_at).as_millis().clamp(0, 3_600_000) as i64;
        if elapsed_ms > 0 {
            let most = i64::from(self.per_second) * 1000;
            self.tokens_milli = (self.tokens_milli + elapsed_ms * i64::from(self.per_second)).min(most);
            self.filled_at = now;
        }
    }

    /// How many looks may begin now.
    pub fn room(&mut self, now: Timestamp) -> usize {
        self.fill(now);
        if self.hold_until.is_some_and(|until| now < until) {
            return 0;
        }
        let affordable = usize::try_from(self.tokens_milli / 1000).unwrap_or(0);
        let free = self.lanes_max.saturating_sub(self.under_way);
        match self.circuit {
            Circuit::Closed { .. } => free.min(affordable),
            Circuit::Open { until, .. } if now >= until && self.under_way == 0 => affordable.min(1),
            Circuit::Open { .. } | Circuit::Probing { .. } => 0,
        }
    }

    /// Whether the gateway answers, as far as we know.
    pub fn is_well(&self, now: Timestamp) -> bool {
        matches!(self.circuit, Circuit::Closed { .. }) && self.hold_until.is_none_or(|until| now >= until)
    }

    /// How many looks are worth having ready: those that may begin, and those that will as lanes fall free.
    pub fn appetite(&mut self, now: Timestamp) -> usize {
        match self.circuit {
            Circuit::Closed { .. } if self.hold_until.is_none_or(|until| now >= until) => {
                self.fill(now);
                self.lanes_max.min(usize::try_from(self.tokens_milli / 1000).unwrap_or(0))
            }
            _ => self.room(now),
        }
    }

    /// A look of so many requests begins.
    pub fn begin(&mut self, requests: usize) {
        self.under_way += 1;
        self.tokens_milli -= i64::try_from(requests.max(1)).unwrap_or(1) * 1000;
        if let Circuit::Open { pause, .. } = self.circuit {
            self.circuit = Circuit::Probing { pause };
        }
    }

    /// It ended.
    pub fn end(&mut self, health: Health, now: Timestamp) -> Option<Change> {
        self.under_way = self.under_way.saturating_sub(1);
        match health {
            Health::Works => {
                self.circuit = Circuit::Closed { failures: 0 };
                self.hold_until = None;
                std::mem::take(&mut self.stopped).then_some(Change::Works)
            }
            Health::Refused { why } => {
                self.circuit = Circuit::Open { until: later(now, REFUSED_EVERY), pause: REFUSED_EVERY };
                self.stop(why)
            }
            Health::Unavailable { why, retry_after } => {
                if let Some(wait) = retry_after {
                    let until = later(now, wait.clamp(SignedDuration::ZERO, RETRY_AFTER_MAX));
                    self.hold_until = self.hold_until.max(Some(until));
                }
                match self.circuit {
                    Circuit::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => {
                        self.circuit = Circuit::Closed { failures: failures + 1 };
                        None
                    }
                    Circuit::Closed { .. } => {
                        self.circuit = Circuit::Open { until: later(now, OPEN_FIRST), pause: OPEN_FIRST };
                        self.stop(why)
                    }
                    Circuit::Probing { pause } => {
                        let pause = (pause * 2).min(OPEN_MAX).max(OPEN_FIRST);
                        self.circuit = Circuit::Open { until: later(now, pause), pause };
                        self.stop(why)
                    }
                    // A straggler from before the circuit opened says nothing new.
                    Circuit::Open { .. } => None,
                }
            }
        }
    }

    fn stop(&mut self, why: String) -> Option<Change> {
        (!std::mem::replace(&mut self.stopped, true)).then_some(Change::Stopped { why })
    }

    /// When there may be room again, if only time stands in the way.
    pub fn ready_at(&self, now: Timestamp) -> Option<Timestamp> {
        let missing_milli = (1000 - self.tokens_milli).max(0);
        let per_second = i64::from(self.per_second.max(1));
        let refill_ms = (missing_milli + per_second - 1) / per_second;
        let refilled = (missing_milli > 0).then(|| later(self.filled_at, SignedDuration::from_millis(refill_ms)));
        let open = match self.circuit {
            Circuit::Open { until, .. } => Some(until),
            Circuit::Closed { .. } | Circuit::Probing { .. } => None,
        };
        [refilled, open, self.hold_until].into_iter().flatten().filter(|at| *at > now).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn down() -> Health {
        Health::Unavailable { why: "http 503".into(), retry_after: None }
    }

    #[test]
    fn the_budget_bounds_requests_and_a_look_of_several_is_paid_back() {
        let mut lane = Lane::new(16, 2, at(0));
        assert_eq!(lane.room(at(0)), 2);
        lane.begin(3);
        assert_eq!(lane.room(at(0)), 0);
        assert_eq!(lane.ready_at(at(0)), Some(at(1)));
        assert_eq!(lane.room(at(1)), 1);
        lane.end(Health::Works, at(1));
        assert_eq!(lane.room(at(100)), 2, "a pause saves up one second's budget, not a hundred");
    }

    #[test]
    fn lanes_bound_what_is_under_way() {
        let mut lane = Lane::new(2, 100, at(0));
        lane.begin(1);
        lane.begin(1);
        assert_eq!(lane.room(at(0)), 0);
        lane.end(Health::Works, at(0));
        assert_eq!(lane.room(at(0)), 1);
    }

    #[test]
    fn an_outage_is_told_once_probed_with_one_look_and_taken_back() {
        let mut lane = Lane::new(16, 100, at(0));
        for n in 0..4 {
            lane.begin(1);
            assert_eq!(lane.end(down(), at(n)), None);
        }
        lane.begin(1);
        assert_eq!(lane.end(down(), at(4)), Some(Change::Stopped { why: "http 503".into() }));
        assert_eq!(lane.room(at(33)), 0);
        assert_eq!(lane.room(at(34)), 1, "one probe");
        lane.begin(1);
        assert_eq!(lane.room(at(34)), 0);
        assert_eq!(lane.end(down(), at(34)), None);
        assert_eq!(lane.room(at(93)), 0, "the pause doubled");
        assert_eq!(lane.room(at(94)), 1);
        lane.begin(1);
        assert_eq!(lane.end(Health::Works, at(94)), Some(Change::Works));
        assert_eq!(lane.room(at(95)), 16);
    }

    #[test]
    fn refused_credentials_are_tried_once_in_five_minutes() {
        let mut lane = Lane::new(16, 100, at(0));
        let refused = || Health::Refused { why: "http 401".into() };
        lane.begin(1);
        assert_eq!(lane.end(refused(), at(0)), Some(Change::Stopped { why: "http 401".into() }));
        assert_eq!((lane.room(at(299)), lane.room(at(300))), (0, 1));
        lane.begin(1);
        assert_eq!(lane.end(refused(), at(300)), None, "told once");
        assert_eq!((lane.room(at(599)), lane.room(at(600))), (0, 1));
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        for (asked, honoured) in [(60, 60), (86_400, 3600), (-5, 0)] {
            let mut lane = Lane::new(16, 100, at(0));
            lane.begin(1);
            let wait = Some(SignedDuration::from_secs(asked));
            assert_eq!(lane.end(Health::Unavailable { why: "http 429".into(), retry_after: wait }, at(0)), None);
            assert_eq!(lane.room(at(honoured)), 16);
            assert!(honoured == 0 || lane.room(at(honoured - 1)) == 0);
        }
    }
}
