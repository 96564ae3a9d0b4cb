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
    let (granted_requests, verdict) = Reported { tx, of, gateway_id, report }.settle(days)?;
    Ok(QuotaAnswer { lease: report.lease, granted_requests, verdict })
}

/// A lease that a gateway reports of.
struct Reported<'r> {
    tx: &'r Tx<'r>,
    of: QuotaOf<'r>,
    gateway_id: &'r str,
    report: &'r QuotaReport,
}

impl Reported<'_> {
    /// What the lease has been granted in all, and what there is to say of it.
    fn settle(&self, days: &RangeInclusive<i64>) -> Result<(u64, QuotaVerdict), StoreError> {
        let known = self.tx.quota_lease(self.report.lease, self.of)?;
        let spent = match known {
            Some(lease) if lease.ended => return Ok((lease.granted_requests, QuotaVerdict::Ended)),
            Some(lease) => self.spend(lease)?,
            None if self.report.is_new && !self.report.ends => self.begun(),
            None => {
                if self.report.is_new && self.report.is_late {
                    self.end(self.begun())?;
                }
                return Ok((0, QuotaVerdict::Ended));
            }
        };
        if self.report.ends {
            self.end(spent)?;
            return Ok((spent.granted_requests, QuotaVerdict::Ended));
        }
        if known.is_some_and(|known| known != spent) {
            // Before anything is counted: what is spent isn't held any more.
            self.put(&spent)?;
        }
        let (granted, verdict) = self.grant(spent, days)?;
        // One that was refused all is kept, too: what it reports next is then no surprise.
        if known.is_none() || granted != spent {
            self.put(&granted)?;
        }
        Ok((granted.granted_requests, verdict))
    }

    fn begun(&self) -> QuotaLease {
        QuotaLease { day: self.report.day.into(), granted_requests: 0, spent_requests: 0, ended: false }
    }

    /// Counts what was spent since the last report.
    fn spend(&self, lease: QuotaLease) -> Result<QuotaLease, StoreError> {
        let spent_requests = self.report.spent_requests.clamp(lease.spent_requests, lease.granted_requests);
        if spent_requests > lease.spent_requests {
            self.tx.add_quota_use(self.of, lease.day, spent_requests - lease.spent_requests)?;
        }
        Ok(QuotaLease { spent_requests, ..lease })
    }

    /// Forgets the lease, unless something older may still be on its way that would begin it anew.
    fn end(&self, lease: QuotaLease) -> Result<(), StoreError> {
        match self.report.is_late {
            true => self.put(&QuotaLease { ended: true, ..lease }),
            false => self.tx.delete_quota_lease(self.report.lease),
        }
    }

    /// With more of what is wanted, as far as there is any on one of these days.
    fn grant(
        &self,
        lease: QuotaLease,
        days: &RangeInclusive<i64>,
    ) -> Result<(QuotaLease, QuotaVerdict), StoreError> {
        let wanted_requests = self.report.wanted_requests.saturating_sub(lease.granted_requests);
        if wanted_requests == 0 {
            return Ok((lease, QuotaVerdict::Open));
        }
        if !days.contains(&lease.day) {
            return Ok((lease, QuotaVerdict::Unknown));
        }
        let left = Counted::of(self.tx, self.of, lease.day)?.map_or(0, |counted| counted.left_requests());
        let granted = wanted_requests.min((left / GRANT_PART).max(1)).min(left);
        let verdict = if granted == 0 { QuotaVerdict::Exhausted } else { QuotaVerdict::Open };
        Ok((QuotaLease { granted_requests: lease.granted_requests + granted, ..lease }, verdict))
    }

    fn put(&self, lease: &QuotaLease) -> Result<(), StoreError> {
        self.tx.put_quota_lease(self.report.lease, self.of, self.gateway_id, lease)
    }
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
