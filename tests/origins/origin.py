"""A real upstream: Python's own HTTP server. Writes one line of JSON for every request that it understood.

Prints its port first. `target` is what stood in the request line, `path` what an application routes by.
"""

import http.server
import json
import posixpath
import sys
import threading
import urllib.parse

LOCK = threading.Lock()


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body_length(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            total = 0
            while size := int(self.rfile.readline().split(b";")[0], 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return total
        return len(self.rfile.read(int(self.headers.get("content-length", 0))))

    def answer(self):
        seen = {
            "case": self.headers.get("x-case"),
            "id": self.headers.get("x-request-id"),
            "method": self.command,
            "host": self.headers.get("host"),
            "target": self.path,
            "path": posixpath.normpath(urllib.parse.unquote(self.path.split("?")[0])),
            "length": self.body_length(),
        }
        with LOCK:
            sys.stdout.write(json.dumps(seen) + "\n")
            sys.stdout.flush()
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"origin")

    def __getattr__(self, name):
        # Whatever the method.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
print(server.server_address[1], flush=True)
server.serve_forever()
