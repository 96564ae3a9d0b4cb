"""Routing rules of custom domain names with boto3, and where requests then go."""

import pytest
from botocore.exceptions import ClientError

from conftest import client
from pki import issue
from shapes import strict
from turnpike import ask, wait_for

NAME = "rules.example.com"


@pytest.fixture
def v2(turnpike):
    return strict(client("apigatewayv2", turnpike))


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value)


def api(v2, origin, base):
    return v2.create_api(Name=base, ProtocolType="HTTP", Target=f"{origin.url}/{base}")["ApiId"]


def action(api_id, strip=False):
    return [{"InvokeApi": {"ApiId": api_id, "Stage": "$default", "StripBasePath": strip}}]


def test_requests_go_where_the_rules_say(turnpike, v2, acm, origin):
    arn = acm.import_certificate(**issue(NAME, [NAME]).material())["CertificateArn"]
    here = {"DomainName": NAME}
    v2.create_domain_name(**here, DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL"}])
    old, beta, users = (api(v2, origin, base) for base in ("old", "beta", "users"))
    v2.create_api_mapping(**here, ApiId=old, Stage="$default")

    def goes_to(path, target, headers=None):
        wait_for(
            lambda: ask(turnpike.listen, NAME, path, headers=headers),
            lambda reply: reply.status == 200 and reply.json["target"] == target,
        )

    goes_to("/x", "/old/x")
    version = [{"MatchHeaders": {"AnyOf": [{"Header": "X-Version", "ValueGlob": "beta*"}]}}]
    first = v2.create_routing_rule(**here, Priority=10, Conditions=version, Actions=action(beta))
    assert first["Conditions"] == version and first["Actions"] == action(beta)
    path = [{"MatchBasePaths": {"AnyOf": ["users"]}}]
    v2.create_routing_rule(**here, Priority=20, Conditions=path, Actions=action(users, strip=True))
    goes_to("/x", "/old/x", {"x-version": "beta1"})  # The mode is still that of mappings.
    v2.update_domain_name(**here, RoutingMode="ROUTING_RULE_THEN_API_MAPPING")
    goes_to("/x", "/beta/x", {"x-version": "beta1"})
    goes_to("/users/7", "/users/7")
    goes_to("/x", "/old/x", {"x-version": "1"})

    rule = {**here, "RoutingRuleId": first["RoutingRuleId"]}
    v2.put_routing_rule(**rule, Priority=30, Conditions=version, Actions=action(beta))
    goes_to("/users/7", "/users/7", {"x-version": "beta1"})
    assert [rule["Priority"] for rule in v2.list_routing_rules(**here)["RoutingRules"]] == [20, 30]
    paged = v2.get_paginator("list_routing_rules").paginate(**here, PaginationConfig={"PageSize": 1})
    assert [rule["Priority"] for page in paged for rule in page["RoutingRules"]] == [20, 30]
    assert v2.get_routing_rule(**rule)["Priority"] == 30
    assert "ConflictException" in refused(v2.put_routing_rule, **rule, Priority=20, Conditions=[], Actions=action(beta))

    v2.update_domain_name(**here, RoutingMode="ROUTING_RULE_ONLY")
    wait_for(lambda: ask(turnpike.listen, NAME, "/x"), lambda reply: reply.status in (403, 404))
    assert NAME in refused(v2.delete_api, ApiId=beta)
    v2.delete_routing_rule(**rule)
    assert "NotFoundException" in refused(v2.get_routing_rule, **rule)
    v2.delete_api(ApiId=beta)
    v2.delete_domain_name(**here)
    v2.delete_api(ApiId=users)
