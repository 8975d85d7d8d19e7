//! Operations that make an order of their own and may be meant twice: charges of one source, payouts of one amount.
//!
//! No chain holds two of them together, so an index does: under the key they share, in numbered slots. A slot is used
//! again once the operation in it is no longer unknown.

use crate::core::operation::Operation;
use crate::engine::books;
use crate::store::{Draft, Fault, View};
use crate::words::id::{MerchantName, PaymentNumber};

/// Operations of one key that are held at once. Each beyond the first was sent by a person who overrode a refusal.
const SLOTS_MAX: usize = 32;

/// No transaction-id has this shape.
fn slot(key: &str, at: usize) -> String {
    format!("repeat:{key} #{at}")
}

fn unknown_in(view: &dyn View, number: PaymentNumber, key: &str) -> Result<Option<Operation>, Fault> {
    let operations = books::payment_at(view, number)?.operations;
    let is_it = |o: &Operation| o.outcome.is_unknown() && o.intent.repeat_key().as_deref() == Some(key);
    Ok(operations.into_iter().find(is_it))
}

/// An operation of the same key whose outcome nobody knows.
pub(super) fn unknown(view: &dyn View, merchant: &MerchantName, key: &str) -> Result<Option<Operation>, Fault> {
    for at in 0..SLOTS_MAX {
        let Some(number) = books::by_transaction(view, merchant, &slot(key, at))? else { return Ok(None) };
        if let Some(operation) = unknown_in(view, number, key)? {
            return Ok(Some(operation));
        }
    }
    Ok(None)
}

/// Puts an operation's payment into the first slot that is free; beyond the last one those before it still block.
pub(super) fn index(draft: &mut Draft, merchant: &MerchantName, key: &str, number: PaymentNumber) -> Result<(), Fault> {
    for at in 0..SLOTS_MAX {
        let slot = slot(key, at);
        let is_taken = match books::by_transaction(draft, merchant, &slot)? {
            Some(held) => unknown_in(draft, held, key)?.is_some(),
            None => false,
        };
        if !is_taken {
            books::index_transaction(draft, merchant, &slot, number);
            break;
        }
    }
    Ok(())
}
