//! How fast notifications are read and verified, with no socket and no store in the way: messages for each second of
//! CPU time, beside the part of the work that nobody can leave out.

use std::hint::black_box;

use anyhow::ensure;
use hmac::{Hmac, KeyInit, Mac};
use quick_xml::Reader;
use quick_xml::events::Event;
use rustix::time::{ClockId, clock_gettime};
use secrecy::SecretString;
use sha2::Sha256;

use super::Extent;
use super::figure::{Figure, Required};
use super::messages::{ACCOUNT, SECRET, request_id, transaction};
use crate::wire::Key;
use crate::wire::wpg::encode::{json_signed, nvp, signed_xml};
use crate::wire::wpg::{SigningKey, decode};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// Messages of one round of ours and of the ceiling's.
const MESSAGES: u32 = 2_000;
/// A key of this benchmark and of nothing else: it signs what the benchmark itself reads.
const SIGNING_KEY: &str = include_str!("signing_key.pem");

pub fn wire(extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let signing = SigningKey::from_pem(SIGNING_KEY)?;
    let key = Key { secret: SecretString::from(SECRET), user: None, password: None, pins: vec![signing.pin()] };
    let at: Timestamp = "2026-03-02T09:00:30Z".parse()?;
    let genuine = transaction(&request_id(1), Amount::parse("12.50", "EUR")?, at);
    let xml = xml_notification();
    let signed = signed_xml(&xml, &signing)?;
    let (pairs, json) = (nvp(&genuine, SECRET), json_signed(&genuine, SECRET));
    for body in [&signed, &pairs, &json] {
        ensure!(decode(body.as_bytes(), Some(&key))?.authenticity.is_verified(), "a message is not verified: {body}");
    }
    let hmac = |text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        black_box(mac.finalize().into_bytes());
    };
    let sized = |what: &str, body: &str| format!("{what} of {:.1} kB read", body.len() as f64 / 1000.0);
    let rounds = |body: &str, ceiling: &dyn Fn(&str)| -> anyhow::Result<Vec<(f64, f64)>> {
        (0..extent.rounds)
            .map(|_| {
                let ours = rate(|| drop(black_box(decode(black_box(body.as_bytes()), Some(&key)))));
                Ok((ours, rate(|| ceiling(black_box(body)))))
            })
            .collect()
    };
    let (unsigned, dsig) = (rounds(&xml, &tokenise)?, rounds(&signed, &tokenise)?);
    let (nvp_rounds, json_rounds) = (rounds(&pairs, &hmac)?, rounds(&json, &hmac)?);
    let (tokens, mac) = ("its XML tokens and attributes alone", "one HMAC-SHA256 over the body");
    Ok(vec![
        Figure::of_rounds(sized("XML", &xml), "1/cpu s", tokens, &unsigned).requires(Required::RatioAtLeast(0.7)),
        Figure::of_rounds(sized("XML-DSig", &signed) + ", verified", "1/cpu s", tokens, &dsig),
        Figure::of_rounds(sized("NVP", &pairs) + ", verified", "1/cpu s", mac, &nvp_rounds),
        Figure::of_rounds(sized("json-signed", &json) + ", verified", "1/cpu s", mac, &json_rounds),
    ])
}

/// Runs `work` [`MESSAGES`] times; returns how often it runs in a second of this thread's CPU time.
fn rate(work: impl Fn()) -> f64 {
    let since = cpu_seconds();
    for _ in 0..MESSAGES {
        work();
    }
    f64::from(MESSAGES) / (cpu_seconds() - since)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What any reader of XML must do: find the tags, their attributes and the text between them.
fn tokenise(text: &str) {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => {
                for attribute in tag.attributes().flatten() {
                    black_box(attribute);
                }
            }
            Ok(Event::Eof) | Err(_) => return,
            Ok(event) => drop(black_box(event)),
        }
    }
}

/// A notification of 2.5 kB, with all that shops commonly get and nobody reads.
fn xml_notification() -> String {
    let request_id = request_id(1);
    let address = "<address><street1>Teststrasse 12</street1><street2>Stiege 3</street2><city>Wien</city><state>W</state><country>AT</country><postal-code>1010</postal-code></address>";
    let field =
        |n: u32| format!("<custom-field field-name=\"shop-field-{n}\" field-value=\"value-{n}\"></custom-field>");
    let item = |n: u32| {
        format!(
            "<order-item><name>Article {n}</name><article-number>A-100{n}</article-number><amount currency=\"EUR\">6.25</amount><tax-rate>20.00</tax-rate><quantity>1</quantity></order-item>"
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><payment xmlns=\"http://www.elastic-payments.com/schema/payment\" xmlns:ns2=\"http://www.elastic-payments.com/schema/epa/transaction\"><merchant-account-id>{ACCOUNT}</merchant-account-id><transaction-id>4b2f8e2a-21d7-4a1c-9a53-0d6a2c7fb101</transaction-id><request-id>{request_id}</request-id><transaction-type>debit</transaction-type><transaction-state>success</transaction-state><completion-time-stamp>2026-03-02T09:00:30.000Z</completion-time-stamp><statuses><status code=\"201.0000\" description=\"3d-acquirer:The resource was successfully created.\" severity=\"information\" provider-transaction-id=\"C990113154591871923456\"></status></statuses><requested-amount currency=\"EUR\">12.50</requested-amount><parent-transaction-id>4b2f8e2a-21d7-4a1c-9a53-0d6a2c7fb100</parent-transaction-id><account-holder><first-name>Erika</first-name><last-name>Mustermann</last-name><email>erika@example.com</email><phone>+43 1 000000</phone>{address}</account-holder><shipping><first-name>Erika</first-name><last-name>Mustermann</last-name>{address}</shipping><ip-address>192.0.2.17</ip-address><order-number>1000000001</order-number><order-items>{}{}</order-items><descriptor>shop.example order</descriptor><custom-fields>{}{}{}</custom-fields><notifications format=\"application/xml\"><notification url=\"https://shop.example/ipn/shop-eu\"></notification></notifications><payment-methods><payment-method name=\"sofortbanking\"></payment-method></payment-methods><api-id>---</api-id><locale>de</locale></payment>",
        item(1),
        item(2),
        field(1),
        field(2),
        field(3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_is_one_and_as_long_as_said() {
        let xml = xml_notification();
        assert!((2_300..2_700).contains(&xml.len()), "{}", xml.len());
        let message = decode(xml.as_bytes(), None).expect("readable");
        let [t] = message.transactions.as_slice() else { panic!("one transaction") };
        assert_eq!((t.request_id.clone(), t.custom_fields.len(), t.statuses.len()), (Some(request_id(1)), 3, 1));
    }
}
