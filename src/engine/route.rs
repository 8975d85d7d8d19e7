//! Which payment a transaction belongs to.
//!
//! Exact request-id first, then the id without one known suffix, then what we know by transaction-id:
//! cards answer and notify under one id, other methods name the answer's id as parent, follow-ups made
//! elsewhere name the root as group (fact sheet wpg b.5, d.3). The gateway's order number is no key.

use crate::core::account::{Account, Contract};
use crate::core::identity::strip_suffix;
use crate::core::message::Transaction;
use crate::core::policy::Policy;
use crate::engine::books;
use crate::store::{Fault, View};
use crate::words::id::{MerchantName, PaymentNumber};

/// The accounts whose transactions may be about payments of `account`: itself first, then its siblings.
pub fn family<'p>(policy: &'p Policy, account: &'p Account) -> Vec<&'p Account> {
    let siblings = match &account.contract {
        Contract::Wpg(wpg) => wpg.siblings.as_slice(),
        Contract::Checkout(_) => &[],
    };
    std::iter::once(account).chain(siblings.iter().filter_map(|name| policy.accounts.get(name))).collect()
}

/// Whether a `wpg` transaction names a merchant account of this account or of a sibling.
pub fn names_our_account(policy: &Policy, account: &Account, transaction: &Transaction) -> bool {
    let Some(id) = transaction.merchant_account_id.as_deref() else { return false };
    family(policy, account).iter().any(|member| match &member.contract {
        Contract::Wpg(wpg) => wpg.merchant_account_ids.iter().any(|own| own == id),
        Contract::Checkout(checkout) => checkout.customer_id == id,
    })
}

/// The payment a transaction belongs to, if it is one we know. A child of transactions we know belongs
/// to the root of their family: also one that was heard of before them, under a request-id nobody submitted.
pub fn route(
    view: &dyn View,
    policy: &Policy,
    account: &Account,
    transaction: &Transaction,
) -> Result<Option<PaymentNumber>, Fault> {
    let merchants: Vec<&MerchantName> = family(policy, account).iter().map(|a| &a.name).collect();
    let mut orphan = None;
    if let Some(request_id) = transaction.request_id.as_deref() {
        for merchant in &merchants {
            if let Some(number) = books::by_request(view, merchant, request_id)? {
                if !books::payment_at(view, number)?.is_orphan() {
                    return Ok(Some(number));
                }
                orphan = Some(number);
            }
        }
        if let Some(bare) = strip_suffix(request_id) {
            for merchant in &merchants {
                if let Some(number) = books::by_request(view, merchant, bare)? {
                    return Ok(Some(number));
                }
            }
        }
    }
    if let Some(id) = transaction.transaction_id.as_deref() {
        for merchant in &merchants {
            if let Some(number) = books::by_transaction(view, merchant, id)?.filter(|number| orphan != Some(*number)) {
                return Ok(Some(number));
            }
        }
    }
    for id in [&transaction.parent_transaction_id, &transaction.group_transaction_id].into_iter().flatten() {
        for merchant in &merchants {
            if let Some(number) = books::by_transaction(view, merchant, id)? {
                let related = books::payment_at(view, number)?;
                if orphan.is_some() && related.is_orphan() {
                    continue;
                }
                return Ok(Some(related.root.unwrap_or(number)));
            }
        }
    }
    Ok(orphan)
}
