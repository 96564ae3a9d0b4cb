//! `patchOperations`: RFC 6902's list of changes. Each entity has a table of the paths that can be changed, the operations
//! that AWS takes on each ('Patch Operations' in its API reference), and what they do; all else is refused in AWS's words.
//!
//! Operations are applied in order, to a copy: one that fails leaves nothing changed. What the result has to fulfil as a
//! whole is looked at after the last one. `test` and `move`, which AWS names and takes nowhere, work on every path of a
//! table, as the RFC has them.

mod pointer;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::super::error::ApiError;
use super::super::members::Members;
use pointer::Pointer;

/// Arbitrary; Terraform takes all stages of a usage plan away and adds them again in one call.
const OPERATIONS_MAX: usize = 1_000;
const PATH_CHARS_MAX: usize = 2_048;
/// The longest text that any table takes: a model's schema.
const VALUE_CHARS_MAX: usize = 409_600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Remove,
    Move,
    Test,
    Replace,
    Copy,
}

/// The sets of operations that tables use.
pub(super) const COPY: &[Op] = &[Op::Copy];
pub(super) const ADD: &[Op] = &[Op::Add];
pub(super) const REPLACE: &[Op] = &[Op::Replace];
pub(super) const REMOVE: &[Op] = &[Op::Remove];
pub(super) const ADD_REMOVE: &[Op] = &[Op::Add, Op::Remove];
pub(super) const ADD_REPLACE: &[Op] = &[Op::Add, Op::Replace];
pub(super) const REPLACE_REMOVE: &[Op] = &[Op::Replace, Op::Remove];
pub(super) const ADD_REPLACE_REMOVE: &[Op] = &[Op::Add, Op::Replace, Op::Remove];

/// What of an entity can be changed, and how.
pub(super) struct Table<E: 'static> {
    /// AWS's name of the call's input, as its validation says it: `updateRestApiInput`.
    pub(super) input: &'static str,
    pub(super) wording: Wording<E>,
    /// The first that fits a path and an operation counts.
    pub(super) rules: &'static [Rule<E>],
}

pub(super) struct Rule<E: 'static> {
    path: &'static str,
    ops: &'static [Op],
    apply: Apply<E>,
}

/// What a patch that fits the rule does.
pub(super) type Apply<E> = fn(&mut E, &Patch) -> Result<(), ApiError>;

/// Where a segment of the path is in braces (`/variables/{name}`), any can stand.
pub(super) const fn rule<E>(path: &'static str, ops: &'static [Op], apply: Apply<E>) -> Rule<E> {
    Rule { path, ops, apply }
}

/// How AWS refuses what the table doesn't have: that differs from entity to entity.
pub(super) enum Wording<E: 'static> {
    /// Naming the paths that the operation has.
    Listed,
    /// Naming the path, or the operations that the path has.
    Bare,
    Own(fn(&E, &Patch) -> ApiError),
}

/// One change, about to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    /// `Add`, `Replace`, `Remove` or `Copy`, as the rule takes it.
    pub(super) op: Op,
    path: Pointer,
    from: Option<Pointer>,
    value: Option<String>,
    /// What the segments in braces are, unescaped.
    names: Vec<String>,
}

/// Applies the body's operations to the entity. `shown` is the entity as its answer shows it, which `test` and `move` read.
///
/// # Errors
/// When one isn't well-formed, isn't in the table, or can't be applied.
pub(super) fn apply<E>(
    table: &Table<E>,
    entity: &mut E,
    members: Members,
    shown: impl Fn(&E) -> Value,
) -> Result<(), ApiError> {
    // What is shown, until something is changed.
    let mut known: Option<Value> = None;
    for patch in take(members, table.input)? {
        match patch.op {
            Op::Test => table.test(entity, &patch, known.get_or_insert_with(|| shown(entity)))?,
            Op::Move => {
                let known = known.take().unwrap_or_else(|| shown(entity));
                table.relocate(entity, patch, &known)?;
            }
            Op::Add | Op::Remove | Op::Replace | Op::Copy => {
                known = None;
                table.apply(entity, patch)?;
            }
        }
    }
    Ok(())
}

/// The body's operations, in order; it has no other member.
fn take(mut members: Members, input: &str) -> Result<Vec<Patch>, ApiError> {
    let operations = members.objects("patchOperations")?.unwrap_or_default();
    members.finish()?;
    if operations.len() > OPERATIONS_MAX {
        return Err(ApiError::bad_request(format!("There can be at most {OPERATIONS_MAX} patchOperations")));
    }
    let mut read = Vec::with_capacity(operations.len());
    let mut unknown = Vec::new();
    for (at, operation) in operations.into_iter().enumerate() {
        let (op, patch) = take_one(operation)?;
        match Op::named(&op) {
            Some(op) => read.push(Patch { op, ..patch }),
            None => unknown.push(unknown_op(input, at + 1, &op)),
        }
    }
    match unknown.len() {
        0 => Ok(read),
        _ => Err(ApiError::validation(&unknown)),
    }
}

/// The operation's name, and the rest of it.
fn take_one(mut members: Members) -> Result<(String, Patch), ApiError> {
    let op = members.required("op", PATH_CHARS_MAX)?;
    let path = members.string("path", PATH_CHARS_MAX)?;
    let path = path.ok_or_else(|| ApiError::bad_request("Invalid patch path null"))?;
    let from = members.string("from", PATH_CHARS_MAX)?;
    let patch = Patch {
        op: Op::Replace,
        path: Pointer::parse(path)?,
        from: from.map(Pointer::parse).transpose()?,
        value: members.string("value", VALUE_CHARS_MAX)?,
        names: Vec::new(),
    };
    members.finish()?;
    Ok((op, patch))
}

fn unknown_op(input: &str, at: usize, op: &str) -> String {
    format!(
        "Value '{op}' at '{input}.patchOperations.{at}.member.op' failed to satisfy constraint: Member must satisfy enum \
         value set: [add, remove, move, test, replace, copy]"
    )
}

impl Op {
    const ALL: [Self; 6] = [Self::Add, Self::Remove, Self::Move, Self::Test, Self::Replace, Self::Copy];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Move => "move",
            Self::Test => "test",
            Self::Replace => "replace",
            Self::Copy => "copy",
        }
    }
}

impl<E> Table<E> {
    /// Whether any rule has the path.
    pub(super) fn has(&self, patch: &Patch) -> bool {
        self.rules.iter().any(|rule| patch.path.fits(rule.path))
    }

    /// The paths that take these operations, in the order of the rules.
    pub(super) fn paths(&self, ops: &[Op]) -> Vec<&'static str> {
        let with = self.rules.iter().filter(|rule| ops.iter().all(|op| rule.ops.contains(op)));
        with.map(|rule| rule.path).collect()
    }

    fn apply(&self, entity: &mut E, mut patch: Patch) -> Result<(), ApiError> {
        let fitting = |rule: &&Rule<E>| rule.ops.contains(&patch.op) && patch.path.fits(rule.path);
        let Some(rule) = self.rules.iter().find(fitting) else { return Err(self.refuse(entity, &patch)) };
        patch.names = patch.path.names(rule.path);
        (rule.apply)(entity, &patch)
    }

    /// RFC 6902 4.6.
    fn test(&self, entity: &E, patch: &Patch, shown: &Value) -> Result<(), ApiError> {
        self.check_known(entity, patch)?;
        let found = patch.path.look_up(shown);
        if found == patch.value {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("'{found}'"));
        let message = format!("The test of '{}' failed: it holds {found}", patch.path());
        Err(ApiError::conflict(message))
    }

    /// RFC 6902 4.4: what is at `from` is taken away there, and put at `path`.
    fn relocate(&self, entity: &mut E, patch: Patch, shown: &Value) -> Result<(), ApiError> {
        self.check_known(entity, &patch)?;
        let Some(from) = patch.from.clone() else {
            return Err(ApiError::bad_request("The patch operation 'move' needs a from"));
        };
        let Some(value) = from.look_up(shown) else {
            return Err(ApiError::bad_request(format!("Nothing is at '{}' to be moved", from.text())));
        };
        let takes_add =
            self.rules.iter().any(|rule| rule.ops.contains(&Op::Add) && patch.path.fits(rule.path));
        let op = if takes_add { Op::Add } else { Op::Replace };
        let away = Patch { op: Op::Remove, path: from, from: None, value: None, names: Vec::new() };
        self.apply(entity, away)?;
        self.apply(entity, Patch { op, from: None, value: Some(value), ..patch })
    }

    fn check_known(&self, entity: &E, patch: &Patch) -> Result<(), ApiError> {
        match self.has(patch) {
            true => Ok(()),
            false => Err(self.refuse(entity, patch)),
        }
    }

    fn refuse(&self, entity: &E, patch: &Patch) -> ApiError {
        match self.wording {
            Wording::Listed => self.refuse_listed(patch),
            Wording::Bare => self.refuse_bare(patch),
            Wording::Own(refuse) => refuse(entity, patch),
        }
    }

    fn refuse_listed(&self, patch: &Patch) -> ApiError {
        let choice = match &self.paths(&[patch.op])[..] {
            [] => "Please choose supported operations".to_owned(),
            known => format!("Must be one of: [{}]", known.join(", ")),
        };
        let (path, op) = (patch.path(), patch.op.name());
        // Two spaces, as AWS has them.
        ApiError::bad_request(format!("Invalid patch path  '{path}' specified for op '{op}'. {choice}"))
    }

    fn refuse_bare(&self, patch: &Patch) -> ApiError {
        let at_path = self.rules.iter().filter(|rule| patch.path.fits(rule.path));
        let ops: Vec<&str> = at_path.flat_map(|rule| rule.ops).map(|op| op.name()).collect();
        ApiError::bad_request(match &ops[..] {
            [] => format!("Invalid patch path {}", patch.path()),
            ops => format!("Invalid patch operation specified. Must be one of: [{}]", ops.join(", ")),
        })
    }
}

impl Patch {
    /// The path as it was written.
    pub(super) fn path(&self) -> &str {
        self.path.text()
    }

    /// The segments of the path as they were written, still escaped.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.segments()
    }

    /// Where to copy from, as it was written.
    pub(super) fn from(&self) -> Option<&str> {
        self.from.as_ref().map(Pointer::text)
    }

    /// What the first segment in braces of the rule stands for; a rule's handler knows that it has one.
    pub(super) fn name(&self) -> &str {
        self.name_at(0)
    }

    pub(super) fn name_at(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    pub(super) fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// The value, which has to be there and can be empty.
    pub(super) fn value(&self) -> Result<&str, ApiError> {
        let value = self.value.as_deref();
        value.ok_or_else(|| {
            let (op, path) = (self.op.name(), self.path());
            ApiError::bad_request(format!("The patch operation '{op}' on '{path}' needs a value"))
        })
    }

    /// The value, of at most `chars_max` characters.
    pub(super) fn text(&self, chars_max: usize) -> Result<String, ApiError> {
        match self.value()? {
            text if text.chars().count() > chars_max => {
                Err(ApiError::bad_request(format!("{} can have at most {chars_max} characters", self.path())))
            }
            text => Ok(text.to_owned()),
        }
    }

    /// As [`Self::text`], not empty.
    pub(super) fn required_text(&self, chars_max: usize) -> Result<String, ApiError> {
        match self.text(chars_max)? {
            text if text.is_empty() => Err(ApiError::bad_request(format!("{} can't be empty", self.path()))),
            text => Ok(text),
        }
    }

    /// What a member that can be unset becomes: `remove`, an empty value and none unset it.
    pub(super) fn optional_text(&self, chars_max: usize) -> Result<Option<String>, ApiError> {
        if self.op == Op::Remove || !self.has_value() {
            return Ok(None);
        }
        Ok(Some(self.text(chars_max)?).filter(|text| !text.is_empty()))
    }

    /// The value as AWS writes truth: in words.
    pub(super) fn boolean(&self) -> Result<bool, ApiError> {
        match self.value()? {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            other => {
                Err(ApiError::bad_request(format!("{} has to be true or false, not '{other}'", self.path())))
            }
        }
    }

    /// The value as an integer within `range`.
    pub(super) fn integer(&self, range: std::ops::RangeInclusive<u32>) -> Result<u32, ApiError> {
        let value = self.value()?.parse().ok().filter(|number| range.contains(number));
        value.ok_or_else(|| {
            let (path, min, max) = (self.path(), range.start(), range.end());
            ApiError::bad_request(format!("{path} has to be an integer from {min} to {max}"))
        })
    }

    /// The value as one of these.
    pub(super) fn choice(&self, choices: &[&str]) -> Result<String, ApiError> {
        match self.value()? {
            value if choices.contains(&value) => Ok(value.to_owned()),
            other => Err(ApiError::bad_request(format!(
                "{} has to be one of {}, not '{other}'",
                self.path(),
                choices.join(", ")
            ))),
        }
    }
}
