//! The demo policy: the routes as configuration text, and the users, roles and privileges they ask for.
//!
//! The routes go through the same parser and checks as an operator's file, and the users are stored through the same API an
//! operator would call, so that nothing works in the demo only.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::authority::Authority;
use crate::model::secret::Secret;
use crate::net::http::Body;

/// Users of the demo: name, password, what they may do.
pub(super) const USERS: [(&str, &str, &str); 3] = [
    ("alice", "alice-password", "may read /orders"),
    ("bob", "bob-password", "may log in, nothing else"),
    ("carol", "carol-password", "may use /admin"),
];

/// What varies between two runs of `sidegate dev`.
pub(super) struct Parts<'a> {
    pub(super) proxy: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) authority: SocketAddr,
    pub(super) upstream: &'a str,
    pub(super) data: Option<&'a Path>,
    pub(super) certificates: &'a super::certificates::Files,
}

/// The configuration of `sidegate dev`, as an operator would write it.
pub(super) fn configuration(parts: &Parts<'_>) -> String {
    let data = parts
        .data
        .map_or_else(String::new, |path| format!("data: {}, ", quoted(path)));
    format!(
        r#"listeners:
  - name: proxy
    address: {proxy}
    tls: {{ certificates: [{{ certificate: {certificate}, key: {key} }}] }}
admin: {{ address: {admin} }}
authority:
  embedded: {{ {data}address: {authority} }}
upstreams:
  app: {{ url: {upstream} }}
access_log: {{ format: text }}
routes:
  - {{ name: home, match: {{ path: / }}, allow: everyone, upstream: app }}
  - {{ name: events, match: {{ path: /events }}, allow: everyone, upstream: app }}
  - {{ name: websocket, match: {{ path: /ws }}, allow: everyone, upstream: app, websocket: true }}
  - name: orders
    match: {{ path: "/orders/**" }}
    require:
      application: [{{ application: shop, privileges: [orders_read], resources: ["orders"] }}]
    upstream: app
    forward: {{ identity_headers: {{}} }}
  - name: admin
    match: {{ path: "/admin/**" }}
    require: {{ roles: [shop_admin] }}
    upstream: app
    forward: {{ identity_headers: {{}} }}
  - name: everything-else
    match: {{ path: "/**" }}
    allow: authenticated
    upstream: app
    forward: {{ identity_headers: {{}} }}
"#,
        proxy = parts.proxy,
        admin = parts.admin,
        authority = parts.authority,
        upstream = json!(parts.upstream),
        certificate = quoted(&parts.certificates.certificate),
        key = quoted(&parts.certificates.key),
    )
}

/// A path as a YAML string (JSON's quoting is YAML's).
fn quoted(path: &Path) -> Value {
    Value::from(path.to_string_lossy())
}

/// Stores the demo's privilege, roles and users unless they are there already, so that `--data` keeps what people changed.
///
/// # Errors
/// When the superuser's password is not the store's, or the authority refuses a call.
pub(super) async fn seed(authority: &Authority, password: &Secret) -> anyhow::Result<()> {
    let client = Caller {
        authority,
        authorization: basic("elastic", password),
    };
    client
        .put(
            "/_security/privilege",
            &json!({"shop": {"orders_read": {"actions": ["data:read/orders"]}}}),
        )
        .await?;
    let reader = json!({"applications": [{"application": "shop", "privileges": ["orders_read"], "resources": ["orders"]}]});
    client.put("/_security/role/orders_reader", &reader).await?;
    client
        .put(
            "/_security/role/shop_admin",
            &json!({"description": "May use /admin of the demo"}),
        )
        .await?;
    for (name, password, _) in USERS {
        let path = format!("/_security/user/{name}");
        if client.send(Method::GET, &path, None).await?.0 == StatusCode::OK {
            continue;
        }
        let roles = match name {
            "alice" => json!(["orders_reader"]),
            "carol" => json!(["shop_admin"]),
            _ => json!([]),
        };
        let user = json!({"password": password, "roles": roles, "email": format!("{name}@example.com"),
            "full_name": format!("{}{} Example", name[..1].to_uppercase(), &name[1..])});
        client.put(&path, &user).await?;
    }
    Ok(())
}

fn basic(username: &str, password: &Secret) -> String {
    let pair = [username.as_bytes(), b":", password.expose()].concat();
    format!("Basic {}", STANDARD.encode(pair))
}

struct Caller<'a> {
    authority: &'a Authority,
    authorization: String,
}

impl Caller<'_> {
    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let (status, answer) = self.send(Method::PUT, path, Some(body)).await?;
        if status == StatusCode::UNAUTHORIZED {
            bail!(
                "the store has another superuser password: set ELASTIC_PASSWORD to it, or choose another --data directory"
            );
        }
        if !status.is_success() {
            bail!("the authority answered {status} to PUT {path}: {answer}");
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or(Body::Empty, |body| Body::full(body.to_string())))?;
        let response = self
            .authority
            .clone()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
        let status = response.status();
        let bytes = response
            .into_body()
            .collect_up_to(1 << 20)
            .await
            .context("the authority's answer broke off")?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}
