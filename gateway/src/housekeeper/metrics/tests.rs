use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::stats::{Outcome, ShardStats};

/// A sample's name and labels, as one key, and its value.
type Samples = BTreeMap<String, f64>;

/// Reads the format as strictly as its description allows, and panics at the first deviation.
fn parse(text: &str) -> (BTreeMap<String, String>, Samples) {
    assert!(text.ends_with('\n'), "the last line must end");
    let (mut families, mut samples) = (BTreeMap::new(), Samples::new());
    let (mut helped, mut typed) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help has a text");
            assert!(!families.contains_key(name), "{name} appears twice");
            assert!(!text.is_empty() && !text.contains('\\'), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type has a kind");
            assert_eq!(name, helped, "TYPE follows HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            families.insert(name.to_owned(), kind.to_owned());
            name.clone_into(&mut typed);
        } else {
            let (key, value) = sample(line);
            let name = key.split('{').next().unwrap();
            let suffix = name.strip_prefix(&typed).unwrap_or_else(|| panic!("{line} isn't of {typed}"));
            let suffixes: &[&str] =
                if families[&typed] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line} isn't of {typed}");
            assert!(samples.insert(key, value).is_none(), "{line} appears twice");
        }
    }
    (families, samples)
}

fn sample(line: &str) -> (String, f64) {
    let (key, value) = match line.find('{') {
        None => line.split_once(' ').expect("a sample has a value"),
        Some(start) => {
            let end = start + 1 + labels_bytes(&line[start + 1..]);
            (&line[..=end], line[end + 1..].strip_prefix(' ').expect("one space before the value"))
        }
    };
    let name = key.split('{').next().unwrap();
    assert!(is_name(name), "{line}");
    (key.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}: no number")))
}

/// Length up to the closing brace of what follows the opening one.
fn labels_bytes(text: &str) -> usize {
    let mut at = 0;
    let mut names = BTreeSet::new();
    loop {
        let equals = text[at..].find("=\"").expect("a label has a value");
        let name = &text[at..at + equals];
        assert!(is_name(name) && !name.contains(':') && names.insert(name), "{text}");
        at += equals + 2;
        loop {
            match text.as_bytes()[at] {
                b'\\' => {
                    assert!(b"\\\"n".contains(&text.as_bytes()[at + 1]), "{text}");
                    at += 2;
                }
                b'"' => break,
                _ => at += 1,
            }
        }
        match text.as_bytes()[at + 1] {
            b',' => at += 2,
            b'}' => return at + 1,
            _ => panic!("{text}"),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
}

fn figures() -> HousekeeperFigures {
    HousekeeperFigures {
        driver: "epoll",
        snapshot_version: 12,
        snapshot_refused_total: 3,
        refused_routes: 4,
        control_connected: true,
        ..HousekeeperFigures::default()
    }
}

fn outcome(status: u16, latency_us: u64, integration_latency_us: Option<u64>) -> Outcome {
    Outcome { status, latency_us, integration_latency_us, cached: None }
}

fn busy_totals() -> Totals {
    let mut totals = Totals::alone(2);
    let slots = totals.assign_slots([("abc", "prod"), ("quoted", "a\"b\\c\nd")]);
    let mut shard = ShardStats::alone();
    for latency_us in [200, 251, 1_003, 40_000, 31_000_000] {
        shard.record(slots[0], &outcome(200, latency_us, None));
    }
    shard.record(slots[1], &outcome(503, 700, Some(300)));
    shard.counters.refusals.count(RefusalKind::RouteUnknown);
    shard.gauges.connections_open = 30;
    totals.merge(0, shard.report());
    let mut shard = ShardStats::alone();
    shard.record(slots[1], &outcome(404, 1_000, None));
    shard.gauges.connections_open = 10;
    totals.merge(1, shard.report());
    totals.mark_down(1);
    totals
}

#[test]
fn an_idle_gateway_s_page_parses() {
    let (families, samples) = parse(&render(&Totals::alone(1), &figures()));
    assert!(families.len() > 30);
    assert_eq!(samples["turnpike_shard_load_busiest_over_mean{of=\"requests\"}"], 1.0);
    assert_eq!(samples["turnpike_shard_up{shard=\"0\"}"], 0.0);
}

#[test]
fn figures_land_in_their_samples() {
    let (families, samples) = parse(&render(&busy_totals(), &figures()));
    let escaped = "api_id=\"quoted\",stage=\"a\\\"b\\\\c\\nd\"";
    let expected = [
        ("turnpike_snapshot_version".to_owned(), 12.0),
        ("turnpike_snapshot_refused_total".to_owned(), 3.0),
        ("turnpike_refused_routes".to_owned(), 4.0),
        ("turnpike_count_total{api_id=\"abc\",stage=\"prod\"}".to_owned(), 5.0),
        (format!("turnpike_count_total{{{escaped}}}"), 2.0),
        (format!("turnpike_4xx_error_total{{{escaped}}}"), 1.0),
        (format!("turnpike_5xx_error_total{{{escaped}}}"), 1.0),
        (format!("turnpike_integration_latency_seconds_count{{{escaped}}}"), 1.0),
        (format!("turnpike_latency_seconds_sum{{{escaped}}}"), 0.0017),
        ("turnpike_shard_up{shard=\"0\"}".to_owned(), 1.0),
        ("turnpike_shard_up{shard=\"1\"}".to_owned(), 0.0),
        ("turnpike_shard_refusals_total{shard=\"0\",kind=\"route_unknown\"}".to_owned(), 1.0),
        ("turnpike_shard_load_busiest_over_mean{of=\"connections\"}".to_owned(), 1.5),
        ("turnpike_shard_load_busiest_over_mean{of=\"requests\"}".to_owned(), 6.0 / 3.5),
    ];
    for (key, value) in expected {
        assert_eq!(samples.get(&key), Some(&value), "{key}");
    }
    assert_eq!(families["turnpike_latency_seconds"], "histogram");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(samples[&format!("turnpike_build_info{{version=\"{version}\",driver=\"epoll\"}}")], 1.0);
}

#[test]
fn a_histogram_s_buckets_grow_up_to_its_count() {
    let (_, samples) = parse(&render(&busy_totals(), &figures()));
    let bucket = |edge: &str| {
        samples[&format!("turnpike_latency_seconds_bucket{{api_id=\"abc\",stage=\"prod\",le=\"{edge}\"}}")]
    };
    let edges = ["0.00025", "0.0005", "0.001", "0.0025", "0.025", "0.05", "30", "+Inf"];
    // 1,003 µs shares an HDR bucket with 1,000 µs; 251 µs stands alone.
    assert_eq!(edges.map(bucket), [1.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 5.0]);
    assert_eq!(samples["turnpike_latency_seconds_count{api_id=\"abc\",stage=\"prod\"}"], 5.0);
}

#[test]
fn quantiles_are_within_one_percent() {
    let (_, samples) = parse(&render(&busy_totals(), &figures()));
    let quantile = |quantile: &str| {
        samples[&format!(
            "turnpike_latency_quantile_seconds{{api_id=\"abc\",stage=\"prod\",quantile=\"{quantile}\"}}"
        )]
    };
    assert!((quantile("0.5") / 0.001003 - 1.0).abs() < 0.01);
    assert!((quantile("0.999") / 31.0 - 1.0).abs() < 0.01);
}

#[test]
fn the_order_is_stable() {
    assert_eq!(render(&busy_totals(), &figures()), render(&busy_totals(), &figures()));
}

#[test]
fn the_busiest_shard_is_compared_with_the_mean() {
    assert_eq!(busiest_over_mean([10, 10, 10].into_iter()), 1.0);
    assert_eq!(busiest_over_mean([30, 0, 0].into_iter()), 3.0);
    assert_eq!(busiest_over_mean([].into_iter()), 1.0);
}
