//! The life of one payment at the gateway, laid out in advance: a script becomes transactions with
//! their times, the news the gateway will send, and the money that really moves.

use jiff::tz::TimeZone;

use crate::core::message::{PaymentState, Transaction};
use crate::words::id::GatewayOrderNumber;
use crate::words::money::Amount;
use crate::words::time::{SignedDuration, Timestamp, business_day, day_bounds, later, minutes};

/// All that will ever happen to one payment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Life {
    /// `wpg`: transactions and when each begins to exist for a retrieval, in order of time.
    pub transactions: Vec<Happening>,
    /// `checkout`: the gateway's orders of this payment, in the order the payer made them.
    pub orders: Vec<OrderLife>,
    /// Genuine notifications, in order of time.
    pub news: Vec<News>,
    /// Money that really moves, in order of time.
    pub moves: Vec<Move>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Happening {
    pub at: Timestamp,
    pub transaction: Transaction,
}

/// What getOrderDetails says about one order number, and from when on.
#[derive(Clone, PartialEq, Debug)]
pub struct OrderLife {
    pub number: GatewayOrderNumber,
    /// In order of time; before the first the number is unknown (`orders=0`).
    pub views: Vec<(Timestamp, OrderView)>,
}

impl OrderLife {
    /// What the gateway says of the order at a moment.
    pub fn view(&self, now: Timestamp) -> &OrderView {
        self.views.iter().rev().find(|(from, _)| *from <= now).map_or(&OrderView::Unknown, |(_, view)| view)
    }
}

impl OrderLife {
    /// When a part of the order came to be, and when it last changed, as far as that has happened by now. `part` finds it
    /// in a view.
    pub fn times<P: PartialEq>(
        &self,
        now: Timestamp,
        part: impl Fn(&OrderView) -> Option<P>,
    ) -> Option<(Timestamp, Timestamp)> {
        let (mut before, mut times) = (None, None);
        for (from, view) in self.views.iter().filter(|(from, _)| *from <= now) {
            let this = part(view);
            if this.is_some() && this != before {
                times = Some((times.map_or(*from, |(created, _)| created), *from));
            }
            before = this;
        }
        times
    }
}

/// One answer of getOrderDetails (fact sheet checkout c.2).
#[derive(Clone, PartialEq, Debug)]
pub enum OrderView {
    /// `orders=0`.
    Unknown,
    /// status 3 with an undecided code: 30014, 30012.
    Undecided { code: &'static str },
    /// status 2 with 20003.
    Rejected,
    /// An order that exists: `ORDERED` (perhaps without any payment) or `REFUNDABLE`.
    Exists { state: &'static str, payments: Vec<PaymentView>, credits: Vec<CreditView> },
}

#[derive(Clone, PartialEq, Debug)]
pub struct PaymentView {
    /// The order's own number; another one for a part that was captured for itself.
    pub number: String,
    pub state: &'static str,
    pub approved: Amount,
    pub deposited: Amount,
}

#[derive(Clone, PartialEq, Debug)]
pub struct CreditView {
    pub number: String,
    pub state: &'static str,
    pub amount: Amount,
}

/// One notification the gateway will send.
#[derive(Clone, PartialEq, Debug)]
pub struct News {
    pub at: Timestamp,
    pub what: Told,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    /// `wpg`: an index into [`Life::transactions`].
    Transaction(usize),
    /// `checkout`.
    Confirmation { state: PaymentState, number: Option<GatewayOrderNumber>, error_code: Option<&'static str> },
}

/// Money that moves at the gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct Move {
    pub at: Timestamp,
    pub kind: MoveKind,
    pub amount: Amount,
    /// `wpg`: the transaction-id. `checkout`: the object, such as `payment:7000001`.
    pub transaction_id: String,
    /// `checkout`: without this number nobody can ask about the move.
    pub number: Option<GatewayOrderNumber>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveKind {
    /// Held for the shop.
    Hold,
    /// A hold ends: taken, voided or lapsed.
    Release,
    /// To the shop.
    In,
    /// From the shop.
    Out,
}

/// The day-end closing that follows a moment: some time after midnight in Vienna, where the
/// `checkout` gateway lives (fact sheet checkout a.7).
pub fn day_end(at: Timestamp) -> Timestamp {
    const AFTER_MIDNIGHT: SignedDuration = minutes(37);
    let vienna = TimeZone::get("Europe/Vienna").unwrap_or(TimeZone::UTC);
    let midnight = day_bounds(business_day(at, &vienna), &vienna).map_or(at, |(_, end)| end);
    later(midnight, AFTER_MIDNIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_closed_after_midnight_in_vienna() {
        let end = |at: &str| day_end(at.parse().expect("a time")).to_string();
        assert_eq!(end("2026-07-01T10:00:00Z"), "2026-07-01T22:37:00Z");
        assert_eq!(end("2026-07-01T22:10:00Z"), "2026-07-02T22:37:00Z");
        assert_eq!(end("2026-01-01T10:00:00Z"), "2026-01-01T23:37:00Z");
    }
}
