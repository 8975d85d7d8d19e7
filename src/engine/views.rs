//! Readings: what the interfaces print. Values are computed from the projections at the time of asking.

use serde_json::{Value, json};

use crate::core::known::Known;
use crate::core::operation::Operation;
use crate::core::payment::Payment;
use crate::core::standing::Position;
use crate::engine::books::{self, ORDER_PAYMENTS_MAX};
use crate::engine::{Engine, Page, settle};
use crate::store::{Fault, Table, View, journal_len};
use crate::words::id::{MerchantName, OrderNumber, PaymentNumber, RequestId};
use crate::words::money::Amount;
use crate::words::time::{Now, Timestamp};

/// Evidence records listed for one payment.
pub const EVIDENCE_MAX: usize = 1_000;
/// Open payments that one reading of `status` counts.
const COUNT_MAX: usize = 1_000_000;

impl Engine {
    pub fn payment(
        &self,
        view: &dyn View,
        merchant: &MerchantName,
        request_id: &RequestId,
        now: Now,
    ) -> Result<Option<Value>, Fault> {
        match books::by_request(view, merchant, request_id.as_str())? {
            Some(number) => Ok(Some(self.payment_json(view, &books::payment_at(view, number)?, now)?)),
            None => Ok(None),
        }
    }

    /// A payment as the interfaces print it.
    pub fn payment_json(&self, view: &dyn View, payment: &Payment, now: Now) -> Result<Value, Fault> {
        let evidence = books::evidence(view, payment.number, EVIDENCE_MAX)?;
        Ok(json!({
            "merchant": payment.merchant,
            "request_id": payment.request_id,
            "order_number": payment.order_number(),
            "state": payment.state,
            "amount": payment.amount().map(Amount::value_text),
            "currency": payment.amount().map(Amount::currency),
            "booked": booked(&payment.known),
            "next_look_at": next_look_at(payment, now),
            "reason": payment.reason,
            "transactions": payment.known.iter().map(transaction).collect::<Vec<_>>(),
            "evidence": evidence,
            "discrepancies": payment.discrepancies,
            "gateway_order_number": payment.gateway_order_number,
            "payment_method": payment.method,
            "received_at": payment.received_at,
            "follow_up_of": self.request_id_of(view, payment.root)?,
            "operations": payment.operations.iter().map(operation_json).collect::<Vec<_>>(),
        }))
    }

    fn request_id_of(&self, view: &dyn View, number: Option<PaymentNumber>) -> Result<Option<RequestId>, Fault> {
        number.map(|n| books::payment_at(view, n).map(|p| p.request_id)).transpose()
    }

    pub fn order(
        &self,
        view: &dyn View,
        merchant: &MerchantName,
        order_number: &OrderNumber,
        now: Now,
    ) -> Result<Option<Value>, Fault> {
        let numbers = books::by_order(view, merchant, order_number.as_str())?;
        if numbers.is_empty() {
            return Ok(None);
        }
        let payments: Vec<Payment> = self.with_follow_ups(view, numbers)?;
        let rows = payments.iter().map(|p| self.payment_json(view, p, now)).collect::<Result<Vec<_>, _>>()?;
        let discrepancies: Vec<Value> = payments
            .iter()
            .flat_map(|p| p.discrepancies.iter().map(move |d| json!({ "request_id": p.request_id, "discrepancy": d })))
            .collect();
        Ok(Some(json!({
            "merchant": merchant,
            "order_number": order_number,
            "position": positions(&payments).iter().map(position_json).collect::<Vec<_>>(),
            "payments": rows,
            "discrepancies": discrepancies,
        })))
    }

    /// The payments and their follow-ups, each once, in order of arrival.
    fn with_follow_ups(&self, view: &dyn View, mut numbers: Vec<PaymentNumber>) -> Result<Vec<Payment>, Fault> {
        let mut follow_ups = Vec::new();
        for number in &numbers {
            follow_ups.extend(books::payment_at(view, *number)?.follow_ups);
        }
        numbers.extend(follow_ups);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(ORDER_PAYMENTS_MAX);
        numbers.into_iter().map(|number| books::payment_at(view, number)).collect()
    }

    /// What is not settled, oldest first, behind number `after`.
    pub fn open(&self, view: &dyn View, after: u64, limit: usize, now: Now) -> Result<Page, Fault> {
        let rows = view.range(Table::Open, &after.saturating_add(1).to_be_bytes(), &[], limit)?;
        let mut items = Vec::new();
        let mut last = None;
        for (key, _) in &rows {
            let number = PaymentNumber(books::as_u64(Table::Open, key, key)?);
            let payment = books::payment_at(view, number)?;
            items.push(json!({
                "merchant": payment.merchant,
                "request_id": payment.request_id,
                "order_number": payment.order_number(),
                "state": payment.state,
                "amount": payment.amount().map(Amount::value_text),
                "currency": payment.amount().map(Amount::currency),
                "received_at": payment.received_at,
                "next_look_at": next_look_at(&payment, now),
                "next_look_why": payment.next.as_ref().map(|n| n.why.clone()),
                "reason": open_reason(&payment),
                "alert": payment.desk,
            }));
            last = Some(number.0);
        }
        Ok(Page { next: last.filter(|_| rows.len() == limit), items })
    }

    pub fn journal(&self, view: &dyn View, after: u64, limit: usize) -> Result<Page, Fault> {
        let rows = view.range(Table::Journal, &after.saturating_add(1).to_be_bytes(), &[], limit)?;
        let mut items = Vec::new();
        let mut last = None;
        for (key, bytes) in &rows {
            let sequence = books::as_u64(Table::Journal, key, key)?;
            let (_, body) = crate::store::chain::open(key, bytes)?;
            let mut record: Value = books::parse(Table::Journal, key, body)?;
            record["seq"] = sequence.into();
            items.push(record);
            last = Some(sequence);
        }
        Ok(Page { next: last.filter(|_| rows.len() == limit), items })
    }

    pub fn ledger(&self, view: &dyn View, after: u64, limit: usize) -> Result<Page, Fault> {
        let entries = books::entries(view, after, limit)?;
        let next = entries.last().map(|e| e.seq).filter(|_| entries.len() == limit);
        Ok(Page { items: entries.iter().map(crate::core::ledger::json).collect(), next })
    }

    /// Alerts, oldest first; firing ones and those resolved.
    pub fn alerts(&self, view: &dyn View, after: u64, limit: usize, _now: Now) -> Result<Page, Fault> {
        let rows = view.range(Table::Alerts, &after.saturating_add(1).to_be_bytes(), &[], limit)?;
        let mut items = Vec::new();
        let mut last = None;
        for (key, bytes) in &rows {
            let alert: crate::core::alert::Alert = books::parse(Table::Alerts, key, bytes)?;
            last = Some(alert.number);
            items.push(alert.json());
        }
        Ok(Page { next: last.filter(|_| rows.len() == limit), items })
    }

    /// Counts and ages, for `status` and its metrics.
    pub fn status(&self, view: &dyn View, now: Now) -> Result<Value, Fault> {
        let open = view.range(Table::Open, &[], &[], COUNT_MAX)?;
        let oldest = match open.first() {
            Some((key, _)) => {
                let payment = books::payment_at(view, PaymentNumber(books::as_u64(Table::Open, key, key)?))?;
                Some(json!({
                    "merchant": payment.merchant,
                    "request_id": payment.request_id,
                    "state": payment.state,
                    "received_at": payment.received_at,
                }))
            }
            None => None,
        };
        let mut firing = Vec::new();
        for (key, bytes) in view.range(Table::AlertsByKey, &[], &[], 1_000)? {
            let number = books::as_u64(Table::AlertsByKey, &key, &bytes)?;
            if let Some(alert) = books::alert(view, number)? {
                firing.push(json!({ "id": alert.id(), "topic": alert.topic, "severity": alert.severity,
                    "summary": alert.summary, "members": alert.members.len(), "fired_at": alert.fired_at }));
            }
        }
        let mut due: Vec<Timestamp> = Vec::new();
        for lane in books::Lane::LOOKS {
            for merchant in self.policy.accounts.keys() {
                let (from, to) = books::due_range(lane, merchant, now.steady);
                let rows = view.range(Table::Due, &from, &to, COUNT_MAX)?;
                due.extend(rows.iter().filter_map(|(key, _)| books::due_parts(key).ok()).map(|(at, _)| at));
            }
        }
        Ok(json!({
            "now": now.wall,
            "payments": books::next_number(view, Table::Payments)? - 1,
            "open": open.len(),
            "oldest_open": oldest,
            "due_now": due.len(),
            "due_since": due.iter().min().map(|at| now.wall_of(*at)),
            "next_due_at": self.next_due(view)?.map(|at| now.wall_of(at)),
            "inbox": view.range(Table::Inbox, &[], &[], COUNT_MAX)?.len(),
            "outbox": view.range(Table::Outbox, &[], &[], COUNT_MAX)?.len(),
            "relay": self.relay_status(view)?,
            "ledger_entries": books::next_number(view, Table::Ledger)? - 1,
            "journal_records": journal_len(view)?,
            "alerts": firing,
        }))
    }
}

/// When the next look is due, on the wall clock.
pub fn next_look_at(payment: &Payment, now: Now) -> Option<Timestamp> {
    let at = payment.next.as_ref()?.at;
    let wall = now.wall_of(at);
    // Shown to the second: more is noise to a person.
    Timestamp::from_second(wall.as_second()).ok()
}

/// Why a payment is on the open list.
fn open_reason(payment: &Payment) -> String {
    match payment.unknown_operation() {
        Some(operation) => {
            let (kind, why) = (operation.intent.kind.name(), operation.outcome.text());
            format!("nobody knows whether {kind} {} took effect: {why}", operation.intent.request_id)
        }
        None => payment.reason.clone(),
    }
}

/// An operation as the interfaces print it.
pub fn operation_json(operation: &Operation) -> Value {
    let intent = &operation.intent;
    json!({
        "operation": operation.number,
        "kind": intent.kind,
        "wire": intent.wire,
        "amount": intent.amount.map(Amount::value_text),
        "currency": intent.amount.map(Amount::currency),
        "target": intent.target,
        "request_id": intent.request_id,
        "by": intent.by,
        "at": operation.at,
        "outcome": operation.outcome.name(),
        "why": operation.outcome.text(),
    })
}

/// What stands booked for these transactions: one line per kind and currency.
pub fn booked(known: &[Known]) -> Vec<Value> {
    let mut sums: Vec<(crate::core::booking::Kind, Amount)> = Vec::new();
    for booking in known.iter().filter_map(|k| k.booked) {
        match sums.iter_mut().find(|(kind, sum)| *kind == booking.kind && sum.currency() == booking.amount.currency()) {
            Some((_, sum)) => *sum = sum.checked_add(booking.amount).unwrap_or(*sum),
            None => sums.push((booking.kind, booking.amount)),
        }
    }
    sums.sort_by_key(|(kind, sum)| (*kind, sum.currency()));
    let line = |(kind, sum): (crate::core::booking::Kind, Amount)| json!({ "kind": kind, "amount": sum.value_text(), "currency": sum.currency() });
    sums.into_iter().map(line).collect()
}

fn transaction(known: &Known) -> Value {
    let t = &known.transaction;
    json!({
        "transaction_id": known.id,
        "transaction_type": t.transaction_type,
        "transaction_state": t.transaction_state,
        "meaning": known.meaning,
        "amount": t.amount.map(|a| a.value_text()),
        "currency": t.amount.and_then(|a| a.currency),
        "parent_transaction_id": t.parent_transaction_id,
        "merchant_account_id": t.merchant_account_id,
        "completed_at": t.completed_at,
        "learnt_at": known.learnt_at,
        "evidence": known.evidence,
        "superseded": known.superseded,
        "vanished": known.vanished,
    })
}

/// The positions of an order, one per currency, over what is booked for its payments and follow-ups.
pub fn positions(payments: &[Payment]) -> Vec<Position> {
    let mut positions: Vec<Position> = Vec::new();
    for known in payments.iter().flat_map(|p| &p.known).filter(|k| k.booked.is_some()) {
        let Some(amount) = known.amount() else { continue };
        let at = positions.iter().position(|p| p.reserved.currency() == amount.currency()).unwrap_or_else(|| {
            positions.push(Position::empty(Amount::zero(amount.currency())));
            positions.len() - 1
        });
        positions[at].add(known.meaning, amount);
    }
    positions
}

/// A position as the interfaces print it.
pub fn position_json(position: &Position) -> Value {
    json!({
        "currency": position.reserved.currency(),
        "accepted": position.accepted.value_text(),
        "authorised": position.reserved.value_text(),
        "captured": position.captured.value_text(),
        "captured_provisional": position.in_provisional.value_text(),
        "voided": position.released.value_text(),
        "refunded": position.refunded.value_text(),
        "credited": position.credited.value_text(),
        "returned": position.returned.value_text(),
        "charged_back": position.charged_back.value_text(),
        "open": position.open().value_text(),
    })
}

/// Whether the gateway can be asked about a payment, by the policy in force.
pub fn is_askable(engine: &Engine, payment: &Payment) -> bool {
    engine.policy.accounts.get(&payment.merchant).is_some_and(|account| settle::can_ask(account, payment))
}
