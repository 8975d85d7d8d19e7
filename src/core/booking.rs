//! The kinds of ledger entries, and what stands booked for one transaction.

use serde::{Deserialize, Serialize};

use crate::core::meaning::Meaning;
use crate::words::money::Amount;

/// What an entry is about. Amounts are positive in the kind's own sense; a reversing entry has the
/// kind of what it reverses and the other sign, so that the sum per kind is always the net.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `checkout` assured it; its books were not seen.
    Accepted,
    /// Held.
    Reserved,
    /// A hold given back.
    Released,
    /// In, and may still go back by the way it came.
    InProvisional,
    In,
    Refund,
    Return,
    Chargeback,
    Credit,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Accepted,
        Kind::Reserved,
        Kind::Released,
        Kind::InProvisional,
        Kind::In,
        Kind::Refund,
        Kind::Return,
        Kind::Chargeback,
        Kind::Credit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Accepted => "accepted",
            Kind::Reserved => "reserved",
            Kind::Released => "released",
            Kind::InProvisional => "in_provisional",
            Kind::In => "in",
            Kind::Refund => "refund",
            Kind::Return => "return",
            Kind::Chargeback => "chargeback",
            Kind::Credit => "credit",
        }
    }

    /// The kind a meaning is booked under; `None` where no money moves.
    pub fn of(meaning: Meaning) -> Option<Kind> {
        match meaning {
            Meaning::Accepted => Some(Kind::Accepted),
            Meaning::Reserved => Some(Kind::Reserved),
            Meaning::Released => Some(Kind::Released),
            Meaning::InProvisional => Some(Kind::InProvisional),
            Meaning::In => Some(Kind::In),
            Meaning::Refund => Some(Kind::Refund),
            Meaning::Return => Some(Kind::Return),
            Meaning::Chargeback => Some(Kind::Chargeback),
            Meaning::Credit => Some(Kind::Credit),
            Meaning::Step
            | Meaning::Pending
            | Meaning::Silence
            | Meaning::Failed
            | Meaning::CalledOff
            | Meaning::Gone
            | Meaning::Unknown => None,
        }
    }
}

/// What the ledger now holds for one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Booking {
    pub seq: u64,
    pub kind: Kind,
    pub amount: Amount,
}
