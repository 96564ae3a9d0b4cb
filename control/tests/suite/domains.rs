//! Custom domain names through the management API, up to the units that come of them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use turnpike_snapshot::{
    AccountUnit, CertificateUnit, Domain, Mapping, TlsVersion, TrustStoreUnit, Unit, UnitRef,
};

use crate::support::inside::{Inside, settings};

pub(super) fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.truststore_dir = Some(dir.path().to_owned());
    (dir, Inside::start(settings))
}

fn material(names: &[&str]) -> (KeyPair, String) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
    (key, certificate.pem())
}

/// The ARN of a certificate for these names; put in place of `replaced`, if given.
pub(super) fn import(inside: &Inside, names: &[&str], replaced: Option<&str>) -> String {
    let (key, certificate) = material(names);
    let body = json!({
        "CertificateArn": replaced,
        "Certificate": BASE64_STANDARD.encode(certificate),
        "PrivateKey": BASE64_STANDARD.encode(key.serialize_pem()),
    });
    inside.client.acm("ImportCertificate", &body)["CertificateArn"].as_str().expect("an ARN").to_owned()
}

fn id_of(arn: &str) -> &str {
    arn.rsplit('/').next().expect("an id")
}

pub(super) fn domain(inside: &Inside, name: &str, configuration: &Value) -> Value {
    let body = json!({"domainName": name, "domainNameConfigurations": [configuration]});
    inside.client.expect(201, "POST", "/v2/domainnames", &body.to_string()).body
}

pub(super) fn http_api(inside: &Inside) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP","target":"http://127.0.0.1:3000"}"#;
    inside.client.expect(201, "POST", "/v2/apis", body).text("apiId")
}

pub(super) fn map(inside: &Inside, domain: &str, key: &str, api: &str, stage: &str) -> String {
    let body = json!({"apiId": api, "stage": stage, "apiMappingKey": key});
    let target = format!("/v2/domainnames/{domain}/apimappings");
    inside.client.expect(201, "POST", &target, &body.to_string()).text("apiMappingId")
}

fn account(inside: &Inside) -> AccountUnit {
    let mut accounts = inside.units().into_iter().filter_map(|unit| match unit {
        Unit::Account(account) => Some(account),
        _ => None,
    });
    accounts.next().expect("an account")
}

pub(super) fn served(inside: &Inside, name: &str) -> Domain {
    let domains = account(inside).domains;
    domains
        .iter()
        .find(|domain| domain.name == name)
        .cloned()
        .unwrap_or_else(|| panic!("no {name} in {domains:?}"))
}

pub(super) fn certificates(inside: &Inside) -> Vec<CertificateUnit> {
    let certificate = |unit| match unit {
        Unit::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    inside.units().into_iter().filter_map(certificate).collect()
}

pub(super) fn trust_stores(inside: &Inside) -> Vec<TrustStoreUnit> {
    let store = |unit| match unit {
        Unit::TrustStore(store) => Some(store),
        _ => None,
    };
    inside.units().into_iter().filter_map(store).collect()
}

fn mapping(key: &str, api_id: &str, stage: &str) -> Mapping {
    Mapping { key: key.to_owned(), api_id: api_id.to_owned(), stage: stage.to_owned() }
}

#[test]
fn a_domain_is_published_with_its_certificate_and_mappings() {
    let (_dir, inside) = start();
    let arn = import(&inside, &["api.example.com"], None);
    assert_eq!(certificates(&inside), [], "only what is used is published");
    let made = domain(&inside, "API.example.com", &json!({"certificateArn": arn}));
    assert_eq!(made["domainName"], "api.example.com");
    let api = http_api(&inside);
    map(&inside, "api.example.com", "v1/pets", &api, "$default");

    let served = served(&inside, "api.example.com");
    assert_eq!(served.mappings, [mapping("v1/pets", &api, "$default")]);
    let tls = served.tls.expect("a certificate");
    assert_eq!((tls.certificate.as_str(), tls.version_min), (id_of(&arn), TlsVersion::Tls12));
    assert_eq!(tls.client_trust_store, None);
    let [certificate] = &certificates(&inside)[..] else { panic!("one certificate") };
    assert_eq!((certificate.id.as_str(), certificate.chain.len()), (id_of(&arn), 1));

    inside.client.expect(204, "DELETE", "/v2/domainnames/api.example.com", "");
    assert!(account(&inside).domains.is_empty() && certificates(&inside).is_empty());
}

#[test]
fn another_certificate_moves_one_unit() {
    let (_dir, inside) = start();
    let arns = ["a.example.com", "b.example.com"].map(|name| {
        let arn = import(&inside, &[name], None);
        domain(&inside, name, &json!({"certificateArn": arn}));
        arn
    });
    let units = || inside.root().units.into_iter().collect::<Vec<UnitRef>>();
    let before = units();
    import(&inside, &["a.example.com"], Some(&arns[0]));
    let after = units();
    let gone = before.iter().filter(|unit| !after.contains(unit)).count();
    let new = after.iter().filter(|unit| !before.contains(unit)).count();
    assert_eq!((gone, new, after.len()), (1, 1, before.len()));
    let unused = import(&inside, &["unused.example.com"], None);
    assert_eq!(units(), after, "a certificate that nothing uses publishes nothing: {unused}");
}

#[test]
fn mappings_wait_for_their_stages() {
    let (_dir, inside) = start();
    let arn = import(&inside, &["api.example.com"], None);
    domain(&inside, "api.example.com", &json!({"certificateArn": arn}));
    let body = r#"{"name":"a","protocolType":"HTTP"}"#;
    let api = inside.client.expect(201, "POST", "/v2/apis", body).text("apiId");
    inside.client.expect(
        201,
        "POST",
        &format!("/v2/apis/{api}/stages"),
        r#"{"stageName":"s","autoDeploy":true}"#,
    );
    map(&inside, "api.example.com", "", &api, "s");
    assert!(served(&inside, "api.example.com").mappings.is_empty(), "nothing is deployed to it");
    let quick = r#"{"integrationType":"HTTP_PROXY","integrationMethod":"ANY","integrationUri":"http://127.0.0.1:1","payloadFormatVersion":"1.0"}"#;
    let integration = inside
        .client
        .expect(201, "POST", &format!("/v2/apis/{api}/integrations"), quick)
        .text("integrationId");
    let route = json!({"routeKey": "$default", "target": format!("integrations/{integration}")});
    inside.client.expect(201, "POST", &format!("/v2/apis/{api}/routes"), &route.to_string());
    assert_eq!(served(&inside, "api.example.com").mappings, [mapping("", &api, "s")]);
}

#[test]
fn security_policies_and_trust_stores_come_with_the_domain() {
    let (dir, inside) = start();
    let arn = import(&inside, &["*.example.com"], None);
    let file = dir.path().join("clients.pem");
    std::fs::write(&file, material(&["client authority"]).1).expect("written");
    let body = json!({
        "domainName": "*.example.com",
        "domainNameConfigurations":
            [{"certificateArn": arn, "securityPolicy": "SecurityPolicy_TLS13_1_3_2025_09", "endpointType": "REGIONAL"}],
        "mutualTlsAuthentication": {"truststoreUri": format!("file://{}", file.display())},
    });
    inside.client.expect(201, "POST", "/v2/domainnames", &body.to_string());
    let tls = served(&inside, "*.example.com").tls.expect("a certificate");
    assert_eq!((tls.version_min, tls.cipher_suites), (TlsVersion::Tls13, vec![0x1301, 0x1302, 0x1303]));
    let [before] = &trust_stores(&inside)[..] else { panic!("one trust store") };
    assert_eq!((tls.client_trust_store.as_ref(), before.certificates.len()), (Some(&before.id), 1));

    // The file is read when the domain is given it, and not again until then.
    let both = [material(&["one"]).1, material(&["two"]).1].concat();
    std::fs::write(&file, both).expect("written");
    assert_eq!(trust_stores(&inside), std::slice::from_ref(before));
    let target = "/v2/domainnames/*.example.com";
    let again = json!({"mutualTlsAuthentication": {"truststoreUri": format!("file://{}", file.display())}});
    inside.client.expect(200, "PATCH", target, &again.to_string());
    assert_eq!(trust_stores(&inside)[0].certificates.len(), 2);
    inside.client.expect(200, "PATCH", target, r#"{"mutualTlsAuthentication":{"truststoreUri":""}}"#);
    assert!(trust_stores(&inside).is_empty());
    assert_eq!(served(&inside, "*.example.com").tls.expect("a certificate").client_trust_store, None);
}

#[test]
fn a_store_serves_its_domains_after_a_restart() {
    let (dir, inside) = start();
    let arn = import(&inside, &["api.example.com"], None);
    domain(&inside, "api.example.com", &json!({"certificateArn": arn}));
    let (account_before, certificates_before, root) =
        (account(&inside), certificates(&inside), inside.root());
    drop(inside);
    let mut settings = settings(dir.path().join("data"));
    let again = Inside::start(settings.clone());
    assert_eq!((again.root(), certificates(&again)), (root, certificates_before));
    drop(again);
    settings.account.endpoint_suffix = "example.net".to_owned();
    let moved = Inside::start(settings);
    assert_eq!(account(&moved).domains, account_before.domains);
    assert_eq!(account(&moved).endpoint_suffix, "example.net");
}

#[test]
fn a_private_domain_is_kept_and_not_served() {
    let (_dir, inside) = start();
    let arn = import(&inside, &["*.example.com"], None);
    domain(&inside, "public.example.com", &json!({"certificateArn": arn}));
    let before = inside.root();
    let body = json!({
        "domainName": "private.example.com", "certificateArn": arn, "endpointConfiguration": {"types": ["PRIVATE"]},
    });
    inside.client.expect(201, "POST", "/domainnames", &body.to_string());
    assert_eq!(inside.root(), before, "nothing of it is published");
}
