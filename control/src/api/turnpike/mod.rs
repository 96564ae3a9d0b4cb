//! Turnpike's own extension of the management API: where VPC links and integrations lead, which no resource of AWS
//! can say here; what a deployment would change; and the audit log.

pub(super) mod audit;
pub(super) mod diff;
mod document;
pub(super) mod targets;
