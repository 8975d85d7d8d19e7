//! The tables. Names and keys are part of the stored format (`docs/store.md`): never reuse a name.

/// One table of the store.
///
/// Numbers in keys are big-endian, so that byte order is number order. `0x00` ends a text in a
/// composed key: texts hold no control characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Text → small values: format, instance, clock, slots of the nightly jobs, counters.
    Meta,
    /// Sequence u64, from 1 without gaps → record. Append-only, hash-chained: the truth.
    Journal,
    /// Payment number u64 → payment.
    Payments,
    /// merchant 0 request-id → payment number.
    ByRequest,
    /// merchant 0 transaction-id → payment number.
    ByTransaction,
    /// merchant 0 order number 0 payment number → empty.
    ByOrder,
    /// merchant 0 gateway order number → payment number.
    ByGatewayOrder,
    /// lane u8 (0 first looks, 1 others, 2 no look: a time that passes), merchant 0, look at (ms since
    /// 1970, u64), payment number u64 → what the retriever needs to know.
    Due,
    /// Payment number u64 → empty: every payment that is not settled.
    Open,
    /// Payment number u64, journal sequence u64 → empty: the evidence of a payment.
    Evidence,
    /// Ledger sequence u64, from 1 without gaps → entry.
    Ledger,
    /// Civil day (days since 1970, u32) of learning, ledger sequence u64 → empty.
    LedgerByDay,
    /// merchant 0 order number 0 ledger sequence u64 → empty.
    LedgerByOrder,
    /// Civil day u32, payment number u64 → empty: payments that got a discrepancy on that day.
    DiscrepanciesByDay,
    /// Alert number u64 → alert.
    Alerts,
    /// Deduplication key of an alert that is not resolved → alert number.
    AlertsByKey,
    /// Delivery number u64 → what must be sent.
    Outbox,
    /// Civil day (days since 1970, u32), provisional 0 or final 1 → the report written for it.
    Reports,
    /// Arrival number u64 → a message that is kept and not judged. Not rebuilt from the journal.
    Inbox,
    /// Journal sequence u64 → raw body, bounded and erasable. Not rebuilt from the journal.
    Bodies,
    /// Slot u64 → unauthenticated message, overwritten in turn. Not rebuilt from the journal.
    Ring,
    /// merchant 0 request-id → newest slot of the ring that names it. Not rebuilt from the journal.
    RingByRequest,
    /// merchant 0 relay number u64 → a message that is passed on to the shop, until the shop took it. Not rebuilt
    /// from the journal.
    Relay,
    /// merchant 0 SHA-256 of the request-id (hex) 0 relay number u64 → empty: messages of one request in their
    /// order. Not rebuilt from the journal.
    RelayLines,
    /// merchant 0 rank u8 (0 of payments we know, 1 others), not before (ms since 1970, u64), relay number u64 →
    /// empty: the first of each line. Not rebuilt from the journal.
    RelayDue,
    /// As [`Table::Relay`] → the body of the message. Not rebuilt from the journal.
    RelayBodies,
}

impl Table {
    pub const ALL: [Table; 26] = [
        Table::Meta,
        Table::Journal,
        Table::Payments,
        Table::ByRequest,
        Table::ByTransaction,
        Table::ByOrder,
        Table::ByGatewayOrder,
        Table::Due,
        Table::Open,
        Table::Evidence,
        Table::Ledger,
        Table::LedgerByDay,
        Table::LedgerByOrder,
        Table::DiscrepanciesByDay,
        Table::Alerts,
        Table::AlertsByKey,
        Table::Outbox,
        Table::Reports,
        Table::Inbox,
        Table::Bodies,
        Table::Ring,
        Table::RingByRequest,
        Table::Relay,
        Table::RelayLines,
        Table::RelayDue,
        Table::RelayBodies,
    ];

    /// Tables that stores made by earlier versions lack: made at the next opening.
    pub const ADDED: [Table; 4] = [Table::Relay, Table::RelayLines, Table::RelayDue, Table::RelayBodies];

    /// The name in the stored file.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Journal => "journal",
            Table::Payments => "payments",
            Table::ByRequest => "by_request",
            Table::ByTransaction => "by_transaction",
            Table::ByOrder => "by_order",
            Table::ByGatewayOrder => "by_gateway_order",
            Table::Due => "due",
            Table::Open => "open",
            Table::Evidence => "evidence",
            Table::Ledger => "ledger",
            Table::LedgerByDay => "ledger_by_day",
            Table::LedgerByOrder => "ledger_by_order",
            Table::DiscrepanciesByDay => "discrepancies_by_day",
            Table::Alerts => "alerts",
            Table::AlertsByKey => "alerts_by_key",
            Table::Outbox => "outbox",
            Table::Reports => "reports",
            Table::Inbox => "inbox",
            Table::Bodies => "bodies",
            Table::Ring => "ring",
            Table::RingByRequest => "ring_by_request",
            Table::Relay => "relay",
            Table::RelayLines => "relay_lines",
            Table::RelayDue => "relay_due",
            Table::RelayBodies => "relay_bodies",
        }
    }

    /// The table behind this one in the order of [`Table::ALL`].
    pub fn next(self) -> Option<Table> {
        Table::ALL.get(self as usize + 1).copied()
    }

    /// Whether `rebuild` makes this table again from the journal, and `check` compares it.
    pub fn is_projection(self) -> bool {
        !matches!(
            self,
            Table::Meta
                | Table::Journal
                | Table::Inbox
                | Table::Bodies
                | Table::Ring
                | Table::RingByRequest
                | Table::Relay
                | Table::RelayLines
                | Table::RelayDue
                | Table::RelayBodies
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_are_listed_once_in_their_order() {
        for (n, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, n, "{table:?}");
        }
        let names: std::collections::BTreeSet<_> = Table::ALL.iter().map(|table| table.name()).collect();
        assert_eq!(names.len(), Table::ALL.len());
    }
}
