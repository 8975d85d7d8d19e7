//! From genuine messages of our own making, everything a payer or a stranger could turn them into:
//! none comes out `verified` with another value in a field its signature covers.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reconciled::core::message::{Authenticity, Message, Status, Transaction};
use reconciled::wire::Key;
use reconciled::wire::wpg::encode::{json_signed, nvp, payment_xml, signed_xml};
use reconciled::wire::wpg::signature::{V1_FIELDS, v2};
use reconciled::wire::wpg::{SigningKey, decode, pin_from_pem};
use reconciled::words::money::Amount;
use secrecy::SecretString;
use std::io::Write as _;

const SECRET: &str = "6b0f6a3c-forgery-test-secret";
const GATEWAY: &str = include_str!("../keys/wpg-gateway.pem");
const STRANGER: &str = include_str!("../keys/wpg-stranger.pem");

fn key() -> Key {
    let pin = pin_from_pem(include_str!("../keys/wpg-gateway.crt")).expect("a pin");
    Key { secret: SecretString::from(SECRET.to_owned()), user: None, password: None, pins: vec![pin] }
}

fn genuine() -> Transaction {
    let text = |text: &str| Some(text.to_owned());
    Transaction {
        merchant_account_id: text("d9d234ad-8c36-4dba-bcab-ff4d0c672f47"),
        transaction_id: text("1e555c94-37cb-4b89-ad8c-4512ff922c25"),
        request_id: text("order-1234"),
        transaction_type: text("debit"),
        transaction_state: text("failed"),
        amount: Amount::parse("12.50", "EUR").ok().map(Into::into),
        order_number: text("77"),
        payment_methods: vec!["trustly".to_owned()],
        completed_at: "2018-05-16T20:53:00Z".parse().ok(),
        statuses: vec![Status { code: "500.1051".to_owned(), severity: text("error") }],
        ..Transaction::default()
    }
}

/// The value of a covered name, as the wire spells the name (NVP or the other formats).
pub fn value(t: &Transaction, name: &str) -> String {
    let text = match name.replace('_', "-").as_str() {
        "merchant-account-id" => t.merchant_account_id.clone(),
        "transaction-id" => t.transaction_id.clone(),
        "request-id" => t.request_id.clone(),
        "transaction-type" => t.transaction_type.clone(),
        "transaction-state" => t.transaction_state.clone(),
        "completion-time-stamp" => t.completed_at.map(|at| at.to_string()),
        "parent-transaction-id" => t.parent_transaction_id.clone(),
        "group-transaction-id" => t.group_transaction_id.clone(),
        "order-number" => t.order_number.clone(),
        "requested-amount" => t.amount.map(|a| format!("{:?}", a.bookable())),
        "statuses" => Some(format!("{:?}", t.statuses)),
        "payment-methods" => Some(format!("{:?} {}", t.payment_methods, t.redirect_only)),
        "custom-fields" => Some(format!("{:?}", t.custom_fields)),
        "periodic" => Some(format!("{:?}", t.periodic)),
        // Covered, and nothing that a transaction holds.
        _ => None,
    };
    text.unwrap_or_default()
}

/// Whether a body is verified and says something else than the genuine message in what is covered.
fn is_forged(body: &[u8], genuine: &[Transaction]) -> bool {
    let Ok(Message { authenticity: Authenticity::Verified { covers, .. }, transactions, .. }) =
        decode(body, Some(&key()))
    else {
        return false;
    };
    let same = |t: &Transaction, g: &Transaction| covers.iter().all(|name| value(t, name) == value(g, name));
    transactions.len() != 1 || !genuine.iter().any(|g| same(&transactions[0], g))
}

fn assert_none_forged(bodies: impl IntoIterator<Item = Vec<u8>>, story: &str) {
    let genuine = [genuine()];
    let mut count = 0;
    for body in bodies {
        assert!(!is_forged(&body, &genuine), "{story}: {}", String::from_utf8_lossy(&body));
        count += 1;
    }
    let _ = writeln!(std::io::stderr(), "{story}: {count} forgeries, none verified with other values");
    assert!(count > 0);
}

/// The three signed bodies, and the NVP one with v1 only.
fn signed_bodies() -> Vec<String> {
    let signing = SigningKey::from_pem(GATEWAY).expect("a key");
    let nvp = nvp(&genuine(), SECRET);
    let v1_only: String = nvp.split_inclusive('&').filter(|pair| !pair.starts_with("response_signature_v2=")).collect();
    let xml = signed_xml(&payment_xml(&genuine()), &signing).expect("signed");
    vec![nvp, v1_only, json_signed(&genuine(), SECRET), xml]
}

#[test]
fn the_genuine_messages_verify() {
    let schemes: Vec<&str> = signed_bodies()
        .iter()
        .map(|body| {
            let message = decode(body.as_bytes(), Some(&key())).expect("readable");
            assert!(message.authenticity.is_verified(), "{body}: {:?}", message.authenticity);
            assert_eq!(message.transactions, [genuine()]);
            message.authenticity.scheme().expect("a scheme").name()
        })
        .collect();
    assert_eq!(schemes, ["nvp-v2", "nvp-v1", "json-signed", "xml-dsig"]);
}

#[test]
fn no_single_byte_can_be_changed_added_or_dropped() {
    let bytes = b"\x00 \n%&+=;<>/\"'0149AZaefz-_.:!\x7f\xc3\xff";
    // One at a time: all at once they would be half a gigabyte.
    let bodies = signed_bodies().into_iter().map(String::into_bytes).flat_map(|body| {
        (0..body.len()).flat_map(move |at| {
            let with = |byte: u8| {
                let mut changed = body.clone();
                changed[at] = byte;
                changed
            };
            let mut forged: Vec<Vec<u8>> = bytes.iter().map(|byte| with(*byte)).collect();
            forged.extend((0..8).map(|bit| with(body[at] ^ 1 << bit)));
            forged.push([&body[..at], &body[at + 1..]].concat());
            forged.push([&body[..at], b"0", &body[at..]].concat());
            forged.push(body[..at].to_vec());
            forged
        })
    });
    assert_none_forged(bodies, "single bytes");
}

#[test]
fn names_that_come_twice_or_in_another_case_add_nothing() {
    let mut bodies = Vec::new();
    for body in signed_bodies().into_iter().take(2) {
        let names: Vec<String> =
            body.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, _)| n.to_owned()).collect();
        for name in &names {
            let upper = name.to_uppercase();
            let encoded = name.replacen('_', "%5F", 1);
            for twin in [name, &upper, &encoded, &format!("{name}[]"), &format!("{name}%00"), &format!("{name}%20")] {
                for value in ["success", "purchase", "", "order-9999", "20300101000000"] {
                    bodies.push(format!("{twin}={value}&{body}").into_bytes());
                    bodies.push(format!("{body}{twin}={value}&").into_bytes());
                }
            }
        }
    }
    let [.., signed, _] = &signed_bodies()[..] else { panic!("four bodies") };
    for name in ["response-base64", "response-signature-base64", "response-signature-algorithm", "transaction_state"] {
        for value in ["e30=", "eyJwYXltZW50Ijp7InRyYW5zYWN0aW9uLXN0YXRlIjoic3VjY2VzcyJ9fQ==", "HmacMD5", ""] {
            bodies.push(format!("{name}={value}&{signed}").into_bytes());
            bodies.push(format!("{signed}&{name}={value}").into_bytes());
        }
    }
    assert_none_forged(bodies, "twin names");
}

#[test]
fn no_border_can_be_shifted_where_v1_has_none() {
    let v1_only = &signed_bodies()[1];
    let mut bodies = Vec::new();
    let pairs: Vec<(&str, &str)> = v1_only.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let held = |name: &str| pairs.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
    for left in 0..V1_FIELDS.len() {
        for right in left + 1..V1_FIELDS.len() {
            // Everything between the two moves with them: only the outer values change.
            let joined: String = V1_FIELDS[left..=right].iter().map(|name| held(name)).collect();
            for cut in 0..=joined.len() {
                let other = |name: &str| match V1_FIELDS.iter().position(|n| *n == name) {
                    Some(at) if at == left => Some(&joined[..cut]),
                    Some(at) if at == right => Some(&joined[cut..]),
                    Some(at) if at > left && at < right => Some(""),
                    _ => None,
                };
                let moved: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={}", other(n).unwrap_or(v))).collect();
                bodies.push(moved.join("&").into_bytes());
            }
        }
    }
    assert_none_forged(bodies, "shifted borders");
}

#[test]
fn what_a_signature_does_not_cover_is_never_said_to_be_covered() {
    let body = &signed_bodies()[0];
    for (name, value) in [("requested_amount", "9999.00"), ("order_number", "1"), ("payment_method", "creditcard")] {
        let altered: Vec<String> = body
            .split('&')
            .map(|pair| if pair.starts_with(&format!("{name}=")) { format!("{name}={value}") } else { pair.to_owned() })
            .collect();
        let message = decode(altered.join("&").as_bytes(), Some(&key())).expect("readable");
        let Authenticity::Verified { covers, .. } = message.authenticity else { panic!("v2 does not cover {name}") };
        assert!(!covers.iter().any(|covered| covered == name), "{name}");
    }
}

#[test]
fn a_request_s_signature_is_no_response_s() {
    // The payer's browser carries the signature of the shop's payment page request: made with the
    // same secret, over request-id, account and type, and silent about the state.
    let payload = "HS256\nrequest_time_stamp=2018-05-16T20:53:00Z\nrequest_id=order-1234\nmerchant_account_id=d9d234ad-8c36-4dba-bcab-ff4d0c672f47\ntransaction_type=debit\nrequested_amount=12.50";
    let signature = v2(payload.as_bytes(), SECRET.as_bytes()).replace('+', "%2B");
    let body = format!(
        "request_id=order-1234&merchant_account_id=d9d234ad-8c36-4dba-bcab-ff4d0c672f47&transaction_type=debit&transaction_state=success&response_signature_v2={signature}"
    );
    let message = decode(body.as_bytes(), Some(&key())).expect("readable");
    let Authenticity::Refuted { reason, .. } = message.authenticity else { panic!("{:?}", message.authenticity) };
    assert!(reason.contains("does not cover `transaction_id`"), "{reason}");
}

#[test]
fn a_stripped_or_swapped_scheme_never_verifies() {
    let [nvp, _, signed, xml] = &signed_bodies()[..] else { panic!("four bodies") };
    let without = |body: &str, name: &str| -> String {
        body.split('&').filter(|pair| !pair.starts_with(name)).collect::<Vec<_>>().join("&")
    };
    let unsigned = without(nvp, "response_signature");
    let verdict = |body: &str| decode(body.as_bytes(), Some(&key())).expect("readable").authenticity.verdict();
    assert_eq!(verdict(&unsigned), "unverifiable");
    assert_eq!(verdict(&format!("{unsigned}&response_signature_v2=AAAA.AAAA")), "refuted");
    assert_eq!(verdict(&format!("{nvp}response_signature_v2=")), "refuted", "a twin, though an empty one");
    assert_eq!(verdict(&without(signed, "response-signature-base64")), "unverifiable");
    for algorithm in ["HmacMD5", "HmacSHA1", "none", ""] {
        assert_eq!(verdict(&signed.replace("HmacSHA256", algorithm)), "refuted", "{algorithm}");
    }
    let start = xml.find("<Signature").expect("signed");
    let end = xml.find("</Signature>").expect("signed") + "</Signature>".len();
    assert_eq!(verdict(&format!("{}{}", &xml[..start], &xml[end..])), "unverifiable");
    let stranger = SigningKey::from_pem(STRANGER).expect("a key");
    let forged = signed_xml(&payment_xml(&genuine()), &stranger).expect("signed");
    assert_eq!(verdict(&forged), "refuted", "signed with a key of its own");
}

#[test]
fn wrapping_a_signed_document_never_verifies() {
    let xml = &signed_bodies()[3];
    let body = xml.split_once("?>").expect("a declaration").1;
    let start = body.find("<Signature").expect("signed");
    let end = body.find("</Signature>").expect("signed") + "</Signature>".len();
    let (signature, unsigned) = (&body[start..end], format!("{}{}", &body[..start], &body[end..]));
    let namespace = r#"xmlns="http://www.elastic-payments.com/schema/payment""#;
    let forged = unsigned.replace("<transaction-state>failed", "<transaction-state>success");
    let inside = |outer: &str, inner: &str| outer.replace("</payment>", &format!("{inner}</payment>"));
    let with = |from: &str, to: &str| body.replacen(from, to, 1);
    let object = format!("<Object>{unsigned}</Object></Signature>");
    let child = "the Signature is not a child of the root";
    let (parts, shape, content) = ("more or less than SignedInfo", "another shape", "differs from what was signed");
    let variants: Vec<(&str, &str, String)> = vec![
        ("XSW1: forged root around the signed one", child, inside(&forged, body)),
        ("XSW2: signed root beside its signature", content, inside(&forged, &format!("{unsigned}{signature}"))),
        ("XSW3: signed payment before a forged one", child, format!("<payments {namespace}>{body}{forged}</payments>")),
        (
            "XSW4: forged payment around, signature kept",
            content,
            inside(&forged, signature).replacen("</statuses>", &format!("</statuses>{unsigned}"), 1),
        ),
        (
            "XSW5: the signed content in the signature",
            parts,
            inside(&forged, &signature.replace("</Signature>", &object)),
        ),
        (
            "XSW6: the same in KeyInfo",
            content,
            inside(&forged, &signature.replace("<X509Data>", &format!("{unsigned}<X509Data>"))),
        ),
        (
            "XSW7: the same in an extension",
            content,
            inside(&forged, &format!("<Extensions>{unsigned}</Extensions>{signature}")),
        ),
        (
            "XSW8: the same in SignedInfo",
            shape,
            inside(&forged, &signature.replace("</SignedInfo>", &format!("{unsigned}</SignedInfo>"))),
        ),
        ("the signature alone over forged content", content, inside(&forged, signature)),
        ("two signatures", "more than one Signature", inside(body, signature)),
        ("two references", shape, with("</Reference>", "</Reference><Reference URI=\"\"/>")),
        ("two signature values", parts, with("<KeyInfo>", "<SignatureValue>AAAA</SignatureValue><KeyInfo>")),
        (
            "a signature that is no child of the root",
            child,
            inside(&unsigned, &format!("<wallet>{signature}</wallet>")),
        ),
        ("a part of the document", "less than the whole", with("<Reference URI=\"\">", "<Reference URI=\"#x\">")),
        ("no URI", "less than the whole", with("<Reference URI=\"\">", "<Reference>")),
        ("another transform", "a transform other", with("#enveloped-signature", "#enveloped-signature2")),
        (
            "XSLT beside the transform",
            shape,
            with(
                "</Transforms>",
                "<Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/></Transforms>",
            ),
        ),
        (
            "an XPath in the transform",
            "with parameters",
            with("#enveloped-signature\"/>", "#enveloped-signature\"><XPath>1</XPath></Transform>"),
        ),
        (
            "no transform",
            shape,
            with("<Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>", ""),
        ),
        (
            "exclusive canonicalisation",
            "a canonicalisation other",
            with("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "http://www.w3.org/2001/10/xml-exc-c14n#"),
        ),
        (
            "with comments",
            "a canonicalisation other",
            with("REC-xml-c14n-20010315", "REC-xml-c14n-20010315#WithComments"),
        ),
        (
            "SHA-1",
            "a SHA-1 signature",
            with("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        ),
        (
            "a SHA-1 digest",
            "a SHA-1 digest",
            with("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"),
        ),
        (
            "HMAC keyed with the public key",
            "a signature algorithm other",
            with("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        ),
        ("an unsigned amount", content, with("12.50</requested-amount>", "9999.00</requested-amount>")),
        (
            "a second state of no namespace",
            "two `transaction-state` elements",
            inside(body, "<transaction-state xmlns=\"\">success</transaction-state>"),
        ),
        ("a moved default namespace", "root element", with(namespace, "xmlns=\"evil\"")),
        ("a namespace more", content, with(namespace, &format!("{namespace} xmlns:evil=\"evil\""))),
        ("an `xml:` attribute", "an `xml:` attribute", with(namespace, &format!("{namespace} xml:lang=\"en\""))),
        ("a DOCTYPE", "a DOCTYPE", format!("<!DOCTYPE payment []>{body}")),
    ];
    for (name, expected, variant) in &variants {
        assert_ne!(variant, body, "{name} changes nothing");
        let why = match decode(variant.as_bytes(), Some(&key())) {
            Ok(Message { authenticity: Authenticity::Refuted { reason, .. }, .. }) => reason,
            Ok(message) => panic!("{name}: {:?}", message.authenticity),
            Err(unreadable) => unreadable.to_string(),
        };
        assert!(why.contains(expected), "{name}: {why}, expected {expected}");
    }
    let _ = writeln!(std::io::stderr(), "wrapping: {} variants, each refused for its own reason", variants.len());
    // What canonical XML does not see stays verified, and reads the same.
    for harmless in [
        with("<transaction-state>failed", "<transaction-state>fai<!-- success -->led"),
        with("<transaction-state>failed", "<transaction-state>&#102;<![CDATA[ailed]]>"),
        with("<payment ", "<payment\n   "),
    ] {
        let message = decode(harmless.as_bytes(), Some(&key())).expect("readable");
        assert!(message.authenticity.is_verified(), "{harmless}");
        assert_eq!(message.transactions, [genuine()]);
    }
}

#[test]
fn a_message_of_another_payment_proves_nothing_about_this_one() {
    // Pieces of two genuine messages of one account, mixed.
    let other = Transaction {
        transaction_id: Some("aaaaaaaa-37cb-4b89-ad8c-4512ff922c25".to_owned()),
        request_id: Some("order-5678".to_owned()),
        transaction_state: Some("success".to_owned()),
        ..genuine()
    };
    let both = [genuine(), other.clone()];
    let (ours, theirs) = (nvp(&genuine(), SECRET), nvp(&other, SECRET));
    let split = |body: &str| body.split('&').filter(|p| !p.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (split(&ours), split(&theirs));
    let mut runner = TestRunner::new(Config { cases: 4_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&proptest::collection::vec(any::<bool>(), ours.len()), |picks| {
            let mixed: Vec<&str> = picks
                .iter()
                .zip(ours.iter().zip(&theirs))
                .map(|(pick, (a, b))| if *pick { a } else { b }.as_str())
                .collect();
            prop_assert!(!is_forged(mixed.join("&").as_bytes(), &both), "{}", mixed.join("&"));
            Ok(())
        })
        .expect("no mixture verifies with other values");
}

#[test]
fn random_damage_never_verifies_with_other_values() {
    let bodies = signed_bodies();
    let edit = (0..4usize, any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,12}", any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&edit, |(which, a, b, text, is_copy)| {
            let body = bodies[which].as_bytes();
            let (a, b) = (a.index(body.len()), b.index(body.len()));
            let (from, to) = (a.min(b), a.max(b));
            // Replace a span by a text, or copy a span to the end.
            let forged = if is_copy {
                [body, &body[from..to]].concat()
            } else {
                [&body[..from], text.as_bytes(), &body[to..]].concat()
            };
            prop_assert!(!is_forged(&forged, &[genuine()]), "{}", String::from_utf8_lossy(&forged));
            Ok(())
        })
        .expect("no damage verifies with other values");
}
