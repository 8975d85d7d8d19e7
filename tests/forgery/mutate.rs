//! How an attacker alters messages: he knows every id and every genuine message, and no secret.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reconciled::core::message::Transaction;
use reconciled::sandbox::prng::Prng;
use reconciled::wire::form::{self, Charset, Form, Limits};
use reconciled::wire::wpg;
use reconciled::wire::wpg::signature::V1_FIELDS;

use super::genuine::{Genuine, SHOPS, amount, gateway_order, request_ids};

/// Values that mean something to somebody.
const VALUES: &[&str] = &[
    "",
    "0",
    "1.00",
    "999.00",
    "EUR",
    "USD",
    "978",
    "success",
    "failed",
    "purchase",
    "debit",
    "capture-authorization",
    "refund-purchase",
    "SUCCESS",
    "PENDING",
    "FAILURE",
    "CANCEL",
    "CCARD",
    "CCARD-MOTO",
    "7000009",
    "secret",
    "responseFingerprintOrder",
    "amount,currency,secret,responseFingerprintOrder",
    "HmacSHA256",
    "HmacMD5",
    "none",
    "20300101000000",
    " ",
    "\u{0}",
    "ä",
    "\n",
];

/// Names that mean something to a reader.
const NAMES: &[&str] = &[
    "transaction_state",
    "requested_amount",
    "request_id",
    "response_signature",
    "response_signature_v2",
    "response-base64",
    "response-signature-base64",
    "response-signature-algorithm",
    "paymentState",
    "orderNumber",
    "amount",
    "shopRequestId",
    "responseFingerprint",
    "responseFingerprintOrder",
    "eppresponse",
];

/// One altered message: to which shop it is sent, and its body.
pub struct Forged {
    pub shop: usize,
    pub body: Vec<u8>,
}

type Pairs = Vec<(String, String)>;

/// Draws one forgery. A few come out as they went in: a replay, or a change that no signature sees.
pub fn forge(all: &[Genuine], prng: &mut Prng) -> Forged {
    let base = prng.pick(all);
    let shop = if prng.chance(800) { base.shop } else { prng.below(SHOPS.len() as u64) as usize };
    let mut body = match prng.below(20) {
        0 => invented(shop, prng),
        1..=2 => bytes(base.body.as_bytes(), prng),
        3 if SHOPS[base.shop].is_checkout() => recut(base, prng).into_bytes(),
        _ if base.body.starts_with('<') => xml(&base.body, all, prng).into_bytes(),
        _ if base.body.starts_with("response-signature") && prng.chance(500) => json(&base.body, prng).into_bytes(),
        _ => altered_form(&base.body, all, prng),
    };
    if prng.chance(40) {
        body = wpg::encode::base64_wrapped(&String::from_utf8_lossy(&body)).into_bytes();
    }
    Forged { shop, body }
}

/// A message of the attacker's own making about a payment he knows: unsigned, or signed with another key.
fn invented(shop: usize, prng: &mut Prng) -> Vec<u8> {
    let shop = &SHOPS[shop];
    let id = prng.pick(&request_ids(shop)).clone();
    let suffix = *prng.pick(&["", "", "", "-get-url", "-deposit:2", "-debit-return", "-x"]);
    let secret = if prng.chance(500) { "" } else { "a secret the attacker made up" };
    if shop.is_checkout() {
        let number = gateway_order(shop, &id);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = [
            pair("amount", &amount(shop, &id).value_text()),
            pair("currency", "EUR"),
            pair("paymentType", "CCARD"),
            pair("financialInstitution", "MC"),
            pair("language", "de"),
            pair("orderNumber", if prng.chance(500) { &number } else { "7000009" }),
            pair("paymentState", prng.pick::<&str>(&["SUCCESS", "SUCCESS", "PENDING", "FAILURE", "CANCEL"])),
            pair("shopRequestId", &format!("{id}{suffix}")),
        ];
        let list = "amount,currency,paymentType,financialInstitution,language,orderNumber,paymentState,shopRequestId,secret,responseFingerprintOrder";
        let algorithm = shop.scheme.expect("a checkout account has an algorithm");
        return reconciled::wire::checkout::encode::listed(&fields, list, algorithm, secret).into_bytes();
    }
    let t = Transaction {
        merchant_account_id: Some(shop.maid()),
        request_id: Some(format!("{id}{suffix}")),
        transaction_id: Some(prng.uuid()),
        transaction_type: Some(
            (*prng.pick(&["purchase", "debit", "refund-purchase", "deposit", "debit-return"])).to_owned(),
        ),
        transaction_state: Some((*prng.pick(&["success", "failed", "in-progress"])).to_owned()),
        amount: Some(amount(shop, &id).into()),
        order_number: Some(format!("order of {id}")),
        payment_methods: vec!["creditcard".to_owned()],
        ..Transaction::default()
    };
    match prng.below(4) {
        0 => wpg::encode::payment_xml(&t),
        1 => wpg::encode::payment_json(&t),
        2 => wpg::encode::nvp(&t, secret),
        _ => wpg::encode::json_signed(&t, secret),
    }
    .into_bytes()
}

/// Bytes flipped, dropped, copied and inserted.
fn bytes(body: &[u8], prng: &mut Prng) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..=prng.below(3) {
        let at = prng.below(body.len().max(1) as u64) as usize;
        match prng.below(5) {
            0 if at < body.len() => body[at] ^= 1 << prng.below(8),
            1 if at < body.len() => drop(body.remove(at)),
            2 => body.insert(at, prng.next().to_le_bytes()[0]),
            3 => body.truncate(at),
            _ => {
                let to = (at + 1 + prng.below(40) as usize).min(body.len());
                let copy = body[at.min(to)..to].to_vec();
                body.splice(at..at, copy);
            }
        }
    }
    body
}

/// The pairs as they stand, names and values not decoded: nothing is lost on the way back.
fn pairs(body: &str) -> Pairs {
    let split = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (pair.to_owned(), String::new()),
    };
    body.split('&').filter(|pair| !pair.is_empty()).map(split).collect()
}

fn altered_form(body: &str, all: &[Genuine], prng: &mut Prng) -> Vec<u8> {
    let mut fields = pairs(body);
    let foreign = pairs(&prng.pick(all).body);
    // Leave one in thirty as it is: a replay, here or at another shop.
    if !prng.chance(33) {
        for _ in 0..=prng.below(3) {
            if !fields.is_empty() {
                alter(&mut fields, &foreign, prng);
            }
        }
    }
    let ending = if prng.chance(500) { "&" } else { "" };
    let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (text.join("&") + ending).into_bytes()
}

fn escaped(value: &str) -> String {
    reconciled::wire::form::encode([("", value)]).split_off(1)
}

fn alter(fields: &mut Pairs, foreign: &Pairs, prng: &mut Prng) {
    let at = prng.below(fields.len() as u64) as usize;
    let place = |prng: &mut Prng, fields: &Pairs| prng.below(fields.len() as u64 + 1) as usize;
    match prng.below(16) {
        0 => fields[at].1 = escaped(prng.pick::<&str>(VALUES)),
        1 => {
            let to = prng.below(fields.len() as u64) as usize;
            let value = fields[at].1.clone();
            fields[at].1 = std::mem::replace(&mut fields[to].1, value);
        }
        2 => drop(fields.remove(at)),
        3 => {
            let twin = match prng.below(4) {
                0 => fields[at].0.to_ascii_uppercase(),
                1 => format!("{}%20", fields[at].0),
                2 => fields[at].0.replacen('e', "%65", 1),
                _ => fields[at].0.clone(),
            };
            let value = if prng.chance(500) { fields[at].1.clone() } else { escaped(prng.pick::<&str>(VALUES)) };
            let to = place(prng, fields);
            fields.insert(to, (twin, value));
        }
        4 => {
            let to = place(prng, fields);
            fields.insert(to, ((*prng.pick::<&str>(NAMES)).to_owned(), escaped(prng.pick::<&str>(VALUES))));
        }
        5 => {
            // The signature of another message, or its values under this one.
            let Some((name, value)) = foreign.get(prng.below(foreign.len().max(1) as u64) as usize) else { return };
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some(field) => field.1.clone_from(value),
                None => fields.push((name.clone(), value.clone())),
            }
        }
        6 => {
            // All of another message but the signature.
            let is_signature = |name: &str| name.contains("ignature") || name.contains("ingerprint");
            let own: Pairs = fields.iter().filter(|(name, _)| is_signature(name)).cloned().collect();
            *fields = foreign.iter().filter(|(name, _)| !is_signature(name)).cloned().chain(own).collect();
        }
        7 => fields.retain(|(name, _)| !(name.contains("ignature_v2") || name.contains("ignature-base64"))),
        8 | 9 => shift(fields, &V1_FIELDS.map(str::to_owned), prng),
        10 | 11 => {
            let list = fields.iter().find(|(name, _)| name == "responseFingerprintOrder").map(|(_, list)| list.clone());
            let names: Vec<String> = list.unwrap_or_default().split("%2C").map(str::to_owned).collect();
            shift(fields, &names, prng);
        }
        12 | 13 => relist(fields, prng),
        14 => fields[at].1 += &escaped(prng.pick::<&str>(VALUES)),
        _ => {
            let to = prng.below(fields.len() as u64) as usize;
            fields.swap(at, to);
        }
    }
}

/// Moves characters over the border of two values that are hashed one after the other, through what lies between.
fn shift(fields: &mut Pairs, names: &[String], prng: &mut Prng) {
    let place = |fields: &Pairs, name: &String| fields.iter().position(|(known, _)| known == name);
    let signed: Vec<usize> = names.iter().filter_map(|name| place(fields, name)).collect();
    if signed.len() < 2 {
        return;
    }
    let left = prng.below(signed.len() as u64 - 1) as usize;
    let right = (left + 1 + prng.below(3) as usize).min(signed.len() - 1);
    let run = &signed[left..=right];
    let joined: String = run.iter().map(|at| fields[*at].1.as_str()).collect();
    let mut rest = joined.as_str();
    for (nth, at) in run.iter().enumerate() {
        let is_last = nth + 1 == run.len();
        let mut cut = if is_last { rest.len() } else { prng.below(rest.len() as u64 + 1) as usize };
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        fields[*at].1 = rest[..cut].to_owned();
        rest = &rest[cut..];
    }
}

/// The payer wrote another payment's confirmation into his name, and the gateway signed it. Cut anew, the same characters
/// under the same digest say that the other payment is paid; the list's own text goes into a field behind the secret.
fn recut(base: &Genuine, prng: &mut Prng) -> String {
    let limits = Limits { fields_max: 100, name_max_bytes: 100, value_max_bytes: 10_000 };
    let form = Form::read(base.body.as_bytes(), &limits, Charset::Utf8).expect("a genuine body is a form");
    let value = |name: &str| form.get(name).unwrap_or_default();
    let list = value("responseFingerprintOrder");
    let seed: String = list.split(',').take_while(|name| *name != "secret").map(value).collect();
    let shop = &SHOPS[base.shop];
    let silent = &request_ids(shop)[4];
    let (price, number) = (amount(shop, silent).value_text(), gateway_order(shop, silent));
    let target = [
        ("amount", price.as_str()),
        ("currency", "EUR"),
        ("paymentType", "CCARD"),
        ("financialInstitution", "MC"),
        ("language", "de"),
        ("orderNumber", &number),
        ("paymentState", "SUCCESS"),
        ("shopRequestId", silent),
    ];
    let text: String = target.iter().map(|(_, value)| *value).collect();
    // Without a name of that kind (a PENDING has none that long) any cut will do.
    let at = seed.find(&text).unwrap_or(0);
    let rest = seed.get(at + text.len()..).unwrap_or_default();
    let mut fields = vec![("before", &seed[..at])];
    fields.extend(target);
    fields.extend([("behind", rest), ("list", list)]);
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).filter(|name| *name != "list").collect();
    let end = *prng.pick::<&str>(&[
        "secret,list",
        "secret,list",
        "secret,responseFingerprintOrder",
        "secret,list,responseFingerprintOrder",
        "list,secret,responseFingerprintOrder",
    ]);
    let relabelled = format!("{},{end}", names.join(","));
    fields.push(("responseFingerprintOrder", &relabelled));
    fields.push(("responseFingerprint", value("responseFingerprint")));
    form::encode(fields)
}

/// Alters the list of what a fingerprint covers, and perhaps the labels with it.
fn relist(fields: &mut Pairs, prng: &mut Prng) {
    let Some(at) = fields.iter().position(|(name, _)| name == "responseFingerprintOrder") else { return };
    let mut names: Vec<String> = fields[at].1.split("%2C").map(str::to_owned).collect();
    let (one, two) = (prng.below(names.len() as u64) as usize, prng.below(names.len() as u64) as usize);
    match prng.below(7) {
        0 => names.swap(one, two),
        1 => drop(names.remove(one)),
        2 => {
            let name = names[two].clone();
            names.insert(one, name);
        }
        3 => names[one] = fields[prng.below(fields.len() as u64) as usize].0.clone(),
        4 => names.retain(|name| name != "secret"),
        5 => names.extend(["secret".to_owned(), "responseFingerprintOrder".to_owned()]),
        // The values keep their places in the seed, and get each other's names.
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
    if let Some(at) = fields.iter().position(|(name, _)| name == "responseFingerprintOrder") {
        fields[at].1 = names.join("%2C");
    }
}

/// The JSON inside altered, the signature kept.
fn json(body: &str, prng: &mut Prng) -> String {
    let mut fields = pairs(body);
    let Some(field) = fields.iter_mut().find(|(name, _)| name == "response-base64") else { return body.to_owned() };
    let text =
        BASE64_STANDARD.decode(&field.1).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let text = match prng.below(5) {
        0 => text.replacen("failed", "success", 1),
        1 => text.replacen("{\"payment\":", "{\"payment\":{\"transaction-state\":\"success\"},\"payment\":", 1),
        2 => text.replacen("\"transaction-state\"", "\"transaction-state\":\"success\",\"transaction-state\"", 1),
        3 => text.replacen("\"value\":", "\"value\":9", 1),
        _ => String::from_utf8_lossy(&bytes(text.as_bytes(), prng)).into_owned(),
    };
    // The same bytes in another alphabet, or none of it changed: only the text itself is signed.
    field.1 = BASE64_STANDARD.encode(text);
    if prng.chance(200) {
        field.1 = field.1.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
    }
    fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn xml(body: &str, all: &[Genuine], prng: &mut Prng) -> String {
    let other = &prng.pick(all).body;
    let part = |text: &str, from: &str, to: &str| -> Option<(usize, usize)> {
        let start = text.find(from)?;
        let end = start + text[start..].find(to)? + to.len();
        Some((start, end))
    };
    let signature =
        part(body, "<Signature ", "</Signature>").map(|(from, to)| body[from..to].to_owned()).unwrap_or_default();
    let mut text = body.to_owned();
    for _ in 0..=prng.below(2) {
        text = match prng.below(14) {
            0 => text.replacen("failed", "success", 1),
            1 => text.replacen("authorization", "purchase", 1),
            2 => {
                let id = prng.pick(&request_ids(&SHOPS[2])).clone();
                match part(&text, "<request-id>", "</request-id>") {
                    Some((from, to)) => format!("{}<request-id>{id}</request-id>{}", &text[..from], &text[to..]),
                    None => text,
                }
            }
            3 => text.replacen("</payment>", "<transaction-state>success</transaction-state></payment>", 1),
            4 => text.replacen(
                "<requested-amount",
                "<requested-amount currency=\"EUR\">1</requested-amount><requested-amount",
                1,
            ),
            5 => match part(other, "<Signature ", "</Signature>") {
                Some((from, to)) if !signature.is_empty() => text.replacen(&signature, &other[from..to], 1),
                _ => text.replacen(&signature, "", 1),
            },
            6 => text.replacen("</payment>", &format!("{signature}</payment>"), 1),
            7 => format!(
                "<payments xmlns=\"http://www.elastic-payments.com/schema/payment\">{}</payments>",
                text.rsplit("?>").next().unwrap_or(&text)
            ),
            8 => text.replacen("<transaction-id>", "<x xmlns=\"urn:x\"><transaction-id>", 1).replacen(
                "</transaction-id>",
                "</transaction-id></x>",
                1,
            ),
            9 => text.replacen("<payment ", "<payment xmlns:evil=\"urn:evil\" ", 1),
            10 => text.replacen("sha256", "sha1", 1).replacen("2001/04/xmldsig-more#rsa", "2000/09/xmldsig#rsa", 1),
            11 => text.replacen("<Reference URI=\"\">", "<Reference URI=\"#x\">", 1),
            12 => text.replacen("<transaction-state>", "<transaction-state><!-- x -->", 1),
            _ => String::from_utf8_lossy(&bytes(text.as_bytes(), prng)).into_owned(),
        };
    }
    text
}
