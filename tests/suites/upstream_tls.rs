//! https integrations: whom the gateway trusts, what it shows, and how it goes on from earlier sessions.

use std::io::Write;

use rcgen::CertificateParams;
use tempfile::TempDir;
use turnpike_snapshot::{Unit, UpstreamTls};
use turnpike_tests::{
    Authority, DataPlane, Options, Origin, Reply, StageBuilder, TlsFront, account, http_api, request,
    rest_api, target_group, until, upstream_tls,
};

/// Options of a gateway whose system's store holds this alone, in PEM.
fn system(store: &str) -> (Options, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (file, empty) = (directory.path().join("system.pem"), directory.path().join("empty"));
    std::fs::write(&file, store).unwrap();
    std::fs::create_dir(&empty).unwrap();
    let options = Options::new()
        .environment("SSL_CERT_FILE", file.display())
        .environment("SSL_CERT_DIR", empty.display());
    (options, directory)
}

/// A gateway whose system trusts `authority`.
fn trusting(authority: &Authority, stages: &[StageBuilder], units: Vec<Unit>) -> (DataPlane, TempDir) {
    let (options, directory) = system(&authority.pem());
    (DataPlane::with_units(&options, stages, account(&[]), units), directory)
}

fn get(plane: &DataPlane) -> Reply {
    plane.exchange(request("GET", "a1", "/x?y=z"))
}

fn refusals(plane: &DataPlane, kind: &str) -> f64 {
    plane.gateway.metrics().sum("turnpike_shard_refusals_total", &[&format!("kind=\"{kind}\"")])
}

#[test]
fn the_systems_authorities_are_trusted() {
    let (origin, authority) = (Origin::echo(), Authority::new("System's"));
    let front = TlsFront::start(origin.address(), &authority.issue(&["localhost"]), None);
    let stage = http_api("a1").route("$default", &front.url("localhost", "{request.path}"));
    let (plane, _system) = trusting(&authority, &[stage], Vec::new());
    for _ in 0..5 {
        let echo = get(&plane).echo();
        assert_eq!(echo.target, "/x?y=z");
        let host = format!("localhost:{}", front.address().port());
        assert_eq!(echo.headers.one("host"), Some(host.as_str()));
    }
    let handshakes = front.handshakes();
    assert_eq!(handshakes.len(), 1, "the connection is kept");
    assert_eq!(handshakes[0].server_name.as_deref(), Some("localhost"));
    plane.assert_at_rest();
}

#[test]
fn bodies_of_every_size_pass() {
    let (origin, authority) = (Origin::echo(), Authority::new("System's"));
    let front = TlsFront::start(origin.address(), &authority.issue(&["localhost"]), None);
    let stage = http_api("a1").route("$default", &front.url("localhost", "{request.path}"));
    let (plane, _system) = trusting(&authority, &[stage], Vec::new());
    let mut client = plane.connect();
    for size in [1, 8_000, 16_384, 100_000, 2_000_000] {
        let body = "x".repeat(size);
        let head =
            request("POST", "a1", "/x").replace("\r\n\r\n", &format!("\r\nContent-Length: {size}\r\n\r\n"));
        assert_eq!(client.exchange(head + &body).echo().body.len(), size);
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn who_is_not_trusted_is_told_apart() {
    let (origin, authority, other) = (Origin::echo(), Authority::new("System's"), Authority::new("Other"));
    let ended = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2019, 5, 28), rcgen::date_time_ymd(2021, 8, 5));
    };
    for (leaf, kind, told) in [
        (other.issue(&["localhost"]), "upstream_tls_untrusted", "is not from a trusted authority"),
        (authority.issue(&["elsewhere.example"]), "upstream_tls_name", "is for another name"),
        (authority.issue_with(&["localhost"], ended), "upstream_tls_expired", "is not valid at this time"),
    ] {
        let front = TlsFront::start(origin.address(), &leaf, None);
        let stages = [
            http_api("a1")
                .access_log("tls", "$context.status $context.integration.error")
                .route("$default", &front.url("localhost", "/")),
            rest_api("r1", "prod").route("GET /x", &front.url("localhost", "/")),
        ];
        let (plane, _system) = trusting(&authority, &stages, Vec::new());
        assert_eq!(get(&plane).status, 503, "{kind}");
        assert_eq!(plane.exchange(request("GET", "r1", "/prod/x")).status, 504, "{kind}");
        assert_eq!(refusals(&plane, kind), 2.0, "{kind}");
        let directory = plane.gateway.data_dir.join("access-logs");
        let line = until("a line of the log", || {
            let file = std::fs::read_dir(&directory).ok()?.next()?.ok()?;
            std::fs::read_to_string(file.path()).ok().filter(|text| text.ends_with('\n'))
        });
        assert_eq!(line, format!("503 The endpoint's certificate {told}\n"));
        plane.assert_at_rest();
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_upstream_without_tls_is_no_upstream() {
    let (origin, authority) = (Origin::echo(), Authority::new("System's"));
    let url = origin.url("/").replace("http://", "https://");
    let (plane, _system) = trusting(&authority, &[http_api("a1").route("$default", &url)], Vec::new());
    assert_eq!(get(&plane).status, 503);
    assert_eq!(refusals(&plane, "upstream_tls_protocol"), 1.0);
    plane.assert_at_rest();
}

#[test]
fn a_target_that_fails_the_handshake_is_passed_over_whatever_the_method() {
    let (origin, authority) = (Origin::echo(), Authority::new("System's"));
    let front = TlsFront::start(origin.address(), &authority.issue(&["localhost"]), None);
    let clear = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclear");
    let group = target_group("g").target(clear.address()).target(front.address()).tries(2);
    let url = front.url("localhost", "{request.path}");
    let stage = http_api("a1").route_to_group_with_tls("$default", &url, "g", upstream_tls());
    let (plane, _system) = trusting(&authority, &[stage], vec![group.unit()]);
    let mut client = plane.connect();
    for _ in 0..6 {
        let post = request("POST", "a1", "/x").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\npay 5");
        assert_eq!(client.exchange(post).echo().body, "pay 5", "no byte of it had been sent");
    }
    assert!(clear.connections() > 0, "it was tried");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_silent_upstream_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let options = Options::new().set("connect_timeout_ms", 200);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &url)]);
    assert_eq!(get(&plane).status, 503);
    plane.assert_at_rest();
}

#[test]
fn skipping_verification_takes_any_issuer_and_nothing_else() {
    let (origin, authority, other) = (Origin::echo(), Authority::new("System's"), Authority::new("Other"));
    let skipping = UpstreamTls { insecure_skip_verification: true, ..upstream_tls() };
    let ended = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2019, 5, 28), rcgen::date_time_ymd(2021, 8, 5));
    };
    for (leaf, status) in [
        (other.issue(&["localhost"]), 200),
        (other.issue(&["elsewhere.example"]), 503),
        (other.issue_with(&["localhost"], ended), 503),
    ] {
        let front = TlsFront::start(origin.address(), &leaf, None);
        let url = front.url("localhost", "{request.path}");
        let stage = http_api("a1").route_with_tls("$default", &url, skipping.clone());
        let (plane, _system) = trusting(&authority, &[stage], Vec::new());
        assert_eq!(get(&plane).status, status);
    }
}

#[test]
fn a_trust_store_counts_besides_the_system_and_its_changes_reach_served_stages() {
    let (origin, authority, own) = (Origin::echo(), Authority::new("System's"), Authority::new("Own"));
    let fronts =
        [&authority, &own].map(|by| TlsFront::start(origin.address(), &by.issue(&["localhost"]), None));
    let trusting_own = UpstreamTls { trust_store: Some("own".to_owned()), ..upstream_tls() };
    let stage = http_api("a1")
        .route_with_tls("GET /system", &fronts[0].url("localhost", "/"), trusting_own.clone())
        .route_with_tls("GET /own", &fronts[1].url("localhost", "/"), trusting_own)
        .route("GET /without", &fronts[1].url("localhost", "/"));
    let (mut plane, _system) =
        trusting(&authority, std::slice::from_ref(&stage), vec![own.trust_store("own")]);
    let status = |plane: &DataPlane, path| plane.exchange(request("GET", "a1", path)).status;
    assert_eq!(status(&plane, "/system"), 200);
    assert_eq!(status(&plane, "/own"), 200);
    assert_eq!(status(&plane, "/without"), 503);
    // The stage's unit stays what it is; the trust store's doesn't.
    let other = Authority::new("Other");
    plane.publish_units(&[stage], account(&[]), vec![other.trust_store("own")]);
    assert_eq!(status(&plane, "/own"), 503);
    assert_eq!(status(&plane, "/system"), 200);
    plane.assert_at_rest();
}

#[test]
fn a_server_name_is_sent_and_verified_instead_of_the_host() {
    let (origin, authority) = (Origin::echo(), Authority::new("System's"));
    let front = TlsFront::start(origin.address(), &authority.issue(&["inner.example"]), None);
    let named = UpstreamTls { server_name: Some("inner.example".to_owned()), ..upstream_tls() };
    let stage = http_api("a1")
        .route_with_tls("GET /x", &front.url("127.0.0.1", "/"), named)
        .route("GET /by-address", &front.url("127.0.0.1", "/"));
    let (plane, _system) = trusting(&authority, &[stage], Vec::new());
    let host = format!("127.0.0.1:{}", front.address().port());
    assert_eq!(get(&plane).echo().headers.one("host"), Some(host.as_str()));
    assert_eq!(front.handshakes()[0].server_name.as_deref(), Some("inner.example"));
    assert_eq!(plane.exchange(request("GET", "a1", "/by-address")).status, 503);
}

#[test]
fn a_client_certificate_is_shown_and_connections_with_another_never_mix() {
    let (origin, authority, clients) =
        (Origin::echo(), Authority::new("System's"), Authority::new("Clients'"));
    let front = TlsFront::start(origin.address(), &authority.issue(&["localhost"]), Some(&clients));
    let leaves = ["one", "two"].map(|name| clients.issue(&[name]));
    let showing = |id: &str| UpstreamTls { client_certificate: Some(id.to_owned()), ..upstream_tls() };
    let url = front.url("localhost", "{request.path}");
    let stage = http_api("a1")
        .route_with_tls("GET /one", &url, showing("one"))
        .route_with_tls("GET /two", &url, showing("two"))
        .route("GET /none", &url);
    let units = vec![leaves[0].unit("one"), leaves[1].unit("two")];
    let (plane, _system) = trusting(&authority, &[stage], units);
    for _ in 0..3 {
        for (path, status) in [("/one", 200), ("/two", 200), ("/none", 502)] {
            assert_eq!(plane.exchange(request("GET", "a1", path)).status, status, "{path}");
        }
    }
    let shown: Vec<_> = front.handshakes().into_iter().map(|handshake| handshake.certificate).collect();
    assert_eq!(shown, leaves.map(|leaf| Some(leaf.certificate)));
}

#[test]
fn a_new_connection_goes_on_from_an_earlier_session() {
    let (origin, authority) = (Origin::echo(), Authority::new("System's"));
    let front = TlsFront::start(origin.address(), &authority.issue(&["localhost"]), None);
    let stage = http_api("a1").route("$default", &front.url("localhost", "{request.path}"));
    let (plane, _system) = trusting(&authority, &[stage], Vec::new());
    for _ in 0..3 {
        assert_eq!(get(&plane).status, 200);
        front.cut();
    }
    let resumed: Vec<bool> = front.handshakes().iter().map(|handshake| handshake.resumed).collect();
    assert_eq!(resumed, [false, true, true]);
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_upstream_tls_handshakes_total", &[]), 3.0);
    assert_eq!(metrics.sum("turnpike_shard_upstream_tls_handshakes_resumed_total", &[]), 2.0);
}

#[test]
fn an_answer_that_only_the_close_ends_must_end_with_a_word() {
    let authority = Authority::new("System's");
    let leaf = authority.issue(&["localhost"]);
    // Says nothing of its length; whether the front then ends TLS is what tells a whole answer from a cut one.
    let origin = Origin::scripted(|connection, number| {
        if connection.request().is_ok_and(|request| request.is_some()) {
            let _ = connection.send("HTTP/1.1 200 OK\r\n\r\nhalf");
            if number > 0 {
                // Held until the front cuts it.
                let _ = connection.request();
            }
        }
    });
    let front = TlsFront::start(origin.address(), &leaf, None);
    let stage = http_api("a1").route("$default", &front.url("localhost", "/"));
    let (plane, _system) = trusting(&authority, &[stage], Vec::new());
    assert_eq!(get(&plane).text(), "half");

    let mut client = plane.connect();
    client.send(request("GET", "a1", "/x"));
    let head = client.head();
    let mut got = Vec::new();
    let ended = client.body_into(&head, |piece| {
        got.write_all(piece).unwrap();
        front.cut();
    });
    assert!(ended.is_err(), "{got:?}");
    assert_eq!(refusals(&plane, "upstream_closed"), 1.0);
}

#[test]
fn a_system_without_authorities_is_told_of_and_other_routes_go_on() {
    let (origin, own) = (Origin::echo(), Authority::new("Own"));
    let front = TlsFront::start(origin.address(), &own.issue(&["localhost"]), None);
    let trusting_own = UpstreamTls { trust_store: Some("own".to_owned()), ..upstream_tls() };
    let url = front.url("localhost", "/");
    let stage = http_api("a1").route("GET /x", &url).route_with_tls("GET /own", &url, trusting_own);
    let (options, _system) = system("");
    let mut plane = DataPlane::with_units(&options, &[stage], account(&[]), vec![own.trust_store("own")]);
    plane.gateway.process().wait_for_log("the system has no certificate authorities");
    assert_eq!(get(&plane).status, 503);
    assert_eq!(refusals(&plane, "upstream_tls_untrusted"), 1.0);
    assert_eq!(plane.exchange(request("GET", "a1", "/own")).status, 200);
}
