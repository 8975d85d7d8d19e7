//! Conditions a person must know about.

use serde::{Deserialize, Serialize};

use crate::core::discrepancy::Severity;
use crate::words::id::{MerchantName, PaymentNumber, RequestId};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// Members named in one alert; more are counted, and found by `open`.
pub const MEMBERS_MAX: usize = 100;

/// What an alert is about. The names are part of the interfaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Payments that nobody can be asked about, grouped per account and day.
    HandedOver,
    /// One such payment, large enough to page by itself.
    HandedOverLarge,
    /// Pending for more than two weeks.
    Frozen,
    /// The books disagree about a payment.
    Discrepancy,
    /// A merchant account's gateway can't be asked: credentials, rights or an outage.
    LaneStopped,
    /// Messages whose signature is wrong come in.
    Forgeries,
    /// We could not hear for a while.
    Deaf,
    /// The wall clock jumped.
    Clock,
    /// An imported list contradicts what was submitted before.
    Import,
    /// The shop's own listener does not take what is passed on to it.
    Relay,
    /// The recording proxy passed requests that were not kept.
    Unkept,
    /// Nobody knows whether an operation that moves money took effect.
    OperationUnknown,
    /// A nightly report that is due can't be written.
    Report,
}

impl Topic {
    pub fn name(self) -> &'static str {
        match self {
            Topic::HandedOver => "handed-over",
            Topic::HandedOverLarge => "handed-over-large",
            Topic::Frozen => "frozen",
            Topic::Discrepancy => "discrepancy",
            Topic::LaneStopped => "lane-stopped",
            Topic::Forgeries => "forgeries",
            Topic::Deaf => "deaf",
            Topic::Clock => "clock",
            Topic::Import => "import",
            Topic::Relay => "relay",
            Topic::Unkept => "unkept",
            Topic::OperationUnknown => "operation-unknown",
            Topic::Report => "report",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

/// One alert, from the moment it fires until it is resolved; kept afterwards as history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alert {
    pub number: u64,
    /// The same condition has the same key: it fires once.
    pub key: String,
    pub topic: Topic,
    pub severity: Severity,
    pub merchant: Option<MerchantName>,
    pub summary: String,
    /// A sample of the payments it is about, the first ones.
    pub members: Vec<Member>,
    /// Payments it is about now; of news, how often they came since it fired.
    pub count: u64,
    /// Money at stake in all, one sum per currency.
    pub at_stake: Vec<Amount>,
    pub status: Status,
    pub fired_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    /// Steady time at which it was last told.
    pub told_at: Timestamp,
    /// Steady time after which it is over by itself: news rather than a lasting condition.
    pub ends_at: Option<Timestamp>,
    /// What was counted since it fired, of [`Topic::Unkept`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// Requests that passed without being kept in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// The first and the last of them.
    pub from: Timestamp,
    pub to: Timestamp,
    pub kept_late: u64,
    pub lost: u64,
}

impl Tally {
    pub fn and(self, more: Tally) -> Tally {
        Tally {
            from: self.from.min(more.from),
            to: self.to.max(more.to),
            kept_late: self.kept_late.saturating_add(more.kept_late),
            lost: self.lost.saturating_add(more.lost),
        }
    }
}

/// A payment an alert is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    pub number: PaymentNumber,
    pub request_id: RequestId,
    pub order_number: Option<String>,
    pub amount: Option<Amount>,
    pub note: Option<String>,
}

impl Alert {
    /// The id that is the same at every telling of this firing.
    pub fn id(&self) -> String {
        format!("alert-{}", self.number)
    }

    /// Adds to the money at stake (or takes from it, with a negative amount).
    pub fn stake(&mut self, amount: Amount) {
        match self.at_stake.iter_mut().find(|s| s.currency() == amount.currency()) {
            Some(sum) => *sum = sum.checked_add(amount).unwrap_or(*sum),
            None => self.at_stake.push(amount),
        }
        self.at_stake.retain(|sum| !sum.is_zero());
    }

    /// The alert as the interfaces and the webhook print it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id(),
            "key": self.key,
            "topic": self.topic,
            "severity": self.severity,
            "status": self.status,
            "merchant": self.merchant,
            "summary": self.summary,
            "at_stake": self.at_stake,
            "count": self.count,
            "members": self.members,
            "fired_at": self.fired_at,
            "resolved_at": self.resolved_at,
        })
    }
}

/// What becomes of an alert that fires, as told to people.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Telling {
    pub number: u64,
    /// Stable over all attempts of this telling.
    pub id: String,
    pub sink: Sink,
    pub alert: u64,
    /// What is told: that it fires, or that it is over.
    pub status: Status,
    pub attempts: u32,
    /// Steady time before which it is not tried again.
    pub not_before: Timestamp,
}

/// Where something is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sink {
    Log,
    Webhook,
}
