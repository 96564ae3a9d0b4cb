//! The management API and its processes, from the outside.

mod command_line;
mod crash;
mod domains;
mod edge;
mod http_apis;
mod http_authorizers;
mod http_integrations;
mod http_routes;
mod http_stages;
mod links;
mod openapi_http;
mod rest_api;
mod support;
mod upstream_tls;
