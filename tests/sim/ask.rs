//! A question on its way: bytes out by `wire`, through the sandbox, bytes back by `wire`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reconciled::core::account::Checkout;
use reconciled::core::look::{Answer, Outcome, Query};
use reconciled::sandbox::prng::Prng;
use reconciled::sandbox::{Gateway, Reply, Request, Shop};
use reconciled::wire::checkout::backend::{self, Credentials};
use reconciled::wire::wpg::retrieve;
use reconciled::words::time::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

use crate::accounts::BASE;
use crate::shop::Order;

/// Asks `sent` and takes what comes for the answer to `query`: mostly the same question.
pub fn ask(gateway: &mut Gateway, shop: &Shop, query: &Query, sent: &Query, now: Timestamp) -> Answer {
    let reply = match shop.checkout() {
        None => {
            let asked = retrieve::request(BASE, sent).expect("the engine asks what can be asked");
            let target = asked.url.strip_prefix(BASE).expect("below the base");
            let headers = [("authorization".to_owned(), basic(shop)), ("accept".to_owned(), asked.accept.to_owned())];
            gateway.answer(now, &Request { method: "GET", target, headers: &headers, body: b"" })
        }
        Some(contract) => {
            let Query::OrderDetails { gateway_order_number } = sent else { return none(query, "no such question") };
            let asked = backend::order_details(&credentials(shop, contract), gateway_order_number);
            gateway.answer(
                now,
                &Request { method: "POST", target: &asked.path, headers: &[], body: asked.body.as_bytes() },
            )
        }
    };
    let answered = match reply {
        Reply::Silence => return none(query, "no answer in time"),
        Reply::Closed => return none(query, "the connection was closed"),
        Reply::Answer(answered) => answered,
    };
    let mut answer = match shop.checkout() {
        None => retrieve::answer(query, answered.status, answered.content_type, &answered.body),
        Some(_) => backend::answer(query, answered.status, &answered.body),
    };
    if let Outcome::Unavailable { retry_after, .. } = &mut answer.outcome {
        *retry_after = answered.retry_after_seconds.map(|s| SignedDuration::from_secs(i64::from(s)));
    }
    answer
}

fn password(shop: &Shop) -> &str {
    shop.key.password.as_ref().map_or("", |p| p.expose_secret())
}

fn basic(shop: &Shop) -> String {
    let user = shop.key.user.as_deref().unwrap_or_default();
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password(shop))))
}

pub fn credentials<'a>(shop: &'a Shop, contract: &'a Checkout) -> Credentials<'a> {
    Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: password(shop),
        secret: shop.key.secret.expose_secret(),
        algorithm: contract.algorithm,
    }
}

/// The shop sends an operation: status and body of what is answered.
pub fn operate(gateway: &mut Gateway, shop: &Shop, url: &str, body: &[u8], now: Timestamp) -> Option<(u16, Vec<u8>)> {
    let headers = match shop.checkout() {
        None => vec![("authorization".to_owned(), basic(shop))],
        Some(_) => Vec::new(),
    };
    let target = url.strip_prefix(BASE).unwrap_or(url);
    match gateway.answer(now, &Request { method: "POST", target, headers: &headers, body }) {
        Reply::Answer(answered) => Some((answered.status, answered.body)),
        Reply::Silence | Reply::Closed => None,
    }
}

fn none(query: &Query, why: &str) -> Answer {
    let outcome = Outcome::Unavailable { why: why.to_owned(), retry_after: None };
    Answer { query: query.clone(), outcome, transactions: Vec::new(), digest: None }
}

/// A question about another payment of the same account: what a mixed-up cache answers.
pub fn another(orders: &[Order], shop: &Shop, query: &Query, prng: &mut Prng) -> Option<Query> {
    let mut others = orders.iter().filter(|o| *o.merchant() == shop.account.name && o.is_kept);
    let count = others.clone().count() as u64;
    let other = others.nth(prng.below(count) as usize)?;
    match query {
        Query::RequestId { merchant_account_id, .. } => Some(Query::RequestId {
            merchant_account_id: merchant_account_id.clone(),
            request_id: other.request_id().clone(),
        }),
        Query::OrderDetails { .. } => {
            Some(Query::OrderDetails { gateway_order_number: other.submission.gateway_order_number.clone()? })
        }
        _ => None,
    }
}
