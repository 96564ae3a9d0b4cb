//! `turnpike-gateway measure-limiter`: how fast, how exact and how sparing the limiter is on the shards' cores, without any
//! request: each core's thread asks for one limit's tokens as fast as it can, through what shards ask through.
//!
//! No generator on the same machine could ask so often over sockets. Nobody listens to the bells: a thread that waits looks
//! for its answer instead.

pub(crate) mod handover;

use std::future::Future as _;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use turnpike_limits::{Limit, LimitId, Rate};
use turnpike_rt::{Bell, Clock};

use super::{LimiterLine, Limits};
use crate::mailbox::Mailbox;
use crate::settings::Settings;
use crate::wheel::TICK_MS;

/// Until all threads are there.
const START_US: u64 = 50_000;

/// The limit that is asked for, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) rate_per_s: u32,
    pub(crate) burst_requests: u32,
    pub(crate) seconds: u32,
}

/// What came of it, as JSON on standard output.
#[derive(Debug, Serialize)]
struct Measured {
    shards: usize,
    decisions: u64,
    admitted: u64,
    /// By how much the worst of all windows was beyond burst + rate x window; 0 if none was.
    beyond: u64,
    /// Admitted of burst + rate x time.
    share: f64,
    /// Of a thread's time, with a reading of the clock beside the one that a decision takes itself.
    ns_per_decision: f64,
    ns_per_reading: f64,
}

pub(crate) fn run(settings: &Settings, load: Load) -> ExitCode {
    print(measure(settings, load))
}

fn print(measured: std::io::Result<impl Serialize>) -> ExitCode {
    match measured.and_then(|measured| serde_json::to_string(&measured).map_err(From::from)) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            report!("turnpike-gateway: the limiter can't be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(settings: &Settings, load: Load) -> std::io::Result<Measured> {
    let pairs = settings.cores.iter().map(|_| Bell::pair()).collect::<std::io::Result<Vec<_>>>()?;
    let (bells, _listeners): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mailboxes: Vec<Mailbox> = bells.into_iter().map(Mailbox::new).collect();
    let clock = Clock::start();
    let line = LimiterLine::new(settings, &mailboxes, clock, None)?;
    let begin_us = clock.now_us() + START_US;
    let limit = Limit { id: LimitId(1), rate: Rate::new(f64::from(load.rate_per_s), load.burst_requests) };
    let asked: Vec<Asked> = thread::scope(|scope| {
        let shards = mailboxes.into_iter().enumerate().map(|(shard, mailbox)| {
            let line = line.clone();
            scope.spawn(move || {
                if !turnpike_rt::pin_to_core(settings.cores[shard]) {
                    return Err(std::io::Error::other(format!("core {} is refused", settings.cores[shard])));
                }
                let limits = Limits::new(shard, settings, line, mailbox, clock);
                Ok(Shard { limits, clock, limit, tick_us: begin_us }.ask(begin_us, load.seconds))
            })
        });
        let shards: Vec<_> = shards.collect();
        let panicked = |_| Err(std::io::Error::other("a thread panicked"));
        let asked = shards.into_iter().map(|shard| shard.join().unwrap_or_else(panicked));
        asked.collect::<std::io::Result<_>>()
    })?;
    Ok(summarize(&asked, load, clock))
}

fn summarize(asked: &[Asked], load: Load, clock: Clock) -> Measured {
    let sorted = |time: fn(&(u64, u64)) -> u64| {
        let mut times: Vec<u64> = asked.iter().flat_map(|asked| asked.admitted_us.iter().map(time)).collect();
        times.sort_unstable();
        times
    };
    let (before, after) = (sorted(|(before, _)| *before), sorted(|(_, after)| *after));
    let decisions: u64 = asked.iter().map(|asked| asked.decisions).sum();
    let ns = 1e9 * f64::from(load.seconds) * asked.len() as f64;
    let allowed = u64::from(load.burst_requests) + u64::from(load.rate_per_s) * u64::from(load.seconds);
    Measured {
        shards: asked.len(),
        decisions,
        admitted: before.len() as u64,
        beyond: beyond(&before, &after, load),
        share: before.len() as f64 / allowed as f64,
        ns_per_decision: ns / decisions.max(1) as f64,
        ns_per_reading: ns_per_reading(clock),
    }
}

/// What was admitted in a window for certain is what was decided by its end, but for what was asked before its beginning.
fn beyond(before: &[u64], after: &[u64], load: Load) -> u64 {
    let rate = i128::from(load.rate_per_s);
    // In millionths of a request.
    let mut least = i128::MAX;
    let mut worst = 0;
    let mut began = 0;
    for (ended, at_us) in (1..).zip(after) {
        while before.get(began).is_some_and(|begin_us| begin_us <= at_us) {
            least = least.min(began as i128 * 1_000_000 - rate * i128::from(before[began]));
            began += 1;
        }
        let excess = i128::from(ended) * 1_000_000 - rate * i128::from(*at_us) - least;
        worst = worst.max(excess - i128::from(load.burst_requests) * 1_000_000);
    }
    u64::try_from((worst + 999_999) / 1_000_000).unwrap_or(u64::MAX)
}

fn ns_per_reading(clock: Clock) -> f64 {
    const READINGS: u32 = 1_000_000;
    let begin_us = clock.now_us();
    for _ in 0..READINGS {
        std::hint::black_box(clock.now_us());
    }
    (clock.now_us() - begin_us) as f64 * 1_000.0 / f64::from(READINGS)
}

struct Shard {
    limits: Limits,
    clock: Clock,
    limit: Limit,
    /// The next.
    tick_us: u64,
}

struct Asked {
    decisions: u64,
    /// Of each that was admitted, when it was asked for and when it was decided.
    admitted_us: Vec<(u64, u64)>,
}

impl Shard {
    fn ask(mut self, begin_us: u64, seconds: u32) -> Asked {
        let end_us = begin_us + u64::from(seconds) * 1_000_000;
        thread::sleep(Duration::from_micros(begin_us.saturating_sub(self.clock.now_us())));
        let mut asked = Asked { decisions: 0, admitted_us: Vec::new() };
        loop {
            let now_us = self.clock.now_us();
            if now_us >= end_us {
                self.limits.close();
                return asked;
            }
            self.tick(now_us);
            if self.is_admitted() {
                asked.admitted_us.push((now_us, self.clock.now_us()));
            }
            asked.decisions += 1;
        }
    }

    fn tick(&mut self, now_us: u64) {
        if now_us >= self.tick_us {
            self.tick_us = now_us + TICK_MS * 1_000;
            self.limits.tick();
        }
    }

    fn is_admitted(&self) -> bool {
        let asked = [self.limit];
        let mut taken = pin!(self.limits.take(&asked, 1));
        let mut tick_us = self.tick_us;
        loop {
            match taken.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(told) => return told.is_ok(),
                Poll::Pending => self.limits.hear(),
            }
            if self.clock.now_us() >= tick_us {
                tick_us += TICK_MS * 1_000;
                self.limits.tick();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_threads_get_what_is_allowed_and_no_more() {
        let mut settings = Settings::defaults();
        settings.cores = vec![0; 4];
        settings.limit_wait_ms = 10_000;
        let load = Load { rate_per_s: 1_000, burst_requests: 100, seconds: 1 };
        let measured = measure(&settings, load).unwrap();
        assert_eq!((measured.shards, measured.beyond), (4, 0));
        assert!(measured.admitted > 100 && measured.decisions > measured.admitted, "{measured:?}");
    }

    #[test]
    fn every_window_is_looked_at() {
        let load = Load { rate_per_s: 1_000, burst_requests: 2, seconds: 1 };
        let times = [0, 10, 3_000, 3_010, 3_020];
        assert_eq!(beyond(&times, &times, load), 1, "three within 20 us");
        assert_eq!(beyond(&times[..4], &times[..4], load), 0);
        // Asked for early enough for the window to be long.
        assert_eq!(beyond(&[0, 10, 1_900, 1_910, 1_920], &times, load), 0);
    }
}
