//! The scene in time: acts, kills and restarts as the hours pass.

use std::time::Duration;

use tokio::task::JoinSet;

use super::daemon::{Daemon, Home, Trouble};
use super::progress::{Progress, Standing};
use super::scene::{Kill, Scene};
use super::shopper;
use crate::sandbox::Carried;
use crate::shell::config::Config;
use crate::shell::sandbox::{Sandbox, init};
use crate::words::time::{SignedDuration, hours, later};

/// How much faster than life the shop's day runs: eleven hours in about 40 s.
pub const DAY_SCALE: u32 = 1000;
/// And the days behind it: twelve in about 26 s.
const DAYS_SCALE: u32 = 40_000;
/// The day's last payments are decided before the days run faster.
const EVENING: SignedDuration = hours(2);
/// In the end, at normal speed, what is due is still asked and written.
const QUIET_DOWN: Duration = Duration::from_millis(2500);
const TICK: Duration = Duration::from_millis(10);
/// How many notifications shall be kept and unjudged when the daemon is killed.
const KEPT_UNJUDGED: usize = 3;
/// How long to wait for them.
const KEPT_UNJUDGED_TIMEOUT: Duration = Duration::from_secs(4);

/// Everything that plays, and what is counted while it does.
pub struct Stage<'a> {
    scene: &'a Scene,
    sandbox: &'a Sandbox,
    home: &'a Home,
    config: &'a Config,
    progress: Progress,
    pub kills: usize,
    /// Messages that were kept, and not judged, when the daemon was killed.
    pub kept_unjudged: usize,
}

impl<'a> Stage<'a> {
    pub fn new(scene: &'a Scene, sandbox: &'a Sandbox, home: &'a Home, config: &'a Config) -> Stage<'a> {
        Stage { scene, sandbox, home, config, progress: Progress::new(), kills: 0, kept_unjudged: 0 }
    }

    /// Plays the scene to its end and stops the daemon.
    pub async fn play(&mut self) -> anyhow::Result<()> {
        let mut daemon = self.start().await?;
        let mut acts = self.scene.acts.iter().peekable();
        let mut kills = self.scene.kills.iter().copied().peekable();
        let mut under_way = JoinSet::new();
        let mut is_fast = false;
        let mut made = 0;
        loop {
            let now = self.sandbox.clock.now().wall;
            while let Some(act) = acts.next_if(|act| act.at <= now) {
                made += 1;
                under_way.spawn(shopper::play(act.clone(), self.sandbox.clone(), self.home.admin()));
            }
            while let Some(played) = under_way.try_join_next() {
                played??;
            }
            if let Some(kill) = kills.next_if(|kill| kill.at <= now) {
                daemon = self.kill_and_restart(daemon, kill).await?;
            }
            if let Some(trouble) = daemon.ended() {
                return Err(trouble.into());
            }
            if !is_fast && now >= later(self.scene.closing_time(), EVENING) && under_way.is_empty() {
                is_fast = true;
                self.set_scale(&daemon, DAYS_SCALE).await?;
            }
            if now >= self.scene.end() && acts.peek().is_none() && kills.peek().is_none() {
                break;
            }
            self.tell(made);
            tokio::time::sleep(TICK).await;
        }
        while let Some(played) = under_way.join_next().await {
            played??;
        }
        self.set_scale(&daemon, 1).await?;
        tokio::time::sleep(QUIET_DOWN).await;
        self.progress.note("the days are over: stopping the daemon and reading its files");
        daemon.stop().await?;
        Ok(())
    }

    async fn start(&self) -> Result<Daemon, Trouble> {
        let clock = &self.sandbox.clock;
        let daemon = Daemon::start(self.home, || clock.now().wall, clock.scale()).await?;
        let mut gateway = self.sandbox.gateway();
        for merchant in self.config.policy.accounts.keys() {
            gateway.notify(merchant, &init::notify_url(self.config, merchant, &daemon.public));
        }
        drop(gateway);
        Ok(daemon)
    }

    async fn set_scale(&self, daemon: &Daemon, scale: u32) -> Result<(), Trouble> {
        let wall = self.sandbox.clock.now().wall;
        self.sandbox.clock.set_scaled(None, wall, scale);
        self.sandbox.wake();
        daemon.set_clock(wall, scale).await
    }

    async fn kill_and_restart(&mut self, daemon: Daemon, kill: Kill) -> Result<Daemon, Trouble> {
        if kill.between_keep_and_judge {
            daemon.hold_judging().await?;
            self.kept_unjudged += self.wait_for_kept().await;
        }
        daemon.kill().await?;
        self.kills += 1;
        self.start().await
    }

    /// Waits until some notifications were kept, which the daemon is not allowed to judge yet; says how many.
    async fn wait_for_kept(&self) -> usize {
        let before = self.count(Carried::Accepted);
        let deadline = tokio::time::Instant::now() + KEPT_UNJUDGED_TIMEOUT;
        while self.count(Carried::Accepted) < before + KEPT_UNJUDGED && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(TICK).await;
        }
        self.count(Carried::Accepted) - before
    }

    fn count(&self, outcome: Carried) -> usize {
        self.sandbox.gateway().sent().filter(|sent| sent.outcome == outcome).count()
    }

    fn tell(&mut self, orders: usize) {
        let standing = Standing {
            now: self.sandbox.clock.now().wall,
            orders,
            accepted: self.count(Carried::Accepted),
            lost: self.count(Carried::Lost),
            kills: self.kills,
        };
        self.progress.update(standing);
    }
}
