//! An authority in a process of its own, which several Sidegates ask, and which can go away and come back.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::house::{SUPERUSER, populate, superuser};
use crate::harness::client::Target;
use crate::harness::ports::free_port;
use crate::harness::process::{Process, sidegate};

/// The running authority.
pub(super) struct Registry {
    pub(super) api: Target,
    process: Option<Process>,
    port: u16,
    config: PathBuf,
    folder: TempDir,
}

impl Registry {
    /// With this key of its configuration, people, and a user for Sidegate itself.
    pub(super) fn start(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("authority.yaml");
        let text = format!("authority: {{ embedded: {{ {yaml} }} }}\n");
        std::fs::write(&config, text).unwrap();
        let port = free_port();
        let mut registry = Self {
            api: Target::http(&format!("127.0.0.1:{port}")),
            process: None,
            port,
            config,
            folder,
        };
        registry.restart();
        populate(&|path, body| registry.put(path, body));
        // Exactly what docs/sso.md says that Sidegate needs.
        registry.put(
            "/_security/role/sidegate",
            &serde_json::json!({"cluster": [
                "manage_saml", "manage_oidc", "manage_token", "manage_user_profile", "delegate_pki",
            ]}),
        );
        registry.put(
            "/_security/user/sidegate",
            &serde_json::json!({"password": "sidegate-password", "roles": ["sidegate"]}),
        );
        registry
    }

    fn put(&self, path: &str, body: &Value) -> Value {
        let call = self.api.put_json(path, body).authorization(&superuser());
        call.send().expect(200).json()
    }

    /// What stands under `authority:` of a Sidegate that asks it.
    pub(super) fn yaml(&self) -> String {
        format!(
            "elasticsearch: {{ nodes: [\"http://127.0.0.1:{}\"], timeout: 5s, credential: {{ basic: {{ username: sidegate, password: sidegate-password }} }} }}",
            self.port
        )
    }

    /// Goes away at once.
    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    /// Comes back at the same address with everything it knew.
    pub(super) fn restart(&mut self) {
        self.kill();
        let mut command = sidegate();
        command
            .env("ELASTIC_PASSWORD", SUPERUSER)
            .args(["authority", "--json", "--listen"])
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--data")
            .arg(self.folder.path().join("data"))
            .arg("--config")
            .arg(&self.config);
        let process = Process::spawn(&mut command);
        let ready = process.stdout.find(|line| line.starts_with('{'));
        assert!(ready.is_some(), "{}", process.output());
        self.process = Some(process);
    }
}
