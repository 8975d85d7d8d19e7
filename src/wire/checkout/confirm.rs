//! What the gateway posts to confirmUrl (fact sheet checkout a): one form body in, one message with a verdict out.
//!
//! Verdicts, in this order:
//!
//! 1. A message that its own structure rules out is *refuted*, with or without a secret: a name twice, invalid UTF-8,
//!    control characters, an unknown or missing `paymentState`, and for SUCCESS and PENDING the rules of [`super::list`].
//! 2. CANCEL and FAILURE are *unverifiable*, whatever fingerprint they carry: the gateway never signs them.
//! 3. Without a secret, everything else is *unverifiable*.
//! 4. With one, SUCCESS and PENDING are *verified* if the fingerprint is right under the configured algorithm, and
//!    *refuted* if it is wrong or absent.
//!
//! Verified means that this secret's holder signed these values in this order. It does not mean that the message is
//! ours, new, or about the right money: own id, amount, currency and order number are compared with the submission
//! by the rules above (values can be shifted over the border of two free-text fields, and a genuine message can be
//! replayed for ever).
//!
//! Amounts are decimals in the currency's main unit. The body carries no time.

use std::collections::{BTreeMap, HashSet};

use super::field::standard;
use super::fingerprint::{self, FINGERPRINT, ORDER, SECRET};
use super::list;
use crate::core::message::{Authenticity, Dialect, Format, Message, PaymentState, Scheme, Transaction};
use crate::wire::form::{Charset, Form, Limits, NotAForm, shown};
use crate::words::money::{Currency, StatedAmount, parse_decimal};

/// Limits of one confirmation: what the vendor allows in a request (12,000 parameters, values of 65,000 bytes), with
/// room for names, since custom parameters come back as the shop named them.
pub const LIMITS: Limits = Limits { fields_max: 12_000, name_max_bytes: 255, value_max_bytes: 65_535 };
/// Digits of an error code. Longer ones are no codes of the gateway.
const ERROR_CODE_MAX_DIGITS: usize = 8;

/// What a confirmation is read with.
#[derive(Clone, Copy, Default)]
pub struct Reading<'a> {
    /// The account's algorithm, the only one that is tried: [`Scheme::HmacSha512`], [`Scheme::Sha512`] or [`Scheme::Md5`].
    pub algorithm: Option<Scheme>,
    /// The shop's secret; without it nothing can be verified.
    pub secret: Option<&'a [u8]>,
    /// The custom parameter that carries our request-id. If given, SUCCESS and PENDING must sign it. A shop does well to
    /// make all its ids of one length: beside another free text an id can be cut or lengthened, and then never hits
    /// another one.
    pub own_id_parameter: Option<&'a str>,
}

/// Why no message could be made of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    NotAForm(#[from] NotAForm),
    /// A usage error: the caller has to say which algorithm the account uses.
    #[error("a secret was given but no algorithm: say which of hmac-sha512, sha512 and md5 the account uses")]
    NoAlgorithm,
    /// A usage error: with an empty secret anybody could have signed.
    #[error("the secret is empty: anybody could have signed with it")]
    EmptySecret,
    /// A usage error: the algorithm is one of another dialect.
    #[error("`{}` is not a fingerprint algorithm: use hmac-sha512, sha512 or md5", .0.name())]
    NotAFingerprint(Scheme),
}

impl Unreadable {
    /// Whether the caller asked wrongly, rather than the body being no message.
    pub fn is_usage(&self) -> bool {
        match self {
            Unreadable::NotAForm(_) => false,
            Unreadable::NoAlgorithm | Unreadable::EmptySecret | Unreadable::NotAFingerprint(_) => true,
        }
    }
}

/// Reads one confirmUrl body. See the module for the verdicts.
///
/// `custom` and `transactions` are filled whatever the verdict; `transactions` holds one entry for SUCCESS and none
/// otherwise. Where the own id is not signed (CANCEL, FAILURE) it stands in `unverified`, under the parameter's name.
/// `gateway_order_number` is what SUCCESS states and what PENDING lists; CANCEL and FAILURE state none that
/// could be relied on (it stands in `unverified` like everything else they say).
pub fn decode(body: &[u8], reading: &Reading<'_>) -> Result<Message, Unreadable> {
    let form = Form::read(body, &LIMITS, Charset::Utf8)?;
    let key = key_of(reading)?;
    let state = form.get("paymentState").and_then(payment_state);
    let listed: HashSet<&str> = list::names(&form).into_iter().filter(|name| *name != SECRET).collect();
    Ok(Message {
        dialect: Dialect::Checkout,
        format: Format::Form,
        authenticity: judge(&form, state, key, reading),
        transactions: match state {
            Some(PaymentState::Success) => vec![confirmed(&form, &listed, reading.own_id_parameter)],
            Some(PaymentState::Pending | PaymentState::Failure | PaymentState::Cancel) | None => Vec::new(),
        },
        payment_state: state,
        gateway_order_number: match state {
            Some(PaymentState::Success) => trimmed(form.get("orderNumber")),
            Some(PaymentState::Pending) if listed.contains("orderNumber") => trimmed(form.get("orderNumber")),
            Some(PaymentState::Pending | PaymentState::Failure | PaymentState::Cancel) | None => None,
        },
        custom: pick(&form, |name| listed.contains(name) && standard(name).is_none()),
        unverified: match state {
            Some(PaymentState::Failure | PaymentState::Cancel) => pick(&form, |name| name != "paymentState"),
            Some(PaymentState::Success | PaymentState::Pending) | None => {
                pick(&form, |name| !listed.contains(name) && name != ORDER && name != FINGERPRINT)
            }
        },
        error_code: match state {
            Some(PaymentState::Failure) => error_code(&form),
            Some(PaymentState::Success | PaymentState::Pending | PaymentState::Cancel) | None => None,
        },
    })
}

/// Whether a form is a confirmation of this dialect: it has a `paymentState` or a list of what its fingerprint covers.
pub fn is_confirmation(body: &[u8]) -> bool {
    Form::read(body, &LIMITS, Charset::Utf8)
        .is_ok_and(|form| ["paymentState", ORDER, FINGERPRINT].iter().any(|name| form.get(name).is_some()))
}

/// The configured algorithm and secret, once they make sense together.
fn key_of<'a>(reading: &Reading<'a>) -> Result<Option<(Scheme, &'a [u8])>, Unreadable> {
    if let Some(algorithm) = reading.algorithm
        && !fingerprint::is_fingerprint(algorithm)
    {
        return Err(Unreadable::NotAFingerprint(algorithm));
    }
    match (reading.secret, reading.algorithm) {
        (None, _) => Ok(None),
        (Some([]), _) => Err(Unreadable::EmptySecret),
        (Some(_), None) => Err(Unreadable::NoAlgorithm),
        (Some(secret), Some(algorithm)) => Ok(Some((algorithm, secret))),
    }
}

fn judge(
    form: &Form,
    state: Option<PaymentState>,
    key: Option<(Scheme, &[u8])>,
    reading: &Reading<'_>,
) -> Authenticity {
    let scheme = reading.algorithm;
    let refuted = |reason: String| Authenticity::Refuted { scheme, reason };
    let unverifiable = |reason: &str| Authenticity::Unverifiable { scheme, reason: Some(reason.to_owned()) };
    if let Some(flaw) = form.flaw() {
        return refuted(flaw.to_string());
    }
    let Some(state) = state else {
        return refuted(match form.get("paymentState") {
            Some(unknown) => format!("paymentState `{}` is unknown", shown(unknown)),
            None => "paymentState is missing".to_owned(),
        });
    };
    match state {
        PaymentState::Failure | PaymentState::Cancel => {
            return unverifiable("the gateway does not sign FAILURE and CANCEL: anybody can send them");
        }
        PaymentState::Success | PaymentState::Pending => {}
    }
    if let Err(refusal) = list::check(form, state, reading.own_id_parameter) {
        return refuted(refusal.to_string());
    }
    let Some((algorithm, secret)) = key else {
        return unverifiable("no secret to verify it with");
    };
    let Some(given) = form.get(FINGERPRINT) else {
        return refuted(format!("{} without responseFingerprint", state.name()));
    };
    let names = list::names(form);
    let seed = names.iter().map(|name| if *name == SECRET { secret } else { value_bytes(form, name) });
    match fingerprint::digest(algorithm, secret, seed) {
        Some(digest) if fingerprint::matches(&digest, given) => Authenticity::Verified {
            scheme: algorithm,
            covers: names.iter().filter(|name| **name != SECRET).map(|name| (*name).to_owned()).collect(),
        },
        Some(_) | None => refuted("responseFingerprint is wrong for this secret, algorithm and content".to_owned()),
    }
}

fn value_bytes<'a>(form: &'a Form, name: &str) -> &'a [u8] {
    form.get(name).unwrap_or_default().as_bytes()
}

/// The one transaction of a SUCCESS. `securityCriteria=0` (Sofort: the money is not assured) goes with it, where signed.
fn confirmed(form: &Form, listed: &HashSet<&str>, own_id_parameter: Option<&str>) -> Transaction {
    let assurance = form.get("securityCriteria").filter(|value| *value == "0" && listed.contains("securityCriteria"));
    Transaction {
        request_id: own_id_parameter.filter(|name| listed.contains(name)).and_then(|name| trimmed(form.get(name))),
        transaction_id: trimmed(form.get("orderNumber")).map(|number| format!("order:{number}")),
        transaction_type: Some("confirmation".to_owned()),
        transaction_state: Some(PaymentState::Success.name().to_owned()),
        amount: form.get("amount").and_then(|value| stated(value, form.get("currency"))),
        payment_methods: trimmed(form.get("paymentType")).into_iter().collect(),
        custom_fields: assurance.map(|zero| ("securityCriteria".to_owned(), zero.to_owned())).into_iter().collect(),
        ..Transaction::default()
    }
}

/// An amount in the shop's spelling, with `.` or `,` before the fraction; `None` if it is no number.
pub(super) fn stated(value: &str, currency: Option<&str>) -> Option<StatedAmount> {
    let value = parse_decimal(&value.trim().replacen(',', ".", 1)).ok()?;
    Some(StatedAmount { value, currency: currency.and_then(Currency::parse) })
}

/// WCS names errors `error.1.errorCode` (demo mode and PHP: `error_1_errorCode`), WCP `errorCode`.
fn error_code(form: &Form) -> Option<String> {
    ["error.1.errorCode", "error_1_errorCode", "errorCode"]
        .into_iter()
        .filter_map(|name| form.get(name))
        .find(|code| (1..=ERROR_CODE_MAX_DIGITS).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
}

fn payment_state(text: &str) -> Option<PaymentState> {
    [PaymentState::Success, PaymentState::Pending, PaymentState::Failure, PaymentState::Cancel]
        .into_iter()
        .find(|state| state.name() == text)
}

fn trimmed(value: Option<&str>) -> Option<String> {
    value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The fields whose name passes, in their first value.
fn pick(form: &Form, passes: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut picked = BTreeMap::new();
    for (name, value) in form.fields().iter().filter(|(name, _)| passes(name)) {
        picked.entry(name.clone()).or_insert_with(|| value.clone());
    }
    picked
}
