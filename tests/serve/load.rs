//! Stopped while shops submit, and started by systemd's socket.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::shop::{Shop, say, until};

const SHOPS: usize = 6;
/// Acknowledged submissions before the stop.
const BEFORE: usize = 300;

#[test]
fn a_stop_under_load_is_clean_and_loses_nothing() {
    let shop = Shop::new();
    let daemon = shop.start();
    let (kept, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for at in 0..SHOPS {
            let (shop, kept, is_over) = (&shop, &kept, &is_over);
            scope.spawn(move || {
                for n in 0.. {
                    let id = format!("load-{at}-{n}");
                    match shop.try_submit(&id) {
                        Some(201) => kept.lock().expect("no panic").push(id),
                        Some(503) | None if is_over.load(Ordering::SeqCst) => return,
                        Some(503) | None => {}
                        Some(other) => panic!("{id}: {other}"),
                    }
                }
            });
        }
        until("shops submit", || kept.lock().expect("no panic").len() >= BEFORE);
        assert_eq!(daemon.stop(), Some(0));
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(!shop.log().contains("in time"), "{}", shop.log());
    let kept = kept.into_inner().expect("no panic");
    let before = shop.log().len();
    let daemon = shop.start();
    let log = shop.log()[before..].to_owned();
    assert!(!log.contains("checking the store") && !log.contains("recovering"), "the stop was not clean: {log}");
    let lost: Vec<_> =
        kept.iter().filter(|id| shop.ask("GET", &format!("/v1/payments/shop-eu/{id}"), "").0 != 200).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    say(&format!("stop under load: {} acknowledged, 0 lost", kept.len()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_socket_of_systemd_is_served() {
    let Ok(found) = Command::new("systemd-socket-activate").arg("--version").output() else {
        return say("skipped: no systemd-socket-activate here");
    };
    assert!(found.status.success());
    let shop = Shop::new();
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").to_string();
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &address]).arg(env!("CARGO_BIN_EXE_reconciled"));
    command.arg("serve").arg("--config").arg(shop.path("reconciled.toml"));
    command.arg("--ready-file").arg(shop.ready_file());
    let child = shop.spawned(command);
    // The first sender starts the daemon, and waits in the kernel's queue until it is up.
    let mut sender = None;
    until("the socket listens", || {
        sender = std::net::TcpStream::connect(&address).ok();
        sender.is_some()
    });
    let daemon = shop.ready(child);
    assert_eq!(daemon.public, address);
    assert_eq!(crate::shop::notify_on(sender.expect("connected"), "/ipn/shop-eu", "request_id=r-1"), 200);
    assert_eq!(daemon.notify("/ipn/shop-eu", "request_id=r-2").0, 200);
    assert_eq!(daemon.stop(), Some(0));
}
