//! A shop's day, drawn from a seed: who buys what, what really becomes of it, and what goes wrong on
//! the way of the news. Pure: the same seed is the same scene.

use super::class::Class;
use crate::core::message::Dialect;
use crate::core::submission::Submission;
use crate::sandbox::prng::Prng;
use crate::sandbox::{Ending, Fate, Forgery, Manner, Outage, Plan, PlannedForgery, Script, Writing};
use crate::words::id::{MerchantName, OrderNumber, RequestId};
use crate::words::money::Amount;
use crate::words::time::{SignedDuration, Timestamp, days, hours, later, minutes, seconds};

/// The day the scene plays on: a Monday, so that bank days follow.
const DAY: &str = "2026-03-02T08:00:00[Europe/Vienna]";
/// How long the shop is open.
pub const OPEN_FOR: SignedDuration = hours(9);
/// How long the days behind it are watched: the last return comes on the seventh, and is looked for
/// seven days after the money came.
pub const WATCH_FOR: SignedDuration = days(12);

/// Everything that will happen.
#[derive(Clone, Debug)]
pub struct Scene {
    pub start: Timestamp,
    /// In order of time.
    pub acts: Vec<Act>,
    pub outages: Vec<Outage>,
    /// When the daemon is killed without warning, in order of time.
    pub kills: Vec<Kill>,
}

/// One request of the shop.
#[derive(Clone, Debug)]
pub struct Act {
    pub at: Timestamp,
    pub class: Class,
    pub request: Submission,
    /// The shop generates its gateway order number before (`checkout`).
    pub asks_number: bool,
    /// A follow-up: the request whose transaction it refers to.
    pub follows: Option<RequestId>,
    pub script: Script,
    pub plan: Plan,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kill {
    pub at: Timestamp,
    /// The daemon has kept notifications and not judged them when it is killed.
    pub between_keep_and_judge: bool,
}

impl Scene {
    /// Draws the scene of a seed.
    pub fn draw(seed: u64) -> Scene {
        let start = DAY.parse::<jiff::Zoned>().expect("a fixed time in a bundled zone").timestamp();
        let prng = Prng::new(seed).fork("scene");
        let mut stage = Stage { start, prng, acts: Vec::new() };
        for class in Class::ALL {
            for n in 0..class.orders() {
                stage.cast(class, n);
            }
        }
        stage.acts.sort_by_key(|act| act.at);
        let outage = |merchant: &str, from, lasts, manner| {
            let from = later(start, from);
            Outage { merchant: MerchantName::new(merchant).ok(), from, until: later(from, lasts), manner }
        };
        let outages = vec![
            outage("shop-eu", hours(2), minutes(25), Manner::Unavailable),
            outage("shop-eu", hours(2) + minutes(25), minutes(15), Manner::Page),
            outage("shop-at", hours(5), minutes(20), Manner::Truncated),
            outage("shop-at", hours(5) + minutes(20), minutes(20), Manner::TooMany { retry_after_seconds: 300 }),
        ];
        let kill = |age, between_keep_and_judge| Kill { at: later(start, age), between_keep_and_judge };
        let kills = vec![
            kill(minutes(70), false),
            kill(hours(3), true),
            kill(hours(4) + minutes(40), false),
            kill(hours(6) + minutes(30), true),
            kill(days(1) + hours(3), false),
            kill(days(4) + hours(6), false),
        ];
        Scene { start, acts: stage.acts, outages, kills }
    }

    /// When the last thing that the daemon must find out is behind it.
    pub fn end(&self) -> Timestamp {
        later(later(self.start, OPEN_FOR), WATCH_FOR)
    }

    pub fn closing_time(&self) -> Timestamp {
        later(self.start, OPEN_FOR)
    }
}

struct Stage {
    start: Timestamp,
    prng: Prng,
    acts: Vec<Act>,
}

const REDIRECTS: [&str; 4] = ["sofortbanking", "eps", "giropay", "ideal"];
const CHECKOUT_METHODS: [&str; 4] = ["CCARD", "SOFORTUEBERWEISUNG", "EPS", "PAYPAL"];

impl Stage {
    fn cast(&mut self, class: Class, n: u32) {
        let dialect = class.dialect(n);
        let mut prng = self.prng.fork(&format!("{} {n}", class.name()));
        let amount = price(&mut prng);
        let after = prng.between(minutes(1), minutes(9));
        let lost = vec![Fate::Lost; 3];
        let odd = n % 2 == 1;
        let mut plan = Plan::default();
        let mut asks_number = true;
        let script = match class {
            Class::Told => {
                // A third of the checkout shop's orders learn their number from the confirmation only.
                asks_number = !n.is_multiple_of(3);
                Script::Success { after }
            }
            Class::Lost => {
                plan.fates = lost;
                Script::Success { after }
            }
            Class::Twice => {
                asks_number = odd;
                plan.fates = vec![Fate::Twice { again_after: prng.between(seconds(20), hours(3)) }];
                Script::Success { after }
            }
            Class::Late => {
                plan.fates = vec![Fate::Late { by: prng.between(hours(2), hours(30)) }];
                Script::Success { after }
            }
            Class::Reordered => {
                plan.fates = vec![Fate::Overtaken];
                Script::FailedThenSuccess { failed_after: after, success_after: after + minutes(6) }
            }
            Class::Unsigned => {
                plan.format = Writing::ALL[1 + n as usize % 4];
                Script::Success { after }
            }
            Class::Failed => {
                plan.fates = if odd { lost } else { Vec::new() };
                Script::Failed { after }
            }
            Class::Cancelled => Script::Cancelled { after },
            Class::Abandoned => Script::Abandoned { timeout: minutes(31) + after },
            Class::NeverReached => Script::NeverStarted,
            Class::PendingPaid => {
                plan.fates = if odd { lost } else { Vec::new() };
                Script::Pending { lasts: prng.between(hours(2), hours(20)), then: Ending::Success }
            }
            Class::PendingFailed => Script::Pending { lasts: prng.between(hours(2), hours(20)), then: Ending::Failed },
            Class::LateSuccess => {
                plan.fates = if odd { lost } else { Vec::new() };
                Script::FailedThenSuccess { failed_after: after, success_after: prng.between(hours(3), hours(20)) }
            }
            Class::SilentProvider => {
                plan.fates = if odd { lost } else { Vec::new() };
                Script::ProviderSilence { after, success_after: prng.between(hours(1), hours(10)) }
            }
            Class::PaidTwice => Script::PaidTwice { after, again_after: after + minutes(8) },
            Class::TwoRequests => Script::Success { after },
            Class::WrongAmount => {
                plan.fates = if odd { lost } else { Vec::new() };
                let less = Amount::new(amount.value() - rust_decimal::Decimal::ONE, amount.currency());
                plan.pays_instead = less.ok();
                Script::Success { after }
            }
            Class::Returned => {
                if odd {
                    plan.fates = vec![Fate::Arrives, Fate::Lost];
                }
                let after = prng.between(hours(20), hours(40));
                Script::Returned { after, return_after: after + prng.between(days(2), days(4)) }
            }
            Class::Refunded => Script::Success { after },
            Class::Captured => match dialect {
                Dialect::Wpg => Script::Reserved { after },
                Dialect::Checkout => Script::Captured { after, deposit_after: prng.between(hours(1), hours(10)) },
            },
            Class::Held => Script::Reserved { after },
            Class::ForgedUnpaid => {
                let kind = Forgery::ALL[(n / 2) as usize % Forgery::ALL.len()];
                plan.forgeries = vec![PlannedForgery { after: after + minutes(2), kind }];
                if odd { Script::Abandoned { timeout: minutes(31) + after } } else { Script::Failed { after } }
            }
            Class::ForgedPaid => {
                let kind = [Forgery::UnsignedFailure, Forgery::UnsignedCancel, Forgery::AlteredAmount][n as usize % 3];
                let early = PlannedForgery { after: seconds(30), kind };
                plan.forgeries = vec![early, PlannedForgery { after: after + minutes(3), kind }];
                Script::Success { after }
            }
            Class::Unknowable => {
                asks_number = false;
                plan.fates = lost;
                match n % 4 {
                    0 => Script::Abandoned { timeout: minutes(31) + after },
                    1 => Script::Cancelled { after },
                    _ => Script::Success { after },
                }
            }
        };
        let at = later(self.start, prng.between(minutes(2), OPEN_FOR - hours(1)));
        let kind = match class {
            Class::Captured | Class::Held => "authorization",
            _ => "debit",
        };
        let request = self.request(class, dialect, n, kind, amount, &mut prng);
        self.follow_ups(class, dialect, at, &request, &mut prng);
        let asks_number = asks_number && dialect == Dialect::Checkout;
        self.acts.push(Act { at, class, request, asks_number, follows: None, script, plan });
    }

    fn request(
        &self,
        class: Class,
        dialect: Dialect,
        n: u32,
        kind: &str,
        amount: Amount,
        prng: &mut Prng,
    ) -> Submission {
        let (merchant, method) = match dialect {
            Dialect::Checkout => ("shop-at", *prng.pick(&CHECKOUT_METHODS)),
            Dialect::Wpg => ("shop-eu", wpg_method(class, prng)),
        };
        let is_card = method == "creditcard";
        let transaction_type = match dialect {
            Dialect::Checkout => None,
            Dialect::Wpg if is_card && kind == "debit" => Some("purchase".to_owned()),
            Dialect::Wpg => Some(kind.to_owned()),
        };
        let text = |text: &str| text.to_owned();
        Submission {
            merchant: MerchantName::new(merchant).expect("two fixed names, both good"),
            request_id: RequestId::new(&prng.uuid()).expect("a UUID is an id"),
            order_number: OrderNumber::new(&format!("{}-{n:03}", class.prefix())).ok(),
            transaction_type,
            amount,
            payment_method: Some(text(method)),
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

    /// Requests of the same order that the shop makes later.
    fn follow_ups(&mut self, class: Class, dialect: Dialect, at: Timestamp, first: &Submission, prng: &mut Prng) {
        let id = RequestId::new(&prng.uuid()).expect("a UUID is an id");
        let success = Script::Success { after: seconds(4) };
        let mut plan = Plan::default();
        if prng.chance(500) {
            plan.fates = vec![Fate::Lost];
        }
        let follow = |wait: SignedDuration, kind: &str| Act {
            at: later(at, wait),
            class,
            request: Submission { request_id: id.clone(), transaction_type: Some(kind.to_owned()), ..first.clone() },
            asks_number: false,
            follows: Some(first.request_id.clone()),
            script: success.clone(),
            plan: plan.clone(),
        };
        match (class, dialect) {
            (Class::Refunded, Dialect::Wpg) => self.acts.push(follow(hours(3), "refund-purchase")),
            (Class::Captured, Dialect::Wpg) => self.acts.push(follow(hours(5), "capture-authorization")),
            (Class::TwoRequests, _) => {
                let again = follow(minutes(12), first.transaction_type.as_deref().unwrap_or_default());
                let request = Submission { transaction_type: first.transaction_type.clone(), ..again.request };
                let asks_number = dialect == Dialect::Checkout;
                let script = Script::Success { after: minutes(4) };
                self.acts.push(Act { request, follows: None, asks_number, script, ..again });
            }
            _ => {}
        }
    }
}

/// Cards where the class needs one (holds and refunds), SEPA where a bank can return.
fn wpg_method(class: Class, prng: &mut Prng) -> &'static str {
    match class {
        Class::Captured | Class::Held | Class::Refunded => "creditcard",
        Class::Returned => "sepadirectdebit",
        Class::PendingPaid | Class::PendingFailed | Class::LateSuccess => "sofortbanking",
        _ if prng.chance(400) => "creditcard",
        _ => prng.pick::<&'static str>(&REDIRECTS),
    }
}

/// 5.00 to 249.99 EUR.
fn price(prng: &mut Prng) -> Amount {
    let cents = i64::try_from(500 + prng.below(24_500)).unwrap_or(500);
    let euro = crate::words::money::Currency::parse("EUR").expect("EUR is in the table");
    Amount::new(rust_decimal::Decimal::new(cents, 2), euro).expect("two digits are what EUR has")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_scene_holds_every_class_in_the_dialects_it_has() {
        let scene = Scene::draw(1);
        for class in Class::ALL {
            let orders: BTreeSet<_> =
                scene.acts.iter().filter(|a| a.class == class).map(|a| a.request.order_number.clone()).collect();
            assert_eq!(orders.len(), class.orders() as usize, "{}", class.name());
        }
        let all: BTreeSet<_> = scene.acts.iter().map(|a| a.request.order_number.clone()).collect();
        assert!(all.len() > 300, "a few hundred orders: {}", all.len());
        for merchant in ["shop-eu", "shop-at"] {
            assert!(scene.acts.iter().filter(|a| a.request.merchant.as_str() == merchant).count() > 100);
        }
        let forged: BTreeSet<_> = scene.acts.iter().flat_map(|a| &a.plan.forgeries).map(|f| f.kind).collect();
        assert_eq!(forged.len(), Forgery::ALL.len(), "every forgery is tried");
        assert!(scene.kills.iter().any(|kill| kill.between_keep_and_judge));
    }

    #[test]
    fn the_seed_is_the_scene() {
        let told = |seed| format!("{:?}", Scene::draw(seed).acts);
        assert_eq!(told(4), told(4));
        assert_ne!(told(4), told(5));
    }

    #[test]
    fn only_the_unknowable_are_unknowable() {
        for act in Scene::draw(2).acts {
            let is_numberless = act.request.merchant.as_str() == "shop-at" && !act.asks_number;
            let is_told = act.plan.fates.iter().all(|fate| *fate != Fate::Lost);
            let is_success = matches!(act.script, Script::Success { .. });
            assert_eq!(is_numberless && !(is_told && is_success), act.class == Class::Unknowable, "{act:?}");
        }
    }

    #[test]
    fn what_follows_comes_after_what_it_follows() {
        let scene = Scene::draw(3);
        for act in scene.acts.iter().filter(|act| act.follows.is_some()) {
            let first = scene.acts.iter().find(|a| Some(&a.request.request_id) == act.follows.as_ref());
            assert!(first.is_some_and(|first| later(first.at, hours(1)) < act.at));
        }
        assert!(scene.acts.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }
}
