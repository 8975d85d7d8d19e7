//! Nightly reports: which one is due, and what it says.

use jiff::civil::{Date, Time};
use serde::Deserialize;

use crate::core::discrepancy::Code;
use crate::core::lifecycle::State;
use crate::core::payment::Payment;
use crate::core::policy::ReportPolicy;
use crate::core::record::Event;
use crate::core::report::{Count, DiscrepancyLine, Line, Report, StateCount, totals};
use crate::engine::apply::REPORT_KEY;
use crate::engine::{Engine, audit, books, settle};
use crate::store::{Draft, Fault, Table, View, chain, journal_len};
use crate::words::id::PaymentNumber;
use crate::words::money::Amount;
use crate::words::time::{Now, Timestamp, business_day, day_bounds};

/// Longest reason why a report is not written that is journaled, in characters.
const WHY_MAX_CHARS: usize = 300;

/// Ledger entries of one day; a day with more is reported in full all the same, in pages of this size.
const PAGE_ROWS: usize = 5_000;
/// Not-decided payments listed in one report, and handed-over ones; all of them are counted.
const OPEN_MAX: usize = 5_000;

/// A report that must be written now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub day: Date,
    pub is_final: bool,
}

#[derive(Deserialize)]
struct Written {
    inputs: String,
    sha256: String,
}

/// The first report that is due and not written: every business day once, on both DST days too, and
/// missed nights one after the other.
///
/// `first` is the day the store began, `provisional` and `finals` the last days written.
pub fn due_slot(
    policy: &ReportPolicy,
    now: Timestamp,
    first: Date,
    provisional: Option<Date>,
    finals: Option<Date>,
) -> Result<Option<Slot>, Fault> {
    let zone = settle::zone(&policy.time_zone);
    let at: Time =
        policy.at.parse().map_err(|_| Fault::Broken(format!("report.at `{}` is not a time of day", policy.at)))?;
    // Written in the night behind the day; a time that a DST gap swallows is the moment the gap ends.
    let due_at = |day: Date, nights: i32| -> Result<Timestamp, Fault> {
        let night = day.checked_add(jiff::Span::new().days(nights)).map_err(|why| Fault::Broken(why.to_string()))?;
        let civil = night.to_datetime(at);
        zone.to_ambiguous_zoned(civil).compatible().map(|z| z.timestamp()).map_err(|why| Fault::Broken(why.to_string()))
    };
    let after = |last: Option<Date>| last.and_then(|day| day.tomorrow().ok()).unwrap_or(first);
    let day = after(provisional);
    if due_at(day, 1)? <= now {
        return Ok(Some(Slot { day, is_final: false }));
    }
    let day = after(finals);
    let nights = 1 + i32::try_from(policy.final_after_days).unwrap_or(i32::MAX / 2);
    let has_provisional = provisional.is_some_and(|last| last >= day);
    Ok((has_provisional && due_at(day, nights)? <= now).then_some(Slot { day, is_final: true }))
}

impl Engine {
    /// The report that is due now, if any.
    pub fn report_due(&self, view: &dyn View, now: Now) -> Result<Option<Slot>, Fault> {
        if journal_len(view)? == 0 {
            return Ok(None);
        }
        let zone = settle::zone(&self.policy.report.time_zone);
        let first = business_day(books::record(view, 1)?.now.wall, &zone);
        let (mut provisional, mut finals) = (None, None);
        for (key, _) in view.range(Table::Reports, &[], &[], usize::MAX)? {
            let Some((day, [is_final])) = key.split_first_chunk::<4>() else { continue };
            let days = i64::from(u32::from_be_bytes(*day));
            let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).ok();
            let slot = if *is_final == 1 { &mut finals } else { &mut provisional };
            *slot = (*slot).max(day);
        }
        due_slot(&self.policy.report, now.wall, first, provisional, finals)
    }

    /// Makes the report of a day from what `view` knows.
    pub fn report(&self, view: &dyn View, slot: Slot) -> Result<Report, Fault> {
        let Slot { day, is_final } = slot;
        let policy = &self.policy.report;
        let zone = settle::zone(&policy.time_zone);
        let (start, end) = day_bounds(day, &zone).map_err(|why| Fault::Broken(why.to_string()))?;
        let mut entries = Vec::new();
        loop {
            let after = entries.last().map_or(0, |e: &crate::core::ledger::Entry| e.seq);
            let page = books::entries_of_day(view, day, after, PAGE_ROWS)?;
            if page.is_empty() {
                break;
            }
            entries.extend(page);
        }
        let mut report = Report {
            day,
            time_zone: policy.time_zone.clone(),
            is_final,
            journal_records: journal_len(view)?,
            journal_head: chain::Head::of(view)?.hex(),
            previous_sha256: self.previous(view, slot)?,
            totals: totals(&entries),
            submitted: Vec::new(),
            imported: Vec::new(),
            states: Vec::new(),
            rescued: Vec::new(),
            open: Vec::new(),
            open_in_all: 0,
            handed_over: Vec::new(),
            handed_over_in_all: 0,
            discrepancies: Vec::new(),
            entries,
        };
        self.payments_of_day(view, start, end, &mut report)?;
        self.undecided(view, &mut report)?;
        report
            .discrepancies
            .sort_by(|a, b| (a.severity, a.code, &a.request_id).cmp(&(b.severity, b.code, &b.request_id)));
        Ok(report)
    }

    /// Makes a past report again, from the journal as it stood then; `None`: it was never written.
    pub fn report_again(&self, view: &dyn View, slot: Slot) -> Result<Option<(Report, String)>, Fault> {
        let Some(written) = books::read::<Written>(view, Table::Reports, &slot_key(slot))? else { return Ok(None) };
        let until = written
            .inputs
            .parse()
            .map_err(|_| Fault::damaged(Table::Reports, &slot_key(slot), "inputs is not a journal sequence"))?;
        let (then, policy) = audit::rebuild_with_policy(view, until)?;
        let policy = policy.unwrap_or_else(|| self.policy.clone());
        let engine = Engine { policy, keys: self.keys.clone() };
        Ok(Some((engine.report(&then, slot)?, written.sha256)))
    }

    /// Journals that a report was written; `sha256` is that of its text.
    pub fn reported(&self, draft: &mut Draft, report: &Report, sha256: String, now: Now) -> Result<(), Fault> {
        let inputs = report.journal_records.to_string();
        let event = Event::Reported { day: report.day, is_final: report.is_final, inputs, sha256 };
        self.record(draft, event, now)?;
        Ok(())
    }

    /// Journals that a report which is due can't be written, once until one is. `why` says what, where and for what cause.
    pub fn unreported(&self, draft: &mut Draft, why: &str, now: Now) -> Result<(), Fault> {
        if books::firing(draft, REPORT_KEY)?.is_none() {
            let why = why.chars().take(WHY_MAX_CHARS).collect();
            self.record(draft, Event::Unreported { why }, now)?;
        }
        Ok(())
    }

    fn previous(&self, view: &dyn View, slot: Slot) -> Result<String, Fault> {
        let yesterday = slot.day.yesterday().map_err(|why| Fault::Broken(why.to_string()))?;
        let key = slot_key(Slot { day: yesterday, ..slot });
        Ok(books::read::<Written>(view, Table::Reports, &key)?.map(|w| w.sha256).unwrap_or_default())
    }

    /// Payments received on the day; their numbers are dense and follow their receipt.
    fn payments_of_day(
        &self,
        view: &dyn View,
        start: Timestamp,
        end: Timestamp,
        report: &mut Report,
    ) -> Result<(), Fault> {
        let mut number = first_received(view, start)?;
        while let Some(payment) = books::payment(view, number)? {
            number = PaymentNumber(number.0 + 1);
            if payment.received_at >= end {
                break;
            }
            if payment.received_at < start {
                continue;
            }
            if payment.is_imported {
                if let Some(amount) = payment.amount() {
                    count(&mut report.imported, &payment, amount);
                }
                continue;
            }
            if let Some(amount) = payment.amount() {
                count(&mut report.submitted, &payment, amount);
                if is_rescued(view, &payment)? {
                    count(&mut report.rescued, &payment, amount);
                }
            }
            let merchant = payment.merchant.to_string();
            let state = payment.state.name();
            match report.states.iter_mut().find(|s| s.merchant == merchant && s.state == state) {
                Some(found) => found.payments += 1,
                None => report.states.push(StateCount { merchant, state, payments: 1 }),
            }
        }
        report.states.sort_by(|a, b| (&a.merchant, a.state).cmp(&(&b.merchant, b.state)));
        for counts in [&mut report.submitted, &mut report.imported, &mut report.rescued] {
            counts.sort_by(|a, b| (&a.merchant, a.sum.currency()).cmp(&(&b.merchant, b.sum.currency())));
        }
        self.discrepancies_of_day(view, start, end, report)
    }

    /// Discrepancies opened on the day, whatever the age of their payment.
    fn discrepancies_of_day(
        &self,
        view: &dyn View,
        start: Timestamp,
        end: Timestamp,
        report: &mut Report,
    ) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let numbers = books::discrepancies_of_day(view, report.day, after, PAGE_ROWS)?;
            let Some(last) = numbers.last() else { return Ok(()) };
            after = last.0;
            for number in numbers {
                let payment = books::payment_at(view, number)?;
                let of_day = payment.discrepancies.iter().filter(|d| d.since >= start && d.since < end);
                report.discrepancies.extend(of_day.map(|d| DiscrepancyLine {
                    merchant: payment.merchant.to_string(),
                    request_id: payment.request_id.to_string(),
                    order_number: payment.order_number().map(ToString::to_string),
                    code: Code::name(d.code),
                    severity: d.code.severity().name(),
                    what: d.what.clone(),
                    amount: d.amount,
                }));
            }
        }
    }

    fn undecided(&self, view: &dyn View, report: &mut Report) -> Result<(), Fault> {
        let mut from = Vec::new();
        loop {
            let rows = view.range(Table::Open, &from, &[], PAGE_ROWS)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = [last.as_slice(), &[0]].concat();
            for (key, _) in &rows {
                let payment = books::payment_at(view, PaymentNumber(books::as_u64(Table::Open, key, key)?))?;
                let is_handed_over = payment.state == State::HandedOver || payment.desk.is_some();
                let (lines, in_all) = if is_handed_over {
                    (&mut report.handed_over, &mut report.handed_over_in_all)
                } else {
                    (&mut report.open, &mut report.open_in_all)
                };
                *in_all += 1;
                if lines.len() < OPEN_MAX {
                    lines.push(undecided_line(payment));
                }
            }
        }
    }
}

fn undecided_line(payment: Payment) -> Line {
    Line {
        merchant: payment.merchant.to_string(),
        request_id: payment.request_id.to_string(),
        order_number: payment.order_number().map(ToString::to_string),
        state: payment.state.name(),
        amount: payment.amount(),
        received_at: to_second(payment.received_at).to_string(),
        reason: payment.reason,
    }
}

/// More than seconds is noise to a person.
fn to_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn slot_key(slot: Slot) -> Vec<u8> {
    let mut key = books::day_number(slot.day).to_be_bytes().to_vec();
    key.push(u8::from(slot.is_final));
    key
}

fn count(counts: &mut Vec<Count>, payment: &Payment, amount: Amount) {
    let merchant = payment.merchant.to_string();
    match counts.iter_mut().find(|c| c.merchant == merchant && c.sum.currency() == amount.currency()) {
        Some(found) => {
            found.payments += 1;
            found.sum = found.sum.checked_add(amount).unwrap_or(found.sum);
        }
        None => counts.push(Count { merchant, payments: 1, sum: amount }),
    }
}

/// Money we know only because we asked.
fn is_rescued(view: &dyn View, payment: &Payment) -> Result<bool, Fault> {
    if !payment.state.is_income() {
        return Ok(false);
    }
    for sequence in books::evidence(view, payment.number, super::views::EVIDENCE_MAX)? {
        if let Event::Notified(notified) = books::record(view, sequence)?.event
            && !matches!(notified.weight, crate::core::record::Weight::Refuted)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first payment received at or after a moment. Receipts rise with the numbers but for jumps of
/// the wall clock; a day is searched from a little before.
fn first_received(view: &dyn View, start: Timestamp) -> Result<PaymentNumber, Fault> {
    const MARGIN: u64 = 1_000;
    let (mut low, mut high) = (1, books::next_number(view, Table::Payments)?);
    while low < high {
        let middle = low + (high - low) / 2;
        let is_before = books::payment(view, PaymentNumber(middle))?.is_some_and(|p| p.received_at < start);
        if is_before { low = middle + 1 } else { high = middle }
    }
    Ok(PaymentNumber(low.saturating_sub(MARGIN).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn day(text: &str) -> Date {
        text.parse().expect("a date")
    }

    /// Walks a year hour by hour and returns the provisional days in the order they were written.
    fn year(policy: &ReportPolicy) -> Vec<Date> {
        let (mut provisional, mut finals) = (None, None);
        let mut written = Vec::new();
        let mut now = at("2026-01-01T00:00:00Z");
        while now < at("2027-01-01T00:00:00Z") {
            while let Some(slot) = due_slot(policy, now, day("2026-01-01"), provisional, finals).expect("a slot") {
                if slot.is_final {
                    finals = Some(slot.day);
                } else {
                    provisional = Some(slot.day);
                    written.push(slot.day);
                }
            }
            now = crate::words::time::later(now, crate::words::time::minutes(20));
        }
        written
    }

    #[test]
    fn every_business_day_is_reported_once_on_both_dst_days_too() {
        for (zone, at) in [("Europe/Bucharest", "03:30"), ("Europe/Vienna", "02:30"), ("UTC", "00:00")] {
            let policy = ReportPolicy { time_zone: zone.into(), at: at.into(), final_after_days: 3 };
            let written = year(&policy);
            assert!(written.windows(2).all(|w| w[0].tomorrow().expect("a day") == w[1]), "{zone}");
            assert!(written.len() >= 364, "{zone}: {}", written.len());
        }
    }

    #[test]
    fn missed_nights_are_made_up_one_by_one() {
        let policy = ReportPolicy { time_zone: "UTC".into(), at: "02:30".into(), final_after_days: 3 };
        let slot = |provisional: Option<&str>, now: &str| {
            due_slot(&policy, at(now), day("2026-05-01"), provisional.map(day), provisional.map(day)).expect("a slot")
        };
        assert_eq!(slot(None, "2026-05-01T23:00:00Z"), None);
        assert_eq!(slot(None, "2026-05-10T23:00:00Z"), Some(Slot { day: day("2026-05-01"), is_final: false }));
        assert_eq!(
            slot(Some("2026-05-01"), "2026-05-10T23:00:00Z"),
            Some(Slot { day: day("2026-05-02"), is_final: false })
        );
    }
}
