"""Terraform's AWS provider against Turnpike: apply, an empty plan right after it, traffic, destroy.

Runs where the binary is on the PATH and the provider in a plugin directory: the one that `TURNPIKE_TERRAFORM_PLUGINS` names,
one of Terraform's own, or one below /opt. Neither comes with a package manager that the tests may use; elsewhere it says so.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

import pki

CONFIGURATION = pathlib.Path(__file__).parent / "terraform"
PLUGINS = "TURNPIKE_TERRAFORM_PLUGINS"
USUAL_PLUGINS = ["~/.terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"]
# Terraform checks its provider's schemas at each start, which takes it seconds.
PATIENCE_S = 300


def plugins():
    """Where the provider is; `None` where it is nowhere."""
    named = [os.environ[PLUGINS]] if PLUGINS in os.environ else [*USUAL_PLUGINS, *pathlib.Path("/opt").glob("*")]
    places = (pathlib.Path(place).expanduser() for place in named)
    return next((place for place in places if any(place.glob("*/hashicorp/aws"))), None)


@pytest.fixture
def terraform(request, tmp_path, turnpike, origin):
    """Runs Terraform in a copy of its configuration, or of the folder of it that the test names."""
    binary = shutil.which("terraform")
    if not binary:
        pytest.skip("terraform isn't installed: put it on the PATH to run this test")
    provider = plugins()
    if not provider:
        pytest.skip(f"Terraform's AWS provider isn't installed: name its plugin directory by {PLUGINS} to run this test")
    shutil.copytree(CONFIGURATION / getattr(request, "param", "."), tmp_path / "work")
    certificate = pki.issue("*.terraform.example.com", ["*.terraform.example.com"])
    variables = {
        "endpoint": turnpike.api_url,
        "origin": origin.url,
        "certificate": certificate.certificate.decode(),
        "private_key": certificate.private_key.decode(),
    }
    environment = {
        **os.environ,
        **{f"TF_VAR_{name}": value for name, value in variables.items()},
        "AWS_ACCESS_KEY_ID": turnpike.access_key_id,
        "AWS_SECRET_ACCESS_KEY": turnpike.secret_access_key,
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        # No settings but this test's.
        "TF_CLI_CONFIG_FILE": os.devnull,
    }

    def run(*words, wanted=0):
        done = subprocess.run(
            [binary, *words],
            cwd=tmp_path / "work",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == wanted, f"terraform {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("init", "-input=false", f"-plugin-dir={provider}")
    return run


def test_apply_an_empty_plan_and_destroy(terraform, turnpike, v1, v2):
    before = {api["id"] for api in v1.get_rest_apis(limit=500)["items"]}
    terraform("apply", "-input=false", "-auto-approve")
    # 0: nothing to change; 2: something.
    terraform("plan", "-input=false", "-detailed-exitcode")
    made = json.loads(terraform("output", "-json"))
    rest_id, http_id = made["rest_id"]["value"], made["http_id"]["value"]
    turnpike.wait_for(rest_id, "/prod/pets", lambda reply: reply.status == 200)
    turnpike.wait_for(http_id, "/pets", lambda reply: reply.status == 200)
    # Its authorizer can't be asked, so that it isn't served open.
    assert turnpike.ask(rest_id, "/prod/pets", "POST").status == 500
    terraform("destroy", "-input=false", "-auto-approve")
    assert {api["id"] for api in v1.get_rest_apis(limit=500)["items"]} == before
    assert http_id not in [api["ApiId"] for api in v2.get_apis()["Items"]]


def applied(terraform, version):
    """Makes what the configuration says in this version, which has to be all that there is to do; its outputs."""
    terraform("apply", "-input=false", "-auto-approve", f"-var=v={version}")
    terraform("plan", "-input=false", "-detailed-exitcode", f"-var=v={version}")
    return {name: output["value"] for name, output in json.loads(terraform("output", "-json")).items()}


def destroyed(terraform, version):
    terraform("destroy", "-input=false", "-auto-approve", f"-var=v={version}")


def http_api_ids(v2):
    return [api["ApiId"] for page in v2.get_paginator("get_apis").paginate() for api in page["Items"]]


@pytest.mark.parametrize("terraform", ["rest"], indirect=True)
def test_a_rest_api_is_changed_in_place(terraform, turnpike, v1):
    api_id = applied(terraform, "1")["api"]
    reply = turnpike.wait_for(api_id, "/prod/pets1/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v1/7"
    assert applied(terraform, "2")["api"] == api_id
    reply = turnpike.wait_for(api_id, "/prod/pets2/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v2/7"
    destroyed(terraform, "2")
    assert api_id not in [api["id"] for api in v1.get_rest_apis(limit=500)["items"]]


@pytest.mark.parametrize("terraform", ["http"], indirect=True)
def test_http_apis_are_changed_in_place(terraform, turnpike, v2):
    made = applied(terraform, "1")
    api_id = made["api"]
    reply = turnpike.wait_for(api_id, "/pets1/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v1/7"
    assert turnpike.ask(api_id, "/protected/7", "POST").status == 500
    assert turnpike.wait_for(made["quick"], "/quick", lambda reply: reply.status == 200).json["target"] == "/"
    assert applied(terraform, "2") == made
    reply = turnpike.wait_for(api_id, "/pets2/7", lambda reply: reply.status == 200)
    assert reply.json["target"] == "/v2/7"
    turnpike.wait_for(api_id, "/opened/7", lambda reply: reply.status == 200, "PUT")
    destroyed(terraform, "2")
    assert api_id not in http_api_ids(v2)


@pytest.mark.parametrize("terraform", ["websocket"], indirect=True)
def test_a_websocket_api_is_changed_in_place(terraform, v2):
    api_id = applied(terraform, "1")["api"]
    assert v2.get_stage(ApiId=api_id, StageName="dev")["DefaultRouteSettings"]["LoggingLevel"] == "INFO"
    assert applied(terraform, "2")["api"] == api_id
    assert v2.get_api(ApiId=api_id)["RouteSelectionExpression"] == "$request.body.kind"
    destroyed(terraform, "2")
    assert api_id not in http_api_ids(v2)
