//! One line that says where the scene is: rewritten on a terminal, now and then a plain line elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::Instant;

use crate::words::time::Timestamp;

/// Between two lines where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Between two updates on a terminal.
const UPDATE_EVERY: Duration = Duration::from_millis(150);

pub struct Progress {
    is_terminal: bool,
    started: Instant,
    told: Option<Instant>,
}

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub now: Timestamp,
    pub orders: usize,
    pub accepted: usize,
    pub lost: usize,
    pub kills: usize,
}

impl Progress {
    pub fn new() -> Progress {
        Progress { is_terminal: std::io::stderr().is_terminal(), started: Instant::now(), told: None }
    }

    /// Says where things are, unless it was said just now.
    pub fn update(&mut self, standing: Standing) {
        let every = if self.is_terminal { UPDATE_EVERY } else { PLAIN_EVERY };
        if self.told.is_some_and(|told| told.elapsed() < every) {
            return;
        }
        self.told = Some(Instant::now());
        self.print(&self.line(standing));
    }

    fn line(&self, standing: Standing) -> String {
        let Standing { now, orders, accepted, lost, kills } = standing;
        let zone = TimeZone::get("Europe/Vienna").unwrap_or(TimeZone::UTC);
        let time = now.to_zoned(zone).strftime("%a %d %b %H:%M");
        let seconds = self.started.elapsed().as_secs();
        format!(
            "{time}  {orders} requests made, {accepted} messages delivered, {lost} lost, daemon killed {kills} times ({seconds} s)"
        )
    }

    fn print(&self, line: &str) {
        let mut out = std::io::stderr().lock();
        // Nobody may be reading; the demo goes on.
        let _written = if self.is_terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _flushed = out.flush();
    }

    /// A line that stays.
    pub fn note(&mut self, line: &str) {
        if self.is_terminal {
            self.print("");
        }
        let _written = writeln!(std::io::stderr().lock(), "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_line_says_when_and_what() {
        let progress = Progress::new();
        let now = "2026-03-02T08:30:00Z".parse().expect("a time");
        let line = progress.line(Standing { now, orders: 12, accepted: 9, lost: 2, kills: 1 });
        assert!(line.starts_with("Mon 02 Mar 09:30  12 requests made, 9 messages delivered, 2 lost"), "{line}");
    }
}
