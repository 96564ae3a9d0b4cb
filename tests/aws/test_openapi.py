"""APIs made from OpenAPI documents and written back, with boto3 and the AWS CLI, and what the gateway serves of them."""

import json

import pytest
from botocore.exceptions import ClientError

from test_cli import Cli

# As people write it: anchors, unquoted status codes, references.
PETS = """
openapi: 3.0.1
info: {{title: pets, version: "1.0", description: Of all sorts}}
paths:
  /pets:
    get:
      operationId: listPets
      parameters: [{{$ref: '#/components/parameters/Kind'}}]
      responses: &ok
        200:
          description: Pets
          content: {{application/json: {{schema: {{type: array, items: {{$ref: '#/components/schemas/Pet'}}}}}}}}
      x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: "{origin}/animals"}}
  /pets/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: string}}}}]
    get:
      responses: *ok
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: "{origin}/animals/{{id}}"
        requestParameters: {{integration.request.path.id: method.request.path.id}}
  /fixed:
    get:
      responses: {{200: {{description: Always}}}}
      security: [{{key: []}}]
      x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: "{origin}/fixed"}}
components:
  parameters:
    Kind: {{name: kind, in: query, schema: {{type: string}}}}
  schemas:
    Pet: {{type: object, properties: {{name: {{type: string}}, parent: {{$ref: '#/components/schemas/Pet'}}}}}}
  securitySchemes:
    key: {{type: apiKey, name: x-api-key, in: header}}
"""


def pets(origin):
    return PETS.format(origin=origin.url)


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def methods(v1, api_id):
    """What each method is, without what an API's ids make of it."""
    found = {}
    for page in v1.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"]):
        for resource in page["items"]:
            for name, method in resource.get("resourceMethods", {}).items():
                method["methodIntegration"].pop("cacheNamespace", None)
                found[f"{name} {resource['path']}"] = method
    return found


def test_a_rest_api_is_imported_served_and_exported(turnpike, v1, origin):
    made = v1.import_rest_api(
        body=pets(origin).encode(), failOnWarnings=True, parameters={"endpointConfigurationTypes": "REGIONAL"}
    )
    api_id = made["id"]
    assert (made["name"], made["version"], made["description"]) == ("pets", "1.0", "Of all sorts")
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert "warnings" not in made
    [pet] = [model for model in v1.get_models(restApiId=api_id)["items"] if model["name"] == "Pet"]
    reference = json.loads(pet["schema"])["properties"]["parent"]["$ref"]
    assert reference == f"https://apigateway.amazonaws.com/restapis/{api_id}/models/Pet"
    v1.create_deployment(restApiId=api_id, stageName="prod")
    reply = turnpike.wait_for(api_id, "/prod/pets/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/animals/7"
    assert turnpike.ask(api_id, "/prod/pets?kind=cat").json["target"] == "/animals?kind=cat"
    assert turnpike.ask(api_id, "/prod/fixed").status == 403, "a key is asked for"

    before = methods(v1, api_id)
    for kind in ("swagger", "oas30"):
        for accepts in ("application/json", "application/yaml"):
            exported = v1.get_export(
                restApiId=api_id, stageName="prod", exportType=kind, accepts=accepts, parameters={"extensions": "apigateway"}
            )
            assert exported["contentType"] == accepts
            assert exported["contentDisposition"].startswith(f'attachment; filename="{kind}_')
            document = exported["body"].read()
            assert (b'"title": "pets"' in document) == (accepts == "application/json")
            again = v1.import_rest_api(body=document, failOnWarnings=True)["id"]
            assert methods(v1, again) == before, document
            v1.delete_rest_api(restApiId=again)


def test_an_import_merges_or_overwrites(v1, origin):
    api_id = v1.import_rest_api(body=pets(origin).encode(), parameters={"ignore": "documentation"})["id"]
    assert v1.get_documentation_parts(restApiId=api_id)["items"] == []
    other = {
        "swagger": "2.0",
        "info": {"title": "other", "version": "2"},
        "basePath": "/v2",
        "paths": {"/owners": {"get": {"responses": {"200": {"description": "Owners"}}}}},
    }
    parameters = {"basepath": "prepend"}
    body = json.dumps(other).encode()
    merged = v1.put_rest_api(restApiId=api_id, mode="merge", body=body, parameters=parameters)
    assert (merged["id"], merged["name"], merged["version"]) == (api_id, "other", "2")
    paths = {resource["path"] for resource in v1.get_resources(restApiId=api_id)["items"]}
    assert paths == {"/", "/pets", "/pets/{id}", "/fixed", "/v2", "/v2/owners"}
    [part] = v1.get_documentation_parts(restApiId=api_id)["items"]
    assert part["location"] == {"type": "RESPONSE", "path": "/v2/owners", "method": "GET", "statusCode": "200"}
    v1.put_rest_api(restApiId=api_id, mode="overwrite", body=body)
    assert {resource["path"] for resource in v1.get_resources(restApiId=api_id)["items"]} == {"/", "/owners"}
    assert v1.get_models(restApiId=api_id)["items"] == []


def test_what_is_wrong_is_said_with_its_place(v1, v2, origin):
    bad = json.dumps({"swagger": "2.0", "info": {"title": "t"}, "paths": {"/a/{b}": {}, "/a/{c}": {}}})
    code, message = error_of(v1.import_rest_api, body=bad.encode())
    assert code == "BadRequestException"
    assert message.startswith("Errors found during import:\n\t/paths/~1a~1{c}: Unable to create resource at path '/a/{c}'")
    odd = json.dumps({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {}, "x-amazon-apigateway-polcy": {}})
    told = "/x-amazon-apigateway-polcy: the extension isn't known here, and is left out"
    assert v1.import_rest_api(body=odd.encode())["warnings"] == [told]
    assert v2.import_api(Body=odd)["Warnings"] == [told]
    for call, body in ((v1.import_rest_api, {"body": odd.encode(), "failOnWarnings": True}), (v2.import_api, {"Body": odd, "FailOnWarnings": True})):
        code, message = error_of(call, **body)
        assert (code, message) == ("BadRequestException", f"Warnings found during import:\n\t{told}")
    for body in (b"", b"no document", b"{", b"openapi: 3.0.1", b"\xff\xfe", b"a: &a [*a]", b"[" * 100_000, b"x" * 8_000_000):
        code, _ = error_of(v1.import_rest_api, body=body)
        assert code in ("BadRequestException", "RequestEntityTooLargeException"), body[:20]


def http_document(origin):
    """With a route of each kind; two share an integration."""
    shared = {"$ref": "#/components/x-amazon-apigateway-integrations/animals"}
    proxy = {"type": "http_proxy", "httpMethod": "GET", "payloadFormatVersion": "1.0"}
    return {
        "openapi": "3.0.1",
        "info": {"title": "http pets", "version": "1.0"},
        "tags": [{"name": "owner", "x-amazon-apigateway-tag-value": "me"}],
        "paths": {
            "/pets": {"get": {"x-amazon-apigateway-integration": shared}, "post": {"x-amazon-apigateway-integration": shared}},
            "/pets/{id}": {"get": {"operationId": "one", "x-amazon-apigateway-integration": {**proxy, "uri": f"{origin.url}/animals/{{id}}"}}},
            "/$default": {
                "x-amazon-apigateway-any-method": {
                    "isDefaultRoute": True,
                    "x-amazon-apigateway-integration": {**proxy, "httpMethod": "ANY", "uri": f"{origin.url}/"},
                }
            },
            "/secret": {"get": {"security": [{"jwt": ["read"]}], "x-amazon-apigateway-integration": shared}},
        },
        "components": {
            "x-amazon-apigateway-integrations": {"animals": {**proxy, "httpMethod": "ANY", "uri": f"{origin.url}/animals"}},
            "securitySchemes": {
                "jwt": {
                    "type": "openIdConnect",
                    "openIdConnectUrl": "https://issuer.example.com/.well-known/openid-configuration",
                    "x-amazon-apigateway-authorizer": {"type": "jwt", "jwtConfiguration": {"audience": ["a"]}},
                }
            },
        },
        "x-amazon-apigateway-cors": {"allowOrigins": ["https://example.com"], "allowMethods": ["GET"], "maxAge": 60},
    }


def routes(v2, api_id):
    """By key, with what they lead to in place of ids."""
    integrations = {item.pop("IntegrationId"): item for item in v2.get_integrations(ApiId=api_id)["Items"]}
    authorizers = {item.pop("AuthorizerId"): item for item in v2.get_authorizers(ApiId=api_id)["Items"]}
    found = {}
    for route in v2.get_routes(ApiId=api_id)["Items"]:
        del route["RouteId"]
        route["Target"] = integrations[route["Target"].split("/")[1]]
        if "AuthorizerId" in route:
            route["AuthorizerId"] = authorizers[route["AuthorizerId"]]
        found[route["RouteKey"]] = route
    return found, len(integrations)


def test_an_http_api_is_imported_served_and_exported(turnpike, v2, origin):
    made = v2.import_api(Body=json.dumps(http_document(origin)), FailOnWarnings=True)
    api_id = made["ApiId"]
    assert (made["Name"], made["Version"], made["Tags"]) == ("http pets", "1.0", {"owner": "me"})
    assert made["CorsConfiguration"] == {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"], "MaxAge": 60}
    before = routes(v2, api_id)
    assert set(before[0]) == {"GET /pets", "POST /pets", "GET /pets/{id}", "$default", "GET /secret"}
    assert before[1] == 3
    secret = before[0]["GET /secret"]
    assert (secret["AuthorizationType"], secret["AuthorizationScopes"]) == ("JWT", ["read"])
    assert secret["AuthorizerId"]["JwtConfiguration"] == {"Issuer": "https://issuer.example.com", "Audience": ["a"]}
    v2.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    reply = turnpike.wait_for(api_id, "/pets/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/animals/7"
    assert turnpike.ask(api_id, "/else/where").json["target"] == "/else/where"
    assert turnpike.ask(api_id, "/secret").status in (401, 500), "never open"

    for stage in ({}, {"StageName": "$default"}):
        for output in ("JSON", "YAML"):
            document = v2.export_api(ApiId=api_id, Specification="OAS30", OutputType=output, **stage)["body"].read()
            again = v2.import_api(Body=document.decode(), FailOnWarnings=True)
            assert again["CorsConfiguration"] == made["CorsConfiguration"] and again["Tags"] == made["Tags"]
            assert routes(v2, again["ApiId"]) == before, document
            v2.delete_api(ApiId=again["ApiId"])


def test_a_reimport_replaces_routes_and_the_stage_follows(turnpike, v2, origin):
    document = http_document(origin)
    api_id = v2.import_api(Body=json.dumps(document))["ApiId"]
    v2.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    turnpike.wait_for(api_id, "/pets", lambda reply: reply.status == 200)
    kept = {item["IntegrationId"] for item in v2.get_integrations(ApiId=api_id)["Items"]}
    del document["paths"]["/$default"], document["x-amazon-apigateway-cors"]
    document["paths"]["/new"] = {"get": document["paths"]["/pets"]["get"]}
    changed = v2.reimport_api(ApiId=api_id, Body=json.dumps(document))
    assert "CorsConfiguration" not in changed
    assert set(routes(v2, api_id)[0]) == {"GET /pets", "POST /pets", "GET /pets/{id}", "GET /new", "GET /secret"}
    assert {item["IntegrationId"] for item in v2.get_integrations(ApiId=api_id)["Items"]} < kept
    assert turnpike.wait_for(api_id, "/new", lambda reply: reply.status == 200).json["target"] == "/animals"
    assert turnpike.ask(api_id, "/else/where").status == 404


def test_the_aws_cli_imports_and_exports_files(turnpike, origin, tmp_path):
    aws = Cli(turnpike.exports, tmp_path)
    (tmp_path / "pets.yaml").write_text(pets(origin))
    api_id = aws("apigateway", "import-rest-api", "--fail-on-warnings", "--body", f"fileb://{tmp_path}/pets.yaml")["id"]
    aws("apigateway", "create-deployment", "--rest-api-id", api_id, "--stage-name", "prod")
    out = tmp_path / "out.yaml"
    extensions = ("--parameters", '{"extensions": "integrations,authorizers"}')
    aws("apigateway", "get-export", "--rest-api-id", api_id, "--stage-name", "prod", "--export-type", "oas30", "--accepts", "application/yaml", *extensions, str(out))
    assert out.read_text().startswith('---\nopenapi: "3.0.1"\n')
    aws("apigateway", "put-rest-api", "--rest-api-id", api_id, "--mode", "overwrite", "--body", f"fileb://{out}")
    (tmp_path / "http.json").write_text(json.dumps(http_document(origin)))
    http_id = aws("apigatewayv2", "import-api", "--body", f"file://{tmp_path}/http.json")["ApiId"]
    aws("apigatewayv2", "export-api", "--api-id", http_id, "--specification", "OAS30", "--output-type", "YAML", str(out))
    aws("apigatewayv2", "reimport-api", "--api-id", http_id, "--body", f"file://{out}", "--fail-on-warnings")
