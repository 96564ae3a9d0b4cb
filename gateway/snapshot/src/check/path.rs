//! The grammar of a route's path, for checks and for whoever compiles a routing table.

use super::{Checked, Problem, SemanticError, size, wrong};
use crate::limits::{Limits, VARIABLES_PER_ROUTE_MAX};

/// A segment of a route's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathPart<'a> {
    /// Possibly empty as the last one: `/pets/` isn't `/pets`.
    Literal(&'a str),
    /// `{name}`: one segment.
    Variable(&'a str),
    /// `{name+}`: the rest of the path, at least one segment.
    Greedy(&'a str),
}

impl<'a> PathPart<'a> {
    /// The variable's name.
    #[must_use]
    pub fn variable(self) -> Option<&'a str> {
        match self {
            Self::Literal(_) => None,
            Self::Variable(name) | Self::Greedy(name) => Some(name),
        }
    }

    /// Without the variable's name, which doesn't take part in matching.
    pub(super) fn shape(self) -> Self {
        match self {
            Self::Literal(text) => Self::Literal(text),
            Self::Variable(_) => Self::Variable(""),
            Self::Greedy(_) => Self::Greedy(""),
        }
    }
}

/// Splits a path that isn't `$default`; `/` has no parts.
///
/// # Errors
/// What in `path` isn't in the grammar: `/`-rooted, variables as whole segments, greedy only last,
/// no empty segment but the last.
pub fn path_parts(path: &str) -> Result<Vec<PathPart<'_>>, SemanticError> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(text(path, "rooted at '/'"));
    };
    if segments.is_empty() {
        return Ok(Vec::new());
    }
    let parts = segments.split('/').map(path_part).collect::<Result<Vec<_>, _>>()?;
    let before_end = &parts[..parts.len() - 1];
    if before_end.contains(&PathPart::Literal("")) {
        return Err(text(path, "free of empty segments"));
    }
    if before_end.iter().any(|part| matches!(part, PathPart::Greedy(_))) {
        return Err(wrong("path", Problem::GreedyBeforeEnd));
    }
    Ok(parts)
}

fn path_part(segment: &str) -> Result<PathPart<'_>, SemanticError> {
    if !segment.contains(['{', '}']) {
        let good = !segment.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#'));
        return if good {
            Ok(PathPart::Literal(segment))
        } else {
            Err(text(segment, "a path segment: control characters, spaces, '?' and '#' can't be in it"))
        };
    }
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or_else(|| text(segment, "a whole segment of the form {name} or {name+}"))?;
    let (name, part) = match inner.strip_suffix('+') {
        Some(name) => (name, PathPart::Greedy(name)),
        None => (inner, PathPart::Variable(inner)),
    };
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"{}/+*".contains(&b));
    if good {
        Ok(part)
    } else {
        Err(text(segment, "a variable with a name of visible ASCII without '+', '*'"))
    }
}

/// Checks a path beyond its grammar: its size, and that each variable is there once.
pub(super) fn check(path: &str, parts: &[PathPart<'_>], limits: &Limits) -> Checked {
    size("path", path.len() as u64, limits.path_bytes_max as u64)?;
    let names: Vec<_> = parts.iter().filter_map(|part| part.variable()).collect();
    super::count("path variables", names.len(), VARIABLES_PER_ROUTE_MAX)?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(wrong("path variables", Problem::Duplicate { found: (*name).to_owned() }));
        }
    }
    Ok(())
}

fn text(found: &str, expected: &'static str) -> SemanticError {
    wrong("path", Problem::Text { found: found.to_owned(), expected })
}
