//! Nobody gets an answer that somebody else has had made for him: whatever tells an origin more than the key does is part
//! of the key, or keeps the answer out of the cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use turnpike_snapshot::{CacheKeyPart, Freshness};
use turnpike_tests::{
    DataPlane, Options, Origin, StageBuilder, TlsClient, client_config, host, http_api, request, rest_api,
};

const EVIL: &str = "evil.example";

/// Numbers its answers.
fn counting(fields: &str) -> Origin {
    let (fields, count) = (fields.to_owned(), AtomicUsize::new(0));
    Origin::scripted(move |connection, _| {
        while let Ok(Some(_)) = connection.request() {
            let body = (count.fetch_add(1, Ordering::SeqCst) + 1).to_string();
            let length = body.len();
            connection
                .send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{body}"))
                .unwrap();
        }
    })
}

fn cached_api(origin: &Origin, key: &[CacheKeyPart]) -> StageBuilder {
    http_api("a1").route("$default", &origin.url("{request.path}")).cached(300, key).cache()
}

fn cached_rest_api(origin: &Origin) -> StageBuilder {
    rest_api("r1", "s").route("GET /x", &origin.url("/x")).cached(300, &[]).cache()
}

fn get_at(plane: &DataPlane, host: &str, target: &str, fields: &str) -> String {
    let reply = plane.exchange(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().to_owned()
}

fn get(plane: &DataPlane, target: &str, fields: &str) -> String {
    get_at(plane, &host("a1"), target, fields)
}

#[test]
fn an_answer_to_another_method_or_path_is_neither_kept_nor_given() {
    for field in [
        "X-HTTP-Method-Override: DELETE",
        "x-http-method: HEAD",
        "X-Method-Override:",
        "X-Original-URL: /admin",
        "X-Rewrite-Url: /admin",
    ] {
        for freshness in [Freshness::Route, Freshness::Origin] {
            let origin = counting("Cache-Control: max-age=60\r\n");
            let stage = cached_api(&origin, &[]).cache_with(|cache| cache.freshness = freshness);
            let plane = DataPlane::serving(&[stage]);
            let other = format!("{field}\r\n");
            let asked = ["", &other, "", &other, ""].map(|fields| get(&plane, "/", fields));
            assert_eq!(asked, ["1", "2", "1", "3", "1"], "{field} {freshness:?}");
            assert_eq!((get(&plane, "/new", &other), get(&plane, "/new", "")), ("4".into(), "5".into()));
            plane.assert_at_rest();
        }
    }
}

#[test]
fn a_parameter_behind_a_semicolon_is_one_too() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[CacheKeyPart::Query("type".to_owned())])]);
    let plain = get(&plane, "/", "");
    for query in ["?x=1;type=admin", "?x;%74ype=admin", "?type=a;type=admin", "?;type=admin"] {
        assert_ne!(get(&plane, &format!("/{query}"), ""), plain, "{query}");
    }
    assert_eq!(get(&plane, "/?x=1;y=2", ""), plain);
}

#[test]
fn spellings_of_a_path_are_one_and_paths_are_not() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let plain = get(&plane, "/a/b", "");
    for same in ["/%61/b", "/a/%62", &format!("http://{}/a/b", host("a1"))] {
        assert_eq!(get(&plane, same, ""), plain, "{same}");
    }
    for other in ["/a%2Fb", "/a%2fb", "/a//b", "/A/b", "/a/b/", "/a/b;x"] {
        assert_ne!(get(&plane, other, ""), plain, "{other}");
    }
}

#[test]
fn http_and_https_do_not_share() {
    let origin = counting("Cache-Control: max-age=60\r\n");
    for freshness in [Freshness::Route, Freshness::Origin] {
        let stage = cached_api(&origin, &[]).cache_with(|cache| cache.freshness = freshness);
        let plane = DataPlane::serving(&[stage]);
        let authority = plane.gateway.data_dir.join("development-ca.pem");
        let trusted = client_config(&CertificateDer::from_pem_file(authority).unwrap(), None);
        let mut secured = TlsClient::connect(plane.gateway.tls.unwrap(), &host("a1"), &trusted);
        let mut over_tls = || secured.exchange(request("GET", "a1", "/")).text().to_owned();
        let plain = get(&plane, "/", "");
        let kept = over_tls();
        assert_ne!(kept, plain);
        assert_eq!((over_tls(), get(&plane, "/", "")), (kept.clone(), plain.clone()));
        // A change of one is a change of both.
        assert_eq!(plane.exchange(request("POST", "a1", "/")).status, 200);
        let is_same = freshness == Freshness::Route;
        assert_eq!([over_tls() == kept, get(&plane, "/", "") == plain], [is_same; 2]);
    }
}

#[test]
fn what_a_trusted_proxy_says_of_how_the_client_came_tells_answers_apart() {
    let origin = counting("");
    let stages = [cached_api(&origin, &[]), cached_rest_api(&origin)];
    for (field, said) in [
        ("x-forwarded", "X-Forwarded-Proto: https\r\n"),
        ("x-forwarded", "X-Forwarded-Host: evil.example\r\n"),
        ("x-forwarded", "X-Forwarded-Prefix: /evil\r\n"),
        ("forwarded", "Forwarded: for=192.0.2.1;proto=https\r\n"),
    ] {
        let options = Options::new().set("trusted_proxies", "127.0.0.1").set("trusted_proxies_field", field);
        let plane = DataPlane::with(&options, &stages);
        for (host, target) in [(host("a1"), "/"), (host("r1"), "/s/x")] {
            let plain = get_at(&plane, &host, target, "");
            let other = get_at(&plane, &host, target, said);
            assert_ne!(other, plain, "{said}");
            assert_eq!(get_at(&plane, &host, target, said), other, "{said}");
            let from_another = format!("X-Forwarded-For: 192.0.2.77\r\n{said}");
            assert_eq!(get_at(&plane, &host, target, &from_another), other, "{said}");
        }
    }
    // Nobody else is believed, and nobody else's word goes on.
    let plane = DataPlane::serving(&stages);
    for (host, target) in [(host("a1"), "/"), (host("r1"), "/s/x")] {
        let plain = get_at(&plane, &host, target, "");
        let lies = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n";
        assert_eq!(get_at(&plane, &host, target, lies), plain);
    }
}

/// Origins of HTTP APIs are told the host, those of REST APIs aren't.
#[test]
fn hosts_share_only_where_the_origin_does_not_know_them() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[]), cached_rest_api(&origin)]);
    let by_path = |api: &str| format!("/_aws/execute-api/{api}");
    let own = get(&plane, "/x", "");
    let evil = get_at(&plane, EVIL, &format!("{}/$default/x", by_path("a1")), "");
    let port = get_at(&plane, &format!("{}:1", host("a1")), "/x", "");
    assert!(own != evil && own != port && evil != port);
    assert_eq!(get(&plane, "/x", ""), own);
    let own = get_at(&plane, &host("r1"), "/s/x", "");
    assert_eq!(get_at(&plane, EVIL, &format!("{}/s/x", by_path("r1")), ""), own);
}

#[test]
fn what_anybody_may_say_of_how_he_came_is_not_kept() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let lies = "Forwarded: for=192.0.2.1;host=evil.example;proto=https\r\n";
    assert_eq!([lies, lies, "", "", lies].map(|fields| get(&plane, "/", fields)), ["1", "2", "3", "3", "3"]);
    plane.assert_at_rest();
}

/// The origin is told another value than came, or one where none came.
#[test]
fn an_answer_that_varies_by_what_the_gateway_says_is_kept_apart_by_that() {
    let options = Options::new().set("proxy_protocol", "127.0.0.1:0").set("proxy_protocol_from", "127.0.0.1");
    let ask = |plane: &DataPlane, source: &str| {
        let head = request("GET", "r1", "/s/x");
        plane.exchange(format!("PROXY TCP4 {source} 198.51.100.1 1000 80\r\n{head}")).text().to_owned()
    };
    for (by, is_same) in [("X-Forwarded-For", false), ("x-forwarded-proto", true), ("Forwarded", false)] {
        let by_answer = counting(&format!("Vary: {by}\r\n"));
        let by_key = counting("");
        let key = [CacheKeyPart::Header(by.to_ascii_lowercase())];
        let chosen = rest_api("r1", "s").route("GET /x", &by_key.url("/x")).cached(300, &key).cache();
        for stage in [cached_rest_api(&by_answer), chosen] {
            let plane = DataPlane::with(&options, &[stage]);
            let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|source| ask(&plane, source));
            assert_eq!((ask(&plane, "192.0.2.1"), one == other), (one, is_same), "{by}");
        }
    }
}
