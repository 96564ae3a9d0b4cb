//! Turnpike's own extension of the management API: where VPC links and integrations lead, which no resource of AWS
//! can say here.

mod document;
pub(super) mod targets;
