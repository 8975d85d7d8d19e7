//! The life of a payment: one table of (state, news).

use serde::{Deserialize, Serialize};

/// Where a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not decided; looks go on.
    Open,
    /// Two agreeing looks found nothing that could still become a payment.
    UnfinishedProvisional,
    /// A third agreeing look, a day later, found the same. Settled; sparse looks go on.
    Unfinished,
    /// `checkout` says SUCCESS; its books have not been seen yet.
    Accepted,
    /// Money is held.
    Reserved,
    /// Money came and may still go back by the way it came.
    PaidProvisional,
    /// Money came in full.
    Paid,
    /// The gateway decided against it.
    Failed,
    /// The payer called it off, or the hold was given back.
    Cancelled,
    /// The bank or the card scheme took the money back.
    Returned,
    /// The shop gave the money back.
    Refunded,
    /// Nobody can be asked: a person has it, under a named alert.
    HandedOver,
}

impl State {
    pub const ALL: [State; 12] = [
        State::Open,
        State::UnfinishedProvisional,
        State::Unfinished,
        State::Accepted,
        State::Reserved,
        State::PaidProvisional,
        State::Paid,
        State::Failed,
        State::Cancelled,
        State::Returned,
        State::Refunded,
        State::HandedOver,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::UnfinishedProvisional => "unfinished_provisional",
            State::Unfinished => "unfinished",
            State::Accepted => "accepted",
            State::Reserved => "reserved",
            State::PaidProvisional => "paid_provisional",
            State::Paid => "paid",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Returned => "returned",
            State::Refunded => "refunded",
            State::HandedOver => "handed_over",
        }
    }

    /// Settled payments need no look; some keep sparse ones all the same.
    pub fn is_settled(self) -> bool {
        match self {
            State::Unfinished
            | State::Reserved
            | State::PaidProvisional
            | State::Paid
            | State::Failed
            | State::Cancelled
            | State::Returned
            | State::Refunded => true,
            State::Open | State::UnfinishedProvisional | State::Accepted | State::HandedOver => false,
        }
    }

    /// Money is in or held.
    pub fn is_income(self) -> bool {
        matches!(self, State::Accepted | State::Reserved | State::PaidProvisional | State::Paid)
    }
}

/// What the evidence, taken together, says now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing decided: nothing known, a mere step, in progress, or amounts that do not fit.
    Undecided,
    /// Two agreeing looks after the deadline.
    AgreeTwice,
    /// A third one, after the hold-down.
    AgreeThrice,
    /// Nobody can be asked and the time is over.
    HandOver,
    Accept,
    Reserve,
    PayProvisionally,
    Pay,
    Fail,
    Cancel,
    Return,
    Refund,
}

impl News {
    pub const ALL: [News; 12] = [
        News::Undecided,
        News::AgreeTwice,
        News::AgreeThrice,
        News::HandOver,
        News::Accept,
        News::Reserve,
        News::PayProvisionally,
        News::Pay,
        News::Fail,
        News::Cancel,
        News::Return,
        News::Refund,
    ];
}

/// What follows from news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Stay,
    Move(State),
    /// Money came after we, or the shop, had given the payment up: move, and tell it loudly.
    MoveLate(State),
    /// What we held true is taken back by newer facts: move, and tell it.
    MoveBack(State),
}

/// The whole life of a payment. No catch-all: a new state or news must be thought through here.
pub fn step(state: State, news: News) -> Step {
    use News::*;
    use Step::{Move, MoveBack, MoveLate, Stay};
    #[cfg(planted)]
    if state == State::Failed && crate::planted::is("failed-is-final") {
        return Stay;
    }
    match (state, news) {
        // Open: everything may still come.
        (State::Open, Undecided) => Stay,
        (State::Open, AgreeTwice) => Move(State::UnfinishedProvisional),
        (State::Open, AgreeThrice) => Move(State::Unfinished),
        (State::Open, HandOver) => Move(State::HandedOver),
        (State::Open, Accept) => Move(State::Accepted),
        (State::Open, Reserve) => Move(State::Reserved),
        (State::Open, PayProvisionally) => Move(State::PaidProvisional),
        (State::Open, Pay) => Move(State::Paid),
        (State::Open, Fail) => Move(State::Failed),
        (State::Open, Cancel) => Move(State::Cancelled),
        (State::Open, Return) => Move(State::Returned),
        (State::Open, Refund) => Move(State::Refunded),

        // Unfinished: new life reopens it; money that comes now comes late.
        (State::UnfinishedProvisional, Undecided) => Move(State::Open),
        (State::UnfinishedProvisional, AgreeTwice) => Stay,
        (State::UnfinishedProvisional, AgreeThrice) => Move(State::Unfinished),
        (State::Unfinished, AgreeTwice | AgreeThrice) => Stay,
        (State::Unfinished, Undecided) => MoveBack(State::Open),
        // It can't be asked any more, and the third look is missing: a person decides.
        (State::UnfinishedProvisional, HandOver) => Move(State::HandedOver),
        (State::Unfinished, HandOver) => Stay,
        (State::UnfinishedProvisional | State::Unfinished, Accept) => MoveLate(State::Accepted),
        (State::UnfinishedProvisional | State::Unfinished, Reserve) => MoveLate(State::Reserved),
        (State::UnfinishedProvisional | State::Unfinished, PayProvisionally) => MoveLate(State::PaidProvisional),
        (State::UnfinishedProvisional | State::Unfinished, Pay) => MoveLate(State::Paid),
        (State::UnfinishedProvisional | State::Unfinished, Fail) => Move(State::Failed),
        (State::UnfinishedProvisional | State::Unfinished, Cancel) => Move(State::Cancelled),
        (State::UnfinishedProvisional | State::Unfinished, Return) => MoveLate(State::Returned),
        (State::UnfinishedProvisional | State::Unfinished, Refund) => MoveLate(State::Refunded),

        // Failed is not the end: a payer may try again, a bank may answer late.
        (State::Failed, Fail) | (State::Cancelled, Cancel) => Stay,
        (State::Failed | State::Cancelled, AgreeTwice | AgreeThrice | HandOver) => Stay,
        (State::Failed | State::Cancelled, Undecided) => MoveBack(State::Open),
        (State::Failed | State::Cancelled, Accept) => MoveLate(State::Accepted),
        (State::Failed | State::Cancelled, Reserve) => MoveLate(State::Reserved),
        (State::Failed | State::Cancelled, PayProvisionally) => MoveLate(State::PaidProvisional),
        (State::Failed | State::Cancelled, Pay) => MoveLate(State::Paid),
        (State::Failed, Cancel) => Move(State::Cancelled),
        (State::Cancelled, Fail) => Move(State::Failed),
        (State::Failed | State::Cancelled, Return) => MoveLate(State::Returned),
        (State::Failed | State::Cancelled, Refund) => MoveLate(State::Refunded),

        // Handed over: any fact takes it back from the person's desk.
        (State::HandedOver, Undecided | HandOver | AgreeTwice | AgreeThrice) => Stay,
        (State::HandedOver, Accept) => Move(State::Accepted),
        (State::HandedOver, Reserve) => Move(State::Reserved),
        (State::HandedOver, PayProvisionally) => Move(State::PaidProvisional),
        (State::HandedOver, Pay) => Move(State::Paid),
        (State::HandedOver, Fail) => Move(State::Failed),
        (State::HandedOver, Cancel) => Move(State::Cancelled),
        (State::HandedOver, Return) => Move(State::Returned),
        (State::HandedOver, Refund) => Move(State::Refunded),

        // Accepted: raised or taken back by getOrderDetails; handed over where it can't be asked.
        (State::Accepted, Accept | AgreeTwice | AgreeThrice) => Stay,
        (State::Accepted, HandOver) => Stay,
        (State::Accepted, Undecided) => MoveBack(State::Open),
        (State::Accepted, Reserve) => Move(State::Reserved),
        (State::Accepted, PayProvisionally) => Move(State::PaidProvisional),
        (State::Accepted, Pay) => Move(State::Paid),
        (State::Accepted, Fail) => MoveBack(State::Failed),
        // SUCCESS was confirmed, and the gateway's books list no payment: a person must know.
        (State::Accepted, Cancel) => MoveBack(State::Cancelled),
        (State::Accepted, Return) => Move(State::Returned),
        (State::Accepted, Refund) => Move(State::Refunded),

        // Reserved: captured, or given back.
        (State::Reserved, Reserve | Accept | AgreeTwice | AgreeThrice | HandOver) => Stay,
        (State::Reserved, Undecided) => MoveBack(State::Open),
        (State::Reserved, PayProvisionally) => Move(State::PaidProvisional),
        (State::Reserved, Pay) => Move(State::Paid),
        (State::Reserved, Fail) => MoveBack(State::Failed),
        (State::Reserved, Cancel) => Move(State::Cancelled),
        (State::Reserved, Return) => Move(State::Returned),
        (State::Reserved, Refund) => Move(State::Refunded),

        // Paid, provisionally or not: only money moves it.
        (State::PaidProvisional, PayProvisionally) | (State::Paid, Pay) => Stay,
        (State::PaidProvisional | State::Paid, AgreeTwice | AgreeThrice | HandOver | Accept) => Stay,
        (State::PaidProvisional, Pay) => Move(State::Paid),
        (State::Paid, PayProvisionally) => MoveBack(State::PaidProvisional),
        (State::PaidProvisional | State::Paid, Undecided) => MoveBack(State::Open),
        // A capture was reversed and the hold stands again (depositReversal).
        (State::PaidProvisional | State::Paid, Reserve) => MoveBack(State::Reserved),
        (State::PaidProvisional | State::Paid, Fail) => MoveBack(State::Failed),
        (State::PaidProvisional | State::Paid, Cancel) => MoveBack(State::Cancelled),
        (State::PaidProvisional | State::Paid, Return) => Move(State::Returned),
        (State::PaidProvisional | State::Paid, Refund) => Move(State::Refunded),

        // Returned, refunded: money may come again (a represented debit, a voided refund).
        (State::Returned, Return) | (State::Refunded, Refund) => Stay,
        (State::Returned | State::Refunded, AgreeTwice | AgreeThrice | HandOver | Accept) => Stay,
        (State::Returned | State::Refunded, Undecided) => MoveBack(State::Open),
        (State::Returned | State::Refunded, Reserve) => MoveBack(State::Reserved),
        (State::Returned | State::Refunded, PayProvisionally) => Move(State::PaidProvisional),
        (State::Returned | State::Refunded, Pay) => Move(State::Paid),
        (State::Returned | State::Refunded, Fail) => MoveBack(State::Failed),
        (State::Returned | State::Refunded, Cancel) => MoveBack(State::Cancelled),
        (State::Returned, Refund) => Move(State::Refunded),
        (State::Refunded, Return) => Move(State::Returned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(state: State, news: News) -> State {
        match step(state, news) {
            Step::Stay => state,
            Step::Move(to) | Step::MoveLate(to) | Step::MoveBack(to) => to,
        }
    }

    #[test]
    fn a_later_success_always_wins() {
        for state in State::ALL {
            assert_eq!(after(state, News::Pay), State::Paid, "{state:?}");
        }
        for state in [State::Unfinished, State::UnfinishedProvisional, State::Failed, State::Cancelled] {
            assert!(matches!(step(state, News::Pay), Step::MoveLate(State::Paid)), "{state:?} must be told loudly");
        }
    }

    #[test]
    fn looks_that_find_nothing_never_take_money_away() {
        for state in State::ALL.into_iter().filter(|s| s.is_income()) {
            for news in [News::AgreeTwice, News::AgreeThrice, News::HandOver] {
                assert_eq!(after(state, news), state, "{state:?} {news:?}");
            }
        }
    }

    #[test]
    fn every_news_is_heard_again_without_effect() {
        for state in State::ALL {
            for news in News::ALL {
                let once = after(state, news);
                assert_eq!(after(once, news), once, "{state:?} {news:?}");
            }
        }
    }

    #[test]
    fn unfinished_takes_two_looks_and_then_a_third() {
        let provisional = after(State::Open, News::AgreeTwice);
        assert_eq!(provisional, State::UnfinishedProvisional);
        assert!(!provisional.is_settled());
        assert_eq!(after(provisional, News::AgreeThrice), State::Unfinished);
        assert_eq!(after(provisional, News::Undecided), State::Open);
    }
}
