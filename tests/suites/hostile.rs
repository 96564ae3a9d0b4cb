//! Peers that are slow, many, or too large: each is ended by a limit, and counted under a name of its own.
//!
//! Nothing here measures time: a test waits for the event, and would wait in vain if it didn't come.

use std::time::Duration;

use turnpike_tests::{Client, DataPlane, Options, Origin, http_api, request, until};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";

fn plane(settings: &[(&str, &str)]) -> (DataPlane, Origin) {
    let origin = Origin::echo();
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    (DataPlane::with(&options(settings), &[stage]), origin)
}

fn options(settings: &[(&str, &str)]) -> Options {
    settings.iter().fold(Options::new(), |options, (name, value)| options.set(name, value))
}

fn refusals(plane: &DataPlane, kind: &str) -> f64 {
    plane.gateway.metrics().sum("turnpike_shard_refusals_total", &[&format!("kind=\"{kind}\"")])
}

fn counted(plane: &DataPlane, name: &str) -> f64 {
    plane.gateway.metrics().sum(name, &[])
}

/// Sends one byte after another until the gateway answers or closes.
fn drip(client: &mut Client, byte: u8) {
    while client.try_send([byte]).is_ok() && !client.readable_within(Duration::from_millis(20)) {}
}

/// The status of a request, or `None` for a connection that is closed.
fn get(client: &mut Client) -> Option<u16> {
    client.try_send(request("GET", "a1", "/")).ok()?;
    client.try_reply(false).ok().map(|reply| reply.status)
}

#[test]
fn a_slow_head_is_ended_and_counted() {
    let (plane, origin) = plane(&[("read_head_timeout_ms", "200")]);
    let mut client = plane.connect();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}X: "));
    drip(&mut client, b'a');
    assert_eq!(client.reply().status, 408);
    assert_eq!(refusals(&plane, "read_timeout"), 1.0);
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn a_body_below_its_rate_is_ended_and_counted() {
    // Each byte comes in time; so many don't.
    let (plane, _origin) = plane(&[
        ("body_rate_bytes_per_s_min", "10000"),
        ("body_rate_grace_ms", "300"),
        ("read_body_timeout_ms", "60000"),
    ]);
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut client = plane.connect();
        client.send(format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n\r\n"));
        if framing.ends_with("chunked") {
            client.send("f4240\r\n");
        }
        drip(&mut client, b'x');
        assert_eq!(client.reply().status, 408, "{framing}");
        client.assert_closed();
    }
    assert_eq!((refusals(&plane, "body_too_slow"), refusals(&plane, "read_timeout")), (2.0, 0.0));
    plane.assert_at_rest();
}

#[test]
fn a_body_that_keeps_its_rate_may_take_longer_than_the_grace() {
    let (plane, _origin) = plane(&[("body_rate_bytes_per_s_min", "1"), ("body_rate_grace_ms", "500")]);
    let mut client = plane.connect();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 40\r\n\r\n"));
    for _ in 0..40 {
        assert!(!client.readable_within(Duration::from_millis(25)), "refused in spite of its rate");
        client.send("x");
    }
    assert_eq!(client.reply().echo().body.len(), 40);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_body_that_the_origin_takes_slowly_is_not_the_clients_fault() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            // Nothing is read until the gateway can't take more from its client, for longer than the grace.
            std::thread::park_timeout(Duration::from_millis(700));
            let mut read = 0;
            let _ = connection.body_into(&seen, |bytes| read += bytes.len());
            let _ = connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{read:8}"));
        }
    });
    let settings = [
        ("body_rate_bytes_per_s_min", "100000000"),
        ("body_rate_grace_ms", "300"),
        ("body_bytes_max", "unlimited"),
    ];
    let plane = DataPlane::with(&options(&settings), &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    let length = 32 << 20;
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n\r\n"));
    client.send(vec![b'x'; length]);
    assert_eq!(client.reply().text().trim(), length.to_string());
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_reader_that_takes_nothing_is_ended_and_counted() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while connection.send([b'x'; 65536]).is_ok() {}
        }
    });
    let settings = [("write_timeout_ms", "200")];
    let plane = DataPlane::with(&options(&settings), &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect_with_receive_bytes(4096);
    client.send(request("GET", "a1", "/"));
    assert_eq!(client.head().0, 200);
    plane.assert_at_rest();
    assert_eq!(
        (refusals(&plane, "write_timeout"), counted(&plane, "turnpike_shard_clients_gone_total")),
        (1.0, 0.0)
    );
}

#[test]
fn idle_connections_are_ended_and_counted() {
    let (plane, _origin) = plane(&[("idle_timeout_ms", "200")]);
    let mut idle: Vec<Client> = (0..20).map(|_| plane.connect()).collect();
    idle.iter_mut().for_each(Client::assert_closed);
    plane.assert_at_rest();
    assert_eq!(counted(&plane, "turnpike_shard_connections_idle_closed_total"), 20.0);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_counted() {
    let (plane, _origin) = plane(&[("connections_max", "5"), ("connections_per_address_max", "100")]);
    let mut open: Vec<Client> = (0..5).map(|_| plane.connect()).collect();
    for client in &mut open {
        assert_eq!(get(client), Some(200));
    }
    for _ in 0..3 {
        assert_eq!(get(&mut plane.connect()), None);
    }
    assert_eq!((refusals(&plane, "connections"), refusals(&plane, "connections_per_address")), (3.0, 0.0));
    open.pop();
    until("a place", || get(&mut plane.connect()));
    drop(open);
    plane.assert_at_rest();
}

#[test]
fn an_address_gets_so_many_connections_over_all_shards() {
    let origin = Origin::echo();
    let options = Options::new().shards(2).set("connections_per_address_max", "5");
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut open: Vec<Client> = (0..5).map(|_| plane.connect()).collect();
    for client in &mut open {
        assert_eq!(get(client), Some(200));
    }
    for _ in 0..10 {
        assert_eq!(get(&mut plane.connect()), None);
    }
    assert_eq!(refusals(&plane, "connections_per_address"), 10.0);
    let mut other = Client::connect_from([127, 0, 0, 2].into(), plane.gateway.address);
    assert_eq!(get(&mut other), Some(200), "another address has places of its own");
    open.pop();
    until("the place that was given back", || get(&mut plane.connect()));
    drop((open, other));
    plane.assert_at_rest();
}

#[test]
fn an_address_behind_a_balancer_has_its_own_limit() {
    let (plane, _origin) = plane(&[
        ("connections_per_address_max", "2"),
        ("proxy_protocol", "127.0.0.1:0"),
        ("proxy_protocol_from", "127.0.0.1"),
    ]);
    let introduced = |header: &str| {
        let mut client = plane.connect();
        client.send(header);
        let status = get(&mut client);
        (client, status)
    };
    let mut open = Vec::new();
    for source in ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1", "192.0.2.1"] {
        let family = if source.contains(':') { "TCP6" } else { "TCP4" };
        let own = if source.contains(':') { "::1" } else { "127.0.0.1" };
        let (client, status) = introduced(&format!("PROXY {family} {source} {own} 1000 80\r\n"));
        assert_eq!(status, Some(200), "{source}");
        open.push(client);
    }
    let (_, status) = introduced("PROXY TCP6 2001:db8:0:1:ffff::3 ::1 1000 80\r\n");
    assert_eq!(status, None, "the third of one /64");
    // The balancer's own connections aren't a client's.
    for _ in 0..5 {
        let (client, status) = introduced("PROXY UNKNOWN\r\n");
        assert_eq!(status, Some(200));
        open.push(client);
    }
    assert_eq!(refusals(&plane, "connections_per_address"), 1.0);
    drop(open);
    plane.assert_at_rest();
}

#[test]
fn trusted_proxies_have_as_many_connections_as_they_need() {
    let (plane, _origin) = plane(&[("connections_per_address_max", "1"), ("trusted_proxies", "127.0.0.1")]);
    let mut open: Vec<Client> = (0..5).map(|_| plane.connect()).collect();
    for client in &mut open {
        assert_eq!(get(client), Some(200));
    }
    let mut others = [(); 2].map(|()| Client::connect_from([127, 0, 0, 2].into(), plane.gateway.address));
    assert_eq!(others.each_mut().map(get), [Some(200), None]);
    drop((open, others));
    plane.assert_at_rest();
}

#[test]
fn what_is_too_large_is_counted_by_what_it_is() {
    let (plane, origin) = plane(&[
        ("start_line_bytes_max", "100"),
        ("header_bytes_max", "500"),
        ("header_count_max", "5"),
        ("body_bytes_max", "100"),
        ("chunk_line_bytes_max", "20"),
        ("chunk_extension_bytes_max", "40"),
    ]);
    let post = |rest: &str| format!("POST / HTTP/1.1\r\n{HOST}{rest}");
    let chunked = |chunks: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{chunks}"));
    for (kind, status, bytes) in [
        ("start_line_too_long", 414, format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(100))),
        ("header_too_large", 431, post(&format!("X: {}\r\n\r\n", "a".repeat(500)))),
        ("header_too_large", 431, post(&format!("{}\r\n", "X: 1\r\n".repeat(5)))),
        ("body_too_large", 413, post("Content-Length: 101\r\n\r\n")),
        ("body_too_large", 413, chunked(&format!("65\r\n{}\r\n0\r\n\r\n", "b".repeat(101)))),
        ("malformed", 400, chunked(&format!("1;{}\r\nb\r\n0\r\n\r\n", "e".repeat(20)))),
        ("malformed", 400, chunked(&format!("{}0\r\n\r\n", "1;eeeeeeeee\r\nb\r\n".repeat(5)))),
        ("header_too_large", 431, chunked(&format!("0\r\nX: {}\r\n\r\n", "t".repeat(500)))),
        ("header_too_large", 431, chunked(&format!("0\r\n{}\r\n", "X: 1\r\n".repeat(6)))),
    ] {
        let before = refusals(&plane, kind);
        let mut client = plane.connect();
        let _ = client.try_send(&bytes);
        assert_eq!(client.reply().status, status, "{bytes}");
        assert_eq!(refusals(&plane, kind), before + 1.0, "{bytes}");
    }
    assert_eq!(origin.seen(), []);
    plane.assert_at_rest();
}

#[test]
fn a_client_that_resets_while_the_origin_thinks_is_noticed() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            let _ = connection.body(&seen);
            if seen.target == "/half" {
                let _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
            }
            connection.wait_for_close();
        }
    });
    // In a quarter of an hour, it would end anyway.
    let stage = http_api("a1").route_within("$default", &origin.url("{request.path}"), 900_000);
    let plane = DataPlane::with(&options(&[("integration_timeout_ms_max", "900000")]), &[stage]);
    let large = "x".repeat(300_000);
    let post = format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{large}", large.len());
    for (number, bytes) in [request("GET", "a1", "/"), post, request("GET", "a1", "/half")].iter().enumerate()
    {
        let mut client = plane.connect();
        client.send(bytes);
        origin.wait_for_requests(number + 1);
        if bytes.contains("/half") {
            assert_eq!(client.head().0, 200);
        }
        client.reset();
        plane.assert_at_rest();
        assert_eq!(counted(&plane, "turnpike_shard_clients_gone_total"), (number + 1) as f64);
    }
    until("no connection to the origin", || (origin.open_connections() == 0).then_some(()));
}

#[test]
fn a_client_that_only_half_closed_still_gets_its_late_answer() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            // Longer than the gateway goes without looking for its client.
            std::thread::park_timeout(Duration::from_millis(1_200));
            let _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    client.half_close();
    assert_eq!(client.reply().text(), "late");
    plane.assert_at_rest();
}

#[test]
fn requests_that_cannot_be_parsed_are_logged() {
    let format = "log $context.status $context.httpMethod $context.path $context.protocol $context.identity.sourceIp $context.error.message";
    let (mut plane, _origin) =
        plane(&[("access_log", "-"), ("access_log_format", format), ("read_head_timeout_ms", "200")]);
    for (bytes, line) in [
        (
            "GET /a?b HTTP/1.1\r\nX : 1\r\n\r\n",
            "400 GET /a HTTP/1.1 127.0.0.1 whitespace between header name and colon",
        ),
        ("GET /a HTTP/9.9\r\n\r\n", "505 GET /a - 127.0.0.1 only HTTP/1.0 and HTTP/1.1 are supported here"),
        ("GET /late HTTP/1.1\r\nX: ", "408 GET /late HTTP/1.1 127.0.0.1 Request Timeout"),
        ("\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n", "400 - - - 127.0.0.1 "),
        ("quite \"odd\\ \u{7}\r\n\r\n", "400 quite \\\"odd\\\\ - 127.0.0.1 "),
    ] {
        let mut client = plane.connect();
        client.send(bytes);
        client.reply();
        let logged = plane.gateway.process().line("log ");
        assert!(logged.starts_with(&format!("log {line}")), "{bytes:?}: {logged}");
    }
    plane.assert_at_rest();
}
