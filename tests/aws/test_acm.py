"""Certificates (acm) imported with boto3 and the AWS CLI."""

import pytest
from botocore.exceptions import ClientError

from conftest import client
from pki import ec_key, issue, pem, rsa_key
from test_cli import Cli

NO_SUCH = "arn:aws:acm:us-east-1:000000000000:certificate/12345678-1234-1234-1234-123456789012"


@pytest.fixture(scope="module")
def root():
    return issue("a root of the tests", authority=True)


@pytest.fixture(scope="module")
def middle(root):
    return issue("an intermediate of the tests", authority=True, by=root)


def error_of(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400 or error["Error"]["Code"].startswith("Unsupported")
    return error["Error"]["Code"], error["Error"]["Message"]


@pytest.mark.parametrize("key, algorithm", [(ec_key, "EC_prime256v1"), (rsa_key, "RSA_2048")])
def test_a_certificate_is_imported_described_got_and_deleted(acm, middle, key, algorithm):
    made = issue("api.example.com", ["www.example.com", "api.example.com"], key=key(), by=middle)
    arn = acm.import_certificate(**made.material(), Tags=[{"Key": "team", "Value": "a"}])["CertificateArn"]
    assert arn.startswith("arn:aws:acm:us-east-1:000000000000:certificate/")
    detail = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert (detail["CertificateArn"], detail["Status"], detail["Type"]) == (arn, "ISSUED", "IMPORTED")
    assert detail["DomainName"] == "api.example.com" and detail["Subject"] == "CN=api.example.com"
    assert detail["SubjectAlternativeNames"] == ["api.example.com", "www.example.com"]
    assert int(detail["Serial"].replace(":", ""), 16) == made.serial
    assert detail["KeyAlgorithm"] == algorithm and detail["Issuer"] == "an intermediate of the tests"
    assert detail["NotBefore"] < detail["ImportedAt"] < detail["NotAfter"] and detail["InUseBy"] == []
    assert [usage["Name"] for usage in detail["ExtendedKeyUsages"]] == ["TLS_WEB_SERVER_AUTHENTICATION"]
    got = acm.get_certificate(CertificateArn=arn)
    assert got["Certificate"].encode() == made.certificate
    assert got["CertificateChain"].encode() == made.chain
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    acm.delete_certificate(CertificateArn=arn)
    assert error_of(acm.describe_certificate, CertificateArn=arn)[0] == "ResourceNotFoundException"


def test_a_certificate_is_replaced_in_its_place(acm, middle):
    first = issue("one.example.com", ["one.example.com"], by=middle)
    arn = acm.import_certificate(**first.material())["CertificateArn"]
    second = issue("one.example.com", ["one.example.com", "two.example.com"], by=middle)
    assert acm.import_certificate(CertificateArn=arn, **second.material())["CertificateArn"] == arn
    detail = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert int(detail["Serial"].replace(":", ""), 16) == second.serial
    refused = {
        "key type": dict(issue("one.example.com", key=rsa_key(), by=middle).material()),
        "domain names": dict(issue("three.example.com", by=middle).material()),
        "Tags": dict(first.material(), Tags=[{"Key": "a"}]),
    }
    for text, material in refused.items():
        code, message = error_of(acm.import_certificate, CertificateArn=arn, **material)
        assert code == "ValidationException" and text in message, message
    assert error_of(acm.import_certificate, CertificateArn=NO_SUCH, **first.material())[0] == "ResourceNotFoundException"
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"] == detail


def test_material_that_does_not_fit_is_refused(acm, root, middle):
    good = issue("api.example.com", by=middle).material()
    expired = issue("api.example.com", by=middle, days=(-2, -1))
    early = issue("api.example.com", by=middle, days=(1, 2))
    table = [
        (dict(good, PrivateKey=pem(ec_key())), "doesn't match"),
        (dict(good, PrivateKey=b"x"), "no PEM section"),
        (dict(good, Certificate=b"x"), "no PEM section"),
        (dict(good, CertificateChain=root.certificate), "chain doesn't link"),
        ({name: good[name] for name in ("Certificate", "PrivateKey")}, "isn't self-signed"),
        (dict(good, Certificate=good["Certificate"] * 2), "more than one certificate"),
        (expired.material(), "has expired"),
        (early.material(), "is not valid before"),
        (issue("x.example.com", key=rsa_key(1024)).material(), "RSA with 1024 bits"),
    ]
    for material, expected in table:
        code, message = error_of(acm.import_certificate, **material)
        assert code == "ValidationException" and expected in message, message
    acm.delete_certificate(CertificateArn=acm.import_certificate(**good)["CertificateArn"])


def test_certificates_are_listed_in_pages_and_by_filters(own_turnpike):
    acm = client("acm", own_turnpike)
    names = [f"c{n}.example.com" for n in range(5)]
    arns = {acm.import_certificate(**issue(name).material())["CertificateArn"] for name in names}
    arns.add(acm.import_certificate(**issue("rsa.example.com", key=rsa_key()).material())["CertificateArn"])

    def listed(**arguments):
        pages = acm.get_paginator("list_certificates").paginate(**arguments)
        return [item["CertificateArn"] for page in pages for item in page["CertificateSummaryList"]]

    everything = listed()
    assert len(everything) == 6 and set(everything) == arns
    assert listed(PaginationConfig={"PageSize": 2}) == everything
    ordered = {"SortBy": "CREATED_AT", "SortOrder": "DESCENDING"}
    assert listed(PaginationConfig={"PageSize": 4}, **ordered) == everything[::-1]
    [rsa] = acm.list_certificates(Includes={"keyTypes": ["RSA_2048"]})["CertificateSummaryList"]
    assert (rsa["DomainName"], rsa["InUse"], rsa["Status"]) == ("rsa.example.com", False, "ISSUED")
    assert listed(CertificateStatuses=["PENDING_VALIDATION"]) == []
    assert error_of(acm.list_certificates, NextToken="zz")[0] == "ValidationException"
    assert error_of(acm.list_certificates, SortBy="CREATED_AT")[0] == "ValidationException"


def test_tags_are_added_and_removed(acm):
    arn = acm.import_certificate(**issue("tags.example.com").material())["CertificateArn"]
    here = {"CertificateArn": arn}
    acm.add_tags_to_certificate(**here, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}, {"Key": "c"}])
    acm.remove_tags_from_certificate(**here, Tags=[{"Key": "a", "Value": "other"}, {"Key": "b", "Value": "2"}, {"Key": "c"}])
    assert acm.list_tags_for_certificate(**here)["Tags"] == [{"Key": "a", "Value": "1"}]
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    assert error_of(acm.add_tags_to_certificate, **here, Tags=many)[0] == "TooManyTagsException"


def test_unknown_certificates_and_operations_are_named(acm):
    for call in (acm.describe_certificate, acm.get_certificate, acm.delete_certificate, acm.list_tags_for_certificate):
        code, message = error_of(call, CertificateArn=NO_SUCH)
        assert code == "ResourceNotFoundException" and NO_SUCH in message
        code, _ = error_of(call, CertificateArn="arn:aws:acm:us-east-1:111111111111:certificate/x")
        assert code == "InvalidArnException"
    code, message = error_of(acm.export_certificate, CertificateArn=NO_SUCH, Passphrase=b"abcd")
    assert code == "UnsupportedOperationException" and "ExportCertificate" in message


def test_a_call_signed_for_another_service_is_refused(turnpike):
    acm = client("acm", turnpike)
    # botocore has no public way to sign for another service.
    acm._request_signer._signing_name = "apigateway"
    with pytest.raises(ClientError) as raised:
        acm.list_certificates()
    assert raised.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_private_keys_are_not_to_be_found_on_the_disk(own_turnpike):
    acm = client("acm", own_turnpike)
    made = issue("api.example.com")
    acm.import_certificate(**made.material())
    own_turnpike.gateway.kill()
    own_turnpike.control.kill()
    number = made.key.private_numbers().private_value.to_bytes(32, "big")
    files = [file for file in own_turnpike.directory.rglob("*") if file.is_file()]
    assert any(file.name == "secrets.key" and file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert not [file for file in files if number in file.read_bytes()]
    (own_turnpike.directory / "secrets.key").unlink()
    with pytest.raises(AssertionError, match="secrets.key"):
        own_turnpike.start_control()


def test_the_aws_cli_imports_from_files(turnpike, tmp_path):
    made = issue("cli.example.com")
    (tmp_path / "c.pem").write_bytes(made.certificate)
    (tmp_path / "k.pem").write_bytes(made.private_key)
    aws = Cli(turnpike.exports, tmp_path)
    files = ("--certificate", f"fileb://{tmp_path}/c.pem", "--private-key", f"fileb://{tmp_path}/k.pem")
    arn = aws("acm", "import-certificate", *files)["CertificateArn"]
    described = aws("acm", "describe-certificate", "--certificate-arn", arn)["Certificate"]
    assert described["DomainName"] == "cli.example.com"
    assert arn in [item["CertificateArn"] for item in aws("acm", "list-certificates")["CertificateSummaryList"]]
    aws("acm", "delete-certificate", "--certificate-arn", arn)
