//! What the writer is asked to do: one variant per verb of the engine, each with the way back.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::look::{Answer, Look};
use crate::core::record::Unkept;
use crate::core::relay::Attempt;
use crate::core::report::Report;
use crate::core::submission::Submission;
use crate::engine::import::{Batch, Imported};
use crate::engine::operations::{Concluded, Operate, Operated, OverCapture, Told};
use crate::engine::{Engine, Incoming, Kept, Operation, Responded, ResponseSeen, ResponseWhat, Seen, Submitted};
use crate::store::{Draft, Fault};
use crate::words::id::{MerchantName, PaymentNumber};
use crate::words::time::Now;

/// Waiting messages a person can make due at once; the others follow once these get through.
const RETRY_MAX_ROWS: usize = 1_000;

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
    /// A submission the recording proxy saw.
    See {
        seen: Box<Seen>,
        reply: Reply<Submitted>,
    },
    /// An operation the recording proxy passes.
    Pass {
        operation: Operation,
        reply: Reply<Option<u64>>,
    },
    /// What became of one.
    PassedOn {
        operation: Operation,
        of: Option<u64>,
        what: ResponseWhat,
        reply: Reply<()>,
    },
    /// Requests passed that were not kept in time.
    Unkept {
        unkept: Unkept,
        reply: Reply<()>,
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
    Unreported {
        why: String,
        reply: Reply<()>,
    },
    Reported {
        report: Box<Report>,
        digest: String,
        reply: Reply<()>,
    },
    Relayed {
        merchant: MerchantName,
        number: u64,
        attempt: Attempt,
        reply: Reply<()>,
    },
    /// A person wants waiting messages passed on now; the reply says how many.
    RetryRelays {
        merchant: MerchantName,
        reply: Reply<usize>,
    },
    /// A person gives a waiting message up; the reply says whether it waited.
    GiveUpRelay {
        merchant: MerchantName,
        number: u64,
        reply: Reply<bool>,
    },
    /// Rows of a shop's order list.
    Import {
        batch: Box<Batch>,
        reply: Reply<Imported>,
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
            Job::See { seen, reply } => thank(reply, draft.attempt(|d| engine.submit_seen(d, *seen, now))?),
            Job::Pass { operation, reply } => thank(reply, draft.attempt(|d| engine.passed(d, &operation, now))?),
            Job::PassedOn { operation, of, what, reply } => {
                draft.attempt(|d| engine.passed_on(d, &operation, of, &what, now))?;
                thank(reply, ())
            }
            Job::Unkept { unkept, reply } => thank(reply, draft.attempt(|d| engine.unkept(d, &unkept, now))?),
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
            Job::Unreported { why, reply } => thank(reply, draft.attempt(|d| engine.unreported(d, &why, now))?),
            Job::Reported { report, digest, reply } => {
                thank(reply, draft.attempt(|d| engine.reported(d, &report, digest, now))?)
            }
            Job::Relayed { merchant, number, attempt, reply } => {
                thank(reply, draft.attempt(|d| engine.relayed(d, &merchant, number, attempt, now))?)
            }
            Job::RetryRelays { merchant, reply } => {
                thank(reply, draft.attempt(|d| engine.retry_relays(d, &merchant, RETRY_MAX_ROWS, now))?)
            }
            Job::GiveUpRelay { merchant, number, reply } => {
                thank(reply, draft.attempt(|d| engine.give_up_relay(d, &merchant, number, now))?)
            }
            Job::Import { batch, reply } => thank(reply, draft.attempt(|d| engine.import(d, *batch, now))?),
            Job::Ping { reply } => thank(reply, ()),
            Job::Distrust { fault } => return Err(fault),
            Job::Stop => Box::new(|| ()),
        })
    }
}
