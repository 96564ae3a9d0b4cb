//! HTTP/2 from clients that mean harm, or break its rules: each attack meets a limit, is counted, and leaves nothing
//! behind.

use std::ffi::OsStr;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::Value;
use turnpike_tests::{
    Curl, DataPlane, Options, Origin, Process, host, http_api, python, python_script, until,
};

/// What the script `case` saw.
fn attack(plane: &DataPlane, case: &str, count: usize) -> Value {
    let arguments = [plane.gateway.address.to_string(), host("a1"), case.to_owned(), count.to_string()];
    serde_json::from_str(&python("hostile.py", &arguments)).expect("the script prints JSON")
}

/// An origin that never answers `/slow`, and echoes everything else.
fn plane(options: &Options) -> (DataPlane, Origin) {
    let origin = Origin::scripted(|connection, _| {
        while let Ok(Some(request)) = connection.request() {
            if request.target == "/slow" {
                connection.wait_for_close();
                return;
            }
            if connection.echo(&request).is_err() {
                return;
            }
        }
    });
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    (DataPlane::with(options, &[stage]), origin)
}

#[track_caller]
fn assert_counted(plane: &DataPlane, kind: &str) {
    let label = format!("kind=\"{kind}\"");
    let metrics = plane.gateway.metrics();
    assert!(metrics.sum("turnpike_shard_http2_events_total", &[&label]) >= 1.0, "{kind} wasn't counted");
    plane.assert_at_rest();
}

#[test]
fn floods_end_their_connection() {
    let options =
        Options::new().set("http2_control_frames_per_second_max", 50).set("http2_resets_per_second_max", 20);
    let (plane, _origin) = plane(&options);
    for (case, kind) in [
        ("settings_flood", "settings_flood"),
        ("ping_flood", "ping_flood"),
        ("priority_flood", "priority_flood"),
        ("window_update_flood", "window_update_flood"),
        ("other_flood", "other_flood"),
        ("empty_data_flood", "empty_data_flood"),
        ("rapid_reset", "reset_flood"),
    ] {
        let seen = attack(&plane, case, 10_000);
        assert_eq!((&seen["goaway"], &seen["closed"]), (&"ENHANCE_YOUR_CALM".into(), &true.into()), "{case}");
        assert_counted(&plane, kind);
    }
}

#[test]
fn what_the_library_bounds_ends_a_connection_too() {
    let (plane, _origin) = plane(&Options::new().set("http2_error_resets_max", 50));
    for (case, count, kind) in [
        ("provoked_resets", 1_000, "provoked_resets"),
        ("continuation_flood", 10_000, "continuation_flood"),
        ("header_bomb", 10_000, "header_bomb"),
        ("empty_data_flood", 1_000, "tiny_data"),
    ] {
        let seen = attack(&plane, case, count);
        assert_eq!((&seen["goaway"], &seen["closed"]), (&"ENHANCE_YOUR_CALM".into(), &true.into()), "{case}");
        assert_counted(&plane, kind);
    }
}

#[test]
fn resets_within_the_budget_leave_nothing_behind() {
    let (plane, origin) =
        plane(&Options::new().set("http2_resets_per_second_max", 1_000_000).set("idle_timeout_ms", 300));
    let seen = attack(&plane, "rapid_reset", 500);
    // Too many at once for the library, or each on its own: either way, no work is left.
    assert_eq!(seen["closed"], true);
    plane.assert_at_rest();
    until("no connection at the origin", || (origin.open_connections() == 0).then_some(()));
}

#[test]
fn windows_that_overflow_are_errors() {
    let (plane, _origin) = plane(&Options::new().set("http2_stream_window_bytes", 1_024));
    for case in ["stream_window_overflow", "upload_beyond_the_window"] {
        let seen = attack(&plane, case, 0);
        assert_eq!(seen["resets"]["1"], "FLOW_CONTROL_ERROR", "{case}: {seen}");
    }
    let seen = attack(&plane, "connection_window_overflow", 0);
    assert_eq!(seen["goaway"], "FLOW_CONTROL_ERROR", "{seen}");
    assert_counted(&plane, "protocol_error");
}

#[test]
fn a_client_that_takes_nothing_loses_its_stream() {
    let (plane, _origin) = plane(&Options::new().set("write_timeout_ms", 200));
    let seen = attack(&plane, "zero_window", 0);
    assert_eq!(seen["resets"]["1"], "CANCEL", "{seen}");
    assert_counted(&plane, "slow_reader");
}

#[test]
fn a_client_that_takes_byte_by_byte_gets_its_answer() {
    let (plane, _origin) = plane(&Options::new());
    let seen = attack(&plane, "tiny_windows", 0);
    assert_eq!((&seen["statuses"]["1"], &seen["resets"]), (&200.into(), &serde_json::json!({})), "{seen}");
    assert!(seen["data_bytes"].as_u64() > Some(100), "{seen}");
    plane.assert_at_rest();
}

#[test]
fn slow_fields_end_their_connection() {
    let (plane, _origin) = plane(&Options::new().set("read_head_timeout_ms", 200));
    for case in ["slow_fields", "slow_frame"] {
        let seen = attack(&plane, case, 0);
        assert_eq!((&seen["goaway"], &seen["closed"]), (&"ENHANCE_YOUR_CALM".into(), &true.into()), "{case}");
    }
    assert_counted(&plane, "slow_fields");
}

#[test]
fn idle_connections_are_told_and_ended() {
    let (plane, _origin) = plane(&Options::new().set("idle_timeout_ms", 200));
    for case in ["idle", "idle_after_a_request"] {
        let seen = attack(&plane, case, 0);
        assert_eq!((&seen["goaway"], &seen["closed"]), (&"NO_ERROR".into(), &true.into()), "{case}");
    }
    plane.assert_at_rest();
}

#[test]
fn streams_above_the_limit_are_refused() {
    let (plane, _origin) = plane(&Options::new().set("http2_streams_max", 4));
    let seen = attack(&plane, "too_many_streams", 6);
    let resets = seen["resets"].as_object().unwrap();
    assert!(resets.values().all(|error| error == "REFUSED_STREAM") && !resets.is_empty(), "{seen}");
    plane.assert_at_rest();
}

#[test]
fn malformed_requests_are_stream_errors() {
    let (plane, _origin) = plane(&Options::new());
    let seen = attack(&plane, "malformed", 0);
    for (name, outcome) in seen["outcome"].as_object().unwrap() {
        assert_eq!(outcome, "PROTOCOL_ERROR", "{name}: {seen}");
    }
    assert_eq!((&seen["goaway"], &seen["closed"]), (&Value::Null, &false.into()));
    assert_counted(&plane, "malformed_request");
    // The library takes these for a broken compression state, which ends the connection.
    assert_eq!(attack(&plane, "upper_case_name", 0)["goaway"], "PROTOCOL_ERROR");
}

#[test]
fn unusual_requests_are_answered() {
    let (plane, _origin) = plane(&Options::new());
    let seen = attack(&plane, "answered", 0);
    let outcome = &seen["outcome"];
    for (name, status) in [
        ("te: trailers", 200),
        ("host alone", 200),
        ("host as the authority", 200),
        ("cookies", 200),
        ("connect", 501),
        ("options *", 400),
        ("no host at all", 400),
        ("expectation", 417),
    ] {
        assert_eq!(outcome[name][0], status, "{name}: {outcome}");
    }
    assert_eq!(outcome["relative path"][0], "PROTOCOL_ERROR");
    let cookies: Value = serde_json::from_str(outcome["cookies"][1].as_str().unwrap()).unwrap();
    assert!(cookies["headers"].as_array().unwrap().contains(&serde_json::json!(["cookie", "a=1; b=2; c=3"])));
    plane.assert_at_rest();
}

#[test]
fn a_drain_lets_streams_finish() {
    let (release, released) = channel();
    let released = Mutex::new(released);
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(request)) = connection.request() {
            released.lock().unwrap().recv().unwrap();
            connection.echo(&request).unwrap();
        }
    });
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    let mut plane = DataPlane::serving(&[stage]);
    let (python, script) = python_script("hostile.py");
    let address = plane.gateway.address.to_string();
    let arguments =
        [script.as_os_str(), address.as_ref(), host("a1").as_ref(), "drain".as_ref()].map(OsStr::to_owned);
    let mut client = Process::start(&python, arguments, &[]);
    client.line("ready");
    origin.wait_for_requests(1);
    assert_eq!(plane.gateway.admin("POST", "/drain").status, 202);
    client.line("told");
    release.send(()).unwrap();
    let seen: Value = serde_json::from_str(&client.line("{")).unwrap();
    assert_eq!(seen["statuses"]["1"], 200, "{seen}");
    // First every stream, then the one that was taken.
    assert_eq!((&seen["goaway"], &seen["last_stream"]), (&"NO_ERROR".into(), &1.into()), "{seen}");
    assert_eq!(seen["closed"], true);
    assert!(plane.gateway.process().wait().success());
}

#[test]
fn timeouts_are_answered_as_over_http1() {
    let origin = Origin::scripted(|connection, _| {
        let _ = connection.request();
        connection.wait_for_close();
    });
    let options = Options::new().set("read_body_timeout_ms", 200);
    let stage =
        http_api("a1").route_within("GET /late", &origin.url("/"), 200).route("$default", &origin.url("/"));
    let plane = DataPlane::with(&options, &[stage]);
    let late = Curl::http2(plane.gateway.address, &host("a1"), "/late").reply();
    assert_eq!((late.status, late.text()), (504, "{\"message\":\"Gateway Timeout\"}"));
    let seen = attack(&plane, "slow_body", 0);
    assert_eq!((&seen["statuses"]["1"], &seen["closed"]), (&408.into(), &false.into()), "{seen}");
    plane.assert_at_rest();
}

#[test]
fn trailers_of_a_request_pass() {
    let (plane, _origin) = plane(&Options::new());
    let seen = attack(&plane, "upload_with_trailers", 0);
    let echo: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
    assert_eq!(echo["body"], "abcdef");
    assert_eq!(echo["trailers"], serde_json::json!([["x-sum", "7"]]));
    plane.assert_at_rest();
}
