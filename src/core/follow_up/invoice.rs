//! Invoices at the Wirecard Payment Gateway: which methods they are, and what the sign of their `credit` means.

use super::graph::{Family, family};
use crate::words::money::Amount;

/// Whether `credit` of this method changes an invoice, and may therefore be negative (fact sheet wpg c.3, d.1).
pub fn is_invoice(method: &str) -> bool {
    family(method) == Some(Family::Invoice)
}

/// What a credit of this amount does to an invoice by the vendor's page, in words.
///
/// Its process chain has a "reduction with negative amount" and an "adjustment charge with positive amount"; its sample
/// request grants a discount with a positive amount. The sign is therefore open (fact sheet wpg d.1), and whoever sends
/// one must hear so.
pub fn credit_means(amount: Amount) -> String {
    let (sign, what, size, change) = match amount.is_negative() {
        true => ("negative", "a reduction", amount.negated(), "less"),
        false => ("positive", "an adjustment charge", amount, "more"),
    };
    format!(
        "on an invoice a credit with a {sign} amount is {what} by the vendor's process chain: the payer owes {size} \
         {change}. The sign is open, though: the sample on the same page grants a discount with a positive amount (fact \
         sheet wpg d.1). Have the provider confirm it before you send the first one"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_of_a_credit_is_told_as_the_source_has_it() {
        let means = |text: &str| credit_means(Amount::parse(text, "EUR").expect("money"));
        assert!(means("-10").contains("negative amount is a reduction") && means("-10").contains("10.00 EUR less"));
        assert!(
            means("10").contains("positive amount is an adjustment charge") && means("10").contains("10.00 EUR more")
        );
        assert!(means("10").contains("is open") && means("-10").contains("is open"));
    }

    #[test]
    fn invoices_are_those_of_the_follow_up_graph() {
        for (method, expected) in
            [("ratepay-invoice", true), ("payolution-b2b", true), ("creditcard", false), ("klarna-invoice", false)]
        {
            assert_eq!(is_invoice(method), expected, "{method}");
        }
    }
}
