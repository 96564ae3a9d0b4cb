//! The condition keys that policies may look at, and their values for a call.
//!
//! Source: 'AWS global condition context keys' in the IAM user guide.

use turnpike_auth::{Context, Policy};

use super::caller::{Caller, Known};
use super::tags::RequestTags;
use crate::settings::Account;
use crate::time::iso8601;

/// Keys that every call has, or that a call has where it says something.
const KNOWN: [&str; 18] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalType",
    "aws:Referer",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:SecureTransport",
    "aws:SourceIp",
    "aws:TagKeys",
    "aws:UserAgent",
    "aws:ViaAWSService",
    "aws:userid",
    "aws:username",
    // With a tag's key behind it.
    "aws:PrincipalTag/",
    "aws:RequestTag/",
];

/// Keys that AWS leaves out of calls with a user's access key from outside its network, organizations and services:
/// policies that mention them mean the same here.
const ABSENT: [&str; 26] = [
    "aws:CalledVia",
    "aws:CalledViaFirst",
    "aws:CalledViaLast",
    "aws:Ec2InstanceSourcePrivateIPv4",
    "aws:Ec2InstanceSourceVpc",
    "aws:FederatedProvider",
    "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalServiceName",
    "aws:PrincipalServiceNamesList",
    "aws:ResourceOrgID",
    "aws:ResourceOrgPaths",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceIdentity",
    "aws:SourceOrgID",
    "aws:SourceOrgPaths",
    "aws:SourceVpc",
    "aws:SourceVpcArn",
    "aws:SourceVpce",
    "aws:TokenIssueTime",
    "aws:VpcSourceIp",
    "aws:VpceAccount",
    "aws:VpceOrgID",
];

/// Prefixes of the services here, whose own keys aren't known yet.
const OWN: [&str; 5] = ["aws:", "apigateway:", "acm:", "iam:", "turnpike:"];

/// Refuses keys that would have a value in AWS and have none here: a statement that denies by one would never apply.
///
/// # Errors
/// The name of the first.
pub(in crate::api) fn check_condition_keys(policy: &Policy) -> Result<(), String> {
    let is = |key: &str, known: &str| match known.strip_suffix('/') {
        Some(_) => key.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)),
        None => key.eq_ignore_ascii_case(known),
    };
    let unknown = |key: &&str| {
        let is_of = |own: &&str| key.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own));
        OWN.iter().any(is_of) && !KNOWN.iter().chain(&ABSENT).any(|known| is(key, known))
    };
    match policy.condition_keys().find(unknown) {
        None => Ok(()),
        Some(key) => Err(format!("The condition key {key} is not supported by this version of Turnpike")),
    }
}

/// What policies see of a call.
pub(super) fn context(
    account: &Account,
    caller: &Caller,
    known: &Known,
    tags: &RequestTags,
    now_s: i64,
) -> Context {
    let mut context = Context::new();
    let user = &known.user;
    for (key, value) in [
        ("aws:CurrentTime", iso8601(now_s)),
        ("aws:EpochTime", now_s.to_string()),
        ("aws:PrincipalAccount", account.id.clone()),
        ("aws:PrincipalArn", user.arn(&account.id)),
        ("aws:PrincipalIsAWSService", "false".to_owned()),
        ("aws:PrincipalType", "User".to_owned()),
        ("aws:RequestedRegion", account.region.clone()),
        ("aws:ResourceAccount", account.id.clone()),
        // The management API speaks plain HTTP.
        ("aws:SecureTransport", "false".to_owned()),
        ("aws:SourceIp", caller.source.to_string()),
        ("aws:ViaAWSService", "false".to_owned()),
        ("aws:userid", user.id.clone()),
        ("aws:username", user.name.clone()),
    ] {
        context.add(key, value);
    }
    for (key, value) in [("aws:UserAgent", &caller.user_agent), ("aws:Referer", &caller.referer)] {
        value.iter().for_each(|value| context.add(key, value.clone()));
    }
    user.tags.iter().for_each(|(key, value)| context.add(&format!("aws:PrincipalTag/{key}"), value.clone()));
    for (key, value) in tags {
        context.add("aws:TagKeys", key.clone());
        if let Some(value) = value {
            context.add(&format!("aws:RequestTag/{key}"), value.clone());
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use turnpike_auth::Kind;

    use super::*;

    #[test]
    fn keys_that_have_no_value_here_are_refused() {
        let check = |key: &str| {
            let document = json!({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
                "Condition": {"StringLike": {key: "*"}}}});
            check_condition_keys(&Policy::parse(&document, Kind::Identity).expect("valid"))
        };
        for key in [
            "aws:SourceIp",
            "AWS:sourceip",
            "aws:RequestTag/team",
            "aws:principaltag/x",
            "aws:SourceVpc",
            "s3:prefix",
        ] {
            assert_eq!(check(key), Ok(()), "{key}");
        }
        for key in
            ["aws:ResourceTag/team", "aws:Sourceip2", "apigateway:Request/ApiKeyRequired", "AcM:DomainNames"]
        {
            assert!(check(key).expect_err(key).contains(key), "{key}");
        }
    }
}
