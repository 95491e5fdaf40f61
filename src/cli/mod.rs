//! The command line: arguments to one function per subcommand, results to text and an exit code.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 the command failed or found
//! faults, 2 the arguments are wrong (clap).

mod check;
mod dev;
mod explain;
mod health;
mod run;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app;
use crate::config::check::{self as checking, Checked};
use crate::config::fault::Faults;
use crate::config::references::Machine;
use crate::config::settings::Settings;
use crate::config::{reference, schema};
use crate::telemetry::log::{self, LogFormat, LogLevel};

/// A sidecar that lets in only what Elasticsearch security allows.
#[derive(Parser, Debug)]
#[command(name = "sidegate", version = app::build::version(), propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run everything on this machine with one command: authority, demo application, proxy
    Dev(dev::Options),
    /// Run the gate from a configuration file
    Run(run::Options),
    /// Check a configuration file and report every fault at once
    Check(check::Options),
    /// Send a request through the gate and print each step of the decision
    Explain(explain::Options),
    /// Print the JSON Schema of the configuration
    Schema {
        /// Print the reference as Markdown instead
        #[arg(long)]
        markdown: bool,
    },
    /// Print a completion script
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Ask a running Sidegate whether it is ready (for container health checks)
    Health(health::Options),
}

/// Parses the process's arguments and runs the command.
#[expect(clippy::print_stderr, reason = "a failed command says why")]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments.command) {
        Ok(code) => code,
        // A reader that went away (`| head`) is no failure of ours.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    // The provider is process-wide state of rustls; every client and server configuration below relies on it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Dev(options) => block_on(dev::run(options)),
        Command::Run(options) => block_on(run::run(options)),
        Command::Check(options) => block_on(check::run(options)),
        Command::Explain(options) => block_on(explain::run(options)),
        Command::Schema { markdown } => {
            let text = if markdown {
                reference::markdown()
            } else {
                schema::schema_text()
            };
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "sidegate",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Health(options) => block_on(health::run(options)),
    }
}

/// The control runtime: signals, reloads, the admin door. Requests run on the workers' own runtimes.
fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(command)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Reads and checks a configuration file; warnings go to standard error.
///
/// # Errors
/// Every fault at once, as one text.
fn settings_from_file(path: &Path) -> anyhow::Result<Settings> {
    settled(checking::load(path, &Machine), &path.display().to_string())
}

/// The same for a text that is not a file's; `name` says whose it is.
fn settings_from_text(text: &str, name: &str) -> anyhow::Result<Settings> {
    settled(checking::check(text, &Machine), name)
}

#[expect(clippy::print_stderr, reason = "warnings are for the operator's eyes")]
fn settled(checked: Result<Checked, Faults>, name: &str) -> anyhow::Result<Settings> {
    match checked {
        Ok(Checked { settings, warnings }) => {
            for warning in warnings {
                eprintln!("warning: {name}: {warning}");
            }
            Ok(settings)
        }
        Err(faults) => bail!("{name} can't be used\n\n{faults}"),
    }
}

/// Starts the process's log.
fn start_log(format: LogFormat) -> anyhow::Result<LogLevel> {
    Ok(log::start(format, "info")?)
}
