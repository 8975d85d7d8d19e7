//! Random forgeries: genuine messages, altered by someone who has seen others and does not know the secret.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::field::{Grammar, standard};
use super::super::fingerprint::{FINGERPRINT, ORDER};
use super::super::{backend, decode, started};
use super::*;
use crate::core::look::Query;
use crate::wire::form;
use crate::words::id::GatewayOrderNumber;

/// Messages tried in one run of the tests; `FORGERIES` in the environment asks for more.
const FORGERIES: usize = 200_000;

/// xorshift64*: small, seeded, and all that a test needs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// What is listed and signed, with free texts (and what may be empty beside them) joined where they stand side by side:
/// no grammar can fix their border, and we use none of them.
fn signed_values(fields: &Fields) -> Vec<(String, String)> {
    let list = fields.iter().find(|(name, _)| name == ORDER).map_or("", |(_, list)| list);
    let value = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v);
    let mut joined: Vec<(String, String)> = Vec::new();
    let mut was_free = false;
    for name in list.split(',').filter(|name| *name != "secret") {
        let is_free = matches!(standard(name), Some(Grammar::Text | Grammar::Country));
        match joined.last_mut() {
            Some(last) if is_free && was_free => {
                last.0.push_str(name);
                last.1.push_str(value(name));
            }
            _ => joined.push((name.to_owned(), value(name).to_owned())),
        }
        was_free = is_free;
    }
    joined
}

fn parsed(body: &str) -> Fields {
    let limits = form::Limits { fields_max: 1000, name_max_bytes: 1000, value_max_bytes: 100_000 };
    form::Form::read(body.as_bytes(), &limits, form::Charset::Utf8).expect("a form").fields().to_vec()
}

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "999.00",
    "12.5",
    "EUR",
    "USD",
    "978",
    "CCARD",
    "PAYPAL",
    "de",
    "SUCCESS",
    "PENDING",
    "FAILURE",
    "7000009",
    "p-8f3a21c6",
    "p-77aa",
    "secret",
    "No",
    "x",
    " ",
    "ä",
    "\u{0}",
    "amount,currency",
];

fn mutate(fields: &mut Fields, others: &[Fields], dice: &mut Dice) {
    let at = dice.roll(fields.len());
    let other = dice.pick(others);
    let foreign = dice.pick(other).clone();
    match dice.roll(16) {
        0 => fields[at].1 = (*dice.pick(VALUES)).to_owned(),
        1 => {
            let to = dice.roll(fields.len());
            let value = fields[at].1.clone();
            fields[at].1 = std::mem::replace(&mut fields[to].1, value);
        }
        2 => {
            fields.remove(at);
        }
        3 => {
            let copy = fields[at].clone();
            fields.insert(dice.roll(fields.len() + 1), copy);
        }
        4 | 5 => {
            // Over the border to the next field.
            let to = (at + 1) % fields.len();
            let mut joined: Vec<char> = fields[at].1.chars().collect();
            joined.extend(fields[to].1.chars());
            let border = dice.roll(joined.len() + 1);
            fields[at].1 = joined[..border].iter().collect();
            fields[to].1 = joined[border..].iter().collect();
        }
        6 => fields[at].1 += *dice.pick(VALUES),
        7 => fields[at].0 = fields[at].0.to_ascii_uppercase(),
        8 => fields.push(((*dice.pick(VALUES)).to_owned(), "1".to_owned())),
        9 => match fields.iter_mut().find(|(name, _)| *name == foreign.0) {
            Some(field) => field.1 = foreign.1,
            None => fields.push(foreign),
        },
        10 => {
            let mut characters: Vec<char> = fields[at].1.chars().collect();
            if !characters.is_empty() {
                let which = dice.roll(characters.len());
                characters[which] = char::from(b' ' + u8::try_from(dice.roll(95)).expect("ASCII"));
            }
            fields[at].1 = characters.into_iter().collect();
        }
        _ => mutate_list(fields, dice),
    }
}

fn mutate_list(fields: &mut Fields, dice: &mut Dice) {
    let Some(at) = fields.iter().position(|(name, _)| name == ORDER) else { return };
    let mut names: Vec<String> = fields[at].1.split(',').map(str::to_owned).collect();
    let (one, two) = (dice.roll(names.len()), dice.roll(names.len()));
    match dice.roll(6) {
        0 => names.swap(one, two),
        1 => {
            names.remove(one);
        }
        2 => names.insert(one, names[two].clone()),
        3 => names[one] = fields[dice.roll(fields.len())].0.clone(),
        4 => {
            names.retain(|name| name != "secret");
        }
        // Labels swapped together with the list: the values stay in their places.
        _ => {
            names.swap(one, two);
            let (one, two) = (names[one].clone(), names[two].clone());
            for (name, _) in fields.iter_mut() {
                if *name == one {
                    name.clone_from(&two);
                } else if *name == two {
                    name.clone_from(&one);
                }
            }
        }
    }
    if let Some(at) = fields.iter().position(|(name, _)| name == ORDER) {
        fields[at].1 = names.join(",");
    }
}

#[test]
fn no_random_forgery_is_believed() {
    let mut genuine: Vec<(Scheme, Fields)> = Vec::new();
    for algorithm in ALGORITHMS {
        for fields in [card(), sofort(), pending(), numbered_pending(), with(card(), "amount", "1")] {
            genuine.push((algorithm, parsed(&signed(&fields, algorithm))));
        }
    }
    let all: Vec<Fields> = genuine.iter().map(|(_, fields)| fields.clone()).collect();
    let known: HashMap<String, (Scheme, Vec<(String, String)>)> = genuine
        .iter()
        .map(|(algorithm, fields)| {
            let digest = fields.iter().find(|(name, _)| name == FINGERPRINT).expect("signed").1.clone();
            (digest, (*algorithm, signed_values(fields)))
        })
        .collect();
    let mut dice = Dice(0x5EED_2026);
    let forgeries = std::env::var("FORGERIES").ok().and_then(|count| count.parse().ok()).unwrap_or(FORGERIES);
    let mut verdicts: HashMap<&str, usize> = HashMap::new();
    for n in 0..forgeries {
        let (_, base) = dice.pick(&genuine);
        let mut fields = base.clone();
        for _ in 0..=dice.roll(3) {
            if !fields.is_empty() {
                mutate(&mut fields, &all, &mut dice);
            }
        }
        let configured = *dice.pick(&ALGORITHMS);
        let body = encode::unsigned(&fields);
        let Ok(message) = decode(body.as_bytes(), &reading(configured)) else { continue };
        *verdicts.entry(message.authenticity.verdict()).or_default() += 1;
        if message.authenticity.is_verified() {
            let digest = fields.iter().find(|(name, _)| name == FINGERPRINT).expect("a fingerprint").1.to_lowercase();
            let (algorithm, values) = known.get(&digest).unwrap_or_else(|| panic!("message {n}: a new digest: {body}"));
            assert_eq!(*algorithm, configured, "message {n}: {body}");
            assert_eq!(*values, signed_values(&fields), "message {n}: {body}");
        }
    }
    println!("forgeries: {verdicts:?}");
    assert!(verdicts["refuted"] > forgeries / 2);
    assert!(verdicts["verified"] > forgeries / 200, "changes outside the signature must leave some messages genuine");
}

fn form_like() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("paymentState".to_owned()),
        Just("amount".to_owned()),
        Just("currency".to_owned()),
        Just(ORDER.to_owned()),
        Just(FINGERPRINT.to_owned()),
        Just("status".to_owned()),
        Just("orders".to_owned()),
        Just("order.1.orderNumber".to_owned()),
        Just("payment.1.1.state".to_owned()),
        "[a-z%=,+]{0,8}",
    ];
    let value = prop_oneof![
        Just("SUCCESS".to_owned()),
        Just("FAILURE".to_owned()),
        Just("amount,currency,secret,responseFingerprintOrder".to_owned()),
        Just("0".to_owned()),
        Just("1".to_owned()),
        "\\PC{0,12}",
        "(%[0-9a-fA-F]{2}){0,6}",
    ];
    proptest::collection::vec((name, value), 0..12)
        .prop_map(|pairs| pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&").into_bytes())
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), form_like()]
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic_or_believe(body in any_bytes(), status in prop_oneof![Just(200u16), any::<u16>()]) {
        for algorithm in ALGORITHMS {
            if let Ok(message) = decode(&body, &reading(algorithm)) {
                prop_assert!(!message.authenticity.is_verified());
            }
        }
        let query = Query::OrderDetails { gateway_order_number: GatewayOrderNumber::new("7000001").expect("a number") };
        let _ = backend::answer(&query, status, &body);
        let _ = backend::decode_reply(&body);
        let _ = started::is_answer(&body);
        let _ = started::decode(&body);
        let _ = backend::read_order_number(status, &body);
    }

    #[test]
    fn what_the_gateway_signs_we_verify(
        amount in "[1-9][0-9]{0,6}(\\.[0-9]{2})?",
        number in "[1-9][0-9]{0,8}",
        own_id in "\\PC{1,40}",
        text in "\\PC{0,80}",
    ) {
        let fields = with(with(with(with(card(), "amount", &amount), "orderNumber", &number), OWN_ID, &own_id), "cardholder", &text);
        for algorithm in ALGORITHMS {
            let message = read(&signed(&fields, algorithm), &reading(algorithm));
            prop_assert!(message.authenticity.is_verified(), "{:?}", message.authenticity);
            prop_assert_eq!(message.gateway_order_number.as_deref(), Some(number.as_str()));
            prop_assert_eq!(message.custom.get(OWN_ID), Some(&own_id));
        }
    }
}

/// A body at the limits is a message like any other, and one beyond them is none.
#[test]
fn the_largest_bodies_are_read_within_the_limits() {
    let many: String = (0..12_000).map(|n| format!("n{n}={n}&")).collect();
    let list: String = (0..12_000).map(|n| format!("n{n},")).collect();
    let body = format!("{many}paymentState=SUCCESS");
    assert!(decode(body.as_bytes(), &reading(Scheme::Md5)).is_err(), "one field too many");
    let body = format!("paymentState=SUCCESS&{ORDER}={list}secret,{ORDER}");
    assert!(decode(body.as_bytes(), &reading(Scheme::Md5)).is_err(), "a list longer than any value may be");
    let names: Vec<String> = (0..8_000).map(|n| format!("n{n}")).collect();
    let mut fields = card();
    fields.extend(names.iter().map(|name| (name.clone(), "v".to_owned())));
    let message = read(&signed(&fields, Scheme::HmacSha512), &reading(Scheme::HmacSha512));
    assert!(message.authenticity.is_verified());
    assert_eq!(message.custom.len(), 8_001);
}
