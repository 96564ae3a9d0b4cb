//! Access logs that are sent again, against a small server that keeps what it got.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use turnpike_loadgen::report::Report;

/// Answers with nothing; hands on each request's line, and whether it had a body.
fn start() -> (String, Receiver<(String, bool)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.unwrap(), seen.clone());
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                let mut head: Vec<String> = Vec::new();
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or_default() > 0 {
                    if line != "\r\n" {
                        head.push(std::mem::take(&mut line).trim_end().to_owned());
                        continue;
                    }
                    let length = head.iter().find_map(|field| field.strip_prefix("content-length: "));
                    let length: usize = length.map_or(0, |length| length.parse().unwrap());
                    reader.consume_exactly(length);
                    // The test may have ended.
                    let _ = seen.send((head[0].clone(), length > 0));
                    head.clear();
                    line.clear();
                    if writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, requests)
}

trait Consume {
    fn consume_exactly(&mut self, bytes: usize);
}

impl<R: BufRead> Consume for R {
    fn consume_exactly(&mut self, bytes: usize) {
        let mut body = vec![0; bytes];
        self.read_exact(&mut body).unwrap();
    }
}

fn replay(log: &str, url: &str, args: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), log).unwrap();
    Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"))
        .arg("replay")
        .arg(file.path())
        .args([url, "--json", "-t", "2", "-c", "8"])
        .args(args)
        .output()
        .unwrap()
}

fn json(at_ms: u64, method: &str, path: &str) -> String {
    format!(
        "{{\"requestTimeEpoch\":{},\"httpMethod\":\"{method}\",\"path\":\"{path}\"}}\n",
        1_700_000_000_000 + at_ms
    )
}

#[test]
fn a_log_is_sent_again_at_its_scaled_times() {
    let (url, requests) = start();
    let log =
        [json(1, "GET", "/a?b"), json(1_001, "POST", "/b"), json(601, "DELETE", "/c"), "half a li".into()];
    let output = replay(&log.concat(), &format!("{url}/stage/"), &["--speed", "2", "--expect-status", "204"]);
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report.succeeded, report.failed(), report.loop_kind.as_str()), (3, 0, "open"));
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("1 lines of the log can't be replayed; the first is line 4"), "{notes}");
    assert!(notes.contains("1 requests with methods that have a body are sent without one"), "{notes}");
    let seen: Vec<_> = requests.try_iter().collect();
    let mut lines: Vec<&str> = seen.iter().map(|(line, _)| line.as_str()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["DELETE /stage/c HTTP/1.1", "GET /stage/a?b HTTP/1.1", "POST /stage/b HTTP/1.1"]);
    // Nothing is sent before its time: the last 500 ms after the first at twice the speed.
    assert!(report.duration_s >= 0.5, "{}", report.duration_s);
}

#[test]
fn a_log_comes_from_standard_input_and_not_compressed() {
    let (url, requests) = start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    std::fs::write(&file, json(0, "GET", "/piped")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"));
    let output = command.args(["replay", "-", &url, "-t", "1"]).stdin(File::open(&file).unwrap()).output();
    assert!(output.unwrap().status.success());
    assert_eq!(requests.try_iter().next(), Some(("GET /piped HTTP/1.1".to_owned(), false)));
    std::fs::write(&file, b"\x1f\x8b\x08").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"));
    let output = command.arg("replay").arg(&file).arg(&url).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && error.contains("access.log: it is compressed"), "{error}");
}

#[test]
fn bodies_are_given_to_the_methods_that_have_one() {
    let (url, requests) = start();
    let log = ["POST", "GET", "PATCH"].map(|method| json(0, method, "/x")).concat();
    let output = replay(&log, &url, &["--body", "hey"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bodies: Vec<_> = requests.try_iter().collect();
    bodies.sort();
    let wanted = [("GET", false), ("PATCH", true), ("POST", true)];
    assert_eq!(bodies, wanted.map(|(method, body)| (format!("{method} /x HTTP/1.1"), body)));
}

#[test]
fn what_contradicts_the_log_is_refused() {
    let log = json(0, "GET", "/");
    for (args, reason) in [
        (&["--rate", "5"][..], "--rate"),
        (&["--duration", "5s"], "--duration"),
        (&["--speed", "0"], "--speed"),
        (&["--method", "PUT"], "--method"),
    ] {
        let output = replay(&log, "http://127.0.0.1:9", args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(reason), "{error}");
    }
    let output = replay("rubbish\n", "http://127.0.0.1:9", &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no request that can be replayed"));
}
