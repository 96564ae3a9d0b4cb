"""A gRPC origin and a gRPC client, both grpcio's own: unary calls whose replies are checked.

    grpc_calls.py serve
    grpc_calls.py call ADDR:PORT --authority NAME --calls N --in-flight N --channels N
"""

import argparse
import asyncio
import collections
import itertools
import json
import time

import grpc

SERVICE = "turnpike.bench.Echo"
METHOD = "Reverse"
CALL_TIMEOUT_S = 10


def reply_to(request):
    return request[::-1]


async def reverse(request, context):
    context.set_trailing_metadata((("x-length", str(len(request))),))
    return reply_to(request)


async def serve():
    server = grpc.aio.server()
    # Without serialisers, messages are bytes.
    methods = {METHOD: grpc.unary_unary_rpc_method_handler(reverse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"grpc origin ready listen=127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


async def one_call(method, request):
    """What is wrong with the answer; None for a right one."""
    try:
        call = method(request, timeout=CALL_TIMEOUT_S)
        reply = await call
        trailers = dict(await call.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    if reply != reply_to(request):
        return "another reply than the origin's"
    if trailers.get("x-length") != str(len(request)):
        return "the origin's trailers are missing"
    return None


async def call(arguments):
    # Channels to one address would share a connection.
    options = [("grpc.default_authority", arguments.authority), ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(arguments.target, options=options) for _ in range(arguments.channels)]
    numbers = iter(range(arguments.calls))
    failures = collections.Counter()

    async def work(channel):
        method = channel.unary_unary(f"/{SERVICE}/{METHOD}")
        for number in numbers:
            failure = await one_call(method, b"call %d" % number)
            if failure is not None:
                failures[failure] += 1

    began = time.monotonic()
    workers = itertools.islice(itertools.cycle(channels), arguments.in_flight)
    await asyncio.gather(*(work(channel) for channel in workers))
    seconds = time.monotonic() - began
    for channel in channels:
        await channel.close()
    most_frequent = next((failure for failure, _ in failures.most_common(1)), None)
    report = {"calls": arguments.calls, "failed": failures.total(), "seconds": seconds, "failure": most_frequent}
    print(json.dumps(report))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    caller = commands.add_parser("call")
    caller.add_argument("target")
    caller.add_argument("--authority", required=True)
    for count in ("calls", "in-flight", "channels"):
        caller.add_argument(f"--{count}", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve() if arguments.command == "serve" else call(arguments))


if __name__ == "__main__":
    main()
