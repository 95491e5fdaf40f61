//! Browsers' sessions as a credential: which requests pass with one, how tokens are renewed, how sessions end.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ORIGIN, SET_COOKIE, UPGRADE};
use http::{HeaderName, Method};

use super::fixture::{Bench, Mood, basic, head, peer, route, settings, tell};
use crate::config::settings::{Access, Settings};
use crate::config::sso::{
    Background, Pages, Provider, ProviderKind, PublicUrl, SessionSettings, SessionStore, Sso,
};
use crate::gate::Verdict;
use crate::gate::trace::Steps;
use crate::model::certificate::CertificateChain;
use crate::model::secret::Secret;
use crate::net::http::{Head, Peer, PeerCertificate};
use crate::session::Sessions;
use crate::session::cookie::Lines;
use crate::session::ended::{EndReason, TokenFate};
use crate::session::memory::Memory;
use crate::session::metrics::SessionMetrics;
use crate::session::record::{Kind, NewSession, Session, Tokens};

const LIFE: Duration = Duration::from_secs(1_200);

fn sso() -> Sso {
    Sso {
        public_url: PublicUrl {
            secure: true,
            authority: "app.example".into(),
        },
        prefix: "/_sidegate/".into(),
        providers: vec![Provider {
            name: "form".into(),
            kind: ProviderKind::Password,
            description: None,
            hint: None,
            icon: None,
            hosts: Vec::new(),
            in_selector: true,
            idle_timeout: None,
            lifespan: None,
            access_agreement: None,
        }],
        session: SessionSettings {
            store: SessionStore::Cookie,
            keys: vec![Secret::from("a key of thirty-two bytes or more")],
            cookie_name: None,
            persistent: false,
            partitioned: false,
            idle_timeout: Duration::from_secs(7_200),
            lifespan: Duration::from_secs(86_400),
            max_sessions: None,
            background: Background {
                paths: vec!["/app/poll/**".into()],
                header: Some("x-background".into()),
            },
            end_on_drain: false,
        },
        pages: Pages::default(),
        files: Default::default(),
    }
}

fn shop() -> Settings {
    settings(vec![
        route("public", "/public/**", Access::Everyone),
        route("app", "/app/**", Access::Authenticated),
    ])
}

/// A gate with sessions, and one browser.
struct Browsing {
    bench: Bench,
    sessions: Arc<Sessions>,
    cookie: String,
}

impl Browsing {
    /// Somebody who just logged in as alice, whose tokens are `access-1` and `refresh-1`.
    async fn alice() -> Self {
        let mut this = Self::nobody().await;
        this.log_in(|_| {}).await;
        this
    }

    async fn nobody() -> Self {
        let bench = bench();
        let sessions = Arc::clone(bench.gate.sessions().unwrap());
        bench.fake.add_pair(1);
        Self {
            bench,
            sessions,
            cookie: String::new(),
        }
    }

    async fn log_in(&mut self, change: impl FnOnce(&mut NewSession)) -> Arc<Session> {
        let now = self.bench.clock.now();
        let tokens = Tokens::new("access-1".into(), Some("refresh-1".into()), LIFE, now);
        let mut new = NewSession {
            provider: "form".into(),
            kind: Kind::Password,
            username: "alice".into(),
            realm: "native1".into(),
            tokens: Some(tokens),
            idle_timeout: None,
            lifespan: None,
            oidc: None,
            certificate: None,
            agreed: true,
        };
        change(&mut new);
        let headers = http::HeaderMap::new();
        let (held, lines) = self.sessions.begin(new, &headers, now).await.unwrap();
        self.take(&lines);
        held.session
    }

    fn take(&mut self, lines: &Lines) -> bool {
        let mut lines = lines.iter().filter(|(name, _)| *name == SET_COOKIE);
        let Some((_, line)) = lines.next() else {
            return false;
        };
        self.cookie = line.to_str().unwrap().split(';').next().unwrap().to_owned();
        true
    }

    fn head(&self, method: Method, path: &str, extra: &[(HeaderName, &str)]) -> Head {
        let mut head = head(path, &[]);
        head.method = method;
        if !self.cookie.is_empty() {
            let cookie = format!("other=1; {}", self.cookie);
            head.headers.insert("cookie", cookie.parse().unwrap());
        }
        for (name, value) in extra {
            head.headers.append(name, value.parse().unwrap());
        }
        head
    }

    async fn ask(&self, method: Method, extra: &[(HeaderName, &str)]) -> Verdict {
        self.bench.decide(&self.head(method, "/app/x", extra)).await
    }

    async fn told(&self, method: Method, extra: &[(HeaderName, &str)]) -> String {
        tell(&self.ask(method, extra).await)
    }

    async fn get(&self) -> String {
        self.told(Method::GET, &[]).await
    }

    /// Refresh tokens that the authority was shown.
    fn refreshes(&self) -> Vec<String> {
        self.bench.fake.refreshes.lock().unwrap().clone()
    }
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

#[tokio::test]
async fn a_session_is_a_credential_and_a_known_one_asks_nobody() {
    let alice = Browsing::alice().await;
    assert_eq!(alice.get().await, "permitted miss");
    for _ in 0..5 {
        assert_eq!(alice.get().await, "permitted hit");
    }
    assert_eq!(alice.bench.fake.asks(), (1, 0));
    assert_eq!(Browsing::nobody().await.get().await, "no_credential");
}

#[tokio::test]
async fn a_credential_shown_on_purpose_goes_before_the_session() {
    let alice = Browsing::alice().await;
    let bob = basic("bob", "secret");
    let authorization = http::header::AUTHORIZATION;
    let permit = alice
        .ask(Method::GET, &[(authorization.clone(), &bob)])
        .await
        .unwrap();
    assert_eq!(permit.entry().unwrap().identity.username, "bob");
    let wrong = basic("bob", "wrong");
    let verdict = alice.told(Method::GET, &[(authorization, &wrong)]).await;
    assert_eq!(
        verdict, "unauthenticated",
        "never falls back to the session"
    );
    assert_eq!(alice.get().await, "permitted miss");
}

#[tokio::test]
async fn the_cookie_never_reaches_the_upstream() {
    let alice = Browsing::alice().await;
    for path in ["/app/x", "/public/x"] {
        let mut head = alice.head(Method::GET, path, &[]);
        let permit = alice.bench.decide(&head).await.unwrap();
        alice.bench.gate.take_credentials(&permit, &mut head);
        assert_eq!(head.headers["cookie"], "other=1", "{path}");
    }
}

#[tokio::test]
async fn another_site_changes_nothing_with_a_session() {
    let alice = Browsing::alice().await;
    for (expected, extra) in [
        ("permitted miss", &[(SITE, "same-origin")][..]),
        ("permitted hit", &[(SITE, "none")]),
        ("permitted hit", &[(SITE, "same-origin"), (ORIGIN, "null")]),
        ("permitted hit", &[(ORIGIN, "https://app.example")]),
        ("cross_site", &[]),
        ("cross_site", &[(SITE, "cross-site")]),
        ("cross_site", &[(SITE, "same-site")]),
        (
            "cross_site",
            &[(SITE, "cross-site"), (ORIGIN, "https://app.example")],
        ),
        ("cross_site", &[(SITE, "same-origin"), (SITE, "cross-site")]),
        ("cross_site", &[(ORIGIN, "https://evil.example")]),
        ("cross_site", &[(ORIGIN, "http://app.example")]),
        ("cross_site", &[(ORIGIN, "https://app.example.evil")]),
        ("cross_site", &[(ORIGIN, "null")]),
    ] {
        assert_eq!(alice.told(Method::POST, extra).await, expected, "{extra:?}");
    }
    assert_eq!(
        alice.told(Method::GET, &[(SITE, "cross-site")]).await,
        "permitted hit"
    );
    // Without the cookie there is nothing to abuse.
    let bob = basic("bob", "secret");
    let shown = [(http::header::AUTHORIZATION, bob.as_str())];
    assert_eq!(alice.told(Method::POST, &shown).await, "permitted miss");
}

#[tokio::test]
async fn a_handshake_of_another_site_is_refused_by_its_origin() {
    let alice = Browsing::alice().await;
    let handshake = |more| [(UPGRADE, "websocket"), more];
    for (expected, more) in [
        ("permitted miss", (ORIGIN, "https://app.example")),
        ("cross_site", (ORIGIN, "https://evil.example")),
        ("cross_site", (SITE, "same-origin")),
    ] {
        assert_eq!(alice.told(Method::GET, &handshake(more)).await, expected);
    }
}

#[tokio::test]
async fn only_navigations_and_changes_keep_a_session_alive() {
    let navigation = [(MODE, "navigate")];
    let change = [(SITE, "same-origin")];
    let page = [(http::header::ACCEPT, "text/html")];
    let polling = [(MODE, "cors")];
    let marked = [
        (MODE, "navigate"),
        (HeaderName::from_static("x-background"), "1"),
    ];
    for (method, path, extra, counts) in [
        (Method::GET, "/app/x", &navigation[..], true),
        (Method::POST, "/app/x", &change, true),
        (Method::GET, "/app/x", &page, true),
        (Method::GET, "/app/x", &polling, false),
        (Method::GET, "/app/x", &[], false),
        (Method::GET, "/app/x", &marked, false),
        (Method::POST, "/app/poll/1", &change, false),
    ] {
        let mut alice = Browsing::alice().await;
        alice.bench.fake.add_pair(2);
        alice.bench.clock.advance(Duration::from_secs(1_000));
        let head = alice.head(method.clone(), path, extra);
        let mut permit = alice.bench.decide(&head).await.unwrap();
        assert_eq!(
            alice.take(&permit.response_lines()),
            counts,
            "{method} {path} {extra:?}"
        );
        alice.bench.clock.advance(Duration::from_secs(6_500));
        let told = alice.get().await;
        assert_eq!(
            told == "session_idle",
            !counts,
            "{method} {path} {extra:?} {told}"
        );
    }
}

#[tokio::test]
async fn tokens_are_renewed_ahead_once_and_nobody_waits() {
    let mut alice = Browsing::alice().await;
    alice.bench.fake.add_pair(2);
    assert_eq!(alice.get().await, "permitted miss");
    alice.bench.clock.advance(LIFE - Duration::from_secs(60));
    for _ in 0..10 {
        assert_ne!(alice.get().await, "unauthenticated");
    }
    while alice.refreshes().is_empty() {
        tokio::task::yield_now().await;
    }
    // The next request uses the new pair, and its response carries the new cookie.
    let lines = loop {
        let mut permit = alice.ask(Method::GET, &[]).await.unwrap();
        let lines = permit.response_lines();
        if !lines.is_empty() {
            break lines;
        }
        tokio::task::yield_now().await;
    };
    assert!(alice.take(&lines));
    assert_eq!(alice.refreshes(), ["refresh-1"]);
    alice.bench.clock.advance(Duration::from_secs(120));
    assert_eq!(alice.get().await.split(' ').next(), Some("permitted"));
    assert_eq!(alice.refreshes(), ["refresh-1"], "the new tokens are good");
}

#[tokio::test]
async fn many_tabs_with_tokens_that_are_over_cost_one_renewal() {
    let alice = Browsing::alice().await;
    alice.bench.fake.add_pair(2);
    alice.bench.clock.advance(LIFE + Duration::from_secs(1));
    let asks = (0..20).map(|_| alice.ask(Method::GET, &[]));
    for verdict in futures_util::future::join_all(asks).await {
        let mut permit = verdict.unwrap();
        assert!(
            !permit.response_lines().is_empty(),
            "every tab gets the cookie"
        );
    }
    assert_eq!(alice.refreshes(), ["refresh-1"]);
}

#[tokio::test]
async fn tokens_that_died_early_are_renewed_before_anybody_is_logged_out() {
    let alice = Browsing::alice().await;
    assert_eq!(alice.get().await, "permitted miss");
    alice.bench.fake.remove("access-1");
    alice.bench.fake.add_pair(2);
    alice.bench.clock.advance(Duration::from_secs(61));
    assert_eq!(alice.get().await, "permitted miss");
    assert_eq!(alice.refreshes(), ["refresh-1"]);
}

#[tokio::test]
async fn a_session_ends_when_its_tokens_can_not_be_renewed() {
    let alice = Browsing::alice().await;
    alice.bench.fake.remove("access-1");
    assert_eq!(alice.get().await, "session_token_refused");
    assert_eq!(alice.refreshes(), ["refresh-1"]);
    assert_eq!(alice.get().await, "session_token_refused");
    assert_eq!(alice.refreshes(), ["refresh-1"], "asked once");
}

#[tokio::test]
async fn trouble_at_the_authority_ends_no_session() {
    let alice = Browsing::alice().await;
    alice.bench.fake.add_pair(2);
    alice.bench.clock.advance(LIFE + Duration::from_secs(1));
    for mood in [
        Mood::Unreachable,
        Mood::Answers(503, "{}".into()),
        Mood::Answers(500, "x".into()),
    ] {
        alice.bench.fake.feels(mood);
        let told = alice.get().await;
        assert!(told.starts_with("unavailable"), "{told}");
    }
    alice.bench.fake.feels(Mood::Well);
    assert_eq!(alice.get().await, "permitted miss");
}

#[tokio::test]
async fn a_logout_beats_the_cache_and_gives_the_tokens_back() {
    let mut alice = Browsing::nobody().await;
    let session = alice.log_in(|_| {}).await;
    assert_eq!(alice.get().await, "permitted miss");
    let now = alice.bench.clock.now();
    let ending = alice
        .sessions
        .end(&session, EndReason::LoggedOut, TokenFate::GiveBack, now);
    ending.await.unwrap();
    assert_eq!(alice.get().await, "session_logged_out");
    let left = alice
        .bench
        .gate
        .settle_sessions(Duration::from_secs(10))
        .await;
    assert_eq!(left, 0);
    let invalidated = alice.bench.fake.invalidated.lock().unwrap().clone();
    assert_eq!(invalidated, ["refresh-1", "access-1"]);
}

#[tokio::test]
async fn nobody_passes_before_there_is_nothing_left_to_agree_to() {
    let mut alice = Browsing::nobody().await;
    alice.log_in(|new| new.agreed = false).await;
    assert_eq!(alice.get().await, "agreement_pending");
    let headers = alice.head(Method::GET, "/app/x", &[]).headers;
    let now = alice.bench.clock.now();
    let found = alice.sessions.open(&headers, now).await.unwrap();
    let crate::session::Found::Session(held) = found else {
        panic!("{found:?}");
    };
    alice.sessions.agree(&held.live).await.unwrap();
    assert_eq!(alice.get().await, "permitted miss");
}

#[tokio::test]
async fn a_session_made_with_a_certificate_is_no_good_without_it() {
    let mut alice = Browsing::nobody().await;
    alice.log_in(|new| new.certificate = Some([7; 32])).await;
    assert_eq!(alice.get().await, "session_certificate_changed");
    assert_eq!(alice.get().await, "session_certificate_changed");
}

/// Somebody whose session was made with this certificate.
async fn carded(card: &CertificateChain) -> Browsing {
    let mut alice = Browsing::nobody().await;
    let now = alice.bench.clock.now();
    alice
        .log_in(|new| {
            new.kind = Kind::Pki;
            new.certificate = Some(*card.sha256());
            new.tokens = Some(Tokens::new("access-1".into(), None, LIFE, now));
        })
        .await;
    alice
}

fn chain(leaf: &[u8]) -> Arc<CertificateChain> {
    let far = Duration::from_secs(4_000_000_000);
    Arc::new(CertificateChain::new(vec![leaf.into()], far).unwrap())
}

/// A request over a connection with this certificate.
async fn ask_with(browsing: &Browsing, chain: &Arc<CertificateChain>) -> String {
    let peer = Peer {
        certificate: PeerCertificate::Present(Arc::clone(chain)),
        ..peer("10.0.0.1")
    };
    let head = browsing.head(Method::GET, "/app/x", &[]);
    let (now, mut steps) = (browsing.bench.clock.now(), Steps::off());
    let decided = browsing.bench.gate.decide(&head, &peer, now, &mut steps);
    tell(&decided.await)
}

#[tokio::test]
async fn tokens_of_a_session_made_with_a_certificate_are_renewed_with_it() {
    let card = chain(b"card");
    let alice = carded(&card).await;
    alice.bench.fake.add("card-1", "", &[], &[]);
    let shown = || alice.bench.fake.delegations.lock().unwrap().len();
    assert_eq!(ask_with(&alice, &card).await, "permitted miss");
    assert_eq!(shown(), 0, "the session's own token is good");
    alice.bench.clock.advance(LIFE + Duration::from_secs(1));
    let asks = (0..20).map(|_| ask_with(&alice, &card));
    for told in futures_util::future::join_all(asks).await {
        assert!(told.starts_with("permitted"), "{told}");
    }
    assert_eq!(shown(), 1);
    assert_eq!(ask_with(&alice, &card).await, "permitted hit");
    // The authority takes the certificate no more: neither the session nor the certificate itself is worth anything.
    alice.bench.clock.advance(LIFE + Duration::from_secs(1));
    let told = ask_with(&alice, &card).await;
    assert_eq!(told, "unauthenticated");
    assert_eq!(alice.get().await, "session_token_refused");
}

#[tokio::test]
async fn a_session_made_with_a_certificate_is_not_renewed_with_another() {
    let (card, other) = (chain(b"card"), chain(b"other"));
    let alice = carded(&card).await;
    alice.bench.clock.advance(LIFE + Duration::from_secs(1));
    // Whoever shows another certificate is who that says, if the authority knows it, and nobody else.
    let told = ask_with(&alice, &other).await;
    assert!(!told.starts_with("permitted"), "{told}");
    let shown = alice.bench.fake.delegations.lock().unwrap().clone();
    assert!(!shown.contains(&"Y2FyZA==".to_owned()), "{shown:?}");
    assert_eq!(alice.get().await, "session_certificate_changed");
}

#[tokio::test]
async fn a_cookie_that_nobody_here_sealed_counts_for_nothing() {
    let mut alice = Browsing::alice().await;
    alice.cookie.push_str("AAAA");
    assert_eq!(alice.get().await, "no_credential");
}

/// A gate with sessions before the fake authority.
fn bench() -> Bench {
    let mut bench = Bench::new(&shop());
    let (sso, memory) = (sso(), Arc::new(Memory::default()));
    let metrics = SessionMetrics::register(&bench.registry).unwrap();
    let sessions = Sessions::new(&sso, &memory, metrics).unwrap();
    let gate = Arc::into_inner(bench.gate).unwrap();
    bench.gate = Arc::new(gate.with_sessions(&sso, sessions));
    bench
}
