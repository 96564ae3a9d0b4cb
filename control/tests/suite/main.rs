//! The management API and its processes, from the outside.

mod command_line;
mod crash;
mod domains;
mod edge;
mod http_api;
mod links;
mod openapi_http;
mod openapi_rest;
mod rest_api;
mod support;
mod upstream_tls;
