//! What to ask the gateway about a payment.

use crate::core::account::{Account, Contract, Wpg};
use crate::core::identity::suffixes_to_ask;
use crate::core::lifecycle::State;
use crate::core::look::{Answer, Query};
use crate::core::payment::Payment;
use crate::words::id::{RequestId, TransactionId};

/// Questions of one look.
const QUERIES_MAX: usize = 8;

/// The questions of one look; `is_whole`: for every id under which something may be known.
pub fn queries(account: &Account, payment: &Payment, is_whole: bool) -> Vec<Query> {
    match &account.contract {
        Contract::Wpg(wpg) => wpg_queries(wpg, payment, is_whole),
        Contract::Checkout(_) => payment
            .gateway_order_number
            .iter()
            .chain(&payment.second_orders)
            .take(QUERIES_MAX)
            .map(|number| Query::OrderDetails { gateway_order_number: number.clone() })
            .collect(),
    }
}

/// Whether the answers are to every question there is about a payment: only then may a look that finds nothing
/// agree that nothing will come.
pub fn is_whole(account: &Account, payment: &Payment, answers: &[Answer]) -> bool {
    queries(account, payment, true).iter().all(|query| answers.iter().any(|answer| answer.query == *query))
}

/// What to ask the Payment Gateway about a payment: one request where one can do; suffixed ids and
/// the family only where the schedule says so.
fn wpg_queries(wpg: &Wpg, payment: &Payment, walks_family: bool) -> Vec<Query> {
    let Some(merchant_account_id) =
        payment.merchant_account_id().or(wpg.merchant_account_ids.first().map(String::as_str)).map(str::to_owned)
    else {
        return Vec::new();
    };
    let ask = |request_id: RequestId| Query::RequestId { merchant_account_id: merchant_account_id.clone(), request_id };
    let category =
        payment.submission.as_ref().and_then(|s| s.resolver_category.clone()).or(wpg.resolver_category.clone());
    let mut queries = vec![match category {
        Some(category) => Query::Category { category, request_id: payment.request_id.clone() },
        None => ask(payment.request_id.clone()),
    }];
    let method = payment.method.as_deref();
    // A wire transfer is stored under suffixed ids only: the bare one alone would never be found.
    // Steps under suffixed ids say nothing new of what is paid.
    let walks_suffixes = walks_family && !matches!(payment.state, State::Paid | State::Refunded);
    if walks_suffixes || method == Some("wiretransfer") {
        let suffixed = suffixes_to_ask(method).iter().map(|suffix| format!("{}{suffix}", payment.request_id));
        queries.extend(suffixed.filter_map(|id| RequestId::new(&id).ok()).map(&ask));
    }
    if walks_family {
        let root = payment.known.iter().find_map(|k| k.transaction.group_transaction_id.as_deref());
        let root = root.or_else(|| payment.known.first().map(|k| k.id.as_str()));
        if let Some(root) = root.and_then(|id| TransactionId::new(id).ok()) {
            queries.push(Query::Group { merchant_account_id: merchant_account_id.clone(), root });
        }
        for hinted in payment.hinted.iter().filter(|h| payment.known.iter().all(|k| k.id != h.transaction_id)) {
            queries.push(Query::TransactionId {
                merchant_account_id: hinted.merchant_account_id.clone().unwrap_or_else(|| merchant_account_id.clone()),
                transaction_id: hinted.transaction_id.clone(),
            });
        }
    }
    queries.truncate(QUERIES_MAX);
    queries
}
