//! `reconciled sandbox --init DIR`: a configuration that works as it is, with fresh secrets in files.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::core::message::Dialect;
use crate::sandbox::Shop;
use crate::shell::config::Config;
use crate::wire::wpg::{NotASigningKey, SigningKey};
use crate::words::time::{SignedDuration, minutes};

/// The configuration's name in its folder.
pub const FILE: &str = "reconciled.toml";
/// Where the sandbox listens where nothing else is said.
pub const SANDBOX_ADDRESS: &str = "127.0.0.1:8090";
/// Where the daemon's public listener is in a new configuration.
pub const PUBLIC_ADDRESS: &str = "127.0.0.1:8080";

/// Why a configuration was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    #[error("`{path}` can't be written: {why}")]
    File { path: PathBuf, why: std::io::Error },
    #[error("the system gives no random bytes")]
    NoRandom,
}

/// Where things listen in the configuration to be written.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub sandbox: String,
    pub public: String,
}

impl Default for Addresses {
    fn default() -> Self {
        Addresses { sandbox: SANDBOX_ADDRESS.into(), public: PUBLIC_ADDRESS.into() }
    }
}

/// Writes `reconciled.toml` and its secrets into `dir`, which is made where it is missing. Nothing that
/// exists is overwritten. Returns the configuration's path.
pub fn init(dir: &Path, addresses: &Addresses) -> Result<PathBuf, NotWritten> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |why| NotWritten::File { path, why }
    };
    let secrets = dir.join("secrets");
    DirBuilder::new().recursive(true).mode(0o700).create(&secrets).map_err(failed(&secrets))?;
    let file = dir.join(FILE);
    for name in ["shop-eu.password", "shop-eu.secret", "shop-at.password", "shop-at.secret"] {
        let path = secrets.join(name);
        write_new(&path, &format!("{}\n", random_hex()?)).map_err(failed(&path))?;
    }
    let pin = dir.join("gateway.pub");
    write_new(&pin, SANDBOX_PIN).map_err(failed(&pin))?;
    write_new(&file, &text(addresses)).map_err(failed(&file))?;
    Ok(file)
}

/// The key the sandbox signs XML with where it is told no other. It comes with the program, so that anyone can sign with
/// it: the configuration refuses its pin for a live gateway.
const SANDBOX_KEY: &str = include_str!("../../../config/sandbox/gateway.pem");
const SANDBOX_PIN: &str = include_str!("../../../config/sandbox/gateway.pub");

/// Why there is no key to sign XML with.
#[derive(Debug, thiserror::Error)]
pub enum NoSigningKey {
    #[error("`{path}` can't be read: {why}")]
    File { path: PathBuf, why: std::io::Error },
    #[error("`{path}` {why}")]
    NotAKey { path: PathBuf, why: NotASigningKey },
}

/// The key of a file, or the one that comes with the program.
pub fn signing_key(file: Option<&Path>) -> Result<SigningKey, NoSigningKey> {
    let (path, text) = match file {
        None => (PathBuf::from("the sandbox's own key"), SANDBOX_KEY.to_owned()),
        Some(path) => {
            let read = std::fs::read_to_string(path);
            (path.to_owned(), read.map_err(|why| NoSigningKey::File { path: path.to_owned(), why })?)
        }
    };
    SigningKey::from_pem(&text).map_err(|why| NoSigningKey::NotAKey { path, why })
}

/// The repository's example and its secrets, which are no secrets.
const EXAMPLE: [(&str, &str); 5] = [
    (FILE, include_str!("../../../config/reconciled.toml")),
    ("secrets/shop-at.password", include_str!("../../../config/secrets/shop-at.password")),
    ("secrets/shop-at.secret", include_str!("../../../config/secrets/shop-at.secret")),
    ("secrets/shop-eu.password", include_str!("../../../config/secrets/shop-eu.password")),
    ("secrets/shop-eu.secret", include_str!("../../../config/secrets/shop-eu.secret")),
];

/// Writes the example configuration as it is, for a sandbox that plays its gateways wherever it is
/// started. Returns the configuration's path.
pub fn write_example(dir: &Path) -> Result<PathBuf, NotWritten> {
    let secrets = dir.join("secrets");
    let failed = |path: &Path, why| NotWritten::File { path: path.to_owned(), why };
    DirBuilder::new().recursive(true).mode(0o700).create(&secrets).map_err(|why| failed(&secrets, why))?;
    for (name, text) in EXAMPLE {
        let path = dir.join(name);
        write_new(&path, text).map_err(|why| failed(&path, why))?;
    }
    Ok(dir.join(FILE))
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn random_hex() -> Result<String, NotWritten> {
    let mut bytes = [0_u8; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NotWritten::NoRandom)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn text(addresses: &Addresses) -> String {
    let Addresses { sandbox, public } = addresses;
    format!(
        r#"# Written by `reconciled sandbox --init`: a daemon beside the sandbox on one desk.
# Paths are relative to this file. Start both:
#   reconciled sandbox --listen {sandbox} --config {FILE}
#   reconciled serve --config {FILE}

[listen]
public = "{public}"
admin_socket = "admin.sock"

[store]
path = "reconciled.redb"

[report]
path = "reports"
time_zone = "Europe/Vienna"
at = "02:30"

# The Wirecard Payment Gateway / Getnet side of the shop.
[merchants.shop-eu]
dialect = "wpg"
base_url = "http://{sandbox}"
time_zone = "Europe/Vienna"
merchant_account_ids = ["9abf05c1-c266-46ae-8eac-7f87ca97af28"]
user = "shop-eu-rest"
password_file = "secrets/shop-eu.password"
secret_file = "secrets/shop-eu.secret"
scheme = "json-signed"
# Signed XML instead, with the key that comes with the sandbox:
#scheme = "xml-dsig"
#pin_files = ["gateway.pub"]

# The Wirecard Checkout / QENTA side of the shop.
[merchants.shop-at]
dialect = "checkout"
base_url = "http://{sandbox}"
time_zone = "Europe/Vienna"
product = "seamless"
customer_id = "D299999"
shop_id = "sandbox"
algorithm = "hmac-sha512"
own_id_parameter = "shopRequestId"
password_file = "secrets/shop-at.password"
secret_file = "secrets/shop-at.secret"
"#
    )
}

/// Waits between re-deliveries at a `checkout` sandbox, as a shop can buy them (fact sheet checkout a.6).
const REDELIVER_AFTER: [SignedDuration; 6] =
    [minutes(1), minutes(5), minutes(15), minutes(60), minutes(240), minutes(1440)];

/// The gateway's side of a configuration: every account of it that has its secrets.
pub fn shops(config: &Config, public: &str) -> Vec<Shop> {
    let urls: BTreeMap<_, _> =
        config.policy.accounts.keys().map(|name| (name, notify_url(config, name, public))).collect();
    let accounts = config.policy.accounts.values().filter_map(|account| {
        let key = config.keys.get(&account.name)?.clone();
        let redeliver_after = match account.dialect() {
            Dialect::Wpg => Vec::new(),
            Dialect::Checkout => REDELIVER_AFTER.to_vec(),
        };
        Some(Shop { account: account.clone(), key, notify_url: urls[&account.name].clone(), redeliver_after })
    });
    accounts.collect()
}

/// Where a daemon of this configuration hears an account's notifications.
pub fn notify_url(config: &Config, merchant: &crate::words::id::MerchantName, public: &str) -> String {
    let route = match config.policy.accounts.get(merchant).map(|account| account.dialect()) {
        Some(Dialect::Checkout) => "confirm",
        Some(Dialect::Wpg) | None => "ipn",
    };
    format!("http://{public}/{route}/{merchant}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::shell::config::{Flags, Surroundings, load};

    #[test]
    fn the_example_is_played_for_wherever_the_sandbox_starts() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = write_example(folder.path()).expect("written");
        let config = load(&config, &Flags::default(), &Surroundings::default()).expect("loads");
        let names: Vec<_> = shops(&config, PUBLIC_ADDRESS).iter().map(|shop| shop.account.name.to_string()).collect();
        assert_eq!(names, ["shop-at", "shop-eu"]);
        assert_eq!(config.listen.public.to_string(), PUBLIC_ADDRESS);
        for gateway in config.gateways.values() {
            assert_eq!(gateway.base_url.as_str(), format!("http://{SANDBOX_ADDRESS}/"));
        }
    }

    #[test]
    fn the_pin_that_init_writes_is_the_key_the_sandbox_signs_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = init(folder.path(), &Addresses::default()).expect("written");
        let text = std::fs::read_to_string(&file).expect("read");
        let text = text.replacen("scheme = \"json-signed\"", "", 1).replace("#scheme", "scheme").replace("#pin", "pin");
        std::fs::write(&file, text).expect("written");
        let config = load(&file, &Flags::default(), &Surroundings::default()).expect("loads");
        let pins = config.keys.values().map(|key| key.pins.clone()).find(|pins| !pins.is_empty()).expect("a pin");
        assert_eq!(pins, vec![signing_key(None).expect("a key").pin()]);
        assert!(signing_key(Some(&file)).is_err_and(|why| why.to_string().contains("holds no PEM")));
    }

    #[test]
    fn what_init_writes_is_a_configuration_that_loads() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("desk");
        let file = init(&dir, &Addresses::default()).expect("written");
        let config = load(&file, &Flags::default(), &Surroundings::default()).expect("loads");
        let shops = shops(&config, PUBLIC_ADDRESS);
        let urls: Vec<_> = shops.iter().map(|shop| shop.notify_url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:8080/confirm/shop-at", "http://127.0.0.1:8080/ipn/shop-eu"]);
        for name in ["shop-eu.password", "shop-at.secret"] {
            let mode = std::fs::metadata(dir.join("secrets").join(name)).expect("exists").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(matches!(init(&dir, &Addresses::default()), Err(NotWritten::File { .. })), "nothing is overwritten");
    }
}
