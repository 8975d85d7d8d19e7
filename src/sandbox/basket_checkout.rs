//! The basket of a deposit or refund of an invoice (fact sheet checkout b.2, e).

use super::answer_checkout::Sent;
use super::standing_checkout::{BAD_BASKET, NO_BASKET, Refused, refused};
use crate::words::money::{Amount, parse_decimal};

/// What every line must have.
const NEEDED: [&str; 7] =
    ["ArticleNumber", "Quantity", "Name", "UnitGrossAmount", "UnitNetAmount", "UnitTaxAmount", "UnitTaxRate"];
/// Lines of a basket; more are not taken.
const LINES_MAX: u32 = 1000;

/// The number of lines of a basket that is whole and adds up to the amount.
pub(super) fn checked(sent: &Sent<'_>, amount: Amount) -> Result<u32, Refused> {
    let count = sent.field("basketItems").filter(|count| !count.is_empty()).ok_or(refused(NO_BASKET))?;
    let count: u32 = count.parse().ok().filter(|n| (1..=LINES_MAX).contains(n)).ok_or(refused(BAD_BASKET))?;
    let mut sum = Amount::zero(amount.currency());
    for n in 1..=count {
        let part = |name: &str| sent.field(&format!("basketItem{n}{name}")).filter(|text| !text.is_empty());
        if NEEDED.iter().any(|name| part(name).is_none()) {
            return Err(refused(NO_BASKET));
        }
        // Requests may have decimal commas (fact sheet checkout f).
        let number = |name: &str| parse_decimal(&part(name)?.replace(',', ".")).ok();
        let line = number("UnitGrossAmount").zip(number("Quantity")).and_then(|(unit, n)| unit.checked_mul(n));
        let line = line.and_then(|line| Amount::new(line, amount.currency()).ok());
        sum = line.and_then(|line| sum.checked_add(line)).ok_or(refused(BAD_BASKET))?;
    }
    if sum == amount { Ok(count) } else { Err(refused(BAD_BASKET)) }
}
