//! The shop's side of the scene: tell the daemon, then the gateway, then tell the daemon what it said.

use std::time::Duration;

use serde_json::{Value, json};

use super::daemon::{Trouble, post};
use super::scene::Act;
use crate::core::submission::Submission;
use crate::sandbox::NotTaken;
use crate::shell::sandbox::Sandbox;
use crate::shell::sandbox::http::Peer;
use crate::words::id::TransactionId;

/// Pause before the shop tells a daemon again that was not there.
const AGAIN: Duration = Duration::from_millis(60);
/// How long the shop keeps telling.
const TELLS_MAX: u32 = 1000;
/// How often it tells what the gateway answered: that only helps, and is given up sooner.
const RESPONSE_TELLS_MAX: u32 = 50;

/// What stops the scene.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    #[error("order {order}: {why}")]
    Daemon { order: String, why: Trouble },
    #[error("order {order}: the sandbox does not play it: {why}")]
    Sandbox { order: String, why: NotTaken },
    #[error("order {order}: the request it follows was never made")]
    NoParent { order: String },
}

/// Plays one act to the end of the shop's part in it.
pub async fn play(act: Act, sandbox: Sandbox, admin: Peer) -> Result<(), Stuck> {
    let order = act.request.order_number.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut request = act.request.clone();
    if act.asks_number {
        request.gateway_order_number = Some(sandbox.gateway().generate_order_number());
    }
    if let Some(first) = &act.follows {
        request.parent_transaction_id =
            Some(parent(&sandbox, &request, first).await.ok_or_else(|| Stuck::NoParent { order: order.clone() })?);
    }
    tell(&admin, "/v1/submissions", &body(&request), TELLS_MAX)
        .await
        .map_err(|why| Stuck::Daemon { order: order.clone(), why })?;
    let response = {
        let now = sandbox.clock.now().wall;
        let mut gateway = sandbox.gateway();
        gateway.submit(now, &request, &act.script, &act.plan).map_err(|why| Stuck::Sandbox { order, why })?
    };
    sandbox.wake();
    // A `checkout` start (it has no transaction type) answers with nothing but a page for the payer.
    if request.transaction_type.is_some()
        && let Some(http_status) = response.http_status
    {
        let value = json!({
            "merchant": request.merchant,
            "request_id": request.request_id,
            "http_status": http_status,
            "body": response.body,
        });
        // Responses are hints: the books must come out right without them.
        let _told = tell(&admin, "/v1/responses", &value, RESPONSE_TELLS_MAX).await;
    }
    Ok(())
}

/// The transaction a follow-up refers to. Its request may still be waiting for a daemon that is down.
async fn parent(sandbox: &Sandbox, request: &Submission, first: &crate::words::id::RequestId) -> Option<TransactionId> {
    for _ in 0..TELLS_MAX {
        let found = sandbox.gateway().paid_transaction(&request.merchant, first);
        if let Some(id) = found {
            return TransactionId::new(&id).ok();
        }
        tokio::time::sleep(AGAIN).await;
    }
    None
}

/// Tells the daemon until it says that it is kept. A refusal of the content ends it.
async fn tell(admin: &Peer, target: &str, value: &Value, tells_max: u32) -> Result<(), Trouble> {
    let mut tells = 1;
    loop {
        match post(admin, target, value).await {
            Ok(_) => return Ok(()),
            Err(why @ Trouble::Refused { status: 400..=499, .. }) => return Err(why),
            Err(why) if tells >= tells_max => return Err(why),
            Err(_) => {
                tells += 1;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// A submission as `POST /v1/submissions` takes it.
fn body(submission: &Submission) -> Value {
    json!({
        "merchant": submission.merchant,
        "request_id": submission.request_id,
        "order_number": submission.order_number,
        "transaction_type": submission.transaction_type,
        "amount": submission.amount.value_text(),
        "currency": submission.amount.currency(),
        "payment_method": submission.payment_method,
        "parent_transaction_id": submission.parent_transaction_id,
        "gateway_order_number": submission.gateway_order_number,
    })
}
