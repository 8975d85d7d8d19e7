//! The one thread that changes the books.
//!
//! It takes what waits in its queue, runs all of it into one commit, and answers everybody once the
//! commit is durable: the time one commit takes is the window in which the next group gathers. Kept
//! notifications are judged a few at a time in the same commits, those of earlier commits before the jobs of
//! this one, and in commits of their own while nobody waits: syncs are what a commit costs, and a judge that
//! needs its own falls behind whoever is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::books::{Books, Closed, Shelf};
use super::clock::{CLOCK_KEY, Clock, Stored};
use super::job::{Acknowledge, Down, Job, Reply};
use crate::core::look::{Answer, Look};
use crate::core::record::Unkept;
use crate::core::relay::Attempt;
use crate::core::report::Report;
use crate::core::submission::Submission;
use crate::engine::import::{Batch, Imported};
use crate::engine::operations::{Concluded, Operate, Operated, OverCapture, Told};
use crate::engine::{
    Engine, Incoming, Judged, Kept, Operation, Responded, ResponseSeen, ResponseWhat, Seen, Submitted,
};
use crate::store::{Draft, Fault, Table, View};
use crate::words::id::{MerchantName, PaymentNumber};
use crate::words::time::Now;

/// Jobs that may wait.
pub const QUEUE_MAX_JOBS: usize = 8192;
/// Jobs in one commit.
const GROUP_MAX_JOBS: usize = 2048;
/// Notifications judged in one commit beside a group, which waits for them some milliseconds at most.
const JUDGE_BESIDE_GROUP_MAX_ROWS: usize = 64;
/// Notifications judged in one commit while nobody waits.
const JUDGE_ALONE_MAX_ROWS: usize = 256;
/// Pause before the store is opened again, doubled up to the second.
const REOPEN_FIRST: Duration = Duration::from_millis(500);
const REOPEN_MAX: Duration = Duration::from_secs(60);

/// How the writer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// The store is being opened for the first time.
    Opening,
    Open,
    /// The store takes nothing; it is tried again until it does.
    Down {
        why: String,
    },
    /// The store can't be trusted: the process must end and start again by the book.
    Failed {
        why: String,
    },
    /// The writer ended as it was told to, with the store closed.
    Stopped,
}

/// Opens the store; called again after a failure.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn Books>, Fault> + Send>;

/// The way to the writer, for everybody else.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Job>,
    shelf: Shelf,
    state: watch::Receiver<State>,
    commits: watch::Receiver<u64>,
    pub engine: Arc<Engine>,
    pub clock: Clock,
    judging_held: Arc<AtomicBool>,
}

/// Starts the writer's thread. It ends, and closes the store, at [`Writer::stop`] or when the last [`Writer`] is dropped.
pub fn start(
    engine: Arc<Engine>,
    clock: Clock,
    open: Opener,
) -> std::io::Result<(Writer, std::thread::JoinHandle<()>)> {
    let (queue, jobs) = mpsc::channel(QUEUE_MAX_JOBS);
    let (state_out, state) = watch::channel(State::Opening);
    let (commits_out, commits) = watch::channel(0);
    let shelf = Shelf::default();
    let judging_held = Arc::new(AtomicBool::new(false));
    let thread = Thread {
        engine: engine.clone(),
        clock: clock.clone(),
        shelf: shelf.clone(),
        jobs,
        state: state_out,
        commits: commits_out,
        open,
        deaf_since: None,
        has_started: false,
        judging_held: judging_held.clone(),
    };
    let handle = std::thread::Builder::new().name("writer".into()).spawn(move || thread.run())?;
    Ok((Writer { queue, shelf, state, commits, engine, clock, judging_held }, handle))
}

impl Writer {
    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, Down> {
        if *self.state.borrow() != State::Open {
            return Err(Down);
        }
        let (reply, outcome) = oneshot::channel();
        self.queue.send(job(reply)).await.map_err(|_| Down)?;
        outcome.await.map_err(|_| Down)
    }

    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Down> {
        let submission = Box::new(submission);
        self.ask(|reply| Job::Submit { submission, reply }).await
    }

    /// Keeps a submission the recording proxy saw.
    pub async fn see(&self, seen: Seen) -> Result<Submitted, Down> {
        let seen = Box::new(seen);
        self.ask(|reply| Job::See { seen, reply }).await
    }

    /// Notes an operation the recording proxy passes. Returns its record; `None`: we know no such payment.
    pub async fn pass(&self, operation: Operation) -> Result<Option<u64>, Down> {
        self.ask(|reply| Job::Pass { operation, reply }).await
    }

    /// Notes what became of it.
    pub async fn passed_on(&self, operation: Operation, of: Option<u64>, what: ResponseWhat) -> Result<(), Down> {
        self.ask(|reply| Job::PassedOn { operation, of, what, reply }).await
    }

    /// Journals that requests passed the proxy without being kept in time.
    pub async fn unkept(&self, unkept: Unkept) -> Result<(), Down> {
        self.ask(|reply| Job::Unkept { unkept, reply }).await
    }

    pub async fn respond(&self, response: ResponseSeen) -> Result<Responded, Down> {
        self.ask(|reply| Job::Respond { response, reply }).await
    }

    /// Journals an operation. Once this returns `Ok(Operated::Journaled)`, and not before, it may be sent.
    pub async fn operate(&self, operate: Operate, over: Arc<OverCapture>) -> Result<Operated, Down> {
        let operate = Box::new(operate);
        self.ask(|reply| Job::Operate { operate, over, reply }).await
    }

    pub async fn conclude(&self, operation: u64, told: Told) -> Result<Concluded, Down> {
        let told = Box::new(told);
        self.ask(|reply| Job::Conclude { operation, told, reply }).await
    }

    /// Keeps a notification. Once this returns `Ok(Kept::Kept)`, the sender may forget it.
    pub async fn receive(&self, incoming: Incoming) -> Result<Kept, Down> {
        self.ask(|reply| Job::Receive { incoming, reply }).await
    }

    pub async fn answered(&self, look: Look, answers: Vec<Answer>) -> Result<(), Down> {
        let look = Box::new(look);
        self.ask(|reply| Job::Answered { look, answers, reply }).await
    }

    pub async fn lane(&self, merchant: MerchantName, why: Option<String>) -> Result<(), Down> {
        self.ask(|reply| Job::Lane { merchant, why, reply }).await
    }

    pub async fn look_now(&self, id: String) -> Result<Vec<PaymentNumber>, Down> {
        self.ask(|reply| Job::Ask { id, reply }).await
    }

    pub async fn tick(&self) -> Result<(), Down> {
        self.ask(|reply| Job::Tick { reply }).await
    }

    pub async fn delivered(&self, number: u64, outcome: Result<(), String>) -> Result<(), Down> {
        self.ask(|reply| Job::Delivered { number, outcome, reply }).await
    }

    /// Journals that a report which is due can't be written.
    pub async fn unreported(&self, why: String) -> Result<(), Down> {
        self.ask(|reply| Job::Unreported { why, reply }).await
    }

    /// Journals that a report was written; `digest` is that of its text.
    pub async fn reported(&self, report: Report, digest: String) -> Result<(), Down> {
        let report = Box::new(report);
        self.ask(|reply| Job::Reported { report, digest, reply }).await
    }

    pub async fn import(&self, batch: Batch) -> Result<Imported, Down> {
        let batch = Box::new(batch);
        self.ask(|reply| Job::Import { batch, reply }).await
    }

    pub async fn relayed(&self, merchant: MerchantName, number: u64, attempt: Attempt) -> Result<(), Down> {
        self.ask(|reply| Job::Relayed { merchant, number, attempt, reply }).await
    }

    pub async fn retry_relays(&self, merchant: MerchantName) -> Result<usize, Down> {
        self.ask(|reply| Job::RetryRelays { merchant, reply }).await
    }

    pub async fn give_up_relay(&self, merchant: MerchantName, number: u64) -> Result<bool, Down> {
        self.ask(|reply| Job::GiveUpRelay { merchant, number, reply }).await
    }

    /// Returns once the writer has come round: it makes progress.
    pub async fn ping(&self) -> Result<(), Down> {
        self.ask(|reply| Job::Ping { reply }).await
    }

    /// Stops acknowledging, because a reading met a fault: as if the writer had met it.
    pub async fn distrust(&self, fault: Fault) {
        // A writer that is gone acknowledges nothing either.
        let _ = self.queue.send(Job::Distrust { fault }).await;
    }

    /// Lets what waits be kept, then ends the writer. Its thread ends when the store is closed.
    pub async fn stop(&self) {
        // A writer that is gone has stopped already.
        let _ = self.queue.send(Job::Stop).await;
    }

    /// Reads a snapshot on a thread that may block.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Engine, &dyn View, Now) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Result<T, Fault>, Closed> {
        let (engine, shelf, now) = (self.engine.clone(), self.shelf.clone(), self.clock.now());
        let reading = tokio::task::spawn_blocking(move || shelf.read(|view| read(&engine, view, now)));
        // A reading that panics met something only a bug can cause: it is told like a damaged store.
        reading.await.unwrap_or_else(|e| Ok(Err(Fault::Broken(format!("a reading failed: {e}")))))
    }

    /// Lets kept notifications wait unjudged, or no longer: so that the demo can kill the daemon between
    /// keeping and judging.
    pub fn hold_judging(&self, hold: bool) {
        self.judging_held.store(hold, Ordering::Relaxed);
    }

    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Changes with every commit: there may be new work.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }
}

struct Thread {
    engine: Arc<Engine>,
    clock: Clock,
    shelf: Shelf,
    jobs: mpsc::Receiver<Job>,
    state: watch::Sender<State>,
    commits: watch::Sender<u64>,
    open: Opener,
    /// Since when nothing could be kept, and why.
    deaf_since: Option<(Now, String)>,
    has_started: bool,
    judging_held: Arc<AtomicBool>,
}

/// How serving an open store ended.
enum End {
    /// Nobody is left to ask for anything.
    Stopped,
    /// It may take commits again once it is opened anew (no space left).
    Reopen(Fault),
    /// It must be recovered from the start.
    Fatal(Fault),
}

impl Thread {
    fn run(mut self) {
        let mut pause = REOPEN_FIRST;
        loop {
            let end = match self.open_books() {
                Ok(()) => {
                    pause = REOPEN_FIRST;
                    self.serve()
                }
                // The disk is not usable yet: another process would find it no better.
                Err(fault @ (Fault::Full(_) | Fault::Storage(_))) => End::Reopen(fault),
                Err(fault) => End::Fatal(fault),
            };
            let closed = match &end {
                // Without the mark of a clean stop, so that the next start checks the whole file.
                End::Fatal(Fault::Damaged { .. } | Fault::Broken(_)) => {
                    self.shelf.abandon();
                    Ok(())
                }
                End::Fatal(_) | End::Reopen(_) | End::Stopped => self.shelf.close(),
            };
            match end {
                End::Stopped => {
                    if let Err(fault) = closed {
                        warn!("the store did not close cleanly, the next start will check it: {fault}");
                    }
                    self.state.send_replace(State::Stopped);
                    return;
                }
                End::Fatal(fault) => {
                    error!("the store can't be trusted, stopping: {fault}");
                    self.state.send_replace(State::Failed { why: fault.to_string() });
                    return;
                }
                End::Reopen(fault) => {
                    error!(retry_in_ms = pause.as_millis() as u64, "nothing can be kept now: {fault}");
                    self.state.send_replace(State::Down { why: fault.to_string() });
                    self.deaf_since.get_or_insert_with(|| (self.clock.now(), fault.to_string()));
                    if self.turn_away(pause) {
                        self.state.send_replace(State::Stopped);
                        return;
                    }
                    pause = (pause * 2).min(REOPEN_MAX);
                }
            }
        }
    }

    /// Opens the store and makes the first commit of this opening.
    fn open_books(&mut self) -> Result<(), Fault> {
        let books = (self.open)()?;
        let stored = Stored::read(books.snapshot()?.as_ref())?;
        self.clock.resume(stored.as_ref());
        self.shelf.put(books);
        let (engine, deaf_since) = (self.engine.clone(), self.deaf_since.clone());
        // `started` ends the deaf interval of a process that was not running; later ones are ours to tell.
        self.change(|draft, now| match (&deaf_since, self.has_started) {
            (Some((since, why)), true) => engine.deaf(draft, *since, now, why),
            _ => engine.started(draft, now),
        })?;
        self.has_started = true;
        self.deaf_since = None;
        self.state.send_replace(State::Open);
        info!("the store is open");
        Ok(())
    }

    fn serve(&mut self) -> End {
        let mut group = Vec::new();
        let mut judge_waits = true;
        loop {
            let may_judge = judge_waits && !self.judging_held.load(Ordering::Relaxed);
            if may_judge && self.jobs.is_empty() {
                let engine = self.engine.clone();
                match self.change(|draft, now| engine.judge(draft, JUDGE_ALONE_MAX_ROWS, now)) {
                    Ok(judged) => judge_waits = judged.more,
                    Err(fault) => return end_of(fault),
                }
                continue;
            }
            if self.jobs.blocking_recv_many(&mut group, GROUP_MAX_JOBS) == 0 {
                return End::Stopped;
            }
            let brings_work = group.iter().any(Job::brings_work);
            let stop = group.iter().position(|job| matches!(job, Job::Stop));
            group.truncate(stop.unwrap_or(group.len()));
            // On a fault the jobs' replies are dropped: nobody is thanked.
            match self.commit_group(&mut group, may_judge) {
                Ok((more, thanks)) => {
                    judge_waits = if may_judge { more || brings_work } else { judge_waits || brings_work };
                    thanks.into_iter().for_each(|thank| thank());
                }
                Err(fault) => return end_of(fault),
            }
            if stop.is_some() {
                return End::Stopped;
            }
        }
    }

    /// Returns whether kept notifications still wait for their judge, and whom to thank.
    fn commit_group(&mut self, group: &mut Vec<Job>, may_judge: bool) -> Result<(bool, Vec<Acknowledge>), Fault> {
        let engine = self.engine.clone();
        self.change(|draft, now| {
            // Before the jobs: what is judged was durable before this commit began.
            let judged =
                if may_judge { engine.judge(draft, JUDGE_BESIDE_GROUP_MAX_ROWS, now)? } else { Judged::default() };
            let thanks = group.drain(..).map(|job| job.run(&engine, draft, now)).collect::<Result<_, _>>()?;
            Ok((judged.more, thanks))
        })
    }

    /// Runs a change as one commit, with the clock's reading in it. A change of nothing costs nothing.
    fn change<T>(&self, change: impl FnOnce(&mut Draft, Now) -> Result<T, Fault>) -> Result<T, Fault> {
        let now = self.clock.now();
        let (outcome, commit) = self
            .shelf
            .read(|view| {
                let mut draft = Draft::new(view)?;
                let outcome = change(&mut draft, now)?;
                if draft.is_empty() {
                    return Ok((outcome, None));
                }
                draft.put(Table::Meta, CLOCK_KEY.to_vec(), self.clock.stored(now).bytes());
                Ok((outcome, Some(draft.into_commit())))
            })
            .map_err(|closed| Fault::Storage(closed.to_string()))??;
        if let Some(commit) = commit {
            self.shelf.commit(commit)?;
            self.commits.send_modify(|n| *n += 1);
        }
        Ok(outcome)
    }

    /// Drops every job for a while. Returns whether nobody is left to send any.
    fn turn_away(&mut self, pause: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(20);
        for _ in 0..pause.as_millis().div_ceil(STEP.as_millis()) {
            while let Ok(job) = self.jobs.try_recv() {
                if matches!(job, Job::Stop) {
                    return true;
                }
            }
            if self.jobs.is_closed() {
                return true;
            }
            std::thread::sleep(STEP);
        }
        false
    }
}

fn end_of(fault: Fault) -> End {
    match fault {
        Fault::Full(_) => End::Reopen(fault),
        Fault::Storage(_) | Fault::Damaged { .. } | Fault::Overtaken { .. } | Fault::Broken(_) => End::Fatal(fault),
    }
}

#[cfg(test)]
pub(in crate::shell) mod tests;
