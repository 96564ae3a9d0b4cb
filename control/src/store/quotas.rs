//! What was used of the quotas of usage plans: requests by plan, key and day, and the leases that gateways hold.
//!
//! What a lease has been granted counts as used from the commit of the grant on, whatever becomes of its gateway.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::sql::values;
use super::{StoreError, Tx};

/// Days with uses that are never forgotten: a month, which is the longest period, and as many that a wrong clock may have
/// had meanwhile.
const USED_DAYS_KEPT: usize = 62;

/// Whose requests are counted: an API key's in a usage plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaOf<'a> {
    pub plan_id: &'a str,
    pub key_id: &'a str,
}

/// Requests that a gateway may let through, all for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLease {
    /// In days since 1970.
    pub day: i64,
    pub granted_requests: u64,
    /// Of those, how many are counted among the day's.
    pub spent_requests: u64,
    /// Nothing more happens to it; it is kept only to be told from one that never was.
    pub ended: bool,
}

impl Tx<'_> {
    /// # Errors
    /// The store's, here and below.
    pub fn quota_lease(&self, id: u64, of: QuotaOf<'_>) -> Result<Option<QuotaLease>, StoreError> {
        let sql =
            "SELECT day, granted, spent, ended FROM quota_lease WHERE id = ? AND plan_id = ? AND key_id = ?";
        let row: Option<(i64, u64, u64, bool)> = self.sql.row(sql, values![id, of.plan_id, of.key_id])?;
        Ok(row.map(|(day, granted_requests, spent_requests, ended)| QuotaLease {
            day,
            granted_requests,
            spent_requests,
            ended,
        }))
    }

    /// Adds the lease, or replaces the one of the same id.
    pub fn put_quota_lease(
        &self,
        id: u64,
        of: QuotaOf<'_>,
        gateway_id: &str,
        lease: &QuotaLease,
    ) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO quota_lease (id, plan_id, key_id, day, gateway_id, granted, spent, ended)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET gateway_id = excluded.gateway_id, granted = excluded.granted,
                   spent = excluded.spent, ended = excluded.ended";
        let QuotaLease { day, granted_requests, spent_requests, ended } = *lease;
        let (plan_id, key_id) = (of.plan_id, of.key_id);
        self.sql
            .run(sql, values![id, plan_id, key_id, day, gateway_id, granted_requests, spent_requests, ended])
    }

    pub fn delete_quota_lease(&self, id: u64) -> Result<(), StoreError> {
        self.sql.run("DELETE FROM quota_lease WHERE id = ?", values![id])
    }

    pub fn add_quota_use(&self, of: QuotaOf<'_>, day: i64, requests: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO quota_use (plan_id, key_id, day, requests) VALUES (?, ?, ?, ?)
                   ON CONFLICT (plan_id, key_id, day) DO UPDATE
                   SET requests = quota_use.requests + excluded.requests";
        self.sql.run(sql, values![of.plan_id, of.key_id, day, requests])
    }

    /// Requests by day, those of open leases included; a day without any isn't there.
    pub fn quota_uses(
        &self,
        of: QuotaOf<'_>,
        days: RangeInclusive<i64>,
    ) -> Result<BTreeMap<i64, u64>, StoreError> {
        let (first, last) = (*days.start(), *days.end());
        let spent = "SELECT day, requests FROM quota_use
                     WHERE plan_id = ? AND key_id = ? AND day >= ? AND day <= ?";
        let held = "SELECT day, granted - spent FROM quota_lease
                    WHERE plan_id = ? AND key_id = ? AND day >= ? AND day <= ? AND ended = 0";
        let mut uses = BTreeMap::new();
        for sql in [spent, held] {
            let rows: Vec<(i64, u64)> = self.sql.rows(sql, values![of.plan_id, of.key_id, first, last])?;
            rows.into_iter().for_each(|(day, requests)| *uses.entry(day).or_default() += requests);
        }
        Ok(uses)
    }

    /// Requests on all of these days, those of open leases included.
    pub fn quota_used(&self, of: QuotaOf<'_>, days: RangeInclusive<i64>) -> Result<u64, StoreError> {
        Ok(self.quota_uses(of, days)?.values().sum())
    }

    /// Of leases of earlier days than this one, all counts as used: no gateway came back with them.
    pub fn expire_quota_leases(&self, before_day: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO quota_use (plan_id, key_id, day, requests)
                   SELECT plan_id, key_id, day, CAST(sum(granted - spent) AS BIGINT) FROM quota_lease
                   WHERE day < ? AND ended = 0 GROUP BY plan_id, key_id, day
                   ON CONFLICT (plan_id, key_id, day) DO UPDATE
                   SET requests = quota_use.requests + excluded.requests";
        self.sql.run(sql, values![before_day])?;
        self.sql.run("DELETE FROM quota_lease WHERE day < ?", values![before_day])
    }

    /// Forgets what was used on earlier days than this one, but for the newest days on which anything was: while a clock
    /// is far ahead, no period that goes on when it is set right loses what was used of it.
    pub fn forget_quota_uses(&self, before_day: i64) -> Result<(), StoreError> {
        let mut kept_from = i64::MAX;
        for _ in 0..USED_DAYS_KEPT {
            let sql = "SELECT day FROM quota_use WHERE day < ? ORDER BY day DESC LIMIT 1";
            let Some(day) = self.sql.row(sql, values![kept_from])? else { return Ok(()) };
            kept_from = day;
        }
        self.sql.run("DELETE FROM quota_use WHERE day < ?", values![before_day.min(kept_from)])
    }
}
