//! One submission and everything we know about it.

use serde::{Deserialize, Serialize};

use crate::core::discrepancy::Discrepancy;
use crate::core::known::Known;
use crate::core::lifecycle::State;
use crate::core::operation::Operation;
use crate::core::schedule::{Next, Watch};
use crate::core::submission::Submission;
use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, PaymentNumber, RequestId, TransactionId};
use crate::words::money::Amount;
use crate::words::time::{Now, SignedDuration, Timestamp, minutes};

/// Ids learnt from unsigned responses: asked about, never booked. At most this many per payment.
pub const HINTED_MAX: usize = 8;
/// Digests of signed messages remembered per payment, to tell repeats.
pub const DIGESTS_MAX: usize = 16;
/// Discrepancies kept on one payment, resolved ones included; older resolved ones make room.
pub const DISCREPANCIES_MAX: usize = 50;

/// A request sent again after this begins anew while it is open. Less than a payer may take, or he would still be
/// paying when two looks agree; and a loop in a shop must not fill the journal.
pub const ATTEMPTS_APART: SignedDuration = minutes(10);

/// The projection of one submission's life. Made from the journal alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Payment {
    pub number: PaymentNumber,
    pub merchant: MerchantName,
    pub request_id: RequestId,
    /// `None`: verified messages came for a request nobody submitted (an orphan).
    pub submission: Option<Submission>,
    /// The payment this is a follow-up of (capture, void, refund).
    #[serde(default)]
    pub root: Option<PaymentNumber>,
    /// The follow-ups submitted for this payment.
    #[serde(default)]
    pub follow_ups: Vec<PaymentNumber>,
    pub state: State,
    /// In words: why it is in this state.
    pub reason: String,
    #[serde(default)]
    pub known: Vec<Known>,
    /// Transaction-ids and their merchant accounts, as the shop's own responses named them.
    #[serde(default)]
    pub hinted: Vec<Hinted>,
    /// The merchant account the request itself named, where the proxy saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// The proxy saw its request before the shop told of it: what the shop tells adds to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_seen: bool,
    /// The last we heard of its request is that it was not sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_sent: bool,
    pub gateway_order_number: Option<GatewayOrderNumber>,
    /// `checkout`: further gateway order numbers that verified messages named under the same own id.
    #[serde(default)]
    pub second_orders: Vec<GatewayOrderNumber>,
    /// The payment method, submitted or learnt.
    pub method: Option<String>,
    pub watch: Watch,
    pub next: Option<Next>,
    #[serde(default)]
    pub discrepancies: Vec<Discrepancy>,
    /// What an unverified message claims, for people only.
    #[serde(default)]
    pub claim: Option<String>,
    /// Key of the alert under which a person has it.
    #[serde(default)]
    pub desk: Option<String>,
    /// Undecided for so long that a person was told.
    #[serde(default)]
    pub is_frozen: bool,
    /// Its submission was imported: it waits behind live ones, and its alerts are grouped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_imported: bool,
    /// Digests of the newest signed messages: a genuine one can be replayed for ever.
    #[serde(default)]
    pub digests: Vec<String>,
    /// Messages journaled that no signature vouched for, or that were repeats.
    #[serde(default)]
    pub unverified: u32,
    /// What a person had done to it by `reconciled operate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Wall time of our receipt.
    pub received_at: Timestamp,
    /// Wall time at which it came into its state.
    pub state_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hinted {
    pub transaction_id: TransactionId,
    pub merchant_account_id: Option<String>,
}

impl Payment {
    pub fn new(
        number: PaymentNumber,
        merchant: MerchantName,
        request_id: RequestId,
        watch: Watch,
        at: Timestamp,
    ) -> Payment {
        Payment {
            number,
            merchant,
            request_id,
            submission: None,
            root: None,
            follow_ups: Vec::new(),
            state: State::Open,
            reason: String::new(),
            known: Vec::new(),
            hinted: Vec::new(),
            sent_to: None,
            is_seen: false,
            not_sent: false,
            gateway_order_number: None,
            second_orders: Vec::new(),
            method: None,
            watch,
            next: None,
            discrepancies: Vec::new(),
            claim: None,
            desk: None,
            is_frozen: false,
            is_imported: false,
            digests: Vec::new(),
            unverified: 0,
            operations: Vec::new(),
            received_at: at,
            state_at: at,
        }
    }

    pub fn is_orphan(&self) -> bool {
        self.submission.is_none()
    }

    /// Whether it stands on the list of what is not settled. An orphan does while it is looked into, and while it
    /// has money that nobody claims; a settled payment does while the outcome of an operation on it is unknown.
    pub fn is_listed(&self) -> bool {
        let is_over = self.is_orphan() && self.next.is_none() && self.open_discrepancies().all(|d| d.code.is_news());
        (!self.state.is_settled() && !is_over) || self.unknown_operation().is_some()
    }

    /// An operation of which nobody knows whether it took effect.
    pub fn unknown_operation(&self) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.outcome.is_unknown())
    }

    /// Whether its request, sent again, begins anew: the attempt before it has ended without money, did not happen, or
    /// is so old that its time is no measure of this one's.
    pub fn begins_anew(&self, now: Now) -> bool {
        #[cfg(planted)]
        if crate::planted::is("sent-again-as-if-never") {
            return false;
        }
        if self.state.is_income() {
            return false;
        }
        if self.state != State::Open {
            return true;
        }
        self.not_sent || now.steady.duration_since(self.watch.since) >= ATTEMPTS_APART
    }

    pub fn amount(&self) -> Option<Amount> {
        self.submission.as_ref().map(|s| s.amount)
    }

    pub fn order_number(&self) -> Option<&OrderNumber> {
        self.submission.as_ref().and_then(|s| s.order_number.as_ref())
    }

    /// Whether it is a follow-up by its own submission, linked or not yet.
    pub fn is_follow_up(&self) -> bool {
        self.root.is_some() || self.submission.as_ref().is_some_and(|s| s.parent_transaction_id.is_some())
    }

    pub fn open_discrepancies(&self) -> impl Iterator<Item = &Discrepancy> {
        self.discrepancies.iter().filter(|d| d.resolved_at.is_none())
    }

    /// The merchant account the payment lives in, as far as messages, or else its request, have told.
    pub fn merchant_account_id(&self) -> Option<&str> {
        let known = self.known.iter().rev().find_map(|k| k.transaction.merchant_account_id.as_deref());
        known
            .or_else(|| self.hinted.iter().rev().find_map(|h| h.merchant_account_id.as_deref()))
            .or(self.sent_to.as_deref())
    }
}
