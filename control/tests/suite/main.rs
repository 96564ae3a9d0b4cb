//! The management API and its processes, from the outside.

mod access;
mod canary;
mod command_line;
mod crash;
mod domains;
mod edge;
mod http_apis;
mod http_authorizers;
mod http_integrations;
mod http_routes;
mod http_stages;
mod keys;
mod links;
mod openapi_http;
mod openapi_rest;
mod openapi_whole;
mod rest_api;
mod rest_apis;
mod rest_integrations;
mod rest_methods;
mod rest_resources;
mod rest_stages;
mod routing_rules;
mod shared_store;
mod support;
mod upstream_tls;
