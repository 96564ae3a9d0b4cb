"""Quotas of usage plans as AWS's clients set them and read their use: each served request counts once, and no more are
served than the quota has, whoever is killed meanwhile."""

import datetime
import functools
import http.client
import os
import random
import signal
import subprocess
import threading

import pytest

from conftest import client
from test_rest_api import proxy, rest_api
from turnpike import BINARIES, DEADLINE_S, Origin, Turnpike, ask, fields, wait_for

KEY = "x-api-key"


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def within_a_day(test):
    """Runs a test again that midnight has come into, where a period of its own may have ended."""

    @functools.wraps(test)
    def run(*arguments, **more):
        while True:
            day = today()
            try:
                return test(*arguments, **more)
            except AssertionError:
                if today() == day:
                    raise

    return run


def week_that_began_yesterday():
    """A period that doesn't end during a test, midnight or not. AWS's weeks begin `offset` days after Sunday."""
    since_sunday = datetime.date.fromisoformat(today()).isoweekday() % 7
    return {"period": "WEEK", "offset": (since_sunday - 1) % 7}


class Keyed:
    """An API that asks for a key, a plan with a quota, and a key in it."""

    def __init__(self, turnpike, origin_url, limit, period=None, **plan):
        self.began = today()
        self.turnpike, self.v1 = turnpike, client("apigateway", turnpike)
        self.api_id, root_id = rest_api(self.v1, "counted")
        proxy(self.v1, self.api_id, root_id, origin_url)
        patch = [{"op": "replace", "path": "/apiKeyRequired", "value": "true"}]
        self.v1.update_method(restApiId=self.api_id, resourceId=root_id, httpMethod="GET", patchOperations=patch)
        self.v1.create_deployment(restApiId=self.api_id, stageName="prod")
        stages = [{"apiId": self.api_id, "stage": "prod"}]
        quota = {"limit": limit, **({"period": period} if period else week_that_began_yesterday())}
        self.plan_id = self.v1.create_usage_plan(name="counted", apiStages=stages, quota=quota, **plan)["id"]
        self.key_id, self.value = self.add_key("counted")

    def add_key(self, name):
        made = self.v1.create_api_key(name=name, enabled=True, value=f"{name}-{random.randrange(10**20):020}")
        self.v1.create_usage_plan_key(usagePlanId=self.plan_id, keyId=made["id"], keyType="API_KEY")
        return made["id"], made["value"]

    def live(self, *others):
        """Waits until all gateways take the key, with requests of another one, which use nothing of this one's quota."""
        _, value = self.add_key("scout")
        for running in (self.turnpike, *others):
            wait_for(lambda: running.ask(self.api_id, "/prod", headers={KEY: value}).status, lambda status: status == 200)
        return self

    def call(self, value=None, path="/prod"):
        return self.turnpike.ask(self.api_id, path, headers={KEY: value or self.value})

    def status(self, **arguments):
        return self.call(**arguments).status

    def usage(self):
        """What was used on the test's days, and what remains."""
        days = self.v1.get_usage(
            usagePlanId=self.plan_id, keyId=self.key_id, startDate=self.began, endDate=today())["items"][self.key_id]
        return [sum(used for used, _ in days), days[-1][1]]

    def wait_for_usage(self, used, remaining):
        wait_for(self.usage, lambda usage: usage == [used, remaining])

    def set_remaining(self, remaining):
        patch = [{"op": "replace", "path": "/remaining", "value": str(remaining)}]
        updated = self.v1.update_usage(usagePlanId=self.plan_id, keyId=self.key_id, patchOperations=patch)
        (_, now_remaining), = updated["items"][self.key_id]
        assert now_remaining == remaining

    def change_plan(self, *operations):
        operations = [dict(zip(("op", "path", "value"), operation)) for operation in operations]
        return self.v1.update_usage_plan(usagePlanId=self.plan_id, patchOperations=operations)


@pytest.fixture
def counted(turnpike, origin):
    return lambda limit, **more: Keyed(turnpike, origin.url, limit, **more).live()


@pytest.mark.parametrize("period", ["DAY", "WEEK", "MONTH"])
@within_a_day
def test_a_quota_is_used_up_by_as_many_requests_as_it_has(counted, period):
    keyed = counted(5, period=period)
    assert keyed.usage() == [0, 5]
    assert [keyed.status() for _ in range(8)] == [200] * 5 + [429] * 3
    refused = keyed.call()
    assert refused.json == {"message": "Limit Exceeded"}
    assert refused.headers["x-amzn-ErrorType"] == "LimitExceededException"
    keyed.wait_for_usage(5, 0)
    # Another key of the plan has a quota of its own.
    _, other = keyed.add_key("other")
    wait_for(lambda: keyed.status(value=other), lambda status: status == 200)


def test_refused_requests_use_nothing(turnpike, counted):
    keyed = counted(5, throttle={"rateLimit": 0.001, "burstLimit": 2})
    assert [keyed.status() for _ in range(6)] == [200] * 2 + [429] * 4
    assert keyed.status(path="/prod/nowhere") == 403
    assert keyed.status(value="not-a-key-of-anybody-at-all") == 403
    keyed.wait_for_usage(2, 3)


def test_what_remains_can_be_set(counted):
    keyed = counted(2)
    assert [keyed.status() for _ in range(3)] == [200, 200, 429]
    keyed.wait_for_usage(2, 0)
    keyed.set_remaining(3)
    wait_for(keyed.status, lambda status: status == 200)
    assert [keyed.status() for _ in range(3)] == [200, 200, 429]
    keyed.wait_for_usage(5, 0)
    keyed.set_remaining(0)
    assert keyed.usage() == [5, 0]


@within_a_day
def test_a_change_of_the_quota_keeps_what_was_used(counted):
    keyed = counted(100)
    assert [keyed.status() for _ in range(10)] == [200] * 10
    keyed.change_plan(("replace", "/quota/limit", "12"))
    keyed.turnpike.wait_until_acknowledged()
    assert [keyed.status() for _ in range(4)] == [200, 200, 429, 429]
    keyed.wait_for_usage(12, 0)
    keyed.change_plan(("replace", "/quota/limit", "13"), ("replace", "/quota/period", "MONTH"))
    keyed.turnpike.wait_until_acknowledged()
    assert [keyed.status() for _ in range(2)] == [200, 429]
    keyed.wait_for_usage(13, 0)
    keyed.change_plan(("remove", "/quota"))
    keyed.turnpike.wait_until_acknowledged()
    assert [keyed.status() for _ in range(3)] == [200] * 3


def test_a_key_that_goes_and_comes_back_has_used_what_it_has(counted):
    keyed = counted(4)
    assert [keyed.status() for _ in range(3)] == [200] * 3
    member = {"usagePlanId": keyed.plan_id, "keyId": keyed.key_id}
    keyed.v1.delete_usage_plan_key(**member)
    # Asked sooner, the gateway might still serve it.
    keyed.turnpike.wait_until_acknowledged()
    assert keyed.status() == 403
    keyed.v1.create_usage_plan_key(**member, keyType="API_KEY")
    # A gateway that was told while the key was away that nothing is left asks again after half a second.
    wait_for(keyed.status, lambda status: status == 200)
    assert keyed.status() == 429
    keyed.wait_for_usage(4, 0)


def test_without_control_what_is_in_hand_is_served_and_no_more(own_turnpike, origin):
    keyed = Keyed(own_turnpike, origin.url, 1_000).live()
    assert keyed.status() == 200
    own_turnpike.control.kill()
    statuses = [keyed.status() for _ in range(12)]
    served = statuses.count(200)
    # Of the first lease, unless it had gone home already.
    assert served <= 7 and statuses == [200] * served + [503] * (12 - served)
    assert keyed.call().json == {"message": "Service Unavailable"}
    own_turnpike.start_control()
    wait_for(keyed.status, lambda status: status == 200)
    keyed.wait_for_usage(served + 2, 1_000 - served - 2)


class Load:
    """Callers who ask until they are told to stop, and count what they were told."""

    def __init__(self, keyed, addresses, callers=4):
        self.keyed, self.addresses = keyed, addresses
        self.host = f"{keyed.api_id}.execute-api.us-east-1.localhost"
        self.stopping = threading.Event()
        self.counts, self.lock = {}, threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(at,)) for at in range(callers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)

    def run(self, at):
        while not self.stopping.is_set():
            try:
                address = self.addresses[at % len(self.addresses)]()
                status = ask(address, self.host, "/prod", headers={KEY: self.keyed.value}).status
            except (OSError, http.client.HTTPException):
                status = "cut off"
            with self.lock:
                self.counts[status] = self.counts.get(status, 0) + 1

    def count(self, status):
        with self.lock:
            return self.counts.get(status, 0)


class CountingOrigin(Origin):
    """Counts the requests that came."""

    def __enter__(self):
        running = super().__enter__()
        self.seen, self.lock = 0, threading.Lock()
        answer, origin = self.server.RequestHandlerClass, self

        class Counting(answer):
            def do_GET(self):
                with origin.lock:
                    origin.seen += 1
                answer.do_GET(self)

        self.server.RequestHandlerClass = Counting
        return running


class SecondGateway(Turnpike):
    """A gateway beside a Turnpike's own, on the same control."""

    def __init__(self, turnpike):
        super().__init__(turnpike.directory / "second")
        self.publish_socket = turnpike.publish_socket

    def __enter__(self):
        self.start_gateway()
        return self


@pytest.fixture
def counting():
    with CountingOrigin() as running:
        yield running


@pytest.fixture
def two(own_turnpike):
    with SecondGateway(own_turnpike) as second:
        yield own_turnpike, second


def test_two_gateways_serve_exactly_the_quota(two, counting):
    turnpike, second = two
    keyed = Keyed(turnpike, counting.url, 300).live(second)
    scouts = counting.seen
    addresses = [lambda: turnpike.listen, lambda: second.listen]
    with Load(keyed, addresses) as load:
        # Some may be on their way back from one gateway to the other.
        wait_for(lambda: load.count(200), lambda count: count >= 300)
        refused = load.count(429)
        wait_for(lambda: load.count(429), lambda count: count > refused + 50)
    assert counting.seen - scouts == load.counts[200] == 300
    assert set(load.counts) == {200, 429}
    keyed.wait_for_usage(300, 0)


def wait_until_used_up(load, served, least):
    """Waits until so many were served, nothing remains, and each gateway goes on refusing."""
    wait_for(served, lambda count: count >= least)
    wait_for(load.keyed.usage, lambda usage: usage[1] == 0)
    for address in load.addresses:
        wait_for(lambda: ask(address(), load.host, "/prod", headers={KEY: load.keyed.value}).status,
                 lambda status: status == 429)
    refused = load.count(429)
    wait_for(lambda: load.count(429), lambda count: count > refused + 100)


# The figure's 50 take some minutes.
ROUNDS = int(os.environ.get("TURNPIKE_TEST_KILLS", "6"))


def test_whoever_is_killed_the_quota_is_never_passed(two, counting):
    """Kills a gateway, the other one, or control at a random moment, again and again."""
    (turnpike, second), rounds = two, ROUNDS
    limit = 150 * rounds
    keyed = Keyed(turnpike, counting.url, limit).live(second)
    random_source = random.Random(20261121)
    scouts = counting.seen
    addresses = [lambda: turnpike.listen, lambda: second.listen]
    kills = [
        (turnpike, "gateway", lambda: turnpike.start_gateway()),
        (second, "gateway", lambda: second.start_gateway()),
        (turnpike, "control", lambda: turnpike.start_control()),
    ]
    with Load(keyed, addresses) as load:
        for at in range(rounds):
            before = counting.seen
            wait_for(lambda: counting.seen - before + load.count(429),
                     lambda count: count > random_source.randrange(20, 90))
            whose, name, start = kills[at % len(kills)]
            getattr(whose, name).kill()
            start()
            assert counting.seen - scouts <= limit
        # Nothing is stranded: what doesn't come is what was under way in a gateway when it was killed, a call of each caller at
        # most, which was let through and didn't get to the origin any more.
        killed_gateways = sum(name == "gateway" for _, name, _ in kills) * -(-rounds // len(kills))
        under_way = len(load.threads) // len(addresses) * killed_gateways
        wait_until_used_up(load, lambda: counting.seen - scouts, limit - under_way)
    served = counting.seen - scouts
    assert limit - under_way <= served <= limit, load.counts
    assert load.counts.get(200, 0) <= served
    used, remaining = wait_for(keyed.usage, lambda usage: usage[1] == 0)
    assert served <= used <= limit
    print(f"{rounds} kills: {served} of {limit} were served, {load.counts}")


def test_after_kills_exactly_the_quota_is_served(own_turnpike, counting):
    """Kills a gateway whose cores have some in hand, and nothing under way: what they had comes back, and no more."""
    limit = 150 * ROUNDS
    keyed = Keyed(own_turnpike, counting.url, limit).live()
    scouts, served = counting.seen, 0
    addresses = [lambda: own_turnpike.listen]
    for _ in range(ROUNDS):
        with Load(keyed, addresses) as load:
            wait_for(lambda: load.count(200), lambda count: count >= 100)
        served += load.count(200)
        assert set(load.counts) == {200}, load.counts
        own_turnpike.gateway.kill()
        own_turnpike.start_gateway()
        # Before anything new is used, all that isn't is back.
        keyed.wait_for_usage(served, limit - served)
    with Load(keyed, addresses) as load:
        wait_until_used_up(load, lambda: counting.seen - scouts, limit)
    assert counting.seen - scouts == served + load.count(200) == limit
    keyed.wait_for_usage(limit, 0)


def test_a_gateway_that_comes_back_returns_what_it_held(own_turnpike, origin):
    keyed = Keyed(own_turnpike, origin.url, 1_000).live()
    assert keyed.status() == 200
    own_turnpike.gateway.kill()
    own_turnpike.start_gateway()
    keyed.wait_for_usage(1, 999)
    assert keyed.status() == 200


def test_where_nothing_tells_what_was_spent_all_that_cores_had_counts_as_used(own_turnpike, origin):
    keyed = Keyed(own_turnpike, origin.url, 1_000).live()
    with Load(keyed, [lambda: own_turnpike.listen]) as load:
        wait_for(lambda: load.count(200), lambda count: count >= 100)
    own_turnpike.gateway.kill()
    for counts in (own_turnpike.directory / "gateway/quotas").glob("*.counts"):
        counts.unlink()
    own_turnpike.start_gateway()
    wait_for(own_turnpike.gateway.logged, lambda log: "quotas: what cores had in hand" in log)
    served = load.count(200)
    # A core has 64 at most and what it asked for meanwhile.
    wait_for(keyed.usage, lambda usage: served <= usage[0] <= served + 128 and sum(usage) == 1_000)


def test_a_gateway_and_its_successor_count_beside_each_other_and_both_can_be_killed(own_turnpike, origin):
    # Of so much that neither has to wait for what the other has.
    limit = 100_000
    keyed = Keyed(own_turnpike, origin.url, limit).live()
    first, data_dir = own_turnpike.gateway, own_turnpike.directory / "gateway"
    host = {"host": f"{keyed.api_id}.execute-api.us-east-1.localhost", KEY: keyed.value}
    kept = [http.client.HTTPConnection(own_turnpike.listen, timeout=DEADLINE_S) for _ in range(2)]

    def ask_first(connection):
        connection.request("GET", "/prod", headers=host)
        response = connection.getresponse()
        response.read()
        return response.status

    try:
        assert [ask_first(connection) for connection in kept for _ in range(20)] == [200] * 40
        # All that is left is back: whoever is asked next has to ask control.
        keyed.wait_for_usage(40, limit - 40)
        subprocess.run([BINARIES / "turnpike-gateway", "upgrade", "--data-dir", data_dir], check=True, timeout=DEADLINE_S)
        successor = int(fields(first.line("turnpike-gateway ready "))["pid"])
        assert successor != first.child.pid
        # Over its kept connection the predecessor serves on, while its successor has leases of its own.
        assert [keyed.status() for _ in range(20)] + [ask_first(kept[0])] == [200] * 21
        first.child.kill()
        first.child.wait(DEADLINE_S)
        keyed.wait_for_usage(61, limit - 61)
        assert [keyed.status() for _ in range(20)] == [200] * 20
    finally:
        os.killpg(first.child.pid, signal.SIGKILL)
        for connection in kept:
            connection.close()
    first.kill()
    own_turnpike.start_gateway()
    keyed.wait_for_usage(81, limit - 81)
    assert keyed.status() == 200
    keyed.wait_for_usage(82, limit - 82)


def test_a_gateway_that_is_stopped_leaves_its_count(own_turnpike, origin):
    keyed = Keyed(own_turnpike, origin.url, 1_000).live()
    assert [keyed.status() for _ in range(20)] == [200] * 20
    assert own_turnpike.gateway.terminate() == 0
    own_turnpike.gateway.kill()
    own_turnpike.start_gateway()
    keyed.wait_for_usage(20, 980)


@within_a_day
def test_one_period_ends_and_the_next_begins(v1, counted):
    """Midnight itself is passed in unit tests; here, days before today and after a change of the period."""
    keyed = counted(7, period="MONTH")
    assert keyed.status() == 200
    keyed.wait_for_usage(1, 6)
    start = (datetime.date.fromisoformat(today()) - datetime.timedelta(days=2)).isoformat()
    days = v1.get_usage(usagePlanId=keyed.plan_id, keyId=keyed.key_id, startDate=start, endDate=today())["items"]
    assert days[keyed.key_id] == [[0, 7], [0, 7], [1, 6]]
