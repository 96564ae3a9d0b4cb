//! What throttles let through at gateways that can't reach the store which they share them in, which AWS has nothing of:
//! chosen for a stage, for single routes of it, and for a usage plan. Without a choice, the gateway's setting decides.

use serde_json::{Value, json};

use super::super::call::{Call, compact};
use super::super::error::ApiError;
use super::super::members::Members;
use super::super::v1::usage_plans::plan;
use super::stage::{Stage, check_route_keys};
use crate::change::{Change, View};
use crate::model::{LimitsPartition, LimitsPartitions, UsagePlan};

const FEATURE: &str = "throttles of its own";

impl Stage {
    fn partitions(&mut self) -> &mut LimitsPartitions {
        match self {
            Self::Rest(stage) => &mut stage.partitions,
            Self::Http(stage) => &mut stage.partitions,
        }
    }
}

pub(in super::super) fn put_of_stage(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = Stage::of(change, call, FEATURE)?;
    let mut members = call.members()?;
    let all = take_partition(&mut members)?;
    let routes = members.strings("routes")?.unwrap_or_default();
    members.finish()?;
    check_route_keys(routes.keys())?;
    let routes = routes.into_iter().map(|(key, name)| {
        let partition =
            LimitsPartition::parse(&name).ok_or_else(|| none_of(&format!("routes.{key}"), &name))?;
        Ok((key, partition))
    });
    *stage.partitions() = LimitsPartitions { all, routes: routes.collect::<Result<_, ApiError>>()? };
    stage.keep(change, call)?;
    Ok(stage_answer(stage.partitions()))
}

pub(in super::super) fn get_of_stage(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    Ok(stage_answer(Stage::of(view, call, FEATURE)?.partitions()))
}

pub(in super::super) fn delete_of_stage(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut stage = Stage::of(change, call, FEATURE)?;
    *stage.partitions() = LimitsPartitions::default();
    stage.keep(change, call)?;
    Ok(Value::Null)
}

pub(in super::super) fn put_of_plan(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let partition = take_partition(&mut members)?;
    members.finish()?;
    let plan = set_of_plan(change, call, partition)?;
    Ok(plan_answer(&plan))
}

pub(in super::super) fn get_of_plan(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    plan(view, call.parameter(0)).map(|plan| plan_answer(&plan))
}

pub(in super::super) fn delete_of_plan(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    set_of_plan(change, call, None)?;
    Ok(Value::Null)
}

fn set_of_plan(
    change: &mut Change<'_>,
    call: &Call,
    partition: Option<LimitsPartition>,
) -> Result<UsagePlan, ApiError> {
    let plan = UsagePlan { partition, ..plan(change, call.parameter(0))? };
    change.tx.put_entity(&plan)?;
    change.recompile_plan(&plan.id);
    Ok(plan)
}

fn take_partition(members: &mut Members) -> Result<Option<LimitsPartition>, ApiError> {
    let name = members.choice("partition", &LimitsPartition::NAMES)?;
    Ok(name.as_deref().and_then(LimitsPartition::parse))
}

fn none_of(member: &str, name: &str) -> ApiError {
    let names = LimitsPartition::NAMES.join(", ");
    ApiError::bad_request(format!("{member} has to be one of {names}, not '{name}'"))
}

fn stage_answer(partitions: &LimitsPartitions) -> Value {
    let routes = partitions.routes.iter().map(|(key, partition)| (key.clone(), partition.as_str().into()));
    compact(json!({
        "partition": partitions.all.map(LimitsPartition::as_str),
        "routes": Value::Object(routes.collect()),
    }))
}

fn plan_answer(plan: &UsagePlan) -> Value {
    compact(json!({"partition": plan.partition.map(LimitsPartition::as_str)}))
}
