//! Tables of policies and requests: what is allowed, what is denied, which documents are refused.

use serde_json::{Value, json};
use turnpike_auth::{Because, Context, Decision, Kind, Policy, Request, evaluate};

const USER: &str = "arn:aws:iam::000000000000:user/ann";
const STAGE: &str = "arn:aws:apigateway:us-east-1::/restapis/a1/stages/prod";

fn context() -> Context {
    let mut context = Context::new();
    for (key, value) in [
        ("aws:username", "ann"),
        ("aws:SourceIp", "10.1.2.3"),
        ("aws:CurrentTime", "2026-11-21T08:00:00Z"),
        ("aws:EpochTime", "1795248000"),
        ("aws:SecureTransport", "false"),
        ("aws:PrincipalArn", USER),
        ("aws:RequestTag/team", "Red"),
        ("aws:TagKeys", "team"),
        ("aws:TagKeys", "cost"),
        ("x:count", "7"),
    ] {
        context.add(key, value);
    }
    context
}

fn identity(document: &Value) -> Policy {
    Policy::parse(document, Kind::Identity).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn decide(policies: &[Policy], action: &str, resource: &str) -> &'static str {
    let context = context();
    let request = Request { principal: Some(USER), action, resource, context: &context };
    match evaluate(policies, &request) {
        Decision::Allowed(_) => "allowed",
        Decision::Denied(_) => "denied",
        Decision::NotAllowed => "not allowed",
    }
}

fn of_statements(statements: Value) -> Vec<Policy> {
    vec![identity(&json!({"Version": "2012-10-17", "Statement": statements}))]
}

#[test]
fn effects_actions_and_resources() {
    let allow =
        |action: &str, resource: &str| json!({"Effect": "Allow", "Action": action, "Resource": resource});
    let deny =
        |action: &str, resource: &str| json!({"Effect": "Deny", "Action": action, "Resource": resource});
    let table = [
        (json!([]), "not allowed"),
        (json!([allow("*", "*")]), "allowed"),
        (json!(allow("apigateway:*", "*")), "allowed"),
        (json!([allow("APIGateway:patch", "*")]), "allowed"),
        (json!([allow("apigateway:GET", "*")]), "not allowed"),
        (json!([allow("apigateway:P?T*", "*")]), "allowed"),
        (json!([allow("acm:*", "*")]), "not allowed"),
        (json!([allow("*", "arn:aws:apigateway:us-east-1::/restapis/a1/*")]), "allowed"),
        (json!([allow("*", "arn:aws:apigateway:us-east-1::/restapis/a1")]), "not allowed"),
        (json!([allow("*", "arn:aws:apigateway:eu-*::/restapis/*")]), "not allowed"),
        (json!([allow("*", "arn:aws:apigateway:*::/RestApis/*")]), "not allowed"),
        // Whatever the order, a statement that denies wins.
        (json!([allow("*", "*"), deny("apigateway:PATCH", "*")]), "denied"),
        (json!([deny("apigateway:PATCH", "*"), allow("*", "*")]), "denied"),
        (json!([allow("*", "*"), deny("apigateway:DELETE", "*")]), "allowed"),
        (json!([deny("acm:*", "*")]), "not allowed"),
        (json!([{"Effect": "Allow", "Action": ["acm:*", "apigateway:PATCH"], "Resource": ["*"]}]), "allowed"),
        (json!([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]), "allowed"),
        (
            json!([{"Effect": "Allow", "NotAction": ["iam:*", "apigateway:*"], "Resource": "*"}]),
            "not allowed",
        ),
        (json!([{"Effect": "Allow", "Action": "*", "NotResource": STAGE}]), "not allowed"),
        (json!([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:acm:*:*:*"}]), "allowed"),
    ];
    for (statements, expected) in table {
        let policies = of_statements(statements.clone());
        assert_eq!(decide(&policies, "apigateway:PATCH", STAGE), expected, "{statements}");
    }
}

#[test]
fn a_denial_in_one_policy_wins_over_another_that_allows() {
    let all = of_statements(json!([{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let none = of_statements(json!([{"Sid": "No", "Effect": "Deny", "Action": "*", "Resource": "*"}]));
    let both = [all, none].concat();
    assert_eq!(decide(&both, "a:b", "*"), "denied");
    let context = context();
    let request = Request { principal: None, action: "a:b", resource: "*", context: &context };
    let because = |policy, sid| Because { policy, statement: 0, sid: Some(sid) };
    assert_eq!(evaluate(&both[..1], &request), Decision::Allowed(because(0, "All")));
    assert_eq!(evaluate(&both, &request), Decision::Denied(because(1, "No")));
    assert_eq!(evaluate([], &request), Decision::NotAllowed);
}

#[test]
fn variables_in_resources_need_the_newer_version() {
    let own = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iam::000000000000:user/${aws:username}"});
    for (version, resource, expected) in [
        ("2012-10-17", USER, "allowed"),
        ("2012-10-17", "arn:aws:iam::000000000000:user/bob", "not allowed"),
        ("2008-10-17", USER, "not allowed"),
        ("2008-10-17", "arn:aws:iam::000000000000:user/${aws:username}", "allowed"),
    ] {
        let policies = [identity(&json!({"Version": version, "Statement": own}))];
        assert_eq!(decide(&policies, "iam:GetUser", resource), expected, "{version} {resource}");
    }
}

#[test]
fn conditions() {
    let table = [
        (json!({"StringEquals": {"aws:username": "ann"}}), true),
        (json!({"StringEquals": {"AWS:UserName": ["bob", "ann"]}}), true),
        (json!({"StringEquals": {"aws:username": "Ann"}}), false),
        (json!({"StringEquals": {"aws:username": "a*"}}), false),
        (json!({"StringEqualsIgnoreCase": {"aws:username": "ANN"}}), true),
        (json!({"StringNotEqualsIgnoreCase": {"aws:username": "ANN"}}), false),
        (json!({"StringLike": {"aws:username": "a*"}}), true),
        (json!({"StringNotLike": {"aws:username": ["b*", "c?"]}}), true),
        (json!({"StringNotLike": {"aws:username": ["b*", "a??"]}}), false),
        (json!({"StringNotEquals": {"aws:username": "bob"}}), true),
        (json!({"StringLike": {"aws:PrincipalArn": "*:user/${aws:username}"}}), true),
        (json!({"StringEquals": {"aws:username": "${aws:nobody, 'ann'}"}}), true),
        // An absent key: what has to be equal isn't, what mustn't be isn't either.
        (json!({"StringEquals": {"aws:nothing": "x"}}), false),
        (json!({"StringNotEquals": {"aws:nothing": "x"}}), true),
        (json!({"StringEqualsIfExists": {"aws:nothing": "x"}}), true),
        (json!({"StringEqualsIfExists": {"aws:username": "x"}}), false),
        (json!({"NumericLessThan": {"x:nothing": "1"}}), false),
        (json!({"Null": {"aws:nothing": "true"}}), true),
        (json!({"Null": {"aws:nothing": true, "aws:username": false}}), true),
        (json!({"Null": {"aws:username": "true"}}), false),
        (json!({"NumericEquals": {"x:count": "7.0"}}), true),
        (json!({"NumericEquals": {"x:count": 7}}), true),
        (json!({"NumericNotEquals": {"x:count": "7"}}), false),
        (json!({"NumericLessThan": {"x:count": "7"}}), false),
        (json!({"NumericLessThanEquals": {"x:count": "7"}}), true),
        (json!({"NumericGreaterThan": {"x:count": "6.5"}}), true),
        (json!({"NumericGreaterThanEquals": {"x:count": "8"}}), false),
        (json!({"NumericEquals": {"aws:username": "7"}}), false),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-21T07:59:59Z"}}), true),
        (json!({"DateLessThan": {"aws:CurrentTime": "2026-11-21"}}), false),
        (json!({"DateLessThanEquals": {"aws:EpochTime": "1795248000"}}), true),
        (json!({"DateEquals": {"aws:CurrentTime": "2026-11-21T09:00:00+01:00"}}), true),
        (json!({"DateNotEquals": {"aws:CurrentTime": "2026-11-21T08:00Z"}}), false),
        (json!({"DateGreaterThanEquals": {"aws:CurrentTime": "2027"}}), true),
        (json!({"Bool": {"aws:SecureTransport": "false"}}), true),
        (json!({"Bool": {"aws:SecureTransport": true}}), false),
        (json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"]}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "10.1.2.4"}}), false),
        (json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), false),
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}), true),
        (json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}), false),
        (json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}), true),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost", "x"]}}), true),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}), false),
        (json!({"ForAllValues:StringEquals": {"aws:nothing": ["team"]}}), true),
        (json!({"ForAllValues:StringNotLike": {"aws:TagKeys": ["c*"]}}), false),
        (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["cost"]}}), true),
        (json!({"ForAnyValue:StringLike": {"aws:TagKeys": ["x*"]}}), false),
        (json!({"ForAnyValue:StringNotEquals": {"aws:nothing": ["x"]}}), false),
        (json!({"ForAnyValue:StringEqualsIfExists": {"aws:nothing": ["x"]}}), true),
        (json!({"StringEquals": {"aws:RequestTag/team": "Red", "aws:username": "ann"}}), true),
        (
            json!({"StringEquals": {"aws:RequestTag/Team": "Red"}, "Bool": {"aws:SecureTransport": true}}),
            false,
        ),
        (json!({}), true),
    ];
    for (condition, expected) in table {
        let statement = json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}]);
        let decided = decide(&of_statements(statement), "a:b", "*");
        assert_eq!(decided == "allowed", expected, "{condition}");
    }
}

#[test]
fn condition_keys_are_told() {
    let policies = of_statements(json!([
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": true}}},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {"x:Y": true}}},
    ]));
    assert_eq!(policies[0].condition_keys().collect::<Vec<_>>(), ["aws:SecureTransport", "x:Y"]);
}

#[test]
fn documents_that_are_refused() {
    let with = |name: &str, value: Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "a:b", "Resource": "*"});
        match value {
            Value::Null => drop(statement.as_object_mut().expect("an object").remove(name)),
            value => statement[name] = value,
        }
        json!({"Version": "2012-10-17", "Statement": statement})
    };
    let table = [
        (json!([]), "JSON object"),
        (json!({"Statement": []}), ""),
        (json!({"Version": "2012-10-17"}), "Statement"),
        (json!({"Version": "2012-10-18", "Statement": []}), "Version"),
        (json!({"Version": "2012-10-17", "Statement": [], "Statements": []}), "'Statements'"),
        (json!({"Version": "2012-10-17", "Id": 1, "Statement": []}), "Id"),
        (with("Effect", json!("allow")), "Effect"),
        (with("Effect", Value::Null), "Effect"),
        (with("Action", Value::Null), "must contain actions"),
        (with("Action", json!([])), "Action"),
        (with("Action", json!("CreateUser")), "prefaced by a vendor"),
        (with("NotAction", json!("a:c")), "both Action and NotAction"),
        (with("Resource", Value::Null), "must contain resources"),
        (with("Resource", json!("restapis")), "must be in ARN format"),
        (with("Resource", json!("arn:aws:apigateway:us-east-1")), "must be in ARN format"),
        (with("Resource", json!("arn:aws:iam::1:user/${aws:username")), "without its"),
        (with("Principal", json!("*")), "should not specify a principal"),
        (with("Sid", json!("a b")), "Sid"),
        (with("Conditions", json!({})), "'Conditions'"),
        (with("Condition", json!([])), "Condition"),
        (with("Condition", json!({"StringIs": {"a:b": "c"}})), "Invalid Condition type : StringIs"),
        (with("Condition", json!({"ForSome:StringLike": {"a:b": "c"}})), "Invalid Condition type"),
        (with("Condition", json!({"BinaryEquals": {"a:b": "YQ=="}})), "Invalid Condition type"),
        (with("Condition", json!({"StringLike": {"username": "c"}})), "condition key"),
        (with("Condition", json!({"StringLike": {"a:b": {}}})), "have to be strings"),
        (with("Condition", json!({"StringLike": {"a:b": []}})), "have to be strings"),
        (with("Condition", json!({"Bool": {"a:b": "yes"}})), "true or false"),
        (with("Condition", json!({"NumericEquals": {"a:b": "many"}})), "a number"),
        (with("Condition", json!({"DateLessThan": {"a:b": "soon"}})), "a date"),
        (with("Condition", json!({"IpAddress": {"a:b": "10.0.0.0/99"}})), "range of addresses"),
        (with("Condition", json!({"ArnLike": {"a:b": "user"}})), "an ARN"),
        (with("Condition", json!({"Null": {"a:b": "perhaps"}})), "Null"),
    ];
    for (document, expected) in table {
        match Policy::parse(&document, Kind::Identity) {
            Ok(_) => assert_eq!(expected, "", "{document}"),
            Err(error) => {
                assert!(error.to_string().contains(expected) && !expected.is_empty(), "{document}: {error}")
            }
        }
    }
    let twice = json!({"Statement": [
        {"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "A", "Effect": "Deny", "Action": "*", "Resource": "*"},
    ]});
    let error = Policy::parse(&twice, Kind::Identity).expect_err("twice").to_string();
    assert!(error.contains("must be unique"), "{error}");
}

#[test]
fn policies_of_resources_name_principals() {
    let decide = |principal: Value, caller: Option<&str>| {
        let name = if principal.get("not").is_some() { "NotPrincipal" } else { "Principal" };
        let value = principal.get("not").unwrap_or(&principal).clone();
        let mut statement = json!({"Effect": "Allow", "Action": "execute-api:Invoke"});
        statement[name] = value;
        let policy = Policy::parse(&json!({"Statement": statement}), Kind::Resource).expect("valid");
        let context = context();
        let request =
            Request { principal: caller, action: "execute-api:Invoke", resource: STAGE, context: &context };
        matches!(evaluate([&policy], &request), Decision::Allowed(_))
    };
    let table = [
        (json!("*"), None, true),
        (json!({"AWS": "*"}), Some(USER), true),
        (json!({"AWS": USER}), Some(USER), true),
        (json!({"AWS": USER}), None, false),
        (json!({"AWS": ["000000000000"]}), Some(USER), true),
        (json!({"AWS": "arn:aws:iam::000000000000:root"}), Some(USER), true),
        (json!({"AWS": "111111111111"}), Some(USER), false),
        (json!({"Service": "events.amazonaws.com"}), Some(USER), false),
        (json!({"not": {"AWS": USER}}), Some(USER), false),
        (json!({"not": {"AWS": "111111111111"}}), Some(USER), true),
    ];
    for (principal, caller, expected) in table {
        assert_eq!(decide(principal.clone(), caller), expected, "{principal} {caller:?}");
    }
    for bad in [json!({}), json!("ann"), json!({"User": "x"}), json!({"AWS": "ann"}), json!({"AWS": 1})] {
        let document =
            json!({"Statement": {"Effect": "Allow", "Principal": bad, "Action": "a:b", "Resource": "*"}});
        assert!(Policy::parse(&document, Kind::Resource).is_err(), "{document}");
    }
    let nobody = json!({"Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "*"}});
    assert!(Policy::parse(&nobody, Kind::Resource).is_err());
}
