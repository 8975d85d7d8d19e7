//! A shop's contract as the simulated gateway knows it.

use crate::core::account::{Account, Checkout, Contract, Wpg};
use crate::wire::Key;
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
