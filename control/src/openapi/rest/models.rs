//! Schemas: CreateModel. A schema that stands where it is used becomes a model, too, named after what it says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::super::budget::{Budget, TooLarge};
use super::super::document::{Document, Node, Version};
use super::super::place::Place;
use super::super::problems::Problems;
use super::plan::Planner;

/// AWS's name of a schema that has none, before six digits.
const INLINE: &str = "MODEL";
const INLINE_DIGITS: usize = 6;
pub(super) const DEFINITIONS: &str = "#/definitions/";
pub(super) const SCHEMAS: &str = "#/components/schemas/";
/// How a model's schema names another one, between which stands the API's id.
const ADDRESS: (&str, &str) = ("https://apigateway.amazonaws.com/restapis/", "/models/");

/// A model to be.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedModel {
    pub place: Place,
    pub name: String,
    schema: Value,
}

impl PlannedModel {
    /// The schema as an API's models have it: references are addresses of the API's models.
    #[must_use]
    pub fn schema(&self, api_id: &str) -> String {
        let address =
            |reference: &str| Some(format!("{}{api_id}{}{}", ADDRESS.0, ADDRESS.1, name_of(reference)?));
        with_references(&self.schema, &address).to_string()
    }

    /// The names of the models that it refers to, itself apart.
    #[must_use]
    pub fn references(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        each_reference(&self.schema, &mut |reference| names.extend(name_of(reference).map(str::to_owned)));
        names.remove(&self.name);
        names
    }
}

/// A schema of the API as a document has it: references to the API's models lead to the schemas at `prefix`.
pub(super) fn as_written(schema: &str, prefix: &str) -> Option<Value> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let written = |reference: &str| {
        let (_, name) = reference.strip_prefix(ADDRESS.0)?.split_once(ADDRESS.1)?;
        Some(format!("{prefix}{name}"))
    };
    Some(with_references(&schema, &written))
}

fn name_of(reference: &str) -> Option<&str> {
    let name = reference.strip_prefix(DEFINITIONS).or_else(|| reference.strip_prefix(SCHEMAS))?;
    (!name.contains('/')).then_some(name)
}

/// Members that hold values, not schemas.
const VALUES: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// Looks at what stands in `$ref`; a property of that name holds a schema, not text.
fn each_reference(schema: &Value, with: &mut impl FnMut(&str)) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| each_reference(item, with)),
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                with(reference);
            }
            let schemas = members.iter().filter(|(name, _)| !VALUES.contains(&name.as_str()));
            schemas.for_each(|(_, member)| each_reference(member, with));
        }
        _ => {}
    }
}

/// The schema with other references, where there are others.
fn with_references(schema: &Value, other: &impl Fn(&str) -> Option<String>) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| with_references(item, other)).collect(),
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| {
                let changed = match member {
                    Value::String(reference) if name == "$ref" => {
                        other(reference).map_or_else(|| member.clone(), Value::from)
                    }
                    _ if VALUES.contains(&name.as_str()) => member.clone(),
                    _ => with_references(member, other),
                };
                (name.clone(), changed)
            };
            Value::Object(members.iter().map(member).collect())
        }
        scalar => scalar.clone(),
    }
}

/// The models of a plan under way.
#[derive(Debug)]
pub(super) struct Models {
    by_name: BTreeMap<String, PlannedModel>,
    /// Of schemas without one, by their address, which is theirs alone while the document is there.
    names: HashMap<*const Value, String>,
}

impl Models {
    /// The document's named schemas.
    pub(super) fn of(document: &Document, budget: &mut Budget) -> Result<Self, TooLarge> {
        let root = document.root();
        let all = match document.version() {
            Version::Swagger2 => root.member("definitions"),
            Version::OpenApi30 | Version::OpenApi31 => {
                root.member("components").and_then(|components| components.member("schemas"))
            }
        };
        let mut by_name = BTreeMap::new();
        for (name, node) in all.iter().flat_map(Node::members) {
            let model = PlannedModel {
                place: node.place.clone(),
                name: name.to_owned(),
                schema: budget.copy(node.value)?,
            };
            by_name.insert(name.to_owned(), model);
        }
        Ok(Self { by_name, names: HashMap::new() })
    }

    /// Those that others refer to first, and circles last; a reference to nothing is a problem.
    pub(super) fn ordered(self, problems: &mut Problems) -> Vec<PlannedModel> {
        for model in self.by_name.values() {
            check_references(model, &self.by_name, problems);
        }
        let mut needs: HashMap<String, usize> = HashMap::new();
        let mut needed_by: HashMap<String, Vec<String>> = HashMap::new();
        for model in self.by_name.values() {
            let references = model.references();
            needs.insert(model.name.clone(), references.len());
            for name in references {
                needed_by.entry(name).or_default().push(model.name.clone());
            }
        }
        let mut left = self.by_name;
        let mut free: Vec<String> = left.keys().filter(|name| needs[*name] == 0).cloned().collect();
        let mut ordered = Vec::new();
        while let Some(name) = free.pop() {
            ordered.extend(left.remove(&name));
            for user in needed_by.remove(&name).unwrap_or_default() {
                let needs = needs.entry(user.clone()).or_default();
                *needs = needs.saturating_sub(1);
                if *needs == 0 {
                    free.push(user);
                }
            }
        }
        ordered.extend(left.into_values());
        ordered
    }
}

fn check_references(model: &PlannedModel, all: &BTreeMap<String, PlannedModel>, problems: &mut Problems) {
    each_reference(&model.schema, &mut |reference| match name_of(reference) {
        Some(name) if all.contains_key(name) => {}
        Some(name) => {
            let message = format_args!("the schema refers to '{name}', which there is none of");
            problems.error(&model.place, message);
        }
        None if reference.starts_with(ADDRESS.0) => {}
        None => {
            let message =
                format_args!("a schema can refer to the document's named schemas only, not '{reference}'");
            problems.error(&model.place, message);
        }
    });
}

impl Planner<'_> {
    /// The name of the model that a schema is, or becomes.
    pub(super) fn model(
        &mut self,
        schema: &Node<'_>,
        problems: &mut Problems,
    ) -> Result<Option<String>, TooLarge> {
        let reference = schema.text_of("$ref");
        if let Some(name) = reference.as_deref().and_then(name_of) {
            if self.models.by_name.contains_key(name) {
                return Ok(Some(name.to_owned()));
            }
            problems.warn(&schema.place, format_args!("Reference to model '{name}' not found. Ignoring."));
            return Ok(None);
        }
        let node = match self.document.resolve(schema, &mut self.budget)? {
            Ok(node) => node,
            Err(why) => {
                problems.warn(&schema.place, format_args!("{why}; the model is left out"));
                return Ok(None);
            }
        };
        if let Some(name) = self.models.names.get(&std::ptr::from_ref(node.value)) {
            return Ok(Some(name.clone()));
        }
        let schema = match node.value {
            Value::Object(_) => self.budget.copy(node.value)?,
            // OpenAPI 3.1: any value, and none.
            Value::Bool(true) => json!({}),
            Value::Bool(false) => json!({"not": {}}),
            _ => {
                problems.warn(&node.place, "a schema has to be an object, and this one is left out");
                return Ok(None);
            }
        };
        let name = self.insert_inline(node.place.clone(), schema);
        self.models.names.insert(std::ptr::from_ref(node.value), name.clone());
        Ok(Some(name))
    }

    /// The same schema has the same name in every import.
    fn insert_inline(&mut self, place: Place, schema: Value) -> String {
        let hash = digest(&SHA256, schema.to_string().as_bytes());
        let digits: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let named = |len: usize| format!("{INLINE}{}", &digits[..len]);
        let taken = |name: &String| self.models.by_name.get(name).is_some_and(|other| other.schema != schema);
        let free = (INLINE_DIGITS..digits.len()).map(named).find(|name| !taken(name));
        let name = free.unwrap_or_else(|| named(digits.len()));
        let model = PlannedModel { place, name: name.clone(), schema };
        self.models.by_name.entry(name.clone()).or_insert(model);
        name
    }
}
