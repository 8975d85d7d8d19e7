use std::collections::BTreeMap;

use super::super::fingerprint::{FINGERPRINT, ORDER};
use super::super::{Reading, Unreadable, decode, encode, is_confirmation};
use super::*;
use crate::core::message::{Authenticity, Dialect, Format, PaymentState, Transaction};
use crate::wire::form::NotAForm;
use crate::words::money::Amount;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields(pairs).into_iter().collect()
}

fn reason(message: &Message) -> String {
    match &message.authenticity {
        Authenticity::Verified { .. } => String::new(),
        Authenticity::Refuted { reason, .. } => reason.clone(),
        Authenticity::Unverifiable { reason, .. } => reason.clone().unwrap_or_default(),
    }
}

#[test]
fn a_signed_success_says_who_what_and_how_much() {
    let names: Vec<String> = card().into_iter().map(|(name, _)| name).chain([ORDER.to_owned()]).collect();
    for algorithm in ALGORITHMS {
        let body = format!("{}&tracker=x", signed(&card(), algorithm));
        let expected = Message {
            dialect: Dialect::Checkout,
            format: Format::Form,
            authenticity: Authenticity::Verified { scheme: algorithm, covers: names.clone() },
            transactions: vec![Transaction {
                request_id: Some("p-8f3a21c6".into()),
                transaction_id: Some("order:7000001".into()),
                transaction_type: Some("confirmation".into()),
                transaction_state: Some("SUCCESS".into()),
                amount: Some(Amount::parse("12.50", "EUR").expect("money").into()),
                payment_methods: vec!["CCARD".into()],
                ..Transaction::default()
            }],
            payment_state: Some(PaymentState::Success),
            gateway_order_number: Some("7000001".into()),
            custom: map(&[(OWN_ID, "p-8f3a21c6")]),
            unverified: map(&[("tracker", "x")]),
            error_code: None,
        };
        assert_eq!(read(&body, &reading(algorithm)), expected);
    }
}

/// As it comes over the wire, byte for byte: stars and slashes escaped, a blank at a value's end, an empty listed field,
/// a dangling `&`. The fingerprints are Python's, not ours.
#[test]
fn a_body_as_the_wire_spells_it_verifies_under_each_algorithm() {
    let body = "amount=3.10&\
         currency=EUR&\
         paymentType=CCARD&\
         financialInstitution=Visa&\
         language=en&\
         orderNumber=7000007&\
         paymentState=SUCCESS&\
         shopPaymentId=p-5d1e0a&\
         authenticated=Yes&\
         anonymousPan=0004&\
         expiry=01%2F2031&\
         cardholder=Zo%C3%AB+O%27Neill+&\
         maskedPan=401200%2A%2A%2A%2A%2A%2A0004&\
         instrumentCountry=&\
         gatewayReferenceNumber=DGW_7000007_RN&\
         gatewayContractNumber=DemoContractNumber123&\
         responseFingerprintOrder=amount%2Ccurrency%2CpaymentType%2CfinancialInstitution%2Clanguage%2CorderNumber%2CpaymentState%2CshopPaymentId%2Cauthenticated%2CanonymousPan%2Cexpiry%2Ccardholder%2CmaskedPan%2CinstrumentCountry%2CgatewayReferenceNumber%2CgatewayContractNumber%2Csecret%2CresponseFingerprintOrder&\
         responseFingerprint=";
    for (algorithm, digest) in [
        (
            Scheme::HmacSha512,
            "d7dd7dfd7f95e7d857cfe9fc7500b36465186ae91c6699c1a3a36d3423d81ec76c13cc328d7e1e056557f0bf992435533685e7358275c8feec73f43360ef2a62",
        ),
        (
            Scheme::Sha512,
            "6d6b3d3527c908a44800e1918d6040174eec6c4c0d8f683826c50bfe7dc7fa2d2a9897243888f47889cf8e51e8352b401b71188bf65814f230c776df3ebd0255",
        ),
        (Scheme::Md5, "fdb207f7c95109a506cb746c0a76a6c6"),
    ] {
        let message = read(&format!("{body}{digest}&"), &reading(algorithm));
        assert!(message.authenticity.is_verified(), "{:?}", message.authenticity);
        assert_eq!(message.transactions[0].amount, Some(Amount::parse("3.10", "EUR").expect("money").into()));
        assert_eq!(message.transactions[0].request_id.as_deref(), Some("p-5d1e0a"));
    }
}

#[test]
fn amounts_come_in_the_shops_spelling_and_sofort_says_if_the_money_is_sure() {
    let message = read(&signed(&sofort(), Scheme::Sha512), &reading(Scheme::Sha512));
    assert!(message.authenticity.is_verified(), "{:?}", message.authenticity);
    let transaction = &message.transactions[0];
    assert_eq!(transaction.amount, Some(Amount::parse("8.00", "EUR").expect("money").into()));
    assert_eq!(transaction.custom_fields, map(&[("securityCriteria", "0")]));
    let sure = with(sofort(), "securityCriteria", "1");
    assert_eq!(read(&signed(&sure, Scheme::Md5), &reading(Scheme::Md5)).transactions[0].custom_fields, map(&[]));
    let comma = with(card(), "amount", "1234,50");
    let message = read(&signed(&comma, Scheme::Md5), &reading(Scheme::Md5));
    assert_eq!(message.transactions[0].amount, Some(Amount::parse("1234.50", "EUR").expect("money").into()));
    assert!(message.authenticity.is_verified());
}

#[test]
fn a_pending_need_not_sign_number_and_amount_and_then_does_not_tell_them() {
    let bare = read(&signed(&pending(), Scheme::HmacSha512), &reading(Scheme::HmacSha512));
    assert!(bare.authenticity.is_verified(), "{:?}", bare.authenticity);
    assert_eq!((bare.payment_state, bare.transactions.len()), (Some(PaymentState::Pending), 0));
    assert_eq!(bare.custom, map(&[(OWN_ID, "p-77aa")]));

    let unlisted = format!("{}&orderNumber=7000003", signed(&pending(), Scheme::HmacSha512));
    let unlisted = read(&unlisted, &reading(Scheme::HmacSha512));
    assert_eq!(unlisted.gateway_order_number, None);
    assert_eq!(unlisted.unverified, map(&[("orderNumber", "7000003")]));

    let listed = signed(&numbered_pending(), Scheme::HmacSha512);
    let listed = read(&listed, &reading(Scheme::HmacSha512));
    assert!(listed.authenticity.is_verified());
    assert_eq!(listed.gateway_order_number.as_deref(), Some("7000003"));
}

#[test]
fn failure_and_cancel_are_hints_whatever_fingerprint_they_carry() {
    let timeout = fields(&[
        ("errors", "1"),
        ("error.1.errorCode", "99996"),
        ("error.1.message", "timed out"),
        ("paymentState", "FAILURE"),
        (OWN_ID, "p-1"),
    ]);
    let message = read(&encode::unsigned(&timeout), &reading(Scheme::HmacSha512));
    assert_eq!(message.authenticity.verdict(), "unverifiable");
    assert_eq!(message.error_code.as_deref(), Some("99996"));
    assert_eq!((message.custom, message.transactions.len()), (map(&[]), 0));
    assert_eq!(
        message.unverified,
        map(&[("errors", "1"), ("error.1.errorCode", "99996"), ("error.1.message", "timed out"), (OWN_ID, "p-1")])
    );
    for state in ["FAILURE", "CANCEL"] {
        let body = signed(&with(card(), "paymentState", state), Scheme::HmacSha512);
        let message = read(&body, &reading(Scheme::HmacSha512));
        assert_eq!(message.authenticity.verdict(), "unverifiable", "{state}");
        assert_eq!((message.gateway_order_number, message.transactions.len()), (None, 0));
        assert_eq!(message.custom, map(&[(OWN_ID, "p-8f3a21c6")]));
        assert!(message.unverified.contains_key("amount") && !message.unverified.contains_key("paymentState"));
    }
    for (name, code) in
        [("error_1_errorCode", Some("15200")), ("errorCode", Some("30003")), ("error.2.errorCode", None)]
    {
        let body = encode::unsigned(&fields(&[("paymentState", "FAILURE"), (name, code.unwrap_or("1"))]));
        assert_eq!(read(&body, &Reading::default()).error_code.as_deref(), code, "{name}");
    }
    let nonsense = encode::unsigned(&fields(&[("paymentState", "FAILURE"), ("errorCode", "12<b>")]));
    assert_eq!(read(&nonsense, &Reading::default()).error_code, None);
}

#[test]
fn the_gateways_own_way_of_signing_depends_on_the_state() {
    let confirmation = |state| encode::Confirmation { state, fields: without(card(), "paymentState") };
    for (state, verdict) in [
        (PaymentState::Success, "verified"),
        (PaymentState::Pending, "verified"),
        (PaymentState::Failure, "unverifiable"),
        (PaymentState::Cancel, "unverifiable"),
    ] {
        let body = confirmation(state).body(Scheme::HmacSha512, SECRET);
        assert_eq!(read(&body, &reading(Scheme::HmacSha512)).authenticity.verdict(), verdict, "{state:?}");
        assert_eq!(body.contains(FINGERPRINT), verdict == "verified");
    }
}

#[test]
fn what_is_known_decides_the_verdict() {
    let body = signed(&card(), Scheme::HmacSha512);
    let unsigned = encode::unsigned(&card());
    let list = body[body.find(ORDER).expect("a list")..body.rfind('&').expect("a fingerprint")].to_owned();
    let listed_only = format!("{unsigned}&{list}");
    let blind = Reading { secret: None, ..reading(Scheme::HmacSha512) };
    let wrong = Reading { secret: Some(b"another"), ..reading(Scheme::HmacSha512) };
    for (body, reading, verdict, why) in [
        (&body, reading(Scheme::HmacSha512), "verified", ""),
        (&body, blind, "unverifiable", "no secret"),
        (&body, Reading::default(), "unverifiable", "no secret"),
        (&body, wrong, "refuted", "wrong for this secret"),
        (&body, reading(Scheme::Sha512), "refuted", "wrong for this secret, algorithm"),
        (&body, reading(Scheme::Md5), "refuted", "wrong for this secret, algorithm"),
        (&listed_only, reading(Scheme::HmacSha512), "refuted", "without responseFingerprint"),
        (&listed_only, blind, "unverifiable", "no secret"),
        (&unsigned, reading(Scheme::HmacSha512), "refuted", "responseFingerprintOrder is missing"),
        (&unsigned, blind, "refuted", "responseFingerprintOrder is missing"),
    ] {
        let message = read(body, &reading);
        assert_eq!(message.authenticity.verdict(), verdict, "{why}");
        assert_eq!(message.authenticity.scheme(), reading.algorithm);
        assert!(reason(&message).contains(why), "{}", reason(&message));
    }
    let upper = body.to_ascii_uppercase();
    let digest = &upper[upper.rfind('=').expect("a digest") + 1..];
    let upper = format!("{}{digest}", &body[..body.len() - digest.len()]);
    assert!(read(&upper, &reading(Scheme::HmacSha512)).authenticity.is_verified(), "hex in any case");
    assert!(read(&format!("&{body}&"), &reading(Scheme::HmacSha512)).authenticity.is_verified(), "empty pieces");
}

/// Each row needs no secret: the message's own structure rules it out, even where the digest is right.
#[test]
fn structure_refutes_with_and_without_a_secret() {
    let list = |change: &dyn Fn(&mut Vec<String>)| {
        let mut names: Vec<String> = card().into_iter().map(|(name, _)| name).collect();
        names.extend(["secret".to_owned(), ORDER.to_owned()]);
        change(&mut names);
        encode::listed(&card(), &names.join(","), Scheme::HmacSha512, SECRET)
    };
    let body = signed(&card(), Scheme::HmacSha512);
    let set = |name: &str, value: &str| signed(&with(card(), name, value), Scheme::HmacSha512);
    let drop = |name: &str| list(&|names| names.retain(|known| known != name));
    for (body, why) in [
        (format!("{body}&amount=12.50"), "field `amount` occurs twice"),
        (format!("{body}&%61mount=12.50"), "field `amount` occurs twice"),
        (body.replace("%C3%B6", "%F6"), "field `cardholder` is not valid UTF-8"),
        (format!("{body}&x=%00"), "field `x` holds a control character"),
        (format!("{body}&x=%7F"), "field `x` holds a control character"),
        (set("paymentState", "UNKNOWN"), "paymentState `UNKNOWN` is unknown"),
        (set("paymentState", "success"), "paymentState `success` is unknown"),
        (signed(&without(card(), "paymentState"), Scheme::HmacSha512), "paymentState is missing"),
        (drop("paymentState"), "does not name `paymentState`"),
        (drop("orderNumber"), "does not name `orderNumber`"),
        (drop("amount"), "does not name `amount`"),
        (drop("currency"), "does not name `currency`"),
        (drop("paymentType"), "does not name `paymentType`"),
        (drop(OWN_ID), "does not name `shopPaymentId`"),
        (drop("secret"), "does not end in `secret,responseFingerprintOrder`"),
        (drop(ORDER), "does not end in `secret,responseFingerprintOrder`"),
        (list(&|names| names.swap(0, 15)), "does not end in `secret,responseFingerprintOrder`"),
        (list(&|names| names.swap(15, 16)), "does not end in `secret,responseFingerprintOrder`"),
        (list(&|names| names.push("extra".into())), "does not end in `secret,responseFingerprintOrder`"),
        (list(&|names| names.insert(0, "amount".into())), "names `amount` twice"),
        (list(&|names| names.insert(0, "secret".into())), "names `secret` twice"),
        (list(&|names| names.insert(0, "x".into())).replace("=x%2C", "=%2C"), "holds an empty name"),
        (list(&|names| names.insert(0, FINGERPRINT.into())), "names the fingerprint itself"),
        (list(&|names| names[15] = " secret".into()), "does not end in `secret,responseFingerprintOrder`"),
        (list(&|names| names[15] = "Secret".into()), "does not end in `secret,responseFingerprintOrder`"),
        (encode::listed(&card(), "", Scheme::HmacSha512, SECRET), "responseFingerprintOrder is missing"),
        (set("language", "deu"), "`language` is not what the gateway sends there: `deu`"),
        (set("orderNumber", "07000001"), "`orderNumber` is not what the gateway sends there"),
        (set("orderNumber", "1234567890"), "`orderNumber` is not"),
        (set("paymentType", "CASH"), "`paymentType` is not what the gateway sends there: `CASH`"),
        (set("amount", "12.5.0"), "`amount` is not"),
        (set("amount", ""), "`amount` is not"),
        (set("currency", "EUX"), "`currency` is not"),
        (set("expiry", "10/36"), "`expiry` is not"),
        (set("anonymousPan", "10031"), "`anonymousPan` is not"),
        (set("maskedPan", "4012001036271003"), "`maskedPan` is not"),
        (set("authenticated", "maybe"), "`authenticated` is not"),
        (set("cardholder", &"x".repeat(1021)), "`cardholder` is not"),
    ] {
        for secret in [Some(SECRET.as_bytes()), None] {
            let message = read(&body, &Reading { secret, ..reading(Scheme::HmacSha512) });
            assert_eq!(message.authenticity.verdict(), "refuted", "{why}: {body}");
            assert!(reason(&message).contains(why), "{why}: {}", reason(&message));
        }
    }
}

#[test]
fn a_refuted_message_is_still_shown() {
    let body = signed(&card(), Scheme::HmacSha512).replace("J%C3%B6rg", "J%F6rg");
    let message = read(&format!("{body}&amount=999&extra=%FF"), &reading(Scheme::HmacSha512));
    assert!(message.authenticity.is_refuted());
    assert_eq!(message.transactions[0].amount, Some(Amount::parse("12.50", "EUR").expect("money").into()));
    assert_eq!(message.gateway_order_number.as_deref(), Some("7000001"));
    assert_eq!(message.custom, map(&[(OWN_ID, "p-8f3a21c6")]));
    assert_eq!(message.unverified, map(&[("extra", "\u{fffd}")]));
    let naked = encode::unsigned(&fields(&[("paymentState", "SUCCESS"), ("amount", "x"), ("currency", "EUR")]));
    let message = read(&naked, &Reading::default());
    assert_eq!((message.transactions.len(), message.transactions[0].amount), (1, None));
}

/// The own-id rule needs the parameter's name; without one, any signed list that has the rest will do.
#[test]
fn the_own_id_must_be_signed_where_its_name_is_known() {
    let foreign = signed(&without(card(), OWN_ID), Scheme::HmacSha512);
    assert!(read(&foreign, &reading(Scheme::HmacSha512)).authenticity.is_refuted());
    let open = Reading { own_id_parameter: None, ..reading(Scheme::HmacSha512) };
    let message = read(&foreign, &open);
    assert!(message.authenticity.is_verified());
    assert_eq!(message.transactions[0].request_id, None);
    let added = format!("{foreign}&{OWN_ID}=p-8f3a21c6");
    let message = read(&added, &open);
    assert_eq!(message.unverified, map(&[(OWN_ID, "p-8f3a21c6")]));
}

#[test]
fn bytes_are_hashed_as_they_came() {
    for value in [" Bank ", "O'Brien", "a\\'b", "<b>&amp;", "ﬁ ﬀ", "e\u{301}", "100%", "a+b", ""] {
        let body = signed(&with(card(), "cardholder", value), Scheme::HmacSha512);
        assert!(read(&body, &reading(Scheme::HmacSha512)).authenticity.is_verified(), "{value:?}");
    }
    // Listed but left out of the body counts as empty, as in the gateway's seed.
    let body = signed(&with(card(), "instrumentCountry", ""), Scheme::HmacSha512).replace("instrumentCountry=&", "");
    assert!(read(&body, &reading(Scheme::HmacSha512)).authenticity.is_verified());
}

#[test]
fn what_is_no_message_is_an_error_that_says_why() {
    for (body, why) in [
        ("", Unreadable::NotAForm(NotAForm::Empty)),
        ("hello", Unreadable::NotAForm(NotAForm::Empty)),
        ("<payment/>", Unreadable::NotAForm(NotAForm::ADocument)),
    ] {
        assert_eq!(decode(body.as_bytes(), &reading(Scheme::Md5)), Err(why), "{body}");
    }
    let body = signed(&card(), Scheme::Md5);
    let unsuited = |algorithm, secret| decode(body.as_bytes(), &Reading { algorithm, secret, own_id_parameter: None });
    assert_eq!(unsuited(None, Some(b"s")), Err(Unreadable::NoAlgorithm));
    assert_eq!(unsuited(Some(Scheme::Md5), Some(b"")), Err(Unreadable::EmptySecret));
    assert_eq!(unsuited(Some(Scheme::NvpV2), Some(b"s")), Err(Unreadable::NotAFingerprint(Scheme::NvpV2)));
    assert_eq!(
        decode(b"", &Reading { secret: Some(b"s"), ..Reading::default() }),
        Err(Unreadable::NotAForm(NotAForm::Empty))
    );
}

#[test]
fn a_confirmation_is_told_from_other_forms() {
    let list_only = format!("a=1&{ORDER}=a");
    for (body, expected) in [
        (signed(&card(), Scheme::Md5).as_str(), true),
        ("paymentState=NEW", true),
        (&list_only, true),
        ("transaction_state=success&request_id=1", false),
        ("status=0&orders=0", false),
        ("<payment/>", false),
        ("", false),
    ] {
        assert_eq!(is_confirmation(body.as_bytes()), expected, "{body}");
    }
}
