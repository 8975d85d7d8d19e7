//! The proof of the books: everything but the journal is made a second time from the journal, and
//! every payment is settled, open with a look to come, or on a person's desk.

use crate::core::lifecycle::State;
use crate::core::payment::Payment;
use crate::core::policy::Policy;
use crate::core::record::Event;
use crate::engine::{Engine, apply, books, settle, unknown};
use crate::store::memory::Memory;
use crate::store::{Draft, Fault, Table, View, chain, journal_len};

/// Rows read at a time.
const PAGE_ROWS: usize = 1_000;
/// Findings listed by name; more are counted.
const FINDINGS_MAX: usize = 100;

/// What `check` found.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize)]
pub struct Audit {
    pub journal_records: u64,
    pub payments: u64,
    pub ledger_entries: u64,
    /// Payments that are neither settled, nor due, nor on a desk, and messages whose relay would never be tried.
    /// Must be 0.
    pub forgotten: u64,
    /// Rows of projections that the journal does not explain. Must be 0.
    pub unexplained: u64,
    pub findings: Vec<String>,
}

impl Audit {
    pub fn is_clean(&self) -> bool {
        self.forgotten == 0 && self.unexplained == 0 && self.findings.is_empty()
    }

    fn finding(&mut self, what: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what);
        }
    }
}

/// Makes all projections from the journal, up to and including record `until`.
pub fn rebuild(view: &dyn View, until: u64) -> Result<Memory, Fault> {
    Ok(rebuild_with_policy(view, until)?.0)
}

/// The same, with the policy that was in force then; `None`: the journal is empty.
pub fn rebuild_with_policy(view: &dyn View, until: u64) -> Result<(Memory, Option<Policy>), Fault> {
    let mut made = Memory::default();
    let mut policy: Option<Policy> = None;
    let mut from = Vec::new();
    loop {
        let rows = view.range(Table::Journal, &from, &[], PAGE_ROWS)?;
        let Some((last, _)) = rows.last() else { break };
        from = [last.as_slice(), &[0]].concat();
        for (key, bytes) in &rows {
            let sequence = books::as_u64(Table::Journal, key, key)?;
            if sequence > until {
                return Ok((made, policy));
            }
            let record = books::parse_record(key, bytes)?;
            if let Event::Policy { policy: now } = &record.event {
                policy = Some((**now).clone());
            }
            let Some(policy) = &policy else {
                return Err(Fault::damaged(Table::Journal, key, "a record stands before the first policy"));
            };
            let mut draft = Draft::new(&made)?;
            let (_, body) = chain::open(key, bytes)?;
            draft.append(body.to_vec());
            apply::apply(&mut draft, policy, sequence, &record)?;
            let commit = draft.into_commit();
            made.commit(commit)?;
        }
    }
    Ok((made, policy))
}

impl Engine {
    /// Proves the books: the chain, the projections, and that no payment is forgotten.
    pub fn audit(&self, view: &dyn View) -> Result<Audit, Fault> {
        let mut audit = Audit { journal_records: journal_len(view)?, ..Audit::default() };
        if let Err(why) = chain::verify(view, chain::Head::EMPTY) {
            audit.finding(format!("the journal's chain is broken: {why}"));
        }
        let made = rebuild(view, u64::MAX)?;
        for table in Table::ALL.into_iter().filter(|t| t.is_projection() || *t == Table::Journal) {
            compare(view, &made, table, &mut audit)?;
        }
        self.nothing_forgotten(view, &mut audit)?;
        for stranded in self.stranded_relays(view)? {
            audit.forgotten += 1;
            audit.finding(stranded);
        }
        audit.ledger_entries = books::next_number(view, Table::Ledger)? - 1;
        Ok(audit)
    }

    /// Promise 2: at any moment every submission is settled, due, or handed over to an open alert.
    pub fn nothing_forgotten(&self, view: &dyn View, audit: &mut Audit) -> Result<(), Fault> {
        let mut from = Vec::new();
        let mut due = 0;
        loop {
            let rows = view.range(Table::Payments, &from, &[], PAGE_ROWS)?;
            let Some((last, _)) = rows.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            for (key, bytes) in &rows {
                let payment: Payment = books::parse(Table::Payments, key, bytes)?;
                audit.payments += 1;
                due += usize::from(books::due_key(&payment).is_some());
                if let Some(why) = self.forgotten(view, &payment)? {
                    audit.forgotten += 1;
                    audit.finding(format!("payment {} ({}) is forgotten: {why}", payment.number, payment.request_id));
                }
            }
        }
        // Each of them stands there once: more rows would be looked at for ever.
        let rows = count_rows(view, Table::Due)?;
        if rows > due {
            audit.unexplained += 1;
            audit.finding(format!(
                "the due index has {rows} rows for {due} payments that wait in it: run `reconciled rebuild`"
            ));
        }
        Ok(())
    }

    /// Why a payment is forgotten; `None`: it is not.
    fn forgotten(&self, view: &dyn View, payment: &Payment) -> Result<Option<String>, Fault> {
        if let Some(key) = books::due_key(payment)
            && view.get(Table::Due, &key)?.is_none()
        {
            return Ok(Some("its next look is missing from the due index".into()));
        }
        let is_listed = view.get(Table::Open, &books::number_key(payment.number))?.is_some();
        if is_listed != payment.is_listed() {
            return Ok(Some(format!("its state {} and the open list disagree", payment.state.name())));
        }
        if let Some(operation) = payment.unknown_operation()
            && payment.next.is_none()
            && books::firing(view, &unknown::key(payment, operation))?.is_none()
        {
            return Ok(Some(format!("the outcome of operation {} is unknown and nobody asks", operation.number)));
        }
        if payment.state.is_settled() || payment.is_orphan() {
            return Ok(None);
        }
        if let Some(key) = &payment.desk {
            if books::firing(view, key)?.is_none() {
                return Ok(Some(format!("the alert `{key}` it was handed over to is not open")));
            }
            return Ok(None);
        }
        let needs_look = self.policy.accounts.get(&payment.merchant).is_some_and(|a| settle::can_ask(a, payment));
        Ok(match payment.next {
            None if payment.state == State::HandedOver => Some("it is handed over to no alert".into()),
            None if needs_look => Some("it is open and has no next look".into()),
            None => Some("it is open, can't be asked about, and nobody will be told".into()),
            Some(_) => None,
        })
    }
}

/// Compares one table of the store with the same made from the journal.
fn compare(view: &dyn View, made: &dyn View, table: Table, audit: &mut Audit) -> Result<(), Fault> {
    let mut stored = Pages::new(view, table);
    let mut again = Pages::new(made, table);
    let (mut left, mut right) = (stored.next()?, again.next()?);
    loop {
        let what = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(l), Some(r)) if l == r => {
                left = stored.next()?;
                right = again.next()?;
                continue;
            }
            (Some(l), Some(r)) if l.0 == r.0 => {
                let what = format!("{}: row {} differs from the journal", table.name(), hex(&l.0));
                left = stored.next()?;
                right = again.next()?;
                what
            }
            (Some(l), r) if r.as_ref().is_none_or(|r| l.0 < r.0) => {
                let what = format!("{}: row {} is not in the journal", table.name(), hex(&l.0));
                left = stored.next()?;
                what
            }
            (_, Some(r)) => {
                let what = format!("{}: row {} is missing", table.name(), hex(&r.0));
                right = again.next()?;
                what
            }
            (Some(_), None) => return Ok(()),
        };
        audit.unexplained += 1;
        audit.finding(what);
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().take(40).map(|b| format!("{b:02x}")).collect()
}

/// A table read in pages.
struct Pages<'v> {
    view: &'v dyn View,
    table: Table,
    from: Vec<u8>,
    page: std::vec::IntoIter<crate::store::Row>,
}

impl<'v> Pages<'v> {
    fn new(view: &'v dyn View, table: Table) -> Pages<'v> {
        Pages { view, table, from: Vec::new(), page: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Result<Option<crate::store::Row>, Fault> {
        if let Some(row) = self.page.next() {
            return Ok(Some(row));
        }
        let rows = self.view.range(self.table, &self.from, &[], PAGE_ROWS)?;
        if let Some((last, _)) = rows.last() {
            self.from = [last.as_slice(), &[0]].concat();
        }
        self.page = rows.into_iter();
        Ok(self.page.next())
    }
}

fn count_rows(view: &dyn View, table: Table) -> Result<usize, Fault> {
    let (mut from, mut count) = (Vec::new(), 0);
    loop {
        let rows = view.range(table, &from, &[], PAGE_ROWS)?;
        let Some((last, _)) = rows.last() else { return Ok(count) };
        from = [last.as_slice(), &[0]].concat();
        count += rows.len();
    }
}
