//! The reconciled order ledger: append-only, corrected by reversing entries, with two times each.

use serde::{Deserialize, Serialize};

use crate::core::booking::{Booking, Kind};
use crate::core::known::Known;
use crate::words::id::{MerchantName, OrderNumber, PaymentNumber, RequestId, TransactionId};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// One line of the ledger. Never changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    pub merchant: MerchantName,
    pub order_number: Option<OrderNumber>,
    pub request_id: RequestId,
    pub transaction_id: TransactionId,
    pub kind: Kind,
    pub amount: Amount,
    /// When it happened, by the gateway's clock; by ours where it does not say.
    pub occurred_at: Timestamp,
    /// When we learnt it.
    pub learnt_at: Timestamp,
    /// The journal record that says so.
    pub evidence: u64,
    /// The entry this one takes back.
    pub reverses: Option<u64>,
}

/// One change the ledger needs for a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posting {
    /// Take back what is booked.
    Reverse(Booking),
    Book(Kind, Amount),
}

/// What must be posted so that the ledger says what we know of one transaction.
///
/// `is_ours`: there is a submission behind it. What is not ours is never booked.
pub fn postings(known: &Known, is_ours: bool) -> Vec<Posting> {
    let wanted = (is_ours && known.stands())
        .then(|| Some((Kind::of(known.meaning)?, known.amount()?)))
        .flatten()
        .filter(|(_, amount)| !amount.is_zero());
    match (known.booked, wanted) {
        (Some(booked), Some((kind, amount))) if booked.kind == kind && booked.amount == amount => Vec::new(),
        (Some(booked), Some((kind, amount))) => vec![Posting::Reverse(booked), Posting::Book(kind, amount)],
        (Some(booked), None) => vec![Posting::Reverse(booked)],
        (None, Some((kind, amount))) => vec![Posting::Book(kind, amount)],
        (None, None) => Vec::new(),
    }
}

/// The dense number of the payment whose known transaction an entry belongs to, with the entry: what
/// the fold hands to the store.
#[derive(Clone, Debug)]
pub struct Posted {
    pub payment: PaymentNumber,
    pub entry: Entry,
}

/// Column names of the exports, in order.
pub const COLUMNS: [&str; 12] = [
    "seq",
    "merchant",
    "order_number",
    "request_id",
    "transaction_id",
    "kind",
    "amount",
    "currency",
    "occurred_at",
    "learnt_at",
    "evidence",
    "reverses",
];

/// The fields of an entry as the exports print them, in the order of [`COLUMNS`].
pub fn fields(entry: &Entry) -> [String; 12] {
    [
        entry.seq.to_string(),
        entry.merchant.to_string(),
        entry.order_number.as_ref().map(ToString::to_string).unwrap_or_default(),
        entry.request_id.to_string(),
        entry.transaction_id.to_string(),
        entry.kind.name().to_owned(),
        entry.amount.value_text(),
        entry.amount.currency().to_string(),
        entry.occurred_at.to_string(),
        entry.learnt_at.to_string(),
        entry.evidence.to_string(),
        entry.reverses.map(|seq| seq.to_string()).unwrap_or_default(),
    ]
}

/// A text as a CSV cell that no spreadsheet runs: what would start a formula gets a `'` in front
/// (OWASP ASVS 1.2.10). Numeric columns are never passed through here.
pub fn harmless(text: &str) -> String {
    let dangerous = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.starts_with(dangerous) { format!("'{text}") } else { text.to_owned() }
}

/// The entry as JSON Lines print it: the columns as keys, numbers for `seq`, `evidence`, `reverses`,
/// null where a column is empty, the amount as text.
pub fn json(entry: &Entry) -> serde_json::Value {
    serde_json::json!({
        "seq": entry.seq,
        "merchant": entry.merchant,
        "order_number": entry.order_number,
        "request_id": entry.request_id,
        "transaction_id": entry.transaction_id,
        "kind": entry.kind,
        "amount": entry.amount.value_text(),
        "currency": entry.amount.currency(),
        "occurred_at": entry.occurred_at,
        "learnt_at": entry.learnt_at,
        "evidence": entry.evidence,
        "reverses": entry.reverses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::meaning::Meaning;
    use crate::core::message::Transaction;

    fn known(meaning: Meaning, value: &str, booked: Option<Booking>) -> Known {
        Known {
            id: TransactionId::new("t").expect("id"),
            meaning,
            superseded: false,
            vanished: false,
            evidence: 1,
            learnt_at: Timestamp::UNIX_EPOCH,
            booked,
            transaction: Transaction {
                amount: Some(Amount::parse(value, "EUR").expect("money").into()),
                ..Transaction::default()
            },
        }
    }

    #[test]
    fn the_ledger_is_corrected_by_reversing_entries_only() {
        let ten = Amount::parse("10", "EUR").expect("money");
        let provisional = Booking { seq: 1, kind: Kind::InProvisional, amount: ten };
        assert_eq!(
            postings(&known(Meaning::InProvisional, "10", None), true),
            [Posting::Book(Kind::InProvisional, ten)]
        );
        assert_eq!(postings(&known(Meaning::InProvisional, "10.00", Some(provisional)), true), []);
        assert_eq!(
            postings(&known(Meaning::In, "10", Some(provisional)), true),
            [Posting::Reverse(provisional), Posting::Book(Kind::In, ten)]
        );
        let vanished = Known { vanished: true, ..known(Meaning::In, "10", Some(provisional)) };
        assert_eq!(postings(&vanished, true), [Posting::Reverse(provisional)]);
        assert_eq!(postings(&known(Meaning::In, "10", None), false), [], "what is not ours is never booked");
        assert_eq!(postings(&known(Meaning::Pending, "10", None), true), []);
    }

    #[test]
    fn cells_never_start_a_formula() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("R-1"), "R-1");
    }
}
