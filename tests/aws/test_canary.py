"""Canaries of REST stages with boto3: set up, split, promoted and removed; deployments and rollbacks."""

import http.client

import pytest
from botocore.exceptions import ClientError

from test_rest_api import rest_api
from turnpike import DEADLINE_S, Reply, wait_for

CLIENTS = [f"127.0.4.{last}" for last in range(1, 201)]


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def api_with(v1, uri):
    """An API that sends GET / to `uri`, whose host is a stage variable; its id and what changes the URI."""
    api_id, root_id = rest_api(v1, "canary")
    key = {"restApiId": api_id, "resourceId": root_id, "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")

    def lead_to(uri):
        v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod="GET", uri=uri)

    lead_to(uri)
    return api_id, lead_to


def served(turnpike, api_id, client, stage="prod"):
    """What the origin saw of a request from this address."""
    reply = ask_from(turnpike, api_id, client, stage)
    assert reply.status == 200, reply
    return reply.text


def ask_from(turnpike, api_id, client, stage="prod"):
    address, port = turnpike.listen.rsplit(":", 1)
    connection = http.client.HTTPConnection(address, int(port), timeout=DEADLINE_S, source_address=(client, 0))
    try:
        connection.request("GET", f"/{stage}", headers={"Host": f"{api_id}.execute-api.us-east-1.localhost"})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def of_canary(turnpike, api_id):
    """The clients that are served by what is new."""
    return {client for client in CLIENTS if '"/new' in served(turnpike, api_id, client)}


def patch(v1, api_id, *operations, stage="prod"):
    keys = ("op", "path", "value")
    operations = [one if isinstance(one, dict) else dict(zip(keys, one)) for one in operations]
    return v1.update_stage(restApiId=api_id, stageName=stage, patchOperations=operations)


def test_a_canary_from_its_deployment_to_its_end(turnpike, v1, origin):
    host = origin.url.removeprefix("http://")
    api_id, lead_to = api_with(v1, "http://${stageVariables.host}/old?v=${stageVariables.version}")
    variables = {"host": host, "version": "one"}
    first = v1.create_deployment(restApiId=api_id, stageName="prod", variables=variables)["id"]
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200)
    assert "canarySettings" not in v1.get_stage(restApiId=api_id, stageName="prod")

    lead_to("http://${stageVariables.host}/new?v=${stageVariables.version}")
    canary = {"percentTraffic": 25.0, "stageVariableOverrides": {"version": "two"}}
    second = v1.create_deployment(restApiId=api_id, stageName="prod", canarySettings=canary)["id"]
    stage = v1.get_stage(restApiId=api_id, stageName="prod")
    assert stage["deploymentId"] == first
    assert stage["canarySettings"] == {**canary, "deploymentId": second, "useStageCache": False}
    wait_for(lambda: of_canary(turnpike, api_id), lambda clients: clients)
    quarter = of_canary(turnpike, api_id)
    assert 25 <= len(quarter) <= 75
    assert of_canary(turnpike, api_id) == quarter, "a client stays on its side"
    client = next(iter(quarter))
    assert '"/new?v=two"' in served(turnpike, api_id, client)
    other = next(client for client in CLIENTS if client not in quarter)
    assert '"/old?v=one"' in served(turnpike, api_id, other)

    code, message = error_of(v1.delete_deployment, restApiId=api_id, deploymentId=second)
    assert code == "BadRequestException" and "Active stages pointing to this deployment" in message
    code, message = error_of(v1.create_deployment, restApiId=api_id, stageName="prod")
    assert code == "BadRequestException" and "has a canary" in message

    stage = patch(v1, api_id, ("replace", "/canarySettings/percentTraffic", "60.5"))
    assert stage["canarySettings"]["percentTraffic"] == 60.5
    more = wait_for(lambda: of_canary(turnpike, api_id), lambda clients: len(clients) > len(quarter))
    assert quarter <= more and 90 <= len(more) <= 150

    promotion = [
        ("replace", "/canarySettings/percentTraffic", "0.0"),
        {"op": "copy", "from": "/canarySettings/stageVariableOverrides", "path": "/variables"},
        {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"},
    ]
    stage = patch(v1, api_id, *promotion)
    assert (stage["deploymentId"], stage["variables"]) == (second, {"host": host, "version": "two"})
    assert stage["canarySettings"]["percentTraffic"] == 0.0
    wait_for(lambda: of_canary(turnpike, api_id), lambda clients: len(clients) == len(CLIENTS))
    assert '"/new?v=two"' in served(turnpike, api_id, other)

    stage = patch(v1, api_id, ("remove", "/canarySettings"))
    assert "canarySettings" not in stage
    assert len(of_canary(turnpike, api_id)) == len(CLIENTS)

    # A rollback is the stage pointed at what it served before.
    stage = patch(v1, api_id, ("replace", "/deploymentId", first))
    assert stage["deploymentId"] == first
    wait_for(lambda: of_canary(turnpike, api_id), lambda clients: not clients)
    v1.delete_deployment(restApiId=api_id, deploymentId=second)
    v1.delete_rest_api(restApiId=api_id)


def test_a_canary_that_is_removed_serves_nobody(turnpike, v1, origin):
    api_id, lead_to = api_with(v1, f"{origin.url}/old")
    first = v1.create_deployment(restApiId=api_id)["id"]
    lead_to(f"{origin.url}/new")
    second = v1.create_deployment(restApiId=api_id)["id"]
    canary = {"percentTraffic": 100, "deploymentId": second, "useStageCache": True}
    stage = v1.create_stage(restApiId=api_id, stageName="prod", deploymentId=first, canarySettings=canary)
    assert stage["canarySettings"] == {"percentTraffic": 100.0, "deploymentId": second, "useStageCache": True}
    reply = turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/new"
    assert not [line for line in turnpike.status_lines() if api_id in line and "useStageCache" in line]
    patch(v1, api_id, ("remove", "/canarySettings"))
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.json["target"] == "/old")

    # Each of its members makes one, of the stage's own deployment.
    stage = patch(v1, api_id, ("replace", "/canarySettings/percentTraffic", "50"))
    assert stage["canarySettings"] == {"percentTraffic": 50.0, "deploymentId": first, "useStageCache": False}
    patch(v1, api_id, ("remove", "/canarySettings"))
    stage = patch(v1, api_id, ("replace", "/canarySettings/deploymentId", second))
    assert stage["canarySettings"] == {"percentTraffic": 0.0, "deploymentId": second, "useStageCache": False}
    names = "/canarySettings/stageVariableOverrides/"
    stage = patch(v1, api_id, ("replace", names + "a", "1"), ("replace", names + "b", "2"), ("remove", names + "a"))
    assert stage["canarySettings"]["stageVariableOverrides"] == {"b": "2"}
    v1.delete_rest_api(restApiId=api_id)


def test_what_a_canary_cannot_be(v1, origin):
    api_id, _ = api_with(v1, origin.url)
    canary = {"percentTraffic": 50}
    bad = "BadRequestException"
    content = "Invalid deployment content specified."
    code, message = error_of(v1.create_deployment, restApiId=api_id, canarySettings=canary)
    assert (code, message) == (bad, f"{content}Non null and non empty stageName must be provided for canary deployment. Provided value is null")
    code, message = error_of(v1.create_deployment, restApiId=api_id, stageName="gone", canarySettings=canary)
    assert (code, message) == (bad, f"{content}Stage gone must already be created before making a canary release deployment")

    first = v1.create_deployment(restApiId=api_id, stageName="prod")["id"]
    wrong = {"restApiId": api_id, "stageName": "more", "deploymentId": first, "canarySettings": {"deploymentId": "gone"}}
    assert error_of(v1.create_stage, **wrong) == (bad, "Deployment id does not exist")

    def refused(*operations):
        with pytest.raises(ClientError) as raised:
            patch(v1, api_id, *operations)
        error = raised.value.response["Error"]
        assert error["Code"] == bad
        return error["Message"]

    assert refused(("replace", "/canarySettings/deploymentId", "gone")) == "Deployment id does not exist"
    assert refused(("add", "/canarySettings/deploymentId", first)) == "Invalid add operation with path: /canarySettings/deploymentId"
    assert "/canarySettings/badPath" in refused(("replace", "/canarySettings/badPath", "x"))
    assert "100.0" in refused(("replace", "/canarySettings/percentTraffic", "100.1"))
    assert "number" in refused(("replace", "/canarySettings/percentTraffic", "many"))
    promote = {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"}
    assert refused(promote) == "Promotion not available. Canary does not exist."
    assert refused({"op": "copy", "from": "/variables", "path": "/canarySettings/stageVariableOverrides"}) == (
        "Invalid copy operation with path: /canarySettings/stageVariableOverrides and from /variables. Valid copy:path "
        "are [/deploymentId, /variables] and valid copy:from are [/canarySettings/deploymentId, "
        "/canarySettings/stageVariableOverrides]"
    )
    # Of several operations, one that fails leaves nothing changed.
    refused(("replace", "/canarySettings/percentTraffic", "50"), ("replace", "/canarySettings/deploymentId", "gone"))
    assert "canarySettings" not in v1.get_stage(restApiId=api_id, stageName="prod")
    v1.delete_rest_api(restApiId=api_id)
