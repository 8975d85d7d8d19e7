//! Enveloped XML-DSig with pinned keys (fact sheet wpg-signatures 4).
//!
//! One shape is known and everything else is refused: exactly one `Signature` in the document, a
//! child of the root; one `Reference` with `URI=""`; one transform, enveloped-signature; inclusive
//! canonical XML 1.0; RSA PKCS#1 v1.5. With that shape the hash covers the whole document but the
//! signature itself, and the values are read from the very tokens that were hashed, so that a signed
//! piece cannot be wrapped into an unsigned whole:
//!
//! | wrapping variant | why it fails here |
//! |---|---|
//! | XSW 1, 3 (forged payment around or beside the whole signed one) | the signature is no child of the root |
//! | XSW 2, 4, 7 (signed content kept elsewhere in a forged document) | `URI=""`: what is read is what was hashed |
//! | XSW 5 (signed content in an `Object`) | a signature holds SignedInfo, SignatureValue and KeyInfo, no more |
//! | XSW 6 (in KeyInfo) | KeyInfo is never read, the hash is over the forged content |
//! | XSW 8 (in SignedInfo) | SignedInfo has one shape |
//!
//! `KeyInfo` is never read: the key a message brings proves nothing about its sender. Certificate
//! dates are not looked at either, genuine messages were signed years after expiry.

use ring::digest;
use ring::signature::UnparsedPublicKey;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters};
use subtle::ConstantTimeEq;

use super::canonical::canonical;
use super::pin::rsa_key;
use super::signature::base64;
pub(super) use super::xml::DSIG_NAMESPACE as DSIG;
use super::xml::{Document, Space, Token};
use crate::core::message::{Authenticity, Scheme};
use crate::wire::keys::Pin;

pub(super) const C14N: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
pub(super) const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
pub(super) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const RSA_SHA1: &str = "http://www.w3.org/2000/09/xmldsig#rsa-sha1";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";

/// The verdict on a document; `covers` names what the signature then covers. One pin that fits suffices.
pub(super) fn authenticity(document: &Document, covers: impl FnOnce() -> Vec<String>, pins: &[Pin]) -> Authenticity {
    let scheme = Some(Scheme::XmlDsig);
    let signature = match place(document) {
        Ok(Some(signature)) => signature,
        Ok(None) => return Authenticity::Unverifiable { scheme: None, reason: Some("not signed".to_owned()) },
        Err(reason) => return Authenticity::Refuted { scheme, reason: reason.to_owned() },
    };
    if pins.is_empty() {
        return Authenticity::Unverifiable { scheme, reason: Some("no pinned key to check with".to_owned()) };
    }
    match verify(document, signature, pins) {
        Ok(()) => Authenticity::Verified { scheme: Scheme::XmlDsig, covers: covers() },
        Err(reason) => Authenticity::Refuted { scheme, reason: reason.to_owned() },
    }
}

fn is_dsig(document: &Document, at: usize, local: &str) -> bool {
    let element = document.element(at);
    element.space == Space::Dsig && element.local() == local
}

/// Where the one signature stands; `None` for an unsigned document.
fn place(document: &Document) -> Result<Option<usize>, &'static str> {
    let is_signature = |(_, token): &(usize, &Token)| match token {
        Token::Start(element) => element.space == Space::Dsig && element.local() == "Signature",
        Token::Text(_) | Token::End => false,
    };
    let mut found = document.tokens.iter().enumerate().filter(is_signature).map(|(at, _)| at);
    let Some(signature) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err("more than one Signature");
    }
    if !document.children(0).any(|child| child == signature) {
        return Err("the Signature is not a child of the root");
    }
    Ok(Some(signature))
}

fn verify(document: &Document, signature: usize, pins: &[Pin]) -> Result<(), &'static str> {
    let parts: Vec<usize> = document.children(signature).collect();
    let (info, value) = match parts[..] {
        [info, value] => (info, value),
        [info, value, key] if is_dsig(document, key, "KeyInfo") => (info, value),
        _ => return Err("the Signature holds more or less than SignedInfo, SignatureValue and KeyInfo"),
    };
    if !is_dsig(document, info, "SignedInfo") || !is_dsig(document, value, "SignatureValue") {
        return Err("the Signature holds more or less than SignedInfo, SignatureValue and KeyInfo");
    }
    // `xml:` attributes are inherited in canonical form; the gateway sends none.
    let has_xml_attribute = |at| document.attributes(document.element(at)).iter().any(|a| a.qname.starts_with("xml:"));
    if has_xml_attribute(0) || has_xml_attribute(signature) {
        return Err("an `xml:` attribute around SignedInfo");
    }
    let [method, signing, reference] =
        named(document, info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
    let [transforms, digesting, digest_value] =
        named(document, reference, ["Transforms", "DigestMethod", "DigestValue"])?;
    let [transform] = named(document, transforms, ["Transform"])?;
    let algorithm = |at| document.attribute(at, "Algorithm").unwrap_or_default();
    if [method, signing, digesting, transform].iter().any(|at| document.children(*at).next().is_some()) {
        return Err("an algorithm with parameters");
    }
    if algorithm(method) != C14N {
        return Err("a canonicalisation other than inclusive c14n 1.0");
    }
    if document.attribute(reference, "URI") != Some("") {
        return Err("a Reference to less than the whole document");
    }
    if algorithm(transform) != ENVELOPED {
        return Err("a transform other than enveloped-signature");
    }
    let allow_sha1 = pins.iter().any(Pin::allows_sha1);
    let rsa: &RsaParameters = match algorithm(signing) {
        RSA_SHA256 => &RSA_PKCS1_2048_8192_SHA256,
        RSA_SHA1 if allow_sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        RSA_SHA1 => return Err("a SHA-1 signature, which is not allowed here"),
        _ => return Err("a signature algorithm other than RSA with SHA-256"),
    };
    let hash = match algorithm(digesting) {
        SHA256 => &digest::SHA256,
        SHA1 if allow_sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        SHA1 => return Err("a SHA-1 digest, which is not allowed here"),
        _ => return Err("a digest algorithm other than SHA-256"),
    };
    let stated = base64(document.text(digest_value).as_bytes()).ok_or("a DigestValue that is not Base64")?;
    let actual = digest::digest(hash, &canonical(document, 0, Some(signature)));
    if !bool::from(stated.ct_eq(actual.as_ref())) {
        return Err("the content differs from what was signed");
    }
    let signed = base64(document.text(value).as_bytes()).ok_or("a SignatureValue that is not Base64")?;
    let info = canonical(document, info, None);
    let has_sha1 = algorithm(signing) == RSA_SHA1 || algorithm(digesting) == SHA1;
    let fits = |pin: &&Pin| {
        rsa_key(pin.key()).is_some_and(|key| UnparsedPublicKey::new(rsa, key).verify(&info, &signed).is_ok())
    };
    if pins.iter().filter(|pin| pin.allows_sha1() || !has_sha1).any(|pin| fits(&pin)) {
        Ok(())
    } else {
        Err("the signature was not made with a pinned key")
    }
}

/// The children of an element, which must be exactly these, in this order, with no text between them.
fn named<const N: usize>(document: &Document, parent: usize, names: [&str; N]) -> Result<[usize; N], &'static str> {
    let children: Vec<usize> = document.children(parent).collect();
    let found: [usize; N] = children.try_into().map_err(|_| "a SignedInfo of another shape than the gateway's")?;
    let fits = found.iter().zip(names).all(|(at, name)| is_dsig(document, *at, name));
    if fits && document.text(parent).trim().is_empty() {
        Ok(found)
    } else {
        Err("a SignedInfo of another shape than the gateway's")
    }
}
