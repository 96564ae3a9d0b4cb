//! Turnpike's own extension of the management API: where VPC links and integrations lead, which no resource of AWS
//! can say here; how a stage caches and compresses beyond what AWS has; what throttles let through while gateways can't
//! share them; what a deployment would change; all that a folder of documents says at once; and the audit log.

pub(super) mod apply;
pub(super) mod audit;
pub(super) mod cache;
pub(super) mod compression;
pub(super) mod diff;
mod document;
pub(super) mod limits;
mod stage;
pub(super) mod targets;
