"""HTTP APIs with boto3 beyond the first steps: protections, parameter mappings, CORS, route settings, answers' shapes."""

import pytest
from botocore.exceptions import ClientError

from test_websocket_api import FUNCTION

ROLE = "arn:aws:iam::000000000000:role/api"


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value)


@pytest.fixture
def api(v2, origin):
    """A quick-created API; its `$default` route leads to the origin."""
    return {"ApiId": v2.create_api(Name="details", ProtocolType="HTTP", Target=origin.url)["ApiId"]}


def proxy(v2, api, uri, **more):
    return v2.create_integration(
        **api, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=uri, PayloadFormatVersion="1.0", **more
    )["IntegrationId"]


def wait(turnpike, api, path, wanted):
    return turnpike.wait_for(api["ApiId"], path, wanted)


@pytest.mark.parametrize("kind", ["AWS_IAM", "JWT", "CUSTOM"])
def test_a_protected_route_is_never_served_open(turnpike, v2, api, origin, kind):
    arguments = {"AuthorizationType": kind}
    if kind == "JWT":
        arguments["AuthorizerId"] = v2.create_authorizer(
            **api, Name="jwt", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Issuer": "https://issuer.example", "Audience": ["a"]},
        )["AuthorizerId"]
        arguments["AuthorizationScopes"] = ["read"]
    if kind == "CUSTOM":
        arguments["AuthorizerId"] = v2.create_authorizer(
            **api, Name="f", AuthorizerType="REQUEST", AuthorizerUri=FUNCTION, IdentitySource=["$request.header.Auth"],
            AuthorizerPayloadFormatVersion="2.0", EnableSimpleResponses=True,
        )["AuthorizerId"]
    target = f"integrations/{proxy(v2, api, origin.url)}"
    route = v2.create_route(**api, RouteKey="GET /secret", Target=target, **arguments)
    assert route["AuthorizationType"] == kind
    reply = wait(turnpike, api, "/secret", lambda reply: reply.status == 500)
    assert reply.json == {"message": "Internal Server Error"}
    assert turnpike.ask(api["ApiId"], "/other").status == 200, "what asks for nothing is served"
    v2.update_route(**api, RouteId=route["RouteId"], AuthorizationType="NONE")
    wait(turnpike, api, "/secret", lambda reply: reply.status == 200)


@pytest.mark.parametrize(
    "arguments",
    [
        {"IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION, "PayloadFormatVersion": "2.0"},
        {
            "IntegrationType": "AWS_PROXY", "IntegrationSubtype": "SQS-SendMessage", "CredentialsArn": ROLE,
            "PayloadFormatVersion": "1.0", "RequestParameters": {"QueueUrl": "q", "MessageBody": "$request.body"},
        },
        {
            "IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "IntegrationUri": "http://127.0.0.1:1/",
            "PayloadFormatVersion": "1.0", "RequestParameters": {"overwrite:path": "/elsewhere"},
        },
        {
            "IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "IntegrationUri": "http://127.0.0.1:1/",
            "PayloadFormatVersion": "1.0", "ResponseParameters": {"200": {"overwrite:statuscode": "201"}},
        },
    ],
    ids=["function", "service", "request parameters", "response parameters"],
)
def test_an_integration_that_cannot_be_run_refuses(turnpike, v2, api, arguments):
    made = v2.create_integration(**api, **arguments)
    assert {name: made[name] for name in arguments} == arguments
    v2.create_route(**api, RouteKey="GET /x", Target=f"integrations/{made['IntegrationId']}")
    wait(turnpike, api, "/x", lambda reply: reply.status == 500)


def test_parameter_mappings_are_added_and_taken_away(turnpike, v2, api, origin):
    integration_id = proxy(v2, api, f"{origin.url}/y", RequestParameters={"append:header.a": "$context.requestId"})
    here = {**api, "IntegrationId": integration_id}
    v2.create_route(**api, RouteKey="GET /x", Target=f"integrations/{integration_id}")
    wait(turnpike, api, "/x", lambda reply: reply.status == 500)
    made = v2.update_integration(**here, RequestParameters={"overwrite:querystring.q": "x"}, ResponseParameters={"404": {"append:header.e": "y"}})
    assert made["RequestParameters"] == {"append:header.a": "$context.requestId", "overwrite:querystring.q": "x"}
    assert made["ResponseParameters"] == {"404": {"append:header.e": "y"}}
    made = v2.update_integration(
        **here, RequestParameters={"append:header.a": "", "overwrite:querystring.q": ""}, ResponseParameters={"404": {}})
    assert "RequestParameters" not in made and "ResponseParameters" not in made
    wait(turnpike, api, "/x", lambda reply: reply.status == 200 and reply.json["target"] == "/y")


def test_cors_is_kept_shown_and_deleted(turnpike, v2):
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"], "MaxAge": 60,
            "ExposeHeaders": ["date"], "AllowCredentials": True}
    made = v2.create_api(Name="cors", ProtocolType="HTTP", CorsConfiguration=cors)
    assert made["CorsConfiguration"] == cors == v2.get_api(ApiId=made["ApiId"])["CorsConfiguration"]
    assert any(made["ApiId"] in line and "corsConfiguration" in line for line in turnpike.status_lines())
    changed = v2.update_api(ApiId=made["ApiId"], CorsConfiguration={"AllowOrigins": ["*"]})
    assert changed["CorsConfiguration"] == {"AllowOrigins": ["*"]}
    v2.delete_cors_configuration(ApiId=made["ApiId"])
    assert "CorsConfiguration" not in v2.get_api(ApiId=made["ApiId"])
    assert "BadRequestException" in refused(
        v2.update_api, ApiId=made["ApiId"], CorsConfiguration={"AllowOrigins": ["*"], "AllowCredentials": True})


def test_authorizers_are_created_read_listed_updated_and_deleted(v2, api):
    made = v2.create_authorizer(
        **api, Name="f", AuthorizerType="REQUEST", AuthorizerUri=FUNCTION, IdentitySource=["$request.header.Auth"],
        AuthorizerPayloadFormatVersion="2.0", AuthorizerCredentialsArn=ROLE)
    assert (made["AuthorizerResultTtlInSeconds"], made["EnableSimpleResponses"]) == (300, False)
    here = {**api, "AuthorizerId": made["AuthorizerId"]}
    changed = v2.update_authorizer(**here, AuthorizerResultTtlInSeconds=0, Name="g", IdentitySource=[])
    assert (changed["AuthorizerResultTtlInSeconds"], changed["IdentitySource"], changed["Name"]) == (0, [], "g")
    assert v2.get_authorizer(**here)["AuthorizerCredentialsArn"] == ROLE
    assert [item["Name"] for item in v2.get_authorizers(**api)["Items"]] == ["g"]
    v2.reset_authorizers_cache(**api, StageName="$default")
    v2.delete_authorizer(**here)
    assert "NotFoundException" in refused(v2.get_authorizer, **here)


def test_route_settings_and_access_logs(v2, api):
    here = {**api, "StageName": "$default"}
    changed = v2.update_stage(
        **here, DefaultRouteSettings={"ThrottlingBurstLimit": 5, "ThrottlingRateLimit": 2.5, "DetailedMetricsEnabled": True},
        RouteSettings={"$default": {"ThrottlingRateLimit": 1}},
        AccessLogSettings={"DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:details", "Format": "$context.requestId"},
    )
    assert changed["RouteSettings"] == {"$default": {"ThrottlingRateLimit": 1.0}}
    assert changed["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 5
    v2.delete_access_log_settings(**here)
    v2.delete_route_settings(**here, RouteKey="$default")
    stage = v2.get_stage(**here)
    assert stage["RouteSettings"] == {} and "AccessLogSettings" not in stage
    assert "Unable to find Route by key GET /none" in refused(v2.update_stage, **here, RouteSettings={"GET /none": {}})


def test_every_list_and_get_has_the_shape_that_boto3_knows(v2, api):
    for kind in ("routes", "integrations", "stages", "deployments", "authorizers", "models"):
        items = getattr(v2, f"get_{kind}")(**api)["Items"]
        assert bool(items) == (kind not in ("authorizers", "models")), kind
