//! A store in memory: for `rebuild` and `check`, which make the projections a second time, and for
//! the rules' tests.

use std::collections::BTreeMap;

use super::{Commit, Fault, Row, Table, View, journal_len};

#[derive(Default, Clone, PartialEq, Debug)]
pub struct Memory {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Memory {
    pub fn commit(&mut self, commit: Commit) -> Result<(), Fault> {
        let found = journal_len(self)?;
        if found != commit.journal_len {
            return Err(Fault::Overtaken { expected: commit.journal_len, found });
        }
        for ((table, key), value) in commit.changes {
            let rows = self.tables.entry(table).or_default();
            match value {
                Some(value) => {
                    rows.insert(key, value);
                }
                None => {
                    rows.remove(&key);
                }
            }
        }
        Ok(())
    }
}

impl View for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Fault> {
        let Some(rows) = self.tables.get(&table) else { return Ok(Vec::new()) };
        let within = rows.range(from.to_vec()..).take_while(|(key, _)| to.is_empty() || key.as_slice() < to);
        Ok(within.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Row>, Fault> {
        let Some(rows) = self.tables.get(&table) else { return Ok(None) };
        let found = if to.is_empty() { rows.iter().next_back() } else { rows.range(..to.to_vec()).next_back() };
        Ok(found.filter(|(key, _)| key.as_slice() >= from).map(|(key, value)| (key.clone(), value.clone())))
    }
}
