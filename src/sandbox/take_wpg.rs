//! Taking what a shop sends to the Wirecard Payment Gateway: payments, follow-ups and payment page registrations.
//!
//! Every processed POST is answered 201, refusals included: a refusal has state failed and a status code, and no
//! transaction-id, for it is never stored (fact sheet wpg a.5).

use serde_json::json;

use super::answer::{Answer, Reply, Request, is_json_wanted};
use super::chain::{self, Refused};
use super::coming::{Of, Seen, usual_wpg};
use super::gateway::{Gateway, How, NotTaken};
use super::life::MoveKind;
use super::life_wpg;
use super::message::{Answered, answered};
use super::script::{Plan, Script, Writing};
use super::shop::Shop;
use super::wishes::Wishes;
use crate::core::message::{Status, Transaction};
use crate::core::submission::Submission;
use crate::wire::request::{Facts, Kind};
use crate::wire::wpg;
use crate::wire::wpg::encode::{self, Links};
use crate::words::id::{MerchantName, RequestId};
use crate::words::money::{Amount, Currency};
use crate::words::time::Timestamp;

/// One payment of a request: its facts, and what the gateway echoes beside them.
struct Asked<'a> {
    facts: &'a Facts,
    /// The payment as the readers of messages read it; only its custom fields are echoed.
    read: Option<Transaction>,
    wishes: Wishes,
    /// A payer's browser brought it: he is on the page, whatever the method.
    is_on_the_page: bool,
}

/// What became of one payment of a request.
pub(super) enum Outcome {
    /// A transaction exists, and this is how the answer tells of it.
    Made(Box<Transaction>),
    /// The payer has a page to go to; there is no transaction yet.
    OnThePage(RequestId),
    /// Never stored.
    Refused(Box<Transaction>),
    /// Not this user's account.
    Denied(Box<Transaction>),
    /// The provider takes longer than the gateway waits: the outcome is unknown to the shop (fact sheet wpg a.5).
    TimedOut,
    /// It never arrived.
    Nothing,
}

impl Gateway {
    /// Executes the payments of one POST.
    pub(super) fn take_wpg(&mut self, now: Timestamp, asker: &MerchantName, all: &[Facts], request: &Request) -> Reply {
        let read = wpg::decode(request.body, None).map(|message| message.transactions).unwrap_or_default();
        let mut read = read.into_iter();
        let wishes = Wishes::of(request.body);
        let mut outcomes: Vec<Outcome> = all
            .iter()
            .map(|facts| {
                let asked = Asked { facts, read: read.next(), wishes: wishes.clone(), is_on_the_page: false };
                self.take(now, asker, &asked)
            })
            .collect();
        match (outcomes.pop(), outcomes.is_empty()) {
            (Some(one), true) => answer(one, request),
            (last, _) => {
                let transactions: Vec<Transaction> =
                    outcomes.into_iter().chain(last).filter_map(|outcome| outcome.transaction()).collect();
                Reply::Answer(Answer::new(201, XML, encode::payments_xml(&transactions)))
            }
        }
    }

    /// Executes the payment of a payment page's form. Where neither the form nor the account says how, its
    /// notifications are name-value pairs (fact sheet wpg b.1).
    pub(super) fn take_form(&mut self, now: Timestamp, asker: &MerchantName, facts: &Facts, body: &[u8]) -> Outcome {
        let read = wpg::decode(body, None).ok().and_then(|message| message.transactions.into_iter().next());
        let mut wishes = Wishes::of(body);
        let has_scheme = self.shops.get(asker).and_then(Shop::wpg).is_some_and(|wpg| wpg.scheme.is_some());
        if !has_scheme {
            wishes.writing.get_or_insert(Writing::Nvp);
        }
        self.take(now, asker, &Asked { facts, read, wishes, is_on_the_page: true })
    }

    fn take(&mut self, now: Timestamp, asker: &MerchantName, asked: &Asked<'_>) -> Outcome {
        let facts = asked.facts;
        let refused = |code: &str| Outcome::Refused(Box::new(refusal(facts, code)));
        let (merchant, maid) = match self.account(asker, facts) {
            Ok(found) => found,
            Err("403.1166") => return Outcome::Denied(Box::new(refusal(facts, "403.1166"))),
            Err(code) => return refused(code),
        };
        let Some(request_id) = facts.request_id.clone() else { return refused("400.1010") };
        if self.payments.contains_key(&(merchant.clone(), request_id.clone())) {
            return refused("400.1018");
        }
        let submission = match self.submission(now, &merchant, request_id.clone(), asked) {
            Ok(submission) => submission,
            Err(Refused(code)) => return refused(code),
        };
        let of = if submission.parent_transaction_id.is_some() { Of::FollowUps } else { Of::Payments };
        let seen = Seen {
            merchant: &merchant,
            of,
            request_id: Some(&request_id),
            order_number: submission.order_number.as_ref(),
        };
        let (script, plan) = self.take_coming(&seen).unwrap_or_else(|| (usual(asked, &submission), Plan::default()));
        if script == Script::NeverStarted {
            return Outcome::Nothing;
        }
        let how = How { maid: Some(maid), wishes: asked.wishes.clone(), ..How::default() };
        match self.start(now, &submission, &script, &plan, how) {
            Ok(_) if facts.kind == Kind::Register || asked.is_on_the_page => Outcome::OnThePage(request_id),
            Ok(name) => match answered(&self.payments[&name]) {
                Answered::Made(transaction) => Outcome::Made(transaction),
                Answered::OnThePage | Answered::SentOn => Outcome::TimedOut,
                Answered::Nothing => Outcome::Nothing,
            },
            Err(NotTaken::UsedBefore(_)) => refused("400.1018"),
            Err(NotTaken::UnknownParent(_)) => refused("400.1020"),
            Err(NotTaken::UnknownType(_)) => refused("400.1009"),
            Err(NotTaken::UnknownShop(_) | NotTaken::NumberUsedBefore(_) | NotTaken::Full) => refused("500.1999"),
        }
    }

    /// The account a request is for, among those its credentials open, and the merchant account id it gets.
    fn account(&self, asker: &MerchantName, facts: &Facts) -> Result<(MerchantName, String), &'static str> {
        let asking = self.shops.get(asker).ok_or("401.1166")?;
        let opens = |shop: &&Shop| shop.wpg().is_some() && super::answer_wpg::same_login(shop, asking);
        let open = || self.shops.values().filter(opens);
        if let Some(maid) = &facts.account_id {
            let owner = open().find(|shop| super::answer_wpg::owns(shop, maid));
            let is_known = self.shops.values().any(|shop| super::answer_wpg::owns(shop, maid));
            return match owner {
                Some(shop) => Ok((shop.account.name.clone(), maid.clone())),
                None if is_known => Err("403.1166"),
                None => Err("400.1019"),
            };
        }
        let category = facts.resolver_category.as_ref().ok_or("400.1008")?;
        let resolved = open().find_map(|shop| {
            let contract = shop.wpg().filter(|wpg| wpg.resolver_category.as_ref() == Some(category))?;
            Some((shop.account.name.clone(), contract.merchant_account_ids.first()?.clone()))
        });
        resolved.ok_or("400.1019")
    }

    fn submission(
        &self,
        now: Timestamp,
        merchant: &MerchantName,
        request_id: RequestId,
        asked: &Asked<'_>,
    ) -> Result<Submission, Refused> {
        let facts = asked.facts;
        let method = facts.payment_method.clone();
        let is_card = method.as_deref().is_none_or(|method| matches!(method, "creditcard" | "maestro"));
        let asked_for = match facts.transaction_type.as_deref() {
            // The gateway makes of it what fits the method (fact sheet wpg c.2).
            Some("auto-sale") if is_card => "purchase",
            Some("auto-sale") => "debit",
            Some(other) => other,
            None => return Err(Refused("400.1009")),
        };
        if !life_wpg::is_played(asked_for) {
            return Err(Refused("400.1009"));
        }
        let stated = match facts.amount {
            None => None,
            Some(stated) if stated.currency.is_none() => return Err(Refused("400.1012")),
            Some(stated) => Some(stated.bookable().ok_or(Refused("400.1130"))?),
        };
        let moves_money = life_wpg::direction(asked_for).is_some();
        let (amount, method) = match &facts.parent_transaction_id {
            Some(id) => {
                let parent = self.parent_of(now, merchant, id.as_str())?;
                let amount = chain::amount(now, &parent, &self.children(now, &parent), asked_for, stated)?;
                (amount, method.or_else(|| parent.payment_methods.first().cloned()))
            }
            None => {
                let needs_a_parent = ["capture-", "void-", "refund-"].iter().any(|step| asked_for.starts_with(step));
                if needs_a_parent {
                    return Err(Refused("400.1021"));
                }
                let amount = match stated {
                    Some(amount) if amount.is_negative() || (amount.is_zero() && moves_money) => {
                        return Err(Refused("400.1013"));
                    }
                    Some(amount) => amount,
                    None if moves_money => return Err(Refused("400.1011")),
                    None => Amount::zero(Currency::parse("EUR").ok_or(Refused("400.1012"))?),
                };
                (amount, method)
            }
        };
        let read = asked.read.as_ref();
        Ok(Submission {
            merchant: merchant.clone(),
            request_id,
            order_number: facts.order_number.clone(),
            transaction_type: Some(asked_for.to_owned()),
            amount,
            payment_method: method,
            parent_transaction_id: facts.parent_transaction_id.clone(),
            gateway_order_number: None,
            submitted_at: None,
            periodic: None,
            basket: None,
            custom_fields: read.map(|read| read.custom_fields.clone()).filter(|fields| !fields.is_empty()),
            resolver_category: facts.resolver_category.clone(),
            captures_due: None,
        })
    }

    /// The transaction a follow-up refers to, if it exists already and is the shop's own.
    fn parent_of(&self, now: Timestamp, merchant: &MerchantName, id: &str) -> Result<Transaction, Refused> {
        let found = self.transactions(now, id, |t| t.transaction_id.as_deref() == Some(id)).pop();
        let parent = found.ok_or(Refused("400.1020"))?;
        let is_own = self.shops.get(merchant).is_some_and(|shop| {
            parent.merchant_account_id.as_deref().is_some_and(|maid| super::answer_wpg::owns(shop, maid))
        });
        if is_own { Ok(parent) } else { Err(Refused("400.1025")) }
    }

    /// The successful follow-ups of a transaction.
    fn children(&self, now: Timestamp, parent: &Transaction) -> Vec<Transaction> {
        let root = parent.group_transaction_id.as_ref().or(parent.transaction_id.as_ref());
        let is_child = |t: &Transaction| {
            t.parent_transaction_id == parent.transaction_id && t.transaction_state.as_deref() == Some("success")
        };
        root.map(|root| self.transactions(now, root, is_child)).unwrap_or_default()
    }
}

impl Outcome {
    fn transaction(self) -> Option<Transaction> {
        match self {
            Outcome::Made(t) | Outcome::Refused(t) | Outcome::Denied(t) => Some(*t),
            Outcome::OnThePage(_) | Outcome::TimedOut | Outcome::Nothing => None,
        }
    }
}

/// What usually becomes of a request.
fn usual(asked: &Asked<'_>, submission: &Submission) -> Script {
    let kind = submission.transaction_type.as_deref().unwrap_or_default();
    let is_card = submission.payment_method.as_deref().is_none_or(|m| matches!(m, "creditcard" | "maestro"));
    let sent = asked.facts.kind;
    let is_at_once = sent == Kind::FollowUp || (sent == Kind::Payment && is_card && !asked.is_on_the_page);
    let is_wire = submission.payment_method.as_deref() == Some("wiretransfer");
    let holds = !is_wire && life_wpg::direction(kind) == Some(MoveKind::Hold);
    usual_wpg(is_at_once, holds)
}

/// A refused request: state failed, one status, no transaction-id.
fn refusal(facts: &Facts, code: &str) -> Transaction {
    Transaction {
        merchant_account_id: facts.account_id.clone(),
        request_id: facts.request_id.as_ref().map(ToString::to_string),
        transaction_type: facts.transaction_type.clone(),
        transaction_state: Some("failed".into()),
        parent_transaction_id: facts.parent_transaction_id.as_ref().map(ToString::to_string),
        amount: facts.amount,
        order_number: facts.order_number.as_ref().map(ToString::to_string),
        payment_methods: facts.payment_method.iter().cloned().collect(),
        statuses: vec![Status { code: code.to_owned(), severity: Some("error".into()) }],
        ..Transaction::default()
    }
}

const XML: &str = "application/xml;charset=UTF-8";
const JSON: &str = "application/json;charset=UTF-8";
const NVP: &str = "application/x-www-form-urlencoded;charset=UTF-8";

fn answer(outcome: Outcome, request: &Request) -> Reply {
    let host = request.header("host").unwrap_or("gateway.invalid");
    Reply::Answer(match outcome {
        Outcome::Nothing => return Reply::Closed,
        Outcome::TimedOut => Answer::empty(504),
        Outcome::OnThePage(request_id) => {
            let token = percent_encoding::utf8_percent_encode(request_id.as_str(), percent_encoding::NON_ALPHANUMERIC);
            let url = format!("http://{host}/processing?wPaymentToken={token}");
            Answer::new(200, JSON, json!({ "payment-redirect-url": url }).to_string())
        }
        // The payment page has a form of its own for what it refuses.
        Outcome::Refused(t) | Outcome::Denied(t) if request.path().ends_with("/register") => {
            let errors: Vec<_> = t
                .statuses
                .iter()
                .map(|s| {
                    let known = crate::core::status_code::status_code(&s.code);
                    json!({ "code": s.code, "description": known.map(|known| known.name) })
                })
                .collect();
            Answer::new(400, JSON, json!({ "errors": errors }).to_string())
        }
        Outcome::Denied(t) => Answer { status: 403, ..written(&t, host, request) },
        Outcome::Refused(t) | Outcome::Made(t) => written(&t, host, request),
    })
}

/// A transaction in the format of the request, or the one it accepts, and where to find it.
fn written(t: &Transaction, host: &str, request: &Request) -> Answer {
    let own = t.transaction_id.as_ref().map(|id| {
        let maid = t.merchant_account_id.as_deref().unwrap_or_default();
        format!("http://{host}/engine/rest/merchants/{maid}/payments/{id}")
    });
    let redirect = t.transaction_id.as_ref().map(|id| format!("http://{host}/redirect/{id}"));
    let links = Links { own: own.as_deref(), redirect: redirect.as_deref() };
    let first = request.body.trim_ascii_start().first();
    let is_json = is_json_wanted(request) || (request.header("accept").is_none() && first == Some(&b'{'));
    let (content_type, body) = match first {
        _ if is_json => (JSON, encode::answer_json(t, &links)),
        Some(b'<' | b'{') | None => (XML, encode::answer_xml(t, &links)),
        Some(_) => (NVP, encode::answer_nvp(t, &links)),
    };
    Answer { location: own, ..Answer::new(201, content_type, body) }
}
