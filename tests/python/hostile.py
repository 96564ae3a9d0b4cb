"""A client of HTTP/2 that sends any frames, by name of a case; prints what came back as one JSON object.

    hostile.py ADDRESS:PORT HOST CASE [NUMBER]

`goaway` is the last GOAWAY's error, `resets` the errors of streams that were reset, by stream, `statuses` those of
answers, `closed` whether the connection was ended, `data_bytes` what came of bodies.
"""

import json
import socket
import sys
import time

import hpack
from h2.errors import ErrorCodes
from hyperframe import frame as frames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_SECONDS = 20


class Client:
    def __init__(self, address, host, settings=None):
        name, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((name, int(port)), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = host
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.buffer = b""
        self.next_stream = 1
        self.seen = {"goaway": None, "resets": {}, "statuses": {}, "closed": False, "data_bytes": 0, "trailers": {}}
        self.bodies = {}
        self.ended = set()
        self.raw(PREFACE)
        self.send(frames.SettingsFrame(0, settings=settings or {}))

    def raw(self, data):
        """False once the other side has ended the connection."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def send(self, *sent):
        return self.raw(b"".join(frame.serialize() for frame in sent))

    def fields(self, method="GET", path="/", extra=(), without=(), authority=None):
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority or self.host)]
        return [field for field in fields if field[0] not in without] + list(extra)

    def headers(self, fields, end_stream=True, end_headers=True, block=None):
        stream = self.next_stream
        self.next_stream += 2
        frame = frames.HeadersFrame(stream, data=self.encoder.encode(fields) if block is None else block)
        if end_headers:
            frame.flags.add("END_HEADERS")
        if end_stream:
            frame.flags.add("END_STREAM")
        return stream, frame

    def request(self, **options):
        end_stream = options.pop("end_stream", True)
        stream, frame = self.headers(self.fields(**options), end_stream)
        self.send(frame)
        return stream

    def receive(self, enough=lambda seen: False, seconds=PATIENCE_SECONDS, acknowledge=True):
        """Reads until `enough`, the end of the connection, or the end of patience."""
        end = time.monotonic() + seconds
        while not self.seen["closed"] and not enough(self):
            frame = self.frame(end)
            if frame is None:
                return
            self.take(frame, acknowledge)

    def frame(self, end):
        while True:
            if len(self.buffer) >= 9:
                frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    frame.parse_body(memoryview(self.buffer[9 : 9 + length]))
                    self.buffer = self.buffer[9 + length :]
                    return frame
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            except OSError:
                data = b""
            if not data:
                self.seen["closed"] = True
                return None
            self.buffer += data

    def take(self, frame, acknowledge):
        if isinstance(frame, frames.GoAwayFrame):
            self.seen["goaway"] = ErrorCodes(frame.error_code).name
            self.seen["last_stream"] = frame.last_stream_id
        elif isinstance(frame, frames.RstStreamFrame):
            self.seen["resets"][frame.stream_id] = ErrorCodes(frame.error_code).name
            self.ended.add(frame.stream_id)
        elif isinstance(frame, frames.HeadersFrame):
            fields = dict(self.decoder.decode(frame.data))
            if ":status" in fields:
                self.seen["statuses"][frame.stream_id] = int(fields[":status"])
            else:
                self.seen["trailers"][frame.stream_id] = fields
        elif isinstance(frame, frames.DataFrame):
            self.seen["data_bytes"] += len(frame.data)
            self.bodies[frame.stream_id] = self.bodies.get(frame.stream_id, b"") + frame.data
        elif isinstance(frame, frames.SettingsFrame):
            self.seen.setdefault("settings", {}).update(frame.settings)
            if acknowledge and "ACK" not in frame.flags:
                self.send(frames.SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, frames.PingFrame) and acknowledge and "ACK" not in frame.flags:
            self.send(frames.PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
        if "END_STREAM" in frame.flags:
            self.ended.add(frame.stream_id)


def ended(*streams):
    return lambda client: all(stream in client.ended for stream in streams)


def flood(client, sent, count):
    data = sent if isinstance(sent, bytes) else sent.serialize()
    for _ in range(count // 100):
        if not client.raw(data * 100):
            break
    client.receive()


def settings_flood(client, count):
    flood(client, frames.SettingsFrame(0, settings={frames.SettingsFrame.INITIAL_WINDOW_SIZE: 1000}), count)


def ping_flood(client, count):
    flood(client, frames.PingFrame(0, opaque_data=b"12345678"), count)


def priority_flood(client, count):
    flood(client, frames.PriorityFrame(1, depends_on=0, stream_weight=7), count)


def window_update_flood(client, count):
    flood(client, frames.WindowUpdateFrame(0, window_increment=1), count)


def other_flood(client, count):
    """Of a type that nobody knows."""
    flood(client, b"\0\0\1\xfa\0\0\0\0\0x", count)


def empty_data_flood(client, count):
    stream = client.request(method="POST", end_stream=False)
    flood(client, frames.DataFrame(stream, data=b""), count)


def rapid_reset(client, count):
    for _ in range(count):
        stream, headers = client.headers(client.fields(path="/slow"))
        if not client.send(headers, frames.RstStreamFrame(stream, error_code=ErrorCodes.CANCEL)):
            break
    client.receive()


def provoked_resets(client, count):
    """MadeYouReset: each request is followed by a frame that the server has to answer with a reset."""
    for _ in range(count):
        stream, headers = client.headers(client.fields(path="/slow"))
        if not client.send(headers, frames.WindowUpdateFrame(stream, window_increment=(1 << 31) - 1)):
            break
    client.receive()


def continuation_flood(client, count):
    stream, headers = client.headers([], end_headers=False, block=b"")
    client.send(headers)
    flood(client, frames.ContinuationFrame(stream, data=b""), count)


def header_bomb(client, count):
    """One long field, added to the compression table and then named by a single byte, again and again."""
    block = client.encoder.encode(client.fields())
    block += b"\x40\x04bomb" + b"\x7f" + bytes([0x80 | ((3900 - 127) & 0x7F), (3900 - 127) >> 7]) + b"x" * 3900
    block += b"\xbe" * count
    _, headers = client.headers([], block=block)
    client.send(headers)
    client.receive()


def slow_fields(client, _):
    client.receive(lambda client: client.seen.get("settings") is not None)
    _, headers = client.headers(client.fields(), end_headers=False)
    client.send(headers)
    client.receive(acknowledge=False)


def slow_preface(client, _):
    client.receive()


def slow_frame(client, _):
    _, headers = client.headers(client.fields())
    client.receive(lambda client: client.seen.get("settings") is not None)
    client.raw(headers.serialize()[:12])
    client.receive(acknowledge=False)


def zero_window(client, _):
    client.send(frames.SettingsFrame(0, settings={frames.SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    stream = client.request()
    client.receive(ended(stream))


def tiny_windows(client, _):
    client.send(frames.SettingsFrame(0, settings={frames.SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    stream = client.request()
    while stream not in client.ended and not client.seen["closed"]:
        before = client.seen["data_bytes"]
        client.send(frames.WindowUpdateFrame(stream, window_increment=1))
        client.receive(lambda client: client.seen["data_bytes"] > before or stream in client.ended)


def stream_window_overflow(client, _):
    stream = client.request(path="/slow")
    client.send(frames.WindowUpdateFrame(stream, window_increment=(1 << 31) - 1))
    client.receive(ended(stream))


def connection_window_overflow(client, _):
    client.send(frames.WindowUpdateFrame(0, window_increment=(1 << 31) - 1))
    client.receive()


def upload_beyond_the_window(client, _):
    """One byte more than the stream's window, once the setting that makes it so small is in force."""
    client.receive(lambda client: client.seen.get("settings") is not None)
    stream = client.request(method="POST", path="/slow", end_stream=False)
    client.send(frames.DataFrame(stream, data=b"x" * 1025))
    client.receive(ended(stream))


def slow_body(client, _):
    stream = client.request(method="POST", end_stream=False)
    client.send(frames.DataFrame(stream, data=b"some"))
    client.receive(ended(stream))


def too_many_streams(client, count):
    streams = [client.request(path="/slow") for _ in range(count)]
    client.receive(lambda client: client.seen["resets"])
    assert streams


def idle(client, _):
    client.receive()


def idle_after_a_request(client, _):
    client.receive(ended(client.request()))
    client.receive()


def drain(client, _):
    """Tells the test that a request is under way, and goes on when the gateway drains."""
    stream = client.request(path="/slow")
    print("ready", flush=True)
    client.receive(lambda client: client.seen["goaway"])
    print("told", flush=True)
    client.receive(ended(stream))
    client.receive()


def malformed(client, _):
    """Each in a stream of its own; all streams are to be reset, and the connection to go on."""
    requests = {
        "connection": (client.fields(extra=[("connection", "close")]), True),
        "transfer-encoding": (client.fields(method="POST", extra=[("transfer-encoding", "chunked")]), False),
        "keep-alive": (client.fields(extra=[("keep-alive", "5")]), True),
        "proxy-connection": (client.fields(extra=[("proxy-connection", "close")]), True),
        "upgrade": (client.fields(extra=[("upgrade", "h2c")]), True),
        "te": (client.fields(extra=[("te", "gzip")]), True),
        "no method": (client.fields(without=[":method"]), True),
        "no path": (client.fields(without=[":path"]), True),
        "no path, no authority": (client.fields(without=[":path", ":authority"], extra=[("host", client.host)]), True),
        "empty path": (client.fields(path=""), True),
        "no scheme": (client.fields(without=[":scheme"]), True),
        "method twice": (client.fields(extra=[(":method", "GET")]), True),
        "path behind a field": (client.fields(without=[":path"], extra=[("a", "1"), (":path", "/")]), True),
        "a status": (client.fields(extra=[(":status", "200")]), True),
        "another host": (client.fields(extra=[("host", "other.example")]), True),
        "space before a value": (client.fields(extra=[("a", " 1")]), True),
        "tab behind a value": (client.fields(extra=[("a", "1\t")]), True),
        "length without a body": (client.fields(method="POST", extra=[("content-length", "3")]), True),
        "two lengths": (client.fields(method="POST", extra=[("content-length", "3"), ("content-length", "4")]), False),
        "no number": (client.fields(method="POST", extra=[("content-length", "+3")]), False),
    }
    outcome = {}
    for name, (fields, ends) in requests.items():
        stream, headers = client.headers([], ends, block=raw_block(fields))
        client.send(headers)
        client.receive(ended(stream), seconds=5)
        outcome[name] = client.seen["resets"].get(stream) or str(client.seen["statuses"].get(stream))
    for name, bodies in {"body too short": [b"ab"], "body too long": [b"abc", b"d"]}.items():
        stream = client.request(method="POST", extra=[("content-length", "3")], end_stream=False)
        last = frames.DataFrame(stream, data=bodies[-1], flags=["END_STREAM"])
        client.send(*[frames.DataFrame(stream, data=body) for body in bodies[:-1]], last)
        client.receive(ended(stream), seconds=5)
        outcome[name] = client.seen["resets"].get(stream) or str(client.seen["statuses"].get(stream))
    client.receive(ended(client.request()))
    client.seen["outcome"] = outcome


def upper_case_name(client, _):
    _, headers = client.headers([], block=raw_block(client.fields(extra=[("X-Upper", "1")])))
    client.send(headers)
    client.receive()


def raw_block(fields):
    """Literal fields without indexing or compression, so that nothing is corrected on the way."""
    block = b""
    for name, value in fields:
        block += b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return block


def answered(client, _):
    """What is unusual and allowed, or refused with an answer."""
    requests = {
        "te: trailers": client.fields(extra=[("te", "trailers")]),
        "host alone": client.fields(without=[":authority"], extra=[("host", client.host)]),
        "host as the authority": client.fields(extra=[("host", client.host.upper())]),
        "cookies": client.fields(extra=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]),
        "connect": [(":method", "CONNECT"), (":authority", client.host)],
        "options *": client.fields(method="OPTIONS", path="*"),
        "no host at all": client.fields(without=[":authority"]),
        "relative path": client.fields(path="pets"),
        "expectation": client.fields(extra=[("expect", "miracle")]),
    }
    outcome = {}
    for name, fields in requests.items():
        stream, headers = client.headers([], block=raw_block(fields))
        client.send(headers)
        client.receive(ended(stream), seconds=5)
        status = client.seen["resets"].get(stream) or client.seen["statuses"].get(stream)
        outcome[name] = [status, client.bodies.get(stream, b"").decode()]
    client.seen["outcome"] = outcome


def upload_with_trailers(client, _):
    stream = client.request(method="POST", end_stream=False)
    _, trailers = client.headers([("x-sum", "7"), ("content-length", "9")])
    trailers.stream_id = stream
    client.send(frames.DataFrame(stream, data=b"abc"), frames.DataFrame(stream, data=b"def"), trailers)
    client.receive(ended(stream))
    client.seen["body"] = client.bodies[stream].decode()


def main():
    address, host, case = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    client = Client(address, host)
    globals()[case](client, count)
    client.seen.pop("settings", None)
    print(json.dumps(client.seen))


if __name__ == "__main__":
    main()
