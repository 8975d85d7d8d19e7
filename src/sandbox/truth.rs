//! What the books must finally say, known only to the gateway's side.

use serde::Serialize;

use super::life::MoveKind;
use crate::words::id::{MerchantName, OrderNumber, RequestId};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// The truth about one order at one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Truth {
    pub merchant: MerchantName,
    pub order_number: OrderNumber,
    pub payments: Vec<PaymentTruth>,
}

/// The truth about one request of the shop.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PaymentTruth {
    pub request_id: RequestId,
    pub script: &'static str,
    /// `false`: `checkout`, and nobody at the shop ever learnt a gateway order number, so that the
    /// gateway cannot be asked. Such a payment must end with a person.
    pub askable: bool,
    /// Money that moved and can be known: what a ledger must hold, no more and no less.
    pub moves: Vec<KnownMove>,
    /// Money that moved under a gateway order number that nobody at the shop ever learnt.
    pub hidden: Vec<KnownMove>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct KnownMove {
    pub at: Timestamp,
    pub kind: MoveKind,
    pub amount: Amount,
    pub transaction_id: String,
}

impl Truth {
    /// Money that reached the shop, before anything went back; `None` where nothing did.
    pub fn received(&self) -> Option<Amount> {
        self.sum(MoveKind::In)
    }

    /// Money that left the shop again.
    pub fn paid_out(&self) -> Option<Amount> {
        self.sum(MoveKind::Out)
    }

    /// What is still held for the shop.
    pub fn held(&self) -> Option<Amount> {
        let held = self.sum(MoveKind::Hold)?;
        match self.sum(MoveKind::Release) {
            Some(released) => held.checked_add(released.negated()),
            None => Some(held),
        }
    }

    fn sum(&self, kind: MoveKind) -> Option<Amount> {
        let mut moves = self.payments.iter().flat_map(|p| &p.moves).filter(|m| m.kind == kind);
        let first = moves.next()?.amount;
        // One order is in one currency: the shops of the sandbox submit it so.
        moves.try_fold(first, |sum, m| sum.checked_add(m.amount))
    }
}
