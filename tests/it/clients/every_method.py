"""Calls every method of `security` and `ssl` of Elastic's Python client: `every_method.py URL sync|async`.

The calls stand in `every_method.json`. A method that the client has and the table has not is a failure, so none is forgotten.
"""

import asyncio
import inspect
import json
import pathlib
import re
import sys

from elasticsearch import ApiError, AsyncElasticsearch, Elasticsearch
from elasticsearch.client import SecurityClient, SslClient

STEPS = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())["steps"]


def methods():
    """What the client has, by reflection."""
    for namespace, kind in [("security", SecurityClient), ("ssl", SslClient)]:
        for name, value in vars(kind).items():
            if not name.startswith("_") and inspect.isfunction(value):
                yield f"{namespace}.{name}"


def fill(value, kept):
    """Puts what earlier steps kept in place of `${name}`."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)}", lambda found: kept[found[1]], value)
    if isinstance(value, list):
        return [fill(item, kept) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, kept) for key, item in value.items()}
    return value


def at(answer, path):
    """The value at a dotted path; a list's elements go by number, and `None` stands for what is not there."""
    if isinstance(answer, dict) and path in answer:
        return answer[path]
    for cut in range(len(path), 0, -1):
        head, rest = path[:cut], path[cut + 1 :]
        if path[cut : cut + 1] not in ("", "."):
            continue
        if isinstance(answer, dict) and head in answer:
            return at(answer[head], rest) if rest else answer[head]
        if isinstance(answer, list) and head.isdigit() and int(head) < len(answer):
            return at(answer[int(head)], rest) if rest else answer[int(head)]
    return None


def check(step, kept, status, body):
    """Whether an answer is what its step says; what is wrong otherwise."""
    if status != step.get("status", 200):
        return f"status {status}: {body}"
    if step.get("reason", "") not in json.dumps(body, ensure_ascii=False):
        return f"no {step['reason']!r} in {body}"
    for path, wanted in step.get("has", {}).items():
        found = at(body, path)
        if found != fill(wanted, kept):
            return f"{path} is {found!r} in {body}"
    for name, path in step.get("keep", {}).items():
        kept[name] = at(body, path)
    return None


def who(credential, kept):
    """A step's credential, as the client's options want it."""
    (kind, value), = credential.items()
    value = fill(value, kept)
    return {"basic_auth": tuple(value)} if kind == "basic" else {"bearer_auth" if kind == "bearer" else kind: value}


def plain(body):
    return body if isinstance(body, (dict, list, str)) or body is None else str(body)


async def run(client, is_async):
    """Takes every step; returns what went wrong."""
    wrong, kept, called, there = [], {}, set(), set(methods())
    for number, step in enumerate(STEPS):
        call = step["call"]
        if call not in there and step.get("may_lack"):
            continue
        called.add(call)
        namespace, method = call.split(".")
        try:
            caller = client.options(**who(step["as"], kept)) if "as" in step else client
            answer = getattr(getattr(caller, namespace), method)(**fill(step.get("with", {}), kept))
            answer = await answer if is_async else answer
            status, body = answer.meta.status, plain(answer.body)
        except ApiError as error:
            status, body = error.meta.status, plain(error.body)
        except Exception as error:
            status, body = 0, repr(error)
        fault = check(step, kept, status, body)
        if fault:
            wrong.append(f"step {number} {call}: {fault}")
    wrong += [f"no step calls {name}" for name in sorted(there - called)]
    return wrong, len(called)


async def main(url, way):
    kind = AsyncElasticsearch if way == "async" else Elasticsearch
    client = kind(url, basic_auth=("elastic", "changeme"), request_timeout=60, max_retries=0)
    wrong, count = await run(client, way == "async")
    if way == "async":
        await client.close()
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"{count} methods")


asyncio.run(main(*sys.argv[1:3]))
