"""https:// integrations end to end: whom the gateway believes, which name it asks for, what it shows."""

import functools
import http.server
import json
import ssl
import threading

import pytest

import pki
from test_upstreams import api_leading_to
from test_vpc_links import Targets


class TlsOrigin:
    """Answers over TLS with the name that it was asked for (SNI) and the subject of the client's certificate."""

    def __init__(self, issued, directory, clients=None):
        for name, text in (("certificate", issued.certificate + issued.chain), ("key", issued.private_key)):
            (directory / name).write_bytes(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "certificate", directory / "key")
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients)
        asked = self.asked = []
        context.sni_callback = lambda _connection, name, _context: asked.append(name)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                shown = dict(entry[0] for entry in (self.connection.getpeercert() or {}).get("subject", ()))
                text = json.dumps({"host": self.headers["Host"], "client": shown.get("commonName")}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def get_request(self):
                connection, address = super().get_request()
                # Shaken hands in the connection's own thread, by the first read.
                return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                # A gateway that doesn't believe this origin breaks off.
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.target = {"host": "127.0.0.1", "port": self.port}
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def origin_of(tmp_path):
    """Starts a TLS origin, and ends it with the test."""
    started = []

    def start(issued, **arguments):
        directory = tmp_path / f"origin-{len(started)}"
        directory.mkdir()
        started.append(TlsOrigin(issued, directory, **arguments))
        return started[-1]

    yield start
    for origin in started:
        origin.stop()


@pytest.fixture(scope="module")
def authority():
    return pki.issue("an authority of the tests", authority=True)


def served(reply):
    return reply.status == 200


def refused(reply):
    return reply.status in (502, 503, 504)


def test_targets_are_believed_by_their_own_authority_and_name(turnpike, v2, origin_of, authority):
    targets = Targets(turnpike)
    origin = origin_of(pki.issue("cats.internal", ["cats.internal"], by=authority))
    ca = authority.certificate.decode()

    def put_for(*of, **tls):
        targets.put(*of, document={"targets": [origin.target], "tls": tls})

    first = functools.partial(put_for, serverName="cats.internal")
    api, integration = api_leading_to(v2, "https://pets.internal/v1", first)
    put = functools.partial(put_for, "--api", api, "--integration", integration)
    turnpike.wait_for(api, "/x", refused)
    put(serverName="cats.internal", caPem=ca)
    reply = turnpike.wait_for(api, "/x", served)
    assert (reply.json["host"], origin.asked[-1]) == ("pets.internal", "cats.internal")
    put(caPem=ca)
    turnpike.wait_for(api, "/x", refused)
    key = {"ApiId": api, "IntegrationId": integration}
    v2.update_integration(**key, TlsConfig={"ServerNameToVerify": "cats.internal"})
    turnpike.wait_for(api, "/x", served)
    v2.update_integration(**key, TlsConfig={"ServerNameToVerify": "dogs.internal"})
    turnpike.wait_for(api, "/x", refused)
    put(serverName="cats.internal", caPem=pki.issue("another", authority=True).certificate.decode())
    v2.update_integration(**key, TlsConfig={"ServerNameToVerify": ""})
    turnpike.wait_for(api, "/x", refused)
    put(serverName="cats.internal", insecureSkipVerification=True)
    turnpike.wait_for(api, "/x", served)


@pytest.fixture
def rest_stage(v1):
    """Deploys a REST API's `GET /x` to a URI as the stage `prod`; its id."""

    def deploy(uri, **more):
        made = v1.create_rest_api(name="a")
        resource = v1.create_resource(restApiId=made["id"], parentId=made["rootResourceId"], pathPart="x")
        key = {"restApiId": made["id"], "resourceId": resource["id"], "httpMethod": "GET"}
        v1.put_method(**key, authorizationType="NONE")
        v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod="GET", uri=uri, **more)
        v1.create_deployment(restApiId=made["id"], stageName="prod")
        return made["id"]

    return deploy


def test_verification_is_skipped_where_tls_config_says_so(turnpike, rest_stage, origin_of):
    origin = origin_of(pki.issue("localhost", ["localhost"]))
    uri = f"https://localhost:{origin.port}"
    believing = rest_stage(uri, tlsConfig={"insecureSkipVerification": True})
    doubting = rest_stage(uri)
    turnpike.wait_for(believing, "/prod/x", served)
    turnpike.wait_for(doubting, "/prod/x", refused)


def test_a_stage_shows_its_client_certificate(turnpike, v1, rest_stage, origin_of):
    made = v1.generate_client_certificate()
    certificate = made["clientCertificateId"]
    issued = pki.issue("localhost", ["localhost"])
    origin = origin_of(issued, clients=made["pemEncodedCertificate"])
    tls = {"tlsConfig": {"insecureSkipVerification": True}}
    api = rest_stage(f"https://localhost:{origin.port}", **tls)
    turnpike.wait_for(api, "/prod/x", refused)
    patch = [{"op": "replace", "path": "/clientCertificateId", "value": certificate}]
    v1.update_stage(restApiId=api, stageName="prod", patchOperations=patch)
    reply = turnpike.wait_for(api, "/prod/x", served)
    assert reply.json["client"] == f"Turnpike client certificate {certificate}"
    patch = [{"op": "remove", "path": "/clientCertificateId"}]
    v1.update_stage(restApiId=api, stageName="prod", patchOperations=patch)
    turnpike.wait_for(api, "/prod/x", refused)
    v1.delete_client_certificate(clientCertificateId=certificate)


def test_a_link_leads_to_tls_targets(turnpike, v2, v1, origin_of, authority):
    targets = Targets(turnpike)
    made = v1.generate_client_certificate()
    issued = pki.issue("pets.internal", ["pets.internal"], by=authority)
    origin = origin_of(issued, clients=made["pemEncodedCertificate"])
    link = v2.create_vpc_link(Name="pool", SubnetIds=["subnet-1"])["VpcLinkId"]
    through = {"ConnectionType": "VPC_LINK", "ConnectionId": link}
    api, _ = api_leading_to(v2, "https://pets.internal", **through)
    tls = {"caPem": authority.certificate.decode(), "clientCertificate": made["clientCertificateId"]}
    targets.put("--vpc-link", link, document={"targets": [origin.target], "tls": tls})
    reply = turnpike.wait_for(api, "/x", served)
    assert reply.json["client"].endswith(made["clientCertificateId"])
