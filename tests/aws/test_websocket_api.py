"""WebSocket APIs made with boto3: all that AWS has of them is kept and shown. Gateways don't serve them yet."""

import pytest
from botocore.exceptions import ClientError


FUNCTION = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:000000000000:function:hello/invocations"
)


def refused(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value)


def chat(v2, **more):
    made = v2.create_api(Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action", **more)
    return {"ApiId": made["ApiId"]}


def test_an_api_is_created_read_listed_updated_and_deleted(turnpike, v2):
    made = v2.create_api(
        Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action",
        ApiKeySelectionExpression="$context.authorizer.usageIdentifierKey", DisableSchemaValidation=True, Tags={"a": "b"},
    )
    assert made["ApiEndpoint"].startswith(f"wss://{made['ApiId']}.execute-api.us-east-1.")
    assert made["DisableSchemaValidation"] is True
    read = v2.get_api(ApiId=made["ApiId"])
    assert {**read, "ResponseMetadata": 0} == {**made, "ResponseMetadata": 0}
    assert made["ApiId"] in [api["ApiId"] for page in v2.get_paginator("get_apis").paginate() for api in page["Items"]]
    changed = v2.update_api(ApiId=made["ApiId"], RouteSelectionExpression="${request.body.kind}", Name="talk")
    assert (changed["RouteSelectionExpression"], changed["Name"]) == ("${request.body.kind}", "talk")
    assert any(made["ApiId"] in line and "WEBSOCKET" in line for line in turnpike.status_lines())
    assert turnpike.ask(made["ApiId"], "/dev").status in (403, 404)
    v2.delete_api(ApiId=made["ApiId"])
    assert "NotFoundException" in refused(v2.get_api, ApiId=made["ApiId"])


def test_a_whole_api_of_routes_integrations_and_responses(v2):
    api = chat(v2)
    model = v2.create_model(**api, Name="Join", ContentType="application/json", Schema='{"type":"object"}')
    assert "#set($inputRoot" in v2.get_model_template(**api, ModelId=model["ModelId"])["Value"]
    authorizer = v2.create_authorizer(
        **api, Name="who", AuthorizerType="REQUEST", AuthorizerUri=FUNCTION, IdentitySource=["route.request.header.Auth"],
    )["AuthorizerId"]
    function = v2.create_integration(**api, IntegrationType="AWS_PROXY", IntegrationUri=FUNCTION)
    assert (function["IntegrationMethod"], function["TimeoutInMillis"]) == ("POST", 29000)
    mock = v2.create_integration(
        **api, IntegrationType="MOCK", RequestTemplates={"$default": '{"statusCode":200}'},
        TemplateSelectionExpression="\\$default", PassthroughBehavior="WHEN_NO_TEMPLATES",
    )
    assert mock["IntegrationResponseSelectionExpression"] == "${integration.response.statuscode}"
    connect = v2.create_route(
        **api, RouteKey="$connect", AuthorizationType="CUSTOM", AuthorizerId=authorizer, ApiKeyRequired=True,
        RequestParameters={"route.request.querystring.token": {"Required": True}},
        Target=f"integrations/{function['IntegrationId']}",
    )
    assert connect["RequestParameters"] == {"route.request.querystring.token": {"Required": True}}
    join = v2.create_route(
        **api, RouteKey="join", Target=f"integrations/{mock['IntegrationId']}", OperationName="join",
        RouteResponseSelectionExpression="$default", ModelSelectionExpression="$request.body.kind",
        RequestModels={"$default": "Join"},
    )
    assert join["RequestModels"] == {"$default": "Join"}

    here = {**api, "RouteId": join["RouteId"]}
    response = v2.create_route_response(**here, RouteResponseKey="$default", ResponseModels={"application/json": "Join"})
    one = {**here, "RouteResponseId": response["RouteResponseId"]}
    assert v2.get_route_response(**one)["ResponseModels"] == {"application/json": "Join"}
    parameters = {"route.response.header.h": {"Required": False}}
    assert v2.update_route_response(**one, ResponseParameters=parameters)["ResponseParameters"] == parameters
    assert [item["RouteResponseId"] for item in v2.get_route_responses(**here)["Items"]] == [response["RouteResponseId"]]

    there = {**api, "IntegrationId": mock["IntegrationId"]}
    answer = v2.create_integration_response(
        **there, IntegrationResponseKey="$default", ResponseTemplates={"$default": "{}"}, TemplateSelectionExpression="\\$default",
    )
    other = {**there, "IntegrationResponseId": answer["IntegrationResponseId"]}
    changed = v2.update_integration_response(**other, IntegrationResponseKey="/2\\d\\d/", ContentHandlingStrategy="CONVERT_TO_TEXT")
    assert v2.get_integration_response(**other)["IntegrationResponseKey"] == changed["IntegrationResponseKey"] == "/2\\d\\d/"
    assert len(v2.get_integration_responses(**there)["Items"]) == 1

    for call, arguments, expected in [
        (v2.delete_authorizer, {"AuthorizerId": authorizer}, "ConflictException"),
        (v2.delete_model, {"ModelId": model["ModelId"]}, "ConflictException"),
        (v2.delete_integration, {"IntegrationId": mock["IntegrationId"]}, "ConflictException"),
        (v2.update_route, {"RouteId": join["RouteId"], "AuthorizationType": "AWS_IAM"}, "$connect route only"),
        (v2.create_route, {"RouteKey": "join"}, "ConflictException"),
    ]:
        assert expected in refused(call, **api, **arguments)
    v2.delete_route_request_parameter(
        **api, RouteId=connect["RouteId"], RequestParameterKey="route.request.querystring.token")
    assert "RequestParameters" not in v2.get_route(**api, RouteId=connect["RouteId"])
    v2.delete_route_response(**one)
    v2.delete_integration_response(**other)
    assert "NotFoundException" in refused(v2.get_route_response, **one)
    assert "NotFoundException" in refused(v2.get_integration_response, **other)
    for route in v2.get_routes(**api)["Items"]:
        v2.delete_route(**api, RouteId=route["RouteId"])
    v2.delete_authorizer(**api, AuthorizerId=authorizer)
    v2.delete_model(**api, ModelId=model["ModelId"])


def test_deployments_and_stages(v1, v2):
    api = chat(v2)
    assert "At least one route" in refused(v2.create_deployment, **api)
    mock = v2.create_integration(**api, IntegrationType="MOCK")["IntegrationId"]
    v2.create_route(**api, RouteKey="$default", Target=f"integrations/{mock}")
    first = v2.create_deployment(**api, Description="first")
    assert (first["DeploymentStatus"], first["AutoDeployed"]) == ("DEPLOYED", False)
    stage = v2.create_stage(**api, StageName="dev", DeploymentId=first["DeploymentId"])
    assert stage["DefaultRouteSettings"] == {
        "DataTraceEnabled": False, "DetailedMetricsEnabled": False, "LoggingLevel": "OFF"}
    certificate = v1.generate_client_certificate()["clientCertificateId"]
    here = {**api, "StageName": "dev"}
    changed = v2.update_stage(
        **here, ClientCertificateId=certificate, StageVariables={"a": "b"},
        DefaultRouteSettings={"LoggingLevel": "INFO", "DataTraceEnabled": True, "ThrottlingRateLimit": 12.5},
        RouteSettings={"$default": {"ThrottlingBurstLimit": 3}},
    )
    assert changed["ClientCertificateId"] == certificate
    assert changed["DefaultRouteSettings"]["ThrottlingRateLimit"] == 12.5
    assert changed["RouteSettings"] == {"$default": {"ThrottlingBurstLimit": 3}}
    assert "is used by" in refused(v1.delete_client_certificate, clientCertificateId=certificate)
    second = v2.create_deployment(**api, StageName="dev")["DeploymentId"]
    assert v2.get_stage(**here)["DeploymentId"] == second
    v2.delete_route_settings(**here, RouteKey="$default")
    assert v2.get_stage(**here)["RouteSettings"] == {}
    assert "dev" in refused(v2.delete_deployment, **api, DeploymentId=second)
    v2.delete_stage(**here)
    v1.delete_client_certificate(clientCertificateId=certificate)
    for deployment in v2.get_deployments(**api)["Items"]:
        v2.delete_deployment(**api, DeploymentId=deployment["DeploymentId"])
    assert v2.get_deployments(**api)["Items"] == []


def test_links_of_version_1_are_used(v1, v2):
    link = v1.create_vpc_link(name="l", targetArns=["arn:aws:elasticloadbalancing:us-east-1:0:loadbalancer/net/x/1"])["id"]
    api = chat(v2)
    made = v2.create_integration(
        **api, IntegrationType="HTTP_PROXY", IntegrationMethod="GET", IntegrationUri="http://h", ConnectionType="VPC_LINK",
        ConnectionId=link)
    assert (made["ConnectionType"], made["ConnectionId"]) == ("VPC_LINK", link)
    assert "referenced by" in refused(v1.delete_vpc_link, vpcLinkId=link)
    v2.delete_api(**api)
    v1.delete_vpc_link(vpcLinkId=link)
