"""What asks for a protection or an integration that isn't there yet is closed, and said to be."""

import json
import os
import subprocess

from test_rest_api import proxy, rest_api
from turnpike import BINARIES, DEADLINE_S


def status_json(turnpike):
    done = subprocess.run(
        [BINARIES / "turnpike-control", "status", "--output", "json", "--listen", turnpike.api, "--data-dir", turnpike.directory],
        env={**os.environ, **turnpike.root_key},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused_of(turnpike, api_id):
    """Routes and reasons, as programs read them."""
    refused = status_json(turnpike)["refused_routes"]
    return {route["route"]: route["reason"] for route in refused if route["api_id"] == api_id}


def test_rest_methods_that_ask_for_a_protection(turnpike, v1, origin):
    api_id, root = rest_api(v1, "refused")
    proxy(v1, api_id, root, f"{origin.url}/open")
    guarded = v1.create_resource(restApiId=api_id, parentId=root, pathPart="guarded")["id"]
    key = {"restApiId": api_id, "resourceId": guarded}
    for method, wishes in [
        ("GET", {"authorizationType": "AWS_IAM"}),
        ("PUT", {"authorizationType": "AWS_IAM", "apiKeyRequired": True}),
    ]:
        v1.put_method(**key, httpMethod=method, **wishes)
        v1.put_integration(**key, httpMethod=method, type="HTTP_PROXY", integrationHttpMethod=method, uri=origin.url)
    v1.put_method(**key, httpMethod="POST", authorizationType="NONE")
    v1.put_integration(**key, httpMethod="POST", type="MOCK")
    deployment = v1.create_deployment(restApiId=api_id, stageName="prod")["id"]

    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200)
    for method in ("GET", "PUT", "POST"):
        reply = turnpike.ask(api_id, "/prod/guarded", method)
        assert (reply.status, reply.json) == (500, {"message": "Internal server error"}), method
        assert reply.headers["x-amzn-ErrorType"] == "InternalServerErrorException"
    assert turnpike.ask(api_id, "/prod/guarded", "DELETE").status == 403
    reasons = refused_of(turnpike, api_id)
    assert sorted(reasons) == ["GET /guarded", "POST /guarded", "PUT /guarded"]
    assert "AWS_IAM" in reasons["GET /guarded"] and "AWS_IAM" in reasons["PUT /guarded"]
    line = f"API {api_id}, stage prod, deployment {deployment}, GET /guarded: answers 500, since {reasons['GET /guarded']}"
    assert line in turnpike.status_lines()
    assert any(f"answers 500 to GET /guarded of stage prod of API {api_id}" in line for line in turnpike.gateway.log)

    # Open again once its owner takes the wish back, and has deployed that.
    open_up = [{"op": "replace", "path": "/authorizationType", "value": "NONE"}]
    v1.update_method(**key, httpMethod="GET", patchOperations=open_up)
    assert turnpike.ask(api_id, "/prod/guarded").status == 500
    v1.create_deployment(restApiId=api_id, stageName="prod")
    turnpike.wait_for(api_id, "/prod/guarded", lambda reply: reply.status == 200)
    assert sorted(refused_of(turnpike, api_id)) == ["POST /guarded", "PUT /guarded"]
    v1.delete_rest_api(restApiId=api_id)
    assert refused_of(turnpike, api_id) == {}


def test_http_routes_that_ask_for_a_protection(turnpike, v2, origin):
    api_id = v2.create_api(Name="refused", ProtocolType="HTTP")["ApiId"]
    integration = v2.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=origin.url,
        PayloadFormatVersion="1.0",
    )["IntegrationId"]
    target = f"integrations/{integration}"
    v2.create_route(ApiId=api_id, RouteKey="GET /open", Target=target)
    route = v2.create_route(ApiId=api_id, RouteKey="GET /guarded", Target=target, AuthorizationType="AWS_IAM")["RouteId"]
    v2.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    turnpike.wait_for(api_id, "/open", lambda reply: reply.status == 200)
    reply = turnpike.ask(api_id, "/guarded")
    assert (reply.status, reply.json) == (500, {"message": "Internal Server Error"})
    assert list(refused_of(turnpike, api_id)) == ["GET /guarded"]
    v2.update_route(ApiId=api_id, RouteId=route, AuthorizationType="NONE")
    turnpike.wait_for(api_id, "/guarded", lambda reply: reply.status == 200)
    assert refused_of(turnpike, api_id) == {}
    v2.delete_api(ApiId=api_id)
