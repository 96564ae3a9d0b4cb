//! A REST resource's path part: `pets`, `{id}` or `{proxy+}`.

/// One segment of a resource's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPart {
    Literal(String),
    Variable(String),
    /// Takes the whole rest of the path; has no children.
    Greedy(String),
}

/// The message is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPartError {
    #[error(
        "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end: '{0}'"
    )]
    Malformed(String),
    #[error("Resource's path part has {bytes} bytes, the limit is {bytes_max}")]
    TooLong { bytes: usize, bytes_max: usize },
}

/// An arbitrary bound, far above what a path in use has.
const PATH_PART_BYTES_MAX: usize = 256;

impl PathPart {
    /// # Errors
    /// When `text` isn't a path part.
    pub fn parse(text: &str) -> Result<Self, PathPartError> {
        if text.len() > PATH_PART_BYTES_MAX {
            return Err(PathPartError::TooLong { bytes: text.len(), bytes_max: PATH_PART_BYTES_MAX });
        }
        let malformed = || PathPartError::Malformed(text.to_owned());
        match text.strip_prefix('{') {
            None if is_literal(text) => Ok(Self::Literal(text.to_owned())),
            None => Err(malformed()),
            Some(rest) => variable(rest).ok_or_else(malformed),
        }
    }

    #[must_use]
    pub fn is_variable(&self) -> bool {
        !matches!(self, Self::Literal(_))
    }

    /// A variable's name.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Variable(name) | Self::Greedy(name) => Some(name),
        }
    }
}

/// The variable whose opening brace has been taken off.
pub(super) fn variable(rest: &str) -> Option<PathPart> {
    let inner = rest.strip_suffix('}')?;
    let part = match inner.strip_suffix('+') {
        Some(name) => PathPart::Greedy(name.to_owned()),
        None => PathPart::Variable(inner.to_owned()),
    };
    part.variable().is_some_and(is_variable_name).then_some(part)
}

fn is_literal(text: &str) -> bool {
    // A dot segment would be resolved away by every client on the path.
    let dots = text == "." || text == "..";
    !text.is_empty() && !dots && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b))
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_path_parts() {
        assert_eq!(PathPart::parse("pets"), Ok(PathPart::Literal("pets".to_owned())));
        assert_eq!(PathPart::parse("v1.0:x_-"), Ok(PathPart::Literal("v1.0:x_-".to_owned())));
        assert_eq!(PathPart::parse("{id}"), Ok(PathPart::Variable("id".to_owned())));
        assert_eq!(PathPart::parse("{proxy+}"), Ok(PathPart::Greedy("proxy".to_owned())));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "", "a/b", "a b", "{", "}", "{}", "{+}", "{id", "id}", "x{id}", "{id}x", "{{id}}", "{i d}", "é",
            "a%20b", "..", ".", "{a+b}", "{a++}",
        ] {
            assert!(matches!(PathPart::parse(text), Err(PathPartError::Malformed(_))), "{text:?}");
        }
        assert!(matches!(PathPart::parse(&"x".repeat(257)), Err(PathPartError::TooLong { .. })));
    }
}
