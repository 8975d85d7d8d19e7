//! The transaction types of the Wirecard Payment Gateway and which way money moves with each.
//!
//! Source: payment.xsd of the merchant documentation (129 types) and two more that only its pages
//! name; directions of chargebacks, representments and reversals are judgement (fact sheet wpg c.2).

/// Which way a successful transaction of a type moves money, seen from the shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Moves nothing: steps, checks, questions, data.
    None,
    /// Holds the payer's money without taking it.
    Reserve,
    /// Gives a hold back.
    Release,
    /// Money to the shop.
    In,
    /// Money from the shop.
    Out,
    /// Undoes a void: what was given back is held or taken again.
    UndoVoid,
}

/// A transaction type that the documentation knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionType {
    pub name: &'static str,
    pub direction: Direction,
    /// Whether the gateway makes such transactions of its own accord.
    pub by_gateway: bool,
}

/// Looks a type up by its name on the wire. `None` is a type nobody documented: it moves nothing
/// in the books, keeps its payment open and is told to a person.
pub fn transaction_type(name: &str) -> Option<TransactionType> {
    let at = TYPES.binary_search_by(|row| row.0.cmp(name)).ok()?;
    let (name, direction, by_gateway) = TYPES[at];
    Some(TransactionType { name, direction, by_gateway })
}

/// Name, direction, made by the gateway; sorted by name.
#[rustfmt::skip]
const TYPES: &[(&str, Direction, bool)] = &[
    ("account-get", Direction::None, false),
    ("account-update", Direction::None, false),
    ("activation", Direction::None, false),
    ("add-data", Direction::None, false),
    ("adjust-authorization", Direction::Reserve, false),
    ("adjust-capture", Direction::In, false),
    ("adjust-offline-purchase", Direction::In, false),
    ("adjust-purchase", Direction::In, false),
    ("adjustment-cr", Direction::In, true),
    ("adjustment-dr", Direction::Out, true),
    ("authorization", Direction::Reserve, false),
    ("authorization-only", Direction::None, false),
    ("authorization-renewal", Direction::Reserve, false),
    ("authorization-supplementary", Direction::Reserve, false),
    ("auto-sale", Direction::None, false),
    ("batch-upload", Direction::None, false),
    ("calculate-fee", Direction::None, false),
    ("cancel-redeem", Direction::Out, false),
    ("capture-authorization", Direction::In, false),
    ("capture-final-auth", Direction::In, false),
    ("capture-preauthorization", Direction::In, false),
    ("check-enrollment", Direction::None, true),
    ("check-fee", Direction::None, false),
    ("check-payer-response", Direction::None, true),
    ("check-risk", Direction::None, false),
    ("check-signature", Direction::None, true),
    ("credit", Direction::Out, false),
    ("credit-request", Direction::None, false),
    ("credit-return", Direction::In, true),
    ("cutover", Direction::None, false),
    ("debit", Direction::In, false),
    ("debit-return", Direction::Out, true),
    ("debit-return-succ-rep", Direction::In, true),
    ("debit-return-unsucc-rep", Direction::None, true),
    ("deposit", Direction::In, true),
    ("detokenize", Direction::None, false),
    ("echo", Direction::None, false),
    ("enrollment", Direction::None, false),
    ("final-authorization", Direction::Reserve, false),
    ("first-cb", Direction::Out, true),
    ("first-cb-rep", Direction::In, true),
    ("first-cb-succ-rep", Direction::None, true),
    ("first-cb-unsucc-rep", Direction::Out, true),
    ("generate-otp", Direction::None, false),
    ("get-url", Direction::None, true),
    ("message", Direction::None, false),
    ("offline-purchase", Direction::In, false),
    ("order", Direction::None, false),
    ("original-credit", Direction::Out, false),
    ("pending-authorization", Direction::None, true),
    ("pending-authorization-only", Direction::None, false),
    ("pending-credit", Direction::None, true),
    ("pending-debit", Direction::None, true),
    ("pending-purchase", Direction::None, true),
    ("preauthorization", Direction::Reserve, false),
    ("precheckout", Direction::None, false),
    ("purchase", Direction::In, false),
    ("redeem", Direction::In, false),
    ("referenced-authorization", Direction::Reserve, false),
    ("referenced-purchase", Direction::In, false),
    ("refund-capture", Direction::Out, false),
    ("refund-debit", Direction::Out, false),
    ("refund-off-purchase", Direction::Out, false),
    ("refund-purchase", Direction::Out, false),
    ("refund-request", Direction::None, true),
    ("request-checkout", Direction::None, true),
    ("reserve", Direction::Reserve, false),
    ("retrieval-request", Direction::None, true),
    ("retrieval-request-rep", Direction::None, true),
    ("reversal-authorization", Direction::Release, false),
    ("reversal-capture-authorization", Direction::Out, false),
    ("reversal-credit", Direction::In, false),
    ("reversal-debit", Direction::Out, false),
    ("reversal-final-authorization", Direction::Release, false),
    ("reversal-preauthorization", Direction::Release, false),
    ("reversal-purchase", Direction::Out, false),
    ("reversal-refund-capture", Direction::In, false),
    ("reversal-refund-off-purchase", Direction::In, false),
    ("reversal-refund-purchase", Direction::In, false),
    ("reversal-standalone-refund", Direction::In, false),
    ("reversal-void-auth", Direction::UndoVoid, false),
    ("reversal-void-capt-final-auth", Direction::UndoVoid, false),
    ("reversal-void-capt-preauth", Direction::UndoVoid, false),
    ("reversal-void-capture", Direction::UndoVoid, false),
    ("reversal-void-credit", Direction::UndoVoid, false),
    ("reversal-void-off-purchase", Direction::UndoVoid, false),
    ("reversal-void-purchase", Direction::UndoVoid, false),
    ("reversal-void-refund-capture", Direction::UndoVoid, false),
    ("reversal-void-refund-off-purch", Direction::UndoVoid, false),
    ("reversal-void-refund-purchase", Direction::UndoVoid, false),
    ("reversal-void-st-refund", Direction::UndoVoid, false),
    ("revoke-adjust-capture", Direction::Out, false),
    ("revoke-adjust-purchase", Direction::Out, false),
    ("revoke-capture", Direction::Out, false),
    ("revoke-original-credit", Direction::In, false),
    ("revoke-purchase", Direction::Out, false),
    ("revoke-refund", Direction::In, false),
    ("second-cb", Direction::Out, true),
    ("second-cb-rep", Direction::In, true),
    ("second-cb-succ-rep", Direction::None, true),
    ("second-cb-unsucc-rep", Direction::Out, true),
    ("settlement", Direction::None, false),
    ("settlement-close", Direction::None, false),
    ("sign-off", Direction::None, false),
    ("sign-on", Direction::None, false),
    ("standalone-refund", Direction::Out, false),
    ("tc-upload", Direction::None, false),
    ("tokenize", Direction::None, false),
    ("unknown", Direction::None, false),
    ("void-auth-supplementary", Direction::Release, false),
    ("void-authorization", Direction::Release, false),
    ("void-cancel-redeem", Direction::In, false),
    ("void-capture", Direction::Out, false),
    ("void-capture-final-auth", Direction::Out, false),
    ("void-capture-preauthorization", Direction::Out, false),
    ("void-credit", Direction::In, false),
    ("void-debit", Direction::Out, false),
    ("void-final-authorization", Direction::Release, false),
    ("void-offline-purchase", Direction::Out, false),
    ("void-original-credit", Direction::In, false),
    ("void-pending-credit", Direction::None, false),
    ("void-pending-debit", Direction::None, false),
    ("void-preauthorization", Direction::Release, false),
    ("void-purchase", Direction::Out, false),
    ("void-refund", Direction::In, false),
    ("void-refund-capture", Direction::In, false),
    ("void-refund-debit", Direction::In, false),
    ("void-refund-off-purchase", Direction::In, false),
    ("void-refund-purchase", Direction::In, false),
    ("void-reserve", Direction::Release, false),
    ("void-standalone-refund", Direction::In, false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_131_types_can_be_found() {
        assert_eq!(TYPES.len(), 131);
        for row in TYPES {
            assert_eq!(transaction_type(row.0).map(|t| t.direction), Some(row.1), "{}", row.0);
        }
        assert_eq!(transaction_type("no-such-type"), None);
    }

    #[test]
    fn money_goes_the_way_the_fact_sheet_says() {
        for (name, direction) in [
            ("debit", Direction::In),
            ("debit-return", Direction::Out),
            ("pending-debit", Direction::None),
            ("authorization", Direction::Reserve),
            ("void-authorization", Direction::Release),
            ("capture-authorization", Direction::In),
            ("refund-request", Direction::None),
            ("first-cb", Direction::Out),
            ("void-refund-purchase", Direction::In),
        ] {
            assert_eq!(transaction_type(name).map(|t| t.direction), Some(direction), "{name}");
        }
    }
}
