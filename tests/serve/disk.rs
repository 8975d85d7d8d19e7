//! What the disk does to the real process: a failed sync, a rotten record, no space.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use crate::shop::{Shop, say, text, until};

#[test]
fn a_store_whose_sync_failed_is_recovered_by_copy() {
    let shop = Shop::new();
    let daemon = shop.start();
    assert_eq!(shop.submit("r-1", "12.50").0, 201);
    daemon.kill();
    let mark = shop.path("data/reconciled.redb.dirty");
    std::fs::write(&mark, "a sync failed").expect("marked");
    let daemon = shop.start();
    assert!(shop.log().contains("recovering the store by copy: a sync failed"), "{}", shop.log());
    assert!(!mark.exists(), "mended");
    assert_eq!(shop.ask("GET", "/v1/payments/shop-eu/r-1", "").0, 200);
    assert_eq!(shop.submit("r-2", "1").0, 201);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(shop.run(&["check"]).status.code(), Some(0));
}

#[test]
fn a_record_that_rots_on_the_disk_is_found_in_the_background_and_stops_intake() {
    let shop = Shop::new();
    let daemon = shop.start();
    const ROTS: &str = "a-request-id-that-rots";
    assert_eq!(shop.submit(ROTS, "12.50").0, 201);
    assert_eq!(daemon.stop(), Some(0));
    let daemon = shop.start();
    until("a sound store is scanned", || shop.log().contains("records, none damaged"));
    assert_eq!(daemon.stop(), Some(0));

    // Bits flip in every copy of the record, behind the file's times.
    let path = shop.path("data/reconciled.redb");
    let modified = std::fs::metadata(&path).and_then(|found| found.modified()).expect("times");
    let bytes = std::fs::read(&path).expect("read");
    let found = bytes.windows(ROTS.len()).enumerate().filter(|(_, window)| *window == ROTS.as_bytes());
    let mut file = File::options().write(true).open(&path).expect("opened");
    let mut flipped = 0;
    for (at, _) in found {
        file.seek(SeekFrom::Start(at as u64)).expect("there");
        file.write_all(b"A").expect("flipped");
        flipped += 1;
    }
    assert!(flipped > 0);
    file.set_modified(modified).expect("times put back");
    drop(file);

    // It starts, because it was closed cleanly and checked not long ago; the scan finds it.
    let mut child = shop.spawn(&[]);
    assert_eq!(child.wait().expect("it ends").code(), Some(70), "{}", shop.log());
    assert!(shop.log().contains("ERROR background check"), "{}", shop.log());
    let before = shop.log().len();
    // And it does not come up again as if nothing were: the whole file is checked first.
    let mut child = shop.spawn(&[]);
    assert_eq!(child.wait().expect("it ends").code(), Some(70), "{}", shop.log());
    assert!(shop.log()[before..].contains("checking the store first"), "{}", &shop.log()[before..]);
    say(&format!("rotten record: {flipped} copies flipped, found, and refused at the next start"));
}

/// A small file system of its own, unmounted at the end.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount(at: &Path) -> Option<Small<'_>> {
        std::fs::create_dir_all(at).ok()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|said| said.status.success()).then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_turns_senders_away_until_there_is_room_again() {
    let mut shop = Shop::new();
    let place = shop.path("small");
    let Some(_small) = Small::mount(&place) else {
        return say("skipped: a tmpfs can't be mounted here");
    };
    shop.environment.push(("RECONCILED_STORE__PATH", place.join("reconciled.redb").display().to_string()));
    let mut daemon = shop.start();
    let mut kept = Vec::new();
    let submit = |kept: &mut Vec<String>| {
        let id = format!("full-{}", kept.len());
        let status = shop.try_submit(&id);
        if status == Some(201) {
            kept.push(id);
        }
        status
    };
    for _ in 0..20 {
        assert_eq!(submit(&mut kept), Some(201));
    }

    // The rest of the disk goes to somebody else.
    let filler = place.join("filler");
    let mut file = File::create(&filler).expect("made");
    while file.write_all(&[0; 4096]).is_ok() {}
    until("the daemon turns senders away", || match submit(&mut kept) {
        Some(503) => true,
        Some(201) => false,
        other => panic!("neither kept nor turned away: {other:?}\n{}", shop.log()),
    });
    let (status, token) = daemon.notify("/confirm/shop-at", "paymentState=CANCEL&shopRequestId=x");
    assert!(status == 503 && token.contains("NOK"), "{status} {token}");
    assert_eq!(shop.ask("GET", "/readyz", "").0, 503);
    assert_eq!(shop.ask("GET", "/healthz", "").0, 200);

    drop(file);
    std::fs::remove_file(&filler).expect("freed");
    until("the daemon keeps again by itself", || submit(&mut kept) == Some(201));
    assert!(daemon.child.try_wait().expect("a child").is_none(), "the same process went on");
    let (_, journal) = shop.ask("GET", "/v1/journal?limit=1000", "");
    assert!(journal["items"].to_string().contains("deaf"), "the deaf interval is in the journal: {journal}");
    let lost: Vec<_> =
        kept.iter().filter(|id| shop.ask("GET", &format!("/v1/payments/shop-eu/{id}"), "").0 != 200).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(daemon.stop(), Some(0));
    let checked = shop.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", text(&checked.stdout), text(&checked.stderr));
    say(&format!("full disk: {} acknowledged, 0 lost", kept.len()));
}
