//! Which follow-up may be made of which transaction at the Wirecard Payment Gateway (fact sheet wpg c.3), stated here on
//! its own: what checks a rule must not be the rule.

use super::life::day_end;
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
        "capture-authorization" | "capture-preauthorization" | "capture-final-auth" => {
            &["void-capture", "refund-capture"]
        }
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
    let is_called_back = follow_up.starts_with("void-") && !parent_type.contains("authorization");
    if is_called_back && parent.completed_at.is_some_and(|at| day_end(at) <= now) {
        return Err(Refused("500.1057"));
    }
    let taken = children.iter().filter(|t| takes(t.transaction_type.as_deref().unwrap_or_default()));
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
        assert_eq!(amount(late, &hold, &[], "void-authorization", None), Ok(euro("12.50")));
    }
}
