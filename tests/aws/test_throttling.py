"""Throttles as AWS's clients set them. Rates are so low that only bursts count: no test waits for a token."""

import pytest

from conftest import client
from test_keys import key, keyed_rest_api
from test_rest_api import proxy, rest_api
from turnpike import Turnpike, wait_for

# One token in 1,000 s.
RARELY = 0.001


def exhaust(turnpike, api_id, path, tokens, headers=None):
    """Asks until so many are through, and then more, which aren't: a token can be in another shard's hands for 10 ms."""
    through = 0

    def ask():
        nonlocal through
        reply = turnpike.ask(api_id, path, headers=headers)
        through += reply.status == 200
        return reply

    refused = wait_for(ask, lambda reply: reply.status == 429 and through >= tokens)
    for _ in range(8):
        ask()
    assert through == tokens
    return refused


def statuses(turnpike, api_id, path, count, method="GET"):
    return [turnpike.ask(api_id, path, method).status for _ in range(count)]


def stage_settings(v1, api_id, *patches):
    operations = [{"op": "replace", "path": path, "value": value} for path, value in patches]
    v1.update_stage(restApiId=api_id, stageName="prod", patchOperations=operations)


def test_a_method_has_a_bucket_of_its_own(turnpike, v1, origin):
    api_id, root_id = rest_api(v1, "throttled")
    proxy(v1, api_id, root_id, f"{origin.url}/root")
    pets = v1.create_resource(restApiId=api_id, parentId=root_id, pathPart="pets")["id"]
    proxy(v1, api_id, pets, f"{origin.url}/pets")
    v1.create_deployment(restApiId=api_id, stageName="prod")
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 200)
    stage_settings(v1, api_id, ("/~1pets/GET/throttling/rateLimit", "0"), ("/~1pets/GET/throttling/burstLimit", "0"))
    refused = turnpike.wait_for(api_id, "/prod/pets", lambda reply: reply.status == 429)
    assert refused.json == {"message": "Too Many Requests"}
    assert refused.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
    assert statuses(turnpike, api_id, "/prod", 5) == [200] * 5
    stage_settings(
        v1, api_id, ("/~1pets/GET/throttling/rateLimit", "-1"), ("/~1pets/GET/throttling/burstLimit", "-1"))
    turnpike.wait_for(api_id, "/prod/pets", lambda reply: reply.status == 200)
    assert statuses(turnpike, api_id, "/prod/pets", 5) == [200] * 5

    # All methods: each has the burst for itself.
    stage_settings(
        v1, api_id, ("/*/*/throttling/rateLimit", str(RARELY)), ("/*/*/throttling/burstLimit", "3"),
        ("/~1pets/GET/throttling/rateLimit", str(RARELY)), ("/~1pets/GET/throttling/burstLimit", "2"))
    turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 429)
    assert turnpike.wait_for(api_id, "/prod/pets", lambda reply: reply.status == 429)


def test_a_route_of_an_http_api_is_throttled(turnpike, v2, origin):
    api_id = v2.create_api(Name="throttled", ProtocolType="HTTP")["ApiId"]
    integration = v2.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=origin.url,
        PayloadFormatVersion="1.0")["IntegrationId"]
    for key in ("GET /free", "GET /held"):
        v2.create_route(ApiId=api_id, RouteKey=key, Target=f"integrations/{integration}")
    v2.create_stage(
        ApiId=api_id, StageName="$default", AutoDeploy=True,
        RouteSettings={"GET /held": {"ThrottlingRateLimit": RARELY, "ThrottlingBurstLimit": 2}})
    turnpike.wait_for(api_id, "/free", lambda reply: reply.status == 200)
    assert exhaust(turnpike, api_id, "/held", 2).json == {"message": "Too Many Requests"}
    assert statuses(turnpike, api_id, "/free", 4) == [200] * 4
    v2.update_stage(
        ApiId=api_id, StageName="$default", DefaultRouteSettings={"ThrottlingRateLimit": 0, "ThrottlingBurstLimit": 0})
    turnpike.wait_for(api_id, "/free", lambda reply: reply.status == 429)


def limited(directory, **settings):
    running = Turnpike(directory)
    running.environment = {f"TURNPIKE_CONTROL_ACCOUNT_THROTTLE_{name}": str(value) for name, value in settings.items()}
    return running


def test_the_account_has_a_bucket_and_says_which(tmp_path, origin):
    with limited(tmp_path, RATE_PER_S=1, BURST_REQUESTS=5) as turnpike:
        v1 = client("apigateway", turnpike)
        assert v1.get_account()["throttleSettings"] == {"rateLimit": 1.0, "burstLimit": 5}
        api_id, root_id = rest_api(v1, "of-the-account")
        proxy(v1, api_id, root_id, origin.url)
        v1.create_deployment(restApiId=api_id, stageName="prod")
        refused = turnpike.wait_for(api_id, "/prod", lambda reply: reply.status == 429)
        assert refused.json == {"message": "Too Many Requests"}


def test_the_account_can_be_without_one(tmp_path):
    with limited(tmp_path, RATE_PER_S=0) as turnpike:
        assert "throttleSettings" not in client("apigateway", turnpike).get_account()


def test_a_burst_without_a_rate_is_refused(tmp_path):
    with pytest.raises(AssertionError, match="needs an --account-throttle-rate-per-s above 0"):
        with limited(tmp_path, RATE_PER_S=0, BURST_REQUESTS=5):
            pass


def test_a_usage_plan_throttles_each_of_its_keys(turnpike, v1, origin):
    api_id = keyed_rest_api(v1, origin, "throttled-callers")
    throttle = {"rateLimit": RARELY, "burstLimit": 4}
    plan = v1.create_usage_plan(
        name="p", throttle=throttle,
        apiStages=[{"apiId": api_id, "stage": "prod", "throttle": {"/keyed/GET": {"rateLimit": RARELY, "burstLimit": 3}}}])
    one, other = key(v1), key(v1)
    for made in (one, other):
        v1.create_usage_plan_key(usagePlanId=plan["id"], keyId=made["id"], keyType="API_KEY")
        shown = {"x-api-key": made["value"]}
        turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 200, headers=shown)
        # One was used to see that the key is known.
        refused = exhaust(turnpike, api_id, "/prod/keyed", 2, shown)
        assert refused.json == {"message": "Too Many Requests"}
    v1.update_usage_plan(
        usagePlanId=plan["id"],
        patchOperations=[{"op": "remove", "path": f"/apiStages/{api_id}:prod/throttle/~1keyed/GET"}])
    shown = {"x-api-key": one["value"]}
    turnpike.wait_for(api_id, "/prod/keyed", lambda reply: reply.status == 200, headers=shown)
    exhaust(turnpike, api_id, "/prod/keyed", 0, shown)
