//! A commit in the making: reads see what was written before them in the same draft.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::chain::{self, Head};
use super::{Changes, Commit, Fault, Row, Table, View};

/// Changes over a base, not yet committed.
///
/// Several decisions may share one draft (group commit). [`Draft::attempt`] takes one decision back
/// whole when it fails, and leaves those before it.
pub struct Draft<'a> {
    base: &'a dyn View,
    /// The journal records the base holds.
    base_len: u64,
    /// Where the journal stands, the records of this draft included.
    head: Head,
    changes: Changes,
    /// What stood where the running attempts wrote, oldest first. Empty outside of attempts.
    undo: Vec<Undo>,
    /// How many attempts are running, one in the other.
    attempts: u32,
}

/// One entry of `changes` as it was: `None` if the draft had not touched the key.
struct Undo {
    at: (Table, Vec<u8>),
    was: Option<Option<Vec<u8>>>,
}

impl<'a> Draft<'a> {
    pub fn new(base: &'a dyn View) -> Result<Draft<'a>, Fault> {
        let head = Head::of(base)?;
        Ok(Draft { base, base_len: head.sequence, head, changes: BTreeMap::new(), undo: Vec::new(), attempts: 0 })
    }

    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.change((table, key), Some(value));
    }

    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.change((table, key), None);
    }

    /// How many journal records there are, those of this draft included.
    pub fn journal_len(&self) -> u64 {
        self.head.sequence
    }

    /// Puts a record at the journal's end, sealed into its chain, and returns its sequence number.
    /// Read it back with [`chain::open`].
    pub fn append(&mut self, body: Vec<u8>) -> u64 {
        let sequence = self.head.sequence + 1;
        let sealed = chain::seal(&self.head.hash, sequence, &body);
        let (hash, _) = sealed.split_first_chunk().expect("a sealed record starts with its hash");
        self.head = Head { sequence, hash: *hash };
        self.put(Table::Journal, sequence.to_be_bytes().to_vec(), sealed);
        sequence
    }

    /// Runs one decision; on an error its changes are taken back, at the cost of what it changed.
    pub fn attempt<T, E>(&mut self, decide: impl FnOnce(&mut Draft<'a>) -> Result<T, E>) -> Result<T, E> {
        let (head, mark) = (self.head, self.undo.len());
        self.attempts += 1;
        let outcome = decide(self);
        self.attempts -= 1;
        if outcome.is_err() {
            self.head = head;
            for Undo { at, was } in self.undo.drain(mark..).rev() {
                match was {
                    Some(change) => self.changes.insert(at, change),
                    None => self.changes.remove(&at),
                };
            }
        }
        // An attempt around this one may still fail; without one nothing can.
        if self.attempts == 0 {
            self.undo.clear();
        }
        outcome
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn into_commit(self) -> Commit {
        Commit { journal_len: self.base_len, changes: self.changes }
    }

    fn change(&mut self, at: (Table, Vec<u8>), value: Option<Vec<u8>>) {
        if self.attempts == 0 {
            self.changes.insert(at, value);
        } else {
            let was = self.changes.insert(at.clone(), value);
            self.undo.push(Undo { at, was });
        }
    }

    /// The changes with `from <= key < to` (an empty `to`: to the table's end), in key order.
    fn changed(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Option<Vec<u8>>)> {
        let start = (table, from.to_vec());
        let end = match to {
            [] => table.next().map(|next| (next, Vec::new())),
            _ => Some((table, to.to_vec())),
        };
        // A BTreeMap panics where a range ends before it starts.
        let within = end.as_ref().is_none_or(|end| start < *end);
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        within
            .then(|| self.changes.range((Bound::Included(start), end)))
            .into_iter()
            .flatten()
            .map(|((_, key), value)| (key, value))
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
        let mut rows: Vec<Row> = Vec::new();
        let mut from = from.to_vec();
        // Rows of the base that this draft deleted make us read on: each page twice the one before.
        let mut page_rows = limit.max(16);
        while rows.len() < limit {
            let base = self.base.range(table, &from, to, page_rows)?;
            // Behind a full page there may be rows we have not read: changes there must wait for them.
            let next = (base.len() == page_rows).then(|| base.last().map(|(key, _)| successor(key))).flatten();
            let changed = self.changed(table, &from, next.as_deref().unwrap_or(to));
            merge(&mut rows, base, changed, limit);
            match next {
                Some(next) => from = next,
                None => break,
            }
            page_rows = page_rows.saturating_mul(2);
        }
        Ok(rows)
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Row>, Fault> {
        let mut end = to.to_vec();
        let base = loop {
            match self.base.last(table, from, &end)? {
                Some((key, _)) if self.changes.get(&(table, key.clone())).is_some_and(Option::is_none) => {
                    // An empty key can't be an end ("no end"), and nothing lies before it.
                    if key.is_empty() {
                        break None;
                    }
                    end = key;
                }
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

/// The smallest key behind `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Adds rows of `base`, as `changed` changes them, until there are `limit`.
fn merge<'c>(
    rows: &mut Vec<Row>,
    base: Vec<Row>,
    changed: impl Iterator<Item = (&'c Vec<u8>, &'c Option<Vec<u8>>)>,
    limit: usize,
) {
    let mut base = base.into_iter().peekable();
    let mut changed = changed.peekable();
    while rows.len() < limit {
        let take_change = match (base.peek(), changed.peek()) {
            (None, None) => return,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some((key, _)), Some((changed_key, _))) => *changed_key <= key,
        };
        if !take_change {
            rows.extend(base.next());
        } else if let Some((key, value)) = changed.next() {
            base.next_if(|(base_key, _)| base_key == key);
            rows.extend(value.as_ref().map(|value| (key.clone(), value.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_failed_decision_takes_back_only_what_it_changed() {
        let store = Memory::default();
        let mut draft = Draft::new(&store).expect("draft");
        draft.put(Table::Due, key(1), vec![1]);
        draft.delete(Table::Due, key(2));
        let kept: Result<(), &str> = draft.attempt(|draft| {
            let inner: Result<(), &str> = draft.attempt(|draft| {
                draft.put(Table::Due, key(1), vec![7]);
                draft.put(Table::Due, key(1), vec![8]);
                draft.put(Table::Due, key(3), vec![3]);
                Err("inner")
            });
            assert!(inner.is_err());
            draft.put(Table::Due, key(4), vec![4]);
            Ok(())
        });
        assert!(kept.is_ok());
        let lost: Result<(), &str> = draft.attempt(|draft| {
            let inner: Result<(), &str> = draft.attempt(|draft| {
                draft.put(Table::Due, key(5), vec![5]);
                Ok(())
            });
            assert!(inner.is_ok());
            Err("outer")
        });
        assert!(lost.is_err());
        let expected: Changes = [
            ((Table::Due, key(1)), Some(vec![1])),
            ((Table::Due, key(2)), None),
            ((Table::Due, key(4)), Some(vec![4])),
        ]
        .into();
        assert_eq!(draft.into_commit().changes, expected);
    }

    fn changes() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
        proptest::collection::vec((0..40u8, proptest::option::of(any::<u8>())), 0..60)
    }

    fn write(draft: &mut Draft, changes: &[(u8, Option<u8>)]) {
        for (n, value) in changes {
            match value {
                Some(value) => draft.put(Table::Due, key(*n), vec![*value]),
                None => draft.delete(Table::Due, key(*n)),
            }
        }
    }

    proptest! {
        #[test]
        fn a_failed_attempt_leaves_the_draft_as_it_was(
            before in changes(),
            attempts in proptest::collection::vec((changes(), changes(), any::<bool>(), any::<bool>()), 0..6),
        ) {
            let store = Memory::default();
            let mut draft = Draft::new(&store).expect("draft");
            let mut expected = Draft::new(&store).expect("draft");
            write(&mut draft, &before);
            write(&mut expected, &before);
            for (outer, inner, outer_fails, inner_fails) in &attempts {
                let outcome: Result<(), ()> = draft.attempt(|draft| {
                    write(draft, outer);
                    draft.append(vec![1]);
                    let _: Result<(), ()> = draft.attempt(|draft| {
                        draft.append(vec![2]);
                        write(draft, inner);
                        if *inner_fails { Err(()) } else { Ok(()) }
                    });
                    if *outer_fails { Err(()) } else { Ok(()) }
                });
                prop_assert_eq!(outcome.is_err(), *outer_fails);
                if !outer_fails {
                    write(&mut expected, outer);
                    expected.append(vec![1]);
                    if !inner_fails {
                        expected.append(vec![2]);
                        write(&mut expected, inner);
                    }
                }
            }
            prop_assert_eq!(draft.journal_len(), expected.journal_len());
            prop_assert_eq!(draft.into_commit().changes, expected.into_commit().changes);
        }

        #[test]
        fn a_draft_reads_as_the_store_will_once_it_is_committed(
            before in changes(),
            after in changes(),
            (from, to, limit) in (0..41u8, 0..41u8, 0..30usize),
        ) {
            let mut store = Memory::default();
            let mut draft = Draft::new(&store).expect("draft");
            write(&mut draft, &before);
            // Rows of the neighbours must not show.
            draft.put(Table::ByGatewayOrder, key(1), vec![]);
            draft.put(Table::Open, key(1), vec![]);
            let commit = draft.into_commit();
            store.commit(commit).expect("commit");

            let base = store.clone();
            let mut draft = Draft::new(&base).expect("draft");
            write(&mut draft, &after);
            let mut next = Draft::new(&base).expect("draft");
            write(&mut next, &after);
            store.commit(next.into_commit()).expect("commit");

            let end = if to == 0 { Vec::new() } else { key(to) };
            let range = |view: &dyn View| view.range(Table::Due, &key(from), &end, limit).expect("range");
            prop_assert_eq!(range(&draft), range(&store));
            let last = |view: &dyn View| view.last(Table::Due, &key(from), &end).expect("last");
            prop_assert_eq!(last(&draft), last(&store));
            let get = |view: &dyn View| view.get(Table::Due, &key(from)).expect("get");
            prop_assert_eq!(get(&draft), get(&store));
        }
    }
}
