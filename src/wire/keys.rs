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
    /// XML-DSig: the pinned public keys, several for rotation.
    pub pins: Vec<Pin>,
}

/// A public key of the gateway that XML-DSig is checked with, and what it may have signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// SubjectPublicKeyInfo, DER.
    key: Vec<u8>,
    allows_sha1: bool,
}

impl Pin {
    /// A pin for SHA-256 alone. [`crate::wire::wpg::pin_from_pem`] makes one of a file.
    pub fn new(key: Vec<u8>) -> Pin {
        Pin { key, allows_sha1: false }
    }

    /// The same key, RSA-SHA1 and SHA-1 digests accepted too. Some hosts sent them until 2018; collisions have become
    /// affordable since, so nobody gets this who did not ask for it.
    pub fn allowing_sha1(self) -> Pin {
        Pin { allows_sha1: true, ..self }
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn allows_sha1(&self) -> bool {
        self.allows_sha1
    }
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
