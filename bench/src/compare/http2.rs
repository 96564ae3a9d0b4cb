//! Section `http2`: a GET with a small reply over 32 connections of 32 streams, HTTP/2 without TLS by prior knowledge;
//! all proxies pass it on to the same origin as HTTP/1.1.

use serde::Serialize;

use super::contenders::{Contenders, Protocol};
use super::h2load::{H2Load, H2Sample};
use super::load::Target;
use super::results::{Check, Section, Titled};
use super::rounds::{progress, rotate};
use super::stats::{grouped, median, paired_ratio, times};
use super::table::Table;
use super::{Bench, CONNECTIONS_MAX, PeerName, SectionName};

const CONNECTIONS: usize = 32;
const STREAMS: usize = 32;
const PROXIES: [PeerName; 4] = [PeerName::Turnpike, PeerName::Haproxy, PeerName::Nginx, PeerName::H2o];
/// Least ratio of Turnpike's requests/s to each of these.
const GOALS: [(&str, f64); 2] = [("nginx", 1.0), ("h2o", 1.0)];
/// A generator that keeps its cores busier than this sets the limit.
const GENERATOR_CPU_SHARE_MAX: f64 = 0.95;

/// Medians of one proxy.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct H2Row {
    pub(crate) proxy: String,
    pub(crate) requests_per_s: f64,
    pub(crate) proxy_cpu_share: f64,
    /// Of all rounds together.
    pub(crate) failed: u64,
    pub(crate) samples: Vec<H2Sample>,
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Http2.name();
    let contenders = Contenders::start(bench, name, &PROXIES, Protocol::Http2, CONNECTIONS_MAX)?;
    let h2load = H2Load::new(&bench.generator)?;
    let label = format!("{CONNECTIONS} x {STREAMS} streams");
    let samples = rotate(&contenders.targets, bench.rounds(), |target| {
        let sample = h2load.measure(target, CONNECTIONS, STREAMS)?;
        Ok((progress(&label, &target.name, sample.requests_per_s), sample))
    })?;
    let mut section = Section::new(name);
    section.http2 =
        contenders.targets.iter().zip(samples).map(|(target, samples)| H2Row::new(target, samples)).collect();
    check(&mut section, &label);
    section.tables = vec![table(&section, &label)];
    Ok(section)
}

impl H2Row {
    fn new(target: &Target, samples: Vec<H2Sample>) -> Self {
        let of = |figure: fn(&H2Sample) -> f64| median(samples.iter().map(figure)).unwrap_or(0.0);
        Self {
            proxy: target.name.clone(),
            requests_per_s: of(|sample| sample.requests_per_s),
            proxy_cpu_share: of(|sample| sample.proxy.cpu_share),
            failed: samples.iter().map(|sample| sample.failed).sum(),
            samples,
        }
    }

    /// The median of the rounds' ratios.
    fn ratio(&self, rows: &[Self], to: &str) -> Option<f64> {
        let rates = |row: &Self| row.samples.iter().map(|sample| sample.requests_per_s).collect::<Vec<_>>();
        let to = rows.iter().find(|row| row.proxy == to)?;
        paired_ratio(rates(self), rates(to))
    }
}

fn check(section: &mut Section, label: &str) {
    if let Some(turnpike) = section.http2.iter().find(|row| row.proxy == "turnpike") {
        for (reference, goal) in GOALS {
            if let Some(ratio) = turnpike.ratio(&section.http2, reference) {
                let figure = format!("http2, {label}: requests/s over {reference}'s");
                section.checks.push(Check::at_least(figure, ratio, goal));
            }
        }
    }
    for row in &section.http2 {
        if row.samples.iter().any(|sample| sample.generator_cpu_share > GENERATOR_CPU_SHARE_MAX) {
            section.notes.push(format!("the load generator limited {}", row.proxy));
        }
    }
}

fn table(section: &Section, label: &str) -> Titled {
    let mut table = Table::new(["proxy", "requests/s", "core", "errors", "/haproxy", "/nginx", "/h2o"]);
    for row in &section.http2 {
        let [haproxy, nginx, h2o] =
            ["haproxy", "nginx", "h2o"].map(|reference| times(row.ratio(&section.http2, reference)));
        table.row([
            row.proxy.clone(),
            grouped(row.requests_per_s),
            format!("{:.0} %", row.proxy_cpu_share * 100.0),
            row.failed.to_string(),
            haproxy,
            nginx,
            h2o,
        ]);
    }
    Titled::new(label, table)
}
