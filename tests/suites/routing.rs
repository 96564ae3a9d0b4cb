//! Which route of which stage of which API answers, by every form of address.

use turnpike_snapshot::{AcmeChallenge, Unit};
use turnpike_tests::{
    DataPlane, Options, Origin, Reply, StageBuilder, account, host, http_api, request, rest_api,
};

/// A stage whose routes each go to `/route` followed by their number and what their variables hold.
fn numbered(mut stage: StageBuilder, origin: &Origin, routes: &[&str]) -> StageBuilder {
    for (number, key) in routes.iter().enumerate() {
        let variables: String = key
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| format!("/{{{}}}", name.trim_end_matches('+')))
            .collect();
        stage = stage.route(key, &origin.url(&format!("/{number}{variables}")));
    }
    stage
}

fn target(reply: &Reply) -> String {
    reply.echo().target
}

fn assert_missing_authentication_token(reply: &Reply) {
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert_eq!(reply.text(), r#"{"message":"Missing Authentication Token"}"#);
    assert_eq!(reply.headers.one("x-amzn-errortype"), Some("MissingAuthenticationTokenException"));
    assert!(reply.headers.has("x-amzn-requestid"));
    assert_eq!(reply.headers.one("content-type"), Some("application/json"));
}

fn assert_not_found(reply: &Reply) {
    assert_eq!(reply.status, 404, "{}", reply.text());
    assert_eq!(reply.text(), r#"{"message":"Not Found"}"#);
    assert_eq!(reply.headers.one("content-type"), Some("application/json"));
}

#[test]
fn rest_prefers_static_to_variable_to_greedy() {
    let origin = Origin::echo();
    let routes = [
        "GET /",
        "GET /pets",
        "GET /pets/{id}",
        "GET /pets/top",
        "GET /pets/{id}/toys",
        "GET /pets/{id}/toys/{toy}",
        "GET /files/{proxy+}",
        "GET /files/readme",
        "ANY /any",
        "POST /any",
        "ANY /{rest+}",
    ];
    let plane = DataPlane::serving(&[numbered(rest_api("r1", "prod"), &origin, &routes)]);
    let mut client = plane.connect();
    for (method, path, expected) in [
        ("GET", "/", "/0"),
        ("GET", "/pets", "/1"),
        ("GET", "/pets/7", "/2/7"),
        ("GET", "/pets/top", "/3"),
        ("GET", "/pets/top1", "/2/top1"),
        ("GET", "/pets/top/toys", "/4/top"),
        ("GET", "/pets/7/toys", "/4/7"),
        ("GET", "/pets/7/toys/ball", "/5/7/ball"),
        ("GET", "/files/a/b/c", "/6/a/b/c"),
        ("GET", "/files/readme", "/7"),
        ("GET", "/any", "/8"),
        ("DELETE", "/any", "/8"),
        ("POST", "/any", "/9"),
        ("GET", "/else/where", "/10/else/where"),
        ("PUT", "/pets/7/toys/ball/deep", "/10/pets/7/toys/ball/deep"),
    ] {
        let reply = client.exchange(request(method, "r1", &format!("/prod{path}")));
        assert_eq!(target(&reply), expected, "{method} {path}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn rest_routes_that_do_not_exist_lack_a_token() {
    let origin = Origin::echo();
    let stage = numbered(rest_api("r1", "prod"), &origin, &["GET /pets/{id}", "GET /files/{proxy+}"]);
    let plane = DataPlane::serving(&[stage]);
    let mut client = plane.connect();
    for (method, path) in [
        ("GET", "/prod"),
        ("GET", "/prod/"),
        ("GET", "/prod/pets"),
        ("GET", "/prod/pets/1/2"),
        ("POST", "/prod/pets/1"),
        ("GET", "/prod/Pets/1"),
        ("GET", "/prod/files"),
        ("GET", "/prod/none"),
    ] {
        let reply = client.exchange(request(method, "r1", path));
        assert_missing_authentication_token(&reply);
    }
    assert_eq!(origin.seen(), []);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn http_prefers_full_matches_to_greedy_ones_to_the_default() {
    let origin = Origin::echo();
    let routes = [
        "GET /pets/dog/1",
        "GET /pets/dog/{id}",
        "GET /pets/{proxy+}",
        "ANY /pets/{proxy+}",
        "ANY /exact",
        "GET /exact",
        "GET /{proxy+}",
        "$default",
    ];
    let plane = DataPlane::serving(&[numbered(http_api("a1"), &origin, &routes)]);
    let mut client = plane.connect();
    for (method, path, expected) in [
        ("GET", "/pets/dog/1", "/0"),
        ("GET", "/pets/dog/2", "/1/2"),
        ("GET", "/pets/cat/1", "/2/cat/1"),
        ("GET", "/pets/dog/2/3", "/2/dog/2/3"),
        ("POST", "/pets/dog/1", "/3/dog/1"),
        ("GET", "/exact", "/5"),
        ("PUT", "/exact", "/4"),
        ("GET", "/other/place", "/6/other/place"),
        ("POST", "/other/place", "/7"),
        ("POST", "/", "/7"),
    ] {
        let reply = client.exchange(request(method, "a1", path));
        assert_eq!(target(&reply), expected, "{method} {path}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn http_routes_that_do_not_exist_are_not_found() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[numbered(http_api("a1"), &origin, &["GET /pets/{id}"])]);
    let mut client = plane.connect();
    for (method, path) in [("GET", "/"), ("GET", "/pets"), ("POST", "/pets/1"), ("GET", "/pets/1/2")] {
        let reply = client.exchange(request(method, "a1", path));
        assert_not_found(&reply);
        assert!(reply.headers.has("apigw-requestid"));
    }
    assert_eq!(origin.seen(), []);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn the_default_stage_has_no_prefix_and_others_have() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[
        http_api("a1").route("$default", &origin.url("/default{request.path}")),
        http_api("a1").stage("beta").route("$default", &origin.url("/beta-stage{request.path}")),
    ]);
    let mut client = plane.connect();
    for (path, expected) in [
        ("/x", "/default/x"),
        ("/beta", "/beta-stage/"),
        ("/beta/", "/beta-stage/"),
        ("/beta/x/y", "/beta-stage/x/y"),
        ("/betamax", "/default/betamax"),
        ("/", "/default/"),
    ] {
        assert_eq!(target(&client.exchange(request("GET", "a1", path))), expected, "{path}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn answers_at_the_host_of_the_api() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[
        rest_api("r1", "prod").route("GET /x", &origin.url("/rest")),
        http_api("a1").route("$default", &origin.url("/http")),
    ]);
    let mut client = plane.connect();
    let mut at =
        |host: &str, path: &str| client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(target(&at(&host("r1"), "/prod/x")), "/rest");
    assert_eq!(target(&at(&host("a1"), "/x")), "/http");
    assert_eq!(target(&at(&format!("{}:8080", host("a1")), "/x")), "/http");
    assert_eq!(target(&at(&host("a1").to_uppercase(), "/x")), "/http");
    for (host, path) in [
        (host("none"), "/x"),
        (host("r1"), "/none/x"),
        (host("r1"), "/"),
        (host("r1"), "/prodx/x"),
        ("a1.execute-api.eu-west-1.localhost".to_owned(), "/x"),
        ("elsewhere.example".to_owned(), "/x"),
        ("127.0.0.1".to_owned(), "/x"),
    ] {
        let reply = at(&host, path);
        assert!(matches!(reply.status, 403 | 404), "{host} {path}: {}", reply.status);
        assert!(reply.json()["message"].is_string());
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn answers_at_the_reserved_path() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[
        rest_api("r1", "prod").route("GET /x/{id}", &origin.url("/rest/{id}")),
        http_api("a1").route("$default", &origin.url("/http{request.path}")),
        http_api("a1").stage("beta").route("$default", &origin.url("/beta{request.path}")),
    ]);
    let mut client = plane.connect();
    let mut at = |path: &str| client.exchange(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
    assert_eq!(target(&at("/_aws/execute-api/r1/prod/x/5")), "/rest/5");
    assert_eq!(target(&at("/_aws/execute-api/a1/$default/deep/path?q=1")), "/http/deep/path?q=1");
    assert_eq!(target(&at("/_aws/execute-api/a1/$default")), "/http/");
    assert_eq!(target(&at("/_aws/execute-api/a1/beta/deep")), "/beta/deep");
    for path in
        ["/_aws/execute-api/none/prod/x", "/_aws/execute-api/r1/none/x", "/_aws/execute-api/r1", "/_aws"]
    {
        let status = at(path).status;
        assert!(matches!(status, 403 | 404), "{path}: {status}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn custom_domains_map_the_longest_key_first() {
    let origin = Origin::echo();
    let stages = [
        http_api("main").route("$default", &origin.url("/main{request.path}")),
        http_api("shop").route("$default", &origin.url("/shop{request.path}")),
        rest_api("cart", "v1").route("ANY /{proxy+}", &origin.url("/cart/{proxy}")),
    ];
    let domains = account(&[
        (
            "api.example.com",
            &[("", "main", "$default"), ("shop", "shop", "$default"), ("shop/cart", "cart", "v1")],
        ),
        ("bare.example.com", &[("only", "shop", "$default")]),
    ]);
    let plane = DataPlane::with_account(&Options::new(), &stages, domains);
    let mut client = plane.connect();
    let mut at =
        |host: &str, path: &str| client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for (path, expected) in [
        ("/", "/main/"),
        ("/x", "/main/x"),
        ("/shop", "/shop/"),
        ("/shop/x", "/shop/x"),
        ("/shopping", "/main/shopping"),
        ("/shop/cart/7", "/cart/7"),
        ("/shop/carts/7", "/shop/carts/7"),
    ] {
        assert_eq!(target(&at("api.example.com", path)), expected, "{path}");
        assert_eq!(target(&at("API.Example.com:443", path)), expected, "{path}");
    }
    assert_eq!(target(&at("bare.example.com", "/only/x")), "/shop/x");
    for path in ["/", "/other", "/onlyx"] {
        let status = at("bare.example.com", path).status;
        assert!(matches!(status, 403 | 404), "{path}: {status}");
    }
    // The reserved path is for hosts that are no custom domain.
    assert_eq!(
        target(&at("api.example.com", "/_aws/execute-api/shop/$default/x")),
        "/main/_aws/execute-api/shop/$default/x"
    );
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_disabled_endpoint_is_closed_but_for_custom_domains() {
    let origin = Origin::echo();
    let stages = [
        http_api("a1").endpoint_disabled().route("$default", &origin.url("/http")),
        rest_api("r1", "prod").endpoint_disabled().route("GET /x", &origin.url("/rest")),
    ];
    let domains = account(&[("api.example.com", &[("", "a1", "$default"), ("r", "r1", "prod")])]);
    let plane = DataPlane::with_account(&Options::new(), &stages, domains);
    let mut client = plane.connect();
    let mut at =
        |host: &str, path: &str| client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(target(&at("api.example.com", "/x")), "/http");
    assert_eq!(target(&at("api.example.com", "/r/x")), "/rest");
    let own = "127.0.0.1".to_owned();
    let (rest, http) = ((403, r#"{"message":"Forbidden"}"#), (404, r#"{"message":"Not Found"}"#));
    for (host, path, closed) in [
        (host("a1"), "/x", http),
        (host("A1") + ".", "/x", http),
        (host("r1"), "/prod/x", rest),
        (own.clone(), "/_aws/execute-api/a1/$default/x", http),
        (own.clone(), "/_aws/execute-api/a1/x", http),
        (own.clone(), "/_aws/execute-api/r1/prod/x", rest),
        (own, "/%5Faws/execute-api/r1/prod/x", rest),
    ] {
        let reply = at(&host, path);
        assert_eq!((reply.status, reply.text()), closed, "{host}{path}");
    }
    assert_eq!(origin.seen().len(), 2);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn path_variables_and_queries_reach_the_origin_as_they_were_sent() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[http_api("a1")
        .route("GET /pets/{id}", &origin.url("/animals/{id}/view?fixed=1"))
        .route("GET /files/{path+}", &origin.url("/f/{path}"))
        .route("GET /same/{id}", &origin.url("/{id}-{id}"))]);
    let mut client = plane.connect();
    for (sent, expected) in [
        ("/pets/7", "/animals/7/view?fixed=1"),
        ("/pets/7?a=b&a=c", "/animals/7/view?fixed=1&a=b&a=c"),
        ("/pets/7?", "/animals/7/view?fixed=1"),
        ("/pets/a%20b%2Fc", "/animals/a%20b%2Fc/view?fixed=1"),
        ("/files/a%2Fb/c?x=%26&y=a+b", "/f/a%2Fb/c?x=%26&y=a+b"),
        ("/files/a//b", "/f/a//b"),
        ("/same/9", "/9-9"),
    ] {
        assert_eq!(target(&client.exchange(request("GET", "a1", sent))), expected, "{sent}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn escapes_and_dot_segments_are_no_way_around_a_route() {
    let origin = Origin::echo();
    let plane = DataPlane::serving(&[http_api("a1")
        .route("GET /public/{path+}", &origin.url("/public/{path}"))
        .route("GET /secret", &origin.url("/secret"))]);
    let mut client = plane.connect();
    assert_eq!(target(&client.exchange(request("GET", "a1", "/s%65cret"))), "/secret");
    for path in [
        "/public/../secret",
        "/public/..%2fsecret",
        "/public/%2e%2e/secret",
        "/public/%2E%2E%2Fsecret",
        "/public/.",
        "/public/..",
        "/public/..;/secret",
        "/public/%00",
        "/public/a\\..\\secret",
    ] {
        let mut client = plane.connect();
        let reply = client.exchange(request("GET", "a1", path));
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.status);
    }
    assert_eq!(origin.seen().len(), 1);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_integration_may_fix_the_method() {
    let origin = Origin::echo();
    let plane =
        DataPlane::serving(&[rest_api("r1", "s").route_with_method("ANY /x", &origin.url("/y"), "PUT")]);
    let mut client = plane.connect();
    for method in ["GET", "POST", "PUT"] {
        assert_eq!(client.exchange(request(method, "r1", "/s/x")).echo().method, "PUT");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn ten_thousand_routes_in_two_hundred_apis() {
    let origin = Origin::echo();
    let stages: Vec<StageBuilder> = (0..200)
        .map(|api| {
            (0..50).fold(rest_api(&format!("api{api}"), "s"), |stage, route| {
                stage.route(
                    &format!("GET /c{route}/{{id}}/leaf"),
                    &origin.url(&format!("/{api}/{route}/{{id}}")),
                )
            })
        })
        .collect();
    let plane = DataPlane::serving(&stages);
    let mut client = plane.connect();
    for (api, route) in [(0, 0), (199, 49), (77, 23), (123, 7)] {
        let reply = client.exchange(request("GET", &format!("api{api}"), &format!("/s/c{route}/id9/leaf")));
        assert_eq!(target(&reply), format!("/{api}/{route}/id9"));
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_acme_challenge_is_answered_ahead_of_what_the_host_serves() {
    let origin = Origin::echo();
    let stages = [http_api("main").route("$default", &origin.url("/main{request.path}"))];
    let Unit::Account(mut account) = account(&[("api.example.com", &[("", "main", "$default")])]) else {
        panic!("an account")
    };
    for host in ["api.example.com", "new.example.com"] {
        account.acme_challenges.push(AcmeChallenge {
            host: host.to_owned(),
            token: format!("token-of-{host}"),
            key_authorization: format!("answer-of-{host}"),
        });
    }
    let plane = DataPlane::with_account(&Options::new(), &stages, Unit::Account(account));
    let mut client = plane.connect();
    let mut at = |method: &str, host: &str, token: &str| {
        let target = format!("/.well-known/acme-challenge/{token}");
        client.exchange(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
    for host in ["api.example.com", "new.example.com:80", "NEW.example.com"] {
        let name = host.split(':').next().unwrap_or_default().to_lowercase();
        let reply = at("GET", host, &format!("token-of-{name}"));
        assert_eq!((reply.status, reply.text()), (200, &*format!("answer-of-{name}")), "{host}");
        assert_eq!(reply.headers.one("content-type"), Some("application/octet-stream"));
    }
    let elsewhere = at("GET", "api.example.com", "token-of-new.example.com");
    assert_eq!(target(&elsewhere), "/main/.well-known/acme-challenge/token-of-new.example.com");
    assert_eq!(at("POST", "new.example.com", "token-of-new.example.com").status, 403);
    assert_eq!(at("GET", "new.example.com", "other").status, 403);
    drop(client);
    plane.assert_at_rest();
}
