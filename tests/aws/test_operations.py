"""Every operation of both services (but the developer portal's) through boto3: made, read back, changed, listed, deleted,
with the documented errors that Turnpike has. Writes the table of operations that the README links, with
`TURNPIKE_WRITE_OPERATIONS=1`; without it, the table in the repository has to be right.
"""

import json
import os
import traceback

import pytest
from botocore.exceptions import ClientError

import model
import pki
from conftest import client
from turnpike import TOP, Turnpike

TABLE = TOP / "control" / "OPERATIONS.md"
REGION = "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:000000000000:function:f"
AUTHORIZER_URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"

# What AWS answers though the operation's model doesn't name it: where a value breaks a constraint of the model itself, and
# where something is in use.
UNNAMED = {
    ("apigateway", "PutMethodResponse"): {"ValidationException"},
    ("apigatewayv2", "DeleteIntegration"): {"ConflictException"},
}

# Documented errors that Turnpike never answers with.
NEVER = {
    "TooManyRequestsException": "the management API doesn't throttle its callers",
    "ServiceUnavailableException": "there is no capacity to run out of",
    "UnauthorizedException": "who may not call is told so by the signature's and the policies' own errors, with 403",
    "AccessDeniedException": "only policies of users deny; see test_access.py",
}

# Operations that are refused, by an error that names them, and why.
REFUSED = {("apigateway", "TestInvokeAuthorizer"): "authorizers aren't asked yet"}

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


class Clients:
    """Both services' clients, and what all scenarios need."""

    def __init__(self, watch, turnpike, origin):
        self.v1 = watch.add(client("apigateway", turnpike))
        self.v2 = watch.add(client("apigatewayv2", turnpike))
        self.acm = client("acm", turnpike)
        self.origin = origin

    def fails(self, code, call, **arguments):
        """The call is refused with this code."""
        with pytest.raises(ClientError) as raised:
            call(**arguments)
        error = raised.value.response["Error"]
        assert error["Code"] == code, f"{call.__name__}({arguments}): {error}"
        assert error["Message"], f"{call.__name__}({arguments}) says nothing"

    def missing(self, call, **arguments):
        self.fails("NotFoundException", call, **arguments)

    def bad(self, call, **arguments):
        self.fails("BadRequestException", call, **arguments)

    def conflicts(self, call, **arguments):
        self.fails("ConflictException", call, **arguments)

    def patched(self, call, path, value, **key):
        """One replacement by a patch; a path that doesn't exist and an unknown operation are refused."""
        self.bad(call, **key, patchOperations=[{"op": "replace", "path": "/no/such/path", "value": "x"}])
        return call(**key, patchOperations=[{"op": "replace", "path": path, "value": value}])

    def rest_api(self, name):
        api_id = self.v1.create_rest_api(name=name)["id"]
        return api_id, self.v1.get_resources(restApiId=api_id)["items"][0]["id"]

    def served(self, name):
        """A REST API with one method, deployed to the stage `s`: its id, the root's and the deployment's."""
        api_id, root_id = self.rest_api(name)
        key = {"restApiId": api_id, "resourceId": root_id, "httpMethod": "GET"}
        self.v1.put_method(**key, authorizationType="NONE")
        self.v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod="GET", uri=self.origin.url)
        deployment = self.v1.create_deployment(restApiId=api_id, stageName="s", stageDescription="first")
        return api_id, root_id, deployment["id"]

    def certificate(self, name):
        return self.acm.import_certificate(**pki.issue(name, [name]).material())["CertificateArn"]


def pages(call, items, **arguments):
    """All pages of a list, two items each, as boto3's paginators would walk them."""
    found, position = [], None
    while True:
        more = {"position": position} if position else {}
        page = call(**arguments, limit=2, **more)
        found += page["items" if "items" in page else items]
        position = page.get("position")
        if not position:
            return found


def pages_v2(call, **arguments):
    found, token = [], None
    while True:
        more = {"NextToken": token} if token else {}
        page = call(**arguments, MaxResults="2", **more)
        found += page["Items"]
        token = page.get("NextToken")
        if not token:
            return found


OPENAPI = {
    "openapi": "3.0.1",
    "info": {"title": "imported", "version": "1"},
    "paths": {
        "/pets": {
            "get": {
                "responses": {"200": {"description": "ok"}},
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy",
                    "httpMethod": "GET",
                    "uri": "http://127.0.0.1:1/",
                    "payloadFormatVersion": "1.0",
                },
            }
        }
    },
}


@scenario
def rest_apis(c):
    v1 = c.v1
    made = v1.create_rest_api(name="first", description="d", version="1", tags={"a": "b"}, apiKeySource="HEADER")
    api_id = made["id"]
    read = v1.get_rest_api(restApiId=api_id)
    assert (read["name"], read["version"], read["tags"]) == ("first", "1", {"a": "b"})
    assert c.patched(v1.update_rest_api, "/name", "second", restApiId=api_id)["name"] == "second"
    v1.create_rest_api(name="copy", cloneFrom=api_id)
    v1.create_rest_api(name="third")
    assert api_id in [api["id"] for api in pages(v1.get_rest_apis, "item")]
    c.bad(v1.create_rest_api, name="")
    c.bad(v1.get_rest_apis, limit=0)
    assert v1.get_tags(resourceArn=f"arn:aws:apigateway:{REGION}::/restapis/{api_id}")["tags"] == {"a": "b"}
    v1.delete_rest_api(restApiId=api_id)
    for call in (v1.get_rest_api, v1.delete_rest_api, v1.update_rest_api, v1.get_resources):
        c.missing(call, restApiId=api_id)


@scenario
def nowhere(c):
    """What is asked of an API, a stage or a plan that doesn't exist; pages that can't be."""
    v1, v2 = c.v1, c.v2
    gone = {"restApiId": "missing"}
    for call in (
        v1.get_authorizers,
        v1.get_deployments,
        v1.get_documentation_parts,
        v1.get_documentation_versions,
        v1.get_gateway_responses,
        v1.get_models,
        v1.get_request_validators,
        v1.get_stages,
        v1.create_request_validator,
    ):
        c.missing(call, **gone)
    c.missing(v1.create_authorizer, **gone, name="a", type="TOKEN", identitySource="x", authorizerUri=AUTHORIZER_URI)
    c.missing(v1.create_model, **gone, name="A", contentType="application/json")
    c.missing(v1.create_documentation_part, **gone, location={"type": "API"}, properties="{}")
    c.missing(v1.create_documentation_version, **gone, documentationVersion="1")
    c.missing(v1.import_documentation_parts, **gone, body=json.dumps(OPENAPI))
    c.missing(v1.create_api_key, name="a", stageKeys=[{"restApiId": "missing", "stageName": "s"}])
    api_id, _, _ = c.served("pages")
    here = {"restApiId": api_id}
    for call in (
        v1.get_authorizers,
        v1.get_deployments,
        v1.get_documentation_parts,
        v1.get_documentation_versions,
        v1.get_gateway_responses,
        v1.get_models,
        v1.get_request_validators,
        v1.get_resources,
    ):
        c.bad(call, **here, limit=0)
    for call in (
        v1.get_api_keys,
        v1.get_client_certificates,
        v1.get_domain_name_access_associations,
        v1.get_domain_names,
        v1.get_usage_plans,
        v1.get_vpc_links,
    ):
        c.bad(call, limit=0)
    api_id = v2.create_api(Name="pages", ProtocolType="HTTP")["ApiId"]
    for call in (
        v2.get_authorizers,
        v2.get_deployments,
        v2.get_integrations,
        v2.get_models,
        v2.get_routes,
        v2.get_stages,
    ):
        c.bad(call, ApiId=api_id, MaxResults="0")
    c.bad(v2.get_domain_names, MaxResults="0")
    c.bad(v2.get_vpc_links, MaxResults="0")
    c.bad(v2.create_vpc_link, Name="", SubnetIds=["subnet-1"])


@scenario
def resources_and_methods(c):
    v1 = c.v1
    api_id, root_id = c.rest_api("resources")
    pets = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="pets")["id"]
    pet = v1.create_resource(restApiId=api_id, parentId=pets, pathPart="{id}")["id"]
    c.conflicts(v1.create_resource, restApiId=api_id, parentId=root_id, pathPart="pets")
    c.bad(v1.create_resource, restApiId=api_id, parentId=root_id, pathPart="a b")
    c.bad(v1.create_resource, restApiId=api_id, parentId=pets, pathPart="{name}")
    c.missing(v1.create_resource, restApiId=api_id, parentId="missing", pathPart="x")
    assert c.patched(v1.update_resource, "/pathPart", "animals", restApiId=api_id, resourceId=pets)["path"] == "/animals"
    assert v1.get_resource(restApiId=api_id, resourceId=pet)["path"] == "/animals/{id}"
    assert len(pages(v1.get_resources, "item", restApiId=api_id)) == 3

    key = {"restApiId": api_id, "resourceId": pet, "httpMethod": "GET"}
    made = v1.put_method(**key, authorizationType="NONE", requestParameters={"method.request.path.id": True})
    assert made["requestParameters"] == {"method.request.path.id": True}
    c.conflicts(v1.put_method, **key, authorizationType="NONE")
    c.bad(v1.put_method, restApiId=api_id, resourceId=pet, httpMethod="NONSENSE", authorizationType="NONE")
    assert c.patched(v1.update_method, "/operationName", "readPet", **key)["operationName"] == "readPet"
    v1.put_method_response(**key, statusCode="200", responseModels={"application/json": "Empty"})
    c.conflicts(v1.put_method_response, **key, statusCode="200")
    c.fails("ValidationException", v1.put_method_response, **key, statusCode="abc")
    replaced = [{"op": "add", "path": "/responseParameters/method.response.header.X", "value": "true"}]
    changed = v1.update_method_response(**key, statusCode="200", patchOperations=replaced)
    assert changed["responseParameters"] == {"method.response.header.X": True}
    assert v1.get_method_response(**key, statusCode="200")["statusCode"] == "200"

    made = v1.put_integration(
        **key,
        type="HTTP",
        integrationHttpMethod="POST",
        uri=f"{c.origin.url}/{{id}}",
        requestParameters={"integration.request.path.id": "method.request.path.id"},
        requestTemplates={"application/json": "{}"},
        timeoutInMillis=1_000,
    )
    assert made["requestTemplates"] == {"application/json": "{}"}
    c.bad(v1.put_integration, **key, type="HTTP_PROXY", integrationHttpMethod="GET", uri="nonsense")
    assert c.patched(v1.update_integration, "/timeoutInMillis", "2000", **key)["timeoutInMillis"] == 2_000
    v1.put_integration_response(**key, statusCode="200", responseTemplates={"application/json": ""})
    c.missing(v1.put_integration_response, **{**key, "httpMethod": "PUT"}, statusCode="404")
    changed = c.patched(v1.update_integration_response, "/selectionPattern", "2..", **key, statusCode="200")
    assert changed["selectionPattern"] == "2.."
    assert v1.get_integration_response(**key, statusCode="200")["selectionPattern"] == "2.."
    whole = v1.get_method(**key)
    assert whole["methodIntegration"]["integrationResponses"]["200"]["selectionPattern"] == "2.."
    assert v1.get_integration(**key)["type"] == "HTTP"

    v1.delete_integration_response(**key, statusCode="200")
    for call in (v1.get_integration_response, v1.update_integration_response, v1.delete_integration_response):
        c.missing(call, **key, statusCode="200")
    v1.delete_integration(**key)
    for call in (v1.get_integration, v1.update_integration, v1.delete_integration):
        c.missing(call, **key)
    v1.delete_method_response(**key, statusCode="200")
    for call in (v1.get_method_response, v1.update_method_response, v1.delete_method_response):
        c.missing(call, **key, statusCode="200")
    v1.delete_method(**key)
    for call in (v1.get_method, v1.update_method, v1.delete_method):
        c.missing(call, **key)
    c.missing(v1.put_integration, **key, type="MOCK")
    c.missing(v1.put_method_response, **key, statusCode="200")
    v1.delete_resource(restApiId=api_id, resourceId=pet)
    for call in (v1.get_resource, v1.update_resource, v1.delete_resource):
        c.missing(call, restApiId=api_id, resourceId=pet)
    c.missing(v1.put_method, **key, authorizationType="NONE")
    c.bad(v1.delete_resource, restApiId=api_id, resourceId=root_id)


@scenario
def deployments_and_stages(c):
    v1 = c.v1
    api_id, _, deployment = c.served("stages")
    key = {"restApiId": api_id}
    empty, _ = c.rest_api("nothing to deploy")
    c.bad(v1.create_deployment, restApiId=empty)
    c.missing(v1.create_deployment, restApiId="missing")
    second = v1.create_deployment(**key, description="second")["id"]
    third = v1.create_deployment(**key)["id"]
    read = v1.get_deployment(**key, deploymentId=second, embed=["apisummary"])
    assert read["apiSummary"]["/"]["GET"]["authorizationType"] == "NONE"
    assert c.patched(v1.update_deployment, "/description", "2nd", **key, deploymentId=second)["description"] == "2nd"
    assert {made["id"] for made in pages(v1.get_deployments, "item", **key)} == {deployment, second, third}

    made = v1.create_stage(**key, stageName="t", deploymentId=second, variables={"a": "b"}, tags={"x": "y"})
    assert (made["variables"], made["tags"]) == ({"a": "b"}, {"x": "y"})
    c.conflicts(v1.create_stage, **key, stageName="t", deploymentId=second)
    c.bad(v1.create_stage, **key, stageName="a b", deploymentId=second)
    c.bad(v1.delete_deployment, **key, deploymentId=second)
    assert c.patched(v1.update_stage, "/deploymentId", deployment, **key, stageName="t")["deploymentId"] == deployment
    settings = [
        {"op": "replace", "path": "/~1/GET/throttling/rateLimit", "value": "5.5"},
        {"op": "replace", "path": "/*/*/logging/loglevel", "value": "ERROR"},
    ]
    changed = v1.update_stage(**key, stageName="t", patchOperations=settings)["methodSettings"]
    assert (changed["~1/GET"]["throttlingRateLimit"], changed["*/*"]["loggingLevel"]) == (5.5, "ERROR")
    canary = [{"op": "replace", "path": "/canarySettings/percentTraffic", "value": "12.5"},
              {"op": "replace", "path": "/canarySettings/deploymentId", "value": second}]
    changed = v1.update_stage(**key, stageName="t", patchOperations=canary)["canarySettings"]
    assert (changed["percentTraffic"], changed["deploymentId"]) == (12.5, second)
    promote = [{"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"},
               {"op": "remove", "path": "/canarySettings"}]
    changed = v1.update_stage(**key, stageName="t", patchOperations=promote)
    assert changed["deploymentId"] == second and "canarySettings" not in changed
    assert v1.get_stage(**key, stageName="t")["deploymentId"] == second
    assert [stage["stageName"] for stage in v1.get_stages(**key)["item"]] == ["s", "t"]
    v1.flush_stage_cache(**key, stageName="t")
    v1.flush_stage_authorizers_cache(**key, stageName="t")
    v1.delete_stage(**key, stageName="t")
    for call in (v1.get_stage, v1.update_stage, v1.delete_stage, v1.flush_stage_cache, v1.flush_stage_authorizers_cache):
        c.missing(call, **key, stageName="t")
    v1.delete_deployment(**key, deploymentId=second)
    for call in (v1.get_deployment, v1.update_deployment, v1.delete_deployment):
        c.missing(call, **key, deploymentId=second)
    c.missing(v1.create_stage, **key, stageName="u", deploymentId=second)


@scenario
def authorizers(c):
    v1 = c.v1
    api_id, root_id = c.rest_api("authorizers")
    key = {"restApiId": api_id}
    made = v1.create_authorizer(
        **key, name="a", type="TOKEN", authorizerUri=AUTHORIZER_URI, identitySource="method.request.header.Authorization"
    )
    read = v1.get_authorizer(**key, authorizerId=made["id"])
    assert (read["name"], read["authorizerResultTtlInSeconds"]) == ("a", 300)
    c.bad(v1.create_authorizer, **key, name="b", type="TOKEN", authorizerUri=AUTHORIZER_URI)
    changed = c.patched(
        v1.update_authorizer, "/authorizerResultTtlInSeconds", "0", **key, authorizerId=made["id"]
    )
    assert changed["authorizerResultTtlInSeconds"] == 0
    assert len(v1.get_authorizers(**key)["items"]) == 1
    c.bad(v1.test_invoke_authorizer, **key, authorizerId=made["id"], headers={"Authorization": "x"})
    method = {**key, "resourceId": root_id, "httpMethod": "GET"}
    v1.put_method(**method, authorizationType="CUSTOM", authorizerId=made["id"])
    c.conflicts(v1.delete_authorizer, **key, authorizerId=made["id"])
    v1.delete_method(**method)
    v1.delete_authorizer(**key, authorizerId=made["id"])
    for call in (v1.get_authorizer, v1.update_authorizer, v1.delete_authorizer, v1.test_invoke_authorizer):
        c.missing(call, **key, authorizerId=made["id"])


@scenario
def models_and_validators(c):
    v1 = c.v1
    api_id, root_id = c.rest_api("models")
    key = {"restApiId": api_id}
    schema = json.dumps({"type": "object", "properties": {"name": {"type": "string"}}})
    v1.create_model(**key, name="Pet", contentType="application/json", schema=schema)
    c.conflicts(v1.create_model, **key, name="Pet", contentType="application/json", schema=schema)
    c.bad(v1.create_model, **key, name="Bad", contentType="application/json", schema="{")
    assert json.loads(v1.get_model(**key, modelName="Pet", flatten=True)["schema"])["type"] == "object"
    assert c.patched(v1.update_model, "/description", "d", **key, modelName="Pet")["description"] == "d"
    assert {made["name"] for made in pages(v1.get_models, "item", **key)} == {"Empty", "Error", "Pet"}
    assert "name" in v1.get_model_template(**key, modelName="Pet")["value"]
    made = v1.create_request_validator(**key, name="v", validateRequestBody=True)
    changed = c.patched(
        v1.update_request_validator, "/validateRequestParameters", "true", **key, requestValidatorId=made["id"]
    )
    assert (changed["validateRequestBody"], changed["validateRequestParameters"]) == (True, True)
    assert v1.get_request_validator(**key, requestValidatorId=made["id"])["name"] == "v"
    assert len(v1.get_request_validators(**key)["items"]) == 1
    v1.put_method(
        **key,
        resourceId=root_id,
        httpMethod="POST",
        authorizationType="NONE",
        requestModels={"application/json": "Pet"},
        requestValidatorId=made["id"],
    )
    c.conflicts(v1.delete_model, **key, modelName="Pet")
    v1.delete_method(**key, resourceId=root_id, httpMethod="POST")
    v1.delete_model(**key, modelName="Pet")
    for call in (v1.get_model, v1.update_model, v1.delete_model, v1.get_model_template):
        c.missing(call, **key, modelName="Pet")
    v1.delete_request_validator(**key, requestValidatorId=made["id"])
    for call in (v1.get_request_validator, v1.update_request_validator, v1.delete_request_validator):
        c.missing(call, **key, requestValidatorId=made["id"])


@scenario
def gateway_responses(c):
    v1 = c.v1
    api_id, _ = c.rest_api("gateway responses")
    key = {"restApiId": api_id}
    assert v1.get_gateway_response(**key, responseType="THROTTLED")["statusCode"] == "429"
    made = v1.put_gateway_response(**key, responseType="THROTTLED", statusCode="420")
    assert (made["statusCode"], made["defaultResponse"]) == ("420", False)
    c.bad(v1.put_gateway_response, **key, responseType="THROTTLED", statusCode="99")
    changed = c.patched(v1.update_gateway_response, "/statusCode", "421", **key, responseType="THROTTLED")
    assert changed["statusCode"] == "421"
    assert len(v1.get_gateway_responses(**key, limit=500)["items"]) > 15
    v1.delete_gateway_response(**key, responseType="THROTTLED")
    assert v1.get_gateway_response(**key, responseType="THROTTLED")["defaultResponse"]
    c.missing(v1.delete_gateway_response, **key, responseType="THROTTLED")
    for call in (v1.get_gateway_response, v1.put_gateway_response, v1.update_gateway_response):
        c.missing(call, restApiId="missing", responseType="THROTTLED")


@scenario
def documentation(c):
    v1 = c.v1
    api_id, _, _ = c.served("documentation")
    key = {"restApiId": api_id}
    location = {"type": "API"}
    made = v1.create_documentation_part(**key, location=location, properties='{"description":"d"}')
    c.conflicts(v1.create_documentation_part, **key, location=location, properties="{}")
    c.bad(v1.create_documentation_part, **key, location={"type": "RESOURCE", "path": "/"}, properties="{")
    part = {**key, "documentationPartId": made["id"]}
    assert v1.get_documentation_part(**part)["location"] == location
    changed = c.patched(v1.update_documentation_part, "/properties", '{"description":"e"}', **part)
    assert json.loads(changed["properties"]) == {"description": "e"}
    parts = [{"location": {"type": "RESOURCE", "path": "/"}, "properties": {"summary": "s"}}]
    document = {**OPENAPI, "x-amazon-apigateway-documentation": {"version": "1", "documentationParts": parts}}
    assert len(v1.import_documentation_parts(**key, body=json.dumps(document), mode="merge")["ids"]) == 1
    c.bad(v1.import_documentation_parts, **key, body="{")
    assert len(v1.get_documentation_parts(**key)["items"]) == 2
    version = {**key, "documentationVersion": "1"}
    v1.create_documentation_version(**version, stageName="s", description="d")
    c.conflicts(v1.create_documentation_version, **version)
    assert v1.get_documentation_version(**version)["version"] == "1"
    assert c.patched(v1.update_documentation_version, "/description", "e", **version)["description"] == "e"
    assert len(v1.get_documentation_versions(**key)["items"]) == 1
    v1.delete_documentation_part(**part)
    for call in (v1.get_documentation_part, v1.update_documentation_part, v1.delete_documentation_part):
        c.missing(call, **part)
    c.patched(v1.update_stage, "/description", "d", **key, stageName="s")
    v1.delete_stage(**key, stageName="s")
    v1.delete_documentation_version(**version)
    for call in (v1.get_documentation_version, v1.update_documentation_version, v1.delete_documentation_version):
        c.missing(call, **version)


@scenario
def account_and_sdks(c):
    v1 = c.v1
    assert v1.get_account()["throttleSettings"]["burstLimit"] > 0
    role = "arn:aws:iam::000000000000:role/logs"
    assert c.patched(v1.update_account, "/cloudwatchRoleArn", role)["cloudwatchRoleArn"] == role
    types = v1.get_sdk_types()["items"]
    assert "javascript" in [kind["id"] for kind in types]
    assert v1.get_sdk_type(id="javascript")["friendlyName"]
    c.missing(v1.get_sdk_type, id="cobol")
    api_id, root_id, _ = c.served("sdk")
    sdk = v1.get_sdk(restApiId=api_id, stageName="s", sdkType="javascript")
    assert sdk["body"].read()[:2] == b"PK"
    c.missing(v1.get_sdk, restApiId=api_id, stageName="s", sdkType="cobol")
    c.missing(v1.get_sdk, restApiId=api_id, stageName="missing", sdkType="javascript")
    tried = v1.test_invoke_method(restApiId=api_id, resourceId=root_id, httpMethod="GET", pathWithQueryString="/?a=b")
    assert tried["status"] == 200
    c.missing(v1.test_invoke_method, restApiId=api_id, resourceId=root_id, httpMethod="POST")
    v1.put_method(restApiId=api_id, resourceId=root_id, httpMethod="POST", authorizationType="NONE")
    v1.put_integration(
        restApiId=api_id,
        resourceId=root_id,
        httpMethod="POST",
        type="AWS",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{REGION}:sqs:path/000000000000/queue",
        credentials="arn:aws:iam::000000000000:role/r",
    )
    c.bad(v1.test_invoke_method, restApiId=api_id, resourceId=root_id, httpMethod="POST")


@scenario
def tags(c):
    v1, v2 = c.v1, c.v2
    api_id, _ = c.rest_api("tags")
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{api_id}"
    v1.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    v1.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert v1.get_tags(resourceArn=arn)["tags"] == {"b": "2"}
    c.bad(v1.tag_resource, resourceArn=arn, tags={"aws:x": "1"})
    gone = f"arn:aws:apigateway:{REGION}::/restapis/missing"
    c.missing(v1.tag_resource, resourceArn=gone, tags={"a": "1"})
    c.missing(v1.untag_resource, resourceArn=gone, tagKeys=["a"])
    c.missing(v1.get_tags, resourceArn=gone)
    c.bad(v1.get_tags, resourceArn="nonsense")
    api_id = v2.create_api(Name="tags", ProtocolType="HTTP")["ApiId"]
    arn = f"arn:aws:apigateway:{REGION}::/apis/{api_id}"
    v2.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    v2.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert v2.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}
    gone = f"arn:aws:apigateway:{REGION}::/apis/missing"
    c.missing(v2.tag_resource, ResourceArn=gone, Tags={"a": "1"})
    c.missing(v2.untag_resource, ResourceArn=gone, TagKeys=["a"])
    c.missing(v2.get_tags, ResourceArn=gone)


@scenario
def keys_and_plans(c):
    v1 = c.v1
    api_id, _, _ = c.served("plans")
    value = "a-value-of-at-least-twenty-characters"
    made = v1.create_api_key(name="k", enabled=True, value=value, tags={"a": "b"})
    c.conflicts(v1.create_api_key, name="l", value=value)
    c.bad(v1.create_api_key, name="l", value="short")
    key = {"apiKey": made["id"]}
    assert v1.get_api_key(**key, includeValue=True)["value"] == value
    assert "value" not in v1.get_api_key(**key)
    assert not c.patched(v1.update_api_key, "/enabled", "false", **key)["enabled"]
    imported = v1.import_api_keys(format="csv", body="name,key\nfromfile,another-value-of-twenty-characters\n")
    assert len(imported["ids"]) == 1
    c.bad(v1.import_api_keys, format="csv", body="nonsense")
    assert {found["name"] for found in v1.get_api_keys()["items"]} >= {"k", "fromfile"}
    plan = v1.create_usage_plan(
        name="p",
        apiStages=[{"apiId": api_id, "stage": "s"}],
        throttle={"rateLimit": 10, "burstLimit": 5},
        quota={"limit": 100, "period": "DAY"},
    )
    c.bad(v1.create_usage_plan, name="q", quota={"limit": 1, "period": "DAY", "offset": 3})
    c.missing(v1.create_usage_plan, name="q", apiStages=[{"apiId": api_id, "stage": "missing"}])
    of_plan = {"usagePlanId": plan["id"]}
    assert v1.get_usage_plan(**of_plan)["quota"]["limit"] == 100
    assert c.patched(v1.update_usage_plan, "/throttle/rateLimit", "20", **of_plan)["throttle"]["rateLimit"] == 20
    assert plan["id"] in [found["id"] for found in v1.get_usage_plans()["items"]]
    v1.create_usage_plan_key(**of_plan, keyId=made["id"], keyType="API_KEY")
    c.conflicts(v1.create_usage_plan_key, **of_plan, keyId=made["id"], keyType="API_KEY")
    c.missing(v1.create_usage_plan_key, **of_plan, keyId="missing", keyType="API_KEY")
    of_key = {**of_plan, "keyId": made["id"]}
    assert v1.get_usage_plan_key(**of_key)["name"] == "k"
    assert len(v1.get_usage_plan_keys(**of_plan)["items"]) == 1
    usage = v1.get_usage(**of_plan, startDate="2026-01-01", endDate="2026-01-02")
    assert usage["usagePlanId"] == plan["id"]
    c.bad(v1.get_usage, **of_plan, startDate="2026-01-03", endDate="2026-01-02")
    c.bad(v1.update_usage, **of_key, patchOperations=[{"op": "replace", "path": "/nonsense", "value": "1"}])
    v1.update_usage(**of_key, patchOperations=[{"op": "replace", "path": "/remaining", "value": "50"}])
    v1.delete_usage_plan_key(**of_key)
    for call in (v1.get_usage_plan_key, v1.delete_usage_plan_key, v1.update_usage):
        c.missing(call, **of_key)
    c.bad(v1.delete_usage_plan, **of_plan)
    detach = [{"op": "remove", "path": "/apiStages", "value": f"{api_id}:s"}]
    v1.update_usage_plan(**of_plan, patchOperations=detach)
    v1.delete_usage_plan(**of_plan)
    for call in (v1.get_usage_plan, v1.update_usage_plan, v1.delete_usage_plan, v1.get_usage_plan_keys):
        c.missing(call, **of_plan)
    c.missing(v1.get_usage, **of_plan, startDate="2026-01-01", endDate="2026-01-02")
    v1.delete_api_key(**key)
    for call in (v1.get_api_key, v1.update_api_key, v1.delete_api_key):
        c.missing(call, **key)


@scenario
def certificates_and_links(c):
    v1, v2 = c.v1, c.v2
    made = v1.generate_client_certificate(description="d")
    key = {"clientCertificateId": made["clientCertificateId"]}
    assert v1.get_client_certificate(**key)["description"] == "d"
    assert c.patched(v1.update_client_certificate, "/description", "e", **key)["description"] == "e"
    assert v1.get_client_certificates()["items"]
    v1.delete_client_certificate(**key)
    for call in (v1.get_client_certificate, v1.update_client_certificate, v1.delete_client_certificate):
        c.missing(call, **key)
    balancer = f"arn:aws:elasticloadbalancing:{REGION}:000000000000:loadbalancer/net/n/1"
    made = v1.create_vpc_link(name="l", targetArns=[balancer])
    c.bad(v1.create_vpc_link, name="", targetArns=[balancer])
    key = {"vpcLinkId": made["id"]}
    assert v1.get_vpc_link(**key)["name"] == "l"
    assert c.patched(v1.update_vpc_link, "/name", "m", **key)["name"] == "m"
    assert v1.get_vpc_links()["items"]
    v1.delete_vpc_link(**key)
    for call in (v1.get_vpc_link, v1.update_vpc_link, v1.delete_vpc_link):
        c.missing(call, **key)
    made = v2.create_vpc_link(Name="l", SubnetIds=["subnet-1"])
    key = {"VpcLinkId": made["VpcLinkId"]}
    assert v2.get_vpc_link(**key)["Name"] == "l"
    assert v2.update_vpc_link(**key, Name="m")["Name"] == "m"
    assert v2.get_vpc_links()["Items"]
    v2.delete_vpc_link(**key)
    for call in (v2.get_vpc_link, v2.update_vpc_link, v2.delete_vpc_link):
        c.missing(call, **key)


@scenario
def domain_names(c):
    v1 = c.v1
    api_id, _, _ = c.served("domains")
    arn = c.certificate("v1.example.com")
    name = {"domainName": "v1.example.com"}
    v1.create_domain_name(**name, regionalCertificateArn=arn, endpointConfiguration={"types": ["REGIONAL"]})
    c.bad(v1.create_domain_name, domainName="bad name", regionalCertificateArn=arn)
    c.fails(
        "ConflictException",
        v1.create_domain_name,
        **name,
        regionalCertificateArn=arn,
        endpointConfiguration={"types": ["REGIONAL"]},
    )
    assert v1.get_domain_name(**name)["regionalCertificateArn"] == arn
    assert c.patched(v1.update_domain_name, "/securityPolicy", "TLS_1_2", **name)["securityPolicy"] == "TLS_1_2"
    assert v1.get_domain_names()["items"]
    v1.create_base_path_mapping(**name, restApiId=api_id, stage="s", basePath="a")
    c.conflicts(v1.create_base_path_mapping, **name, restApiId=api_id, stage="s", basePath="a")
    c.bad(v1.create_base_path_mapping, **name, restApiId="missing", stage="s", basePath="b")
    path = {**name, "basePath": "a"}
    assert v1.get_base_path_mapping(**path)["restApiId"] == api_id
    assert c.patched(v1.update_base_path_mapping, "/basePath", "c", **path)["basePath"] == "c"
    assert len(v1.get_base_path_mappings(**name)["items"]) == 1
    v1.delete_base_path_mapping(**name, basePath="c")
    for call in (v1.get_base_path_mapping, v1.update_base_path_mapping, v1.delete_base_path_mapping):
        c.missing(call, **name, basePath="c")
    v1.delete_domain_name(**name)
    for call in (v1.get_domain_name, v1.update_domain_name, v1.delete_domain_name, v1.get_base_path_mappings):
        c.missing(call, **name)
    c.missing(v1.create_base_path_mapping, **name, restApiId=api_id, stage="s", basePath="a")


@scenario
def private_domain_names(c):
    v1 = c.v1
    arn = c.certificate("private.example.com")
    made = v1.create_domain_name(
        domainName="private.example.com", certificateArn=arn, endpointConfiguration={"types": ["PRIVATE"]}
    )
    association = v1.create_domain_name_access_association(
        domainNameArn=made["domainNameArn"],
        accessAssociationSourceType="VPCE",
        accessAssociationSource="vpce-0123456789abcdef0",
    )
    found = v1.get_domain_name_access_associations(resourceOwner="SELF")["items"]
    assert association["domainNameAccessAssociationArn"] in [one["domainNameAccessAssociationArn"] for one in found]
    v1.delete_domain_name_access_association(
        domainNameAccessAssociationArn=association["domainNameAccessAssociationArn"]
    )
    c.missing(
        v1.delete_domain_name_access_association,
        domainNameAccessAssociationArn=association["domainNameAccessAssociationArn"],
    )
    again = v1.create_domain_name_access_association(
        domainNameArn=made["domainNameArn"],
        accessAssociationSourceType="VPCE",
        accessAssociationSource="vpce-0123456789abcdef0",
    )
    v1.reject_domain_name_access_association(
        domainNameAccessAssociationArn=again["domainNameAccessAssociationArn"], domainNameArn=made["domainNameArn"]
    )
    c.missing(
        v1.reject_domain_name_access_association,
        domainNameAccessAssociationArn=association["domainNameAccessAssociationArn"],
        domainNameArn=made["domainNameArn"],
    )


@scenario
def documents(c):
    v1, v2 = c.v1, c.v2
    body = json.dumps(OPENAPI)
    api_id = v1.import_rest_api(body=body)["id"]
    c.bad(v1.import_rest_api, body="{")
    assert v1.put_rest_api(restApiId=api_id, mode="merge", body=body)["name"] == "imported"
    c.bad(v1.put_rest_api, restApiId=api_id, body="{")
    c.missing(v1.put_rest_api, restApiId="missing", body=body)
    v1.create_deployment(restApiId=api_id, stageName="s")
    exported = v1.get_export(restApiId=api_id, stageName="s", exportType="oas30", accepts="application/json")
    assert "/pets" in json.loads(exported["body"].read())["paths"]
    c.missing(v1.get_export, restApiId=api_id, stageName="missing", exportType="oas30")
    c.bad(v1.get_export, restApiId=api_id, stageName="s", exportType="wsdl")
    api_id = v2.import_api(Body=body)["ApiId"]
    c.bad(v2.import_api, Body="{")
    v2.reimport_api(ApiId=api_id, Body=body)
    c.bad(v2.reimport_api, ApiId=api_id, Body="{")
    c.missing(v2.reimport_api, ApiId="missing", Body=body)
    exported = v2.export_api(ApiId=api_id, Specification="OAS30", OutputType="JSON")
    assert "/pets" in json.loads(exported["body"].read())["paths"]
    c.missing(v2.export_api, ApiId="missing", Specification="OAS30", OutputType="JSON")
    c.bad(v2.export_api, ApiId=api_id, Specification="OAS30", OutputType="XML")


@scenario
def http_apis(c):
    v2 = c.v2
    api_id = v2.create_api(Name="h", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["*"]})["ApiId"]
    key = {"ApiId": api_id}
    c.bad(v2.create_api, Name="", ProtocolType="HTTP")
    assert v2.get_api(**key)["CorsConfiguration"]["AllowOrigins"] == ["*"]
    assert v2.update_api(**key, Name="i")["Name"] == "i"
    c.bad(v2.update_api, **key, Name="x" * 129)
    assert api_id in [api["ApiId"] for api in pages_v2(v2.get_apis)]
    c.bad(v2.get_apis, MaxResults="0")
    v2.delete_cors_configuration(**key)
    assert "CorsConfiguration" not in v2.get_api(**key)

    integration = v2.create_integration(
        **key,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="GET",
        IntegrationUri=c.origin.url,
        PayloadFormatVersion="1.0",
    )["IntegrationId"]
    of_integration = {**key, "IntegrationId": integration}
    c.bad(v2.create_integration, **key, IntegrationType="HTTP_PROXY", IntegrationMethod="GET")
    assert v2.get_integration(**of_integration)["IntegrationUri"] == c.origin.url
    assert v2.update_integration(**of_integration, Description="d")["Description"] == "d"
    c.bad(v2.update_integration, **of_integration, IntegrationUri="nonsense")
    assert len(v2.get_integrations(**key)["Items"]) == 1

    route = v2.create_route(**key, RouteKey="GET /pets", Target=f"integrations/{integration}")["RouteId"]
    of_route = {**key, "RouteId": route}
    c.conflicts(v2.create_route, **key, RouteKey="GET /pets")
    c.bad(v2.create_route, **key, RouteKey="nonsense")
    assert v2.get_route(**of_route)["RouteKey"] == "GET /pets"
    assert v2.update_route(**of_route, OperationName="o")["OperationName"] == "o"
    c.bad(v2.update_route, **of_route, RouteKey="nonsense")
    assert len(v2.get_routes(**key)["Items"]) == 1
    c.fails("ConflictException", v2.delete_integration, **of_integration)

    authorizer = v2.create_authorizer(
        **key,
        Name="a",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": "https://issuer.example.com", "Audience": ["x"]},
    )["AuthorizerId"]
    of_authorizer = {**key, "AuthorizerId": authorizer}
    c.bad(v2.create_authorizer, **key, Name="b", AuthorizerType="JWT", IdentitySource=["$request.header.A"])
    assert v2.get_authorizer(**of_authorizer)["Name"] == "a"
    assert v2.update_authorizer(**of_authorizer, Name="b")["Name"] == "b"
    assert len(v2.get_authorizers(**key)["Items"]) == 1
    v2.update_route(**of_route, AuthorizationType="JWT", AuthorizerId=authorizer)
    v2.update_route(**of_route, AuthorizationType="NONE")

    deployment = v2.create_deployment(**key, Description="d")["DeploymentId"]
    of_deployment = {**key, "DeploymentId": deployment}
    assert v2.get_deployment(**of_deployment)["Description"] == "d"
    assert v2.update_deployment(**of_deployment, Description="e")["Description"] == "e"
    assert v2.get_deployments(**key)["Items"]
    group = f"arn:aws:logs:{REGION}:000000000000:log-group:access"
    v2.create_stage(
        **key,
        StageName="s",
        DeploymentId=deployment,
        AccessLogSettings={"DestinationArn": group, "Format": "$context.requestId"},
        RouteSettings={"GET /pets": {"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 2.0}},
    )
    of_stage = {**key, "StageName": "s"}
    c.conflicts(v2.create_stage, **of_stage, DeploymentId=deployment)
    c.bad(v2.create_stage, **key, StageName="a b", DeploymentId=deployment)
    assert v2.get_stage(**of_stage)["RouteSettings"]["GET /pets"]["ThrottlingBurstLimit"] == 1
    assert v2.update_stage(**of_stage, StageVariables={"a": "b"})["StageVariables"] == {"a": "b"}
    c.bad(v2.update_stage, **of_stage, StageVariables={"a b": "c"})
    assert len(v2.get_stages(**key)["Items"]) == 1
    v2.delete_access_log_settings(**of_stage)
    v2.delete_route_settings(**of_stage, RouteKey="GET /pets")
    v2.reset_authorizers_cache(**of_stage)
    assert "AccessLogSettings" not in v2.get_stage(**of_stage)
    v2.delete_stage(**of_stage)
    for call in (
        v2.get_stage,
        v2.update_stage,
        v2.delete_stage,
        v2.delete_access_log_settings,
        v2.reset_authorizers_cache,
    ):
        c.missing(call, **of_stage)
    c.missing(v2.delete_route_settings, **of_stage, RouteKey="GET /pets")
    v2.delete_deployment(**of_deployment)
    for call in (v2.get_deployment, v2.update_deployment, v2.delete_deployment):
        c.missing(call, **of_deployment)
    v2.delete_authorizer(**of_authorizer)
    for call in (v2.get_authorizer, v2.update_authorizer, v2.delete_authorizer):
        c.missing(call, **of_authorizer)
    v2.delete_route(**of_route)
    for call in (v2.get_route, v2.update_route, v2.delete_route):
        c.missing(call, **of_route)
    v2.delete_integration(**of_integration)
    for call in (v2.get_integration, v2.update_integration, v2.delete_integration):
        c.missing(call, **of_integration)
    v2.delete_api(**key)
    for call in (
        v2.get_api,
        v2.update_api,
        v2.delete_api,
        v2.delete_cors_configuration,
        v2.get_routes,
        v2.get_integrations,
        v2.get_stages,
        v2.get_deployments,
        v2.get_authorizers,
        v2.get_models,
        v2.create_deployment,
    ):
        c.missing(call, **key)
    c.missing(v2.create_route, **key, RouteKey="GET /x")
    c.missing(v2.create_stage, **key, StageName="x")
    c.missing(v2.create_integration, **key, IntegrationType="HTTP_PROXY")
    c.missing(
        v2.create_authorizer, **key, Name="x", AuthorizerType="REQUEST", IdentitySource=["$request.header.A"]
    )


@scenario
def websocket_apis(c):
    v2 = c.v2
    made = v2.create_api(Name="w", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    key = {"ApiId": made["ApiId"]}
    assert made["ApiEndpoint"].startswith("wss://")
    c.bad(v2.create_api, Name="w", ProtocolType="WEBSOCKET")
    schema = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}})
    model_id = v2.create_model(**key, Name="M", Schema=schema, ContentType="application/json")["ModelId"]
    c.conflicts(v2.create_model, **key, Name="M", Schema=schema, ContentType="application/json")
    c.bad(v2.create_model, **key, Name="N", Schema="{", ContentType="application/json")
    of_model = {**key, "ModelId": model_id}
    assert v2.get_model(**of_model)["Name"] == "M"
    assert v2.update_model(**of_model, Description="d")["Description"] == "d"
    assert len(v2.get_models(**key)["Items"]) == 1
    assert v2.get_model_template(**of_model)["Value"]
    integration = v2.create_integration(
        **key, IntegrationType="MOCK", RequestTemplates={"200": '{"statusCode":200}'}, TemplateSelectionExpression="200"
    )["IntegrationId"]
    of_integration = {**key, "IntegrationId": integration}
    response = v2.create_integration_response(**of_integration, IntegrationResponseKey="$default")
    c.conflicts(v2.create_integration_response, **of_integration, IntegrationResponseKey="$default")
    of_response = {**of_integration, "IntegrationResponseId": response["IntegrationResponseId"]}
    assert v2.get_integration_response(**of_response)["IntegrationResponseKey"] == "$default"
    changed = v2.update_integration_response(**of_response, TemplateSelectionExpression="200")
    assert changed["TemplateSelectionExpression"] == "200"
    assert len(v2.get_integration_responses(**of_integration)["Items"]) == 1
    v2.delete_integration_response(**of_response)
    for call in (v2.get_integration_response, v2.update_integration_response, v2.delete_integration_response):
        c.missing(call, **of_response)
    route = v2.create_route(
        **key,
        RouteKey="$connect",
        Target=f"integrations/{integration}",
        RequestParameters={"route.request.header.X": {"Required": True}},
        RouteResponseSelectionExpression="$default",
    )["RouteId"]
    of_route = {**key, "RouteId": route}
    v2.delete_route_request_parameter(**of_route, RequestParameterKey="route.request.header.X")
    response = v2.create_route_response(**of_route, RouteResponseKey="$default")["RouteResponseId"]
    c.conflicts(v2.create_route_response, **of_route, RouteResponseKey="$default")
    of_response = {**of_route, "RouteResponseId": response}
    assert v2.get_route_response(**of_response)["RouteResponseKey"] == "$default"
    changed = v2.update_route_response(**of_response, ResponseModels={"$default": "M"})
    assert changed["ResponseModels"] == {"$default": "M"}
    assert len(v2.get_route_responses(**of_route)["Items"]) == 1
    v2.delete_route_response(**of_response)
    for call in (v2.get_route_response, v2.update_route_response, v2.delete_route_response):
        c.missing(call, **of_response)
    v2.create_deployment(**key)
    v2.delete_route(**of_route)
    c.missing(v2.delete_route_request_parameter, **of_route, RequestParameterKey="route.request.header.X")
    c.missing(v2.create_route_response, **of_route, RouteResponseKey="$default")
    c.missing(v2.get_route_responses, **of_route)
    v2.delete_integration(**of_integration)
    c.missing(v2.create_integration_response, **of_integration, IntegrationResponseKey="$default")
    c.missing(v2.get_integration_responses, **of_integration)
    v2.delete_model(**of_model)
    for call in (v2.get_model, v2.update_model, v2.delete_model, v2.get_model_template):
        c.missing(call, **of_model)
    c.missing(v2.create_model, ApiId="missing", Name="M", Schema=schema)


@scenario
def domain_names_v2(c):
    v2 = c.v2
    arn = c.certificate("v2.example.com")
    name = {"DomainName": "v2.example.com"}
    configuration = [{"CertificateArn": arn, "EndpointType": "REGIONAL"}]
    v2.create_domain_name(**name, DomainNameConfigurations=configuration, RoutingMode="ROUTING_RULE_THEN_API_MAPPING")
    c.conflicts(v2.create_domain_name, **name, DomainNameConfigurations=configuration)
    c.bad(v2.create_domain_name, DomainName="bad name", DomainNameConfigurations=configuration)
    assert v2.get_domain_name(**name)["RoutingMode"] == "ROUTING_RULE_THEN_API_MAPPING"
    v2.update_domain_name(**name, DomainNameConfigurations=configuration)
    assert v2.get_domain_names()["Items"]
    api = v2.create_api(Name="mapped", ProtocolType="HTTP", Target=c.origin.url)["ApiId"]
    made = v2.create_api_mapping(**name, ApiId=api, Stage="$default", ApiMappingKey="a/b")
    c.conflicts(v2.create_api_mapping, **name, ApiId=api, Stage="$default", ApiMappingKey="a/b")
    mapping = {**name, "ApiMappingId": made["ApiMappingId"]}
    assert v2.get_api_mapping(**mapping)["ApiMappingKey"] == "a/b"
    assert v2.update_api_mapping(**mapping, ApiId=api, ApiMappingKey="c")["ApiMappingKey"] == "c"
    assert len(v2.get_api_mappings(**name)["Items"]) == 1
    rule = {
        "Priority": 10,
        "Conditions": [{"MatchBasePaths": {"AnyOf": ["x"]}}],
        "Actions": [{"InvokeApi": {"ApiId": api, "Stage": "$default", "StripBasePath": True}}],
    }
    made = v2.create_routing_rule(**name, **rule)
    c.conflicts(v2.create_routing_rule, **name, **rule)
    nowhere = [{"InvokeApi": {"ApiId": "missing", "Stage": "s"}}]
    c.bad(v2.create_routing_rule, **name, **{**rule, "Priority": 11, "Actions": nowhere})
    of_rule = {**name, "RoutingRuleId": made["RoutingRuleId"]}
    assert v2.get_routing_rule(**of_rule)["Priority"] == 10
    assert v2.put_routing_rule(**of_rule, **{**rule, "Priority": 20})["Priority"] == 20
    assert len(v2.list_routing_rules(**name)["RoutingRules"]) == 1
    v2.delete_routing_rule(**of_rule)
    for call in (v2.get_routing_rule, v2.delete_routing_rule):
        c.missing(call, **of_rule)
    c.missing(v2.put_routing_rule, **of_rule, **rule)
    v2.delete_api_mapping(**mapping)
    for call in (v2.get_api_mapping, v2.delete_api_mapping):
        c.missing(call, **mapping)
    c.missing(v2.update_api_mapping, **mapping, ApiId=api)
    v2.delete_domain_name(**name)
    for call in (v2.get_domain_name, v2.update_domain_name, v2.delete_domain_name, v2.get_api_mappings):
        c.missing(call, **name)
    c.missing(v2.list_routing_rules, **name)
    c.missing(v2.create_routing_rule, **name, **rule)
    c.missing(v2.create_api_mapping, **name, ApiId=api, Stage="$default")


# Each holds one, or what a new API has besides; the second is too many.
QUOTAS = {
    "API_KEYS_MAX": 1,
    "APIS_MAX": 1,
    "AUTHORIZERS_PER_API_MAX": 1,
    "CLIENT_CERTIFICATES_MAX": 1,
    "DEPLOYMENTS_PER_API_MAX": 1,
    "DOCUMENTATION_PARTS_PER_API_MAX": 1,
    "DOCUMENTATION_VERSIONS_PER_API_MAX": 1,
    "DOMAIN_NAMES_MAX": 1,
    "DOMAIN_NAME_ACCESS_ASSOCIATIONS_MAX": 1,
    "MAPPINGS_PER_DOMAIN_NAME_MAX": 1,
    "MODELS_PER_API_MAX": 3,
    "REQUEST_VALIDATORS_PER_API_MAX": 1,
    "RESOURCES_PER_API_MAX": 2,
    "STAGES_PER_API_MAX": 1,
    "USAGE_PLANS_MAX": 1,
    "USAGE_PLANS_PER_API_KEY_MAX": 1,
    "VPC_LINKS_MAX": 1,
}


def limits(c):
    """Of everything, one more than there may be, at a Turnpike whose quotas are low."""
    v1 = c.v1

    def exceeds(call, **arguments):
        c.fails("LimitExceededException", call, **arguments)

    api_id, root_id, deployment = c.served("only")
    key = {"restApiId": api_id}
    exceeds(v1.create_rest_api, name="second")
    exceeds(v1.import_rest_api, body=json.dumps(OPENAPI))
    v1.create_resource(**key, parentId=root_id, pathPart="a")
    exceeds(v1.create_resource, **key, parentId=root_id, pathPart="b")
    exceeds(v1.put_rest_api, **key, body=json.dumps(OPENAPI))
    exceeds(v1.create_deployment, **key)
    exceeds(v1.create_stage, **key, stageName="t", deploymentId=deployment)
    token = {"type": "TOKEN", "identitySource": "method.request.header.A", "authorizerUri": AUTHORIZER_URI}
    v1.create_authorizer(**key, name="a", **token)
    exceeds(v1.create_authorizer, **key, name="b", **token)
    v1.create_model(**key, name="A", contentType="application/json", schema="{}")
    exceeds(v1.create_model, **key, name="B", contentType="application/json", schema="{}")
    v1.create_request_validator(**key, name="a")
    exceeds(v1.create_request_validator, **key, name="b")
    v1.create_documentation_part(**key, location={"type": "API"}, properties="{}")
    exceeds(v1.create_documentation_part, **key, location={"type": "MODEL", "name": "A"}, properties="{}")
    v1.create_documentation_version(**key, documentationVersion="1")
    exceeds(v1.create_documentation_version, **key, documentationVersion="2")
    made = v1.create_api_key(name="a")["id"]
    exceeds(v1.create_api_key, name="b")
    exceeds(v1.import_api_keys, format="csv", body="name,key\na,a-value-of-at-least-twenty-characters\n")
    v1.create_usage_plan(name="a")
    exceeds(v1.create_usage_plan, name="b")
    v1.delete_api_key(apiKey=made)
    v1.generate_client_certificate()
    exceeds(v1.generate_client_certificate)
    balancer = f"arn:aws:elasticloadbalancing:{REGION}:000000000000:loadbalancer/net/n/1"
    v1.create_vpc_link(name="a", targetArns=[balancer])
    exceeds(v1.create_vpc_link, name="b", targetArns=[balancer])
    arn = c.certificate("limits.example.com")
    made = v1.create_domain_name(
        domainName="limits.example.com", certificateArn=arn, endpointConfiguration={"types": ["PRIVATE"]}
    )
    exceeds(v1.create_domain_name, domainName="more.example.com", certificateArn=arn)
    mapped = {"domainName": "limits.example.com", "domainNameId": made["domainNameId"], "restApiId": api_id}
    v1.create_base_path_mapping(**mapped, stage="s", basePath="a")
    exceeds(v1.create_base_path_mapping, **mapped, stage="s", basePath="b")
    association = {"domainNameArn": made["domainNameArn"], "accessAssociationSourceType": "VPCE"}
    v1.create_domain_name_access_association(**association, accessAssociationSource="vpce-0123456789abcdef0")
    exceeds(v1.create_domain_name_access_association, **association, accessAssociationSource="vpce-1123456789abcdef0")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, origin):
    """Runs all scenarios on a Turnpike of their own: what was seen, and which of them failed, and how."""
    watch, failed = model.Watch(), {}
    with Turnpike(tmp_path_factory.mktemp("operations")) as turnpike:
        clients = Clients(watch, turnpike, origin)
        for run in SCENARIOS:
            attempt(run, clients, failed)
    scarce = Turnpike(tmp_path_factory.mktemp("limits"))
    scarce.environment = {f"TURNPIKE_CONTROL_{name}": str(most) for name, most in QUOTAS.items()}
    with scarce:
        attempt(limits, Clients(watch, scarce, origin), failed)
    return watch, failed


def attempt(run, clients, failed):
    try:
        run(clients)
    except (Exception, pytest.fail.Exception):
        failed[run.__name__] = traceback.format_exc()


@pytest.mark.parametrize("name", [run.__name__ for run in [*SCENARIOS, limits]])
def test_scenario(outcome, name):
    assert name not in outcome[1], outcome[1][name]


@pytest.mark.parametrize("operation", model.operations(), ids=".".join)
def test_operation(outcome, operation):
    watch, _ = outcome
    if operation in REFUSED:
        assert not watch.statuses[operation] and watch.errors[operation]
        return
    assert watch.statuses[operation] == {model.status_of_success(*operation)}, "how it was answered with success"
    unknown = watch.errors[operation] - model.documented_errors(*operation) - UNNAMED.get(operation, set())
    assert not unknown, "errors that the model doesn't name"


def table(watch):
    lines = [
        "# Operations",
        "",
        "Written by `tests/aws/test_operations.py`, which calls each operation through boto3 and checks every answer's shape",
        "and status against botocore's model. 'Seen' are the documented errors that the suite makes Turnpike answer with.",
        "",
        *(f"- `{code}` is never sent: {why}." for code, why in NEVER.items()),
        "",
        "| service | operation | state | errors seen | documented, not seen |",
        "| --- | --- | --- | --- | --- |",
    ]
    for operation in model.operations():
        seen = watch.errors[operation]
        unseen = model.documented_errors(*operation) - seen - set(NEVER)
        state = f"refused: {REFUSED[operation]}" if operation in REFUSED else "works"
        short = [", ".join(sorted(code.removesuffix("Exception") for code in codes)) for codes in (seen, unseen)]
        lines.append(f"| {operation[0]} | {operation[1]} | {state} | {short[0]} | {short[1]} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_operations_is_up_to_date(outcome):
    written = table(outcome[0])
    if os.environ.get("TURNPIKE_WRITE_OPERATIONS"):
        TABLE.write_text(written)
    assert TABLE.read_text() == written, "run this test with TURNPIKE_WRITE_OPERATIONS=1 and commit the table"
