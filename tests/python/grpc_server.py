"""A gRPC service on grpcio, messages as plain bytes; prints the port that it listens on.

    grpc_server.py [CERTIFICATE KEY]

Methods of `test.Echo`: Unary (the request again), Down (each byte of the request, a message each), Up (all messages as
one), Both (each message as it comes), Fail (NOT_FOUND), Sleep (for ever; tells by Cancelled how many calls were
cancelled), Large (so many MiB as the request says), Metadata (what it got, and trailing metadata).
"""

import json
import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)
cancelled_calls = 0


def unary(request, context):
    return request


def down(request, context):
    for byte in request:
        yield bytes([byte])


def up(requests, context):
    return b"".join(requests)


def both(requests, context):
    yield from requests


def fail(request, context):
    context.set_trailing_metadata((("reason", "lost"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


def sleep(request, context):
    def ended():
        global cancelled_calls
        cancelled_calls += 1
        cancelled.release()

    over = threading.Event()
    context.add_callback(lambda: (ended(), over.set()))
    over.wait()
    return b""


def count_cancelled(request, context):
    """Waits for one more."""
    cancelled.acquire(timeout=20)
    return str(cancelled_calls).encode()


def large(request, context):
    return b"z" * (int(request) << 20)


def metadata(request, context):
    got = {key: value if isinstance(value, str) else value.hex() for key, value in context.invocation_metadata()}
    context.send_initial_metadata((("first", "1"),))
    context.set_trailing_metadata((("last", "2"), ("blob-bin", b"\x00\xff")))
    return json.dumps(got).encode()


def main():
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Down": grpc.unary_stream_rpc_method_handler(down),
        "Up": grpc.stream_unary_rpc_method_handler(up),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
        "Cancelled": grpc.unary_unary_rpc_method_handler(count_cancelled),
        "Large": grpc.unary_unary_rpc_method_handler(large),
        "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    }
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    if len(sys.argv) > 2:
        certificate, key = (open(path, "rb").read() for path in sys.argv[1:3])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"port {port}", flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
