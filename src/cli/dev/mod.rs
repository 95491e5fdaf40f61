//! `sidegate dev`: everything on one laptop with one command, no file needed.
//!
//! An embedded authority, a demo application (or the user's own), the proxy with a throwaway certificate, and the admin
//! door; loopback only. It builds a configuration text and runs it exactly as `sidegate run` would.

mod certificates;
mod demo;
mod identity_provider;
mod policy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use crate::app;
use crate::cli::startup;
use crate::config;
use crate::model::clock::{self, Clock};
use crate::model::secret::Secret;
use crate::net::activation::Activation;
use crate::telemetry::log::LogFormat;

/// Options of `sidegate dev`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Your own application instead of the demo, such as http://127.0.0.1:3000
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Keep the authority's store and the certificates in this directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the proxy listens (loopback only; port 0 takes a free one)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    proxy_address: SocketAddr,
    /// Where the admin door listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin_address: SocketAddr,
    /// Where the embedded authority serves Elasticsearch's API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9200")]
    authority_address: SocketAddr,
    /// Where to write the CA certificate that clients must trust
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Let people log in with their browser, at a demo identity provider that starts with it
    #[arg(long)]
    sso: bool,
    /// Print addresses and users as one JSON line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs until it is told to stop.
///
/// # Errors
/// Addresses that are not loopback, ports that are taken, a store that can't be opened.
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    for address in [
        options.proxy_address,
        options.admin_address,
        options.authority_address,
    ] {
        if !address.ip().is_loopback() {
            bail!(
                "{address} is not a loopback address: `sidegate dev` has well-known passwords; use `sidegate run` to serve others"
            );
        }
    }
    let level = startup::start_log(LogFormat::Text)?;
    let clock = Clock::system();
    let directory = Directory::choose(options.data.as_deref())?;
    let certificates = certificates::make(&directory.path, options.ca_file.clone(), clock.now())?;
    let upstream = match &options.upstream {
        Some(url) => url.clone(),
        None => format!(
            "http://{}",
            demo::start()
                .await
                .context("can't start the demo application")?
        ),
    };
    let (proxy, sso) = if options.sso {
        let (proxy, sso) = start_identity_provider(&options, &directory.path, &clock).await?;
        (proxy, Some(sso))
    } else {
        (options.proxy_address, None)
    };
    let text = policy::configuration(&policy::Parts {
        proxy,
        admin: options.admin_address,
        authority: options.authority_address,
        upstream: &upstream,
        data: options.data.as_deref(),
        certificates: &certificates,
        sso: sso.as_ref(),
    });
    let mut settings = startup::settings_from_text(&text, &upstream)?;
    let password = std::env::var("ELASTIC_PASSWORD").unwrap_or_else(|_| "changeme".to_owned());
    let password = Secret::from(password);
    if let config::settings::Authority::Embedded(embedded) = &mut settings.authority {
        embedded.superuser_password = Some(password.clone());
    }

    let reloads = app::Reloads::none()?;
    let app = app::App::start(settings, Activation::none(), clock, level).await?;
    if let Some(authority) = app.embedded_authority() {
        policy::seed(authority, &password).await?;
        if sso.is_some() {
            policy::map_groups(authority, &password).await?;
        }
    }
    announce(&options, &app, &upstream, &certificates.ca, sso.as_ref())?;
    let code = app.run(reloads).await;
    drop(directory);
    Ok(code)
}

/// Starts the demo identity provider. It has to know where people go back to, so the proxy's port is chosen here.
async fn start_identity_provider(
    options: &Options,
    directory: &Path,
    clock: &Clock,
) -> anyhow::Result<(SocketAddr, policy::SingleSignOn)> {
    let mut proxy = options.proxy_address;
    if proxy.port() == 0 {
        proxy = std::net::TcpListener::bind(proxy)?.local_addr()?;
    }
    let public_url = format!("https://{proxy}");
    let client = identity_provider::Client::new(
        policy::callback(&public_url),
        policy::after_logout(&public_url),
    );
    let secret = directory.join("identity-provider.secret");
    certificates::write(&secret, client.secret.expose(), 0o600)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let issuer = identity_provider::start(listener, client, clock.clone())?;
    let sso = policy::SingleSignOn {
        public_url,
        issuer,
        secret,
    };
    Ok((proxy, sso))
}

/// The directory of the certificates: `--data`, or a private one that goes away at the end.
struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    fn choose(data: Option<&Path>) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let (path, temporary) = match data {
            Some(path) => (path.to_owned(), false),
            None => {
                let name = u64::from_le_bytes(clock::random_bytes::<8>());
                (
                    std::env::temp_dir().join(format!("sidegate-dev-{name:016x}")),
                    true,
                )
            }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("can't create {}", path.display()))?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary {
            // Only what this process made lies in there; a left-over directory hurts nobody.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn announce(
    options: &Options,
    app: &app::App,
    upstream: &str,
    ca: &Path,
    sso: Option<&policy::SingleSignOn>,
) -> anyhow::Result<()> {
    let addresses = app.addresses();
    let proxy = addresses.listeners.first();
    let (_, proxy) = proxy.context("there is a listener")?;
    let authority = addresses
        .authority
        .context("the embedded authority is served")?;
    let (proxy, admin, authority) = (
        format!("https://{proxy}"),
        format!("http://{}", addresses.admin),
        format!("http://{authority}"),
    );
    let superuser = if std::env::var_os("ELASTIC_PASSWORD").is_some() {
        "$ELASTIC_PASSWORD"
    } else {
        "changeme"
    };
    if options.json {
        let users: Vec<_> = policy::USERS
            .iter()
            .map(|(name, password, _)| json!({"username": name, "password": password}))
            .collect();
        let mut line = json!({"proxy": proxy, "admin": admin, "authority": authority, "upstream": upstream, "ca": ca, "users": users});
        if let Some(sso) = sso {
            line["identity_provider"] = json!(sso.issuer);
        }
        println!("{line}");
        return Ok(());
    }
    println!("sidegate dev: everything runs on this machine; stop with Ctrl-C\n");
    println!("  proxy      {proxy}");
    println!("  admin      {admin}");
    println!("  authority  {authority}");
    println!(
        "  upstream   {upstream}{}",
        if options.upstream.is_none() {
            "  (demo application)"
        } else {
            ""
        }
    );
    if let Some(sso) = sso {
        println!(
            "  identity   {}  (demo identity provider, for development only)",
            sso.issuer
        );
    }
    println!("  CA         {}\n", ca.display());
    println!("  who can log in");
    for (name, password, what) in policy::USERS {
        println!("    {name:<8} {password:<16} {what}");
    }
    println!("    {:<8} {superuser:<16} superuser\n", "elastic");
    if sso.is_some() {
        println!("  who can log in with a browser, by a click on their name");
        for person in &identity_provider::people::PEOPLE {
            println!("    {:<8} {}", person.name, person.about);
        }
        println!("\n  open {proxy}/orders in a browser\n");
    }
    println!("  try it");
    let ca = ca.display();
    println!("    curl --cacert {ca} -u alice:alice-password {proxy}/orders   # 200");
    println!("    curl --cacert {ca} {proxy}/orders                           # 401");
    println!("    curl --cacert {ca} -u bob:bob-password {proxy}/orders       # 403");
    println!("    curl {admin}/metrics\n");
    Ok(())
}
