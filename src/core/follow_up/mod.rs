//! Which operations a payment's chain allows, by the gateways' own rules and by what we know of the chain.
//!
//! Pure: a wish and the facts go in, a [`Plan`] or a named [`Refused`] comes out. What is pending or unknown counts as
//! done: a sum that could be exceeded by it is refused.

mod checkout;
mod effect;
mod graph;
mod invoice;
mod wpg;

pub use checkout::payout;
pub use effect::{Effect, before, effect, of_own};
pub use invoice::{credit_means, is_invoice};

use crate::core::message::Dialect;
use crate::core::operation::{BasketLine, Kind, Plan, Wish, basket_sum};
use crate::core::payment::Payment;
use crate::words::money::{Amount, Currency};
use crate::words::time::Timestamp;

/// What the rules look at.
#[derive(Clone, Copy)]
pub struct Chain<'a> {
    pub root: &'a Payment,
    pub follow_ups: &'a [Payment],
    pub dialect: Dialect,
    /// Wall time.
    pub now: Timestamp,
    /// `wpg`, cards: how much more than authorised the contract lets the shop capture, in percent.
    pub over_capture_percent: u32,
}

/// Whether a wish may be granted, and what exactly it comes to.
pub fn plan(chain: &Chain<'_>, wish: &Wish) -> Result<Plan, Refused> {
    let asked = (wish.transaction.as_ref(), wish.object.as_ref());
    match (chain.dialect, asked) {
        (Dialect::Wpg, (_, Some(_))) => {
            Err(Refused::OtherDialect { what: "--payment and --credit", dialect: "checkout" })
        }
        (Dialect::Checkout, (Some(_), _)) => Err(Refused::OtherDialect { what: "--transaction", dialect: "wpg" }),
        (Dialect::Wpg, _) => wpg::plan(chain, wish),
        (Dialect::Checkout, _) => checkout::plan(chain, wish),
    }
}

/// Why a wish is not granted. Texts complete "refused: …" and name the rule's source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{what} is for accounts of the {dialect} dialect")]
    OtherDialect { what: &'static str, dialect: &'static str },
    #[error("{kind} needs {what}")]
    Missing { kind: &'static str, what: &'static str },
    #[error("no transaction of this chain allows {kind}: {found} (follow-up graph, fact sheet wpg c.3)")]
    NoParent { kind: &'static str, found: String },
    #[error("several transactions allow {kind}: {ids}; name one with --transaction")]
    SeveralParents { kind: &'static str, ids: String },
    #[error("no rules are known for follow-ups of method `{method}`; name the transaction type with --type")]
    UnknownMethod { method: String },
    #[error("transaction {0} is not known in this chain")]
    NotInThisChain(String),
    #[error("{wire} is no {kind} of {parent}; allowed: {allowed} (follow-up graph, fact sheet wpg c.3)")]
    NotAFollowUp { wire: String, kind: &'static str, parent: String, allowed: String },
    #[error("transaction {id} was voided by {by}")]
    Voided { id: String, by: String },
    #[error("transaction {id} has {what} already: a void undoes it whole or not at all")]
    PartlyUsed { id: String, what: String },
    #[error("a void of this kind is whole: leave the amount out, or say {whole} (fact sheet wpg c.3)")]
    VoidIsWhole { whole: Amount },
    #[error("{0}")]
    NotAnAmount(String),
    #[error("{0} is not more than nothing")]
    NotPositive(Amount),
    #[error("the chain is in {parent}, not in {asked}: the currency must be the parent's ({rule})")]
    CurrencyDiffers { asked: Currency, parent: Currency, rule: &'static str },
    #[error("{asked} and {before} before are more than the {limit} authorised (fact sheet wpg c.3, checkout b.2)")]
    MoreThanAuthorised { asked: Amount, before: Amount, limit: Amount },
    #[error("{asked} and {before} before are more than the {limit} taken ({rule})")]
    MoreThanTaken { asked: Amount, before: Amount, limit: Amount, rule: &'static str },
    #[error("{asked} and {before} credited that way before are more than the whole invoice of {limit}")]
    MoreThanInvoiced { asked: Amount, before: Amount, limit: Amount },
    #[error("nothing is left: {limit} in all, {before} before")]
    NothingLeft { before: Amount, limit: Amount },
    #[error("an invoice needs its basket here: give it with --basket FILE (fact sheet wpg d.5, checkout e)")]
    BasketMissing,
    #[error("the basket adds up to {basket}, the amount is {amount} ({rule})")]
    BasketDiffers { basket: Amount, amount: Amount, rule: &'static str },
    #[error("the basket can't be added up: {0}")]
    BasketUnreadable(String),
    #[error("a basket line for the checkout dialect needs {0} (fact sheet checkout b.2)")]
    BasketIncomplete(&'static str),
    #[error("{what} not before {from} (fact sheet wpg a.7)")]
    TooEarly { what: &'static str, from: Timestamp },
    #[error(
        "the outcome of {kind} {request} on this chain is not known: it may have taken effect; \
         `reconciled explain {request}` tells what is being done about it (--although-unknown overrides)"
    )]
    EarlierUnknown { kind: &'static str, request: String },
    #[error("more operations than are kept for one payment")]
    TooMany,
    // ---- checkout ----
    #[error("no gateway order number is known: back-end operations need one (fact sheet checkout b.2)")]
    NoGatewayOrder,
    #[error("the gateway's own books of this order were not seen yet: `reconciled retrieve` them first")]
    NotSeenYet,
    #[error(
        "{0} was executed and the gateway's books were not seen since: try again in a few seconds, or `reconciled retrieve` them"
    )]
    BooksAreOld(String),
    #[error("nothing is held: {0} (deposit and approveReversal need payment_approved, fact sheet checkout b.2)")]
    NothingApproved(String),
    #[error("{0} is deposited already: a hold is given back only while nothing is (fact sheet checkout b.2)")]
    SomethingDeposited(Amount),
    #[error(
        "{object} is `{state}`, and only {needed} can be reversed: the day-end closing ends that (fact sheet checkout b.2)"
    )]
    NotReversible { object: String, state: String, needed: &'static str },
    #[error("{0} could be meant; name one with --payment or --credit")]
    SeveralObjects(String),
    #[error("object {0} is not known in this order")]
    NoSuchObject(String),
    #[error(
        "refunds need the day-end closing, and {0} is deposited but not closed: deposit-reversal takes it back before (fact sheet checkout b.2)"
    )]
    DayEndOpen(Amount),
    #[error("nothing is deposited: {0}")]
    NothingDeposited(String),
    #[error("{0} is refunded with `transfer --fund existing-order` (fact sheet checkout b.2)")]
    RefundedByTransfer(String),
    #[error("{0} can't be transferred back: existing-order is for iDEAL, SEPA and Sofort (fact sheet checkout b.2)")]
    NotTransferable(String),
    #[error("money back without goods is for invoices, and this is {0} (fact sheet checkout e)")]
    NotAnInvoice(String),
    #[error(
        "money back without goods needs the full amount deposited and closed: {closed} of {whole} is (fact sheet checkout e)"
    )]
    NotFullyDeposited { closed: Amount, whole: Amount },
    #[error("money back without goods names one arbitrary basket line, not {0} (fact sheet checkout e)")]
    OneLine(usize),
    #[error("the order is older than 400 days: it can't be charged again (fact sheet checkout a.7)")]
    TooOld,
}

/// Where rules of both dialects stand. Status codes are the `wpg` gateway's own, and mean nothing at the other.
struct Rules {
    currency: &'static str,
    taken: &'static str,
    basket: &'static str,
}

fn rules(dialect: Dialect) -> Rules {
    match dialect {
        Dialect::Wpg => Rules {
            currency: "400.1026, fact sheet wpg c.3",
            taken: "400.1027, fact sheet wpg c.3",
            basket: "400.1186, fact sheet wpg d.5",
        },
        Dialect::Checkout => Rules {
            currency: "fact sheet checkout c.2",
            taken: "fact sheet checkout b.2",
            basket: "fact sheet checkout e",
        },
    }
}

/// The amount a wish states, in the chain's currency; `None`: it leaves it open.
fn stated(wish: &Wish, currency: Currency, dialect: Dialect) -> Result<Option<Amount>, Refused> {
    if let Some(asked) = wish.currency.filter(|asked| *asked != currency) {
        return Err(Refused::CurrencyDiffers { asked, parent: currency, rule: rules(dialect).currency });
    }
    let amount = wish.amount.as_deref().map(|text| Amount::parse(text, currency.code()));
    amount.transpose().map_err(|why| Refused::NotAnAmount(why.to_string()))
}

fn positive(amount: Amount) -> Result<Amount, Refused> {
    if amount.is_negative() || amount.is_zero() { Err(Refused::NotPositive(amount)) } else { Ok(amount) }
}

/// The sum of amounts of one currency. Amounts of the books have at most 28 digits in all; a sum that does not fit
/// counts as the largest of them would: it is refused by the comparison that follows.
fn sum(currency: Currency, amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::zero(currency), |sum, amount| sum.checked_add(amount).unwrap_or(sum))
}

/// What is left of `limit`; never negative.
fn left(limit: Amount, before: Amount) -> Amount {
    let left = limit.checked_add(before.negated()).unwrap_or(Amount::zero(limit.currency()));
    if left.is_negative() { Amount::zero(limit.currency()) } else { left }
}

/// The asked amount, or all that is left of the limit; more is refused by `exceeds`.
fn within(
    asked: Option<Amount>,
    before: Amount,
    limit: Amount,
    exceeds: impl FnOnce(Amount) -> Refused,
) -> Result<Amount, Refused> {
    let room = left(limit, before);
    match asked {
        None if room.is_zero() => Err(Refused::NothingLeft { before, limit }),
        None => Ok(room),
        Some(asked) if positive(asked)?.value() > room.value() => Err(exceeds(asked)),
        Some(asked) => Ok(asked),
    }
}

/// The basket must be there where it is needed, and add up to the amount wherever it is.
fn basket(lines: &[BasketLine], is_needed: bool, amount: Amount, dialect: Dialect) -> Result<Option<String>, Refused> {
    if lines.is_empty() {
        return if is_needed { Err(Refused::BasketMissing) } else { Ok(None) };
    }
    let basket = basket_sum(lines, amount.currency()).map_err(|why| Refused::BasketUnreadable(why.to_string()))?;
    if basket != amount {
        return Err(Refused::BasketDiffers { basket, amount, rule: rules(dialect).basket });
    }
    Ok(Some(format!("the basket of {} lines adds up to {amount}", lines.len())))
}

/// A wish is refused while the outcome of an operation of its kind on the same chain is open.
fn none_unknown(chain: &Chain<'_>, wish: &Wish, kind: Kind) -> Result<String, Refused> {
    let payments = std::iter::once(chain.root).chain(chain.follow_ups);
    let mut operations = payments.flat_map(|payment| &payment.operations);
    match operations.find(|o| o.outcome.is_unknown() && same(o.intent.kind, kind)) {
        Some(open) if !wish.although_unknown => {
            Err(Refused::EarlierUnknown { kind: open.intent.kind.name(), request: open.intent.request_id.to_string() })
        }
        Some(open) => Ok(format!("sent although the outcome of {} is not known", open.intent.request_id)),
        None => Ok("no operation of this kind on this chain has an unknown outcome".to_owned()),
    }
}

/// Kinds that move the same money: the dialects' names for one thing are one kind.
fn same(a: Kind, b: Kind) -> bool {
    let group = |kind: Kind| match kind {
        Kind::Capture | Kind::Deposit => 0,
        Kind::Void | Kind::ApproveReversal | Kind::DepositReversal | Kind::RefundReversal => 1,
        Kind::Refund | Kind::Credit | Kind::Transfer => 2,
        Kind::Recur => 3,
    };
    group(a) == group(b)
}

#[cfg(test)]
mod tests;
