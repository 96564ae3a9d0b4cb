"""Where integrations lead, end to end: VPC links and targets put beside the APIs, and what the gateway then does."""

import http.server
import json
import socketserver
import threading

import pytest

from conftest import client
from test_vpc_links import NLB, Targets
from turnpike import wait_for


class Named:
    """An origin on a port or a Unix socket that answers with its name, until it is killed."""

    def __init__(self, name, path=None):
        self.name = name

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                text = json.dumps({"name": name, "host": self.headers["Host"], "target": self.path}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def address_string(self):
                return "a client"

            def log_message(self, *_):
                pass

        if path:
            self.server = _UnixServer(str(path), Handler)
            self.target = {"unix": str(path)}
        else:
            self.server = _TcpServer(("127.0.0.1", 0), Handler)
            self.target = {"host": "127.0.0.1", "port": self.server.server_address[1]}
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def kill(self):
        """Refuses new connections and breaks the open ones."""
        self.server.shutdown()
        self.server.server_close()
        self.server.break_connections()
        self.thread.join()


class _Breakable(socketserver.ThreadingMixIn):
    daemon_threads = True

    def get_request(self):
        connection, address = super().get_request()
        self.connections = [*getattr(self, "connections", []), connection]
        return connection, address

    def break_connections(self):
        for connection in getattr(self, "connections", []):
            try:
                connection.shutdown(2)
            except OSError:
                # The handler or the peer has closed it.
                pass


class _TcpServer(_Breakable, socketserver.TCPServer):
    allow_reuse_address = True


class _UnixServer(_Breakable, socketserver.UnixStreamServer):
    pass


@pytest.fixture
def origins():
    """Makes origins by name, and ends those that are left."""
    made = {}

    def make(name, path=None):
        made[name] = Named(name, path)
        return made[name]

    yield make
    for origin in made.values():
        if origin.thread.is_alive():
            origin.kill()


@pytest.fixture
def targets(turnpike):
    return Targets(turnpike)


def through_link(v2, uri="http://pets.internal/v1"):
    """A link and an HTTP API whose `$default` leads through it."""
    link = v2.create_vpc_link(Name="pool", SubnetIds=["subnet-1"])["VpcLinkId"]
    return link, api_leading_to(v2, uri, ConnectionType="VPC_LINK", ConnectionId=link)[0]


def api_leading_to(v2, uri, put_targets=None, **more):
    """An HTTP API whose `$default` goes to one integration, whose targets, if any, are put before it is served."""
    api = v2.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    arguments = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "PayloadFormatVersion": "1.0"}
    integration = v2.create_integration(ApiId=api, IntegrationUri=uri, **arguments, **more)["IntegrationId"]
    if put_targets:
        put_targets("--api", api, "--integration", integration)
    v2.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{integration}")
    return api, integration


def names(turnpike, api, requests=8):
    replies = [turnpike.ask(api, "/x") for _ in range(requests)]
    assert all(reply.status == 200 for reply in replies), replies
    return {reply.json["name"] for reply in replies}


def test_a_link_leads_to_its_targets_and_goes_on_when_one_dies(turnpike, v2, origins, targets):
    link, api = through_link(v2)
    one, two = origins("one"), origins("two")
    turnpike.wait_for(api, "/x", lambda reply: reply.status == 503)
    targets.put("--vpc-link", link, document={"targets": [one.target, two.target]})
    reply = turnpike.wait_for(api, "/x", lambda reply: reply.status == 200)
    assert (reply.json["host"], reply.json["target"]) == ("pets.internal", "/v1/x")
    wait_for(lambda: names(turnpike, api), lambda seen: seen == {"one", "two"})
    two.kill()
    for _ in range(3):
        assert names(turnpike, api) == {"one"}, "a GET that one target failed goes to the other"
    three = origins("three")
    targets.put("--vpc-link", link, document={"targets": [three.target]})
    turnpike.wait_for(api, "/x", lambda reply: reply.json["name"] == "three")
    targets("delete", "--vpc-link", link)
    turnpike.wait_for(api, "/x", lambda reply: reply.status == 503)


def test_a_rest_api_leads_through_the_link_of_its_stage(turnpike, v1, origins, targets):
    made = v1.create_rest_api(name="a")
    api, root = made["id"], made["rootResourceId"]
    x = v1.create_resource(restApiId=api, parentId=root, pathPart="x")["id"]
    key = {"restApiId": api, "resourceId": x, "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")
    connection = {"connectionType": "VPC_LINK", "connectionId": "${stageVariables.link}"}
    arguments = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://pets.internal/v1"}
    v1.put_integration(**key, **arguments, **connection)
    for stage in ("blue", "green"):
        link = v1.create_vpc_link(name=stage, targetArns=[NLB])["id"]
        targets.put("--vpc-link", link, document={"targets": [origins(stage).target]})
        v1.create_deployment(restApiId=api, stageName=stage, variables={"link": link})
    for stage in ("blue", "green"):
        reply = turnpike.wait_for(api, f"/{stage}/x", lambda reply: reply.status == 200)
        assert (reply.json["name"], reply.json["target"]) == (stage, "/v1")


def test_an_integration_leads_to_targets_of_its_own(turnpike, v2, origins, targets, tmp_path):
    host, own = origins("host"), origins("own", tmp_path / "own.sock")
    port = host.target["port"]
    api, integration = api_leading_to(v2, f"http://127.0.0.1:{port}/v1")
    of = ("--api", api, "--integration", integration)
    turnpike.wait_for(api, "/x", lambda reply: reply.status == 200 and reply.json["name"] == "host")
    targets.put(*of, document={"targets": [own.target]})
    reply = turnpike.wait_for(api, "/x", lambda reply: reply.status == 200 and reply.json["name"] == "own")
    assert reply.json["host"] == f"127.0.0.1:{port}", "it still sees its URI's host"
    targets("delete", *of)
    turnpike.wait_for(api, "/x", lambda reply: reply.status == 200 and reply.json["name"] == "host")


def test_a_sick_target_is_left_out_until_it_is_well(turnpike, v2, origins, targets):
    link, api = through_link(v2)
    well, gone = origins("well"), origins("gone")
    gone.kill()
    document = {
        "targets": [well.target, gone.target],
        "healthCheck": {"protocol": "HTTP", "path": "/up", "intervalMs": 50, "timeoutMs": 1000, "unhealthyThreshold": 1},
        "retry": {"triesMax": 1},
        "outlierEjection": None,
        "panicThresholdPercent": 0,
    }
    targets.put("--vpc-link", link, document=document)

    def replies():
        return [turnpike.ask(api, "/x").status for _ in range(8)]

    wait_for(replies, lambda statuses: set(statuses) == {200})


def test_links_survive_a_restart(own_turnpike, origins):
    v2, targets = client("apigatewayv2", own_turnpike), Targets(own_turnpike)
    link, api = through_link(v2)
    targets.put("--vpc-link", link, document={"targets": [origins("one").target]})
    own_turnpike.wait_for(api, "/x", lambda reply: reply.status == 200)
    own_turnpike.wait_until_acknowledged()
    own_turnpike.control.kill()
    own_turnpike.gateway.kill()
    own_turnpike.start_gateway()
    own_turnpike.wait_for(api, "/x", lambda reply: reply.status == 200)
    own_turnpike.start_control()
    targets.put("--vpc-link", link, document={"targets": [origins("two").target]})
    own_turnpike.wait_for(api, "/x", lambda reply: reply.json["name"] == "two")
