//! `POST /v1/order-numbers`: a gateway order number, before the payment it will be for.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use super::{Admin, Answer, json, refused};
use crate::core::message::Dialect;
use crate::engine::Refusal;
use crate::shell::http::unavailable;
use crate::shell::json_fields::{Fields, refusal};
use crate::shell::order_numbers::NoNumber;
use crate::words::id::MerchantName;

pub fn routes() -> Router<Admin> {
    Router::new().route("/v1/order-numbers", post(order_number))
}

async fn order_number(State(admin): State<Admin>, body: Body) -> Answer {
    let held = match admin.body(body).await {
        Ok(held) => held,
        Err(answer) => return answer,
    };
    let merchant = match wanted(&admin, &held.bytes) {
        Ok(merchant) => merchant,
        Err(why) => return refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    };
    let no = |status, why: &NoNumber, hint| refused(status, refusal(why.to_string(), None, hint));
    match admin.desk.order_number(&merchant).await {
        Ok(number) => json(StatusCode::OK, &json!({"gateway_order_number": number})),
        Err(why @ NoNumber::NotConfigured) => {
            let hint =
                format!("set order_numbers = true in [merchants.{merchant}], with password_file and secret_file");
            no(StatusCode::CONFLICT, &why, Some(&hint))
        }
        Err(why @ NoNumber::Busy) => unavailable(&why.to_string()),
        Err(why @ NoNumber::Unavailable { .. }) => no(StatusCode::BAD_GATEWAY, &why, Some("ask again later")),
        Err(why @ NoNumber::Refused { .. }) => {
            let hint = "check the account's back-end password, secret and rights at the gateway";
            no(StatusCode::BAD_GATEWAY, &why, Some(hint))
        }
        Err(why @ NoNumber::TooLate) => no(StatusCode::GATEWAY_TIMEOUT, &why, Some("ask again later")),
    }
}

/// The checkout account a number is wanted for.
fn wanted(admin: &Admin, body: &[u8]) -> Result<MerchantName, Refusal> {
    let mut fields = Fields::read(body)?;
    let text = fields.required_text("merchant")?;
    fields.finish()?;
    let accounts = &admin.writer.engine.policy.accounts;
    let checkouts = accounts.values().filter(|account| account.dialect() == Dialect::Checkout);
    let names: Vec<&str> = checkouts.map(|account| account.name.as_str()).collect();
    let hint = format!("checkout accounts are: {}", names.join(", "));
    let account = MerchantName::new(&text).ok().and_then(|name| accounts.get(&name));
    match account {
        Some(account) if account.dialect() == Dialect::Checkout => Ok(account.name.clone()),
        Some(_) => Err(refusal("only checkout gateways give order numbers", Some("merchant"), Some(&hint))),
        None => Err(refusal("no such merchant account", Some("merchant"), Some(&hint))),
    }
}
