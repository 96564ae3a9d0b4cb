//! HTTP/1.1 as clients may speak it: where messages begin and end, and what a connection carries next
//! (RFC 9110; RFC 9112, 6, 7 and 9).

use turnpike_tests::{DataPlane, Origin, http_api, request};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";

fn message(start: &str, rest: &str) -> String {
    format!("{start} HTTP/1.1\r\n{HOST}{rest}")
}

#[test]
fn keeps_a_connection_for_many_requests() {
    let (plane, origin) = DataPlane::echoing();
    let mut client = plane.connect();
    for number in 0..50 {
        let reply = client.exchange(request("GET", "a1", &format!("/n/{number}")));
        assert_eq!(reply.echo().target, format!("/n/{number}"));
        assert!(!reply.headers.has("connection"));
    }
    assert_eq!(origin.connections(), 1, "the upstream connection is pooled");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn closes_when_the_client_asks_for_it() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let reply = client.exchange(message("GET /", "Connection: close\r\n\r\n"));
    assert_eq!((reply.status, reply.headers.one("connection")), (200, Some("close")));
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn serves_http_1_0_and_closes_unless_asked_to_stay() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let reply = client.exchange(format!("GET /old HTTP/1.0\r\n{HOST}Connection: keep-alive\r\n\r\n"));
    assert_eq!((reply.status, reply.headers.one("connection")), (200, Some("keep-alive")));
    let reply = client.exchange(format!("GET /old HTTP/1.0\r\n{HOST}\r\n"));
    assert_eq!(reply.echo().target, "/old");
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn answers_pipelined_requests_in_order() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let mut all = String::new();
    for number in 0..40 {
        all += &match number % 3 {
            0 => message(&format!("GET /{number}"), "\r\n"),
            1 => message(&format!("POST /{number}"), "Content-Length: 3\r\n\r\nabc"),
            _ => message(
                &format!("POST /{number}"),
                "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            ),
        };
    }
    let sent = all.len();
    client.send(all);
    for number in 0..40 {
        let echo = client.reply().echo();
        assert_eq!(echo.target, format!("/{number}"));
        assert_eq!(echo.body, if number % 3 == 0 { "" } else { "abc" });
    }
    drop(client);
    plane.assert_at_rest();
    let received = plane.gateway.metrics().sum("turnpike_shard_received_bytes_total", &[]);
    assert_eq!(received as usize, sent, "each byte is counted once");
}

#[test]
fn understands_a_request_split_at_every_offset() {
    let (plane, _origin) = DataPlane::echoing();
    let bytes = message(
        "POST /split",
        "Transfer-Encoding: chunked\r\nX-A: 1\r\n\r\n3;e=\"q\"\r\nabc\r\n0\r\nX-T: 2\r\n\r\n",
    );
    let mut client = plane.connect();
    for offset in 1..bytes.len() {
        client.send(&bytes[..offset]);
        client.send(&bytes[offset..]);
        let echo = client.reply().echo();
        assert_eq!((echo.target.as_str(), echo.body.as_str()), ("/split", "abc"), "split at {offset}");
    }
    for byte in bytes.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.reply().echo().body, "abc");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn passes_bodies_with_a_length() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    for length in [0, 1, 1_000, 16_384, 70_000, 1_000_000] {
        let body = "x".repeat(length);
        let head = message("PUT /b", &format!("Content-Length: {length}\r\n\r\n"));
        let echo = client.exchange(head + &body).echo();
        assert_eq!(echo.headers.one("content-length"), Some(length.to_string().as_str()));
        assert_eq!(echo.body.len(), length);
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn passes_chunked_bodies_and_their_trailers() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let echo = client
        .exchange(message(
            "POST /t",
            "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
        ))
        .echo();
    assert_eq!(echo.body, "hello");
    assert_eq!(echo.headers.one("transfer-encoding"), Some("chunked"));
    assert_eq!(echo.trailers.one("x-sum"), Some("42"));
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn passes_a_reply_with_trailers() {
    let origin = Origin::replying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    for _ in 0..2 {
        let reply = client.exchange(request("GET", "a1", "/"));
        assert_eq!((reply.status, reply.text()), (200, "abc"));
        assert_eq!(reply.trailers.one("x-sum"), Some("7"));
    }
    assert_eq!(origin.connections(), 1);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn replies_to_head_without_a_body() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let head = client.exchange(request("HEAD", "a1", "/h"));
    assert_eq!(head.status, 200);
    let length: usize =
        head.headers.one("content-length").expect("the length of GET's body").parse().unwrap();
    assert!(length > 0);
    let get = client.exchange(request("GET", "a1", "/h"));
    assert_eq!(get.echo().method, "GET");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn replies_without_body_keep_the_connection_in_step() {
    for reply in [
        "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let status: u16 = reply[9..12].parse().unwrap();
        let origin = Origin::replying(reply);
        let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
        let mut client = plane.connect();
        for _ in 0..3 {
            let seen = client.exchange(request("GET", "a1", "/"));
            assert_eq!((seen.status, seen.body.len()), (status, 0), "{reply:?}");
        }
        assert_eq!(origin.connections(), 1, "{reply:?}");
        drop(client);
        plane.assert_at_rest();
    }
}

#[test]
fn reads_an_http_1_0_body_until_the_origin_closes() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end").unwrap();
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    for _ in 0..2 {
        let reply = client.exchange(request("GET", "a1", "/"));
        assert_eq!((reply.status, reply.text()), (200, "until the end"));
        assert_eq!(reply.headers.one("transfer-encoding"), Some("chunked"), "the client's connection stays");
    }
    assert_eq!(origin.connections(), 2);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_http_1_0_client_gets_an_unframed_body_until_close() {
    let origin =
        Origin::replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    let reply = client.exchange(format!("GET / HTTP/1.0\r\n{HOST}\r\n"));
    assert!(!reply.headers.has("transfer-encoding"), "HTTP/1.0 knows no chunks");
    assert_eq!(reply.text(), "abc");
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn passes_over_interim_replies_of_the_origin() {
    let origin = Origin::replying(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    for _ in 0..3 {
        let reply = client.exchange(request("GET", "a1", "/"));
        assert_eq!((reply.status, reply.text()), (200, "ok"));
    }
    assert_eq!(origin.connections(), 1);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn says_continue_before_it_waits_for_a_body() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    for expectation in ["100-continue", "100-Continue"] {
        client.send(message("POST /e", &format!("Content-Length: 4\r\nExpect: {expectation}\r\n\r\n")));
        let (status, _) = client.head();
        assert_eq!(status, 100);
        client.send("body");
        let reply = client.reply();
        assert_eq!(reply.echo().body, "body");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn refuses_an_expectation_that_it_does_not_know() {
    let (plane, origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let reply = client.exchange(message("POST /e", "Content-Length: 0\r\nExpect: 200-ok\r\n\r\n"));
    assert_eq!(reply.status, 417);
    assert_eq!(origin.seen(), []);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn refuses_without_continue_what_it_would_not_take() {
    let (plane, origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let reply =
        client.exchange(message("POST /e", "Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(reply.status, 413);
    assert_eq!(origin.seen(), []);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_upgrade_is_refused_and_the_connection_goes_on() {
    let (plane, origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let reply = client.exchange(message(
        "GET /chat",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n",
    ));
    assert_eq!(reply.status, 400);
    assert_eq!(origin.seen(), []);
    assert_eq!(client.exchange(request("GET", "a1", "/next")).echo().target, "/next");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_offer_of_cleartext_http_2_is_passed_over() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let offer =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let echo = client.exchange(message("GET /", offer)).echo();
    assert!(!echo.headers.has("upgrade") && !echo.headers.has("http2-settings"), "{echo:?}");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_switches_protocols_unasked_is_a_bad_gateway() {
    let origin =
        Origin::replying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    assert!(plane.exchange(request("GET", "a1", "/")).status >= 500);
    plane.assert_at_rest();
}

#[test]
fn connect_is_no_method_of_a_gateway() {
    let (plane, origin) = DataPlane::echoing();
    let mut client = plane.connect();
    let reply = client.exchange("CONNECT a1.execute-api.us-east-1.localhost:80 HTTP/1.1\r\nHost: a1.execute-api.us-east-1.localhost:80\r\n\r\n");
    assert_eq!(reply.status, 501, "{reply:?}");
    assert_eq!(origin.seen(), []);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn accepts_the_absolute_form() {
    let (plane, _origin) = DataPlane::echoing();
    let host = "a1.execute-api.us-east-1.localhost";
    let mut client = plane.connect();
    for target in [format!("http://{host}/abs?q=1"), format!("http://{host}:8080/abs?q=1")] {
        let echo = client.exchange(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).echo();
        assert_eq!(echo.target, "/abs?q=1");
    }
    let echo = client.exchange(format!("GET http://{host} HTTP/1.1\r\nHost: {host}\r\n\r\n")).echo();
    assert_eq!(echo.target, "/");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn the_absolute_form_outranks_the_host_field() {
    let (plane, _origin) = DataPlane::echoing();
    let reply = plane.exchange(
        "GET http://a1.execute-api.us-east-1.localhost/x HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
    );
    assert_eq!(reply.echo().target, "/x", "RFC 9112, 3.2.2");
    plane.assert_at_rest();
}

#[test]
fn tolerates_an_empty_line_before_a_request() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    for _ in 0..2 {
        let echo = client.exchange(format!("\r\n{}", request("GET", "a1", "/"))).echo();
        assert_eq!(echo.method, "GET");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_client_that_half_closes_still_gets_its_reply() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    client.send(message("POST /half", "Content-Length: 4\r\n\r\nbody"));
    client.half_close();
    assert_eq!(client.reply().echo().body, "body");
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn a_client_that_half_closes_gets_the_replies_to_all_it_pipelined() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/1") + &request("GET", "a1", "/2") + &request("GET", "a1", "/3"));
    client.half_close();
    for number in 1..=3 {
        assert_eq!(client.reply().echo().target, format!("/{number}"));
    }
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn methods_are_passed_as_they_are() {
    let (plane, _origin) = DataPlane::echoing();
    let mut client = plane.connect();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_eq!(client.exchange(request(method, "a1", "/m")).echo().method, method);
    }
    drop(client);
    plane.assert_at_rest();
}
