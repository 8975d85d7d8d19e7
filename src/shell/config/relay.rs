//! `[merchants.NAME.relay]`: the shop's own listener, to which notifications are passed on.

use reqwest::Url;

use super::{Problem, Reading, address, raw};
use crate::core::relay::RelayPolicy;
use crate::words::time::SignedDuration;

/// Requests under way to one shop at once, of different request-ids.
const IN_FLIGHT: usize = 4;
const IN_FLIGHT_MAX: usize = 64;
/// From the first byte sent to the last received.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(30);
const TIMEOUT_MAX: SignedDuration = SignedDuration::from_secs(300);

/// Where and how to reach the shop's own listener.
#[derive(Clone, Debug)]
pub struct Shop {
    pub url: Url,
    pub allow_private_address: bool,
    pub timeout: SignedDuration,
    pub in_flight_max: usize,
}

/// `own_port`: where the daemon itself hears gateways; 0 while that is not known.
pub(super) fn check(
    reading: &Reading,
    name: &str,
    raw: &raw::Relay,
    own_port: u16,
) -> Result<(Shop, RelayPolicy), Problem> {
    let at = |key: &str| format!("merchants.{name}.relay.{key}");
    let url =
        address::any_url(&raw.url, raw.allow_private_address).map_err(|e| reading.problem(at("url"), e.to_string()))?;
    // It would pass its own messages on to itself, for ever.
    let is_own = address::is_loopback(&url) && own_port != 0 && url.port_or_known_default() == Some(own_port);
    if is_own {
        return Err(reading.problem(at("url"), "is the daemon's own listener"));
    }
    let duration = |key: &str, text: &Option<String>, default: SignedDuration| match text {
        Some(text) => reading.duration(&at(key), text),
        None => Ok(default),
    };
    let default = RelayPolicy::default();
    let policy = RelayPolicy {
        forward_refuted: raw.forward_refuted,
        forward_repeats: raw.forward_repeats,
        retry_first: duration("retry_first", &raw.retry_first, default.retry_first)?,
        retry_max: duration("retry_max", &raw.retry_max, default.retry_max)?,
        alert_after: duration("alert_after", &raw.alert_after, default.alert_after)?,
        give_up_after: match &raw.give_up_after {
            Some(text) => Some(reading.duration(&at("give_up_after"), text)?),
            None => default.give_up_after,
        },
        backlog_max_messages: raw.backlog_max_messages.unwrap_or(default.backlog_max_messages),
        backlog_max_bytes: raw.backlog_max_bytes.unwrap_or(default.backlog_max_bytes),
    };
    if policy.retry_max < policy.retry_first {
        return Err(reading.problem(at("retry_max"), "must not be shorter than `retry_first`"));
    }
    if policy.give_up_after.is_some_and(|after| after < policy.alert_after) {
        return Err(reading
            .problem(at("give_up_after"), "must not be shorter than `alert_after`")
            .hint("nothing may be given up before a person was told"));
    }
    reading.at_least(&at("backlog_max_messages"), policy.backlog_max_messages, 2)?;
    reading.at_least(&at("backlog_max_bytes"), policy.backlog_max_bytes, 4 * 1024 * 1024)?;
    let timeout = duration("timeout", &raw.timeout, TIMEOUT)?;
    if timeout > TIMEOUT_MAX {
        return Err(reading.problem(at("timeout"), format!("must be at most {} s", TIMEOUT_MAX.as_secs())));
    }
    let in_flight_max = raw.in_flight_max.unwrap_or(IN_FLIGHT);
    reading.at_least(&at("in_flight_max"), in_flight_max as u64, 1)?;
    if in_flight_max > IN_FLIGHT_MAX {
        return Err(reading.problem(at("in_flight_max"), format!("must be at most {IN_FLIGHT_MAX}")));
    }
    let shop = Shop { url, allow_private_address: raw.allow_private_address, timeout, in_flight_max };
    Ok((shop, policy))
}
