//! What the shops' customers do: the orders of a seed, laid out in advance.

use std::collections::BTreeSet;

use reconciled::core::submission::Submission;
use reconciled::sandbox::prng::Prng;
use reconciled::sandbox::{Ending, Fate, Forgery, Plan, PlannedForgery, Script, Shop, Writing};
use reconciled::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, RequestId};
use reconciled::words::money::Amount;
use reconciled::words::time::{SignedDuration, Timestamp, days, hours, later, minutes, seconds};

use crate::accounts::{Kind, kind};
use crate::faults::{Class, Swarm, Tally};
use crate::passing::Passing;

/// One request of a shop, with everything that will become of it.
#[derive(Clone, Debug)]
pub struct Order {
    pub submission: Submission,
    pub script: Script,
    pub plan: Plan,
    /// The daemon hears of it only so much later: notifications may come before.
    pub told_after: SignedDuration,
    /// `checkout`: generated before, and told to the daemon at once or as an amendment.
    pub number: Number,
    pub is_kept: bool,
    /// Digests of the gateway's own messages about it that the daemon thanked for.
    pub heard: BTreeSet<String>,
    /// The order this is a follow-up of, and those that follow it up.
    pub root: Option<usize>,
    pub follow_ups: Vec<usize>,
    /// It goes through the recording proxy.
    pub passing: Option<Passing>,
    /// The shop told it over the API, and was thanked.
    pub is_told: bool,
    /// Request-ids of operations on it that are no submissions.
    pub operations: Vec<RequestId>,
}

/// When the daemon learns the gateway order number from the shop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Number {
    Never,
    AtOnce,
    Later(GatewayOrderNumber),
}

impl Order {
    pub fn merchant(&self) -> &MerchantName {
        &self.submission.merchant
    }

    pub fn request_id(&self) -> &RequestId {
        &self.submission.request_id
    }

    /// Whether the gateway ever says, and means, that it failed or was called off.
    pub fn may_fail(&self) -> bool {
        match &self.script {
            Script::Cancelled { .. } | Script::Failed { .. } | Script::FailedThenSuccess { .. } => true,
            Script::Pending { then, .. } => *then == Ending::Failed,
            Script::NeverStarted
            | Script::Abandoned { .. }
            | Script::Success { .. }
            | Script::ProviderSilence { .. }
            | Script::PaidTwice { .. }
            | Script::Reserved { .. }
            | Script::Captured { .. }
            | Script::Returned { .. }
            | Script::Refunded { .. } => false,
        }
    }

    /// Whether the payer never pays.
    pub fn is_dead(&self) -> bool {
        match &self.script {
            Script::NeverStarted | Script::Abandoned { .. } | Script::Cancelled { .. } | Script::Failed { .. } => true,
            Script::Pending { then, .. } => *then == Ending::Failed,
            _ => false,
        }
    }
}

fn script(prng: &mut Prng, span: SignedDuration) -> Script {
    let soon = |prng: &mut Prng| prng.between(seconds(5), minutes(25));
    let long = |prng: &mut Prng| prng.between(minutes(30), (span / 4).min(hours(30)));
    let after = soon(prng);
    match prng.below(100) {
        0..44 => Script::Success { after },
        44..50 => Script::Failed { after },
        50..55 => Script::Cancelled { after },
        55..63 => Script::Abandoned { timeout: minutes(31) },
        63..66 => Script::NeverStarted,
        66..71 => Script::Pending { lasts: long(prng), then: Ending::Success },
        71..74 => Script::Pending { lasts: long(prng), then: Ending::Failed },
        74..79 => Script::FailedThenSuccess { failed_after: after, success_after: after + soon(prng).max(minutes(1)) },
        79..81 => Script::FailedThenSuccess { failed_after: after, success_after: after + long(prng) },
        81..84 => Script::ProviderSilence { after, success_after: after + long(prng) },
        84..87 => Script::PaidTwice { after, again_after: after + prng.between(minutes(1), minutes(20)) },
        87..93 => Script::Reserved { after },
        93..95 => Script::Captured { after, deposit_after: after + long(prng) },
        95..97 => Script::Returned { after, return_after: after + prng.between(hours(20), days(2)) },
        _ => Script::Refunded { after, refund_after: after + long(prng) },
    }
}

fn amount(prng: &mut Prng) -> Amount {
    let currency = *prng.pick(&["EUR", "EUR", "EUR", "USD", "JPY", "KWD"]);
    let (whole, part) = (1 + prng.below(999), prng.below(100));
    let text = match currency {
        "JPY" => format!("{whole}"),
        "KWD" => format!("{whole}.{part:03}"),
        _ => format!("{whole}.{part:02}"),
    };
    Amount::parse(&text, currency).expect("money")
}

/// Another amount than was asked for.
fn other(amount: Amount, prng: &mut Prng) -> Amount {
    let more = Amount::new((1 + prng.below(20)).into(), amount.currency()).expect("whole units fit");
    let less = amount.checked_add(more.negated()).filter(|a| !a.is_zero() && !a.is_negative());
    if prng.chance(500) { less.unwrap_or(more) } else { amount.checked_add(more).unwrap_or(more) }
}

/// The submission and its circumstances, for one payment.
pub fn order(n: usize, shops: &[Shop], span: SignedDuration, swarm: &Swarm, prng: &mut Prng) -> Order {
    let shop = prng.pick(shops);
    let kind = kind(shop);
    let script = script(prng, span);
    let amount = amount(prng);
    let method = match kind {
        Kind::Wpg => *prng.pick(&["creditcard", "creditcard", "sofortbanking", "eps", "paypal", "sepadirectdebit"]),
        Kind::Checkout => *prng.pick(&["CCARD", "CCARD", "SOFORTUEBERWEISUNG", "EPS", "PAYPAL"]),
    };
    let method =
        if matches!(script, Script::Returned { .. }) && kind == Kind::Wpg { "sepadirectdebit" } else { method };
    let is_hold = matches!(script, Script::Reserved { .. } | Script::Captured { .. });
    let money_type = match (method, is_hold) {
        (_, true) => "authorization",
        ("creditcard", false) => "purchase",
        _ => "debit",
    };
    // Holds are for cards and wallets; the sandbox plays them the same.
    let method = if is_hold && kind == Kind::Wpg { "creditcard" } else { method };
    let submission = Submission {
        merchant: shop.account.name.clone(),
        request_id: RequestId::new(&format!("r{n}-{}", prng.uuid())).expect("an id"),
        order_number: OrderNumber::new(&format!("order-{n}")).ok(),
        transaction_type: (kind == Kind::Wpg).then(|| money_type.to_owned()),
        amount,
        payment_method: Some(method.to_owned()),
        parent_transaction_id: None,
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    };
    Order {
        plan: plan(shop, &script, amount, swarm, prng),
        script,
        submission,
        told_after: if prng.chance(60) { prng.between(seconds(1), minutes(20)) } else { SignedDuration::ZERO },
        number: Number::Never,
        is_kept: false,
        heard: BTreeSet::new(),
        root: None,
        follow_ups: Vec::new(),
        passing: None,
        is_told: false,
        operations: Vec::new(),
    }
}

fn plan(shop: &Shop, script: &Script, amount: Amount, swarm: &Swarm, prng: &mut Prng) -> Plan {
    let fates = (0..script.notifications(shop.wpg().is_some())).map(|_| {
        if swarm.strikes(Class::LostNotification, 400, prng) {
            Fate::Lost
        } else if swarm.strikes(Class::DuplicatedNotification, 300, prng) {
            Fate::Twice { again_after: prng.between(seconds(1), hours(3)) }
        } else if swarm.strikes(Class::LateNotification, 300, prng) {
            Fate::Late { by: prng.between(minutes(1), hours(30)) }
        } else if swarm.strikes(Class::OvertakenNotification, 300, prng) {
            Fate::Overtaken
        } else {
            Fate::Arrives
        }
    });
    let fates: Vec<Fate> = fates.collect();
    let mut forgeries = Vec::new();
    while forgeries.len() < 4 && swarm.strikes(Class::ForgedNotification, 200, prng) {
        let kind = *prng.pick(&Forgery::ALL);
        forgeries.push(PlannedForgery { after: prng.between(seconds(1), hours(4)), kind });
    }
    if swarm.strikes(Class::ContradictingNotification, 150, prng) {
        let kind = *prng.pick(&[Forgery::UnsignedFailure, Forgery::UnsignedCancel]);
        forgeries.push(PlannedForgery { after: prng.between(seconds(1), hours(4)), kind });
    }
    let scheme = shop.wpg().and_then(|wpg| wpg.scheme);
    let format = if prng.chance(800) {
        match scheme {
            Some(reconciled::core::message::Scheme::JsonSigned) => Writing::JsonSigned,
            Some(_) => Writing::Nvp,
            None => Writing::Xml,
        }
    } else {
        *prng.pick(&Writing::ALL)
    };
    let pays_instead = swarm.strikes(Class::WrongAmount, 60, prng).then(|| other(amount, prng));
    Plan { format, fates, forgeries, pays_instead }
}

/// Counts what a plan does once its payment really begins.
pub fn count(order: &Order, tally: &mut Tally) {
    for fate in &order.plan.fates {
        match fate {
            Fate::Arrives => {}
            Fate::Lost => tally.hit(Class::LostNotification),
            Fate::Twice { .. } => tally.hit(Class::DuplicatedNotification),
            Fate::Late { .. } => tally.hit(Class::LateNotification),
            Fate::Overtaken => tally.hit(Class::OvertakenNotification),
        }
    }
    if order.plan.pays_instead.is_some() && !order.is_dead() {
        tally.hit(Class::WrongAmount);
    }
}

/// When the orders of a seed come: in rushes, as campaigns and lunch breaks bring them.
pub fn arrivals(count: usize, from: Timestamp, span: SignedDuration, prng: &mut Prng) -> Vec<Timestamp> {
    let mut times = Vec::new();
    while times.len() < count {
        let rush = later(from, prng.between(SignedDuration::ZERO, span));
        let size = 1 + prng.below(24) as usize;
        let width = prng.between(seconds(1), minutes(10));
        times
            .extend((0..size.min(count - times.len())).map(|_| later(rush, prng.between(SignedDuration::ZERO, width))));
    }
    times.sort_unstable();
    times
}
