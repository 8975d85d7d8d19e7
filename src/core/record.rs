//! The journal's records: all evidence and every outside event, in the order we learnt it.
//!
//! Everything else in the store follows from these, by `engine::apply`, which is a pure function of
//! what stood before and the record. So the same journal gives the same books, for any past day.
//! Bodies are not here: a record holds their digest and the allow-listed facts.

use serde::{Deserialize, Serialize};

use crate::core::look::Answer;
use crate::core::message::{Format, PaymentState, Scheme, Transaction};
use crate::core::operation::{Intent, Operator, Outcome};
use crate::core::policy::Policy;
use crate::core::relay::{Attempt, NotRelayed};
use crate::core::submission::{Submission, Teller};
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, RequestId};
use crate::words::time::{Now, SignedDuration, Timestamp};

/// One journal record with the time it was written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    pub now: Now,
    #[serde(flatten)]
    pub event: Event,
}

/// How far a notification may change the books.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Verified under the account's pinned scheme, covering every field we use; identity agrees.
    Fact,
    /// Its identity is true (a signature says so), its money is not covered.
    SignedHint,
    /// Anybody could have sent it.
    Hint,
    /// A check failed.
    Refuted,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The policy in force from here on.
    Policy { policy: Box<Policy> },
    /// A submission kept for the first time; adopts an orphan of the same request-id.
    Submitted {
        number: PaymentNumber,
        submission: Box<Submission>,
        /// An unauthenticated message had come before it.
        #[serde(default)]
        was_announced: bool,
        #[serde(default, skip_serializing_if = "Teller::is_shop")]
        told_by: Teller,
        /// The merchant account the request itself named, where the proxy saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_to: Option<String>,
    },
    /// The gateway order number came later.
    Amended { number: PaymentNumber, gateway_order_number: GatewayOrderNumber },
    /// The shop told of a request that the proxy had seen before: the submission as it is with what was missing.
    Filled { number: PaymentNumber, submission: Box<Submission> },
    /// The same request-id with other content; the first stays.
    Conflicted { number: PaymentNumber, field: String, offered: String },
    /// What the gateway answered the shop: a hint with ids.
    Responded {
        number: PaymentNumber,
        outcome: ResponseOutcome,
        http_status: Option<u16>,
        digest: Option<String>,
        transactions: Vec<Transaction>,
    },
    /// The recording proxy passes an operation of the shop's on a payment that is no submission of its own: written
    /// before its first byte goes out, and again with what became of it.
    Passed {
        number: PaymentNumber,
        operation: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<PassedOutcome>,
    },
    /// The recording proxy passes a submission again that was given up, or that was not sent the last time.
    Again { number: PaymentNumber },
    /// The recording proxy passed requests of an account that were not kept in time.
    Unkept(Unkept),
    /// A person has an operation sent. Written before its first byte goes out: its outcome is unknown from here on.
    /// `number` is the payment it belongs to; its own number is this record's.
    Operated { number: PaymentNumber, intent: Box<Intent> },
    /// What became of an operation, as far as its sender or (`by`) a person can tell.
    Concluded {
        number: PaymentNumber,
        operation: u64,
        outcome: Outcome,
        http_status: Option<u16>,
        digest: Option<String>,
        /// What a reply states that nothing else will: a payout.
        transactions: Vec<Transaction>,
        by: Option<Operator>,
    },
    /// A notification, judged.
    Notified(Box<Notified>),
    /// Messages for a payment that no longer fit its allowance went to the ring; counted here once.
    Overflowed { number: PaymentNumber },
    /// A look and its answers. `number` is the payment that was asked about.
    Looked {
        number: PaymentNumber,
        answers: Vec<Answer>,
        /// When it was asked (steady clock), where that decides what it may have seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_at: Option<Timestamp>,
    },
    /// A person asked for a look now.
    Asked { number: PaymentNumber },
    /// The time of an unaskable payment is over.
    TimeOver { number: PaymentNumber },
    /// A merchant account's gateway can't be asked, or can again (`why` is null).
    Lane { merchant: MerchantName, why: Option<String> },
    /// We could not hear between the two readings of the clock.
    Deaf { from: Now, to: Now, why: String },
    /// Payments whose notification may have been sent into a deaf interval: looked at at once.
    Swept { why: String, numbers: Vec<PaymentNumber> },
    /// The wall clock moved against elapsed time by this much.
    ClockJumped { by: SignedDuration },
    /// A forged message was counted: at most one record a minute per account, with the number since.
    Forged { merchant: MerchantName, count: u64 },
    /// An alert is told again.
    Repeated { alert: u64 },
    /// A condition without a payment ended.
    Resolved { alert: u64 },
    /// A telling was delivered, or failed and is tried again.
    Told { telling: u64, error: Option<String> },
    /// A nightly report that is due could not be written.
    Unreported { why: String },
    /// A nightly report was written.
    Reported { day: jiff::civil::Date, is_final: bool, inputs: String, sha256: String },
    /// A shop's order list was imported to its end. `file` stands for its bytes and how they were read; what
    /// contradicts an earlier submission (`conflicts`) or can't be one (`refused`) was skipped.
    Imported { file: String, name: String, rows: u64, created: u64, conflicts: u64, refused: u64 },
    /// What the shop's own listener said to a message that was passed on to it, where it differs from what
    /// it said at the attempt before. `digest` is that of the body, `attempts` counts from 1.
    Relayed { number: PaymentNumber, digest: String, attempts: u32, answer: Attempt },
    /// A message is not passed on to the shop, or no longer.
    NotRelayed { number: PaymentNumber, merchant: MerchantName, digest: String, why: NotRelayed },
    /// Messages of requests nobody submitted: how many the shop took, how many were not passed on, and how many it
    /// refused until they were old, since the last such record; at most one a minute per account.
    RelayedOthers {
        merchant: MerchantName,
        accepted: u64,
        lost: u64,
        /// Refused by the shop until they were older than `alert_after`; not tried any more.
        #[serde(default)]
        refused: u64,
    },
    /// The shop's own listener does not take messages, or does again (`why` is null).
    Relay { merchant: MerchantName, why: Option<String> },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseOutcome {
    Answered,
    NotSent,
    Unknown,
}

/// What became of an operation that passed, as far as its answer tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PassedOutcome {
    /// The record of its sending; `None` where that was not durable in time.
    pub of: Option<u64>,
    pub outcome: ResponseOutcome,
    pub http_status: Option<u16>,
}

/// Requests that went to the gateway although nothing of them was durable: `fail-open`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unkept {
    pub merchant: MerchantName,
    /// The first and the last of them.
    pub from: Timestamp,
    pub to: Timestamp,
    /// Kept since, from memory: they are watched like all others.
    pub kept_late: u64,
    /// Nothing of them was kept: nobody looks after them.
    pub lost: u64,
    /// Why the last of them was not kept in time.
    pub why: String,
}

/// A judged notification.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notified {
    /// The payment it is about; orphans are made for verified messages nobody submitted for.
    pub number: PaymentNumber,
    pub merchant: MerchantName,
    /// The request-id it was matched by, where the payment is new.
    pub request_id: RequestId,
    pub way: String,
    /// When it was kept, which is before this record was written.
    pub kept: Now,
    pub digest: String,
    pub bytes: u64,
    pub format: Format,
    pub scheme: Option<Scheme>,
    pub weight: Weight,
    /// Why it was refuted or not believed.
    pub remark: Option<String>,
    pub transactions: Vec<Transaction>,
    pub payment_state: Option<PaymentState>,
    /// Only of messages that a digest vouches for.
    pub gateway_order_number: Option<GatewayOrderNumber>,
    pub error_code: Option<String>,
}

impl Event {
    /// The payment a record is evidence about.
    pub fn payment(&self) -> Option<PaymentNumber> {
        match self {
            Event::Submitted { number, .. }
            | Event::Amended { number, .. }
            | Event::Filled { number, .. }
            | Event::Conflicted { number, .. }
            | Event::Responded { number, .. }
            | Event::Passed { number, .. }
            | Event::Again { number }
            | Event::Operated { number, .. }
            | Event::Concluded { number, .. }
            | Event::Overflowed { number }
            | Event::Looked { number, .. }
            | Event::Asked { number }
            | Event::TimeOver { number }
            | Event::Relayed { number, .. }
            | Event::NotRelayed { number, .. } => Some(*number),
            Event::Notified(notified) => Some(notified.number),
            Event::Policy { .. }
            | Event::Lane { .. }
            | Event::Deaf { .. }
            | Event::Swept { .. }
            | Event::ClockJumped { .. }
            | Event::Forged { .. }
            | Event::Unkept(_)
            | Event::Repeated { .. }
            | Event::Resolved { .. }
            | Event::Told { .. }
            | Event::Unreported { .. }
            | Event::Reported { .. }
            | Event::Imported { .. }
            | Event::RelayedOthers { .. }
            | Event::Relay { .. } => None,
        }
    }
}
