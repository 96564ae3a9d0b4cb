//! x
pub(crate) const DEFAULT_FORMAT: &str = "";
