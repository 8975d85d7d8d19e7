//! The back-end operations that move money or start payments (fact sheet checkout b.2): requests only, for the command
//! an operator types. Nothing in the daemon may use this module; [`super::backend`] is all it needs.
//!
//! The gateway knows no idempotency key for deposit and refund: after a time-out ask for the order details, never
//! repeat. For `RecurPayment` and `TransferFund` a pre-generated number makes a repeat harmless (13xxx).
//!
//! Amounts are signed in the spelling they are sent in; see [`Money`].

use super::backend::{self, Credentials, Request};
use super::signed;

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
        /// Money back without goods, on invoices: `transactionIdentifier=CREDIT` (fact sheet checkout e).
        is_credit: bool,
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
        /// Further signed fields (mandate, transaction identifier …).
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

/// The operation's name and its signed fields, in the order of their places.
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
        Operation::Refund { order_number, amount, merchant_reference, basket, is_credit } => {
            f.put("orderNumber", order_number);
            f.money(*amount);
            f.maybe("merchantReference", *merchant_reference);
            f.basket(basket);
            f.maybe("transactionIdentifier", is_credit.then_some("CREDIT"));
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
    let is_transfer = matches!(operation, Operation::TransferFund { .. });
    f.fields.sort_by_key(|(name, _)| {
        let place = signed::place(is_transfer, name);
        // What no list names would be signed by nobody: behind the rest, where a test finds it.
        (place.is_none(), place)
    });
    (name, f.fields)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::account::Product;
    use crate::core::message::Scheme;
    use crate::wire::checkout::encode::verify_request;

    const C: Credentials<'_> = Credentials {
        product: Product::Seamless,
        customer_id: "D700001",
        shop_id: Some("shop-1"),
        password: "p",
        secret: "S3cret",
        algorithm: Scheme::HmacSha512,
    };
    const MONEY: Money<'_> = Money { value: "12.50", currency: "EUR" };
    const ITEM: BasketItem<'_> = BasketItem {
        article_number: "A1",
        quantity: "2",
        description: None,
        name: "Lamp",
        image_url: Some("https://shop.example/a1.png"),
        unit_gross_amount: "6.25",
        unit_net_amount: "5.21",
        unit_tax_amount: "1.04",
        unit_tax_rate: "20",
    };

    const BARE: BasketItem<'_> =
        BasketItem { article_number: "A2", description: Some("brass"), image_url: None, ..ITEM };

    /// Every operation, with all its optional fields and with none, and its signed fields as the vendor orders them.
    fn cases() -> Vec<(Operation<'static>, &'static str, &'static str)> {
        vec![
            (Operation::ApproveReversal { order_number: "7" }, "approveReversal", "orderNumber"),
            (
                Operation::Deposit {
                    order_number: "7",
                    amount: MONEY,
                    merchant_reference: None,
                    customer_statement: None,
                    basket: &[],
                },
                "deposit",
                "orderNumber,amount,currency",
            ),
            (
                Operation::Deposit {
                    order_number: "7",
                    amount: MONEY,
                    merchant_reference: Some("m"),
                    customer_statement: Some("c"),
                    basket: &[ITEM],
                },
                "deposit",
                "orderNumber,amount,currency,merchantReference,customerStatement,basketItems,basketItem1ArticleNumber,\
                 basketItem1Quantity,basketItem1Name,basketItem1ImageUrl,basketItem1UnitGrossAmount,\
                 basketItem1UnitNetAmount,basketItem1UnitTaxAmount,basketItem1UnitTaxRate",
            ),
            (
                Operation::DepositReversal { order_number: "7", payment_number: "8" },
                "depositReversal",
                "orderNumber,paymentNumber",
            ),
            (
                Operation::Refund {
                    order_number: "7",
                    amount: MONEY,
                    merchant_reference: Some("m"),
                    basket: &[],
                    is_credit: false,
                },
                "refund",
                "orderNumber,amount,currency,merchantReference",
            ),
            (
                Operation::Refund {
                    order_number: "7",
                    amount: MONEY,
                    merchant_reference: None,
                    basket: &[],
                    is_credit: true,
                },
                "refund",
                "orderNumber,amount,currency,transactionIdentifier",
            ),
            (
                Operation::RefundReversal { order_number: "7", credit_number: "9" },
                "refundReversal",
                "orderNumber,creditNumber",
            ),
            (
                Operation::RecurPayment {
                    order_number: Some("7"),
                    source_order_number: "6",
                    auto_deposit: Some(true),
                    order_description: "d",
                    amount: MONEY,
                    order_reference: Some("r"),
                    customer_statement: Some("c"),
                    further: &[("mandateId", "m"), ("transactionIdentifier", "RECUR")],
                },
                "recurPayment",
                "orderNumber,sourceOrderNumber,autoDeposit,orderDescription,amount,currency,orderReference,\
                 customerStatement,mandateId,transactionIdentifier",
            ),
            (
                transfer(Fund::ExistingOrder { source_order_number: "6" }),
                "transferFund",
                "creditNumber,orderDescription,amount,currency,fundTransferType,sourceOrderNumber",
            ),
            (
                transfer(Fund::SepaCreditTransfer { owner: "o", bic: "b", iban: "i" }),
                "transferFund",
                "creditNumber,orderDescription,amount,currency,fundTransferType,bankAccountOwner,bankBic,bankAccountIban",
            ),
            (
                transfer(Fund::SkrillWallet { consumer_email: "e" }),
                "transferFund",
                "creditNumber,orderDescription,amount,currency,fundTransferType,consumerEmail",
            ),
            (
                transfer(Fund::Moneta { consumer_wallet_id: "w" }),
                "transferFund",
                "creditNumber,orderDescription,amount,currency,fundTransferType,consumerWalletId",
            ),
            (
                Operation::FinancialInstitutions {
                    payment_type: "EPS",
                    transaction_type: None,
                    bank_country: Some("AT"),
                },
                "getFinancialInstitutions",
                "paymentType,bankCountry",
            ),
        ]
    }

    fn transfer(fund: Fund<'static>) -> Operation<'static> {
        Operation::TransferFund {
            order_number: None,
            credit_number: Some("9"),
            order_description: "d",
            amount: MONEY,
            order_reference: None,
            customer_statement: None,
            fund,
        }
    }

    #[test]
    fn every_operation_signs_its_fields_in_the_vendors_order() {
        for (operation, name, signed) in cases() {
            let (said, fields) = fields(&operation);
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!((said, names.join(",").as_str()), (name, signed));
        }
    }

    /// Every operation with every choice of its optional parts.
    fn combinations() -> Vec<Operation<'static>> {
        let yes_or_no = [false, true];
        let baskets: [&[BasketItem<'_>]; 4] = [&[], &[ITEM], &[ITEM, BARE], &[BARE; 11]];
        let further: [&[(&str, &str)]; 2] =
            [&[], &[("transactionIdentifier", "RECUR"), ("dueDate", "01.03.2026"), ("mandateId", "m")]];
        let funds = [
            Fund::ExistingOrder { source_order_number: "6" },
            Fund::SepaCreditTransfer { owner: "o", bic: "b", iban: "i" },
            Fund::SkrillWallet { consumer_email: "e" },
            Fund::Moneta { consumer_wallet_id: "w" },
        ];
        let mut all = Vec::new();
        for a in yes_or_no {
            for b in yes_or_no {
                for basket in baskets {
                    let merchant_reference = a.then_some("m");
                    let (order_number, amount) = ("7", MONEY);
                    all.push(Operation::Deposit {
                        order_number,
                        amount,
                        merchant_reference,
                        customer_statement: b.then_some("c"),
                        basket,
                    });
                    all.push(Operation::Refund { order_number, amount, merchant_reference, basket, is_credit: b });
                }
                for c in yes_or_no {
                    for d in yes_or_no {
                        let order_number = a.then_some("7");
                        let (order_reference, customer_statement) = (c.then_some("r"), d.then_some("s"));
                        all.extend(further.map(|further| Operation::RecurPayment {
                            order_number,
                            source_order_number: "6",
                            auto_deposit: b.then_some(c),
                            order_description: "d",
                            amount: MONEY,
                            order_reference,
                            customer_statement,
                            further,
                        }));
                        all.extend(funds.map(|fund| Operation::TransferFund {
                            order_number,
                            credit_number: b.then_some("9"),
                            order_description: "d",
                            amount: MONEY,
                            order_reference,
                            customer_statement,
                            fund,
                        }));
                    }
                }
                all.push(Operation::FinancialInstitutions {
                    payment_type: "EPS",
                    transaction_type: a.then_some("SINGLE"),
                    bank_country: b.then_some("AT"),
                });
            }
        }
        all
    }

    #[test]
    fn the_gateway_accepts_every_operation_with_every_choice_of_its_optional_parts() {
        for operation in combinations() {
            let (_, fields) = fields(&operation);
            let is_transfer = matches!(operation, Operation::TransferFund { .. });
            for (name, _) in &fields {
                assert!(
                    signed::place(is_transfer, name).is_some(),
                    "{name} of {operation:?} would be signed by nobody"
                );
            }
            for product in [Product::Page, Product::Seamless] {
                let c = Credentials { product, ..C };
                let request = request(&c, &operation);
                assert!(verify_request(request.body.as_bytes(), &c), "{product:?} {operation:?}");
                let forged = request.body.replace("12.50", "12.51");
                assert_eq!(verify_request(forged.as_bytes(), &c), forged == request.body, "{product:?} {operation:?}");
            }
        }
    }

    #[test]
    fn the_gateway_accepts_every_operation_under_every_product_and_algorithm() {
        for (operation, name, _) in cases() {
            for product in [Product::Page, Product::Seamless] {
                for algorithm in [Scheme::HmacSha512, Scheme::Sha512, Scheme::Md5] {
                    let c = Credentials { product, algorithm, ..C };
                    let request = request(&c, &operation);
                    assert!(verify_request(request.body.as_bytes(), &c), "{name} {product:?} {algorithm:?}");
                    let path =
                        if product == Product::Page { "/toolkit.php".into() } else { format!("/backend/{name}") };
                    assert_eq!(request.path, path);
                    let tampered = request.body.replace("12.50", "99.50").replace("orderNumber=7", "orderNumber=8");
                    let changed = tampered != request.body;
                    assert_eq!(verify_request(tampered.as_bytes(), &c), !changed, "{name}");
                }
            }
        }
    }

    /// Why a logged question is as good as a reversal, and why the two products differ.
    #[test]
    fn on_seamless_a_question_and_a_reversal_have_one_fingerprint() {
        let number = crate::words::id::GatewayOrderNumber::new("7").expect("a number");
        let both = |c: &Credentials<'_>| {
            [request(c, &Operation::ApproveReversal { order_number: "7" }), backend::order_details(c, &number)]
                .map(|request| request.body.rsplit_once('=').expect("a fingerprint").1.to_owned())
        };
        let [reversal, question] = both(&C);
        assert_eq!(reversal, question);
        let [reversal, question] = both(&Credentials { product: Product::Page, ..C });
        assert_ne!(reversal, question);
    }
}
