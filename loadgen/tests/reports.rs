//! What a run leaves behind: its report in the formats and files that the command line names.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::thread;

use turnpike_loadgen::report::Report;

/// Answers every request on every connection with five bytes.
fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines() {
                    let Ok(line) = line else { return };
                    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                    if line.is_empty() && writer.write_all(reply).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_report_kept_as_json_is_shown_again() {
    let url = format!("http://{}/", start());
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
