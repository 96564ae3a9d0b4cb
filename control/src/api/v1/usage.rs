//! `Usage` of a plan's keys by day: what was used of a quota and what is left of it, and an extension of what is left.
//!
//! What gateways hold of a quota counts as used; they give back what isn't, within about a second of a key's last request.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::super::call::{Call, id_token};
use super::super::error::ApiError;
use super::patch::{self, REPLACE, Table, Wording, rule};
use super::{PAGING, page_where, usage_plan_keys, usage_plans};
use crate::change::{Change, View};
use crate::model::{Granted, PlanQuota, UsagePlanKey};
use crate::store::QuotaOf;
use crate::time::{day_of, iso_day, parse_iso_day};

/// AWS keeps as much.
const DAYS_MAX: i64 = 90;

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = usage_plans::plan(view, call.parameter(0))?;
    let (start, end) = (day(call, "startDate")?, day(call, "endDate")?);
    if start > end || end - start >= DAYS_MAX {
        return Err(ApiError::bad_request(format!(
            "startDate has to be no later than endDate, and the dates can span at most {DAYS_MAX} days"
        )));
    }
    let paging = call.paging(&PAGING)?;
    let key_id = call.query_value("keyId")?;
    if let Some(key_id) = &key_id {
        usage_plan_keys::in_plan(view, &plan, key_id)?;
    }
    let page = page_where(view, &plan.id, &paging, |key: &UsagePlanKey| {
        key_id.as_ref().is_none_or(|wanted| key.key_id == *wanted)
    })?;
    let last_day = end.min(day_of(view.now_s));
    let mut values = Map::new();
    if let Some(quota) = &plan.quota {
        for key in &page.items {
            values.insert(key.key_id.clone(), of_days(view, quota, key, start..=last_day)?);
        }
    }
    let mut answer = answer(&plan.id, start, end, values);
    if let Some(last) = &page.last {
        answer[PAGING.token] = id_token(last).into();
    }
    Ok(answer)
}

/// What a patch makes of the rest of a period.
#[derive(Default)]
struct Extension {
    remaining_requests: Option<u64>,
}

static CHANGES: Table<Extension> = Table {
    input: "updateUsageInput",
    wording: Wording::Listed,
    rules: &[rule("/remaining", REPLACE, |extension, patch| {
        let remaining = patch.value()?.parse().ok().filter(|requests| *requests <= i64::MAX.unsigned_abs());
        extension.remaining_requests =
            Some(remaining.ok_or_else(|| {
                ApiError::bad_request("/remaining has to be an integer that isn't negative")
            })?);
        Ok(())
    })],
};

pub(in super::super) fn update(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let plan = usage_plans::plan(change, call.parameter(0))?;
    let (_, mut key) = usage_plan_keys::in_plan(change, &plan, call.parameter(1))?;
    let Some(quota) = plan.quota else {
        return Err(ApiError::bad_request(format!("Usage Plan {} has no quota to extend", plan.id)));
    };
    let mut extension = Extension::default();
    patch::apply(
        &CHANGES,
        &mut extension,
        call.members()?,
        |extension| json!({"remaining": extension.remaining_requests}),
    )?;
    let today = day_of(change.now_s);
    if let Some(remaining_requests) = extension.remaining_requests {
        let used_requests =
            change.tx.quota_used(of(&key), quota.period_start(today)..=quota.period_end(today))?;
        key.granted = Some(Granted { on_day: today, remaining_requests, used_requests });
        change.tx.put_entity(&key)?;
    }
    let values = Map::from_iter([(key.key_id.clone(), of_days(change, &quota, &key, today..=today)?)]);
    Ok(answer(&plan.id, today, today, values))
}

fn of(key: &UsagePlanKey) -> QuotaOf<'_> {
    QuotaOf { plan_id: &key.plan_id, key_id: &key.key_id }
}

/// Of each day, what was used, and what remained of its period at its end.
fn of_days(
    view: &View<'_>,
    quota: &PlanQuota,
    key: &UsagePlanKey,
    days: RangeInclusive<i64>,
) -> Result<Value, ApiError> {
    let uses = view.tx.quota_uses(of(key), quota.period_start(*days.start())..=*days.end())?;
    let of_day = |day: i64| {
        let before = |granted: &Granted| granted.on_day <= day;
        let shown = UsagePlanKey { granted: key.granted.filter(before), ..key.clone() };
        let used: u64 = uses.range(quota.period_start(day)..=day).map(|(_, used)| used).sum();
        let remaining = shown.limit_requests(quota, day).saturating_sub(used);
        json!([uses.get(&day).copied().unwrap_or(0), remaining])
    };
    Ok(days.map(of_day).collect())
}

fn day(call: &Call, name: &str) -> Result<i64, ApiError> {
    let text = call.query_value(name)?;
    let text =
        text.ok_or_else(|| ApiError::bad_request(format!("The query parameter {name} is required")))?;
    parse_iso_day(&text).ok_or_else(|| {
        ApiError::bad_request(format!("{name} has to be a date such as 2026-11-21, not '{text}'"))
    })
}

fn answer(plan_id: &str, start: i64, end: i64, values: Map<String, Value>) -> Value {
    json!({"usagePlanId": plan_id, "startDate": iso_day(start), "endDate": iso_day(end), "values": values})
}
