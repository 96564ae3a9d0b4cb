# A REST API with everything around it, in two versions that differ wherever Terraform can change a thing in place.

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
    apigateway = var.endpoint
  }
}

resource "aws_api_gateway_rest_api" "a" {
  name                     = "pets${var.v}"
  description              = "d${var.v}"
  binary_media_types       = var.v == "1" ? ["image/png"] : ["image/gif", "a/b"]
  minimum_compression_size = var.v == "1" ? "1024" : "-1"
  endpoint_configuration { types = [var.v == "1" ? "EDGE" : "REGIONAL"] }
  tags = { a = var.v }
}

resource "aws_api_gateway_resource" "pets" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  parent_id   = aws_api_gateway_rest_api.a.root_resource_id
  path_part   = "pets${var.v}"
}

resource "aws_api_gateway_resource" "pet" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  parent_id   = aws_api_gateway_resource.pets.id
  path_part   = "{id}"
}

resource "aws_api_gateway_model" "m" {
  rest_api_id  = aws_api_gateway_rest_api.a.id
  name         = "Pet"
  content_type = "application/json"
  schema       = jsonencode({ type = "object", title = "t${var.v}" })
}

resource "aws_api_gateway_request_validator" "v" {
  rest_api_id           = aws_api_gateway_rest_api.a.id
  name                  = "v${var.v}"
  validate_request_body = var.v == "1"
}

resource "aws_api_gateway_authorizer" "z" {
  rest_api_id                      = aws_api_gateway_rest_api.a.id
  name                             = "z${var.v}"
  authorizer_uri                   = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
  authorizer_result_ttl_in_seconds = var.v == "1" ? 300 : 60
}

resource "aws_api_gateway_method" "get" {
  rest_api_id        = aws_api_gateway_rest_api.a.id
  resource_id        = aws_api_gateway_resource.pet.id
  http_method        = "GET"
  authorization      = "NONE"
  request_parameters = merge({ "method.request.path.id" = true }, var.v == "1" ? { "method.request.querystring.q" = true } : { "method.request.querystring.r" = false })
  operation_name     = var.v == "1" ? "GetPet" : null
}

resource "aws_api_gateway_integration" "get" {
  rest_api_id             = aws_api_gateway_rest_api.a.id
  resource_id             = aws_api_gateway_resource.pet.id
  http_method             = aws_api_gateway_method.get.http_method
  type                    = "HTTP_PROXY"
  integration_http_method = "GET"
  uri                     = "${var.origin}/v${var.v}/{id}"
  request_parameters      = { "integration.request.path.id" = "method.request.path.id" }
  cache_key_parameters    = ["method.request.path.id"]
  timeout_milliseconds    = var.v == "1" ? 29000 : 5000
}

resource "aws_api_gateway_method" "post" {
  rest_api_id          = aws_api_gateway_rest_api.a.id
  resource_id          = aws_api_gateway_resource.pets.id
  http_method          = "POST"
  authorization        = var.v == "1" ? "CUSTOM" : "NONE"
  authorizer_id        = var.v == "1" ? aws_api_gateway_authorizer.z.id : null
  api_key_required     = var.v == "1"
  request_models       = { "application/json" = aws_api_gateway_model.m.name }
  request_validator_id = var.v == "1" ? aws_api_gateway_request_validator.v.id : null
}

resource "aws_api_gateway_integration" "post" {
  rest_api_id          = aws_api_gateway_rest_api.a.id
  resource_id          = aws_api_gateway_resource.pets.id
  http_method          = aws_api_gateway_method.post.http_method
  type                 = "MOCK"
  request_templates    = { "application/json" = jsonencode({ statusCode = 200, v = var.v }) }
  passthrough_behavior = "NEVER"
}

resource "aws_api_gateway_method_response" "post" {
  rest_api_id         = aws_api_gateway_rest_api.a.id
  resource_id         = aws_api_gateway_resource.pets.id
  http_method         = aws_api_gateway_method.post.http_method
  status_code         = "200"
  response_models     = { "application/json" = "Empty" }
  response_parameters = merge({ "method.response.header.X" = true }, var.v == "1" ? {} : { "method.response.header.Y" = true })
}

resource "aws_api_gateway_integration_response" "post" {
  rest_api_id         = aws_api_gateway_rest_api.a.id
  resource_id         = aws_api_gateway_resource.pets.id
  http_method         = aws_api_gateway_method.post.http_method
  status_code         = aws_api_gateway_method_response.post.status_code
  response_parameters = { "method.response.header.X" = "'${var.v}'" }
  response_templates  = { "application/json" = "" }
  depends_on          = [aws_api_gateway_integration.post]
}

resource "aws_api_gateway_gateway_response" "g" {
  rest_api_id        = aws_api_gateway_rest_api.a.id
  response_type      = "UNAUTHORIZED"
  status_code        = "401"
  response_templates = { "application/json" = "{\"v\":${var.v}}" }
}

resource "aws_api_gateway_documentation_part" "d" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  location { type = "API" }
  properties = jsonencode({ description = "d${var.v}" })
}

resource "aws_api_gateway_documentation_version" "d" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  version     = "one"
  description = "d${var.v}"
  depends_on  = [aws_api_gateway_documentation_part.d]
}

resource "aws_api_gateway_client_certificate" "c" { description = "c${var.v}" }

resource "aws_api_gateway_deployment" "d" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  description = "dep"
  triggers    = { v = var.v }
  depends_on  = [aws_api_gateway_integration.get, aws_api_gateway_integration_response.post]
  lifecycle { create_before_destroy = true }
}

resource "aws_api_gateway_stage" "s" {
  rest_api_id           = aws_api_gateway_rest_api.a.id
  deployment_id         = aws_api_gateway_deployment.d.id
  stage_name            = "prod"
  description           = "s${var.v}"
  cache_cluster_enabled = true
  cache_cluster_size    = var.v == "1" ? "0.5" : "1.6"
  client_certificate_id = aws_api_gateway_client_certificate.c.id
  documentation_version = aws_api_gateway_documentation_version.d.version
  xray_tracing_enabled  = var.v == "1"
  variables             = var.v == "1" ? { a = "1", b = "2" } : { b = "3" }
  access_log_settings {
    destination_arn = "arn:aws:logs:us-east-1:000000000000:log-group:terraform"
    format          = "$context.requestId ${var.v}"
  }
  tags = { s = var.v }
}

resource "aws_api_gateway_method_settings" "all" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  stage_name  = aws_api_gateway_stage.s.stage_name
  method_path = "*/*"
  settings {
    metrics_enabled       = true
    logging_level         = var.v == "1" ? "INFO" : "ERROR"
    throttling_rate_limit = 10.5
    cache_ttl_in_seconds  = 60
  }
}

resource "aws_api_gateway_method_settings" "one" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  stage_name  = aws_api_gateway_stage.s.stage_name
  method_path = "pets~1{id}/GET"
  settings {
    caching_enabled        = true
    throttling_burst_limit = 7
  }
  depends_on = [aws_api_gateway_method_settings.all]
}

resource "aws_api_gateway_usage_plan" "p" {
  name = "plan${var.v}"
  api_stages {
    api_id = aws_api_gateway_rest_api.a.id
    stage  = aws_api_gateway_stage.s.stage_name
  }
  quota_settings {
    limit  = var.v == "1" ? 20 : 30
    period = "WEEK"
  }
  throttle_settings {
    burst_limit = 5
    rate_limit  = 10
  }
}

resource "aws_api_gateway_api_key" "k" { name = "k${var.v}" }

resource "aws_api_gateway_usage_plan_key" "pk" {
  key_id        = aws_api_gateway_api_key.k.id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.p.id
}

resource "aws_api_gateway_vpc_link" "l" {
  name        = "l${var.v}"
  target_arns = ["arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/x/1"]
}

output "api" { value = aws_api_gateway_rest_api.a.id }
