//! What units come out of which configurations.

use std::collections::BTreeMap;

use turnpike_snapshot::{Compression, HttpProxy, StageUnit, TargetPart, Unit};

use super::*;
use crate::model::*;

fn http_api() -> HttpApi {
    HttpApi::new("abc".to_owned(), "first".to_owned(), ApiProtocol::Http, 0)
}

fn stage(variables: &[(&str, &str)]) -> HttpStage {
    let mut stage = HttpStage::new("$default".to_owned(), ApiProtocol::Http, 0);
    stage.auto_deploy = true;
    stage.deployment_id = Some("dep1".to_owned());
    stage.variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    stage
}

fn integration(id: &str, method: &str, uri: &str) -> HttpIntegration {
    let mut integration = HttpIntegration::new(id.to_owned(), HttpIntegrationType::HttpProxy, 29_000);
    integration.method = Some(method.to_owned());
    integration.uri = Some(uri.to_owned());
    integration
}

fn route(key: &str, integration: Option<&str>) -> HttpRoute {
    let mut route = HttpRoute::new("r1".to_owned(), RouteKey::parse(key).expect("a route key"));
    route.integration_id = integration.map(str::to_owned);
    route
}

fn content(routes: Vec<HttpRoute>, integrations: Vec<HttpIntegration>) -> HttpContent {
    HttpContent::new("dep1".to_owned(), routes, integrations)
}

fn proxy(unit: &StageUnit, route: usize) -> &HttpProxy {
    let index = unit.routes[route].integration as usize;
    unit.integrations[index].kind.proxy().expect("a proxy")
}

fn one(key: &str, uri: &str) -> Result<StageUnit, CompileError> {
    let content = content(vec![route(key, Some("i1"))], vec![integration("i1", "ANY", uri)]);
    let unit = http_stage(
        &http_api(),
        &stage(&[("host", "10.0.0.1:81"), ("base", "v1")]),
        &content,
        &Upstreams::default(),
    )?;
    encode(&Unit::Stage(unit.clone()))?;
    Ok(unit)
}

fn literal(text: &str) -> TargetPart {
    TargetPart::Literal(text.to_owned())
}

fn parameter(name: &str) -> TargetPart {
    TargetPart::PathParameter(name.to_owned())
}

#[test]
fn http_targets() {
    let request_path = || TargetPart::RequestPath;
    let table = [
        ("$default", "http://h", vec![request_path()]),
        ("$default", "http://h/", vec![request_path()]),
        ("$default", "http://h/base", vec![literal("/base"), request_path()]),
        ("$default", "http://h/base/", vec![literal("/base"), request_path()]),
        ("$default", "http://h/${stageVariables.base}/x", vec![literal("/v1/x"), request_path()]),
        ("GET /pets", "http://h", vec![literal("/")]),
        ("GET /pets", "http://h/animals", vec![literal("/animals")]),
        ("GET /pets/{id}", "http://h/p/{id}/x", vec![literal("/p/"), parameter("id"), literal("/x")]),
        ("ANY /{proxy+}", "http://h/{proxy}", vec![literal("/"), parameter("proxy")]),
    ];
    for (key, uri, target) in table {
        let unit = one(key, uri).unwrap_or_else(|e| panic!("{key} {uri}: {e}"));
        assert_eq!(proxy(&unit, 0).target, target, "{key} {uri}");
    }
}

#[test]
fn http_addresses_methods_and_keys() {
    let unit = one("GET /pets", "http://${stageVariables.host}/x?a=b").expect("compiles");
    let proxy = proxy(&unit, 0);
    assert_eq!((proxy.host.as_str(), proxy.port, proxy.query.as_str()), ("10.0.0.1", 81, "a=b"));
    assert_eq!(proxy.method, None);
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("GET", "/pets"));

    let unit = one("$default", "http://h").expect("compiles");
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("ANY", "$default"));
}

#[test]
fn http_failures_name_the_cause() {
    let table = [
        ("GET /pets", "http://${stageVariables.missing}/", "'missing'"),
        ("GET /pets/{id}", "http://h/{other}", "'other'"),
        ("$default", "http://h/{proxy}", "'proxy'"),
    ];
    for (key, uri, expected) in table {
        let error = one(key, uri).expect_err(uri).to_string();
        assert!(error.contains(expected), "{key} {uri}: {error}");
    }
    let without = content(vec![route("GET /x", None)], Vec::new());
    let error =
        http_stage(&http_api(), &stage(&[]), &without, &Upstreams::default()).expect_err("no integration");
    assert_eq!(error, CompileError::NoIntegration("the route 'GET /x'".to_owned()));
}

#[test]
fn routes_share_an_integration_unless_their_targets_differ() {
    let content = content(
        vec![route("GET /a", Some("i1")), route("GET /b", Some("i1")), route("$default", Some("i1"))],
        vec![integration("i1", "POST", "http://h/x"), integration("unused", "ANY", "http://h")],
    );
    let unit = http_stage(&http_api(), &stage(&[]), &content, &Upstreams::default()).expect("compiles");
    let used: Vec<u32> = unit.routes.iter().map(|r| r.integration).collect();
    assert_eq!(used, [0, 0, 1]);
    assert_eq!(unit.integrations.len(), 2);
    assert_eq!(proxy(&unit, 0).method.as_deref(), Some("POST"));
}

#[test]
fn equal_input_gives_equal_bytes() {
    let unit = one("ANY /{proxy+}", "http://h/{proxy}").expect("compiles");
    assert_eq!(encode(&Unit::Stage(unit.clone())), encode(&Unit::Stage(unit)));
}

fn rest(path: &str, uri: &str, mapping: &[(&str, &str)]) -> Result<StageUnit, CompileError> {
    let api = RestApi {
        execute_api_endpoint_disabled: true,
        ..RestApi::new("rest1".to_owned(), "rest".to_owned(), "root".to_owned(), 0)
    };
    let stage = RestStage::new("prod".to_owned(), "dep1".to_owned(), 0);
    let mapped = |(variable, parameter): &(&str, &str)| {
        (format!("{INTEGRATION_REQUEST}path.{variable}"), format!("{METHOD_REQUEST}path.{parameter}"))
    };
    let integration = RestIntegration {
        method: Some("GET".to_owned()),
        uri: Some(uri.to_owned()),
        timeout_ms: 50,
        request_parameters: mapping.iter().map(mapped).collect(),
        ..RestIntegration::default()
    };
    let method = Method { integration: Some(integration), ..Method::default() };
    let resource = Resource {
        id: "res1".to_owned(),
        parent_id: None,
        path_part: None,
        path: path.to_owned(),
        methods: BTreeMap::from([("GET".to_owned(), method)]),
    };
    let content =
        RestContent { deployment_id: "dep1".to_owned(), resources: vec![resource], ..RestContent::default() };
    let unit = rest_stage(&api, &stage, &content, None, &Upstreams::default())?;
    encode(&Unit::Stage(unit.clone()))?;
    Ok(unit)
}

#[test]
fn rest_variables_take_the_mapped_parameter() {
    let unit = rest("/pets/{id}", "http://h/animals/{animal}", &[("animal", "id")]).expect("compiles");
    assert_eq!(proxy(&unit, 0).target, [literal("/animals/"), parameter("id")]);
    assert_eq!(proxy(&unit, 0).method.as_deref(), Some("GET"));
    assert!(unit.execute_api_endpoint_disabled);
    assert_eq!((unit.routes[0].method.as_str(), unit.routes[0].path.as_str()), ("GET", "/pets/{id}"));
    let unit = rest("/{proxy+}", "http://h/{p}", &[("p", "proxy")]).expect("compiles");
    assert_eq!(proxy(&unit, 0).target, [literal("/"), parameter("proxy")]);
}

#[test]
fn what_a_deployment_froze_of_the_api_refuses_its_methods() {
    let open = RestApi::new("rest1".to_owned(), "rest".to_owned(), "root".to_owned(), 0);
    let policy = || Some("{}".to_owned());
    let private = || "PRIVATE".to_owned();
    let keyed = Method { api_key_required: true, ..Method::default() };
    let refused = |api: &RestApi, content: &RestContent| {
        let stage = RestStage::new("prod".to_owned(), "dep1".to_owned(), 0);
        let asked = enforcement::RestAsked {
            api,
            content,
            stage: &stage,
            resource: &open.root_resource(),
            name: "GET",
            method: &keyed,
        };
        enforcement::refused_method(&asked).is_some()
    };
    let frozen = RestContent::default;
    assert!(!refused(&open, &frozen()));
    assert!(refused(&open, &RestContent { policy: policy(), ..frozen() }));
    assert!(refused(&open, &RestContent { endpoint_type: private(), ..frozen() }));
    let api_key_source = ApiKeySource::Authorizer;
    assert!(refused(&open, &RestContent { api_key_source, ..frozen() }));
    assert!(refused(&RestApi { api_key_source, ..open.clone() }, &frozen()));
    assert!(refused(&RestApi { policy: policy(), ..open.clone() }, &frozen()));
    assert!(refused(&RestApi { endpoint_type: private(), ..open.clone() }, &frozen()));
}

#[test]
fn keys_that_an_authorizer_has_are_not_taken_from_a_header() {
    let routes = || {
        let keyed = HttpRoute { api_key_required: true, ..route("GET /keyed", Some("i1")) };
        vec![keyed, route("GET /open", Some("i1"))]
    };
    let refused = |selection: Option<&str>| {
        let frozen = content(routes(), vec![integration("i1", "ANY", "http://h/")]);
        let frozen = HttpContent { api_key_selection: selection.map(str::to_owned), ..frozen };
        let unit = http_stage(&http_api(), &stage(&[]), &frozen, &Upstreams::default()).expect("compiles");
        [0, 1].map(|route: usize| {
            unit.integrations[unit.routes[route].integration as usize].kind.proxy().is_none()
        })
    };
    assert_eq!([refused(None), refused(Some(API_KEY_HEADER))], [[false; 2]; 2]);
    assert_eq!(refused(Some("$context.authorizer.usageIdentifierKey")), [true, false]);
}

#[test]
fn a_deployment_compresses_as_the_api_did_then() {
    let api = RestApi {
        compression_bytes_min: Some(5),
        ..RestApi::new("rest1".to_owned(), "rest".to_owned(), "root".to_owned(), 0)
    };
    let stage = RestStage::new("prod".to_owned(), "dep1".to_owned(), 0);
    let compiled = |compression_bytes_min| {
        let content =
            RestContent { deployment_id: "dep1".to_owned(), compression_bytes_min, ..RestContent::default() };
        rest_stage(&api, &stage, &content, None, &Upstreams::default()).expect("compiles").compression
    };
    assert_eq!(compiled(None), None);
    assert_eq!(compiled(Some(7)), Some(Compression { bytes_min: 7 }));
}

#[test]
fn rest_failures_name_the_cause() {
    let error = rest("/pets/{id}", "http://h/{id}", &[]).expect_err("unmapped").to_string();
    assert!(error.contains("no request parameter fills") && error.contains("GET /pets/{id}"), "{error}");
    let error = rest("/pets/{id}", "http://h/{id}", &[("id", "other")]).expect_err("unknown").to_string();
    assert!(error.contains("'other'"), "{error}");
}

#[test]
fn an_account_unit_encodes() {
    let mut settings = crate::settings::Account {
        id: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint_suffix: "localhost".to_owned(),
        endpoint_port: 8080,
        throttle: None,
        endpoint_tls_port: Some(8443),
    };
    let encoded = |settings: &_| encode(&account(settings, &[], Vec::new()).expect("no domains"));
    encoded(&settings).expect("valid defaults");
    settings.id = "12".to_owned();
    assert!(encoded(&settings).is_err());
}
