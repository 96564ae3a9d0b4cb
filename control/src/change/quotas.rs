//! Quotas of usage plans: what gateways have used of them, and what they may use next.
//!
//! A quota is given out in leases, each of one key in one plan on one day, so that no period has a lease in common with
//! the next. What is granted is on the disk as used before a gateway hears of it; a gateway gives back what it didn't
//! use when it ends a lease. That of one that never comes back counts as used: a quota is never exceeded.

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use turnpike_snapshot::frame::{QuotaAnswer, QuotaReport, QuotaVerdict};

use super::Control;
use crate::model::{UsagePlan, UsagePlanKey};
use crate::settings::UsageSettings;
use crate::store::{QuotaLease, QuotaOf, StoreError, Tx};
use crate::time::day_of;

/// Of what is left, the part that one grant takes at most, so that other gateways get some.
const GRANT_PART: u64 = 4;

impl Control {
    /// Takes note of how leases stand, and grants what may be granted. `Ok` means that it is on the disk. Blocks.
    ///
    /// # Errors
    /// The store's; then nothing has changed.
    pub fn settle_reported_quotas(
        &self,
        gateway_id: &str,
        reports: &[QuotaReport],
        now_s: i64,
    ) -> Result<Vec<QuotaAnswer>, StoreError> {
        let (today, settings) = (day_of(now_s), &self.settings.usage);
        let tidies = self.quotas_tidied_on.load(Ordering::Relaxed) != today;
        let answers: Vec<QuotaAnswer> = self.store.write(|tx| {
            if tidies {
                tx.expire_quota_leases(today - i64::from(settings.leases_kept_days))?;
                tx.forget_quota_uses(today - i64::from(settings.uses_kept_days))?;
            }
            let days = days_about(now_s, settings);
            reports.iter().map(|report| settle(tx, gateway_id, report, &days)).collect()
        })?;
        self.quotas_tidied_on.store(today, Ordering::Relaxed);
        if answers.iter().any(|answer| answer.verdict == QuotaVerdict::Unknown) {
            log_line!(
                "publish: gateway {gateway_id} asks for another day's quota: set its clock, or this host's"
            );
        }
        Ok(answers)
    }
}

fn settle(
    tx: &Tx<'_>,
    gateway_id: &str,
    report: &QuotaReport,
    days: &RangeInclusive<i64>,
) -> Result<QuotaAnswer, StoreError> {
    let of = QuotaOf { plan_id: &report.plan_id, key_id: &report.key_id };
    let day = i64::from(report.day);
    let answer = |granted_requests, verdict| QuotaAnswer { lease: report.lease, granted_requests, verdict };
    let new = QuotaLease { day, granted_requests: 0, spent_requests: 0, ended: false };
    let known = tx.quota_lease(report.lease, of)?;
    let mut lease = match known {
        Some(lease) if lease.ended => return Ok(answer(lease.granted_requests, QuotaVerdict::Ended)),
        Some(lease) => lease,
        None if report.is_new && !report.ends => new,
        None => {
            if report.is_new && report.is_late {
                tx.put_quota_lease(report.lease, of, gateway_id, &QuotaLease { ended: true, ..new })?;
            }
            return Ok(answer(0, QuotaVerdict::Ended));
        }
    };
    let mut kept = lease;
    let spent_requests = report.spent_requests.clamp(lease.spent_requests, lease.granted_requests);
    if spent_requests > lease.spent_requests {
        tx.add_quota_use(of, lease.day, spent_requests - lease.spent_requests)?;
        lease.spent_requests = spent_requests;
    }
    if report.ends {
        if report.is_late {
            tx.put_quota_lease(report.lease, of, gateway_id, &QuotaLease { ended: true, ..lease })?;
        } else {
            tx.delete_quota_lease(report.lease)?;
        }
        return Ok(answer(lease.granted_requests, QuotaVerdict::Ended));
    }
    if lease != kept {
        // Before anything is counted: what is spent isn't held any more.
        tx.put_quota_lease(report.lease, of, gateway_id, &lease)?;
        kept = lease;
    }
    let wanted_requests = report.wanted_requests.saturating_sub(lease.granted_requests);
    let mut verdict = QuotaVerdict::Open;
    if wanted_requests > 0 {
        if !days.contains(&lease.day) {
            verdict = QuotaVerdict::Unknown;
        } else {
            let left = Counted::of(tx, of, lease.day)?.map_or(0, |counted| counted.left_requests());
            let granted = wanted_requests.min((left / GRANT_PART).max(1)).min(left);
            lease.granted_requests += granted;
            verdict = if granted == 0 { QuotaVerdict::Exhausted } else { QuotaVerdict::Open };
        }
    }
    // One that was refused all is kept, too: what it reports next is then no surprise.
    if known.is_none() || lease != kept {
        tx.put_quota_lease(report.lease, of, gateway_id, &lease)?;
    }
    Ok(answer(lease.granted_requests, verdict))
}

/// Those that it may be where a gateway is.
fn days_about(now_s: i64, settings: &UsageSettings) -> RangeInclusive<i64> {
    let skew_s = i64::from(settings.clock_skew_s_max);
    day_of(now_s - skew_s)..=day_of(now_s + skew_s)
}

/// How a key's quota stands in the period that a day is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub limit_requests: u64,
    /// Those of open leases included.
    pub used_requests: u64,
}

impl Counted {
    /// `None` if the plan has no quota, or hasn't the key.
    ///
    /// # Errors
    /// The store's.
    pub fn of(tx: &Tx<'_>, of: QuotaOf<'_>, day: i64) -> Result<Option<Self>, StoreError> {
        let Some(key) = tx.entity::<UsagePlanKey>(of.plan_id, of.key_id)? else { return Ok(None) };
        let plan = tx.entity::<UsagePlan>("", of.plan_id)?;
        let Some(quota) = plan.and_then(|plan| plan.quota) else { return Ok(None) };
        let days = quota.period_start(day)..=quota.period_end(day);
        Ok(Some(Self {
            limit_requests: key.limit_requests(&quota, day),
            used_requests: tx.quota_used(of, days)?,
        }))
    }

    #[must_use]
    pub fn left_requests(&self) -> u64 {
        self.limit_requests.saturating_sub(self.used_requests)
    }
}
