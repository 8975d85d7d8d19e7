//! What the daemon does with what has come and what is due: keep, thank, judge, look, tell, report.

use reconciled::engine::Seen;

use super::*;

impl World {
    /// What the daemon does with everything that has come: keep, thank, judge, look, tell.
    pub(super) fn serve(&mut self) {
        if self.process.is_none() {
            return self.turn_away();
        }
        let before = self.commits;
        let keeps = self.jobs.iter().any(|job| matches!(job, Job::Receive { .. }));
        if !self.jobs.is_empty() && !self.commit_jobs() {
            return;
        }
        if !self.pass_on() {
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
        if self.process.is_some() {
            self.check_operations();
        }
    }

    /// Runs the group as one commit and thanks for it. False: this life is over.
    pub(super) fn commit_jobs(&mut self) -> bool {
        let jobs = std::mem::take(&mut self.jobs);
        let outcome = self.change(|engine, draft, now| {
            let run = |job: &Job| -> Result<Ack, Fault> {
                Ok(match job {
                    Job::Conflict { submission, is_seen: true, .. } => {
                        let seen = Seen { submission: (**submission).clone(), sent_to: None };
                        Ack::Submitted(draft.attempt(|d| engine.submit_seen(d, seen, now))?)
                    }
                    Job::Pass { item, .. } => draft.attempt(|d| pass(engine, d, item, now))?,
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

    pub(super) fn thank(&mut self, job: Job, ack: Ack) {
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
            (Job::Pass { item, is_late }, ack) => self.thank_passing(item, is_late, ack),
            (Job::Submit { order, .. }, Ack::Submitted(outcome)) => match outcome {
                Submitted::Created { .. } | Submitted::Same { .. } | Submitted::Amended { .. } => {
                    let fills = matches!(outcome, Submitted::Amended { .. });
                    if fills && self.orders[order].passing.is_some() {
                        self.tally.hit(Class::PassedAndTold);
                    }
                    self.orders[order].is_kept = true;
                    self.orders[order].is_told = true;
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

    pub(super) fn judge(&mut self) {
        while self.process.is_some() {
            let outcome = self.change(|engine, draft, now| engine.judge(draft, JUDGE_MAX_ROWS, now));
            match self.settle(outcome) {
                Some(judged) if judged.more => {}
                _ => return,
            }
        }
    }

    /// Asks the gateway what is due; the answers come a moment later.
    pub(super) fn look(&mut self) {
        let now = self.machine.now();
        let process = self.process.as_ref().expect("callers ask first");
        let read = process.store.snapshot().and_then(|view| {
            let skip = |number: PaymentNumber| process.in_flight.contains(&number);
            let mut looks = Vec::new();
            for merchant in self.engine.policy.accounts.keys() {
                looks.extend(self.engine.due(&view, now, merchant, LOOKS_MAX, 0, &skip)?);
            }
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

    pub(super) fn ask(&mut self, look: &Look) -> Vec<Answer> {
        let shop = self.shops.iter().find(|s| s.account.name == look.merchant).expect("looks are of known shops");
        let mut answers = Vec::new();
        let mut is_troubled = false;
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
                    is_troubled = true;
                    foreign
                }
                None => ask::ask(&mut self.gateway, shop, query, query, t),
            });
        }
        is_troubled |= answers.iter().any(|a| !matches!(a.outcome, Outcome::Found | Outcome::NotFound));
        if is_troubled {
            self.trouble(Some(&look.merchant));
        }
        let outcome = |a: &Answer| serde_json::to_string(&a.outcome).unwrap_or_default();
        let outcomes: Vec<String> = answers.iter().map(outcome).collect();
        let known: Vec<usize> = answers.iter().map(|a| a.transactions.len()).collect();
        self.say(&format!("asked about {} ({}): {outcomes:?} {known:?}", look.request_id, look.reason));
        answers
    }

    /// The shell stops a lane whose gateway refuses us, and opens it again.
    pub(super) fn judge_lane(&mut self, merchant: &MerchantName, answers: &[Answer]) {
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

    pub(super) fn tell(&mut self) {
        let now = self.machine.now();
        let process = self.process.as_ref().expect("callers ask first");
        let read = process.store.snapshot().and_then(|view| self.engine.deliveries(&view, now, 64));
        let Some(deliveries) = self.settle(read) else { return };
        for delivery in deliveries {
            self.send(delivery);
        }
    }

    pub(super) fn send(&mut self, delivery: Delivery) {
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

    pub(super) fn report(&mut self) {
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
}

/// The verb for what passes the proxy.
fn pass(engine: &Engine, draft: &mut Draft, item: &Item, now: Now) -> Result<Ack, Fault> {
    Ok(match item {
        Item::Request { seen, .. } => Ack::Submitted(engine.submit_seen(draft, (**seen).clone(), now)?),
        Item::Operation { operation, .. } => Ack::Passed(engine.passed(draft, operation, now)?),
        Item::Response { response, .. } => Ack::Responded(engine.respond(draft, response.clone(), now)?),
        Item::Outcome { operation, of, what, .. } => Ack::Passed(engine.passed_on(draft, operation, *of, what, now)?),
        Item::Unkept { unkept, .. } => {
            engine.unkept(draft, unkept, now)?;
            Ack::Done
        }
    })
}
