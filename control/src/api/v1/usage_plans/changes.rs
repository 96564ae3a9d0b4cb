//! What of a usage plan a patch can change, after AWS's table of patch operations.

use super::super::super::error::ApiError;
use super::super::patch::{
    ADD_REMOVE, ADD_REPLACE, ADD_REPLACE_REMOVE, Op, Patch, REMOVE, REPLACE, Table, Wording, rule,
};
use super::super::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX};
use super::INTEGER_MAX;
use crate::model::{Period, PlanQuota, PlanStage, Throttle, UsagePlan, method_key};

/// A plan being changed: its quota needn't be whole until the last operation is done.
pub(super) struct Draft {
    pub(super) plan: UsagePlan,
    quota: Option<QuotaDraft>,
}

#[derive(Default)]
struct QuotaDraft {
    requests: Option<u32>,
    offset_days: u32,
    period: Option<Period>,
}

impl Draft {
    pub(super) fn of(plan: UsagePlan) -> Self {
        let quota = plan.quota.map(|quota| QuotaDraft {
            requests: Some(quota.requests),
            offset_days: quota.offset_days,
            period: Some(quota.period),
        });
        Self { plan, quota }
    }

    /// # Errors
    /// When a quota lacks its limit or its period.
    pub(super) fn finish(self) -> Result<UsagePlan, ApiError> {
        let lacks = |what: &str| ApiError::bad_request(format!("Usage Plan quota {what} is required"));
        let quota: Option<Result<_, ApiError>> =
            self.quota.map(|QuotaDraft { requests, offset_days, period }| {
                let requests = requests.ok_or_else(|| lacks("limit"))?;
                Ok(PlanQuota { requests, offset_days, period: period.ok_or_else(|| lacks("period"))? })
            });
        Ok(UsagePlan { quota: quota.transpose()?, ..self.plan })
    }
}

pub(super) static CHANGES: Table<Draft> = Table {
    input: "updateUsagePlanInput",
    wording: Wording::Listed,
    rules: &[
        rule("/name", REPLACE, |draft, patch| {
            draft.plan.name = patch.required_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/description", REPLACE, |draft, patch| {
            draft.plan.description = patch.optional_text(DESCRIPTION_CHARS_MAX)?;
            Ok(())
        }),
        rule("/productCode", ADD_REPLACE_REMOVE, |draft, patch| {
            draft.plan.product_code = patch.optional_text(NAME_CHARS_MAX)?;
            Ok(())
        }),
        rule("/apiStages", ADD_REMOVE, change_stages),
        rule("/quota", REMOVE, |draft, _| {
            draft.quota = None;
            Ok(())
        }),
        rule("/quota/limit", ADD_REPLACE, |draft, patch| {
            quota(draft).requests = Some(patch.integer(0..=INTEGER_MAX)?);
            Ok(())
        }),
        rule("/quota/offset", ADD_REPLACE, |draft, patch| {
            quota(draft).offset_days = patch.integer(0..=INTEGER_MAX)?;
            Ok(())
        }),
        rule("/quota/period", ADD_REPLACE, |draft, patch| {
            quota(draft).period = Some(Period::parse(patch.value()?).map_err(ApiError::bad_request)?);
            Ok(())
        }),
        rule("/throttle", REMOVE, |draft, _| {
            draft.plan.throttle = None;
            Ok(())
        }),
        rule("/throttle/rateLimit", ADD_REPLACE, |draft, patch| {
            throttle(draft).rate_per_s = rate(patch)?;
            Ok(())
        }),
        rule("/throttle/burstLimit", ADD_REPLACE, |draft, patch| {
            throttle(draft).burst_requests = patch.integer(0..=INTEGER_MAX)?;
            Ok(())
        }),
        rule("/apiStages/{apiId:stageName}/throttle", REMOVE, |draft, patch| {
            stage(draft, patch)?.throttle.clear();
            Ok(())
        }),
        rule(
            "/apiStages/{apiId:stageName}/throttle/{resourcePath+}/{httpMethod}/rateLimit",
            ADD_REPLACE,
            |draft, patch| {
                let rate_per_s = rate(patch)?;
                method(draft, patch)?.rate_per_s = rate_per_s;
                Ok(())
            },
        ),
        rule(
            "/apiStages/{apiId:stageName}/throttle/{resourcePath+}/{httpMethod}/burstLimit",
            ADD_REPLACE,
            |draft, patch| {
                let burst_requests = patch.integer(0..=INTEGER_MAX)?;
                method(draft, patch)?.burst_requests = burst_requests;
                Ok(())
            },
        ),
        rule("/apiStages/{apiId:stageName}/throttle/{resourcePath+}/{httpMethod}", REMOVE, |draft, patch| {
            let key = key_of(patch)?;
            match stage(draft, patch)?.throttle.remove(&key) {
                Some(_) => Ok(()),
                None => Err(ApiError::not_found(format!("No throttle is set for the method {key}"))),
            }
        }),
    ],
};

/// `API:STAGE` is the value, whatever the operation.
fn change_stages(draft: &mut Draft, patch: &Patch) -> Result<(), ApiError> {
    let invalid = || ApiError::bad_request("Invalid API Stage specified");
    let (api_id, name) = patch.value().ok().and_then(|value| value.split_once(':')).ok_or_else(invalid)?;
    let stages = &mut draft.plan.stages;
    match patch.op {
        Op::Remove => {
            let before = stages.len();
            stages.retain(|stage| stage.api_id != api_id || stage.stage != name);
            if stages.len() < before { Ok(()) } else { Err(invalid()) }
        }
        _ => {
            let stage = PlanStage {
                api_id: api_id.to_owned(),
                stage: name.to_owned(),
                throttle: std::collections::BTreeMap::new(),
            };
            // One that is there already keeps its throttles.
            if draft.plan.stage(api_id, name).is_none() {
                draft.plan.stages.push(stage);
            }
            Ok(())
        }
    }
}

fn quota(draft: &mut Draft) -> &mut QuotaDraft {
    draft.quota.get_or_insert_default()
}

fn throttle(draft: &mut Draft) -> &mut Throttle {
    draft.plan.throttle.get_or_insert_default()
}

/// The stage that the path names, which the plan has to have.
fn stage<'d>(draft: &'d mut Draft, patch: &Patch) -> Result<&'d mut PlanStage, ApiError> {
    let found = draft.plan.stages.iter_mut().find(|stage| stage.key() == patch.name());
    found.ok_or_else(|| ApiError::not_found(format!("API Stage not found: {}", patch.name())))
}

/// The throttle of the method that the path names.
fn method<'d>(draft: &'d mut Draft, patch: &Patch) -> Result<&'d mut Throttle, ApiError> {
    let key = key_of(patch)?;
    Ok(stage(draft, patch)?.throttle.entry(key).or_default())
}

fn key_of(patch: &Patch) -> Result<String, ApiError> {
    let (path, method) = (patch.name_at(1), patch.name_at(2));
    let slash = if path.starts_with('/') { "" } else { "/" };
    method_key(&format!("{slash}{path}"), method).map_err(ApiError::bad_request)
}

fn rate(patch: &Patch) -> Result<f64, ApiError> {
    let rate: Option<f64> = patch.value()?.parse().ok();
    let finite = rate.filter(|rate| rate.is_finite() && *rate >= 0.0);
    finite.ok_or_else(|| {
        ApiError::bad_request(format!("{} has to be a number that isn't negative", patch.path()))
    })
}
