//! What a message from a gateway says, in one shape for both dialects, and how far it can be believed.
//!
//! `wire` turns bytes into these values; the rules above read nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::status_code::{Class, status_code};
use crate::words::money::StatedAmount;
use crate::words::time::Timestamp;

/// The family of gateways a merchant account belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Wirecard Payment Gateway and its heir Getnet Europe.
    Wpg,
    /// Wirecard Checkout Page / Seamless and their heir QENTA.
    Checkout,
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Wpg => "wpg",
            Dialect::Checkout => "checkout",
        }
    }
}

/// How a message was written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Xml,
    Json,
    JsonSigned,
    Nvp,
    Form,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Format::Xml => "xml",
            Format::Json => "json",
            Format::JsonSigned => "json-signed",
            Format::Nvp => "nvp",
            Format::Form => "form",
        }
    }
}

/// How a message is signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    NvpV1,
    NvpV2,
    JsonSigned,
    XmlDsig,
    HmacSha512,
    Sha512,
    Md5,
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Scheme::NvpV1 => "nvp-v1",
            Scheme::NvpV2 => "nvp-v2",
            Scheme::JsonSigned => "json-signed",
            Scheme::XmlDsig => "xml-dsig",
            Scheme::HmacSha512 => "hmac-sha512",
            Scheme::Sha512 => "sha512",
            Scheme::Md5 => "md5",
        }
    }
}

/// How far a message can be believed: three verdicts, three rules.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Authenticity {
    /// The scheme's check passed; `covers` names the fields it protects, as on the wire.
    Verified { scheme: Scheme, covers: Vec<String> },
    /// A check failed, or the message's own structure rules it out. Changes no books.
    Refuted { scheme: Option<Scheme>, reason: String },
    /// Nothing to check, or nothing to check it with. A hint.
    Unverifiable { scheme: Option<Scheme>, reason: Option<String> },
}

impl Authenticity {
    pub fn verdict(&self) -> &'static str {
        match self {
            Authenticity::Verified { .. } => "verified",
            Authenticity::Refuted { .. } => "refuted",
            Authenticity::Unverifiable { .. } => "unverifiable",
        }
    }

    pub fn scheme(&self) -> Option<Scheme> {
        match self {
            Authenticity::Verified { scheme, .. } => Some(*scheme),
            Authenticity::Refuted { scheme, .. } | Authenticity::Unverifiable { scheme, .. } => *scheme,
        }
    }

    pub fn is_verified(&self) -> bool {
        matches!(self, Authenticity::Verified { .. })
    }

    pub fn is_refuted(&self) -> bool {
        matches!(self, Authenticity::Refuted { .. })
    }
}

/// What `checkout` says of a payment in a confirmation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentState {
    Success,
    Pending,
    Failure,
    Cancel,
}

impl PaymentState {
    pub fn name(self) -> &'static str {
        match self {
            PaymentState::Success => "SUCCESS",
            PaymentState::Pending => "PENDING",
            PaymentState::Failure => "FAILURE",
            PaymentState::Cancel => "CANCEL",
        }
    }
}

/// One status of a transaction. Kept as the wire has it: codes outside the tables occur.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub code: String,
    pub severity: Option<String>,
}

impl Status {
    pub fn class(&self) -> Option<Class> {
        status_code(&self.code).map(|c| c.class)
    }
}

impl Transaction {
    /// Refused because its request-id was used before (400.1018): it says that an earlier submit arrived, and
    /// nothing about what became of that.
    pub fn is_refused_repeat(&self) -> bool {
        self.transaction_state.as_deref() == Some("failed")
            && self.statuses.iter().any(|s| s.class() == Some(Class::DuplicateRequest))
    }
}

/// Marks of a recurring payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Periodic {
    pub periodic_type: Option<String>,
    pub sequence_type: Option<String>,
}

/// One transaction as a message or an answer states it. Absent and empty fields are `None`; ids are
/// trimmed and never re-cased.
///
/// `checkout` objects read as transactions too. A confirmation's one transaction has the id
/// `order:NUMBER`, type `confirmation` and the payment state as its state. getOrderDetails gives one
/// for each `payment` (`payment:NUMBER`, state `payment_deposited` …) and each `credit`
/// (`credit:NUMBER`, state `credit_refunded` …).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Transaction {
    pub merchant_account_id: Option<String>,
    pub request_id: Option<String>,
    pub transaction_id: Option<String>,
    pub parent_transaction_id: Option<String>,
    pub group_transaction_id: Option<String>,
    pub transaction_type: Option<String>,
    pub transaction_state: Option<String>,
    pub amount: Option<StatedAmount>,
    pub order_number: Option<String>,
    pub payment_methods: Vec<String>,
    pub completed_at: Option<Timestamp>,
    pub statuses: Vec<Status>,
    pub custom_fields: BTreeMap<String, String>,
    pub periodic: Option<Periodic>,
    /// A payment-method carries a URL: a redirect was issued, and no money moved with this.
    pub redirect_only: bool,
}

/// One message as it came over the wire, read and judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub dialect: Dialect,
    pub format: Format,
    pub authenticity: Authenticity,
    pub transactions: Vec<Transaction>,
    /// `checkout` only.
    pub payment_state: Option<PaymentState>,
    /// `checkout` only.
    pub gateway_order_number: Option<String>,
    /// `checkout` only: listed names that are not the gateway's own.
    pub custom: BTreeMap<String, String>,
    /// `checkout` only: every field the fingerprint's list does not name.
    pub unverified: BTreeMap<String, String>,
    /// `checkout` FAILURE: the error code, where one is given (99996: 30 minutes without activity).
    pub error_code: Option<String>,
}
