"""`turnpike-control apply`: a folder of OpenAPI documents and settings becomes what the server has."""

import json

import pytest

from conftest import client
from pki import issue
from test_command_line import CommandLine

PETS = """
openapi: 3.0.1
info: {title: Pets of %(who)s, version: "1"}
paths:
  /pets/{id}:
    get:
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: fine}}
      x-amazon-apigateway-integration:
        {type: http_proxy, httpMethod: GET, uri: "http://${stageVariables.host}/%(to)s", payloadFormatVersion: "1.0"}
"""

SETTINGS = """
[apis.rest]
type = "rest"
[apis.rest.stages.prod]
variables = { host = "%(host)s" }
description = "what callers get"
[apis.http.stages.prod]
variables = { host = "%(host)s" }
[apis.http.stages.live]
auto_deploy = true
variables = { host = "%(host)s", other = "x" }

[domains."apply.example.com"]
certificate_arn = "%(arn)s"
mappings = { "" = "rest:prod", "v2" = "http:live" }

[plans.apply-gold]
stages = ["rest:prod"]
rate = 10
burst = 20
quota = 1000
period = "month"
offset = 3
[plans.apply-silver]
stages = ["rest:prod"]

[keys.apply-mobile]
value_env = "MOBILE_KEY"
plans = ["apply-gold"]
"""


@pytest.fixture
def control(turnpike):
    line = CommandLine(turnpike)
    line.environment["MOBILE_KEY"] = "the-value-of-the-mobile-key"
    return line


@pytest.fixture
def folder(turnpike, origin, tmp_path):
    arn = client("acm", turnpike).import_certificate(**issue("apply", ["apply.example.com"]).material())["CertificateArn"]
    (tmp_path / "rest.yaml").write_text(PETS % {"who": "rest", "to": "old"})
    (tmp_path / "http.yml").write_text(PETS % {"who": "http", "to": "old"})
    host = origin.url.removeprefix("http://")
    (tmp_path / "turnpike.toml").write_text(SETTINGS % {"host": host, "arn": arn})
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_folder_is_applied_and_then_there_is_nothing_to_do(turnpike, control, folder, v1, v2):
    nothing = "nothing to do: the server matches the folder\n"
    planned = control("apply", folder, "--plan")
    for line in ["create API Pets of rest", "  + GET /pets/{id}", "create stage Pets of http:live",
                 "create domain apply.example.com", "  + /v2", "create plan apply-gold", "create key apply-mobile"]:
        assert line in planned.splitlines(), planned
    assert "Pets of" not in control("api", "list"), "a plan makes nothing"
    refused = control.run("apply", folder)
    assert refused.returncode == 1 and "--yes" in refused.stderr and "Pets of" not in control("api", "list")
    assert "applied: " in control("apply", folder, "--yes")
    assert control("apply", folder, "--yes") == nothing
    apis = {api["name"]: api.get("id") or api["apiId"] for api in control.json("api", "list")}
    rest, http = apis["Pets of rest"], apis["Pets of http"]
    for api_id, stage in [(rest, "prod"), (http, "prod"), (http, "live")]:
        turnpike.wait_for(api_id, f"/{stage}/pets/7", lambda reply: reply.status == 200 and reply.json["target"] == "/old")
    [key] = control.json("key", "list", "--name", "apply-mobile")
    shown = control.json("key", "show", key["id"], "--value")
    assert shown["value"] == "the-value-of-the-mobile-key"
    [plan] = v1.get_usage_plans(keyId=key["id"])["items"]
    assert (plan["name"], plan["quota"]) == ("apply-gold", {"limit": 1000, "offset": 3, "period": "MONTH"})

    # What is changed in the folder is changed on the server, and nothing else.
    deployments = len(v2.get_deployments(ApiId=http)["Items"])
    edit(folder / "rest.yaml", "/old", "/new")
    edit(folder / "turnpike.toml", 'plans = ["apply-gold"]', 'plans = ["apply-silver"]')
    edit(folder / "turnpike.toml", '"v2" = "http:live"', '"v3" = "http:prod"')
    edit(folder / "turnpike.toml", "burst = 20", "burst = 30")
    assert control("apply", folder, "--plan").splitlines() == [
        "update API Pets of rest", "  ~ GET /pets/{id}",
        "update stage Pets of rest:prod", "  ~ GET /pets/{id}",
        "update domain apply.example.com", "  + /v3", "  - /v2",
        "update plan apply-gold", "  ~ throttle",
        "update key apply-mobile", "  - plan apply-gold", "  + plan apply-silver",
    ]
    control("apply", folder, "--yes")
    assert control("apply", folder, "--yes") == nothing
    assert len(v2.get_deployments(ApiId=http)["Items"]) == deployments
    turnpike.wait_for(rest, "/prod/pets/7", lambda reply: reply.status == 200 and reply.json["target"] == "/new")

    # What somebody else has changed on the server is changed back.
    control("stage", "set", rest, "prod", "--variable", "extra=1", "--description", "mine")
    control("route", "create", http, "GET /extra", "--target", "http://127.0.0.1:1")
    assert control("apply", folder, "--plan").splitlines() == [
        "update API Pets of http", "  - GET /extra",
        "update stage Pets of rest:prod", "  - variable extra", "  ~ description",
    ]
    control("apply", folder, "--yes")
    assert control("apply", folder, "--yes") == nothing

    # All of it or nothing.
    edit(folder / "http.yml", "/old", "/newer")
    edit(folder / "turnpike.toml", 'plans = ["apply-silver"]', 'plans = ["nosuch"]')
    refused = control.refused("apply", folder, "--yes")
    assert "key apply-mobile" in refused and "'nosuch'" in refused
    turnpike.wait_for(http, "/prod/pets/7", lambda reply: reply.status == 200 and reply.json["target"] == "/old")

    control("key", "delete", "apply-mobile")
    control("domain", "delete", "apply.example.com")
    for plan in v1.get_usage_plans()["items"]:
        if plan["name"].startswith("apply-"):
            for stage in plan["apiStages"]:
                control("plan", "detach", plan["id"], f"{stage['apiId']}:{stage['stage']}")
            control("plan", "delete", plan["id"])
    for api_id in (rest, http):
        control("api", "delete", api_id)


def test_what_is_applied_is_what_was_shown(turnpike, control, folder, v1, v2):
    """A plan names nothing that only it has made up, and APIs that stay the same are meant by their kind."""
    (folder / "rest.yaml").unlink()
    edit(folder / "turnpike.toml", """[apis.rest]
type = "rest"
[apis.rest.stages.prod]""", "[apis.http.stages.extra]")
    for old, new in [('"" = "rest:prod", ', ""), ('["rest:prod"]', "[]")]:
        edit(folder / "turnpike.toml", old, new)
    twin = v1.create_rest_api(name="Pets of http")["id"]
    edit(folder / "turnpike.toml", 'mappings = { "v2" = "http:live" }', "mappings = { }")
    control("apply", folder, "--yes")
    [http] = [api["ApiId"] for api in v2.get_apis()["Items"] if api["Name"] == "Pets of http"]
    edit(folder / "turnpike.toml", "mappings = { }", 'mappings = { "v2" = "http:live" }')
    control("apply", folder, "--yes")
    [mapping] = v2.get_api_mappings(DomainName="apply.example.com")["Items"]
    assert mapping["ApiId"] == http, "not the REST API of the same name"
    v1.delete_rest_api(restApiId=twin)

    (folder / "rest.yaml").write_text(PETS % {"who": "rest", "to": "old"})
    settings = folder / "turnpike.toml"
    settings.write_text(settings.read_text() + """
[apis.rest]
type = "rest"
[apis.rest.stages.prod]
variables = { host = "h" }
[plans.apply-bronze]
stages = ["rest:prod"]
""")
    assert "  + stage Pets of rest:prod" in control("apply", folder, "--plan").splitlines()
    planned = control.json("apply", folder, "--plan")
    assert planned == control.json("apply", folder, "--plan"), "the same plan twice"
    control("apply", folder, "--yes")

    for api in control.json("api", "list"):
        if api["name"].startswith("Pets of"):
            for plan in v1.get_usage_plans()["items"]:
                for stage in plan["apiStages"]:
                    control("plan", "detach", plan["id"], f"{stage['apiId']}:{stage['stage']}")
    control("key", "delete", "apply-mobile")
    control("domain", "delete", "apply.example.com")
    for plan in v1.get_usage_plans()["items"]:
        if plan["name"].startswith("apply-"):
            control("plan", "delete", plan["id"])
    for api in control.json("api", "list"):
        if api["name"].startswith("Pets of"):
            control("api", "delete", api.get("id") or api["apiId"])


def test_mistakes_are_named(control, folder):
    for name, old, new, expected in [
        ("turnpike.toml", "[apis.rest]", "[apis.nosuch]", "nosuch.yaml"),
        ("turnpike.toml", '"rest:prod"', '"nobody:prod"', "'nobody'"),
        # What only the compiler finds, of a stage that deploys by itself.
        ("turnpike.toml", ', other = "x"', ', other = "x y"', "'other'"),
        ("turnpike.toml", 'auto_deploy = true\nvariables = { host', 'auto_deploy = true\nvariables = { hosts', "'host'"),
        ("turnpike.toml", "MOBILE_KEY", "NOT_SET", "NOT_SET"),
        ("rest.yaml", "http_proxy", "soap", "API Pets of rest"),
        ("http.yml", "openapi: 3.0.1", "openapi: 4.0.0", "http.yml"),
    ]:
        before = (folder / name).read_text()
        edit(folder / name, old, new)
        assert expected in control.refused("apply", folder, "--plan"), name
        (folder / name).write_text(before)
    assert "Pets of" not in control("api", "list")
    assert json.loads(control("apply", folder, "--plan", "--output", "json"))["changes"]
