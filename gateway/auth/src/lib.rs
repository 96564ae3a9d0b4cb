//! AWS's policy language: documents are read once, with everything that has a grammar checked, and then say of a
//! request whether it is allowed, denied, or not spoken of. No I/O and no clock: what conditions look at, the time
//! included, is a [`Context`] that the caller fills.
//!
//! Invariants: a statement that denies wins over every one that allows; what no statement allows isn't allowed; a
//! document with an element that isn't known here is refused as a whole. Source: 'IAM JSON policy reference' in the
//! IAM user guide.

mod condition;
mod context;
mod document;
mod evaluate;
mod operator;
mod pattern;
mod values;

pub use context::Context;
pub use document::{Kind, Policy, PolicyError};
pub use evaluate::{Because, Decision, Request, evaluate};
pub use values::parse_date;
