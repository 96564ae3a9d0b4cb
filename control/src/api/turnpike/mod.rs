//! Turnpike's own extension of the management API: where VPC links and integrations lead, which no resource of AWS
//! can say here, and what a deployment would change.

pub(super) mod diff;
mod document;
pub(super) mod targets;
