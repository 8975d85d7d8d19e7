//! What the recording proxy passes besides submissions, and what a refused repeat of one means.

use crate::core::alert::{Alert, Tally, Topic};
use crate::core::lifecycle::State;
use crate::core::message::Transaction;
use crate::core::owed::Owed;
use crate::core::payment::Payment;
use crate::core::record::{Event, PassedOutcome, ResponseOutcome, Unkept};
use crate::core::schedule::{Cause, HINT_APART};
use crate::engine::settle::Turn;
use crate::engine::{Engine, ResponseWhat, alerts, books};
use crate::store::{Draft, Fault};
use crate::words::id::{GatewayOrderNumber, MerchantName, TransactionId};
use crate::words::time::{Now, SignedDuration, Timestamp, later};

/// An operation takes the gateway some time: asked before, it would not show. Where no answer comes, the gateway cuts
/// requests after 30 s.
const OPERATED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Longest name of an operation that is journaled, in bytes.
const OPERATION_MAX_BYTES: usize = 64;
/// Longest reason that is journaled, in characters.
const WHY_MAX_CHARS: usize = 200;

/// An operation of the shop's on a payment, that is no submission: it has no request-id of its own, or states
/// no amount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    pub merchant: MerchantName,
    pub target: Target,
    /// What the gateway calls it: `deposit`, `void-authorization`.
    pub name: String,
}

/// By what an operation names its payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    GatewayOrder(GatewayOrderNumber),
    Transaction(TransactionId),
}

impl Engine {
    /// Notes an operation that is about to pass the proxy: once the draft is committed, its payment is looked at soon,
    /// whatever becomes of it. Returns the number of the record. `None`: we know no such payment.
    pub fn passed(&self, draft: &mut Draft, operation: &Operation, now: Now) -> Result<Option<u64>, Fault> {
        self.note(draft, operation, None, now)
    }

    /// Notes what became of an operation that passed. `of`: the record of its sending, where there is one.
    pub fn passed_on(
        &self,
        draft: &mut Draft,
        operation: &Operation,
        of: Option<u64>,
        what: &ResponseWhat,
        now: Now,
    ) -> Result<Option<u64>, Fault> {
        let (outcome, http_status) = match what {
            ResponseWhat::Answered { http_status, .. } | ResponseWhat::AnsweredUnread { http_status } => {
                (ResponseOutcome::Answered, Some(*http_status))
            }
            ResponseWhat::NotSent => (ResponseOutcome::NotSent, None),
            ResponseWhat::OutcomeUnknown => (ResponseOutcome::Unknown, None),
        };
        self.note(draft, operation, Some(PassedOutcome { of, outcome, http_status }), now)
    }

    fn note(
        &self,
        draft: &mut Draft,
        operation: &Operation,
        outcome: Option<PassedOutcome>,
        now: Now,
    ) -> Result<Option<u64>, Fault> {
        let merchant = &operation.merchant;
        let found = match &operation.target {
            Target::GatewayOrder(number) => books::by_gateway_order(draft, merchant, number.as_str())?,
            Target::Transaction(id) => books::by_transaction(draft, merchant, id.as_str())?,
        };
        let Some(number) = found else { return Ok(None) };
        let end = operation.name.floor_char_boundary(OPERATION_MAX_BYTES);
        let operation = operation.name[..end].to_owned();
        self.record(draft, Event::Passed { number, operation, outcome }, now).map(Some)
    }

    /// Journals that requests passed the proxy without being kept in time, and tells a person.
    pub fn unkept(&self, draft: &mut Draft, unkept: &Unkept, now: Now) -> Result<(), Fault> {
        if !self.policy.accounts.contains_key(&unkept.merchant) {
            return Ok(());
        }
        let why = unkept.why.chars().take(WHY_MAX_CHARS).collect();
        self.record(draft, Event::Unkept(Unkept { why, ..unkept.clone() }), now)?;
        Ok(())
    }
}

/// Owes the payment a look a while after the operation was sent, and then after its answer: what happens at the
/// gateway happens before that. The shop itself sent it, so the allowance of hints does not hold it back.
pub(super) fn operated(
    payment: &mut Payment,
    sequence: u64,
    operation: &str,
    outcome: Option<&PassedOutcome>,
    now: Now,
) {
    #[cfg(planted)]
    if crate::planted::is("operation-not-looked-for") {
        return;
    }
    let by = match outcome {
        None => Some(sequence),
        Some(outcome) if outcome.outcome == ResponseOutcome::NotSent => {
            return Owed::forgive(&mut payment.watch.owed, outcome.of);
        }
        Some(outcome) => outcome.of,
    };
    let why = format!("the shop sent {operation}: what came of it?");
    Owed::owe(&mut payment.watch.owed, later(now.steady, OPERATED_AFTER), &why, by);
}

/// The request of a payment that had been given up is on its way once more: it is watched like a new one.
pub(super) fn again(payment: &mut Payment, sequence: u64, now: Now) {
    payment.not_sent = false;
    payment.watch.begin_anew(now.steady, payment.state == State::Open);
    let why = "the shop sent the same request again: what came of it?";
    Owed::owe_attempt(&mut payment.watch.owed, later(now.steady, OPERATED_AFTER), why, sequence);
}

/// One alert for all that passed since it fired: a person compares the whole time with the shop's orders.
pub(super) fn unkept(draft: &mut Draft, turn: Turn, unkept: &Unkept) -> Result<(), Fault> {
    let Unkept { merchant, from, to, kept_late, lost, why } = unkept;
    let more = Tally { from: *from, to: *to, kept_late: *kept_late, lost: *lost };
    let key = alerts::news_key(Topic::Unkept, Some(merchant));
    let tally = books::firing(draft, &key)?.and_then(|alert| alert.tally).map_or(more, |before| before.and(more));
    let Tally { from, to, kept_late, lost } = tally;
    let advice = if lost > 0 { ", compare with the shop's orders and submit them again" } else { "" };
    let fate = format!("kept late and watched: {kept_late}; not watched: {lost}{advice}");
    let summary = format!("requests of {merchant} passed unrecorded from {from} to {to} ({why}): {fate}");
    alerts::news(draft, turn.policy, Topic::Unkept, Some(merchant), summary, turn.now)?;
    let Some(alert) = books::firing(draft, &key)? else { return Ok(()) };
    let told = alert.tally.map_or(tally.lost, |before| before.lost);
    let alert = Alert { tally: Some(tally), ..alert };
    books::put_alert(draft, &alert)?;
    // Of late ones a person need not hear again, of lost ones he must: at once, and whenever they are twice as many.
    let is_news = tally.lost > told && (told == 0 || tally.lost.ilog2() > told.ilog2());
    if is_news { alerts::tell(draft, turn.policy, &alert, turn.now) } else { Ok(()) }
}

/// Where the gateway refuses a request-id as used before (400.1018), an earlier submit of it arrived: it is asked
/// about at once, at most once in [`HINT_APART`].
pub(super) fn earlier_submit(payment: &mut Payment, transactions: &[Transaction], cause: Cause, now: Now) {
    if payment.state.is_income() || !transactions.iter().any(Transaction::is_refused_repeat) {
        return;
    }
    let at = hint_allowed(payment, now);
    let why = "the gateway says the request-id was used before: what became of the earlier submit?";
    payment.watch.look_soon(at, why, cause);
}

fn hint_allowed(payment: &Payment, now: Now) -> Timestamp {
    payment.watch.hint_looked_at.map_or(now.steady, |last| later(last, HINT_APART).max(now.steady))
}
