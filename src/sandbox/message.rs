//! The gateway's genuine messages: notifications, confirmations, and the answer to a submission.

use secrecy::ExposeSecret;

use super::gateway::{Payment, Response};
use super::life::Told;
use super::script::{Script, Writing};
use super::shop::Shop;
use crate::core::account::{Checkout, Product};
use crate::core::message::{PaymentState, Scheme, Transaction};
use crate::core::submission::Submission;
use crate::wire::wpg::SigningKey;
use crate::wire::{checkout, wpg};
use crate::words::id::GatewayOrderNumber;
use crate::words::money::Amount;

pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// One genuine notification: its content type and its bytes.
pub(super) fn notification(
    shop: &Shop,
    payment: &Payment,
    index: usize,
    signing: Option<&SigningKey>,
) -> (&'static str, Vec<u8>) {
    match &payment.life.news[index].what {
        Told::Transaction(at) => {
            let transaction = &payment.life.transactions[*at].transaction;
            let planned = match payment.plan.format {
                Writing::Account => wished(shop, payment.wishes.writing),
                planned => planned,
            };
            match writing(shop, planned) {
                Writing::XmlDsig => (XML, signed(transaction, signing).into_bytes()),
                writing => written(transaction, writing, shop.key.secret.expose_secret()),
            }
        }
        Told::Confirmation { state, number, error_code } => {
            let contract = shop.checkout().expect("only a checkout life tells confirmations");
            let fields = confirmation(contract, payment, *state, number.as_ref(), *error_code);
            let body = match state {
                PaymentState::Success | PaymentState::Pending => {
                    checkout::encode::confirmation(&fields, contract.algorithm, shop.key.secret.expose_secret())
                }
                // The gateway never signs these.
                PaymentState::Failure | PaymentState::Cancel => checkout::encode::unsigned(&fields),
            };
            (FORM, body.into_bytes())
        }
    }
}

/// The writing that an account's own scheme asks for, where the plan leaves it open.
fn writing(shop: &Shop, planned: Writing) -> Writing {
    match (planned, shop.wpg().and_then(|wpg| wpg.scheme)) {
        (Writing::Account, Some(Scheme::JsonSigned)) => Writing::JsonSigned,
        (Writing::Account, Some(Scheme::NvpV1 | Scheme::NvpV2)) => Writing::Nvp,
        (Writing::Account, Some(Scheme::XmlDsig)) => Writing::XmlDsig,
        (Writing::Account, Some(Scheme::HmacSha512 | Scheme::Sha512 | Scheme::Md5) | None) => Writing::Xml,
        (planned, _) => planned,
    }
}

/// The writing that a request asks for. XML is signed only where that is set up for the account (fact sheet wpg b.2).
fn wished(shop: &Shop, writing: Option<Writing>) -> Writing {
    match writing {
        Some(Writing::XmlDsig) if shop.wpg().and_then(|wpg| wpg.scheme) != Some(Scheme::XmlDsig) => Writing::Xml,
        Some(writing) => writing,
        None => Writing::Account,
    }
}

const XML: &str = "application/xml; charset=UTF-8";

/// Signed XML; unsigned without a key, as generic test accounts get it (fact sheet wpg b.2).
fn signed(transaction: &Transaction, key: Option<&SigningKey>) -> String {
    let plain = wpg::encode::payment_xml(transaction);
    match key.map(|key| wpg::encode::signed_xml(&plain, key)) {
        Some(Ok(signed)) => signed,
        Some(Err(_)) | None => plain,
    }
}

/// One `wpg` transaction as a notification in some writing.
pub(super) fn written(transaction: &Transaction, writing: Writing, secret: &str) -> (&'static str, Vec<u8>) {
    let (content_type, body) = match writing {
        Writing::JsonSigned => (FORM, wpg::encode::json_signed(transaction, secret)),
        // Captured name-value posts came as text/plain (fact sheet wpg b.2).
        Writing::Nvp => ("text/plain", wpg::encode::nvp(transaction, secret)),
        // Whoever comes here with the latter two has no scheme or no key.
        Writing::Xml | Writing::Account | Writing::XmlDsig => (XML, wpg::encode::payment_xml(transaction)),
        Writing::XmlBase64 => ("text/plain", wpg::encode::base64_wrapped(&wpg::encode::payment_xml(transaction))),
        Writing::Json => ("application/json", wpg::encode::payment_json(transaction)),
    };
    (content_type, body.into_bytes())
}

/// The fields of a confirmation, in the order the gateway lists them (fact sheet checkout a.2, a.3).
pub(super) fn confirmation(
    contract: &Checkout,
    payment: &Payment,
    state: PaymentState,
    number: Option<&GatewayOrderNumber>,
    error_code: Option<&str>,
) -> Vec<(String, String)> {
    let own_id = (contract.own_id_parameter.as_str(), payment.request.request_id.to_string());
    let further = payment.request.custom_fields.iter().flatten();
    let further: Vec<(&str, String)> = further.map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut fields: Vec<(&str, String)> = Vec::new();
    match state {
        PaymentState::Success => {
            let number = number.map(ToString::to_string).unwrap_or_default();
            fields.push(("amount", spelled_as_asked(payment.amount)));
            fields.push(("currency", payment.amount.currency().code().into()));
            fields.extend(method_fields(&payment.request));
            fields.push(("orderNumber", number.clone()));
            fields.push(("paymentState", state.name().into()));
            fields.push(own_id);
            fields.extend(further);
            if payment_type(&payment.request) == "CCARD" {
                fields.push(("authenticated", "Yes".into()));
                fields.push(("anonymousPan", "0001".into()));
                fields.push(("expiry", "12/2031".into()));
                fields.push(("cardholder", "Jane Doe".into()));
                fields.push(("maskedPan", "950000******0001".into()));
            }
            fields.push(("gatewayReferenceNumber", format!("DGW_{number}_RN")));
            fields.push(("gatewayContractNumber", "DemoContractNumber123".into()));
        }
        PaymentState::Pending => {
            fields.extend(method_fields(&payment.request));
            if let Some(number) = number {
                fields.push(("orderNumber", number.to_string()));
            }
            fields.push(("paymentState", state.name().into()));
            fields.push(own_id);
            fields.extend(further);
        }
        PaymentState::Failure => {
            let text = match error_code {
                Some("99996") => "QPAY-Session timed out after 30 minutes without activity.",
                _ => "The financial institution has declined the transaction.",
            };
            match (contract.product, error_code) {
                (Product::Seamless, Some(code)) => {
                    fields.push(("errors", "1".into()));
                    fields.push(("error.1.errorCode", code.into()));
                    fields.push(("error.1.message", text.into()));
                    fields.push(("error.1.consumerMessage", text.into()));
                }
                // The page product gives no code (fact sheet checkout a.2).
                (Product::Page, _) | (Product::Seamless, None) => {
                    fields.push(("message", text.into()));
                    fields.push(("consumerMessage", text.into()));
                }
            }
            fields.push(("paymentState", state.name().into()));
            fields.push(own_id);
            fields.extend(further);
        }
        PaymentState::Cancel => {
            fields.push(("paymentState", state.name().into()));
            fields.push(own_id);
            fields.extend(further);
        }
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The payment type a `checkout` confirmation carries: the submission's method, `CCARD` where it names none.
pub(super) fn payment_type(request: &Submission) -> &str {
    request.payment_method.as_deref().unwrap_or("CCARD")
}

fn method_fields(request: &Submission) -> [(&'static str, String); 3] {
    let payment_type = payment_type(request);
    let institution = match payment_type {
        "CCARD" => "MC",
        "PAYPAL" => "PayPal",
        "SOFORTUEBERWEISUNG" => "sofortueberweisung",
        other => other,
    };
    [
        ("paymentType", payment_type.to_owned()),
        ("financialInstitution", institution.to_owned()),
        ("language", "en".into()),
    ]
}

/// The confirmation echoes the shop's own spelling (`30`, `3.10`); ours leaves zeros out where it can.
fn spelled_as_asked(amount: Amount) -> String {
    let value = amount.value().normalize();
    if value.scale() == 0 { value.to_string() } else { amount.value_text() }
}

/// What a shop is answered when it submits.
pub(super) enum Answered {
    /// Nothing: the request never arrived.
    Nothing,
    /// `checkout`: the payer is to be sent on. The init answer names no order number.
    SentOn,
    /// `wpg`: a transaction, as the answer echoes it.
    Made(Box<Transaction>),
    /// `wpg`: the payer is on the payment page; there is no transaction yet.
    OnThePage,
}

pub(super) fn answered(payment: &Payment) -> Answered {
    const AT_ONCE_MAX_SECONDS: i64 = 30;
    if payment.script == Script::NeverStarted {
        return Answered::Nothing;
    }
    if !payment.life.orders.is_empty() {
        return Answered::SentOn;
    }
    let first = payment.life.transactions.first();
    match first.filter(|h| h.at.duration_since(payment.started).as_secs() <= AT_ONCE_MAX_SECONDS) {
        Some(happening) => {
            let stored = &happening.transaction;
            // The answer echoes the bare id and the type that was asked for, although the step is
            // stored under a suffixed id (fact sheet wpg d.3).
            Answered::Made(Box::new(Transaction {
                request_id: Some(payment.request.request_id.as_str().to_owned()),
                transaction_type: payment.request.transaction_type.clone().or(stored.transaction_type.clone()),
                ..stored.clone()
            }))
        }
        None => Answered::OnThePage,
    }
}

/// What the shop gets to see when it submits.
pub(super) fn response(payment: &Payment) -> Response {
    let (http_status, body) = match answered(payment) {
        Answered::Nothing => (None, String::new()),
        Answered::SentOn => (
            Some(200),
            "redirectUrl=https%3A%2F%2Fcheckout.invalid%2Fseamless%2Ffrontend%2Fselect.php%3FSID%3D1".into(),
        ),
        Answered::Made(transaction) => (Some(201), wpg::encode::payment_xml(&transaction)),
        Answered::OnThePage => {
            (Some(200), r#"{"payment-redirect-url":"https://wpp.invalid/processing?wPaymentToken=1"}"#.into())
        }
    };
    Response { http_status, body }
}
