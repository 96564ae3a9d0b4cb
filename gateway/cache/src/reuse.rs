//! What may be done with a stored response that was found for a request (RFC 9111 4, 5.2.1; RFC 5861).

use crate::facts::RequestFacts;
use crate::freshness::Freshness;

/// What a request asks of a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// It is to be fetched anew.
    pub refresh: bool,
    pub age_ms_max: Option<u64>,
    pub fresh_ms_min: u64,
}

impl Demand {
    /// HTTP's own wishes of a client. `obeyed`: the client may have the origin asked when it likes.
    #[must_use]
    pub fn of(request: &RequestFacts<'_>, obeyed: bool) -> Self {
        if !obeyed {
            return Self::default();
        }
        let control = &request.control;
        Self {
            refresh: control.no_cache || control.asks_for_refresh(),
            age_ms_max: control.max_age.map(|seconds| seconds * 1000),
            fresh_ms_min: control.min_fresh.unwrap_or(0) * 1000,
        }
    }
}

/// What a stored response is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    Fresh,
    /// It is used, and one request asks the origin meanwhile.
    WhileRevalidating,
    /// Only after the origin was asked.
    AfterRevalidation,
}

#[must_use]
pub fn reuse(freshness: &Freshness, demand: &Demand, now_ms: u64) -> Reuse {
    let age_ms = || freshness.age_s(now_ms) * 1000;
    let accepted = !demand.refresh
        && demand.age_ms_max.is_none_or(|age_ms_max| age_ms() <= age_ms_max)
        && (demand.fresh_ms_min == 0 || freshness.left_ms(now_ms) >= demand.fresh_ms_min);
    if !accepted || freshness.always_validated {
        Reuse::AfterRevalidation
    } else if freshness.is_fresh(now_ms) {
        Reuse::Fresh
    } else if now_ms < freshness.usable_ms {
        Reuse::WhileRevalidating
    } else {
        Reuse::AfterRevalidation
    }
}

impl Freshness {
    /// Whether it may be used though it is stale, because the origin can't be reached or has answered with a status
    /// of RFC 5861 4.
    #[must_use]
    pub fn covers_failure(&self, now_ms: u64, status: Option<u16>) -> bool {
        now_ms < self.usable_on_error_ms
            && !self.always_validated
            && status.is_none_or(|status| matches!(status, 500 | 502 | 503 | 504))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESHNESS: Freshness = Freshness {
        stored_ms: 1_000,
        age_ms: 5_000,
        stale_ms: 11_000,
        usable_ms: 21_000,
        usable_on_error_ms: 31_000,
        always_validated: false,
        never_stale: false,
    };

    fn demand(value: &str) -> Demand {
        let lines = [(&b"cache-control"[..], value.as_bytes())];
        Demand::of(&RequestFacts::gather(lines), true)
    }

    #[test]
    fn it_is_fresh_then_usable_then_not() {
        for (now_ms, expected) in [
            (1_000, Reuse::Fresh),
            (10_999, Reuse::Fresh),
            (11_000, Reuse::WhileRevalidating),
            (20_999, Reuse::WhileRevalidating),
            (21_000, Reuse::AfterRevalidation),
        ] {
            assert_eq!(reuse(&FRESHNESS, &Demand::default(), now_ms), expected, "{now_ms}");
        }
        let never = Freshness { always_validated: true, ..FRESHNESS };
        assert_eq!(reuse(&never, &Demand::default(), 1_000), Reuse::AfterRevalidation);
    }

    #[test]
    fn a_request_may_want_it_younger() {
        for (said, expected) in [
            ("max-age=5", Reuse::Fresh),
            ("max-age=4", Reuse::AfterRevalidation),
            ("max-age=0", Reuse::AfterRevalidation),
            ("no-cache", Reuse::AfterRevalidation),
            ("min-fresh=10", Reuse::Fresh),
            ("min-fresh=11", Reuse::AfterRevalidation),
            ("max-stale=100", Reuse::Fresh),
        ] {
            assert_eq!(reuse(&FRESHNESS, &demand(said), 1_000), expected, "{said}");
        }
        let lines = [(&b"cache-control"[..], &b"no-cache"[..])];
        assert_eq!(Demand::of(&RequestFacts::gather(lines), false), Demand::default());
    }

    #[test]
    fn a_failure_is_covered_for_a_time() {
        assert!(FRESHNESS.covers_failure(30_999, None) && FRESHNESS.covers_failure(5, Some(503)));
        assert!(!FRESHNESS.covers_failure(31_000, None));
        assert!(!FRESHNESS.covers_failure(12_000, Some(404)) && !FRESHNESS.covers_failure(12_000, Some(501)));
    }

    #[test]
    fn age_counts_from_the_origin() {
        assert_eq!((FRESHNESS.age_s(1_000), FRESHNESS.age_s(3_999), FRESHNESS.age_s(0)), (5, 7, 5));
    }
}
