//! `reconciled decode`: one message as it came over the wire, read and judged, as JSON.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::{Failure, ask};
use crate::core::message::{Message, Scheme};
use crate::shell::config::secret;
use crate::shell::exit;
use crate::wire::decoded::decoded_text;
use crate::wire::{Key, Pin, checkout, wpg};

#[derive(Args)]
pub struct Decode {
    /// The gateway's family; sniffed where not given.
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
    /// A file with the account's secret, to verify with.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The account's fingerprint algorithm (checkout).
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// The custom parameter that carries the shop's own id (checkout).
    #[arg(long, value_name = "NAME")]
    own_id: Option<String>,
    /// A pinned certificate or public key of the gateway (PEM), to verify XML-DSig with; repeatable.
    #[arg(long = "pin", value_name = "FILE")]
    pins: Vec<PathBuf>,
    /// Whether XML-DSig may use SHA-1, as messages did until 2018. Here it may; the daemon refuses it unless the
    /// account's `allow_sha1` is set, and `--allow-sha1=false` judges as the daemon then does.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set,
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_sha1: bool,
    /// The message; `-` reads stdin.
    #[arg(default_value = "-", value_name = "FILE")]
    input: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dialect {
    Wpg,
    Checkout,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    #[value(name = "hmac-sha512")]
    HmacSha512,
    Sha512,
    Md5,
}

impl Algorithm {
    fn scheme(self) -> Scheme {
        match self {
            Algorithm::HmacSha512 => Scheme::HmacSha512,
            Algorithm::Sha512 => Scheme::Sha512,
            Algorithm::Md5 => Scheme::Md5,
        }
    }
}

pub fn run(decode: &Decode) -> Result<u8, Failure> {
    let secret = match &decode.secret_file {
        None => None,
        Some(path) => Some(secret::read(path).map_err(|e| Failure::new(exit::USAGE, e.to_string()))?),
    };
    let body = ask::input(&decode.input)?;
    // Editors and `echo` end a file with a line; on the wire no form does.
    let body = body.strip_suffix(b"\n").map_or(&body[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    let dialect = decode.dialect.unwrap_or_else(|| sniff(body));
    let message = match dialect {
        Dialect::Wpg => of_wpg(body, secret, decode)?,
        Dialect::Checkout if checkout::backend::is_reply(body) => {
            checkout::backend::decode_reply(body).map_err(unreadable)?
        }
        Dialect::Checkout if checkout::started::is_answer(body) => {
            checkout::started::decode(body).map_err(unreadable)?
        }
        Dialect::Checkout => of_checkout(body, secret.as_ref(), decode)?,
    };
    println!("{}", decoded_text(&message));
    Ok(exit::OK)
}

fn unreadable(why: impl ToString) -> Failure {
    let line = why.to_string().replace(['\n', '\r'], " ");
    Failure::new(exit::DATA, line)
}

fn of_wpg(body: &[u8], secret: Option<SecretString>, decode: &Decode) -> Result<Message, Failure> {
    let with_sha1 = |pin: Pin| if decode.allow_sha1 { pin.allowing_sha1() } else { pin };
    let pins = decode.pins.iter().map(|path| pin(path).map(with_sha1)).collect::<Result<Vec<_>, _>>()?;
    let key = (secret.is_some() || !pins.is_empty()).then(|| Key {
        secret: secret.unwrap_or_default(),
        user: None,
        password: None,
        pins,
    });
    wpg::decode(body, key.as_ref()).map_err(unreadable)
}

fn pin(path: &Path) -> Result<Pin, Failure> {
    let usage = |why: String| Failure::new(exit::USAGE, format!("{}: {why}", path.display()));
    let pem = std::fs::read_to_string(path).map_err(|why| usage(why.to_string()))?;
    wpg::pin_from_pem(&pem).map_err(|why| usage(why.to_string()))
}

fn of_checkout(body: &[u8], secret: Option<&SecretString>, decode: &Decode) -> Result<Message, Failure> {
    if secret.is_some() && decode.algorithm.is_none() {
        let what = "--algorithm is needed to verify a form message: hmac-sha512, sha512 or md5";
        return Err(Failure::new(exit::USAGE, what));
    }
    let reading = checkout::Reading {
        algorithm: decode.algorithm.map(Algorithm::scheme),
        secret: secret.map(|secret| secret.expose_secret().as_bytes()),
        own_id_parameter: decode.own_id.as_deref(),
    };
    checkout::decode(body, &reading).map_err(unreadable)
}

/// A form with one of the checkout gateway's own names is `checkout`; everything else is read as `wpg`. A message that
/// says it is `wpg` is not made another by a `status` that stands beside.
fn sniff(body: &[u8]) -> Dialect {
    let is_confirmation = checkout::is_confirmation(body) && !wpg::is_signed(body);
    let is_answer = checkout::backend::is_reply(body) || checkout::started::is_answer(body);
    if is_confirmation || is_answer && !wpg::is_message(body) { Dialect::Checkout } else { Dialect::Wpg }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_sniffed_from_the_gateways_own_names() {
        let is_checkout = |body: &str| matches!(sniff(body.as_bytes()), Dialect::Checkout);
        assert!(is_checkout("paymentState=CANCEL&own=1"));
        assert!(is_checkout("amount=1&responseFingerprint=ab"));
        assert!(is_checkout("status=0&orders=0&objectsTotal=0"));
        assert!(is_checkout("redirectUrl=https%3A%2F%2Fpay.example"));
        assert!(is_checkout("error.1.errorCode=11051&errors=1"));
        assert!(!is_checkout("transaction_state=success&request_id=1"));
        assert!(!is_checkout("transaction_state=success&request_id=1&status=0"));
        assert!(!is_checkout("response-base64=e30=&status=0"));
        assert!(!is_checkout("response_signature_v2=e30=.AA&request_id=1&paymentState=x"));
        assert!(is_checkout("paymentState=SUCCESS&request_id=the-shops-own"));
        assert!(!is_checkout("<payment/>"));
        assert!(!is_checkout("{\"payment\":{\"paymentState=\":1}}"));
        assert!(!is_checkout(""));
    }
}
