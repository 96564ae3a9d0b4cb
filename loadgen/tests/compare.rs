//! `compare`: reports of real runs, and the exit status that a build can rely on.

mod support;

use std::path::Path;

use support::{hello, run};
use turnpike_loadgen::report::Report;

/// A run of ten intervals, kept as JSON, with its latencies stretched by so much.
fn keep_run(file: &Path, stretched: f64) {
    let url = format!("http://{}/", hello());
    let args = ["-t", "1", "-c", "2", "-d", "500ms", "--rate", "2000", "--interval", "50ms", "--json"];
    let output = run(&[&[url.as_str()], &args[..], &[file.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut report: Report = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for (index, interval) in report.intervals.iter_mut().enumerate() {
        // The machine's own noise has no place here: what is measured becomes what is meant.
        interval.latency_us.p50 = (100.0 + index as f64) * stretched;
    }
    std::fs::write(file, serde_json::to_vec(&report).unwrap()).unwrap();
}

#[test]
fn a_regression_has_an_exit_status_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["a.json", "b.json", "c.json"].map(|name| dir.path().join(name));
    for (file, stretched) in files.iter().zip([1.0, 1.01, 1.5]) {
        keep_run(file, stretched);
    }
    let [a, b, c] = files.each_ref().map(|file| file.to_str().unwrap());
    let same = run(&["compare", a, b]);
    let text = String::from_utf8_lossy(&same.stdout);
    let p50 = |text: &str| text.lines().find(|line| line.trim_start().starts_with("p50")).unwrap().to_owned();
    assert_eq!(same.status.code(), Some(0), "{text}");
    assert!(p50(&text).ends_with("within noise") && text.contains("one run on a side"), "{text}");
    let slower = run(&["compare", a, b, "--against", c, "--fail-on-regression", "3%"]);
    let text = String::from_utf8_lossy(&slower.stdout);
    assert_eq!(slower.status.code(), Some(4), "{text}");
    assert!(p50(&text).ends_with("worse"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("  regression: ") && line.contains("p50")), "{text}");
    let json = run(&["compare", c, a, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let p50 = json["rows"].as_array().unwrap().iter().find(|row| row["name"] == "p50").unwrap();
    assert_eq!(p50["verdict"], "better");
    let change = p50["change"].as_f64().unwrap();
    assert!((change - 1.0 / 1.5).abs() < 0.001 && p50["change_high"].as_f64().unwrap() < 1.0, "{p50}");
}

#[test]
fn what_cannot_be_compared_is_told() {
    assert_eq!(run(&["compare", "a.json"]).status.code(), Some(2));
    let output = run(&["compare", "/nonexistent/a.json", "/nonexistent/b.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/a.json"));
}
