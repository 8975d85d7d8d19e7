//! What the shops do: buy, submit, capture and void.

use super::*;

impl World {
    pub(super) fn buy(&mut self, n: usize) {
        if self.proxy.carries(self.orders[n].merchant()) {
            return self.buy_through_the_proxy(n);
        }
        let is_checkout = self.kind(n) == Kind::Checkout;
        if is_checkout && self.prng.chance(600) {
            let number = self.gateway.generate_order_number();
            self.orders[n].submission.gateway_order_number = Some(number.clone());
            self.orders[n].number = Number::AtOnce;
            if self.prng.chance(300) {
                self.orders[n].number = Number::Later(number);
            }
        }
        let order = self.orders[n].clone();
        shop::count(&order, &mut self.tally);
        let response = self.gateway.submit(self.machine.t, &order.submission, &order.script, &order.plan);
        let response = response.expect("the shop never uses a request-id or a number twice");
        self.say(&format!("order {n} {} {} {:?}", order.merchant(), order.request_id(), order.script));
        if let Number::Later(_) = order.number {
            self.orders[n].submission.gateway_order_number = None;
            let wait = self.prng.between(seconds(30), minutes(20)) + order.told_after;
            self.after(wait, Event::Amend(n));
        }
        self.after(order.told_after, Event::Submit(n));
        if self.swarm.strikes(Class::LostResponse, 250, &mut self.prng) {
            self.tally.hit(Class::LostResponse);
        } else {
            self.after(order.told_after + seconds(2), Event::Respond(n, response));
        }
        if self.prng.chance(30) {
            let wait = order.told_after + self.prng.between(seconds(1), hours(2));
            self.after(wait, Event::Resubmit(n));
        }
        if self.swarm.strikes(Class::ConflictingSubmission, 60, &mut self.prng) {
            let wait = order.told_after + self.prng.between(seconds(30), hours(2));
            self.after(wait, Event::Conflict(n));
        }
        let is_hold = matches!(order.script, Script::Reserved { .. });
        if self.kind(n) == Kind::Wpg && is_hold && order.root.is_none() && self.prng.chance(600) {
            let wait = order.told_after + self.prng.between(minutes(40), hours(6));
            self.after(wait, Event::FollowUp(n));
        }
    }

    pub(super) fn kind(&self, n: usize) -> Kind {
        let shop = self.shops.iter().find(|s| s.account.name == *self.orders[n].merchant());
        accounts::kind(shop.expect("orders are of known shops"))
    }

    pub(super) fn submit(&mut self, n: usize, is_first: bool) {
        let submission = Box::new(self.orders[n].submission.clone());
        self.jobs.push(Job::Submit { order: n, submission, is_first });
    }

    /// The shop captures or voids a hold, under a request-id of its own.
    pub(super) fn follow_up(&mut self, n: usize) {
        let root = self.orders[n].clone();
        let Some(held) = self.gateway.paid_transaction(root.merchant(), root.request_id()) else { return };
        let kind = if self.prng.chance(700) { "capture-authorization" } else { "void-authorization" };
        let m = self.orders.len();
        let submission = Submission {
            request_id: RequestId::new(&format!("f{m}-{}", self.prng.uuid())).expect("an id"),
            order_number: None,
            transaction_type: Some(kind.to_owned()),
            amount: root.plan.pays_instead.unwrap_or(root.submission.amount),
            parent_transaction_id: TransactionId::new(&held).ok(),
            ..root.submission.clone()
        };
        let follow_up = Order {
            submission,
            script: Script::Success { after: seconds(4) },
            plan: Plan { fates: root.plan.fates.clone(), format: root.plan.format, ..Plan::default() },
            told_after: SignedDuration::ZERO,
            number: Number::Never,
            is_kept: false,
            heard: BTreeSet::new(),
            root: Some(n),
            follow_ups: Vec::new(),
            passing: None,
            is_told: false,
            operations: Vec::new(),
        };
        self.by_request.insert((follow_up.merchant().clone(), follow_up.request_id().clone()), m);
        self.orders.push(follow_up);
        self.orders[n].follow_ups.push(m);
        self.buy(m);
    }
}
