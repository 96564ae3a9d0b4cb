"""TestInvokeMethod with boto3: the integration is really called, from control."""

import json
import socket
import threading

import pytest

import pki
from test_client_certificates import error_of
from test_upstream_tls import origin_of  # noqa: F401
from test_vpc_links import targets  # noqa: F401


@pytest.fixture
def pet(v1):
    """The keys of `/pets/{id}`, by method, made as asked for."""
    made = v1.create_rest_api(name="a")
    key = {"restApiId": made["id"]}
    pets = v1.create_resource(**key, parentId=made["rootResourceId"], pathPart="pets")["id"]
    one = v1.create_resource(**key, parentId=pets, pathPart="{id}")["id"]

    def make(uri, method="GET", type="HTTP_PROXY", parameters=(), **integration):
        place = {**key, "resourceId": one, "httpMethod": method}
        declared = {f"method.request.{name}": False for name in ("path.id", *parameters)}
        v1.put_method(**place, authorizationType="NONE", requestParameters=declared)
        mapped = {"integration.request.path.id": "method.request.path.id", **integration.pop("mapped", {})}
        v1.put_integration(
            **place,
            **{"integrationHttpMethod": method, "uri": uri, "requestParameters": mapped, "type": type, **integration},
        )
        return place

    return make


def seen(answer):
    return json.loads(answer["body"])


def test_a_proxy_is_called_with_all_of_the_request(v1, pet, origin):
    place = pet(f"{origin.url}/animals/{{id}}?own=1", method="POST")
    answer = v1.test_invoke_method(
        **place,
        pathWithQueryString="/pets/7?q=a%20b",
        body="{}",
        headers={"X-One": "1", "Connection": "close", "Authorization": "secret"},
        multiValueHeaders={"x-two": ["2", "3"]},
    )
    assert (answer["status"], answer["latency"] >= 0) == (200, True)
    request = seen(answer)
    assert (request["method"], request["target"]) == ("POST", "/animals/7?own=1&q=a%20b")
    assert request["body"] == "{}" and request["headers"]["x-one"] == "1"
    assert "connection" not in request["headers"] and request["headers"]["host"] in origin.url
    assert answer["headers"]["content-type"] == "application/json"
    assert any(name.startswith("x-amzn-Remapped-") for name in answer["headers"])
    assert answer["multiValueHeaders"]["content-type"] == ["application/json"]
    for line in ("Execution log for request", "HTTP Method: POST", "{id=7}", "Status: 200", "completed with status: 200"):
        assert line in answer["log"], answer["log"]
    assert "secret" not in answer["log"].replace(answer["body"], "")


def test_parameters_are_mapped_and_variables_filled_in(v1, pet, origin):
    host = origin.url.removeprefix("http://")
    place = pet(
        "http://${stageVariables.host}/x/{id}",
        parameters=("querystring.q", "header.X-In"),
        mapped={
            "integration.request.header.X-Out": "method.request.header.X-In",
            "integration.request.header.X-Fixed": "'fixed'",
            "integration.request.querystring.out": "method.request.querystring.q",
        },
        type="HTTP",
    )
    v1.put_method_response(**place, statusCode="200", responseParameters={"method.response.header.X-Type": False})
    v1.put_integration_response(
        **place,
        statusCode="200",
        responseParameters={"method.response.header.X-Type": "integration.response.header.Content-Type"},
    )
    answer = v1.test_invoke_method(
        **place,
        pathWithQueryString="/pets/7?q=1&r=2",
        headers={"X-In": "in", "X-Other": "o"},
        stageVariables={"host": host},
    )
    request = seen(answer)
    assert request["target"] == "/x/7?out=1"
    assert request["headers"]["x-out"] == "in" and request["headers"]["x-fixed"] == "fixed"
    assert "x-other" not in request["headers"], "an HTTP integration gets what is mapped"
    assert answer["headers"]["X-Type"] == "application/json"
    code, _, message = error_of(v1.test_invoke_method, **place, pathWithQueryString="/pets/7")
    assert code == "BadRequestException" and "host" in message


def test_an_answer_without_a_response_is_an_error(v1, pet, origin):
    place = pet(f"{origin.url}/{{id}}", type="HTTP")
    answer = v1.test_invoke_method(**place, pathWithQueryString="/pets/7")
    assert answer["status"] == 500 and json.loads(answer["body"]) == {"message": "Internal server error"}
    assert "no default output mapping configured. Endpoint Response Status Code: 200" in answer["log"]


def test_endpoints_that_do_not_answer(v1, pet):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        place = pet(f"http://127.0.0.1:{port}/{{id}}", timeoutInMillis=50)
        slow = v1.test_invoke_method(**place, pathWithQueryString="/pets/7")
        assert (slow["status"], json.loads(slow["body"])["message"]) == (504, "Endpoint request timed out")
    # Nobody listens there any more.
    gone = v1.test_invoke_method(**place, pathWithQueryString="/pets/7")
    assert (gone["status"], json.loads(gone["body"])["message"]) == (504, "Network error communicating with endpoint")


def test_an_answer_that_is_not_http(v1, pet):
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def answer():
            connection, _ = odd.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        place = pet(f"http://127.0.0.1:{odd.getsockname()[1]}/{{id}}")
        answered = v1.test_invoke_method(**place, pathWithQueryString="/pets/7")
        thread.join()
    assert answered["status"] == 502 and "Invalid endpoint response" in answered["log"]


def test_what_cannot_be_run_is_refused_by_its_type(v1, pet):
    function = (
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
        "arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
    )
    for method, arguments in [
        ("PUT", {"type": "AWS_PROXY", "uri": function, "integrationHttpMethod": "POST"}),
        ("PATCH", {"type": "HTTP", "uri": "http://127.0.0.1/{id}", "requestTemplates": {"application/json": "{}"}}),
    ]:
        place = pet(arguments.pop("uri"), method=method, **arguments)
        code, _, message = error_of(v1.test_invoke_method, **place, pathWithQueryString="/pets/7")
        assert code == "BadRequestException" and arguments["type"] in message
    made = v1.create_rest_api(name="mock")
    root = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    v1.put_method(**root, authorizationType="NONE")
    assert error_of(v1.test_invoke_method, **root)[:2] == ("NotFoundException", 404)
    v1.put_integration(**root, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    assert "MOCK" in error_of(v1.test_invoke_method, **root)[2]
    assert error_of(v1.test_invoke_method, **{**root, "httpMethod": "PUT"})[0] == "NotFoundException"


def test_the_path_has_to_fit(v1, pet, origin):
    place = pet(f"{origin.url}/{{id}}")
    for path in ("/pets", "/pets/7/8", "/cats/7", "/pets/a b", "pets/7"):
        code, _, message = error_of(v1.test_invoke_method, **place, pathWithQueryString=path)
        assert code == "BadRequestException" and "pathWithQueryString" in message, path


def test_a_vpc_link_leads_to_its_targets(v1, pet, origin, targets):  # noqa: F811
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/x/1"
    link = v1.create_vpc_link(name="l", targetArns=[arn])["id"]
    place = pet("http://pets.internal/{id}", connectionType="VPC_LINK", connectionId=link)
    assert "no targets" in error_of(v1.test_invoke_method, **place, pathWithQueryString="/pets/7")[2]
    host, port = origin.url.removeprefix("http://").split(":")
    targets.put("--vpc-link", link, document={"targets": [{"host": host, "port": int(port)}]})
    request = seen(v1.test_invoke_method(**place, pathWithQueryString="/pets/7"))
    assert (request["target"], request["headers"]["host"]) == ("/7", "pets.internal")


def test_tls_targets_are_verified_and_shown_a_certificate(v1, pet, origin_of, targets):  # noqa: F811
    made = v1.generate_client_certificate()
    authority = pki.issue("an authority of the tests", authority=True)
    tls_origin = origin_of(
        pki.issue("pets.internal", ["pets.internal"], by=authority), clients=made["pemEncodedCertificate"]
    )
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/x/1"
    link = v1.create_vpc_link(name="l", targetArns=[arn])["id"]
    place = pet("https://pets.internal/{id}", connectionType="VPC_LINK", connectionId=link)
    shown = {"clientCertificateId": made["clientCertificateId"], "pathWithQueryString": "/pets/7"}

    def put(**tls):
        targets.put("--vpc-link", link, document={"targets": [tls_origin.target], "tls": tls})
        return v1.test_invoke_method(**place, **shown)

    assert put()["status"] == 504, "nobody knows the authority"
    ca = authority.certificate.decode()
    assert put(caPem=ca, serverName="cats.internal")["status"] == 504, "it has another name"
    answer = put(caPem=ca)
    assert seen(answer) == {"host": "pets.internal", "client": f"Turnpike client certificate {made['clientCertificateId']}"}
    assert "Sending request to https://pets.internal/7" in answer["log"]
