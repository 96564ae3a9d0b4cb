//! What older versions have stored opens, and what is stored is short.

use super::super::{Api, Part};
use super::*;

fn read<T: serde::de::DeserializeOwned>(document: &str) -> T {
    serde_json::from_str(document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

#[test]
fn documents_of_the_first_version_open() {
    let api: HttpApi = read(
        r#"{"id":"a","name":"n","description":null,"version":null,"tags":{},"execute_api_endpoint_disabled":false,
            "created_at_s":7}"#,
    );
    assert_eq!(api, HttpApi::new("a".to_owned(), "n".to_owned(), ApiProtocol::Http, 7));
    let integration: HttpIntegration = read(
        r#"{"id":"i","managed":false,"description":null,"method":"ANY","uri":"http://h","timeout_ms":29000}"#,
    );
    let mut expected = HttpIntegration::new("i".to_owned(), HttpIntegrationType::HttpProxy, 29_000);
    (expected.method, expected.uri) = (Some("ANY".to_owned()), Some("http://h".to_owned()));
    assert_eq!(integration, expected);
    let route: HttpRoute =
        read(r#"{"id":"r","managed":true,"key":"GET /{x}","operation_name":null,"integration_id":"i"}"#);
    assert_eq!(
        (route.id(), route.authorization.name(), route.key.to_string().as_str()),
        ("r", "NONE", "GET /{x}")
    );
    let stage: HttpStage = read(
        r#"{"name":"$default","managed":true,"description":null,"auto_deploy":true,"deployment_id":"d","variables":{},
            "access_log":null,"tags":{},"created_at_s":1,"updated_at_s":2,"last_deployment_message":null}"#,
    );
    assert_eq!(stage.default_route_settings, RouteSettings::of_stage(ApiProtocol::Http));
    let content: HttpContent = read(r#"{"deployment_id":"d","routes":[],"integrations":[]}"#);
    assert_eq!(content, HttpContent::new("d".to_owned(), Vec::new(), Vec::new()));
    assert_eq!(api.id(), "a");
}

#[test]
fn what_says_nothing_is_left_out() {
    let integration = HttpIntegration::new("i".to_owned(), HttpIntegrationType::HttpProxy, 50);
    let document = serde_json::to_string(&integration).expect("JSON");
    assert!(!document.contains("templates") && document.len() < 160, "{document}");
    assert_eq!(read::<HttpIntegration>(&document), integration);
    let stage = HttpStage::new("dev".to_owned(), ApiProtocol::WebSocket, 1);
    assert_eq!(read::<HttpStage>(&serde_json::to_string(&stage).expect("JSON")), stage);
}
