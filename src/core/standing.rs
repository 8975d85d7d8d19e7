//! What the facts about a payment add up to.

use serde::{Deserialize, Serialize};

use crate::core::discrepancy::Code;
use crate::core::known::{self, Known};
use crate::core::lifecycle::News;
use crate::core::meaning::Meaning;
use crate::words::money::Amount;

/// Sums over the standing facts of a payment and its follow-ups, in the submission's currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    pub accepted: Amount,
    /// Held in all; what is still held is [`Position::open`].
    pub reserved: Amount,
    pub released: Amount,
    pub in_provisional: Amount,
    pub captured: Amount,
    pub refunded: Amount,
    pub credited: Amount,
    pub returned: Amount,
    pub charged_back: Amount,
}

impl Position {
    pub fn empty(zero: Amount) -> Position {
        Position {
            accepted: zero,
            reserved: zero,
            released: zero,
            in_provisional: zero,
            captured: zero,
            refunded: zero,
            credited: zero,
            returned: zero,
            charged_back: zero,
        }
    }

    fn slot(&mut self, meaning: Meaning) -> Option<&mut Amount> {
        match meaning {
            Meaning::Accepted => Some(&mut self.accepted),
            Meaning::Reserved => Some(&mut self.reserved),
            Meaning::Released => Some(&mut self.released),
            Meaning::InProvisional => Some(&mut self.in_provisional),
            Meaning::In => Some(&mut self.captured),
            Meaning::Refund => Some(&mut self.refunded),
            Meaning::Credit => Some(&mut self.credited),
            Meaning::Return => Some(&mut self.returned),
            Meaning::Chargeback => Some(&mut self.charged_back),
            Meaning::Step
            | Meaning::Pending
            | Meaning::Silence
            | Meaning::Failed
            | Meaning::CalledOff
            | Meaning::Gone
            | Meaning::Unknown => None,
        }
    }

    /// Adds an amount; other currencies and overflow are left out and reported by `false`.
    pub fn add(&mut self, meaning: Meaning, amount: Amount) -> bool {
        let Some(slot) = self.slot(meaning) else { return true };
        match slot.checked_add(amount) {
            Some(sum) => {
                *slot = sum;
                true
            }
            None => false,
        }
    }

    /// Adds another position of the same currency; `false` where the currencies differ.
    pub fn merge(&mut self, other: &Position) -> bool {
        let parts = [
            (Meaning::Accepted, other.accepted),
            (Meaning::Reserved, other.reserved),
            (Meaning::Released, other.released),
            (Meaning::InProvisional, other.in_provisional),
            (Meaning::In, other.captured),
            (Meaning::Refund, other.refunded),
            (Meaning::Credit, other.credited),
            (Meaning::Return, other.returned),
            (Meaning::Chargeback, other.charged_back),
        ];
        parts.into_iter().all(|(meaning, amount)| self.add(meaning, amount))
    }

    /// In, final or not.
    pub fn income(&self) -> Amount {
        self.captured.checked_add(self.in_provisional).unwrap_or(self.captured)
    }

    /// Gone back, whoever took it.
    pub fn outgo(&self) -> Amount {
        [self.credited, self.returned, self.charged_back]
            .into_iter()
            .try_fold(self.refunded, Amount::checked_add)
            .unwrap_or(self.refunded)
    }

    /// Still held: neither captured nor given back. Never negative.
    pub fn open(&self) -> Amount {
        let held = [self.released.negated(), self.income().negated()]
            .into_iter()
            .try_fold(self.reserved, Amount::checked_add)
            .unwrap_or(self.reserved);
        if held.is_negative() { Amount::zero(held.currency()) } else { held }
    }
}

/// What the facts say, and what about them does not fit.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    pub news: News,
    pub position: Position,
    /// True of the facts now; a code that is no longer here is resolved.
    pub misfits: Vec<Misfit>,
    /// Whether a look that finds only this may agree that nothing will come.
    pub is_dead: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    pub code: Code,
    pub what: String,
    pub amount: Option<Amount>,
}

/// Adds up the standing facts of one submission and of its follow-ups.
///
/// `expected` is the submitted amount; `own` are the submission's facts, `of_follow_ups` those of
/// captures, voids and refunds submitted under their own request-ids.
pub fn standing(expected: Amount, own: &[Known], of_follow_ups: &[Known]) -> Standing {
    let mut position = Position::empty(Amount::zero(expected.currency()));
    let mut misfits = Vec::new();
    let all = || own.iter().chain(of_follow_ups).filter(|k| k.stands());
    for known in all().filter(|k| k.meaning.is_money()) {
        match known.amount() {
            None => misfits.push(Misfit {
                code: Code::AmountUnbookable,
                what: format!("transaction {} states an amount that can't be booked", known.id),
                amount: None,
            }),
            Some(amount) if !position.add(known.meaning, amount) => misfits.push(Misfit {
                code: Code::CurrencyDiffers,
                what: format!("submitted {expected}, transaction {} states {amount}", known.id),
                amount: Some(amount),
            }),
            Some(_) => {}
        }
    }
    for known in all().filter(|k| k.meaning == Meaning::Unknown) {
        misfits.push(Misfit {
            code: Code::UnknownKind,
            what: format!(
                "transaction {} has type `{}` and state `{}`",
                known.id,
                known.transaction.transaction_type.as_deref().unwrap_or(""),
                known.transaction.transaction_state.as_deref().unwrap_or("")
            ),
            amount: None,
        });
    }
    let own_sum = sum_of_own(expected, own);
    let roots = roots_of_income(own);
    let is_double = roots.len() > 1;
    if is_double {
        let ids: Vec<_> = roots.iter().map(|k| k.id.as_str()).collect();
        misfits.push(Misfit {
            code: Code::DoublePayment,
            what: format!("one request, paid more than once: transactions {}", ids.join(", ")),
            amount: roots[1].amount(),
        });
    }
    let each_root_fits = || roots.iter().all(|k| k.amount() == Some(expected));
    let fits = own_sum.is_zero() || own_sum == expected || (is_double && each_root_fits());
    // A hold may be captured in parts; money in without a hold must be the submitted sum.
    let is_partial_capture = position.reserved == expected && position.captured.value() <= expected.value();
    if !fits && !is_partial_capture && split_sum(expected, own) != Some(expected) {
        misfits.push(Misfit {
            code: Code::AmountDiffers,
            what: format!("submitted {expected}, in {own_sum}"),
            amount: Some(own_sum),
        });
    }
    #[cfg(planted)]
    misfits.retain(|m| m.code != Code::AmountDiffers || !crate::planted::is("amount-not-checked"));
    let news = news_of(&position, expected, &misfits, own, of_follow_ups);
    let is_dead = matches!(news, News::Fail | News::Cancel)
        || (news == News::Accept && known::denied(own).is_some())
        || (news == News::Undecided
            && all().all(|k| matches!(k.meaning, Meaning::Step | Meaning::Failed | Meaning::CalledOff)));
    Standing { news, position, misfits, is_dead }
}

/// The sum of a `checkout` order's payment objects where some are deposited and some still held: a split capture gives
/// each part an object of its own (fact sheet checkout b.4).
fn split_sum(expected: Amount, own: &[Known]) -> Option<Amount> {
    let objects = || own.iter().filter(|k| k.stands() && k.transaction.transaction_type.as_deref() == Some("payment"));
    let is_split = objects().any(|k| k.meaning.is_in()) && objects().any(|k| k.meaning == Meaning::Reserved);
    let counted = objects().filter(|k| k.meaning.is_income()).filter_map(Known::amount);
    let sum = counted.into_iter().try_fold(Amount::zero(expected.currency()), Amount::checked_add);
    sum.filter(|_| is_split)
}

/// Money in or held under the submission itself: what its amount is compared with.
fn sum_of_own(expected: Amount, own: &[Known]) -> Amount {
    let of = |counts: &dyn Fn(&Known) -> bool| {
        let mut position = Position::empty(Amount::zero(expected.currency()));
        for known in own.iter().filter(|k| k.stands() && counts(k)) {
            if let Some(amount) = known.amount() {
                position.add(known.meaning, amount);
            }
        }
        position
    };
    // What was put back, or given back whole, was not paid a second time; where there is nothing else, it counts.
    let lasting = of(&|k| !puts_back(k) && !is_given_back(k, own));
    let is_lasting = [lasting.income(), lasting.reserved, lasting.accepted].iter().any(|a| !a.is_zero());
    let position = if is_lasting { lasting } else { of(&|k| !puts_back(k)) };
    let is_known = [position.income(), position.reserved, position.accepted].iter().any(|a| !a.is_zero());
    let position = if is_known { position } else { of(&|_| true) };
    let income = position.income();
    if !income.is_zero() {
        income
    } else if !position.reserved.is_zero() {
        position.reserved
    } else if !position.accepted.is_zero() {
        position.accepted
    } else {
        // A follow-up that gives money back: its own amount counts.
        [position.outgo(), position.released].into_iter().find(|a| !a.is_zero()).unwrap_or(income)
    }
}

/// Takes back a step out: a voided refund, a return presented again, a reversed void.
fn puts_back(known: &Known) -> bool {
    const STARTS: [&str; 10] = [
        "void-refund",
        "void-credit",
        "void-original-credit",
        "void-standalone-refund",
        "void-cancel-redeem",
        "reversal-void-",
        "reversal-refund-",
        "reversal-credit",
        "reversal-standalone-refund",
        "revoke-",
    ];
    let name = known.transaction.transaction_type.as_deref().unwrap_or("");
    known.meaning.is_income()
        && (STARTS.iter().any(|start| name.starts_with(start)) || name.ends_with("-rep") || name == "credit-return")
}

/// Whether transactions that name it as their parent gave all of it back.
fn is_given_back(known: &Known, own: &[Known]) -> bool {
    use Meaning::{Chargeback, Refund, Released, Return};
    let Some(amount) = known.amount().filter(|amount| known.meaning.is_income() && !amount.is_zero()) else {
        return false;
    };
    let is_back = |k: &&Known| {
        k.stands()
            && matches!(k.meaning, Released | Refund | Return | Chargeback)
            && k.transaction.parent_transaction_id.as_deref() == Some(known.id.as_str())
    };
    let back = own.iter().filter(is_back).filter_map(Known::amount);
    let sum = back.fold(Amount::zero(amount.currency()), |sum, a| sum.checked_add(a).unwrap_or(sum));
    sum.value() >= amount.value()
}

/// Incoming or held money that does not descend from other such money of the same request.
///
/// Deposits of one wire transfer come in parts. So do the payments of one gateway order (split
/// captures): each order counts once.
fn roots_of_income(own: &[Known]) -> Vec<&Known> {
    let kind = |k: &Known| k.transaction.transaction_type.clone().unwrap_or_default();
    let income: Vec<&Known> =
        own.iter().filter(|k| k.stands() && k.meaning.is_income() && kind(k) != "deposit").collect();
    let descends = |k: &Known| {
        let parents = [&k.transaction.parent_transaction_id, &k.transaction.group_transaction_id];
        parents.into_iter().flatten().any(|p| p != k.id.as_str() && income.iter().any(|i| i.id.as_str() == p))
    };
    let mut roots: Vec<&Known> = Vec::new();
    for known in income.iter().filter(|k| !descends(k) && !puts_back(k) && !is_given_back(k, own)) {
        let order = &known.transaction.parent_transaction_id;
        let is_split = kind(known) == "payment"
            && roots.iter().any(|r| kind(r) == "payment" && r.transaction.parent_transaction_id == *order);
        if !is_split {
            roots.push(known);
        }
    }
    roots
}

fn news_of(position: &Position, expected: Amount, misfits: &[Misfit], own: &[Known], follow_ups: &[Known]) -> News {
    let all = || own.iter().chain(follow_ups).filter(|k| k.stands());
    let (income, outgo) = (position.income(), position.outgo());
    let spoils = |m: &Misfit| matches!(m.code, Code::AmountDiffers | Code::CurrencyDiffers | Code::AmountUnbookable);
    let is_double = misfits.iter().any(|m| m.code == Code::DoublePayment);
    if income.is_zero() && !outgo.is_zero() {
        // A follow-up's own row: the refund, or the return, is all there is to it.
        let taken = position.returned.checked_add(position.charged_back).is_some_and(|t| !t.is_zero());
        return if taken { News::Return } else { News::Refund };
    }
    if !income.is_zero() && outgo.value() >= income.value() {
        let taken = position.returned.checked_add(position.charged_back).unwrap_or(position.returned);
        return if taken.value() >= position.refunded.value() && !taken.is_zero() {
            News::Return
        } else {
            News::Refund
        };
    }
    if misfits.iter().any(spoils) {
        return News::Undecided;
    }
    if split_sum(expected, own).is_some() {
        return News::Reserve;
    }
    if !income.is_zero() {
        let is_whole = income.value() >= expected.value() || is_double;
        if !is_whole {
            // Captured in part: the rest is still held, or was given back.
            return if position.open().is_zero() { News::Pay } else { News::Reserve };
        }
        return if position.in_provisional.is_zero() { News::Pay } else { News::PayProvisionally };
    }
    if !position.reserved.is_zero() {
        return if position.open().is_zero() { News::Cancel } else { News::Reserve };
    }
    if !position.released.is_zero() {
        return News::Cancel;
    }
    if !position.accepted.is_zero() {
        return News::Accept;
    }
    let has = |meaning: Meaning| all().any(|k| k.meaning == meaning);
    if expected.is_zero() && has(Meaning::In) {
        return News::Pay;
    }
    if expected.is_zero() && has(Meaning::Reserved) {
        return News::Reserve;
    }
    if has(Meaning::Pending) || has(Meaning::Unknown) || has(Meaning::Silence) {
        News::Undecided
    } else if own.iter().any(|k| k.vanished || k.meaning == Meaning::Gone) || has(Meaning::CalledOff) {
        News::Cancel
    } else if has(Meaning::Failed) {
        News::Fail
    } else {
        News::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Transaction;
    use crate::words::id::TransactionId;
    use crate::words::time::Timestamp;

    fn eur(text: &str) -> Amount {
        Amount::parse(text, "EUR").expect("money")
    }

    fn known(id: &str, meaning: Meaning, value: &str) -> Known {
        Known {
            id: TransactionId::new(id).expect("id"),
            meaning,
            superseded: false,
            vanished: false,
            evidence: 1,
            learnt_at: Timestamp::UNIX_EPOCH,
            booked: None,
            transaction: Transaction { amount: Some(eur(value).into()), ..Transaction::default() },
        }
    }

    #[test]
    fn what_facts_add_up_to() {
        use Meaning::*;
        type Row = (&'static str, &'static [(Meaning, &'static str)], News);
        #[rustfmt::skip]
        let table: &[Row] = &[
            ("nothing known", &[], News::Undecided),
            ("a step only", &[(Step, "10")], News::Undecided),
            ("in progress", &[(Pending, "10")], News::Undecided),
            ("failed", &[(Failed, "10")], News::Fail),
            ("failed, then a second try in progress", &[(Failed, "10"), (Pending, "10")], News::Undecided),
            ("a silent provider", &[(Silence, "10")], News::Undecided),
            ("called off", &[(CalledOff, "10")], News::Cancel),
            ("failed, then paid", &[(Failed, "10"), (In, "10")], News::Pay),
            ("accepted", &[(Accepted, "10")], News::Accept),
            ("held", &[(Reserved, "10")], News::Reserve),
            ("held and given back", &[(Reserved, "10"), (Released, "10")], News::Cancel),
            ("paid", &[(In, "10")], News::Pay),
            ("paid by SEPA", &[(InProvisional, "10")], News::PayProvisionally),
            ("paid and returned", &[(InProvisional, "10"), (Return, "10")], News::Return),
            ("paid and charged back", &[(In, "10"), (Chargeback, "10")], News::Return),
            ("paid and refunded", &[(In, "10"), (Refund, "10")], News::Refund),
            ("paid, partly refunded", &[(In, "10"), (Refund, "4")], News::Pay),
            ("too little", &[(In, "9")], News::Undecided),
            ("too much", &[(In, "11")], News::Undecided),
            ("held wrongly", &[(Reserved, "11")], News::Undecided),
            ("a capture of half", &[(Reserved, "10"), (In, "5")], News::Reserve),
            ("a capture of half, the rest released", &[(Reserved, "10"), (In, "5"), (Released, "5")], News::Pay),
            ("nobody knows what", &[(Unknown, "10")], News::Undecided),
        ];
        for (what, facts, expected) in table {
            // Follow the chain: every later fact descends from the first.
            let mut own: Vec<Known> =
                facts.iter().enumerate().map(|(n, (m, v))| known(&format!("t{n}"), *m, v)).collect();
            for follow_up in own.iter_mut().skip(1) {
                follow_up.transaction.parent_transaction_id = Some("t0".into());
            }
            assert_eq!(standing(eur("10"), &own, &[]).news, *expected, "{what}");
        }
    }

    #[test]
    fn wrong_amounts_are_named_and_never_pay() {
        let short = standing(eur("10"), &[known("t", Meaning::In, "9.99")], &[]);
        assert_eq!(short.misfits.iter().map(|m| m.code).collect::<Vec<_>>(), [Code::AmountDiffers]);
        let mut foreign = known("t", Meaning::In, "10");
        foreign.transaction.amount = Amount::parse("10", "USD").ok().map(Into::into);
        assert_eq!(standing(eur("10"), &[foreign], &[]).misfits[0].code, Code::CurrencyDiffers);
        let mut bare = known("t", Meaning::In, "10");
        bare.transaction.amount = None;
        let unbookable = standing(eur("10"), &[bare], &[]);
        assert_eq!(unbookable.misfits[0].code, Code::AmountUnbookable);
        assert_eq!(unbookable.news, News::Undecided);
    }

    #[test]
    fn two_roots_under_one_request_are_a_double_payment() {
        let two = [known("a", Meaning::In, "10"), known("b", Meaning::In, "10")];
        let standing = standing(eur("10"), &two, &[]);
        assert_eq!(standing.news, News::Pay);
        assert_eq!(standing.misfits.iter().map(|m| m.code).collect::<Vec<_>>(), [Code::DoublePayment]);
    }

    #[test]
    fn deposits_come_in_parts() {
        let part = |id: &str, value: &str| {
            let mut k = known(id, Meaning::In, value);
            k.transaction.transaction_type = Some("deposit".into());
            k
        };
        let half = standing(eur("10"), &[part("a", "4")], &[]);
        assert_eq!((half.news, half.misfits[0].code), (News::Undecided, Code::AmountDiffers));
        let whole = standing(eur("10"), &[part("a", "4"), part("b", "6")], &[]);
        assert_eq!((whole.news, whole.misfits.len()), (News::Pay, 0));
    }

    #[test]
    fn a_split_capture_is_neither_a_wrong_amount_nor_all_of_it() {
        let part = |id: &str, meaning: Meaning, value: &str| {
            let mut k = known(id, meaning, value);
            k.transaction.transaction_type = Some("payment".into());
            k.transaction.parent_transaction_id = Some("order:7".into());
            k
        };
        let halves = [part("a", Meaning::InProvisional, "6"), part("b", Meaning::Reserved, "4")];
        let split = standing(eur("10"), &halves, &[]);
        assert_eq!((split.news, split.misfits.len()), (News::Reserve, 0), "{:?}", split.misfits);
        let short = [part("a", Meaning::InProvisional, "6"), part("b", Meaning::Reserved, "3")];
        assert_eq!(standing(eur("10"), &short, &[]).misfits[0].code, Code::AmountDiffers);
        let both = [part("a", Meaning::In, "6"), part("b", Meaning::In, "4")];
        assert_eq!((standing(eur("10"), &both, &[]).news), News::Pay);
    }

    #[test]
    fn follow_ups_move_the_root() {
        let hold = [known("a", Meaning::Reserved, "10")];
        let captured = standing(eur("10"), &hold, &[known("c", Meaning::In, "10")]);
        assert_eq!(captured.news, News::Pay);
        assert!(captured.position.open().is_zero());
        let own_view_of_refund = standing(eur("10"), &[known("r", Meaning::Refund, "10")], &[]);
        assert_eq!(own_view_of_refund.news, News::Refund);
    }

    #[test]
    fn only_the_dead_may_agree() {
        assert!(standing(eur("10"), &[], &[]).is_dead);
        assert!(standing(eur("10"), &[known("a", Meaning::Step, "10")], &[]).is_dead);
        assert!(standing(eur("10"), &[known("a", Meaning::Failed, "10")], &[]).is_dead);
        for meaning in [Meaning::Pending, Meaning::Silence, Meaning::Unknown, Meaning::Reserved, Meaning::In] {
            assert!(!standing(eur("10"), &[known("a", meaning, "10")], &[]).is_dead, "{meaning:?}");
        }
    }

    #[test]
    fn money_put_back_is_not_money_paid_twice() {
        let kind = |id: &str, meaning: Meaning, value: &str, name: &str, parent: Option<&str>| {
            let mut k = known(id, meaning, value);
            k.transaction.transaction_type = Some(name.into());
            k.transaction.parent_transaction_id = parent.map(str::to_owned);
            k
        };
        let refund_voided = [
            kind("p", Meaning::In, "10", "purchase", None),
            kind("r", Meaning::Refund, "10", "refund-purchase", Some("p")),
            kind("v", Meaning::In, "10", "void-refund-purchase", Some("r")),
        ];
        let represented = [
            kind("d", Meaning::InProvisional, "10", "debit", None),
            kind("r", Meaning::Return, "10", "debit-return", Some("d")),
            kind("s", Meaning::In, "10", "debit-return-succ-rep", Some("r")),
        ];
        for (facts, news) in [(&refund_voided, News::Pay), (&represented, News::PayProvisionally)] {
            let standing = standing(eur("10"), facts, &[]);
            assert_eq!((standing.news, &standing.misfits[..]), (news, &[][..]));
        }
    }

    #[test]
    fn a_root_that_was_voided_is_no_double_payment() {
        let mut void = known("v", Meaning::Refund, "10");
        void.transaction.parent_transaction_id = Some("a".into());
        let facts = [known("a", Meaning::In, "10"), void, known("b", Meaning::In, "10")];
        let standing = standing(eur("10"), &facts, &[]);
        assert_eq!((standing.news, standing.misfits.len()), (News::Pay, 0), "{:?}", standing.misfits);
    }
}
