//! The back-end operations of Wirecard Checkout / QENTA that move money, executed on the sandbox's own orders (fact sheet
//! checkout b.2, c.2). Questions are answered elsewhere.

use super::answer::{Answer, Reply};
use super::answer_checkout::{Sent, told};
use super::coming::{Of, Seen};
use super::gateway::{Gateway, How, Name, NotTaken, Payment};
use super::life::{CreditView, Life, Move, MoveKind, OrderView, PaymentView, day_end};
use super::script::{Plan, Script};
use crate::core::submission::Submission;
use crate::wire::checkout::encode;
use crate::wire::request::{Facts, Operation};
use crate::words::id::{GatewayOrderNumber, MerchantName, RequestId};
use crate::words::money::Amount;
use crate::words::time::{SignedDuration, Timestamp, days, later};

/// How old the order may be that a recurring payment draws on (fact sheet checkout a.7).
const SOURCE_AGE_MAX: SignedDuration = days(400);

/// Why an operation is not executed: the reply's status and its errors, each a code and a text.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Refused {
    status: u8,
    errors: Vec<(&'static str, &'static str)>,
}

impl Refused {
    /// The request itself is wrong.
    fn of(code: &'static str, text: &'static str) -> Refused {
        Refused { status: 1, errors: vec![(code, text)] }
    }
}

/// What an operation gives back beside `status=0`.
type Done = Vec<(&'static str, String)>;

const NO_ORDER: (&str, &str) = ("18011", "Order number is invalid.");
const NO_PAYMENT: (&str, &str) = ("18012", "Payment number is invalid.");
const NO_CREDIT: (&str, &str) = ("18013", "Credit number is invalid.");
const BAD_AMOUNT: (&str, &str) = ("18017", "Amount is invalid.");
const BAD_CURRENCY: (&str, &str) = ("18019", "Currency is invalid.");
const BAD_SOURCE: (&str, &str) = ("18159", "Source ORDERNUMBER is invalid.");
const NOT_ALLOWED: (&str, &str) = ("14008", "COMMAND is not allowed.");
const ORDER_TWICE: (&str, &str) = ("13011", "Order number cannot be used twice.");
const CREDIT_TWICE: (&str, &str) = ("13013", "Credit number cannot be used twice.");
const BAD_TRANSFER: (&str, &str) = ("18216", "FUNDTRANSFERTYPE is invalid.");

fn refused(why: (&'static str, &'static str)) -> Refused {
    Refused::of(why.0, why.1)
}

/// The fields an operation cannot do without, with the code and text for each that is missing.
fn needed(operation: Operation) -> &'static [(&'static str, &'static str, &'static str)] {
    const ORDER: (&str, &str, &str) = ("orderNumber", "11011", "Order number is missing.");
    const AMOUNT: (&str, &str, &str) = ("amount", "11017", "Amount is missing.");
    const CURRENCY: (&str, &str, &str) = ("currency", "11019", "Currency is missing.");
    const DESCRIPTION: (&str, &str, &str) = ("orderDescription", "11020", "Order description is missing.");
    match operation {
        Operation::ApproveReversal => &[ORDER],
        Operation::Deposit | Operation::Refund => &[ORDER, AMOUNT, CURRENCY],
        Operation::DepositReversal => &[ORDER, ("paymentNumber", "11012", "Payment number is missing.")],
        Operation::RefundReversal => &[ORDER, ("creditNumber", "11013", "Credit number is missing.")],
        Operation::RecurPayment => {
            &[("sourceOrderNumber", "11159", "Source ORDERNUMBER is missing."), AMOUNT, CURRENCY, DESCRIPTION]
        }
        Operation::TransferFund => {
            &[AMOUNT, CURRENCY, DESCRIPTION, ("fundTransferType", "11216", "FUNDTRANSFERTYPE is missing.")]
        }
        Operation::GenerateOrderNumber | Operation::GetFinancialInstitutions | Operation::GetOrderDetails => &[],
    }
}

/// An order as it stands: what an operation changes.
struct Standing {
    state: &'static str,
    payments: Vec<PaymentView>,
    credits: Vec<CreditView>,
}

impl Gateway {
    /// Executes an operation whose request the form is, or says why not.
    pub(super) fn operate_checkout(
        &mut self,
        now: Timestamp,
        sent: &Sent<'_>,
        operation: Operation,
        facts: &Facts,
    ) -> Reply {
        let product = sent.contract.product;
        let reply = |refused: &Refused| {
            Reply::Answer(told(encode::errors_reply(product, Some(refused.status), &refused.errors)))
        };
        if !sent.is_right() {
            return reply(&Refused::of("18506", "REQUESTFINGERPRINT is invalid."));
        }
        let missing = needed(operation).iter().filter(|(name, ..)| sent.field(name).is_none_or(str::is_empty));
        let errors: Vec<_> = missing.map(|(_, code, text)| (*code, *text)).collect();
        if !errors.is_empty() {
            return reply(&Refused { status: 1, errors });
        }
        let merchant = sent.merchant();
        let order_number = facts.gateway_order_number.as_ref().and_then(|number| {
            let name = self.by_number.get(number)?;
            self.payments[name].order_number.clone()
        });
        let seen = Seen { merchant, of: Of::FollowUps, request_id: None, order_number: order_number.as_ref() };
        match self.take_coming(&seen) {
            Some((Script::NeverStarted, _)) => return Reply::Closed,
            Some((Script::Failed { .. }, _)) => {
                let text = "The financial institution has declined the transaction.";
                return reply(&Refused { status: 2, errors: vec![("20003", text)] });
            }
            Some(_) | None => {}
        }
        match self.operate(now, sent, operation, facts) {
            Ok(done) => {
                let done = done.into_iter().map(|(name, value)| (name.to_owned(), value));
                let all: Vec<_> = std::iter::once(("status".to_owned(), "0".to_owned())).chain(done).collect();
                Reply::Answer(Answer::new(200, "text/plain;charset=UTF-8", encode::unsigned(&all)))
            }
            Err(why) => reply(&why),
        }
    }

    fn operate(
        &mut self,
        now: Timestamp,
        sent: &Sent<'_>,
        operation: Operation,
        facts: &Facts,
    ) -> Result<Done, Refused> {
        match operation {
            Operation::RecurPayment => self.recur(now, sent, facts),
            Operation::TransferFund => self.transfer(now, sent, facts),
            Operation::ApproveReversal
            | Operation::Deposit
            | Operation::DepositReversal
            | Operation::Refund
            | Operation::RefundReversal => self.change(now, sent.merchant(), operation, facts),
            Operation::GenerateOrderNumber | Operation::GetFinancialInstitutions | Operation::GetOrderDetails => {
                Err(refused(NOT_ALLOWED))
            }
        }
    }

    /// An operation on an order that exists: what was planned for it afterwards falls away, and the next day-end
    /// closing comes as for any other order.
    fn change(
        &mut self,
        now: Timestamp,
        merchant: &MerchantName,
        operation: Operation,
        facts: &Facts,
    ) -> Result<Done, Refused> {
        let number = facts.gateway_order_number.clone().ok_or(refused(NO_ORDER))?;
        let name = self.by_number.get(&number).filter(|name| name.0 == *merchant).cloned();
        let name = name.ok_or(refused(NO_ORDER))?;
        let fresh = self.generate_order_number();
        let payment = self.payments.get_mut(&name).ok_or(refused(NO_ORDER))?;
        let mut standing = standing(payment, &number, now).ok_or(refused(NO_ORDER))?;
        let (done, moves) = match operation {
            Operation::Deposit => standing.deposit(&fresh, money(facts)?)?,
            Operation::ApproveReversal => standing.approve_reversal()?,
            Operation::DepositReversal => standing.deposit_reversal(facts)?,
            Operation::Refund => standing.refund(&fresh, money(facts)?)?,
            _ => standing.refund_reversal(facts)?,
        };
        let moves = moves.into_iter().map(|(kind, amount, object)| Move {
            at: now,
            kind,
            amount,
            transaction_id: object,
            number: Some(number.clone()),
        });
        payment.life.moves.retain(|m| m.at <= now || m.number.as_ref() != Some(&number));
        payment.life.moves.extend(moves);
        payment.life.moves.sort_by_key(|m| m.at);
        // Whoever operates on an order knows its number.
        payment.learnt.insert(number.clone());
        if let Some(order) = payment.life.orders.iter_mut().find(|order| order.number == number) {
            order.views.retain(|(from, _)| *from <= now);
            order.views.push((now, standing.view()));
            standing.close();
            order.views.push((day_end(now), standing.view()));
        }
        Ok(done)
    }

    fn recur(&mut self, now: Timestamp, sent: &Sent<'_>, facts: &Facts) -> Result<Done, Refused> {
        let merchant = sent.merchant();
        let amount = money(facts)?;
        let source = &self.payments[&self.source(now, merchant, facts)?];
        if later(source.started, SOURCE_AGE_MAX) < now {
            return Err(refused(BAD_SOURCE));
        }
        let payment_method = source.request.payment_method.clone();
        let number = facts.gateway_order_number.clone().unwrap_or_else(|| self.generate_order_number());
        let request_id = RequestId::new(&format!("recur-{number}")).map_err(|_| refused(NO_ORDER))?;
        let request = Submission {
            order_number: facts.order_number.clone(),
            payment_method,
            gateway_order_number: Some(number.clone()),
            ..bare(merchant, request_id, amount)
        };
        let script = match sent.field("autoDeposit").is_some_and(|yes| yes.eq_ignore_ascii_case("yes")) {
            true => Script::Success { after: SignedDuration::ZERO },
            false => Script::Reserved { after: SignedDuration::ZERO },
        };
        let how = How { is_told_by_the_answer: true, ..How::default() };
        match self.start(now, &request, &script, &Plan::default(), how) {
            Ok(_) => Ok(vec![("orderNumber", number.to_string())]),
            Err(NotTaken::NumberUsedBefore(_) | NotTaken::UsedBefore(_)) => Err(refused(ORDER_TWICE)),
            Err(NotTaken::UnknownShop(_) | NotTaken::UnknownParent(_) | NotTaken::UnknownType(_) | NotTaken::Full) => {
                Err(Refused { status: 4, errors: vec![("30000", "Unknown error.")] })
            }
        }
    }

    /// Whose the order is that a request draws on: the shop's own, and with money in it.
    fn source(&self, now: Timestamp, merchant: &MerchantName, facts: &Facts) -> Result<Name, Refused> {
        let number = facts.source_order_number.as_ref().ok_or(refused(BAD_SOURCE))?;
        let name = self.by_number.get(number).filter(|name| name.0 == *merchant).ok_or(refused(BAD_SOURCE))?;
        let paid = standing(&self.payments[name], number, now).filter(|standing| !standing.payments.is_empty());
        paid.map(|_| name.clone()).ok_or(refused(BAD_SOURCE))
    }

    /// Pays out. That it appears under the source order is not documented (fact sheet checkout c.2): the reply alone
    /// tells of it.
    fn transfer(&mut self, now: Timestamp, sent: &Sent<'_>, facts: &Facts) -> Result<Done, Refused> {
        let merchant = sent.merchant();
        let amount = money(facts)?;
        let given = facts.object.as_ref().and_then(|object| object.as_str().strip_prefix("credit:"));
        let given = given.and_then(|number| GatewayOrderNumber::new(number).ok());
        if let Some(number) = &given
            && (self.credits.contains(number) || self.by_number.contains_key(number))
        {
            return Err(refused(CREDIT_TWICE));
        }
        let source = match sent.field("fundTransferType") {
            Some("EXISTINGORDER") => Some(self.source(now, merchant, facts)?),
            Some("SEPA-CT" | "SKRILLWALLET" | "MONETA") => None,
            Some(_) | None => return Err(refused(BAD_TRANSFER)),
        };
        let credit = given.unwrap_or_else(|| self.generate_order_number());
        self.credits.insert(credit.clone());
        let paid_out =
            |number| Move { at: now, kind: MoveKind::Out, amount, transaction_id: format!("credit:{credit}"), number };
        let done = vec![("creditNumber", credit.to_string())];
        match source.and_then(|name| self.payments.get_mut(&name)) {
            Some(payment) => {
                let number = facts.source_order_number.clone();
                payment.learnt.extend(number.clone());
                payment.life.moves.push(paid_out(number));
                payment.life.moves.sort_by_key(|m| m.at);
            }
            None => {
                let id = RequestId::new(&format!("transfer-{credit}")).map_err(|_| refused(NO_CREDIT))?;
                let order_number = facts.order_number.clone();
                let request = Submission { order_number: order_number.clone(), ..bare(merchant, id.clone(), amount) };
                let payment = Payment {
                    request,
                    script: Script::Success { after: SignedDuration::ZERO },
                    plan: Plan::default(),
                    started: now,
                    order_number,
                    amount,
                    life: Life { moves: vec![paid_out(None)], ..Life::default() },
                    learnt: Default::default(),
                    notify_url: None,
                };
                self.payments.insert((merchant.clone(), id), payment);
            }
        }
        Ok(done)
    }
}

/// The amount of an operation, exact in its currency.
fn money(facts: &Facts) -> Result<Amount, Refused> {
    let stated = facts.amount.ok_or(refused(BAD_AMOUNT))?;
    if stated.currency.is_none() {
        return Err(refused(BAD_CURRENCY));
    }
    stated.bookable().filter(|amount| !amount.is_zero() && !amount.is_negative()).ok_or(refused(BAD_AMOUNT))
}

/// A request of which nothing is known but whose it is and how much.
fn bare(merchant: &MerchantName, request_id: RequestId, amount: Amount) -> Submission {
    Submission {
        merchant: merchant.clone(),
        request_id,
        order_number: None,
        transaction_type: None,
        amount,
        payment_method: None,
        parent_transaction_id: None,
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    }
}

/// How an order stands now; `None` where the gateway knows no such order, or it failed.
fn standing(payment: &Payment, number: &GatewayOrderNumber, now: Timestamp) -> Option<Standing> {
    let order = payment.life.orders.iter().find(|order| order.number == *number)?;
    match order.view(now) {
        OrderView::Exists { state, payments, credits } => {
            Some(Standing { state, payments: payments.clone(), credits: credits.clone() })
        }
        OrderView::Unknown | OrderView::Undecided { .. } | OrderView::Rejected => None,
    }
}

/// Money that moves with an operation: which way, how much, of which object.
type Moved = Vec<(MoveKind, Amount, String)>;

impl Standing {
    fn view(&self) -> OrderView {
        OrderView::Exists { state: self.state, payments: self.payments.clone(), credits: self.credits.clone() }
    }

    /// The day-end closing: what was captured or refunded is final, and only refunds change the order.
    fn close(&mut self) {
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
    fn deposit(&mut self, fresh: &GatewayOrderNumber, amount: Amount) -> Result<(Done, Moved), Refused> {
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

    /// Gives the reservation back; the payment object vanishes.
    fn approve_reversal(&mut self) -> Result<(Done, Moved), Refused> {
        let is_untouched = self.payments.iter().all(|payment| payment.state == "payment_approved");
        if self.payments.is_empty() || !is_untouched {
            return Err(refused(NOT_ALLOWED));
        }
        let released = std::mem::take(&mut self.payments).into_iter();
        let moves = released.map(|p| (MoveKind::Release, p.approved, format!("payment:{}", p.number))).collect();
        Ok((Vec::new(), moves))
    }

    /// Takes a capture back before the day-end closing: it is a reservation again.
    fn deposit_reversal(&mut self, facts: &Facts) -> Result<(Done, Moved), Refused> {
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
    fn refund(&mut self, fresh: &GatewayOrderNumber, amount: Amount) -> Result<(Done, Moved), Refused> {
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
    fn refund_reversal(&mut self, facts: &Facts) -> Result<(Done, Moved), Refused> {
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
