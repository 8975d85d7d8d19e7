//! A commit in the making: reads see what was written before them in the same draft.

use std::collections::BTreeMap;

use super::{Changes, Commit, Fault, Row, Table, View, journal_len};

/// Changes over a base, not yet committed.
///
/// Several decisions may share one draft (group commit). [`Draft::attempt`] takes one decision back
/// whole when it fails, and leaves those before it.
pub struct Draft<'a> {
    base: &'a dyn View,
    journal_len: u64,
    appended: u64,
    changes: Changes,
}

impl<'a> Draft<'a> {
    pub fn new(base: &'a dyn View) -> Result<Draft<'a>, Fault> {
        let journal_len = journal_len(base)?;
        Ok(Draft { base, journal_len, appended: 0, changes: BTreeMap::new() })
    }

    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert((table, key), Some(value));
    }

    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.changes.insert((table, key), None);
    }

    /// How many journal records there are, those of this draft included.
    pub fn journal_len(&self) -> u64 {
        self.journal_len + self.appended
    }

    /// Puts a record at the journal's end and returns its sequence number.
    pub fn append(&mut self, record: Vec<u8>) -> u64 {
        self.appended += 1;
        let sequence = self.journal_len();
        self.put(Table::Journal, sequence.to_be_bytes().to_vec(), record);
        sequence
    }

    /// Runs one decision; on an error its changes are taken back.
    pub fn attempt<T, E>(&mut self, decide: impl FnOnce(&mut Draft<'a>) -> Result<T, E>) -> Result<T, E> {
        let (changes, appended) = (self.changes.clone(), self.appended);
        let outcome = decide(self);
        if outcome.is_err() {
            self.changes = changes;
            self.appended = appended;
        }
        outcome
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn into_commit(self) -> Commit {
        Commit { journal_len: self.journal_len, changes: self.changes }
    }

    fn changed(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Option<Vec<u8>>)> {
        let end = to.to_vec();
        self.changes
            .range((table, from.to_vec())..)
            .take_while(move |((t, key), _)| *t == table && (end.is_empty() || key.as_slice() < end.as_slice()))
            .map(|((_, key), value)| (key, value))
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl View for Draft<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        // A BTreeMap of (Table, Vec<u8>) has no borrowed form of its key.
        match self.changes.get(&(table, key.to_vec())) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.get(table, key),
        }
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Fault> {
        let changed: Vec<_> = self.changed(table, from, to).collect();
        let hidden = changed.iter().filter(|(_, value)| value.is_none()).count();
        // Each deletion can hide one row of the base, so ask for that many more.
        let base = self.base.range(table, from, to, limit.saturating_add(hidden))?;
        let base_is_cut = base.len() == limit.saturating_add(hidden);
        let base_end = base.last().map(|row| row.0.clone());
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = base.into_iter().collect();
        for (key, value) in changed {
            match value {
                // Beyond a cut base there may be rows we have not read: leave those keys out too.
                Some(_) if base_is_cut && base_end.as_ref().is_some_and(|end| key > end) => {}
                Some(value) => {
                    rows.insert(key.clone(), value.clone());
                }
                None => {
                    rows.remove(key);
                }
            }
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Row>, Fault> {
        let mut end = to.to_vec();
        let base = loop {
            match self.base.last(table, from, &end)? {
                Some((key, _)) if self.changes.get(&(table, key.clone())).is_some_and(Option::is_none) => end = key,
                other => break other,
            }
        };
        let drafted = self.changed(table, from, to).rev().find_map(|(key, value)| Some((key.clone(), value.clone()?)));
        Ok(match (base, drafted) {
            (Some(base), Some(drafted)) if drafted.0 >= base.0 => Some(drafted),
            (Some(base), _) => Some(base),
            (None, drafted) => drafted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    fn key(n: u8) -> Vec<u8> {
        vec![n]
    }

    #[test]
    fn a_draft_reads_its_own_writes_over_the_base() {
        let mut store = Memory::default();
        let mut draft = Draft::new(&store).expect("draft");
        for n in [1, 3, 5, 7] {
            draft.put(Table::Payments, key(n), vec![n]);
        }
        let commit = draft.into_commit();
        store.commit(commit).expect("commit");

        let mut draft = Draft::new(&store).expect("draft");
        draft.delete(Table::Payments, key(3));
        draft.put(Table::Payments, key(4), vec![4]);
        draft.put(Table::Payments, key(9), vec![9]);
        let keys = |rows: Vec<Row>| rows.into_iter().map(|r| r.0[0]).collect::<Vec<_>>();
        assert_eq!(keys(draft.range(Table::Payments, &[], &[], 9).expect("rows")), [1, 4, 5, 7, 9]);
        assert_eq!(keys(draft.range(Table::Payments, &[], &[], 2).expect("rows")), [1, 4]);
        assert_eq!(keys(draft.range(Table::Payments, &[2], &[7], 9).expect("rows")), [4, 5]);
        assert_eq!(draft.last(Table::Payments, &[], &[]).expect("last").map(|r| r.0), Some(key(9)));
        draft.delete(Table::Payments, key(9));
        draft.delete(Table::Payments, key(7));
        assert_eq!(draft.last(Table::Payments, &[], &[]).expect("last").map(|r| r.0), Some(key(5)));
    }

    #[test]
    fn a_failed_decision_leaves_no_trace() {
        let store = Memory::default();
        let mut draft = Draft::new(&store).expect("draft");
        draft.append(vec![1]);
        let failed: Result<(), &str> = draft.attempt(|draft| {
            draft.append(vec![2]);
            Err("no")
        });
        assert!(failed.is_err());
        assert_eq!(draft.journal_len(), 1);
        assert_eq!(draft.append(vec![3]), 2);
    }
}
