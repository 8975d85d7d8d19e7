//! Logs to stderr: one event per line, readable alone. Never a body, a secret, a name.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::config::Log;

/// Libraries that log what they carry: requests with their headers, names that are resolved.
const SILENT: [&str; 5] = ["hyper=off", "hyper_util=off", "reqwest=off", "rustls=off", "tokio_cron_scheduler=off"];

/// Installs the log. A second call, as tests make, changes nothing.
pub fn install(log: &Log) {
    let mut filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    for directive in SILENT {
        filter = filter.add_directive(directive.parse().expect("each is a plain target and level"));
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let _ = if log.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}
