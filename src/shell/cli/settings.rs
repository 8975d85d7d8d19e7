//! `config check`: what was understood of the configuration, and what in it deserves a second look.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::tz::TimeZone;
use reqwest::Url;
use serde_json::{Value, json};

use super::columns::{Align, columns};
use super::pages::civil;
use super::print::line;
use super::screen::{Colour, colour, width};
use crate::core::account::Contract;
use crate::core::message::Scheme;
use crate::core::policy::ReportPolicy;
use crate::shell::config::proxy::Proxy;
use crate::shell::config::{Config, address};
use crate::words::time::Timestamp;

/// Nights told ahead.
const NIGHTS: usize = 3;

pub fn text(config: &Config, now: Timestamp) {
    let shown = |path: &Path| path.display().to_string();
    let row = |name: &str, text: String| line(&format!("{name:<10} {text}"));
    row("file", shown(&config.file));
    row("public", format!("{} (POST /ipn/NAME, POST /confirm/NAME)", config.listen.public));
    row("admin", shown(&config.listen.admin_socket));
    if let Some(tcp) = &config.listen.admin_tcp {
        row("", format!("{} with a bearer token", tcp.address));
    }
    row("store", format!("{}, cache {} MiB", shown(&config.store.path), config.store.cache_mib));
    row("spool", config.spool.as_deref().map_or_else(|| "none".into(), shown));
    for proxy in &config.proxies {
        let fails = proxy.when_not_kept.name();
        row("proxy", format!("{} passes to {} for {}, {fails}", proxy.listen, proxy.upstream, proxy.merchant));
    }
    row("reports", config.reports.as_deref().map_or_else(|| "none".into(), shown));
    let report = &config.policy.report;
    if config.reports.is_some() {
        let zone = TimeZone::get(&report.time_zone).unwrap_or(TimeZone::UTC);
        let nights = nights(report, now).into_iter().map(|at| civil(at, &zone)).collect::<Vec<_>>();
        nights.iter().enumerate().for_each(|(n, at)| row("", format!("{} {at}", if n == 0 { "next" } else { "then" })));
        row("", format!("each final after {} days", report.final_after_days));
    }
    row("operations", if config.operations.enabled { "ON: money can be moved from here" } else { "off" }.into());
    row("alerts", config.webhook.as_ref().map_or_else(|| "to the log".into(), |w| format!("to the log and {}", w.url)));
    for (name, shop) in &config.shops {
        row("relay", format!("what comes for {name} goes on to {}", without_query(&shop.url)));
    }
    line("");
    const HEADER: [(&str, Align); 6] = [
        ("merchant", Align::Left),
        ("dialect", Align::Left),
        ("facts by", Align::Left),
        ("requests/s", Align::Right),
        ("lanes", Align::Right),
        ("gateway", Align::Left),
    ];
    let rows = config.policy.accounts.iter().filter_map(|(name, account)| {
        let gateway = config.gateways.get(name)?;
        Some(vec![
            name.to_string(),
            account.dialect().name().to_owned(),
            facts_by(&account.contract).to_owned(),
            gateway.requests_per_second_max.to_string(),
            gateway.lanes_max.to_string(),
            gateway.base_url.to_string(),
        ])
    });
    columns(&HEADER, &rows.collect::<Vec<_>>(), width()).iter().for_each(|row| line(row));
    line("");
    let warnings = warnings(config);
    warnings.iter().for_each(|warning| line(&colour(Colour::Yellow, &format!("warning: {warning}"))));
    line(&colour(Colour::Green, "the configuration is good"));
}

pub fn json(config: &Config, now: Timestamp) -> Value {
    let merchants = config.policy.accounts.iter().filter_map(|(name, account)| {
        let gateway = config.gateways.get(name)?;
        Some(json!({
            "merchant": name,
            "dialect": account.dialect().name(),
            "facts_by": facts_by(&account.contract),
            "base_url": gateway.base_url.as_str(),
            "requests_per_second_max": gateway.requests_per_second_max,
            "lanes_max": gateway.lanes_max,
            "relay": config.shops.get(name).map(|shop| without_query(&shop.url)),
            "order_numbers": gateway.order_numbers,
        }))
    });
    json!({
        "file": config.file,
        "public": config.listen.public,
        "admin_socket": config.listen.admin_socket,
        "admin_tcp": config.listen.admin_tcp.as_ref().map(|tcp| tcp.address),
        "store": config.store.path,
        "spool": config.spool,
        "proxies": config.proxies.iter().map(proxy_json).collect::<Vec<_>>(),
        "reports": config.reports,
        "next_reports_at": if config.reports.is_some() { nights(&config.policy.report, now) } else { Vec::new() },
        "operations_enabled": config.operations.enabled,
        "webhook": config.webhook.as_ref().map(|webhook| webhook.url.as_str()),
        "merchants": merchants.collect::<Vec<_>>(),
        "warnings": warnings(config),
    })
}

fn proxy_json(proxy: &Proxy) -> Value {
    json!({
        "merchant": proxy.merchant,
        "listen": proxy.listen,
        "upstream": proxy.upstream.as_str(),
        "when_not_kept": proxy.when_not_kept.name(),
    })
}

/// An address as it may be shown: what stands in its query may be a token.
fn without_query(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

/// What makes a notification of this account a fact.
fn facts_by(contract: &Contract) -> &'static str {
    let scheme = match contract {
        Contract::Wpg(wpg) => wpg.scheme,
        Contract::Checkout(checkout) => Some(checkout.algorithm),
    };
    match scheme {
        Some(Scheme::JsonSigned) => "json-signed",
        Some(Scheme::XmlDsig) => "xml-dsig",
        Some(Scheme::HmacSha512) => "hmac-sha512",
        // These leave the amount open, or can be forged by whoever saw one: the gateway is asked.
        Some(Scheme::NvpV1 | Scheme::NvpV2) => "asking (nvp)",
        Some(Scheme::Sha512) => "asking (sha512)",
        Some(Scheme::Md5) => "asking (md5)",
        None => "asking",
    }
}

/// When the next nightly reports are written.
fn nights(policy: &ReportPolicy, now: Timestamp) -> Vec<Timestamp> {
    let Ok(zone) = TimeZone::get(&policy.time_zone) else { return Vec::new() };
    let Ok(at) = policy.at.parse::<jiff::civil::Time>() else { return Vec::new() };
    let today = now.to_zoned(zone.clone()).date();
    // A time that a DST gap swallows is the moment the gap ends, as for the reports themselves.
    let moments = std::iter::successors(Some(today), |day| day.tomorrow().ok())
        .map_while(|day| zone.to_ambiguous_zoned(day.to_datetime(at)).compatible().ok())
        .map(|zoned| zoned.timestamp());
    moments.filter(|at| *at > now).take(NIGHTS).collect()
}

/// What is allowed and still deserves a second look.
fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.reports.is_none() {
        warnings.push("no [report] path: no nightly report is written".to_owned());
    }
    if config.webhook.is_none() {
        warnings.push("no [alerts] webhook_url: alerts go to the log only, and nobody is woken".to_owned());
    }
    if !config.listen.public.ip().is_loopback() {
        warnings.push(format!("the public listener {} speaks plain HTTP: put TLS in front", config.listen.public));
    }
    for (name, account) in &config.policy.accounts {
        let Some(gateway) = config.gateways.get(name) else { continue };
        if address::is_loopback(&gateway.base_url) {
            warnings.push(format!("`{name}` asks this machine ({}): a sandbox, no gateway", gateway.base_url));
        }
        if gateway.password.is_none() {
            warnings.push(format!("`{name}` has no password_file: its gateway can't be asked"));
        }
        if !config.keys.contains_key(name) {
            warnings.push(format!("`{name}` has no secret: no notification of it can be verified"));
        }
        if facts_by(&account.contract).starts_with("asking") {
            warnings.push(format!("`{name}`: its notifications are hints only, each payment is asked about"));
        }
    }
    if let Ok(found) = std::fs::metadata(&config.file)
        && found.permissions().mode() & 0o002 != 0
    {
        warnings.push(format!("everybody may write {}", config.file.display()));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_nights_are_told_across_a_change_of_the_clocks() {
        let policy = ReportPolicy { time_zone: "Europe/Vienna".into(), at: "02:30".into(), final_after_days: 3 };
        let now = "2026-03-28T12:00:00Z".parse().expect("a time");
        let told: Vec<String> = nights(&policy, now).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]);
    }
}
