"""HTTP APIs (apigatewayv2) made with boto3, and what the gateway then serves."""

import pytest
from botocore.exceptions import ClientError


def target(reply):
    return reply.status == 200 and reply.json["target"]


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


def http_api(v2, name="api"):
    return v2.create_api(Name=name, ProtocolType="HTTP")["ApiId"]


def proxy(v2, api_id, uri, method="ANY"):
    return v2.create_integration(
        ApiId=api_id,
        IntegrationType="HTTP_PROXY",
        IntegrationUri=uri,
        IntegrationMethod=method,
        PayloadFormatVersion="1.0",
    )["IntegrationId"]


def test_quick_create_serves_at_once(turnpike, v2, origin):
    api = v2.create_api(Name="first", ProtocolType="HTTP", Target=origin.url)
    assert api["Name"] == "first" and api["ProtocolType"] == "HTTP"
    assert f"{api['ApiId']}.execute-api." in api["ApiEndpoint"]
    reply = turnpike.wait_for(api["ApiId"], "/hello?name=you", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/hello?name=you"
    assert reply.headers["apigw-requestid"]
    [stage] = v2.get_stages(ApiId=api["ApiId"])["Items"]
    assert stage["StageName"] == "$default" and stage["AutoDeploy"] is True
    [route] = v2.get_routes(ApiId=api["ApiId"])["Items"]
    assert route["RouteKey"] == "$default"


def test_a_quick_created_api_is_gone_when_it_is_deleted(turnpike, v2, origin):
    api_id = v2.create_api(Name="short-lived", ProtocolType="HTTP", Target=origin.url)["ApiId"]
    turnpike.wait_for(api_id, "/", lambda reply: reply.status == 200)
    v2.delete_api(ApiId=api_id)
    turnpike.wait_for(api_id, "/", lambda reply: reply.status in (403, 404))
    assert error_of(v2.get_api, ApiId=api_id) == ("NotFoundException", 404)


def test_api_is_created_read_listed_updated_and_deleted(v2):
    created = v2.create_api(Name="life", ProtocolType="HTTP", Description="one", Tags={"team": "a"})
    api_id = created["ApiId"]
    read = v2.get_api(ApiId=api_id)
    for name in ("Name", "Description", "ProtocolType", "ApiEndpoint", "CreatedDate", "Tags"):
        assert read[name] == created[name], name
    assert api_id in [api["ApiId"] for api in v2.get_apis()["Items"]]
    updated = v2.update_api(ApiId=api_id, Description="two")
    assert (updated["Name"], updated["Description"]) == ("life", "two")
    assert v2.get_api(ApiId=api_id)["Description"] == "two"
    v2.delete_api(ApiId=api_id)
    assert error_of(v2.get_api, ApiId=api_id) == ("NotFoundException", 404)
    assert error_of(v2.delete_api, ApiId=api_id) == ("NotFoundException", 404)


def test_integration_is_created_read_listed_updated_and_deleted(v2, origin):
    api_id = http_api(v2)
    integration_id = proxy(v2, api_id, f"{origin.url}/one")
    key = {"ApiId": api_id, "IntegrationId": integration_id}
    read = v2.get_integration(**key)
    assert (read["IntegrationUri"], read["IntegrationType"]) == (f"{origin.url}/one", "HTTP_PROXY")
    assert [item["IntegrationId"] for item in v2.get_integrations(ApiId=api_id)["Items"]] == [integration_id]
    v2.update_integration(**key, IntegrationUri=f"{origin.url}/two", TimeoutInMillis=5000)
    read = v2.get_integration(**key)
    assert (read["IntegrationUri"], read["TimeoutInMillis"]) == (f"{origin.url}/two", 5000)
    v2.delete_integration(**key)
    assert error_of(v2.get_integration, **key) == ("NotFoundException", 404)


def test_an_integration_in_use_is_not_deleted(v2, origin):
    api_id = http_api(v2)
    integration_id = proxy(v2, api_id, origin.url)
    v2.create_route(ApiId=api_id, RouteKey="GET /x", Target=f"integrations/{integration_id}")
    code, status = error_of(v2.delete_integration, ApiId=api_id, IntegrationId=integration_id)
    assert (code, status) == ("ConflictException", 409)


def test_route_is_created_read_listed_updated_and_deleted(v2, origin):
    api_id = http_api(v2)
    integration_id = proxy(v2, api_id, origin.url)
    route_target = f"integrations/{integration_id}"
    route_id = v2.create_route(ApiId=api_id, RouteKey="GET /pets/{id}", Target=route_target)["RouteId"]
    key = {"ApiId": api_id, "RouteId": route_id}
    read = v2.get_route(**key)
    assert (read["RouteKey"], read["Target"]) == ("GET /pets/{id}", route_target)
    assert [item["RouteId"] for item in v2.get_routes(ApiId=api_id)["Items"]] == [route_id]
    assert v2.update_route(**key, RouteKey="POST /pets")["RouteKey"] == "POST /pets"
    code, status = error_of(v2.create_route, ApiId=api_id, RouteKey="POST /pets", Target=route_target)
    assert (code, status) == ("ConflictException", 409)
    v2.delete_route(**key)
    assert error_of(v2.get_route, **key) == ("NotFoundException", 404)


def test_stage_and_deployment_are_created_read_listed_updated_and_deleted(v2, origin):
    api_id = http_api(v2)
    integration_id = proxy(v2, api_id, origin.url)
    v2.create_route(ApiId=api_id, RouteKey="GET /x", Target=f"integrations/{integration_id}")
    deployment_id = v2.create_deployment(ApiId=api_id, Description="first")["DeploymentId"]
    assert v2.get_deployment(ApiId=api_id, DeploymentId=deployment_id)["Description"] == "first"
    v2.create_stage(ApiId=api_id, StageName="beta", DeploymentId=deployment_id)
    key = {"ApiId": api_id, "StageName": "beta"}
    assert v2.get_stage(**key)["DeploymentId"] == deployment_id
    assert [stage["StageName"] for stage in v2.get_stages(ApiId=api_id)["Items"]] == ["beta"]
    assert v2.update_stage(**key, Description="better")["Description"] == "better"
    assert error_of(v2.create_stage, **key) == ("ConflictException", 409)
    code, _ = error_of(v2.delete_deployment, ApiId=api_id, DeploymentId=deployment_id)
    assert code in ("BadRequestException", "ConflictException"), "a stage still points to it"
    v2.delete_stage(**key)
    assert error_of(v2.get_stage, **key) == ("NotFoundException", 404)
    v2.delete_deployment(ApiId=api_id, DeploymentId=deployment_id)
    code, status = error_of(v2.get_deployment, ApiId=api_id, DeploymentId=deployment_id)
    assert (code, status) == ("NotFoundException", 404)


def test_auto_deploy_makes_each_change_live(turnpike, v2, origin):
    api_id = http_api(v2)
    v2.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    integration_id = proxy(v2, api_id, f"{origin.url}/one/{{id}}")
    route = v2.create_route(ApiId=api_id, RouteKey="GET /pets/{id}", Target=f"integrations/{integration_id}")
    turnpike.wait_for(api_id, "/pets/7", lambda reply: target(reply) == "/one/7")
    v2.update_integration(ApiId=api_id, IntegrationId=integration_id, IntegrationUri=f"{origin.url}/two/{{id}}")
    turnpike.wait_for(api_id, "/pets/7", lambda reply: target(reply) == "/two/7")
    v2.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    reply = turnpike.wait_for(api_id, "/pets/7", lambda reply: reply.status == 404)
    assert reply.json == {"message": "Not Found"}


def test_explicit_deployments_change_only_what_is_deployed_and_roll_back(turnpike, v2, origin):
    api_id = http_api(v2)
    integration_id = proxy(v2, api_id, f"{origin.url}/one")
    v2.create_route(ApiId=api_id, RouteKey="GET /x", Target=f"integrations/{integration_id}")
    first = v2.create_deployment(ApiId=api_id)["DeploymentId"]
    v2.create_stage(ApiId=api_id, StageName="prod", DeploymentId=first)
    turnpike.wait_for(api_id, "/prod/x", lambda reply: target(reply) == "/one")
    v2.update_integration(ApiId=api_id, IntegrationId=integration_id, IntegrationUri=f"{origin.url}/two")
    second = v2.create_deployment(ApiId=api_id)["DeploymentId"]
    assert target(turnpike.ask(api_id, "/prod/x")) == "/one", "the stage still has the first deployment"
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=second)
    turnpike.wait_for(api_id, "/prod/x", lambda reply: target(reply) == "/two")
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=first)
    turnpike.wait_for(api_id, "/prod/x", lambda reply: target(reply) == "/one")


def test_stage_variables_reach_the_uri(turnpike, v2, origin):
    api_id = http_api(v2)
    port = origin.url.rsplit(":", 1)[1]
    integration_id = proxy(v2, api_id, f"http://127.0.0.1:{port}/${{stageVariables.where}}/x")
    v2.create_route(ApiId=api_id, RouteKey="GET /x", Target=f"integrations/{integration_id}")
    v2.create_stage(ApiId=api_id, StageName="prod", AutoDeploy=True, StageVariables={"where": "here"})
    turnpike.wait_for(api_id, "/prod/x", lambda reply: target(reply) == "/here/x")
    v2.update_stage(ApiId=api_id, StageName="prod", StageVariables={"where": "there"})
    turnpike.wait_for(api_id, "/prod/x", lambda reply: target(reply) == "/there/x")


def test_a_disabled_endpoint_is_closed(turnpike, v2, origin):
    api_id = v2.create_api(Name="closed", ProtocolType="HTTP", Target=origin.url)["ApiId"]
    turnpike.wait_for(api_id, "/", lambda reply: reply.status == 200)
    v2.update_api(ApiId=api_id, DisableExecuteApiEndpoint=True)
    turnpike.wait_for(api_id, "/", lambda reply: reply.status in (403, 404))
    v2.update_api(ApiId=api_id, DisableExecuteApiEndpoint=False)
    turnpike.wait_for(api_id, "/", lambda reply: reply.status == 200)


def test_lists_come_in_pages(v2, origin):
    api_id = http_api(v2)
    integration_id = proxy(v2, api_id, origin.url)
    keys = [f"GET /page/{number}" for number in range(7)]
    for key in keys:
        v2.create_route(ApiId=api_id, RouteKey=key, Target=f"integrations/{integration_id}")
    seen, token, pages = [], None, 0
    while True:
        page = v2.get_routes(ApiId=api_id, MaxResults="3", **({"NextToken": token} if token else {}))
        assert len(page["Items"]) <= 3
        seen += [route["RouteKey"] for route in page["Items"]]
        pages, token = pages + 1, page.get("NextToken")
        if not token:
            break
    assert (sorted(seen), pages) == (keys, 3)
    listed = [api["ApiId"] for page in v2.get_paginator("get_apis").paginate() for api in page["Items"]]
    assert api_id in listed and len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    "arguments",
    [
        {"RouteKey": "nonsense"},
        {"RouteKey": "GET pets"},
        {"RouteKey": "FETCH /pets"},
        {"RouteKey": "GET /{a}/{a}"},
        {"RouteKey": "GET /{proxy+}/more"},
        {"RouteKey": "GET /x", "Target": "integrations/none"},
        {"RouteKey": "GET /x", "Target": "elsewhere/x"},
    ],
)
def test_bad_routes_are_refused(v2, arguments):
    code, status = error_of(v2.create_route, ApiId=http_api(v2), **arguments)
    assert (code, status) in (("BadRequestException", 400), ("NotFoundException", 404))


@pytest.mark.parametrize(
    "uri", ["", "nonsense", "ftp://127.0.0.1/x", "http://", "http://127.0.0.1:99999/", "http://a b/", "http://u:p@h/"]
)
def test_bad_targets_are_refused(v2, uri):
    arguments = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "PayloadFormatVersion": "1.0"}
    code, status = error_of(v2.create_integration, ApiId=http_api(v2), IntegrationUri=uri, **arguments)
    assert (code, status) == ("BadRequestException", 400)


def test_what_does_not_exist_is_not_found(v2):
    missing = {"ApiId": "nosuchapi0"}
    assert error_of(v2.get_api, **missing) == ("NotFoundException", 404)
    assert error_of(v2.get_routes, **missing) == ("NotFoundException", 404)
    assert error_of(v2.create_stage, **missing, StageName="x") == ("NotFoundException", 404)
    api_id = http_api(v2)
    assert error_of(v2.get_route, ApiId=api_id, RouteId="nosuch0") == ("NotFoundException", 404)
    assert error_of(v2.get_stage, ApiId=api_id, StageName="nosuch") == ("NotFoundException", 404)
