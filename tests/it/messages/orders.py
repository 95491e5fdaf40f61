"""A gRPC service and a client of it, by Google's own library. Messages are plain bytes, so nothing is generated.

server: prints its port, serves until it is killed.
client ADDRESS CA: makes every kind of call through Sidegate and exits well if each came out as it should.
client ADDRESS CA CODE: makes one call and exits well if it is refused with this status.
"""

import base64
import json
import sys
import threading
from concurrent import futures

import grpc

SERVICE = "shop.Orders"


def get(request, context):
    seen = {key: str(value) for key, value in context.invocation_metadata()}
    context.send_initial_metadata((("x-initial", "first"),))
    context.set_trailing_metadata((("x-trailing", "last"), ("x-raw-bin", b"\x00\xff")))
    return json.dumps({"sent": request.decode(), "seen": seen}).encode()


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "100 % ausverkauft: ä")


def listing(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def total(requests, context):
    return b"%d" % sum(int(request) for request in requests)


def chat(requests, context):
    for request in requests:
        yield b"you said " + request


def hang(request, context):
    yield b"one"
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    print("cancelled", flush=True)


def serve():
    methods = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "List": grpc.unary_stream_rpc_method_handler(listing),
        "Total": grpc.stream_unary_rpc_method_handler(total),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Hang": grpc.unary_stream_rpc_method_handler(hang),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def channel(address, ca, user, password=None):
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    if user:
        secret = base64.b64encode(f"{user}:{password or user + '-password'}".encode()).decode()

        def tell(context, callback):
            callback((("authorization", f"Basic {secret}"),), None)

        call = grpc.metadata_call_credentials(tell)
        credentials = grpc.composite_channel_credentials(credentials, call)
    return grpc.secure_channel(address, credentials)


def expect(what, wanted):
    assert what == wanted, f"{what!r} is not {wanted!r}"


def refused(call, code, reason=None):
    try:
        call()
    except grpc.RpcError as error:
        expect(error.code(), code)
        if reason:
            metadata = dict(error.initial_metadata() or ()) | dict(error.trailing_metadata() or ())
            expect(metadata.get("x-sidegate-refusal"), reason)
        return error
    raise AssertionError(f"not refused with {code}")


def calls(address, ca):
    alice = channel(address, ca, "alice")
    unary = alice.unary_unary(f"/{SERVICE}/Get")
    answer, call = unary.with_call(b"hello", metadata=(("x-forwarded-user", "root"), ("x-own", "mine")), timeout=30)
    answer = json.loads(answer)
    expect(answer["sent"], "hello")
    expect(answer["seen"]["x-forwarded-user"], "alice")
    expect(answer["seen"]["x-own"], "mine")
    assert "authorization" not in answer["seen"], answer
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    expect(initial["x-initial"], "first")
    expect((trailing["x-trailing"], trailing["x-raw-bin"]), ("last", b"\x00\xff"))

    error = refused(lambda: alice.unary_unary(f"/{SERVICE}/Fail")(b"", timeout=30), grpc.StatusCode.FAILED_PRECONDITION)
    expect(error.details(), "100 % ausverkauft: ä")
    refused(lambda: alice.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=30), grpc.StatusCode.UNIMPLEMENTED)

    listed = list(alice.unary_stream(f"/{SERVICE}/List")(b"1000", timeout=30))
    expect(listed, [b"%d" % number for number in range(1000)])
    expect(alice.stream_unary(f"/{SERVICE}/Total")((b"%d" % n for n in range(1000)), timeout=30), b"499500")

    # In turns: nothing is held back in either direction.
    turn = threading.Semaphore(1)

    def talk():
        for number in range(50):
            turn.acquire()
            yield b"%d" % number

    heard = 0
    for said in alice.stream_stream(f"/{SERVICE}/Chat")(talk(), timeout=60):
        expect(said, b"you said %d" % heard)
        heard += 1
        turn.release()
    expect(heard, 50)

    refused(lambda: list(alice.unary_stream(f"/{SERVICE}/Hang")(b"", timeout=1)), grpc.StatusCode.DEADLINE_EXCEEDED)
    hanging = alice.unary_stream(f"/{SERVICE}/Hang")(b"", timeout=30)
    expect(next(hanging), b"one")
    hanging.cancel()

    nobody, bob = channel(address, ca, None), channel(address, ca, "bob")
    get_as = lambda channel, method="Get": lambda: channel.unary_unary(f"/{SERVICE}/{method}")(b"", timeout=30)
    refused(get_as(nobody), grpc.StatusCode.UNAUTHENTICATED, "no_credential")
    refused(get_as(bob), grpc.StatusCode.PERMISSION_DENIED, "forbidden")
    nowhere = lambda: alice.unary_unary("/other.Service/Get")(b"", timeout=30)
    refused(nowhere, grpc.StatusCode.UNIMPLEMENTED, "no_route")
    dead = lambda: alice.unary_unary("/dead.Service/Get")(b"", timeout=30)
    refused(dead, grpc.StatusCode.UNAVAILABLE, "upstream_connect")
    refused(lambda: list(bob.stream_stream(f"/{SERVICE}/Chat")(iter([b"x"]), timeout=30)), grpc.StatusCode.PERMISSION_DENIED)
    mallory = channel(address, ca, "mallory")
    refused(get_as(mallory), grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
    # A refused credential is known; another one is a guess.
    guessing = channel(address, ca, "mallory", "a guess")
    error = refused(get_as(guessing), grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many_failures")
    assert int(dict(error.initial_metadata() or ()) .get("grpc-retry-pushback-ms")
               or dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms")) > 0


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve()
    elif len(sys.argv) == 4:
        calls(sys.argv[2], sys.argv[3])
    else:
        address, ca, code = sys.argv[2:]
        root = channel(address, ca, "root")
        refused(lambda: root.unary_unary(f"/{SERVICE}/Get")(b"", timeout=30), grpc.StatusCode[code])
