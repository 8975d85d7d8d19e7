//! Messages of our own in every shape the gateway sends, from bytes to what is printed.

use std::io::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use reconciled::core::message::{Authenticity, Message, Transaction};
use reconciled::wire::Key;
use reconciled::wire::decoded::{decoded_json, decoded_text};
use reconciled::wire::wpg::encode::{base64_wrapped, json_signed, nvp, payment_json, payment_xml, signed_xml};
use reconciled::wire::wpg::{NotAPin, SigningKey, decode, pin_from_pem};
use secrecy::SecretString;

const SECRET: &str = "decode-test-secret";

fn key() -> Key {
    let pin = pin_from_pem(include_str!("keys/wpg-gateway.pub")).expect("a pin");
    Key { secret: SecretString::from(SECRET.to_owned()), user: None, password: None, pins: vec![pin] }
}

fn read(body: &str) -> Message {
    decode(body.as_bytes(), None).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn one(body: &str) -> Transaction {
    let mut transactions = read(body).transactions;
    assert_eq!(transactions.len(), 1, "{body}");
    transactions.remove(0)
}

fn refuted(body: &str) -> String {
    match read(body).authenticity {
        Authenticity::Refuted { reason, .. } => reason,
        other => panic!("{other:?}: {body}"),
    }
}

const XML: &str = r#"
<payment xmlns="http://www.elastic-payments.com/schema/payment" self="https://api.example/engine/rest/merchants/m/payments/t">
  <merchant-account-id ref="https://api.example/engine/rest/config/merchants/m">
    d9d234ad-8c36-4dba-bcab-ff4d0c672f47
  </merchant-account-id>
  <transaction-id>T-1</transaction-id><request-id> R-1-get-url
  </request-id>
  <transaction-type>debit</transaction-type><transaction-state>success</transaction-state>
  <completion-time-stamp>2018-08-01T11:06:46.000+02:00</completion-time-stamp>
  <statuses><status code="201.0000" description="done" severity="information"/><status code="305.0000"/></statuses>
  <requested-amount currency="EUR">400.000000</requested-amount>
  <parent-transaction-id/><order-number></order-number>
  <custom-fields><custom-field field-name="shop" field-value="a &amp; b"/></custom-fields>
  <payment-methods><payment-method url="https://pay.example/" name="ratepay-invoice"/></payment-methods>
  <periodic><periodic-type>recurring</periodic-type><sequence-type>first</sequence-type></periodic>
</payment>"#;

#[test]
fn a_message_prints_as_documented() {
    let expected = r#"{
  "dialect": "wpg",
  "format": "xml",
  "authenticity": {
    "verdict": "unverifiable",
    "scheme": null,
    "covers": [],
    "reason": "not signed"
  },
  "transactions": [
    {
      "merchant_account_id": "d9d234ad-8c36-4dba-bcab-ff4d0c672f47",
      "request_id": "R-1-get-url",
      "transaction_id": "T-1",
      "parent_transaction_id": null,
      "group_transaction_id": null,
      "transaction_type": "debit",
      "transaction_state": "success",
      "amount": {
        "value": "400.00",
        "currency": "EUR"
      },
      "order_number": null,
      "payment_methods": [
        "ratepay-invoice"
      ],
      "completed_at": "2018-08-01T09:06:46Z",
      "statuses": [
        {
          "code": "201.0000",
          "severity": "information"
        },
        {
          "code": "305.0000",
          "severity": null
        }
      ],
      "custom_fields": {
        "shop": "a & b"
      },
      "periodic": {
        "periodic_type": "recurring",
        "sequence_type": "first"
      },
      "redirect_only": true
    }
  ],
  "payment_state": null,
  "gateway_order_number": null,
  "custom": {},
  "unverified": {}
}"#;
    let message = read(XML);
    assert_eq!(decoded_text(&message), expected);
    assert_eq!(decoded_json(&message), serde_json::from_str::<serde_json::Value>(expected).expect("json"));
}

#[test]
fn a_message_is_the_same_in_every_format_and_wrapper() {
    let t = one(XML);
    let signing = SigningKey::from_pem(include_str!("keys/wpg-gateway.pem")).expect("a key");
    let signed = signed_xml(&payment_xml(&t), &signing).expect("signed");
    for (body, format) in [
        (payment_xml(&t), "xml"),
        (payment_json(&t), "json"),
        (nvp(&t, SECRET), "nvp"),
        (json_signed(&t, SECRET), "json-signed"),
        (signed, "xml"),
    ] {
        let folded: Vec<String> =
            base64_wrapped(&body).as_bytes().chunks(76).map(|c| String::from_utf8_lossy(c).into()).collect();
        let posted = format!("psp_name=x&eppresponse={}", base64_wrapped(&body));
        for body in
            [body.clone(), format!("\u{FEFF}\r\n {body}\r\n"), base64_wrapped(&body), folded.join("\r\n"), posted]
        {
            let message = read(&body);
            assert_eq!((message.format.name(), &message.transactions[..]), (format, &[t.clone()][..]), "{body}");
        }
    }
}

#[test]
fn base64_is_unwrapped_once_only() {
    let twice = base64_wrapped(&base64_wrapped(XML));
    assert!(decode(twice.as_bytes(), None).is_err());
}

#[test]
fn lists_of_payments_come_in_many_wrappers() {
    let payment = "<payment><transaction-id>t</transaction-id></payment>";
    let json = r#"{"transaction-id":"t"}"#;
    for (body, count) in [
        ("<payments/>".to_owned(), 0),
        (format!("<payments>{payment}</payments>"), 1),
        (format!("<payments xmlns='http://www.elastic-payments.com/schema/payment'>{payment}{payment}</payments>"), 2),
        (format!("<multi-payments>{payment}{payment}</multi-payments>"), 2),
        (format!("<multi-payments><payments>{payment}</payments></multi-payments>"), 1),
        (r#"{"payments":{}}"#.to_owned(), 0),
        (r#"{"payments":{"payment":[]}}"#.to_owned(), 0),
        (r#"{"payments":[]}"#.to_owned(), 0),
        (format!(r#"{{"payments":{{"payment":[{json},{json}]}}}}"#), 2),
        (format!(r#"{{"payments":{{"payment":{json}}}}}"#), 1),
        (format!(r#"{{"payments":[{json}]}}"#), 1),
        (format!(r#"{{"payments":[{{"payment":{json}}}]}}"#), 1),
        (format!(r#"{{"payment":[{json},{json}]}}"#), 2),
        (format!(r#"{{"payment":{json}}}"#), 1),
        (r#"{"multi-payments":{}}"#.to_owned(), 0),
        (r#"{"multi-payments":{"payments":{}}}"#.to_owned(), 0),
        (r#"{"payments":{"payments":{}}}"#.to_owned(), 0),
        (format!(r#"{{"multi-payments":{{"payment":[{json},{json}]}}}}"#), 2),
        (format!(r#"{{"multi-payments":{{"payments":{{"payment":[{json}]}}}}}}"#), 1),
        (json.to_owned(), 1),
    ] {
        let transactions = read(&body).transactions;
        assert_eq!(transactions.len(), count, "{body}");
        assert!(transactions.iter().all(|t| t.transaction_id.as_deref() == Some("t")), "{body}");
    }
}

#[test]
fn json_values_come_in_many_spellings() {
    for (amount, printed) in [
        (r#"{"value":19.5,"currency":"EUR"}"#, "19.50 EUR"),
        (r#"{"value":1.990000,"currency":"EUR"}"#, "1.99 EUR"),
        (r#"{"value":1000,"currency":"JPY"}"#, "1000 JPY"),
        (r#"{"value":"2.5","currency":"EUR"}"#, "2.50 EUR"),
        (r#"{"value":0.1,"currency":"EUR"}"#, "0.10 EUR"),
        (r#"{"value":1E+3,"currency":"EUR"}"#, "1000.00 EUR"),
        (r#"{"value":99999999999999999.99,"currency":"840"}"#, "99999999999999999.99 USD"),
    ] {
        let t = one(&format!(r#"{{"payment":{{"requested-amount":{amount}}}}}"#));
        assert_eq!(t.amount.and_then(|a| a.bookable()).map(|a| a.to_string()).as_deref(), Some(printed), "{amount}");
    }
    for time in
        [r#""2018-08-01T09:06:46.000Z""#, r#""2018-08-01T11:06:46+02:00""#, r#""2018-08-01T09:06:46""#, "1533114406000"]
    {
        let t = one(&format!(r#"{{"transaction-id":"t","completion-time-stamp":{time}}}"#));
        assert_eq!(t.completed_at.map(|at| at.to_string()).as_deref(), Some("2018-08-01T09:06:46Z"), "{time}");
    }
    for account in [r#""m""#, r#"{"value":"m","ref":"https://x/"}"#] {
        let t = one(&format!(r#"{{"merchant-account-id":{account}}}"#));
        assert_eq!(t.merchant_account_id.as_deref(), Some("m"));
    }
}

#[test]
fn nvp_fields_come_in_many_spellings() {
    let t = one(
        "merchant_account_id=m&request_id=a%2Bb+c&transaction_id=&status_code_10=3&status_code_2=2&status_code_1=1\
         &status_severity_2=error&field_name_1=x&field_value_1=1&field_name_2=&field_value_2=2&custom_field_shop=M%FCnchen\
         &requested_amount=8&requested_amount_currency=&completion_time_stamp=20180801090646&payment_method=trustly&",
    );
    assert_eq!(t.request_id.as_deref(), Some("a+b c"));
    assert_eq!(t.transaction_id, None);
    let codes: Vec<_> = t.statuses.iter().map(|s| (s.code.as_str(), s.severity.as_deref())).collect();
    assert_eq!(codes, [("1", None), ("2", Some("error")), ("3", None)]);
    let custom: Vec<_> = t.custom_fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(custom, ["custom_field_shop=München", "x=1"]);
    let amount = t.amount.expect("an amount");
    assert_eq!((amount.value_text().as_str(), amount.currency), ("8", None));
    assert_eq!(t.completed_at.map(|at| at.to_string()).as_deref(), Some("2018-08-01T09:06:46Z"));
    assert_eq!(one("request_id=r&requested_amount_currency=EUR").amount, None, "a currency alone is no amount");
}

#[test]
fn only_the_gateway_s_own_names_are_read() {
    let t = one(
        r#"<payment xmlns="http://www.elastic-payments.com/schema/payment" xmlns:evil="urn:evil" evil:transaction-id="x">
        <evil:requested-amount currency="EUR">1.00</evil:requested-amount>
        <evil:transaction-state>success</evil:transaction-state><Transaction-State>success</Transaction-State>
        <wallet><transaction-state>success</transaction-state></wallet>
        <payment-methods><evil:payment-method name="x" url="y"/></payment-methods>
        <transaction-state>failed</transaction-state></payment>"#,
    );
    assert_eq!(t, Transaction { transaction_state: Some("failed".to_owned()), ..Transaction::default() });
    for root in ["<evil:payment xmlns:evil='urn:evil'/>", "<payment xmlns='urn:evil'/>", "<Payment/>", "<order/>"] {
        let error = decode(root.as_bytes(), None).expect_err(root).to_string();
        assert!(error.contains("root element"), "{error}");
    }
}

#[test]
fn a_value_that_stands_twice_is_nobody_s_value() {
    for name in [
        "merchant-account-id",
        "transaction-id",
        "request-id",
        "transaction-type",
        "transaction-state",
        "requested-amount",
        "parent-transaction-id",
        "group-transaction-id",
        "order-number",
        "completion-time-stamp",
        "periodic",
    ] {
        let xml = format!("<payment><{name}>1</{name}><{name}>2</{name}></payment>");
        assert!(refuted(&xml).contains(&format!("two `{name}` elements")), "{xml}");
        assert_eq!(one(&xml), Transaction::default(), "{xml}");
        let json = format!(r#"{{"payment":{{"{name}":"1","{name}":"2"}}}}"#);
        assert!(refuted(&json).contains("comes twice"), "{json}");
        assert_eq!(one(&json), Transaction::default(), "{json}");
    }
    let nvp = "request_id=r&transaction_state=failed&transaction_state=success";
    assert!(refuted(nvp).contains("`transaction_state` comes twice"));
    assert_eq!(one(nvp), Transaction { request_id: Some("r".to_owned()), ..Transaction::default() });
}

#[test]
fn an_amount_that_nobody_can_read_is_not_silence() {
    for body in [
        "<payment><requested-amount currency='EUR'>12,50</requested-amount></payment>",
        r#"{"payment":{"requested-amount":{"value":"1_000","currency":"EUR"}}}"#,
        "request_id=r&requested_amount=1.2.3",
    ] {
        assert!(refuted(body).contains("is no decimal number"), "{body}");
    }
}

#[test]
fn without_a_secret_nothing_is_judged_and_with_one_unsigned_is_a_hint() {
    let t = one(XML);
    let signing = SigningKey::from_pem(include_str!("keys/wpg-gateway.pem")).expect("a key");
    let signed = signed_xml(&payment_xml(&t), &signing).expect("signed");
    let nvp = nvp(&t, SECRET);
    let blank = Key { secret: SecretString::from(String::new()), user: None, password: None, pins: vec![] };
    let wrong = Key { secret: SecretString::from("wrong".to_owned()), ..blank.clone() };
    let (key, none) = (key(), None);
    let verified = "verified";
    let hint = "unverifiable";
    for (body, scheme, expected) in [
        (&nvp, Some("nvp-v2"), [hint, hint, "refuted", verified]),
        (&json_signed(&t, SECRET), Some("json-signed"), [hint, hint, "refuted", verified]),
        (&signed, Some("xml-dsig"), [hint, hint, hint, verified]),
        (&payment_xml(&t), None, [hint; 4]),
        (&payment_json(&t), None, [hint; 4]),
        (&"request_id=r&transaction_state=success".to_owned(), None, [hint; 4]),
    ] {
        for (key, expected) in [none, Some(&blank), Some(&wrong), Some(&key)].into_iter().zip(expected) {
            let authenticity = decode(body.as_bytes(), key).expect("readable").authenticity;
            assert_eq!(authenticity.verdict(), expected, "{authenticity:?}: {body}");
            assert_eq!(authenticity.scheme().map(|s| s.name()), scheme, "{body}");
        }
    }
}

#[test]
fn v2_decides_whatever_v1_says_and_the_outer_fields_must_agree() {
    let t = Transaction { transaction_state: Some("failed".to_owned()), ..one(XML) };
    let body = nvp(&t, SECRET);
    let reason = |body: &str| match decode(body.as_bytes(), Some(&key())).expect("readable").authenticity {
        Authenticity::Refuted { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    let altered = body.replace("transaction_state=failed", "transaction_state=success");
    assert!(reason(&altered).contains("`transaction_state` differs"), "{}", reason(&altered));
    let dropped = body.replace("transaction_state=failed&", "");
    assert!(reason(&dropped).contains("`transaction_state` differs"));
    // v1 beside it is right, v2 is made with another secret.
    let other = nvp(&t, "another secret");
    let v2 = |body: &str| body.split('&').find(|p| p.starts_with("response_signature_v2=")).expect("v2").to_owned();
    let swapped = body.replace(&v2(&body), &v2(&other));
    assert!(reason(&swapped).contains("not made with this account's secret"), "{}", reason(&swapped));
}

#[test]
fn json_signed_bodies_are_split_by_hand() {
    let t = Transaction { order_number: Some(">>>>????".to_owned()), ..one(XML) };
    let raw = json_signed(&t, SECRET);
    assert!(raw.contains('+') && raw.contains('/'), "the sample holds the characters that matter");
    let encoded: String = raw.replace('+', "%2B").replace('/', "%2F");
    let encoded = format!("psp_name=elastic_payments&custom=1&{encoded}&");
    for body in [&raw, &encoded] {
        let message = decode(body.as_bytes(), Some(&key())).expect("readable");
        let Authenticity::Verified { covers, .. } = message.authenticity else { panic!("{body}") };
        assert!(covers.iter().any(|name| name == "requested-amount"), "{covers:?}");
    }
}

#[test]
fn a_json_signed_message_is_the_same_as_a_form_as_an_object_and_folded_into_lines() {
    let t = one(XML);
    let form = json_signed(&t, SECRET);
    let part = |name: &str| {
        let pair = form.split('&').find(|pair| pair.starts_with(name)).expect("a part");
        pair.split_once('=').expect("a value").1.to_owned()
    };
    let (text, signature) = (part("response-base64"), part("response-signature-base64"));
    let chunks: Vec<_> = text.as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
    let object = |text: &str| {
        serde_json::json!({"response-signature-base64": signature, "response-signature-algorithm": "HmacSHA256",
            "response-base64": text})
        .to_string()
    };
    for body in [
        object(&text),
        object(&chunks.join("\r\n")),
        form.replace('&', "&\n"),
        form.replace('&', "\r\n&"),
        form.replace(&text, &chunks.join("\n")),
    ] {
        let message = decode(body.as_bytes(), Some(&key())).expect("readable");
        assert_eq!((message.format.name(), message.authenticity.is_verified()), ("json-signed", true), "{body}");
        assert_eq!(message.transactions, std::slice::from_ref(&t));
        let forged = body.replacen(&chunks[0][..8], "AAAAAAAA", 1);
        let verdict = decode(forged.as_bytes(), Some(&key())).map(|message| message.authenticity.is_verified());
        assert_ne!(verdict, Ok(true), "{forged}");
    }
    let twice = object(&text).replacen('{', "{\"response-base64\":\"e30=\",", 1);
    assert!(decode(twice.as_bytes(), Some(&key())).expect("readable").authenticity.is_refuted());
}

#[test]
fn a_document_among_unsigned_names_is_the_message_and_signed_names_are_it_themselves() {
    let t = one(XML);
    let wrapped = base64_wrapped(&json_signed(&t, SECRET));
    let beside = format!("request_id=another&transaction_state=failed&base64payload={wrapped}");
    let message = decode(beside.as_bytes(), Some(&key())).expect("readable");
    assert!(message.authenticity.is_verified());
    assert_eq!(message.transactions, std::slice::from_ref(&t));
    let signed = format!("{}&base64payload={wrapped}", nvp(&Transaction { order_number: None, ..t }, SECRET));
    assert_eq!(decode(signed.as_bytes(), Some(&key())).expect("readable").format.name(), "nvp");
    for nonsense in ["%3F", "PGE%2B", "PGEvPg=="] {
        let beside = format!("request_id=r-1&transaction_state=failed&eppresponse={nonsense}");
        assert_eq!(one(&beside).request_id.as_deref(), Some("r-1"), "{nonsense}");
    }
}

#[test]
fn a_signature_survives_the_document_s_own_encoding() {
    let signing = SigningKey::from_pem(include_str!("keys/wpg-gateway.pem")).expect("a key");
    let mut t = one(XML);
    t.order_number = Some("Größe 7".to_owned());
    let signed = signed_xml(&payment_xml(&t), &signing).expect("signed");
    let declared = signed.replace("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\"");
    let latin: Vec<u8> = declared.chars().map(|c| u8::try_from(u32::from(c)).expect("latin")).collect();
    let message = decode(&latin, Some(&key())).expect("readable");
    assert!(message.authenticity.is_verified(), "{:?}", message.authenticity);
    assert_eq!(message.transactions, [t]);
}

#[test]
fn one_key_is_one_pin_in_three_kinds_of_pem() {
    let certificate = pin_from_pem(include_str!("keys/wpg-gateway.crt"));
    assert_eq!(certificate, pin_from_pem(include_str!("keys/wpg-gateway.pub")));
    assert_eq!(certificate, pin_from_pem(include_str!("keys/wpg-gateway.rsa.pub")));
    let signing = SigningKey::from_pem(include_str!("keys/wpg-gateway.pem")).expect("a key");
    assert_eq!(certificate, Ok(signing.pin()));
    let certificate = include_str!("keys/wpg-gateway.crt");
    for (pem, why) in [
        ("", NotAPin::NoPem),
        ("-----BEGIN DSA KEY-----\nAAAA\n-----END DSA KEY-----", NotAPin::NoPem),
        (include_str!("keys/wpg-gateway.pem"), NotAPin::PrivateKey),
        (&format!("{certificate}{certificate}"), NotAPin::Several),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", NotAPin::Damaged),
        ("-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----", NotAPin::Damaged),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", NotAPin::NotRsa),
    ] {
        assert_eq!(pin_from_pem(pem), Err(why), "{pem}");
    }
}

#[test]
fn what_cannot_be_read_is_named_in_one_line() {
    for (body, expected) in [
        (&b""[..], "body: empty"),
        (b" \r\n", "body: empty"),
        (b"hello", "body: "),
        (b"foo=bar", "body: "),
        (b"\xFF\xFE\x00", "body: "),
        (b"aGVsbG8gd29ybGQ=", "body: Base64 of neither"),
        (b"<payment>\xFF</payment>", "xml: not valid UTF-8 at byte 9"),
        (b"<!DOCTYPE payment><payment/>", "a DOCTYPE"),
        (b"<html><body>busy</body></html>", "root element `html`"),
        (b"{\"a\":1}", "json: neither"),
        (b"{\"payment\":{}} x", "json: something after the end"),
        (b"{\"payment\":{}}}", "json: something after the end"),
        (b"{\"payment\":{\"ref\" \"x\"}}", "json: no `:`"),
        (b"{\"payment\":{\"a\":\"\xFF\"}}", "json: not valid UTF-8"),
        (b"{\"payment\":{},\"payments\":{}}", "json: two of `payment`"),
        (b"{\"payment\":[1]}", "json: a payment that is not an object"),
        (b"{\"transaction_id\":\"t\",\"transaction_state\":\"success\"}", "json: neither"),
        (b"response-base64=!!", "json-signed: `response-base64` is not Base64"),
    ] {
        let error = decode(body, None).expect_err(&String::from_utf8_lossy(body)).to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error:?}, expected {expected:?}");
    }
}

/// 1 MiB of what is dear to read, in every format.
fn dear_bodies() -> Vec<(&'static str, String)> {
    const MIB: usize = 1024 * 1024;
    let fill = |piece: &str| piece.repeat(MIB / piece.len());
    let payment = |inner: &str| format!("<payment>{}</payment>", fill(inner));
    vec![
        ("nested elements", fill("<a>")),
        ("empty elements", payment("<a/>")),
        ("unknown elements", payment("<abcdefgh>x</abcdefgh>")),
        ("references", payment("&amp;")),
        ("comments", payment("<!-- -->")),
        ("pieces of text", payment("x<!---->")),
        ("attributes", format!("<payment {}/>", fill("a='1' "))),
        (
            "attributes of many names",
            format!("<payment {}/>", (0..MIB / 10).map(|n| format!("a{n}='' ")).collect::<String>()),
        ),
        ("one long attribute", format!("<payment a='{}'/>", fill("&lt;"))),
        ("declarations", payment("<a xmlns:b='c'/>")),
        ("statuses", format!("<payment><statuses>{}</statuses></payment>", fill("<status code='1'/>"))),
        ("twins", payment("<request-id>1</request-id>")),
        ("signatures", payment("<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>")),
        ("payments", format!("<payments>{}</payments>", fill("<payment/>"))),
        ("an entity bomb", format!("<!DOCTYPE a [<!ENTITY a '{}'>]><payment>&a;</payment>", fill("x"))),
        ("json lists", fill("[")),
        ("json objects", fill("{\"a\":")),
        ("json twins", format!("{{\"payment\":{{{}\"a\":1}}}}", fill("\"a\":1,"))),
        ("json escapes", format!("{{\"payment\":{{\"a\":\"{}\"}}}}", fill("\\u0041"))),
        ("json payments", format!("{{\"payment\":[{}{{}}]}}", fill("{},"))),
        ("pairs", fill("request_id=1&")),
        ("one long pair", format!("request_id={}", fill("%41"))),
        ("broken percents", format!("request_id={}", fill("%%"))),
        ("states without end", format!("request_id={}", fill("success20180101000000"))),
        ("base64", fill("AAAA")),
        ("base64 of dots", format!("request_id=1&response_signature_v2={}", fill("."))),
    ]
}

#[test]
fn a_mebibyte_of_anything_is_read_or_refused_in_time_that_grows_with_its_length() {
    for (name, body) in dear_bodies() {
        let start = Instant::now();
        let _ = decode(body.as_bytes(), Some(&key()));
        let took = start.elapsed();
        // Quadratic work on a mebibyte takes minutes; a slow machine takes a fraction of this.
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        let _ = writeln!(std::io::stderr(), "{name}: {took:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&body, Some(&key()));
    }

    #[test]
    fn arbitrary_text_of_the_wire_s_alphabet_never_panics(body in r#"[<>&;="'/!?\[\]{}:,.%+# a-ex0-9\n-]{0,80}"#) {
        for prefix in ["<payment>", "{\"payment\":", "request_id=", "response-base64=", ""] {
            let _ = decode(format!("{prefix}{body}").as_bytes(), Some(&key()));
        }
    }

    #[test]
    fn damaged_messages_never_panic(which in 0..5usize, at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 0..6), cut in 0..6usize) {
        let t = one(XML);
        let signing = SigningKey::from_pem(include_str!("keys/wpg-gateway.pem")).expect("a key");
        let body = match which {
            0 => XML.to_owned(),
            1 => payment_json(&t),
            2 => nvp(&t, SECRET),
            3 => json_signed(&t, SECRET),
            _ => signed_xml(&payment_xml(&t), &signing).expect("signed"),
        };
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        let to = (at + cut).min(body.len());
        body.splice(at..to, bytes);
        if let Ok(message) = decode(&body, Some(&key())) {
            let _ = decoded_text(&message);
        }
    }
}
