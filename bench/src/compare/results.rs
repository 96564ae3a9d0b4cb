//! What a comparison found: rows side by side with ratios, the figures to reach, and all of it as JSON.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use turnpike_loadgen::report::show_us;

use super::facts::Facts;
use super::failure::FailureRow;
use super::generator::GeneratorRow;
use super::grpc::GrpcReport;
use super::http2::H2Row;
use super::idle::IdleRow;
use super::load::Sample;
use super::rounds::{Row, find, labels};
use super::stats::{Spread, grouped, paired_ratio, times};
use super::table::{BLANK, Table};

/// Whom the others are compared to, in this order.
const REFERENCES: [&str; 3] = ["haproxy", "nginx", "passthrough"];

/// A figure to reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) goal: f64,
    /// Otherwise it is to stay at or below the goal.
    pub(crate) at_least: bool,
}

impl Check {
    pub(crate) fn at_least(figure: impl Into<String>, value: f64, goal: f64) -> Self {
        Self { figure: figure.into(), value, goal, at_least: true }
    }

    pub(crate) fn at_most(figure: impl Into<String>, value: f64, goal: f64) -> Self {
        Self { figure: figure.into(), value, goal, at_least: false }
    }

    pub(crate) fn met(&self) -> bool {
        if self.at_least { self.value >= self.goal } else { self.value <= self.goal }
    }
}

/// A table and what it is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Titled {
    pub(crate) title: String,
    pub(crate) table: Table,
}

impl Titled {
    pub(crate) fn new(title: impl Into<String>, table: Table) -> Self {
        Self { title: title.into(), table }
    }
}

/// One section's outcome.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) rows: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) http2: Vec<H2Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) generators: Vec<GeneratorRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) idle: Vec<IdleRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failure: Vec<FailureRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc: Option<GrpcReport>,
    /// What is shown of it.
    pub(crate) tables: Vec<Titled>,
    pub(crate) checks: Vec<Check>,
    pub(crate) notes: Vec<String>,
}

/// Everything, as it goes into the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) facts: Facts,
    pub(crate) sections: Vec<Section>,
}

impl Results {
    pub(crate) fn to_json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| error.to_string())
    }

    /// Writes what there is so far to a file; to a pipe or a terminal, which keep what came before, in the end only.
    pub(crate) fn keep(&self, file: &Path, is_all: bool) -> Result<(), String> {
        if !is_all && fs::metadata(file).is_ok_and(|found| !found.is_file()) {
            return Ok(());
        }
        fs::write(file, self.to_json()?).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Whether all figures were reached; nothing where there are none.
    pub(crate) fn show_checks(&self) -> Option<String> {
        let checks: Vec<&Check> = self.sections.iter().flat_map(|section| &section.checks).collect();
        if checks.is_empty() {
            return None;
        }
        let mut table = Table::new(["figure", "value", "goal", ""]);
        for check in checks {
            let sign = if check.at_least { ">=" } else { "<=" };
            table.row([
                check.figure.clone(),
                format!("{:.2}", check.value),
                format!("{sign} {:.2}", check.goal),
                if check.met() { "met".to_owned() } else { "MISSED".to_owned() },
            ]);
        }
        Some(format!("\nfigures to reach\n{table}"))
    }
}

impl Section {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Tables of requests/s and latencies, with the ratios of requests/s to each reference.
    pub(crate) fn tabulate_requests(&mut self) {
        let mut tables = Vec::new();
        for label in labels(&self.rows) {
            let mut table = Table::new([
                "proxy",
                "requests/s",
                "p50",
                "p99",
                "p99.9",
                "core",
                "errors",
                "/haproxy",
                "/nginx",
                "/passthrough",
            ]);
            for row in self.rows.iter().filter(|row| row.label == label) {
                let [haproxy, nginx, passthrough] = REFERENCES.map(|reference| {
                    times(self.ratio_of(row, reference, |sample| sample.report.replies_per_s))
                });
                table.row([
                    row.proxy.clone(),
                    grouped(row.replies_per_s),
                    shown(row.p50_us),
                    shown(row.p99_us),
                    shown(row.p99_9_us),
                    format!("{:.0} %", row.proxy_cpu_share * 100.0),
                    (row.failed + row.unsent).to_string(),
                    haproxy,
                    nginx,
                    passthrough,
                ]);
            }
            table.drop_blank_columns();
            tables.push(Titled::new(label, table));
            tables.extend(self.spread(label));
        }
        self.tables.extend(tables);
    }

    /// Turnpike's requests/s over the others': the median of the rounds' ratios, the lowest and the highest.
    fn spread(&self, label: &str) -> Option<Titled> {
        let turnpike = find(&self.rows, label, "turnpike")?;
        let others = self.rows.iter().filter(|row| row.label == label && row.proxy != turnpike.proxy);
        let mut table = Table::new(["turnpike over", "median", "lowest", "highest"]);
        let mut any = false;
        for row in others {
            let requests =
                |row: &Row| row.samples.iter().map(|sample| sample.report.replies_per_s).collect::<Vec<_>>();
            let Some(spread) = Spread::of(&requests(turnpike), &requests(row)) else { continue };
            table.row([
                row.proxy.clone(),
                times(Some(spread.median)),
                times(Some(spread.lowest)),
                times(Some(spread.highest)),
            ]);
            any = true;
        }
        any.then(|| Titled::new(format!("{label}, ratios of requests/s"), table))
    }

    /// Rows whose requests fail say nothing of what succeeds.
    pub(crate) fn failures(&self) -> Check {
        let failed: u64 = self.rows.iter().map(|row| row.failed).sum();
        Check::at_most(format!("{}: requests that failed", self.name), failed as f64, 0.0)
    }

    /// Its tables and notes.
    pub(crate) fn show(&self) -> String {
        let name = if self.tables.is_empty() { format!("\n{}\n", self.name) } else { String::new() };
        let table = |Titled { title, table }: &Titled| format!("\n{}: {title}\n{table}\n", self.name);
        let notes = self.notes.iter().map(|note| format!("  note: {note}\n"));
        let parts = std::iter::once(name).chain(self.tables.iter().map(table)).chain(notes);
        parts.collect::<String>().trim_end_matches('\n').to_owned()
    }

    /// Says which rows show the generator's limit rather than the proxy's.
    pub(crate) fn note_generator(&mut self) {
        let limited = self.rows.iter().filter(|row| row.generator_was_bottleneck);
        let note = |row: &Row| format!("the load generator limited {} at {}", row.proxy, row.label);
        self.notes.extend(limited.map(note).collect::<Vec<_>>());
    }

    /// A row's figure over the reference's under the same label: the median of the rounds' ratios.
    pub(crate) fn ratio_of(&self, row: &Row, reference: &str, figure: fn(&Sample) -> f64) -> Option<f64> {
        let reference = find(&self.rows, &row.label, reference)?;
        paired_ratio(row.samples.iter().map(figure), reference.samples.iter().map(figure))
    }

    /// The ratio of two proxies under one label.
    pub(crate) fn ratio(&self, label: &str, of: &str, to: &str, figure: fn(&Sample) -> f64) -> Option<f64> {
        self.ratio_of(find(&self.rows, label, of)?, to, figure)
    }
}

/// A latency, where there is one.
fn shown(us: f64) -> String {
    if us > 0.0 { show_us(us) } else { BLANK.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::layout::Layout;

    #[test]
    fn sections_are_kept_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results.json");
        let mut results =
            Results { facts: Facts::gather(1, &Layout::one_proxy_core(&[0])), sections: Vec::new() };
        for name in ["small", "churn"] {
            results.sections.push(Section::new(name));
            results.keep(&file, false).unwrap();
            let kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            assert_eq!(kept["sections"].as_array().unwrap().last().unwrap()["name"], name);
        }
        assert!(results.keep(&dir.path().join("none/x"), true).unwrap_err().contains("none/x"));
        assert_eq!(results.keep(Path::new("/dev/full"), false), Ok(()), "not yet");
        assert!(results.keep(Path::new("/dev/full"), true).is_err());
    }

    #[test]
    fn figures_are_met_at_their_goal() {
        assert!(Check::at_least("x", 1.15, 1.15).met());
        assert!(!Check::at_least("x", 1.149, 1.15).met());
        assert!(Check::at_most("x", 0.0, 0.0).met());
        assert!(!Check::at_most("x", 50.1, 50.0).met());
    }
}
