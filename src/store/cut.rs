//! Commits cut in two where they must be one: bugs planted on purpose (`cfg(planted)`).

use super::{Commit, Table};
use crate::planted;

/// A commit as the two bugs about commits make it: cut in two where it must be one.
pub(super) fn cut(commit: Commit) -> (Commit, Option<Commit>) {
    let is_ledger = |table: Table| matches!(table, Table::Ledger | Table::LedgerByDay | Table::LedgerByOrder);
    let records = commit.changes.keys().filter(|(table, _)| *table == Table::Journal).count() as u64;
    let journal_len = commit.journal_len;
    let (goes_second, second_len): (fn(Table, bool) -> bool, u64) = if planted::is("ledger-in-a-second-commit") {
        (|table, _| matches!(table, Table::Ledger | Table::LedgerByDay | Table::LedgerByOrder), journal_len + records)
    } else if planted::is("message-removed-before-judged") {
        (|table, is_removal| !(table == Table::Inbox && is_removal), journal_len)
    } else {
        return (commit, None);
    };
    let removes = commit.changes.iter().any(|((table, _), value)| *table == Table::Inbox && value.is_none());
    if !removes && !commit.changes.keys().any(|(table, _)| is_ledger(*table)) {
        return (commit, None);
    }
    let (second, first) =
        commit.changes.into_iter().partition(|((table, _), value)| goes_second(*table, value.is_none()));
    (Commit { journal_len, changes: first }, Some(Commit { journal_len: second_len, changes: second }))
}
