//! `reconciled demo`: a shop's day against the sandbox, with a real daemon that is killed on the way.
//!
//! The parent plays the gateway, the payers, the shop and the strangers; the child is the same binary
//! as `serve`: real store, real HTTP, real scheduler, on a clock that runs faster. In the end the
//! child's files are compared with what the gateway knows to be true.

mod class;
pub mod command;
mod daemon;
mod judge;
mod outcome;
mod progress;
mod scene;
mod shopper;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::class::Class;
use self::daemon::{Daemon, Home, Trouble};
use self::judge::{Books, Finding};
use self::progress::{Progress, Standing};
use self::scene::{Kill, Scene};
use crate::sandbox::{Carried, Gateway, Truth};
use crate::shell::clock::{Clock, DEMO_KEY};
use crate::shell::config::{self, Flags, Surroundings};
use crate::shell::sandbox::{Sandbox, bind, init};
use crate::store::file::StoreFile;
use crate::words::time::{SignedDuration, hours, later};

/// How much faster than life the shop's day runs: eleven hours in about 40 s.
const DAY_SCALE: u32 = 1000;
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

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Wish {
    pub seed: u64,
    /// Where to keep the files; a temporary folder otherwise. It must be empty or missing.
    pub keep: Option<PathBuf>,
    /// The binary to run as the daemon.
    pub binary: PathBuf,
}

/// How the demo ended.
#[derive(Debug)]
pub struct Done {
    pub seed: u64,
    pub table: String,
    pub findings: Vec<Finding>,
    /// Notes that depend on the machine's speed, not on the seed.
    pub notes: Vec<String>,
    pub folder: PathBuf,
    pub report: Option<PathBuf>,
}

impl Done {
    /// Everything agrees.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Plays the demo to its end.
pub async fn run(wish: Wish) -> anyhow::Result<Done> {
    let scene = Scene::draw(wish.seed);
    let folder = folder(wish.keep.as_deref())?;
    let (listener, gateway_address) = bind(([127, 0, 0, 1], 0).into()).await?;
    let (reserved, public_address) = bind(([127, 0, 0, 1], 0).into()).await?;
    // The child binds this port itself, at every start.
    drop(reserved);
    let addresses = init::Addresses { sandbox: gateway_address.to_string(), public: public_address.to_string() };
    let config_file = init::init(&folder, &addresses)?;
    let config = config::load(&config_file, &Flags::default(), &Surroundings::default())
        .map_err(|problem| anyhow::anyhow!("the demo's own configuration: {problem}"))?;
    let demo_mark = std::str::from_utf8(DEMO_KEY)?;
    StoreFile::lock(&config.store.path)?.create(&[(demo_mark, b"1")])?;

    let mut gateway = Gateway::new(wish.seed, init::shops(&config, &addresses.public));
    for outage in &scene.outages {
        gateway.outage(outage.clone());
    }
    let clock = Clock::new();
    clock.set_scaled(None, scene.start, DAY_SCALE);
    let sandbox = Sandbox::new(gateway, clock);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(sandbox.clone().run(listener, stop.clone()));

    let home = Home { dir: folder.clone(), config: config_file, binary: wish.binary.clone() };
    let mut stage = Stage { scene: &scene, sandbox: &sandbox, home: &home, progress: Progress::new(), kills: 0 };
    let played = stage.play().await;
    let kills = stage.kills;
    stop.cancel();
    serving.await?;
    played?;

    let truths = sandbox.gateway().truths(scene.end());
    let report = last_report(config.reports.as_deref());
    let findings = findings(&home, &scene, &truths, report.as_deref()).await?;
    let rows = outcome::rows(&scene, &truths, &findings);
    Ok(Done {
        seed: wish.seed,
        table: outcome::table(&rows).to_string(),
        findings,
        notes: notes(&sandbox, kills),
        folder,
        report,
    })
}

fn folder(keep: Option<&Path>) -> anyhow::Result<PathBuf> {
    match keep {
        None => Ok(tempfile::Builder::new().prefix("reconciled-demo-").tempdir()?.keep()),
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            anyhow::ensure!(std::fs::read_dir(dir)?.next().is_none(), "`{}` is not empty", dir.display());
            Ok(std::fs::canonicalize(dir)?)
        }
    }
}

struct Stage<'a> {
    scene: &'a Scene,
    sandbox: &'a Sandbox,
    home: &'a Home,
    progress: Progress,
    kills: usize,
}

impl Stage<'_> {
    async fn play(&mut self) -> anyhow::Result<()> {
        let mut daemon = self.start().await?;
        // The day begins when the daemon is there: the start took some of its time.
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
        Daemon::start(self.home, || clock.now().wall, clock.scale()).await
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
            self.wait_for_kept().await;
        }
        daemon.kill().await?;
        self.kills += 1;
        self.start().await
    }

    /// Waits until some notifications were kept, which the daemon is not allowed to judge yet.
    async fn wait_for_kept(&self) {
        let before = self.count(Carried::Accepted);
        let deadline = tokio::time::Instant::now() + KEPT_UNJUDGED_TIMEOUT;
        while self.count(Carried::Accepted) < before + KEPT_UNJUDGED && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(TICK).await;
        }
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

/// What does not agree, judged from the exported ledger and the last report.
async fn findings(home: &Home, scene: &Scene, truths: &[Truth], report: Option<&Path>) -> anyhow::Result<Vec<Finding>> {
    let export = home.dir.join("ledger.csv");
    let exported =
        home.command().args(["ledger", "export", "--format", "csv", "--config"]).arg(&home.config).output().await?;
    anyhow::ensure!(
        exported.status.success(),
        "`reconciled ledger export` failed: {}",
        String::from_utf8_lossy(&exported.stderr)
    );
    std::fs::write(&export, &exported.stdout)?;
    let found = judge::read_ledger(&std::fs::read_to_string(&export)?)?;
    let mut findings = judge::compare(&Books::of_truth(truths), &found);
    match report {
        None => findings.push(Finding::NoReport),
        Some(report) => {
            let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report)?)?;
            findings.extend(judge::compare_handed_over(truths, &judge::handed_over(&report)?));
        }
    }
    findings.extend(marks(scene, truths));
    findings.sort();
    Ok(findings)
}

/// The scene marks the orders that nobody can be asked about; the gateway must have seen it the same way.
fn marks(scene: &Scene, truths: &[Truth]) -> Vec<Finding> {
    let unaskable: BTreeSet<_> = (truths.iter().flat_map(|t| &t.payments))
        .filter(|payment| !payment.askable)
        .map(|payment| payment.request_id.clone())
        .collect();
    (scene.acts.iter())
        .filter(|act| (act.class == Class::Unknowable) != unaskable.contains(&act.request.request_id))
        .map(|act| Finding::SceneDiffers {
            order: act.request.order_number.as_ref().map(ToString::to_string).unwrap_or_default(),
            request: act.request.request_id.to_string(),
            scene: if act.class == Class::Unknowable { "is unknowable" } else { "can be asked about" },
        })
        .collect()
}

/// The newest JSON report of a folder; their names begin with the day.
fn last_report(folder: Option<&Path>) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder?).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max()
}

/// What depends on how fast this machine was.
fn notes(sandbox: &Sandbox, kills: usize) -> Vec<String> {
    let gateway = sandbox.gateway();
    let genuine = |outcome| gateway.sent().filter(|s| s.outcome == outcome && s.forged.is_none()).count();
    vec![
        format!("the daemon was killed {kills} times without warning, and started again"),
        format!("{} genuine messages met a daemon that was down", genuine(Carried::NotAccepted)),
        format!("{} genuine messages were delivered", genuine(Carried::Accepted)),
    ]
}
