//! The rules of the Wirecard Payment Gateway (fact sheet wpg c.3).

use super::graph::{Edge, Family, edges, family, kind_of};
use super::{Chain, Refused, basket, credit_means, left, none_unknown, positive, rules, stated, sum, within};
use crate::core::known::Known;
use crate::core::meaning::Meaning;
use crate::core::message::Dialect;
use crate::core::operation::{Endpoint, Kind, Operation, Outcome, Plan, Target, Wish};
use crate::core::payment::Payment;
use crate::core::transaction_type::{Direction, transaction_type};
use crate::words::money::{Amount, Currency};
use crate::words::time::{hours, later};

/// A parent and what may follow it.
struct Found<'a> {
    parent: &'a Known,
    edge: Edge,
    family: Option<Family>,
    method: Option<&'a str>,
}

pub(super) fn plan(chain: &Chain<'_>, wish: &Wish) -> Result<Plan, Refused> {
    if matches!(wish.kind, Kind::Deposit | Kind::DepositReversal | Kind::ApproveReversal | Kind::RefundReversal) {
        return Err(Refused::OtherDialect { what: wish.kind.name(), dialect: "checkout" });
    }
    if wish.kind == Kind::Transfer {
        return Err(Refused::OtherDialect { what: "transfer", dialect: "checkout" });
    }
    let found = find(chain, wish)?;
    let parent = found.parent;
    let name = kind_name(parent);
    let mut checked = vec![format!("{} may follow {name} {} (fact sheet wpg c.3)", found.edge.child, parent.id)];
    checked.push(none_unknown(chain, wish, wish.kind)?);
    let whole = parent
        .amount()
        .ok_or_else(|| Refused::NotAnAmount(format!("{name} {} states an amount that can't be booked", parent.id)))?;
    let asked = stated(wish, whole.currency(), Dialect::Wpg)?;
    let amount = match wish.kind {
        Kind::Capture => capture(chain, &found, asked, whole, &mut checked)?,
        Kind::Void => void(chain, &found, asked, whole, &mut checked)?,
        Kind::Refund => refund(chain, &found, asked, whole, &mut checked)?,
        Kind::Credit => credit(chain, &found, asked, whole, &mut checked)?,
        Kind::Recur => positive(asked.ok_or(Refused::Missing { kind: "recur", what: "--amount" })?)?,
        Kind::Deposit | Kind::DepositReversal | Kind::ApproveReversal | Kind::RefundReversal | Kind::Transfer => {
            return Err(Refused::OtherDialect { what: wish.kind.name(), dialect: "checkout" });
        }
    };
    checked.push(format!("{} is the currency of the parent (400.1026)", amount.currency()));
    let needs_basket = found.family == Some(Family::Invoice) && !wish.without_basket;
    checked.extend(basket(&wish.basket, needs_basket, amount, Dialect::Wpg)?);
    let payment_method = found.edge.method.or(found.method).map(str::to_owned);
    let is_other_method = found.edge.method.is_some();
    let is_signed = wish.kind == Kind::Credit && found.family == Some(Family::Invoice);
    let periodic = parent.transaction.periodic.as_ref().and_then(|p| p.periodic_type.clone());
    Ok(Plan {
        kind: wish.kind,
        merchant: chain.root.merchant.clone(),
        wire: found.edge.child.to_owned(),
        amount: Some(amount),
        payment: Some(chain.root.number),
        order_number: chain.root.order_number().cloned(),
        target: Target::Wpg {
            parent: parent.id.clone(),
            merchant_account_id: parent
                .transaction
                .merchant_account_id
                .clone()
                .or_else(|| chain.root.merchant_account_id().map(str::to_owned)),
            payment_method,
            endpoint: if is_other_method { Endpoint::PaymentMethods } else { Endpoint::Payments },
            periodic_type: (wish.kind == Kind::Recur).then(|| periodic.unwrap_or_else(|| "recurring".to_owned())),
        },
        before: Vec::new(),
        checked,
        means: is_signed.then(|| credit_means(amount)),
    })
}

fn kind_name(known: &Known) -> &str {
    known.transaction.transaction_type.as_deref().unwrap_or("transaction")
}

fn all<'a>(chain: &Chain<'a>) -> impl Iterator<Item = &'a Known> {
    std::iter::once(chain.root).chain(chain.follow_ups).flat_map(|payment| &payment.known)
}

/// A transaction that something may follow: it succeeded, and is no mere redirect.
fn is_parent(known: &Known) -> bool {
    !known.vanished
        && known.meaning != Meaning::Gone
        && known.transaction.transaction_state.as_deref() == Some("success")
        && !known.transaction.redirect_only
}

fn find<'a>(chain: &Chain<'a>, wish: &Wish) -> Result<Found<'a>, Refused> {
    let candidates: Vec<&Known> = match &wish.transaction {
        Some(id) => {
            let named = all(chain).find(|k| k.id == *id).ok_or_else(|| Refused::NotInThisChain(id.to_string()))?;
            vec![named]
        }
        None => all(chain).filter(|k| is_parent(k)).collect(),
    };
    let kind = wish.kind.name();
    let describe = |known: &Known| {
        let state = known.transaction.transaction_state.as_deref().unwrap_or("without state");
        format!("{} {} is {state}", kind_name(known), known.id)
    };
    let mut found: Vec<Found<'a>> = Vec::new();
    for known in candidates.iter().copied().filter(|k| is_parent(k)) {
        found.extend(edge_of(chain, wish, known)?);
    }
    // One that was voided, or of which nothing is left, is not meant, unless it is named or the only one.
    if found.len() > 1 {
        let live: Vec<bool> = found.iter().map(|f| is_live(chain, f)).collect();
        if live.iter().any(|live| *live) {
            let mut live = live.into_iter();
            found.retain(|_| live.next().unwrap_or(true));
        }
    }
    match found.len() {
        0 => {
            let mut known: Vec<String> = candidates.iter().take(5).map(|k| describe(k)).collect();
            if known.is_empty() {
                known.push(nothing_known(chain));
            }
            Err(Refused::NoParent { kind, found: known.join(", ") })
        }
        1 => {
            let found = found.remove(0);
            match voided_by(chain, found.parent) {
                Some(by) => {
                    Err(Refused::Voided { id: found.parent.id.to_string(), by: format!("{} {}", kind_name(by), by.id) })
                }
                None => Ok(found),
            }
        }
        _ => {
            let ids: Vec<String> = found.iter().map(|f| format!("{} {}", kind_name(f.parent), f.parent.id)).collect();
            Err(Refused::SeveralParents { kind, ids: ids.join(", ") })
        }
    }
}

fn nothing_known(chain: &Chain<'_>) -> String {
    format!("nothing is known of request {} but that it is {}", chain.root.request_id, chain.root.state.name())
}

fn edge_of<'a>(chain: &Chain<'a>, wish: &Wish, parent: &'a Known) -> Result<Option<Found<'a>>, Refused> {
    let method = parent.transaction.payment_methods.first().or(chain.root.method.as_ref()).map(String::as_str);
    let family = method.and_then(family);
    let name = kind_name(parent);
    if method.is_some() && family.is_none() {
        return unknown_method(wish, parent, method);
    }
    // Without a method it is a card: other methods always name theirs (fact sheet wpg c.3).
    let known = family.unwrap_or(Family::Card);
    let edge = edges(known, name).find(|edge| edge.kind == wish.kind);
    let Some(edge) = edge else { return Ok(None) };
    if let Some(wire) = wish.transaction_type.as_deref().filter(|wire| *wire != edge.child) {
        return Err(Refused::NotAFollowUp {
            wire: wire.to_owned(),
            kind: wish.kind.name(),
            parent: format!("{name} {}", parent.id),
            allowed: edge.child.to_owned(),
        });
    }
    Ok(Some(Found { parent, edge, family, method }))
}

/// A method that no page we have speaks of: the operator names the type, and it must at least move the money the way
/// the kind says.
fn unknown_method<'a>(wish: &Wish, parent: &'a Known, method: Option<&'a str>) -> Result<Option<Found<'a>>, Refused> {
    let Some(wire) = wish.transaction_type.as_deref() else {
        return Err(Refused::UnknownMethod { method: method.unwrap_or_default().to_owned() });
    };
    let fits = |t: &crate::core::transaction_type::TransactionType| match wish.kind {
        Kind::Capture => t.direction == Direction::In && !t.by_gateway,
        Kind::Void => t.name.starts_with("void-"),
        Kind::Refund => t.direction == Direction::Out && !t.by_gateway || t.name == "refund-request",
        Kind::Credit => t.direction == Direction::Out && !t.by_gateway,
        Kind::Recur => matches!(t.direction, Direction::In | Direction::Reserve) && !t.by_gateway,
        Kind::Deposit | Kind::DepositReversal | Kind::ApproveReversal | Kind::RefundReversal | Kind::Transfer => false,
    };
    match transaction_type(wire).filter(fits) {
        Some(t) => {
            let edge = Edge { kind: wish.kind, child: t.name, method: None, is_divisible: wish.kind != Kind::Void };
            Ok(Some(Found { parent, edge, family: None, method }))
        }
        None => Err(Refused::NotAFollowUp {
            wire: wire.to_owned(),
            kind: wish.kind.name(),
            parent: format!("{} {}", kind_name(parent), parent.id),
            allowed: "a documented type that moves money that way".to_owned(),
        }),
    }
}

// ---- what came of a transaction ----

/// Standing children of a transaction.
fn children<'a>(chain: &Chain<'a>, parent: &'a Known) -> impl Iterator<Item = &'a Known> {
    all(chain).filter(move |k| k.stands() && k.transaction.parent_transaction_id.as_deref() == Some(parent.id.as_str()))
}

/// The void that undid a transaction whole.
fn voided_by<'a>(chain: &Chain<'a>, parent: &'a Known) -> Option<&'a Known> {
    let is_whole = |k: &Known| match (k.amount(), parent.amount()) {
        (Some(voided), Some(whole)) => voided.value() >= whole.value(),
        (None, _) | (_, None) => true,
    };
    let is_void =
        |k: &Known| kind_name(k).starts_with("void-") && k.transaction.transaction_state.as_deref() == Some("success");
    children(chain, parent).find(|k| is_void(k) && is_whole(k))
}

/// Transactions between a parent and what came of it at last: a refund that was taken as a request, a pending credit.
const STEPS_MAX: usize = 8;

/// Whether a transaction came of another, directly or by steps that move nothing themselves.
fn descends(chain: &Chain<'_>, known: &Known, from: &Known) -> bool {
    let parent_of = |k: &Known| k.transaction.parent_transaction_id.clone();
    let mut next = parent_of(known);
    for _ in 0..STEPS_MAX {
        let Some(id) = next else { return false };
        if id == from.id.as_str() {
            return true;
        }
        let is_step = |k: &&Known| matches!(k.meaning, Meaning::Step | Meaning::Pending) && k.id.as_str() == id;
        next = all(chain).find(is_step).and_then(parent_of);
    }
    false
}

/// Σ of what came of a transaction in one way, without what was voided, and with what is not decided yet.
fn done(chain: &Chain<'_>, parent: &Known, currency: Currency, counts: impl Fn(Kind) -> bool) -> Amount {
    let payments = std::iter::once(chain.root).chain(chain.follow_ups);
    sum(currency, payments.flat_map(|payment| done_by(chain, payment, parent, &counts)))
}

/// The amounts of one payment that came of `parent`: those of its facts, or where none counts, what it was submitted
/// for, unless that is known to have come to nothing.
fn done_by(chain: &Chain<'_>, payment: &Payment, parent: &Known, counts: impl Fn(Kind) -> bool) -> Vec<Amount> {
    let is_kind = |name: Option<&str>| name.and_then(kind_of).is_some_and(&counts);
    let submitted = payment
        .submission
        .as_ref()
        .filter(|s| s.parent_transaction_id.as_ref() == Some(&parent.id) && is_kind(s.transaction_type.as_deref()));
    // Of an own request every fact counts that its parent had no part in giving back, under whatever type it came.
    let is_of_own = |k: &Known| {
        submitted.is_some()
            && !matches!(k.meaning, Meaning::Return | Meaning::Chargeback)
            && kind_of(kind_name(k)).is_none_or(&counts)
    };
    let is_moving = |k: &Known| k.meaning.is_money() || k.meaning == Meaning::Pending;
    let facts: Vec<&Known> = payment
        .known
        .iter()
        .filter(|k| k.stands() && is_moving(k) && k.id != parent.id)
        .filter(|k| is_of_own(k) || (is_kind(Some(kind_name(k))) && descends(chain, k, parent)))
        .collect();
    if let (true, Some(submission)) = (facts.is_empty(), submitted) {
        let is_void = |k: &Known| voided_by(chain, k).is_some();
        // Its end may be known under another request: there it counts.
        let is_ended = |k: &Known| children(chain, k).any(|child| child.meaning.is_money());
        let is_nothing = is_over(payment) || payment.known.iter().any(|k| is_void(k) || is_ended(k));
        return if is_nothing { Vec::new() } else { vec![submission.amount] };
    }
    facts.into_iter().filter(|k| voided_by(chain, k).is_none()).filter_map(Known::amount).collect()
}

/// Submitted, and known not to have happened.
fn is_over(follow_up: &Payment) -> bool {
    use crate::core::lifecycle::State;
    let is_over = |o: &Operation| {
        matches!(o.outcome, Outcome::NotSent { .. } | Outcome::Refused { .. } | Outcome::NotSeen { .. })
    };
    let has_ended = matches!(follow_up.state, State::Failed | State::Cancelled | State::Unfinished);
    // It may be on its way once more.
    follow_up.operations.iter().any(is_over) || (has_ended && follow_up.watch.owed.is_none())
}

/// A void that may have taken effect gave the money back like a refund.
fn gives_back(kind: Kind) -> bool {
    matches!(kind, Kind::Refund | Kind::Credit | Kind::Void)
}

fn is_live(chain: &Chain<'_>, found: &Found<'_>) -> bool {
    let Some(whole) = found.parent.amount() else { return true };
    if voided_by(chain, found.parent).is_some() {
        return false;
    }
    let spent = match found.edge.kind {
        Kind::Capture => done(chain, found.parent, whole.currency(), |k| k == Kind::Capture),
        Kind::Refund => done(chain, found.parent, whole.currency(), gives_back),
        _ => return true,
    };
    !left(whole, spent).is_zero()
}

// ---- amounts ----

/// An authorization and its supplementary holds, whichever of them is named: they are captured as one sum.
fn holds<'a>(chain: &Chain<'a>, named: &'a Known) -> Vec<&'a Known> {
    const FURTHER: &str = "authorization-supplementary";
    let of = named.transaction.parent_transaction_id.as_deref().filter(|_| kind_name(named) == FURTHER);
    let first = all(chain).find(|k| Some(k.id.as_str()) == of && k.stands()).unwrap_or(named);
    let further = children(chain, first).filter(|k| k.meaning == Meaning::Reserved && kind_name(k) == FURTHER);
    std::iter::once(first).chain(further).collect()
}

/// Cards may be captured above the authorised sum where the contract says so; further holds add to it.
fn capture(
    chain: &Chain<'_>,
    found: &Found<'_>,
    asked: Option<Amount>,
    whole: Amount,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let currency = whole.currency();
    let pool = holds(chain, found.parent);
    let each = |counts: Kind| sum(currency, pool.iter().map(|hold| done(chain, hold, currency, |kind| kind == counts)));
    let held = left(sum(currency, pool.iter().filter_map(|hold| hold.amount())), each(Kind::Void));
    let before = each(Kind::Capture);
    let over =
        if found.family == Some(Family::Card) || found.family.is_none() { chain.over_capture_percent } else { 0 };
    let limit = with_percent(held, over);
    let amount = match asked {
        // More than authorised only where it is asked for.
        None => within(None, before, held, |asked| Refused::MoreThanAuthorised { asked, before, limit })?,
        Some(_) => within(asked, before, limit, |asked| Refused::MoreThanAuthorised { asked, before, limit })?,
    };
    checked.push(format!("{amount} and {before} captured before are within the {limit} that may be captured"));
    Ok(amount)
}

/// `amount` and a whole percentage of it, cut to the currency's digits.
fn with_percent(amount: Amount, percent: u32) -> Amount {
    let more = amount.value().checked_mul(rust_decimal::Decimal::new(i64::from(percent), 2));
    let more = more.map(|more| more.trunc_with_scale(amount.currency().exponent()));
    let more = more.and_then(|more| Amount::new(more, amount.currency()).ok());
    more.and_then(|more| amount.checked_add(more)).unwrap_or(amount)
}

fn void(
    chain: &Chain<'_>,
    found: &Found<'_>,
    asked: Option<Amount>,
    whole: Amount,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let currency = whole.currency();
    let used = done(chain, found.parent, currency, |k| k != Kind::Void && k != Kind::Recur);
    if found.edge.is_divisible {
        let before = done(chain, found.parent, currency, |k| matches!(k, Kind::Void | Kind::Capture));
        let amount = within(asked, before, whole, |asked| Refused::MoreThanAuthorised { asked, before, limit: whole })?;
        checked.push(format!("{amount} and {before} captured or given back before are within the {whole} held"));
        return Ok(amount);
    }
    // A wire transfer's announcement may be called off whatever came (fact sheet wpg c.3).
    if !used.is_zero() && found.family != Some(Family::WireTransfer) {
        let what = format!("{used} captured, refunded or credited");
        return Err(Refused::PartlyUsed { id: found.parent.id.to_string(), what });
    }
    if asked.is_some_and(|asked| asked != whole) {
        return Err(Refused::VoidIsWhole { whole });
    }
    checked.push(format!("the whole {whole} is voided, and nothing of it was used"));
    Ok(whole)
}

fn refund(
    chain: &Chain<'_>,
    found: &Found<'_>,
    asked: Option<Amount>,
    whole: Amount,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    // Bancontact refunds only 24 h after the debit (fact sheet wpg a.7).
    if let (Some("bancontact"), Some(at)) = (found.method, found.parent.transaction.completed_at) {
        let from = later(at, hours(24));
        if chain.now < from {
            return Err(Refused::TooEarly { what: "a refund of bancontact", from });
        }
    }
    let currency = whole.currency();
    let given = done(chain, found.parent, currency, gives_back);
    let taken = children(chain, found.parent)
        .filter(|k| matches!(k.meaning, Meaning::Return | Meaning::Chargeback))
        .filter_map(Known::amount);
    let before = sum(currency, std::iter::once(given).chain(taken));
    let rule = rules(Dialect::Wpg).taken;
    let amount = within(asked, before, whole, |asked| Refused::MoreThanTaken { asked, before, limit: whole, rule })?;
    checked.push(format!("{amount} and {before} given or taken back before are within the {whole} taken"));
    Ok(amount)
}

/// On an invoice a reduction or a charge, told apart by its sign ([`credit_means`]); for a card a payout that is bounded
/// like a refund.
fn credit(
    chain: &Chain<'_>,
    found: &Found<'_>,
    asked: Option<Amount>,
    whole: Amount,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let asked = asked.ok_or(Refused::Missing { kind: "credit", what: "--amount" })?;
    if found.family != Some(Family::Invoice) {
        return refund(chain, found, Some(asked), whole, checked);
    }
    if asked.is_zero() {
        return Err(Refused::NotPositive(asked));
    }
    // Which sign reduces is open, so either is bounded as a reduction is: by the invoice, with those of its sign before.
    let size = |amount: Amount| if amount.is_negative() { amount.negated() } else { amount };
    let payments = std::iter::once(chain.root).chain(chain.follow_ups);
    let earlier = payments.flat_map(|payment| done_by(chain, payment, found.parent, |kind| kind == Kind::Credit));
    let alike = earlier.filter(|amount| amount.is_negative() == asked.is_negative());
    let before = sum(whole.currency(), alike.map(size));
    let more = |_| Refused::MoreThanInvoiced { asked, before, limit: whole };
    within(Some(size(asked)), before, whole, more)?;
    checked.push(format!("{asked} and {before} credited that way before are within the invoice of {whole}"));
    Ok(asked)
}
