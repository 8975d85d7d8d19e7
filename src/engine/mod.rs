//! The daemon's verbs. Each reads a view, decides by the rules of `core`, and writes its decision
//! into a draft: one decision, one commit. `now` is always an argument.

pub mod books;
pub mod route;
mod ask;
mod digest;
mod alerts;
mod unknown;
mod stated;
mod settle;
mod facts;
mod order_numbers;
mod passed;
mod notified;
mod relayed;
mod looked;
mod repeats;
mod operated;
mod apply;
mod intake;
pub mod packed;
mod relay_rows;
pub mod relay;
mod relay_views;
pub mod import;
mod judge;
mod looks;
pub mod operations;
mod turns;
mod views;
pub mod explain;
pub mod audit;
pub mod report;

#[cfg(test)]
mod tests;

use crate::core::policy::Policy;
use crate::core::record::{Event, Record};
use crate::core::submission::Submission;
use crate::store::{Draft, Fault};
use crate::wire::Keys;
use crate::words::id::{MerchantName, PaymentNumber, RequestId};
use crate::words::time::Now;

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
    /// The same, and it now has what it lacked: its gateway order number, or what the proxy had not seen.
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

/// A submission as the recording proxy saw it on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub submission: Submission,
    /// `wpg`: the merchant account id the request names. An account may have several, and is asked under the right one.
    pub sent_to: Option<String>,
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
    Answered { http_status: u16, body: Vec<u8> },
    /// An HTTP answer came whose body was too long, or coded in a way, to be read.
    AnsweredUnread { http_status: u16 },
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

pub use crate::core::alert::Sink;
pub use crate::engine::passed::{Operation, Target};

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

/// A page of a list: `{items, next}`.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Page {
    pub items: Vec<serde_json::Value>,
    /// Pass as `after` to go on; `None` at the end.
    pub next: Option<u64>,
}

impl Engine {
    /// Journals an event and applies it. The one way anything gets into the books.
    fn record(&self, draft: &mut Draft, event: Event, now: Now) -> Result<u64, Fault> {
        let record = Record { now, event };
        let body =
            serde_json::to_vec(&record).map_err(|why| Fault::Broken(format!("a record can't be written: {why}")))?;
        let sequence = draft.append(body);
        apply::apply(draft, &self.policy, sequence, &record)?;
        Ok(sequence)
    }
}
