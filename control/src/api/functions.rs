//! The ARNs by which both services call functions and AWS services' actions.

use super::error::ApiError;

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, perhaps with a version or an alias, or the ARN of its invocation.
pub(super) fn is_function_arn(arn: &str) -> bool {
    let fields: Vec<&str> = arn.split(':').collect();
    let own = |fields: &[&str]| match fields {
        ["arn", partition, "lambda", _, _, "function", name, rest @ ..] => {
            partition.starts_with("aws") && !name.is_empty() && rest.len() <= 1
        }
        _ => false,
    };
    own(&fields) || is_invocation_arn(arn)
}

/// What API Gateway calls a function by: `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/…/invocations`.
fn is_invocation_arn(arn: &str) -> bool {
    let path = arn.split_once(":lambda:path/").and_then(|(_, path)| path.strip_suffix("/invocations"));
    is_action_arn(arn)
        && path.and_then(|path| path.rsplit_once('/')).is_some_and(|(_, name)| !name.is_empty())
}

/// # Errors
/// When the URI of an authorizer that asks a function names none.
pub(super) fn check_authorizer_uri(uri: &str) -> Result<(), ApiError> {
    match is_invocation_arn(uri) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!(
            "Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents a Lambda \
             function invocation."
        ))),
    }
}

/// An AWS service's action: `arn:aws:apigateway:REGION:SERVICE:path/…` or `:action/…`.
pub(super) fn is_action_arn(arn: &str) -> bool {
    let mut fields = arn.splitn(6, ':');
    let mut field = || fields.next().unwrap_or_default();
    let (scheme, partition, service) = (field(), field(), field());
    let (region, target, what) = (field(), field(), field());
    let (how, rest) = what.split_once('/').unwrap_or_default();
    (scheme, service) == ("arn", "apigateway")
        && partition.starts_with("aws")
        && !region.is_empty()
        && !target.is_empty()
        && matches!(how, "path" | "action")
        && !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        let invocation = |function: &str| {
            format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations")
        };
        let function = "arn:aws:lambda:us-east-1:000000000000:function:hello";
        for arn in
            [function, &format!("{function}:live"), &invocation(function), &invocation("${stageVariables.f}")]
        {
            assert!(is_function_arn(arn), "{arn}");
        }
        for arn in [
            "arn:aws:lambda:x",
            "arn:aws:lambda:r:a:function:",
            "http://h",
            &format!("{function}:a:b"),
            &invocation(""),
        ] {
            assert!(!is_function_arn(arn), "{arn}");
        }
        assert!(is_action_arn("arn:aws:apigateway:us-east-1:dynamodb:action/PutItem"));
        assert!(is_action_arn("arn:aws:apigateway:us-east-1:sqs:path/000000000000/queue"));
        for arn in [
            "arn:aws:apigateway:us-east-1:sqs:000000000000/queue",
            "arn:aws:apigateway::sqs:path/x",
            "arn:aws:s3:::b",
        ] {
            assert!(!is_action_arn(arn), "{arn}");
        }
    }
}
