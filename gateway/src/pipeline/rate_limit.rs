//! Rate limit: what a throttled client is told of its throttles, where `rate_limit_fields` is on; AWS tells nothing.
//!
//! `Retry-After` (RFC 9110 10.2.3), and draft-ietf-httpapi-ratelimit-headers-11: `RateLimit` for the throttle that has
//! refused, `RateLimit-Policy` for all that the request came under but the account's, which would say how much the
//! whole gateway takes (8.2 there). Worked out when the refusal is written, from what the request itself says. Admitted
//! answers have none: what is left of a bucket is known to the limiter alone, and no shard knows a number that is true.
//!
//! A policy's `w` is how long its burst `q` takes to fill, in whole seconds, rounded up: alone, a client that sends no
//! more than `q` in any `w` seconds isn't refused by it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use turnpike_http::encode;
use turnpike_limits::{Limit, Rate};

use super::throttle::{Applied, Level, Throttled};
use super::{Exchange, Record, identify};

pub(super) fn encode(exchange: &Exchange<'_>, throttled: Throttled, record: &Record<'_>, out: &mut Vec<u8>) {
    let Throttled::Empty(empty, retry_at_us) = throttled else { return };
    let (Some(stage), Some(route)) = (record.stage, record.route) else { return };
    let caller = if route.api_key_required { identify::caller(exchange, stage) } else { None };
    let Some(applied) = Applied::to(exchange, route, caller) else { return };
    let retry_after_s = retry_at_us.and_then(|at_us| seconds_until(at_us, exchange.shard.clock.now_us()));
    encode_fields(&applied, empty, retry_after_s, out);
}

fn encode_fields(applied: &Applied, empty: Level, retry_after_s: Option<u64>, out: &mut Vec<u8>) {
    if let Some(retry_after_s) = retry_after_s {
        out.extend_from_slice(b"Retry-After: ");
        encode::decimal(out, retry_after_s);
        out.extend_from_slice(b"\r\n");
    }
    let mut policies = applied.iter().filter(|(level, _)| *level != Level::Account).peekable();
    if policies.peek().is_some() {
        out.extend_from_slice(b"RateLimit-Policy: ");
        while let Some((level, limit)) = policies.next() {
            encode_policy(level, limit, out);
            out.extend_from_slice(if policies.peek().is_some() { b", " } else { b"\r\n" });
        }
    }
    if let Some((level, limit)) = applied.iter().find(|(level, _)| *level == empty) {
        out.extend_from_slice(b"RateLimit: ");
        encode_name(level, out);
        parameter("r", 0, out);
        if let Some(retry_after_s) = retry_after_s {
            parameter("t", retry_after_s, out);
        }
        encode_partition(level, limit, out);
        out.extend_from_slice(b"\r\n");
    }
}

fn encode_policy(level: Level, limit: Limit, out: &mut Vec<u8>) {
    encode_name(level, out);
    let closed = limit.rate.is_closed();
    parameter("q", if closed { 0 } else { u64::from(limit.rate.burst_tokens()) }, out);
    if !closed {
        parameter("w", filled_s(limit.rate), out);
    }
    encode_partition(level, limit, out);
}

fn encode_name(level: Level, out: &mut Vec<u8>) {
    out.extend_from_slice(match level {
        Level::Account => b"\"account\"",
        Level::Route => b"\"route\"",
        Level::Plan => b"\"usage-plan\"",
        Level::PlanRoute => b"\"usage-plan-route\"",
    });
}

fn parameter(name: &str, value: u64, out: &mut Vec<u8>) {
    out.push(b';');
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    encode::decimal(out, value);
}

/// Tells buckets of the same name apart; there is one account.
fn encode_partition(level: Level, limit: Limit, out: &mut Vec<u8>) {
    if level == Level::Account {
        return;
    }
    let mut text = [0; 12];
    // Eight bytes are twelve characters.
    if BASE64_STANDARD.encode_slice(limit.id.0.to_be_bytes(), &mut text).is_ok() {
        out.extend_from_slice(b";pk=:");
        out.extend_from_slice(&text);
        out.push(b':');
    }
}

/// Whole seconds, rounded up, at least one; none where that time never comes.
fn seconds_until(at_us: u64, now_us: u64) -> Option<u64> {
    (at_us < u64::MAX).then(|| at_us.saturating_sub(now_us).div_ceil(1_000_000).max(1))
}

/// How long an empty bucket takes to be full again, of a rate that isn't closed.
fn filled_s(rate: Rate) -> u64 {
    (u64::from(rate.burst_tokens()) * 1_000_000).div_ceil(rate.micro_tokens_per_s())
}

#[cfg(test)]
mod tests {
    use turnpike_limits::LimitId;

    use super::*;

    fn limit(id: u64, requests_per_1000_s: u64, burst: u32) -> Limit {
        Limit { id: LimitId(id), rate: Rate::per_1000_s(requests_per_1000_s, burst) }
    }

    #[track_caller]
    fn assert_fields(limits: &[(Level, Limit)], empty: Level, retry_after_s: Option<u64>, fields: &str) {
        let mut out = Vec::new();
        encode_fields(&Applied::of(limits), empty, retry_after_s, &mut out);
        assert_eq!(String::from_utf8(out).unwrap().replace("\r\n", "\n"), fields);
    }

    #[test]
    fn each_throttle_is_told_and_the_one_that_refused() {
        let account = (Level::Account, limit(1, 10_000_000, 5_000));
        let route = (Level::Route, limit(0x0102_0304_0506_0708, 500, 3));
        let plan = (Level::Plan, limit(u64::MAX, 1, u32::MAX));
        let closed = (Level::PlanRoute, limit(0, 0, 5));
        assert_fields(
            &[account, route, plan],
            Level::Route,
            Some(2),
            "Retry-After: 2\n\
             RateLimit-Policy: \"route\";q=3;w=6;pk=:AQIDBAUGBwg=:, \
             \"usage-plan\";q=4294967295;w=4294967295000;pk=://////////8=:\n\
             RateLimit: \"route\";r=0;t=2;pk=:AQIDBAUGBwg=:\n",
        );
        assert_fields(
            &[account],
            Level::Account,
            Some(1),
            "Retry-After: 1\nRateLimit: \"account\";r=0;t=1\n",
        );
        assert_fields(
            &[closed],
            Level::PlanRoute,
            None,
            "RateLimit-Policy: \"usage-plan-route\";q=0;pk=:AAAAAAAAAAA=:\n\
             RateLimit: \"usage-plan-route\";r=0;pk=:AAAAAAAAAAA=:\n",
        );
    }

    #[test]
    fn seconds_are_whole_and_never_too_few() {
        for (at_us, seconds) in [(0, 1), (7, 1), (1_000_007, 1), (1_000_008, 2), (9_000_007, 9)] {
            assert_eq!(seconds_until(at_us, 7), Some(seconds), "{at_us}");
        }
        assert_eq!(seconds_until(u64::MAX, 7), None);
        for (requests_per_1000_s, burst, seconds) in
            [(1_000, 5, 5), (1_000_000, 1, 1), (10_000_000, 5_000, 1), (300, 1, 4), (1, 2, 2_000)]
        {
            assert_eq!(filled_s(Rate::per_1000_s(requests_per_1000_s, burst)), seconds);
        }
    }
}
