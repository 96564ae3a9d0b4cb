//! Servers on real sockets and the binary under test.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

/// Serves each connection on its own thread until the test ends.
pub(crate) fn serve(answer: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Answers every request without a body with five bytes.
pub(crate) fn hello() -> SocketAddr {
    serve(|stream| {
        let mut writer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            if line.is_empty() && writer.write_all(reply).is_err() {
                return;
            }
        }
    })
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-loadgen"));
    command.args(args);
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}
