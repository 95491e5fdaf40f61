//! The life of a token, by a clock that the test moves and an authority that counts.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::config::settings::OwnCredential;
use crate::elastic::metrics::ElasticMetrics;
use crate::elastic::transport::Transport;
use crate::gate::exchanged::Exchanged;
use crate::model::identity::Realm;
use crate::model::secret::Secret;
use crate::net::http::{Body, BodyError, Request, Response};
use crate::telemetry::metrics::Registry;

/// Gives tokens `1`, `2`, … of twenty minutes; a refresh token works once.
#[derive(Clone, Default)]
struct Giver(Arc<Counts>);

#[derive(Default)]
struct Counts {
    given: AtomicUsize,
    by_password: AtomicUsize,
    used: Mutex<Vec<String>>,
    taken_back: Mutex<Vec<String>>,
    /// Status of everything, when not zero.
    failing: AtomicUsize,
}

impl Giver {
    async fn answer(self, request: Request) -> Result<Response, BodyError> {
        let failing = self.0.failing.load(Ordering::SeqCst);
        if failing != 0 {
            return Ok(reply(u16::try_from(failing)?, &denial()));
        }
        let (head, body) = request.into_parts();
        let body: Value = serde_json::from_slice(&body.collect_up_to(10_000).await?)?;
        if head.method == http::Method::DELETE {
            for kind in ["token", "refresh_token"] {
                let token = body[kind].as_str().map(|token| format!("{kind} {token}"));
                self.0.taken_back.lock().unwrap().extend(token);
            }
            return Ok(reply(200, &json!({"invalidated_tokens": 1})));
        }
        match body["refresh_token"].as_str() {
            Some(token) if self.0.used.lock().unwrap().iter().any(|used| used == token) => {
                let error = json!({"error": "invalid_grant", "error_description": "token has already been refreshed"});
                return Ok(reply(400, &error));
            }
            Some(token) => self.0.used.lock().unwrap().push(token.to_owned()),
            None => {
                self.0.by_password.fetch_add(1, Ordering::SeqCst);
            }
        }
        let number = self.0.given.fetch_add(1, Ordering::SeqCst) + 1;
        let tokens = json!({"access_token": format!("a{number}"), "type": "Bearer", "expires_in": 1200, "refresh_token": format!("r{number}")});
        Ok(reply(200, &tokens))
    }
}

fn denial() -> Value {
    json!({"error": {"type": "security_exception", "reason": "needs [manage_token]"}, "status": 403})
}

fn reply(status: u16, body: &Value) -> Response {
    let response = http::Response::builder()
        .status(status)
        .header("x-elastic-product", "Elasticsearch");
    response.body(Body::full(body.to_string())).unwrap()
}

struct Bench {
    giver: Giver,
    clock: Clock,
    exchanger: Exchanger,
    exchanged: Arc<Exchanged>,
}

impl Bench {
    fn new() -> Self {
        let (giver, registry) = (Giver::default(), Registry::new().unwrap());
        let clock = Clock::manual(Duration::from_secs(1_000_000));
        let service = giver.clone();
        let client = Client::new(
            Transport::embedded(tower::service_fn(move |request| {
                service.clone().answer(request)
            })),
            Duration::from_secs(5),
            Some(OwnCredential::Bearer(Secret::from("own"))),
            ElasticMetrics::register(&registry).unwrap(),
            clock.clone(),
        );
        let metrics = ExchangeMetrics::register(&registry).unwrap();
        let workshop = Workshop {
            ledger: Ledger::start(metrics.clone(), clock.clone()),
            metrics,
            clock: clock.clone(),
            instance: "i".into(),
            run: "r".into(),
        };
        Self {
            giver,
            clock,
            exchanger: Exchanger::new(client, workshop, None),
            exchanged: Exchanged::new(1),
        }
    }

    fn order(&self) -> Order {
        let realm = Realm {
            name: "native1".into(),
            kind: "native".into(),
        };
        Order {
            wanted: Wanted::Token,
            identity: Identity {
                username: "alice".into(),
                roles: Vec::new(),
                full_name: None,
                email: None,
                metadata: Map::new(),
                realm: realm.clone(),
                lookup_realm: realm,
                authentication_type: "realm".into(),
                api_key: None,
            },
            credential: Credential::Basic {
                username: "alice".into(),
                password: Secret::from("pw"),
            },
            run_as: None,
            exchanged: Arc::clone(&self.exchanged),
            slot: 0,
        }
    }

    async fn token(&self, renewing: bool) -> Result<String, Refusal> {
        let grant = self.exchanger.clone().work(self.order(), renewing).await?;
        Ok(grant.value.to_str().unwrap().to_owned())
    }

    fn by_password(&self) -> usize {
        self.giver.0.by_password.load(Ordering::SeqCst)
    }

    fn taken_back(&self) -> Vec<String> {
        self.giver.0.taken_back.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_by_its_refresh_token_and_the_old_one_taken_back_after_a_grace() {
    let bench = Bench::new();
    assert_eq!(bench.token(false).await.unwrap(), "Bearer a1");
    assert_eq!(bench.token(true).await.unwrap(), "Bearer a1", "still fresh");
    bench.clock.advance(Duration::from_secs(901));
    assert_eq!(
        bench.token(false).await.unwrap(),
        "Bearer a1",
        "due, but good"
    );
    assert_eq!(bench.token(true).await.unwrap(), "Bearer a2");
    assert_eq!(bench.by_password(), 1, "no password was asked with again");
    assert!(bench.taken_back().is_empty(), "requests may be under way");
    bench
        .exchanger
        .0
        .workshop
        .ledger
        .settle(Duration::from_secs(1))
        .await;
    assert_eq!(bench.taken_back(), ["refresh_token r1", "token a1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_is_used_up_falls_back_to_the_password() {
    let bench = Bench::new();
    bench.token(false).await.unwrap();
    bench.giver.0.used.lock().unwrap().push("r1".into());
    bench.clock.advance(Duration::from_secs(1_171));
    let slot = bench.exchanged.slot(0).unwrap();
    assert!(
        slot.live(bench.clock.now()).is_none(),
        "not sent in its last half minute"
    );
    assert_eq!(bench.token(false).await.unwrap(), "Bearer a2");
    assert_eq!(bench.by_password(), 2);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_not_asked_about_by_everybody_and_goes_away_by_itself() {
    let bench = Bench::new();
    bench.giver.0.failing.store(403, Ordering::SeqCst);
    let refusal = bench.token(false).await.unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::AuthorityUnavailable {
            cause: "own_credential",
            ..
        }
    ));
    bench.giver.0.failing.store(0, Ordering::SeqCst);
    assert_eq!(
        bench.token(false).await.unwrap_err(),
        refusal,
        "within the pause"
    );
    assert_eq!(bench.by_password(), 0);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.token(false).await.unwrap(), "Bearer a1");
}

#[test]
fn what_is_shared_is_bounded_by_what_is_in_use() {
    let (mut shared, mut used) = (SharedKeys::default(), Vec::new());
    let key = |number: usize| (number.to_string(), "route".to_owned());
    for number in 0..100 {
        used.push(shared.of(key(number)));
    }
    // Somebody who changes who they are all the time leaves nothing behind.
    for number in 1_000..50_000 {
        drop(shared.of(key(number)));
        assert!(shared.known.len() <= 2 * used.len() + FIRST_FULL);
    }
    for (number, one) in used.iter().enumerate() {
        assert!(Arc::ptr_eq(one, &shared.of(key(number))), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_neither_ends_a_token_nor_prolongs_it() {
    // The exchanger only ever looks at time that runs on; the giver's own clock takes no part but by how long a token lives.
    let bench = Bench::new();
    assert_eq!(bench.token(false).await.unwrap(), "Bearer a1");
    for jump in [-30_i64, 30, 3_600] {
        let now = bench.clock.now();
        let unix = Duration::from_secs(now.unix.as_secs().saturating_add_signed(jump));
        let slot = bench.exchanged.slot(0).unwrap();
        assert!(slot.live(Now { unix, ..now }).is_some(), "{jump}");
    }
    bench.clock.advance(Duration::from_secs(1_170));
    let slot = bench.exchanged.slot(0).unwrap();
    assert!(slot.live(bench.clock.now()).is_none());
}

#[test]
fn names_of_keys_are_such_as_elasticsearch_takes() {
    assert_eq!(key_name("sidegate/a/ann"), "sidegate/a/ann");
    assert_eq!(key_name("  __x "), "x");
    assert_eq!(key_name(""), "sidegate");
    assert_eq!(key_name(&"é".repeat(300)).chars().count(), 256);
}
