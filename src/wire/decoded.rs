//! One decoded message as `reconciled decode` prints it, for both dialects.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::core::message::{Authenticity, Message, Periodic, Status, Transaction};
use crate::words::money::StatedAmount;

/// The message as a JSON value. (A `Value` sorts its names; [`decoded_text`] keeps their order.)
pub fn decoded_json(message: &Message) -> Value {
    serde_json::to_value(Decoded::of(message)).expect("names are text and numbers are none")
}

/// The message as one JSON object of several lines, its names in the documented order.
pub fn decoded_text(message: &Message) -> String {
    serde_json::to_string_pretty(&Decoded::of(message)).expect("names are text and numbers are none")
}

#[derive(Serialize)]
struct Decoded<'m> {
    dialect: &'static str,
    format: &'static str,
    authenticity: DecodedAuthenticity<'m>,
    transactions: Vec<DecodedTransaction<'m>>,
    payment_state: Option<&'static str>,
    gateway_order_number: Option<&'m str>,
    custom: &'m BTreeMap<String, String>,
    unverified: &'m BTreeMap<String, String>,
}

#[derive(Serialize)]
struct DecodedAuthenticity<'m> {
    verdict: &'static str,
    scheme: Option<&'static str>,
    covers: &'m [String],
    reason: Option<&'m str>,
}

#[derive(Serialize)]
struct DecodedTransaction<'m> {
    merchant_account_id: Option<&'m str>,
    request_id: Option<&'m str>,
    transaction_id: Option<&'m str>,
    parent_transaction_id: Option<&'m str>,
    group_transaction_id: Option<&'m str>,
    transaction_type: Option<&'m str>,
    transaction_state: Option<&'m str>,
    amount: Option<DecodedAmount>,
    order_number: Option<&'m str>,
    payment_methods: &'m [String],
    completed_at: Option<String>,
    statuses: &'m [Status],
    custom_fields: &'m BTreeMap<String, String>,
    periodic: Option<&'m Periodic>,
    redirect_only: bool,
}

#[derive(Serialize)]
struct DecodedAmount {
    value: String,
    currency: Option<&'static str>,
}

impl From<StatedAmount> for DecodedAmount {
    fn from(amount: StatedAmount) -> Self {
        DecodedAmount { value: amount.value_text(), currency: amount.currency.map(|c| c.code()) }
    }
}

impl<'m> Decoded<'m> {
    fn of(message: &'m Message) -> Decoded<'m> {
        let authenticity = &message.authenticity;
        let (covers, reason) = match authenticity {
            Authenticity::Verified { covers, .. } => (covers.as_slice(), None),
            Authenticity::Refuted { reason, .. } => (&[][..], Some(reason.as_str())),
            Authenticity::Unverifiable { reason, .. } => (&[][..], reason.as_deref()),
        };
        Decoded {
            dialect: message.dialect.name(),
            format: message.format.name(),
            authenticity: DecodedAuthenticity {
                verdict: authenticity.verdict(),
                scheme: authenticity.scheme().map(|s| s.name()),
                covers,
                reason,
            },
            transactions: message.transactions.iter().map(DecodedTransaction::of).collect(),
            payment_state: message.payment_state.map(|s| s.name()),
            gateway_order_number: message.gateway_order_number.as_deref(),
            custom: &message.custom,
            unverified: &message.unverified,
        }
    }
}

impl<'m> DecodedTransaction<'m> {
    fn of(t: &'m Transaction) -> DecodedTransaction<'m> {
        DecodedTransaction {
            merchant_account_id: t.merchant_account_id.as_deref(),
            request_id: t.request_id.as_deref(),
            transaction_id: t.transaction_id.as_deref(),
            parent_transaction_id: t.parent_transaction_id.as_deref(),
            group_transaction_id: t.group_transaction_id.as_deref(),
            transaction_type: t.transaction_type.as_deref(),
            transaction_state: t.transaction_state.as_deref(),
            amount: t.amount.map(DecodedAmount::from),
            order_number: t.order_number.as_deref(),
            payment_methods: &t.payment_methods,
            completed_at: t.completed_at.map(|at| at.to_string()),
            statuses: &t.statuses,
            custom_fields: &t.custom_fields,
            periodic: t.periodic.as_ref(),
            redirect_only: t.redirect_only,
        }
    }
}
