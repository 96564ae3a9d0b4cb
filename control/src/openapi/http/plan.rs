//! What an import of an HTTP API would send to which operation: CreateApi, CreateAuthorizer, CreateIntegration,
//! CreateRoute.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::budget::{Budget, TooLarge};
use super::super::document::{BasePathMode, Document, Node, Version};
use super::super::extensions::{self, Kind};
use super::super::integration::{self, INTEGRATIONS};
use super::super::operations::{Operation, paths};
use super::super::place::Place;
use super::super::problems::Problems;
use super::super::security::{self, AUTHORIZER, Protection, Scheme, Schemes, UNUSED};
use super::super::text_max::{
    DESCRIPTION_CHARS_MAX, ROUTE_OPERATION_NAME_CHARS_MAX, VERSION_CHARS_MAX, insert_text,
};
use super::{AUTHORIZER_MEMBERS, DEFAULT_PATH, INTEGRATION_MEMBERS};

/// An HTTP API as the operations would be told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpPlan {
    /// CreateApi's members.
    pub api: Value,
    /// CreateAuthorizer's members, by the name of the scheme.
    pub authorizers: Vec<Planned>,
    /// CreateIntegration's members.
    pub integrations: Vec<Planned>,
    pub routes: Vec<PlannedRoute>,
}

/// One entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub place: Place,
    pub name: String,
    pub members: Value,
}

/// A route, whose `target` and `authorizerId` are only known once there are such entities.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRoute {
    pub place: Place,
    /// CreateRoute's other members.
    pub members: Value,
    /// Which of the plan's integrations.
    pub integration: Option<usize>,
    /// Which of the plan's authorizers.
    pub authorizer: Option<usize>,
}

/// What a route is expected to cost, in values.
const ROUTE_VALUES: usize = 16;
const MAX_VERSION: &str = "1.0";

/// What it finds wrong goes to `problems`; with an error among them, the plan isn't to be run.
///
/// # Errors
/// When the document unfolds to more than its limits.
pub fn plan_http(
    document: &Document,
    base_path: BasePathMode,
    problems: &mut Problems,
) -> Result<HttpPlan, TooLarge> {
    let root = document.root();
    if document.version() == Version::Swagger2 {
        problems.error(&root.place.at("swagger"), "HTTP APIs are imported from OpenAPI 3 only");
    }
    extensions::check(document, Kind::Http, problems);
    document.check_servers(problems);
    check_root(&root, problems);
    let mut budget = Budget::new(document.limits());
    let schemes = security::schemes(document, &mut budget, problems)?;
    let mut planner = Planner {
        document,
        budget,
        schemes,
        plan: HttpPlan {
            api: api(document, problems),
            authorizers: Vec::new(),
            integrations: Vec::new(),
            routes: Vec::new(),
        },
        planned: HashMap::new(),
    };
    planner.plan_authorizers(problems);
    planner.plan_components(problems)?;
    let prefix = base_path.prefix(document);
    for item in paths(document, &prefix, Kind::Http, &mut planner.budget, problems)? {
        for operation in &item.operations {
            planner.budget.spend(ROUTE_VALUES)?;
            planner.plan_route(operation, &prefix, problems)?;
        }
    }
    Ok(planner.plan)
}

fn check_root(root: &Node<'_>, problems: &mut Problems) {
    if let Some(policy) = root.member("x-amazon-apigateway-policy") {
        problems
            .error(&policy.place, "HTTP APIs have no resource policy: the API would be open to everybody");
    }
    if let Some(version) = root.member("x-amazon-apigateway-importexport-version")
        && version.text().as_deref() != Some(MAX_VERSION)
    {
        problems.error(&version.place, format_args!("the version has to be {MAX_VERSION}"));
    }
    let schemas = root.member("components").and_then(|components| components.member("schemas"));
    if let Some(schemas) = schemas {
        problems.inform(&schemas.place, "HTTP APIs have no models; the schemas are left out");
    }
}

fn api(document: &Document, problems: &mut Problems) -> Value {
    let root = document.root();
    let mut api = Map::from_iter([("protocolType".to_owned(), "HTTP".into())]);
    let info = root.member("info");
    match info.as_ref().and_then(|info| info.text_of("title")) {
        Some(title) => insert(&mut api, "name", title.into()),
        None => problems.error(&root.place.at("info").at("title"), "an API needs a title"),
    }
    if let Some(info) = &info {
        insert_text(&mut api, "description", info, "description", DESCRIPTION_CHARS_MAX, problems);
        insert_text(&mut api, "version", info, "version", VERSION_CHARS_MAX, problems);
    }
    let tags = tags_of_http(document);
    if !tags.is_empty() {
        insert(&mut api, "tags", tags.into());
    }
    if let Some(cors) = root.member("x-amazon-apigateway-cors") {
        insert(&mut api, "corsConfiguration", cors.value.clone());
    }
    endpoint(document, &mut api, problems);
    api.into()
}

/// AWS's tags of the API are the document's, with their values in an extension.
#[must_use]
pub fn tags_of_http(document: &Document) -> Map<String, Value> {
    let tags = document.root().member("tags").map_or_else(Vec::new, |tags| tags.items());
    let tag = |tag: &Node<'_>| {
        let value = tag.text_of("x-amazon-apigateway-tag-value").unwrap_or_default();
        Some((tag.text_of("name")?, value.into()))
    };
    tags.iter().filter_map(tag).collect()
}

/// The first server has the last word.
fn endpoint(document: &Document, api: &mut Map<String, Value>, problems: &mut Problems) {
    for configuration in document.endpoint_configurations() {
        if !configuration.value.is_object() {
            problems.error(&configuration.place, "an endpoint configuration has to be an object");
        }
        for (name, member) in configuration.members() {
            match name {
                "disableExecuteApiEndpoint" => insert(api, name, member.value.clone()),
                "types" | "vpcEndpointIds" => {
                    problems.inform(&member.place, "REST APIs only have this member; it is left out");
                }
                "ipAddressType" => insert(api, name, member.value.clone()),
                _ => problems.warn(&member.place, "the endpoint configuration has no such member here"),
            }
        }
    }
}

pub(super) fn insert(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.insert(name.to_owned(), value);
}

struct Planner<'d> {
    document: &'d Document,
    budget: Budget,
    schemes: Schemes<'d>,
    plan: HttpPlan,
    /// An integration in the document, and which of the plan's it is: those that share it share the entity.
    planned: HashMap<*const Value, Option<usize>>,
}

impl Planner<'_> {
    fn plan_authorizers(&mut self, problems: &mut Problems) {
        for (name, scheme) in &self.schemes {
            if let Scheme::Authorizer(node) = scheme {
                let members = authorizer(name, node, problems);
                let planned = Planned { place: node.place.clone(), name: name.clone(), members };
                self.plan.authorizers.push(planned);
            }
        }
    }

    /// Those that nothing refers to are entities, too.
    fn plan_components(&mut self, problems: &mut Problems) -> Result<(), TooLarge> {
        let components = self.document.root().member("components");
        let Some(all) = components.and_then(|components| components.member(INTEGRATIONS)) else {
            return Ok(());
        };
        for (_, node) in all.members() {
            match self.document.resolve(&node, &mut self.budget)? {
                Ok(node) => {
                    self.integration(&node, problems);
                }
                Err(why) => problems.error(&node.place, why),
            }
        }
        Ok(())
    }

    /// Which of the plan's integrations it is; `None` when HTTP APIs have none of its type.
    fn integration(&mut self, node: &Node<'_>, problems: &mut Problems) -> Option<usize> {
        if let Some(known) = self.planned.get(&std::ptr::from_ref(node.value)) {
            return *known;
        }
        let index = integration_members(node, problems).map(|members| {
            let name = format!("integration{}", self.plan.integrations.len() + 1);
            self.plan.integrations.push(Planned { place: node.place.clone(), name, members });
            self.plan.integrations.len() - 1
        });
        self.planned.insert(std::ptr::from_ref(node.value), index);
        index
    }

    fn plan_route(
        &mut self,
        operation: &Operation<'_>,
        prefix: &str,
        problems: &mut Problems,
    ) -> Result<(), TooLarge> {
        let node = &operation.node;
        let integration = integration::of_operation(self.document, node, &mut self.budget, problems)?;
        let integration = integration.and_then(|node| self.integration(&node, problems));
        let (served, budget) = (integration.is_some(), &mut self.budget);
        let asked = security::protection(self.document, &self.schemes, operation, served, budget, problems)?;
        inform(operation, problems);
        let mut members = Map::new();
        insert(&mut members, "routeKey", route_key(operation, prefix, problems).into());
        let max = ROUTE_OPERATION_NAME_CHARS_MAX;
        insert_text(&mut members, "operationName", node, "operationId", max, problems);
        if asked.api_key {
            insert(&mut members, "apiKeyRequired", true.into());
        }
        let authorizer = self.protect(&mut members, asked);
        let place = node.place.clone();
        self.plan.routes.push(PlannedRoute { place, members: members.into(), integration, authorizer });
        Ok(())
    }

    /// The authorizer that decides, if one does.
    fn protect(&self, members: &mut Map<String, Value>, asked: Protection) -> Option<usize> {
        if asked.iam {
            insert(members, "authorizationType", "AWS_IAM".into());
        }
        let (name, scopes) = asked.authorizer?;
        // They are in the order of their names, as the schemes were.
        let by_name = |authorizer: &Planned| authorizer.name.as_str().cmp(&name);
        let index = self.plan.authorizers.binary_search_by(by_name).ok()?;
        let jwt = self.plan.authorizers[index].members["authorizerType"] == "JWT";
        insert(members, "authorizationType", if jwt { "JWT" } else { "CUSTOM" }.into());
        if !scopes.is_empty() {
            insert(members, "authorizationScopes", scopes.into());
        }
        Some(index)
    }
}

/// AWS writes the default route as `/$default`.
fn route_key(operation: &Operation<'_>, prefix: &str, problems: &mut Problems) -> String {
    let flag = operation.node.member("isDefaultRoute").map(|flag| flag.value == &Value::Bool(true));
    if flag == Some(true) || operation.path.strip_prefix(prefix) == Some(DEFAULT_PATH) {
        if operation.method != "ANY" {
            problems.error(&operation.node.place, "the default route is x-amazon-apigateway-any-method");
        }
        return "$default".to_owned();
    }
    format!("{} {}", operation.method, operation.path)
}

/// What REST APIs would do with it, and HTTP APIs don't.
fn inform(operation: &Operation<'_>, problems: &mut Problems) {
    if let Some(body) = operation.node.member("requestBody") {
        problems.inform(&body.place, "HTTP APIs don't check bodies; it is left out");
    }
}

/// What REST APIs' integrations have, and HTTP APIs' don't.
const REST_MEMBERS: [&str; 6] = [
    "cacheKeyParameters",
    "cacheNamespace",
    "contentHandling",
    "passthroughBehavior",
    "requestTemplates",
    "responses",
];

fn integration_members(node: &Node<'_>, problems: &mut Problems) -> Option<Value> {
    let kind = integration::kind(node);
    if !["AWS_PROXY", "HTTP_PROXY"].contains(&kind.as_str()) {
        let message = format_args!("HTTP APIs have no integrations of the type '{kind}', and it is left out");
        problems.warn(&node.place.at("type"), message);
        return None;
    }
    let mut members = Map::new();
    for (name, wire) in INTEGRATION_MEMBERS {
        let Some(member) = node.member(name) else { continue };
        let value = match name {
            "type" => kind.clone().into(),
            "timeoutInMillis" | "requestParameters" | "responseParameters" | "tlsConfig" => {
                member.value.clone()
            }
            "connectionType" => member.text().unwrap_or_default().to_ascii_uppercase().into(),
            _ => member.text().map_or_else(|| member.value.clone(), Value::from),
        };
        insert(&mut members, wire, value);
    }
    for name in REST_MEMBERS {
        if let Some(member) = node.member(name) {
            problems.inform(&member.place, "REST APIs only have this member; it is left out");
        }
    }
    let known: Vec<&str> = INTEGRATION_MEMBERS.iter().map(|(name, _)| *name).chain(REST_MEMBERS).collect();
    integration::check_members(node, &known, problems);
    Some(members.into())
}

fn authorizer(name: &str, scheme: &Node<'_>, problems: &mut Problems) -> Value {
    let Some(node) = scheme.member(AUTHORIZER) else { return Value::Null };
    let kind = node.text_of("type").unwrap_or_default().to_ascii_uppercase();
    let mut members = Map::new();
    insert(&mut members, "name", name.into());
    insert(&mut members, "authorizerType", kind.clone().into());
    for (written, wire) in AUTHORIZER_MEMBERS {
        let Some(member) = node.member(written) else { continue };
        let value = match (written, member.text()) {
            ("authorizerResultTtlInSeconds" | "enableSimpleResponses", Some(text)) => {
                serde_json::from_str(&text).unwrap_or_else(|_| text.into())
            }
            (_, Some(text)) => text.into(),
            (_, None) => member.value.clone(),
        };
        insert(&mut members, wire, value);
    }
    if let Some(source) = identity_source(scheme, &node, &kind) {
        insert(&mut members, "identitySource", source);
    }
    if kind == "JWT" {
        insert(&mut members, "jwtConfiguration", jwt_configuration(scheme, &node));
    }
    let known: Vec<&str> = AUTHORIZER_MEMBERS.iter().map(|(name, _)| *name).collect();
    for (name, member) in node.members() {
        if !known.contains(&name) && !["type", "identitySource", "jwtConfiguration"].contains(&name) {
            problems
                .warn(&member.place, format_args!("an authorizer has no '{name}' here, and it is left out"));
        }
    }
    members.into()
}

/// A list, which documents write with commas; what the scheme says, if the authorizer doesn't.
fn identity_source(scheme: &Node<'_>, node: &Node<'_>, kind: &str) -> Option<Value> {
    if let Some(source) = node.member("identitySource") {
        return Some(match source.value {
            Value::String(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
            other => other.clone(),
        });
    }
    let name = scheme.text_of("name").filter(|name| name != UNUSED);
    let within = scheme.text_of("in");
    match (name, kind) {
        (Some(name), _) if within.as_deref() == Some("query") => {
            Some(json!([format!("$request.querystring.{name}")]))
        }
        (Some(name), _) => Some(json!([format!("$request.header.{name}")])),
        (None, "JWT") => Some(json!(["$request.header.Authorization"])),
        (None, _) => None,
    }
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The issuer is what the scheme's discovery document belongs to, if the configuration names none.
fn jwt_configuration(scheme: &Node<'_>, node: &Node<'_>) -> Value {
    let configuration = node.member("jwtConfiguration");
    let mut configuration =
        configuration.and_then(|node| node.value.as_object().cloned()).unwrap_or_default();
    if let Some(url) = scheme.text_of("openIdConnectUrl").filter(|_| !configuration.contains_key("issuer")) {
        let issuer = url.strip_suffix(DISCOVERY).unwrap_or(&url).to_owned();
        insert(&mut configuration, "issuer", issuer.into());
    }
    configuration.into()
}
