//! HTTP/2 against a server that is written out frame by frame, so that it can break any rule.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use crate::support::serve;
use crate::{all_failed, run, succeeded};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200` from the static table.
const OK: &[u8] = &[0x88];

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// The server's side of a connection, after the preface.
struct Peer(TcpStream);

impl Peer {
    /// Takes the client's preface and sends `settings`.
    fn greet(mut stream: TcpStream, settings: &[u8]) -> Option<Self> {
        // A reply of two frames shouldn't wait for an acknowledgement of the first.
        stream.set_nodelay(true).ok()?;
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).ok()?;
        assert_eq!(&preface[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut peer = Self(stream);
        peer.send(SETTINGS, 0, 0, settings).then_some(peer)
    }

    fn read(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        Some(Frame { kind: header[3], flags: header[4], stream, payload })
    }

    /// The next frame of a kind.
    fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// False when the client has gone.
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).is_ok()
    }

    /// A whole small reply.
    fn reply(&mut self, stream: u32) -> bool {
        self.send(HEADERS, END_HEADERS, stream, OK) && self.send(DATA, END_STREAM, stream, b"hello")
    }
}

/// Does `answer` to the stream of each request, until it says that it has ended.
fn each_request(
    settings: &'static [u8],
    answer: impl Fn(&mut Peer, u32) -> bool + Clone + Send + 'static,
) -> SocketAddr {
    serve(move |stream| {
        let Some(mut peer) = Peer::greet(stream, settings) else { return };
        while let Some(request) = peer.next(HEADERS) {
            if !answer(&mut peer, request.stream) {
                return;
            }
        }
    })
}

const ONE: [&str; 5] = ["-n", "4", "-c", "1", "--http2"];

#[test]
fn each_request_has_its_stream_and_later_heads_are_short() {
    let (seen, heads) = channel();
    let address = serve(move |stream| {
        let Some(mut peer) = Peer::greet(stream, &[]) else { return };
        while let Some(Frame { flags, stream, payload, .. }) = peer.next(HEADERS) {
            // The test may have stopped looking.
            let _ = seen.send((stream, flags, payload.len()));
            if !peer.reply(stream) {
                return;
            }
        }
    });
    let args =
        ["-n", "100", "-c", "1", "--http2", "-H", "x-some-header: some value", "--expect-body-bytes", "5"];
    let report = succeeded("http", address, &args);
    assert_eq!((report.replies, report.body_bytes, report.received_bytes), (100, 500, 2_400));
    let heads: Vec<_> = heads.try_iter().collect();
    let ids: Vec<u32> = heads.iter().map(|(stream, ..)| *stream).collect();
    assert_eq!(ids, (0..100).map(|request| request * 2 + 1).collect::<Vec<_>>());
    assert!(heads.iter().all(|(_, flags, _)| *flags == END_STREAM | END_HEADERS));
    assert!(heads[0].2 > 20 && heads[1..].iter().all(|(.., bytes)| *bytes == 5), "{heads:?}");
}

#[test]
fn as_many_streams_are_open_as_asked_for_and_allowed() {
    let (seen, opened) = channel();
    // Answers once four requests are open, the last first; SETTINGS_MAX_CONCURRENT_STREAMS is 4.
    let address = serve(move |stream| {
        let Some(mut peer) = Peer::greet(stream, &[0, 3, 0, 0, 0, 4]) else { return };
        let mut open = Vec::new();
        while let Some(request) = peer.next(HEADERS) {
            open.push(request.stream);
            if request.stream <= 15 && open.len() < 8 {
                // The first eight leave before the client has heard of the limit.
                continue;
            }
            let _ = seen.send(open.len());
            while let Some(stream) = open.pop() {
                peer.reply(stream);
            }
        }
    });
    let report = succeeded("http", address, &["-n", "8", "-c", "1", "--http2", "--streams", "8"]);
    assert_eq!((report.replies, opened.try_iter().collect::<Vec<_>>()), (8, vec![8]));
}

#[test]
fn the_servers_limit_of_streams_is_kept() {
    let (seen, opened) = channel();
    let address = serve(move |stream| {
        let Some(mut peer) = Peer::greet(stream, &[0, 3, 0, 0, 0, 1]) else { return };
        // The first request leaves with the preface; from then on, one at a time.
        while let Some(request) = peer.next(HEADERS) {
            peer.send(PING, 0, 0, b"question");
            let mut more = 0;
            while let Some(frame) = peer.read().filter(|frame| (frame.kind, frame.flags) != (PING, ACK)) {
                more += usize::from(frame.kind == HEADERS);
            }
            let _ = seen.send(more);
            peer.reply(request.stream);
        }
    });
    let args = ["-n", "5", "-c", "1", "--http2", "--streams", "1"];
    assert_eq!(succeeded("http", address, &args).replies, 5);
    assert_eq!(opened.try_iter().collect::<Vec<_>>(), [0; 5]);
}

#[test]
fn bodies_keep_to_the_windows() {
    let (seen, bodies) = channel();
    let address = serve(move |stream| {
        // SETTINGS_INITIAL_WINDOW_SIZE is 10,000, SETTINGS_MAX_FRAME_SIZE the least.
        let Some(mut peer) = Peer::greet(stream, &[0, 4, 0, 0, 0x27, 0x10]) else { return };
        let (mut body, mut unacknowledged) = (0, 0_usize);
        while let Some(frame) = peer.read() {
            if frame.kind != DATA {
                continue;
            }
            body += frame.payload.len();
            unacknowledged += frame.payload.len();
            assert!(frame.payload.len() <= 16_384 && unacknowledged <= 65_535);
            if frame.flags == END_STREAM {
                let _ = seen.send(body);
                (body, unacknowledged) = (0, 0);
                peer.reply(frame.stream);
                continue;
            }
            let more = (frame.payload.len() as u32).to_be_bytes();
            unacknowledged -= frame.payload.len();
            peer.send(WINDOW_UPDATE, 0, 0, &more);
            peer.send(WINDOW_UPDATE, 0, frame.stream, &more);
        }
    });
    let args = ["-n", "3", "-c", "1", "--http2", "--body-bytes", "60001", "--requests-per-connection", "1"];
    assert_eq!(succeeded("http", address, &args).replies, 3);
    assert_eq!(bodies.try_iter().collect::<Vec<_>>(), [60_001; 3]);
}

#[test]
fn heads_in_parts_padding_trailers_pings_and_what_is_unknown_are_understood() {
    let address = each_request(&[0x12, 0x34, 0, 0, 0, 1], |peer, stream| {
        peer.send(PING, 0, 0, b"question");
        peer.send(0xee, 0xff, 7, b"unknown");
        // 103 with a field, then the head in three parts, one of them padded, a padded body and trailers.
        peer.send(HEADERS, END_HEADERS, stream, b"\x08\x03103\x00\x04link\x01x");
        peer.send(HEADERS, 0x8, stream, b"\x02\x88\0\0");
        peer.send(CONTINUATION, 0, stream, b"\x00\x03a-b");
        peer.send(CONTINUATION, END_HEADERS, stream, b"\x01c\x0f\x0d\x015");
        peer.send(DATA, 0x8, stream, b"\x03hel\0\0\0");
        peer.send(DATA, 0, stream, b"lo");
        peer.send(HEADERS, END_STREAM | END_HEADERS, stream, b"\x00\x04last\x01y");
        peer.next(PING).is_some_and(|pong| (pong.flags, &pong.payload[..]) == (ACK, b"question"))
    });
    let report = succeeded("http", address, &[&ONE[..], &["--expect-body-bytes", "5"]].concat());
    assert_eq!(report.replies, 4);
}

#[test]
fn a_stream_that_is_reset_fails_alone_and_its_code_is_named() {
    let address = each_request(&[], |peer, stream| match stream % 4 {
        1 => peer.send(RST_STREAM, 0, stream, &[0, 0, 0, 7]),
        _ => peer.reply(stream),
    });
    let (_, report) = run("http", address, &["-n", "10", "-c", "1", "--http2", "--streams", "2"]);
    assert_eq!((report.replies, report.errors["stream_reset"]), (5, 5));
    assert!(report.first_errors["stream_reset"].contains("REFUSED_STREAM"));
    assert_eq!(report.openings.connections, 0, "the connection is kept");
}

#[test]
fn a_goaway_fails_what_the_server_didnt_take_and_no_more() {
    // Of each connection's four streams, the first two are answered.
    let address = serve(|stream| {
        let Some(mut peer) = Peer::greet(stream, &[]) else { return };
        while let Some(request) = peer.next(HEADERS) {
            if request.stream == 7 {
                peer.send(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11]);
                peer.reply(3);
                peer.reply(1);
            }
        }
    });
    let (_, report) = run("http", address, &["-n", "8", "-c", "1", "--http2", "--streams", "4"]);
    assert_eq!((report.replies, report.errors["goaway"]), (4, 4), "{:?}", report.first_errors);
    assert!(report.first_errors["goaway"].contains("ENHANCE_YOUR_CALM"));
    assert_eq!(report.openings.connections, 1, "a second connection carries what comes after");
}

#[test]
fn what_a_server_that_goes_in_peace_didnt_take_is_sent_again_once() {
    let (seen, first) = channel();
    seen.send(()).unwrap();
    let first = Arc::new(Mutex::new(first));
    // The first connection takes two of four requests, the others all.
    let address = serve(move |stream| {
        let is_first = first.lock().unwrap().try_recv().is_ok();
        let Some(mut peer) = Peer::greet(stream, &[]) else { return };
        while let Some(request) = peer.next(HEADERS) {
            if !is_first {
                peer.reply(request.stream);
            } else if request.stream == 7 {
                peer.send(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]);
                peer.reply(3);
                peer.reply(1);
            }
        }
    });
    let args = ["-n", "8", "-c", "1", "--http2", "--streams", "4"];
    let report = succeeded("http", address, &[&args[..], &["--body", "x"]].concat());
    assert_eq!((report.replies, report.resent, report.openings.connections), (8, 2, 1));
    let never = each_request(&[], |peer, _| peer.send(GOAWAY, 0, 0, &[0; 8]));
    let (_, report) = run("http", never, &["-n", "4", "-c", "1", "--http2", "--streams", "2"]);
    assert_eq!((report.replies, report.resent, report.errors["goaway"]), (0, 4, 4));
}

#[test]
fn a_server_that_goes_in_peace_loses_nothing() {
    let address = each_request(&[], |peer, stream| {
        let last = [&stream.to_be_bytes()[..], &[0; 4]].concat();
        peer.send(GOAWAY, 0, 0, &last) && peer.reply(stream)
    });
    let report = succeeded("http", address, &ONE);
    assert_eq!((report.replies, report.openings.connections), (4, 3));
}

#[test]
fn a_stream_that_stalls_times_out_alone() {
    let (seen, resets): (_, Receiver<Vec<u8>>) = channel();
    let address = serve(move |stream| {
        let Some(mut peer) = Peer::greet(stream, &[]) else { return };
        while let Some(frame) = peer.read() {
            match frame.kind {
                HEADERS if frame.stream == 1 => {
                    peer.send(HEADERS, END_HEADERS, 1, OK);
                }
                HEADERS => {
                    peer.reply(frame.stream);
                }
                RST_STREAM => {
                    let _ = seen.send(frame.payload);
                    // Too late, and of no matter.
                    peer.send(DATA, END_STREAM, 1, b"late");
                }
                _ => {}
            }
        }
    });
    let args = ["-n", "200", "-c", "1", "--http2", "--streams", "2", "--timeout", "50ms", "--rate", "1000"];
    let (_, report) = run("http", address, &args);
    assert_eq!((report.replies, report.errors["timeout"], report.failed()), (199, 1, 1));
    assert_eq!(resets.try_iter().collect::<Vec<_>>(), [vec![0, 0, 0, 8]], "CANCEL");
}

#[test]
fn what_breaks_the_protocol_is_malformed() {
    type Answer = fn(&mut Peer, u32) -> bool;
    let cases: [(&str, Answer); 16] = [
        ("never opened", |peer, stream| peer.reply(stream + 2)),
        ("never opened", |peer, _| peer.reply(2)),
        ("pushes", |peer, stream| peer.send(5, END_HEADERS, stream, &[0, 0, 0, 2, 0x88])),
        ("larger than 16384", |peer, stream| peer.send(DATA, 0, stream, &[0; 16_385])),
        ("padding", |peer, stream| peer.send(DATA, 0x8, stream, &[9, 0])),
        ("before its head", |peer, stream| peer.send(DATA, END_STREAM, stream, b"x")),
        ("HPACK", |peer, stream| {
            peer.send(HEADERS, END_HEADERS, stream, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
        }),
        ("no :status", |peer, stream| peer.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\0\x01a\x01b")),
        ("middle of a header block", |peer, stream| {
            peer.send(HEADERS, 0, stream, OK) && peer.send(DATA, END_STREAM, stream, b"x")
        }),
        ("continues nothing", |peer, stream| peer.send(CONTINUATION, END_HEADERS, stream, OK)),
        ("content-length", |peer, stream| {
            peer.send(HEADERS, END_HEADERS, stream, b"\x88\x0f\x0d\x019")
                && peer.send(DATA, END_STREAM, stream, b"short")
        }),
        ("SETTINGS frame is broken", |peer, _| peer.send(SETTINGS, 0, 0, &[0; 5])),
        ("PING frame is broken", |peer, _| peer.send(PING, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE", |peer, _| peer.send(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("WINDOW_UPDATE", |peer, _| peer.send(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("the limit head_bytes_max", |peer, stream| {
            peer.send(HEADERS, 0, stream, OK)
                && (0..5).all(|_| peer.send(CONTINUATION, 0, stream, &[0x88; 16_384]))
        }),
    ];
    for (reason, answer) in cases {
        // What was sent is read before the connection is closed, so that no reset overtakes the answer.
        let address = each_request(&[], move |peer, stream| answer(peer, stream) && peer.read().is_some());
        let report = all_failed("http", address, &["-n", "2", "-c", "1", "--http2"], "malformed", reason);
        assert_eq!(report.failed(), 2, "{reason}");
    }
}

#[test]
fn a_malformed_reply_fails_its_own_stream_only() {
    let answers: [fn(&mut Peer, u32) -> bool; 3] = [
        |peer, stream| peer.send(DATA, 0, stream, b"before its head"),
        |peer, stream| peer.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\0\x01a\x01b"),
        |peer, stream| peer.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x88\x0f\x0d\x019"),
    ];
    for answer in answers {
        let address = each_request(&[], move |peer, stream| match stream {
            // Two are in flight by then.
            1 => true,
            3 => peer.reply(stream) && answer(peer, 1),
            _ => peer.reply(stream),
        });
        let (_, report) = run("http", address, &["-n", "8", "-c", "1", "--http2", "--streams", "2"]);
        assert_eq!((report.succeeded, report.errors["malformed"]), (7, 1), "{:?}", report.first_errors);
        assert_eq!(report.openings.connections, 0, "the connection goes on");
    }
}

#[test]
fn a_server_that_speaks_http1_is_told_apart() {
    let address = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    all_failed("http", address, &ONE, "malformed", "doesn't speak HTTP/2");
}

#[test]
fn early_ends_are_told_apart() {
    // What the client has sent by then is read, so that closing sends no reset.
    let before = each_request(&[], |peer, _| {
        peer.next(SETTINGS);
        false
    });
    all_failed("http", before, &ONE, "closed_early", "before it replied");
    let within = each_request(&[], |peer, stream| {
        peer.send(HEADERS, END_HEADERS, stream, OK);
        peer.send(DATA, 0, stream, b"half");
        peer.next(SETTINGS);
        false
    });
    all_failed("http", within, &ONE, "short_body", "middle");
}

#[test]
fn a_server_that_takes_no_stream_times_out() {
    let address = serve(|stream| {
        if let Some(mut peer) = Peer::greet(stream, &[0, 3, 0, 0, 0, 0]) {
            while peer.read().is_some() {}
        }
    });
    let args = ["-d", "300ms", "-c", "1", "--http2", "--rate", "100", "--timeout", "50ms"];
    let (_, report) = run("http", address, &args);
    assert!(report.errors["timeout"] >= 1, "{:?}", report.errors);
}

#[test]
fn a_scenarios_users_have_a_stream_each() {
    let (seen, paths) = channel();
    // The first request of a flow gets a value, in its body and in a field, that the second has to send.
    let address = serve(move |stream| {
        let Some(mut peer) = Peer::greet(stream, &[]) else { return };
        while let Some(Frame { stream, payload, .. }) = peer.next(HEADERS) {
            // Characters that Huffman's code would make longer stand as they are.
            let second = payload.windows(4).any(|part| part == b"<{00");
            let _ = seen.send(second);
            let head = [OK, b"\x00\x03tag\x08", format!("<{{{stream:04}}}>").as_bytes()].concat();
            peer.send(HEADERS, END_HEADERS, stream, &head);
            peer.send(DATA, END_STREAM, stream, b"{\"id\": 7}");
        }
    });
    let scenario = tempfile::NamedTempFile::new().unwrap();
    let text = "[[flow]]\nname = 'shop'\n\
        [[flow.step]]\nurl = '/new'\nextract = { cart = { json = '/id' }, tag = { header = 'tag' } }\n\
        expect = { status = 200, body_contains = 'id' }\n\
        [[flow.step]]\nurl = '/cart-{{cart}}'\nheaders = { tag = '{{tag}}' }\nexpect = { header_present = ['tag'] }\n";
    std::fs::write(scenario.path(), text).unwrap();
    let file = scenario.path().to_str().unwrap();
    let args = ["-n", "40", "-c", "1", "--http2", "--streams", "4", "--scenario", file];
    assert_eq!(succeeded("http", address, &args).replies, 40);
    // Each of the four users may have been cut off between two steps.
    let seconds = paths.try_iter().filter(|second| *second).count();
    assert!((18..=20).contains(&seconds), "{seconds}");
}
