"""Management requests that are wrong: unsigned, unknown, malformed. Each gets an error that says so."""

import http.client
import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from conftest import client
from turnpike import DEADLINE_S, ask


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response["Error"]
    return error["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def signed(turnpike, method, path, body=b"", headers=None):
    """A correctly signed request with any method, path and body."""
    request = AWSRequest(method, f"{turnpike.api_url}{path}", headers or {}, body)
    SigV4Auth(Credentials(turnpike.access_key_id, turnpike.secret_access_key), "apigateway", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(turnpike.api, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body, dict(request.headers))
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("service,operation", [("apigateway", "get_rest_apis"), ("apigatewayv2", "get_apis")])
def test_a_wrong_secret_is_refused(turnpike, service, operation):
    wrong = client(service, turnpike, aws_secret_access_key="wrong")
    code, status, _ = error_of(getattr(wrong, operation))
    assert (code, status) == ("SignatureDoesNotMatch", 403) or (code, status) == ("InvalidSignatureException", 403)


@pytest.mark.parametrize("service,operation", [("apigateway", "get_rest_apis"), ("apigatewayv2", "get_apis")])
def test_an_unknown_key_is_refused(turnpike, service, operation):
    wrong = client(service, turnpike, aws_access_key_id="AKIANOSUCHKEY0000000")
    code, status, _ = error_of(getattr(wrong, operation))
    assert (code, status) in (("UnrecognizedClientException", 403), ("InvalidClientTokenId", 403))


def test_an_unsigned_request_is_refused(turnpike):
    reply = ask(turnpike.api, turnpike.api, "/v2/apis")
    assert reply.status == 403
    assert reply.headers["x-amzn-ErrorType"]
    assert reply.json["message"]


def test_a_signature_for_another_body_is_refused(turnpike):
    request = AWSRequest("POST", f"{turnpike.api_url}/v2/apis", {}, b'{"name":"a","protocolType":"HTTP"}')
    SigV4Auth(Credentials(turnpike.access_key_id, turnpike.secret_access_key), "apigateway", "us-east-1").add_auth(request)
    reply = ask(turnpike.api, turnpike.api, "/v2/apis", "POST", b'{"name":"b","protocolType":"HTTP"}', dict(request.headers))
    assert reply.status == 403


@pytest.mark.parametrize(
    "service,operation,arguments,name",
    [
        ("apigatewayv2", "list_portals", {}, "ListPortals"),
    ],
)
def test_an_operation_that_is_not_there_yet_is_named(turnpike, service, operation, arguments, name):
    code, status, message = error_of(getattr(client(service, turnpike), operation), **arguments)
    assert status == 501 and name in message, (code, message)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"7", b'"x"', b'{"name":7}', b'{"name":null}', b"\xff\xfe", b'{"name":"a"}{}']
)
def test_malformed_json_is_refused(turnpike, body):
    status, headers, text = signed(turnpike, "POST", "/v2/apis", body, {"Content-Type": "application/json"})
    assert status == 400, text
    assert headers["x-amzn-ErrorType"]
    assert json.loads(text)["message"]


def test_deep_json_is_refused_and_control_lives_on(turnpike, v2):
    status, _, text = signed(turnpike, "POST", "/v2/apis", b'{"name":' * 10_000, {"Content-Type": "application/json"})
    assert status == 400, text
    v2.get_apis()


def test_a_large_body_is_refused(turnpike, v2):
    body = json.dumps({"name": "x", "protocolType": "HTTP", "description": "d" * (20 << 20)}).encode()
    try:
        status, _, _ = signed(turnpike, "POST", "/v2/apis", body)
        assert status in (400, 413)
    except (BrokenPipeError, ConnectionResetError):
        pass  # Refused, and closed, before the whole body was taken.
    v2.get_apis()


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/nothing", "/restapis/x/nothing", "/v3/apis", "/%00", "//"])
def test_unknown_paths_are_refused(turnpike, path):
    status, headers, text = signed(turnpike, "GET", path)
    assert status in (400, 403, 404), text
    assert json.loads(text)["message"]


def test_unknown_members_are_no_silent_no_ops(turnpike):
    body = b'{"name":"x","protocolType":"HTTP","corsConfiguration":{"allowOrigins":["*"]}}'
    status, _, text = signed(turnpike, "POST", "/v2/apis", body, {"Content-Type": "application/json"})
    assert (status in (400, 501) and "cors" in text.lower()) or "corsConfiguration" in json.loads(text)


def test_wrong_types_in_queries_are_refused(turnpike):
    for path in ("/v2/apis?maxResults=x", "/v2/apis?nextToken=forged", "/restapis?limit=-1", "/restapis?position=forged"):
        status, _, text = signed(turnpike, "GET", path)
        assert status == 400, (path, text)
