//! A document as it is looked at: its version, nodes with their places, references within it.

use serde_json::Value;

use super::budget::{Budget, DocumentLimits, TooLarge};
use super::place::Place;
use super::problems::Problems;
use super::text::{TextError, read_text};

pub(super) const ENDPOINT_CONFIGURATION: &str = "x-amazon-apigateway-endpoint-configuration";
/// References from one to the next, before they are taken for a circle.
const HOPS_MAX: usize = 32;

/// Which OpenAPI a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Swagger2,
    OpenApi30,
    OpenApi31,
}

/// What AWS's variables (`${AWS::Region}`) stand for.
#[derive(Debug, Clone, Copy)]
pub struct Substitutes<'s> {
    pub account: &'s str,
    pub region: &'s str,
}

/// A text that isn't an OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error("Invalid OpenAPI input: {0}")]
    Text(#[from] TextError),
    #[error("Invalid OpenAPI input: the document has to be an object")]
    NoObject,
    #[error("Invalid OpenAPI input: it needs swagger \"2.0\", or openapi \"3.0.x\" or \"3.1.x\"")]
    NoVersion,
    #[error("Invalid OpenAPI input: the version {0} isn't supported; 2.0, 3.0.x and 3.1.x are")]
    Version(String),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// A document whose version is known.
#[derive(Debug)]
pub struct Document {
    root: Value,
    version: Version,
    limits: DocumentLimits,
}

impl Document {
    /// # Errors
    /// When the bytes are no such document.
    pub fn read(
        bytes: &[u8],
        limits: DocumentLimits,
        substitutes: &Substitutes<'_>,
    ) -> Result<Self, DocumentError> {
        let mut root = read_text(bytes, limits)?;
        let version = version(&root)?;
        substitute(&mut root, substitutes);
        Ok(Self { root, version, limits })
    }

    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// `info.title`, if it has one.
    #[must_use]
    pub fn title(&self) -> Option<String> {
        let title = self.root["info"]["title"].as_str()?;
        Some(title.to_owned()).filter(|title| !title.is_empty())
    }

    #[must_use]
    pub fn has_member(&self, name: &str) -> bool {
        self.root.get(name).is_some()
    }

    pub(super) fn limits(&self) -> DocumentLimits {
        self.limits
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node { value: &self.root, place: Place::default() }
    }

    /// What the node refers to, or the node; the inner error says what is wrong with the reference. A reference costs
    /// what it repeats.
    ///
    /// # Errors
    /// When the budget is spent.
    pub(super) fn resolve<'d>(
        &'d self,
        node: &Node<'d>,
        budget: &mut Budget,
    ) -> Result<Result<Node<'d>, String>, TooLarge> {
        let mut node = node.clone();
        for _ in 0..HOPS_MAX {
            let Some(reference) = node.value.get("$ref") else { return Ok(Ok(node)) };
            let Some(pointer) = reference.as_str() else { return Ok(Err("$ref has to be text".to_owned())) };
            budget.spend_text(pointer)?;
            node = match self.find(pointer) {
                Ok(node) => node,
                Err(why) => return Ok(Err(why)),
            };
            budget.repeat(node.value)?;
        }
        Ok(Err("the reference leads in a circle, or through too many others".to_owned()))
    }

    /// What `#/…` points to.
    fn find(&self, reference: &str) -> Result<Node<'_>, String> {
        let outside = || format!("the reference '{reference}' leads out of the document");
        let pointer = reference.strip_prefix('#').ok_or_else(outside)?;
        let nowhere = || format!("the reference '{reference}' leads nowhere");
        // A name alone is an anchor's, of which documents have none here.
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(nowhere());
        }
        let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
        let mut node = self.root();
        for name in decoded.split('/').skip(1) {
            let name = name.replace("~1", "/").replace("~0", "~");
            let found = match node.value {
                Value::Array(items) => name
                    .parse()
                    .ok()
                    .and_then(|at: usize| Some(Node { value: items.get(at)?, place: node.place.item(at) })),
                _ => node.member(&name),
            };
            node = found.ok_or_else(nowhere)?;
        }
        Ok(node)
    }
}

fn version(root: &Value) -> Result<Version, DocumentError> {
    if !root.is_object() {
        return Err(DocumentError::NoObject);
    }
    let root = Node { value: root, place: Place::default() };
    let swagger = root.member("swagger").and_then(|node| node.text());
    let openapi = root.member("openapi").and_then(|node| node.text());
    match (swagger, openapi) {
        (Some(version), None) if version == "2.0" => Ok(Version::Swagger2),
        (None, Some(version)) if is_version(&version, "3.0") => Ok(Version::OpenApi30),
        (None, Some(version)) if is_version(&version, "3.1") => Ok(Version::OpenApi31),
        (None, None) | (Some(_), Some(_)) => Err(DocumentError::NoVersion),
        (Some(version), None) | (None, Some(version)) => Err(DocumentError::Version(version)),
    }
}

fn is_version(text: &str, wanted: &str) -> bool {
    text.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn substitute(value: &mut Value, substitutes: &Substitutes<'_>) {
    match value {
        Value::String(text) if text.contains("${AWS::") => {
            *text = text
                .replace("${AWS::AccountId}", substitutes.account)
                .replace("${AWS::Region}", substitutes.region)
                .replace("${AWS::Partition}", "aws");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, substitutes)),
        Value::Object(members) => members.values_mut().for_each(|member| substitute(member, substitutes)),
        _ => {}
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node<'d> {
    pub(super) value: &'d Value,
    pub(super) place: Place,
}

impl<'d> Node<'d> {
    /// The member of this name, unless it is `null`.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self { value, place: self.place.at(name) })
    }

    /// Of an object, by name; `null` says nothing.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'d str, Self)> + use<'d> {
        let place = self.place.clone();
        let members = self.value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        members.map(move |(name, value)| (name.as_str(), Node { value, place: place.at(name) }))
    }

    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(at, value)| Self { value, place: self.place.item(at) }).collect()
    }

    /// A text, or what YAML takes for a number or a truth though a text is meant.
    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// The member's text.
    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        self.member(name)?.text()
    }
}

/// What an import makes of the base path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BasePathMode {
    #[default]
    Ignore,
    /// Every path is below it.
    Prepend,
    /// Every path is below what follows its first part.
    Split,
}

impl BasePathMode {
    /// `None` when there is no such mode.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "ignore" => Self::Ignore,
            "prepend" => Self::Prepend,
            "split" => Self::Split,
            _ => return None,
        })
    }

    /// What goes before every path: empty, or `/a/b`.
    pub(super) fn prefix(self, document: &Document) -> String {
        let base = document.base_path().unwrap_or_default();
        let parts = base.split('/').filter(|part| !part.is_empty());
        let parts: Vec<&str> = match self {
            Self::Ignore => Vec::new(),
            Self::Prepend => parts.collect(),
            Self::Split => parts.skip(1).collect(),
        };
        parts.iter().map(|part| format!("/{part}")).collect()
    }
}

impl Document {
    /// `basePath` of Swagger 2; in OpenAPI 3 the first server variable of that name, or else the path of the first
    /// server's URL, as AWS has it.
    fn base_path(&self) -> Option<String> {
        if self.version == Version::Swagger2 {
            return self.root().text_of("basePath");
        }
        let servers = self.root().member("servers")?.items();
        let variable = |server: &Node<'_>| server.member("variables")?.member("basePath")?.text_of("default");
        servers.iter().find_map(variable).or_else(|| url_path(&servers.first()?.text_of("url")?))
    }

    /// AWS's extension about the API's own address: at the root, then at the first of `servers`. Either is read in all
    /// versions.
    pub(super) fn endpoint_configurations(&self) -> Vec<Node<'_>> {
        let first = self.root().member("servers").and_then(|servers| servers.items().into_iter().next());
        let places = [Some(self.root()), first];
        places.into_iter().flatten().filter_map(|place| place.member(ENDPOINT_CONFIGURATION)).collect()
    }

    /// AWS looks at the first one.
    pub(super) fn check_servers(&self, problems: &mut Problems) {
        if let Some(servers) = self.root().member("servers")
            && servers.items().len() > 1
        {
            problems.warn(&servers.place, "all servers but the first are left out");
        }
    }
}

fn url_path(url: &str) -> Option<String> {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let at = after_scheme.find('/')?;
    let path = after_scheme[at..].split(['?', '#']).next().unwrap_or("");
    Some(path.to_owned())
}

#[cfg(test)]
mod tests;
