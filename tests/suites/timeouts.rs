//! What takes too long is ended, by whose fault it is, and nothing is left behind.
//!
//! Nothing here measures time: a test waits for the event, and would wait in vain if it didn't come.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use turnpike_tests::{DataPlane, Options, Origin, Unreachable, http_api, request, rest_api};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";

fn plane(settings: &[(&str, u64)]) -> (DataPlane, Origin) {
    let origin = Origin::echo();
    let options = settings.iter().fold(Options::new(), |options, (name, value)| options.set(name, value));
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    (DataPlane::with(&options, &[stage]), origin)
}

#[test]
fn a_head_that_does_not_end_gets_408() {
    let (plane, origin) = plane(&[("read_head_timeout_ms", 200)]);
    for part in ["G", "GET / HTTP/1.1\r\n", &format!("GET / HTTP/1.1\r\n{HOST}X: 1\r\n")] {
        let mut client = plane.connect();
        client.send(part);
        let reply = client.reply();
        assert_eq!((reply.status, reply.headers.one("connection")), (408, Some("close")), "{part:?}");
        client.assert_closed();
    }
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn bytes_that_trickle_in_do_not_prolong_a_head() {
    let (plane, _origin) = plane(&[("read_head_timeout_ms", 300)]);
    let mut client = plane.connect();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}X: "));
    // Endless, but for the gateway's patience: sending fails once it has closed.
    while client.try_send("a").is_ok() {
        if client.readable_within(std::time::Duration::from_millis(20)) {
            break;
        }
    }
    assert_eq!(client.reply().status, 408);
    plane.assert_at_rest();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let (plane, _origin) = plane(&[("idle_timeout_ms", 200)]);
    let mut fresh = plane.connect();
    fresh.assert_closed();
    let mut used = plane.connect();
    assert_eq!(used.exchange(request("GET", "a1", "/")).status, 200);
    used.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn a_body_that_stalls_gets_408() {
    let (plane, _origin) = plane(&[("read_body_timeout_ms", 200)]);
    for rest in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nab"] {
        let mut client = plane.connect();
        client.send(format!("POST / HTTP/1.1\r\n{HOST}{rest}"));
        let reply = client.reply();
        assert_eq!(reply.status, 408, "{rest:?}");
        client.assert_closed();
    }
    plane.assert_at_rest();
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while connection.send([b'x'; 65536]).is_ok() {}
        }
    });
    let options = Options::new().set("write_timeout_ms", 200);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect_with_receive_bytes(4096);
    client.send(request("GET", "a1", "/"));
    let head = client.head();
    assert_eq!(head.0, 200);
    // At rest while the client still holds its end: the gateway has given up on it.
    plane.assert_at_rest();
    client.body_into(&head, |_| ()).expect_err("the body is cut short");
}

#[test]
fn a_slow_integration_gets_504() {
    let origin = Origin::scripted(|connection, _| connection.wait_for_close());
    let plane = DataPlane::serving(&[
        http_api("a1").route_within("$default", &origin.url("/"), 100),
        rest_api("r1", "s").route_within("GET /x", &origin.url("/"), 100),
    ]);
    let mut client = plane.connect();
    let rest = client.exchange(request("GET", "r1", "/s/x"));
    assert_eq!((rest.status, rest.text()), (504, r#"{"message":"Endpoint request timed out"}"#));
    let http = client.exchange(request("GET", "a1", "/x"));
    assert_eq!((http.status, http.text()), (504, r#"{"message":"Gateway Timeout"}"#));
    drop(client);
    plane.assert_at_rest();
    // What was sent too late can't reach another client.
    turnpike_tests::until("no connection to the origin", || (origin.open_connections() == 0).then_some(()));
}

#[test]
fn an_origin_that_stalls_in_its_head_gets_504() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nContent-").unwrap();
            connection.wait_for_close();
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route_within("$default", &origin.url("/"), 100)]);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 504);
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_takes_no_body_gets_504() {
    let (end, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let _ = ended.lock().unwrap().recv();
        }
    });
    let options = Options::new().set("body_bytes_max", "unlimited");
    let stages = [
        http_api("a1").route_within("$default", &origin.url("/"), 100),
        rest_api("r1", "s").route_within("POST /x", &origin.url("/"), 100),
    ];
    let plane = DataPlane::with(&options, &stages);
    for (host, path, message) in
        [("a1", "/", "Gateway Timeout"), ("r1", "/s/x", "Endpoint request timed out")]
    {
        let mut client = plane.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: {host}.execute-api.us-east-1.localhost\r\nContent-Length: 1000000000\r\n\r\n"
        ));
        let mut sender = client.sender();
        let sending = std::thread::spawn(move || while sender.write_all(&[b'x'; 65536]).is_ok() {});
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (504, format!(r#"{{"message":"{message}"}}"#).as_str()));
        drop(client);
        sending.join().unwrap();
    }
    plane.assert_at_rest();
    drop(end);
}

#[test]
fn an_origin_that_stalls_in_its_body_cuts_the_reply_short() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
            connection.wait_for_close();
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route_within("$default", &origin.url("/"), 100)]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    client.try_reply(false).expect_err("never a whole reply");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_target_that_does_not_accept_gets_an_error_of_its_own() {
    let target = Unreachable::start();
    let options = Options::new().set("connect_timeout_ms", 100);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &target.url("/"))]);
    let reply = plane.exchange(request("GET", "a1", "/"));
    assert!(matches!(reply.status, 503 | 504), "{}", reply.status);
    plane.assert_at_rest();
}

#[test]
fn the_operators_ceiling_shortens_an_integrations_timeout() {
    let origin = Origin::scripted(|connection, _| connection.wait_for_close());
    let options = Options::new().set("integration_timeout_ms_max", 100);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 504);
    plane.assert_at_rest();
}

#[test]
fn a_pooled_connection_is_closed_after_its_idle_time() {
    let (plane, origin) = plane(&[("upstream_idle_timeout_ms", 200)]);
    let mut client = plane.connect();
    assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    turnpike_tests::until("the pooled connection to be closed", || {
        (origin.open_connections() == 0).then_some(())
    });
    assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    assert_eq!(origin.connections(), 2);
    drop(client);
    plane.assert_at_rest();
}
