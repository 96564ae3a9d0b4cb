"""Terraform's AWS provider, pointed at control: what it makes, it finds as it made it, can change in place, and destroys."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
# Where Terraform itself looks for providers that are installed (`terraform init` without a registry).
PLUGIN_DIRECTORIES = [
    os.environ.get("TURNPIKE_TEST_TERRAFORM_PLUGINS", ""),
    "~/.terraform.d/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
]
COMMAND_TIMEOUT_S = 300
UNCHANGED, CHANGED = 0, 2


@pytest.fixture(scope="session")
def plugins():
    """The directory with the provider."""
    if not shutil.which("terraform"):
        pytest.skip("terraform isn't installed")
    for directory in filter(None, PLUGIN_DIRECTORIES):
        path = pathlib.Path(directory).expanduser()
        if (path / "registry.terraform.io" / "hashicorp" / "aws").is_dir():
            return path
    pytest.skip("Terraform's AWS provider isn't installed: TURNPIKE_TEST_TERRAFORM_PLUGINS names the directory with it")


class Terraform:
    def __init__(self, directory, turnpike, **variables):
        self.directory = directory
        self.variables = {"url": turnpike.api_url, **variables}
        self.environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": turnpike.access_key_id,
            "AWS_SECRET_ACCESS_KEY": turnpike.secret_access_key,
            # Nobody is asked for a newer version, and nobody's own settings matter.
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
        }

    def run(self, command, *arguments, statuses=(0,)):
        done = subprocess.run(
            ["terraform", command, "-no-color", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        assert done.returncode in statuses, f"terraform {command}:\n{done.stdout}\n{done.stderr}"
        return done

    def with_variables(self, command, version, *arguments, **options):
        variables = {**self.variables, "v": version}
        settings = [f"-var={name}={value}" for name, value in variables.items()]
        return self.run(command, "-input=false", *settings, *arguments, **options)

    def apply(self, version):
        """Makes what the configuration says, which has to be all that there is to do; its outputs."""
        self.with_variables("apply", version, "-auto-approve")
        plan = self.with_variables("plan", version, "-detailed-exitcode", statuses=(UNCHANGED, CHANGED))
        assert plan.returncode == UNCHANGED, plan.stdout
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json").stdout).items()}


@pytest.fixture
def terraform(turnpike, origin, plugins, tmp_path):
    """Makes one of a folder of `terraform/`; what it made is destroyed when the test is over."""
    made = []

    def make(name):
        directory = tmp_path / name
        shutil.copytree(HERE / "terraform" / name, directory)
        made.append(Terraform(directory, turnpike, origin=origin.url))
        made[-1].run("init", "-input=false", f"-plugin-dir={plugins}")
        return made[-1]

    yield make
    for one in made:
        one.with_variables("destroy", "1", "-auto-approve")


def test_a_rest_api_is_made_changed_and_destroyed(terraform, turnpike, v1):
    rest = terraform("rest")
    api_id = rest.apply("1")["api"]
    reply = turnpike.wait_for(api_id, "/prod/pets1/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v1/7"
    assert rest.apply("2")["api"] == api_id
    reply = turnpike.wait_for(api_id, "/prod/pets2/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v2/7"
    rest.with_variables("destroy", "2", "-auto-approve")
    assert api_id not in [api["id"] for api in v1.get_rest_apis(limit=500)["items"]]


def test_http_apis_are_made_changed_and_destroyed(terraform, turnpike, v2):
    http = terraform("http")
    made = http.apply("1")
    api_id = made["api"]
    reply = turnpike.wait_for(api_id, "/pets1/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v1/7"
    assert turnpike.ask(api_id, "/protected/7", "POST").status == 500
    assert turnpike.wait_for(made["quick"], "/quick", lambda reply: reply.status == 200).json["target"] == "/"
    changed = http.apply("2")
    assert changed == made
    reply = turnpike.wait_for(api_id, "/pets2/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v2/7"
    turnpike.wait_for(api_id, "/opened/7", lambda reply: reply.status == 200, "PUT")
    http.with_variables("destroy", "2", "-auto-approve")
    assert api_id not in [api["ApiId"] for page in v2.get_paginator("get_apis").paginate() for api in page["Items"]]


def test_a_websocket_api_is_made_changed_and_destroyed(terraform, v2):
    websocket = terraform("websocket")
    api_id = websocket.apply("1")["api"]
    assert v2.get_stage(ApiId=api_id, StageName="dev")["DefaultRouteSettings"]["LoggingLevel"] == "INFO"
    assert websocket.apply("2")["api"] == api_id
    assert v2.get_api(ApiId=api_id)["RouteSelectionExpression"] == "$request.body.kind"
    websocket.with_variables("destroy", "2", "-auto-approve")
    assert api_id not in [api["ApiId"] for page in v2.get_paginator("get_apis").paginate() for api in page["Items"]]
