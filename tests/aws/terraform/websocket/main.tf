# A WebSocket API with everything around it, in two versions that differ wherever Terraform can change a thing in place.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {}
variable "origin" {}
variable "v" {}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  endpoints {
    apigateway   = var.endpoint
    apigatewayv2 = var.endpoint
  }
}

locals {
  one      = var.v == "1"
  role     = "arn:aws:iam::000000000000:role/r${var.v}"
  function = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f${var.v}/invocations"
}

resource "aws_apigatewayv2_api" "a" {
  name                         = "chat${var.v}"
  protocol_type                = "WEBSOCKET"
  route_selection_expression   = "$request.body.${local.one ? "action" : "kind"}"
  api_key_selection_expression = local.one ? "$request.header.x-api-key" : "$context.authorizer.usageIdentifierKey"
  tags                         = { a = var.v }
}

resource "aws_apigatewayv2_authorizer" "function" {
  api_id                     = aws_apigatewayv2_api.a.id
  authorizer_type            = "REQUEST"
  authorizer_uri             = local.function
  authorizer_credentials_arn = local.one ? local.role : null
  identity_sources           = local.one ? ["route.request.header.Auth"] : ["route.request.header.Auth", "route.request.querystring.Name"]
  name                       = "function${var.v}"
}

resource "aws_apigatewayv2_model" "join" {
  api_id       = aws_apigatewayv2_api.a.id
  name         = "Join"
  content_type = "application/json"
  description  = "d${var.v}"
  schema       = jsonencode({ type = "object", title = "t${var.v}" })
}

resource "aws_apigatewayv2_integration" "mock" {
  api_id                        = aws_apigatewayv2_api.a.id
  integration_type              = "MOCK"
  passthrough_behavior          = local.one ? "WHEN_NO_MATCH" : "NEVER"
  template_selection_expression = "\\$default"
  request_templates             = local.one ? { "$default" = "{\"statusCode\":200}" } : { "$default" = "{}", other = "" }
}

resource "aws_apigatewayv2_integration" "http" {
  api_id                    = aws_apigatewayv2_api.a.id
  integration_type          = "HTTP"
  integration_method        = local.one ? "GET" : "POST"
  integration_uri           = "http://www.example.com/${var.v}"
  content_handling_strategy = local.one ? "CONVERT_TO_TEXT" : "CONVERT_TO_BINARY"
  timeout_milliseconds      = local.one ? 28999 : 51
  request_parameters = local.one ? {
    "integration.request.querystring.stage" = "'value1'"
    } : {
    "integration.request.header.x-userid" = "'value2'"
    "integration.request.path.op"         = "'value3'"
  }
}

resource "aws_apigatewayv2_integration" "aws" {
  api_id           = aws_apigatewayv2_api.a.id
  integration_type = "AWS"
  integration_uri  = local.function
}

resource "aws_apigatewayv2_integration" "proxy" {
  api_id             = aws_apigatewayv2_api.a.id
  integration_type   = "AWS_PROXY"
  integration_uri    = local.function
  integration_method = "POST"
  credentials_arn    = local.role
}

resource "aws_apigatewayv2_integration_response" "default" {
  api_id                        = aws_apigatewayv2_api.a.id
  integration_id                = aws_apigatewayv2_integration.mock.id
  integration_response_key      = local.one ? "/200/" : "$default"
  content_handling_strategy     = local.one ? "CONVERT_TO_TEXT" : "CONVERT_TO_BINARY"
  response_templates            = local.one ? { "application/json" = "" } : { "application/json" = "x", "application/xml" = "y" }
  template_selection_expression = "$request.body.${local.one ? "name" : "id"}"
}

resource "aws_apigatewayv2_route" "connect" {
  api_id             = aws_apigatewayv2_api.a.id
  route_key          = "$connect"
  target             = "integrations/${aws_apigatewayv2_integration.proxy.id}"
  authorization_type = local.one ? "CUSTOM" : "AWS_IAM"
  authorizer_id      = local.one ? aws_apigatewayv2_authorizer.function.id : null
  api_key_required   = local.one
  dynamic "request_parameter" {
    for_each = local.one ? { "route.request.header.authorization" = true } : { "route.request.header.authorization" = false, "route.request.querystring.authToken" = true }
    content {
      request_parameter_key = request_parameter.key
      required              = request_parameter.value
    }
  }
}

resource "aws_apigatewayv2_route" "join" {
  api_id                              = aws_apigatewayv2_api.a.id
  route_key                           = "join${var.v}"
  target                              = "integrations/${aws_apigatewayv2_integration.mock.id}"
  operation_name                      = "join"
  model_selection_expression          = local.one ? "$request.body.action" : null
  request_models                      = local.one ? { test = aws_apigatewayv2_model.join.name } : {}
  route_response_selection_expression = "$default"
}

resource "aws_apigatewayv2_route_response" "join" {
  api_id             = aws_apigatewayv2_api.a.id
  route_id           = aws_apigatewayv2_route.join.id
  route_response_key = "$default"
  response_models    = { test = aws_apigatewayv2_model.join.name }
}

resource "aws_apigatewayv2_route" "default" {
  api_id    = aws_apigatewayv2_api.a.id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.http.id}"
}

resource "aws_apigatewayv2_deployment" "d" {
  api_id      = aws_apigatewayv2_api.a.id
  description = "d${var.v}"
  depends_on  = [aws_apigatewayv2_route.connect, aws_apigatewayv2_route.join, aws_apigatewayv2_route.default]
}

resource "aws_api_gateway_client_certificate" "c" {
  description = "terraform"
}

resource "aws_apigatewayv2_stage" "dev" {
  api_id                = aws_apigatewayv2_api.a.id
  name                  = "dev"
  deployment_id         = aws_apigatewayv2_deployment.d.id
  client_certificate_id = local.one ? aws_api_gateway_client_certificate.c.id : null
  default_route_settings {
    data_trace_enabled     = local.one
    logging_level          = local.one ? "INFO" : "ERROR"
    throttling_burst_limit = local.one ? 5 : 6
    throttling_rate_limit  = 10
  }
  route_settings {
    route_key              = "$default"
    logging_level          = "OFF"
    throttling_burst_limit = local.one ? 1 : 2
    throttling_rate_limit  = 1
  }
}

resource "aws_apigatewayv2_stage" "bare" {
  api_id = aws_apigatewayv2_api.a.id
  name   = "bare"
}

output "api" { value = aws_apigatewayv2_api.a.id }
