//! `sidegate authority`: the embedded authority alone, and its store: backup and restore.

mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::Reloads;
use crate::app::alone::Alone;
use crate::cli::run::Format;
use crate::cli::startup;
use crate::config::settings::Embedded;
use crate::config::settings_authority::AuthorityAlone;
use crate::model::clock::Clock;
use crate::model::secret::Secret;

/// Elasticsearch's own port, on loopback.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9200);
/// As long as Elasticsearch's clients keep a request waiting at most.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(30);
/// The superuser's first password, and the file that holds it, as Elasticsearch's container image takes them.
const PASSWORD: &str = "ELASTIC_PASSWORD";
const PASSWORD_FILE: &str = "ELASTIC_PASSWORD_FILE";

/// Options of `sidegate authority`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Directory of the store, made if absent; without it everything is gone at the end
    #[arg(
        long,
        value_name = "DIR",
        env = "SIDEGATE_AUTHORITY_DATA",
        global = true
    )]
    data: Option<PathBuf>,
    /// Address to serve at (port 0 takes a free one) [default: 127.0.0.1:9200]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// A file with the section `authority`, for TLS, audit log and realms; options win over it
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the address as one JSON line instead of text
    #[arg(long)]
    json: bool,
    /// Write the address to this file, as one JSON line, once it listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Form of the program's own log on standard error (its level: $SIDEGATE_LOG)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Copy the store to a file, while it is in use or not
    Backup {
        /// Where to write the copy; replaced when it is there
        file: PathBuf,
    },
    /// Put a copy into a directory that has no store
    Restore {
        /// A file written by `backup`
        file: PathBuf,
    },
}

/// Serves until it is told to stop, or does what the subcommand says.
///
/// # Errors
/// A file with faults, a port that is taken, a store that can't be opened, copied or replaced.
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = settings(&options)?;
    match &options.command {
        Some(command) => {
            let Some(data) = settings.embedded.data else {
                bail!("where is the store? Name its directory with --data");
            };
            match command {
                Command::Backup { file } => store::backup(&data, file)?,
                Command::Restore { file } => store::restore(file, &data)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        None => serve(options, settings).await,
    }
}

async fn serve(options: Options, mut settings: AuthorityAlone) -> anyhow::Result<ExitCode> {
    let _level = startup::start_log(options.log_format.into())?;
    let reloads = Reloads::none()?;
    if let Some(password) = first_password()? {
        settings.embedded.superuser_password = Some(password);
    }
    let address = settings.embedded.address.unwrap_or(DEFAULT);
    if settings.embedded.tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "plain HTTP: credentials can be read on the way");
    }
    let alone = Alone::start(settings, address, Clock::system()).await?;
    announce(&options, &alone.url())?;
    Ok(alone.run(reloads).await)
}

/// What the file says, then what the options say.
fn settings(options: &Options) -> anyhow::Result<AuthorityAlone> {
    let mut settings = match &options.config {
        Some(path) => startup::authority_from_file(path)?,
        None => AuthorityAlone {
            embedded: Embedded::default(),
            drain_timeout: DRAIN,
            workers: None,
        },
    };
    if let Some(data) = &options.data {
        settings.embedded.data = Some(data.clone());
    }
    if let Some(address) = options.listen {
        settings.embedded.address = Some(address);
    }
    Ok(settings)
}

/// From the environment. An empty variable counts as absent, since compose files pass those on.
fn first_password() -> anyhow::Result<Option<Secret>> {
    let given = std::env::var_os(PASSWORD).filter(|value| !value.is_empty());
    let file = std::env::var_os(PASSWORD_FILE).filter(|value| !value.is_empty());
    match (given, file) {
        (Some(_), Some(_)) => bail!("{PASSWORD} and {PASSWORD_FILE} are both set; one is enough"),
        (Some(password), None) => {
            let password = password
                .into_string()
                .map_err(|_| anyhow::anyhow!("{PASSWORD} is not UTF-8"))?;
            Ok(Some(Secret::from(password)))
        }
        (None, Some(path)) => {
            let bytes = zeroize::Zeroizing::new(
                std::fs::read(&path).with_context(|| format!("{PASSWORD_FILE} can't be read"))?,
            );
            // Editors end files with a line break that is no part of the password.
            let password = bytes.trim_ascii_end();
            if password.is_empty() {
                bail!("{PASSWORD_FILE} is empty");
            }
            Ok(Some(Secret::new(password)))
        }
        (None, None) => Ok(None),
    }
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn announce(options: &Options, url: &str) -> anyhow::Result<()> {
    let line = json!({"authority": url});
    if let Some(path) = &options.ready_file {
        startup::write_ready_file(path, &line)?;
    }
    if options.json {
        println!("{line}");
    } else {
        println!("sidegate authority: {url}");
    }
    Ok(())
}
