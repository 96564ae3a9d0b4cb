//! Section `handshakes`: a new connection for each small GET, so that what is compared is TLS 1.3 handshakes (ECDSA
//! P-256), full ones and resumed ones.

use super::contenders::{Contenders, Protocol};
use super::load::{Load, Sample};
use super::results::{Check, Section, Titled};
use super::rounds::{Case, find, interleave};
use super::stats::{grouped, median, paired_ratio, times};
use super::table::Table;
use super::{Bench, CONNECTIONS_MAX, PeerName, SectionName};

const CONNECTIONS: usize = 64;
const PROXIES: [PeerName; 3] = [PeerName::Turnpike, PeerName::Haproxy, PeerName::Nginx];
/// Least ratio of Turnpike's handshakes/s to those of the faster of the others.
const GOAL: f64 = 0.95;

/// With less of them being of the kind that is measured, something is wrong.
const KIND_PERCENT_MIN: f64 = 95.0;

/// One kind of handshake.
struct Kind {
    label: &'static str,
    resumption: bool,
    per_s: fn(&Sample) -> f64,
}

const KINDS: [Kind; 2] = [
    Kind { label: "full", resumption: false, per_s: full_per_s },
    Kind { label: "resumed", resumption: true, per_s: resumed_per_s },
];

fn full_per_s(sample: &Sample) -> f64 {
    sample.report.openings.handshakes.full as f64 / sample.report.duration_s
}

fn resumed_per_s(sample: &Sample) -> f64 {
    sample.report.openings.handshakes.resumed as f64 / sample.report.duration_s
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Handshakes.name();
    let contenders = Contenders::start(bench, name, &PROXIES, Protocol::Https, CONNECTIONS_MAX)?;
    let mut cases = Vec::new();
    for kind in &KINDS {
        let load = Load {
            requests_per_connection: Some(1),
            resumption: kind.resumption,
            ..Load::get("/", CONNECTIONS)
        };
        cases.extend(contenders.targets.iter().map(|target| Case {
            label: kind.label.to_owned(),
            target: target.clone(),
            load: load.clone(),
        }));
    }
    let mut section = Section::new(name);
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    for kind in &KINDS {
        if let Some(ratio) = ratio_to_faster(&section, kind) {
            let figure = format!("handshakes, {}: per second over the faster peer's", kind.label);
            section.checks.push(Check::at_least(figure, ratio, GOAL));
        }
        note_other_handshakes(&mut section, kind);
    }
    section.tables = tables(&section);
    Ok(section)
}

/// Over the faster of the others, round by round.
fn ratio_to_faster(section: &Section, kind: &Kind) -> Option<f64> {
    let per_s = |proxy: &str| -> Option<Vec<f64>> {
        let row = find(&section.rows, kind.label, proxy)?;
        Some(row.samples.iter().map(kind.per_s).collect())
    };
    let others: Vec<Vec<f64>> = ["haproxy", "nginx"].into_iter().filter_map(per_s).collect();
    paired_ratio(per_s("turnpike")?, faster(&others))
}

/// The largest value of each round.
fn faster(others: &[Vec<f64>]) -> Vec<f64> {
    let rounds = others.iter().map(Vec::len).min().unwrap_or(0);
    (0..rounds).map(|round| others.iter().map(|values| values[round]).fold(0.0, f64::max)).collect()
}

/// A server that doesn't resume what it should compares to nothing: that is said.
fn note_other_handshakes(section: &mut Section, kind: &Kind) {
    let rows = section.rows.iter().filter(|row| row.label == kind.label);
    let notes: Vec<String> = rows
        .filter_map(|row| {
            let all: f64 = row.samples.iter().map(|sample| full_per_s(sample) + resumed_per_s(sample)).sum();
            let wanted: f64 = row.samples.iter().map(kind.per_s).sum();
            let share = 100.0 * wanted / all.max(1.0);
            (share < KIND_PERCENT_MIN)
                .then(|| format!("{}: only {share:.0} % of the handshakes were {}", row.proxy, kind.label))
        })
        .collect();
    section.notes.extend(notes);
}

fn tables(section: &Section) -> Vec<Titled> {
    let mut tables = Vec::new();
    for kind in &KINDS {
        let mut table = Table::new([
            "proxy",
            "handshakes/s",
            "connect p50",
            "handshake p50",
            "p99",
            "core",
            "errors",
            "/haproxy",
            "/nginx",
        ]);
        for row in section.rows.iter().filter(|row| row.label == kind.label) {
            let of = |figure: fn(&Sample) -> f64| median(row.samples.iter().map(figure)).unwrap_or_default();
            let us = turnpike_loadgen::report::show_us;
            table.row([
                row.proxy.clone(),
                grouped(of(kind.per_s)),
                us(of(|sample| sample.report.openings.connect_us.p50)),
                us(of(|sample| sample.report.openings.handshake_us.p50)),
                us(of(|sample| sample.report.openings.handshake_us.p99)),
                format!("{:.0} %", row.proxy_cpu_share * 100.0),
                (row.failed + row.unsent).to_string(),
                times(section.ratio_of(row, "haproxy", kind.per_s)),
                times(section.ratio_of(row, "nginx", kind.per_s)),
            ]);
        }
        tables.push(Titled::new(format!("{}, {CONNECTIONS} at a time", kind.label), table));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_is_chosen_in_each_round() {
        assert_eq!(faster(&[vec![1.0, 5.0], vec![2.0, 3.0]]), [2.0, 5.0]);
        assert_eq!(faster(&[vec![4.0]]), [4.0]);
        assert!(faster(&[]).is_empty());
    }
}
