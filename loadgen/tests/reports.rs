//! What a run leaves behind: its report in the formats and files that the command line names.

mod support;

use std::process::{Command, Output};

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
        let (start_s, max_ms) = (interval.start_timestamp().as_secs_f64(), histogram.max() as f64 / 1e6);
        // To the microsecond, which is all that is written of it.
        assert!((interval.max() - max_ms).abs() < 0.001, "{} and {max_ms}", interval.max());
        read.push((start_s, histogram.len(), histogram.value_at_quantile(0.99) as f64 / 1e3));
    }
    let rows = report.intervals.iter();
    let rows: Vec<_> = rows.map(|row| (row.start_s, row.latency_us.count, row.latency_us.p99)).collect();
    assert_eq!((read, rows.len()), (rows, 5));
    assert_eq!(report.intervals.iter().map(|row| row.replies).sum::<u64>(), report.replies);
}

#[test]
fn a_page_says_what_the_json_says() {
    let url = format!("http://{}/a'b&c=<d>\"", hello());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (html, json, csv) = (file("run.html"), file("run.json"), file("run.csv"));
    let args = ["-t", "2", "-c", "4", "-d", "400ms", "--ramp", "100:900:400ms", "--interval", "50ms"];
    let outputs = ["--html", &html, "--json", &json, "--csv", &csv, "-H", "x-api-key: secret<>"];
    let text = stdout(&run(&[&[url.as_str()], &args[..], &outputs].concat()));
    assert!(text.contains("open loop at 100 to 900 requests/s"), "{text}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(!page.contains("secret") && page.contains("x-api-key: ***"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check_page.py");
    let checked = Command::new("python3").args([script, &html, &json]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // Made again from the JSON report, the page is the same.
    assert_eq!(stdout(&run(&["show", &json, "--html", "-"])).trim_end(), page.trim_end());
    check_csv(&csv, &serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap());
}

fn check_csv(file: &str, report: &Report) {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), report.intervals.len() + 1);
    assert!(
        lines.iter().all(|line| line.len() == 12) && lines[0][2] == "replies" && lines[0][11] == "max_us"
    );
    let value = |text: &str| text.parse::<f64>().unwrap();
    for (line, interval) in lines[1..].iter().zip(&report.intervals) {
        assert_eq!((value(line[0]), value(line[2])), (interval.start_s, interval.replies as f64));
        assert_eq!((value(line[9]), value(line[11])), (interval.latency_us.p99, interval.latency_us.max));
    }
}

#[test]
fn a_log_that_ends_early_takes_no_report_with_it() {
    let url = format!("http://{}/", hello());
    let args = [&url, "-t", "1", "-c", "1", "-d", "1s", "--rate", "500", "--interval", "10ms"];
    let output = run(&[&args[..], &["--hdr-log", "/dev/full"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--hdr-log /dev/full: No space left"), "{error}");
    let full = ["--hdr-log", "/dev/full", "--json", "/dev/full", "--csv", "/dev/full", "--html", "/dev/full"];
    let error = String::from_utf8(run(&[&args[..], &full].concat()).stderr).unwrap();
    for option in ["--hdr-log", "--json", "--csv", "--html"] {
        assert_eq!(error.matches(&format!("{option} /dev/full: No space left")).count(), 1, "{error}");
    }
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("status 200") && report.contains("99.999 %"), "{report}");
}

#[test]
fn what_cannot_be_written_is_told_before_the_run() {
    let url = format!("http://{}/", hello());
    for outputs in [["--csv", "/nonexistent/x", "--html", "-"], ["--csv", "-", "--html", "-"]] {
        let output = run(&[&[url.as_str(), "-d", "60s"], &outputs[..]].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    }
    let output = run(&[&url, "-t", "1", "-c", "1", "-n", "1", "--hdr-log", "/nonexistent/x"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("--hdr-log /nonexistent/x"), "{error}");
}
