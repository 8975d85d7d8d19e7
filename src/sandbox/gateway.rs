//! The gateway's state: payments with their lives, and the queue of messages to be sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::coming::Coming;
use super::life::{Happening, Life, Move, MoveKind, News, Told};
use super::outage::Outage;
use super::prng::Prng;
use super::script::{Fate, Forgery, Plan, Script};
use super::shop::Shop;
use super::truth::{KnownMove, PaymentTruth, Truth};
use super::wishes::Wishes;
use super::{forge, life_checkout, life_wpg, message};
use crate::core::message::{Dialect, Transaction};
use crate::core::submission::Submission;
use crate::wire::wpg::SigningKey;
use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, RequestId};
use crate::words::money::Amount;
use crate::words::time::{Timestamp, later, minutes, seconds};

/// How many sent messages are remembered for people; older ones are forgotten.
pub const SENT_MAX_MESSAGES: usize = 20_000;
/// How many payments one sandbox holds.
pub const PAYMENTS_MAX: usize = 1_000_000;

/// The simulated gateway of both dialects. Pure: it reads no clock and opens no socket.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(super) shops: BTreeMap<MerchantName, Shop>,
    pub(super) payments: BTreeMap<Name, Payment>,
    /// Any id of a transaction (its own, its request-id, its group's root) → whose it is.
    by_id: BTreeMap<String, BTreeSet<Name>>,
    /// `checkout` order number → whose.
    pub(super) by_number: BTreeMap<GatewayOrderNumber, Name>,
    /// `checkout` credit numbers given out or chosen by shops for payouts.
    pub(super) credits: BTreeSet<GatewayOrderNumber>,
    /// `checkout`: fingerprints of requests that asked for a check of duplicates, and when they came.
    pub(super) fingerprints: BTreeMap<String, Timestamp>,
    queue: BTreeMap<(Timestamp, u64), Item>,
    waiting_for_answer: BTreeMap<u64, Item>,
    sent: VecDeque<Sent>,
    pub(super) outages: Vec<Outage>,
    /// The same for what shops send, and whether it is executed all the same.
    pub(super) submission_outages: Vec<(Outage, bool)>,
    /// Scripts for requests that shops will send.
    pub(super) coming: Vec<Coming>,
    /// What the gateway signs XML with, where it has a key.
    signing: Option<Arc<SigningKey>>,
    next_message: u64,
    next_number: u64,
    pub(super) prng: Prng,
}

/// A payment's name at the gateway.
pub type Name = (MerchantName, RequestId);

#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub request: Submission,
    pub script: Script,
    pub plan: Plan,
    pub started: Timestamp,
    pub order_number: Option<OrderNumber>,
    pub amount: Amount,
    pub life: Life,
    /// Gateway order numbers the shop's side has learnt.
    pub learnt: BTreeSet<GatewayOrderNumber>,
    /// What its request wants told, where and how.
    pub wishes: Wishes,
}

/// What a request says beside its submission.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    /// `wpg`: the merchant account id it names; `None`: the account's first.
    pub maid: Option<String>,
    pub wishes: Wishes,
    /// Under which name the gateway keeps it; `None`: under its request-id. `checkout` knows no unique ids of the shop's.
    pub kept_as: Option<RequestId>,
    /// Nothing is told of it later: the answer says it all.
    pub is_told_by_the_answer: bool,
}

/// One message in the queue. Its bytes are made when it is sent.
#[derive(Clone, Debug)]
struct Item {
    name: Name,
    what: What,
    /// Which of the URLs that are told of it, from 0.
    url: usize,
    /// How often it was sent before.
    attempt: u32,
    lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// An index into the payment's news.
    Genuine(usize),
    Forged(Forgery),
}

/// One message to be carried to the shop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Pass it to [`Gateway::delivered`] with what became of it.
    pub id: u64,
    pub at: Timestamp,
    pub merchant: MerchantName,
    pub request_id: RequestId,
    pub dialect: Dialect,
    pub url: String,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// `None`: the gateway's own.
    pub forged: Option<Forgery>,
    pub attempt: u32,
}

/// What became of one message, for people.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Sent {
    pub id: u64,
    pub at: Timestamp,
    pub merchant: MerchantName,
    pub request_id: RequestId,
    pub forged: Option<Forgery>,
    pub outcome: Carried,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// Lost on the way, as planned.
    Lost,
    /// On its way.
    Sent,
    Accepted,
    /// Nobody answered, or not with success.
    NotAccepted,
}

/// What the gateway answers the shop that submits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// `None`: no answer came; the outcome is unknown to the shop.
    pub http_status: Option<u16>,
    pub body: String,
}

/// Why the sandbox does not play a payment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("no shop `{0}` has a contract with this sandbox")]
    UnknownShop(MerchantName),
    /// As the real gateways do (wpg status 400.1018).
    #[error("request-id `{0}` was used before")]
    UsedBefore(RequestId),
    #[error("gateway order number `{0}` was used before")]
    NumberUsedBefore(GatewayOrderNumber),
    #[error("transaction `{0}`, named as parent, is not known here")]
    UnknownParent(String),
    #[error("the sandbox does not play transaction type `{0}`")]
    UnknownType(String),
    #[error("the sandbox holds {PAYMENTS_MAX} payments already")]
    Full,
}

impl Gateway {
    pub fn new(seed: u64, shops: Vec<Shop>) -> Gateway {
        let prng = Prng::new(seed);
        // Seven digits at first, as real numbers have seven to nine.
        let next_number = 1_000_000 + prng.fork("order numbers").below(8_000_000);
        Gateway {
            shops: shops.into_iter().map(|shop| (shop.account.name.clone(), shop)).collect(),
            payments: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_number: BTreeMap::new(),
            credits: BTreeSet::new(),
            fingerprints: BTreeMap::new(),
            queue: BTreeMap::new(),
            waiting_for_answer: BTreeMap::new(),
            sent: VecDeque::new(),
            outages: Vec::new(),
            submission_outages: Vec::new(),
            coming: Vec::new(),
            signing: None,
            next_message: 1,
            next_number,
            prng,
        }
    }

    /// From now on XML notifications of accounts with scheme `xml-dsig` are signed with this key.
    pub fn sign_with(&mut self, key: Arc<SigningKey>) {
        self.signing = Some(key);
    }

    pub fn shops(&self) -> impl Iterator<Item = &Shop> {
        self.shops.values()
    }

    /// Where a shop's notifications go from now on.
    pub fn notify(&mut self, merchant: &MerchantName, url: &str) {
        if let Some(shop) = self.shops.get_mut(merchant) {
            url.clone_into(&mut shop.notify_url);
        }
    }

    /// `checkout` generateOrderNumber: valid for ever, also unused.
    pub fn generate_order_number(&mut self) -> GatewayOrderNumber {
        generate(&mut self.next_number)
    }

    /// The gateway fails to answer questions in this way for a while.
    pub fn outage(&mut self, outage: Outage) {
        self.outages.push(outage);
    }

    /// The gateway fails to answer what shops send, for a while: payments, follow-ups, back-end operations that move
    /// money. `executes`: it does what was asked and the answer alone fails, so that the outcome is unknown to the shop.
    pub fn submission_outage(&mut self, outage: Outage, executes: bool) {
        self.submission_outages.push((outage, executes));
    }

    /// The shop submits. Everything that will become of the payment is decided here.
    pub fn submit(
        &mut self,
        now: Timestamp,
        request: &Submission,
        script: &Script,
        plan: &Plan,
    ) -> Result<Response, NotTaken> {
        let name = self.start(now, request, script, plan, How::default())?;
        Ok(message::response(&self.payments[&name]))
    }

    /// [`Gateway::submit`], for whoever makes an answer of its own.
    pub(super) fn start(
        &mut self,
        now: Timestamp,
        request: &Submission,
        script: &Script,
        plan: &Plan,
        how: How,
    ) -> Result<Name, NotTaken> {
        let shop = self.shops.get(&request.merchant).ok_or_else(|| NotTaken::UnknownShop(request.merchant.clone()))?;
        let name = (request.merchant.clone(), how.kept_as.unwrap_or_else(|| request.request_id.clone()));
        if self.payments.contains_key(&name) {
            return Err(NotTaken::UsedBefore(request.request_id.clone()));
        }
        if self.payments.len() >= PAYMENTS_MAX {
            return Err(NotTaken::Full);
        }
        if let Some(number) = &request.gateway_order_number
            && self.by_number.contains_key(number)
        {
            return Err(NotTaken::NumberUsedBefore(number.clone()));
        }
        let amount = plan.pays_instead.unwrap_or(request.amount);
        let prng = self.prng.fork(&format!("payment {} {}", name.0, name.1));
        let mut order_number = request.order_number.clone();
        let mut life = match shop.wpg() {
            Some(wpg) => {
                let money_type = request.transaction_type.as_deref().unwrap_or("debit");
                if !life_wpg::is_played(money_type) {
                    return Err(NotTaken::UnknownType(money_type.to_owned()));
                }
                let parent = match &request.parent_transaction_id {
                    Some(id) => {
                        let (parent, order) = self
                            .parent(&request.merchant, id.as_str())
                            .ok_or_else(|| NotTaken::UnknownParent(id.to_string()))?;
                        order_number = order_number.or(order);
                        Some(parent)
                    }
                    None => None,
                };
                let first = wpg.merchant_account_ids.first().map_or("", String::as_str);
                let maid = how.maid.as_deref().unwrap_or(first);
                life_wpg::live(now, request, script, amount, parent.as_ref(), maid, prng)
            }
            None => {
                let next = &mut self.next_number;
                life_checkout::live(now, request, script, amount, &mut || generate(next), prng)
            }
        };
        if how.is_told_by_the_answer {
            life.news.clear();
        }
        let learnt = request.gateway_order_number.iter().cloned().collect();
        let payment = Payment {
            request: request.clone(),
            script: script.clone(),
            plan: plan.clone(),
            started: now,
            order_number,
            amount,
            life,
            learnt,
            wishes: how.wishes,
        };
        self.index(&name, &payment);
        self.plan_messages(&name, &payment);
        self.payments.insert(name.clone(), payment);
        Ok(name)
    }

    fn parent(&self, merchant: &MerchantName, id: &str) -> Option<(life_wpg::Parent, Option<OrderNumber>)> {
        let is_it = |t: &&Transaction| t.transaction_id.as_deref() == Some(id);
        let (payment, transaction) =
            self.by_id.get(id)?.iter().filter(|name| name.0 == *merchant).find_map(|name| {
                let payment = &self.payments[name];
                Some((payment, payment.life.transactions.iter().map(|h| &h.transaction).find(is_it)?))
            })?;
        let held = |m: &&Move| m.transaction_id == id && m.kind == MoveKind::Hold;
        let held = payment.life.moves.iter().find(held).map(|m| m.amount);
        let parent = life_wpg::Parent {
            transaction_id: id.to_owned(),
            root: transaction.group_transaction_id.clone().unwrap_or_else(|| id.to_owned()),
            held: held.unwrap_or(Amount::zero(payment.amount.currency())),
        };
        Some((parent, payment.order_number.clone()))
    }

    fn index(&mut self, name: &Name, payment: &Payment) {
        for Happening { transaction: t, .. } in &payment.life.transactions {
            for id in [&t.transaction_id, &t.request_id, &t.group_transaction_id].into_iter().flatten() {
                self.by_id.entry(id.clone()).or_default().insert(name.clone());
            }
        }
        for order in &payment.life.orders {
            self.by_number.insert(order.number.clone(), name.clone());
        }
    }

    fn plan_messages(&mut self, name: &Name, payment: &Payment) {
        let news = &payment.life.news;
        for (index, told) in news.iter().enumerate() {
            for url in 0..payment.wishes.urls(payment.state_told(told), "").len() {
                let item = |lost| Item { name: name.clone(), what: What::Genuine(index), url, attempt: 0, lost };
                match payment.plan.fates.get(index).copied().unwrap_or(Fate::Arrives) {
                    Fate::Arrives => self.enqueue(told.at, item(false)),
                    Fate::Lost => self.enqueue(told.at, item(true)),
                    Fate::Twice { again_after } => {
                        self.enqueue(told.at, item(false));
                        self.enqueue(later(told.at, again_after), item(false));
                    }
                    Fate::Late { by } => self.enqueue(later(told.at, by), item(false)),
                    Fate::Overtaken => {
                        let after_next = news.get(index + 1).map(|next| later(next.at, seconds(1)));
                        self.enqueue(after_next.unwrap_or(later(told.at, minutes(15))), item(false));
                    }
                }
            }
        }
        for forgery in &payment.plan.forgeries {
            let what = What::Forged(forgery.kind);
            self.enqueue(
                later(payment.started, forgery.after),
                Item { name: name.clone(), what, url: 0, attempt: 0, lost: false },
            );
        }
    }

    fn enqueue(&mut self, at: Timestamp, item: Item) {
        let id = self.next_message;
        self.next_message += 1;
        self.queue.insert((at, id), item);
    }

    /// When the next message is to be sent.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The messages to be carried to the shops now, oldest first. Those planned to be lost are only noted.
    pub fn events(&mut self, now: Timestamp) -> Vec<Outgoing> {
        let mut due = Vec::new();
        while let Some(entry) = self.queue.first_entry() {
            let (at, id) = *entry.key();
            if at > now {
                break;
            }
            let item = entry.remove();
            let forged = match item.what {
                What::Genuine(_) => None,
                What::Forged(kind) => Some(kind),
            };
            let merchant = item.name.0.clone();
            let request_id = self.payments[&item.name].request.request_id.clone();
            let outcome = if item.lost { Carried::Lost } else { Carried::Sent };
            self.note(Sent { id, at, merchant: merchant.clone(), request_id: request_id.clone(), forged, outcome });
            if item.lost {
                continue;
            }
            let shop = &self.shops[&merchant];
            let payment = &self.payments[&item.name];
            let (content_type, body) = match item.what {
                What::Genuine(index) => message::notification(shop, payment, index, self.signing.as_deref()),
                What::Forged(kind) => forge::forged(shop, payment, kind, &self.prng.fork(&format!("forgery {id}"))),
            };
            let state = match item.what {
                What::Genuine(index) => payment.state_told(&payment.life.news[index]),
                What::Forged(_) => None,
            };
            let mut urls = payment.wishes.urls(state, &shop.notify_url);
            // A stranger knows where the shop listens, whatever it wants told there.
            let url = if item.url < urls.len() { urls.swap_remove(item.url) } else { shop.notify_url.clone() };
            let (dialect, attempt) = (shop.account.dialect(), item.attempt);
            due.push(Outgoing { id, at, merchant, request_id, dialect, url, content_type, body, forged, attempt });
            self.waiting_for_answer.insert(id, item);
        }
        due
    }

    /// What became of a message: `accepted` is a 2xx answer, and for `checkout` one with the OK token.
    pub fn delivered(&mut self, now: Timestamp, id: u64, accepted: bool) {
        let Some(item) = self.waiting_for_answer.remove(&id) else { return };
        if let Some(sent) = self.sent.iter_mut().rev().find(|sent| sent.id == id) {
            sent.outcome = if accepted { Carried::Accepted } else { Carried::NotAccepted };
        }
        let What::Genuine(index) = item.what else { return };
        let Some(payment) = self.payments.get_mut(&item.name) else { return };
        if accepted {
            if let Told::Confirmation { number: Some(number), .. } = &payment.life.news[index].what {
                payment.learnt.insert(number.clone());
            }
            return;
        }
        let waits = &self.shops[&item.name.0].redeliver_after;
        if let Some(wait) = waits.get(item.attempt as usize).copied() {
            self.enqueue(later(now, wait), Item { attempt: item.attempt + 1, ..item });
        }
    }

    fn note(&mut self, sent: Sent) {
        if self.sent.len() >= SENT_MAX_MESSAGES {
            self.sent.pop_front();
        }
        self.sent.push_back(sent);
    }

    /// The last messages, oldest first, with what became of them.
    pub fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter()
    }

    /// The transaction-id under which a `wpg` payment's success can be referred to by a follow-up.
    pub fn paid_transaction(&self, merchant: &MerchantName, request_id: &RequestId) -> Option<String> {
        let payment = self.payments.get(&(merchant.clone(), request_id.clone()))?;
        payment.life.moves.first().map(|m| m.transaction_id.clone())
    }

    /// The truth about every order at a moment, sorted by merchant and order number.
    pub fn truths(&self, now: Timestamp) -> Vec<Truth> {
        let mut orders: BTreeMap<(MerchantName, OrderNumber), Vec<PaymentTruth>> = BTreeMap::new();
        for ((merchant, _), payment) in &self.payments {
            let Some(order_number) = &payment.order_number else { continue };
            orders.entry((merchant.clone(), order_number.clone())).or_default().push(payment.truth(now));
        }
        let truth = |((merchant, order_number), payments)| Truth { merchant, order_number, payments };
        orders.into_iter().map(truth).collect()
    }

    /// The truth about the payments that belong to no order number, by merchant.
    pub fn truths_without_order(&self, now: Timestamp) -> Vec<(MerchantName, PaymentTruth)> {
        let unnumbered = self.payments.iter().filter(|(_, payment)| payment.order_number.is_none());
        unnumbered.map(|((merchant, _), payment)| (merchant.clone(), payment.truth(now))).collect()
    }

    /// The truth about one payment; `None`: it never reached this gateway.
    pub fn payment_truth(
        &self,
        merchant: &MerchantName,
        request_id: &RequestId,
        now: Timestamp,
    ) -> Option<PaymentTruth> {
        self.payments.get(&(merchant.clone(), request_id.clone())).map(|payment| payment.truth(now))
    }

    /// The truth about one order.
    pub fn truth(&self, merchant: &MerchantName, order_number: &OrderNumber, now: Timestamp) -> Option<Truth> {
        self.truths(now).into_iter().find(|t| t.merchant == *merchant && t.order_number == *order_number)
    }

    /// Every payment with its script and start, oldest first.
    pub fn payments(&self) -> Vec<(&Submission, &Script, Timestamp)> {
        let mut all: Vec<_> = self.payments.values().map(|p| (&p.request, &p.script, p.started)).collect();
        all.sort_by_key(|(_, _, started)| *started);
        all
    }

    /// The `wpg` transactions of any account that exist at a moment, have this id somewhere, and fit.
    pub(super) fn transactions(
        &self,
        now: Timestamp,
        id: &str,
        fits: impl Fn(&Transaction) -> bool,
    ) -> Vec<Transaction> {
        let names = self.by_id.get(id).into_iter().flatten();
        let happenings = names.flat_map(|name| &self.payments[name].life.transactions);
        let mut found: Vec<_> = happenings.filter(|h| h.at <= now && fits(&h.transaction)).collect();
        found.sort_by_key(|h| h.at);
        found.into_iter().map(|h| h.transaction.clone()).collect()
    }
}

fn generate(next: &mut u64) -> GatewayOrderNumber {
    *next += 7;
    GatewayOrderNumber::new(&next.to_string()).expect("a number of at most 20 digits, kept to nine by PAYMENTS_MAX")
}

impl Payment {
    /// The state of the transaction that a notification tells of, as requests choose by it. `None`: it tells of none.
    fn state_told(&self, news: &News) -> Option<&str> {
        match &news.what {
            Told::Transaction(at) => self.life.transactions[*at].transaction.transaction_state.as_deref(),
            Told::Confirmation { .. } => None,
        }
    }

    fn truth(&self, now: Timestamp) -> PaymentTruth {
        let known = |m: &Move| m.number.as_ref().is_none_or(|number| self.learnt.contains(number));
        let part = |wanted: bool| {
            let moves = self.life.moves.iter().filter(|m| m.at <= now && known(m) == wanted);
            moves
                .map(|m| KnownMove {
                    at: m.at,
                    kind: m.kind,
                    amount: m.amount,
                    transaction_id: m.transaction_id.clone(),
                })
                .collect()
        };
        PaymentTruth {
            request_id: self.request.request_id.clone(),
            script: self.script.name(),
            askable: self.life.orders.is_empty() || !self.learnt.is_empty(),
            moves: part(true),
            hidden: part(false),
        }
    }
}
