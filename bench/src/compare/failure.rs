//! Section `failure`: the origin is killed under load and started again at the same address. How soon errors are told
//! while it is gone, how soon requests succeed once it is back, and whether any fails after that.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::child::{Child, free_address};
use super::contenders::{Contenders, Protocol};
use super::http::Client;
use super::layout;
use super::load::{Load, LoadGenerator, Target};
use super::results::{Check, Section, Titled};
use super::rounds::rotate;
use super::stats::{grouped, median};
use super::table::Table;
use super::{Bench, CONNECTIONS_MAX, PeerName, SectionName};

const PROXIES: [PeerName; 6] = [
    PeerName::Turnpike,
    PeerName::Haproxy,
    PeerName::Nginx,
    PeerName::Caddy,
    PeerName::Envoy,
    PeerName::Pingora,
];
const CONNECTIONS: usize = 64;
/// Far below what any of them carries.
const RATE_PER_S: f64 = 2_000.0;
const BEFORE: Duration = Duration::from_millis(500);
const GONE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(1_500);
const PROBE_PAUSE: Duration = Duration::from_micros(500);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Turnpike's first success after the origin is back.
const RECOVERY_MS_MAX: f64 = 100.0;

/// Medians over the rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FailureRow {
    pub(crate) proxy: String,
    /// From the origin's start to the first success.
    pub(crate) recovery_ms: f64,
    /// Replies other than 200 per second that the origin was gone.
    pub(crate) errors_per_s: f64,
    /// Slowest request of all, errors included.
    pub(crate) slowest_ms: f64,
    /// Requests that never got a reply, of all rounds.
    pub(crate) unanswered: u64,
    /// Probes that failed after the first success, of all rounds.
    pub(crate) relapses: u64,
}

/// One round with one proxy.
#[derive(Debug, Clone, Copy)]
struct Sample {
    recovery_ms: f64,
    errors_per_s: f64,
    slowest_ms: f64,
    unanswered: u64,
    relapses: u64,
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Failure.name();
    let address = free_address()?;
    let mut origin = Some(start_origin(bench, address)?);
    let contenders = Contenders::start_at(bench, address, name, &PROXIES, Protocol::Http, CONNECTIONS_MAX)?;
    let samples = rotate(&contenders.targets, bench.rounds(), |target| {
        let sample = measure(bench, target, address, &mut origin)?;
        Ok((format!("{:<12} back after {:.1} ms", target.name, sample.recovery_ms), sample))
    })?;
    let mut section = Section::new(name);
    section.failure = contenders
        .targets
        .iter()
        .zip(samples)
        .map(|(target, samples)| FailureRow::new(target, &samples))
        .collect();
    check(&mut section);
    section.tables = tables(&section);
    Ok(section)
}

fn start_origin(bench: &Bench, address: SocketAddr) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("own path unknown: {error}"))?;
    let mut command = Command::new(program);
    let cores = layout::list(&bench.layout.origin);
    command.args(["origin", "--listen", &address.to_string(), "--cores", &cores]);
    Child::start_and_wait("failing-origin", bench.dir.path(), &bench.layout.origin, &command)
        .map(|(child, _)| child)
}

fn measure(
    bench: &Bench,
    target: &Target,
    address: SocketAddr,
    origin: &mut Option<Child>,
) -> Result<Sample, String> {
    let duration = BEFORE + GONE + AFTER;
    let generator = LoadGenerator { duration, warmup: Duration::ZERO, ..bench.generator.clone() };
    let load = Load { rate: Some(RATE_PER_S), ..Load::get("/", CONNECTIONS) };
    let mut probe = Probe::new(target)?;
    let running = generator.start(target, &load)?;
    thread::sleep(BEFORE);
    // Dropped: killed.
    *origin = None;
    thread::sleep(GONE);
    *origin = Some(start_origin(bench, address)?);
    let (recovery, relapses) = probe.watch(AFTER)?;
    let report = running.finish()?.report;
    let refused = report.replies - report.status.get(&200).copied().unwrap_or(0);
    Ok(Sample {
        recovery_ms: recovery.as_secs_f64() * 1e3,
        errors_per_s: refused as f64 / (GONE + recovery).as_secs_f64(),
        slowest_ms: report.latency_us.max / 1e3,
        unanswered: report.failed() - refused.min(report.failed()) + report.unfinished,
        relapses,
    })
}

/// Asks again and again over one connection, or a new one where it was closed.
struct Probe<'a> {
    target: &'a Target,
    headers: String,
    client: Option<Client>,
}

impl<'a> Probe<'a> {
    fn new(target: &'a Target) -> Result<Self, String> {
        let host = target.host.clone().unwrap_or_else(|| target.address.to_string());
        let mut probe = Self { target, headers: format!("host: {host}\r\n"), client: None };
        if probe.succeeds() { Ok(probe) } else { Err(format!("{} doesn't reach its origin", target.name)) }
    }

    fn succeeds(&mut self) -> bool {
        let ask = |client: &mut Client| client.call("GET", "/", &self.headers, b"");
        let Some(mut client) = self.client.take().or_else(|| Client::connect(self.target.address).ok())
        else {
            return false;
        };
        // A reply that can't be read is an error as any other: the next one gets a new connection.
        let Ok(reply) = ask(&mut client) else { return false };
        self.client = Some(client);
        reply.status == 200
    }

    /// How long until the first success, and how many fail after it, for `length` in all.
    fn watch(&mut self, length: Duration) -> Result<(Duration, u64), String> {
        let began = Instant::now();
        while !self.succeeds() {
            if began.elapsed() > RECOVERY_TIMEOUT {
                return Err(format!("{} doesn't find its origin again", self.target.name));
            }
            thread::sleep(PROBE_PAUSE);
        }
        let recovery = began.elapsed();
        let mut relapses = 0;
        while began.elapsed() < length {
            relapses += u64::from(!self.succeeds());
            thread::sleep(PROBE_PAUSE);
        }
        Ok((recovery, relapses))
    }
}

impl FailureRow {
    fn new(target: &Target, samples: &[Sample]) -> Self {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure)).unwrap_or(0.0);
        Self {
            proxy: target.name.clone(),
            recovery_ms: of(|sample| sample.recovery_ms),
            errors_per_s: of(|sample| sample.errors_per_s),
            slowest_ms: of(|sample| sample.slowest_ms),
            unanswered: samples.iter().map(|sample| sample.unanswered).sum(),
            relapses: samples.iter().map(|sample| sample.relapses).sum(),
        }
    }
}

fn check(section: &mut Section) {
    let Some(turnpike) = section.failure.iter().find(|row| row.proxy == "turnpike") else { return };
    section.checks.extend([
        Check::at_most(
            "failure: a request succeeds after the origin is back, ms",
            turnpike.recovery_ms,
            RECOVERY_MS_MAX,
        ),
        Check::at_most("failure: requests without any reply", turnpike.unanswered as f64, 0.0),
        Check::at_most("failure: errors after the first success", turnpike.relapses as f64, 0.0),
    ]);
}

fn tables(section: &Section) -> Vec<Titled> {
    let mut table =
        Table::new(["proxy", "back after", "errors/s while gone", "slowest", "unanswered", "errors after"]);
    for row in &section.failure {
        table.row([
            row.proxy.clone(),
            format!("{:.1} ms", row.recovery_ms),
            grouped(row.errors_per_s),
            format!("{:.1} ms", row.slowest_ms),
            row.unanswered.to_string(),
            row.relapses.to_string(),
        ]);
    }
    let title = format!("{RATE_PER_S} requests/s, the origin gone for {} ms", GONE.as_millis());
    vec![Titled::new(title, table)]
}
