//! Buying through the recording proxy: kept, sent on, answered, told; and all that goes wrong in between.

use reconciled::core::message::{Status as StatusCode, Transaction};
use reconciled::core::record::Unkept;
use reconciled::wire::wpg::encode;

use super::*;
use crate::passing::{ATTEMPTS_MAX, Item, Journey, Passing, Tally};

impl World {
    pub(super) fn buy_through_the_proxy(&mut self, n: usize) {
        if self.kind(n) == Kind::Checkout && self.proxy.prng.chance(600) {
            let number = self.gateway.generate_order_number();
            self.orders[n].submission.gateway_order_number = Some(number);
            self.orders[n].number = Number::AtOnce;
        }
        self.orders[n].passing = Some(Passing::default());
        let order = &self.orders[n];
        let line = format!("order {n} {} {} {:?} by the proxy", order.merchant(), order.request_id(), order.script);
        self.say(&line);
        let prng = &mut self.proxy.prng;
        match prng.below(100) {
            0..15 => {
                self.after(SignedDuration::ZERO, Event::Submit(n));
                self.after(seconds(2), Event::Send(n));
            }
            15..50 => {
                let wait = prng.between(seconds(1), hours(2));
                self.after(SignedDuration::ZERO, Event::Send(n));
                self.after(wait, Event::Submit(n));
            }
            _ => self.after(SignedDuration::ZERO, Event::Send(n)),
        }
        if self.swarm.strikes(Class::ConflictingSubmission, 60, &mut self.proxy.prng) {
            let wait = self.proxy.prng.between(seconds(30), hours(2));
            self.after(wait, Event::Conflict(n));
        }
    }

    /// The shop sends its request, for the first time or again.
    pub(super) fn send_request(&mut self, n: usize) {
        if !self.proxy.is_up {
            // No connection: nothing of it went anywhere.
            self.tally.hit(Class::Deaf);
            let wait = self.proxy.prng.between(seconds(20), minutes(10));
            return self.after(wait, Event::Send(n));
        }
        let seen = self.seen(n);
        let item = Item::Request { order: n, seen: Box::new(seen), at: self.machine.now().steady };
        self.comes_by(item);
    }

    fn seen(&mut self, n: usize) -> reconciled::engine::Seen {
        if let Some(seen) = self.orders[n].passing.as_ref().and_then(|passing| passing.seen.clone()) {
            return seen;
        }
        let submission = self.orders[n].submission.clone();
        let shop =
            self.shops.iter().find(|s| s.account.name == submission.merchant).expect("orders are of known shops");
        let seen = self.proxy.wire(&submission, shop);
        if seen.submission != submission {
            self.tally.hit(Class::PassedFewer);
        }
        self.orders[n].passing.get_or_insert_default().seen = Some(seen.clone());
        seen
    }

    /// A request comes by: it is to be kept, and goes on then. Or the store is too slow for it, or down, or can't keep it.
    pub(super) fn comes_by(&mut self, item: Item) {
        if self.proxy.strikes(Class::PassedLost, 150) {
            self.tally.hit(Class::PassedLost);
            self.say("a request passes that can't be kept");
            match &item {
                Item::Request { order, .. } => {
                    let (order, merchant) = (*order, self.orders[*order].merchant().clone());
                    self.passed_unkept(&merchant).lost.push(order);
                }
                Item::Operation { operation, .. } => {
                    self.passed_unkept(&operation.merchant).lost_operations += 1;
                }
                Item::Response { .. } | Item::Outcome { .. } | Item::Unkept { .. } => {}
            }
            return self.forward(&item, false);
        }
        if self.process.is_none() || self.proxy.strikes(Class::PassedUnkept, 150) {
            return self.goes_on_unkept(item);
        }
        self.jobs.push(Job::Pass { item, is_late: false });
    }

    fn passed_unkept(&mut self, merchant: &MerchantName) -> &mut Tally {
        let now = self.machine.now().wall;
        let wait = self.proxy.prng.between(seconds(1), minutes(20));
        self.after(wait, Event::KeepLate);
        let fresh = Tally { from: now, to: now, lost: Vec::new(), lost_operations: 0 };
        let tally = self.proxy.tallies.entry(merchant.clone()).or_insert(fresh);
        tally.to = now;
        tally
    }

    /// `fail-open`: it goes on at once, and waits in memory to be kept.
    fn goes_on_unkept(&mut self, mut item: Item) {
        self.tally.hit(Class::PassedUnkept);
        self.say("a request passes unkept");
        if let Item::Request { seen, .. } = &mut item {
            seen.submission.submitted_at = Some(self.machine.now().wall);
        }
        let merchant = match &item {
            Item::Request { seen, .. } => seen.submission.merchant.clone(),
            Item::Operation { operation, .. } | Item::Outcome { operation, .. } => operation.merchant.clone(),
            Item::Response { response, .. } => response.merchant.clone(),
            Item::Unkept { unkept, .. } => unkept.merchant.clone(),
        };
        self.passed_unkept(&merchant);
        self.proxy.late.push(item.clone());
        self.forward(&item, true);
    }

    /// What waits in memory goes to the store, and how much it was.
    pub(super) fn keep_late(&mut self) {
        if self.process.is_none() {
            if self.proxy.is_up && !(self.proxy.late.is_empty() && self.proxy.tallies.is_empty()) {
                self.after(seconds(30), Event::KeepLate);
            }
            return;
        }
        let late = std::mem::take(&mut self.proxy.late);
        let tallies = std::mem::take(&mut self.proxy.tallies);
        let told = tallies.into_iter().map(|(merchant, tally)| {
            let is_of = |item: &&Item| match item {
                Item::Request { seen, .. } => seen.submission.merchant == merchant,
                Item::Operation { operation, .. } => operation.merchant == merchant,
                Item::Response { .. } | Item::Outcome { .. } | Item::Unkept { .. } => false,
            };
            let unkept = Unkept {
                kept_late: late.iter().filter(is_of).count() as u64,
                lost: tally.lost.len() as u64 + tally.lost_operations,
                from: tally.from,
                to: tally.to,
                why: "the store takes nothing now".to_owned(),
                merchant,
            };
            Item::Unkept { unkept: Box::new(unkept), lost: tally.lost }
        });
        let told: Vec<Item> = told.collect();
        self.jobs.extend(late.into_iter().chain(told).map(|item| Job::Pass { item, is_late: true }));
    }

    /// What was kept goes on; or the daemon ends first, and with it the connections.
    pub(super) fn pass_on(&mut self) -> bool {
        let kept = std::mem::take(&mut self.proxy.kept);
        if kept.is_empty() {
            return true;
        }
        let dies = self.proxy.strikes(Class::PassedDied, 120);
        for item in kept {
            if dies {
                self.tally.hit(Class::PassedDied);
                let arrives = self.proxy.prng.chance(500);
                self.arrives(&item, arrives);
                self.sends_again(&item);
            } else {
                self.forward(&item, true);
            }
        }
        if dies {
            self.dies("kill -9 while requests pass", None);
        }
        !dies
    }

    /// The request goes to the gateway. `is_told`: what comes back is told to the books.
    fn forward(&mut self, item: &Item, is_told: bool) {
        let is_operation = matches!(item, Item::Operation { .. });
        let (journey, class) = self.proxy.journey(is_operation);
        if let Some(class) = class {
            self.tally.hit(class);
        }
        let answer = self.arrives(item, journey.arrives());
        let what = match (journey, answer) {
            (Journey::NotSent, _) => ResponseWhat::NotSent,
            (Journey::Trouble { .. }, _) => {
                let http_status = *self.proxy.prng.pick(&[500, 502, 503, 504]);
                ResponseWhat::Answered { http_status, body: Vec::new() }
            }
            (Journey::Unread, Some((http_status, _))) => ResponseWhat::AnsweredUnread { http_status },
            (Journey::Answered, Some((http_status, body))) => ResponseWhat::Answered { http_status, body },
            (Journey::Silent { .. } | Journey::Unread | Journey::Answered, _) => ResponseWhat::OutcomeUnknown,
        };
        let wait = match what {
            ResponseWhat::OutcomeUnknown => self.proxy.prng.between(seconds(5), seconds(60)),
            _ => self.proxy.prng.between(seconds(1), seconds(25)),
        };
        if !journey.is_answered() {
            if is_operation {
                self.tally.hit(Class::OperationUnanswered);
            }
            self.sends_again(item);
        }
        if is_told {
            let life = self.proxy.life;
            self.after(wait, Event::Passed { life, item: Box::new(item.clone()), what });
        }
    }

    /// The answer, or its absence, has passed; the books are told.
    pub(super) fn answer_passed(&mut self, life: u64, item: &Item, what: ResponseWhat) {
        if life != self.proxy.life {
            return self.tally.hit(Class::PassedDied);
        }
        let item = match item {
            Item::Request { order, seen, .. } => {
                let (merchant, request_id) = (seen.submission.merchant.clone(), seen.submission.request_id.clone());
                Item::Response { order: *order, response: ResponseSeen { merchant, request_id, what } }
            }
            Item::Operation { nth, operation } => {
                let what = match what {
                    ResponseWhat::Answered { http_status, .. } => ResponseWhat::AnsweredUnread { http_status },
                    what => what,
                };
                let of = self.proxy.operations[*nth].record;
                Item::Outcome { nth: *nth, operation: operation.clone(), of, what }
            }
            Item::Response { .. } | Item::Outcome { .. } | Item::Unkept { .. } => return,
        };
        self.jobs.push(Job::Pass { item, is_late: false });
    }

    /// The gateway has it, if it arrives, and answers.
    fn arrives(&mut self, item: &Item, arrives: bool) -> Option<(u16, Vec<u8>)> {
        if let Item::Request { order, .. } = item {
            self.orders[*order].passing.get_or_insert_default().attempts += 1;
        }
        match item {
            _ if !arrives => None,
            Item::Request { order, .. } => self.order_arrives(*order),
            Item::Operation { nth, .. } => self.execute(*nth),
            Item::Response { .. } | Item::Outcome { .. } | Item::Unkept { .. } => None,
        }
    }

    fn order_arrives(&mut self, n: usize) -> Option<(u16, Vec<u8>)> {
        let order = self.orders[n].clone();
        let passing = self.orders[n].passing.get_or_insert_default();
        if std::mem::replace(&mut passing.has_arrived, true) {
            self.tally.hit(Class::PassedTwice);
            return Some(refused_repeat(&order));
        }
        shop::count(&order, &mut self.tally);
        let response = self.gateway.submit(self.machine.t, &order.submission, &order.script, &order.plan);
        let response = response.expect("the shop never uses a request-id or a number twice");
        self.say(&format!("the request of order {n} arrives"));
        self.will_operate(n);
        response.http_status.map(|status| (status, response.body.into_bytes()))
    }

    /// Whether the shop tries once more, and when.
    fn sends_again(&mut self, item: &Item) {
        let Item::Request { order: n, .. } = item else { return };
        let is_wpg = self.kind(*n) == Kind::Wpg;
        let order = &self.orders[*n];
        let Some(passing) = &order.passing else { return };
        // At `checkout` the same request makes another order, unless a number of its own is in it.
        let is_the_same = is_wpg || !passing.has_arrived || order.submission.gateway_order_number.is_some();
        let prng = &mut self.proxy.prng;
        if passing.attempts >= ATTEMPTS_MAX || !is_the_same || !prng.chance(700) {
            return;
        }
        let wait = match prng.below(4) {
            0 => prng.between(seconds(5), minutes(2)),
            1 => prng.between(minutes(2), minutes(40)),
            2 => prng.between(minutes(40), hours(3)),
            _ => prng.between(hours(3), hours(30)),
        };
        self.after(wait, Event::Send(*n));
    }

    /// What the proxy is thanked for.
    pub(super) fn thank_passing(&mut self, item: Item, is_late: bool, ack: Ack) {
        match (item, ack) {
            (Item::Request { order, seen, at }, Ack::Submitted(outcome)) => match outcome {
                Submitted::Created { .. } | Submitted::Same { .. } | Submitted::Amended { .. } => {
                    self.say(&format!("seen {}: {outcome:?}", seen.submission.request_id));
                    let is_first = self.orders[order].passing.as_ref().is_some_and(|p| p.attempts == 0);
                    if is_first && self.orders[order].is_told {
                        self.tally.hit(Class::ToldAndPassed);
                    }
                    self.orders[order].is_kept = true;
                    let passing = self.orders[order].passing.get_or_insert_default();
                    passing.sent_at = passing.sent_at.max(Some(at));
                    if !is_late {
                        self.proxy.kept.push(Item::Request { order, seen, at });
                    }
                }
                other => self.checker.find(format!("order {order} passed, and the answer was {other:?}")),
            },
            (Item::Operation { nth, operation }, Ack::Passed(record)) => {
                self.say(&format!(
                    "{} of order {} passes as {record:?}",
                    operation.name, self.proxy.operations[nth].order
                ));
                let kept = &mut self.proxy.operations[nth];
                kept.record = record.filter(|_| !is_late);
                kept.is_linked |= record.is_some();
                match is_late {
                    true => self.expect(nth),
                    false => self.proxy.kept.push(Item::Operation { nth, operation }),
                }
            }
            (Item::Response { order, response }, Ack::Responded(responded)) => match responded {
                Responded::Kept { .. } => {}
                Responded::UnknownRequest => {
                    let is_it = |item: &Item| matches!(item, Item::Request { order: n, .. } if *n == order);
                    if self.proxy.late.iter().any(is_it) {
                        self.proxy.late.push(Item::Response { order, response });
                    }
                }
                Responded::Refused(why) => {
                    self.checker.find(format!("the response to {} was refused: {why:?}", response.request_id));
                }
            },
            (Item::Outcome { nth, what, .. }, Ack::Passed(record)) => {
                self.proxy.operations[nth].is_linked |= record.is_some() && what != ResponseWhat::NotSent;
                self.expect(nth);
            }
            (Item::Unkept { unkept, lost }, _) => {
                self.say(&format!("told that {} passed late and {} are lost", unkept.kept_late, unkept.lost));
                self.proxy.told.0 += unkept.kept_late;
                self.proxy.told.1 += unkept.lost;
                self.submitted_by_hand(lost);
            }
            (item, _) => self.checker.find(format!("{item:?} had the answer to another question")),
        }
    }

    /// Somebody compares with the shop's orders, and submits what is missing.
    fn submitted_by_hand(&mut self, orders: Vec<usize>) {
        for order in orders {
            let wait = self.proxy.prng.between(minutes(10), hours(12));
            self.after(wait, Event::Submit(order));
        }
    }

    /// The store did not take it: it waits in the memory of the proxy, or ends with it.
    pub(super) fn turn_away_passing(&mut self, item: Item, is_late: bool) {
        match item {
            Item::Request { .. } | Item::Operation { .. } if self.proxy.is_up && !is_late => self.goes_on_unkept(item),
            Item::Unkept { unkept, lost } if self.proxy.is_up => {
                let lost_operations = unkept.lost - lost.len() as u64;
                let tally = self.passed_unkept(&unkept.merchant);
                tally.from = unkept.from;
                tally.lost.extend(lost);
                tally.lost_operations += lost_operations;
            }
            item if self.proxy.is_up => {
                self.proxy.late.push(item);
                let wait = self.proxy.prng.between(seconds(1), minutes(2));
                self.after(wait, Event::KeepLate);
            }
            item => self.ends_with_the_proxy(item, is_late),
        }
    }

    fn ends_with_the_proxy(&mut self, item: Item, has_passed: bool) {
        match item {
            // The log has a line about it.
            Item::Request { order, .. } if has_passed => {
                self.tally.hit(Class::PassedLost);
                self.submitted_by_hand(vec![order]);
            }
            Item::Request { order, .. } => {
                let wait = self.proxy.prng.between(seconds(20), minutes(10));
                self.after(wait, Event::Send(order));
            }
            Item::Unkept { lost, .. } => self.submitted_by_hand(lost),
            Item::Operation { .. } => {}
            Item::Response { .. } | Item::Outcome { .. } => self.tally.hit(Class::PassedDied),
        }
    }

    /// The process of the proxy, which is the daemon's, ends.
    pub(super) fn proxy_ends(&mut self) {
        if !std::mem::take(&mut self.proxy.is_up) {
            return;
        }
        self.proxy.life += 1;
        for item in std::mem::take(&mut self.proxy.late) {
            self.ends_with_the_proxy(item, true);
        }
        for (_, tally) in std::mem::take(&mut self.proxy.tallies) {
            self.submitted_by_hand(tally.lost);
        }
    }
}

/// The gateway's answer to a request it has already.
fn refused_repeat(order: &shop::Order) -> (u16, Vec<u8>) {
    let submission = &order.submission;
    if submission.transaction_type.is_none() {
        let text = "Order+number+cannot+be+used+twice.";
        return (200, format!("errors=1&error.1.errorCode=13011&error.1.message={text}").into_bytes());
    }
    let refused = Transaction {
        request_id: Some(submission.request_id.to_string()),
        transaction_type: submission.transaction_type.clone(),
        transaction_state: Some("failed".to_owned()),
        statuses: vec![StatusCode { code: "400.1018".to_owned(), severity: Some("error".to_owned()) }],
        ..Transaction::default()
    };
    (201, encode::payment_xml(&refused).into_bytes())
}
