//! The merchant accounts of the simulated shops: both dialects, every scheme and algorithm, one that
//! cannot ask its gateway.

use reconciled::core::account::{Account, Checkout, Contract, Product, Wpg};
use reconciled::core::message::Scheme;
use reconciled::core::policy::{AlertPolicy, Keeping, Policy, ReportPolicy};
use reconciled::core::schedule::Schedule;
use reconciled::engine::Engine;
use reconciled::sandbox::Shop;
use reconciled::wire::Key;
use reconciled::words::id::MerchantName;
use reconciled::words::time::{hours, minutes};

pub const BASE: &str = "http://gateway.test";

/// What one account is like, as the shop actor needs to know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Wpg,
    Checkout,
}

fn name(text: &str) -> MerchantName {
    MerchantName::new(text).expect("a name")
}

fn shop(text: &str, contract: Contract, redeliver: bool) -> Shop {
    let key = Key {
        secret: format!("secret-of-{text}-and-nothing-else").into(),
        user: Some(format!("user-{text}")),
        password: Some(format!("password-{text}").into()),
        pins: Vec::new(),
    };
    let waits = [minutes(5), minutes(15), minutes(60)];
    Shop {
        account: Account { name: name(text), time_zone: "Europe/Vienna".into(), contract },
        key,
        notify_url: String::new(),
        redeliver_after: if redeliver { waits.to_vec() } else { Vec::new() },
    }
}

pub fn shops() -> Vec<Shop> {
    let wpg = |text: &str, scheme| {
        let contract = Wpg {
            merchant_account_ids: vec![format!("11111111-2222-3333-4444-{text:0>12}")],
            resolver_category: None,
            scheme,
            siblings: Vec::new(),
        };
        shop(text, Contract::Wpg(contract), false)
    };
    let checkout = |text: &str, customer: &str, product, algorithm, can_ask| {
        let contract = Checkout {
            product,
            customer_id: customer.into(),
            shop_id: None,
            algorithm,
            own_id_parameter: "shopRequestId".into(),
            can_ask,
        };
        shop(text, Contract::Checkout(contract), algorithm == Scheme::Sha512)
    };
    vec![
        wpg("signed", Some(Scheme::JsonSigned)),
        wpg("nvp", Some(Scheme::NvpV2)),
        wpg("hints", None),
        checkout("hmac", "D200001", Product::Seamless, Scheme::HmacSha512, true),
        checkout("page", "D200002", Product::Page, Scheme::HmacSha512, true),
        checkout("sha", "D200003", Product::Seamless, Scheme::Sha512, true),
        checkout("md5", "D200004", Product::Page, Scheme::Md5, true),
        checkout("mute", "D200005", Product::Seamless, Scheme::HmacSha512, false),
    ]
}

pub fn kind(shop: &Shop) -> Kind {
    if shop.wpg().is_some() { Kind::Wpg } else { Kind::Checkout }
}

pub fn engine(shops: &[Shop]) -> Engine {
    let alerts = AlertPolicy {
        large: vec!["500 EUR".parse().expect("money")],
        webhook: true,
        // Tellings that only repeat are no news to the rules, and cost three records each.
        repeat_after: hours(24),
    };
    Engine {
        policy: Policy {
            accounts: shops.iter().map(|s| (s.account.name.clone(), s.account.clone())).collect(),
            schedule: Schedule::default(),
            alerts,
            report: ReportPolicy { time_zone: "Europe/Vienna".into(), ..ReportPolicy::default() },
            keeping: Keeping { ring_slots: 100_000, ..Keeping::default() },
            relays: Default::default(),
        },
        keys: shops.iter().map(|s| (s.account.name.clone(), s.key.clone())).collect(),
    }
}
