//! `RoutingRule`: create, get, list, put, delete.

use serde_json::{Value, json};

use super::super::call::{Call, PagingNames, compact, page_answer, page_of};
use super::super::domains::{self, mappings::check_target};
use super::super::error::ApiError;
use super::super::members::Members;
use super::{NAME_CHARS_MAX, check_room, no_such};
use crate::change::{Change, View};
use crate::model::{
    DomainName, HEADER_CONDITIONS_MAX, HeaderGlob, PRIORITY_MAX, RoutingCondition, RoutingRule,
    check_base_path, check_header_glob, new_id,
};

const NOUN: &str = "RoutingRule";
const RULE_ID_LEN: usize = 6;
/// An arbitrary bound of a condition's entries.
const ANY_OF_MAX: usize = 10;
const TEXT_CHARS_MAX: usize = 512;
const PAGING: PagingNames =
    PagingNames { limit: "maxResults", token: "nextToken", limit_default: 100, items: "routingRules" };

pub(in super::super) fn create(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let max = change.settings.quotas.routing_rules_per_domain_name_max;
    let count = change.tx.entity_count::<RoutingRule>(&domain.name)?;
    check_room(count, max, "domain name", "routing rules", "routing_rules_per_domain_name_max")?;
    let id = new_id(RULE_ID_LEN).map_err(|error| ApiError::internal(&error))?;
    put_rule(change, call, &domain, id)
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(view, call)?;
    Ok(answer(view, &rule(view, &domain, call.parameter(1))?))
}

/// In the order in which they are tried.
pub(in super::super) fn list(view: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(view, call)?;
    let mut rules: Vec<RoutingRule> = view.tx.entities_of(&domain.name)?;
    rules.sort_by_key(|rule| rule.priority);
    let named = rules.into_iter().map(|rule| (RoutingRule::priority_name(rule.priority), rule));
    let page = page_of(named, &call.paging(&PAGING)?);
    Ok(page_answer(&page, &PAGING, |rule| answer(view, rule)))
}

/// Changes a rule, all of it.
pub(in super::super) fn put(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let before = rule(change, &domain, call.parameter(1))?;
    put_rule(change, call, &domain, before.id)
}

pub(in super::super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = domains::of_call(change, call)?;
    let rule = rule(change, &domain, call.parameter(1))?;
    change.tx.delete_entity::<RoutingRule>(&domain.name, &rule.id)?;
    change.recompile_account();
    Ok(Value::Null)
}

fn rule(view: &View<'_>, domain: &DomainName, id: &str) -> Result<RoutingRule, ApiError> {
    view.tx.entity(&domain.name, id)?.ok_or_else(|| no_such(NOUN, id))
}

fn put_rule(
    change: &mut Change<'_>,
    call: &Call,
    domain: &DomainName,
    id: String,
) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let priority = members.integer("priority", 1..=PRIORITY_MAX)?;
    let priority = priority.ok_or_else(|| ApiError::bad_request("priority is required"))?;
    let conditions = take_conditions(&mut members)?;
    let (api_id, stage, strip_base_path) = take_action(&mut members)?;
    members.finish()?;
    check_target(change, &api_id, Some(&stage))?;
    let rule =
        RoutingRule { id, domain: domain.name.clone(), priority, conditions, api_id, stage, strip_base_path };
    let other = change.tx.entity_named::<RoutingRule>(&domain.name, &RoutingRule::priority_name(priority))?;
    if let Some(other) = other.filter(|other| other.id != rule.id) {
        return Err(ApiError::conflict(format!(
            "The routing rule {} of this domain name has the priority {priority} already",
            other.id
        )));
    }
    change.tx.put_entity(&rule)?;
    change.recompile_account();
    Ok(answer(change, &rule))
}

/// The one action that there is: to which stage.
fn take_action(members: &mut Members) -> Result<(String, String, bool), ApiError> {
    let mut actions = members.objects("actions")?.unwrap_or_default();
    let (Some(mut action), true) = (actions.pop(), actions.is_empty()) else {
        return Err(ApiError::bad_request("actions has to have exactly one entry"));
    };
    let invoke = action.object("invokeApi")?;
    let place = action.full("invokeApi");
    action.finish()?;
    let mut invoke = invoke.ok_or_else(|| ApiError::bad_request(format!("{place} is required")))?;
    let api_id = invoke.required("apiId", NAME_CHARS_MAX)?;
    let stage = invoke.required("stage", NAME_CHARS_MAX)?;
    let strip_base_path = invoke.boolean("stripBasePath")?.unwrap_or(false);
    invoke.finish()?;
    Ok((api_id, stage, strip_base_path))
}

fn take_conditions(members: &mut Members) -> Result<Vec<RoutingCondition>, ApiError> {
    let given = members.objects("conditions")?;
    let given =
        given.ok_or_else(|| ApiError::bad_request("conditions is required; an empty list always holds"))?;
    let conditions: Vec<RoutingCondition> =
        given.into_iter().map(take_condition).collect::<Result<_, _>>()?;
    let headers = conditions.iter().filter(|one| matches!(one, RoutingCondition::Headers(_))).count();
    match headers <= HEADER_CONDITIONS_MAX && conditions.len() - headers <= 1 {
        true => Ok(conditions),
        false => Err(ApiError::bad_request(format!(
            "A routing rule can have at most {HEADER_CONDITIONS_MAX} conditions matchHeaders and one matchBasePaths"
        ))),
    }
}

fn take_condition(mut members: Members) -> Result<RoutingCondition, ApiError> {
    let headers = members.object("matchHeaders")?;
    let base_paths = members.object("matchBasePaths")?;
    let place = members.full("matchHeaders");
    members.finish()?;
    match (headers, base_paths) {
        (Some(mut headers), None) => {
            let globs = headers.objects("anyOf")?.unwrap_or_default();
            check_any_of(globs.len(), &headers)?;
            headers.finish()?;
            Ok(RoutingCondition::Headers(globs.into_iter().map(take_glob).collect::<Result<_, _>>()?))
        }
        (None, Some(mut base_paths)) => {
            let paths = base_paths.list("anyOf")?.unwrap_or_default();
            check_any_of(paths.len(), &base_paths)?;
            base_paths.finish()?;
            paths.iter().try_for_each(|path| check_base_path(path)).map_err(ApiError::bad_request)?;
            Ok(RoutingCondition::BasePaths(paths))
        }
        _ => Err(ApiError::bad_request(format!("A condition has either {place} or matchBasePaths"))),
    }
}

fn take_glob(mut members: Members) -> Result<HeaderGlob, ApiError> {
    let glob = HeaderGlob {
        header: members.required("header", TEXT_CHARS_MAX)?,
        value_glob: members.required("valueGlob", TEXT_CHARS_MAX)?,
    };
    members.finish()?;
    check_header_glob(&glob).map_err(ApiError::bad_request)?;
    Ok(glob)
}

fn check_any_of(count: usize, members: &Members) -> Result<(), ApiError> {
    match (1..=ANY_OF_MAX).contains(&count) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "{} has to have 1 to {ANY_OF_MAX} entries",
            members.full("anyOf")
        ))),
    }
}

fn answer(view: &View<'_>, rule: &RoutingRule) -> Value {
    let conditions = rule.conditions.iter().map(|condition| match condition {
        RoutingCondition::Headers(globs) => {
            let globs = globs.iter().map(|glob| json!({"header": glob.header, "valueGlob": glob.value_glob}));
            json!({"matchHeaders": {"anyOf": globs.collect::<Vec<_>>()}})
        }
        RoutingCondition::BasePaths(paths) => json!({"matchBasePaths": {"anyOf": paths}}),
    });
    let invoke = json!({"apiId": rule.api_id, "stage": rule.stage, "stripBasePath": rule.strip_base_path});
    compact(json!({
        "actions": [{"invokeApi": invoke}],
        "conditions": conditions.collect::<Vec<_>>(),
        "priority": rule.priority,
        "routingRuleArn": format!("{}/routingrules/{}", domains::arn(view, &rule.domain), rule.id),
        "routingRuleId": rule.id,
    }))
}
