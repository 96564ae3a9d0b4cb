//! The binary against TLS servers on real sockets: what it verifies, resumes and counts, and which failures are TLS's.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection, StreamOwned};
use turnpike_loadgen::report::{Handshakes, Report};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A connection as the server saw it once it had ended.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    version: Option<ProtocolVersion>,
    resumed: bool,
    server_name: Option<String>,
    requests: usize,
    body_bytes: usize,
    /// The client said that nothing follows before it closed.
    ended: bool,
}

/// A TLS server for `a.test` and 127.0.0.1, and the file with its self-signed certificate.
struct Server {
    address: SocketAddr,
    connections: Receiver<Seen>,
    certificate: tempfile::NamedTempFile,
}

/// What becomes of a connection after its handshake: the number of requests and of their bodies' bytes.
type Serve = fn(&mut Stream) -> (usize, usize);

impl Server {
    fn start(serve: Serve) -> Self {
        let names = ["a.test".to_owned(), "127.0.0.1".to_owned()];
        Self::start_with(rcgen::CertificateParams::new(names).unwrap(), serve)
    }

    /// With a certificate of its own making.
    fn start_with(parameters: rcgen::CertificateParams, serve: Serve) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = parameters.self_signed(&key).unwrap();
        let config = server_config(signed.der().clone(), key.serialize_der().try_into().unwrap());
        let certificate = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(certificate.path(), signed.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (to_test, connections) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, config, to_test) = (stream.unwrap(), Arc::clone(&config), to_test.clone());
                thread::spawn(move || accept(stream, config, serve, &to_test));
            }
        });
        Self { address, connections, certificate }
    }

    /// Runs the generator against `https://a.test/` at this server.
    fn run(&self, args: &[&str]) -> (Output, Option<Report>) {
        loadgen("https://a.test/", self.address, args)
    }

    /// The same, trusting the server's certificate: the report of a run that succeeded.
    fn report(&self, args: &[&str]) -> Report {
        let trusting = [&["--cacert", self.certificate.path().to_str().unwrap()], args].concat();
        let (output, report) = self.run(&trusting);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        report.unwrap()
    }

    /// The report of a run in which no request succeeded.
    fn failed_report(&self, args: &[&str]) -> Report {
        let (output, report) = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        report.unwrap_or_else(|| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Connections that have ended, waiting for `count` of them.
    fn seen(&self, count: usize) -> Vec<Seen> {
        self.connections.iter().take(count).collect()
    }
}

fn server_config(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
    Arc::new(config)
}

fn accept(socket: TcpStream, config: Arc<ServerConfig>, serve: Serve, to_test: &Sender<Seen>) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return;
        }
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (requests, body_bytes) = serve(&mut stream);
    let seen = Seen {
        version: stream.conn.protocol_version(),
        resumed: stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        server_name: stream.conn.server_name().map(str::to_owned),
        requests,
        body_bytes,
        ended: matches!(stream.read(&mut [0]), Ok(0)),
    };
    // The test may have stopped looking.
    let _ = to_test.send(seen);
}

/// The length of the next request's body; `None` at the end of the stream.
fn read_request(stream: &mut Stream) -> Option<usize> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(digits) = line.strip_prefix("content-length: ") {
            length = digits.trim_end().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    body.iter().all(|byte| *byte == b'x').then_some(length)
}

/// Answers each request with `reply` until the client closes.
fn answer_all(stream: &mut Stream, reply: &[u8]) -> (usize, usize) {
    let (mut requests, mut body_bytes) = (0, 0);
    while let Some(length) = read_request(stream) {
        requests += 1;
        body_bytes += length;
        if stream.write_all(reply).is_err() {
            break;
        }
    }
    (requests, body_bytes)
}

fn hello(stream: &mut Stream) -> (usize, usize) {
    answer_all(stream, HELLO)
}

/// Answers one request with a reply that only the end of the connection ends.
fn answer_until_close(stream: &mut Stream) {
    read_request(stream).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end").unwrap();
}

fn loadgen(url: &str, address: SocketAddr, args: &[&str]) -> (Output, Option<Report>) {
    let output = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"))
        .arg(url)
        .args(["--connect-to", &address.to_string(), "--threads", "1", "--json"])
        .args(args)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).ok();
    (output, report)
}

/// A server without TLS, or with none that works.
fn start_plain(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    address
}

#[test]
fn kept_connections_carry_requests_under_tls() {
    let server = Server::start(hello);
    let report = server.report(&["-n", "500", "-c", "3", "--expect-body-bytes", "5"]);
    assert_eq!((report.replies, report.succeeded, report.failed()), (500, 500, 0));
    // As before encryption.
    assert_eq!(report.received_bytes, 500 * HELLO.len() as u64);
    assert_eq!(report.openings.connections, 0, "they were opened before the run");
    let seen = server.seen(3);
    assert_eq!(seen.iter().map(|seen| seen.requests).sum::<usize>(), 500);
    assert!(seen.iter().all(|seen| seen.server_name.as_deref() == Some("a.test")), "{seen:?}");
}

#[test]
fn a_connection_is_closed_after_its_requests() {
    let server = Server::start(hello);
    let report = server.report(&["-n", "9", "-c", "1", "--requests-per-connection", "3"]);
    assert_eq!(
        (report.succeeded, report.openings.connections),
        (9, 2),
        "the first was opened before the run"
    );
    for seen in server.seen(3) {
        assert_eq!((seen.requests, seen.ended), (3, true), "{seen:?}");
    }
}

#[test]
fn a_connection_that_rested_is_kept_unless_the_server_has_ended_it() {
    let slow = ["-n", "3", "-c", "1", "--rate", "5"];
    let report = Server::start(hello).report(&slow);
    assert_eq!((report.succeeded, report.openings.connections), (3, 0), "tickets that come late end nothing");
    let closing = Server::start(|stream| {
        read_request(stream).unwrap();
        stream.write_all(HELLO).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        (1, 0)
    });
    let report = closing.report(&slow);
    assert_eq!((report.succeeded, report.openings.connections), (3, 2), "{:?}", report.first_errors);
}

#[test]
fn handshakes_are_timed_as_part_of_the_request() {
    let server = Server::start(hello);
    let report = server.report(&["-n", "5", "-c", "1", "--requests-per-connection", "1"]);
    let openings = &report.openings;
    assert_eq!((openings.connections, report.succeeded), (5, 5));
    assert!(openings.connect_us.min > 0.0 && openings.handshake_us.min > 0.0);
    assert!(report.latency_us.min > openings.handshake_us.min, "{report:?}");
}

#[test]
fn sessions_are_resumed_in_both_versions_unless_turned_off() {
    let server = Server::start(hello);
    for (version, expected) in [("1.2", ProtocolVersion::TLSv1_2), ("1.3", ProtocolVersion::TLSv1_3)] {
        for (switch, resumed) in [("on", 5), ("off", 0)] {
            let args = ["--tls", version, "--tls-resumption", switch];
            let each = ["-n", "6", "-c", "1", "--requests-per-connection", "1"];
            let report = server.report(&[&args[..], &each].concat());
            assert_eq!(report.openings.handshakes, Handshakes { full: 6 - resumed, resumed }, "{args:?}");
            let seen = server.seen(6);
            assert_eq!(seen.iter().filter(|seen| seen.resumed).count() as u64, resumed, "{args:?}");
            assert!(seen.iter().all(|seen| seen.version == Some(expected)), "{seen:?}");
        }
    }
}

#[test]
fn connections_that_end_together_all_leave_sessions_to_resume() {
    // No reply before all sixteen have asked: each round ends and begins together.
    static ROUND: Barrier = Barrier::new(16);
    let server = Server::start(|stream| {
        read_request(stream).unwrap();
        ROUND.wait();
        stream.write_all(HELLO).unwrap();
        (1, 0)
    });
    let report = server.report(&["-n", "48", "-c", "16", "--tls", "1.3", "--requests-per-connection", "1"]);
    assert_eq!(report.openings.handshakes, Handshakes { full: 16, resumed: 32 });
}

#[test]
fn the_server_name_can_be_another_or_an_address() {
    let server = Server::start(hello);
    let one = ["-n", "1", "-c", "1"];
    server.run(&[&one[..], &["--insecure", "--sni", "b.test"]].concat());
    assert_eq!(server.seen(1)[0].server_name.as_deref(), Some("b.test"));
    let certificate = server.certificate.path().to_str().unwrap();
    let url = format!("https://{}/", server.address);
    let (_, report) = loadgen(&url, server.address, &[&one[..], &["--cacert", certificate]].concat());
    assert_eq!(report.unwrap().succeeded, 1);
    assert_eq!(server.seen(1)[0].server_name, None, "an address is verified, and not sent");
}

#[test]
fn certificates_are_verified_unless_told_otherwise() {
    let server = Server::start(hello);
    let stranger = Server::start(hello);
    let certificate = |server: &Server| server.certificate.path().to_str().unwrap().to_owned();
    let each = ["-n", "3", "-c", "1", "--requests-per-connection", "1"];
    let unknown = server.failed_report(&[&each[..], &["--cacert", &certificate(&stranger)]].concat());
    assert_eq!((unknown.errors["tls"], unknown.errors["connect"]), (3, 0), "{:?}", unknown.errors);
    assert!(unknown.first_errors["tls"].contains("invalid peer certificate"), "{:?}", unknown.first_errors);
    assert_eq!(unknown.openings.handshakes, Handshakes::default());
    let trusted = certificate(&server);
    let wrong = server.failed_report(&[&each[..], &["--cacert", &trusted, "--sni", "b.test"]].concat());
    assert!(wrong.first_errors["tls"].contains("not valid for name"), "{:?}", wrong.first_errors);
    let (_, report) = server.run(&[&each[..], &["--insecure"]].concat());
    assert_eq!(report.unwrap().succeeded, 3);
}

#[test]
fn a_self_signed_authority_is_trusted_for_its_names_and_dates() {
    let parameters = || {
        let mut parameters = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
    };
    let each = ["-n", "2", "-c", "1", "--requests-per-connection", "1", "--cacert"];
    let server = Server::start_with(parameters(), hello);
    let own = server.certificate.path().to_str().unwrap();
    assert_eq!(server.report(&each[..6]).succeeded, 2);
    let wrong = server.failed_report(&[&each[..], &[own, "--sni", "b.test"]].concat());
    assert!(wrong.first_errors["tls"].contains("--sni NAME asks for another"), "{:?}", wrong.first_errors);
    let stranger = Server::start_with(parameters(), hello);
    let unknown = stranger.failed_report(&[&each[..], &[own]].concat());
    assert!(unknown.first_errors["tls"].contains("--cacert FILE says whom to trust"), "{unknown:?}");
    let mut past = parameters();
    past.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let past = Server::start_with(past, hello);
    let own = past.certificate.path().to_str().unwrap();
    let expired = past.failed_report(&[&each[..], &[own]].concat());
    assert!(expired.first_errors["tls"].contains("expired"), "{:?}", expired.first_errors);
}

#[test]
fn a_run_that_can_open_nothing_is_one_clear_error() {
    let (server, stranger) = (Server::start(hello), Server::start(hello));
    let certificate = stranger.certificate.path().to_str().unwrap();
    let (output, report) = server.run(&["-n", "1", "-c", "2", "--cacert", certificate]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), report), (Some(1), None));
    assert!(error.contains("no connection to") && error.contains("TLS: invalid peer certificate"), "{error}");
}

#[test]
fn what_breaks_in_a_handshake_is_tls_and_what_breaks_before_is_not() {
    let each = ["-n", "2", "-c", "1", "--requests-per-connection", "1", "--insecure"];
    let report = |address| loadgen("https://a.test/", address, &each).1.unwrap();
    let garbage = report(start_plain(|mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }));
    assert_eq!(garbage.errors["tls"], 2, "{:?}", garbage.errors);
    assert!(garbage.first_errors["tls"].contains("doesn't seem to speak TLS"), "{garbage:?}");
    let closed = report(start_plain(|mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }));
    assert!(closed.first_errors["tls"].contains("closed during the TLS handshake"), "{closed:?}");
    // Closing with unread bytes sends a reset.
    let reset = report(start_plain(|mut stream| stream.read_exact(&mut [0; 4]).unwrap()));
    assert!(reset.first_errors["tls"].contains("broke during the TLS handshake"), "{reset:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(report(nobody).errors["connect"], 2);
    let silent = [&each[..], &["--timeout", "50ms"]].concat();
    let silent = loadgen("https://a.test/", start_plain(std::mem::forget), &silent).1.unwrap();
    assert_eq!(silent.errors["timeout"], 2);
}

#[test]
fn an_end_that_was_not_announced_completes_no_reply() {
    let each = ["-n", "2", "-c", "1", "--requests-per-connection", "1"];
    let announced = Server::start(|stream| {
        answer_until_close(stream);
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        (1, 0)
    });
    assert_eq!(announced.report(&[&each[..], &["--expect-body-bytes", "13"]].concat()).succeeded, 2);
    let cut = Server::start(|stream| {
        answer_until_close(stream);
        stream.sock.shutdown(Shutdown::Write).unwrap();
        (1, 0)
    });
    for depth in ["1", "2"] {
        let report = cut.failed_report(&[&each[..], &["--insecure", "--pipeline", depth]].concat());
        assert_eq!(report.errors["short_body"], 2, "{:?}", report.errors);
    }
}

#[test]
fn a_session_that_breaks_later_is_tls_too() {
    let server = Server::start(|stream| {
        read_request(stream).unwrap();
        // An application record that nobody encrypted.
        stream.sock.write_all(&[[23, 3, 3, 0, 32].as_slice(), &[0; 32]].concat()).unwrap();
        (1, 0)
    });
    let report = server.failed_report(&["-n", "2", "-c", "1", "--insecure"]);
    assert_eq!(report.errors["tls"], 2, "{:?}", report.errors);
}

#[test]
fn bodies_pass_in_both_directions() {
    let server = Server::start(|stream| {
        let body = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".as_slice(), &[b'y'; 1_000_000]];
        answer_all(stream, &body.concat())
    });
    let args = ["-n", "4", "-c", "2", "--body-bytes", "3000000", "--expect-body-bytes", "1000000"];
    for version in ["1.2", "1.3"] {
        let report = server.report(&[&args[..], &["--tls", version]].concat());
        assert_eq!((report.succeeded, report.body_bytes), (4, 4_000_000));
        assert_eq!(server.seen(2).iter().map(|seen| seen.body_bytes).sum::<usize>(), 12_000_000);
    }
}

#[test]
fn an_early_reply_to_a_long_body_is_read() {
    let server = Server::start(|stream| {
        let _ = stream.read(&mut [0; 64]).unwrap();
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        // Reads on, so that closing sends no reset before the reply is read.
        let _ = std::io::copy(stream, &mut std::io::sink());
        (1, 0)
    });
    let report = server.report(&["-n", "2", "-c", "1", "--body-bytes", "50000000"]);
    assert_eq!(report.status, BTreeMap::from([(413, 2)]));
}

#[test]
fn keys_may_change_between_requests() {
    let server = Server::start(|stream| {
        let mut requests = 0;
        while read_request(stream).is_some() {
            requests += 1;
            stream.conn.refresh_traffic_keys().unwrap();
            if stream.write_all(HELLO).is_err() {
                break;
            }
        }
        (requests, 0)
    });
    assert_eq!(server.report(&["-n", "50", "-c", "1", "--tls", "1.3"]).succeeded, 50);
}
