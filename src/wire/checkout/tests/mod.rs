//! Messages of our own in the wire's shapes, and what may be tried with them.

mod attacks;
mod forgery;
mod verdicts;

use super::{Reading, decode, encode};
use crate::core::message::{Message, Scheme};

const SECRET: &str = "Tn3-shop-secret-of-no-real-shop";
const OWN_ID: &str = "shopPaymentId";
const ALGORITHMS: [Scheme; 3] = [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5];

type Fields = Vec<(String, String)>;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn reading(algorithm: Scheme) -> Reading<'static> {
    Reading { algorithm: Some(algorithm), secret: Some(SECRET.as_bytes()), own_id_parameter: Some(OWN_ID) }
}

fn read(body: &str, reading: &Reading<'_>) -> Message {
    decode(body.as_bytes(), reading).unwrap_or_else(|unreadable| panic!("{unreadable}: {body}"))
}

/// A card payment as Seamless confirms it.
fn card() -> Fields {
    fields(&[
        ("amount", "12.50"),
        ("currency", "EUR"),
        ("paymentType", "CCARD"),
        ("financialInstitution", "MC"),
        ("language", "de"),
        ("orderNumber", "7000001"),
        ("paymentState", "SUCCESS"),
        (OWN_ID, "p-8f3a21c6"),
        ("authenticated", "No"),
        ("anonymousPan", "1003"),
        ("expiry", "10/2036"),
        ("cardholder", "Jörg Müller & Søn"),
        ("maskedPan", "401200******1003"),
        ("gatewayReferenceNumber", "DGW_7000001_RN"),
        ("gatewayContractNumber", "DemoContractNumber123"),
    ])
}

/// A Sofort payment as the Page confirms it, its currency as a number and its amount without decimals.
fn sofort() -> Fields {
    fields(&[
        ("amount", "8"),
        ("currency", "978"),
        ("paymentType", "SOFORTUEBERWEISUNG"),
        ("financialInstitution", "sofortueberweisung"),
        ("language", "en"),
        ("orderNumber", "7000002"),
        ("paymentState", "SUCCESS"),
        (OWN_ID, "p-00b1d2"),
        ("securityCriteria", "0"),
        ("senderAccountOwner", "Test Consumer"),
        ("senderBankName", " Bank "),
        ("senderCountry", "DE"),
        ("gatewayReferenceNumber", "C90"),
    ])
}

/// A PENDING without order number and amount, as PayPal's came.
fn pending() -> Fields {
    fields(&[
        ("paymentType", "PAYPAL"),
        ("financialInstitution", "PayPal"),
        ("language", "en"),
        ("paymentState", "PENDING"),
        (OWN_ID, "p-77aa"),
    ])
}

/// A PENDING that names its order, where the gateway puts it: between language and state.
fn numbered_pending() -> Fields {
    let mut fields = pending();
    fields.insert(3, ("orderNumber".to_owned(), "7000003".to_owned()));
    fields
}

fn with(mut fields: Fields, name: &str, value: &str) -> Fields {
    match fields.iter_mut().find(|(known, _)| known == name) {
        Some(field) => field.1 = value.to_owned(),
        None => fields.push((name.to_owned(), value.to_owned())),
    }
    fields
}

fn without(mut fields: Fields, name: &str) -> Fields {
    fields.retain(|(known, _)| known != name);
    fields
}

fn signed(fields: &Fields, algorithm: Scheme) -> String {
    encode::confirmation(fields, algorithm, SECRET)
}
