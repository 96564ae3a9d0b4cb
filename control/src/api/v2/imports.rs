//! `Api` from and to OpenAPI 3: import, reimport, export.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::error::ApiError;
use super::super::exports::all_items;
use super::super::imports::{self, Import, text};
use super::super::operations::Service;
use super::super::prepared::Prepared;
use super::{part, quick};
use crate::change::Change;
use crate::model::HttpIntegration;
use crate::openapi::{Document, HttpPlan, Place, Planned, PlannedRoute, plan_http};
use crate::settings::Settings;

/// The document that the body holds as text.
fn read(settings: &Settings, call: &Call) -> Result<Arc<Document>, ApiError> {
    if let Some(read) = &call.document {
        return Ok(Arc::clone(read));
    }
    let mut members = call.members()?;
    let body = members.required("body", settings.body_bytes_max)?;
    members.finish()?;
    imports::read(settings, body.as_bytes())
}

pub(in super::super) fn import(settings: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    Ok(Prepared::of_document(read(settings, call)?, put_new))
}

pub(in super::super) fn reimport(settings: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    Ok(Prepared::of_document(read(settings, call)?, put_into))
}

fn put_new(change: &mut Change<'_>, call: &Call, document: &Document) -> Result<Value, ApiError> {
    let mut import = Import::new(change, Service::V2, call.query_flag("failOnWarnings")?);
    let plan = plan(&mut import, call, document)?;
    let Some(api) = import.run(&Place::default(), "create the API", "CreateApi", &[], &plan.api)? else {
        return import.check().map(|()| Value::Null);
    };
    let api_id = text(&api, "apiId");
    fill(&mut import, &api_id, &plan, &mut Vec::new())?;
    answer(import, api)
}

/// Routes, integrations and authorizers become the document's, what quick create made among them; stages stay. An
/// integration that is the same as before keeps its id, and with it what leads to it.
fn put_into(change: &mut Change<'_>, call: &Call, document: &Document) -> Result<Value, ApiError> {
    let api_id = call.parameter(0).to_owned();
    let mut import = Import::new(change, Service::V2, call.query_flag("failOnWarnings")?);
    let before = import.call("GetApi", &[&api_id], &Value::Null)?;
    if before["protocolType"] != "HTTP" {
        return Err(ApiError::bad_request("Only HTTP APIs can be imported"));
    }
    let plan = plan(&mut import, call, document)?;
    let mut members = plan.api.clone();
    if let Some(members) = members.as_object_mut() {
        members.remove("protocolType");
        members.remove("tags");
    }
    if before.get("corsConfiguration").is_some() && members.get("corsConfiguration").is_none() {
        import.call("DeleteCorsConfiguration", &[&api_id], &Value::Null)?;
    }
    for (name, absent) in [("disableExecuteApiEndpoint", json!(false)), ("description", json!(""))] {
        if members.get(name).is_none() && before.get(name).is_some() {
            members[name] = absent;
        }
    }
    import.run(&Place::default(), "update the API", "UpdateApi", &[&api_id], &members)?;
    tag(&mut import, &api_id, &plan)?;
    let managed = quick::release(import.change, &api_id)?;
    for route in all_items(import.change, Service::V2, "GetRoutes", &[&api_id], "")? {
        import.call("DeleteRoute", &[&api_id, &text(&route, "routeId")], &Value::Null)?;
    }
    for authorizer in all_items(import.change, Service::V2, "GetAuthorizers", &[&api_id], "")? {
        import.call("DeleteAuthorizer", &[&api_id, &text(&authorizer, "authorizerId")], &Value::Null)?;
    }
    // Out of the way of the new ones, which the quota is for.
    let mut old: Vec<HttpIntegration> = import.change.tx.parts(&api_id)?;
    for integration in &old {
        import.call("DeleteIntegration", &[&api_id, &integration.id], &Value::Null)?;
    }
    fill(&mut import, &api_id, &plan, &mut old)?;
    quick::take_back(import.change, &api_id, &managed)?;
    let api = import.call("GetApi", &[&api_id], &Value::Null)?;
    answer(import, api)
}

/// Tags that the document doesn't have stay, since others may have put them there.
fn tag(import: &mut Import<'_, '_>, api_id: &str, plan: &HttpPlan) -> Result<(), ApiError> {
    let Some(tags) = plan.api.get("tags") else { return Ok(()) };
    let arn = format!("arn:aws:apigateway:{}::/apis/{api_id}", import.change.settings.account.region);
    let place = Place::default().at("tags");
    import.run(&place, "tag the API", "TagResource", &[&arn], &json!({"tags": tags}))?;
    Ok(())
}

/// The document as a plan without errors.
fn plan(import: &mut Import<'_, '_>, call: &Call, document: &Document) -> Result<HttpPlan, ApiError> {
    let mode = imports::base_path_mode(call, "basepath")?;
    let plan = plan_http(document, mode, &mut import.problems)?;
    import.check()?;
    Ok(plan)
}

/// Makes what the plan has. Integrations that are used again leave `old`.
fn fill(
    import: &mut Import<'_, '_>,
    api_id: &str,
    plan: &HttpPlan,
    old: &mut Vec<HttpIntegration>,
) -> Result<(), ApiError> {
    let mut authorizers = Vec::new();
    for Planned { place, name, members } in &plan.authorizers {
        let what = format!("create authorizer '{name}'");
        let made = import.run(place, &what, "CreateAuthorizer", &[api_id], members)?;
        authorizers.push(made.map(|made| text(&made, "authorizerId")));
    }
    let mut integrations = Vec::new();
    for planned in &plan.integrations {
        integrations.push(integration(import, api_id, planned, old)?);
    }
    for route in &plan.routes {
        create_route(import, api_id, route, &integrations, &authorizers)?;
    }
    import.check()
}

/// The id of the integration; `None` when it can't be. One that there was is put back.
fn integration(
    import: &mut Import<'_, '_>,
    api_id: &str,
    planned: &Planned,
    old: &mut Vec<HttpIntegration>,
) -> Result<Option<String>, ApiError> {
    let Planned { place, members, .. } = planned;
    let made = import.run(place, "create the integration", "CreateIntegration", &[api_id], members)?;
    let Some(made) = made else { return Ok(None) };
    let made: HttpIntegration = part(import.change, api_id, &text(&made, "integrationId"))?;
    let Some(same) = old.iter().position(|other| is_same(other, &made)) else { return Ok(Some(made.id)) };
    let same = old.swap_remove(same);
    import.change.tx.delete_part::<HttpIntegration>(api_id, &made.id)?;
    import.change.tx.put_part(api_id, &same)?;
    Ok(Some(same.id))
}

/// In all that a document can say of it.
fn is_same(old: &HttpIntegration, made: &HttpIntegration) -> bool {
    let HttpIntegration { id, description, .. } = made.clone();
    HttpIntegration { id, description, ..old.clone() } == *made
}

fn create_route(
    import: &mut Import<'_, '_>,
    api_id: &str,
    route: &PlannedRoute,
    integrations: &[Option<String>],
    authorizers: &[Option<String>],
) -> Result<(), ApiError> {
    let mut members = route.members.clone();
    if let Some(at) = route.integration {
        let Some(id) = &integrations[at] else { return Ok(()) };
        members["target"] = format!("integrations/{id}").into();
    }
    if let Some(at) = route.authorizer {
        let Some(id) = &authorizers[at] else { return Ok(()) };
        members["authorizerId"] = id.as_str().into();
    }
    import.run(&route.place, "create the route", "CreateRoute", &[api_id], &members)?;
    Ok(())
}

fn answer(import: Import<'_, '_>, mut api: Value) -> Result<Value, ApiError> {
    import.check()?;
    for (name, list) in [("warnings", import.problems.warnings()), ("importInfo", import.problems.info())] {
        if !list.is_empty() {
            api[name] = json!(list);
        }
    }
    Ok(api)
}
