"""Payload compression of REST APIs with boto3: set, deployed, and seen by clients that ask for it."""

import gzip
import http.client
import json
import subprocess
import zlib

import pytest

from test_command_line import control  # noqa: F401, a fixture

BODY = json.dumps([{"id": number, "type": "dog", "price": 249.99} for number in range(200)])


def exchange(turnpike, api_id, method="GET", body=None, headers=None):
    """Status, header fields and the body's bytes as they came."""
    host = f"{api_id}.execute-api.us-east-1.localhost"
    connection = http.client.HTTPConnection(turnpike.listen, timeout=30)
    try:
        connection.request(method, "/prod", body, {"Host": host, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.fixture
def proxied(v1, origin):
    """A REST API that compresses from 100 bytes on, with what isn't deployed yet."""
    made = v1.create_rest_api(name="compressed", minimumCompressionSize=100)
    assert made["minimumCompressionSize"] == 100
    api_id = made["id"]
    [root] = v1.get_resources(restApiId=api_id)["items"]
    for method in ("GET", "POST"):
        key = {"restApiId": api_id, "resourceId": root["id"], "httpMethod": method}
        v1.put_method(**key, authorizationType="NONE")
        v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod=method, uri=f"{origin.url}/x")
    yield api_id
    v1.delete_rest_api(restApiId=api_id)


def deploy(v1, turnpike, api_id, is_live):
    v1.create_deployment(restApiId=api_id, stageName="prod")
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200 and is_live(reply.headers))


def test_answers_are_compressed_for_who_asks(turnpike, v1, proxied):
    deploy(v1, turnpike, proxied, lambda headers: headers["Vary"] == "Accept-Encoding")
    decoders = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}
    for asked, coding in [("gzip", "gzip"), ("deflate", "deflate"), ("gzip, deflate, br", "gzip"), ("br", None), ("*", None)]:
        status, headers, body = exchange(turnpike, proxied, headers={"Accept-Encoding": asked})
        assert (status, headers["Content-Encoding"]) == (200, coding), asked
        assert json.loads(decoders[coding](body))["method"] == "GET"
    url = f"http://{proxied}.execute-api.us-east-1.localhost:{turnpike.listen.rpartition(':')[2]}/prod"
    done = subprocess.run(["curl", "--silent", "--compressed", "--noproxy", "*", url], capture_output=True, timeout=30)
    assert json.loads(done.stdout)["method"] == "GET", done


def test_requests_are_decompressed(turnpike, v1, proxied):
    deploy(v1, turnpike, proxied, lambda headers: headers["Vary"] == "Accept-Encoding")
    for coding, compress in [("gzip", gzip.compress), ("deflate", zlib.compress)]:
        coded = compress(BODY.encode())
        status, _, body = exchange(turnpike, proxied, "POST", coded, {"Content-Encoding": coding})
        seen = json.loads(body)
        assert (status, seen["body"]) == (200, BODY)
        fields = {name.lower(): value for name, value in seen["headers"].items()}
        assert fields["content-length"] == str(len(BODY)) and "content-encoding" not in fields
    for coding, sent in [("br", BODY.encode()), ("gzip", BODY.encode())]:
        status, _, body = exchange(turnpike, proxied, "POST", sent, {"Content-Encoding": coding})
        assert (status, json.loads(body)) == (415, {"message": "Unsupported Media Type"})


def test_a_change_takes_a_deployment(turnpike, v1, proxied):
    deploy(v1, turnpike, proxied, lambda headers: headers["Vary"] == "Accept-Encoding")
    changed = v1.update_rest_api(restApiId=proxied, patchOperations=[
        {"op": "replace", "path": "/minimumCompressionSize", "value": ""}])
    assert "minimumCompressionSize" not in changed
    _, headers, _ = exchange(turnpike, proxied, headers={"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    deploy(v1, turnpike, proxied, lambda headers: headers["Vary"] is None)
    _, headers, body = exchange(turnpike, proxied, headers={"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] is None and json.loads(body)["method"] == "GET"


def test_it_isnt_listed_as_without_effect(turnpike, v1, proxied):
    assert not any("minimumCompressionSize" in line for line in turnpike.status_lines())


def test_an_http_apis_stage_is_told_by_a_command(turnpike, v2, origin, control):
    api_id = v2.create_api(Name="compressed-http", ProtocolType="HTTP", Target=origin.url)["ApiId"]
    turnpike.wait_for(api_id, "/", lambda reply: reply.status == 200 and reply.headers["Vary"] is None)
    assert json.loads(control("compression", "set", "compressed-http", "$default", 0)) == {"minimumCompressionSize": 0}
    turnpike.wait_for(api_id, "/", lambda reply: reply.headers["Vary"] == "Accept-Encoding")
    host = f"{api_id}.execute-api.us-east-1.localhost"
    connection = http.client.HTTPConnection(turnpike.listen, timeout=30)
    connection.request("POST", "/", gzip.compress(b"abc"), {
        "Host": host, "Content-Encoding": "gzip", "Accept-Encoding": "gzip"})
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Encoding"]) == (200, "gzip")
    assert json.loads(gzip.decompress(response.read()))["body"] == "abc"
    connection.close()
    assert "turned compression off" in control("compression", "delete", api_id, "$default")
    turnpike.wait_for(api_id, "/", lambda reply: reply.headers["Vary"] is None)
    v2.delete_api(ApiId=api_id)
