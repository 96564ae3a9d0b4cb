//! Turnpike's own extension of the management API: where VPC links and integrations lead, which no resource of AWS
//! can say here; and the audit log.

pub(super) mod audit;
mod document;
pub(super) mod targets;
