"""Routing rules of a custom domain with boto3, and what the gateway makes of them."""

import contextlib

import pytest
from botocore.exceptions import ClientError

from pki import issue
from test_rest_api import proxy, rest_api
from turnpike import ask, wait_for


def rest_stage(v1, origin, name):
    api_id, root = rest_api(v1, name)
    greedy = v1.create_resource(restApiId=api_id, parentId=root, pathPart="{proxy+}")["id"]
    for resource in (root, greedy):
        proxy(v1, api_id, resource, f"{origin.url}/{name}", "ANY")
    v1.create_deployment(restApiId=api_id, stageName="prod")
    return api_id


@contextlib.contextmanager
def domain(v2, acm, name, **settings):
    arn = acm.import_certificate(**issue(name, [name]).material())["CertificateArn"]
    v2.create_domain_name(DomainName=name, DomainNameConfigurations=[{"CertificateArn": arn}], **settings)
    try:
        yield name
    finally:
        v2.delete_domain_name(DomainName=name)
        acm.delete_certificate(CertificateArn=arn)


def rule(api_id, priority, headers=(), base_path=None, strip=False):
    conditions = [{"MatchHeaders": {"AnyOf": [{"Header": name, "ValueGlob": glob}]}} for name, glob in headers]
    if base_path:
        conditions.append({"MatchBasePaths": {"AnyOf": [base_path]}})
    action = {"InvokeApi": {"ApiId": api_id, "Stage": "prod", "StripBasePath": strip}}
    return {"Priority": priority, "Conditions": conditions, "Actions": [action]}


def test_rules_lead_before_mappings(turnpike, v1, v2, acm, origin):
    old, new, beta = (rest_stage(v1, origin, name) for name in ("old", "new", "beta"))
    name = "rules.example.com"

    def answers(path, **headers):
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        reply = ask(turnpike.listen, name, path, headers=headers)
        return reply.json["target"] if reply.status == 200 else reply.status

    with domain(v2, acm, name, RoutingMode="ROUTING_RULE_THEN_API_MAPPING"):
        v2.create_api_mapping(DomainName=name, ApiId=old, Stage="prod", ApiMappingKey="")
        wait_for(lambda: answers("/pets"), lambda found: found == "/old")
        last = v2.create_routing_rule(DomainName=name, **rule(new, 100, base_path="pets", strip=True))
        wait_for(lambda: answers("/pets/7"), lambda found: found == "/new")
        first = v2.create_routing_rule(DomainName=name, **rule(beta, 50, [("x-version", "beta*"), ("x-tenant", "blue")]))
        wait_for(lambda: answers("/pets/7", x_version="beta-2", x_tenant="blue"), lambda found: found == "/beta")
        assert answers("/pets/7", x_version="beta-2") == "/new"
        assert answers("/pets/7", X_Version="Beta", x_tenant="blue") == "/new"
        assert answers("/petsy") == "/old"

        # What has a rule can't go.
        with pytest.raises(ClientError) as raised:
            v1.delete_stage(restApiId=new, stageName="prod")
        assert raised.value.response["Error"]["Code"] == "BadRequestException"

        v2.put_routing_rule(DomainName=name, RoutingRuleId=first["RoutingRuleId"], **rule(beta, 150))
        wait_for(lambda: answers("/other"), lambda found: found == "/beta")
        assert answers("/pets/7") == "/new"
        v2.update_domain_name(DomainName=name, RoutingMode="API_MAPPING_ONLY")
        wait_for(lambda: answers("/pets/7"), lambda found: found == "/old")
        v2.update_domain_name(DomainName=name, RoutingMode="ROUTING_RULE_ONLY")
        wait_for(lambda: answers("/pets/7"), lambda found: found == "/new")
        v2.delete_routing_rule(DomainName=name, RoutingRuleId=first["RoutingRuleId"])
        wait_for(lambda: answers("/other"), lambda found: found == 403)
        assert answers("/pets/7") == "/new"
        v2.delete_routing_rule(DomainName=name, RoutingRuleId=last["RoutingRuleId"])
        wait_for(lambda: answers("/pets/7"), lambda found: found == 403)
    for api_id in (old, new, beta):
        v1.delete_rest_api(restApiId=api_id)


def test_rules_are_read_listed_and_refused(v1, v2, acm, origin):
    api_id = rest_stage(v1, origin, "listed")
    with domain(v2, acm, "listed.example.com") as name:
        first = v2.create_routing_rule(DomainName=name, **rule(api_id, 30, [("x-a", "*b*")], "x"))
        assert first["Conditions"] == rule(api_id, 30, [("x-a", "*b*")], "x")["Conditions"]
        assert first["RoutingRuleArn"].endswith(f"/domainnames/{name}/routingrules/{first['RoutingRuleId']}")
        v2.create_routing_rule(DomainName=name, **rule(api_id, 20))
        assert [rule["Priority"] for rule in v2.list_routing_rules(DomainName=name)["RoutingRules"]] == [20, 30]
        pages = v2.get_paginator("list_routing_rules").paginate(DomainName=name, PaginationConfig={"PageSize": 1})
        assert [rule["Priority"] for page in pages for rule in page["RoutingRules"]] == [20, 30]
        here = {"DomainName": name, "RoutingRuleId": first["RoutingRuleId"]}
        assert v2.get_routing_rule(**here)["Priority"] == 30
        for call, arguments, expected in [
            (v2.put_routing_rule, {**here, **rule(api_id, 20)}, "ConflictException"),
            (v2.create_routing_rule, {"DomainName": name, **rule(api_id, 1_000_000, [("a", "x*y")])}, "BadRequestException"),
            (v2.create_routing_rule, {"DomainName": name, **rule("none", 5)}, "BadRequestException"),
            (v2.get_routing_rule, {"DomainName": name, "RoutingRuleId": "none"}, "NotFoundException"),
        ]:
            with pytest.raises(ClientError) as raised:
                call(**arguments)
            assert raised.value.response["Error"]["Code"] == expected
    v1.delete_rest_api(restApiId=api_id)
