//! `sidegate run`: the gate from a configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::app;
use crate::cli::startup;
use crate::model::clock::Clock;
use crate::net::activation::Activation;
use crate::telemetry::log::LogFormat;

/// Options of `sidegate run`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", env = "SIDEGATE_CONFIG")]
    config: PathBuf,
    /// Write the bound addresses to this file, as one JSON line, once everything listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Form of the program's own log on standard error (its level: $SIDEGATE_LOG)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

/// Forms of the program's own log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Readable lines
    Text,
    /// One JSON object per line
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

/// Runs until it is told to stop.
///
/// # Errors
/// A configuration with faults, a port that is taken, an authority's store that can't be opened.
pub(super) async fn run(options: Options, activation: Activation) -> anyhow::Result<ExitCode> {
    let level = startup::start_log(options.log_format.into())?;
    let reloads = app::Reloads::of(options.config.clone())?;
    let settings = startup::settings_from_file(&options.config)?;
    let app = app::App::start(settings, activation, Clock::system(), level).await?;
    if let Some(path) = &options.ready_file {
        write_ready_file(path, app.addresses())?;
    }
    Ok(app.run(reloads).await)
}

fn write_ready_file(path: &std::path::Path, addresses: &app::Addresses) -> anyhow::Result<()> {
    let listeners: Vec<_> = addresses
        .listeners
        .iter()
        .map(|(name, address)| json!({"name": name, "address": address.to_string()}))
        .collect();
    let line =
        json!({"listeners": listeners, "admin": addresses.admin, "authority": addresses.authority});
    startup::write_ready_file(path, &line)
}
