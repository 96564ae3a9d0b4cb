//! Section `grpc`: unary calls of grpcio's client to grpcio's server through the gateway; none may fail. What they
//! reach in a second is Python's figure, not the gateway's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::child::{Child, ready_value};
use super::load::Target;
use super::metered::{Metered, ProxyUse};
use super::results::{Check, Section};
use super::stats::grouped;
use super::turnpike::Turnpike;
use super::{Bench, PeerName, SectionName, skipped};

/// Both ends; written to the run's directory.
const SCRIPT: &str = include_str!("grpc_calls.py");
const CALLS: u64 = 100_000;
const IN_FLIGHT: u64 = 64;
const CHANNELS: u64 = 4;
/// Python does some thousand calls a second.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How long a new API may take until a call passes.
const SERVE_TIMEOUT: Duration = Duration::from_secs(20);
const SERVE_POLL: Duration = Duration::from_millis(50);

/// What the client says.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct GrpcReport {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    /// The most frequent cause of failures.
    pub(crate) failure: Option<String>,
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Grpc;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let ends = Ends::prepare(bench)?;
    let (_origin, origin) = ends.serve(&bench.layout.origin)?;
    let mut turnpike = Turnpike::start("turnpike", &bench.binaries, &ends.dir, &bench.layout)?;
    let target = turnpike.make_grpc_api(origin)?;
    let mut section = Section::new(name.name());
    let report = match ends.await_served(&target, &bench.layout.loadgen)? {
        None => {
            let (report, used) = ends.call(&target, &bench.layout.loadgen, CALLS)?;
            section.notes.push(describe(&report, &used));
            report
        }
        Some(failure) => {
            section.notes.push(format!("not even one call passes: {failure}"));
            GrpcReport { calls: CALLS, failed: CALLS, seconds: 0.0, failure: Some(failure) }
        }
    };
    section.checks.push(Check::at_most("grpc: calls failed of 100,000", report.failed as f64, 0.0));
    section.grpc = Some(report);
    Ok(section)
}

fn describe(report: &GrpcReport, used: &ProxyUse) -> String {
    let cause = report.failure.as_ref().map(|failure| format!(" (mostly {failure})")).unwrap_or_default();
    format!(
        "{} unary calls over {CHANNELS} connections, {IN_FLIGHT} at a time: {} failed{cause}; {} calls/s with the \
         gateway's core {:.0} % busy",
        grouped(report.calls as f64),
        report.failed,
        grouped(report.calls as f64 / report.seconds),
        used.cpu_share * 100.0
    )
}

/// The script that is both ends, and the Python that runs it.
struct Ends {
    python: PathBuf,
    dir: PathBuf,
    script: PathBuf,
}

impl Ends {
    fn prepare(bench: &Bench) -> Result<Self, String> {
        let dir = bench.dir.path().join("grpc");
        let script = dir.join("grpc_calls.py");
        std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(&script, SCRIPT))
            .map_err(|error| format!("{}: {error}", script.display()))?;
        Ok(Self { python: bench.args.python.clone(), dir, script })
    }

    fn serve(&self, cores: &[usize]) -> Result<(Child, SocketAddr), String> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg("serve");
        let (child, line) = Child::start_and_wait("grpc-origin", &self.dir, cores, &command)?;
        let address = ready_value(&line, "listen")?;
        let address = address.parse().map_err(|_| format!("'{address}' is no address"))?;
        Ok((child, address))
    }

    fn call(&self, target: &Target, cores: &[usize], calls: u64) -> Result<(GrpcReport, ProxyUse), String> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args(call_args(target, calls));
        let ended = Metered::start("grpc-client", &self.dir, cores, &command, target, TIME_MAX)?.finish()?;
        let report = serde_json::from_str(&ended.output).map_err(|_| ended.measured_nothing())?;
        Ok((report, ended.proxy_use))
    }

    /// Waits until a call passes; why none does otherwise.
    fn await_served(&self, target: &Target, cores: &[usize]) -> Result<Option<String>, String> {
        let deadline = Instant::now() + SERVE_TIMEOUT;
        loop {
            let (report, _) = self.call(target, cores, 1)?;
            match report.failure {
                None => return Ok(None),
                Some(failure) if Instant::now() >= deadline => return Ok(Some(failure)),
                Some(_) => thread::sleep(SERVE_POLL),
            }
        }
    }
}

/// Whether that Python can run the section.
pub(super) fn check_python(python: &Path) -> Result<(), String> {
    let output = Command::new(python).args(["-c", "import grpc"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!(
            "{} has no grpcio: give one that has with --python (pip install grpcio)",
            python.display()
        )),
    }
}

fn call_args(target: &Target, calls: u64) -> Vec<String> {
    let authority = target.host.clone().unwrap_or_else(|| target.address.to_string());
    let mut args = vec!["call".to_owned(), target.address.to_string()];
    for (option, value) in [
        ("--authority", authority),
        ("--calls", calls.to_string()),
        ("--in-flight", IN_FLIGHT.to_string()),
        ("--channels", CHANNELS.to_string()),
    ] {
        args.extend([option.to_owned(), value]);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_become_a_command_line() {
        let target = Target {
            name: "x".into(),
            origin: "http://127.0.0.1:81".into(),
            address: "127.0.0.1:81".parse().unwrap(),
            host: Some("a.test".into()),
            group: 0,
        };
        let expected = "call 127.0.0.1:81 --authority a.test --calls 7 --in-flight 64 --channels 4";
        assert_eq!(call_args(&target, 7).join(" "), expected);
    }

    #[test]
    fn failures_are_told_with_their_cause() {
        let report =
            GrpcReport { calls: 2_000, failed: 2, seconds: 2.0, failure: Some("UNAVAILABLE: x".into()) };
        let used = ProxyUse { cpu_share: 0.5, rss_before_bytes: 0, rss_peak_bytes: 0, rss_after_bytes: 0 };
        let text = describe(&report, &used);
        assert!(text.contains("2 failed (mostly UNAVAILABLE: x); 1,000 calls/s"), "{text}");
    }

    #[test]
    fn a_python_without_grpcio_is_told() {
        assert!(check_python(Path::new("/bin/false")).unwrap_err().contains("--python"));
    }
}
