//! An HTTP API's route key: `$default`, or a method and a path such as `GET /pets/{id}`.

use serde::{Deserialize, Serialize};
use turnpike_snapshot::VARIABLES_PER_ROUTE_MAX;

use super::path_part::{PathPart, variable};

/// The methods that a route or a REST method can name; `ANY` stands for all.
pub const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// An arbitrary bound, below the gateway's own on paths.
const ROUTE_KEY_BYTES_MAX: usize = 4_096;

/// A checked route key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RouteKey {
    Default,
    Path {
        /// One of [`METHODS`].
        method: String,
        /// As the user wrote it.
        path: String,
    },
}

/// The message is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The provided route key is not formatted properly for HTTP protocol: '{key}': {why}")]
pub struct RouteKeyError {
    key: String,
    why: &'static str,
}

impl RouteKey {
    /// # Errors
    /// When `text` isn't a route key.
    pub fn parse(text: &str) -> Result<Self, RouteKeyError> {
        Self::read(text).map_err(|why| RouteKeyError { key: text.chars().take(200).collect(), why })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > ROUTE_KEY_BYTES_MAX {
            return Err("it is longer than 4,096 bytes");
        }
        if text == "$default" {
            return Ok(Self::Default);
        }
        let (method, path) =
            text.split_once(' ').ok_or("write $default, or a method, one space and a path")?;
        if !METHODS.contains(&method) {
            return Err("the method has to be GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or ANY");
        }
        check_path(path)?;
        Ok(Self::Path { method: method.to_owned(), path: path.to_owned() })
    }

    /// Equal for two keys that no request could tell apart: `GET /{a}` and `GET /{b}`.
    #[must_use]
    pub fn shape(&self) -> String {
        let Self::Path { method, path } = self else {
            return self.to_string();
        };
        let segments = path.split('/').map(|segment| match part_of(segment) {
            Some(PathPart::Variable(_)) => "{}",
            Some(PathPart::Greedy(_)) => "{+}",
            Some(PathPart::Literal(_)) | None => segment,
        });
        format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
    }

    /// The path's variables, the greedy one without its `+`.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        match self {
            Self::Default => Vec::new(),
            Self::Path { path, .. } => path_variables(path),
        }
    }
}

/// The variables of a checked path, the greedy one without its `+`.
#[must_use]
pub fn path_variables(path: &str) -> Vec<&str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.strip_suffix('+').unwrap_or(name))
        .collect()
}

impl std::fmt::Display for RouteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("$default"),
            Self::Path { method, path } => write!(f, "{method} {path}"),
        }
    }
}

impl TryFrom<String> for RouteKey {
    type Error = RouteKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RouteKey> for String {
    fn from(key: RouteKey) -> Self {
        key.to_string()
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let rest = path.strip_prefix('/').ok_or("the path has to begin with '/'")?;
    let segments: Vec<&str> = rest.split('/').collect();
    let last = segments.len() - 1;
    let mut names = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        match part_of(segment) {
            // `/` and a slash at the end are paths of their own.
            None if segment.is_empty() && at == last => {}
            None if segment.is_empty() => return Err("the path has an empty segment"),
            None => return Err("a variable has to be a whole segment: {name}, or {name+} at the end"),
            Some(PathPart::Greedy(_)) if at != last => return Err("a greedy variable has to come last"),
            Some(PathPart::Greedy(name) | PathPart::Variable(name)) => names.push(name),
            Some(PathPart::Literal(text)) => check_literal(&text)?,
        }
    }
    if names.len() > VARIABLES_PER_ROUTE_MAX {
        return Err("the path has more than 25 variables");
    }
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a variable's name comes twice in the path");
    }
    Ok(())
}

/// `None` when the segment is empty or has a brace where none may be.
fn part_of(segment: &str) -> Option<PathPart> {
    match segment.strip_prefix('{') {
        Some(rest) => variable(rest),
        None if segment.is_empty() || segment.contains(['{', '}']) => None,
        None => Some(PathPart::Literal(segment.to_owned())),
    }
}

/// RFC 3986's pchar; a dot segment would be resolved away before it could match.
fn check_literal(text: &str) -> Result<(), &'static str> {
    if text == "." || text == ".." {
        return Err("the path has a dot segment");
    }
    if super::uri::is_encoded(text, b":@!$&'()*+,;=") {
        return Ok(());
    }
    Err("the path has a character that a URL path can't have: percent-encode it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_route_keys() {
        for text in [
            "$default",
            "GET /",
            "ANY /{proxy+}",
            "POST /pets/{petId}/toys",
            "GET /pets/",
            "PUT /a%20b/@x:y",
            "GET /files/{path+}",
        ] {
            assert_eq!(RouteKey::parse(text).map(|k| k.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        let table = [
            ("", "$default"),
            ("GET", "one space"),
            ("$connect", "one space"),
            ("get /", "method"),
            ("TRACE /", "method"),
            ("GET  /", "begin with"),
            ("GET pets", "begin with"),
            ("GET //", "empty segment"),
            ("GET /a//b", "empty segment"),
            ("GET /{proxy+}/x", "come last"),
            ("GET /{a}/{a}", "twice"),
            ("GET /x{a}", "whole segment"),
            ("GET /{}", "whole segment"),
            ("GET /{a", "whole segment"),
            ("GET /a b", "percent-encode"),
            ("GET /a?x=1", "percent-encode"),
            ("GET /a%2", "percent-encode"),
            ("GET /é", "percent-encode"),
            ("GET /../x", "dot segment"),
        ];
        for (text, expected) in table {
            let error = RouteKey::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert!(RouteKey::parse(&format!("GET /{}", "x".repeat(5_000))).is_err());
        let variables = |n: usize| (0..n).map(|n| format!("/{{v{n}}}")).collect::<String>();
        assert!(RouteKey::parse(&format!("GET {}", variables(VARIABLES_PER_ROUTE_MAX))).is_ok());
        let error = RouteKey::parse(&format!("GET {}", variables(VARIABLES_PER_ROUTE_MAX + 1)));
        let named = format!("more than {VARIABLES_PER_ROUTE_MAX} variables");
        assert!(error.expect_err("too many").to_string().contains(&named));
    }

    #[test]
    fn shapes_ignore_the_names_of_variables() {
        let shape = |text: &str| RouteKey::parse(text).expect("a route key").shape();
        assert_eq!(shape("GET /a/{x}"), shape("GET /a/{y}"));
        assert_ne!(shape("GET /a/{x}"), shape("GET /a/{x+}"));
        assert_ne!(shape("GET /a/{x}"), shape("POST /a/{x}"));
        assert_ne!(shape("GET /a"), shape("GET /a/"));
    }

    #[test]
    fn lists_variables() {
        let key = RouteKey::parse("GET /a/{x}/b/{rest+}").expect("a route key");
        assert_eq!(key.variables(), ["x", "rest"]);
        assert!(RouteKey::Default.variables().is_empty());
    }
}
