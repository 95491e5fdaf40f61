//! What logins by SAML leave in the audit log.

use super::*;
use crate::authority::audit::Audit;
use crate::authority::audit::event::{Event, Events};
use crate::authority::realm::saml::forge::*;
use crate::telemetry::audit::AuditLog;

#[tokio::test]
async fn the_audit_log_tells_who_was_let_in_and_that_somebody_was_not() {
    let memory = Captured::default();
    let log = AuditLog::into_stream(Box::new(memory.clone())).unwrap();
    let events = Events::of([Event::AuthenticationSuccess, Event::AuthenticationFailed]);
    let files = Files::make();
    let realm = Realm {
        name: "saml1".to_owned(),
        kind: RealmKind::Saml(Box::new(files.settings())),
    };
    let clock = Clock::manual(Duration::from_secs(NOW));
    let options = Options {
        realms: vec![realm],
        audit: Audit::to(log.clone(), events),
        ..options()
    };
    let authority = Authority::open(options, clock.clone()).await.unwrap();
    let node = Node { authority, clock };
    let text = STANDARD.encode(usual(&assertion()));
    for ids in [json!(["_other"]), json!(["_request"])] {
        let body = json!({"content": text, "ids": ids});
        node.elastic("POST", "/_security/saml/authenticate", body)
            .await;
    }
    log.flush();
    let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event.type"] == "transport")
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["event.action"], &line["user.name"]))
        .collect();
    let (failed, succeeded) = (
        json!("authentication_failed"),
        json!("authentication_success"),
    );
    let (nobody, alice) = (json!("<unauthenticated-saml-user>"), json!("alice"));
    assert_eq!(told, [(&failed, &nobody), (&succeeded, &alice)], "{text}");
    assert_eq!(lines[1]["user.realm"], "saml1");
    assert_eq!(
        lines[0]["action"],
        "cluster:admin/xpack/security/saml/authenticate"
    );
}
