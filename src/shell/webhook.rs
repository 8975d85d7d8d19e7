//! Signed webhooks after the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature` over `id.timestamp.body`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::config::{Webhook, address};
use super::gateway;
use crate::words::time::Timestamp;

/// From the first byte sent to the end of the answer's head.
const DEADLINE: Duration = Duration::from_secs(15);

pub struct Sender {
    client: Client,
    webhook: Webhook,
}

impl Sender {
    pub fn new(webhook: Webhook) -> Result<Sender, reqwest::Error> {
        let loopback = address::is_loopback(&webhook.url);
        Ok(Sender { client: gateway::client(webhook.allow_private_address, loopback, 1)?, webhook })
    }

    /// Sends one payload under its id. `Ok`: the receiver said 2xx.
    pub async fn send(&self, id: &str, payload: &serde_json::Value, wall: Timestamp) -> Result<(), String> {
        let body = payload.to_string();
        let timestamp = wall.as_second().to_string();
        let request = self
            .client
            .post(self.webhook.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", signature(&self.webhook.secret, id, &timestamp, &body))
            .body(body);
        match tokio::time::timeout(DEADLINE, request.send()).await {
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
            Ok(Err(error)) => Err(format!("can't send: {}", error.without_url())),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("the receiver answered http {}", answer.status().as_u16())),
        }
    }
}

/// `v1,` and the Base64 of HMAC-SHA-256. A secret `whsec_…` is Base64 of the key, any other is the key.
fn signature(secret: &SecretString, id: &str, timestamp: &str, body: &str) -> String {
    let text = secret.expose_secret();
    let key = text
        .strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .unwrap_or_else(|| text.as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_own_example_is_signed_alike() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
