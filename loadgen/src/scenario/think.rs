//! Think time: what a user waits between a reply and the next request. The engine's timers round up to a millisecond.

use std::time::Duration;

use super::random::Random;
use crate::cli::duration_of;
use crate::limits::{Limit, Limits};

/// A distribution of pauses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Think {
    Not,
    Constant(Duration),
    Uniform { least: Duration, most: Duration },
    Exponential { mean: Duration },
}

impl Think {
    pub(super) fn pause(self, random: &mut Random) -> Duration {
        match self {
            Self::Not => Duration::ZERO,
            Self::Constant(pause) => pause,
            Self::Uniform { least, most } => least + (most - least).mul_f64(random.unit()),
            // At most 37 times the mean: 1 - unit() is 2^-53 or more.
            Self::Exponential { mean } => mean.mul_f64(-(1.0 - random.unit()).ln()),
        }
    }
}

impl Think {
    /// `100ms`, `50ms..150ms`, `exponential(100ms)`; `0s` is none.
    pub(super) fn parse(text: &str, limits: &Limits) -> Result<Self, String> {
        let explain = |reason: String| {
            format!("{reason}; a think time is like '100ms', '50ms..150ms' or 'exponential(100ms)'")
        };
        let duration = |text: &str| {
            let duration = duration_of(text.trim()).map_err(explain)?;
            limits.check(Limit::ThinkSeconds, duration.as_secs_f64().ceil() as usize)?;
            Ok::<_, String>(duration)
        };
        if let Some(mean) = text.strip_prefix("exponential(").and_then(|rest| rest.strip_suffix(')')) {
            return Ok(Self::Exponential { mean: duration(mean)? });
        }
        match text.split_once("..") {
            Some((least, most)) => match (duration(least)?, duration(most)?) {
                (least, most) if least <= most => Ok(Self::Uniform { least, most }),
                _ => Err(explain(format!("'{text}' ends before it begins"))),
            },
            None => Ok(match duration(text)? {
                Duration::ZERO => Self::Not,
                pause => Self::Constant(pause),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Think, String> {
        Think::parse(text, &Limits::default())
    }

    #[test]
    fn pauses_follow_their_distribution() {
        let mut random = Random::new(1, 1);
        let mut mean_ms = |think: &str| {
            let think = parse(think).unwrap();
            let sum: Duration = (0..10_000).map(|_| think.pause(&mut random)).sum();
            sum.as_secs_f64() / 10.0
        };
        assert_eq!(mean_ms("0s"), 0.0);
        assert!((mean_ms("10ms") - 10.0).abs() < 1e-6);
        assert!((mean_ms("10ms..30ms") - 20.0).abs() < 0.5);
        assert!((mean_ms("exponential(20ms)") - 20.0).abs() < 1.0);
        let least = parse("10ms..30ms").unwrap().pause(&mut Random::new(2, 2));
        assert!(least >= Duration::from_millis(10));
    }

    #[test]
    fn what_is_no_think_time_is_explained() {
        for wrong in ["", "10", "30ms..10ms", "normal(1s)", "exponential(x)"] {
            assert!(parse(wrong).unwrap_err().contains("a think time is like"), "{wrong}");
        }
        assert!(parse("1s..169h").unwrap_err().contains("--limit think_seconds_max=N"));
    }
}
