//! One `[merchants.NAME]` table: what belongs to which dialect, and what goes together.

use std::collections::BTreeMap;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{Problem, Reading, address, raw, secret};
use crate::core::account::{Account, Checkout, Contract, Product, Wpg};
use crate::core::message::Scheme;
use crate::wire::{Key, Pin};
use crate::words::id::MerchantName;

/// How the gateway of one account is reached. The credentials can move money at some gateways
/// although we only ever ask: guarded as such.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub base_url: Url,
    pub allow_private_address: bool,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// Requests we make, per second.
    pub requests_per_second_max: u32,
    /// Requests under way at once.
    pub lanes_max: usize,
    /// `checkout`: whether shops may have generateOrderNumber asked through us.
    pub order_numbers: bool,
}

const REQUESTS_PER_SECOND: u32 = 2;
const LANES: usize = 16;
/// More than this is a mistake: no gateway allows it.
const LANES_MAX: usize = 512;

pub(super) struct Checked {
    pub account: Account,
    pub gateway: Gateway,
    /// `None`: nothing of this account can be verified.
    pub key: Option<Key>,
}

pub(super) fn check(
    reading: &Reading,
    name: &str,
    raw: &raw::Merchant,
    all: &BTreeMap<String, raw::Merchant>,
    default_zone: &str,
) -> Result<Checked, Problem> {
    let at = |key: &str| format!("merchants.{name}.{key}");
    let merchant =
        MerchantName::new(name).map_err(|e| reading.problem(format!("merchants.{name}"), format!("the name {e}")))?;
    let base_url = address::base_url(&raw.base_url, raw.allow_private_address)
        .map_err(|e| reading.problem(at("base_url"), e.to_string()))?;
    let time_zone = raw.time_zone.clone().unwrap_or_else(|| default_zone.to_owned());
    reading.zone(&at("time_zone"), &time_zone)?;

    let read_secret = |key: &str, file: &Option<String>| -> Result<Option<SecretString>, Problem> {
        let Some(file) = file else { return Ok(None) };
        let text = reading.secret(&at(key), file)?;
        if secret::is_published(text.expose_secret())
            && !address::is_loopback(&base_url)
            && !address::is_test_host(&base_url)
        {
            return Err(reading
                .problem(at(key), "this secret is published by the gateway: anyone can sign with it")
                .hint("use the account's own, or a loopback or test host as base_url"));
        }
        Ok(Some(text))
    };
    let signing = read_secret("secret_file", &raw.secret_file)?;
    let password = read_secret("password_file", &raw.password_file)?;

    let requests_per_second_max = raw.requests_per_second_max.unwrap_or(REQUESTS_PER_SECOND);
    let lanes_max = raw.lanes_max.unwrap_or(LANES);
    reading.at_least(&at("requests_per_second_max"), requests_per_second_max.into(), 1)?;
    reading.at_least(&at("lanes_max"), lanes_max as u64, 1)?;
    if lanes_max > LANES_MAX {
        return Err(reading.problem(at("lanes_max"), format!("must be at most {LANES_MAX}")));
    }

    let (contract, key) = match raw.dialect.as_str() {
        "wpg" => {
            refuse(
                reading,
                name,
                "wpg",
                &[
                    ("product", raw.product.is_some()),
                    ("customer_id", raw.customer_id.is_some()),
                    ("shop_id", raw.shop_id.is_some()),
                    ("algorithm", raw.algorithm.is_some()),
                    ("own_id_parameter", raw.own_id_parameter.is_some()),
                    ("order_numbers", raw.order_numbers.is_some()),
                ],
            )?;
            let (wpg, pins) = wpg(reading, name, raw, all)?;
            let is_live = !address::is_loopback(&base_url) && !address::is_test_host(&base_url);
            for file in raw.pin_files.iter().flatten().filter(|_| is_live) {
                let path = secret::locate(file, reading.folder(), reading.around.credentials.as_deref());
                if secret::is_sandbox_pin(&path) {
                    return Err(reading
                        .problem(at("pin_files"), "this is the sandbox's key: anyone can sign with it")
                        .hint("pin the gateway's own key, or use a loopback or test host as base_url"));
                }
            }
            if raw.user.is_some() != raw.password_file.is_some() {
                let missing = if raw.user.is_some() { "password_file" } else { "user" };
                return Err(reading.problem(at(missing), "missing: user and password_file go together"));
            }
            if matches!(wpg.scheme, Some(Scheme::NvpV2 | Scheme::JsonSigned)) && signing.is_none() {
                return Err(reading
                    .problem(at("secret_file"), "missing: this scheme is verified with the account's secret")
                    .hint("or set scheme = \"none\""));
            }
            let key = match (signing, pins.is_empty()) {
                (None, true) => None,
                // Only pins: without a secret nothing that is signed with one is verified.
                (signing, _) => Some(Key {
                    secret: signing.unwrap_or_default(),
                    user: raw.user.clone(),
                    password: password.clone(),
                    pins,
                }),
            };
            (Contract::Wpg(wpg), key)
        }
        "checkout" => {
            refuse(
                reading,
                name,
                "checkout",
                &[
                    ("user", raw.user.is_some()),
                    ("merchant_account_ids", raw.merchant_account_ids.is_some()),
                    ("resolver_category", raw.resolver_category.is_some()),
                    ("scheme", raw.scheme.is_some()),
                    ("pin_files", raw.pin_files.is_some()),
                    ("allow_sha1", raw.allow_sha1.is_some()),
                    ("siblings", raw.siblings.is_some()),
                ],
            )?;
            let Some(signing) = signing else {
                return Err(reading.problem(at("secret_file"), "missing: fingerprints are verified with it"));
            };
            if raw.order_numbers == Some(true) && password.is_none() {
                return Err(reading.problem(at("password_file"), "missing: order numbers are asked for with it"));
            }
            let contract = checkout(reading, name, raw, password.is_some())?;
            if let Some(right) = address::without_product(&base_url, contract.product) {
                return Err(reading
                    .problem(at("base_url"), "this host of the gateway answers for this product in its folder only")
                    .hint(format!("such as \"{right}\"")));
            }
            let key = Key { secret: signing, user: None, password: password.clone(), pins: Vec::new() };
            (Contract::Checkout(contract), Some(key))
        }
        _ => return Err(reading.problem(at("dialect"), "expected \"wpg\" or \"checkout\"")),
    };
    Ok(Checked {
        account: Account { name: merchant, time_zone, contract },
        gateway: Gateway {
            base_url,
            allow_private_address: raw.allow_private_address,
            user: raw.user.clone(),
            password,
            requests_per_second_max,
            lanes_max,
            order_numbers: raw.order_numbers.unwrap_or(false),
        },
        key,
    })
}

fn refuse(reading: &Reading, name: &str, dialect: &str, keys: &[(&str, bool)]) -> Result<(), Problem> {
    match keys.iter().find(|(_, present)| *present) {
        None => Ok(()),
        Some((key, _)) => {
            Err(reading.problem(format!("merchants.{name}.{key}"), format!("is not a key of dialect {dialect}")))
        }
    }
}

fn wpg(
    reading: &Reading,
    name: &str,
    raw: &raw::Merchant,
    all: &BTreeMap<String, raw::Merchant>,
) -> Result<(Wpg, Vec<Pin>), Problem> {
    let at = |key: &str| format!("merchants.{name}.{key}");
    let ids = raw.merchant_account_ids.clone().unwrap_or_default();
    if ids.is_empty() || ids.iter().any(|id| id.trim().is_empty()) {
        return Err(reading.problem(at("merchant_account_ids"), "at least one id is needed, and none may be empty"));
    }
    let pins = match &raw.pin_files {
        None => Vec::new(),
        Some(files) => files
            .iter()
            .map(|file| {
                let path = secret::locate(file, reading.folder(), reading.around.credentials.as_deref());
                let pin = secret::read_pin(&path).map_err(|e| reading.problem(at("pin_files"), e.to_string()))?;
                Ok(if raw.allow_sha1 == Some(true) { pin.allowing_sha1() } else { pin })
            })
            .collect::<Result<Vec<_>, _>>()?,
    };
    let scheme = match raw.scheme.as_deref() {
        Some("nvp") => Some(Scheme::NvpV2),
        Some("json-signed") => Some(Scheme::JsonSigned),
        Some("xml-dsig") if pins.is_empty() => {
            return Err(reading.problem(at("pin_files"), "missing: xml-dsig is verified with pinned keys"));
        }
        Some("xml-dsig") => Some(Scheme::XmlDsig),
        Some("none") => None,
        None => {
            return Err(reading
                .problem(at("scheme"), "this key is missing")
                .hint("one of \"nvp\", \"json-signed\", \"xml-dsig\", \"none\""));
        }
        Some(_) => {
            return Err(reading.problem(at("scheme"), "expected \"nvp\", \"json-signed\", \"xml-dsig\" or \"none\""));
        }
    };
    if raw.allow_sha1.is_some() && scheme != Some(Scheme::XmlDsig) {
        return Err(reading.problem(at("allow_sha1"), "is for scheme = \"xml-dsig\" only: no other scheme uses SHA-1"));
    }
    let mut siblings = Vec::new();
    for sibling in raw.siblings.iter().flatten() {
        if sibling == name || all.get(sibling).is_none_or(|other| other.dialect != "wpg") {
            let known: Vec<&String> = all.keys().filter(|k| *k != name).collect();
            return Err(reading
                .problem(at("siblings"), format!("`{sibling}` is not another wpg account of this file"))
                .hint(super::problem::did_you_mean(sibling, &known)));
        }
        siblings.push(MerchantName::new(sibling).map_err(|e| reading.problem(at("siblings"), e.to_string()))?);
    }
    let resolver_category = raw.resolver_category.clone().filter(|c| !c.trim().is_empty());
    Ok((Wpg { merchant_account_ids: ids, resolver_category, scheme, siblings }, pins))
}

fn checkout(reading: &Reading, name: &str, raw: &raw::Merchant, can_ask: bool) -> Result<Checkout, Problem> {
    let at = |key: &str| format!("merchants.{name}.{key}");
    let required = |key: &str, value: &Option<String>| {
        value.clone().filter(|v| !v.trim().is_empty()).ok_or_else(|| reading.problem(at(key), "this key is missing"))
    };
    let product = match raw.product.as_deref() {
        Some("page") => Product::Page,
        Some("seamless") => Product::Seamless,
        _ => return Err(reading.problem(at("product"), "expected \"page\" or \"seamless\"")),
    };
    let algorithm = match raw.algorithm.as_deref() {
        Some("hmac-sha512") => Scheme::HmacSha512,
        Some("sha512") => Scheme::Sha512,
        Some("md5") => Scheme::Md5,
        _ => {
            return Err(reading
                .problem(at("algorithm"), "expected \"hmac-sha512\", \"sha512\" or \"md5\"")
                .hint("the fingerprint algorithm is a setting of the account at the gateway"));
        }
    };
    Ok(Checkout {
        product,
        customer_id: required("customer_id", &raw.customer_id)?,
        shop_id: raw.shop_id.clone().filter(|s| !s.is_empty()),
        algorithm,
        own_id_parameter: required("own_id_parameter", &raw.own_id_parameter)?,
        can_ask,
    })
}
