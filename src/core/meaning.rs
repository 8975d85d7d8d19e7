//! What one transaction means for the books: the table of "what counts as money".
//!
//! Every (type, state, method) maps to exactly one [`Meaning`]. What the table does not know is
//! [`Meaning::Unknown`]: it moves nothing, keeps its payment open, and is told to a person.
//!
//! Sources: fact sheet wpg c.2 to c.5 (types, synchronous success, finality), checkout c.2 (states of
//! payments and credits).

use serde::{Deserialize, Serialize};

use crate::core::message::{Dialect, Transaction};
use crate::core::status_code::Class;
use crate::core::transaction_type::{Direction, transaction_type};

/// What a transaction does to the shop's money.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// A mere step: a redirect issued, a check made, an order object without money. Something may follow.
    Step,
    /// The gateway has not decided.
    Pending,
    /// `failed` only because a provider was silent, or because the request-id was used before: no outcome at all.
    Silence,
    /// The gateway decided against it.
    Failed,
    /// The payer called it off.
    CalledOff,
    /// `checkout` SUCCESS alone: assured by the gateway, not yet seen in its books.
    Accepted,
    /// The payer's money is held.
    Reserved,
    /// A hold was given back.
    Released,
    /// Money came, and may still be taken back by the way it came (SEPA, before the day-end closing).
    InProvisional,
    /// Money came.
    In,
    /// The shop gave money back.
    Refund,
    /// The bank took money back.
    Return,
    /// The payer's card scheme took money back.
    Chargeback,
    /// Money paid out without relation to what came in.
    Credit,
    /// The object stands for nothing any more: a lapsed approval, a voided credit.
    Gone,
    /// A type or state nobody documented.
    Unknown,
}

impl Meaning {
    /// Whether this moves or holds money, and so belongs in the ledger.
    pub fn is_money(self) -> bool {
        match self {
            Meaning::Accepted
            | Meaning::Reserved
            | Meaning::Released
            | Meaning::InProvisional
            | Meaning::In
            | Meaning::Refund
            | Meaning::Return
            | Meaning::Chargeback
            | Meaning::Credit => true,
            Meaning::Step
            | Meaning::Pending
            | Meaning::Silence
            | Meaning::Failed
            | Meaning::CalledOff
            | Meaning::Gone
            | Meaning::Unknown => false,
        }
    }

    /// Money that is the shop's or held for it.
    pub fn is_income(self) -> bool {
        matches!(self, Meaning::Accepted | Meaning::Reserved | Meaning::InProvisional | Meaning::In)
    }

    /// In or provisionally in.
    pub fn is_in(self) -> bool {
        matches!(self, Meaning::InProvisional | Meaning::In)
    }
}

/// Methods whose `debit` can be returned by the payer's bank for up to 13 months.
const RETURNABLE: [&str; 1] = ["sepadirectdebit"];

/// What a transaction means, by the dialect it came in. `method` is the payment's method, used where
/// the transaction itself names none.
pub fn meaning(dialect: Dialect, transaction: &Transaction, method: Option<&str>) -> Meaning {
    match dialect {
        Dialect::Wpg => of_wpg(transaction, method),
        Dialect::Checkout => of_checkout(transaction),
    }
}

fn of_wpg(transaction: &Transaction, method: Option<&str>) -> Meaning {
    let name = transaction.transaction_type.as_deref().unwrap_or("");
    let Some(known) = transaction_type(name) else { return Meaning::Unknown };
    match transaction.transaction_state.as_deref() {
        Some("success") => {}
        Some("failed") => return of_failure(transaction),
        Some("in-progress") => return Meaning::Pending,
        _ => return Meaning::Unknown,
    }
    let is_test = transaction.statuses.iter().any(|s| s.class() == Some(Class::TestMode));
    if transaction.redirect_only || is_test {
        return Meaning::Step;
    }
    let method = transaction.payment_methods.first().map(String::as_str).or(method).unwrap_or("");
    match known.direction {
        Direction::None if name.starts_with("pending-") || name == "refund-request" => Meaning::Pending,
        // A hold of nothing, to use the card later: the amount is 0, the answer is final.
        Direction::None if name == "authorization-only" => Meaning::Reserved,
        Direction::None => Meaning::Step,
        // A wire transfer's authorization announces money, a SEPA one only checks data (fact sheet wpg c.3).
        Direction::Reserve if method == "wiretransfer" => Meaning::Pending,
        Direction::Reserve if RETURNABLE.contains(&method) => Meaning::Step,
        Direction::Reserve => Meaning::Reserved,
        Direction::Release => Meaning::Released,
        Direction::In if RETURNABLE.contains(&method) && name == "debit" => Meaning::InProvisional,
        Direction::In => Meaning::In,
        Direction::Out => way_out(name),
        Direction::UndoVoid => undone_void(name),
    }
}

fn way_out(name: &str) -> Meaning {
    if name.ends_with("-return") {
        Meaning::Return
    } else if name.contains("-cb") || name == "adjustment-dr" {
        Meaning::Chargeback
    } else if matches!(name, "credit" | "original-credit" | "standalone-refund") {
        Meaning::Credit
    } else {
        Meaning::Refund
    }
}

/// A reversed void puts back what the void gave back.
fn undone_void(name: &str) -> Meaning {
    match name {
        "reversal-void-auth" => Meaning::Reserved,
        "reversal-void-capture"
        | "reversal-void-capt-final-auth"
        | "reversal-void-capt-preauth"
        | "reversal-void-purchase"
        | "reversal-void-off-purchase" => Meaning::In,
        "reversal-void-credit"
        | "reversal-void-refund-capture"
        | "reversal-void-refund-off-purch"
        | "reversal-void-refund-purchase"
        | "reversal-void-st-refund" => Meaning::Refund,
        _ => Meaning::Unknown,
    }
}

fn of_failure(transaction: &Transaction) -> Meaning {
    let classes = || transaction.statuses.iter().filter_map(|s| s.class());
    #[cfg(planted)]
    if crate::planted::is("silence-is-failure") {
        return Meaning::Failed;
    }
    // A duplicate request-id (400.1018) refuses the repeat and says that an earlier submit arrived.
    if classes().any(Class::is_provider_silence) || transaction.is_refused_repeat() {
        Meaning::Silence
    } else if classes().any(|c| c == Class::ConsumerCancelled) {
        Meaning::CalledOff
    } else {
        Meaning::Failed
    }
}

/// Error code of `checkout` for "aborted by the consumer" (fact sheet checkout g).
const ABORTED_BY_CONSUMER: &str = "20021";

fn of_checkout(transaction: &Transaction) -> Meaning {
    let kind = transaction.transaction_type.as_deref().unwrap_or("");
    let state = transaction.transaction_state.as_deref().unwrap_or("");
    let unassured = transaction.custom_fields.get("securityCriteria").is_some_and(|v| v == "0");
    match (kind, state) {
        ("confirmation", "SUCCESS") if unassured => Meaning::Pending,
        ("confirmation", "SUCCESS") => Meaning::Accepted,
        ("confirmation", "PENDING") => Meaning::Pending,
        ("payment", "payment_approved") => Meaning::Reserved,
        ("payment", "payment_deposited") => Meaning::InProvisional,
        ("payment", "payment_closed") => Meaning::In,
        ("payment", "payment_approvalexpired") => Meaning::Gone,
        ("credit", "credit_refunded" | "credit_closed") => Meaning::Refund,
        ("credit", "credit_void") => Meaning::Gone,
        ("order", "ORDERED" | "REFUNDABLE" | "CLOSED") => Meaning::Step,
        ("order", "rejected") => {
            if transaction.statuses.iter().any(|s| s.code == ABORTED_BY_CONSUMER) {
                Meaning::CalledOff
            } else {
                Meaning::Failed
            }
        }
        ("order", "unresolved") => Meaning::Pending,
        _ => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Status;

    fn transaction(kind: &str, state: &str, method: &str, codes: &[&str]) -> Transaction {
        Transaction {
            transaction_type: Some(kind.into()),
            transaction_state: Some(state.into()),
            payment_methods: if method.is_empty() { vec![] } else { vec![method.into()] },
            statuses: codes.iter().map(|c| Status { code: (*c).into(), severity: None }).collect(),
            ..Transaction::default()
        }
    }

    #[test]
    fn what_counts_as_money_at_the_payment_gateway() {
        #[rustfmt::skip]
        let table: &[(&str, &str, &str, &[&str], Meaning)] = &[
            ("purchase", "success", "creditcard", &["201.0000"], Meaning::In),
            ("debit", "success", "sofortbanking", &["201.0000"], Meaning::In),
            ("debit", "success", "sepadirectdebit", &["201.0000"], Meaning::InProvisional),
            ("deposit", "success", "wiretransfer", &[], Meaning::In),
            ("capture-authorization", "success", "klarna-invoice", &["500.1999"], Meaning::In),
            ("authorization", "success", "creditcard", &[], Meaning::Reserved),
            ("authorization", "success", "wiretransfer", &["201.0000", "100.0000"], Meaning::Pending),
            ("authorization", "success", "sepadirectdebit", &[], Meaning::Step),
            ("void-authorization", "success", "creditcard", &[], Meaning::Released),
            ("get-url", "success", "ideal", &[], Meaning::Step),
            ("check-enrollment", "success", "creditcard", &[], Meaning::Step),
            ("pending-debit", "success", "sepadirectdebit", &[], Meaning::Pending),
            ("refund-request", "success", "przelewy24", &[], Meaning::Pending),
            ("refund-purchase", "success", "creditcard", &[], Meaning::Refund),
            ("void-purchase", "success", "creditcard", &[], Meaning::Refund),
            ("debit-return", "success", "sepadirectdebit", &["201.0005"], Meaning::Return),
            ("first-cb", "success", "creditcard", &[], Meaning::Chargeback),
            ("credit", "success", "sepacredit", &[], Meaning::Credit),
            ("reversal-void-auth", "success", "creditcard", &[], Meaning::Reserved),
            ("purchase", "success", "creditcard", &["100.5555"], Meaning::Step),
            ("purchase", "failed", "creditcard", &["500.1061"], Meaning::Failed),
            ("purchase", "failed", "creditcard", &["500.1051"], Meaning::Silence),
            ("debit", "failed", "sepadirectdebit", &["500.1102"], Meaning::Silence),
            ("debit", "failed", "paypal", &["500.1108"], Meaning::CalledOff),
            ("debit", "in-progress", "maybank2u", &[], Meaning::Pending),
            ("debit", "repeated", "eps", &[], Meaning::Unknown),
            ("teleport", "success", "eps", &[], Meaning::Unknown),
        ];
        for (kind, state, method, codes, expected) in table {
            let got = meaning(Dialect::Wpg, &transaction(kind, state, method, codes), None);
            assert_eq!(got, *expected, "{kind} {state} {method} {codes:?}");
        }
        let redirect = Transaction { redirect_only: true, ..transaction("debit", "success", "paypal", &[]) };
        assert_eq!(meaning(Dialect::Wpg, &redirect, None), Meaning::Step);
        let unnamed = transaction("debit", "success", "", &[]);
        assert_eq!(meaning(Dialect::Wpg, &unnamed, Some("sepadirectdebit")), Meaning::InProvisional);
    }

    #[test]
    fn what_counts_as_money_at_the_checkout() {
        #[rustfmt::skip]
        let table = [
            ("confirmation", "SUCCESS", Meaning::Accepted), ("confirmation", "PENDING", Meaning::Pending),
            ("confirmation", "FAILURE", Meaning::Unknown), ("payment", "payment_approved", Meaning::Reserved),
            ("payment", "payment_deposited", Meaning::InProvisional), ("payment", "payment_closed", Meaning::In),
            ("payment", "payment_approvalexpired", Meaning::Gone), ("credit", "credit_refunded", Meaning::Refund),
            ("credit", "credit_void", Meaning::Gone), ("order", "ORDERED", Meaning::Step),
            ("order", "rejected", Meaning::Failed), ("order", "unresolved", Meaning::Pending),
            ("payment", "payment_levitating", Meaning::Unknown),
        ];
        for (kind, state, expected) in table {
            assert_eq!(
                meaning(Dialect::Checkout, &transaction(kind, state, "", &[]), None),
                expected,
                "{kind} {state}"
            );
        }
        let mut sofort = transaction("confirmation", "SUCCESS", "SOFORTUEBERWEISUNG", &[]);
        sofort.custom_fields.insert("securityCriteria".into(), "0".into());
        assert_eq!(meaning(Dialect::Checkout, &sofort, None), Meaning::Pending, "not assured");
    }
}
