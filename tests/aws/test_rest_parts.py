"""Authorizers, models, validators, gateway responses, documentation and the account of REST APIs, with boto3."""

import json

import pytest

from test_client_certificates import error_of, replace

FUNCTION = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:000000000000:function:check/invocations"
)
SCHEMA = json.dumps({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"})


@pytest.fixture
def api(v1):
    return v1.create_rest_api(name="parts")


@pytest.fixture
def key(api):
    return {"restApiId": api["id"]}


def bare(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def method(v1, api, http_method="GET", **arguments):
    arguments.setdefault("authorizationType", "NONE")
    return v1.put_method(
        restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod=http_method, **arguments
    )


def token(v1, key, **arguments):
    return v1.create_authorizer(
        **key,
        **{
            "name": "check",
            "type": "TOKEN",
            "authorizerUri": FUNCTION,
            "identitySource": "method.request.header.Authorization",
            **arguments,
        },
    )


def test_an_authorizer_is_made_read_listed_updated_and_deleted(v1, key):
    made = token(v1, key, identityValidationExpression="^Bearer .+$")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    own = {**key, "authorizerId": made["id"]}
    assert bare(made) == {
        "id": made["id"],
        "name": "check",
        "type": "TOKEN",
        "authType": "custom",
        "authorizerUri": FUNCTION,
        "identitySource": "method.request.header.Authorization",
        "identityValidationExpression": "^Bearer .+$",
        "authorizerResultTtlInSeconds": 300,
    }
    assert bare(v1.get_authorizer(**own)) == bare(made)
    assert v1.get_authorizers(**key)["items"] == [bare(made)]
    updated = v1.update_authorizer(
        **own,
        patchOperations=[
            *replace("/type", "REQUEST"),
            *replace("/authorizerResultTtlInSeconds", "0"),
            {"op": "remove", "path": "/identitySource"},
            *replace("/name", "asked"),
        ],
    )
    assert (updated["type"], updated["authorizerResultTtlInSeconds"], updated["name"]) == ("REQUEST", 0, "asked")
    assert "identitySource" not in updated
    for path, value, text in [
        ("/authorizerResultTtlInSeconds", "3601", "3600"),
        ("/authorizerResultTtlInSeconds", "60", "identitySource is required"),
        ("/authorizerUri", "http://127.0.0.1/", "Invalid Authorizer URI"),
        ("/name", "", "/name"),
        ("/id", "x", "Invalid patch path"),
    ]:
        code, status, message = error_of(v1.update_authorizer, **own, patchOperations=replace(path, value))
        assert (code, status) == ("BadRequestException", 400) and text in message, message
    assert bare(v1.get_authorizer(**own)) == bare(updated)
    assert v1.delete_authorizer(**own)["ResponseMetadata"]["HTTPStatusCode"] == 202
    for call in (v1.get_authorizer, v1.delete_authorizer, v1.update_authorizer):
        assert error_of(call, **own) == ("NotFoundException", 404, "Invalid Authorizer identifier specified")


def test_authorizers_have_names_of_their_own_and_a_quota(v1, key):
    token(v1, key)
    code, status, message = error_of(lambda: token(v1, key))
    assert (code, status) == ("ConflictException", 409)
    assert message == "Authorizer name must be unique. Authorizer check already exists in this RestApi."
    for n in range(9):
        token(v1, key, name=f"check{n}")
    assert error_of(lambda: token(v1, key, name="eleventh"))[:2] == ("LimitExceededException", 429)


def test_user_pools_and_tokens(v1, key):
    arn = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"
    header = {"identitySource": "method.request.header.Authorization"}
    pool = v1.create_authorizer(**key, name="pool", type="COGNITO_USER_POOLS", providerARNs=[arn], **header)
    assert (pool["providerARNs"], pool["authType"]) == ([arn], "cognito_user_pools")
    assert "authorizerResultTtlInSeconds" not in pool and "authorizerUri" not in pool
    own = {**key, "authorizerId": pool["id"]}
    more = [{"op": "add", "path": "/providerARNs", "value": arn + "b"}]
    assert v1.update_authorizer(**own, patchOperations=more)["providerARNs"] == [arn, arn + "b"]
    both = [{"op": "remove", "path": "/providerARNs", "value": each} for each in (arn, arn + "b")]
    assert "providerARNs is required" in error_of(v1.update_authorizer, **own, patchOperations=both)[2]
    configuration = {
        "defaultAlgorithms": ["RS256"],
        "issuers": [
            {
                "issuer": "https://issuer.example",
                "audiences": ["me"],
                "additionalClaims": [{"claimName": "client_id", "format": "SINGLE_STRING", "required": True}],
            }
        ],
    }
    jwt = v1.create_authorizer(**key, name="jwt", type="JWT", jwtConfiguration=configuration)
    assert jwt["jwtConfiguration"] == configuration
    code, status, message = error_of(v1.test_invoke_authorizer, **own, headers={"Authorization": "x"})
    assert (code, status) == ("BadRequestException", 400) and "COGNITO_USER_POOLS" in message


def test_what_a_method_refers_to_is_there_and_stays(v1, api, key):
    authorizer = token(v1, key)
    validator = v1.create_request_validator(**key, name="all", validateRequestBody=True)
    v1.create_model(**key, name="Pet", contentType="application/json", schema=SCHEMA)
    made = method(
        v1,
        api,
        authorizationType="CUSTOM",
        authorizerId=authorizer["id"],
        requestValidatorId=validator["id"],
        requestModels={"application/json": "Pet"},
    )
    assert made["authorizerId"] == authorizer["id"] and made["requestValidatorId"] == validator["id"]
    delete_authorizer = {**key, "authorizerId": authorizer["id"]}
    delete_validator = {**key, "requestValidatorId": validator["id"]}
    code, status, message = error_of(v1.delete_authorizer, **delete_authorizer)
    assert (code, status) == ("ConflictException", 409)
    assert message == "Cannot delete authorizer 'check', is referenced in method: GET//"
    assert error_of(v1.delete_model, **key, modelName="Pet") == (
        "ConflictException",
        409,
        "Cannot delete model 'Pet', is referenced in method request: //GET",
    )
    assert error_of(v1.delete_request_validator, **delete_validator)[:2] == ("ConflictException", 409)
    for arguments in (
        {"authorizationType": "CUSTOM", "authorizerId": "none"},
        {"authorizationType": "CUSTOM"},
        {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": authorizer["id"]},
        {"requestValidatorId": "none"},
        {"requestModels": {"application/json": "None"}},
    ):
        code, status, _ = error_of(lambda arguments=arguments: method(v1, api, "POST", **arguments))
        assert (code, status) in (("BadRequestException", 400), ("NotFoundException", 404)), arguments
    v1.delete_method(restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod="GET")
    v1.delete_authorizer(**delete_authorizer)
    v1.delete_model(**key, modelName="Pet")
    v1.delete_request_validator(**delete_validator)


def test_an_api_begins_with_two_models(v1, key):
    models = {model["name"]: model for model in v1.get_models(**key)["items"]}
    assert sorted(models) == ["Empty", "Error"]
    assert json.loads(models["Empty"]["schema"])["title"] == "Empty Schema"
    assert models["Error"]["description"] == "This is a default error schema model"
    assert {model["contentType"] for model in models.values()} == {"application/json"}


def test_a_model_is_made_read_updated_and_deleted(v1, key):
    made = v1.create_model(**key, name="Pet", contentType="application/json", schema=SCHEMA, description="d")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    own = {**key, "modelName": "Pet"}
    assert bare(v1.get_model(**own)) == bare(made)
    changed = json.dumps({"type": "object", "properties": {"name": {"type": "string"}}})
    assert v1.update_model(**own, patchOperations=replace("/schema", changed))["schema"] == changed
    template = v1.get_model_template(**own)["value"]
    assert template.startswith("#set($inputRoot = $input.path('$'))\n{") and '"name" : "$inputRoot.name"' in template
    reference = f"https://apigateway.amazonaws.com/restapis/{key['restApiId']}/models/Pet"
    pets = json.dumps({"type": "array", "items": {"$ref": reference}})
    v1.create_model(**key, name="Pets", contentType="application/json", schema=pets)
    assert v1.get_model(**key, modelName="Pets")["schema"] == pets
    flat = json.loads(v1.get_model(**key, modelName="Pets", flatten=True)["schema"])
    assert flat["items"] == {"$ref": "#/definitions/Pet"} and flat["definitions"]["Pet"] == json.loads(changed)
    assert "referenced in model: Pets" in error_of(v1.delete_model, **own)[2]
    for name in ("Pets", "Pet"):
        v1.delete_model(**key, modelName=name)
    assert error_of(v1.get_model, **own) == ("NotFoundException", 404, "Invalid model name specified: Pet")


def test_models_of_version_2_have_templates_too(v2):
    api_id = v2.create_api(Name="a", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.x")["ApiId"]
    schema = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}})
    made = v2.create_model(ApiId=api_id, Name="Pet", ContentType="application/json", Schema=schema)
    template = v2.get_model_template(ApiId=api_id, ModelId=made["ModelId"])["Value"]
    assert '"n" : $inputRoot.n' in template


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ({"name": "my-pet"}, "BadRequestException", "Model name must be alphanumeric: my-pet"),
        ({"name": "Empty"}, "ConflictException", "already exists"),
        ({"schema": "{"}, "BadRequestException", "Invalid model schema specified"),
        ({"schema": "[]"}, "BadRequestException", "Invalid model schema specified"),
        ({"schema": ""}, "BadRequestException", "at least 1 property"),
        ({"contentType": ""}, "BadRequestException", "content type"),
    ],
)
def test_models_are_checked(v1, key, arguments, code, text):
    wanted = {"name": "Pet", "contentType": "application/json", "schema": SCHEMA, **arguments}
    found, _, message = error_of(v1.create_model, **key, **wanted)
    assert found == code and text in message


def test_a_reference_to_no_model_is_refused(v1, key):
    reference = f"https://apigateway.amazonaws.com/restapis/{key['restApiId']}/models/None"
    schema = json.dumps({"type": "array", "items": {"$ref": reference}})
    wanted = {"name": "Pets", "contentType": "application/json", "schema": schema}
    code, _, message = error_of(v1.create_model, **key, **wanted)
    assert code == "BadRequestException" and f"Invalid model reference specified: {reference}" in message


def test_a_validator_is_made_read_listed_updated_and_deleted(v1, key):
    made = v1.create_request_validator(**key, name="all", validateRequestBody=True)
    own = {**key, "requestValidatorId": made["id"]}
    assert bare(made) == {
        "id": made["id"],
        "name": "all",
        "validateRequestBody": True,
        "validateRequestParameters": False,
    }
    assert bare(v1.get_request_validator(**own)) == bare(made)
    assert v1.get_request_validators(**key)["items"] == [bare(made)]
    operations = [*replace("/validateRequestParameters", "true"), *replace("/name", "both")]
    updated = v1.update_request_validator(**own, patchOperations=operations)
    assert updated["validateRequestParameters"] is True and updated["name"] == "both"
    for path, value in (("/name", ""), ("/validateRequestBody", "x"), ("/id", "x")):
        patch = replace(path, value)
        assert error_of(v1.update_request_validator, **own, patchOperations=patch)[:2] == ("BadRequestException", 400)
    assert error_of(v1.create_request_validator, **key, name="both")[0] == "ConflictException"
    assert v1.delete_request_validator(**own)["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert error_of(v1.get_request_validator, **own)[0] == "NotFoundException"


def test_gateway_responses_have_defaults(v1, key):
    items = v1.get_gateway_responses(**key)["items"]
    statuses = {item["responseType"]: item.get("statusCode") for item in items}
    assert len(items) == 21 and all(item["defaultResponse"] for item in items)
    assert statuses["DEFAULT_4XX"] is None and statuses["DEFAULT_5XX"] is None
    assert (statuses["THROTTLED"], statuses["INTEGRATION_TIMEOUT"], statuses["UNAUTHORIZED"]) == ("429", "504", "401")
    one = v1.get_gateway_response(**key, responseType="THROTTLED")
    assert one["responseTemplates"] == {"application/json": '{"message":$context.error.messageString}'}
    assert one["responseParameters"] == {}
    page = v1.get_gateway_responses(**key, limit=20)
    rest = v1.get_gateway_responses(**key, limit=20, position=page["position"])
    assert len(page["items"]) == 20 and [item["responseType"] for item in rest["items"]] == ["WAF_FILTERED"]


def test_a_gateway_response_is_put_updated_and_reset(turnpike, v1, key):
    own = {**key, "responseType": "ACCESS_DENIED"}
    header = "gatewayresponse.header.Access-Control-Allow-Origin"
    put = v1.put_gateway_response(
        **own, statusCode="404", responseParameters={header: "'*'"}, responseTemplates={"text/plain": "no"}
    )
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert bare(put) == {
        "responseType": "ACCESS_DENIED",
        "statusCode": "404",
        "responseParameters": {header: "'*'"},
        "responseTemplates": {"text/plain": "no"},
        "defaultResponse": False,
    }
    updated = v1.update_gateway_response(
        **own,
        patchOperations=[
            *replace("/statusCode", "410"),
            {"op": "remove", "path": f"/responseParameters/{header}"},
            {"op": "add", "path": "/responseTemplates/application~1json", "value": "{}"},
        ],
    )
    assert (updated["statusCode"], updated["responseParameters"]) == ("410", {})
    assert updated["responseTemplates"] == {"text/plain": "no", "application/json": "{}"}
    for patch in (
        replace("/statusCode", "abc"),
        replace("/responseType", "THROTTLED"),
        replace("/responseParameters/header.x", "'x'"),
        replace(f"/responseParameters/{header}", "x"),
    ):
        code, status, _ = error_of(v1.update_gateway_response, **own, patchOperations=patch)
        assert (code, status) == ("BadRequestException", 400), patch
    by_default = {**key, "responseType": "DEFAULT_5XX"}
    assert v1.update_gateway_response(**by_default, patchOperations=replace("/statusCode", "500"))["statusCode"] == "500"
    assert v1.get_gateway_response(**by_default)["defaultResponse"] is False
    assert v1.delete_gateway_response(**own)["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert v1.get_gateway_response(**own)["statusCode"] == "403"
    assert error_of(v1.delete_gateway_response, **own)[:2] == ("NotFoundException", 404)
    [listed] = [line for line in turnpike.status_lines() if key["restApiId"] in line]
    assert "gateway response" in listed, "customised ones aren't used yet, and status says so"
    assert error_of(v1.get_gateway_response, **key, responseType="NONE")[0] == "ValidationException"


def part(v1, key, properties=None, **location):
    return v1.create_documentation_part(
        **key, location=location, properties=json.dumps(properties or {"description": "d"})
    )


def test_a_documentation_part_is_made_read_listed_updated_and_deleted(v1, api, key):
    method(v1, api, requestParameters={"method.request.querystring.q": False})
    made = part(v1, key, type="METHOD", method="GET")
    assert made["location"] == {"type": "METHOD", "path": "/", "method": "GET"}
    own = {**key, "documentationPartId": made["id"]}
    assert bare(v1.get_documentation_part(**own)) == bare(made)
    part(v1, key, type="API")
    part(v1, key, type="MODEL", name="Empty")
    assert [item["id"] for item in v1.get_documentation_parts(**key, type="METHOD")["items"]] == [made["id"]]
    assert len(v1.get_documentation_parts(**key, limit=2)["items"]) == 2
    undocumented = v1.get_documentation_parts(**key, locationStatus="UNDOCUMENTED", limit=500)["items"]
    places = {(item["location"]["type"], item["location"].get("name")) for item in undocumented}
    assert places == {("MODEL", "Error"), ("RESOURCE", None), ("QUERY_PARAMETER", "q")}
    assert all("id" not in item for item in undocumented)
    changed = json.dumps({"description": "e"})
    assert v1.update_documentation_part(**own, patchOperations=replace("/properties", changed))["properties"] == changed
    for value in ("", "[]", "x"):
        patch = replace("/properties", value)
        assert error_of(v1.update_documentation_part, **own, patchOperations=patch)[0] == "BadRequestException"
    code, status, message = error_of(lambda: part(v1, key, type="METHOD", path="/", method="GET"))
    assert (code, status) == ("ConflictException", 409) and "type 'METHOD'" in message
    for location in ({"type": "API", "path": "/"}, {"type": "MODEL"}, {"type": "PAGE"}, {"type": "RESPONSE", "name": "x"}):
        assert error_of(lambda location=location: part(v1, key, **location))[0] == "BadRequestException"
    v1.delete_documentation_part(**own)
    assert error_of(v1.get_documentation_part, **own)[0] == "NotFoundException"


def document(*parts):
    listed = [{"location": location, "properties": properties} for location, properties in parts]
    extension = {"version": "1", "documentationParts": listed}
    return json.dumps({"openapi": "3.0.1", "paths": {}, "x-amazon-apigateway-documentation": extension}).encode()


def test_documentation_is_imported(v1, key):
    there = part(v1, key, {"a": 1, "b": 2}, type="API")
    imported = v1.import_documentation_parts(
        **key, body=document(({"type": "API"}, {"b": 3}), ({"type": "RESOURCE"}, {"description": "root"}))
    )
    assert there["id"] in imported["ids"] and len(imported["ids"]) == 2 and "warnings" not in imported
    merged = v1.get_documentation_part(**key, documentationPartId=there["id"])
    assert json.loads(merged["properties"]) == {"a": 1, "b": 3}
    elsewhere = document(({"type": "RESOURCE", "path": "/none"}, {"description": "x"}))
    code, _, message = error_of(v1.import_documentation_parts, **key, failOnWarnings=True, mode="overwrite", body=elsewhere)
    assert code == "BadRequestException" and "/none" in message
    assert len(v1.get_documentation_parts(**key)["items"]) == 2, "a refused import changes nothing"
    overwritten = v1.import_documentation_parts(**key, mode="overwrite", body=elsewhere)
    assert len(overwritten["warnings"]) == 1
    assert [item["id"] for item in v1.get_documentation_parts(**key)["items"]] == overwritten["ids"]
    yaml = b"""
openapi: 3.0.1
x-amazon-apigateway-documentation:
  documentationParts:
    - location: {type: API}
      properties: {c: 4}
"""
    v1.import_documentation_parts(**key, body=yaml)
    [whole] = v1.get_documentation_parts(**key, type="API")["items"]
    assert json.loads(whole["properties"]) == {"c": 4}
    for body in (b"", b"{", b"{}", document(({"type": "NONE"}, {}))):
        assert error_of(v1.import_documentation_parts, **key, body=body)[0] == "BadRequestException"


def test_a_documentation_version_is_made_read_updated_and_deleted(v1, api, key, origin):
    part(v1, key, type="API")
    made = v1.create_documentation_version(**key, documentationVersion="1.0", description="first")
    own = {**key, "documentationVersion": "1.0"}
    assert (made["version"], made["description"]) == ("1.0", "first") and made["createdDate"]
    assert bare(v1.get_documentation_version(**own)) == bare(made)
    assert [item["version"] for item in v1.get_documentation_versions(**key)["items"]] == ["1.0"]
    patch = replace("/description", "second")
    assert v1.update_documentation_version(**own, patchOperations=patch)["description"] == "second"
    assert error_of(v1.create_documentation_version, **own)[:2] == ("ConflictException", 409)
    assert error_of(v1.create_documentation_version, **key, documentationVersion="2", stageName="none")[0] == "NotFoundException"
    method(v1, api)
    v1.put_integration(
        restApiId=api["id"],
        resourceId=api["rootResourceId"],
        httpMethod="GET",
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri=origin.url,
    )
    v1.create_deployment(**key, stageName="prod")
    v1.create_documentation_version(**key, documentationVersion="2", stageName="prod")
    assert v1.get_stage(**key, stageName="prod")["documentationVersion"] == "2"
    assert "prod" in error_of(v1.delete_documentation_version, **key, documentationVersion="2")[2]
    v1.delete_documentation_version(**own)
    assert error_of(v1.get_documentation_version, **own)[:2] == ("NotFoundException", 404)


def test_the_account_has_settings(v1):
    before = v1.get_account()
    assert before["throttleSettings"] == {"burstLimit": 5000, "rateLimit": 10000.0}
    assert before["apiKeyVersion"]
    arn = "arn:aws:iam::000000000000:role/logs"
    assert v1.update_account(patchOperations=replace("/cloudwatchRoleArn", arn))["cloudwatchRoleArn"] == arn
    assert v1.get_account()["cloudwatchRoleArn"] == arn
    plans = [{"op": "add", "path": "/features", "value": "UsagePlans"}]
    assert v1.update_account(patchOperations=plans)["features"] == ["UsagePlans"]
    for patch in (
        replace("/cloudwatchRoleArn", "logs"),
        replace("/apiKeyVersion", "5"),
        [{"op": "remove", "path": "/features", "value": "UsagePlans"}],
    ):
        assert error_of(v1.update_account, patchOperations=patch)[:2] == ("BadRequestException", 400)
    assert "cloudwatchRoleArn" not in v1.update_account(patchOperations=replace("/cloudwatchRoleArn", ""))


def test_caches_are_flushed(v1, api, key, origin):
    for call in (v1.flush_stage_cache, v1.flush_stage_authorizers_cache):
        assert error_of(call, **key, stageName="none")[:2] == ("NotFoundException", 404)
    method(v1, api)
    place = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    v1.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=origin.url)
    v1.create_deployment(**key, stageName="prod")
    for call in (v1.flush_stage_cache, v1.flush_stage_authorizers_cache):
        assert call(**key, stageName="prod")["ResponseMetadata"]["HTTPStatusCode"] == 202
