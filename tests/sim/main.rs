//! The whole system, simulated: seeds of shops, gateways, strangers, power cuts and clocks that jump,
//! against the real store and the real verbs, checked against the gateway's truth.
//!
//! One seed: `SIM_SEED=7 cargo test --test sim one_seed -- --nocapture`. A hunt:
//! `SIM_SEED=1000 SIM_COUNT=5000 cargo test --test sim hunt -- --nocapture`; `SIM_DAYS` and
//! `SIM_ORDERS` overrule what the seed itself draws. `SIM_ABOUT=TEXT` prints all history lines that hold the text.

#[path = "../common/simdisk.rs"]
mod simdisk;

mod accounts;
mod ask;
mod checker;
mod end;
mod faults;
mod forger;
mod machine;
mod passing;
mod shop;
mod world;

#[cfg(planted)]
mod planted;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use faults::{Class, Tally};
use reconciled::sandbox::prng::Prng;
use world::{Setting, World};

#[cfg(not(planted))]
const SEEDS: u64 = 500;
/// One seed in so many runs for [`LONG_DAYS`].
const LONG_EVERY: u64 = 20;
const SHORT_DAYS: i64 = 2;
const LONG_DAYS: i64 = 60;
/// Each class of faults must have happened so often over all seeds.
#[cfg(not(planted))]
const HITS_MIN: u64 = 1_000;
/// What operations of a shop come to is rarer than the faults around them: a gateway refuses many of them.
#[cfg(not(planted))]
const OUTCOMES_MIN: u64 = 500;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, not a number")))
}

fn setting(seed: u64) -> Setting {
    let days = if seed % LONG_EVERY == LONG_EVERY - 1 { LONG_DAYS } else { SHORT_DAYS };
    let orders = 120 + Prng::new(seed).fork("size").below(200);
    Setting {
        seed,
        days: number("SIM_DAYS").map_or(days, |days| days as i64),
        orders: number("SIM_ORDERS").unwrap_or(orders) as usize,
    }
}

/// What came of one seed.
struct Played {
    setting: Setting,
    hash: u64,
    findings: Vec<String>,
    tally: Tally,
    commits: u64,
    lives: u64,
    records: u64,
    entries: u64,
    orders: usize,
}

fn play(seed: u64) -> Played {
    let setting = setting(seed);
    let mut world = World::new(setting);
    world.run();
    let findings = std::mem::take(&mut world.checker.findings);
    if !findings.is_empty() && std::env::var_os("SIM_QUIET").is_none() {
        let history: Vec<&str> = world.history().map(String::as_str).collect();
        println!("{}", history.join("\n"));
        println!("seed {seed} ({} days, {} orders) found:\n  {}", setting.days, setting.orders, findings.join("\n  "));
        println!("play it again: SIM_SEED={seed} cargo test --test sim one_seed -- --nocapture");
    }
    Played {
        setting,
        hash: world.hash(),
        findings,
        tally: world.tally,
        commits: world.commits,
        lives: world.lives,
        records: world.checker.records,
        entries: world.checker.entries,
        orders: world.orders.len(),
    }
}

/// Plays seeds on all cores; stops giving out new ones after `findings_max` seeds with findings.
fn play_all(seeds: &[u64], findings_max: usize) -> Vec<Played> {
    let next = AtomicU64::new(0);
    let played = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(seed) = seeds.get(at) else { return };
                    let one = play(*seed);
                    let mut played = played.lock().expect("no thread panicked");
                    played.push(one);
                    if played.iter().filter(|p: &&Played| !p.findings.is_empty()).count() >= findings_max {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    played.into_inner().expect("no thread panicked")
}

fn summed(played: &[Played]) -> Tally {
    let mut all = Tally::default();
    for one in played {
        all.add(&one.tally);
    }
    all
}

/// Straight to the standard error, so that a plain `cargo test` shows it as well.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(played: &[Played], started: Instant) {
    let sum = |of: fn(&Played) -> u64| played.iter().map(of).sum::<u64>();
    let days: i64 = played.iter().map(|p| p.setting.days).sum();
    let long = played.iter().filter(|p| p.setting.days >= LONG_DAYS).count();
    tell(&format!(
        "simulation: {} seeds ({long} of {LONG_DAYS} days), {days} days, {} orders, {} lives of the daemon, {} commits, \
         {} journal records, {} ledger entries, {:.0} s",
        played.len(),
        sum(|p| p.orders as u64),
        sum(|p| p.lives),
        sum(|p| p.commits),
        sum(|p| p.records),
        sum(|p| p.entries),
        started.elapsed().as_secs_f64()
    ));
    let all = summed(played);
    for class in Class::every() {
        tell(&format!("  {:>9} {class:?}", all.hits(class)));
    }
}

fn assert_clean(played: &[Played]) {
    let bad: Vec<u64> = played.iter().filter(|p| !p.findings.is_empty()).map(|p| p.setting.seed).collect();
    assert!(bad.is_empty(), "seeds with findings: {bad:?}");
}

#[test]
#[cfg(not(planted))]
fn five_hundred_seeds_find_nothing() {
    let started = Instant::now();
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let played = play_all(&seeds, 3);
    print(&played, started);
    assert_clean(&played);
    let orders: usize = played.iter().map(|p| p.orders).sum();
    let findings: usize = played.iter().map(|p| p.findings.len()).sum();
    tell(&format!("simulation: {findings} findings in {} seeds", played.len()));
    assert!(orders >= 200 * seeds.len(), "{orders} orders are too few");
    let all = summed(&played);
    let least = |class| match class {
        Class::OperationUnheard | Class::OperationBooked => OUTCOMES_MIN,
        _ => HITS_MIN,
    };
    let rare: Vec<Class> = Class::every().filter(|class| all.hits(*class) < least(*class)).collect();
    assert!(rare.is_empty(), "happened less than {HITS_MIN} (outcomes: {OUTCOMES_MIN}) times: {rare:?}");
}

/// A failing seed is only worth keeping if it fails again.
#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [0, 1, 2, 3, 4, 5, 6, 7] {
        let (first, second) = (play(seed), play(seed));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.tally, second.tally, "seed {seed}");
    }
}

/// Seeds that once found a bug.
#[test]
#[cfg(not(planted))]
fn kept_seeds_find_nothing_any_more() {
    let lines = include_str!("seeds.txt").lines().map(|line| line.split('#').next().unwrap_or("").trim());
    let seeds: Vec<u64> = lines.filter(|line| !line.is_empty()).map(|line| line.parse().expect("a seed")).collect();
    assert_clean(&play_all(&seeds, usize::MAX));
}

#[test]
fn one_seed() {
    if let Some(seed) = number("SIM_SEED").filter(|_| number("SIM_COUNT").is_none()) {
        let started = Instant::now();
        let played = [play(seed)];
        print(&played, started);
        assert_clean(&played);
    }
}

#[test]
fn hunt() {
    if let Some(count) = number("SIM_COUNT") {
        let started = Instant::now();
        let first = number("SIM_SEED").unwrap_or(0);
        let played =
            play_all(&(first..first + count).collect::<Vec<_>>(), number("SIM_FINDINGS").unwrap_or(1) as usize);
        print(&played, started);
        assert_clean(&played);
    }
}
