//! The demo policy: the routes as configuration text, and the users, roles and privileges they ask for.
//!
//! The routes go through the same parser and checks as an operator's file, and the users are stored through the same API an
//! operator would call, so that nothing works in the demo only.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::identity_provider::CLIENT_ID;
use crate::authority::Authority;
use crate::config::default;
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
    pub(super) sso: Option<&'a SingleSignOn>,
}

/// What `--sso` adds.
pub(super) struct SingleSignOn {
    /// Where browsers find the proxy.
    pub(super) public_url: String,
    /// The demo identity provider.
    pub(super) issuer: String,
    /// File of the client's secret there.
    pub(super) secret: PathBuf,
}

/// Name of the realm, and of the way to log in that uses it.
const REALM: &str = "demo";

/// Where the demo identity provider sends people back to.
pub(super) fn callback(public_url: &str) -> String {
    format!("{public_url}{}oidc/{REALM}/callback", default::SSO_PREFIX)
}

/// Where it sends them after a logout.
pub(super) fn after_logout(public_url: &str) -> String {
    format!("{public_url}{}logged-out", default::SSO_PREFIX)
}

impl SingleSignOn {
    /// The realm, as part of the embedded authority's settings.
    fn realm(&self) -> String {
        format!(
            r#", realms: {{ oidc: {{ {REALM}: {{
      order: 1,
      rp: {{
        client_id: {CLIENT_ID}, client_secret: {secret}, redirect_uri: {callback}, response_type: code,
        requested_scopes: [openid, profile, email, groups], signature_algorithm: ES256, post_logout_redirect_uri: {after_logout} }},
      op: {{ issuer: {issuer} }},
      claims: {{ principal: sub, groups: groups, name: name, mail: email }} }} }} }}"#,
            secret = json!(format!("file:{}", self.secret.display())),
            callback = json!(callback(&self.public_url)),
            after_logout = json!(after_logout(&self.public_url)),
            issuer = json!(self.issuer),
        )
    }

    /// The section of single sign-on itself.
    fn section(&self) -> String {
        format!(
            r#"sso:
  public_url: {public_url}
  providers:
    - {{ name: {REALM}, login: {{ oidc: {{ realm: {REALM} }} }}, description: Demo identity provider, hint: for development only }}
    - {{ name: password, login: password }}
"#,
            public_url = json!(self.public_url),
        )
    }
}

/// The configuration of `sidegate dev`, as an operator would write it.
pub(super) fn configuration(parts: &Parts<'_>) -> String {
    let data = parts
        .data
        .map_or_else(String::new, |path| format!("data: {}, ", quoted(path)));
    let realm = parts.sso.map_or_else(String::new, SingleSignOn::realm);
    let section = parts.sso.map_or_else(String::new, SingleSignOn::section);
    format!(
        r#"listeners:
  - name: proxy
    address: {proxy}
    tls: {{ certificates: [{{ certificate: {certificate}, key: {key} }}] }}
admin: {{ address: {admin} }}
authority:
  embedded: {{ {data}address: {authority}{realm} }}
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
{section}"#,
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

/// Gives people of the demo identity provider the demo's roles, by their groups there.
///
/// # Errors
/// When the authority refuses a call.
pub(super) async fn map_groups(authority: &Authority, password: &Secret) -> anyhow::Result<()> {
    let client = Caller {
        authority,
        authorization: basic("elastic", password),
    };
    for (group, role) in [("readers", "orders_reader"), ("admins", "shop_admin")] {
        let rules =
            json!({"all": [{"field": {"realm.name": REALM}}, {"field": {"groups": group}}]});
        let mapping = json!({"enabled": true, "roles": [role], "rules": rules});
        let path = format!("/_security/role_mapping/demo_{group}");
        client.put(&path, &mapping).await?;
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
