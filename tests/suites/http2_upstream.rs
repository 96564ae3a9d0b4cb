//! HTTP/2 towards integrations that ask for it, from clients of either version.

use std::io::{ErrorKind, Read, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use turnpike_tests::{
    Curl, DataPlane, Options, Process, Reply, StageBuilder, host, http_api, python_script, request,
};

/// An origin on Python's `h2`, which allows as many streams a connection as it is told; 0 is its default.
struct Origin {
    _process: Process,
    port: u16,
}

impl Origin {
    fn start(streams_max: usize) -> Self {
        let (python, script) = python_script("origin_http2.py");
        let arguments = [script.into_os_string(), streams_max.to_string().into()];
        let mut process = Process::start(&python, arguments, &[]);
        let port = process.line("port ")["port ".len()..].parse().unwrap();
        Self { _process: process, port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn stage(&self) -> StageBuilder {
        http_api("a1").route_http2("$default", &self.url("{request.path}"))
    }
}

fn http2(plane: &DataPlane, target: &str) -> Curl {
    Curl::http2(plane.gateway.address, &host("a1"), target)
}

fn seen(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[test]
fn requests_of_both_versions_arrive_whole() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    let head = format!(
        "POST /pets/7?a=b HTTP/1.1\r\nHost: {}\r\nX-Token: t\r\nContent-Length: 3\r\n\r\nabc",
        host("a1")
    );
    let curl = http2(&plane, "/pets/7?a=b").header("X-Token: t").header("Content-Type:").body("abc");
    for reply in [plane.exchange(head), curl.reply()] {
        let echo = reply.echo();
        assert_eq!(
            (echo.method.as_str(), echo.target.as_str(), echo.body.as_str()),
            ("POST", "/pets/7?a=b", "abc")
        );
        assert_eq!(echo.headers.one("x-token"), Some("t"));
        assert_eq!(echo.headers.one("content-length"), Some("3"));
        assert_eq!((echo.headers.one("te"), echo.headers.one("scheme")), (Some("trailers"), Some("http")));
        assert_eq!(echo.headers.one("host"), Some(format!("127.0.0.1:{}", origin.port).as_str()));
        assert_eq!(reply.headers.one("x-origin"), Some("h2"));
        assert!(reply.headers.one("apigw-requestid").is_some());
    }
    plane.assert_at_rest();
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_upstream_connects_total", &[]), 1.0);
    assert_eq!(metrics.sum("turnpike_shard_upstream_connections_idle", &[]), 1.0);
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    let chunked = format!(
        "POST /trailers HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
        host("a1")
    );
    let reply = plane.exchange(chunked);
    let saw = seen(&reply);
    assert_eq!((&saw["body"], &saw["trailers"]), (&"abc".into(), &serde_json::json!([["x-sum", "7"]])));
    assert_eq!(reply.trailers.one("x-sum"), Some("7"));
    let reply = http2(&plane, "/trailers").reply();
    assert_eq!((reply.trailers.one("x-sum"), reply.trailers.one("grpc-status")), (Some("7"), Some("0")));
    plane.assert_at_rest();
}

#[test]
fn an_answer_of_fields_alone_ends_with_them() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    for reply in [plane.exchange(request("GET", "a1", "/head-only")), http2(&plane, "/head-only").reply()] {
        assert_eq!((reply.status, reply.headers.one("grpc-status"), reply.body.len()), (200, Some("5"), 0));
        assert_eq!(reply.headers.one("content-length"), Some("0"));
    }
    let head = plane.exchange(request("HEAD", "a1", "/"));
    assert_eq!(
        (head.status, head.headers.one("transfer-encoding"), head.headers.one("content-length")),
        (200, None, None)
    );
    plane.assert_at_rest();
}

#[test]
fn interim_answers_pass() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/early"));
    let interim = client.head();
    assert_eq!(interim.0, 103);
    assert_eq!(client.reply().status, 200);
    assert_eq!(http2(&plane, "/early").reply().status, 200);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn large_bodies_pass_both_ways() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    for reply in [plane.exchange(request("GET", "a1", "/large")), http2(&plane, "/large").reply()] {
        assert_eq!((reply.status, reply.body.len()), (200, 10 << 20));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("body");
    std::fs::write(&path, "z".repeat(5_000_000)).unwrap();
    let reply = http2(&plane, "/").body(&format!("@{}", path.display())).reply();
    assert_eq!(seen(&reply)["body"].as_str().unwrap().len(), 5_000_000);
    plane.assert_at_rest();
}

#[test]
fn streams_share_connections_up_to_what_the_origin_allows() {
    let origin = Origin::start(4);
    let options = Options::new().set("upstream_http2_streams_max", 2);
    let plane = DataPlane::with(&options, &[origin.stage()]);
    let mut clients: Vec<_> = (0..6).map(|_| plane.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "a1", "/never"));
    }
    turnpike_tests::until("three connections of two streams", || {
        let open = plane.gateway.metrics().sum("turnpike_shard_upstream_connections_open", &[]);
        (open == 3.0).then_some(())
    });
    drop(clients);
    let reply = plane.exchange(request("GET", "a1", "/"));
    assert_eq!(seen(&reply)["stream"].as_u64().map(|stream| stream % 2), Some(1));
}

#[test]
fn what_was_not_processed_is_sent_again() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    let post =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 3\r\n\r\nabc", host("a1"));
    // Not idempotent, and yet safe: the origin says that it did nothing.
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
    for path in ["/refuse", "/away"] {
        let reply = plane.exchange(post(path));
        assert_eq!((reply.status, reply.echo().body.as_str()), (200, "abc"), "{path}");
    }
    assert_eq!(plane.gateway.metrics().sum("turnpike_shard_upstream_retries_total", &[]), 2.0);
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_takes_its_leave_finishes_what_it_took() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    assert_eq!(seen(&plane.exchange(request("GET", "a1", "/leave")))["connection"], 0);
    assert_eq!(seen(&plane.exchange(request("GET", "a1", "/")))["connection"], 1);
    plane.assert_at_rest();
}

#[test]
fn an_answer_that_is_reset_is_cut_off() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage()]);
    assert!(http2(&plane, "/reset").failure().contains("INTERNAL_ERROR"));
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/reset"));
    assert!(client.try_reply(false).is_err());
    // The connection carries others, and goes on.
    assert_eq!(seen(&plane.exchange(request("GET", "a1", "/")))["connection"], 0);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_overdue_answer_is_a_timeout_and_costs_the_connection_its_trust() {
    let origin = Origin::start(0);
    let stage = origin.stage().route_http2_within("GET /never", &origin.url("/never"), 200);
    let plane = DataPlane::serving(&[stage]);
    for reply in [plane.exchange(request("GET", "a1", "/never")), http2(&plane, "/never").reply()] {
        assert_eq!(reply.status, 504);
    }
    assert_eq!(seen(&plane.exchange(request("GET", "a1", "/")))["connection"], 2);
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_is_not_there_is_said_so() {
    let url = turnpike_tests::refusing_url("/");
    let plane = DataPlane::serving(&[http_api("a1").route_http2("$default", &url)]);
    for reply in [plane.exchange(request("GET", "a1", "/")), http2(&plane, "/").reply()] {
        assert_eq!((reply.status, reply.text()), (503, "{\"message\":\"Service Unavailable\"}"));
    }
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_speaks_http1_alone_is_a_bad_gateway() {
    let origin = turnpike_tests::Origin::echo();
    let plane = DataPlane::serving(&[http_api("a1").route_http2("$default", &origin.url("/"))]);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 502);
    plane.assert_at_rest();
}

#[test]
fn bodies_are_compressed_and_decompressed_on_their_way() {
    let origin = Origin::start(0);
    let plane = DataPlane::serving(&[origin.stage().compressed(0)]);
    let asking = |method: &str, target: &str, fields: &str, body: &[u8]| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("a1"));
        plane.exchange([head.as_bytes(), body].concat())
    };
    let decoded = |mut reply: Reply| {
        assert_eq!(reply.headers.one("content-encoding"), Some("gzip"), "{:?}", reply.headers);
        let mut body = Vec::new();
        MultiGzDecoder::new(&*reply.body).read_to_end(&mut body).unwrap();
        reply.body = body;
        reply
    };
    for bytes in [3, 300_000] {
        let body: String =
            (0..).map(|n| format!("{n} ")).flat_map(String::into_bytes).take(bytes).map(char::from).collect();
        let mut coded = GzEncoder::new(Vec::new(), Compression::fast());
        coded.write_all(body.as_bytes()).unwrap();
        let coded = coded.finish().unwrap();
        let fields =
            format!("Accept-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n", coded.len());
        let echo = decoded(asking("POST", "/x", &fields, &coded)).echo();
        assert!(echo.body == body && !echo.headers.has("content-encoding"), "{bytes}");
    }
    let large = decoded(asking("GET", "/large", "Accept-Encoding: gzip\r\n", b""));
    assert_eq!(large.body.len(), 10 << 20);
    let with_trailers = decoded(asking("GET", "/trailers", "Accept-Encoding: gzip\r\n", b""));
    assert!(!with_trailers.trailers.0.is_empty());
    let mut client = plane.connect();
    client.send(format!("GET /reset HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\n\r\n", host("a1")));
    match client.try_reply(false) {
        // Whether anything of it was sent before depends on when the reset comes.
        Ok(reply) => assert_eq!(reply.status, 502),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)),
    }
    drop(client);
    plane.assert_at_rest();
}
