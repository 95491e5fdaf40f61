//! The authority driven as its callers do: requests in, responses out, time by a manual clock.

mod api_key_changes;
mod api_key_laws;
mod api_keys;
mod audit;
mod certificates;
mod common_behaviour;
mod durability;
mod every_endpoint;
mod hardening;
mod housekeeping;
mod oidc;
mod privileges;
mod profile_search;
mod profiles;
mod queries;
mod realms;
mod role_mappings;
mod roles;
mod run_as;
mod saml;
mod service_accounts;
mod store_trouble;
mod token_invalidation;
mod tokens;
mod user_privileges;
mod users;
mod who;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Authority, Options};
use crate::model::clock::Clock;
use crate::model::secret::Secret;
use crate::net::http::Body;

const PASSWORD: &str = "elastic-password";

/// An authority in memory (or in a directory) and its time.
struct Node {
    authority: Authority,
    clock: Clock,
}

/// An answer, read.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    fn reason(&self) -> String {
        let json = self.json();
        let reason = json["error"]["reason"].as_str();
        reason
            .unwrap_or_else(|| panic!("no reason: {json}"))
            .to_owned()
    }

    fn kind(&self) -> String {
        let json = self.json();
        json["error"]["type"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

fn options() -> Options {
    Options {
        superuser_password: Some(Secret::from(PASSWORD)),
        bcrypt_cost: 4,
        ..Options::default()
    }
}

fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

impl Node {
    async fn fresh() -> Self {
        Self::open(options()).await
    }

    async fn open(options: Options) -> Self {
        let clock = Clock::manual(Duration::from_secs(1_700_000_000));
        let authority = Authority::open(options, clock.clone()).await.unwrap();
        Self { authority, clock }
    }

    /// Sends a request with these headers.
    async fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = http::Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::full(body.to_owned())).unwrap();
        let response = self.authority.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect_up_to(1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(head.headers["x-elastic-product"], "Elasticsearch");
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text,
        }
    }

    /// Sends JSON with an `Authorization` header.
    async fn with(&self, authorization: &str, method: &str, uri: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [
            ("authorization", authorization),
            ("content-type", "application/json"),
        ];
        self.send(method, uri, &headers, &body).await
    }

    /// As the superuser.
    async fn elastic(&self, method: &str, uri: &str, body: Value) -> Answer {
        self.with(&basic("elastic", PASSWORD), method, uri, &body)
            .await
    }

    /// As the superuser; must answer 200.
    async fn done(&self, method: &str, uri: &str, body: Value) -> Value {
        let answer = self.elastic(method, uri, body).await;
        assert_eq!(answer.status, 200, "{method} {uri}: {}", answer.text);
        answer.json()
    }

    /// Makes a role and a user of the same name who has it; their password is `NAME-password`.
    async fn user_with(&self, name: &str, role: Value) -> String {
        self.done("PUT", &format!("/_security/role/{name}"), role)
            .await;
        let password = format!("{name}-password");
        let user = serde_json::json!({"password": password, "roles": [name]});
        self.done("PUT", &format!("/_security/user/{name}"), user)
            .await;
        basic(name, &password)
    }
}
