"""An origin that speaks HTTP/2 with prior knowledge, on the `h2` package; prints the port that it listens on.

    origin_http2.py [STREAMS_MAX]

Answers with JSON that says what it saw, as the harness's own origin does, with `connection` and `stream` besides; by path:

    /trailers    with trailers                /head-only   with fields alone, which end the stream
    /early       a 103 first                  /large       10 MiB
    /refuse      refuses each other stream    /leave       takes its leave before it answers, and answers
    /away        takes its leave as if it had not seen the request, on each connection's first
    /reset       resets the stream in mid-body             /never       not at all
"""

import json
import socket
import sys
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hyperframe import frame as frames

LARGE_BYTES = 10 * 1024 * 1024


class Connection:
    def __init__(self, number, sock, streams_max):
        self.number, self.sock = number, sock
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        if streams_max:
            setting = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={setting: streams_max})
        self.requests = {}
        self.unsent = {}
        self.refused = 0
        self.answered = 0

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            for event in self.h2.receive_data(data):
                self.handle(event)
                if self.sock.fileno() < 0:
                    return
            self.flush()

    def flush(self):
        try:
            self.sock.sendall(self.h2.data_to_send())
        except OSError:
            pass

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            fields = [(name, value) for name, value in event.headers]
            self.requests[event.stream_id] = {"fields": fields, "body": b"", "trailers": []}
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id]["body"] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.requests[event.stream_id]["trailers"] = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self.answer(event.stream_id, self.requests.pop(event.stream_id))
        elif isinstance(event, h2.events.StreamReset):
            self.requests.pop(event.stream_id, None)
            self.unsent.pop(event.stream_id, None)
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            for stream in list(self.unsent):
                self.push(stream)

    def answer(self, stream, request):
        pseudo = dict(field for field in request["fields"] if field[0].startswith(":"))
        path = pseudo[":path"].split("?")[0]
        seen = {
            "method": pseudo[":method"],
            "target": pseudo[":path"],
            "headers": [field for field in request["fields"] if not field[0].startswith(":")]
            + [["host", pseudo[":authority"]], ["scheme", pseudo[":scheme"]]],
            "body": request["body"].decode(),
            "trailers": request["trailers"],
            "connection": self.number,
            "stream": stream,
        }
        body, trailers = json.dumps(seen).encode(), []
        self.answered += 1
        if path == "/never":
            return
        if path == "/refuse":
            self.refused += 1
            if self.refused % 2:
                self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
                return
        if path == "/away" and self.number == 0:
            self.h2.close_connection(last_stream_id=stream - 2 if stream > 1 else 0)
            self.flush()
            self.sock.shutdown(socket.SHUT_WR)
            return
        if path == "/head-only":
            self.h2.send_headers(stream, [(":status", "200"), ("grpc-status", "5")], end_stream=True)
            return
        if path == "/early":
            self.h2.send_headers(stream, [(":status", "103"), ("link", "</a.css>")])
        if path == "/leave":
            # Not by the library, which would send nothing more.
            self.flush()
            self.sock.sendall(frames.GoAwayFrame(0, last_stream_id=stream).serialize())
        if path == "/large":
            body = b"z" * LARGE_BYTES
        if path == "/trailers":
            trailers = [("x-sum", "7"), ("grpc-status", "0")]
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json"), ("x-origin", "h2")])
        if path == "/reset":
            self.h2.send_data(stream, body)
            self.flush()
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            return
        self.unsent[stream] = [body, trailers]
        self.push(stream)

    def push(self, stream):
        body, trailers = self.unsent[stream]
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if room <= 0:
                self.unsent[stream][0] = body
                return
            self.h2.send_data(stream, body[:room])
            body = body[room:]
            self.flush()
        del self.unsent[stream]
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        else:
            self.h2.end_stream(stream)


def main():
    streams_max = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"port {listener.getsockname()[1]}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), listener.close(), sys.exit(0)), daemon=True).start()
    number = 0
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(number, sock, streams_max).run, daemon=True).start()
        number += 1


if __name__ == "__main__":
    main()
