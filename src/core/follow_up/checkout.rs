//! The rules of Checkout Page and Seamless (fact sheet checkout b.2, c.2, e).
//!
//! They go by what getOrderDetails said last: the states of the order's payments and credits. `operationsAllowed` is
//! not used: it changes without an object changing, and what we keep of it may be old. The gateway checks it itself.

use super::{Chain, Refused, basket, before, left, none_unknown, positive, rules, same, stated, sum, within};
use crate::core::known::Known;
use crate::core::meaning::Meaning;
use crate::core::message::Dialect;
use crate::core::operation::{Fund, Kind, OPERATIONS_MAX, Operation, Plan, Target, Wish};
use crate::words::id::{GatewayOrderNumber, MerchantName};
use crate::words::money::{Amount, Currency};
use crate::words::time::{Timestamp, days};

/// Methods whose money goes back by transferFund only (fact sheet checkout b.2), under all their names.
const BY_TRANSFER: [&str; 7] = ["IDL", "IDEAL", "SEPA-DD", "SOFORTUEBERWEISUNG", "SOFORT", "SOFORTBANKING", "SUE"];

/// What an order holds, one sum per state.
struct Order<'a> {
    number: GatewayOrderNumber,
    payments: Vec<&'a Known>,
    /// Those the gateway lists, and those booked from the reply to a transfer, which name no order.
    credits: Vec<&'a Known>,
    currency: Currency,
    /// The order's own amount, or where no answer states it, what was submitted.
    whole: Option<Amount>,
}

impl Order<'_> {
    fn sum(&self, meaning: Meaning) -> Amount {
        let of = self.payments.iter().filter(|k| k.stands() && k.meaning == meaning).filter_map(|k| k.amount());
        sum(self.currency, of)
    }

    fn approved(&self) -> Amount {
        self.sum(Meaning::Reserved)
    }

    /// Deposited, the day-end closing to come.
    fn deposited(&self) -> Amount {
        self.sum(Meaning::InProvisional)
    }

    fn closed(&self) -> Amount {
        self.sum(Meaning::In)
    }

    fn credited(&self) -> Amount {
        sum(self.currency, self.credits.iter().filter(|k| k.stands()).filter_map(|k| k.amount()))
    }

    /// In words: what the order holds.
    fn text(&self) -> String {
        let object = |k: &&Known| format!("{} is {}", k.id, state(k));
        let objects: Vec<String> = self.payments.iter().chain(&self.credits).map(object).collect();
        if objects.is_empty() { "the order holds no payment".to_owned() } else { objects.join(", ") }
    }
}

fn state(known: &Known) -> &str {
    if known.vanished { "gone" } else { known.transaction.transaction_state.as_deref().unwrap_or("without state") }
}

pub(super) fn plan(chain: &Chain<'_>, wish: &Wish) -> Result<Plan, Refused> {
    let kind = match wish.kind {
        Kind::Capture => Kind::Deposit,
        Kind::Void => Kind::ApproveReversal,
        kind => kind,
    };
    if kind == Kind::Transfer && wish.fund != Some(Fund::ExistingOrder) {
        return Err(Refused::Missing { kind: "transfer of an order", what: "--fund existing-order" });
    }
    if chain.root.operations.len() >= OPERATIONS_MAX {
        return Err(Refused::TooMany);
    }
    let order = order(chain)?;
    // What was executed is in the sums only once the order was looked at again.
    let seen = chain.root.watch.looked_at.unwrap_or(Timestamp::MIN);
    let is_unseen = |o: &&Operation| o.is_executed_after(seen);
    if let Some(operation) = chain.root.operations.iter().find(is_unseen) {
        return Err(Refused::BooksAreOld(operation.intent.request_id.to_string()));
    }
    let mut checked = vec![none_unknown(chain, wish, kind)?];
    let asked = stated(wish, order.currency, Dialect::Checkout)?;
    let (wire, amount, object) = match kind {
        Kind::Deposit | Kind::Capture => ("deposit", Some(deposit(chain, &order, asked, &mut checked)?), None),
        Kind::ApproveReversal | Kind::Void => {
            approve_reversal(&order, asked, &mut checked)?;
            ("approveReversal", None, None)
        }
        Kind::DepositReversal => {
            let needed = "payment_deposited";
            let object = reversible(&order, &order.payments, wish, "payment", needed, &mut checked)?;
            ("depositReversal", None, Some(object))
        }
        Kind::RefundReversal => {
            // Of a credit that the gateway does not list, no look could tell whether it was reversed.
            let is_listed = |k: &&Known| k.transaction.parent_transaction_id.is_some();
            let listed: Vec<&Known> = order.credits.iter().copied().filter(is_listed).collect();
            let object = reversible(&order, &listed, wish, "credit", "credit_refunded", &mut checked)?;
            ("refundReversal", None, Some(object))
        }
        Kind::Refund => {
            if let Some(method) = method(chain, &order).filter(|m| BY_TRANSFER.contains(&m.as_str())) {
                return Err(Refused::RefundedByTransfer(method));
            }
            ("refund", Some(refund(chain, &order, asked, &mut checked)?), None)
        }
        Kind::Credit => ("refund", Some(credit(chain, &order, wish, asked, &mut checked)?), None),
        Kind::Transfer => ("transferFund", Some(transfer(chain, &order, asked, &mut checked)?), None),
        Kind::Recur => ("recurPayment", Some(recur(chain, &order, asked, &mut checked)?), None),
    };
    if let Some(amount) = amount {
        let is_invoice = method(chain, &order).is_some_and(|m| m.contains("INVOICE"));
        let takes_basket = matches!(kind, Kind::Deposit | Kind::Refund | Kind::Credit);
        checked.extend(basket(
            &wish.basket,
            is_invoice && takes_basket && !wish.without_basket,
            amount,
            Dialect::Checkout,
        )?);
        complete_lines(wish)?;
    }
    Ok(Plan {
        kind,
        merchant: chain.root.merchant.clone(),
        wire: wire.to_owned(),
        amount,
        payment: Some(chain.root.number),
        order_number: chain.root.order_number().cloned(),
        before: before(chain.root, &order.number),
        target: Target::Checkout { order: Some(order.number), object },
        checked,
        means: None,
    })
}

/// A payout that follows nothing: no chain to check, only its own sense.
pub fn payout(merchant: &MerchantName, wish: &Wish) -> Result<Plan, Refused> {
    let missing = |what| Refused::Missing { kind: "transfer", what };
    let fund = wish.fund.ok_or(missing("--fund"))?;
    if fund == Fund::ExistingOrder {
        return Err(missing("the order whose payer gets it"));
    }
    let currency = wish.currency.ok_or(missing("--currency"))?;
    let amount = positive(stated(wish, currency, Dialect::Checkout)?.ok_or(missing("--amount"))?)?;
    Ok(Plan {
        kind: Kind::Transfer,
        merchant: merchant.clone(),
        wire: "transferFund".to_owned(),
        amount: Some(amount),
        payment: None,
        order_number: None,
        target: Target::Checkout { order: None, object: None },
        before: Vec::new(),
        checked: vec![
            "a payout depends on no order: nothing but its amount was checked (fact sheet checkout b.2)".into(),
        ],
        means: None,
    })
}

fn order<'a>(chain: &Chain<'a>) -> Result<Order<'a>, Refused> {
    let number = chain.root.gateway_order_number.clone().ok_or(Refused::NoGatewayOrder)?;
    let id = format!("order:{number}");
    let of_order = |k: &&Known| k.transaction.parent_transaction_id.as_deref() == Some(&id);
    let kind = |k: &Known, name: &str| k.transaction.transaction_type.as_deref() == Some(name);
    let known = &chain.root.known;
    let own = known.iter().find(|k| kind(k, "order") && k.id.as_str() == id);
    let payments: Vec<&Known> = known.iter().filter(of_order).filter(|k| kind(k, "payment")).collect();
    let is_credited = |k: &&Known| k.transaction.parent_transaction_id.as_deref().is_none_or(|parent| parent == id);
    let credits: Vec<&Known> = known.iter().filter(|k| kind(k, "credit")).filter(is_credited).collect();
    let amounts = || own.into_iter().chain(payments.iter().copied()).filter_map(Known::amount);
    let currency = amounts().next().map(Amount::currency).ok_or(Refused::NotSeenYet)?;
    let submitted = || chain.root.amount().filter(|amount| amount.currency() == currency);
    let whole = own.and_then(Known::amount).or_else(submitted);
    Ok(Order { number, payments, credits, currency, whole })
}

/// The method in capitals, as confirmations and answers name it.
fn method(chain: &Chain<'_>, order: &Order<'_>) -> Option<String> {
    let of_object = order.payments.iter().find_map(|k| k.transaction.payment_methods.first());
    // The answer names the engine's code, the confirmation the payment type: either may tell.
    let names: Vec<String> = chain.root.method.iter().chain(of_object).map(|name| name.to_ascii_uppercase()).collect();
    let telling = |name: &&String| BY_TRANSFER.contains(&name.as_str()) || name.contains("INVOICE");
    names.iter().find(telling).or(names.first()).cloned()
}

/// Σ of the operations that move the same money and may have taken effect: they count as done.
fn unknown(chain: &Chain<'_>, kind: Kind, currency: Currency) -> Amount {
    let open = chain.root.operations.iter().filter(|o| o.outcome.is_unknown() && same(o.intent.kind, kind));
    sum(currency, open.filter_map(|o| o.intent.amount))
}

fn deposit(
    chain: &Chain<'_>,
    order: &Order<'_>,
    asked: Option<Amount>,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let held = order.approved();
    if held.is_zero() {
        return Err(Refused::NothingApproved(order.text()));
    }
    // Never more than the order is worth, whatever of it is still shown as held.
    let taken = sum(order.currency, [order.deposited(), order.closed()].into_iter());
    let room = order.whole.map_or(held, |whole| left(whole, taken));
    let limit = if room.value() < held.value() { room } else { held };
    let before = unknown(chain, Kind::Deposit, order.currency);
    let amount = within(asked, before, limit, |asked| Refused::MoreThanAuthorised { asked, before, limit })?;
    checked.push(format!("{amount} is within the {limit} held and not taken yet"));
    Ok(amount)
}

fn approve_reversal(order: &Order<'_>, asked: Option<Amount>, checked: &mut Vec<String>) -> Result<(), Refused> {
    let held = order.approved();
    let taken = sum(order.currency, [order.deposited(), order.closed()].into_iter());
    if !taken.is_zero() {
        return Err(Refused::SomethingDeposited(taken));
    }
    if held.is_zero() {
        return Err(Refused::NothingApproved(order.text()));
    }
    if asked.is_some_and(|asked| asked != held) {
        return Err(Refused::VoidIsWhole { whole: held });
    }
    checked.push(format!("{held} is held and nothing of it is deposited"));
    Ok(())
}

/// The payment or credit that a reversal names, or the only one that can be reversed.
fn reversible(
    order: &Order<'_>,
    objects: &[&Known],
    wish: &Wish,
    what: &str,
    needed: &'static str,
    checked: &mut Vec<String>,
) -> Result<String, Refused> {
    let id_of = |number: &str| format!("{what}:{number}");
    let object = match &wish.object {
        Some(number) => *objects
            .iter()
            .find(|k| k.id.as_str() == id_of(number))
            .ok_or_else(|| Refused::NoSuchObject(id_of(number)))?,
        None => {
            let fits = |k: &&Known| !k.vanished && state(k) == needed;
            let fitting: Vec<&Known> = objects.iter().copied().filter(fits).collect();
            match fitting.as_slice() {
                [one] => *one,
                [] => {
                    let state = order.text();
                    return Err(Refused::NotReversible { object: format!("order {}", order.number), state, needed });
                }
                several => {
                    let ids: Vec<&str> = several.iter().map(|k| k.id.as_str()).collect();
                    return Err(Refused::SeveralObjects(ids.join(", ")));
                }
            }
        }
    };
    if state(object) != needed || object.vanished {
        let (object, state) = (object.id.to_string(), state(object).to_owned());
        return Err(Refused::NotReversible { object, state, needed });
    }
    let whole = object.amount();
    if let (Some(whole), Some(asked)) = (whole, stated(wish, order.currency, Dialect::Checkout)?)
        && whole != asked
    {
        return Err(Refused::VoidIsWhole { whole });
    }
    checked.push(format!("{} is {needed}: its day-end closing is still to come", object.id));
    Ok(object.id.as_str().split_once(':').map_or("", |(_, number)| number).to_owned())
}

fn refund(
    chain: &Chain<'_>,
    order: &Order<'_>,
    asked: Option<Amount>,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let limit = order.closed();
    if limit.is_zero() {
        let open = order.deposited();
        let nothing = || Refused::NothingDeposited(order.text());
        return Err(if open.is_zero() { nothing() } else { Refused::DayEndOpen(open) });
    }
    let before = sum(order.currency, [order.credited(), unknown(chain, Kind::Refund, order.currency)].into_iter());
    let rule = rules(Dialect::Checkout).taken;
    let amount = within(asked, before, limit, |asked| Refused::MoreThanTaken { asked, before, limit, rule })?;
    checked.push(format!("{amount} and {before} refunded before are within the {limit} deposited and closed"));
    Ok(amount)
}

fn credit(
    chain: &Chain<'_>,
    order: &Order<'_>,
    wish: &Wish,
    asked: Option<Amount>,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let name = method(chain, order).unwrap_or_else(|| "of an unknown method".to_owned());
    if !name.contains("INVOICE") {
        return Err(Refused::NotAnInvoice(name));
    }
    let asked = asked.ok_or(Refused::Missing { kind: "credit", what: "--amount" })?;
    let closed = order.closed();
    let whole = order.whole.unwrap_or(closed);
    let is_open = !order.approved().is_zero() || !order.deposited().is_zero();
    if closed != whole || closed.is_zero() || is_open {
        return Err(Refused::NotFullyDeposited { closed, whole });
    }
    if wish.basket.len() != 1 {
        return Err(Refused::OneLine(wish.basket.len()));
    }
    checked.push(format!("the full {whole} is deposited and closed"));
    refund(chain, order, Some(asked), checked)
}

fn transfer(
    chain: &Chain<'_>,
    order: &Order<'_>,
    asked: Option<Amount>,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    let name = method(chain, order).unwrap_or_else(|| "a payment of an unknown method".to_owned());
    if !BY_TRANSFER.contains(&name.as_str()) {
        return Err(Refused::NotTransferable(name));
    }
    let limit = sum(order.currency, [order.deposited(), order.closed()].into_iter());
    if limit.is_zero() {
        return Err(Refused::NothingDeposited(order.text()));
    }
    let before = sum(order.currency, [order.credited(), unknown(chain, Kind::Refund, order.currency)].into_iter());
    let rule = rules(Dialect::Checkout).taken;
    let amount = within(asked, before, limit, |asked| Refused::MoreThanTaken { asked, before, limit, rule })?;
    checked.push(format!("{amount} and {before} paid back before are within the {limit} deposited"));
    Ok(amount)
}

fn recur(
    chain: &Chain<'_>,
    order: &Order<'_>,
    asked: Option<Amount>,
    checked: &mut Vec<String>,
) -> Result<Amount, Refused> {
    if order.payments.is_empty() {
        return Err(Refused::NothingApproved(order.text()));
    }
    let newest = order.payments.iter().filter_map(|k| k.transaction.completed_at).max();
    if newest.unwrap_or(chain.root.received_at) < crate::words::time::later(chain.now, -days(400)) {
        return Err(Refused::TooOld);
    }
    checked.push("the order is not older than 400 days".to_owned());
    positive(asked.ok_or(Refused::Missing { kind: "recur", what: "--amount" })?)
}

/// All or nothing of a line, but for its description and picture (fact sheet checkout b.2).
fn complete_lines(wish: &Wish) -> Result<(), Refused> {
    for line in &wish.basket {
        let parts = [
            (&line.unit_net_amount, "unit_net_amount"),
            (&line.unit_tax_amount, "unit_tax_amount"),
            (&line.unit_tax_rate, "unit_tax_rate"),
        ];
        if let Some((_, name)) = parts.into_iter().find(|(part, _)| part.is_none()) {
            return Err(Refused::BasketIncomplete(name));
        }
    }
    Ok(())
}
