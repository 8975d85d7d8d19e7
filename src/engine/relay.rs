//! Notifications passed on to the shop's own listener: a row in the commit that judges the message, an
//! attempt afterwards, at least once, in order within one request-id.
//!
//! Its rows hold the body itself, so that nothing that expires or is overwritten elsewhere takes it away. What
//! became of messages that are evidence of a payment is journaled; of others only their number is, because a
//! stranger can send as many as he likes.

use std::collections::HashSet;

use crate::core::identity::strip_suffix;
use crate::core::message::Authenticity;
use crate::core::record::{Event, Weight};
use crate::core::relay::{Attempt, NotRelayed};
use crate::engine::digest::{digest, gist};
use crate::engine::packed::{Envelope, pack, unpack};
use crate::engine::relay_rows::{
    Backlog, Rank, Waiting, at, backlog, backlog_key, backlogs, body_of, due_key, due_prefix, id, line_prefix, ms,
    not_before_in, number_in, numbered, put_backlog, row_key,
};
use crate::engine::relayed::trouble_key;
use crate::engine::{Engine, books};
use crate::store::{Draft, Fault, Table, View, prefix_end};
use crate::words::id::{MerchantName, PaymentNumber, RequestId};
use crate::words::time::{Now, Timestamp, later};

/// Ways on which a message comes from outside. What the shop itself spooled it has already.
const RELAYED_WAY: &str = "http";
/// Row of `Table::Meta`: the number of the next message. Never used twice: the shop is told it as an id.
const NEXT: &[u8] = b"relay_next";
/// Messages given up for their age in one tick; the rest waits a minute.
const TICK_MAX_ROWS: usize = 500;
/// Messages brought forward at once when one got through that had failed before.
const FORWARD_MAX_ROWS: usize = 200;
/// What is kept of a request-id to keep messages in order. No genuine one is longer; longer ones of strangers share a
/// line, at worst.
const LINE_MAX_CHARS: usize = 200;
/// Evidence of a payment that is searched for an equal message.
const EVIDENCE_MAX: usize = 200;

/// What judging found out about a message, as far as passing it on depends on it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The request-id it is about first, as far as it can be read: messages of one are kept in order.
    line: Option<String>,
    /// The payment it is evidence of.
    payment: Option<PaymentNumber>,
    is_refuted: bool,
    /// Every part of it was heard before; `None`: no part was looked at.
    is_repeat: Option<bool>,
}

impl Heard {
    pub(super) fn of(authenticity: &Authenticity) -> Heard {
        Heard { is_refuted: matches!(authenticity, Authenticity::Refuted { .. }), ..Heard::default() }
    }

    /// A part that is evidence of a payment.
    pub(super) fn of_payment(&mut self, number: PaymentNumber, request_id: &RequestId, is_repeat: bool) {
        self.line.get_or_insert_with(|| request_id.to_string());
        self.payment.get_or_insert(number);
        self.is_repeat = Some(self.is_repeat.unwrap_or(true) && is_repeat);
    }

    /// A part that goes to the ring.
    pub(super) fn of_nobody(&mut self, request_id: Option<&str>, is_repeat: bool) {
        if let Some(id) = request_id {
            // With its suffix or without: one line, at worst a longer one.
            self.line.get_or_insert_with(|| strip_suffix(id).unwrap_or(id).chars().take(LINE_MAX_CHARS).collect());
        }
        self.is_repeat = Some(self.is_repeat.unwrap_or(true) && is_repeat);
    }
}

/// A message to pass on now.
#[derive(Clone, PartialEq, Debug)]
pub struct Relayable {
    pub merchant: MerchantName,
    pub number: u64,
    /// The same at every attempt, and never another message's.
    pub id: String,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl Engine {
    /// Puts a judged message into its account's relay, if it is to be passed on.
    pub(super) fn queue_relay(
        &self,
        draft: &mut Draft,
        envelope: &Envelope,
        body: &[u8],
        heard: &Heard,
        now: Now,
    ) -> Result<(), Fault> {
        let merchant = &envelope.merchant;
        let Some(rule) = self.policy.relays.get(merchant) else { return Ok(()) };
        let is_unwanted = (heard.is_refuted && !rule.forward_refuted)
            || (heard.is_repeat == Some(true) && !rule.forward_repeats)
            || envelope.way != RELAYED_WAY;
        if is_unwanted {
            return Ok(());
        }
        let mut backlog = backlog(draft, merchant)?;
        let bytes = body.len() as u64;
        if !rule.has_room(backlog.messages, backlog.bytes, bytes, heard.payment.is_some()) {
            return self.not_relayed(draft, merchant, heard.payment, digest(body), NotRelayed::BacklogFull, now);
        }
        let number = match draft.get(Table::Meta, NEXT)? {
            Some(bytes) => books::as_u64(Table::Meta, NEXT, &bytes)?,
            None => 1,
        };
        let waiting = Waiting {
            line: heard.line.clone(),
            payment: heard.payment,
            digest: digest(body),
            content_type: envelope.content_type.clone(),
            kept: envelope.kept,
            attempts: 0,
            not_before: now.steady,
            last: None,
            bytes: Some(bytes),
        };
        let is_first = match line_prefix(merchant, &waiting) {
            Some(prefix) => {
                let is_first = draft.range(Table::RelayLines, &prefix, &prefix_end(&prefix), 1)?.is_empty();
                draft.put(Table::RelayLines, numbered(prefix, number), Vec::new());
                is_first
            }
            None => true,
        };
        if is_first {
            draft.put(Table::RelayDue, due_key(merchant, &waiting, number), Vec::new());
        }
        draft.put(Table::Relay, row_key(merchant, number), pack(&waiting, b"")?);
        draft.put(Table::RelayBodies, row_key(merchant, number), body.to_vec());
        draft.put(Table::Meta, NEXT.to_vec(), (number + 1).to_be_bytes().to_vec());
        backlog.messages += 1;
        backlog.bytes += bytes;
        put_backlog(draft, merchant, backlog)
    }

    /// Whether the shop has, or will be given, what a message about a payment says: the same bytes, or the same
    /// content where the signature covers all of it (`whole`: its gist). Elsewhere an altered copy of a message has
    /// its gist too, and must not stand for the genuine one. What was not passed on stands for nothing.
    pub(super) fn is_repeat(
        &self,
        draft: &Draft,
        merchant: &MerchantName,
        number: PaymentNumber,
        whole: Option<&str>,
        digest: &str,
    ) -> Result<bool, Fault> {
        if self.policy.relays.get(merchant).is_none_or(|rule| rule.forward_repeats) {
            return Ok(false);
        }
        let (mut equal, mut missing) = (HashSet::new(), HashSet::new());
        for sequence in books::evidence(draft, number, EVIDENCE_MAX)? {
            match books::record(draft, sequence)?.event {
                Event::Notified(before) => {
                    let is_equal = before.digest == digest
                        || match whole {
                            Some(whole) if before.weight == Weight::Fact => {
                                let order = before.gateway_order_number.as_ref();
                                gist(before.weight, before.payment_state, order, &before.transactions)? == whole
                            }
                            _ => false,
                        };
                    if is_equal {
                        missing.remove(&before.digest);
                        equal.insert(before.digest);
                    }
                }
                Event::NotRelayed { digest, .. } => {
                    missing.insert(digest);
                }
                _ => {}
            }
        }
        Ok(equal.difference(&missing).next().is_some())
    }

    /// The same for a message that goes to the ring although its request may be known.
    pub(super) fn is_repeat_for(
        &self,
        draft: &Draft,
        merchant: &MerchantName,
        request_id: Option<&str>,
        whole: Option<&str>,
        digest: &str,
    ) -> Result<bool, Fault> {
        let Some(id) = request_id.filter(|_| self.policy.relays.contains_key(merchant)) else { return Ok(false) };
        match books::by_request(draft, merchant, id)? {
            Some(number) => self.is_repeat(draft, merchant, number, whole, digest),
            None => Ok(false),
        }
    }

    /// What can be passed on now for one account: of payments we know first, then the others; the oldest first,
    /// one of each request-id. `skip` names what is under way.
    pub fn relays_due(
        &self,
        view: &dyn View,
        merchant: &MerchantName,
        now: Now,
        limit: usize,
        skip: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Relayable>, Fault> {
        let mut due = Vec::new();
        if limit == 0 || !self.policy.relays.contains_key(merchant) {
            return Ok(due);
        }
        for rank in [Rank::Known, Rank::Other] {
            let mut from = due_prefix(merchant, rank);
            let to = [from.as_slice(), &ms(now.steady).saturating_add(1).to_be_bytes()].concat();
            while due.len() < limit {
                let rows = view.range(Table::RelayDue, &from, &to, limit)?;
                let Some((last, _)) = rows.last() else { break };
                from = [last.as_slice(), &[0]].concat();
                for (key, _) in &rows {
                    let number = number_in(Table::RelayDue, key)?;
                    if due.len() < limit && !skip(number) {
                        due.push(relayable(view, merchant, number)?);
                    }
                }
            }
        }
        Ok(due)
    }

    /// The one message with which a listener is asked whether it is there again: that which waits longest for an
    /// attempt, whatever it is about. One to which the shop never answers must not be asked with each time.
    pub fn relay_probe(&self, view: &dyn View, merchant: &MerchantName, now: Now) -> Result<Option<Relayable>, Fault> {
        if !self.policy.relays.contains_key(merchant) {
            return Ok(None);
        }
        let mut first: Option<(u64, u64)> = None;
        for rank in [Rank::Known, Rank::Other] {
            let from = due_prefix(merchant, rank);
            let to = [from.as_slice(), &ms(now.steady).saturating_add(1).to_be_bytes()].concat();
            if let Some((key, _)) = view.range(Table::RelayDue, &from, &to, 1)?.first() {
                let candidate = (not_before_in(Table::RelayDue, key)?, number_in(Table::RelayDue, key)?);
                // Of equal ones, that about a payment we know.
                first = Some(first.filter(|known| known.0 <= candidate.0).unwrap_or(candidate));
            }
        }
        first.map(|(_, number)| relayable(view, merchant, number)).transpose()
    }

    /// What an attempt to pass a message on came to.
    pub fn relayed(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        number: u64,
        attempt: Attempt,
        now: Now,
    ) -> Result<(), Fault> {
        let key = row_key(merchant, number);
        // Given up while it was under way.
        let Some(row) = draft.get(Table::Relay, &key)? else { return Ok(()) };
        let (mut waiting, inline): (Waiting, _) = unpack(Table::Relay, &key, &row)?;
        let had_failed = waiting.attempts > 0;
        waiting.attempts = waiting.attempts.saturating_add(1);
        if let Some(payment) = waiting.payment
            && waiting.last.as_ref() != Some(&attempt)
        {
            let (digest, attempts, answer) = (waiting.digest.clone(), waiting.attempts, attempt.clone());
            self.record(draft, Event::Relayed { number: payment, digest, attempts, answer }, now)?;
        }
        if matches!(attempt, Attempt::Accepted { .. }) {
            self.leave(draft, merchant, number, &waiting, waiting.size(inline))?;
            if waiting.payment.is_none() {
                let mut backlog = backlog(draft, merchant)?;
                backlog.accepted += 1;
                put_backlog(draft, merchant, backlog)?;
            }
            if had_failed {
                self.retry_relays(draft, merchant, FORWARD_MAX_ROWS, now)?;
            }
            return Ok(());
        }
        draft.delete(Table::RelayDue, due_key(merchant, &waiting, number));
        let pause = self.policy.relays.get(merchant).cloned().unwrap_or_default().pause(&attempt, waiting.attempts);
        waiting.not_before = later(now.steady, pause);
        waiting.last = Some(attempt);
        draft.put(Table::RelayDue, due_key(merchant, &waiting, number), Vec::new());
        draft.put(Table::Relay, key, pack(&waiting, inline)?);
        Ok(())
    }

    /// Makes what waits for its next attempt due now, the soonest first. Returns how many were.
    pub fn retry_relays(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        limit: usize,
        now: Now,
    ) -> Result<usize, Fault> {
        let mut brought = 0;
        for rank in [Rank::Known, Rank::Other] {
            let prefix = due_prefix(merchant, rank);
            let from = [prefix.as_slice(), &ms(now.steady).saturating_add(1).to_be_bytes()].concat();
            for (due, _) in draft.range(Table::RelayDue, &from, &prefix_end(&prefix), limit - brought)? {
                let number = number_in(Table::RelayDue, &due)?;
                let key = row_key(merchant, number);
                let row = at(draft, &key)?;
                let (mut waiting, inline): (Waiting, _) = unpack(Table::Relay, &key, &row)?;
                waiting.not_before = now.steady;
                draft.delete(Table::RelayDue, due);
                draft.put(Table::RelayDue, due_key(merchant, &waiting, number), Vec::new());
                draft.put(Table::Relay, key, pack(&waiting, inline)?);
                brought += 1;
            }
        }
        Ok(brought)
    }

    /// A person gives a waiting message up: the shop is not given it. Returns whether it waited.
    pub fn give_up_relay(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        number: u64,
        now: Now,
    ) -> Result<bool, Fault> {
        let key = row_key(merchant, number);
        let Some(row) = draft.get(Table::Relay, &key)? else { return Ok(false) };
        self.give_up(draft, merchant, number, &row, NotRelayed::GivenUp, now)?;
        Ok(true)
    }

    fn give_up(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        number: u64,
        row: &[u8],
        why: NotRelayed,
        now: Now,
    ) -> Result<(), Fault> {
        let (waiting, inline): (Waiting, _) = unpack(Table::Relay, &row_key(merchant, number), row)?;
        self.leave(draft, merchant, number, &waiting, waiting.size(inline))?;
        self.not_relayed(draft, merchant, waiting.payment, waiting.digest, why, now)
    }

    fn not_relayed(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        payment: Option<PaymentNumber>,
        digest: String,
        why: NotRelayed,
        now: Now,
    ) -> Result<(), Fault> {
        match payment {
            Some(number) => {
                self.record(draft, Event::NotRelayed { number, merchant: merchant.clone(), digest, why }, now)?;
                Ok(())
            }
            // Whoever gave it up knows; nothing is lost that he did not want to lose.
            None if why == NotRelayed::GivenUp => Ok(()),
            None => {
                let mut backlog = backlog(draft, merchant)?;
                backlog.lost += 1;
                put_backlog(draft, merchant, backlog)
            }
        }
    }

    /// A message leaves the relay; the next of its line is due.
    fn leave(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        number: u64,
        waiting: &Waiting,
        bytes: u64,
    ) -> Result<(), Fault> {
        draft.delete(Table::Relay, row_key(merchant, number));
        draft.delete(Table::RelayBodies, row_key(merchant, number));
        draft.delete(Table::RelayDue, due_key(merchant, waiting, number));
        if let Some(prefix) = line_prefix(merchant, waiting) {
            draft.delete(Table::RelayLines, numbered(prefix.clone(), number));
            if let Some((line, _)) = draft.range(Table::RelayLines, &prefix, &prefix_end(&prefix), 1)?.first() {
                let next = number_in(Table::RelayLines, line)?;
                let key = row_key(merchant, next);
                let row = at(draft, &key)?;
                let (following, _): (Waiting, _) = unpack(Table::Relay, &key, &row)?;
                draft.put(Table::RelayDue, due_key(merchant, &following, next), Vec::new());
            }
        }
        let mut backlog = backlog(draft, merchant)?;
        backlog.messages = backlog.messages.saturating_sub(1);
        backlog.bytes = backlog.bytes.saturating_sub(bytes);
        put_backlog(draft, merchant, backlog)
    }

    /// What time brings: messages that are given up for their age, alerts that begin and end, counts.
    pub(super) fn tick_relays(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        for (merchant, _) in backlogs(draft)? {
            self.leave_old(draft, &merchant, now)?;
            let backlog = backlog(draft, &merchant)?;
            let Backlog { accepted, lost, refused, .. } = backlog;
            if accepted + lost + refused > 0 {
                self.record(draft, Event::RelayedOthers { merchant: merchant.clone(), accepted, lost, refused }, now)?;
                put_backlog(draft, &merchant, Backlog { accepted: 0, lost: 0, refused: 0, ..backlog })?;
            }
            let trouble = self.relay_trouble(draft, &merchant, now)?;
            let is_told = books::firing(draft, &trouble_key(&merchant))?.is_some();
            if trouble.is_some() != is_told {
                self.record(draft, Event::Relay { merchant: merchant.clone(), why: trouble }, now)?;
            }
            if backlog.messages == 0 {
                draft.delete(Table::Meta, backlog_key(&merchant));
            }
        }
        Ok(())
    }

    /// Why a person must look after an account's relay; `None`: nobody must.
    fn relay_trouble(&self, draft: &Draft, merchant: &MerchantName, now: Now) -> Result<Option<String>, Fault> {
        let prefix = books::text_key(merchant, "");
        let rows = draft.range(Table::Relay, &prefix, &prefix_end(&prefix), TICK_MAX_ROWS)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let Some(rule) = self.policy.relays.get(merchant) else {
            let what = format!("there is no [merchants.{merchant}.relay] any more: put it back, or give them up");
            return Ok(Some(what));
        };
        for (key, row) in &rows {
            let (waiting, _): (Waiting, _) = unpack(Table::Relay, key, row)?;
            if now.steady < later(waiting.kept.steady, rule.alert_after) {
                break;
            }
            if !waiting.concerns_a_person() {
                continue;
            }
            let said = waiting.last.map_or_else(|| "it was not tried yet".into(), |last| last.text());
            let since = Timestamp::from_second(waiting.kept.wall.as_second()).unwrap_or(waiting.kept.wall);
            return Ok(Some(format!("the oldest was kept at {since}, the last attempt came to: {said}")));
        }
        Ok(None)
    }

    /// Old messages that end here: given up where configured; of strangers, what the shop refused to the last.
    fn leave_old(&self, draft: &mut Draft, merchant: &MerchantName, now: Now) -> Result<(), Fault> {
        let Some(rule) = self.policy.relays.get(merchant) else { return Ok(()) };
        let prefix = books::text_key(merchant, "");
        for (key, row) in draft.range(Table::Relay, &prefix, &prefix_end(&prefix), TICK_MAX_ROWS)? {
            let (waiting, inline): (Waiting, _) = unpack(Table::Relay, &key, &row)?;
            let number = number_in(Table::Relay, &key)?;
            let is_older_than = |age| now.steady >= later(waiting.kept.steady, age);
            if rule.give_up_after.is_some_and(is_older_than) {
                self.give_up(draft, merchant, number, &row, NotRelayed::TooOld, now)?;
            } else if !is_older_than(rule.alert_after) {
                break;
            } else if waiting.is_refused_stranger() {
                self.leave_refused(draft, merchant, number, &waiting, waiting.size(inline))?;
            }
        }
        Ok(())
    }

    /// The shop does not want it, and no submission stands behind it: a stranger's junk must not wait for ever.
    fn leave_refused(
        &self,
        draft: &mut Draft,
        merchant: &MerchantName,
        number: u64,
        waiting: &Waiting,
        bytes: u64,
    ) -> Result<(), Fault> {
        self.leave(draft, merchant, number, waiting, bytes)?;
        let mut backlog = backlog(draft, merchant)?;
        backlog.refused += 1;
        put_backlog(draft, merchant, backlog)
    }
}

fn relayable(view: &dyn View, merchant: &MerchantName, number: u64) -> Result<Relayable, Fault> {
    let key = row_key(merchant, number);
    let row = at(view, &key)?;
    let (waiting, inline): (Waiting, _) = unpack(Table::Relay, &key, &row)?;
    let body = body_of(view, &key, &waiting, inline)?;
    let (merchant, id) = (merchant.clone(), id(number, &waiting.digest));
    Ok(Relayable { merchant, number, id, content_type: waiting.content_type, body })
}
