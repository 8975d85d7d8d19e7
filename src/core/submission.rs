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

/// Who told us of a submission.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Teller {
    /// The shop itself, as it submits: over HTTP, by the spool.
    #[default]
    Shop,
    /// A list of what the shop submitted some time ago.
    Import,
    /// The recording proxy, which saw the request on its way to the gateway.
    Proxy,
}

impl Teller {
    pub fn is_shop(&self) -> bool {
        *self == Teller::Shop
    }
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

    /// A submission seen on its way, with what only one of the two states made equal to `first`: a request on the
    /// wire need not say all that a shop tells, and a shop need not tell all that stands in its request.
    pub fn seen_beside(self, first: &Submission) -> Submission {
        fn both<T: Clone>(seen: Option<T>, first: &Option<T>) -> Option<T> {
            first.as_ref().map(|first| seen.unwrap_or_else(|| first.clone()))
        }
        Submission {
            order_number: both(self.order_number, &first.order_number),
            transaction_type: both(self.transaction_type, &first.transaction_type),
            payment_method: both(self.payment_method, &first.payment_method),
            parent_transaction_id: both(self.parent_transaction_id, &first.parent_transaction_id),
            periodic: both(self.periodic, &first.periodic),
            basket: both(self.basket, &first.basket),
            custom_fields: both(self.custom_fields, &first.custom_fields),
            resolver_category: both(self.resolver_category, &first.resolver_category),
            captures_due: both(self.captures_due, &first.captures_due),
            ..self
        }
    }

    /// This submission with what it lacks and `more`, which contradicts it nowhere, states.
    pub fn filled_by(&self, more: Submission) -> Submission {
        fn first<T: Clone>(ours: &Option<T>, more: Option<T>) -> Option<T> {
            ours.clone().or(more)
        }
        Submission {
            order_number: first(&self.order_number, more.order_number),
            transaction_type: first(&self.transaction_type, more.transaction_type),
            payment_method: first(&self.payment_method, more.payment_method),
            parent_transaction_id: first(&self.parent_transaction_id, more.parent_transaction_id),
            gateway_order_number: first(&self.gateway_order_number, more.gateway_order_number),
            periodic: first(&self.periodic, more.periodic),
            basket: first(&self.basket, more.basket),
            custom_fields: first(&self.custom_fields, more.custom_fields),
            resolver_category: first(&self.resolver_category, more.resolver_category),
            captures_due: first(&self.captures_due, more.captures_due),
            ..self.clone()
        }
    }
}
