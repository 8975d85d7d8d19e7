//! The reckoning: all faults have stopped and time has passed. What the gateway's truth says must
//! stand in the books, and everything else must lie on somebody's desk.

use reconciled::core::account::Contract;
use reconciled::core::alert::{Alert, Status, Telling};
use reconciled::core::booking::Kind;
use reconciled::core::discrepancy::Code;
use reconciled::core::lifecycle::State;
use reconciled::core::payment::Payment;
use reconciled::engine::books;
use reconciled::sandbox::{KnownMove, MoveKind, Script};
use reconciled::store::chain::Head;
use reconciled::store::{Fault, Table, View};
use reconciled::words::money::Amount;
use reconciled::words::time::{Now, days, hours, later};

use crate::checker::{hex, stands_for};
use crate::world::World;

/// One seed in so many makes its last report again: it rebuilds all books.
const REPORT_AGAIN_EVERY: u64 = 4;

/// How long the quiet phase is: the sparse looks of a few days must find what was missed.
pub fn quiet_days(days: i64) -> i64 {
    if days > 14 { 10 } else { 5 }
}

/// What is wrong in the end, and the head of the journal.
pub fn reckon(world: &World, view: &dyn View, now: Now) -> Result<(Vec<String>, String), Fault> {
    let mut findings = Vec::new();
    for n in 0..world.orders.len() {
        if let Some(what) = order(world, view, now, n)? {
            let order = &world.orders[n];
            findings.push(format!("order {n} {} {} {:?}: {what}", order.merchant(), order.request_id(), order.script));
        }
    }
    alerts(world, view, now, &mut findings)?;
    let audit = world.engine.audit(view)?;
    findings.extend(audit.findings.into_iter().take(5).map(|f| format!("audit: {f}")));
    let makes_again = world.setting.seed.is_multiple_of(REPORT_AGAIN_EVERY);
    if let Some(slot) = world.reports.last().filter(|_| makes_again) {
        match world.engine.report_again(view, *slot)? {
            Some((report, sha256)) if hex(report.text().as_bytes()) == sha256 => {}
            Some(_) => findings.push(format!("the report of {} reads differently when it is made again", slot.day)),
            None => findings.push(format!("the report of {} was written and is unknown", slot.day)),
        }
    }
    Ok((findings, Head::of(view)?.hex()))
}

fn order(world: &World, view: &dyn View, now: Now, n: usize) -> Result<Option<String>, Fault> {
    let order = &world.orders[n];
    let Some(number) = books::by_request(view, order.merchant(), order.request_id().as_str())? else {
        return Ok(Some("it never came to the books".into()));
    };
    let payment = books::payment_at(view, number)?;
    let outside = world.outside();
    let moves = outside.moves(n);
    let account = &world.engine.policy.accounts[order.merchant()];
    let numbers: Vec<String> = payment
        .gateway_order_number
        .iter()
        .chain(&payment.second_orders)
        .map(|number| format!("payment:{number}"))
        .collect();
    let can_ask = match &account.contract {
        Contract::Wpg(_) => true,
        Contract::Checkout(checkout) => {
            let truth = world.gateway.payment_truth(order.merchant(), order.request_id(), world.machine.t);
            if truth.is_some_and(|t| t.askable) && numbers.is_empty() {
                return Ok(Some("a message with its gateway order number was thanked for, and it is unknown".into()));
            }
            checkout.can_ask && !numbers.is_empty()
        }
    };
    let is_wpg = matches!(account.contract, Contract::Wpg(_));
    if !can_ask {
        let is_on_a_desk = matches!(payment.state, State::HandedOver | State::Accepted) && payment.desk.is_some();
        return Ok((!is_on_a_desk).then(|| format!("nobody can be asked, and it is {}", payment.state.name())));
    }
    let is_visible =
        |m: &&KnownMove| is_wpg || !m.transaction_id.starts_with("payment:") || numbers.contains(&m.transaction_id);
    let moves: Vec<KnownMove> = moves.iter().filter(is_visible).cloned().collect();
    let asked = order.submission.amount;
    let sum = |kind: MoveKind| total(asked, moves.iter().filter(|m| m.kind == kind).map(|m| m.amount));
    let (income, held, released) = (sum(MoveKind::In), sum(MoveKind::Hold), sum(MoveKind::Release));
    let went_out = moves.iter().any(|m| m.kind == MoveKind::Out);

    let mut payments = vec![payment.clone()];
    for m in &order.follow_ups {
        let other = &world.orders[*m];
        let number = books::by_request(view, other.merchant(), other.request_id().as_str())?;
        payments.extend(number.map(|n| books::payment_at(view, n)).transpose()?);
    }
    let booked = |kinds: &[Kind]| total(asked, bookings(&payments).filter(|b| kinds.contains(&b.0)).map(|b| b.2));
    for (kind, id, amount) in bookings(&payments) {
        if !moves.iter().any(|m| stands_for(kind, id, amount, m)) {
            return Ok(Some(format!("booked {} {amount} for {id}; the truth is {moves:?}", kind.name())));
        }
    }
    let booked_in = booked(&[Kind::In, Kind::InProvisional]);
    // At `checkout` the second payment has an order number of its own: unheard, nobody can ask about it.
    let is_once = moves.iter().any(|m| m.kind == MoveKind::In && m.amount == booked_in);
    let is_second_unheard =
        !is_wpg && matches!(order.script, Script::PaidTwice { .. }) && order.heard.len() < 2 && is_once;
    if booked_in != income && !is_second_unheard {
        let state = payment.state.name();
        return Ok(Some(format!("booked in {booked_in}, the truth is {income}; it is {state}: {}", payment.reason)));
    }
    // At `checkout` a hold that is given back is no longer listed, and its line is reversed.
    let listed = if is_wpg { Some(held) } else { held.checked_add(released.negated()) };
    if income.is_zero() && Some(booked(&[Kind::Reserved])) != listed {
        return Ok(Some(format!("booked as held {}, the truth is {listed:?}", booked(&[Kind::Reserved]))));
    }
    if order.root.is_some() {
        return Ok(None);
    }
    let is_open_about = |code: Code| payment.open_discrepancies().any(|d| d.code == code);
    let is_double = booked_in == income && moves.iter().filter(|m| m.kind == MoveKind::In).count() > 1;
    let has_wrong_amount = order.plan.pays_instead.is_some_and(|a| a != asked) && !(income.is_zero() && held.is_zero());
    let state = payment.state;
    let fits = if went_out {
        // What the shop's staff gives back by hand is known only if its message came.
        matches!(state, State::Returned | State::Refunded | State::Paid)
            || (state == State::PaidProvisional && is_returnable(&payment) && !is_overdue_return(&payment, now))
            || (has_wrong_amount && is_open_about(Code::AmountDiffers))
    } else if has_wrong_amount {
        is_open_about(Code::AmountDiffers) && !matches!(state, State::Paid | State::PaidProvisional)
            || (is_double && is_open_about(Code::DoublePayment))
            || state == State::Cancelled && released == held
    } else if !income.is_zero() {
        let is_paid = state == State::Paid || (state == State::PaidProvisional && is_returnable(&payment));
        is_paid && is_double == is_open_about(Code::DoublePayment)
    } else if released != held {
        state == State::Reserved
    } else if !held.is_zero() && (is_wpg || state == State::Cancelled) {
        state == State::Cancelled
    } else {
        // What was held and given back at `checkout` before anybody looked is no longer listed either.
        matches!(state, State::Unfinished | State::Failed | State::Cancelled)
            || is_in_time(world, &payment, now)
            // Its pending debit never ends at the gateway: it is asked about for ever.
            || (is_returnable(&payment) && matches!(order.script, Script::Abandoned { .. }) && payment.next.is_some())
    };
    Ok((!fits).then(|| format!("it is {} ({}); the truth is {moves:?}", state.name(), payment.reason)))
}

fn total(like: Amount, amounts: impl Iterator<Item = Amount>) -> Amount {
    let mut sum = Amount::zero(like.currency());
    for amount in amounts {
        sum = sum.checked_add(amount).expect("one order is in one currency");
    }
    sum
}

fn bookings(payments: &[Payment]) -> impl Iterator<Item = (Kind, &str, Amount)> {
    let known = payments.iter().flat_map(|p| &p.known);
    known.filter_map(|k| k.booked.map(|b| (b.kind, k.id.as_str(), b.amount)))
}

fn is_returnable(payment: &Payment) -> bool {
    payment.method.as_deref() == Some("sepadirectdebit")
}

/// The look three days after the money came must have found the return.
fn is_overdue_return(payment: &Payment, now: Now) -> bool {
    now.steady > later(payment.watch.state_since, days(4))
}

/// Whether a dead payment's own time, with its three agreeing looks, is not over yet.
fn is_in_time(world: &World, payment: &Payment, now: Now) -> bool {
    let account = &world.engine.policy.accounts[&payment.merchant];
    let is_checkout = matches!(account.contract, Contract::Checkout(_));
    let method = world.engine.policy.schedule.method(is_checkout, payment.method.as_deref());
    let window = method.window.unwrap_or(days(400));
    let end = later(payment.watch.since, window + days(1) + hours(8));
    matches!(payment.state, State::Open | State::UnfinishedProvisional) && now.steady < end && payment.next.is_some()
}

/// Every alert reached the sinks, and nothing is stuck on its way.
fn alerts(world: &World, view: &dyn View, now: Now, findings: &mut Vec<String>) -> Result<(), Fault> {
    // The ticks of this world are two hours apart.
    let fresh = later(now.steady, -hours(3));
    for (key, bytes) in view.range(Table::Alerts, &[], &[], usize::MAX)? {
        let alert: Alert = books::parse(Table::Alerts, &key, &bytes)?;
        let is_fresh = alert.told_at > fresh;
        if !is_fresh && !world.was_told(&alert.id(), Status::Firing) {
            findings.push(format!("nobody was told that {} fires", alert.key));
        }
    }
    for (key, bytes) in view.range(Table::Outbox, &[], &[], usize::MAX)? {
        let telling: Telling = books::parse(Table::Outbox, &key, &bytes)?;
        if telling.not_before < fresh {
            findings.push(format!("telling {} is stuck after {} attempts", telling.id, telling.attempts));
        }
    }
    Ok(())
}
