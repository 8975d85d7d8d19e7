//! The secrets of merchant accounts: what signs their notifications and opens their gateway.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::words::id::MerchantName;

/// The secrets of one account. Prints no part of them.
#[derive(Clone)]
pub struct Key {
    /// Signs notifications (NVP, json-signed; all fingerprints of `checkout`).
    pub secret: SecretString,
    /// `wpg`: user of the REST interface.
    pub user: Option<String>,
    /// `wpg`: password of the REST user; `checkout`: toolkitPassword or back-end password.
    pub password: Option<SecretString>,
    /// XML-DSig: DER of the pinned public keys (SubjectPublicKeyInfo), several for rotation.
    pub pins: Vec<Vec<u8>>,
}

impl Key {
    pub fn secret_bytes(&self) -> &[u8] {
        self.secret.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {{ pins: {} }}", self.pins.len())
    }
}

/// The secrets of all accounts.
pub type Keys = BTreeMap<MerchantName, Key>;
