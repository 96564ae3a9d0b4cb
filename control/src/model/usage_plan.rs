//! Who may use which stages, how fast and how much: usage plans, and the API keys in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Entity, LimitsPartition, METHODS, Tags};
use crate::time::day_in_month_and_week;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsagePlan {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// In the order in which they were added; each stage once.
    pub stages: Vec<PlanStage>,
    /// Of each key, over all stages.
    pub throttle: Option<Throttle>,
    /// Of all the plan's throttles.
    #[serde(default)]
    pub partition: Option<LimitsPartition>,
    /// Of each key, over all stages.
    pub quota: Option<PlanQuota>,
    pub product_code: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStage {
    pub api_id: String,
    pub stage: String,
    /// By [`method_key`]: `/pets/GET`.
    pub throttle: BTreeMap<String, Throttle>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Throttle {
    pub rate_per_s: f64,
    pub burst_requests: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanQuota {
    pub requests: u32,
    /// On which day of the week (0 is Sunday) or of the month (0 is the first) a period begins.
    pub offset_days: u32,
    pub period: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    #[serde(rename = "DAY")]
    Day,
    #[serde(rename = "WEEK")]
    Week,
    #[serde(rename = "MONTH")]
    Month,
}

/// An API key in a usage plan; at most one plan of a stage has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlanKey {
    pub plan_id: String,
    pub key_id: String,
    /// What somebody set the remaining requests of a period to, in place of the quota.
    pub granted: Option<Granted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// When, in days since 1970; it holds until the quota's period ends.
    pub on_day: i64,
    pub remaining_requests: u64,
    /// What had been used of the period by then.
    #[serde(default)]
    pub used_requests: u64,
}

impl Entity for UsagePlan {
    const KIND: &'static str = "usage-plan";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Entity for UsagePlanKey {
    const KIND: &'static str = "usage-plan-key";

    fn id(&self) -> &str {
        &self.key_id
    }

    fn owner(&self) -> &str {
        &self.plan_id
    }

    fn uses(&self) -> Option<&str> {
        Some(&self.key_id)
    }
}

impl UsagePlan {
    #[must_use]
    pub fn stage(&self, api_id: &str, stage: &str) -> Option<&PlanStage> {
        self.stages.iter().find(|named| named.api_id == api_id && named.stage == stage)
    }
}

impl UsagePlanKey {
    /// Of the quota's period that the day is in: the quota, unless somebody has set what was left of it.
    #[must_use]
    pub fn limit_requests(&self, quota: &PlanQuota, day: i64) -> u64 {
        let granted =
            self.granted.filter(|granted| quota.period_start(granted.on_day) == quota.period_start(day));
        granted.map_or(quota.requests.into(), |granted| {
            granted.used_requests.saturating_add(granted.remaining_requests)
        })
    }
}

impl PlanStage {
    /// `API:STAGE`, as patches name it.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.api_id, self.stage)
    }
}

impl Period {
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "DAY" => Ok(Self::Day),
            "WEEK" => Ok(Self::Week),
            "MONTH" => Ok(Self::Month),
            other => Err(format!("Usage Plan quota period has to be one of DAY, WEEK, MONTH, not '{other}'")),
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }
}

impl PlanQuota {
    /// # Errors
    /// When the offset isn't within the period.
    pub fn check(&self) -> Result<(), String> {
        let max = match self.period {
            Period::Day if self.offset_days == 0 => return Ok(()),
            Period::Day => return Err("Usage Plan quota offset must be zero in the DAY period".to_owned()),
            Period::Week => 6,
            Period::Month => 27,
        };
        if self.offset_days <= max {
            return Ok(());
        }
        Err(format!(
            "Usage Plan quota offset must be between 0 and {max} inclusive in the {} period",
            self.period.as_str()
        ))
    }

    /// The first day of the period that this day is in, both counted from 1970.
    #[must_use]
    pub fn period_start(&self, day: i64) -> i64 {
        let offset = i64::from(self.offset_days);
        let (in_month, in_week) = day_in_month_and_week(day);
        match self.period {
            Period::Day => day,
            Period::Week => day - (in_week - offset).rem_euclid(7),
            Period::Month if in_month > offset => day - (in_month - 1 - offset),
            Period::Month => {
                let last_month_ends = day - in_month;
                last_month_ends - (day_in_month_and_week(last_month_ends).0 - 1 - offset)
            }
        }
    }
}

impl PlanQuota {
    /// The last day of the period that this day is in, both counted from 1970.
    #[must_use]
    pub fn period_end(&self, day: i64) -> i64 {
        // No period is longer than 31 days, nor shorter than 28 if it is a month.
        let next = match self.period {
            Period::Day => day + 1,
            Period::Week => self.period_start(day) + 7,
            Period::Month => self.period_start(self.period_start(day) + 31),
        };
        next - 1
    }
}

/// A method of an API as a plan names it: its resource's path, then `/`, then the HTTP method or `ANY`.
///
/// # Errors
/// Says what it has to look like.
pub fn method_key(path: &str, method: &str) -> Result<String, String> {
    if path.starts_with('/') && METHODS.contains(&method) {
        return Ok(format!("{path}/{method}"));
    }
    Err(format!(
        "A method is named by its resource's path and its HTTP method, such as /pets/GET, not '{path}/{method}'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{iso_day, parse_iso_day};

    #[test]
    fn offsets_stay_within_their_period() {
        let quota = |period, offset_days| PlanQuota { requests: 1, offset_days, period };
        for (period, max) in [(Period::Day, 0), (Period::Week, 6), (Period::Month, 27)] {
            assert_eq!(quota(period, max).check(), Ok(()));
            let error = quota(period, max + 1).check().expect_err("beyond");
            assert!(error.contains(period.as_str()), "{error}");
            assert_eq!(Period::parse(period.as_str()), Ok(period));
        }
        assert!(Period::parse("YEAR").is_err());
    }

    #[test]
    fn periods_begin_on_their_day() {
        let start = |period, offset_days, day: &str| {
            let quota = PlanQuota { requests: 1, offset_days, period };
            iso_day(quota.period_start(parse_iso_day(day).expect("a day")))
        };
        for (period, offset, day, expected) in [
            (Period::Day, 0, "2026-11-21", "2026-11-21"),
            // A Saturday.
            (Period::Week, 0, "2026-11-21", "2026-11-15"),
            (Period::Week, 0, "2026-11-22", "2026-11-22"),
            (Period::Week, 6, "2026-11-21", "2026-11-21"),
            (Period::Week, 6, "2026-11-20", "2026-11-14"),
            (Period::Month, 0, "2026-11-01", "2026-11-01"),
            (Period::Month, 0, "2026-11-30", "2026-11-01"),
            (Period::Month, 27, "2026-03-27", "2026-02-28"),
            (Period::Month, 27, "2026-03-28", "2026-03-28"),
            (Period::Month, 1, "2026-01-01", "2025-12-02"),
        ] {
            assert_eq!(start(period, offset, day), expected, "{period:?} {offset} {day}");
        }
        let days = parse_iso_day("2026-01-01").expect("a day")..parse_iso_day("2029-01-01").expect("a day");
        for (period, offset_days) in
            [(Period::Day, 0), (Period::Week, 3), (Period::Month, 0), (Period::Month, 27)]
        {
            let quota = PlanQuota { requests: 1, offset_days, period };
            for day in days.clone() {
                let (start, end) = (quota.period_start(day), quota.period_end(day));
                assert!((start..=end).contains(&day));
                assert_eq!((quota.period_start(end), quota.period_start(end + 1)), (start, end + 1));
            }
        }
    }

    #[test]
    fn methods_are_named() {
        assert_eq!(method_key("/pets/{id}", "GET").as_deref(), Ok("/pets/{id}/GET"));
        assert_eq!(method_key("/", "ANY").as_deref(), Ok("//ANY"));
        for (path, method) in [("pets", "GET"), ("/pets", "get"), ("/pets", "")] {
            assert!(method_key(path, method).is_err());
        }
    }
}
