//! The floors: what a responder and a proxy cost at least with this runtime on this machine.

pub(crate) mod head;
pub(crate) mod listen;
pub(crate) mod origin;
pub(crate) mod passthrough;
