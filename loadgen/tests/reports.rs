//! What a run leaves behind: its report in the formats and files that the command line names.

mod support;

use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use support::{hello, run};
use turnpike_loadgen::report::Report;

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_report_kept_as_json_is_shown_again() {
    let url = format!("http://{}/", hello());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.json");
    let file = file.to_str().unwrap();
    let text = stdout(&run(&[&url, "-t", "1", "-c", "2", "-n", "50", "--json", file]));
    assert!(text.contains("response time") && text.contains("status 200"), "{text}");
    assert_eq!(stdout(&run(&["show", file])), text);
    let json = stdout(&run(&["show", file, "--json"]));
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_eq!((report.replies, report.latency_us.count, report.service_us.count), (50, 50, 50));
    assert!(report.latency_us.p99_999 <= report.latency_us.max);
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(&["show", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a report"));
    assert_eq!(run(&[]).status.code(), Some(2), "a URL or a command is needed");
}

#[test]
fn an_hdr_log_holds_every_interval() {
    let url = format!("http://{}/", hello());
    let dir = tempfile::tempdir().unwrap();
    let (log, json) = (dir.path().join("run.hlog"), dir.path().join("run.json"));
    let args = ["-t", "2", "-c", "4", "-d", "500ms", "--rate", "400", "--interval", "100ms", "--hdr-log"];
    let mut args = [&[url.as_str()], &args[..]].concat();
    args.extend([log.to_str().unwrap(), "--json", json.to_str().unwrap()]);
    stdout(&run(&args));
    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let log = std::fs::read(&log).unwrap();
    let mut read = Vec::new();
    // The line of column names, which HdrHistogram's own reader skips, is no entry to this one.
    let lines = log
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"\""))
        .collect::<Vec<_>>();
    for entry in IntervalLogIterator::new(&lines.concat()) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let histogram = STANDARD.decode(interval.encoded_histogram()).unwrap();
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut histogram.as_slice()).unwrap();
        let start_s = interval.start_timestamp().as_secs_f64();
        read.push((start_s, histogram.len(), histogram.value_at_quantile(0.99) as f64 / 1e3));
    }
    let rows = report.intervals.iter();
    let rows: Vec<_> = rows.map(|row| (row.start_s, row.latency_us.count, row.latency_us.p99)).collect();
    assert_eq!((read, rows.len()), (rows, 5));
    assert_eq!(report.intervals.iter().map(|row| row.replies).sum::<u64>(), report.replies);
}
