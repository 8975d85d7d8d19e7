//! The ways in which a gateway does not answer a question.

use serde::{Deserialize, Serialize};

use crate::words::id::MerchantName;
use crate::words::time::{SignedDuration, Timestamp};

/// A time in which the gateway answers retrievals rudely.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Whose questions; `None`: everybody's.
    #[serde(default)]
    pub merchant: Option<MerchantName>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub manner: Manner,
}

/// How it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// 503 with an empty body.
    Unavailable,
    /// 500 with a stack trace.
    Broken,
    /// 429 with `Retry-After`.
    TooMany { retry_after_seconds: u32 },
    /// The connection stays open and nothing comes.
    Silent,
    /// The connection is closed without an answer.
    Closed,
    /// 200 with a web page.
    Page,
    /// 200 with an empty body.
    Empty,
    /// The genuine answer, cut in the middle.
    Truncated,
    /// Access denied, told in a readable body under 200 (fact sheet wpg a.5).
    Denied,
    /// The genuine answer, after a while.
    Late { by: SignedDuration },
    /// The genuine answer under another Content-Type.
    WrongType,
    /// The genuine answer announced whole, and the connection closed in the middle of it.
    Cut,
}

impl Manner {
    /// Those that say nothing of a payment, whatever the question.
    pub const ALL: [Manner; 9] = [
        Manner::Unavailable,
        Manner::Broken,
        Manner::TooMany { retry_after_seconds: 30 },
        Manner::Silent,
        Manner::Closed,
        Manner::Page,
        Manner::Empty,
        Manner::Truncated,
        Manner::Denied,
    ];
}

impl Manner {
    /// Whether the gateway's own work is behind the answer, however it arrives.
    pub fn passes_the_work(self) -> bool {
        match self {
            Manner::Truncated | Manner::Late { .. } | Manner::WrongType | Manner::Cut => true,
            Manner::Unavailable
            | Manner::Broken
            | Manner::TooMany { .. }
            | Manner::Silent
            | Manner::Closed
            | Manner::Page
            | Manner::Empty
            | Manner::Denied => false,
        }
    }
}

impl Outage {
    pub fn covers(&self, merchant: Option<&MerchantName>, now: Timestamp) -> bool {
        let same = self.merchant.as_ref().is_none_or(|wanted| merchant == Some(wanted));
        same && self.from <= now && now < self.until
    }
}
