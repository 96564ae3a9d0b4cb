//! Compressed requests to stages with compression: their origins get what they stand for.

use std::io::{ErrorKind, Write as _};
use std::sync::mpsc::channel;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use turnpike_tests::{Client, Curl, DataPlane, Options, Origin, StageBuilder, host, rest_api};

fn text(bytes: usize) -> String {
    (0..).flat_map(|n| format!("line {n} of a text; ").into_bytes()).take(bytes).map(char::from).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn stage(origin: &Origin, bytes_min: u32) -> StageBuilder {
    rest_api("a1", "s").route("ANY /{proxy+}", &origin.url("/{proxy}")).compressed(bytes_min)
}

fn echoing(bytes_min: u32) -> (DataPlane, Origin) {
    let origin = Origin::echo();
    (DataPlane::serving(&[stage(&origin, bytes_min)]), origin)
}

fn head(fields: &str) -> Vec<u8> {
    format!("POST /s/x HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("a1")).into_bytes()
}

fn post(coding: &str, body: &[u8]) -> Vec<u8> {
    [head(&format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len())), body.to_vec()]
        .concat()
}

fn chunked(coding: &str, pieces: &[&[u8]], trailers: &str) -> Vec<u8> {
    let mut bytes = head(&format!("Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n"));
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

#[test]
fn origins_get_what_a_body_stands_for() {
    let (plane, _origin) = echoing(0);
    for bytes in [0, 1, 500, 5_000, 200_000, 3_000_000] {
        let body = text(bytes);
        for (coding, coded) in [
            ("gzip", gzip(body.as_bytes())),
            ("x-gzip", gzip(body.as_bytes())),
            ("deflate", zlib(body.as_bytes())),
        ] {
            let whole = plane.exchange(post(coding, &coded)).echo();
            assert!(whole.body == body, "{bytes} in {coding}");
            assert!(!whole.headers.has("content-encoding"));
            let (front, back) = coded.split_at(coded.len() / 2);
            let pieces = plane.exchange(chunked(coding, &[front, back], "X-Sum: 7\r\n")).echo();
            assert!(pieces.body == body, "{bytes} in {coding}, chunked");
            assert_eq!(pieces.trailers.one("x-sum"), Some("7"));
            if bytes == 500 {
                assert_eq!(whole.headers.one("content-length"), Some("500"));
                assert_eq!(pieces.headers.one("transfer-encoding"), Some("chunked"));
            }
        }
    }
    assert_eq!(plane.gateway.metrics().sum("turnpike_shard_decompressions_total", &[]), 36.0);
    plane.assert_at_rest();
}

#[test]
fn what_vouches_for_the_bytes_as_they_were_is_dropped() {
    let (plane, _origin) = echoing(0);
    let body = gzip(b"abc");
    let fields = format!(
        "Content-Encoding: gzip\r\nContent-MD5: x\r\nContent-Digest: x\r\nX-Own: 1\r\nContent-Length: {}\r\n",
        body.len()
    );
    let echo = plane.exchange([head(&fields), body].concat()).echo();
    assert_eq!((&*echo.body, echo.headers.one("x-own")), ("abc", Some("1")));
    assert!(!echo.headers.has("content-md5") && !echo.headers.has("content-digest"));
}

#[test]
fn a_body_may_be_split_anywhere() {
    let (plane, _origin) = echoing(0);
    let mut client = plane.connect();
    let request = post("gzip", &gzip(text(300).as_bytes()));
    for split in 1..request.len() {
        client.send(&request[..split]);
        client.send(&request[split..]);
        assert_eq!(client.reply().echo().body, text(300), "at {split}");
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn small_or_plain_bodies_stay_as_they_are() {
    let (plane, _origin) = echoing(100);
    let small = gzip(b"abc");
    let echo = plane.exchange(post("gzip", &small)).echo();
    assert_eq!(echo.headers.one("content-encoding"), Some("gzip"));
    assert_eq!(echo.headers.one("content-length"), Some(&*small.len().to_string()));
    let echo = plane.exchange(post("br", b"abc")).echo();
    assert_eq!((&*echo.body, echo.headers.one("content-encoding")), ("abc", Some("br")));
    let echo = plane.exchange(post("identity", text(200).as_bytes())).echo();
    assert_eq!((&*echo.body, echo.headers.one("content-encoding")), (&*text(200), Some("identity")));
    let origin = Origin::echo();
    let without = DataPlane::serving(&[rest_api("a1", "s").route("ANY /{proxy+}", &origin.url("/{proxy}"))]);
    assert_eq!(without.exchange(post("gzip", &small)).echo().headers.one("content-encoding"), Some("gzip"));
}

#[test]
fn what_isnt_in_its_coding_is_refused() {
    let (plane, origin) = echoing(0);
    let good = gzip(text(300).as_bytes());
    let mut damaged = good.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    let cases = [
        ("br", good.clone()),
        ("gzip, gzip", good.clone()),
        ("deflate", good.clone()),
        ("gzip", b"{\"type\":\"dog\"}".to_vec()),
        ("gzip", good[..good.len() - 1].to_vec()),
        ("gzip", [&good[..], b"x"].concat()),
        ("gzip", damaged),
    ];
    for (coding, body) in cases {
        let mut client = plane.connect();
        let reply = client.exchange(post(coding, &body));
        assert_eq!(
            (reply.status, reply.text()),
            (415, "{\"message\":\"Unsupported Media Type\"}"),
            "{coding}"
        );
        // The body was there, so the connection goes on.
        assert_eq!(client.exchange(post("gzip", &good)).echo().body, text(300));
    }
    assert_eq!(origin.seen().len(), 7);
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_refusals_total", &["kind=\"content_coding\""]), 7.0);
    plane.assert_at_rest();
}

/// Sends a body in pieces as long as the gateway takes it; the status of its answer.
fn send_in_pieces(client: &mut Client, coding: &str, body: &[u8]) -> u16 {
    client.send(head(&format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len())));
    for piece in body.chunks(1_000) {
        if client.try_send(piece).is_err() {
            break;
        }
    }
    client.reply().status
}

#[test]
fn a_body_that_turns_out_to_be_wrong_is_cut_off() {
    let (report, reported) = channel();
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            let mut received = 0_u64;
            let read = connection.body_into(&seen, |bytes| received += bytes.len() as u64);
            report.send((received, read.is_ok())).unwrap();
        }
    });
    let plane = DataPlane::serving(&[stage(&origin, 0)]);
    let mut noise = gzip(&noise(400_000));
    noise[200_000] ^= 1;
    assert_eq!(send_in_pieces(&mut plane.connect(), "gzip", &noise), 415);
    // The origin has seen a body begin, and never end.
    let (received, ended) = reported.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(received > 0 && !ended, "the origin got {received} bytes, to their end: {ended}");
    assert_eq!(origin.seen().len(), 1, "it isn't sent again");
    plane.assert_at_rest();
}

#[test]
fn a_body_is_limited_as_it_comes_too() {
    let origin = Origin::echo();
    let plane = DataPlane::with(&Options::new().set("body_bytes_max", 1_000), &[stage(&origin, 0)]);
    let (long, short) = (gzip(&noise(1_100)), gzip(&noise(900)));
    assert!(long.len() > 1_000 && short.len() <= 1_000);
    // All of it arrives with its head.
    for request in [
        post("gzip", &long),
        chunked("gzip", &[&long], ""),
        chunked("gzip", &[&long[..990], &long[990..]], ""),
    ] {
        assert_eq!(plane.exchange(request).status, 413);
    }
    for request in [post("gzip", &short), chunked("gzip", &[&short], "")] {
        assert_eq!(plane.exchange(request).status, 200);
    }
    assert_eq!(origin.seen().len(), 2);
    plane.assert_at_rest();
}

/// What doesn't get smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

#[test]
fn bombs_do_no_harm() {
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let swallowing = || {
        Origin::scripted(|connection, _| {
            while let Ok(Some(seen)) = connection.request() {
                let mut received = 0_u64;
                if connection.body_into(&seen, |bytes| received += bytes.len() as u64).is_err() {
                    return;
                }
                let text = received.to_string();
                connection
                    .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
                    .unwrap();
            }
        })
    };
    let origin = swallowing();
    for (setting, value, status) in [
        ("decompression_ratio_max", "100", 413),
        ("decompression_ratio_max", "2000", 413),
        ("decompressed_bytes_max", "unlimited", 413),
    ] {
        let plane = DataPlane::with(&Options::new().set(setting, value), &[stage(&origin, 0)]);
        assert_eq!(send_in_pieces(&mut plane.connect(), "gzip", &bomb), status, "{setting} {value}");
        plane.assert_at_rest();
    }
    // With all of it allowed, it passes in little memory.
    let options =
        Options::new().set("decompression_ratio_max", 2_000).set("decompressed_bytes_max", "unlimited");
    let mut plane = DataPlane::with(&options, &[stage(&origin, 0)]);
    assert_eq!(plane.exchange(post("gzip", &gzip(b"abc"))).text(), "3");
    let before = plane.gateway.process().peak_resident_kib();
    assert_eq!(plane.exchange(post("gzip", &bomb)).text(), (64 << 20).to_string());
    let growth = plane.gateway.process().peak_resident_kib() - before;
    assert!(growth < 4 << 10, "the gateway grew by {growth} KiB");
    plane.assert_at_rest();
}

#[test]
fn a_slow_origin_slows_its_client_down() {
    // It takes a connection, and reads nothing.
    let (let_go, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let stalled = Origin::scripted(move |_, _| assert!(waits.lock().unwrap().recv().is_err()));
    let options = Options::new()
        .set("decompression_ratio_max", 2_000)
        .set("decompressed_bytes_max", "unlimited")
        .set("body_bytes_max", "unlimited");
    let plane = DataPlane::with(&options, &[stage(&stalled, 0)]);
    let mut client = plane.connect();
    client.send(head("Content-Encoding: gzip\r\nContent-Length: 1073741824\r\n"));
    let taken = client.send_until_stalled(&gzip(&noise(65_536)), 1 << 30, Duration::from_millis(500));
    assert!(taken < 32 << 20, "{taken} bytes are on their way");
    drop(let_go);
}

#[test]
fn there_is_a_limit_to_how_many_are_decompressed_at_once() {
    let origin = Origin::echo();
    let plane = DataPlane::with(&Options::new().set("decompressions_max", 1), &[stage(&origin, 0)]);
    let request = post("gzip", &gzip(&noise(200_000)));
    let (front, back) = request.split_at(100_000);
    let mut first = plane.connect();
    first.send(front);
    origin.wait_for_requests(1);
    let reply = plane.exchange(post("gzip", &gzip(b"abc")));
    assert_eq!((reply.status, reply.text()), (503, "{\"message\":\"Service Unavailable\"}"));
    first.send(back);
    assert_eq!(first.reply().status, 200);
    assert_eq!(plane.exchange(post("gzip", &gzip(b"abc"))).echo().body, "abc");
    drop(first);
    plane.assert_at_rest();
}

#[test]
fn requests_follow_each_other() {
    let (plane, _origin) = echoing(0);
    let mut client = plane.connect();
    let large = gzip(&noise(100_000));
    client.send(
        [post("gzip", &gzip(b"one")), post("gzip", &large), chunked("deflate", &[&zlib(b"three")], "")]
            .concat(),
    );
    assert_eq!(client.reply().echo().body, "one");
    assert!(client.reply().echo().body.len() > 50_000);
    assert_eq!(client.reply().echo().body, "three");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn what_follows_a_body_that_is_long_only_when_decompressed_is_a_request_of_its_own() {
    let (origin, body) = (Origin::echo(), "x".repeat(200_000));
    let options = Options::new().set("decompression_ratio_max", 2_000);
    let plane = DataPlane::with(&options, &[stage(&origin, 0)]);
    // All of it arrives with its head.
    let coded = gzip(body.as_bytes());
    assert!(coded.len() < 1_000);
    let hidden = b"GET /s/hidden HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    let next = [head(&format!("Content-Length: {}\r\n", hidden.len())), hidden.to_vec()].concat();
    let longs =
        [post("gzip", &coded), chunked("gzip", &[&coded], ""), chunked("gzip", &[&coded], "T: v\r\n")];
    for long in longs {
        // The next one whole, its head in part, and its head without its body.
        for cut in [next.len(), 20, next.len() - hidden.len()] {
            let mut client = plane.connect();
            client.send([&long[..], &next[..cut]].concat());
            assert!(client.reply().echo().body == body);
            client.send(&next[cut..]);
            assert_eq!(client.reply().echo().body.as_bytes(), hidden, "cut at {cut}");
            drop(client);
            plane.assert_at_rest();
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    let (plane, origin) = echoing(0);
    let request = post("gzip", &gzip(&noise(200_000)));
    let mut client = plane.connect();
    client.send(&request[..100_000]);
    origin.wait_for_requests(1);
    client.reset();
    plane.assert_at_rest();
    let mut client = plane.connect();
    client.send(&request[..100_000]);
    client.half_close();
    let error = client.try_reply(false).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn http2_clients_are_served_alike() {
    let (plane, _origin) = echoing(10);
    let directory = tempfile::tempdir().unwrap();
    for bytes in [0, 100, 30_000, 3_000_000] {
        let path = directory.path().join("body");
        std::fs::write(&path, gzip(text(bytes).as_bytes())).unwrap();
        let curl = Curl::http2(plane.gateway.address, &host("a1"), "/s/x").header("Content-Encoding: gzip");
        let echo = curl.body(&format!("@{}", path.display())).reply().echo();
        assert!(echo.body == text(bytes), "{bytes}");
    }
    let curl = Curl::http2(plane.gateway.address, &host("a1"), "/s/x").header("Content-Encoding: gzip");
    assert_eq!(curl.body("this isn't compressed").reply().status, 415);
    plane.assert_at_rest();
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked() {
    let (plane, _origin) = echoing(0);
    let body = gzip(text(5_000).as_bytes());
    let mut client = plane.connect();
    client.send(head(&format!(
        "Content-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: {}\r\n",
        body.len()
    )));
    assert_eq!(client.head().0, 100);
    client.send(&body);
    assert_eq!(client.reply().echo().body, text(5_000));
    drop(client);
    plane.assert_at_rest();
}
