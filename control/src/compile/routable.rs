//! What the API's validation accepts, a gateway can route: random paths, into routers built as the gateway
//! builds its own.

use std::collections::HashMap;

use matchit::{InsertError, Router};
use proptest::prelude::*;
use turnpike_snapshot::{
    HttpProxy, Integration, IntegrationKind, Protocol, Route, StageUnit, TargetPart, Unit,
};

use super::encode;
use crate::model::{METHODS, RouteKey};

/// The router that a gateway puts a route into: a method's, apart by length where a greedy path has a router of
/// its own.
type Place = (String, Option<usize>);

/// Checks a stage with these routes, by method and path, as a gateway does.
pub(crate) fn check(protocol: Protocol, routes: &[(String, String)]) {
    encode(&unit(protocol, routes)).expect("the contract takes what validation took");
    let mut routers: HashMap<Place, Router<()>> = HashMap::new();
    for (method, path) in routes.iter().filter(|(_, path)| path != "$default") {
        let inserted = insert(&mut routers, protocol, method, path);
        assert_eq!(inserted, Ok(()), "{method} {path} of {routes:?}");
    }
    // An ANY route joins the routes of each method, where only a route of the same shape may stand in its way.
    for (_, path) in routes.iter().filter(|(method, path)| method == "ANY" && path != "$default") {
        for method in METHODS.iter().filter(|method| **method != "ANY") {
            let overridden = routes.iter().any(|(m, p)| m == method && shape(p) == shape(path));
            let inserted = insert(&mut routers, protocol, method, path);
            assert_eq!(inserted.is_err(), overridden, "ANY {path} for {method} of {routes:?}: {inserted:?}");
        }
    }
}

fn insert(
    routers: &mut HashMap<Place, Router<()>>,
    protocol: Protocol,
    method: &str,
    path: &str,
) -> Result<(), InsertError> {
    let greedy = path.strip_suffix("+}").and_then(|head| head.rsplit_once("/{"));
    let pattern = greedy.map_or_else(|| path.to_owned(), |(head, name)| format!("{head}/{{*{name}}}"));
    let apart = (protocol == Protocol::Http && greedy.is_some()).then(|| path.split('/').count());
    routers.entry((method.to_owned(), apart)).or_default().insert(pattern, ())
}

fn shape(path: &str) -> String {
    RouteKey::parse(&format!("ANY {path}")).expect("a path").shape()
}

fn unit(protocol: Protocol, routes: &[(String, String)]) -> Unit {
    let kind =
        IntegrationKind::HttpProxy(HttpProxy::plain("h", 80, vec![TargetPart::Literal("/".to_owned())]));
    Unit::Stage(StageUnit {
        integrations: vec![Integration { id: "i".to_owned(), timeout_ms: 50, kind }],
        routes: routes.iter().map(|(method, path)| Route::plain(method, path, "r", 0)).collect(),
        ..StageUnit::plain("a", protocol, "s", "d")
    })
}

/// A segment of a path, mostly one that could get into another's way.
pub(crate) fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]{1,2}",
        4 => "\\{[ab.-]{1,2}\\}",
        2 => "\\{[ab]{1,2}\\+\\}",
        1 => "[a*:.~%@$!'(),;=&+{}/é ]{0,3}",
        1 => "(%2F|%7B|%7d|%25){1,2}a?",
    ]
}

/// Keys as an API can have them: well-formed, and no two for the same requests.
fn route_keys() -> impl Strategy<Value = Vec<RouteKey>> {
    let path = prop::collection::vec(segment(), 0..5).prop_map(|segments| format!("/{}", segments.join("/")));
    let key = (prop::sample::select(&["ANY", "GET", "PUT"][..]), path)
        .prop_map(|(method, path)| RouteKey::parse(&format!("{method} {path}")).ok());
    prop::collection::vec(key, 1..40).prop_map(|keys| {
        let mut keys: Vec<RouteKey> = keys.into_iter().flatten().collect();
        let mut shapes = std::collections::HashSet::new();
        keys.retain(|key| shapes.insert(key.shape()));
        keys
    })
}

proptest! {
    #[test]
    fn http_apis(keys in route_keys()) {
        let routes = keys.into_iter().map(|key| match key {
            RouteKey::Default => ("ANY".to_owned(), "$default".to_owned()),
            RouteKey::Path { method, path } => (method, path),
            RouteKey::Message(key) => unreachable!("HTTP APIs have no key {key}"),
        });
        check(Protocol::Http, &routes.collect::<Vec<_>>());
    }
}
