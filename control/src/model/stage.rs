//! What the stages of both kinds of API share: names, variables, access logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use turnpike_snapshot::check_log_group;

/// Stage variables by name.
pub type Variables = BTreeMap<String, String>;

const STAGE_NAME_BYTES_MAX: usize = 128;
const VARIABLES_MAX: usize = 100;
const VARIABLE_NAME_BYTES_MAX: usize = 64;
const VARIABLE_VALUE_BYTES_MAX: usize = 512;

/// Where a stage's access log goes, and in which `$context` format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLogSettings {
    pub destination_arn: String,
    pub format: String,
}

/// A stage name without `$default`, which only HTTP APIs have.
///
/// # Errors
/// Says what a stage name may be.
pub fn check_stage_name(name: &str) -> Result<(), String> {
    let ok = !name.is_empty()
        && name.len() <= STAGE_NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if ok {
        return Ok(());
    }
    Err(format!("Stage name only allows a-zA-Z0-9_- and at most {STAGE_NAME_BYTES_MAX} characters: '{name}'"))
}

/// # Errors
/// Says which variable is wrong, and why.
pub fn check_variables(variables: &Variables) -> Result<(), String> {
    if variables.len() > VARIABLES_MAX {
        return Err(format!("A stage can have at most {VARIABLES_MAX} variables, not {}", variables.len()));
    }
    variables.iter().try_for_each(|(name, value)| check_variable(name, value))
}

/// # Errors
/// Says what is wrong with the variable.
pub fn check_variable(name: &str, value: &str) -> Result<(), String> {
    let name_ok = !name.is_empty()
        && name.len() <= VARIABLE_NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !name_ok {
        return Err(format!(
            "Stage variable names only allow a-zA-Z0-9_ and at most {VARIABLE_NAME_BYTES_MAX} characters: '{name}'"
        ));
    }
    let value_ok = value.len() <= VARIABLE_VALUE_BYTES_MAX
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&b));
    if !value_ok {
        return Err(format!(
            "The value of the stage variable '{name}' only allows A-Za-z0-9-._~:/?#&=, and at most \
             {VARIABLE_VALUE_BYTES_MAX} characters"
        ));
    }
    Ok(())
}

/// The log group that an access log's destination names: `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`.
///
/// # Errors
/// Says what a destination has to look like.
pub fn log_group_of_arn(arn: &str) -> Result<&str, String> {
    let bad = || format!("destinationArn has to be arn:aws:logs:REGION:ACCOUNT:log-group:NAME, not '{arn}'");
    let mut fields = arn.splitn(7, ':');
    let mut field = || fields.next().ok_or_else(bad);
    let shape = (field()?, field()?, field()?, field()?, field()?, field()?);
    let name = field()?;
    let name = name.strip_suffix(":*").unwrap_or(name);
    if !matches!(shape, ("arn", _, "logs", _, _, "log-group")) {
        return Err(bad());
    }
    check_log_group(name).map_err(|error| format!("destinationArn: {error}"))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_names() {
        for name in ["prod", "v1-beta_2", &"x".repeat(128)] {
            assert_eq!(check_stage_name(name), Ok(()));
        }
        for name in ["", "a b", "a/b", "$default", "é", &"x".repeat(129)] {
            assert!(check_stage_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn variables() {
        for (name, value) in [("url", "10.0.0.1:3000/x?y=z"), ("A_1", ""), ("x", "a,b&c#d~e")] {
            assert_eq!(check_variable(name, value), Ok(()));
        }
        for (name, value) in [("", "x"), ("a-b", "x"), ("a", "x y"), ("a", "{x}"), ("a", "u@h"), ("a", "\n")]
        {
            assert!(check_variable(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn log_destinations() {
        let arn = |name: &str| format!("arn:aws:logs:us-east-1:000000000000:log-group:{name}");
        assert_eq!(log_group_of_arn(&arn("/aws/apigateway/x")), Ok("/aws/apigateway/x"));
        assert_eq!(log_group_of_arn(&arn("access:*")), Ok("access"));
        for bad in [
            "access".to_owned(),
            arn(""),
            arn("a b"),
            arn("../etc/passwd"),
            arn("a/../b"),
            arn(&"x".repeat(252)),
            arn(&"/".repeat(84)),
            "arn:aws:firehose:us-east-1:0:deliverystream:x".to_owned(),
        ] {
            assert!(log_group_of_arn(&bad).is_err(), "{bad}");
        }
    }
}
