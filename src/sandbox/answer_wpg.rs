//! Retrievals of the Wirecard Payment Gateway: forms R1 to R5 of the fact sheet (wpg a.2).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use serde_json::value::RawValue;

use super::answer::{Answer, Request, is_json_wanted};
use super::gateway::Gateway;
use super::shop::Shop;
use crate::core::message::Transaction;
use crate::wire::wpg::encode;
use crate::words::id::MerchantName;
use crate::words::time::Timestamp;

impl Gateway {
    /// The account whose credentials a request carries, if they are right.
    pub(super) fn wpg_asker(&self, request: &Request) -> Option<&MerchantName> {
        let token = request.header("authorization")?.strip_prefix("Basic ")?;
        let given = BASE64_STANDARD.decode(token.trim()).ok()?;
        let shop = self.find_shop(|shop| basic(shop).is_some_and(|known| known.as_bytes() == given))?;
        Some(&shop.account.name)
    }

    pub(super) fn answer_wpg(
        &self,
        now: Timestamp,
        tail: &str,
        asker: Option<&MerchantName>,
        request: &Request,
    ) -> Answer {
        let Some(shop) = asker.and_then(|name| self.shops.get(name)) else { return Answer::empty(401) };
        if request.method != "GET" {
            return Answer::empty(405);
        }
        let parts: Vec<&str> = tail.split('/').collect();
        match parts[..] {
            ["merchants", maid, "payments", rest] => {
                let Some(maid) = decode(maid).filter(|maid| owns(shop, maid)) else { return Answer::empty(403) };
                let of_account = |t: &Transaction| t.merchant_account_id.as_deref() == Some(maid.as_str());
                self.of_account(now, rest, request, of_account)
            }
            ["resolver-category", category, "payments", ""] => {
                let fits = shop.wpg().is_some_and(|wpg| wpg.resolver_category == decode(category));
                match request.query("request_id").filter(|_| fits) {
                    Some(id) => list(self.transactions(now, &id, |t| t.request_id.as_deref() == Some(&id)), request),
                    None => Answer::empty(404),
                }
            }
            // With good credentials plugins use this as their credential test (fact sheet wpg a.3).
            _ => Answer::empty(404),
        }
    }

    fn of_account(
        &self,
        now: Timestamp,
        rest: &str,
        request: &Request,
        of_account: impl Fn(&Transaction) -> bool,
    ) -> Answer {
        let by_request =
            |id: &str| self.transactions(now, id, |t| of_account(t) && t.request_id.as_deref() == Some(id));
        match rest {
            "" => {
                if let Some(id) = request.query("request_id") {
                    return list(by_request(&id), request);
                }
                let Some(root) = request.query("group_transaction_id") else { return Answer::empty(404) };
                let in_group = |t: &Transaction| {
                    of_account(t)
                        && [&t.group_transaction_id, &t.transaction_id].into_iter().flatten().any(|id| *id == root)
                };
                list(self.transactions(now, &root, in_group), request)
            }
            "search" => {
                let id = request.query("payment.request-id").unwrap_or_default();
                single(by_request(&id).pop(), request)
            }
            id => {
                let id = decode(id.trim_end_matches(".xml").trim_end_matches(".json")).unwrap_or_default();
                let is_it = |t: &Transaction| of_account(t) && t.transaction_id.as_deref() == Some(id.as_str());
                single(self.transactions(now, &id, is_it).pop(), request)
            }
        }
    }
}

const XML: &str = "application/xml;charset=UTF-8";
const JSON: &str = "application/json;charset=UTF-8";

fn single(found: Option<Transaction>, request: &Request) -> Answer {
    match found {
        // Unknown, still open, refused at validation: all look the same.
        None => Answer::empty(404),
        Some(transaction) if is_json_wanted(request) => Answer::new(200, JSON, encode::payment_json(&transaction)),
        Some(transaction) => Answer::new(200, XML, encode::payment_xml(&transaction)),
    }
}

/// The list form says 404 for an id it does not know, as the single form does.
fn list(found: Vec<Transaction>, request: &Request) -> Answer {
    if found.is_empty() {
        return Answer::empty(404);
    }
    if is_json_wanted(request) {
        return Answer::new(200, JSON, payments_json(&found));
    }
    Answer::new(200, XML, encode::payments_xml(&found))
}

/// `{"payments":{"payment":[…]}}`, with the numbers spelled as the single form spells them.
fn payments_json(transactions: &[Transaction]) -> String {
    #[derive(serde::Deserialize)]
    struct One {
        payment: Box<RawValue>,
    }
    let payments: Vec<String> = transactions
        .iter()
        .filter_map(|t| serde_json::from_str::<One>(&encode::payment_json(t)).ok())
        .map(|one| one.payment.get().to_owned())
        .collect();
    format!(r#"{{"payments":{{"payment":[{}]}}}}"#, payments.join(","))
}

/// Whether one login opens both accounts.
pub(super) fn same_login(shop: &Shop, other: &Shop) -> bool {
    basic(shop).is_some() && basic(shop) == basic(other)
}

fn basic(shop: &Shop) -> Option<String> {
    shop.wpg()?;
    let password = shop.key.password.as_ref()?;
    Some(format!("{}:{}", shop.key.user.as_deref()?, password.expose_secret()))
}

pub(super) fn owns(shop: &Shop, maid: &str) -> bool {
    shop.wpg().is_some_and(|wpg| wpg.merchant_account_ids.iter().any(|id| id == maid))
}

fn decode(part: &str) -> Option<String> {
    percent_encoding::percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned())
}
