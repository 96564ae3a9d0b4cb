use turnpike_snapshot::{
    AccountUnit, Domain, HttpProxy, IntegrationKind, Mapping, StageUnit, Unit, UnitHash, hash,
};

use super::*;
use crate::tls::{Sites, TicketKeys};

const NO_HEADERS: HeaderLines<'static> = HeaderLines { lines: &[], bytes: b"" };

/// Gives slots in order and knows no logs.
#[derive(Default)]
struct Services {
    slots: Vec<(String, String)>,
}

impl StageServices for Services {
    fn slots(&mut self, stages: &[(&str, &str)]) -> Vec<StageSlot> {
        let slot_of = |(api, stage): &(&str, &str)| {
            let name = ((*api).to_owned(), (*stage).to_owned());
            let known = self.slots.iter().position(|known| *known == name);
            StageSlot(known.unwrap_or_else(|| {
                self.slots.push(name);
                self.slots.len() - 1
            }) as u32)
        };
        stages.iter().map(slot_of).collect()
    }

    fn log(&mut self, _: &StageUnit) -> Result<Option<StageLog>, String> {
        Ok(None)
    }
}

pub(super) fn stage(api_id: &str, protocol: Protocol, name: &str, routes: &[&str]) -> Unit {
    Unit::Stage(stage_of(api_id, protocol, name, routes))
}

pub(super) fn stage_of(api_id: &str, protocol: Protocol, name: &str, routes: &[&str]) -> StageUnit {
    let integration = |index: usize| turnpike_snapshot::Integration {
        id: format!("i{index}"),
        timeout_ms: 29_000,
        kind: IntegrationKind::HttpProxy(HttpProxy::plain("127.0.0.1", 3000, vec![])),
    };
    let route = |(index, key): (usize, &&str)| {
        let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
        turnpike_snapshot::Route::plain(method, path, &format!("r{index}"), index as u32)
    };
    StageUnit {
        integrations: (0..routes.len()).map(integration).collect(),
        routes: routes.iter().enumerate().map(route).collect(),
        ..StageUnit::plain(api_id, protocol, name, "d1")
    }
}

pub(super) fn account(domains: Vec<Domain>) -> Unit {
    Unit::Account(AccountUnit { domains, ..AccountUnit::plain("000000000000", "us-east-1", "localhost") })
}

fn domain(name: &str, mappings: &[(&str, &str, &str)]) -> Domain {
    let mapping = |(key, api_id, stage): &(&str, &str, &str)| Mapping {
        key: (*key).into(),
        api_id: (*api_id).into(),
        stage: (*stage).into(),
    };
    Domain {
        name: name.into(),
        rules: Vec::new(),
        mappings: mappings.iter().map(mapping).collect(),
        tls: None,
    }
}

fn hashed(units: Vec<Unit>) -> Vec<(UnitHash, Arc<Unit>)> {
    let named = |unit: Unit| (hash(format!("{unit:?}").as_bytes()), Arc::new(unit));
    units.into_iter().map(named).collect()
}

pub(super) fn table(units: Vec<Unit>) -> Table {
    compiler().compile(1, &hashed(units), &mut Services::default()).expect("a sound snapshot")
}

fn one_stage(protocol: Protocol, routes: &[&str]) -> Table {
    table(vec![account(vec![]), stage("a1", protocol, "s", routes)])
}

fn address<'t, 'p>(table: &'t Table, host: &str, path: &'p str) -> Result<Address<'t, 'p>, AddressError> {
    table.address(table.approach(table.expect(host.as_bytes())), path, NO_HEADERS)
}

/// The key of the route that answers.
fn looked_up(table: &Table, method: &str, path: &str) -> Option<String> {
    let path = format!("/s{path}");
    let address = address(table, "a1.execute-api.us-east-1.localhost", &path).expect("the only stage");
    let matched = address.stage.release.routes.look_up(method, address.path)?;
    Some(matched.route.key().to_owned())
}

#[test]
fn http_apis_prefer_full_then_greedy_then_default() {
    let routes = [
        "GET /pets/dog/1",
        "GET /pets/dog/{id}",
        "GET /pets/{proxy+}",
        "ANY /{proxy+}",
        "ANY /x/{a}",
        "$default",
    ];
    let table = one_stage(Protocol::Http, &routes);
    for (method, path, expected) in [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
        ("POST", "/test/5", "ANY /{proxy+}"),
        ("POST", "/pets/dog/1", "ANY /{proxy+}"),
        ("GET", "/x/1", "ANY /x/{a}"),
        ("PATCH", "/x/1", "ANY /x/{a}"),
        ("GET", "/", "$default"),
    ] {
        assert_eq!(looked_up(&table, method, path).as_deref(), Some(expected), "{method} {path}");
    }
}

#[test]
fn greedy_routes_of_any_shape_stand_beside_each_other() {
    let routes = [
        "ANY /{proxy+}",
        "GET /{a}/{rest+}",
        "GET /{b}/{c}/{rest+}",
        "GET /{b}/new/{rest+}",
        "GET /pets/{rest+}",
        "POST /{all+}",
    ];
    // matchit minds the order in which routes come.
    for turn in 0..routes.len() {
        let mut routes = routes;
        routes.rotate_left(turn);
        let table = one_stage(Protocol::Http, &routes);
        for (method, path, expected) in [
            ("GET", "/x", "ANY /{proxy+}"),
            ("GET", "/x/y", "GET /{a}/{rest+}"),
            ("GET", "/x/y/z", "GET /{b}/{c}/{rest+}"),
            ("GET", "/x/new/z", "GET /{b}/new/{rest+}"),
            ("GET", "/x/new", "GET /{a}/{rest+}"),
            ("GET", "/pets/y", "GET /pets/{rest+}"),
            ("GET", "/pets/new/z", "GET /pets/{rest+}"),
            ("POST", "/pets/new/z", "POST /{all+}"),
            ("PUT", "/pets", "ANY /{proxy+}"),
        ] {
            assert_eq!(looked_up(&table, method, path).as_deref(), Some(expected), "{method} {path}");
        }
    }
}

#[test]
fn a_full_match_wins_over_a_greedy_one_with_a_longer_static_part() {
    let table = one_stage(Protocol::Http, &["GET /{a}/b", "GET /x/{proxy+}"]);
    assert_eq!(looked_up(&table, "GET", "/x/b").as_deref(), Some("GET /{a}/b"));
    let table = one_stage(Protocol::Rest, &["GET /{a}/b", "GET /x/{proxy+}"]);
    assert_eq!(looked_up(&table, "GET", "/x/b").as_deref(), Some("GET /x/{proxy+}"));
}

#[test]
fn a_literal_first_segment_that_leads_nowhere_is_left_again() {
    for protocol in [Protocol::Rest, Protocol::Http] {
        let table =
            one_stage(protocol, &["GET /a", "GET /a/b", "GET /{x}/c", "GET /a/{y}/d", "GET /{x}/{y}/e"]);
        for (path, expected) in [
            ("/a", Some("GET /a")),
            ("/a/b", Some("GET /a/b")),
            ("/a/c", Some("GET /{x}/c")),
            ("/a/c/d", Some("GET /a/{y}/d")),
            ("/a/c/e", Some("GET /{x}/{y}/e")),
            ("/ab/b", None),
            ("//b", None),
        ] {
            assert_eq!(looked_up(&table, "GET", path).as_deref(), expected, "{path}");
        }
    }
}

#[test]
fn rest_apis_prefer_static_to_variable_to_greedy_and_go_back() {
    let table =
        one_stage(Protocol::Rest, &["GET /a/b", "ANY /a/{x}", "GET /a/{x}/c", "POST /{rest+}", "GET /"]);
    for (method, path, expected) in [
        ("GET", "/a/b", Some("GET /a/b")),
        ("POST", "/a/b", Some("ANY /a/{x}")),
        ("GET", "/a/b/c", Some("GET /a/{x}/c")),
        ("POST", "/a/b/d", Some("POST /{rest+}")),
        ("GET", "/a/b/d", None),
        ("GET", "/a/b/", Some("GET /a/b")),
        ("GET", "/", Some("GET /")),
        ("get", "/a/b", None),
    ] {
        assert_eq!(looked_up(&table, method, path).as_deref(), expected, "{method} {path}");
    }
}

#[test]
fn three_forms_of_address() {
    let table = table(vec![
        account(vec![domain(
            "api.test",
            &[("", "a1", "s"), ("v1", "a1", "t"), ("v1/new", "a2", "$default")],
        )]),
        stage("a1", Protocol::Rest, "s", &["GET /"]),
        stage("a1", Protocol::Rest, "t", &["GET /"]),
        stage("a2", Protocol::Http, "$default", &["GET /"]),
    ]);
    for (host, path, expected) in [
        ("a1.execute-api.us-east-1.localhost", "/s/x", Ok(("s", "/x"))),
        ("A1.Execute-API.us-east-1.localhost.", "/s", Ok(("s", "/"))),
        ("a1.execute-api.us-east-1.localhost", "/none/x", Err(AddressError::StageUnknown(Protocol::Rest))),
        ("a2.execute-api.us-east-1.localhost", "/x/y", Ok(("$default", "/x/y"))),
        ("a2.execute-api.us-east-1.localhost", "/$default/y", Ok(("$default", "/y"))),
        ("a2.execute-api.us-east-1.localhost", "/%24default/y", Ok(("$default", "/y"))),
        ("a3.execute-api.us-east-1.localhost", "/s", Err(AddressError::ApiUnknown)),
        ("x.a1.execute-api.us-east-1.localhost", "/s", Err(AddressError::ApiUnknown)),
        ("api.test", "/x", Ok(("s", "/x"))),
        ("API.test", "/v1", Ok(("t", "/"))),
        ("api.test", "/v1x", Ok(("s", "/v1x"))),
        ("api.test", "/v1/x", Ok(("t", "/x"))),
        ("api.test", "/v1/new/x", Ok(("$default", "/x"))),
        ("api.test", "/_aws/execute-api/a1/t/x", Ok(("s", "/_aws/execute-api/a1/t/x"))),
        ("127.0.0.1", "/_aws/execute-api/a1/t/x", Ok(("t", "/x"))),
        ("127.0.0.1", "/_aws/execute-api/a1", Err(AddressError::StageUnknown(Protocol::Rest))),
        ("127.0.0.1", "/s/x", Err(AddressError::ApiUnknown)),
        ("", "/s/x", Err(AddressError::ApiUnknown)),
    ] {
        let address = address(&table, host, path);
        let found = address.map(|address| (&*address.stage.name, address.path));
        assert_eq!(found, expected, "{host} {path}");
    }
    assert_eq!(address(&table, &"h".repeat(300), "/").map(drop), Err(AddressError::ApiUnknown));
}

#[test]
fn the_empty_table_serves_nothing() {
    assert_eq!(address(&Table::empty(), "anything", "/").map(drop), Err(AddressError::ApiUnknown));
}

#[test]
fn a_stage_that_did_not_change_is_taken_over_as_it_is() {
    let (mut compiler, mut services) = (compiler(), Services::default());
    let before = vec![
        account(vec![]),
        stage("a1", Protocol::Http, "s", &["GET /"]),
        stage("a2", Protocol::Http, "s", &["GET /"]),
    ];
    let mut after = before.clone();
    after[1] = stage("a1", Protocol::Http, "s", &["GET /", "GET /new"]);
    let before = compiler.compile(1, &hashed(before), &mut services).unwrap();
    let after = compiler.compile(2, &hashed(after), &mut services).unwrap();
    let stage_of = |table: &Table, api: &str| Arc::clone(table.stage(api, "s").unwrap());
    assert!(Arc::ptr_eq(&stage_of(&before, "a2"), &stage_of(&after, "a2")));
    assert!(!Arc::ptr_eq(&stage_of(&before, "a1"), &stage_of(&after, "a1")));
    assert_eq!(stage_of(&before, "a1").slot, stage_of(&after, "a1").slot);
    let upstream = |stage: &Stage| Arc::clone(&stage.release.upstreams[0]);
    assert!(Arc::ptr_eq(&upstream(&stage_of(&before, "a1")), &upstream(&stage_of(&after, "a1"))));
}

#[test]
fn names_to_look_up_are_found_anew_where_they_change() {
    let (mut compiler, mut services) = (compiler(), Services::default());
    let to = |host: &str, routes: &[&str]| {
        let mut stage = stage_of("a1", Protocol::Http, "s", routes);
        for integration in &mut stage.integrations {
            let IntegrationKind::HttpProxy(proxy) = &mut integration.kind else { continue };
            proxy.host = host.into();
        }
        Unit::Stage(stage)
    };
    let mut compile = |changed: Unit| {
        let units = vec![account(vec![]), stage("a2", Protocol::Http, "s", &["GET /", "PUT /"]), changed];
        Arc::clone(compiler.compile(1, &hashed(units), &mut services).unwrap().upstream_names())
    };
    let first = compile(to("h.test", &["GET /"]));
    assert_eq!(first.hosts, ["127.0.0.1", "h.test"]);
    assert!(Arc::ptr_eq(&first, &compile(to("h.test", &["GET /", "GET /new"]))));
    assert_eq!(compile(to("i.test", &["GET /"])).hosts, ["127.0.0.1", "i.test"]);
}

#[test]
fn snapshots_that_make_no_sense_are_refused_with_a_reason() {
    let good = || stage("a1", Protocol::Http, "s", &["GET /"]);
    for (units, reason) in [
        (vec![good()], "0 account units"),
        (vec![account(vec![]), account(vec![]), good()], "2 account units"),
        (vec![account(vec![]), good(), stage("a1", Protocol::Http, "s", &["PUT /"])], "stage s twice"),
        (
            vec![account(vec![]), good(), stage("a1", Protocol::Rest, "t", &["GET /"])],
            "REST API in one stage",
        ),
        (vec![account(vec![domain("d", &[("k", "a1", "x")])]), good()], "domain d maps 'k' to stage x"),
        (
            vec![account(vec![]), stage("a1", Protocol::Http, "s", &["GET /{a}", "GET /{b}"])],
            "stage s of API a1",
        ),
    ] {
        let error = compiler().compile(1, &hashed(units), &mut Services::default()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn an_any_route_is_left_out_only_where_a_method_has_its_own_route_on_that_path() {
    let table = one_stage(Protocol::Rest, &["GET /a/{x}", "ANY /a/{y}"]);
    assert_eq!(looked_up(&table, "GET", "/a/1").as_deref(), Some("GET /a/{x}"));
    assert_eq!(looked_up(&table, "PUT", "/a/1").as_deref(), Some("ANY /a/{y}"));
    // Not the same path: what matchit can't hold is refused, never left out without a word.
    let units = vec![account(vec![]), stage("a1", Protocol::Rest, "s", &["GET /{a}", "ANY /{b+}"])];
    let error = compiler().compile(1, &hashed(units), &mut Services::default()).unwrap_err();
    assert!(error.to_string().contains("stage s of API a1"), "{error}");
}

/// Held against each other one by one, these would take a quarter of an hour.
#[test]
fn an_api_may_have_very_many_any_routes() {
    let routes = |at: usize| [format!("ANY /a/{at}/{{id}}"), format!("GET /a/{at}/{{other}}/b")];
    let mut routes: Vec<String> = (0..20_000).flat_map(routes).collect();
    routes.push("GET /a/7/{own}".to_owned());
    let table = one_stage(Protocol::Rest, &routes.iter().map(String::as_str).collect::<Vec<_>>());
    for (path, expected) in [("/a/7/x", "GET /a/7/{own}"), ("/a/19999/x", "ANY /a/19999/{id}")] {
        assert_eq!(looked_up(&table, "GET", path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn any_stands_for_seven_methods_and_the_default_route_for_all() {
    let with_default = ["GET /a", "ANY /a", "ANY /{all+}", "$default"];
    for (protocol, routes, otherwise) in [
        (Protocol::Rest, &with_default[..3], None),
        (Protocol::Http, &with_default[..3], None),
        (Protocol::Http, &with_default[..], Some("$default")),
    ] {
        let table = one_stage(protocol, routes);
        assert_eq!(looked_up(&table, "GET", "/a").as_deref(), Some("GET /a"));
        for method in ["DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] {
            assert_eq!(looked_up(&table, method, "/a").as_deref(), Some("ANY /a"), "{method}");
            assert_eq!(looked_up(&table, method, "/b/c").as_deref(), Some("ANY /{all+}"), "{method}");
        }
        for method in ["get", "Get", "post", "PROPFIND", "TRACE", "ANY", "GETS", ""] {
            assert_eq!(looked_up(&table, method, "/a").as_deref(), otherwise, "{method}");
            assert_eq!(looked_up(&table, method, "/b").as_deref(), otherwise, "{method}");
        }
    }
    // A method that only a route of its own can name takes no ANY route with it.
    let table = one_stage(Protocol::Http, &["QUERY /a", "ANY /b"]);
    assert_eq!(looked_up(&table, "QUERY", "/a").as_deref(), Some("QUERY /a"));
    assert_eq!(looked_up(&table, "QUERY", "/b"), None);
}

#[test]
fn a_wildcard_stands_for_one_label() {
    let table = table(vec![
        account(vec![
            domain("*.example.com", &[("", "a1", "s")]),
            domain("own.example.com", &[("", "a2", "s")]),
        ]),
        stage("a1", Protocol::Http, "s", &["$default"]),
        stage("a2", Protocol::Http, "s", &["$default"]),
    ]);
    let api = |host: &str| address(&table, host, "/x").map(|address| &*address.stage.api_id);
    assert_eq!((api("any.example.com"), api("ANY.Example.COM")), (Ok("a1"), Ok("a1")));
    assert_eq!(api("own.example.com"), Ok("a2"));
    for host in ["example.com", "a.b.example.com", ".example.com", "*.own.example.com", "com", ""] {
        assert_eq!(api(host), Err(AddressError::ApiUnknown), "{host}");
    }
}

#[test]
fn challenges_are_answered_by_host_and_token() {
    let challenge = |host: &str, token: &str| turnpike_snapshot::AcmeChallenge {
        host: host.into(),
        token: token.into(),
        key_authorization: format!("{token}.key"),
    };
    let Unit::Account(mut account) = account(vec![]) else { panic!("an account") };
    account.acme_challenges = vec![
        challenge("a.example.com", "t1"),
        challenge("a.example.com", "t2"),
        challenge("b.example.com", "t3"),
    ];
    let open = table(vec![Unit::Account(account)]);
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    assert_eq!(open.acme_answer(b"a.example.com", &path("t2")), Some("t2.key"));
    assert_eq!(open.acme_answer(b"A.Example.com.", &path("t1")), Some("t1.key"));
    for (host, token) in
        [("a.example.com", "t3"), ("b.example.com", "t1"), ("c.example.com", "t1"), ("", "t1")]
    {
        assert_eq!(open.acme_answer(host.as_bytes(), &path(token)), None, "{host} {token}");
    }
    for path in [
        "/",
        "/.well-known/acme-challenge/",
        "/x/.well-known/acme-challenge/t1",
        "/.well-known/acme-challenge/t1/",
    ] {
        assert_eq!(open.acme_answer(b"a.example.com", path), None, "{path}");
    }
}

fn compiler() -> Compiler {
    Compiler::new(29_000, Sites::new(TicketKeys::new(std::time::Duration::from_secs(60)).unwrap()))
}

#[test]
fn a_stage_asks_for_keys_where_one_of_its_routes_does_or_its_canary_s() {
    let plain = || stage_of("a1", Protocol::Rest, "prod", &["GET /open", "GET /closed"]);
    let asks = |unit: StageUnit| {
        let table = table(vec![account(vec![]), Unit::Stage(unit)]);
        table.stage("a1", "prod").unwrap().asks_for_keys
    };
    assert!(!asks(plain()));
    let mut closed = plain();
    closed.routes[1].settings.api_key_required = true;
    assert!(asks(closed.clone()));
    let canary = turnpike_snapshot::Canary {
        clients_per_10_000: 1,
        shares_cache: false,
        deployment_id: "d2".to_owned(),
        integrations: closed.integrations,
        routes: closed.routes,
        compression: None,
    };
    assert!(asks(StageUnit { canary: Some(canary), ..plain() }));
}
