//! The way of a passing request into the books.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::late::Late;
use super::plan::{Keep, NotKept};
use crate::engine::{Responded, ResponseSeen, ResponseWhat, Seen, Submitted};
use crate::shell::writer::Writer;
use crate::words::id::{MerchantName, RequestId};

#[derive(Clone)]
pub struct Recorder {
    pub writer: Writer,
    pub late: Arc<Late>,
    /// How long a request waits for its commit.
    pub keep_timeout: Duration,
}

impl Recorder {
    /// Returns once all of it is durable. A request-id that stands for something else is kept as a discrepancy, and
    /// passes: the gateway decides (400.1018).
    pub async fn keep(&self, keeps: &[Keep]) -> Result<(), NotKept> {
        let limit = self.keep_timeout;
        timeout(limit, self.keep_all(keeps)).await.unwrap_or(Err(NotKept::Late(limit.as_millis())))
    }

    async fn keep_all(&self, keeps: &[Keep]) -> Result<(), NotKept> {
        for keep in keeps {
            match keep {
                Keep::Submission(seen) => {
                    let kept = self.writer.see(Seen::clone(seen)).await.map_err(|_| NotKept::Down)?;
                    if let Submitted::Refused(why) = kept {
                        let field = why.field.map(|field| format!("`{field}` ")).unwrap_or_default();
                        return Err(NotKept::Refused(format!("{field}{}", why.error)));
                    }
                }
                Keep::Operation(operation) => {
                    self.writer.pass(operation.clone()).await.map_err(|_| NotKept::Down)?;
                }
            }
        }
        Ok(())
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
    pub async fn answered(&self, asked_for: Vec<(MerchantName, RequestId)>, what: ResponseWhat) {
        let is_one_of_many = asked_for.len() > 1;
        for (merchant, request_id) in asked_for {
            let what = match &what {
                // Its transactions belong to several requests: which is whose, the gateway tells when it is asked.
                ResponseWhat::Answered { http_status, .. } if is_one_of_many => {
                    ResponseWhat::AnsweredUnread { http_status: *http_status }
                }
                what => what.clone(),
            };
            let response = ResponseSeen { merchant, request_id, what };
            match timeout(self.keep_timeout, self.writer.respond(response.clone())).await {
                Ok(Ok(Responded::Kept { .. } | Responded::Refused(_))) => {}
                // Its submission may still wait to be kept.
                Ok(Ok(Responded::UnknownRequest)) if self.late.is_empty() => {}
                Ok(Ok(Responded::UnknownRequest) | Err(_)) | Err(_) => self.late.take_response(response),
            }
        }
    }
}
