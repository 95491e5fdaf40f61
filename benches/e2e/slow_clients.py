#!/usr/bin/env python3
"""How long good clients wait while thousands of slow ones hang on, at Sidegate and at nginx.

Each slow client opens a TLS connection and sends one byte of a request's head per second; who is cut comes again. The good ones are
wrk's: 16 keep-alive connections. The proxy is alone on core 0, all clients and the upstream on core 1, so the p99 without slow clients is told beside it.

    benches/e2e/slow_clients.py [--bin target/release/sidegate] [--slow 5000] [--secs 5] [--rounds 3]
"""
import argparse
import asyncio
import base64
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile

import proxies

HEAD = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + b"x" * 10_000


async def crawl(port, context, alive, number, many):
    """One slow client: a byte per second, for ever. They come within ten seconds, not all at once."""
    await asyncio.sleep(10 * number / many)
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, ssl_handshake_timeout=60)
        except (OSError, ssl.SSLError):
            await asyncio.sleep(1)
            continue
        alive[0] += 1
        for byte in HEAD:
            if reader.at_eof() or writer.is_closing():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(1)
        alive[0] -= 1
        writer.close()


async def crowd(port, many):
    """All slow clients; says on stdout how many hang on, once that is nearly all."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    alive = [0]
    tasks = [asyncio.create_task(crawl(port, context, alive, number, many)) for number in range(many)]
    while alive[0] < many * 0.9:
        await asyncio.sleep(0.2)
    print(alive[0], flush=True)
    await asyncio.gather(*tasks)


def good(proxy, secs):
    """(p50, p99) in milliseconds, requests per second."""
    credential = "Authorization: Basic " + base64.b64encode(b"elastic:a-password-of-mine").decode()
    told = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{secs}s", "--latency", "-H", credential, proxy.url + "/good"], capture_output=True, text=True
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        sys.exit(f"{proxy.name}: {told}")
    unit = {"us": 0.001, "ms": 1, "s": 1000}
    at = [float(number) * unit[name] for number, name in re.findall(r"(?:50|99)%\s+([\d.]+)(us|ms|s)", told)]
    return at[0], at[1], float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="target/release/sidegate")
    parser.add_argument("--slow", type=int, default=5000)
    parser.add_argument("--secs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crowd", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if args.crowd:
        return asyncio.run(crowd(*args.crowd))
    with tempfile.TemporaryDirectory() as folder:
        behind = proxies.Upstream(folder)
        pair = []
        try:
            # Longer than the default of 10 s, so that the slow ones stay: nginx's own default is 60 s.
            pair += [proxies.Nginx(folder, behind.port), proxies.Sidegate(folder, behind.port, args.bin, ", header_timeout: 60s")]
            for proxy in pair:
                good(proxy, 1)
                alone, among = [], []
                for _ in range(args.rounds):
                    alone.append(good(proxy, args.secs))
                before = proxy.memory("VmRSS")
                slow = subprocess.Popen(["taskset", "-c", "1", sys.executable, __file__, "--crowd", str(proxy.port), str(args.slow)], stdout=subprocess.PIPE, text=True)
                try:
                    hanging = int(slow.stdout.readline())
                    memory = (proxy.memory("VmRSS") - before) / hanging
                    for _ in range(args.rounds):
                        among.append(good(proxy, args.secs))
                finally:
                    slow.kill()
                for what, rows in (("alone", alone), (f"with {hanging} slow", among)):
                    p50, p99, rps = (statistics.median(column) for column in zip(*rows))
                    print(f"{proxy.name:8} {what:16} p50 {p50:.2f} ms, p99 {p99:.2f} ms, {rps:.0f} requests/s")
                print(f"{proxy.name:8} {memory:.1f} KiB resident per slow client")
        finally:
            for proxy in pair:
                proxy.stop()
            behind.stop()


if __name__ == "__main__":
    main()
