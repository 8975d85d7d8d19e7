//! The request of a plan, exactly as it will go out, and the same with its secrets masked.

use secrecy::{ExposeSecret, SecretString};

use super::args::{Format, Wished};
use crate::core::account::{Account, Checkout, Contract};
use crate::core::operation::{BasketLine, Endpoint, Fund, Kind, Plan, Target};
use crate::shell::cli::Failure;
use crate::shell::config::operations::Login;
use crate::shell::exit;
use crate::wire::checkout::backend::Credentials;
use crate::wire::checkout::operations as checkout;
use crate::wire::wpg::operations as wpg;

const MASK: &str = "********";

/// One POST. Holds secrets: printed by [`Outgoing::text`] only.
pub struct Outgoing {
    pub url: String,
    pub content_type: &'static str,
    /// Of `wpg`: user and password.
    pub basic: Option<(String, SecretString)>,
    pub body: String,
    /// Fields of a form body whose values are secrets.
    secret_fields: &'static [&'static str],
}

impl Outgoing {
    /// Headers and body as they go out; secrets masked unless they are asked for.
    pub fn headers(&self, with_secrets: bool) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some((user, password)) = &self.basic {
            let login = format!("{user}:{}", password.expose_secret());
            let shown = if with_secrets { base64_of(&login) } else { MASK.to_owned() };
            headers.push(("Authorization", format!("Basic {shown}")));
            headers.push(("Accept", "application/xml".to_owned()));
        } else {
            // Expected by the vendor, else 403 (fact sheet checkout b.1).
            headers.push(("Connection", "close".to_owned()));
        }
        headers.push(("Content-Type", self.content_type.to_owned()));
        headers
    }

    pub fn shown_body(&self, with_secrets: bool) -> String {
        if with_secrets {
            return self.body.clone();
        }
        let masked = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if self.secret_fields.contains(&name) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        };
        match self.secret_fields {
            [] => self.body.clone(),
            _ => self.body.split('&').map(masked).collect::<Vec<_>>().join("&"),
        }
    }

    /// The request as it stands on the wire.
    pub fn text(&self, with_secrets: bool) -> String {
        let mut text = format!("POST {}\n", self.url);
        for (name, value) in self.headers(with_secrets) {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        text.push_str(&self.shown_body(with_secrets));
        text
    }
}

pub fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Who gets a payout, as its file says. Never leaves this process but for the gateway.
#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct PayeeFile {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub owner: Option<String>,
    pub iban: Option<String>,
    pub bic: Option<String>,
    pub email: Option<String>,
    pub wallet_id: Option<String>,
}

impl PayeeFile {
    /// Whose account it is, in one text, as the checkout wants it.
    fn holder(&self) -> Option<String> {
        let names = || {
            let last = self.last_name.as_deref()?;
            Some(self.first_name.as_deref().map_or_else(|| last.to_owned(), |first| format!("{first} {last}")))
        };
        self.owner.clone().or_else(names)
    }
}

/// Everything a request is made of besides the plan.
pub struct Parts<'a> {
    pub account: &'a Account,
    pub base_url: &'a str,
    pub login: &'a Login,
    pub request_id: &'a str,
    pub made_number: Option<&'a str>,
    pub basket: &'a [BasketLine],
    pub payee: Option<&'a PayeeFile>,
}

fn missing(what: &str) -> Failure {
    Failure::new(exit::USAGE, format!("the request needs {what}"))
}

/// Builds the request of a plan.
pub fn build(plan: &Plan, wished: &Wished<'_>, parts: &Parts<'_>) -> Result<Outgoing, Failure> {
    match (&plan.target, &parts.account.contract) {
        (Target::Wpg { .. }, Contract::Wpg(_)) => of_wpg(plan, wished, parts),
        (Target::Checkout { .. }, Contract::Checkout(contract)) => {
            let operation = CheckoutOperation { plan, wished, parts };
            operation.build(contract)
        }
        (Target::Wpg { .. }, Contract::Checkout(_)) | (Target::Checkout { .. }, Contract::Wpg(_)) => {
            Err(Failure::new(exit::FAULT, format!("the plan and account {} are of two dialects", parts.account.name)))
        }
    }
}

fn of_wpg(plan: &Plan, wished: &Wished<'_>, parts: &Parts<'_>) -> Result<Outgoing, Failure> {
    let Target::Wpg { parent, merchant_account_id, payment_method, endpoint, periodic_type } = &plan.target else {
        return Err(missing("a wpg account"));
    };
    let Contract::Wpg(contract) = &parts.account.contract else { return Err(missing("a wpg account")) };
    let merchant_account = merchant_account_id.as_deref().or(contract.merchant_account_ids.first().map(String::as_str));
    let merchant_account = merchant_account.ok_or_else(|| missing("a merchant account id"))?;
    let value = plan.amount.map(|amount| amount.value_text());
    let items: Vec<wpg::Item<'_>> = parts.basket.iter().map(item).collect();
    let payee = parts.payee.map(payee).transpose()?;
    let sequence = if wished.is_last { "final" } else { "recurring" };
    let follow_up = wpg::FollowUp {
        merchant_account: wpg::MerchantAccount::Id(merchant_account),
        request_id: parts.request_id,
        transaction_type: &plan.wire,
        parent_transaction_id: parent.as_str(),
        amount: value.as_deref().zip(plan.amount.map(|amount| amount.currency().code())),
        payment_method: payment_method.as_deref(),
        order_number: wished.texts.and_then(|texts| texts.reference.as_deref()),
        descriptor: wished.texts.and_then(|texts| texts.statement.as_deref()),
        ip_address: wished.texts.and_then(|texts| texts.ip_address.as_deref()),
        periodic: periodic_type.as_deref().map(|kind| (kind, sequence)),
        payee,
        basket: &items,
    };
    let format = wished.chain.map_or(Format::Xml, |chain| chain.format);
    let (content_type, body) = match format {
        Format::Xml => ("application/xml", wpg::xml_body(&follow_up)),
        Format::Form => {
            let body = wpg::form_body(&follow_up).map_err(|why| Failure::new(exit::USAGE, why.to_string()))?;
            ("application/x-www-form-urlencoded", body)
        }
    };
    let endpoint = match endpoint {
        Endpoint::Payments => wpg::Endpoint::Payments,
        Endpoint::PaymentMethods => wpg::Endpoint::PaymentMethods,
    };
    let user = parts.login.user.clone().ok_or_else(|| missing("a user"))?;
    Ok(Outgoing {
        url: wpg::url(parts.base_url, endpoint),
        content_type,
        basic: Some((user, parts.login.password.clone())),
        body,
        secret_fields: &[],
    })
}

fn item(line: &BasketLine) -> wpg::Item<'_> {
    wpg::Item {
        name: &line.name,
        article_number: &line.article_number,
        amount: &line.unit_gross_amount,
        tax_rate: line.unit_tax_rate.as_deref(),
        quantity: line.quantity,
    }
}

/// What a payee's file lacks, in the words of `--help`.
const HOLDER: &str = "last_name (or owner) in the payee's file";

fn payee(file: &PayeeFile) -> Result<wpg::Payee<'_>, Failure> {
    Ok(wpg::Payee {
        first_name: file.first_name.as_deref(),
        last_name: file.last_name.as_deref().or(file.owner.as_deref()).ok_or_else(|| missing(HOLDER))?,
        iban: file.iban.as_deref().ok_or_else(|| missing("iban in the payee's file"))?,
        bic: file.bic.as_deref(),
    })
}

/// The credentials of a checkout account's operations.
pub fn credentials<'a>(contract: &'a Checkout, login: &'a Login) -> Result<Credentials<'a>, Failure> {
    Ok(Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: login.password.expose_secret(),
        secret: login.secret.as_ref().ok_or_else(|| missing("a secret"))?.expose_secret(),
        algorithm: contract.algorithm,
    })
}

/// A checkout request ready to go out.
pub fn outgoing(base_url: &str, request: crate::wire::checkout::backend::Request) -> Outgoing {
    Outgoing {
        url: format!("{}{}", base_url.trim_end_matches('/'), request.path),
        content_type: "application/x-www-form-urlencoded",
        basic: None,
        body: request.body,
        secret_fields: &["password", "toolkitPassword"],
    }
}

struct CheckoutOperation<'a> {
    plan: &'a Plan,
    wished: &'a Wished<'a>,
    parts: &'a Parts<'a>,
}

impl CheckoutOperation<'_> {
    fn build(&self, contract: &Checkout) -> Result<Outgoing, Failure> {
        let credentials = credentials(contract, self.parts.login)?;
        let Target::Checkout { order, object } = &self.plan.target else { return Err(missing("a checkout account")) };
        let order_number = order.as_ref().map(|order| order.as_str());
        let number = || order_number.ok_or_else(|| missing("a gateway order number"));
        let object = || object.as_deref().ok_or_else(|| missing("a payment or credit number"));
        let value = self.plan.amount.map(|amount| amount.value_text());
        let currency = self.plan.amount.map(|amount| amount.currency().code());
        let money = || {
            let (value, currency) = value.as_deref().zip(currency).ok_or_else(|| missing("an amount"))?;
            Ok::<_, Failure>(checkout::Money { value, currency })
        };
        let texts = self.wished.texts;
        let reference = texts.and_then(|texts| texts.reference.as_deref());
        let statement = texts.and_then(|texts| texts.statement.as_deref());
        let quantities: Vec<String> = self.parts.basket.iter().map(|line| line.quantity.to_string()).collect();
        let lines = self.parts.basket.iter().zip(&quantities).map(|(line, quantity)| basket_item(line, quantity));
        let basket = lines.collect::<Result<Vec<_>, Failure>>()?;
        let description = self.wished.description.unwrap_or_default();
        let made = self.parts.made_number;
        let holder = self.parts.payee.and_then(PayeeFile::holder);
        let operation = match self.plan.kind {
            Kind::Capture | Kind::Deposit => checkout::Operation::Deposit {
                order_number: number()?,
                amount: money()?,
                merchant_reference: reference,
                customer_statement: statement,
                basket: &basket,
            },
            Kind::Void | Kind::ApproveReversal => checkout::Operation::ApproveReversal { order_number: number()? },
            Kind::DepositReversal => {
                checkout::Operation::DepositReversal { order_number: number()?, payment_number: object()? }
            }
            Kind::RefundReversal => {
                checkout::Operation::RefundReversal { order_number: number()?, credit_number: object()? }
            }
            Kind::Refund | Kind::Credit => checkout::Operation::Refund {
                order_number: number()?,
                amount: money()?,
                merchant_reference: reference,
                basket: &basket,
                is_credit: self.plan.kind == Kind::Credit,
            },
            Kind::Recur => checkout::Operation::RecurPayment {
                order_number: made,
                source_order_number: number()?,
                auto_deposit: self.wished.auto_deposit,
                order_description: description,
                amount: money()?,
                order_reference: reference,
                customer_statement: statement,
                further: &[],
            },
            Kind::Transfer => checkout::Operation::TransferFund {
                order_number: None,
                credit_number: made,
                order_description: description,
                amount: money()?,
                order_reference: reference,
                customer_statement: statement,
                fund: self.fund(order_number, holder.as_deref())?,
            },
        };
        Ok(outgoing(self.parts.base_url, checkout::request(&credentials, &operation)))
    }

    fn fund<'a>(&'a self, order: Option<&'a str>, holder: Option<&'a str>) -> Result<checkout::Fund<'a>, Failure> {
        let payee = || self.parts.payee.ok_or_else(|| missing("--payee FILE"));
        let named = |value: &'a Option<String>, name: &str| {
            value.as_deref().ok_or_else(|| missing(&format!("{name} in the payee's file")))
        };
        Ok(match self.wished.fund {
            None => return Err(missing("--fund")),
            Some(Fund::ExistingOrder) => checkout::Fund::ExistingOrder {
                source_order_number: order.ok_or_else(|| missing("a gateway order number"))?,
            },
            Some(Fund::SepaCt) => checkout::Fund::SepaCreditTransfer {
                owner: payee().and_then(|_| holder.ok_or_else(|| missing(HOLDER)))?,
                bic: named(&payee()?.bic, "bic")?,
                iban: named(&payee()?.iban, "iban")?,
            },
            Some(Fund::SkrillWallet) => {
                checkout::Fund::SkrillWallet { consumer_email: named(&payee()?.email, "email")? }
            }
            Some(Fund::Moneta) => {
                checkout::Fund::Moneta { consumer_wallet_id: named(&payee()?.wallet_id, "wallet_id")? }
            }
        })
    }
}

fn basket_item<'a>(line: &'a BasketLine, quantity: &'a str) -> Result<checkout::BasketItem<'a>, Failure> {
    let part = |value: &'a Option<String>, name: &str| {
        value.as_deref().ok_or_else(|| missing(&format!("{name} in each basket line")))
    };
    Ok(checkout::BasketItem {
        article_number: &line.article_number,
        quantity,
        description: line.description.as_deref(),
        name: &line.name,
        image_url: line.image_url.as_deref(),
        unit_gross_amount: &line.unit_gross_amount,
        unit_net_amount: part(&line.unit_net_amount, "unit_net_amount")?,
        unit_tax_amount: part(&line.unit_tax_amount, "unit_tax_amount")?,
        unit_tax_rate: part(&line.unit_tax_rate, "unit_tax_rate")?,
    })
}

/// The request that lists the banks of a payment type.
pub fn banks(
    contract: &Checkout,
    login: &Login,
    base_url: &str,
    (payment_type, transaction_type, bank_country): (&str, Option<&str>, Option<&str>),
) -> Result<Outgoing, Failure> {
    let operation = checkout::Operation::FinancialInstitutions { payment_type, transaction_type, bank_country };
    Ok(outgoing(base_url, checkout::request(&credentials(contract, login)?, &operation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payee_is_named_by_his_owner_or_his_last_name_whoever_asks() {
        let file = |text: &str| serde_json::from_str::<PayeeFile>(text).expect("a payee");
        for (text, holder, last_name) in [
            (r#"{"owner": "Erika Mustermann", "iban": "x"}"#, Some("Erika Mustermann"), Some("Erika Mustermann")),
            (r#"{"last_name": "Mustermann", "iban": "x"}"#, Some("Mustermann"), Some("Mustermann")),
            (r#"{"first_name": "Erika", "last_name": "M", "iban": "x"}"#, Some("Erika M"), Some("M")),
            (r#"{"first_name": "Erika", "iban": "x"}"#, None, None),
        ] {
            let file = file(text);
            assert_eq!(file.holder().as_deref(), holder, "{text}");
            match (payee(&file), last_name) {
                (Ok(payee), Some(last_name)) => assert_eq!(payee.last_name, last_name, "{text}"),
                (Err(failure), None) => {
                    assert!(failure.message.contains("last_name (or owner)"), "{}", failure.message)
                }
                (Ok(_), None) | (Err(_), Some(_)) => panic!("{text}"),
            }
        }
    }
}
