//! The gateway that `up` runs: started, watched, drained.
//!
//! It can't be left behind: it ends when its standard input does, which the system closes however this
//! process ends. It has its own process group, so that a terminal's Ctrl-C reaches it through here only.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::checked::GatewaySettings;

/// A running gateway.
#[derive(Debug)]
pub(super) struct GatewayChild {
    child: Child,
    /// Open for as long as the gateway is to run.
    _lifeline: Option<ChildStdin>,
    /// Held so that the gateway can go on writing to it.
    _output: Lines<BufReader<ChildStdout>>,
    pub(super) ready: ReadyLine,
}

/// What a gateway says when it accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadyLine {
    pub(super) listen: SocketAddr,
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
        let mut output = BufReader::new(output).lines();
        let timeout_ms = settings.ready_timeout_ms;
        let line = tokio::time::timeout(Duration::from_millis(timeout_ms), output.next_line()).await;
        let line = match line {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => {
                let how = describe(child.wait().await);
                return Err(format!("the gateway ended before it was ready: {how}"));
            }
            Ok(Err(error)) => return Err(format!("can't read what the gateway says: {error}")),
            Err(_elapsed) => {
                return Err(format!(
                    "the gateway wasn't ready within {timeout_ms} ms (gateway_ready_timeout_ms)"
                ));
            }
        };
        let ready = ReadyLine::parse(&line)
            .ok_or_else(|| format!("the gateway said '{line}' where its ready line was expected"))?;
        Ok(Self { child, _lifeline: lifeline, _output: output, ready })
    }

    /// Waits until it ends by itself; says how.
    pub(super) async fn ended(&mut self) -> String {
        describe(self.child.wait().await)
    }

    /// Has it drain and end; kills it when that takes too long.
    pub(super) async fn stop(mut self, timeout_ms: u64) {
        // Without an id it has ended already.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            eprintln!("up: can't tell the gateway to stop: {error}");
        }
        if tokio::time::timeout(Duration::from_millis(timeout_ms), self.child.wait()).await.is_ok() {
            return;
        }
        eprintln!(
            "up: the gateway still drained after {timeout_ms} ms (gateway_stop_timeout_ms) and is killed"
        );
        if let Err(error) = self.child.kill().await {
            eprintln!("up: can't kill the gateway: {error}");
        }
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
        Some(Self { listen, admin: value("admin")?.parse().ok()?, text: line.to_owned() })
    }
}

fn command(settings: &GatewaySettings, publish_socket: &Path) -> Command {
    let mut command = Command::new(&settings.bin);
    command
        .arg("--exit-with-parent")
        .args(["--listen", &settings.listen.to_string()])
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
