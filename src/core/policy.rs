//! How the daemon is told to behave: journaled whenever it changes, so that the same journal gives the
//! same books for any past day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::account::Accounts;
use crate::core::relay::RelayPolicy;
use crate::core::schedule::Schedule;
use crate::words::id::MerchantName;
use crate::words::money::Amount;
use crate::words::time::SignedDuration;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Policy {
    pub accounts: Accounts,
    pub schedule: Schedule,
    pub alerts: AlertPolicy,
    pub report: ReportPolicy,
    pub keeping: Keeping,
    /// Accounts whose notifications are passed on to the shop's own listener.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relays: BTreeMap<MerchantName, RelayPolicy>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlertPolicy {
    /// A hand-over of at least this much pages at once, one line per currency.
    pub large: Vec<Amount>,
    /// A firing alert that nobody acknowledged is told again after this long.
    pub repeat_after: SignedDuration,
    /// Where alerts go besides the log.
    pub webhook: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReportPolicy {
    /// IANA name of the zone whose civil days are the business days.
    pub time_zone: String,
    /// Civil time of day at which the report of the day before is written, `HH:MM`.
    pub at: String,
    /// Days after which a day's report is final.
    pub final_after_days: u32,
}

/// Bounds on what is kept besides the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Keeping {
    /// Messages waiting to be judged, in rows; beyond it intake answers 503.
    pub inbox_max_rows: u64,
    /// Slots of the ring for unauthenticated messages.
    pub ring_slots: u64,
    /// Messages journaled per request-id that no signature vouches for; further ones go to the ring.
    pub unverified_max_per_request: u32,
    /// How long raw bodies are kept.
    pub bodies_for: SignedDuration,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        AlertPolicy { large: Vec::new(), repeat_after: SignedDuration::from_hours(4), webhook: false }
    }
}

impl Default for ReportPolicy {
    fn default() -> Self {
        ReportPolicy { time_zone: "UTC".into(), at: "02:30".into(), final_after_days: 3 }
    }
}

impl Default for Keeping {
    fn default() -> Self {
        Keeping {
            inbox_max_rows: 100_000,
            ring_slots: 4096,
            unverified_max_per_request: 32,
            bodies_for: SignedDuration::from_hours(24 * 90),
        }
    }
}
