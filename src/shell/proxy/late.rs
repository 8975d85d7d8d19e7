//! What passed while it could not be kept: held in memory until it can be, and told to a person.
//!
//! Requests come here by `fail-open` only; answers, and that something was not sent, by both ways. A process that ends
//! first takes its content along: the log has one line for each request, and the alert says from when to when the shop's
//! orders must be compared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::plan::{Keep, NotKept};
use crate::core::record::Unkept;
use crate::engine::{Operation, Responded, ResponseSeen, ResponseWhat, Seen, Submitted};
use crate::shell::job::Down;
use crate::shell::writer::Writer;
use crate::words::id::MerchantName;
use crate::words::time::Timestamp;

/// Most that waits in memory; what comes beyond it is counted as lost.
const ITEMS_MAX: usize = 4096;
/// Bodies of answers that wait in memory at once, in bytes. Beyond it only the status of an answer waits: its ids
/// are a hint, and a look finds them too.
const BODIES_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Pause before the store is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// Least time between two records about one account: a shop without a readable request must not fill the journal.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// For what is left when the daemon stops.
const LAST_TRY_MAX: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub enum Item {
    Submission(Box<Seen>),
    Operation(Operation),
    Response(ResponseSeen),
    PassedOn { operation: Operation, of: Option<u64>, what: ResponseWhat },
}

/// What is not told yet of one listener's account.
struct Tally {
    unkept: Unkept,
    /// Requests that still wait to be kept.
    waiting: u64,
    told_at: Option<Instant>,
}

/// An item, and the account in whose tally it counts: a request may be for another account than its listener's.
#[derive(Clone)]
struct Waiting {
    item: Item,
    counts_for: MerchantName,
}

#[derive(Default)]
struct Held {
    items: VecDeque<Waiting>,
    /// Of the bodies in `items`.
    body_bytes: usize,
    tallies: BTreeMap<MerchantName, Tally>,
}

/// Shared by all listeners.
#[derive(Default)]
pub struct Late {
    held: Mutex<Held>,
    ring: Notify,
}

impl Late {
    /// Takes what a request, or a part of one, would have been kept as; `None`: it never can be.
    pub fn take(&self, merchant: &MerchantName, keep: Option<&Keep>, why: &NotKept, now: Timestamp) {
        let mut held = self.held();
        let item = keep.filter(|_| held.items.len() < ITEMS_MAX).map(|keep| match keep {
            // It was submitted now, whenever it comes into the books.
            Keep::Submission(seen) => {
                let mut seen = seen.clone();
                seen.submission.submitted_at = Some(now);
                Item::Submission(seen)
            }
            Keep::Operation(operation) => Item::Operation(operation.clone()),
        });
        let tally = held.tally(merchant, now, why);
        match item {
            Some(_) => tally.waiting += 1,
            None => tally.unkept.lost += 1,
        }
        held.items.extend(item.map(|item| Waiting { item, counts_for: merchant.clone() }));
        drop(held);
        self.ring.notify_one();
    }

    /// Takes an answer whose request may wait here too.
    pub fn take_answer(&self, item: Item) {
        let mut held = self.held();
        if held.items.len() < ITEMS_MAX {
            let counts_for = item.merchant().clone();
            let item = item.without_body_over(BODIES_MAX_BYTES - held.body_bytes);
            held.body_bytes += item.body_bytes();
            held.items.push_back(Waiting { item, counts_for });
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
            let left = self.held().items.iter().filter(|waiting| waiting.item.is_request()).count();
            warn!(count = left, "{left} requests passed the proxy and could not be kept before the stop");
        }
    }

    async fn keep(&self, writer: &Writer) {
        loop {
            let Some(Waiting { item, counts_for }) = self.held().items.front().cloned() else { break };
            let is_request = item.is_request();
            let Ok(is_kept) = keep(writer, item).await else { return };
            let mut held = self.held();
            let done = held.items.pop_front();
            held.body_bytes -= done.map_or(0, |done| done.item.body_bytes());
            if let Some(tally) = held.tallies.get_mut(&counts_for).filter(|_| is_request) {
                let count = if is_kept { &mut tally.unkept.kept_late } else { &mut tally.unkept.lost };
                *count += 1;
                tally.waiting = tally.waiting.saturating_sub(1);
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
    fn tally(&mut self, merchant: &MerchantName, now: Timestamp, why: &NotKept) -> &mut Tally {
        let tally = self.tallies.entry(merchant.clone()).or_insert_with(|| Tally {
            unkept: Unkept {
                merchant: merchant.clone(),
                from: now,
                to: now,
                kept_late: 0,
                lost: 0,
                why: String::new(),
            },
            waiting: 0,
            told_at: None,
        });
        if tally.is_told() {
            tally.unkept.from = now;
        }
        tally.unkept.to = now;
        tally.unkept.why = why.to_string();
        tally
    }
}

impl Tally {
    fn is_told(&self) -> bool {
        self.waiting == 0 && self.unkept.kept_late == 0 && self.unkept.lost == 0
    }
}

impl Item {
    fn is_request(&self) -> bool {
        match self {
            Item::Submission(_) | Item::Operation(_) => true,
            Item::Response(_) | Item::PassedOn { .. } => false,
        }
    }

    /// Bytes of an answer's body that it holds.
    fn body_bytes(&self) -> usize {
        match self {
            Item::Response(ResponseSeen { what: ResponseWhat::Answered { body, .. }, .. }) => body.len(),
            Item::Submission(_) | Item::Operation(_) | Item::Response(_) | Item::PassedOn { .. } => 0,
        }
    }

    /// The same, with its status alone where its body is longer than `room`.
    fn without_body_over(self, room: usize) -> Item {
        match self {
            Item::Response(ResponseSeen {
                merchant,
                request_id,
                what: ResponseWhat::Answered { http_status, body },
            }) if body.len() > room => Item::Response(ResponseSeen {
                merchant,
                request_id,
                what: ResponseWhat::AnsweredUnread { http_status },
            }),
            item => item,
        }
    }

    fn merchant(&self) -> &MerchantName {
        match self {
            Item::Submission(seen) => &seen.submission.merchant,
            Item::Operation(operation) | Item::PassedOn { operation, .. } => &operation.merchant,
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
        Item::PassedOn { operation, of, what } => {
            writer.passed_on(operation, of, what).await?;
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::account::{Account, Contract, Wpg};
    use crate::engine::Target;
    use crate::shell::books::memory::MemoryBooks;
    use crate::shell::writer::tests::{name, started, submission};
    use crate::words::id::{RequestId, TransactionId};

    fn seen(id: &str) -> Keep {
        Keep::Submission(Box::new(Seen { submission: submission(id), sent_to: None }))
    }

    fn at(minute: u8) -> Timestamp {
        format!("2026-03-01T12:{minute:02}:00Z").parse().expect("a time")
    }

    async fn told(writer: &Writer) -> Vec<Unkept> {
        let journal = writer.read(|engine, view, _| engine.journal(view, 0, 100)).await.expect("open").expect("read");
        let records = journal.items.into_iter().filter(|record| record["event"] == "unkept");
        records.map(|record| serde_json::from_value(record).expect("an unkept record")).collect()
    }

    #[tokio::test]
    async fn an_interval_is_told_once_from_its_first_request_to_its_last() {
        let writer = started(&MemoryBooks::default()).await;
        let late = Late::default();
        let operation = Keep::Operation(Operation {
            merchant: name(),
            target: Target::Transaction(TransactionId::new("t-1").expect("an id")),
            name: "void-authorization".into(),
        });
        late.take(&name(), Some(&seen("r-1")), &NotKept::Down, at(1));
        late.take(&name(), Some(&seen("r-2")), &NotKept::Down, at(2));
        late.take(&name(), Some(&operation), &NotKept::Down, at(2));
        late.take(&name(), None, &NotKept::TooLong, at(3));
        late.keep(&writer).await;
        let whole = Unkept {
            merchant: name(),
            from: at(1),
            to: at(3),
            kept_late: 3,
            lost: 1,
            why: "the request is too long to be read".into(),
        };
        assert_eq!(told(&writer).await, [whole]);
        // What comes within the minute is told later, as an interval of its own.
        late.take(&name(), Some(&seen("r-3")), &NotKept::Down, at(4));
        late.keep(&writer).await;
        assert_eq!(told(&writer).await.len(), 1);
        let held = late.held();
        assert_eq!((held.tallies[&name()].unkept.from, held.tallies[&name()].unkept.kept_late), (at(4), 1));
    }

    #[tokio::test]
    async fn what_memory_has_no_room_for_is_counted_as_lost() {
        let late = Late::default();
        for n in 0..ITEMS_MAX + 2 {
            late.take(&name(), Some(&seen(&format!("r-{n}"))), &NotKept::Down, at(1));
        }
        let held = late.held();
        assert_eq!((held.items.len(), held.tallies[&name()].unkept.lost), (ITEMS_MAX, 2));
    }

    #[tokio::test]
    async fn answers_wait_with_their_bodies_as_long_as_those_fit() {
        let writer = started(&MemoryBooks::default()).await;
        let late = Late::default();
        let answered = |id: &str, bytes: usize| {
            Item::Response(ResponseSeen {
                merchant: name(),
                request_id: RequestId::new(id).expect("an id"),
                what: ResponseWhat::Answered { http_status: 201, body: vec![b' '; bytes] },
            })
        };
        let waiting = |late: &Late| {
            let held = late.held();
            let bodies: Vec<usize> = held.items.iter().map(|waiting| waiting.item.body_bytes()).collect();
            (held.body_bytes, bodies)
        };
        let most = BODIES_MAX_BYTES;
        late.take(&name(), Some(&seen("r-1")), &NotKept::Down, at(1));
        for (id, bytes) in [("r-1", most - 10), ("r-2", 11), ("r-3", 10), ("r-4", 1)] {
            late.take_answer(answered(id, bytes));
        }
        assert_eq!(waiting(&late), (most, vec![0, most - 10, 0, 10, 0]), "the status of the others waits all the same");
        late.keep(&writer).await;
        assert_eq!(waiting(&late), (0, vec![]), "their room is free again");
    }

    #[tokio::test]
    async fn a_request_for_another_account_counts_where_it_came_by() {
        let books = MemoryBooks::default();
        let mut engine = crate::engine::Engine::clone(&crate::shell::writer::tests::engine());
        let listener = MerchantName::new("other").expect("a name");
        let contract = Contract::Wpg(Wpg {
            merchant_account_ids: vec!["m-2".into()],
            resolver_category: None,
            scheme: None,
            siblings: Vec::new(),
        });
        let account = Account { name: listener.clone(), time_zone: "UTC".into(), contract };
        engine.policy.accounts.insert(listener.clone(), account);
        let clock = crate::shell::clock::Clock::new();
        let open = Box::new(move || Ok(Box::new(books.clone()) as Box<dyn crate::shell::books::Books>));
        let (writer, _) = crate::shell::writer::start(std::sync::Arc::new(engine), clock, open).expect("a thread");
        let mut state = writer.state();
        state.wait_for(|state| *state == crate::shell::writer::State::Open).await.expect("the writer lives");
        let late = Late::default();
        late.take(&listener, Some(&seen("r-1")), &NotKept::Down, at(1));
        late.keep(&writer).await;
        let told = told(&writer).await;
        assert_eq!((told.len(), &told[0].merchant, told[0].kept_late), (1, &listener, 1));
    }
}
