//! The gateway that `up` runs: started, watched, drained.
//!
//! After `turnpike-gateway upgrade` it is another process, which is followed by its ready line; nobody's child, that
//! process ends as its predecessor did.
//!
//! It can't be left behind: it ends when its standard input does, which the system closes however this
//! process ends. It has its own process group, so that a terminal's Ctrl-C reaches it through here only.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::checked::GatewaySettings;

/// A running gateway.
#[derive(Debug)]
pub(super) struct GatewayChild {
    process: Running,
    pid: u32,
    /// The process of the newest ready line; `None` before there was one.
    announced: watch::Receiver<Option<u32>>,
    /// Open for as long as the gateway is to run.
    _lifeline: Option<ChildStdin>,
    /// What comes after its ready line, on the way to this process's own standard output.
    passing: Passing,
    pub(super) ready: ReadyLine,
}

#[derive(Debug)]
enum Running {
    Child(Child),
    /// What a gateway that was upgraded has started; nobody's child.
    Successor {
        process: OwnedFd,
        /// Comes, or is dropped, at its end.
        end: oneshot::Receiver<()>,
    },
}

#[derive(Debug)]
enum Passing {
    Held(BufReader<ChildStdout>, watch::Sender<Option<u32>>),
    Begun(JoinHandle<()>),
    Over,
}

/// For the last of a gateway's output to be taken once it has ended, if whoever reads this process's is slow. An
/// arbitrary choice: a pipe holds 64 KiB.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);
const READY_LINE_BYTES_MAX: u64 = 4_096;

/// What a gateway says when it accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadyLine {
    pub(super) listen: SocketAddr,
    /// `None`: no HTTPS.
    pub(super) tls: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
    pub(super) text: String,
}

impl GatewayChild {
    /// Starts it and waits for its ready line.
    ///
    /// # Errors
    /// When it can't be started, ends, says something else, or takes too long.
    pub(super) async fn start(settings: &GatewaySettings, publish_socket: &Path) -> Result<Self, String> {
        let mut child = command(settings, publish_socket).spawn().map_err(|error| {
            format!("can't start the gateway {}: {error}. Name it with --gateway-bin", settings.bin.display())
        })?;
        let lifeline = child.stdin.take();
        let output = child.stdout.take().ok_or("the gateway has no standard output")?;
        let mut output = BufReader::new(output);
        let timeout_ms = settings.ready_timeout_ms;
        let mut line = String::new();
        let mut bounded = (&mut output).take(READY_LINE_BYTES_MAX);
        let read = bounded.read_line(&mut line);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), read).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) => {
                let how = describe(child.wait().await);
                let (listen, admin_listen) = (settings.listen, settings.admin_listen);
                let tls_listen =
                    settings.tls_listen.map_or_else(|| "off".to_owned(), |address| address.to_string());
                return Err(format!(
                    "the gateway ended before it was ready: {how}. What it calls --listen, --tls-listen and \
                     --admin-listen is --gateway-listen ({listen}), --gateway-tls-listen ({tls_listen}) and \
                     --gateway-admin-listen ({admin_listen}) here"
                ));
            }
            Ok(Err(error)) => return Err(format!("can't read what the gateway says: {error}")),
            Err(_elapsed) => {
                return Err(format!(
                    "the gateway wasn't ready within {timeout_ms} ms (gateway_ready_timeout_ms)"
                ));
            }
        }
        let line = line.trim_end();
        let ready = ReadyLine::parse(line)
            .ok_or_else(|| format!("the gateway said '{line}' where its ready line was expected"))?;
        let pid = child.id().ok_or("the gateway has ended at once")?;
        let (announce, announced) = watch::channel(Some(pid));
        let passing = Passing::Held(output, announce);
        Ok(Self { process: Running::Child(child), pid, announced, _lifeline: lifeline, passing, ready })
    }

    /// From now on, what it writes to its standard output comes out of this process's.
    pub(super) fn pass_output_on(&mut self) {
        self.passing = match std::mem::replace(&mut self.passing, Passing::Over) {
            Passing::Held(output, announce) => Passing::Begun(tokio::spawn(pass_on(output, announce))),
            begun => begun,
        };
    }

    /// Waits until it ends by itself, and no other process has taken over from it; says how.
    pub(super) async fn ended(&mut self) -> String {
        loop {
            let how = self.process.ended().await;
            let Some(successor) = self.successor().await else {
                self.last_output().await;
                return how;
            };
            log_line!("up: the gateway was upgraded, and is process {} now", self.pid);
            self.process = successor;
        }
    }

    /// The process that has taken over, if one has: it has said so by then, or the output's end says that none has.
    async fn successor(&mut self) -> Option<Running> {
        let own = Some(self.pid);
        let pid = self.announced.wait_for(|announced| *announced != own).await.ok().and_then(|pid| *pid)?;
        self.pid = pid;
        match Running::successor(pid) {
            Ok(successor) => Some(successor),
            Err(error) => {
                log_line!("up: the gateway was upgraded, but process {pid} can't be followed: {error}");
                None
            }
        }
    }

    async fn last_output(&mut self) {
        if let Passing::Begun(passing) = &mut self.passing {
            if tokio::time::timeout(LAST_OUTPUT_TIMEOUT, passing).await.is_err() {
                log_line!(
                    "up: nobody takes the gateway's last output within {LAST_OUTPUT_TIMEOUT:?}; it is lost"
                );
            }
            self.passing = Passing::Over;
        }
    }

    /// Has it open its log files anew.
    pub(super) fn reopen(&self) {
        self.tell(Signal::HUP);
    }

    /// While an upgrade's old process drains, the new one is told as well.
    fn tell(&self, signal: Signal) {
        let newest = *self.announced.borrow();
        let newer = newest.filter(|pid| *pid != self.pid).map(open);
        let told = match &self.process {
            Running::Child(child) => {
                child.id().map_or(Ok(()), |pid| open(pid).and_then(|own| send(&own, signal)))
            }
            Running::Successor { process, .. } => send(process, signal),
        };
        let newer = newer.map_or(Ok(()), |newer| newer.and_then(|newer| send(&newer, signal)));
        if let Err(error) = told.and(newer) {
            log_line!("up: can't send {signal:?} to the gateway: {error}");
        }
    }

    /// Has it drain and end; kills it when that takes too long.
    pub(super) async fn stop(mut self, timeout_ms: u64) {
        self.tell(Signal::TERM);
        if tokio::time::timeout(Duration::from_millis(timeout_ms), self.ended()).await.is_ok() {
            return;
        }
        log_line!(
            "up: the gateway still drained after {timeout_ms} ms (gateway_stop_timeout_ms) and is killed"
        );
        self.tell(Signal::KILL);
        self.ended().await;
    }
}

impl Running {
    async fn ended(&mut self) -> String {
        match self {
            Self::Child(child) => describe(child.wait().await),
            Self::Successor { end, .. } => {
                // Whichever it is, the thread has seen the end.
                let _ = end.await;
                "its status is unknown, as an upgrade had started it".to_owned()
            }
        }
    }

    /// Has a thread wait for a process that isn't a child.
    fn successor(pid: u32) -> Result<Self, String> {
        let process = open(pid)?;
        let watched = process.try_clone().map_err(|error| error.to_string())?;
        let (ended, end) = oneshot::channel();
        let wait = move || {
            while matches!(poll(&mut [PollFd::new(&watched, PollFlags::IN)], None), Err(Errno::INTR)) {}
            // Nobody listens any more when this process ends.
            let _ = ended.send(());
        };
        let waiting = std::thread::Builder::new().name("gateway-end".into()).spawn(wait);
        waiting.map_err(|error| error.to_string())?;
        Ok(Self::Successor { process, end })
    }
}

fn open(pid: u32) -> Result<OwnedFd, String> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no such process")?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| error.to_string())
}

/// One that has ended already needn't be told.
fn send(process: &OwnedFd, signal: Signal) -> Result<(), String> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Where it can't be passed on, the gateway's pipe is closed, so that the gateway can say what it loses.
async fn pass_on(mut output: BufReader<ChildStdout>, announce: watch::Sender<Option<u32>>) {
    let mut out = tokio::io::stdout();
    let mut lines = Lines::default();
    let passed = async {
        loop {
            let bytes = output.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(());
            }
            if let Some(pid) = lines.announcement(bytes) {
                announce.send_replace(Some(pid));
            }
            out.write_all(bytes).await?;
            out.flush().await?;
            let length = bytes.len();
            output.consume(length);
        }
    };
    let passed: std::io::Result<()> = passed.await;
    if let Err(error) = passed {
        log_line!("up: can't pass the gateway's output on: {error}");
    }
}

/// Looks for ready lines in what passes.
#[derive(Debug, Default)]
struct Lines {
    /// The beginning of the line that isn't over.
    line: Vec<u8>,
}

impl Lines {
    /// The process of the last ready line that ends in `bytes`.
    fn announcement(&mut self, bytes: &[u8]) -> Option<u32> {
        let mut found = None;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = (READY_LINE_BYTES_MAX as usize).saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&self.line);
                found = ReadyLine::parse(line.trim_end()).and_then(|ready| ready.pid()).or(found);
                self.line.clear();
            }
        }
        found
    }
}

impl ReadyLine {
    fn pid(&self) -> Option<u32> {
        self.text.split(' ').find_map(|word| word.strip_prefix("pid="))?.parse().ok()
    }

    /// `turnpike-gateway ready listen=ADDR admin=ADDR …`.
    fn parse(line: &str) -> Option<Self> {
        let words = line.strip_prefix("turnpike-gateway ready ")?.split_whitespace();
        let pairs: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        let value = |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        // Several addresses are separated by commas; callers are told the first.
        let listen = value("listen")?.split(',').next()?.parse().ok()?;
        let tls = match value("tls") {
            None => None,
            Some(addresses) => Some(addresses.split(',').next()?.parse().ok()?),
        };
        Some(Self { listen, tls, admin: value("admin")?.parse().ok()?, text: line.to_owned() })
    }
}

fn command(settings: &GatewaySettings, publish_socket: &Path) -> Command {
    let mut command = Command::new(&settings.bin);
    command
        .arg("--exit-with-parent")
        .args(["--listen", &settings.listen.to_string()])
        .args(["--tls-listen", &settings.tls_listen.map_or_else(String::new, |address| address.to_string())])
        .args(["--admin-listen", &settings.admin_listen.to_string()])
        .arg("--data-dir")
        .arg(&settings.data_dir)
        .arg("--publish-socket")
        .arg(publish_socket);
    if let Some(cores) = &settings.cores {
        command.args(["--cores", cores]);
    }
    if let Some(config) = &settings.config {
        command.arg("--config").arg(config);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
    command
}

fn describe(ended: std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => format!("its end can't be told: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successors_ready_line_is_found_among_others_however_it_is_cut() {
        let line =
            b"turnpike-gateway ready listen=127.0.0.1:1 admin=127.0.0.1:2 shards=1 driver=epoll pid=77\n";
        let text = [b"GET / 200\n".as_slice(), line, b"turnpike-gateway ready or not\nmore"].concat();
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let found = lines.announcement(&text[..cut]).or(lines.announcement(&text[cut..]));
            assert_eq!(found, Some(77), "cut at {cut}");
        }
        let mut lines = Lines::default();
        assert_eq!(lines.announcement(&b"x".repeat(100_000)), None);
        assert!(lines.line.len() as u64 <= READY_LINE_BYTES_MAX);
    }

    #[test]
    fn ready_lines_are_read() {
        let line =
            "turnpike-gateway ready listen=127.0.0.1:8080 admin=127.0.0.1:9901 shards=4 driver=io_uring";
        let ready = ReadyLine::parse(line).expect("a ready line");
        assert_eq!((ready.listen.port(), ready.admin.port(), ready.text.as_str()), (8080, 9901, line));
        let https = "turnpike-gateway ready listen=127.0.0.1:80 admin=127.0.0.1:9901 tls=127.0.0.1:8443";
        assert_eq!(
            (ready.tls, ReadyLine::parse(https).expect("a ready line").tls.map(|tls| tls.port())),
            (None, Some(8443))
        );
        let two = "turnpike-gateway ready listen=127.0.0.1:80,[::1]:81 admin=127.0.0.1:9901";
        assert_eq!(ReadyLine::parse(two).expect("a ready line").listen.port(), 80);
        for line in [
            "",
            "turnpike-gateway ready",
            "ready listen=127.0.0.1:1 admin=127.0.0.1:2",
            "turnpike-gateway ready listen=x admin=127.0.0.1:2",
            "turnpike-gateway ready listen=127.0.0.1:1",
        ] {
            assert_eq!(ReadyLine::parse(line), None, "{line}");
        }
    }
}
