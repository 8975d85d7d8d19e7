//! The way of a passing request into the books.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::late::{Item, Late};
use super::plan::{Asked, Keep, NotKept};
use crate::engine::{Operation, Responded, ResponseSeen, ResponseWhat, Seen, Submitted};
use crate::shell::writer::Writer;
use crate::words::id::MerchantName;

#[derive(Clone)]
pub struct Recorder {
    pub writer: Writer,
    pub late: Arc<Late>,
    /// How long a request waits for its commit.
    pub keep_timeout: Duration,
}

impl Recorder {
    /// Returns once all of it is durable, with what its answer will be about. A request-id that stands for something
    /// else is kept as a discrepancy, and passes: the gateway decides (400.1018).
    pub async fn keep(&self, keeps: &[Keep]) -> Result<Vec<Asked>, NotKept> {
        let limit = self.keep_timeout;
        timeout(limit, self.keep_all(keeps)).await.unwrap_or(Err(NotKept::Late(limit.as_millis())))
    }

    async fn keep_all(&self, keeps: &[Keep]) -> Result<Vec<Asked>, NotKept> {
        let mut asked = Vec::new();
        for keep in keeps {
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
            asked.push(Asked::by(keep, record));
        }
        Ok(asked)
    }

    /// A request goes on although it was not kept.
    pub fn passes_unkept(&self, merchant: &MerchantName, keeps: &[Keep], why: &NotKept) {
        // What the store refused for its content it would refuse again.
        let worth_holding = matches!(why, NotKept::Down | NotKept::Late(_));
        let keeps = if worth_holding { keeps } else { &[] };
        let ids: Vec<&str> = keeps.iter().filter_map(Keep::request_id).collect();
        warn!(%merchant, request_ids = ids.join(" "), "a request passed unrecorded: {why}");
        self.late.take(merchant, keeps, why, self.writer.clock.now().wall);
    }

    /// Journals what the gateway answered. A store that is down gets it later.
    pub async fn answered(&self, asked: Vec<Asked>, what: ResponseWhat) {
        let is_one_of_many = asked.len() > 1;
        for asked in asked {
            let what = match (&what, &asked) {
                // Its transactions belong to several requests: which is whose, the gateway tells when it is asked. And
                // what an operation did is seen by a look alone.
                (ResponseWhat::Answered { http_status, .. }, asked)
                    if is_one_of_many || matches!(asked, Asked::Operation { .. }) =>
                {
                    ResponseWhat::AnsweredUnread { http_status: *http_status }
                }
                (what, _) => what.clone(),
            };
            match asked {
                Asked::Submission { merchant, request_id } => {
                    self.responded(ResponseSeen { merchant, request_id, what }).await;
                }
                Asked::Operation { operation, record } => self.passed_on(operation, record, what).await,
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
