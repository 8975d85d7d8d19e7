//! What the writer is asked to do: one variant per verb of the engine, each with the way back.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::look::{Answer, Look};
use crate::core::report::Report;
use crate::core::submission::Submission;
use crate::engine::operations::{Concluded, Operate, Operated, OverCapture, Told};
use crate::engine::{Engine, Incoming, Kept, Responded, ResponseSeen, Submitted};
use crate::store::{Draft, Fault};
use crate::words::id::{MerchantName, PaymentNumber};
use crate::words::time::Now;

/// Nothing was kept: the store is down. The sender must come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store takes nothing now")]
pub struct Down;

/// Where the outcome goes once it is durable. A reply that is dropped reads as [`Down`].
pub type Reply<T> = oneshot::Sender<T>;

pub enum Job {
    Submit {
        submission: Box<Submission>,
        reply: Reply<Submitted>,
    },
    Respond {
        response: ResponseSeen,
        reply: Reply<Responded>,
    },
    Operate {
        operate: Box<Operate>,
        over: Arc<OverCapture>,
        reply: Reply<Operated>,
    },
    Conclude {
        operation: u64,
        told: Box<Told>,
        reply: Reply<Concluded>,
    },
    Receive {
        incoming: Incoming,
        reply: Reply<Kept>,
    },
    Answered {
        look: Box<Look>,
        answers: Vec<Answer>,
        reply: Reply<()>,
    },
    Lane {
        merchant: MerchantName,
        why: Option<String>,
        reply: Reply<()>,
    },
    Ask {
        id: String,
        reply: Reply<Vec<PaymentNumber>>,
    },
    Tick {
        reply: Reply<()>,
    },
    Delivered {
        number: u64,
        outcome: Result<(), String>,
        reply: Reply<()>,
    },
    Reported {
        report: Box<Report>,
        digest: String,
        reply: Reply<()>,
    },
    /// Whether the writer still moves.
    Ping {
        reply: Reply<()>,
    },
    /// A reading met a fault: the books can't be trusted any more.
    Distrust {
        fault: Fault,
    },
    /// Keep what came before, close the store, end.
    Stop,
}

/// Tells a job's sender that it is durable.
pub(super) type Acknowledge = Box<dyn FnOnce() + Send>;

impl Job {
    /// Whether kept notifications may now be judged.
    pub(super) fn brings_work(&self) -> bool {
        matches!(self, Job::Receive { .. })
    }

    /// Runs the verb in the draft. The acknowledgement must be called only after the commit.
    pub(super) fn run(self, engine: &Engine, draft: &mut Draft, now: Now) -> Result<Acknowledge, Fault> {
        // The sender may have given up waiting: nobody is left to thank then, and that is fine.
        fn thank<T: Send + 'static>(reply: Reply<T>, outcome: T) -> Acknowledge {
            Box::new(move || drop(reply.send(outcome)))
        }
        Ok(match self {
            Job::Submit { submission, reply } => thank(reply, draft.attempt(|d| engine.submit(d, *submission, now))?),
            Job::Respond { response, reply } => thank(reply, draft.attempt(|d| engine.respond(d, response, now))?),
            Job::Operate { operate, over, reply } => {
                thank(reply, draft.attempt(|d| engine.operate(d, *operate, &over, now))?)
            }
            Job::Conclude { operation, told, reply } => {
                thank(reply, draft.attempt(|d| engine.conclude(d, operation, *told, now))?)
            }
            Job::Receive { incoming, reply } => thank(reply, draft.attempt(|d| engine.receive(d, incoming, now))?),
            Job::Answered { look, answers, reply } => {
                thank(reply, draft.attempt(|d| engine.answered(d, &look, &answers, now))?)
            }
            Job::Lane { merchant, why, reply } => {
                thank(reply, draft.attempt(|d| engine.lane(d, &merchant, why.as_deref(), now))?)
            }
            Job::Ask { id, reply } => thank(reply, draft.attempt(|d| engine.ask(d, &id, now))?),
            Job::Tick { reply } => thank(reply, draft.attempt(|d| engine.tick(d, now))?),
            Job::Delivered { number, outcome, reply } => {
                thank(reply, draft.attempt(|d| engine.delivered(d, number, outcome, now))?)
            }
            Job::Reported { report, digest, reply } => {
                thank(reply, draft.attempt(|d| engine.reported(d, &report, digest, now))?)
            }
            Job::Ping { reply } => thank(reply, ()),
            Job::Distrust { fault } => return Err(fault),
            Job::Stop => Box::new(|| ()),
        })
    }
}
