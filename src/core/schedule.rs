//! When to look next: early looks, growing intervals, no end.
//!
//! Ages count from our receipt of the submission (imports: from the shop's own time, clamped), on the
//! steady clock. A method's *window* is its own time to finish; the deciding phases count from its end.
//! Phases: quiet (a notification is expected), warm, decision, cool, cold, frozen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::lifecycle::State;
use crate::core::owed::Owed;
use crate::words::id::PaymentNumber;
use crate::words::time::{SignedDuration, Timestamp, days, hours, later, minutes};

/// How payments of one method are looked at. Ages count from our receipt of the submission.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The method's own time to finish; deciding phases count from its end. `None`: open-ended.
    pub window: Option<SignedDuration>,
    /// Ages of the looks before the window's end.
    pub warm: Vec<SignedDuration>,
    /// A retrieval changes something at the provider: none before the window's end.
    #[serde(default)]
    pub retrieve_has_effects: bool,
    /// Money that came can go back for 13 months (SEPA).
    #[serde(default)]
    pub returnable: bool,
}

/// All methods, by the gateway's name for them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub methods: BTreeMap<String, Method>,
    /// For payments whose method is not known (yet), and methods that have no table of their own.
    pub unknown: Method,
    /// For `checkout` payments.
    pub checkout: Method,
}

impl Default for Schedule {
    fn default() -> Self {
        let card = Method {
            window: Some(minutes(30)),
            warm: [2, 4, 7, 12, 20, 30].into_iter().map(minutes).collect(),
            retrieve_has_effects: false,
            returnable: false,
        };
        let redirect = |window| Method {
            window,
            warm: vec![minutes(12), minutes(35)],
            retrieve_has_effects: false,
            returnable: false,
        };
        let mut methods = BTreeMap::new();
        for name in ["creditcard", "maestro"] {
            methods.insert(name.to_owned(), card.clone());
        }
        for name in ["sofortbanking", "eps", "giropay", "ideal", "bancontact", "trustly", "paydirekt"] {
            methods.insert(name.to_owned(), redirect(Some(minutes(30))));
        }
        methods.insert("paypal".into(), Method { retrieve_has_effects: true, ..redirect(Some(hours(3))) });
        methods.insert("maybank2u".into(), Method { retrieve_has_effects: true, ..redirect(Some(minutes(30))) });
        for name in ["klarna-invoice", "klarna-install", "klarna-paylater", "klarna-debit"] {
            methods.insert(name.into(), redirect(Some(hours(26))));
        }
        for name in ["sepadirectdebit", "sepacredit"] {
            methods.insert(name.into(), Method { returnable: true, ..redirect(Some(days(4))) });
        }
        methods.insert("przelewy24".into(), redirect(Some(days(30))));
        methods.insert("wiretransfer".into(), redirect(None));
        Schedule { methods, unknown: redirect(Some(days(30))), checkout: redirect(Some(minutes(30))) }
    }
}

impl Schedule {
    /// The table for a payment: its method's own, or the one for methods we do not know.
    pub fn method(&self, is_checkout: bool, name: Option<&str>) -> &Method {
        if is_checkout {
            return &self.checkout;
        }
        name.and_then(|name| self.methods.get(name)).unwrap_or(&self.unknown)
    }
}

/// Behind the window's end: the first deciding look.
const DECISION_AFTER: SignedDuration = minutes(5);
/// Least time between two agreeing looks.
pub const AGREEING_APART: SignedDuration = minutes(30);
/// Least time between the second agreeing look and the third, which makes *unfinished* final.
pub const HOLD_DOWN: SignedDuration = hours(24);
/// Ages behind the window's end while a payment is still pending, in hours.
const COOL_HOURS: [i64; 6] = [1, 2, 4, 8, 16, 24];
/// Daily looks end, and weekly ones begin, this long behind the window's end.
const COLD_DAYS: i64 = 14;
/// Looks after *unfinished* is final, in days after the third agreeing look.
const SPARSE_DAYS: [i64; 4] = [3, 7, 14, 30];
/// Looks at money that came and is not expected to go back, in hours behind the window's end. A payer may pay twice,
/// a shop's staff may void it in the gateway's portal, and those messages get lost like any other.
const PAID_HOURS: [i64; 2] = [0, 24];
/// Windows of days are not waited for: their payer has paid.
const PAID_WINDOW_MAX: SignedDuration = hours(24);
/// Looks at a hold that nobody captured yet, in days after it was made.
const HOLD_DAYS: [i64; 6] = [1, 3, 7, 14, 28, 56];
/// Looks at money that can be returned, in days after it came; monthly then, to 13 months.
const RETURN_DAYS: [i64; 5] = [3, 7, 14, 28, 56];
const RETURN_MONTHS_DAYS: i64 = 30;
const RETURN_END_DAYS: i64 = 395;
/// A hint brings at most one look in this time.
pub const HINT_APART: SignedDuration = minutes(10);
/// First wait after a look that got no answer; doubles to [`RETRY_MAX`].
const RETRY_FIRST: SignedDuration = SignedDuration::from_secs(30);
pub const RETRY_MAX: SignedDuration = hours(1);

/// What the schedule remembers of a payment. Times are on the steady clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Ages count from here.
    pub since: Timestamp,
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
    fn waits_for_window(self) -> bool {
        matches!(self, Cause::UnprovenHint | Cause::Deaf)
    }
}

impl Watch {
    pub fn new(since: Timestamp, now: Timestamp) -> Watch {
        Watch {
            since,
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
    pub fn begin_anew(&mut self, now: Timestamp) {
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
                Some(Next { at: later(watch.since, wait), phase: Phase::HandOver, why: why.to_owned() })
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
    let soon = soon.into_iter().chain(owed(watch)).min_by_key(|next| next.at);
    let next = match (scheduled, soon) {
        (Some(scheduled), Some(soon)) if soon.at < scheduled.at => Some(soon),
        (None, soon) => soon,
        (scheduled, _) => scheduled,
    }?;
    Some(Next { at: watch.retry_at.map_or(next.at, |retry| retry.max(next.at)), ..next })
}

/// The look that is owed to what the shop sent. Not even a method that minds being asked keeps it back: it acts on
/// what became of the payment before.
pub fn owed(watch: &Watch) -> Option<Next> {
    watch.owed.as_ref().map(|owed| Next { at: owed.at, phase: Phase::Soon, why: owed.why.clone() })
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
        Phase::Warm => "no notification came yet",
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
mod tests {
    use super::*;

    const N: PaymentNumber = PaymentNumber(7);

    fn at(age: SignedDuration) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, age)
    }

    fn ages(method: &Method, count: usize) -> Vec<i64> {
        let mut from = None;
        (0..count)
            .map(|_| {
                let (age, _, _) = next_rung(method, from);
                from = Some(age);
                age.as_secs() / 60
            })
            .collect()
    }

    #[test]
    fn the_ladder_of_each_method() {
        let schedule = Schedule::default();
        let card = schedule.method(false, Some("creditcard"));
        assert_eq!(ages(card, 10), [2, 4, 7, 12, 20, 30, 35, 65, 90, 150]);
        let sofort = schedule.method(false, Some("sofortbanking"));
        assert_eq!(ages(sofort, 5), [12, 35, 35 + 30, 90, 150][..5].to_vec());
        let paypal = schedule.method(false, Some("paypal"));
        assert_eq!(ages(paypal, 3), [185, 215, 240], "a retrieval before the window's end would fail the payment");
        let klarna = schedule.method(false, Some("klarna-invoice"));
        assert_eq!(ages(klarna, 9), [12, 35, 95, 155, 275, 515, 995, 1475, 26 * 60 + 5]);
        let wire = schedule.method(false, Some("wiretransfer"));
        assert_eq!(ages(wire, 4), [12, 35, 95, 155], "open-ended: no decision, no end");
    }

    #[test]
    fn the_ladder_never_ends() {
        let card = Schedule::default().methods["creditcard"].clone();
        let mut from = None;
        for _ in 0..400 {
            let (age, before, phase) = next_rung(&card, from);
            assert!(from.is_none_or(|from| age > from));
            assert!(age - before <= days(7) + hours(1), "never more than a week without a look");
            if age > days(20) {
                assert_eq!(phase, Phase::Frozen);
            }
            from = Some(age);
        }
        assert!(from.expect("an age") > days(365 * 5));
    }

    #[test]
    fn looks_are_never_early_and_at_most_a_fifth_late() {
        let card = Schedule::default().methods["creditcard"].clone();
        for number in 0..200 {
            let watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
            let next = plan(State::Open, &watch, &card, true, PaymentNumber(number)).expect("a look");
            let late = next.at.duration_since(at(minutes(2)));
            assert!(late >= SignedDuration::ZERO && late <= SignedDuration::from_secs(24), "{number}: {late}");
        }
    }

    #[test]
    fn unfinished_takes_two_looks_30_minutes_apart_and_a_third_a_day_later() {
        let card = Schedule::default().methods["creditcard"].clone();
        let since = at(SignedDuration::ZERO);
        let deadline = deadline(&card, since);
        let mut watch = Watch::new(since, since);
        watch.concluded(at(minutes(30)), true, deadline);
        assert!(watch.agreed.is_empty(), "before the deadline nothing counts");
        watch.concluded(at(minutes(35)), true, deadline);
        watch.concluded(at(minutes(64)), true, deadline);
        assert_eq!(watch.agreed.len(), 1, "29 minutes apart is not 30");
        watch.concluded(at(minutes(65)), true, deadline);
        assert_eq!(watch.agreed.len(), 2);
        let next = plan(State::UnfinishedProvisional, &watch, &card, true, N).expect("a look");
        assert!(next.at >= at(minutes(65) + hours(24)) && next.phase == Phase::HoldDown);
        watch.concluded(at(minutes(65) + hours(23)), true, deadline);
        assert_eq!(watch.agreed.len(), 2);
        watch.concluded(at(minutes(66) + hours(24)), true, deadline);
        assert_eq!(watch.agreed.len(), 3);
        let next = plan(State::Unfinished, &watch, &card, true, N).expect("sparse looks go on");
        assert_eq!(next.phase, Phase::Settled);
        watch.concluded(at(days(5)), false, deadline);
        assert!(watch.agreed.is_empty(), "new life starts the count anew");
    }

    #[test]
    fn a_look_without_an_answer_uses_up_no_rung() {
        let card = Schedule::default().methods["creditcard"].clone();
        let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
        watch.failed(at(minutes(2)), None, N);
        let next = plan(State::Open, &watch, &card, true, N).expect("a look");
        assert!(next.at >= at(minutes(2) + RETRY_FIRST) && next.at < at(minutes(4)), "{}", next.at);
        for _ in 0..40 {
            watch.failed(at(hours(1)), Some(days(3)), N);
        }
        let longest = at(hours(1) + RETRY_MAX + RETRY_MAX / 5);
        assert!(watch.retry_at.expect("a time") <= longest, "Retry-After is honoured up to an hour");
    }

    #[test]
    fn a_hint_brings_no_look_into_the_window_of_a_method_that_minds() {
        let schedule = Schedule::default();
        let paypal = schedule.method(false, Some("paypal"));
        let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
        watch.look_soon(at(minutes(1)), "an unverified message", Cause::UnprovenHint);
        assert_eq!(plan(State::Open, &watch, paypal, true, N).expect("a look").at, at(hours(3)));
        watch.soon = None;
        watch.look_soon(at(minutes(1)), "a verified message", Cause::SignedHint);
        assert_eq!(plan(State::Open, &watch, paypal, true, N).expect("a look").at, at(minutes(1)));
    }

    #[test]
    fn money_that_can_go_back_is_watched_for_13_months() {
        let schedule = Schedule::default();
        let sepa = schedule.method(false, Some("sepadirectdebit"));
        let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
        let mut seen = Vec::new();
        while let Some(next) = plan(State::PaidProvisional, &watch, sepa, true, N) {
            watch.concluded(next.at, false, None);
            seen.push(next.at.duration_since(watch.since).as_secs() / 86_400);
        }
        assert_eq!(seen[..7], [3, 7, 14, 28, 56, 86, 116]);
        assert!(seen.last().is_some_and(|last| (366..=396).contains(last)), "{seen:?}");
    }

    #[test]
    fn what_is_paid_is_looked_at_behind_its_window_and_a_day_later() {
        let schedule = Schedule::default();
        let card = schedule.method(false, Some("creditcard"));
        let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
        watch.concluded(at(minutes(12)), false, None);
        let mut seen = Vec::new();
        while let Some(next) = plan(State::Paid, &watch, card, true, N) {
            watch.concluded(next.at, false, None);
            seen.push(next.at);
        }
        let [first, second] = seen.as_slice() else { panic!("{seen:?}") };
        assert!((at(minutes(35))..at(minutes(45))).contains(first), "{first}");
        assert!((at(minutes(35) + hours(24))..at(hours(30))).contains(second), "{second}");
        let wire = schedule.method(false, Some("wiretransfer"));
        assert_eq!(plan(State::Paid, &watch, wire, true, N), None, "deposits of a wire transfer come when they come");
    }

    #[test]
    fn who_cannot_be_asked_is_handed_over_after_the_window() {
        let schedule = Schedule::default();
        let watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
        let next = plan(State::Open, &watch, &schedule.checkout, false, N).expect("a time");
        assert_eq!((next.at, next.phase), (at(minutes(35)), Phase::HandOver));
        assert_eq!(plan(State::HandedOver, &watch, &schedule.checkout, false, N), None);
    }
}
