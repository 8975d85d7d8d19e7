//! What the schedule remembers of a payment, and what looks and messages do to it.

use serde::{Deserialize, Serialize};

use super::jitter;
use crate::core::owed::Owed;
use crate::words::id::PaymentNumber;
use crate::words::time::{SignedDuration, Timestamp, hours, later, minutes};

/// Least time between two agreeing looks.
pub const AGREEING_APART: SignedDuration = minutes(30);
/// Least time between the second agreeing look and the third, which makes *unfinished* final.
pub const HOLD_DOWN: SignedDuration = hours(24);
/// A hint brings at most one look in this time.
pub const HINT_APART: SignedDuration = minutes(10);
/// First wait after a look that got no answer; doubles to [`RETRY_MAX`].
pub(super) const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(30);
pub const RETRY_MAX: SignedDuration = hours(1);

/// What the schedule remembers of a payment. Times are on the steady clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Ages count from here.
    pub since: Timestamp,
    /// When the first of the attempts was made that this payment is open for; `None`: there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_since: Option<Timestamp>,
    /// When the payment came into its state.
    pub state_since: Timestamp,
    /// Conclusive looks so far.
    pub looks: u32,
    /// The last conclusive look.
    pub looked_at: Option<Timestamp>,
    /// Looks in a row that got no answer. They never use up a rung.
    pub failures: u32,
    /// No look before this: the gateway, or our own patience, said so.
    pub retry_at: Option<Timestamp>,
    /// The agreeing looks that count, at most three.
    pub agreed: Vec<Timestamp>,
    /// The last look that an unproven message brought about.
    pub hint_looked_at: Option<Timestamp>,
    /// A look that something brought forward, and what.
    pub soon: Option<Soon>,
    /// A look owed to what the shop sent, which no earlier one pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Owed>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Soon {
    pub at: Timestamp,
    pub why: String,
    pub cause: Cause,
}

/// What brings a look forward.
///
/// Ordered: a stronger cause takes over the wish of a weaker one, which never holds it back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A message anybody could have sent: never into the window of a method that minds being asked.
    UnprovenHint,
    /// We could not hear for a while: a message may have come, and none did that we know of.
    Deaf,
    /// A message whose sender is proven and whose money is not.
    SignedHint,
    /// A fact, a person.
    Other,
}

impl Cause {
    /// Hints of both kinds share one allowance: a look in [`HINT_APART`].
    pub fn is_hint(self) -> bool {
        matches!(self, Cause::UnprovenHint | Cause::SignedHint)
    }

    /// No verified message stands behind it: a method that minds being asked is left alone within its window.
    pub(super) fn waits_for_window(self) -> bool {
        matches!(self, Cause::UnprovenHint | Cause::Deaf)
    }
}

impl Watch {
    pub fn new(since: Timestamp, now: Timestamp) -> Watch {
        Watch {
            since,
            attempted_since: None,
            state_since: now,
            looks: 0,
            looked_at: None,
            failures: 0,
            retry_at: None,
            agreed: Vec::new(),
            hint_looked_at: None,
            soon: None,
            owed: None,
        }
    }

    /// The request is sent again: ages count from now, and what earlier looks agreed on holds no more. What the gateway
    /// asked us to wait stays.
    ///
    /// `is_open`: it is another attempt at what is open, and not at what was given up.
    pub fn begin_anew(&mut self, now: Timestamp, is_open: bool) {
        self.attempted_since = is_open.then(|| self.attempted_since.unwrap_or(self.since));
        self.since = now;
        self.looks = 0;
        self.looked_at = None;
        self.agreed.clear();
    }

    /// A look without an answer: wait longer each time, or as long as the gateway asks, at most an hour.
    pub fn failed(&mut self, now: Timestamp, retry_after: Option<SignedDuration>, number: PaymentNumber) {
        self.failures = self.failures.saturating_add(1);
        let doubled = RETRY_FIRST.saturating_mul(1 << (self.failures - 1).min(7) as i32);
        let own = doubled.min(RETRY_MAX);
        let wait = retry_after.map_or(own, |asked| asked.clamp(own, RETRY_MAX.max(own)));
        self.retry_at = Some(later(now, wait + jitter(wait, number, u64::from(self.failures))));
    }

    /// A conclusive look, and whether it found only what can't become a payment any more.
    ///
    /// It counts as agreeing only after the deadline, 30 minutes behind the first and 24 hours behind
    /// the second. Anything else found starts the count anew.
    pub fn concluded(&mut self, now: Timestamp, agrees: bool, deadline: Option<Timestamp>) {
        self.looks = self.looks.saturating_add(1);
        self.looked_at = Some(now);
        self.failures = 0;
        self.retry_at = None;
        if !agrees {
            self.agreed.clear();
            return;
        }
        let Some(deadline) = deadline else { return };
        let apart = |least: SignedDuration, last: &Timestamp| now.duration_since(*last) >= least;
        let counts = now >= deadline
            && match self.agreed.as_slice() {
                [] => true,
                [first] => apart(AGREEING_APART, first),
                [_, second] => apart(HOLD_DOWN, second),
                _ => false,
            };
        if counts {
            self.agreed.push(now);
        }
    }

    /// A look was taken: what had been brought forward is done once it was `answered`. Without an answer it
    /// stays wished for; a hint has had its one look all the same, and waits for its next allowance.
    pub fn spend_soon(&mut self, now: Timestamp, answered: bool) {
        let Some(soon) = &mut self.soon else { return };
        if soon.cause.is_hint() && (answered || soon.at <= now) {
            self.hint_looked_at = Some(now);
            soon.at = later(now, HINT_APART);
        }
        if answered {
            self.soon = None;
        }
    }

    /// Brings the next look forward; of equal causes the earliest wish stands.
    pub fn look_soon(&mut self, at: Timestamp, why: &str, cause: Cause) {
        let at = match &self.soon {
            Some(soon) if cause < soon.cause || (cause == soon.cause && at >= soon.at) => return,
            Some(soon) => at.min(soon.at),
            None => at,
        };
        self.soon = Some(Soon { at, why: why.to_owned(), cause });
    }
}
