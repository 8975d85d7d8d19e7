//! One seed: the shops, the gateway, the strangers, the machine and the daemon's verbs in between,
//! driven by one queue of events. Nothing in here reads a clock or draws a number that is not the seed's.

mod buying;
mod life;
mod operating;
mod passing;
mod trouble;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reconciled::core::alert::Status;
use reconciled::core::look::{Answer, Look, Outcome};
use reconciled::core::submission::Submission;
use reconciled::engine::report::Slot;
use reconciled::engine::{Delivery, Engine, Incoming, Kept, Responded, ResponseSeen, ResponseWhat, Submitted};
use reconciled::sandbox::prng::Prng;
use reconciled::sandbox::{Gateway, KnownMove, Manner, Outage, Plan, Response, Script, Shop};
use reconciled::shell::clock::{CLOCK_KEY, Stored};
use reconciled::store::embedded::Opening;
use reconciled::store::{Draft, Embedded, Fault, Table};
use reconciled::words::id::{MerchantName, PaymentNumber, RequestId, TransactionId};
use reconciled::words::time::{Now, SignedDuration, Timestamp, days, hours, later, minutes, seconds};

use crate::accounts::{self, Kind};
use crate::checker::{Checker, Outside, hex};
use crate::faults::{Class, Swarm, Tally};
use crate::forger::Forger;
use crate::machine::{Machine, ends_the_process};
use crate::passing::{Item, Proxy};
use crate::shop::{self, Number, Order};
use crate::simdisk::Dice;
use crate::{ask, end};

const CACHE_MIB: usize = 2;
/// Lines of history kept for a failure's report.
const HISTORY_LINES: usize = 200;
const JUDGE_MAX_ROWS: usize = 64;
const LOOKS_MAX: usize = 32;
/// Commits between two full checks of promise 2.
const FORGOTTEN_EVERY: u64 = 200;
/// The daemon's own tick is a minute; nothing but what it finds due depends on it.
const TICK_EVERY: SignedDuration = hours(2);

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub seed: u64,
    pub days: i64,
    pub orders: usize,
}

#[derive(Debug)]
enum Event {
    /// The payer presses "buy".
    Order(usize),
    /// The shop tells the daemon, for the first time or again.
    Submit(usize),
    Resubmit(usize),
    Conflict(usize),
    Amend(usize),
    Respond(usize, Response),
    FollowUp(usize),
    /// The shop sends its request through the proxy, for the first time or again.
    Send(usize),
    /// An answer passed the proxy, or failed to.
    Passed {
        life: u64,
        item: Box<Item>,
        what: ResponseWhat,
    },
    /// The proxy tries to keep what passed unkept.
    KeepLate,
    /// The shop sends an operation through the proxy that is no submission.
    Operate(usize),
    /// A stranger sends something.
    Forge,
    Answer {
        life: u64,
        look: Box<Look>,
        answers: Vec<Answer>,
    },
    Told {
        life: u64,
        number: u64,
        outcome: Result<(), String>,
    },
    Tick,
    Report,
    Fail(Class),
    Start,
    Jump,
    Suspend(SignedDuration),
    /// Only to be awake.
    Wake,
}

/// What the daemon is asked for in one group.
enum Job {
    Submit {
        order: usize,
        submission: Box<Submission>,
        is_first: bool,
    },
    Conflict {
        order: usize,
        submission: Box<Submission>,
        /// It is not told but passes.
        is_seen: bool,
    },
    /// What passes the proxy.
    Pass {
        item: Item,
        is_late: bool,
    },
    Respond(ResponseSeen),
    Receive {
        incoming: Incoming,
        outgoing: Option<u64>,
        /// The order a genuine message is about.
        about: Option<usize>,
    },
    Answered {
        look: Box<Look>,
        answers: Vec<Answer>,
    },
    Lane {
        merchant: MerchantName,
        why: Option<String>,
    },
    Told {
        number: u64,
        outcome: Result<(), String>,
    },
    Tick,
}

/// What is released once the group is durable.
enum Ack {
    Submitted(Submitted),
    Responded(Responded),
    /// The record of an operation that passed.
    Passed(Option<u64>),
    Kept(Kept),
    Done,
}

/// One life of the daemon.
struct Process {
    store: Embedded,
    life: u64,
    in_flight: BTreeSet<PaymentNumber>,
    sending: BTreeSet<u64>,
    lanes: BTreeSet<MerchantName>,
}

pub struct World {
    pub setting: Setting,
    pub engine: Engine,
    pub gateway: Gateway,
    pub shops: Vec<Shop>,
    pub orders: Vec<Order>,
    pub by_request: BTreeMap<(MerchantName, RequestId), usize>,
    pub machine: Machine,
    pub checker: Checker,
    pub tally: Tally,
    /// What was told to the sinks: alert id and event.
    pub told: BTreeSet<(String, String)>,
    pub reports: Vec<Slot>,
    pub commits: u64,
    pub lives: u64,
    history: VecDeque<String>,
    /// `SIM_ABOUT`: lines that hold this text are printed as they come.
    about: Option<String>,
    hash: u64,
    swarm: Swarm,
    pub proxy: Proxy,
    pub prng: Prng,
    dice: Dice,
    queue: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    process: Option<Process>,
    jobs: Vec<Job>,
    forger: Forger,
    outages: Vec<Outage>,
    sink_down: Vec<(Timestamp, Timestamp)>,
    window: SignedDuration,
    deaf_since: Option<Now>,
    last_tick: Timestamp,
    checked_at_commit: u64,
    faults_end: Timestamp,
}

impl World {
    pub fn new(setting: Setting) -> World {
        let prng = Prng::new(setting.seed);
        let mut draw = prng.fork("world");
        let start: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
        // Some runs cross a day that has 23 or 25 hours.
        let start = later(start, days(draw.below(300) as i64) + minutes(draw.below(1440) as i64));
        let shops = accounts::shops();
        let swarm = Swarm::draw(&Class::ALL, &mut draw);
        let proxy = Proxy::draw(setting.seed, &shops);
        let window = [SignedDuration::ZERO, seconds(5), seconds(15), seconds(40)][draw.below(4) as usize];
        let mut world = World {
            setting,
            engine: accounts::engine(&shops),
            gateway: Gateway::new(setting.seed, shops.clone()),
            shops,
            orders: Vec::new(),
            by_request: BTreeMap::new(),
            machine: Machine::new(setting.seed, start),
            checker: Checker::default(),
            tally: Tally::default(),
            told: BTreeSet::new(),
            reports: Vec::new(),
            commits: 0,
            lives: 0,
            history: VecDeque::new(),
            about: std::env::var("SIM_ABOUT").ok(),
            hash: 0xcbf2_9ce4_8422_2325,
            swarm,
            proxy,
            prng: draw,
            dice: Dice::new(setting.seed),
            queue: BTreeMap::new(),
            next_event: 0,
            process: None,
            jobs: Vec::new(),
            forger: Forger::default(),
            outages: Vec::new(),
            sink_down: Vec::new(),
            window,
            deaf_since: None,
            last_tick: start,
            checked_at_commit: 0,
            faults_end: later(start, days(setting.days)),
        };
        world.lay_out(start);
        world
    }

    fn lay_out(&mut self, start: Timestamp) {
        let span = days(self.setting.days);
        let last_order = (span * 9) / 10;
        for at in shop::arrivals(self.setting.orders, start, last_order, &mut self.prng) {
            let n = self.orders.len();
            let order = shop::order(n, &self.shops, days(2), &self.swarm, &mut self.prng);
            self.by_request.insert((order.merchant().clone(), order.request_id().clone()), n);
            self.orders.push(order);
            self.schedule(at, Event::Order(n));
        }
        let timed = [
            (Class::PowerCut, 22),
            (Class::Kill, 6),
            (Class::IoErrorOnce, 22),
            (Class::IoErrorSticky, 14),
            (Class::SyncFailed, 20),
            (Class::DiskFull, 14),
        ];
        for (class, most) in timed {
            for _ in 0..self.times(class, most) {
                let at = self.some_time(start, span);
                self.schedule(at, Event::Fail(class));
            }
        }
        for _ in 0..self.times(Class::ClockJump, 9) {
            let at = self.some_time(start, span);
            self.schedule(at, Event::Jump);
        }
        for _ in 0..self.times(Class::Suspend, 14) {
            let at = self.some_time(start, span);
            let length = self.prng.between(minutes(1), hours(3));
            self.schedule(at, Event::Suspend(length));
        }
        for _ in 0..self.times(Class::ReplayedNotification, 60) {
            let at = self.some_time(start, span);
            self.schedule(at, Event::Forge);
        }
        for manner in Manner::ALL {
            for _ in 0..self.times(Class::of(manner), 5) {
                let from = self.some_time(start, span);
                let until = later(from, self.prng.between(minutes(2), hours(2))).min(self.faults_end);
                let shop = self.prng.below(self.shops.len() as u64 * 2) as usize;
                let merchant = self.shops.get(shop).map(|s| s.account.name.clone());
                let outage = Outage { merchant, from, until, manner };
                self.outages.push(outage.clone());
                self.gateway.outage(outage);
            }
        }
        for _ in 0..self.times(Class::SinkDown, 4) {
            let from = self.some_time(start, span);
            let until = later(from, self.prng.between(minutes(10), hours(6))).min(self.faults_end);
            self.sink_down.push((from, until));
        }
        let reports = (self.setting.days + end::quiet_days(self.setting.days)) * 2;
        for n in 1..=reports {
            self.schedule(later(start, hours(12 * n)), Event::Report);
        }
        self.schedule(start, Event::Start);
        self.schedule(later(start, TICK_EVERY), Event::Tick);
    }

    /// How often a timed fault comes in this seed.
    fn times(&mut self, class: Class, most: u64) -> u64 {
        let strength = self.swarm.strength(class);
        if strength == 0 { 0 } else { 1 + self.prng.below(1 + most * strength / 1000) }
    }

    fn some_time(&mut self, start: Timestamp, span: SignedDuration) -> Timestamp {
        later(start, self.prng.between(SignedDuration::ZERO, span))
    }

    fn schedule(&mut self, at: Timestamp, event: Event) {
        self.next_event += 1;
        self.queue.insert((at, self.next_event), event);
    }

    fn after(&mut self, wait: SignedDuration, event: Event) {
        self.schedule(later(self.machine.t, wait), event);
    }

    /// Plays the seed: the days with faults, then the quiet ones, then the reckoning.
    pub fn run(&mut self) {
        let quiet_end = later(self.faults_end, days(end::quiet_days(self.setting.days)));
        self.play_until(self.faults_end);
        self.swarm.stop();
        self.proxy.swarm.stop();
        self.machine.disarm();
        self.machine.wall_offset = SignedDuration::ZERO;
        self.say("all faults stop");
        self.play_until(quiet_end);
        if self.checker.findings.is_empty() {
            self.last_check();
        }
        for _ in 0..self.checker.again {
            self.tally.hit(Class::PassedAgain);
        }
    }

    fn play_until(&mut self, end: Timestamp) {
        while self.checker.findings.is_empty() {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let Some(at) = [queued, self.gateway.next_event()].into_iter().flatten().min() else { break };
            if at > end {
                break;
            }
            self.machine.t = self.machine.t.max(at);
            self.turn(later(at, self.window).min(end));
        }
        self.machine.t = self.machine.t.max(end);
    }

    /// One line of history. The hash over all of them is what two runs of a seed must share.
    pub fn say(&mut self, what: &str) {
        let line = format!("{} {what}", self.machine.t);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.about.as_ref().is_some_and(|about| line.contains(about.as_str())) {
            println!("{line}");
        }
        if self.history.len() >= HISTORY_LINES {
            self.history.pop_front();
        }
        self.history.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn history(&self) -> impl Iterator<Item = &String> {
        self.history.iter()
    }

    fn turn(&mut self, until: Timestamp) {
        loop {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let carried = self.gateway.next_event();
            let Some(at) = [queued, carried].into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.machine.t = self.machine.t.max(at);
            if carried == Some(at) {
                self.carry();
            } else if let Some((_, event)) = self.queue.pop_first() {
                self.happen(event);
            }
        }
        self.serve();
    }

    /// Brings the gateway's messages to the daemon's door.
    fn carry(&mut self) {
        for message in self.gateway.events(self.machine.t) {
            match message.forged {
                Some(kind) => {
                    self.tally.hit(Class::ForgedNotification);
                    if matches!(
                        kind,
                        reconciled::sandbox::Forgery::UnsignedFailure | reconciled::sandbox::Forgery::UnsignedCancel
                    ) {
                        self.tally.hit(Class::ContradictingNotification);
                    }
                }
                None => {
                    let id = message.request_id.as_str();
                    self.forger.sees(&message.merchant, id, &message.body, &mut self.prng);
                }
            }
            self.say(&format!("message {} for {} forged {:?}", message.id, message.request_id, message.forged));
            let key = (message.merchant.clone(), message.request_id.clone());
            let about = self.by_request.get(&key).copied().filter(|_| message.forged.is_none());
            let incoming = Incoming {
                merchant: message.merchant,
                body: message.body,
                content_type: Some(message.content_type.to_owned()),
                way: "http",
            };
            self.jobs.push(Job::Receive { incoming, outgoing: Some(message.id), about });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Order(n) => self.buy(n),
            Event::Submit(n) => self.submit(n, true),
            Event::Resubmit(n) => self.submit(n, false),
            // A conflict needs something to be in conflict with.
            Event::Conflict(n) if !self.orders[n].is_kept => self.after(minutes(10), Event::Conflict(n)),
            Event::Conflict(n) => {
                let mut submission = self.orders[n].submission.clone();
                submission.amount = submission.amount.checked_add(submission.amount).expect("twice fits");
                self.tally.hit(Class::ConflictingSubmission);
                let is_seen = self.orders[n].passing.is_some() && self.proxy.prng.chance(500);
                self.jobs.push(Job::Conflict { order: n, submission: Box::new(submission), is_seen });
            }
            Event::Amend(n) => {
                if let Number::Later(number) = self.orders[n].number.clone() {
                    self.orders[n].submission.gateway_order_number = Some(number);
                    self.submit(n, false);
                }
            }
            Event::Respond(n, response) => {
                let what = match response.http_status {
                    None if self.prng.chance(500) => ResponseWhat::OutcomeUnknown,
                    None => ResponseWhat::NotSent,
                    Some(http_status) => ResponseWhat::Answered { http_status, body: response.body.into_bytes() },
                };
                let order = &self.orders[n];
                let (merchant, request_id) = (order.merchant().clone(), order.request_id().clone());
                self.jobs.push(Job::Respond(ResponseSeen { merchant, request_id, what }));
            }
            Event::FollowUp(n) => self.follow_up(n),
            Event::Send(n) => self.send_request(n),
            Event::Passed { life, item, what } => self.answer_passed(life, &item, what),
            Event::KeepLate => self.keep_late(),
            Event::Operate(n) => self.operate(n),
            Event::Forge => {
                let accounts: Vec<MerchantName> = self.shops.iter().map(|s| s.account.name.clone()).collect();
                if let Some(forged) = self.forger.sends(&accounts, &mut self.prng) {
                    let class = if forged.is_replay { Class::ReplayedNotification } else { Class::ForgedNotification };
                    self.tally.hit(class);
                    self.say(&format!("a stranger sends {}", hex(&forged.body)));
                    let incoming =
                        Incoming { merchant: forged.merchant, body: forged.body, content_type: None, way: "http" };
                    self.jobs.push(Job::Receive { incoming, outgoing: None, about: None });
                }
            }
            Event::Answer { life, look, answers } => {
                if self.process.as_ref().is_some_and(|p| p.life == life) {
                    self.judge_lane(&look.merchant.clone(), &answers);
                    self.jobs.push(Job::Answered { look, answers });
                }
            }
            Event::Told { life, number, outcome } => {
                if self.process.as_ref().is_some_and(|p| p.life == life) {
                    self.jobs.push(Job::Told { number, outcome });
                }
            }
            Event::Tick => {
                self.jobs.push(Job::Tick);
                self.after(TICK_EVERY, Event::Tick);
            }
            Event::Report => self.report(),
            Event::Fail(class) => self.fail(class),
            Event::Start => self.start(),
            Event::Jump => self.jump(),
            Event::Suspend(length) => self.suspend(length),
            Event::Wake => {}
        }
    }

    /// All faults have stopped and time has passed: what must be true now.
    fn last_check(&mut self) {
        let Some(process) = &self.process else {
            return self.checker.find("the daemon is not running in the end".to_owned());
        };
        let now = self.machine.now();
        let outcome = process.store.snapshot().and_then(|view| end::reckon(self, &view, now));
        let seen = self.reading(|view, checker, outside| checker.after_start(view, &outside));
        if let Err(fault) = seen {
            self.checker.find(format!("the books can't be read: {fault}"));
        }
        match outcome {
            Ok((findings, head)) => {
                self.say(&format!("the journal ends with {head}"));
                findings.into_iter().for_each(|finding| self.checker.find(finding));
            }
            Err(fault) => self.checker.find(format!("the books can't be read: {fault}")),
        }
        let (told, seen) = (self.proxy.told, self.checker.unkept);
        if seen.0 < told.0 || seen.1 < told.1 {
            self.checker.find(format!("told that {told:?} requests passed unkept; the journal says {seen:?}"));
        }
    }

    pub fn outside(&self) -> Outside<'_> {
        Outside {
            engine: &self.engine,
            gateway: &self.gateway,
            orders: &self.orders,
            by_request: &self.by_request,
            t: self.machine.t,
            now: self.machine.now(),
        }
    }

    /// Whether the sinks heard of an alert in this status.
    pub fn was_told(&self, alert: &str, status: Status) -> bool {
        let event = match status {
            Status::Firing => "alert.firing",
            Status::Resolved => "alert.resolved",
        };
        self.told.contains(&(alert.to_owned(), event.to_owned()))
    }
}
