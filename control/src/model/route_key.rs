//! A route key: of an HTTP API `$default`, or a method and a path such as `GET /pets/{id}`; of a WebSocket API what a
//! message's selection expression yields, or a predefined key.

use serde::{Deserialize, Serialize};
use turnpike_snapshot::VARIABLES_PER_ROUTE_MAX;

use super::path_part::{PathPart, variable};

/// The methods that a route or a REST method can name; `ANY` stands for all.
pub const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// An arbitrary bound, below the gateway's own on paths.
const ROUTE_KEY_BYTES_MAX: usize = 4_096;

/// Keys that a WebSocket API has beside its own.
const PREDEFINED: [&str; 3] = ["$connect", "$disconnect", "$default"];
const CONNECT: &str = "$connect";

/// A checked route key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredKey", into = "StoredKey")]
pub enum RouteKey {
    Default,
    /// Of a WebSocket API.
    Message(String),
    Path {
        /// One of [`METHODS`].
        method: String,
        /// As the user wrote it.
        path: String,
    },
}

/// The message is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The provided route key is not formatted properly for {protocol} protocol: '{key}': {why}")]
pub struct RouteKeyError {
    key: String,
    protocol: &'static str,
    why: &'static str,
}

/// The two kinds of key are kept apart, since a WebSocket API's may look like the other.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredKey {
    Http(String),
    Message { message: String },
}

impl RouteKey {
    /// # Errors
    /// When `text` isn't a route key.
    pub fn parse(text: &str) -> Result<Self, RouteKeyError> {
        Self::read(text).map_err(|why| RouteKeyError { key: shortened(text), protocol: "HTTP", why })
    }

    /// # Errors
    /// When `text` isn't a WebSocket API's route key.
    pub fn parse_message(text: &str) -> Result<Self, RouteKeyError> {
        check_message(text).map_err(|why| RouteKeyError {
            key: shortened(text),
            protocol: "WEBSOCKET",
            why,
        })?;
        Ok(Self::Message(text.to_owned()))
    }

    /// Whether it is the route of new WebSocket connections, the one that can be protected.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Message(key) if key == CONNECT)
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
            Self::Default | Self::Message(_) => Vec::new(),
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
            Self::Message(key) => f.write_str(key),
            Self::Path { method, path } => write!(f, "{method} {path}"),
        }
    }
}

impl TryFrom<StoredKey> for RouteKey {
    type Error = RouteKeyError;

    fn try_from(stored: StoredKey) -> Result<Self, Self::Error> {
        match stored {
            StoredKey::Http(text) => Self::parse(&text),
            StoredKey::Message { message } => Self::parse_message(&message),
        }
    }
}

impl From<RouteKey> for StoredKey {
    fn from(key: RouteKey) -> Self {
        match key {
            RouteKey::Message(message) => Self::Message { message },
            RouteKey::Default | RouteKey::Path { .. } => Self::Http(key.to_string()),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn check_message(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > ROUTE_KEY_BYTES_MAX {
        return Err("it has to have 1 to 4,096 bytes");
    }
    if text.starts_with('$') && !PREDEFINED.contains(&text) {
        return Err("of the keys that begin with '$' there are $connect, $disconnect and $default");
    }
    match text.chars().any(char::is_control) {
        true => Err("it has a control character"),
        false => Ok(()),
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

    #[test]
    fn message_keys_are_kept_apart() {
        for text in ["$connect", "$disconnect", "$default", "join", "GET /{a}", "é", "a b"] {
            let key = RouteKey::parse_message(text).expect(text);
            assert_eq!((key.to_string(), key.shape()), (text.to_owned(), text.to_owned()));
            assert!(key.variables().is_empty());
            let stored = serde_json::to_string(&key).expect("JSON");
            assert_eq!(serde_json::from_str::<RouteKey>(&stored).expect(&stored), key);
        }
        let http = RouteKey::parse("GET /{a}").expect("a route key");
        assert_eq!(serde_json::to_string(&http).expect("JSON"), "\"GET /{a}\"");
        for text in ["", "$other", "a\nb", &"x".repeat(4_097)] {
            let error = RouteKey::parse_message(text).expect_err(text).to_string();
            assert!(error.contains("WEBSOCKET"), "{error}");
        }
        assert!(RouteKey::parse_message("$connect").expect("predefined").is_connect());
        assert!(!RouteKey::parse_message("$default").expect("predefined").is_connect());
    }
}
