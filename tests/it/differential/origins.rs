//! Upstreams as people run them, each telling how it read what reached it.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use crate::harness::process::Process;
use crate::harness::tools;

/// One request as an upstream read it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Seen {
    /// Which case it belongs to; none: nobody sent such a request.
    pub(crate) case: Option<String>,
    /// The id that Sidegate gave it.
    pub(crate) id: Option<String>,
    pub(crate) method: String,
    pub(crate) host: Option<String>,
    /// As it stood in the request line.
    pub(crate) target: String,
    /// Decoded and resolved, as an application there routes by it.
    pub(crate) path: String,
    /// Bytes of the body, where the server tells.
    pub(crate) length: Option<usize>,
}

/// A running upstream.
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    /// For `upstreams`, in flow form.
    pub(crate) keys: String,
    process: Process,
    _folder: Option<TempDir>,
}

impl Origin {
    /// Node's `http` module.
    pub(crate) fn node() -> Option<Self> {
        let node = tools::find("node", "an upstream in Node")?;
        Some(Self::script("node", &node, "origin.mjs"))
    }

    /// Python's `http.server`.
    pub(crate) fn python() -> Option<Self> {
        let python = tools::find("python3", "an upstream in Python")?;
        Some(Self::script("python", &python, "origin.py"))
    }

    fn script(name: &'static str, program: &Path, file: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/origins")
            .join(file);
        let process = Process::spawn(Command::new(program).arg(script));
        let port = process
            .stdout
            .find(|line| line.parse::<u16>().is_ok())
            .expect("it prints its port");
        Self {
            name,
            keys: format!("url: \"http://127.0.0.1:{port}\""),
            process,
            _folder: None,
        }
    }

    /// nginx, which tells in its access log. Its line for a request may come after the answer.
    pub(crate) fn nginx() -> Option<Self> {
        let nginx = tools::find("nginx", "an upstream")?;
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let config = format!(
            "daemon off; master_process off; error_log stderr notice; pid {at}/pid;\nevents {{}}\nhttp {{\n\
             log_format seen escape=json '{{\"case\":\"$http_x_case\",\"id\":\"$http_x_request_id\",\
             \"method\":\"$request_method\",\"host\":\"$http_host\",\"target\":\"$request_uri\",\"path\":\"$uri\"}}';\n\
             access_log /dev/stdout seen;\n client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; \
             fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n\
             keepalive_requests 100000; server {{ listen unix:{at}/s; location / {{ return 200 origin; }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let process = Process::spawn(
            Command::new(nginx)
                .arg("-p")
                .arg(folder.path())
                .arg("-c")
                .arg(folder.path().join("nginx.conf")),
        );
        // Its sockets are bound before it tells this.
        process
            .stderr
            .find(|line| line.contains("getrlimit("))
            .expect("nginx is up");
        Some(Self {
            name: "nginx",
            keys: format!("url: \"unix:{at}/s\""),
            process,
            _folder: Some(folder),
        })
    }

    /// Everything seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let text = self.process.stdout.text();
        let lines = text.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| {
                let mut seen: Seen =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
                // nginx has no word for "absent".
                seen.case = seen.case.filter(|case| !case.is_empty());
                seen
            })
            // nginx tells of requests, too, that it could not read and refused.
            .filter(|seen| !seen.method.is_empty())
            .collect()
    }

    /// Waits until a line about this case is there.
    pub(crate) fn wait_for(&self, case: &str) {
        let wanted = format!("\"{case}\"");
        let found = self.process.stdout.find(|line| line.contains(&wanted));
        assert!(found.is_some(), "{} never told of {case}", self.name);
    }
}
