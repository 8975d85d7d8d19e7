//! What a rehearsal remembers of the rows before a batch.
//!
//! Each batch of it is tried by itself and taken back. A row that says something else than one of an earlier batch is
//! found only if that one is tried again beside it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::list::{Format, List, Row};
use crate::shell::cli::Failure;
use crate::shell::config::import::Import;

/// Request-ids remembered: about 50 MiB.
const REMEMBERED_MAX: usize = 1_000_000;
/// Stands for the line of a row that is tried again: it was told before.
pub const BESIDE_LINE: u64 = 0;

/// Where the earlier rows of a request-id begin, in bytes of the list.
struct Earlier {
    first: u64,
    /// The first that brought a gateway order number later.
    amending: Option<NonZeroU64>,
}

pub struct Rehearsal {
    /// By hash: two ids under one are harmless, as what is tried without need is not counted.
    seen: HashMap<u64, Earlier>,
    hasher: RandomState,
    /// The list once more, to read earlier rows again.
    list: List,
    /// The first line that was not remembered, or not tried beside an earlier one.
    pub alone_from: Option<u64>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    merchant: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default)]
    gateway_order_number: Option<&'a RawValue>,
}

/// `None`: the row names no request, and is refused anyway.
fn named(row: &Row) -> Option<Named<'_>> {
    serde_json::from_str(row.read.as_ref().ok()?.get()).ok()
}

impl Rehearsal {
    pub fn open(path: &Path, format: Format, import: &Import) -> Result<Rehearsal, Failure> {
        let list = List::open(path, format, import)?;
        Ok(Rehearsal { seen: HashMap::new(), hasher: RandomState::new(), list, alone_from: None })
    }

    /// The rows of earlier batches under the row's request-id that were taken, as the file has them.
    pub fn earlier(&mut self, row: &Row) -> Result<Vec<Row>, Failure> {
        let Some(named) = named(row) else { return Ok(Vec::new()) };
        let Some(earlier) = self.seen.get(&self.key(&named)) else { return Ok(Vec::new()) };
        let places = [Some(earlier.first), earlier.amending.map(NonZeroU64::get)];
        let rows = places.into_iter().flatten().map(|place| self.list.row_at(place));
        rows.filter_map(|row| Some(row.transpose()?.map(|row| Row { line: BESIDE_LINE, ..row }))).collect()
    }

    /// Remembers a row that would be taken.
    pub fn remember(&mut self, row: &Row) {
        let Some(named) = named(row) else { return };
        let key = self.key(&named);
        let is_full = self.seen.len() >= REMEMBERED_MAX;
        match self.seen.get_mut(&key) {
            Some(earlier) if named.gateway_order_number.is_some() => {
                earlier.amending = earlier.amending.or(NonZeroU64::new(row.at));
            }
            Some(_) => {}
            None if !is_full => {
                self.seen.insert(key, Earlier { first: row.at, amending: None });
            }
            None => self.is_alone(row),
        }
    }

    /// Notes a row that can't be compared with all the others.
    pub fn is_alone(&mut self, row: &Row) {
        self.alone_from.get_or_insert(row.line);
    }

    fn key(&self, named: &Named) -> u64 {
        self.hasher.hash_one((&named.merchant, &named.request_id))
    }
}
