//! The binary against small servers on real sockets: what it must count, and what it must not take for a reply.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use turnpike_loadgen::report::Report;

/// A request as the server saw it.
#[derive(Debug)]
struct Seen {
    line: String,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What a server does with a connection's requests.
type Serve = fn(TcpStream, &Sender<Seen>);

/// Serves each connection on its own thread until the test ends.
fn start(serve: Serve) -> (SocketAddr, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.unwrap(), seen.clone());
            thread::spawn(move || serve(stream, &seen));
        }
    });
    (address, requests)
}

/// Reads one request; `None` at the end of the stream.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut fields = BTreeMap::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        match field.trim_end().split_once(": ") {
            Some((name, value)) => fields.insert(name.to_owned(), value.to_owned()),
            None => break,
        };
    }
    let mut body = Vec::new();
    if let Some(length) = fields.get("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    } else if fields.contains_key("transfer-encoding") {
        while !body.ends_with(b"0\r\n\r\n") {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).ok()?;
            body.extend(line);
        }
    }
    Some(Seen { line: line.trim_end().to_owned(), fields, body })
}

/// Answers every request with `reply`.
fn answer_all(stream: TcpStream, seen: &Sender<Seen>, reply: &[u8]) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        // The test may have stopped looking.
        let _ = seen.send(request);
        if writer.write_all(reply).is_err() {
            return;
        }
    }
}

fn hello(stream: TcpStream, seen: &Sender<Seen>) {
    answer_all(stream, seen, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

fn loadgen(address: SocketAddr, args: &[&str]) -> (Output, Option<Report>) {
    let output = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"))
        .arg(format!("http://{address}/"))
        .args(["--threads", "1", "--json"])
        .args(args)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).ok();
    (output, report)
}

/// The report of a run that succeeded.
fn report(address: SocketAddr, args: &[&str]) -> Report {
    let (output, report) = loadgen(address, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    report.unwrap()
}

/// The report of a run in which no request succeeded.
fn failed_report(address: SocketAddr, args: &[&str]) -> Report {
    let (output, report) = loadgen(address, args);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    report.unwrap()
}

#[test]
fn a_given_number_of_requests_is_sent_and_counted() {
    let (address, requests) = start(hello);
    let report =
        report(address, &["-n", "1000", "-c", "7", "--expect-status", "200", "--expect-body-bytes", "5"]);
    assert_eq!((report.replies, report.succeeded, report.failed()), (1000, 1000, 0));
    assert_eq!(report.status, BTreeMap::from([(200, 1000)]));
    assert_eq!((report.body_bytes, report.received_bytes), (5_000, 43_000));
    assert_eq!(requests.try_iter().count(), 1000);
    assert!(report.latency_us.min > 0.0 && report.latency_us.max >= report.latency_us.p99);
}

#[test]
fn requests_are_what_the_command_line_says() {
    let (address, requests) = start(hello);
    report(
        address,
        &["-n", "1", "-c", "1", "-X", "PUT", "-H", "Host: a.test", "-H", "x-y: z", "--body", "hey"],
    );
    let seen = requests.recv().unwrap();
    assert_eq!((seen.line.as_str(), seen.body.as_slice()), ("PUT / HTTP/1.1", &b"hey"[..]));
    assert_eq!((seen.fields["Host"].as_str(), seen.fields["x-y"].as_str()), ("a.test", "z"));
    assert!(!seen.fields.contains_key("host"));
}

#[test]
fn long_bodies_arrive_whole_and_chunked_ones_in_chunks() {
    let (address, requests) = start(hello);
    report(address, &["-n", "2", "-c", "1", "--body-bytes", "3000000"]);
    assert_eq!(requests.recv().unwrap().body, vec![b'x'; 3_000_000]);
    let report = report(address, &["-n", "2", "-c", "1", "--body-bytes", "20000", "--chunked"]);
    let seen = requests.iter().nth(1).unwrap();
    assert!(seen.body.starts_with(b"4000\r\nxxx") && seen.body.ends_with(b"x\r\n0\r\n\r\n"));
    assert_eq!(report.succeeded, 2);
}

#[test]
fn paths_rotate_with_their_hosts() {
    let (address, requests) = start(hello);
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "/a\nb.test /b\n/c\n").unwrap();
    report(address, &["-n", "4", "-c", "1", "--path-list", list.path().to_str().unwrap()]);
    let seen: Vec<_> = requests.try_iter().collect();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(lines, ["/a", "/b", "/c", "/a"]);
    assert_eq!(seen[1].fields["host"], "b.test");
}

#[test]
fn chunked_head_and_interim_replies_are_understood() {
    let (address, _requests) = start(|stream, seen| {
        let reply = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX: y\r\n\r\n";
        answer_all(stream, seen, reply);
    });
    assert_eq!(report(address, &["-n", "20", "-c", "2", "--expect-body-bytes", "7"]).succeeded, 20);
    let (address, _requests) = start(|stream, seen| {
        answer_all(stream, seen, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    });
    assert_eq!(report(address, &["-n", "20", "-c", "2", "-X", "HEAD"]).succeeded, 20);
}

#[test]
fn without_keep_alive_each_request_has_its_connection() {
    let (address, requests) = start(|stream, seen| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let request = read_request(&mut reader).unwrap();
        seen.send(request).unwrap();
        (&stream).write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end").unwrap();
    });
    let report = report(address, &["-n", "30", "-c", "3", "--no-keepalive", "--expect-body-bytes", "13"]);
    assert_eq!((report.succeeded, report.failed()), (30, 0));
    assert!(requests.try_iter().all(|seen| seen.fields["connection"] == "close"));
}

#[test]
fn a_connection_is_closed_after_its_requests() {
    let (address, requests) = start(|stream, seen| {
        let (own, own_requests) = channel();
        hello(stream, &own);
        drop(own);
        let mut of_one = own_requests.iter().collect::<Vec<_>>();
        let mut last = of_one.pop().unwrap();
        last.body = vec![of_one.len() as u8 + 1];
        seen.send(last).unwrap();
    });
    let report = report(address, &["-n", "12", "-c", "1", "--requests-per-connection", "3"]);
    assert_eq!((report.succeeded, report.failed()), (12, 0));
    let per_connection: Vec<u8> = requests.iter().take(4).map(|seen| seen.body[0]).collect();
    assert_eq!(per_connection, [3, 3, 3, 3]);
    assert_eq!(report.openings.connections, 3, "the first was opened before the run");
    assert_eq!((report.openings.handshakes, report.openings.handshake_us.max), Default::default());
}

#[test]
fn broken_replies_are_errors_of_their_kind() {
    let cases: [(&str, Serve); 6] = [
        ("malformed", |stream, seen| answer_all(stream, seen, b"garbage that is no reply\r\n\r\n")),
        // A TLS alert, as a server sends it that expects a handshake; the connection stays open.
        ("malformed", |stream, seen| answer_all(stream, seen, b"\x15\x03\x03\x00\x02\x02\x50")),
        ("malformed", |stream, seen| {
            answer_all(stream, seen, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ntoo long");
        }),
        ("short_body", |stream, _| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            read_request(&mut reader);
            (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
        }),
        ("closed_early", |stream, _| {
            read_request(&mut BufReader::new(stream));
        }),
        // Closing with unread bytes sends a reset.
        ("reset", |stream, _| {
            (&stream).read_exact(&mut [0; 4]).unwrap();
        }),
    ];
    for (kind, serve) in cases {
        let (address, _requests) = start(serve);
        let report = failed_report(address, &["-n", "4", "-c", "2"]);
        assert_eq!(report.errors[kind], 4, "{kind}: {:?}", report.errors);
        assert_eq!((report.failed(), report.succeeded), (4, 0));
        assert!(report.first_errors.contains_key(kind));
    }
}

#[test]
fn unexpected_replies_fail_a_run_that_expects_others() {
    let (address, _requests) = start(hello);
    let report = failed_report(address, &["-n", "4", "-c", "2", "--expect-status", "201"]);
    assert_eq!((report.errors["unexpected"], report.replies, report.succeeded), (4, 4, 0));
    let report = failed_report(address, &["-n", "4", "-c", "2", "--expect-body-bytes", "6"]);
    assert_eq!(report.errors["unexpected"], 4);
}

#[test]
fn a_server_that_never_answers_times_out() {
    let (address, _requests) = start(|mut stream, _| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let report = failed_report(address, &["-n", "3", "-c", "3", "--timeout", "50ms"]);
    assert_eq!(report.errors["timeout"], 3);
    assert!(report.latency_us.min >= 50_000.0, "what timed out counts with its wait");
}

#[test]
fn in_the_open_loop_waiting_for_a_connection_counts() {
    // One connection answers after 20 ms: of 10 requests at 1 ms distance, the last waits for the nine before it.
    let (address, _requests) = start(|stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while read_request(&mut reader).is_some() {
            thread::sleep(std::time::Duration::from_millis(20));
            if (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    });
    let report = report(address, &["-n", "10", "-c", "1", "--rate", "1000"]);
    assert_eq!((report.succeeded, report.loop_kind.as_str()), (10, "open"));
    assert!(report.latency_us.max >= 190_000.0, "{:?}", report.latency_us);
    assert!(report.latency_us.p50 >= 70_000.0, "{:?}", report.latency_us);
}

#[test]
fn what_an_overloaded_server_never_got_is_counted() {
    let (address, _requests) = start(|mut stream, _| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let report = failed_report(address, &["-d", "200ms", "-c", "2", "--rate", "1000", "--timeout", "10s"]);
    assert_eq!(report.unsent + report.unfinished, 200);
    assert!((1..=2).contains(&report.unfinished), "one request in flight a connection");
    assert!(report.latency_us.max >= 190_000.0);
    assert!(report.warnings.iter().any(|warning| warning.contains("never sent")));
}

#[test]
fn an_early_reply_to_a_long_body_is_read() {
    let (address, _requests) = start(|stream, _| {
        let mut head = [0; 64];
        (&stream).read_exact(&mut head).unwrap();
        // Said to end the connection: a client that has sent all of its body by now may otherwise reuse it.
        let reply = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        (&stream).write_all(reply).unwrap();
        // Reads on, so that closing sends no reset before the reply is read.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let report = report(address, &["-n", "2", "-c", "1", "--body-bytes", "50000000"]);
    assert_eq!(report.status, BTreeMap::from([(413, 2)]));
}

#[test]
fn nobody_listening_is_one_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (output, report) = loadgen(address, &["-n", "1"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), report), (Some(1), None));
    assert!(error.contains("no connection to") && error.contains("refused"), "{error}");
}

#[test]
fn a_standard_error_that_nobody_reads_is_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen")).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_wrong_command_line_is_told_apart() {
    let output = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen")).arg("ftp://a.test/").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("https://"));
}
