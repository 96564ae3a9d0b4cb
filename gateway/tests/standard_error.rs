//! A gateway whose standard error nobody reads any more.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

mod process;

use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use process::{Gateway, answer, command};

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
    let mut gateway =
        Gateway(command(&[], &dir.path().join("data"), &socket).stderr(stderr).spawn().unwrap());

    let admin = gateway.ready()("admin");
    // It says that it connected, and that the connection broke, before it connects again.
    accept(&control);
    accept(&control);

    let answer = answer(&admin, "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(gateway.0.stdin.take());
    assert!(gateway.0.wait().unwrap().success());
}
