"""API keys, usage plans and usage, made with boto3 and, for the import of keys, with the AWS CLI."""

import datetime
import json
import os

import pytest
from botocore.exceptions import ClientError

from test_cli import Cli
from test_refused import status_json
from test_rest_api import error_of, proxy, rest_api


def message_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def stage(v1, origin):
    """The id of an API with the stages `prod` and `test`."""
    api_id, root_id = rest_api(v1, "keyed")
    proxy(v1, api_id, root_id, origin.url)
    for name in ("prod", "test"):
        v1.create_deployment(restApiId=api_id, stageName=name)
    return api_id


def key(v1, **arguments):
    return v1.create_api_key(**{"name": "key", "enabled": True, **arguments})


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def test_a_key_shows_its_value_where_it_is_asked_for(v1):
    value = f"a-value-of-the-tests-{os.getpid()}"
    made = key(v1, value=value, description="one", customerId="c1", tags={"a": "b"})
    assert (made["value"], made["enabled"], made["stageKeys"]) == (value, True, [])
    assert made["id"] != value and made["createdDate"] == made["lastUpdatedDate"]
    key_id = made["id"]
    shown = v1.get_api_key(apiKey=key_id)
    assert "value" not in shown and shown["customerId"] == "c1" and shown["tags"] == {"a": "b"}
    assert v1.get_api_key(apiKey=key_id, includeValue=True)["value"] == value
    assert error_of(v1.create_api_key, name="again", value=value) == ("ConflictException", 409)
    changed = v1.update_api_key(
        apiKey=key_id,
        patchOperations=[
            {"op": "replace", "path": "/name", "value": "renamed"},
            {"op": "replace", "path": "/enabled", "value": "false"},
            {"op": "replace", "path": "/customerId", "value": "c2"},
        ],
    )
    assert (changed["name"], changed["enabled"], changed["customerId"]) == ("renamed", False, "c2")
    patch = [{"op": "replace", "path": "/value", "value": "x" * 30}]
    assert "/value" in message_of(v1.update_api_key, apiKey=key_id, patchOperations=patch)
    v1.delete_api_key(apiKey=key_id)
    assert error_of(v1.get_api_key, apiKey=key_id) == ("NotFoundException", 404)
    assert error_of(v1.delete_api_key, apiKey=key_id) == ("NotFoundException", 404)


@pytest.mark.parametrize("value", ["x" * 19, "x" * 129, "with a space in the middle"])
def test_a_value_that_no_caller_could_send_is_refused(v1, value):
    assert error_of(v1.create_api_key, name="bad", value=value) == ("BadRequestException", 400)
    assert value not in message_of(v1.create_api_key, name="bad", value=value)


def test_keys_are_listed_by_name_and_customer_and_in_pages(v1):
    ids = {key(v1, name=f"listed-{at}", customerId=f"customer-{at % 2}")["id"] for at in range(5)}
    pages = v1.get_paginator("get_api_keys").paginate(
        nameQuery="listed-", includeValues=True, PaginationConfig={"PageSize": 2}
    )
    pages = list(pages)
    items = [item for page in pages for item in page["items"]]
    assert {item["id"] for item in items} == ids and len(pages) == 3
    assert all(len(item["value"]) == 40 for item in items)
    odd = v1.get_api_keys(nameQuery="listed-", customerId="customer-1")["items"]
    assert sorted(item["name"] for item in odd) == ["listed-1", "listed-3"]
    assert all("value" not in item for item in odd)


def test_a_plan_is_changed_by_each_documented_path(v1, stage):
    plan = v1.create_usage_plan(
        name="plan",
        description="one",
        apiStages=[{"apiId": stage, "stage": "prod", "throttle": {"/pets/GET": {"rateLimit": 2.5, "burstLimit": 3}}}],
        throttle={"rateLimit": 10, "burstLimit": 20},
        quota={"limit": 100, "offset": 1, "period": "WEEK"},
        tags={"a": "b"},
    )
    plan_id = plan["id"]
    del plan["ResponseMetadata"]
    shown = v1.get_usage_plan(usagePlanId=plan_id)
    del shown["ResponseMetadata"]
    assert shown == plan
    assert plan["apiStages"][0]["throttle"] == {"/pets/GET": {"rateLimit": 2.5, "burstLimit": 3}}
    assert plan["quota"] == {"limit": 100, "offset": 1, "period": "WEEK"}

    def change(*operations):
        operations = [dict(zip(("op", "path", "value"), operation)) for operation in operations]
        return v1.update_usage_plan(usagePlanId=plan_id, patchOperations=operations)

    changed = change(
        ("replace", "/name", "renamed"),
        ("add", "/productCode", "p1"),
        ("replace", "/throttle/rateLimit", "11.5"),
        ("replace", "/throttle/burstLimit", "21"),
        ("replace", "/quota/limit", "200"),
        ("replace", "/quota/offset", "0"),
        ("replace", "/quota/period", "DAY"),
        ("add", "/apiStages", f"{stage}:test"),
        ("remove", "/apiStages", f"{stage}:prod"),
        # As AWS writes a path, and as Terraform does.
        ("add", f"/apiStages/{stage}:test/throttle/~1pets~1{{id}}/GET/rateLimit", "1"),
        ("add", f"/apiStages/{stage}:test/throttle//owners/POST/burstLimit", "2"),
    )
    assert (changed["name"], changed["productCode"]) == ("renamed", "p1")
    assert changed["throttle"] == {"rateLimit": 11.5, "burstLimit": 21}
    assert changed["quota"] == {"limit": 200, "offset": 0, "period": "DAY"}
    [test] = changed["apiStages"]
    assert (test["stage"], sorted(test["throttle"])) == ("test", ["/owners/POST", "/pets/{id}/GET"])
    changed = change(("remove", f"/apiStages/{stage}:test/throttle/~1owners/POST"))
    assert list(changed["apiStages"][0]["throttle"]) == ["/pets/{id}/GET"]
    changed = change(
        ("remove", f"/apiStages/{stage}:test/throttle"),
        ("remove", "/throttle"),
        ("remove", "/quota"),
        ("remove", "/productCode"),
    )
    assert not {"throttle", "quota", "productCode"} & set(changed) and "throttle" not in changed["apiStages"][0]
    changed = change(("add", "/quota/limit", "5"), ("add", "/quota/period", "MONTH"))
    assert changed["quota"] == {"limit": 5, "offset": 0, "period": "MONTH"}

    for operation, expected in [
        (("replace", "/quota/offset", "28"), "between 0 and 27 inclusive in the MONTH period"),
        (("add", "/apiStages", f"{stage}:gone"), f"API Stage not found: {stage}:gone"),
        (("remove", "/apiStages", f"{stage}:prod"), "Invalid API Stage specified"),
        (("replace", "/apiStages", "x"), "/apiStages"),
        (("replace", "/tags", "x"), "/tags"),
    ]:
        operation = dict(zip(("op", "path", "value"), operation))
        assert expected in message_of(v1.update_usage_plan, usagePlanId=plan_id, patchOperations=[operation])

    assert f"including {stage}:test" in message_of(v1.delete_usage_plan, usagePlanId=plan_id)
    change(("remove", "/apiStages", f"{stage}:test"))
    v1.delete_usage_plan(usagePlanId=plan_id)
    assert error_of(v1.get_usage_plan, usagePlanId=plan_id) == ("NotFoundException", 404)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"limit": 1, "offset": 1, "period": "DAY"}, "zero in the DAY period"),
        ({"limit": 1, "offset": 7, "period": "WEEK"}, "between 0 and 6"),
        ({"limit": 1, "offset": 28, "period": "MONTH"}, "between 0 and 27"),
        ({"period": "MONTH"}, "limit"),
    ],
)
def test_a_quota_fits_its_period(v1, quota, expected):
    assert expected in message_of(v1.create_usage_plan, name="plan", quota=quota)


def test_a_key_is_in_one_plan_of_a_stage(v1, stage):
    one = v1.create_usage_plan(name="one", apiStages=[{"apiId": stage, "stage": "prod"}])["id"]
    two = v1.create_usage_plan(name="two", apiStages=[{"apiId": stage, "stage": "test"}])["id"]
    key_id = key(v1, name="member")["id"]
    made = v1.create_usage_plan_key(usagePlanId=one, keyId=key_id, keyType="API_KEY")
    assert (made["id"], made["type"], made["name"], len(made["value"])) == (key_id, "API_KEY", "member", 40)
    v1.create_usage_plan_key(usagePlanId=two, keyId=key_id, keyType="API_KEY")
    add = {"usagePlanId": one, "keyId": key_id, "keyType": "API_KEY"}
    assert error_of(v1.create_usage_plan_key, **add) == ("ConflictException", 409)
    three = v1.create_usage_plan(name="three", apiStages=[{"apiId": stage, "stage": "prod"}])["id"]
    refused = message_of(v1.create_usage_plan_key, **{**add, "usagePlanId": three})
    assert refused.endswith(f"cannot reference multiple Usage Plans with the same API Stage: {stage}:prod")
    patch = [{"op": "add", "path": "/apiStages", "value": f"{stage}:test"}]
    assert "same API Stage" in message_of(v1.update_usage_plan, usagePlanId=one, patchOperations=patch)

    assert [item["id"] for item in v1.get_usage_plan_keys(usagePlanId=one, nameQuery="mem")["items"]] == [key_id]
    assert v1.get_usage_plan_keys(usagePlanId=one, nameQuery="x")["items"] == []
    assert v1.get_usage_plan_key(usagePlanId=one, keyId=key_id)["name"] == "member"
    assert {plan["id"] for plan in v1.get_usage_plans(keyId=key_id)["items"]} == {one, two}
    v1.delete_usage_plan_key(usagePlanId=one, keyId=key_id)
    assert error_of(v1.get_usage_plan_key, usagePlanId=one, keyId=key_id) == ("NotFoundException", 404)
    v1.delete_api_key(apiKey=key_id)
    assert v1.get_usage_plan_keys(usagePlanId=two)["items"] == []


def test_plans_and_keys_lose_a_stage_that_goes(v1, stage):
    stages = [{"apiId": stage, "stage": name} for name in ("prod", "test")]
    plan_id = v1.create_usage_plan(name="plan", apiStages=stages)["id"]
    stage_keys = [{"restApiId": stage, "stageName": name} for name in ("prod", "test")]
    made = key(v1, stageKeys=stage_keys)
    assert made["stageKeys"] == [f"{stage}/prod", f"{stage}/test"]
    v1.delete_stage(restApiId=stage, stageName="prod")
    assert [named["stage"] for named in v1.get_usage_plan(usagePlanId=plan_id)["apiStages"]] == ["test"]
    assert v1.get_api_key(apiKey=made["id"])["stageKeys"] == [f"{stage}/test"]
    v1.delete_rest_api(restApiId=stage)
    assert v1.get_usage_plan(usagePlanId=plan_id)["apiStages"] == []
    v1.delete_usage_plan(usagePlanId=plan_id)


def test_plans_take_stages_of_every_type_of_api(v1, v2):
    selection = {"RouteSelectionExpression": "$request.body.action"}
    sockets = v2.create_api(Name="sockets", ProtocolType="WEBSOCKET", **selection)["ApiId"]
    http = v2.create_api(Name="http", ProtocolType="HTTP")["ApiId"]
    for api_id in (sockets, http):
        v2.create_stage(ApiId=api_id, StageName="prod")
    stages = [{"apiId": api_id, "stage": "prod"} for api_id in (sockets, http)]
    plan_id = v1.create_usage_plan(name="plan", apiStages=stages)["id"]
    refused = error_of(v1.create_usage_plan, name="plan", apiStages=[{"apiId": http, "stage": "none"}])
    assert refused == ("NotFoundException", 404)
    for api_id in (sockets, http):
        v2.delete_stage(ApiId=api_id, StageName="prod")
    assert v1.get_usage_plan(usagePlanId=plan_id)["apiStages"] == []
    for api_id in (sockets, http):
        v2.delete_api(ApiId=api_id)
    v1.delete_usage_plan(usagePlanId=plan_id)


def test_usage_is_what_is_left_of_the_quota(v1):
    plan_id = v1.create_usage_plan(name="plan", quota={"limit": 1000, "period": "MONTH"})["id"]
    key_ids = [key(v1, name=f"used-{at}")["id"] for at in range(3)]
    for key_id in key_ids:
        v1.create_usage_plan_key(usagePlanId=plan_id, keyId=key_id, keyType="API_KEY")
    dates = {"startDate": today(), "endDate": today()}
    usage = v1.get_usage(usagePlanId=plan_id, keyId=key_ids[0], **dates)
    assert usage["items"] == {key_ids[0]: [[0, 1000]]} and usage["startDate"] == dates["startDate"]
    patch = [{"op": "replace", "path": "/remaining", "value": "5000"}]
    extended = v1.update_usage(usagePlanId=plan_id, keyId=key_ids[0], patchOperations=patch)
    assert extended["items"] == {key_ids[0]: [[0, 5000]]}
    pages = list(v1.get_paginator("get_usage").paginate(usagePlanId=plan_id, **dates, PaginationConfig={"PageSize": 2}))
    items = {key_id: days for page in pages for key_id, days in page["items"].items()}
    assert items == {key_ids[0]: [[0, 5000]], key_ids[1]: [[0, 1000]], key_ids[2]: [[0, 1000]]} and len(pages) == 2
    for wrong in [{"startDate": "2026-02-30"}, {"startDate": "9999-01-01"}, {"startDate": "2020-01-01"}]:
        assert error_of(v1.get_usage, usagePlanId=plan_id, **{**dates, **wrong})[0] == "BadRequestException"
    patch = [{"op": "add", "path": "/remaining", "value": "1"}]
    refused = error_of(v1.update_usage, usagePlanId=plan_id, keyId=key_ids[0], patchOperations=patch)
    assert refused == ("BadRequestException", 400)


def import_keys(turnpike, tmp_path, text, *more):
    """`aws apigateway import-api-keys`, as a person runs it."""
    (tmp_path / "keys.csv").write_text(text)
    aws = Cli(turnpike.exports, tmp_path)
    return aws.run("apigateway", "import-api-keys", "--body", f"fileb://{tmp_path}/keys.csv", "--format", "csv", *more)


def test_keys_are_imported_from_a_file(turnpike, v1, tmp_path):
    plans = [v1.create_usage_plan(name=f"imported-{at}")["id"] for at in range(2)]
    value = f"imported-value-{os.getpid()}-abcdefgh"
    header = "Enabled,Name,key,description,UsageplanIds\n"
    done = import_keys(turnpike, tmp_path, f'{header}true,imported-a,{value}-a,"the, first","{plans[0]},{plans[1]}"\n')
    assert done.returncode == 0, done.stderr
    [key_id] = json.loads(done.stdout)["ids"]
    shown = v1.get_api_key(apiKey=key_id, includeValue=True)
    assert (shown["value"], shown["name"], shown["description"]) == (f"{value}-a", "imported-a", "the, first")
    assert {plan["id"] for plan in v1.get_usage_plans(keyId=key_id)["items"]} == set(plans)

    # The same value is the same key; a row that can't be taken is said and left out.
    rows = f"FALSE,renamed,{value}-a,,\ntrue,short,tooshort,,\ntrue,imported-b,{value}-b,,gone\n"
    done = import_keys(turnpike, tmp_path, header + rows)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["ids"][0] == key_id and len(answer["ids"]) == 2 and len(answer["warnings"]) == 2
    assert answer["warnings"][0].startswith("Line 3: ") and "'gone'" in answer["warnings"][1]
    assert v1.get_api_key(apiKey=key_id)["enabled"] is False

    before = len(v1.get_api_keys(limit=500)["items"])
    rows = f"true,imported-c,{value}-c,,\ntrue,short,tooshort,,\n"
    done = import_keys(turnpike, tmp_path, header + rows, "--fail-on-warnings")
    assert done.returncode != 0 and "BadRequestException" in done.stderr and "Line 3" in done.stderr
    assert value not in done.stderr and len(v1.get_api_keys(limit=500)["items"]) == before
    done = import_keys(turnpike, tmp_path, "Name,description\nx,y\n")
    assert done.returncode != 0 and "'key'" in done.stderr


def test_values_are_sealed_on_the_disk_and_in_no_log(own_turnpike, tmp_path):
    from conftest import client

    v1 = client("apigateway", own_turnpike)
    value = "a-very-secret-value-of-a-key-0123456789"
    key(v1, value=value)
    v1.create_api_key(name="x", value=value[:25])
    error_of(v1.create_api_key, name="x", value=value)
    for path in own_turnpike.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert value[:25].encode() not in content, path
    assert value[:25] not in own_turnpike.control.logged()


def keyed_rest_api(v1, origin, name):
    """The id of an API whose root is open and whose `/keyed` asks for a key."""
    api_id, root_id = rest_api(v1, name)
    proxy(v1, api_id, root_id, f"{origin.url}/open")
    resource = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="keyed")["id"]
    proxy(v1, api_id, resource, f"{origin.url}/keyed")
    required = [{"op": "replace", "path": "/apiKeyRequired", "value": "true"}]
    v1.update_method(restApiId=api_id, resourceId=resource, httpMethod="GET", patchOperations=required)
    v1.create_deployment(restApiId=api_id, stageName="prod")
    return api_id


def plan_with(v1, key_id, *stages):
    plan = v1.create_usage_plan(name="p", apiStages=[{"apiId": api, "stage": stage} for api, stage in stages])["id"]
    v1.create_usage_plan_key(usagePlanId=plan, keyId=key_id, keyType="API_KEY")
    return plan


def test_a_method_that_requires_a_key_is_open_to_its_holders(turnpike, v1, origin):
    api_id = keyed_rest_api(v1, origin, "keyed-method")
    made = key(v1)
    plan = plan_with(v1, made["id"], (api_id, "prod"))

    def ask(value):
        return turnpike.ask(api_id, "/prod/keyed", headers={"x-api-key": value} if value else {})

    turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 200, headers={"x-api-key": made["value"]})
    assert ask(made["value"]).json["target"] == "/keyed"
    for value in (None, "not-a-key-of-anybody-here", made["id"]):
        refused = ask(value)
        assert (refused.status, refused.json) == (403, {"message": "Forbidden"}), value
        assert refused.headers["x-amzn-ErrorType"] == "ForbiddenException"
    assert turnpike.ask(api_id, "/prod").status == 200
    assert not any(reply["api_id"] == api_id for reply in status_json(turnpike)["refused_routes"])

    disable = [{"op": "replace", "path": "/enabled", "value": "false"}]
    v1.update_api_key(apiKey=made["id"], patchOperations=disable)
    turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 403, headers={"x-api-key": made["value"]})
    v1.update_api_key(apiKey=made["id"], patchOperations=[{**disable[0], "value": "true"}])
    turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 200, headers={"x-api-key": made["value"]})
    v1.delete_usage_plan_key(usagePlanId=plan, keyId=made["id"])
    turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 403, headers={"x-api-key": made["value"]})


def test_a_route_of_an_http_api_can_require_a_key(turnpike, v1, v2, origin):
    api_id = v2.create_api(Name="keyed-route", ProtocolType="HTTP")["ApiId"]
    integration = v2.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=origin.url,
        PayloadFormatVersion="1.0")["IntegrationId"]
    v2.create_route(
        ApiId=api_id, RouteKey="GET /keyed", Target=f"integrations/{integration}", ApiKeyRequired=True)
    v2.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    made = key(v1)
    plan_with(v1, made["id"], (api_id, "$default"))
    turnpike.wait_for(api_id, "/keyed", lambda reply: reply.status == 200, headers={"x-api-key": made["value"]})
    refused = turnpike.ask(api_id, "/keyed")
    assert (refused.status, refused.json) == (403, {"message": "Forbidden"})


def test_keys_of_authorizers_are_not_taken_yet_and_nothing_is_open(turnpike, v1, origin):
    api_id = keyed_rest_api(v1, origin, "keyed-by-authorizer")
    source = [{"op": "replace", "path": "/apiKeySource", "value": "AUTHORIZER"}]
    v1.update_rest_api(restApiId=api_id, patchOperations=source)
    v1.create_deployment(restApiId=api_id, stageName="prod")
    made = key(v1)
    plan_with(v1, made["id"], (api_id, "prod"))
    turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 500, headers={"x-api-key": made["value"]})
