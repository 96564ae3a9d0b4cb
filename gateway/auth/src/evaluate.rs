//! What policies together say of a request.

use crate::context::Context;
use crate::document::{Effect, Policy};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// ARN of the caller; `None` for somebody unknown.
    pub principal: Option<&'a str>,
    /// Such as `apigateway:GET`.
    pub action: &'a str,
    /// An ARN, or `*` where the action has none.
    pub resource: &'a str,
    pub context: &'a Context,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'p> {
    /// No statement denies it, and this one allows it.
    Allowed(Because<'p>),
    /// This statement denies it, whatever others say.
    Denied(Because<'p>),
    /// No statement speaks of it.
    NotAllowed,
}

/// The statement that decided: the first of its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Because<'p> {
    /// Place of its policy among those that were asked.
    pub policy: usize,
    /// Its place in the policy.
    pub statement: usize,
    pub sid: Option<&'p str>,
}

/// Asks all of the policies.
#[must_use]
pub fn evaluate<'p>(policies: impl IntoIterator<Item = &'p Policy>, request: &Request<'_>) -> Decision<'p> {
    let mut allowed = None;
    for (policy, document) in policies.into_iter().enumerate() {
        for (statement, of) in document.statements.iter().enumerate() {
            if !of.applies(request) {
                continue;
            }
            let because = Because { policy, statement, sid: of.sid.as_deref() };
            match of.effect {
                Effect::Deny => return Decision::Denied(because),
                Effect::Allow => {
                    allowed.get_or_insert(because);
                }
            }
        }
    }
    allowed.map_or(Decision::NotAllowed, Decision::Allowed)
}
