//! What the management API does with calls that it can't take: unsigned, unknown, unsupported, too large.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::support::inside::{Inside, settings};
use turnpike_control::sigv4::AccessKey;

fn start() -> (tempfile::TempDir, Inside) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.body_bytes_max = 1_000;
    let inside = Inside::start(settings);
    (dir, inside)
}

#[test]
fn calls_have_to_be_signed() {
    let (_dir, inside) = start();
    let answer = inside
        .client
        .send("GET /v2/apis HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("answered");
    assert_eq!((answer.status, answer.error()), (403, "MissingAuthenticationTokenException"));
    let with = |id: &str, secret: &str| {
        let mut client = inside.client.clone();
        client.key = AccessKey { id: id.to_owned(), secret: secret.to_owned() };
        client
    };
    with("other", "secret").refused(403, "UnrecognizedClientException", "is invalid.", "GET", "/v2/apis", "");
    with("test", "wrong").refused(
        403,
        "InvalidSignatureException",
        "Check your AWS Secret Access Key",
        "GET",
        "/v2/apis",
        "",
    );
    // Not even whether a path exists is told to strangers.
    with("test", "wrong").refused(403, "InvalidSignatureException", "", "GET", "/nowhere", "");
}

#[test]
fn operations_without_a_handler_are_named() {
    let (_dir, inside) = start();
    let error = "UnsupportedOperationException";
    for (method, target, name) in
        [("GET", "/v2/portals", "ListPortals (apigatewayv2)"), ("POST", "/v2/portals", "CreatePortal")]
    {
        inside.client.refused(501, error, name, method, target, "{}");
    }
}

#[test]
fn unknown_paths_are_named() {
    let (_dir, inside) = start();
    let error = "UnknownOperationException";
    inside.client.refused(404, error, "GET /nowhere", "GET", "/nowhere", "");
    inside.client.refused(404, error, "PUT /v2/apis/x/stages/y", "PUT", "/v2/apis/x/stages/y", "");
}

#[test]
fn bodies_have_a_limit() {
    let (_dir, inside) = start();
    let body = format!(r#"{{"name":"{}","protocolType":"HTTP"}}"#, "x".repeat(1_000));
    let answer = inside.client.expect(413, "POST", "/v2/apis", &body);
    assert_eq!(answer.error(), "RequestEntityTooLargeException");
    assert!(answer.message().contains("body_bytes_max"), "{answer:?}");
}

#[test]
fn a_body_that_breaks_its_own_framing_is_named() {
    let (_dir, inside) = start();
    let head = "POST /v2/apis HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = inside.client.send(&format!("{head}zz\r\n\r\n")).expect("answered");
    assert_eq!((answer.status, answer.error()), (400, "BadRequestException"));
    assert!(answer.message().contains("body can't be read"), "{answer:?}");
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    let answer = inside.client.send(&format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n")).expect("answered");
    assert_eq!((answer.status, answer.error()), (413, "RequestEntityTooLargeException"));
}

#[test]
fn heads_that_cannot_be_read_are_refused_in_the_same_shape() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.head_bytes_max = 100_000;
    let inside = Inside::start(settings);
    let many = "A: b\r\n".repeat(200);
    for (bytes, status, error) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".to_owned(), 400, "BadRequestException"),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), 400, "BadRequestException"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)), 414, "RequestUriTooLongException"),
        (
            // No byte is left unread, which would make the answer a race with a reset.
            format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(100_000 - 19)),
            431,
            "RequestHeaderFieldsTooLargeException",
        ),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431, "RequestHeaderFieldsTooLargeException"),
    ] {
        let answer = inside.client.send(&bytes).expect("answered");
        assert_eq!((answer.status, answer.error()), (status, error), "{answer:?}");
        assert!(answer.message().starts_with("The request"), "{answer:?}");
        assert!(answer.header("x-amzn-requestid").is_some_and(|id| id.len() == 36), "{answer:?}");
    }
}

/// It has said all that it will, and hears what became of it.
#[test]
fn a_half_closed_client_is_answered() {
    let (_dir, inside) = start();
    let body = r#"{"name":"a","protocolType":"HTTP"}"#;
    for _ in 0..10 {
        let mut stream = TcpStream::connect(inside.client.address).expect("connected");
        stream.write_all(inside.client.signed("POST", "/v2/apis", body).as_bytes()).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("half-closed");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("readable");
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
}

/// Its sender hears why once it has sent it, instead of a reset.
#[test]
fn a_body_that_is_somewhat_too_large_is_read_to_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.body_bytes_max = 1_000_000;
    let inside = Inside::start(settings);
    for length in [1_000_001, 3_900_000] {
        let answer = inside.client.expect(413, "POST", "/v2/apis", &"x".repeat(length));
        assert_eq!(answer.error(), "RequestEntityTooLargeException");
    }
}

#[test]
fn a_body_that_is_announced_too_large_is_not_waited_for() {
    let (_dir, inside) = start();
    let head = "POST /v2/apis HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6000000000\r\n\r\n";
    let answer = inside.client.send(head).expect("answered");
    assert_eq!((answer.status, answer.error()), (413, "RequestEntityTooLargeException"));
}

#[test]
fn compressed_bodies_are_named() {
    let (_dir, inside) = start();
    let call = inside.client.signed("POST", "/v2/apis", "{}");
    let send = |coding: &str| {
        let call = call.replace(
            "Connection: close\r\n",
            &format!("Connection: close\r\nContent-Encoding: {coding}\r\n"),
        );
        inside.client.send(&call).expect("answered")
    };
    let answer = send("gzip");
    assert_eq!((answer.status, answer.error()), (415, "UnsupportedMediaTypeException"));
    assert!(answer.message().contains("'gzip'"), "{answer:?}");
    assert_eq!(send("identity").status, 400);
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let (_dir, inside) = start();
    let twice = r#"{"name":"a","name":"b","protocolType":"HTTP"}"#;
    inside.client.refused(400, "SerializationException", "\"name\" comes twice", "POST", "/v2/apis", twice);
    let bad = "BadRequestException";
    for (target, named) in [
        ("/v2/apis?maxResults=1&maxResults=2", "maxResults comes twice"),
        ("/restapis?position=61&position=62", "position comes twice"),
    ] {
        inside.client.refused(400, bad, named, "GET", target, "");
    }
}

#[test]
fn silent_connections_are_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.idle_timeout_ms = 50;
    let inside = Inside::start(settings);
    for sent in ["", "GET /v2/apis HTTP/1.1\r\nHost: x\r\n"] {
        let mut silent = TcpStream::connect(inside.client.address).expect("connected");
        silent.write_all(sent.as_bytes()).expect("sent");
        assert_eq!(silent.read_to_end(&mut Vec::new()).expect("closed"), 0);
    }
}

/// Each byte comes in time, and the head as a whole doesn't.
#[test]
fn a_head_that_drips_makes_room_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    (settings.connections_max, settings.head_timeout_ms) = (1, 300);
    let inside = Inside::start(settings);
    let mut dripping = TcpStream::connect(inside.client.address).expect("connected");
    dripping.set_read_timeout(Some(std::time::Duration::from_millis(20))).expect("SO_RCVTIMEO");
    dripping.write_all(b"GET /v2/apis HTTP/1.1\r\nX: ").expect("sent");
    // Endless, but for control's patience.
    while dripping.write_all(b"x").is_ok() {
        match dripping.read(&mut [0; 1024]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    inside.client.expect(200, "GET", "/v2/apis", "");
}

/// Every place is taken by whoever lets a request's body, its head or its connection wait.
#[test]
fn whoever_lets_a_request_wait_locks_nobody_out() {
    const HOUR_MS: u64 = 3_600_000;
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    (settings.connections_max, settings.connections_per_address_max) = (8, 8);
    (settings.idle_timeout_ms, settings.head_timeout_ms) = (HOUR_MS, HOUR_MS);
    (settings.body_timeout_ms, settings.body_rate_grace_ms) = (HOUR_MS, HOUR_MS);
    let inside = Inside::start(settings);
    let head = "POST /v2/apis HTTP/1.1\r\nHost: x\r\n";
    for sent in ["", head, &format!("{head}Content-Length: 10\r\n\r\n{{"), &format!("{head}\r\n")] {
        let waiting: Vec<TcpStream> = (0..20)
            .map(|_| {
                let mut stream = TcpStream::connect(inside.client.address).expect("connected");
                stream.write_all(sent.as_bytes()).expect("sent");
                stream
            })
            .collect();
        for _ in 0..20 {
            inside.client.expect(200, "GET", "/v2/apis", "");
        }
        drop(waiting);
    }
}

/// A call is signed, and its connection rests: it stays open while others come and go without having signed anything.
#[test]
fn a_connection_that_has_signed_outlasts_strangers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    (settings.connections_max, settings.connections_per_address_max) = (16, 16);
    let inside = Inside::start(settings);
    let mut kept = TcpStream::connect(inside.client.address).expect("connected");
    let call = inside.client.signed("GET", "/v2/apis", "").replace("Connection: close\r\n", "");
    let mut answer = |at: usize| {
        kept.write_all(call.as_bytes()).expect("sent");
        let mut bytes = [0; 4096];
        let read = kept.read(&mut bytes).expect("answered");
        assert!(
            bytes[..read].starts_with(b"HTTP/1.1 200"),
            "call {at}: {:?}",
            String::from_utf8_lossy(&bytes[..read])
        );
    };
    answer(0);
    let strangers: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(inside.client.address).expect("connected")).collect();
    inside.client.expect(200, "GET", "/v2/apis", "");
    answer(1);
    drop(strangers);
}

#[test]
fn a_body_that_comes_too_slowly_is_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    (settings.body_rate_grace_ms, settings.body_rate_bytes_per_s_min) = (50, 1 << 40);
    let inside = Inside::start(settings);
    let head = "POST /v2/apis HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let answer = inside.client.send(&format!("{head}{{")).expect("answered");
    assert_eq!((answer.status, answer.error()), (408, "RequestTimeoutException"));
    assert!(answer.message().contains("body_rate_bytes_per_s_min"), "{answer:?}");
}

/// Its bytes aren't kept, and it hears why at its end.
#[test]
fn a_large_body_of_a_stranger_is_answered_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = Inside::start(settings(dir.path().join("data")));
    let mut client = inside.client.clone();
    client.key = AccessKey { id: "other".to_owned(), secret: "secret".to_owned() };
    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(500_000));
    client.refused(403, "UnrecognizedClientException", "is invalid.", "POST", "/v2/apis", &body);
    client.key = AccessKey { id: inside.client.key.id.clone(), ..client.key };
    client.refused(400, "BadRequestException", "name", "POST", "/v2/apis", &body);
}

/// However long it takes: a silent connection that came after the call was closed is proof of the time.
#[test]
fn a_call_that_is_worked_on_outlasts_the_idle_timeout() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(dir.path().join("data"));
    settings.idle_timeout_ms = 100;
    let inside = Inside::start(settings);
    let origin = TcpListener::bind("127.0.0.1:0").expect("a port");
    let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"a"}"#);
    let method =
        format!("/restapis/{}/resources/{}/methods/GET", made.text("id"), made.text("rootResourceId"));
    inside.client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    let uri = format!("http://{}/", origin.local_addr().expect("bound"));
    let integration = serde_json::json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": uri});
    inside.client.expect(201, "PUT", &format!("{method}/integration"), &integration.to_string());
    std::thread::scope(|scope| {
        let call = scope.spawn(|| inside.client.expect(200, "POST", &method, "{}"));
        let (mut asked, _) = origin.accept().expect("asked");
        assert!(asked.read(&mut [0; 4096]).expect("a request") > 0);
        for _ in 0..3 {
            let mut silent = TcpStream::connect(inside.client.address).expect("connected");
            assert_eq!(silent.read_to_end(&mut Vec::new()).expect("closed"), 0);
        }
        asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("answered");
        assert_eq!(call.join().expect("answered").body["status"], 200);
    });
}

#[test]
fn the_status_is_for_signed_calls_too() {
    let (_dir, inside) = start();
    let status = inside.client.expect(200, "GET", "/_turnpike/status", "");
    assert_eq!(status.body["version"], 1);
    assert_eq!(status.body["gateways"], serde_json::json!([]));
}
