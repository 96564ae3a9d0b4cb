"""The JavaScript client that GetSdk makes, run by Node.js against a gateway."""

import io
import json
import shutil
import subprocess
import zipfile

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from test_cli import Cli
from test_client_certificates import error_of
from turnpike import DEADLINE_S


@pytest.fixture
def pets(turnpike, v1, origin):
    """A stage with all kinds of parameters, live."""
    made = v1.create_rest_api(name="pets")
    api_id, root_id = made["id"], made["rootResourceId"]

    def resource(parent, part):
        return v1.create_resource(restApiId=api_id, parentId=parent, pathPart=part)["id"]

    def proxy(resource_id, method, path, parameters=()):
        key = {"restApiId": api_id, "resourceId": resource_id, "httpMethod": method}
        declared = {f"method.request.{name}": False for name in parameters}
        v1.put_method(**key, authorizationType="NONE", requestParameters=declared)
        names = [name.removeprefix("path.") for name in parameters if name.startswith("path.")]
        mapped = {f"integration.request.path.{name}": f"method.request.path.{name}" for name in names}
        v1.put_integration(
            **key,
            type="HTTP_PROXY",
            integrationHttpMethod=method,
            uri=origin.url + path,
            requestParameters=mapped,
        )

    pet = resource(resource(root_id, "pets"), "{id}")
    proxy(root_id, "ANY", "/root")
    proxy(pet, "GET", "/pets/{id}", ["path.id", "querystring.verbose", "header.X-Team"])
    proxy(pet, "POST", "/pets/{id}", ["path.id"])
    proxy(resource(root_id, "{rest+}"), "GET", "/rest/{rest}", ["path.rest"])
    v1.create_deployment(restApiId=api_id, stageName="prod")
    turnpike.wait_for(api_id, "/prod/pets/1", lambda reply: reply.status == 200)
    return api_id


@pytest.fixture
def node(turnpike, v1, pets, tmp_path):
    """Runs a script with `client` in it, and returns what it answers as JSON."""
    assert shutil.which("node"), "scripts/test installs Node.js"
    sdk = v1.get_sdk(restApiId=pets, stageName="prod", sdkType="javascript")
    assert sdk["contentDisposition"].startswith('attachment; filename="javascript_')
    zipfile.ZipFile(io.BytesIO(sdk["body"].read())).extractall(tmp_path)
    endpoint = f"http://{turnpike.listen}/_aws/execute-api/{pets}/prod"

    def run(script, **options):
        text = f"""
            const {{ apigClientFactory }} = require('./apiGateway-js-sdk');
            const options = {json.dumps({"endpoint": endpoint, **options})};
            if (options.at) options.now = () => new Date(options.at);
            const client = apigClientFactory.newClient(options);
            (async () => {{ {script} }})().then(
                (answer) => console.log(JSON.stringify(answer)),
                (error) => {{ console.error(error); process.exit(1); }}
            );
        """
        done = subprocess.run(
            ["node", "-e", text], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_methods_are_called_by_their_names(node):
    answer = node("return client.petsIdGet({ id: 'a b/c', verbose: 'x&y', 'X-Team': 'z' });")
    assert answer["status"] == 200 and answer["statusText"] == "OK"
    assert answer["headers"]["content-type"] == "application/json"
    seen = answer["data"]
    assert (seen["method"], seen["target"]) == ("GET", "/pets/a%20b%2Fc?verbose=x%26y")
    assert seen["headers"]["x-team"] == "z" and seen["headers"]["accept"] == "application/json"
    posted = node("return client.petsIdPost({ id: 7 }, { name: 'Rex' }, { queryParams: { n: ['1', '2'] } });")["data"]
    assert (posted["target"], posted["body"]) == ("/pets/7?n=1&n=2", '{"name":"Rex"}')
    assert posted["headers"]["content-type"] == "application/json"
    assert node("return client.restGet({ rest: 'a/b c' });")["data"]["target"] == "/rest/a/b%20c"
    assert node("return client.rootPut({}, 'text');")["data"]["body"] == "text"


def test_what_is_there_to_call(node):
    names = node("return Object.keys(client).sort();")
    verbs = ["Delete", "Get", "Head", "Options", "Patch", "Post", "Put"]
    assert names == ["petsIdGet", "petsIdPost", "restGet", *(f"root{verb}" for verb in verbs)]


def test_mistakes_are_told(node):
    for call, text in [
        ("client.petsIdGet({})", "path parameter 'id'"),
        ("client.petsIdGet({ id: '1', other: 'x' })", "no parameter 'other'"),
    ]:
        assert text in node(f"return {call}.then(() => 'no error', (error) => error.message);")
    refused = node(
        "return apigClientFactory.newClient({ endpoint: options.endpoint.replace('prod', 'none') })"
        ".petsIdGet({ id: '1' }).then(() => 'no error', (error) => error.response);"
    )
    assert refused["status"] == 403 and refused["data"] == {"message": "Forbidden"}


def test_keys_and_signatures_are_sent(node, turnpike, pets):
    seen = node("return client.petsIdGet({ id: '1' });", apiKey="secret")["data"]
    assert seen["headers"]["x-api-key"] == "secret"
    key = {"accessKey": "AKIA", "secretKey": "secret", "sessionToken": "token", "region": "eu-west-1"}
    answer = node(
        "return client.petsIdPost({ id: 'a b' }, { x: 'é' }, { queryParams: { 'a-b': '1', a: ['2', '1 +'] } });",
        at="2026-01-02T03:04:05Z",
        **key,
    )
    headers = answer["data"]["headers"]
    assert headers["x-amz-date"] == "20260102T030405Z" and headers["x-amz-security-token"] == "token"
    # botocore signs the same request to the same signature.
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest("POST", answer["config"]["url"], data=answer["data"]["body"].encode())
    for name in names:
        request.headers[name] = turnpike.listen if name == "host" else headers[name]
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(key["accessKey"], key["secretKey"], key["sessionToken"]), "execute-api", key["region"])
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    assert headers["authorization"].endswith(f"Signature={expected}"), canonical


def test_a_page_gets_the_client_as_a_global(node):
    script = """
        const text = require('fs').readFileSync('apiGateway-js-sdk/apigClient.js', 'utf8');
        const page = { globalThis: undefined, fetch, URL, console };
        page.globalThis = page;
        require('vm').runInNewContext(text, page);
        return Object.keys(page.apigClientFactory.newClient());
    """
    assert "petsIdGet" in node(script)


def test_other_types_are_refused_by_name(v1, pets):
    assert [item["id"] for item in v1.get_sdk_types()["items"]] == ["javascript"]
    assert v1.get_sdk_type(id="javascript")["friendlyName"] == "JavaScript"
    for name in ("java", "android", "objectivec", "swift", "ruby"):
        for call in (
            lambda name=name: v1.get_sdk(restApiId=pets, stageName="prod", sdkType=name),
            lambda name=name: v1.get_sdk_type(id=name),
        ):
            code, status, message = error_of(call)
            assert (code, status) == ("BadRequestException", 400) and name in message
    assert error_of(v1.get_sdk_type, id="cobol")[:2] == ("NotFoundException", 404)
    assert error_of(v1.get_sdk, restApiId=pets, stageName="none", sdkType="javascript")[:2] == ("NotFoundException", 404)


def test_the_aws_cli_writes_the_client_to_a_file(turnpike, pets, tmp_path):
    aws = Cli(turnpike.exports, tmp_path)
    file = tmp_path / "sdk.zip"
    of = ("--rest-api-id", pets, "--stage-name", "prod", "--sdk-type", "javascript")
    told = aws("apigateway", "get-sdk", *of, str(file))
    assert told["contentType"] == "application/octet-stream"
    names = zipfile.ZipFile(file).namelist()
    assert sorted(names) == [f"apiGateway-js-sdk/{name}" for name in ("README.md", "apigClient.js", "package.json")]
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{pets}/stages/prod"
    aws("apigateway", "tag-resource", "--resource-arn", arn, "--tags", "team=a,cost=b")
    assert aws("apigateway", "get-tags", "--resource-arn", arn)["tags"] == {"team": "a", "cost": "b"}
    aws("apigateway", "untag-resource", "--resource-arn", arn, "--tag-keys", "team", "cost")
    stage = aws("apigateway", "get-stage", "--rest-api-id", pets, "--stage-name", "prod")
    assert not stage.get("tags")
