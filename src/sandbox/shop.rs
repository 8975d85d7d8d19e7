//! A shop's contract as the simulated gateway knows it.

use crate::core::account::{Account, Checkout, Contract, Product, Wpg};
use crate::core::message::Scheme;
use crate::wire::Key;
use crate::words::id::MerchantName;
use crate::words::time::SignedDuration;

/// One merchant account at the gateway.
#[derive(Clone, Debug)]
pub struct Shop {
    pub account: Account,
    pub key: Key,
    /// Where the gateway sends this account's notifications.
    pub notify_url: String,
    /// `checkout`: the re-delivery a shop can buy; waits after each attempt that was not accepted.
    /// Empty: the gateway sends once (fact sheet checkout a.6). `wpg` always sends once.
    pub redeliver_after: Vec<SignedDuration>,
}

impl Shop {
    pub fn wpg(&self) -> Option<&Wpg> {
        match &self.account.contract {
            Contract::Wpg(wpg) => Some(wpg),
            Contract::Checkout(_) => None,
        }
    }

    pub fn checkout(&self) -> Option<&Checkout> {
        match &self.account.contract {
            Contract::Checkout(checkout) => Some(checkout),
            Contract::Wpg(_) => None,
        }
    }
}

/// Two shops with fixed secrets, for tests and simulations: `shop-eu` (`wpg`, json-signed) and
/// `shop-at` (`checkout`, seamless, hmac-sha512).
pub fn example_shops() -> Vec<Shop> {
    let name = |text| MerchantName::new(text).expect("a name of letters and a hyphen");
    let key = |secret: &str, user: Option<&str>| Key {
        secret: secret.into(),
        user: user.map(str::to_owned),
        password: Some("example-password".into()),
        pins: Vec::new(),
    };
    let account = |text, contract| Account { name: name(text), time_zone: "Europe/Vienna".into(), contract };
    let wpg = Wpg {
        merchant_account_ids: vec!["9abf05c1-c266-46ae-8eac-7f87ca97af28".into()],
        resolver_category: None,
        scheme: Some(Scheme::JsonSigned),
        siblings: Vec::new(),
    };
    let checkout = Checkout {
        product: Product::Seamless,
        customer_id: "D299999".into(),
        shop_id: Some("sandbox".into()),
        algorithm: Scheme::HmacSha512,
        own_id_parameter: "shopRequestId".into(),
        can_ask: true,
    };
    vec![
        Shop {
            account: account("shop-eu", Contract::Wpg(wpg)),
            key: key("example-secret-of-shop-eu", Some("example-user")),
            notify_url: "http://127.0.0.1:8080/ipn/shop-eu".into(),
            redeliver_after: Vec::new(),
        },
        Shop {
            account: account("shop-at", Contract::Checkout(checkout)),
            key: key("example-secret-of-shop-at", None),
            notify_url: "http://127.0.0.1:8080/confirm/shop-at".into(),
            redeliver_after: Vec::new(),
        },
    ]
}
