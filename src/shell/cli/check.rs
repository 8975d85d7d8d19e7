//! `reconciled check`: proves what the store promises, on the file itself.

use serde_json::json;

use super::{ConfigFile, Failure, Printing, print, source};
use crate::shell::exit;
use crate::store::check::Scan;

pub fn check(file: &ConfigFile, printing: Printing) -> Result<u8, Failure> {
    let scanned = source::with_file(file, |_, view, _| {
        let mut scan = Scan::default();
        loop {
            if let Some(scanned) = scan.step(view)? {
                return Ok(scanned);
            }
        }
    })?;
    let found = json!({"records": scanned.records, "journal": scanned.journal.sequence});
    if printing.json {
        print::json(&found);
    } else {
        print::fields(&found);
    }
    Ok(exit::OK)
}
