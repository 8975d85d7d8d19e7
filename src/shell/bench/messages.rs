//! The shop's submissions and the gateway's notifications about them.

use serde_json::json;

use crate::core::message::{Status, Transaction};
use crate::core::submission::Submission;
use crate::wire::wpg::encode;
use crate::words::id::{MerchantName, RequestId};
use crate::words::money::{Amount, StatedAmount};
use crate::words::time::Timestamp;

pub const MERCHANT: &str = "shop-eu";
pub const ACCOUNT: &str = "9abf05c1-c266-46ae-8eac-7f87ca97af28";
pub const CARD: &str = "creditcard";
pub const WIRE_TRANSFER: &str = "wiretransfer";
pub const SECRET: &str = "a-secret-of-the-benchmark-only";

/// Random-looking, as shops' ids are: random keys are what an index finds hard.
pub fn request_id(n: u64) -> String {
    let mixed = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    };
    let (a, b) = (mixed(n.wrapping_add(0x9e37_79b9_7f4a_7c15)), mixed(n.wrapping_mul(3).wrapping_add(7)));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

pub fn amount(n: u64) -> anyhow::Result<Amount> {
    Ok(Amount::parse(&format!("{}.{:02}", 1 + n % 500, n % 100), "EUR")?)
}

pub fn submission(n: u64, method: &str) -> anyhow::Result<Submission> {
    Ok(Submission {
        merchant: MerchantName::new(MERCHANT)?,
        request_id: RequestId::new(&request_id(n))?,
        order_number: Some(crate::words::id::OrderNumber::new(&format!("100{n:07}"))?),
        transaction_type: Some("debit".to_owned()),
        amount: amount(n)?,
        payment_method: Some(method.to_owned()),
        parent_transaction_id: None,
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    })
}

/// The body of `POST /v1/submissions`.
pub fn submission_json(n: u64) -> anyhow::Result<String> {
    Ok(json!({
        "merchant": MERCHANT, "request_id": request_id(n), "order_number": format!("100{n:07}"),
        "transaction_type": "debit", "amount": amount(n)?.value_text(), "currency": "EUR",
        "payment_method": CARD,
    })
    .to_string())
}

/// The successful debit of a request.
pub fn transaction(request_id: &str, amount: Amount, at: Timestamp) -> Transaction {
    Transaction {
        merchant_account_id: Some(ACCOUNT.to_owned()),
        request_id: Some(request_id.to_owned()),
        transaction_id: Some(format!("t{request_id}")),
        transaction_type: Some("debit".to_owned()),
        transaction_state: Some("success".to_owned()),
        amount: Some(StatedAmount { value: amount.value(), currency: Some(amount.currency()) }),
        payment_methods: vec![CARD.to_owned()],
        completed_at: Some(at),
        statuses: vec![Status { code: "201.0000".to_owned(), severity: Some("information".to_owned()) }],
        ..Transaction::default()
    }
}

/// A json-signed notification of it.
pub fn notification(n: u64, at: Timestamp) -> anyhow::Result<String> {
    Ok(encode::json_signed(&transaction(&request_id(n), amount(n)?, at), SECRET))
}
