//! OpenAPI documents: Swagger 2.0, OpenAPI 3.0 and 3.1 are read, Swagger 2.0 and OpenAPI 3.0 are written, both with
//! AWS's `x-amazon-apigateway-*` extensions.
//!
//! Nothing here knows the store or a handler. A document becomes a plan: what each management operation would be
//! sent. `api` runs a plan through those operations' own handlers, and makes exports of what they answer, so that
//! nothing is checked twice and what is exported can be imported. Whoever sends a document can't make it cost more
//! than its limits say.

mod budget;
mod document;
mod extensions;
mod http;
mod integration;
mod operations;
mod place;
mod problems;
mod rest;
mod security;
mod text;
mod text_max;
mod yaml;

pub use budget::{DocumentLimits, TooLarge};
pub use document::{BasePathMode, Document, DocumentError, Substitutes, Version};
pub use http::{HttpExport, HttpPlan, Planned, PlannedRoute, export_http, plan_http, tags_of_http};
pub use place::Place;
pub use problems::{Problems, Severity};
pub use rest::{
    Dialect, ExportError, Extensions, PlannedIntegration, PlannedMethod, PlannedModel, PlannedResponse,
    RestExport, RestPlan, export_rest, plan_rest,
};
pub use text::{Format, TextError, read_text, write_text};
