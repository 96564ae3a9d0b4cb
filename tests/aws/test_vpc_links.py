"""VPC links made with boto3 and the AWS CLI, and their targets put with turnpike-control."""

import json
import os
import subprocess

import pytest
from botocore.exceptions import ClientError

from test_cli import Cli
from turnpike import BINARIES, DEADLINE_S

NLB = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/pool/0123456789abcdef"


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


class Targets:
    """`turnpike-control targets`, in an environment of its own."""

    def __init__(self, turnpike):
        self.environment = {"PATH": os.environ["PATH"], **turnpike.exports}

    def run(self, *arguments, document=None):
        return subprocess.run(
            [BINARIES / "turnpike-control", "targets", *arguments],
            env=self.environment,
            input=document if document is not None else "",
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def __call__(self, *arguments, document=None):
        done = self.run(*arguments, document=document)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def put(self, *owner, document):
        return self("put", *owner, "-", document=json.dumps(document))

    def refused(self, *arguments, document=None):
        done = self.run(*arguments, document=document)
        assert done.returncode != 0 and not done.stdout, done
        return done.stderr


@pytest.fixture
def targets(turnpike):
    return Targets(turnpike)


@pytest.fixture
def aws(turnpike, tmp_path):
    return Cli(turnpike.exports, tmp_path)


def test_an_http_link_is_created_read_listed_updated_and_deleted(v2):
    made = v2.create_vpc_link(Name="pool", SubnetIds=["subnet-1"], SecurityGroupIds=["sg-1"], Tags={"team": "a"})
    key = {"VpcLinkId": made["VpcLinkId"]}
    assert (made["VpcLinkStatus"], made["VpcLinkVersion"]) == ("AVAILABLE", "V2")
    read = v2.get_vpc_link(**key)
    for name in ("Name", "SubnetIds", "SecurityGroupIds", "Tags", "CreatedDate", "VpcLinkStatus"):
        assert read[name] == made[name], name
    assert made["VpcLinkId"] in [link["VpcLinkId"] for link in v2.get_vpc_links()["Items"]]
    assert v2.update_vpc_link(**key, Name="lake")["Name"] == "lake"
    v2.delete_vpc_link(**key)
    for call in (v2.get_vpc_link, v2.update_vpc_link, v2.delete_vpc_link):
        assert error_of(call, **key) == ("NotFoundException", 404)


def test_a_rest_link_is_created_read_listed_updated_and_deleted(v1):
    made = v1.create_vpc_link(name="pool", description="one", targetArns=[NLB], tags={"team": "a"})
    key = {"vpcLinkId": made["id"]}
    assert (made["status"], made["targetArns"]) == ("AVAILABLE", [NLB])
    read = v1.get_vpc_link(**key)
    for name in ("name", "description", "targetArns", "tags", "status"):
        assert read[name] == made[name], name
    listed = [link["id"] for page in v1.get_paginator("get_vpc_links").paginate() for link in page["items"]]
    assert made["id"] in listed
    patch = [{"op": "replace", "path": "/name", "value": "lake"}, {"op": "replace", "path": "/description", "value": "two"}]
    updated = v1.update_vpc_link(**key, patchOperations=patch)
    assert (updated["name"], updated["description"]) == ("lake", "two")
    patch = [{"op": "replace", "path": "/targetArns", "value": NLB}]
    assert error_of(v1.update_vpc_link, **key, patchOperations=patch) == ("BadRequestException", 400)
    v1.delete_vpc_link(**key)
    for call in (v1.get_vpc_link, v1.update_vpc_link, v1.delete_vpc_link):
        assert error_of(call, **key) == ("NotFoundException", 404)
    for arns in ([], [NLB, NLB], ["pool"]):
        assert error_of(v1.create_vpc_link, name="x", targetArns=arns) == ("BadRequestException", 400)


def test_a_link_in_use_is_not_deleted(v1, v2):
    link = v2.create_vpc_link(Name="used", SubnetIds=["subnet-1"])["VpcLinkId"]
    api = v2.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    through = {"ConnectionType": "VPC_LINK", "ConnectionId": link}
    made = v2.create_integration(
        ApiId=api,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri="http://pets.internal",
        PayloadFormatVersion="1.0",
        **through,
    )
    assert (made["ConnectionType"], made["ConnectionId"]) == ("VPC_LINK", link)
    assert error_of(v2.delete_vpc_link, VpcLinkId=link) == ("ConflictException", 409)
    v2.update_integration(ApiId=api, IntegrationId=made["IntegrationId"], ConnectionType="INTERNET")
    v2.delete_vpc_link(VpcLinkId=link)

    link = v1.create_vpc_link(name="used", targetArns=[NLB])["id"]
    made = v1.create_rest_api(name="a")
    key = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")
    integration = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://pets.internal"}
    through = {"connectionType": "VPC_LINK", "connectionId": link}
    assert v1.put_integration(**key, **integration, **through)["connectionId"] == link
    assert error_of(v1.delete_vpc_link, vpcLinkId=link) == ("BadRequestException", 400)
    v1.delete_integration(**key)
    v1.delete_vpc_link(vpcLinkId=link)
    assert error_of(v1.put_integration, **key, **integration, **through) == ("BadRequestException", 400)


def test_the_aws_cli_makes_links(aws):
    made = aws("apigatewayv2", "create-vpc-link", "--name", "pool", "--subnet-ids", "subnet-1", "subnet-2")
    assert made["SubnetIds"] == ["subnet-1", "subnet-2"]
    assert aws("apigatewayv2", "get-vpc-link", "--vpc-link-id", made["VpcLinkId"])["Name"] == "pool"
    links = aws("apigatewayv2", "get-vpc-links")["Items"]
    assert made["VpcLinkId"] in [link["VpcLinkId"] for link in links]
    aws("apigatewayv2", "update-vpc-link", "--vpc-link-id", made["VpcLinkId"], "--name", "lake")
    aws("apigatewayv2", "delete-vpc-link", "--vpc-link-id", made["VpcLinkId"])

    made = aws("apigateway", "create-vpc-link", "--name", "pool", "--target-arns", NLB)
    patch = "op=replace,path=/name,value=lake"
    updated = aws("apigateway", "update-vpc-link", "--vpc-link-id", made["id"], "--patch-operations", patch)
    assert updated["name"] == "lake"
    assert made["id"] in [link["id"] for link in aws("apigateway", "get-vpc-links")["items"]]
    assert aws("apigateway", "get-vpc-link", "--vpc-link-id", made["id"])["status"] == "AVAILABLE"
    aws("apigateway", "delete-vpc-link", "--vpc-link-id", made["id"])
    refused = aws.run("apigateway", "get-vpc-link", "--vpc-link-id", made["id"])
    assert refused.returncode != 0 and "NotFoundException" in refused.stderr


def test_targets_of_a_link_are_put_read_and_deleted(turnpike, v2, targets, tmp_path):
    link = v2.create_vpc_link(Name="pool", SubnetIds=["subnet-1"])["VpcLinkId"]
    of = ("--vpc-link", link)
    assert "has no targets" in targets.refused("get", *of)
    put = targets.put(*of, document={"targets": [{"host": "127.0.0.1", "port": 3000}]})
    assert put["targets"] == [{"host": "127.0.0.1", "port": 3000, "weight": 1}]
    assert (put["balancing"], put["protocolVersion"]) == ({"algorithm": "round_robin"}, "HTTP1")
    assert targets("get", *of) == put
    # What is printed can be put as it is.
    file = tmp_path / "targets.json"
    file.write_text(json.dumps({**put, "slowStartMs": 5000, "outlierEjection": None}))
    again = targets("put", *of, str(file))
    assert (again["slowStartMs"], again["outlierEjection"]) == (5000, None)
    shown = turnpike.status_lines()
    assert f"VPC link {link} (pool): 1 target, no stage leads to it" in shown
    assert targets("delete", *of) is None
    assert "has no targets" in targets.refused("delete", *of)
    assert "404" in targets.refused("get", "--vpc-link", "nosuch")


def test_targets_of_integrations_are_put_read_and_deleted(v1, v2, targets):
    api = v2.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    arguments = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "PayloadFormatVersion": "1.0"}
    integration = v2.create_integration(ApiId=api, IntegrationUri="http://pets.internal", **arguments)
    rest = v1.create_rest_api(name="a")
    key = {"restApiId": rest["id"], "resourceId": rest["rootResourceId"], "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")
    v1.put_integration(**key, type="HTTP_PROXY", integrationHttpMethod="GET", uri="http://pets.internal")
    for of in (
        ("--api", api, "--integration", integration["IntegrationId"]),
        ("--rest-api", rest["id"], "--resource", rest["rootResourceId"], "--method", "GET"),
    ):
        assert "has no targets" in targets.refused("get", *of)
        put = targets.put(*of, document={"targets": [{"unix": "/run/pets.sock"}], "protocolVersion": "GRPC"})
        assert targets("get", *of) == put and put["protocolVersion"] == "GRPC"
        targets("delete", *of)
        assert "has no targets" in targets.refused("get", *of)


def test_the_command_line_says_what_to_do(v2, targets, tmp_path):
    link = v2.create_vpc_link(Name="pool", SubnetIds=["subnet-1"])["VpcLinkId"]
    of = ("--vpc-link", link)
    for document, expected in [
        ('{"targets":[{"host":"h","port":0}]}', "targets[0].port has to be an integer from 1 to 65535"),
        ('{"targets":[],"helthCheck":{}}', "'helthCheck'"),
        ('{"targets":[', "isn't JSON"),
        ("", "standard input is empty"),
    ]:
        assert expected in targets.refused("put", *of, "-", document=document), document
    assert "nosuch.json" in targets.refused("put", *of, str(tmp_path / "nosuch.json"))
    assert "--vpc-link" in targets.refused("get")
    assert "--endpoint-url" in targets.refused("get", *of, "--endpoint-url", "http://127.0.0.1:1")
    assert "http://" in targets.refused("get", *of, "--endpoint-url", "https://127.0.0.1:1")
    targets.environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    assert "AWS_SECRET_ACCESS_KEY" in targets.refused("get", *of)
    del targets.environment["AWS_SECRET_ACCESS_KEY"]
    assert "export" in targets.refused("get", *of)
