//! Several requests in flight on one HTTP/1.1 connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::{hello, serve};
use crate::{all_failed, run, succeeded};

/// Reads so many requests without bodies, then sends `reply`; until the end of the stream.
fn answer_after(requests: usize, reply: &'static [u8]) -> SocketAddr {
    serve(move |mut stream| while read_heads(&mut stream, requests) && stream.write_all(reply).is_ok() {})
}

fn read_heads(stream: &mut TcpStream, heads: usize) -> bool {
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.windows(4).filter(|end| end == b"\r\n\r\n").count() < heads {
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(1..) => bytes.extend(part.iter().take_while(|byte| **byte != 0)),
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

#[test]
fn requests_dont_wait_for_replies() {
    // The server answers only once it has eight requests.
    let eight: &[u8] = Vec::leak(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".repeat(8));
    let report = succeeded("http", answer_after(8, eight), &["-n", "80", "-c", "1", "--pipeline", "8"]);
    assert_eq!((report.replies, report.received_bytes), (80, 80 * 43));
}

#[test]
fn a_pipeline_that_is_filled_and_emptied_loses_nothing() {
    let report = succeeded("http", hello(), &["-n", "1000", "-c", "3", "--pipeline", "5"]);
    assert_eq!((report.replies, report.body_bytes), (1000, 5000));
    let report = succeeded("http", hello(), &["-n", "200", "-c", "2", "--pipeline", "4", "--rate", "2000"]);
    assert_eq!((report.replies, report.loop_kind.as_str()), (200, "open"));
}

#[test]
fn a_connection_is_closed_after_its_requests() {
    let args = ["-n", "12", "-c", "1", "--pipeline", "2", "--requests-per-connection", "3"];
    let report = succeeded("http", hello(), &args);
    assert_eq!((report.replies, report.openings.connections), (12, 3), "the first was opened before the run");
}

#[test]
fn what_waits_behind_a_reply_that_ends_the_connection_is_sent_again_once() {
    let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    // Of the five, each but the last waits behind another: the second is sent with the first and with the third, and so on.
    let report = succeeded("http", answer_after(1, last), &["-n", "5", "-c", "1", "--pipeline", "2"]);
    assert_eq!((report.replies, report.resent, report.openings.connections), (5, 4, 4));
    // The fourth waits behind the first three, and on the next connection behind two of them.
    let (_, report) = run("http", answer_after(1, last), &["-n", "4", "-c", "1", "--pipeline", "4"]);
    assert_eq!(
        (report.replies, report.resent, report.errors["closed_early"]),
        (2, 3, 2),
        "{:?}",
        report.errors
    );
}

#[test]
fn broken_pipelines_are_errors_of_their_kind() {
    let args = ["-n", "4", "-c", "1", "--pipeline", "2"];
    let extra = answer_after(2, b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 204 No\r\n\r\n");
    let (_, report) = run("http", extra, &args);
    assert!(report.errors["malformed"] <= 1, "a reply too many is an error of the next request, if of any");
    all_failed("http", answer_after(2, b"garbage\r\n\r\n"), &args, "malformed", "status line");
    let half = serve(|mut stream| {
        read_heads(&mut stream, 2);
        // The test may be over.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    });
    all_failed("http", half, &args, "short_body", "middle");
}

#[test]
fn a_reply_that_never_comes_fails_all_that_wait_for_it() {
    let silent = serve(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let args = ["-n", "3", "-c", "1", "--pipeline", "3", "--timeout", "50ms"];
    let report = all_failed("http", silent, &args, "timeout", "--timeout");
    assert_eq!(report.failed(), 3);
}
