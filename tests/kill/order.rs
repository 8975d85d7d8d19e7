//! The order of things, as the kernel saw it: no answer 200 or 201 leaves before an fdatasync that began
//! after the request came in has returned.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::daemon::Place;
use crate::load::Load;
use crate::tell;

/// The calls that carry requests, answers and durability.
const CALLS: &str = "trace=read,recvfrom,write,writev,sendto,fdatasync,fsync";
const LOAD: Duration = Duration::from_millis(1500);

#[test]
fn every_answer_waits_for_the_disk() {
    let can_trace = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    if !can_trace {
        tell("skipped: strace can't be used here, so the order of answers and fdatasync was not watched");
        return;
    }
    let place = Place::new();
    let trace = place.path("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "48", "-e", CALLS, "-e", "signal=none", "-o"]).arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_reconciled"));
    place.configure(&mut command, &["serve"]);
    let traced = place.spawn_as(command).ready();
    let load = Load::start(&traced, 0);
    std::thread::sleep(LOAD);
    // SIGKILL of strace lets go of the daemon, which would live on: end the daemon, and strace ends with it.
    let ready = std::fs::read_to_string(place.path("ready.json")).expect("the ready file");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let pid = ready["pid"].as_i64().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    load.end();
    drop(traced);

    let text = std::fs::read_to_string(&trace).expect("the trace");
    let mut watch = Watch::default();
    for (number, line) in text.lines().enumerate() {
        watch.line(number, line);
    }
    assert!(watch.answers > 20, "only {} answers were seen", watch.answers);
    assert!(watch.early.is_empty(), "answers before the disk: {:?}", watch.early);
    tell(&format!(
        "order: {} answers, each behind an fdatasync that began after its request ({} syncs)",
        watch.answers, watch.syncs
    ));
}

/// What a trace showed so far. Positions are line numbers: strace writes in the order it saw.
#[derive(Default)]
struct Watch {
    /// By thread: the call it is in, where it began, its file descriptor.
    under_way: BTreeMap<String, (String, usize, String)>,
    /// By file descriptor: where its request was read, and whether it asks for something to be kept.
    requests: BTreeMap<String, (usize, bool)>,
    /// The beginning of the latest-begun sync that has returned.
    synced_from: Option<usize>,
    answers: u64,
    syncs: u64,
    early: Vec<String>,
}

impl Watch {
    fn line(&mut self, number: usize, line: &str) {
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((call, began, descriptor)) = self.under_way.remove(thread) else { return };
            let rest = resumed.split_once("resumed>").map_or("", |(_, rest)| rest);
            self.ended(&call, began, &descriptor, rest);
            return;
        }
        let Some((call, arguments)) = rest.split_once('(') else { return };
        let descriptor: String = arguments.chars().take_while(char::is_ascii_digit).collect();
        self.began(call, &descriptor, arguments);
        if arguments.ends_with("<unfinished ...>") {
            self.under_way.insert(thread.to_owned(), (call.to_owned(), number, descriptor));
        } else {
            self.ended(call, number, &descriptor, arguments);
        }
    }

    fn began(&mut self, call: &str, descriptor: &str, arguments: &str) {
        let is_answer = arguments.contains("HTTP/1.1 200 ") || arguments.contains("HTTP/1.1 201 ");
        if !matches!(call, "write" | "writev" | "sendto") || !is_answer {
            return;
        }
        let Some((asked, true)) = self.requests.remove(descriptor) else { return };
        self.answers += 1;
        if self.synced_from.is_none_or(|synced| synced < asked) {
            self.early.push(arguments.to_owned());
        }
    }

    fn ended(&mut self, call: &str, began: usize, descriptor: &str, rest: &str) {
        match call {
            "fdatasync" | "fsync" if rest.trim_end().ends_with("= 0") => {
                self.syncs += 1;
                self.synced_from = self.synced_from.max(Some(began));
            }
            "read" | "recvfrom" if rest.contains("POST /") => {
                let keeps = ["POST /ipn", "POST /confirm", "POST /v1/submissions"];
                let keeps = keeps.iter().any(|route| rest.contains(route));
                self.requests.insert(descriptor.to_owned(), (began, keeps));
            }
            _ => {}
        }
    }
}
