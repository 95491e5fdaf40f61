"""Starts Sidegate and nginx on core 0, each as a TLS proxy before one upstream, for the scripts beside this file."""
import os
import re
import socket
import subprocess
import time


def wait(ready, seconds=20):
    """Waits until `ready()` holds."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Proxy:
    """A running proxy: what it costs, and its end."""

    def __init__(self, name, folder, argv, env=None):
        self.name = name
        self.url = f"https://127.0.0.1:{self.port}"
        log = open(os.path.join(folder, name + ".log"), "w")
        self.process = subprocess.Popen(["taskset", "-c", "0", *argv], env={**os.environ, **(env or {})}, stdout=log, stderr=log)
        wait(lambda: reachable(self.port))

    def pids(self):
        """The process and its children."""
        told = subprocess.run(["ps", "-o", "pid=", "--pid", str(self.process.pid), "--ppid", str(self.process.pid)], capture_output=True, text=True)
        return [int(pid) for pid in told.stdout.split()]

    def cpu(self):
        """CPU seconds so far, of all threads."""
        total = 0
        for pid in self.pids():
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0])
        return total / 1e9

    def memory(self, field):
        """A line of /proc/PID/status in KiB, summed up: VmRSS now, VmHWM at most."""
        return sum(int(re.search(field + r":\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) for pid in self.pids())

    def peak(self):
        return self.memory("VmHWM")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def certificate(folder):
    """A self-signed certificate, P-256, and its key."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    if not os.path.exists(cert):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
            check=True,
            capture_output=True,
        )
    return cert, key


class Nginx(Proxy):
    """nginx as a streaming TLS proxy without any authentication."""

    def __init__(self, folder, upstream):
        self.port = free_port()
        cert, key = certificate(folder)
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w") as file:
            file.write(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err; worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000; client_header_timeout 60s;
  ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{self.port} ssl backlog=4096;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; proxy_max_temp_file_size 0; }} }}
}}
""")
        super().__init__("nginx", folder, ["nginx", "-c", path])


ROUTE = '  - { name: all, match: { path: "/**" }, require: { cluster: [monitor] }, upstream: app, forward: { identity_headers: {} } }\n'


class Sidegate(Proxy):
    """Sidegate with the embedded authority; every request needs a credential and a privilege."""

    def __init__(self, folder, upstream, binary, limits="", routes=ROUTE, more=""):
        self.port, self.admin = free_port(), free_port()
        cert, key = certificate(folder)
        path = os.path.join(folder, "sidegate.yaml")
        with open(path, "w") as file:
            file.write(f"""
listeners:
  - address: 127.0.0.1:{self.port}
    tls: {{ certificates: [{{ certificate: {cert}, key: {key} }}] }}
    limits: {{ max_connections: 30000{limits} }}
admin: {{ address: 127.0.0.1:{self.admin} }}
authority: {{ embedded: {{ superuser_password: "${{ELASTIC_PASSWORD}}" }} }}
upstreams: {{ app: {{ url: "http://127.0.0.1:{upstream}" }} }}
cache: {{ ttl: 600s }}
{more}routes:
{routes}""")
        super().__init__("sidegate", folder, [binary, "run", "--config", path], {"ELASTIC_PASSWORD": "a-password-of-mine", "SIDEGATE_WORKERS": "1"})


class Upstream(Proxy):
    """nginx on core 1, which answers 1 KiB."""

    def __init__(self, folder):
        self.port = free_port()
        path = os.path.join(folder, "upstream.conf")
        with open(path, "w") as file:
            file.write(f"""
daemon off; worker_processes 1; pid {folder}/up.pid; error_log {folder}/up.err;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/ub; proxy_temp_path {folder}/upp; fastcgi_temp_path {folder}/uf; uwsgi_temp_path {folder}/uu; scgi_temp_path {folder}/us;
  server {{ listen 127.0.0.1:{self.port}; location / {{ return 200 "{'x' * 1024}"; }} }} }}
""")
        super().__init__("upstream", folder, ["taskset", "-c", "1", "nginx", "-c", path])
