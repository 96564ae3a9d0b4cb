"""The audit log: who changed what, from what to what; and what policies refused."""

import json
import os
import subprocess
import urllib.parse

import pytest

from conftest import client
from test_access import User, allow, denied
from test_requests import signed
from turnpike import BINARIES, DEADLINE_S


def page(turnpike, **query):
    query = urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe="")
    status, _, text = signed(turnpike, "GET", f"/turnpike/v1/audit?{query}")
    assert status == 200, text
    return json.loads(text)


def records(turnpike, **query):
    return page(turnpike, **query)["records"]


def command(turnpike, *arguments, **environment):
    credentials = {"AWS_ACCESS_KEY_ID": turnpike.access_key_id, "AWS_SECRET_ACCESS_KEY": turnpike.secret_access_key}
    return subprocess.run(
        [BINARIES / "turnpike-control", "audit", "--endpoint-url", turnpike.api_url, *arguments],
        env={**os.environ, **credentials, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


def test_a_change_is_there_with_its_documents(turnpike, v1):
    api = v1.create_rest_api(name="before", description="d")["id"]
    request = v1.update_rest_api(restApiId=api, patchOperations=[{"op": "replace", "path": "/name", "value": "after"}])
    v1.delete_rest_api(restApiId=api)
    deleted, updated, created = records(turnpike, resource=f"/restapis/{api}") + records(turnpike, operation="CreateRestApi", maxResults=1)
    assert [record["operation"] for record in (created, updated, deleted)] == ["CreateRestApi", "UpdateRestApi", "DeleteRestApi"]
    assert updated["user"] == "root" and updated["userArn"] == "arn:aws:iam::000000000000:root"
    assert updated["accessKeyId"] == turnpike.access_key_id
    assert updated["sourceAddress"] == "127.0.0.1"
    assert (updated["service"], updated["action"]) == ("apigateway", "apigateway:PATCH")
    assert updated["request"] == f"PATCH /restapis/{api}"
    assert updated["requestId"] == request["ResponseMetadata"]["RequestId"]
    assert updated["outcome"] == "success"
    [document] = [document for document in updated["documents"] if document["id"] == api]
    assert (document["before"]["name"], document["after"]["name"]) == ("before", "after")
    assert all(document["before"] is None for document in created["documents"])
    assert all(document["after"] is None for document in deleted["documents"])


def test_secrets_are_left_out(turnpike):
    user = User(turnpike, [allow("*")])
    [record] = [r for r in records(turnpike, operation="CreateAccessKey") if user.credentials["aws_access_key_id"] in json.dumps(r)]
    assert record["documents"][0]["after"]["secret"] == "(secret)"
    assert user.credentials["aws_secret_access_key"] not in json.dumps(record)
    client("apigateway", turnpike).generate_client_certificate()
    generated = records(turnpike, operation="GenerateClientCertificate", maxResults=1)[0]
    assert generated["documents"][0]["after"]["private_key"] == "(secret)"


def test_what_a_policy_refuses_is_there(turnpike, v2):
    user = User(turnpike, [allow("apigateway:GET")])
    own = user.client("apigatewayv2")
    api = v2.create_api(Name="x", ProtocolType="HTTP")["ApiId"]
    denied(own.delete_api, ApiId=api)
    own.get_api(ApiId=api)
    [record] = records(turnpike, user=user.name)
    assert records(turnpike, user=user.name, outcome="refused") == [record]
    assert records(turnpike, user=user.name, outcome="success") == []
    assert (record["operation"], record["outcome"]) == ("DeleteApi", "refused")
    assert "is not authorized to perform: apigateway:DELETE" in record["reason"]
    assert "documents" not in record


def test_only_changes_that_happened_are_there(turnpike, v2):
    before = len(records(turnpike, operation="CreateRoute", maxResults=500))
    with pytest.raises(v2.exceptions.NotFoundException):
        v2.create_route(ApiId="nosuchapi", RouteKey="$default")
    assert len(records(turnpike, operation="CreateRoute", maxResults=500)) == before


def test_pages_and_times(turnpike, v2):
    for at in range(5):
        v2.create_api(Name=f"page-{at}", ProtocolType="HTTP")
    first = page(turnpike, operation="CreateApi", maxResults=2)
    assert len(first["records"]) == 2
    following = records(turnpike, operation="CreateApi", maxResults=2, nextToken=first["nextToken"])
    ids = [record["id"] for record in first["records"] + following]
    assert ids == sorted(ids, reverse=True) and len(set(ids)) == 4
    newest = first["records"][0]
    assert records(turnpike, since=newest['time'])[-1]["time"] >= newest["time"][:19]
    assert all(record["time"] < newest["time"] for record in records(turnpike, until=f"{newest['time'][:19]}Z"))


def test_the_command_prints_tables_and_json(turnpike, v2):
    api = v2.create_api(Name="told", ProtocolType="HTTP")["ApiId"]
    v2.update_api(ApiId=api, Name="told again")
    done = command(turnpike, "--resource", f"apis/{api}")
    assert done.returncode == 0, done.stderr
    head, line = done.stdout.splitlines()
    assert head.split() == ["TIME", "USER", "FROM", "OPERATION", "OUTCOME", "RESOURCE", "CHANGED"]
    assert line.split()[1:5] == ["root", "127.0.0.1", "UpdateApi", "success"] and api in line
    done = command(turnpike, "--resource", f"apis/{api}", "--output", "json")
    assert [record["operation"] for record in json.loads(done.stdout)] == ["UpdateApi"]
    refused = command(turnpike, "--since", "soon")
    assert refused.returncode == 1 and "since" in refused.stderr


def test_readers_need_a_permission(turnpike):
    user = User(turnpike, [allow("apigateway:*")])
    key = {"AWS_ACCESS_KEY_ID": user.credentials["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": user.credentials["aws_secret_access_key"]}
    refused = command(turnpike, **key)
    assert refused.returncode == 1 and "turnpike:GetAuditRecords" in refused.stderr
    user.may([allow("turnpike:GetAuditRecords")])
    assert command(turnpike, **key).returncode == 0


def test_the_log_survives_a_kill(own_turnpike):
    v2 = client("apigatewayv2", own_turnpike)
    api = v2.create_api(Name="kept", ProtocolType="HTTP")["ApiId"]
    own_turnpike.control.kill()
    own_turnpike.start_control()
    assert [r["documents"][0]["id"] for r in records(own_turnpike, operation="CreateApi")] == [api]
