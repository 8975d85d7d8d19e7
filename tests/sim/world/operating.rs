//! Operations that pass the recording proxy and are no submissions: voids, captures and refunds without an amount, and
//! the back-end operations of `checkout`. What they do must be in the books soon.

use reconciled::core::account::Contract;
use reconciled::core::booking::Kind as Booked;
use reconciled::engine::{Operation as Named, Target, books};
use reconciled::sandbox::{Coming, Fate, MoveKind, Of};
use reconciled::store::View;
use reconciled::wire::checkout::operations::{self as back_end, Money};
use reconciled::wire::wpg::operations::{self as follow_up, Endpoint, FollowUp, MerchantAccount};
use reconciled::words::id::GatewayOrderNumber;

use super::*;
use crate::checker::stands_for;
use crate::passing::{BOOKED_WITHIN, Item, Operation};

impl World {
    /// Plans what the shop does with an order that has arrived.
    pub(super) fn will_operate(&mut self, n: usize) {
        let order = &self.orders[n];
        if order.root.is_some() {
            return;
        }
        let is_card = order.submission.payment_method.as_deref() == Some("creditcard");
        let (after, per_mille, is_hold) = match (self.kind(n), &order.script) {
            (Kind::Wpg, Script::Reserved { after }) => (*after, 800, true),
            (Kind::Wpg, Script::Success { after }) if is_card => (*after, 700, false),
            (Kind::Checkout, Script::Reserved { after }) => (*after, 800, false),
            (Kind::Checkout, Script::Success { after }) => (*after, 700, false),
            _ => return,
        };
        let prng = &mut self.proxy.prng;
        let wait = match prng.below(3) {
            0 => prng.between(seconds(10), minutes(30)),
            1 => prng.between(minutes(30), hours(6)),
            _ => prng.between(hours(20), hours(40)),
        };
        if prng.chance(per_mille) {
            self.after(after + wait, Event::Operate(n));
        } else if is_hold {
            self.after(after + wait, Event::FollowUp(n));
        }
    }

    pub(super) fn operate(&mut self, n: usize) {
        if !self.proxy.is_up {
            let wait = self.proxy.prng.between(seconds(20), minutes(10));
            return self.after(wait, Event::Operate(n));
        }
        let nth = self.proxy.operations.len();
        let Some(operation) = self.operation(n, nth) else { return };
        let item = Item::Operation { nth, operation: operation.passed.clone() };
        self.proxy.operations.push(operation);
        self.comes_by(item);
    }

    fn operation(&mut self, n: usize, nth: usize) -> Option<Operation> {
        let order = self.orders[n].clone();
        let merchant = order.merchant().clone();
        let shop = self.shops.iter().find(|s| s.account.name == merchant).expect("orders are of known shops").clone();
        let named = |target, name: &str| Named { merchant: merchant.clone(), target, name: name.to_owned() };
        let new = |passed, request, request_id, is_heard| Operation {
            order: n,
            passed,
            request,
            request_id,
            record: None,
            is_linked: false,
            is_heard,
            has_arrived: false,
            moves: Vec::new(),
            due: None,
        };
        match &shop.account.contract {
            Contract::Wpg(wpg) => {
                let parent = TransactionId::new(&self.gateway.paid_transaction(&merchant, order.request_id())?).ok()?;
                let name = match order.script {
                    Script::Reserved { .. } if self.proxy.prng.chance(600) => "void-authorization",
                    Script::Reserved { .. } => "capture-authorization",
                    _ => "refund-purchase",
                };
                let request_id = RequestId::new(&format!("o{nth}-{}", self.proxy.prng.uuid())).expect("an id");
                let xml = follow_up::xml_body(&FollowUp {
                    merchant_account: MerchantAccount::Id(&wpg.merchant_account_ids[0]),
                    request_id: request_id.as_str(),
                    transaction_type: name,
                    parent_transaction_id: parent.as_str(),
                    amount: None,
                    payment_method: None,
                    order_number: None,
                    descriptor: None,
                    ip_address: None,
                    periodic: None,
                    payee: None,
                    basket: &[],
                });
                let is_heard = !self.proxy.strikes(Class::OperationUnheard, 800);
                let fate = if is_heard { Fate::Arrives } else { Fate::Lost };
                let coming = Coming {
                    merchant: merchant.clone(),
                    of: Of::FollowUps,
                    request_id: Some(request_id.clone()),
                    order_number: None,
                    times: 1,
                    play: Script::Success { after: self.proxy.prng.between(seconds(0), seconds(20)) },
                    plan: Plan { format: order.plan.format, fates: vec![fate], ..Plan::default() },
                };
                self.gateway.play(coming).expect("a known shop, and room for it");
                let request = (follow_up::url(accounts::BASE, Endpoint::Payments), xml.into_bytes());
                Some(new(named(Target::Transaction(parent), name), request, Some(request_id), is_heard))
            }
            Contract::Checkout(contract) if contract.can_ask => {
                let truth = self.gateway.payment_truth(&merchant, order.request_id(), self.machine.t)?;
                let learnt = || truth.moves.first()?.transaction_id.strip_prefix("payment:").map(str::to_owned);
                let own = order.submission.gateway_order_number.as_ref().map(ToString::to_string);
                let number = own.or_else(learnt)?;
                let amount = order.plan.pays_instead.unwrap_or(order.submission.amount);
                let (value, currency) = (amount.value_text(), amount.currency());
                let money = Money { value: &value, currency: currency.code() };
                let (order_number, basket) = (number.as_str(), &[][..]);
                let (name, operation) = match order.script {
                    Script::Reserved { .. } if self.proxy.prng.chance(300) => {
                        ("approveReversal", back_end::Operation::ApproveReversal { order_number })
                    }
                    Script::Reserved { .. } => (
                        "deposit",
                        back_end::Operation::Deposit {
                            order_number,
                            amount: money,
                            merchant_reference: None,
                            customer_statement: None,
                            basket,
                        },
                    ),
                    _ => (
                        "refund",
                        back_end::Operation::Refund {
                            order_number,
                            amount: money,
                            merchant_reference: None,
                            basket,
                            is_credit: false,
                        },
                    ),
                };
                let request = back_end::request(&ask::credentials(&shop, contract), &operation);
                let target = Target::GatewayOrder(GatewayOrderNumber::new(&number).ok()?);
                Some(new(named(target, name), (request.path, request.body.into_bytes()), None, false))
            }
            Contract::Checkout(_) => None,
        }
    }

    /// The operation arrives at the gateway, which does it, or refuses it.
    pub(super) fn execute(&mut self, nth: usize) -> Option<(u16, Vec<u8>)> {
        let (n, request_id) = (self.proxy.operations[nth].order, self.proxy.operations[nth].request_id.clone());
        let soon = later(self.machine.t, minutes(1));
        let before = Outside { t: soon, ..self.outside() }.moves(n);
        self.orders[n].operations.extend(request_id);
        let shop = self.shops.iter().find(|s| s.account.name == *self.orders[n].merchant()).expect("a known shop");
        let (target, body) = &self.proxy.operations[nth].request;
        let answered = ask::operate(&mut self.gateway, shop, target, body, self.machine.t);
        let after = Outside { t: soon, ..self.outside() }.moves(n);
        let moves: Vec<_> = after.into_iter().filter(|m| !before.contains(m)).collect();
        let operation = &self.proxy.operations[nth];
        self.say(&format!("{} of order {n} moves {moves:?}", operation.passed.name));
        self.tally.hit(Class::PassedOperation);
        if !self.proxy.operations[nth].is_heard && !moves.is_empty() {
            self.tally.hit(Class::OperationUnheard);
        }
        self.proxy.operations[nth].has_arrived = true;
        self.proxy.operations[nth].moves = moves;
        self.expect(nth);
        answered
    }

    /// What an operation of a known payment did must be in the books soon.
    pub(super) fn expect(&mut self, nth: usize) {
        let operation = &mut self.proxy.operations[nth];
        // What nobody submitted is in no books: whoever submits it has all of it looked up.
        let is_ours = self.orders[operation.order].is_kept;
        if is_ours && operation.is_linked && !operation.moves.is_empty() && operation.due.is_none() {
            operation.due = Some(later(self.machine.t, BOOKED_WITHIN));
            self.proxy.expected.push(nth);
        }
    }

    /// Something kept the daemon from looking, or its look from being answered: what is expected may take longer.
    pub(super) fn trouble(&mut self, merchant: Option<&MerchantName>) {
        let due = later(self.machine.t, BOOKED_WITHIN);
        for nth in &self.proxy.expected {
            let operation = &mut self.proxy.operations[*nth];
            if merchant.is_none_or(|merchant| operation.passed.merchant == *merchant) {
                operation.due = operation.due.max(Some(due));
            }
        }
    }

    /// Looks whether what must be in the books by now is there.
    pub(super) fn check_operations(&mut self) {
        let t = self.machine.t;
        let is_due = |nth: &usize| self.proxy.operations[*nth].due.is_some_and(|due| due < t);
        let (due, others): (Vec<usize>, Vec<usize>) = self.proxy.expected.iter().copied().partition(is_due);
        if due.is_empty() {
            return;
        }
        let process = self.process.as_ref().expect("callers ask first");
        let read = process.store.snapshot().and_then(|view| {
            due.iter().map(|nth| self.is_booked(&view, &self.proxy.operations[*nth])).collect::<Result<Vec<_>, _>>()
        });
        let Some(booked) = self.settle(read) else { return };
        self.proxy.expected = others;
        for (nth, is_booked) in due.into_iter().zip(booked) {
            if is_booked {
                self.tally.hit(Class::OperationBooked);
                continue;
            }
            let Operation { order, passed, moves, .. } = &self.proxy.operations[nth];
            let request_id = self.orders[*order].request_id();
            let name = &passed.name;
            self.checker.find(format!("order {order} {request_id}: {name} passed, and nobody looked: {moves:?}"));
        }
    }

    fn is_booked(&self, view: &dyn View, operation: &Operation) -> Result<bool, Fault> {
        let order = &self.orders[operation.order];
        let own = [operation.order];
        let mut bookings = Vec::new();
        for n in own.iter().chain(&order.follow_ups) {
            let request_id = self.orders[*n].request_id();
            let Some(number) = books::by_request(view, order.merchant(), request_id.as_str())? else { continue };
            let known = books::payment_at(view, number)?.known;
            bookings.extend(known.into_iter().filter_map(|k| k.booked.map(|b| (b.kind, k.id, b.amount))));
        }
        let is_payment = |kind: MoveKind| matches!(kind, MoveKind::In | MoveKind::Out);
        let stands =
            |m: &KnownMove| bookings.iter().any(|(kind, id, amount)| stands_for(*kind, id.as_str(), *amount, m));
        Ok(if operation.moves.iter().any(|m| is_payment(m.kind)) {
            operation.moves.iter().filter(|m| is_payment(m.kind)).all(stands)
        } else if operation.request_id.is_some() {
            operation.moves.iter().any(stands)
        } else {
            // At `checkout` what was held is no longer there.
            bookings.iter().all(|(kind, ..)| *kind != Booked::Reserved)
        })
    }
}
