//! How fast callers may be: what users wrote as buckets of tokens.

use turnpike_snapshot::{Partition, Throttle};

use crate::model::{self, LimitsPartition, LimitsPartitions, MethodSetting, RouteSettings, UsagePlan};
use crate::settings::AccountThrottle;

/// Gateways take no more; as good as no limit.
const REQUESTS_PER_1000_S_MAX: f64 = 1e12;

/// Of finite rates that aren't negative.
pub(super) fn bucket(rate_per_s: f64, burst_requests: u32) -> Throttle {
    let rate = (rate_per_s * 1_000.0).clamp(0.0, REQUESTS_PER_1000_S_MAX).round();
    Throttle::new(rate as u64, burst_requests)
}

pub(super) fn of_plan(plan: &UsagePlan, throttle: &model::Throttle) -> Throttle {
    Throttle { partition: partition(plan.partition), ..bucket(throttle.rate_per_s, throttle.burst_requests) }
}

/// With what was chosen for a route of this key.
pub(super) fn partitioned(
    throttle: Option<Throttle>,
    partitions: &LimitsPartitions,
    route_key: &str,
) -> Option<Throttle> {
    throttle.map(|throttle| Throttle { partition: partition(partitions.of_route(route_key)), ..throttle })
}

fn partition(chosen: Option<LimitsPartition>) -> Partition {
    match chosen {
        None => Partition::Unsaid,
        Some(LimitsPartition::Share) => Partition::Share,
        Some(LimitsPartition::Closed) => Partition::Closed,
        Some(LimitsPartition::Open) => Partition::Open,
    }
}

pub(super) fn of_account(throttle: AccountThrottle) -> Throttle {
    Throttle {
        partition: partition(throttle.partition),
        ..bucket(throttle.rate_per_s.into(), throttle.burst_requests)
    }
}

/// Of a REST API's method; -1 is no limit, of either.
pub(super) fn of_method(setting: &MethodSetting) -> Option<Throttle> {
    let burst = u32::try_from(setting.throttling_burst).ok()?;
    (setting.throttling_rate >= 0.0).then(|| bucket(setting.throttling_rate, burst))
}

/// Of an HTTP API's route, by its own settings and, for what they don't say, those of all routes. A rate without a burst
/// has AWS's burst of an account, and a burst without a rate AWS's rate.
pub(super) fn of_route(own: Option<&RouteSettings>, of_all: &RouteSettings) -> Option<Throttle> {
    let rate = own.and_then(|own| own.throttling_rate).or(of_all.throttling_rate);
    let burst = own.and_then(|own| own.throttling_burst_tokens).or(of_all.throttling_burst_tokens);
    let account = AccountThrottle::default();
    let is_set = rate.is_some() || burst.is_some();
    is_set.then(|| bucket(rate.unwrap_or(account.rate_per_s.into()), burst.unwrap_or(account.burst_requests)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(requests_per_1000_s: u64, burst_requests: u32) -> Throttle {
        Throttle::new(requests_per_1000_s, burst_requests)
    }

    #[test]
    fn rates_become_whole_requests_in_1000_seconds() {
        for (rate, expected) in [
            (0.0, 0),
            (0.5, 500),
            (0.0004, 0),
            (0.0005, 1),
            (10_000.0, 10_000_000),
            (1e300, 1_000_000_000_000),
        ] {
            assert_eq!(bucket(rate, 7), throttle(expected, 7), "{rate}");
        }
        let account = AccountThrottle::default();
        assert_eq!(of_account(account), throttle(10_000_000, 5_000));
        let closed = of_account(AccountThrottle { partition: Some(LimitsPartition::Closed), ..account });
        assert_eq!((closed.partition, closed.burst_requests), (Partition::Closed, 5_000));
    }

    #[test]
    fn methods_without_a_limit_have_no_bucket() {
        let of = |rate, burst| {
            of_method(&MethodSetting {
                throttling_rate: rate,
                throttling_burst: burst,
                ..MethodSetting::default()
            })
        };
        assert_eq!(of(5.0, 3), Some(throttle(5_000, 3)));
        assert_eq!(of(0.0, 0), Some(throttle(0, 0)), "nobody may call");
        assert_eq!([of(-1.0, 3), of(5.0, -1), of(-1.0, -1)], [None; 3]);
    }

    #[test]
    fn routes_have_what_all_have_where_they_say_nothing() {
        let settings = |rate: Option<f64>, burst| RouteSettings {
            throttling_rate: rate,
            throttling_burst_tokens: burst,
            ..RouteSettings::default()
        };
        let all = settings(Some(100.0), Some(50));
        let none = settings(None, None);
        for (own, of_all, expected) in [
            (None, &none, None),
            (None, &all, Some(throttle(100_000, 50))),
            (Some(settings(Some(1.0), Some(2))), &all, Some(throttle(1_000, 2))),
            (Some(settings(Some(1.0), None)), &all, Some(throttle(1_000, 50))),
            (Some(settings(None, Some(2))), &all, Some(throttle(100_000, 2))),
            (Some(settings(Some(1.0), None)), &none, Some(throttle(1_000, 5_000))),
            (Some(settings(None, Some(2))), &none, Some(throttle(10_000_000, 2))),
            (None, &settings(None, Some(3)), Some(throttle(10_000_000, 3))),
        ] {
            assert_eq!(of_route(own.as_ref(), of_all), expected, "{own:?} {of_all:?}");
        }
    }
}
