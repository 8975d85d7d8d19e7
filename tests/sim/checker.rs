//! What must hold at all times, and what must hold in the end. The gateway's truth is the oracle,
//! never our own state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reconciled::core::booking::Kind;
use reconciled::core::ledger::Entry;
use reconciled::core::lifecycle::State;
use reconciled::core::payment::Payment;
use reconciled::core::record::{Event, Record, Weight};
use reconciled::engine::audit::Audit;
use reconciled::engine::{Engine, books};
use reconciled::sandbox::{Gateway, KnownMove, MoveKind, PaymentTruth};
use reconciled::store::{Fault, Table, View, journal_len};
use reconciled::words::id::{MerchantName, PaymentNumber, RequestId};
use reconciled::words::money::Amount;
use reconciled::words::time::{Now, Timestamp, minutes, seconds};
use sha2::{Digest, Sha256};

use crate::shop::Order;

/// Looks at one payment within [`RATE_SPAN`]: the warm rungs, one for hints, retries, restarts.
const RATE_MAX_LOOKS: usize = 14;
const RATE_SPAN_MINUTES: i64 = 10;

#[derive(Default)]
pub struct Checker {
    pub findings: Vec<String>,
    journal_seen: u64,
    ledger_seen: u64,
    /// Digests of acknowledged notifications that no record was seen for yet.
    unseen: BTreeSet<String>,
    looks: BTreeMap<PaymentNumber, VecDeque<Timestamp>>,
    /// Records of requests that were sent again and begin anew.
    pub again: u64,
    /// Requests that the journal says passed unkept: kept late, and lost.
    pub unkept: (u64, u64),
    pub records: u64,
    pub entries: u64,
}

/// What the checker knows of the world besides the books.
pub struct Outside<'w> {
    pub engine: &'w Engine,
    pub gateway: &'w Gateway,
    pub orders: &'w [Order],
    pub by_request: &'w BTreeMap<(MerchantName, RequestId), usize>,
    pub t: Timestamp,
    pub now: Now,
}

impl Outside<'_> {
    pub fn order(&self, payment: &Payment) -> Option<usize> {
        self.by_request.get(&(payment.merchant.clone(), payment.request_id.clone())).copied()
    }

    /// The truth about a payment: what can be known and what is hidden, together.
    pub fn truth(&self, order: usize) -> Option<PaymentTruth> {
        let order = &self.orders[order];
        let mut truth = self.gateway.payment_truth(order.merchant(), order.request_id(), self.t)?;
        truth.moves.append(&mut truth.hidden);
        Some(truth)
    }

    /// All moves of a payment, its follow-ups, and the operations that passed the proxy.
    pub fn moves(&self, order: usize) -> Vec<KnownMove> {
        let own = std::iter::once(order).chain(self.orders[order].follow_ups.iter().copied());
        let truths = own.filter_map(|n| self.truth(n));
        let order = &self.orders[order];
        let of_operation = |id| self.gateway.payment_truth(order.merchant(), id, self.t);
        truths.chain(order.operations.iter().filter_map(of_operation)).flat_map(|t| t.moves).collect()
    }
}

pub fn hex(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect()
}

impl Checker {
    pub fn find(&mut self, what: String) {
        if self.findings.len() < 20 {
            self.findings.push(what);
        }
    }

    /// A notification was thanked for.
    pub fn thanked(&mut self, body: &[u8]) {
        self.unseen.insert(hex(body));
    }

    /// Looks at everything that is new since the last time.
    pub fn watch(&mut self, view: &dyn View, outside: &Outside) -> Result<(), Fault> {
        let length = journal_len(view)?;
        if length < self.journal_seen {
            self.find(format!("the journal had {} records and has {length}", self.journal_seen));
        }
        let mut touched = BTreeSet::new();
        for sequence in self.journal_seen + 1..=length {
            let record = books::record(view, sequence)?;
            self.records += 1;
            touched.extend(record.event.payment());
            match &record.event {
                Event::Notified(notified) => {
                    self.unseen.remove(&notified.digest);
                }
                Event::Looked { number, .. } => self.looked(*number, &record),
                Event::Again { .. } => self.again += 1,
                Event::Unkept(unkept) => {
                    self.unkept.0 += unkept.kept_late;
                    self.unkept.1 += unkept.lost;
                }
                _ => {}
            }
        }
        self.journal_seen = length;
        for number in touched {
            let payment = books::payment_at(view, number)?;
            let root = payment.root;
            self.payment(&payment, outside);
            if let Some(root) = root {
                self.payment(&books::payment_at(view, root)?, outside);
            }
        }
        loop {
            let entries = books::entries(view, self.ledger_seen, 500)?;
            let Some(last) = entries.last() else { return Ok(()) };
            self.ledger_seen = last.seq;
            for entry in &entries {
                self.entries += 1;
                self.entry(view, entry, outside)?;
            }
        }
    }

    fn looked(&mut self, number: PaymentNumber, record: &Record) {
        let at = record.now.steady;
        let looks = self.looks.entry(number).or_default();
        looks.push_back(at);
        while looks.front().is_some_and(|first| at.duration_since(*first) > minutes(RATE_SPAN_MINUTES)) {
            looks.pop_front();
        }
        if looks.len() > RATE_MAX_LOOKS {
            let count = looks.len();
            self.find(format!("payment {number} was looked at {count} times within {RATE_SPAN_MINUTES} minutes"));
        }
    }

    /// What a payment may be at any time, whatever went wrong.
    fn payment(&mut self, payment: &Payment, outside: &Outside) {
        let id = format!("payment {} ({} {})", payment.number, payment.merchant, payment.request_id);
        if payment.is_orphan() {
            if payment.known.iter().any(|k| k.booked.is_some()) {
                self.find(format!("{id}: nobody submitted it, and it is booked"));
            }
            return;
        }
        let Some(n) = outside.order(payment) else {
            return self.find(format!("{id}: no shop submitted it"));
        };
        let order = &outside.orders[n];
        if payment.next.is_none() && payment.desk.is_none() && !payment.state.is_settled() {
            self.find(format!("{id} is {} without a next look or a desk", payment.state.name()));
        }
        if payment.submission.as_ref().is_some_and(|s| s.amount != order.submission.amount) {
            self.find(format!("{id}: the first submission was changed"));
        }
        let moves = outside.moves(n);
        let has = |kind: MoveKind| moves.iter().any(|m| m.kind == kind);
        let asked = order.submission.amount;
        match payment.state {
            State::Paid | State::PaidProvisional => {
                if !moves.iter().any(|m| m.kind == MoveKind::In && m.amount == asked) {
                    let truth = format!("{:?}", moves);
                    self.find(format!("{id} is {} with {asked}; the truth is {truth}", payment.state.name()));
                }
            }
            State::Reserved | State::Accepted => {
                let fits = |m: &&KnownMove| matches!(m.kind, MoveKind::Hold | MoveKind::In) && m.amount == asked;
                if !moves.iter().any(|m| fits(&m)) {
                    self.find(format!("{id} is {} with {asked}; the truth is {moves:?}", payment.state.name()));
                }
            }
            State::Failed => {
                if !order.may_fail() {
                    self.find(format!("{id} is failed, and the gateway never decided that ({})", order.script.name()));
                }
            }
            State::Cancelled => {
                if !order.may_fail() && !has(MoveKind::Release) {
                    self.find(format!("{id} is cancelled, and nobody did that ({})", order.script.name()));
                }
            }
            State::Returned | State::Refunded => {
                if !has(MoveKind::Out) {
                    self.find(format!("{id} is {}, and no money went back", payment.state.name()));
                }
            }
            State::UnfinishedProvisional | State::Unfinished => self.given_up(&id, payment, n, outside),
            State::Open | State::HandedOver => {}
        }
    }

    /// A payment is given up only if the gateway, when it was asked last, had nothing for it.
    fn given_up(&mut self, id: &str, payment: &Payment, n: usize, outside: &Outside) {
        let Some(looked) = payment.watch.looked_at else {
            return self.find(format!("{id} is given up and was never looked at"));
        };
        if payment.watch.agreed.len() < 2 {
            self.find(format!("{id} is given up after {} agreeing looks", payment.watch.agreed.len()));
        }
        let is_checkout = payment.gateway_order_number.is_some();
        let method = outside.engine.policy.schedule.method(is_checkout, payment.method.as_deref());
        let sent = outside.orders[n].passing.as_ref().and_then(|passing| passing.sent_at);
        if let (Some(sent), Some(window), Some(last)) = (sent, method.window, payment.watch.agreed.last())
            && last.duration_since(sent) < window
        {
            self.find(format!("{id} was sent at {sent} and given up at {last}; its method takes {window:#}"));
        }
        // Only where the look was just now do our clocks tell the same time as the gateway's.
        let order = &outside.orders[n];
        let just_now = outside.now.steady.duration_since(looked) <= seconds(60);
        let before = outside.t.checked_sub(seconds(120)).unwrap_or(outside.t);
        let truth = outside.gateway.payment_truth(order.merchant(), order.request_id(), before);
        // `checkout` lists no hold that was given back.
        let is_given_back = |t: &PaymentTruth| {
            let of = |kind: MoveKind| t.moves.iter().filter(|m| m.kind == kind).count();
            t.moves.iter().all(|m| m.transaction_id.starts_with("payment:"))
                && of(MoveKind::Hold) == of(MoveKind::Release)
                && of(MoveKind::In) == 0
        };
        let had = truth.is_some_and(|t| !t.moves.is_empty() && !is_given_back(&t));
        if had && just_now && payment.watch.agreed.last() == Some(&looked) {
            self.find(format!("{id} is given up by a look that should have found its money"));
        }
    }

    /// Every ledger entry has one cause, and the gateway's truth behind it.
    fn entry(&mut self, view: &dyn View, entry: &Entry, outside: &Outside) -> Result<(), Fault> {
        let id = format!("ledger entry {} ({} {} {})", entry.seq, entry.request_id, entry.kind.name(), entry.amount);
        let cause = books::record(view, entry.evidence)?;
        match &cause.event {
            Event::Notified(n) if n.weight != Weight::Fact => {
                self.find(format!("{id} comes from a message of weight {:?}", n.weight));
            }
            Event::Notified(_) | Event::Looked { .. } | Event::Submitted { .. } => {}
            other => self.find(format!("{id} comes from {:?}", other.payment())),
        }
        if let Some(reversed) = entry.reverses {
            let was = books::entries(view, reversed - 1, 1)?;
            let fits = was.first().is_some_and(|was| {
                was.amount.negated() == entry.amount
                    && was.kind == entry.kind
                    && was.transaction_id == entry.transaction_id
            });
            if !fits {
                self.find(format!("{id} reverses {reversed}, which says something else"));
            }
            return Ok(());
        }
        let key = (entry.merchant.clone(), entry.request_id.clone());
        let Some(n) = outside.by_request.get(&key) else {
            self.find(format!("{id}: no shop submitted it"));
            return Ok(());
        };
        let moves = outside.moves(*n);
        if !moves.iter().any(|m| stands_for(entry.kind, entry.transaction_id.as_str(), entry.amount, m)) {
            self.find(format!("{id} for {} is not in the truth: {moves:?}", entry.transaction_id));
        }
        Ok(())
    }

    /// After a start: nothing that was thanked for is missing, nobody is forgotten.
    pub fn after_start(&mut self, view: &dyn View, outside: &Outside) -> Result<(), Fault> {
        self.watch(view, outside)?;
        for order in outside.orders.iter().filter(|o| o.is_kept) {
            let kept = books::by_request(view, order.merchant(), order.request_id().as_str())?;
            let kept = kept.map(|n| books::payment_at(view, n)).transpose()?;
            let Some(kept) = kept.and_then(|p| p.submission) else {
                self.find(format!("submission {} was acknowledged and is gone", order.request_id()));
                continue;
            };
            let seen = order.passing.as_ref().and_then(|passing| passing.seen.as_ref()).filter(|_| !order.is_told);
            let says = |submission| kept.same_content(submission);
            if !(says(&order.submission) || seen.is_some_and(|seen| says(&seen.submission))) {
                self.find(format!("submission {} was acknowledged as another", order.request_id()));
            }
        }
        let waiting = waiting(view)?;
        for (_, body) in &waiting {
            self.unseen.remove(&hex(body));
        }
        for lost in std::mem::take(&mut self.unseen) {
            self.find(format!("a notification with digest {lost} was acknowledged and is gone"));
        }
        // What waits is not judged yet: it must still be there after the next start.
        self.unseen.extend(waiting.iter().filter(|(table, _)| *table == Table::Inbox).map(|(_, body)| hex(body)));
        self.booked(view)?;
        self.nobody_forgotten(view, outside.engine)
    }

    /// What payments say is booked stands in the ledger.
    fn booked(&mut self, view: &dyn View) -> Result<(), Fault> {
        for (key, bytes) in view.range(Table::Payments, &[], &[], usize::MAX)? {
            let payment: Payment = books::parse(Table::Payments, &key, &bytes)?;
            for booked in payment.known.iter().filter_map(|k| k.booked) {
                let entry = books::entries(view, booked.seq - 1, 1)?;
                if entry.first().is_none_or(|e| e.seq != booked.seq || e.amount != booked.amount) {
                    self.find(format!("payment {} is booked under {}, which is not there", payment.number, booked.seq));
                }
            }
        }
        Ok(())
    }

    /// Promise 2.
    pub fn nobody_forgotten(&mut self, view: &dyn View, engine: &Engine) -> Result<(), Fault> {
        let mut audit = Audit::default();
        engine.nothing_forgotten(view, &mut audit)?;
        for finding in audit.findings {
            self.find(finding);
        }
        Ok(())
    }
}

/// The bodies that wait to be judged, and those in the ring. A row is the length of its envelope
/// (u32), the envelope and the body.
fn waiting(view: &dyn View) -> Result<Vec<(Table, Vec<u8>)>, Fault> {
    let mut all = Vec::new();
    for table in [Table::Inbox, Table::Ring] {
        for (key, row) in view.range(table, &[], &[], usize::MAX)? {
            let damaged = || Fault::damaged(table, &key, "shorter than it says");
            let (length, rest) = row.split_first_chunk::<4>().ok_or_else(damaged)?;
            let body = rest.get(u32::from_be_bytes(*length) as usize..).ok_or_else(damaged)?;
            all.push((table, body.to_vec()));
        }
    }
    Ok(all)
}

/// Whether an entry of this kind, transaction and amount stands for that move of money.
pub fn stands_for(kind: Kind, id: &str, amount: Amount, money: &KnownMove) -> bool {
    let number = id.strip_prefix("confirmation order:").map(|n| format!("payment:{n}"));
    let is_it = money.transaction_id == number.as_deref().unwrap_or(id) && money.amount == amount;
    is_it
        && match kind {
            Kind::Accepted => matches!(money.kind, MoveKind::Hold | MoveKind::In),
            Kind::Reserved => money.kind == MoveKind::Hold,
            Kind::Released => money.kind == MoveKind::Release,
            Kind::InProvisional | Kind::In => money.kind == MoveKind::In,
            Kind::Refund | Kind::Return | Kind::Chargeback | Kind::Credit => money.kind == MoveKind::Out,
        }
}
