//! `reconciled sandbox`: the command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Sandbox, bind, init};
use crate::sandbox::Gateway;
use crate::shell::clock::Clock;
use crate::shell::config::{self, Flags, Surroundings};

/// Where a configuration is looked for when none is named.
const USUAL_FILES: [&str; 2] = [init::FILE, "config/reconciled.toml"];

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the gateway listens; by default where the configuration's `base_url`s point on this machine.
    pub listen: SocketAddr,
    /// The daemon's configuration, whose accounts and secrets the sandbox takes over.
    pub config: Option<PathBuf>,
    /// Where notifications go, `host:port`; by default the configuration's own public listener.
    pub notify: Option<String>,
    pub seed: u64,
    /// What XML is signed with; by default the key that comes with the program.
    pub signing_key: Option<PathBuf>,
}

/// Writes a new configuration and says how to go on.
pub fn write_configuration(dir: &Path, addresses: &init::Addresses) -> anyhow::Result<()> {
    let file = init::init(dir, addresses)?;
    println!("wrote {}", file.display());
    println!("start both, each in a terminal of its own:");
    println!("  reconciled sandbox --listen {} --config {}", addresses.sandbox, file.display());
    println!("  reconciled serve --config {}", file.display());
    Ok(())
}

/// Runs the sandbox until it is told to stop.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let example = tempfile::tempdir().context("can't make a temporary folder")?;
    let file = match options.config.clone().or_else(usual_file) {
        Some(file) => file,
        None => {
            println!("no configuration here: playing for the example that comes with the program");
            init::write_example(example.path())?
        }
    };
    let config = config::load(&file, &Flags::default(), &Surroundings::of_this_process())
        .map_err(|problem| anyhow::anyhow!("{problem}"))?;
    drop(example);
    let notify = options.notify.clone().unwrap_or_else(|| config.listen.public.to_string());
    let shops = init::shops(&config, &notify);
    anyhow::ensure!(!shops.is_empty(), "`{}` has no merchant account with a secret_file", file.display());
    let (listener, address) =
        bind(options.listen).await.with_context(|| format!("can't listen on {}", options.listen))?;
    println!("the sandbox gateway listens on http://{address}");
    for shop in &shops {
        println!("  {:<9} {:<20} notifies {}", shop.account.dialect().name(), shop.account.name, shop.notify_url);
    }
    for (name, gateway) in &config.gateways {
        if gateway.base_url.port_or_known_default() != Some(address.port()) {
            println!("  note: base_url of {name} is {}, and this sandbox is elsewhere", gateway.base_url);
        }
    }
    println!("pay as at the gateway, or make a payment: POST http://{address}/control/payments (docs/sandbox.md)");
    let mut gateway = Gateway::new(options.seed, shops);
    gateway.sign_with(Arc::new(init::signing_key(options.signing_key.as_deref())?));
    let sandbox = Sandbox::new(gateway, Clock::new());
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = sandbox.run(listener, stop.clone());
    tokio::select! {
        _ = terminate.recv() => stop.cancel(),
        _ = interrupt.recv() => stop.cancel(),
        () = running => {}
    }
    Ok(())
}

fn usual_file() -> Option<PathBuf> {
    USUAL_FILES.iter().map(PathBuf::from).find(|file| file.is_file())
}
