//! Sessions with a manual clock, and a browser that keeps cookies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::config::sso::{
    Background, Pages, Provider, ProviderKind, PublicUrl, SessionSettings, SessionStore, Sso,
};
use crate::config::ways::Anonymous;
use crate::model::clock::Clock;
use crate::model::secret::Secret;
use crate::session::cookie::Lines;
use crate::session::ended::Ended;
use crate::session::memory::Memory;
use crate::session::metrics::SessionMetrics;
use crate::session::record::{Kind, NewSession, Tokens};
use crate::session::trouble::BeginError;
use crate::session::{Found, Held, Sessions};
use crate::telemetry::metrics::Registry;

/// The Unix time at which every test begins.
pub(crate) const BEGIN: Duration = Duration::from_secs(1_000_000);

/// A provider of a kind.
pub(crate) fn provider(name: &str, kind: ProviderKind) -> Provider {
    Provider {
        name: name.into(),
        kind,
        description: None,
        hint: None,
        icon: None,
        hosts: Vec::new(),
        in_selector: true,
        idle_timeout: None,
        lifespan: None,
        access_agreement: None,
    }
}

/// Single sign-on at `https://app.example` by `form` (password), `card` (certificate) and `guest` (anonymous), with an hour
/// without activity, a day of life, and a key.
pub(crate) fn sso() -> Sso {
    Sso {
        public_url: PublicUrl {
            secure: true,
            authority: "app.example".into(),
        },
        prefix: "/_sidegate/".into(),
        providers: vec![
            provider("form", ProviderKind::Password),
            provider("card", ProviderKind::Pki),
            provider("guest", ProviderKind::Anonymous(Anonymous::Authority)),
        ],
        session: SessionSettings {
            store: SessionStore::Cookie,
            keys: vec![Secret::from("key one, which is thirty-two bytes")],
            cookie_name: None,
            persistent: false,
            partitioned: false,
            idle_timeout: Duration::from_secs(3_600),
            lifespan: Duration::from_secs(86_400),
            max_sessions: None,
            background: Background::default(),
            end_on_drain: false,
        },
        pages: Pages::default(),
        files: Default::default(),
    }
}

/// A login of a user at `form`, with tokens of twenty minutes.
pub(crate) fn login(username: &str, clock: &Clock) -> NewSession {
    let life = Duration::from_secs(1_200);
    let tokens = Tokens::new(
        format!("access-{username}").into(),
        Some(format!("refresh-{username}").into()),
        life,
        clock.now(),
    );
    NewSession {
        provider: "form".into(),
        kind: Kind::Password,
        username: username.into(),
        realm: "native1".into(),
        tokens: Some(tokens),
        idle_timeout: None,
        lifespan: None,
        oidc: None,
        certificate: None,
        agreed: true,
    }
}

/// Cookies as a browser keeps them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(pub(crate) Vec<(String, String)>);

impl Jar {
    /// Takes `Set-Cookie` lines in.
    pub(crate) fn take(&mut self, lines: &Lines) {
        for (_, line) in lines {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !line.ends_with("Max-Age=0") {
                self.0.push((name.into(), value.into()));
            }
        }
    }

    /// The headers of a request.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            headers.insert(COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
        }
        headers
    }
}

/// Sessions, what they told of ends, and the clock.
pub(crate) struct Bench {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) ended: Arc<Mutex<Vec<Ended>>>,
    pub(crate) clock: Clock,
    pub(crate) memory: Arc<Memory>,
}

impl Bench {
    pub(crate) fn new(sso: &Sso) -> Self {
        Self::joining(sso, &Clock::manual(BEGIN), &Arc::new(Memory::default()))
    }

    /// One that shares the clock, and with the same memory the process.
    pub(crate) fn joining(sso: &Sso, clock: &Clock, memory: &Arc<Memory>) -> Self {
        let metrics = SessionMetrics::register(&Registry::new().unwrap()).unwrap();
        let sessions = Sessions::new(sso, memory, metrics).unwrap();
        let ended = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&ended);
        sessions.on_end(move |end| told.lock().unwrap().push(end));
        Self {
            sessions,
            ended,
            clock: clock.clone(),
            memory: Arc::clone(memory),
        }
    }

    /// Begins a session for an empty browser.
    pub(crate) async fn begin(&self, new: NewSession) -> Result<(Held, Lines), BeginError> {
        let now = self.clock.now();
        self.sessions.begin(new, &HeaderMap::new(), now).await
    }

    /// Logs a user in with an empty browser.
    pub(crate) async fn log_in(&self, username: &str) -> (Held, Jar) {
        let mut jar = Jar::default();
        let held = self.log_in_with(username, &mut jar).await;
        (held, jar)
    }

    /// The same with this browser.
    pub(crate) async fn log_in_with(&self, username: &str, jar: &mut Jar) -> Held {
        let new = login(username, &self.clock);
        let now = self.clock.now();
        let begun = self.sessions.begin(new, &jar.headers(), now).await;
        let (held, lines) = begun.unwrap();
        jar.take(&lines);
        held
    }

    /// What a request with these cookies finds, as text: the user, or why not.
    pub(crate) async fn visit(&self, jar: &Jar) -> String {
        let found = self.sessions.open(&jar.headers(), self.clock.now()).await;
        match found {
            Ok(Found::Nothing) => "nothing".into(),
            Ok(Found::Session(held)) => held.session.username.clone(),
            Ok(Found::Ended(reason)) => reason.label().into(),
            Err(trouble) => trouble.to_string(),
        }
    }

    /// The session of these cookies.
    pub(crate) async fn held(&self, jar: &Jar) -> Held {
        let found = self.sessions.open(&jar.headers(), self.clock.now()).await;
        match found {
            Ok(Found::Session(held)) => held,
            other => panic!("{other:?}"),
        }
    }

    /// Reasons told so far.
    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        let ended = self.ended.lock().unwrap();
        ended.iter().map(|end| end.reason.label()).collect()
    }
}
