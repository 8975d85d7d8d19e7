//! Which fields of a back-end operation its fingerprint covers, and in which order (fact sheet checkout b.2): one list
//! for what we send and for the sandbox that checks it.

/// Stands in the lists for all the fields of a basket.
const BASKET: &str = "basketItems";

/// Fields after the common ones, in an order that fits every operation but transferFund: each has a few of them.
///
/// Where `transactionIdentifier` stands in a refund with a basket is not documented (fact sheet checkout e), and no
/// captured request has both. It is signed behind the basket, as the vendor's page names it: an optional parameter on
/// top of those a refund has anyway. A gateway that orders them otherwise refuses the request, and nothing moves.
#[rustfmt::skip]
const SIGNED: &[&str] = &[
    "orderNumber", "paymentNumber", "creditNumber", "sourceOrderNumber", "autoDeposit", "orderDescription", "amount",
    "currency", "orderReference", "merchantReference", "customerStatement", BASKET, "mandateId",
    "mandateSignatureDate", "creditorId", "dueDate", "transactionIdentifier", "useIbanBic",
    "merchantTokenizationFlag", "periodicType", "paymentType", "transactionType", "bankCountry",
];
/// The same for transferFund, where the source order follows the kind of transfer.
#[rustfmt::skip]
const SIGNED_IN_TRANSFER: &[&str] = &[
    "orderNumber", "creditNumber", "orderDescription", "amount", "currency", "orderReference", "customerStatement",
    "fundTransferType", "sourceOrderNumber", "consumerEmail", "consumerWalletId", "bankAccountOwner", "bankBic",
    "bankAccountIban",
];
/// Fields of one line of a basket.
#[rustfmt::skip]
const LINE: &[&str] = &[
    "ArticleNumber", "Quantity", "Description", "Name", "ImageUrl", "UnitGrossAmount", "UnitNetAmount",
    "UnitTaxAmount", "UnitTaxRate",
];

/// A place in the fingerprint: later fields compare greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    field: usize,
    line: u32,
    part: usize,
}

/// Where a field stands in the fingerprint of a request with these names; `None`: it is not signed.
pub fn place(is_transfer: bool, name: &str) -> Option<Place> {
    let list = if is_transfer { SIGNED_IN_TRANSFER } else { SIGNED };
    let at = |name: &str| list.iter().position(|known| *known == name);
    let whole = |field| Place { field, line: 0, part: 0 };
    at(name).map(whole).or_else(|| {
        let field = at(BASKET)?;
        let (line, part) = line_part(name)?;
        Some(Place { field, line, part })
    })
}

/// The number of a basket's line, from 1, and which of its fields it is.
fn line_part(name: &str) -> Option<(u32, usize)> {
    let rest = name.strip_prefix("basketItem")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (line, part) = rest.split_at_checked(digits)?;
    Some((line.parse().ok().filter(|line| *line > 0)?, LINE.iter().position(|known| *known == part)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basket_lines_stand_by_number_and_part_before_the_transaction_identifier() {
        let mut names = [
            "transactionIdentifier",
            "basketItem10Name",
            "basketItem2UnitTaxRate",
            "basketItem2ArticleNumber",
            "basketItems",
            "merchantReference",
        ];
        names.sort_by_key(|name| place(false, name).expect("signed"));
        names.reverse();
        #[rustfmt::skip]
        assert_eq!(names, [
            "transactionIdentifier", "basketItem10Name", "basketItem2UnitTaxRate", "basketItem2ArticleNumber",
            "basketItems", "merchantReference",
        ]);
        for name in ["consumerIpAddress", "basketItem0Name", "basketItemName", "basketItem1UnitPrice"] {
            assert_eq!(place(false, name), None, "{name}");
        }
        assert!(place(true, "fundTransferType") < place(true, "sourceOrderNumber"));
    }
}
