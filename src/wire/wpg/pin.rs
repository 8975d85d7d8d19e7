//! Public keys to pin: from PEM files to SubjectPublicKeyInfo, and to what `ring` verifies with.

use crate::wire::keys::Pin;

/// Why a PEM file gives no key to pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPin {
    #[error("holds no PEM certificate, `PUBLIC KEY` or `RSA PUBLIC KEY`")]
    NoPem,
    #[error("holds a PRIVATE KEY: pin the gateway's public key or certificate")]
    PrivateKey,
    #[error("holds more than one PEM block: one file per key")]
    Several,
    #[error("holds PEM whose content is damaged")]
    Damaged,
    #[error("holds a key that is not RSA of 2048 to 8192 bits")]
    NotRsa,
}

/// `1.2.840.113549.1.1.1` with its NULL: rsaEncryption.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];
/// Key sizes `ring` verifies with, in bytes of the modulus.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The public key in a PEM certificate or public key, as a pin for SHA-256.
///
/// Dates and issuer of a certificate are not looked at: the pin is the key (fact sheet
/// wpg-signatures 4). RSA of 2048 to 8192 bits only.
pub fn pin_from_pem(pem: &str) -> Result<Pin, NotAPin> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(NotAPin::PrivateKey);
    }
    let (_, rest) = pem.split_once("-----BEGIN ").ok_or(NotAPin::NoPem)?;
    let (label, rest) = rest.split_once("-----").ok_or(NotAPin::NoPem)?;
    let (content, rest) = rest.split_once("-----END ").ok_or(NotAPin::Damaged)?;
    if rest.contains("-----BEGIN ") {
        return Err(NotAPin::Several);
    }
    let der = super::signature::base64(content.as_bytes()).ok_or(NotAPin::Damaged)?;
    let pin = match label {
        "CERTIFICATE" => key_of_certificate(&der).ok_or(NotAPin::Damaged)?.to_vec(),
        "PUBLIC KEY" => der,
        "RSA PUBLIC KEY" => wrapped(&der),
        _ => return Err(NotAPin::NoPem),
    };
    let modulus = rsa_key(&pin).and_then(modulus_bytes).ok_or(NotAPin::NotRsa)?;
    if MODULUS_BYTES.contains(&modulus) { Ok(Pin::new(pin)) } else { Err(NotAPin::NotRsa) }
}

/// The RSAPublicKey inside a SubjectPublicKeyInfo; `None` for other algorithms.
pub(super) fn rsa_key(pin: &[u8]) -> Option<&[u8]> {
    let (info, rest) = content(pin, 0x30)?;
    let key = info.strip_prefix(&RSA_ALGORITHM)?;
    let (bits, after) = content(key, 0x03)?;
    if rest.is_empty() && after.is_empty() { bits.strip_prefix(&[0]) } else { None }
}

/// SubjectPublicKeyInfo: the seventh field of a certificate's body after the optional version.
fn key_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = content(der, 0x30)?;
    let (body, _) = content(certificate, 0x30)?;
    let mut rest = content(body, 0xA0).map_or(body, |(_, after_version)| after_version);
    // Serial number, signature algorithm, issuer, validity, subject.
    for tag in [0x02, 0x30, 0x30, 0x30, 0x30] {
        rest = content(rest, tag)?.1;
    }
    let (_, after) = content(rest, 0x30)?;
    Some(&rest[..rest.len() - after.len()])
}

fn modulus_bytes(key: &[u8]) -> Option<usize> {
    let (fields, _) = content(key, 0x30)?;
    let (modulus, _) = content(fields, 0x02)?;
    Some(modulus.strip_prefix(&[0]).unwrap_or(modulus).len())
}

/// An RSAPublicKey dressed as SubjectPublicKeyInfo.
pub(super) fn wrapped(key: &[u8]) -> Vec<u8> {
    let bits = tlv(0x03, &[&[0], key].concat());
    tlv(0x30, &[&RSA_ALGORITHM[..], &bits].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    let significant = &length[length.iter().take_while(|b| **b == 0).count().min(3)..];
    let mut der = vec![tag];
    if content.len() >= 0x80 {
        der.push(0x80 | significant.len() as u8);
    }
    der.extend_from_slice(significant);
    der.extend_from_slice(content);
    der
}

/// The content of the DER value at the front, if it has this tag, and what follows the value.
fn content(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            let count = long & 0x7F;
            if !(1..=4).contains(&count) || rest.len() < count {
                return None;
            }
            (rest[..count].iter().fold(0, |n, b| n << 8 | usize::from(*b)), &rest[count..])
        }
    };
    (rest.len() >= length).then(|| rest.split_at(length))
}
