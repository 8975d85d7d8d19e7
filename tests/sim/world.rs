//! One seed: the shops, the gateway, the strangers, the machine and the daemon's verbs in between,
//! driven by one queue of events. Nothing in here reads a clock or draws a number that is not the seed's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reconciled::core::alert::Status;
use reconciled::core::look::{Answer, Look, Outcome};
use reconciled::core::submission::Submission;
use reconciled::engine::report::Slot;
use reconciled::engine::{Delivery, Engine, Incoming, Kept, Responded, ResponseSeen, ResponseWhat, Submitted};
use reconciled::sandbox::prng::Prng;
use reconciled::sandbox::{Gateway, Manner, Outage, Plan, Response, Script, Shop};
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
        let swarm = Swarm::draw(&mut draw);
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
        self.machine.disarm();
        self.machine.wall_offset = SignedDuration::ZERO;
        self.say("all faults stop");
        self.play_until(quiet_end);
        if self.checker.findings.is_empty() {
            self.last_check();
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

    // ---- one turn ----

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
                self.jobs.push(Job::Conflict { order: n, submission: Box::new(submission) });
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

    // ---- the shop ----

    fn buy(&mut self, n: usize) {
        let is_checkout = self.kind(n) == Kind::Checkout;
        if is_checkout && self.prng.chance(600) {
            let number = self.gateway.generate_order_number();
            self.orders[n].submission.gateway_order_number = Some(number.clone());
            self.orders[n].number = Number::AtOnce;
            if self.prng.chance(300) {
                self.orders[n].number = Number::Later(number);
            }
        }
        let order = self.orders[n].clone();
        shop::count(&order, &mut self.tally);
        let response = self.gateway.submit(self.machine.t, &order.submission, &order.script, &order.plan);
        let response = response.expect("the shop never uses a request-id or a number twice");
        self.say(&format!("order {n} {} {} {:?}", order.merchant(), order.request_id(), order.script));
        if let Number::Later(_) = order.number {
            self.orders[n].submission.gateway_order_number = None;
            let wait = self.prng.between(seconds(30), minutes(20)) + order.told_after;
            self.after(wait, Event::Amend(n));
        }
        self.after(order.told_after, Event::Submit(n));
        if self.swarm.strikes(Class::LostResponse, 250, &mut self.prng) {
            self.tally.hit(Class::LostResponse);
        } else {
            self.after(order.told_after + seconds(2), Event::Respond(n, response));
        }
        if self.prng.chance(30) {
            let wait = order.told_after + self.prng.between(seconds(1), hours(2));
            self.after(wait, Event::Resubmit(n));
        }
        if self.swarm.strikes(Class::ConflictingSubmission, 60, &mut self.prng) {
            let wait = order.told_after + self.prng.between(seconds(30), hours(2));
            self.after(wait, Event::Conflict(n));
        }
        let is_hold = matches!(order.script, Script::Reserved { .. });
        if self.kind(n) == Kind::Wpg && is_hold && order.root.is_none() && self.prng.chance(600) {
            let wait = order.told_after + self.prng.between(minutes(40), hours(6));
            self.after(wait, Event::FollowUp(n));
        }
    }

    fn kind(&self, n: usize) -> Kind {
        let shop = self.shops.iter().find(|s| s.account.name == *self.orders[n].merchant());
        accounts::kind(shop.expect("orders are of known shops"))
    }

    fn submit(&mut self, n: usize, is_first: bool) {
        let submission = Box::new(self.orders[n].submission.clone());
        self.jobs.push(Job::Submit { order: n, submission, is_first });
    }

    /// The shop captures or voids a hold, under a request-id of its own.
    fn follow_up(&mut self, n: usize) {
        let root = self.orders[n].clone();
        let Some(held) = self.gateway.paid_transaction(root.merchant(), root.request_id()) else { return };
        let kind = if self.prng.chance(700) { "capture-authorization" } else { "void-authorization" };
        let m = self.orders.len();
        let submission = Submission {
            request_id: RequestId::new(&format!("f{m}-{}", self.prng.uuid())).expect("an id"),
            order_number: None,
            transaction_type: Some(kind.to_owned()),
            amount: root.plan.pays_instead.unwrap_or(root.submission.amount),
            parent_transaction_id: TransactionId::new(&held).ok(),
            ..root.submission.clone()
        };
        let follow_up = Order {
            submission,
            script: Script::Success { after: seconds(4) },
            plan: Plan { fates: root.plan.fates.clone(), format: root.plan.format, ..Plan::default() },
            told_after: SignedDuration::ZERO,
            number: Number::Never,
            is_kept: false,
            heard: BTreeSet::new(),
            root: Some(n),
            follow_ups: Vec::new(),
        };
        self.by_request.insert((follow_up.merchant().clone(), follow_up.request_id().clone()), m);
        self.orders.push(follow_up);
        self.orders[n].follow_ups.push(m);
        self.buy(m);
    }

    // ---- faults ----

    fn fail(&mut self, class: Class) {
        if self.process.is_none() {
            return;
        }
        match class {
            Class::Kill => {
                self.tally.hit(Class::Kill);
                self.dies("kill -9", None);
            }
            class => {
                self.say(&format!("the disk will fail: {class:?}"));
                self.machine.arm(class, &mut self.dice);
            }
        }
    }

    fn jump(&mut self) {
        if self.swarm.strength(Class::ClockJump) == 0 {
            return;
        }
        self.tally.hit(Class::ClockJump);
        let to_1970 = Timestamp::UNIX_EPOCH.duration_since(self.machine.t) + minutes(10);
        let year = days(365);
        let choices = [hours(1), -hours(1), year * 10, year * -10, to_1970, seconds(90), SignedDuration::ZERO];
        self.machine.wall_offset = *self.prng.pick(&choices);
        self.say(&format!("the wall clock is off by {:?}", self.machine.wall_offset));
        if self.machine.wall_offset != SignedDuration::ZERO {
            let wait = self.prng.between(minutes(1), hours(12));
            self.after(wait, Event::Jump);
        }
    }

    /// The machine sleeps: nobody answers the door, questions under way time out.
    fn suspend(&mut self, length: SignedDuration) {
        if self.process.is_none() || self.swarm.strength(Class::Suspend) == 0 {
            return;
        }
        self.serve();
        if self.process.is_none() {
            return;
        }
        self.tally.hit(Class::Suspend);
        self.say(&format!("suspended for {length:?}"));
        let (from, until) = (self.machine.now(), later(self.machine.t, length));
        let slept = self.process.take();
        while let Some(at) = self.gateway.next_event().filter(|at| *at <= until) {
            self.machine.t = self.machine.t.max(at);
            self.carry();
            self.turn_away();
        }
        let due: Vec<_> = self.queue.range(..=(until, u64::MAX)).map(|(key, _)| *key).collect();
        for key in due {
            // What the shop or the world does meanwhile waits for the machine, or fails at it.
            if let Some(event) = self.queue.remove(&key) {
                self.schedule(until, event);
            }
        }
        self.machine.t = self.machine.t.max(until);
        self.process = slept;
        let now = self.machine.now();
        let outcome = self.change(|engine, draft, _| engine.deaf(draft, from, now, "the machine slept"));
        self.settle(outcome);
    }

    /// The process ends; what it did not commit never was.
    fn dies(&mut self, why: &str, struck: Option<Class>) {
        let Some(process) = self.process.take() else { return };
        self.say(&format!("the daemon dies: {why}"));
        for _ in &process.in_flight {
            self.tally.hit(Class::AnswerLost);
        }
        if struck == Some(Class::PowerCut) || struck == Some(Class::CrashInRecovery) {
            self.machine.power_cut(&mut self.dice);
        } else {
            // A new process: what the old one still holds open writes nothing any more.
            drop(self.machine.disk.file());
        }
        drop(process);
        self.machine.mend(struck);
        self.turn_away();
        let wait = match self.prng.below(3) {
            0 => self.prng.between(seconds(1), seconds(30)),
            1 => self.prng.between(seconds(10), minutes(10)),
            _ => self.prng.between(minutes(1), minutes(90)),
        };
        self.after(wait, Event::Start);
    }

    /// The store failed: what the shell does about it.
    fn faulted(&mut self, fault: &Fault) {
        let struck = self.machine.struck();
        match struck {
            Some(class) => self.tally.hit(class),
            None => self.checker.find(format!("the store failed without a cause: {fault}")),
        }
        if ends_the_process(fault) {
            return self.dies(&format!("{fault}"), struck);
        }
        // No space: the same process opens the store again once there is some.
        self.say(&format!("the store is full: {fault}"));
        self.deaf_since.get_or_insert(self.machine.now());
        if let Some(process) = self.process.take() {
            let _ = process.store.close();
        }
        self.machine.mend(struck);
        self.turn_away();
        let wait = self.prng.between(seconds(1), minutes(20));
        self.after(wait, Event::Start);
    }

    /// Nobody listens: 503, or no connection at all. Shops come again, gateways may not.
    fn turn_away(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::Submit { order, is_first, .. } => {
                    self.tally.hit(Class::Deaf);
                    let wait = self.prng.between(seconds(20), minutes(10));
                    self.after(wait, if is_first { Event::Submit(order) } else { Event::Resubmit(order) });
                }
                Job::Receive { outgoing: Some(id), .. } => {
                    self.tally.hit(Class::Deaf);
                    self.gateway.delivered(self.machine.t, id, false);
                }
                Job::Receive { outgoing: None, .. }
                | Job::Conflict { .. }
                | Job::Respond(_)
                | Job::Answered { .. }
                | Job::Lane { .. }
                | Job::Told { .. }
                | Job::Tick => {}
            }
        }
    }

    // ---- the daemon ----

    fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        if self.swarm.strikes(Class::PolicyChange, 500, &mut self.prng) {
            self.tally.hit(Class::PolicyChange);
            let alerts = &mut self.engine.policy.alerts;
            match self.prng.below(3) {
                0 => alerts.repeat_after = hours(12 + self.prng.below(24) as i64),
                1 => alerts.large = vec![format!("{} EUR", 300 + self.prng.below(300)).parse().expect("money")],
                _ => self.engine.policy.keeping.unverified_max_per_request = 4 + self.prng.below(40) as u32,
            }
        }
        let is_new = self.lives == 0;
        self.lives += 1;
        self.machine.boots();
        if !is_new && self.swarm.strikes(Class::CrashInRecovery, 400, &mut self.prng) {
            self.machine.arm(Class::CrashInRecovery, &mut self.dice);
        }
        let opened = if is_new {
            Embedded::create_on(self.machine.disk.file(), CACHE_MIB, &[])
        } else {
            Embedded::open_on(self.machine.disk.file(), CACHE_MIB, Opening::Checked(None))
        };
        let store = match opened {
            Ok(store) => store,
            Err(fault) => {
                match self.machine.struck() {
                    Some(class) => {
                        self.tally.hit(class);
                        self.say(&format!("the start fails: {class:?}"));
                        self.machine.power_cut(&mut self.dice);
                        self.after(seconds(20), Event::Start);
                    }
                    None => self.checker.find(format!("the store does not open: {fault}")),
                }
                return;
            }
        };
        self.process = Some(Process {
            store,
            life: self.lives,
            in_flight: BTreeSet::new(),
            sending: BTreeSet::new(),
            lanes: BTreeSet::new(),
        });
        self.say(&format!("life {} begins", self.lives));
        let outcome = self.resumed().and_then(|()| {
            let deaf_since = self.deaf_since;
            self.change(|engine, draft, now| {
                engine.started(draft, now)?;
                match deaf_since {
                    Some(since) => engine.deaf(draft, since, now, "no space"),
                    None => Ok(()),
                }
            })
        });
        if self.settle(outcome).is_none() {
            return;
        }
        self.deaf_since = None;
        self.judge();
        if self.process.is_some() {
            let outcome = self.reading(|view, checker, outside| checker.after_start(view, &outside));
            self.settle(outcome);
        }
    }

    fn resumed(&mut self) -> Result<(), Fault> {
        let process = self.process.as_ref().expect("it was just opened");
        if let Some(stored) = Stored::read(&process.store.snapshot()?)? {
            self.machine.resume(&stored);
            if self.machine.now().steady < stored.steady {
                self.checker.find("the steady clock ran backwards".to_owned());
            }
        }
        Ok(())
    }

    /// One commit, as the shell's writer makes it.
    fn change<T>(&mut self, change: impl FnOnce(&Engine, &mut Draft, Now) -> Result<T, Fault>) -> Result<T, Fault> {
        let now = self.machine.now();
        let store = &self.process.as_ref().expect("callers ask first").store;
        let (outcome, commit) = {
            let view = store.snapshot()?;
            let mut draft = Draft::new(&view)?;
            let outcome = change(&self.engine, &mut draft, now)?;
            if draft.is_empty() {
                return Ok(outcome);
            }
            draft.put(Table::Meta, CLOCK_KEY.to_vec(), self.machine.stored().bytes());
            (outcome, draft.into_commit())
        };
        store.commit(commit)?;
        self.commits += 1;
        Ok(outcome)
    }

    /// Reads the books with the checker.
    fn reading<T>(
        &mut self,
        read: impl FnOnce(&dyn reconciled::store::View, &mut Checker, Outside) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let view = self.process.as_ref().expect("callers ask first").store.snapshot()?;
        let outside = Outside {
            engine: &self.engine,
            gateway: &self.gateway,
            orders: &self.orders,
            by_request: &self.by_request,
            t: self.machine.t,
            now: self.machine.now(),
        };
        read(&view, &mut self.checker, outside)
    }

    /// An outcome, or the end of this life.
    fn settle<T>(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        outcome.map_err(|fault| self.faulted(&fault)).ok()
    }

    /// What the daemon does with everything that has come: keep, thank, judge, look, tell.
    fn serve(&mut self) {
        if self.process.is_none() {
            return self.turn_away();
        }
        let before = self.commits;
        let keeps = self.jobs.iter().any(|job| matches!(job, Job::Receive { .. }));
        if !self.jobs.is_empty() && !self.commit_jobs() {
            return;
        }
        if keeps {
            if self.swarm.strikes(Class::CrashBeforeJudging, 40, &mut self.prng) {
                self.tally.hit(Class::CrashBeforeJudging);
                return self.dies("kill -9 between keep and judge", None);
            }
            self.judge();
        }
        if self.process.is_some() {
            self.look();
        }
        if self.process.is_some() {
            self.tell();
        }
        if self.process.is_some() && self.commits > before {
            let is_time = self.commits >= self.checked_at_commit + FORGOTTEN_EVERY;
            let outcome = self.reading(|view, checker, outside| {
                checker.watch(view, &outside)?;
                if is_time { checker.nobody_forgotten(view, outside.engine) } else { Ok(()) }
            });
            if is_time {
                self.checked_at_commit = self.commits;
            }
            self.settle(outcome);
        }
    }

    /// Runs the group as one commit and thanks for it. False: this life is over.
    fn commit_jobs(&mut self) -> bool {
        let jobs = std::mem::take(&mut self.jobs);
        let outcome = self.change(|engine, draft, now| {
            let run = |job: &Job| -> Result<Ack, Fault> {
                Ok(match job {
                    Job::Submit { submission, .. } | Job::Conflict { submission, .. } => {
                        Ack::Submitted(draft.attempt(|d| engine.submit(d, (**submission).clone(), now))?)
                    }
                    Job::Respond(response) => {
                        Ack::Responded(draft.attempt(|d| engine.respond(d, response.clone(), now))?)
                    }
                    Job::Receive { incoming, .. } => {
                        Ack::Kept(draft.attempt(|d| engine.receive(d, incoming.clone(), now))?)
                    }
                    Job::Answered { look, answers } => {
                        draft.attempt(|d| engine.answered(d, look, answers, now))?;
                        Ack::Done
                    }
                    Job::Lane { merchant, why } => {
                        draft.attempt(|d| engine.lane(d, merchant, why.as_deref(), now))?;
                        Ack::Done
                    }
                    Job::Told { number, outcome } => {
                        draft.attempt(|d| engine.delivered(d, *number, outcome.clone(), now))?;
                        Ack::Done
                    }
                    Job::Tick => {
                        draft.attempt(|d| engine.tick(d, now))?;
                        Ack::Done
                    }
                })
            };
            jobs.iter().map(run).collect::<Result<Vec<Ack>, Fault>>()
        });
        match outcome {
            Ok(acks) => {
                for (job, ack) in jobs.into_iter().zip(acks) {
                    self.thank(job, ack);
                }
                true
            }
            Err(fault) => {
                // Nobody is thanked.
                self.jobs = jobs;
                self.faulted(&fault);
                false
            }
        }
    }

    fn thank(&mut self, job: Job, ack: Ack) {
        match (&job, &ack) {
            (Job::Submit { submission, .. }, Ack::Submitted(outcome)) => {
                let number = submission.gateway_order_number.as_ref().map_or("", |n| n.as_str());
                self.say(&format!("submitted {} {number}: {outcome:?}", submission.request_id));
            }
            (Job::Receive { outgoing: Some(id), about: Some(n), .. }, Ack::Kept(_)) => {
                let request_id = self.orders[*n].request_id().clone();
                self.say(&format!("thanked for message {id} about {request_id}"));
            }
            _ => {}
        }
        match (job, ack) {
            (Job::Submit { order, .. }, Ack::Submitted(outcome)) => match outcome {
                Submitted::Created { .. } | Submitted::Same { .. } | Submitted::Amended { .. } => {
                    self.orders[order].is_kept = true;
                }
                other => self.checker.find(format!("order {order} was submitted, and the answer was {other:?}")),
            },
            (Job::Conflict { order, .. }, Ack::Submitted(outcome)) => match outcome {
                Submitted::Conflict { field: "amount", .. } => {}
                other => self.checker.find(format!("order {order} conflicts, and the answer was {other:?}")),
            },
            (Job::Receive { incoming, outgoing, about }, Ack::Kept(kept)) => match kept {
                Kept::Kept { .. } => {
                    self.checker.thanked(&incoming.body);
                    if let Some(n) = about {
                        self.orders[n].heard.insert(hex(&incoming.body));
                    }
                    if let Some(id) = outgoing {
                        self.gateway.delivered(self.machine.t, id, true);
                    }
                }
                Kept::Full => self.checker.find("the inbox is full".to_owned()),
            },
            (Job::Answered { look, .. }, _) => {
                if let Some(process) = &mut self.process {
                    process.in_flight.remove(&look.number);
                }
            }
            (Job::Told { number, .. }, _) => {
                if let Some(process) = &mut self.process {
                    process.sending.remove(&number);
                }
            }
            (Job::Tick, _) => self.last_tick = self.machine.t,
            (Job::Respond(response), Ack::Responded(responded)) => {
                if let Responded::Refused(why) = responded {
                    self.checker.find(format!("the response to {} was refused: {why:?}", response.request_id));
                }
            }
            (_, _) => {}
        }
    }

    fn judge(&mut self) {
        while self.process.is_some() {
            let outcome = self.change(|engine, draft, now| engine.judge(draft, JUDGE_MAX_ROWS, now));
            match self.settle(outcome) {
                Some(judged) if judged.more => {}
                _ => return,
            }
        }
    }

    /// Asks the gateway what is due; the answers come a moment later.
    fn look(&mut self) {
        let now = self.machine.now();
        let process = self.process.as_ref().expect("callers ask first");
        let read = process.store.snapshot().and_then(|view| {
            let skip = |number: PaymentNumber, _: &MerchantName| process.in_flight.contains(&number);
            let looks = self.engine.due(&view, now, LOOKS_MAX, &skip)?;
            Ok((looks, self.engine.next_due(&view)?))
        });
        let Some((looks, next)) = self.settle(read) else { return };
        let asked = !looks.is_empty();
        for look in looks {
            let answers = self.ask(&look);
            let Some(process) = &mut self.process else { return };
            process.in_flight.insert(look.number);
            let life = process.life;
            let is_slow = answers.iter().any(|a| matches!(a.outcome, Outcome::Unavailable { .. }));
            let latency =
                SignedDuration::from_millis(50 + self.prng.below(if is_slow { 20_000 } else { 3_000 }) as i64);
            self.after(latency, Event::Answer { life, look: Box::new(look), answers });
        }
        if self.swarm.strikes(Class::AnswerLost, if asked { 8 } else { 0 }, &mut self.prng) {
            self.tally.hit(Class::Kill);
            return self.dies("kill -9 while it asks", None);
        }
        let Some(next) = next else { return };
        let at = self.machine.true_time(next);
        let wake = if at > self.machine.t {
            Some(at)
        } else if !asked && self.machine.t.duration_since(self.last_tick) >= minutes(1) {
            // Due, and no look: a time that is over.
            self.last_tick = self.machine.t;
            self.jobs.push(Job::Tick);
            Some(later(self.machine.t, seconds(1)))
        } else {
            Some(later(self.machine.t, minutes(1)))
        };
        if let Some(at) = wake
            && !self.queue.range(..=(at, u64::MAX)).any(|(_, event)| matches!(event, Event::Wake))
        {
            self.schedule(at, Event::Wake);
        }
    }

    fn ask(&mut self, look: &Look) -> Vec<Answer> {
        let shop = self.shops.iter().find(|s| s.account.name == look.merchant).expect("looks are of known shops");
        let mut answers = Vec::new();
        for query in &look.queries {
            let asked = if self.swarm.strikes(Class::AnswerForeign, 40, &mut self.prng) {
                ask::another(&self.orders, shop, query, &mut self.prng)
            } else {
                None
            };
            let manner = self.outages.iter().find(|o| o.covers(Some(&look.merchant), self.machine.t)).map(|o| o.manner);
            if let Some(manner) = manner {
                self.tally.hit(Class::of(manner));
            }
            let t = self.machine.t;
            let foreign = asked.map(|asked| ask::ask(&mut self.gateway, shop, query, &asked, t));
            // A cache that mixes answers up gives back what it has, never that it has nothing; and a
            // refusal of `checkout` names no order, so that nobody could tell whose it is.
            let is_named = |a: &Answer| match a.outcome {
                Outcome::Found => shop.wpg().is_some(),
                Outcome::Unavailable { .. } => true,
                Outcome::NotFound | Outcome::Refused { .. } => false,
            };
            answers.push(match foreign.filter(is_named) {
                Some(foreign) => {
                    self.tally.hit(Class::AnswerForeign);
                    foreign
                }
                None => ask::ask(&mut self.gateway, shop, query, query, t),
            });
        }
        let outcome = |a: &Answer| serde_json::to_string(&a.outcome).unwrap_or_default();
        let outcomes: Vec<String> = answers.iter().map(outcome).collect();
        let known: Vec<usize> = answers.iter().map(|a| a.transactions.len()).collect();
        self.say(&format!("asked about {} ({}): {outcomes:?} {known:?}", look.request_id, look.reason));
        answers
    }

    /// The shell stops a lane whose gateway refuses us, and opens it again.
    fn judge_lane(&mut self, merchant: &MerchantName, answers: &[Answer]) {
        let refused = answers.iter().find_map(|a| match &a.outcome {
            Outcome::Refused { why } => Some(why.clone()),
            _ => None,
        });
        let Some(process) = &mut self.process else { return };
        let was = process.lanes.contains(merchant);
        if refused.is_some() == was {
            return;
        }
        if was {
            process.lanes.remove(merchant);
        } else {
            process.lanes.insert(merchant.clone());
        }
        self.jobs.push(Job::Lane { merchant: merchant.clone(), why: refused });
    }

    fn tell(&mut self) {
        let now = self.machine.now();
        let process = self.process.as_ref().expect("callers ask first");
        let read = process.store.snapshot().and_then(|view| self.engine.deliveries(&view, now, 64));
        let Some(deliveries) = self.settle(read) else { return };
        for delivery in deliveries {
            self.send(delivery);
        }
    }

    fn send(&mut self, delivery: Delivery) {
        let t = self.machine.t;
        let Some(process) = &mut self.process else { return };
        if !process.sending.insert(delivery.number) {
            return;
        }
        let life = process.life;
        let is_down = delivery.sink == reconciled::engine::Sink::Webhook
            && (self.sink_down.iter().any(|(from, until)| *from <= t && t < *until)
                || self.swarm.strikes(Class::SinkDown, 150, &mut self.prng));
        let outcome = if is_down {
            self.tally.hit(Class::SinkDown);
            Err("connection refused".to_owned())
        } else {
            let text = |name: &str| delivery.payload[name].as_str().unwrap_or_default().to_owned();
            self.told.insert((text("id"), text("event")));
            Ok(())
        };
        self.after(seconds(1), Event::Told { life, number: delivery.number, outcome });
    }

    fn report(&mut self) {
        for _ in 0..3 {
            let Some(process) = &self.process else { return };
            let now = self.machine.now();
            let made = process.store.snapshot().and_then(|view| {
                let Some(slot) = self.engine.report_due(&view, now)? else { return Ok(None) };
                Ok(Some((slot, self.engine.report(&view, slot)?)))
            });
            let Some(Some((slot, report))) = self.settle(made) else { return };
            let sha256 = hex(report.text().as_bytes());
            let outcome = self.change(|engine, draft, now| engine.reported(draft, &report, sha256, now));
            if self.settle(outcome).is_none() {
                return;
            }
            self.say(&format!("report of {}", slot.day));
            self.reports.push(slot);
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
