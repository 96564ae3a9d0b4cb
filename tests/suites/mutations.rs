//! Thousands of slightly wrong messages, from clients and from origins: neither side ever sees anything but
//! strict HTTP from the gateway.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use turnpike_tests::{DataPlane, Mutations, Origin, http_api, request};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";

/// Whatever clients send, what reaches the origin is strict HTTP, and every reply is.
#[test]
fn mutated_requests_never_confuse_the_gateway() {
    let confused = Arc::new(Mutex::new(Vec::new()));
    let origin = Origin::scripted({
        let confused = Arc::clone(&confused);
        move |connection, _| loop {
            let answered = match connection.request() {
                Ok(None) => return,
                Ok(Some(request)) => connection.echo(&request),
                Err(error) => Err(error),
            };
            match answered {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return confused.lock().unwrap().push(error.to_string());
                }
                Err(_) => return,
            }
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    let valid = [
        format!("GET /a?b=c HTTP/1.1\r\n{HOST}Accept: */*\r\nConnection: x\r\nX: 1\r\n\r\n"),
        format!("POST /a HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nhello"),
        format!(
            "POST /a HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\na\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
        ),
    ];
    let mut mutations = Mutations::seeded(2);
    for round in 0..3_000 {
        let mutated = mutations.of(valid[round % valid.len()].as_bytes());
        let mut client = plane.connect();
        // Refused early, it may already be closed.
        let _ = client.try_send(&mutated);
        client.half_close();
        loop {
            match client.try_reply(mutated.starts_with(b"HEAD ")) {
                Ok(reply) => assert!((200..600).contains(&reply.status)),
                Err(error) => {
                    let what = String::from_utf8_lossy(&mutated);
                    assert_ne!(error.kind(), ErrorKind::InvalidData, "round {round}: {error}: {what:?}");
                    break;
                }
            }
        }
    }
    assert_eq!(*confused.lock().unwrap(), Vec::<String>::new(), "what the origin was sent");
    assert_eq!(plane.exchange(request("GET", "a1", "/after")).echo().target, "/after");
    plane.assert_at_rest();
}

/// Whatever origins reply, clients get strict HTTP or a connection that breaks off.
#[test]
fn mutated_replies_never_confuse_a_client() {
    let valid = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: 1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\na\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nuntil the end",
    ];
    let mutations = Mutex::new((Mutations::seeded(2), 0));
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let mutated = {
                let (mutations, count) = &mut *mutations.lock().unwrap();
                *count += 1;
                mutations.of(valid[*count % valid.len()].as_bytes())
            };
            let _ = connection.send(mutated);
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    for round in 0..2_000 {
        let mut client = plane.connect();
        client.send(request("GET", "a1", "/"));
        match client.try_reply(false) {
            Ok(reply) => assert!((200..600).contains(&reply.status)),
            Err(error) => assert_ne!(error.kind(), ErrorKind::InvalidData, "round {round}: {error}"),
        }
    }
    plane.assert_at_rest();
}
