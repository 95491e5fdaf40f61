//! The command line: arguments to one function per subcommand, results to text and an exit code.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 the command failed or found
//! faults, 2 the arguments are wrong (clap).

mod authority;
mod check;
mod dev;
mod explain;
mod health;
mod run;
mod startup;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app;
use crate::config::{reference, schema};
use crate::net::activation::Activation;

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
    /// Run the embedded authority alone, or copy its store
    Authority(authority::Options),
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
        Command::Run(options) => {
            // Here, while there is one thread: what was passed is told by the environment.
            let activation = Activation::from_environment();
            block_on(run::run(options, activation))
        }
        Command::Authority(options) => block_on(authority::run(options)),
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
