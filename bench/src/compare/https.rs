//! Section `https`: a GET with a small reply over kept connections under TLS 1.3 (ECDSA P-256), closed loop.

use super::contenders::{Contenders, Protocol};
use super::load::Load;
use super::results::{Check, Section};
use super::rounds::Case;
use super::side_by_side::side_by_side;
use super::{Bench, CONNECTIONS_MAX, PeerName, SectionName};

const CONNECTIONS: usize = 64;
const LABEL: &str = "64 connections";
const PROXIES: [PeerName; 3] = [PeerName::Turnpike, PeerName::Haproxy, PeerName::Nginx];
/// Least ratio of Turnpike's requests/s to each of these.
const GOALS: [(&str, f64); 2] = [("haproxy", 1.15), ("nginx", 1.15)];

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Https.name();
    let contenders = Contenders::start(bench, name, &PROXIES, Protocol::Https, CONNECTIONS_MAX)?;
    let cases: Vec<Case> = contenders
        .targets
        .iter()
        .map(|target| Case {
            label: LABEL.to_owned(),
            target: target.clone(),
            load: Load::get("/", CONNECTIONS),
        })
        .collect();
    let mut section = Section::new(name);
    section.rows = side_by_side(&cases, bench.rounds(), &bench.generator)?;
    for (reference, goal) in GOALS {
        if let Some(ratio) = section.ratio(LABEL, "turnpike", reference, |sample| sample.report.replies_per_s)
        {
            let figure = format!("https, {LABEL}: requests/s over {reference}'s");
            section.checks.push(Check::at_least(figure, ratio, goal));
        }
    }
    section.tabulate_requests();
    Ok(section)
}
