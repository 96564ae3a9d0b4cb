//! `turnpike-loadgen self-test` (or `--self-test`): what the generator can do and how precise it is on this machine.

mod responder;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, Parser};
use serde::Serialize;

use crate::cli::{Cli, allowed_cores, parse_cores, parse_duration};
use crate::machine::Machine;
use crate::report::{Report, show_us};
use responder::Responder;

/// Rates of the open loop, as far as they are well below the ceiling.
const RATES: [f64; 4] = [100.0, 1_000.0, 10_000.0, 50_000.0];
/// So much of the ceiling leaves room for a schedule to be kept.
const CEILING_SHARE_MAX: f64 = 0.7;
const CONNECTIONS: &str = "64";
/// A responder that used more of a core than this may have been the limit.
const RESPONDER_SHARE_MAX: f64 = 0.95;
/// In a closed loop of many connections one of the two is busy all the time, if nothing else wants its core.
const BUSY_SHARE_MIN: f64 = 0.9;

const MEANING: &str = "\
What it measures:
  The target is a responder in this process, on the cores that the generator
  doesn't use, which answers every request with the same few bytes. Over
  loopback that is about as fast as a target can be, so
  - the floor is the least time that a request takes here: nothing shorter can
    be measured;
  - the ceiling is how many requests/s the generator makes of its cores: a run
    near it measures the generator, not its target (each run warns of that by
    itself). Where the responder's cores were busy, the generator could do more;
  - the open loop's lines say how exact a rate is and how late requests leave:
    a latency is uncertain by as much.";

/// Measure the generator itself on this machine
#[derive(Debug, Clone, ClapArgs)]
#[command(long_flag = "self-test", after_help = MEANING)]
pub struct SelfTestArgs {
    /// The generator's cores: 0,2 or 1-3; the responder has the others [default: the first one]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<String>,

    /// How long each measurement lasts
    #[arg(short = 'd', long, value_parser = parse_duration, default_value = "2s")]
    pub duration: Duration,

    /// As JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// What a self-test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    pub machine: Machine,
    pub generator_cores: Vec<usize>,
    pub responder_cores: Vec<usize>,
    /// There was no other core for the responder: the figures are those of both together.
    pub shared_core: bool,
    pub floor: Floor,
    pub ceiling: Ceiling,
    pub open_loop: Vec<Precision>,
}

/// One request at a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Floor {
    pub p50_us: f64,
    pub p99_us: f64,
}

/// As many as can be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ceiling {
    pub replies_per_s: f64,
    pub generator_cpu_share: f64,
    /// Of the busiest of its cores.
    pub responder_cpu_share: f64,
    pub limited_by_responder: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Precision {
    pub rate_per_s: f64,
    /// By how much the requests that were sent and answered differ from the rate, in percent.
    pub rate_error_percent: f64,
    pub send_lag_p99_us: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

impl SelfTestArgs {
    /// The generator's cores and the responder's. Errors are sentences for the user.
    pub fn check(&self) -> Result<(Vec<usize>, Vec<usize>), String> {
        if self.duration.is_zero() {
            return Err("--duration: more than 0".to_owned());
        }
        let allowed = allowed_cores()?;
        let own = match &self.cores {
            Some(list) => parse_cores(list).map_err(|reason| format!("--cores {list}: {reason}"))?,
            None => allowed[..1].to_vec(),
        };
        if let Some(core) = own.iter().find(|core| !allowed.contains(core)) {
            return Err(format!("--cores: core {core} is not one of {allowed:?}"));
        }
        let others: Vec<usize> = allowed.into_iter().filter(|core| !own.contains(core)).collect();
        let responders = if others.is_empty() { own[..1].to_vec() } else { others };
        Ok((own, responders))
    }

    pub fn run(&self, cores: (Vec<usize>, Vec<usize>), interrupted: &AtomicBool) -> Result<SelfTest, String> {
        let (generator_cores, responder_cores) = cores;
        let bench = Bench {
            responder: Responder::start(&responder_cores)?,
            cores: generator_cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            duration: format!("{}us", self.duration.as_micros()),
            interrupted,
        };
        let alone = bench.measure(&["--connections", "1"])?;
        let floor = Floor { p50_us: alone.latency_us.p50, p99_us: alone.latency_us.p99 };
        let ceiling = bench.ceiling()?;
        let fit = RATES.iter().filter(|rate| **rate < ceiling.replies_per_s * CEILING_SHARE_MAX);
        let open_loop = fit.map(|rate| bench.precision(*rate)).collect::<Result<_, _>>()?;
        Ok(SelfTest {
            machine: Machine::this(),
            shared_core: responder_cores.iter().any(|core| generator_cores.contains(core)),
            generator_cores,
            responder_cores,
            floor,
            ceiling,
            open_loop,
        })
    }
}

/// The responder, and how the generator is run against it.
struct Bench<'a> {
    responder: Responder,
    cores: String,
    duration: String,
    interrupted: &'a AtomicBool,
}

impl Bench<'_> {
    /// A run as a command line would have it.
    fn measure(&self, args: &[&str]) -> Result<Report, String> {
        let url = format!("http://{}/", self.responder.address);
        let common = ["turnpike-loadgen", &url, "--cores", &self.cores, "--duration", &self.duration];
        let fixed = ["--warmup", "200ms", "--progress=off"];
        let all = common.iter().chain(&fixed).chain(args);
        let settings = Cli::try_parse_from(all).map_err(|error| error.to_string())?.run.check()?;
        let report = crate::run(settings, self.interrupted)?;
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err("interrupted".to_owned()),
            false => Ok(report),
        }
    }

    fn ceiling(&self) -> Result<Ceiling, String> {
        let (before, started) = (self.responder.cpu_ns(), Instant::now());
        let report = self.measure(&["--connections", CONNECTIONS])?;
        let elapsed_ns = started.elapsed().as_nanos() as f64;
        let used = before.iter().zip(self.responder.cpu_ns()).map(|(before, after)| after - before);
        let responder_cpu_share = used.max().unwrap_or(0) as f64 / elapsed_ns;
        let generator_cpu_share = report.generator.cpu_share_max;
        Ok(Ceiling {
            replies_per_s: report.replies_per_s,
            generator_cpu_share,
            responder_cpu_share,
            limited_by_responder: responder_cpu_share > RESPONDER_SHARE_MAX
                && responder_cpu_share > generator_cpu_share,
        })
    }

    fn precision(&self, rate: f64) -> Result<Precision, String> {
        let report = self.measure(&["--connections", CONNECTIONS, "--rate", &rate.to_string()])?;
        Ok(Precision {
            rate_per_s: rate,
            rate_error_percent: (report.replies_per_s / rate - 1.0) * 100.0,
            send_lag_p99_us: report.generator.send_lag_p99_us,
            p50_us: report.latency_us.p50,
            p99_us: report.latency_us.p99,
        })
    }
}

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, cores, kernel, .. } = &self.machine;
        writeln!(f, "{processor}, {cores} cores, {kernel}")?;
        writeln!(f, "generator on {:?}, responder on {:?}\n", self.generator_cores, self.responder_cores)?;
        let Floor { p50_us, p99_us } = self.floor;
        let (p50, p99) = (show_us(p50_us), show_us(p99_us));
        writeln!(
            f,
            "  floor       p50 {p50}, p99 {p99}: one request at a time; nothing shorter can be measured here"
        )?;
        let ceiling = &self.ceiling;
        writeln!(
            f,
            "  ceiling     {:.0} replies/s: closed loop, {CONNECTIONS} connections; the generator used {:.0} % of its \
             busiest core, the responder {:.0} %",
            ceiling.replies_per_s,
            ceiling.generator_cpu_share * 100.0,
            ceiling.responder_cpu_share * 100.0
        )?;
        for precision in &self.open_loop {
            let Precision { rate_per_s, rate_error_percent, send_lag_p99_us, p50_us, p99_us } = *precision;
            writeln!(
                f,
                "  open loop   {rate_per_s:>7} /s: rate off by {rate_error_percent:+.2} %, 99 % left at most {} late; \
                 latency p50 {}, p99 {}",
                show_us(send_lag_p99_us),
                show_us(p50_us),
                show_us(p99_us)
            )?;
        }
        if ceiling.limited_by_responder {
            writeln!(f, "  note: the responder was the limit: the generator's ceiling is higher")?;
        }
        if ceiling.generator_cpu_share.max(ceiling.responder_cpu_share) < BUSY_SHARE_MIN {
            writeln!(
                f,
                "  note: neither had its core to itself: other work took the rest, and the ceiling is higher"
            )?;
        }
        if self.shared_core {
            writeln!(f, "  note: generator and responder shared a core: give the generator fewer --cores")?;
        }
        Ok(())
    }
}
