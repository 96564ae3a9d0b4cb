//! Section `small`: a GET with a small reply over keep-alive connections, closed loop.

use super::load::Load;
use super::results::{Check, Section};
use super::rounds::Case;
use super::side_by_side::side_by_side;
use super::{Bench, SectionName};

/// Least ratio of Turnpike's requests/s to each of these.
const GOALS: [(&str, f64); 5] =
    [("haproxy", 1.25), ("nginx", 1.5), ("envoy", 2.0), ("pingora", 2.0), ("passthrough", 0.95)];

pub(crate) fn label(connections: usize) -> String {
    format!("{connections} connections")
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let cases: Vec<Case> = bench
        .args
        .connections
        .iter()
        .flat_map(|connections| bench.targets.iter().map(move |target| (*connections, target)))
        .map(|(connections, target)| Case {
            label: label(connections),
            target: target.clone(),
            load: Load::get("/", connections),
        })
        .collect();
    let mut section = Section::new(SectionName::Small.name());
    section.rows = side_by_side(&cases, bench.rounds(), &bench.generator)?;
    for connections in &bench.args.connections {
        let label = label(*connections);
        for (reference, goal) in GOALS {
            if let Some(ratio) =
                section.ratio(&label, "turnpike", reference, |sample| sample.report.replies_per_s)
            {
                let figure = format!("small, {label}: requests/s over {reference}'s");
                section.checks.push(Check::at_least(figure, ratio, goal));
            }
        }
    }
    section.tabulate_requests();
    Ok(section)
}
