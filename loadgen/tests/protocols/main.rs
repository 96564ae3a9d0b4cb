//! The binary against peers that speak HTTP/2, WebSocket and pipelined HTTP/1.1, well and badly, on real sockets.

mod http2;
mod pipelining;
mod real_peers;
#[path = "../support/mod.rs"]
mod support;
mod websocket;

use std::net::SocketAddr;

use turnpike_loadgen::report::Report;

/// Runs against `address`: the exit status, and the report.
fn run(scheme: &str, address: SocketAddr, args: &[&str]) -> (Option<i32>, Report) {
    let url = format!("{scheme}://{address}/");
    let output = support::run(&[&[url.as_str(), "-t", "1", "--json"], args].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    (output.status.code(), report)
}

/// The report of a run in which everything succeeded.
fn succeeded(scheme: &str, address: SocketAddr, args: &[&str]) -> Report {
    let (status, report) = run(scheme, address, args);
    assert_eq!((status, report.failed()), (Some(0), 0), "{:?}", report.first_errors);
    report
}

/// The report of a run in which every request failed in one way, for a reason that holds `reason`.
fn all_failed(scheme: &str, address: SocketAddr, args: &[&str], kind: &str, reason: &str) -> Report {
    let (status, report) = run(scheme, address, args);
    assert_eq!((status, report.succeeded), (Some(1), 0), "{:?}", report.errors);
    assert_eq!(report.errors[kind], report.failed(), "{:?}", report.first_errors);
    let first = &report.first_errors[kind];
    assert!(first.contains(reason), "{first}");
    report
}
