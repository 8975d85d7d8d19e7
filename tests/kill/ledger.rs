//! The daemon's journal as read from outside, beside what the clients remember.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::daemon::Life;
use crate::load::Acknowledged;

const PAGE_ITEMS: u64 = 1000;

/// What the journal said.
#[derive(Default)]
pub struct Books {
    /// The last record read.
    sequence: u64,
    /// Every record, as printed.
    records: Vec<String>,
    submissions: BTreeMap<(String, String), Value>,
    /// Digest of a judged notification: how often it was judged.
    judged: BTreeMap<String, u64>,
}

impl Books {
    /// The whole journal, read anew.
    pub fn whole(life: &Life) -> Books {
        let mut books = Books::default();
        books.read_new(life);
        books
    }

    /// Reads what the journal says since the last time, until every acknowledged notification is judged.
    /// Returns how many were judged in this life only: kept by one that was killed before it judged them.
    pub fn read_on(&mut self, life: &Life, acknowledged: &Acknowledged, within: Duration) -> u64 {
        let since = Instant::now();
        let mut judged_now = 0;
        loop {
            judged_now += self.read_new(life);
            let waits = acknowledged.notifications.keys().any(|digest| !self.judged.contains_key(digest));
            if !waits || since.elapsed() > within {
                return judged_now;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns how many notifications were judged behind the last start that found its store in use before.
    fn read_new(&mut self, life: &Life) -> u64 {
        let mut judged_now = 0;
        loop {
            let path = format!("/v1/journal?after={}&limit={PAGE_ITEMS}", self.sequence);
            let (status, page) = life.ask("GET", &path, "");
            assert_eq!(status, 200, "{page}");
            for record in page["items"].as_array().expect("items") {
                judged_now = self.take(record, judged_now);
            }
            if page["next"].is_null() {
                return judged_now;
            }
        }
    }

    fn take(&mut self, record: &Value, judged_now: u64) -> u64 {
        let sequence = record["seq"].as_u64().expect("a sequence");
        assert_eq!(sequence, self.sequence + 1, "the journal has a gap");
        self.sequence = sequence;
        self.records.push(record.to_string());
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        match record["event"].as_str() {
            // A life begins: what is judged from here on, before any load, an earlier one had kept.
            Some("deaf") => 0,
            Some("submitted") => {
                let submission = &record["submission"];
                let key = (text(&submission["merchant"]), text(&submission["request_id"]));
                let before = self.submissions.insert(key, submission.clone());
                assert!(before.is_none(), "{submission} was kept twice");
                judged_now
            }
            Some("notified") => {
                *self.judged.entry(text(&record["digest"])).or_default() += 1;
                judged_now + 1
            }
            _ => judged_now,
        }
    }

    /// Everything acknowledged is here: submissions once and with their content, notifications judged once.
    pub fn expect_all(&self, acknowledged: &Acknowledged, seed: u64, cycle: u64) {
        for (key, sent) in &acknowledged.submissions {
            let Some(kept) = self.submissions.get(key) else {
                panic!("submission {key:?} was acknowledged and is lost (seed {seed}, cycle {cycle})")
            };
            for field in ["order_number", "transaction_type", "payment_method"] {
                assert_eq!(kept[field], sent[field], "{field} of {key:?} (seed {seed}, cycle {cycle})");
            }
            // Custom fields may name people: only their digests are kept.
            let custom = digests(&sent["custom_fields"]);
            assert_eq!(kept["custom_fields"], custom, "custom_fields of {key:?} (seed {seed}, cycle {cycle})");
            for field in ["amount", "currency"] {
                let amount = &kept["amount"];
                let found = if amount.is_object() {
                    &amount[if field == "amount" { "value" } else { field }]
                } else {
                    &kept[field]
                };
                assert_eq!(found, &sent[field], "{field} of {key:?} (seed {seed}, cycle {cycle}): {kept}");
            }
        }
        for (digest, path) in &acknowledged.notifications {
            let times = self.judged.get(digest).copied().unwrap_or(0);
            assert_eq!(
                times, 1,
                "a notification to {path} was acknowledged and judged {times} times (seed {seed}, cycle {cycle})"
            );
        }
    }

    /// What was read life by life is still there, word for word.
    pub fn expect_prefix(&self, before: &Books) {
        assert!(self.records.starts_with(&before.records), "the journal's past changed");
    }
}

/// An object of texts with each text replaced by its SHA-256.
fn digests(fields: &Value) -> Value {
    let Some(fields) = fields.as_object() else { return Value::Null };
    let digest = |value: &Value| -> String {
        let bytes = Sha256::digest(value.as_str().expect("text").as_bytes());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    fields
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(digest(value))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
