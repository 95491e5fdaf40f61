//! `sidegate explain`: one request through the real gate, each step printed, nothing forwarded.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::app;
use crate::cli::startup;
use crate::config::settings::Settings;
use crate::gate::Verdict;
use crate::gate::trace::{Step, Steps};
use crate::model::clock::Clock;
use crate::net::client_certificate::ordered;
use crate::net::http::{Head, Peer, PeerCertificate};

/// Options of `sidegate explain`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", env = "SIDEGATE_CONFIG")]
    config: PathBuf,
    /// A header of the request, as in `-H 'Accept: text/html'`; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Basic credential as NAME:PASSWORD; without a password it is read from $SIDEGATE_PASSWORD or standard input
    #[arg(long, short, value_name = "NAME[:PASSWORD]")]
    user: Option<String>,
    /// The listener that the request comes in at, by its name; without it, the first one
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// A client certificate in PEM, leaf first, as if the TLS layer had verified it
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The client's address, as a route's `addresses` see it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: Method,
    /// The request's URL: absolute, or a path (then the host is localhost)
    #[arg(value_name = "URL")]
    url: String,
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    let name = name.trim().parse().map_err(|_| "not a header name")?;
    let mut value: HeaderValue = value.trim().parse().map_err(|_| "not a header value")?;
    value.set_sensitive(name == header::AUTHORIZATION);
    Ok((name, value))
}

/// Exit code 0 when the request would be let in, 1 when it would be refused.
///
/// # Errors
/// A configuration with faults, an authority that can't be set up, a URL that isn't one.
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let settings = startup::settings_from_file(&options.config)?;
    let clock = Clock::system();
    let head = head(&options)?;
    let certificate = match &options.certificate {
        Some(path) => certificate(path)?,
        None => PeerCertificate::Absent,
    };
    let alone = app::GateAlone::set_up(&settings, clock.clone()).await?;
    let address = SocketAddr::new(options.client, 0);
    let peer = Peer {
        address,
        client_ip: address.ip().to_canonical(),
        trusted: false,
        tls: true,
        listener: listener(&options, &settings)?,
        certificate,
    };
    let mut steps = Steps::on();
    let gate = alone.gate();
    let verdict = gate.decide(&head, &peer, clock.now(), &mut steps).await;
    alone.take_back().await;
    print(&options, steps.as_slice(), &verdict);
    Ok(if verdict.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The name of the listener that is asked for, or of the first one.
fn listener(options: &Options, settings: &Settings) -> anyhow::Result<Arc<str>> {
    let mut names = settings
        .listeners
        .iter()
        .map(|listener| listener.name.as_str());
    let Some(wanted) = &options.listener else {
        return Ok(names.next().unwrap_or_default().into());
    };
    if names.clone().any(|name| name == wanted) {
        return Ok(wanted.as_str().into());
    }
    let known: Vec<_> = names.collect();
    bail!(
        "no listener is named {wanted}; there are: {}",
        known.join(", ")
    );
}

/// What the TLS layer would have made of this chain. Whether a listener's CA signed it is not looked at here.
fn certificate(path: &Path) -> anyhow::Result<PeerCertificate> {
    let presented = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("can't read {}", path.display()))?;
    let chain = ordered(&presented)
        .with_context(|| format!("{} holds no chain of certificates", path.display()))?;
    Ok(PeerCertificate::Present(Arc::new(chain)))
}

fn head(options: &Options) -> anyhow::Result<Head> {
    let url: Uri = options
        .url
        .parse()
        .with_context(|| format!("{} is not a URL", options.url))?;
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let host = url
        .authority()
        .map_or("localhost", |authority| authority.as_str());
    let mut request = http::Request::builder()
        .method(options.method.clone())
        .uri(target);
    if !options.headers.iter().any(|(name, _)| name == header::HOST) {
        request = request.header(header::HOST, host);
    }
    for (name, value) in &options.headers {
        request = request.header(name, value);
    }
    if let Some(user) = &options.user {
        if options
            .headers
            .iter()
            .any(|(name, _)| name == header::AUTHORIZATION)
        {
            bail!("--user and an Authorization header are two credentials; give one");
        }
        let pair = match user.contains(':') {
            true => user.clone(),
            false => format!("{user}:{}", password()?),
        };
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    Ok(request.body(())?.into_parts().0)
}

fn password() -> anyhow::Result<String> {
    if let Ok(password) = std::env::var("SIDEGATE_PASSWORD") {
        return Ok(password);
    }
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("can't read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn print(options: &Options, steps: &[Step], verdict: &Verdict) {
    let outcome = match verdict {
        Ok(permit) => json!({"permitted": true, "route": permit.route().name}),
        Err(refusal) => {
            json!({"permitted": false, "reason": refusal.reason(), "detail": refusal.to_string()})
        }
    };
    if options.json {
        let steps: Vec<_> = told(steps)
            .map(|step| json!({"step": step.name, "detail": step.detail}))
            .collect();
        println!("{}", json!({"steps": steps, "verdict": outcome}));
        return;
    }
    for step in told(steps) {
        println!("{:<12} {}", step.name, flat(&step.detail));
    }
    match verdict {
        Ok(permit) => println!(
            "{:<12} permitted by route {}",
            "verdict",
            permit.route().name
        ),
        Err(refusal) => println!(
            "{:<12} refused ({}): {refusal}",
            "verdict",
            refusal.reason()
        ),
    }
}

/// The steps but for the last, which is the verdict and has its own place.
fn told(steps: &[Step]) -> impl Iterator<Item = &Step> {
    steps.iter().filter(|step| step.name != "verdict")
}

/// `{"a": 1, "b": ["x", "y"]}` as `a=1 b=x,y`.
fn flat(detail: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    match detail {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)))
            .collect::<Vec<_>>()
            .join("  "),
        other => text(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_flattened_for_reading() {
        assert_eq!(
            flat(&json!({"route": "orders", "missing": [], "atoms": ["a", "b"]})),
            "route=orders  missing=none  atoms=a, b"
        );
    }

    #[test]
    fn a_header_needs_a_colon_and_a_valid_name() {
        assert!(parse_header("Accept: text/html").is_ok());
        assert!(parse_header("Accept").is_err());
        assert!(parse_header("Acc ept: x").is_err());
    }
}
