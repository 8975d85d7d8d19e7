//! The back-end operations of Wirecard Checkout / QENTA that move money, executed on the sandbox's own orders (fact sheet
//! checkout b.2, c.2). Questions are answered elsewhere.

use super::answer::{Answer, Reply};
use super::answer_checkout::{Sent, told};
use super::basket_checkout;
use super::coming::{Of, Seen};
use super::gateway::{Gateway, How, Name, NotTaken, Payment};
use super::life::{Life, Move, MoveKind, day_end};
use super::message::payment_type;
use super::methods_checkout;
use super::script::{Plan, Script};
use super::standing_checkout::{
    BAD_AMOUNT, BAD_BASKET, BAD_CURRENCY, BAD_SOURCE, BAD_TRANSFER, CREDIT_TWICE, Done, NO_CREDIT, NO_ORDER,
    NOT_ALLOWED, ORDER_TWICE, Refused, refused, standing,
};
use crate::core::submission::Submission;
use crate::wire::checkout::encode;
use crate::wire::request::{Facts, Operation};
use crate::words::id::{GatewayOrderNumber, MerchantName, RequestId};
use crate::words::money::Amount;
use crate::words::time::{SignedDuration, Timestamp, days, later};

/// How old the order may be that a recurring payment draws on (fact sheet checkout a.7).
const SOURCE_AGE_MAX: SignedDuration = days(400);

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
        if let Some(refused) = sent.refused() {
            return reply(&refused);
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
            | Operation::RefundReversal => self.change(now, sent, operation, facts),
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
        sent: &Sent<'_>,
        operation: Operation,
        facts: &Facts,
    ) -> Result<Done, Refused> {
        let number = facts.gateway_order_number.clone().ok_or(refused(NO_ORDER))?;
        let name = self.by_number.get(&number).filter(|name| name.0 == *sent.merchant()).cloned();
        let name = name.ok_or(refused(NO_ORDER))?;
        let fresh = self.generate_order_number();
        let payment = self.payments.get_mut(&name).ok_or(refused(NO_ORDER))?;
        let mut standing = standing(payment, &number, now).ok_or(refused(NO_ORDER))?;
        let payment_type = payment_type(&payment.request);
        if !methods_checkout::allows(payment_type, operation) {
            return Err(refused(NOT_ALLOWED));
        }
        if matches!(operation, Operation::Deposit | Operation::Refund) {
            let is_invoice = methods_checkout::needs_basket(payment_type);
            let lines = if is_invoice { basket_checkout::checked(sent, money(facts)?)? } else { 0 };
            let is_without_goods =
                operation == Operation::Refund && sent.field("transactionIdentifier") == Some("CREDIT");
            if is_without_goods && (!is_invoice || !standing.is_settled_whole(payment.amount)) {
                return Err(refused(NOT_ALLOWED));
            }
            if is_without_goods && lines != 1 {
                return Err(refused(BAD_BASKET));
            }
        }
        let (done, moves) = match operation {
            Operation::Deposit => standing.deposit(&fresh, money(facts)?)?,
            Operation::ApproveReversal => standing.approve_reversal()?,
            Operation::DepositReversal => standing.deposit_reversal(facts)?,
            Operation::Refund => standing.refund(&fresh, money(facts)?)?,
            Operation::RefundReversal => standing.refund_reversal(facts)?,
            // They make an order or a credit of their own, or change nothing.
            Operation::RecurPayment
            | Operation::TransferFund
            | Operation::GenerateOrderNumber
            | Operation::GetFinancialInstitutions
            | Operation::GetOrderDetails => return Err(refused(NOT_ALLOWED)),
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
                    wishes: Default::default(),
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
