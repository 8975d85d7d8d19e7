//! What strangers send. They know ids and have seen genuine messages, but hold no secret.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha512};

use super::gateway::Payment;
use super::message::{FORM, confirmation, payment_type, written};
use super::prng::Prng;
use super::script::{Forgery, Writing};
use super::shop::Shop;
use crate::core::account::Checkout;
use crate::core::message::{PaymentState, Status, Transaction};
use crate::wire::{checkout, wpg};
use crate::words::id::GatewayOrderNumber;
use crate::words::money::{Amount, StatedAmount};

/// The secret an attacker makes up.
const OWN_SECRET: &str = "attackers-own-secret-0123456789";

/// One forged message: its content type and its bytes.
pub(super) fn forged(shop: &Shop, payment: &Payment, kind: Forgery, prng: &Prng) -> (&'static str, Vec<u8>) {
    let mut prng = prng.clone();
    match shop.checkout() {
        Some(contract) => (FORM, forged_confirmation(contract, shop, payment, kind, &mut prng).into_bytes()),
        None => forged_transaction(shop, payment, kind, &mut prng),
    }
}

fn forged_transaction(shop: &Shop, payment: &Payment, kind: Forgery, prng: &mut Prng) -> (&'static str, Vec<u8>) {
    let secret = shop.key.secret.expose_secret();
    let genuine = claim(shop, payment, "success", "201.0000", prng);
    match kind {
        Forgery::UnsignedSuccess => written(&genuine, Writing::Xml, ""),
        Forgery::UnsignedFailure => written(&claim(shop, payment, "failed", "500.3048", prng), Writing::Json, ""),
        Forgery::UnsignedCancel => written(&claim(shop, payment, "failed", "500.1108", prng), Writing::XmlBase64, ""),
        Forgery::WrongSecret | Forgery::SecretLeftOut => {
            let own = if kind == Forgery::WrongSecret { OWN_SECRET } else { "" };
            written(&genuine, Writing::JsonSigned, own)
        }
        Forgery::AlteredAmount => {
            // The signature of one message beside the text of another.
            let altered = Transaction { amount: Some(raised(payment.amount)), ..genuine.clone() };
            let signed = wpg::encode::json_signed(&genuine, secret);
            let text = BASE64_STANDARD.encode(wpg::encode::payment_json(&altered));
            let spliced = (signed.split('&'))
                .map(|pair| match pair.split_once('=') {
                    Some(("response-base64", _)) => {
                        checkout::encode::unsigned(&[("response-base64".to_owned(), text.clone())])
                    }
                    _ => pair.to_owned(),
                })
                .collect::<Vec<_>>()
                .join("&");
            (FORM, spliced.into_bytes())
        }
        Forgery::Relabelled => {
            // A genuine message of the attacker's own cheap purchase, its outer fields made to name
            // this payment: the inner signed payload still tells the truth.
            let own = Transaction { request_id: Some(prng.uuid()), order_number: None, ..genuine };
            let body = wpg::encode::nvp(&own, secret);
            let (theirs, ours) = (own.request_id.unwrap_or_default(), payment.request.request_id.as_str());
            let relabelled = body.replacen(&format!("request_id={theirs}"), &format!("request_id={ours}"), 1);
            ("text/plain", relabelled.into_bytes())
        }
    }
}

/// A transaction that never was, under the payment's true ids.
fn claim(shop: &Shop, payment: &Payment, state: &str, code: &str, prng: &mut Prng) -> Transaction {
    let maid = shop.wpg().and_then(|wpg| wpg.merchant_account_ids.first()).cloned();
    Transaction {
        merchant_account_id: maid,
        request_id: Some(payment.request.request_id.as_str().to_owned()),
        transaction_id: Some(prng.uuid()),
        transaction_type: payment.request.transaction_type.clone().or(Some("debit".into())),
        transaction_state: Some(state.to_owned()),
        amount: Some(payment.request.amount.into()),
        order_number: payment.request.order_number.as_ref().map(|n| n.as_str().to_owned()),
        payment_methods: payment.request.payment_method.iter().cloned().collect(),
        completed_at: Some(payment.started),
        statuses: vec![Status { code: code.to_owned(), severity: Some("information".to_owned()) }],
        ..Transaction::default()
    }
}

fn raised(amount: Amount) -> StatedAmount {
    StatedAmount { value: amount.value() + rust_decimal::Decimal::ONE_HUNDRED, currency: Some(amount.currency()) }
}

fn forged_confirmation(contract: &Checkout, shop: &Shop, payment: &Payment, kind: Forgery, prng: &mut Prng) -> String {
    let secret = shop.key.secret.expose_secret();
    // The attacker may be the payer, who has seen his own order number.
    let number = payment.life.orders[0].number.clone();
    let paid = || confirmation(contract, payment, PaymentState::Success, Some(&number), None);
    let algorithm = contract.algorithm;
    match kind {
        Forgery::UnsignedSuccess => checkout::encode::unsigned(&paid()),
        Forgery::UnsignedFailure => {
            checkout::encode::unsigned(&confirmation(contract, payment, PaymentState::Failure, None, Some("99996")))
        }
        Forgery::UnsignedCancel => {
            checkout::encode::unsigned(&confirmation(contract, payment, PaymentState::Cancel, None, None))
        }
        Forgery::WrongSecret => checkout::encode::confirmation(&paid(), algorithm, OWN_SECRET),
        Forgery::AlteredAmount => {
            let signed = checkout::encode::confirmation(&paid(), algorithm, secret);
            let rest = signed.split_once('&').map_or("", |(_, rest)| rest);
            format!("amount={}&{rest}", raised(payment.amount).value_text())
        }
        Forgery::SecretLeftOut => {
            let mut fields = paid();
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            let list = format!("{},responseFingerprintOrder", names.join(","));
            let seed: String = fields.iter().map(|(_, value)| value.as_str()).chain([list.as_str()]).collect();
            let digest: String = Sha512::digest(seed.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            fields.push(("responseFingerprintOrder".into(), list));
            fields.push(("responseFingerprint".into(), digest));
            checkout::encode::unsigned(&fields)
        }
        Forgery::Relabelled => relabelled(contract, payment, secret, &number, prng),
    }
}

/// The attacker buys something for 1.00 and writes this payment's confirmation into the card holder's
/// name. The gateway signs that. Cut anew, the same characters under the same digest say that *this*
/// payment is paid; the list's own text goes into a field behind the secret. Only the rule that a list
/// ends in `secret,responseFingerprintOrder` stops it.
fn relabelled(
    contract: &Checkout,
    payment: &Payment,
    secret: &str,
    number: &GatewayOrderNumber,
    prng: &mut Prng,
) -> String {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let own_id = contract.own_id_parameter.as_str();
    let target = [
        pair("amount", &payment.amount.value_text()),
        pair("currency", payment.amount.currency().code()),
        pair("paymentType", payment_type(&payment.request)),
        pair("financialInstitution", "MC"),
        pair("language", "en"),
        pair("orderNumber", number.as_str()),
        pair("paymentState", "SUCCESS"),
        pair(own_id, payment.request.request_id.as_str()),
    ];
    let cardholder: String = target.iter().map(|(_, value)| value.as_str()).collect();
    let bought = [
        pair("amount", "1.00"),
        pair("currency", "EUR"),
        pair("paymentType", "CCARD"),
        pair("financialInstitution", "MC"),
        pair("language", "en"),
        pair("orderNumber", number.as_str()),
        pair("paymentState", "SUCCESS"),
        pair(own_id, &prng.uuid()),
        pair("cardholder", &cardholder),
    ];
    let signed = checkout::encode::confirmation(&bought, contract.algorithm, secret);
    let digest = signed.rsplit_once("responseFingerprint=").map_or("", |(_, digest)| digest).trim_end_matches('&');
    let names: Vec<&str> = bought.iter().map(|(name, _)| name.as_str()).collect();
    let genuine_list = format!("{},secret,responseFingerprintOrder", names.join(","));
    let prefix: String = bought[..8].iter().map(|(_, value)| value.as_str()).collect();
    let cut_names: Vec<&str> = target.iter().map(|(name, _)| name.as_str()).collect();
    let mut fields = vec![pair("shopNote", &prefix)];
    fields.extend(target.iter().cloned());
    fields.push(pair("shopList", &genuine_list));
    fields.push(pair("responseFingerprintOrder", &format!("shopNote,{},secret,shopList", cut_names.join(","))));
    fields.push(pair("responseFingerprint", digest));
    checkout::encode::unsigned(&fields)
}
