//! A load generator's process under way, and what the proxy under test uses meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Serialize;

use super::child::Child;
use super::load::Target;
use super::side_by_side::Stoppable;
use super::usage::{Usage, usage};

const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Ends with `finish`; killed when dropped before.
#[derive(Debug)]
pub(crate) struct Metered {
    child: Child,
    proxy: String,
    group: u32,
    output: PathBuf,
    before: Usage,
    started: Instant,
    limit: Duration,
}

/// What a proxy used.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ProxyUse {
    /// Share of one core, warm-up included.
    pub(crate) cpu_share: f64,
    pub(crate) rss_before_bytes: u64,
    pub(crate) rss_peak_bytes: u64,
    pub(crate) rss_after_bytes: u64,
}

/// A generator's end.
#[derive(Debug)]
pub(crate) struct Ended {
    child: Child,
    proxy: String,
    pub(crate) output: String,
    pub(crate) proxy_use: ProxyUse,
    /// Cores that the generator kept busy, as last seen.
    pub(crate) generator_cores: f64,
}

impl Metered {
    /// Starts `command` against `target`; it is an error if it runs for longer than `limit`.
    pub(crate) fn start(
        name: &str,
        dir: &Path,
        cores: &[usize],
        command: &Command,
        target: &Target,
        limit: Duration,
    ) -> Result<Self, String> {
        let output = dir.join(format!("{name}.out"));
        let stdout = File::create(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        let before = usage(target.group)?;
        let child = Child::start_with_output(name, dir, cores, command, stdout)?;
        let started = Instant::now();
        Ok(Self { child, proxy: target.name.clone(), group: target.group, output, before, started, limit })
    }

    pub(crate) fn finish(mut self) -> Result<Ended, String> {
        let mut peak_bytes = self.before.rss_bytes;
        let mut generator_cores: f64 = 0.0;
        while !self.child.has_ended()? {
            let elapsed = self.started.elapsed();
            if elapsed > self.limit {
                let what = format!("took longer than {:?} against {}", self.limit, self.proxy);
                return Err(self.child.explain(&what));
            }
            let generator = usage(self.child.group())?.cpu.as_secs_f64() / elapsed.as_secs_f64();
            generator_cores = generator_cores.max(generator);
            thread::sleep(SAMPLE_INTERVAL);
            peak_bytes = peak_bytes.max(usage(self.group)?.rss_bytes);
        }
        let elapsed = self.started.elapsed().as_secs_f64();
        let after = usage(self.group)?;
        let output = fs::read_to_string(&self.output).map_err(|error| error.to_string())?;
        let proxy_use = ProxyUse {
            cpu_share: after.cpu.saturating_sub(self.before.cpu).as_secs_f64() / elapsed,
            rss_before_bytes: self.before.rss_bytes,
            rss_peak_bytes: peak_bytes.max(after.rss_bytes),
            rss_after_bytes: after.rss_bytes,
        };
        Ok(Ended { child: self.child, proxy: self.proxy, output, proxy_use, generator_cores })
    }
}

impl Stoppable for Metered {
    fn has_ended(&mut self) -> Result<bool, String> {
        self.child.has_ended()
    }

    fn stop(&self) -> Result<(), String> {
        self.child.signal(Signal::STOP)
    }

    fn go_on(&self) -> Result<(), String> {
        self.child.signal(Signal::CONT)
    }
}

impl Ended {
    /// The error of a generator whose output says nothing.
    pub(crate) fn measured_nothing(&self) -> String {
        self.child.explain(&format!("measured nothing against {}", self.proxy))
    }
}
