//! The audit log, read as an operator's tools would.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Node, basic, options};
use crate::authority::Options;
use crate::authority::audit::Audit;
use crate::authority::audit::event::{ALL, Event, Events};
use crate::telemetry::audit::AuditLog;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct Audited {
    pub(super) node: Node,
    log: AuditLog,
    memory: Memory,
}

impl Audited {
    async fn with(events: Events) -> Self {
        Self::open(events, options()).await
    }

    /// With other options, but for the log.
    pub(super) async fn open(events: Events, options: Options) -> Self {
        let memory = Memory::default();
        let log = AuditLog::into_stream(Box::new(memory.clone())).unwrap();
        let node = Node::open(Options {
            audit: Audit::to(log.clone(), events),
            ..options
        })
        .await;
        Self { node, log, memory }
    }

    /// The lines since the last look.
    pub(super) fn lines(&self) -> Vec<Value> {
        self.log.flush();
        let bytes = std::mem::take(&mut *self.memory.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn actions(&self) -> Vec<String> {
        let name = |line: &Value| line["event.action"].as_str().unwrap().to_owned();
        self.lines().iter().map(name).collect()
    }
}

#[tokio::test]
async fn a_request_tells_who_it_was_and_what_was_decided() {
    let audited = Audited::with(Events::of(ALL)).await;
    let node = &audited.node;
    let joe = node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    audited.lines();
    node.with(&joe, "GET", "/", &Value::Null).await;
    node.with(&joe, "GET", "/_security/user", &Value::Null)
        .await;
    node.with(&basic("joe", "wrong"), "GET", "/?x=secret", &Value::Null)
        .await;
    node.with("ApiKey eDp5", "GET", "/", &Value::Null).await;
    node.send("GET", "/_security/role", &[("x-opaque-id", "o-1")], "")
        .await;
    let lines = audited.lines();
    let actions: Vec<&str> = lines
        .iter()
        .map(|line| line["event.action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "authentication_success",
            "access_granted",
            "authentication_success",
            "access_denied",
            "authentication_failed",
            "authentication_failed",
            "anonymous_access_denied",
        ]
    );
    let success = &lines[0];
    assert_eq!(success["type"], "audit");
    assert_eq!(success["timestamp"], "2023-11-14T22:13:20,000+0000");
    assert_eq!(success["event.type"], "rest");
    assert_eq!(
        (&success["user.name"], &success["realm"]),
        (&json!("joe"), &json!("default_native"))
    );
    assert_eq!(success["authentication.type"], "REALM");
    assert_eq!(success["request.method"], "GET");
    assert_eq!(success["request.id"], lines[1]["request.id"]);
    assert_ne!(success["request.id"], lines[2]["request.id"]);
    let denied = &lines[3];
    assert_eq!(denied["event.type"], "transport");
    assert_eq!(denied["action"], "cluster:admin/xpack/security/user/get");
    assert_eq!(denied["user.roles"], json!(["joe"]));
    assert_eq!(
        (&lines[4]["user.name"], &lines[4]["url.path"]),
        (&json!("joe"), &json!("/"))
    );
    assert_eq!(lines[5].get("user.name"), None);
    assert_eq!(lines[6]["opaque_id"], "o-1");
}

#[tokio::test]
async fn acting_as_somebody_else_is_told_whether_it_is_allowed_or_not() {
    let audited = Audited::with(Events::of([Event::RunAsGranted, Event::RunAsDenied])).await;
    let node = &audited.node;
    node.user_with("target", json!({})).await;
    let may = node.user_with("may", json!({"run_as": ["target"]})).await;
    let may_not = node.user_with("may_not", json!({})).await;
    for credential in [&may, &may_not] {
        let headers = [
            ("authorization", credential.as_str()),
            ("es-security-runas-user", "target"),
        ];
        node.send("GET", "/_security/_authenticate", &headers, "")
            .await;
    }
    let lines = audited.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["event.action"], "run_as_granted");
    assert_eq!(lines[1]["event.action"], "run_as_denied");
    for line in &lines {
        assert_eq!(line["user.run_as.name"], "target");
    }
    assert_eq!(lines[1]["user.name"], "may_not");
}

#[tokio::test]
async fn each_event_is_switched_alone() {
    for event in ALL {
        let audited = Audited::with(Events::of([event])).await;
        audited.node.user_with("joe", json!({})).await;
        audited.node.send("GET", "/", &[], "").await;
        let lines = audited.lines();
        let is_change = event == Event::SecurityConfigChange;
        assert!(
            lines.iter().all(|line| if is_change {
                line["event.type"] == "security_config_change"
            } else {
                line["event.action"] == event.name()
            }),
            "{event:?}: {lines:?}"
        );
    }
}

#[tokio::test]
async fn changes_are_told_once_done_and_hold_no_secret() {
    let audited = Audited::with(Events::of([Event::SecurityConfigChange])).await;
    let node = &audited.node;
    node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    let lines = audited.lines();
    assert_eq!(
        lines[0]["put"]["role"],
        json!({"name": "joe", "role_descriptor": {"cluster": ["monitor"]}})
    );
    assert_eq!(
        lines[1]["put"]["user"],
        json!({"name": "joe", "roles": ["joe"], "has_password": true})
    );
    let secret = "hunter2-hunter2";
    node.elastic("PUT", "/_security/role/joe", json!({"cluster": ["nope"]}))
        .await;
    assert_eq!(
        audited.lines(),
        [] as [Value; 0],
        "what was refused changed nothing"
    );
    node.done(
        "PUT",
        "/_security/user/joe/_password",
        json!({"password": secret}),
    )
    .await;
    node.done("PUT", "/_security/user/joe/_disable", Value::Null)
        .await;
    let key = json!({"name": "k", "role_descriptors": {}, "metadata": {"a": 1}});
    let key = node.done("PUT", "/_security/api_key", key).await;
    node.done("DELETE", "/_security/api_key", json!({"ids": [key["id"]]}))
        .await;
    let privilege = json!({"app": {"read": {"actions": ["data:read/*"]}}});
    node.done("PUT", "/_security/privilege", privilege).await;
    node.done("DELETE", "/_security/privilege/app/read", Value::Null)
        .await;
    node.done("DELETE", "/_security/user/joe", Value::Null)
        .await;
    node.done("DELETE", "/_security/role/joe", Value::Null)
        .await;
    audited.log.flush();
    let text = String::from_utf8(audited.memory.0.lock().unwrap().clone()).unwrap();
    for secret in [
        secret,
        key["api_key"].as_str().unwrap(),
        key["encoded"].as_str().unwrap(),
    ] {
        assert!(!text.contains(secret));
    }
    assert_eq!(
        audited.actions(),
        [
            "change_password",
            "change_disable_user",
            "create_apikey",
            "invalidate_apikeys",
            "put_privileges",
            "delete_privileges",
            "delete_user",
            "delete_role",
        ]
    );
}

#[test]
fn every_action_that_writes_has_its_event() {
    use crate::authority::api::TABLE;
    use crate::authority::audit::change::{Called, is_change, of};
    let silent = [
        "user/has_privileges",
        "token/create",
        "token/invalidate",
        "cache/clear",
        "saml/",
        "oidc/",
        "delegate_pki",
        "profile/has_privileges",
        "profile/suggest",
        "/query",
    ];
    for endpoint in TABLE
        .iter()
        .filter(|endpoint| endpoint.methods != [http::Method::GET])
    {
        if endpoint.methods.contains(&http::Method::HEAD)
            || silent.iter().any(|part| endpoint.action.contains(part))
        {
            continue;
        }
        assert!(is_change(endpoint.action), "{}", endpoint.action);
        let called = Called {
            action: endpoint.action,
            path: vec![("name", "n".to_owned())],
            body: bytes::Bytes::from_static(
                b"{\"names\":[\"a\"],\"roles\":{\"a\":{}},\"password\":\"hunter2\",\"access_token\":\"hunter2\",\"refresh_token\":\"hunter2\",\"api_key\":{\"secret\":\"hunter2\"}}",
            ),
        };
        let told = of(
            &called,
            "/x",
            "joe",
            b"{\"api_key\":\"hunter2\",\"token\":{\"value\":\"hunter2\"}}",
        );
        assert!(!told.is_empty(), "{}", endpoint.action);
        if endpoint.action.ends_with("settings/update")
            || endpoint.action.ends_with("privilege/put")
        {
            continue; // Whatever a client writes there is a name or a setting
        }
        let text = format!("{told:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_change_is_told_though_the_client_hung_up() {
    let audited = Audited::with(Events::of([Event::SecurityConfigChange])).await;
    let node = &audited.node;
    let request = http::Request::builder()
        .method(http::Method::PUT)
        .uri("/_security/role/orphan")
        .header("authorization", basic("elastic", super::PASSWORD))
        .header("content-type", "application/json")
        .body(crate::net::http::Body::full("{}".to_owned()))
        .unwrap();
    // Authenticated beforehand, so that nothing but the change itself is waited for.
    node.done("GET", "/", Value::Null).await;
    let mut answer = Box::pin(node.authority.answer(request));
    assert!(futures_util::poll!(&mut answer).is_pending());
    drop(answer);
    let waiting = async {
        loop {
            tokio::task::yield_now().await;
            let told = audited.actions();
            if !told.is_empty() {
                return told;
            }
        }
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), waiting);
    assert_eq!(told.await.unwrap(), ["put_role"]);
    let roles = node
        .done("GET", "/_security/role/orphan", Value::Null)
        .await;
    assert!(roles["orphan"].is_object());
}

#[tokio::test]
async fn a_bad_credential_in_a_body_is_a_failed_authentication() {
    let audited = Audited::with(Events::of([Event::AuthenticationFailed])).await;
    let node = &audited.node;
    let wrong = json!({"grant_type": "password", "username": "joe", "password": "wrong-password"});
    let mut grant = wrong.clone();
    grant["api_key"] = json!({"name": "k"});
    for (path, body, action) in [
        ("/_security/oauth2/token", &wrong, "token/create"),
        ("/_security/api_key/grant", &grant, "api_key/grant"),
        ("/_security/profile/_activate", &wrong, "profile/activate"),
    ] {
        let answer = node.elastic("POST", path, body.clone()).await;
        // A grant's caller is known; only the credential in its body is bad.
        let status = if path.ends_with("grant") { 403 } else { 401 };
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        let lines = audited.lines();
        assert_eq!(lines.len(), 1, "{path}: {lines:?}");
        assert_eq!(lines[0]["event.action"], "authentication_failed");
        assert_eq!(lines[0]["user.name"], "joe");
        let action = format!("cluster:admin/xpack/security/{action}");
        assert_eq!(lines[0]["action"], action);
        assert!(!lines[0].to_string().contains("wrong"), "{lines:?}");
    }
    let joe = basic("joe", "wrong-password");
    let mut last = 0;
    for _ in 0..40 {
        last = node.with(&joe, "GET", "/", &Value::Null).await.status;
        assert_eq!(audited.actions(), ["authentication_failed"]);
    }
    assert_eq!(last, 429);
}
