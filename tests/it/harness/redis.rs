//! A real Redis, which can be killed and come back with what it knew.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::pki::Authority;
use super::ports::free_port;
use super::process::Process;
use super::tools;

/// The ACL user of a server with TLS, and its password.
pub(crate) const USER: &str = "sidegate";
pub(crate) const PASSWORD: &str = "redis-password-canary";

/// A running `redis-server`. Ends with this value.
pub(crate) struct Redis {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    secured: bool,
    process: Option<Process>,
}

impl Redis {
    /// Plain TCP, nobody asked for a password. `None` after saying that the test is skipped.
    pub(crate) fn plain() -> Option<Self> {
        Self::start(false)
    }

    /// TLS with a throwaway CA, no default user, and one user who may touch keys below `sidegate:` only.
    pub(crate) fn secured() -> Option<Self> {
        Self::start(true)
    }

    fn start(secured: bool) -> Option<Self> {
        let program = tools::find("redis-server", "sessions in Redis")?;
        let folder = tempfile::tempdir().unwrap();
        if secured {
            let ca = Authority::new();
            ca.write_ca(folder.path());
            ca.write_leaf(folder.path(), "redis", &["localhost", "127.0.0.1"]);
        }
        let mut redis = Self {
            program,
            folder,
            port: free_port(),
            secured,
            process: None,
        };
        redis.restart();
        Some(redis)
    }

    /// Starts it again where it was, with every write that it ever acknowledged.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path().display().to_string();
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--dir", &folder, "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--daemonize", "no"]);
        if self.secured {
            command.args(["--port", "0", "--tls-port", &port]);
            for (option, file) in [("cert", "redis.crt"), ("key", "redis.key")] {
                command.arg(format!("--tls-{option}-file"));
                command.arg(format!("{folder}/{file}"));
            }
            command.args(["--tls-ca-cert-file", &format!("{folder}/ca.pem")]);
            command.args(["--tls-auth-clients", "no", "--user", "default", "off"]);
            let password = format!(">{PASSWORD}");
            command.args([
                "--user",
                USER,
                "on",
                &password,
                "~sidegate:*",
                "&sidegate:*",
            ]);
            command.args(["+@all", "-@admin", "-@dangerous", "-keys"]);
        } else {
            command.args(["--port", &port]);
        }
        let process = Process::spawn(&mut command);
        let ready = |line: &str| line.contains("Ready to accept connections");
        assert!(process.stdout.find(ready).is_some(), "{}", process.output());
        self.process = Some(process);
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it in its tracks: it takes connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        self.process.as_ref().expect("running").signal(name);
    }

    /// Forgets everything, as a server without a disk does when it starts again.
    pub(crate) fn forget(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("appendonlydir")).unwrap();
        self.restart();
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Keys below `sso.session.store.redis` that reach it, in flow form.
    pub(crate) fn yaml(&self) -> String {
        let address = self.address();
        if !self.secured {
            return format!("{{ address: \"{address}\" }}");
        }
        let ca = self.folder.path().join("ca.pem");
        format!(
            "{{ address: \"{address}\", tls: true, ca: {}, username: {USER}, password: {PASSWORD} }}",
            ca.display()
        )
    }

    /// Every byte of every key and value it keeps: the log of all writes.
    pub(crate) fn everything(&self) -> String {
        let folder = self.folder.path().join("appendonlydir");
        let mut all = String::new();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            all.push_str(&String::from_utf8_lossy(
                &std::fs::read(entry.path()).unwrap(),
            ));
        }
        all
    }
}
