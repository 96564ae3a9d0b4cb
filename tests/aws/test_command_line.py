"""`turnpike-control`'s commands against a running Turnpike, as an operator types them."""

import json
import os
import subprocess

import pytest

from turnpike import BINARIES, DEADLINE_S


class CommandLine:
    def __init__(self, turnpike):
        self.environment = {"PATH": os.environ["PATH"], **turnpike.exports}

    def run(self, *arguments, stdin=None, environment=None):
        return subprocess.run(
            [BINARIES / "turnpike-control", *map(str, arguments)],
            env=self.environment if environment is None else environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def __call__(self, *arguments, stdin=None):
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "--output", "json"))

    def refused(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 1 and not done.stdout, done
        return done.stderr


@pytest.fixture
def control(turnpike):
    return CommandLine(turnpike)


def test_an_http_api_from_its_making_to_its_end(turnpike, control, origin):
    api_id = control("api", "create", "line-http", "--description", "one two").strip()
    assert [api_id, "HTTP", "line-http", "one", "two"] in [line.split() for line in control("api", "list").splitlines()]
    assert "leads to" in control("route", "create", "line-http", "GET /pets/{id}", "--target", f"{origin.url}/animals/{{id}}")
    control("stage", "create", api_id, "prod")
    assert "serves deployment" in control("deploy", api_id, "prod", "--description", "first")
    reply = turnpike.wait_for(api_id, "/prod/pets/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/animals/7"
    [route] = control.json("route", "list", api_id)
    assert (route["route"], route["integration"]) == ("GET /pets/{id}", f"HTTP_PROXY {origin.url}/animals/{{id}}")
    assert "HTTP_PROXY" in control("route", "show", api_id, "GET /pets/{id}")
    control("route", "delete", api_id, "GET /pets/{id}")
    assert control("route", "list", api_id) == "no routes\n"
    assert "stages" in control("api", "show", "line-http")
    control("stage", "delete", api_id, "prod")
    control("api", "delete", api_id)
    assert "line-http" in control.refused("api", "show", "line-http")


def test_what_quick_create_made_can_lose_its_route(control, origin):
    """Its integration stays, which only goes with the API."""
    api_id = control("api", "create", "line-quick", "--target", origin.url).strip()
    assert "deleted $default" in control("route", "delete", api_id, "$default")
    assert control("route", "list", api_id) == "no routes\n"
    control("api", "delete", api_id)


def test_a_rest_api_is_rolled_back(turnpike, control, origin):
    api_id = control("api", "create", "line-rest", "--type", "rest").strip()
    control("route", "create", api_id, "GET /pets/{id}/{rest+}", "--target", f"{origin.url}/old/{{id}}/{{rest}}")
    control("deploy", api_id, "prod", "--description", "old")
    turnpike.wait_for(api_id, "/prod/pets/7/a/b", lambda reply: reply.status == 200 and reply.json["target"] == "/old/7/a/b")
    control("route", "delete", api_id, "GET /pets/{id}/{rest+}")
    control("route", "create", api_id, "GET /pets/{id}/{rest+}", "--target", f"{origin.url}/new/{{id}}")
    new = control.json("deploy", api_id, "prod")["id"]
    turnpike.wait_for(api_id, "/prod/pets/7/a", lambda reply: reply.status == 200 and reply.json["target"] == "/new/7")
    listed = control.json("rollback", api_id, "prod", "--list")
    assert len(listed) == 2 and listed[0]["id"] in (new, listed[0]["id"])
    old = next(deployment["id"] for deployment in listed if deployment["id"] != new)
    control("rollback", api_id, "prod", "--to", old)
    turnpike.wait_for(api_id, "/prod/pets/7/a", lambda reply: reply.status == 200 and reply.json["target"] == "/old/7/a")
    assert old in control("stage", "show", api_id, "prod")
    assert control.refused("rollback", api_id, "prod", "--to", "nosuch").startswith("turnpike-control: ")
    control("stage", "set", api_id, "prod", "--variable", "a=1", "--variable", "b=x/y", "--description", "set")
    assert "a=1 b=x/y" in control("stage", "list", api_id)
    control("stage", "set", api_id, "prod", "--remove-variable", "a")
    assert control.json("stage", "show", api_id, "prod")["variables"] == {"b": "x/y"}
    control("api", "delete", api_id)


def test_a_deployment_is_shown_before_it_is_made(control, origin):
    api_id = control("api", "create", "line-diff", "--type", "rest").strip()
    control("route", "create", api_id, "GET /a", "--target", f"{origin.url}/a")
    control("route", "create", api_id, "GET /b", "--target", f"{origin.url}/b")
    assert "stage" in control.refused("diff", api_id, "prod")
    control("deploy", api_id, "prod")
    assert control("diff", api_id, "prod") == f"stage prod of API {api_id} serves the API as it is now\n"
    control("route", "delete", api_id, "GET /a")
    control("route", "delete", api_id, "GET /b")
    control("route", "create", api_id, "GET /b", "--target", f"{origin.url}/b2")
    control("route", "create", api_id, "GET /c", "--target", f"{origin.url}/c")
    lines = control("diff", "line-diff", "prod").splitlines()
    assert [line[:8] for line in lines] == ["- GET /a", "~ GET /b", "+ GET /c"]
    assert f"GET {origin.url}/b2" in lines[1] and f"was GET {origin.url}/b " in lines[1]
    shown = control.json("diff", api_id, "prod")
    assert shown["added"][0]["leadsTo"]["url"] == f"{origin.url}/c"
    deployments = len(control.json("rollback", api_id, "prod", "--list"))
    assert deployments == 1, "a look makes nothing"
    control("deploy", api_id, "prod")
    assert "as it is now" in control("diff", api_id, "prod")

    api_id = control("api", "create", "line-diff-http").strip()
    control("stage", "create", api_id, "prod")
    control("route", "create", api_id, "GET /a", "--target", f"{origin.url}/a")
    assert control("diff", api_id, "prod").startswith("+ GET /a -> ")
    control("deploy", api_id, "prod")
    assert "as it is now" in control("diff", api_id, "prod")
    control("route", "delete", api_id, "GET /a")
    assert "At least one route" in control.refused("diff", api_id, "prod")
    control("api", "delete", api_id)
    control("api", "delete", "line-diff")


def test_a_canary_is_tried_and_promoted(turnpike, control, origin):
    api_id = control("api", "create", "line-canary", "--type", "rest").strip()
    control("route", "create", api_id, "GET /a", "--target", f"{origin.url}/old")
    control("deploy", api_id, "prod")
    assert "canary start" in control.refused("canary", "show", api_id, "prod")
    control("route", "delete", api_id, "GET /a")
    control("route", "create", api_id, "GET /a", "--target", "http://${stageVariables.host}/new")
    host = origin.url.removeprefix("http://")
    assert "100" in control("canary", "start", api_id, "prod", "--percent", "100", "--variable", f"host={host}")
    turnpike.wait_for(api_id, "/prod/a", lambda reply: reply.status == 200 and reply.json["target"] == "/new")
    control("canary", "set", api_id, "prod", "--percent", "0")
    assert control.json("canary", "show", api_id, "prod")["percentTraffic"] == 0
    turnpike.wait_for(api_id, "/prod/a", lambda reply: reply.status == 200 and reply.json["target"] == "/old")
    control("canary", "promote", api_id, "prod")
    turnpike.wait_for(api_id, "/prod/a", lambda reply: reply.status == 200 and reply.json["target"] == "/new")
    stage = control.json("stage", "show", api_id, "prod")
    assert stage["variables"] == {"host": host} and "canarySettings" not in stage
    control("canary", "start", api_id, "prod", "--percent", "50")
    control("canary", "remove", api_id, "prod")
    assert "has no canary" in control.refused("canary", "remove", api_id, "prod")
    control("api", "delete", api_id)


DOCUMENT = """
openapi: 3.0.1
info: {title: line-imported, version: "1"}
paths:
  /pets/{id}:
    get:
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: fine}}
      x-amazon-apigateway-integration:
        {type: http_proxy, httpMethod: GET, uri: "ORIGIN/animals", payloadFormatVersion: "1.0"}
"""


@pytest.mark.parametrize("kind", ["http", "rest"])
def test_documents_are_imported_and_exported(turnpike, control, origin, tmp_path, kind):
    file = tmp_path / "pets.yaml"
    file.write_text(DOCUMENT.replace("ORIGIN", origin.url))
    said = control("import", file, "--type", kind, "--deploy", "prod").splitlines()
    api_id = said[0]
    turnpike.wait_for(api_id, "/prod/pets/7", lambda reply: reply.status == 200 and reply.json["target"] == "/animals")
    exported = tmp_path / "exported.json"
    control("export", api_id, "prod", "--format", "json", "--to", exported)
    assert "/pets/{id}" in json.loads(exported.read_text())["paths"]
    assert "can't write" in control.refused("export", api_id, "prod", "--to", exported)
    assert control("export", api_id, "prod").startswith('---\nopenapi: ')
    file.write_text(DOCUMENT.replace("ORIGIN", origin.url).replace("/pets/", "/owners/"))
    control("import", file, "--api", api_id)
    assert [route["route"] for route in control.json("route", "list", api_id)] == ["GET /owners/{id}"]
    assert control("import", exported, "--api", api_id).splitlines()[0] == api_id
    assert "as it is now" in control("diff", api_id, "prod"), "what export writes, import reads back the same"
    file.write_text("openapi: 3.0.1\npaths: []\n")
    assert "400" in control.refused("import", file)
    control("api", "delete", api_id)


def test_gateways_are_shown(control):
    [gateway] = control.json("gateways")
    assert gateway["id"] in control("gateways")


def test_mistakes_say_what_to_do(turnpike, control, tmp_path):
    for arguments, status, expected in [
        (("api", "show", "nosuch"), 1, "turnpike-control api list"),
        (("api", "show"), 2, "<API>"),
        (("nosuch",), 2, "nosuch"),
        (("api", "create", "x", "--type", "soap"), 2, "websocket"),
        (("api", "create", "x", "--type", "rest", "--target", "http://h"), 1, "--type http"),
        (("stage", "set", "x", "y", "--variable", "z"), 2, "NAME=VALUE"),
        (("api", "list", "--endpoint-url", "http://127.0.0.1:1"), 1, "--endpoint-url"),
        (("api", "list", "--endpoint-url", "https://h"), 1, "http://"),
    ]:
        done = control.run(*arguments)
        assert (done.returncode, done.stdout) == (status, "") and expected in done.stderr, done
    wrong = {**control.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    done = control.run("api", "list", environment=wrong)
    assert done.returncode == 1 and "403" in done.stderr and "AWS_SECRET_ACCESS_KEY" in done.stderr
    keyless = {name: value for name, value in control.environment.items() if "KEY" not in name}
    done = control.run("api", "list", "--data-dir", tmp_path, environment=keyless)
    assert done.returncode == 1 and str(tmp_path) in done.stderr and "AWS_ACCESS_KEY_ID" in done.stderr


def test_shells_complete_the_command_line(control):
    for shell, expected in [("bash", "complete -F"), ("zsh", "#compdef turnpike-control"), ("fish", "complete -c")]:
        script = control("completions", shell)
        assert expected in script and "rollback" in script
    checked = subprocess.run(["bash", "-n"], input=control("completions", "bash"), text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


def test_every_command_has_help(control):
    text = control("--help")
    commands = [line.split()[0] for line in text.split("Commands:")[1].splitlines() if line.startswith("  ") and line[2] not in " -"]
    assert {"api", "route", "stage", "deploy", "diff", "rollback", "canary", "key", "plan", "domain", "import", "export", "apply", "gateways", "status", "audit", "backup"} <= set(commands)
    for command in commands:
        if command != "help":
            assert "Usage:" in control(command, "--help")


def test_keys_and_plans(control, tmp_path):
    api_id = control("api", "create", "line-plans", "--type", "rest").strip()
    control("route", "create", api_id, "GET /", "--target", "http://127.0.0.1:1")
    control("deploy", api_id, "prod")
    limits = ("--rate", "10", "--burst", "20", "--quota", "1000", "--period", "month", "--offset", "2")
    plan = control("plan", "create", "gold", "--stage", f"{api_id}:prod", *limits).strip()
    assert "10.0/s, 20 at once" in control("plan", "list") and "1000 a month from day 2" in control("plan", "show", plan)
    (tmp_path / "value").write_text("a-value-of-the-command-line\n")
    made = control.json("key", "create", "line-key", "--value-file", tmp_path / "value", "--plan", plan)
    assert made["value"] == "a-value-of-the-command-line" and made["enabled"]
    assert "a-value" not in control("key", "show", "line-key") + control("key", "list", "--name", "line-")
    shown = control("key", "show", "line-key", "--value")
    assert "a-value-of-the-command-line" in shown and f"{plan} (gold)" in shown
    control("key", "disable", "line-key")
    assert control.json("key", "show", made["id"])["enabled"] is False
    control("key", "enable", "line-key")
    control("key", "detach", "line-key", "--plan", plan)
    control("key", "attach", "line-key", "--plan", plan)
    assert "because there are API Stages" in control.refused("plan", "delete", plan)
    control("plan", "detach", plan, f"{api_id}:prod")
    control("plan", "attach", plan, "line-plans:prod")
    control("plan", "detach", plan, "line-plans:prod")
    control("plan", "delete", plan)
    (tmp_path / "keys.csv").write_text("name,key\nline-imported,imported-by-the-command-line\nx,short\n")
    said = control("key", "import", tmp_path / "keys.csv").splitlines()
    assert len(said) == 2 and said[1].startswith("warning: Line 3: ")
    assert "Line 3" in control.refused("key", "import", tmp_path / "keys.csv", "--fail-on-warnings")
    for name in ("line-imported", "line-key"):
        control("key", "delete", name)
    assert control("key", "list", "--name", "line-") == "no API keys\n"
    control("api", "delete", api_id)


def test_a_cache_is_set_flushed_and_purged(turnpike, control, origin, tmp_path):
    api_id = control("api", "create", "line-cache").strip()
    control("route", "create", "line-cache", "GET /x", "--target", f"{origin.url}/x")
    control("stage", "create", api_id, "prod")
    control("deploy", api_id, "prod")
    assert "has no response cache" in control.refused("cache", "get", "line-cache", "prod")
    (tmp_path / "cache.json").write_text('{"sizeBytes": 1000000, "freshness": "ORIGIN"}')
    made = json.loads(control("cache", "put", "line-cache", "prod", tmp_path / "cache.json"))
    assert (made["freshness"], made["coalesced"], made["ttlInSeconds"], made["routes"]) == ("ORIGIN", True, 300, {})
    assert json.loads(control("cache", "get", api_id, "prod")) == made
    assert control("cache", "flush", "line-cache", "prod") == "flushed\n"
    assert control("cache", "purge", "line-cache", "prod", "pets", "dogs") == "purged\n"
    assert "without commas" in control.refused("cache", "purge", "line-cache", "prod", "a,b")
    assert "sizeBytes" in control.run("cache", "put", "line-cache", "prod", "-", stdin="{}").stderr
    assert control.run("cache", "purge", "line-cache", "prod").returncode == 2
    control("cache", "delete", "line-cache", "prod")
    assert "has no response cache" in control.refused("cache", "get", "line-cache", "prod")
    control("api", "delete", api_id)


def test_what_throttles_mean_while_gateways_cant_share_them(control, origin):
    api_id = control("api", "create", "line-limits").strip()
    control("route", "create", api_id, "GET /pets", "--target", f"{origin.url}/animals")
    control("stage", "create", api_id, "prod")
    control("deploy", api_id, "prod")
    assert json.loads(control("limits", "show", api_id, "prod")) == {"routes": {}}
    chosen = {"partition": "CLOSED", "routes": {"GET /pets": "OPEN"}}
    assert json.loads(control("limits", "partition", "line-limits", "prod", "closed", "--route", "GET /pets=open")) == chosen
    assert json.loads(control("limits", "show", api_id, "prod")) == chosen
    control("limits", "reset", api_id, "prod")
    assert json.loads(control("limits", "show", api_id, "prod")) == {"routes": {}}
    plan = control("plan", "create", "limits", "--stage", f"{api_id}:prod", "--rate", "1", "--burst", "1").strip()
    assert json.loads(control("limits", "partition-plan", plan, "share")) == {"partition": "SHARE"}
    assert json.loads(control("limits", "show-plan", plan)) == {"partition": "SHARE"}
    control("limits", "reset-plan", plan)
    assert json.loads(control("limits", "show-plan", plan)) == {}
    wrong = control.run("limits", "partition", api_id, "prod", "half")
    assert wrong.returncode == 2 and "half" in wrong.stderr and "share, closed, open" in wrong.stderr
