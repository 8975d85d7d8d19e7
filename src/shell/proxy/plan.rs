//! What is kept of a request that passes: pure, from its facts and the configured accounts alone.

use crate::core::account::{Account, Accounts, Contract};
use crate::core::submission::Submission;
use crate::core::transaction_type::{Direction, transaction_type};
use crate::engine::{Operation, Seen, Target};
use crate::wire::request::{self, Facts, HttpRequest, Kind, Private, Request, Unreadable};
use crate::words::id::{MerchantName, RequestId};

/// What becomes of one request in the books.
#[derive(Clone, PartialEq, Debug)]
pub enum Keep {
    Submission(Box<Seen>),
    /// It has no request-id of its own, or states no amount: its payment is looked at soon.
    Operation(Operation),
}

impl Keep {
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Keep::Submission(seen) => Some(seen.submission.request_id.as_str()),
            Keep::Operation(_) => None,
        }
    }
}

/// Why a request that may move money can't be kept. Shows nothing of the request but the id of its account.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotKept {
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    #[error("the request is too long to be read")]
    TooLong,
    #[error("too many bytes are under way at once")]
    NoRoom,
    #[error("the request names account {0}, which is not configured")]
    ForeignAccount(String),
    #[error("the request has no request-id that can be kept")]
    NoRequestId,
    #[error("the request has no `{0}`, the account's own_id_parameter")]
    NoOwnId(String),
    #[error("the request states no amount that can be booked")]
    NoAmount,
    #[error("the submission can't be kept: {0}")]
    Refused(String),
    #[error("the store takes nothing now")]
    Down,
    #[error("the store did not take it within {0} ms")]
    Late(u128),
}

impl NotKept {
    /// Whether the store may take it later. What it refused for its content it would refuse again.
    pub fn may_be_kept_yet(&self) -> bool {
        matches!(self, NotKept::Down | NotKept::Late(_))
    }
}

/// Whether a request's body must be read before it may pass: its path takes payments or operations.
pub fn concerns_money(account: &Account, method: &str, path: &str) -> bool {
    let bodiless = HttpRequest { method, path, content_type: None, body: b"" };
    match request::read(&account.contract, &bodiless) {
        Ok(Request::Asks(_) | Request::Unknown) => false,
        // Without its body nothing more is known.
        Ok(Request::Submits(_)) | Err(_) => true,
    }
}

/// What a request is to the books.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to keep, in the order the request states it. Empty, and nothing lost: it moves nothing.
    pub keeps: Vec<Keep>,
    /// Why its other parts can't be kept: nobody would look after them.
    pub lost: Vec<NotKept>,
    /// It has several parts. Which transaction of the answer is whose, only the gateway's books tell.
    pub is_of_many: bool,
    /// What the payer's card and account are: an answer that repeats them is not read.
    pub private: Private,
}

impl Plan {
    /// Of a request that can't be read at all.
    pub fn lost(why: NotKept) -> Plan {
        Plan { lost: vec![why], ..Plan::default() }
    }
}

pub fn plan(accounts: &Accounts, listener: &Account, request: &HttpRequest<'_>) -> Plan {
    let (facts, private) = match request::read_private(&listener.contract, request) {
        Ok((Request::Asks(_) | Request::Unknown, _)) => return Plan::default(),
        Ok((Request::Submits(facts), private)) => (facts, private),
        Err(why) => return Plan::lost(why.into()),
    };
    let mut plan = Plan { is_of_many: facts.len() > 1, private, ..Plan::default() };
    for facts in facts {
        match one(accounts, listener, facts) {
            Ok(keep) => plan.keeps.extend(keep),
            Err(why) => plan.lost.push(why),
        }
    }
    plan
}

fn one(accounts: &Accounts, listener: &Account, facts: Facts) -> Result<Option<Keep>, NotKept> {
    let account = account_of(accounts, listener, facts.account_id.as_deref())?;
    match (&account.contract, facts.kind) {
        (Contract::Wpg(_), Kind::Payment | Kind::FollowUp | Kind::Register) => wpg(account, facts),
        (Contract::Checkout(contract), Kind::Payment) => match &facts.request_id {
            None => Err(NotKept::NoOwnId(contract.own_id_parameter.clone())),
            Some(_) => submission(account, facts).map(Some),
        },
        (Contract::Checkout(_), Kind::Operation(operation)) => {
            // A recurring charge with an own id is a payment like any other.
            if operation == request::Operation::RecurPayment && facts.request_id.is_some() && facts.amount.is_some() {
                return submission(account, facts).map(Some);
            }
            let order = facts.source_order_number.or(facts.gateway_order_number);
            Ok(order.map(|order| {
                Keep::Operation(Operation {
                    merchant: account.name.clone(),
                    target: Target::GatewayOrder(order),
                    name: operation.name().to_owned(),
                })
            }))
        }
        // The readers of the two dialects give no other pairs.
        (Contract::Wpg(_), Kind::Operation(_)) | (Contract::Checkout(_), Kind::FollowUp | Kind::Register) => Ok(None),
    }
}

fn wpg(account: &Account, facts: Facts) -> Result<Option<Keep>, NotKept> {
    if facts.amount.is_some() {
        return submission(account, facts).map(Some);
    }
    let name = facts.transaction_type.unwrap_or_default();
    match facts.parent_transaction_id {
        // A void of the whole hold states no amount, and we don't guess one.
        Some(parent) => Ok(Some(Keep::Operation(Operation {
            merchant: account.name.clone(),
            target: Target::Transaction(parent),
            name,
        }))),
        None if transaction_type(&name).is_some_and(|known| known.direction == Direction::None) => Ok(None),
        None => Err(NotKept::NoAmount),
    }
}

fn submission(account: &Account, facts: Facts) -> Result<Keep, NotKept> {
    let amount = facts.amount.and_then(|stated| stated.bookable()).ok_or(NotKept::NoAmount)?;
    let sent_to = facts.account_id.filter(|_| matches!(account.contract, Contract::Wpg(_)));
    let submission = Submission {
        merchant: account.name.clone(),
        request_id: facts.request_id.ok_or(NotKept::NoRequestId)?,
        order_number: facts.order_number,
        transaction_type: facts.transaction_type,
        amount,
        payment_method: facts.payment_method,
        parent_transaction_id: facts.parent_transaction_id,
        gateway_order_number: facts.gateway_order_number,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: facts.resolver_category,
        captures_due: None,
    };
    Ok(Keep::Submission(Box::new(Seen { submission, sent_to })))
}

/// The account a request is for: the listener's own, or the one that has the id the request names. Asked about in
/// another account than it lives in, a payment would look as if it did not exist.
fn account_of<'a>(accounts: &'a Accounts, listener: &'a Account, id: Option<&str>) -> Result<&'a Account, NotKept> {
    let has = |account: &Account, id: &str| match &account.contract {
        Contract::Wpg(wpg) => wpg.merchant_account_ids.iter().any(|own| own == id),
        Contract::Checkout(checkout) => checkout.customer_id == id,
    };
    let Some(id) = id else { return Ok(listener) };
    if has(listener, id) {
        return Ok(listener);
    }
    let others = accounts.values().filter(|other| other.dialect() == listener.dialect());
    others.into_iter().find(|other| has(other, id)).ok_or_else(|| NotKept::ForeignAccount(id.to_owned()))
}

/// What the answer to a request is evidence about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    Submission {
        merchant: MerchantName,
        request_id: RequestId,
    },
    Operation {
        operation: Operation,
        /// The record of its sending, where that was durable in time.
        record: Option<u64>,
    },
}

impl Asked {
    /// What was asked by something that is kept, or could not be.
    pub fn by(keep: &Keep, record: Option<u64>) -> Asked {
        match keep {
            Keep::Submission(seen) => Asked::Submission {
                merchant: seen.submission.merchant.clone(),
                request_id: seen.submission.request_id.clone(),
            },
            Keep::Operation(operation) => Asked::Operation { operation: operation.clone(), record },
        }
    }
}

#[cfg(test)]
#[path = "tests/plan.rs"]
mod tests;
