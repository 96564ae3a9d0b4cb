"""REST APIs (apigateway) made with boto3, and what the gateway then serves."""

import pytest
from botocore.exceptions import ClientError


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


def rest_api(v1, name="api"):
    """Its id, and its root resource's."""
    api_id = v1.create_rest_api(name=name)["id"]
    [root] = v1.get_resources(restApiId=api_id)["items"]
    assert root["path"] == "/"
    return api_id, root["id"]


def proxy(v1, api_id, resource_id, uri, method="GET", **arguments):
    key = {"restApiId": api_id, "resourceId": resource_id, "httpMethod": method}
    v1.put_method(**key, authorizationType="NONE")
    v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod=method, uri=uri, **arguments)


def test_a_tree_with_a_variable_is_served_once_deployed(turnpike, v1, origin):
    api_id, root_id = rest_api(v1, "pets")
    pets = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="pets")
    pet = v1.create_resource(restApiId=api_id, parentId=pets["id"], pathPart="{id}")
    assert (pets["path"], pet["path"]) == ("/pets", "/pets/{id}")
    v1.put_method(
        restApiId=api_id,
        resourceId=pet["id"],
        httpMethod="GET",
        authorizationType="NONE",
        requestParameters={"method.request.path.id": True},
    )
    v1.put_integration(
        restApiId=api_id,
        resourceId=pet["id"],
        httpMethod="GET",
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri=f"{origin.url}/animals/{{id}}",
        requestParameters={"integration.request.path.id": "method.request.path.id"},
    )
    assert turnpike.ask(api_id, "/prod/pets/7").status in (403, 404), "nothing is live before a deployment"
    v1.create_deployment(restApiId=api_id, stageName="prod")
    reply = turnpike.wait_for(api_id, "/prod/pets/7?q=1", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/animals/7?q=1"
    assert reply.json["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert reply.headers["x-amzn-RequestId"]

    unknown = turnpike.ask(api_id, "/prod/owners")
    assert unknown.status == 403
    assert unknown.json == {"message": "Missing Authentication Token"}
    assert unknown.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"


def test_greedy_and_any(turnpike, v1, origin):
    api_id, root_id = rest_api(v1)
    rest = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="{proxy+}")["id"]
    key = {"restApiId": api_id, "resourceId": rest, "httpMethod": "ANY"}
    v1.put_method(**key, authorizationType="NONE", requestParameters={"method.request.path.proxy": True})
    v1.put_integration(
        **key,
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri=f"{origin.url}/base/{{proxy}}",
        requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
    )
    v1.create_deployment(restApiId=api_id, stageName="s")
    turnpike.wait_for(api_id, "/s/a/b", lambda reply: reply.status == 200)
    for method in ("GET", "POST", "DELETE"):
        seen = turnpike.ask(api_id, "/s/a/b/c", method, "body" if method == "POST" else None).json
        assert (seen["method"], seen["target"]) == (method, "/base/a/b/c")


def test_deployments_are_snapshots_of_the_tree(turnpike, v1, origin):
    api_id, root_id = rest_api(v1)
    first = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="first")["id"]
    proxy(v1, api_id, first, f"{origin.url}/first")
    v1.create_deployment(restApiId=api_id, stageName="prod")
    turnpike.wait_for(api_id, "/prod/first", lambda reply: reply.status == 200)
    second = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="second")["id"]
    proxy(v1, api_id, second, f"{origin.url}/second")
    assert turnpike.ask(api_id, "/prod/second").status == 403
    v1.create_deployment(restApiId=api_id, stageName="prod")
    turnpike.wait_for(api_id, "/prod/second", lambda reply: reply.status == 200)
    assert turnpike.ask(api_id, "/prod/first").status == 200


def test_stages_have_deployments_and_variables_of_their_own(turnpike, v1, origin):
    api_id, root_id = rest_api(v1)
    port = origin.url.rsplit(":", 1)[1]
    proxy(v1, api_id, root_id, f"http://127.0.0.1:{port}/${{stageVariables.where}}")
    deployment = v1.create_deployment(restApiId=api_id)["id"]
    for name in ("blue", "green"):
        v1.create_stage(restApiId=api_id, stageName=name, deploymentId=deployment, variables={"where": name})
    for name in ("blue", "green"):
        reply = turnpike.wait_for(api_id, f"/{name}", lambda reply: reply.status == 200)
        assert reply.json["target"] == f"/{name}"
    v1.delete_stage(restApiId=api_id, stageName="blue")
    turnpike.wait_for(api_id, "/blue", lambda reply: reply.status in (403, 404))
    assert turnpike.ask(api_id, "/green").status == 200


def test_rest_api_is_created_read_listed_and_deleted(turnpike, v1, origin):
    created = v1.create_rest_api(name="life", description="of an API")
    api_id = created["id"]
    read = v1.get_rest_api(restApiId=api_id)
    for name in ("name", "description", "createdDate", "rootResourceId"):
        assert read[name] == created[name], name
    assert api_id in [api["id"] for page in v1.get_paginator("get_rest_apis").paginate() for api in page["items"]]
    proxy(v1, api_id, created["rootResourceId"], origin.url)
    v1.create_deployment(restApiId=api_id, stageName="s")
    turnpike.wait_for(api_id, "/s", lambda reply: reply.status == 200)
    v1.delete_rest_api(restApiId=api_id)
    turnpike.wait_for(api_id, "/s", lambda reply: reply.status in (403, 404))
    assert error_of(v1.get_rest_api, restApiId=api_id) == ("NotFoundException", 404)


def test_resource_method_and_integration_are_created_read_and_deleted(v1, origin):
    api_id, root_id = rest_api(v1)
    resource = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="x")
    key = {"restApiId": api_id, "resourceId": resource["id"]}
    assert v1.get_resource(**key)["path"] == "/x"
    code, status = error_of(v1.create_resource, restApiId=api_id, parentId=root_id, pathPart="x")
    assert (code, status) == ("ConflictException", 409)
    proxy(v1, api_id, resource["id"], f"{origin.url}/x")
    method = v1.get_method(**key, httpMethod="GET")
    assert (method["httpMethod"], method["authorizationType"]) == ("GET", "NONE")
    assert method["methodIntegration"]["uri"] == f"{origin.url}/x"
    assert v1.get_integration(**key, httpMethod="GET")["type"] == "HTTP_PROXY"
    v1.delete_integration(**key, httpMethod="GET")
    assert error_of(v1.get_integration, **key, httpMethod="GET") == ("NotFoundException", 404)
    v1.delete_method(**key, httpMethod="GET")
    assert error_of(v1.get_method, **key, httpMethod="GET") == ("NotFoundException", 404)
    v1.delete_resource(**key)
    assert error_of(v1.get_resource, **key) == ("NotFoundException", 404)


def test_deployment_and_stage_are_read_listed_and_deleted(v1, origin):
    api_id, root_id = rest_api(v1)
    proxy(v1, api_id, root_id, origin.url)
    deployment_id = v1.create_deployment(restApiId=api_id, stageName="s", description="d")["id"]
    assert v1.get_deployment(restApiId=api_id, deploymentId=deployment_id)["description"] == "d"
    assert [item["id"] for item in v1.get_deployments(restApiId=api_id)["items"]] == [deployment_id]
    assert v1.get_stage(restApiId=api_id, stageName="s")["deploymentId"] == deployment_id
    assert [item["stageName"] for item in v1.get_stages(restApiId=api_id)["item"]] == ["s"]
    code, status = error_of(v1.delete_deployment, restApiId=api_id, deploymentId=deployment_id)
    assert (code, status) == ("BadRequestException", 400)
    v1.delete_stage(restApiId=api_id, stageName="s")
    v1.delete_deployment(restApiId=api_id, deploymentId=deployment_id)
    code, status = error_of(v1.get_deployment, restApiId=api_id, deploymentId=deployment_id)
    assert (code, status) == ("NotFoundException", 404)


def test_resources_come_in_pages(v1):
    api_id, root_id = rest_api(v1)
    for number in range(6):
        v1.create_resource(restApiId=api_id, parentId=root_id, pathPart=f"p{number}")
    pages = list(v1.get_paginator("get_resources").paginate(restApiId=api_id, PaginationConfig={"PageSize": 3}))
    paths = sorted(item["path"] for page in pages for item in page["items"])
    assert paths == ["/", *(f"/p{number}" for number in range(6))]
    assert len(pages) == 3


@pytest.mark.parametrize("part", ["", "a/b", "{", "{}", "{a", "a}b", "{proxy+}x", "a b", "%zz"])
def test_bad_path_parts_are_refused(v1, part):
    api_id, root_id = rest_api(v1)
    code, status = error_of(v1.create_resource, restApiId=api_id, parentId=root_id, pathPart=part)
    assert (code, status) == ("BadRequestException", 400)


def test_a_method_without_integration_is_not_deployed(v1):
    api_id, root_id = rest_api(v1)
    v1.put_method(restApiId=api_id, resourceId=root_id, httpMethod="GET", authorizationType="NONE")
    code, status = error_of(v1.create_deployment, restApiId=api_id, stageName="s")
    assert (code, status) == ("BadRequestException", 400)


def test_what_does_not_exist_is_not_found(v1):
    assert error_of(v1.get_rest_api, restApiId="nosuchapi0") == ("NotFoundException", 404)
    assert error_of(v1.get_resources, restApiId="nosuchapi0") == ("NotFoundException", 404)
    api_id, _ = rest_api(v1)
    assert error_of(v1.get_resource, restApiId=api_id, resourceId="nosuch") == ("NotFoundException", 404)
    assert error_of(v1.get_stage, restApiId=api_id, stageName="nosuch") == ("NotFoundException", 404)
    arguments = {"restApiId": api_id, "stageName": "s", "deploymentId": "nosuch"}
    code, status = error_of(v1.create_stage, **arguments)
    assert (code, status) in (("NotFoundException", 404), ("BadRequestException", 400))
