//! The command line. `serve` is the daemon; everything else asks the daemon, or reads the store itself
//! where none runs.

mod ask;
mod check;
mod decode;
mod print;
mod source;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::config::{self, Flags, Surroundings};
use super::{daemon, exit, opening};

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
    /// Prove that nothing is forgotten and that the journal and the books agree.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        printing: Printing,
    },
    /// Print the report of a past business day, made again from the journal as it stood then.
    Report {
        #[command(flatten)]
        file: ConfigFile,
        /// Such as 2026-03-01.
        day: String,
        #[arg(long, value_enum, default_value = "text")]
        format: check::ReportFormat,
        /// Only tell whether it is byte for byte what was written.
        #[arg(long)]
        verify: bool,
    },
    /// Make all books again from the journal (the daemon must be stopped).
    Rebuild {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// The reconciled order ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Read one message as it came over the wire and print it as JSON.
    Decode(decode::Decode),
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
        /// Only entries behind this sequence number.
        #[arg(long, default_value_t = 0, value_name = "SEQ")]
        after: u64,
    },
}

#[derive(Subcommand)]
enum Config {
    /// Check the configuration as `serve` would, and open nothing.
    Check {
        #[command(flatten)]
        file: ConfigFile,
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
        Command::Explain { file, id, printing } => ask::explain(&file, &id, printing),
        Command::Open { file, printing } => ask::open(&file, printing),
        Command::Retrieve { file, id, printing } => ask::retrieve(&file, &id, printing),
        Command::Status { file, printing } => ask::status(&file, printing),
        Command::Check { file, printing } => check::check(&file, printing),
        Command::Report { file, day, format, verify } => check::report(&file, &day, format, verify),
        Command::Rebuild { file } => check::rebuild(&file),
        Command::Ledger(Ledger::Export { file, format, after }) => ask::ledger(&file, format, after),
        Command::Config(Config::Check { file }) => {
            let config = config::load(&file.config, &Flags::default(), &Surroundings::of_this_process())?;
            print::config(&config);
            Ok(exit::OK)
        }
        Command::Decode(decode) => decode::run(&decode),
        Command::CheckStore { path, cache_mib } => Ok(opening::check_store(&path, cache_mib)),
    }
}
