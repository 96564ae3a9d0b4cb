//! Section `generator`: the load generator itself on one core, against the bare responder on another. Requests/s in the closed
//! loop, side by side with wrk's on the same core; and how exact its rate is in the open loop.

use std::time::Duration;

use serde::Serialize;

use super::load::{Load, LoadGenerator, Running, Sample};
use super::metered::Metered;
use super::peers::{self, Peer};
use super::results::{Check, Section, Titled};
use super::rounds::{order, progress};
use super::side_by_side::{Stoppable, Turns, take_turns};
use super::stats::{Spread, grouped, median, times};
use super::table::{BLANK, Table};
use super::wrk::Wrk;
use super::{Bench, SectionName, skipped, small};

const OWN: &str = "loadgen";
const WRK: &str = "wrk";
const NAMES: [&str; 2] = [OWN, WRK];
/// Least ratio of requests/s to wrk's.
const GOAL: f64 = 1.2;
/// Requests/s of the open loop, over so many connections.
const RATE: f64 = 50_000.0;
const RATE_CONNECTIONS: usize = 64;
/// What the rate that came about may be off.
const RATE_ERROR_PERCENT_MAX: f64 = 1.0;
/// A responder that keeps its core busier than this may have set the limit.
const RESPONDER_SHARE_MAX: f64 = 0.95;

/// Medians of one generator.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GeneratorRow {
    pub(crate) label: String,
    pub(crate) generator: String,
    pub(crate) requests_per_s: f64,
    /// Of its core; wrk doesn't tell.
    pub(crate) core_share: Option<f64>,
    /// Of all rounds together.
    pub(crate) failed: u64,
    pub(crate) samples: Vec<GeneratorSample>,
}

/// One round's result.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct GeneratorSample {
    pub(crate) requests_per_s: f64,
    pub(crate) failed: u64,
    /// Of the generator's core; wrk doesn't tell.
    pub(crate) core_share: Option<f64>,
    /// Of the responder's core.
    pub(crate) responder_share: f64,
}

/// Both generators for one core, and a responder for each on another.
#[derive(Debug)]
struct Arena {
    own: LoadGenerator,
    core: usize,
    responders: [Peer; 2],
}

/// A generator under way.
#[derive(Debug)]
enum Contender {
    Own(Running),
    Wrk(Metered),
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Generator;
    // The last of them: interrupts favour the first.
    let core = bench.generator.cores.last().copied().filter(|core| !bench.layout.proxy.contains(core));
    let Some(core) = core else {
        return Ok(skipped(name, "two cores are needed: one for the generator, one for the responder"));
    };
    let dir = bench.dir.path().join(name.name());
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let responder = || peers::start_floor(&dir, &bench.layout.proxy, None);
    let arena = Arena {
        own: LoadGenerator { cores: vec![core], ..bench.generator.clone() },
        core,
        responders: [responder()?, responder()?],
    };
    let mut section = Section::new(name.name());
    for connections in &bench.args.connections {
        section.generators.extend(arena.closed_loop(*connections, bench.rounds())?);
    }
    section.generators.push(arena.open_loop(bench.rounds())?);
    tell(&mut section, &bench.args.connections);
    Ok(section)
}

fn open_label() -> String {
    format!("open loop, {} requests/s", grouped(RATE))
}

impl Arena {
    /// Both side by side.
    fn closed_loop(&self, connections: usize, rounds: usize) -> Result<[GeneratorRow; 2], String> {
        let label = small::label(connections);
        let turns = Turns::of(2, connections, self.own.duration);
        // wrk takes whole seconds, and has no warm-up: neither has the other.
        let seconds = turns.length(turns.count).as_secs_f64().ceil();
        let turns = turns.within(seconds);
        let (duration, warmup) = (Duration::from_secs_f64(seconds), Duration::ZERO);
        let own = LoadGenerator { duration, warmup, ..self.own.clone() };
        let wrk = Wrk::new(&own, self.core, seconds as u64)?;
        let [own_target, wrk_target] = self.responders.each_ref().map(|responder| &responder.target);
        let mut samples = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            let running = take_turns(order(2, round), turns.pause, |index| match index {
                0 => own.start(own_target, &Load::get("/", connections)).map(Contender::Own),
                _ => wrk.start(wrk_target, connections).map(Contender::Wrk),
            })?;
            for (index, contender) in running {
                let sample = contender.finish(turns, connections, seconds)?;
                let progress = progress(&label, NAMES[index], sample.requests_per_s);
                eprintln!("  round {}/{rounds}  {progress}", round + 1);
                samples[index].push(sample);
            }
        }
        let [own, wrk] = samples;
        Ok([GeneratorRow::new(&label, OWN, own), GeneratorRow::new(&label, WRK, wrk)])
    }

    fn open_loop(&self, rounds: usize) -> Result<GeneratorRow, String> {
        let (label, [responder, _]) = (open_label(), &self.responders);
        let load = Load { rate: Some(RATE), ..Load::get("/", RATE_CONNECTIONS) };
        let mut samples = Vec::new();
        for round in 0..rounds {
            let sample = GeneratorSample::own(&self.own.measure(&responder.target, &load)?);
            let progress = progress(&label, OWN, sample.requests_per_s);
            eprintln!("  round {}/{rounds}  {progress}", round + 1);
            samples.push(sample);
        }
        Ok(GeneratorRow::new(&label, OWN, samples))
    }
}

impl Contender {
    fn finish(self, turns: Turns, connections: usize, seconds: f64) -> Result<GeneratorSample, String> {
        let running = match self {
            Self::Own(running) => {
                return Ok(GeneratorSample::own(&turns.in_slices(running.finish()?, connections)));
            }
            Self::Wrk(running) => running,
        };
        let (printed, responder) = Wrk::finish(running)?;
        let in_slices = turns.parts() * turns.share(printed.requests_per_s * seconds, connections);
        Ok(GeneratorSample {
            requests_per_s: printed.requests_per_s * in_slices,
            failed: printed.failed,
            core_share: None,
            responder_share: responder.cpu_share * in_slices,
        })
    }
}

impl Stoppable for Contender {
    fn has_ended(&mut self) -> Result<bool, String> {
        match self {
            Self::Own(running) => running.has_ended(),
            Self::Wrk(running) => running.has_ended(),
        }
    }

    fn stop(&self) -> Result<(), String> {
        match self {
            Self::Own(running) => running.stop(),
            Self::Wrk(running) => running.stop(),
        }
    }

    fn go_on(&self) -> Result<(), String> {
        match self {
            Self::Own(running) => running.go_on(),
            Self::Wrk(running) => running.go_on(),
        }
    }
}

impl GeneratorSample {
    fn own(sample: &Sample) -> Self {
        let Sample { report, proxy } = sample;
        Self {
            requests_per_s: report.replies_per_s,
            failed: report.failed() + report.unsent,
            core_share: Some(report.generator.cpu_share_max),
            responder_share: proxy.cpu_share,
        }
    }
}

impl GeneratorRow {
    fn new(label: &str, generator: &str, samples: Vec<GeneratorSample>) -> Self {
        Self {
            label: label.to_owned(),
            generator: generator.to_owned(),
            requests_per_s: median(samples.iter().map(|sample| sample.requests_per_s)).unwrap_or(0.0),
            core_share: median(samples.iter().filter_map(|sample| sample.core_share)),
            failed: samples.iter().map(|sample| sample.failed).sum(),
            samples,
        }
    }
}

/// Tables, figures to reach and notes of what was measured.
fn tell(section: &mut Section, connections: &[usize]) {
    let rows = std::mem::take(&mut section.generators);
    let find = |label: &str, generator: &str| {
        rows.iter().find(|row| row.label == label && row.generator == generator)
    };
    let mut table = Table::new(["generator", "requests/s", "core", "errors", "/wrk", "lowest", "highest"]);
    for row in &rows {
        let wrk = find(&row.label, WRK).filter(|wrk| wrk.generator != row.generator);
        let spread = wrk.and_then(|wrk| Spread::of(&rates(row), &rates(wrk)));
        table.row([
            format!("{}, {}", row.generator, row.label),
            grouped(row.requests_per_s),
            row.core_share.map_or_else(|| BLANK.to_owned(), |share| format!("{:.0} %", share * 100.0)),
            row.failed.to_string(),
            times(spread.map(|spread| spread.median)),
            times(spread.map(|spread| spread.lowest)),
            times(spread.map(|spread| spread.highest)),
        ]);
    }
    section.tables.push(Titled::new("requests/s of one core against the bare responder", table));
    for label in connections.iter().map(|connections| small::label(*connections)) {
        let Some((own, wrk)) = find(&label, OWN).zip(find(&label, WRK)) else { continue };
        let Some(spread) = Spread::of(&rates(own), &rates(wrk)) else { continue };
        section.checks.push(Check::at_least(
            format!("generator, {label}: requests/s over wrk's"),
            spread.median,
            GOAL,
        ));
    }
    if let Some(open) = find(&open_label(), OWN) {
        let errors: Vec<f64> = open.samples.iter().map(rate_error_percent).collect();
        let figure = format!("generator, {}: error in rate, %", open.label);
        let value = median(errors.iter().copied()).unwrap_or(100.0);
        section.checks.push(Check::at_most(figure, value, RATE_ERROR_PERCENT_MAX));
        section.tables.push(Titled::new(open.label.clone(), rate_table(&errors)));
    }
    for row in &rows {
        if row.samples.iter().any(|sample| sample.responder_share > RESPONDER_SHARE_MAX) {
            section.notes.push(format!("the responder may have limited {} at {}", row.generator, row.label));
        }
    }
    section.generators = rows;
}

fn rates(row: &GeneratorRow) -> Vec<f64> {
    row.samples.iter().map(|sample| sample.requests_per_s).collect()
}

/// How far the replies within the run are from what was asked for.
fn rate_error_percent(sample: &GeneratorSample) -> f64 {
    (sample.requests_per_s / RATE - 1.0).abs() * 100.0
}

fn rate_table(errors: &[f64]) -> Table {
    let shown = |value: Option<f64>| value.map_or_else(|| BLANK.to_owned(), |value| format!("{value:.3} %"));
    let mut table = Table::new(["error in rate", "median", "lowest", "highest"]);
    table.row([
        OWN.to_owned(),
        shown(median(errors.iter().copied())),
        shown(errors.iter().copied().min_by(f64::total_cmp)),
        shown(errors.iter().copied().max_by(f64::total_cmp)),
    ]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three rounds.
    fn row(label: &str, generator: &str, requests_per_s: [f64; 3], responder_share: f64) -> GeneratorRow {
        let core_share = (generator == OWN).then_some(0.99);
        let sample =
            |requests_per_s| GeneratorSample { requests_per_s, failed: 1, core_share, responder_share };
        GeneratorRow::new(label, generator, requests_per_s.map(sample).to_vec())
    }

    #[test]
    fn figures_are_medians_of_the_rounds_own() {
        let label = small::label(64);
        let mut section = Section::new("generator");
        section.generators = vec![
            row(&label, OWN, [150_000.0, 120_000.0, 160_000.0], 0.97),
            row(&label, WRK, [100_000.0, 120_000.0, 80_000.0], 0.5),
            row(&open_label(), OWN, [49_800.0, 50_250.0, 49_700.0], 0.4),
        ];
        tell(&mut section, &[64]);
        let checks: Vec<(&str, f64, bool)> = section
            .checks
            .iter()
            .map(|check| (&*check.figure, (check.value * 1e6).round() / 1e6, check.met()))
            .collect();
        let expected = [
            ("generator, 64 connections: requests/s over wrk's", 1.5, true),
            ("generator, open loop, 50,000 requests/s: error in rate, %", 0.5, true),
        ];
        assert_eq!(checks, expected);
        assert_eq!(section.notes, ["the responder may have limited loadgen at 64 connections"]);
        let table = &section.tables[0].table.rows;
        assert_eq!(
            table[1],
            ["loadgen, 64 connections", "150,000", "99 %", "3", "1.50 x", "1.00 x", "2.00 x"]
        );
        assert_eq!(table[2], ["wrk, 64 connections", "100,000", "-", "3", "-", "-", "-"]);
        assert_eq!(section.tables[1].table.rows[1], ["loadgen", "0.500 %", "0.400 %", "0.600 %"]);
    }
}
