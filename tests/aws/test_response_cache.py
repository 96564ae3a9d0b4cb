"""The response cache of REST stages with boto3: enabled, used, invalidated and flushed."""

import http.client
import http.server
import itertools
import json
import os
import signal
import subprocess
import threading

import pytest

from test_canary import CLIENTS, ask_from
from test_cli import Cli
from conftest import client
from test_requests import signed
from test_rest_api import rest_api
from turnpike import BINARIES, DEADLINE_S, wait_for


@pytest.fixture
def numbering():
    """An origin that numbers its answers."""
    numbers = itertools.count(1)

    class Numbers(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = str(next(numbers)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "max-age=600")
            self.send_header("Cache-Tag", self.path.strip("/") or "root")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Numbers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


def patch(v1, api_id, *settings):
    operations = [{"op": "replace", "path": path, "value": value} for path, value in settings]
    return v1.update_stage(restApiId=api_id, stageName="prod", patchOperations=operations)


def cached_api(v1, turnpike, uri):
    api_id, root_id = rest_api(v1, "cached")
    for method in ("GET", "POST"):
        key = {"restApiId": api_id, "resourceId": root_id, "httpMethod": method}
        v1.put_method(**key, authorizationType="NONE", requestParameters={"method.request.querystring.type": False})
        v1.put_integration(
            **key, type="HTTP_PROXY", integrationHttpMethod=method, uri=uri,
            cacheKeyParameters=["method.request.querystring.type"],
        )
    v1.create_deployment(restApiId=api_id, stageName="prod", cacheClusterEnabled=True, cacheClusterSize="0.5")
    patch(v1, api_id, ("/*/*/caching/enabled", "true"))
    # The change is live once an answer comes back.
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200)
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.text == number(turnpike, api_id))
    return api_id


def number(turnpike, api_id, query="", **arguments):
    reply = turnpike.ask(api_id, f"/prod{query}", **arguments)
    assert reply.status == 200, reply
    return reply.text


def test_what_is_cached_is_told_apart_by_its_key(turnpike, v1, numbering):
    api_id = cached_api(v1, turnpike, numbering)
    plain, admin = number(turnpike, api_id), number(turnpike, api_id, "?type=admin")
    assert plain != admin
    assert number(turnpike, api_id, "?other=1") == plain
    assert number(turnpike, api_id, "?other=2&type=admin") == admin
    mine = number(turnpike, api_id, headers={"Authorization": "me"})
    assert mine != plain and number(turnpike, api_id, headers={"Authorization": "me"}) == mine
    assert number(turnpike, api_id, headers={"Authorization": "you"}) != mine
    assert number(turnpike, api_id, method="POST") != number(turnpike, api_id, method="POST")


def test_a_flush_holds_once_the_call_returns(turnpike, v1, numbering):
    api_id = cached_api(v1, turnpike, numbering)
    for _ in range(20):
        before = number(turnpike, api_id)
        assert number(turnpike, api_id) == before
        v1.flush_stage_cache(restApiId=api_id, stageName="prod")
        assert number(turnpike, api_id) != before


def test_a_canary_uses_its_stages_cache_where_it_is_told_to(turnpike, v1, numbering, tmp_path):
    api_id, root_id = rest_api(v1, "cached canary")
    key = {"restApiId": api_id, "resourceId": root_id, "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")
    uri = numbering + "${stageVariables.side}"
    v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod="GET", uri=uri)
    stage = {"restApiId": api_id, "stageName": "prod"}
    first = v1.create_deployment(**stage, variables={"side": "stable"}, cacheClusterEnabled=True)["id"]
    canary = {"percentTraffic": 50, "stageVariableOverrides": {"side": "trial"}}
    patch(v1, api_id, ("/canarySettings/percentTraffic", "50"), ("/canarySettings/stageVariableOverrides/side", "trial"))

    def asked(client):
        """The side whose integration gave the answer, and the answer's number."""
        reply = ask_from(turnpike, api_id, client)
        return reply.headers["Cache-Tag"], reply.text

    # Nothing is cached yet. A client stays on its side.
    sides = wait_for(lambda: {asked(client)[0]: client for client in CLIENTS}, lambda sides: len(sides) == 2)
    stable, trial = sides["stable"], sides["trial"]

    def is_cached(client):
        return asked(client) == asked(client)

    patch(v1, api_id, ("/*/*/caching/enabled", "true"))
    wait_for(lambda: is_cached(stable), bool)
    kept = asked(stable)
    assert v1.get_stage(**stage)["canarySettings"]["useStageCache"] is False
    assert kept[0] == "stable"
    assert asked(trial)[0] == asked(trial)[0] == "trial" and not is_cached(trial)
    assert asked(stable) == kept

    aws = Cli(turnpike.exports, tmp_path)

    def use_stage_cache(value):
        operation = f"op=replace,path=/canarySettings/useStageCache,value={value}"
        place = ("--rest-api-id", api_id, "--stage-name", "prod", "--patch-operations", operation)
        shown = aws("apigateway", "update-stage", *place)["canarySettings"]
        assert shown["useStageCache"] is (value == "true") and shown["deploymentId"] == first

    use_stage_cache("true")
    wait_for(lambda: asked(trial), lambda answer: answer == kept)
    v1.flush_stage_cache(**stage)
    kept = asked(trial)
    assert kept[0] == "trial" and asked(stable) == kept, "both sides have one deployment, and one key"
    use_stage_cache("false")
    wait_for(lambda: is_cached(trial), lambda cached: not cached)
    assert asked(stable) == kept

    # Answers of two deployments are kept, and flushed, apart.
    v1.create_deployment(**stage, canarySettings={**canary, "useStageCache": True})
    wait_for(lambda: is_cached(trial), bool)
    of_trial = asked(trial)
    assert of_trial[0] == "trial" and of_trial != kept and asked(stable) == kept
    v1.flush_stage_cache(**stage)
    anew = asked(stable), asked(trial)
    assert [side for side, _ in anew] == ["stable", "trial"]
    assert not {kept, of_trial} & set(anew) and (asked(stable), asked(trial)) == anew
    assert not [line for line in turnpike.status_lines() if api_id in line and "useStageCache" in line]


def test_a_flush_holds_at_a_gateway_that_drains(own_turnpike, numbering):
    v1, first = client("apigateway", own_turnpike), own_turnpike.gateway
    api_id = cached_api(v1, own_turnpike, numbering)
    kept = http.client.HTTPConnection(own_turnpike.listen, timeout=DEADLINE_S)

    def ask_first():
        kept.request("GET", "/prod", headers={"Host": f"{api_id}.execute-api.us-east-1.localhost"})
        return kept.getresponse().read().decode()

    try:
        before = ask_first()
        assert ask_first() == before
        upgrade = [BINARIES / "turnpike-gateway", "upgrade", "--data-dir", own_turnpike.directory / "gateway"]
        subprocess.run(upgrade, check=True, timeout=DEADLINE_S, stdout=subprocess.DEVNULL)
        wait_for(own_turnpike.status, lambda status: len(status[1]) == 2)
        v1.flush_stage_cache(restApiId=api_id, stageName="prod")
        assert ask_first() != before
    finally:
        # The successor is of the same group.
        os.killpg(first.child.pid, signal.SIGKILL)
        kept.close()


def test_who_may_not_invalidate_is_told_or_refused(turnpike, v1, numbering):
    api_id = cached_api(v1, turnpike, numbering)
    kept, anew = number(turnpike, api_id), {"Cache-Control": "max-age=0"}
    ignored = turnpike.ask(api_id, "/prod", headers=anew)
    assert (ignored.text, ignored.headers["Warning"].split()[0]) == (kept, "199")
    patch(v1, api_id, ("/*/*/caching/unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403"))
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 403, headers=anew)
    patch(v1, api_id, ("/*/*/caching/requireAuthorizationForCacheControl", "false"))
    fetched = turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200, headers=anew)
    assert fetched.text != kept and number(turnpike, api_id) == fetched.text


def test_an_http_api_leaves_it_to_the_origin_and_is_purged(turnpike, v2, numbering):
    api_id = v2.create_api(Name="cached", ProtocolType="HTTP", RouteKey="GET /{proxy+}", Target=f"{numbering}{{proxy}}")["ApiId"]
    turnpike.wait_for(api_id, "/live", lambda reply: reply.status == 200)

    def call(method, path, document=None):
        place = f"/turnpike/v1/apis/{api_id}/stages/$default/cache{path}"
        body = b"" if document is None else json.dumps(document).encode()
        status, _, text = signed(turnpike, method, place, body)
        assert status in (200, 204), text
        return text

    call("PUT", "", {"freshness": "ORIGIN", "sizeBytes": 10_000_000})

    def served(path):
        return turnpike.ask(api_id, path).text

    turnpike.wait_for(api_id, "/live", lambda reply: reply.text == served("/live"))
    red, blue = served("/red"), served("/blue")
    assert (served("/red"), served("/blue")) == (red, blue)
    call("POST", "/purge", {"tags": ["red"]})
    assert served("/red") != red and served("/blue") == blue
    call("DELETE", "/data")
    assert served("/blue") != blue
    call("DELETE", "")
