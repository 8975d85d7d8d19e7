//! What each fuzz target does with its bytes, as plain functions. `fuzz/` runs them under libFuzzer; the test beside
//! this file replays the kept seeds, and drawn changes of them, with every `cargo test`.
//!
//! A target fails by panicking: the reader's own panics, or a promise that does not hold.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use reconciled::core::account::{Account, Accounts, Checkout, Contract, Product, Wpg};
use reconciled::core::look::{Answer, Outcome, Query};
use reconciled::core::message::{Authenticity, Message, PaymentState, Scheme};
use reconciled::engine::books;
use reconciled::shell::config::{self, Flags, Surroundings};
use reconciled::shell::submission_json;
use reconciled::store::{Table, chain, frame};
use reconciled::wire::form::{self, Charset, Form, Limits};
use reconciled::wire::wpg::{self, SigningKey, pin_from_pem, retrieve};
use reconciled::wire::{Key, checkout, decoded};
use reconciled::words::id::{GatewayOrderNumber, MerchantName, RequestId, TransactionId};
use secrecy::SecretString;

/// A target by the name of its folder in `fuzz/corpus`.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("wpg", wpg_message),
    ("wpg_dsig", wpg_dsig),
    ("wpg_answer", wpg_answer),
    ("wpg_pin", wpg_pin),
    ("checkout_confirm", checkout_confirm),
    ("checkout_list", checkout_list),
    ("checkout_reply", checkout_reply),
    ("form", any_form),
    ("submission", submission),
    ("store", store),
    ("config", configuration),
];

pub const SECRET: &str = "a secret of the fuzz targets, and of nothing else";
pub const OWN_ID: &str = "shopRequestId";

static SIGNING: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(include_str!("../keys/wpg-gateway.pem")).expect("a key"));
static KEY: LazyLock<Key> = LazyLock::new(|| Key {
    secret: SecretString::from(SECRET),
    user: None,
    password: None,
    pins: vec![SIGNING.pin().allowing_sha1()],
});

/// Whatever a message says, it is shown as JSON and keeps its own limits.
fn shown(message: &Message) {
    let text = decoded::decoded_text(message);
    serde_json::from_str::<serde_json::Value>(&text).expect("a message is shown as JSON");
    assert!(message.transactions.len() <= wpg::PAYMENTS_MAX);
    match &message.authenticity {
        Authenticity::Verified { covers, .. } => {
            let names: BTreeSet<&String> = covers.iter().collect();
            assert_eq!(names.len(), covers.len(), "a name is covered once");
        }
        Authenticity::Refuted { reason, .. } => assert!(!reason.contains('\n') && !reason.is_empty()),
        Authenticity::Unverifiable { .. } => {}
    }
}

/// Any body of the Payment Gateway, with keys and without.
pub fn wpg_message(body: &[u8]) {
    let judged = wpg::decode(body, Some(&KEY));
    let unjudged = wpg::decode(body, None);
    match (&judged, &unjudged) {
        (Ok(judged), Ok(unjudged)) => {
            shown(judged);
            assert!(!unjudged.authenticity.is_verified(), "without a key nothing is verified");
            assert_eq!(judged.transactions, unjudged.transactions, "a key changes the verdict alone");
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            assert!(!one.to_string().contains('\n'), "a reason is one line");
        }
        _ => panic!("a key changes the verdict alone: {judged:?} {unjudged:?}"),
    }
}

/// A document that can be read can be signed, and then verifies and says the same.
pub fn wpg_dsig(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Ok(before) = wpg::decode(body, Some(&KEY)) else { return };
    let is_plain = matches!(before.authenticity, Authenticity::Unverifiable { scheme: None, .. });
    if !is_plain || before.format.name() != "xml" || !text.trim_end().ends_with('>') || text.contains("<!--") {
        return;
    }
    let Ok(signed) = wpg::encode::signed_xml(text.trim_start_matches('\u{FEFF}'), &SIGNING) else { return };
    // The writer of the tests puts the signature before the last `</`, wherever that stands.
    let Ok(after) = wpg::decode(signed.as_bytes(), Some(&KEY)) else { return };
    if let Authenticity::Refuted { reason, .. } = &after.authenticity {
        let is_our_writer = ["is not a child", "`xml:` attribute", "differs from what was signed"];
        assert!(is_our_writer.iter().any(|known| reason.contains(known)), "{reason}: {signed}");
        return;
    }
    if after.authenticity.is_verified() {
        assert_eq!(after.transactions, before.transactions, "{signed}");
    }
}

/// An answer to a retrieval. The first two bytes choose status and Content-Type.
pub fn wpg_answer(bytes: &[u8]) {
    let [status, kind_at, body @ ..] = bytes else { return };
    let status = [200, 200, 200, 201, 400, 401, 403, 404, 409, 500, 503][usize::from(*status) % 11];
    let kind = [None, Some("application/xml;charset=UTF-8"), Some("application/json"), Some("text/html")];
    let query = Query::TransactionId {
        merchant_account_id: "9abf05c1-c266-46ae-8eac-7f87ca97af28".to_owned(),
        transaction_id: TransactionId::new("t").expect("an id"),
    };
    consistent(&retrieve::answer(&query, status, kind[usize::from(*kind_at) % 4], body), status);
    if let Some(text) = std::str::from_utf8(body).ok().and_then(|text| RequestId::new(text).ok()) {
        let query = Query::RequestId { merchant_account_id: "m".to_owned(), request_id: text };
        let request = retrieve::request("https://gateway.example", &query).expect("a request-id is only a value");
        let prefix = "https://gateway.example/engine/rest/merchants/m/payments/?request_id=";
        let value = request.url.strip_prefix(prefix).expect("an id never leaves its place");
        assert!(!value.contains(['/', '?', '#', '&', '@', ' ']), "{value}");
    }
}

/// Something is found only where there is something.
fn consistent(answer: &Answer, status: u16) {
    match &answer.outcome {
        Outcome::Found => assert!(status == 200 && !answer.transactions.is_empty()),
        Outcome::NotFound | Outcome::Unavailable { .. } | Outcome::Refused { .. } => {
            assert!(answer.transactions.is_empty());
        }
    }
}

/// A PEM file that is to be pinned.
pub fn wpg_pin(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(pin) = pin_from_pem(text)
    {
        assert!(pin.key().len() > 256 && !pin.allows_sha1());
    }
}

fn reading(algorithm: Scheme) -> checkout::Reading<'static> {
    checkout::Reading { algorithm: Some(algorithm), secret: Some(SECRET.as_bytes()), own_id_parameter: Some(OWN_ID) }
}

const ALGORITHMS: [Scheme; 3] = [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5];

/// A body at confirmUrl, under each algorithm.
pub fn checkout_confirm(body: &[u8]) {
    let mut verified = 0;
    for algorithm in ALGORITHMS {
        let Ok(message) = checkout::decode(body, &reading(algorithm)) else { continue };
        shown(&message);
        verified += usize::from(message.authenticity.is_verified());
        if matches!(message.payment_state, Some(PaymentState::Failure | PaymentState::Cancel)) {
            assert!(!message.authenticity.is_verified(), "the gateway signs neither");
        }
    }
    assert!(verified <= 1, "no message fits two algorithms");
}

const LIMITS: Limits = checkout::confirm::LIMITS;

/// The gateway signs the message over the message's own list: it verifies where the rules of the list allow it, and
/// never elsewhere.
pub fn checkout_list(body: &[u8]) {
    let Ok(form) = Form::read(body, &LIMITS, Charset::Utf8) else { return };
    let (Some(list), None) = (form.get("responseFingerprintOrder"), form.flaw()) else { return };
    let is_own = |name: &str| matches!(name, "responseFingerprintOrder" | "responseFingerprint" | "secret");
    let fields: Vec<(String, String)> = form.fields().iter().filter(|(name, _)| !is_own(name)).cloned().collect();
    let state = [("SUCCESS", PaymentState::Success), ("PENDING", PaymentState::Pending)]
        .into_iter()
        .find(|(name, _)| form.get("paymentState") == Some(name))
        .map(|(_, state)| state);
    for algorithm in ALGORITHMS {
        let signed = checkout::encode::listed(&fields, list, algorithm, SECRET);
        let Ok(message) = checkout::decode(signed.as_bytes(), &reading(algorithm)) else { continue };
        let again = Form::read(signed.as_bytes(), &LIMITS, Charset::Utf8).expect("it was decoded");
        let allowed = state.is_some_and(|state| checkout::list::check(&again, state, Some(OWN_ID)).is_ok());
        assert_eq!(message.authenticity.is_verified(), allowed, "{signed}");
    }
}

/// Replies of the back end of both products. The first byte chooses the HTTP status.
pub fn checkout_reply(bytes: &[u8]) {
    let [status, body @ ..] = bytes else { return };
    let status = [200, 200, 200, 401, 403, 404, 500][usize::from(*status) % 7];
    let query = Query::OrderDetails { gateway_order_number: GatewayOrderNumber::new("7000001").expect("a number") };
    consistent(&checkout::backend::answer(&query, status, body), status);
    if let Ok(message) = checkout::backend::decode_reply(body) {
        shown(&message);
        assert!(!message.authenticity.is_verified());
    }
    if let (true, Ok(message)) = (checkout::started::is_answer(body), checkout::started::decode(body)) {
        shown(&message);
        assert!(!message.authenticity.is_verified() && message.transactions.is_empty());
    }
    if let Ok(number) = checkout::backend::read_order_number(status, body) {
        assert!(number.as_str().len() <= 9);
    }
}

/// A form, its fields written again and read again.
pub fn any_form(body: &[u8]) {
    for charset in [Charset::Utf8, Charset::Utf8OrLatin1] {
        let Ok(form) = Form::read(body, &LIMITS, charset) else { continue };
        let pairs = form.fields().iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let written = form::encode(pairs);
        let again = Form::read(written.as_bytes(), &LIMITS, charset);
        // U+FFFD is longer than the byte it stands for, so a form at its limits may not fit any more.
        let Ok(again) = again else {
            assert!(form.flaw().is_some() || charset == Charset::Utf8OrLatin1, "{written}");
            continue;
        };
        assert_eq!(again.fields(), form.fields());
    }
}

static ACCOUNTS: LazyLock<Accounts> = LazyLock::new(|| {
    let name = |text: &str| MerchantName::new(text).expect("a name");
    let wpg = Contract::Wpg(Wpg {
        merchant_account_ids: vec!["9abf05c1-c266-46ae-8eac-7f87ca97af28".to_owned()],
        resolver_category: None,
        scheme: None,
        siblings: Vec::new(),
    });
    let checkout = Contract::Checkout(Checkout {
        product: Product::Page,
        customer_id: "D299999".to_owned(),
        shop_id: None,
        algorithm: Scheme::HmacSha512,
        own_id_parameter: OWN_ID.to_owned(),
        can_ask: true,
    });
    [("shop-eu", wpg), ("shop-at", checkout)]
        .map(|(text, contract)| {
            (name(text), Account { name: name(text), time_zone: "Europe/Vienna".to_owned(), contract })
        })
        .into_iter()
        .collect()
});

/// What a shop posts: submissions and responses.
pub fn submission(body: &[u8]) {
    match submission_json::submission(body, &ACCOUNTS) {
        Ok(read) => {
            let kept = serde_json::to_string(&read).expect("a submission is kept as JSON");
            assert_eq!(
                serde_json::from_str::<reconciled::core::submission::Submission>(&kept).expect("and read"),
                read
            );
        }
        Err(refusal) => assert!(!refusal.error.is_empty()),
    }
    let _ = submission_json::response(body, &ACCOUNTS);
}

/// Rows of the store: what is not a row of ours is damaged, and says so.
pub fn store(bytes: &[u8]) {
    let [table, rest @ ..] = bytes else { return };
    let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
    let (key, value) = rest.split_at(rest.len().min(8));
    if let Ok(body) = frame::unwrap(table, key, value) {
        let mut again = Vec::new();
        frame::wrap(table, key, body, &mut again);
        assert_eq!(again, value);
    }
    // Behind a checksum that fits: the bodies themselves.
    let mut framed = Vec::new();
    frame::wrap(table, key, value, &mut framed);
    assert_eq!(frame::unwrap(table, key, &framed).expect("our own frame"), value);
    let _ = books::parse_record(key, value);
    let _ = chain::open(key, value);
    let _ = books::due_parts(key);
    let _ = books::parse::<reconciled::core::payment::Payment>(Table::Payments, key, value);
    let _ = books::parse::<reconciled::core::alert::Alert>(Table::Alerts, key, value);
}

/// A configuration file. It may name files: only in a folder of its own, which is empty but for one secret.
pub fn configuration(bytes: &[u8]) {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "a-secret-in-a-file\n").expect("written");
        folder
    });
    // Nothing outside is read, however the text spells it.
    if bytes.windows(2).any(|two| two == b"/d" || two == b".." || two == b"\\u" || two == b"\\U") {
        return;
    }
    let file = FOLDER.path().join(format!("{:?}.toml", std::thread::current().id()));
    std::fs::write(&file, bytes).expect("written");
    if let Err(problem) = config::load(&file, &Flags::default(), &Surroundings::default()) {
        assert!(!problem.to_string().contains("a-secret-in-a-file"));
    }
}
