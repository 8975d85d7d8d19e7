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

mod paying;
mod forged;
mod confirmed;
mod looking;
mod telling;
mod doubts;
mod imports;
mod relays;
mod relay_bodies;
mod passed;
mod operations;
mod stated;
mod payouts;

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
        let of = |merchant| self.engine.due(&self.store, self.now, merchant, 100, 0, &|_| false).expect("no fault");
        self.engine.policy.accounts.keys().flat_map(of).collect()
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
