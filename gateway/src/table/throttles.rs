//! Throttles as requests come to them: names of buckets, and rates.
//!
//! A bucket's name says whose it is and nothing else, so that it outlives snapshots that change its rate or anything
//! around it, and is the same at every gateway.

use ring::digest::{SHA256, digest};
use turnpike_limits::{Limit, LimitId, Partition, Rate};
use turnpike_snapshot::Throttle;

pub(super) fn of_account(account_id: &str, throttle: Throttle) -> Limit {
    limit(&["account", account_id], throttle)
}

/// The stage's canary shares the bucket.
pub(super) fn of_route(stage_path: &str, method: &str, path: &str, throttle: Throttle) -> Limit {
    limit(&["route", stage_path, method, path], throttle)
}

/// Of some key; [`of_key`] makes it a certain one's.
pub(super) fn of_plan(plan_id: &str, throttle: Throttle) -> Limit {
    limit(&["plan", plan_id], throttle)
}

/// As [`of_plan`], of one route.
pub(super) fn of_plan_route(plan_id: &str, stage_path: &str, route_key: &str, throttle: Throttle) -> Limit {
    limit(&["plan route", plan_id, stage_path, route_key], throttle)
}

pub(super) fn salt_of_key(key_id: &str) -> u64 {
    id(&["key", key_id]).0
}

pub(super) fn salt_of_plan(plan_id: &str) -> u64 {
    id(&["quota", plan_id]).0
}

/// Both parts are as good as random, and so is their sum: a million keys need no table of their buckets' names.
pub(super) fn of_key(limit: Limit, salt: u64) -> Limit {
    Limit { id: LimitId(limit.id.0.wrapping_add(salt)), ..limit }
}

fn limit(name: &[&str], throttle: Throttle) -> Limit {
    let rate = Rate::per_1000_s(throttle.requests_per_1000_s, throttle.burst_requests);
    Limit { id: id(name), rate: rate.with_partition(partition(throttle.partition)) }
}

fn partition(said: turnpike_snapshot::Partition) -> Option<Partition> {
    match said {
        turnpike_snapshot::Partition::Unsaid => None,
        turnpike_snapshot::Partition::Share => Some(Partition::Share),
        turnpike_snapshot::Partition::Closed => Some(Partition::Closed),
        turnpike_snapshot::Partition::Open => Some(Partition::Open),
    }
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
        let throttle = Throttle::new(500, 3);
        let route = |stage, method, path| of_route(stage, method, path, throttle).id;
        let ids = [
            of_account("000000000000", throttle).id,
            route("a1/prod", "GET", "/pets"),
            route("a1/prod", "GET", "/pets/{id}"),
            route("a1/prod", "ANY", "/pets"),
            route("a1/test", "GET", "/pets"),
            route("a2/prod", "GET", "/pets"),
            of_plan("p1", throttle).id,
            of_key(of_plan("p1", throttle), salt_of_key("k1")).id,
            of_key(of_plan("p1", throttle), salt_of_key("k2")).id,
            of_key(of_plan("p2", throttle), salt_of_key("k1")).id,
            of_key(of_plan_route("p1", "a1/prod", "GET /pets", throttle), salt_of_key("k1")).id,
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
