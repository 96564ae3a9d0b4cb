//! One line of a statement's Condition: an operator, a key, and the values that it is held against.

use serde_json::Value;

use crate::context::Context;
use crate::document::PolicyError;
use crate::operator::{Operand, Operator};
use crate::values::parse_bool;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// As written.
    pub(crate) key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// `Null`: whether the key has to be absent.
    Absent(Vec<bool>),
    Compared {
        quantifier: Quantifier,
        if_exists: bool,
        negated: bool,
        operands: Vec<Operand>,
    },
}

/// Which of the request's values have to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// The key has one value; if it has more, any does.
    Single,
    All,
    Any,
}

impl Condition {
    /// `operator` as a document has it, such as `ForAllValues:StringLikeIfExists`.
    pub(crate) fn parse(
        operator: &str,
        key: &str,
        values: &Value,
        variables: bool,
    ) -> Result<Self, PolicyError> {
        let unknown = || PolicyError::new(format!("Invalid Condition type : {operator}."));
        if !key.contains(':') || key.contains(char::is_whitespace) {
            return Err(PolicyError::new(format!("'{key}' isn't a condition key")));
        }
        let texts = texts(values).filter(|texts| !texts.is_empty()).ok_or_else(|| {
            PolicyError::new(format!("The values of condition key {key} have to be strings"))
        })?;
        let (quantifier, name) = match operator.split_once(':') {
            None => (Quantifier::Single, operator),
            Some((prefix, name)) => match prefix.to_ascii_lowercase().as_str() {
                "forallvalues" => (Quantifier::All, name),
                "foranyvalue" => (Quantifier::Any, name),
                _ => return Err(unknown()),
            },
        };
        if name.eq_ignore_ascii_case("Null") && quantifier == Quantifier::Single {
            let wrong = || PolicyError::new(format!("Null takes true or false for condition key {key}"));
            let absent = texts.iter().map(|text| parse_bool(text).ok_or_else(wrong));
            return Ok(Self { key: key.to_owned(), test: Test::Absent(absent.collect::<Result<_, _>>()?) });
        }
        let lower = name.to_ascii_lowercase();
        let (name, if_exists) =
            lower.strip_suffix("ifexists").map_or((lower.as_str(), false), |name| (name, true));
        let operator = Operator::named(name).ok_or_else(unknown)?;
        let operands = texts.iter().map(|text| operator.operand(text, variables));
        let operands = operands.collect::<Result<_, _>>()?;
        let test = Test::Compared { quantifier, if_exists, negated: operator.negated, operands };
        Ok(Self { key: key.to_owned(), test })
    }

    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.values(&self.key);
        let (quantifier, if_exists, negated, operands) = match &self.test {
            Test::Absent(wanted) => return wanted.contains(&values.is_empty()),
            Test::Compared { quantifier, if_exists, negated, operands } => {
                (*quantifier, *if_exists, *negated, operands)
            }
        };
        if values.is_empty() {
            return if_exists
                || match quantifier {
                    Quantifier::Single => negated,
                    Quantifier::All => true,
                    Quantifier::Any => false,
                };
        }
        let equal = |value: &String| operands.iter().any(|operand| operand.fits(value, context));
        match quantifier {
            // Of a key with several values, none may be one of those that are ruled out.
            Quantifier::Single => values.iter().any(equal) != negated,
            Quantifier::All => values.iter().all(|value| equal(value) != negated),
            Quantifier::Any => values.iter().any(|value| equal(value) != negated),
        }
    }
}

/// One value or a list of them; numbers and booleans may stand without quotes.
fn texts(values: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match values {
        Value::Array(items) => items.iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}
