//! wrk, from Debian: HTTP/1.1 requests over kept connections, closed loop. What the load generator is compared with.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::load::{LoadGenerator, Target};
use super::metered::{Metered, ProxyUse};
use super::peers::find_program;

/// What a run may take beyond its duration.
const OVERTIME: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Wrk {
    program: PathBuf,
    dir: PathBuf,
    core: usize,
    /// wrk takes whole seconds.
    seconds: u64,
}

/// What it printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Printed {
    pub(crate) requests_per_s: f64,
    /// Without a reply, or with one that is no success.
    pub(crate) failed: u64,
}

impl Wrk {
    pub(crate) fn new(generator: &LoadGenerator, core: usize, seconds: u64) -> Result<Self, String> {
        Ok(Self { program: find_program("wrk")?, dir: generator.dir.clone(), core, seconds })
    }

    pub(crate) fn start(&self, target: &Target, connections: usize) -> Result<Metered, String> {
        let mut command = Command::new(&self.program);
        command.args(self.args(target, connections));
        let limit = Duration::from_secs(self.seconds) + OVERTIME;
        Metered::start("wrk", &self.dir, &[self.core], &command, target, limit)
    }

    /// What one that has ended printed, and what the target used.
    pub(crate) fn finish(running: Metered) -> Result<(Printed, ProxyUse), String> {
        let ended = running.finish()?;
        let printed = parse(&ended.output).ok_or_else(|| ended.measured_nothing())?;
        Ok((printed, ended.proxy_use))
    }

    fn args(&self, target: &Target, connections: usize) -> Vec<String> {
        vec![
            "--threads=1".to_owned(),
            format!("--connections={connections}"),
            format!("--duration={}s", self.seconds),
            format!("{}/", target.origin),
        ]
    }
}

fn parse(output: &str) -> Option<Printed> {
    let line =
        |prefix: &str| output.lines().find_map(|line| line.trim_start().strip_prefix(prefix)).map(str::trim);
    let requests_per_s = line("Requests/sec:")?.parse().ok()?;
    // Both lines are there only where there is something to tell.
    let unsuccessful: u64 = line("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse().ok())?;
    let broken = line("Socket errors:").map_or(Some(0), |counts| {
        counts.split(", ").try_fold(0, |sum, part| Some(sum + part.rsplit(' ').next()?.parse::<u64>().ok()?))
    })?;
    Some(Printed { requests_per_s, failed: unsuccessful + broken })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Running 1s test @ http://127.0.0.1:18190/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   535.03us    0.88ms  20.39ms   97.86%
    Req/Sec   107.92k     6.66k  118.95k    70.00%
  107381 requests in 1.00s, 8.91MB read
Requests/sec: 107380.52
Transfer/sec:      8.91MB
";

    #[test]
    fn rate_and_failures_are_found() {
        let whole = Printed { requests_per_s: 107_380.52, failed: 0 };
        assert_eq!(parse(OUTPUT), Some(whole));
        let errors = "  Socket errors: connect 0, read 4, write 1, timeout 2\n  Non-2xx or 3xx responses: 5\nRequests/sec:";
        assert_eq!(parse(&OUTPUT.replace("Requests/sec:", errors)), Some(Printed { failed: 12, ..whole }));
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
    }

    #[test]
    fn a_measurement_becomes_a_command_line() {
        let wrk = Wrk { program: "wrk".into(), dir: "/tmp".into(), core: 1, seconds: 2 };
        let target = Target {
            name: "responder".into(),
            origin: "http://127.0.0.1:81".into(),
            address: "127.0.0.1:81".parse().unwrap(),
            host: None,
            group: 0,
        };
        let expected = "--threads=1 --connections=64 --duration=2s http://127.0.0.1:81/";
        assert_eq!(wrk.args(&target, 64).join(" "), expected);
    }
}
