//! What an operator meets: start and its errors, metrics, access logs, readiness, drain.

use std::io::ErrorKind;
use std::net::TcpStream;

use rustix::process::Signal;
use turnpike_tests::{DataPlane, Gateway, Options, Origin, http_api, request, rest_api, until};

#[test]
fn bad_settings_are_named_at_start() {
    for (name, value) in [
        ("header_count_max", "0"),
        ("header_count_max", "many"),
        ("listen", "nowhere"),
        ("cores", "99999-99999"),
        ("idle_timeout_ms", "-1"),
    ] {
        let (status, log) = Gateway::start_in_vain(&Options::new().set(name, value));
        assert!(!status.success(), "{name}={value}");
        let named = [name.to_owned(), name.replace('_', "-"), name.to_uppercase()];
        assert!(named.iter().any(|name| log.contains(name)), "{name}={value}: {log}");
    }
}

#[test]
fn a_mistyped_variable_is_named_at_start() {
    let mut gateway = Gateway::start(&Options::new().set("idle_timeout", "5"));
    gateway.process().wait_for_log("TURNPIKE_GATEWAY_IDLE_TIMEOUT in the environment is no setting");
}

#[test]
fn an_address_in_use_is_named_at_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (setting, flag) in
        [("listen", "--listen"), ("tls_listen", "--tls-listen"), ("admin_listen", "--admin-listen")]
    {
        let (status, log) = Gateway::start_in_vain(&Options::new().set(setting, &address));
        assert!(!status.success());
        assert!(log.contains(&address) && log.contains(&format!("another with {flag}")), "{log}");
    }
}

#[test]
fn the_driver_can_be_chosen() {
    let origin = Origin::echo();
    let options = Options::new().set("driver", "epoll");
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    assert_eq!(plane.gateway.driver, "epoll");
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
    plane.assert_at_rest();
}

#[test]
fn metrics_count_what_was_sent() {
    let origin = Origin::scripted(|connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let status = &seen.target[1..];
            if connection.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).is_err() {
                return;
            }
        }
    });
    let plane = DataPlane::with(
        &Options::new().shards(2),
        &[
            rest_api("r1", "prod").route("GET /{status}", &origin.url("/{status}")),
            http_api("a1").route("GET /{status}", &origin.url("/{status}")),
        ],
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = plane.connect();
                for status in [200, 200, 301, 404, 404, 404, 500, 503] {
                    assert_eq!(
                        client.exchange(request("GET", "r1", &format!("/prod/{status}"))).status,
                        status
                    );
                    assert_eq!(client.exchange(request("GET", "a1", &format!("/{status}"))).status, status);
                }
                assert_eq!(client.exchange(request("GET", "r1", "/prod/no/route")).status, 403);
            });
        }
    });
    plane.assert_at_rest();
    let metrics = plane.gateway.metrics();
    for (stage, count, count_4xx) in [
        (&[r#"api_id="r1""#, r#"stage="prod""#][..], 36.0, 16.0),
        (&[r#"api_id="a1""#, r#"stage="$default""#][..], 32.0, 12.0),
    ] {
        assert_eq!(metrics.sum("turnpike_count_total", stage), count, "{stage:?}");
        assert_eq!(metrics.sum("turnpike_4xx_error_total", stage), count_4xx, "{stage:?}");
        assert_eq!(metrics.sum("turnpike_5xx_error_total", stage), 8.0, "{stage:?}");
        assert_eq!(metrics.sum("turnpike_latency_seconds_count", stage), count, "{stage:?}");
        assert_eq!(metrics.sum("turnpike_integration_latency_seconds_count", stage), 32.0, "{stage:?}");
    }
    assert_eq!(metrics.sum("turnpike_shard_requests_total", &[]), 68.0);
    assert_eq!(metrics.sum("turnpike_snapshot_version", &[]), 1.0);
}

#[test]
fn metrics_have_help_and_type() {
    let (plane, _origin) = DataPlane::echoing();
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
    let reply = plane.gateway.admin("GET", "/metrics");
    assert!(reply.headers.one("content-type").unwrap().starts_with("text/plain"));
    let text = reply.text();
    let families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(families.len() > 10);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(families.iter().any(|family| name.starts_with(family)), "{name} has no type");
    }
    for family in families {
        assert!(text.contains(&format!("# HELP {family} ")), "{family} has no help");
    }
}

#[test]
fn the_admin_address_says_what_it_does_not_know() {
    let (plane, _origin) = DataPlane::echoing();
    assert_eq!(plane.gateway.admin("GET", "/healthz").status, 200);
    assert_eq!(plane.gateway.admin("GET", "/nothing").status, 404);
    assert_eq!(plane.gateway.admin("GET", "/drain").status, 405);
    assert_eq!(plane.gateway.admin("POST", "/metrics").status, 405);
}

#[test]
fn connections_spread_over_the_shards() {
    let origin = Origin::echo();
    let stage = http_api("a1").route("$default", &origin.url("/"));
    let plane = DataPlane::with(&Options::new().shards(2), &[stage]);
    let mut clients: Vec<_> = (0..64).map(|_| plane.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    }
    let metrics = plane.gateway.metrics();
    let per_shard: Vec<f64> =
        metrics.series("turnpike_shard_connections_open", &[]).map(|(_, value)| value).collect();
    assert_eq!((per_shard.len(), per_shard.iter().sum::<f64>()), (2, 64.0), "{per_shard:?}");
    assert!(
        per_shard.iter().all(|count| *count <= 32.0 * 1.15),
        "the busiest is above 1.15 of the mean: {per_shard:?}"
    );
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn idle_connections_hold_no_buffers() {
    let origin = Origin::echo();
    let options = Options::new().set("idle_buffer_release_ms", 50).set("idle_buffers_kept_max", 0);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut clients: Vec<_> = (0..50).map(|_| plane.connect()).collect();
    for client in &mut clients[..25] {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
    }
    until("50 connections to hold no buffer", || {
        let metrics = plane.gateway.metrics();
        let sum = |name| metrics.sum(name, &[]);
        let idle = sum("turnpike_shard_connections_idle") == 50.0;
        (idle && sum("turnpike_shard_buffers_in_use") == 0.0).then_some(())
    });
    for client in &mut clients {
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200, "and it still serves");
    }
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn access_logs_follow_the_stages_format() {
    let origin = Origin::echo();
    let format = r#"{"id":"$context.requestId","m":"$context.httpMethod","p":"$context.path","s":$context.status,"ip":"$context.identity.sourceIp","stage":"$context.stage","api":"$context.apiId"}"#;
    let plane = DataPlane::serving(&[
        rest_api("r1", "prod").access_log("rest-log", format).route("GET /x", &origin.url("/")),
        http_api("a1").access_log("http-log", "$context.routeKey $context.status $context.responseLength"),
        http_api("quiet").route("$default", &origin.url("/")),
    ]);
    let mut client = plane.connect();
    let reply = client.exchange(request("GET", "r1", "/prod/x"));
    let id = reply.headers.one("x-amzn-requestid").unwrap().to_owned();
    let _ = client.exchange(request("GET", "r1", "/prod/\"quoted\""));
    let _ = client.exchange(request("GET", "a1", "/none"));
    let _ = client.exchange(request("GET", "quiet", "/"));
    drop(client);
    plane.assert_at_rest();

    let lines = lines_of(&plane, "rest-log", 2);
    let first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(first["id"], id.as_str());
    assert_eq!((&first["m"], &first["p"], &first["s"]), (&"GET".into(), &"/prod/x".into(), &200.into()));
    assert_eq!(
        (&first["ip"], &first["stage"], &first["api"]),
        (&"127.0.0.1".into(), &"prod".into(), &"r1".into())
    );
    let second: serde_json::Value =
        serde_json::from_str(&lines[1]).expect("a quote doesn't break out of JSON");
    assert_eq!(second["s"], 403);
    assert_eq!(lines_of(&plane, "http-log", 1), ["- 404 23"]);
}

fn lines_of(plane: &DataPlane, group: &str, count: usize) -> Vec<String> {
    let directory = plane.gateway.data_dir.join("access-logs");
    until(&format!("{count} lines in the log {group}"), || {
        let path = std::fs::read_dir(&directory)
            .ok()?
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(group)))?;
        let lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[test]
fn the_gateways_own_access_log_takes_every_request() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let options = Options::new()
        .set("access_log", log.display())
        .set("access_log_format", "$context.httpMethod $context.path $context.status");
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    for number in 0..200 {
        assert_eq!(client.exchange(request("GET", "a1", &format!("/{number}"))).status, 200);
    }
    drop(client);
    let lines = until("200 lines", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() >= 200).then_some(text)
    });
    for (number, line) in lines.lines().enumerate() {
        assert_eq!(line, format!("GET /{number} 200"));
    }
    plane.assert_at_rest();
}

#[test]
fn lines_that_still_wait_for_others_are_written_at_the_end() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let options = Options::new()
        .set("access_log", log.display())
        .set("access_log_format", "$context.path $context.status")
        .set("access_log_flush_ms", 10_000);
    let mut plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    for number in 0..200 {
        assert_eq!(client.exchange(request("GET", "a1", &format!("/{number}"))).status, 200);
    }
    plane.gateway.process().terminate();
    let status = plane.gateway.process().wait();
    assert!(status.success(), "{status}: {}", plane.gateway.process().log());
    let expected: String = (0..200).map(|number| format!("/{number} 200\n")).collect();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), expected);
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    drains(|plane| plane.gateway.process().terminate(), true);
}

#[test]
fn a_drain_by_the_admin_address_lets_requests_in_flight_finish() {
    drains(|plane| assert!(matches!(plane.gateway.admin("POST", "/drain").status, 200 | 202)), false);
}

fn drains(begin: impl FnOnce(&mut DataPlane), ends: bool) {
    let (origin, release) = Origin::held();
    let mut plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    let mut idle = plane.connect();
    assert_eq!(idle.exchange(request("GET", "a1", "/")).status, 200);
    let mut busy = plane.connect();
    busy.send(request("GET", "a1", "/held"));
    origin.wait_for_requests(2);
    begin(&mut plane);
    idle.assert_closed();
    until("new connections to be refused", || match TcpStream::connect(plane.gateway.address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(()),
        _ => None,
    });
    release.send(()).unwrap();
    let reply = busy.reply();
    assert_eq!((reply.echo().target.as_str(), reply.headers.one("connection")), ("/held", Some("close")));
    busy.assert_closed();
    if ends {
        let status = plane.gateway.process().wait();
        assert!(status.success(), "{status}: {}", plane.gateway.process().log());
    }
}

/// The kernel has connected them, so that their clients have sent their requests already.
#[test]
fn connections_that_wait_to_be_accepted_are_served_before_a_drain() {
    let origin = Origin::echo();
    let options = Options::new().set("cores", "1");
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    let mut plane = DataPlane::with(&options, &[stage]);
    plane.gateway.process().signal_alone(Signal::STOP);
    let mut waiting: Vec<_> = (0..500).map(|_| plane.connect()).collect();
    for client in &mut waiting {
        client.send(request("GET", "a1", "/"));
    }
    plane.gateway.process().terminate();
    plane.gateway.process().signal_alone(Signal::CONT);
    for (number, client) in waiting.iter_mut().enumerate() {
        let reply = client.try_reply(false).unwrap_or_else(|error| panic!("client {number}: {error}"));
        assert_eq!(reply.status, 200, "client {number}");
    }
    let status = plane.gateway.process().wait();
    assert!(status.success(), "{status}: {}", plane.gateway.process().log());
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let (origin, release) = Origin::held();
    let options = Options::new().set("drain_timeout_ms", 200);
    let mut plane =
        DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    let mut busy = plane.connect();
    busy.send(request("GET", "a1", "/held"));
    origin.wait_for_requests(1);
    plane.gateway.process().terminate();
    plane.gateway.process().wait();
    assert!(busy.try_reply(false).is_err());
    drop(release);
}

#[test]
fn a_gateway_ends_with_its_parent() {
    let (mut plane, _origin) = DataPlane::echoing();
    plane.gateway.process().close_stdin();
    assert!(plane.gateway.process().wait().success());
}

#[test]
fn too_many_connections_are_closed_and_counted() {
    let origin = Origin::echo();
    let options = Options::new().set("connections_max", 2);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut first = plane.connect();
    let mut second = plane.connect();
    assert_eq!(first.exchange(request("GET", "a1", "/")).status, 200);
    assert_eq!(second.exchange(request("GET", "a1", "/")).status, 200);
    let mut third = plane.connect();
    third.assert_closed();
    assert_eq!(first.exchange(request("GET", "a1", "/")).status, 200);
    drop(first);
    until("the place to be free", || {
        let mut fourth = plane.connect();
        let _ = fourth.try_send(request("GET", "a1", "/"));
        (fourth.try_reply(false).ok()?.status == 200).then_some(())
    });
    drop((second, third));
    plane.assert_at_rest();
}

#[test]
fn too_many_exchanges_get_429() {
    let (origin, release) = Origin::held();
    let options = Options::new().set("exchanges_in_flight_max", 1);
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    let mut first = plane.connect();
    first.send(request("GET", "a1", "/held"));
    origin.wait_for_requests(1);
    let mut second = plane.connect();
    let refused = second.exchange(request("GET", "a1", "/"));
    assert_eq!((refused.status, refused.text()), (429, r#"{"message":"Too Many Requests"}"#));
    release.send(()).unwrap();
    assert_eq!(first.reply().status, 200);
    assert_eq!(second.exchange(request("GET", "a1", "/")).status, 200);
    drop((first, second));
    plane.assert_at_rest();
}

#[test]
fn an_answer_that_is_cut_off_shows_in_log_and_metrics() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nnot all of it").unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let options = Options::new()
        .set("access_log", log.display())
        .set("access_log_format", "$context.status $context.error.message");
    let plane = DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("/"))]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    assert!(client.try_reply(false).is_err());
    drop(client);
    let line = until("the line", || std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(line, "200 Endpoint ended its answer early\n");
    let counted = plane.gateway.metrics().sum("turnpike_shard_refusals_total", &["kind=\"upstream_closed\""]);
    assert_eq!(counted, 1.0);
    plane.assert_at_rest();
}
