//! Section `generator`: the load generator itself on one core, against the bare responder on others. Requests/s in the
//! closed loop, in turn with wrk's on the same core; and how exact its rate is in the open loop.

use std::time::Duration;

use serde::Serialize;

use super::load::{Load, LoadGenerator, Target};
use super::peers;
use super::results::{Check, Section, Titled};
use super::rounds::{progress, rotate};
use super::stats::{Spread, grouped, median, times};
use super::table::{BLANK, Table};
use super::wrk::Wrk;
use super::{Bench, SectionName, skipped, small};

const OWN: &str = "loadgen";
const WRK: &str = "wrk";
/// Least ratio of requests/s to wrk's.
const GOAL: f64 = 1.2;
/// Requests/s of the open loop, over so many connections.
const RATE: f64 = 50_000.0;
const RATE_CONNECTIONS: usize = 64;
/// What the rate that came about may be off.
const RATE_ERROR_PERCENT_MAX: f64 = 1.0;
/// A responder that keeps its cores busier than this may have set the limit.
const RESPONDER_SHARE_MAX: f64 = 0.95;

/// Medians of one generator.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GeneratorRow {
    pub(crate) label: String,
    pub(crate) generator: String,
    pub(crate) requests_per_s: f64,
    /// Of its core.
    pub(crate) core_share: f64,
    /// Of all rounds together.
    pub(crate) failed: u64,
    pub(crate) samples: Vec<GeneratorSample>,
}

/// One round's result.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct GeneratorSample {
    pub(crate) requests_per_s: f64,
    pub(crate) failed: u64,
    pub(crate) core_share: f64,
    /// Of all of the responder's cores.
    pub(crate) responder_share: f64,
}

/// What is measured in a round.
#[derive(Debug, Clone)]
struct Case {
    label: String,
    generator: &'static str,
    load: Load,
}

/// Both generators, with one core each measures on, and the responder.
#[derive(Debug)]
struct Arena {
    target: Target,
    responder_cores: usize,
    own: LoadGenerator,
    wrk: Wrk,
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Generator;
    // The last of them: interrupts favour the first.
    let Some(core) = bench.generator.cores.last().copied() else {
        return Ok(skipped(name, "no core for the generator"));
    };
    let responder_cores: Vec<usize> = bench
        .layout
        .origin
        .iter()
        .chain(&bench.layout.proxy)
        .copied()
        .filter(|other| *other != core)
        .collect();
    if responder_cores.is_empty() {
        return Ok(skipped(name, "two cores are needed: one for the generator, one for the responder"));
    }
    let dir = bench.dir.path().join(name.name());
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let responder = peers::start_floor(&dir, &responder_cores, None)?;
    // wrk takes whole seconds, and has no warm-up: neither has the other.
    let seconds = bench.generator.duration.as_secs_f64().ceil() as u64;
    let generator = LoadGenerator {
        cores: vec![core],
        duration: Duration::from_secs(seconds),
        warmup: Duration::ZERO,
        ..bench.generator.clone()
    };
    let arena = Arena {
        target: responder.target.clone(),
        responder_cores: responder_cores.len(),
        wrk: Wrk::new(&generator, core, seconds)?,
        own: generator,
    };
    let cases = cases(&bench.args.connections);
    let samples = rotate(&cases, bench.rounds(), |case| {
        let sample = arena.measure(case)?;
        Ok((progress(&case.label, case.generator, sample.requests_per_s), sample))
    })?;
    let mut section = Section::new(name.name());
    section.generators = cases.iter().zip(samples).map(|(case, samples)| row(case, samples)).collect();
    tell(&mut section, &bench.args.connections);
    Ok(section)
}

fn cases(connections: &[usize]) -> Vec<Case> {
    let open = Case {
        label: open_label(),
        generator: OWN,
        load: Load { rate: Some(RATE), ..Load::get("/", RATE_CONNECTIONS) },
    };
    let closed = connections.iter().flat_map(|connections| {
        [OWN, WRK].map(|generator| Case {
            label: small::label(*connections),
            generator,
            load: Load::get("/", *connections),
        })
    });
    closed.chain([open]).collect()
}

fn open_label() -> String {
    format!("open loop, {} requests/s", grouped(RATE))
}

impl Arena {
    fn measure(&self, case: &Case) -> Result<GeneratorSample, String> {
        if case.generator == WRK {
            let (printed, ended) = self.wrk.measure(&self.target, case.load.connections)?;
            return Ok(GeneratorSample {
                requests_per_s: printed.requests_per_s,
                failed: printed.failed,
                core_share: ended.generator_cores,
                responder_share: self.share(ended.proxy_use.cpu_share),
            });
        }
        let sample = self.own.measure(&self.target, &case.load)?;
        Ok(GeneratorSample {
            requests_per_s: sample.report.replies_per_s,
            failed: sample.report.failed() + sample.report.unsent,
            core_share: sample.report.generator.cpu_share_max,
            responder_share: self.share(sample.proxy.cpu_share),
        })
    }

    fn share(&self, cores: f64) -> f64 {
        cores / self.responder_cores as f64
    }
}

fn row(case: &Case, samples: Vec<GeneratorSample>) -> GeneratorRow {
    let of = |figure: fn(&GeneratorSample) -> f64| median(samples.iter().map(figure)).unwrap_or(0.0);
    GeneratorRow {
        label: case.label.clone(),
        generator: case.generator.to_owned(),
        requests_per_s: of(|sample| sample.requests_per_s),
        core_share: of(|sample| sample.core_share),
        failed: samples.iter().map(|sample| sample.failed).sum(),
        samples,
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
            format!("{:.0} %", row.core_share * 100.0),
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

    fn sample(requests_per_s: f64, responder_share: f64) -> GeneratorSample {
        GeneratorSample { requests_per_s, failed: 0, core_share: 1.0, responder_share }
    }

    #[test]
    fn each_round_measures_both_in_the_closed_loop_and_its_own_in_the_open_one() {
        let cases = cases(&[64, 256]);
        let names: Vec<String> =
            cases.iter().map(|case| format!("{} {}", case.generator, case.label)).collect();
        let expected = [
            "loadgen 64 connections",
            "wrk 64 connections",
            "loadgen 256 connections",
            "wrk 256 connections",
            "loadgen open loop, 50,000 requests/s",
        ];
        assert_eq!(names, expected);
        assert_eq!((cases[0].load.rate, cases[4].load.rate), (None, Some(RATE)));
    }

    #[test]
    fn figures_are_medians_of_the_rounds_own() {
        let of_rounds = |requests: f64, case: &Case| match (case.generator, case.load.rate) {
            (_, Some(_)) => sample(RATE * (1.0 - requests / 2e7), 0.4),
            (OWN, None) => sample(requests * 1.5, 0.97),
            (_, None) => sample(requests, 0.5),
        };
        let row = |case: &Case| {
            row(case, [100_000.0, 120_000.0, 80_000.0].map(|requests| of_rounds(requests, case)).to_vec())
        };
        let mut section = Section::new("generator");
        section.generators = cases(&[64]).iter().map(row).collect();
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
        let own = ["loadgen, 64 connections", "150,000", "100 %", "0", "1.50 x", "1.50 x", "1.50 x"];
        assert_eq!(section.tables[0].table.rows[1], own);
        assert_eq!(section.tables[1].table.rows[1], ["loadgen", "0.500 %", "0.400 %", "0.600 %"]);
    }
}
