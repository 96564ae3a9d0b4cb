//! The error budget: how many requests may fail before a run isn't worth going on with.

use std::fmt;

use clap::Args;

/// A share is judged while the run lasts once so many requests have ended.
const ENDED_MIN: u64 = 100;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Course of the run")]
pub struct BudgetArgs {
    /// End the run early once more than N requests, or P % of those that ended (of 100 at least), failed; warm-up not
    /// included [exit status: 3]
    #[arg(long, value_name = "N|P%", value_parser = Budget::parse)]
    pub max_errors: Option<Budget>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    Count(u64),
    /// Of the requests that ended; 0 to 1.
    Share(f64),
}

impl Budget {
    /// `10` or `0.1%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return text
                .parse()
                .map(Self::Count)
                .map_err(|_| format!("'{text}' is neither a number of requests nor a share like 0.1%"));
        };
        match percent.trim_end().parse::<f64>() {
            Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
            _ => Err(format!("'{text}' is not a share of 0% up to 100%")),
        }
    }

    /// While the run lasts.
    pub fn is_spent_early(&self, failed: u64, ended: u64) -> bool {
        match self {
            Self::Share(_) if ended < ENDED_MIN => false,
            budget => budget.is_spent(failed, ended),
        }
    }

    /// At the end of the run.
    pub fn is_spent(&self, failed: u64, ended: u64) -> bool {
        match self {
            Self::Count(count) => failed > *count,
            Self::Share(share) => failed as f64 > *share * ended as f64,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            // The percent as it was typed, without the digits that binary fractions add.
            Self::Share(share) => write!(f, "{}%", (share * 1e8).round() / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_count_or_a_share() {
        assert_eq!(Budget::parse("0"), Ok(Budget::Count(0)));
        assert_eq!(Budget::parse("0.1%"), Ok(Budget::Share(0.001)));
        assert_eq!(
            ["7", "0.1%", "2.5 %"].map(|text| Budget::parse(text).unwrap().to_string()),
            ["7", "0.1%", "2.5%"]
        );
        for wrong in ["", "-1", "1.5", "x%", "100%", "-1%", "NaN%"] {
            assert!(Budget::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_spent_when_it_is_exceeded() {
        let count = Budget::Count(3);
        assert_eq!([3, 4].map(|failed| count.is_spent_early(failed, 4)), [false, true]);
        let share = Budget::Share(0.1);
        assert_eq!(
            [(20, 200), (21, 200), (9, 10)].map(|(f, n)| share.is_spent_early(f, n)),
            [false, true, false]
        );
        assert!(share.is_spent(9, 10) && !share.is_spent(0, 0));
        assert!(Budget::Share(0.0).is_spent(1, 1_000_000));
    }
}
