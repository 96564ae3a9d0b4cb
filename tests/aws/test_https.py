"""Custom domains from the management API to HTTPS: certificates, policies, mappings, mutual TLS, ACME."""

import http.client
import socket
import ssl
import urllib.request

import pytest

from conftest import client
from pebble import with_authority
from pki import issue
from turnpike import DEADLINE_S, Reply, Turnpike, wait_for


class At(http.client.HTTPSConnection):
    """Connects to an address, whatever the host is called."""

    def __init__(self, address, host, context):
        super().__init__(host, context=context, timeout=DEADLINE_S)
        self.address, self.context = address, context

    def connect(self):
        plain, port = self.address.split(":")
        connected = socket.create_connection((plain, int(port)), timeout=DEADLINE_S)
        self.sock = self.context.wrap_socket(connected, server_hostname=self.host)


def ask(address, host, path, roots, shown=None, version_max=None):
    """The reply and the certificate's serial number; a failed handshake is an `ssl.SSLError` or a reset."""
    context = ssl.create_default_context(cadata=roots.decode())
    if shown:
        context.load_cert_chain(shown)
    if version_max:
        context.maximum_version = version_max
    connection = At(address, host, context)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        serial = int(connection.sock.getpeercert()["serialNumber"], 16)
        return Reply(response.status, response.headers, response.read().decode()), serial
    finally:
        connection.close()


@pytest.fixture(scope="module")
def root():
    return issue("a root of the tests", authority=True)


@pytest.fixture(scope="module")
def middle(root):
    return issue("an intermediate of the tests", authority=True, by=root)


@pytest.fixture
def served(tmp_path):
    running = Turnpike(tmp_path)
    running.environment = {"TURNPIKE_CONTROL_TRUSTSTORE_DIR": str(tmp_path)}
    with running:
        yield running


def domain(running, arn, name, **arguments):
    configuration = {"CertificateArn": arn, **arguments.pop("configuration", {})}
    client("apigatewayv2", running).create_domain_name(
        DomainName=name, DomainNameConfigurations=[configuration], **arguments)


def http_api(running, origin):
    made = client("apigatewayv2", running).create_api(Name="api", ProtocolType="HTTP", Target=origin.url)
    return made["ApiId"]


def test_a_domain_is_served_with_its_certificate_and_the_next_one(served, origin, root, middle):
    acm, v2 = client("acm", served), client("apigatewayv2", served)
    first = issue("api.example.com", ["api.example.com"], by=middle)
    arn = acm.import_certificate(**first.material())["CertificateArn"]
    domain(served, arn, "api.example.com")
    api_id = http_api(served, origin)
    v2.create_api_mapping(DomainName="api.example.com", ApiId=api_id, Stage="$default", ApiMappingKey="v1/pets")
    served.wait_until_acknowledged()
    reply, serial = ask(served.tls, "api.example.com", "/v1/pets/7", root.certificate)
    assert (reply.status, reply.json["target"], serial) == (200, "/7", first.serial)
    assert ask(served.tls, "api.example.com", "/v1", root.certificate)[0].status == 403

    second = issue("api.example.com", ["api.example.com"], by=middle)
    acm.import_certificate(CertificateArn=arn, **second.material())
    served.wait_until_acknowledged()
    assert ask(served.tls, "api.example.com", "/v1/pets/7", root.certificate)[1] == second.serial

    v2.delete_domain_name(DomainName="api.example.com")
    served.wait_until_acknowledged()
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(served.tls, "api.example.com", "/v1/pets/7", root.certificate)


def test_base_paths_and_wildcards_are_served(served, origin, root):
    acm, v1, v2 = client("acm", served), client("apigateway", served), client("apigatewayv2", served)
    made = issue("*.example.com", ["*.example.com"], by=root)
    arn = acm.import_certificate(**made.material())["CertificateArn"]
    v1.create_domain_name(domainName="*.example.com", certificateArn=arn)
    api_id = v1.create_rest_api(name="pets")["id"]
    top = v1.get_resources(restApiId=api_id)["items"][0]["id"]
    method = {"restApiId": api_id, "resourceId": top, "httpMethod": "GET"}
    v1.put_method(**method, authorizationType="NONE")
    v1.put_integration(**method, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"{origin.url}/rest")
    v1.create_deployment(restApiId=api_id, stageName="prod")
    v1.create_base_path_mapping(domainName="*.example.com", restApiId=api_id, basePath="named", stage="prod")
    v1.create_base_path_mapping(domainName="*.example.com", restApiId=api_id)
    served.wait_until_acknowledged()
    for path in ("/named", "/prod"):
        reply, serial = ask(served.tls, "any.example.com", path, root.certificate)
        assert (reply.status, reply.json["target"], serial) == (200, "/rest", made.serial), path

    # A stage that comes later is reached by its name at once, and is gone with it.
    v1.create_deployment(restApiId=api_id, stageName="beta")
    served.wait_until_acknowledged()
    assert ask(served.tls, "other.example.com", "/beta", root.certificate)[0].status == 200
    v1.delete_stage(restApiId=api_id, stageName="beta")
    served.wait_until_acknowledged()
    assert ask(served.tls, "other.example.com", "/beta", root.certificate)[0].status == 403

    # The domain of its own name comes first.
    own = issue("own.example.com", ["own.example.com"], by=root)
    own_arn = acm.import_certificate(**own.material())["CertificateArn"]
    domain(served, own_arn, "own.example.com")
    v2.create_api_mapping(DomainName="own.example.com", ApiId=http_api(served, origin), Stage="$default")
    served.wait_until_acknowledged()
    reply, serial = ask(served.tls, "own.example.com", "/named", root.certificate)
    assert (reply.json["target"], serial) == ("/named", own.serial)


def test_a_security_policy_holds(served, origin, root):
    arn = client("acm", served).import_certificate(**issue("api.example.com", by=root).material())["CertificateArn"]
    domain(served, arn, "api.example.com", configuration={"SecurityPolicy": "SecurityPolicy_TLS13_1_3_2025_09"})
    served.wait_until_acknowledged()
    assert ask(served.tls, "api.example.com", "/", root.certificate)[0].status == 403
    with pytest.raises(ssl.SSLError):
        ask(served.tls, "api.example.com", "/", root.certificate, version_max=ssl.TLSVersion.TLSv1_2)
    client("apigatewayv2", served).update_domain_name(
        DomainName="api.example.com", DomainNameConfigurations=[{"SecurityPolicy": "TLS_1_2"}])
    served.wait_until_acknowledged()
    old = ask(served.tls, "api.example.com", "/", root.certificate, version_max=ssl.TLSVersion.TLSv1_2)
    assert old[0].status == 403


def test_clients_have_to_be_of_the_trust_store(served, origin, root, tmp_path):
    def shown(name, by):
        made = issue(name, by=by, client=True)
        file = tmp_path / f"{name}.pem"
        file.write_bytes(made.certificate + made.private_key)
        return file

    ours, theirs = (issue(name, authority=True) for name in ("our clients", "other clients"))
    (tmp_path / "clients.pem").write_bytes(ours.certificate)
    arn = client("acm", served).import_certificate(**issue("api.example.com", by=root).material())["CertificateArn"]
    trust = {"TruststoreUri": f"file://{tmp_path}/clients.pem"}
    domain(served, arn, "api.example.com", MutualTlsAuthentication=trust)
    v2 = client("apigatewayv2", served)
    v2.create_api_mapping(DomainName="api.example.com", ApiId=http_api(served, origin), Stage="$default")
    served.wait_until_acknowledged()
    ask_as = lambda file: ask(served.tls, "api.example.com", "/x", root.certificate, shown=file)[0].status  # noqa: E731
    assert ask_as(shown("alice", ours)) == 200
    for file in (None, shown("mallory", theirs)):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask_as(file)
    v2.update_domain_name(DomainName="api.example.com", MutualTlsAuthentication={"TruststoreUri": ""})
    served.wait_until_acknowledged()
    assert ask_as(None) == 200


def test_a_certificate_by_acme_is_served(tmp_path, origin):
    with with_authority(tmp_path) as (running, authority):
        acm, v2 = client("acm", running), client("apigatewayv2", running)
        arn = acm.request_certificate(DomainName="api.example.com", ValidationMethod="HTTP")["CertificateArn"]
        wait_for(lambda: acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"], lambda s: s == "ISSUED")
        domain(running, arn, "api.example.com")
        v2.create_api_mapping(DomainName="api.example.com", ApiId=http_api(running, origin), Stage="$default")
        running.wait_until_acknowledged()
        trusted = ssl.create_default_context(cafile=authority.ca_file)
        roots = urllib.request.urlopen(f"{authority.management_url}/roots/0", context=trusted, timeout=DEADLINE_S).read()
        assert ask(running.tls, "api.example.com", "/x", roots)[0].json["target"] == "/x"
