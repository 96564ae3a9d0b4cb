//! A Redis that belongs to one test, on a Unix socket in a directory of its own. What it has acknowledged outlives it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, until};

/// Runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    directory: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further settings, each its name and its value.
    #[must_use]
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let own = [("port", "0"), ("appendonly", "yes"), ("appendfsync", "always"), ("save", "")];
        let dir = directory.path().to_str().expect("a path in UTF-8");
        let socket = socket(directory.path());
        let places = [("dir", dir), ("unixsocket", socket.to_str().expect("a path in UTF-8"))];
        let arguments = own.iter().chain(&places).chain(settings);
        let arguments =
            arguments.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect();
        let mut redis = Self { process: None, directory, arguments };
        redis.resume();
        redis
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", socket(self.directory.path()).display())
    }

    /// As a host that fails does.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Answers nothing any more, and keeps its connections.
    pub fn hang(&self) {
        self.process.as_ref().expect("it runs").signal_alone(Signal::STOP);
    }

    pub fn wake(&self) {
        self.process.as_ref().expect("it runs").signal_alone(Signal::CONT);
    }

    /// Starts it again, with what it knew.
    pub fn resume(&mut self) {
        let _ = std::fs::remove_file(socket(self.directory.path()));
        // Ends with the test, however that ends.
        let words = ["--pdeathsig", "KILL", "redis-server"].map(str::to_owned);
        let process = Process::start(Path::new("setpriv"), words.iter().chain(&self.arguments), &[]);
        self.process = Some(process);
        until("Redis to answer", || self.answers().then_some(()));
    }

    /// It may still be reading what it knew, or ask for a password.
    fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut connection) = UnixStream::connect(socket(self.directory.path())) else { return false };
        let mut reply = [0; 5];
        connection.write_all(b"PING\r\n").is_ok()
            && connection.read_exact(&mut reply).is_ok()
            && matches!(&reply, b"+PONG" | b"-NOAU")
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("redis.sock")
}
