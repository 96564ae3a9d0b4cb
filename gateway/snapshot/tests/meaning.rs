//! What decodes but can't be served is refused, with its place.

mod sample;

use turnpike_snapshot::{
    ACCESS_LOG_FORMAT_BYTES_MAX, LOG_GROUP_ESCAPED_BYTES_MAX, VARIABLES_PER_ROUTE_MAX,
    check_access_log_format, check_log_group, escaped_log_group,
};
use turnpike_snapshot::{ApiKey, ApiKeysUnit, CacheKeyPart, Quota, QuotaPeriod, RouteCache, UsagePlanUnit};
use turnpike_snapshot::{
    Balancing, Canary, CertificateUnit, Endpoint, HttpProxy, Mapping, Probe, RoutingRule, Scheme,
    TargetGroupUnit, TrustStoreUnit, UpstreamTls,
};
use turnpike_snapshot::{
    Blame, DecodeError, Integration, IntegrationKind, Limits, PathPart, Problem, Root, StageUnit, TargetPart,
    Unit, UnitHash, UnitRef, check_next_snapshot, check_root, check_snapshot, check_unit, decode_unit,
    encode_unit, path_parts,
};

fn refused(unit: &Unit) -> String {
    let error = check_unit(unit, &Limits::default()).unwrap_err().to_string();
    // Decoding runs the same checks.
    let bytes = encode_unit(unit).unwrap().1;
    let decoded = decode_unit(&bytes, &Limits::default()).unwrap_err();
    assert!(
        matches!(&decoded, DecodeError::Semantic(semantic) if semantic.to_string() == error),
        "{decoded}"
    );
    error
}

fn stage_refused(change: impl FnOnce(&mut StageUnit)) -> String {
    let mut stage = sample::stage();
    change(&mut stage);
    refused(&Unit::Stage(stage))
}

fn proxy_of(integration: &mut Integration) -> &mut HttpProxy {
    let IntegrationKind::HttpProxy(proxy) = &mut integration.kind else { panic!("a refused one") };
    proxy
}

fn proxy_refused(change: impl FnOnce(&mut HttpProxy)) -> String {
    stage_refused(|stage| change(proxy_of(&mut stage.integrations[1])))
}

#[test]
fn the_place_leads_to_the_problem() {
    let error = stage_refused(|stage| stage.routes[2].integration = 3);
    assert_eq!(
        error,
        "stage $default of api a1b2c3d4e5, route 2 (GET /pets/{id}), integration: \
         index 3 points past the 3 integrations"
    );
}

#[test]
fn names_of_a_stage() {
    for bad in ["", "A1", "a.b", "a b", "-a", &"a".repeat(64)] {
        stage_refused(|stage| bad.clone_into(&mut stage.api_id));
    }
    for bad in ["", "a/b", "a b", "$prod", "é", &"a".repeat(129)] {
        stage_refused(|stage| bad.clone_into(&mut stage.stage));
    }
    for bad in ["", "a b", "a\n", "é", &"a".repeat(257)] {
        stage_refused(|stage| bad.clone_into(&mut stage.deployment_id));
        stage_refused(|stage| bad.clone_into(&mut stage.routes[0].id));
        stage_refused(|stage| bad.clone_into(&mut stage.integrations[0].id));
    }
}

#[test]
fn defaults_belong_to_http_apis() {
    let mut stage = sample::rest_stage();
    stage.stage = "$default".to_owned();
    assert!(refused(&Unit::Stage(stage)).ends_with("only HTTP APIs have it"));
    let mut stage = sample::rest_stage();
    stage.routes[0] = sample::route("ANY", "$default", 0);
    assert!(refused(&Unit::Stage(stage)).ends_with("only HTTP APIs have it"));
    let error = stage_refused(|stage| "GET".clone_into(&mut stage.routes[0].method));
    assert!(error.ends_with("a $default route has ANY"), "{error}");
}

#[test]
fn methods_are_upper_case_tokens() {
    for bad in ["", "get", "GeT", "G T", "GET\r\n", "GÉT", "(GET)", &"A".repeat(33)] {
        stage_refused(|stage| bad.clone_into(&mut stage.routes[1].method));
        proxy_refused(|proxy| proxy.method = Some(bad.to_owned()));
    }
    proxy_refused(|proxy| proxy.method = Some("ANY".to_owned()));
}

#[test]
fn paths_in_the_grammar() {
    use PathPart::{Greedy, Literal, Variable};
    let good: [(&str, &[PathPart<'_>]); 7] = [
        ("/", &[]),
        ("/pets", &[Literal("pets")]),
        ("/pets/", &[Literal("pets"), Literal("")]),
        ("/pets/{id}/toys", &[Literal("pets"), Variable("id"), Literal("toys")]),
        ("/{proxy+}", &[Greedy("proxy")]),
        ("/a/{b}/{c+}", &[Literal("a"), Variable("b"), Greedy("c")]),
        ("/é:+*", &[Literal("é:+*")]),
    ];
    for (path, parts) in good {
        assert_eq!(path_parts(path).as_deref(), Ok(parts), "{path}");
    }
}

#[test]
fn paths_outside_the_grammar() {
    let bad = [
        "",
        "pets",
        "//",
        "/a//b",
        "/{id",
        "/id}",
        "/a{id}",
        "/{id}b",
        "/{}",
        "/{+}",
        "/{a{b}}",
        "/{a+b}",
        "/{a*}",
        "/{a b}",
        "/{é}",
        "/{a+}/b",
        "/{a+}/",
        "/a b",
        "/a\tb",
        "/a\r\nb",
        "/a?b",
        "/a#b",
        "/{a}{b}",
        "$defaults",
    ];
    for path in bad {
        assert!(path_parts(path).is_err(), "{path}");
        stage_refused(|stage| path.clone_into(&mut stage.routes[1].path));
    }
    let long = format!("/{}", "a".repeat(8 << 10));
    stage_refused(|stage| stage.routes[1].path = long);
    let many = |n: usize| (0..n).map(|n| format!("/{{v{n}}}")).collect::<String>();
    let mut stage = sample::stage();
    stage.routes[1].path = many(VARIABLES_PER_ROUTE_MAX);
    assert_eq!(check_unit(&Unit::Stage(stage), &Limits::default()), Ok(()));
    let error = stage_refused(|stage| stage.routes[1].path = many(VARIABLES_PER_ROUTE_MAX + 1));
    assert!(error.ends_with("path variables: 26 of them, the limit is 25"), "{error}");
    let twice = stage_refused(|stage| "/{id}/{id}".clone_into(&mut stage.routes[1].path));
    assert!(twice.ends_with("path variables: \"id\" is there twice"), "{twice}");
}

#[test]
fn a_method_and_path_route_once() {
    let error = stage_refused(|stage| stage.routes.push(sample::route("GET", "/", 0)));
    assert!(error.ends_with("route 5 (GET /): the same method and path as route 1"), "{error}");
    stage_refused(|stage| stage.routes.push(sample::route("ANY", "$default", 0)));
    // The variables' names don't take part in matching.
    stage_refused(|stage| stage.routes.push(sample::route("GET", "/pets/{name}", 0)));
    let mut stage = sample::stage();
    stage.routes.push(sample::route("PUT", "/pets/{name}", 0));
    stage.routes.push(sample::route("GET", "/pets/{name}/", 0));
    assert_eq!(check_unit(&Unit::Stage(stage), &Limits::default()), Ok(()));
}

#[test]
fn each_route_has_the_variables_of_its_integration() {
    let error = stage_refused(|stage| stage.routes[1].integration = 1);
    assert!(
        error.ends_with("integration \"i1\" asks for the path variable \"id\", which this route hasn't"),
        "{error}"
    );
    stage_refused(|stage| stage.routes[0].integration = 1);
}

#[test]
fn timeouts_and_ports_are_set() {
    stage_refused(|stage| stage.integrations[0].timeout_ms = 0);
    stage_refused(|stage| stage.integrations[0].timeout_ms = 900_001);
    proxy_refused(|proxy| proxy.port = 0);
}

#[test]
fn hosts_fit_a_header() {
    for bad in ["", "a b", "a\r\nX: y", "a/b", "a@b", "[::1]", "::1::", "a:80", "é", &"a".repeat(254)] {
        proxy_refused(|proxy| bad.clone_into(&mut proxy.host));
    }
    for good in ["localhost", "Pets.Example", "10.0.0.1", "::1", "fe80::1", "my_service"] {
        let mut stage = sample::stage();
        good.clone_into(&mut proxy_of(&mut stage.integrations[0]).host);
        assert_eq!(check_unit(&Unit::Stage(stage), &Limits::default()), Ok(()), "{good}");
    }
}

/// Nothing in a target may end the request line or begin a header.
#[test]
fn targets_and_queries_fit_a_request_line() {
    for bad in ["/a b", "/a\rb", "/a\nb", "/a\0", "/a\x7f", "/é", "/a#b"] {
        proxy_refused(|proxy| proxy.target[0] = sample::literal(bad));
        proxy_refused(|proxy| bad.clone_into(&mut proxy.query));
    }
    proxy_refused(|proxy| proxy.target[0] = sample::literal("/a?b"));
    proxy_refused(|proxy| proxy.target = Vec::new());
    proxy_refused(|proxy| proxy.target[0] = sample::literal("pets"));
    proxy_refused(|proxy| proxy.target.remove(0).clone_into(&mut TargetPart::RequestPath));
    proxy_refused(|proxy| proxy.query = "q".repeat(17 << 10));
}

#[test]
fn access_logs_stay_in_their_folder() {
    for bad in ["", "..", "a/../b", "/./a", "a b", "a:b", "a\0", &"a".repeat(252), &"/".repeat(84)] {
        stage_refused(|stage| bad.clone_into(&mut stage.access_log.as_mut().unwrap().destination));
    }
    for good in ["a".repeat(251), format!("{}{}", "/".repeat(83), "aa")] {
        assert_eq!(escaped_log_group(&good).len(), LOG_GROUP_ESCAPED_BYTES_MAX);
        assert_eq!(check_log_group(&good), Ok(()));
    }
}

#[test]
fn access_log_formats_are_one_line() {
    let most = "x".repeat(ACCESS_LOG_FORMAT_BYTES_MAX);
    assert_eq!(check_access_log_format(&most), Ok(()));
    assert_eq!(check_access_log_format("$context.requestId\t$context.status"), Ok(()));
    let long = stage_refused(|stage| stage.access_log.as_mut().unwrap().format = most + "x");
    assert!(long.ends_with("access log format: 3001 bytes, the limit is 3000"), "{long}");
    for bad in ["", " ", "\t", "a\nb", "a\n", "a\rb", "\0", "\x1b[2J"] {
        stage_refused(|stage| bad.clone_into(&mut stage.access_log.as_mut().unwrap().format));
    }
}

#[test]
fn accounts() {
    let bad_account = |change: &dyn Fn(&mut turnpike_snapshot::AccountUnit)| {
        let mut account = sample::account();
        change(&mut account);
        refused(&Unit::Account(account))
    };
    for bad in ["", "1234", "00000000000a"] {
        bad_account(&|account| bad.clone_into(&mut account.account_id));
    }
    for bad in ["", "Upper.example", "a..b", ".a", "a.", "a b", "a:80", "é.example"] {
        bad_account(&|account| bad.clone_into(&mut account.endpoint_suffix));
        bad_account(&|account| bad.clone_into(&mut account.domains[0].name));
    }
    for bad in ["/", "/a", "a/", "a//b", "a b", "a%41", "a?", "{a}"] {
        bad_account(&|account| bad.clone_into(&mut account.domains[0].mappings[0].key));
    }
    bad_account(&|account| account.domains.push(sample::account().domains.remove(0)));
    let error = bad_account(&|account| {
        let mapping = account.domains[0].mappings[0].clone();
        account.domains[0].mappings.push(Mapping { api_id: "b2".to_owned(), ..mapping });
    });
    assert_eq!(error, "domain api.example.com, mapping keys: \"v1/pets\" is there twice");
    bad_account(&|account| account.domains[0].mappings[0].stage = String::new());
    bad_account(&|account| account.domains[0].mappings[0].api_id = String::new());
}

/// Each is what its sample has, which is taken; with one less, it isn't.
#[test]
fn limits_are_inclusive_and_the_operators_to_raise() {
    type Row = (Unit, usize, fn(&mut Limits) -> &mut usize);
    let (account, stage, cached) =
        (Unit::Account(sample::account()), Unit::Stage(sample::stage()), Unit::Stage(sample::cached_stage()));
    let (plan, keys) = (Unit::UsagePlan(sample::usage_plan()), Unit::ApiKeys(sample::api_keys()));
    let counts: [Row; 21] = [
        (stage.clone(), 5, |limits| &mut limits.routes_per_stage_max),
        (stage.clone(), 3, |limits| &mut limits.integrations_per_stage_max),
        (stage.clone(), 2, |limits| &mut limits.id_bytes_max),
        (stage.clone(), 14, |limits| &mut limits.path_bytes_max),
        (stage.clone(), 20, |limits| &mut limits.target_bytes_max),
        (stage.clone(), 2, |limits| &mut limits.target_parts_max),
        (Unit::Stage(sample::canary_stage()), 33, |limits| &mut limits.reason_bytes_max),
        (cached.clone(), 4, |limits| &mut limits.cache_key_parts_max),
        (cached.clone(), 1, |limits| &mut limits.cache_purges_max),
        (account.clone(), 1, |limits| &mut limits.domains_max),
        (account.clone(), 1, |limits| &mut limits.mappings_per_domain_max),
        (account.clone(), 2, |limits| &mut limits.rules_per_domain_max),
        (account.clone(), 2, |limits| &mut limits.conditions_per_rule_max),
        (account, 1, |limits| &mut limits.acme_challenges_max),
        (Unit::Certificate(sample::certificate()), 4, |limits| &mut limits.certificates_bytes_max),
        (Unit::TargetGroup(sample::target_group()), 3, |limits| &mut limits.targets_per_group_max),
        (plan.clone(), 2, |limits| &mut limits.stages_per_plan_max),
        (plan, 1, |limits| &mut limits.routes_per_plan_stage_max),
        (keys.clone(), 2, |limits| &mut limits.keys_per_slice_max),
        (keys.clone(), 1, |limits| &mut limits.plans_per_key_max),
        (keys, 1, |limits| &mut limits.units_max),
    ];
    let at = |unit: &Unit, limits: Limits| check_unit(unit, &limits);
    let one_less = |unit: &Unit, limits: Limits| {
        let error = check_unit(unit, &limits).unwrap_err();
        assert_eq!(error.blame(), Blame::Operator, "{error}");
    };
    for (unit, max, limit) in counts {
        let with = |max| {
            let mut limits = Limits::default();
            *limit(&mut limits) = max;
            limits
        };
        assert_eq!(at(&unit, with(max)), Ok(()));
        one_less(&unit, with(max - 1));
    }
    for (unit, timeout_ms_max) in [(stage, 29_000), (Unit::TargetGroup(sample::target_group()), 30_000)] {
        assert_eq!(at(&unit, Limits { timeout_ms_max, ..Limits::default() }), Ok(()));
        one_less(&unit, Limits { timeout_ms_max: timeout_ms_max - 1, ..Limits::default() });
    }
    assert_eq!(at(&cached, Limits { compression_bytes_min_max: 1_024, ..Limits::default() }), Ok(()));
    one_less(&cached, Limits { compression_bytes_min_max: 1_023, ..Limits::default() });
}

#[test]
fn reasons_are_one_line() {
    for bad in ["", "a\nb", "a\x1b[2J", &"x".repeat(1025)] {
        let kind = IntegrationKind::Refused { reason: bad.to_owned() };
        stage_refused(|stage| stage.integrations[0].kind = kind);
    }
}

#[test]
fn a_canary_is_checked_as_its_stage_is() {
    let canary_refused = |change: &dyn Fn(&mut Canary)| {
        let mut stage = sample::canary_stage();
        change(stage.canary.as_mut().unwrap());
        refused(&Unit::Stage(stage))
    };
    let error = canary_refused(&|canary| canary.routes[0].integration = 2);
    assert!(
        error.ends_with("canary, route 0 (GET /), integration: index 2 points past the 2 integrations"),
        "{error}"
    );
    let error = canary_refused(&|canary| canary.clients_per_10_000 = 10_001);
    assert!(error.ends_with("10001 isn't from 0 to 10000"), "{error}");
    let error = canary_refused(&|canary| canary.shares_cache = true);
    assert!(error.ends_with("canary, shared cache: only in a stage with a cache"), "{error}");
    canary_refused(&|canary| canary.deployment_id.clear());
    canary_refused(&|canary| canary.routes[1] = sample::route("GET", "/", 0));
    canary_refused(&|canary| proxy_of(&mut canary.integrations[1]).port = 0);
    let mut stage = sample::canary_stage();
    let proxy = proxy_of(&mut stage.canary.as_mut().unwrap().integrations[1]);
    proxy.target_group = Some("gone".to_owned());
    let mut account = sample::account();
    account.domains.clear();
    let error = check_snapshot(1, &[Unit::Account(account), Unit::Stage(stage)]).unwrap_err();
    assert_eq!(error.problem, Problem::Dangling { found: "gone".to_owned() });
}

#[test]
fn rules() {
    let rule_refused = |change: &dyn Fn(&mut RoutingRule)| {
        let mut account = sample::account();
        change(&mut account.domains[0].rules[1]);
        refused(&Unit::Account(account))
    };
    let error = rule_refused(&|rule| rule.priority = 1);
    assert_eq!(error, "domain api.example.com, rule priorities: \"1\" is there twice");
    let error = rule_refused(&|rule| rule.headers[0].any_of.clear());
    assert_eq!(error, "domain api.example.com, rule 20, header condition: is empty");
    for bad in ["", "a*b", "a**", "é", "a\n"] {
        rule_refused(&|rule| bad.clone_into(&mut rule.headers[0].any_of[0].value_glob));
    }
    for bad in ["", "X-Upper", "a b"] {
        rule_refused(&|rule| bad.clone_into(&mut rule.headers[0].any_of[0].name));
    }
    for bad in ["", "/a", "a/", "a%41"] {
        rule_refused(&|rule| bad.clone_into(&mut rule.base_paths[0]));
    }
    rule_refused(&|rule| rule.stage.clear());
    rule_refused(&|rule| rule.api_id.clear());
    rule_refused(&|rule| rule.headers = vec![rule.headers[0].clone(); 17]);
    let mut account = sample::account();
    for (rule, glob) in account.domains[0].rules.iter_mut().zip(["*", "*a b*"]) {
        glob.clone_into(&mut rule.headers[0].any_of[0].value_glob);
    }
    assert_eq!(check_unit(&Unit::Account(account), &Limits::default()), Ok(()));
}

#[test]
fn roots() {
    let limits = Limits::default();
    let unit = |n: u8, bytes_len| UnitRef { hash: UnitHash([n; 32]), bytes_len };
    let problem =
        |version, units, limits: &Limits| check_root(&Root { version, units }, limits).map_err(|e| e.problem);
    assert_eq!(problem(0, vec![], &limits), Ok(()));
    assert_eq!(problem(1, vec![unit(1, 100), unit(2, 100)], &limits), Ok(()));
    assert_eq!(problem(0, vec![unit(1, 100)], &limits), Err(Problem::UnitsInVersionZero { found: 1 }));
    let twice = problem(1, vec![unit(1, 100), unit(1, 100)], &limits);
    assert!(matches!(twice, Err(Problem::Duplicate { .. })));
    assert_eq!(problem(1, vec![unit(1, 31)], &limits), Err(Problem::TooShort { bytes_len: 31 }));
    let tight = Limits { units_max: 1, unit_bytes_max: 99, ..Limits::default() };
    let many = problem(1, vec![unit(1, 50), unit(2, 50)], &tight);
    assert_eq!(many, Err(Problem::TooMany { found: 2, max: 1 }));
    assert_eq!(problem(1, vec![unit(1, 100)], &tight), Err(Problem::TooLarge { bytes: 100, bytes_max: 99 }));
    let tight = Limits { snapshot_bytes_max: 199, ..Limits::default() };
    let heavy = problem(1, vec![unit(1, 100), unit(2, 100)], &tight);
    assert_eq!(heavy, Err(Problem::TooLarge { bytes: 200, bytes_max: 199 }));
}

#[test]
fn snapshots_have_one_account_and_each_stage_once() {
    let mut account = sample::account();
    account.domains.clear();
    let units = [Unit::Account(account), Unit::Stage(sample::stage())];
    assert_eq!(check_snapshot(1, &units), Ok(()));
    assert_eq!(check_snapshot(0, []), Ok(()));
    let problem = |version, units: &[Unit]| check_snapshot(version, units).map_err(|e| e.problem);
    assert_eq!(problem(1, &[]), Err(Problem::AccountUnits { found: 0 }));
    assert_eq!(problem(1, &[units[0].clone(), units[0].clone()]), Err(Problem::AccountUnits { found: 2 }));
    let twice = problem(1, &[units[0].clone(), units[1].clone(), units[1].clone()]);
    assert_eq!(twice, Err(Problem::Duplicate { found: "a1b2c3d4e5/$default".to_owned() }));
}

#[test]
fn what_a_snapshot_refers_to_is_in_it() {
    let units = sample::units();
    assert_eq!(check_snapshot(1, &units), Ok(()));
    let without = |left_out: usize| {
        let rest = units.iter().enumerate().filter(|(index, _)| *index != left_out);
        check_snapshot(1, &rest.map(|(_, unit)| unit.clone()).collect::<Vec<_>>()).unwrap_err().to_string()
    };
    assert_eq!(without(4), "domain api.example.com, certificate: \"c1\" isn't in the snapshot");
    assert_eq!(without(5), "domain api.example.com, client trust store: \"t1\" isn't in the snapshot");
    assert_eq!(
        without(6),
        "stage tls of api a1b2c3d4e5, integration i0, target group: \"g1\" isn't in the snapshot"
    );
    for (unit, id) in [(4, "c1"), (5, "t1"), (6, "g1")] {
        let twice = [&units[..], &units[unit..=unit]].concat();
        let problem = check_snapshot(1, &twice).unwrap_err().problem;
        assert_eq!(problem, Problem::Duplicate { found: id.to_owned() });
    }
}

#[test]
fn a_snapshot_that_follows_is_checked_where_it_differs() {
    let units = sample::units();
    for shared in [4, 5, 6, 9] {
        let rest = units.iter().enumerate().filter(|(index, _)| *index != shared);
        let rest: Vec<Unit> = rest.map(|(_, unit)| unit.clone()).collect();
        let (shared, whole) = (&units[shared], check_snapshot(1, &rest));
        assert!(whole.is_err());
        assert_eq!(check_next_snapshot(2, &rest, [], [shared]), whole, "what refers to it was there before");
        assert_eq!(check_next_snapshot(2, &rest, &rest, []), whole, "what refers to it has come");
        assert_eq!(check_next_snapshot(2, &units, [shared], [shared]), Ok(()), "one of its name has come");
        assert_eq!(check_next_snapshot(2, &rest, [], []), Ok(()), "nothing has come or gone");
    }
    let twice = [&units[..], &units[1..2]].concat();
    assert_eq!(check_next_snapshot(2, &twice, [], []), check_snapshot(2, &twice));
    assert!(check_snapshot(2, &twice).is_err());
}

#[test]
fn tls_belongs_to_https_integrations() {
    proxy_refused(|proxy| proxy.scheme = Scheme::Https);
    let tls = UpstreamTls {
        server_name: None,
        insecure_skip_verification: true,
        trust_store: None,
        client_certificate: None,
    };
    proxy_refused(|proxy| proxy.tls = Some(tls.clone()));
    let named = UpstreamTls { server_name: Some("no name".to_owned()), ..tls };
    proxy_refused(|proxy| (proxy.scheme, proxy.tls) = (Scheme::Https, Some(named)));
}

#[test]
fn certificates_and_trust_stores_are_there() {
    let changed = |change: fn(&mut CertificateUnit)| {
        let mut certificate = sample::certificate();
        change(&mut certificate);
        refused(&Unit::Certificate(certificate))
    };
    changed(|certificate| certificate.chain.clear());
    changed(|certificate| certificate.chain[0].clear());
    changed(|certificate| certificate.private_key.clear());
    changed(|certificate| certificate.chain[0] = vec![0; (1 << 20) + 1]);
    refused(&Unit::TrustStore(TrustStoreUnit { id: "t".to_owned(), certificates: Vec::new() }));
}

#[test]
fn bounds_of_a_target_group() {
    let changed = |change: fn(&mut TargetGroupUnit)| {
        let mut group = sample::target_group();
        change(&mut group);
        refused(&Unit::TargetGroup(group))
    };
    let error = changed(|group| group.targets[1].weight = 0);
    assert_eq!(error, "target group g1, target 1, weight: 0 isn't from 1 to 1000");
    changed(|group| group.targets[0].weight = 1_001);
    let error = changed(|group| group.targets.push(group.targets[0].clone()));
    assert_eq!(error, "target group g1, target 3: the same endpoint as target 0");
    let error = changed(|group| group.slow_start_ms = 900_001);
    assert_eq!(error, "target group g1, slow start: 900001 ms, the limit is 900000 ms");
    changed(|group| group.targets[0].endpoint = Endpoint::Host { host: "a b".to_owned(), port: 1 });
    changed(|group| group.targets[0].endpoint = Endpoint::Host { host: "a".to_owned(), port: 0 });
    changed(|group| group.targets[0].endpoint = Endpoint::Unix { path: "run/relative".to_owned() });
    changed(|group| group.targets[0].endpoint = Endpoint::Unix { path: format!("/{}", "a".repeat(107)) });
    changed(|group| group.balancing = Balancing::HashHeader { name: "Upper".to_owned() });
    changed(|group| group.panic_threshold_percent = 101);
    changed(|group| group.retry.tries_max = 0);
    changed(|group| group.retry.statuses = vec![500]);
    changed(|group| group.health_check.as_mut().unwrap().interval_ms = 0);
    changed(|group| group.outlier_ejection.as_mut().unwrap().ejection_ms_max = 1);
    changed(|group| {
        let Probe::Http { path, .. } = &mut group.health_check.as_mut().unwrap().probe else {
            unreachable!()
        };
        *path = "/ HTTP/1.1\r\nX: 1".to_owned();
    });
}

#[test]
fn throttles_are_bounded() {
    let mut account = sample::account();
    account.throttle = Some(sample::throttle(1_000_000_000_001, 1));
    let error = refused(&Unit::Account(account));
    assert_eq!(error, "account, throttle: 1000000000001 requests in 1,000 s, the limit is 1000000000000");
    stage_refused(|stage| stage.routes[0].settings.throttle = Some(sample::throttle(u64::MAX, 0)));
}

fn cached_refused(change: impl FnOnce(&mut StageUnit)) -> String {
    let mut stage = sample::cached_stage();
    change(&mut stage);
    refused(&Unit::Stage(stage))
}

fn route_cache(stage: &mut StageUnit) -> &mut RouteCache {
    stage.routes[1].settings.cache.as_mut().unwrap()
}

#[test]
fn caches_of_stages_and_routes() {
    let error = cached_refused(|stage| stage.cache = None);
    assert!(error.ends_with("route 1 (GET /pets/{id}), cache: only in a stage with a cache"), "{error}");
    cached_refused(|stage| stage.cache.as_mut().unwrap().bytes_max = 0);
    let error = cached_refused(|stage| stage.cache.as_mut().unwrap().flushed_before = 10);
    assert!(error.ends_with("cache flush: is ahead of the cache's own generation"), "{error}");
    cached_refused(|stage| stage.cache.as_mut().unwrap().purges[0].purged_before = 10);
    for tag in ["", "a b", "a,b", "é", &"a".repeat(257)] {
        cached_refused(|stage| tag.clone_into(&mut stage.cache.as_mut().unwrap().purges[0].tag));
    }
    cached_refused(|stage| route_cache(stage).ttl_s = 3_601);
    cached_refused(|stage| route_cache(stage).namespace.clear());
    let parts = [
        CacheKeyPart::PathParameter("name".to_owned()),
        CacheKeyPart::Query(String::new()),
        CacheKeyPart::Header("Accept".to_owned()),
        CacheKeyPart::Header("a b".to_owned()),
    ];
    for part in parts {
        cached_refused(|stage| route_cache(stage).key.push(part));
    }
    cached_refused(|stage| route_cache(stage).key = vec![CacheKeyPart::Path; 101]);
    let mut stage = sample::cached_stage();
    stage.canary = sample::canary_stage().canary;
    let canary = stage.canary.as_mut().unwrap();
    canary.routes[0].settings.cache = stage.routes[1].settings.cache.clone();
    let error = refused(&Unit::Stage(stage));
    assert!(error.ends_with("the route hasn't the path variable \"id\""), "{error}");
}

fn plan_refused(change: impl FnOnce(&mut UsagePlanUnit)) -> String {
    let mut plan = sample::usage_plan();
    change(&mut plan);
    refused(&Unit::UsagePlan(plan))
}

#[test]
fn usage_plans() {
    plan_refused(|plan| plan.id.clear());
    let twice = plan_refused(|plan| plan.stages.push(plan.stages[0].clone()));
    assert!(twice.ends_with("stages: \"stage cached of api a1b2c3d4e5\" is there twice"), "{twice}");
    plan_refused(|plan| plan.stages[0].api_id.clear());
    plan_refused(|plan| "a/b".clone_into(&mut plan.stages[0].stage));
    plan_refused(|plan| {
        let route = plan.stages[0].routes[0].clone();
        plan.stages[0].routes.push(route);
    });
    plan_refused(|plan| "get".clone_into(&mut plan.stages[0].routes[0].method));
    plan_refused(|plan| "/{a+}/b".clone_into(&mut plan.stages[0].routes[0].path));
    for (period, beyond) in [(QuotaPeriod::Day, 1), (QuotaPeriod::Week, 7), (QuotaPeriod::Month, 28)] {
        let error = plan_refused(|plan| {
            plan.quota = Some(Quota { requests: 1, period, offset_days: beyond });
        });
        assert!(error.contains(&format!("{beyond} isn't from 0 to {}", beyond - 1)), "{error}");
    }
}

fn keys_refused(change: impl FnOnce(&mut ApiKeysUnit)) -> String {
    let mut keys = sample::api_keys();
    change(&mut keys);
    refused(&Unit::ApiKeys(keys))
}

#[test]
fn api_keys_are_in_their_slice_and_in_order() {
    keys_refused(|unit| unit.slice = 2);
    keys_refused(|unit| (unit.slice, unit.slices) = (0, 0));
    let error = keys_refused(|unit| unit.slice = 0);
    assert!(error.ends_with("digest: the slice is 0, a key of it belongs into slice 1"), "{error}");
    keys_refused(|unit| unit.keys.swap(0, 1));
    keys_refused(|unit| unit.keys.push(unit.keys[1].clone()));
    let error = keys_refused(|unit| unit.keys[1].plans.push(1));
    assert!(error.ends_with("API key k255, usage plan: index 1 points past the 1 usage plans"), "{error}");
    keys_refused(|unit| unit.plans.push("p1".to_owned()));
    keys_refused(|unit| unit.keys[0].id.clear());
}

#[test]
fn slices_cut_all_digests() {
    let slice = |first: [u8; 4], slices| {
        let mut digest = [0x5a; 32];
        digest[..4].copy_from_slice(&first);
        ApiKey::slice_of(&digest, slices)
    };
    assert_eq!((slice([0; 4], 1), slice([0xff; 4], 1)), (0, 0));
    assert_eq!((slice([0; 4], 1_000), slice([0xff; 4], 1_000)), (0, 999));
    assert_eq!((slice([0x7f, 0xff, 0xff, 0xff], 2), slice([0x80, 0, 0, 0], 2)), (0, 1));
    assert_eq!(slice([0xff; 4], u32::MAX), u32::MAX - 1);
}

#[test]
fn slices_and_plans_of_a_snapshot_fit_together() {
    let units = |change: &dyn Fn(&mut ApiKeysUnit)| {
        let mut second = sample::api_keys();
        second.slice = 0;
        second.keys.clear();
        change(&mut second);
        let mut units = sample::units();
        units.push(Unit::ApiKeys(second));
        check_snapshot(1, &units).map_err(|error| error.to_string())
    };
    assert_eq!(units(&|_| {}), Ok(()));
    let error = units(&|unit| unit.slices = 3).unwrap_err();
    assert_eq!(error, "slice 0 of the API keys: cut into 3, another slice into 2");
    let error = units(&|unit| unit.slice = 1).unwrap_err();
    assert_eq!(error, "API keys: \"slice 1\" is there twice");
    let error = units(&|unit| unit.plans = vec!["p2".to_owned()]).unwrap_err();
    assert_eq!(error, "slice 0 of the API keys, usage plan: \"p2\" isn't in the snapshot");
    let mut twice = sample::units();
    twice.push(Unit::UsagePlan(sample::usage_plan()));
    let error = check_snapshot(1, &twice).unwrap_err().to_string();
    assert_eq!(error, "usage plans: \"p1\" is there twice");
}
