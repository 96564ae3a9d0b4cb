//! gRPC from end to end: grpcio's client, the gateway over HTTP/2 on both sides, and grpcio's server.

use std::ffi::OsString;

use serde_json::{Value, json};
use turnpike_snapshot::UpstreamTls;
use turnpike_tests::{
    Authority, DataPlane, Options, Process, account, host, http_api, python_script, python_within,
    upstream_tls,
};

/// Of 100,000 calls, on a slow machine.
const PATIENCE_S: u32 = 600;

struct Service {
    _process: Process,
    port: u16,
}

impl Service {
    fn start() -> Self {
        Self::start_with([])
    }

    /// With a certificate and its key, or without TLS.
    fn start_with<const N: usize>(files: [OsString; N]) -> Self {
        let (python, script) = python_script("grpc_server.py");
        let arguments = std::iter::once(script.into_os_string()).chain(files);
        let mut process = Process::start(&python, arguments, &[]);
        let port = process.line("port ")["port ".len()..].parse().unwrap();
        Self { _process: process, port }
    }

    fn plane(&self) -> DataPlane {
        let url = format!("http://127.0.0.1:{}{{request.path}}", self.port);
        DataPlane::serving(&[http_api("a1").route_http2("$default", &url)])
    }
}

fn call(plane: &DataPlane, api_id: &str, case: &str, number: usize) -> Value {
    let arguments = [plane.gateway.address.to_string(), host(api_id), case.to_owned(), number.to_string()];
    serde_json::from_str(&python_within("grpc_client.py", &arguments, PATIENCE_S))
        .expect("the script prints JSON")
}

#[test]
fn unary_calls_and_streams_of_all_kinds_pass() {
    let service = Service::start();
    let plane = service.plane();
    let expected = json!({
        "unary": "hello", "empty": "", "down": ["a", "b", "c"], "none": [], "up": "abc",
        "both": ["0", "1", "2", "3", "4"],
    });
    assert_eq!(call(&plane, "a1", "messages", 0), expected);
    plane.assert_at_rest();
}

#[test]
fn calls_pass_over_tls_on_both_sides() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("Origins"));
    let (certificate, key) = authority.issue(&["localhost"]).write(directory.path(), "service");
    let service = Service::start_with([certificate.into_os_string(), key.into_os_string()]);
    let url = format!("https://localhost:{}{{request.path}}", service.port);
    let trusting = UpstreamTls { trust_store: Some("origins".to_owned()), ..upstream_tls() };
    let stage = http_api("a1").route_http2_with_tls("$default", &url, trusting);
    let units = vec![authority.trust_store("origins")];
    let plane = DataPlane::with_units(&Options::new(), &[stage], account(&[]), units);

    let address = plane.gateway.tls.expect("HTTPS is on").to_string();
    let trusted = plane.gateway.data_dir.join("development-ca.pem").display().to_string();
    let arguments = ["--authority", &trusted, &address, &host("a1"), "messages"];
    let seen: Value = serde_json::from_str(&python_within("grpc_client.py", &arguments, PATIENCE_S)).unwrap();
    assert_eq!((&seen["unary"], &seen["both"]), (&"hello".into(), &json!(["0", "1", "2", "3", "4"])));
    plane.assert_at_rest();
}

#[test]
fn errors_arrive_with_their_trailers() {
    let service = Service::start();
    let plane = service.plane();
    let seen = call(&plane, "a1", "failures", 0);
    let fail = &seen["fail"];
    assert_eq!((&fail["code"], &fail["details"]), (&"NOT_FOUND".into(), &"no such thing".into()), "{seen}");
    assert_eq!(fail["trailing"]["reason"], "lost", "{seen}");
    assert_eq!(seen["unknown"]["code"], "UNIMPLEMENTED", "{seen}");
    plane.assert_at_rest();
}

#[test]
fn metadata_passes_both_ways() {
    let service = Service::start();
    let plane = service.plane();
    let seen = call(&plane, "a1", "metadata", 0);
    assert_eq!((&seen["got"]["token"], &seen["got"]["raw-bin"]), (&"t".into(), &"01fe".into()), "{seen}");
    assert_eq!(seen["initial"]["first"], "1", "{seen}");
    assert_eq!(seen["trailing"], json!({"last": "2", "blob-bin": "00ff"}));
    plane.assert_at_rest();
}

#[test]
fn large_messages_pass() {
    let service = Service::start();
    let plane = service.plane();
    assert_eq!(call(&plane, "a1", "large", 8), json!({"down": 8 << 20, "both": 8 << 20}));
    plane.assert_at_rest();
}

#[test]
fn a_deadline_reaches_the_service() {
    let service = Service::start();
    let plane = service.plane();
    let seen = call(&plane, "a1", "deadline", 0);
    assert_eq!(
        (&seen["sleep"]["code"], &seen["cancelled"]),
        (&"DEADLINE_EXCEEDED".into(), &"1".into()),
        "{seen}"
    );
    plane.assert_at_rest();
}

#[test]
fn the_gateways_own_refusals_have_grpcs_codes() {
    let service = Service::start();
    let plane = service.plane();
    // 403, which gRPC's mapping of HTTP statuses makes PERMISSION_DENIED.
    assert_eq!(call(&plane, "none", "unary_refused", 0)["unary"]["code"], "PERMISSION_DENIED");
    drop(service);
    // 503: the service is gone.
    assert_eq!(call(&plane, "a1", "unary_refused", 0)["unary"]["code"], "UNAVAILABLE");
    plane.assert_at_rest();
}

/// As many as TURNPIKE_GRPC_CALLS says: scripts/grpc-calls makes 100,000.
#[test]
fn many_calls_at_once_all_succeed() {
    let count =
        std::env::var("TURNPIKE_GRPC_CALLS").map_or(5_000, |count| count.parse().expect("a number of calls"));
    let service = Service::start();
    let plane = service.plane();
    let seen = call(&plane, "a1", "calls", count);
    println!("{seen}");
    assert_eq!((&seen["failed"], &seen["errors"]), (&0.into(), &json!({})), "{seen}");
    plane.assert_at_rest();
}
