"""Tags by ARN, of both services, with boto3."""

import pytest

from test_client_certificates import error_of

PREFIX = "arn:aws:apigateway:us-east-1::"


def stage_of(client, api_id, name="prod"):
    client.create_stage(ApiId=api_id, StageName=name)
    return f"{PREFIX}/apis/{api_id}/stages/{name}"


def test_tags_of_version_1_come_back_in_the_resources_own_answer(v1):
    api_id = v1.create_rest_api(name="a", tags={"team": "a"})["id"]
    certificate = v1.generate_client_certificate()["clientCertificateId"]
    link = v1.create_vpc_link(name="l", targetArns=["arn:aws:elasticloadbalancing:us-east-1:0:loadbalancer/net/x/1"])["id"]
    plan = v1.create_usage_plan(name="p")["id"]
    key = v1.create_api_key(name="k")["id"]
    for arn, read in [
        (f"{PREFIX}/restapis/{api_id}", lambda: v1.get_rest_api(restApiId=api_id)),
        (f"{PREFIX}/usageplans/{plan}", lambda: v1.get_usage_plan(usagePlanId=plan)),
        (f"{PREFIX}/apikeys/{key}", lambda: v1.get_api_key(apiKey=key)),
        (
            f"{PREFIX}/clientcertificates/{certificate}",
            lambda: v1.get_client_certificate(clientCertificateId=certificate),
        ),
        (f"{PREFIX}/vpclinks/{link}", lambda: v1.get_vpc_link(vpcLinkId=link)),
    ]:
        before = v1.get_tags(resourceArn=arn)["tags"]
        done = v1.tag_resource(resourceArn=arn, tags={"stage": "x", "a b": "c/d"})
        assert done["ResponseMetadata"]["HTTPStatusCode"] == 204
        after = {**before, "stage": "x", "a b": "c/d"}
        assert v1.get_tags(resourceArn=arn)["tags"] == after == read()["tags"], arn
        v1.untag_resource(resourceArn=arn, tagKeys=["stage", "a b", "none"])
        assert v1.get_tags(resourceArn=arn)["tags"] == before


def test_tags_of_version_2(v2):
    api_id = v2.create_api(Name="a", ProtocolType="HTTP", Tags={"team": "a"})["ApiId"]
    stage = stage_of(v2, api_id)
    for arn, read in [
        (f"{PREFIX}/apis/{api_id}", lambda: v2.get_api(ApiId=api_id)),
        (stage, lambda: v2.get_stage(ApiId=api_id, StageName="prod")),
    ]:
        done = v2.tag_resource(ResourceArn=arn, Tags={"stage": "x"})
        assert done["ResponseMetadata"]["HTTPStatusCode"] == 201
        assert v2.get_tags(ResourceArn=arn)["Tags"]["stage"] == "x" == read()["Tags"]["stage"]
        v2.untag_resource(ResourceArn=arn, TagKeys=["stage", "team"])
        assert v2.get_tags(ResourceArn=arn)["Tags"] == {}


@pytest.mark.parametrize(
    "arn",
    [
        "x",
        "arn:aws:s3:::x",
        "arn:aws:apigateway:eu-west-1::/restapis/x",
        f"{PREFIX}/restapis/x/resources/y",
        f"{PREFIX}restapis/x",
    ],
)
def test_other_arns_are_refused(v1, arn):
    assert error_of(v1.get_tags, resourceArn=arn)[:2] == ("BadRequestException", 400)


@pytest.mark.parametrize("form", ["arn:aws-cn:apigateway:us-east-1::", "arn:x:apigateway:us-east-1::", "arn:aws:apigateway:us-east-1:000000000000:"])
def test_a_resource_has_one_arn(v1, form):
    """Policies name it by that: another way to write it would be out of their sight."""
    api_id = v1.create_rest_api(name="one-arn")["id"]
    assert error_of(v1.get_tags, resourceArn=f"{form}/restapis/{api_id}")[:2] == ("BadRequestException", 400)
    assert v1.get_tags(resourceArn=f"{PREFIX}/restapis/{api_id}")["tags"] == {}
    v1.delete_rest_api(restApiId=api_id)


def test_tags_have_limits(v1):
    api_id = v1.create_rest_api(name="a")["id"]
    arn = f"{PREFIX}/restapis/{api_id}"
    v1.tag_resource(resourceArn=arn, tags={f"k{n}": "v" for n in range(50)})
    for tags in ({"more": "v"}, {"aws:x": "v"}, {"k0": "v" * 257}, {"k" * 129: "v"}, {"k0": "{}"}):
        assert error_of(v1.tag_resource, resourceArn=arn, tags=tags)[:2] == ("BadRequestException", 400), tags
    assert v1.get_tags(resourceArn=arn)["tags"] == {f"k{n}": "v" for n in range(50)}
    for kind in ("restapis", "apis", "domainnames", "vpclinks", "clientcertificates", "usageplans", "apikeys"):
        missing = f"{PREFIX}/{kind}/none"
        assert error_of(v1.get_tags, resourceArn=missing)[:2] == ("NotFoundException", 404)
