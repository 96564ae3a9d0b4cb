//! A policy document, read from its JSON.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::context::Context;
use crate::evaluate::Request;
use crate::pattern::{ArnPattern, Pattern, Syntax};

/// What is wrong with a document, in a sentence for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl PolicyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What a policy is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user: it speaks of resources, and names no principal.
    Identity,
    /// A resource: it names principals.
    Resource,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    /// `None`: everybody whom the policy is attached to.
    principals: Option<Listed<PrincipalPattern>>,
    actions: Listed<Pattern>,
    /// `None`: what the policy is attached to.
    resources: Option<Listed<ArnPattern>>,
    conditions: Vec<Condition>,
}

/// A list that names what is meant, or what isn't.
#[derive(Debug, Clone, PartialEq)]
struct Listed<T> {
    items: Vec<T>,
    excluded: bool,
}

impl<T> Listed<T> {
    fn includes(&self, fits: impl Fn(&T) -> bool) -> bool {
        self.items.iter().any(fits) != self.excluded
    }
}

#[derive(Debug, Clone, PartialEq)]
enum PrincipalPattern {
    Everybody,
    /// All of an account.
    Account(String),
    Arn(String),
    /// A service or a federated identity, which no caller here is.
    Other,
}

const VERSION_WITH_VARIABLES: &str = "2012-10-17";
const VERSION_WITHOUT: &str = "2008-10-17";

impl Policy {
    /// # Errors
    /// What is wrong with the document.
    pub fn parse(document: &Value, kind: Kind) -> Result<Self, PolicyError> {
        let mut members = Elements::of(document, "A policy")?;
        let variables = match members.take("Version") {
            None => false,
            Some(Value::String(version)) if version == VERSION_WITHOUT => false,
            Some(Value::String(version)) if version == VERSION_WITH_VARIABLES => true,
            Some(_) => {
                return Err(PolicyError::new(format!(
                    "Version has to be {VERSION_WITH_VARIABLES} or {VERSION_WITHOUT}"
                )));
            }
        };
        match members.take("Id") {
            None | Some(Value::String(_)) => {}
            Some(_) => return Err(PolicyError::new("Id has to be a string")),
        }
        let statements = members.take("Statement");
        let statements = statements.ok_or_else(|| PolicyError::new("A policy needs a Statement"))?;
        members.finish()?;
        let list = match statements {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let statements = list.iter().map(|statement| Statement::parse(statement, kind, variables));
        let policy = Self { statements: statements.collect::<Result<_, _>>()? };
        policy.check_sids()?;
        Ok(policy)
    }

    /// The condition keys that its statements look at.
    pub fn condition_keys(&self) -> impl Iterator<Item = &str> {
        let conditions = self.statements.iter().flat_map(|statement| &statement.conditions);
        conditions.map(|condition| condition.key.as_str())
    }

    fn check_sids(&self) -> Result<(), PolicyError> {
        let mut seen = HashSet::new();
        let mut sids = self.statements.iter().filter_map(|statement| statement.sid.as_deref());
        match sids.find(|sid| !seen.insert(*sid)) {
            None => Ok(()),
            Some(_) => Err(PolicyError::new("Statement IDs (SID) in a single policy must be unique.")),
        }
    }
}

impl Statement {
    fn parse(statement: &Value, kind: Kind, variables: bool) -> Result<Self, PolicyError> {
        let mut members = Elements::of(statement, "A statement")?;
        let sid = take_sid(&mut members)?;
        let effect = match members.take("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(PolicyError::new("Effect has to be Allow or Deny")),
        };
        let principals = take_principals(&mut members, kind)?;
        let actions = take_list(&mut members, "Action", parse_action)?
            .ok_or_else(|| PolicyError::new("Policy statement must contain actions."))?;
        let syntax = Syntax { wildcards: true, variables };
        let resources = take_list(&mut members, "Resource", |text| {
            ArnPattern::parse(text, syntax)?
                .ok_or_else(|| PolicyError::new(format!("Resource {text} must be in ARN format or \"*\".")))
        })?;
        if resources.is_none() && kind == Kind::Identity {
            return Err(PolicyError::new("Policy statement must contain resources."));
        }
        let conditions = take_conditions(&mut members, variables)?;
        members.finish()?;
        Ok(Self { sid, effect, principals, actions, resources, conditions })
    }

    /// Whether it speaks of the request.
    pub(crate) fn applies(&self, request: &Request<'_>) -> bool {
        let nothing = Context::new();
        self.principals.as_ref().is_none_or(|all| all.includes(|one| one.is(request.principal)))
            && self.actions.includes(|action| action.matches_in_any_case(request.action, &nothing))
            && self
                .resources
                .as_ref()
                .is_none_or(|all| all.includes(|one| one.matches(request.resource, request.context)))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

fn take_sid(members: &mut Elements<'_>) -> Result<Option<String>, PolicyError> {
    match members.take("Sid") {
        None => Ok(None),
        Some(Value::String(sid)) if sid.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Ok(Some(sid.clone()).filter(|sid| !sid.is_empty()))
        }
        Some(sid) => Err(PolicyError::new(format!("Sid {sid} may have letters and digits only"))),
    }
}

fn parse_action(text: &str) -> Result<Pattern, PolicyError> {
    if text != "*"
        && !text.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
    {
        return Err(PolicyError::new(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ));
    }
    Pattern::parse(text, Syntax { wildcards: true, variables: false })
}

/// `name`, or `Not` and it: one text or several.
fn take_list<T>(
    members: &mut Elements<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, PolicyError>,
) -> Result<Option<Listed<T>>, PolicyError> {
    let not = format!("Not{name}");
    let (value, excluded) = match (members.take(name), members.take(&not)) {
        (Some(_), Some(_)) => {
            return Err(PolicyError::new(format!("A statement can't have both {name} and {not}")));
        }
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        (None, None) => return Ok(None),
    };
    let wrong = || PolicyError::new(format!("{name} has to be a string or a list of strings, not empty"));
    let items = strings(value).filter(|items| !items.is_empty()).ok_or_else(wrong)?;
    let items = items.into_iter().map(parse).collect::<Result<_, _>>()?;
    Ok(Some(Listed { items, excluded }))
}

fn take_principals(
    members: &mut Elements<'_>,
    kind: Kind,
) -> Result<Option<Listed<PrincipalPattern>>, PolicyError> {
    let (value, excluded) = match (members.take("Principal"), members.take("NotPrincipal")) {
        (None, None) if kind == Kind::Identity => return Ok(None),
        _ if kind == Kind::Identity => {
            return Err(PolicyError::new("Policy document should not specify a principal."));
        }
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        _ => return Err(PolicyError::new("A statement needs either Principal or NotPrincipal")),
    };
    let wrong = || PolicyError::new("Principal has to be \"*\" or an object of AWS, Service or Federated");
    let mut items = Vec::new();
    match value {
        Value::String(text) if text == "*" => items.push(PrincipalPattern::Everybody),
        Value::Object(map) => {
            for (of, value) in map {
                for text in strings(value).ok_or_else(wrong)? {
                    items.push(PrincipalPattern::parse(of, text).ok_or_else(wrong)?);
                }
            }
        }
        _ => return Err(wrong()),
    }
    if items.is_empty() { Err(wrong()) } else { Ok(Some(Listed { items, excluded })) }
}

impl PrincipalPattern {
    fn parse(of: &str, text: &str) -> Option<Self> {
        let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        match of {
            "AWS" if text == "*" => Some(Self::Everybody),
            "AWS" if is_account => Some(Self::Account(text.to_owned())),
            "AWS" => {
                let account = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
                match account {
                    Some(account) => Some(Self::Account(account.to_owned())),
                    None => text.starts_with("arn:").then(|| Self::Arn(text.to_owned())),
                }
            }
            "Service" | "Federated" | "CanonicalUser" => Some(Self::Other),
            _ => None,
        }
    }

    fn is(&self, principal: Option<&str>) -> bool {
        match self {
            Self::Everybody => true,
            Self::Account(account) => {
                principal.and_then(|arn| arn.split(':').nth(4)).is_some_and(|of| of == account)
            }
            Self::Arn(arn) => principal == Some(arn),
            Self::Other => false,
        }
    }
}

fn take_conditions(members: &mut Elements<'_>, variables: bool) -> Result<Vec<Condition>, PolicyError> {
    let wrong = || PolicyError::new("Condition has to be an object of operators, each an object of keys");
    let operators = match members.take("Condition") {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err(wrong()),
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        for (key, values) in keys.as_object().ok_or_else(wrong)? {
            conditions.push(Condition::parse(operator, key, values, variables)?);
        }
    }
    Ok(conditions)
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The members of an object that haven't been looked at yet.
struct Elements<'a> {
    map: &'a Map<String, Value>,
    seen: HashSet<String>,
    of: &'static str,
}

impl<'a> Elements<'a> {
    fn of(value: &'a Value, of: &'static str) -> Result<Self, PolicyError> {
        let map =
            value.as_object().ok_or_else(|| PolicyError::new(format!("{of} has to be a JSON object")))?;
        Ok(Self { map, seen: HashSet::new(), of })
    }

    fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.seen.insert(name.to_owned());
        self.map.get(name)
    }

    fn finish(self) -> Result<(), PolicyError> {
        match self.map.keys().find(|name| !self.seen.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(PolicyError::new(format!("{} has no element '{name}'", self.of))),
        }
    }
}
