//! Why a try failed, in ACM's words, and whether another one may help.

use std::error::Error as StdError;

use instant_acme::{Error, Problem};

use crate::change::ChangeError;
use crate::pki::PkiError;
use crate::store::StoreError;

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// ACM's name.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The authority will never say anything else.
    pub(super) is_final: bool,
    /// The order can't be gone on with.
    pub(super) ends_order: bool,
    /// The authority doesn't know the account (any more).
    pub(super) ends_account: bool,
}

impl Failure {
    /// Something on the way, which may be mended by then.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self {
            reason: "OTHER",
            message: message.into(),
            is_final: false,
            ends_order: false,
            ends_account: false,
        }
    }

    /// The authority hasn't found what it looked for.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self { reason: "DOMAIN_VALIDATION_DENIED", ends_order: true, ..Self::passing(message) }
    }

    /// What the authority calls wrong (RFC 8555 6.7).
    pub(super) fn of_problem(problem: &Problem) -> Self {
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
        let message = format!("the certificate authority says: {problem}");
        let passing = Self::passing(message.clone());
        match kind {
            "rejectedIdentifier" | "unsupportedIdentifier" => {
                Self { reason: "DOMAIN_NOT_ALLOWED", is_final: true, ends_order: true, ..passing }
            }
            "caa" => Self { reason: "CAA_ERROR", is_final: true, ends_order: true, ..passing },
            "unauthorized" | "incorrectResponse" | "connection" | "dns" | "tls" => Self::denied(message),
            "accountDoesNotExist" => Self { ends_order: true, ends_account: true, ..passing },
            "malformed" | "orderNotReady" | "badCSR" => Self { ends_order: true, ..passing },
            _ => passing,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Api(problem) => Self::of_problem(problem),
            Error::Timeout(_) => {
                Self::passing("the certificate authority took too long (acme_order_timeout_ms)")
            }
            other => Self::passing(format!("asking the certificate authority failed: {}", causes(other))),
        }
    }
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        let message = format!("the certificate authority's certificate can't be used: {error}");
        Self { ends_order: true, ..Self::passing(message) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::passing(error.to_string())
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        Self::passing(error.to_string())
    }
}

/// An error with what is behind it: hyper's own says little.
fn causes(error: &dyn StdError) -> String {
    let mut said = vec![error.to_string()];
    let mut behind = error.source();
    while let Some(cause) = behind {
        let text = cause.to_string();
        if !said.last().is_some_and(|last| last.contains(&text)) {
            said.push(text);
        }
        behind = cause.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str) -> Failure {
        let problem = Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: Some("because".to_owned()),
            status: None,
            subproblems: Vec::new(),
        };
        Failure::from(Error::Api(problem))
    }

    #[test]
    fn what_the_authority_will_not_do_is_final() {
        for (kind, reason, is_final) in [
            ("rejectedIdentifier", "DOMAIN_NOT_ALLOWED", true),
            ("caa", "CAA_ERROR", true),
            ("unauthorized", "DOMAIN_VALIDATION_DENIED", false),
            ("connection", "DOMAIN_VALIDATION_DENIED", false),
            ("rateLimited", "OTHER", false),
            ("serverInternal", "OTHER", false),
        ] {
            let failure = of(kind);
            assert_eq!((failure.reason, failure.is_final), (reason, is_final), "{kind}");
            assert!(failure.message.contains("because"), "{failure:?}");
        }
        assert!(of("accountDoesNotExist").ends_account);
        assert!(!of("serverInternal").ends_order);
    }
}
