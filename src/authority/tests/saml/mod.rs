//! Single sign-on by SAML as its callers see it. The identity provider is [`forge`]; responses that a real one made are in
//! `samples`.

mod abuse;
mod audited;
mod endpoints;
mod garbage;
mod logout;
mod samples;
mod wrapping;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::authority::realm::saml::forge::{self, Files};
use crate::config::realm_saml::SamlRealm as Settings;
use crate::config::realms::{Realm, RealmCache, RealmKind};

/// A place to write the log to.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An authority with the realm `saml1`, and what it logs.
struct Bench {
    node: Node,
    files: Files,
    log: Captured,
    _guard: tracing::subscriber::DefaultGuard,
    _second: tracing::Dispatch,
}

impl Bench {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings.
    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let files = Files::make();
        let mut settings = files.settings();
        change(&mut settings);
        Self::open(files, settings, forge::NOW).await
    }

    async fn open(files: Files, settings: Settings, now: u64) -> Self {
        let log = Captured::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // With a single dispatcher alive, tracing lets whichever thread comes first switch a log line off for all.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let guard = tracing::subscriber::set_default(subscriber);
        let realm = |name: &str, kind| Realm {
            name: name.to_owned(),
            kind,
        };
        let clock = Clock::manual(Duration::from_secs(now));
        let options = Options {
            realms: vec![
                realm("default_native", RealmKind::Native(RealmCache::default())),
                realm("saml1", RealmKind::Saml(Box::new(settings))),
            ],
            ..options()
        };
        let authority = Authority::open(options, clock.clone()).await.unwrap();
        Self {
            node: Node { authority, clock },
            files,
            log,
            _guard: guard,
            _second: second,
        }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap()).into_owned()
    }

    async fn call(&self, what: &str, body: Value) -> Answer {
        let path = format!("/_security/saml/{what}");
        self.node.elastic("POST", &path, body).await
    }

    /// Shows a response to the request `_request`.
    async fn show(&self, xml: &str) -> Answer {
        self.show_for(xml, &["_request"]).await
    }

    async fn show_for(&self, xml: &str, ids: &[&str]) -> Answer {
        let content = STANDARD.encode(xml);
        let body = json!({"content": content, "ids": ids, "realm": "saml1"});
        self.call("authenticate", body).await
    }

    /// Shows a response that must let somebody in; what `_authenticate` says about them then.
    async fn accepted(&self, xml: &str) -> Value {
        let answer = self.show(xml).await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.text, self.log());
        self.who(answer.json()["access_token"].as_str().unwrap())
            .await
            .json()
    }

    async fn who(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let path = "/_security/_authenticate";
        self.node.with(&bearer, "GET", path, &Value::Null).await
    }

    /// Shows a response that must let nobody in; the log must say why, the answer must not.
    async fn refused(&self, xml: &str, reason: &str) {
        let answer = self.show(xml).await;
        self.expect_refused(&answer, reason);
    }

    fn expect_refused(&self, answer: &Answer, reason: &str) {
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(
            answer.reason(),
            "unable to authenticate user [<unauthenticated-saml-user>] for action [cluster:admin/xpack/security/saml/authenticate]"
        );
        assert!(!answer.text.contains("token\":"), "{}", answer.text);
        assert!(self.node.authority.state.tables().access_tokens.count() == 0);
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains("realm refused"));
        let line = line.unwrap_or_else(|| panic!("nothing was logged: {log}"));
        assert!(line.contains(reason), "{reason} is not why: {line}");
    }
}
