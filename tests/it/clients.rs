//! Elastic's own clients against the authority: every method they have, everyday use, and the way to a real cluster.
//!
//! The programs are in `clients/`; the calls and what they must answer are in `clients/every_method.json`, for all of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::process::{Dev, end_of};
use crate::harness::tools;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/clients")
        .join(name)
}

/// Runs a client's program against a fresh authority; it must end well.
fn run(program: &Path, name: &str, args: &[&str]) {
    let dev = Dev::start(&[]);
    let mut command = Command::new(program);
    command.env("PYTHONWARNINGS", "ignore");
    command
        .arg(script(name))
        .arg(dev.authority.url())
        .args(args);
    let ended = end_of(&mut command);
    assert_eq!(
        ended.code, 0,
        "{name} {args:?} with {program:?}\n{}{}",
        ended.stdout, ended.stderr
    );
}

#[test]
fn every_method_of_the_python_clients_answers_as_elasticsearch_would() {
    for major in [8, 9] {
        let Some(python) = tools::python_with_client(major) else {
            continue;
        };
        for way in ["sync", "async"] {
            run(&python, "every_method.py", &[way]);
        }
    }
}

#[test]
fn every_method_of_the_javascript_clients_answers_as_elasticsearch_would() {
    for major in [8, 9] {
        let Some((node, folder)) = tools::node_with_client(major) else {
            continue;
        };
        run(&node, "every_method.mjs", &[folder.to_str().unwrap()]);
    }
}

#[test]
fn everyday_use_of_the_python_clients_works_as_documented() {
    for major in [8, 9] {
        if let Some(python) = tools::python_with_client(major) {
            run(&python, "everyday.py", &[]);
        }
    }
}

/// The script that `docs/authority.md` shows for moving, as a file.
fn mover(folder: &Path) -> PathBuf {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/authority.md");
    let page = std::fs::read_to_string(page).unwrap();
    let text = page
        .split("```python mover\n")
        .nth(1)
        .and_then(|rest| rest.split("\n```").next());
    let path = folder.join("move.py");
    std::fs::write(&path, text.expect("a script in the docs")).unwrap();
    path
}

#[test]
fn the_script_in_the_docs_moves_users_roles_mappings_and_privileges_to_another_cluster() {
    let Some(python) = tools::find("python3", "the script that moves users") else {
        return;
    };
    let (old, new) = (Dev::start(&[]), Dev::start(&[]));
    for (path, body) in [
        (
            "/_security/privilege",
            json!({"depot": {"read": {"actions": ["data:read/*"], "metadata": {"n": 1}}}}),
        ),
        (
            "/_security/role/clerk",
            json!({
                "description": "Works here", "cluster": ["monitor"], "metadata": {"v": 1}, "run_as": ["guest"],
                "global": {"application": {"manage": {"applications": ["depot"]}}},
                "indices": [{"names": ["a-*"], "privileges": ["read"], "query": "{\"match_all\":{}}", "field_security": {"grant": ["*"], "except": ["x"]}}],
                "applications": [{"application": "depot", "privileges": ["read"], "resources": ["*"]}],
            }),
        ),
        (
            "/_security/role_mapping/staff",
            json!({"enabled": true, "roles": ["clerk"], "rules": {"field": {"username": "c*"}}, "metadata": {}}),
        ),
        (
            "/_security/user/carla",
            json!({"password": "carla-password", "roles": ["clerk"], "full_name": "Carla", "metadata": {"desk": 7}}),
        ),
        (
            "/_security/user/gone",
            json!({"password": "gone-password", "roles": [], "enabled": false}),
        ),
    ] {
        let call = old.authority.put_json(path, &body);
        call.basic("elastic", "changeme").send().expect(200);
    }
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords.tsv");
    let mut command = Command::new(python);
    command
        .arg(mover(folder.path()))
        .args([old.authority.url(), new.authority.url()])
        .arg(&passwords)
        .env("OLD_USER", "elastic:changeme")
        .env("NEW_USER", "elastic:changeme");
    let ended = end_of(&mut command);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);

    let read = |dev: &Dev, path: &str| -> Value {
        let call = dev.authority.get(path).basic("elastic", "changeme");
        call.send().expect(200).json()
    };
    for path in [
        "/_security/privilege/depot",
        "/_security/role/clerk",
        "/_security/role_mapping/staff",
        "/_security/user/carla,gone",
    ] {
        assert_eq!(read(&old, path), read(&new, path), "{path}");
    }
    let told = std::fs::read_to_string(&passwords).unwrap();
    let password = told
        .lines()
        .find_map(|line| line.strip_prefix("carla\t"))
        .expect("a password");
    let who = new.authority.get("/_security/_authenticate");
    let who = who.basic("carla", password).send().expect(200).json();
    assert_eq!(who["roles"], json!(["clerk"]));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&passwords).unwrap());
    assert_eq!(mode & 0o777, 0o600, "nobody else may read the passwords");
}

#[test]
fn the_docs_name_every_endpoint_there_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/authority.md");
    let page = std::fs::read_to_string(page).unwrap();
    for endpoint in sidegate::authority::api::TABLE {
        let named = page
            .lines()
            .filter(|line| line.starts_with('|') && line.contains(&format!("`{}`", endpoint.path)));
        let named: String = named.collect();
        for method in endpoint.methods {
            let place = (method.as_str(), endpoint.path);
            assert!(named.contains(method.as_str()), "{place:?} is not told");
        }
    }
}
