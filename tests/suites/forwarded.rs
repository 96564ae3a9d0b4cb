//! Forwarding fields: passed on and added to as AWS does, believed only from listed proxies, in the family that the
//! operator named, and never a way to hide or to become somebody else.

use turnpike_tests::{DataPlane, Fields, Options, Origin, http_api, request, rest_api};

/// Serves the HTTP API `a1` and the REST API `r1`, stage `s`; logs each request's source.
fn plane(settings: &[(&str, &str)]) -> (DataPlane, Origin) {
    let origin = Origin::echo();
    let options =
        Options::new().set("access_log", "-").set("access_log_format", "from $context.identity.sourceIp");
    let options = settings.iter().fold(options, |options, (name, value)| options.set(name, value));
    let stages = [
        http_api("a1").route("$default", &origin.url("/")),
        rest_api("r1", "s").route("ANY /x", &origin.url("/")),
    ];
    (DataPlane::with(&options, &stages), origin)
}

/// What the origin got, and the source that the log names.
fn sent(plane: &mut DataPlane, api: &str, fields: &str) -> (Fields, String) {
    let path = if api == "r1" { "/s/x" } else { "/x" };
    let bytes = request("GET", api, path).replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    let headers = plane.exchange(bytes).echo().headers;
    let line = plane.gateway.process().line("from ");
    (headers, line.trim_start_matches("from ").to_owned())
}

const LIES: &str = "X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n\
     X-Forwarded-Host: evil.example\r\nX-Forwarded-Prefix: /admin\r\nx-forwarded-server: evil\r\n\
     Forwarded: for=192.0.2.66;proto=https;host=evil.example\r\n";

#[test]
fn nobody_is_believed_by_default() {
    let (mut plane, _origin) = plane(&[]);
    let port = plane.gateway.address.port().to_string();
    let (rest, source) = sent(&mut plane, "r1", LIES);
    assert_eq!(source, "127.0.0.1");
    assert_eq!(rest.one("x-forwarded-for"), Some("192.0.2.66, 127.0.0.1"), "AWS appends");
    assert_eq!(rest.one("x-forwarded-proto"), Some("http"));
    assert_eq!(rest.one("x-forwarded-port"), Some(port.as_str()));
    let (http, source) = sent(&mut plane, "a1", LIES);
    assert_eq!(source, "127.0.0.1");
    let forwarded = http.one("forwarded").expect("a Forwarded field");
    let (before, own) = forwarded.rsplit_once(", ").expect("two elements");
    assert_eq!(before, "for=192.0.2.66;proto=https;host=evil.example");
    assert!(own.contains("for=127.0.0.1") && own.contains("proto=http"), "{own}");
    assert!(!http.has("x-forwarded-for") && !http.has("x-forwarded-proto") && !http.has("x-forwarded-port"));
    for headers in [&rest, &http] {
        for name in ["x-forwarded-host", "x-forwarded-prefix", "x-forwarded-server"] {
            assert!(!headers.has(name), "{name}: {headers:?}");
        }
    }
    assert!(!rest.has("forwarded"), "{rest:?}");
    plane.assert_at_rest();
}

#[test]
fn a_peer_that_is_not_listed_is_not_believed() {
    let (mut plane, _origin) = plane(&[("trusted_proxies", "10.0.0.0/8,192.0.2.0/24,::/0")]);
    let (rest, source) = sent(&mut plane, "r1", LIES);
    assert_eq!((source.as_str(), rest.one("x-forwarded-proto")), ("127.0.0.1", Some("http")));
    plane.assert_at_rest();
}

#[test]
fn a_forwarded_field_cannot_swallow_the_gateways_own() {
    let (mut plane, _origin) = plane(&[]);
    for hostile in ["for=\"192.0.2.66", "for=1;for=2", "for=", "(", "for=\"a\\", "for=192.0.2.66\", for=\"x"]
    {
        let (http, _) = sent(&mut plane, "a1", &format!("Forwarded: {hostile}\r\n"));
        let forwarded = http.one("forwarded").expect("a Forwarded field");
        assert!(forwarded.starts_with("by=127.0.0.1;for=127.0.0.1;"), "{hostile}: {forwarded}");
    }
    // One line that is wrong spoils all: where it ends can't be told.
    let (http, _) = sent(&mut plane, "a1", "Forwarded: for=192.0.2.1\r\nForwarded: for=\"\r\n");
    assert!(http.one("forwarded").expect("one").starts_with("by=127.0.0.1;"), "{http:?}");
    plane.assert_at_rest();
}

#[test]
fn a_listed_proxy_is_believed_up_to_the_first_address_that_is_not() {
    let (mut plane, _origin) = plane(&[("trusted_proxies", "127.0.0.0/8,10.0.0.0/8")]);
    for (fields, expected) in [
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1\r\n", "192.0.2.1"),
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 10.0.0.1\r\n",
            "192.0.2.1",
        ),
        ("X-Forwarded-For: [2001:db8::1]:443, 10.0.0.1:80\r\n", "2001:db8::1"),
        ("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1"),
        ("X-Forwarded-For: 10.0.0.3, 10.0.0.1\r\n", "10.0.0.3"),
        ("X-Forwarded-For: 6.6.6.6, _hidden, 10.0.0.1\r\n", "10.0.0.1"),
        ("X-Forwarded-For: 6.6.6.6, not-an-address\r\n", "127.0.0.1"),
        ("X-Forwarded-For: \"192.0.2.1\"\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 192.0.2.1;10.0.0.1\r\n", "127.0.0.1"),
        ("X-Forwarded-For:\r\n", "127.0.0.1"),
        ("X-Forwarded-For: ,,, ,\r\n", "127.0.0.1"),
        ("", "127.0.0.1"),
        // The other family is a client's own.
        ("Forwarded: for=6.6.6.6\r\n", "127.0.0.1"),
    ] {
        for api in ["r1", "a1"] {
            assert_eq!(sent(&mut plane, api, fields).1, expected, "{api}: {fields}");
        }
    }
    plane.assert_at_rest();
}

#[test]
fn what_a_listed_proxy_says_reaches_the_origin() {
    let (mut plane, _origin) = plane(&[("trusted_proxies", "127.0.0.1")]);
    let fields = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n\
         X-Forwarded-Host: shop.example\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=6.6.6.6\r\n";
    let (rest, _) = sent(&mut plane, "r1", fields);
    assert_eq!(rest.one("x-forwarded-for"), Some("6.6.6.6, 192.0.2.1, 127.0.0.1"));
    assert_eq!((rest.one("x-forwarded-proto"), rest.one("x-forwarded-port")), (Some("https"), Some("8443")));
    let (http, _) = sent(&mut plane, "a1", fields);
    assert_eq!(http.one("x-forwarded-for"), Some("6.6.6.6, 192.0.2.1"));
    let forwarded = http.one("forwarded").expect("a Forwarded field");
    assert!(forwarded.starts_with("for=192.0.2.1;proto=https, by=127.0.0.1;for=127.0.0.1;"), "{forwarded}");
    for headers in [&rest, &http] {
        assert_eq!(headers.one("x-forwarded-host"), Some("shop.example"));
        assert_eq!(headers.one("x-forwarded-prefix"), Some("/x"));
    }
    assert!(!rest.has("forwarded"), "{rest:?}");
    plane.assert_at_rest();
}

#[test]
fn what_is_no_scheme_or_port_is_not_passed_on() {
    let (mut plane, _origin) = plane(&[("trusted_proxies", "127.0.0.1")]);
    let own = plane.gateway.address.port().to_string();
    for (fields, proto, port) in [
        ("X-Forwarded-Proto: https\r\n", "https", "443"),
        ("X-Forwarded-Proto: HTTP\r\n", "http", "80"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Port: 0\r\n", "https", "443"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Port: 99999\r\n", "https", "443"),
        ("X-Forwarded-Proto: javascript\r\nX-Forwarded-Port: 1\r\n", "http", own.as_str()),
        ("X-Forwarded-Proto: https, http\r\n", "http", own.as_str()),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "http", own.as_str()),
        ("X-Forwarded-Port: 443\r\n", "http", own.as_str()),
    ] {
        let (rest, _) = sent(&mut plane, "r1", fields);
        assert_eq!(
            (rest.one("x-forwarded-proto"), rest.one("x-forwarded-port")),
            (Some(proto), Some(port)),
            "{fields}"
        );
    }
    plane.assert_at_rest();
}

#[test]
fn proxies_that_write_forwarded_are_believed_in_that_alone() {
    let (mut plane, _origin) =
        plane(&[("trusted_proxies", "127.0.0.0/8,10.0.0.0/8"), ("trusted_proxies_field", "forwarded")]);
    for (fields, expected) in [
        ("Forwarded: for=192.0.2.1\r\n", "192.0.2.1"),
        (
            "Forwarded: for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=https;by=10.0.0.1, For=10.0.0.1\r\n",
            "2001:db8::1",
        ),
        ("Forwarded: for=6.6.6.6, for=unknown, for=10.0.0.1\r\n", "10.0.0.1"),
        ("Forwarded: for=6.6.6.6, by=10.0.0.1\r\n", "127.0.0.1"),
        ("Forwarded: for=6.6.6.6, for=\"10.0.0.1\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 6.6.6.6\r\n", "127.0.0.1"),
    ] {
        for api in ["r1", "a1"] {
            assert_eq!(sent(&mut plane, api, fields).1, expected, "{api}: {fields}");
        }
    }
    let fields =
        "Forwarded: for=192.0.2.1;proto=https\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n";
    let (rest, _) = sent(&mut plane, "r1", fields);
    assert_eq!(rest.one("x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
    assert_eq!((rest.one("x-forwarded-proto"), rest.one("x-forwarded-port")), (Some("https"), Some("443")));
    assert_eq!(
        (rest.one("forwarded"), rest.has("x-forwarded-host")),
        (Some("for=192.0.2.1;proto=https"), false)
    );
    let (http, _) = sent(&mut plane, "a1", fields);
    let forwarded = http.one("forwarded").expect("a Forwarded field");
    assert!(forwarded.starts_with("for=192.0.2.1;proto=https, by=127.0.0.1;"), "{forwarded}");
    assert!(!http.has("x-forwarded-for") && !http.has("x-forwarded-host"));
    plane.assert_at_rest();
}

#[test]
fn the_proxy_protocols_address_is_who_the_peer_is() {
    let (mut plane, _origin) = plane(&[
        ("trusted_proxies", "198.51.100.0/24"),
        ("proxy_protocol", "127.0.0.1:0"),
        ("proxy_protocol_from", "127.0.0.1"),
    ]);
    for (source, expected) in [("198.51.100.7", "192.0.2.1"), ("203.0.113.5", "203.0.113.5")] {
        let head = request("GET", "r1", "/s/x").replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
        let reply = plane.exchange(format!("PROXY TCP4 {source} 198.51.100.1 1000 80\r\n{head}"));
        assert_eq!(
            reply.echo().headers.one("x-forwarded-for"),
            Some(format!("192.0.2.1, {source}").as_str())
        );
        assert_eq!(plane.gateway.process().line("from "), format!("from {expected}"));
    }
    plane.assert_at_rest();
}
