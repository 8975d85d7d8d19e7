//! Readings of the relay: what waits, for people and for the proof.

use serde_json::{Value, json};

use crate::engine::packed::unpack;
use crate::engine::relay_rows::{Waiting, backlogs, due_key, id, line_prefix, number_in, numbered, row_key};
use crate::engine::{Engine, Page, books};
use crate::store::{Fault, Table, View, prefix_end};
use crate::words::id::MerchantName;
use crate::words::time::Now;

/// Rows read at a time.
const PAGE_ROWS: usize = 500;

impl Engine {
    /// Waiting messages that nobody would ever try: neither due nor behind an earlier one of their request. There
    /// must be none.
    pub(super) fn stranded_relays(&self, view: &dyn View) -> Result<Vec<String>, Fault> {
        let mut stranded = Vec::new();
        for (merchant, backlog) in backlogs(view)? {
            let (mut from, to) = (books::text_key(&merchant, ""), prefix_end(&books::text_key(&merchant, "")));
            let mut found = 0;
            loop {
                let rows = view.range(Table::Relay, &from, &to, PAGE_ROWS)?;
                let Some((last, _)) = rows.last() else { break };
                from = [last.as_slice(), &[0]].concat();
                found += rows.len() as u64;
                for (key, row) in &rows {
                    let number = number_in(Table::Relay, key)?;
                    let (waiting, _): (Waiting, _) = unpack(Table::Relay, key, row)?;
                    let is_due = view.get(Table::RelayDue, &due_key(&merchant, &waiting, number))?.is_some();
                    let is_behind = match line_prefix(&merchant, &waiting) {
                        Some(prefix) => view
                            .range(Table::RelayLines, &prefix, &prefix_end(&prefix), 1)?
                            .first()
                            .is_some_and(|(first, _)| *first < numbered(prefix, number)),
                        None => false,
                    };
                    if !is_due && !is_behind {
                        stranded.push(format!("relay message {number} of {merchant} waits and would never be tried"));
                    }
                }
            }
            if found != backlog.messages {
                let counted = backlog.messages;
                stranded.push(format!("the relay of {merchant} counts {counted} messages and has {found}"));
            }
        }
        Ok(stranded)
    }

    /// What waits, by account, for `status`.
    pub fn relay_status(&self, view: &dyn View) -> Result<Vec<Value>, Fault> {
        let mut rows = Vec::new();
        for (merchant, backlog) in backlogs(view)?.into_iter().filter(|(_, backlog)| backlog.messages > 0) {
            let prefix = books::text_key(&merchant, "");
            let oldest = match view.range(Table::Relay, &prefix, &prefix_end(&prefix), 1)?.first() {
                Some((key, row)) => Some(unpack::<Waiting>(Table::Relay, key, row)?.0),
                None => None,
            };
            rows.push(json!({
                "merchant": merchant,
                "waiting": backlog.messages,
                "bytes": backlog.bytes,
                "oldest_kept_at": oldest.as_ref().map(|oldest| oldest.kept.wall),
                "last_attempt": oldest.and_then(|oldest| oldest.last).map(|last| last.text()),
            }));
        }
        Ok(rows)
    }

    /// One account's waiting messages behind number `after`, oldest first, without their bodies.
    pub fn relays(
        &self,
        view: &dyn View,
        merchant: &MerchantName,
        after: u64,
        limit: usize,
        now: Now,
    ) -> Result<Page, Fault> {
        let from = row_key(merchant, after.saturating_add(1));
        let rows = view.range(Table::Relay, &from, &prefix_end(&books::text_key(merchant, "")), limit)?;
        let mut items = Vec::new();
        let mut last = None;
        for (key, row) in &rows {
            let number = number_in(Table::Relay, key)?;
            let (waiting, inline): (Waiting, _) = unpack(Table::Relay, key, row)?;
            let is_first = view.get(Table::RelayDue, &due_key(merchant, &waiting, number))?.is_some();
            items.push(json!({
                "number": number,
                "id": id(number, &waiting.digest),
                "request_id": waiting.line,
                "bytes": waiting.size(inline),
                "kept_at": waiting.kept.wall,
                "attempts": waiting.attempts,
                "last_attempt": waiting.last.map(|last| last.text()),
                "next_attempt_at": is_first.then(|| now.wall_of(waiting.not_before)),
            }));
            last = Some(number);
        }
        Ok(Page { next: last.filter(|_| rows.len() == limit), items })
    }
}
