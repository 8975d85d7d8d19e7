//! The fingerprint of a request that starts a payment (fact sheet checkout-signatures: request side), from both ends:
//! what a shop signs, and what the gateway checks. For the sandbox and the tests.
//!
//! The shop names what it signs in `requestFingerprintOrder`; the list holds itself and `secret`.

use std::collections::HashMap;

use super::confirm::LIMITS;
use super::fingerprint::{self, REQUEST_FINGERPRINT, SECRET};
use crate::core::message::Scheme;
use crate::wire::form::{self, Charset, Form};

/// The list of names a request's fingerprint covers, comma-separated.
pub const REQUEST_ORDER: &str = "requestFingerprintOrder";

/// A signed body: the fields, the list of their names, and the fingerprint.
pub fn signed(fields: &[(&str, &str)], algorithm: Scheme, secret: &str) -> String {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).chain([REQUEST_ORDER, SECRET]).collect();
    let list = names.join(",");
    let values = fields.iter().map(|(_, value)| value.as_bytes()).chain([list.as_bytes(), secret.as_bytes()]);
    let digest = fingerprint::digest(algorithm, secret.as_bytes(), values).map(|digest| fingerprint::to_hex(&digest));
    let digest = digest.unwrap_or_default();
    form::encode(fields.iter().copied().chain([(REQUEST_ORDER, list.as_str()), (REQUEST_FINGERPRINT, digest.as_str())]))
}

/// Whether a request is the shop's: its list holds itself and the secret, and the fingerprint is right over it.
///
/// A listed name without a field contributes nothing, as a field that is empty does.
pub fn verifies(body: &[u8], algorithm: Scheme, secret: &str) -> bool {
    let Ok(form) = Form::read(body, &LIMITS, Charset::Utf8) else { return false };
    let values: HashMap<&str, &str> = form.fields().iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let list: Vec<&str> = values.get(REQUEST_ORDER).copied().unwrap_or_default().split(',').collect();
    if form.flaw().is_some() || ![SECRET, REQUEST_ORDER].iter().all(|name| list.contains(name)) {
        return false;
    }
    let value = |name: &&str| if *name == SECRET { secret } else { values.get(name).copied().unwrap_or_default() };
    let seed = list.iter().map(|name| value(name).as_bytes());
    fingerprint::digest(algorithm, secret.as_bytes(), seed).is_some_and(|digest| {
        fingerprint::matches(&digest, values.get(REQUEST_FINGERPRINT).copied().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_signs_what_the_gateway_accepts_and_nobody_else_does() {
        let fields = [("customerId", "D299999"), ("amount", "12.50"), ("own", "r-1")];
        for algorithm in [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5] {
            let body = signed(&fields, algorithm, "S3cret");
            assert!(verifies(body.as_bytes(), algorithm, "S3cret"), "{algorithm:?}");
            assert!(!verifies(body.as_bytes(), algorithm, "another"));
            assert!(!verifies(body.replace("12.50", "1.00").as_bytes(), algorithm, "S3cret"));
            assert!(!verifies(format!("{body}&amount=1.00").as_bytes(), algorithm, "S3cret"), "a name twice");
        }
        assert!(!verifies(signed(&fields, Scheme::Md5, "S3cret").as_bytes(), Scheme::Sha512, "S3cret"));
        // A list that leaves the secret out can be signed by anyone.
        let list = "customerId,requestFingerprintOrder";
        let seed = [&b"D299999"[..], list.as_bytes()];
        let digest = fingerprint::digest(Scheme::Sha512, b"", seed).expect("a digest");
        let body = form::encode([
            ("customerId", "D299999"),
            (REQUEST_ORDER, list),
            (REQUEST_FINGERPRINT, fingerprint::to_hex(&digest).as_str()),
        ]);
        assert!(!verifies(body.as_bytes(), Scheme::Sha512, "S3cret"));
    }
}
