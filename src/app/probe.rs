//! `check --online`: asks the authority and the upstreams what no file can tell.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::authority;
use super::probe_sso;
use crate::config::forwards::Conveyed;
use crate::config::settings::{self, Elasticsearch, Embedded, Listener, Settings, Upstream};
use crate::config::sso::{Provider, ProviderKind, Sso};
use crate::elastic::client::Client;
use crate::elastic::error::AskError;
use crate::elastic::metrics::ElasticMetrics;
use crate::model::clock::Clock;
use crate::model::privilege::Atom;
use crate::net::connect::Connector;
use crate::telemetry::metrics::Registry;

/// One thing that was looked at.
#[derive(Debug)]
pub struct Finding {
    /// What: `authority https://es-1:9200`, `upstream shop http://127.0.0.1:3000`.
    pub subject: String,
    /// How it went: a note when fine, the trouble and what to do about it otherwise.
    pub outcome: Result<String, String>,
}

impl Finding {
    /// Whether the configuration can't work like this.
    pub fn is_fault(&self) -> bool {
        self.outcome.is_err()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(note) => write!(f, "ok      {}: {note}", self.subject),
            Err(trouble) => write!(f, "FAULT   {}: {trouble}", self.subject),
        }
    }
}

/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the authority and connects to every address of every upstream, one finding each.
pub async fn probe(settings: &Settings, clock: Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let settings::Authority::Elasticsearch(nodes) = &settings.authority {
        for node in &nodes.nodes {
            // Each node alone, so that a dead one does not hide behind a live one.
            let alone = Elasticsearch {
                nodes: vec![node.clone()],
                ..nodes.clone()
            };
            findings.push(probe_node(&alone, &clock).await);
        }
        findings.extend(probe_own_credential(nodes, &needed(settings), &clock).await);
        if let Some(sso) = &settings.sso
            && let Ok(client) = client(nodes, &clock)
        {
            findings.extend(probe_sso::probe(sso, &client).await);
        }
    }
    if let (settings::Authority::Embedded(embedded), Some(sso)) =
        (&settings.authority, &settings.sso)
    {
        findings.extend(probe_embedded(embedded, sso, &clock).await);
    }
    for upstream in settings.upstreams.values() {
        findings.extend(probe_upstream(upstream).await);
    }
    findings
}

/// Whether the realms of the embedded authority can begin logins: asked of one that is made for it, without the store, which
/// the one that runs may hold.
async fn probe_embedded(embedded: &Embedded, sso: &Sso, clock: &Clock) -> Vec<Finding> {
    let client = async {
        let metrics = ElasticMetrics::register(&Registry::new()?)?;
        authority::trial(embedded, &metrics, clock).await
    };
    match client.await {
        Ok(client) => probe_sso::probe(sso, &client).await,
        Err(error) => vec![Finding {
            subject: "authority.embedded".to_owned(),
            outcome: Err(format!("{error:#}")),
        }],
    }
}

async fn probe_node(node: &Elasticsearch, clock: &Clock) -> Finding {
    let subject = format!(
        "authority {}",
        node.nodes
            .first()
            .map_or_else(String::new, ToString::to_string)
    );
    let outcome = match client(node, clock) {
        Ok(client) => match client.info().await {
            Ok(info) => Ok(format!(
                "Elasticsearch {}, cluster {}",
                info.version.number, info.cluster_name
            )),
            // Without a credential of our own a secured node says no more than that it is there, and no more is needed.
            Err(AskError::OwnCredential { .. }) if node.credential.is_none() => {
                Ok("answers, and asks who we are".to_owned())
            }
            Err(error) => Err(format!("{}; {}", error.in_full(), authority::hint(&error))),
        },
        Err(error) => Err(format!("{error:#}")),
    };
    Finding { subject, outcome }
}

/// A cluster privilege that Sidegate's own credential needs, and what for.
struct Needed {
    privilege: &'static str,
    purpose: String,
}

impl Needed {
    fn new(privilege: &'static str, purpose: &str) -> Self {
        Self {
            privilege,
            purpose: purpose.to_owned(),
        }
    }
}

/// Decisions need none: `monitor` is for reading what the cluster is, the rest for the exchanges that ways in and routes ask
/// for. Each is told once, with the first purpose that it has.
fn needed(settings: &Settings) -> Vec<Needed> {
    let mut needed = vec![Needed::new("monitor", "to see what the cluster is")];
    needed.extend(needed_by_ways_in(settings));
    for route in &settings.routes {
        let Some(combined) = route.forward.combined() else {
            continue;
        };
        let (way, privileges): (&str, &[&'static str]) = match combined.credential {
            Conveyed::Token => ("token", &["manage_token"]),
            Conveyed::ApiKey(_) => ("api_key", &["grant_api_key", "manage_api_key"]),
            Conveyed::Nothing | Conveyed::Client | Conveyed::RunAs => continue,
        };
        for privilege in privileges {
            let purpose = format!("for `forward.{way}` of route {}", route.name);
            needed.push(Needed::new(privilege, &purpose));
        }
    }
    for provider in settings.sso.iter().flat_map(|sso| &sso.providers) {
        for privilege in of_provider(provider) {
            let purpose = format!("for the provider {} of single sign-on", provider.name);
            needed.push(Needed::new(privilege, &purpose));
        }
    }
    let mut told = HashSet::new();
    needed.retain(|needed| told.insert(needed.privilege));
    needed
}

/// Certificates and tickets are exchanged for tokens, which are taken back.
fn needed_by_ways_in(settings: &Settings) -> Vec<Needed> {
    let takes_certificates = |listener: &Listener| {
        let tls = listener.tls.as_ref();
        listener.forwarded_client_certificates.is_some()
            || tls.is_some_and(|tls| tls.client_certificates.is_some())
    };
    let mut needed = Vec::new();
    if let Some(listener) = settings
        .listeners
        .iter()
        .find(|one| takes_certificates(one))
    {
        let name = &listener.name;
        needed.extend([
            Needed::new(
                "delegate_pki",
                &format!("for client certificates of listener {name}"),
            ),
            Needed::new(
                "manage_token",
                &format!("to take back the tokens of client certificates of listener {name}"),
            ),
        ]);
    }
    if settings.credentials.kerberos.is_some() {
        needed.push(Needed::new("manage_token", "for `credentials.kerberos`"));
    }
    needed
}

/// Every session takes `manage_token`, to be renewed and given back, but for those that have no token.
const fn of_provider(provider: &Provider) -> &'static [&'static str] {
    match provider.kind {
        ProviderKind::Saml { .. } => &["manage_saml", "manage_token", "manage_user_profile"],
        ProviderKind::Oidc { .. } => &["manage_oidc", "manage_token", "manage_user_profile"],
        ProviderKind::Password | ProviderKind::Kerberos => &["manage_token", "manage_user_profile"],
        ProviderKind::Pki => &["delegate_pki", "manage_token", "manage_user_profile"],
        ProviderKind::Anonymous(_) => &[],
    }
}

/// What Sidegate itself may do. Checking a client's credential takes none of it: each is asked about with itself.
async fn probe_own_credential(
    nodes: &Elasticsearch,
    needed: &[Needed],
    clock: &Clock,
) -> Option<Finding> {
    let subject = "authority.elasticsearch.credential".to_owned();
    if nodes.credential.is_none() {
        let purposes: Vec<_> = needed
            .iter()
            .skip(1)
            .map(|needed| needed.purpose.as_str())
            .collect();
        // What a cluster is may stay unknown.
        return (!purposes.is_empty()).then(|| Finding {
            subject,
            outcome: Err(format!(
                "there is none, and it is needed {}",
                purposes.join(", ")
            )),
        });
    }
    let atoms: Vec<_> = needed
        .iter()
        .map(|needed| Atom::Cluster {
            privilege: needed.privilege.to_owned(),
        })
        .collect();
    let outcome = match client(nodes, clock) {
        Ok(client) => match client.own_privileges(&atoms).await {
            Ok((username, granted)) => {
                let missing: Vec<_> = needed
                    .iter()
                    .zip(granted)
                    .filter(|(_, granted)| !granted)
                    .map(|(needed, _)| format!("{} ({})", needed.privilege, needed.purpose))
                    .collect();
                if missing.is_empty() {
                    Ok(format!("{username} has what this configuration needs"))
                } else {
                    Err(format!(
                        "{username} lacks the cluster privilege(s) {}",
                        missing.join(", ")
                    ))
                }
            }
            Err(error) => Err(format!("{}; {}", error.in_full(), authority::hint(&error))),
        },
        Err(error) => Err(format!("{error:#}")),
    };
    Some(Finding { subject, outcome })
}

fn client(nodes: &Elasticsearch, clock: &Clock) -> anyhow::Result<Client> {
    let metrics = ElasticMetrics::register(&Registry::new()?)?;
    authority::client_of(nodes, &metrics, clock)
}

async fn probe_upstream(upstream: &Upstream) -> Vec<Finding> {
    let connector = match Connector::new(upstream) {
        Ok(connector) => connector,
        Err(error) => {
            return vec![Finding {
                subject: format!("upstream {}", upstream.name),
                outcome: Err(error.to_string()),
            }];
        }
    };
    let mut findings = Vec::new();
    for url in &upstream.urls {
        let outcome = match tokio::time::timeout(PROBE_TIMEOUT, connector.connect(url)).await {
            Ok(Ok(_connection)) => Ok("accepts connections".to_owned()),
            Ok(Err(error)) => Err(format!("{:#}", anyhow::Error::new(error))),
            Err(_elapsed) => Err(format!(
                "no connection within {} s",
                PROBE_TIMEOUT.as_secs()
            )),
        };
        findings.push(Finding {
            subject: format!("upstream {} {url}", upstream.name),
            outcome,
        });
    }
    findings
}
