//! What a message may cost us: memory and time in proportion to its length, whatever is in it.
//!
//! One test alone, because the allocator counts for the whole process.

use std::alloc::System;
use std::hint::black_box;
use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reconciled::core::look::Query;
use reconciled::core::message::Scheme;
use reconciled::wire::wpg::{self, pin_from_pem};
use reconciled::wire::{Key, checkout};
use reconciled::words::id::GatewayOrderNumber;
use rustix::time::{ClockId, clock_gettime};
use secrecy::SecretString;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// All that the readers together may allocate while they read, given back or not, for each byte of a message. The worst
/// is a list of empty JSON payments: three bytes each, and read twice into transactions of some 500.
const ALLOCATED_PER_BYTE: usize = 480;
/// What the shortest message may take.
const ALLOCATED_ALWAYS: usize = 16 * 1024;
/// The two lengths compared, in bytes, and how much more time the longer may take: 8 would be exact, 64 is the square.
const SHORT: usize = 8 * 1024;
const TIMES: usize = 8;
const TIME_RATIO_MAX: f64 = 32.0;
/// Readings of each length; the best counts, for whatever else the machine does only ever adds.
const READINGS: usize = 5;

type Shape = (&'static str, fn(usize) -> Vec<u8>);

/// A piece as often as it fits into `length` bytes, between a head and a tail.
fn filled(head: &str, piece: &str, tail: &str, length: usize) -> Vec<u8> {
    let times = length.saturating_sub(head.len() + tail.len()) / piece.len();
    format!("{head}{}{tail}", piece.repeat(times)).into_bytes()
}

/// The same with a number in each piece, for names that differ.
fn numbered(head: &str, piece: impl Fn(usize) -> String, tail: &str, length: usize) -> Vec<u8> {
    let mut text = head.to_owned();
    let mut n = 0;
    while text.len() + tail.len() < length {
        text.push_str(&piece(n));
        n += 1;
    }
    (text + tail).into_bytes()
}

/// Bodies of one kind and any length, each hard on some reader.
const SHAPES: &[Shape] = &[
    ("XML: elements side by side", |n| filled("<payment>", "<a/>", "</payment>", n)),
    ("XML: elements one in the other", |n| {
        let open = "<a>".repeat(n / 7);
        format!("<payment>{open}{}</payment>", "</a>".repeat(n / 7)).into_bytes()
    }),
    ("XML: an endless tag", |n| filled("<payment ", "a='1' ", "/>", n)),
    ("XML: attributes up to the limit", |n| {
        let tag: String = (0..60).map(|at| format!(" a{at}='{at}'")).collect();
        filled("<payment>", &format!("<a{tag}/>"), "</payment>", n)
    }),
    ("XML: one long attribute of references", |n| filled("<payment a='", "&amp;", "'/>", n)),
    ("XML: text cut by comments", |n| filled("<payment><request-id>", "a<!---->", "</request-id></payment>", n)),
    ("XML: text of references", |n| filled("<payment><request-id>", "&#65;", "</request-id></payment>", n)),
    ("XML: text of carriage returns", |n| filled("<payment><request-id>", "\r", "</request-id></payment>", n)),
    ("XML: declarations", |n| filled("<payment>", "<a xmlns:b='u' xmlns='v'><b:c/></a>", "</payment>", n)),
    ("XML: comments that never end", |n| filled("<payment>", "<!--", "", n)),
    ("XML: quotes that never end", |n| filled("<payment>", "<a b='", "", n)),
    ("XML: statuses", |n| filled("<payment><statuses>", "<status code='1'/>", "</statuses></payment>", n)),
    ("XML: custom fields", |n| {
        let field = |at| format!("<custom-field field-name='n{at}' field-value='v'/>");
        numbered("<payment><custom-fields>", field, "</custom-fields></payment>", n)
    }),
    ("XML: payments", |n| filled("<payments>", "<payment><a/></payment>", "</payments>", n)),
    ("XML: lists of lists", |n| filled("<payments>", "<payments></payments>", "</payments>", n)),
    ("XML: a state said again and again", |n| {
        filled("<payment>", "<transaction-state>failed</transaction-state>", "</payment>", n)
    }),
    ("XML: signatures", |n| {
        filled("<payment>", "<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>", "</payment>", n)
    }),
    ("XML-DSig: a long document, canonical once", |n| {
        let whole = |piece: &str| {
            let info = "<SignedInfo><CanonicalizationMethod Algorithm='http://www.w3.org/TR/2001/REC-xml-c14n-20010315'/><SignatureMethod Algorithm='http://www.w3.org/2001/04/xmldsig-more#rsa-sha256'/><Reference URI=''><Transforms><Transform Algorithm='http://www.w3.org/2000/09/xmldsig#enveloped-signature'/></Transforms><DigestMethod Algorithm='http://www.w3.org/2001/04/xmlenc#sha256'/><DigestValue>AAAA</DigestValue></Reference></SignedInfo>";
            format!(
                "<payment>{piece}<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'>{info}<SignatureValue>AAAA</SignatureValue></Signature></payment>"
            )
        };
        whole(&"<a b='&lt;'>&gt;</a>".repeat(n / 20)).into_bytes()
    }),
    ("XML: a declared charset", |n| {
        filled("<?xml version='1.0' encoding='ISO-8859-1'?><payment>", "\u{e9}", "</payment>", n)
    }),
    ("XML: Base64 of it", |n| {
        BASE64_STANDARD.encode(filled("<payment>", "<a/>", "</payment>", n * 3 / 4)).into_bytes()
    }),
    ("XML: an amount of many digits", |n| {
        filled("<payment><requested-amount currency='EUR'>1.", "0", "</requested-amount></payment>", n)
    }),
    ("JSON: lists one in the other", |n| filled("{\"payment\":", "[", "", n)),
    ("JSON: members", |n| numbered("{\"payment\":{", |at| format!("\"n{at}\":1,"), "\"statuses\":[]}}", n)),
    ("JSON: one name again and again", |n| filled("{\"payment\":{", "\"a\":1,", "\"statuses\":[]}}", n)),
    ("JSON: escapes", |n| filled("{\"payment\":{\"request-id\":\"", "\\u0041", "\"}}", n)),
    ("JSON: a number", |n| filled("{\"payment\":{\"requested-amount\":{\"value\":", "9", "}}}", n)),
    ("JSON: an exponent", |n| filled("{\"payment\":{\"requested-amount\":{\"value\":1e", "9", "}}}", n)),
    ("JSON: a time", |n| filled("{\"payment\":{\"completion-time-stamp\":", "9", "}}", n)),
    ("JSON: payments", |n| filled("{\"payments\":{\"payment\":[{}", ",{}", "]}}", n)),
    ("JSON: small values", |n| filled("{\"payment\":{\"a\":[0", ",0", "]}}", n)),
    ("json-signed: a long text", |n| {
        let text = BASE64_STANDARD.encode(filled("{\"payment\":{\"a\":[0", ",0", "]}}", n * 3 / 4));
        format!("response-signature-base64=AAAA&response-signature-algorithm=HmacSHA256&response-base64={text}")
            .into_bytes()
    }),
    ("NVP: fields", |n| numbered("transaction_state=failed&", |at| format!("n{at}=1&"), "", n.min(20_000))),
    ("NVP: fields without end", |n| filled("transaction_state=failed&", "a&", "", n)),
    ("NVP: separators", |n| filled("transaction_state=failed", "&", "", n)),
    ("NVP: percent signs", |n| filled("request_id=", "%41", "", n)),
    ("NVP: broken percent signs", |n| filled("request_id=", "%%", "", n)),
    ("NVP: statuses", |n| numbered("request_id=1&", |at| format!("status_code_{at}=1&"), "", n.min(20_000))),
    ("NVP: a v1 request-id of grammar", |n| {
        filled(
            "merchant_account_id=11111111-2222-3333-4444-555555555555&transaction_id=11111111-2222-3333-4444-555555555555&transaction_type=debit&transaction_state=success&completion_time_stamp=20180516205300&response_signature=00&request_id=",
            "success20180516205300",
            "",
            n,
        )
    }),
    ("NVP: a v2 payload", |n| {
        let payload = BASE64_STANDARD.encode(filled("HS256\n", "a=1\n", "", n * 3 / 4));
        format!("request_id=1&response_signature_v2={payload}.AAAA").into_bytes()
    }),
    ("nothing of all that", |n| filled("", "x ", "", n)),
    ("checkout: fields", |n| numbered("paymentState=SUCCESS&", |at| format!("n{at}=1&"), "", n.min(100_000))),
    ("checkout: one name again and again", |n| filled("paymentState=SUCCESS&", "a=1&", "", n.min(48_000))),
    ("checkout: a list", |n| {
        // A value ends at 65,535 bytes.
        numbered(
            "paymentState=SUCCESS&responseFingerprintOrder=",
            |at| format!("n{at},"),
            "secret,responseFingerprintOrder",
            n.min(65_000),
        )
    }),
    ("checkout: errors", |n| numbered("paymentState=FAILURE&", |at| format!("error.{at}.errorCode=1&"), "", n)),
    ("checkout: payments of an order", |n| {
        let payment =
            |at| format!("payment.1.{}.paymentNumber=1&payment.1.{}.state=payment_deposited&", at + 1, at + 1);
        numbered("status=0&orders=1&order.1.orderNumber=7000001&", payment, "", n)
    }),
    ("checkout: an amount of many digits", |n| {
        filled("paymentState=SUCCESS&currency=EUR&amount=1.", "0", "", n.min(65_000))
    }),
];

struct Readers {
    key: Key,
    query: Query,
}

impl Readers {
    /// Every reader a body can come to. The store's cap on bodies is far above the lengths used here.
    fn read(&self, body: &[u8]) {
        let _ = black_box(wpg::decode(body, Some(&self.key)));
        let _ = black_box(wpg::retrieve::answer(&self.query, 200, None, body));
        let reading = checkout::Reading {
            algorithm: Some(Scheme::Sha512),
            secret: Some(b"a secret of the bounds alone"),
            own_id_parameter: Some("shopRequestId"),
        };
        let _ = black_box(checkout::decode(body, &reading));
        let _ = black_box(checkout::backend::answer(&self.query, 200, body));
        let _ = black_box(checkout::backend::decode_reply(body));
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn best_seconds(readers: &Readers, body: &[u8]) -> f64 {
    let reading = || {
        let since = cpu_seconds();
        readers.read(body);
        cpu_seconds() - since
    };
    (0..READINGS).map(|_| reading()).fold(f64::INFINITY, f64::min)
}

#[test]
fn whatever_a_message_holds_it_costs_in_proportion_to_its_length() {
    let pin = pin_from_pem(include_str!("keys/wpg-gateway.crt")).expect("a pin");
    let readers = Readers {
        key: Key { secret: SecretString::from("a secret"), user: None, password: None, pins: vec![pin] },
        query: Query::OrderDetails { gateway_order_number: GatewayOrderNumber::new("7000001").expect("a number") },
    };
    // What is made once is made now: zones, tables.
    readers.read(b"status=0&orders=1&order.1.orderNumber=7000001&order.1.timeCreated=25.10.2026 02:30:00");
    let (mut most, mut slowest) = ((0.0, ""), (0.0, ""));
    for (name, shape) in SHAPES {
        let (short, long) = (shape(SHORT), shape(SHORT * TIMES));
        for body in [&short, &long] {
            let region = Region::new(ALLOCATOR);
            readers.read(body);
            let allocated = region.change().bytes_allocated;
            let allowed = ALLOCATED_PER_BYTE * body.len() + ALLOCATED_ALWAYS;
            assert!(allocated <= allowed, "{name}: {allocated} bytes for {} of body", body.len());
            let each = allocated as f64 / body.len() as f64;
            most = if each > most.0 { (each, name) } else { most };
        }
        // Bodies that end at a limit of their own grow less than the others.
        let grown = long.len() as f64 / short.len() as f64;
        let ratio = best_seconds(&readers, &long) / best_seconds(&readers, &short).max(2e-6);
        assert!(
            ratio <= TIME_RATIO_MAX * (grown / TIMES as f64).max(0.5),
            "{name}: {grown} times the length took {ratio} times as long"
        );
        slowest = if ratio / grown > slowest.0 { (ratio / grown, name) } else { slowest };
    }
    let _ = writeln!(
        std::io::stderr(),
        "{} shapes: at most {:.1} bytes allocated for each byte ({}); time grows at most {:.2} times as fast as length ({})",
        SHAPES.len(),
        most.0,
        most.1,
        slowest.0,
        slowest.1
    );
}
