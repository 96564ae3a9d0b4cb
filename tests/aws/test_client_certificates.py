"""Client certificates and tlsConfig, made with boto3 and the AWS CLI."""

import datetime

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from test_cli import Cli


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"]


def replace(path, value):
    return [{"op": "replace", "path": path, "value": value}]


@pytest.fixture
def certificate(v1):
    return v1.generate_client_certificate(description="of the tests")["clientCertificateId"]


@pytest.fixture
def method(v1):
    """The key of a REST API's `GET /` without an integration."""
    made = v1.create_rest_api(name="a")
    key = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
    v1.put_method(**key, authorizationType="NONE")
    return key


def test_a_certificate_is_generated_read_listed_updated_and_deleted(v1):
    made = v1.generate_client_certificate(description="one", tags={"team": "a"})
    key = {"clientCertificateId": made["clientCertificateId"]}
    parsed = x509.load_pem_x509_certificate(made["pemEncodedCertificate"].encode())
    parsed.verify_directly_issued_by(parsed)
    assert isinstance(parsed.public_key(), ec.EllipticCurvePublicKey)
    assert made["expirationDate"] - made["createdDate"] == datetime.timedelta(days=365)
    assert parsed.not_valid_after_utc == made["expirationDate"].astimezone(datetime.timezone.utc)
    read = v1.get_client_certificate(**key)
    for name in ("pemEncodedCertificate", "description", "tags", "createdDate", "expirationDate"):
        assert read[name] == made[name], name
    pages = v1.get_paginator("get_client_certificates").paginate()
    assert key["clientCertificateId"] in [item["clientCertificateId"] for page in pages for item in page["items"]]
    updated = v1.update_client_certificate(**key, patchOperations=replace("/description", "two"))
    assert updated["description"] == "two"
    code, status, message = error_of(v1.update_client_certificate, **key, patchOperations=replace("/pem", "x"))
    assert (code, status) == ("BadRequestException", 400) and "/description" in message
    v1.delete_client_certificate(**key)
    for call in (v1.get_client_certificate, v1.update_client_certificate, v1.delete_client_certificate):
        assert error_of(call, **key)[:2] == ("NotFoundException", 404)


def test_a_stage_is_given_a_certificate(v1, method, origin, certificate):
    v1.put_integration(**method, type="HTTP_PROXY", integrationHttpMethod="GET", uri=origin.url)
    api_id = method["restApiId"]
    v1.create_deployment(restApiId=api_id, stageName="prod")
    key = {"restApiId": api_id, "stageName": "prod"}
    updated = v1.update_stage(**key, patchOperations=replace("/clientCertificateId", certificate))
    assert updated["clientCertificateId"] == v1.get_stage(**key)["clientCertificateId"] == certificate
    code, status, message = error_of(v1.delete_client_certificate, clientCertificateId=certificate)
    assert (code, status) == ("BadRequestException", 400) and "stage prod" in message
    none = replace("/clientCertificateId", "nosuch")
    assert error_of(v1.update_stage, **key, patchOperations=none)[:2] == ("NotFoundException", 404)
    v1.create_deployment(restApiId=api_id, stageName="prod")
    assert v1.get_stage(**key)["clientCertificateId"] == certificate, "a deployment leaves it"
    remove = [{"op": "remove", "path": "/clientCertificateId"}]
    assert "clientCertificateId" not in v1.update_stage(**key, patchOperations=remove)
    v1.delete_client_certificate(clientCertificateId=certificate)


def test_a_stage_is_moved_to_another_deployment_by_a_patch(turnpike, v1, method, origin):
    api_id = method["restApiId"]
    for path in ("one", "two"):
        v1.put_integration(**method, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"{origin.url}/{path}")
        deployment = v1.create_deployment(restApiId=api_id)["id"]
        if path == "one":
            v1.create_stage(restApiId=api_id, stageName="s", deploymentId=deployment)
    turnpike.wait_for(api_id, "/s", lambda reply: reply.status == 200 and reply.json["target"] == "/one")
    v1.update_stage(restApiId=api_id, stageName="s", patchOperations=replace("/deploymentId", deployment))
    turnpike.wait_for(api_id, "/s", lambda reply: reply.json["target"] == "/two")
    patch = [*replace("/description", "d"), *replace("/variables/v", "1")]
    stage = v1.update_stage(restApiId=api_id, stageName="s", patchOperations=patch)
    assert (stage["description"], stage["variables"]) == ("d", {"v": "1"})


def test_tls_config(v1, v2, method):
    api_id = v2.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    arguments = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "PayloadFormatVersion": "1.0"}
    config = {"ServerNameToVerify": "cats.internal"}
    made = v2.create_integration(ApiId=api_id, IntegrationUri="https://pets.internal", TlsConfig=config, **arguments)
    assert made["TlsConfig"] == config
    key = {"ApiId": api_id, "IntegrationId": made["IntegrationId"]}
    changed = v2.update_integration(**key, TlsConfig={"ServerNameToVerify": "dogs.internal"})
    assert changed["TlsConfig"] == {"ServerNameToVerify": "dogs.internal"}
    assert "TlsConfig" not in v2.update_integration(**key, TlsConfig={"ServerNameToVerify": ""})
    plain = {"ApiId": api_id, "IntegrationUri": "http://pets.internal", "TlsConfig": config}
    code, status, message = error_of(v2.create_integration, **plain, **arguments)
    assert (code, status) == ("BadRequestException", 400) and "https://" in message

    arguments = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "tlsConfig": {"insecureSkipVerification": True}}
    made = v1.put_integration(**method, **arguments, uri="https://pets.internal")
    assert made["tlsConfig"] == v1.get_integration(**method)["tlsConfig"] == {"insecureSkipVerification": True}
    code, status, message = error_of(v1.put_integration, **method, **arguments, uri="http://pets.internal")
    assert (code, status) == ("BadRequestException", 400) and "https://" in message


def test_the_aws_cli_makes_certificates(turnpike, tmp_path):
    aws = Cli(turnpike.exports, tmp_path)
    made = aws("apigateway", "generate-client-certificate", "--description", "of the tests")
    of = ("--client-certificate-id", made["clientCertificateId"])
    assert aws("apigateway", "get-client-certificate", *of)["description"] == "of the tests"
    patch = "op=replace,path=/description,value=other"
    updated = aws("apigateway", "update-client-certificate", *of, "--patch-operations", patch)
    assert updated["description"] == "other"
    listed = aws("apigateway", "get-client-certificates")["items"]
    assert made["clientCertificateId"] in [item["clientCertificateId"] for item in listed]
    aws("apigateway", "delete-client-certificate", *of)
    refused = aws.run("apigateway", "get-client-certificate", *of)
    assert refused.returncode != 0 and "NotFoundException" in refused.stderr
