//! The gateway that `up` runs: started, watched, drained.
//!
//! It can't be left behind: it ends when its standard input does, which the system closes however this
//! process ends. It has its own process group, so that a terminal's Ctrl-C reaches it through here only.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::checked::GatewaySettings;

/// A running gateway.
#[derive(Debug)]
pub(super) struct GatewayChild {
    child: Child,
    /// Open for as long as the gateway is to run.
    _lifeline: Option<ChildStdin>,
    /// What comes after its ready line, on the way to this process's own standard output.
    passing: Passing,
    pub(super) ready: ReadyLine,
}

#[derive(Debug)]
enum Passing {
    Held(BufReader<ChildStdout>),
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
        Ok(Self { child, _lifeline: lifeline, passing: Passing::Held(output), ready })
    }

    /// From now on, what it writes to its standard output comes out of this process's.
    pub(super) fn pass_output_on(&mut self) {
        self.passing = match std::mem::replace(&mut self.passing, Passing::Over) {
            Passing::Held(output) => Passing::Begun(tokio::spawn(pass_on(output))),
            begun => begun,
        };
    }

    /// Waits until it ends by itself; says how.
    pub(super) async fn ended(&mut self) -> String {
        let how = describe(self.child.wait().await);
        self.last_output().await;
        how
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

    fn tell(&self, signal: Signal) {
        // Without an id it has ended already.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
            log_line!("up: can't send {signal:?} to the gateway: {error}");
        }
    }

    /// Has it drain and end; kills it when that takes too long.
    pub(super) async fn stop(mut self, timeout_ms: u64) {
        self.tell(Signal::TERM);
        if tokio::time::timeout(Duration::from_millis(timeout_ms), self.child.wait()).await.is_ok() {
            return self.last_output().await;
        }
        log_line!(
            "up: the gateway still drained after {timeout_ms} ms (gateway_stop_timeout_ms) and is killed"
        );
        if let Err(error) = self.child.kill().await {
            log_line!("up: can't kill the gateway: {error}");
        }
    }
}

/// Where it can't be passed on, the gateway's pipe is closed, so that the gateway can say what it loses.
async fn pass_on(mut output: BufReader<ChildStdout>) {
    let mut out = tokio::io::stdout();
    let passed = async {
        tokio::io::copy_buf(&mut output, &mut out).await?;
        out.flush().await
    };
    if let Err(error) = passed.await {
        log_line!("up: can't pass the gateway's output on: {error}");
    }
}

impl ReadyLine {
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
