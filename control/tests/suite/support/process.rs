//! `turnpike-control` as a process of its own, in its own group, that never outlives the test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use turnpike_control::sigv4::AccessKey;

use super::client::Client;
use super::stores::url_of;

pub(crate) const KEY_ID: &str = "AKIATESTTESTTESTTEST";
pub(crate) const SECRET: &str = "secret";

pub(crate) struct Control {
    child: Child,
    pub(crate) output: BufReader<ChildStdout>,
    /// `None` closes it.
    pub(crate) errors: Option<BufReader<ChildStderr>>,
}

impl Control {
    /// Starts `turnpike-control` with these arguments, on ports that the system chooses.
    pub(crate) fn start(args: &[&str], data_dir: &Path) -> Self {
        // It becomes the command, which the kernel kills with the thread of the test, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_turnpike-control")]);
        command.args(args).args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        command.env("TURNPIKE_ROOT_ACCESS_KEY_ID", KEY_ID).env("TURNPIKE_ROOT_SECRET_ACCESS_KEY", SECRET);
        if let Some(url) = url_of(data_dir) {
            command.env("TURNPIKE_CONTROL_STORE", url);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("turnpike-control");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let errors = child.stderr.take().map(BufReader::new);
        Self { child, output, errors }
    }

    /// The next line of its standard output; empty when it has ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("readable");
        line.trim_end().to_owned()
    }

    /// Reads its standard error until a line contains `text`.
    pub(crate) fn await_error(&mut self, text: &str) -> String {
        let errors = self.errors.as_mut().expect("not closed");
        let mut line = String::new();
        while errors.read_line(&mut line).expect("readable") > 0 {
            if line.contains(text) {
                return line;
            }
            line.clear();
        }
        panic!("it ended without saying '{text}'");
    }

    /// A client of the API that the ready line names.
    pub(crate) fn client(&mut self) -> Client {
        let line = self.line();
        let api = line.strip_prefix("turnpike-control ready api=").and_then(|rest| rest.split(' ').next());
        let address: Option<SocketAddr> = api.and_then(|api| api.parse().ok());
        let key = AccessKey { id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        Client { address: address.unwrap_or_else(|| panic!("no ready line: '{line}'")), key }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a pid")).expect("a pid")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
