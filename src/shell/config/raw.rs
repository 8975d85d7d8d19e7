//! The configuration file's own shape, before anything is checked. An unknown key is an error everywhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub listen: Listen,
    pub store: Store,
    pub merchants: BTreeMap<String, Merchant>,
    pub alerts: Alerts,
    pub spool: Spool,
    pub report: Report,
    pub schedule: BTreeMap<String, Method>,
    pub keeping: Keeping,
    pub import: BTreeMap<String, Import>,
    pub log: Log,
    pub operations: Operations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    pub public: String,
    pub admin_socket: String,
    pub admin_tcp: Option<String>,
    pub admin_token_file: Option<String>,
    pub body_max_bytes: usize,
    pub bytes_in_flight_max: usize,
    pub connections_max: usize,
    pub connections_per_peer_max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    pub path: String,
    pub cache_mib: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    pub dialect: String,
    pub base_url: String,
    #[serde(default)]
    pub allow_private_address: bool,
    #[serde(default)]
    pub time_zone: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_file: Option<String>,
    #[serde(default)]
    pub secret_file: Option<String>,
    #[serde(default)]
    pub requests_per_second_max: Option<u32>,
    #[serde(default)]
    pub lanes_max: Option<usize>,
    #[serde(default)]
    pub relay: Option<Relay>,
    // wpg
    #[serde(default)]
    pub merchant_account_ids: Option<Vec<String>>,
    #[serde(default)]
    pub resolver_category: Option<String>,
    #[serde(default)]
    pub scheme: Option<String>,
    #[serde(default)]
    pub pin_files: Option<Vec<String>>,
    #[serde(default)]
    pub allow_sha1: Option<bool>,
    #[serde(default)]
    pub siblings: Option<Vec<String>>,
    // checkout
    #[serde(default)]
    pub product: Option<String>,
    #[serde(default)]
    pub customer_id: Option<String>,
    #[serde(default)]
    pub shop_id: Option<String>,
    #[serde(default)]
    pub algorithm: Option<String>,
    #[serde(default)]
    pub own_id_parameter: Option<String>,
    #[serde(default)]
    pub order_numbers: Option<bool>,
    // both
    #[serde(default)]
    pub proxy: Option<Proxy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    pub url: String,
    #[serde(default)]
    pub allow_private_address: bool,
    #[serde(default)]
    pub forward_refuted: bool,
    #[serde(default)]
    pub forward_repeats: bool,
    #[serde(default)]
    pub retry_first: Option<String>,
    #[serde(default)]
    pub retry_max: Option<String>,
    #[serde(default)]
    pub alert_after: Option<String>,
    #[serde(default)]
    pub give_up_after: Option<String>,
    #[serde(default)]
    pub timeout: Option<String>,
    #[serde(default)]
    pub in_flight_max: Option<usize>,
    #[serde(default)]
    pub backlog_max_messages: Option<u64>,
    #[serde(default)]
    pub backlog_max_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    pub listen: String,
    #[serde(default)]
    pub upstream: Option<String>,
    #[serde(default)]
    pub when_not_kept: Option<String>,
    #[serde(default)]
    pub connections_max: Option<usize>,
    #[serde(default)]
    pub keep_timeout: Option<String>,
    #[serde(default)]
    pub connect_timeout: Option<String>,
    #[serde(default)]
    pub answer_timeout: Option<String>,
    #[serde(default)]
    pub idle_timeout: Option<String>,
    #[serde(default)]
    pub also: Vec<ProxyAlso>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyAlso {
    pub listen: String,
    pub upstream: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    pub webhook_url: Option<String>,
    pub webhook_secret_file: Option<String>,
    pub allow_private_address: bool,
    pub large: Option<Vec<String>>,
    pub repeat_after: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    pub path: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    pub path: Option<String>,
    pub time_zone: Option<String>,
    pub at: Option<String>,
    pub final_after_days: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Method {
    pub window: Option<String>,
    pub warm: Option<Vec<String>>,
    pub retrieve_has_effects: Option<bool>,
    pub returnable: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Keeping {
    pub inbox_max_rows: Option<u64>,
    pub ring_slots: Option<u64>,
    pub unverified_max_per_request: Option<u32>,
    pub bodies_for: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Import {
    pub columns: BTreeMap<String, String>,
    pub optional: BTreeSet<String>,
    pub defaults: BTreeMap<String, String>,
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    pub delimiter: Option<String>,
    pub decimal_comma: bool,
    pub time_format: Option<String>,
    pub time_zone: Option<String>,
    pub encoding: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: String,
    pub filter: String,
}

/// `[operations]` and its tables, one per account.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Operations {
    pub enabled: bool,
    /// Every other key is an account: a misspelt one is refused as unknown.
    #[serde(flatten)]
    pub accounts: BTreeMap<String, OperationsAccount>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct OperationsAccount {
    pub user: Option<String>,
    pub password_file: Option<String>,
    pub secret_file: Option<String>,
    pub over_capture_percent: Option<u32>,
}

impl Default for Listen {
    fn default() -> Self {
        Listen {
            public: "127.0.0.1:8080".into(),
            admin_socket: "/run/reconciled/admin.sock".into(),
            admin_tcp: None,
            admin_token_file: None,
            body_max_bytes: 1024 * 1024,
            bytes_in_flight_max: 64 * 1024 * 1024,
            connections_max: 1024,
            connections_per_peer_max: 128,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Store { path: "/var/lib/reconciled/reconciled.redb".into(), cache_mib: 64 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { format: "text".into(), filter: "info".into() }
    }
}
