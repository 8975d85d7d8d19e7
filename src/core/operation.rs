//! An operation that moves money: what a person wishes, what it comes to, and what became of it.
//!
//! The rules are in [`super::follow_up`]. An operation is journaled before it is sent and never sent twice: from the
//! moment it is journaled its outcome is unknown, until an answer, the gateway's own books or a person says otherwise.

use serde::{Deserialize, Serialize};

use crate::core::message::Dialect;
use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, PaymentNumber, RequestId, TransactionId};
use crate::words::money::{Amount, Currency, NotMoney, parse_decimal};
use crate::words::time::{SignedDuration, Timestamp, days, minutes};

/// Operations kept on one payment; a payment with more is refused further ones.
pub const OPERATIONS_MAX: usize = 100;
/// Lines of a basket: `wpg` allows 99 (fact sheet wpg d.5).
pub const BASKET_MAX_LINES: usize = 99;
/// Objects of an order that are compared before and after.
pub const BEFORE_MAX: usize = 200;

/// Begins the target of a `checkout` charge, before the gateway order number of its source.
pub const RECUR_OF: &str = "recur-of:";
/// Begins the target of a payout without an order, before the fund.
pub const PAYOUT: &str = "payout:";

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Takes held money; `checkout` calls it deposit.
    Capture,
    /// Gives a hold back, or undoes a step before it is settled.
    Void,
    /// Pays back what was taken.
    Refund,
    /// Changes what is owed without goods coming back: a reduction or charge on an invoice, a payout to a card.
    Credit,
    /// `checkout`: takes held money.
    Deposit,
    /// `checkout`: undoes a deposit before the day-end closing.
    DepositReversal,
    /// `checkout`: gives a hold back.
    ApproveReversal,
    /// `checkout`: undoes a refund before the day-end closing.
    RefundReversal,
    /// Charges the payer again by the way of an earlier payment.
    Recur,
    /// `checkout`: pays out.
    Transfer,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Capture => "capture",
            Kind::Void => "void",
            Kind::Refund => "refund",
            Kind::Credit => "credit",
            Kind::Deposit => "deposit",
            Kind::DepositReversal => "deposit-reversal",
            Kind::ApproveReversal => "approve-reversal",
            Kind::RefundReversal => "refund-reversal",
            Kind::Recur => "recur",
            Kind::Transfer => "transfer",
        }
    }
}

/// Where a [`Kind::Transfer`] goes (fact sheet checkout b.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fund {
    /// Back to the payer of an order: the way to refund iDEAL, Sofort and SEPA.
    ExistingOrder,
    /// To a bank account.
    SepaCt,
    /// To a Skrill wallet (older accounts).
    SkrillWallet,
    /// To a moneta.ru wallet (older accounts).
    Moneta,
}

impl Fund {
    pub fn name(self) -> &'static str {
        match self {
            Fund::ExistingOrder => "existing-order",
            Fund::SepaCt => "sepa-ct",
            Fund::SkrillWallet => "skrill-wallet",
            Fund::Moneta => "moneta",
        }
    }
}

/// One line of a basket, amounts in plain decimals of the operation's currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketLine {
    pub article_number: String,
    pub name: String,
    pub quantity: u32,
    /// With tax, of one piece. A voucher is a line with a negative amount.
    pub unit_gross_amount: String,
    /// `checkout` needs net and tax of one piece as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_net_amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_tax_amount: Option<String>,
    /// In percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_tax_rate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
}

/// Σ quantity × gross amount of one piece.
pub fn basket_sum(lines: &[BasketLine], currency: Currency) -> Result<Amount, NotMoney> {
    let mut sum = Amount::zero(currency);
    for line in lines {
        let unit = parse_decimal(&line.unit_gross_amount)?;
        let too_long = || NotMoney::TooLong(line.unit_gross_amount.chars().take(64).collect());
        let whole = unit.checked_mul(line.quantity.into()).ok_or_else(too_long)?;
        sum = sum.checked_add(Amount::new(whole, currency)?).ok_or_else(too_long)?;
    }
    Ok(sum)
}

/// What a person wishes to be done, before anybody asks whether it may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    pub kind: Kind,
    /// An order number, request-id, transaction-id or gateway order number. `None`: no chain (payouts).
    #[serde(default)]
    pub id: Option<String>,
    /// Needed where several accounts know the id, or none does.
    #[serde(default)]
    pub merchant: Option<MerchantName>,
    /// `None`: all that is left.
    #[serde(default)]
    pub amount: Option<String>,
    /// `None`: the parent's.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// `wpg`: the parent, where the chain has several that could be meant.
    #[serde(default)]
    pub transaction: Option<TransactionId>,
    /// `wpg`: the transaction type to send, where several are possible.
    #[serde(default)]
    pub transaction_type: Option<String>,
    /// `checkout`: the payment or credit number of a reversal.
    #[serde(default)]
    pub object: Option<String>,
    #[serde(default)]
    pub fund: Option<Fund>,
    #[serde(default)]
    pub basket: Vec<BasketLine>,
    /// The provider of this invoice takes no basket.
    #[serde(default)]
    pub without_basket: bool,
    /// Although the outcome of an earlier one of its kind is not known.
    #[serde(default)]
    pub although_unknown: bool,
}

/// One object of a `checkout` order as it stood.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    pub id: TransactionId,
    pub state: String,
    pub amount: Option<Amount>,
}

/// Which REST path a `wpg` request goes to (fact sheet wpg a.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// Cards and follow-ups.
    Payments,
    /// The first request of another method: a payout by `sepacredit` for a payment by another one.
    PaymentMethods,
}

/// What an operation acts on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "dialect", rename_all = "lowercase")]
pub enum Target {
    Wpg {
        parent: TransactionId,
        merchant_account_id: Option<String>,
        payment_method: Option<String>,
        endpoint: Endpoint,
        /// Type of the series a [`Kind::Recur`] continues.
        periodic_type: Option<String>,
    },
    Checkout {
        /// `None`: a payout without an order.
        order: Option<GatewayOrderNumber>,
        /// Payment or credit number of a reversal.
        object: Option<String>,
    },
}

impl Target {
    pub fn dialect(&self) -> Dialect {
        match self {
            Target::Wpg { .. } => Dialect::Wpg,
            Target::Checkout { .. } => Dialect::Checkout,
        }
    }
}

/// A wish that the rules allow: what exactly would be sent, and why it may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub kind: Kind,
    pub merchant: MerchantName,
    /// Its name on the wire: a transaction type (`wpg`) or a back-end operation (`checkout`).
    pub wire: String,
    pub amount: Option<Amount>,
    /// The payment whose chain was checked.
    pub payment: Option<PaymentNumber>,
    pub order_number: Option<OrderNumber>,
    pub target: Target,
    /// `checkout`: the objects of the order as they stand, to tell later whether it took effect.
    #[serde(default)]
    pub before: Vec<Seen>,
    /// The rules that were checked and hold, in words.
    pub checked: Vec<String>,
    /// What the amount means by the source, in words, where its sign decides that. Shown before anybody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
}

/// Who wished it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    pub uid: u32,
    #[serde(default)]
    pub user: Option<String>,
}

/// What became of an operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nobody knows whether it took effect. Never repeated; the gateway is asked.
    Unknown { why: String },
    /// It took effect.
    Executed { how: String },
    /// The gateway refused it; nothing happened.
    Refused { why: String },
    /// It never left this machine.
    NotSent { why: String },
    /// Two looks, half an hour apart, found no trace of it.
    NotSeen { why: String },
}

impl Outcome {
    pub fn is_unknown(&self) -> bool {
        matches!(self, Outcome::Unknown { .. })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Unknown { .. } => "unknown",
            Outcome::Executed { .. } => "executed",
            Outcome::Refused { .. } => "refused",
            Outcome::NotSent { .. } => "not-sent",
            Outcome::NotSeen { .. } => "not-seen",
        }
    }

    /// In words.
    pub fn text(&self) -> &str {
        match self {
            Outcome::Unknown { why }
            | Outcome::Refused { why }
            | Outcome::NotSent { why }
            | Outcome::NotSeen { why } => why,
            Outcome::Executed { how } => how,
        }
    }
}

/// What is journaled before the first byte goes out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    pub kind: Kind,
    pub wire: String,
    pub amount: Option<Amount>,
    /// The transaction-id, or `order:7`, `payment:8`, `credit:9`; `recur-of:7` for a charge that makes an order of its
    /// own, and `payout:sepa-ct` for a payout without an order.
    pub target: String,
    /// `wpg`: the request-id it is sent under. `checkout`: our own name for it; the gateway never sees it.
    pub request_id: RequestId,
    /// `checkout`: the number fetched for what it makes, so that a repeat would be refused.
    pub made_number: Option<String>,
    pub by: Operator,
    pub before: Vec<Seen>,
}

impl Intent {
    /// What a second one that is meant to be the same would share with it, where no chain holds both.
    pub fn repeat_key(&self) -> Option<String> {
        repeat_key(&self.target, self.amount)
    }
}

/// As [`Intent::repeat_key`], of what is only planned. A charge counts as repeated whatever its amount.
pub fn repeat_key(target: &str, amount: Option<Amount>) -> Option<String> {
    if target.starts_with(RECUR_OF) {
        return Some(target.to_owned());
    }
    let amount = amount.filter(|_| target.starts_with(PAYOUT))?;
    Some(format!("{target} {amount}"))
}

/// An operation and what became of it. Part of a payment: of the one it acts on (`checkout`), or of its own (`wpg`,
/// and `checkout` operations that make an order of their own).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The journal record it was written with.
    pub number: u64,
    pub intent: Intent,
    /// Wall time at which it was journaled.
    pub at: Timestamp,
    /// Steady time of the same moment.
    pub since: Timestamp,
    pub outcome: Outcome,
    /// Steady time at which its sender or a person told the outcome. Books read before it may lack its effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Steady times of the looks that found no trace of it, at most two.
    #[serde(default)]
    pub unseen: Vec<Timestamp>,
    /// A person was told that its outcome is unknown.
    #[serde(default)]
    pub is_told: bool,
}

/// A look counts as having found no trace only this long after the operation: gateways cut requests after 30 s.
const UNSEEN_AFTER: SignedDuration = minutes(5);
/// Least time between two such looks.
const UNSEEN_APART: SignedDuration = minutes(30);
/// Time its sender has to tell the outcome of an operation that nobody can be asked about: far more than a request,
/// its time-out and the telling take.
const TELL_AFTER: SignedDuration = minutes(10);
/// Wait before the first look at an operation whose outcome is unknown, and the longest.
const LOOK_FIRST: SignedDuration = minutes(1);
const LOOK_MAX: SignedDuration = days(1);

impl Operation {
    /// Whether it was executed and books of this steady time may lack its effect.
    pub fn is_executed_after(&self, books: Timestamp) -> bool {
        matches!(self.outcome, Outcome::Executed { .. }) && books <= self.told_at.unwrap_or(self.since)
    }

    /// When a person is told that its outcome is unknown, where nobody can be asked: 10 minutes after it was
    /// journaled. `None`: told already, or no longer unknown.
    pub fn tell_at(&self) -> Option<Timestamp> {
        (self.outcome.is_unknown() && !self.is_told).then(|| crate::words::time::later(self.since, TELL_AFTER))
    }

    /// When to look again: a minute after it was journaled, then as long again as it is old, at most a day.
    pub fn next_look(&self, now: Timestamp) -> Timestamp {
        let wait = now.duration_since(self.since).clamp(LOOK_FIRST, LOOK_MAX);
        crate::words::time::later(now, wait)
    }

    /// A conclusive look found no trace of it. The second one that counts ends the question.
    pub fn not_seen(&mut self, now: Timestamp) {
        let is_late = now.duration_since(self.since) >= UNSEEN_AFTER;
        let is_apart = self.unseen.last().is_none_or(|last| now.duration_since(*last) >= UNSEEN_APART);
        if is_late && is_apart {
            self.unseen.push(now);
        }
        if self.unseen.len() >= 2 {
            let why = "two looks, 30 minutes apart, found no trace of it at the gateway".to_owned();
            self.outcome = Outcome::NotSeen { why };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::later;

    fn line(quantity: u32, gross: &str) -> BasketLine {
        BasketLine {
            article_number: "A1".into(),
            name: "Lamp".into(),
            quantity,
            unit_gross_amount: gross.into(),
            unit_net_amount: None,
            unit_tax_amount: None,
            unit_tax_rate: None,
            description: None,
            image_url: None,
        }
    }

    #[test]
    fn a_basket_adds_up_exactly_vouchers_included() {
        let eur = Currency::parse("EUR").expect("a currency");
        let lines = [line(1, "10.80"), line(2, "14.94"), line(1, "5.90"), line(1, "-6.58")];
        assert_eq!(basket_sum(&lines, eur), Amount::parse("40", "EUR"));
        assert!(basket_sum(&[line(1, "10,80")], eur).is_err(), "no decimal commas");
        assert!(basket_sum(&[line(3, "0.333")], eur).is_err(), "0.999 is no amount of euros");
    }

    fn operation() -> Operation {
        let at: Timestamp = "2026-03-01T10:00:00Z".parse().expect("a time");
        Operation {
            number: 7,
            intent: Intent {
                kind: Kind::Deposit,
                wire: "deposit".into(),
                amount: None,
                target: "order:7".into(),
                request_id: RequestId::new("op-1").expect("an id"),
                made_number: None,
                by: Operator { uid: 0, user: None },
                before: Vec::new(),
            },
            at,
            since: at,
            outcome: Outcome::Unknown { why: String::new() },
            told_at: None,
            unseen: Vec::new(),
            is_told: false,
        }
    }

    #[test]
    fn looks_double_from_a_minute_to_a_day() {
        let operation = operation();
        let mut now = operation.since;
        let mut ages = Vec::new();
        for _ in 0..14 {
            now = operation.next_look(now);
            ages.push(now.duration_since(operation.since).as_secs() / 60);
        }
        assert_eq!(ages, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 2048 + 1440, 2048 + 2880]);
    }

    #[test]
    fn only_two_late_looks_half_an_hour_apart_say_that_nothing_happened() {
        let mut operation = operation();
        let at = |m| later(operation.since, minutes(m));
        let times = [at(1), at(6), at(20), at(35), at(36)];
        let mut known = Vec::new();
        for now in times {
            operation.not_seen(now);
            known.push(operation.outcome.name());
        }
        assert_eq!(known, ["unknown", "unknown", "unknown", "unknown", "not-seen"]);
    }
}
