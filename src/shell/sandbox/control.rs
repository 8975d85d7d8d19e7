//! The sandbox's own interface, for shop developers and tests: what payers shall do, and what became of it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::submission::Submission;
use crate::sandbox::{Coming, Gateway, Manner, NotTaken, Outage, Plan, Script};
use crate::shell::clock::Clock;
use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, RequestId, TransactionId};
use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// The body of `POST /control/payments`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    pub merchant: MerchantName,
    pub request_id: RequestId,
    #[serde(default)]
    pub order_number: Option<OrderNumber>,
    #[serde(default)]
    pub transaction_type: Option<String>,
    /// `12.50`, as text.
    pub amount: String,
    pub currency: String,
    #[serde(default)]
    pub payment_method: Option<String>,
    #[serde(default)]
    pub parent_transaction_id: Option<TransactionId>,
    #[serde(default)]
    pub gateway_order_number: Option<GatewayOrderNumber>,
    /// What the payer does.
    pub play: Script,
    /// What goes wrong on the way.
    #[serde(default)]
    pub plan: Plan,
}

impl NewPayment {
    fn submission(&self) -> Result<Submission, String> {
        Ok(Submission {
            merchant: self.merchant.clone(),
            request_id: self.request_id.clone(),
            order_number: self.order_number.clone(),
            transaction_type: self.transaction_type.clone(),
            amount: Amount::parse(&self.amount, &self.currency).map_err(|e| e.to_string())?,
            payment_method: self.payment_method.clone(),
            parent_transaction_id: self.parent_transaction_id.clone(),
            gateway_order_number: self.gateway_order_number.clone(),
            submitted_at: None,
            periodic: None,
            basket: None,
            custom_fields: None,
            resolver_category: None,
            captures_due: None,
        })
    }
}

/// The body of `POST /control/outages`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOutage {
    #[serde(default)]
    pub merchant: Option<MerchantName>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub manner: Manner,
    /// Which requests are answered so.
    #[serde(default)]
    pub to: To,
    /// Submissions: they are executed, and only the answer fails.
    #[serde(default)]
    pub executes: bool,
}

/// Which requests an outage is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// Retrievals, getOrderDetails and what else moves nothing.
    #[default]
    Questions,
    /// What moves money or starts a payment.
    Submissions,
    Everything,
}

fn outage(gateway: &mut Gateway, new: NewOutage) -> (u16, Value) {
    let NewOutage { merchant, from, until, manner, to, executes } = new;
    if executes && to == To::Questions {
        return (422, error("executes", "questions execute nothing: set `to` to \"submissions\" or \"everything\""));
    }
    let outage = Outage { merchant, from, until, manner };
    if to != To::Questions {
        gateway.submission_outage(outage.clone(), executes);
    }
    if to != To::Submissions {
        gateway.outage(outage);
    }
    (201, json!({}))
}

/// The body of `POST /control/clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetClock {
    /// Absent: from now on.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// How many seconds pass in one.
    #[serde(default = "one")]
    pub scale: u32,
}

fn one() -> u32 {
    1
}

/// Fastest clock the sandbox runs on: a day in little more than a second.
const SCALE_MAX: u32 = 86_400;

/// Answers one control request: status and JSON. Errors are `{error, field, hint}`.
pub fn answer(gateway: &mut Gateway, clock: &Clock, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let now = clock.now().wall;
    match (method, path) {
        ("POST", "/control/payments") => read(body, |new: NewPayment| start(gateway, now, &new)),
        ("GET", "/control/payments") => (200, payments(gateway)),
        ("GET", "/control/truth") => {
            let unnumbered = gateway.truths_without_order(now).into_iter();
            let unnumbered: Vec<_> =
                unnumbered.map(|(merchant, p)| json!({ "merchant": merchant, "payment": p })).collect();
            (200, json!({ "items": gateway.truths(now), "without_order_number": unnumbered }))
        }
        ("GET", "/control/sent") => (200, json!({ "items": gateway.sent().collect::<Vec<_>>() })),
        ("POST", "/control/order-numbers") => (201, json!({ "gateway_order_number": gateway.generate_order_number() })),
        ("POST", "/control/outages") => read(body, |new: NewOutage| outage(gateway, new)),
        ("POST", "/control/play") => read(body, |coming: Coming| match gateway.play(coming) {
            Ok(()) => (201, json!({ "waiting": gateway.coming().len() })),
            Err(why) => (422, error("play", &why.to_string())),
        }),
        ("GET", "/control/play") => (200, json!({ "items": gateway.coming() })),
        ("GET", "/control/clock") => (200, json!({ "now": now, "scale": clock.scale() })),
        ("POST", "/control/clock") => read(body, |set: SetClock| {
            if set.scale == 0 || set.scale > SCALE_MAX {
                return (422, error("scale", &format!("must lie between 1 and {SCALE_MAX}")));
            }
            // Back in time would undo what was told already.
            clock.set_scaled(None, set.at.unwrap_or(now).max(now), set.scale);
            (200, json!({ "now": clock.now().wall, "scale": clock.scale() }))
        }),
        _ => (404, json!({ "error": "no such page", "field": null, "hint": "see docs/sandbox.md" })),
    }
}

fn read<T: for<'a> Deserialize<'a>>(body: &[u8], act: impl FnOnce(T) -> (u16, Value)) -> (u16, Value) {
    match serde_json::from_slice(body) {
        Ok(value) => act(value),
        Err(wrong) => (422, error("body", &wrong.to_string())),
    }
}

fn error(field: &str, why: &str) -> Value {
    json!({ "error": why, "field": field, "hint": "see docs/sandbox.md" })
}

fn start(gateway: &mut Gateway, now: Timestamp, new: &NewPayment) -> (u16, Value) {
    let submission = match new.submission() {
        Ok(submission) => submission,
        Err(why) => return (422, error("amount", &why)),
    };
    match gateway.submit(now, &submission, &new.play, &new.plan) {
        Ok(response) => (201, json!({ "http_status": response.http_status, "body": response.body })),
        Err(refused @ (NotTaken::UsedBefore(_) | NotTaken::NumberUsedBefore(_))) => {
            (409, error("request_id", &refused.to_string()))
        }
        Err(refused) => (422, error("merchant", &refused.to_string())),
    }
}

fn payments(gateway: &Gateway) -> Value {
    let items: Vec<Value> = (gateway.payments().into_iter())
        .map(|(request, script, started)| {
            json!({
                "merchant": request.merchant,
                "request_id": request.request_id,
                "order_number": request.order_number,
                "amount": request.amount.value_text(),
                "currency": request.amount.currency(),
                "play": script,
                "started": started,
                "transaction_id": gateway.paid_transaction(&request.merchant, &request.request_id),
            })
        })
        .collect();
    json!({ "items": items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::example_shops;

    /// A gateway on a desk, and what it answers.
    fn ask(gateway: &mut Gateway, method: &str, path: &str, body: &Value) -> (u16, Value) {
        answer(gateway, &Clock::new(), method, path, body.to_string().as_bytes())
    }

    fn payment() -> Value {
        json!({
            "merchant": "shop-eu", "request_id": "r-1", "order_number": "1001", "transaction_type": "debit",
            "amount": "12.50", "currency": "EUR", "payment_method": "sofortbanking",
            "play": {"script": "success", "after": "20s"},
            "plan": {"fates": ["lost", {"twice": {"again_after": "1m"}}], "pays_instead": {"value": "11.00", "currency": "EUR"}},
        })
    }

    #[test]
    fn a_payment_is_made_once_and_listed() {
        let mut gateway = Gateway::new(1, example_shops());
        let (status, said) = ask(&mut gateway, "POST", "/control/payments", &payment());
        assert_eq!((status, said["http_status"].as_u64()), (201, Some(201)), "{said}");
        assert!(said["body"].as_str().is_some_and(|body| body.contains("<request-id>r-1</request-id>")));
        assert_eq!(ask(&mut gateway, "POST", "/control/payments", &payment()).0, 409);
        let (_, listed) = ask(&mut gateway, "GET", "/control/payments", &json!(null));
        assert_eq!(listed["items"][0]["play"]["script"], "success");
        let (_, truth) = ask(&mut gateway, "GET", "/control/truth", &json!(null));
        assert_eq!(truth["items"][0]["payments"][0]["askable"], true);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut gateway = Gateway::new(1, example_shops());
        let with = |name: &str, value: Value| {
            let mut body = payment();
            body[name] = value;
            body
        };
        for body in [
            with("amount", json!("12.505")),
            with("merchant", json!("nobody")),
            with("play", json!({"script": "vanish"})),
            with("plan", json!({"fate": []})),
            with("colour", json!("red")),
            json!(null),
        ] {
            let (status, said) = ask(&mut gateway, "POST", "/control/payments", &body);
            assert_eq!(status, 422, "{body}");
            assert!(said["error"].is_string() && said["hint"].is_string());
        }
        assert_eq!(ask(&mut gateway, "GET", "/control/colour", &json!(null)).0, 404);
        assert_eq!(ask(&mut gateway, "POST", "/control/clock", &json!({"scale": 0})).0, 422);
    }

    #[test]
    fn scripts_wait_for_their_requests() {
        let mut gateway = Gateway::new(1, example_shops());
        let mut coming = json!({
            "merchant": "shop-eu", "of": "follow-ups", "times": 2, "play": {"script": "failed", "after": "0s"},
        });
        let (status, said) = ask(&mut gateway, "POST", "/control/play", &coming);
        assert_eq!((status, &said["waiting"]), (201, &json!(1)), "{said}");
        let (_, listed) = ask(&mut gateway, "GET", "/control/play", &json!(null));
        assert_eq!(listed["items"][0]["times"], 2);
        for (name, value) in [("merchant", json!("nobody")), ("times", json!(0)), ("play", json!("win"))] {
            let kept = std::mem::replace(&mut coming[name], value);
            assert_eq!(ask(&mut gateway, "POST", "/control/play", &coming).0, 422, "{coming}");
            coming[name] = kept;
        }
    }

    #[test]
    fn outages_are_written_as_documented() {
        let mut gateway = Gateway::new(1, example_shops());
        for manner in [json!("page"), json!({"too-many": {"retry_after_seconds": 60}})] {
            let outage = json!({
                "merchant": "shop-eu", "from": "2026-03-02T10:00:00Z", "until": "2026-03-02T11:00:00Z", "manner": manner,
            });
            assert_eq!(ask(&mut gateway, "POST", "/control/outages", &outage).0, 201, "{outage}");
        }
        let mut late = json!({
            "from": "2026-03-02T10:00:00Z", "until": "2026-03-02T11:00:00Z", "manner": {"late": {"by": "5s"}},
            "to": "submissions", "executes": true,
        });
        assert_eq!(ask(&mut gateway, "POST", "/control/outages", &late).0, 201);
        late["to"] = json!("questions");
        assert_eq!(ask(&mut gateway, "POST", "/control/outages", &late).0, 422);
    }
}
