//! The command line of `reconciled operate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::core::operation::{Fund, Kind};

/// Where the configuration is, how to print, and how far to go.
#[derive(Args)]
pub struct Common {
    /// The configuration file.
    #[arg(long, env = "RECONCILED_CONFIG", default_value = "/etc/reconciled/reconciled.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// The merchant account, where several know the order.
    #[arg(long, value_name = "NAME")]
    pub merchant: Option<String>,
    /// Print the exact request and end: nothing is journaled, nothing is sent.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Send without asking.
    #[arg(long)]
    pub yes: bool,
    /// With --dry-run: print passwords and the Authorization header too.
    #[arg(long, requires = "dry_run")]
    pub show_secrets: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
    /// The request-id to use: unique for ever, at most 120 characters [default: a fresh one].
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Send although nobody knows yet whether an earlier one of this kind took effect.
    #[arg(long)]
    pub although_unknown: bool,
}

#[derive(Args)]
pub struct Chain {
    /// An order number, request-id, transaction-id or gateway order number.
    pub id: Option<String>,
    /// wpg: the transaction that is followed up, where the order has several that could be meant.
    #[arg(long, value_name = "ID")]
    pub transaction: Option<String>,
    /// wpg: the transaction type, where the payment method's rules are not known.
    #[arg(long = "type", value_name = "TYPE")]
    pub transaction_type: Option<String>,
    /// wpg: how the request is written.
    #[arg(long, value_enum, default_value = "xml")]
    pub format: Format,
}

#[derive(Args, Default)]
pub struct Money {
    /// How much, such as 12.50 [default: all that is left].
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub amount: Option<String>,
    /// Such as EUR [default: the payment's].
    #[arg(long, value_name = "CODE")]
    pub currency: Option<String>,
}

#[derive(Args, Default)]
pub struct Goods {
    /// The basket, a JSON list of lines (see docs/operations.md); `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub basket: Option<String>,
    /// The provider of this invoice takes no basket.
    #[arg(long)]
    pub without_basket: bool,
}

#[derive(Args, Default)]
pub struct Texts {
    /// Text for the payer's statement (wpg: descriptor, checkout: customerStatement).
    #[arg(long, value_name = "TEXT")]
    pub statement: Option<String>,
    /// Your reference (wpg: order-number, checkout: merchantReference or orderReference).
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// wpg: the payer's address.
    #[arg(long, value_name = "ADDRESS")]
    pub ip_address: Option<String>,
}

#[derive(Args, Default)]
pub struct To {
    /// Who gets the money: JSON with last_name (or owner), iban, and first_name, bic, email or wallet_id where
    /// needed. It goes to the gateway only and is kept nowhere.
    #[arg(long, value_name = "FILE")]
    pub payee: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Xml,
    /// Name-value pairs (cards).
    Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FundArg {
    /// Back to the payer of an order: the refund of iDEAL, Sofort and SEPA.
    ExistingOrder,
    /// To a bank account (--payee).
    SepaCt,
    /// To a Skrill wallet (--payee with email).
    SkrillWallet,
    /// To a moneta.ru wallet (--payee with wallet_id).
    Moneta,
}

impl FundArg {
    pub fn fund(self) -> Fund {
        match self {
            FundArg::ExistingOrder => Fund::ExistingOrder,
            FundArg::SepaCt => Fund::SepaCt,
            FundArg::SkrillWallet => Fund::SkrillWallet,
            FundArg::Moneta => Fund::Moneta,
        }
    }
}

#[derive(Args)]
pub struct Taking {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub chain: Chain,
    #[command(flatten)]
    pub money: Money,
    #[command(flatten)]
    pub goods: Goods,
    #[command(flatten)]
    pub texts: Texts,
}

#[derive(Args)]
pub struct Giving {
    #[command(flatten)]
    pub taking: Taking,
    #[command(flatten)]
    pub to: To,
}

#[derive(Args)]
pub struct Reversal {
    #[command(flatten)]
    pub common: Common,
    /// An order number, request-id or gateway order number.
    pub id: Option<String>,
}

#[derive(Args)]
pub struct OfPayment {
    #[command(flatten)]
    pub reversal: Reversal,
    /// The payment's number at the gateway, where the order has several.
    #[arg(long, value_name = "NUMBER")]
    pub payment: Option<String>,
}

#[derive(Args)]
pub struct OfCredit {
    #[command(flatten)]
    pub reversal: Reversal,
    /// The credit's number at the gateway, where the order has several.
    #[arg(long, value_name = "NUMBER")]
    pub credit: Option<String>,
}

#[derive(Args)]
pub struct Recurring {
    #[command(flatten)]
    pub taking: Taking,
    /// wpg: this is the last of the series.
    #[arg(long)]
    pub last: bool,
    /// checkout: what the payer reads.
    #[arg(long, value_name = "TEXT", default_value = "recurring payment")]
    pub description: String,
    /// checkout: capture at once, or hold.
    #[arg(long, value_name = "YES|NO")]
    pub auto_deposit: Option<YesNo>,
    /// checkout: a number that generateOrderNumber gave [default: a fresh one].
    #[arg(long, value_name = "NUMBER")]
    pub number: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum YesNo {
    Yes,
    No,
}

#[derive(Args)]
pub struct Payout {
    #[command(flatten)]
    pub common: Common,
    /// With --fund existing-order: the order whose payer gets the money.
    pub id: Option<String>,
    #[arg(long, value_enum)]
    pub fund: FundArg,
    #[command(flatten)]
    pub money: Money,
    #[command(flatten)]
    pub texts: Texts,
    #[command(flatten)]
    pub to: To,
    /// What the receiver reads.
    #[arg(long, value_name = "TEXT", default_value = "transfer")]
    pub description: String,
    /// A number that generateOrderNumber gave, for the credit [default: a fresh one].
    #[arg(long, value_name = "NUMBER")]
    pub number: Option<String>,
}

#[derive(Args)]
pub struct Banks {
    #[command(flatten)]
    pub common: Common,
    /// Such as EPS or IDL.
    #[arg(long, value_name = "TYPE")]
    pub payment_type: String,
    #[arg(long, value_name = "TYPE")]
    pub transaction_type: Option<String>,
    /// Such as AT.
    #[arg(long, value_name = "CODE")]
    pub bank_country: Option<String>,
}

#[derive(Args)]
pub struct Resolve {
    /// The configuration file.
    #[arg(long, env = "RECONCILED_CONFIG", default_value = "/etc/reconciled/reconciled.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// The operation's number, as `explain` and the alert say it.
    pub operation: u64,
    /// It took effect.
    #[arg(long, required_unless_present = "not_executed", conflicts_with = "not_executed")]
    pub executed: bool,
    /// It did not.
    #[arg(long)]
    pub not_executed: bool,
    /// Where you saw it; journaled.
    #[arg(long, value_name = "TEXT")]
    pub because: String,
}

/// Move money: off unless `[operations] enabled = true`.
///
/// Checks the operation against what the daemon knows of the order, shows the exact request, asks, has the daemon
/// journal it, sends it once, and tells the daemon what came of it. A request without an answer is never repeated: the
/// daemon looks it up.
#[derive(Subcommand)]
pub enum Operate {
    /// Take held money (checkout: deposit).
    Capture(Box<Taking>),
    /// Give a hold back, or undo a capture, purchase or refund before it is settled (checkout: approveReversal).
    Void(Box<Taking>),
    /// Pay back what was taken, or part of it.
    Refund(Box<Giving>),
    /// Change an invoice's sum, or pay without goods coming back.
    ///
    /// wpg, invoices: by the vendor's page a negative amount is a reduction and a positive one an adjustment charge; the
    /// page contradicts itself, so have the provider confirm it. wpg, cards: a payout. checkout: a refund of an invoice
    /// without goods.
    Credit(Box<Giving>),
    /// checkout: take held money.
    Deposit(Box<Taking>),
    /// checkout: undo a deposit before the day-end closing.
    DepositReversal(Box<OfPayment>),
    /// checkout: give a hold back.
    ApproveReversal(Box<Reversal>),
    /// checkout: undo a refund before the day-end closing.
    RefundReversal(Box<OfCredit>),
    /// Charge a payer again by the way of an earlier payment.
    Recur(Box<Recurring>),
    /// checkout: pay out, or pay back where no refund can (iDEAL, Sofort, SEPA).
    Transfer(Box<Payout>),
    /// checkout: list the banks of a payment type. Moves nothing.
    FinancialInstitutions(Box<Banks>),
    /// State what became of an operation whose outcome is unknown, where only a person could find out.
    Resolve(Resolve),
}

/// What one command line wishes, whatever its verb.
pub struct Wished<'a> {
    pub kind: Kind,
    pub common: &'a Common,
    pub id: Option<&'a str>,
    pub chain: Option<&'a Chain>,
    pub money: Option<&'a Money>,
    pub goods: Option<&'a Goods>,
    pub texts: Option<&'a Texts>,
    pub to: Option<&'a To>,
    pub object: Option<&'a str>,
    pub fund: Option<Fund>,
    pub number: Option<&'a str>,
    pub description: Option<&'a str>,
    pub auto_deposit: Option<bool>,
    pub is_last: bool,
}

impl<'a> Wished<'a> {
    pub fn taking(kind: Kind, taking: &'a Taking) -> Wished<'a> {
        Wished {
            kind,
            common: &taking.common,
            id: taking.chain.id.as_deref(),
            chain: Some(&taking.chain),
            money: Some(&taking.money),
            goods: Some(&taking.goods),
            texts: Some(&taking.texts),
            to: None,
            object: None,
            fund: None,
            number: None,
            description: None,
            auto_deposit: None,
            is_last: false,
        }
    }

    pub fn giving(kind: Kind, giving: &'a Giving) -> Wished<'a> {
        Wished { to: Some(&giving.to), ..Wished::taking(kind, &giving.taking) }
    }

    pub fn reversal(kind: Kind, reversal: &'a Reversal, object: Option<&'a str>) -> Wished<'a> {
        Wished {
            kind,
            common: &reversal.common,
            id: reversal.id.as_deref(),
            chain: None,
            money: None,
            goods: None,
            texts: None,
            to: None,
            object,
            fund: None,
            number: None,
            description: None,
            auto_deposit: None,
            is_last: false,
        }
    }

    pub fn recurring(recurring: &'a Recurring) -> Wished<'a> {
        Wished {
            number: recurring.number.as_deref(),
            description: Some(&recurring.description),
            auto_deposit: recurring.auto_deposit.map(|yes| yes == YesNo::Yes),
            is_last: recurring.last,
            ..Wished::taking(Kind::Recur, &recurring.taking)
        }
    }

    pub fn payout(payout: &'a Payout) -> Wished<'a> {
        Wished {
            kind: Kind::Transfer,
            common: &payout.common,
            id: payout.id.as_deref(),
            chain: None,
            money: Some(&payout.money),
            goods: None,
            texts: Some(&payout.texts),
            to: Some(&payout.to),
            object: None,
            fund: Some(payout.fund.fund()),
            number: payout.number.as_deref(),
            description: Some(&payout.description),
            auto_deposit: None,
            is_last: false,
        }
    }
}
