//! nghttp2's load generator: HTTP/2 requests over many streams of several connections, closed loop.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use super::load::{LoadGenerator, Target};
use super::metered::{Metered, ProxyUse};
use super::peers::find_program;

/// What a run may take beyond its warm-up and duration.
const OVERTIME: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct H2Load {
    program: PathBuf,
    dir: PathBuf,
    cores: Vec<usize>,
    duration: Duration,
    warmup: Duration,
}

/// One measurement's result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct H2Sample {
    pub(crate) requests_per_s: f64,
    /// Without a reply, or with one that is no success.
    pub(crate) failed: u64,
    pub(crate) proxy: ProxyUse,
    /// The busiest that the generator was, as a share of its cores.
    pub(crate) generator_cpu_share: f64,
}

impl H2Load {
    /// As long, and on the same cores, as the other generator.
    pub(crate) fn new(generator: &LoadGenerator) -> Result<Self, String> {
        Ok(Self {
            program: find_program("h2load")?,
            dir: generator.dir.clone(),
            cores: generator.cores.clone(),
            duration: generator.duration,
            warmup: generator.warmup,
        })
    }

    pub(crate) fn measure(
        &self,
        target: &Target,
        connections: usize,
        streams: usize,
    ) -> Result<H2Sample, String> {
        let mut command = Command::new(&self.program);
        command.args(self.args(target, connections, streams));
        let limit = self.duration + self.warmup + OVERTIME;
        let ended = Metered::start("h2load", &self.dir, &self.cores, &command, target, limit)?.finish()?;
        let (requests_per_s, failed) = parse(&ended.output).ok_or_else(|| ended.measured_nothing())?;
        let generator_cpu_share = ended.generator_cores / self.cores.len() as f64;
        Ok(H2Sample { requests_per_s, failed, proxy: ended.proxy_use, generator_cpu_share })
    }

    /// One thread for each core.
    fn args(&self, target: &Target, connections: usize, streams: usize) -> Vec<String> {
        let host = target.host.clone().unwrap_or_else(|| target.address.to_string());
        vec![
            format!("--clients={connections}"),
            format!("--max-concurrent-streams={streams}"),
            format!("--threads={}", self.cores.len()),
            format!("--duration={}ms", self.duration.as_millis()),
            format!("--warm-up-time={}ms", self.warmup.as_millis()),
            format!("--connect-to={}", target.address),
            format!("http://{host}/"),
        ]
    }
}

/// Requests/s, and how many failed.
fn parse(output: &str) -> Option<(f64, u64)> {
    let line = |prefix: &str| output.lines().find_map(|line| line.strip_prefix(prefix));
    let rate = line("finished in ")?.split(", ").find_map(|part| part.strip_suffix(" req/s"))?;
    let counts = |line: &str, names: &[&str]| -> Option<u64> {
        names.iter().try_fold(0, |sum, name| {
            let count = line.split(", ").find_map(|part| part.trim().strip_suffix(name))?;
            Some(sum + count.trim().parse::<u64>().ok()?)
        })
    };
    let unanswered = counts(line("requests:")?, &["failed", "errored", "timeout"])?;
    let unsuccessful = counts(line("status codes:")?, &["3xx", "4xx", "5xx"])?;
    // What h2load calls failed has an unsuccessful status as well.
    Some((rate.parse().ok()?, unanswered.max(unsuccessful)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
progress: 100% of clients started

finished in 1.31s, 57819.00 req/s, 2.70MB/s
requests: 57823 total, 57823 started, 57819 done, 57819 succeeded, 2 failed, 1 errored, 1 timeout
status codes: 57817 2xx, 0 3xx, 0 4xx, 2 5xx
traffic: 2.70MB (2833867) total, 610.47KB (625117) headers (space savings 90.60%), 1.45MB (1523214) data
";

    #[test]
    fn rate_and_failures_are_found() {
        assert_eq!(parse(OUTPUT), Some((57819.0, 4)));
        assert_eq!(parse(&OUTPUT.replace("2 failed, 1 errored, 1 timeout", "")), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_measurement_becomes_a_command_line() {
        let h2load = H2Load {
            program: "h2load".into(),
            dir: "/tmp".into(),
            cores: vec![0, 1],
            duration: Duration::from_millis(1500),
            warmup: Duration::ZERO,
        };
        let target = Target {
            name: "x".into(),
            origin: "http://127.0.0.1:81".into(),
            address: "127.0.0.1:81".parse().unwrap(),
            host: Some("a.test".into()),
            group: 0,
        };
        let expected = "--clients=32 --max-concurrent-streams=16 --threads=2 --duration=1500ms --warm-up-time=0ms \
                        --connect-to=127.0.0.1:81 http://a.test/";
        assert_eq!(h2load.args(&target, 32, 16).join(" "), expected);
    }
}
