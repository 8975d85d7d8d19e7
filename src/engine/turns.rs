//! What time alone brings: starts, ticks, deaf intervals, tellings.

use serde::{Deserialize, Serialize};

use crate::core::account::Contract;
use crate::core::alert::{Alert, Status, Telling};
use crate::core::record::Event;
use crate::engine::books::{self, Lane};
use crate::engine::packed::{Envelope, unpack};
use crate::engine::{Delivery, Engine};
use crate::store::{Draft, Fault, Table, View, prefix_end};
use crate::words::id::PaymentNumber;
use crate::words::time::{Now, SignedDuration, later};

/// Row of `Table::Meta`: when we last could hear.
const HEARD: &[u8] = b"heard";
/// Row of `Table::Meta`: SHA-256 of the policy that was journaled last.
const POLICY: &[u8] = b"policy";
/// A wall clock that moves this far against elapsed time has jumped.
const CLOCK_JUMP: SignedDuration = SignedDuration::from_secs(5);
/// Rows handled in one tick; the rest waits a minute.
const TICK_MAX_ROWS: usize = 1_000;
/// Due looks read in one tick for those that nobody can take.
const UNASKABLE_MAX_ROWS: usize = 20_000;
/// Deaf intervals shorter than a request takes are not worth a look at every payment.
const DEAF_MIN: SignedDuration = SignedDuration::from_millis(500);
/// Rows of `Table::Meta` with payments that a deaf interval touched and nobody swept yet.
const SWEEP: &str = "sweep/";
/// Payments that one commit brings forward after a deaf interval.
const SWEEP_MAX_PAYMENTS: usize = 2_000;
/// Expired bodies erased in one tick.
const BODIES_MAX_ROWS: usize = 500;

/// A block of payments that a deaf interval touched.
#[derive(Serialize, Deserialize)]
struct Sweep {
    why: String,
    numbers: Vec<PaymentNumber>,
}

impl Engine {
    /// To be called at every start, before anything else: journals the policy where it changed, and
    /// ends the deaf interval since we last could hear.
    pub fn started(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        let policy = serde_json::to_vec(&self.policy)
            .map_err(|why| Fault::Broken(format!("the policy can't be written: {why}")))?;
        let digest = super::intake::digest(&policy).into_bytes();
        if draft.get(Table::Meta, POLICY)?.as_deref() != Some(&digest) {
            self.record(draft, Event::Policy { policy: Box::new(self.policy.clone()) }, now)?;
            draft.put(Table::Meta, POLICY.to_vec(), digest);
        }
        if let Some(heard) = books::read::<Now>(draft, Table::Meta, HEARD)? {
            self.deaf(draft, heard, now, "the daemon was not running")?;
            self.notice_jump(draft, heard, now)?;
        }
        self.heard(draft, now)
    }

    fn heard(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        books::write(draft, Table::Meta, HEARD.to_vec(), &now)
    }

    fn notice_jump(&self, draft: &mut Draft, before: Now, now: Now) -> Result<(), Fault> {
        let by = now.wall.duration_since(before.wall) - now.steady.duration_since(before.steady);
        if by.abs() > CLOCK_JUMP {
            self.record(draft, Event::ClockJumped { by }, now)?;
        }
        Ok(())
    }

    /// We could not take anything between the two times (503s, a stop): what was sent then is lost.
    ///
    /// Every payment whose notification may have been sent then gets its next look at once: a block of
    /// them with this commit, the rest with the turns of [`Engine::judge`] and [`Engine::tick`] that
    /// follow, so that a restart with many open payments neither waits for them nor holds them all.
    pub fn deaf(&self, draft: &mut Draft, from: Now, to: Now, why: &str) -> Result<(), Fault> {
        if to.steady <= from.steady {
            return Ok(());
        }
        let why: String = why.chars().take(200).collect();
        self.record(draft, Event::Deaf { from, to, why: why.clone() }, to)?;
        self.heard(draft, to)?;
        if to.steady.duration_since(from.steady) < DEAF_MIN {
            return Ok(());
        }
        let touched = self.touched(draft, from)?;
        for (n, numbers) in touched.chunks(SWEEP_MAX_PAYMENTS).enumerate() {
            let key = format!("{SWEEP}{:020}/{n:06}", draft.journal_len()).into_bytes();
            books::write(draft, Table::Meta, key, &Sweep { why: why.clone(), numbers: numbers.to_vec() })?;
        }
        self.sweep(draft, to)?;
        Ok(())
    }

    /// The payments whose window was open at `from` or later, by what the due index says of them.
    fn touched(&self, draft: &Draft, from: Now) -> Result<Vec<PaymentNumber>, Fault> {
        let mut touched = Vec::new();
        for lane in Lane::LOOKS {
            for merchant in self.policy.accounts.keys() {
                let (mut at, end) = books::due_all(lane, merchant);
                loop {
                    let rows = draft.range(Table::Due, &at, &end, SWEEP_MAX_PAYMENTS)?;
                    let Some((last, _)) = rows.last() else { break };
                    at = [last.as_slice(), &[0]].concat();
                    for (key, bytes) in &rows {
                        let row: books::DueRow = books::parse(Table::Due, key, bytes)?;
                        if row.until >= from.steady.as_millisecond() {
                            touched.push(books::due_parts(key)?.1);
                        }
                    }
                }
            }
        }
        touched.sort_unstable();
        Ok(touched)
    }

    /// Whether payments that a deaf interval touched still wait for their sweep.
    pub(super) fn is_sweeping(&self, draft: &Draft) -> Result<bool, Fault> {
        Ok(!draft.range(Table::Meta, SWEEP.as_bytes(), &prefix_end(SWEEP.as_bytes()), 1)?.is_empty())
    }

    /// Sweeps one block of the payments that a deaf interval touched; returns whether more wait.
    pub(super) fn sweep(&self, draft: &mut Draft, now: Now) -> Result<bool, Fault> {
        let rows = draft.range(Table::Meta, SWEEP.as_bytes(), &prefix_end(SWEEP.as_bytes()), 2)?;
        let Some((key, bytes)) = rows.first() else { return Ok(false) };
        let Sweep { why, numbers } = books::parse(Table::Meta, key, bytes)?;
        self.record(draft, Event::Swept { why, numbers }, now)?;
        draft.delete(Table::Meta, key.clone());
        Ok(rows.len() > 1)
    }

    /// What time alone brings: payments whose time is over, alerts that repeat or end, bodies that
    /// expire, a jumped clock. To be called about once a minute.
    pub fn tick(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        if let Some(heard) = books::read::<Now>(draft, Table::Meta, HEARD)? {
            self.notice_jump(draft, heard, now)?;
        }
        self.heard(draft, now)?;
        for merchant in self.policy.accounts.keys() {
            let (from, to) = books::due_range(Lane::Time, merchant, now.steady);
            for (key, _) in draft.range(Table::Due, &from, &to, TICK_MAX_ROWS)? {
                let (_, number) = books::due_parts(&key)?;
                self.record(draft, Event::TimeOver { number }, now)?;
            }
        }
        self.sweep(draft, now)?;
        self.plan_unaskable(draft, now)?;
        self.journal_forgeries(draft, now)?;
        self.tick_relays(draft, now)?;
        self.tick_alerts(draft, now)?;
        self.expire_bodies(draft, now)
    }

    /// Due looks of accounts whose gateway can't be asked any more (a password was taken out of the configuration)
    /// are planned anew, as hand-overs: nobody would ever take them.
    fn plan_unaskable(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        let mute = self.policy.accounts.values().filter(|account| match &account.contract {
            Contract::Checkout(checkout) => !checkout.can_ask,
            Contract::Wpg(_) => false,
        });
        for account in mute {
            for lane in Lane::LOOKS {
                let (from, to) = books::due_range(lane, &account.name, now.steady);
                for (key, _) in draft.range(Table::Due, &from, &to, UNASKABLE_MAX_ROWS)? {
                    let (_, number) = books::due_parts(&key)?;
                    self.record(draft, Event::TimeOver { number }, now)?;
                }
            }
        }
        Ok(())
    }

    /// Ends and repeats alerts. All of them are read, so that none starves behind those before it.
    fn tick_alerts(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        let mut from = Vec::new();
        loop {
            let rows = draft.range(Table::AlertsByKey, &from, &[], TICK_MAX_ROWS)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = [last.as_slice(), &[0]].concat();
            for (key, bytes) in rows {
                let number = books::as_u64(Table::AlertsByKey, &key, &bytes)?;
                let Some(alert) = books::alert(draft, number)? else { continue };
                let repeats_at = later(alert.told_at, self.policy.alerts.repeat_after);
                match alert.ends_at {
                    Some(end) if now.steady >= end => self.record(draft, Event::Resolved { alert: number }, now)?,
                    None if now.steady >= repeats_at => self.record(draft, Event::Repeated { alert: number }, now)?,
                    Some(_) | None => continue,
                };
            }
        }
    }

    fn expire_bodies(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        for (key, row) in draft.range(Table::Bodies, &[], &[], BODIES_MAX_ROWS)? {
            let (envelope, _): (Envelope, _) = unpack(Table::Bodies, &key, &row)?;
            if now.steady < later(envelope.kept.steady, self.policy.keeping.bodies_for) {
                break;
            }
            draft.delete(Table::Bodies, key);
        }
        Ok(())
    }

    /// What must be sent now, oldest first.
    pub fn deliveries(&self, view: &dyn View, now: Now, limit: usize) -> Result<Vec<Delivery>, Fault> {
        let mut due = Vec::new();
        let mut from = Vec::new();
        // In pages to the end: what waits for one sink must not hide what is due at another.
        loop {
            let rows = view.range(Table::Outbox, &from, &[], TICK_MAX_ROWS)?;
            let Some((last, _)) = rows.last() else { return Ok(due) };
            from = [last.as_slice(), &[0]].concat();
            for (key, bytes) in &rows {
                let telling: Telling = books::parse(Table::Outbox, key, bytes)?;
                if telling.not_before > now.steady {
                    continue;
                }
                if due.len() >= limit {
                    return Ok(due);
                }
                due.push(delivery(view, &telling)?);
            }
        }
    }

    /// How sending went. An error is tried again, later each time.
    pub fn delivered(
        &self,
        draft: &mut Draft,
        number: u64,
        outcome: Result<(), String>,
        now: Now,
    ) -> Result<(), Fault> {
        if books::telling(draft, number)?.is_none() {
            return Ok(());
        }
        let error = outcome.err().map(|text| text.chars().take(200).collect());
        self.record(draft, Event::Told { telling: number, error }, now)?;
        Ok(())
    }
}

fn delivery(view: &dyn View, telling: &Telling) -> Result<Delivery, Fault> {
    let alert = books::alert(view, telling.alert)?
        .ok_or_else(|| Fault::damaged(Table::Alerts, &telling.alert.to_be_bytes(), "told, and missing"))?;
    Ok(Delivery {
        number: telling.number,
        id: telling.id.clone(),
        sink: telling.sink,
        payload: payload(telling, &alert),
        attempts: telling.attempts,
    })
}

fn payload(telling: &Telling, alert: &Alert) -> serde_json::Value {
    let mut payload = alert.json();
    let event = match telling.status {
        Status::Firing => "alert.firing",
        Status::Resolved => "alert.resolved",
    };
    payload["event"] = event.into();
    payload["delivery"] = telling.id.clone().into();
    payload
}
