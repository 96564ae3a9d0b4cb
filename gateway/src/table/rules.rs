//! A custom domain's routing rules, looked at in the order of their priorities before its mappings.
//! (AWS: routing rules to connect API stages to a custom domain name.)

use std::sync::Arc;

use turnpike_http::Header;
use turnpike_snapshot::{HeaderMatch, RoutingRule};

use super::{Address, AddressError, Stage, below, rooted};

/// A request's header lines, for domains that have rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderLines<'h> {
    pub(crate) lines: &'h [Header],
    /// What the lines' spans are of.
    pub(crate) bytes: &'h [u8],
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Box<str>,
    /// Each has to hold, which one of its matches does.
    conditions: Box<[Box<[Match]>]>,
    /// Longest first.
    base_paths: Box<[Box<str>]>,
    strip_base_path: bool,
    /// `None` isn't served: what matches is refused, and never another rule's.
    stage: Option<Arc<Stage>>,
}

#[derive(Debug)]
struct Match {
    /// Lower case.
    name: Box<str>,
    value: Glob,
}

/// A value with `*` at its ends at most.
#[derive(Debug, PartialEq, Eq)]
enum Glob {
    Is(Box<[u8]>),
    Begins(Box<[u8]>),
    Ends(Box<[u8]>),
    Contains(Box<[u8]>),
}

impl Rule {
    pub(super) fn compile(rule: &RoutingRule, stage: Option<Arc<Stage>>) -> Self {
        let mut base_paths: Vec<Box<str>> = rule.base_paths.iter().map(|path| path.as_str().into()).collect();
        base_paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        let conditions =
            rule.headers.iter().map(|condition| condition.any_of.iter().map(Match::compile).collect());
        Self {
            id: rule.id.as_str().into(),
            conditions: conditions.collect(),
            base_paths: base_paths.into(),
            strip_base_path: rule.strip_base_path,
            stage,
        }
    }

    /// Where it leads the request, if it is one of its own.
    pub(super) fn address<'t, 'p>(
        &'t self,
        path: &'p str,
        headers: HeaderLines<'_>,
    ) -> Option<Result<Address<'t, 'p>, AddressError>> {
        let (base_path, rest) = self.base_path_of(path)?;
        let holds = |condition: &[Match]| condition.iter().any(|wanted| wanted.is_in(headers));
        if !self.conditions.iter().all(|condition| holds(condition)) {
            return None;
        }
        let Some(stage) = &self.stage else { return Some(Err(AddressError::ApiUnknown)) };
        let path = if self.strip_base_path { rooted(rest) } else { path };
        Some(Ok(Address { stage, path, base_path, rule: Some(&self.id), demand: None }))
    }

    /// The base path that leads the path, and what is below it; of a rule without base paths, the path as it is.
    fn base_path_of<'t, 'p>(&'t self, path: &'p str) -> Option<(Option<&'t str>, &'p str)> {
        if self.base_paths.is_empty() {
            return Some((None, path));
        }
        self.base_paths.iter().find_map(|key| Some((Some(&**key), below(key, path)?)))
    }
}

impl Match {
    fn compile(wanted: &HeaderMatch) -> Self {
        Self { name: wanted.name.as_str().into(), value: Glob::compile(&wanted.value_glob) }
    }

    /// Whether a line of this name has such a value.
    fn is_in(&self, headers: HeaderLines<'_>) -> bool {
        headers.lines.iter().any(|line| {
            line.name_span.of(headers.bytes).eq_ignore_ascii_case(self.name.as_bytes())
                && self.value.matches(line.value_span.of(headers.bytes))
        })
    }
}

impl Glob {
    fn compile(glob: &str) -> Self {
        let bytes = |text: &str| text.as_bytes().into();
        match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
            (None, None) => Self::Is(bytes(glob)),
            (None, Some(start)) => Self::Begins(bytes(start)),
            (Some(end), None) => Self::Ends(bytes(end)),
            // `*` alone is both ends at once.
            (Some(rest), Some(_)) => Self::Contains(bytes(rest.strip_suffix('*').unwrap_or_default())),
        }
    }

    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Is(wanted) => *value == **wanted,
            Self::Begins(wanted) => value.starts_with(wanted),
            Self::Ends(wanted) => value.ends_with(wanted),
            Self::Contains(wanted) if wanted.is_empty() => true,
            Self::Contains(wanted) => value.windows(wanted.len()).any(|part| *part == **wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, matching, others) in [
            ("a", &["a"][..], &["", "A", "aa", "a*"][..]),
            ("a*", &["a", "ab", "a*"], &["", "ba", "A"]),
            ("*a", &["a", "ba"], &["", "ab", "A"]),
            ("*ab*", &["ab", "xab", "abx", "xabx"], &["", "a", "aXb", "AB"]),
            ("*", &["", "anything"], &[]),
            ("**", &["", "anything"], &[]),
        ] {
            let compiled = Glob::compile(glob);
            assert!(matching.iter().all(|value| compiled.matches(value.as_bytes())), "{glob}");
            assert!(others.iter().all(|value| !compiled.matches(value.as_bytes())), "{glob}");
        }
    }
}
