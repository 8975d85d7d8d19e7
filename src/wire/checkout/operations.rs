//! The back-end operations that move money or start payments (fact sheet checkout b.2): requests only, for the command
//! an operator types. Nothing in the daemon may use this module; [`super::backend`] is all it needs.
//!
//! The gateway knows no idempotency key for deposit and refund: after a time-out ask for the order details, never
//! repeat. For `RecurPayment` and `TransferFund` a pre-generated number makes a repeat harmless (13xxx).
//!
//! Amounts are signed in the spelling they are sent in; see [`Money`].

use super::backend::{self, Credentials, Request};
use super::fingerprint::SECRET;
use crate::core::account::Product;
use crate::wire::form::Form;

/// One operation with what it needs. Texts are sent as they are; `None` and empty lists are left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation<'a> {
    /// Gives a reservation back; the payment object vanishes.
    ApproveReversal { order_number: &'a str },
    /// Captures a reservation, in whole or in part.
    Deposit {
        order_number: &'a str,
        amount: Money<'a>,
        merchant_reference: Option<&'a str>,
        customer_statement: Option<&'a str>,
        basket: &'a [BasketItem<'a>],
    },
    /// Takes a capture back before the day-end closing.
    DepositReversal { order_number: &'a str, payment_number: &'a str },
    /// Pays back after the day-end closing.
    Refund {
        order_number: &'a str,
        amount: Money<'a>,
        merchant_reference: Option<&'a str>,
        basket: &'a [BasketItem<'a>],
    },
    /// Takes a refund back before its day-end closing; the credit object vanishes.
    RefundReversal { order_number: &'a str, credit_number: &'a str },
    /// Starts a new payment from an old one.
    RecurPayment {
        /// A pre-generated number, so that a repeat is refused.
        order_number: Option<&'a str>,
        source_order_number: &'a str,
        auto_deposit: Option<bool>,
        order_description: &'a str,
        amount: Money<'a>,
        order_reference: Option<&'a str>,
        customer_statement: Option<&'a str>,
        /// Further signed fields (mandate, transaction identifier …) in the vendor's order.
        further: &'a [(&'a str, &'a str)],
    },
    /// Pays out.
    TransferFund {
        /// A pre-generated order number, so that a repeat is refused.
        order_number: Option<&'a str>,
        /// A pre-generated credit number, so that a repeat is refused.
        credit_number: Option<&'a str>,
        order_description: &'a str,
        amount: Money<'a>,
        order_reference: Option<&'a str>,
        customer_statement: Option<&'a str>,
        fund: Fund<'a>,
    },
    /// Lists the banks of a payment type.
    FinancialInstitutions { payment_type: &'a str, transaction_type: Option<&'a str>, bank_country: Option<&'a str> },
}

/// An amount in the spelling it is sent and signed in: `12.50` or `12,50`, no thousands separator, no more decimals than
/// the currency has; three letters or digits of ISO 4217. An exact amount prints as `Amount::value_text`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Money<'a> {
    pub value: &'a str,
    pub currency: &'a str,
}

/// Where a [`Operation::TransferFund`] goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fund<'a> {
    ExistingOrder { source_order_number: &'a str },
    SepaCreditTransfer { owner: &'a str, bic: &'a str, iban: &'a str },
    SkrillWallet { consumer_email: &'a str },
    Moneta { consumer_wallet_id: &'a str },
}

/// One line of a basket. Amounts and rates as the shop writes them; `description` and `image_url` may be left out,
/// everything else is needed (fact sheet b.2, e).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BasketItem<'a> {
    pub article_number: &'a str,
    pub quantity: &'a str,
    pub description: Option<&'a str>,
    pub name: &'a str,
    pub image_url: Option<&'a str>,
    pub unit_gross_amount: &'a str,
    pub unit_net_amount: &'a str,
    pub unit_tax_amount: &'a str,
    pub unit_tax_rate: &'a str,
}

/// Builds the request of one operation.
pub fn request(c: &Credentials<'_>, operation: &Operation<'_>) -> Request {
    let (name, fields) = fields(operation);
    let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    backend::request(c, name, &pairs)
}

/// The operation's name and its signed fields in the vendor's order.
fn fields(operation: &Operation<'_>) -> (&'static str, Vec<(String, String)>) {
    let mut f = Fields::default();
    let name = match operation {
        Operation::ApproveReversal { order_number } => {
            f.put("orderNumber", order_number);
            "approveReversal"
        }
        Operation::Deposit { order_number, amount, merchant_reference, customer_statement, basket } => {
            f.put("orderNumber", order_number);
            f.money(*amount);
            f.maybe("merchantReference", *merchant_reference);
            f.maybe("customerStatement", *customer_statement);
            f.basket(basket);
            "deposit"
        }
        Operation::DepositReversal { order_number, payment_number } => {
            f.put("orderNumber", order_number);
            f.put("paymentNumber", payment_number);
            "depositReversal"
        }
        Operation::Refund { order_number, amount, merchant_reference, basket } => {
            f.put("orderNumber", order_number);
            f.money(*amount);
            f.maybe("merchantReference", *merchant_reference);
            f.basket(basket);
            "refund"
        }
        Operation::RefundReversal { order_number, credit_number } => {
            f.put("orderNumber", order_number);
            f.put("creditNumber", credit_number);
            "refundReversal"
        }
        Operation::RecurPayment {
            order_number,
            source_order_number,
            auto_deposit,
            order_description,
            amount,
            order_reference,
            customer_statement,
            further,
        } => {
            f.maybe("orderNumber", *order_number);
            f.put("sourceOrderNumber", source_order_number);
            f.maybe("autoDeposit", auto_deposit.map(|yes| if yes { "Yes" } else { "No" }));
            f.put("orderDescription", order_description);
            f.money(*amount);
            f.maybe("orderReference", *order_reference);
            f.maybe("customerStatement", *customer_statement);
            further.iter().for_each(|(name, value)| f.put(name, value));
            "recurPayment"
        }
        Operation::TransferFund {
            order_number,
            credit_number,
            order_description,
            amount,
            order_reference,
            customer_statement,
            fund,
        } => {
            f.maybe("orderNumber", *order_number);
            f.maybe("creditNumber", *credit_number);
            f.put("orderDescription", order_description);
            f.money(*amount);
            f.maybe("orderReference", *order_reference);
            f.maybe("customerStatement", *customer_statement);
            f.fund(*fund);
            "transferFund"
        }
        Operation::FinancialInstitutions { payment_type, transaction_type, bank_country } => {
            f.put("paymentType", payment_type);
            f.maybe("transactionType", *transaction_type);
            f.maybe("bankCountry", *bank_country);
            "getFinancialInstitutions"
        }
    };
    (name, f.fields)
}

/// Signed fields after the common ones, in an order that fits every operation: each has a few of them. Baskets follow
/// as they stand in the body.
#[rustfmt::skip]
const SIGNED: &[&str] = &[
    "orderNumber", "paymentNumber", "creditNumber", "sourceOrderNumber", "autoDeposit", "orderDescription", "amount",
    "currency", "orderReference", "merchantReference", "customerStatement", "mandateId", "mandateSignatureDate",
    "creditorId", "dueDate", "transactionIdentifier", "useIbanBic", "merchantTokenizationFlag", "periodicType",
    "paymentType", "transactionType", "bankCountry",
];
/// The same for transferFund, where the source order follows the kind of transfer.
#[rustfmt::skip]
const SIGNED_IN_TRANSFER: &[&str] = &[
    "orderNumber", "creditNumber", "orderDescription", "amount", "currency", "orderReference", "customerStatement",
    "fundTransferType", "sourceOrderNumber", "consumerEmail", "consumerWalletId", "bankAccountOwner", "bankBic",
    "bankAccountIban",
];

/// The names a request signs, in order, read back from the request: what the gateway does to check it.
pub(super) fn signed_names(form: &Form, product: Product) -> Vec<&str> {
    let has = |name: &&str| form.get(name).is_some() || *name == SECRET;
    let common: &[&str] = match product {
        Product::Page => &["customerId", "shopId", "toolkitPassword", SECRET, "command", "language"],
        Product::Seamless => &["customerId", "shopId", "password", SECRET, "language"],
    };
    let own = if form.get("fundTransferType").is_some() { SIGNED_IN_TRANSFER } else { SIGNED };
    let basket = form.fields().iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("basketItem"));
    common.iter().chain(own).copied().filter(has).chain(basket).collect()
}

#[derive(Default)]
struct Fields {
    fields: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn money(&mut self, amount: Money<'_>) {
        self.put("amount", amount.value);
        self.put("currency", amount.currency);
    }

    fn basket(&mut self, items: &[BasketItem<'_>]) {
        if items.is_empty() {
            return;
        }
        self.put("basketItems", &items.len().to_string());
        for (n, item) in (1..).zip(items) {
            let mut put = |part: &str, value: Option<&str>| self.maybe(&format!("basketItem{n}{part}"), value);
            put("ArticleNumber", Some(item.article_number));
            put("Quantity", Some(item.quantity));
            put("Description", item.description);
            put("Name", Some(item.name));
            put("ImageUrl", item.image_url);
            put("UnitGrossAmount", Some(item.unit_gross_amount));
            put("UnitNetAmount", Some(item.unit_net_amount));
            put("UnitTaxAmount", Some(item.unit_tax_amount));
            put("UnitTaxRate", Some(item.unit_tax_rate));
        }
    }

    fn fund(&mut self, fund: Fund<'_>) {
        match fund {
            Fund::ExistingOrder { source_order_number } => {
                self.put("fundTransferType", "EXISTINGORDER");
                self.put("sourceOrderNumber", source_order_number);
            }
            Fund::SepaCreditTransfer { owner, bic, iban } => {
                self.put("fundTransferType", "SEPA-CT");
                self.put("bankAccountOwner", owner);
                self.put("bankBic", bic);
                self.put("bankAccountIban", iban);
            }
            Fund::SkrillWallet { consumer_email } => {
                self.put("fundTransferType", "SKRILLWALLET");
                self.put("consumerEmail", consumer_email);
            }
            Fund::Moneta { consumer_wallet_id } => {
                self.put("fundTransferType", "MONETA");
                self.put("consumerWalletId", consumer_wallet_id);
            }
        }
    }
}
