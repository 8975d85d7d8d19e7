//! Asks the gateways what the store says is due. It carries no plan of its own: what to ask next is
//! read from the store, so a restart or a lost ring costs nothing.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::gateway::Asker;
use super::lane::{Change, Health, Lane};
use super::order_numbers::{NoNumber, WISHES_MAX, Wish};
use super::writer::Writer;
use crate::core::look::{Answer, Look};
use crate::wire::checkout::backend::OrderNumberError;
use crate::words::id::{MerchantName, PaymentNumber};

/// Longest rest between two readings of what is due.
const REST_MAX: Duration = Duration::from_millis(1000);
/// Shortest: a reading that found nothing is not repeated at once.
const REST_MIN: Duration = Duration::from_millis(10);
/// At most one reading of what is due in this time.
const READING_EVERY: Duration = Duration::from_millis(5);
/// In the demo rests shrink with the clock's scale, down to this part of the longest.
const SCALE_OF_SHORTEST_REST: u32 = 50;
/// Rest while somebody waits for an order number that the budget does not allow yet.
const WISH_REST: Duration = Duration::from_millis(20);
/// Looks taken from the store in one reading.
const READING_MAX_LOOKS: usize = 256;

/// What a look's task tells.
enum Event {
    /// The gateway answered: the lane is free for the next.
    Asked { merchant: MerchantName, health: Health },
    /// What it said is kept, or could not be.
    Kept { number: PaymentNumber },
}

pub struct Retriever {
    writer: Writer,
    askers: BTreeMap<MerchantName, Arc<Asker>>,
    lanes: BTreeMap<MerchantName, Lane>,
    /// Taken from the store and waiting for a lane.
    ready: BTreeMap<MerchantName, VecDeque<Look>>,
    /// Ready or under way: not to be taken again.
    taken: HashSet<PaymentNumber>,
    events: mpsc::UnboundedSender<Event>,
    inbox: mpsc::UnboundedReceiver<Event>,
    tasks: TaskTracker,
    /// Gateway order numbers that shops want.
    wishes: mpsc::Receiver<Wish>,
    wanted: VecDeque<Wish>,
    /// Looks taken of each account so far: which of its queues has its turn.
    turns: BTreeMap<MerchantName, usize>,
}

impl Retriever {
    /// `limits`: lanes and requests per second of each account.
    pub fn new(
        writer: Writer,
        askers: BTreeMap<MerchantName, Arc<Asker>>,
        limits: impl Fn(&MerchantName) -> (usize, u32),
    ) -> Retriever {
        let now = writer.clock.now().steady;
        let lanes = askers
            .keys()
            .map(|name| {
                let (lanes_max, per_second) = limits(name);
                (name.clone(), Lane::new(lanes_max, per_second, now))
            })
            .collect();
        let (events, inbox) = mpsc::unbounded_channel();
        // Until `grants`, nobody wishes for anything.
        let (_, wishes) = mpsc::channel(1);
        Retriever {
            writer,
            askers,
            lanes,
            ready: BTreeMap::new(),
            taken: HashSet::new(),
            events,
            inbox,
            tasks: TaskTracker::new(),
            wishes,
            wanted: VecDeque::new(),
            turns: BTreeMap::new(),
        }
    }

    /// Grants these wishes for gateway order numbers, within the same budgets.
    pub fn grants(self, wishes: mpsc::Receiver<Wish>) -> Retriever {
        Retriever { wishes, ..self }
    }

    /// Runs until `stop`; then waits for what is under way.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut commits = self.writer.commits();
        let mut readings = tokio::time::interval(READING_EVERY);
        readings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut may_be_due = true;
        loop {
            let hungry = self.is_hungry();
            let rest = match (self.wanted.is_empty(), may_be_due) {
                (false, _) => WISH_REST,
                (true, true) => REST_MAX,
                (true, false) => self.rest().await,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(wish) = self.wishes.recv(), if self.wanted.len() < WISHES_MAX => self.wanted.push_back(wish),
                Some(event) = self.inbox.recv() => self.heard(event),
                _ = readings.tick(), if may_be_due && hungry => {
                    may_be_due = self.take_what_is_due().await;
                    self.begin_what_may();
                }
                Ok(()) = commits.changed(), if !may_be_due => may_be_due = true,
                () = tokio::time::sleep(rest) => may_be_due = true,
            }
            self.grant_what_may();
        }
        // Whoever still waits for a number is told by the reply that is dropped.
        self.wanted.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whether some account should have more looks ready than it has.
    fn is_hungry(&mut self) -> bool {
        !self.appetites().is_empty()
    }

    /// How many more looks each account should have ready. One that has half of what it can eat waits,
    /// so that readings are few.
    fn appetites(&mut self) -> BTreeMap<MerchantName, usize> {
        let now = self.writer.clock.now().steady;
        let mut wanted = BTreeMap::new();
        for (name, lane) in &mut self.lanes {
            let appetite = lane.appetite(now);
            let waiting = self.ready.get(name).map_or(0, VecDeque::len);
            if appetite > 0 && waiting <= appetite / 2 {
                wanted.insert(name.clone(), appetite - waiting);
            }
        }
        wanted
    }

    /// Reads looks for accounts that want some. Returns whether there may be more.
    async fn take_what_is_due(&mut self) -> bool {
        let wanted: BTreeMap<MerchantName, (usize, usize)> = self
            .appetites()
            .into_iter()
            .map(|(name, appetite)| {
                let turn = self.turns.get(&name).copied().unwrap_or(0);
                (name, (appetite.min(READING_MAX_LOOKS), turn))
            })
            .collect();
        let (taken, wanting) = (self.taken.clone(), wanted.clone());
        let reading = self.writer.read(move |engine, view, now| {
            let mut looks = Vec::new();
            for (merchant, (appetite, turn)) in &wanting {
                looks.push(engine.due(view, now, merchant, *appetite, *turn, &|number| taken.contains(&number))?);
            }
            Ok(looks)
        });
        let looks = match reading.await {
            Ok(Ok(looks)) => looks,
            Ok(Err(fault)) => {
                warn!("can't read what is due: {fault}");
                return false;
            }
            Err(_) => return false,
        };
        let mut may_be_more = false;
        for ((merchant, (appetite, _)), looks) in wanted.into_iter().zip(looks) {
            may_be_more |= looks.len() >= appetite;
            let turn = self.turns.entry(merchant.clone()).or_default();
            *turn = turn.wrapping_add(looks.len());
            self.taken.extend(looks.iter().map(|look| look.number));
            self.ready.entry(merchant).or_default().extend(looks);
        }
        may_be_more
    }

    /// Asks for gateway order numbers as budgets allow: before looks, because a customer waits.
    fn grant_what_may(&mut self) {
        let now = self.writer.clock.now().steady;
        for _ in 0..self.wanted.len() {
            let Some(wish) = self.wanted.pop_front() else { break };
            // Whoever gave up waiting must not use up a request.
            if wish.reply.is_closed() {
                continue;
            }
            let (Some(lane), Some(asker)) = (self.lanes.get_mut(&wish.merchant), self.askers.get(&wish.merchant))
            else {
                let _ = wish.reply.send(Err(NoNumber::NotConfigured));
                continue;
            };
            if !lane.is_well(now) {
                let why = "it did not answer before, or refused us; see `reconciled alerts`".to_owned();
                let _ = wish.reply.send(Err(NoNumber::Unavailable { why }));
            } else if lane.room(now) == 0 {
                self.wanted.push_back(wish);
            } else {
                lane.begin(1);
                self.tasks.spawn(grant(asker.clone(), wish, self.events.clone()));
            }
        }
    }

    fn begin_what_may(&mut self) {
        let now = self.writer.clock.now().steady;
        for (name, looks) in &mut self.ready {
            let Some(lane) = self.lanes.get_mut(name) else { continue };
            let Some(asker) = self.askers.get(name) else { continue };
            while lane.room(now) > 0 {
                let Some(look) = looks.pop_front() else { break };
                let look = Look { asked_at: now, ..look };
                lane.begin(look.queries.len());
                self.tasks.spawn(ask(asker.clone(), look, self.writer.clone(), self.events.clone()));
            }
            // Budget spent or gateway gone: what waits is due still, and may look different later.
            if lane.room(now) == 0 && lane.ready_at(now).is_some() {
                // Their turns were not used.
                if let Some(turn) = self.turns.get_mut(name) {
                    *turn = turn.wrapping_sub(looks.len());
                }
                for look in looks.drain(..) {
                    self.taken.remove(&look.number);
                }
            }
        }
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Kept { number } => {
                self.taken.remove(&number);
            }
            Event::Asked { merchant, health } => {
                let now = self.writer.clock.now().steady;
                let change = self.lanes.get_mut(&merchant).and_then(|lane| lane.end(health, now));
                self.begin_what_may();
                let why = match change {
                    None => return,
                    Some(Change::Stopped { why }) => {
                        warn!(merchant = %merchant, "gateway of {merchant} stopped answering: {why}");
                        Some(why)
                    }
                    Some(Change::Works) => {
                        info!(merchant = %merchant, "gateway of {merchant} answers again");
                        None
                    }
                };
                let writer = self.writer.clone();
                self.tasks.spawn(async move {
                    if writer.lane(merchant, why).await.is_err() {
                        warn!("the state of a gateway could not be kept");
                    }
                });
            }
        }
    }

    /// Until something may have become due, or an account may be asked again.
    async fn rest(&self) -> Duration {
        let clock = &self.writer.clock;
        let (now, scale) = (clock.now().steady, clock.scale());
        let rest_max = REST_MAX / scale.clamp(1, SCALE_OF_SHORTEST_REST);
        let lanes = self.lanes.values().filter_map(|lane| lane.ready_at(now)).min();
        // While looks are under way their ends wake us: no need to read what comes next.
        let next_due = if self.taken.is_empty() {
            let reading = self.writer.read(|engine, view, _| engine.next_due(view)).await;
            reading.ok().and_then(Result::ok).flatten().filter(|at| *at > now)
        } else {
            None
        };
        let wait = [next_due, lanes].into_iter().flatten().min().map_or(rest_max, |at| {
            let real_ms = at.duration_since(now).as_millis() / i128::from(scale);
            Duration::from_millis(u64::try_from(real_ms).unwrap_or(0))
        });
        wait.clamp(REST_MIN, rest_max)
    }
}

/// Asks every question of one look, then has the answers kept.
async fn ask(asker: Arc<Asker>, look: Look, writer: Writer, events: mpsc::UnboundedSender<Event>) {
    let mut answers: Vec<Answer> = Vec::with_capacity(look.queries.len());
    for query in &look.queries {
        answers.push(asker.ask(query, writer.clock.now().wall).await);
        // A gateway that does not answer, or refuses us, will not answer the next question either.
        if Health::of(&answers) != Health::Works {
            break;
        }
    }
    let number = look.number;
    let asked = Event::Asked { merchant: look.merchant.clone(), health: Health::of(&answers) };
    // The retriever outlives its tasks, except at the very end.
    let _ = events.send(asked);
    if writer.answered(look, answers).await.is_err() {
        // Not kept: the look is still due, and will be asked again.
        warn!(payment.number = number.0, "an answer could not be kept");
    }
    let _ = events.send(Event::Kept { number });
}

/// Asks for one gateway order number.
async fn grant(asker: Arc<Asker>, wish: Wish, events: mpsc::UnboundedSender<Event>) {
    let outcome = asker.order_number().await;
    let health = match &outcome {
        // A refusal may be about this one operation: it says nothing of looks, which are refused by themselves.
        Ok(_) | Err(OrderNumberError::Refused { .. }) => Health::Works,
        Err(OrderNumberError::Unavailable { why }) => Health::Unavailable { why: why.clone(), retry_after: None },
    };
    // The retriever outlives its tasks, except at the very end; and a shop may have gone.
    let _ = events.send(Event::Asked { merchant: wish.merchant, health });
    let _ = wish.reply.send(outcome.map_err(|no| match no {
        OrderNumberError::Unavailable { why } => NoNumber::Unavailable { why },
        OrderNumberError::Refused { why } => NoNumber::Refused { why },
    }));
}

#[cfg(test)]
mod tests;
