//! Which back-end operations the Checkout offers for an order, by payment type (fact sheet checkout b.2, e).

use crate::wire::request::Operation;

/// Whether orders of this payment type can be operated on in this way at all, in capitals as confirmations name it.
///
/// What the table of methods does not name is not held back: there an order's own state decides alone.
pub(super) fn allows(payment_type: &str, operation: Operation) -> bool {
    use Operation::{ApproveReversal, Deposit, DepositReversal, Refund, RefundReversal};
    let changes_an_order = matches!(operation, ApproveReversal | Deposit | DepositReversal | Refund | RefundReversal);
    let offered: &[Operation] = match payment_type {
        // Their money goes back by transferFund only.
        "SOFORTUEBERWEISUNG" | "SOFORTBANKING" | "SOFORT" | "SUE" | "IDL" | "IDEAL" => &[],
        "SEPA-DD" => &[DepositReversal],
        "EPS" | "GIROPAY" | "PRZELEWY24" => &[],
        "PAYPAL" => &[Refund],
        "PSC" => &[ApproveReversal, Deposit],
        "INVOICE" | "INSTALLMENT" => &[ApproveReversal, Deposit, Refund],
        _ => return true,
    };
    !changes_an_order || offered.contains(&operation)
}

/// Whether deposits and refunds of this payment type name the goods they are for.
pub(super) fn needs_basket(payment_type: &str) -> bool {
    payment_type == "INVOICE"
}

/// What an order's payment in this state offers, as `operationsAllowed` lists it; empty for nothing.
pub(super) fn offered_for_payment(payment_type: &str, state: &str) -> String {
    let by_state: &[(Operation, &str)] = match state {
        "payment_approved" => &[(Operation::Deposit, "DEPOSIT"), (Operation::ApproveReversal, "APPROVEREVERSAL")],
        "payment_deposited" => &[(Operation::DepositReversal, "DEPOSITREVERSAL")],
        _ => &[],
    };
    let offered = by_state.iter().filter(|(operation, _)| allows(payment_type, *operation));
    offered.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

/// The same of the order itself.
pub(super) fn offered_for_order(payment_type: &str, state: &str) -> &'static str {
    if state == "REFUNDABLE" && allows(payment_type, Operation::Refund) { "REFUND" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_payment_type_offers_what_the_vendors_table_says() {
        for (payment_type, approved, deposited, refundable) in [
            ("CCARD", "DEPOSIT,APPROVEREVERSAL", "DEPOSITREVERSAL", "REFUND"),
            ("INVOICE", "DEPOSIT,APPROVEREVERSAL", "", "REFUND"),
            ("PSC", "DEPOSIT,APPROVEREVERSAL", "", ""),
            ("PAYPAL", "", "", "REFUND"),
            ("SEPA-DD", "", "DEPOSITREVERSAL", ""),
            ("SOFORTUEBERWEISUNG", "", "", ""),
            ("IDL", "", "", ""),
            ("EPS", "", "", ""),
        ] {
            assert_eq!(offered_for_payment(payment_type, "payment_approved"), approved, "{payment_type}");
            assert_eq!(offered_for_payment(payment_type, "payment_deposited"), deposited, "{payment_type}");
            assert_eq!(offered_for_order(payment_type, "REFUNDABLE"), refundable, "{payment_type}");
            assert_eq!(offered_for_order(payment_type, "ORDERED"), "", "{payment_type}");
            assert!(allows(payment_type, Operation::TransferFund) && allows(payment_type, Operation::GetOrderDetails));
        }
    }
}
