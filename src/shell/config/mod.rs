//! The configuration: read in layers (defaults, file, environment, flags) and checked whole before
//! anything opens. A misspelt key stops the start.

pub mod address;
pub mod import;
mod merchant;
pub mod operations;
pub mod problem;
pub mod proxy;
mod raw;
mod relay;
pub mod schedule;
pub mod secret;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use jiff::tz::TimeZone;
use reqwest::Url;
use secrecy::SecretString;

pub use merchant::Gateway;
pub use operations::Operations;
pub use problem::Problem;
pub use relay::Shop;

use crate::core::policy::{AlertPolicy, Keeping, Policy, ReportPolicy};
use crate::wire::Keys;
use crate::words::id::MerchantName;
use crate::words::money::Amount;

/// Everything the daemon is told, checked. Holds secrets, but prints none.
#[derive(Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    pub listen: Listen,
    pub store: Store,
    pub gateways: BTreeMap<MerchantName, Gateway>,
    /// The shops' own listeners, for accounts whose notifications are passed on.
    pub shops: BTreeMap<MerchantName, Shop>,
    pub policy: Policy,
    pub keys: Keys,
    /// The spool directory, where one is used.
    pub spool: Option<PathBuf>,
    /// Where nightly reports are written, where they are.
    pub reports: Option<PathBuf>,
    pub webhook: Option<Webhook>,
    /// The listeners of the recording proxy.
    pub proxies: Vec<proxy::Proxy>,
    pub operations: Operations,
    pub log: Log,
}

#[derive(Debug, Clone)]
pub struct Listen {
    pub public: SocketAddr,
    pub admin_socket: PathBuf,
    pub admin_tcp: Option<AdminTcp>,
    /// Longest body of a request, in bytes.
    pub body_max_bytes: usize,
    /// Bytes of all bodies being read at once, on the public listener.
    pub bytes_in_flight_max: usize,
    pub connections_max: usize,
    /// Connections of one address; loopback is exempt, because a reverse proxy speaks for many.
    pub connections_per_peer_max: usize,
}

#[derive(Debug, Clone)]
pub struct AdminTcp {
    pub address: SocketAddr,
    pub token: SecretString,
}

#[derive(Debug, Clone)]
pub struct Store {
    pub path: PathBuf,
    pub cache_mib: usize,
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub url: Url,
    pub secret: SecretString,
    pub allow_private_address: bool,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub json: bool,
    pub filter: String,
}

/// What the command line sets over everything else.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub public: Option<String>,
    pub admin_socket: Option<String>,
    pub store_path: Option<String>,
}

/// What the process's surroundings say, passed by value so that tests need no process of their own.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `$CREDENTIALS_DIRECTORY`, where systemd keeps `LoadCredential=`.
    pub credentials: Option<PathBuf>,
    /// Environment variables that begin with `RECONCILED_`.
    pub variables: Vec<(String, String)>,
}

impl Surroundings {
    pub fn of_this_process() -> Surroundings {
        Surroundings {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            variables: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .filter(|(k, _)| k.starts_with(PREFIX))
                .collect(),
        }
    }
}

const PREFIX: &str = "RECONCILED_";
/// Variables with our prefix that are flags of the command line, not keys of the file.
const NOT_KEYS: [&str; 1] = ["RECONCILED_CONFIG"];

/// Reads and checks a configuration.
pub fn load(file: &Path, flags: &Flags, around: &Surroundings) -> Result<Config, Problem> {
    let shown = file.display().to_string();
    let file = std::path::absolute(file).map_err(|e| Problem::new(&shown, "", format!("can't be read: {e}")))?;
    if !file.is_file() {
        return Err(Problem::new(&shown, "", "there is no such file")
            .hint("`reconciled sandbox --init DIR` writes a working configuration"));
    }
    let figment = layers(&file, flags, around);
    let raw: raw::File = figment.extract().map_err(|error| problem::of_figment(error, &shown))?;
    Reading { file: &file, shown: &shown, around }.check(raw)
}

/// Where a daemon of a configuration can be found, without reading any secret: whoever may ask the
/// daemon need not be allowed to read its files.
pub fn admin_socket(file: &Path, around: &Surroundings) -> Result<PathBuf, Problem> {
    let shown = file.display().to_string();
    let file = std::path::absolute(file).map_err(|e| Problem::new(&shown, "", format!("can't be read: {e}")))?;
    if !file.is_file() {
        return Err(Problem::new(&shown, "", "there is no such file").hint("name it with --config FILE"));
    }
    let raw: raw::File =
        layers(&file, &Flags::default(), around).extract().map_err(|error| problem::of_figment(error, &shown))?;
    Ok(file.parent().unwrap_or(Path::new("/")).join(raw.listen.admin_socket))
}

/// How the configuration says shops' order lists are read; without reading any secret.
pub fn imports(file: &Path, around: &Surroundings) -> Result<BTreeMap<String, import::Import>, Problem> {
    let shown = file.display().to_string();
    let file = std::path::absolute(file).map_err(|e| Problem::new(&shown, "", format!("can't be read: {e}")))?;
    if !file.is_file() {
        return Err(Problem::new(&shown, "", "there is no such file").hint("name it with --config FILE"));
    }
    let raw: raw::File =
        layers(&file, &Flags::default(), around).extract().map_err(|error| problem::of_figment(error, &shown))?;
    Reading { file: &file, shown: &shown, around }.imports(&raw)
}

fn layers(file: &Path, flags: &Flags, around: &Surroundings) -> Figment {
    let mut figment = Figment::new().merge(Toml::file_exact(file));
    // figment's own Env reads the process; ours comes by value, parsed by the same rules.
    for (name, value) in &around.variables {
        if value.is_empty() || NOT_KEYS.contains(&name.as_str()) {
            continue;
        }
        let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        let value: figment::value::Value = value.parse().unwrap_or_else(|_| value.clone().into());
        figment = figment.merge(Named("environment (RECONCILED_…)", Serialized::default(&key, value)));
    }
    let flags = [
        ("listen.public", &flags.public),
        ("listen.admin_socket", &flags.admin_socket),
        ("store.path", &flags.store_path),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            figment = figment.merge(Named(problem::FLAGS, Serialized::default(key, value.clone())));
        }
    }
    figment
}

/// A layer that says in errors where it came from.
struct Named<P>(&'static str, P);

impl<P: figment::Provider> figment::Provider for Named<P> {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.0)
    }
    fn data(&self) -> figment::error::Result<figment::value::Map<figment::Profile, figment::value::Dict>> {
        self.1.data()
    }
}

/// What checking needs to know besides the values.
struct Reading<'a> {
    file: &'a Path,
    shown: &'a str,
    around: &'a Surroundings,
}

impl Reading<'_> {
    fn problem(&self, key: impl Into<String>, what: impl Into<String>) -> Problem {
        Problem::new(self.shown, key, what)
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    fn path(&self, text: &str) -> PathBuf {
        self.folder().join(text)
    }

    fn secret(&self, key: &str, name: &str) -> Result<SecretString, Problem> {
        let path = secret::locate(name, self.folder(), self.around.credentials.as_deref());
        secret::read(&path).map_err(|e| self.problem(key, e.to_string()))
    }

    fn zone(&self, key: &str, name: &str) -> Result<(), Problem> {
        TimeZone::get(name).map(drop).map_err(|_| {
            self.problem(key, "no such time zone").hint("an IANA name such as \"Europe/Vienna\" or \"UTC\"")
        })
    }

    fn duration(&self, key: &str, text: &str) -> Result<crate::words::time::SignedDuration, Problem> {
        schedule::duration(text)
            .filter(|d| d.is_positive())
            .ok_or_else(|| self.problem(key, "not a duration").hint(schedule::DURATION_HINT))
    }

    fn at_least(&self, key: &str, value: u64, least: u64) -> Result<(), Problem> {
        if value < least { Err(self.problem(key, format!("must be at least {least}"))) } else { Ok(()) }
    }

    fn check(&self, raw: raw::File) -> Result<Config, Problem> {
        let listen = self.listen(&raw.listen)?;
        self.at_least("store.cache_mib", raw.store.cache_mib as u64, 1)?;
        if raw.merchants.is_empty() {
            return Err(self
                .problem("merchants", "no merchant account is configured")
                .hint("add a [merchants.NAME] table"));
        }
        // Only the command line uses them; a slip in one is found here all the same.
        self.imports(&raw)?;
        let report = self.report(&raw.report)?;
        let mut gateways = BTreeMap::new();
        let mut accounts = BTreeMap::new();
        let mut keys = Keys::new();
        let (mut shops, mut relays) = (BTreeMap::new(), BTreeMap::new());
        let mut proxies = Vec::new();
        for (name, merchant) in &raw.merchants {
            let checked = merchant::check(self, name, merchant, &raw.merchants, &report.time_zone)?;
            if let Some(raw) = &merchant.proxy {
                let (name, gateway) = (&checked.account.name, &checked.gateway);
                proxies.extend(proxy::check(self, name, raw, &gateway.base_url, gateway.allow_private_address)?);
            }
            if let Some(key) = checked.key {
                keys.insert(checked.account.name.clone(), key);
            }
            if let Some(raw) = &merchant.relay {
                let (shop, relay) = relay::check(self, name, raw, listen.public.port())?;
                shops.insert(checked.account.name.clone(), shop);
                relays.insert(checked.account.name.clone(), relay);
            }
            gateways.insert(checked.account.name.clone(), checked.gateway);
            accounts.insert(checked.account.name.clone(), checked.account);
        }
        let mut listeners = vec![("listen.public", listen.public)];
        listeners.extend(listen.admin_tcp.as_ref().map(|admin| ("listen.admin_tcp", admin.address)));
        proxy::check_together(self, &proxies, &listeners)?;
        let webhook = self.webhook(&raw.alerts)?;
        let policy = Policy {
            accounts,
            schedule: schedule::overlay(&raw.schedule, self.shown)?,
            alerts: self.alerts(&raw.alerts, webhook.is_some())?,
            report,
            keeping: self.keeping(&raw.keeping)?,
            relays,
        };
        Ok(Config {
            file: self.file.to_owned(),
            listen,
            store: Store { path: self.path(&raw.store.path), cache_mib: raw.store.cache_mib },
            gateways,
            shops,
            policy,
            keys,
            spool: raw.spool.path.as_deref().map(|p| self.path(p)),
            reports: raw.report.path.as_deref().map(|p| self.path(p)),
            webhook,
            proxies,
            operations: operations::check(self, &raw.operations, &raw.merchants)?,
            log: self.log(&raw.log)?,
        })
    }

    fn imports(&self, raw: &raw::File) -> Result<BTreeMap<String, import::Import>, Problem> {
        raw.import.iter().map(|(name, raw)| Ok((name.clone(), import::check(self, name, raw)?))).collect()
    }

    fn listen(&self, raw: &raw::Listen) -> Result<Listen, Problem> {
        let address = |key: &str, text: &str| {
            text.parse::<SocketAddr>()
                .map_err(|_| self.problem(key, "not an address").hint("such as \"127.0.0.1:8080\"; port 0 takes any"))
        };
        let admin_tcp = match (&raw.admin_tcp, &raw.admin_token_file) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err(self.problem("listen.admin_tcp", "missing, though `admin_token_file` is set"));
            }
            (Some(_), None) => {
                return Err(self.problem("listen.admin_token_file", "missing: an admin port needs a bearer token"));
            }
            (Some(text), Some(token)) => {
                let at = address("listen.admin_tcp", text)?;
                if !at.ip().is_loopback() {
                    return Err(self.problem("listen.admin_tcp", "must be a loopback address"));
                }
                Some(AdminTcp { address: at, token: self.secret("listen.admin_token_file", token)? })
            }
        };
        self.at_least("listen.body_max_bytes", raw.body_max_bytes as u64, 256 * 1024)
            .map_err(|p| p.hint("gateways send fields of 65,535 characters, Base64 on top"))?;
        self.at_least("listen.bytes_in_flight_max", raw.bytes_in_flight_max as u64, raw.body_max_bytes as u64)?;
        self.at_least("listen.connections_max", raw.connections_max as u64, 1)?;
        self.at_least("listen.connections_per_peer_max", raw.connections_per_peer_max as u64, 1)?;
        Ok(Listen {
            public: address("listen.public", &raw.public)?,
            admin_socket: self.path(&raw.admin_socket),
            admin_tcp,
            body_max_bytes: raw.body_max_bytes,
            bytes_in_flight_max: raw.bytes_in_flight_max,
            connections_max: raw.connections_max,
            connections_per_peer_max: raw.connections_per_peer_max,
        })
    }

    fn webhook(&self, raw: &raw::Alerts) -> Result<Option<Webhook>, Problem> {
        let (url, secret) = match (&raw.webhook_url, &raw.webhook_secret_file) {
            (None, None) => return Ok(None),
            (Some(url), Some(secret)) => (url, secret),
            (Some(_), None) => return Err(self.problem("alerts.webhook_secret_file", "missing: alerts are signed")),
            (None, Some(_)) => return Err(self.problem("alerts.webhook_url", "missing, though its secret is set")),
        };
        let url = address::any_url(url, raw.allow_private_address)
            .map_err(|e| self.problem("alerts.webhook_url", e.to_string()))?;
        Ok(Some(Webhook {
            url,
            secret: self.secret("alerts.webhook_secret_file", secret)?,
            allow_private_address: raw.allow_private_address,
        }))
    }

    fn alerts(&self, raw: &raw::Alerts, webhook: bool) -> Result<AlertPolicy, Problem> {
        let default = AlertPolicy::default();
        let large = raw.large.iter().flatten().map(|text| {
            text.parse::<Amount>()
                .map_err(|e| self.problem("alerts.large", e.to_string()).hint("such as \"500.00 EUR\""))
        });
        Ok(AlertPolicy {
            large: large.collect::<Result<_, _>>()?,
            repeat_after: match &raw.repeat_after {
                Some(text) => self.duration("alerts.repeat_after", text)?,
                None => default.repeat_after,
            },
            webhook,
        })
    }

    fn report(&self, raw: &raw::Report) -> Result<ReportPolicy, Problem> {
        let default = ReportPolicy::default();
        let time_zone = raw.time_zone.clone().unwrap_or(default.time_zone);
        self.zone("report.time_zone", &time_zone)?;
        let at = raw.at.clone().unwrap_or(default.at);
        let is_time = at.len() == 5 && at.parse::<jiff::civil::Time>().is_ok();
        if !is_time {
            return Err(self.problem("report.at", "not a time of day").hint("such as \"02:30\""));
        }
        Ok(ReportPolicy { time_zone, at, final_after_days: raw.final_after_days.unwrap_or(default.final_after_days) })
    }

    fn keeping(&self, raw: &raw::Keeping) -> Result<Keeping, Problem> {
        let default = Keeping::default();
        let keeping = Keeping {
            inbox_max_rows: raw.inbox_max_rows.unwrap_or(default.inbox_max_rows),
            ring_slots: raw.ring_slots.unwrap_or(default.ring_slots),
            unverified_max_per_request: raw.unverified_max_per_request.unwrap_or(default.unverified_max_per_request),
            bodies_for: match &raw.bodies_for {
                Some(text) => self.duration("keeping.bodies_for", text)?,
                None => default.bodies_for,
            },
        };
        self.at_least("keeping.inbox_max_rows", keeping.inbox_max_rows, 1)?;
        self.at_least("keeping.ring_slots", keeping.ring_slots, 1)?;
        Ok(keeping)
    }

    fn log(&self, raw: &raw::Log) -> Result<Log, Problem> {
        let json = match raw.format.as_str() {
            "text" => false,
            "json" => true,
            _ => return Err(self.problem("log.format", "expected \"text\" or \"json\"")),
        };
        tracing_subscriber::EnvFilter::try_new(&raw.filter).map_err(|_| {
            self.problem("log.filter", "not a filter").hint("such as \"info\" or \"reconciled=debug,warn\"")
        })?;
        Ok(Log { json, filter: raw.filter.clone() })
    }
}

#[cfg(test)]
mod tests;
