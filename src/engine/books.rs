//! The typed side of the store's tables: what the verbs read and write.

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::core::alert::{Alert, Telling};
use crate::core::ledger::Entry;
use crate::core::payment::Payment;
use crate::core::record::Record;
use crate::core::schedule::{Cause, Phase};
use crate::store::{Draft, Fault, Table, View, chain, prefix_end};
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber};
use crate::words::time::Timestamp;

/// Payments of one order that are looked through; an order with more is a mistake of the shop's.
pub const ORDER_PAYMENTS_MAX: usize = 200;

/// Which queue of the due index a payment waits in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// First looks, and those that a person or a fact asked for.
    First = 0,
    Backlog = 1,
    /// No look: a time that passes.
    Time = 2,
    /// What an import brought in: all of it is due at once, and old.
    Imported = 3,
    /// Looks owed to what the shop sent: a batch of them at night must not stand before what is sold.
    Owed = 4,
}

impl Lane {
    /// The queues of looks, in the order of their rank.
    pub const LOOKS: [Lane; 4] = [Lane::First, Lane::Owed, Lane::Backlog, Lane::Imported];
}

/// What the due index says of a payment, so that it need not be loaded to be passed over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DueRow {
    /// Until when (ms since 1970, steady clock) its notification may still be on the way.
    #[serde(rename = "u")]
    pub until: i64,
}

pub fn number_key(number: PaymentNumber) -> Vec<u8> {
    number.0.to_be_bytes().to_vec()
}

/// merchant 0 text.
pub fn text_key(merchant: &MerchantName, text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(merchant.as_str().len() + 1 + text.len());
    key.extend_from_slice(merchant.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(text.as_bytes());
    key
}

fn order_prefix(merchant: &MerchantName, order_number: &str) -> Vec<u8> {
    let mut key = text_key(merchant, order_number);
    key.push(0);
    key
}

fn ms(at: Timestamp) -> u64 {
    at.as_millisecond().max(0).unsigned_abs()
}

/// The key of a payment in the due index; `None` while nothing is due.
pub fn due_key(payment: &Payment) -> Option<Vec<u8>> {
    let next = payment.next.as_ref()?;
    let watch = &payment.watch;
    let is_wanted = watch.soon.as_ref().is_some_and(|soon| soon.cause == Cause::Other);
    let lane = match next.phase {
        Phase::HandOver | Phase::Tell => Lane::Time,
        _ if is_wanted => Lane::First,
        _ if watch.owed.is_some() => Lane::Owed,
        // An imported list waits behind what the shop sells now.
        _ if payment.is_imported => Lane::Imported,
        _ if watch.looks == 0 && watch.failures == 0 => Lane::First,
        _ => Lane::Backlog,
    };
    let mut key = due_prefix(lane, &payment.merchant);
    key.extend_from_slice(&ms(next.at).to_be_bytes());
    key.extend_from_slice(&payment.number.0.to_be_bytes());
    Some(key)
}

/// Each account has its own stretch of a lane: one whose gateway is down can't stand before the others.
fn due_prefix(lane: Lane, merchant: &MerchantName) -> Vec<u8> {
    let mut key = vec![lane as u8];
    key.extend_from_slice(merchant.as_str().as_bytes());
    key.push(0);
    key
}

/// The range of one account's lane that is due at `now`.
pub fn due_range(lane: Lane, merchant: &MerchantName, now: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let from = due_prefix(lane, merchant);
    let to = [from.as_slice(), &ms(now).saturating_add(1).to_be_bytes()].concat();
    (from, to)
}

/// The whole of one account's lane, due or not.
pub fn due_all(lane: Lane, merchant: &MerchantName) -> (Vec<u8>, Vec<u8>) {
    let from = due_prefix(lane, merchant);
    let to = prefix_end(&from);
    (from, to)
}

/// Time and payment of a row of the due index.
pub fn due_parts(key: &[u8]) -> Result<(Timestamp, PaymentNumber), Fault> {
    let damaged = || Fault::damaged(Table::Due, key, "the key is shorter than its time and number");
    let (rest, number) = key.split_last_chunk::<8>().ok_or_else(damaged)?;
    let (_, at) = rest.split_last_chunk::<8>().ok_or_else(damaged)?;
    let at = i64::try_from(u64::from_be_bytes(*at)).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
    Ok((at, PaymentNumber(u64::from_be_bytes(*number))))
}

pub fn read<T: DeserializeOwned>(view: &dyn View, table: Table, key: &[u8]) -> Result<Option<T>, Fault> {
    let Some(bytes) = view.get(table, key)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|why| Fault::damaged(table, key, why))
}

pub fn write<T: Serialize>(draft: &mut Draft, table: Table, key: Vec<u8>, value: &T) -> Result<(), Fault> {
    let bytes = serde_json::to_vec(value).map_err(|why| Fault::Broken(format!("a record can't be written: {why}")))?;
    draft.put(table, key, bytes);
    Ok(())
}

pub fn parse<T: DeserializeOwned>(table: Table, key: &[u8], bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|why| Fault::damaged(table, key, why))
}

pub fn as_u64(table: Table, key: &[u8], bytes: &[u8]) -> Result<u64, Fault> {
    let bytes = bytes.try_into().map_err(|_| Fault::damaged(table, key, "not a number of 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The number behind the last one of a table whose keys are numbers.
pub fn next_number(view: &dyn View, table: Table) -> Result<u64, Fault> {
    match view.last(table, &[], &[])? {
        Some((key, _)) => Ok(as_u64(table, &key, &key)? + 1),
        None => Ok(1),
    }
}

// ---- payments ----

pub fn payment(view: &dyn View, number: PaymentNumber) -> Result<Option<Payment>, Fault> {
    read(view, Table::Payments, &number_key(number))
}

/// A payment that an index or another payment names: it must be there.
pub fn payment_at(view: &dyn View, number: PaymentNumber) -> Result<Payment, Fault> {
    payment(view, number)?.ok_or_else(|| Fault::damaged(Table::Payments, &number_key(number), "named, and missing"))
}

fn lookup(view: &dyn View, table: Table, key: &[u8]) -> Result<Option<PaymentNumber>, Fault> {
    match view.get(table, key)? {
        Some(bytes) => Ok(Some(PaymentNumber(as_u64(table, key, &bytes)?))),
        None => Ok(None),
    }
}

pub fn by_request(view: &dyn View, merchant: &MerchantName, request_id: &str) -> Result<Option<PaymentNumber>, Fault> {
    lookup(view, Table::ByRequest, &text_key(merchant, request_id))
}

pub fn by_transaction(view: &dyn View, merchant: &MerchantName, id: &str) -> Result<Option<PaymentNumber>, Fault> {
    lookup(view, Table::ByTransaction, &text_key(merchant, id))
}

pub fn by_gateway_order(
    view: &dyn View,
    merchant: &MerchantName,
    number: &str,
) -> Result<Option<PaymentNumber>, Fault> {
    lookup(view, Table::ByGatewayOrder, &text_key(merchant, number))
}

pub fn by_order(view: &dyn View, merchant: &MerchantName, order_number: &str) -> Result<Vec<PaymentNumber>, Fault> {
    let prefix = order_prefix(merchant, order_number);
    let rows = view.range(Table::ByOrder, &prefix, &prefix_end(&prefix), ORDER_PAYMENTS_MAX)?;
    rows.iter().map(|(key, _)| as_u64(Table::ByOrder, key, &key[prefix.len()..]).map(PaymentNumber)).collect()
}

pub fn index_transaction(draft: &mut Draft, merchant: &MerchantName, id: &str, number: PaymentNumber) {
    draft.put(Table::ByTransaction, text_key(merchant, id), number_key(number));
}

/// Key of an operation on a payment of another request: no transaction-id has this shape.
fn operation_id(request_id: &str) -> String {
    format!("operation:{request_id}")
}

/// The payment an operation acts on that has no payment of its own.
pub fn by_operation(
    view: &dyn View,
    merchant: &MerchantName,
    request_id: &str,
) -> Result<Option<PaymentNumber>, Fault> {
    by_transaction(view, merchant, &operation_id(request_id))
}

pub fn index_operation(draft: &mut Draft, merchant: &MerchantName, request_id: &str, number: PaymentNumber) {
    index_transaction(draft, merchant, &operation_id(request_id), number);
}

pub fn index_gateway_order(
    draft: &mut Draft,
    merchant: &MerchantName,
    gateway: &GatewayOrderNumber,
    number: PaymentNumber,
) {
    draft.put(Table::ByGatewayOrder, text_key(merchant, gateway.as_str()), number_key(number));
}

/// Writes a payment that is settled later in the same turn. Its place in the due index moves with it: [`save`] looks for
/// it where what is written says.
pub fn write_unsettled(draft: &mut Draft, payment: &Payment) -> Result<(), Fault> {
    let old_due = self::payment(draft, payment.number)?.as_ref().and_then(due_key);
    let due = due_key(payment);
    if let (Some(old), Some(due)) = (old_due, due)
        && old != due
        && let Some(row) = draft.get(Table::Due, &old)?
    {
        draft.delete(Table::Due, old);
        draft.put(Table::Due, due, row);
    }
    write(draft, Table::Payments, number_key(payment.number), payment)
}

/// Writes a payment and what is derived from it alone: the request, order and gateway indexes, the
/// open list and the due index.
pub fn save(draft: &mut Draft, payment: &Payment, until: Timestamp) -> Result<(), Fault> {
    let number = number_key(payment.number);
    let old = self::payment(draft, payment.number)?;
    let old_due = old.as_ref().and_then(due_key);
    let due = due_key(payment);
    if let Some(key) = old_due
        && due.as_ref() != Some(&key)
    {
        draft.delete(Table::Due, key);
    }
    if let Some(key) = due {
        let row = DueRow { until: until.as_millisecond() };
        write(draft, Table::Due, key, &row)?;
    }
    let was_listed = old.as_ref().is_some_and(Payment::is_listed);
    let is_listed = payment.is_listed();
    if is_listed && !was_listed {
        draft.put(Table::Open, number.clone(), Vec::new());
    } else if was_listed && !is_listed {
        draft.delete(Table::Open, number.clone());
    }
    if old.is_none() {
        draft.put(Table::ByRequest, text_key(&payment.merchant, payment.request_id.as_str()), number.clone());
    }
    if let Some(order_number) = payment.order_number()
        && old.as_ref().is_none_or(|old| old.order_number() != Some(order_number))
    {
        let mut key = order_prefix(&payment.merchant, order_number.as_str());
        key.extend_from_slice(&number);
        draft.put(Table::ByOrder, key, Vec::new());
    }
    if let Some(gateway) = &payment.gateway_order_number
        && old.as_ref().is_none_or(|old| old.gateway_order_number.as_ref() != Some(gateway))
    {
        index_gateway_order(draft, &payment.merchant, gateway, payment.number);
    }
    write(draft, Table::Payments, number, payment)
}

pub fn put_evidence(draft: &mut Draft, number: PaymentNumber, sequence: u64) {
    let mut key = number_key(number);
    key.extend_from_slice(&sequence.to_be_bytes());
    draft.put(Table::Evidence, key, Vec::new());
}

/// Journal sequences that are evidence about a payment, oldest first.
pub fn evidence(view: &dyn View, number: PaymentNumber, limit: usize) -> Result<Vec<u64>, Fault> {
    let prefix = number_key(number);
    let rows = view.range(Table::Evidence, &prefix, &prefix_end(&prefix), limit)?;
    rows.iter().map(|(key, _)| as_u64(Table::Evidence, key, key.get(8..).unwrap_or_default())).collect()
}

/// The same behind one of them, all of them.
pub fn evidence_behind(view: &dyn View, number: PaymentNumber, behind: u64) -> Result<Vec<u64>, Fault> {
    const PAGE_ROWS: usize = 500;
    let prefix = number_key(number);
    let end = prefix_end(&prefix);
    let mut from = [prefix.as_slice(), &behind.saturating_add(1).to_be_bytes()].concat();
    let mut sequences = Vec::new();
    loop {
        let rows = view.range(Table::Evidence, &from, &end, PAGE_ROWS)?;
        let Some((last, _)) = rows.last() else { return Ok(sequences) };
        from = [last.as_slice(), &[0]].concat();
        for (key, _) in &rows {
            sequences.push(as_u64(Table::Evidence, key, key.get(8..).unwrap_or_default())?);
        }
    }
}

// ---- ledger ----

/// Days since 1970-01-01, as keys count them.
pub fn day_number(day: Date) -> u32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    u32::try_from(day.since(epoch).map(|span| span.get_days()).unwrap_or(0)).unwrap_or(0)
}

pub fn put_entry(draft: &mut Draft, entry: &Entry, learnt_on: Date) -> Result<(), Fault> {
    let mut by_day = day_number(learnt_on).to_be_bytes().to_vec();
    by_day.extend_from_slice(&entry.seq.to_be_bytes());
    draft.put(Table::LedgerByDay, by_day, Vec::new());
    if let Some(order_number) = &entry.order_number {
        let mut key = order_prefix(&entry.merchant, order_number.as_str());
        key.extend_from_slice(&entry.seq.to_be_bytes());
        draft.put(Table::LedgerByOrder, key, Vec::new());
    }
    write(draft, Table::Ledger, entry.seq.to_be_bytes().to_vec(), entry)
}

/// Ledger entries behind `after`, in order.
pub fn entries(view: &dyn View, after: u64, limit: usize) -> Result<Vec<Entry>, Fault> {
    let rows = view.range(Table::Ledger, &after.saturating_add(1).to_be_bytes(), &[], limit)?;
    rows.iter().map(|(key, bytes)| parse(Table::Ledger, key, bytes)).collect()
}

/// Ledger entries learnt on one civil day of the report's zone, in order, behind `after`.
pub fn entries_of_day(view: &dyn View, day: Date, after: u64, limit: usize) -> Result<Vec<Entry>, Fault> {
    let prefix = day_number(day).to_be_bytes().to_vec();
    let mut from = prefix.clone();
    from.extend_from_slice(&after.saturating_add(1).to_be_bytes());
    let rows = view.range(Table::LedgerByDay, &from, &prefix_end(&prefix), limit)?;
    rows.iter()
        .map(|(key, _)| {
            let seq = as_u64(Table::LedgerByDay, key, key.get(4..).unwrap_or_default())?;
            let key = seq.to_be_bytes();
            read(view, Table::Ledger, &key)?.ok_or_else(|| Fault::damaged(Table::Ledger, &key, "named, and missing"))
        })
        .collect()
}

/// Notes that a payment got a discrepancy on a civil day of the report's zone.
pub fn put_discrepancy_day(draft: &mut Draft, number: PaymentNumber, day: Date) {
    let mut key = day_number(day).to_be_bytes().to_vec();
    key.extend_from_slice(&number.0.to_be_bytes());
    draft.put(Table::DiscrepanciesByDay, key, Vec::new());
}

/// Payments that got a discrepancy on a day, in order of arrival, behind `after`.
pub fn discrepancies_of_day(view: &dyn View, day: Date, after: u64, limit: usize) -> Result<Vec<PaymentNumber>, Fault> {
    let prefix = day_number(day).to_be_bytes().to_vec();
    let mut from = prefix.clone();
    from.extend_from_slice(&after.saturating_add(1).to_be_bytes());
    let rows = view.range(Table::DiscrepanciesByDay, &from, &prefix_end(&prefix), limit)?;
    rows.iter()
        .map(|(key, _)| as_u64(Table::DiscrepanciesByDay, key, key.get(4..).unwrap_or_default()).map(PaymentNumber))
        .collect()
}

// ---- alerts ----

pub fn alert(view: &dyn View, number: u64) -> Result<Option<Alert>, Fault> {
    read(view, Table::Alerts, &number.to_be_bytes())
}

pub fn firing(view: &dyn View, key: &str) -> Result<Option<Alert>, Fault> {
    let Some(bytes) = view.get(Table::AlertsByKey, key.as_bytes())? else { return Ok(None) };
    let number = as_u64(Table::AlertsByKey, key.as_bytes(), &bytes)?;
    alert(view, number)?
        .map(Some)
        .ok_or_else(|| Fault::damaged(Table::Alerts, &number.to_be_bytes(), "named, and missing"))
}

pub fn put_alert(draft: &mut Draft, alert: &Alert) -> Result<(), Fault> {
    write(draft, Table::Alerts, alert.number.to_be_bytes().to_vec(), alert)
}

pub fn telling(view: &dyn View, number: u64) -> Result<Option<Telling>, Fault> {
    read(view, Table::Outbox, &number.to_be_bytes())
}

// ---- journal ----

/// The record at a sequence number.
pub fn record(view: &dyn View, sequence: u64) -> Result<Record, Fault> {
    let key = sequence.to_be_bytes();
    let bytes =
        view.get(Table::Journal, &key)?.ok_or_else(|| Fault::damaged(Table::Journal, &key, "named, and missing"))?;
    parse_record(&key, &bytes)
}

/// Reads a journal row as the store keeps it: sealed into the chain.
pub fn parse_record(key: &[u8], bytes: &[u8]) -> Result<Record, Fault> {
    let (_, body) = chain::open(key, bytes)?;
    parse(Table::Journal, key, body)
}
