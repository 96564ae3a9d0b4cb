//! WebSocket against a server that is written out frame by frame, so that it can break any rule.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::channel;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustix::process::{Pid, Signal, kill_process};
use turnpike_loadgen::report::{Ending, Report};

use crate::support::{command, serve};
use crate::{all_failed, run, succeeded};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The server's side of an open WebSocket.
struct Peer(BufReader<TcpStream>);

impl Peer {
    /// Agrees to the opening handshake; also the request's head.
    fn accept(stream: TcpStream) -> Option<(Self, String)> {
        stream.set_nodelay(true).ok()?;
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "))?;
        assert_eq!(STANDARD.decode(key).unwrap().len(), 16);
        let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{guid}").as_bytes()));
        let reply = format!(
            "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        reader.get_mut().write_all(reply.as_bytes()).ok()?;
        Some((Self(reader), head))
    }

    /// The opcode and the content of the next frame, which must be masked and whole.
    fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second] = self.take()?;
        assert_eq!((first & 0xf0, second & 0x80), (0x80, 0x80), "whole and masked");
        let length = match second & 0x7f {
            126 => usize::from(u16::from_be_bytes(self.take()?)),
            127 => u64::from_be_bytes(self.take()?) as usize,
            short => usize::from(short),
        };
        let mask: [u8; 4] = self.take()?;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
        Some((first & 0xf, payload))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// False when the client has gone.
    fn send(&mut self, first: u8, payload: &[u8]) -> bool {
        let mut frame = vec![first];
        match payload.len() {
            short @ ..126 => frame.push(short as u8),
            medium @ 126..0x1_0000 => {
                frame.push(126);
                frame.extend((medium as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        self.0.get_mut().write_all(&frame).is_ok()
    }
}

/// Does `answer` to each message, until it says that it has ended; closes when the client does.
fn each_message(answer: impl Fn(&mut Peer, u8, &[u8]) -> bool + Clone + Send + 'static) -> SocketAddr {
    serve(move |stream| {
        let Some((mut peer, _)) = Peer::accept(stream) else { return };
        while let Some((opcode, content)) = peer.read() {
            if opcode == CLOSE {
                peer.send(0x80 | CLOSE, &content);
                return;
            }
            if opcode != PONG && !answer(&mut peer, opcode, &content) {
                return;
            }
        }
    })
}

fn echo() -> SocketAddr {
    each_message(|peer, opcode, content| peer.send(0x80 | opcode, content))
}

const FOUR: [&str; 4] = ["-n", "4", "-c", "1"];

#[test]
fn messages_of_every_size_and_type_come_back() {
    for bytes in ["0", "125", "126", "65535", "65536", "1000000"] {
        let args = ["-n", "6", "-c", "2", "--message-bytes", bytes, "--expect-body-bytes", bytes];
        let report = succeeded("ws", echo(), &args);
        assert_eq!((report.replies, report.body_bytes), (6, 6 * bytes.parse::<u64>().unwrap()));
    }
    let (seen, messages) = channel();
    let address = each_message(move |peer, opcode, content| {
        let _ = seen.send((opcode, content.to_vec()));
        peer.send(0x80 | opcode, content)
    });
    succeeded("ws", address, &["-n", "1", "-c", "1", "--message", "grüße"]);
    succeeded("ws", address, &["-n", "1", "-c", "1", "--message", "x", "--message-type", "binary"]);
    let expected = [(TEXT, "grüße".as_bytes().to_vec()), (BINARY, b"x".to_vec())];
    assert_eq!(messages.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn both_loops_count_each_message() {
    let report = succeeded("ws", echo(), &["-n", "500", "-c", "5"]);
    assert_eq!((report.replies, report.loop_kind.as_str()), (500, "closed"));
    let report = succeeded("ws", echo(), &["-n", "200", "-c", "5", "--rate", "2000"]);
    assert_eq!((report.replies, report.loop_kind.as_str()), (200, "open"));
}

#[test]
fn the_handshake_and_the_close_are_the_protocols() {
    let (seen, heads) = channel();
    let address = serve(move |stream| {
        let Some((mut peer, head)) = Peer::accept(stream) else { return };
        while let Some((opcode, content)) = peer.read() {
            peer.send(0x80 | opcode, &content);
            if opcode == CLOSE {
                // The test may have stopped looking.
                let _ = seen.send((head, content));
                return;
            }
        }
    });
    let args = ["-n", "4", "-c", "1", "-H", "Origin: http://a.test", "--requests-per-connection", "2"];
    assert_eq!(succeeded("ws", address, &args).openings.connections, 1);
    for (head, close) in heads.iter().take(2) {
        assert!(head.starts_with(&format!("GET / HTTP/1.1\r\nhost: {address}\r\n")), "{head}");
        for field in [
            "Origin: http://a.test",
            "upgrade: websocket",
            "connection: Upgrade",
            "sec-websocket-version: 13",
        ] {
            assert!(head.contains(&format!("\r\n{field}\r\n")), "{field}: {head}");
        }
        assert_eq!(close, [0x03, 0xe8], "1000");
    }
}

#[test]
fn fragments_pings_and_unasked_messages_are_understood() {
    let address = each_message(|peer, _, content| {
        peer.send(TEXT, &content[..2]);
        peer.send(0x80 | PING, b"there?");
        let pong = peer.read();
        assert_eq!(pong, Some((PONG, b"there?".to_vec())));
        peer.send(0x00, &[]);
        peer.send(0x80, &content[2..])
    });
    assert_eq!(succeeded("ws", address, &[&FOUR[..], &["--expect-body-bytes", "4"]].concat()).replies, 4);
}

#[test]
fn a_server_that_closes_is_told_with_its_code_and_opened_anew() {
    let (seen, answers) = channel();
    let address = serve(move |stream| {
        let Some((mut peer, _)) = Peer::accept(stream) else { return };
        peer.read();
        peer.send(0x80 | CLOSE, b"\x03\xf5too busy");
        let _ = seen.send(peer.read());
    });
    let report = all_failed("ws", address, &FOUR, "websocket_closed", "1013 (try again later)");
    assert_eq!((report.failed(), report.openings.connections), (4, 3));
    assert!(answers.iter().take(4).all(|answer| answer == Some((CLOSE, vec![0x03, 0xf5]))));
}

#[test]
fn broken_frames_are_malformed() {
    type Answer = fn(&mut Peer, u8, &[u8]) -> bool;
    let cases: [(&str, Answer); 7] = [
        ("extension", |peer, _, _| peer.send(0xc1, b"x")),
        ("unknown opcode", |peer, _, _| peer.send(0x83, b"x")),
        ("continues no message", |peer, _, _| peer.send(0x80, b"x")),
        ("middle of another", |peer, _, _| peer.send(0x01, b"x") && peer.send(0x81, b"y")),
        ("control frame", |peer, _, _| peer.send(0x09, b"x")),
        ("half a code", |peer, _, _| peer.send(0x88, b"x")),
        ("masks", |peer, _, _| peer.0.get_mut().write_all(&[0x81, 0x81, 1, 2, 3, 4, 5]).is_ok()),
    ];
    for (reason, answer) in cases {
        // The rest is read, so that no reset overtakes the answer.
        let address = each_message(move |peer, opcode, content| {
            let _ = answer(peer, opcode, content) && peer.0.get_mut().read(&mut [0]).is_ok();
            false
        });
        all_failed("ws", address, &FOUR, "malformed", reason);
    }
}

#[test]
fn a_refused_handshake_is_an_error_of_its_own() {
    let refusing = |reply: &'static [u8]| {
        serve(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(reply);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        })
    };
    // With one request a connection, none is opened before the run, which would not begin without one.
    let wrong =
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
    let cases: [(&[u8], &str, &str); 3] = [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "upgrade", "status 403"),
        (wrong, "upgrade", "Sec-WebSocket-Accept"),
        (b"garbage\r\n\r\n", "malformed", "status line"),
    ];
    for (reply, kind, reason) in cases {
        let args = ["-n", "2", "-c", "1", "--requests-per-connection", "1"];
        all_failed("ws", refusing(reply), &args, kind, reason);
    }
}

#[test]
fn resting_connections_are_counted_as_they_open_and_as_they_drop() {
    let (seen, ends) = channel();
    let address = serve(move |stream| {
        let Some((mut peer, _)) = Peer::accept(stream) else { return };
        peer.send(0x80 | PING, b"there?");
        assert_eq!(peer.read(), Some((PONG, b"there?".to_vec())));
        // A message for everybody, which nobody has asked for.
        peer.send(0x80 | TEXT, b"news");
        let end = peer.read();
        if let Some((CLOSE, code)) = &end {
            peer.send(0x80 | CLOSE, code);
        }
        let _ = seen.send(end);
    });
    let args = ["-d", "300ms", "-c", "10", "--hold", "--connect-rate", "100"];
    let report = succeeded("ws", address, &args);
    assert_eq!((report.replies, report.openings.connections), (10, 10));
    let text = report.to_string();
    assert!(text.contains("/: connections that rest, 100 opened in a second, 10 connections,"), "{text}");
    assert!(text.contains("\n  opened                 10 "), "{text}");
    assert!(ends.iter().take(10).all(|end| end == Some((CLOSE, vec![0x03, 0xe8]))));
    // Those that the ramp wants in the warm-up aren't counted.
    let ramp = ["--warmup", "50ms", "-d", "250ms", "-c", "10", "--hold", "--connect-rate", "100"];
    assert_eq!(succeeded("ws", address, &ramp).replies, 5);
    let dropping = serve(|stream| {
        if let Some((mut peer, _)) = Peer::accept(stream) {
            peer.send(0x80 | CLOSE, &[0x03, 0xe9]);
        }
    });
    let (status, report) = run("ws", dropping, &args);
    assert_eq!((status, report.replies, report.errors["websocket_closed"]), (Some(0), 10, 10));
    assert!(report.first_errors["websocket_closed"].contains("1001 (going away)"));
}

#[test]
fn ctrl_c_ends_a_ramp_of_resting_connections() {
    let (seen, opened) = channel();
    let address = serve(move |stream| {
        let Some((mut peer, _)) = Peer::accept(stream) else { return };
        let _ = seen.send(());
        if let Some((CLOSE, code)) = peer.read() {
            peer.send(0x80 | CLOSE, &code);
        }
    });
    let url = format!("ws://{address}/");
    // The second connection is due in hours.
    let args = [&url, "-t", "1", "-d", "9h", "-c", "2", "--hold", "--connect-rate", "0.0001", "--json"];
    let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    opened.recv().unwrap();
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), report.ended_by), (Some(130), Ending::Interrupted));
    assert_eq!((report.replies, report.failed()), (1, 0), "{:?}", report.first_errors);
}

#[test]
fn a_message_that_is_never_answered_times_out() {
    let address = each_message(|_, _, _| true);
    let report =
        all_failed("ws", address, &["-n", "3", "-c", "1", "--timeout", "50ms"], "timeout", "--timeout");
    assert_eq!(report.failed(), 3);
}
