//! Where the books disagree: stable codes, each with a severity and an owner.

use serde::{Deserialize, Serialize};

use crate::words::money::Amount;
use crate::words::time::Timestamp;

/// What disagrees with what. The names are part of the interfaces: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Money in differs from what was submitted.
    AmountDiffers,
    /// Money came in another currency than submitted.
    CurrencyDiffers,
    /// An amount was stated that can't be booked: no currency, or more digits than it has.
    AmountUnbookable,
    /// Money came after the payment was given up.
    LatePayment,
    /// Two payments of one order, both in or held.
    DoublePayment,
    /// A newer fact says that what succeeded did not.
    Contradiction,
    /// What we held true was taken back.
    TakenBack,
    /// A bank or card scheme took money back.
    MoneyReturned,
    /// The gateway reports money for a request nobody submitted.
    OrphanMoney,
    /// A transaction of a type or state that nobody documented.
    UnknownKind,
    /// The shop submitted one request-id with two contents.
    SubmissionConflict,
    /// The gateway order number of a message is bound to another payment.
    OrderNumberTaken,
    /// An answer spoke of transactions that are not ours.
    ForeignAnswer,
    /// A hold was not captured in time.
    CaptureOverdue,
    /// More transactions than we keep for one payment.
    TooManyTransactions,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the nightly report.
    Info,
    /// For office hours.
    Warning,
    /// Someone should get up.
    Page,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Page => "page",
        }
    }
}

/// Who has to deal with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    Accounting,
    Developers,
    Oncall,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Code::AmountDiffers => "amount-differs",
            Code::CurrencyDiffers => "currency-differs",
            Code::AmountUnbookable => "amount-unbookable",
            Code::LatePayment => "late-payment",
            Code::DoublePayment => "double-payment",
            Code::Contradiction => "contradiction",
            Code::TakenBack => "taken-back",
            Code::MoneyReturned => "money-returned",
            Code::OrphanMoney => "orphan-money",
            Code::UnknownKind => "unknown-kind",
            Code::SubmissionConflict => "submission-conflict",
            Code::OrderNumberTaken => "order-number-taken",
            Code::ForeignAnswer => "foreign-answer",
            Code::CaptureOverdue => "capture-overdue",
            Code::TooManyTransactions => "too-many-transactions",
        }
    }

    /// News about the past rather than a condition that lasts: told once, not repeated.
    pub fn is_news(self) -> bool {
        match self {
            Code::LatePayment
            | Code::Contradiction
            | Code::TakenBack
            | Code::MoneyReturned
            | Code::SubmissionConflict
            | Code::OrderNumberTaken
            | Code::ForeignAnswer
            | Code::TooManyTransactions => true,
            Code::AmountDiffers
            | Code::CurrencyDiffers
            | Code::AmountUnbookable
            | Code::DoublePayment
            | Code::OrphanMoney
            | Code::UnknownKind
            | Code::CaptureOverdue => false,
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Code::DoublePayment | Code::Contradiction | Code::OrphanMoney | Code::OrderNumberTaken => Severity::Page,
            Code::AmountDiffers
            | Code::CurrencyDiffers
            | Code::AmountUnbookable
            | Code::LatePayment
            | Code::TakenBack
            | Code::MoneyReturned
            | Code::UnknownKind
            | Code::ForeignAnswer
            | Code::CaptureOverdue
            | Code::TooManyTransactions => Severity::Warning,
            Code::SubmissionConflict => Severity::Info,
        }
    }

    pub fn owner(self) -> Owner {
        match self {
            Code::AmountDiffers
            | Code::CurrencyDiffers
            | Code::AmountUnbookable
            | Code::DoublePayment
            | Code::MoneyReturned
            | Code::OrphanMoney
            | Code::LatePayment
            | Code::CaptureOverdue => Owner::Accounting,
            Code::SubmissionConflict | Code::UnknownKind | Code::TooManyTransactions => Owner::Developers,
            Code::Contradiction | Code::TakenBack | Code::OrderNumberTaken | Code::ForeignAnswer => Owner::Oncall,
        }
    }
}

/// One disagreement about one payment. Resolved ones stay, as history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Discrepancy {
    pub code: Code,
    /// What disagrees with what, in words.
    pub what: String,
    /// Money at stake, where it can be said.
    pub amount: Option<Amount>,
    pub since: Timestamp,
    pub evidence: u64,
    pub resolved_at: Option<Timestamp>,
}
