//! Snapshots to measure with.

use std::sync::Arc;

use turnpike_snapshot::{
    AccountUnit, HttpProxy, HttpVersion, Integration, IntegrationKind, Protocol, Route, RouteSettings,
    Scheme, StageUnit, TargetPart, Unit, UnitHash, encode_unit,
};

/// Where the integrations lead.
pub(crate) const PORT: u16 = 3000;

pub(crate) fn host(api_id: &str) -> String {
    format!("{api_id}.execute-api.us-east-1.localhost")
}

pub(crate) fn account() -> Unit {
    Unit::Account(AccountUnit {
        account_id: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint_suffix: "localhost".to_owned(),
        domains: Vec::new(),
        acme_challenges: Vec::new(),
        throttle: None,
    })
}

/// A stage `$default` with an integration for each of the routes, which are methods and paths.
pub(crate) fn stage(api_id: &str, protocol: Protocol, routes: impl IntoIterator<Item = Key>) -> Unit {
    let (routes, integrations) =
        (0..).zip(routes).map(|(index, key)| (route(index, key), proxy(index))).unzip();
    Unit::Stage(StageUnit {
        api_id: api_id.to_owned(),
        protocol,
        stage: "$default".to_owned(),
        deployment_id: "d1".to_owned(),
        execute_api_endpoint_disabled: false,
        access_log: None,
        integrations,
        routes,
        canary: None,
        cache: None,
        compression: None,
    })
}

pub(crate) type Key = (&'static str, String);

/// As many routes of as many services.
pub(crate) fn services(routes: u32) -> impl Iterator<Item = Key> {
    (0..routes).map(|service| ("GET", format!("/service{service}/items/{{id}}")))
}

/// As the housekeeper has a unit that has come.
pub(crate) fn hashed(unit: Unit) -> (UnitHash, Arc<Unit>) {
    let (hash, _) = encode_unit(&unit).expect("a unit");
    (hash, Arc::new(unit))
}

fn route(index: u32, (method, path): Key) -> Route {
    Route {
        method: method.to_owned(),
        path,
        id: format!("r{index}"),
        integration: index,
        settings: RouteSettings::default(),
    }
}

fn proxy(index: u32) -> Integration {
    let proxy = HttpProxy {
        method: None,
        scheme: Scheme::Http,
        version: HttpVersion::Http1,
        tls: None,
        target_group: None,
        host: "127.0.0.1".to_owned(),
        port: PORT,
        target: vec![TargetPart::Literal(format!("/v{index}")), TargetPart::RequestPath],
        query: String::new(),
    };
    Integration { id: format!("i{index}"), timeout_ms: 29_000, kind: IntegrationKind::HttpProxy(proxy) }
}
