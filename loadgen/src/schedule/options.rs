//! The open loop's rate as the command line says it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::Pace;
use super::arrivals::{Places, Spacing};
use super::profile::{PIECES_MAX, Part, Profile};
use crate::cli::parse_duration;

pub(crate) const SEED_DEFAULT: u64 = 1;
const RATE_MAX: f64 = 100_000_000.0;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Open loop (without one of --rate, --ramp and --steps the loop is closed)")]
pub struct PaceArgs {
    /// Requests/s over all connections, sent on a schedule whatever the server does
    #[arg(short = 'r', long, value_name = "R", conflicts_with_all = ["ramp", "steps"])]
    pub rate: Option<f64>,

    /// A rate that changes evenly: 100:5000:30s; TO holds if --duration is longer
    #[arg(long, value_name = "FROM:TO:DURATION", conflicts_with = "steps")]
    pub ramp: Option<String>,

    /// One rate after the other: 100:10s,500:10s,0:5s; the last one holds if --duration is longer
    #[arg(long, value_name = "R1:D1,R2:D2,...")]
    pub steps: Option<String>,

    /// How requests are spaced
    #[arg(long, value_enum, default_value = "constant", value_name = "SPACING")]
    pub arrivals: Spacing,

    /// What chance begins with, of arrivals and of scenarios: the same seed and threads give the same run [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// A checked open loop.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenLoop {
    shape: RateShape,
    pub spacing: Spacing,
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum RateShape {
    Constant(f64),
    Ramp(Part),
    Steps(Vec<Part>),
    /// Of a log, sorted.
    Recorded(Arc<[u64]>),
}

impl PaceArgs {
    /// Errors are sentences for the user.
    pub fn check(&self) -> Result<Option<OpenLoop>, String> {
        let shape = match (self.rate, &self.ramp, &self.steps) {
            (Some(rate), ..) if rate > 0.0 && rate <= RATE_MAX => RateShape::Constant(rate),
            (Some(_), ..) => return Err("--rate: more than 0, up to 100000000 requests/s".to_owned()),
            (None, Some(ramp), _) => {
                RateShape::Ramp(parse_ramp(ramp).map_err(|reason| format!("--ramp {ramp}: {reason}"))?)
            }
            (None, None, Some(steps)) => {
                RateShape::Steps(parse_steps(steps).map_err(|reason| format!("--steps {steps}: {reason}"))?)
            }
            (None, None, None) if self.arrivals == Spacing::Poisson => {
                return Err("--arrivals poisson needs --rate, --ramp or --steps".to_owned());
            }
            (None, None, None) => return Ok(None),
        };
        Ok(Some(OpenLoop { shape, spacing: self.arrivals, seed: self.seed.unwrap_or(SEED_DEFAULT) }))
    }
}

impl OpenLoop {
    /// Of a constant rate, evenly spaced.
    #[cfg(test)]
    pub(crate) fn constant(rate_per_s: f64) -> Self {
        Self { shape: RateShape::Constant(rate_per_s), spacing: Spacing::Constant, seed: 1 }
    }

    /// The same at a constant rate.
    pub(crate) fn at(&self, rate_per_s: f64) -> Self {
        Self { shape: RateShape::Constant(rate_per_s), ..self.clone() }
    }

    /// At these times since the start, which are sorted.
    pub fn recorded(times_ns: Arc<[u64]>) -> Self {
        Self { shape: RateShape::Recorded(times_ns), spacing: Spacing::Constant, seed: SEED_DEFAULT }
    }

    /// One reactor's requests.
    pub fn pace(&self, warmup: Duration, reactor: usize, reactors: usize) -> Pace {
        match &self.shape {
            RateShape::Recorded(times_ns) => {
                Pace::Recorded { times_ns: Arc::clone(times_ns), next: reactor, step: reactors }
            }
            _ => Pace::Open {
                profile: self.profile(warmup),
                places: Places::new(self.spacing, self.seed, reactor, reactors),
            },
        }
    }

    /// How long the ramp or the steps last.
    pub fn duration(&self) -> Option<Duration> {
        match self.parts() {
            [] => None,
            parts => Some(parts.iter().map(|part| part.duration).sum()),
        }
    }

    /// What it begins with.
    pub fn first_rate_per_s(&self) -> f64 {
        match &self.shape {
            RateShape::Constant(rate) => *rate,
            RateShape::Ramp(_) | RateShape::Steps(_) => self.parts()[0].from_per_s,
            RateShape::Recorded(times_ns) => recorded_rate_per_s(times_ns),
        }
    }

    /// Whether the rate is the same all the time.
    pub fn is_steady(&self) -> bool {
        matches!(self.shape, RateShape::Constant(_))
    }

    /// Of the first so many seconds, warm-up not included.
    pub fn mean_rate_per_s(&self, duration_s: f64) -> f64 {
        match &self.shape {
            RateShape::Constant(rate) => *rate,
            RateShape::Recorded(times_ns) => recorded_rate_per_s(times_ns),
            RateShape::Ramp(_) | RateShape::Steps(_) => {
                self.profile(Duration::ZERO).count_at(duration_s * 1e9) / duration_s
            }
        }
    }

    /// Rates over time; the warm-up comes first, at the first rate.
    pub fn profile(&self, warmup: Duration) -> Profile {
        let rate = self.first_rate_per_s();
        if let RateShape::Constant(rate) = &self.shape {
            return Profile::constant(*rate);
        }
        let warmup =
            (!warmup.is_zero()).then_some(Part { from_per_s: rate, to_per_s: rate, duration: warmup });
        let parts: Vec<Part> = warmup.into_iter().chain(self.parts().iter().copied()).collect();
        Profile::of(&parts)
    }

    fn parts(&self) -> &[Part] {
        match &self.shape {
            RateShape::Constant(_) | RateShape::Recorded(_) => &[],
            RateShape::Ramp(part) => std::slice::from_ref(part),
            RateShape::Steps(parts) => parts,
        }
    }
}

impl fmt::Display for OpenLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            RateShape::Constant(rate) => write!(f, "{rate} requests/s")?,
            RateShape::Recorded(times_ns) => write!(f, "the recorded times of {} requests", times_ns.len())?,
            RateShape::Ramp(Part { from_per_s, to_per_s, duration }) => {
                write!(f, "{from_per_s} to {to_per_s} requests/s over {} s", duration.as_secs_f64())?;
            }
            RateShape::Steps(parts) => {
                for (index, Part { from_per_s, duration, .. }) in parts.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{from_per_s} requests/s for {} s", duration.as_secs_f64())?;
                }
            }
        }
        match self.spacing {
            Spacing::Constant => Ok(()),
            Spacing::Poisson => write!(f, ", Poisson arrivals with seed {}", self.seed),
        }
    }
}

/// The mean over the times, of which the last is the end.
fn recorded_rate_per_s(times_ns: &[u64]) -> f64 {
    let last_ns = times_ns.last().copied().unwrap_or_default().max(1);
    times_ns.len() as f64 / (last_ns as f64 / 1e9)
}

fn parse_ramp(text: &str) -> Result<Part, String> {
    let mut fields = text.splitn(3, ':');
    let (Some(from), Some(to), Some(duration)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("FROM:TO:DURATION is needed, as in 100:5000:30s".to_owned());
    };
    let part =
        Part { from_per_s: parse_rate(from)?, to_per_s: parse_rate(to)?, duration: parse_length(duration)? };
    match part {
        Part { from_per_s: 0.0, to_per_s: 0.0, .. } => Err("one of the rates must be more than 0".to_owned()),
        part => Ok(part),
    }
}

fn parse_steps(text: &str) -> Result<Vec<Part>, String> {
    let step = |text: &str| {
        let (rate, duration) =
            text.split_once(':').ok_or_else(|| format!("'{text}' is not RATE:DURATION, as in 100:10s"))?;
        let rate = parse_rate(rate)?;
        Ok(Part { from_per_s: rate, to_per_s: rate, duration: parse_length(duration)? })
    };
    let parts = text.split(',').map(step).collect::<Result<Vec<_>, String>>()?;
    if parts.len() > PIECES_MAX {
        return Err(format!("{} steps: {PIECES_MAX} at most", parts.len()));
    }
    match parts.iter().any(|part| part.from_per_s > 0.0) {
        true => Ok(parts),
        false => Err("one of the rates must be more than 0".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("'{text}' is not a rate of 0 to 100000000 requests/s")),
    }
}

fn parse_length(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("'{text}' must be more than 0")),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(text: &str) -> Result<Option<OpenLoop>, String> {
        PaceArgs { ramp: Some(text.to_owned()), ..PaceArgs::default() }.check()
    }

    fn steps(text: &str) -> Result<Option<OpenLoop>, String> {
        PaceArgs { steps: Some(text.to_owned()), ..PaceArgs::default() }.check()
    }

    #[test]
    fn rates_are_read_and_said_again() {
        let cases = [
            (ramp("100:5000:30s"), "100 to 5000 requests/s over 30 s", 30),
            (
                steps("10:1s,0:2s,20.5:3s"),
                "10 requests/s for 1 s, 0 requests/s for 2 s, 20.5 requests/s for 3 s",
                6,
            ),
        ];
        for (open, said, seconds) in cases {
            let open = open.unwrap().unwrap();
            assert_eq!(
                (open.to_string().as_str(), open.duration()),
                (said, Some(Duration::from_secs(seconds)))
            );
        }
        let poisson =
            PaceArgs { rate: Some(5.0), arrivals: Spacing::Poisson, seed: Some(9), ..PaceArgs::default() };
        let poisson = poisson.check().unwrap().unwrap();
        assert_eq!(poisson.to_string(), "5 requests/s, Poisson arrivals with seed 9");
        assert_eq!(PaceArgs::default().check(), Ok(None));
    }

    #[test]
    fn the_warm_up_comes_first_at_the_first_rate() {
        let profile = ramp("10:20:10s").unwrap().unwrap().profile(Duration::from_secs(2));
        for (seconds, count) in [(2.0, 20.0), (12.0, 170.0), (13.0, 190.0)] {
            assert!((profile.count_at(seconds * 1e9) - count).abs() < 1e-6, "{seconds}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        let cases = [
            (ramp("100:200"), "FROM:TO:DURATION"),
            (ramp("100:x:1s"), "'x' is not a rate"),
            (ramp("-1:2:1s"), "'-1' is not a rate"),
            (ramp("0:0:1s"), "more than 0"),
            (ramp("1:2:0s"), "more than 0"),
            (ramp("1:2:3"), "no unit"),
            (steps("1"), "RATE:DURATION"),
            (steps("1:1s,"), "RATE:DURATION"),
            (steps("0:1s"), "more than 0"),
            (steps("NaN:1s"), "not a rate"),
            (PaceArgs { arrivals: Spacing::Poisson, ..PaceArgs::default() }.check(), "needs --rate"),
        ];
        for (checked, reason) in cases {
            let error = checked.unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
