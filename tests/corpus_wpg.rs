//! Real messages of the gateway, where the corpus stands beside the repository: every row of its
//! manifest decodes to what the manifest says, every signature vector gives its verdict.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use reconciled::core::message::{Authenticity, Message, Transaction};
use reconciled::wire::wpg::signature::{V1_FIELDS, V1_REQUEST_FIELDS, V2_FIELDS, v1, v2_payload};
use reconciled::wire::wpg::{decode, pin_from_pem};
use reconciled::wire::{Key, Pin};
use reconciled::words::money::{StatedAmount, parse_decimal};
use reconciled::words::time::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

/// The corpus, or `None` with a printed line.
fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/wpg");
    if folder.is_dir() {
        return Some(folder);
    }
    let _ = writeln!(std::io::stderr(), "skipped: no corpus at ../shared/corpus/wpg");
    None
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// One row of the manifest by its column names.
struct Row<'m>(BTreeMap<&'m str, &'m str>);

impl<'m> Row<'m> {
    fn of(&self, column: &str) -> &'m str {
        self.0.get(column).copied().unwrap_or_default()
    }

    fn list(&self, column: &str, separator: char) -> Vec<&'m str> {
        self.of(column).split(separator).map(str::trim).filter(|part| !part.is_empty()).collect()
    }

    /// Files the corpus lists as no wire format, and the negative whose DOCTYPE nobody reads.
    fn is_unreadable(&self) -> bool {
        self.of("notes").contains("NOT WELL-FORMED")
            || self.of("notes").contains("dump")
            || self.of("file").ends_with("neg_doctype.xml")
    }
}

fn rows(manifest: &str) -> Vec<Row<'_>> {
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().expect("a header").split('\t').collect();
    lines.map(|line| Row(header.iter().copied().zip(line.split('\t')).collect())).collect()
}

/// What the manifest says of a time, read by other means than the decoder's.
fn time(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.len() {
        0 => None,
        13 if digits => Timestamp::from_millisecond(text.parse().expect("milliseconds")).ok(),
        14 if digits => {
            jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?.in_tz("UTC").ok().map(|z| z.timestamp())
        }
        _ => text.parse().ok().or_else(|| format!("{text}Z").parse().ok()),
    }
}

/// How a transaction differs from its row; empty where it does not.
fn differences(row: &Row, t: &Transaction) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |column: &str, ours: Option<&str>| {
        let theirs = row.of(column).replace("\\\"", "\"");
        if ours.unwrap_or_default() != theirs.trim() {
            found.push(format!("{column}: {ours:?}, manifest {theirs:?}"));
        }
    };
    same("request_id", t.request_id.as_deref());
    same("transaction_id", t.transaction_id.as_deref());
    same("parent_transaction_id", t.parent_transaction_id.as_deref());
    same("group_transaction_id", t.group_transaction_id.as_deref());
    same("transaction_type", t.transaction_type.as_deref());
    same("state", t.transaction_state.as_deref());
    same("order_number", t.order_number.as_deref());
    let currency = t.amount.and_then(|a| a.currency).map(|c| c.code());
    if t.amount.is_some() {
        same("currency", currency);
    }
    let amount = (!row.of("amount").is_empty()).then(|| parse_decimal(row.of("amount")).expect("a decimal"));
    if t.amount.map(|StatedAmount { value, .. }| value) != amount {
        found.push(format!("amount: {:?}, manifest {amount:?}", t.amount));
    }
    if t.completed_at != time(row.of("completion_time_stamp")) {
        found.push(format!("time: {:?}, manifest {}", t.completed_at, row.of("completion_time_stamp")));
    }
    let codes: Vec<&str> = t.statuses.iter().map(|s| s.code.as_str()).collect();
    if codes != row.list("status_codes", ',') {
        found.push(format!("statuses: {codes:?}, manifest {}", row.of("status_codes")));
    }
    if t.payment_methods != row.list("payment_method", ';') {
        found.push(format!("methods: {:?}, manifest {}", t.payment_methods, row.of("payment_method")));
    }
    if t.redirect_only != row.of("notes").contains("only means redirect URL issued") {
        found.push(format!("redirect_only: {}", t.redirect_only));
    }
    found
}

#[test]
fn every_message_of_the_corpus_reads_as_its_manifest_says() {
    let Some(folder) = corpus() else { return };
    let manifest = String::from_utf8(read(&folder, "manifest.tsv")).expect("the manifest is text");
    let (mut read_right, mut refuted, mut refused, mut wrong) = (0, 0, 0, Vec::new());
    for row in rows(&manifest) {
        let file = row.of("file");
        let decoded = decode(&read(&folder, file), None);
        match decoded {
            Err(_) if row.is_unreadable() => refused += 1,
            Err(unreadable) => wrong.push(format!("{file}: {unreadable}")),
            Ok(_) if row.is_unreadable() => wrong.push(format!("{file}: read, though it is no wire format")),
            Ok(message) => {
                let format = row.of("format").trim_end_matches("-base64");
                let [t] = &message.transactions[..] else {
                    wrong.push(format!("{file}: {} transactions", message.transactions.len()));
                    continue;
                };
                if message.authenticity.is_refuted() {
                    // One body was pasted twice into its page, with two request-ids; one is the wrapping attack.
                    assert!(file.ends_with("neg_signature_wrapping.xml") || file.contains("_L435_"), "{file}");
                    refuted += 1;
                    continue;
                }
                let mut found = differences(&row, t);
                if message.format.name() != format {
                    found.push(format!("format {}", message.format.name()));
                }
                if message.authenticity.is_verified() {
                    found.push("verified without a key".to_owned());
                }
                match found.is_empty() {
                    true => read_right += 1,
                    false => wrong.push(format!("{file}: {}", found.join("; "))),
                }
            }
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "corpus wpg: {read_right} read as the manifest says, {refuted} refuted, {refused} unreadable as it says, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read_right > 0, "the manifest has no rows");
}

fn key(secret: &str, pins: Vec<Pin>) -> Key {
    Key { secret: SecretString::from(secret.to_owned()), user: None, password: None, pins }
}

/// A flat JSON dump of NVP fields as the body it was dumped from.
fn form_of_dump(dump: &[u8]) -> Vec<u8> {
    let dump: Value = serde_json::from_slice(dump).expect("a dump is JSON");
    let fields = dump.get("payload").unwrap_or(&dump).as_object().expect("a dump is an object");
    let encoded = |text: &str| text.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
    let pairs = fields.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_str()?))));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

fn fields(body: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
    let body = String::from_utf8_lossy(body).into_owned();
    let pairs = body.trim().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

/// The fields as the v2 payload inside the body names them.
fn inner_fields(outer: &BTreeMap<String, Vec<u8>>, secret: &str) -> BTreeMap<String, Vec<u8>> {
    let payload = v2_payload(&outer["response_signature_v2"], secret.as_bytes()).expect("v2 verifies");
    let payload = String::from_utf8(payload).expect("the payload is text");
    let outside = |inside: &str| V2_FIELDS.iter().find(|(i, _)| *i == inside).map(|(_, o)| (*o).to_owned());
    let lines = payload.lines().filter_map(|line| line.split_once('='));
    lines.filter_map(|(name, value)| Some((outside(name)?, value.as_bytes().to_vec()))).collect()
}

/// White space between tags removed, as some documentation pages added it after signing.
fn stripped(xml: &[u8]) -> Vec<u8> {
    let xml = String::from_utf8(xml.to_vec()).expect("UTF-8");
    let mut pieces = xml.split('>').map(|piece| {
        let text = piece.split('<').next().unwrap_or_default();
        if text.trim().is_empty() { piece.trim_start() } else { piece }
    });
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |joined, piece| joined + ">" + piece).into_bytes()
}

fn verdict_on(message: Result<Message, impl std::fmt::Display>) -> String {
    match message {
        Ok(Message { authenticity: Authenticity::Refuted { reason, .. }, .. }) => format!("refuted: {reason}"),
        Ok(message) => message.authenticity.verdict().to_owned(),
        Err(unreadable) => format!("unreadable: {unreadable}"),
    }
}

#[test]
fn every_vector_gives_its_verdict() {
    let Some(folder) = corpus() else { return };
    let vectors: Vec<Value> = serde_json::from_slice(&read(&folder, "vectors.json")).expect("vectors are JSON");
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for vector in &vectors {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let expected = vector["expect"].as_bool().expect("an expectation");
        let (id, scheme, secret, file) = (text("id"), text("scheme"), text("key"), text("file"));
        let body = if file.is_empty() { text("body").as_bytes().to_vec() } else { read(&folder, file) };
        let is_dump = scheme.starts_with("nvp") && file.ends_with(".json");
        let body = if is_dump { form_of_dump(&body) } else { body };
        let (verifies, why) = match scheme {
            "nvp_v1" | "nvp_v1_request" => {
                let outer = fields(&body);
                let values = if text("values") == "inner" { inner_fields(&outer, secret) } else { outer.clone() };
                let (names, given): (&[&str], _) = match scheme {
                    "nvp_v1" => (&V1_FIELDS, &outer["response_signature"]),
                    _ => (&V1_REQUEST_FIELDS, &outer["request_signature"]),
                };
                if text("values") == "outer" {
                    // The whole decoder, on the body as a gateway without v2 sends it.
                    let stripped = String::from_utf8_lossy(&body).into_owned();
                    let pairs = stripped.split('&').filter(|pair| !pair.starts_with("response_signature_v2="));
                    let stripped = pairs.collect::<Vec<_>>().join("&");
                    let verdict = verdict_on(decode(stripped.as_bytes(), Some(&key(secret, vec![]))));
                    assert_eq!(verdict == "verified", expected, "{id}: {verdict}");
                }
                let value = |name: &str| values.get(name).map_or(&b""[..], Vec::as_slice);
                (v1(names, value, secret.as_bytes()).as_bytes() == given.as_slice(), String::new())
            }
            "nvp_v2" => {
                let outer = fields(&body);
                let hmac = v2_payload(&outer["response_signature_v2"], secret.as_bytes()).is_some();
                // The whole decoder also compares inner with outer: the documentation edited some bodies.
                let verdict = verdict_on(decode(&body, Some(&key(secret, vec![]))));
                let agrees = hmac
                    && inner_fields(&outer, secret)
                        .iter()
                        .all(|(name, inner)| outer.get(name).map_or(&b""[..], Vec::as_slice) == inner.as_slice());
                assert_eq!(verdict == "verified", agrees, "{id}: {verdict}");
                assert!(agrees || verdict.starts_with("refuted"), "{id}: {verdict}");
                (hmac, verdict)
            }
            "raw_v2" => {
                let payload = v2_payload(text("signature").as_bytes(), secret.as_bytes());
                (payload.as_deref() == Some(text("payload").as_bytes()), String::new())
            }
            "xmldsig" => {
                let pem = String::from_utf8(read(&folder.join("certs"), text("cert"))).expect("PEM is text");
                let pin = pin_from_pem(&pem).unwrap_or_else(|error| panic!("{}: {error}", text("cert")));
                let body = if vector["strip"].as_bool() == Some(true) { stripped(&body) } else { body };
                let verdict = verdict_on(decode(&body, Some(&key("", vec![pin.allowing_sha1()]))));
                // One vector asks what a verifier that forgets the inherited namespace would find; ours does not forget.
                let forgets = vector["no_inherited_ns"].as_bool() == Some(true);
                ((verdict == "verified") != forgets, verdict)
            }
            other => panic!("{id}: unknown scheme {other}"),
        };
        assert_eq!(verifies, expected, "{id}: {why}");
        let count = counts.entry(scheme.to_owned()).or_default();
        if expected { count.0 += 1 } else { count.1 += 1 }
    }
    for (scheme, (right, wrong)) in &counts {
        let _ = writeln!(std::io::stderr(), "vectors {scheme}: {right} verify, {wrong} do not, as they should");
    }
    assert_eq!(counts.values().map(|(a, b)| a + b).sum::<u32>() as usize, vectors.len());
}
