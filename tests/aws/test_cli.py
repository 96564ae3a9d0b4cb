"""The unmodified AWS CLI, as the README's first steps have it; and `turnpike-control up`."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from turnpike import DEADLINE_S, Process, ask, fields, wait_for


class Cli:
    """`aws`, with an environment that holds nothing but what `up` prints."""

    def __init__(self, exports, home):
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "AWS_MAX_ATTEMPTS": "1",
            **exports,
        }

    def run(self, *arguments):
        return subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "aws"), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def __call__(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, f"aws {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None


class Up:
    """`turnpike-control up`, understood from what it prints."""

    def __init__(self, directory):
        gateway = ("--gateway-listen", "127.0.0.1:0", "--gateway-tls-listen", "127.0.0.1:0")
        gateway += ("--gateway-admin-listen", "127.0.0.1:0", "--gateway-cores", "1")
        arguments = ("up", "--listen", "127.0.0.1:0", "--data-dir", directory, *gateway)
        self.process = Process("turnpike-control", *arguments)
        self.exports, self.gateway, self.printed = {}, None, []
        while not (self.gateway and len(self.exports) == 4):
            line = self.process.line("")
            self.printed.append(line)
            if export := re.match(r"\s*export (\w+)=(\S+)", line):
                self.exports[export[1]] = export[2].strip("'\"")
            if address := re.search(r"listen=(127\.0\.0\.1:\d+)", line):
                self.gateway, self.tls = address[1], fields(line)["tls"]

    def ask(self, api_id, path):
        return ask(self.gateway, f"{api_id}.execute-api.us-east-1.localhost", path)

    def wait_for_200(self, api_id, path):
        return wait_for(lambda: self.ask(api_id, path), lambda reply: reply.status == 200)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    running = Up(tmp_path_factory.mktemp("up"))
    yield running
    running.process.kill()


@pytest.fixture(scope="module")
def aws(up, tmp_path_factory):
    return Cli(up.exports, tmp_path_factory.mktemp("home"))


def test_up_prints_what_the_clients_need(up):
    assert set(up.exports) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"}


def test_a_first_api_in_one_command(up, aws, origin):
    api = aws("apigatewayv2", "create-api", "--name", "first", "--protocol-type", "HTTP", "--target", origin.url)
    assert up.wait_for_200(api["ApiId"], "/hello").json["target"] == "/hello"
    listed = aws("apigatewayv2", "get-apis")["Items"]
    assert api["ApiId"] in [item["ApiId"] for item in listed]
    assert aws("apigatewayv2", "delete-api", "--api-id", api["ApiId"]) is None


def test_a_websocket_api_is_told_the_port_of_tls(up, aws):
    api = aws("apigatewayv2", "create-api", "--name", "chat", "--protocol-type", "WEBSOCKET",
              "--route-selection-expression", "$request.body.action")
    assert api["ApiEndpoint"] == f"wss://{api['ApiId']}.execute-api.us-east-1.localhost:{up.tls.split(':')[1]}"
    aws("apigatewayv2", "delete-api", "--api-id", api["ApiId"])


def test_a_rest_api_with_a_variable(up, aws, origin):
    api_id = aws("apigateway", "create-rest-api", "--name", "pets")["id"]
    here = ("--rest-api-id", api_id)
    root = aws("apigateway", "get-resources", *here)["items"][0]["id"]
    pets = aws("apigateway", "create-resource", *here, "--parent-id", root, "--path-part", "pets")["id"]
    pet = aws("apigateway", "create-resource", *here, "--parent-id", pets, "--path-part", "{id}")["id"]
    method = (*here, "--resource-id", pet, "--http-method", "GET")
    aws("apigateway", "put-method", *method, "--authorization-type", "NONE",
        "--request-parameters", "method.request.path.id=true")
    aws("apigateway", "put-integration", *method, "--type", "HTTP_PROXY", "--integration-http-method", "GET",
        "--uri", f"{origin.url}/animals/{{id}}",
        "--request-parameters", "integration.request.path.id=method.request.path.id")
    aws("apigateway", "create-deployment", *here, "--stage-name", "prod")
    assert up.wait_for_200(api_id, "/prod/pets/7").json["target"] == "/animals/7"


def test_errors_reach_the_terminal(aws):
    done = aws.run("apigatewayv2", "get-api", "--api-id", "nosuch")
    assert done.returncode != 0 and "NotFoundException" in done.stderr
    done = aws.run("apigatewayv2", "list-portals")
    assert done.returncode != 0 and "ListPortals" in done.stderr


def children_of(process):
    tasks = pathlib.Path(f"/proc/{process.child.pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_up_starts_a_killed_gateway_again(up, aws, origin):
    api = aws("apigatewayv2", "create-api", "--name", "lasting", "--protocol-type", "HTTP", "--target", origin.url)
    up.wait_for_200(api["ApiId"], "/")
    [gateway] = children_of(up.process)
    os.kill(gateway, signal.SIGKILL)
    wait_for(lambda: children_of(up.process), lambda children: children and children != [gateway])

    def ask_if_there():
        try:
            return up.ask(api["ApiId"], "/").status
        except (ConnectionRefusedError, ConnectionResetError):
            return "no gateway"

    wait_for(ask_if_there, lambda status: status == 200)


def test_a_killed_up_leaves_no_gateway(tmp_path):
    up = Up(tmp_path)
    [gateway] = children_of(up.process)
    up.process.kill()
    wait_for(lambda: pathlib.Path(f"/proc/{gateway}").exists(), lambda there: not there)


def test_up_ends_its_gateway_with_itself(tmp_path):
    up = Up(tmp_path)
    try:
        assert up.process.terminate() == 0, up.process.logged()
        with pytest.raises(ConnectionRefusedError):
            up.ask("any", "/")
    finally:
        up.process.kill()
