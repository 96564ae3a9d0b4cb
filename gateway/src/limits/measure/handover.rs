//! `turnpike-gateway measure-handover`: how long it takes until all buckets have gone over in an upgrade, and for how long a
//! request waits meanwhile. Both limiters are in this process, with the connection of two between them.

use std::io;
use std::os::unix::net::UnixStream;

use serde::Serialize;
use turnpike_limits::{Limit, LimitId, Rate};
use turnpike_rt::{Bell, BellListener, Clock};

use super::{Shard, print};
use crate::limits::{Inheritance, LimiterLine, Limits};
use crate::mailbox::Mailbox;
use crate::settings::Settings;

/// Of each limit one is used, which doesn't come back while this lasts.
const RATE: Rate = Rate::per_1000_s(1, 10);
/// Limits that are begun between two ticks.
const TICK_LIMITS: usize = 100;
/// From one that is asked for to the next, so that few of them have come already.
const STRIDE: usize = 611_953;

#[derive(Debug, Serialize)]
struct Measured {
    limits: usize,
    /// Until all had gone over.
    ms: f64,
    /// Of the successor's, meanwhile; each on a limit that wasn't asked for before.
    decisions: u64,
    p50_us: u64,
    worst_us: u64,
    /// Those that weren't admitted, though there was a token.
    refused: u64,
}

pub(crate) fn run(settings: &Settings, limits: usize) -> std::process::ExitCode {
    print(measure(settings, limits))
}

fn measure(settings: &Settings, limits: usize) -> io::Result<Measured> {
    let clock = Clock::start();
    let (mut before, line, _listener) = shard(settings, clock, None)?;
    for number in 0..limits {
        before.limit = limit(number);
        // Far more often than a shard's, which asks for far fewer in the time.
        if number.is_multiple_of(TICK_LIMITS) {
            before.limits.tick();
        }
        if !before.is_admitted() {
            return Err(io::Error::other(format!("limits_max: {number} limits fit, not {limits}")));
        }
    }
    let (here, there) = UnixStream::pair()?;
    let resumed = Clock::resumed(clock.now_us());
    let inheritance = Inheritance { stream: there, holders: 1, limits, clock: resumed };
    let (mut after, successor, _listener) = shard(settings, resumed, Some(inheritance))?;
    let begin_us = clock.now_us();
    line.depart(here)?;
    let (mut waits_us, mut refused) = (Vec::new(), 0);
    while successor.is_arriving() {
        after.limit = limit(waits_us.len() * STRIDE % limits.max(1));
        let asked_us = clock.now_us();
        before.tick(asked_us);
        after.tick(asked_us);
        refused += u64::from(!after.is_admitted());
        waits_us.push(clock.now_us() - asked_us);
    }
    let ms = (clock.now_us() - begin_us) as f64 / 1_000.0;
    waits_us.sort_unstable();
    let at = |index: usize| waits_us.get(index).copied().unwrap_or(0);
    let decisions = waits_us.len();
    Ok(Measured {
        limits,
        ms,
        decisions: decisions as u64,
        p50_us: at(decisions / 2),
        worst_us: at(decisions.saturating_sub(1)),
        refused,
    })
}

fn limit(number: usize) -> Limit {
    Limit { id: LimitId(number as u64 + 1), rate: RATE }
}

/// A shard that is alone with its limiter.
fn shard(
    settings: &Settings,
    clock: Clock,
    inheritance: Option<Inheritance>,
) -> io::Result<(Shard, LimiterLine, BellListener)> {
    let (bell, listener) = Bell::pair()?;
    let mailbox = Mailbox::new(bell);
    let line = LimiterLine::new(settings, std::slice::from_ref(&mailbox), clock, inheritance)?;
    let limits = Limits::new(0, settings, line.clone(), mailbox, clock);
    Ok((Shard { limits, clock, limit: limit(0), tick_us: clock.now_us() }, line, listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_handed_over_keep_what_they_have() {
        let mut settings = Settings::defaults();
        settings.limit_wait_ms = 10_000;
        let measured = measure(&settings, 20_000).unwrap();
        assert_eq!((measured.limits, measured.refused), (20_000, 0), "{measured:?}");
    }
}
