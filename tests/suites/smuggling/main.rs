//! Request smuggling: every case of the table, through the gateway to two real servers that read HTTP in their own
//! ways. Either the gateway refuses and closes, or the server gets one request, framed in one way that every reader
//! understands; it never gets a second one that the gateway didn't know of.

mod cases;
mod servers;

use std::io::ErrorKind;

use cases::{CASES, Case, HOST, Outcome};
use servers::{Lenient, Nginx, Server};
use turnpike_tests::{BodyLength, Client, DataPlane, Fields, Origin, Reader, Tap, http_api, request};

#[test]
fn nothing_is_smuggled_to_pythons_http_server() {
    run(&mut Lenient::start());
}

#[test]
fn nothing_is_smuggled_to_nginx() {
    run(&mut Nginx::start());
}

/// CL.0 at the origin's end: nothing that is sent to such a server is safe from its reading, but what it says in
/// return to a request that nobody made reaches nobody.
#[test]
fn an_answer_to_a_body_reaches_nobody() {
    let origin = Origin::scripted(|connection, number| {
        if number == 0 {
            let first = connection.request().unwrap().expect("a request");
            let second = connection.request().unwrap().expect("its body, taken for a request");
            let answer =
                |target: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            let _ = connection.send(answer(&first.target) + &answer(&second.target));
            return connection.wait_for_close();
        }
        while let Ok(Some(request)) = connection.request() {
            if connection.echo(&request).is_err() {
                return;
            }
        }
    });
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &origin.url("{request.path}"))]);
    let body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = plane.connect();
    client.send(format!("POST /a HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.reply().text(), "/a");
    let next = client.exchange(request("GET", "a1", "/b"));
    assert_eq!(next.echo().target, "/b");
    assert_eq!(origin.connections(), 2, "the connection that said too much is used no more");
    drop(client);
    plane.assert_at_rest();
}

/// All cases one after another, so that what one leaves behind on a pooled connection would spoil the next.
fn run(server: &mut impl Server) {
    let tap = Tap::before(server.address());
    let plane = DataPlane::serving(&[http_api("a1").route("$default", &tap.url("{request.path}"))]);
    let mut expected = Vec::new();
    for case in CASES {
        expected.extend(check(case, &plane, &tap));
    }
    assert_eq!(plane.exchange(request("GET", "a1", "/the-end")).status, 200);
    expected.push("GET /the-end".to_owned());
    assert_eq!(server.seen_up_to("GET /the-end"), expected, "what the server took for requests");
}

/// Runs one case; returns the requests that the server must have seen.
fn check(case: &Case, plane: &DataPlane, tap: &Tap) -> Vec<String> {
    let name = format!("{}: {}", case.class, case.what);
    let mut client = plane.connect();
    let bytes = case.bytes.replace("<host>", HOST).into_bytes();
    // The gateway may refuse, and close, before the last byte was sent.
    let _ = client.try_send(latin_1(&bytes));
    client.half_close();
    let statuses = replies(&mut client, &name);
    plane.assert_at_rest();
    let arrived: Vec<Arrived> =
        tap.take(&plane.gateway).iter().flat_map(|bytes| parse(bytes, &name)).collect();
    match case.outcome {
        Outcome::Refused(status) => {
            assert_eq!((statuses.as_slice(), arrived.len()), (&[status][..], 0), "{name}: {arrived:?}");
            Vec::new()
        }
        Outcome::CutOff(status) => {
            assert!(statuses == [status], "{name}: {statuses:?}");
            assert!(arrived.iter().all(|request| !request.whole), "{name}: {arrived:?}");
            Vec::new()
        }
        Outcome::Starved => {
            assert!(statuses.is_empty(), "{name}: {statuses:?}");
            assert!(arrived.iter().all(|request| !request.whole), "{name}: {arrived:?}");
            Vec::new()
        }
        Outcome::Passed(requests) => {
            assert_eq!(statuses, vec![200; requests.len()], "{name}");
            let got: Vec<(&str, &str)> =
                arrived.iter().map(|request| (request.start_line.as_str(), request.body.as_str())).collect();
            assert_eq!(got, requests, "{name}");
            assert!(arrived.iter().all(|request| request.whole), "{name}: {arrived:?}");
            requests.iter().map(|(line, _)| (*line).to_owned()).collect()
        }
    }
}

/// A case's text has one character for each byte.
fn latin_1(utf_8: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(utf_8).expect("cases are text");
    text.chars().map(|character| u8::try_from(u32::from(character)).expect("a byte")).collect()
}

/// The status of every reply until the gateway closes.
fn replies(client: &mut Client, name: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    loop {
        match client.try_reply(false) {
            Ok(reply) => statuses.push(reply.status),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::InvalidData, "{name}: {error}");
                assert!(
                    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
                    "{name}: the gateway neither answers nor closes: {error}"
                );
                return statuses;
            }
        }
    }
}

/// A request as it went over the wire to the server.
#[derive(Debug)]
struct Arrived {
    /// Method and target.
    start_line: String,
    body: String,
    whole: bool,
}

/// Reads the gateway's bytes as strictly as RFC 9112 can be read; more than one framing, or none where bytes
/// follow, is a failure.
fn parse(bytes: &[u8], name: &str) -> Vec<Arrived> {
    let mut reader = Reader::new(bytes);
    let mut requests = Vec::new();
    let unclear = |error: &std::io::Error| -> ! {
        panic!("{name}: the server got {error}: {:?}", String::from_utf8_lossy(bytes))
    };
    loop {
        let head = match reader.head() {
            Ok(Some(head)) => head,
            Ok(None) => return requests,
            Err(error) => unclear(&error),
        };
        let start_line =
            head.start_line.strip_suffix(" HTTP/1.1").unwrap_or_else(|| panic!("{name}: {head:?}"));
        let mut body = Vec::new();
        let read = reader.body_into(length(&head.headers, name), |piece| body.extend_from_slice(piece));
        match &read {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => unclear(error),
            _ => {}
        }
        requests.push(Arrived {
            start_line: start_line.to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            whole: read.is_ok(),
        });
        if read.is_err() {
            return requests;
        }
    }
}

/// One framing or none, one host, and nothing that another reader could take for either.
fn length(headers: &Fields, name: &str) -> BodyLength {
    assert_eq!(headers.all("host").len(), 1, "{name}: {headers:?}");
    assert!(!headers.has("expect") && !headers.has("upgrade") && !headers.has("te"), "{name}: {headers:?}");
    let frames = |field: &&(String, String)| {
        let field = field.0.to_ascii_lowercase().replace(|byte: char| !byte.is_ascii_alphanumeric(), "");
        field == "contentlength" || field == "transferencoding"
    };
    let framing: Vec<&(String, String)> = headers.0.iter().filter(frames).collect();
    match framing.as_slice() {
        [] => BodyLength::Bytes(0),
        [(field, value)] if field == "Content-Length" => {
            let length: u64 = value.parse().unwrap_or_else(|_| panic!("{name}: {headers:?}"));
            assert_eq!(*value, length.to_string(), "{name}: in one form only");
            BodyLength::Bytes(length)
        }
        [(field, value)] if field == "Transfer-Encoding" && value == "chunked" => BodyLength::Chunked,
        _ => panic!("{name}: framed more than once, or oddly: {headers:?}"),
    }
}
