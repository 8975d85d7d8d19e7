//! A dry run of an operation whose order nobody knows: the plan the arguments alone make. It is printed and never sent.

use crate::core::account::{Account, Contract};
use crate::core::follow_up;
use crate::core::operation::{Endpoint, Fund, Kind, Plan, Target, Wish};
use crate::engine::Refusal;
use crate::words::id::GatewayOrderNumber;
use crate::words::money::Amount;

fn refuse(what: &str) -> Refusal {
    Refusal {
        error: format!("nothing is known of the order, and the arguments alone make no request: {what}"),
        field: None,
        hint: None,
    }
}

/// Makes the plan of a wish from its arguments alone.
pub fn plan(accounts: &[&Account], wish: &Wish) -> Result<Plan, Refusal> {
    let account = match &wish.merchant {
        Some(name) => accounts.iter().find(|account| account.name == *name),
        None => {
            // What is said can tell the dialect; one account of it is meant then.
            let of_wpg = wish.transaction.is_some() || wish.transaction_type.is_some();
            let fits = |account: &&&Account| matches!(account.contract, Contract::Wpg(_)) == of_wpg;
            let mut fitting = accounts.iter().filter(fits);
            fitting.next().filter(|_| fitting.next().is_none())
        }
    };
    let account = account.ok_or_else(|| refuse("say which account with --merchant"))?;
    let amount = match (&wish.amount, wish.currency) {
        (None, _) => None,
        (Some(_), None) => return Err(refuse("say the currency with --currency")),
        (Some(value), Some(currency)) => {
            Some(Amount::parse(value, currency.code()).map_err(|why| refuse(&why.to_string()))?)
        }
    };
    let (kind, wire, target) = match &account.contract {
        Contract::Wpg(_) => wpg(wish)?,
        Contract::Checkout(_) => checkout(wish)?,
    };
    let needs_amount = !matches!(kind, Kind::ApproveReversal | Kind::DepositReversal | Kind::RefundReversal);
    if needs_amount && amount.is_none() {
        return Err(refuse("say --amount"));
    }
    // Nothing says that it is an invoice, nor that it is none.
    let is_signed = kind == Kind::Credit && matches!(target, Target::Wpg { .. });
    let means = amount.filter(|_| is_signed).map(follow_up::credit_means);
    Ok(Plan {
        kind,
        merchant: account.name.clone(),
        wire,
        amount: amount.filter(|_| needs_amount),
        payment: None,
        order_number: None,
        target,
        before: Vec::new(),
        checked: Vec::new(),
        means,
    })
}

fn wpg(wish: &Wish) -> Result<(Kind, String, Target), Refusal> {
    let parent = wish.transaction.clone().ok_or_else(|| refuse("name the parent with --transaction"))?;
    let wire = match (&wish.transaction_type, wish.kind) {
        (Some(wire), _) => wire.clone(),
        (None, Kind::Capture) => "capture-authorization".to_owned(),
        (None, Kind::Void) => "void-authorization".to_owned(),
        (None, _) => return Err(refuse("name the transaction type with --type")),
    };
    let target = Target::Wpg {
        parent,
        merchant_account_id: None,
        payment_method: None,
        endpoint: Endpoint::Payments,
        periodic_type: (wish.kind == Kind::Recur).then(|| "recurring".to_owned()),
    };
    Ok((wish.kind, wire, target))
}

fn checkout(wish: &Wish) -> Result<(Kind, String, Target), Refusal> {
    let id = wish.id.as_deref().unwrap_or_default().trim();
    let is_number = !id.is_empty() && id.len() <= 9 && id.bytes().all(|b| b.is_ascii_digit());
    let order = GatewayOrderNumber::new(id).ok().filter(|_| is_number);
    let is_payout = wish.kind == Kind::Transfer && wish.fund != Some(Fund::ExistingOrder);
    if order.is_none() && !is_payout {
        return Err(refuse("give the gateway's order number"));
    }
    let (kind, wire) = match wish.kind {
        Kind::Capture | Kind::Deposit => (Kind::Deposit, "deposit"),
        Kind::Void | Kind::ApproveReversal => (Kind::ApproveReversal, "approveReversal"),
        Kind::DepositReversal => (Kind::DepositReversal, "depositReversal"),
        Kind::RefundReversal => (Kind::RefundReversal, "refundReversal"),
        kind @ (Kind::Refund | Kind::Credit) => (kind, "refund"),
        Kind::Recur => (Kind::Recur, "recurPayment"),
        Kind::Transfer => (Kind::Transfer, "transferFund"),
    };
    let needs_object = matches!(kind, Kind::DepositReversal | Kind::RefundReversal);
    if needs_object && wish.object.is_none() {
        return Err(refuse("name the object with --payment or --credit"));
    }
    Ok((kind, wire.to_owned(), Target::Checkout { order, object: wish.object.clone() }))
}
