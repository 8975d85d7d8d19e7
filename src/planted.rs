//! Bugs planted on purpose, to prove that the simulation finds them. Compiled only under
//! `cfg(planted)`; the environment variable `PLANTED` chooses one.

use std::sync::OnceLock;

use crate::store::{Commit, Table};

/// All of them, by name.
pub const NAMES: [&str; 8] = [
    "signature-not-checked",
    "amount-not-checked",
    "failed-is-final",
    "ledger-in-a-second-commit",
    "message-removed-before-judged",
    "look-forgotten-after-an-error",
    "silence-is-failure",
    "hint-is-a-fact",
];

/// Whether this bug is the chosen one.
pub fn is(name: &str) -> bool {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("PLANTED").ok()).as_deref() == Some(name)
}

/// A commit as the two bugs about commits make it: cut in two where it must be one.
pub fn cut(commit: Commit) -> (Commit, Option<Commit>) {
    let is_ledger = |table: Table| matches!(table, Table::Ledger | Table::LedgerByDay | Table::LedgerByOrder);
    let records = commit.changes.keys().filter(|(table, _)| *table == Table::Journal).count() as u64;
    let journal_len = commit.journal_len;
    let (goes_second, second_len): (fn(Table, bool) -> bool, u64) = if is("ledger-in-a-second-commit") {
        (|table, _| matches!(table, Table::Ledger | Table::LedgerByDay | Table::LedgerByOrder), journal_len + records)
    } else if is("message-removed-before-judged") {
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
