//! When to look next: early looks, growing intervals, no end.
//!
//! Ages count from our receipt of the submission (imports: from the shop's own time, clamped), on the
//! steady clock. A method's *window* is its own time to finish; the deciding phases count from its end.
//! Phases: quiet (a notification is expected), warm, decision, cool, cold, frozen.

mod method;
mod watch;

use serde::{Deserialize, Serialize};

pub use self::method::{Method, Schedule};
pub use self::watch::{AGREEING_APART, Cause, HINT_APART, HOLD_DOWN, RETRY_MAX, Soon, Watch};
use crate::core::lifecycle::State;
use crate::words::id::PaymentNumber;
use crate::words::time::{SignedDuration, Timestamp, days, hours, later, minutes};

/// Behind the window's end: the first deciding look.
const DECISION_AFTER: SignedDuration = minutes(5);
/// Ages behind the window's end while a payment is still pending, in hours.
const COOL_HOURS: [i64; 6] = [1, 2, 4, 8, 16, 24];
/// Daily looks end, and weekly ones begin, this long behind the window's end.
const COLD_DAYS: i64 = 14;
/// Looks after *unfinished* is final, in days after the third agreeing look.
const SPARSE_DAYS: [i64; 4] = [3, 7, 14, 30];
/// Looks at money that came and is not expected to go back, in hours behind the window's end. A payer may pay twice,
/// a shop's staff may void it in the gateway's portal, and those messages get lost like any other.
const PAID_HOURS: [i64; 2] = [0, 24];
/// A payment that nobody can be asked about is handed over so long after its first attempt at the latest, however often
/// it is sent again.
const ATTEMPTS_MAX: SignedDuration = hours(24);
/// Windows of days are not waited for: their payer has paid.
const PAID_WINDOW_MAX: SignedDuration = hours(24);
/// Looks at a hold that nobody captured yet, in days after it was made.
const HOLD_DAYS: [i64; 6] = [1, 3, 7, 14, 28, 56];
/// Looks at money that can be returned, in days after it came; monthly then, to 13 months.
const RETURN_DAYS: [i64; 5] = [3, 7, 14, 28, 56];
const RETURN_MONTHS_DAYS: i64 = 30;
const RETURN_END_DAYS: i64 = 395;

/// The part of the schedule a look belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Warm,
    Decision,
    HoldDown,
    Cool,
    Cold,
    Frozen,
    /// Behind the window of what is paid: one request, no walk.
    Paid,
    /// Sparse looks at what is settled.
    Settled,
    /// Brought forward by a message, a deaf interval or a person.
    Soon,
    /// No look at all: the time at which an unaskable payment is handed over.
    HandOver,
    /// No look at all: the time at which a person is told of an operation whose outcome can't be looked up.
    Tell,
}

impl Phase {
    /// Whether the look asks for suffixed ids and the whole family as well.
    pub fn walks_family(self) -> bool {
        !matches!(self, Phase::Warm | Phase::Soon | Phase::Paid)
    }

    /// Whether the gateway is asked at all: other phases only wait for a time.
    pub fn is_look(self) -> bool {
        !matches!(self, Phase::HandOver | Phase::Tell)
    }
}

/// The next look at a payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Next {
    pub at: Timestamp,
    pub phase: Phase,
    pub why: String,
}

/// The moment behind which agreeing looks count; `None` for open-ended methods.
pub fn deadline(method: &Method, since: Timestamp) -> Option<Timestamp> {
    method.window.map(|window| later(since, window + DECISION_AFTER))
}

/// When to look next. Pure: everything it depends on is in the arguments.
///
/// `can_ask`: the gateway can be asked about this payment at all. `None`: settled, no look needed.
pub fn plan(state: State, watch: &Watch, method: &Method, can_ask: bool, number: PaymentNumber) -> Option<Next> {
    if !can_ask {
        return match state {
            State::Open | State::UnfinishedProvisional => {
                let wait = method.window.unwrap_or(minutes(30)) + DECISION_AFTER;
                let why = "without a gateway order number nobody can be asked: a person will be told";
                // A queue that sends it again for ever keeps nobody from hearing of it.
                let latest = watch.attempted_since.map(|first| later(first, wait.max(ATTEMPTS_MAX)));
                let at = later(watch.since, wait);
                let at = latest.map_or(at, |latest| latest.min(at));
                Some(Next { at, phase: Phase::HandOver, why: why.to_owned() })
            }
            _ => None,
        };
    }
    let scheduled = scheduled(state, watch, method, number);
    let soon = watch.soon.as_ref().map(|soon| {
        let opens = method.window.filter(|_| method.retrieve_has_effects && soon.cause.waits_for_window());
        let at = opens.map_or(soon.at, |window| soon.at.max(later(watch.since, window)));
        Next { at, phase: Phase::Soon, why: soon.why.clone() }
    });
    let soon = soon.into_iter().chain(owed(watch, method)).min_by_key(|next| next.at);
    let next = match (scheduled, soon) {
        (Some(scheduled), Some(soon)) if soon.at < scheduled.at => Some(soon),
        (None, soon) => soon,
        (scheduled, _) => scheduled,
    }?;
    Some(Next { at: watch.retry_at.map_or(next.at, |retry| retry.max(next.at)), ..next })
}

/// The look that is owed to what the shop sent. To an operation not even a method that minds being asked keeps it back:
/// it acts on what became of the payment before.
pub fn owed(watch: &Watch, method: &Method) -> Option<Next> {
    let owed = watch.owed.as_ref()?;
    let opens = method.window.filter(|_| method.retrieve_has_effects && owed.waits_for_window);
    let at = opens.map_or(owed.at, |window| owed.at.max(later(watch.since, window)));
    Some(Next { at, phase: Phase::Soon, why: owed.why.clone() })
}

fn scheduled(state: State, watch: &Watch, method: &Method, number: PaymentNumber) -> Option<Next> {
    let settled = |base: Timestamp, days_after: &[i64], then_every: Option<(i64, Option<i64>)>, why: &str| {
        let last = watch.looked_at.filter(|at| *at > base).map_or(SignedDuration::ZERO, |at| at.duration_since(base));
        let listed = days_after.iter().map(|d| days(*d)).find(|age| *age > last);
        let age = listed.or_else(|| {
            let (every, end) = then_every?;
            let from = days_after.last().copied().unwrap_or(0);
            let n = (last.as_secs() / 86_400 - from).max(0) / every + 1;
            let age = days(from + n * every);
            end.is_none_or(|end| age <= days(end)).then_some(age)
        })?;
        let spread = jitter(hours(24), number, age.as_secs().unsigned_abs());
        Some(Next { at: later(base, age + spread), phase: Phase::Settled, why: why.to_owned() })
    };
    match state {
        State::Paid | State::Returned | State::Refunded => {
            let end = later(watch.since, method.window?.min(PAID_WINDOW_MAX) + DECISION_AFTER);
            let age =
                PAID_HOURS.into_iter().map(hours).find(|age| watch.looked_at.is_none_or(|at| at < later(end, *age)))?;
            let spread = jitter(age.max(minutes(30)), number, age.as_secs().unsigned_abs());
            let why = "settled: did anything else come under its request?".to_owned();
            let phase = if age.is_zero() { Phase::Paid } else { Phase::Settled };
            Some(Next { at: later(end, age + spread), phase, why })
        }
        State::Reserved => {
            settled(watch.state_since, &HOLD_DAYS, None, "a hold: is it captured, given back or lapsed?")
        }
        State::PaidProvisional if method.returnable => settled(
            watch.state_since,
            &RETURN_DAYS,
            Some((RETURN_MONTHS_DAYS, Some(RETURN_END_DAYS))),
            "the payer's bank can still return the money",
        ),
        State::PaidProvisional => {
            let daily: Vec<i64> = (1..=COLD_DAYS).collect();
            settled(watch.state_since, &daily, Some((7, None)), "captured: did the day-end closing settle it?")
        }
        State::Open
        | State::Accepted
        | State::HandedOver
        | State::Unfinished
        | State::UnfinishedProvisional
        | State::Failed
        | State::Cancelled => match watch.agreed.as_slice() {
            [first] => {
                let wait = AGREEING_APART + jitter(AGREEING_APART, number, 1);
                let why = "one look found nothing that could still be paid; a second one must agree";
                Some(Next { at: later(*first, wait), phase: Phase::Decision, why: why.to_owned() })
            }
            [_, second] => {
                let wait = HOLD_DOWN + jitter(minutes(60), number, 2);
                let why = "two looks agree that nothing can still be paid; a third one makes it final";
                Some(Next { at: later(*second, wait), phase: Phase::HoldDown, why: why.to_owned() })
            }
            [_, _, third, ..] => settled(*third, &SPARSE_DAYS, None, "final, and still looked at now and then"),
            [] => Some(ladder(state, watch, method, number)),
        },
    }
}

/// Whether an undecided payment is so old that only weekly looks and a person are left.
pub fn is_frozen(method: &Method, since: Timestamp, now: Timestamp) -> bool {
    let window_end = method.window.unwrap_or_else(|| method.warm.last().copied().unwrap_or(minutes(30)));
    now.duration_since(since) > window_end + days(COLD_DAYS)
}

/// The next rung for a payment that no look has given up.
fn ladder(state: State, watch: &Watch, method: &Method, number: PaymentNumber) -> Next {
    let last = watch.looked_at.map(|at| at.duration_since(watch.since));
    // The gateway already said no: nothing to hurry for, the deciding looks will confirm it.
    let given_up = matches!(state, State::Failed | State::Cancelled);
    let from = if given_up { last.max(Some(method.window.unwrap_or_default())) } else { last };
    let (age, before, phase) = next_rung(method, from);
    let gap = age.checked_sub(before).unwrap_or_default().min(hours(24));
    let why = match phase {
        Phase::Warm if given_up => "what was refused may still be paid",
        Phase::Warm => "it is not decided yet",
        Phase::Decision => "the method's time is over: is it unfinished?",
        Phase::Cool | Phase::Cold => "still not decided at the gateway",
        Phase::Frozen => "not decided for more than two weeks: asked weekly, for ever",
        Phase::HoldDown | Phase::Paid | Phase::Settled | Phase::Soon | Phase::HandOver | Phase::Tell => "",
    };
    Next { at: later(watch.since, age + jitter(gap, number, age.as_secs().unsigned_abs())), phase, why: why.to_owned() }
}

/// The first rung whose age lies behind `from`, with the age of the rung before it.
fn next_rung(method: &Method, from: Option<SignedDuration>) -> (SignedDuration, SignedDuration, Phase) {
    let window_end = method.window.unwrap_or_else(|| method.warm.last().copied().unwrap_or(minutes(30)));
    let mut before = SignedDuration::ZERO;
    let mut rungs = rungs(method, window_end);
    rungs.sort_by_key(|rung| rung.0);
    for (age, phase) in rungs {
        if from.is_none_or(|from| age > from) {
            return (age, before, phase);
        }
        before = age;
    }
    let frozen = window_end + days(COLD_DAYS);
    let weeks = from.unwrap_or_default().checked_sub(frozen).unwrap_or_default().as_secs() / days(7).as_secs() + 1;
    let age = frozen + days(7 * weeks.max(1));
    (age, age - days(7), Phase::Frozen)
}

/// All rungs up to the frozen phase.
fn rungs(method: &Method, window_end: SignedDuration) -> Vec<(SignedDuration, Phase)> {
    let mut rungs: Vec<(SignedDuration, Phase)> = Vec::new();
    let hidden = |age: &SignedDuration| method.retrieve_has_effects && *age < window_end;
    rungs.extend(method.warm.iter().filter(|age| !hidden(age)).map(|age| (*age, Phase::Warm)));
    let warm_end = method.warm.last().copied().unwrap_or_default();
    // A window of days is bridged: a lost notification must not stay unnoticed until its end.
    if !method.retrieve_has_effects && window_end > warm_end + hours(1) {
        let cool = COOL_HOURS.iter().map(|h| warm_end + hours(*h));
        let daily = (2..=COLD_DAYS).map(|d| warm_end + days(d));
        let weekly = (3..).map(|w| warm_end + days(7 * w));
        let bridge = cool.chain(daily).chain(weekly).take_while(|age| *age < window_end);
        rungs.extend(bridge.map(|age| (age, Phase::Cool)));
    }
    if method.window.is_some() {
        rungs.push((window_end + DECISION_AFTER, Phase::Decision));
        rungs.push((window_end + DECISION_AFTER + AGREEING_APART, Phase::Decision));
    }
    rungs.extend(COOL_HOURS.iter().map(|h| (window_end + hours(*h), Phase::Cool)));
    rungs.extend((2..=COLD_DAYS).map(|d| (window_end + days(d), Phase::Cold)));
    rungs
}

/// Up to 20 % of `gap`, the same for one payment and rung every time. Only ever later: a deadline is
/// never undercut.
fn jitter(gap: SignedDuration, number: PaymentNumber, salt: u64) -> SignedDuration {
    // SplitMix64's mixer: cheap, and well spread over dense numbers.
    let mut x = number.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let per_mille = ((x ^ (x >> 31)) % 200) as i64;
    SignedDuration::from_millis((gap.as_millis() as i64 / 1000).saturating_mul(per_mille))
}

#[cfg(test)]
mod tests;
