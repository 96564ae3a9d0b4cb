"""What the tests with AWS's own clients stand on: a running Turnpike, an origin, and the clients."""

import pathlib
import sys

import boto3
import pytest
from botocore.config import Config

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shapes import check_answers  # noqa: E402
from turnpike import Origin, Turnpike  # noqa: E402


@pytest.fixture(scope="session")
def turnpike(tmp_path_factory):
    """Control and a gateway that all tests share; those that kill something start their own."""
    with Turnpike(tmp_path_factory.mktemp("turnpike")) as running:
        yield running


@pytest.fixture
def own_turnpike(tmp_path):
    with Turnpike(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def origin():
    """Answers each request with JSON that says what it saw."""
    with Origin() as running:
        yield running


def client(service, running, **credentials):
    keys = {"aws_access_key_id": running.access_key_id, "aws_secret_access_key": running.secret_access_key}
    made = boto3.client(
        service,
        endpoint_url=running.api_url,
        region_name="us-east-1",
        # An error must show itself, not be tried again until the test is out of patience.
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        **{**keys, **credentials},
    )
    # ACM and IAM speak other protocols.
    return check_answers(made) if service.startswith("apigateway") else made


@pytest.fixture
def v1(turnpike):
    return client("apigateway", turnpike)


@pytest.fixture
def v2(turnpike):
    return client("apigatewayv2", turnpike)


@pytest.fixture
def acm(turnpike):
    return client("acm", turnpike)
