//! `[operations]`: whether money may be moved from here, and with which credentials.
//!
//! The daemon reads the switch and the limits. Only the command an operator types reads the credentials, by [`login`]:
//! the daemon's process never holds them.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::{Config, Problem, Reading, Surroundings, address, problem, raw, secret};
use crate::core::account::Contract;
use crate::engine::operations::OverCapture;
use crate::words::id::MerchantName;

/// The card schemes allow at most this much above the authorised sum, in percent (fact sheet wpg c.3).
const OVER_CAPTURE_MAX_PERCENT: u32 = 40;

/// What the daemon is told of operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operations {
    pub enabled: bool,
    pub over_capture_percent: OverCapture,
}

/// What one account's operations are sent with.
#[derive(Debug, Clone)]
pub struct Login {
    /// `wpg` only.
    pub user: Option<String>,
    pub password: SecretString,
    /// `checkout` only: what requests are signed with.
    pub secret: Option<SecretString>,
}

pub(super) fn check(
    reading: &Reading,
    raw: &raw::Operations,
    merchants: &BTreeMap<String, raw::Merchant>,
) -> Result<Operations, Problem> {
    let mut over_capture_percent = OverCapture::new();
    for (name, account) in &raw.accounts {
        let at = |key: &str| format!("operations.{name}.{key}");
        let Some(merchant) = merchants.get(name) else {
            let known: Vec<&String> = merchants.keys().collect();
            return Err(reading
                .problem(format!("operations.{name}"), "neither `enabled` nor a merchant account of this file")
                .hint(problem::did_you_mean(name, &known)));
        };
        let is_wpg = merchant.dialect == "wpg";
        for (key, is_set, of_wpg) in [
            ("user", account.user.is_some(), true),
            ("over_capture_percent", account.over_capture_percent.is_some(), true),
            ("secret_file", account.secret_file.is_some(), false),
        ] {
            if is_set && is_wpg != of_wpg {
                return Err(reading.problem(at(key), format!("is not a key of dialect {}", merchant.dialect)));
            }
        }
        if is_wpg && account.user.is_some() != account.password_file.is_some() {
            let missing = if account.user.is_some() { "password_file" } else { "user" };
            return Err(reading.problem(at(missing), "missing: user and password_file go together"));
        }
        if let Some(percent) = account.over_capture_percent {
            if percent > OVER_CAPTURE_MAX_PERCENT {
                let what = format!("must be at most {OVER_CAPTURE_MAX_PERCENT}");
                return Err(reading.problem(at("over_capture_percent"), what));
            }
            let merchant = MerchantName::new(name)
                .map_err(|e| reading.problem(format!("operations.{name}"), format!("the name {e}")))?;
            over_capture_percent.insert(merchant, percent);
        }
    }
    Ok(Operations { enabled: raw.enabled, over_capture_percent })
}

/// Reads the credentials of one account's operations: its own, else those the daemon asks with.
pub fn login(file: &Path, around: &Surroundings, config: &Config, merchant: &MerchantName) -> Result<Login, Problem> {
    let shown = file.display().to_string();
    let raw: raw::File = super::layers(&config.file, &super::Flags::default(), around)
        .extract()
        .map_err(|error| problem::of_figment(error, &shown))?;
    let reading = Reading { file: &config.file, shown: &shown, around };
    let own = raw.operations.accounts.get(merchant.as_str());
    let at = |key: &str| format!("operations.{merchant}.{key}");
    let missing = |key: &str| reading.problem(at(key), "missing, and the account itself has none either");
    let Some((gateway, account)) = config.gateways.get(merchant).zip(config.policy.accounts.get(merchant)) else {
        return Err(reading.problem(format!("merchants.{merchant}"), "no such merchant account"));
    };
    let is_for_tests = address::is_loopback(&gateway.base_url) || address::is_test_host(&gateway.base_url);
    let read = |key: &str, name: Option<&String>| -> Result<Option<SecretString>, Problem> {
        let Some(name) = name else { return Ok(None) };
        let text = reading.secret(&at(key), name)?;
        if secret::is_published(text.expose_secret()) && !is_for_tests {
            return Err(reading.problem(at(key), "this secret is published by the gateway: anyone can use it"));
        }
        Ok(Some(text))
    };
    let password = match read("password_file", own.and_then(|own| own.password_file.as_ref()))? {
        Some(password) => password,
        None => gateway.password.clone().ok_or_else(|| missing("password_file"))?,
    };
    match &account.contract {
        Contract::Wpg(_) => {
            let user = own.and_then(|own| own.user.clone()).or_else(|| gateway.user.clone());
            Ok(Login { user: Some(user.ok_or_else(|| missing("user"))?), password, secret: None })
        }
        Contract::Checkout(_) => {
            let own = read("secret_file", own.and_then(|own| own.secret_file.as_ref()))?;
            let secret = own.or_else(|| config.keys.get(merchant).map(|key| key.secret.clone()));
            Ok(Login { user: None, password, secret: Some(secret.ok_or_else(|| missing("secret_file"))?) })
        }
    }
}
