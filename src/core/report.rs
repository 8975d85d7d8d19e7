//! The nightly report of one business day: a value, and how it prints as text, CSV and JSON.
//!
//! A report is a pure function of the journal up to a record and the policy: written again, it is the
//! same byte for byte.

use jiff::civil::Date;
use serde::Serialize;

use crate::core::booking::Kind;
use crate::core::ledger::{self, Entry};
use crate::words::money::Amount;

/// Lines of one list of the text report; more are counted.
const LIST_MAX: usize = 200;

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    pub day: Date,
    pub time_zone: String,
    /// Provisional at night, final some days later.
    pub is_final: bool,
    /// The report speaks of what the journal knew up to this record.
    pub journal_records: u64,
    pub journal_head: String,
    /// SHA-256 of the report before this one; empty for the first.
    pub previous_sha256: String,
    pub totals: Vec<Total>,
    pub submitted: Vec<Count>,
    /// Taken over on the day from a list of the shop's; sold whenever that says. Not among `submitted`.
    pub imported: Vec<Count>,
    pub states: Vec<StateCount>,
    pub rescued: Vec<Count>,
    /// The oldest ones; how many there are in all stands beside.
    pub open: Vec<Line>,
    pub open_in_all: u64,
    pub handed_over: Vec<Line>,
    pub handed_over_in_all: u64,
    pub discrepancies: Vec<DiscrepancyLine>,
    /// The day's ledger entries, learnt on it.
    #[serde(skip)]
    pub entries: Vec<Entry>,
}

/// Sum of one kind of entries learnt on the day.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Total {
    pub merchant: String,
    pub kind: Kind,
    pub entries: u64,
    pub sum: Amount,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Count {
    pub merchant: String,
    pub payments: u64,
    pub sum: Amount,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StateCount {
    pub merchant: String,
    pub state: &'static str,
    pub payments: u64,
}

/// One payment a person may have to look at.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    pub merchant: String,
    pub request_id: String,
    pub order_number: Option<String>,
    pub state: &'static str,
    pub amount: Option<Amount>,
    pub received_at: String,
    pub reason: String,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DiscrepancyLine {
    pub merchant: String,
    pub request_id: String,
    pub order_number: Option<String>,
    pub code: &'static str,
    pub severity: &'static str,
    pub what: String,
    pub amount: Option<Amount>,
}

/// Sums entries per account, kind and currency, in a fixed order.
pub fn totals(entries: &[Entry]) -> Vec<Total> {
    let mut totals: Vec<Total> = Vec::new();
    for entry in entries {
        let same = |t: &&mut Total| {
            t.merchant == entry.merchant.as_str() && t.kind == entry.kind && t.sum.currency() == entry.amount.currency()
        };
        match totals.iter_mut().find(same) {
            Some(total) => {
                total.entries += 1;
                total.sum = total.sum.checked_add(entry.amount).unwrap_or(total.sum);
            }
            None => totals.push(Total {
                merchant: entry.merchant.to_string(),
                kind: entry.kind,
                entries: 1,
                sum: entry.amount,
            }),
        }
    }
    totals.sort_by(|a, b| (&a.merchant, a.kind, a.sum.currency()).cmp(&(&b.merchant, b.kind, b.sum.currency())));
    totals
}

impl Report {
    pub fn status(&self) -> &'static str {
        if self.is_final { "final" } else { "provisional" }
    }

    /// The name of its files, without ending: `2026-11-21.provisional`.
    pub fn file_stem(&self) -> String {
        format!("{}.{}", self.day, self.status())
    }

    /// For people: what moved, what is stuck, what disagrees.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("Reconciliation of {} ({}, {})", self.day, self.time_zone, self.status()));
        line(format!("journal records 1 to {}, head {}", self.journal_records, self.journal_head));
        let previous = if self.previous_sha256.is_empty() { "none" } else { self.previous_sha256.as_str() };
        line(format!("previous report {previous}"));
        line(String::new());
        line("Booked on this day (by the time we learnt it)".into());
        if self.totals.is_empty() {
            line("  nothing".into());
        }
        for t in &self.totals {
            line(format!(
                "  {:<16} {:<15} {:>6} entries {:>18}",
                t.merchant,
                t.kind.name(),
                t.entries,
                t.sum.to_string()
            ));
        }
        line(format!("  {} entries in all", self.entries.len()));
        line(String::new());
        line("Payments submitted on this day".into());
        for c in &self.submitted {
            line(format!("  {:<16} {:>6} payments {:>18}", c.merchant, c.payments, c.sum.to_string()));
        }
        for s in &self.states {
            line(format!("  {:<16} {:<24} {:>6}", s.merchant, s.state, s.payments));
        }
        if !self.imported.is_empty() {
            line(String::new());
            line("Imported on this day from the shop's lists, not counted above".into());
        }
        for c in &self.imported {
            line(format!("  {:<16} {:>6} payments {:>18}", c.merchant, c.payments, c.sum.to_string()));
        }
        line(String::new());
        line("Rescued: money whose notification never came, found by asking".into());
        if self.rescued.is_empty() {
            line("  none".into());
        }
        for c in &self.rescued {
            line(format!("  {:<16} {:>6} payments {:>18}", c.merchant, c.payments, c.sum.to_string()));
        }
        line(String::new());
        let title = "Handed over: nobody can be asked, a person must look";
        list(&mut line, title, &self.handed_over, self.handed_over_in_all);
        list(&mut line, "Not decided yet", &self.open, self.open_in_all);
        line(format!("Discrepancies of this day: {}", self.discrepancies.len()));
        for d in self.discrepancies.iter().take(LIST_MAX) {
            let order = d.order_number.as_deref().unwrap_or("-");
            line(format!("  {:<8} {} {} order {}: {}", d.severity, d.code, d.request_id, order, d.what));
        }
        cut(&mut line, self.discrepancies.len(), self.discrepancies.len() as u64);
        line(String::new());
        line(format!("control sum: {}", self.control()));
        out
    }

    /// Row count and sums over the day's entries: equal in text, CSV and JSON.
    pub fn control(&self) -> String {
        let mut sums: Vec<Amount> = Vec::new();
        for entry in &self.entries {
            match sums.iter_mut().find(|s| s.currency() == entry.amount.currency()) {
                Some(sum) => *sum = sum.checked_add(entry.amount).unwrap_or(*sum),
                None => sums.push(entry.amount),
            }
        }
        sums.sort_by_key(|s| s.currency());
        let sums: Vec<String> = sums.iter().map(ToString::to_string).collect();
        format!("{} rows; {}", self.entries.len(), if sums.is_empty() { "nothing".into() } else { sums.join("; ") })
    }

    /// The day's ledger entries, in the ledger's own columns, closed by a control row.
    pub fn csv(&self) -> String {
        let mut rows = vec![ledger::COLUMNS.join(",")];
        rows.extend(self.entries.iter().map(csv_row));
        rows.push(format!("# {}", self.control()));
        rows.join("\r\n") + "\r\n"
    }

    /// For machines: everything but the entries, which are in the CSV.
    pub fn json(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["status"] = self.status().into();
        value["control"] = self.control().into();
        value["entries"] = self.entries.len().into();
        format!("{value:#}\n")
    }
}

/// One entry as a CSV row: texts that a spreadsheet would run are defused, numbers are left alone.
pub fn csv_row(entry: &Entry) -> String {
    const NUMERIC: [&str; 4] = ["seq", "amount", "evidence", "reverses"];
    let fields = ledger::fields(entry);
    let cells = ledger::COLUMNS.iter().zip(fields).map(|(column, field)| {
        let cell = if NUMERIC.contains(column) { field } else { ledger::harmless(&field) };
        if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    });
    cells.collect::<Vec<_>>().join(",")
}

fn list(line: &mut impl FnMut(String), title: &str, lines: &[Line], in_all: u64) {
    line(format!("{title}: {in_all}"));
    for l in lines.iter().take(LIST_MAX) {
        let amount = l.amount.map(|a| a.to_string()).unwrap_or_else(|| "?".into());
        let order = l.order_number.as_deref().unwrap_or("-");
        line(format!("  {:>16}  {} order {} since {}: {}", amount, l.request_id, order, l.received_at, l.reason));
    }
    cut(line, lines.len(), in_all);
    line(String::new());
}

fn cut(line: &mut impl FnMut(String), in_json: usize, in_all: u64) {
    let shown = in_json.min(LIST_MAX) as u64;
    if in_all > in_json as u64 {
        line(format!("  … and {} more, the oldest {in_json} of all in the JSON", in_all - shown));
    } else if in_all > shown {
        line(format!("  … and {} more, all in the JSON", in_all - shown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::id::{MerchantName, OrderNumber, RequestId, TransactionId};

    fn entry(seq: u64, order: &str, value: &str, reverses: Option<u64>) -> Entry {
        Entry {
            seq,
            merchant: MerchantName::new("shop-eu").expect("name"),
            order_number: OrderNumber::new(order).ok(),
            request_id: RequestId::new("r").expect("id"),
            transaction_id: TransactionId::new("t").expect("id"),
            kind: Kind::In,
            amount: format!("{value} EUR").parse().expect("money"),
            occurred_at: "2026-01-01T10:00:00Z".parse().expect("time"),
            learnt_at: "2026-01-01T10:00:01Z".parse().expect("time"),
            evidence: 7,
            reverses,
        }
    }

    #[test]
    fn a_reversal_takes_its_amount_out_of_the_total() {
        let entries = [entry(1, "R-1", "10", None), entry(2, "R-1", "-10", Some(1)), entry(3, "R-1", "12", None)];
        let totals = totals(&entries);
        assert_eq!(totals.len(), 1);
        assert_eq!((totals[0].entries, totals[0].sum.to_string()), (3, "12.00 EUR".into()));
    }

    #[test]
    fn a_row_never_breaks_or_runs() {
        let row = csv_row(&entry(1, "=cmd(\"a\",1)", "-10", Some(3)));
        assert_eq!(
            row,
            "1,shop-eu,\"'=cmd(\"\"a\"\",1)\",r,t,in,-10.00,EUR,2026-01-01T10:00:00Z,2026-01-01T10:00:01Z,7,3"
        );
    }
}
