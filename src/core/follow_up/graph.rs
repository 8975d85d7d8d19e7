//! The follow-up graph of the Wirecard Payment Gateway (fact sheet wpg c.3): which types may follow which, by method.

use crate::core::operation::Kind;
use crate::core::transaction_type::{Direction, TransactionType, transaction_type};

/// How methods group in the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Card,
    PayPal,
    SepaDebit,
    SepaCredit,
    WireTransfer,
    Invoice,
    Klarna,
    Paysafecard,
    /// A refund is a payout by `sepacredit` with the debit as its parent (cross-referencing).
    CrossRefund,
    /// A refund is asked for, and decided later.
    RefundRequest,
    /// A refund is a `refund-debit`.
    RefundDebit,
    Alipay,
    Voucher,
}

/// The family of a method; `None`: no page we have speaks of it.
pub fn family(method: &str) -> Option<Family> {
    Some(match method {
        "creditcard" | "maestro" | "masterpass" | "paylib" | "visa-checkout" | "apple-pay" | "google-pay" => {
            Family::Card
        }
        "paypal" => Family::PayPal,
        "sepadirectdebit" => Family::SepaDebit,
        "sepacredit" => Family::SepaCredit,
        "wiretransfer" => Family::WireTransfer,
        "ratepay-invoice" | "ratepay-install" | "ratepay-elv" | "payolution-inv" | "payolution-b2b"
        | "wd-payment-invoice" => Family::Invoice,
        method if method.starts_with("klarna-") => Family::Klarna,
        "paysafecard" => Family::Paysafecard,
        "sofortbanking" | "eps" | "giropay" | "ideal" => Family::CrossRefund,
        "p24" | "przelewy24" | "zapp" | "paydirekt" | "wechat-qrpay" => Family::RefundRequest,
        "bancontact" | "trustly" => Family::RefundDebit,
        "alipay-xborder" => Family::Alipay,
        "voucher" => Family::Voucher,
        _ => return None,
    })
}

/// One edge: what a parent type may be followed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    pub kind: Kind,
    pub child: &'static str,
    /// Another method than the parent's.
    pub method: Option<&'static str>,
    /// Less than all of it may be asked for.
    pub is_divisible: bool,
}

/// The edges out of a transaction of one family and type.
pub fn edges(family: Family, parent: &str) -> impl Iterator<Item = Edge> + '_ {
    let row = |row: &Row| Edge { kind: row.2, child: row.3, method: row.4, is_divisible: row.5 };
    EDGES.iter().filter(move |edge| edge.0 == family && edge.1 == parent).map(row)
}

/// The kind a child type is, whatever its parent: for follow-ups that the shop sent itself, and those of methods no
/// edge leads from. `None`: it moves nothing, is the gateway's own, or undoes a void.
pub fn kind_of(child: &str) -> Option<Kind> {
    let edge = EDGES.iter().find(|edge| edge.3 == child).map(|edge| edge.2);
    edge.or_else(|| by_direction(transaction_type(child).filter(|of| !of.by_gateway)?))
}

/// The kind of a type that no edge leads to, by what it does to the money of its parent.
fn by_direction(of: TransactionType) -> Option<Kind> {
    let undoes = ["void-", "reversal-", "revoke-"].iter().any(|prefix| of.name.starts_with(prefix));
    match of.direction {
        Direction::None | Direction::Reserve | Direction::UndoVoid => None,
        Direction::Release => Some(Void),
        Direction::In | Direction::Out if undoes => Some(Void),
        Direction::In => Some(Capture),
        Direction::Out if of.name.contains("credit") => Some(Credit),
        Direction::Out => Some(Refund),
    }
}

/// Family, parent, kind, child, method of the child where it is another, divisible.
type Row = (Family, &'static str, Kind, &'static str, Option<&'static str>, bool);

const SEPA_CREDIT: Option<&str> = Some("sepacredit");
const SEPA_DEBIT: Option<&str> = Some("sepadirectdebit");

use Family::*;
use Kind::{Capture, Credit, Recur, Refund, Void};

#[rustfmt::skip]
const EDGES: &[Row] = &[
    (Card, "authorization", Capture, "capture-authorization", None, true),
    (Card, "authorization", Void, "void-authorization", None, false),
    (Card, "authorization", Recur, "referenced-authorization", None, true),
    (Card, "referenced-authorization", Capture, "capture-authorization", None, true),
    (Card, "referenced-authorization", Void, "void-authorization", None, false),
    (Card, "authorization-supplementary", Capture, "capture-authorization", None, true),
    (Card, "authorization-supplementary", Void, "void-auth-supplementary", None, false),
    (Card, "authorization-only", Recur, "referenced-purchase", None, true),
    (Card, "preauthorization", Capture, "capture-preauthorization", None, true),
    (Card, "preauthorization", Void, "void-preauthorization", None, false),
    (Card, "final-authorization", Capture, "capture-final-auth", None, true),
    (Card, "final-authorization", Void, "void-final-authorization", None, false),
    (Card, "capture-authorization", Void, "void-capture", None, false),
    (Card, "capture-authorization", Refund, "refund-capture", None, true),
    (Card, "capture-preauthorization", Void, "void-capture-preauthorization", None, false),
    (Card, "capture-preauthorization", Refund, "refund-capture", None, true),
    (Card, "capture-final-auth", Void, "void-capture-final-auth", None, false),
    (Card, "capture-final-auth", Refund, "refund-capture", None, true),
    (Card, "purchase", Void, "void-purchase", None, false),
    (Card, "purchase", Refund, "refund-purchase", None, true),
    (Card, "purchase", Credit, "credit", None, true),
    (Card, "purchase", Recur, "referenced-purchase", None, true),
    (Card, "referenced-purchase", Void, "void-purchase", None, false),
    (Card, "referenced-purchase", Refund, "refund-purchase", None, true),
    (Card, "refund-capture", Void, "void-refund-capture", None, false),
    (Card, "refund-purchase", Void, "void-refund-purchase", None, false),
    (Card, "credit", Void, "void-credit", None, false),
    (Card, "original-credit", Void, "void-original-credit", None, false),
    (PayPal, "authorization", Capture, "capture-authorization", None, true),
    (PayPal, "authorization", Void, "void-authorization", None, false),
    (PayPal, "capture-authorization", Refund, "refund-capture", None, true),
    (PayPal, "debit", Refund, "refund-debit", None, true),
    (PayPal, "debit", Recur, "debit", None, true),
    (PayPal, "authorization-only", Recur, "debit", None, true),
    (SepaDebit, "pending-debit", Void, "void-pending-debit", None, false),
    (SepaDebit, "debit", Refund, "credit", SEPA_CREDIT, true),
    (SepaDebit, "debit", Recur, "debit", None, true),
    (SepaCredit, "pending-credit", Void, "void-pending-credit", None, false),
    (WireTransfer, "authorization", Void, "void-authorization", None, false),
    (WireTransfer, "deposit", Refund, "credit", SEPA_CREDIT, true),
    (Invoice, "authorization", Capture, "capture-authorization", None, true),
    (Invoice, "authorization", Void, "void-authorization", None, true),
    (Invoice, "authorization", Credit, "credit", None, true),
    (Invoice, "capture-authorization", Refund, "refund-capture", None, true),
    (Klarna, "authorization", Capture, "capture-authorization", None, true),
    (Klarna, "authorization", Void, "void-authorization", None, false),
    (Klarna, "capture-authorization", Refund, "refund-capture", None, true),
    (Paysafecard, "authorization", Capture, "capture-authorization", None, true),
    (Paysafecard, "authorization", Void, "void-authorization", None, false),
    (CrossRefund, "debit", Refund, "credit", SEPA_CREDIT, true),
    (CrossRefund, "debit", Recur, "debit", SEPA_DEBIT, true),
    (RefundRequest, "debit", Refund, "refund-request", None, true),
    (RefundDebit, "debit", Refund, "refund-debit", None, true),
    (Alipay, "debit", Void, "void-debit", None, false),
    (Alipay, "debit", Refund, "refund-debit", None, true),
    (Voucher, "reserve", Capture, "redeem", None, true),
    (Voucher, "reserve", Void, "void-reserve", None, false),
    (Voucher, "redeem", Refund, "cancel-redeem", None, true),
    (Voucher, "cancel-redeem", Void, "void-cancel-redeem", None, false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_leads_from_and_to_a_documented_type_that_shops_may_send() {
        for (_, parent, kind, child, ..) in EDGES {
            assert!(transaction_type(parent).is_some(), "{parent}");
            let child_type = transaction_type(child).unwrap_or_else(|| panic!("{child}"));
            // Of the types a shop may send only `refund-request` is listed as the gateway's own.
            assert!(!child_type.by_gateway || *child == "refund-request", "{child}");
            assert_eq!(*kind == Void, child.starts_with("void-"), "{parent} to {child}");
        }
    }

    #[test]
    fn no_two_edges_answer_one_question() {
        for (at, a) in EDGES.iter().enumerate() {
            let twin = EDGES[..at].iter().any(|b| (a.0, a.1, a.2) == (b.0, b.1, b.2));
            assert!(!twin, "{a:?}");
        }
    }
}
