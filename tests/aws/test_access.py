"""Signatures that are wrong in every way, and what policies allow: each refusal in the words of the service."""

import datetime
import hashlib
import hmac
import http.client
import itertools
import json
from xml.etree import ElementTree

import pytest

from conftest import client
from test_requests import error_of
from turnpike import DEADLINE_S

NAMES = (f"access-{at}" for at in itertools.count())
HOST = "management.test"


def signed_headers(key, secret, service="apigateway", region="us-east-1", method="GET", path="/restapis", body=b"", at=None, extra=None):
    """SigV4 by hand, so that each part can be made wrong."""
    at = at or datetime.datetime.now(datetime.timezone.utc)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    headers = {"host": HOST, "x-amz-date": stamp, **(extra or {})}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, path, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, hashlib.sha256(body).hexdigest()]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"}


def send(turnpike, method, path, headers, body=b""):
    """Status, error, message: of JSON by the header, of XML by the body."""
    connection = http.client.HTTPConnection(turnpike.api, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.headers["content-type"] == "text/xml":
        error = {element.tag.rsplit("}", 1)[-1]: element.text for element in ElementTree.fromstring(text).iter()}
        return response.status, error.get("Code"), error.get("Message")
    answer = json.loads(text) if text else {}
    kind = answer.get("__type", response.headers.get("x-amzn-errortype"))
    return response.status, kind, answer.get("message")


@pytest.fixture
def root(turnpike):
    return turnpike.access_key_id, turnpike.secret_access_key


def now(minutes=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)


def test_a_signature_that_is_right_is_taken(turnpike, root):
    headers = signed_headers(*root)
    assert send(turnpike, "GET", "/restapis", headers)[0] == 200
    # As in AWS, the same signature holds until it expires.
    assert send(turnpike, "GET", "/restapis", headers)[0] == 200


@pytest.mark.parametrize(
    "arguments,status,code,text",
    [
        (dict(at=now(-16)), 403, "InvalidSignatureException", "Signature expired: "),
        (dict(at=now(16)), 403, "InvalidSignatureException", "Signature not yet current: "),
        (dict(at=now(-60 * 24 * 30)), 403, "InvalidSignatureException", " - 15 min.)"),
        (dict(region="eu-west-1"), 403, "InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-1'"),
        (dict(service="execute-api"), 403, "InvalidSignatureException", "Credential should be scoped to correct service: 'apigateway'"),
        (dict(service="iam"), 403, "InvalidSignatureException", "'apigateway'"),
        (dict(path="/restapis/x"), 403, "InvalidSignatureException", "we calculated does not match the signature you provided"),
        (dict(method="DELETE"), 403, "InvalidSignatureException", "does not match"),
        (dict(body=b"x"), 403, "InvalidSignatureException", "does not match"),
        (dict(extra={"x-amz-security-token": "t"}), 403, "UnrecognizedClientException", "security token included in the request is invalid"),
    ],
)
def test_what_was_signed_wrongly_is_named(turnpike, root, arguments, status, code, text):
    found = send(turnpike, "GET", "/restapis", signed_headers(*root, **arguments))
    assert found[:2] == (status, code) and text in found[2], found


def test_expired_signatures_have_awss_words(turnpike, root):
    at = now(-20)
    _, _, message = send(turnpike, "GET", "/restapis", signed_headers(*root, at=at))
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    head, current = message.split(" is now earlier than ")
    earliest, rest = current.split(" (", 1)
    server, allowed = rest.split(" - ")
    assert (head, allowed) == (f"Signature expired: {stamp}", "15 min.)")
    read = [datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ") for text in (earliest, server)]
    assert read[1] - read[0] == datetime.timedelta(minutes=15)


def test_headers_that_are_no_signature_are_named(turnpike, root):
    good = signed_headers(*root)
    incomplete = "IncompleteSignatureException"
    table = [
        ({**good, "authorization": None}, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ({**good, "authorization": "AWS4-HMAC-SHA256 x"}, incomplete, "requires 'Credential' parameter"),
        ({**good, "authorization": good["authorization"].replace("Signature=", "Sig=")}, incomplete, "requires 'Signature' parameter"),
        ({**good, "authorization": good["authorization"].replace("/apigateway", "")}, incomplete, "5 slash-delimited"),
        ({**good, "authorization": good["authorization"].replace("aws4_request", "aws3")}, "InvalidSignatureException", "terminator"),
        ({**good, "x-amz-date": None}, incomplete, "X-Amz-Date"),
        ({**good, "x-amz-date": "yesterday"}, "InvalidSignatureException", "Date in Credential scope"),
        ({**good, "host": "elsewhere.test"}, "InvalidSignatureException", "does not match"),
    ]
    for headers, code, text in table:
        headers = {name: value for name, value in headers.items() if value is not None}
        found = send(turnpike, "GET", "/restapis", headers)
        assert found[:2] == (403, code) and text in found[2], (headers, found)


def test_a_tampered_body_is_refused(turnpike, root):
    headers = signed_headers(*root, method="POST", path="/v2/apis", body=b'{"name":"a","protocolType":"HTTP"}')
    found = send(turnpike, "POST", "/v2/apis", headers, b'{"name":"b","protocolType":"HTTP"}')
    assert found[:2] == (403, "InvalidSignatureException")


def test_certificates_answer_in_their_own_protocol(turnpike, root):
    target = {"x-amz-target": "CertificateManager.ListCertificates", "content-type": "application/x-amz-json-1.1"}
    arguments = dict(service="acm", method="POST", path="/", body=b"{}", extra=target)

    def ask(key=root, **changed):
        return send(turnpike, "POST", "/", signed_headers(*key, **{**arguments, **changed}), b"{}")

    assert ask()[0] == 200
    assert ask(at=now(-16))[:2] == (400, "InvalidSignatureException")
    assert ask(service="apigateway")[:2] == (400, "InvalidSignatureException")
    assert ask(key=("AKIANOBODY", "x"))[:2] == (400, "UnrecognizedClientException")
    assert send(turnpike, "POST", "/", {"host": HOST, **target}, b"{}")[:2] == (400, "MissingAuthenticationTokenException")


def test_iam_answers_in_its_own_protocol(turnpike, root):
    form = b"Action=ListUsers&Version=2010-05-08"
    kind = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    arguments = dict(service="iam", method="POST", path="/", body=form, extra=kind)

    def ask(key=root, sent=form, **changed):
        return send(turnpike, "POST", "/", signed_headers(*key, **{**arguments, **changed}), sent)

    assert ask()[0] == 200
    expired = ask(at=now(-16))
    assert expired[:2] == (403, "SignatureDoesNotMatch") and expired[2].startswith("Signature expired: ")
    assert ask(sent=form + b"&MaxItems=1")[:2] == (403, "SignatureDoesNotMatch")
    assert ask(service="apigateway")[:2] == (403, "SignatureDoesNotMatch")
    assert ask(region="eu-west-1")[:2] == (403, "SignatureDoesNotMatch")
    assert ask(key=("AKIANOBODY", "x"))[:2] == (403, "InvalidClientTokenId")
    assert send(turnpike, "POST", "/", {"host": HOST, **kind}, form)[:2] == (403, "MissingAuthenticationToken")
    wrong = ask(sent=b"Action=ListUsers&Version=2009-01-01", body=b"Action=ListUsers&Version=2009-01-01")
    assert wrong[:2] == (400, "InvalidAction")


class User:
    """A user with one policy, and clients that sign as that user."""

    def __init__(self, turnpike, statements):
        self.turnpike, self.iam, self.name = turnpike, client("iam", turnpike), next(NAMES)
        self.iam.create_user(UserName=self.name)
        key = self.iam.create_access_key(UserName=self.name)["AccessKey"]
        self.credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        self.may(statements)

    def may(self, statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=document)

    def client(self, service):
        return client(service, self.turnpike, **self.credentials)


def allow(action, resource="*", **condition):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


def deny(action, resource="*", **condition):
    return {**allow(action, resource, **condition), "Effect": "Deny"}


def denied(call, **arguments):
    code, status, message = error_of(call, **arguments)
    assert code in ("AccessDeniedException", "AccessDenied"), (code, message)
    return message


def test_nothing_is_allowed_that_no_policy_allows(turnpike):
    user = User(turnpike, [])
    arn = f"User: arn:aws:iam::000000000000:user/{user.name} is not authorized to perform: "
    assert denied(user.client("apigateway").get_rest_apis) == (
        f"{arn}apigateway:GET on resource: arn:aws:apigateway:us-east-1::/restapis "
        "because no identity-based policy allows the apigateway:GET action"
    )
    assert "apigateway:POST on resource: arn:aws:apigateway:us-east-1::/apis " in denied(
        user.client("apigatewayv2").create_api, Name="x", ProtocolType="HTTP"
    )
    assert "acm:ListCertificates on resource: * " in denied(user.client("acm").list_certificates)
    assert "iam:ListUsers on resource: arn:aws:iam::000000000000:user/ " in denied(user.client("iam").list_users)


def test_reading_may_be_all_that_is_allowed(turnpike, v1):
    user = User(turnpike, [allow("apigateway:GET")])
    api = v1.create_rest_api(name="read")["id"]
    own = user.client("apigateway")
    assert own.get_rest_api(restApiId=api)["name"] == "read"
    denied(own.delete_rest_api, restApiId=api)
    assert v1.get_rest_api(restApiId=api)["name"] == "read"


def test_a_user_may_have_one_api(turnpike, v1):
    mine, other = (v1.create_rest_api(name=name)["id"] for name in ("mine", "other"))
    user = User(turnpike, [allow("apigateway:*", [f"arn:aws:apigateway:*::/restapis/{mine}", f"arn:aws:apigateway:*::/restapis/{mine}/*"])])
    own = user.client("apigateway")
    root = own.get_resources(restApiId=mine)["items"][0]["id"]
    own.create_resource(restApiId=mine, parentId=root, pathPart="pets")
    denied(own.get_resources, restApiId=other)
    denied(own.create_resource, restApiId=other, parentId=root, pathPart="pets")
    denied(own.get_rest_apis)
    assert v1.get_resources(restApiId=other)["items"] != []


def test_a_denial_wins_over_what_is_allowed(turnpike, v2):
    user = User(turnpike, [allow("*"), deny("apigateway:DELETE", "arn:aws:apigateway:*::/apis/*")])
    own = user.client("apigatewayv2")
    api = own.create_api(Name="kept", ProtocolType="HTTP")["ApiId"]
    assert denied(own.delete_api, ApiId=api).endswith("with an explicit deny in an identity-based policy")
    user.may([allow("*")])
    own.delete_api(ApiId=api)


def test_conditions_decide(turnpike):
    user = User(turnpike, [allow("apigateway:*", IpAddress={"aws:SourceIp": "127.0.0.1/32"})])
    own = user.client("apigatewayv2")
    own.get_apis()
    year_ago, in_a_year = (now(60 * 24 * days).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (-365, 365))
    for condition, allowed in [
        (dict(NotIpAddress={"aws:SourceIp": "127.0.0.0/8"}), False),
        (dict(DateGreaterThan={"aws:CurrentTime": year_ago}, DateLessThan={"aws:CurrentTime": in_a_year}), True),
        (dict(DateGreaterThan={"aws:CurrentTime": in_a_year}), False),
        (dict(StringEquals={"aws:username": user.name}), True),
        (dict(ArnLike={"aws:PrincipalArn": "arn:aws:iam::*:user/access-*"}), True),
        (dict(ArnNotLike={"aws:PrincipalArn": "arn:aws:iam::*:user/access-*"}), False),
        (dict(Bool={"aws:SecureTransport": "true"}), False),
        (dict(StringLike={"aws:UserAgent": "*Boto3/*"}), True),
        (dict(BoolIfExists={"aws:MultiFactorAuthPresent": "true"}), True),
        (dict(Bool={"aws:MultiFactorAuthPresent": "true"}), False),
    ]:
        user.may([allow("apigateway:*", **condition)])
        if allowed:
            own.get_apis()
        else:
            denied(own.get_apis)


def test_tags_of_requests_are_asked_for(turnpike, v2):
    tagged = {"aws:RequestTag/team": "red"}
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
    user = User(turnpike, [allow("apigateway:POST", StringEquals=tagged, **only)])
    own = user.client("apigatewayv2")
    create = dict(Name="tagged", ProtocolType="HTTP")
    denied(own.create_api, **create)
    denied(own.create_api, **create, Tags={"team": "blue"})
    denied(own.create_api, **create, Tags={"team": "red", "cost": "1"})
    own.create_api(**create, Tags={"team": "red"})
    # AWS asks for the tags of what is made by themselves.
    user.may([allow("apigateway:POST", "arn:aws:apigateway:*::/apis")])
    own.create_api(**create)
    message = denied(own.create_api, **create, Tags={"team": "red"})
    assert "apigateway:POST on resource: arn:aws:apigateway:us-east-1::/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fv2%2Fapis%2F* " in message


def test_policies_of_apis_need_a_permission_of_their_own(turnpike, v1):
    user = User(turnpike, [allow(["apigateway:GET", "apigateway:PATCH", "apigateway:PUT", "apigateway:POST"])])
    own = user.client("apigateway")
    api = own.create_rest_api(name="open")["id"]
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}}
    patch = [{"op": "replace", "path": "/policy", "value": json.dumps(policy)}]
    assert "apigateway:UpdateRestApiPolicy on resource: " in denied(own.update_rest_api, restApiId=api, patchOperations=patch)
    assert "apigateway:UpdateRestApiPolicy" in denied(own.create_rest_api, name="x", policy=json.dumps(policy))
    document = {"swagger": "2.0", "info": {"title": "x", "version": "1"}, "paths": {}, "x-amazon-apigateway-policy": policy}
    assert "apigateway:UpdateRestApiPolicy" in denied(own.put_rest_api, restApiId=api, body=json.dumps(document))
    own.update_rest_api(restApiId=api, patchOperations=[{"op": "replace", "path": "/name", "value": "renamed"}])
    assert "policy" not in v1.get_rest_api(restApiId=api)
    user.may([allow(["apigateway:PATCH", "apigateway:UpdateRestApiPolicy"])])
    own.update_rest_api(restApiId=api, patchOperations=patch)


def test_certificates_have_arns(turnpike):
    user = User(turnpike, [allow("acm:DescribeCertificate", "arn:aws:acm:us-east-1:000000000000:certificate/abc")])
    acm = user.client("acm")
    arn = "arn:aws:acm:us-east-1:000000000000:certificate/"
    assert error_of(acm.describe_certificate, CertificateArn=f"{arn}abc")[0] == "ResourceNotFoundException"
    assert f"acm:DescribeCertificate on resource: {arn}abd " in denied(acm.describe_certificate, CertificateArn=f"{arn}abd")
    assert f"acm:ImportCertificate on resource: {arn}* " in denied(acm.import_certificate, Certificate=b"x", PrivateKey=b"x")


def test_a_key_is_good_until_it_is_deactivated(turnpike):
    user = User(turnpike, [allow("*")])
    own, key = user.client("apigatewayv2"), user.credentials["aws_access_key_id"]
    own.get_apis()
    user.iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Inactive")
    assert error_of(own.get_apis)[:2] == ("UnrecognizedClientException", 403)
    user.iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Active")
    own.get_apis()
    user.iam.delete_access_key(UserName=user.name, AccessKeyId=key)
    assert error_of(own.get_apis)[:2] == ("UnrecognizedClientException", 403)


def test_users_and_policies_survive_control(own_turnpike):
    user = User(own_turnpike, [allow("apigateway:GET")])
    own_turnpike.control.kill()
    own_turnpike.start_control()
    own = user.client("apigatewayv2")
    own.get_apis()
    denied(own.create_api, Name="x", ProtocolType="HTTP")


def test_what_a_document_takes_away_or_gives_is_asked_for(turnpike, v1):
    """An import that overwrites a resource policy, or that gives tags, does what other calls may not do either."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    api = v1.create_rest_api(name="guarded", policy=policy)["id"]
    user = User(turnpike, [allow(["apigateway:PUT", "apigateway:PATCH", "apigateway:POST"], "arn:aws:apigateway:*::/restapis/*"), allow("apigateway:PUT", "arn:aws:apigateway:*::/apis")])
    own = user.client("apigateway")
    document = json.dumps({"swagger": "2.0", "info": {"title": "guarded", "version": "1"}, "paths": {}}).encode()
    assert "apigateway:UpdateRestApiPolicy" in denied(own.put_rest_api, restApiId=api, mode="overwrite", body=document)
    own.put_rest_api(restApiId=api, mode="merge", body=document)
    assert v1.get_rest_api(restApiId=api)["policy"]
    tag = {"name": "owner", "x-amazon-apigateway-tag-value": "me"}
    tagging = {"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {}, "tags": [tag]}
    v2 = user.client("apigatewayv2")
    assert "::/tags/" in denied(v2.import_api, Body=json.dumps(tagging))
    untagged = v2.import_api(Body=json.dumps({**tagging, "tags": []}))["ApiId"]
    client("apigatewayv2", turnpike).delete_api(ApiId=untagged)
    user.may([allow("apigateway:*"), deny("apigateway:*", **{"ForAnyValue:StringEquals": {"aws:TagKeys": "owner"}})])
    denied(v2.import_api, Body=json.dumps(tagging))
    v1.delete_rest_api(restApiId=api)


def test_a_domain_name_is_the_same_in_any_case(turnpike):
    name = "arn:aws:apigateway:us-east-1::/domainnames/shut.example.com"
    user = User(turnpike, [allow("apigateway:*"), deny("apigateway:*", [name, f"{name}/*"])])
    v1, v2 = user.client("apigateway"), user.client("apigatewayv2")
    for spelt in ("shut.example.com", "SHUT.Example.com"):
        denied(v1.get_domain_name, domainName=spelt)
        denied(v1.get_base_path_mappings, domainName=spelt)
        denied(v2.get_api_mappings, DomainName=spelt)
