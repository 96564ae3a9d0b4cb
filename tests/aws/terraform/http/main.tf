# HTTP APIs with everything around them, in two versions that differ wherever Terraform can change a thing in place.

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
  name                         = "pets${var.v}"
  description                  = "d${var.v}"
  version                      = var.v
  protocol_type                = "HTTP"
  disable_execute_api_endpoint = false
  tags                         = { a = var.v }
  cors_configuration {
    allow_credentials = local.one
    allow_headers     = local.one ? ["x-a", "x-b"] : ["x-c"]
    allow_methods     = local.one ? ["GET", "POST"] : ["*"]
    allow_origins     = local.one ? ["https://a.example", "http://localhost:3000"] : ["*"]
    expose_headers    = local.one ? ["date"] : []
    max_age           = local.one ? 60 : 0
  }
}

resource "aws_apigatewayv2_api" "bare" {
  name          = "bare"
  protocol_type = "HTTP"
  dynamic "cors_configuration" {
    for_each = local.one ? [1] : []
    content {
      allow_origins = ["*"]
    }
  }
}

resource "aws_apigatewayv2_api" "quick" {
  name          = "quick"
  protocol_type = "HTTP"
  target        = var.origin
  route_key     = "GET /quick"
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  api_id           = aws_apigatewayv2_api.a.id
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.${local.one ? "Authorization" : "X-Token"}"]
  name             = "jwt${var.v}"
  jwt_configuration {
    audience = local.one ? ["a"] : ["a", "b"]
    issuer   = "https://issuer.example/${var.v}"
  }
}

resource "aws_apigatewayv2_authorizer" "function" {
  api_id                            = aws_apigatewayv2_api.a.id
  authorizer_type                   = "REQUEST"
  authorizer_uri                    = local.function
  authorizer_credentials_arn        = local.role
  authorizer_payload_format_version = local.one ? "2.0" : "1.0"
  enable_simple_responses           = local.one
  identity_sources                  = local.one ? ["$request.header.Auth"] : ["$request.querystring.User", "$context.routeKey"]
  authorizer_result_ttl_in_seconds  = local.one ? null : 0
  name                              = "function${var.v}"
}

resource "aws_apigatewayv2_authorizer" "anonymous" {
  api_id                            = aws_apigatewayv2_api.a.id
  authorizer_type                   = "REQUEST"
  authorizer_uri                    = local.function
  authorizer_payload_format_version = "2.0"
  name                              = "anonymous"
}

resource "aws_apigatewayv2_integration" "proxy" {
  api_id               = aws_apigatewayv2_api.a.id
  integration_type     = "HTTP_PROXY"
  integration_method   = local.one ? "GET" : "ANY"
  integration_uri      = "${var.origin}/v${var.v}/{id}"
  description          = "d${var.v}"
  timeout_milliseconds = local.one ? 30000 : 5000
}

resource "aws_apigatewayv2_integration" "mapped" {
  api_id             = aws_apigatewayv2_api.a.id
  integration_type   = "HTTP_PROXY"
  integration_method = "ANY"
  integration_uri    = "https://127.0.0.1:1/"
  request_parameters = local.one ? {
    "append:header.header1"  = "$context.requestId"
    "remove:querystring.qs1" = "''"
    } : {
    "append:header.header1"    = "$context.accountId"
    "overwrite:header.header2" = "$stageVariables.environmentId"
  }
  response_parameters {
    status_code = 500
    mappings = {
      "append:header.header1" = "$context.requestId"
      "overwrite:statuscode"  = "403"
    }
  }
  dynamic "response_parameters" {
    for_each = local.one ? [1] : []
    content {
      status_code = 404
      mappings    = { "append:header.error" = "$stageVariables.environmentId" }
    }
  }
  tls_config {
    server_name_to_verify = "www${var.v}.example.com"
  }
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                 = aws_apigatewayv2_api.a.id
  integration_type       = "AWS_PROXY"
  integration_uri        = local.function
  payload_format_version = local.one ? "2.0" : "1.0"
  credentials_arn        = local.role
}

resource "aws_apigatewayv2_integration" "queue" {
  api_id              = aws_apigatewayv2_api.a.id
  integration_type    = "AWS_PROXY"
  integration_subtype = "SQS-SendMessage"
  credentials_arn     = local.role
  request_parameters = local.one ? {
    QueueUrl       = "https://queue.example/1"
    MessageBody    = "$request.body"
    MessageGroupId = "$request.body.authentication_key"
    } : {
    QueueUrl    = "https://queue.example/2"
    MessageBody = "$request.body"
  }
}

resource "aws_apigatewayv2_vpc_link" "l" {
  name               = "link${var.v}"
  security_group_ids = []
  subnet_ids         = ["subnet-1"]
}

resource "aws_apigatewayv2_integration" "linked" {
  api_id             = aws_apigatewayv2_api.a.id
  integration_type   = "HTTP_PROXY"
  integration_method = "GET"
  integration_uri    = "http://inside.example"
  connection_type    = "VPC_LINK"
  connection_id      = aws_apigatewayv2_vpc_link.l.id
}

resource "aws_apigatewayv2_route" "pet" {
  api_id         = aws_apigatewayv2_api.a.id
  route_key      = "GET /pets${var.v}/{id}"
  operation_name = "pet${var.v}"
  target         = "integrations/${aws_apigatewayv2_integration.proxy.id}"
}

resource "aws_apigatewayv2_route" "protected" {
  api_id               = aws_apigatewayv2_api.a.id
  route_key            = "POST /protected/{id}"
  target               = "integrations/${aws_apigatewayv2_integration.proxy.id}"
  authorization_type   = local.one ? "JWT" : "CUSTOM"
  authorizer_id        = local.one ? aws_apigatewayv2_authorizer.jwt.id : aws_apigatewayv2_authorizer.function.id
  authorization_scopes = local.one ? ["read", "write"] : []
}

resource "aws_apigatewayv2_route" "opened" {
  api_id               = aws_apigatewayv2_api.a.id
  route_key            = "PUT /opened/{id}"
  target               = "integrations/${aws_apigatewayv2_integration.proxy.id}"
  authorization_type   = local.one ? "JWT" : "NONE"
  authorizer_id        = local.one ? aws_apigatewayv2_authorizer.jwt.id : null
  authorization_scopes = local.one ? ["read"] : null
}

resource "aws_apigatewayv2_route" "signed" {
  api_id             = aws_apigatewayv2_api.a.id
  route_key          = "$default"
  target             = "integrations/${aws_apigatewayv2_integration.function.id}"
  authorization_type = "AWS_IAM"
}

resource "aws_apigatewayv2_stage" "default" {
  api_id          = aws_apigatewayv2_api.a.id
  name            = "$default"
  auto_deploy     = true
  description     = "d${var.v}"
  stage_variables = local.one ? { a = "b", c = "d" } : { a = "e" }
  tags            = { a = var.v }
  default_route_settings {
    detailed_metrics_enabled = local.one
    throttling_burst_limit   = local.one ? 10 : 20
    throttling_rate_limit    = 2.5
  }
  dynamic "route_settings" {
    for_each = local.one ? ["$default", "POST /protected/{id}"] : ["$default"]
    content {
      route_key              = route_settings.value
      throttling_burst_limit = local.one ? 1 : 2
      throttling_rate_limit  = 1
    }
  }
  dynamic "access_log_settings" {
    for_each = local.one ? [1] : []
    content {
      destination_arn = "arn:aws:logs:us-east-1:000000000000:log-group:terraform"
      format          = "$context.requestId"
    }
  }
  depends_on = [aws_apigatewayv2_route.signed, aws_apigatewayv2_route.protected, aws_apigatewayv2_route.pet]
}

resource "aws_apigatewayv2_deployment" "d" {
  api_id      = aws_apigatewayv2_api.a.id
  description = "d${var.v}"
  depends_on = [
    aws_apigatewayv2_route.signed, aws_apigatewayv2_route.protected, aws_apigatewayv2_route.opened,
    aws_apigatewayv2_route.pet,
  ]
}

resource "aws_apigatewayv2_stage" "fixed" {
  api_id        = aws_apigatewayv2_api.a.id
  name          = "fixed"
  deployment_id = aws_apigatewayv2_deployment.d.id
}

output "api" { value = aws_apigatewayv2_api.a.id }
output "quick" { value = aws_apigatewayv2_api.quick.id }
