//! One measurement: the load generator as a process of its own, with what the proxy under test used meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use turnpike_loadgen::report::Report;

use super::child::Child;
use super::layout;
use super::usage::usage;

const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);
/// What a run may take beyond its warm-up and duration.
const OVERTIME: Duration = Duration::from_secs(30);

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `http://host:port`
    pub(crate) origin: String,
    /// Host field, where it differs from the address.
    pub(crate) host: Option<String>,
    /// Process group of the proxy under test.
    pub(crate) group: u32,
}

/// What is common to all measurements.
#[derive(Debug, Clone)]
pub(crate) struct LoadGenerator {
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) cores: Vec<usize>,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
}

/// What is particular to one.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) path: String,
    pub(crate) connections: usize,
    pub(crate) rate: Option<f64>,
    pub(crate) post_bytes: Option<u64>,
    pub(crate) expect_body_bytes: Option<u64>,
    pub(crate) path_list: Option<PathBuf>,
}

impl Load {
    pub(crate) fn get(path: &str, connections: usize) -> Self {
        Self {
            path: path.to_owned(),
            connections,
            rate: None,
            post_bytes: None,
            expect_body_bytes: None,
            path_list: None,
        }
    }

    fn args(&self, target: &Target) -> Vec<String> {
        let mut args = vec![format!("{}{}", target.origin, self.path), "--json".to_owned()];
        let mut option = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        option("connections", self.connections.to_string());
        option("expect-status", "200".to_owned());
        if let Some(host) = &target.host {
            option("header", format!("host: {host}"));
        }
        if let Some(rate) = self.rate {
            option("rate", rate.to_string());
        }
        if let Some(bytes) = self.post_bytes {
            option("body-bytes", bytes.to_string());
        }
        if let Some(bytes) = self.expect_body_bytes {
            option("expect-body-bytes", bytes.to_string());
        }
        if let Some(file) = &self.path_list {
            option("path-list", file.display().to_string());
        }
        args
    }
}

/// One measurement's result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) report: Report,
    /// Share of one core that the proxy used, warm-up included.
    pub(crate) proxy_cpu_share: f64,
    pub(crate) proxy_rss_before_bytes: u64,
    pub(crate) proxy_rss_peak_bytes: u64,
    pub(crate) proxy_rss_after_bytes: u64,
}

impl LoadGenerator {
    /// Starts the load generator; `Running::finish` ends the measurement.
    pub(crate) fn start(&self, target: &Target, load: &Load) -> Result<Running, String> {
        let output = self.dir.join("loadgen.json");
        let stdout = fs::File::create(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        let mut command = Command::new(&self.binary);
        command
            .args(load.args(target))
            .args(["--cores", &layout::list(&self.cores)])
            .args(["--duration", &format!("{}ms", self.duration.as_millis())])
            .args(["--warmup", &format!("{}ms", self.warmup.as_millis())]);
        let before = usage(target.group)?;
        let child = Child::start_with_output("loadgen", &self.dir, &self.cores, &command, stdout)?;
        Ok(Running {
            child,
            name: target.name.clone(),
            group: target.group,
            output,
            before,
            peak_bytes: before.rss_bytes,
            started: Instant::now(),
            limit: self.duration + self.warmup + OVERTIME,
        })
    }

    pub(crate) fn measure(&self, target: &Target, load: &Load) -> Result<Sample, String> {
        self.start(target, load)?.finish()
    }
}

/// A measurement under way.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
    group: u32,
    output: PathBuf,
    before: super::usage::Usage,
    peak_bytes: u64,
    started: Instant,
    limit: Duration,
}

impl Running {
    pub(crate) fn finish(mut self) -> Result<Sample, String> {
        while !self.child.has_ended()? {
            if self.started.elapsed() > self.limit {
                return Err(format!("{}: the load generator took longer than {:?}", self.name, self.limit));
            }
            thread::sleep(SAMPLE_INTERVAL);
            self.peak_bytes = self.peak_bytes.max(usage(self.group)?.rss_bytes);
        }
        let elapsed = self.started.elapsed();
        let after = usage(self.group)?;
        let json = fs::read_to_string(&self.output).map_err(|error| error.to_string())?;
        let report: Report = serde_json::from_str(&json)
            .map_err(|_| self.child.explain(&format!("measured nothing against {}", self.name)))?;
        Ok(Sample {
            report,
            proxy_cpu_share: after.cpu.saturating_sub(self.before.cpu).as_secs_f64() / elapsed.as_secs_f64(),
            proxy_rss_before_bytes: self.before.rss_bytes,
            proxy_rss_peak_bytes: self.peak_bytes.max(after.rss_bytes),
            proxy_rss_after_bytes: after.rss_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_becomes_a_command_line() {
        let target = Target {
            name: "x".into(),
            origin: "http://127.0.0.1:1".into(),
            host: Some("a.test".into()),
            group: 0,
        };
        let load = Load { rate: Some(100.5), post_bytes: Some(7), ..Load::get("/x", 64) };
        let expected = "http://127.0.0.1:1/x --json --connections 64 --expect-status 200 --header host: a.test \
                        --rate 100.5 --body-bytes 7";
        assert_eq!(load.args(&target).join(" "), expected);
    }
}
