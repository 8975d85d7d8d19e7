//! Looks: what is due, what to ask, and what came of it.

use std::collections::VecDeque;

use crate::core::look::{Answer, Look, Outcome};
use crate::core::payment::Payment;
use crate::core::record::Event;
use crate::core::schedule::{self, Phase};
use crate::engine::books::{self, Lane};
use crate::engine::intake::{TRANSACTIONS_MAX, allow_listed};
use crate::engine::{Engine, ask, settle};
use crate::store::{Draft, Fault, Table, View};
use crate::words::id::{MerchantName, PaymentNumber};
use crate::words::time::{Now, SignedDuration, Timestamp, minutes};

/// Rows of one account's lane passed over in one reading, because they are in flight.
const DUE_SCAN_MAX_ROWS: usize = 2_048;
const DUE_PAGE_ROWS: usize = 256;
/// An answer that is older than this says nothing any more. Less than agreeing looks lie apart, or one moment at the
/// gateway could count as two; more than any request takes.
const ANSWER_MAX_AGE: SignedDuration = minutes(15);

/// Wait before an order is asked about again whose answer an operation overtook.
const OVERTAKEN_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// Whose turn each of eight looks is.
const SHARES: [Lane; 8] = {
    use Lane::{Backlog, First, Imported, Owed};
    [First, Owed, Backlog, First, Imported, First, Backlog, First]
};

impl Engine {
    /// The looks of one account that are due, oldest first in each queue; at most `limit`, without those `skip` names (in
    /// flight). `turn` counts the looks taken of it so far: every eight of them are shared out by `SHARES`, however few
    /// are taken at a time, so that neither new payments nor an imported list can starve the others.
    pub fn due(
        &self,
        view: &dyn View,
        now: Now,
        merchant: &MerchantName,
        limit: usize,
        turn: usize,
        skip: &dyn Fn(PaymentNumber) -> bool,
    ) -> Result<Vec<Look>, Fault> {
        let mut waiting = Vec::new();
        for lane in Lane::LOOKS {
            waiting.push((lane, VecDeque::from(due_in(view, lane, merchant, now, limit, skip)?)));
        }
        let mut looks = Vec::new();
        for taken in 0..limit {
            let share = SHARES[turn.wrapping_add(taken) % SHARES.len()];
            // A share that nobody uses goes to the first who waits.
            let mut mine = waiting.iter_mut().filter(|(lane, _)| *lane == share);
            let number = mine.find_map(|(_, numbers)| numbers.pop_front());
            let number = number.or_else(|| waiting.iter_mut().find_map(|(_, numbers)| numbers.pop_front()));
            let Some(number) = number else { break };
            looks.extend(self.look(&books::payment_at(view, number)?, now));
        }
        Ok(looks)
    }

    /// Merchant accounts that have payments in the store and no table in the configuration. A start
    /// with any of them would leave those payments without looks: it must be refused.
    pub fn missing_accounts(&self, view: &dyn View) -> Result<Vec<String>, Fault> {
        let mut missing = Vec::new();
        let mut from = Vec::new();
        while let Some((key, _)) = view.range(Table::ByRequest, &from, &[], 1)?.into_iter().next() {
            let name: Vec<u8> = key.split(|b| *b == 0).next().unwrap_or_default().to_vec();
            // Names hold no byte below `-`: 1 is right behind the 0 that ends this one.
            from = [name.as_slice(), &[1]].concat();
            let name = String::from_utf8_lossy(&name).into_owned();
            if !self.policy.accounts.keys().any(|known| known.as_str() == name) {
                missing.push(name);
            }
        }
        Ok(missing)
    }

    /// When the next look is due (steady clock); `None`: nothing is scheduled.
    pub fn next_due(&self, view: &dyn View) -> Result<Option<Timestamp>, Fault> {
        let mut next: Option<Timestamp> = None;
        for lane in Lane::LOOKS.into_iter().chain([Lane::Time]) {
            for merchant in self.policy.accounts.keys() {
                let (from, to) = books::due_all(lane, merchant);
                if let Some((key, _)) = view.range(Table::Due, &from, &to, 1)?.first() {
                    let at = books::due_parts(key)?.0;
                    next = Some(next.map_or(at, |n| n.min(at)));
                }
            }
        }
        Ok(next)
    }

    /// The look a payment needs; `None` where nobody can be asked.
    pub fn look(&self, payment: &Payment, now: Now) -> Option<Look> {
        let account = self.policy.accounts.get(&payment.merchant)?;
        let next = payment.next.as_ref()?;
        if !next.phase.is_look() || !settle::can_ask(account, payment) {
            return None;
        }
        // Behind the deadline every look may count towards an agreement, whatever brought it about.
        let method = settle::method_of(&self.policy, account, payment);
        let is_late = schedule::deadline(method, payment.watch.since).is_some_and(|deadline| next.at >= deadline);
        let may_count = is_late && next.phase != Phase::Paid;
        // An operation has a request-id of its own: only its family tells what came of it.
        let is_owed = payment.watch.owed.as_ref().is_some_and(|owed| owed.at <= now.steady);
        let queries = ask::queries(account, payment, may_count || is_owed || next.phase.walks_family());
        Some(Look {
            number: payment.number,
            merchant: payment.merchant.clone(),
            request_id: payment.request_id.clone(),
            queries,
            is_first: payment.watch.looks == 0 && payment.watch.failures == 0,
            reason: next.why.clone(),
            asked_at: now.steady,
        })
    }

    /// What a look found.
    pub fn answered(&self, draft: &mut Draft, look: &Look, answers: &[Answer], now: Now) -> Result<(), Fault> {
        // Between the question and its answer the payment can't vanish, but a demo store may be reset.
        let Some(payment) = books::payment(draft, look.number)? else { return Ok(()) };
        // It was read before a machine slept, say: the gateway may know more by now, and must not seem to know less.
        let is_stale = now.steady.duration_since(look.asked_at) > ANSWER_MAX_AGE;
        // Asked before an operation on the order was told to be executed, it may lack what that did.
        let is_overtaken = payment.gateway_order_number.is_some()
            && payment.operations.iter().any(|operation| operation.is_executed_after(look.asked_at));
        let answers = answers.iter().map(|answer| {
            if is_overtaken {
                let why = "it was asked before an operation on the order was executed".to_owned();
                let outcome = Outcome::Unavailable { why, retry_after: Some(OVERTAKEN_WAIT) };
                return Answer { outcome, transactions: Vec::new(), ..answer.clone() };
            }
            if is_stale {
                let outcome = Outcome::Unavailable { why: "the answer came too late".to_owned(), retry_after: None };
                return Answer { outcome, transactions: Vec::new(), ..answer.clone() };
            }
            let transactions = answer.transactions.iter().take(TRANSACTIONS_MAX).cloned().map(allow_listed).collect();
            Answer { transactions, ..answer.clone() }
        });
        let answers = answers.collect();
        let asked_at = payment.watch.owed.as_ref().map(|_| look.asked_at);
        self.record(draft, Event::Looked { number: look.number, answers, asked_at }, now)?;
        Ok(())
    }

    /// A merchant account's lane is stopped by its gateway, or works again (`why` is `None`). No news
    /// is no record.
    pub fn lane(&self, draft: &mut Draft, merchant: &MerchantName, why: Option<&str>, now: Now) -> Result<(), Fault> {
        let stopped = books::firing(draft, &format!("lane/{merchant}"))?;
        if stopped.is_some() == why.is_some() {
            return Ok(());
        }
        let why = why.map(|text| text.chars().take(200).collect());
        self.record(draft, Event::Lane { merchant: merchant.clone(), why }, now)?;
        Ok(())
    }

    /// Brings the next look forward to now, for a person. The id is an order number, a request-id or a
    /// transaction-id; returns the payments it names that can be asked about.
    pub fn ask(&self, draft: &mut Draft, id: &str, now: Now) -> Result<Vec<PaymentNumber>, Fault> {
        let mut asked = Vec::new();
        for number in self.find(draft, id)? {
            let payment = books::payment_at(draft, number)?;
            let Some(account) = self.policy.accounts.get(&payment.merchant) else { continue };
            if settle::can_ask(account, &payment) {
                self.record(draft, Event::Asked { number }, now)?;
                asked.push(number);
            }
        }
        Ok(asked)
    }

    /// The payments an order number, request-id (an operation's included), transaction-id or gateway order number names.
    pub fn find(&self, view: &dyn View, id: &str) -> Result<Vec<PaymentNumber>, Fault> {
        let id = id.trim();
        let mut found: Vec<PaymentNumber> = Vec::new();
        for merchant in self.policy.accounts.keys() {
            found.extend(books::by_request(view, merchant, id)?);
            found.extend(books::by_order(view, merchant, id)?);
            found.extend(books::by_transaction(view, merchant, id)?);
            found.extend(books::by_gateway_order(view, merchant, id)?);
            found.extend(books::by_operation(view, merchant, id)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// The payments due in one queue of one account, oldest first.
fn due_in(
    view: &dyn View,
    lane: Lane,
    merchant: &MerchantName,
    now: Now,
    limit: usize,
    skip: &dyn Fn(PaymentNumber) -> bool,
) -> Result<Vec<PaymentNumber>, Fault> {
    let mut due = Vec::new();
    let (mut from, to) = books::due_range(lane, merchant, now.steady);
    let mut scanned = 0;
    while due.len() < limit && scanned < DUE_SCAN_MAX_ROWS {
        let rows = view.range(Table::Due, &from, &to, DUE_PAGE_ROWS)?;
        let Some((last, _)) = rows.last() else { break };
        from = [last.as_slice(), &[0]].concat();
        scanned += rows.len();
        for (key, _) in &rows {
            let (_, number) = books::due_parts(key)?;
            if due.len() < limit && !skip(number) {
                due.push(number);
            }
        }
    }
    Ok(due)
}
