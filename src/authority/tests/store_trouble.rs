//! Rows that can't be read, jobs that panic, disks that fill up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadableDatabase as _, StorageBackend, TableDefinition};
use serde_json::{Map, Value, json};

use super::{Node, options};
use crate::authority::Options;
use crate::authority::database::StoreFile;
use crate::authority::record::Profile;
use crate::authority::store::{FILE, Identity, Store, WriteError};
use crate::wire::principals::RealmRef;

fn in_directory(directory: &std::path::Path) -> Options {
    Options {
        data: Some(directory.to_owned()),
        ..options()
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!({"a": inner}))
}

#[tokio::test]
async fn metadata_that_was_accepted_is_there_after_a_restart_however_deep() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::open(in_directory(directory.path())).await;
    let mut accepted = Vec::new();
    for depth in [
        1, 50, 90, 95, 98, 99, 100, 110, 120, 123, 124, 125, 126, 127,
    ] {
        let name = format!("k{depth}");
        let key = json!({"name": name, "metadata": nested(depth)});
        let answer = node.elastic("PUT", "/_security/api_key", key).await;
        if answer.status == 200 {
            accepted.push(name);
        } else {
            assert_eq!(answer.status, 400, "{}", answer.text);
            assert!(answer.reason().contains("nesting depth"), "{}", answer.text);
        }
        // The owner's roles stand deeper in a key than in a role.
        let role = json!({"metadata": nested(depth)});
        let role = node.elastic("PUT", "/_security/role/deep", role).await;
        assert!([200, 400].contains(&role.status), "{}", role.text);
        let user =
            json!({"password": "joe-password", "roles": ["deep"], "metadata": nested(depth)});
        let user = node.elastic("PUT", "/_security/user/joe", user).await;
        assert!([200, 400].contains(&user.status), "{}", user.text);
        let grant =
            json!({"grant_type": "password", "username": "joe", "password": "joe-password"});
        node.done("POST", "/_security/oauth2/token", grant).await;
        let grant = json!({
            "grant_type": "password", "username": "joe", "password": "joe-password",
            "api_key": {"name": "granted", "metadata": {}},
        });
        node.done("POST", "/_security/api_key/grant", grant).await;
    }
    assert!(accepted.len() > 3 && accepted.len() < 10, "{accepted:?}");
    drop(node);
    let node = Node::open(in_directory(directory.path())).await;
    for name in accepted {
        let found = node
            .done(
                "GET",
                &format!("/_security/api_key?name={name}"),
                Value::Null,
            )
            .await;
        assert_eq!(found["api_keys"][0]["name"], name);
    }
}

const ROLES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("roles");
const UNREADABLE: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("unreadable");

#[tokio::test]
async fn a_row_that_cannot_be_read_is_set_aside_and_everything_else_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let node = Node::open(in_directory(directory.path())).await;
    node.done("PUT", "/_security/role/good", json!({})).await;
    drop(node);
    let deep = format!("{{\"metadata\":{}}}", nested(127));
    for _ in 0..2 {
        let database = Database::open(&path).unwrap();
        let write = database.begin_write().unwrap();
        let mut roles = write.open_table(ROLES).unwrap();
        roles.insert("bad", deep.as_bytes()).unwrap();
        drop(roles);
        write.commit().unwrap();
        drop(database);
        let node = Node::open(in_directory(directory.path())).await;
        let roles = node
            .done("GET", "/_security/role/good,bad", Value::Null)
            .await;
        assert_eq!(roles.as_object().unwrap().len(), 1, "{roles}");
        node.done("PUT", "/_security/role/bad", json!({})).await;
        node.done("DELETE", "/_security/role/bad", Value::Null)
            .await;
    }
    let database = Database::open(&path).unwrap();
    let read = database.begin_read().unwrap();
    let aside = read.open_table(UNREADABLE).unwrap();
    for key in ["roles/bad", "roles/bad'"] {
        assert_eq!(aside.get(key).unwrap().unwrap().value(), deep.as_bytes());
    }
}

fn identity() -> Identity {
    Identity {
        cluster_uuid: "uuid".to_owned(),
        node_id: "node".to_owned(),
    }
}

fn profile(data: Map<String, Value>) -> Profile {
    let user = crate::authority::record::ProfileUser {
        username: "joe".to_owned(),
        roles: Vec::new(),
        realm: RealmRef {
            name: "native".to_owned(),
            kind: "native".to_owned(),
            domain: None,
        },
        email: None,
        full_name: None,
    };
    Profile {
        enabled: true,
        last_synchronized: 0,
        user,
        labels: Map::new(),
        data,
        seq_no: 0,
    }
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written_and_neighbours_are() {
    let store = Store::open(None, &identity()).unwrap();
    let deep = Map::from_iter([("a".to_owned(), nested(130))]);
    let refused = store.write(move |drafts| {
        drafts.profiles.put("deep", profile(deep));
        Ok::<(), ()>(())
    });
    let fine = store.write(|drafts| {
        drafts.profiles.put("fine", profile(Map::new()));
        Ok::<(), ()>(())
    });
    let (refused, fine) = tokio::join!(refused, fine);
    assert!(matches!(refused, Err(WriteError::Unavailable)));
    assert!(fine.is_ok());
    assert!(store.tables().profiles.find("deep").is_none());
    assert!(store.tables().profiles.find("fine").is_some());
}

#[tokio::test]
async fn a_job_that_panics_changes_nothing_and_ends_nothing() {
    let store = Store::open(None, &identity()).unwrap();
    let panicked = store.write(|drafts| -> Result<(), ()> {
        drafts.profiles.put("half", profile(Map::new()));
        panic!("a bug in a job");
    });
    assert!(matches!(panicked.await, Err(WriteError::Unavailable)));
    let next = store.write(|drafts| {
        drafts.profiles.put("next", profile(Map::new()));
        Ok::<(), ()>(())
    });
    assert!(next.await.is_ok());
    assert!(store.tables().profiles.find("half").is_none());
    assert!(store.is_writable());
}

/// A disk in memory that outlives its openings and can be full.
#[derive(Clone, Debug, Default)]
struct Disk {
    memory: Arc<redb::backends::InMemoryBackend>,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> Result<(), io::Error> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn open(&self) -> Result<Database, redb::Error> {
        let database = Database::builder().create_with_backend(self.clone())?;
        Ok(database)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.check()?;
        self.memory.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_until_there_is_room_again() {
    let disk = Disk::default();
    let again = disk.clone();
    let file = StoreFile::new(disk.open().unwrap(), move || again.open());
    let store = Store::over(file, None, &identity()).unwrap();
    let put = |key: &'static str| {
        store.write(move |drafts| {
            drafts.profiles.put(key, profile(Map::new()));
            Ok::<(), ()>(())
        })
    };
    put("before").await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(put("lost").await, Err(WriteError::Unavailable)));
        assert!(!store.is_writable());
        assert!(store.tables().profiles.find("before").is_some());
        assert!(store.tables().profiles.find("lost").is_none());
    }
    disk.full.store(false, Ordering::SeqCst);
    put("after").await.unwrap();
    assert!(store.is_writable());
    for (key, there) in [("before", true), ("lost", false), ("after", true)] {
        assert_eq!(store.tables().profiles.find(key).is_some(), there, "{key}");
    }
    drop(store);
    let reopened = Store::over(
        StoreFile::new(disk.open().unwrap(), || Err(redb::Error::PreviousIo)),
        None,
        &identity(),
    );
    assert!(reopened.unwrap().tables().profiles.find("after").is_some());
}
