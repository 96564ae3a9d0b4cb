"""REST APIs (apigateway) with boto3, where it is less obvious: patches, responses, what stages set, what is refused."""

import json

import pytest
from botocore.exceptions import ClientError

from test_rest_api import proxy, rest_api
from turnpike import wait_for

ARN = "arn:aws:logs:us-east-1:000000000000:log-group:rest-details"


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    response = raised.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def patches(*operations):
    """Each an op, a path and perhaps a value; after `from`, where to copy from."""
    return [dict(zip(("op", "path", "value", "from"), operation)) for operation in operations]


@pytest.fixture
def api(v1):
    api_id, root_id = rest_api(v1, "details")
    yield api_id, root_id
    v1.delete_rest_api(restApiId=api_id)


@pytest.fixture
def mock(v1, api):
    """The key of a method with a MOCK integration."""
    api_id, root_id = api
    key = {"restApiId": api_id, "resourceId": root_id, "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")
    v1.put_integration(**key, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    return key


def test_an_api_is_made_whole_and_patched(v1, api):
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = v1.create_rest_api(
        name="whole",
        binaryMediaTypes=["image/png"],
        minimumCompressionSize=1024,
        apiKeySource="AUTHORIZER",
        policy=policy,
        endpointConfiguration={"types": ["PRIVATE"], "vpcEndpointIds": ["vpce-1"]},
        disableExecuteApiEndpoint=True,
    )
    # As AWS answers it: what Terraform and others put between quotes and read as a JSON string.
    assert json.loads(f'"{made["policy"]}"') == policy
    assert made["endpointConfiguration"] == {
        "types": ["PRIVATE"], "ipAddressType": "dualstack", "vpcEndpointIds": ["vpce-1"]}
    changed = v1.update_rest_api(restApiId=made["id"], patchOperations=patches(
        ("add", "/binaryMediaTypes/image~1gif"), ("remove", "/binaryMediaTypes/image~1png"),
        ("replace", "/minimumCompressionSize", ""), ("replace", "/policy", ""),
        ("test", "/name", "whole"), ("replace", "/name", "changed")))
    assert changed["binaryMediaTypes"] == ["image/gif"] and changed["name"] == "changed"
    assert "minimumCompressionSize" not in changed and "policy" not in changed
    clone = v1.create_rest_api(name="clone", cloneFrom=made["id"])
    assert clone["binaryMediaTypes"] == ["image/gif"] and clone["id"] != made["id"]
    for api_id in (made["id"], clone["id"]):
        v1.delete_rest_api(restApiId=api_id)

    api_id, _ = api
    one = patches(("replace", "/nope", "x"))
    assert refused(v1.update_rest_api, restApiId=api_id, patchOperations=one) == (
        "BadRequestException", "Invalid patch path /nope", 400)
    stale = patches(("test", "/name", "other"), ("replace", "/name", "x"))
    assert refused(v1.update_rest_api, restApiId=api_id, patchOperations=stale)[0] == "ConflictException"
    assert v1.get_rest_api(restApiId=api_id)["name"] == "details"


def test_a_resource_moves(v1, api):
    api_id, root_id = api
    a = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="a")["id"]
    b = v1.create_resource(restApiId=api_id, parentId=a, pathPart="{b}")["id"]
    moved = v1.update_resource(restApiId=api_id, resourceId=a, patchOperations=patches(("replace", "/pathPart", "c")))
    assert moved["path"] == "/c" and v1.get_resource(restApiId=api_id, resourceId=b)["path"] == "/c/{b}"
    for operation, expected in [
        (("replace", "/parentId", b), ("BadRequestException", "Resources cannot be cyclical.", 400)),
        (("remove", "/pathPart"), (
            "BadRequestException",
            "Invalid patch path  '/pathPart' specified for op 'remove'. Please choose supported operations",
            400,
        )),
    ]:
        given = refused(v1.update_resource, restApiId=api_id, resourceId=a, patchOperations=patches(operation))
        assert given == expected


def test_responses_are_embedded_where_aws_embeds_them(v1, api, mock):
    v1.put_method_response(
        **mock, statusCode="200", responseParameters={"method.response.header.Access-Control-Allow-Origin": True})
    v1.put_integration_response(
        **mock, statusCode="200", selectionPattern="", responseTemplates={"application/json": "{}", "text/plain": ""},
        responseParameters={"method.response.header.Access-Control-Allow-Origin": "'*'"})
    [root] = v1.get_resources(restApiId=api[0], embed=["methods"])["items"]
    method = root["resourceMethods"]["GET"]
    assert method["methodResponses"]["200"]["responseParameters"]
    response = method["methodIntegration"]["integrationResponses"]["200"]
    assert response["responseTemplates"] == {"application/json": "{}", "text/plain": None}
    read = {name: value for name, value in v1.get_method(**mock).items() if name != "ResponseMetadata"}
    assert read == method
    plain = v1.get_resource(restApiId=api[0], resourceId=api[1])
    assert plain["resourceMethods"] == {"GET": {}}

    changed = v1.update_integration_response(**mock, statusCode="200", patchOperations=patches(
        ("replace", "/selectionPattern", "2.."), ("remove", "/responseTemplates/text~1plain"),
        ("replace", "/responseTemplates/application~1json", "[]")))
    assert (changed["selectionPattern"], changed["responseTemplates"]) == ("2..", {"application/json": "[]"})
    changed = v1.update_method_response(**mock, statusCode="200", patchOperations=patches(
        ("add", "/responseParameters/method.response.header.x", "false")))
    assert changed["ResponseMetadata"]["HTTPStatusCode"] == 201 and len(changed["responseParameters"]) == 2
    undeclared = refused(
        v1.put_integration_response, **mock, statusCode="200", responseParameters={"method.response.header.y": "'*'"})
    assert undeclared[1] == (
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression "
        "parameter specified: method.response.header.y]")
    v1.delete_integration_response(**mock, statusCode="200")
    v1.delete_method_response(**mock, statusCode="200")
    gone = ("NotFoundException", "Invalid Response status code specified", 404)
    assert refused(v1.get_integration_response, **mock, statusCode="200") == gone
    assert refused(v1.get_method_response, **mock, statusCode="200") == gone


def test_methods_refer_to_what_is_there_only(v1, api, mock):
    authorizer = (
        "BadRequestException",
        "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid "
        "authorizer.",
        400,
    )
    key = {**mock, "httpMethod": "PUT"}
    assert refused(v1.put_method, **key, authorizationType="CUSTOM", authorizerId="none") == authorizer
    assert refused(v1.update_method, **mock, patchOperations=patches(("replace", "/authorizationType", "CUSTOM"))) == authorizer
    assert refused(v1.put_method, **key, authorizationType="NONE", requestModels={"application/json": "none"})[1] == (
        "Invalid model identifier specified: none")
    assert refused(v1.put_method, **key, authorizationType="NONE", requestValidatorId="none")[1] == (
        "Invalid Request Validator identifier specified")


def test_what_cannot_be_served_yet_answers_500_and_never_openly(turnpike, v1, origin, api):
    api_id, root_id = api
    proxy(v1, api_id, root_id, f"{origin.url}/open")
    for part, change in [
        ("iam", lambda key: v1.update_method(**key, patchOperations=patches(("replace", "/authorizationType", "AWS_IAM")))),
        ("mock", lambda key: v1.put_integration(**key, type="MOCK")),
        ("header", lambda key: v1.update_integration(**key, patchOperations=patches(
            ("add", "/requestParameters/integration.request.header.x", "'static'")))),
    ]:
        resource = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart=part)["id"]
        proxy(v1, api_id, resource, f"{origin.url}/{part}")
        change({"restApiId": api_id, "resourceId": resource, "httpMethod": "GET"})
    v1.create_deployment(restApiId=api_id, stageName="s")
    turnpike.wait_for(api_id, "/s", lambda reply: reply.status == 200)
    for part in ("iam", "mock", "header"):
        reply = turnpike.ask(api_id, f"/s/{part}")
        assert reply.status == 500 and "target" not in reply.json, part


def test_stages_are_set_method_by_method(turnpike, v1, api, mock):
    api_id, _ = api
    v1.create_deployment(restApiId=api_id, stageName="s", tracingEnabled=True, cacheClusterEnabled=True, cacheClusterSize="1.6")
    key = {"restApiId": api_id, "stageName": "s"}
    stage = v1.get_stage(**key)
    assert (stage["tracingEnabled"], stage["cacheClusterSize"], stage["cacheClusterStatus"]) == (True, "1.6", "AVAILABLE")
    changed = v1.update_stage(**key, patchOperations=patches(
        ("replace", "/*/*/throttling/rateLimit", "10.5"), ("replace", "/*/*/logging/loglevel", "ERROR"),
        ("replace", "/~1pets~1{id}/GET/caching/ttlInSeconds", "60")))
    settings = changed["methodSettings"]
    assert (settings["*/*"]["throttlingRateLimit"], settings["*/*"]["loggingLevel"]) == (10.5, "ERROR")
    own = settings["~1pets~1{id}/GET"]
    assert (own["cacheTtlInSeconds"], own["throttlingRateLimit"], own["throttlingBurstLimit"]) == (60, 10.5, 5000)
    unenforced = "\n".join(turnpike.status_lines())
    for setting in ("tracingEnabled", "methodSettings logging"):
        assert setting in unenforced, unenforced
    removed = v1.update_stage(**key, patchOperations=patches(("remove", "/*/*"), ("remove", "/~1pets~1{id}/GET")))
    assert removed["methodSettings"] == {}
    assert refused(v1.update_stage, **key, patchOperations=patches(("remove", "/*/*"))) == (
        "BadRequestException",
        "Cannot remove method setting */* because there is no method setting for this method ",
        400,
    )


def test_a_stage_logs_as_it_is_told(turnpike, v1, origin, api):
    api_id, root_id = api
    proxy(v1, api_id, root_id, origin.url)
    v1.create_deployment(restApiId=api_id, stageName="s")
    stage = v1.update_stage(restApiId=api_id, stageName="s", patchOperations=patches(
        ("replace", "/accessLogSettings/destinationArn", ARN),
        ("replace", "/accessLogSettings/format", "$context.requestId $context.stage $context.httpMethod $context.status")))
    assert stage["accessLogSettings"]["destinationArn"] == ARN
    turnpike.wait_until_acknowledged()
    reply = turnpike.wait_for(api_id, "/s", lambda reply: reply.status == 200)
    path = turnpike.directory / "gateway" / "access-logs" / "rest-details.log"
    expected = f"{reply.headers['x-amzn-RequestId']} s GET 200"

    def logged():
        return path.read_text().splitlines() if path.exists() else []

    wait_for(logged, lambda lines: expected in lines)
