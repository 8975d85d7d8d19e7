//! The gateway's keyed signatures, as formulas (fact sheet wpg-signatures 1 to 3).
//!
//! Source: payment page security, signature v2 and WPP security pages of the merchant documentation,
//! each recomputed on published samples. All comparisons are of decoded bytes, in constant time.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The fields of a response's v1 signature, in its order; the secret follows. Neither amount,
/// currency nor order number is among them.
pub const V1_FIELDS: [&str; 10] = [
    "merchant_account_id",
    "transaction_id",
    "request_id",
    "transaction_type",
    "transaction_state",
    "completion_time_stamp",
    "token_id",
    "masked_account_number",
    "ip_address",
    "authorization_code",
];

/// The fields of a payment page request's v1 signature, in its order; the secret follows.
pub const V1_REQUEST_FIELDS: [&str; 9] = [
    "request_time_stamp",
    "request_id",
    "merchant_account_id",
    "transaction_type",
    "requested_amount",
    "requested_amount_currency",
    "redirect_url",
    "custom_css_url",
    "ip_address",
];

/// What a v2 payload of a response names, in its order, and the name of each in the body.
pub const V2_FIELDS: [(&str, &str); 10] = [
    ("transaction_id", "transaction_id"),
    ("completion_timestamp", "completion_time_stamp"),
    ("masked_account_number", "masked_account_number"),
    ("token_id", "token_id"),
    ("authorization_code", "authorization_code"),
    ("merchant_account_id", "merchant_account_id"),
    ("transaction_state", "transaction_state"),
    ("ip_address", "ip_address"),
    ("transaction_type", "transaction_type"),
    ("request_id", "request_id"),
];

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(false);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Base64 in the standard or the URL-safe alphabet, padded or not, white space allowed. The docs'
/// own request sample uses the URL-safe one.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let packed: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if packed.contains(&b'-') || packed.contains(&b'_') { URL_SAFE.decode(packed) } else { STANDARD.decode(packed) }
        .ok()
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// SHA-256 over values and secret, nothing between them.
fn v1_hash<'v>(values: impl Iterator<Item = &'v [u8]>, secret: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value);
    }
    hash.update(secret);
    hash.finalize().into()
}

/// The v1 signature of fields, as 64 lower-case hex digits.
pub fn v1<'v>(names: &[&str], value: impl Fn(&str) -> &'v [u8], secret: &[u8]) -> String {
    hex(&v1_hash(names.iter().map(|name| value(name)), secret))
}

/// Whether `signature` (hex) is the v1 signature of these fields.
pub fn v1_verifies<'v>(signature: &[u8], names: &[&str], value: impl Fn(&str) -> &'v [u8], secret: &[u8]) -> bool {
    let expected = v1_hash(names.iter().map(|name| value(name)), secret);
    from_hex(signature).is_some_and(|given| given.ct_eq(&expected).into())
}

/// The v2 signature of a payload: `base64(payload).base64(hmac)`.
pub fn v2(payload: &[u8], secret: &[u8]) -> String {
    format!("{}.{}", to_base64(payload), to_base64(&hmac(secret, payload).finalize().into_bytes()))
}

/// The payload of a v2 signature, if its HMAC over the decoded bytes verifies. The payload may hold
/// the secret itself (two published samples leak it): never log it.
///
/// Blanks in it are nothing; or each was a `+`, which some senders leave unescaped and a form reads as a blank.
pub fn v2_payload(signature: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let with_pluses = || signature.iter().map(|b| if *b == b' ' { b'+' } else { *b }).collect::<Vec<u8>>();
    let has_blank = signature.contains(&b' ');
    v2_payload_of(signature, secret).or_else(|| has_blank.then(|| v2_payload_of(&with_pluses(), secret)).flatten())
}

fn v2_payload_of(signature: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let dot = signature.iter().position(|b| *b == b'.')?;
    let payload = base64(&signature[..dot])?;
    let tag = base64(&signature[dot + 1..])?;
    hmac(secret, &payload).verify_slice(&tag).ok()?;
    Some(payload)
}

/// The signature of a json-signed message: HMAC over the Base64 text itself.
pub fn json_signed(base64_text: &[u8], secret: &[u8]) -> String {
    to_base64(&hmac(secret, base64_text).finalize().into_bytes())
}

/// Whether a json-signed message's signature verifies.
pub fn json_signed_verifies(base64_text: &[u8], signature: &[u8], secret: &[u8]) -> bool {
    #[cfg(planted)]
    if crate::planted::is("signature-not-checked") {
        return true;
    }
    base64(signature).is_some_and(|tag| hmac(secret, base64_text).verify_slice(&tag).is_ok())
}

fn hmac(secret: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(b"0123456789abcdef"[usize::from(d)])).collect()
}

fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (at, pair) in text.chunks_exact(2).enumerate() {
        bytes[at] = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a test secret";

    #[test]
    fn the_hmac_is_over_the_decoded_payload_in_v2_and_over_the_text_in_json_signed() {
        let signed = v2(b"HS256\ntransaction_id=1\n", SECRET);
        assert_eq!(v2_payload(signed.as_bytes(), SECRET).as_deref(), Some(&b"HS256\ntransaction_id=1\n"[..]));
        assert_eq!(v2_payload(signed.as_bytes(), b"another"), None);
        let plus =
            (0..999).map(|n| v2(format!("HS256\nrequest_id={n}\n").as_bytes(), SECRET)).find(|s| s.contains('+'));
        let plus = plus.expect("one of them has a plus");
        assert!(v2_payload(plus.replace('+', " ").as_bytes(), SECRET).is_some(), "{plus}");
        let text = to_base64(b"{}");
        let tag = json_signed(text.as_bytes(), SECRET);
        assert!(json_signed_verifies(text.as_bytes(), tag.as_bytes(), SECRET));
        assert!(!json_signed_verifies(b"{}", tag.as_bytes(), SECRET));
    }

    #[test]
    fn a_shortened_tag_or_none_never_verifies() {
        let signed = v2(b"HS256\n", SECRET);
        let (payload, _) = signed.split_once('.').expect("a dot");
        for tag in ["", "AAAA", "."] {
            assert_eq!(v2_payload(format!("{payload}.{tag}").as_bytes(), SECRET), None);
        }
        assert_eq!(v2_payload(payload.as_bytes(), SECRET), None);
        assert!(!json_signed_verifies(b"e30=", b"", SECRET));
        assert!(!v1_verifies(b"", &V1_FIELDS, |_| b"", SECRET));
    }

    #[test]
    fn both_base64_alphabets_are_read() {
        assert_eq!(base64(b"-_8"), base64(b"+/8="));
        assert_eq!(base64(b" e3\r\n0= "), Some(b"{}".to_vec()));
        assert_eq!(base64(b"e3!0"), None);
    }
}
