//! Clients that speak HTTP/2 and share no code with the gateway: curl and nghttp2's tools from Debian, and Python
//! scripts on the `h2` package, for frames that no honest client sends.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::client::Reply;
use crate::message::Fields;
use crate::process::run;

/// What a program may take, in seconds.
const PATIENCE_S: u32 = 60;

/// A request by curl, over HTTP/2.
#[derive(Debug)]
pub struct Curl {
    arguments: Vec<String>,
    url: String,
}

impl Curl {
    /// With prior knowledge; `host` is the authority that is sent to `address`.
    #[must_use]
    pub fn http2(address: SocketAddr, host: &str, target: &str) -> Self {
        let arguments = [
            "--http2-prior-knowledge",
            "--silent",
            "--show-error",
            "--path-as-is",
            "--max-time",
            "30",
            "--connect-to",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("::{address}"));
        Self { arguments, url: format!("http://{host}{target}") }
    }

    /// The same over TLS, as ALPN says; `authority` is the PEM file of who is trusted.
    #[must_use]
    pub fn https(address: SocketAddr, host: &str, target: &str, authority: &Path) -> Self {
        let mut this =
            Self::http2(address, host, target).with(["--http2", "--cacert"]).with([authority.display()]);
        this.arguments.retain(|argument| argument != "--http2-prior-knowledge");
        this.url = format!("https://{host}{target}");
        this
    }

    #[must_use]
    pub fn with<S: ToString>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.to_string()));
        self
    }

    #[must_use]
    pub fn method(self, method: &str) -> Self {
        self.with(["--request", method])
    }

    #[must_use]
    pub fn header(self, line: &str) -> Self {
        self.with(["--header", line])
    }

    #[must_use]
    pub fn body(self, body: &str) -> Self {
        self.with(["--data-binary", body])
    }

    /// Reads the whole reply.
    ///
    /// # Panics
    /// When curl fails; the message is its own.
    #[must_use]
    pub fn reply(self) -> Reply {
        let (output, reply) = self.run();
        assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        reply.expect("curl has written a reply's head")
    }

    /// Of the reply, whatever version it came in.
    ///
    /// # Panics
    /// When curl fails.
    #[must_use]
    pub fn status(mut self) -> u16 {
        self.arguments.extend(["--output", "/dev/null", "--write-out", "%{http_code}"].map(str::to_owned));
        self.arguments.push(self.url);
        let status = succeed(&run(Path::new("curl"), &self.arguments, PATIENCE_S), "curl");
        status.parse().expect("a status")
    }

    /// What curl says when it fails.
    ///
    /// # Panics
    /// When it doesn't.
    #[must_use]
    pub fn failure(self) -> String {
        let (output, reply) = self.run();
        assert!(!output.status.success(), "curl succeeded: {reply:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn run(mut self) -> (Output, Option<Reply>) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (head, body) = (directory.path().join("head"), directory.path().join("body"));
        for (flag, path) in [("--dump-header", &head), ("--output", &body)] {
            self.arguments.extend([flag.to_owned(), path.display().to_string()]);
        }
        self.arguments.push(self.url);
        let output = run(Path::new("curl"), &self.arguments, PATIENCE_S);
        let head = std::fs::read_to_string(head).unwrap_or_default();
        let body = std::fs::read(body).unwrap_or_default();
        (output, parse(&head, body))
    }
}

/// The last head of those that curl dumps, and the trailers behind it.
fn parse(dump: &str, body: Vec<u8>) -> Option<Reply> {
    let blocks: Vec<&str> = dump.split("\r\n\r\n").collect();
    let index = blocks.iter().rposition(|block| block.starts_with("HTTP/2 "))?;
    let (line, lines) = blocks[index].split_once("\r\n").unwrap_or((blocks[index], ""));
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let trailers = blocks.get(index + 1).copied().unwrap_or_default();
    Some(Reply { status, headers: fields(lines), body, trailers: fields(trailers) })
}

fn fields(lines: &str) -> Fields {
    let pair =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Fields(lines.lines().filter_map(pair).collect())
}

/// Runs one of nghttp2's programs to its end and returns what it printed.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn nghttp2<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> String {
    succeed(&run(Path::new(program), arguments, PATIENCE_S), program)
}

/// Runs a script of `tests/python` in the repository's virtual environment and returns what it printed.
///
/// # Panics
/// When it fails, or there is no such environment: scripts/test makes it.
#[must_use]
pub fn python<A: AsRef<OsStr>>(script: &str, arguments: &[A]) -> String {
    python_within(script, arguments, PATIENCE_S)
}

/// As [`python`], for a script that takes up to `patience_s` seconds.
///
/// # Panics
/// As [`python`].
#[must_use]
pub fn python_within<A: AsRef<OsStr>>(script: &str, arguments: &[A], patience_s: u32) -> String {
    let interpreter = repository().join(".venv/bin/python");
    assert!(interpreter.is_file(), "{} is missing: run scripts/test, which makes it", interpreter.display());
    let script = repository().join("tests/python").join(script);
    let mut all = vec![script.as_os_str()];
    all.extend(arguments.iter().map(AsRef::as_ref));
    succeed(&run(&interpreter, &all, patience_s), &script.display().to_string())
}

/// The Python of the repository's virtual environment, and a script of `tests/python`.
#[must_use]
pub fn python_script(script: &str) -> (PathBuf, PathBuf) {
    (repository().join(".venv/bin/python"), repository().join("tests/python").join(script))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the repository").to_owned()
}

fn succeed(output: &Output, program: &str) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} ended with {}:\n{out}{err}", output.status);
    out.into_owned()
}
