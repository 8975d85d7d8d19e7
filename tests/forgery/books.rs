//! The whole way through the engine: forgeries are kept, judged and looked into, and the books stand as if none had
//! come. A world that hears nothing but time stands beside the one that is attacked.

use std::collections::BTreeMap;
use std::io::Write as _;

use reconciled::core::look::{Answer, Look, Outcome, Query};
use reconciled::core::message::Transaction;
use reconciled::core::payment::Payment;
use reconciled::core::policy::{AlertPolicy, Keeping, Policy, ReportPolicy};
use reconciled::core::schedule::{Schedule, Watch};
use reconciled::core::submission::Submission;
use reconciled::engine::{Engine, Incoming, Kept, books};
use reconciled::sandbox::prng::Prng;
use reconciled::store::memory::Memory;
use reconciled::store::{Draft, Fault, Row, Table, View, journal_len};
use reconciled::words::id::{GatewayOrderNumber, OrderNumber, PaymentNumber, RequestId};
use reconciled::words::time::{Now, SignedDuration, later};

use super::forgeries;
use super::genuine::{Counts, Genuine, SHOPS, Shop, amount, gateway_order, keys, messages, request_ids, said};
use super::mutate::forge;

/// Messages of one run.
const MESSAGES: usize = 200_000;
/// Messages kept and judged in one turn.
const TURN: usize = 100;
/// Time between two turns; the whole attack takes a quarter of an hour for every 12,000 messages.
const TURN_TAKES: SignedDuration = SignedDuration::from_millis(7_500);
/// Turns between two comparisons of the books.
const COMPARED_EVERY: usize = 150;
/// A hint brings at most one look in this time.
const HINT_APART: SignedDuration = SignedDuration::from_mins(10);

#[derive(Clone)]
struct World {
    engine: Engine,
    store: Memory,
    now: Now,
    /// Looks taken, by payment.
    looks: BTreeMap<PaymentNumber, u64>,
}

impl World {
    /// Accounts, submissions, and the genuine messages, all heard and settled: every look they bring is over.
    fn new(all: &[Genuine]) -> World {
        let accounts = SHOPS.iter().map(|shop| (shop.merchant(), shop.account())).collect();
        let policy = Policy {
            accounts,
            schedule: Schedule::default(),
            alerts: AlertPolicy::default(),
            report: ReportPolicy::default(),
            keeping: Keeping { ring_slots: 256, ..Keeping::default() },
            relays: BTreeMap::new(),
        };
        let now = Now::both("2026-03-02T09:00:00Z".parse().expect("a time"));
        let engine = Engine { policy, keys: keys() };
        let mut world = World { engine, store: Memory::default(), now, looks: BTreeMap::new() };
        world.turn(|engine, draft, now| engine.started(draft, now));
        for shop in &SHOPS {
            for request_id in request_ids(shop) {
                let submission = submission(shop, &request_id);
                world.turn(|engine, draft, now| engine.submit(draft, submission, now));
            }
        }
        world.hear(all.iter().map(|genuine| (genuine.shop, genuine.body.clone().into_bytes())));
        for _ in 0..400 {
            world.pass(TURN_TAKES);
        }
        world
    }

    fn turn<T>(&mut self, act: impl FnOnce(&Engine, &mut Draft, Now) -> Result<T, Fault>) -> T {
        let (outcome, commit) = {
            let mut draft = Draft::new(&self.store).expect("a draft");
            let outcome = act(&self.engine, &mut draft, self.now).expect("nothing a stranger sends is a fault");
            (outcome, draft.into_commit())
        };
        self.store.commit(commit).expect("a commit");
        outcome
    }

    fn hear(&mut self, messages: impl IntoIterator<Item = (usize, Vec<u8>)>) {
        self.turn(|engine, draft, now| {
            let mut count = 0;
            for (shop, body) in messages {
                let merchant = SHOPS[shop].merchant();
                let kept = engine.receive(draft, Incoming { merchant, body, content_type: None, way: "http" }, now)?;
                assert!(matches!(kept, Kept::Kept { .. }));
                count += 1;
            }
            engine.judge(draft, count, now)
        });
    }

    /// Time passes; what is due is asked, and the gateway says what it always said.
    fn pass(&mut self, by: SignedDuration) {
        self.now = Now { wall: later(self.now.wall, by), steady: later(self.now.steady, by) };
        let of = |merchant| self.engine.due(&self.store, self.now, merchant, 1_000, 0, &|_| false).expect("no fault");
        let due: Vec<_> = self.engine.policy.accounts.keys().flat_map(of).collect();
        for look in due {
            *self.looks.entry(look.number).or_default() += 1;
            let answers = truth(&look);
            self.turn(|engine, draft, now| engine.answered(draft, &look, &answers, now));
        }
        self.turn(|engine, draft, now| engine.tick(draft, now));
    }

    /// Everything the books say. Left out is what a hint may touch: when to look next, counters, what an unverified
    /// message claims.
    fn books(&self) -> (Vec<Payment>, Vec<(Table, Vec<Row>)>) {
        let rows = |table| self.store.range(table, &[], &[], usize::MAX).expect("rows");
        let calm = |(key, _): Row| {
            let number = books::as_u64(Table::Payments, &key, &key).expect("a number");
            let payment = books::payment_at(&self.store, PaymentNumber(number)).expect("a payment");
            let watch = Watch::new(payment.watch.since, payment.watch.since);
            let reason = payment.reason.split("; claimed").next().unwrap_or_default().to_owned();
            Payment { watch, reason, next: None, claim: None, digests: Vec::new(), unverified: 0, ..payment }
        };
        let tables = [
            Table::ByRequest,
            Table::ByTransaction,
            Table::ByOrder,
            Table::ByGatewayOrder,
            Table::Open,
            Table::Ledger,
            Table::LedgerByDay,
            Table::LedgerByOrder,
            Table::DiscrepanciesByDay,
        ];
        (rows(Table::Payments).into_iter().map(calm).collect(), tables.map(|table| (table, rows(table))).to_vec())
    }
}

fn submission(shop: &Shop, request_id: &str) -> Submission {
    let is_wpg = !shop.is_checkout();
    let is_silent = request_id.contains("-silent-");
    let gateway_order_number = (shop.is_checkout() && !is_silent)
        .then(|| GatewayOrderNumber::new(&gateway_order(shop, request_id)).expect("a number"));
    Submission {
        merchant: shop.merchant(),
        request_id: RequestId::new(request_id).expect("an id"),
        order_number: OrderNumber::new(&format!("order-{request_id}")).ok(),
        transaction_type: is_wpg.then(|| "purchase".to_owned()),
        amount: amount(shop, request_id),
        payment_method: is_wpg.then(|| "creditcard".to_owned()),
        parent_transaction_id: None,
        gateway_order_number,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    }
}

/// What the gateway answers, whoever asks and however often. Of a payment it knows nothing of it says nothing.
fn truth(look: &Look) -> Vec<Answer> {
    look.queries.iter().map(|query| answer(look, query)).collect()
}

fn answer(look: &Look, query: &Query) -> Answer {
    let shop = SHOPS.iter().find(|shop| shop.merchant() == look.merchant).expect("one of the shops");
    let transactions: Vec<Transaction> = match query {
        Query::RequestId { request_id, .. } | Query::Search { request_id, .. } => {
            said(shop, request_id.as_str()).into_iter().collect()
        }
        Query::TransactionId { transaction_id, .. } => request_ids(shop)
            .iter()
            .filter_map(|id| said(shop, id))
            .filter(|t| t.transaction_id.as_deref() == Some(transaction_id.as_str()))
            .collect(),
        Query::Group { .. } | Query::Category { .. } => Vec::new(),
        Query::OrderDetails { gateway_order_number } => {
            let asked = gateway_order_number.as_str();
            let known = request_ids(shop).into_iter().find(|id| gateway_order(shop, id) == asked);
            known.map(|id| order(shop, &id)).unwrap_or_default()
        }
    };
    let outcome = if transactions.is_empty() {
        Outcome::Unavailable { why: "no word on it yet".to_owned(), retry_after: None }
    } else {
        Outcome::Found
    };
    Answer { query: query.clone(), outcome, transactions, digest: None }
}

/// getOrderDetails of a payment: captured, but for the one that is pending.
fn order(shop: &Shop, request_id: &str) -> Vec<Transaction> {
    let number = gateway_order(shop, request_id);
    let text = |text: &str| Some(text.to_owned());
    let order = Transaction {
        transaction_id: Some(format!("order:{number}")),
        transaction_type: text("order"),
        transaction_state: text(if request_id.contains("-pending-") { "unresolved" } else { "ORDERED" }),
        amount: Some(amount(shop, request_id).into()),
        ..Transaction::default()
    };
    if request_id.contains("-pending-") {
        return vec![order];
    }
    let payment = Transaction {
        transaction_id: Some(format!("payment:{number}")),
        parent_transaction_id: order.transaction_id.clone(),
        transaction_type: text("payment"),
        transaction_state: text("payment_deposited"),
        amount: Some(amount(shop, request_id).into()),
        ..Transaction::default()
    };
    vec![order, payment]
}

#[test]
fn no_forgery_moves_the_books_and_looks_stay_within_the_bound() {
    let all = messages();
    let settled = World::new(&all);
    let states: Vec<String> =
        settled.books().0.iter().map(|p| format!("{} {}", p.request_id, p.state.name())).collect();
    assert_eq!(settled.books().0.len(), SHOPS.len() * 5, "{states:?}");
    assert!(!settled.store.range(Table::Ledger, &[], &[], 1).expect("rows").is_empty());

    let (mut attacked, mut calm) = (settled.clone(), settled);
    let mut prng = Prng::new(0x5EED_2026).fork("books");
    let mut sent = Counts::new();
    let before = journal_len(&attacked.store).expect("a length");
    let turns = forgeries(MESSAGES) / TURN;
    let (looks_before, started) = (attacked.looks.clone(), attacked.now);
    for turn in 1..=turns {
        let forged: Vec<_> = (0..TURN).map(|_| forge(&all, &mut prng)).map(|f| (f.shop, f.body)).collect();
        for (shop, _) in &forged {
            *sent.entry(SHOPS[*shop].name).or_default() += 1;
        }
        attacked.hear(forged);
        attacked.pass(TURN_TAKES);
        calm.pass(TURN_TAKES);
        if turn % COMPARED_EVERY == 0 || turn == turns {
            let ((payments, tables), (expected, expected_tables)) = (attacked.books(), calm.books());
            for (payment, expected) in payments.iter().zip(&expected) {
                assert_eq!(payment, expected, "turn {turn}");
            }
            assert_eq!(payments.len(), expected.len(), "turn {turn}: a payment nobody submitted");
            assert!(tables == expected_tables, "turn {turn}: {tables:?}");
        }
    }
    // The looks that time alone brings, and one for every ten minutes of the attack.
    let lasted = attacked.now.steady.duration_since(started.steady).as_secs();
    let hints_max = lasted as u64 / HINT_APART.as_secs() as u64 + 1;
    let taken = |world: &World, number| world.looks.get(number).copied().unwrap_or_default();
    let mut looks = 0;
    for number in attacked.looks.keys() {
        let brought = taken(&attacked, number) - looks_before.get(number).copied().unwrap_or_default();
        let due_anyway = taken(&calm, number) - looks_before.get(number).copied().unwrap_or_default();
        assert!(brought <= due_anyway + hints_max, "{number}: {brought} looks, {due_anyway} without the attack");
        looks += brought.saturating_sub(due_anyway);
    }
    let grown = journal_len(&attacked.store).expect("a length") - before;
    let _ = writeln!(
        std::io::stderr(),
        "through the engine: {} messages {sent:?} in {} min: 0 changes of the books, {looks} looks brought about, at most {hints_max} each; {grown} journal records",
        turns * TURN,
        lasted / 60,
    );
    assert!(looks > 0, "hints must bring some look forward");
    let audit = attacked.engine.audit(&attacked.store).expect("no fault");
    assert!(audit.is_clean(), "{audit:#?}");
}
