//! What the rules know of a merchant account: everything but its secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::message::{Dialect, Scheme};
use crate::words::id::MerchantName;

/// One contract with one gateway, as the journal keeps it. Secrets live in `wire::Keys`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    pub name: MerchantName,
    /// IANA name of the shop's time zone, for business days of this account.
    pub time_zone: String,
    pub contract: Contract,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "dialect", rename_all = "lowercase")]
pub enum Contract {
    Wpg(Wpg),
    Checkout(Checkout),
}

/// A Wirecard Payment Gateway / Getnet contract.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wpg {
    /// The ids that share user and secret; the first is asked where no transaction names another.
    pub merchant_account_ids: Vec<String>,
    pub resolver_category: Option<String>,
    /// The only scheme whose verification makes a notification a fact; `None`: all are hints.
    pub scheme: Option<Scheme>,
    /// Accounts whose transactions may belong to our payments (3-D fallback, resolver categories).
    pub siblings: Vec<MerchantName>,
}

/// A Wirecard Checkout Page / Seamless (QENTA) contract.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkout {
    pub product: Product,
    pub customer_id: String,
    pub shop_id: Option<String>,
    /// The account's fingerprint algorithm: one of `hmac-sha512`, `sha512`, `md5`.
    pub algorithm: Scheme,
    /// The custom parameter that carries our request-id.
    pub own_id_parameter: String,
    /// Whether a back-end password is configured, so that getOrderDetails can be asked.
    pub can_ask: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// Checkout Page; back-end operations through the toolkit.
    Page,
    /// Checkout Seamless.
    Seamless,
}

impl Account {
    pub fn dialect(&self) -> Dialect {
        match self.contract {
            Contract::Wpg(_) => Dialect::Wpg,
            Contract::Checkout(_) => Dialect::Checkout,
        }
    }
}

pub type Accounts = BTreeMap<MerchantName, Account>;
