//! The floors as processes on real sockets: what the comparison relies on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A floor, killed when dropped.
struct Floor {
    process: Child,
    address: String,
}

impl Floor {
    fn start(args: &[&str]) -> Self {
        // The first core that this process may use: 0 may be denied.
        let core = core_affinity::get_core_ids().unwrap()[0].id.to_string();
        let mut process = Command::new(env!("CARGO_BIN_EXE_turnpike-bench"))
            .args(args)
            .args(["--cores", &core])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().split_once("listen=").expect(&line).1.to_owned();
        Self { process, address }
    }

    fn origin() -> Self {
        Self::start(&["origin"])
    }

    fn passthrough(origin: &Self) -> Self {
        Self::start(&["passthrough", "--upstream", &origin.address])
    }

    fn connect(&self) -> Client {
        Client { reader: BufReader::new(TcpStream::connect(&self.address).unwrap()) }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Status line and body of the next reply.
    fn receive(&mut self) -> (String, Vec<u8>) {
        let mut status = String::new();
        self.reader.read_line(&mut status).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        (status.trim_end().to_owned(), body)
    }

    fn is_closed(&mut self) -> bool {
        self.reader.read(&mut [0; 1]).unwrap() == 0
    }
}

const OK: &str = "HTTP/1.1 200 OK";

#[test]
fn both_answer_over_one_connection_and_close_when_asked() {
    let origin = Floor::origin();
    let passthrough = Floor::passthrough(&origin);
    for floor in [&origin, &passthrough] {
        let mut client = floor.connect();
        for _ in 0..3 {
            client.send(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(client.receive(), (OK.to_owned(), b"hello from the origin\n".to_vec()));
        }
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert_eq!(client.receive().0, OK);
        assert!(client.is_closed());
    }
}

#[test]
fn both_carry_long_bodies_both_ways() {
    let origin = Floor::origin();
    let passthrough = Floor::passthrough(&origin);
    for floor in [&origin, &passthrough] {
        let mut client = floor.connect();
        client.send(b"GET /bytes/3000000 HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.receive(), (OK.to_owned(), vec![b'x'; 3_000_000]));
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n");
        client.send(&vec![b'y'; 3_000_000]);
        assert_eq!(client.receive().0, OK);
    }
}

#[test]
fn the_origin_reads_chunks_continues_delays_and_refuses() {
    let origin = Floor::origin();
    let mut client = origin.connect();
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab");
    client.send(b"c\r\n0\r\n\r\nGET /delay/1 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.receive().0, OK);
    assert_eq!(client.receive().0, OK);
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n");
    assert_eq!(client.receive().0, "HTTP/1.1 100 Continue");
    client.send(b"x");
    assert_eq!(client.receive().0, OK);
    client.send(b"GET /bytes/99999999999 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.receive().0, "HTTP/1.1 400 Bad Request");
}

#[test]
fn the_origin_counts_requests_but_not_those_for_the_count() {
    let origin = Floor::origin();
    let mut counting = origin.connect();
    for expected in ["0", "3"] {
        counting.send(b"GET /count HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(counting.receive().1, expected.as_bytes());
        let mut client = origin.connect();
        for _ in 0..3 {
            client.send(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(client.receive().0, OK);
        }
    }
}

#[test]
fn the_pass_through_closes_on_what_it_does_not_know() {
    let origin = Floor::origin();
    let passthrough = Floor::passthrough(&origin);
    let mut client = passthrough.connect();
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    assert!(client.is_closed());
}
