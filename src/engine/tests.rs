//! Stories: what the shop and the gateway do, and what the books say then.

use serde_json::Value;

use super::*;
use crate::core::account::{Account, Checkout, Contract, Product, Wpg};
use crate::core::look::{Answer, Look, Outcome, Query};
use crate::core::message::{Scheme, Status, Transaction};
use crate::core::policy::{AlertPolicy, Keeping, Policy, ReportPolicy};
use crate::core::schedule::Schedule;
use crate::core::submission::Submission;
use crate::store::memory::Memory;
use crate::store::{Draft, Table, View};
use crate::wire::Key;
use crate::wire::{checkout, wpg};
use crate::words::id::{GatewayOrderNumber, OrderNumber};
use crate::words::money::Amount;
use crate::words::time::{SignedDuration, Timestamp, days, hours, later, minutes};

mod doubts;
mod imports;
mod relays;
mod relay_bodies;
mod passed;
mod operations;

const MAID: &str = "11111111-2222-3333-4444-555555555555";
const SECRET: &str = "a secret of the tests, and of nothing else";

/// A shop, a store in memory and a clock of its own.
struct World {
    engine: Engine,
    store: Memory,
    now: Now,
}

impl World {
    fn new() -> World {
        let name = |text: &str| MerchantName::new(text).expect("a name");
        let wpg = |scheme| {
            Contract::Wpg(Wpg {
                merchant_account_ids: vec![MAID.into()],
                resolver_category: None,
                scheme: Some(scheme),
                siblings: vec![],
            })
        };
        let checkout = |algorithm| {
            Contract::Checkout(Checkout {
                product: Product::Seamless,
                customer_id: "D299999".into(),
                shop_id: None,
                algorithm,
                own_id_parameter: "shopRequestId".into(),
                can_ask: true,
            })
        };
        let contracts = [
            ("signed", wpg(Scheme::JsonSigned)),
            ("nvp", wpg(Scheme::NvpV2)),
            ("hmac", checkout(Scheme::HmacSha512)),
            ("md5", checkout(Scheme::Md5)),
        ];
        let key = || Key {
            secret: SECRET.to_owned().into(),
            user: Some("user".into()),
            password: Some("password".to_owned().into()),
            pins: vec![],
        };
        let accounts = contracts
            .map(|(n, contract)| (name(n), Account { name: name(n), time_zone: "Europe/Vienna".into(), contract }));
        let engine = Engine {
            keys: accounts.iter().map(|(name, _)| (name.clone(), key())).collect(),
            policy: Policy {
                accounts: accounts.into_iter().collect(),
                schedule: Schedule::default(),
                alerts: AlertPolicy::default(),
                report: ReportPolicy::default(),
                keeping: Keeping { ring_slots: 4, unverified_max_per_request: 3, ..Keeping::default() },
                relays: Default::default(),
            },
        };
        let mut world =
            World { engine, store: Memory::default(), now: Now::both("2026-03-02T09:00:00Z".parse().expect("a time")) };
        world.turn(|engine, draft, now| engine.started(draft, now));
        world
    }

    fn turn<T>(&mut self, act: impl FnOnce(&Engine, &mut Draft, Now) -> Result<T, Fault>) -> T {
        let (engine, now) = (self.engine.clone(), self.now);
        let (outcome, commit) = {
            let mut draft = Draft::new(&self.store).expect("a draft");
            let outcome = act(&engine, &mut draft, now).expect("no fault");
            (outcome, draft.into_commit())
        };
        self.store.commit(commit).expect("a commit");
        outcome
    }

    fn pass(&mut self, by: SignedDuration) {
        self.now = Now { wall: later(self.now.wall, by), steady: later(self.now.steady, by) };
    }

    fn submit(&mut self, merchant: &str, id: &str, value: &str) -> Submitted {
        let submission = submission(merchant, id, value);
        self.turn(|e, d, now| e.submit(d, submission, now))
    }

    fn hear(&mut self, merchant: &str, body: &str) {
        let incoming = Incoming {
            merchant: MerchantName::new(merchant).expect("a name"),
            body: body.as_bytes().to_vec(),
            content_type: None,
            way: "http",
        };
        let kept = self.turn(|e, d, now| e.receive(d, incoming, now));
        assert!(matches!(kept, Kept::Kept { .. }));
        self.turn(|e, d, now| e.judge(d, 100, now));
    }

    fn due(&self) -> Vec<Look> {
        self.engine.due(&self.store, self.now, 100, &|_, _| false).expect("no fault")
    }

    /// Lets time pass until the next look is due, and returns it.
    fn next_look(&mut self) -> Look {
        let at = self.engine.next_due(&self.store).expect("no fault").expect("something is due");
        let wait = at.duration_since(self.now.steady).max(SignedDuration::ZERO);
        self.pass(wait);
        self.due().into_iter().next().expect("a look")
    }

    fn answer(&mut self, look: &Look, outcome: Outcome, transactions: Vec<Transaction>) {
        let mut answers: Vec<Answer> = look
            .queries
            .iter()
            .map(|query| Answer { query: query.clone(), outcome: outcome.clone(), transactions: vec![], digest: None })
            .collect();
        answers[0].transactions = transactions;
        self.turn(|e, d, now| e.answered(d, look, &answers, now));
    }

    fn payment(&self, merchant: &str, id: &str) -> Value {
        let (merchant, id) = (MerchantName::new(merchant).expect("a name"), RequestId::new(id).expect("an id"));
        self.engine.payment(&self.store, &merchant, &id, self.now).expect("no fault").expect("a payment")
    }

    fn state(&self, merchant: &str, id: &str) -> String {
        self.payment(merchant, id)["state"].as_str().expect("a state").to_owned()
    }

    fn ledger(&self) -> Vec<String> {
        let page = self.engine.ledger(&self.store, 0, 1_000).expect("no fault");
        let line = |e: &Value| {
            format!(
                "{} {} {}",
                e["kind"].as_str().expect("kind"),
                e["amount"].as_str().expect("amount"),
                e["currency"].as_str().expect("currency")
            )
        };
        page.items.iter().map(line).collect()
    }

    fn firing(&self) -> Vec<String> {
        let status = self.engine.status(&self.store, self.now).expect("no fault");
        let alerts = status["alerts"].as_array().expect("a list");
        alerts.iter().map(|a| a["summary"].as_str().expect("a text").to_owned()).collect()
    }

    /// The journal explains everything, and nobody is forgotten.
    fn prove(&self) {
        let audit = self.engine.audit(&self.store).expect("no fault");
        assert!(audit.is_clean(), "{audit:#?}");
    }
}

fn submission(merchant: &str, id: &str, value: &str) -> Submission {
    let is_wpg = matches!(merchant, "signed" | "nvp");
    Submission {
        merchant: MerchantName::new(merchant).expect("a name"),
        request_id: RequestId::new(id).expect("an id"),
        order_number: OrderNumber::new(&format!("order-{id}")).ok(),
        transaction_type: is_wpg.then(|| "purchase".to_owned()),
        amount: Amount::parse(value, "EUR").expect("money"),
        payment_method: is_wpg.then(|| "creditcard".to_owned()),
        parent_transaction_id: None,
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    }
}

fn transaction(id: &str, request: &str, kind: &str, state: &str, value: &str) -> Transaction {
    Transaction {
        merchant_account_id: Some(MAID.into()),
        request_id: Some(request.into()),
        transaction_id: Some(id.into()),
        transaction_type: Some(kind.into()),
        transaction_state: Some(state.into()),
        amount: Some(Amount::parse(value, "EUR").expect("money").into()),
        payment_methods: vec!["creditcard".into()],
        completed_at: "2026-03-02T09:00:30Z".parse().ok(),
        statuses: vec![Status {
            code: if state == "success" { "201.0000" } else { "500.1061" }.into(),
            severity: None,
        }],
        ..Transaction::default()
    }
}

fn signed(t: &Transaction) -> String {
    wpg::encode::json_signed(t, SECRET)
}

fn confirmation(state: &str, id: &str, order: &str, value: &str, algorithm: Scheme) -> String {
    let pairs = [
        ("amount", value),
        ("currency", "EUR"),
        ("paymentType", "CCARD"),
        ("financialInstitution", "Visa"),
        ("language", "de"),
        ("orderNumber", order),
        ("paymentState", state),
        ("shopRequestId", id),
    ];
    let fields: Vec<(String, String)> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    checkout::encode::confirmation(&fields, algorithm, SECRET)
}

fn details(order: &str, state: &str, payments: &[(&str, &str, &str)]) -> Vec<Transaction> {
    let object = |id: String, kind: &str, state: &str, parent: Option<String>, value: Option<&str>| Transaction {
        transaction_id: Some(id),
        transaction_type: Some(kind.into()),
        transaction_state: Some(state.into()),
        parent_transaction_id: parent,
        amount: value.map(|v| Amount::parse(v, "EUR").expect("money").into()),
        ..Transaction::default()
    };
    let parent = format!("order:{order}");
    let mut all = vec![object(parent.clone(), "order", state, None, None)];
    all.extend(
        payments.iter().map(|(n, s, v)| object(format!("payment:{n}"), "payment", s, Some(parent.clone()), Some(v))),
    );
    all
}

#[test]
fn a_signed_notification_pays_an_order() {
    let mut world = World::new();
    assert!(matches!(world.submit("signed", "r1", "12.50"), Submitted::Created { .. }));
    assert!(matches!(world.submit("signed", "r1", "12.500"), Submitted::Same { .. }));
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    assert_eq!(world.state("signed", "r1"), "paid");
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    assert_eq!(world.ledger(), ["in 12.50 EUR"], "the same news twice books once");
    world.prove();
}

#[test]
fn a_second_payment_whose_message_was_lost_is_found_behind_the_window() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    assert_eq!(world.state("signed", "r1"), "paid");
    let look = world.next_look();
    assert_eq!(look.queries.len(), 1, "one request is enough: {:?}", look.queries);
    let twice = ["t1", "t2"].map(|id| transaction(id, "r1", "purchase", "success", "12.50"));
    world.answer(&look, Outcome::Found, twice.to_vec());
    assert_eq!(world.ledger(), ["in 12.50 EUR", "in 12.50 EUR"]);
    assert!(world.firing().iter().any(|a| a.contains("double")), "{:?}", world.firing());
    let look = world.next_look();
    assert!(
        look.queries.iter().any(|q| matches!(q, Query::Group { .. })),
        "a day later the family: {:?}",
        look.queries
    );
    world.answer(&look, Outcome::Found, twice.to_vec());
    assert!(world.payment("signed", "r1")["next_look_at"].is_null());
    world.prove();
}

#[test]
fn a_lost_notification_is_rescued_by_the_first_look() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let look = world.next_look();
    assert!(look.is_first);
    assert_eq!(
        look.queries,
        [Query::RequestId { merchant_account_id: MAID.into(), request_id: RequestId::new("r1").expect("id") }]
    );
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.5")]);
    assert_eq!(world.state("signed", "r1"), "paid");
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    world.prove();
}

#[test]
fn an_nvp_signature_does_not_cover_the_money() {
    let mut world = World::new();
    world.submit("nvp", "r1", "12.50");
    let lie = transaction("t1", "r1", "purchase", "success", "1000000");
    world.hear("nvp", &wpg::encode::nvp(&lie, SECRET));
    assert_eq!(world.state("nvp", "r1"), "open");
    assert!(world.ledger().is_empty());
    let look = world.due().into_iter().next().expect("the hint brings a look at once");
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    world.prove();
}

#[test]
fn a_forgery_changes_nothing_and_brings_one_look_in_ten_minutes() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let genuine = signed(&transaction("t1", "r1", "purchase", "success", "12.50"));
    let forged = wpg::encode::json_signed(&transaction("t1", "r1", "purchase", "success", "12.50"), "another secret");
    assert_ne!(genuine, forged);
    world.pass(minutes(1));
    world.hear("signed", &forged);
    world.hear("signed", &wpg::encode::payment_xml(&transaction("t2", "r1", "purchase", "failed", "12.50")));
    assert_eq!(world.state("signed", "r1"), "open");
    assert!(world.ledger().is_empty());
    let look = world.due().into_iter().next().expect("one look");
    world.answer(&look, Outcome::NotFound, vec![]);
    world.hear("signed", &forged);
    assert!(world.due().is_empty(), "the next hint waits for its ten minutes");
    assert!(world.firing().iter().any(|a| a.contains("fail their signature check")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_flood_of_forgeries_ends_in_the_ring() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let before = crate::store::journal_len(&world.store).expect("a length");
    for n in 0..50 {
        world.hear(
            "signed",
            &wpg::encode::payment_xml(&transaction(&format!("t{n}"), "r1", "purchase", "success", "1")),
        );
        world.hear(
            "signed",
            &wpg::encode::payment_xml(&transaction(&format!("u{n}"), "nobody", "purchase", "success", "1")),
        );
    }
    let grown = crate::store::journal_len(&world.store).expect("a length") - before;
    assert!(grown <= 4, "the journal grew by {grown}");
    let ring = world.store.range(Table::Ring, &[], &[], 100).expect("rows");
    assert_eq!(ring.len(), 4, "the ring has a fixed size");
    world.prove();
}

#[test]
fn an_abandoned_payment_is_unfinished_after_two_looks_and_final_a_day_later() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let mut looks = 0;
    while world.state("signed", "r1") == "open" {
        let look = world.next_look();
        world.answer(&look, Outcome::NotFound, vec![]);
        looks += 1;
        assert!(looks < 20);
    }
    assert_eq!(world.state("signed", "r1"), "unfinished_provisional");
    let age = world.now.wall.duration_since("2026-03-02T09:00:00Z".parse::<Timestamp>().expect("time"));
    assert!(age >= minutes(65) && age < minutes(90), "{age}");
    let look = world.next_look();
    assert!(world.now.wall.duration_since("2026-03-02T09:00:00Z".parse::<Timestamp>().expect("time")) >= hours(25));
    world.answer(&look, Outcome::NotFound, vec![]);
    assert_eq!(world.state("signed", "r1"), "unfinished");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.state("signed", "r1"), "paid", "a later success always wins");
    assert!(world.firing().iter().any(|a| a.contains("late-payment")), "and is told loudly");
    world.prove();
}

#[test]
fn silence_is_never_failure() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    for _ in 0..30 {
        let look = world.next_look();
        world.answer(&look, Outcome::Unavailable { why: "timed out".into(), retry_after: None }, vec![]);
    }
    assert_eq!(world.state("signed", "r1"), "open");
    let mut silent = transaction("t1", "r1", "purchase", "failed", "12.50");
    silent.statuses = vec![Status { code: "500.1051".into(), severity: None }];
    for _ in 0..12 {
        let look = world.next_look();
        world.answer(&look, Outcome::Found, vec![silent.clone()]);
        assert_eq!(world.state("signed", "r1"), "open");
    }
    world.prove();
}

#[test]
fn a_wrong_amount_is_booked_as_stated_and_never_pays() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "1.25")));
    assert_eq!(world.state("signed", "r1"), "open");
    assert_eq!(world.ledger(), ["in 1.25 EUR"]);
    assert!(world.firing().iter().any(|a| a.contains("amount-differs")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn two_payments_of_one_order_are_told() {
    let mut world = World::new();
    for id in ["r1", "r2"] {
        let submission = Submission { order_number: OrderNumber::new("R-1").ok(), ..submission("signed", id, "12.50") };
        world.turn(|e, d, now| e.submit(d, submission, now));
        world.hear("signed", &signed(&transaction(&format!("t-{id}"), id, "purchase", "success", "12.50")));
    }
    assert_eq!((world.state("signed", "r1"), world.state("signed", "r2")), ("paid".into(), "paid".into()));
    assert!(world.firing().iter().any(|a| a.contains("double-payment")), "{:?}", world.firing());
    let void = Submission {
        transaction_type: Some("void-purchase".into()),
        parent_transaction_id: crate::words::id::TransactionId::new("t-r1").ok(),
        order_number: OrderNumber::new("R-1").ok(),
        ..submission("signed", "v1", "12.50")
    };
    world.turn(|e, d, now| e.submit(d, void, now));
    let mut voided = transaction("t-v1", "v1", "void-purchase", "success", "12.50");
    voided.parent_transaction_id = Some("t-r1".into());
    world.hear("signed", &signed(&voided));
    assert_eq!(world.state("signed", "r1"), "refunded");
    assert!(!world.firing().iter().any(|a| a.contains("double-payment")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_capture_takes_what_an_authorization_held() {
    let mut world = World::new();
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "a1", "20") };
    world.turn(|e, d, now| e.submit(d, hold, now));
    world.hear("signed", &signed(&transaction("ta", "a1", "authorization", "success", "20")));
    assert_eq!(world.state("signed", "a1"), "reserved");
    let capture = Submission {
        transaction_type: Some("capture-authorization".into()),
        parent_transaction_id: crate::words::id::TransactionId::new("ta").ok(),
        ..submission("signed", "c1", "20")
    };
    world.turn(|e, d, now| e.submit(d, capture, now));
    let mut captured = transaction("tc", "c1", "capture-authorization", "success", "20");
    captured.parent_transaction_id = Some("ta".into());
    world.hear("signed", &signed(&captured));
    assert_eq!((world.state("signed", "a1"), world.state("signed", "c1")), ("paid".into(), "paid".into()));
    assert_eq!(world.ledger(), ["reserved 20.00 EUR", "in 20.00 EUR"]);
    world.prove();
}

#[test]
fn a_sepa_debit_can_be_returned() {
    let mut world = World::new();
    let debit = Submission {
        transaction_type: Some("debit".into()),
        payment_method: Some("sepadirectdebit".into()),
        ..submission("signed", "s1", "30")
    };
    world.turn(|e, d, now| e.submit(d, debit, now));
    let sepa = |id: &str, request: &str, kind: &str| {
        let mut t = transaction(id, request, kind, "success", "30");
        t.payment_methods = vec!["sepadirectdebit".into()];
        t
    };
    world.hear("signed", &signed(&sepa("p", "s1-pending-debit", "pending-debit")));
    assert_eq!(world.state("signed", "s1"), "open");
    let mut debit = sepa("d", "s1", "debit");
    debit.parent_transaction_id = Some("p".into());
    world.hear("signed", &signed(&debit));
    assert_eq!(world.state("signed", "s1"), "paid_provisional");
    world.pass(days(20));
    let mut back = sepa("b", "s1-debit-return", "debit-return");
    back.parent_transaction_id = Some("d".into());
    world.hear("signed", &signed(&back));
    assert_eq!(world.state("signed", "s1"), "returned");
    assert_eq!(world.ledger(), ["in_provisional 30.00 EUR", "return 30.00 EUR"]);
    world.prove();
}

#[test]
fn money_for_a_request_nobody_submitted_is_told_and_not_booked() {
    let mut world = World::new();
    world.hear("signed", &signed(&transaction("t1", "r9", "purchase", "success", "12.50")));
    assert!(world.ledger().is_empty());
    let look = world.next_look();
    assert_eq!(world.now.wall, "2026-03-02T09:10:00Z".parse::<Timestamp>().expect("time"));
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r9", "purchase", "success", "12.50")]);
    assert!(world.firing().iter().any(|a| a.contains("orphan-money")), "{:?}", world.firing());
    assert!(matches!(world.submit("signed", "r9", "12.50"), Submitted::Created { .. }));
    assert_eq!(world.state("signed", "r9"), "paid");
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    assert!(!world.firing().iter().any(|a| a.contains("orphan-money")));
    world.prove();
}

#[test]
fn checkout_success_is_accepted_until_the_gateways_books_say_more() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c1"), "accepted");
    let look = world.due().into_iter().next().expect("a look at once");
    assert_eq!(
        look.queries,
        [Query::OrderDetails { gateway_order_number: GatewayOrderNumber::new("7000001").expect("number") }]
    );
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "reserved");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_deposited", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "paid_provisional");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "REFUNDABLE", &[("7000001", "payment_closed", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "paid");
    let net: Vec<String> = world.payment("hmac", "c1")["booked"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|b| format!("{} {}", b["kind"].as_str().expect("kind"), b["amount"].as_str().expect("amount")))
        .collect();
    assert_eq!(net, ["in 99.90"]);
    world.prove();
}

#[test]
fn a_vanished_payment_object_is_booked_back() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    let look = world.due().into_iter().next().expect("a look");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]));
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[]));
    assert_eq!(world.state("hmac", "c1"), "cancelled");
    assert_eq!(world.ledger().last().expect("an entry"), "reserved -99.90 EUR");
    world.prove();
}

#[test]
fn one_look_that_lists_no_payment_does_not_take_back_a_confirmed_success() {
    let mut world = World::new();
    world.submit("hmac", "c1", "99.90");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000001", "99.90", Scheme::HmacSha512));
    let look = world.due().into_iter().next().expect("a look");
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[]));
    assert_eq!(world.state("hmac", "c1"), "accepted", "the gateway's books may be late");
    world.prove();
    let mut looked_at = Vec::new();
    while world.state("hmac", "c1") == "accepted" {
        let look = world.next_look();
        looked_at.push(world.now.steady);
        world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[]));
        assert!(looked_at.len() < 10, "{looked_at:?}");
    }
    let [.., first, second] = looked_at.as_slice() else { panic!("one look decided it: {looked_at:?}") };
    assert!(second.duration_since(*first) >= minutes(30));
    assert_eq!(world.state("hmac", "c1"), "cancelled");
    assert_eq!(world.ledger().last().expect("an entry"), "accepted -99.90 EUR");
    world.prove();
    let look = world.next_look();
    world.answer(&look, Outcome::Found, details("7000001", "ORDERED", &[("7000001", "payment_approved", "99.90")]));
    assert_eq!(world.state("hmac", "c1"), "reserved", "and a later success wins");
    world.prove();
}

#[test]
fn under_md5_a_success_is_only_a_hint() {
    let mut world = World::new();
    world.submit("md5", "c1", "5");
    world.hear("md5", &confirmation("SUCCESS", "c1", "7000002", "5", Scheme::Md5));
    assert_eq!(world.state("md5", "c1"), "open");
    let look = world.due().into_iter().next().expect("the digest vouches for the number: ask");
    world.answer(&look, Outcome::Found, details("7000002", "REFUNDABLE", &[("7000002", "payment_closed", "5")]));
    assert_eq!(world.state("md5", "c1"), "paid");
    world.prove();
}

#[test]
fn who_cannot_be_asked_is_handed_over_in_one_alert_and_never_failed() {
    let mut world = World::new();
    for n in 0..3 {
        world.submit("hmac", &format!("c{n}"), "5");
    }
    world.hear("hmac", "paymentState=FAILURE&errors=1&error.1.errorCode=99996&shopRequestId=c1");
    assert_eq!(world.state("hmac", "c1"), "open", "a FAILURE is never signed");
    world.pass(minutes(36));
    world.turn(|e, d, now| e.tick(d, now));
    for n in 0..3 {
        assert_eq!(world.state("hmac", &format!("c{n}")), "handed_over");
    }
    assert_eq!(world.firing().iter().filter(|a| a.contains("nobody can be asked")).count(), 1);
    assert!(world.payment("hmac", "c1")["reason"].as_str().expect("text").contains("claimed unfinished, unverified"));
    world.prove();
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000003", "5", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c1"), "accepted", "a late success takes it back from the desk");
    world.prove();
}

#[test]
fn one_order_number_pays_one_payment() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.submit("hmac", "c2", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000004", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c2", "7000004", "5", Scheme::HmacSha512));
    assert_eq!(world.state("hmac", "c2"), "open");
    assert!(world.firing().iter().any(|a| a.contains("order-number-taken")));
    world.prove();
}

#[test]
fn a_second_order_number_books_only_what_the_gateway_confirms() {
    let mut world = World::new();
    world.submit("hmac", "c1", "5");
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000005", "5", Scheme::HmacSha512));
    world.hear("hmac", &confirmation("SUCCESS", "c1", "7000006", "5", Scheme::HmacSha512));
    assert_eq!(world.ledger(), ["accepted 5.00 EUR"]);
    let look = world.due().into_iter().next().expect("a look");
    assert_eq!(look.queries.len(), 2);
    let answers: Vec<Answer> = look
        .queries
        .iter()
        .zip(["7000005", "7000006"])
        .map(|(query, order)| Answer {
            query: query.clone(),
            outcome: Outcome::Found,
            transactions: details(order, "REFUNDABLE", &[(order, "payment_closed", "5")]),
            digest: None,
        })
        .collect();
    world.turn(|e, d, now| e.answered(d, &look, &answers, now));
    assert_eq!(world.state("hmac", "c1"), "paid");
    assert!(world.firing().iter().any(|a| a.contains("double-payment")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_conflicting_submission_never_changes_the_first() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    assert!(matches!(world.submit("signed", "r1", "13"), Submitted::Conflict { field: "amount", .. }));
    assert_eq!(world.payment("signed", "r1")["amount"], "12.50");
    let journal = crate::store::journal_len(&world.store).expect("a length");
    world.submit("signed", "r1", "13");
    assert_eq!(crate::store::journal_len(&world.store).expect("a length"), journal, "a looping shop fills no journal");
    world.prove();
}

#[test]
fn after_a_deaf_hour_every_touched_payment_is_looked_at() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.pass(minutes(3));
    world.turn(|e, d, now| e.tick(d, now));
    let from = world.now;
    let look = world.next_look();
    world.answer(&look, Outcome::NotFound, vec![]);
    world.pass(SignedDuration::from_secs(20));
    let to = world.now;
    world.turn(|e, d, _| e.deaf(d, from, to, "a test"));
    world.pass(minutes(1));
    assert_eq!(world.due().len(), 1);
    world.prove();
}

#[test]
fn an_explanation_says_what_how_and_when() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    let stories = world.engine.explain(&world.store, "order-r1", world.now).expect("no fault");
    let text = explain::text(&stories);
    for part in ["paid", "the shop submitted purchase of 12.50 EUR", "signed by json-signed", "a fact", "in 12.50 EUR"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(world.engine.explain(&world.store, "t1", world.now).expect("no fault").len(), 1);
    assert!(world.engine.explain(&world.store, "nobody", world.now).expect("no fault").is_empty());
}

#[test]
fn a_report_is_made_again_byte_for_byte() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.submit("signed", "r2", "7");
    world.hear("signed", &signed(&transaction("t1", "r1", "purchase", "success", "12.50")));
    world.pass(days(1));
    let slot = world.engine.report_due(&world.store, world.now).expect("no fault").expect("a report is due");
    let report = world.engine.report(&world.store, slot).expect("no fault");
    let text = report.text();
    assert!(text.contains("12.50 EUR") && text.contains("r2"), "{text}");
    world.turn(|e, d, now| e.reported(d, &report, intake::digest(text.as_bytes()), now));
    assert_eq!(world.engine.report_due(&world.store, world.now).expect("no fault"), None);
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t2", "r2", "purchase", "success", "7")]);
    let (again, sha256) = world.engine.report_again(&world.store, slot).expect("no fault").expect("it was written");
    assert_eq!(again.text(), text);
    assert_eq!((again.csv(), again.json()), (report.csv(), report.json()));
    assert_eq!(intake::digest(again.text().as_bytes()), sha256);
    world.prove();
}

#[test]
fn nobody_is_forgotten_when_a_row_is_lost() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let (key, _) = world.store.range(Table::Due, &[], &[], 1).expect("rows").remove(0);
    let commit = {
        let mut draft = Draft::new(&world.store).expect("a draft");
        draft.delete(Table::Due, key);
        draft.into_commit()
    };
    world.store.commit(commit).expect("a commit");
    let audit = world.engine.audit(&world.store).expect("no fault");
    assert_eq!((audit.forgotten, audit.unexplained), (1, 1), "{audit:#?}");
}

#[test]
fn an_account_whose_lane_is_stopped_holds_up_nobody() {
    let mut world = World::new();
    for n in 0..3_000 {
        world.submit("nvp", &format!("n{n}"), "5");
    }
    world.submit("signed", "r1", "12.50");
    world.pass(hours(1));
    let stopped = |_: PaymentNumber, merchant: &MerchantName| merchant.as_str() == "nvp";
    let looks = world.engine.due(&world.store, world.now, 16, &stopped).expect("no fault");
    assert_eq!(looks.iter().map(|l| l.request_id.as_str()).collect::<Vec<_>>(), ["r1"]);
}

#[test]
fn an_account_that_left_the_configuration_is_missed() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.submit("nvp", "r1", "12.50");
    assert!(world.engine.missing_accounts(&world.store).expect("no fault").is_empty());
    let mut engine = world.engine.clone();
    engine.policy.accounts.remove(&MerchantName::new("nvp").expect("a name"));
    assert_eq!(engine.missing_accounts(&world.store).expect("no fault"), ["nvp"]);
}

#[test]
fn an_answer_about_another_request_says_nothing_about_the_asked_one() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    world.submit("signed", "r2", "8.00");
    world.hear("signed", &signed(&transaction("t2", "r2", "purchase", "success", "8.00")));
    world.pass(hours(2));
    for _ in 0..4 {
        let mut look = world.next_look();
        while look.request_id.as_str() == "r2" {
            world.answer(&look, Outcome::Found, vec![transaction("t2", "r2", "purchase", "success", "8.00")]);
            look = world.next_look();
        }
        world.answer(&look, Outcome::Found, vec![transaction("t2", "r2", "purchase", "success", "8.00")]);
        world.pass(hours(25));
    }
    assert_eq!(world.state("signed", "r1"), "open", "a mixed-up cache must not give a payment up");
    assert_eq!(world.state("signed", "r2"), "paid");
    world.prove();
}

#[test]
fn a_capture_that_one_answer_reports_with_its_hold_is_tied_to_it() {
    let mut world = World::new();
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "h1", "10.00") };
    world.turn(|e, d, now| e.submit(d, hold.clone(), now));
    let capture = Submission {
        transaction_type: Some("capture-authorization".into()),
        order_number: None,
        parent_transaction_id: crate::words::id::TransactionId::new("t1").ok(),
        ..submission("signed", "c1", "10.00")
    };
    world.turn(|e, d, now| e.submit(d, capture.clone(), now));
    let captured = Transaction {
        parent_transaction_id: Some("t1".into()),
        ..transaction("t2", "c1", "capture-authorization", "success", "10.00")
    };
    let look = world.next_look();
    assert_eq!(look.request_id.as_str(), "h1");
    world.answer(&look, Outcome::Found, vec![transaction("t1", "h1", "authorization", "success", "10.00"), captured]);
    assert_eq!(world.state("signed", "h1"), "paid");
    assert_eq!(world.payment("signed", "c1")["follow_up_of"], "h1");
    world.prove();
}

#[test]
fn a_number_that_messages_named_before_the_submission_is_still_asked_about() {
    let mut world = World::new();
    world.hear("md5", &confirmation("SUCCESS", "o1", "1000002", "12.50", Scheme::Md5));
    let number = |text: &str| GatewayOrderNumber::new(text).expect("a number");
    let submission = Submission { gateway_order_number: Some(number("1000001")), ..submission("md5", "o1", "12.50") };
    world.turn(|e, d, now| e.submit(d, submission.clone(), now));
    let look = world.next_look();
    let asked = ["1000001", "1000002"].map(|n| Query::OrderDetails { gateway_order_number: number(n) });
    assert_eq!(look.queries, asked);
    world.prove();
}

#[test]
fn a_capture_heard_of_before_its_submission_is_booked_once() {
    let mut world = World::new();
    let hold = Submission { transaction_type: Some("authorization".into()), ..submission("signed", "h1", "10.00") };
    world.turn(|e, d, now| e.submit(d, hold.clone(), now));
    world.hear("signed", &signed(&transaction("t1", "h1", "authorization", "success", "10.00")));
    let captured = Transaction {
        parent_transaction_id: Some("t1".into()),
        ..transaction("t2", "c1", "capture-authorization", "success", "10.00")
    };
    world.hear("signed", &signed(&captured));
    assert_eq!(world.state("signed", "h1"), "paid");
    let capture = Submission {
        transaction_type: Some("capture-authorization".into()),
        order_number: None,
        parent_transaction_id: crate::words::id::TransactionId::new("t1").ok(),
        ..submission("signed", "c1", "10.00")
    };
    world.turn(|e, d, now| e.submit(d, capture.clone(), now));
    world.hear("signed", &signed(&captured));
    assert_eq!(world.ledger(), ["reserved 10.00 EUR", "in 10.00 EUR"]);
    assert_eq!(world.state("signed", "h1"), "paid");
    assert_eq!(world.state("signed", "c1"), "paid");
    world.prove();
}

#[test]
fn a_look_that_a_message_asked_for_survives_an_outage_even_when_the_payment_is_settled() {
    let mut world = World::new();
    world.submit("nvp", "r1", "12.50");
    let look = world.next_look();
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.state("nvp", "r1"), "paid");
    world.hear("nvp", &wpg::encode::payment_xml(&transaction("t2", "r1", "purchase", "success", "12.50")));
    let look = world.next_look();
    world.answer(&look, Outcome::Unavailable { why: "no answer in time".into(), retry_after: None }, vec![]);
    let again = world.next_look();
    assert_eq!(again.request_id.as_str(), "r1");
    world.prove();
}

#[test]
fn a_deaf_interval_with_many_open_payments_is_swept_block_by_block() {
    let mut world = World::new();
    for n in 0..4_500 {
        world.submit("signed", &format!("r{n}"), "5");
    }
    world.pass(minutes(3));
    let from = world.now;
    world.pass(minutes(1));
    let to = world.now;
    world.turn(|e, d, _| e.deaf(d, from, to, "a test"));
    let swept = |world: &World| {
        let journal = world.engine.journal(&world.store, 0, 100_000).expect("no fault").items;
        journal
            .iter()
            .filter(|r| r["event"] == "swept")
            .map(|r| r["numbers"].as_array().expect("a list").len())
            .collect::<Vec<_>>()
    };
    assert_eq!(swept(&world), [2_000], "one block with the interval itself");
    assert!(world.turn(|e, d, now| e.judge(d, 100, now)).more);
    world.turn(|e, d, now| e.judge(d, 100, now));
    assert!(!world.turn(|e, d, now| e.judge(d, 100, now)).more);
    assert_eq!(swept(&world), [2_000, 2_000, 500]);
    world.prove();
}

#[test]
fn a_cut_own_id_does_not_keep_the_order_number_from_its_payment() {
    let mut world = World::new();
    world.submit("md5", "c10", "5");
    // The digest is genuine: the list has no borders, and the id's last letter moved into the next text.
    world.hear("md5", &confirmation("SUCCESS", "c1", "7000010", "5", Scheme::Md5));
    world.hear("md5", &confirmation("SUCCESS", "c10", "7000010", "5", Scheme::Md5));
    let look = world.due().into_iter().find(|look| look.request_id.as_str() == "c10").expect("it is asked about");
    world.answer(&look, Outcome::Found, details("7000010", "REFUNDABLE", &[("7000010", "payment_closed", "5")]));
    assert_eq!(world.state("md5", "c10"), "paid");
    world.prove();
}

#[test]
fn of_two_requests_that_name_one_order_number_the_submitted_one_gets_it() {
    let mut world = World::new();
    world.hear("md5", &confirmation("SUCCESS", "c1", "7000010", "5", Scheme::Md5));
    world.hear("md5", &confirmation("SUCCESS", "c10", "7000010", "5", Scheme::Md5));
    world.submit("md5", "c10", "5");
    assert_eq!(world.payment("md5", "c10")["gateway_order_number"], "7000010");
    let look = world.due().into_iter().find(|look| look.request_id.as_str() == "c10").expect("it is asked about");
    world.answer(&look, Outcome::Found, details("7000010", "REFUNDABLE", &[("7000010", "payment_closed", "5")]));
    assert_eq!(world.state("md5", "c10"), "paid");
    world.pass(hours(1));
    assert!(world.due().iter().all(|look| look.request_id.as_str() != "c1"), "nobody asks for the other any more");
    world.prove();
}
