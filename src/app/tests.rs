//! What is made of parts of several floors, and so can only be tested here: clocks that disagree.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::{Map, json};

use super::authority;
use crate::authority::certificates::InUse;
use crate::config::forwards::{ApiKeyGrant, Combined, Conveyed};
use crate::config::settings::{self, Access, Forward, OwnCredential, Template, TemplatePart};
use crate::elastic::authorization::Asker;
use crate::elastic::client::Client;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::forwarding::Forwarding;
use crate::forwarding::exchange::{Exchanger, Workshop};
use crate::forwarding::failure::AttachError;
use crate::forwarding::fixture;
use crate::forwarding::ledger::Ledger;
use crate::forwarding::metrics::ExchangeMetrics;
use crate::gate::Gate;
use crate::gate::limiter::LoginLimiter;
use crate::gate::metrics::GateFamilies;
use crate::gate::trace::Steps;
use crate::model::clock::Clock;
use crate::model::credential::Credential;
use crate::model::secret::Secret;
use crate::net::http::{Head, Peer, PeerCertificate};
use crate::telemetry::metrics::Registry;

const BEGIN: Duration = Duration::from_secs(1_000_000_000);

/// A gate and an authority with a clock each; both run at the same speed.
struct Apart {
    ours: Clock,
    theirs: Clock,
    client: Client,
    gate: Gate,
    forwarding: Forwarding,
}

fn combined(credential: Conveyed) -> Forward {
    Forward::Combined(Arc::new(Combined {
        headers: Vec::new(),
        credential,
        secondary: false,
        assertion: None,
        elasticsearch: false,
    }))
}

fn key_for(route: &str) -> Conveyed {
    Conveyed::ApiKey(Arc::new(ApiKeyGrant {
        route: route.to_owned(),
        role_descriptors: Map::new(),
        expiration: Duration::from_secs(600),
        metadata: Map::new(),
        name: Template(vec![TemplatePart::Literal("k".to_owned())]),
    }))
}

impl Apart {
    /// The authority is ahead by so many seconds.
    async fn by(seconds: i64) -> Self {
        let ours = Clock::manual(BEGIN);
        let theirs = BEGIN.as_secs().saturating_add_signed(seconds);
        let theirs = Clock::manual(Duration::from_secs(theirs));
        let embedded = settings::Embedded {
            superuser_password: Some(Secret::from("changeme")),
            ..settings::Embedded::default()
        };
        let opened = authority::open(&embedded, InUse::default(), theirs.clone()).await;
        let authority = opened.unwrap().authority;
        let registry = Registry::new().unwrap();
        let client = Client::new(
            Transport::embedded(authority.clone()),
            Duration::from_secs(20),
            Some(OwnCredential::Bearer(authority.own_token().clone())),
            ElasticMetrics::register(&registry).unwrap(),
            ours.clone(),
        );
        let open = || Access::Authenticated;
        let routes = vec![
            fixture::route("/token", open(), combined(Conveyed::Token)),
            fixture::route("/key", open(), combined(key_for("/key"))),
            fixture::route("/plain", open(), Forward::None),
        ];
        let settings = fixture::settings(routes, fixture::upstream(Vec::new()));
        let families = GateFamilies::register(&registry).unwrap();
        let limiter = Arc::new(LoginLimiter::new(&settings.login_limit));
        let gate = Gate::new(&settings, client.clone(), &families, limiter, ours.clone()).unwrap();
        let metrics = ExchangeMetrics::register(&registry).unwrap();
        let workshop = Workshop {
            ledger: Ledger::start(metrics.clone(), ours.clone()),
            metrics,
            clock: ours.clone(),
            instance: "i".into(),
            run: "r".into(),
        };
        let exchanger = Exchanger::new(client.clone(), workshop, None);
        let forwarding = Forwarding::new(&settings.routes).unwrap();
        Self {
            ours,
            theirs,
            client,
            gate,
            forwarding: forwarding.making(exchanger, None),
        }
    }

    fn advance(&self, by: Duration) {
        self.ours.advance(by);
        self.theirs.advance(by);
    }

    /// What an upstream would get, or nothing for somebody who is refused.
    async fn given(&self, path: &str, authorization: &str) -> Option<Option<String>> {
        let mut head = head(path, authorization);
        let now = self.ours.now();
        let steps = &mut Steps::off();
        let permit = self.gate.decide(&head, &peer(), now, steps).await.ok()?;
        match self.forwarding.attach(&permit, &mut head, now) {
            Ok(()) => {}
            Err(AttachError::Unmade) => {
                let made = self.forwarding.exchange(&permit, &mut head, now).await;
                made.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        let given = head.headers.get(AUTHORIZATION);
        Some(given.map(|value| value.to_str().unwrap().to_owned()))
    }

    async fn accepts(&self, authorization: &str) -> bool {
        let (scheme, token) = authorization.split_once(' ').unwrap();
        let credential = match scheme {
            "Bearer" => Credential::Bearer(Secret::from(token)),
            _ => Credential::ApiKey(Secret::from(token)),
        };
        let answer = self.client.authenticate(&Asker::of(&credential)).await;
        answer.is_ok()
    }
}

fn head(path: &str, authorization: &str) -> Head {
    let request = http::Request::builder()
        .uri(path)
        .header("host", "app.example")
        .header("authorization", authorization);
    request.body(()).unwrap().into_parts().0
}

fn peer() -> Peer {
    Peer {
        address: ([127, 0, 0, 1], 1).into(),
        client_ip: [127, 0, 0, 1].into(),
        trusted: false,
        tls: true,
        listener: "l".into(),
        certificate: PeerCertificate::Absent,
    }
}

const ELASTIC: &str = "Basic ZWxhc3RpYzpjaGFuZ2VtZQ==";
const STEP: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_made_for_upstreams_is_good_whenever_it_is_sent_however_clocks_differ() {
    for seconds in [-30, 30] {
        let apart = Apart::by(seconds).await;
        let mut seen = std::collections::HashSet::new();
        // An hour: three lives of a token, six of a key.
        for step in 0..180 {
            for path in ["/token", "/key"] {
                let given = apart.given(path, ELASTIC).await;
                let given = given.flatten().unwrap_or_else(|| panic!("{path} {step}"));
                assert!(apart.accepts(&given).await, "{seconds} {path} {step}");
                seen.insert(given);
            }
            apart.advance(STEP);
            tokio::task::yield_now().await;
        }
        assert!((8..=14).contains(&seen.len()), "{} made", seen.len());
    }
}

#[tokio::test]
async fn a_key_is_let_in_as_long_as_it_lives_and_not_much_longer_however_clocks_differ() {
    for seconds in [-30, 30] {
        let apart = Apart::by(seconds).await;
        let elastic = Credential::Basic {
            username: "elastic".to_owned(),
            password: Secret::from("changeme"),
        };
        let fields = json!({"name": "k", "expiration": "300s"});
        let fields = fields.as_object().unwrap();
        let key = apart
            .client
            .grant_api_key(&elastic, None, None, fields)
            .await;
        let key = format!("ApiKey {}", key.unwrap().encoded.expose_str().unwrap());
        let mut died = None;
        for step in 0..25 {
            let (lives, passes) = (
                apart.accepts(&key).await,
                apart.given("/plain", &key).await.is_some(),
            );
            if lives {
                assert!(passes, "{seconds}: a living key was refused at {step}");
            } else {
                let since = step - *died.get_or_insert(step);
                assert!(
                    !passes || since * STEP.as_secs() <= 30,
                    "{seconds}: still let in at {step}"
                );
            }
            apart.advance(STEP);
        }
        assert!(died.is_some());
    }
}
