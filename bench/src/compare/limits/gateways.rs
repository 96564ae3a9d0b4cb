//! Three gateways, a core each, that share their limits in a Redis of their own: whether a key's limit holds over all of
//! them, how much of it gets through, and how soon another gateway is served it when all load moves there.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::super::Bench;
use super::super::callers::{Board, Callers, Served};
use super::super::gateway::Gateway;
use super::super::layout::Layout;
use super::super::load::{Load, LoadGenerator, Running};
use super::super::peers;
use super::super::rest::Limit;
use super::super::results::{Check, Section};
use super::super::stats::{grouped, median};
use super::super::turnpike::{Options, Turnpike, host};
use super::admission::watched;
use super::{header, path};

/// Each with how long all gateways are asked for more than it allows, in seconds.
const LIMITS: [(Limit, u64); 3] = [
    (Limit { rate_per_s: 100, burst_requests: 100 }, 10),
    (Limit { rate_per_s: 1_000, burst_requests: 500 }, 6),
    (Limit { rate_per_s: 10_000, burst_requests: 5_000 }, 6),
];
const CONNECTIONS: usize = 16;
/// What all together are asked for, over what the limit allows.
const DEMAND: f64 = 2.0;
const USED_SHARE_MIN: f64 = 0.98;

const MOVES: usize = 9;
/// Of load that moves. What callers in threads can keep up beside an origin and a store on the same core.
const MOVED_DEMAND: f64 = 1.5;
const CALLERS: usize = 32;
/// Until the burst is spent.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two moves.
const STAY: Duration = Duration::from_secs(1);
/// After a move, until it is looked at no more.
const WATCHED: Duration = Duration::from_millis(900);
/// What a gateway is to be served of the limit's rate.
const SHARE: f64 = 0.9;
const BALANCED_MS_MAX: f64 = 100.0;

pub(super) fn measure(bench: &Bench, dir: &Path, section: &mut Section) -> Result<(), String> {
    let [shared, cores @ ..] = &*bench.cores else { return Ok(()) };
    if cores.len() < 3 {
        section.notes.push("three gateways on one Redis: skipped, they want four cores".to_owned());
        return Ok(());
    }
    let layout = Layout { proxy: vec![cores[0]], origin: vec![*shared], loadgen: vec![*shared] };
    let (_origin, origin) = peers::start_origin(dir, &layout.origin)?;
    let (_redis, url) = peers::start_redis(dir, &layout.origin)?;
    let options = Options {
        gateway: &["--limits-store", &url, "--limits-partition", "closed"],
        others: &[vec![cores[1]], vec![cores[2]]],
        ..Options::default()
    };
    let mut turnpike = Turnpike::start_with("shared", &bench.binaries, dir, &layout, &options)?;
    let api_id = turnpike.make_rest_api(origin, true)?;
    for (limit, seconds) in LIMITS {
        turnpike.reconnect()?;
        let plan_id = turnpike.make_plan(&api_id, Some(limit))?;
        let keys: Vec<String> = turnpike.import_keys(&plan_id, 2)?.iter().map(|key| header(key)).collect();
        for key in &keys {
            turnpike.await_served_to(&api_id, &path(), &format!("{key}\r\n"))?;
        }
        let rate = grouped(f64::from(limit.rate_per_s));
        let generator = LoadGenerator {
            cores: layout.loadgen.clone(),
            duration: Duration::from_secs(seconds),
            warmup: Duration::ZERO,
            ..bench.generator.clone()
        };
        let demand = f64::from(limit.rate_per_s) * DEMAND / 3.0;
        let load =
            Load { header: Some(keys[0].clone()), rate: Some(demand), ..Load::get(&path(), CONNECTIONS) };
        let gateways: Vec<&Gateway> = turnpike.gateways().collect();
        let (readings, ()) = watched(origin, || saturate(&gateways, &api_id, dir, (&generator, &load)))?;
        let figure = format!("shared limits: at {rate}/s, requests beyond burst + rate x window");
        section.checks.push(Check::at_most(figure, limit.beyond(&readings), 0.0));
        let figure = format!("shared limits: at {rate}/s, used of the limit, %");
        section.checks.push(Check::at_least(
            figure,
            limit.share_used(&readings) * 100.0,
            USED_SHARE_MIN * 100.0,
        ));
        let callers = Callers {
            threads: CALLERS,
            core: *shared,
            addresses: gateways.iter().map(|gateway| gateway.address).collect(),
            path: path(),
            headers: format!("host: {}\r\n{}\r\n", host(&api_id), keys[1]),
            every: Duration::from_secs_f64(CALLERS as f64 / (f64::from(limit.rate_per_s) * MOVED_DEMAND)),
        };
        let (readings, (moves, served)) = watched(origin, || callers.call(|board| Ok(move_about(board))))?;
        let mut lags: Vec<f64> = moves.iter().map(|moved| moved.lag_ms(limit, &served)).collect();
        lags.sort_by(f64::total_cmp);
        let worst = lags.last().copied().unwrap_or(f64::INFINITY);
        let figure = format!("shared limits: at {rate}/s, load that moves is served its share after, ms");
        section.checks.push(Check::at_most(figure, worst, BALANCED_MS_MAX));
        let figure = format!("shared limits: at {rate}/s while load moves, requests beyond the bound");
        section.checks.push(Check::at_most(figure, limit.beyond(&readings), 0.0));
        section.notes.push(format!(
            "3 gateways, {rate}/s: {MOVES} moves of all load from one to the next, 90 % of the rate after {:.0} ms \
             (median), {worst:.0} ms (worst)",
            median(lags).unwrap_or(f64::INFINITY),
        ));
    }
    section.notes.push(format!(
        "3 gateways on cores {cores:?}; origin, Redis, control and load generator on core {shared}"
    ));
    Ok(())
}

/// All gateways are asked for a third of the demand each.
fn saturate(
    gateways: &[&Gateway],
    api_id: &str,
    dir: &Path,
    (generator, load): (&LoadGenerator, &Load),
) -> Result<(), String> {
    let start = |(gateway, number): (&&Gateway, usize)| {
        // Of its own, as its output has a file there.
        let dir = dir.join(format!("generator-{number}"));
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        LoadGenerator { dir, ..generator.clone() }.start(&gateway.target("turnpike", api_id), load)
    };
    let running: Vec<Running> = gateways.iter().zip(0..).map(start).collect::<Result<_, String>>()?;
    running.into_iter().try_for_each(|running| running.finish().map(drop))
}

/// All load goes to one gateway from then on.
#[derive(Debug, Clone, Copy)]
struct Move {
    to: usize,
    at: Instant,
}

fn move_about(board: &Board) -> Vec<Move> {
    thread::sleep(SETTLE);
    let moves = (1..=MOVES).map(|number| {
        let moved = Move { to: number % 3, at: Instant::now() };
        board.send_to(moved.to);
        thread::sleep(STAY);
        moved
    });
    moves.collect()
}

impl Move {
    /// By how much what it was served lags behind [`SHARE`] of the rate from the move on, at most.
    fn lag_ms(self, limit: Limit, served: &[Served]) -> f64 {
        let mut times: Vec<Duration> = served
            .iter()
            .filter(|served| served.by == self.to)
            .filter_map(|served| served.at.checked_duration_since(self.at))
            .filter(|since| *since <= WATCHED)
            .collect();
        times.sort();
        times.push(WATCHED);
        let share_per_s = f64::from(limit.rate_per_s) * SHARE;
        let lags =
            times.iter().enumerate().map(|(before, at)| at.as_secs_f64() - before as f64 / share_per_s);
        lags.fold(0.0, f64::max) * 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_how_far_the_share_is_behind() {
        let limit = Limit { rate_per_s: 100, burst_requests: 1 };
        let moved = Move { to: 1, at: Instant::now() };
        let served = |from_ms: u64, every_ms: u64, by: usize| {
            let times = (0..).map(move |number| from_ms + number * every_ms).take_while(|ms| *ms <= 2_000);
            times.map(|ms| Served { by, at: moved.at + Duration::from_millis(ms) }).collect::<Vec<_>>()
        };
        assert!((moved.lag_ms(limit, &served(50, 10, 1)) - 50.0).abs() < 0.1);
        // Half of the rate, and nothing at all.
        assert!(moved.lag_ms(limit, &served(0, 20, 1)) > 380.0);
        assert!(moved.lag_ms(limit, &served(0, 10, 2)) > 899.0);
    }
}
