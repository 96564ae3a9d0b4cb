//! What an import of a REST API would send to which operation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::budget::{Budget, TooLarge};
use super::super::document::{BasePathMode, Document};
use super::super::extensions::{self, Kind};
use super::super::http::Planned;
use super::super::operations::paths;
use super::super::place::Place;
use super::super::problems::Problems;
use super::super::security::{self, Schemes};
use super::documentation::Documentation;
use super::models::{Models, PlannedModel};
use super::{api, authorizers, methods};

/// A REST API as the operations would be told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RestPlan {
    /// CreateRestApi's members; an update is made of those that are there.
    pub api: Value,
    /// CreateModel's; those that others refer to come before them, unless they go round in a circle.
    pub models: Vec<PlannedModel>,
    /// CreateRequestValidator's members.
    pub validators: Vec<Planned>,
    /// CreateAuthorizer's members, by the name of the scheme.
    pub authorizers: Vec<Planned>,
    /// PutGatewayResponse's members, by the type of the response.
    pub gateway_responses: Vec<Planned>,
    /// Every path that there has to be, parents first, and where the document asks for it.
    pub resources: Vec<(String, Place)>,
    pub methods: Vec<PlannedMethod>,
    /// As the document's extension lists documentation parts; `None` leaves them as they are.
    pub documentation: Option<Vec<Value>>,
}

/// A method, whose `authorizerId` and `requestValidatorId` are only known once there are such entities.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMethod {
    pub place: Place,
    pub path: String,
    pub http_method: String,
    /// PutMethod's other members.
    pub members: Value,
    /// Name of one of the plan's.
    pub authorizer: Option<String>,
    /// Name of one of the plan's.
    pub validator: Option<String>,
    /// PutMethodResponse's.
    pub responses: Vec<PlannedResponse>,
    pub integration: Option<PlannedIntegration>,
}

/// A response of a method or of an integration.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedResponse {
    pub place: Place,
    pub status_code: String,
    pub members: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PlannedIntegration {
    pub place: Place,
    /// PutIntegration's members.
    pub members: Value,
    /// PutIntegrationResponse's.
    pub responses: Vec<PlannedResponse>,
}

/// What the parts of a plan are made with.
pub(super) struct Planner<'d> {
    pub(super) document: &'d Document,
    pub(super) budget: Budget,
    pub(super) schemes: Schemes<'d>,
    pub(super) models: Models,
    pub(super) documentation: Documentation,
}

/// What it finds wrong goes to `problems`; with an error among them, the plan isn't to be run.
///
/// # Errors
/// When the document unfolds to more than its limits.
pub fn plan_rest(
    document: &Document,
    base_path: BasePathMode,
    problems: &mut Problems,
) -> Result<RestPlan, TooLarge> {
    extensions::check(document, Kind::Rest, problems);
    document.check_servers(problems);
    let mut budget = Budget::new(document.limits());
    let schemes = security::schemes(document, &mut budget, problems)?;
    let models = Models::of(document, &mut budget)?;
    let mut planner = Planner { document, budget, schemes, models, documentation: Documentation::default() };
    planner.documentation.of_api(document, &mut planner.budget)?;
    let api = api::members(document, problems);
    let authorizers = authorizers::plan(&mut planner, problems)?;
    let prefix = base_path.prefix(document);
    let mut resources = BTreeMap::from([("/".to_owned(), document.root().place)]);
    let mut methods = Vec::new();
    for item in paths(document, &prefix, Kind::Rest, &mut planner.budget, problems)? {
        add_with_parents(&mut resources, &item.path, &item.node.place, &mut planner.budget)?;
        planner.documentation.of_path(&item, &mut planner.budget)?;
        for operation in &item.operations {
            methods.push(methods::plan(&mut planner, operation, problems)?);
        }
    }
    check_twice(&methods, problems);
    Ok(RestPlan {
        api,
        models: planner.models.ordered(problems),
        validators: api::validators(document, &mut planner.budget)?,
        authorizers,
        gateway_responses: api::gateway_responses(document, &mut planner.budget)?,
        resources: parents_first(resources),
        methods,
        documentation: Some(planner.documentation.with_extension(document, problems)),
    })
}

/// `/pets` and `/pets/` are one path here.
fn check_twice(methods: &[PlannedMethod], problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for method in methods {
        if let Some(before) = seen.insert((&method.path, &method.http_method), &method.place) {
            let (name, path) = (&method.http_method, &method.path);
            problems.error(&method.place, format_args!("{name} {path} is at {before}, too"));
        }
    }
}

fn add_with_parents(
    resources: &mut BTreeMap<String, Place>,
    path: &str,
    place: &Place,
    budget: &mut Budget,
) -> Result<(), TooLarge> {
    for (at, _) in path.match_indices('/').skip(1) {
        budget.spend_text(&path[..at])?;
        resources.entry(path[..at].to_owned()).or_insert_with(|| place.clone());
    }
    resources.entry(path.to_owned()).or_insert_with(|| place.clone());
    Ok(())
}

fn parents_first(resources: BTreeMap<String, Place>) -> Vec<(String, Place)> {
    let mut resources: Vec<_> = resources.into_iter().collect();
    resources.sort_by_key(|(path, _)| path.trim_end_matches('/').matches('/').count());
    resources
}

/// An object without the members that are `null`.
pub(super) fn compact(members: Value) -> Value {
    match members {
        Value::Object(mut members) => {
            members.retain(|_, value| !value.is_null());
            members.into()
        }
        other => json!(other),
    }
}
