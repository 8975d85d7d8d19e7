//! What comes in from the shop: submissions and the gateway's responses to them.

use crate::core::account::Contract;
use crate::core::follow_up;
use crate::core::message::{Dialect, Transaction};
use crate::core::payment::Payment;
use crate::core::private;
use crate::core::record::{Event, ResponseOutcome};
use crate::core::submission::{Submission, Teller};
pub use crate::engine::digest::digest;
use crate::engine::{Engine, Refusal, Responded, ResponseSeen, ResponseWhat, Seen, Submitted, books};
use crate::store::{Draft, Fault, Table};
use crate::wire;
use crate::words::id::PaymentNumber;
use crate::words::time::Now;

/// Transactions of one message or answer that are journaled; no genuine one comes near.
pub const TRANSACTIONS_MAX: usize = 200;

impl Refusal {
    pub fn new(field: &str, error: impl Into<String>, hint: &str) -> Refusal {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Refusal { error: error.into(), field: Some(field.to_owned()), hint }
    }
}

/// Longest text of a transaction that is journaled, in bytes; no genuine id, type or state comes near.
const TEXT_MAX_BYTES: usize = 255;
/// Payment methods and statuses of a transaction that are journaled; up to 6 were seen.
const LIST_MAX: usize = 20;

/// A transaction without what the journal must not hold: custom fields may name people, an order number may be a card's,
/// and a stranger's text may be of any length.
pub fn allow_listed(mut transaction: Transaction) -> Transaction {
    let fits = |text: &String| text.len() <= TEXT_MAX_BYTES;
    let t = &mut transaction;
    t.custom_fields.retain(|name, value| name == "securityCriteria" && fits(value));
    for text in [
        &mut t.merchant_account_id,
        &mut t.request_id,
        &mut t.transaction_id,
        &mut t.parent_transaction_id,
        &mut t.group_transaction_id,
        &mut t.transaction_type,
        &mut t.transaction_state,
        &mut t.order_number,
    ] {
        *text = text.take().filter(fits);
    }
    // A shop may write a card number for it, and the gateway repeats it for ever. No rule asks for it.
    t.order_number = t.order_number.take().map(private::shortened);
    t.payment_methods.retain(fits);
    t.payment_methods.truncate(LIST_MAX);
    t.statuses.retain(|status| fits(&status.code) && status.severity.as_ref().is_none_or(fits));
    t.statuses.truncate(LIST_MAX);
    t.periodic = t.periodic.take().filter(|p| [&p.periodic_type, &p.sequence_type].into_iter().flatten().all(fits));
    transaction
}

/// A submission whose custom fields are digests: they may name people, the journal is for ever, and all they are
/// good for here is to tell whether the shop said the same again.
fn without_custom_values(mut submission: Submission) -> Submission {
    for value in submission.custom_fields.iter_mut().flat_map(|fields| fields.values_mut()) {
        *value = digest(value.as_bytes());
    }
    submission
}

impl Engine {
    /// Keeps a submission. Once the draft is committed, the payment is never forgotten.
    pub fn submit(&self, draft: &mut Draft, submission: Submission, now: Now) -> Result<Submitted, Fault> {
        self.submit_by(draft, submission, Teller::Shop, None, now)
    }

    /// Keeps a submission the recording proxy saw. Beside one that the shop tells, only what both state is compared,
    /// whichever came first; what the shop tells of one that was seen fills what is missing there.
    pub fn submit_seen(&self, draft: &mut Draft, seen: Seen, now: Now) -> Result<Submitted, Fault> {
        self.submit_by(draft, seen.submission, Teller::Proxy, seen.sent_to, now)
    }

    pub(super) fn submit_by(
        &self,
        draft: &mut Draft,
        submission: Submission,
        told_by: Teller,
        sent_to: Option<String>,
        now: Now,
    ) -> Result<Submitted, Fault> {
        let submission = without_custom_values(submission);
        if let Err(refusal) = self.acceptable(&submission) {
            return Ok(Submitted::Refused(refusal));
        }
        let (merchant, request_id) = (submission.merchant.clone(), submission.request_id.clone());
        let found = books::by_request(draft, &merchant, request_id.as_str())?;
        let kept = match found {
            Some(number) => Some(books::payment_at(draft, number)?),
            None => None,
        };
        if let Some(gateway) = &submission.gateway_order_number
            && let Some(owner) = books::by_gateway_order(draft, &merchant, gateway.as_str())?
            && Some(owner) != found
            && !books::payment_at(draft, owner)?.is_orphan()
        {
            let error = format!("gateway order number {gateway} belongs to another request");
            let hint = "each payment needs its own number from generateOrderNumber";
            return Ok(Submitted::Refused(Refusal::new("gateway_order_number", error, hint)));
        }
        match kept {
            Some(payment) => match &payment.submission {
                Some(first) => self.submit_again(draft, &payment, first, submission, told_by, now),
                None => self.keep(draft, payment.number, submission, (told_by, sent_to), now),
            },
            None => {
                let number = PaymentNumber(books::next_number(draft, Table::Payments)?);
                self.keep(draft, number, submission, (told_by, sent_to), now)
            }
        }
    }

    /// A submission of a request-id that stands for a submission already.
    fn submit_again(
        &self,
        draft: &mut Draft,
        payment: &Payment,
        first: &Submission,
        submission: Submission,
        told_by: Teller,
        now: Now,
    ) -> Result<Submitted, Fault> {
        let number = payment.number;
        let is_seen = told_by == Teller::Proxy;
        // A request on the wire need not say what a shop tells, nor the other way round.
        let comparable = match is_seen || payment.is_seen {
            true => submission.clone().seen_beside(first),
            false => submission.clone(),
        };
        if !first.same_content(&comparable) {
            let (field, offered) = difference(first, &comparable);
            // The same conflict again is no news, and a loop in a shop must not fill the journal.
            let what = format!("submitted again with another {field}: {offered}");
            let is_known = payment.discrepancies.iter().any(|d| d.what == what);
            // Of an import it is told in one line with the others.
            if !is_known && told_by != Teller::Import {
                self.record(draft, Event::Conflicted { number, field: field.to_owned(), offered }, now)?;
            }
            return Ok(Submitted::Conflict { number, field });
        }
        // What the shop tells twice is the same; what it sends twice is another attempt.
        if is_seen && payment.begins_anew(now) {
            self.record(draft, Event::Again { number }, now)?;
        }
        if payment.is_seen && !is_seen {
            let filled = first.filled_by(submission);
            #[cfg(planted)]
            let filled = if crate::planted::is("told-later-fills-nothing") { first.clone() } else { filled };
            if filled == *first {
                return Ok(Submitted::Same { number });
            }
            self.record(draft, Event::Filled { number, submission: Box::new(filled) }, now)?;
            return Ok(Submitted::Amended { number });
        }
        match (&first.gateway_order_number, comparable.gateway_order_number) {
            (None, Some(gateway_order_number)) => {
                self.record(draft, Event::Amended { number, gateway_order_number }, now)?;
                Ok(Submitted::Amended { number })
            }
            _ => Ok(Submitted::Same { number }),
        }
    }

    fn keep(
        &self,
        draft: &mut Draft,
        number: PaymentNumber,
        submission: Submission,
        (told_by, sent_to): (Teller, Option<String>),
        now: Now,
    ) -> Result<Submitted, Fault> {
        let was_announced = self.was_announced(draft, &submission)?;
        let submission = Box::new(submission);
        self.record(draft, Event::Submitted { number, submission, was_announced, told_by, sent_to }, now)?;
        Ok(Submitted::Created { number })
    }

    /// What a submission must be, beyond what its types already say.
    fn acceptable(&self, submission: &Submission) -> Result<(), Refusal> {
        let Some(account) = self.policy.accounts.get(&submission.merchant) else {
            let known: Vec<&str> = self.policy.accounts.keys().map(|m| m.as_str()).collect();
            let error = format!("merchant account `{}` is not configured", submission.merchant);
            return Err(Refusal::new("merchant", error, &format!("configured are: {}", known.join(", "))));
        };
        let kind = submission.transaction_type.as_deref();
        match &account.contract {
            Contract::Wpg(_) if kind.is_none() => {
                return Err(Refusal::new(
                    "transaction_type",
                    "is missing",
                    "wpg submissions name their transaction type, such as `debit`",
                ));
            }
            Contract::Wpg(_) if submission.gateway_order_number.is_some() => {
                return Err(Refusal::new("gateway_order_number", "is for checkout accounts only", "leave it out"));
            }
            Contract::Wpg(_) | Contract::Checkout(_) => {}
        }
        if let Some(gateway) = &submission.gateway_order_number {
            let text = gateway.as_str();
            let fits = text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            if !fits {
                return Err(Refusal::new(
                    "gateway_order_number",
                    "is not a number of 1 to 9 digits",
                    "send what generateOrderNumber gave",
                ));
            }
        }
        if submission.amount.is_negative() {
            let invoice = submission.payment_method.as_deref().is_some_and(follow_up::is_invoice);
            if !(kind == Some("credit") && invoice) {
                let hint = "only the `credit` of an invoice method may be negative";
                return Err(Refusal::new("amount", "is negative", hint));
            }
        }
        Ok(())
    }

    /// Takes what the gateway answered the shop: a hint with ids, never a fact.
    pub fn respond(&self, draft: &mut Draft, response: ResponseSeen, now: Now) -> Result<Responded, Fault> {
        let Some(account) = self.policy.accounts.get(&response.merchant) else {
            let error = format!("merchant account `{}` is not configured", response.merchant);
            return Ok(Responded::Refused(Refusal::new("merchant", error, "")));
        };
        let Some(number) = books::by_request(draft, &response.merchant, response.request_id.as_str())? else {
            return Ok(Responded::UnknownRequest);
        };
        let (outcome, http_status, digest, transactions) = match &response.what {
            ResponseWhat::NotSent => (ResponseOutcome::NotSent, None, None, Vec::new()),
            ResponseWhat::OutcomeUnknown => (ResponseOutcome::Unknown, None, None, Vec::new()),
            ResponseWhat::AnsweredUnread { http_status } => {
                (ResponseOutcome::Answered, Some(*http_status), None, Vec::new())
            }
            ResponseWhat::Answered { http_status, body } => {
                let transactions = match account.dialect() {
                    // An unreadable response says nothing; its digest is kept all the same.
                    Dialect::Wpg => wire::wpg::decode(body, None).map(|m| m.transactions).unwrap_or_default(),
                    Dialect::Checkout => Vec::new(),
                };
                (ResponseOutcome::Answered, Some(*http_status), Some(self::digest(body)), transactions)
            }
        };
        let transactions = transactions.into_iter().take(TRANSACTIONS_MAX).map(allow_listed).collect();
        self.record(draft, Event::Responded { number, outcome, http_status, digest, transactions }, now)?;
        Ok(Responded::Kept { number })
    }
}

/// The first field in which two submissions differ, and what the second says.
fn difference(first: &Submission, second: &Submission) -> (&'static str, String) {
    let text = |v: &Option<String>| v.clone().unwrap_or_else(|| "null".into());
    let id = |v: Option<String>| v.unwrap_or_else(|| "null".into());
    if first.amount.currency() != second.amount.currency() {
        ("currency", second.amount.currency().to_string())
    } else if first.amount != second.amount {
        ("amount", second.amount.to_string())
    } else if first.order_number != second.order_number {
        ("order_number", id(second.order_number.as_ref().map(ToString::to_string)))
    } else if first.transaction_type != second.transaction_type {
        ("transaction_type", text(&second.transaction_type))
    } else if first.payment_method != second.payment_method {
        ("payment_method", text(&second.payment_method))
    } else if first.parent_transaction_id != second.parent_transaction_id {
        ("parent_transaction_id", id(second.parent_transaction_id.as_ref().map(ToString::to_string)))
    } else if first.gateway_order_number != second.gateway_order_number && second.gateway_order_number.is_some() {
        ("gateway_order_number", id(second.gateway_order_number.as_ref().map(ToString::to_string)))
    } else if first.captures_due != second.captures_due {
        ("captures_due", id(second.captures_due.map(|t| t.to_string())))
    } else if first.resolver_category != second.resolver_category {
        ("resolver_category", text(&second.resolver_category))
    } else if first.periodic != second.periodic {
        ("periodic", text(&second.periodic))
    } else if first.basket != second.basket {
        ("basket", "another basket".into())
    } else {
        ("custom_fields", "other custom fields".into())
    }
}
