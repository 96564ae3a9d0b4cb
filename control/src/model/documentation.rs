//! A REST API's documentation: parts that each say something of one place in the API, and versions that froze all of
//! them. Source: AWS's developer guide, "Representation of API documentation".

use serde::{Deserialize, Serialize};

use super::Part;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentationPart {
    pub id: String,
    /// Unique among the parts of the API.
    pub location: DocumentationLocation,
    /// A JSON object, as it was written.
    pub properties: String,
}

/// What a part is about: its type, and as many of the other fields as that type has, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentationLocation {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "statusCode")]
    pub status_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What there was to say of an API at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentationVersion {
    /// Also its identifier.
    pub version: String,
    pub description: Option<String>,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

/// What a version froze, kept apart so that listing versions doesn't read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentationSnapshot {
    pub version: String,
    pub parts: Vec<DocumentationPart>,
}

/// Which fields beside the type a location has.
#[derive(Debug, Clone, Copy)]
struct Fields {
    kind: &'static str,
    path: bool,
    method: bool,
    status_code: bool,
    name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Never,
    Perhaps,
    Always,
}

const FIELDS: [Fields; 12] = [
    fields("API", 0, Name::Never),
    fields("AUTHORIZER", 0, Name::Always),
    fields("METHOD", 2, Name::Never),
    fields("MODEL", 0, Name::Always),
    fields("PATH_PARAMETER", 2, Name::Always),
    fields("QUERY_PARAMETER", 2, Name::Always),
    fields("REQUEST_BODY", 2, Name::Perhaps),
    fields("REQUEST_HEADER", 2, Name::Always),
    fields("RESOURCE", 1, Name::Never),
    fields("RESPONSE", 3, Name::Never),
    fields("RESPONSE_BODY", 3, Name::Never),
    fields("RESPONSE_HEADER", 3, Name::Always),
];

/// `depth`: nothing, the path, the method too, the status too.
const fn fields(kind: &'static str, depth: u8, name: Name) -> Fields {
    Fields { kind, path: depth > 0, method: depth > 1, status_code: depth > 2, name }
}

const METHODS: [&str; 9] = ["*", "ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The names of all types.
pub fn documentation_kinds() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|fields| fields.kind)
}

impl DocumentationLocation {
    /// A location of this type and nothing more; [`Self::complete`] makes it one.
    #[must_use]
    pub fn of_kind(kind: &str) -> Self {
        Self { kind: kind.to_owned(), path: None, method: None, status_code: None, name: None }
    }

    /// Fills in the defaults.
    ///
    /// # Errors
    /// Says which field the type needs or can't have, or what a field has to look like.
    pub fn complete(self) -> Result<Self, String> {
        let known = || documentation_kinds().collect::<Vec<_>>().join(", ");
        let fields = FIELDS.iter().find(|fields| fields.kind == self.kind);
        let fields = fields.ok_or_else(|| {
            format!("The documentation part's type has to be one of {}, not '{}'", known(), self.kind)
        })?;
        let kind = &self.kind;
        let field = |name: &str, has: bool, value: Option<String>, default: &str| match (has, filled(value)) {
            (true, value) => Ok(Some(value.unwrap_or_else(|| default.to_owned()))),
            (false, None) => Ok(None),
            (false, Some(value)) => {
                Err(format!("A documentation part of type {kind} can't have a {name}, such as '{value}'"))
            }
        };
        let name = match (fields.name, filled(self.name)) {
            (Name::Always, None) => return Err(format!("A documentation part of type {kind} needs a name")),
            (Name::Never, name) => field("name", false, name, "")?,
            (_, name) => name,
        };
        let complete = Self {
            path: field("path", fields.path, self.path, "/")?,
            method: field("method", fields.method, self.method, "*")?,
            status_code: field("statusCode", fields.status_code, self.status_code, "*")?,
            name,
            kind: self.kind.clone(),
        };
        complete.check()?;
        Ok(complete)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(path) = self.path.as_ref().filter(|path| !path.starts_with('/')) {
            return Err(format!("The documentation part's path has to begin with '/', not '{path}'"));
        }
        if [&self.path, &self.name].into_iter().flatten().any(|text| text.contains(char::is_control)) {
            return Err("The documentation part's path and name can't have control characters".to_owned());
        }
        if let Some(method) = self.method.as_ref().filter(|method| !METHODS.contains(&method.as_str())) {
            let methods = METHODS.join(", ");
            return Err(format!(
                "The documentation part's method has to be one of {methods}, not '{method}'"
            ));
        }
        let is_status = |code: &str| {
            code == "*"
                || code.len() == 3 && code.parse().is_ok_and(|status: u16| (100..600).contains(&status))
        };
        match self.status_code.as_ref().filter(|code| !is_status(code)) {
            None => Ok(()),
            Some(code) => {
                Err(format!("The documentation part's statusCode has to be 100 to 599 or '*', not '{code}'"))
            }
        }
    }

    /// Tells it from every other location of an API.
    #[must_use]
    pub fn key(&self) -> String {
        let fields = [&self.path, &self.method, &self.status_code, &self.name];
        let texts = fields.map(|field| field.as_deref().unwrap_or(""));
        // None has a line break.
        format!("{}\n{}", self.kind, texts.join("\n"))
    }
}

fn filled(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}

impl std::fmt::Display for DocumentationLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "type '{}'", self.kind)?;
        let fields = [
            ("path", &self.path),
            ("method", &self.method),
            ("statusCode", &self.status_code),
            ("name", &self.name),
        ];
        fields
            .iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
            .try_for_each(|(name, value)| write!(f, ", {name} '{value}'"))
    }
}

impl Part for DocumentationPart {
    const KIND: &'static str = "rest-documentation-part";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(self.location.key())
    }
}

impl Part for DocumentationVersion {
    const KIND: &'static str = "rest-documentation-version";

    fn id(&self) -> &str {
        &self.version
    }
}

impl Part for DocumentationSnapshot {
    const KIND: &'static str = "rest-documentation-snapshot";

    fn id(&self) -> &str {
        &self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(kind: &str, path: &str, method: &str, status: &str, name: &str) -> DocumentationLocation {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        DocumentationLocation {
            kind: kind.to_owned(),
            path: text(path),
            method: text(method),
            status_code: text(status),
            name: text(name),
        }
    }

    #[test]
    fn defaults_are_filled_in() {
        for (given, complete) in [
            (location("API", "", "", "", ""), location("API", "", "", "", "")),
            (location("RESOURCE", "", "", "", ""), location("RESOURCE", "/", "", "", "")),
            (location("METHOD", "/a", "", "", ""), location("METHOD", "/a", "*", "", "")),
            (location("RESPONSE", "", "GET", "", ""), location("RESPONSE", "/", "GET", "*", "")),
            (
                location("RESPONSE_HEADER", "", "", "200", "x"),
                location("RESPONSE_HEADER", "/", "*", "200", "x"),
            ),
            (location("REQUEST_BODY", "", "", "", ""), location("REQUEST_BODY", "/", "*", "", "")),
        ] {
            assert_eq!(given.complete(), Ok(complete.clone()));
            assert_eq!(complete.clone().complete(), Ok(complete));
        }
    }

    #[test]
    fn fields_that_a_type_has_not_are_refused() {
        for (given, expected) in [
            (location("PAGE", "", "", "", ""), "'PAGE'"),
            (location("API", "/", "", "", ""), "can't have a path"),
            (location("RESOURCE", "/", "GET", "", ""), "can't have a method"),
            (location("METHOD", "/", "GET", "200", ""), "can't have a statusCode"),
            (location("RESPONSE", "/", "GET", "200", "x"), "can't have a name"),
            (location("MODEL", "", "", "", ""), "needs a name"),
            (location("QUERY_PARAMETER", "/", "GET", "", ""), "needs a name"),
            (location("RESOURCE", "a", "", "", ""), "begin with '/'"),
            (location("METHOD", "/", "get", "", ""), "'get'"),
            (location("RESPONSE_HEADER", "/a\nGET", "*", "200", "x"), "control characters"),
            (location("RESPONSE_HEADER", "/a", "GET", "*", "200\nx"), "control characters"),
            (location("RESPONSE", "/", "GET", "2XX", ""), "'2XX'"),
            (location("RESPONSE", "/", "GET", "600", ""), "'600'"),
        ] {
            let error = given.complete().expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn keys_tell_locations_apart() {
        let all = [
            location("METHOD", "/a", "GET", "", ""),
            location("METHOD", "/a", "*", "", ""),
            location("METHOD", "/", "GET", "", ""),
            location("RESPONSE", "/a", "GET", "", ""),
            location("RESPONSE_HEADER", "/a", "GET", "", "200"),
            location("RESPONSE_HEADER", "/a", "GET", "200", ""),
        ];
        let keys: std::collections::HashSet<String> = all.iter().map(DocumentationLocation::key).collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(all[0].to_string(), "type 'METHOD', path '/a', method 'GET'");
    }
}
