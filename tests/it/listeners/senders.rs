//! Real load balancers as senders of the PROXY protocol.

use std::path::Path;
use std::process::Command;

use crate::harness::client::Target;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::eventually;
use crate::harness::plan::{Plan, Running};
use crate::harness::ports::free_port;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::tools;

fn gate(fake: &FakeElasticsearch, app: &Server) -> Running {
    Plan::with_elasticsearch(fake)
        .upstream("app", app)
        .route("open", "/open", "allow: everyone")
        // Sidegate itself is asked from 127.0.0.1 only; who comes from 127.0.0.2 has to be told.
        .listener("proxy_protocol: { from: [127.0.0.1] }")
        .tls()
        .start()
}

fn connects(target: &Target, process: &Process) {
    let up = eventually(|| {
        std::thread::yield_now();
        assert!(!process.stderr.is_closed(), "{}", process.output());
        target.try_connect().is_ok()
    });
    assert!(up, "{}", process.output());
}

/// A client at 127.0.0.2 whose TLS goes through the load balancer untouched.
fn ask_from_elsewhere(gate: &Running, port: u16) {
    let ca = gate.folder.path().join("ca.pem");
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--interface",
        "127.0.0.2",
    ])
    .args(["--max-time", "30", "--cacert"])
    .arg(ca)
    .arg(format!("https://localhost:{port}/open"))
    .args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    let output = curl.output().expect("curl runs");
    assert!(output.status.success(), "{output:?}");
}

fn told(app: &Server) -> Option<String> {
    let last = app.requests().pop()?;
    last.header("x-forwarded-for").map(str::to_owned)
}

#[test]
fn nginx_tells_its_clients_address() {
    let needed_for = "a real sender of the PROXY protocol";
    let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
    let (Some(nginx), Some(_curl)) = (
        tools::find("nginx", needed_for),
        tools::find("curl", needed_for),
    ) else {
        return;
    };
    if !module.exists() {
        tools::skip("nginx's module `stream` is missing", needed_for);
        return;
    }
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let config = folder.path().join("nginx.conf");
    let text = format!(
        "load_module {}; daemon off; master_process off; pid {}/nginx.pid; error_log stderr warn;
events {{ }}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass {}; proxy_protocol on; }} }}",
        module.display(),
        folder.path().display(),
        gate.proxy.address
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(nginx);
    command
        .args(["-e", "stderr", "-p"])
        .arg(folder.path())
        .arg("-c")
        .arg(&config);
    let process = Process::spawn(&mut command);
    connects(&Target::http(&format!("127.0.0.1:{port}")), &process);
    ask_from_elsewhere(&gate, port);
    assert_eq!(told(&app).as_deref(), Some("127.0.0.2"));
}

#[test]
fn haproxy_tells_its_clients_address_in_both_versions() {
    let needed_for = "a real sender of the PROXY protocol";
    let (Some(haproxy), Some(_curl)) = (
        tools::find("haproxy", needed_for),
        tools::find("curl", needed_for),
    ) else {
        return;
    };
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app);
    for keyword in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"] {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults
  mode tcp
  timeout connect 10s
  timeout client 30s
  timeout server 30s
listen l
  bind 127.0.0.1:{port}
  server gate {} {keyword} check check-send-proxy inter 100ms
",
            gate.proxy.address
        );
        std::fs::write(&config, text).unwrap();
        let process = Process::spawn(Command::new(&haproxy).args(["-db", "-f"]).arg(&config));
        connects(&Target::http(&format!("127.0.0.1:{port}")), &process);
        ask_from_elsewhere(&gate, port);
        assert_eq!(told(&app).as_deref(), Some("127.0.0.2"), "{keyword}");
    }
}
