"""Certificates requested with boto3, issued by Pebble over HTTP-01 through the gateway, and renewed."""

import re
import signal

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from conftest import client
from pebble import free_port, with_authority
from pki import issue
from test_audit import records
from turnpike import ask, wait_for


@pytest.fixture
def served(tmp_path):
    with with_authority(tmp_path) as (running, authority):
        yield running, client("acm", running), authority


def request(acm, name, *others, **arguments):
    alternatives = {"SubjectAlternativeNames": list(others)} if others else {}
    made = acm.request_certificate(DomainName=name, ValidationMethod="HTTP", **alternatives, **arguments)
    return made["CertificateArn"]


def described(acm, arn):
    return acm.describe_certificate(CertificateArn=arn)["Certificate"]


def wait_for_status(acm, arn, status):
    return wait_for(lambda: described(acm, arn), lambda detail: detail["Status"] == status)


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Message"]


def test_a_certificate_is_issued_for_all_its_names(served):
    running, acm, _ = served
    arn = request(acm, "API.example.com", "www.example.com", Tags=[{"Key": "a", "Value": "b"}])
    detail = wait_for_status(acm, arn, "ISSUED")
    assert (detail["Type"], detail["DomainName"]) == ("AMAZON_ISSUED", "api.example.com")
    assert set(detail["SubjectAlternativeNames"]) == {"api.example.com", "www.example.com"}
    assert detail["IssuedAt"] and detail["KeyAlgorithm"] == "EC_prime256v1" and "Pebble" in detail["Issuer"]
    assert [one["ValidationStatus"] for one in detail["DomainValidationOptions"]] == ["SUCCESS"] * 2
    got = acm.get_certificate(CertificateArn=arn)
    leaf = x509.load_pem_x509_certificate(got["Certificate"].encode())
    names = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"api.example.com", "www.example.com"}
    issuer = x509.load_pem_x509_certificate(got["CertificateChain"].encode())
    leaf.verify_directly_issued_by(issuer)
    wait_for(running.control.logged, lambda log: log.count("was issued") == 1)
    other = request(acm, "p384.example.com", KeyAlgorithm="EC_secp384r1")
    assert wait_for_status(acm, other, "ISSUED")["KeyAlgorithm"] == "EC_secp384r1"
    assert running.control.logged().count("registered the account") == 1
    # It is noted as Turnpike's own doing.
    [record] = records(running, resource=arn, user="turnpike")
    [certificate] = [document["after"] for document in record["documents"] if document["kind"] == "certificate"]
    assert (record["operation"], certificate["issued"]["private_key"]) == ("IssueCertificate", "(secret)")
    # A domain name takes it, and no other can be imported to it.
    v2 = client("apigatewayv2", running)
    v2.create_domain_name(DomainName="api.example.com", DomainNameConfigurations=[{"CertificateArn": arn}])
    assert len(described(acm, arn)["InUseBy"]) == 1
    assert "was requested" in refused(acm.import_certificate, CertificateArn=arn, **issue("api.example.com").material())


def test_requests_that_cannot_be_met_are_refused(served, turnpike):
    _, acm, _ = served
    table = [
        ({"ValidationMethod": "DNS"}, "ValidationMethod 'DNS' is not supported"),
        ({"ValidationMethod": "EMAIL"}, "ValidationMethod 'EMAIL' is not supported"),
        ({}, "ValidationMethod 'EMAIL'"),
        ({"ValidationMethod": "HTTP", "DomainName": "*.example.com"}, "wildcard"),
        ({"ValidationMethod": "HTTP", "SubjectAlternativeNames": ["*.example.com"]}, "wildcard"),
        ({"ValidationMethod": "HTTP", "DomainName": "x_y"}, "two labels"),
        ({"ValidationMethod": "HTTP", "KeyAlgorithm": "RSA_2048"}, "KeyAlgorithm 'RSA_2048' is not supported"),
        ({"ValidationMethod": "HTTP", "Options": {"Export": "ENABLED"}}, "Export 'ENABLED' is not supported"),
    ]
    for arguments, expected in table:
        message = refused(acm.request_certificate, **{"DomainName": "a.example.com", **arguments})
        assert expected in message, message
    assert acm.list_certificates()["CertificateSummaryList"] == []
    without = client("acm", turnpike)
    assert "acme_directory_url" in refused(without.request_certificate, DomainName="a.example.com", ValidationMethod="HTTP")


def test_a_repeated_request_is_the_same(served):
    _, acm, _ = served
    once = request(acm, "api.example.com", IdempotencyToken="once")
    assert request(acm, "api.example.com", IdempotencyToken="once") == once
    assert request(acm, "api.example.com", IdempotencyToken="twice") != once
    assert request(acm, "other.example.com", IdempotencyToken="once") != once


def test_what_the_authority_will_not_do_has_failed_for_good(served):
    running, acm, _ = served
    arn = request(acm, "blocked.example.com")
    detail = wait_for_status(acm, arn, "FAILED")
    assert detail["FailureReason"] == "DOMAIN_NOT_ALLOWED"
    assert [one["ValidationStatus"] for one in detail["DomainValidationOptions"]] == ["FAILED"]
    expected = "blocked.example.com has failed: the certificate authority says"
    wait_for(running.control.logged, lambda log: expected in log)
    assert "has failed" in refused(acm.get_certificate, CertificateArn=arn)
    acm.delete_certificate(CertificateArn=arn)


def test_a_gateway_that_is_away_is_waited_for(served):
    running, acm, _ = served
    running.gateway.kill()
    arn = request(acm, "late.example.com")
    detail = wait_for(lambda: described(acm, arn), lambda detail: "FailureReason" in detail)
    assert (detail["Status"], detail["FailureReason"]) == ("PENDING_VALIDATION", "OTHER")
    wait_for(running.control.logged, lambda log: "no gateway is connected" in log)
    assert "has not been issued yet" in refused(acm.get_certificate, CertificateArn=arn)
    running.start_gateway()
    assert "FailureReason" not in wait_for_status(acm, arn, "ISSUED")


def test_tries_are_used_up(tmp_path):
    tries = {"TURNPIKE_CONTROL_ACME_TRIES_MAX": "2"}
    with with_authority(tmp_path, **tries) as (running, _):
        acm = client("acm", running)
        running.gateway.kill()
        arn = request(acm, "api.example.com")
        assert wait_for_status(acm, arn, "FAILED")["FailureReason"] == "OTHER"
        wait_for(running.control.logged, lambda log: log.count("no gateway is connected") == 2)


def test_a_killed_control_goes_on_with_its_order(served):
    running, acm, authority = served
    # Stopped, the gateway holds its connection and acknowledges nothing: the try stands in its middle.
    running.gateway.child.send_signal(signal.SIGSTOP)
    before, _ = running.status()
    arn = request(acm, "api.example.com")
    wait_for(lambda: running.status()[0], lambda version: version > before)
    running.control.kill()
    running.gateway.child.send_signal(signal.SIGCONT)
    running.start_control()
    assert "FailureReason" not in wait_for_status(acm, arn, "ISSUED")
    assert "registered the account" not in running.control.logged()
    assert authority.logged().count("Added order ") == 1


def test_certificates_are_renewed_ahead_of_their_expiry(tmp_path):
    with with_authority(tmp_path, validity_s=6) as (running, _):
        acm, v2 = client("acm", running), client("apigatewayv2", running)
        arn = request(acm, "short.example.com")
        first = wait_for_status(acm, arn, "ISSUED")
        renewed = wait_for(lambda: described(acm, arn), lambda detail: detail["Serial"] != first["Serial"])
        assert renewed["Status"] == "ISSUED" and renewed["NotAfter"] > first["NotAfter"]
        # While nothing answers the authority, the renewal is tried again and the certificate stays what it is.
        running.gateway.kill()
        troubled = wait_for(lambda: described(acm, arn), lambda detail: "RenewalSummary" in detail)
        assert troubled["RenewalSummary"]["RenewalStatus"] == "PENDING_AUTO_RENEWAL"
        assert troubled["RenewalSummary"]["RenewalStatusReason"] == "OTHER" and troubled["Status"] in ("ISSUED", "EXPIRED")
        assert v2.get_apis()["Items"] == []


def test_nothing_is_left_of_a_challenge(served):
    running, acm, authority = served
    arn = request(acm, "api.example.com")
    wait_for_status(acm, arn, "ISSUED")
    running.wait_until_acknowledged()
    [path] = set(re.findall(r"/\.well-known/acme-challenge/[\w-]+", authority.logged()))
    reply = ask(running.listen, "api.example.com", path)
    assert (reply.status, reply.json) == (403, {"message": "Forbidden"})


def test_what_the_authority_does_not_find_is_told(tmp_path):
    with with_authority(tmp_path, http_port=free_port()) as (running, _):
        acm = client("acm", running)
        arn = request(acm, "api.example.com")
        detail = wait_for(lambda: described(acm, arn), lambda detail: "FailureReason" in detail)
        assert (detail["Status"], detail["FailureReason"]) == ("PENDING_VALIDATION", "DOMAIN_VALIDATION_DENIED")
        wait_for(running.control.logged, lambda log: "hasn't validated api.example.com: " in log)


def test_an_authority_that_cannot_be_verified_is_named(served):
    running, _, _ = served
    running.control.kill()
    running.environment["TURNPIKE_CONTROL_ACME_CA_FILE"] = "/nonexistent.pem"
    with pytest.raises(AssertionError, match="acme_ca_file: can't read /nonexistent.pem"):
        running.start_control()
