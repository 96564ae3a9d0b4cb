//! A client's wish that a response be fetched anew, `Cache-Control: max-age=0`, and who may have it (AWS: Invalidate
//! an API Gateway cache entry).

/// What becomes of the wish of a client who may not (`unauthorizedCacheControlHeaderStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpermitted {
    /// `FAIL_WITH_403`
    Refuse,
    /// `SUCCEED_WITH_RESPONSE_HEADER`
    IgnoreWithWarning,
    /// `SUCCEED_WITHOUT_RESPONSE_HEADER`
    Ignore,
}

/// What becomes of a request's wish, or of its not having one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalidation {
    None,
    Granted,
    Ignored {
        /// The answer says so.
        warns: bool,
    },
    /// 403
    Refused,
}

/// The value of `Warning` where a wish was ignored: 199 is for what is to be shown to a human (RFC 7234 5.5.7).
pub const WARNING: &str = "199 - \"Cache-Control was ignored: not permitted to invalidate the cache\"";

/// `needs_permission` is the method's `requireAuthorizationForCacheControl`; `permitted`, whether the caller has been
/// granted `execute-api:InvalidateCache`.
#[must_use]
pub fn invalidation(
    asked: bool,
    needs_permission: bool,
    permitted: bool,
    otherwise: Unpermitted,
) -> Invalidation {
    match otherwise {
        _ if !asked => Invalidation::None,
        _ if !needs_permission || permitted => Invalidation::Granted,
        Unpermitted::Refuse => Invalidation::Refused,
        Unpermitted::IgnoreWithWarning => Invalidation::Ignored { warns: true },
        Unpermitted::Ignore => Invalidation::Ignored { warns: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case() {
        use Invalidation::{Granted, Ignored, None, Refused};
        for (asked, needs_permission, permitted, otherwise, expected) in [
            (false, true, false, Unpermitted::Refuse, None),
            (true, false, false, Unpermitted::Refuse, Granted),
            (true, true, true, Unpermitted::Refuse, Granted),
            (true, true, false, Unpermitted::Refuse, Refused),
            (true, true, false, Unpermitted::IgnoreWithWarning, Ignored { warns: true }),
            (true, true, false, Unpermitted::Ignore, Ignored { warns: false }),
        ] {
            assert_eq!(invalidation(asked, needs_permission, permitted, otherwise), expected);
        }
    }
}
