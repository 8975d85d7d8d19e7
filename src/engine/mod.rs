//! The daemon's verbs. Each reads a view, decides by the rules of `core`, and writes its decision
//! into a draft: one decision, one commit. `now` is always an argument.

pub mod alerts;
pub mod apply;
pub mod books;
pub mod route;
pub mod settle;

use crate::core::look::{Answer, Look};
use crate::core::policy::Policy;
use crate::core::submission::Submission;
use crate::store::{Draft, Fault, View};
use crate::wire::Keys;
use crate::words::id::{MerchantName, OrderNumber, PaymentNumber, RequestId};
use crate::words::time::{Now, Timestamp};

/// Everything the verbs need to know besides the store.
#[derive(Clone, Debug)]
pub struct Engine {
    pub policy: Policy,
    pub keys: Keys,
}

/// What became of a submission.
#[derive(Clone, PartialEq, Debug)]
pub enum Submitted {
    /// Kept for the first time.
    Created { number: PaymentNumber },
    /// The same was kept before; nothing changed.
    Same { number: PaymentNumber },
    /// The same, and it now has its gateway order number.
    Amended { number: PaymentNumber },
    /// The request-id stands for something else: kept as a discrepancy, the first stays.
    Conflict { number: PaymentNumber, field: &'static str },
    /// It can't be kept; `field` names what is wrong.
    Refused(Refusal),
}

/// Why an input can't be taken, in the shape of the interfaces' errors.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Refusal {
    pub error: String,
    pub field: Option<String>,
    pub hint: Option<String>,
}

/// What the gateway answered the shop when it submitted, told by the shop or seen by the proxy.
#[derive(Clone, PartialEq, Debug)]
pub struct ResponseSeen {
    pub merchant: MerchantName,
    pub request_id: RequestId,
    pub what: ResponseWhat,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ResponseWhat {
    /// An HTTP answer came.
    Answered { http_status: u16, body: String },
    /// The shop says it never sent the request.
    NotSent,
    /// The request went out and no answer came back.
    OutcomeUnknown,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Responded {
    Kept { number: PaymentNumber },
    UnknownRequest,
    Refused(Refusal),
}

/// A notification as it arrived, on whatever way.
#[derive(Clone, PartialEq, Debug)]
pub struct Incoming {
    pub merchant: MerchantName,
    pub body: Vec<u8>,
    /// The Content-Type header, kept for people; never believed.
    pub content_type: Option<String>,
    /// `http`, `spool`.
    pub way: &'static str,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Kept {
    /// Durable with the commit of this draft; `arrival` is its number in the inbox.
    Kept { arrival: u64 },
    /// The inbox is full: answer 503.
    Full,
}

/// What a turn of judging did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Judged {
    pub judged: usize,
    /// Whether more is waiting.
    pub more: bool,
}

/// One thing to send: a row first, an action second; at least once, with a stable id.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    pub number: u64,
    /// The same at every attempt.
    pub id: String,
    pub sink: Sink,
    pub payload: serde_json::Value,
    /// How often it was tried before.
    pub attempts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sink {
    Log,
    Webhook,
}

/// A page of a list: `{items, next}`.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Page {
    pub items: Vec<serde_json::Value>,
    /// Pass as `after` to go on; `None` at the end.
    pub next: Option<u64>,
}

impl Engine {
    /// To be called at every start, before anything else: journals the policy where it changed, ends
    /// the deaf interval since the last turn, and brings looks forward that it touches.
    pub fn started(&self, _draft: &mut Draft, _now: Now) -> Result<(), Fault> {
        unimplemented!()
    }

    pub fn submit(&self, _draft: &mut Draft, _submission: Submission, _now: Now) -> Result<Submitted, Fault> {
        unimplemented!()
    }

    pub fn respond(&self, _draft: &mut Draft, _response: ResponseSeen, _now: Now) -> Result<Responded, Fault> {
        unimplemented!()
    }

    /// Keeps a notification. Once the draft is committed, the sender may forget it.
    pub fn receive(&self, _draft: &mut Draft, _incoming: Incoming, _now: Now) -> Result<Kept, Fault> {
        unimplemented!()
    }

    /// Judges kept notifications, oldest first, at most `limit`.
    pub fn judge(&self, _draft: &mut Draft, _limit: usize, _now: Now) -> Result<Judged, Fault> {
        unimplemented!()
    }

    /// The looks that are due, new payments first, then oldest; at most `limit`, without those `skip` names.
    pub fn due(
        &self,
        _view: &dyn View,
        _now: Now,
        _limit: usize,
        _skip: &dyn Fn(PaymentNumber, &MerchantName) -> bool,
    ) -> Result<Vec<Look>, Fault> {
        unimplemented!()
    }

    /// When the next look, alert or job is due (steady clock); `None`: nothing is.
    pub fn next_due(&self, _view: &dyn View) -> Result<Option<Timestamp>, Fault> {
        unimplemented!()
    }

    /// What a look found.
    pub fn answered(&self, _draft: &mut Draft, _look: &Look, _answers: &[Answer], _now: Now) -> Result<(), Fault> {
        unimplemented!()
    }

    /// A merchant account's lane is stopped by its gateway (credentials, outage), or works again (`why` None).
    pub fn lane(
        &self,
        _draft: &mut Draft,
        _merchant: &MerchantName,
        _why: Option<&str>,
        _now: Now,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Brings the next look of a payment forward to now, for a person. Id: order number, request-id or transaction-id.
    pub fn ask(&self, _draft: &mut Draft, _id: &str, _now: Now) -> Result<Vec<PaymentNumber>, Fault> {
        unimplemented!()
    }

    /// What time alone brings: alerts that hold long enough or repeat, retention, a jumped clock.
    /// To be called about once a minute.
    pub fn tick(&self, _draft: &mut Draft, _now: Now) -> Result<(), Fault> {
        unimplemented!()
    }

    /// We could not take anything between the two times (503s, a stop): nothing sent then can be relied on.
    pub fn deaf(&self, _draft: &mut Draft, _from: Now, _to: Now, _why: &str) -> Result<(), Fault> {
        unimplemented!()
    }

    /// What must be sent now.
    pub fn deliveries(&self, _view: &dyn View, _now: Now, _limit: usize) -> Result<Vec<Delivery>, Fault> {
        unimplemented!()
    }

    /// How sending went.
    pub fn delivered(
        &self,
        _draft: &mut Draft,
        _number: u64,
        _outcome: Result<(), String>,
        _now: Now,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    // ---- readings: all return the JSON of the interfaces ----

    pub fn payment(
        &self,
        _view: &dyn View,
        _merchant: &MerchantName,
        _request_id: &RequestId,
        _now: Now,
    ) -> Result<Option<serde_json::Value>, Fault> {
        unimplemented!()
    }

    pub fn order(
        &self,
        _view: &dyn View,
        _merchant: &MerchantName,
        _order_number: &OrderNumber,
        _now: Now,
    ) -> Result<Option<serde_json::Value>, Fault> {
        unimplemented!()
    }

    /// What is not settled, oldest first, behind number `after`.
    pub fn open(&self, _view: &dyn View, _after: u64, _limit: usize, _now: Now) -> Result<Page, Fault> {
        unimplemented!()
    }

    pub fn journal(&self, _view: &dyn View, _after: u64, _limit: usize) -> Result<Page, Fault> {
        unimplemented!()
    }

    pub fn ledger(&self, _view: &dyn View, _after: u64, _limit: usize) -> Result<Page, Fault> {
        unimplemented!()
    }

    pub fn alerts(&self, _view: &dyn View, _after: u64, _limit: usize, _now: Now) -> Result<Page, Fault> {
        unimplemented!()
    }

    /// Everything known of an order, request-id or transaction-id, and why. Empty: no such id.
    pub fn explain(&self, _view: &dyn View, _id: &str, _now: Now) -> Result<Vec<serde_json::Value>, Fault> {
        unimplemented!()
    }

    pub fn status(&self, _view: &dyn View, _now: Now) -> Result<serde_json::Value, Fault> {
        unimplemented!()
    }
}
