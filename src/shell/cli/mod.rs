//! The command line. `serve` is the daemon; everything else asks the daemon, or reads the store itself
//! where none runs.

pub(super) mod ask;
mod check;
mod columns;
mod decode;
mod import;
mod pages;
pub(super) mod print;
mod relay;
mod screen;
mod settings;
pub(super) mod source;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::clock::Clock;
use super::config::{self, Flags, Surroundings};
use super::{bench, daemon, demo, exit, opening, operate, sandbox};

#[derive(Parser)]
#[command(name = "reconciled", version, about, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is.
#[derive(Args, Clone)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long, env = "RECONCILED_CONFIG", default_value = "/etc/reconciled/reconciled.toml", value_name = "FILE")]
    pub config: PathBuf,
}

/// How to print.
#[derive(Args, Clone, Copy)]
pub struct Printing {
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Serve {
        #[command(flatten)]
        file: ConfigFile,
        /// Write the bound addresses here once ready.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
        /// Listen here for notifications, over what the configuration says.
        #[arg(long, value_name = "ADDR")]
        public: Option<String>,
        /// The admin socket, over what the configuration says.
        #[arg(long, value_name = "PATH")]
        admin_socket: Option<String>,
        /// The store's file, over what the configuration says.
        #[arg(long, value_name = "PATH")]
        store: Option<String>,
    },
    /// Submit one payment request: the JSON of POST /v1/submissions, from FILE or stdin.
    Submit {
        #[command(flatten)]
        file: ConfigFile,
        #[arg(default_value = "-", value_name = "FILE")]
        input: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Take a shop's order list: CSV or JSON Lines, resumable; rows that can't be taken are named and skipped.
    Import(import::Import),
    /// Tell everything known of an order, request-id or transaction-id, and why.
    Explain {
        #[command(flatten)]
        file: ConfigFile,
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// List what is not settled, oldest first, with the next look and its reason.
    Open {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        printing: Printing,
    },
    /// Ask the gateway now about an order, request-id or transaction-id.
    Retrieve {
        #[command(flatten)]
        file: ConfigFile,
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Tell how the daemon is.
    Status {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        printing: Printing,
    },
    /// List the alerts that fire, oldest first.
    Alerts {
        #[command(flatten)]
        file: ConfigFile,
        /// Those that are over too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        printing: Printing,
    },
    /// Prove that nothing is forgotten and that the journal and the books agree.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        printing: Printing,
    },
    /// Print the report of a business day, made again from the journal as it stood when it was written;
    /// of a day whose report is not written yet, as of now.
    Report {
        #[command(flatten)]
        file: ConfigFile,
        /// Such as 2026-03-01.
        day: String,
        #[arg(long, value_enum, default_value = "text")]
        format: check::ReportFormat,
        /// The same as --format json.
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// Only tell whether it is byte for byte what was written.
        #[arg(long)]
        verify: bool,
    },
    /// Make all books again from the journal (the daemon must be stopped).
    Rebuild {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        printing: Printing,
    },
    /// Messages that wait to be passed on to a shop's own listener.
    #[command(subcommand)]
    Relay(relay::Relay),
    /// Move money (capture, void, refund …): off unless `[operations] enabled = true`.
    #[command(subcommand)]
    Operate(operate::args::Operate),
    /// The reconciled order ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Read one message as it came over the wire and print it as JSON.
    Decode(decode::Decode),
    /// Play a shop's day against a simulated gateway, with a real daemon that is killed on the way.
    Demo {
        /// Fixes the scene, its faults and the table at the end.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Keep the files here (an empty folder) instead of in a temporary one.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Be a simulated gateway for a configuration's merchant accounts.
    Sandbox {
        /// Where the gateway listens.
        #[arg(long, default_value = sandbox::init::SANDBOX_ADDRESS, value_name = "ADDR")]
        listen: SocketAddr,
        /// The daemon's configuration, whose accounts and secrets it takes over [default: reconciled.toml or
        /// config/reconciled.toml here, else the accounts of the example that comes with the program].
        #[arg(long, env = "RECONCILED_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where notifications go [default: where the configuration says the daemon listens].
        #[arg(long, value_name = "HOST:PORT")]
        notify: Option<String>,
        /// Fixes ids and numbers.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// What XML notifications are signed with: RSA, PEM, PKCS #8 [default: a key that comes with the program].
        #[arg(long, value_name = "FILE")]
        signing_key: Option<PathBuf>,
        /// Write a working configuration with fresh secrets into DIR, and end.
        #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "notify", "seed", "signing_key"])]
        init: Option<PathBuf>,
    },
    /// Measure speed and memory, each figure beside its ceiling in the same run.
    Bench {
        /// Measure only this.
        #[arg(long, value_enum, value_name = "NAME")]
        only: Option<bench::Part>,
        /// Fewer rounds and smaller stores: about a minute.
        #[arg(long)]
        quick: bool,
        /// Make the stores here: the file system under it is measured [default: the system's temporary folder].
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        printing: Printing,
    },
    /// Check a store's file (started by `serve`, which holds its lock).
    #[command(hide = true)]
    CheckStore {
        path: PathBuf,
        #[arg(long, default_value_t = 64)]
        cache_mib: usize,
    },
}

#[derive(Subcommand)]
enum Ledger {
    /// Write all entries, oldest first.
    Export {
        #[command(flatten)]
        file: ConfigFile,
        #[arg(long, value_enum, default_value = "csv")]
        format: print::LedgerFormat,
        /// The same as --format jsonl.
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// Only entries behind this sequence number.
        #[arg(long, default_value_t = 0, value_name = "SEQ")]
        after: u64,
    },
}

#[derive(Subcommand)]
enum Config {
    /// Check the configuration as `serve` would, tell what was understood, and open nothing.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        printing: Printing,
    },
}

/// A command that did not do what it was asked: one line for people, and the process's code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }
}

impl From<config::Problem> for Failure {
    fn from(problem: config::Problem) -> Failure {
        Failure::new(exit::CONFIG, problem.to_string())
    }
}

/// Runs one command line; returns the process's exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::OK };
        }
    };
    match command(cli.command) {
        Ok(code) => code,
        Err(Failure { code, message }) => {
            eprintln!("{message}");
            code
        }
    }
}

fn command(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Serve { file, ready_file, public, admin_socket, store } => {
            let flags = Flags { public, admin_socket, store_path: store };
            Ok(daemon::serve(&daemon::Options { config: file.config, ready_file, flags }))
        }
        Command::Submit { file, input, printing } => ask::submit(&file, &input, printing),
        Command::Import(import) => import::run(&import),
        Command::Explain { file, id, printing } => ask::explain(&file, &id, printing),
        Command::Open { file, printing } => ask::open(&file, printing),
        Command::Retrieve { file, id, printing } => ask::retrieve(&file, &id, printing),
        Command::Status { file, printing } => ask::status(&file, printing),
        Command::Alerts { file, all, printing } => ask::alerts(&file, all, printing),
        Command::Check { file, printing } => check::check(&file, printing),
        Command::Report { file, day, format, json, verify } => {
            let format = if json { check::ReportFormat::Json } else { format };
            check::report(&file, &day, format, verify)
        }
        Command::Rebuild { file, printing } => check::rebuild(&file, printing),
        Command::Relay(command) => relay::run(command),
        Command::Ledger(Ledger::Export { file, format, json, after }) => {
            ask::ledger(&file, if json { print::LedgerFormat::Jsonl } else { format }, after)
        }
        Command::Config(Config::Check { file, printing }) => {
            let config = config::load(&file.config, &Flags::default(), &Surroundings::of_this_process())?;
            let now = Clock::new().now().wall;
            if printing.json {
                print::json(&settings::json(&config, now));
            } else {
                settings::text(&config, now);
            }
            Ok(exit::OK)
        }
        Command::Operate(operate) => operate::run(&operate),
        Command::Decode(decode) => decode::run(&decode),
        Command::Demo { seed, keep } => {
            let agrees = waited(demo::command::demo(seed, keep))?;
            Ok(if agrees { exit::OK } else { exit::NO })
        }
        Command::Sandbox { listen, init: Some(dir), .. } => {
            let addresses =
                sandbox::init::Addresses { sandbox: listen.to_string(), ..sandbox::init::Addresses::default() };
            sandbox::command::write_configuration(&dir, &addresses).map_err(unplayable)?;
            Ok(exit::OK)
        }
        Command::Sandbox { listen, config, notify, seed, signing_key, init: None } => {
            waited(sandbox::command::run(&sandbox::command::Options { listen, config, notify, seed, signing_key }))?;
            Ok(exit::OK)
        }
        Command::Bench { only, quick, dir, printing } => {
            Ok(bench::run(&bench::Options { only, quick, json: printing.json, dir }))
        }
        Command::CheckStore { path, cache_mib } => Ok(opening::check_store(&path, cache_mib)),
    }
}

/// Runs what waits for sockets and timers.
fn waited<T>(what: impl Future<Output = anyhow::Result<T>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(what)).map_err(unplayable)
}

fn unplayable(why: anyhow::Error) -> Failure {
    Failure::new(exit::FAULT, format!("{why:#}"))
}
