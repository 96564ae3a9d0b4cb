//! Section `churn`: a new connection for each request, closed loop. What is compared is accepting, the first request and
//! closing; connections to the origin are kept by all.

use super::load::Load;
use super::results::{Check, Section};
use super::rounds::{Case, interleave};
use super::{Bench, SectionName};

const CONNECTIONS: usize = 64;
const LABEL: &str = "1 request a connection";
/// Least ratio of Turnpike's requests/s to each of these.
const GOALS: [(&str, f64); 2] = [("haproxy", 1.0), ("nginx", 1.0)];

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let cases: Vec<Case> = bench
        .targets
        .iter()
        .map(|target| Case {
            label: LABEL.to_owned(),
            target: target.clone(),
            load: Load { requests_per_connection: Some(1), ..Load::get("/", CONNECTIONS) },
        })
        .collect();
    let mut section = Section::new(SectionName::Churn.name());
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    for (reference, goal) in GOALS {
        if let Some(ratio) = section.ratio(LABEL, "turnpike", reference, |sample| sample.report.replies_per_s)
        {
            let figure = format!("churn: requests/s over {reference}'s");
            section.checks.push(Check::at_least(figure, ratio, goal));
        }
    }
    section.checks.push(section.failures());
    section.tabulate_requests();
    Ok(section)
}
