//! A real OpenID provider: npm's `oidc-provider`, which `tests/setup` brought, with people alice (groups admins and devs) and
//! bob (devs). Anybody else who tries to log in there is denied.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::client::{Reply, Target};
use super::process::Process;
use super::tools;

/// Secret of each of its clients: `es` (basic, RS256), `es-post` (ES256), `es-jwt` (PS256), `es-hmac` (HS256), `es-signed`
/// (signed userinfo), and `es-implicit` where all callbacks are `https`.
pub(crate) const SECRET: &str = "a-secret-that-is-long-enough-for-every-hmac-algorithm-of-rfc-7518";

/// The provider, running. Killed when dropped.
pub(crate) struct OidcProvider {
    _process: Process,
    /// Its issuer identifier, `http://127.0.0.1:PORT`.
    pub(crate) issuer: String,
    pub(crate) target: Target,
}

impl OidcProvider {
    /// Starts it on a port (0: a free one) with settings of `provider.mjs`, of which `redirect_uris` is needed; its keys are
    /// new each time. `None` after saying that the test is skipped.
    pub(crate) fn start(port: u16, settings: &Value) -> Option<Self> {
        let needed_for = "logins at a real OpenID provider";
        let (node, folder) = tools::node_with("test-oidc", "oidc-provider", needed_for)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oidc/provider.mjs");
        let mut command = Command::new(node);
        command
            .arg(script)
            .arg(folder)
            .arg(port.to_string())
            .arg(settings.to_string())
            // Whom it sends logout tokens to has a throwaway certificate.
            .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
            // It ends with its input, so that one that is never dropped ends with the tests.
            .stdin(Stdio::piped());
        let process = Process::spawn(&mut command);
        let line = process.stdout.find(|line| line.starts_with("provider "));
        let line = line.unwrap_or_else(|| panic!("no provider\n{}", process.output()));
        let issuer = line.trim_start_matches("provider ").to_owned();
        Some(Self {
            target: Target::http(&issuer),
            issuer,
            _process: process,
        })
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.target.address.port()
    }

    /// Goes to `url` with a fresh browser, logs in as `name` when asked to, and gives back the URL to which the provider sends
    /// the browser in the end.
    pub(crate) fn log_in(&self, url: &str, name: &str) -> String {
        Browser::default().log_in(self, url, name)
    }
}

/// A browser at the provider, with its cookies.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// As [`OidcProvider::log_in`], with the cookies of before.
    pub(crate) fn log_in(&mut self, provider: &OidcProvider, url: &str, name: &str) -> String {
        let mut next = url.to_owned();
        for _ in 0..10 {
            let Some(path) = self.path_at(provider, &next) else {
                return next;
            };
            let mut reply = self.go(provider, "GET", &path, "");
            if reply.status == 200 && path.starts_with("/interaction/") {
                reply = self.go(provider, "POST", &path, &format!("login={name}"));
            }
            let location = reply.header("location");
            next = location
                .unwrap_or_else(|| panic!("{path}: {} {}", reply.status, reply.text()))
                .to_owned();
        }
        panic!("sent round in circles, at last to {next}");
    }

    fn path_at(&self, provider: &OidcProvider, url: &str) -> Option<String> {
        if url.starts_with('/') {
            return Some(url.to_owned());
        }
        let port = provider.port();
        [
            format!("http://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
        ]
        .iter()
        .find_map(|origin| url.strip_prefix(origin))
        .map(str::to_owned)
    }

    /// One request; a body makes it a form.
    pub(crate) fn go(
        &mut self,
        provider: &OidcProvider,
        method: &str,
        path: &str,
        form: &str,
    ) -> Reply {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies: Vec<String> = pairs.collect();
        let call = provider
            .target
            .call(method, path)
            .host(&format!("127.0.0.1:{}", provider.port()))
            .header("Cookie", &cookies.join("; "));
        let call = if method == "POST" {
            call.header("Content-Type", "application/x-www-form-urlencoded")
                .body(form)
        } else {
            call
        };
        let reply = call.send();
        for line in reply.headers_named("set-cookie") {
            let pair = line.split(';').next().and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a cookie");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }
}
