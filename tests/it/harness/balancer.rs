//! nginx as people run it in front: TLS for browsers, plain HTTP behind, requests spread over replicas at random.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::eventually;
use super::process::Process;
use super::tools;

/// A running nginx.
pub(crate) struct Balancer {
    process: Process,
    folder: TempDir,
}

impl Balancer {
    /// `https://localhost:{port}` in front of these replicas, with the certificate `{stem}.crt` and `.key` in `site`.
    /// `None` after saying that the test is skipped.
    pub(crate) fn start(
        port: u16,
        site: &Path,
        stem: &str,
        replicas: &[SocketAddr],
    ) -> Option<Self> {
        let nginx = tools::find("nginx", "a balancer in front of replicas")?;
        let folder = tempfile::tempdir().unwrap();
        let servers: String = replicas
            .iter()
            .map(|address| format!("server {address} max_fails=1 fail_timeout=1s;"))
            .collect();
        let d = folder.path().display();
        let certificate = site.join(stem);
        let certificate = certificate.display();
        let config = format!(
            "daemon off; master_process off; pid {d}/nginx.pid; error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {d}/body; proxy_temp_path {d}/proxy;
  fastcgi_temp_path {d}/fastcgi; uwsgi_temp_path {d}/uwsgi; scgi_temp_path {d}/scgi;
  large_client_header_buffers 8 32k;
  upstream replicas {{ random; {servers} }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate}.crt; ssl_certificate_key {certificate}.key;
    location / {{
      proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection \"\";
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https; proxy_connect_timeout 1s;
      proxy_buffer_size 32k; proxy_buffers 8 32k; proxy_busy_buffers_size 64k;
    }}
  }}
}}"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let process = Process::spawn(
            Command::new(nginx)
                .args(["-e", "stderr", "-p"])
                .arg(folder.path())
                .arg("-c")
                .arg(&path),
        );
        let balancer = Self { process, folder };
        balancer.wait(port);
        Some(balancer)
    }

    fn wait(&self, port: u16) {
        let listens = eventually(|| {
            assert!(
                !self.process.stderr.is_closed(),
                "nginx ended in {}\n{}",
                self.folder.path().display(),
                self.process.output()
            );
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(listens, "nginx does not listen\n{}", self.process.output());
    }
}
