//! Power cuts, I/O errors and full disks at every point of a small workload of real commits.
//!
//! The oracle: after recovery the store reads exactly as it did behind the last acknowledged commit,
//! or behind the one that was under way when the disk failed. Nothing lost, nothing half applied.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reconciled::store::chain::{self, Head};
use reconciled::store::embedded::Opening;
use reconciled::store::{Commit, Draft, Embedded, Fault, Table, View, frame};
use redb::{Database, TableDefinition};

use crate::simdisk::{Damage, Dice, Image, SimDisk, Trip};

const CACHE_MIB: usize = 4;

/// A row of any table.
type Record = (Table, Vec<u8>, Vec<u8>);

fn records(view: &dyn View) -> Result<Vec<Record>, Fault> {
    let mut all = Vec::new();
    for table in Table::ALL {
        all.extend(view.range(table, &[], &[], usize::MAX)?.into_iter().map(|(key, value)| (table, key, value)));
    }
    Ok(all)
}

/// The n-th commit of the workload: like a decision, it touches the journal and several projections
/// at once; now and then a large body, and deletions.
fn commit(view: &dyn View, n: u64) -> Commit {
    let mut dice = Dice::new(n);
    let mut draft = Draft::new(view).expect("draft");
    for _ in 0..1 + dice.below(3) {
        let sequence = draft.append(format!("{{\"commit\":{n},\"noise\":{}}}", dice.roll()).into_bytes());
        let key = sequence.to_be_bytes().to_vec();
        draft.put(Table::Payments, key.clone(), vec![n as u8; 100 + dice.below(400) as usize]);
        draft.put(Table::Due, [dice.roll().to_be_bytes().as_slice(), &key].concat(), Vec::new());
        if dice.chance(25) {
            draft.put(Table::Bodies, key, vec![n as u8; dice.below(9000) as usize]);
        }
    }
    let due = draft.range(Table::Due, &[], &[], 2).expect("due");
    if due.len() == 2 {
        draft.delete(Table::Due, due[0].0.clone());
    }
    draft.into_commit()
}

/// The base every run starts from: a store that was created and closed on a sound disk.
fn created() -> Image {
    let disk = SimDisk::new(0);
    Embedded::create_on(disk.file(), CACHE_MIB, &[]).expect("create").close().expect("close");
    disk.power_cut(Damage::LoseAll);
    disk.cache_image()
}

/// What the store must hold behind each commit: `worlds[n]` behind n of them.
fn worlds(commits: usize) -> Vec<Vec<Record>> {
    let base = created();
    let store = Embedded::open_on(SimDisk::with_image(0, base).file(), CACHE_MIB, Opening::Plain).expect("open");
    let mut worlds = vec![records(&store.snapshot().expect("snapshot")).expect("records")];
    for n in 0..commits {
        let next = commit(&store.snapshot().expect("snapshot"), n as u64);
        store.commit(next).expect("commit");
        worlds.push(records(&store.snapshot().expect("snapshot")).expect("records"));
    }
    worlds
}

fn open(disk: &SimDisk) -> Result<Embedded, Fault> {
    Embedded::open_on(disk.file(), CACHE_MIB, Opening::Checked(None))
}

/// Opens a disk and finds which world it holds.
fn world_of(disk: &SimDisk, worlds: &[Vec<Record>], acked: usize) -> Result<(Embedded, usize), String> {
    let store = open(disk).map_err(|fault| format!("does not open: {fault}"))?;
    let snapshot = store.snapshot().map_err(|fault| fault.to_string())?;
    let found = records(&snapshot).map_err(|fault| fault.to_string())?;
    chain::verify(&snapshot, Head::EMPTY).map_err(|fault| fault.to_string())?;
    let world = (acked..=acked + 1).find(|n| worlds.get(*n) == Some(&found));
    let world = world.ok_or_else(|| match worlds.iter().position(|world| *world == found) {
        Some(other) => format!("{acked} commits were acknowledged, {other} are there"),
        None => format!("{acked} commits were acknowledged, what is there is none of the states"),
    })?;
    drop(snapshot);
    Ok((store, world))
}

/// Applies commits from where the store stands; returns how many it holds at the end, and the fault.
fn run(store: &Embedded, from: usize, to: usize, acked: impl Fn(usize)) -> (usize, Option<Fault>) {
    for n in from..to {
        let next = match store.snapshot() {
            Ok(snapshot) => commit(&snapshot, n as u64),
            Err(fault) => return (n, Some(fault)),
        };
        if let Err(fault) = store.commit(next) {
            return (n, Some(fault));
        }
        acked(n + 1);
    }
    (to, None)
}

const COMMITS: usize = 24;
/// After how many commits the store is closed and opened again.
const REOPENED_AT: usize = 12;
/// On a slow machine the points behind this time get fewer damages each; the counts it prints tell.
const THOROUGH_MAX: Duration = Duration::from_secs(25);
const DAMAGES_IN_HASTE: u64 = 4;
/// A sweep that found so much needs no more.
const FINDINGS_MAX: usize = 10;

#[derive(Default)]
struct Tally {
    points: u64,
    states: u64,
    cut_twice: u64,
    findings: Vec<String>,
}

/// When a commit counts as acknowledged.
#[derive(Clone, Copy, PartialEq)]
enum Thanks {
    Behind,
    /// The bug this harness must find.
    Before,
}

/// Runs the workload once and cuts the power inside every change of the disk, `damages` ways each.
fn sweep(damages: u64, thanks: Thanks) -> Tally {
    let worlds = worlds(COMMITS);
    let acked = Arc::new(Mutex::new(0));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let disk = SimDisk::with_image(1, created());
    {
        let (acked, tally) = (acked.clone(), tally.clone());
        let mut dice = Dice::new(7);
        let started = Instant::now();
        disk.watch(move |state| {
            let acked: usize = *acked.lock().expect("acked");
            let mut tally = tally.lock().expect("tally");
            if tally.findings.len() >= FINDINGS_MAX {
                return;
            }
            let damages = if started.elapsed() < THOROUGH_MAX { damages } else { DAMAGES_IN_HASTE };
            tally.points += 1;
            let point = tally.points;
            for n in 0..if state.is_synced() { 1 } else { damages } {
                let damage = Damage::nth(n, &mut dice);
                let image = state.image_after_cut(damage, &mut dice);
                tally.states += 1;
                match world_of(&SimDisk::with_image(dice.roll(), image.clone()), &worlds, acked) {
                    Err(why) => tally.findings.push(format!("point {point}, {damage:?}: {why}")),
                    // The store works on from what it found.
                    Ok((store, world)) if n == 3 && world < COMMITS => {
                        if let (_, Some(fault)) = run(&store, world, world + 1, |_| {}) {
                            tally.findings.push(format!("point {point}, {damage:?}: does not go on: {fault}"));
                        }
                    }
                    Ok(_) => {}
                }
                // The power fails again, inside the recovery, at one of its own changes.
                if n % 4 == 0 {
                    let second = SimDisk::with_image(dice.roll(), image);
                    second.trip(Some(Trip::PowerAt(dice.below(12))));
                    drop(open(&second));
                    let damage = Damage::nth(dice.below(8), &mut dice);
                    second.power_cut(damage);
                    tally.cut_twice += 1;
                    if let Err(why) = world_of(&second, &worlds, acked) {
                        tally.findings.push(format!("point {point}, cut again in recovery, {damage:?}: {why}"));
                    }
                }
            }
        });
    }
    let tell = |n| *acked.lock().expect("acked") = n;
    let go = |store: &Embedded, from, to| {
        for n in from..to {
            if thanks == Thanks::Before {
                tell(n + 1);
            }
            let (_, fault) = run(store, n, n + 1, tell);
            assert!(fault.is_none(), "{fault:?}");
        }
    };
    let store = open(&disk).expect("open");
    go(&store, 0, REOPENED_AT);
    store.close().expect("close");
    let store = Embedded::open_on(disk.file(), CACHE_MIB, Opening::Plain).expect("open");
    go(&store, REOPENED_AT, COMMITS);
    store.close().expect("close");
    disk.unwatch();
    std::mem::take(&mut *tally.lock().expect("tally"))
}

#[test]
fn a_power_cut_at_any_point_loses_nothing_acknowledged_and_applies_nothing_by_half() {
    let started = Instant::now();
    let Tally { points, states, cut_twice, findings } = sweep(96, Thanks::Behind);
    let (found, seconds) = (findings.len(), started.elapsed().as_secs_f32());
    let _ = writeln!(
        std::io::stderr(),
        "power cuts: points {points}, states {states}, cut twice {cut_twice}, lost or torn {found}, {seconds:.1} s"
    );
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(states > 1000, "the sweep was too small to mean anything");
}

#[test]
fn the_sweep_finds_a_store_that_thanks_before_it_kept() {
    let tally = sweep(4, Thanks::Before);
    let _ = writeln!(std::io::stderr(), "witness, thanked too early: found after {} states", tally.states);
    assert!(!tally.findings.is_empty());
}

#[test]
fn a_store_created_in_place_would_never_open_again_after_some_cuts() {
    let rehearsal = SimDisk::new(0);
    drop(Embedded::create_on(rehearsal.file(), CACHE_MIB, &[]).expect("create"));
    let (mut points, mut dead) = (0, 0);
    for change in 0..rehearsal.changes() {
        for n in 0..4 {
            let disk = SimDisk::new(change);
            disk.trip(Some(Trip::PowerAt(change)));
            drop(Embedded::create_on(disk.file(), CACHE_MIB, &[]));
            disk.power_cut(Damage::nth(n, &mut Dice::new(change)));
            // An empty file is as good as none.
            if !disk.cache_image().is_empty() {
                points += 1;
                dead += u32::from(open(&disk).is_err());
            }
        }
    }
    let _ =
        writeln!(std::io::stderr(), "witness, created in place: {dead} of {points} cuts leave a file that never opens");
    assert!(dead > 0, "then creation by rename would be for nothing");
}

/// What a failed sync comes to, over all syncs of the workload.
#[derive(Default, Debug)]
struct Gate {
    points: u64,
    lost: u64,
}

/// How a commit is written under [`fsyncgate`].
#[derive(Clone, Copy, PartialEq)]
enum Writer {
    Ours,
    /// redb's default: one phase.
    OnePhase,
}

/// What happens between the failed sync and the next acknowledgement.
#[derive(Clone, Copy, PartialEq)]
enum Restart {
    /// The process opens the same file again; the page cache shows what the disk never got.
    InPlace,
    /// The file is copied to a new one first.
    ByCopy,
}

/// Makes every sync of the workload fail once and drop `percent` of what it should have carried over;
/// then restarts, acknowledges three more commits, and cuts the power.
fn fsyncgate(writer: Writer, restart: Restart, percent: u64) -> Gate {
    let worlds = worlds(COMMITS + 3);
    let base = created();
    let rehearsal = SimDisk::with_image(1, base.clone());
    let (_, fault) = write_all(writer, &rehearsal, 0, COMMITS);
    assert!(fault.is_none(), "{fault:?}");
    let mut gate = Gate::default();
    for sync in rehearsal.syncs() {
        gate.points += 1;
        let disk = SimDisk::with_image(sync, base.clone());
        disk.trip(Some(Trip::SyncDropsFrom { change: sync, percent }));
        let (acked, _) = write_all(writer, &disk, 0, COMMITS);
        assert_eq!(disk.faults(), 1, "the sync {sync} was not reached");
        if restart == Restart::ByCopy {
            disk.copy_over();
        }
        // What the new process finds: everything acknowledged, and perhaps the commit that failed.
        let Ok((store, found)) = world_of(&disk, &worlds, acked) else {
            gate.lost += 1;
            continue;
        };
        drop(store);
        let (acked, fault) = write_all(writer, &disk, found, found + 3);
        if fault.is_some() {
            gate.lost += 1;
            continue;
        }
        disk.power_cut(Damage::LoseAll);
        if world_of(&disk, &worlds, acked).is_err() {
            gate.lost += 1;
        }
    }
    gate
}

/// Opens the disk, writes until `to` or a fault, and ends the process without closing anything.
fn write_all(writer: Writer, disk: &SimDisk, from: usize, to: usize) -> (usize, Option<String>) {
    let ended = match writer {
        Writer::Ours => match open(disk) {
            Ok(store) => {
                let (acked, fault) = run(&store, from, to, |_| {});
                // Dead before it can tidy up.
                let _ = disk.file();
                (acked, fault)
            }
            Err(fault) => (from, Some(fault)),
        },
        Writer::OnePhase => return write_in_one_phase(disk, from, to),
    };
    (ended.0, ended.1.map(|fault| fault.to_string()))
}

fn write_in_one_phase(disk: &SimDisk, from: usize, to: usize) -> (usize, Option<String>) {
    let opened = redb::Builder::new().set_check_integrity_on_open(true).create_with_backend(disk.file());
    let database = match opened {
        Ok(database) => database,
        Err(error) => return (from, Some(error.to_string())),
    };
    let mirror = Embedded::open_on(SimDisk::with_image(0, created()).file(), CACHE_MIB, Opening::Plain).expect("open");
    run(&mirror, 0, from, |_| {});
    for n in from..to {
        let next = commit(&mirror.snapshot().expect("snapshot"), n as u64);
        if let Err(error) = commit_in_one_phase(&database, &next) {
            let _ = disk.file();
            return (n, Some(error.to_string()));
        }
        mirror.commit(next).expect("a sound disk");
    }
    let _ = disk.file();
    (to, None)
}

#[expect(clippy::disallowed_methods, reason = "the witness does what the store must not")]
fn commit_in_one_phase(database: &Database, commit: &Commit) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for ((table, key), value) in &commit.changes {
        let mut rows = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(table.name()))?;
        match value {
            Some(value) => {
                let mut framed = Vec::new();
                frame::wrap(*table, key, value, &mut framed);
                rows.insert(key.as_slice(), framed.as_slice())?;
            }
            None => {
                rows.remove(key.as_slice())?;
            }
        }
    }
    Ok(transaction.commit()?)
}

#[test]
fn a_failed_sync_loses_nothing_and_in_one_phase_it_would() {
    for percent in [100, 50] {
        let copied = fsyncgate(Writer::Ours, Restart::ByCopy, percent);
        let in_place = fsyncgate(Writer::Ours, Restart::InPlace, percent);
        let witness = fsyncgate(Writer::OnePhase, Restart::InPlace, percent);
        let _ = writeln!(
            std::io::stderr(),
            "failed syncs that drop {percent} %: recovered by copy, lost {} of {}; in place, lost {} of {}; \
             witness in one phase, lost {} of {}",
            copied.lost,
            copied.points,
            in_place.lost,
            in_place.points,
            witness.lost,
            witness.points
        );
        assert_eq!((copied.lost, in_place.lost), (0, 0));
        assert!(witness.lost > 0 || percent < 100, "the harness is too blunt to see what two phases are for");
    }
}

#[test]
fn an_io_error_at_any_change_or_read_loses_nothing() {
    let worlds = worlds(COMMITS);
    let base = created();
    let rehearsal = SimDisk::with_image(1, base.clone());
    write_all(Writer::Ours, &rehearsal, 0, COMMITS);
    let trips = (0..rehearsal.changes())
        .flat_map(|n| [Trip::ChangeOnce(n), Trip::ChangesFrom(n)])
        .chain((0..rehearsal.reads()).map(Trip::ReadOnce));
    let (mut points, mut faults) = (0, 0);
    for (n, trip) in trips.enumerate() {
        points += 1;
        let disk = SimDisk::with_image(n as u64, base.clone());
        disk.trip(Some(trip));
        let (acked, _) = write_all(Writer::Ours, &disk, 0, COMMITS);
        faults += disk.faults().min(1);
        disk.trip(None);
        // Every other one also loses its power before it is opened again.
        if n % 2 == 1 {
            disk.power_cut(Damage::Tear);
        }
        if let Err(why) = world_of(&disk, &worlds, acked) {
            panic!("{trip:?}: {why}");
        }
    }
    let _ = writeln!(std::io::stderr(), "I/O errors: points {points}, of which hit {faults}, lost 0");
    assert_eq!(points, faults, "every planned error must happen");
}

#[test]
fn a_full_disk_stops_the_store_with_full_and_loses_nothing() {
    let worlds = worlds(COMMITS);
    let base = created();
    let rehearsal = SimDisk::with_image(1, base.clone());
    write_all(Writer::Ours, &rehearsal, 0, COMMITS);
    let (mut points, mut refused) = (0, 0);
    for change in 0..rehearsal.changes() {
        let disk = SimDisk::with_image(change, base.clone());
        disk.trip(Some(Trip::FullFrom(change)));
        let acked = match open(&disk) {
            Err(Fault::Full(_)) => 0,
            Err(fault) => panic!("full from change {change}: {fault}"),
            Ok(store) => {
                let (acked, fault) = run(&store, 0, COMMITS, |_| {});
                if let Some(fault) = fault {
                    assert!(matches!(fault, Fault::Full(_)), "full from change {change}: {fault}");
                    // Every later commit says the same, and reading goes on.
                    let snapshot = store.snapshot().expect("reading goes on");
                    let again = store.commit(commit(&snapshot, acked as u64)).expect_err("still full");
                    assert!(matches!(again, Fault::Full(_)), "full from change {change}: {again}");
                    assert_eq!(records(&snapshot).expect("records"), worlds[acked]);
                }
                acked
            }
        };
        points += disk.faults().min(1);
        // While there is no room it may refuse to open, but says why.
        match open(&disk) {
            Ok(_) => {}
            Err(Fault::Full(_)) => refused += 1,
            Err(fault) => panic!("full from change {change}, opened again: {fault}"),
        }
        disk.trip(None);
        if let Err(why) = world_of(&disk, &worlds, acked) {
            panic!("full from change {change}: {why}");
        }
    }
    let _ = writeln!(std::io::stderr(), "full disks: points {points}, opened while full refused {refused}, lost 0");
    assert!(points > 100);
}

#[test]
fn a_disk_with_a_budget_fills_up_and_goes_on_once_there_is_room() {
    let base = created();
    let disk = SimDisk::with_image(1, base.clone());
    disk.limit(Some(base.len() as u64));
    let store = open(&disk).expect("open");
    let write = |store: &Embedded, n: u8| {
        let snapshot = store.snapshot().expect("snapshot");
        let mut draft = Draft::new(&snapshot).expect("draft");
        draft.append(vec![n]);
        draft.put(Table::Bodies, vec![n], vec![n; 100_000]);
        store.commit(draft.into_commit())
    };
    let kept = (0..100).take_while(|n| write(&store, *n).is_ok()).count() as u8;
    assert!((1..100).contains(&kept), "{kept} of 100 fitted");
    assert!(matches!(write(&store, kept), Err(Fault::Full(_))));
    // Reopened without any room gained, it reads; with room, it goes on.
    drop(store);
    let store = open(&disk).expect("what is allocated already suffices to open");
    let bodies = store.snapshot().expect("snapshot").range(Table::Bodies, &[], &[], 999).expect("bodies").len();
    assert_eq!(bodies, kept as usize);
    disk.limit(None);
    drop(store);
    write(&open(&disk).expect("open"), kept).expect("there is room");
}

/// Lives of one store, and the faults in each.
const LIVES: u64 = 100;
const FAULTS_A_LIFE: usize = 24;
const LIFE_COMMITS: usize = 150;

#[test]
fn faults_one_behind_the_other_lose_nothing() {
    let worlds = worlds(LIFE_COMMITS + 1);
    let base = created();
    let mut served = [0u64; 5];
    for seed in 0..LIVES {
        let mut dice = Dice::new(seed);
        let disk = SimDisk::with_image(seed, base.clone());
        let mut acked = 0;
        for _ in 0..FAULTS_A_LIFE {
            // Some hit while the store is being opened or closed, most in a commit.
            let at = disk.changes() + dice.below(150);
            let (kind, trip) = match dice.below(5) {
                0 => (0, Trip::PowerAt(at)),
                1 => (1, Trip::ChangeOnce(at)),
                2 => (2, Trip::ChangesFrom(at)),
                3 => (3, Trip::FullFrom(at)),
                _ => (4, Trip::SyncDropsFrom { change: at, percent: 20 + dice.below(81) }),
            };
            disk.trip(Some(trip));
            let before = disk.faults();
            if let Ok(store) = open(&disk) {
                let to = (acked + 1 + dice.below(8) as usize).min(LIFE_COMMITS);
                // The commit under way at the last fault may have been kept.
                let found = records(&store.snapshot().expect("snapshot")).expect("records");
                let from = if worlds[acked] == found { acked } else { acked + 1 };
                assert_eq!(worlds[from], found, "seed {seed}: {trip:?}");
                acked = from;
                let (reached, _) = run(&store, from, to.max(from), |_| {});
                acked = acked.max(reached);
                if dice.chance(50) {
                    let _ = store.close();
                }
            }
            let hit = disk.faults() > before;
            served[kind] += u64::from(hit);
            disk.trip(None);
            if hit && kind == 4 {
                disk.copy_over();
            }
            if kind == 0 || dice.chance(30) {
                let damage = Damage::nth(dice.below(9), &mut dice);
                disk.power_cut(damage);
            }
        }
        if let Err(why) = world_of(&disk, &worlds, acked) {
            panic!("seed {seed}: {why}");
        }
    }
    let [power, once, lasting, full, sync] = served;
    let _ = writeln!(
        std::io::stderr(),
        "lives: {LIVES}, power cuts {power}, single errors {once}, lasting errors {lasting}, full disks {full}, \
         failed syncs {sync}, lost 0"
    );
    assert!(served.iter().all(|count| *count > 5), "every kind of fault must happen");
}
