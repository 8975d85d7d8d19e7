//! How far a list is read: a bar on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two updates of the progress bar.
const UPDATE_EVERY: Duration = Duration::from_millis(100);
/// Rows between two lines of progress where there is no terminal.
const LINE_EVERY_ROWS: u64 = 10_000;

pub struct Bar {
    is_terminal: bool,
    bytes: u64,
    told_at: Option<Instant>,
    told_rows: u64,
}

impl Bar {
    pub fn new(bytes: u64) -> Bar {
        Bar { is_terminal: std::io::stderr().is_terminal(), bytes, told_at: None, told_rows: 0 }
    }

    pub fn update(&mut self, rows: u64, position: u64) {
        let is_due = if self.is_terminal {
            self.told_at.is_none_or(|told| told.elapsed() >= UPDATE_EVERY)
        } else {
            rows >= self.told_rows + LINE_EVERY_ROWS
        };
        if !is_due {
            return;
        }
        (self.told_at, self.told_rows) = (Some(Instant::now()), rows);
        const WIDTH_CHARS: u64 = 30;
        let percent = (position.min(self.bytes) * 100).checked_div(self.bytes).unwrap_or(100);
        let full = (percent * WIDTH_CHARS / 100) as usize;
        let mut out = std::io::stderr().lock();
        // Nobody may be reading; the import goes on.
        let _written = if self.is_terminal {
            let empty = WIDTH_CHARS as usize - full;
            write!(out, "\r\x1b[K[{}{}] {percent:3} %  {rows} rows", "#".repeat(full), "-".repeat(empty))
        } else {
            writeln!(out, "{rows} rows, {percent} %")
        };
        let _flushed = out.flush();
    }

    pub fn end(&self) {
        if self.is_terminal {
            let _written = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
