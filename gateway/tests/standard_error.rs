//! A gateway whose standard error nobody reads any more.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends with the test.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes a connection and closes it; fails when none comes.
fn accept(control: &UnixListener) {
    let gives_up = Instant::now() + Duration::from_secs(20);
    control.set_nonblocking(true).unwrap();
    while let Err(error) = control.accept() {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(Instant::now() < gives_up, "the gateway doesn't connect");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_serves_on_and_drains() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("publish.sock");
    let control = UnixListener::bind(&socket).unwrap();
    let (unread, stderr) = std::io::pipe().unwrap();
    drop(unread);
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-gateway"));
    command.args([
        "--exit-with-parent",
        "--cores",
        "1",
        "--listen",
        "127.0.0.1:0",
        "--tls-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    command.arg("--data-dir").arg(dir.path().join("data")).arg("--publish-socket").arg(&socket);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
    let mut gateway = Gateway(command.spawn().unwrap());
    drop(command);

    let mut ready = String::new();
    BufReader::new(gateway.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let admin = ready.split_once("admin=").and_then(|(_, rest)| rest.split(' ').next()).unwrap().to_owned();
    // It says that it connected, and that the connection broke, before it connects again.
    accept(&control);
    accept(&control);

    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(gateway.0.stdin.take());
    assert!(gateway.0.wait().unwrap().success());
}
