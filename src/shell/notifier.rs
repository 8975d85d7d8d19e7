//! Sends what the books say must be sent: to the log, and to a webhook. At least once, with the same
//! id at every attempt; the books decide when to try again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::webhook::Sender;
use super::writer::{State, Writer};
use crate::engine::{Delivery, Sink};

/// Deliveries read at once.
const READING_MAX: usize = 32;
/// Longest rest between two readings; new ones wake us earlier.
const REST: Duration = Duration::from_secs(5);

pub async fn run(writer: Writer, webhook: Option<Sender>, stop: CancellationToken) {
    let (mut commits, mut state) = (writer.commits(), writer.state());
    loop {
        let rest = REST / writer.clock.scale().clamp(1, 100);
        tokio::select! {
            () = stop.cancelled() => return,
            // The books can't hold an alert about themselves being closed: it goes out at once.
            Ok(()) = state.changed() => {
                let is = state.borrow_and_update().clone();
                store_down(&writer, &is, webhook.as_ref()).await;
            }
            Ok(()) = commits.changed() => {}
            () = tokio::time::sleep(rest) => {}
        }
        let reading = writer.read(|engine, view, now| engine.deliveries(view, now, READING_MAX)).await;
        let Ok(Ok(deliveries)) = reading else { continue };
        for delivery in deliveries {
            let number = delivery.number;
            let outcome = deliver(&writer, webhook.as_ref(), delivery).await;
            if writer.delivered(number, outcome).await.is_err() {
                break;
            }
        }
    }
}

async fn deliver(writer: &Writer, webhook: Option<&Sender>, delivery: Delivery) -> Result<(), String> {
    match delivery.sink {
        Sink::Log => {
            // Payloads hold allow-listed facts only: no bodies, no secrets.
            warn!(alert.id = %delivery.id, payload = %delivery.payload, "alert {}", delivery.id);
            Ok(())
        }
        Sink::Webhook => match webhook {
            Some(sender) => sender.send(&delivery.id, &delivery.payload, writer.clock.now().wall).await,
            None => Err("no webhook is configured any more".into()),
        },
    }
}

async fn store_down(writer: &Writer, state: &State, webhook: Option<&Sender>) {
    let (State::Down { why } | State::Failed { why }) = state else { return };
    let wall = writer.clock.now().wall;
    let id = format!("store-down-{}", wall.as_second());
    let payload = serde_json::json!({
        "type": "store.down",
        "timestamp": wall.to_string(),
        "data": {"why": why, "meaning": "nothing is acknowledged until the store takes commits again"},
    });
    if let Some(sender) = webhook
        && let Err(failed) = sender.send(&id, &payload, wall).await
    {
        error!("the alert that the store is down could not be sent: {failed}");
    }
}
