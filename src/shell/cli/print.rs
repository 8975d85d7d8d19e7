//! Answers for people and machines, line by line. Texts that came from outside are shown without the characters
//! that could move a terminal's cursor or reorder a line.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::columns::hung;
use super::screen;
use crate::core::ledger;
use crate::engine::explain;
use crate::words::money::parse_decimal;

pub fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A closed pipe (`| head`) is no failure of ours.
pub fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Text that has its own line ends.
pub fn text(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// One value as plain text; nothing for null.
pub fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    safe(&text)
}

/// A text from outside that can't move a cursor or reorder a line.
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

/// Control characters, and those that change the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What `explain` found, in the engine's own sentences.
pub fn explanation(found: &Value) {
    let stories = found["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    for sentence in explain::text(stories).lines().map(safe) {
        match screen::width() {
            Some(width) => hung(&sentence, width).iter().for_each(|part| line(part)),
            None => line(&sentence),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LedgerFormat {
    Csv,
    /// JSON Lines.
    Jsonl,
}

pub struct LedgerOut<W: Write> {
    kind: Kind<W>,
}

enum Kind<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W),
}

impl<W: Write> LedgerOut<W> {
    pub fn new(format: LedgerFormat, out: W) -> LedgerOut<W> {
        let kind = match format {
            LedgerFormat::Csv => Kind::Csv(Box::new(csv::Writer::from_writer(out))),
            LedgerFormat::Jsonl => Kind::Jsonl(out),
        };
        LedgerOut { kind }
    }

    /// The header, where the format has one.
    pub fn begin(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Csv(out) => out.write_record(ledger::COLUMNS).map_err(io::Error::other),
            Kind::Jsonl(_) => Ok(()),
        }
    }

    pub fn entry(&mut self, entry: &Value) -> io::Result<()> {
        match &mut self.kind {
            Kind::Csv(out) => {
                let cells = ledger::COLUMNS.map(|column| cell(&entry[column]));
                out.write_record(cells).map_err(io::Error::other)
            }
            Kind::Jsonl(out) => {
                // Written by hand, because the columns have an order.
                let pairs = ledger::COLUMNS.map(|column| format!("{}:{}", Value::from(column), entry[column]));
                writeln!(out, "{{{}}}", pairs.join(","))
            }
        }
    }

    pub fn into_inner(self) -> io::Result<W> {
        match self.kind {
            Kind::Csv(out) => out.into_inner().map_err(|e| io::Error::other(e.to_string())),
            Kind::Jsonl(out) => Ok(out),
        }
    }
}

/// A cell that no spreadsheet takes for a formula. Amounts stay numbers.
fn cell(value: &Value) -> String {
    let text = plain(value);
    if parse_decimal(&text).is_ok() { text } else { ledger::harmless(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry() -> Value {
        json!({"seq": 1, "merchant": "shop-eu", "order_number": "=HYPERLINK(1)", "request_id": "a,b",
            "transaction_id": null, "kind": "in", "amount": "-12.50", "currency": "EUR",
            "occurred_at": "2026-03-01T12:00:00Z", "learnt_at": "2026-03-01T12:00:01Z", "evidence": 7, "reverses": null})
    }

    #[test]
    fn the_ledger_goes_out_in_its_columns() {
        let export = |format| {
            let mut out = LedgerOut::new(format, Vec::new());
            out.begin().expect("written");
            out.entry(&entry()).expect("written");
            String::from_utf8(out.into_inner().expect("flushed")).expect("text")
        };
        assert_eq!(
            export(LedgerFormat::Csv),
            "seq,merchant,order_number,request_id,transaction_id,kind,amount,currency,occurred_at,learnt_at,evidence,reverses\n\
             1,shop-eu,'=HYPERLINK(1),\"a,b\",,in,-12.50,EUR,2026-03-01T12:00:00Z,2026-03-01T12:00:01Z,7,\n"
        );
        let lines = export(LedgerFormat::Jsonl);
        assert!(lines.starts_with("{\"seq\":1,\"merchant\":\"shop-eu\",\"order_number\":\"=HYPERLINK(1)\""), "{lines}");
        assert_eq!(serde_json::from_str::<Value>(&lines).expect("json"), entry());
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        assert_eq!(plain(&json!("a\u{1b}[2Jb\u{202e}c\n")), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
    }
}
