//! https:// integrations: how upstreams are verified and what they are shown, up to the units that come of it.

use crate::domains::{certificates, trust_stores};
use crate::support::inside::{Inside, settings};
use serde_json::{Value, json};
use turnpike_control::pki;
use turnpike_snapshot::{HttpProxy, Scheme, StageUnit, UpstreamTls};

const BAD: &str = "BadRequestException";
const ABSENT: &str = "NotFoundException";
const YEAR_S: i64 = 365 * 86_400;

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    (dir, inside)
}

fn plain() -> UpstreamTls {
    UpstreamTls {
        server_name: None,
        insecure_skip_verification: false,
        trust_store: None,
        client_certificate: None,
    }
}

fn proxy(unit: &StageUnit) -> &HttpProxy {
    unit.integrations[0].kind.proxy().expect("a proxy")
}

fn certificate(inside: &Inside) -> String {
    inside.client.expect(201, "POST", "/clientcertificates", "{}").text("clientCertificateId")
}

/// An HTTP API with one https:// integration, served as `$default`, and the path of the integration.
fn http_api(inside: &Inside) -> (String, String) {
    let body = r#"{"name":"a","protocolType":"HTTP","target":"https://pets.internal/v1"}"#;
    let id = inside.client.expect(201, "POST", "/v2/apis", body).text("apiId");
    let list = inside.client.expect(200, "GET", &format!("/v2/apis/{id}/integrations"), "");
    let integration = list.body["items"][0]["integrationId"].as_str().expect("an id");
    let path = format!("/v2/apis/{id}/integrations/{integration}");
    (id, path)
}

/// A REST API with `GET /` in the stage `prod`.
fn rest_api(inside: &Inside, more: Value) -> String {
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"a"}"#);
    let (id, root) = (made.text("id"), made.text("rootResourceId"));
    let method = format!("/restapis/{id}/resources/{root}/methods/GET");
    inside.client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    let mut body = json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "https://pets.internal:8443"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    inside.client.expect(201, "PUT", &format!("{method}/integration"), &body.to_string());
    inside.client.expect(201, "POST", &format!("/restapis/{id}/deployments"), r#"{"stageName":"prod"}"#);
    id
}

fn patch(op: &str, path: &str, value: &str) -> String {
    json!({"patchOperations": [{"op": op, "path": path, "value": value}]}).to_string()
}

#[test]
fn http_integrations_say_which_name_to_verify() {
    let (_dir, inside) = start();
    let (api, path) = http_api(&inside);
    let tls = || proxy(&inside.stage(&api, "$default")).tls.clone();
    assert_eq!((proxy(&inside.stage(&api, "$default")).scheme, tls()), (Scheme::Https, Some(plain())));
    assert_eq!(proxy(&inside.stage(&api, "$default")).port, 443);
    let body = r#"{"tlsConfig":{"serverNameToVerify":"Cats.Internal"}}"#;
    let answer = inside.client.expect(200, "PATCH", &path, body);
    assert_eq!(answer.body["tlsConfig"]["serverNameToVerify"], "cats.internal");
    assert_eq!(tls(), Some(UpstreamTls { server_name: Some("cats.internal".to_owned()), ..plain() }));
    let to_http = r#"{"integrationUri":"http://pets.internal"}"#;
    inside.client.refused(400, BAD, "https://", "PATCH", &path, to_http);
    inside.client.expect(200, "PATCH", &path, r#"{"tlsConfig":{"serverNameToVerify":""}}"#);
    assert_eq!(tls(), Some(plain()));
    inside.client.expect(200, "PATCH", &path, to_http);
    assert_eq!(tls(), None);
    inside.client.refused(400, BAD, "https://", "PATCH", &path, body);
    for (config, code, expected) in [
        (r#"{"serverNameToVerify":"a b"}"#, BAD, "tlsConfig.serverNameToVerify has to be a DNS name"),
        (
            r#"{"insecureSkipVerification":true}"#,
            "SerializationException",
            "'tlsConfig.insecureSkipVerification'",
        ),
    ] {
        let body = format!(r#"{{"tlsConfig":{config}}}"#);
        inside.client.refused(400, code, expected, "PATCH", &path, &body);
    }
}

#[test]
fn rest_integrations_may_skip_verification() {
    let (_dir, inside) = start();
    let insecure = json!({"tlsConfig": {"insecureSkipVerification": true}});
    let api = rest_api(&inside, insecure);
    let unit = inside.stage(&api, "prod");
    assert_eq!((proxy(&unit).scheme, proxy(&unit).port), (Scheme::Https, 8443));
    assert_eq!(proxy(&unit).tls, Some(UpstreamTls { insecure_skip_verification: true, ..plain() }));
    let api = rest_api(&inside, json!({"tlsConfig": {"insecureSkipVerification": false}}));
    assert_eq!(proxy(&inside.stage(&api, "prod")).tls, Some(plain()));
    let resources = inside.client.expect(200, "GET", &format!("/restapis/{api}/resources"), "");
    let root = resources.body["item"][0]["id"].as_str().expect("an id");
    let path = format!("/restapis/{api}/resources/{root}/methods/GET/integration");
    let body = r#"{"type":"HTTP_PROXY","httpMethod":"GET","uri":"http://h",
                   "tlsConfig":{"insecureSkipVerification":true}}"#;
    inside.client.refused(400, BAD, "needs a uri with https://", "PUT", &path, body);
}

#[test]
fn a_client_certificate_is_made_read_changed_and_deleted() {
    let (_dir, inside) = start();
    let client = &inside.client;
    let body = r#"{"description":"d","tags":{"a":"b"}}"#;
    let made = client.expect(201, "POST", "/clientcertificates", body);
    let at = |member: &str| made.body[member].as_i64().expect("seconds");
    assert_eq!(at("expirationDate") - at("createdDate"), YEAR_S);
    let pem = made.text("pemEncodedCertificate");
    assert_eq!(pki::certificates_of(pem.as_bytes(), "certificate").expect("PEM").len(), 1);
    assert!(!made.body.to_string().contains("PRIVATE"), "{made:?}");
    let path = format!("/clientcertificates/{}", made.text("clientCertificateId"));
    assert_eq!(client.expect(200, "GET", &path, "").body, made.body);
    let changed = client.expect(200, "PATCH", &path, &patch("replace", "/description", "e"));
    assert_eq!((changed.text("description"), changed.text("pemEncodedCertificate")), ("e".into(), pem));
    client.refused(400, BAD, "[/description]", "PATCH", &path, &patch("replace", "/tags", "x"));
    assert_eq!(client.expect(200, "GET", "/clientcertificates", "").body["item"], json!([changed.body]));
    client.expect(202, "DELETE", &path, "");
    for method in ["GET", "DELETE"] {
        client.refused(404, ABSENT, "Client Certificate", method, &path, "");
    }
}

#[test]
fn client_certificates_are_limited() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.quotas.client_certificates_max = 1;
    let inside = Inside::start(settings);
    certificate(&inside);
    let code = "LimitExceededException";
    inside.client.refused(429, code, "client_certificates_max", "POST", "/clientcertificates", "{}");
}

#[test]
fn a_stage_shows_its_client_certificate() {
    let (dir, inside) = start();
    let api = rest_api(&inside, json!({}));
    let id = certificate(&inside);
    assert_eq!(certificates(&inside), [], "only those in use are published");
    let stage = format!("/restapis/{api}/stages/prod");
    let set = patch("replace", "/clientCertificateId", &id);
    assert_eq!(inside.client.expect(200, "PATCH", &stage, &set).text("clientCertificateId"), id);
    let unit_id = format!("client/{id}");
    let shown = UpstreamTls { client_certificate: Some(unit_id.clone()), ..plain() };
    assert_eq!(proxy(&inside.stage(&api, "prod")).tls, Some(shown));
    let [unit] = &certificates(&inside)[..] else { panic!("one certificate") };
    assert_eq!(unit.id, unit_id);
    let read = inside.client.expect(200, "GET", &format!("/clientcertificates/{id}"), "");
    let pem = read.text("pemEncodedCertificate");
    assert_eq!(pki::certificates_of(pem.as_bytes(), "certificate"), Ok(unit.chain.clone()));
    // Neither the entity nor the unit shows the key to whoever has the file.
    for file in std::fs::read_dir(dir.path().join("data")).expect("readable") {
        let bytes = std::fs::read(file.expect("readable").path()).unwrap_or_default();
        let key = &unit.private_key[unit.private_key.len() - 32..];
        assert!(!bytes.windows(key.len()).any(|window| window == key));
    }

    let certificate = format!("/clientcertificates/{id}");
    inside.client.refused(400, BAD, &format!("stage prod of API {api}"), "DELETE", &certificate, "");
    let none = patch("replace", "/clientCertificateId", "none");
    inside.client.refused(404, ABSENT, "Client Certificate", "PATCH", &stage, &none);
    let answer = inside.client.expect(200, "PATCH", &stage, &patch("remove", "/clientCertificateId", ""));
    assert_eq!(answer.body["clientCertificateId"], Value::Null);
    assert_eq!(certificates(&inside), []);
    inside.client.expect(202, "DELETE", &certificate, "");
}

#[test]
fn a_new_stage_can_have_a_client_certificate_at_once() {
    let (_dir, inside) = start();
    let api = rest_api(&inside, json!({}));
    let id = certificate(&inside);
    let deployments = inside.client.expect(200, "GET", &format!("/restapis/{api}/deployments"), "");
    let deployment = deployments.body["item"][0]["id"].as_str().expect("an id");
    let stages = format!("/restapis/{api}/stages");
    let body = |id: &str| {
        json!({"stageName": "next", "deploymentId": deployment, "clientCertificateId": id}).to_string()
    };
    inside.client.refused(404, ABSENT, "Client Certificate", "POST", &stages, &body("none"));
    assert_eq!(inside.client.expect(201, "POST", &stages, &body(&id)).text("clientCertificateId"), id);
    assert!(
        proxy(&inside.stage(&api, "next")).tls.as_ref().is_some_and(|tls| tls.client_certificate.is_some())
    );
    assert_eq!(proxy(&inside.stage(&api, "prod")).tls, Some(plain()));
}

#[test]
fn targets_bring_their_authorities_name_and_certificate() {
    let (_dir, inside) = start();
    let (api, path) = http_api(&inside);
    let id = certificate(&inside);
    let ca = pki::self_signed("an authority", 0, 4_000_000_000).expect("made").certificate_pem;
    let targets = format!("/turnpike/v1{}/targets", path.strip_prefix("/v2").expect("a v2 path"));
    let document = |ca: &str, certificate: &str| {
        json!({"targets": [{"host": "10.0.0.1", "port": 443}],
               "tls": {"serverName": "cats.internal", "insecureSkipVerification": true, "caPem": ca,
                       "clientCertificate": certificate}})
        .to_string()
    };
    inside.client.refused(400, BAD, "no client certificate 'none'", "PUT", &targets, &document(&ca, "none"));
    inside.client.refused(400, BAD, "tls.caPem", "PUT", &targets, &document("-----BEGIN", &id));
    inside.client.expect(200, "PUT", &targets, &document(&ca, &id));
    let tls = proxy(&inside.stage(&api, "$default")).tls.clone().expect("https");
    let group = proxy(&inside.stage(&api, "$default")).target_group.clone();
    assert_eq!(tls.server_name.as_deref(), Some("cats.internal"));
    assert!(tls.insecure_skip_verification);
    assert_eq!((&tls.trust_store, tls.client_certificate), (&group, Some(format!("client/{id}"))));
    let [store] = &trust_stores(&inside)[..] else { panic!("one trust store") };
    assert_eq!((Some(&store.id), store.certificates.len()), (group.as_ref(), 1));
    assert_eq!(certificates(&inside).len(), 1);

    // Another authority moves its unit and nothing else.
    let before = inside.root();
    let other = pki::self_signed("another", 0, 4_000_000_000).expect("made").certificate_pem;
    inside.client.expect(200, "PUT", &targets, &document(&format!("{ca}{other}"), &id));
    let after = inside.root();
    assert_eq!(after.units.iter().filter(|unit| !before.units.contains(unit)).count(), 1);
    assert_eq!(trust_stores(&inside)[0].certificates.len(), 2);

    let certificate = format!("/clientcertificates/{id}");
    inside.client.refused(400, BAD, "the targets of integration", "DELETE", &certificate, "");
    // The integration's own word goes before that of its targets.
    let body = r#"{"tlsConfig":{"serverNameToVerify":"dogs.internal"}}"#;
    inside.client.expect(200, "PATCH", &path, body);
    let tls = proxy(&inside.stage(&api, "$default")).tls.clone().expect("https");
    assert_eq!(tls.server_name.as_deref(), Some("dogs.internal"));
    inside.client.expect(204, "DELETE", &targets, "");
    assert_eq!((trust_stores(&inside), certificates(&inside)), (Vec::new(), Vec::new()));
    inside.client.expect(202, "DELETE", &certificate, "");
}

#[test]
fn stages_of_rest_apis_are_patched() {
    let (_dir, inside) = start();
    let api = rest_api(&inside, json!({}));
    let stage = format!("/restapis/{api}/stages/prod");
    let body = json!({"patchOperations": [
        {"op": "replace", "path": "/description", "value": "d"},
        {"op": "replace", "path": "/variables/a", "value": "1"},
        {"op": "replace", "path": "/variables/b", "value": "2"},
        {"op": "remove", "path": "/variables/a"},
    ]});
    let answer = inside.client.expect(200, "PATCH", &stage, &body.to_string());
    assert_eq!((answer.text("description"), &answer.body["variables"]), ("d".into(), &json!({"b": "2"})));
    let deployment =
        inside.client.expect(201, "POST", &format!("/restapis/{api}/deployments"), "{}").text("id");
    inside.client.expect(200, "PATCH", &stage, &patch("replace", "/deploymentId", &deployment));
    assert_eq!(inside.stage(&api, "prod").deployment_id, deployment);
    let none = patch("replace", "/deploymentId", "none");
    inside.client.refused(404, ABSENT, "Deployment", "PATCH", &stage, &none);
    let unknown = patch("replace", "/tags", "x");
    inside.client.refused(
        400,
        BAD,
        "/deploymentId, /description, /cacheClusterEnabled",
        "PATCH",
        &stage,
        &unknown,
    );
    let bad = patch("replace", "/variables/a", "{}");
    inside.client.refused(400, BAD, "'a'", "PATCH", &stage, &bad);
}
