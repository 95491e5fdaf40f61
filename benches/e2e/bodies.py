#!/usr/bin/env python3
"""Large bodies through Sidegate and through nginx, side by side: 1 GiB down and 1 GiB up over TLS, HTTP/1.1.

The proxy is alone on core 0, client (curl) and upstream on core 1. Sidegate checks a credential and a privilege, nginx nothing.
Told per gibibyte: CPU seconds of the proxy, wall-clock seconds, and the most memory it had resident.

    benches/e2e/bodies.py [--bin target/release/sidegate] [--gib 1] [--rounds 5]
"""
import argparse
import base64
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import proxies


def upstream(port_file, gib):
    """Sends `gib` GiB of zeros for a GET; swallows whatever else is sent, then answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    with open(port_file, "w") as file:
        file.write(str(listener.getsockname()[1]))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], gib), daemon=True).start()


def serve(connection, gib):
    chunk = bytes(1 << 20)
    buffer = bytearray(1 << 20)
    pending = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in pending:
                more = connection.recv(65536)
                if not more:
                    return
                pending += more
            head, pending = pending.split(b"\r\n\r\n", 1)
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, value = line.split(b":", 1)
                if name.lower() == b"content-length":
                    length = int(value)
            left = length - len(pending)
            pending = b""
            while left > 0:
                left -= connection.recv_into(buffer)
            if head.startswith(b"GET /big"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (gib << 30))
                for _ in range(gib << 10):
                    connection.sendall(chunk)
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def transfer(proxy, way, gib, zeros):
    """One transfer: (CPU seconds, wall seconds), both per GiB."""
    curl = ["taskset", "-c", "1", "curl", "-sS", "-k", "--http1.1", "-o", "/dev/null", "-w", "%{http_code} %{size_upload} %{size_download}"]
    curl += ["-H", "Authorization: Basic " + base64.b64encode(b"elastic:a-password-of-mine").decode(), "-H", "Expect:"]
    if way == "up":
        curl += ["-T", zeros, proxy.url + "/up"]
    else:
        curl += [proxy.url + "/big"]
    cpu, wall = proxy.cpu(), time.monotonic()
    told = subprocess.run(curl, capture_output=True, text=True)
    cpu, wall = proxy.cpu() - cpu, time.monotonic() - wall
    code, *sizes = told.stdout.split()
    if code != "200" or max(map(int, sizes)) != gib << 30:
        sys.exit(f"{proxy.name} {way}: {told.stdout} {told.stderr}")
    return cpu / gib, wall / gib


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="target/release/sidegate")
    parser.add_argument("--gib", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--upstream", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.upstream:
        return upstream(args.upstream[0], int(args.upstream[1]))
    with tempfile.TemporaryDirectory() as folder:
        port_file, zeros = os.path.join(folder, "port"), os.path.join(folder, "zeros")
        with open(zeros, "wb") as file:
            file.truncate(args.gib << 30)
        behind = subprocess.Popen(["taskset", "-c", "1", sys.executable, __file__, "--upstream", port_file, str(args.gib)])
        pair = []
        try:
            proxies.wait(lambda: os.path.exists(port_file) and os.path.getsize(port_file) > 0)
            port = int(open(port_file).read())
            pair += [proxies.Nginx(folder, port), proxies.Sidegate(folder, port, args.bin)]
            for way in ("down", "up"):
                found = {proxy.name: [] for proxy in pair}
                for proxy in pair:
                    transfer(proxy, way, args.gib, zeros)
                for _ in range(args.rounds):
                    for proxy in pair:
                        found[proxy.name].append(transfer(proxy, way, args.gib, zeros))
                for proxy in pair:
                    cpu = statistics.median(x for x, _ in found[proxy.name])
                    wall = statistics.median(x for _, x in found[proxy.name])
                    print(f"{way:4} {proxy.name:8} cpu {cpu:.2f} s/GiB, wall {wall:.2f} s/GiB, peak rss {proxy.peak() >> 10} MiB")
                for name, index in (("cpu", 0), ("wall", 1)):
                    ratios = [ours[index] / theirs[index] for theirs, ours in zip(found["nginx"], found["sidegate"])]
                    print(f"{way:4} {name} ratio to nginx {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
        finally:
            for proxy in pair:
                proxy.stop()
            behind.kill()


if __name__ == "__main__":
    main()
