"""Deployments with boto3: frozen, served by several stages at once, taken back, and kept while a stage serves them."""

import pytest
from botocore.exceptions import ClientError

from test_rest_api import proxy, rest_api


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response["Error"]
    assert error["Code"] == "BadRequestException"
    return error["Message"]


def target(path):
    return lambda reply: reply.status == 200 and reply.json["target"] == path


def test_rest_deployments(turnpike, v1, origin):
    api_id, root_id = rest_api(v1, "deployments")
    pets = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="pets")["id"]
    proxy(v1, api_id, root_id, f"{origin.url}/one")
    proxy(v1, api_id, pets, f"{origin.url}/pets")
    first = v1.create_deployment(restApiId=api_id, stageName="prod", description="first")["id"]
    turnpike.wait_for(api_id, "/prod", target("/one"))

    v1.delete_method(restApiId=api_id, resourceId=root_id, httpMethod="GET")
    v1.delete_resource(restApiId=api_id, resourceId=pets)
    proxy(v1, api_id, root_id, f"{origin.url}/two", "ANY")
    assert turnpike.ask(api_id, "/prod/pets").json["target"] == "/pets", "what is deployed doesn't change"
    second = v1.create_deployment(restApiId=api_id, stageName="beta")["id"]
    turnpike.wait_for(api_id, "/beta", target("/two"))
    assert turnpike.ask(api_id, "/prod").json["target"] == "/one"

    summary = v1.get_deployment(restApiId=api_id, deploymentId=first, embed=["apisummary"])["apiSummary"]
    open_method = {"authorizationType": "NONE", "apiKeyRequired": False}
    assert summary == {"/": {"GET": open_method}, "/pets": {"GET": open_method}}
    summary = v1.get_deployment(restApiId=api_id, deploymentId=second, embed=["apisummary"])["apiSummary"]
    assert summary == {"/": {"ANY": open_method}}
    plain = v1.get_deployment(restApiId=api_id, deploymentId=first)
    assert plain["description"] == "first" and "apiSummary" not in plain
    listed = {deployment["id"] for deployment in v1.get_deployments(restApiId=api_id)["items"]}
    assert listed == {first, second}
    [stage] = v1.get_stages(restApiId=api_id, deploymentId=second)["item"]
    assert stage["stageName"] == "beta"

    def point(stage, deployment):
        change = [{"op": "replace", "path": "/deploymentId", "value": deployment}]
        return v1.update_stage(restApiId=api_id, stageName=stage, patchOperations=change)

    assert point("prod", second)["deploymentId"] == second
    turnpike.wait_for(api_id, "/prod", target("/two"))
    assert turnpike.ask(api_id, "/prod/pets").status == 403
    point("prod", first)
    turnpike.wait_for(api_id, "/prod/pets", target("/pets"))
    for deployment in (first, second):
        message = refused(v1.delete_deployment, restApiId=api_id, deploymentId=deployment)
        assert message.startswith("Active stages pointing to this deployment must be moved or deleted")
    v1.delete_stage(restApiId=api_id, stageName="beta")
    v1.delete_deployment(restApiId=api_id, deploymentId=second)
    assert [one["id"] for one in v1.get_deployments(restApiId=api_id)["items"]] == [first]
    assert turnpike.ask(api_id, "/prod").json["target"] == "/one"
    v1.delete_rest_api(restApiId=api_id)


def test_http_deployments(turnpike, v2, origin):
    api_id = v2.create_api(Name="deployments", ProtocolType="HTTP")["ApiId"]
    arguments = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "PayloadFormatVersion": "1.0"}
    integration = v2.create_integration(ApiId=api_id, IntegrationUri=f"{origin.url}/one", **arguments)["IntegrationId"]
    v2.create_route(ApiId=api_id, RouteKey="GET /x", Target=f"integrations/{integration}")
    first = v2.create_deployment(ApiId=api_id, Description="first")["DeploymentId"]
    v2.create_stage(ApiId=api_id, StageName="prod", DeploymentId=first)
    turnpike.wait_for(api_id, "/prod/x", target("/one"))

    v2.update_integration(ApiId=api_id, IntegrationId=integration, IntegrationUri=f"{origin.url}/two")
    second = v2.create_deployment(ApiId=api_id)["DeploymentId"]
    v2.create_stage(ApiId=api_id, StageName="beta", DeploymentId=second)
    turnpike.wait_for(api_id, "/beta/x", target("/two"))
    assert turnpike.ask(api_id, "/prod/x").json["target"] == "/one"

    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=second)
    turnpike.wait_for(api_id, "/prod/x", target("/two"))
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=first)
    turnpike.wait_for(api_id, "/prod/x", target("/one"))
    for deployment in (first, second):
        message = refused(v2.delete_deployment, ApiId=api_id, DeploymentId=deployment)
        assert message.startswith("Active stages pointing to this deployment must be moved or deleted")
    v2.delete_stage(ApiId=api_id, StageName="beta")
    v2.delete_deployment(ApiId=api_id, DeploymentId=second)
    listed = [one["DeploymentId"] for one in v2.get_deployments(ApiId=api_id)["Items"]]
    assert listed == [first]
    v2.delete_api(ApiId=api_id)
