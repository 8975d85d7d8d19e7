//! Real files: who may open them, what a stop leaves behind, what a flipped bit does.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use reconciled::store::check::{Progress, Scan, verify_file};
use reconciled::store::file::{OpenError, ReadOnly, State, StoreFile};
use reconciled::store::{Draft, Embedded, Fault, Table, View, chain};
use reconciled::words::time::{Timestamp, days, later};

const CACHE_MIB: usize = 4;

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().expect("a time")
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.redb")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.0.path().join(format!("store.redb{suffix}"))
    }

    fn lock(&self) -> StoreFile {
        StoreFile::lock(&self.path()).expect("the lock")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("utf-8")).collect();
        names.sort();
        names
    }
}

fn created(folder: &Folder) -> (StoreFile, Embedded) {
    let file = folder.lock();
    assert_eq!(file.state(now()).expect("state"), State::Absent);
    file.create(&[("made_by", b"demo")]).expect("create");
    let store = file.open(CACHE_MIB, now()).expect("open");
    (file, store)
}

fn write(store: &Embedded, rounds: u32) {
    for round in 0..rounds {
        let snapshot = store.snapshot().expect("snapshot");
        let mut draft = Draft::new(&snapshot).expect("draft");
        for n in 0..20u32 {
            let sequence = draft.append(format!("{{\"round\":{round},\"n\":{n}}}").into_bytes());
            draft.put(Table::Payments, sequence.to_be_bytes().to_vec(), vec![n as u8; 700]);
            draft.put(Table::Open, sequence.to_be_bytes().to_vec(), Vec::new());
        }
        store.commit(draft.into_commit()).expect("commit");
    }
}

/// A row of any table.
type Record = (Table, Vec<u8>, Vec<u8>);

fn rows(view: &dyn View) -> Result<Vec<Record>, Fault> {
    let mut all = Vec::new();
    for table in Table::ALL {
        all.extend(view.range(table, &[], &[], usize::MAX)?.into_iter().map(|(key, value)| (table, key, value)));
    }
    Ok(all)
}

#[test]
fn a_new_store_is_ours_alone_and_leaves_nothing_else_behind() {
    let folder = Folder::new();
    let path = folder.0.path().join("deep/er/store.redb");
    let file = StoreFile::lock(&path).expect("lock");
    file.create(&[]).expect("create");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("parent")), 0o700);
    let store = file.open(CACHE_MIB, now()).expect("open");
    store.close().expect("close");
    let mut names: Vec<_> =
        fs::read_dir(path.parent().expect("parent")).expect("list").map(|e| e.expect("entry").path()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        assert_eq!(mode(&name), 0o600, "{name:?}");
    }
    assert!(file.create(&[]).is_err(), "a store is never made over another one");
}

#[test]
fn a_second_daemon_is_refused_and_names_the_first() {
    let folder = Folder::new();
    let (_file, _store) = created(&folder);
    let refused = StoreFile::lock(&folder.path()).expect_err("in use");
    let ours = std::process::id();
    assert!(matches!(&refused, OpenError::InUse { pid, .. } if *pid == Some(ours)), "{refused}");
    assert!(refused.is_temporary());
    assert!(refused.to_string().contains(&format!("process {ours}")), "{refused}");
    let refused = ReadOnly::open(&folder.path(), CACHE_MIB).err().expect("in use");
    assert!(matches!(&refused, OpenError::InUse { pid, .. } if *pid == Some(ours)), "{refused}");
}

#[test]
fn the_file_itself_is_locked_even_when_the_lock_file_was_deleted() {
    let folder = Folder::new();
    let (_file, _store) = created(&folder);
    fs::remove_file(folder.beside(".lock")).expect("an operator's clean-up");
    let second = folder.lock();
    assert!(second.open(CACHE_MIB, now()).is_err());
}

#[test]
fn a_clean_stop_spares_the_check_for_a_week() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    write(&store, 3);
    assert!(matches!(file.state(now()).expect("state"), State::CheckDue { .. }), "open is not clean");
    store.close().expect("close");
    assert_eq!(file.state(now()).expect("state"), State::Clean { checked_at: now() });
    assert_eq!(file.state(later(now(), days(7))).expect("state"), State::Clean { checked_at: now() });
    assert!(matches!(file.state(later(now(), days(8))).expect("state"), State::CheckDue { .. }));
    assert!(matches!(file.state(later(now(), -days(1))).expect("state"), State::CheckDue { .. }), "from the future");

    // The check's time goes on from stop to stop.
    let store = file.open(CACHE_MIB, now()).expect("open");
    assert!(matches!(file.state(now()).expect("state"), State::CheckDue { .. }));
    store.close().expect("close");
    assert_eq!(file.state(later(now(), days(6))).expect("state"), State::Clean { checked_at: now() });

    // Whatever touches the file afterwards takes the mark's worth away.
    let bytes = fs::read(folder.path()).expect("read");
    fs::write(folder.path(), bytes).expect("write");
    assert!(matches!(file.state(now()).expect("state"), State::CheckDue { .. }));
}

#[test]
fn a_store_that_was_not_closed_is_checked_and_then_opens() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    write(&store, 10);
    let expected = rows(&store.snapshot().expect("snapshot")).expect("rows");
    // What a crash leaves: the file as it is while it is open.
    let crashed = Folder::new();
    fs::copy(folder.path(), crashed.path()).expect("copy");
    fs::set_permissions(crashed.path(), fs::Permissions::from_mode(0o600)).expect("chmod");
    drop((store, file));

    let refused = ReadOnly::open(&crashed.path(), CACHE_MIB).err().expect("unclean");
    assert!(matches!(&refused, OpenError::Unclean { .. }), "{refused}");
    assert!(refused.is_temporary() && refused.to_string().contains("`reconciled serve`"), "{refused}");

    let file = crashed.lock();
    assert!(matches!(file.state(now()).expect("state"), State::CheckDue { .. }));
    let (tell, told) = std::sync::mpsc::channel();
    let scanned = verify_file(&crashed.path(), CACHE_MIB, move |at| tell.send(at).expect("told")).expect("whole");
    assert_eq!(scanned.journal.sequence, 200);
    assert_eq!(scanned.records, 602);
    assert_eq!(told.iter().last(), Some(Progress::Records { records: 602 }));
    let store = file.open(CACHE_MIB, now()).expect("open");
    assert_eq!(rows(&store.snapshot().expect("snapshot")).expect("rows"), expected);
    store.close().expect("close");
    drop(file);

    let reader = ReadOnly::open(&crashed.path(), CACHE_MIB).expect("clean now");
    assert_eq!(rows(&reader.snapshot().expect("snapshot")).expect("rows"), expected);
    let other = ReadOnly::open(&crashed.path(), CACHE_MIB).expect("readers share");
    assert!(matches!(StoreFile::lock(&crashed.path()), Err(OpenError::InUse { .. })), "no daemon while we read");
    drop((reader, other));
    assert!(matches!(crashed.lock().state(now()).expect("state"), State::Clean { .. }), "reading leaves it clean");
}

#[test]
fn a_moved_or_replaced_file_takes_no_acknowledgement() {
    let folder = Folder::new();
    let (_file, store) = created(&folder);
    write(&store, 1);
    let append = || {
        let snapshot = store.snapshot().expect("snapshot");
        let mut draft = Draft::new(&snapshot).expect("draft");
        draft.append(b"more".to_vec());
        store.commit(draft.into_commit())
    };
    append().expect("in its place");
    fs::rename(folder.path(), folder.beside(".old")).expect("move");
    let moved = append().expect_err("moved");
    assert!(matches!(&moved, Fault::Broken(why) if why.contains("was moved")), "{moved}");
    fs::copy(folder.beside(".old"), folder.path()).expect("another file in its place");
    let replaced = append().expect_err("replaced");
    assert!(matches!(&replaced, Fault::Broken(why) if why.contains("was replaced")), "{replaced}");
    fs::rename(folder.beside(".old"), folder.path()).expect("back");
    append().expect("in its place again");
}

#[test]
fn leftovers_of_an_interrupted_creation_are_removed_and_do_not_hurt() {
    let folder = Folder::new();
    fs::write(folder.beside(".new"), b"half a database").expect("write");
    fs::write(folder.beside(".copy"), b"half a copy").expect("write");
    let file = folder.lock();
    assert_eq!(folder.names(), ["store.redb.lock"]);
    // A try of this process that failed before, on a full disk say.
    fs::write(folder.beside(".new"), b"half a database").expect("write");
    file.create(&[]).expect("create");
    let store = file.open(CACHE_MIB, now()).expect("open");
    assert_eq!(folder.names(), ["store.redb", "store.redb.lock"]);
    store.close().expect("close");
    drop(file);
    assert_eq!(folder.names(), ["store.redb", "store.redb.clean", "store.redb.lock"]);
}

#[test]
fn a_file_that_is_not_ours_alone_is_refused_with_the_remedy() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    store.close().expect("close");
    let refused = |what: &str| {
        let refused = file.open(CACHE_MIB, now()).err().expect(what).to_string();
        assert!(refused.contains(what), "{refused}");
        let refused = verify_file(&folder.path(), CACHE_MIB, |_| {}).expect_err(what).to_string();
        assert!(refused.contains(what), "{refused}");
    };
    for mode in [0o644, 0o620, 0o606] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("chmod");
        refused("chmod 600");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::hard_link(folder.path(), folder.beside(".second")).expect("link");
    refused("hard links");
    fs::remove_file(folder.beside(".second")).expect("unlink");
    fs::rename(folder.path(), folder.beside(".real")).expect("move");
    symlink(folder.beside(".real"), folder.path()).expect("symlink");
    refused("symbolic link");
    fs::remove_file(folder.path()).expect("unlink");
    fs::write(folder.path(), b"").expect("empty");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o600)).expect("chmod");
    refused("is empty");
    fs::remove_file(folder.path()).expect("unlink");
    fs::create_dir(folder.path()).expect("a folder");
    assert!(file.open(CACHE_MIB, now()).is_err());
    fs::remove_dir(folder.path()).expect("no folder");
    assert!(matches!(file.open(CACHE_MIB, now()), Err(OpenError::Missing { .. })));
    fs::rename(folder.beside(".real"), folder.path()).expect("back");
    file.open(CACHE_MIB, now()).expect("its own file opens");
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let folder = Folder::new();
    fs::write(folder.beside(".victim"), b"precious").expect("write");
    symlink(folder.beside(".victim"), folder.beside(".lock")).expect("symlink");
    assert!(matches!(StoreFile::lock(&folder.path()), Err(OpenError::NotOurs { .. })));
    assert_eq!(fs::read(folder.beside(".victim")).expect("read"), b"precious");
}

#[test]
fn a_dirty_store_is_recovered_into_a_new_file() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    write(&store, 30);
    let expected = rows(&store.snapshot().expect("snapshot")).expect("rows");
    store.close().expect("close");
    fs::write(folder.beside(".dirty"), b"Sync: Input/output error").expect("the mark of a failed sync");
    assert_eq!(file.state(now()).expect("state"), State::Dirty { why: "Sync: Input/output error".into() });
    assert!(matches!(file.open(CACHE_MIB, now()), Err(OpenError::Unclean { .. })), "not before it is recovered");

    let before = fs::metadata(folder.path()).expect("it is there");
    let mut steps = Vec::new();
    file.recover(|done, of| steps.push((done, of))).expect("recover");
    let after = fs::metadata(folder.path()).expect("it is there");
    assert_ne!(before.ino(), after.ino());
    assert_eq!((after.len(), after.mode() & 0o777), (before.len(), 0o600));
    assert_eq!(steps.last(), Some(&(before.len(), before.len())));
    assert!(matches!(file.state(now()).expect("state"), State::Dirty { .. }), "until the check passed");
    verify_file(&folder.path(), CACHE_MIB, |_| {}).expect("whole");
    file.mended().expect("mended");
    let store = file.open(CACHE_MIB, now()).expect("open");
    assert_eq!(rows(&store.snapshot().expect("snapshot")).expect("rows"), expected);
    store.close().expect("close");
    assert_eq!(folder.names(), ["store.redb", "store.redb.clean", "store.redb.lock"]);
}

/// What a daemon does at its start.
fn prepare(
    file: &StoreFile,
    now: Timestamp,
    check: impl FnOnce(&str) -> Result<(), OpenError>,
) -> Result<Timestamp, OpenError> {
    match file.state(now)? {
        State::Absent => file.create(&[])?,
        State::Clean { checked_at } => return Ok(checked_at),
        State::CheckDue { why } => check(&why)?,
        State::Dirty { why } => {
            file.recover(|_, _| {})?;
            check(&why)?;
            file.mended()?;
        }
    }
    Ok(now)
}

#[test]
fn a_start_prepares_the_store_from_every_state() {
    let folder = Folder::new();
    let file = folder.lock();
    let start = |expect_check: Option<&str>, now| {
        let mut checked = None;
        let check = |why: &str| {
            checked = Some(why.to_owned());
            verify_file(&folder.path(), CACHE_MIB, |_| {}).map(|_| ())
        };
        let checked_at = prepare(&file, now, check).expect("prepared");
        assert_eq!(checked.as_deref(), expect_check);
        (file.open(CACHE_MIB, checked_at).expect("open"), checked_at)
    };
    let (store, _) = start(None, now());
    write(&store, 1);
    store.close().expect("close");
    let next_day = later(now(), days(1));
    let (store, checked_at) = start(None, next_day);
    assert_eq!(checked_at, now(), "a clean stop is no check");
    drop(store);
    let (store, checked_at) = start(Some("the last stop was not clean"), next_day);
    assert_eq!(checked_at, next_day);
    drop(store);
    fs::write(folder.beside(".dirty"), b"a sync failed").expect("the mark");
    let (store, _) = start(Some("a sync failed"), next_day);
    store.close().expect("close");
    assert_eq!(file.state(next_day).expect("state"), State::Clean { checked_at: next_day });

    fs::write(folder.beside(".dirty"), b"a sync failed").expect("the mark");
    let failed = prepare(&file, now(), |_| Err(OpenError::Missing { path: folder.path() }));
    assert!(failed.is_err());
    assert!(matches!(file.state(now()).expect("state"), State::Dirty { .. }), "a failed check keeps the mark");
}

#[test]
fn a_store_that_is_gone_is_not_replaced_by_an_empty_one() {
    let folder = Folder::new();
    drop(folder.lock());
    assert_eq!(folder.lock().state(now()).expect("never made"), State::Absent);
    let (file, store) = created(&folder);
    store.close().expect("close");
    drop(file);
    fs::remove_file(folder.path()).expect("a slip of the hand");
    for _ in 0..2 {
        let refused = folder.lock().state(now()).expect_err("gone").to_string();
        assert!(refused.contains("is gone") && refused.contains("store.redb.lock"), "{refused}");
    }
    fs::remove_file(folder.beside(".lock")).expect("an operator who means it");
    assert_eq!(folder.lock().state(now()).expect("state"), State::Absent);
}

#[test]
fn a_cut_or_foreign_file_is_called_damaged() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    write(&store, 5);
    store.close().expect("close");
    let sound = fs::read(folder.path()).expect("read");
    let wrongs = [&sound[..sound.len() / 2], &sound[..100], &b"not a database"[..], &[0; 1 << 20]];
    for (n, wrong) in wrongs.into_iter().enumerate() {
        fs::write(folder.path(), wrong).expect("write");
        let refused = catch_unwind(AssertUnwindSafe(|| verify_file(&folder.path(), CACHE_MIB, |_| {})));
        match refused {
            Ok(refused) => {
                let refused = refused.expect_err("it is wrong");
                assert!(matches!(&refused, OpenError::Damaged { .. }), "{n}: {refused}");
                assert!(!refused.is_temporary());
            }
            // Which is why the daemon lets a child do it.
            Err(_) => drop(writeln!(std::io::stderr(), "redb panics at wrong file {n}")),
        }
    }
    fs::write(folder.path(), sound).expect("write");
    verify_file(&folder.path(), CACHE_MIB, |_| {}).expect("whole again");
    file.open(CACHE_MIB, now()).expect("opens");
}

#[test]
fn a_store_of_another_format_is_refused_and_names_it() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    let snapshot = store.snapshot().expect("snapshot");
    let mut draft = Draft::new(&snapshot).expect("draft");
    draft.put(Table::Meta, b"format".to_vec(), b"2".to_vec());
    store.commit(draft.into_commit()).expect("commit");
    drop(snapshot);
    store.close().expect("close");
    drop(file);
    let is_refused = |refused: Option<OpenError>| {
        assert!(matches!(&refused, Some(OpenError::OtherFormat { found, .. }) if found == "2"), "{refused:?}");
    };
    is_refused(ReadOnly::open(&folder.path(), CACHE_MIB).err());
    is_refused(folder.lock().open(CACHE_MIB, now()).err());
    is_refused(verify_file(&folder.path(), CACHE_MIB, |_| {}).err());
}

#[test]
fn a_record_that_was_changed_with_a_right_frame_still_breaks_the_chain() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    write(&store, 2);
    let snapshot = store.snapshot().expect("snapshot");
    let mut draft = Draft::new(&snapshot).expect("draft");
    draft.put(Table::Journal, 7u64.to_be_bytes().to_vec(), chain::seal(&[0; 32], 7, b"{\"forged\":true}"));
    store.commit(draft.into_commit()).expect("commit");
    drop(snapshot);
    store.close().expect("close");
    let refused = verify_file(&folder.path(), CACHE_MIB, |_| {}).expect_err("broken");
    assert!(matches!(&refused, OpenError::Damaged { fault: Fault::Damaged { table: "journal", .. }, .. }), "{refused}");

    // The same scan on a running store, a snapshot per step.
    let store = file.open(CACHE_MIB, now()).expect("open");
    let mut scan = Scan::default();
    let found = loop {
        match scan.step(&store.snapshot().expect("snapshot")) {
            Ok(None) => {}
            Ok(Some(_)) => break None,
            Err(fault) => break Some(fault),
        }
    };
    assert!(found.is_some());
}

/// How many single bits are flipped, one per trial.
const FLIPS: u64 = 400;

/// One flip per trial in a cleanly closed file: the check refuses it, or every record still reads as
/// it was written (the bit lay in a page nobody uses). redb may panic or abort on damage, so each
/// batch runs in a child process, as the daemon does it.
#[test]
fn a_flipped_bit_is_refused_or_harmless_and_never_read() {
    let folder = Folder::new();
    let (file, store) = created(&folder);
    write(&store, 60);
    store.close().expect("close");
    drop(file);
    let program = std::env::current_exe().expect("our own path");
    let mut totals = [0u64; 3];
    for batch in 0..4 {
        let child = Command::new(&program)
            .args(["--exact", "file::flip_bits_in_a_child", "--ignored", "--nocapture"])
            .env("RECONCILED_TEST_STORE", folder.path())
            .env("RECONCILED_TEST_FLIPS", format!("{} {}", batch * FLIPS / 4, (batch + 1) * FLIPS / 4))
            .output()
            .expect("a child");
        // The counts go to standard error, where libtest's capture leaves them alone.
        let text = String::from_utf8_lossy(&child.stderr);
        let counts = text.lines().find_map(|line| line.strip_prefix("flips: ")).unwrap_or_else(|| {
            panic!("the child ended with {}: {}{text}", child.status, String::from_utf8_lossy(&child.stdout))
        });
        for (total, count) in totals.iter_mut().zip(counts.split(' ')) {
            *total += count.parse::<u64>().expect("a count");
        }
    }
    let [refused, harmless, panicked] = totals;
    let _ = writeln!(
        std::io::stderr(),
        "flipped bits {FLIPS}: refused {refused}, in unused space {harmless}, panics {panicked}, wrong 0"
    );
    assert_eq!(refused + harmless + panicked, FLIPS);
    assert!(refused > FLIPS / 4, "too few flips hit something");
}

#[test]
#[ignore = "the child of a_flipped_bit_is_refused_or_harmless_and_never_read"]
fn flip_bits_in_a_child() {
    let (Ok(path), Ok(flips)) = (std::env::var("RECONCILED_TEST_STORE"), std::env::var("RECONCILED_TEST_FLIPS")) else {
        return;
    };
    let (from, to) = flips.split_once(' ').expect("two numbers");
    let sound = fs::read(&path).expect("the store");
    let expected = rows(&ReadOnly::open(Path::new(&path), CACHE_MIB).expect("clean").snapshot().expect("snapshot"));
    let expected = expected.expect("rows");
    let folder = Folder::new();
    // A zero byte is mostly room that nobody uses yet.
    let used: Vec<usize> = (0..sound.len()).filter(|at| *at < 4096 || sound[*at] != 0).collect();
    let bits = used.len() as u64 * 8;
    let [mut refused, mut harmless, mut panicked] = [0u64; 3];
    for trial in from.parse::<u64>().expect("from")..to.parse().expect("to") {
        let mut flipped = sound.clone();
        // Weyl steps spread the bits over the file; every eighth hits the header page.
        let step = trial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = if trial % 8 == 0 { step % (4096 * 8) } else { ((u128::from(step) * u128::from(bits)) >> 64) as u64 };
        flipped[used[(bit / 8) as usize]] ^= 1 << (bit % 8);
        fs::write(folder.path(), &flipped).expect("write");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o600)).expect("chmod");
        let checked = catch_unwind(AssertUnwindSafe(|| verify_file(&folder.path(), CACHE_MIB, |_| {})));
        match checked {
            Ok(Ok(_)) => {
                let store = folder.lock().open(CACHE_MIB, now()).expect("it passed its check");
                let found = rows(&store.snapshot().expect("snapshot")).expect("rows");
                assert!(found == expected, "bit {bit} passed the check and reads as something else");
                harmless += 1;
            }
            Ok(Err(_)) => refused += 1,
            Err(_) => panicked += 1,
        }
    }
    let _ = writeln!(std::io::stderr(), "flips: {refused} {harmless} {panicked}");
}
