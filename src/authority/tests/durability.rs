//! What survives, what does not, and the superuser's first password.

use serde_json::{Value, json};

use super::{Node, basic, options};
use crate::authority::control;
use crate::authority::migration::{FORMAT, MigrationError};
use crate::authority::realm::service::ServiceCredential;
use crate::authority::store::{FILE, Identity, Store};
use crate::authority::{Authority, OpenError, Options, store};
use crate::model::clock::Clock;
use crate::model::secret::Secret;

fn in_directory(directory: &std::path::Path) -> Options {
    Options {
        data: Some(directory.to_owned()),
        ..options()
    }
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("deep/er");
    let node = Node::open(in_directory(&data)).await;
    node.user_with("joe", json!({"cluster": ["monitor"]})).await;
    node.done(
        "PUT",
        "/_security/privilege",
        json!({"app": {"p": {"actions": ["a:b"]}}}),
    )
    .await;
    let key = node
        .done(
            "PUT",
            "/_security/api_key",
            json!({"name": "k", "metadata": {"a": 1}}),
        )
        .await;
    let grant = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let pair = node.done("POST", "/_security/oauth2/token", grant).await;
    node.done(
        "PUT",
        "/_security/user/kibana_system/_password",
        json!({"password": "kibana-password"}),
    )
    .await;
    let uuid = node.done("GET", "/", Value::Null).await["cluster_uuid"].clone();
    drop(node);

    let node = Node::open(Options {
        superuser_password: Some(Secret::from("another")),
        ..in_directory(&data)
    })
    .await;
    assert_eq!(
        node.done("GET", "/", Value::Null).await["cluster_uuid"],
        uuid,
        "and the first password counts"
    );
    let credentials = [
        basic("joe", "joe-password"),
        basic("kibana_system", "kibana-password"),
        format!("ApiKey {}", key["encoded"].as_str().unwrap()),
        format!("Bearer {}", pair["access_token"].as_str().unwrap()),
    ];
    for credential in credentials {
        let who = node
            .with(&credential, "GET", "/_security/_authenticate", &Value::Null)
            .await;
        assert_eq!(who.status, 200, "{}", who.text);
    }
    assert_eq!(
        node.done("GET", "/_security/role/joe", Value::Null).await["joe"]["cluster"],
        json!(["monitor"])
    );
    assert_eq!(
        node.elastic("GET", "/_security/privilege/app/p", Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn service_tokens_and_profiles_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::open(in_directory(directory.path())).await;
    let path = "/_security/service/elastic/kibana/credential/token/t";
    let made = node.done("PUT", path, Value::Null).await;
    let grant =
        json!({"grant_type": "password", "username": "elastic", "password": super::PASSWORD});
    let profile = node
        .done("POST", "/_security/profile/_activate", grant)
        .await;
    drop(node);
    let node = Node::open(in_directory(directory.path())).await;
    let auth = format!("Bearer {}", made["token"]["value"].as_str().unwrap());
    let who = node
        .with(&auth, "GET", "/_security/_authenticate", &Value::Null)
        .await;
    assert_eq!(who.json()["username"], "elastic/kibana");
    let path = format!("/_security/profile/{}", profile["uid"].as_str().unwrap());
    assert_eq!(
        node.done("GET", &path, Value::Null).await["profiles"][0],
        profile
    );
}

#[tokio::test]
async fn a_copy_taken_while_it_runs_holds_every_acknowledged_write() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::open(in_directory(directory.path())).await;
    for name in ["a", "b", "c"] {
        node.user_with(name, json!({})).await;
    }
    // As after `kill -9`: nothing was closed.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join(FILE), copy.path().join(FILE)).unwrap();
    let restored = Node::open(in_directory(copy.path())).await;
    for name in ["a", "b", "c"] {
        assert_eq!(
            restored
                .elastic("GET", &format!("/_security/user/{name}"), Value::Null)
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn no_secret_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::open(in_directory(directory.path())).await;
    node.user_with("joe", json!({})).await;
    let key = node
        .done("PUT", "/_security/api_key", json!({"name": "k"}))
        .await;
    let grant = json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
    let first = node.done("POST", "/_security/oauth2/token", grant).await;
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]});
    let second = node.done("POST", "/_security/oauth2/token", refresh).await;
    let service = "/_security/service/elastic/kibana/credential/token/t";
    let service = node.done("PUT", service, Value::Null).await;
    let service = Secret::from(service["token"]["value"].as_str().unwrap());
    let service = ServiceCredential::parse(&service).unwrap();
    drop(node);
    let bytes = std::fs::read(directory.path().join(FILE)).unwrap();
    let secrets = [
        service.secret.expose_str().unwrap(),
        "joe-password",
        "elastic-password",
        key["api_key"].as_str().unwrap(),
        first["access_token"].as_str().unwrap(),
        first["refresh_token"].as_str().unwrap(),
        second["access_token"].as_str().unwrap(),
        second["refresh_token"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
}

#[tokio::test]
async fn the_superusers_password_is_made_up_once_when_none_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options {
        superuser_password: None,
        ..in_directory(directory.path())
    };
    let node = Node::open(options()).await;
    let password = node
        .authority
        .generated_password()
        .unwrap()
        .expose_str()
        .unwrap()
        .to_owned();
    let who = node
        .with(
            &basic("elastic", &password),
            "GET",
            "/_security/_authenticate",
            &Value::Null,
        )
        .await;
    assert_eq!(who.json()["username"], "elastic");
    drop(node);
    let node = Node::open(options()).await;
    assert!(node.authority.generated_password().is_none());
    assert_eq!(
        node.with(&basic("elastic", &password), "GET", "/", &Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_store_in_use_and_a_newer_format_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::open(in_directory(directory.path())).await;
    let second = Authority::open(in_directory(directory.path()), Clock::system()).await;
    assert!(matches!(
        second,
        Err(OpenError::Store(store::OpenError::File { .. }))
    ));
    drop(node);

    let newer = tempfile::tempdir().unwrap();
    let database = redb::Database::create(newer.path().join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    let meta: redb::TableDefinition<'_, &str, &str> = redb::TableDefinition::new("meta");
    write
        .open_table(meta)
        .unwrap()
        .insert("format", "999")
        .unwrap();
    write.commit().unwrap();
    drop(database);
    let identity = Identity {
        cluster_uuid: "u".to_owned(),
        node_id: "n".to_owned(),
    };
    let opened = Store::open(Some(newer.path()), &identity);
    assert!(matches!(
        opened,
        Err(store::OpenError::Format(MigrationError::Format { found })) if found == "999"
    ));
}

const META: redb::TableDefinition<'static, &str, &str> = redb::TableDefinition::new("meta");

/// What format 1 wrote: the number, and an API key that does not count its updates.
fn write_format_1(path: &std::path::Path) {
    let database = redb::Database::create(path).unwrap();
    let write = database.begin_write().unwrap();
    let mut meta = write.open_table(META).unwrap();
    for (key, value) in [
        ("format", "1"),
        ("cluster_uuid", "uuid"),
        ("node_id", "node"),
    ] {
        meta.insert(key, value).unwrap();
    }
    drop(meta);
    let keys: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("api_keys");
    let key = json!({
        "id": "k1", "name": "old", "kind": "rest", "secret": "x", "creation": 1,
        "expiration": null, "invalidation": null, "roles": {}, "limited_by": {}, "metadata": {},
        "creator": {
            "username": "joe", "roles": [], "full_name": null, "email": null, "metadata": {},
            "realm": {"name": "default_native", "type": "native"},
        },
    });
    let mut table = write.open_table(keys).unwrap();
    table.insert("k1", key.to_string().as_bytes()).unwrap();
    drop(table);
    write.commit().unwrap();
}

fn format_of(path: &std::path::Path) -> String {
    use redb::ReadableDatabase as _;
    let database = redb::Database::open(path).unwrap();
    let read = database.begin_read().unwrap();
    let meta = read.open_table(META).unwrap();
    meta.get("format").unwrap().unwrap().value().to_owned()
}

#[tokio::test]
async fn an_older_format_is_brought_up_to_date_and_the_old_state_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    write_format_1(&path);
    let node = Node::open(in_directory(directory.path())).await;
    assert_eq!(
        node.done("GET", "/", Value::Null).await["cluster_uuid"],
        "uuid"
    );
    let keys = node
        .done("GET", "/_security/api_key?id=k1", Value::Null)
        .await;
    assert_eq!(keys["api_keys"][0]["name"], "old");
    drop(node);
    assert_eq!(format_of(&path), FORMAT.to_string());
    let kept = directory.path().join(format!("{FILE}.format-1"));
    assert_eq!(format_of(&kept), "1");
    // Nothing is migrated twice.
    std::fs::remove_file(&kept).unwrap();
    drop(Node::open(in_directory(directory.path())).await);
    assert!(!kept.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_writes_opens_by_itself_and_holds_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let node = std::sync::Arc::new(Node::open(in_directory(directory.path())).await);
    let writer = std::sync::Arc::clone(&node);
    let writes = tokio::spawn(async move {
        for number in 0..60 {
            writer
                .done("PUT", &format!("/_security/role/r{number}"), json!({}))
                .await;
        }
    });
    node.done(
        "PUT",
        "/_security/role/before",
        json!({"cluster": ["monitor"]}),
    )
    .await;
    let restored = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().to_owned(), restored.path().join(FILE));
    let bytes = tokio::task::spawn_blocking(move || control::request_backup(&from, &to))
        .await
        .unwrap()
        .unwrap();
    writes.await.unwrap();
    assert_eq!(
        bytes,
        std::fs::metadata(restored.path().join(FILE)).unwrap().len()
    );
    let copy = Node::open(in_directory(restored.path())).await;
    assert_eq!(
        copy.done("GET", "/_security/role/before", Value::Null)
            .await["before"]["cluster"],
        json!(["monitor"])
    );
    assert_eq!(
        copy.done("GET", "/", Value::Null).await["cluster_uuid"],
        node.done("GET", "/", Value::Null).await["cluster_uuid"]
    );
}

#[tokio::test]
async fn nobody_answers_on_the_control_socket_of_a_closed_store() {
    let directory = tempfile::tempdir().unwrap();
    drop(Node::open(in_directory(directory.path())).await);
    let target = directory.path().join("copy");
    let refused = control::request_backup(directory.path(), &target);
    assert!(matches!(refused, Err(control::ControlError::Absent { .. })));
    assert!(!target.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_of_one_row_are_serial() {
    let node = std::sync::Arc::new(Node::fresh().await);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let node = std::sync::Arc::clone(&node);
            tokio::spawn(async move { node.done("PUT", "/_security/role/same", json!({})).await })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(task.await.unwrap()["role"]["created"] == true);
    }
    assert_eq!(created, 1);
}
