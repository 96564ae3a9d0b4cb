//! `patchOperations`: RFC 6902's list of changes, of which AWS takes `add`, `replace` and `remove`, each on some paths.

use super::super::error::ApiError;
use super::super::members::Members;

const OPERATIONS_MAX: usize = 100;
const PATH_CHARS_MAX: usize = 1_024;
const VALUE_CHARS_MAX: usize = 65_536;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) op: Op,
    /// A JSON pointer (RFC 6901), as it was written.
    pub(super) path: String,
    /// Empty for a removal.
    pub(super) value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// `add` and `replace`: on members, AWS tells them apart by which of them it takes.
    Set,
    Remove,
}

/// The body's operations, in order; it has no other member.
///
/// # Errors
/// When one isn't well-formed.
pub(super) fn take(mut members: Members) -> Result<Vec<Patch>, ApiError> {
    let operations = members.objects("patchOperations")?.unwrap_or_default();
    members.finish()?;
    if operations.len() > OPERATIONS_MAX {
        return Err(ApiError::bad_request(format!("There can be at most {OPERATIONS_MAX} patchOperations")));
    }
    operations.into_iter().map(take_one).collect()
}

fn take_one(mut members: Members) -> Result<Patch, ApiError> {
    let op = members.required("op", PATH_CHARS_MAX)?;
    let path = members.required("path", PATH_CHARS_MAX)?;
    let value = members.string("value", VALUE_CHARS_MAX)?;
    members.string("from", PATH_CHARS_MAX)?;
    let name = members.full("value");
    members.finish()?;
    let op = match op.as_str() {
        "add" | "replace" => Op::Set,
        "remove" => Op::Remove,
        "move" | "copy" | "test" => return Err(ApiError::unsupported(format!("The patch operation '{op}'"))),
        other => return Err(ApiError::bad_request(format!("Invalid patch operation '{other}' specified"))),
    };
    match (op, value) {
        (Op::Set, None) => Err(ApiError::bad_request(format!("{name} is required"))),
        (_, value) => Ok(Patch { op, path, value: value.unwrap_or_default() }),
    }
}

impl Patch {
    /// The value, of at most `chars_max` characters.
    pub(super) fn text(&self, chars_max: usize) -> Result<String, ApiError> {
        match self.value.chars().count() {
            chars if chars > chars_max => {
                Err(ApiError::bad_request(format!("{} can have at most {chars_max} characters", self.path)))
            }
            _ => Ok(self.value.clone()),
        }
    }

    /// The value as AWS writes truth: in words.
    pub(super) fn boolean(&self) -> Result<bool, ApiError> {
        match self.value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => {
                Err(ApiError::bad_request(format!("{} has to be true or false, not '{other}'", self.path)))
            }
        }
    }

    /// The error for a path that can't be changed this way.
    pub(super) fn refused(&self, known: &[&str]) -> ApiError {
        let op = match self.op {
            Op::Set => "replace",
            Op::Remove => "remove",
        };
        let (path, known) = (&self.path, known.join(", "));
        ApiError::bad_request(format!(
            "Invalid patch path '{path}' specified for op '{op}'. Must be one of: [{known}]"
        ))
    }

    /// What follows `prefix` in the path, unescaped (RFC 6901 3).
    pub(super) fn below(&self, prefix: &str) -> Option<String> {
        let name = self.path.strip_prefix(prefix).filter(|name| !name.is_empty() && !name.contains('/'))?;
        Some(name.replace("~1", "/").replace("~0", "~"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Vec<Patch>, ApiError> {
        take(Members::parse(body.as_bytes())?)
    }

    #[test]
    fn operations_are_read_in_order() {
        let body = r#"{"patchOperations":[{"op":"replace","path":"/name","value":"a"},
                                          {"op":"remove","path":"/variables/a~1b~01"}]}"#;
        let patches = parse(body).expect("valid");
        assert_eq!(
            (patches[0].op, patches[0].path.as_str(), patches[0].value.as_str()),
            (Op::Set, "/name", "a")
        );
        assert_eq!((patches[1].op, patches[1].below("/variables/").as_deref()), (Op::Remove, Some("a/b~1")));
        assert_eq!(patches[0].below("/variables/"), None);
        assert_eq!(parse("{}"), Ok(Vec::new()));
    }

    #[test]
    fn mistakes_are_named() {
        for (body, expected) in [
            (r#"{"patchOperations":[{"op":"replace","path":"/x"}]}"#, "patchOperations[0].value is required"),
            (r#"{"patchOperations":[{"path":"/x","value":""}]}"#, "patchOperations[0].op is required"),
            (r#"{"patchOperations":[{"op":"test","path":"/x"}]}"#, "'test' is not supported"),
            (r#"{"patchOperations":[{"op":"put","path":"/x"}]}"#, "'put'"),
            (r#"{"patchOperations":{}}"#, "a list of objects"),
            (r#"{"patch":[]}"#, "'patch'"),
        ] {
            let error = parse(body).expect_err(body);
            assert!(error.status == 400 && error.message.contains(expected), "{body}: {error}");
        }
    }
}
