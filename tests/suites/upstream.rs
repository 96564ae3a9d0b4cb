//! Origins that refuse, reset, lie or babble: the right status, no leak, no poisoned pooled connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use turnpike_tests::{
    Connection, DataPlane, Options, Origin, Reply, http_api, refusing_url, request, rest_api, until,
};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn behind(origin: &Origin) -> DataPlane {
    DataPlane::serving(&[
        http_api("a1").route("$default", &origin.url("/")),
        rest_api("r1", "s").route("ANY /x", &origin.url("/")),
    ])
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads the request whole, then does what the test wants.
fn after_request(act: impl Fn(&mut Connection) + Send + Sync + 'static) -> Origin {
    Origin::scripted(move |connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            connection.body(&seen).unwrap();
            act(connection);
        }
    })
}

fn assert_refused(reply: &Reply, status: u16, message: &str, what: &str) {
    assert_eq!((reply.status, reply.text()), (status, &*format!(r#"{{"message":"{message}"}}"#)), "{what}");
}

const NETWORK_ERROR: &str = "Network error communicating with endpoint";

#[test]
fn a_target_that_refuses_is_unavailable() {
    let plane = DataPlane::serving(&[
        http_api("a1").route("$default", &refusing_url("/")),
        rest_api("r1", "s").route("ANY /x", &refusing_url("/")),
    ]);
    let mut client = plane.connect();
    let reply = client.exchange(request("GET", "a1", "/"));
    assert_refused(&reply, 503, "Service Unavailable", "refused");
    let reply = client.exchange(request("GET", "r1", "/s/x"));
    assert_refused(&reply, 504, NETWORK_ERROR, "refused");
    drop(client);
    plane.assert_at_rest();
}

/// On two shards: neither's pool may be what keeps the other's.
#[test]
fn connections_that_no_api_needs_any_more_are_closed() {
    let origin = Origin::echo();
    let options = Options::new().shards(2).set("upstream_idle_timeout_ms", 600_000);
    let mut plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut clients: Vec<_> = (0..8).map(|_| plane.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    }
    let open =
        |plane: &DataPlane| plane.gateway.metrics().sum("turnpike_shard_upstream_connections_open", &[]);
    assert!(open(&plane) >= 2.0, "each shard keeps one");
    plane.publish(&[http_api("b1").route("$default", &refusing_url("/"))]);
    until("the unneeded connections are closed", || (open(&plane) == 0.0).then_some(()));
}

#[test]
fn a_name_without_an_address_is_unavailable() {
    let plane = DataPlane::serving(&[http_api("a1").route("$default", "http://no-such-name.invalid:80/")]);
    let reply = plane.exchange(request("GET", "a1", "/"));
    assert_refused(&reply, 503, "Service Unavailable", "unresolved");
    plane.assert_at_rest();
}

#[test]
fn faults_before_a_reply_are_bad_gateways() {
    type Fault = fn(&mut Connection);
    let faults: [(&str, Fault); 4] = [
        ("closes without a reply", |_| ()),
        ("resets without a reply", |connection| connection.reset()),
        ("closes in its head", |connection| connection.send("HTTP/1.1 200 OK\r\nX-A").unwrap()),
        ("resets in its head", |connection| {
            connection.send("HTTP/1.1 200 OK\r\nX-A").unwrap();
            connection.reset();
        }),
    ];
    for (what, fault) in faults {
        let origin = after_request(fault);
        let plane = behind(&origin);
        let mut client = plane.connect();
        assert_refused(&client.exchange(request("GET", "a1", "/")), 502, "Bad Gateway", what);
        assert_refused(&client.exchange(request("GET", "r1", "/s/x")), 504, NETWORK_ERROR, what);
        drop(client);
        plane.assert_at_rest();
        assert_eq!(origin.connections(), 2, "{what}: a fresh connection is no reason to try again");
    }
}

#[test]
fn garbage_is_a_bad_gateway() {
    for garbage in [
        "hello\r\n\r\n",
        "\r\n\r\n\r\n",
        "\0\0\0\0",
        "SSH-2.0-x\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "HTTP/1.1 600 Odd\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let origin = Origin::scripted(move |connection, _| {
            if let Ok(Some(_)) = connection.request() {
                let _ = connection.send(garbage);
                connection.wait_for_close();
            }
        });
        let plane = behind(&origin);
        let reply = plane.exchange(request("GET", "a1", "/"));
        assert_refused(&reply, 502, "Bad Gateway", garbage);
        let reply = plane.exchange(request("GET", "r1", "/s/x"));
        assert_refused(&reply, 502, "Internal server error", garbage);
        plane.assert_at_rest();
        assert_eq!(
            plane.gateway.metrics().sum("turnpike_shard_upstream_connections_open", &[]),
            0.0,
            "{garbage:?}"
        );
    }
}

#[test]
fn an_endless_head_is_a_bad_gateway() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let _ = connection.send("HTTP/1.1 200 OK\r\n");
            while connection.send("X-Field: value\r\n".repeat(64)).is_ok() {}
        }
    });
    let plane = behind(&origin);
    let reply = plane.exchange(request("GET", "a1", "/"));
    assert_refused(&reply, 502, "Bad Gateway", "endless head");
    plane.assert_at_rest();
}

#[test]
fn a_reply_cut_short_is_never_made_whole() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    ] {
        for reset in [false, true] {
            let origin = after_request(move |connection| {
                connection.send(reply).unwrap();
                if reset {
                    connection.reset();
                }
            });
            let plane = behind(&origin);
            let mut client = plane.connect();
            client.send(request("GET", "a1", "/"));
            match client.try_reply(false) {
                // A fault that showed before the head was passed on may still get a status of its own.
                Ok(seen) => assert!(matches!(seen.status, 500..=504), "{reply:?}: {seen:?}"),
                Err(_) => client.assert_closed(),
            }
            drop(client);
            plane.assert_at_rest();
        }
    }
}

#[test]
fn an_http_1_0_body_that_is_reset_is_not_whole() {
    let origin = after_request(|connection| {
        connection.send("HTTP/1.0 200 OK\r\n\r\nsome").unwrap();
        connection.reset();
    });
    let plane = behind(&origin);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    match client.try_reply(false) {
        Ok(seen) => assert!(matches!(seen.status, 500..=504), "{seen:?}"),
        Err(_) => client.assert_closed(),
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn bytes_after_a_reply_never_reach_another_client() {
    let origin = Origin::scripted(|connection, _| {
        while let Ok(Some(_)) = connection.request() {
            let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            if connection.send(format!("{OK}{poison}")).is_err() {
                return;
            }
        }
    });
    let plane = behind(&origin);
    let mut client = plane.connect();
    for _ in 0..20 {
        let reply = client.exchange(request("GET", "a1", "/"));
        assert_eq!((reply.status, reply.text()), (200, "ok"));
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn bytes_that_come_while_a_connection_is_pooled_end_it() {
    let first_connection_poisoned = Arc::new(AtomicUsize::new(0));
    let origin = Origin::scripted({
        let poisoned = Arc::clone(&first_connection_poisoned);
        move |connection, number| {
            while let Ok(Some(_)) = connection.request() {
                if connection.send(OK).is_err() {
                    return;
                }
                if number == 0 {
                    let _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
                    poisoned.store(1, Ordering::SeqCst);
                }
            }
        }
    });
    let plane = behind(&origin);
    let mut client = plane.connect();
    assert_eq!(client.exchange(request("GET", "a1", "/")).text(), "ok");
    turnpike_tests::until("the poison", || {
        (first_connection_poisoned.load(Ordering::SeqCst) == 1).then_some(())
    });
    for _ in 0..3 {
        assert_eq!(client.exchange(request("GET", "a1", "/")).text(), "ok");
    }
    assert_eq!(origin.connections(), 2);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_reply_that_wants_a_close_is_not_pooled() {
    for reply in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let origin = Origin::replying(reply);
        let plane = behind(&origin);
        let mut client = plane.connect();
        for count in 1..=3 {
            let seen = client.exchange(request("GET", "a1", "/"));
            assert_eq!((seen.text(), origin.connections()), ("ok", count), "{reply:?}");
            assert!(!seen.headers.has("connection"), "the client's connection stays");
        }
        drop(client);
        plane.assert_at_rest();
    }
}

/// Answers once on each connection, then closes it although it promised to keep it.
fn closing_after_each_reply() -> Origin {
    Origin::scripted(|connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            connection.body(&seen).unwrap();
            connection.send(OK).unwrap();
        }
    })
}

#[test]
fn a_connection_that_closed_in_the_pool_is_not_noticed_by_clients() {
    let origin = closing_after_each_reply();
    let plane = behind(&origin);
    let mut client = plane.connect();
    for _ in 0..20 {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    }
    for _ in 0..5 {
        turnpike_tests::until("the origin to close", || (origin.open_connections() == 0).then_some(()));
        assert_eq!(client.exchange(post("body")).status, 200, "known to be closed before a byte was sent");
    }
    drop(client);
    plane.assert_at_rest();
}

/// Takes the second request on its first connection, and closes without a reply.
fn closing_on_the_second_request() -> Origin {
    Origin::scripted(|connection, number| {
        let mut count = 0;
        while let Ok(Some(seen)) = connection.request() {
            count += 1;
            connection.body(&seen).unwrap();
            if number == 0 && count == 2 {
                return;
            }
            connection.send(OK).unwrap();
        }
    })
}

#[test]
fn a_get_on_a_stale_connection_is_sent_once_more() {
    let origin = closing_on_the_second_request();
    let plane = behind(&origin);
    let mut client = plane.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    }
    assert_eq!((origin.connections(), origin.seen().len()), (2, 4));
    assert_eq!(plane.gateway.metrics().sum("turnpike_shard_upstream_retries_total", &[]), 1.0);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_post_that_may_have_had_an_effect_is_not_sent_again() {
    let origin = closing_on_the_second_request();
    let plane = behind(&origin);
    let mut client = plane.connect();
    assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    let reply = client.exchange(post("pay 5"));
    assert_refused(&reply, 502, "Bad Gateway", "POST on a stale connection");
    assert_eq!(origin.seen().len(), 2, "the origin has seen the POST once");
    assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_retry_is_not_retried() {
    let origin = Origin::scripted(|connection, number| {
        let mut first = true;
        while let Ok(Some(_)) = connection.request() {
            if number > 0 || !first {
                return;
            }
            first = false;
            connection.send(OK).unwrap();
        }
    });
    let plane = behind(&origin);
    let mut client = plane.connect();
    assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    let reply = client.exchange(request("GET", "a1", "/"));
    assert_refused(&reply, 502, "Bad Gateway", "stale, then closed again");
    assert_eq!((origin.connections(), origin.seen().len()), (2, 3));
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_origin_may_reply_before_it_has_the_body() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection
                .send("HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
                .unwrap();
            connection.half_close();
            connection.wait_for_close();
        }
    });
    let plane = behind(&origin);
    let mut client = plane.connect();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 5000000\r\n\r\nabc"));
    let reply = client.reply();
    assert_eq!((reply.status, reply.text()), (413, "big"));
    // The rest of the body is in nobody's interest: the gateway takes it or closes, and nothing is left.
    let _ = client.try_send(vec![b'x'; 4_999_997]);
    drop(client);
    plane.assert_at_rest();
    assert_eq!(
        plane.gateway.metrics().sum("turnpike_shard_upstream_connections_open", &[]),
        0.0,
        "half a request was sent"
    );
}

#[test]
fn an_origin_that_replies_early_and_resets_is_still_heard() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").unwrap();
        }
    });
    let plane = behind(&origin);
    for _ in 0..5 {
        let mut client = plane.connect();
        let _ = client.try_send(post(&"x".repeat(3_000_000)));
        let reply = client.reply();
        assert!(matches!(reply.status, 401 | 500..=504), "{}", reply.status);
        drop(client);
        plane.assert_at_rest();
    }
}

#[test]
fn one_bad_origin_does_not_disturb_another() {
    let bad = Origin::scripted(|connection, _| connection.wait_for_close());
    let good = Origin::replying(OK);
    let plane = DataPlane::serving(&[http_api("a1")
        .route_within("GET /bad", &bad.url("/"), 1_000)
        .route("GET /good", &good.url("/"))]);
    let mut stuck: Vec<_> = (0..50).map(|_| plane.connect()).collect();
    for client in &mut stuck {
        client.send(request("GET", "a1", "/bad"));
    }
    turnpike_tests::until("all to be stuck", || (bad.connections() == 50).then_some(()));
    let mut client = plane.connect();
    for _ in 0..50 {
        assert_eq!(client.exchange(request("GET", "a1", "/good")).status, 200);
    }
    drop((client, stuck));
    plane.assert_at_rest();
}

#[test]
fn many_clients_share_few_connections() {
    let origin = Origin::echo();
    let plane = behind(&origin);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = plane.connect();
                for number in 0..50 {
                    let reply = client.exchange(post(&number.to_string()));
                    assert_eq!(reply.echo().body, number.to_string());
                }
            });
        }
    });
    assert!(origin.connections() <= 16, "{} connections", origin.connections());
    plane.assert_at_rest();
}

/// Answers a request when the test says so, one at a time; the requests' targets, in order, are the bodies.
fn answering_when_told() -> (Origin, mpsc::Sender<()>) {
    let (go, told) = mpsc::channel();
    let told = Mutex::new(told);
    let origin = Origin::scripted(move |connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            // The test has ended if nobody tells any more.
            let _ = told.lock().unwrap().recv();
            let body = &seen.target;
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if connection.send(reply).is_err() {
                return;
            }
        }
    });
    (origin, go)
}

fn wait_for_pending(plane: &DataPlane, count: usize) {
    turnpike_tests::until(&format!("{count} requests to wait"), || {
        let pending = plane.gateway.metrics().sum("turnpike_shard_upstream_requests_pending", &[]);
        (pending == count as f64).then_some(())
    });
}

#[test]
fn a_burst_waits_for_the_connections_that_are_allowed_in_order() {
    let (origin, go) = answering_when_told();
    let options = Options::new().set("upstream_connections_max", 1);
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    let plane = DataPlane::with(&options, &[stage]);
    let mut clients: Vec<_> = (0..5).map(|_| plane.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(request("GET", "a1", &format!("/{number}")));
        if number == 0 {
            origin.wait_for_requests(1);
        }
        wait_for_pending(&plane, number);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        go.send(()).unwrap();
        assert_eq!(client.reply().text(), format!("/{number}"));
    }
    assert_eq!(origin.connections(), 1);
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn no_more_wait_than_may_and_none_for_longer_than_its_timeout() {
    let (origin, go) = answering_when_told();
    let options = Options::new().set("upstream_connections_max", 1).set("upstream_pending_requests_max", 1);
    let plane = DataPlane::with(
        &options,
        &[http_api("a1").route("GET /long", &origin.url("/long")).route_within(
            "GET /short",
            &origin.url("/short"),
            100,
        )],
    );
    let (mut first, mut second) = (plane.connect(), plane.connect());
    first.send(request("GET", "a1", "/long"));
    origin.wait_for_requests(1);
    second.send(request("GET", "a1", "/short"));
    assert_refused(&second.reply(), 504, "Gateway Timeout", "it waited for its 100 ms");
    second.send(request("GET", "a1", "/long"));
    wait_for_pending(&plane, 1);
    let refused = plane.exchange(request("GET", "a1", "/long"));
    assert_refused(&refused, 503, "Service Unavailable", "one waits already");
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((first.reply().status, second.reply().status), (200, 200));
    drop((first, second));
    plane.assert_at_rest();
}

#[test]
fn who_waits_is_let_in_when_a_connection_closes() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let _ = connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let options = Options::new().set("upstream_connections_max", 2);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut clients: Vec<_> = (0..20).map(|_| plane.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(request("GET", "a1", "/")));
    assert!(clients.iter_mut().all(|client| client.reply().status == 200));
    assert_eq!(origin.connections(), 20);
    drop(clients);
    plane.assert_at_rest();
}
