//! Scripts played on the Wirecard Payment Gateway: which transactions arise, under which ids.

use rust_decimal::Decimal;

use super::life::{Happening, Life, Move, MoveKind, News, Told};
use super::prng::Prng;
use super::script::{Ending, Script};
use crate::core::message::{Status, Transaction};
use crate::core::submission::Submission;
use crate::words::money::{Amount, StatedAmount};
use crate::words::time::{SignedDuration, Timestamp, later, minutes, seconds};

/// Where a submission attaches: what the gateway knows of the transaction it refers to.
#[derive(Clone, PartialEq, Debug)]
pub struct Parent {
    pub transaction_id: String,
    pub root: String,
    /// What of the parent's amount is still held when the follow-up comes.
    pub held: Amount,
}

/// Lays a payment's life out. `amount` is what really moves; `maid` the account that handles it.
pub fn live(
    started: Timestamp,
    request: &Submission,
    script: &Script,
    amount: Amount,
    parent: Option<&Parent>,
    maid: &str,
    mut ids: Prng,
) -> Life {
    let mut stage = Stage { started, request, amount, maid, life: Life::default(), step: None, parent, ids: &mut ids };
    match script {
        Script::NeverStarted => {}
        Script::Abandoned { .. } => stage.open(),
        Script::Cancelled { after } => {
            stage.open();
            stage.finish(*after, "failed", CANCELLED);
        }
        Script::Failed { after } => {
            stage.open();
            stage.finish(*after, "failed", DECLINED);
        }
        // A wire transfer's authorization only announces the money.
        Script::Reserved { .. } if stage.is_wire() => stage.open(),
        Script::Success { after } | Script::Reserved { after } => {
            stage.open();
            stage.finish(*after, "success", DONE);
        }
        Script::Pending { lasts, then } => {
            stage.open();
            if !stage.is_sepa() {
                stage.finish(minutes(2).min(*lasts), "in-progress", IN_PROGRESS);
            }
            match then {
                Ending::Success => stage.finish(*lasts, "success", DONE),
                Ending::Failed => stage.finish(*lasts, "failed", DECLINED),
            };
        }
        Script::FailedThenSuccess { failed_after, success_after } => {
            stage.open();
            stage.finish(*failed_after, "failed", DECLINED);
            stage.finish(*success_after, "success", DONE);
        }
        Script::ProviderSilence { after, success_after } => {
            stage.open();
            stage.finish(*after, "failed", SILENT);
            stage.finish(*success_after, "success", DONE);
        }
        Script::PaidTwice { after, again_after } => {
            stage.open();
            stage.finish(*after, "success", DONE);
            stage.finish(*again_after, "success", DONE);
        }
        Script::Captured { after, deposit_after } => {
            stage.open();
            let held = stage.finish(*after, "success", DONE);
            stage.by_staff(*deposit_after, "capture-authorization", &held);
        }
        Script::Returned { after, return_after } => {
            stage.open();
            let paid = stage.finish(*after, "success", DONE);
            let request_id = format!("{}-debit-return", request.request_id);
            stage.follow(*return_after, "debit-return", &paid, request_id, RETURNED);
        }
        Script::Refunded { after, refund_after } => {
            stage.open();
            let paid = stage.finish(*after, "success", DONE);
            let refund = if stage.money_type() == "purchase" { "refund-purchase" } else { "refund-debit" };
            stage.by_staff(*refund_after, refund, &paid);
        }
    }
    stage.life.moves.sort_by_key(|m| m.at);
    stage.life
}

const DONE: (&str, &str) = ("201.0000", "information");
const IN_PROGRESS: (&str, &str) = ("100.0000", "information");
const DECLINED: (&str, &str) = ("500.3048", "error");
const CANCELLED: (&str, &str) = ("500.1108", "error");
/// What the gateway says when its provider does not answer; not an outcome.
const SILENT: (&str, &str) = ("500.1051", "error");
/// SEPA: insufficient funds. A return is a success of the bank.
const RETURNED: (&str, &str) = ("201.0005", "warning");

struct Stage<'a> {
    started: Timestamp,
    request: &'a Submission,
    amount: Amount,
    maid: &'a str,
    life: Life,
    /// The first step of a redirect or SEPA payment; finals refer to it.
    step: Option<String>,
    parent: Option<&'a Parent>,
    ids: &'a mut Prng,
}

impl Stage<'_> {
    fn method(&self) -> &str {
        self.request.payment_method.as_deref().unwrap_or("creditcard")
    }

    fn is_card(&self) -> bool {
        matches!(self.method(), "creditcard" | "maestro")
    }

    fn is_sepa(&self) -> bool {
        self.method() == "sepadirectdebit"
    }

    /// The payer pays by a wallet, and the wallet by a card.
    fn is_wallet(&self) -> bool {
        matches!(self.method(), "masterpass" | "paylib" | "visa-checkout") && self.parent.is_none()
    }

    /// The payer wires the money to an account of the gateway's, in one transfer or several.
    fn is_wire(&self) -> bool {
        self.method() == "wiretransfer" && self.parent.is_none()
    }

    fn money_type(&self) -> &str {
        if self.is_wire() {
            return "deposit";
        }
        self.request.transaction_type.as_deref().unwrap_or("debit")
    }

    /// The request-id a final transaction is stored under: the bare one, but for deposits (fact sheet wpg d.3).
    fn final_request_id(&self) -> String {
        let bare = &self.request.request_id;
        let is_deposit = |h: &&Happening| h.transaction.transaction_type.as_deref() == Some("deposit");
        match (self.is_wire(), self.life.transactions.iter().filter(is_deposit).count()) {
            (false, _) => bare.to_string(),
            (true, 0) => format!("{bare}-deposit"),
            (true, n) => format!("{bare}-deposit:{}", n + 1),
        }
    }

    /// The step with which a redirect, SEPA or wire payment begins. Follow-ups and cards have none.
    fn open(&mut self) {
        if self.parent.is_some() || self.is_card() {
            return;
        }
        let step = match (self.is_sepa(), self.is_wire(), self.is_wallet()) {
            (true, ..) => "pending-debit",
            (_, true, _) => "authorization",
            (.., true) => "request-checkout",
            (false, false, false) => "get-url",
        };
        let request_id = format!("{}-{step}", self.request.request_id);
        let redirect_only = matches!(step, "get-url" | "request-checkout");
        let mut transaction = Transaction { redirect_only, ..self.transaction(self.started, step, "success", DONE) };
        if self.is_wire() {
            let (code, severity) = IN_PROGRESS;
            transaction.statuses.push(Status { code: code.to_owned(), severity: Some(severity.to_owned()) });
        }
        self.step = transaction.transaction_id.clone();
        self.push(self.started, Transaction { request_id: Some(request_id), ..transaction });
    }

    /// The transaction under the bare request-id that says how it went.
    fn finish(&mut self, after: SignedDuration, state: &str, code: (&str, &str)) -> Transaction {
        let at = later(self.started, after);
        let money_type = self.money_type().to_owned();
        let root = self.parent.map(|p| p.root.clone()).or_else(|| self.step.clone());
        let transaction = Transaction {
            request_id: Some(self.final_request_id()),
            parent_transaction_id: self.parent.map(|p| p.transaction_id.clone()).or_else(|| self.step.clone()),
            group_transaction_id: root,
            ..self.transaction(at, &money_type, state, code)
        };
        self.push(at, transaction.clone());
        self.tell(at);
        if state == "success" {
            self.moved(at, &money_type, &transaction);
            self.card_leg(at, &money_type, &transaction);
        }
        transaction
    }

    /// The card's success beside a wallet's, for the same money: nothing more moves (fact sheet wpg c.3, d.3). The suffix
    /// of a card's authorization is not documented, so only debits have this leg.
    fn card_leg(&mut self, at: Timestamp, money_type: &str, wallet: &Transaction) {
        if !self.is_wallet() || money_type != "debit" {
            return;
        }
        let made = self.transaction(at, "purchase", "success", DONE);
        let leg = Transaction {
            request_id: Some(format!("{}-purchase", self.request.request_id)),
            parent_transaction_id: wallet.transaction_id.clone(),
            group_transaction_id: wallet.group_transaction_id.clone(),
            ..made
        };
        self.push(at, leg);
        self.tell(at);
    }

    /// What the shop's staff does by hand in the gateway's portal: a request-id nobody submitted.
    fn by_staff(&mut self, after: SignedDuration, money_type: &str, on: &Transaction) {
        let request_id = self.ids.uuid();
        self.follow(after, money_type, on, request_id, DONE);
    }

    fn follow(
        &mut self,
        after: SignedDuration,
        money_type: &str,
        on: &Transaction,
        request_id: String,
        code: (&str, &str),
    ) {
        let at = later(self.started, after);
        let transaction = Transaction {
            request_id: Some(request_id),
            parent_transaction_id: on.transaction_id.clone(),
            group_transaction_id: on.group_transaction_id.clone().or_else(|| on.transaction_id.clone()),
            order_number: None,
            ..self.transaction(at, money_type, "success", code)
        };
        self.push(at, transaction.clone());
        self.tell(at);
        self.moved(at, money_type, &transaction);
    }

    fn transaction(&mut self, at: Timestamp, money_type: &str, state: &str, code: (&str, &str)) -> Transaction {
        let (code, severity) = code;
        Transaction {
            merchant_account_id: Some(self.maid.to_owned()),
            request_id: Some(self.request.request_id.as_str().to_owned()),
            transaction_id: Some(self.ids.uuid()),
            transaction_type: Some(money_type.to_owned()),
            transaction_state: Some(state.to_owned()),
            amount: Some(respelled(self.amount, self.ids)),
            order_number: self.request.order_number.as_ref().map(|n| n.as_str().to_owned()),
            payment_methods: vec![self.method().to_owned()],
            completed_at: Some(whole_seconds(at)),
            statuses: vec![Status { code: code.to_owned(), severity: Some(severity.to_owned()) }],
            custom_fields: self.request.custom_fields.clone().unwrap_or_default(),
            ..Transaction::default()
        }
    }

    fn push(&mut self, at: Timestamp, transaction: Transaction) {
        self.life.transactions.push(Happening { at, transaction });
    }

    /// The gateway notifies of the transaction just made, shortly after it.
    fn tell(&mut self, at: Timestamp) {
        let what = Told::Transaction(self.life.transactions.len() - 1);
        self.life.news.push(News { at: later(at, seconds(3)), what });
    }

    fn moved(&mut self, at: Timestamp, money_type: &str, transaction: &Transaction) {
        let id = transaction.transaction_id.clone().unwrap_or_default();
        let mut add = |kind, amount| {
            self.life.moves.push(Move { at, kind, amount, transaction_id: id.clone(), number: None });
        };
        match direction(money_type) {
            Some(MoveKind::In) if money_type.starts_with("capture-") => {
                let held = self.parent.map_or(self.amount, |p| p.held);
                add(MoveKind::Release, smaller(held, self.amount));
                add(MoveKind::In, self.amount);
            }
            // What was never held cannot be given back: a wire transfer's authorization only announces.
            Some(MoveKind::Release) if self.parent.is_some_and(|p| p.held.is_zero()) => {}
            Some(kind) => add(kind, self.amount),
            None => {}
        }
    }
}

/// Whether the sandbox plays a transaction type at all.
pub fn is_played(money_type: &str) -> bool {
    // They are answered and move nothing.
    const MONEYLESS: [&str; 8] = [
        "authorization-only",
        "check-enrollment",
        "check-payer-response",
        "check-risk",
        "check-signature",
        "detokenize",
        "get-url",
        "tokenize",
    ];
    direction(money_type).is_some() || MONEYLESS.contains(&money_type)
}

/// Which way money moves with a success of a type the sandbox plays. Stated here on its own, not
/// taken from the rules it is used to check. The credit of an invoice keeps the sign it was sent with: what the sign does
/// is open (fact sheet wpg d.1).
pub fn direction(money_type: &str) -> Option<MoveKind> {
    match money_type {
        "authorization"
        | "preauthorization"
        | "final-authorization"
        | "referenced-authorization"
        | "authorization-supplementary" => Some(MoveKind::Hold),
        "void-authorization" | "void-preauthorization" | "void-final-authorization" | "void-auth-supplementary" => {
            Some(MoveKind::Release)
        }
        "debit"
        | "purchase"
        | "referenced-purchase"
        | "deposit"
        | "capture-authorization"
        | "capture-preauthorization"
        | "capture-final-auth"
        | "void-refund-capture"
        | "void-refund-purchase"
        | "void-credit"
        | "void-original-credit" => Some(MoveKind::In),
        "debit-return"
        | "refund-debit"
        | "refund-purchase"
        | "refund-capture"
        | "void-purchase"
        | "void-capture"
        | "void-capture-preauthorization"
        | "void-capture-final-auth"
        | "void-debit"
        | "credit"
        | "original-credit" => Some(MoveKind::Out),
        _ => None,
    }
}

fn smaller(a: Amount, b: Amount) -> Amount {
    if a.value() <= b.value() { a } else { b }
}

/// The gateway spells one amount in several ways: with the currency's digits, six, or as few as possible.
fn respelled(amount: Amount, prng: &mut Prng) -> StatedAmount {
    let mut value: Decimal = amount.value();
    match prng.below(3) {
        0 => value.rescale(amount.currency().exponent()),
        1 => value.rescale(6),
        _ => value = value.normalize(),
    }
    StatedAmount { value, currency: Some(amount.currency()) }
}

/// Time stamps on the wire have no fractions (fact sheet wpg d.2).
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
