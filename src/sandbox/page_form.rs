//! Payment page v1: the form that a payer's browser posts to `…/hpp/` or `…/epp/`, signed by the shop (fact sheet
//! wpg-signatures 1). There is no login: the signature opens the account.
//!
//! What the real page shows is not documented. Here the payer's page stands for it, and a page that says why not.

use secrecy::ExposeSecret;

use super::answer::{Answer, PAYERS_PAGE, Reply, Request, form};
use super::gateway::Gateway;
use super::shop::Shop;
use super::take_wpg::Outcome;
use crate::wire::request::Facts;
use crate::wire::wpg::signature::{V1_REQUEST_FIELDS, v1_verifies};
use crate::words::id::MerchantName;
use crate::words::time::Timestamp;

const HTML: &str = "text/html; charset=UTF-8";

/// Whether a path is that of the page.
pub(super) fn is_page(path: &str) -> bool {
    path.trim_end_matches('/').rsplit('/').next().is_some_and(|last| matches!(last, "hpp" | "epp"))
}

impl Gateway {
    /// The account whose signature a form carries, if it is right.
    pub(super) fn page_asker(&self, body: &[u8]) -> Option<&MerchantName> {
        let fields = form(body);
        let of = |name: &str| {
            let mut values = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_bytes());
            // A name that stands twice says two things.
            values.next().filter(|_| values.next().is_none()).unwrap_or_default()
        };
        let signs = |shop: &Shop| {
            let secret = shop.key.secret.expose_secret().as_bytes();
            super::answer_wpg::owns(shop, &String::from_utf8_lossy(of("merchant_account_id")))
                && !secret.is_empty()
                && v1_verifies(of("request_signature"), &V1_REQUEST_FIELDS, of, secret)
        };
        Some(&self.find_shop(signs)?.account.name)
    }

    /// Takes what a form says; the payer goes on from here.
    pub(super) fn take_page(
        &mut self,
        now: Timestamp,
        asker: &MerchantName,
        facts: &Facts,
        request: &Request,
    ) -> Reply {
        match self.take_form(now, asker, facts, request.body) {
            Outcome::Nothing => Reply::Closed,
            Outcome::Refused(t) | Outcome::Denied(t) => {
                let codes: Vec<&str> = t.statuses.iter().map(|status| status.code.as_str()).collect();
                Reply::Answer(said(400, &format!("The payment was refused: {}.", codes.join(", "))))
            }
            Outcome::Made(_) | Outcome::OnThePage(_) | Outcome::TimedOut => {
                Reply::Answer(Answer::new(200, HTML, PAYERS_PAGE))
            }
        }
    }
}

/// The form was not signed by an account that is known here.
pub(super) fn unsigned() -> Answer {
    said(403, "request_signature is not that of the account merchant_account_id names.")
}

/// The form can't be read.
pub(super) fn unreadable(why: &str) -> Answer {
    said(400, &format!("The form can't be read: {why}."))
}

fn said(status: u16, what: &str) -> Answer {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><title>Sandbox</title></head><body><p>{what}</p></body></html>"
    );
    Answer::new(status, HTML, page)
}
