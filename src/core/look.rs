//! Asking the gateway about one submission: what is asked, and what kinds of answer there are.

use serde::{Deserialize, Serialize};

use crate::core::message::Transaction;
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, RequestId, TransactionId};
use crate::words::time::{SignedDuration, Timestamp};

/// One question: one request over the wire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Query {
    /// wpg, list form: `/merchants/{maid}/payments/?request_id={rid}` (fact sheet wpg a.2, R3).
    RequestId { merchant_account_id: String, request_id: RequestId },
    /// wpg, single form: `/merchants/{maid}/payments/search?payment.request-id={rid}` (R2).
    Search { merchant_account_id: String, request_id: RequestId },
    /// wpg: `/merchants/{maid}/payments/{transaction-id}` (R1).
    TransactionId { merchant_account_id: String, transaction_id: TransactionId },
    /// wpg: `/merchants/{maid}/payments/?group_transaction_id={root}` (R4).
    Group { merchant_account_id: String, root: TransactionId },
    /// wpg: `/resolver-category/{category}/payments/?request_id={rid}` (R5).
    Category { category: String, request_id: RequestId },
    /// checkout: getOrderDetails.
    OrderDetails { gateway_order_number: GatewayOrderNumber },
}

/// How a question was answered. `Unavailable` and `Refused` say nothing about the payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The gateway knows it; the transactions say what.
    Found,
    /// The gateway says it knows no such id (404; an empty list; `orders=0`).
    NotFound,
    /// Time-out, reset, 5xx, 429, an empty 200, a page where a document belongs, an unreadable body.
    Unavailable { why: String, retry_after: Option<SignedDuration> },
    /// Credentials or rights: 401, 403, 401.1166 and 403.1166 in a body, operator's errors of `checkout`.
    Refused { why: String },
}

/// A question with its answer. Answers are authenticated by TLS and our credentials, so what
/// they state is fact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub query: Query,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub transactions: Vec<Transaction>,
    /// SHA-256 of the body, hex; `None` where none came.
    pub digest: Option<String>,
}

/// What the retriever shall ask now. Read from the store, never carried by a timer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    pub number: PaymentNumber,
    pub merchant: MerchantName,
    pub request_id: RequestId,
    /// Asked in this order. Later ones are asked even where an earlier one found something.
    pub queries: Vec<Query>,
    /// First look of its payment: goes before the backlog.
    pub is_first: bool,
    /// Why now, in words for `explain`.
    pub reason: String,
    /// When it was asked, on the steady clock: what it finds was true then.
    pub asked_at: Timestamp,
}
