//! The checkout half of the corpus of real messages, where it is present beside the repository: every confirmation gets
//! the verdict that its manifest asks of a strict receiver, every request's fingerprint is found again byte for byte,
//! every back-end reply is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use reconciled::core::account::Product;
use reconciled::core::look::{Outcome, Query};
use reconciled::core::message::{Authenticity, Message, Scheme};
use reconciled::wire::checkout::backend::{self, Credentials};
use reconciled::wire::checkout::{Reading, decode, encode, fingerprint};
use reconciled::wire::form::{Charset, Form, Limits};
use reconciled::words::id::GatewayOrderNumber;
use reconciled::words::money::{Currency, parse_decimal, print_decimal};

const LIMITS: Limits = Limits { fields_max: 1000, name_max_bytes: 255, value_max_bytes: 65_535 };

/// The published demo secret that manifest rows with an unknown one (`?`) are tried with.
const DEMO_SECRET: &str = "B8AKTPWBRMNBV455FG6M2DANE99WU2";

struct Row {
    file: String,
    kind: String,
    secret: String,
    algorithms: Vec<Scheme>,
    state: String,
    order_number: String,
    amount: String,
    currency: String,
    verifies: String,
    strict: String,
    note: String,
}

fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/checkout");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no corpus at ../shared/corpus/checkout");
    None
}

fn scheme(name: &str) -> Option<Scheme> {
    [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5].into_iter().find(|scheme| scheme.name() == name)
}

fn rows(corpus: &Path) -> Vec<Row> {
    let manifest = fs::read_to_string(corpus.join("manifest.tsv")).expect("the manifest");
    let row = |line: &str| {
        let c: Vec<String> = line.split('\t').map(str::to_owned).collect();
        Row {
            file: c[0].clone(),
            kind: c[1].clone(),
            secret: c[3].clone(),
            algorithms: c[4].split('|').filter_map(scheme).collect(),
            state: c[5].clone(),
            order_number: c[6].clone(),
            amount: c[7].clone(),
            currency: c[8].clone(),
            verifies: c[9].clone(),
            strict: c[10].clone(),
            note: c.get(11).cloned().unwrap_or_default(),
        }
    };
    manifest.lines().skip(1).filter(|line| !line.is_empty()).map(row).collect()
}

fn body(corpus: &Path, row: &Row) -> Vec<u8> {
    fs::read(corpus.join(&row.file)).unwrap_or_else(|e| panic!("{}: {e}", row.file))
}

fn verdicts(corpus: &Path, row: &Row) -> Vec<Message> {
    let body = body(corpus, row);
    let secret = match row.secret.as_str() {
        "-" => None,
        "?" => Some(DEMO_SECRET.as_bytes()),
        secret => Some(secret.as_bytes()),
    };
    let readings = match row.algorithms[..] {
        [] => vec![Reading::default()],
        _ => row.algorithms.iter().map(|a| Reading { algorithm: Some(*a), secret, own_id_parameter: None }).collect(),
    };
    readings.iter().map(|r| decode(&body, r).unwrap_or_else(|e| panic!("{}: {e}", row.file))).collect()
}

#[test]
fn every_confirmation_gets_the_verdict_of_a_strict_receiver() {
    let Some(corpus) = corpus() else { return };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows(&corpus).iter().filter(|row| row.kind == "confirm") {
        // One digest, two readings: only the comparison with the submission can tell, and that is not decode's work.
        let shifted_border = row.strict.contains("amount differs from the started payment");
        let expected = if row.strict.starts_with("accept") || shifted_border {
            "verified"
        } else if row.strict.ends_with("hint") {
            "unverifiable"
        } else {
            assert!(
                row.strict.starts_with("reject") || row.strict.starts_with("refuse"),
                "{}: {}",
                row.file,
                row.strict
            );
            "refuted"
        };
        for message in verdicts(&corpus, row) {
            assert_eq!(
                message.authenticity.verdict(),
                expected,
                "{}: {:?} ({})",
                row.file,
                message.authenticity,
                row.note
            );
            assert_eq!(message.transactions.len(), usize::from(row.state == "SUCCESS"), "{}", row.file);
            match message.payment_state {
                Some(state) => assert_eq!(state.name(), row.state, "{}", row.file),
                None => assert!(["", "UNKNOWN"].contains(&row.state.as_str()), "{}", row.file),
            }
            if expected == "verified" {
                says_what_the_manifest_says(row, &message);
            }
        }
        *counts.entry(expected).or_default() += 1;
    }
    println!("confirmations: {counts:?}");
    assert!(counts.values().sum::<usize>() > 50);
}

fn says_what_the_manifest_says(row: &Row, message: &Message) {
    assert_eq!(message.gateway_order_number.as_deref().unwrap_or_default(), row.order_number, "{}", row.file);
    let Some(transaction) = message.transactions.first() else { return };
    let amount = transaction.amount.expect("a verified SUCCESS states an amount");
    let currency = Currency::parse(&row.currency);
    assert_eq!(amount.currency, currency, "{}", row.file);
    let value = parse_decimal(&row.amount).expect("the manifest's amount");
    assert_eq!(amount.value_text(), print_decimal(value, currency), "{}", row.file);
    let id = format!("order:{}", row.order_number);
    assert_eq!(transaction.transaction_id.as_deref(), Some(id.as_str()), "{}", row.file);
}

#[test]
fn every_genuine_confirmation_is_refuted_under_every_other_algorithm_and_secret() {
    let Some(corpus) = corpus() else { return };
    let mut tried = 0;
    for row in rows(&corpus).iter().filter(|row| row.kind == "confirm" && row.strict.starts_with("accept")) {
        let body = body(&corpus, row);
        for algorithm in [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5] {
            for secret in [row.secret.as_str(), "another secret"] {
                let reading =
                    Reading { algorithm: Some(algorithm), secret: Some(secret.as_bytes()), own_id_parameter: None };
                let message = decode(&body, &reading).expect("a form");
                let right = row.algorithms == [algorithm] && secret == row.secret;
                assert_eq!(message.authenticity.is_verified(), right, "{} {algorithm:?}", row.file);
                assert_eq!(message.authenticity.is_refuted(), !right, "{} {algorithm:?}", row.file);
                tried += 1;
            }
        }
        let blind = decode(&body, &Reading::default()).expect("a form");
        assert!(matches!(blind.authenticity, Authenticity::Unverifiable { scheme: None, .. }), "{}", row.file);
    }
    println!("algorithm and secret confusion: {tried} readings");
    assert!(tried > 150);
}

#[test]
fn every_vector_gives_its_digest() {
    let Some(corpus) = corpus() else { return };
    let vectors = fs::read_to_string(corpus.join("vectors.tsv")).expect("the vectors");
    let mut count = 0;
    for line in vectors.lines().skip(1).filter(|line| !line.is_empty()) {
        let c: Vec<&str> = line.split('\t').collect();
        let [id, algorithm, secret, seed, digest] = [c[0], c[2], c[3], c[5], c[6]];
        let algorithm = scheme(algorithm).unwrap_or_else(|| panic!("{id}: {algorithm}"));
        let computed = fingerprint::digest(algorithm, secret.as_bytes(), [seed.as_bytes()]).expect("a fingerprint");
        assert_eq!(fingerprint::to_hex(&computed), digest, "{id}");
        count += 1;
    }
    println!("vectors: {count}");
    assert!(count > 30);
}

fn form_of(body: &[u8]) -> Form {
    Form::read(body, &LIMITS, Charset::Utf8OrLatin1).expect("a form")
}

fn product_of(form: &Form) -> Product {
    if form.get("toolkitPassword").is_some() { Product::Page } else { Product::Seamless }
}

fn credentials<'a>(form: &'a Form, row: &'a Row, algorithm: Scheme) -> Credentials<'a> {
    let product = product_of(form);
    Credentials {
        product,
        customer_id: form.get("customerId").unwrap_or_default(),
        shop_id: form.get("shopId"),
        password: form.get(if product == Product::Page { "toolkitPassword" } else { "password" }).unwrap_or_default(),
        secret: if row.secret == "-" || row.secret == "(empty)" { "" } else { &row.secret },
        algorithm,
    }
}

#[test]
fn every_back_end_request_fingerprint_is_found_again() {
    let Some(corpus) = corpus() else { return };
    let (mut verified, mut built) = (0, 0);
    for row in rows(&corpus).iter().filter(|row| row.file.starts_with("backend/") && row.file.ends_with(".req")) {
        let body = body(&corpus, row);
        let form = form_of(&body);
        let [algorithm] = row.algorithms[..] else { panic!("{}: {:?}", row.file, row.algorithms) };
        let c = credentials(&form, row, algorithm);
        assert_eq!(encode::verify_request(&body, &c), row.verifies == "yes", "{} ({})", row.file, row.note);
        verified += 1;
        let request = match (row.file.contains("getorderdetails"), row.file.contains("generateordernumber")) {
            (true, _) => match form.get("orderNumber").map(GatewayOrderNumber::new) {
                Some(Ok(number)) => backend::order_details(&c, &number),
                Some(Err(_)) | None => continue,
            },
            (_, true) => backend::generate_order_number(&c),
            _ => continue,
        };
        let sorted = |form: &Form| form.fields().iter().cloned().collect::<BTreeMap<String, String>>();
        assert_eq!(sorted(&form_of(request.body.as_bytes())), sorted(&form), "{}", row.file);
        built += 1;
    }
    println!("back-end requests: {verified} fingerprints, {built} built byte for byte");
    assert!(verified > 25 && built > 5);
}

#[test]
fn every_back_end_reply_is_read() {
    let Some(corpus) = corpus() else { return };
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows(&corpus).iter().filter(|row| row.file.starts_with("backend/") && row.file.ends_with(".resp")) {
        let body = body(&corpus, row);
        let form = form_of(&body);
        let number = form.get("order.1.orderNumber").or(form.get("orderNumber")).unwrap_or("1");
        let query = Query::OrderDetails { gateway_order_number: GatewayOrderNumber::new(number).expect(number) };
        let answer = backend::answer(&query, 200, &body);
        let name = match (&answer.outcome, form.get("orders"), form.get("status")) {
            (Outcome::Found, Some("1"), Some("0")) => {
                let order = &answer.transactions[0];
                assert_eq!(order.transaction_state.as_deref(), form.get("order.1.state"), "{}", row.file);
                assert!(order.completed_at.is_some(), "{}", row.file);
                if let Some(state) = form.get("payment.1.1.state") {
                    assert_eq!(answer.transactions[1].transaction_state.as_deref(), Some(state), "{}", row.file);
                    assert!(answer.transactions[1].amount.and_then(|a| a.bookable()).is_some(), "{}", row.file);
                }
                "found"
            }
            (Outcome::Found, None, Some("2")) => "rejected",
            (Outcome::Found, None, Some("3")) => "unresolved",
            (Outcome::NotFound, Some("0"), Some("0")) => "not found",
            (Outcome::Refused { .. }, None, Some("1")) => "refused",
            // Replies to other operations are no answer to getOrderDetails.
            (Outcome::Unavailable { why, .. }, None, Some("0")) if why.contains("`orders` is missing") => {
                "other operation"
            }
            other => panic!("{}: {other:?}", row.file),
        };
        *outcomes.entry(name.to_owned()).or_default() += 1;
        if row.file.contains("generateordernumber") {
            let given = backend::read_order_number(200, &body).expect("a number");
            assert_eq!(given.as_str(), form.get("orderNumber").expect("a number"), "{}", row.file);
        }
    }
    println!("back-end replies: {outcomes:?}");
    assert!(outcomes["found"] > 10 && outcomes["refused"] > 5);
}
