//! Digests of bodies, and of what a signed message says.

use sha2::{Digest, Sha256};

use crate::core::message::{PaymentState, Transaction};
use crate::core::record::Weight;
use crate::store::Fault;
use crate::words::id::GatewayOrderNumber;

/// SHA-256 in lower-case hex.
pub fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect()
}

/// The digest of what a signed message vouches for. Two messages with one gist are the same news: their bodies
/// may differ in parts that nobody signed, as often as the sender likes.
pub fn gist(
    weight: Weight,
    state: Option<PaymentState>,
    order: Option<&GatewayOrderNumber>,
    transactions: &[Transaction],
) -> Result<String, Fault> {
    let vouched: Vec<Transaction> = match weight {
        Weight::Fact => transactions.to_vec(),
        // Such signatures cover who and what, not how much (fact sheet wpg b.4).
        Weight::SignedHint | Weight::Hint | Weight::Refuted => transactions.iter().map(identity).collect(),
    };
    let said = serde_json::to_vec(&(weight, state, order, vouched))
        .map_err(|why| Fault::Broken(format!("a gist can't be written: {why}")))?;
    Ok(digest(&said))
}

fn identity(transaction: &Transaction) -> Transaction {
    Transaction {
        merchant_account_id: transaction.merchant_account_id.clone(),
        request_id: transaction.request_id.clone(),
        transaction_id: transaction.transaction_id.clone(),
        transaction_type: transaction.transaction_type.clone(),
        transaction_state: transaction.transaction_state.clone(),
        ..Transaction::default()
    }
}
