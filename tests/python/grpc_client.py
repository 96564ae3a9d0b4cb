"""Calls the service of grpc_server.py through a gateway; prints what came as one JSON object.

    grpc_client.py [--authority CERTIFICATE] ADDRESS:PORT HOST CASE [NUMBER]

HOST is the authority that calls go to. The case `calls` makes NUMBER unary calls and counts those that failed.
"""

import argparse
import asyncio
import json
import queue
import time

import grpc

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        trailing = {key: value for key, value in error.trailing_metadata() or ()}
        return {"code": error.code().name, "details": error.details(), "trailing": trailing}
    return {"code": "OK"}


def messages(channel, _):
    unary, down = channel.unary_unary("/test.Echo/Unary"), channel.unary_stream("/test.Echo/Down")
    up, both = channel.stream_unary("/test.Echo/Up"), channel.stream_stream("/test.Echo/Both")
    return {
        "unary": unary(b"hello", timeout=20).decode(),
        "empty": unary(b"", timeout=20).decode(),
        "down": [message.decode() for message in down(b"abc", timeout=20)],
        "none": [message.decode() for message in down(b"", timeout=20)],
        "up": up(iter([b"a", b"b", b"c"]), timeout=20).decode(),
        "both": conversation(both),
    }


def conversation(both):
    """Each message is sent when the one before has come back: neither side may wait for the other's end."""
    sent, outgoing = [], queue.Queue()
    answers = both(iter(outgoing.get, None), timeout=20)
    for number in range(5):
        outgoing.put(str(number).encode())
        sent.append(next(answers).decode())
    outgoing.put(None)
    sent.extend(message.decode() for message in answers)
    return sent


def failures(channel, _):
    fail = channel.unary_unary("/test.Echo/Fail")
    unknown = channel.unary_unary("/test.Echo/Unknown")
    return {
        "fail": refused(lambda: fail(b"", timeout=20)),
        "unknown": refused(lambda: unknown(b"", timeout=20)),
    }


def deadline(channel, _):
    sleep, cancelled = channel.unary_unary("/test.Echo/Sleep"), channel.unary_unary("/test.Echo/Cancelled")
    outcome = refused(lambda: sleep(b"", timeout=0.3))
    return {"sleep": outcome, "cancelled": cancelled(b"", timeout=25).decode()}


def large(channel, mebibytes):
    method, unary = channel.unary_unary("/test.Echo/Large"), channel.unary_unary("/test.Echo/Unary")
    return {
        "down": len(method(str(mebibytes).encode(), timeout=20)),
        "both": len(unary(b"z" * (mebibytes << 20), timeout=20)),
    }


def metadata(channel, _):
    method = channel.unary_unary("/test.Echo/Metadata")
    answer, call = method.with_call(b"", timeout=20, metadata=(("token", "t"), ("raw-bin", b"\x01\xfe")))
    plain = lambda pairs: {key: value if isinstance(value, str) else value.hex() for key, value in pairs}
    return {"got": json.loads(answer), "initial": plain(call.initial_metadata()), "trailing": plain(call.trailing_metadata())}


def unary_refused(channel, _):
    unary = channel.unary_unary("/test.Echo/Unary")
    return {"unary": refused(lambda: unary(b"hello", timeout=20))}


async def calls(address, options, count):
    """Over four channels, 64 calls at a time on each."""
    failed, errors, left, began = 0, {}, count, time.monotonic()
    channels = [grpc.aio.insecure_channel(address, options=[*options, ("number", number)]) for number in range(4)]

    async def caller(method):
        nonlocal failed, left
        while left > 0:
            left -= 1
            try:
                if await method(b"hello", timeout=20) != b"hello":
                    raise ValueError("another's answer")
            except (grpc.RpcError, ValueError) as error:
                failed += 1
                text = str(error)
                errors[text] = errors.get(text, 0) + 1

    methods = [channel.unary_unary("/test.Echo/Unary") for channel in channels]
    await asyncio.gather(*(caller(methods[number % 4]) for number in range(256)))
    for channel in channels:
        await channel.close()
    seconds = time.monotonic() - began
    return {"calls": count, "failed": failed, "calls_per_s": round(count / seconds), "errors": errors}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--authority")
    parser.add_argument("address")
    parser.add_argument("host")
    parser.add_argument("case")
    parser.add_argument("number", type=int, nargs="?", default=0)
    arguments = parser.parse_args()
    options = [*OPTIONS, ("grpc.default_authority", arguments.host)]
    if arguments.case == "calls":
        print(json.dumps(asyncio.run(calls(arguments.address, options, arguments.number))))
        return
    if arguments.authority:
        with open(arguments.authority, "rb") as certificate:
            credentials = grpc.ssl_channel_credentials(certificate.read())
        options.append(("grpc.ssl_target_name_override", arguments.host))
        channel = grpc.secure_channel(arguments.address, credentials, options=options)
    else:
        channel = grpc.insecure_channel(arguments.address, options=options)
    with channel:
        print(json.dumps(globals()[arguments.case](channel, arguments.number)))


if __name__ == "__main__":
    main()
