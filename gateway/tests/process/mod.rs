//! A gateway as a process of its own.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends with the test.
pub(crate) struct Gateway(pub(crate) Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gateway {
    /// The addresses that it says it is ready at, of which `name` is one.
    pub(crate) fn ready(&mut self) -> impl Fn(&str) -> String {
        let mut ready = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        move |name| {
            let (_, rest) = ready.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{ready}"));
            rest.split([' ', ',', '\n']).next().unwrap().to_owned()
        }
    }
}

/// What starts one on these files, run by `launcher`, with its own group and standard input as its parent's life.
pub(crate) fn command(launcher: &[&str], data_dir: &Path, publish_socket: &Path) -> Command {
    const OPTIONS: [&str; 9] = [
        "--exit-with-parent",
        "--cores",
        "1",
        "--listen",
        "127.0.0.1:0",
        "--tls-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let gateway = env!("CARGO_BIN_EXE_turnpike-gateway");
    let mut words = launcher.iter().copied().chain([gateway]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(OPTIONS);
    command.arg("--data-dir").arg(data_dir).arg("--publish-socket").arg(publish_socket);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    command
}

/// What a gateway answers at this address.
pub(crate) fn answer(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
