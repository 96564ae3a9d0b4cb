"""Custom domain names (apigatewayv2 and apigateway) made with boto3: the same ones, seen from both."""

import hashlib

import pytest
from botocore.exceptions import ClientError

from conftest import client
from pki import issue
from turnpike import Turnpike

NO_SUCH = "arn:aws:acm:us-east-1:000000000000:certificate/12345678-1234-1234-1234-123456789012"


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """Control alone: what a gateway makes of domains is tested where a gateway is."""
    directory = tmp_path_factory.mktemp("domains")
    running = Turnpike(directory)
    running.environment = {"TURNPIKE_CONTROL_TRUSTSTORE_DIR": str(directory)}
    try:
        running.start_control()
        yield running
    finally:
        running.__exit__()


@pytest.fixture
def v1(control):
    return client("apigateway", control)


@pytest.fixture
def v2(control):
    return client("apigatewayv2", control)


@pytest.fixture
def acm(control):
    return client("acm", control)


@pytest.fixture(scope="module")
def wildcard(control):
    """The ARN of a certificate for every name below example.com."""
    made = issue("*.example.com", ["*.example.com", "example.com"])
    return client("acm", control).import_certificate(**made.material())["CertificateArn"]


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response
    code = error["Error"]["Code"]
    status = {"NotFoundException": 404, "ConflictException": 409, "LimitExceededException": 429}.get(code, 400)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    return f"{code}: {error['Error']['Message']}"


def http_api(v2):
    return v2.create_api(Name="api", ProtocolType="HTTP", Target="http://127.0.0.1:1")["ApiId"]


def rest_api(v1):
    api_id = v1.create_rest_api(name="api")["id"]
    root = v1.get_resources(restApiId=api_id)["items"][0]["id"]
    method = {"restApiId": api_id, "resourceId": root, "httpMethod": "GET"}
    v1.put_method(**method, authorizationType="NONE")
    v1.put_integration(**method, type="HTTP_PROXY", integrationHttpMethod="GET", uri="http://127.0.0.1:1/")
    v1.create_deployment(restApiId=api_id, stageName="prod")
    return api_id


def domain(v2, arn, name, **configuration):
    return v2.create_domain_name(
        DomainName=name, DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL", **configuration}]
    )


def test_a_domain_of_version_2_is_made_changed_listed_and_deleted(v2, acm, wildcard):
    made = domain(v2, wildcard, "Life.example.com", SecurityPolicy="TLS_1_2", CertificateName="mine")
    assert made["DomainName"] == "life.example.com" and made["RoutingMode"] == "API_MAPPING_ONLY"
    assert made["DomainNameArn"] == "arn:aws:apigateway:us-east-1::/domainnames/life.example.com"
    [configuration] = made["DomainNameConfigurations"]
    assert configuration["CertificateArn"] == wildcard and configuration["DomainNameStatus"] == "AVAILABLE"
    assert configuration["ApiGatewayDomainName"].endswith(".execute-api.us-east-1.localhost")
    read = v2.get_domain_name(DomainName="life.example.com")
    assert {**read, "ResponseMetadata": None} == {**made, "ResponseMetadata": None}
    assert acm.describe_certificate(CertificateArn=wildcard)["Certificate"]["InUseBy"].count(made["DomainNameArn"]) == 1
    assert "ResourceInUseException" in refused(acm.delete_certificate, CertificateArn=wildcard)

    own = acm.import_certificate(**issue("life.example.com").material())["CertificateArn"]
    change = {"CertificateArn": own, "SecurityPolicy": "SecurityPolicy_TLS13_1_3_2025_09"}
    changed = v2.update_domain_name(DomainName="life.example.com", DomainNameConfigurations=[change])
    [configuration] = changed["DomainNameConfigurations"]
    assert (configuration["CertificateArn"], configuration["SecurityPolicy"], configuration["CertificateName"]) == (
        own, "SecurityPolicy_TLS13_1_3_2025_09", "mine")
    # A client may send back what it was told.
    v2.update_domain_name(DomainName="life.example.com", DomainNameConfigurations=changed["DomainNameConfigurations"])

    for n in range(3):
        domain(v2, wildcard, f"n{n}.example.com")
    pages = v2.get_paginator("get_domain_names").paginate(PaginationConfig={"PageSize": 2})
    names = [item["DomainName"] for page in pages for item in page["Items"]]
    assert names == sorted(names) and {"life.example.com", "n0.example.com", "n2.example.com"} <= set(names)
    v2.delete_domain_name(DomainName="life.example.com")
    assert refused(v2.get_domain_name, DomainName="life.example.com").startswith("NotFoundException")
    assert acm.describe_certificate(CertificateArn=own)["Certificate"]["InUseBy"] == []
    acm.delete_certificate(CertificateArn=own)


def test_domains_that_cannot_be_are_refused(v2, acm, wildcard):
    domain(v2, wildcard, "taken.example.com")
    table = [
        ("taken.example.com", {}, "ConflictException"),
        ("no_name", {}, "two labels"),
        ("a.b.example.com", {}, "isn't valid for a.b.example.com"),
        ("x.example.com", {"CertificateArn": NO_SUCH}, "There is no certificate"),
        ("x.example.com", {"CertificateArn": "x"}, "There is no certificate"),
        ("x.example.com", {"CertificateArn": ""}, "certificate is required"),
        ("x.example.com", {"SecurityPolicy": "TLS_1_0"}, "TLS_1_0' is not supported"),
        ("x.example.com", {"SecurityPolicy": "SecurityPolicy_TLS13_1_2_PQ_2025_09"}, "post-quantum"),
        ("x.example.com", {"SecurityPolicy": "TLS_9"}, "doesn't exist"),
        ("x.example.com", {"EndpointType": "PRIVATE"}, "one of REGIONAL, EDGE"),
        ("x.example.com", {"OwnershipVerificationCertificateArn": "x"}, "has to be the ARN"),
        ("x.execute-api.us-east-1.localhost", {}, "addresses of APIs"),
    ]
    for name, configuration, expected in table:
        message = refused(domain, v2=v2, arn=configuration.pop("CertificateArn", wildcard), name=name, **configuration)
        assert expected in message, message


def test_api_mappings_are_made_changed_listed_and_deleted(v1, v2, wildcard):
    domain(v2, wildcard, "maps.example.com")
    api_id, rest_id = http_api(v2), rest_api(v1)
    here = {"DomainName": "maps.example.com"}
    made = v2.create_api_mapping(**here, ApiId=api_id, Stage="$default", ApiMappingKey="v1/pets")
    assert (made["ApiId"], made["Stage"], made["ApiMappingKey"]) == (api_id, "$default", "v1/pets")
    mapping = {**here, "ApiMappingId": made["ApiMappingId"]}
    assert v2.get_api_mapping(**mapping)["ApiMappingKey"] == "v1/pets"
    changed = v2.update_api_mapping(**mapping, ApiId=rest_id, Stage="prod", ApiMappingKey="v2")
    assert (changed["ApiId"], changed["Stage"], changed["ApiMappingKey"]) == (rest_id, "prod", "v2")
    root = v2.create_api_mapping(**here, ApiId=api_id, Stage="$default")
    assert root["ApiMappingKey"] == ""
    keys = sorted(item["ApiMappingKey"] for item in v2.get_api_mappings(**here)["Items"])
    assert keys == ["", "v2"]
    table = [
        (dict(ApiId=api_id, Stage="$default", ApiMappingKey="v2"), "ConflictException"),
        (dict(ApiId=api_id, Stage="$default", ApiMappingKey="/v3"), "no '/' at either end"),
        (dict(ApiId=api_id, Stage="none", ApiMappingKey="v3"), "Invalid stage identifier"),
        (dict(ApiId="none", Stage="prod", ApiMappingKey="v3"), "Invalid API identifier"),
    ]
    for arguments, expected in table:
        assert expected in refused(v2.create_api_mapping, **here, **arguments)
    assert "ConflictException" in refused(v2.update_api_mapping, **mapping, ApiId=rest_id, ApiMappingKey="")
    assert "NotFoundException" in refused(v2.create_api_mapping, DomainName="none.example.com", ApiId=api_id, Stage="x")

    for deleting in (
        lambda: v2.delete_api(ApiId=api_id),
        lambda: v1.delete_rest_api(restApiId=rest_id),
        lambda: v1.delete_stage(restApiId=rest_id, stageName="prod"),
    ):
        assert "maps.example.com" in refused(deleting)
    v2.delete_api_mapping(**mapping)
    assert "NotFoundException" in refused(v2.get_api_mapping, **mapping)
    v1.delete_rest_api(restApiId=rest_id)
    v2.delete_domain_name(**here)
    v2.delete_api(ApiId=api_id)


def test_a_domain_of_version_1_is_the_same_in_version_2(v1, v2, wildcard):
    made = v1.create_domain_name(domainName="one.example.com", certificateArn=wildcard, certificateName="mine", tags={"a": "b"})
    assert made["endpointConfiguration"]["types"] == ["EDGE"] and made["securityPolicy"] == "TLS_1_2"
    assert made["certificateArn"] == wildcard and made["certificateUploadDate"] and made["distributionDomainName"]
    [configuration] = v2.get_domain_name(DomainName="one.example.com")["DomainNameConfigurations"]
    assert (configuration["EndpointType"], configuration["CertificateName"]) == ("EDGE", "mine")
    assert "one.example.com" in [item["domainName"] for item in v1.get_domain_names(limit=500)["items"]]

    def patched(*operations):
        return v1.update_domain_name(domainName="one.example.com", patchOperations=[
            dict(zip(("op", "path", "value"), operation)) for operation in operations])

    changed = patched(
        ("replace", "/endpointConfiguration/types/EDGE", "REGIONAL"),
        ("replace", "/regionalCertificateArn", wildcard),
        ("replace", "/regionalCertificateName", "other"),
        ("replace", "/securityPolicy", "SecurityPolicy_TLS12_PFS_2025_EDGE"),
    )
    assert changed["endpointConfiguration"]["types"] == ["REGIONAL"] and changed["regionalCertificateArn"] == wildcard
    assert changed["regionalCertificateName"] == "other" and changed["regionalDomainName"]
    assert changed["securityPolicy"] == "SecurityPolicy_TLS12_PFS_2025_EDGE"
    for operation, expected in [
        (("replace", "/domainName", "x"), "Invalid patch path  '/domainName'"),
        (("replace", "/endpointConfiguration/types/EDGE", "REGIONAL"), "has no"),
        (("replace", "/securityPolicy", "TLS_1_0"), "not supported"),
        (("replace", "/routingMode", "API_MAPPING_ONLY"), "routingMode has to be one of"),
        (("replace", "/endpointConfiguration/ipAddressType", "ipv6"), "ipAddressType has to be one of"),
        (("remove", "/regionalCertificateArn"), "only endpoint type"),
        (("remove", "/endpointConfiguration/types", "REGIONAL"), "only endpoint type"),
    ]:
        assert expected in refused(lambda operation=operation: patched(operation))
    # What belongs to the type that it no longer has, AWS's clients remove apart.
    patched(("remove", "/endpointConfiguration/types", "EDGE"), ("remove", "/certificateArn"))
    back = patched(("add", "/endpointConfiguration/types", "EDGE"), ("add", "/certificateArn", wildcard),
                   ("replace", "/ownershipVerificationCertificateArn", wildcard))
    assert back["endpointConfiguration"]["types"] == ["EDGE"] and back["certificateArn"] == wildcard
    assert back["ownershipVerificationCertificateArn"] == wildcard
    assert "ownershipVerificationCertificateArn" not in patched(("remove", "/ownershipVerificationCertificateArn"))
    assert "not certificateArn" in refused(
        v1.create_domain_name, domainName="two.example.com", certificateArn=wildcard,
        endpointConfiguration={"types": ["REGIONAL"]})
    assert "certificateBody" in refused(v1.create_domain_name, domainName="two.example.com", certificateBody="x")
    v1.delete_domain_name(domainName="one.example.com")
    assert "NotFoundException" in refused(v1.get_domain_name, domainName="one.example.com")


def test_base_path_mappings_are_made_changed_listed_and_deleted(v1, v2, wildcard):
    v1.create_domain_name(domainName="base.example.com", certificateArn=wildcard)
    here, rest_id = {"domainName": "base.example.com"}, rest_api(v1)
    made = v1.create_base_path_mapping(**here, restApiId=rest_id, basePath="pets", stage="prod")
    assert (made["basePath"], made["restApiId"], made["stage"]) == ("pets", rest_id, "prod")
    root = v1.create_base_path_mapping(**here, restApiId=rest_id)
    assert (root["basePath"], root["stage"]) == ("(none)", "(none)")
    assert v1.get_base_path_mapping(**here, basePath="(none)")["restApiId"] == rest_id
    assert {item["basePath"] for item in v1.get_base_path_mappings(**here)["items"]} == {"pets", "(none)"}
    assert {item["ApiMappingKey"] for item in v2.get_api_mappings(DomainName="base.example.com")["Items"]} == {"pets", ""}

    def patched(base_path, *operations):
        return v1.update_base_path_mapping(**here, basePath=base_path, patchOperations=[
            dict(zip(("op", "path", "value"), operation)) for operation in operations])

    changed = patched("pets", ("replace", "/basePath", "animals"), ("replace", "/stage", ""))
    assert (changed["basePath"], changed["stage"]) == ("animals", "(none)")
    patched("animals", ("replace", "/stage", "prod"), ("replace", "/restapiId", rest_id))
    for call, expected in [
        (lambda: patched("animals", ("replace", "/basePath", "(none)")), "ConflictException"),
        (lambda: patched("animals", ("replace", "/restapiId", "none")), "Invalid REST API identifier"),
        (lambda: patched("animals", ("replace", "/x", "y")), "Invalid patch path"),
        (lambda: patched("pets", ("replace", "/stage", "x")), "NotFoundException"),
        (lambda: v1.create_base_path_mapping(**here, restApiId=rest_id, basePath="a/b"), "one segment"),
        (lambda: v1.create_base_path_mapping(**here, restApiId=rest_id, basePath="animals"), "ConflictException"),
        (lambda: v1.create_base_path_mapping(**here, restApiId=rest_id, basePath="x", stage="none"), "Invalid stage"),
        (lambda: v1.create_base_path_mapping(**here, restApiId=http_api(v2), basePath="x"), "Invalid REST API"),
    ]:
        assert expected in refused(call)
    v1.delete_base_path_mapping(**here, basePath="animals")
    assert "NotFoundException" in refused(v1.get_base_path_mapping, **here, basePath="animals")
    v1.delete_domain_name(**here)
    v1.delete_rest_api(restApiId=rest_id)


def test_trust_stores_are_files(control, v1, v2, wildcard):
    root = issue("clients", authority=True)
    file = control.directory / "clients.pem"
    file.write_bytes(root.certificate + issue("old clients", authority=True, days=(-2, -1)).certificate)
    uri, version = f"file://{file}", hashlib.sha256(file.read_bytes()).hexdigest()
    made = v2.create_domain_name(
        DomainName="mtls.example.com",
        DomainNameConfigurations=[{"CertificateArn": wildcard}],
        MutualTlsAuthentication={"TruststoreUri": uri, "TruststoreVersion": version},
    )["MutualTlsAuthentication"]
    assert (made["TruststoreUri"], made["TruststoreVersion"]) == (uri, version)
    assert len(made["TruststoreWarnings"]) == 1 and "expired" in made["TruststoreWarnings"][0]
    for settings, expected in [
        ({"TruststoreUri": "s3://bucket/key"}, "s3://"),
        ({"TruststoreUri": "file:///etc/ssl/certs/ca-certificates.crt"}, "There is no trust store"),
        ({"TruststoreUri": uri, "TruststoreVersion": "1"}, "SHA-256"),
        ({"TruststoreUri": f"file://{control.directory}/control.db"}, "trust store"),
    ]:
        assert expected in refused(v2.update_domain_name, DomainName="mtls.example.com", MutualTlsAuthentication=settings)

    def patched(op, path, value=None):
        operation = {"op": op, "path": path, **({} if value is None else {"value": value})}
        return v1.update_domain_name(domainName="mtls.example.com", patchOperations=[operation])

    assert patched("replace", "/mutualTlsAuthentication/truststoreVersion", version)["mutualTlsAuthentication"]
    assert "mutualTlsAuthentication" not in patched("replace", "/mutualTlsAuthentication/truststoreUri", "")
    assert patched("replace", "/mutualTlsAuthentication/truststoreUri", uri)["mutualTlsAuthentication"]["truststoreUri"] == uri
    assert "mutualTlsAuthentication" not in patched("remove", "/mutualTlsAuthentication")


def test_the_default_endpoint_is_closed_and_opened(v1, v2):
    rest_id, api_id = rest_api(v1), http_api(v2)
    close = [{"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}]
    assert v1.update_rest_api(restApiId=rest_id, patchOperations=close)["disableExecuteApiEndpoint"] is True
    assert v2.update_api(ApiId=api_id, DisableExecuteApiEndpoint=True)["DisableExecuteApiEndpoint"] is True
    renamed = [{"op": "replace", "path": "/name", "value": "b"}, {"op": "add", "path": "/description", "value": "d"}]
    changed = v1.update_rest_api(restApiId=rest_id, patchOperations=renamed)
    assert (changed["name"], changed["description"], changed["disableExecuteApiEndpoint"]) == ("b", "d", True)
    wrong = [{"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "yes"}]
    assert "true or false" in refused(v1.update_rest_api, restApiId=rest_id, patchOperations=wrong)
    other = [{"op": "replace", "path": "/id", "value": "x"}]
    assert "Invalid patch path /id" in refused(v1.update_rest_api, restApiId=rest_id, patchOperations=other)


def private_domain(v1, name, arn, **arguments):
    return v1.create_domain_name(
        domainName=name, certificateArn=arn, endpointConfiguration={"types": ["PRIVATE"]}, **arguments
    )


def test_private_domains_and_who_may_reach_them(control, v1, v2, wildcard):
    policy = '{"Version":"2012-10-17","Statement":[]}'
    domain = private_domain(v1, "private.example.com", wildcard, policy=policy, tags={"a": "b"})
    domain_id, arn = domain["domainNameId"], domain["domainNameArn"]
    assert arn == f"arn:aws:apigateway:us-east-1:000000000000:/domainnames/private.example.com+{domain_id}"
    assert (domain["endpointConfiguration"]["types"], domain["policy"]) == (["PRIVATE"], policy)
    assert "distributionDomainName" not in domain and "regionalDomainName" not in domain
    by_id = {"domainName": "private.example.com", "domainNameId": domain_id}
    assert v1.get_domain_name(**by_id)["certificateArn"] == wildcard
    assert refused(v1.get_domain_name, **{**by_id, "domainNameId": "other"}).startswith("NotFoundException")
    patch = [{"op": "replace", "path": "/managementPolicy", "value": "{}"}, {"op": "remove", "path": "/policy"}]
    patched = v1.update_domain_name(**by_id, patchOperations=patch)
    assert patched["managementPolicy"] == "{}" and "policy" not in patched
    patch = [{"op": "replace", "path": "/endpointConfiguration/types/PRIVATE", "value": "REGIONAL"}]
    assert "can't become REGIONAL" in refused(v1.update_domain_name, **by_id, patchOperations=patch)
    assert v1.get_tags(resourceArn=arn)["tags"] == {"a": "b"}
    assert v1.get_domain_names(resourceOwner="OTHER_ACCOUNTS")["items"] == []

    source = {"accessAssociationSourceType": "VPCE", "accessAssociationSource": "vpce-0123456789abcdef0"}
    made = v1.create_domain_name_access_association(domainNameArn=arn, **source, tags={"c": "d"})
    del made["ResponseMetadata"]
    access = made["domainNameAccessAssociationArn"]
    assert access.endswith(f"/domainname/private.example.com+{domain_id}/vpcesource/vpce-0123456789abcdef0")
    assert made["domainNameArn"] == arn and made["accessAssociationSource"] == "vpce-0123456789abcdef0"
    assert v1.get_domain_name_access_associations()["items"] == [made]
    assert v1.get_domain_name_access_associations(resourceOwner="OTHER_ACCOUNTS")["items"] == []
    assert v1.get_tags(resourceArn=access)["tags"] == {"c": "d"}
    create = v1.create_domain_name_access_association
    assert "already associated" in refused(create, domainNameArn=arn, **source)
    assert "vpce-" in refused(create, domainNameArn=arn, **{**source, "accessAssociationSource": "x"})
    v1.create_domain_name(domainName="public.example.com", certificateArn=wildcard)
    public = v1.get_domain_name(domainName="public.example.com")["domainNameArn"]
    assert "private custom domain name" in refused(create, domainNameArn=public, **source)
    policy_on_public = {"domainName": "public2.example.com", "certificateArn": wildcard, "policy": "{}"}
    assert "private" in refused(v1.create_domain_name, **policy_on_public)
    settings = [line for line in control.status_lines() if line.endswith("not yet enforced")]
    assert any("private domain names, which aren't served" in line for line in settings)

    v1.delete_domain_name_access_association(domainNameAccessAssociationArn=access)
    assert refused(v1.delete_domain_name_access_association, domainNameAccessAssociationArn=access)
    access = create(domainNameArn=arn, **source)["domainNameAccessAssociationArn"]
    reject = {"domainNameAccessAssociationArn": access, "domainNameArn": arn}
    v1.reject_domain_name_access_association(**reject)
    assert refused(v1.reject_domain_name_access_association, **reject).startswith("NotFoundException")
    create(domainNameArn=arn, **source)
    v1.delete_domain_name(**by_id)
    assert v1.get_domain_name_access_associations()["items"] == []
    v1.delete_domain_name(domainName="public.example.com")
