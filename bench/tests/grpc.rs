//! The two ends of the section `grpc` against each other: what the client counts.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The script under the tests' Python, which `scripts/test` makes.
fn script() -> Command {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python: PathBuf = package.join("../.venv/bin/python");
    assert!(python.exists(), "{} is missing: scripts/test makes it", python.display());
    let mut command = Command::new(python);
    command.arg(package.join("src/compare/grpc_calls.py"));
    command
}

/// The server, killed when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process =
            script().arg("serve").stdout(Stdio::piped()).process_group(0).spawn().expect("Python runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().split_once("listen=").expect(&line).1.to_owned();
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn call(address: &str, calls: u64) -> serde_json::Value {
    let calls = calls.to_string();
    let args = ["--authority", "a.test", "--calls", &calls, "--in-flight", "8", "--channels", "2"];
    let output = script().args(["call", address]).args(args).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn right_answers_are_no_failures() {
    let server = Server::start();
    let report = call(&server.address, 300);
    assert_eq!((report["calls"].as_u64(), report["failed"].as_u64()), (Some(300), Some(0)), "{report}");
    assert!(report["failure"].is_null() && report["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn calls_that_nobody_answers_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let report = call(&address, 20);
    assert_eq!(report["failed"].as_u64(), Some(20), "{report}");
    assert!(report["failure"].as_str().unwrap().starts_with("UNAVAILABLE: "), "{report}");
}
