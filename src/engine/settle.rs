//! What a change of one payment's facts means: ledger lines, discrepancies, state, next look, alerts.

use jiff::tz::TimeZone;

use crate::core::account::{Account, Contract};
use crate::core::alert::Topic;
use crate::core::booking::Booking;
use crate::core::discrepancy::{Code, Discrepancy, Severity};
use crate::core::known::{Known, denied, supersede};
use crate::core::ledger::{Entry, Posting, postings};
use crate::core::lifecycle::{self, State, Step};
use crate::core::meaning::Meaning;
use crate::core::payment::{DISCREPANCIES_MAX, Payment};
use crate::core::policy::Policy;
use crate::core::schedule::{self, Method, Next, Phase};
use crate::core::standing::{Misfit, Standing, standing};
use crate::engine::alerts::{self, Condition, NEWS_FOR, Who, member};
use crate::engine::{books, unknown};
use crate::store::{Draft, Fault, Table};
use crate::words::id::MerchantName;
use crate::words::money::Amount;
use crate::words::time::{Now, SignedDuration, Timestamp, business_day, days, hours, later};

/// Behind the window's end a notification may still be on its way for this long.
const WINDOW_SLACK: SignedDuration = hours(1);

/// What every step of one turn of the fold needs.
#[derive(Clone, Copy)]
pub struct Turn<'p> {
    pub policy: &'p Policy,
    /// The journal record that is applied.
    pub sequence: u64,
    pub now: Now,
}

impl<'p> Turn<'p> {
    pub fn account(&self, merchant: &MerchantName) -> Result<&'p Account, Fault> {
        self.policy.accounts.get(merchant).ok_or_else(|| {
            Fault::Broken(format!(
                "the journal speaks of merchant account `{merchant}`, which the policy in force does not have: \
                 put [merchants.{merchant}] back into the configuration"
            ))
        })
    }
}

/// What besides the facts a record brings.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    None,
    /// The time of an unaskable payment is over.
    TimeOver,
    /// Something happened that a person must know.
    Event(Code, String, Option<Amount>),
}

/// Whether the gateway can be asked about a payment at all.
pub fn can_ask(account: &Account, payment: &Payment) -> bool {
    match &account.contract {
        Contract::Wpg(_) => true,
        Contract::Checkout(checkout) => checkout.can_ask && payment.gateway_order_number.is_some(),
    }
}

pub fn method_of<'p>(policy: &'p Policy, account: &Account, payment: &Payment) -> &'p Method {
    let is_checkout = matches!(account.contract, Contract::Checkout(_));
    policy.schedule.method(is_checkout, payment.method.as_deref())
}

/// A conclusive look: counts whether it agrees, then settles. One that did not ask for every id (`is_whole`) may
/// end an agreement, and never makes one.
pub fn looked(draft: &mut Draft, turn: Turn, mut payment: Payment, is_whole: bool, news: News) -> Result<(), Fault> {
    let account = turn.account(&payment.merchant)?;
    let method = method_of(turn.policy, account, &payment);
    supersede(&mut payment.known, payment.method.as_deref());
    let is_dead = standing_of(draft, &payment)?.is_none_or(|s| s.is_dead);
    let deadline = schedule::deadline(method, payment.watch.since).filter(|_| is_whole);
    payment.watch.concluded(turn.now.steady, is_dead, deadline);
    if payment.watch.agreed.len() >= 2
        && let Some(at) = denied(&payment.known)
    {
        let confirmation = &mut payment.known[at];
        confirmation.vanished = true;
        confirmation.evidence = turn.sequence;
        confirmation.learnt_at = turn.now.wall;
    }
    settle(draft, turn, payment, news)
}

/// The standing of a payment with its follow-ups; `None` for orphans.
fn standing_of(draft: &Draft, payment: &Payment) -> Result<Option<Standing>, Fault> {
    let Some(amount) = payment.amount() else { return Ok(None) };
    let mut of_follow_ups: Vec<Known> = Vec::new();
    for number in &payment.follow_ups {
        of_follow_ups.extend(books::payment_at(draft, *number)?.known);
    }
    Ok(Some(standing(amount, &payment.known, &of_follow_ups)))
}

/// Settles a payment after its facts, ids or looks changed, and then the payment it follows up.
pub fn settle(draft: &mut Draft, turn: Turn, mut payment: Payment, news: News) -> Result<(), Fault> {
    supersede(&mut payment.known, payment.method.as_deref());
    let Some(mut standing) = standing_of(draft, &payment)? else {
        return settle_orphan(draft, turn, payment, &news);
    };
    let account = turn.account(&payment.merchant)?;
    post(draft, turn, &mut payment)?;
    if let Some(twin) = double_payment(draft, &payment, &standing)? {
        standing.misfits.push(twin);
    }
    if let Some(overdue) = capture_overdue(&payment, turn.now) {
        standing.misfits.push(overdue);
    }
    let was_income = payment.state.is_income();
    let events = live(turn, account, &mut payment, &standing, &news);
    reconcile_discrepancies(draft, turn, &mut payment, &standing.misfits, events)?;
    let is_askable = can_ask(account, &payment);
    unknown::follow(draft, turn.policy, &mut payment, is_askable, turn.now)?;
    plan(turn, account, &mut payment);
    alert(draft, turn, account, &mut payment)?;
    let until = until(turn.policy, account, &payment);
    books::save(draft, &payment, until)?;
    if was_income && !payment.state.is_income() {
        release_twins(draft, turn, &payment)?;
    }
    match payment.root {
        Some(root) => {
            let root = books::payment_at(draft, root)?;
            settle(draft, turn, root, News::None)
        }
        None => Ok(()),
    }
}

/// Writes a payment whose next look changed and nothing else.
pub fn replan(draft: &mut Draft, turn: Turn, mut payment: Payment) -> Result<(), Fault> {
    let account = turn.account(&payment.merchant)?;
    plan(turn, account, &mut payment);
    let until = until(turn.policy, account, &payment);
    books::save(draft, &payment, until)
}

// ---- ledger ----

fn post(draft: &mut Draft, turn: Turn, payment: &mut Payment) -> Result<(), Fault> {
    let order_number = match (payment.order_number(), payment.root) {
        (Some(own), _) => Some(own.clone()),
        (None, Some(root)) => books::payment_at(draft, root)?.order_number().cloned(),
        (None, None) => None,
    };
    let zone = report_zone(turn.policy);
    for known in &mut payment.known {
        for posting in postings(known, true) {
            let seq = books::next_number(draft, Table::Ledger)?;
            let (kind, amount, reverses) = match posting {
                Posting::Reverse(booked) => (booked.kind, booked.amount.negated(), Some(booked.seq)),
                Posting::Book(kind, amount) => (kind, amount, None),
            };
            let entry = Entry {
                seq,
                merchant: payment.merchant.clone(),
                order_number: order_number.clone(),
                request_id: payment.request_id.clone(),
                transaction_id: known.id.clone(),
                kind,
                amount,
                occurred_at: known.transaction.completed_at.unwrap_or(known.learnt_at),
                learnt_at: turn.now.wall,
                evidence: turn.sequence,
                reverses,
            };
            books::put_entry(draft, &entry, business_day(turn.now.wall, &zone))?;
            known.booked = match posting {
                Posting::Reverse(_) => None,
                Posting::Book(kind, amount) => Some(Booking { seq, kind, amount }),
            };
        }
    }
    Ok(())
}

fn report_zone(policy: &Policy) -> TimeZone {
    zone(&policy.report.time_zone)
}

/// A zone of a policy, which names only zones that were checked when it was read.
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

// ---- life ----

/// A payout that nobody can be asked about, and that its answer, its sender or a person says did not happen.
fn is_payout_over(payment: &Payment) -> bool {
    use crate::core::operation::{Outcome, PAYOUT};
    payment.operations.iter().any(|o| {
        o.intent.target.starts_with(PAYOUT)
            && matches!(o.outcome, Outcome::Refused { .. } | Outcome::NotSent { .. } | Outcome::NotSeen { .. })
    })
}

/// Moves the payment along its lifecycle; returns what must be told about the move.
fn live(turn: Turn, account: &Account, payment: &mut Payment, standing: &Standing, news: &News) -> Vec<Misfit> {
    let mut events = event_of(news);
    let can_ask = can_ask(account, payment);
    if payment.state == State::HandedOver && can_ask {
        // It became known how to ask: back to the looks.
        payment.state = State::Open;
    }
    let agreed = payment.watch.agreed.len();
    let said = match standing.news {
        lifecycle::News::Undecided | lifecycle::News::Cancel if is_payout_over(payment) => lifecycle::News::Fail,
        lifecycle::News::Undecided if *news == News::TimeOver && !can_ask => lifecycle::News::HandOver,
        lifecycle::News::Undecided if standing.is_dead && agreed >= 3 => lifecycle::News::AgreeThrice,
        lifecycle::News::Undecided if standing.is_dead && agreed == 2 => lifecycle::News::AgreeTwice,
        said => said,
    };
    let before = payment.state;
    let amount = payment.amount();
    match lifecycle::step(before, said) {
        Step::Stay => {}
        Step::Move(to) => {
            if to == State::Returned {
                let taken = standing.position.returned.checked_add(standing.position.charged_back);
                let what = "the bank or the card scheme took the money back".to_owned();
                events.push(Misfit { code: Code::MoneyReturned, what, amount: taken });
            }
            enter(payment, to, turn.now);
        }
        Step::MoveLate(to) => {
            let what = format!("it was {} before, and the money came after all", before.name());
            events.push(Misfit { code: Code::LatePayment, what, amount });
            enter(payment, to, turn.now);
        }
        Step::MoveBack(to) => {
            if before.is_income() {
                let what = format!("it was {} before, and is {} now", before.name(), to.name());
                events.push(Misfit { code: Code::TakenBack, what, amount });
            }
            enter(payment, to, turn.now);
        }
    }
    payment.reason = reason(payment, standing, can_ask);
    events
}

fn event_of(news: &News) -> Vec<Misfit> {
    match news {
        News::Event(code, what, amount) => vec![Misfit { code: *code, what: what.clone(), amount: *amount }],
        News::None | News::TimeOver => Vec::new(),
    }
}

fn enter(payment: &mut Payment, state: State, now: Now) {
    payment.state = state;
    payment.state_at = now.wall;
    payment.watch.state_since = now.steady;
}

/// In words: why a payment is in its state.
fn reason(payment: &Payment, standing: &Standing, can_ask: bool) -> String {
    let by = |meanings: &[Meaning]| {
        let known = payment.known.iter().rev().find(|k| k.stands() && meanings.contains(&k.meaning));
        known.map(|k| {
            let kind = k.transaction.transaction_type.as_deref().unwrap_or("transaction");
            let state = k.transaction.transaction_state.as_deref().unwrap_or("");
            let amount = k.amount().map(|a| format!(" {a}")).unwrap_or_default();
            format!("{kind} {} is `{state}`{amount}", k.id)
        })
    };
    let or = |found: Option<String>, text: &str| found.unwrap_or_else(|| text.to_owned());
    match payment.state {
        State::Open => {
            if let Some(misfit) = standing.misfits.iter().find(|m| !m.code.is_news()) {
                return format!("{}: {}", misfit.code.name(), misfit.what);
            }
            match by(&[Meaning::Pending, Meaning::Unknown, Meaning::Silence, Meaning::Step]) {
                Some(what) => format!("not decided: {what}"),
                None if !can_ask => "nothing was heard, and without a gateway order number nobody can be asked".into(),
                None if payment.watch.looks > 0 => "the gateway knows nothing of it (yet)".into(),
                None if payment.watch.failures > 0 => "no notification came yet, and the gateway did not answer".into(),
                None => "no notification came yet and nothing was asked yet".into(),
            }
        }
        State::UnfinishedProvisional => "two looks, 30 minutes apart, agree that nothing can still be paid".into(),
        State::Unfinished => "three looks, the last a day later, agree that nothing can still be paid".into(),
        State::Accepted if denied(&payment.known).is_some() => {
            "the gateway confirmed SUCCESS, and its own books list no payment yet".into()
        }
        State::Accepted if can_ask => "the gateway confirmed SUCCESS; its own books were not seen yet".into(),
        State::Accepted => "the gateway confirmed SUCCESS; its own books can't be asked".into(),
        State::Reserved => or(by(&[Meaning::Reserved]), "the money is held"),
        State::PaidProvisional => or(by(&[Meaning::InProvisional]), "paid, may still be returned"),
        State::Paid => or(by(&[Meaning::In]), "its follow-ups brought the money in"),
        State::Failed => or(by(&[Meaning::Failed]), "the gateway decided against it"),
        State::Cancelled => or(by(&[Meaning::CalledOff, Meaning::Released]), "called off, or the hold was given back"),
        State::Returned => or(by(&[Meaning::Return, Meaning::Chargeback]), "the money was taken back"),
        State::Refunded => or(by(&[Meaning::Refund, Meaning::Credit]), "its follow-ups gave the money back"),
        State::HandedOver => {
            let claim = payment.claim.as_deref().map(|c| format!("; {c}")).unwrap_or_default();
            format!("no notification came, and without a gateway order number nobody can be asked{claim}")
        }
    }
}

// ---- discrepancies ----

/// Another payment of the same order that is in or held as well.
fn double_payment(draft: &Draft, payment: &Payment, standing: &Standing) -> Result<Option<Misfit>, Fault> {
    use lifecycle::News::{Accept, Pay, PayProvisionally, Reserve};
    let is_income = matches!(standing.news, Accept | Reserve | PayProvisionally | Pay);
    let Some(order_number) = payment.order_number() else { return Ok(None) };
    if !is_income || payment.is_follow_up() {
        return Ok(None);
    }
    for number in books::by_order(draft, &payment.merchant, order_number.as_str())? {
        if number == payment.number {
            continue;
        }
        let other = books::payment_at(draft, number)?;
        let told_there = other.open_discrepancies().any(|d| d.code == Code::DoublePayment);
        if other.state.is_income() && !other.is_follow_up() && !told_there {
            let what = format!("order {order_number} is also {} by request {}", other.state.name(), other.request_id);
            return Ok(Some(Misfit { code: Code::DoublePayment, what, amount: payment.amount() }));
        }
    }
    Ok(None)
}

/// A payment that is income no longer may have been the other half of a double payment.
fn release_twins(draft: &mut Draft, turn: Turn, payment: &Payment) -> Result<(), Fault> {
    let Some(order_number) = payment.order_number() else { return Ok(()) };
    for number in books::by_order(draft, &payment.merchant, order_number.as_str())? {
        let other = books::payment_at(draft, number)?;
        if number != payment.number && other.open_discrepancies().any(|d| d.code == Code::DoublePayment) {
            settle(draft, turn, other, News::None)?;
        }
    }
    Ok(())
}

fn capture_overdue(payment: &Payment, now: Now) -> Option<Misfit> {
    let due = payment.submission.as_ref()?.captures_due?;
    (payment.state == State::Reserved && due < now.wall).then(|| Misfit {
        code: Code::CaptureOverdue,
        what: format!("the hold was to be captured by {due}"),
        amount: payment.amount(),
    })
}

/// Opens what is new, resolves what no longer holds, and lets the alerts follow.
fn reconcile_discrepancies(
    draft: &mut Draft,
    turn: Turn,
    payment: &mut Payment,
    misfits: &[Misfit],
    events: Vec<Misfit>,
) -> Result<(), Fault> {
    let now = turn.now;
    let mut ended = Vec::new();
    for discrepancy in payment.discrepancies.iter_mut().filter(|d| d.resolved_at.is_none() && !d.code.is_news()) {
        if !misfits.iter().any(|m| m.code == discrepancy.code) {
            discrepancy.resolved_at = Some(now.wall);
            ended.push(discrepancy.code);
        }
    }
    for code in ended {
        alerts::leave(draft, turn.policy, &discrepancy_key(payment, code), payment, now)?;
    }
    for misfit in misfits.iter().chain(&events) {
        let is_open = payment.open_discrepancies().any(|d| d.code == misfit.code && d.what == misfit.what);
        if is_open {
            continue;
        }
        let mut is_new = true;
        let same_code = payment.discrepancies.iter_mut().find(|d| d.code == misfit.code && d.resolved_at.is_none());
        match same_code {
            // The same disagreement in other numbers.
            Some(open) if !misfit.code.is_news() => {
                open.what = misfit.what.clone();
                open.amount = misfit.amount;
                open.evidence = turn.sequence;
                is_new = false;
            }
            _ => {
                if payment.discrepancies.len() >= DISCREPANCIES_MAX {
                    // What still holds stays: its alert ends with it.
                    let is_past = |d: &Discrepancy| d.resolved_at.is_some() || d.code.is_news();
                    let oldest = payment.discrepancies.iter().position(is_past).unwrap_or(0);
                    payment.discrepancies.remove(oldest);
                }
                books::put_discrepancy_day(draft, payment.number, business_day(now.wall, &report_zone(turn.policy)));
                payment.discrepancies.push(Discrepancy {
                    code: misfit.code,
                    what: misfit.what.clone(),
                    amount: misfit.amount,
                    since: now.wall,
                    evidence: turn.sequence,
                    resolved_at: None,
                });
            }
        }
        let condition = Condition {
            key: discrepancy_key(payment, misfit.code),
            topic: Topic::Discrepancy,
            severity: misfit.code.severity(),
            merchant: Some(payment.merchant.clone()),
            summary: if payment.is_imported {
                format!("{} at imported payments of {}", misfit.code.name(), payment.merchant)
            } else {
                format!("{} at request {}: {}", misfit.code.name(), payment.request_id, misfit.what)
            },
            ends_at: misfit.code.is_news().then(|| later(now.steady, NEWS_FOR)),
        };
        let note = payment.is_imported.then(|| misfit.what.clone());
        let listed = member(payment, note);
        let who = if is_new { Who::Joins(listed) } else { Who::Stays(listed) };
        alerts::raise(draft, turn.policy, condition, who, now)?;
    }
    Ok(())
}

fn discrepancy_key(payment: &Payment, code: Code) -> String {
    // Of an imported list nobody wants an alert for every row.
    if payment.is_imported {
        return format!("discrepancy/{}/{}/ imported", code.name(), payment.merchant);
    }
    format!("discrepancy/{}/{}/{}", code.name(), payment.merchant, payment.request_id)
}

// ---- looks and alerts ----

fn plan(turn: Turn, account: &Account, payment: &mut Payment) {
    let method = method_of(turn.policy, account, payment);
    let can_ask = can_ask(account, payment);
    let mut next = if payment.is_orphan() {
        // One look, when the message that made it is ten minutes old.
        // Where nobody can be asked it is told then, unless the submission came.
        let soon = payment.watch.soon.as_ref().filter(|_| payment.watch.looks == 0 || !can_ask).map(|soon| Next {
            at: soon.at,
            phase: if can_ask { Phase::Soon } else { Phase::HandOver },
            why: soon.why.clone(),
        });
        let owed = schedule::owed(&payment.watch, method).filter(|_| can_ask);
        let next = soon.into_iter().chain(owed).min_by_key(|next| next.at);
        next.map(|next| Next { at: payment.watch.retry_at.map_or(next.at, |retry| retry.max(next.at)), ..next })
    } else {
        schedule::plan(payment.state, &payment.watch, method, can_ask, payment.number)
    };
    let captures_due = payment.submission.as_ref().and_then(|s| s.captures_due);
    if let (State::Reserved, Some(due), true) = (payment.state, captures_due, can_ask)
        && due >= turn.now.wall
    {
        let at = later(turn.now.steady, due.duration_since(turn.now.wall) + SignedDuration::from_secs(1));
        if next.as_ref().is_none_or(|next| at < next.at) {
            next = Some(Next { at, phase: Phase::Settled, why: "the hold was to be captured by now".into() });
        }
    }
    if !can_ask
        && let Some(tell) = unknown::next_telling(payment)
        && next.as_ref().is_none_or(|next| tell.at < next.at)
    {
        next = Some(tell);
    }
    #[cfg(planted)]
    if payment.watch.failures > 0 && crate::planted::is("look-forgotten-after-an-error") {
        next = None;
    }
    payment.next = next;
}

/// Until when (steady clock) a notification for the payment may still be on its way.
fn until(policy: &Policy, account: &Account, payment: &Payment) -> Timestamp {
    let is_pending = payment.known.iter().any(|k| k.stands() && k.meaning == Meaning::Pending);
    let window = method_of(policy, account, payment).window.unwrap_or(days(400));
    if is_pending { Timestamp::MAX } else { later(payment.watch.since, window + WINDOW_SLACK) }
}

fn alert(draft: &mut Draft, turn: Turn, account: &Account, payment: &mut Payment) -> Result<(), Fault> {
    hand_over(draft, turn, account, payment)?;
    let method = method_of(turn.policy, account, payment);
    let is_undecided = matches!(payment.state, State::Open | State::Accepted);
    // Of an imported payment nothing can be said before the gateway was asked about it.
    let first = payment.watch.attempted_since.unwrap_or(payment.watch.since);
    let was_asked = !payment.is_imported || payment.watch.looks > 0;
    let is_frozen = is_undecided && was_asked && schedule::is_frozen(method, first, turn.now.steady);
    let key = format!("frozen/{}", payment.merchant);
    if is_frozen && !payment.is_frozen {
        let condition = Condition {
            key,
            topic: Topic::Frozen,
            severity: Severity::Warning,
            merchant: Some(payment.merchant.clone()),
            summary: format!("payments of {} are not decided after more than two weeks", payment.merchant),
            ends_at: None,
        };
        alerts::raise(draft, turn.policy, condition, Who::Joins(member(payment, None)), turn.now)?;
    } else if payment.is_frozen && !is_frozen {
        alerts::leave(draft, turn.policy, &key, payment, turn.now)?;
    }
    payment.is_frozen = is_frozen;
    Ok(())
}

/// Puts a payment that nobody can be asked about on a person's desk, or takes it from there.
fn hand_over(draft: &mut Draft, turn: Turn, account: &Account, payment: &mut Payment) -> Result<(), Fault> {
    let now = turn.now;
    let confirmed = payment.state == State::Accepted;
    let needs_desk = payment.state == State::HandedOver || (confirmed && !can_ask(account, payment));
    let large_key = format!("handed-over-large/{}/{}", payment.merchant, payment.request_id);
    if !needs_desk {
        if let Some(key) = payment.desk.take() {
            alerts::leave(draft, turn.policy, &key, payment, now)?;
            alerts::leave(draft, turn.policy, &large_key, payment, now)?;
        }
        return Ok(());
    }
    let note = if confirmed { Some("confirmed by the gateway".to_owned()) } else { payment.claim.clone() };
    let listed = member(payment, note.clone());
    let day = business_day(now.wall, &report_zone(turn.policy));
    let (key, who) = match payment.desk.take() {
        Some(key) => (key, Who::Stays(listed)),
        None => (format!("handed-over/{}/{day}", payment.merchant), Who::Joins(listed)),
    };
    let condition = Condition {
        key: key.clone(),
        topic: Topic::HandedOver,
        severity: Severity::Warning,
        merchant: Some(payment.merchant.clone()),
        summary: format!("payments of {} that nobody can be asked about: look them up by hand", payment.merchant),
        ends_at: None,
    };
    alerts::raise(draft, turn.policy, condition, who, now)?;
    payment.desk = Some(key);
    if !confirmed && (payment.is_imported || !is_large(turn.policy, payment.amount())) {
        return Ok(());
    }
    let what = if confirmed { "confirmed" } else { "large" };
    let is_told = books::firing(draft, &large_key)?.is_some();
    let listed = member(payment, note);
    let condition = Condition {
        key: large_key,
        topic: Topic::HandedOverLarge,
        severity: Severity::Page,
        merchant: Some(payment.merchant.clone()),
        summary: format!("a {what} payment that nobody can be asked about: request {}", payment.request_id),
        ends_at: None,
    };
    let who = if is_told { Who::Stays(listed) } else { Who::Joins(listed) };
    alerts::raise(draft, turn.policy, condition, who, now)
}

fn is_large(policy: &Policy, amount: Option<Amount>) -> bool {
    let Some(amount) = amount else { return false };
    policy.alerts.large.iter().any(|l| l.currency() == amount.currency() && amount.value() >= l.value())
}

// ---- orphans ----

/// A request nobody submitted: its facts are kept, nothing is booked, and money is told.
fn settle_orphan(draft: &mut Draft, turn: Turn, mut payment: Payment, news: &News) -> Result<(), Fault> {
    let account = turn.account(&payment.merchant)?;
    if *news == News::TimeOver {
        payment.watch.soon = None;
    }
    let money = payment.known.iter().find(|k| k.stands() && k.meaning.is_income());
    let is_told = payment.open_discrepancies().any(|d| d.code == Code::OrphanMoney);
    let misfit = money.filter(|_| is_told || payment.watch.looks > 0 || *news == News::TimeOver).map(|known| {
        let stated = known.amount().map(|a| a.to_string()).unwrap_or_else(|| "an amount".into());
        Misfit {
            code: Code::OrphanMoney,
            what: format!("the gateway reports {stated} for a request nobody submitted (transaction {})", known.id),
            amount: known.amount(),
        }
    });
    reconcile_discrepancies(draft, turn, &mut payment, misfit.as_slice(), event_of(news))?;
    payment.reason = "verified messages came for a request nobody submitted".into();
    plan(turn, account, &mut payment);
    let until = until(turn.policy, account, &payment);
    books::save(draft, &payment, until)
}

/// The submission came: the orphan's alert is over.
pub fn clear_orphan(draft: &mut Draft, turn: Turn, payment: &mut Payment) -> Result<(), Fault> {
    reconcile_discrepancies(draft, turn, payment, &[], Vec::new())
}
