use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(reconciled::shell::cli::run(std::env::args_os()))
}
