//! What the shop sent, or is about to send, to the gateway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, RequestId, TransactionId};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// One request of the shop to the gateway. Unique by merchant and request-id, for ever.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Submission {
    pub merchant: MerchantName,
    pub request_id: RequestId,
    pub order_number: Option<OrderNumber>,
    /// Required for `wpg`; `checkout` has none.
    pub transaction_type: Option<String>,
    pub amount: Amount,
    pub payment_method: Option<String>,
    pub parent_transaction_id: Option<TransactionId>,
    /// `checkout` only; may come later (an amendment).
    pub gateway_order_number: Option<GatewayOrderNumber>,
    /// When the shop says it submitted. Not content: two submissions that differ only here are the same.
    pub submitted_at: Option<Timestamp>,
    pub periodic: Option<String>,
    pub basket: Option<Basket>,
    pub custom_fields: Option<BTreeMap<String, String>>,
    pub resolver_category: Option<String>,
    /// Until when the shop means to capture; past it a hold without capture is an alert.
    pub captures_due: Option<Timestamp>,
}

/// The basket as the shop told it: kept for follow-ups of invoice methods, never interpreted here.
pub type Basket = Vec<BTreeMap<String, String>>;

impl Submission {
    /// Whether the two say the same, apart from `submitted_at` and a gateway order number still missing.
    pub fn same_content(&self, other: &Submission) -> bool {
        let comparable = |s: &Submission| Submission { submitted_at: None, gateway_order_number: None, ..s.clone() };
        let numbers_agree = match (&self.gateway_order_number, &other.gateway_order_number) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (_, None) | (None, Some(_)) => true,
        };
        numbers_agree && comparable(self) == comparable(other)
    }
}
