//! What may be known of a request that a shop sends to a gateway: a list of allowed facts, and nothing else.
//!
//! A request carries card numbers, CVCs, IBANs, names and mails. [`Facts`] has no place for them: its fields are picked
//! by name, each must fit a grammar of its own, and an id that repeats the request's card or account number is
//! withheld. [`Unreadable`] and every `Debug` here show no byte of a body beyond these fields.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use zeroize::Zeroize;

use crate::core::message::Transaction;
use crate::words::id::{GatewayOrderNumber, NotAnId, OrderNumber, RequestId, TransactionId};
use crate::words::money::StatedAmount;

/// Longest transaction type, payment method or resolver category, in bytes (fact sheet wpg a.2: category 32).
const WORD_MAX_BYTES: usize = 40;
/// Most digits in a type or method: real ones have two (`p24`).
const WORD_MAX_DIGITS: usize = 4;
/// Longest merchant account id or customer id, in bytes (fact sheet wpg a.2: 36).
const ACCOUNT_MAX_BYTES: usize = 36;
/// Shortest and longest card or account number that is looked for in ids, in bytes without blanks and hyphens. A shorter
/// one occurs by chance; an IBAN has at most 34.
const NUMBER_BYTES: std::ops::RangeInclusive<usize> = 8..=34;

/// One HTTP request as the shop sends it. The caller caps the body before it comes here.
#[derive(Clone, Copy)]
pub struct HttpRequest<'a> {
    pub method: &'a str,
    /// Path, perhaps with a query; below whatever prefix the base URL has.
    pub path: &'a str,
    /// Only asked for a charset where the body itself names none: types are wrong too often.
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
}

/// What a request is to a reconciler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// It may move money or start a payment: one or more requests to record (several in `<multi-payments>`).
    Submits(Vec<Facts>),
    /// It moves nothing and starts nothing.
    Asks(Question),
    /// Neither dialect knows the path. The gateway may; nothing can be said of it.
    Unknown,
}

/// A request that moves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// `wpg`: any GET.
    Retrieval,
    /// `checkout` Seamless: card data on its way to the data storage.
    DataStorage,
    /// `checkout`: getOrderDetails, generateOrderNumber, getFinancialInstitutions.
    BackEnd(Operation),
}

/// The facts of one request. An absent field was not sent, or is no such thing, or was withheld.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    pub kind: Kind,
    /// `wpg`: its own. `checkout`: the value of the account's own-id parameter; back-end operations have none.
    pub request_id: Option<RequestId>,
    /// The shop's own order number; `checkout`: `orderReference`.
    pub order_number: Option<OrderNumber>,
    /// As the shop spelt it, not yet checked against the currency's digits.
    pub amount: Option<StatedAmount>,
    /// `wpg` only.
    pub transaction_type: Option<String>,
    /// As the wire names it: `sofortbanking`, `SOFORTUEBERWEISUNG`. Absent where the payer is to choose.
    pub payment_method: Option<String>,
    /// `wpg` only.
    pub parent_transaction_id: Option<TransactionId>,
    /// `checkout`: the order the request names (`orderNumber`): the one it acts on, or a number generated before.
    pub gateway_order_number: Option<GatewayOrderNumber>,
    /// `checkout`: the order it draws on (`sourceOrderNumber` of recurPayment and transferFund).
    pub source_order_number: Option<GatewayOrderNumber>,
    /// `checkout`: the payment (depositReversal) or credit (refundReversal, transferFund) it names, as the id that
    /// object has in the books: `payment:7000001`, `credit:7000002`.
    pub object: Option<TransactionId>,
    /// `wpg`: merchant account id. `checkout`: customer id.
    pub account_id: Option<String>,
    /// `wpg`: the merchant account resolver category, where the gateway is to choose the account.
    pub resolver_category: Option<String>,
}

impl Facts {
    pub(super) fn of(kind: Kind) -> Facts {
        Facts {
            kind,
            request_id: None,
            order_number: None,
            amount: None,
            transaction_type: None,
            payment_method: None,
            parent_transaction_id: None,
            gateway_order_number: None,
            source_order_number: None,
            object: None,
            account_id: None,
            resolver_category: None,
        }
    }
}

/// What a request that may move money does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A first request: the gateway processes it at once or sends the payer on.
    Payment,
    /// A request that names a parent transaction: capture, void, refund, credit, recurring charge.
    FollowUp,
    /// A payment page is prepared; the payer chooses and pays there, under this request-id (`wpg` payment page v2).
    Register,
    /// A `checkout` back-end operation.
    Operation(Operation),
}

/// The ten back-end operations of `checkout` (fact sheet checkout b.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    ApproveReversal,
    Deposit,
    DepositReversal,
    GenerateOrderNumber,
    GetFinancialInstitutions,
    GetOrderDetails,
    RecurPayment,
    Refund,
    RefundReversal,
    TransferFund,
}

impl Operation {
    pub const ALL: [Operation; 10] = [
        Operation::ApproveReversal,
        Operation::Deposit,
        Operation::DepositReversal,
        Operation::GenerateOrderNumber,
        Operation::GetFinancialInstitutions,
        Operation::GetOrderDetails,
        Operation::RecurPayment,
        Operation::Refund,
        Operation::RefundReversal,
        Operation::TransferFund,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ApproveReversal => "approveReversal",
            Operation::Deposit => "deposit",
            Operation::DepositReversal => "depositReversal",
            Operation::GenerateOrderNumber => "generateOrderNumber",
            Operation::GetFinancialInstitutions => "getFinancialInstitutions",
            Operation::GetOrderDetails => "getOrderDetails",
            Operation::RecurPayment => "recurPayment",
            Operation::Refund => "refund",
            Operation::RefundReversal => "refundReversal",
            Operation::TransferFund => "transferFund",
        }
    }

    /// By its name, in any case: real clients write `getorderdetails`.
    pub fn named(name: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.name().eq_ignore_ascii_case(name))
    }

    /// Whether it only asks.
    pub fn is_question(self) -> bool {
        match self {
            Operation::GenerateOrderNumber | Operation::GetFinancialInstitutions | Operation::GetOrderDetails => true,
            Operation::ApproveReversal
            | Operation::Deposit
            | Operation::DepositReversal
            | Operation::RecurPayment
            | Operation::Refund
            | Operation::RefundReversal
            | Operation::TransferFund => false,
        }
    }
}

/// Why nothing can be said of a request that goes to a known path. Names what is wrong, never what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the body is empty")]
    Empty,
    #[error("the body has {bytes} bytes; at most {max} are read")]
    TooLong { bytes: usize, max: usize },
    #[error("the body is neither XML, JSON nor a form")]
    NeitherFormat,
    #[error("the body begins like XML and is no document of payments")]
    Xml,
    #[error("the body begins like JSON and holds no payment")]
    Json,
    #[error("the body is no form, or has more or longer fields than a gateway takes")]
    Form,
    #[error("the form field `{name}` stands twice with different values")]
    Twice { name: &'static str },
    #[error("the form names no back-end operation that the gateway has")]
    NoOperation,
}

/// What reads values for [`Facts`]: each by its grammar, none that repeats a number of the payer's.
#[derive(Default)]
pub(super) struct Picker {
    /// Card and account numbers of the request, without blanks and hyphens.
    private: HashSet<String>,
    /// Their lengths in bytes: a request has one or two, and looking for all numbers at once stays linear.
    lengths: BTreeSet<usize>,
}

impl Picker {
    /// Whether a name, in any dialect's spelling, holds a card or account number.
    pub fn is_private(name: &str) -> bool {
        const PRIVATE: [&str; 9] = [
            "accountnumber",
            "bankaccountnumber",
            "bankaccountiban",
            "cardnumber",
            "iban",
            "maskedaccountnumber",
            "pan",
            "consumeriban",
            "bankaccount",
        ];
        let bare: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(WORD_MAX_BYTES)
            .collect();
        PRIVATE.contains(&bare.as_str())
    }

    /// Remembers a card or account number, so that nothing that repeats it is picked.
    pub fn withhold(&mut self, number: &str) {
        let number = squeezed(number);
        if NUMBER_BYTES.contains(&number.len()) {
            self.lengths.insert(number.len());
            self.private.insert(number);
        }
    }

    fn is_withheld(&self, text: &str) -> bool {
        if self.private.is_empty() {
            return false;
        }
        let text = squeezed(text);
        let parts = text.char_indices().flat_map(|(at, _)| self.lengths.iter().map(move |length| at..at + length));
        parts.into_iter().any(|part| text.get(part).is_some_and(|part| self.private.contains(part)))
    }

    /// An id by its own rules.
    pub fn id<T>(&self, text: Option<&str>, read: impl FnOnce(&str) -> Result<T, NotAnId>) -> Option<T> {
        read(text.filter(|text| !self.is_withheld(text))?).ok()
    }

    /// An amount, unless somebody wrote a card number for it.
    pub fn amount(&self, amount: Option<StatedAmount>) -> Option<StatedAmount> {
        amount.filter(|amount| !self.is_withheld(&amount.value.to_string()))
    }

    /// A transaction type, payment method or category: letters, few digits, `-` and `_`.
    pub fn word(&self, text: Option<&str>) -> Option<String> {
        let text = text?.trim();
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=WORD_MAX_BYTES).contains(&text.len())
            && text.bytes().all(is_word)
            && text.bytes().filter(u8::is_ascii_digit).count() <= WORD_MAX_DIGITS;
        fits.then(|| text.to_owned())
    }

    /// A merchant account id or customer id: letters, digits and `-`.
    pub fn account(&self, text: Option<&str>) -> Option<String> {
        let text = text?.trim();
        let fits = (1..=ACCOUNT_MAX_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !self.is_withheld(text);
        fits.then(|| text.to_owned())
    }
}

impl Drop for Picker {
    fn drop(&mut self) {
        self.private.drain().for_each(|mut number| number.zeroize());
    }
}

/// The card and account numbers of one request, to know them again in its answer. Wiped when it ends; its `Debug`
/// shows none.
#[derive(Default)]
pub struct Private(Picker);

impl Private {
    pub(super) fn new(picker: Picker) -> Private {
        Private(picker)
    }

    /// Whether anything that may be kept of an answer repeats one of them.
    pub fn is_repeated_in(&self, transactions: &[Transaction]) -> bool {
        // As they would be kept: so no field is forgotten. One that can't be written can't be kept either.
        let kept = |transaction| serde_json::to_string(transaction).unwrap_or_default();
        !self.0.private.is_empty() && transactions.iter().any(|transaction| self.0.is_withheld(&kept(transaction)))
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private")
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect()
}

/// The last segments of a path, without query and empty segments: prefixes differ from host to host.
pub(super) fn segments(path: &str) -> Vec<&str> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}
