//! What goes wrong with the machine and the process, and what the shell does about it.

use super::*;

impl World {
    pub(super) fn fail(&mut self, class: Class) {
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

    pub(super) fn jump(&mut self) {
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
    pub(super) fn suspend(&mut self, length: SignedDuration) {
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
        self.trouble(None);
        let now = self.machine.now();
        let outcome = self.change(|engine, draft, _| engine.deaf(draft, from, now, "the machine slept"));
        self.settle(outcome);
    }

    /// The process ends; what it did not commit never was.
    pub(super) fn dies(&mut self, why: &str, struck: Option<Class>) {
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
        self.proxy_ends();
        self.turn_away();
        let wait = match self.prng.below(3) {
            0 => self.prng.between(seconds(1), seconds(30)),
            1 => self.prng.between(seconds(10), minutes(10)),
            _ => self.prng.between(minutes(1), minutes(90)),
        };
        self.after(wait, Event::Start);
    }

    /// The store failed: what the shell does about it.
    pub(super) fn faulted(&mut self, fault: &Fault) {
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
    pub(super) fn turn_away(&mut self) {
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
                Job::Pass { item, is_late } => self.turn_away_passing(item, is_late),
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
}
