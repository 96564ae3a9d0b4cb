//! Whether a limit holds: the origin's count is read all the while, and no window between two readings may have had more
//! than `burst + rate x window` requests; and whether it lets through what it allows, by the generator's statuses.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::super::http::Client;
use super::super::load::{Load, LoadGenerator, Target};
use super::super::peers::origin_count;
use super::super::rest::Limit;
use super::super::results::{Check, Section};
use super::super::stats::grouped;

/// Between two readings.
const PAUSE: Duration = Duration::from_millis(20);
pub(super) const SHARE_MIN: f64 = 0.999;

/// A reading of the origin's count; times since the first one was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    asked: Duration,
    answered: Duration,
    count: u64,
}

#[derive(Debug)]
pub(super) struct Admission {
    /// Requests beyond the bound, in the worst window.
    beyond: f64,
    /// Of what the limit allows or, where that is more than was asked for, of what was asked for.
    share: f64,
    replies: u64,
    admitted: u64,
}

/// Keeps the generator's connections busy for a while.
pub(super) fn measure(
    limit: Limit,
    generator: &LoadGenerator,
    (target, load): (&Target, &Load),
    origin: SocketAddr,
) -> Result<Admission, String> {
    let (readings, sample) = watched(origin, || generator.measure(target, load))?;
    let report = sample.report;
    let admitted = report.status.get(&200).copied().unwrap_or(0);
    let allowed = limit.allows(report.duration_s).min(report.replies as f64);
    Ok(Admission {
        beyond: limit.beyond(&readings),
        share: admitted as f64 / allowed,
        replies: report.replies,
        admitted,
    })
}

/// What `load` returns, with the origin's count while it went on.
pub(super) fn watched<T>(
    origin: SocketAddr,
    load: impl FnOnce() -> Result<T, String>,
) -> Result<(Vec<Reading>, T), String> {
    let over = AtomicBool::new(false);
    let (readings, outcome) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(origin, &over));
        let outcome = load();
        over.store(true, Relaxed);
        (watch.join(), outcome)
    });
    Ok((readings.map_err(|_| "the watch of the origin panicked")??, outcome?))
}

/// Reads the origin's count until it is over, the first time at once.
fn watch(origin: SocketAddr, over: &AtomicBool) -> Result<Vec<Reading>, String> {
    let mut client = Client::connect(origin)?;
    let began = Instant::now();
    let mut readings = Vec::new();
    loop {
        let last = over.load(Relaxed);
        let asked = began.elapsed();
        let count = origin_count(&mut client)?;
        readings.push(Reading { asked, answered: began.elapsed(), count });
        if last {
            return Ok(readings);
        }
        thread::sleep(PAUSE);
    }
}

impl Limit {
    /// By how much the worst window of all was beyond the bound; 0 if none was.
    pub(super) fn beyond(self, readings: &[Reading]) -> f64 {
        let mut worst: f64 = 0.0;
        for (index, from) in readings.iter().enumerate() {
            for to in &readings[index + 1..] {
                let seconds = (to.answered - from.asked).as_secs_f64();
                worst = worst.max((to.count - from.count) as f64 - self.allows(seconds));
            }
        }
        worst
    }

    /// How much of the rate came through once the burst was spent, which it is after a quarter of the time, and before the
    /// load ended.
    pub(super) fn share_used(self, readings: &[Reading]) -> f64 {
        let Some(end) = readings.last().map(|reading| reading.asked) else { return 0.0 };
        let first = readings.iter().find(|reading| reading.asked >= end / 4);
        let last = readings.iter().rfind(|reading| reading.asked <= end * 9 / 10);
        let (Some(first), Some(last)) = (first, last) else { return 0.0 };
        let seconds = (last.asked - first.asked).as_secs_f64();
        (last.count - first.count) as f64 / (f64::from(self.rate_per_s) * seconds)
    }
}

impl Admission {
    pub(super) fn report(&self, limit: Limit, section: &mut Section) {
        let rate = grouped(f64::from(limit.rate_per_s));
        section.notes.push(format!(
            "a key at {rate}/s: {} of {} requests admitted",
            grouped(self.admitted as f64),
            grouped(self.replies as f64)
        ));
        let figure = format!("limits: at {rate}/s, requests beyond burst + rate x window");
        section.checks.push(Check::at_most(figure, self.beyond, 0.0));
        let figure = format!("limits: at {rate}/s, admitted of what is allowed, %");
        section.checks.push(Check::at_least(figure, self.share * 100.0, SHARE_MIN * 100.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(asked_ms: u64, answered_ms: u64, count: u64) -> Reading {
        Reading {
            asked: Duration::from_millis(asked_ms),
            answered: Duration::from_millis(answered_ms),
            count,
        }
    }

    #[test]
    fn every_window_is_looked_at() {
        let limit = Limit { rate_per_s: 100, burst_requests: 10 };
        let within = [reading(0, 1, 500), reading(90, 100, 520), reading(200, 210, 531)];
        assert_eq!(limit.beyond(&within), 0.0);
        // From the second to the third, 22 instead of 10 + 100 x 0.1.
        let burst = [reading(0, 1, 500), reading(90, 100, 505), reading(180, 190, 527)];
        assert!((limit.beyond(&burst) - 2.0).abs() < 1e-9);
        // From the second on to the third, 22 where 9 were allowed.
        let ended = [burst.as_slice(), &[reading(200, 201, 600)]].concat();
        assert!((limit.share_used(&ended) - 22.0 / 9.0).abs() < 1e-9);
    }
}
