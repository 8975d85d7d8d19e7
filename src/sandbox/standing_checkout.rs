//! A checkout order as it stands, and what each back-end operation makes of it (fact sheet checkout b.2, c.2).

use super::gateway::Payment;
use super::life::{CreditView, MoveKind, OrderView, PaymentView};
use crate::wire::request::Facts;
use crate::words::id::GatewayOrderNumber;
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// Why an operation is not executed: the reply's status and its errors, each a code and a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refused {
    pub status: u8,
    pub errors: Vec<(&'static str, &'static str)>,
}

impl Refused {
    /// The request itself is wrong.
    pub fn of(code: &'static str, text: &'static str) -> Refused {
        Refused { status: 1, errors: vec![(code, text)] }
    }
}

/// What an operation gives back beside `status=0`.
pub(super) type Done = Vec<(&'static str, String)>;

pub(super) const NO_ORDER: (&str, &str) = ("18011", "Order number is invalid.");
pub(super) const NO_PAYMENT: (&str, &str) = ("18012", "Payment number is invalid.");
pub(super) const NO_CREDIT: (&str, &str) = ("18013", "Credit number is invalid.");
pub(super) const BAD_AMOUNT: (&str, &str) = ("18017", "Amount is invalid.");
pub(super) const BAD_CURRENCY: (&str, &str) = ("18019", "Currency is invalid.");
pub(super) const BAD_SOURCE: (&str, &str) = ("18159", "Source ORDERNUMBER is invalid.");
pub(super) const NOT_ALLOWED: (&str, &str) = ("14008", "COMMAND is not allowed.");
/// Baskets have the parameter codes 450 to 464; which is which the fact sheet does not say: the first stands for all.
pub(super) const NO_BASKET: (&str, &str) = ("11450", "Basket is missing.");
pub(super) const BAD_BASKET: (&str, &str) = ("18450", "Basket is invalid.");
pub(super) const ORDER_TWICE: (&str, &str) = ("13011", "Order number cannot be used twice.");
pub(super) const CREDIT_TWICE: (&str, &str) = ("13013", "Credit number cannot be used twice.");
pub(super) const BAD_TRANSFER: (&str, &str) = ("18216", "FUNDTRANSFERTYPE is invalid.");

pub(super) fn refused(why: (&'static str, &'static str)) -> Refused {
    Refused::of(why.0, why.1)
}

/// An order as it stands: what an operation changes.
pub(super) struct Standing {
    pub state: &'static str,
    pub payments: Vec<PaymentView>,
    pub credits: Vec<CreditView>,
}

/// How an order stands now; `None` where the gateway knows no such order, or it failed.
pub(super) fn standing(payment: &Payment, number: &GatewayOrderNumber, now: Timestamp) -> Option<Standing> {
    let order = payment.life.orders.iter().find(|order| order.number == *number)?;
    match order.view(now) {
        OrderView::Exists { state, payments, credits } => {
            Some(Standing { state, payments: payments.clone(), credits: credits.clone() })
        }
        OrderView::Unknown | OrderView::Undecided { .. } | OrderView::Rejected => None,
    }
}

/// Money that moves with an operation: which way, how much, of which object.
pub(super) type Moved = Vec<(MoveKind, Amount, String)>;

impl Standing {
    pub fn view(&self) -> OrderView {
        OrderView::Exists { state: self.state, payments: self.payments.clone(), credits: self.credits.clone() }
    }

    /// The day-end closing: what was captured or refunded is final, and only refunds change the order.
    pub fn close(&mut self) {
        for payment in self.payments.iter_mut().filter(|payment| payment.state == "payment_deposited") {
            payment.state = "payment_closed";
        }
        for credit in &mut self.credits {
            credit.state = "credit_closed";
        }
        if self.payments.iter().any(|payment| payment.state == "payment_closed") {
            self.state = "REFUNDABLE";
        }
    }

    /// Captures a reservation. A part becomes a payment of its own, and the rest stays reserved.
    pub fn deposit(&mut self, fresh: &GatewayOrderNumber, amount: Amount) -> Result<(Done, Moved), Refused> {
        let approved = self.payments.iter_mut().find(|payment| payment.state == "payment_approved");
        let approved = approved.ok_or(refused(NOT_ALLOWED))?;
        if approved.approved.currency() != amount.currency() {
            return Err(refused(BAD_CURRENCY));
        }
        if amount.value() > approved.approved.value() {
            return Err(refused(BAD_AMOUNT));
        }
        let held = format!("payment:{}", approved.number);
        let number = if amount == approved.approved {
            approved.state = "payment_deposited";
            approved.deposited = amount;
            approved.number.clone()
        } else {
            approved.approved = approved.approved.checked_add(amount.negated()).ok_or(refused(BAD_AMOUNT))?;
            let part = PaymentView {
                number: fresh.to_string(),
                state: "payment_deposited",
                approved: amount,
                deposited: amount,
            };
            self.payments.push(part);
            fresh.to_string()
        };
        let moves = vec![(MoveKind::Release, amount, held), (MoveKind::In, amount, format!("payment:{number}"))];
        Ok((vec![("paymentNumber", number)], moves))
    }

    /// Whether everything the order is worth was captured and closed: what money back without goods needs (fact sheet
    /// checkout e).
    pub fn is_settled_whole(&self, whole: Amount) -> bool {
        let is_closed = self.payments.iter().all(|payment| payment.state == "payment_closed");
        let captured = self.payments.iter().map(|payment| payment.deposited);
        let captured = captured.into_iter().try_fold(Amount::zero(whole.currency()), Amount::checked_add);
        is_closed && captured == Some(whole)
    }

    /// Gives the reservation back; the payment object vanishes.
    pub fn approve_reversal(&mut self) -> Result<(Done, Moved), Refused> {
        let is_untouched = self.payments.iter().all(|payment| payment.state == "payment_approved");
        if self.payments.is_empty() || !is_untouched {
            return Err(refused(NOT_ALLOWED));
        }
        let released = std::mem::take(&mut self.payments).into_iter();
        let moves = released.map(|p| (MoveKind::Release, p.approved, format!("payment:{}", p.number))).collect();
        Ok((Vec::new(), moves))
    }

    /// Takes a capture back before the day-end closing: it is a reservation again.
    pub fn deposit_reversal(&mut self, facts: &Facts) -> Result<(Done, Moved), Refused> {
        let wanted = facts.object.as_ref().and_then(|object| object.as_str().strip_prefix("payment:"));
        let payment = self.payments.iter_mut().find(|payment| Some(payment.number.as_str()) == wanted);
        let payment = payment.ok_or(refused(NO_PAYMENT))?;
        if payment.state != "payment_deposited" {
            return Err(refused(NOT_ALLOWED));
        }
        let (amount, object) = (payment.deposited, format!("payment:{}", payment.number));
        payment.state = "payment_approved";
        payment.deposited = Amount::zero(amount.currency());
        Ok((Vec::new(), vec![(MoveKind::Out, amount, object.clone()), (MoveKind::Hold, amount, object)]))
    }

    /// Pays back after the day-end closing, at most what was captured.
    pub fn refund(&mut self, fresh: &GatewayOrderNumber, amount: Amount) -> Result<(Done, Moved), Refused> {
        if self.state != "REFUNDABLE" {
            return Err(refused(NOT_ALLOWED));
        }
        let closed = self.payments.iter().filter(|payment| payment.state == "payment_closed");
        let captured = closed.map(|payment| payment.deposited);
        let credited = self.credits.iter().map(|credit| credit.amount.negated());
        let left =
            captured.chain(credited).try_fold(Amount::zero(amount.currency()), |sum, part| sum.checked_add(part));
        let left = left.ok_or(refused(BAD_CURRENCY))?;
        if amount.value() > left.value() {
            return Err(refused(BAD_AMOUNT));
        }
        self.credits.push(CreditView { number: fresh.to_string(), state: "credit_refunded", amount });
        Ok((vec![("creditNumber", fresh.to_string())], vec![(MoveKind::Out, amount, format!("credit:{fresh}"))]))
    }

    /// Takes a refund back before its day-end closing; the credit object vanishes.
    pub fn refund_reversal(&mut self, facts: &Facts) -> Result<(Done, Moved), Refused> {
        let wanted = facts.object.as_ref().and_then(|object| object.as_str().strip_prefix("credit:"));
        let at = self.credits.iter().position(|credit| Some(credit.number.as_str()) == wanted);
        let at = at.ok_or(refused(NO_CREDIT))?;
        if self.credits[at].state != "credit_refunded" {
            return Err(refused(NOT_ALLOWED));
        }
        let credit = self.credits.remove(at);
        Ok((Vec::new(), vec![(MoveKind::In, credit.amount, format!("credit:{}", credit.number))]))
    }
}
