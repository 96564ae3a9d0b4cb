//! Servers that others wrote: nghttpd (nghttp2-server from Debian), and Python's websockets in .venv.

use std::fs::write;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::succeeded;

/// A child that ends with its test.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a certificate for 127.0.0.1, its key, and files to serve.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let files = Self(folder);
        write(files.path("cert.pem"), key.cert.pem()).unwrap();
        write(files.path("key.pem"), key.signing_key.serialize_pem()).unwrap();
        write(files.path("index.html"), "hello").unwrap();
        write(files.path("large"), vec![b'x'; 3_000_000]).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn spawn(command: &mut Command) -> Child {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| {
        panic!("{program:?} can't be started: {error} (scripts/test installs what tests need)")
    })
}

/// nghttpd, with TLS or without. It takes no port 0, so one that was free a moment ago is tried until it listens there.
fn nghttpd(files: &Files, tls: bool) -> Server {
    loop {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = if Path::new("/usr/sbin/nghttpd").exists() { "/usr/sbin/nghttpd" } else { "nghttpd" };
        let mut command = Command::new(program);
        command.arg("--address=127.0.0.1").arg("-d").arg(files.0.path()).stdout(Stdio::null());
        command.args(if tls { &["--echo-upload"][..] } else { &["--echo-upload", "--no-tls"] });
        command.arg(address.port().to_string());
        if tls {
            command.arg(files.path("key.pem")).arg(files.path("cert.pem"));
        }
        let mut server = Server { child: spawn(&mut command), address };
        while server.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(address).is_ok() {
                return server;
            }
            std::thread::yield_now();
        }
    }
}

fn websockets(files: Option<&Files>) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(root.join(".venv/bin/python"));
    command.arg(root.join("tests/python/websocket_server.py")).stdout(Stdio::piped());
    command.args(files.iter().flat_map(|files| [files.path("cert.pem"), files.path("key.pem")]));
    let mut child = spawn(&mut command);
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let port: u16 = port.trim().parse().expect("the server prints its port (are websockets in .venv?)");
    Server { child, address: ([127, 0, 0, 1], port).into() }
}

#[test]
fn nghttpd_serves_many_streams() {
    let files = Files::new();
    let server = nghttpd(&files, false);
    let args = ["-n", "2000", "-c", "3", "--http2", "--streams", "20", "--expect-body-bytes", "5"];
    let report = succeeded("http", server.address, &args);
    assert_eq!((report.replies, report.status[&200]), (2000, 2000));
    let args = [
        "-n",
        "400",
        "-c",
        "2",
        "--http2",
        "--streams",
        "5",
        "--rate",
        "2000",
        "--requests-per-connection",
        "50",
    ];
    assert_eq!(succeeded("http", server.address, &args).replies, 400);
}

#[test]
fn nghttpd_serves_and_takes_large_bodies_under_tls() {
    let files = Files::new();
    let server = nghttpd(&files, true);
    let certificate = files.path("cert.pem");
    let tls = ["--http2", "--streams", "4", "-c", "2", "--cacert", certificate.to_str().unwrap()];
    let paths = files.path("paths");
    write(&paths, "/large\n").unwrap();
    let large = ["-n", "20", "--path-list", paths.to_str().unwrap(), "--expect-body-bytes", "3000000"];
    assert_eq!(succeeded("https", server.address, &[&tls[..], &large].concat()).body_bytes, 60_000_000);
    write(&paths, "/echo\n").unwrap();
    let echo = [
        "-n",
        "20",
        "--path-list",
        paths.to_str().unwrap(),
        "--body-bytes",
        "1000001",
        "--expect-body-bytes",
        "1000001",
    ];
    assert_eq!(succeeded("https", server.address, &[&tls[..], &echo].concat()).body_bytes, 20_000_020);
}

#[test]
fn pythons_websockets_echo() {
    let server = websockets(None);
    for bytes in ["1", "126", "70000"] {
        let args = ["-n", "100", "-c", "4", "--message-bytes", bytes, "--expect-body-bytes", bytes];
        assert_eq!(succeeded("ws", server.address, &args).replies, 100);
    }
    let args =
        ["-n", "100", "-c", "4", "--message", "grüße", "--rate", "1000", "--requests-per-connection", "10"];
    assert_eq!(succeeded("ws", server.address, &args).replies, 100);
}

#[test]
fn pythons_websockets_echo_under_tls_and_hold() {
    let files = Files::new();
    let server = websockets(Some(&files));
    let certificate = files.path("cert.pem");
    let trusting = |args: &[&'static str]| {
        let all = [&["--cacert", certificate.to_str().unwrap()], args].concat();
        succeeded("wss", server.address, &all)
    };
    assert_eq!(trusting(&["-n", "100", "-c", "4", "--message-bytes", "20000"]).replies, 100);
    let report = trusting(&["-d", "300ms", "-c", "20", "--hold", "--connect-rate", "200"]);
    let handshakes = report.openings.handshakes;
    assert_eq!((report.replies, handshakes.full + handshakes.resumed), (20, 20));
}
