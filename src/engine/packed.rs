//! Rows that hold a raw body: a head that says what it is, and the untouched bytes behind it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::books;
use crate::store::{Fault, Table};
use crate::words::id::MerchantName;
use crate::words::time::Now;

/// What is kept with a body until it is judged, and afterwards.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    pub merchant: MerchantName,
    pub way: String,
    pub content_type: Option<String>,
    pub kept: Now,
    /// Ring only: the request-id it names, and why it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// A head and the body in one row: the head's length (u32), itself, the body.
pub fn pack<H: Serialize>(head: &H, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let head = serde_json::to_vec(head).map_err(|why| Fault::Broken(format!("an envelope can't be written: {why}")))?;
    let length = u32::try_from(head.len()).map_err(|_| Fault::Broken("an envelope of 4 GiB".into()))?;
    let mut row = length.to_be_bytes().to_vec();
    row.extend_from_slice(&head);
    row.extend_from_slice(body);
    Ok(row)
}

/// Takes such a row apart.
pub fn unpack<'r, H: DeserializeOwned>(table: Table, key: &[u8], row: &'r [u8]) -> Result<(H, &'r [u8]), Fault> {
    let damaged = |why: &str| Fault::damaged(table, key, why);
    let (length, rest) = row.split_first_chunk::<4>().ok_or_else(|| damaged("shorter than its own length"))?;
    let length = u32::from_be_bytes(*length) as usize;
    let (head, body) = rest.split_at_checked(length).ok_or_else(|| damaged("shorter than its envelope"))?;
    Ok((books::parse(table, key, head)?, body))
}
