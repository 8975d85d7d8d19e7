//! Passes notifications on to the shops' own listeners, byte for byte, at least once. What to pass on is read
//! from the store; a restart costs an attempt at most.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::config::{Shop, address};
use super::gateway;
use super::writer::Writer;
use crate::core::message::Dialect;
use crate::core::relay::{Attempt, RelayPolicy};
use crate::engine::relay::Relayable;
use crate::wire::checkout::reply::says_ok;
use crate::words::id::MerchantName;
use crate::words::time::{SignedDuration, Timestamp, later, seconds};

/// Longest rest between two readings of what is due.
const REST_MAX: Duration = Duration::from_millis(1000);
/// At most one reading in this time.
const READING_EVERY: Duration = Duration::from_millis(10);
/// In the demo rests shrink with the clock's scale, down to this part of the longest.
const SCALE_OF_SHORTEST_REST: u32 = 50;
/// What is read of a shop's answer, in bytes: enough for the token of a confirmation page.
const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// How long attempts under way may take when the daemon stops. What is cut off is passed on again.
const DRAIN: Duration = Duration::from_secs(2);
/// Longest pause of a whole listener. One message that it never answers, or answers as if it were not there, must not
/// hold the others up; that message has a pause of its own.
const LANE_PAUSE_MAX: SignedDuration = seconds(15);
/// The same at every attempt to pass one message on.
const ID_HEADER: &str = "idempotency-key";

/// One shop's listener, as this process found it.
struct Lane {
    sender: Arc<Sender>,
    in_flight_max: usize,
    under_way: usize,
    rule: RelayPolicy,
    /// Attempts in a row that nobody answered.
    absences: u32,
    /// Nothing is sent before, and one message after it.
    absent_until: Option<Timestamp>,
}

impl Lane {
    fn appetite(&self, now: Timestamp) -> usize {
        match self.absent_until {
            Some(until) if now < until => 0,
            // Whether it is there again is asked with one message.
            Some(_) => 1_usize.saturating_sub(self.under_way),
            None => self.in_flight_max.saturating_sub(self.under_way),
        }
    }

    fn ended(&mut self, attempt: &Attempt, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        if attempt.is_about_the_message() {
            self.absences = 0;
            self.absent_until = None;
        } else if self.absent_until.is_none_or(|until| now >= until) {
            // Those that were under way beside the first say nothing new.
            self.absences = self.absences.saturating_add(1);
            self.absent_until = Some(later(now, self.rule.pause(attempt, self.absences).min(LANE_PAUSE_MAX)));
        }
    }
}

/// What a message's task tells: the attempt, and whether it is kept.
struct Ended {
    merchant: MerchantName,
    number: u64,
    attempt: Attempt,
}

pub struct Relay {
    writer: Writer,
    lanes: BTreeMap<MerchantName, Lane>,
    /// Under way: not to be taken again.
    taken: HashSet<(MerchantName, u64)>,
    events: mpsc::UnboundedSender<Ended>,
    inbox: mpsc::UnboundedReceiver<Ended>,
    tasks: TaskTracker,
}

impl Relay {
    pub fn new(writer: Writer, shops: &BTreeMap<MerchantName, Shop>) -> Result<Relay, reqwest::Error> {
        let mut lanes = BTreeMap::new();
        for (name, shop) in shops {
            let policy = &writer.engine.policy;
            let dialect = policy.accounts.get(name).map_or(Dialect::Wpg, |account| account.dialect());
            let lane = Lane {
                sender: Arc::new(Sender::new(shop, dialect)?),
                in_flight_max: shop.in_flight_max,
                under_way: 0,
                rule: policy.relays.get(name).cloned().unwrap_or_default(),
                absences: 0,
                absent_until: None,
            };
            lanes.insert(name.clone(), lane);
        }
        let (events, inbox) = mpsc::unbounded_channel();
        Ok(Relay { writer, lanes, taken: HashSet::new(), events, inbox, tasks: TaskTracker::new() })
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut commits = self.writer.commits();
        let mut readings = tokio::time::interval(READING_EVERY);
        readings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut may_be_due = true;
        loop {
            let rest = REST_MAX / self.writer.clock.scale().clamp(1, SCALE_OF_SHORTEST_REST);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.inbox.recv() => {
                    self.ended(&ended);
                    may_be_due = true;
                }
                _ = readings.tick(), if may_be_due => may_be_due = self.take_what_is_due().await,
                Ok(()) = commits.changed(), if !may_be_due => may_be_due = true,
                () = tokio::time::sleep(rest) => may_be_due = true,
            }
        }
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            info!("messages on their way to a shop were cut off; they are passed on again after the start");
        }
    }

    /// Returns whether more may be due at once.
    async fn take_what_is_due(&mut self) -> bool {
        let now = self.writer.clock.now().steady;
        let wanted: Vec<(MerchantName, usize, bool)> = self
            .lanes
            .iter()
            .map(|(name, lane)| (name.clone(), lane.appetite(now), lane.absent_until.is_some()))
            .filter(|(_, appetite, _)| *appetite > 0)
            .collect();
        if wanted.is_empty() {
            return false;
        }
        let taken = self.taken.clone();
        let reading = self.writer.read(move |engine, view, now| {
            let mut due = Vec::new();
            for (name, limit, is_probe) in wanted {
                if is_probe {
                    // Nothing of this listener is under way.
                    due.extend(engine.relay_probe(view, &name, now)?);
                    continue;
                }
                let skip = |number| taken.contains(&(name.clone(), number));
                due.extend(engine.relays_due(view, &name, now, limit, &skip)?);
            }
            Ok(due)
        });
        let due = match reading.await {
            Ok(Ok(due)) => due,
            Ok(Err(fault)) => {
                warn!("can't read what is to be passed on: {fault}");
                return false;
            }
            Err(_) => return false,
        };
        for message in due {
            let Some(lane) = self.lanes.get_mut(&message.merchant) else { continue };
            self.taken.insert((message.merchant.clone(), message.number));
            lane.under_way += 1;
            let (sender, writer, events) = (lane.sender.clone(), self.writer.clone(), self.events.clone());
            self.tasks.spawn(async move {
                let (merchant, number) = (message.merchant.clone(), message.number);
                let attempt = sender.send(message).await;
                if writer.relayed(merchant.clone(), number, attempt.clone()).await.is_err() {
                    // Not kept: it is still due, and will be passed on again under the same id.
                    warn!(relay.number = number, "what the shop of {merchant} said could not be kept");
                }
                // The relay outlives its tasks, except at the very end.
                let _ = events.send(Ended { merchant, number, attempt });
            });
        }
        // Each end of an attempt, and each commit, asks again.
        false
    }

    fn ended(&mut self, ended: &Ended) {
        self.taken.remove(&(ended.merchant.clone(), ended.number));
        let now = self.writer.clock.now().steady;
        let Some(lane) = self.lanes.get_mut(&ended.merchant) else { return };
        let (was_absent, merchant) = (lane.absent_until.is_some(), &ended.merchant);
        lane.ended(&ended.attempt, now);
        match (was_absent, lane.absent_until.is_some()) {
            (false, true) => warn!(merchant = %merchant, "the shop's listener is not there: {}", ended.attempt.text()),
            (true, false) => info!(merchant = %merchant, "the shop's listener of {merchant} takes messages again"),
            (true, true) | (false, false) => {}
        }
    }
}

/// Sends to one shop's listener.
struct Sender {
    client: Client,
    url: Url,
    timeout: Duration,
    dialect: Dialect,
}

impl Sender {
    fn new(shop: &Shop, dialect: Dialect) -> Result<Sender, reqwest::Error> {
        let loopback = address::is_loopback(&shop.url);
        Ok(Sender {
            client: gateway::client(shop.allow_private_address, loopback, shop.in_flight_max)?,
            url: shop.url.clone(),
            timeout: shop.timeout.unsigned_abs(),
            dialect,
        })
    }

    async fn send(&self, message: Relayable) -> Attempt {
        match tokio::time::timeout(self.timeout, self.exchange(message)).await {
            Ok(attempt) => attempt,
            Err(_) => Attempt::Unreachable { why: format!("no whole answer within {} s", self.timeout.as_secs()) },
        }
    }

    async fn exchange(&self, message: Relayable) -> Attempt {
        let mut request = self.client.post(self.url.clone()).header(ID_HEADER, message.id);
        if let Some(kind) = message.content_type.and_then(|text| HeaderValue::from_str(&text).ok()) {
            request = request.header(CONTENT_TYPE, kind);
        }
        let mut answer = match request.body(message.body).send().await {
            Ok(answer) => answer,
            // Without the URL: it may hold a token of the shop's.
            Err(error) => return Attempt::Unreachable { why: gateway::cause(error) },
        };
        let status = answer.status();
        let http_status = status.as_u16();
        if !status.is_success() {
            return Attempt::Refused { http_status };
        }
        let ok_token = match self.dialect {
            Dialect::Wpg => None,
            Dialect::Checkout => {
                let mut page = Vec::new();
                // A page that breaks off behind its status was accepted all the same: 2xx is what counts.
                while let Ok(Some(chunk)) = answer.chunk().await
                    && page.len() < ANSWER_MAX_BYTES
                {
                    page.extend_from_slice(&chunk);
                }
                Some(says_ok(&page))
            }
        };
        Attempt::Accepted { http_status, ok_token }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::minutes;

    const IN_FLIGHT: usize = 8;

    fn lane() -> Lane {
        gateway::install_tls();
        let shop = Shop {
            url: "http://127.0.0.1:9/own".parse().expect("a url"),
            allow_private_address: false,
            timeout: seconds(20),
            in_flight_max: IN_FLIGHT,
        };
        Lane {
            sender: Arc::new(Sender::new(&shop, Dialect::Wpg).expect("a client")),
            in_flight_max: IN_FLIGHT,
            under_way: 0,
            rule: RelayPolicy::default(),
            absences: 0,
            absent_until: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, seconds(second))
    }

    /// One attempt that begins and ends at a second.
    fn attempt(lane: &mut Lane, second: i64, said: &Attempt) {
        lane.under_way += 1;
        lane.ended(said, at(second));
    }

    #[test]
    fn a_listener_that_is_not_there_is_asked_with_one_message_every_15_seconds_at_the_latest() {
        let absent = Attempt::Unreachable { why: "connection refused".into() };
        for absent in [absent, Attempt::Refused { http_status: 503 }] {
            let mut lane = lane();
            assert_eq!(lane.appetite(at(0)), IN_FLIGHT);
            let (mut second, mut asked_at) = (0, Vec::new());
            for _ in 0..12 {
                asked_at.push(second);
                attempt(&mut lane, second, &absent);
                assert_eq!(lane.appetite(at(second)), 0, "{absent:?}");
                while lane.appetite(at(second)) == 0 {
                    second += 1;
                    assert!(second < 1_000, "it is never asked again");
                }
                assert_eq!(lane.appetite(at(second)), 1, "with one message");
                lane.under_way += 1;
                assert_eq!(lane.appetite(at(second)), 0, "and no other beside it");
                lane.under_way -= 1;
            }
            let expected: Vec<i64> = std::iter::once(0).chain((0..11).map(|n| 10 + 15 * n)).collect();
            assert_eq!(asked_at, expected, "{absent:?}");
            // The message itself waits much longer by then; others must not.
            assert_eq!(lane.rule.pause(&absent, 12), minutes(10));
            attempt(&mut lane, second, &Attempt::Refused { http_status: 404 });
            assert_eq!(lane.appetite(at(second)), IN_FLIGHT, "whatever it says of a message, it is there");
        }
    }

    #[test]
    fn what_was_under_way_beside_the_first_that_failed_does_not_lengthen_the_pause() {
        let mut lane = lane();
        lane.under_way = IN_FLIGHT;
        let absent = Attempt::Unreachable { why: "connection refused".into() };
        for _ in 0..IN_FLIGHT {
            lane.ended(&absent, at(0));
        }
        assert_eq!((lane.appetite(at(9)), lane.appetite(at(10))), (0, 1), "ten seconds, as behind one");
    }
}
