//! Section `bodies`: 1 KiB, 64 KiB and 10 MiB bodies, as replies and as requests; throughput, and how much memory the proxy
//! holds meanwhile.

use super::load::Load;
use super::results::{Check, Section, Titled};
use super::rounds::{Case, Row, interleave, labels};
use super::stats::{mib, times};
use super::table::Table;
use super::{Bench, PeerName, SectionName};

/// Size, its name, and how many connections carry it.
const BODIES: [(u64, &str, usize); 3] =
    [(1024, "1 KiB", 64), (64 * 1024, "64 KiB", 64), (10 * 1024 * 1024, "10 MiB", 16)];
/// The gateway's memory may grow by this much while bodies pass: buffers, not bodies.
const RSS_GROWTH_BYTES_MAX: f64 = 32.0 * 1024.0 * 1024.0;

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let mut cases = Vec::new();
    let proxies = bench.targets.iter().filter(|target| target.name != PeerName::Responder.name());
    for (bytes, size, connections) in BODIES {
        let download =
            Load { expect_body_bytes: Some(bytes), ..Load::get(&format!("/bytes/{bytes}"), connections) };
        let upload = Load { post_bytes: Some(bytes), ..Load::get("/", connections) };
        for (direction, load) in [("GET", download), ("POST", upload)] {
            cases.extend(proxies.clone().map(|target| Case {
                label: format!("{direction} {size}"),
                target: target.clone(),
                load: load.clone(),
            }));
        }
    }
    let mut section = Section::new(SectionName::Bodies.name());
    section.rows = interleave(&cases, bench.rounds(), &bench.generator)?;
    check(&mut section);
    section.tables = tables(&section);
    Ok(section)
}

fn check(section: &mut Section) {
    let names: Vec<String> = labels(&section.rows).into_iter().map(str::to_owned).collect();
    for label in names {
        if let Some(ratio) =
            section.ratio(&label, "turnpike", "nginx", |sample| sample.report.content_bytes_per_s)
        {
            let figure = format!("bodies, {label}: throughput over nginx's");
            section.checks.push(Check::at_least(figure, ratio, 1.0));
        }
    }
    let turnpike: Vec<&Row> = section.rows.iter().filter(|row| row.proxy == "turnpike").collect();
    if !turnpike.is_empty() {
        let growth = turnpike.iter().map(|row| rss_growth_bytes(row)).fold(0.0, f64::max);
        let (growth, limit) = (growth / 1_048_576.0, RSS_GROWTH_BYTES_MAX / 1_048_576.0);
        section.checks.push(Check::at_most("bodies: growth of the gateway's memory, MiB", growth, limit));
    }
}

/// The largest peak over what the process held before, among the rounds.
fn rss_growth_bytes(row: &Row) -> f64 {
    let growth = |(peak, before): (u64, u64)| peak.saturating_sub(before) as f64;
    let pairs = row.samples.iter().map(|sample| (sample.proxy.rss_peak_bytes, sample.proxy.rss_before_bytes));
    pairs.map(growth).fold(0.0, f64::max)
}

fn tables(section: &Section) -> Vec<Titled> {
    let mut tables = Vec::new();
    for label in labels(&section.rows) {
        let mut table = Table::new([
            "proxy",
            "MiB/s",
            "p50",
            "p99",
            "errors",
            "memory before",
            "peak",
            "after",
            "/nginx",
        ]);
        for row in section.rows.iter().filter(|row| row.label == label) {
            let first = row.samples.first().map_or(0, |sample| sample.proxy.rss_before_bytes);
            let peak = row.samples.iter().map(|sample| sample.proxy.rss_peak_bytes).max().unwrap_or(0);
            let last = row.samples.last().map_or(0, |sample| sample.proxy.rss_after_bytes);
            table.row([
                row.proxy.clone(),
                format!("{:.0}", row.content_bytes_per_s / 1_048_576.0),
                turnpike_loadgen::report::show_us(row.p50_us),
                turnpike_loadgen::report::show_us(row.p99_us),
                row.failed.to_string(),
                mib(first as f64),
                mib(peak as f64),
                mib(last as f64),
                times(section.ratio_of(row, "nginx", |sample| sample.report.content_bytes_per_s)),
            ]);
        }
        tables.push(Titled::new(label, table));
    }
    tables
}
