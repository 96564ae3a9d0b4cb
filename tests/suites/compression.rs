//! Answers of stages that compress: negotiated, by size, while they stream.

use std::io::{ErrorKind, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flate2::write::GzDecoder;
use turnpike_tests::{Curl, DataPlane, Options, Origin, Reply, StageBuilder, host, http_api, rest_api};

/// What a body that nobody takes may be held of: see the suite `streaming`.
const IN_TRANSIT_BYTES_MAX: u64 = 32 << 20;

fn text(bytes: usize) -> String {
    (0..).flat_map(|n| format!("line {n} of a text; ").into_bytes()).take(bytes).map(char::from).collect()
}

fn answer(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(fields: &str, pieces: &[&str], trailers: &str) -> String {
    let chunks: String = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
    format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n{trailers}\r\n")
}

fn stage(origin: &Origin, bytes_min: u32) -> StageBuilder {
    rest_api("a1", "s").route("ANY /{proxy+}", &origin.url("/{proxy}")).compressed(bytes_min)
}

fn plane(origin: &Origin, bytes_min: u32) -> DataPlane {
    DataPlane::serving(&[stage(origin, bytes_min)])
}

fn asking(method: &str, fields: &str) -> String {
    format!("{method} /s/x HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("a1"))
}

fn get(plane: &DataPlane, fields: &str) -> Reply {
    plane.exchange(asking("GET", fields))
}

const GZIP: &str = "Accept-Encoding: gzip\r\n";

#[test]
fn a_client_gets_what_it_asks_for() {
    let body = text(5_000);
    let origin = Origin::replying(answer("ETag: \"v1\"\r\nAccept-Ranges: bytes\r\nX-Own: 1\r\n", &body));
    let plane = plane(&origin, 0);
    let cases = [
        ("", None),
        ("Accept-Encoding: *\r\n", None),
        ("Accept-Encoding: br\r\n", None),
        ("Accept-Encoding: identity\r\n", None),
        ("Accept-Encoding: br, gzip;q=0.5\r\n", None),
        ("Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n", None),
        (GZIP, Some("gzip")),
        ("Accept-Encoding: deflate\r\n", Some("deflate")),
        ("Accept-Encoding: br\r\nAccept-Encoding: deflate, gzip\r\n", Some("gzip")),
    ];
    for (fields, coding) in cases {
        let reply = get(&plane, fields);
        assert_eq!(reply.headers.one("content-encoding"), coding, "{fields}");
        assert_eq!(reply.decoded(), body);
        assert_eq!(reply.headers.one("content-length"), Some(&*reply.body.len().to_string()));
        assert_eq!(reply.headers.one("x-own"), Some("1"));
        let (tag, ranges) = if coding.is_some() { ("W/\"v1\"", None) } else { ("\"v1\"", Some("bytes")) };
        assert_eq!((reply.headers.one("etag"), reply.headers.one("accept-ranges")), (Some(tag), ranges));
        let varies = !fields.contains("no-transform");
        assert_eq!(reply.headers.one("vary"), varies.then_some("Accept-Encoding"), "{fields}");
        assert_eq!(reply.body.len() < 1_500, coding.is_some());
    }
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_compressions_total", &[]), 3.0);
    assert_eq!(metrics.sum("turnpike_shard_compression_in_bytes_total", &[]), 15_000.0);
    plane.assert_at_rest();
}

#[test]
fn a_stage_without_compression_changes_nothing() {
    let origin = Origin::replying(answer("ETag: \"v1\"\r\n", &text(5_000)));
    let plane = DataPlane::serving(&[rest_api("a1", "s").route("ANY /{proxy+}", &origin.url("/{proxy}"))]);
    let reply = get(&plane, GZIP);
    assert_eq!((reply.headers.one("vary"), reply.headers.one("content-encoding")), (None, None));
    assert_eq!((reply.headers.one("etag"), reply.text()), (Some("\"v1\""), &*text(5_000)));
    assert_eq!(origin.seen()[0].headers.all("accept-encoding"), ["gzip"]);
}

#[test]
fn bodies_below_the_size_stay_as_they_are() {
    for (bytes, coding) in [(0, None), (1, None), (99, None), (100, Some("gzip")), (20_000, Some("gzip"))] {
        let body = text(bytes);
        let (front, back) = body.split_at(bytes / 2);
        let pieces: Vec<&str> = [front, back].into_iter().filter(|piece| !piece.is_empty()).collect();
        let closing = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        let closes = Origin::scripted(move |connection, _| {
            if let Ok(Some(_)) = connection.request() {
                connection.send(&closing).unwrap();
            }
        });
        let origins =
            [Origin::replying(answer("", &body)), Origin::replying(chunked("", &pieces, "")), closes];
        for (way, origin) in origins.iter().enumerate() {
            let plane = plane(origin, 100);
            for _ in 0..2 {
                let reply = get(&plane, GZIP);
                assert_eq!(reply.headers.one("content-encoding"), coding, "{bytes} by {way}");
                assert_eq!(
                    (reply.decoded(), reply.headers.one("vary")),
                    (body.clone(), Some("Accept-Encoding"))
                );
            }
            plane.assert_at_rest();
        }
    }
}

#[test]
fn some_answers_are_left_alone() {
    let body = text(2_000);
    let fields = [
        "Content-Encoding: br\r\n",
        "Content-Type: image/png\r\n",
        "Content-Type: text/event-stream\r\n",
        "Content-Type: application/grpc\r\n",
        "Cache-Control: no-transform\r\n",
        "Content-MD5: abc\r\n",
    ];
    for fields in fields {
        let origin = Origin::replying(answer(&format!("ETag: \"v1\"\r\n{fields}"), &body));
        let plane = plane(&origin, 0);
        let reply = get(&plane, GZIP);
        assert_eq!((reply.text(), reply.headers.one("vary")), (&*body, None), "{fields}");
        assert_eq!(reply.headers.one("etag"), Some("\"v1\""));
    }
    let origin = Origin::replying(answer("Content-Type: image/png\r\n", &body));
    let options = Options::new().set("compression_excluded_types", "");
    let plane = DataPlane::with(&options, &[stage(&origin, 0)]);
    assert_eq!(get(&plane, GZIP).headers.one("content-encoding"), Some("gzip"));
}

#[test]
fn answers_without_a_whole_body_have_none_that_is_compressed() {
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nabcde";
    let reply = get(&plane(&Origin::replying(part), 0), "Accept-Encoding: gzip\r\nRange: bytes=0-4\r\n");
    assert_eq!((reply.status, reply.text(), reply.headers.one("etag")), (206, "abcde", Some("\"a\"")));
    assert!(!reply.headers.has("vary"));

    let reply = get(&plane(&Origin::replying("HTTP/1.1 204 No Content\r\n\r\n"), 0), GZIP);
    assert_eq!((reply.status, reply.headers.has("vary")), (204, false));

    // The tag that the client has was made weak; the origin compares it weakly (RFC 9110 13.1.2).
    let unchanged =
        Origin::replying("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5000\r\n\r\n");
    let conditional = plane(&unchanged, 0);
    let reply = get(&conditional, "Accept-Encoding: gzip\r\nIf-None-Match: W/\"a\"\r\n");
    assert_eq!((reply.status, reply.headers.one("etag")), (304, Some("W/\"a\"")));
    assert_eq!(
        (reply.headers.one("vary"), reply.headers.one("content-length")),
        (Some("Accept-Encoding"), None)
    );
    assert_eq!(unchanged.seen()[0].headers.one("if-none-match"), Some("W/\"a\""));
    let plain = get(&conditional, "If-None-Match: \"a\"\r\n");
    assert_eq!(
        (plain.headers.one("etag"), plain.headers.one("content-length")),
        (Some("\"a\""), Some("5000"))
    );
}

#[test]
fn a_head_request_is_told_what_get_would_bring() {
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nETag: \"a\"\r\n\r\n");
    for (bytes_min, fields, coded) in
        [(0, GZIP, true), (5_000, GZIP, true), (5_001, GZIP, false), (0, "", false)]
    {
        let plane = plane(&origin, bytes_min);
        let reply = plane.exchange(asking("HEAD", fields));
        let expected =
            if coded { (Some("gzip"), None, Some("W/\"a\"")) } else { (None, Some("5000"), Some("\"a\"")) };
        let headers = &reply.headers;
        assert_eq!(
            (headers.one("content-encoding"), headers.one("content-length"), headers.one("etag")),
            expected
        );
        assert_eq!(headers.one("vary"), Some("Accept-Encoding"));
    }
}

#[test]
fn what_varies_already_says_so_once() {
    for (vary, expected) in [
        ("Origin", vec!["Origin", "Accept-Encoding"]),
        ("accept-encoding, Origin", vec!["accept-encoding, Origin"]),
        ("*", vec!["*"]),
    ] {
        let origin = Origin::replying(answer(&format!("Vary: {vary}\r\n"), &text(500)));
        assert_eq!(get(&plane(&origin, 0), GZIP).headers.all("vary"), expected);
    }
}

/// An origin that sends a chunk whenever it is told to, and closes in place of an empty one.
fn led() -> (Origin, Sender<String>) {
    let (tell, told): (Sender<String>, Receiver<String>) = channel();
    let told = std::sync::Mutex::new(told);
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            for piece in told.lock().unwrap().iter() {
                if piece.is_empty() {
                    return;
                }
                connection.send(format!("{:x}\r\n{piece}\r\n", piece.len())).unwrap();
            }
            connection.send("0\r\n\r\n").unwrap();
        }
    });
    (origin, tell)
}

#[test]
fn what_an_origin_has_sent_arrives_before_it_sends_more() {
    let (origin, tell) = led();
    let plane = plane(&origin, 10);
    let mut client = plane.connect();
    client.send(asking("GET", GZIP));
    // Held back: it may be all.
    tell.send("123456789".to_owned()).unwrap();
    assert!(!client.readable_within(Duration::from_millis(100)));
    tell.send("0".to_owned()).unwrap();
    let head = client.head();
    assert_eq!((head.0, head.1.one("content-encoding")), (200, Some("gzip")));
    let mut expected = b"1234567890".to_vec();
    let (mut decoder, mut round) = (GzDecoder::new(Vec::new()), 0);
    let mut tell = Some(tell);
    client
        .body_into(&head, |bytes| {
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            if *decoder.get_ref() != expected {
                assert!(expected.starts_with(decoder.get_ref()));
                return;
            }
            round += 1;
            if round == 20 {
                tell = None;
            } else if let Some(tell) = &tell {
                let piece = text(round * 1_000);
                expected.extend_from_slice(piece.as_bytes());
                tell.send(piece).unwrap();
            }
        })
        .unwrap();
    assert!(round >= 20);
    assert_eq!(decoder.finish().unwrap(), expected);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_fails_isnt_mistaken_for_one_that_is_done() {
    // Nothing is sent yet: the client is told.
    let (origin, tell) = led();
    let held = plane(&origin, 1_000);
    let mut client = held.connect();
    client.send(asking("GET", GZIP));
    tell.send(text(999)).unwrap();
    tell.send(String::new()).unwrap();
    assert_eq!(client.reply().status, 504);
    drop(client);
    held.assert_at_rest();

    // Part of it is.
    let (origin, tell) = led();
    let streaming = plane(&origin, 1_000);
    let mut client = streaming.connect();
    client.send(asking("GET", GZIP));
    tell.send(text(50_000)).unwrap();
    let head = client.head();
    assert_eq!(head.0, 200);
    tell.send(String::new()).unwrap();
    let error = client.body_into(&head, |_| {}).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    drop(client);
    streaming.assert_at_rest();
}

#[test]
fn a_slow_reader_slows_its_origin_down() {
    let (report, reported) = channel();
    let report = std::sync::Mutex::new(report);
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n").unwrap();
            // Noise, which doesn't get smaller.
            let mut state = 1_u64;
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .take(65_536 / 8)
            .flatten()
            .collect();
            let sent = connection.send_until_stalled(&noise.repeat(1), 1 << 30, Duration::from_secs(1));
            report.lock().unwrap().send(sent).unwrap();
        }
    });
    let plane = plane(&origin, 0);
    let mut client = plane.connect_with_receive_bytes(4_096);
    client.send(asking("GET", GZIP));
    let sent = reported.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(sent < IN_TRANSIT_BYTES_MAX, "{sent} bytes are on their way");
    drop(client);
    drop(origin);
    plane.assert_at_rest();
}

#[test]
fn trailers_come_behind_a_compressed_body() {
    let origin = Origin::replying(chunked("Trailer: X-Sum\r\n", &[&text(300), &text(3_000)], "X-Sum: 7\r\n"));
    let plane = plane(&origin, 0);
    let reply = get(&plane, GZIP);
    assert_eq!((reply.decoded(), reply.trailers.one("x-sum")), (text(300) + &text(3_000), Some("7")));
    let reply =
        Curl::http2(plane.gateway.address, &host("a1"), "/s/x").header("Accept-Encoding: gzip").reply();
    assert_eq!((reply.decoded(), reply.trailers.one("x-sum")), (text(300) + &text(3_000), Some("7")));
    plane.assert_at_rest();
}

#[test]
fn http2_clients_get_the_same() {
    for bytes in [0, 10, 5_000, 2_000_000] {
        let body = text(bytes);
        let origins = [Origin::replying(answer("", &body)), Origin::replying(chunked("", &[&body, "."], ""))];
        for (origin, body) in origins.iter().zip([body.clone(), body.clone() + "."]) {
            if bytes == 0 && body == "." {
                continue;
            }
            let plane = plane(origin, 20);
            let curl =
                Curl::http2(plane.gateway.address, &host("a1"), "/s/x").header("Accept-Encoding: deflate");
            let reply = curl.reply();
            let coding = (bytes > 20).then_some("deflate");
            assert_eq!((reply.decoded() == body, reply.headers.one("content-encoding")), (true, coding));
            let curl = Curl::http2(plane.gateway.address, &host("a1"), "/s/x").with(["--compressed"]);
            assert!(curl.reply().body == body.as_bytes());
            plane.assert_at_rest();
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let body = text(40_000);
    let origin = Origin::replying(answer("", &body));
    let plane = plane(&origin, 0);
    let mut client = plane.connect();
    let plain = asking("GET", "");
    client.send([asking("GET", GZIP), plain, asking("HEAD", GZIP), asking("GET", GZIP)].concat());
    for coding in [Some("gzip"), None] {
        let reply = client.reply();
        assert_eq!((reply.headers.one("content-encoding"), reply.decoded() == body), (coding, true));
    }
    assert_eq!(client.reply_to_head().headers.one("content-encoding"), Some("gzip"));
    assert_eq!(client.reply().decoded(), body);
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_old_client_gets_a_length_or_the_end_of_its_connection() {
    for (body, kept) in [(text(500), true), (text(900_000), false)] {
        let origin = Origin::replying(chunked("", &[&body], ""));
        let plane = plane(&origin, 0);
        let mut client = plane.connect();
        client.send(format!(
            "GET /s/x HTTP/1.0\r\nHost: {}\r\nConnection: keep-alive\r\n{GZIP}\r\n",
            host("a1")
        ));
        let reply = client.reply();
        assert_eq!(reply.decoded(), body);
        assert_eq!(
            (reply.headers.has("content-length"), reply.headers.has("transfer-encoding")),
            (kept, false)
        );
        assert_eq!(reply.headers.one("connection"), Some(if kept { "keep-alive" } else { "close" }));
        drop(client);
        plane.assert_at_rest();
    }
}

#[test]
fn there_are_limits_to_what_is_compressed() {
    let origin = Origin::replying(answer("", &text(5_000)));
    let none = DataPlane::with(&Options::new().set("compressions_max", 0), &[stage(&origin, 0)]);
    let reply = get(&none, GZIP);
    assert_eq!((reply.text(), reply.headers.one("vary")), (&*text(5_000), Some("Accept-Encoding")));
    assert_eq!(none.gateway.metrics().sum("turnpike_shard_compressions_crowded_total", &[]), 1.0);

    // What waits takes memory.
    let origin = Origin::replying(chunked("", &[&text(300_000)], ""));
    for (bytes_max, coding) in [(1_000, None), (1_000_000, Some("gzip"))] {
        let options = Options::new().set("compression_waiting_bytes_max", bytes_max);
        let plane = DataPlane::with(&options, &[stage(&origin, 250_000)]);
        let reply = get(&plane, GZIP);
        assert_eq!((reply.headers.one("content-encoding"), reply.decoded()), (coding, text(300_000)));
        plane.assert_at_rest();
    }
}

#[test]
fn levels_and_turns_change_no_byte_of_a_body() {
    let body = text(700_000);
    let origin = Origin::replying(chunked("", &[&body], ""));
    for (level, turn_bytes) in [(1, 1_024), (6, 16_777_216), (9, 5_000)] {
        let options =
            Options::new().set("compression_level", level).set("compression_turn_bytes", turn_bytes);
        let plane = DataPlane::with(&options, &[stage(&origin, 0)]);
        assert!(get(&plane, GZIP).decoded() == body, "{level}");
        plane.assert_at_rest();
    }
}

#[test]
fn a_canary_compresses_as_its_own_deployment_says() {
    let origin = Origin::replying(answer("", &text(500)));
    let canary = rest_api("a1", "s").deployment("d2").route("ANY /{proxy+}", &origin.url("/{proxy}"));
    let plane = DataPlane::serving(&[stage(&origin, 0).canary(10_000, canary)]);
    assert_eq!(get(&plane, GZIP).headers.one("content-encoding"), None);
    let http = http_api("a2").route("$default", &origin.url("/")).compressed(0);
    let plane = DataPlane::serving(&[http]);
    let reply = plane.exchange(format!("GET / HTTP/1.1\r\nHost: {}\r\n{GZIP}\r\n", host("a2")));
    assert_eq!(reply.decoded(), text(500));
}
