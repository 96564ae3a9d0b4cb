//! A gateway that may write no large files (`ulimit -f`): what can't be written is said, and it ends for no other reason.

mod process;

use std::io::Read as _;
use std::process::Stdio;

use process::{Gateway, answer, command};

/// A shell that sets the limit, in its own unit, and becomes what follows.
fn limited(limit: &str) -> [&str; 4] {
    ["sh", "-c", "ulimit -f \"$0\" && exec \"$@\"", limit]
}

#[test]
fn one_that_can_write_nothing_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let mut command = command(&limited("0"), &data_dir, &dir.path().join("publish.sock"));
    let mut gateway = Gateway(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut log = String::new();
    gateway.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(gateway.0.wait().unwrap().code(), Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.contains(data_dir.to_str().unwrap()) && last.contains("File too large"), "{log}");
}

#[test]
fn one_whose_log_is_full_serves_on_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(&limited("64"), &dir.path().join("data"), &dir.path().join("publish.sock"));
    let log = dir.path().join("access.log");
    let mut gateway = Gateway(command.arg("--access-log").arg(&log).spawn().unwrap());
    let ready = gateway.ready();
    let (listen, admin) = (ready("listen"), ready("admin"));
    // Each leaves some hundred bytes.
    for _ in 0..1_000 {
        assert!(answer(&listen, "/nowhere").starts_with("HTTP/1.1 4"));
        let metrics = answer(&admin, "/metrics");
        let lost =
            metrics.lines().find_map(|line| line.strip_prefix("turnpike_access_log_unwritten_lines_total "));
        if lost.unwrap() != "0" {
            return;
        }
    }
    panic!("{} bytes were written, and no line was lost", std::fs::metadata(&log).unwrap().len());
}
