//! The three fingerprint algorithms (fact sheet checkout-signatures, 0).
//!
//! ```text
//! hmac-sha512   HMAC-SHA-512(secret, seed)   64 bytes   current accounts; the secret is key and part of the seed
//! sha512        SHA-512(seed)                64 bytes   older accounts
//! md5           MD5(seed)                    16 bytes   oldest accounts
//! ```
//!
//! The seed is a run of values without separators. Two algorithms have digests of one length, so the length tells
//! nothing: only the algorithm that the account is configured with is ever tried.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::core::message::Scheme;

/// The name that stands for the shop's secret in a list of names. Its value never comes from a message.
pub const SECRET: &str = "secret";
/// The list of names a confirmation's fingerprint covers, comma-separated.
pub const ORDER: &str = "responseFingerprintOrder";
/// The fingerprint of a confirmation, in hex.
pub const FINGERPRINT: &str = "responseFingerprint";
/// The fingerprint of a request, in hex.
pub const REQUEST_FINGERPRINT: &str = "requestFingerprint";

/// Whether a scheme is one of the three of this dialect.
pub fn is_fingerprint(scheme: Scheme) -> bool {
    match scheme {
        Scheme::HmacSha512 | Scheme::Sha512 | Scheme::Md5 => true,
        Scheme::NvpV1 | Scheme::NvpV2 | Scheme::JsonSigned | Scheme::XmlDsig => false,
    }
}

/// The digest over a seed, given in pieces. `None` for a scheme that is no fingerprint.
pub fn digest<'a>(algorithm: Scheme, secret: &[u8], seed: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    match algorithm {
        Scheme::HmacSha512 => {
            let mut mac = Hmac::<Sha512>::new_from_slice(secret).expect("HMAC takes keys of any length");
            seed.into_iter().for_each(|piece| mac.update(piece));
            Some(mac.finalize().into_bytes().to_vec())
        }
        Scheme::Sha512 => Some(plain::<Sha512>(seed)),
        Scheme::Md5 => Some(plain::<Md5>(seed)),
        Scheme::NvpV1 | Scheme::NvpV2 | Scheme::JsonSigned | Scheme::XmlDsig => None,
    }
}

fn plain<'a, D: Digest>(seed: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut hash = D::new();
    seed.into_iter().for_each(|piece| hash.update(piece));
    hash.finalize().to_vec()
}

/// Whether a fingerprint as the wire spells it (hex, any case) is this digest. Takes the same time wherever they differ.
pub fn matches(digest: &[u8], fingerprint: &str) -> bool {
    #[cfg(planted)]
    if crate::planted::is("signature-not-checked") {
        return true;
    }
    from_hex(fingerprint).is_some_and(|bytes| bool::from(bytes.as_slice().ct_eq(digest)))
}

/// Bytes as lower-case hex, as the gateway prints them.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(algorithm: Scheme, secret: &str, seed: &[&str]) -> String {
        to_hex(&digest(algorithm, secret.as_bytes(), seed.iter().map(|s| s.as_bytes())).expect("a fingerprint"))
    }

    /// Expected values from `printf … | openssl dgst`.
    #[test]
    fn the_three_algorithms_agree_with_openssl() {
        let (secret, seed) = ("Key-1", &["12.50", "EUR", "", "ä", "Key-1"][..]);
        assert_eq!(hex_of(Scheme::HmacSha512, secret, seed), HMAC);
        assert_eq!(hex_of(Scheme::Sha512, secret, seed), SHA);
        assert_eq!(hex_of(Scheme::Md5, secret, seed), MD5);
        assert_eq!(digest(Scheme::NvpV2, b"k", [&b"x"[..]]), None);
    }
    const HMAC: &str = "1a149dacd1e2640200ded1823e1970c37fcb60fd5e530e7346f3a1df2afdb829a392a5f5b6941a2821b62e7a8827a2a20ec5ed365c523a2451a0c7a7533f945a";
    const SHA: &str = "0da768e0b87ed1556c7ababa790cb8e548620a5ebc59b9906035f2b95c74bd272355aff4baa55f83cb611b4c09fe454602ab9a2e0dbdc4876dadba8616b606ae";
    const MD5: &str = "ba884c83efcf158b042cae9507e72766";

    #[test]
    fn hex_is_read_in_any_case_and_nothing_else_is() {
        let digest = [0x0a, 0xff];
        for (text, expected) in [
            ("0aff", true),
            ("0AFF", true),
            ("0aFf", true),
            ("0afe", false),
            ("0aff00", false),
            ("0a", false),
            ("", false),
            ("0aff ", false),
            ("+aff", false),
            ("0äff", false),
        ] {
            assert_eq!(matches(&digest, text), expected, "{text:?}");
        }
    }
}
