"""Users, access keys and policies, managed with boto3's own IAM client."""

import json
import os
import re
import subprocess

import pytest
from botocore.exceptions import ClientError

from conftest import client
from test_cli import Cli
from test_requests import error_of
from turnpike import BINARIES, DEADLINE_S

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture
def iam(turnpike):
    return client("iam", turnpike)


@pytest.fixture
def user(iam, request):
    """A user named after the test, who is gone after it, with all that is theirs."""
    name = request.node.originalname
    iam.create_user(UserName=name)
    yield name
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    iam.delete_user(UserName=name)


def test_a_user_is_made_shown_listed_changed_and_deleted(iam):
    made = iam.create_user(UserName="Ann", Path="/ops/", Tags=[{"Key": "team", "Value": "red"}])["User"]
    assert made["Arn"] == "arn:aws:iam::000000000000:user/ops/Ann"
    assert re.fullmatch("AIDA[A-Z2-7]{17}", made["UserId"]) and made["CreateDate"]
    assert iam.get_user(UserName="ann")["User"] == made
    assert iam.list_user_tags(UserName="Ann")["Tags"] == [{"Key": "team", "Value": "red"}]
    iam.tag_user(UserName="Ann", Tags=[{"Key": "cost", "Value": ""}])
    iam.untag_user(UserName="Ann", TagKeys=["team"])
    assert iam.get_user(UserName="Ann")["User"]["Tags"] == [{"Key": "cost", "Value": ""}]
    iam.update_user(UserName="Ann", NewUserName="Anne", NewPath="/dev/")
    listed = iam.list_users(PathPrefix="/dev/")["Users"]
    assert [(user["UserName"], user["UserId"]) for user in listed] == [("Anne", made["UserId"])]
    assert iam.list_users(PathPrefix="/ops/")["Users"] == []
    iam.delete_user(UserName="Anne")
    assert error_of(iam.get_user, UserName="Anne")[:2] == ("NoSuchEntity", 404)


def test_errors_have_iams_names(iam, user):
    other = dict(UserName=user)
    nobody = dict(UserName="nobody")
    table = [
        (iam.create_user, other, "EntityAlreadyExists", 409, "already exists"),
        (iam.create_user, {"UserName": user.upper()}, "EntityAlreadyExists", 409, "already exists"),
        (iam.create_user, {"UserName": "a b"}, "ValidationError", 400, "+=,.@_-"),
        (iam.create_user, {"UserName": "x" * 65}, "ValidationError", 400, "64"),
        (iam.create_user, {"UserName": "x", "Path": "ops"}, "ValidationError", 400, "path"),
        (iam.create_user, {"UserName": "x", "PermissionsBoundary": "arn:aws:iam::aws:policy/x"}, "ValidationError", 400, "PermissionsBoundary"),
        (iam.get_user, nobody, "NoSuchEntity", 404, "user with name nobody cannot be found"),
        (iam.delete_user, nobody, "NoSuchEntity", 404, "nobody"),
        (iam.create_access_key, nobody, "NoSuchEntity", 404, "nobody"),
        (iam.list_access_keys, nobody, "NoSuchEntity", 404, "nobody"),
        (iam.delete_access_key, {**other, "AccessKeyId": "AKIANOSUCHKEY000"}, "NoSuchEntity", 404, "AKIANOSUCHKEY000"),
        (iam.get_user_policy, {**other, "PolicyName": "p"}, "NoSuchEntity", 404, "user policy with name p"),
        (iam.delete_user_policy, {**other, "PolicyName": "p"}, "NoSuchEntity", 404, "user policy with name p"),
    ]
    for call, arguments, code, status, text in table:
        found = error_of(call, **arguments)
        assert found[:2] == (code, status) and text in found[2], (arguments, found)


def test_actions_that_are_not_here_are_named(iam):
    for call, arguments, name in [
        (iam.create_role, {"RoleName": "x", "AssumeRolePolicyDocument": "{}"}, "CreateRole"),
        (iam.list_groups, {}, "ListGroups"),
        (iam.attach_user_policy, {"UserName": "x", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, "AttachUserPolicy"),
        (iam.create_login_profile, {"UserName": "x"}, "CreateLoginProfile"),
    ]:
        code, status, message = error_of(call, **arguments)
        assert (code, status) == ("UnsupportedOperationException", 501) and name in message


def test_access_keys(iam, user, turnpike):
    first = iam.create_access_key(UserName=user)["AccessKey"]
    assert re.fullmatch("AKIA[A-Z2-7]{16}", first["AccessKeyId"]) and len(first["SecretAccessKey"]) == 40
    assert first["Status"] == "Active"
    second = iam.create_access_key(UserName=user)["AccessKey"]
    assert error_of(iam.create_access_key, UserName=user)[:2] == ("LimitExceeded", 409)
    listed = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert {key["AccessKeyId"] for key in listed} == {first["AccessKeyId"], second["AccessKeyId"]}
    assert all("SecretAccessKey" not in key for key in listed)
    pages = iam.get_paginator("list_access_keys").paginate(UserName=user, PaginationConfig={"PageSize": 1})
    assert [len(page["AccessKeyMetadata"]) for page in pages] == [1, 1]
    iam.update_access_key(UserName=user, AccessKeyId=first["AccessKeyId"], Status="Inactive")
    states = {key["AccessKeyId"]: key["Status"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}
    assert states == {first["AccessKeyId"]: "Inactive", second["AccessKeyId"]: "Active"}
    # In the way of the user's deletion, as in AWS.
    code, status, message = error_of(iam.delete_user, UserName=user)
    assert (code, status) == ("DeleteConflict", 409) and "access keys" in message
    # Shown once: nothing on the disk has it in clear.
    for path in turnpike.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert first["SecretAccessKey"].encode() not in content, path


def test_policies_are_kept_as_they_were_given(iam, user):
    document = json.dumps(ALL, indent=2)
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=document)
    got = iam.get_user_policy(UserName=user, PolicyName="all")
    assert (got["UserName"], got["PolicyName"], got["PolicyDocument"]) == (user, "all", ALL)
    iam.put_user_policy(UserName=user, PolicyName="b+=,.@-_", PolicyDocument=document)
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["all", "b+=,.@-_"]
    code, _, message = error_of(iam.delete_user, UserName=user)
    assert code == "DeleteConflict" and "policies" in message
    iam.delete_user_policy(UserName=user, PolicyName="all")
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["b+=,.@-_"]


@pytest.mark.parametrize(
    "document,text",
    [
        ("{", "JSON"),
        ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "twice"),
        ('{"Version":"2012-10-17"}', "Statement"),
        ('{"Statement":{"Effect":"Allow","Action":"CreateUser","Resource":"*"}}', "vendor"),
        ('{"Statement":{"Effect":"Allow","Action":"iam:*","Resource":"users"}}', "ARN format"),
        ('{"Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*","Principal":"*"}}', "principal"),
        ('{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:username":"x"}}}}', "StringIs"),
        ('{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:ResourceTag/x":"x"}}}}', "aws:ResourceTag/x"),
    ],
)
def test_malformed_policies_are_refused(iam, user, document, text):
    code, status, message = error_of(iam.put_user_policy, UserName=user, PolicyName="p", PolicyDocument=document)
    assert (code, status) == ("MalformedPolicyDocument", 400) and text in message, message
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == []


def test_policies_of_a_user_have_a_size(iam, user):
    padded = {**ALL, "Statement": [{"Sid": "S" * 1_200, **ALL["Statement"][0]}]}
    iam.put_user_policy(UserName=user, PolicyName="a", PolicyDocument=json.dumps(padded))
    code, status, message = error_of(iam.put_user_policy, UserName=user, PolicyName="b", PolicyDocument=json.dumps(padded))
    assert (code, status) == ("LimitExceeded", 409) and "2048" in message
    # In place of itself it counts once.
    iam.put_user_policy(UserName=user, PolicyName="a", PolicyDocument=json.dumps(padded))


def test_users_come_in_pages(iam):
    names = [f"page-{at:02}" for at in range(5)]
    for name in names:
        iam.create_user(UserName=name, Path="/pages/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 2}))
    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    assert error_of(iam.list_users, Marker="forged")[0] == "ValidationError"
    for name in names:
        iam.delete_user(UserName=name)


def test_callers_learn_who_they_are(iam, user, turnpike):
    root = client("sts", turnpike).get_caller_identity()
    assert (root["Account"], root["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")
    assert iam.get_user()["User"]["Arn"] == root["Arn"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    # Without a single policy.
    found = client("sts", turnpike, **credentials).get_caller_identity()
    assert found["Arn"] == f"arn:aws:iam::000000000000:user/{user}"
    assert found["UserId"] == iam.get_user(UserName=user)["User"]["UserId"]


def test_users_may_manage_themselves_where_a_policy_says_so(iam, user, turnpike):
    own = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["iam:*AccessKey*", "iam:GetUser"],
            "Resource": "arn:aws:iam::*:user/${aws:username}",
        },
    }
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=json.dumps(own))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    own_iam = client("iam", turnpike, **credentials)
    assert own_iam.get_user()["User"]["UserName"] == user
    own_iam.create_access_key()
    assert len(own_iam.list_access_keys()["AccessKeyMetadata"]) == 2
    with pytest.raises(ClientError) as refused:
        own_iam.put_user_policy(UserName=user, PolicyName="more", PolicyDocument=json.dumps(ALL))
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    iam.create_user(UserName="somebody-else")
    assert error_of(own_iam.create_access_key, UserName="somebody-else")[0] == "AccessDenied"
    iam.delete_user(UserName="somebody-else")


def test_the_secrets_key_is_replaced_while_control_serves(own_turnpike):
    iam = client("iam", own_turnpike)
    iam.create_user(UserName="ann")
    iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=json.dumps(ALL))
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    file = own_turnpike.directory / "secrets.key"
    before = file.read_text()
    done = subprocess.run(
        [BINARIES / "turnpike-control", "rotate-secrets-key", "--data-dir", own_turnpike.directory],
        env={**os.environ, **own_turnpike.store},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout and file.read_text() != before
    assert file.stat().st_mode & 0o777 == 0o600
    client("apigateway", own_turnpike, **credentials).get_rest_apis()
    own_turnpike.control.kill()
    own_turnpike.start_control()
    client("apigateway", own_turnpike, **credentials).get_rest_apis()


def test_a_person_gives_a_colleague_one_api(turnpike, tmp_path):
    aws = Cli(turnpike.exports, tmp_path)
    api = aws("apigateway", "create-rest-api", "--name", "shared")["id"]
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api}"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "apigateway:*", "Resource": [arn, f"{arn}/*"]}]}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    aws("iam", "create-user", "--user-name", "colleague")
    document = f"file://{tmp_path}/policy.json"
    aws("iam", "put-user-policy", "--user-name", "colleague", "--policy-name", "shared", "--policy-document", document)
    assert aws("iam", "get-user-policy", "--user-name", "colleague", "--policy-name", "shared")["PolicyDocument"] == policy
    key = aws("iam", "create-access-key", "--user-name", "colleague")["AccessKey"]
    own = Cli({**turnpike.exports, "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}, tmp_path)
    assert own("sts", "get-caller-identity")["Arn"] == "arn:aws:iam::000000000000:user/colleague"
    assert own("apigateway", "get-rest-api", "--rest-api-id", api)["name"] == "shared"
    refused = own.run("apigateway", "get-rest-apis")
    assert refused.returncode != 0 and "(AccessDeniedException)" in refused.stderr
    assert "is not authorized to perform: apigateway:GET on resource: arn:aws:apigateway:us-east-1::/restapis " in refused.stderr
