//! The condition operators by name: what they compare, and how.

use std::cmp::Ordering;

use crate::context::Context;
use crate::document::PolicyError;
use crate::pattern::{ArnPattern, Pattern, Syntax};
use crate::values::{Network, parse_bool, parse_date, parse_number};

/// What a value of a request is held against, parsed once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Text {
        pattern: Pattern,
        any_case: bool,
    },
    Arn(ArnPattern),
    Number(Test, f64),
    /// Milliseconds since 1970.
    Date(Test, i64),
    Bool(bool),
    Network(Network),
}

/// What has to hold between the request's value, on the left, and the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Test {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// Without `IfExists` and quantifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    comparison: Comparison,
    /// Holds where the comparison doesn't, for any of the policy's values.
    pub(crate) negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Text { wildcards: bool, any_case: bool },
    Arn,
    Number(Test),
    Date(Test),
    Bool,
    Network,
}

impl Operator {
    /// `None` when there is none of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let text = |wildcards, any_case| Comparison::Text { wildcards, any_case };
        let (comparison, negated) = match name.to_ascii_lowercase().as_str() {
            "stringequals" => (text(false, false), false),
            "stringnotequals" => (text(false, false), true),
            "stringequalsignorecase" => (text(false, true), false),
            "stringnotequalsignorecase" => (text(false, true), true),
            "stringlike" => (text(true, false), false),
            "stringnotlike" => (text(true, false), true),
            "arnequals" | "arnlike" => (Comparison::Arn, false),
            "arnnotequals" | "arnnotlike" => (Comparison::Arn, true),
            "bool" => (Comparison::Bool, false),
            "ipaddress" => (Comparison::Network, false),
            "notipaddress" => (Comparison::Network, true),
            other => return ordered(other),
        };
        Some(Self { comparison, negated })
    }

    /// # Errors
    /// When the text isn't a value of the operator's kind.
    pub(crate) fn operand(self, text: &str, variables: bool) -> Result<Operand, PolicyError> {
        let wrong = |kind: &str| PolicyError::new(format!("'{text}' in a condition isn't {kind}"));
        Ok(match self.comparison {
            Comparison::Text { wildcards, any_case } => {
                Operand::Text { pattern: Pattern::parse(text, Syntax { wildcards, variables })?, any_case }
            }
            Comparison::Arn => {
                let arn = ArnPattern::parse(text, Syntax { wildcards: true, variables })?;
                Operand::Arn(arn.ok_or_else(|| wrong("an ARN"))?)
            }
            Comparison::Number(test) => {
                Operand::Number(test, parse_number(text).ok_or_else(|| wrong("a number"))?)
            }
            Comparison::Date(test) => Operand::Date(test, parse_date(text).ok_or_else(|| wrong("a date"))?),
            Comparison::Bool => Operand::Bool(parse_bool(text).ok_or_else(|| wrong("true or false"))?),
            Comparison::Network => {
                Operand::Network(Network::parse(text).ok_or_else(|| wrong("a range of addresses"))?)
            }
        })
    }
}

/// The operators of numbers and dates.
fn ordered(name: &str) -> Option<Operator> {
    type Kind = fn(Test) -> Comparison;
    let (rest, kind): (&str, Kind) = match name.strip_prefix("numeric") {
        Some(rest) => (rest, Comparison::Number),
        None => (name.strip_prefix("date")?, Comparison::Date),
    };
    let (test, negated) = match rest {
        "equals" => (Test::Equal, false),
        "notequals" => (Test::Equal, true),
        "lessthan" => (Test::Less, false),
        "lessthanequals" => (Test::LessOrEqual, false),
        "greaterthan" => (Test::Greater, false),
        "greaterthanequals" => (Test::GreaterOrEqual, false),
        _ => return None,
    };
    Some(Operator { comparison: kind(test), negated })
}

impl Operand {
    /// Whether a value of the request fits; one of another kind doesn't.
    pub(crate) fn fits(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::Text { pattern, any_case: false } => pattern.matches(value, context),
            Self::Text { pattern, any_case: true } => pattern.matches_in_any_case(value, context),
            Self::Arn(pattern) => pattern.matches(value, context),
            Self::Number(test, number) => parse_number(value)
                .and_then(|value| value.partial_cmp(number))
                .is_some_and(|ordering| test.holds(ordering)),
            Self::Date(test, date) => parse_date(value).is_some_and(|value| test.holds(value.cmp(date))),
            Self::Bool(expected) => parse_bool(value) == Some(*expected),
            Self::Network(network) => network.contains(value),
        }
    }
}
