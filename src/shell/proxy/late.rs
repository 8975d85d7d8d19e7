//! What passed while it could not be kept: held in memory until it can be, and told to a person.
//!
//! Only `fail-open` brings anything here. A process that ends first takes its content along: the log has one line
//! for each request, and the alert says from when to when the shop's orders must be compared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::plan::{Keep, NotKept};
use crate::core::record::Unkept;
use crate::engine::{Operation, Responded, ResponseSeen, Seen, Submitted};
use crate::shell::job::Down;
use crate::shell::writer::Writer;
use crate::words::id::MerchantName;
use crate::words::time::Timestamp;

/// Most that waits in memory; what comes beyond it is counted as lost.
const ITEMS_MAX: usize = 4096;
/// Pause before the store is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// Least time between two records about one account: a shop without a readable request must not fill the journal.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// For what is left when the daemon stops.
const LAST_TRY_MAX: Duration = Duration::from_millis(500);

#[derive(Clone)]
enum Item {
    Submission(Box<Seen>),
    Operation(Operation),
    Response(ResponseSeen),
}

/// What is not told yet of one account.
struct Tally {
    unkept: Unkept,
    told_at: Option<Instant>,
}

#[derive(Default)]
struct Held {
    items: VecDeque<Item>,
    tallies: BTreeMap<MerchantName, Tally>,
}

/// Shared by all listeners.
#[derive(Default)]
pub struct Late {
    held: Mutex<Held>,
    ring: Notify,
}

impl Late {
    /// Takes what a request would have been kept as; nothing of one that could not be read.
    pub fn take(&self, merchant: &MerchantName, keeps: &[Keep], why: &NotKept, now: Timestamp) {
        let mut held = self.held();
        for keep in keeps {
            let item = match keep {
                // It was submitted now, whenever it comes into the books.
                Keep::Submission(seen) => {
                    let mut seen = seen.clone();
                    seen.submission.submitted_at = Some(now);
                    Item::Submission(seen)
                }
                Keep::Operation(operation) => Item::Operation(operation.clone()),
            };
            if held.items.len() < ITEMS_MAX {
                held.items.push_back(item);
            } else {
                held.tally(merchant, now, why).lost += 1;
            }
        }
        let tally = held.tally(merchant, now, why);
        if keeps.is_empty() {
            tally.lost += 1;
        }
        drop(held);
        self.ring.notify_one();
    }

    /// Takes an answer whose submission may wait here too.
    pub fn take_response(&self, response: ResponseSeen) {
        let mut held = self.held();
        if held.items.len() < ITEMS_MAX {
            held.items.push_back(Item::Response(response));
        }
        drop(held);
        self.ring.notify_one();
    }

    pub fn is_empty(&self) -> bool {
        self.held().items.is_empty()
    }

    /// Keeps what waits whenever the store takes it, until `stop`.
    pub async fn run(&self, writer: Writer, stop: CancellationToken) {
        loop {
            let is_idle = self.is_empty() && self.held().tallies.values().all(|tally| tally.is_told());
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.ring.notified() => {}
                () = tokio::time::sleep(TRY_EVERY), if !is_idle => {}
            }
            self.keep(&writer).await;
        }
        if timeout(LAST_TRY_MAX, self.keep(&writer)).await.is_err() || !self.is_empty() {
            let left = self.held().items.len();
            warn!(count = left, "{left} requests passed the proxy and could not be kept before the stop");
        }
    }

    async fn keep(&self, writer: &Writer) {
        loop {
            let Some(item) = self.held().items.front().cloned() else { break };
            let merchant = item.merchant().clone();
            let Ok(is_kept) = keep(writer, item.clone()).await else { return };
            let mut held = self.held();
            held.items.pop_front();
            let is_request = !matches!(item, Item::Response(_));
            if let Some(tally) = held.tallies.get_mut(&merchant).filter(|_| is_request) {
                let count = if is_kept { &mut tally.unkept.kept_late } else { &mut tally.unkept.lost };
                *count += 1;
            }
        }
        self.tell(writer).await;
    }

    /// Journals what became of them, once nothing waits any more.
    async fn tell(&self, writer: &Writer) {
        let due: Vec<Unkept> = {
            let held = self.held();
            let due = held
                .tallies
                .values()
                .filter(|tally| !tally.is_told() && tally.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY));
            due.map(|tally| tally.unkept.clone()).collect()
        };
        for unkept in due {
            let (merchant, late, lost) = (unkept.merchant.clone(), unkept.kept_late, unkept.lost);
            if writer.unkept(unkept).await.is_err() {
                return;
            }
            info!(%merchant, late, lost, "requests that passed unrecorded were told");
            if let Some(tally) = self.held().tallies.get_mut(&merchant) {
                tally.unkept.kept_late -= late;
                tally.unkept.lost -= lost;
                tally.told_at = Some(Instant::now());
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Each change is one push or one count: a panic leaves nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn tally(&mut self, merchant: &MerchantName, now: Timestamp, why: &NotKept) -> &mut Unkept {
        let tally = self.tallies.entry(merchant.clone()).or_insert_with(|| Tally {
            unkept: Unkept {
                merchant: merchant.clone(),
                from: now,
                to: now,
                kept_late: 0,
                lost: 0,
                why: String::new(),
            },
            told_at: None,
        });
        if tally.is_told() {
            tally.unkept.from = now;
        }
        tally.unkept.to = now;
        tally.unkept.why = why.to_string();
        &mut tally.unkept
    }
}

impl Tally {
    fn is_told(&self) -> bool {
        self.unkept.kept_late == 0 && self.unkept.lost == 0
    }
}

impl Item {
    fn merchant(&self) -> &MerchantName {
        match self {
            Item::Submission(seen) => &seen.submission.merchant,
            Item::Operation(operation) => &operation.merchant,
            Item::Response(response) => &response.merchant,
        }
    }
}

/// Whether it is in the books now; `false`: it never can be.
async fn keep(writer: &Writer, item: Item) -> Result<bool, Down> {
    Ok(match item {
        Item::Submission(seen) => !matches!(writer.see(*seen).await?, Submitted::Refused(_)),
        Item::Operation(operation) => {
            writer.pass(operation).await?;
            true
        }
        Item::Response(response) => matches!(writer.respond(response).await?, Responded::Kept { .. }),
    })
}
