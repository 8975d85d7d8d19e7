//! Signing XML as the gateway does, for the sandbox and for tests.

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;

use super::canonical::canonical;
use super::dsig::{C14N, DSIG, ENVELOPED, RSA_SHA256, SHA256};
use super::signature::{base64, to_base64};
use super::{Unreadable, pin, xml};
use crate::wire::keys::Pin;

/// An RSA key that signs as a gateway would. Prints no part of itself.
pub struct SigningKey(KeyPair);

/// Why a PEM file gives no signing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASigningKey {
    #[error("holds no PEM `PRIVATE KEY` (PKCS #8)")]
    NoPem,
    #[error("holds a key that is not RSA of 2048 to 4096 bits")]
    NotRsa,
}

impl SigningKey {
    /// Reads a PKCS #8 private key: RSA of 2048 to 4096 bits.
    pub fn from_pem(pem: &str) -> Result<SigningKey, NotASigningKey> {
        let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----").ok_or(NotASigningKey::NoPem)?;
        let (content, _) = rest.split_once("-----END PRIVATE KEY-----").ok_or(NotASigningKey::NoPem)?;
        let der = base64(content.as_bytes()).ok_or(NotASigningKey::NoPem)?;
        KeyPair::from_pkcs8(&der).map(SigningKey).map_err(|_| NotASigningKey::NotRsa)
    }

    /// What a receiver pins: the public key.
    pub fn pin(&self) -> Pin {
        Pin::new(pin::wrapped(self.0.public().as_ref()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// A document with an enveloped signature as its root's last child (fact sheet wpg-signatures 4).
/// An error says what in the document our own reader would refuse.
pub fn signed_xml(document: &str, key: &SigningKey) -> Result<String, Unreadable> {
    let unsigned = canonical(&xml::read(document)?, 0, None);
    let digest = to_base64(ring::digest::digest(&ring::digest::SHA256, &unsigned).as_ref());
    let info = format!(
        r#"<SignedInfo><CanonicalizationMethod Algorithm="{C14N}"/><SignatureMethod Algorithm="{RSA_SHA256}"/><Reference URI=""><Transforms><Transform Algorithm="{ENVELOPED}"/></Transforms><DigestMethod Algorithm="{SHA256}"/><DigestValue>{digest}</DigestValue></Reference></SignedInfo>"#
    );
    let with_value = |value: &str| {
        let at = document.rfind("</").unwrap_or(document.len());
        let (before, after) = document.split_at(at);
        let name = "<KeyInfo><X509Data><X509SubjectName>CN=sandbox</X509SubjectName></X509Data></KeyInfo>";
        format!(
            r#"{before}<Signature xmlns="{DSIG}">{info}<SignatureValue>{value}</SignatureValue>{name}</Signature>{after}"#
        )
    };
    // The first pass places SignedInfo in the document: its canonical form inherits namespaces there.
    let placed = with_value("");
    let placed = xml::read(&placed)?;
    let signature =
        placed.children(0).last().ok_or_else(|| Unreadable::new("xml: a root without content".to_owned()))?;
    let info = placed.children(signature).next().map(|info| canonical(&placed, info, None)).unwrap_or_default();
    let mut value = vec![0; key.0.public().modulus_len()];
    key.0
        .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &info, &mut value)
        .map_err(|_| Unreadable::new("xml: the signing key does not sign".to_owned()))?;
    Ok(with_value(&to_base64(&value)))
}
