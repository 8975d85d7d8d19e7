//! What a payer really does, and what goes wrong on the way of the news about it.

use serde::{Deserialize, Serialize};

use crate::words::money::Amount;
use crate::words::time::SignedDuration;

/// What becomes of one payment at the gateway. All durations count from the shop's submission.
///
/// In JSON: `{"script":"success","after":"90s"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "script", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Script {
    /// The request never reached the gateway: it knows nothing of it, ever.
    NeverStarted,
    /// The payer leaves the payment page and does not come back. `checkout` says FAILURE 99996 after `timeout`.
    Abandoned { timeout: SignedDuration },
    /// The payer presses "cancel".
    Cancelled { after: SignedDuration },
    /// The provider declines.
    Failed { after: SignedDuration },
    /// The payer pays. `checkout` cards are captured at once (autoDeposit) and closed at day-end.
    Success { after: SignedDuration },
    /// The provider takes its time.
    Pending { lasts: SignedDuration, then: Ending },
    /// It fails, and then the money comes all the same: the payer tried again, or the bank was late.
    FailedThenSuccess { failed_after: SignedDuration, success_after: SignedDuration },
    /// The provider was silent, the gateway said so, and later the money came.
    ProviderSilence { after: SignedDuration, success_after: SignedDuration },
    /// One request, two successes: the payer paid twice.
    PaidTwice { after: SignedDuration, again_after: SignedDuration },
    /// The money is only held: `wpg` type `authorization` or a `checkout` approval without deposit.
    Reserved { after: SignedDuration },
    /// `checkout`: approved, then deposited by the shop's staff, closed at day-end.
    Captured { after: SignedDuration, deposit_after: SignedDuration },
    /// `wpg` SEPA: paid, and taken back by the payer's bank days later.
    Returned { after: SignedDuration, return_after: SignedDuration },
    /// Paid, and refunded in full by the shop's staff in the gateway's portal.
    Refunded { after: SignedDuration, refund_after: SignedDuration },
}

impl Script {
    /// How many genuine notifications the gateway sends about it.
    pub fn notifications(&self, is_wpg: bool) -> usize {
        match self {
            Script::NeverStarted => 0,
            // Nothing arises at `wpg` when a payer closes the page; `checkout` tells the time-out.
            Script::Abandoned { .. } => usize::from(!is_wpg),
            Script::Cancelled { .. } | Script::Failed { .. } | Script::Success { .. } | Script::Reserved { .. } => 1,
            Script::Pending { .. } | Script::FailedThenSuccess { .. } | Script::PaidTwice { .. } => 2,
            // `checkout` tells of nothing but the success.
            Script::ProviderSilence { .. }
            | Script::Captured { .. }
            | Script::Returned { .. }
            | Script::Refunded { .. } => 1 + usize::from(is_wpg),
        }
    }
}

/// How a pending payment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Success,
    Failed,
}

impl Script {
    /// The script's name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Script::NeverStarted => "never-started",
            Script::Abandoned { .. } => "abandoned",
            Script::Cancelled { .. } => "cancelled",
            Script::Failed { .. } => "failed",
            Script::Success { .. } => "success",
            Script::Pending { .. } => "pending",
            Script::FailedThenSuccess { .. } => "failed-then-success",
            Script::ProviderSilence { .. } => "provider-silence",
            Script::PaidTwice { .. } => "paid-twice",
            Script::Reserved { .. } => "reserved",
            Script::Captured { .. } => "captured",
            Script::Returned { .. } => "returned",
            Script::Refunded { .. } => "refunded",
        }
    }
}

/// The circumstances of one payment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// How a `wpg` gateway writes this payment's notifications.
    pub format: Writing,
    /// What becomes of the payment's genuine notifications, in order; those beyond the list arrive.
    pub fates: Vec<Fate>,
    /// Messages that strangers send about it.
    pub forgeries: Vec<PlannedForgery>,
    /// The payer pays another amount than the shop asked for.
    pub pays_instead: Option<Amount>,
}

/// How a `wpg` notification is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writing {
    /// As the account's own scheme asks; unsigned XML where it has none.
    #[default]
    Account,
    /// Signed JSON: a fact under scheme `json-signed`.
    JsonSigned,
    /// Signed XML: a fact under scheme `xml-dsig`. Unsigned where the sandbox has no key to sign with.
    XmlDsig,
    /// Signed name-value pairs, which do not cover the money.
    Nvp,
    /// Unsigned XML.
    Xml,
    /// Unsigned XML in one Base64 text, as the alternative payment methods send it.
    XmlBase64,
    /// Unsigned JSON.
    Json,
}

impl Writing {
    /// Those that every account can be sent, whatever its scheme.
    pub const ALL: [Writing; 5] = [Writing::JsonSigned, Writing::Nvp, Writing::Xml, Writing::XmlBase64, Writing::Json];
}

/// What becomes of one genuine notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Arrives,
    /// Sent by the gateway, never to arrive: re-deliveries are lost as well.
    Lost,
    /// It comes twice.
    Twice {
        again_after: SignedDuration,
    },
    Late {
        by: SignedDuration,
    },
    /// It comes after the payment's next notification.
    Overtaken,
}

/// A message the gateway never sent, or never sent so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedForgery {
    /// Counts from the submission.
    pub after: SignedDuration,
    pub kind: Forgery,
}

/// What a stranger may try. The attacker knows the ids and has seen genuine messages, but no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// "Paid", without any signature.
    UnsignedSuccess,
    /// "Failed", without any signature, also about payments that are paid.
    UnsignedFailure,
    /// "Cancelled", without any signature (`checkout` CANCEL is always so).
    UnsignedCancel,
    /// "Paid", signed with a secret of the attacker's own.
    WrongSecret,
    /// A genuine message whose amount was changed after signing.
    AlteredAmount,
    /// A genuine message of another payment, made to name this one.
    Relabelled,
    /// `checkout`: a fingerprint over a list that leaves the secret out, which anyone can compute.
    SecretLeftOut,
}

impl Forgery {
    pub const ALL: [Forgery; 7] = [
        Forgery::UnsignedSuccess,
        Forgery::UnsignedFailure,
        Forgery::UnsignedCancel,
        Forgery::WrongSecret,
        Forgery::AlteredAmount,
        Forgery::Relabelled,
        Forgery::SecretLeftOut,
    ];
}
