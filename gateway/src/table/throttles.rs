//! Throttles as requests come to them: names of buckets, and rates.
//!
//! A bucket's name says whose it is and nothing else, so that it outlives snapshots that change its rate or anything
//! around it, and is the same at every gateway.

use ring::digest::{SHA256, digest};
use turnpike_limits::{Limit, LimitId, Rate};
use turnpike_snapshot::Throttle;

pub(super) fn of_account(account_id: &str, throttle: Throttle) -> Limit {
    limit(&["account", account_id], throttle)
}

/// The stage's canary shares the bucket.
pub(super) fn of_route(stage_path: &str, method: &str, path: &str, throttle: Throttle) -> Limit {
    limit(&["route", stage_path, method, path], throttle)
}

fn limit(name: &[&str], throttle: Throttle) -> Limit {
    Limit { id: id(name), rate: Rate::per_1000_s(throttle.requests_per_1000_s, throttle.burst_requests) }
}

/// The first eight bytes of a SHA-256; none of the parts can hold a line feed.
fn id(name: &[&str]) -> LimitId {
    let digest = digest(&SHA256, name.join("\n").as_bytes());
    LimitId(digest.as_ref()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_differ() {
        let throttle = Throttle { requests_per_1000_s: 500, burst_requests: 3 };
        let route = |stage, method, path| of_route(stage, method, path, throttle).id;
        let ids = [
            of_account("000000000000", throttle).id,
            route("a1/prod", "GET", "/pets"),
            route("a1/prod", "GET", "/pets/{id}"),
            route("a1/prod", "ANY", "/pets"),
            route("a1/test", "GET", "/pets"),
            route("a2/prod", "GET", "/pets"),
        ];
        let distinct: std::collections::HashSet<LimitId> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
        let faster = Throttle { requests_per_1000_s: 1_000, ..throttle };
        assert_eq!(of_route("a1/prod", "GET", "/pets", faster).id, ids[1]);
        assert_eq!(of_route("a1/prod", "GET", "/pets", throttle).rate, Rate::new(0.5, 3));
    }

    #[test]
    fn a_name_is_the_same_at_every_gateway() {
        assert_eq!(id(&["account", "000000000000"]), LimitId(0xd4e3_f982_f064_e602));
    }
}
