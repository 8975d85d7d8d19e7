//! Notifications passed on to the shop's own listener: what is passed on, how often it is tried, and what
//! the shop said.

use serde::{Deserialize, Serialize};

use crate::words::time::{SignedDuration, days, hours, minutes, seconds};

/// Longest pause behind an attempt that says nothing of the message: the shop is not there, and is asked
/// often enough that it need not wait long once it is back.
const ABSENT_PAUSE_MAX: SignedDuration = minutes(10);

/// The rules of one account's relay. The address is the shell's to know: it may hold a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayPolicy {
    /// Whether messages whose signature is wrong are passed on too.
    pub forward_refuted: bool,
    /// Whether messages that say again what was heard before are passed on again.
    pub forward_repeats: bool,
    /// Pause behind the first attempt that failed, doubled by each further one.
    pub retry_first: SignedDuration,
    /// Longest pause between two attempts.
    pub retry_max: SignedDuration,
    /// A message that waits longer than this is an alert; it is tried on.
    pub alert_after: SignedDuration,
    /// A message that waits longer than this is given up, loudly; `None`: only a person gives up.
    pub give_up_after: Option<SignedDuration>,
    /// Messages that may wait. A full backlog keeps what it has, and is an alert.
    pub backlog_max_messages: u64,
    /// Bytes of the bodies that may wait.
    pub backlog_max_bytes: u64,
}

impl Default for RelayPolicy {
    fn default() -> Self {
        RelayPolicy {
            forward_refuted: false,
            forward_repeats: false,
            retry_first: seconds(10),
            retry_max: days(1),
            alert_after: hours(24),
            give_up_after: None,
            backlog_max_messages: 100_000,
            backlog_max_bytes: 1024 * 1024 * 1024,
        }
    }
}

impl RelayPolicy {
    /// How long to wait behind attempt number `attempts` (from 1), which went as told.
    pub fn pause(&self, attempt: &Attempt, attempts: u32) -> SignedDuration {
        let max = if attempt.is_about_the_message() { self.retry_max } else { self.retry_max.min(ABSENT_PAUSE_MAX) };
        let doublings = attempts.saturating_sub(1).min(30);
        self.retry_first.checked_mul(1 << doublings).unwrap_or(max).min(max)
    }

    /// Whether one more message of `bytes` fits beside what waits. A message that no submission of ours
    /// stands behind may fill half of the room only: strangers must not keep the shop's own out.
    pub fn has_room(&self, messages: u64, bytes: u64, more_bytes: u64, is_known: bool) -> bool {
        let share = if is_known { 1 } else { 2 };
        messages < self.backlog_max_messages / share
            && bytes.saturating_add(more_bytes) <= self.backlog_max_bytes / share
    }
}

/// What one attempt to pass a message on came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Attempt {
    /// 2xx: the shop has it.
    Accepted {
        http_status: u16,
        /// `checkout` only: whether the answer held the OK token the gateway looks for.
        ok_token: Option<bool>,
    },
    /// Any other status.
    Refused { http_status: u16 },
    /// No answer.
    Unreachable { why: String },
}

impl Attempt {
    /// Whether a failure says something of this message. A shop that is not there, or has no room now,
    /// would have said the same to any other.
    pub fn is_about_the_message(&self) -> bool {
        match self {
            Attempt::Accepted { .. } => true,
            Attempt::Refused { http_status } => !matches!(http_status, 429 | 502 | 503 | 504),
            Attempt::Unreachable { .. } => false,
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        match self {
            Attempt::Accepted { http_status, ok_token } => {
                let token = match ok_token {
                    None => "",
                    Some(true) => ", with the OK token",
                    Some(false) => ", without the OK token",
                };
                format!("HTTP {http_status}{token}")
            }
            Attempt::Refused { http_status } => format!("HTTP {http_status}"),
            Attempt::Unreachable { why } => format!("no answer ({why})"),
        }
    }
}

/// Why a message is not passed on, or no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotRelayed {
    /// The backlog had no room for it.
    BacklogFull,
    /// It waited longer than the configuration allows.
    TooOld,
    /// A person gave it up.
    GivenUp,
}

impl NotRelayed {
    pub fn text(self) -> &'static str {
        match self {
            NotRelayed::BacklogFull => "the relay's backlog is full",
            NotRelayed::TooOld => "it waited longer than `give_up_after`",
            NotRelayed::GivenUp => "a person gave it up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_day_or_to_ten_minutes_where_nobody_is_there() {
        let rule = RelayPolicy::default();
        let refused = Attempt::Refused { http_status: 500 };
        let absent = Attempt::Unreachable { why: "connection refused".into() };
        let busy = Attempt::Refused { http_status: 503 };
        for (attempt, attempts, expected) in [
            (&refused, 1, seconds(10)),
            (&refused, 2, seconds(20)),
            (&refused, 5, seconds(160)),
            (&refused, 14, seconds(81_920)),
            (&refused, 15, days(1)),
            (&refused, u32::MAX, days(1)),
            (&absent, 1, seconds(10)),
            (&absent, 7, minutes(10)),
            (&busy, 40, minutes(10)),
        ] {
            assert_eq!(rule.pause(attempt, attempts), expected, "{attempt:?} {attempts}");
        }
    }

    #[test]
    fn what_nobody_submitted_for_may_fill_half_of_the_backlog() {
        let rule = RelayPolicy { backlog_max_messages: 10, backlog_max_bytes: 100, ..RelayPolicy::default() };
        assert!(rule.has_room(9, 0, 100, true) && !rule.has_room(10, 0, 1, true));
        assert!(rule.has_room(4, 0, 50, false) && !rule.has_room(5, 0, 1, false));
        assert!(!rule.has_room(0, 90, 11, true) && !rule.has_room(0, 40, 11, false));
        assert!(!rule.has_room(0, u64::MAX, u64::MAX, true));
    }
}
