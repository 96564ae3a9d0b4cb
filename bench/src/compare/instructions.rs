//! Instructions that the gateway executes in user space for one request, counted by valgrind's callgrind: the same from
//! run to run within a percent, on a busy machine too, where times aren't. What they were is kept in
//! bench/instructions.toml, and more than 3 % over that fails `scripts/bench --check`.
//!
//! A gateway under callgrind serves batches of requests one after the other over one connection, and the counters are
//! dumped after each. What the machine does meanwhile only ever adds (the gateway's tick among it), so that the least batch
//! is nearest to the truth. System calls aren't counted, only the way to them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::http::Client;
use super::layout::{self, Layout};
use super::peers::{self, find_program};
use super::rest::{Limit, STAGE};
use super::stats::grouped;
use super::table::Table;
use super::turnpike::{Options, Turnpike};
use super::{child, own_dir};
use crate::output;

const BATCHES: usize = 12;
const BATCH_REQUESTS: u64 = 200;
/// Served before the first, so that pools and buffers are there.
const WARMUP_REQUESTS: u64 = 500;
/// What a count may be over the one that is kept.
const REGRESSION_PERCENT_MAX: u64 = 3;
/// A count this much below the one that is kept says that it's time to keep the new one.
const PROGRESS_PERCENT_MIN: u64 = 3;
/// Descriptors are few where valgrind runs, and it knows the names of code only where it was loaded.
const GATEWAY: [&str; 3] = ["--connections-max", "256", "--huge-pages=false"];
const CACHED_BYTES: usize = 1024;

/// What to do with the counts.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Fails if a count is more than 3 % over what this file says
    #[arg(long, value_name = "FILE", required_unless_present = "record")]
    check: Option<PathBuf>,

    /// Writes the counts to this file
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    record: Option<PathBuf>,

    /// Where turnpike-gateway and turnpike-control are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// The file, in TOML.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    instructions_per_request: BTreeMap<String, u64>,
}

/// What a request passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// A default route of an HTTP API, proxied.
    Proxy,
    /// A path with a variable of a REST API, proxied.
    Rest,
    /// The same with an API key, a usage plan and three throttles.
    Features,
    /// The same with an access log; what its thread takes is counted as well.
    Log,
    /// A hit of the response cache.
    Hit,
}

impl Scenario {
    const ALL: [Self; 5] = [Self::Proxy, Self::Rest, Self::Features, Self::Log, Self::Hit];

    fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Rest => "rest",
            Self::Features => "features",
            Self::Log => "log",
            Self::Hit => "hit",
        }
    }

    /// An API key, a usage plan and throttles.
    fn has_features(self) -> bool {
        matches!(self, Self::Features | Self::Log)
    }
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let dir = child::work_dir()?;
    let kept = args.check.as_deref().map(read).transpose()?;
    let binaries = args.binaries.clone().map_or_else(own_dir, Ok)?;
    let mut counts = Kept::default();
    for scenario in Scenario::ALL {
        let count = count(scenario, &binaries, dir.path())?;
        eprintln!("  {:<10} {:>8} instructions a request", scenario.name(), grouped(count as f64));
        counts.instructions_per_request.insert(scenario.name().to_owned(), count);
    }
    match (&args.record, kept) {
        (Some(file), _) => write(file, &counts),
        (None, Some(kept)) => compare(&kept, &counts),
        (None, None) => Err("either --check or --record".to_owned()),
    }
}

fn count(scenario: Scenario, binaries: &Path, dir: &Path) -> Result<u64, String> {
    let layout = Layout::one_proxy_core(&layout::allowed_cores()?);
    let dir = dir.join(scenario.name());
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let counts = dir.join("callgrind.out");
    let valgrind = find_program("valgrind")?.display().to_string();
    let file = format!("--callgrind-out-file={}", counts.display());
    let log = dir.join("access.log").display().to_string();
    let log: &[&str] = if scenario == Scenario::Log { &["--access-log", &log] } else { &[] };
    let options = Options {
        wrapper: &[&valgrind, "--tool=callgrind", &file],
        gateway: &[&GATEWAY, log].concat(),
        throttle: scenario.has_features().then_some(Limit::FREE),
        ..Options::default()
    };
    let (_peer, origin) = peers::start_origin(&dir, &layout.origin)?;
    let mut turnpike = Turnpike::start_with("turnpike", binaries, &dir, &layout, &options)?;
    // A start under valgrind may outlast the connection to control.
    turnpike.reconnect()?;
    let (path, lines) = prepare(scenario, &mut turnpike, origin)?;
    let mut client = Client::connect(turnpike.gateway.address)?;
    let mut serve = |requests: u64| {
        for _ in 0..requests {
            let status = client.call("GET", &path, &lines, b"")?.status;
            if status != 200 {
                return Err(format!("{}: {path} is answered {status}", scenario.name()));
            }
        }
        Ok(())
    };
    let process = turnpike.gateway.group();
    serve(WARMUP_REQUESTS)?;
    let mut least = u64::MAX;
    for batch in 1..=BATCHES {
        monitor(process, "zero")?;
        serve(BATCH_REQUESTS)?;
        monitor(process, "dump")?;
        let dumped = dir.join(format!("callgrind.out.{batch}"));
        let text = fs::read_to_string(&dumped).map_err(|error| format!("{}: {error}", dumped.display()))?;
        let total = parse_total(&text).ok_or_else(|| format!("{} has no total", dumped.display()))?;
        least = least.min(total / BATCH_REQUESTS);
    }
    if least == 0 { Err("callgrind counts nothing".to_owned()) } else { Ok(least) }
}

/// A command to the gateway's callgrind, carried out when this returns.
fn monitor(process: u32, command: &str) -> Result<(), String> {
    let vgdb = find_program("vgdb")?;
    let output = Command::new(vgdb).arg(format!("--pid={process}")).arg(command).output();
    let output = output.map_err(|error| format!("vgdb can't be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("vgdb {command}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Makes the API: the path and the header lines of its requests.
fn prepare(
    scenario: Scenario,
    turnpike: &mut Turnpike,
    origin: SocketAddr,
) -> Result<(String, String), String> {
    if scenario == Scenario::Proxy {
        let host = turnpike.make_default_api(origin)?.host.unwrap_or_default();
        return Ok(("/".to_owned(), format!("host: {host}\r\n")));
    }
    let with_features = scenario.has_features();
    let api_id = turnpike.make_rest_api(origin, with_features)?;
    let path = match scenario {
        Scenario::Hit => format!("/{STAGE}/bytes/{CACHED_BYTES}"),
        _ => format!("/{STAGE}/small"),
    };
    let mut lines = String::new();
    if with_features {
        turnpike.throttle_methods(&api_id, Limit::FREE)?;
        let plan_id = turnpike.make_plan(&api_id, Some(Limit::FREE))?;
        lines = format!("x-api-key: {}\r\n", turnpike.import_keys(&plan_id, 1)?[0]);
    }
    if scenario == Scenario::Hit {
        turnpike.cache_methods(&api_id)?;
    }
    turnpike.await_served_to(&api_id, &path, &lines)?;
    let host = turnpike.target("turnpike", &api_id).host.unwrap_or_default();
    Ok((path, format!("host: {host}\r\n{lines}")))
}

/// Callgrind's format: a line `totals:` or, in older files, `summary:`.
fn parse_total(text: &str) -> Option<u64> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    value("totals:").or_else(|| value("summary:"))?.trim().parse().ok()
}

fn read(file: &Path) -> Result<Kept, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, counts: &Kept) -> Result<(), String> {
    let table = toml::to_string(counts).map_err(|error| error.to_string())?;
    let text = format!(
        "# Instructions that the gateway's release build executes in user space for one request (x86-64), counted by\n\
         # callgrind. scripts/bench --check fails at more than 3 % over them; scripts/bench --record writes them anew,\n\
         # which a change's message explains.\n{table}"
    );
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Prints both; an error when any has grown by too much, or isn't kept.
fn compare(kept: &Kept, counts: &Kept) -> Result<(), String> {
    let mut table = Table::new(["scenario", "kept", "now", "change", ""]);
    let mut regressions = Vec::new();
    for (name, now) in &counts.instructions_per_request {
        let Some(before) = kept.instructions_per_request.get(name) else {
            return Err(format!("no count is kept for {name}: run scripts/bench --record"));
        };
        let change = *now as f64 / *before as f64 - 1.0;
        let verdict = if now * 100 > before * (100 + REGRESSION_PERCENT_MAX) {
            regressions.push(name.as_str());
            "REGRESSION"
        } else if now * 100 < before * (100 - PROGRESS_PERCENT_MIN) {
            "less: keep it with --record"
        } else {
            "as before"
        };
        let cells = [grouped(*before as f64), grouped(*now as f64), format!("{:+.1} %", change * 100.0)];
        let [before, now, change] = cells;
        table.row([name.clone(), before, now, change, verdict.to_owned()]);
    }
    output::print(format_args!("instructions a request\n{table}"))?;
    if regressions.is_empty() {
        Ok(())
    } else {
        Err(format!("more than 3 % more instructions: {}", regressions.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(counts: &[(&str, u64)]) -> Kept {
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Kept { instructions_per_request: counts.collect() }
    }

    #[test]
    fn totals_are_found() {
        assert_eq!(parse_total("events: Ir\n\nfn=(1) main\n1 5\n\ntotals: 12345\n"), Some(12345));
        assert_eq!(parse_total("summary: 7\n"), Some(7));
        assert_eq!(parse_total("events: Ir\n"), None);
    }

    #[test]
    fn three_percent_more_is_a_regression() {
        let before = kept(&[("proxy", 1_000), ("hit", 500)]);
        assert_eq!(compare(&before, &kept(&[("proxy", 1_030), ("hit", 100)])), Ok(()));
        let worse = compare(&before, &kept(&[("proxy", 1_031), ("hit", 500)])).unwrap_err();
        assert!(worse.contains("proxy") && !worse.contains("hit"), "{worse}");
        assert!(compare(&before, &kept(&[("new", 1)])).unwrap_err().contains("no count is kept for new"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("instructions.toml");
        let counts = kept(&[("proxy", 1_000)]);
        write(&file, &counts).unwrap();
        assert_eq!(read(&file), Ok(counts));
    }
}
