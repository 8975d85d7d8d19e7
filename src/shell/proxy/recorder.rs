//! The way of a passing request into the books.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::late::{Item, Late};
use super::plan::{Asked, Keep, NotKept};
use crate::engine::{Operation, Responded, ResponseSeen, ResponseWhat, Seen, Submitted};
use crate::shell::writer::Writer;
use crate::wire;
use crate::wire::request::Private;
use crate::words::id::MerchantName;

#[derive(Clone)]
pub struct Recorder {
    pub writer: Writer,
    pub late: Arc<Late>,
    /// How long a request waits for its commit.
    pub keep_timeout: Duration,
}

/// What became of a request that passed, or did not.
pub struct Told {
    pub asked: Vec<Asked>,
    /// What the gateway answers is about several requests.
    pub is_of_many: bool,
    pub what: ResponseWhat,
    pub private: Private,
    /// What the answer's body takes of the room for bodies, until it is told.
    pub _room: Option<OwnedSemaphorePermit>,
}

impl Told {
    /// Whether an answer's body may be kept for what it says of its one request.
    fn is_readable(&self, body: &[u8]) -> bool {
        let repeats = || {
            let transactions = wire::wpg::decode(body, None).map(|message| message.transactions).unwrap_or_default();
            self.private.is_repeated_in(&transactions)
        };
        // Its transactions belong to several requests: which is whose, the gateway tells when it is asked. And a shop
        // that writes a card number for an order number has it repeated by the gateway.
        !self.is_of_many && !repeats()
    }
}

impl Recorder {
    /// Returns once all of it is durable that can be, each with what its answer will be about. A request-id that
    /// stands for something else is kept as a discrepancy, and passes: the gateway decides (400.1018).
    pub async fn keep(&self, keeps: &[Keep]) -> Vec<Result<Asked, NotKept>> {
        let limit = self.keep_timeout;
        let until = Instant::now() + limit;
        let mut kept = Vec::with_capacity(keeps.len());
        for keep in keeps {
            let one = timeout_at(until, self.keep_one(keep)).await;
            kept.push(one.unwrap_or(Err(NotKept::Late(limit.as_millis()))));
        }
        kept
    }

    async fn keep_one(&self, keep: &Keep) -> Result<Asked, NotKept> {
        let record = match keep {
            Keep::Submission(seen) => {
                let kept = self.writer.see(Seen::clone(seen)).await.map_err(|_| NotKept::Down)?;
                if let Submitted::Refused(why) = kept {
                    let field = why.field.map(|field| format!("`{field}` ")).unwrap_or_default();
                    return Err(NotKept::Refused(format!("{field}{}", why.error)));
                }
                None
            }
            Keep::Operation(operation) => self.writer.pass(operation.clone()).await.map_err(|_| NotKept::Down)?,
        };
        Ok(Asked::by(keep, record))
    }

    /// A request, or a part of one, goes on although it was not kept. `keep`: where it can be read.
    pub fn passes_unkept(&self, merchant: &MerchantName, keep: Option<&Keep>, why: &NotKept) {
        let request_id = keep.and_then(Keep::request_id).unwrap_or_default();
        // An id is the shop's text: what could move a terminal's cursor is escaped.
        warn!(%merchant, ?request_id, "a request passed unrecorded: {why}");
        self.late.take(merchant, keep.filter(|_| why.may_be_kept_yet()), why, self.writer.clock.now().wall);
    }

    /// Journals what became of a request. A store that is down gets it later.
    pub async fn tell(&self, told: Option<Told>) {
        let Some(told) = told else { return };
        let unread = match &told.what {
            ResponseWhat::Answered { http_status, body } if !told.is_readable(body) => Some(*http_status),
            _ => None,
        };
        let Told { asked, what, _room, .. } = told;
        let what = unread.map_or(what, |http_status| ResponseWhat::AnsweredUnread { http_status });
        // The last of them takes the body itself.
        let parts = std::iter::repeat_n(what, asked.len());
        for (asked, what) in asked.into_iter().zip(parts) {
            match asked {
                Asked::Submission { merchant, request_id } => {
                    self.responded(ResponseSeen { merchant, request_id, what }).await;
                }
                Asked::Operation { operation, record } => {
                    // What it did is seen by a look alone.
                    let what = match what {
                        ResponseWhat::Answered { http_status, .. } => ResponseWhat::AnsweredUnread { http_status },
                        what => what,
                    };
                    self.passed_on(operation, record, what).await;
                }
            }
        }
    }

    async fn responded(&self, response: ResponseSeen) {
        match timeout(self.keep_timeout, self.writer.respond(response.clone())).await {
            Ok(Ok(Responded::Kept { .. } | Responded::Refused(_))) => {}
            // Its submission may still wait to be kept.
            Ok(Ok(Responded::UnknownRequest)) if self.late.is_empty() => {}
            Ok(Ok(Responded::UnknownRequest) | Err(_)) | Err(_) => self.late.take_answer(Item::Response(response)),
        }
    }

    async fn passed_on(&self, operation: Operation, of: Option<u64>, what: ResponseWhat) {
        let telling = self.writer.passed_on(operation.clone(), of, what.clone());
        match timeout(self.keep_timeout, telling).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => self.late.take_answer(Item::PassedOn { operation, of, what }),
        }
    }
}
