//! A custom domain's rules decide before its mappings, by priority.

use turnpike_snapshot::RoutingRule;
use turnpike_tests::{
    Client, DataPlane, Mapped, Options, Origin, Reply, StageBuilder, account_with_rules, http_api, rest_api,
    rule,
};

const DOMAIN: &str = "api.example.com";

fn stages(origin: &Origin) -> Vec<StageBuilder> {
    let rest = |id: &str| {
        rest_api(id, "prod")
            .route("ANY /{p+}", &origin.url(&format!("/{id}/{{p}}")))
            .route("ANY /", &origin.url(&format!("/{id}")))
    };
    vec![
        rest("old"),
        rest("new"),
        rest("beta"),
        http_api("web").route("$default", &origin.url("/web{request.path}")),
    ]
}

fn plane(origin: &Origin, mappings: &[Mapped<'_>], rules: &[RoutingRule]) -> DataPlane {
    DataPlane::with_account(
        &Options::new(),
        &stages(origin),
        account_with_rules(&[(DOMAIN, mappings, rules)]),
    )
}

fn get(client: &mut Client, path: &str, headers: &str) -> Reply {
    client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {DOMAIN}\r\n{headers}\r\n"))
}

#[test]
fn the_lowest_priority_that_matches_decides() {
    let origin = Origin::echo();
    let rules = [
        rule(200, &[], &["pets"], ("new", "prod")),
        rule(50, &[("x-version", "beta*"), ("x-tenant", "blue")], &["pets"], ("beta", "prod")),
        rule(100, &[("x-version", "beta*")], &[], ("web", "$default")),
    ];
    let plane = plane(&origin, &[("", "old", "prod"), ("pets/cats", "old", "prod")], &rules);
    let mut client = plane.connect();
    for (path, headers, expected) in [
        ("/pets/7", "", "/new/7"),
        ("/pets", "", "/new"),
        ("/pets/cats/7", "", "/new/cats/7"),
        ("/pets/7", "x-version: beta\r\nx-tenant: blue\r\n", "/beta/7"),
        ("/pets/7", "X-Version: beta-2\r\nX-TENANT: blue\r\n", "/beta/7"),
        ("/pets/7", "x-version: beta\r\n", "/web/pets/7"),
        ("/pets/7", "x-version: Beta\r\n", "/new/7"),
        ("/pets/7", "x-version: alpha\r\nx-version: beta\r\n", "/web/pets/7"),
        ("/other", "x-version: beta\r\nx-tenant: blue\r\n", "/web/other"),
        ("/petsy", "", "/old/petsy"),
        ("/Pets", "", "/old/Pets"),
        ("/", "x-tenant: blue\r\n", "/old"),
    ] {
        assert_eq!(get(&mut client, path, headers).echo().target, expected, "{path} {headers:?}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn any_of_several_and_the_longest_base_path() {
    let origin = Origin::echo();
    let mut either = rule(1, &[("a", "1")], &["v1", "v1/pets"], ("new", "prod"));
    either.headers[0]
        .any_of
        .push(turnpike_snapshot::HeaderMatch { name: "b".to_owned(), value_glob: "*2*".to_owned() });
    let plane = plane(&origin, &[], &[either]);
    let mut client = plane.connect();
    for (path, headers, expected) in [
        ("/v1/pets/7", "a: 1\r\n", Some("/new/7")),
        ("/v1/dogs/7", "b: 321\r\n", Some("/new/dogs/7")),
        ("/v1/dogs", "a: 2\r\n", None),
        ("/v2/dogs", "a: 1\r\n", None),
        ("/v1/dogs", "", None),
    ] {
        let reply = get(&mut client, path, headers);
        match expected {
            Some(expected) => assert_eq!(reply.echo().target, expected, "{path} {headers:?}"),
            // Without mappings there is nothing else.
            None => assert_eq!((reply.status, reply.text()), (403, r#"{"message":"Forbidden"}"#), "{path}"),
        }
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_base_path_can_stay() {
    let origin = Origin::echo();
    let mut whole = rule(1, &[], &["pets"], ("new", "prod"));
    whole.strip_base_path = false;
    let format =
        "$context.customDomain.routingRuleIdMatched $context.customDomain.basePathMatched $context.apiId";
    let mut stages = stages(&origin);
    stages[1] = stages[1].clone().access_log("rules", format);
    stages[0] = stages[0].clone().access_log("rules", format);
    let account = account_with_rules(&[(DOMAIN, &[("m", "old", "prod")], &[whole])]);
    let plane = DataPlane::with_account(&Options::new(), &stages, account);
    let mut client = plane.connect();
    assert_eq!(get(&mut client, "/pets/7", "").echo().target, "/new/pets/7");
    assert_eq!(get(&mut client, "/m/7", "").echo().target, "/old/7");
    drop(client);
    let path = plane.gateway.data_dir.join("access-logs/rules.log");
    let lines = turnpike_tests::until("two lines", || {
        std::fs::read_to_string(&path).ok().filter(|text| text.lines().count() == 2)
    });
    assert_eq!(lines, "rule1 pets new\n- m old\n");
    plane.assert_at_rest();
}

#[test]
fn rules_change_without_a_pause() {
    let origin = Origin::echo();
    let mut plane = plane(&origin, &[("", "old", "prod")], &[rule(1, &[], &[], ("new", "prod"))]);
    let mut client = plane.connect();
    assert_eq!(get(&mut client, "/x", "").echo().target, "/new/x");
    let account = account_with_rules(&[(DOMAIN, &[("", "old", "prod")], &[])]);
    plane.publish_units(&stages(&origin), account, Vec::new());
    assert_eq!(get(&mut client, "/x", "").echo().target, "/old/x");
    // A rule keeps what is its own, even while its stage isn't served.
    let account =
        account_with_rules(&[(DOMAIN, &[("", "old", "prod")], &[rule(3, &[], &["x"], ("gone", "prod"))])]);
    plane.publish_units(&stages(&origin), account, Vec::new());
    let reply = get(&mut client, "/x", "");
    assert_eq!((reply.status, reply.text()), (403, r#"{"message":"Forbidden"}"#));
    assert_eq!(get(&mut client, "/y", "").echo().target, "/old/y");
    drop(client);
    plane.assert_at_rest();
}
