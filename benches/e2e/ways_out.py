#!/usr/bin/env python3
"""What each way out costs on cache hits: CPU per request of each `forward`, as a ratio to `identity_headers` in the slot beside it.

    benches/e2e/ways_out.py [--bin target/release/sidegate] [--rounds 10]
"""
import argparse
import base64
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request

import proxies

WAYS = {
    "identity_headers": "{ identity_headers: {} }",
    "passthrough": "passthrough",
    "none": "none",
    "token": "{ token: {}, identity_headers: {} }",
    "api_key": "{ api_key: { role_descriptors: {} }, identity_headers: {} }",
    "assertion": "{ assertion: { audience: app }, identity_headers: {} }",
    "elasticsearch": "{ elasticsearch: {} }",
}


def load(proxy, way):
    """CPU microseconds per request of one second's load."""
    credential = "Authorization: Basic " + base64.b64encode(b"elastic:a-password-of-mine").decode()
    before = proxy.cpu()
    told = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c16", "-d1s", "-H", credential, f"{proxy.url}/{way}"], capture_output=True, text=True).stdout
    if "Non-2xx" in told:
        sys.exit(told)
    return (proxy.cpu() - before) * 1e6 / int(re.search(r"(\d+) requests in", told)[1])


def asks(proxy):
    """How often the authority was asked or an exchange was made so far."""
    lines = urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/metrics").read().decode().splitlines()
    counted = [line for line in lines if line.startswith("sidegate_authority_") and "_count" in line or line.startswith("sidegate_exchanges_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="target/release/sidegate")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        key = os.path.join(folder, "sign.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True, capture_output=True)
        routes = "".join(f'  - {{ name: {name}, match: {{ path: "/{name}" }}, allow: authenticated, upstream: app, forward: {way} }}\n' for name, way in WAYS.items())
        behind = proxies.Upstream(folder)
        proxy = proxies.Sidegate(folder, behind.port, args.bin, routes=routes, more=f"assertion: {{ issuer: bench, keys: [{{ key: {key} }}] }}\n")
        try:
            found = {way: [] for way in WAYS}
            for way in WAYS:
                load(proxy, way)
            begun = asks(proxy)
            for turn in range(args.rounds):
                for way in list(WAYS) if turn % 2 else reversed(WAYS):
                    found[way].append(load(proxy, way))
            print("asks and exchanges meanwhile:", asks(proxy) - begun)
            for way, costs in found.items():
                ratios = [cost / plain for cost, plain in zip(costs, found["identity_headers"])]
                print(f"{way:16} {statistics.median(costs):6.1f} us, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
        finally:
            proxy.stop()
            behind.stop()


if __name__ == "__main__":
    main()
