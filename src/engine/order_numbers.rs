//! Which payment a gateway order number (`checkout`) belongs to.

use crate::core::discrepancy::Code;
use crate::core::payment::{HINTED_MAX, Payment};
use crate::core::schedule::Cause;
use crate::engine::settle::{News, Turn};
use crate::engine::{books, settle};
use crate::store::{Draft, Fault};
use crate::words::id::GatewayOrderNumber;

/// Whether a gateway order number is, or now becomes, this payment's to hold.
///
/// A genuine digest stays right when an own id is cut short and the rest moved into the free text
/// behind it (checkout-signatures C4): such a message makes an orphan, which must not keep the number
/// from the payment the shop did submit.
fn may_hold(draft: &mut Draft, turn: Turn, payment: &Payment, gateway: &GatewayOrderNumber) -> Result<bool, Fault> {
    let Some(owner) = books::by_gateway_order(draft, &payment.merchant, gateway.as_str())? else { return Ok(true) };
    if owner == payment.number {
        return Ok(true);
    }
    let mut owner = books::payment_at(draft, owner)?;
    if payment.is_orphan() || !owner.is_orphan() {
        return Ok(false);
    }
    owner.gateway_order_number = owner.gateway_order_number.filter(|held| held != gateway);
    owner.second_orders.retain(|held| held != gateway);
    settle::clear_orphan(draft, turn, &mut owner)?;
    settle::replan(draft, turn, owner)?;
    books::index_gateway_order(draft, &payment.merchant, gateway, payment.number);
    Ok(true)
}

/// A submission came: the numbers that messages named for it before are its own now.
pub(super) fn claim_named(draft: &mut Draft, turn: Turn, payment: &mut Payment) -> Result<(), Fault> {
    let named: Vec<GatewayOrderNumber> =
        payment.gateway_order_number.iter().chain(&payment.second_orders).cloned().collect();
    for gateway in named {
        if !may_hold(draft, turn, payment, &gateway)? {
            payment.second_orders.retain(|held| *held != gateway);
        }
    }
    if payment.gateway_order_number.is_none() && !payment.second_orders.is_empty() {
        payment.gateway_order_number = Some(payment.second_orders.remove(0));
    }
    Ok(())
}

/// Ties a gateway order number to a payment. One bound to another payment is refused; a second one
/// under the same own id is looked at before anything is booked.
pub(super) fn bind(
    draft: &mut Draft,
    turn: Turn,
    payment: &mut Payment,
    gateway: &GatewayOrderNumber,
) -> Result<News, Fault> {
    let now = turn.now;
    if !may_hold(draft, turn, payment, gateway)? {
        // Two orphans name it: which of them the shop submits is not known yet.
        if payment.is_orphan() && !payment.second_orders.contains(gateway) && payment.second_orders.len() < HINTED_MAX {
            payment.second_orders.push(gateway.clone());
        }
        let what =
            format!("a verified message gives it gateway order number {gateway}, which belongs to another payment");
        return Ok(News::Event(Code::OrderNumberTaken, what, None));
    }
    match &payment.gateway_order_number {
        None => payment.gateway_order_number = Some(gateway.clone()),
        Some(bound) if bound == gateway => {}
        Some(_) => {
            if !payment.second_orders.contains(gateway) && payment.second_orders.len() < HINTED_MAX {
                payment.second_orders.push(gateway.clone());
                books::index_gateway_order(draft, &payment.merchant, gateway, payment.number);
            }
            payment.watch.look_soon(now.steady, "a second gateway order number under the same own id", Cause::Other);
        }
    }
    Ok(News::None)
}

/// The shop tells a gateway order number. One that the gateway named before goes on being asked about.
pub(super) fn told_order(payment: &mut Payment, gateway: &GatewayOrderNumber) {
    payment.second_orders.retain(|second| second != gateway);
    if let Some(named) = payment.gateway_order_number.replace(gateway.clone())
        && named != *gateway
        && payment.second_orders.len() < HINTED_MAX
    {
        payment.second_orders.push(named);
    }
}
