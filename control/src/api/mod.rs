//! The management API: AWS's own wire shapes over HTTP, every call signed.
//!
//! A request's life: read the body within its limits, verify the signature, find the operation, ask the caller's
//! policies, run it in a transaction with its record in the audit log, answer. Nothing of a request is looked at
//! before its signature holds.

mod access;
mod access_log;
mod acm;
mod call;
mod content;
mod dispatch;
mod domains;
mod entities;
mod error;
mod exports;
mod framing;
mod functions;
mod iam;
mod imports;
mod json;
mod links;
mod listener;
mod members;
mod model_template;
mod operations;
mod places;
mod prepared;
mod reply;
mod serve;
mod server;
mod status;
mod tag_rules;
mod tags;
mod turnpike;
mod v1;
mod v2;

pub use access::Peer;
pub use error::ApiError;
pub(crate) use json::parse as unique_json;
pub use listener::{BoundedListener, BoundedStream};
pub use serve::serve;
pub use server::Api;
pub use status::{STATUS_PATH, Status, StatusGateway, StatusGroup, StatusRefusedRoute, StatusUnenforced};

/// What clients sign their calls for; both services of APIs share it.
pub const SIGNING_NAME: &str = "apigateway";
