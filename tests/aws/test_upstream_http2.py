"""Targets that speak nothing but HTTP/2: by prior knowledge over http://, by ALPN over https://."""

import functools
import json
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

import pki
from test_upstreams import api_leading_to
from test_vpc_links import Targets


class Http2Origin:
    """Answers each request with what it saw; a connection that begins with anything but HTTP/2 is closed."""

    def __init__(self, context=None):
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = {"host": "127.0.0.1", "port": self.listener.getsockname()[1]}
        self.connections = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def stop(self):
        # Wakes the thread that accepts, which closing alone doesn't.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.threads[0].join()
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It is closed already.
                pass
        for thread in self.threads[1:]:
            thread.join()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.context:
                # Hands are shaken in the connection's own thread.
                connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            with connection:
                if self.context:
                    connection.do_handshake()
                self._converse(connection)
        except (OSError, h2.exceptions.ProtocolError):
            # Whoever connected doesn't believe this origin, or doesn't speak HTTP/2; or the test is over.
            pass

    def _converse(self, connection):
        spoken = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        spoken.initiate_connection()
        connection.sendall(spoken.data_to_send())
        requests = {}
        while data := connection.recv(65_536):
            for event in spoken.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    requests[event.stream_id] = (dict(event.headers), bytearray())
                elif isinstance(event, h2.events.DataReceived):
                    requests[event.stream_id][1].extend(event.data)
                    spoken.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self._answer(spoken, event.stream_id, *requests.pop(event.stream_id))
            connection.sendall(spoken.data_to_send())

    @staticmethod
    def _answer(spoken, stream, headers, body):
        seen = {"headers": headers, "body": body.decode()}
        spoken.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        spoken.send_data(stream, json.dumps(seen).encode(), end_stream=True)


@pytest.fixture
def origin_of():
    started = []

    def start(context=None):
        started.append(Http2Origin(context))
        return started[-1]

    yield start
    for origin in started:
        origin.stop()


def check(turnpike, api, scheme):
    reply = turnpike.wait_for(api, "/x?y=z", lambda reply: reply.status == 200)
    seen = reply.json["headers"]
    assert (seen[":method"], seen[":path"], seen[":scheme"]) == ("GET", "/v1/x?y=z", scheme)
    assert seen[":authority"] == "pets.internal"
    posted = turnpike.ask(api, "/x", "POST", "b" * 1_000)
    assert (posted.status, posted.json["body"]) == (200, "b" * 1_000)
    assert posted.json["headers"][":method"] == "POST"


def test_a_link_leads_to_http2_targets_by_prior_knowledge(turnpike, v2, origin_of):
    link = v2.create_vpc_link(Name="pool", SubnetIds=["subnet-1"])["VpcLinkId"]
    through = {"ConnectionType": "VPC_LINK", "ConnectionId": link}
    api, _ = api_leading_to(v2, "http://pets.internal/v1", **through)
    targets = Targets(turnpike)
    document = {"targets": [origin_of().target, origin_of().target], "retry": {"triesMax": 1}}
    targets.put("--vpc-link", link, document=document)
    turnpike.wait_for(api, "/x", lambda reply: reply.status in (502, 503, 504))
    targets.put("--vpc-link", link, document={**document, "protocolVersion": "HTTP2"})
    check(turnpike, api, "http")


def test_an_integration_leads_to_http2_targets_by_alpn(turnpike, v2, origin_of, tmp_path):
    issued = pki.issue("pets.internal", ["pets.internal"])
    (tmp_path / "certificate").write_bytes(issued.certificate)
    (tmp_path / "key").write_bytes(issued.private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    context.set_alpn_protocols(["h2"])
    origin = origin_of(context)
    document = {"targets": [origin.target], "protocolVersion": "HTTP2", "tls": {"caPem": issued.certificate.decode()}}
    put_targets = functools.partial(Targets(turnpike).put, document=document)
    api, _ = api_leading_to(v2, "https://pets.internal/v1", put_targets)
    check(turnpike, api, "https")
