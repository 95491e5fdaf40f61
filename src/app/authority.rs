//! Who is asked: a client for the configured authority, and the embedded one when that is what was configured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::running::Running;

use crate::authority::audit::Audit;
use crate::authority::audit::event::Events;
use crate::authority::certificates::{self, Certificate, InUse};
use crate::authority::{Authority, Options};
use crate::config::settings;
use crate::elastic::client::Client;
use crate::elastic::error::AskError;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::model::clock::Clock;
use crate::net::tls::ServerTls;
use crate::telemetry::audit::AuditLog;

/// How long one ask of the embedded authority may take: hashing a password under load is the slow part.
const EMBEDDED_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an authority that didn't answer is asked for a sign of life.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The authority as the gate needs it.
pub(super) struct Asked {
    /// Asks it.
    pub(super) client: Client,
    /// It, when it lives in this process.
    pub(super) embedded: Option<Embedded>,
}

/// The embedded authority, and what the rest of the program keeps up to date about it.
#[derive(Clone)]
pub(super) struct Embedded {
    /// It.
    pub(super) authority: Authority,
    /// Its audit log.
    pub(super) audit: Option<AuditLog>,
    /// The certificates it tells of.
    pub(super) certificates: InUse,
}

/// An open authority with what must be told to it later.
pub(super) struct Opened {
    /// It.
    pub(super) authority: Authority,
    /// Its audit log, to be reopened when files are rotated.
    pub(super) audit: Option<AuditLog>,
}

/// Sets up the client; opens the store of an embedded authority, connects to no node yet.
///
/// # Errors
/// A store that can't be opened, a CA file that can't be read.
pub(super) async fn set_up(
    settings: &settings::Authority,
    metrics: &ElasticMetrics,
    clock: &Clock,
) -> anyhow::Result<Asked> {
    match settings {
        settings::Authority::Embedded(embedded) => {
            let certificates = InUse::default();
            let Opened { authority, audit } =
                open(embedded, certificates.clone(), clock.clone()).await?;
            Ok(Asked {
                client: client_within(&authority, metrics, clock),
                embedded: Some(Embedded {
                    authority,
                    audit,
                    certificates,
                }),
            })
        }
        settings::Authority::Elasticsearch(nodes) => Ok(Asked {
            client: client_of(nodes, metrics, clock)?,
            embedded: None,
        }),
    }
}

/// A client for an authority in this process.
fn client_within(authority: &Authority, metrics: &ElasticMetrics, clock: &Clock) -> Client {
    Client::new(
        Transport::embedded(authority.clone()),
        EMBEDDED_TIMEOUT,
        Some(settings::OwnCredential::Bearer(
            authority.own_token().clone(),
        )),
        metrics.clone(),
        clock.clone(),
    )
}

/// A client for an authority with the same realms, and nothing in it: neither store nor audit log is touched.
///
/// # Errors
/// Realms that can't be set up.
pub(super) async fn trial(
    settings: &settings::Embedded,
    metrics: &ElasticMetrics,
    clock: &Clock,
) -> anyhow::Result<Client> {
    let options = Options {
        realms: settings.realms.clone(),
        ..Options::default()
    };
    let authority = Authority::open(options, clock.clone())
        .await
        .context("authority.embedded")?;
    Ok(client_within(&authority, metrics, clock))
}

/// A client for Elasticsearch nodes.
///
/// # Errors
/// A CA file that can't be read.
pub(super) fn client_of(
    nodes: &settings::Elasticsearch,
    metrics: &ElasticMetrics,
    clock: &Clock,
) -> anyhow::Result<Client> {
    let transport =
        Transport::nodes(nodes, metrics, clock.clone()).context("authority.elasticsearch")?;
    Ok(Client::new(
        transport,
        nodes.timeout,
        nodes.credential.clone(),
        metrics.clone(),
        clock.clone(),
    ))
}

/// Opens the store and the audit log, and shows a password that was made up.
///
/// # Errors
/// A store or a log that can't be opened.
pub(super) async fn open(
    settings: &settings::Embedded,
    certificates: InUse,
    clock: Clock,
) -> anyhow::Result<Opened> {
    let log = match &settings.audit {
        Some(audit) => Some(AuditLog::start(&audit.target).context("authority.embedded.audit")?),
        None => None,
    };
    let audit = match (&log, &settings.audit) {
        (Some(log), Some(audit)) => {
            Audit::to(log.clone(), Events::named(audit.events.iter().copied()))
        }
        _ => Audit::off(),
    };
    let options = Options {
        data: settings.data.clone(),
        superuser_password: settings.superuser_password.clone(),
        realms: settings.realms.clone(),
        anonymous: settings.anonymous.clone(),
        failed_logins: settings.failed_logins,
        token_timeout: settings.token_timeout,
        audit,
        certificates,
        // The length of what is compressed shows through TLS.
        compress: settings.tls.is_none(),
        ..Options::default()
    };
    let authority = Authority::open(options, clock)
        .await
        .context("authority.embedded")?;
    if let Some(password) = authority
        .generated_password()
        .and_then(|password| password.expose_str())
    {
        announce_password(password);
    }
    Ok(Opened {
        authority,
        audit: log,
    })
}

/// The certificates of these listeners, as the authority tells them.
pub(super) fn in_use<'t>(served: impl IntoIterator<Item = &'t ServerTls>) -> Vec<Certificate> {
    served
        .into_iter()
        .flat_map(ServerTls::chains)
        .flat_map(|(path, chain)| certificates::describe(Path::new(&path), &chain, true))
        .collect()
}

/// Once, on standard error and not through the log, which may be kept: nobody could log in otherwise.
#[expect(
    clippy::print_stderr,
    reason = "the generated password is shown once, to the terminal only"
)]
fn announce_password(password: &str) {
    eprintln!(
        "the superuser `elastic` got this password (shown once; change it with _security/user/elastic/_password): {password}"
    );
}

/// Asks for a sign of life at once and then whenever the last ask failed, so that readiness comes back by itself. The first
/// answer, and every change, is one line of log that says what to do.
pub(super) async fn watch(running: Arc<Running>) {
    let mut last: Option<bool> = None;
    loop {
        let client = running.client();
        if !client.is_reachable() {
            let answer = client.probe().await;
            if last != Some(answer.is_ok()) {
                diagnose(&answer);
            }
            last = Some(answer.is_ok());
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

fn diagnose(answer: &Result<(), AskError>) {
    match answer {
        Ok(()) => tracing::info!("the authority answers"),
        Err(error) => {
            tracing::warn!(node = error.node(), cause = error.cause(), error = %error.in_full(), hint = hint(error),
                "the authority does not answer: requests that need it are refused with 503");
        }
    }
}

/// What an operator should look at first.
pub(super) const fn hint(error: &AskError) -> &'static str {
    match error {
        AskError::Connect { .. } => {
            "check authority.elasticsearch.nodes, the network, and the `ca` if the nodes speak TLS"
        }
        AskError::Timeout { .. } => {
            "check that the node is up and that no firewall drops the connection"
        }
        AskError::NotElasticsearch { .. } => {
            "something else listens there, or a proxy removes the header X-elastic-product"
        }
        AskError::OwnCredential { .. } | AskError::Refused { .. } => {
            "check authority.elasticsearch.credential"
        }
        AskError::Keys { .. } => "check credentials.jwt.issuers and the way to their keys",
        AskError::Overloaded { .. } => "the cluster sheds load; it may recover by itself",
        AskError::Status { .. } => {
            "is security enabled on the cluster, and is the URL's path right?"
        }
        AskError::Garbage { .. } => {
            "is there a proxy between Sidegate and the cluster that changes answers?"
        }
    }
}
