//! Heads as they go on: what an upstream gets of a client's head, and a client of an upstream's.

use std::fmt::Write as _;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use turnpike_gateway::bench::{Adoption, Heads, Rewriter};
use turnpike_snapshot::Protocol;

use crate::units;

const API: &str = "a1b2c3d4e5";
const PEER: &str = "192.0.2.7:40000";
const LOCAL: &str = "192.0.2.1:8080";
/// Written by every client; `Connection`, what it names and `Host` are not passed on.
const REQUEST_LINES: [&str; 8] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Connection: keep-alive, X-Hop",
    "X-Hop: 1",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
    "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    "Host: a1b2c3d4e5.execute-api.us-east-1.localhost",
];
/// Not passed on: `Keep-Alive`.
const ANSWER_LINES: [&str; 8] = [
    "Content-Type: application/json",
    "Content-Length: 22",
    "Keep-Alive: timeout=5",
    "Server: origin",
    "Date: Sun, 06 Nov 1994 08:49:37 GMT",
    "Cache-Control: no-store",
    "Vary: Accept-Encoding",
    "Strict-Transport-Security: max-age=63072000",
];

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rewriting");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for (protocol, type_name) in [(Protocol::Rest, "REST API"), (Protocol::Http, "HTTP API")] {
        let directory = tempfile::tempdir().expect("a directory");
        let units = [units::account(), units::stage(API, protocol, units::services(10))].map(units::hashed);
        let table = Adoption::new().and_then(|mut adoption| adoption.adopt(1, &units)).expect("a snapshot");
        let ends = (PEER.parse().expect("an address"), LOCAL.parse().expect("an address"));
        Rewriter::with((table, directory.path()), ends, |rewriter| {
            for lines in [8, 40] {
                let request = head("GET /service7/items/4711?color=brown HTTP/1.1", &REQUEST_LINES, lines);
                let answer = head("HTTP/1.1 200 OK", &ANSWER_LINES, lines);
                let (request, answer) = (request.into_bytes(), answer.into_bytes());
                let name = format!("{type_name}, {lines} lines");
                rewriter
                    .exchange(&request, &answer, |heads| measure(&mut group, &name, (protocol, lines), heads))
                    .expect("an exchange");
            }
        })
        .expect("a shard");
    }
    group.finish();
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    (protocol, lines): (Protocol, usize),
    heads: &Heads<'_>,
) {
    let mut out = Vec::with_capacity(8 * 1024);
    heads.write_request(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), upstream_head(protocol, lines));
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function(format!("{name}, request"), |bencher| {
        bencher.iter(|| {
            out.clear();
            heads.write_request(&mut out);
            out.len()
        });
    });
    out.clear();
    heads.write_answer(&mut out);
    let written = String::from_utf8_lossy(&out).into_owned();
    let (passed, own) = client_head(protocol, lines);
    let rest = written.strip_prefix(&*passed).unwrap_or_else(|| panic!("{written}\nand not\n{passed}"));
    let names: Vec<&str> = rest.split("\r\n").filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(names, own, "{rest}");
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function(format!("{name}, answer"), |bencher| {
        bencher.iter(|| {
            out.clear();
            heads.write_answer(&mut out);
            out.len()
        });
    });
}

/// With so many lines, of which those beyond the first eight pass.
fn head(start: &str, lines: &[&str], count: usize) -> String {
    let mut head = format!("{start}\r\n");
    lines.iter().for_each(|line| line_to(&mut head, line));
    further(count).for_each(|line| line_to(&mut head, &line));
    head + "\r\n"
}

fn further(count: usize) -> impl Iterator<Item = String> {
    (REQUEST_LINES.len()..count).map(|line| format!("X-Field-{line}: value of field {line}"))
}

fn line_to(head: &mut String, line: &str) {
    write!(head, "{line}\r\n").expect("writing to memory can't fail");
}

/// The upstream's, to the letter.
fn upstream_head(protocol: Protocol, count: usize) -> String {
    let dropped = ["Connection", "X-Hop", "Host"];
    let mut head =
        String::from("GET /v7/service7/items/4711?color=brown HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n");
    passing(&REQUEST_LINES, &dropped).for_each(|line| line_to(&mut head, line));
    further(count).for_each(|line| line_to(&mut head, &line));
    let own = match protocol {
        Protocol::Rest => "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Port: 8080\r\nX-Forwarded-Proto: http",
        Protocol::Http => {
            "Forwarded: by=192.0.2.1;for=192.0.2.7;host=a1b2c3d4e5.execute-api.us-east-1.localhost;proto=http\r\n\
             Via: HTTP/1.1 AmazonAPIGateway"
        }
    };
    line_to(&mut head, own);
    head + "\r\n"
}

/// The client's to the letter, as far as the upstream's decides it, and the names of the lines behind.
fn client_head(protocol: Protocol, count: usize) -> (String, &'static [&'static str]) {
    let mut head = String::from("HTTP/1.1 200 OK\r\n");
    for line in passing(&ANSWER_LINES, &["Keep-Alive"]) {
        let renamed =
            protocol == Protocol::Rest && (line.starts_with("Server:") || line.starts_with("Date:"));
        line_to(&mut head, &format!("{}{line}", if renamed { "x-amzn-Remapped-" } else { "" }));
    }
    further(count).for_each(|line| line_to(&mut head, &line));
    let own: &[&str] = match protocol {
        Protocol::Rest => &["Date", "x-amzn-RequestId", "x-amz-apigw-id"],
        Protocol::Http => &["apigw-requestid"],
    };
    (head, own)
}

fn passing<'l>(lines: &'l [&str], dropped: &'l [&str]) -> impl Iterator<Item = &'l str> {
    lines.iter().copied().filter(|line| {
        let name = line.split_once(':').map(|(name, _)| name);
        !dropped.iter().any(|dropped| Some(*dropped) == name)
    })
}
