//! Who may call what: users, their keys and policies, and the audit log of what they did.

use serde_json::{Value, json};
use turnpike_control::sigv4::AccessKey;

use crate::support::client::Client;
use crate::support::inside::{Inside, settings};

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let inner =
        xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    inner.unwrap_or_else(|| panic!("no {name} in {xml}")).0
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A client of a new user with one policy.
fn user(inside: &Inside, name: &str, statements: &Value) -> Client {
    inside.client.iam(&format!("Action=CreateUser&Version=2010-05-08&UserName={name}"));
    put_policy(inside, name, statements);
    let key = inside.client.iam(&format!("Action=CreateAccessKey&Version=2010-05-08&UserName={name}"));
    let key = AccessKey {
        id: element(&key, "AccessKeyId").to_owned(),
        secret: element(&key, "SecretAccessKey").to_owned(),
    };
    Client { key, ..inside.client.clone() }
}

fn put_policy(inside: &Inside, name: &str, statements: &Value) {
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let document = encoded(&document);
    inside
        .client
        .iam(&format!("Action=PutUserPolicy&UserName={name}&PolicyName=p&PolicyDocument={document}"));
}

const HTTP_API: &str = r#"{"name":"a","protocolType":"HTTP"}"#;
const DENIED: &str = "AccessDeniedException";

#[test]
fn a_record_of_the_audit_log_names_so_many_documents() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.audit.record_documents_max = 20;
    let inside = Inside::start(settings);
    let rows: String = (0..30).map(|at| format!("k{at},value-{at}-0123456789abcdef\n")).collect();
    inside.client.expect(201, "POST", "/apikeys?mode=import&format=csv", &format!("name,key\n{rows}"));
    let record = &inside.client.expect(200, "GET", "/turnpike/v1/audit", "").body["records"][0];
    let documents = record["documents"].as_array().map(Vec::len);
    assert_eq!((documents, record["documentsLeftOut"].as_u64()), (Some(20), Some(10)));
}

#[test]
fn policies_decide_by_action_and_resource() {
    let (_dir, inside) = start();
    let allowed = inside.client.expect(201, "POST", "/v2/apis", HTTP_API).text("apiId");
    let other = inside.client.expect(201, "POST", "/v2/apis", HTTP_API).text("apiId");
    let ann = user(
        &inside,
        "ann",
        &json!([
            {"Effect": "Allow", "Action": "apigateway:*", "Resource": [
                format!("arn:aws:apigateway:us-east-1::/apis/{allowed}"),
                format!("arn:aws:apigateway:us-east-1::/apis/{allowed}/*"),
            ]},
            {"Effect": "Deny", "Action": "apigateway:DELETE", "Resource": "*"},
        ]),
    );
    ann.expect(200, "GET", &format!("/v2/apis/{allowed}"), "");
    ann.expect(200, "GET", &format!("/v2/apis/{allowed}/routes"), "");
    let arn = "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: apigateway:";
    let resource = format!(
        "{arn}GET on resource: arn:aws:apigateway:us-east-1::/apis/{other} because no identity-based"
    );
    ann.refused(403, DENIED, &resource, "GET", &format!("/v2/apis/{other}"), "");
    ann.refused(403, DENIED, "apigateway:POST", "POST", "/v2/apis", HTTP_API);
    let denied = "with an explicit deny in an identity-based policy";
    let target = format!("/v2/apis/{allowed}");
    ann.refused(403, DENIED, denied, "DELETE", &target, "");
    // Another way to write the path is no way around.
    let escaped: String = allowed.bytes().map(|byte| format!("%{byte:02x}")).collect();
    ann.refused(403, DENIED, denied, "DELETE", &format!("/v2/apis/{escaped}"), "");
    ann.refused(403, DENIED, "turnpike:GetStatus", "GET", "/_turnpike/status", "");
    ann.refused(403, DENIED, "turnpike:GetAuditRecords", "GET", "/turnpike/v1/audit", "");
    let answer = ann.try_acm("ListCertificates", &json!({}));
    assert_eq!((answer.status, answer.error()), (400, DENIED), "{answer:?}");
    let (status, xml) = ann.query("iam", "Action=ListUsers");
    assert_eq!((status, element(&xml, "Code")), (403, "AccessDenied"), "{xml}");
    // A change of the policy counts at once.
    put_policy(&inside, "ann", &json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    ann.expect(204, "DELETE", &target, "");
}

#[test]
fn an_api_that_cannot_be_read_cannot_be_cloned() {
    let (_dir, inside) = start();
    let made = |name: &str| {
        let body = json!({"name": name}).to_string();
        inside.client.expect(201, "POST", "/restapis", &body).text("id")
    };
    let (open, closed) = (made("open"), made("closed"));
    let ann = user(
        &inside,
        "ann",
        &json!([
            {"Effect": "Allow", "Action": "apigateway:POST", "Resource": "arn:aws:apigateway:us-east-1::/restapis"},
            {"Effect": "Allow", "Action": "apigateway:GET", "Resource": format!("arn:aws:apigateway:us-east-1::/restapis/{open}")},
        ]),
    );
    let clone = |id: &str| json!({"name": "copy", "cloneFrom": id}).to_string();
    ann.expect(201, "POST", "/restapis", &clone(&open));
    ann.expect(201, "POST", "/restapis", &clone(""));
    let text =
        format!("apigateway:GET on resource: arn:aws:apigateway:us-east-1::/restapis/{closed} because");
    ann.refused(403, DENIED, &text, "POST", "/restapis", &clone(&closed));
}

/// A whole configuration at once does nothing that its steps, called for themselves, couldn't.
#[test]
fn what_is_applied_is_asked_for_step_by_step() {
    let (_dir, inside) = start();
    let apply = "/turnpike/v1/configuration/apply";
    let document = |policy: &Value| {
        let mut document =
            json!({"openapi": "3.0.1", "info": {"title": "pets", "version": "1"}, "paths": {"/a": {}}});
        if !policy.is_null() {
            document["x-amazon-apigateway-policy"] = policy.clone();
        }
        document.to_string()
    };
    let rest = |policy: &Value| json!({"apis": [{"document": document(policy), "type": "REST"}]}).to_string();
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"},
    ]});
    let both = |more: &Value| {
        json!([
            {"Effect": "Allow", "Action": ["turnpike:ApplyConfiguration", "turnpike:PlanConfiguration"], "Resource": "*"},
            more,
        ])
    };
    let ann =
        user(&inside, "ann", &both(&json!({"Effect": "Allow", "Action": "apigateway:GET", "Resource": "*"})));
    for target in [apply, "/turnpike/v1/configuration/plan"] {
        ann.refused(403, DENIED, "apigateway:POST on resource", "POST", target, &rest(&Value::Null));
    }
    assert_eq!(inside.client.expect(200, "GET", "/restapis", "").body["item"], json!([]));
    let refused = records(&inside.client, "user=ann");
    assert_eq!(
        (refused.len(), &refused[0]["operation"], &refused[0]["outcome"]),
        (1, &json!("ApplyConfiguration"), &json!("refused")),
        "{refused:?}"
    );
    let verbs = ["apigateway:GET", "apigateway:POST", "apigateway:PUT"];
    put_policy(&inside, "ann", &both(&json!({"Effect": "Allow", "Action": verbs, "Resource": "*"})));
    ann.expect(200, "POST", apply, &rest(&Value::Null));
    // Who may change an API can't open it to others by that alone.
    ann.refused(403, DENIED, "UpdateRestApiPolicy", "POST", apply, &rest(&policy));
    inside.client.expect(200, "POST", apply, &rest(&policy));
    ann.refused(403, DENIED, "UpdateRestApiPolicy", "POST", apply, &rest(&Value::Null));
    let key = json!({"keys": [{"name": "k"}]}).to_string();
    ann.expect(200, "POST", apply, &key);
    put_policy(
        &inside,
        "ann",
        &both(
            &json!({"Effect": "Allow", "Action": verbs[0], "Resource": "arn:aws:apigateway:us-east-1::/restapis*"}),
        ),
    );
    ann.refused(
        403,
        DENIED,
        "apigateway:GET on resource: arn:aws:apigateway:us-east-1::/apikeys",
        "POST",
        apply,
        &key,
    );
}

#[test]
fn keys_that_are_inactive_or_gone_open_nothing() {
    let (_dir, inside) = start();
    let all = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]);
    let ann = user(&inside, "ann", &all);
    let status = |client: &Client| client.call("GET", "/v2/apis", "").status;
    assert_eq!(status(&ann), 200);
    let id = ann.key.id.clone();
    for (state, expected) in [("Inactive", 403), ("Active", 200)] {
        inside.client.iam(&format!("Action=UpdateAccessKey&UserName=ann&AccessKeyId={id}&Status={state}"));
        assert_eq!(status(&ann), expected, "{state}");
    }
    let (refused, xml) = inside.client.query("iam", "Action=DeleteUser&UserName=ann");
    assert_eq!((refused, element(&xml, "Code")), (409, "DeleteConflict"));
    inside.client.iam(&format!("Action=DeleteAccessKey&UserName=ann&AccessKeyId={id}"));
    ann.refused(403, "UnrecognizedClientException", "security token", "GET", "/v2/apis", "");
    inside.client.iam("Action=DeleteUserPolicy&UserName=ann&PolicyName=p");
    inside.client.iam("Action=DeleteUser&UserName=ann");
}

#[test]
fn tags_and_addresses_are_conditions() {
    let (_dir, inside) = start();
    let ann = user(
        &inside,
        "ann",
        &json!([
            {"Effect": "Allow", "Action": "apigateway:POST", "Resource": "*",
             "Condition": {"StringEquals": {"aws:RequestTag/team": "${aws:username}"},
                           "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}},
            {"Effect": "Allow", "Action": "apigateway:GET", "Resource": "*",
             "Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}},
        ]),
    );
    ann.refused(403, DENIED, "apigateway:POST", "POST", "/v2/apis", HTTP_API);
    let tagged =
        |team: &str| json!({"name": "a", "protocolType": "HTTP", "tags": {"team": team}}).to_string();
    ann.refused(403, DENIED, "apigateway:POST", "POST", "/v2/apis", &tagged("bob"));
    ann.expect(201, "POST", "/v2/apis", &tagged("ann"));
    ann.refused(403, DENIED, "apigateway:GET", "GET", "/v2/apis", "");
}

/// What a tag opens, who makes the tagged can't give it by that alone.
#[test]
fn tags_of_what_is_made_need_their_own_permission() {
    let (_dir, inside) = start();
    let makes =
        json!({"Effect": "Allow", "Action": ["iam:CreateUser", "acm:ImportCertificate"], "Resource": "*"});
    let ann = user(&inside, "ann", &json!([makes]));
    let tagged = "Action=CreateUser&UserName=bob&Tags.member.1.Key=team&Tags.member.1.Value=admins";
    let (status, xml) = ann.query("iam", tagged);
    assert_eq!((status, element(&xml, "Code")), (403, "AccessDenied"), "{xml}");
    let refused = "iam:TagUser on resource: arn:aws:iam::000000000000:user/bob ";
    assert!(element(&xml, "Message").contains(refused), "{xml}");
    ann.iam("Action=CreateUser&UserName=bob");

    let import = |tags: Value| {
        let body = json!({"Certificate": "YQ==", "PrivateKey": "YQ==", "Tags": tags});
        let answer = ann.try_acm("ImportCertificate", &body);
        (answer.error().to_owned(), answer.body["message"].to_string())
    };
    let (code, message) = import(json!([{"Key": "team", "Value": "admins"}]));
    assert_eq!(code, DENIED);
    assert!(message.contains("acm:AddTagsToCertificate on resource: arn:aws:acm:us-east-1:"), "{message}");
    assert_eq!(import(json!([])).0, "ValidationException", "it isn't a certificate");

    let tags =
        json!({"Effect": "Allow", "Action": ["iam:TagUser", "acm:AddTagsToCertificate"], "Resource": "*"});
    put_policy(&inside, "ann", &json!([makes, tags]));
    ann.iam(&tagged.replace("bob", "carl"));
    assert_eq!(import(json!([{"Key": "team"}])).0, "ValidationException");
}

#[test]
fn errors_come_in_the_words_of_the_service() {
    let (_dir, inside) = start();
    let mut wrong = inside.client.clone();
    wrong.key.secret = "wrong".to_owned();
    let acm = wrong.try_acm("ListCertificates", &json!({}));
    assert_eq!((acm.status, acm.body["__type"].as_str()), (400, Some("InvalidSignatureException")));
    let (status, xml) = wrong.query("iam", "Action=ListUsers");
    assert_eq!(
        (status, element(&xml, "Code"), element(&xml, "Type")),
        (403, "SignatureDoesNotMatch", "Sender")
    );
    let mut unknown = inside.client.clone();
    unknown.key.id = "AKIANOBODY".to_owned();
    assert_eq!(element(&unknown.query("sts", "Action=GetCallerIdentity").1, "Code"), "InvalidClientTokenId");
    let (status, xml) = inside.client.query("apigateway", "Action=ListUsers");
    assert_eq!((status, element(&xml, "Code")), (403, "SignatureDoesNotMatch"));
    assert!(xml.contains("Credential should be scoped to correct service: 'iam'."), "{xml}");
    let (status, xml) = inside.client.query("iam", "Action=CreateRole&Version=2010-05-08&RoleName=x");
    assert_eq!((status, element(&xml, "Code")), (501, "UnsupportedOperationException"));
    assert!(xml.contains("CreateRole (iam)"), "{xml}");
    let (status, xml) = inside.client.query("iam", "Action=CreateUser&UserName=a&PermissionsBoundary=x");
    assert_eq!((status, element(&xml, "Code")), (400, "ValidationError"));
    assert!(xml.contains("PermissionsBoundary is not supported"), "{xml}");
    let (_, xml) = inside.client.query("sts", "Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(element(&xml, "Arn"), "arn:aws:iam::000000000000:root");
}

fn records(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.expect(200, "GET", &format!("/turnpike/v1/audit?{query}"), "");
    answer.body["records"].as_array().expect("a list").clone()
}

#[test]
fn the_audit_log_has_who_what_before_and_after() {
    let (_dir, inside) = start();
    let ann =
        user(&inside, "ann", &json!([{"Effect": "Allow", "Action": "apigateway:POST", "Resource": "*"}]));
    let api = ann.expect(201, "POST", "/v2/apis", HTTP_API).text("apiId");
    let path = format!("/v2/apis/{api}");
    ann.expect(403, "PATCH", &path, r#"{"name":"b"}"#);
    // Neither what only looks nor what fails by itself is in it.
    ann.expect(403, "GET", &path, "");
    inside.client.expect(400, "PATCH", &path, r#"{"name":7}"#);
    inside.client.expect(200, "PATCH", &path, r#"{"name":"b"}"#);

    let about = records(&inside.client, &format!("resource=apis/{api}"));
    let summary = |record: &Value| {
        let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        [text("user"), text("operation"), text("outcome"), text("sourceAddress"), text("request")].join(" ")
    };
    let patched = format!("127.0.0.1 PATCH {path}");
    assert_eq!(
        about.iter().map(summary).collect::<Vec<_>>(),
        [format!("root UpdateApi success {patched}"), format!("ann UpdateApi refused {patched}")]
    );
    let changed = &about[0]["documents"][0];
    assert_eq!((&changed["before"]["name"], &changed["after"]["name"]), (&json!("a"), &json!("b")));
    assert!(
        about[1]["reason"].as_str().is_some_and(|reason| reason.contains("not authorized")),
        "{}",
        about[1]
    );

    let made = &records(&inside.client, "user=ann&operation=CreateApi")[0];
    assert_eq!(made["accessKeyId"], ann.key.id.as_str());
    assert_eq!(
        (&made["documents"][0]["before"], made["documents"][0]["id"].as_str()),
        (&Value::Null, Some(&*api))
    );
    let key = &records(&inside.client, "operation=CreateAccessKey")[0];
    assert_eq!(key["documents"][0]["after"]["secret"], "(secret)");
    assert!(!key.to_string().contains(&ann.key.secret));

    let all = records(&inside.client, "");
    let first = inside.client.expect(200, "GET", "/turnpike/v1/audit?maxResults=2", "");
    let token = first.text("nextToken");
    let rest = records(&inside.client, &format!("maxResults=100&nextToken={token}"));
    assert_eq!([first.body["records"].as_array().expect("a list").clone(), rest].concat(), all);
    let (oldest, newest) = (all.last().expect("one"), &all[0]);
    let since = newest["time"].as_str().expect("a time").replace(':', "%3A");
    assert!(
        records(&inside.client, &format!("until={}", oldest["time"].as_str().expect("a time"))).is_empty()
    );
    assert!(records(&inside.client, &format!("since={since}")).len() <= all.len());
    for bad in ["since=soon", "color=red", "user=a&user=b"] {
        inside.client.refused(
            400,
            "BadRequestException",
            "",
            "GET",
            &format!("/turnpike/v1/audit?{bad}"),
            "",
        );
    }
}

#[test]
fn the_audit_log_is_kept_within_its_limits_and_can_be_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut limited = settings(dir.path().join("data"));
    limited.audit.records_max = 10;
    let inside = Inside::start(limited);
    for _ in 0..130 {
        inside.client.expect(201, "POST", "/v2/apis", HTTP_API);
    }
    // It is looked after every so many changes.
    let kept = records(&inside.client, "maxResults=500").len();
    assert!((10..=10 + 64).contains(&kept), "{kept}");
    drop(inside);
    let mut off = settings(dir.path().join("off"));
    off.audit.records_max = 0;
    let inside = Inside::start(off);
    inside.client.expect(201, "POST", "/v2/apis", HTTP_API);
    assert!(records(&inside.client, "").is_empty());
}
