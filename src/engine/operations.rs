//! The verbs of an operation that moves money: check it against the chain, journal it, take what came of it.
//!
//! Nothing here can send anything: the command an operator types sends, once, what was journaled.

use std::collections::BTreeMap;

use crate::core::account::{Account, Contract};
use crate::core::follow_up::{self, Chain, Refused, payout};
use crate::core::known::Known;
use crate::core::message::{Dialect, Transaction};
use crate::core::operation::{Fund, Intent, Kind, Operator, Outcome, PAYOUT, Plan, RECUR_OF, Target, Wish, repeat_key};
use crate::core::payment::Payment;
use crate::core::record::Event;
use crate::core::submission::Submission;
use crate::engine::intake::{TRANSACTIONS_MAX, allow_listed};
use crate::engine::{
    Engine, Refusal, Responded, ResponseSeen, ResponseWhat, Submitted, books, intake, repeats, stated,
};
use crate::store::{Draft, Fault, View, journal_len};
use crate::wire;
use crate::words::id::{GatewayOrderNumber, MerchantName, RequestId, TransactionId};
use crate::words::time::Now;

/// How much more than authorised an account's contract lets the shop capture, in percent.
pub type OverCapture = BTreeMap<MerchantName, u32>;

/// An operation to be journaled: the wish, the plan its operator saw, and who he is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operate {
    pub wish: Wish,
    /// Refused where the books have moved on since it was shown.
    pub expected: Plan,
    pub request_id: RequestId,
    /// `checkout`: a pre-generated number for the order or credit it makes.
    pub made_number: Option<String>,
    pub by: Operator,
}

/// What became of the wish to journal one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operated {
    /// Durable with the commit of this draft. Only now may it be sent.
    Journaled {
        operation: u64,
    },
    Refused(Refusal),
}

/// What its sender, or a person, tells of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Answered {
        http_status: u16,
        body: String,
    },
    /// The request went out and no whole answer came back.
    NoAnswer {
        why: String,
    },
    /// It certainly did not go out.
    NotSent {
        why: String,
    },
    /// A person looked it up elsewhere.
    Stated {
        executed: bool,
        why: String,
        by: Operator,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Concluded {
    Kept {
        outcome: Outcome,
    },
    UnknownOperation,
    /// The gateway's own answer or books say otherwise; nothing was kept.
    Refused(Refusal),
}

fn refuse(error: impl Into<String>, field: Option<&str>) -> Refusal {
    Refusal { error: error.into(), field: field.map(str::to_owned), hint: None }
}

impl Engine {
    /// Checks a wish against the chain; pure reading.
    pub fn plan_operation(
        &self,
        view: &dyn View,
        wish: &Wish,
        over: &OverCapture,
        now: Now,
    ) -> Result<Result<Plan, Refusal>, Fault> {
        let is_payout = wish.kind == Kind::Transfer && wish.fund != Some(Fund::ExistingOrder);
        if is_payout {
            let plan = self.plan_payout(view, wish)?;
            return not_repeated(view, wish, plan);
        }
        let root = match self.root_of(view, wish)? {
            Ok(root) => root,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(account) = self.policy.accounts.get(&root.merchant) else {
            return Ok(Err(refuse(format!("merchant account `{}` is not configured", root.merchant), None)));
        };
        if let Err(refusal) = lookable(account, &root) {
            return Ok(Err(refusal));
        }
        let mut follow_ups = Vec::new();
        for number in &root.follow_ups {
            follow_ups.push(books::payment_at(view, *number)?);
        }
        let mut wish = wish.clone();
        // A transaction-id that names the payment names the parent as well.
        if account.dialect() == Dialect::Wpg && wish.transaction.is_none() {
            let id = wish.id.as_deref().unwrap_or_default().trim();
            let is_known =
                std::iter::once(&root).chain(&follow_ups).flat_map(|p| &p.known).any(|k| k.id.as_str() == id);
            wish.transaction = TransactionId::new(id).ok().filter(|_| is_known);
        }
        let chain = Chain {
            root: &root,
            follow_ups: &follow_ups,
            dialect: account.dialect(),
            now: now.wall,
            over_capture_percent: over.get(&root.merchant).copied().unwrap_or(0),
        };
        let plan = follow_up::plan(&chain, &wish).map_err(|refused| refuse(refused.to_string(), None));
        not_repeated(view, &wish, plan)
    }

    /// A payout follows nothing; a payment that is named only says which account pays.
    fn plan_payout(&self, view: &dyn View, wish: &Wish) -> Result<Result<Plan, Refusal>, Fault> {
        let payers: Vec<&MerchantName> = {
            let of_checkout = |account: &&Account| account.dialect() == Dialect::Checkout;
            self.policy.accounts.values().filter(of_checkout).map(|account| &account.name).collect()
        };
        let mut meant: Vec<MerchantName> = Vec::new();
        match (&wish.merchant, wish.id.as_deref()) {
            (Some(name), _) => meant.push(name.clone()),
            (None, Some(id)) => {
                for number in self.find(view, id)? {
                    meant.push(books::payment_at(view, number)?.merchant);
                }
                if meant.is_empty() {
                    return Ok(Err(refuse(format!("nothing is known under `{id}`"), Some("id"))));
                }
                meant.sort();
                meant.dedup();
            }
            (None, None) => meant.extend(payers.iter().map(|name| (*name).clone())),
        }
        let account = match meant.as_slice() {
            [one] if payers.contains(&one) => one,
            _ => {
                let payers: Vec<&str> = payers.iter().map(|name| name.as_str()).collect();
                let error = match payers.as_slice() {
                    [] => "can't be any: only a checkout account pays out, and none is configured".to_owned(),
                    payers => format!("must be the one checkout account that pays it out: {}", payers.join(", ")),
                };
                return Ok(Err(refuse(error, Some("merchant"))));
            }
        };
        Ok(payout(account, wish).map_err(|refused| refuse(refused.to_string(), None)))
    }

    /// The payment whose chain an id names.
    fn root_of(&self, view: &dyn View, wish: &Wish) -> Result<Result<Payment, Refusal>, Fault> {
        let Some(id) = wish.id.as_deref().or(wish.transaction.as_ref().map(TransactionId::as_str)) else {
            return Ok(Err(refuse("name the order: an order number, request-id or transaction-id", Some("id"))));
        };
        let mut roots: Vec<Payment> = Vec::new();
        for number in self.find(view, id)? {
            let payment = books::payment_at(view, number)?;
            let root = match payment.root {
                Some(root) => books::payment_at(view, root)?,
                None => payment,
            };
            let is_asked = wish.merchant.as_ref().is_none_or(|merchant| *merchant == root.merchant);
            if is_asked && !roots.iter().any(|known| known.number == root.number) {
                roots.push(root);
            }
        }
        // An order may have been tried several times: the one with money in it is meant. Of several orders or accounts
        // none is.
        let is_one_order = roots.windows(2).all(|pair| {
            let of = |root: &Payment| (root.merchant.clone(), root.order_number().cloned());
            of(&pair[0]) == of(&pair[1]) && pair[0].order_number().is_some()
        });
        if is_one_order && roots.iter().filter(|root| root.state.is_income()).count() == 1 {
            roots.retain(|root| root.state.is_income());
        }
        Ok(match roots.len() {
            0 => Err(refuse(format!("nothing is known under `{id}`"), Some("id"))),
            1 => {
                let root = roots.remove(0);
                if root.is_orphan() {
                    let error = format!("nobody submitted request {}: submit it first", root.request_id);
                    Err(refuse(error, Some("id")))
                } else {
                    Ok(root)
                }
            }
            _ => {
                let ids: Vec<&str> = roots.iter().map(|root| root.request_id.as_str()).collect();
                Err(refuse(
                    format!("several payments are meant: name one request-id of {}", ids.join(", ")),
                    Some("id"),
                ))
            }
        })
    }

    /// Journals an operation, checked once more against the books as they stand in this commit.
    pub fn operate(
        &self,
        draft: &mut Draft,
        operate: Operate,
        over: &OverCapture,
        now: Now,
    ) -> Result<Operated, Fault> {
        let Operate { wish, expected, request_id, made_number, by } = operate;
        let plan = match self.plan_operation(draft, &wish, over, now)? {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Operated::Refused(refusal)),
        };
        if plan != expected {
            let error = "the books have changed since this was shown: look at it again";
            return Ok(Operated::Refused(refuse(error, None)));
        }
        let is_used = books::by_request(draft, &plan.merchant, request_id.as_str())?.is_some()
            || books::by_operation(draft, &plan.merchant, request_id.as_str())?.is_some();
        if is_used {
            return Ok(Operated::Refused(refuse("this request-id was used before", Some("request_id"))));
        }
        let intent = Intent {
            kind: plan.kind,
            wire: plan.wire.clone(),
            amount: plan.amount,
            target: target_text(&plan, wish.fund),
            request_id: request_id.clone(),
            made_number: made_number.clone(),
            by,
            before: plan.before.clone(),
        };
        let number = match own_submission(&plan, request_id, made_number.as_deref()) {
            Some(submission) => match self.submit(draft, submission, now)? {
                Submitted::Created { number } => number,
                Submitted::Refused(refusal) => return Ok(Operated::Refused(refusal)),
                Submitted::Same { .. } | Submitted::Amended { .. } | Submitted::Conflict { .. } => {
                    return Ok(Operated::Refused(refuse("this request-id was used before", Some("request_id"))));
                }
            },
            None => match plan.payment {
                Some(number) => number,
                None => return Ok(Operated::Refused(refuse("a plan without a payment", None))),
            },
        };
        let operation = self.record(draft, Event::Operated { number, intent: Box::new(intent) }, now)?;
        Ok(Operated::Journaled { operation })
    }

    /// Takes what came of an operation. The books decide where they can; this tells the rest.
    pub fn conclude(&self, draft: &mut Draft, operation: u64, told: Told, now: Now) -> Result<Concluded, Fault> {
        if operation == 0 || operation > journal_len(draft)? {
            return Ok(Concluded::UnknownOperation);
        }
        let Event::Operated { number, intent } = books::record(draft, operation)?.event else {
            return Ok(Concluded::UnknownOperation);
        };
        let payment = books::payment_at(draft, number)?;
        let Some(account) = self.policy.accounts.get(&payment.merchant) else {
            return Ok(Concluded::UnknownOperation);
        };
        if let Told::Stated { executed, .. } = &told
            && let Some(refusal) = stated::contradicted(draft, &payment, (operation, &intent), *executed)?
        {
            return Ok(Concluded::Refused(refusal));
        }
        let shortened = |why: String| why.chars().take(300).collect::<String>();
        let (outcome, made, http_status, body, by) = match told {
            Told::Answered { http_status, body } => {
                let (outcome, made) = match account.dialect() {
                    Dialect::Wpg => (wire::wpg::outcome(http_status, body.as_bytes()), None),
                    Dialect::Checkout => wire::checkout::outcome(http_status, body.as_bytes()),
                };
                (outcome, made, Some(http_status), Some(body), None)
            }
            Told::NoAnswer { why } => (Outcome::Unknown { why: shortened(why) }, None, None, None, None),
            Told::NotSent { why } => (Outcome::NotSent { why: shortened(why) }, None, None, None, None),
            Told::Stated { executed: true, why, by } => {
                (Outcome::Executed { how: shortened(why) }, None, None, None, Some(by))
            }
            Told::Stated { executed: false, why, by } => {
                (Outcome::NotSeen { why: shortened(why) }, None, None, None, Some(by))
            }
        };
        let transactions = match booked_by_reply(draft, &payment, (operation, &intent), &outcome, made)? {
            Ok(transactions) => transactions,
            Err(refusal) => return Ok(Concluded::Refused(refusal)),
        };
        if account.dialect() == Dialect::Wpg && by.is_none() {
            self.respond_for(draft, &payment, &outcome, http_status, body.as_deref(), now)?;
        }
        let event = Event::Concluded {
            number,
            operation,
            outcome: outcome.clone(),
            http_status,
            digest: body.as_deref().map(|body| intake::digest(body.as_bytes())),
            transactions,
            by,
        };
        self.record(draft, event, now)?;
        Ok(Concluded::Kept { outcome })
    }

    /// `wpg`: the answer is a response like those the shop tells of, a hint with ids.
    fn respond_for(
        &self,
        draft: &mut Draft,
        payment: &Payment,
        outcome: &Outcome,
        http_status: Option<u16>,
        body: Option<&str>,
        now: Now,
    ) -> Result<(), Fault> {
        let what = match (http_status, body, outcome) {
            (Some(http_status), Some(body), _) => {
                ResponseWhat::Answered { http_status, body: body.as_bytes().to_vec() }
            }
            (_, _, Outcome::NotSent { .. }) => ResponseWhat::NotSent,
            _ => ResponseWhat::OutcomeUnknown,
        };
        let response =
            ResponseSeen { merchant: payment.merchant.clone(), request_id: payment.request_id.clone(), what };
        match self.respond(draft, response, now)? {
            Responded::Kept { .. } => Ok(()),
            Responded::UnknownRequest | Responded::Refused(_) => {
                Err(Fault::Broken(format!("operation of request {} has no submission", payment.request_id)))
            }
        }
    }
}

/// An operation whose outcome could not be looked up is not sent.
fn lookable(account: &Account, root: &Payment) -> Result<(), Refusal> {
    match &account.contract {
        Contract::Checkout(checkout) if !checkout.can_ask => {
            let error =
                format!("the gateway of {} can't be asked, so an outcome could not be looked up", root.merchant);
            Err(Refusal { hint: Some("give the account a password_file".to_owned()), ..refuse(error, None) })
        }
        Contract::Checkout(_) | Contract::Wpg(_) => Ok(()),
    }
}

/// A charge or payout is refused while the outcome of one that it would repeat is open.
fn not_repeated(view: &dyn View, wish: &Wish, plan: Result<Plan, Refusal>) -> Result<Result<Plan, Refusal>, Fault> {
    let mut plan = match plan {
        Ok(plan) => plan,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(key) = repeat_key(&target_text(&plan, wish.fund), plan.amount) else { return Ok(Ok(plan)) };
    let Some(open) = repeats::unknown(view, &plan.merchant, &key)? else { return Ok(Ok(plan)) };
    let request = open.intent.request_id.to_string();
    if !wish.although_unknown {
        let refused = Refused::EarlierUnknown { kind: open.intent.kind.name(), request };
        return Ok(Err(refuse(refused.to_string(), None)));
    }
    plan.checked.push(format!("sent although the outcome of {request} is not known"));
    Ok(Ok(plan))
}

fn target_text(plan: &Plan, fund: Option<Fund>) -> String {
    match (&plan.target, plan.kind) {
        (Target::Wpg { parent, .. }, _) => parent.to_string(),
        (Target::Checkout { object: Some(credit), .. }, Kind::RefundReversal) => format!("credit:{credit}"),
        (Target::Checkout { object: Some(payment), .. }, _) => format!("payment:{payment}"),
        // It makes an order of its own, and is told by that.
        (Target::Checkout { order: Some(source), .. }, Kind::Recur) => format!("{RECUR_OF}{source}"),
        (Target::Checkout { order: Some(order), .. }, _) => format!("order:{order}"),
        (Target::Checkout { order: None, .. }, _) => format!("{PAYOUT}{}", fund.map_or("", Fund::name)),
    }
}

/// The submission an operation is, where it makes a transaction or order of its own.
fn own_submission(plan: &Plan, request_id: RequestId, made_number: Option<&str>) -> Option<Submission> {
    let (payment_method, parent, gateway, order_number) = match (&plan.target, plan.kind) {
        (Target::Wpg { parent, payment_method, .. }, _) => {
            (payment_method.clone(), Some(parent.clone()), None, plan.order_number.clone())
        }
        // A new order: it is asked about under the number that was made for it.
        (Target::Checkout { .. }, Kind::Recur) => {
            (None, None, made_number.and_then(|n| GatewayOrderNumber::new(n).ok()), None)
        }
        (Target::Checkout { order: None, .. }, _) => (None, None, None, None),
        (Target::Checkout { order: Some(_), .. }, _) => return None,
    };
    Some(Submission {
        merchant: plan.merchant.clone(),
        request_id,
        order_number,
        transaction_type: Some(plan.wire.clone()),
        amount: plan.amount?,
        payment_method,
        parent_transaction_id: parent,
        gateway_order_number: gateway,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    })
}

/// That a payout appears in getOrderDetails is not documented (fact sheet checkout c.2): its reply is booked, and what
/// a person states instead of it. That it did not happen takes a credit back, unless the gateway's own books list it.
fn booked_by_reply(
    view: &dyn View,
    payment: &Payment,
    (operation, intent): (u64, &Intent),
    outcome: &Outcome,
    made: Option<String>,
) -> Result<Result<Vec<Transaction>, Refusal>, Fault> {
    if intent.kind != Kind::Transfer {
        return Ok(Ok(Vec::new()));
    }
    let held = payment.operations.iter().find(|o| o.number == operation).map(|o| &o.outcome);
    let earlier = credits_of(view, payment, operation)?;
    let in_state = |state: &str| {
        let told = |credit: &Transaction| Transaction { transaction_state: Some(state.to_owned()), ..credit.clone() };
        earlier.iter().map(told).collect::<Vec<_>>()
    };
    match outcome {
        // Told once more: still the same credit.
        Outcome::Executed { .. } if !earlier.is_empty() => Ok(Ok(in_state("credit_refunded"))),
        Outcome::Executed { .. } => {
            // Without a number of its own it stands under our name for it.
            let number = made.or(intent.made_number.clone()).unwrap_or_else(|| intent.request_id.to_string());
            let credit = Transaction {
                transaction_id: Some(format!("credit:{number}")),
                transaction_type: Some("credit".to_owned()),
                transaction_state: Some("credit_refunded".to_owned()),
                amount: intent.amount.map(Into::into),
                request_id: Some(payment.request_id.to_string()),
                ..Transaction::default()
            };
            Ok(Ok(vec![credit].into_iter().take(TRANSACTIONS_MAX).map(allow_listed).collect()))
        }
        Outcome::NotSeen { .. } if matches!(held, Some(Outcome::Executed { .. })) => {
            let ids: Vec<_> = earlier.iter().filter_map(|credit| credit.transaction_id.as_deref()).collect();
            let is_listed = |known: &&Known| known.stands() && known.transaction.parent_transaction_id.is_some();
            let listed = payment.known.iter().filter(is_listed).find(|known| ids.contains(&known.id.as_str()));
            Ok(match listed {
                Some(known) => {
                    let error = format!("the gateway's own books list {} of this operation: it was executed", known.id);
                    Err(refuse(error, None))
                }
                None => Ok(in_state("credit_void")),
            })
        }
        Outcome::Unknown { .. } | Outcome::Refused { .. } | Outcome::NotSent { .. } | Outcome::NotSeen { .. } => {
            Ok(Ok(Vec::new()))
        }
    }
}

/// The credits that were booked for an operation so far.
fn credits_of(view: &dyn View, payment: &Payment, operation: u64) -> Result<Vec<Transaction>, Fault> {
    let mut credits: Vec<Transaction> = Vec::new();
    for sequence in books::evidence_behind(view, payment.number, operation)? {
        let Event::Concluded { operation: of, transactions, .. } = books::record(view, sequence)?.event else {
            continue;
        };
        if of == operation {
            for credit in transactions {
                credits.retain(|known| known.transaction_id != credit.transaction_id);
                credits.push(credit);
            }
        }
    }
    Ok(credits)
}
