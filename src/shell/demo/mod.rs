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
mod stage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use self::class::Class;
use self::daemon::{Daemon, Home};
use self::judge::{Books, Finding};
use self::scene::Scene;
use self::stage::{DAY_SCALE, Stage};
use crate::sandbox::{Carried, Gateway, Truth};
use crate::shell::clock::{Clock, DEMO_KEY};
use crate::shell::config::{self, Flags, Surroundings};
use crate::shell::sandbox::{Sandbox, bind, init};
use crate::store::file::StoreFile;

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
    let addresses = init::Addresses { sandbox: gateway_address.to_string(), public: "127.0.0.1:0".into() };
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
    let mut stage = Stage::new(&scene, &sandbox, &home, &config);
    let played = stage.play().await;
    let (kills, kept_unjudged) = (stage.kills, stage.kept_unjudged);
    stop.cancel();
    serving.await?;
    played?;

    let truths = sandbox.gateway().truths(scene.end());
    let report = last_report(config.reports.as_deref());
    let mut findings = findings(&home, &scene, &truths, report.as_deref()).await?;
    if kept_unjudged == 0 {
        findings.push(Finding::NeverKilledBetween);
    }
    let rows = outcome::rows(&scene, &truths, &findings);
    Ok(Done {
        seed: wish.seed,
        table: outcome::table(&rows).to_string(),
        findings,
        notes: notes(&sandbox, kills, kept_unjudged),
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
    let mut findings = judge::compare(&Books::of_truth(truths), &found.books);
    findings.extend(judge::believed(truths, &found.booked));
    match report {
        None => findings.push(Finding::NoReport),
        Some(report) => {
            let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report)?)?;
            findings.extend(judge::compare_handed_over(truths, &judge::handed_over(&report)?));
        }
    }
    findings.extend(marks(scene, truths));
    findings.extend(Daemon::check(home).await.err().map(Finding::CheckFailed));
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
fn notes(sandbox: &Sandbox, kills: usize, kept_unjudged: usize) -> Vec<String> {
    let gateway = sandbox.gateway();
    let genuine = |outcome| gateway.sent().filter(|s| s.outcome == outcome && s.forged.is_none()).count();
    vec![
        format!("the daemon was killed {kills} times without warning, and started again"),
        format!("{kept_unjudged} messages were kept and not yet judged when it was killed"),
        format!("{} genuine messages met a daemon that was down", genuine(Carried::NotAccepted)),
        format!("{} genuine messages were delivered", genuine(Carried::Accepted)),
    ]
}
