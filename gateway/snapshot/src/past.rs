//! Units of formats before, as gateways have them on their disks and get them of a control that isn't upgraded yet: they are
//! read, never written. What a later format has changed is declared here as it was; all else is as it is, so that a change to
//! one of those types puts its present form here first. Each format becomes the one after it, so that a new one is told of
//! by the last alone.

pub(crate) mod v3;
pub(crate) mod v4;
