//! The relay's rows: messages that wait with their bodies, the order within one request-id, what is due, what is
//! counted. Not made again from the journal: they hold what the shop was not given yet.

use serde::{Deserialize, Serialize};

use crate::core::relay::Attempt;
use crate::engine::books;
use crate::engine::digest::digest;
use crate::store::{Draft, Fault, Table, View, prefix_end};
use crate::words::id::{MerchantName, PaymentNumber};
use crate::words::time::{Now, Timestamp};

/// Rows of `Table::Meta`, by merchant account: what waits.
const BACKLOG: &str = "relay/";

/// What is kept with a waiting body.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub line: Option<String>,
    pub payment: Option<PaymentNumber>,
    pub digest: String,
    pub content_type: Option<String>,
    pub kept: Now,
    pub attempts: u32,
    /// Steady time before which it is not tried again.
    pub not_before: Timestamp,
    pub last: Option<Attempt>,
    /// Length of the body, which lies in a row of its own: whoever only counts, plans or lists must not read it.
    /// `None`: an earlier version kept it, in the row of this head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Waiting {
    /// Length of the body; `inline`: what stands behind this head in its row.
    pub fn size(&self, inline: &[u8]) -> u64 {
        self.bytes.unwrap_or(inline.len() as u64)
    }

    /// No submission stands behind it, and the shop refused it for what it is.
    pub fn is_refused_stranger(&self) -> bool {
        self.payment.is_none() && self.last.as_ref().is_some_and(Attempt::is_about_the_message)
    }

    /// Whether a person is told where it waits for long: it is about a payment, or shows that the shop is not there.
    /// Without either it is a stranger's, and he must not be able to wake anybody.
    pub fn concerns_a_person(&self) -> bool {
        self.payment.is_some() || self.last.as_ref().is_some_and(|last| !last.is_about_the_message())
    }
}

/// What waits for one account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Backlog {
    pub messages: u64,
    pub bytes: u64,
    /// Of requests nobody submitted, since the last journal record about them.
    pub accepted: u64,
    pub lost: u64,
    /// Refused by the shop until they were old.
    #[serde(default)]
    pub refused: u64,
}

/// What goes first.
#[derive(Clone, Copy)]
pub(super) enum Rank {
    Known = 0,
    Other = 1,
}

fn rank(waiting: &Waiting) -> Rank {
    if waiting.payment.is_some() { Rank::Known } else { Rank::Other }
}

/// What the shop is told as the message's id. The digest keeps it apart from one that had the same number in books
/// that were lost and restored from an older copy.
pub(super) fn id(number: u64, digest: &str) -> String {
    format!("relay-{number}-{}", digest.get(..16).unwrap_or(digest))
}

pub(super) fn ms(at: Timestamp) -> u64 {
    at.as_millisecond().max(0).unsigned_abs()
}

pub(super) fn numbered(mut prefix: Vec<u8>, number: u64) -> Vec<u8> {
    prefix.extend_from_slice(&number.to_be_bytes());
    prefix
}

pub(super) fn row_key(merchant: &MerchantName, number: u64) -> Vec<u8> {
    numbered(books::text_key(merchant, ""), number)
}

/// The keys of the messages of one line; `None`: it stands for itself.
pub(super) fn line_prefix(merchant: &MerchantName, waiting: &Waiting) -> Option<Vec<u8>> {
    let line = waiting.line.as_ref()?;
    let mut prefix = books::text_key(merchant, &digest(line.as_bytes()));
    prefix.push(0);
    Some(prefix)
}

pub(super) fn due_prefix(merchant: &MerchantName, rank: Rank) -> Vec<u8> {
    let mut key = books::text_key(merchant, "");
    key.push(rank as u8);
    key
}

pub(super) fn due_key(merchant: &MerchantName, waiting: &Waiting, number: u64) -> Vec<u8> {
    let mut key = due_prefix(merchant, rank(waiting));
    key.extend_from_slice(&ms(waiting.not_before).to_be_bytes());
    numbered(key, number)
}

pub(super) fn number_in(table: Table, key: &[u8]) -> Result<u64, Fault> {
    let (_, number) =
        key.split_last_chunk::<8>().ok_or_else(|| Fault::damaged(table, key, "the key is shorter than its number"))?;
    Ok(u64::from_be_bytes(*number))
}

/// The steady time in a key of [`due_key`], in milliseconds.
pub(super) fn not_before_in(table: Table, key: &[u8]) -> Result<u64, Fault> {
    let at = key.split_last_chunk::<8>().and_then(|(rest, _)| rest.split_last_chunk::<8>());
    let (_, at) = at.ok_or_else(|| Fault::damaged(table, key, "the key is shorter than its time"))?;
    Ok(u64::from_be_bytes(*at))
}

/// A row that another one names: it must be there.
pub(super) fn at(view: &dyn View, key: &[u8]) -> Result<Vec<u8>, Fault> {
    view.get(Table::Relay, key)?.ok_or_else(|| Fault::damaged(Table::Relay, key, "named, and missing"))
}

/// The body of a waiting message; `inline`: what stands behind its head.
pub(super) fn body_of(view: &dyn View, key: &[u8], waiting: &Waiting, inline: &[u8]) -> Result<Vec<u8>, Fault> {
    let Some(bytes) = waiting.bytes else { return Ok(inline.to_vec()) };
    let damaged = |why: &str| Fault::damaged(Table::RelayBodies, key, why);
    let body = view.get(Table::RelayBodies, key)?.ok_or_else(|| damaged("named, and missing"))?;
    if body.len() as u64 != bytes {
        return Err(damaged("not as long as its head says"));
    }
    Ok(body)
}

pub(super) fn backlog_key(merchant: &MerchantName) -> Vec<u8> {
    format!("{BACKLOG}{merchant}").into_bytes()
}

pub(super) fn backlog(view: &dyn View, merchant: &MerchantName) -> Result<Backlog, Fault> {
    Ok(books::read(view, Table::Meta, &backlog_key(merchant))?.unwrap_or_default())
}

pub(super) fn put_backlog(draft: &mut Draft, merchant: &MerchantName, backlog: Backlog) -> Result<(), Fault> {
    books::write(draft, Table::Meta, backlog_key(merchant), &backlog)
}

/// The accounts for which something waits or was counted; one that is not configured any more too.
pub(super) fn backlogs(view: &dyn View) -> Result<Vec<(MerchantName, Backlog)>, Fault> {
    /// Accounts of one store; nobody has that many contracts.
    const MERCHANTS_MAX: usize = 10_000;
    let prefix = BACKLOG.as_bytes();
    let rows = view.range(Table::Meta, prefix, &prefix_end(prefix), MERCHANTS_MAX)?;
    rows.iter()
        .map(|(key, row)| {
            let name = key.get(prefix.len()..).and_then(|name| std::str::from_utf8(name).ok());
            let name = name.and_then(|name| MerchantName::new(name).ok());
            let name = name.ok_or_else(|| Fault::damaged(Table::Meta, key, "names no merchant account"))?;
            Ok((name, books::parse(Table::Meta, key, row)?))
        })
        .collect()
}
