//! A life of the daemon: start, commits and reading.

use super::*;

impl World {
    pub(super) fn start(&mut self) {
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
                        self.proxy_ends();
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
        self.proxy.is_up = true;
        self.trouble(None);
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

    pub(super) fn resumed(&mut self) -> Result<(), Fault> {
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
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&Engine, &mut Draft, Now) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
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
    pub(super) fn reading<T>(
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
    pub(super) fn settle<T>(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        outcome.map_err(|fault| self.faulted(&fault)).ok()
    }
}
