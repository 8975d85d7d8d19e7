//! Attacks that were really made on receivers of this dialect, or that follow from its seed. Where a careless receiver
//! would believe the forgery, it is run too, so that each test proves its own attack.

use super::super::fingerprint::{self, FINGERPRINT, ORDER, SECRET as SECRET_NAME};
use super::super::list;
use super::*;
use crate::core::message::PaymentState;
use crate::wire::form::{self, Charset, Field, Form, Limits};

/// What public plugins do: take the list from the message, ask that it has the secret and the usual names somewhere,
/// hash the bytes.
fn a_careless_receiver_believes(body: &str, algorithm: Scheme) -> bool {
    let limits = Limits { fields_max: 1000, name_max_bytes: 70_000, value_max_bytes: 70_000 };
    let fields: Vec<Field<'_>> = form::read(body.as_bytes(), &limits).expect("a form");
    let value = |name: &[u8]| fields.iter().find(|f| *f.name == *name).map(|f| f.value.to_vec()).unwrap_or_default();
    let list = value(ORDER.as_bytes());
    let names: Vec<&[u8]> = list.split(|&b| b == b',').collect();
    let needed = ["secret", ORDER, "paymentState", "orderNumber", "amount", "currency", "paymentType"];
    if !needed.iter().all(|name| names.contains(&name.as_bytes())) {
        return false;
    }
    let seed: Vec<Vec<u8>> = names
        .iter()
        .map(|name| if *name == SECRET_NAME.as_bytes() { SECRET.as_bytes().to_vec() } else { value(name) })
        .collect();
    let digest = fingerprint::digest(algorithm, SECRET.as_bytes(), seed.iter().map(Vec::as_slice)).expect("a digest");
    fingerprint::to_hex(&digest).as_bytes() == value(FINGERPRINT.as_bytes())
}

fn is_believed(body: &str, algorithm: Scheme) -> bool {
    read(body, &reading(algorithm)).authenticity.is_verified()
}

fn fingerprint_of(body: &str) -> &str {
    body.rsplit_once('=').expect("a fingerprint").1
}

/// Order stripping: every subset of a twelve-name list, each signed by the gateway itself.
#[test]
fn of_all_subsets_of_a_list_only_those_with_every_needed_name_pass() {
    let names = [
        "amount",
        "currency",
        "paymentType",
        "financialInstitution",
        "language",
        "orderNumber",
        "paymentState",
        OWN_ID,
        "cardholder",
        "gatewayReferenceNumber",
        SECRET_NAME,
        ORDER,
    ];
    let needed = ["amount", "currency", "paymentType", "orderNumber", "paymentState", OWN_ID, SECRET_NAME, ORDER];
    let mut believed = 0;
    for subset in 0u32..1 << names.len() {
        let chosen: Vec<&str> = (0..names.len()).filter(|n| subset >> n & 1 == 1).map(|n| names[n]).collect();
        let body = encode::listed(&card(), &chosen.join(","), Scheme::HmacSha512, SECRET);
        let expected = needed.iter().all(|name| chosen.contains(name));
        assert_eq!(is_believed(&body, Scheme::HmacSha512), expected, "{chosen:?}");
        believed += u32::from(expected);
    }
    assert_eq!(believed, 16);
}

#[test]
fn a_name_listed_twice_anywhere_is_refused() {
    let mut names: Vec<String> = card().into_iter().map(|(name, _)| name).collect();
    names.extend([SECRET_NAME.to_owned(), ORDER.to_owned()]);
    let mut tried = 0;
    for name in names.clone() {
        for at in 0..=names.len() {
            let mut doubled = names.clone();
            doubled.insert(at, name.clone());
            let body = encode::listed(&card(), &doubled.join(","), Scheme::HmacSha512, SECRET);
            assert!(read(&body, &reading(Scheme::HmacSha512)).authenticity.is_refuted(), "{name} at {at}");
            tried += 1;
        }
    }
    assert_eq!(tried, 17 * 18);
}

/// A list without the secret can be signed by anybody, under the plain hashes.
#[test]
fn a_list_without_the_secret_is_worth_nothing() {
    for algorithm in ALGORITHMS {
        let names: Vec<String> = card().into_iter().map(|(name, _)| name).collect();
        let body = encode::listed(&card(), &format!("{},{ORDER}", names.join(",")), algorithm, "guess");
        assert!(!is_believed(&body, algorithm));
    }
}

#[test]
fn every_field_sent_twice_is_refused_wherever_it_stands() {
    let body = signed(&card(), Scheme::HmacSha512);
    let pieces: Vec<&str> = body.split('&').collect();
    let mut tried = 0;
    for piece in &pieces {
        let (name, value) = piece.split_once('=').expect("a field");
        for copy in
            [(*piece).to_owned(), format!("{name}=other"), format!("%{:02X}{}={value}", name.as_bytes()[0], &name[1..])]
        {
            for at in 0..=pieces.len() {
                let mut doubled: Vec<&str> = pieces.clone();
                doubled.insert(at, &copy);
                assert!(
                    read(&doubled.join("&"), &reading(Scheme::HmacSha512)).authenticity.is_refuted(),
                    "{copy} at {at}"
                );
                tried += 1;
            }
        }
    }
    assert_eq!(tried, pieces.len() * 3 * (pieces.len() + 1));
}

/// A twin in other letters is another name: beside the list it proves nothing, instead of the real name it is missing.
#[test]
fn names_that_differ_in_case_are_different_names() {
    let body = signed(&card(), Scheme::HmacSha512);
    for (name, _) in card() {
        let twin = name.to_ascii_uppercase();
        let message = read(&format!("{twin}=999&{body}"), &reading(Scheme::HmacSha512));
        assert!(message.authenticity.is_verified());
        assert_eq!(message.unverified.get(&twin).map(String::as_str), Some("999"));
        assert_eq!(message.transactions, read(&body, &reading(Scheme::HmacSha512)).transactions);
        let renamed = body.replacen(&format!("{name}="), &format!("{twin}="), 1);
        assert!(read(&renamed, &reading(Scheme::HmacSha512)).authenticity.is_refuted(), "{twin}");
    }
}

/// The seed has no separators. Shifting 1 to 8 characters over every border of a genuine card payment never changes
/// what we use: a careless receiver takes many of them, we take only those between two free texts.
#[test]
fn no_border_of_a_used_value_can_be_shifted() {
    let genuine = card();
    let body = signed(&genuine, Scheme::HmacSha512);
    let (mut tried, mut careless, mut believed) = (0, 0, Vec::new());
    for at in 0..genuine.len() - 1 {
        for by in (-8isize..=8).filter(|by| *by != 0) {
            let mut shifted = genuine.clone();
            let joined: Vec<char> = format!("{}{}", genuine[at].1, genuine[at + 1].1).chars().collect();
            let border = genuine[at].1.chars().count().checked_add_signed(by).filter(|border| *border <= joined.len());
            let Some(border) = border else { continue };
            shifted[at].1 = joined[..border].iter().collect();
            shifted[at + 1].1 = joined[border..].iter().collect();
            let list =
                format!("{},secret,{ORDER}", genuine.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(","));
            let pairs = shifted.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let forged = form::encode(pairs.chain([(ORDER, &*list), (FINGERPRINT, fingerprint_of(&body))]));
            tried += 1;
            careless += usize::from(a_careless_receiver_believes(&forged, Scheme::HmacSha512));
            if is_believed(&forged, Scheme::HmacSha512) {
                believed.push((genuine[at].0.as_str(), genuine[at + 1].0.as_str()));
            }
        }
    }
    assert_eq!(careless, tried, "the attack is real");
    assert!(tried > 100);
    believed.dedup();
    assert_eq!(believed, [("gatewayReferenceNumber", "gatewayContractNumber")]);
}

/// Relabelling: the payer's own long name, signed by the gateway as `cardholder`, holds the values and the list of the
/// forgery; the genuine list becomes the value of an unknown name. 12.50 EUR turns into 999.00 EUR for another order.
#[test]
fn a_long_cardholder_name_cannot_become_another_payment() {
    let forged_list =
        format!("junk,amount,currency,paymentType,orderNumber,paymentState,{OWN_ID},{ORDER},more,{SECRET_NAME},tail");
    let payload = format!("999.00EURCCARD7000009SUCCESSp-victim{forged_list}");
    for algorithm in ALGORITHMS {
        let genuine = with(card(), "cardholder", &payload);
        let body = signed(&genuine, algorithm);
        assert!(is_believed(&body, algorithm), "the gateway signed it, and it is about the payer's own payment");
        let value = |name: &str| genuine.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).expect(name);
        let until = genuine.iter().position(|(n, _)| n == "cardholder").expect("a cardholder");
        let before: String = genuine[..until].iter().map(|(_, v)| v.as_str()).collect();
        let after: String = genuine[until + 1..].iter().map(|(_, v)| v.as_str()).collect();
        let genuine_list =
            format!("{},{SECRET_NAME},{ORDER}", genuine.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(","));
        assert_eq!(value("cardholder").len(), payload.len());
        let forged = form::encode([
            ("junk", &*before),
            ("amount", "999.00"),
            ("currency", "EUR"),
            ("paymentType", "CCARD"),
            ("orderNumber", "7000009"),
            ("paymentState", "SUCCESS"),
            (OWN_ID, "p-victim"),
            (ORDER, &*forged_list),
            ("more", &*after),
            ("tail", &*genuine_list),
            (FINGERPRINT, fingerprint_of(&body)),
        ]);
        assert!(a_careless_receiver_believes(&forged, algorithm), "the attack is real");
        assert!(read(&forged, &reading(algorithm)).authenticity.is_refuted());
    }
}

/// Length extension: from the digest of a plain hash anybody can go on hashing. The forgery puts the genuine list and
/// the hash's padding into a field of its own and says what it likes after the secret.
#[test]
fn a_plain_hash_cannot_be_extended() {
    for algorithm in [Scheme::Sha512, Scheme::Md5] {
        let genuine = card();
        let body = signed(&genuine, algorithm);
        let values: String = genuine.iter().map(|(_, v)| v.as_str()).collect();
        let genuine_list =
            format!("{},{SECRET_NAME},{ORDER}", genuine.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(","));
        let hashed = values.len() + SECRET.len() + genuine_list.len();
        let forged_list =
            format!("head,{SECRET_NAME},junk,amount,currency,paymentType,orderNumber,paymentState,{OWN_ID},{ORDER}");
        let forged_values = [
            ("amount", "999.00"),
            ("currency", "EUR"),
            ("paymentType", "CCARD"),
            ("orderNumber", "7000009"),
            ("paymentState", "SUCCESS"),
            (OWN_ID, "p-victim"),
        ];
        let mut tail: Vec<u8> = forged_values.iter().flat_map(|(_, v)| v.bytes()).collect();
        tail.extend_from_slice(forged_list.as_bytes());
        let (padding, digest) = extended(algorithm, fingerprint_of(&body), hashed, &tail);
        let mut junk = genuine_list.into_bytes();
        junk.extend_from_slice(&padding);
        let junk: String = junk.iter().map(|b| format!("%{b:02X}")).collect();
        let rest = form::encode(forged_values.into_iter().chain([
            ("head", &*values),
            (ORDER, &*forged_list),
            (FINGERPRINT, &*digest),
        ]));
        let forged = format!("junk={junk}&{rest}");
        assert!(a_careless_receiver_believes(&forged, algorithm), "the attack is real");
        assert!(read(&forged, &reading(algorithm)).authenticity.is_refuted());
        // Twice over: even if the padding were text, the list has the wrong end.
        let limits = Limits { fields_max: 100, name_max_bytes: 100, value_max_bytes: 10_000 };
        let form = Form::read(forged.as_bytes(), &limits, Charset::Utf8).expect("a form");
        assert!(form.flaw().is_some());
        assert_eq!(list::check(&form, PaymentState::Success, Some(OWN_ID)), Err(list::Refusal::WrongEnd));
    }
}

/// The padding that the hash added to `hashed` bytes, and the digest of all that with `tail` behind it.
fn extended(algorithm: Scheme, digest: &str, hashed: usize, tail: &[u8]) -> (Vec<u8>, String) {
    let bytes: Vec<u8> =
        (0..digest.len()).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).expect("hex")).collect();
    let bits = |length: usize| u64::try_from(length * 8).expect("a length");
    let pad = |length: usize| -> Vec<u8> {
        let (block, room) = if algorithm == Scheme::Sha512 { (128, 16) } else { (64, 8) };
        let mut padding = vec![0x80];
        while !(length + padding.len() + room).is_multiple_of(block) {
            padding.push(0);
        }
        if algorithm == Scheme::Sha512 {
            padding.extend_from_slice(&[0; 8]);
            padding.extend_from_slice(&bits(length).to_be_bytes());
        } else {
            padding.extend_from_slice(&bits(length).to_le_bytes());
        }
        padding
    };
    let padding = pad(hashed);
    let mut input = tail.to_vec();
    input.extend_from_slice(&pad(hashed + padding.len() + tail.len()));
    let out: Vec<u8> = if algorithm == Scheme::Sha512 {
        let mut state: [u64; 8] =
            std::array::from_fn(|n| u64::from_be_bytes(bytes[n * 8..n * 8 + 8].try_into().expect("8")));
        let blocks: Vec<[u8; 128]> = input.chunks(128).map(|b| b.try_into().expect("whole blocks")).collect();
        sha2::block_api::compress512(&mut state, &blocks);
        state.iter().flat_map(|word| word.to_be_bytes()).collect()
    } else {
        let mut state: [u32; 4] =
            std::array::from_fn(|n| u32::from_le_bytes(bytes[n * 4..n * 4 + 4].try_into().expect("4")));
        let blocks: Vec<[u8; 64]> = input.chunks(64).map(|b| b.try_into().expect("whole blocks")).collect();
        md5::block_api::compress(&mut state, &blocks);
        state.iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    (padding, fingerprint::to_hex(&out))
}

/// The sender cannot choose: only the configured algorithm counts, though two digests have one length.
#[test]
fn no_algorithm_passes_for_another() {
    for made_with in ALGORITHMS {
        for configured in ALGORITHMS {
            let message = read(&signed(&card(), made_with), &reading(configured));
            assert_eq!(message.authenticity.is_verified(), made_with == configured, "{made_with:?} {configured:?}");
        }
    }
}

/// A genuine SUCCESS replays for ever, but never for another own id, order, amount or state.
#[test]
fn a_genuine_message_vouches_for_its_own_payment_only() {
    for algorithm in ALGORITHMS {
        let body = signed(&card(), algorithm);
        assert!(is_believed(&body, algorithm));
        for (from, to) in [
            ("shopPaymentId=p-8f3a21c6", "shopPaymentId=p-8f3a21c7"),
            ("orderNumber=7000001", "orderNumber=7000002"),
            ("amount=12.50", "amount=12.5"),
            ("amount=12.50", "amount=12,50"),
            ("currency=EUR", "currency=978"),
            ("paymentState=SUCCESS", "paymentState=PENDING"),
            ("cardholder=J%C3%B6rg", "cardholder=J%C3%B6rg+"),
        ] {
            assert!(body.contains(from), "{from}");
            assert!(read(&body.replace(from, to), &reading(algorithm)).authenticity.is_refuted(), "{to}");
        }
        let other = Reading { own_id_parameter: Some("otherParameter"), ..reading(algorithm) };
        assert!(read(&body, &other).authenticity.is_refuted());
    }
}
