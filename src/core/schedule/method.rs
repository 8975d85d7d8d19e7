//! How payments of each method are looked at: data, of which the configuration may change every part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::time::{SignedDuration, days, hours, minutes};

/// How payments of one method are looked at. Ages count from our receipt of the submission.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The method's own time to finish; deciding phases count from its end. `None`: open-ended.
    pub window: Option<SignedDuration>,
    /// Ages of the looks before the window's end.
    pub warm: Vec<SignedDuration>,
    /// A retrieval changes something at the provider: none before the window's end.
    #[serde(default)]
    pub retrieve_has_effects: bool,
    /// Money that came can go back for 13 months (SEPA).
    #[serde(default)]
    pub returnable: bool,
}

/// All methods, by the gateway's name for them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub methods: BTreeMap<String, Method>,
    /// For payments whose method is not known (yet), and methods that have no table of their own.
    pub unknown: Method,
    /// For `checkout` payments.
    pub checkout: Method,
}

impl Default for Schedule {
    fn default() -> Self {
        let card = Method {
            window: Some(minutes(30)),
            warm: [2, 4, 7, 12, 20, 30].into_iter().map(minutes).collect(),
            retrieve_has_effects: false,
            returnable: false,
        };
        let redirect = |window| Method {
            window,
            warm: vec![minutes(12), minutes(35)],
            retrieve_has_effects: false,
            returnable: false,
        };
        let mut methods = BTreeMap::new();
        for name in ["creditcard", "maestro"] {
            methods.insert(name.to_owned(), card.clone());
        }
        for name in ["sofortbanking", "eps", "giropay", "ideal", "bancontact", "trustly", "paydirekt"] {
            methods.insert(name.to_owned(), redirect(Some(minutes(30))));
        }
        methods.insert("paypal".into(), Method { retrieve_has_effects: true, ..redirect(Some(hours(3))) });
        methods.insert("maybank2u".into(), Method { retrieve_has_effects: true, ..redirect(Some(minutes(30))) });
        for name in ["klarna-invoice", "klarna-install", "klarna-paylater", "klarna-debit"] {
            methods.insert(name.into(), redirect(Some(hours(26))));
        }
        for name in ["sepadirectdebit", "sepacredit"] {
            methods.insert(name.into(), Method { returnable: true, ..redirect(Some(days(4))) });
        }
        methods.insert("przelewy24".into(), redirect(Some(days(30))));
        methods.insert("wiretransfer".into(), redirect(None));
        Schedule { methods, unknown: redirect(Some(days(30))), checkout: redirect(Some(minutes(30))) }
    }
}

impl Schedule {
    /// The table for a payment: its method's own, or the one for methods we do not know.
    pub fn method(&self, is_checkout: bool, name: Option<&str>) -> &Method {
        if is_checkout {
            return &self.checkout;
        }
        name.and_then(|name| self.methods.get(name)).unwrap_or(&self.unknown)
    }
}
