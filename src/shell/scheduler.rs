//! Rings once a minute. A ring carries nothing: what is due is read from the store, by civil time and
//! the last slot kept there, so that a lost ring costs a minute and a restart nothing.
//!
//! The cron library reads the system clock itself, so it rings at the demo's scale 1 only; with scaled
//! time a plain timer rings. Never its zoned jobs: they freeze the zone's offset when they are made.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::reports::Reports;
use super::writer::Writer;

/// The first second of every minute, UTC.
const EVERY_MINUTE: &str = "0 * * * * *";
/// Shortest pause between two rings, whatever the scale.
const RING_MIN: Duration = Duration::from_millis(50);

/// Something that rings.
pub enum Bell {
    Cron(mpsc::Receiver<()>, Box<JobScheduler>),
    Timer(tokio::time::Interval),
}

impl Bell {
    /// By the cron library, in real time.
    pub async fn cron(pattern: &str) -> Result<Bell, JobSchedulerError> {
        let (ring, rings) = mpsc::channel(1);
        let mut scheduler = JobScheduler::new().await?;
        let job = Job::new_async(pattern, move |_, _| {
            let ring = ring.clone();
            // A ring that finds one waiting is the same ring.
            Box::pin(async move {
                let _ = ring.try_send(());
            })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        scheduler.init().await?;
        Ok(Bell::Cron(rings, Box::new(scheduler)))
    }

    /// The bell for a clock of this scale.
    async fn for_scale(scale: u32) -> Result<Bell, JobSchedulerError> {
        match scale {
            1 => Bell::cron(EVERY_MINUTE).await,
            scale => Ok(Bell::timer(scale)),
        }
    }

    /// Once a minute of scaled time.
    fn timer(scale: u32) -> Bell {
        let mut every = tokio::time::interval((Duration::from_secs(60) / scale).max(RING_MIN));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Bell::Timer(every)
    }

    pub async fn rung(&mut self) {
        match self {
            Bell::Timer(every) => {
                every.tick().await;
            }
            Bell::Cron(rings, _) => {
                // Should the library ever fall silent, minutes still pass.
                let rung = tokio::time::timeout(Duration::from_secs(90), rings.recv()).await;
                if rung.is_err() {
                    warn!("the minute's bell was late");
                }
            }
        }
    }
}

/// Rings until `stop`.
pub async fn run(writer: Writer, reports: Option<Reports>, stop: CancellationToken) {
    let mut bell = match Bell::for_scale(writer.clock.scale()).await {
        Ok(bell) => bell,
        Err(failed) => {
            error!("the scheduler can't start, a plain timer rings instead: {failed}");
            Bell::timer(1)
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = bell.rung() => {}
        }
        // Down: the next ring tries again.
        if writer.tick().await.is_err() {
            warn!("the minute's work waits for the store");
        }
        if let Some(reports) = &reports {
            reports.write_due(&writer).await;
        }
    }
    if let Bell::Cron(_, mut scheduler) = bell
        && let Err(failed) = scheduler.shutdown().await
    {
        warn!("the scheduler did not stop cleanly: {failed}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cron_library_rings() {
        let mut bell = Bell::cron("* * * * * *").await.expect("a bell");
        for _ in 0..2 {
            tokio::time::timeout(Duration::from_secs(20), bell.rung()).await.expect("it rings");
        }
        let Bell::Cron(rings, _) = &bell else { panic!("not the cron library") };
        assert!(!rings.is_closed());
    }

    #[tokio::test]
    async fn the_cron_library_rings_at_scale_1_only() {
        assert!(matches!(Bell::for_scale(1).await, Ok(Bell::Cron(..))));
        for scale in [2, 600, 100_000] {
            assert!(matches!(Bell::for_scale(scale).await, Ok(Bell::Timer(_))), "scale {scale}");
        }
    }

    #[tokio::test]
    async fn with_scaled_time_a_timer_rings() {
        let mut bell = Bell::timer(600);
        for _ in 0..3 {
            tokio::time::timeout(Duration::from_secs(20), bell.rung()).await.expect("it rings");
        }
    }
}
