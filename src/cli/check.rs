//! `sidegate check`: every fault of a configuration at once; with `--online` also what can only be learned by asking.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::app;
use crate::cli::startup;
use crate::config::settings::Settings;
use crate::config::sso::{Provider, Sso};
use crate::model::clock::Clock;
use crate::sso::pages::Pages;
use crate::sso::paths;

/// Options of `sidegate check`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", env = "SIDEGATE_CONFIG")]
    config: PathBuf,
    /// Also ask the authority and the upstreams
    #[arg(long)]
    online: bool,
}

/// Exit code 0 when nothing is wrong, 1 otherwise; warnings alone are not wrong.
///
/// # Errors
/// When the file has faults (they are printed whole) or the online probe can't be set up.
#[expect(clippy::print_stdout, reason = "this is the command's output")]
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = startup::settings_from_file(&options.config)?;
    try_pages(&settings, &options)?;
    let mut code = ExitCode::SUCCESS;
    for (provider, what, uri) in uris(&settings) {
        println!("sso     {provider}: {what}: {uri}");
    }
    if options.online {
        for finding in app::probe::probe(&settings, Clock::system()).await {
            println!("{finding}");
            if finding.is_fault() {
                code = ExitCode::FAILURE;
            }
        }
    }
    if code == ExitCode::SUCCESS {
        println!("{} is fine", options.config.display());
    }
    Ok(code)
}

/// Fills every page with samples, in every language: the operator's templates and texts may ask for what there is not.
///
/// # Errors
/// Every fault, as one text.
fn try_pages(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    match settings.sso.as_ref().map(Pages::new) {
        Some(Err(faults)) => bail!("{} can't be used\n\n{faults}", options.config.display()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// What has to be entered at the identity providers and in the authority's realms, letter by letter.
fn uris(settings: &Settings) -> Vec<(&str, &'static str, String)> {
    let of = |sso: &'_ Sso, provider: &'_ Provider| paths::uris(sso, provider);
    settings
        .sso
        .iter()
        .flat_map(|sso| sso.providers.iter().map(move |provider| (sso, provider)))
        .flat_map(|(sso, provider)| {
            let uris = of(sso, provider).into_iter();
            uris.map(|(what, uri)| (provider.name.as_str(), what, uri))
        })
        .collect()
}
