//! HTTP/2 from clients: the same routes, bodies and refusals as over HTTP/1.1.

use turnpike_tests::{Curl, DataPlane, Options, Origin, host, http_api, nghttp2, request, rest_api};

fn curl(plane: &DataPlane, api_id: &str, target: &str) -> Curl {
    Curl::http2(plane.gateway.address, &host(api_id), target)
}

#[test]
fn a_request_is_routed_forwarded_and_answered() {
    let (plane, _origin) = DataPlane::echoing();
    let reply = curl(&plane, "a1", "/pets/7?color=red").header("X-Token: t").reply();
    let echo = reply.echo();
    assert_eq!((echo.method.as_str(), echo.target.as_str()), ("GET", "/pets/7?color=red"));
    assert_eq!(echo.headers.one("x-token"), Some("t"));
    assert_eq!(echo.headers.all("connection"), [""; 0]);
    let forwarded = echo.headers.one("forwarded").unwrap();
    assert!(forwarded.contains(&format!("host={}", host("a1"))), "{forwarded}");
    assert!(reply.headers.one("apigw-requestid").is_some() && reply.headers.one("date").is_some());
    assert_eq!((reply.headers.one("connection"), reply.headers.one("transfer-encoding")), (None, None));
    plane.assert_at_rest();
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_http2_connections_total", &[]), 1.0);
    assert_eq!(metrics.sum("turnpike_count_total", &["api_id=\"a1\""]), 1.0);
}

#[test]
fn refusals_are_those_of_http1() {
    let (plane, _origin) = DataPlane::echoing();
    for api_id in ["none", "a1"] {
        let http1 = plane.exchange(request("GET", api_id, "/a/%00"));
        let http2 = curl(&plane, api_id, "/a/%00").reply();
        assert_eq!((http2.status, &http2.body), (http1.status, &http1.body), "{api_id}");
        assert_eq!(http2.headers.one("content-type"), Some("application/json"));
    }
    let http2 = curl(&plane, "none", "/").reply();
    assert_eq!((http2.status, http2.text()), (403, "{\"message\":\"Forbidden\"}"));
    assert!(http2.headers.one("x-amzn-requestid").is_some());
    assert_eq!(curl(&plane, "a1", "/").header(&format!("Long: {}", "x".repeat(11_000))).reply().status, 431);
    assert_eq!(curl(&plane, "a1", &format!("/{}", "x".repeat(9_000))).reply().status, 414);
    plane.assert_at_rest();
}

#[test]
fn a_head_request_gets_no_body() {
    let (plane, _origin) = DataPlane::echoing();
    let reply = curl(&plane, "a1", "/").with(["--head"]).reply();
    // curl writes the head where a body would be.
    assert!(reply.status == 200 && reply.body.ends_with(b"\r\n\r\n"), "{reply:?}");
    assert!(reply.headers.one("content-length").is_some());
    plane.assert_at_rest();
}

#[test]
fn bodies_pass_both_ways() {
    let (plane, _origin) = DataPlane::echoing();
    for bytes in [0, 1, 1_000, 20_000, 300_000, 5_000_000] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("body");
        let body = "0123456789".repeat(bytes / 10 + 1)[..bytes].to_owned();
        std::fs::write(&path, &body).unwrap();
        let data = format!("@{}", path.display());
        let echo = curl(&plane, "a1", "/").body(&data).reply().echo();
        assert_eq!(echo.headers.one("content-length"), Some(bytes.to_string().as_str()));
        assert!(echo.body == body, "{bytes} bytes with a length");
        // Read from a pipe, a body has no length.
        let upload = ["--upload-file", "-"];
        let unsized_body = curl(&plane, "a1", "/").method("POST").with(upload);
        assert_eq!(unsized_body.reply().echo().headers.one("transfer-encoding"), Some("chunked"));
    }
    plane.assert_at_rest();
}

#[test]
fn a_body_above_its_limit_is_refused() {
    let origin = Origin::echo();
    let options = Options::new().set("body_bytes_max", 1_000);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    assert_eq!(curl(&plane, "a1", "/").body(&"x".repeat(1_000)).reply().status, 200);
    let reply = curl(&plane, "a1", "/").body(&"x".repeat(1_001)).reply();
    assert_eq!((reply.status, reply.text()), (413, "{\"message\":\"Request Too Long\"}"));
    plane.assert_at_rest();
}

#[test]
fn answers_keep_their_bodies_and_trailers_however_they_are_framed() {
    for (framing, trailers) in [
        ("Content-Length: 6\r\n\r\nabcdef", &[][..]),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", &[]),
        (
            "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\nX-Sum: 7\r\nx-end: yes\r\n\r\n",
            &[("x-sum", "7"), ("x-end", "yes")],
        ),
    ] {
        let origin = Origin::replying(format!("HTTP/1.1 200 OK\r\n{framing}"));
        let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
        let reply = curl(&plane, "a1", "/").reply();
        assert_eq!((reply.status, reply.text()), (200, "abcdef"), "{framing}");
        for (name, value) in trailers {
            assert_eq!(reply.trailers.one(name), Some(*value), "{framing}");
        }
        plane.assert_at_rest();
    }
}

#[test]
fn an_answer_that_only_the_close_ends_is_whole() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").unwrap();
        }
    });
    let plane = DataPlane::serving(&[rest_api("a1", "prod").route("GET /", &origin.url("/"))]);
    let reply = curl(&plane, "a1", "/prod/").reply();
    assert_eq!(reply.text(), "until the end");
    assert!(reply.headers.one("x-amz-apigw-id").is_some());
    plane.assert_at_rest();
}

#[test]
fn an_answer_that_is_cut_off_resets_its_stream() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    let failure = curl(&plane, "a1", "/").failure();
    assert!(failure.contains("INTERNAL_ERROR"), "{failure}");
    plane.assert_at_rest();
}

#[test]
fn an_expected_continue_is_sent() {
    let (plane, _origin) = DataPlane::echoing();
    let reply = curl(&plane, "a1", "/").header("Expect: 100-continue").body("wanted").reply();
    assert_eq!(reply.echo().body, "wanted");
    plane.assert_at_rest();
}

#[test]
fn many_streams_share_a_connection() {
    let (plane, _origin) = DataPlane::echoing();
    let url = format!("http://{}/_aws/execute-api/a1/", plane.gateway.address);
    let arguments = ["--clients=4", "--max-concurrent-streams=64", "--requests=20000", &url];
    let report = nghttp2("h2load", &arguments);
    assert!(report.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    plane.assert_at_rest();
    assert_eq!(plane.gateway.metrics().sum("turnpike_shard_http2_connections_total", &[]), 4.0);
}

#[test]
fn alpn_decides_over_tls() {
    let (plane, _origin) = DataPlane::echoing();
    let address = plane.gateway.tls.expect("HTTPS is on");
    let authority = plane.gateway.data_dir.join("development-ca.pem");
    let https = |target: &str| Curl::https(address, &host("a1"), target, &authority);
    let body = "0123456789".repeat(10_000);
    for reply in [https("/pets/7").reply(), https("/pets/7").body(&body).reply()] {
        let echo = reply.echo();
        assert_eq!(echo.target, "/pets/7");
        assert!(echo.headers.one("forwarded").unwrap().ends_with(";proto=https"), "{echo:?}");
    }
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_http2_connections_total", &[]), 2.0);
    assert_eq!(https("/").with(["--http1.1"]).status(), 200);
    plane.assert_at_rest();
    assert_eq!(plane.gateway.metrics().sum("turnpike_shard_http2_connections_total", &[]), 2.0);
}
