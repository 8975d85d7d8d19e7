//! Which follow-up may be made of which transaction at the Wirecard Payment Gateway (fact sheet wpg c.3), stated here on
//! its own: what checks a rule must not be the rule.

use super::life::{MoveKind, day_end};
use super::life_wpg;
use crate::core::message::Transaction;
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// Why the gateway does not take a follow-up: its status code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refused(pub &'static str);

/// Whether a follow-up of this type may refer to a transaction of that type.
pub(super) fn allows(parent: &str, follow_up: &str) -> bool {
    let allowed: &[&str] = match parent {
        "authorization" | "referenced-authorization" => &[
            "capture-authorization",
            "void-authorization",
            "authorization-supplementary",
            "referenced-authorization",
            "credit",
        ],
        "authorization-supplementary" => &["capture-authorization", "void-auth-supplementary"],
        "authorization-only" => {
            &["authorization", "referenced-authorization", "purchase", "referenced-purchase", "debit"]
        }
        "preauthorization" => &["capture-preauthorization", "void-preauthorization", "authorization", "debit"],
        "final-authorization" => &["capture-final-auth", "void-final-authorization"],
        "capture-authorization" => &["void-capture", "refund-capture"],
        "capture-preauthorization" => &["void-capture", "void-capture-preauthorization", "refund-capture"],
        "capture-final-auth" => &["void-capture", "void-capture-final-auth", "refund-capture"],
        "purchase" | "referenced-purchase" => {
            &["void-purchase", "refund-purchase", "referenced-purchase", "referenced-authorization", "credit"]
        }
        "debit" => &["refund-debit", "void-debit", "debit", "credit"],
        "deposit" => &["credit"],
        "refund-capture" => &["void-refund-capture"],
        "refund-purchase" => &["void-refund-purchase"],
        "credit" => &["void-credit"],
        "original-credit" => &["void-original-credit"],
        "check-enrollment" => &["check-payer-response", "authorization", "purchase"],
        "check-payer-response" => &["authorization", "purchase"],
        _ => &[],
    };
    allowed.contains(&follow_up)
}

/// Whether a follow-up takes from what its parent has left. Recurring and supplementary ones take nothing of it.
fn takes(follow_up: &str) -> bool {
    ["capture-", "void-", "refund-"].iter().any(|prefix| follow_up.starts_with(prefix)) || follow_up == "credit"
}

/// The amount of a follow-up, if the gateway takes it: what the shop asks for, or without an amount all that is left.
///
/// `parent` exists and is the shop's own; `children` are the successful transactions that refer to it.
pub(super) fn amount(
    now: Timestamp,
    parent: &Transaction,
    children: &[Transaction],
    follow_up: &str,
    asked: Option<Amount>,
) -> Result<Amount, Refused> {
    if parent.transaction_state.as_deref() != Some("success") {
        return Err(Refused("400.1022"));
    }
    let parent_type = parent.transaction_type.as_deref().unwrap_or_default();
    if parent.redirect_only || !allows(parent_type, follow_up) {
        return Err(Refused("400.1023"));
    }
    let whole = parent.amount.and_then(|amount| amount.bookable()).ok_or(Refused("400.1023"))?;
    if asked.is_some_and(|asked| asked.currency() != whole.currency()) {
        return Err(Refused("400.1026"));
    }
    if !takes(follow_up) {
        return Ok(asked.unwrap_or(whole));
    }
    // Money that moved can be called back until the day is closed, and refunded afterwards.
    let is_hold = life_wpg::direction(parent_type) == Some(MoveKind::Hold);
    let is_called_back = follow_up.starts_with("void-") && !is_hold;
    if is_called_back && parent.completed_at.is_some_and(|at| day_end(at) <= now) {
        return Err(Refused("500.1057"));
    }
    if is_of_invoice(parent) && follow_up == "credit" {
        return invoice_credit(whole, children, asked);
    }
    // What an invoice was credited with leaves its goods to be delivered.
    let is_own_pot = |t: &&Transaction| is_of_invoice(parent) && t.transaction_type.as_deref() == Some("credit");
    let taken = children.iter().filter(|t| !is_own_pot(t));
    let taken = taken.filter(|t| takes(t.transaction_type.as_deref().unwrap_or_default()));
    let taken = taken.filter_map(|t| t.amount?.bookable());
    let left = taken.map(Amount::negated).try_fold(whole, Amount::checked_add);
    let left = left.filter(|left| !left.is_negative() && !left.is_zero()).ok_or(Refused("400.1027"))?;
    match asked {
        Some(asked) if asked.value() > left.value() => Err(Refused("400.1027")),
        Some(asked) if asked.is_negative() || asked.is_zero() => Err(Refused("400.1013")),
        Some(asked) => Ok(asked),
        None => Ok(left),
    }
}

/// Methods whose `credit` changes the sum of an invoice (fact sheet wpg c.3, d.1).
fn is_of_invoice(parent: &Transaction) -> bool {
    const INVOICES: [&str; 6] =
        ["payolution-b2b", "payolution-inv", "ratepay-elv", "ratepay-install", "ratepay-invoice", "wd-payment-invoice"];
    parent.payment_methods.iter().any(|method| INVOICES.contains(&method.as_str()))
}

/// A reduction or a charge on an invoice, whether its goods are delivered or not. Which sign is which is open: either is
/// taken as it is, and those of one sign stay within the invoice.
fn invoice_credit(whole: Amount, children: &[Transaction], asked: Option<Amount>) -> Result<Amount, Refused> {
    let asked = asked.ok_or(Refused("400.1011"))?;
    if asked.is_zero() {
        return Err(Refused("400.1013"));
    }
    let size = |amount: Amount| if amount.is_negative() { amount.negated() } else { amount };
    let credits = children.iter().filter(|t| t.transaction_type.as_deref() == Some("credit"));
    let alike = credits.filter_map(|t| t.amount?.bookable()).filter(|a| a.is_negative() == asked.is_negative());
    let sum = alike.map(size).try_fold(size(asked), Amount::checked_add).ok_or(Refused("400.1027"))?;
    if sum.value() > whole.value() { Err(Refused("400.1027")) } else { Ok(asked) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::{days, later, minutes};

    fn euro(value: &str) -> Amount {
        Amount::parse(value, "EUR").expect("money")
    }

    fn made(kind: &str, state: &str, value: &str) -> Transaction {
        Transaction {
            transaction_type: Some(kind.into()),
            transaction_state: Some(state.into()),
            amount: Some(euro(value).into()),
            completed_at: "2026-03-02T09:00:00Z".parse().ok(),
            ..Transaction::default()
        }
    }

    #[test]
    fn a_follow_up_takes_what_is_left_and_no_more() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let now = later(at("2026-03-02T09:00:00Z"), minutes(5));
        let hold = made("authorization", "success", "12.50");
        let dollars = Amount::parse("1.00", "USD").expect("money");
        type Case<'a> = (&'a Transaction, &'a [Transaction], &'a str, Option<Amount>, Result<Amount, Refused>);
        #[rustfmt::skip]
        let table: &[Case<'_>] = &[
            (&hold, &[], "capture-authorization", Some(euro("10.00")), Ok(euro("10.00"))),
            (&hold, &[], "capture-authorization", None, Ok(euro("12.50"))),
            (&hold, &[made("capture-authorization", "success", "10.00")], "capture-authorization", None, Ok(euro("2.50"))),
            (&hold, &[made("capture-authorization", "success", "10.00")], "void-authorization", None, Ok(euro("2.50"))),
            (&hold, &[made("capture-authorization", "success", "10.00")], "capture-authorization", Some(euro("2.51")), Err(Refused("400.1027"))),
            (&hold, &[made("void-authorization", "success", "12.50")], "capture-authorization", None, Err(Refused("400.1027"))),
            (&hold, &[], "capture-authorization", Some(dollars), Err(Refused("400.1026"))),
            (&hold, &[], "capture-authorization", Some(euro("0")), Err(Refused("400.1013"))),
            (&hold, &[], "refund-capture", None, Err(Refused("400.1023"))),
            (&hold, &[made("authorization-supplementary", "success", "9.00")], "capture-authorization", None, Ok(euro("12.50"))),
            (&made("authorization", "failed", "12.50"), &[], "capture-authorization", None, Err(Refused("400.1022"))),
            (&made("get-url", "success", "12.50"), &[], "refund-debit", None, Err(Refused("400.1023"))),
            (&made("purchase", "success", "12.50"), &[made("refund-purchase", "success", "5.00")], "refund-purchase", None, Ok(euro("7.50"))),
            (&made("purchase", "success", "12.50"), &[], "void-purchase", None, Ok(euro("12.50"))),
            (&made("debit", "success", "12.50"), &[made("debit", "success", "12.50")], "refund-debit", None, Ok(euro("12.50"))),
        ];
        for (parent, children, kind, asked, expected) in table {
            assert_eq!(amount(now, parent, children, kind, *asked), *expected, "{kind} {asked:?} of {parent:?}");
        }
        let late = later(now, days(1));
        let bought = made("purchase", "success", "12.50");
        assert_eq!(amount(late, &bought, &[], "void-purchase", None), Err(Refused("500.1057")), "the day is closed");
        assert_eq!(amount(late, &bought, &[], "refund-purchase", None), Ok(euro("12.50")));
        let captured = made("capture-authorization", "success", "12.50");
        assert_eq!(amount(now, &captured, &[], "void-capture", None), Ok(euro("12.50")));
        assert_eq!(amount(late, &captured, &[], "void-capture", None), Err(Refused("500.1057")), "as a purchase");
        assert_eq!(amount(late, &captured, &[], "refund-capture", None), Ok(euro("12.50")));
        for hold in
            [&hold, &made("preauthorization", "success", "12.50"), &made("final-authorization", "success", "12.50")]
        {
            let void = format!("void-{}", hold.transaction_type.as_deref().expect("a type"));
            assert_eq!(amount(late, hold, &[], &void, None), Ok(euro("12.50")), "a hold is given back at any time");
        }
    }
    #[test]
    fn an_invoice_is_credited_beside_what_was_delivered_and_within_its_sum() {
        let now = later("2026-03-02T09:00:00Z".parse().expect("a time"), days(9));
        let of_invoice = |kind: &str, value: &str| Transaction {
            payment_methods: vec!["ratepay-invoice".into()],
            ..made(kind, "success", value)
        };
        let invoice = of_invoice("authorization", "100.00");
        let delivered = of_invoice("capture-authorization", "100.00");
        let credit =
            |children: &[Transaction], asked: &str| amount(now, &invoice, children, "credit", Some(euro(asked)));
        assert_eq!(credit(&[], "10.00"), Ok(euro("10.00")));
        assert_eq!(credit(std::slice::from_ref(&delivered), "-10.00"), Ok(euro("-10.00")), "also on delivered goods");
        let credited = [of_invoice("credit", "-60.00"), of_invoice("credit", "30.00")];
        assert_eq!(credit(&credited, "-40.00"), Ok(euro("-40.00")));
        assert_eq!(credit(&credited, "-40.01"), Err(Refused("400.1027")));
        assert_eq!(credit(&credited, "70.01"), Err(Refused("400.1027")));
        assert_eq!(credit(&[], "0"), Err(Refused("400.1013")));
        assert_eq!(amount(now, &invoice, &[], "credit", None), Err(Refused("400.1011")));
        assert_eq!(amount(now, &invoice, &credited, "capture-authorization", None), Ok(euro("100.00")));
        let card = made("purchase", "success", "100.00");
        let refunded = made("refund-purchase", "success", "100.00");
        assert_eq!(amount(now, &card, &[refunded], "credit", Some(euro("1"))), Err(Refused("400.1027")));
    }
}
