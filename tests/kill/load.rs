//! A shop that submits and two gateways that notify, each remembering what it was thanked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use reconciled::core::message::{PaymentState, Scheme, Status, Transaction};
use reconciled::wire::checkout::encode::Confirmation;
use reconciled::wire::wpg::encode;
use reconciled::words::money::{Amount, StatedAmount};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client;
use crate::daemon::Life;

const WPG_ACCOUNT: &str = "9abf05c1-c266-46ae-8eac-7f87ca97af28";
const WPG_SECRET: &str = "sandbox-only-shop-eu.secret";
const CHECKOUT_SECRET: &str = "sandbox-only-shop-at.secret";
/// Processes of the shop; each submits one payment at a time.
const SHOPS: u64 = 3;
/// Senders of notifications.
const GATEWAYS: u64 = 3;
/// Submissions that are sent again to each new life: it must know them.
const ASKED_AGAIN: usize = 3;

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn within(&mut self, range: &std::ops::Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }
}

/// What was answered 2xx. The one witness: it lives outside the daemon.
#[derive(Default)]
pub struct Acknowledged {
    /// By merchant and request-id: the body that was thanked for.
    pub submissions: BTreeMap<(String, String), Value>,
    /// SHA-256 of the body, as the journal writes it: where it was sent.
    pub notifications: BTreeMap<String, &'static str>,
}

impl Acknowledged {
    pub fn add(&mut self, more: Acknowledged) {
        self.submissions.extend(more.submissions);
        self.notifications.extend(more.notifications);
    }

    /// A submission that was thanked for is the same again, never new.
    pub fn ask_again(&self, life: &Life, dice: &mut Dice) {
        for _ in 0..ASKED_AGAIN.min(self.submissions.len()) {
            let nth = dice.roll() as usize % self.submissions.len();
            let body = self.submissions.values().nth(nth).expect("below the length");
            let (status, said) = life.ask("POST", "/v1/submissions", &body.to_string());
            assert_eq!(status, 200, "{body} was acknowledged before, now: {said}");
        }
    }

    /// Every payment prints with the content that was thanked for.
    pub fn expect_payments(&self, life: &Life) {
        for ((merchant, request_id), body) in &self.submissions {
            let (status, payment) = life.ask("GET", &format!("/v1/payments/{merchant}/{request_id}"), "");
            assert_eq!(status, 200, "{merchant} {request_id} is lost");
            for field in ["merchant", "request_id", "order_number", "amount", "currency"] {
                assert_eq!(payment[field], body[field], "{field} of {merchant} {request_id}");
            }
        }
    }
}

/// The clients of one life. They end by themselves when nobody answers any more.
pub struct Load {
    clients: Vec<JoinHandle<Acknowledged>>,
}

impl Load {
    /// `name` keeps the ids of one life apart from all others.
    pub fn start(life: &Life, name: u64) -> Load {
        let mut clients = Vec::new();
        let mut orders = Vec::new();
        for gateway in 0..GATEWAYS {
            let (submitted, to_notify) = mpsc::channel::<Order>();
            orders.push(submitted);
            let address = life.public.clone();
            let spawned = std::thread::Builder::new().name(format!("gateway {gateway}"));
            clients.push(spawned.spawn(move || notify_all(&address, &to_notify)).expect("a thread"));
        }
        for shop in 0..SHOPS {
            let (socket, gateway) = (life.socket.clone(), orders[(shop % GATEWAYS) as usize].clone());
            let spawned = std::thread::Builder::new().name(format!("shop {shop}"));
            clients.push(
                spawned.spawn(move || submit_all(&socket, &format!("{name}-{shop}"), &gateway)).expect("a thread"),
            );
        }
        Load { clients }
    }

    /// What its clients were thanked for, once they all gave up.
    pub fn end(self) -> Acknowledged {
        let mut all = Acknowledged::default();
        for client in self.clients {
            all.add(client.join().expect("a client"));
        }
        all
    }
}

/// What a gateway knows of a payment.
struct Order {
    is_wpg: bool,
    request_id: String,
    amount: Amount,
}

/// Submits until nobody answers.
fn submit_all(socket: &Path, name: &str, gateway: &mpsc::Sender<Order>) -> Acknowledged {
    let mut thanked = Acknowledged::default();
    for n in 0u64.. {
        let order = Order {
            is_wpg: n % 3 != 2,
            request_id: format!("r-{name}-{n}"),
            amount: Amount::parse(&format!("{}.{:02}", 1 + n % 900, n % 100), "EUR").expect("an amount"),
        };
        let merchant = if order.is_wpg { "shop-eu" } else { "shop-at" };
        let body = json!({
            "merchant": merchant, "request_id": order.request_id, "order_number": format!("o-{name}-{}", n / 2),
            "transaction_type": order.is_wpg.then_some("debit"), "amount": order.amount.value_text(),
            "currency": "EUR", "payment_method": if order.is_wpg { "creditcard" } else { "CCARD" },
            "custom_fields": {"basket": name},
        });
        let Some(answer) = client::admin(socket, "POST", "/v1/submissions", &body.to_string()) else { break };
        match answer.status {
            201 => {
                thanked.submissions.insert((merchant.to_owned(), order.request_id.clone()), body);
                // A gateway that gave up needs no more orders.
                let _ = gateway.send(order);
            }
            503 => break,
            other => panic!("{body}: {other} {}", answer.body),
        }
    }
    thanked
}

/// Notifies of every order until nobody answers.
fn notify_all(address: &str, orders: &mpsc::Receiver<Order>) -> Acknowledged {
    let mut thanked = Acknowledged::default();
    while let Ok(order) = orders.recv() {
        for (path, body) in messages(&order) {
            let Some(answer) = client::post(address, path, &body) else { return thanked };
            match answer.status {
                200 => {
                    let digest = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
                    thanked.notifications.insert(digest, path);
                }
                503 => return thanked,
                other => panic!("{path}: {other} {}", answer.body),
            }
        }
    }
    thanked
}

/// What the gateway sends of a paid order: each body once in the whole test.
fn messages(order: &Order) -> Vec<(&'static str, String)> {
    if !order.is_wpg {
        return vec![("/confirm/shop-at", confirmation(order))];
    }
    let signed = transaction(order);
    // An account is pinned to one scheme: what comes under another is a hint, and kept like one.
    let plain = Transaction { transaction_state: Some("in-progress".to_owned()), ..signed.clone() };
    vec![("/ipn/shop-eu", encode::nvp(&plain, WPG_SECRET)), ("/ipn/shop-eu", encode::json_signed(&signed, WPG_SECRET))]
}

fn transaction(order: &Order) -> Transaction {
    let id = |of: &str| Some(format!("{of}-{}", order.request_id));
    Transaction {
        merchant_account_id: Some(WPG_ACCOUNT.to_owned()),
        request_id: Some(order.request_id.clone()),
        transaction_id: id("t"),
        transaction_type: Some("debit".to_owned()),
        transaction_state: Some("success".to_owned()),
        amount: Some(StatedAmount { value: order.amount.value(), currency: Some(order.amount.currency()) }),
        payment_methods: vec!["creditcard".to_owned()],
        completed_at: "2026-03-01T12:00:00Z".parse().ok(),
        statuses: vec![Status { code: "201.0000".to_owned(), severity: Some("information".to_owned()) }],
        ..Transaction::default()
    }
}

fn confirmation(order: &Order) -> String {
    // A gateway order number of its own: 1 to 9 digits, not starting with 0.
    let digest = Sha256::digest(order.request_id.as_bytes());
    let number = 100_000_000 + u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % 900_000_000;
    let amount = order.amount.value_text();
    let number = number.to_string();
    let fields = [
        ("amount", amount.as_str()),
        ("currency", "EUR"),
        ("paymentType", "CCARD"),
        ("financialInstitution", "MC"),
        ("language", "de"),
        ("orderNumber", &number),
        ("shopRequestId", &order.request_id),
        ("anonymousPan", "1003"),
        ("gatewayReferenceNumber", "DGW_RN"),
    ];
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Confirmation { state: PaymentState::Success, fields }.body(Scheme::HmacSha512, CHECKOUT_SECRET)
}
