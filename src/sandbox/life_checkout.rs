//! Scripts played on the Wirecard Checkout / QENTA gateway: which orders arise, and how they look.

use super::life::{CreditView, Life, Move, MoveKind, News, OrderLife, OrderView, PaymentView, Told, day_end};
use super::prng::Prng;
use super::script::{Ending, Script};
use crate::core::message::PaymentState;
use crate::core::submission::Submission;
use crate::words::id::GatewayOrderNumber;
use crate::words::money::Amount;
use crate::words::time::{SignedDuration, Timestamp, hours, later, minutes, seconds};

/// Lays a payment's life out. `numbers` gives out gateway order numbers; the first one is the
/// number the shop generated before, where it did.
pub fn live(
    started: Timestamp,
    request: &Submission,
    script: &Script,
    amount: Amount,
    numbers: &mut dyn FnMut() -> GatewayOrderNumber,
    mut prng: Prng,
) -> Life {
    let first = request.gateway_order_number.clone().unwrap_or_else(&mut *numbers);
    let mut stage = Stage { started, amount, life: Life::default() };
    stage.life.orders.push(OrderLife { number: first, views: Vec::new() });
    match script {
        Script::NeverStarted => {}
        Script::Abandoned { timeout } => stage.told(*timeout, PaymentState::Failure, false, Some("99996")),
        Script::Cancelled { after } => stage.told(*after, PaymentState::Cancel, false, None),
        Script::Failed { after } => {
            // A declined payment shows as 20003, or as an order without any payment object.
            let view = if prng.chance(500) { OrderView::Rejected } else { exists("ORDERED", Vec::new(), Vec::new()) };
            stage.see(*after, view);
            stage.told(*after, PaymentState::Failure, false, Some("20003"));
        }
        Script::Success { after } => {
            let deposit_at = stage.pay(*after, is_card(request));
            stage.close(deposit_at);
        }
        Script::Pending { lasts, then } => {
            stage.see(minutes(1).min(*lasts), OrderView::Undecided { code: "30014" });
            let names_the_number = prng.chance(500);
            stage.told(minutes(2).min(*lasts), PaymentState::Pending, names_the_number, None);
            match then {
                Ending::Success => {
                    let deposit_at = stage.pay(*lasts, false);
                    stage.close(deposit_at);
                }
                Ending::Failed => {
                    stage.see(*lasts, OrderView::Rejected);
                    stage.told(*lasts, PaymentState::Failure, false, Some("20003"));
                }
            }
        }
        Script::FailedThenSuccess { failed_after, success_after } => {
            stage.told(*failed_after, PaymentState::Failure, false, Some("99996"));
            let deposit_at = stage.pay(*success_after, false);
            stage.close(deposit_at);
        }
        Script::ProviderSilence { after, success_after } => {
            stage.see(*after, OrderView::Undecided { code: "30012" });
            let deposit_at = stage.pay(*success_after, false);
            stage.close(deposit_at);
        }
        Script::PaidTwice { after, again_after } => {
            let deposit_at = stage.pay(*after, false);
            stage.close(deposit_at);
            stage.life.orders.push(OrderLife { number: numbers(), views: Vec::new() });
            let deposit_at = stage.pay(*again_after, false);
            stage.close(deposit_at);
        }
        Script::Reserved { after } => stage.approve(*after),
        Script::Captured { after, deposit_after } => {
            stage.approve(*after);
            stage.deposit(*deposit_after, true);
            stage.close(later(started, *deposit_after));
        }
        // SEPA returns are not documented for this gateway; a staff credit is what the books see.
        Script::Refunded { after, refund_after } | Script::Returned { after, return_after: refund_after } => {
            let deposit_at = stage.pay(*after, is_card(request));
            let closed_at = stage.close(deposit_at);
            // No refund before the day-end closing (fact sheet checkout b.2).
            stage.refund(later(started, *refund_after).max(later(closed_at, hours(1))), numbers());
        }
    }
    stage.life.news.sort_by_key(|n| n.at);
    stage.life.moves.sort_by_key(|m| m.at);
    stage.life
}

/// Cards are approved first and captured a moment later (autoDeposit); instant methods skip that.
fn is_card(request: &Submission) -> bool {
    matches!(request.payment_method.as_deref(), None | Some("CCARD" | "MAESTRO"))
}

fn exists(state: &'static str, payments: Vec<PaymentView>, credits: Vec<CreditView>) -> OrderView {
    OrderView::Exists { state, payments, credits }
}

struct Stage {
    started: Timestamp,
    amount: Amount,
    life: Life,
}

impl Stage {
    fn number(&self) -> GatewayOrderNumber {
        self.life.orders.last().expect("a payment has an order from the start").number.clone()
    }

    fn see(&mut self, after: SignedDuration, view: OrderView) {
        self.see_at(later(self.started, after), view);
    }

    fn see_at(&mut self, at: Timestamp, view: OrderView) {
        self.life.orders.last_mut().expect("a payment has an order from the start").views.push((at, view));
    }

    fn told(&mut self, after: SignedDuration, state: PaymentState, with_number: bool, code: Option<&'static str>) {
        let number = with_number.then(|| self.number());
        let at = later(later(self.started, after), seconds(2));
        self.life.news.push(News { at, what: Told::Confirmation { state, number, error_code: code } });
    }

    fn payment(&self, state: &'static str, deposited: Amount) -> Vec<PaymentView> {
        vec![PaymentView { number: self.number().to_string(), state, approved: self.amount, deposited }]
    }

    fn moved(&mut self, at: Timestamp, kind: MoveKind, object: String) {
        let number = Some(self.number());
        self.life.moves.push(Move { at, kind, amount: self.amount, transaction_id: object, number });
    }

    fn payment_object(&self) -> String {
        format!("payment:{}", self.number())
    }

    fn approve(&mut self, after: SignedDuration) {
        let payment = self.payment("payment_approved", Amount::zero(self.amount.currency()));
        self.see(after, exists("ORDERED", payment, Vec::new()));
        self.told(after, PaymentState::Success, true, None);
        self.moved(later(self.started, after), MoveKind::Hold, self.payment_object());
    }

    fn deposit(&mut self, after: SignedDuration, was_held: bool) {
        let payment = self.payment("payment_deposited", self.amount);
        self.see(after, exists("ORDERED", payment, Vec::new()));
        let at = later(self.started, after);
        if was_held {
            self.moved(at, MoveKind::Release, self.payment_object());
        }
        self.moved(at, MoveKind::In, self.payment_object());
    }

    /// A success that needs nobody's hand: approved and deposited, or deposited at once.
    fn pay(&mut self, after: SignedDuration, approved_first: bool) -> Timestamp {
        let deposit_after = if approved_first {
            self.approve(after);
            after + minutes(5)
        } else {
            self.told(after, PaymentState::Success, true, None);
            after
        };
        self.deposit(deposit_after, approved_first);
        later(self.started, deposit_after)
    }

    /// The day-end closing: from now on only a refund changes the order.
    fn close(&mut self, deposited_at: Timestamp) -> Timestamp {
        let at = day_end(deposited_at);
        let payment = self.payment("payment_closed", self.amount);
        self.see_at(at, exists("REFUNDABLE", payment, Vec::new()));
        at
    }

    fn refund(&mut self, at: Timestamp, credit_number: GatewayOrderNumber) {
        let credit = |state| CreditView { number: credit_number.to_string(), state, amount: self.amount };
        let (open, closed) = (credit("credit_refunded"), credit("credit_closed"));
        let payment = self.payment("payment_closed", self.amount);
        self.see_at(at, exists("REFUNDABLE", payment.clone(), vec![open]));
        self.see_at(day_end(at), exists("REFUNDABLE", payment, vec![closed]));
        self.moved(at, MoveKind::Out, format!("credit:{credit_number}"));
    }
}
