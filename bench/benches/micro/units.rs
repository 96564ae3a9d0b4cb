//! Snapshots to measure with.

use std::sync::Arc;

use turnpike_snapshot::{
    AccountUnit, HttpProxy, Integration, IntegrationKind, Protocol, Route, StageUnit, TargetPart, Unit,
    UnitHash, encode_unit,
};

/// Where the integrations lead.
pub(crate) const PORT: u16 = 3000;

pub(crate) fn host(api_id: &str) -> String {
    format!("{api_id}.execute-api.us-east-1.localhost")
}

pub(crate) fn account() -> Unit {
    Unit::Account(AccountUnit::plain("000000000000", "us-east-1", "localhost"))
}

/// A stage `$default` with an integration for each of the routes, which are methods and paths.
pub(crate) fn stage(api_id: &str, protocol: Protocol, routes: impl IntoIterator<Item = Key>) -> Unit {
    let (routes, integrations) =
        (0..).zip(routes).map(|(index, key)| (route(index, key), proxy(index))).unzip();
    Unit::Stage(StageUnit { integrations, routes, ..StageUnit::plain(api_id, protocol, "$default", "d1") })
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
    Route::plain(method, &path, &format!("r{index}"), index)
}

fn proxy(index: u32) -> Integration {
    let target = vec![TargetPart::Literal(format!("/v{index}")), TargetPart::RequestPath];
    let proxy = HttpProxy::plain("127.0.0.1", PORT, target);
    Integration { id: format!("i{index}"), timeout_ms: 29_000, kind: IntegrationKind::HttpProxy(proxy) }
}
